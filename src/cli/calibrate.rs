//! `tilewright calibrate`: figures of machines from times that were measured on chips.

use super::layout::paragraph;
use super::{Ended, print, print_report, search, tables};
use indexmap::IndexMap;
use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use tilewright::calibrate::{
    Accuracy, Case, accuracy, digits, fit, load, machine_file, page, plot, predicted, table,
};
use tilewright::error::{Error, Result};
use tilewright_ir::machine::Machine;

/// Fits a machine's figures to measured times, or judges a machine by them
#[derive(Debug, clap::Args)]
#[command(after_help = super::examples::CALIBRATE)]
pub struct Args {
    /// The table of records
    #[arg(
        value_name = "RECORDS",
        default_value = "examples/calibration/records.toml"
    )]
    records: PathBuf,
    /// Judges this machine instead of fitting: a name, or the path of a `.toml` file
    #[arg(long, value_name = "NAME")]
    check: Option<String>,
    /// Writes the fitted figures, as a file for `--machine`
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Writes `accuracy.md` and `accuracy.svg` into this folder
    #[arg(long, value_name = "DIR")]
    docs: Option<PathBuf>,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

/// What is known of machines from a table of records.
#[derive(Debug, Default, Serialize)]
struct Report {
    records: Vec<Entry>,
    /// By path; none where nothing was fitted.
    figures: IndexMap<String, Figure>,
    /// By what predicts.
    accuracy: IndexMap<String, Accuracy>,
}

#[derive(Debug, Serialize)]
struct Entry {
    record: String,
    family: String,
    runtime: String,
    measured_us: f64,
    predicted_us: f64,
}

#[derive(Debug, Serialize)]
struct Figure {
    source: f64,
    fitted: f64,
}

impl Report {
    fn new(cases: &[Case], predictions: &[f64]) -> Self {
        let entry = |(c, us): (&Case, &f64)| Entry {
            record: c.id.clone(),
            family: c.family.to_string(),
            runtime: c.runtime.clone(),
            measured_us: c.us,
            predicted_us: *us,
        };
        Report {
            records: cases.iter().zip(predictions).map(entry).collect(),
            ..Report::default()
        }
    }
}

pub fn main(args: &Args) -> Result<Ended> {
    let (set, cases) = load(&args.records)?;
    if let Some(name) = &args.check {
        judge(&search::machine(name)?, &cases, args.json)?;
        return Ok(Ended::Well);
    }
    let fit = fit(&cases)?;
    if let Some(path) = &args.output {
        write(path, &machine_file(cases.len(), &fit))?;
    }
    if let Some(folder) = &args.docs {
        write(
            &folder.join("accuracy.md"),
            &page(&cases, &set.left_out, &fit),
        )?;
        write(&folder.join("accuracy.svg"), &plot(&cases, &fit.after))?;
    }
    let judgements = [
        ("figures of the sources", &fit.before),
        ("fitted", &fit.after),
        ("without the record", &fit.without_record),
        ("without its family", &fit.without_family),
    ]
    .map(|(name, predictions)| (name, accuracy(&cases, predictions)));
    if args.json {
        let figures = fit.figures.iter().map(|(path, (source, fitted))| {
            let (source, fitted) = (*source, *fitted);
            (path.clone(), Figure { source, fitted })
        });
        let accuracy = judgements.map(|(name, found)| (name.to_owned(), found));
        print_report(&Report {
            figures: figures.collect(),
            accuracy: accuracy.into_iter().collect(),
            ..Report::new(&cases, &fit.after)
        })?;
        return Ok(Ended::Well);
    }
    let header = [
        "record",
        "family",
        "runtime",
        "measured us",
        "sources us",
        "fitted us",
        "ratio",
        "left out",
    ];
    let mut text = tables::plain(&header, table(&cases, &fit).into_iter());
    text.push('\n');
    let figures = fit
        .figures
        .iter()
        .map(|(path, (source, fitted))| vec![path.clone(), digits(*source), fitted.to_string()]);
    text.push_str(&tables::plain(&["figure", "source", "fitted"], figures));
    text.push('\n');
    text.push_str(&paragraph(COLUMNS, 0, 0));
    for (name, found) in &judgements {
        text.push_str(&judged(name, found));
    }
    print(&text)?;
    Ok(Ended::Well)
}

/// What the columns of the first table say.
const COLUMNS: &str = "sources: predicted with the figures that vendors and papers give; fitted: with those fitted to all records; \
     ratio: fitted over measured; left out: the same, fitted without the record itself\n";

/// Prints what a machine predicts of all records.
fn judge(machine: &Machine, cases: &[Case], json: bool) -> Result<()> {
    let predict = |case: &Case| {
        let machine = machine.clone().started_by(&case.runtime)?;
        Ok(predicted(case, &machine))
    };
    let predictions = cases.iter().map(predict).collect::<Result<Vec<f64>>>()?;
    let found = accuracy(cases, &predictions);
    if json {
        return print_report(&Report {
            accuracy: IndexMap::from([(machine.name.clone(), found)]),
            ..Report::new(cases, &predictions)
        });
    }
    let rows = cases.iter().zip(&predictions).map(|(c, p)| {
        vec![
            c.id.clone(),
            c.family.to_string(),
            c.runtime.clone(),
            format!("{:.2}", c.us),
            format!("{p:.2}"),
            format!("{:.2}", p / c.us),
        ]
    });
    let header = [
        "record",
        "family",
        "runtime",
        "measured us",
        "predicted us",
        "ratio",
    ];
    let mut text = tables::plain(&header, rows);
    text.push('\n');
    text.push_str(&judged(&machine.name, &found));
    print(&text)
}

fn judged(name: &str, found: &Accuracy) -> String {
    let mut text = format!(
        "{name}: a time is off by {:.1} % (median of {}), a ratio of before and after by {:.1} %, {} of {} changes have the right \
         direction, Spearman {:.3};",
        100.0 * found.median,
        found.records,
        100.0 * found.median_of_pairs,
        found.right_direction,
        found.pairs,
        found.spearman
    );
    for (family, _, ratio) in &found.families {
        let _ = write!(text, " {family} {ratio:.2}x");
    }
    paragraph(&text, 0, 2)
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|e| {
        Error::Read {
            path: path.into(),
            reason: e.to_string(),
            help: "name a file in a folder that can be written to".into(),
        }
        .into()
    })
}
