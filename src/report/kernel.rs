//! What a report tells of one kernel: its schedule, its times, and how near they are to the machine's limits.

use super::{Memory, ratio};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use tilewright_backends::backend::{RanKernel, Timing};
use tilewright_backends::sim;
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::kernel::{Kernel, Pipe, Program, Unit};
use tilewright_ir::machine::Machine;
use tilewright_passes::cost::{Bound, CostModel, Roof, bound};

/// A kernel.
#[derive(Debug, Clone, Serialize)]
pub struct KernelReport {
    /// The kernel's name.
    pub name: String,
    /// Kernels as written whose work it contains.
    pub covers: Vec<String>,
    /// The same, of kernels as written that are cut into parts by part; known where both forms were compiled.
    pub parts: Vec<String>,
    /// What runs it.
    pub unit: Unit,
    /// How its blocks are started.
    pub launch: Launch,
    /// Sizes in elements, under engineers' names.
    pub tiles: IndexMap<String, usize>,
    /// Its loops, outer ones first.
    pub pipeline: Vec<LoopReport>,
    /// Times of the cost model.
    pub predicted: Predicted,
    /// Times of the simulator, where it ran.
    pub simulated: Option<Simulated>,
    /// On a machine that it is not for: says nothing about the one that it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ran_seconds: Option<f64>,
    /// On the machine that it is for, or by a model of it that tells no more; launch included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured_seconds: Option<f64>,
    /// What it cannot be faster than.
    pub bound: BoundReport,
    /// Bytes that its tiles take of each memory.
    pub memory: Memory,
    /// Rules that led here from the form as written.
    pub derivation: Vec<String>,
    /// Where passes had to settle for less than the best.
    pub notes: Vec<String>,
    /// Earlier kernels that must be over before it starts; those before them are not repeated.
    pub after: Vec<String>,
    /// Tensors in global memory.
    pub reads: Vec<String>,
    /// Tensors in global memory that it writes.
    pub writes: Vec<String>,
}

/// How a kernel's blocks are started.
#[derive(Debug, Clone, Serialize)]
pub struct Launch {
    /// The kind of launch.
    pub kind: LaunchKind,
    /// Blocks of all axes together.
    pub blocks: usize,
    /// Blocks of each grid axis, slowest first.
    pub grid: IndexMap<String, usize>,
}

/// A loop of a kernel: depth 1 is a `range` loop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoopReport {
    /// The loop's name.
    #[serde(rename = "loop")]
    pub name: String,
    /// How many trips are in flight.
    pub depth: usize,
    /// How often it runs.
    pub trips: usize,
}

impl LoopReport {
    /// The loops of a kernel, outer ones first.
    pub fn of(kernel: &Kernel) -> Vec<Self> {
        let mut loops = vec![];
        kernel.visit_loops(&mut |id, trips, depth| {
            loops.push(LoopReport {
                name: kernel.loops.get(id).cloned().unwrap_or_default(),
                depth,
                trips,
            });
        });
        loops
    }
}

/// Times of the cost model.
#[derive(Debug, Clone, Serialize)]
pub struct Predicted {
    /// From launch to the end of the last block, in us.
    pub us: f64,
    /// The same at the machine's clock.
    pub cycles: f64,
    /// Busy cycles of the pipes in one block; those without work are left out.
    pub pipes: IndexMap<Pipe, f64>,
}

/// How near a kernel is to the machine's limits for its work: see [`tilewright_passes::cost::Bound`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BoundReport {
    /// The bound, in us.
    pub us: f64,
    /// Which limit it is.
    pub by: Roof,
    /// The kernel's time over the bound; simulated where it was, otherwise predicted. The time includes the launch, the bound does not.
    pub ratio: f64,
    /// Which rows it is of, where only a run tells how many there are. The time in the ratio is the predicted one then, which is
    /// of the same rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<OfRows>,
}

/// Rows that are assumed where nothing runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OfRows {
    /// As many as the layer, or `--rows`, says.
    Expected,
    /// Nothing is said of them.
    All,
}

impl OfRows {
    pub fn name(self) -> &'static str {
        match self {
            OfRows::Expected => "expected rows",
            OfRows::All => "all rows",
        }
    }
}

/// Times of the simulator.
#[derive(Debug, Clone, Serialize)]
pub struct Simulated {
    /// From launch to the end of the last block, in us.
    pub us: f64,
    /// The same at the machine's clock.
    pub cycles: f64,
    /// Busy cycles of the pipes in the slowest block; those without work are left out.
    pub pipes: IndexMap<Pipe, f64>,
    /// Microseconds of `us` that are the launch.
    pub launch_us: f64,
    /// Cycles of the slowest block, alone on the machine.
    pub block_cycles: f64,
    /// Blocks that the busiest core runs one after the other.
    pub waves: usize,
    /// How many cores its blocks ran on.
    pub cores: usize,
    /// Bytes from and to global memory, all blocks together.
    pub gm_bytes: u64,
    /// The pipe that is busy longest in the slowest block.
    pub busiest: Option<Pipe>,
    /// Share of the slowest block's cycles in which the busiest pipe is busy.
    pub busiest_share: f64,
    /// The same from that pipe's first start to its last end.
    pub steady_share: f64,
}

