//! `tilewright machines`: their names, or every figure of one with its unit and source.

use super::layout::paragraph;
use super::{Ended, print, print_report, search, tables};
use serde::Serialize;
use serde_json::Value;
use tilewright::error::{Error, Result};
use tilewright_ir::machine::Machine;

/// Lists the machines, or every figure of one with its source
#[derive(Debug, clap::Args)]
#[command(after_help = super::examples::MACHINES)]
pub struct Args {
    /// A name, or the path of a `.toml` file
    name: Option<String>,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Machines {
    machines: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    about: String,
    cube_cores: f64,
    vector_cores: f64,
    clock_mhz: f64,
}

pub fn main(args: &Args) -> Result<Ended> {
    match &args.name {
        Some(name) => figures(&search::machine(name)?, args.json)?,
        None => list(args.json)?,
    }
    Ok(Ended::Well)
}

fn list(json: bool) -> Result<()> {
    let machines: Vec<Entry> = Machine::names()
        .into_iter()
        .map(|name| {
            let m = Machine::builtin(name)?;
            Ok(Entry {
                name: m.name,
                about: m.about,
                cube_cores: m.cube_cores.value,
                vector_cores: m.vector_cores.value,
                clock_mhz: m.clock_mhz.value,
            })
        })
        .collect::<Result<_>>()?;
    if json {
        return print_report(&Machines { machines });
    }
    let rows = machines.into_iter().map(|m| {
        let figures = [m.cube_cores, m.vector_cores, m.clock_mhz].map(|f| f.to_string());
        [vec![m.name], figures.into(), vec![m.about]].concat()
    });
    let header = ["machine", "cube cores", "vector cores", "MHz", "about"];
    print(&tables::plain(&header, rows))
}

fn figures(machine: &Machine, json: bool) -> Result<()> {
    if json {
        return print_report(machine);
    }
    let value = serde_json::to_value(machine).map_err(|e| Error::Stdout {
        reason: e.to_string(),
    })?;
    let mut rows = vec![];
    collect("", &value, &mut rows);
    let header = ["figure", "value", "unit", "source"];
    let table = tables::plain(&header, rows.into_iter());
    let about = paragraph(&format!("{}: {}", machine.name, machine.about), 0, 2);
    print(&format!("{about}\n{table}"))
}

/// Every value that has a source, by its path.
fn collect(path: &str, value: &Value, rows: &mut Vec<Vec<String>>) {
    let Value::Object(fields) = value else { return };
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    if fields.contains_key("source") {
        let numbers = fields
            .iter()
            .filter(|(name, v)| !v.is_string() && !is_empty(v) && *name != "paths");
        let numbers: Vec<String> = numbers
            .map(|(name, v)| match name.as_str() {
                "value" => number(v),
                _ => format!("{name} {}", number(v)),
            })
            .collect();
        rows.push(
            [path, &numbers.join(", "), text("unit"), text("source")]
                .map(String::from)
                .into(),
        );
        if let Some(paths) = fields.get("paths").filter(|v| !is_empty(v)) {
            let name = format!("{path}.paths");
            let row = [&name, &number(paths), text("unit"), text("paths_source")];
            rows.push(row.map(String::from).into());
        }
        return;
    }
    for (name, v) in fields {
        match path {
            "" => collect(name, v, rows),
            _ => collect(&format!("{path}.{name}"), v, rows),
        }
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

fn number(value: &Value) -> String {
    match value {
        Value::Number(n) => n.as_f64().map_or_else(|| n.to_string(), |f| f.to_string()),
        Value::Array(entries) => {
            let each: Vec<String> = entries.iter().map(number).collect();
            format!("({})", each.join(" "))
        }
        other => other.to_string(),
    }
}
