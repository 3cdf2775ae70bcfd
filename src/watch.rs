//! What is being done while it is: told by the same spans and events that `times` adds up.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How far something is, as an event with the field `progress` says it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// What is counted: `kernels`.
    pub counted: String,
    /// How many are done.
    pub done: u64,
    /// How many there are, where that is known.
    pub of: Option<u64>,
    /// The time of the best that was found so far.
    pub best_us: Option<f64>,
}

/// Who wants to know what is being done while it is. Each thread tells of its own steps.
pub trait Watch: fmt::Debug + Send + Sync {
    /// A step has begun.
    fn begun(&self, step: &str);
    /// The step that this thread began last is over.
    fn ended(&self);
    /// A step has come further.
    fn moved(&self, progress: Progress);
}

/// Counts work that threads do side by side, for who watches.
#[derive(Debug)]
pub struct Counter {
    counted: &'static str,
    done: AtomicUsize,
    of: usize,
}

impl Counter {
    /// Counts to `of`; what is counted is named for people.
    pub fn new(counted: &'static str, of: usize) -> Self {
        Counter {
            counted,
            done: AtomicUsize::new(0),
            of,
        }
    }

    /// One more is done: what was made, as it is.
    pub fn one<T>(&self, made: T) -> T {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::debug!(progress = self.counted, done, of = self.of);
        made
    }
}
