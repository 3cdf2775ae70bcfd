//! Trials in a file of SQLite: several processes write to it at once, and what was written survives their end.

use super::{Database, Finished, Key, Record};
use crate::tune_error::DatabaseError;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, params};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The variable that names the file; empty, there is none.
pub const VARIABLE: &str = "TILEWRIGHT_DB";
/// The format of the file. Older ones are brought up to it.
const FORMAT: i64 = 1;
/// "tile", so that a database of something else is not taken for ours.
const APPLICATION: i64 = 0x7469_6c65;
/// How long another process is waited for.
const BUSY: Duration = Duration::from_secs(10);

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS subjects (
  id INTEGER PRIMARY KEY,
  subject TEXT NOT NULL, layer INTEGER NOT NULL, machine TEXT NOT NULL, machine_hash TEXT NOT NULL,
  runner TEXT NOT NULL, numerics TEXT NOT NULL, tool TEXT NOT NULL, name TEXT NOT NULL,
  UNIQUE (subject, layer, machine, machine_hash, runner, numerics, tool)
);
CREATE TABLE IF NOT EXISTS trials (
  of INTEGER NOT NULL REFERENCES subjects (id),
  schedule TEXT NOT NULL, program TEXT NOT NULL, median_us REAL, spread_us REAL NOT NULL, repeats INTEGER NOT NULL,
  predicted_us REAL NOT NULL, host TEXT NOT NULL, failure TEXT, verified INTEGER NOT NULL,
  at INTEGER NOT NULL DEFAULT (unixepoch()),
  PRIMARY KEY (of, schedule),
  CHECK ((median_us IS NULL) = (failure IS NOT NULL))
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (
  of INTEGER NOT NULL REFERENCES subjects (id),
  asked TEXT NOT NULL, report TEXT NOT NULL,
  PRIMARY KEY (of, asked)
) WITHOUT ROWID;
";

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It has to be there, and nothing is written.
    Read,
    /// It is made where there is none.
    Write,
}

/// A trial with what it is of.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Entry {
    /// What it is a trial of.
    #[serde(flatten)]
    pub key: Key,
    /// The kernel's or layer's name.
    pub name: String,
    /// What came of it.
    #[serde(flatten)]
    pub record: Record,
}

/// An open file.
#[derive(Debug)]
pub struct Sqlite {
    pub(super) path: PathBuf,
    connection: Mutex<Connection>,
}

/// The file that is meant: what an option says, or the variable, or one in the user's folder for data. None where the variable is
/// empty, and where there is no such folder.
pub fn place(option: Option<&Path>, variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    if let Some(path) = option {
        return Some(path.to_owned());
    }
    if let Some(path) = variable(VARIABLE) {
        return (!path.is_empty()).then(|| path.into());
    }
    let given = |name: &str| variable(name).filter(|v| !v.is_empty());
    let folder = match given("XDG_DATA_HOME") {
        Some(folder) => PathBuf::from(folder),
        None if cfg!(windows) => PathBuf::from(given("LOCALAPPDATA")?),
        None => PathBuf::from(given("HOME")?).join(".local/share"),
    };
    Some(folder.join("tilewright").join("tuned.sqlite"))
}

impl Sqlite {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// A file that is not there, is damaged, is something else, is of a newer tilewright, is held by another process, or may not be
    /// written to.
    pub fn open(path: &Path, access: Access) -> Result<Self, DatabaseError> {
        let missing = || DatabaseError::Missing {
            path: path.to_owned(),
        };
        if path.is_dir() {
            return Err(DatabaseError::Open {
                path: path.to_owned(),
                reason: "it is a folder".into(),
            });
        }
        let flags = match access {
            Access::Read if !path.exists() => return Err(missing()),
            Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Access::Write => {
                if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
                    std::fs::create_dir_all(folder).map_err(|e| DatabaseError::Open {
                        path: path.to_owned(),
                        reason: e.to_string(),
                    })?;
                }
                OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
            }
        };
        let failed = |e: rusqlite::Error| failure(path, &e);
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        // In one statement, so that no process makes the tables in between.
        let head = "SELECT user_version, application_id, (SELECT count(*) FROM sqlite_schema) \
                    FROM pragma_user_version, pragma_application_id";
        let (format, application, tables): (i64, i64, i64) = connection
            .query_row(head, [], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
            .map_err(failed)?;
        if application != APPLICATION && tables > 0 {
            return Err(DatabaseError::Foreign {
                path: path.to_owned(),
            });
        }
        if format > FORMAT {
            return Err(DatabaseError::Newer {
                path: path.to_owned(),
                found: format,
                known: FORMAT,
            });
        }
        if access == Access::Read && tables == 0 {
            return Err(missing());
        }
        if access == Access::Write {
            // A crash of the process loses nothing in this mode; one of the machine at most the last trials.
            write_ahead(&connection).map_err(failed)?;
            connection
                .execute_batch("PRAGMA synchronous = NORMAL")
                .map_err(failed)?;
            if format < FORMAT {
                let make = format!(
                    "BEGIN IMMEDIATE; {SCHEMA} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT}; COMMIT;"
                );
                connection.execute_batch(&make).map_err(failed)?;
            }
        }
        Ok(Sqlite {
            path: path.to_owned(),
            connection: Mutex::new(connection),
        })
    }