impl KernelReport {
    /// A kernel without simulated times.
    pub fn new(
        kernel: &Kernel,
        program: &Program,
        machine: &Machine,
        cost: &dyn CostModel,
        derivation: Vec<String>,
    ) -> Self {
        let predicted = cost.estimate(kernel, machine);
        let bound = bound(kernel, &program.tensors, machine);
        let pipes = Pipe::ALL.into_iter().zip(predicted.pipes);
        let (reads, writes) = kernel.accesses();
        let rows = |name: &String| {
            let counts = &program.tensors.get(name)?.ragged.as_ref()?.counts;
            let said = program
                .tensors
                .get(counts)
                .is_some_and(|c| !c.expected.is_empty());
            Some(if said { OfRows::Expected } else { OfRows::All })
        };
        let rows = reads.iter().chain(&writes).filter_map(rows).max();
        KernelReport {
            name: kernel.name.clone(),
            covers: kernel.covers.clone(),
            parts: vec![],
            unit: kernel.unit,
            launch: Launch {
                kind: kernel.launch.kind,
                blocks: kernel.launch.blocks(),
                grid: kernel
                    .launch
                    .grid
                    .iter()
                    .map(|a| (a.name.clone(), a.count))
                    .collect(),
            },
            tiles: kernel.params.clone(),
            pipeline: LoopReport::of(kernel),
            predicted: Predicted {
                us: predicted.us,
                cycles: predicted.cycles,
                pipes: pipes.filter(|(_, c)| *c > 0.0).collect(),
            },
            simulated: None,
            ran_seconds: None,
            measured_seconds: None,
            bound: BoundReport::new(bound, predicted.us, rows),
            memory: Memory::of(|s| kernel.used(s)),
            derivation,
            notes: kernel.notes.clone(),
            after: kernel.after.clone(),
            reads,
            writes,
        }
    }

    /// Adds what a run of it took, on whatever it ran.
    pub fn set_ran(&mut self, ran: &RanKernel, timing: Timing) {
        match (&ran.simulated, timing) {
            (Some(simulated), _) => self.simulated = Some(Simulated::from(simulated)),
            (None, Timing::Simulated | Timing::Device) => {
                self.measured_seconds = Some(ran.seconds);
            }
            (None, Timing::Host) => self.ran_seconds = Some(ran.seconds),
        }
        self.bound.ratio = ratio(self.us_of_bound(), self.bound.us);
    }

    /// Of the machine that it is for, where it was run or simulated.
    fn known_us(&self) -> Option<f64> {
        let simulated = self.simulated.as_ref().map(|s| s.us);
        simulated.or(self.measured_seconds.map(|s| s * 1e6))
    }

    /// Microseconds of the run, whoever's they are.
    pub fn ran_us(&self) -> Option<f64> {
        self.known_us().or(self.ran_seconds.map(|s| s * 1e6))
    }

    /// Measured or simulated where it was, otherwise predicted.
    pub fn us(&self) -> f64 {
        self.known_us().unwrap_or(self.predicted.us)
    }

    /// The time of as much work as the bound is of.
    pub(super) fn us_of_bound(&self) -> f64 {
        match self.bound.rows {
            Some(_) => self.predicted.us,
            None => self.us(),
        }
    }

    pub(super) fn cycles(&self) -> f64 {
        let simulated = self.simulated.as_ref().map(|s| s.cycles);
        simulated.unwrap_or(self.predicted.cycles)
    }

    /// Loaded tiles in flight in its deepest loop.
    pub fn depth(&self) -> usize {
        self.pipeline.iter().map(|l| l.depth).max().unwrap_or(1)
    }
}

impl BoundReport {
    pub(super) fn new(bound: Bound, us: f64, rows: Option<OfRows>) -> Self {
        BoundReport {
            us: bound.us,
            by: bound.by,
            ratio: ratio(us, bound.us),
            rows,
        }
    }
}

impl From<&sim::KernelReport> for Simulated {
    fn from(k: &sim::KernelReport) -> Self {
        Simulated {
            us: k.us,
            cycles: k.cycles,
            pipes: k.pipes.clone(),
            launch_us: k.launch_us,
            block_cycles: k.block_cycles,
            waves: k.waves,
            cores: k.cores,
            gm_bytes: k.gm_bytes,
            busiest: k.busiest,
            busiest_share: k.busiest_share,
            steady_share: k.steady_share,
        }
    }
}
