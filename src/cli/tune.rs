//! `tilewright tune`: the best schedule by measuring.

use super::database::warn;
use super::host::HostArgs;
use super::layout::{Table, paragraph};
use super::options::{Common, Prepared, seconds};
use super::search::machine;
use super::tune_sizes::{self, ForArgs};
use super::written::WriteArgs;
use super::{Ended, output, print, print_report, tables};
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tilewright::compile::Options;
use tilewright::error::Result;
use tilewright::form::Form;
use tilewright::plot::beside;
use tilewright::run::compile_form;
use tilewright::tune::database::{Access, Database, Memory, Sqlite};
use tilewright::tune::effort::Effort;
use tilewright::tune::engine::{Bench, News, Watch};
use tilewright::tune::layer::{Report, Subject, of_one_rank, tune};
use tilewright::tune::runner::{Command, Limits, OnBackend, Runner, Simulated};
use tilewright::tune::stop::{self, Budget, ask};
use tilewright::tune::{TuneError, plots};
use tilewright_backends::backend::Backend;
use tilewright_ir::kernel::Unit;

const ON_HELP: &str = "\
What measures: sim, host, npu, or command:TEMPLATE

  sim               the simulator's times, without data: many trials a second
  host              the emitted C++ on this machine; says nothing of an NPU
  npu               an Ascend NPU of this machine
  command:TEMPLATE  a shell command for each trial, with {job} for its
                    folder (docs/tune.md)";

/// Finds the best schedule by measuring
#[derive(Debug, clap::Args)]
#[command(after_help = super::examples::TUNE)]
pub struct Args {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(flatten)]
    pub(super) sizes: ForArgs,
    #[arg(long, value_name = "RUNNER", default_value = "sim", long_help = ON_HELP, help = ON_HELP.lines().next(), help_heading = "Tuning")]
    on: String,
    /// How much is tried
    #[arg(long, value_enum, default_value_t, help_heading = "Tuning")]
    pub(super) effort: Effort,
    /// Trials of each distinct kernel, instead of what the effort says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Tuning")]
    trials: Option<u32>,
    /// Ends after this many seconds; run again, it goes on
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true, help_heading = "Tuning")]
    time: Option<Duration>,
    #[command(flatten)]
    write: WriteArgs,
    /// Draws the best so far over trials, and what the model said against what was measured
    #[arg(long, value_name = "FILE.svg", help_heading = "Tuning")]
    svg: Option<PathBuf>,
    /// The machine whose simulator measures, where it is another than the one that kernels are for
    #[arg(long, value_name = "NAME", help_heading = "Tuning")]
    sim_machine: Option<String>,
    /// Seconds that a command may take for a trial
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "600", help_heading = "Tuning")]
    timeout: Duration,
    /// How often a trial is tried again when its command fails
    #[arg(long, value_name = "N", default_value_t = 2, help_heading = "Tuning")]
    retries: usize,
    /// Seconds to wait after a command has failed, twice as long each time in a row: what it asks may be starting again
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "2", help_heading = "Tuning")]
    pause: Duration,
    /// Commands at once
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Tuning")]
    jobs: usize,
    /// Where folders of commands are made, and found again [default: tilewright-trials]
    #[arg(long, value_name = "DIR", help_heading = "Tuning")]
    job_dir: Option<PathBuf>,
    #[command(flatten)]
    host: HostArgs,
}

