//! The command line: one file a subcommand, each of which parses its options, calls the library, and prints what came back.

mod calibrate;
mod check;
mod database;
mod db;
mod dumps;
mod emit;
mod explain;
mod host;
mod machines;
mod new;
mod optimize;
mod options;
mod passes;
mod progress;
mod rules;
mod run;
mod search;
mod shell;
mod show;
mod sizes;
mod snapshot;
mod sweep;
mod swimlane;
mod tables;
mod times;
mod trial;
mod tune;
mod views;
mod written;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use miette::{MietteHandlerOpts, Report};
use serde::Serialize;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;
use tilewright::error::{Error, Refusal, Result};
use tilewright::times::Recorder;
use tracing::Level;

/// Columns of what is printed for people.
const WIDTH: u16 = 120;

const EXIT_CODES: &str = "\
Exit codes: 0 all is well, 1 a check failed (the report is printed all the same), 2 the command line is wrong, 3 something was \
refused.
A refusal is text on the standard error, with --json too; the standard output is then empty.";

/// Optimizes layer graphs for Ascend NPUs: e-graph search over schedules, PTO-ISA C++ kernels, and a simulator that runs them.
#[derive(Debug, Parser)]
#[command(name = "tilewright", version, after_help = EXIT_CODES, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Shows no progress; there is none in any case where the standard error is no terminal, or with --json
    #[arg(short, long, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compiles a layer as written and optimized, emits both, runs both, and checks and times them
    Run(run::Args),
    /// Compiles a layer as written and optimized and predicts their times, without running them
    Optimize(optimize::Args),
    /// Tells what led to the chosen kernels, what each rule gains, and what alternatives would cost
    Explain(explain::Args),
    /// Prints when kernels and the pipes of their blocks run, as text over the width of the terminal
    Swimlane(swimlane::Args),
    /// Finds the best schedule by measuring: on the simulator, here, on an NPU, or with a command
    Tune(tune::Args),
    /// Tells of the database of what was measured, and moves it about
    Db(db::Args),
    /// Times a layer for every combination of values of a few parameters
    Sweep(sweep::Args),
    /// Does a trial in a folder: what a worker of `tune --on command:...` runs
    #[command(hide = true)]
    Trial(trial::Args),
    /// Looks for races, broken flags, overlapping tiles and all else that is wrong with kernels
    Check(check::Args),
    /// Writes the kernels of a layer to a folder
    Emit(emit::Args),
    /// Keeps the kernels of layers beside them, and tells what of them has changed
    Snapshot(snapshot::Args),
    /// Prints a layer, as it is or after a pass
    Show(show::Args),
    /// Writes a layer file from sizes or from a model's configuration
    New(new::Args),
    /// Lists the passes
    Passes(passes::Args),
    /// Lists the rules of the search
    Rules(rules::Args),
    /// Lists the machines, or every figure of one with its source
    Machines(machines::Args),
    /// Fits a machine's figures to measured times, or judges a machine by them
    Calibrate(calibrate::Args),
}

/// How a command ended that was not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Well,
    CheckFailed,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let start = Instant::now();
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|e| e.exit());
    let recorder = recorder(&cli, &matches, start);
    // Fails only when a hook is set already.
    let _ = miette::set_hook(Box::new(|_| {
        Box::new(MietteHandlerOpts::new().width(WIDTH.into()).build())
    }));
    let ended = match cli.command {
        Command::Run(args) => run::main(&args, recorder.as_ref()),
        Command::Optimize(args) => optimize::main(&args, recorder.as_ref()),
        Command::Explain(args) => explain::main(&args),
        Command::Swimlane(args) => swimlane::main(&args),
        Command::Tune(args) => tune::main(&args),
        Command::Db(args) => db::main(&args),
        Command::Sweep(args) => sweep::main(&args),
        Command::Trial(args) => trial::main(&args),
        Command::Check(args) => check::main(&args),
        Command::Emit(args) => emit::main(&args),
        Command::Snapshot(args) => snapshot::main(&args),
        Command::Show(args) => show::main(&args),
        Command::New(args) => new::main(&args),
        Command::Passes(args) => passes::main(&args),
        Command::Rules(args) => rules::main(&args),
        Command::Machines(args) => machines::main(&args),
        Command::Calibrate(args) => calibrate::main(&args),
    };
    progress::end();
    match ended {
        Ok(Ended::Well) => ExitCode::SUCCESS,
        Ok(Ended::CheckFailed) => ExitCode::from(1),
        Err(refusal) => {
            let mut text = format!("{:?}", Report::new(refusal));
            text.push('\n');
            // With nobody listening there is nothing left to say.
            let _ = io::stderr().write_all(text.as_bytes());
            ExitCode::from(3)
        }
    }
}

/// Who listens to what a command does: to tell where its time went, to show how far it is, or nobody.
fn recorder(cli: &Cli, matches: &ArgMatches, start: Instant) -> Option<Recorder> {
    let args = matches.subcommand().map(|(_, args)| args);
    let set = |flag: &str| {
        let value = args.and_then(|a| a.try_get_one::<bool>(flag).ok().flatten());
        value.copied()
    };
    let json = set("json").unwrap_or(false);
    // Commands that can tell of times do so in JSON.
    let told = set("times").is_some_and(|times| times || json);
    let shown = match cli.quiet || json {
        true => None,
        false => progress::start(),
    };
    let level = match told {
        true => Level::TRACE,
        false => Level::DEBUG,
    };
    let recorder =
        (told || shown.is_some()).then(|| Recorder::new("command", start).up_to(level))?;
    let recorder = match shown {
        Some(shown) => recorder.watched(shown),
        None => recorder,
    };
    Some(recorder.listen())
}

/// Writes to the standard output. A reader that has had enough (`| head`) is no error.
fn print(text: &str) -> Result<()> {
    let written = progress::aside(|| {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush())
    });
    match written {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(Refusal::from(Error::Stdout {
            reason: e.to_string(),
        })),
        _ => Ok(()),
    }
}

/// Prints a value as one JSON object or array.
fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::Stdout {
        reason: e.to_string(),
    })?;
    print(&(text + "\n"))
}
