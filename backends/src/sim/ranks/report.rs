//! What a run of several ranks tells.

use super::super::report::KernelReport;
use super::timeline::Timeline;
use crate::data::Tensors;
use serde::Serialize;

/// A finished run of all ranks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RanksReport {
    /// By rank.
    pub ranks: Vec<RankReport>,
    /// Kernels of a rank one after the other, in program order.
    pub sequential: Timeline,
    /// Kernels of a rank side by side where they depend on nothing of each other and there are cores.
    pub overlapped: Timeline,
    /// Changes of counters, and stores into windows of other ranks.
    pub notifications: u64,
    pub remote_stores: u64,
}

/// One rank.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RankReport {
    /// Of the last layer run.
    #[serde(skip)]
    pub outputs: Tensors,
    /// Of the last layer run, in program order: what each kernel does alone on the machine, without what it waits for.
    pub kernels: Vec<KernelReport>,
}
