//! What a kernel's blocks do when, for views of a run: kept only where [`super::Options::record`] asks for it.
//!
//! Instructions are kept of one block, the slowest, which stands for the others: they differ in coordinates, and by their
//! valid rows. Its times are those of the block alone on the machine; what sharing global memory adds shows in the spans of
//! blocks.

use super::clock::PipeTimes;
use super::error::Statement;
use super::hazards::Lane;
use super::prepared::Prepared;
use super::ranks::BlockSpan;
use serde::Serialize;

/// A kernel's blocks in time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// By number, in microseconds from the launch of the kernel.
    pub blocks: Vec<BlockSpan>,
    /// The number of the block whose instructions these are, and its coordinates.
    pub block: usize,
    pub grid: Vec<String>,
    /// Statements of the kernel, as `step` numbers them.
    pub statements: Vec<Statement>,
    /// In the order in which the scalar units dispatch them, a core after the other.
    pub runs: Vec<PipeSpan>,
    pub flags: Vec<FlagSpan>,
}

/// An instruction on its pipe, in cycles from the start of the block.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PipeSpan {
    #[serde(flatten)]
    pub lane: Lane,
    pub step: usize,
    pub start: f64,
    pub cycles: f64,
    /// Bytes from and to global memory.
    pub gm_bytes: u64,
}

/// A flag from the pipe that sets it to the one that waits for it, in cycles from the start of the block.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FlagSpan {
    /// The wait.
    pub step: usize,
    pub from: Lane,
    pub to: Lane,
    pub set: f64,
    /// When the waiting pipe can go on.
    pub until: f64,
}

impl PipeSpan {
    /// When it is over, in cycles.
    pub fn end(&self) -> f64 {
        self.start + self.cycles
    }
}

/// What one block did so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Moments {
    pub runs: Vec<PipeSpan>,
    pub flags: Vec<FlagSpan>,
}

/// What the slowest block so far did, the first of several; what others did is forgotten as soon as they are over.
#[derive(Default)]
pub(super) struct Slowest {
    block: usize,
    end: f64,
    moments: Option<Box<Moments>>,
}

impl Slowest {
    /// Takes from a block what it did.
    pub fn watch(&mut self, block: usize, times: &mut PipeTimes) {
        let Some(moments) = times.moments.take() else {
            return;
        };
        let end = times.end();
        if self.moments.is_none() || end > self.end {
            *self = Slowest {
                block,
                end,
                moments: Some(moments),
            };
        }
    }

    /// The slowest block, and what is to be given back to it.
    pub fn end(self) -> Option<(usize, Box<Moments>)> {
        Some((self.block, self.moments?))
    }
}

/// The record of a kernel, from the times of its blocks and their spans.
pub(super) fn record(
    prepared: &Prepared,
    times: &[PipeTimes],
    blocks: Vec<BlockSpan>,
) -> Option<Box<Record>> {
    let kept = |(b, t): (usize, &PipeTimes)| Some((b, t.moments.clone()?));
    let (block, moments) = times.iter().enumerate().find_map(kept)?;
    let launch = &prepared.kernel.launch;
    let axes = launch.grid.iter().zip(launch.coordinates(block));
    Some(Box::new(Record {
        blocks,
        block,
        grid: axes.map(|(a, c)| format!("{}={c}", a.name)).collect(),
        statements: (0..prepared.steps.len())
            .map(|step| prepared.describe(step))
            .collect(),
        runs: moments.runs,
        flags: moments.flags,
    }))
}
