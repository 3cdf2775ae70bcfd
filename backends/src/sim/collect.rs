//! Going on after a fault.
//!
//! [`super::run`] stops at the first fault. [`super::check`] wants them all, but only those that are there on their own: after
//! each, a block goes on as if its remedy had been applied. An order that is missing is assumed from then on, a read of what was
//! never written sees zeros, a flag that is set twice holds the second set. What cannot go on, a wait that nothing answers or an
//! index out of range, ends its kernel; what that kernel stores counts as written for those after it.

use super::error::{Fault, SimError, Statement};
use super::prepared::{Action, Prepared};
use indexmap::IndexMap;

/// What [`super::check`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// Each fault once, in the order in which they were met, and in how many blocks and trips.
    pub faults: Vec<(SimError, u64)>,
    /// Statements that ran in no block on these inputs, so that nothing is known of them, by kernel.
    pub unreached: Vec<(String, Statement)>,
}

/// How a block goes on after a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The same instruction again, with one more order known.
    Assume,
    /// The same instruction again, without looking at what bytes hold and which block they belong to.
    Tolerate,
    /// The flag is set all the same.
    Force,
    /// Not at all.
    Stop,
}

impl Next {
    pub fn after(fault: &Fault) -> Next {
        match fault {
            Fault::Hazard { .. } => Next::Assume,
            Fault::Uninitialised { .. }
            | Fault::UninitialisedGlobal { .. }
            | Fault::Clobbered { .. }
            | Fault::BlockRace { .. }
            | Fault::SharedLine { .. } => Next::Tolerate,
            Fault::DoubleSet { .. } | Fault::UnorderedSet { .. } | Fault::CrossOverflow { .. } => {
                Next::Force
            }
            _ => Next::Stop,
        }
    }
}

/// The faults of a run: each kind at each place once, and how often it was met.
#[derive(Debug, Default)]
pub(super) struct Faults {
    found: IndexMap<String, (SimError, u64)>,
    /// Of the running kernel: the steps that some block has come to.
    pub reached: Vec<bool>,
    /// Statements that no block has come to, by kernel.
    unreached: Vec<(String, Statement)>,
}

impl Faults {
    pub fn push(&mut self, error: SimError) {
        let key = key(&error);
        self.found
            .entry(key)
            .and_modify(|(_, n)| *n += 1)
            .or_insert((error, 1));
    }

    pub fn begin_kernel(&mut self, prepared: &Prepared) {
        self.reached = vec![false; prepared.steps.len()];
    }

    pub fn end_kernel(&mut self, prepared: &Prepared) {
        for (step, reached) in self.reached.iter().enumerate() {
            if !reached && !matches!(prepared.steps[step].action, Action::Condition) {
                let kernel = prepared.kernel.name.clone();
                self.unreached.push((kernel, prepared.describe(step)));
            }
        }
    }

    pub fn into_checked(self) -> Checked {
        Checked {
            faults: self.found.into_values().collect(),
            unreached: self.unreached,
        }
    }
}

/// What tells faults apart: the same in another block or trip is the same.
fn key(error: &SimError) -> String {
    let (kernel, path) = match &error.site {
        Some(site) => {
            let path = site.statement.as_ref().map_or("", |s| s.path.as_str());
            (site.kernel.as_str(), path)
        }
        None => ("", ""),
    };
    let what = match &*error.fault {
        Fault::Hazard {
            conflict, first, ..
        } => format!("{path} {} {}", conflict.text(), first.path),
        Fault::Clobbered { tile, by_tile, .. } => format!("{tile} {by_tile}"),
        Fault::Uninitialised { tile, .. } => tile.clone(),
        Fault::UninitialisedGlobal { tensor, .. } | Fault::SharedLine { tensor, .. } => {
            format!("{path} {tensor}")
        }
        Fault::BlockRace {
            conflict, tensor, ..
        } => format!("{path} {} {tensor}", conflict.text()),
        Fault::DoubleSet { first, .. } => format!("{path} {}", first.path),
        Fault::UnorderedSet { wait, .. } => format!("{path} {}", wait.path),
        other => format!("{path} {other}"),
    };
    format!("{kernel} {} {what}", error.fault.code())
}
