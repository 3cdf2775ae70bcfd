//! The cost model: what a kernel costs, computed from its program before flags and data exist.
//!
//! A block's time comes from a scoreboard: each pipe runs its instructions in order, and an instruction starts when its pipe is
//! free, its operands are written and what it overwrites is read. A loop is followed for its first trips only, until its
//! period is steady; the rest is `trips * period`. So a `range` loop costs the chain through its single buffers, a pipeline
//! its fill plus its busiest pipe, and everything in between falls out. A loop whose trips depend on counts is followed through.
//!
//! A launch is waves of blocks over cores, or blocks one after the other as fast as they are started, at least the time that L2
//! needs for all bytes and HBM for each byte once.
//!
//! Of rows that are counted at run time it takes those that the kernel is told to expect ([`Kernel::expected`]); where it is told
//! nothing, all.
//!
//! Of a mixed kernel the part that stores runs first, which tells when each trip's tile is there; then the part that loads, which
//! waits for them. So the two overlap, trip by trip.

mod bound;
mod code;
mod expects;
mod scoreboard;

pub use bound::{Bound, Roof, bound, layer_bound};
pub use scoreboard::estimate;

use serde::Serialize;
use std::fmt;
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::kernel::{Kernel, Pipe};
use tilewright_ir::machine::Machine;

/// What a kernel is predicted to cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// From launch to the end of the last block.
    pub us: f64,
    /// `us` at the machine's clock.
    pub cycles: f64,
    /// One block alone.
    pub block_cycles: f64,
    /// What cores would take for all blocks if each had global memory to itself: of kernels for which the memory that all share
    /// decides, the one with more to spare is better.
    pub alone_cycles: f64,
    /// Busy cycles of each pipe in one block, in the order of [`Pipe::ALL`].
    pub pipes: [f64; Pipe::ALL.len()],
    /// Bytes that all blocks move from and to global memory.
    pub gm_bytes: f64,
}

/// What the search compares kernels by: [`SearchOptions::cost`](crate::egraph::SearchOptions::cost).
///
/// A model must be a function of what it is given, since kernels that are equal are looked at once. The simulator, which has
/// the last word among the best plans, has times of its own.
pub trait CostModel: fmt::Debug + Send + Sync {
    /// What a kernel costs, which has addresses and no flags yet. Over capacity it would not be asked for.
    fn estimate(&self, kernel: &Kernel, machine: &Machine) -> Estimate;

    /// What starting so many blocks costs, in us: of launches that differ in nothing else, the cheapest is looked at.
    fn start_us(&self, machine: &Machine, kind: LaunchKind, blocks: usize) -> f64 {
        start_us(machine, kind, blocks)
    }
}

/// The model that comes with tilewright: [`estimate`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Scoreboard;

impl CostModel for Scoreboard {
    fn estimate(&self, kernel: &Kernel, machine: &Machine) -> Estimate {
        estimate(kernel, machine)
    }
}

/// What the kernel takes until its first block starts, in us.
pub fn launch_us(kernel: &Kernel, machine: &Machine) -> f64 {
    machine.runtime().start(kernel.launch.kind)
}

/// What starting so many blocks costs, in us: until the last one can start.
pub fn start_us(machine: &Machine, kind: LaunchKind, blocks: usize) -> f64 {
    let runtime = machine.runtime();
    runtime.start(kind) + runtime.step(kind) * blocks.saturating_sub(1) as f64
}
