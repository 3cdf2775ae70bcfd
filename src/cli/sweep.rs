//! `tilewright sweep`: a layer at every combination of values.

use super::options::Common;
use super::{Ended, output, print, print_report, tables};
use serde::Serialize;
use std::path::PathBuf;
use tilewright::error::Result;
use tilewright::tune::sweep::{Over, Row, sweep};
use tilewright::tune::{TuneError, plots};

/// Times a layer for every combination of values of a few parameters
#[derive(Debug, clap::Args)]
#[command(after_help = super::examples::SWEEP)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// A parameter, as --pin has it, and its values (repeatable; the last one changes fastest)
    #[arg(
        long,
        value_name = "KERNEL.PARAM=A,B,C",
        required = true,
        help_heading = "Sweep"
    )]
    over: Vec<String>,
    /// Prints comma-separated values
    #[arg(long, conflicts_with = "json", help_heading = "Sweep")]
    csv: bool,
    /// Draws it: a curve over one parameter, a surface over two
    #[arg(long, value_name = "FILE.svg", help_heading = "Sweep")]
    svg: Option<PathBuf>,
}

#[derive(Serialize)]
struct Swept<'a> {
    graph: &'a str,
    machine: &'a str,
    over: Vec<&'a str>,
    rows: &'a [Row],
}

pub fn main(args: &Args) -> Result<Ended> {
    let said_to = output::check(
        &[("--svg", args.svg.as_deref())],
        &args.common.files(),
        args.common.json,
    )?;
    let prepared = args.common.prepare()?;
    args.common.start_dumps()?;
    if let Some(text) = args.common.stopped(&prepared)? {
        print(&text)?;
        return Ok(Ended::Well);
    }
    let over = args
        .over
        .iter()
        .map(|o| Over::parse(o))
        .collect::<Result<Vec<_>>>()?;
    if args.svg.is_some() && over.len() > 2 {
        return Err(TuneError::Plot { count: over.len() }.into());
    }
    let rows = sweep(&prepared.graph, &prepared.options, &over);
    let rows = rows.map_err(|e| prepared.layer.locate(e))?;
    if let Some(path) = &args.svg {
        output::write(path, &plots::swept(&over, &rows)?)?;
    }
    let names: Vec<&str> = over.iter().map(|o| o.name.as_str()).collect();
    if args.common.json {
        print_report(&Swept {
            graph: &prepared.graph.name,
            machine: &prepared.options.machine.name,
            over: names,
            rows: &rows,
        })?;
        return Ok(Ended::Well);
    }
    let best = rows
        .iter()
        .filter_map(|r| r.simulated_us)
        .fold(f64::INFINITY, f64::min);
    let header = [names, vec!["predicted us", "simulated us", ""]].concat();
    let us = |us: Option<f64>| us.map_or(String::new(), |us| format!("{us:.3}"));
    let cells = |r: &Row| {
        let last = match (&r.refused, r.simulated_us) {
            (Some(why), _) => why.clone(),
            (None, Some(us)) if us == best => "best".into(),
            _ => String::new(),
        };
        [
            r.values.clone(),
            vec![us(r.predicted_us), us(r.simulated_us), last],
        ]
        .concat()
    };
    match args.csv {
        false => said_to.print(&tables::plain(&header, rows.iter().map(cells)))?,
        true => {
            let mut text = line(&header.iter().map(ToString::to_string).collect::<Vec<_>>());
            rows.iter().for_each(|r| text.push_str(&line(&cells(r))));
            said_to.print(&text)?;
        }
    }
    Ok(Ended::Well)
}

/// A line of comma-separated values, quoted where they have to be.
fn line(cells: &[String]) -> String {
    let quoted = |c: &String| match c.contains([',', '"', '\n']) {
        true => format!("\"{}\"", c.replace('"', "\"\"")),
        false => c.clone(),
    };
    cells.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n"
}
