//! What a kernel runs on: cores, memories, bandwidths, and the costs of launches.
//!
//! A machine is data: TOML files in `ir/machines/`, in which every figure names its unit and its source. Costs of
//! single instructions are computed from these figures in [`crate::timing`].

use crate::kernel::Space;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// A figure and where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    pub value: f64,
    pub unit: String,
    pub source: String,
}

/// A path that moves data: `cycles = clock * (bytes + bursts * burst_overhead + half) / peak`.
///
/// This is the Hill form `bw = peak * B / (half + B)` of the fitted transfers: `half` is the size that reaches half of the peak.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// GiB/s of one core.
    pub peak: Figure,
    /// Bytes.
    pub half: Figure,
    /// Bytes that each contiguous row costs on top of its own.
    pub burst_overhead: Figure,
}

/// Costs of a vector instruction: `cycles = head + slope * repeats + tail`, a repeat being 256 bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VectorCost {
    pub head: f64,
    pub slope: f64,
    pub tail: f64,
    pub source: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub name: String,
    pub about: String,
    pub clock_mhz: Figure,
    pub cube_cores: Figure,
    pub vector_cores: Figure,
    /// Bytes of each memory that a kernel may use.
    pub capacity: IndexMap<Space, Figure>,
    /// Bytes that a tile's address is a multiple of.
    pub alignment: IndexMap<Space, Figure>,
    pub gm_to_ub: Transfer,
    pub gm_to_l1: Transfer,
    pub ub_to_gm: Transfer,
    pub l0c_to_gm: Transfer,
    /// Bytes a cycle.
    pub l1_to_l0a: Figure,
    /// Bytes a cycle.
    pub l1_to_l0b: Figure,
    /// GB/s that all cores share.
    pub gm_bandwidth: Figure,
    /// Cycles of one scalar read of global memory.
    pub gm_scalar_read: Figure,
    /// Cycles before the first fractal of a product.
    pub cube_head: Figure,
    /// By instruction name: `cvt`, `add`, `row_sum`, ...
    pub vector: IndexMap<String, VectorCost>,
    /// us from launch to the first block of a `parallel` task.
    pub launch_parallel: Figure,
    /// us from launch to the first block of an `spmd` task.
    pub launch_spmd: Figure,
    /// us that each further `parallel` task costs the scheduler.
    pub launch_task: Figure,
}
