//! What a run tells: outputs, and times by kernel and by pipe.

use super::record::Record;
use crate::data::Tensors;
use indexmap::IndexMap;
use serde::Serialize;
use tilewright_ir::kernel::{Pipe, Unit};

/// A finished run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Output tensors, and workspaces where they were asked for; empty after a timing run.
    #[serde(skip)]
    pub outputs: Tensors,
    /// In launch order.
    pub kernels: Vec<KernelReport>,
    /// Microseconds of all kernels, one after the other, with their launches.
    pub us: f64,
    /// The same in cycles of the cores' clock.
    pub cycles: f64,
}

/// The times of one kernel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KernelReport {
    pub name: String,
    pub unit: Unit,
    pub blocks: usize,
    /// Blocks that the busiest core ran one after the other.
    pub waves: usize,
    /// Cores that ran at least one block.
    pub cores: usize,
    /// Microseconds from launch to the end of the last block.
    pub us: f64,
    pub cycles: f64,
    /// Microseconds of `us` that are the launch.
    pub launch_us: f64,
    /// The number of the slowest block, alone on the machine.
    pub slowest_block: usize,
    /// Cycles of that block, alone on the machine.
    pub block_cycles: f64,
    /// Largest ratio of a block's cycles with shared global memory to those alone; 1 is no contention.
    pub stretch: f64,
    /// Bytes that all blocks move from and to global memory.
    pub gm_bytes: u64,
    /// Bytes that all blocks send to other ranks.
    pub link_bytes: u64,
    /// Busy cycles of the slowest block's pipes, in the order of [`Pipe::ALL`]; pipes without work are left out.
    pub pipes: IndexMap<Pipe, f64>,
    /// The pipe with the most busy cycles in the slowest block.
    pub busiest: Option<Pipe>,
    /// Its busy cycles over the slowest block's cycles.
    pub busiest_share: f64,
    /// Its busy cycles over those from its first start to its last end: how well the pipeline keeps it fed, without
    /// the fill before and the drain after.
    pub steady_share: f64,
    /// What its blocks did when; absent unless [`super::Options::record`] asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<Box<Record>>,
}
