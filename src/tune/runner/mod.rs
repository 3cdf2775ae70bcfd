//! What measures a trial.
//!
//! A runner gets a program that is ready to run, and gives back times, or says why there are none. To add one, implement [`Runner`].

mod backend;
mod command;
mod job;
mod simulated;

pub use backend::OnBackend;
pub use command::{Command, Limits};
pub use job::{JOB, OUTPUTS, Outcome, RESULT, run_job};
pub use simulated::Simulated;

use std::fmt;
use tilewright_backends::data::{Tensors, Tolerance, compare};
use tilewright_ir::kernel::{Program, Role};
use tilewright_ir::machine::Machine;

/// One program to measure.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// The kernel or layer that it is.
    pub name: &'a str,
    /// What is measured.
    pub program: &'a Program,
    /// Equal for equal programs.
    pub hash: &'a str,
    /// What it is for.
    pub machine: &'a Machine,
    /// Absent for a runner that computes nothing.
    pub data: Option<&'a TrialData>,
}

/// What a program computes on, and what it should come to.
#[derive(Debug, Clone, Default)]
pub struct TrialData {
    /// Inputs by name.
    pub inputs: Tensors,
    /// What outputs should be, by name.
    pub expected: Tensors,
}

/// Times of a trial in us, one a repeat, and where they were measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Times {
    /// All times, in us.
    pub us: Vec<f64>,
    /// The machine that measured.
    pub host: String,
}

/// Why a trial has no times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It computed something else than the interpreter.
    Wrong(String),
    /// The runner does not run such a program.
    Refused(String),
    /// It did not end in time.
    TimedOut(String),
    /// It ended with an error, or its result is none.
    Broken(String),
    /// So many trials broke that this runner is not asked any more.
    Quarantined(String),
}

impl Failure {
    /// Whether the program is at fault, so that another try comes to the same.
    pub fn is_of_program(&self) -> bool {
        matches!(self, Failure::Wrong(_) | Failure::Refused(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, why) = match self {
            Failure::Wrong(why) => ("wrong", why),
            Failure::Refused(why) => ("refused", why),
            Failure::TimedOut(why) => ("timed out", why),
            Failure::Broken(why) => ("broken", why),
            Failure::Quarantined(why) => ("quarantined", why),
        };
        write!(f, "{word}: {why}")
    }
}

/// Measures trials.
pub trait Runner: Sync {
    /// What tells its results from those of other runners, in the database.
    fn identity(&self) -> String;
    /// Whether two measurements of one program can differ.
    fn is_noisy(&self) -> bool;
    /// Whether trials need data.
    fn computes(&self) -> bool;
    /// How to find out why it fails.
    fn remedy(&self) -> &'static str {
        "`tilewright run` with the same options and `--on` says more"
    }
    /// Trials that it can measure side by side.
    fn lanes(&self) -> usize {
        1
    }
    /// Measures a program so many times, and compares what it computes.
    ///
    /// # Errors
    ///
    /// Why there are no times.
    fn measure(&self, trial: &Trial, repeats: usize) -> Result<Times, Failure>;
}

/// Whether outputs are what is expected.
pub(super) fn right(program: &Program, expected: &Tensors, found: &Tensors) -> Result<(), Failure> {
    let outputs = program
        .tensors
        .iter()
        .filter(|(_, t)| t.role == Role::Output);
    for (name, _) in outputs {
        // What the layer has no name for is nobody's output.
        let Some(want) = expected.get(name) else {
            continue;
        };
        let Some(got) = found.get(name) else {
            return Err(Failure::Broken(format!("there is no output `{name}`")));
        };
        let tolerance = Tolerance::of(want.dtype);
        let said = compare(name, "reference", got, want, &tolerance);
        let said = said.map_err(|e| Failure::Wrong(e.to_string()))?;
        if !said.ok {
            return Err(Failure::Wrong(format!(
                "`{name}` differs from the interpreter's in {} of {} elements",
                said.mismatched, said.elements
            )));
        }
    }
    Ok(())
}

/// The name of this machine.
pub(super) fn this_host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".into(),
        name => name.into(),
    }
}
