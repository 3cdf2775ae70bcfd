//! The database of schedules that commands use where there is one, and that `tune` fills.

use super::options::Prepared;
use super::progress;
use super::shell::quoted;
use std::io::Write as _;
use std::path::PathBuf;
use tilewright::compile::Options;
use tilewright::config::Config;
use tilewright::error::Result;
use tilewright::tune::database::{VARIABLE, place};
use tilewright::tune::used::{Hit, look_up};

/// Which database.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct DatabaseArgs {
    /// The database of what was measured [default: what TILEWRIGHT_DB says, or tilewright.toml, or tilewright/tuned.sqlite in the
    /// user's folder for data]; only `tune` makes one
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        help_heading = "Tuned schedules"
    )]
    db: Option<PathBuf>,
    /// Uses no database
    #[arg(
        long,
        conflicts_with = "db",
        global = true,
        help_heading = "Tuned schedules"
    )]
    no_db: bool,
}

impl DatabaseArgs {
    /// Whether the option names it.
    pub fn is_named(&self) -> bool {
        self.db.is_some()
    }

    /// The file that is meant, whether it is there or not: what the option says, then the variable, then the configuration.
    pub fn path(&self, config: Option<&Config>) -> Option<PathBuf> {
        let variable = |name: &str| std::env::var(name).ok();
        let configured = || {
            let config = config.filter(|_| variable(VARIABLE).is_none())?;
            let db = config.content.defaults.db.as_ref()?;
            Some(config.resolve(db))
        };
        match self.no_db {
            true => None,
            false => place(self.db.clone().or_else(configured).as_deref(), &variable),
        }
    }
}

/// Says beside the output how something was understood.
pub fn note(text: &str) {
    // With nobody listening there is nothing left to say.
    let _ = progress::aside(|| writeln!(std::io::stderr(), "note: {text}"));
}

/// Says something beside the output.
pub fn warn(text: &str) {
    // With nobody listening there is nothing left to say.
    let _ = progress::aside(|| writeln!(std::io::stderr(), "warning: {text}"));
}

/// Does the work with the best schedule of the database that can be had and is `right`, or else with what the search finds; and a
/// line on what it was.
pub fn best<A>(
    prepared: &Prepared,
    on: &str,
    work: impl Fn(&Options) -> Result<A>,
    right: impl Fn(&A) -> bool,
) -> Result<(A, Vec<String>)> {
    let options = &prepared.options;
    if let Some(path) = prepared
        .database
        .as_ref()
        .filter(|p| prepared.named && !p.exists())
    {
        warn(&format!(
            "tilewright::db::missing: there is no database {}: the schedule is what the search finds",
            path.display()
        ));
    }
    // Who says what the kernels are to be gets them.
    let free = options.pins.is_empty() && !options.only_pins && options.passes.is_none();
    let Some(path) = prepared.database.clone().filter(|_| free) else {
        return Ok((work(options)?, vec![]));
    };
    let found = look_up(&path, &prepared.graph, options, on)?;
    if let Some(text) = &found.warning {
        warn(text);
    }
    for hit in &found.hits {
        let line = |what: &str| {
            format!(
                "{what} of {} ({:.2} us on {})",
                path.display(),
                hit.us,
                hit.runner
            )
        };
        if hit.pins.is_empty() {
            let line = line("the search's own schedule, which is the best");
            return Ok((work(options)?, vec![line]));
        }
        match work(&pinned(options, hit)) {
            Ok(done) if right(&done) => {
                let pins: Vec<String> = hit.pins.iter().map(ToString::to_string).collect();
                return Ok((
                    done,
                    vec![format!("{}: {}", line("the schedule"), pins.join(" "))],
                ));
            }
            Ok(_) => warn(&format!(
                "{} computes something else now; it is not used",
                line("the schedule")
            )),
            Err(e) => warn(&format!("{} is not used: {e}", line("the schedule"))),
        }
    }
    Ok((work(options)?, vec![]))
}

/// Options with a schedule, and the command that emits its kernels with them.
fn pinned(options: &Options, hit: &Hit) -> Options {
    let pins: String = hit
        .pins
        .iter()
        .map(|p| format!(" --pin {}", quoted(&p.to_string())))
        .collect();
    Options {
        pins: hit.pins.clone(),
        command: options.command.as_ref().map(|c| format!("{c}{pins}")),
        ..options.clone()
    }
}
