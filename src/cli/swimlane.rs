//! `tilewright swimlane`: when kernels and the pipes of their blocks run, as text.

use super::database::note;
use super::options::Common;
use super::{Ended, database, print, print_report, terminal};
use tilewright::compile::Options;
use tilewright::detail::{Details, FormDetails};
use tilewright::error::{Error, Result};
use tilewright::form::Form;
use tilewright::report::{FormReport, work};
use tilewright::run;
use tilewright::swimlane::text;
use tilewright_backends::backend::Simulator;

/// Prints when kernels and the pipes of their blocks run, as text over the width of the terminal
///
/// Each kernel has a row: dots from its launch to its first block, then shades, the darker the more of its cores are busy. Below,
/// each pipe of its slowest block has one. A layer of one rank is simulated without data, one of several ranks with.
#[derive(Debug, clap::Args)]
#[command(after_help = super::examples::SWIMLANE)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// The kernel whose pipes are printed, or one as written, for those that do its work; all, and the kernels in time, without it
    #[arg(value_name = "KERNEL")]
    kernel: Option<String>,
    /// The form as written instead of the optimized one
    #[arg(long, help_heading = "Output")]
    written: bool,
    /// Columns of the text [default: those of the terminal, 80 without one]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(40..=1000), help_heading = "Output")]
    width: Option<u16>,
}

pub fn main(args: &Args) -> Result<Ended> {
    let common = &args.common;
    let mut prepared = common.prepare()?;
    prepared.options.record = true;
    common.start_dumps()?;
    if let Some(text) = common.stopped(&prepared)? {
        print(&text)?;
        return Ok(Ended::Well);
    }
    let graph = &prepared.graph;
    let several = graph.ranks() > 1;
    let data = match several {
        true => Some(common.data(&prepared)?.0),
        false => None,
    };
    let simulate = |options: &Options| {
        let outcome = match &data {
            Some(data) => run::run_on(graph, options, data, &Simulator),
            None => run::optimize(graph, options),
        };
        let outcome = outcome.map_err(|e| prepared.layer.locate(e))?;
        Ok((Details::new(&outcome, options), outcome.report))
    };
    let ((details, report), _) = database::best(&prepared, "sim", simulate, |_| true)?;
    let form = match args.written {
        true => Form::Written,
        false => Form::Optimized,
    };
    let shown = details.forms.get(form);
    let shown_kernels = match &args.kernel {
        Some(name) => Some(named(name, shown, report.form(form))?),
        None => None,
    };
    match common.json {
        true => print_report(shown)?,
        false => {
            let width = args.width.map_or_else(terminal::columns, usize::from);
            let clock = details.clock_mhz;
            let Some(names) = shown_kernels else {
                print(&text(shown, clock, None, width))?;
                return Ok(Ended::Well);
            };
            for name in names {
                print(&text(shown, clock, Some(&name), width))?;
            }
        }
    }
    Ok(Ended::Well)
}

/// The kernels of a form that a name means: one of them, or those that do the work of a kernel as written, which is said.
fn named(name: &str, shown: &FormDetails, form: &FormReport) -> Result<Vec<String>> {
    let found = work::doing(&form.kernels, name);
    let names: Vec<String> = found.iter().map(|k| k.name.clone()).collect();
    if names.is_empty() || !names.iter().all(|n| shown.kernel(n).is_some()) {
        return Err(Error::NoKernel {
            kernel: name.into(),
            known: work::names(&form.kernels),
        }
        .into());
    }
    if names != [name] {
        let by: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
        note(&format!(
            "the work of `{name}` is done by {}",
            by.join(" and ")
        ));
    }
    Ok(names)
}
