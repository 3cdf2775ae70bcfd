//! What kernels are chosen by: grids, how loops run, and a kernel that was chosen, with its cost.

use crate::cost::Estimate;
use crate::problem::KernelSpec;
use crate::term::language::Term;
use crate::term::plan::KernelPlan;
use egg::{Id, RecExpr};
use std::collections::BTreeMap;
use std::str::FromStr;
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::kernel::{Kernel, Space};

/// The grid of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Grid {
    pub block_rows: usize,
    /// Rows a trip of the row loop.
    pub rows: usize,
    /// Blocks over columns.
    pub fan: usize,
    /// Whether padding is initialised by a launch of its own.
    pub hoisted: bool,
    pub kind: LaunchKind,
}

/// What of a grid is said in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocks {
    /// Rows a block.
    pub rows: usize,
    /// Rows a trip of the row loop.
    pub trip: usize,
    /// Blocks over columns.
    pub fan: usize,
}

impl Grid {
    pub fn blocks(&self) -> Blocks {
        Blocks {
            rows: self.block_rows,
            trip: self.rows,
            fan: self.fan,
        }
    }
}

/// How a loop runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Trips {
    pub depth: usize,
    pub trips: usize,
    /// Pieces of a trip that are multiplied one after the other; 1 where a trip is no product.
    pub pieces: usize,
    /// Of how many of them the left operand stays on chip for all tiles of columns.
    pub kept: usize,
}

impl Trips {
    /// One trip, and nothing in flight beside it.
    pub const ONCE: Trips = Trips {
        depth: 1,
        trips: 1,
        pieces: 1,
        kept: 0,
    };
}

/// What the candidates on one grid differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Choice {
    /// How loops that store run.
    pub stores: Trips,
    /// How loops that reduce run.
    pub folds: Trips,
    pub reads: Reads,
}

/// What becomes of a value that this kernel could read or compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reads {
    /// What is cheaper by itself, tile by tile.
    Cheapest,
    /// It is read wherever it can be.
    Stored,
}

impl Reads {
    pub const ALL: [Reads; 2] = [Reads::Cheapest, Reads::Stored];

    pub fn name(self) -> &'static str {
        match self {
            Reads::Cheapest => "cheapest",
            Reads::Stored => "stored",
        }
    }
}

impl FromStr for Reads {
    type Err = ();

    fn from_str(s: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|r| r.name() == s).ok_or(())
    }
}

/// What a kernel does otherwise than its choice of loops says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exceptions {
    /// By place among the stores, which of the ways to store it.
    pub(super) ways: BTreeMap<usize, usize>,
    /// By class, which of its nodes.
    pub(super) nodes: BTreeMap<Id, usize>,
}

impl Exceptions {
    pub fn is_empty(&self) -> bool {
        *self == Exceptions::default()
    }

    pub(super) fn way(&self, store: usize) -> Option<usize> {
        self.ways.get(&store).copied()
    }

    pub(super) fn node(&self, class: Id) -> Option<usize> {
        self.nodes.get(&class).copied()
    }
}

/// A kernel with its cost.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub grid: Grid,
    pub choice: Choice,
    pub exceptions: Exceptions,
    pub plan: KernelPlan,
    /// The kernel that only fills padding, when that is hoisted.
    pub init: Option<KernelPlan>,
    pub cost: Cost,
    /// Products that it takes over in its launch: a mixed kernel.
    pub products: Vec<MixedProduct>,
    /// Whether integers move by whole lines, of an exchange.
    pub by_line: bool,
    /// Full terms of the stored values, for proofs.
    pub terms: Vec<(usize, RecExpr<Term>)>,
}

/// What candidates are compared by: the estimate in picoseconds; where the memory that cores share decides, the cycles without it;
/// then, as a model does not know how late a load may be, the deeper pipeline; then fewer bytes on chip.
pub type Rank = (u64, u64, std::cmp::Reverse<usize>, usize);

/// What a candidate costs.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    pub rank: Rank,
    /// Of this, in us, what filling its padding in a launch of its own costs.
    pub fill_us: f64,
}

/// A candidate before its terms are written.
#[derive(Debug, Clone, Copy)]
pub struct Scored {
    pub grid: Grid,
    pub choice: Choice,
    pub rank: Rank,
}

/// A product that a candidate takes over: what it is, and which of its candidates.
#[derive(Debug, Clone)]
pub struct MixedProduct {
    pub spec: KernelSpec,
    pub candidate: Candidate,
}

impl Candidate {
    /// What candidates are compared by.
    pub fn rank(&self) -> Rank {
        self.cost.rank
    }

    /// What is known of the candidate, as a value of its own.
    pub fn found(&self) -> Scored {
        Scored {
            grid: self.grid,
            choice: self.choice,
            rank: self.rank(),
        }
    }
}

/// What a kernel is compared by.
pub fn rank(kernel: &Kernel, estimate: &Estimate) -> Rank {
    let bytes = Space::ALL.iter().map(|s| kernel.used(*s)).sum();
    let picoseconds = (estimate.us * 1e6).round() as u64;
    let alone = estimate.alone_cycles.round() as u64;
    (
        picoseconds,
        alone,
        std::cmp::Reverse(kernel.pipeline),
        bytes,
    )
}