pub fn main(args: &Args) -> Result<Ended> {
    let common = &args.common;
    let svg = [("--svg", args.svg.as_deref())];
    let places = [&args.write.places()[..], &svg].concat();
    let said_to = output::check(&places, &common.files(), common.json)?;
    let mut prepared = common.prepare()?;
    common.start_dumps()?;
    if let Some(text) = common.stopped(&prepared)? {
        print(&text)?;
        return Ok(Ended::Well);
    }
    of_one_rank(&prepared.graph)?;
    let sizes = args.sizes.sizes()?;
    let (runner, units) = args.runner(&prepared.options.machine)?;
    prepared.options = prepared.options.for_units(&args.sizes.units(units));
    let database: Box<dyn Database> = match &prepared.database {
        Some(path) => Box::new(Sqlite::open(path, Access::Write).map_err(TuneError::from)?),
        None => Box::new(Memory::default()),
    };
    let kept = prepared.database.is_some();
    end_on_signals(kept)?;
    let profile = args.effort.profile();
    let trials = args.trials.map_or(profile.trials, |t| t as usize);
    let progress = Progress::new(args.time);
    let bench = Bench {
        runner: runner.as_ref(),
        database: database.as_ref(),
        machine: &prepared.options.machine,
        profile,
        budget: Budget::new(trials, args.time),
        seed: common.seed,
        watch: &progress,
    };
    if let Some(sizes) = sizes {
        let report = tune_sizes::tuned(args, &prepared, &bench, &sizes);
        progress.end();
        return tune_sizes::end(args, &prepared, &report?, kept);
    }
    let inputs = match runner.computes() {
        true => common.data(&prepared)?.0.inputs.into_iter().next(),
        false => None,
    };
    let inputs = inputs.unwrap_or_default();
    let subject = Subject {
        layer: &prepared.layer,
        graph: &prepared.graph,
        options: &prepared.options,
        scalars: &prepared.scalars,
        inputs: &inputs,
    };
    let report = tune(&subject, &bench, args.effort);
    progress.end();
    let report = report?;
    if let Some(path) = &args.svg {
        let plots = [plots::progress(&report), plots::predicted(&report)];
        output::write(path, &beside(&plots))?;
    }
    let said = args.written(&prepared, &report)?;
    match common.json {
        true => print_report(&report)?,
        false => said_to.print(&text(&report, kept))?,
    }
    Ok(match said {
        true => Ended::Well,
        false => Ended::CheckFailed,
    })
}

impl Args {
    /// Writes the best schedule; whether all of it could be said.
    fn written(&self, prepared: &Prepared, report: &Report) -> Result<bool> {
        if !self.write.wanted() {
            return Ok(true);
        }
        let head = format!(
            "{} on {}: {:.3} us on {}, the search's own {:.3} us",
            report.graph, report.machine, report.us, report.runner, report.pick_us
        );
        let found = super::search::pins(&report.pins)?;
        let options = Options {
            pins: [prepared.options.pins.clone(), found].concat(),
            ..prepared.options.clone()
        };
        let compiled = compile_form(&prepared.graph, Form::Optimized, &options);
        let compiled = compiled.map_err(|e| prepared.layer.locate(e))?;
        self.write.write(prepared, &compiled, &options, &head)
    }

    /// The runner that is asked for, and the kernels that it starts.
    fn runner(&self, of: &tilewright_ir::machine::Machine) -> Result<(Box<dyn Runner>, Vec<Unit>)> {
        let all = Unit::ALL.to_vec();
        if let Some(template) = self.on.strip_prefix("command:") {
            if !template.contains("{job}") {
                return Err(TuneError::Template {
                    template: template.into(),
                }
                .into());
            }
            let folder = self
                .job_dir
                .clone()
                .unwrap_or_else(|| "tilewright-trials".into());
            let limits = Limits {
                timeout: self.timeout,
                retries: self.retries,
                lanes: self.jobs.max(1),
                pause: self.pause,
                ..Limits::default()
            };
            return Ok((Box::new(Command::new(template, &folder, limits)), all));
        }
        match self.on.as_str() {
            "sim" => {
                let machine = self.sim_machine.as_ref().map(|m| machine(m)).transpose()?;
                let machine = machine.unwrap_or_else(|| of.clone());
                Ok((Box::new(Simulated::new(machine)), all))
            }
            "host" | "npu" => {
                let backend: Box<dyn Backend> = self.host.backend(&self.on)?;
                backend.ready()?;
                let units = backend.units().to_vec();
                Ok((Box::new(OnBackend::new(backend)), units))
            }
            runner => Err(TuneError::Runner {
                runner: runner.into(),
            }
            .into()),
        }
    }
}

