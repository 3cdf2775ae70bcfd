//! `tilewright rules`: what the search may do, and why that is legal.

use super::layout::paragraph;
use super::search::user_rules;
use super::{Ended, print, print_report, tables};
use serde::Serialize;
use std::path::PathBuf;
use tilewright::error::Result;
use tilewright_passes::egraph::rules::{self, Role};
use tilewright_passes::numerics::Numerics;

const ROLES: &str = "\
structure  gives a value its form as written: always runs
choice     adds a choice: runs unless --disable-rule names it
optional   adds a choice: runs when --enable-rule names it
plan       adds a choice to the search over plans: runs unless --disable-rule names it
";

/// Lists the rules of the search
#[derive(Debug, clap::Args)]
#[command(after_help = super::examples::RULES)]
pub struct Args {
    /// Lists the rules of a file, too (repeatable)
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Rules<'a> {
    rules: Vec<Entry<'a>>,
}

#[derive(Debug, Serialize)]
struct Entry<'a> {
    name: &'a str,
    role: Role,
    numerics: Numerics,
    does: &'a str,
    why: &'a str,
}

pub fn main(args: &Args) -> Result<Ended> {
    let table = rules::table();
    let user = user_rules(&args.rules)?;
    let ours = table.iter().map(|r| Entry {
        name: r.name,
        role: r.role,
        numerics: r.numerics,
        does: r.does,
        why: r.why,
    });
    let user = user.iter().map(|r| Entry {
        name: &r.name,
        role: Role::Choice,
        numerics: r.numerics,
        does: "a rule of a file",
        why: &r.why,
    });
    let entries: Vec<Entry> = ours.chain(user).collect();
    if args.json {
        print_report(&Rules { rules: entries })?;
        return Ok(Ended::Well);
    }
    let rows = entries.iter().map(|r| {
        let role = match r.role {
            Role::Structure => "structure",
            Role::Choice => "choice",
            Role::Optional => "optional",
            Role::Plan => "plan",
        };
        [r.name, role, r.numerics.name(), r.does, r.why]
            .map(String::from)
            .into()
    });
    let header = [
        "rule",
        "role",
        "numerics",
        "what it does",
        "why it is legal",
    ];
    let mut text = tables::plain(&header, rows);
    text.push('\n');
    for line in ROLES.lines() {
        text.push_str(&paragraph(line, 0, 11));
    }
    print(&text)?;
    Ok(Ended::Well)
}
