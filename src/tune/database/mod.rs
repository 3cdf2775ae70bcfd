//! What was measured, for ever: trials by what they are of.
//!
//! [`Database`] is what tuning asks. [`Sqlite`] keeps it in a file that several processes use at once; [`Memory`] forgets.

mod sqlite;
mod transfer;

pub use sqlite::{Access, Entry, Sqlite, VARIABLE, place};

use crate::tune_error::DatabaseError;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// What a trial is of. Trials with equal keys can be compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The hash of a kernel, or of a layer, and of its sizes, whatever names it has.
    pub subject: String,
    /// Whether that is a layer.
    pub layer: bool,
    /// The machine's name.
    pub machine: String,
    /// Of all figures of the machine.
    pub machine_hash: String,
    /// What measures, with all that its times depend on.
    pub runner: String,
    /// The numerics policy, and rules that do not run or run besides.
    pub numerics: String,
    /// The version of tilewright.
    pub tool: String,
}

/// A trial that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Pins: of a kernel without its name, of a layer with those of its kernels.
    pub schedule: String,
    /// The hash of the kernels.
    pub program: String,
    /// None where the trial failed.
    pub median_us: Option<f64>,
    /// The median of how far repeats are from the median.
    pub spread_us: f64,
    /// How often it was measured.
    pub repeats: usize,
    /// By the cost model.
    pub predicted_us: f64,
    /// The machine that measured.
    pub host: String,
    /// Why there is no time.
    pub failure: Option<String>,
    /// Whether its values were compared with the interpreter's.
    pub verified: bool,
}

/// A tuning run that has come to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// Effort, seed and trials: what was asked for.
    pub asked: String,
    /// What came of it, as the run's report has it.
    pub report: String,
}

/// Where trials are kept.
pub trait Database: Sync {
    /// All trials of a key.
    ///
    /// # Errors
    ///
    /// What is wrong with the place.
    fn known(&self, key: &Key) -> Result<Vec<Record>, DatabaseError>;
    /// Keeps a trial. When this returns, it survives whatever happens to the process.
    ///
    /// # Errors
    ///
    /// As [`Database::known`].
    fn add(&self, key: &Key, name: &str, record: &Record) -> Result<(), DatabaseError>;
    /// What became of a run that was asked for in these words.
    ///
    /// # Errors
    ///
    /// As [`Database::known`].
    fn finished(&self, key: &Key, asked: &str) -> Result<Option<Finished>, DatabaseError>;
    /// Keeps that a run is over.
    ///
    /// # Errors
    ///
    /// As [`Database::known`].
    fn finish(&self, key: &Key, run: &Finished) -> Result<(), DatabaseError>;
}

/// Forgets everything at the end.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<Key, Vec<Record>>>);

impl Database for Memory {
    fn known(&self, key: &Key) -> Result<Vec<Record>, DatabaseError> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(all.get(key).cloned().unwrap_or_default())
    }

    fn add(&self, key: &Key, _: &str, record: &Record) -> Result<(), DatabaseError> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let records = all.entry(key.clone()).or_default();
        records.retain(|r| r.schedule != record.schedule);
        records.push(record.clone());
        Ok(())
    }

    fn finished(&self, _: &Key, _: &str) -> Result<Option<Finished>, DatabaseError> {
        Ok(None)
    }

    fn finish(&self, _: &Key, _: &Finished) -> Result<(), DatabaseError> {
        Ok(())
    }
}
