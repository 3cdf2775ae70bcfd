//! What a report tells of all ranks together.

use crate::form::Forms;
use serde::Serialize;
use tilewright_backends::backend::Timelines;
use tilewright_backends::sim::{Because, KernelSpan};
use tilewright_ir::kernel::{Program, Role};

/// A run on several ranks.
#[derive(Debug, Clone, Serialize)]
pub struct RankRun {
    /// How many ranks ran.
    pub ranks: usize,
    /// Runs of the layer, one after the other.
    pub layers: usize,
    /// What each rank gives for others to write into.
    pub window_bytes: usize,
    /// The kernels as written.
    pub written: RankForm,
    /// The optimized ones.
    pub optimized: RankForm,
}

/// One form on several ranks.
#[derive(Debug, Clone, Serialize)]
pub struct RankForm {
    /// From the first launch to the end of the last rank, kernels of a rank side by side where they can be.
    pub us: f64,
    /// The same with the kernels of a rank one after the other.
    pub sequential_us: f64,
    /// Notifications that all ranks sent.
    pub notifications: u64,
    /// Stores into memory of peers, of all ranks.
    pub remote_stores: u64,
    /// What the end hung on, first to last.
    pub critical: Vec<Critical>,
    /// When each kernel ran on each rank.
    pub timeline: Vec<KernelSpan>,
}

/// A kernel on the critical path.
#[derive(Debug, Clone, Serialize)]
pub struct Critical {
    /// The rank's number.
    pub rank: usize,
    /// The kernel's name.
    pub kernel: String,
    /// Microseconds of the path that are this kernel's.
    pub us: f64,
    /// Why it did not begin earlier.
    pub because: Because,
}

impl RankRun {
    /// The optimized program is the one whose windows are told.
    pub fn new(program: &Program, layers: usize, timelines: Forms<&Timelines>) -> Self {
        let windows = program.tensors.values().filter(|t| t.role == Role::Window);
        RankRun {
            ranks: program.ranks,
            layers,
            window_bytes: windows.map(|t| t.bytes()).sum(),
            written: RankForm::new(timelines.written),
            optimized: RankForm::new(timelines.optimized),
        }
    }
}

impl RankForm {
    /// Times of a run on several ranks.
    pub fn new(ran: &Timelines) -> Self {
        let mut critical: Vec<Critical> = vec![];
        for step in &ran.overlapped.critical {
            let us = step.end_us - step.start_us;
            match critical.last_mut() {
                Some(last) if last.rank == step.rank && last.kernel == step.kernel => last.us += us,
                _ => critical.push(Critical {
                    rank: step.rank,
                    kernel: step.kernel.clone(),
                    us,
                    because: step.because.clone(),
                }),
            }
        }
        RankForm {
            us: ran.overlapped.us,
            sequential_us: ran.sequential.us,
            notifications: ran.notifications,
            remote_stores: ran.remote_stores,
            critical,
            timeline: ran.overlapped.kernels.clone(),
        }
    }
}
