//! `tilewright passes`: the passes and the two default orders.

use super::layout::paragraph;
use super::{Ended, print, print_report, tables};
use serde::Serialize;
use tilewright::error::Result;
use tilewright_passes::pass::{Manager, OPTIMIZED, Stage, WRITTEN};

/// Lists the passes
#[derive(Debug, clap::Args)]
#[command(after_help = super::examples::PASSES)]
pub struct Args {
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Passes {
    passes: Vec<Entry>,
    written: [&'static str; WRITTEN.len()],
    optimized: [&'static str; OPTIMIZED.len()],
}

#[derive(Debug, Serialize)]
struct Entry {
    name: &'static str,
    takes: Stage,
    gives: Stage,
    about: &'static str,
}

pub fn main(args: &Args) -> Result<Ended> {
    let manager = Manager::new();
    let passes = manager.passes().iter().map(|p| Entry {
        name: p.name(),
        takes: p.takes(),
        gives: p.gives(),
        about: p.about(),
    });
    let all = Passes {
        passes: passes.collect(),
        written: WRITTEN,
        optimized: OPTIMIZED,
    };
    if args.json {
        print_report(&all)?;
        return Ok(Ended::Well);
    }
    let rows = all.passes.iter().map(|p| {
        let stages = [p.takes, p.gives].map(|s| s.to_string());
        vec![
            p.name.into(),
            stages[0].clone(),
            stages[1].clone(),
            p.about.into(),
        ]
    });
    let mut text = tables::plain(&["pass", "takes", "gives", "what it does"], rows);
    text.push('\n');
    for (form, order) in [("as written: ", &WRITTEN[..]), ("optimized:  ", &OPTIMIZED)] {
        text.push_str(&paragraph(&format!("{form}{}", order.join(", ")), 0, 12));
    }
    print(&text)?;
    Ok(Ended::Well)
}
