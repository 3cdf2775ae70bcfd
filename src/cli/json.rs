//! What `--json` prints, refusals included: objects with the version of their fields.

use super::print;
use miette::Diagnostic;
use serde::Serialize;
use tilewright::error::{Error, Refusal, Result};

/// Goes up when a field is taken away or means something else.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Versioned<'a, T> {
    version: u32,
    #[serde(flatten)]
    value: &'a T,
}

/// Prints a value as one JSON object.
fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::Stdout {
        reason: e.to_string(),
    })?;
    print(&(text + "\n"))
}

/// Prints what a command tells as one JSON object with its version.
pub fn print_report(value: &impl Serialize) -> Result<()> {
    let version = VERSION;
    print_json(&Versioned { version, value })
}

#[derive(Serialize)]
struct Refused {
    error: Told,
}

/// Why something was refused.
#[derive(Serialize)]
struct Told {
    code: Option<String>,
    message: String,
    place: Option<Place>,
    help: Option<String>,
}

/// Where in a file; lines and columns are counted from 1.
#[derive(Serialize)]
struct Place {
    file: String,
    line: usize,
    column: usize,
    label: Option<String>,
}

/// Prints a refusal.
pub fn print_refusal(refusal: &Refusal) -> Result<()> {
    print_report(&Refused {
        error: Told {
            code: refusal.code().map(|c| c.to_string()),
            message: refusal.to_string(),
            place: place(refusal),
            help: refusal.help().map(|h| h.to_string()),
        },
    })
}

/// A command line that is wrong.
const USAGE: &str = "tilewright::command_line";

/// Prints what is wrong with a command line: its first line says that, and the others what helps.
pub fn print_usage(error: &clap::Error) -> Result<()> {
    let text = error.to_string();
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let lines = rest.lines().map(str::trim).filter(|l| !l.is_empty());
    let help: Vec<&str> = lines.collect();
    print_report(&Refused {
        error: Told {
            code: Some(USAGE.into()),
            message: first.trim_start_matches("error: ").into(),
            place: None,
            help: (!help.is_empty()).then(|| help.join("; ")),
        },
    })
}

/// The first place that a refusal points at.
fn place(refusal: &Refusal) -> Option<Place> {
    let label = refusal.labels()?.next()?;
    let text = refusal.source_code()?.read_span(label.inner(), 0, 0).ok()?;
    Some(Place {
        file: text.name()?.to_owned(),
        line: text.line() + 1,
        column: text.column() + 1,
        label: label.label().map(String::from),
    })
}
