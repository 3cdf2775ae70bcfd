//! Trials out of a database and into it, and what is wrong with one.

use super::sqlite::{Entry, Sqlite, insert, row_of};
use crate::tune_error::DatabaseError;
use std::path::Path;

/// Why a trial is none.
const NEITHER: &str = "neither a time nor a failure, or both";

/// All trials as one object.
#[derive(serde::Deserialize)]
struct Whole {
    trials: Vec<Entry>,
}

impl Sqlite {
    /// All trials, a line of JSON each.
    ///
    /// # Errors
    ///
    /// What is wrong with the file.
    pub fn export(&self) -> Result<String, DatabaseError> {
        let line = |e: &Entry| serde_json::to_string(e).unwrap_or_default() + "\n";
        Ok(self.entries("1", &[])?.iter().map(line).collect())
    }

    /// Trials from lines as [`Sqlite::export`] writes them, or from one object with `trials`; `path` names the file for messages.
    ///
    /// # Errors
    ///
    /// A line that is no trial.
    pub fn trials(path: &Path, text: &str) -> Result<Vec<Entry>, DatabaseError> {
        if let Ok(Whole { trials }) = serde_json::from_str(text) {
            let wrong = |e: &Entry| e.record.median_us.is_none() != e.record.failure.is_some();
            return match trials.iter().position(wrong) {
                Some(number) => Err(DatabaseError::Import {
                    path: path.to_owned(),
                    line: 1,
                    reason: format!("trial {} has {NEITHER}", number + 1),
                }),
                None => Ok(trials),
            };
        }
        let mut entries = vec![];
        for (number, line) in text
            .lines()
            .enumerate()
            .filter(|(_, l)| !l.trim().is_empty())
        {
            let wrong = |reason: String| DatabaseError::Import {
                path: path.to_owned(),
                line: number + 1,
                reason,
            };
            let entry: Entry = serde_json::from_str(line).map_err(|e| wrong(e.to_string()))?;
            if entry.record.median_us.is_none() != entry.record.failure.is_some() {
                return Err(wrong(format!("it has {NEITHER}")));
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    /// Takes the trials of another database.
    ///
    /// # Errors
    ///
    /// What is wrong with either file.
    pub fn merge(&self, other: &Sqlite) -> Result<usize, DatabaseError> {
        self.take(&other.entries("1", &[])?)
    }

    /// Takes trials, all or none; returns how many were new or better known.
    ///
    /// # Errors
    ///
    /// What is wrong with the database.
    pub fn take(&self, entries: &[Entry]) -> Result<usize, DatabaseError> {
        self.change(|c| {
            let mut taken = 0;
            for entry in entries {
                let of = row_of(c, &entry.key, &entry.name)?;
                taken += insert(c, of, &entry.record)?;
            }
            Ok(taken)
        })
    }

    /// Removes trials of other versions of tilewright, and those of other figures of a machine; returns how many.
    ///
    /// # Errors
    ///
    /// What is wrong with the file.
    pub fn prune(&self, tool: &str, machines: &[(String, String)]) -> Result<usize, DatabaseError> {
        self.change(|c| {
            let mut removed = c.execute(
                "DELETE FROM trials WHERE of IN (SELECT id FROM subjects WHERE tool != ?1)",
                [tool],
            )?;
            for (machine, hash) in machines {
                removed += c.execute(
                    "DELETE FROM trials WHERE of IN (SELECT id FROM subjects WHERE machine = ?1 AND machine_hash != ?2)",
                    [machine, hash],
                )?;
            }
            c.execute("DELETE FROM runs WHERE of NOT IN (SELECT of FROM trials)", [])?;
            c.execute("DELETE FROM subjects WHERE id NOT IN (SELECT of FROM trials)", [])?;
            Ok(removed)
        })
    }

    /// What is wrong with the file, a line each; nothing where all is well.
    ///
    /// # Errors
    ///
    /// A file that is so damaged that it cannot be looked at.
    pub fn verify(&self) -> Result<Vec<String>, DatabaseError> {
        let connection = self.connection();
        let read = |text: &str| -> rusqlite::Result<Vec<String>> {
            let mut statement = connection.prepare(text)?;
            let rows = statement.query_map([], |r| r.get::<_, String>(0))?;
            rows.collect()
        };
        let mut out = read("PRAGMA integrity_check").map_err(|e| self.failed(&e))?;
        out.retain(|line| line != "ok");
        let orphans = read(
            "SELECT 'a trial of nothing: ' || schedule FROM trials WHERE of NOT IN (SELECT id FROM subjects)",
        );
        out.extend(orphans.map_err(|e| self.failed(&e))?);
        let wrong = read(
            "SELECT 'a time that is none: ' || schedule FROM trials WHERE median_us <= 0 OR spread_us < 0",
        );
        out.extend(wrong.map_err(|e| self.failed(&e))?);
        Ok(out)
    }
}
