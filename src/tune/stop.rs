//! When tuning ends: what it may spend, and a signal.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Asks all tuning of this process to end.
pub fn ask() {
    ASKED.store(true, Ordering::SeqCst);
}

/// Whether somebody asked.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// What tuning may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// Trials of each distinct kernel, those that a database knows among them.
    pub trials: usize,
    /// Of everything together.
    pub time: Option<Duration>,
    /// When the time began to count.
    pub start: Instant,
}

/// Why tuning ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Nothing better came for a while.
    Converged,
    /// Everything was tried.
    Exhausted,
    /// All trials were made.
    Trials,
    /// The time was over.
    Time,
    /// The process was asked to end.
    Interrupted,
    /// The runner failed too often.
    Quarantined,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ended::Converged => "converged",
            Ended::Exhausted => "exhausted",
            Ended::Trials => "trials",
            Ended::Time => "time",
            Ended::Interrupted => "interrupted",
            Ended::Quarantined => "quarantined",
        })
    }
}

impl Ended {
    /// Whether there is nothing to go on with.
    pub fn is_over(self) -> bool {
        matches!(self, Ended::Converged | Ended::Exhausted | Ended::Trials)
    }
}

impl Budget {
    /// So many trials, in so much time if there is a limit; the time runs from now.
    pub fn new(trials: usize, time: Option<Duration>) -> Self {
        Budget {
            trials,
            time,
            start: Instant::now(),
        }
    }

    /// Why to end now, if there is a reason besides trials.
    pub fn over(&self) -> Option<Ended> {
        if asked() {
            return Some(Ended::Interrupted);
        }
        let late = |limit: Duration| self.start.elapsed() >= limit;
        self.time.is_some_and(late).then_some(Ended::Time)
    }
}
