//! What goes wrong between ranks.

use super::super::error::Conflict;
use serde::Serialize;
use std::fmt;
use thiserror::Error;

/// An instruction of some block of some rank, in some layer run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Actor {
    pub rank: usize,
    /// The layer run, from 1.
    pub epoch: usize,
    pub kernel: String,
    pub block: usize,
    /// Path and text of the instruction.
    pub instruction: String,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "rank {}, layer run {}, kernel `{}`, block {}, {}",
            self.rank, self.epoch, self.kernel, self.block, self.instruction
        )
    }
}

/// One element of the window of a rank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Element {
    pub window: String,
    pub rank: usize,
    pub row: usize,
    pub col: usize,
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "element ({}, {}) of window `{}` of rank {}",
            self.row, self.col, self.window, self.rank
        )
    }
}

/// A block that waits for a counter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    pub actor: Actor,
    pub counter: Element,
    pub at_least: i64,
    /// What the counter is.
    pub value: i64,
    /// Who changed it last.
    pub last: Option<Actor>,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} waits until {} is at least {}; it is {}",
            self.actor, self.counter, self.at_least, self.value
        )?;
        match &self.last {
            Some(actor) => write!(f, " since {actor}"),
            None => f.write_str(", and nobody has notified it"),
        }
    }
}

/// What went wrong between ranks, or between blocks by way of windows.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum RankFault {
    #[error("{} of {element} is ordered by no wait: {first}, then here", words(*conflict))]
    Race {
        conflict: Conflict,
        element: Element,
        first: Box<Actor>,
    },
    #[error(
        "reads {element}, which nobody has written in layer run {epoch}: {}",
        last(written)
    )]
    NotArrived {
        element: Element,
        epoch: usize,
        /// The last write, if there ever was one.
        written: Option<Box<Actor>>,
    },
    #[error("notifies {counter} while {pending} may still run")]
    Undrained {
        counter: Element,
        /// Path and text of the transfer.
        pending: String,
        pipe: &'static str,
    },
    #[error("sets {counter}, which {other} changes as well, and nothing orders the two")]
    LostNotification { counter: Element, other: Box<Actor> },
    #[error(
        "writes the line of {line} bytes with {element}, which {other} writes as well, and nothing orders the two"
    )]
    SharedLine {
        element: Element,
        line: usize,
        other: Box<Actor>,
    },
    #[error("{element} is a counter, but is stored to")]
    CounterStore { element: Element },
    #[error("deadlock between ranks: {}", list(waits))]
    Deadlock { waits: Vec<Waiting> },
    #[error("rank {peer} is named as a peer, but there are {ranks} ranks")]
    Peer { peer: i64, ranks: usize },
}

fn words(conflict: Conflict) -> &'static str {
    match conflict {
        Conflict::ReadAfterWrite => "a read after a write",
        Conflict::WriteAfterRead => "a write after a read",
        Conflict::WriteAfterWrite => "a write after a write",
    }
}

fn last(written: &Option<Box<Actor>>) -> String {
    match written {
        Some(actor) => format!("the last write is of {actor}"),
        None => "it was never written".into(),
    }
}

fn list(waits: &[Waiting]) -> String {
    let waits: Vec<_> = waits.iter().map(Waiting::to_string).collect();
    waits.join("; ")
}

impl RankFault {
    /// The stable code of this kind of fault.
    pub fn code(&self) -> &'static str {
        match self {
            RankFault::Race { .. } => "tilewright::sim::window_race",
            RankFault::NotArrived { .. } => "tilewright::sim::not_arrived",
            RankFault::Undrained { .. } => "tilewright::sim::undrained",
            RankFault::LostNotification { .. } => "tilewright::sim::lost_notification",
            RankFault::SharedLine { .. } => "tilewright::sim::shared_window_line",
            RankFault::CounterStore { .. } => "tilewright::sim::counter_store",
            RankFault::Deadlock { .. } => "tilewright::sim::rank_deadlock",
            RankFault::Peer { .. } => "tilewright::sim::peer",
        }
    }

    /// What removes the fault.
    pub fn remedy(&self) -> String {
        match self {
            RankFault::Race {
                conflict: Conflict::ReadAfterWrite,
                first,
                ..
            } => format!(
                "let rank {} notify after that write, and wait here for a value that only this layer run's notification reaches: `epoch`, not a constant",
                first.rank
            ),
            RankFault::Race {
                conflict: Conflict::WriteAfterRead,
                first,
                ..
            } => format!(
                "let rank {} notify when it has read, and wait for that before the write; or use windows in turn",
                first.rank
            ),
            RankFault::Race { .. } => {
                "give each writer rows of its own, or order the two by a notification and a wait"
                    .into()
            }
            RankFault::NotArrived { .. } => {
                "wait for the notification that follows the write, and read no more than was sent"
                    .into()
            }
            RankFault::Undrained { pipe, .. } => format!(
                "set_flag({pipe}, S) after it and wait_flag({pipe}, S) before the notification: run the synchronise pass"
            ),
            RankFault::LostNotification { .. } => {
                "add instead of setting, or give each of them a counter of its own".into()
            }
            RankFault::SharedLine { .. } => {
                "keep what different blocks or ranks write by scalar stores in lines of their own"
                    .into()
            }
            RankFault::CounterStore { .. } => "change counters by notifications only".into(),
            RankFault::Deadlock { .. } => {
                "let somebody notify each of these counters often enough, before it waits itself"
                    .into()
            }
            RankFault::Peer { ranks, .. } => format!("name a rank below {ranks}"),
        }
    }
}
