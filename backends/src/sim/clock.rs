//! When the pipes of one core are busy.
//!
//! One pass in program order: an instruction starts when its pipe is free and the scalar unit has dispatched it, and keeps
//! the pipe busy for the cycles of [`tilewright_ir::timing::cost`]. A flag is set when its source pipe is free; a wait holds its
//! destination pipe back until then. Dispatch itself costs nothing and queues have no end; only instructions of the scalar
//! unit and waits on it hold back what follows. A barrier costs nothing: a pipe runs one instruction after the other here.

use super::record::Moments;
use tilewright_ir::kernel::Pipe;
use tilewright_ir::timing::Cost;

const PIPES: usize = Pipe::ALL.len();

/// Cycles of one block so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct PipeTimes {
    ready: [f64; PIPES],
    busy: [f64; PIPES],
    first: [Option<f64>; PIPES],
    last: [f64; PIPES],
    dispatch: f64,
    pub gm_bytes: u64,
    pub link_bytes: u64,
    /// What ran when, if somebody wants to know.
    pub moments: Option<Box<Moments>>,
}

impl PipeTimes {
    /// Before anything has run, with or without notes of what will.
    pub fn start(record: bool) -> Self {
        PipeTimes {
            moments: record.then(Box::default),
            ..PipeTimes::default()
        }
    }

    /// Takes in the times of another core of the same block: of each pipe the busier one counts.
    pub fn beside(&mut self, other: &PipeTimes) {
        for p in 0..PIPES {
            if other.busy[p] > self.busy[p] || self.first[p].is_none() {
                self.busy[p] = other.busy[p];
                self.first[p] = other.first[p];
                self.last[p] = other.last[p];
            }
            self.ready[p] = self.ready[p].max(other.ready[p]);
        }
        self.dispatch = self.dispatch.max(other.dispatch);
        self.gm_bytes += other.gm_bytes;
        self.link_bytes += other.link_bytes;
        if let (Some(mine), Some(theirs)) = (&mut self.moments, &other.moments) {
            mine.runs.extend(&theirs.runs);
            mine.flags.extend(&theirs.flags);
        }
    }

    /// When what the pipe has been given is finished.
    pub fn ready(&self, pipe: Pipe) -> f64 {
        self.ready[pipe as usize].max(self.dispatch)
    }

    pub fn wait(&mut self, pipe: Pipe, until: f64) {
        let ready = self.ready(pipe).max(until);
        self.ready[pipe as usize] = ready;
        if pipe == Pipe::S {
            self.dispatch = ready;
        }
    }

    /// Runs an instruction, and returns when it started.
    pub fn run(&mut self, cost: &Cost) -> f64 {
        let start = self.ready(cost.pipe);
        let p = cost.pipe as usize;
        self.first[p].get_or_insert(start);
        self.ready[p] = start + cost.cycles;
        self.last[p] = self.ready[p];
        self.busy[p] += cost.cycles;
        self.gm_bytes += cost.gm_bytes;
        self.link_bytes += cost.link_bytes;
        if cost.pipe == Pipe::S {
            self.dispatch = self.ready[p];
        }
        start
    }

    /// Cycles from the first dispatch to the end of the last instruction.
    pub fn end(&self) -> f64 {
        self.ready.iter().copied().fold(self.dispatch, f64::max)
    }

    /// Busy cycles of a pipe; `None` if it ran nothing.
    pub fn busy(&self, pipe: Pipe) -> Option<f64> {
        self.first[pipe as usize].map(|_| self.busy[pipe as usize])
    }

    /// Cycles from a pipe's first start to its last end, without the fill before and the drain after.
    pub fn span(&self, pipe: Pipe) -> f64 {
        let p = pipe as usize;
        self.first[p].map_or(0.0, |first| self.last[p] - first)
    }
}