    /// The file of the database.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn failed(&self, error: &rusqlite::Error) -> DatabaseError {
        failure(&self.path, error)
    }

    /// All trials that a condition on their columns holds for, the best of each key first.
    ///
    /// # Errors
    ///
    /// What is wrong with the file.
    pub fn entries(&self, condition: &str, given: &[&str]) -> Result<Vec<Entry>, DatabaseError> {
        let text = format!(
            "SELECT subject, layer, machine, machine_hash, runner, numerics, tool, name, schedule, program, median_us, spread_us, \
             repeats, predicted_us, host, failure, verified FROM subjects JOIN trials ON of = id WHERE {condition} \
             ORDER BY name, subject, machine, machine_hash, runner, numerics, tool, median_us IS NULL, median_us, schedule"
        );
        let connection = self.connection();
        let read = || -> rusqlite::Result<Vec<Entry>> {
            let mut statement = connection.prepare_cached(&text)?;
            let rows = statement.query_map(rusqlite::params_from_iter(given), entry)?;
            rows.collect()
        };
        read().map_err(|e| self.failed(&e))
    }

    /// Runs a change of the file, whole or not at all.
    pub(super) fn change<A>(
        &self,
        change: impl FnOnce(&Connection) -> rusqlite::Result<A>,
    ) -> Result<A, DatabaseError> {
        let mut connection = self.connection();
        let run = || -> rusqlite::Result<A> {
            let kind = rusqlite::TransactionBehavior::Immediate;
            let transaction = connection.transaction_with_behavior(kind)?;
            let out = change(&transaction)?;
            transaction.commit()?;
            Ok(out)
        };
        // The closure runs once: a busy file is waited for by the library.
        run().map_err(|e| self.failed(&e))
    }
}

/// The row of a key, which is made where there is none.
pub(super) fn row_of(connection: &Connection, key: &Key, name: &str) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO subjects (subject, layer, machine, machine_hash, runner, numerics, tool, name) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            key.subject,
            key.layer,
            key.machine,
            key.machine_hash,
            key.runner,
            key.numerics,
            key.tool,
            name
        ])?;
    found(connection, key)
}

fn found(connection: &Connection, key: &Key) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "SELECT id FROM subjects WHERE subject = ?1 AND layer = ?2 AND machine = ?3 AND machine_hash = ?4 AND runner = ?5 \
             AND numerics = ?6 AND tool = ?7",
        )?
        .query_row(
            params![
                key.subject,
                key.layer,
                key.machine,
                key.machine_hash,
                key.runner,
                key.numerics,
                key.tool
            ],
            |r| r.get(0),
        )
}

/// Adds a trial. Of a schedule that is there, the one with more repeats stays; a success comes before a failure of the runner. What is there
/// already is not counted.
pub(super) fn insert(connection: &Connection, of: i64, r: &Record) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "INSERT INTO trials (of, schedule, program, median_us, spread_us, repeats, predicted_us, host, failure, verified) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (of, schedule) DO UPDATE SET \
             program = excluded.program, median_us = excluded.median_us, spread_us = excluded.spread_us, \
             repeats = excluded.repeats, predicted_us = excluded.predicted_us, host = excluded.host, \
             failure = excluded.failure, verified = excluded.verified \
             WHERE (trials.median_us IS NULL OR excluded.repeats >= trials.repeats OR excluded.failure LIKE 'wrong%') \
             AND (trials.program, trials.median_us, trials.spread_us, trials.repeats, trials.predicted_us, trials.host, \
             trials.failure, trials.verified) IS NOT (excluded.program, excluded.median_us, excluded.spread_us, \
             excluded.repeats, excluded.predicted_us, excluded.host, excluded.failure, excluded.verified)",
        )?
        .execute(params![
            of,
            r.schedule,
            r.program,
            r.median_us,
            r.spread_us,
            r.repeats as i64,
            r.predicted_us,
            r.host,
            r.failure,
            r.verified
        ])
}

