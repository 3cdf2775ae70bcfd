//! The command line: one file a subcommand, each of which parses its options, calls the library, and prints what came back.

mod answer;
mod calibrate;
mod check;
mod completions;
mod database;
mod db;
mod diff;
mod dumps;
mod emit;
mod examples;
mod explain;
mod fmt;
mod host;
mod json;
mod layout;
mod machines;
mod man;
mod new;
mod optimize;
mod options;
mod output;
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
mod terminal;
mod times;
mod trial;
mod tune;
mod tune_sizes;
mod views;
mod watch;
mod written;

use self::json::print_report;
use self::terminal::{Color, TerminalArgs};
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use miette::Report;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;
use tilewright::error::{Error, Refusal, Result};
use tilewright::times::Recorder;
use tilewright_ir::syntax::nearest;
use tracing::Level;

const EXIT_CODES: &str = "\
Exit codes: 0 all is well, 1 a check failed (the report is printed all the same), 2 the command line is wrong, 3 something was \
refused.
A refusal, or what is wrong with the command line, is text on the standard error; with --json the standard output has it, too: {\"version\": 1, \"error\": {...}}.";

/// Optimizes layer graphs for Ascend NPUs: e-graph search over schedules, PTO-ISA C++ kernels, and a simulator that runs them.
#[derive(Debug, Parser)]
#[command(name = "tilewright", version, after_help = EXIT_CODES, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    terminal: TerminalArgs,
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
    /// Tells what of two schedules differs, and their times
    Diff(diff::Args),
    /// Writes the kernels of a layer to a folder
    Emit(emit::Args),
    /// Keeps the kernels of layers beside them, and tells what of them has changed
    Snapshot(snapshot::Args),
    /// Prints a layer, as it is or after a pass
    Show(show::Args),
    /// Formats layer files
    Fmt(fmt::Args),
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
    /// Prints a script with which a shell completes the command line
    Completions(completions::Args),
    /// Prints the manual page, or writes a page a subcommand
    Man(man::Args),
}

/// The command line as a whole.
fn command() -> clap::Command {
    Cli::command()
}

/// The same with helps that fit so many columns. What the parser does not know are examples, where what a command does stands beside it.
fn fitting(command: clap::Command, columns: usize) -> clap::Command {
    let after = command.get_after_help().map(ToString::to_string);
    let long = command.get_after_long_help().map(ToString::to_string);
    let mut command = command.term_width(columns);
    if let Some(text) = after {
        command = command.after_help(examples::fit(&text, columns));
    }
    if let Some(text) = long {
        command = command.after_long_help(examples::fit(&text, columns));
    }
    command.mut_subcommands(|c| fitting(c, columns))
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
    let color = Color::asked(std::env::args_os());
    let shown = fitting(command(), terminal::columns()).color(color.choice());
    let matches = shown.try_get_matches();
    let matches = matches.unwrap_or_else(|e| wrong(meant(e)));
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|e| wrong(e));
    let recorder = recorder(&cli, &matches, start);
    cli.terminal.color.set();
    let verbose = cli.terminal.verbose;
    let ended = match cli.command {
        Command::Run(args) => run::main(&args, verbose, recorder.as_ref()),
        Command::Optimize(args) => optimize::main(&args, verbose, recorder.as_ref()),
        Command::Explain(args) => explain::main(&args),
        Command::Swimlane(args) => swimlane::main(&args),
        Command::Tune(args) => tune::main(&args),
        Command::Db(args) => db::main(&args),
        Command::Sweep(args) => sweep::main(&args),
        Command::Trial(args) => trial::main(&args),
        Command::Check(args) => check::main(&args),
        Command::Diff(args) => diff::main(&args),
        Command::Emit(args) => emit::main(&args),
        Command::Snapshot(args) => snapshot::main(&args),
        Command::Show(args) => show::main(&args),
        Command::Fmt(args) => fmt::main(&args),
        Command::New(args) => new::main(&args),
        Command::Passes(args) => passes::main(&args),
        Command::Rules(args) => rules::main(&args),
        Command::Machines(args) => machines::main(&args),
        Command::Calibrate(args) => calibrate::main(&args),
        Command::Completions(args) => completions::main(&args),
        Command::Man(args) => man::main(&args),
    };
    progress::end();
    match ended {
        Ok(Ended::Well) => ExitCode::SUCCESS,
        Ok(Ended::CheckFailed) => ExitCode::from(1),
        Err(refusal) => {
            if asked(&matches, "json") {
                // Where nothing can be printed, the text below is all that there is.
                let _ = json::print_refusal(&refusal);
            }
            refuse(refusal);
            ExitCode::from(3)
        }
    }
}

/// Ends with what is wrong with the command line, or with the help that it asks for.
fn wrong(error: clap::Error) -> ! {
    let mut words = std::env::args_os().take_while(|w| w != "--");
    if error.use_stderr() && words.any(|w| w == "--json") {
        // Where nothing can be printed, the text below is all that there is.
        let _ = json::print_usage(&error);
    }
    error.exit()
}

/// A wrong command line, with the subcommand that was probably meant: also where two letters of a short name changed places, which
/// the parser finds too far away.
fn meant(mut error: clap::Error) -> clap::Error {
    use clap::error::{ContextKind, ContextValue};
    let Some(ContextValue::String(wrong)) = error.get(ContextKind::InvalidSubcommand) else {
        return error;
    };
    let own = command();
    let names = own.get_subcommands().filter(|c| !c.is_hide_set());
    let near = nearest(wrong, names.map(clap::Command::get_name)).map(String::from);
    if let (Some(near), None) = (near, error.get(ContextKind::SuggestedSubcommand)) {
        let near = ContextValue::Strings(vec![near]);
        error.insert(ContextKind::SuggestedSubcommand, near);
    }
    error
}

/// Whether a flag stands after a subcommand, or after one of its own.
fn asked(matches: &ArgMatches, flag: &str) -> bool {
    let Some((_, args)) = matches.subcommand() else {
        return false;
    };
    let set = args.try_get_one::<bool>(flag).ok().flatten();
    set.copied().unwrap_or(false) || asked(args, flag)
}

/// Tells why something was refused.
fn refuse(refusal: Refusal) {
    let text = format!("{:?}\n", Report::new(refusal));
    // With nobody listening there is nothing left to say.
    let _ = progress::aside(|| io::stderr().write_all(text.as_bytes()));
}

/// Who listens to what a command does: to tell where its time went, to show how far it is, or nobody.
fn recorder(cli: &Cli, matches: &ArgMatches, start: Instant) -> Option<Recorder> {
    let args = matches.subcommand().map(|(_, args)| args);
    let json = asked(matches, "json");
    // Commands that can tell of times do so in JSON.
    let times = args.and_then(|a| a.try_get_one::<bool>("times").ok().flatten());
    let told = times.is_some_and(|times| *times || json);
    let shown = match cli.terminal.quiet || json {
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