/// What becomes of trials where there is no database.
const NOT_KEPT: &str = "there is no database, so that no trial is kept (--db FILE names one)";

/// How to go on with what ended early.
pub(super) fn go_on(kept: bool) -> &'static str {
    match kept {
        true => "run it again to go on",
        false => NOT_KEPT,
    }
}

/// How long the work has to end by itself after a signal; everything is kept already.
const GRACE: Duration = Duration::from_millis(800);
/// The exit code of what a signal ended.
const INTERRUPTED: i32 = 130;

/// Ctrl-C and SIGTERM end tuning within a second, whatever it is at.
fn end_on_signals(kept: bool) -> Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]);
    let mut signals = signals.map_err(|e| TuneError::Signals {
        reason: e.to_string(),
    })?;
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            ask();
            std::thread::sleep(GRACE);
            let what = match kept {
                true => "all trials that were over are kept: run it again to go on",
                false => NOT_KEPT,
            };
            let _ = writeln!(std::io::stderr(), "interrupted; {what}");
            std::process::exit(INTERRUPTED);
        }
    });
    Ok(())
}

/// What is shown while it runs: a bar on a terminal, a line a minute elsewhere.
struct Progress {
    bar: ProgressBar,
    terminal: bool,
    state: Mutex<State>,
}

struct State {
    start: Instant,
    told: Instant,
    trials: u64,
    new: u64,
    failed: u64,
    limit: Option<Duration>,
}