fn entry(row: &Row) -> rusqlite::Result<Entry> {
    Ok(Entry {
        key: Key {
            subject: row.get(0)?,
            layer: row.get(1)?,
            machine: row.get(2)?,
            machine_hash: row.get(3)?,
            runner: row.get(4)?,
            numerics: row.get(5)?,
            tool: row.get(6)?,
        },
        name: row.get(7)?,
        record: Record {
            schedule: row.get(8)?,
            program: row.get(9)?,
            median_us: row.get(10)?,
            spread_us: row.get(11)?,
            repeats: row.get::<_, i64>(12)?.max(0) as usize,
            predicted_us: row.get(13)?,
            host: row.get(14)?,
            failure: row.get(15)?,
            verified: row.get(16)?,
        },
    })
}

/// Sets the mode in which readers and a writer do not wait for each other. SQLite does not wait for another process that is just
/// doing the same, so that is done here.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let start = Instant::now();
    loop {
        let set = connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()));
        let busy = set
            .as_ref()
            .err()
            .and_then(rusqlite::Error::sqlite_error_code);
        if busy != Some(ErrorCode::DatabaseBusy) || start.elapsed() > BUSY {
            return set;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What an error of the library means.
fn failure(path: &Path, error: &rusqlite::Error) -> DatabaseError {
    let (path, reason) = (path.to_owned(), error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            DatabaseError::Corrupt { path, reason }
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => DatabaseError::Locked {
            path,
            seconds: BUSY.as_secs(),
        },
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            DatabaseError::ReadOnly { path, reason }
        }
        Some(ErrorCode::DiskFull) => DatabaseError::Full { path, reason },
        Some(ErrorCode::CannotOpen) => DatabaseError::Open { path, reason },
        _ => DatabaseError::Failed { path, reason },
    }
}

impl Database for Sqlite {
    fn known(&self, key: &Key) -> Result<Vec<Record>, DatabaseError> {
        let layer = if key.layer { "1" } else { "0" };
        let found = self.entries(
            "subject = ?1 AND layer = ?2 + 0 AND machine = ?3 AND machine_hash = ?4 AND runner = ?5 AND numerics = ?6 AND tool = ?7",
            &[
                &key.subject,
                layer,
                &key.machine,
                &key.machine_hash,
                &key.runner,
                &key.numerics,
                &key.tool,
            ],
        )?;
        Ok(found.into_iter().map(|e| e.record).collect())
    }

    fn add(&self, key: &Key, name: &str, record: &Record) -> Result<(), DatabaseError> {
        self.change(|c| {
            let of = row_of(c, key, name)?;
            insert(c, of, record).map(|_| ())
        })
    }

    fn finished(&self, key: &Key, asked: &str) -> Result<Option<Finished>, DatabaseError> {
        let connection = self.connection();
        let read = || -> rusqlite::Result<Finished> {
            let of = found(&connection, key)?;
            connection.query_row(
                "SELECT report FROM runs WHERE of = ?1 AND asked = ?2",
                params![of, asked],
                |r| {
                    Ok(Finished {
                        asked: asked.into(),
                        report: r.get(0)?,
                    })
                },
            )
        };
        match read() {
            Ok(run) => Ok(Some(run)),
            Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
            Err(e) => Err(self.failed(&e)),
        }
    }

    fn finish(&self, key: &Key, run: &Finished) -> Result<(), DatabaseError> {
        self.change(|c| {
            let of = row_of(c, key, "")?;
            let text = "INSERT OR REPLACE INTO runs (of, asked, report) VALUES (?1, ?2, ?3)";
            c.execute(text, params![of, run.asked, run.report])
                .map(|_| ())
        })
    }
}
