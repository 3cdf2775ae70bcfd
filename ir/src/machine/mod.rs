//! What a kernel runs on: cores, memories, bandwidths, and the costs of launches.
//!
//! A machine is data: TOML files in `ir/machines/`, in which every figure names its unit and its source. Start with
//! [`Machine::builtin`]; a user's own file goes through [`Machine::from_toml`]. Costs of single instructions are computed
//! from these figures in [`crate::timing`]; nothing here knows what an instruction is.

mod geometry;
mod read;

pub use geometry::{Geometry, Limits, Unlike};
pub use read::MachineError;

use crate::schedule::LaunchKind;
use crate::space::Space;
use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

/// A figure and where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    pub value: f64,
    pub unit: String,
    pub source: String,
}

impl Figure {
    /// A figure that is a whole number.
    pub fn count(&self) -> usize {
        self.value as usize
    }
}

/// A path that moves data: `cycles = clock * (bytes + short + half) / peak`, where
/// `short = bursts * burst_overhead * max(0, 1 - burst / full_burst)` for bursts of `burst` bytes.
///
/// This is the Hill form `bw = peak * B / (half + B)` of the fitted transfers: `half` is the size that reaches half of the peak.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// GiB/s of one core.
    pub peak: Figure,
    /// Bytes.
    pub half: Figure,
    /// Bytes that the shortest contiguous row costs on top of its own; longer ones cost less, and those of
    /// `full_burst` bytes nothing.
    pub burst_overhead: Figure,
    /// Bytes.
    pub full_burst: Figure,
}

/// Cycles of a vector instruction: `head + slope * repeats + tail`, a repeat being [`Geometry::repeat`] unless its source says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VectorCost {
    pub head: f64,
    pub slope: f64,
    pub tail: f64,
    pub unit: String,
    pub source: String,
}

impl VectorCost {
    /// Cycles of one instruction that starts on an idle pipe.
    pub fn cycles(&self, repeats: f64) -> f64 {
        self.head + self.slope * repeats + self.tail
    }
}

/// Cycles of a reduction of rows, by the number of columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RowReduceCost {
    /// `(cols, slope, bias)`, by ascending columns: `cycles = slope * rows * cols + bias`.
    pub points: Vec<[f64; 3]>,
    /// Cycles of a row for each column after the last point.
    pub row_growth: f64,
    /// Cycles of the bias for each column after the last point.
    pub bias_growth: f64,
    pub unit: String,
    pub source: String,
    /// `(rows, cols, cycles)` of shapes that have a path of their own when the result is a column.
    pub paths: Vec<[f64; 3]>,
    pub paths_source: String,
}

impl RowReduceCost {
    /// Cycles of `rows` rows of `cols` columns. Cycles of a row and the bias are interpolated between the points.
    pub fn cycles(&self, rows: f64, cols: f64) -> f64 {
        let at = |p: &[f64; 3]| (p[0], p[0] * p[1], p[2]);
        let (row, bias) = match self.points.partition_point(|p| p[0] < cols) {
            // Fewer columns than the first point: a row is one instruction's repeat all the same.
            0 => self.points.first().map_or((0.0, 0.0), |p| (at(p).1, p[2])),
            i if i == self.points.len() => {
                let (last, row, bias) = at(&self.points[i - 1]);
                let more = cols - last;
                (row + self.row_growth * more, bias + self.bias_growth * more)
            }
            i => {
                let (c0, row0, bias0) = at(&self.points[i - 1]);
                let (c1, row1, bias1) = at(&self.points[i]);
                let t = (cols - c0) / (c1 - c0);
                (row0 + t * (row1 - row0), bias0 + t * (bias1 - bias0))
            }
        };
        row * rows + bias
    }

    /// Cycles of the shape's own path, if it has one.
    pub fn path(&self, rows: f64, cols: f64) -> Option<f64> {
        self.paths
            .iter()
            .find(|p| p[0] == rows && p[1] == cols)
            .map(|p| p[2])
    }
}

/// What an instruction of the vector unit costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum VectorFigure {
    Instruction(VectorCost),
    Reduction(RowReduceCost),
}

/// Costs of the vector unit's instructions, under the hardware's names. Which of them prices an instruction is in its row of
/// the table of instructions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VectorCosts {
    /// Cycles that an instruction costs more whose rows are no multiple of a repeat.
    pub count_mode: Figure,
    #[serde(flatten)]
    figures: IndexMap<String, VectorFigure, FxBuildHasher>,
}

impl VectorCosts {
    /// The cost of an instruction of this name.
    pub fn instruction(&self, name: &str) -> Option<&VectorCost> {
        match self.figures.get(name)? {
            VectorFigure::Instruction(cost) => Some(cost),
            VectorFigure::Reduction(_) => None,
        }
    }

    /// The cost of a reduction of rows of this name.
    pub fn reduction(&self, name: &str) -> Option<&RowReduceCost> {
        match self.figures.get(name)? {
            VectorFigure::Reduction(cost) => Some(cost),
            VectorFigure::Instruction(_) => None,
        }
    }
}

