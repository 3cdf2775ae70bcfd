//! `tilewright db`: what was measured.

use super::database::DatabaseArgs;
use super::layout::Table;
use super::tables::{self, count};
use super::{Ended, print, print_report};
use indexmap::{IndexMap, IndexSet};
use serde::Serialize;
use std::path::{Path, PathBuf};
use tilewright::config::Config;
use tilewright::error::{Error, Result};
use tilewright::place::is_stream;
use tilewright::tune::database::{Access, Entry, Sqlite};
use tilewright::tune::{DatabaseError, TuneError, machine_hash};
use tilewright_ir::machine::Machine;

/// Tells of the database of what was measured, and moves it about
#[derive(Debug, clap::Args)]
#[command(after_help = super::examples::DB)]
pub struct Args {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Lists kernels and layers, with how many trials they have and the best of them
    List {
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Lists the trials of a kernel or layer, the best first, and failures with their reasons
    Show {
        /// Its name, or the beginning of its hash
        name: String,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Writes all trials to the standard output, a line of JSON each
    Export {
        /// Prints one JSON object instead, which `import` takes as well
        #[arg(long)]
        json: bool,
    },
    /// Takes trials from a file that `export` wrote; `-` is the standard input
    Import {
        file: PathBuf,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Takes the trials of another database, which stays as it is
    Merge {
        other: PathBuf,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Removes trials of other versions of tilewright, and of other figures of the machines that it has
    Prune {
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Looks for damage
    Verify {
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// What `list` tells.
#[derive(Debug, Serialize)]
struct Lines {
    subjects: Vec<Line>,
}

/// What `show` and `export` tell.
#[derive(Debug, Serialize)]
struct Trials {
    trials: Vec<Entry>,
}

/// What `import` and `merge` tell.
#[derive(Debug, Serialize)]
struct Taken {
    /// Trials that are new, or better known now.
    taken: usize,
    /// Trials that were there.
    of: usize,
}

#[derive(Debug, Serialize)]
struct Removed {
    removed: usize,
}

/// What `verify` tells.
#[derive(Debug, Serialize)]
struct Verified {
    ok: bool,
    /// What is wrong, a line each.
    found: Vec<String>,
}

/// A kernel or layer.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    subject: String,
    layer: bool,
    machine: String,
    runner: String,
    numerics: String,
    trials: usize,
    failed: usize,
    best_us: Option<f64>,
    schedule: String,
}

pub fn main(args: &Args) -> Result<Ended> {
    let config = Config::above(Path::new(""))?;
    let path = args.database.path(config.as_ref()).ok_or_else(|| {
        TuneError::from(DatabaseError::Missing {
            path: "(none is named)".into(),
        })
    })?;
    match &args.what {
        What::List { json } => list(&open(&path, Access::Read)?, *json)?,
        What::Show { name, json } => show(&open(&path, Access::Read)?, name, *json)?,
        What::Export { json } => {
            let database = open(&path, Access::Read)?;
            match json {
                true => {
                    let trials = database.entries("1", &[]).map_err(TuneError::from)?;
                    print_report(&Trials { trials })?;
                }
                false => print(&database.export().map_err(TuneError::from)?)?,
            }
        }
        What::Import { file, json } => {
            // The database is made when there is something to put into it.
            let trials = Sqlite::trials(file, &text(file)?).map_err(TuneError::from)?;
            taken(&open(&path, Access::Write)?, &trials, file, *json)?;
        }
        What::Merge { other, json } => {
            let from = open(other, Access::Read)?;
            if is_same(&path, other) {
                let path = path.clone();
                return Err(TuneError::from(DatabaseError::Itself { path }).into());
            }
            let trials = from.entries("1", &[]).map_err(TuneError::from)?;
            taken(&open(&path, Access::Write)?, &trials, other, *json)?;
        }
        What::Prune { json } => prune(&path, *json)?,
        What::Verify { json } => return verify(&path, *json),
    }
    Ok(Ended::Well)
}

/// Whether two paths lead to one file.
fn is_same(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    real(a).is_some() && real(a) == real(b)
}

/// Takes trials, and tells how many of them were not there.
fn taken(database: &Sqlite, trials: &[Entry], from: &Path, json: bool) -> Result<()> {
    let taken = database.take(trials).map_err(TuneError::from)?;
    let of = trials.len();
    if json {
        return print_report(&Taken { taken, of });
    }
    let from = from.display();
    print(&match taken == of {
        true => format!("{} from {from}\n", count(taken, "trial")),
        false => format!(
            "{taken} of {} from {from}; the others were there already\n",
            count(of, "trial")
        ),
    })
}

fn prune(path: &Path, json: bool) -> Result<()> {
    let mut machines = vec![];
    for name in Machine::names() {
        machines.push((name.to_owned(), machine_hash(&Machine::builtin(name)?)));
    }
    // What is not there has nothing to remove.
    open(path, Access::Read)?;
    let removed = open(path, Access::Write)?.prune(env!("CARGO_PKG_VERSION"), &machines);
    let removed = removed.map_err(TuneError::from)?;
    match json {
        true => print_report(&Removed { removed }),
        false => print(&format!("{} removed\n", count(removed, "trial"))),
    }
}

fn verify(path: &Path, json: bool) -> Result<Ended> {
    let found = open(path, Access::Read)?
        .verify()
        .map_err(TuneError::from)?;
    let ok = found.is_empty();
    match (json, ok) {
        (true, _) => print_report(&Verified { ok, found })?,
        (false, true) => print(&format!("{}: all is well\n", path.display()))?,
        (false, false) => print(&(found.join("\n") + "\n"))?,
    }
    Ok(match ok {
        true => Ended::Well,
        false => Ended::CheckFailed,
    })
}

/// The text of a file of trials, which may be long, or the standard input.
fn text(file: &Path) -> Result<String> {
    let text = match is_stream(file) {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(file),
    };
    Ok(text.map_err(|e| Error::Read {
        path: file.into(),
        reason: e.to_string(),
        help: "name a file that `tilewright db export` wrote, or `-` for the standard input".into(),
    })?)
}

fn open(path: &Path, access: Access) -> Result<Sqlite> {
    Ok(Sqlite::open(path, access).map_err(TuneError::from)?)
}

fn list(database: &Sqlite, json: bool) -> Result<()> {
    let mut lines: IndexMap<_, Line> = IndexMap::new();
    for Entry { key, name, record } in database.entries("1", &[]).map_err(TuneError::from)? {
        let line = lines.entry(key.clone()).or_insert_with(|| Line {
            name,
            subject: key.subject,
            layer: key.layer,
            machine: key.machine,
            runner: key.runner,
            numerics: key.numerics,
            trials: 0,
            failed: 0,
            // The best comes first.
            best_us: record.median_us,
            schedule: record.schedule.clone(),
        });
        line.trials += 1;
        line.failed += usize::from(record.failure.is_some());
    }
    let lines: Vec<Line> = lines.into_values().collect();
    if json {
        return print_report(&Lines { subjects: lines });
    }
    let rows = lines.into_iter().map(|l| {
        [
            l.name,
            if l.layer { "layer" } else { "kernel" }.into(),
            l.machine,
            l.runner,
            l.trials.to_string(),
            l.failed.to_string(),
            us(l.best_us),
            own(&l.schedule),
        ]
    });
    let header = [
        "name", "is", "machine", "runner", "trials", "failed", "best us", "schedule",
    ];
    let mut table = Table::new(&header).right(&[4, 5, 6]);
    rows.for_each(|row| table.row(row));
    print(&table.text())
}

fn show(database: &Sqlite, name: &str, json: bool) -> Result<()> {
    let found = database.entries("name = ?1 OR subject LIKE ?1 || '%'", &[name]);
    let found = found.map_err(TuneError::from)?;
    if found.is_empty() {
        let all = database.entries("1", &[]).map_err(TuneError::from)?;
        let known: IndexSet<String> = all.into_iter().map(|e| e.name).collect();
        return Err(TuneError::from(DatabaseError::NotThere {
            path: database.path().into(),
            name: name.into(),
            known: known.into_iter().collect::<Vec<_>>().join(", "),
        })
        .into());
    }
    if json {
        return print_report(&Trials { trials: found });
    }
    let rows = found.into_iter().map(|Entry { key, record: r, .. }| {
        [
            key.runner,
            us(r.median_us),
            us(Some(r.spread_us)),
            r.repeats.to_string(),
            us(Some(r.predicted_us)),
            r.host,
            r.failure.unwrap_or_else(|| own(&r.schedule)),
        ]
    });
    let header = [
        "runner",
        "us",
        "spread us",
        "repeats",
        "predicted us",
        "host",
        "schedule, or why it failed",
    ];
    let mut table = Table::new(&header).right(&[1, 2, 3, 4]);
    rows.for_each(|row| table.row(row));
    print(&table.text())
}

fn own(schedule: &str) -> String {
    match schedule {
        "" => "(the search's own)".into(),
        pins => pins.into(),
    }
}

fn us(us: Option<f64>) -> String {
    us.map_or(String::new(), tables::us)
}
