//! `tilewright run`: the whole way, from a file to checked and timed kernels.

use super::host::HostArgs;
use super::options::{Common, remark_pins};
use super::views::ViewArgs;
use super::written::WriteArgs;
use super::{Ended, answer, database, output, print, print_report, times, watch};
use std::path::PathBuf;
use tilewright::compile::Options;
use tilewright::error::Result;
use tilewright::folder::{self, Foreign};
use tilewright::run;
use tilewright::saved;
use tilewright::times::Recorder;
use tracing::info_span;

/// Compiles a layer as written and optimized, emits both, runs both, and checks and times them
#[derive(Debug, clap::Args)]
#[command(after_help = super::examples::RUN)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Runs again when the file, or one of pins, rules or a machine, changes
    #[arg(long, conflicts_with_all = ["json", "times"])]
    watch: bool,
    /// Prints where the time went, by step and by rule; with --json it is always there
    #[arg(long, help_heading = "Output")]
    times: bool,
    /// What runs the kernels: `sim`, the embedded simulator, which also refuses races and missing flags; `host`, their C++ text
    /// compiled by this system's compiler; `npu`, an Ascend NPU of this machine, by CANN (ASCEND_HOME_PATH) and CMake
    #[arg(
        long,
        value_name = "BACKEND",
        default_value = "sim",
        help_heading = "Backend"
    )]
    on: String,
    #[command(flatten)]
    host: HostArgs,
    #[command(flatten)]
    views: ViewArgs,
    #[command(flatten)]
    write: WriteArgs,
    /// Folder for the kernels, which go to `written` and `optimized` in it [default: tilewright-out/GRAPH]
    #[arg(short = 'o', long, value_name = "DIR", help_heading = "Output")]
    emit_dir: Option<PathBuf>,
    /// Writes no kernels
    #[arg(long, conflicts_with = "emit_dir", help_heading = "Output")]
    no_emit: bool,
    /// Writes kernels into a folder that holds other files too, which stay, and over kernels that were changed
    #[arg(long, help_heading = "Output")]
    force: bool,
}

pub fn main(args: &Args, verbose: bool, recorder: Option<&Recorder>) -> Result<Ended> {
    match args.watch {
        true => watch::again(args.common.files(), || once(args, verbose, recorder)),
        false => once(args, verbose, recorder),
    }
}

fn once(args: &Args, verbose: bool, recorder: Option<&Recorder>) -> Result<Ended> {
    let common = &args.common;
    let backend = args.host.backend(&args.on)?;
    backend.ready()?;
    let places = [args.views.places(), args.write.places()].concat();
    let said_to = output::check(&places, &common.files(), common.json)?;
    let mut prepared = common.prepare()?;
    prepared.options = prepared.options.for_units(backend.units());
    prepared.options.record = args.views.wanted();
    common.start_dumps()?;
    if let Some(text) = common.stopped(&prepared)? {
        print(&text)?;
        return Ok(Ended::Well);
    }
    let span = info_span!("inputs").entered();
    let (data, notes) = common.data(&prepared)?;
    drop(span);
    let run = |options: &Options| {
        let outcome = run::run_on(&prepared.graph, options, &data, backend.as_ref());
        outcome.map_err(|e| prepared.layer.locate(e))
    };
    let right = |outcome: &run::Outcome| outcome.report.ok;
    let (mut outcome, tuned) = database::best(&prepared, &args.on, run, right)?;
    outcome.report.inputs = [notes, tuned].concat();
    remark_pins(&prepared.options, &outcome.report);
    let default = || PathBuf::from("tilewright-out").join(&prepared.graph.name);
    let base = args.emit_dir.clone().unwrap_or_else(default);
    let foreign = match args.force {
        true => Foreign::Keep,
        false => Foreign::Refuse,
    };
    let kernels = outcome.compiled.as_ref().zip(outcome.files.as_ref());
    for (form, (compiled, files)) in kernels {
        common.print_dumps(form, &compiled.run)?;
        let _span = info_span!("write").entered();
        if !args.no_emit {
            let dir = base.join(form.name());
            let mut files = files.clone();
            files.push(saved::beside(&compiled.program, form)?);
            folder::write(&dir, &files, foreign)?;
            let dir = dir.display().to_string();
            outcome.report.files.insert(form.name().into(), dir);
        }
    }
    let head = format!(
        "{} on {}",
        prepared.graph.name, prepared.options.machine.name
    );
    let optimized = &outcome.compiled.optimized;
    let said = args
        .write
        .write(&prepared, optimized, &prepared.options, &head)?;
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
    Ok(match outcome.report.ok && said {
        true => Ended::Well,
        false => Ended::CheckFailed,
    })
}