/// One die.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub name: String,
    pub about: String,
    pub clock_mhz: Figure,
    pub cube_cores: Figure,
    pub vector_cores: Figure,
    pub geometry: Geometry,
    pub limits: Limits,
    /// Bytes of each memory that a kernel may use. Has every [`Space`].
    pub capacity: IndexMap<Space, Figure>,
    /// Bytes that a tile's address is a multiple of. Has every [`Space`].
    pub alignment: IndexMap<Space, Figure>,
    pub gm_to_ub: Transfer,
    pub gm_to_l1: Transfer,
    pub ub_to_gm: Transfer,
    pub l0c_to_gm: Transfer,
    /// Bytes a cycle.
    pub l1_to_l0a: Figure,
    /// Bytes a cycle.
    pub l1_to_l0b: Figure,
    /// GB/s that all cores share of what is in L2: read again, or by several cores.
    pub l2_bandwidth: Figure,
    /// GB/s of HBM by its data sheet.
    pub gm_peak: Figure,
    /// GB/s that HBM really reaches, which all cores share.
    pub gm_bandwidth: Figure,
    /// GiB/s of one core from L2, of what other blocks read, too.
    pub l2_to_ub: Figure,
    pub l2_to_l1: Figure,
    /// Cycles of one scalar read of global memory.
    pub gm_scalar_read: Figure,
    /// Bytes that one scalar read moves.
    pub gm_scalar_line: Figure,
    /// Cycles of one scalar write of global memory, with the write-back of its line.
    pub gm_scalar_write: Figure,
    /// Cycles of one instruction of the scalar unit on registers and arrays.
    pub scalar_op: Figure,
    /// Cycles from the end of what a pipe does to the moment at which a cross-core flag set after it lets another core go on.
    pub cross_core_flag: Figure,
    /// Stores into a peer's memory.
    pub ub_to_peer: Transfer,
    /// GB/s that all cores of a rank share on the way to its peers.
    pub link_bandwidth: Figure,
    /// us until a peer sees what has been sent.
    pub link_latency: Figure,
    /// Cycles before the first fractal of a product.
    pub cube_head: Figure,
    /// Cycles of one fractal of a product: rows of a fractal times its width, times the transposed one.
    pub cube_fractal: Figure,
    /// The same for f32.
    pub cube_fractal_f32: Figure,
    pub vector: VectorCosts,
    /// Cycles of a block on its core besides its instructions: its head, and what the first load waits for.
    pub block_head: Figure,
    pub runtime: Runtimes,
}

/// Who starts kernels: all runtimes that figures are known of, and the one that is used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Runtimes {
    name: String,
    #[serde(flatten)]
    all: IndexMap<String, Runtime>,
}

/// What it costs a runtime to start kernels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Runtime {
    pub about: String,
    /// us from the end of a kernel to the launch of one that waited for it.
    pub handover: Figure,
    /// us from launch to the first block of a `parallel` task.
    pub parallel: Figure,
    /// us from launch to the first block of an `spmd` task.
    pub spmd: Figure,
    /// us from the start of a `parallel` task to that of the next one at the earliest.
    pub task: Figure,
    /// us from the start of a block of an `spmd` task to that of the next one at the earliest.
    pub block: Figure,
}

impl Runtime {
    /// us from the end of the kernel before to the first block.
    pub fn start(&self, kind: LaunchKind) -> f64 {
        let launch = match kind {
            LaunchKind::Parallel => &self.parallel,
            LaunchKind::Spmd => &self.spmd,
        };
        self.handover.value + launch.value
    }

    /// us from the start of one block to that of the next one at the earliest.
    pub fn step(&self, kind: LaunchKind) -> f64 {
        match kind {
            LaunchKind::Parallel => self.task.value,
            LaunchKind::Spmd => self.block.value,
        }
    }
}

/// The machine that programs are made for when none is named: the published hardware times are from it.
pub const DEFAULT_MACHINE: &str = "A3";

impl Machine {
    /// Bytes of a memory that a kernel may use.
    pub fn capacity_of(&self, space: Space) -> usize {
        self.capacity.get(&space).map_or(0, |f| f.value as usize)
    }

    /// Bytes that the address of a tile in this memory is a multiple of.
    pub fn alignment_of(&self, space: Space) -> usize {
        self.alignment.get(&space).map_or(1, |f| f.value as usize)
    }

    /// What starts kernels.
    pub fn runtime(&self) -> &Runtime {
        // The reader refuses a name that is none.
        &self.runtime.all[&self.runtime.name]
    }

    /// What starts kernels, to be changed.
    pub fn runtime_mut(&mut self) -> &mut Runtime {
        // As above.
        &mut self.runtime.all[&self.runtime.name]
    }

    /// The same machine with another runtime.
    ///
    /// # Errors
    /// [`MachineError::Runtime`] if it has no figures of it.
    pub fn started_by(mut self, name: &str) -> Result<Machine, MachineError> {
        if !self.runtimes().any(|r| r == name) {
            let known: Vec<&str> = self.runtimes().collect();
            return Err(MachineError::Runtime {
                name: name.to_owned(),
                known: known.join(", "),
            });
        }
        self.runtime.name = name.to_owned();
        Ok(self)
    }

    /// The name of what starts kernels.
    pub fn runtime_name(&self) -> &str {
        &self.runtime.name
    }

    /// The names of all runtimes whose figures are known.
    pub fn runtimes(&self) -> impl Iterator<Item = &str> {
        self.runtime.all.keys().map(String::as_str)
    }

    /// Cycles until a peer sees what has been sent.
    pub fn link_cycles(&self) -> f64 {
        self.link_latency.value * self.clock_mhz.value
    }

    /// Microseconds of so many cycles.
    pub fn micros(&self, cycles: f64) -> f64 {
        cycles / self.clock_mhz.value
    }
}
