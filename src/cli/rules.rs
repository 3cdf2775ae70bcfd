//! `tilewright rules`: what the search may do, and why that is legal.

use super::{Ended, print, print_json, tables};
use serde::Serialize;
use tilewright::error::Result;
use tilewright_passes::egraph::rules::{self, Role};
use tilewright_passes::numerics::Numerics;

const ROLES: &str = "\
structure  gives a value its form as written: always runs
choice     adds a choice: runs unless --disable-rule names it
optional   adds a choice: runs when --enable-rule names it
";

/// Lists the rules of the search
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Prints one JSON array
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Entry {
    name: &'static str,
    role: Role,
    numerics: Numerics,
    does: &'static str,
    why: &'static str,
}

pub fn main(args: &Args) -> Result<Ended> {
    let table = rules::table();
    let entries: Vec<Entry> = table
        .iter()
        .map(|r| Entry {
            name: r.name,
            role: r.role,
            numerics: r.numerics,
            does: r.does,
            why: r.why,
        })
        .collect();
    if args.json {
        print_json(&entries)?;
        return Ok(Ended::Well);
    }
    let rows = entries.iter().map(|r| {
        let role = match r.role {
            Role::Structure => "structure",
            Role::Choice => "choice",
            Role::Optional => "optional",
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
    text.push_str(ROLES);
    print(&text)?;
    Ok(Ended::Well)
}