impl Progress {
    fn new(limit: Option<Duration>) -> Self {
        // A bar of its own, which knows the budget.
        super::progress::end();
        let terminal = std::io::stderr().is_terminal();
        let bar = match terminal {
            true => ProgressBar::new_spinner(),
            false => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}") {
            bar.set_style(style);
        }
        // It is seen to go on before the first trial is over, and between trials that take long.
        bar.set_message("making the first trials");
        bar.enable_steady_tick(TICK);
        let now = Instant::now();
        let state = State {
            start: now,
            told: now,
            trials: 0,
            new: 0,
            failed: 0,
            limit,
        };
        Progress {
            bar,
            terminal,
            state: Mutex::new(state),
        }
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// How often a terminal shows that it goes on.
const TICK: Duration = Duration::from_millis(100);
/// How often something is said where there is no terminal.
const MINUTE: Duration = Duration::from_secs(60);

impl Watch for Progress {
    fn over(&self, kernel: &str, news: &News) {
        let Ok(mut s) = self.state.lock() else { return };
        s.trials += 1;
        s.new += u64::from(news.new);
        s.failed += u64::from(news.failed);
        let elapsed = s.start.elapsed();
        let mut text = format!("{} trials", s.trials);
        let _ = write!(
            text,
            ", {:.0} a second",
            s.new as f64 / elapsed.as_secs_f64().max(1e-3)
        );
        if s.failed > 0 {
            let _ = write!(text, ", {} failed", s.failed);
        }
        if let Some(limit) = s.limit {
            let _ = write!(text, ", {} s left", limit.saturating_sub(elapsed).as_secs());
        }
        if let (Some(best), Some(pick)) = (news.best_us, news.pick_us) {
            let better = (pick / best - 1.0) * 100.0;
            let _ = write!(
                text,
                "; {kernel} {best:.2} us, {better:.1} % better than the search's pick"
            );
        }
        if self.terminal {
            self.bar.set_message(text);
            self.bar.tick();
        } else if s.told.elapsed() >= MINUTE {
            s.told = Instant::now();
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    fn note(&self, text: &str) {
        self.bar.suspend(|| warn(text));
    }
}

/// What the words of a column say: those that a report has.
const WORDS: [(stop::Ended, &str); 6] = [
    (
        stop::Ended::Converged,
        "converged: a number of trials in a row gained nothing",
    ),
    (
        stop::Ended::Exhausted,
        "exhausted: all schedules were tried",
    ),
    (
        stop::Ended::Trials,
        "trials: as many were done as --effort or --trials says",
    ),
    (stop::Ended::Time, "time: the time was over"),
    (stop::Ended::Interrupted, "interrupted: by a signal"),
    (
        stop::Ended::Quarantined,
        "quarantined: the command failed too often",
    ),
];

/// A table of kernels, and what its columns say.
fn kernels(r: &Report) -> String {
    let us = |us: Option<f64>| us.map_or("-".into(), tables::us);
    let header = [
        "kernel",
        "schedules",
        "trials",
        "new",
        "failed",
        "pick us",
        "best us",
        "ended",
        "best schedule",
    ];
    let mut table = Table::new(&header).right(&[1, 2, 3, 4, 5, 6]);
    for k in &r.kernels {
        let t = &k.tuned;
        table.row([
            k.names.join(", "),
            k.space.clone(),
            t.trials.to_string(),
            t.new.to_string(),
            t.failed.to_string(),
            us(t.pick_us),
            us(t.us),
            t.ended.to_string(),
            match t.schedule.as_str() {
                "" => "(the search's own)".into(),
                pins => pins.into(),
            },
        ]);
    }
    let words = WORDS
        .iter()
        .filter(|(ended, _)| r.kernels.iter().any(|k| k.tuned.ended == *ended));
    let words: Vec<&str> = words.map(|(_, text)| *text).collect();
    let line = format!(
        "schedules: what the kernel can have; new: measured now, not known from the database; pick: what the search takes by itself; {}",
        words.join("; ")
    );
    format!("{}\n{}", table.text(), paragraph(&line, 0, 2))
}

fn text(r: &Report, kept: bool) -> String {
    let head = format!("{} on {}, measured on {}", r.graph, r.machine, r.runner);
    let mut s = paragraph(&head, 0, 2) + "\n";
    match r.kernels.is_empty() {
        true => s.push_str(&paragraph(
            "nothing to tune: no kernel has a choice that is not pinned or made by the compiler alone",
            0,
            2,
        )),
        false => s.push_str(&(kernels(r) + "\n")),
    }
    let mut say = |line: String| s.push_str(&paragraph(&line, 0, 2));
    for k in r.kernels.iter().filter(|k| k.tuned.drift > 0.1) {
        say(format!(
            "note: times of the same kernel, {}, differed by {:.0} %: the machine does other things, too",
            k.names.join(", "),
            k.tuned.drift * 100.0
        ));
    }
    say(format!(
        "layer: {} us (spread {}), the search's own {} us; {}; {}",
        tables::us(r.us),
        tables::us(r.spread_us),
        tables::us(r.pick_us),
        match r.combinations {
            1 => "1 combination of kernels' schedules was measured".into(),
            n => format!("{n} combinations of kernels' schedules were measured"),
        },
        r.verified
    ));
    say(match r.pins.is_empty() {
        true => "schedule: the search's own".into(),
        false => format!("schedule: {}", r.pins.join(" ")),
    });
    let new = tables::count(r.new, "new trial");
    say(match r.ended {
        stop::Ended::Interrupted | stop::Ended::Time => {
            format!("ended early ({}): {}", r.ended, go_on(kept))
        }
        stop::Ended::Quarantined if kept => {
            "ended early: the command failed too often; what was measured is kept".into()
        }
        stop::Ended::Quarantined => {
            format!("ended early: the command failed too often; {NOT_KEPT}")
        }
        _ if kept || r.new == 0 => new,
        _ => format!("{new}; {NOT_KEPT}"),
    });
    s
}
