//! `tilewright optimize`: the plan and its predicted times, with nothing run.

use super::options::{Common, remark_pins};
use super::views::ViewArgs;
use super::written::WriteArgs;
use super::{Ended, answer, database, output, print, print_report, times, watch};
use tilewright::compile::Options;
use tilewright::error::Result;
use tilewright::run;
use tilewright::times::Recorder;
use tilewright::verify::verify;

/// Compiles a layer as written and optimized and predicts their times, without running them
#[derive(Debug, clap::Args)]
#[command(after_help = super::examples::OPTIMIZE)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Runs again when the file, or one of pins, rules or a machine, changes
    #[arg(long, conflicts_with_all = ["json", "times"])]
    watch: bool,
    /// Prints where the time went, by step and by rule; with --json it is always there
    #[arg(long, help_heading = "Output")]
    times: bool,
    #[command(flatten)]
    views: ViewArgs,
    #[command(flatten)]
    write: WriteArgs,
    /// Compares the outputs of both forms with the interpreter's, on the simulator, at sizes that take seconds
    #[arg(long, help_heading = "Backend")]
    verify: bool,
}

pub fn main(args: &Args, verbose: bool, recorder: Option<&Recorder>) -> Result<Ended> {
    match args.watch {
        true => watch::again(args.common.files(), || once(args, verbose, recorder)),
        false => once(args, verbose, recorder),
    }
}

fn once(args: &Args, verbose: bool, recorder: Option<&Recorder>) -> Result<Ended> {
    let common = &args.common;
    let places = [args.views.places(), args.write.places()].concat();
    let said_to = output::check(&places, &common.files(), common.json)?;
    let prepared = common.prepare()?;
    common.start_dumps()?;
    if let Some(text) = common.stopped(&prepared)? {
        print(&text)?;
        return Ok(Ended::Well);
    }
    let (layer, graph) = (&prepared.layer, &prepared.graph);
    let optimize = |options: &Options| {
        let mut outcome = run::optimize(graph, options).map_err(|e| layer.locate(e))?;
        if args.verify {
            for (form, compiled) in outcome.compiled.as_ref() {
                let found = verify(layer, graph, compiled, options, &prepared.scalars)?;
                let line = format!("{}: {found}", form.name());
                outcome.report.verified.push(line);
            }
        }
        Ok(outcome)
    };
    let (mut outcome, notes) = database::best(&prepared, "sim", optimize, |_| true)?;
    outcome.report.inputs = [prepared.taken.clone(), notes].concat();
    remark_pins(&prepared.options, &outcome.report);
    for (form, compiled) in outcome.compiled.as_ref() {
        common.print_dumps(form, &compiled.run)?;
    }
    let head = format!("{} on {}", graph.name, prepared.options.machine.name);
    let said = args.write.write(
        &prepared,
        &outcome.compiled.optimized,
        &prepared.options,
        &head,
    )?;
    let views = args.views.write(&outcome, &prepared.options)?;
    let told = args.times || common.json;
    outcome.report.times = recorder.filter(|_| told).map(Recorder::so_far);
    match common.json {
        true => print_report(&outcome.report)?,
        false => {
            said_to.print(&answer::report(&outcome.report, verbose))?;
            said_to.print(&views)?;
            if args.times {
                said_to.print(&times::tables(&outcome.report))?;
            }
        }
    }
    Ok(match said {
        true => Ended::Well,
        false => Ended::CheckFailed,
    })
}
