//! What a run tells, as plain values: printed for people by the command, and written as JSON as they are.
//!
//! Two runs of the same command give equal reports but for fields that end in `seconds`, and for what follows from the
//! times of a device.

use indexmap::{IndexMap, IndexSet};
use serde::Serialize;
use tilewright_backends::data::Comparison;
use tilewright_backends::sim::{self, Because, KernelSpan, RanksReport};
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::kernel::{Kernel, Pipe, Program, Space, Stmt, Unit};
use tilewright_ir::machine::Machine;
use tilewright_ir::spans::Span;
use tilewright_passes::cost::{Bound, CostModel, Roof, bound, layer_bound};
use tilewright_passes::egraph::{RuleReport, SearchReport, Stop};
use tilewright_passes::search::Optimized;

/// The two forms of a layer that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// With the schedule that its author wrote.
    Written,
    Optimized,
}

impl Form {
    pub const ALL: [Form; 2] = [Form::Written, Form::Optimized];

    pub fn name(self) -> &'static str {
        match self {
            Form::Written => "written",
            Form::Optimized => "optimized",
        }
    }
}

/// What `tilewright run` and `tilewright optimize` tell.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub graph: String,
    pub machine: String,
    /// The graph's params.
    pub params: IndexMap<String, i64>,
    /// Scalar inputs of the run.
    pub scalars: IndexMap<String, i64>,
    /// Where the inputs came from, a line each.
    pub inputs: Vec<String>,
    /// Whether times are the simulator's, the cost model's, or measured on a device.
    pub timed_by: TimedBy,
    /// What the layer was run on; absent where it was not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// Bytes of each memory of a core.
    pub capacity: Memory,
    pub written: FormReport,
    pub optimized: FormReport,
    /// Written kernels' names, grouped with the kernels that do their work.
    pub regions: Vec<Region>,
    /// Time as written over time optimized.
    pub speedup: f64,
    /// Absent when another order of passes searched nothing.
    pub search: Option<Search>,
    /// Plans of different shapes, best predicted first, of which the simulator picked; empty where there was one.
    pub candidates: Vec<CandidateReport>,
    pub checks: Vec<Check>,
    /// Whether every check is.
    pub ok: bool,
    /// Where kernels were written, by form.
    pub files: IndexMap<String, String>,
    /// Where the time went, up to this report; absent where nobody recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<Span>,
    /// Of a run on several ranks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranks: Option<RankRun>,
}

/// A run on several ranks.
#[derive(Debug, Clone, Serialize)]
pub struct RankRun {
    pub ranks: usize,
    /// Runs of the layer, one after the other.
    pub layers: usize,
    /// What each rank gives for others to write into.
    pub window_bytes: usize,
    pub written: RankForm,
    pub optimized: RankForm,
}

/// One form on several ranks.
#[derive(Debug, Clone, Serialize)]
pub struct RankForm {
    /// From the first launch to the end of the last rank, kernels of a rank side by side where they can be.
    pub us: f64,
    /// The same with the kernels of a rank one after the other.
    pub sequential_us: f64,
    pub notifications: u64,
    pub remote_stores: u64,
    /// What the end hung on, first to last.
    pub critical: Vec<Critical>,
    pub timeline: Vec<KernelSpan>,
}

/// A kernel on the critical path.
#[derive(Debug, Clone, Serialize)]
pub struct Critical {
    pub rank: usize,
    pub kernel: String,
    /// Microseconds of the path that are this kernel's.
    pub us: f64,
    pub because: Because,
}

impl RankForm {
    pub fn new(ran: &RanksReport) -> Self {
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

/// Who timed a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TimedBy {
    Simulator,
    Model,
    Device,
}

/// A layer in one form.
#[derive(Debug, Clone, Serialize)]
pub struct FormReport {
    /// Of all kernels, one after the other; measured or simulated where the layer was run, otherwise predicted.
    pub us: f64,
    pub cycles: f64,
    /// Of the layer: what no kernels can be faster than, see [`layer_bound`].
    pub bound: BoundReport,
    /// In launch order.
    pub kernels: Vec<KernelReport>,
}

/// A kernel.
#[derive(Debug, Clone, Serialize)]
pub struct KernelReport {
    pub name: String,
    /// Kernels as written whose work it contains.
    pub covers: Vec<String>,
    pub unit: Unit,
    pub launch: Launch,
    /// Sizes in elements, under engineers' names.
    pub tiles: IndexMap<String, usize>,
    /// Its loops, outer ones first.
    pub pipeline: Vec<LoopReport>,
    pub predicted: Predicted,
    pub simulated: Option<Simulated>,
    /// On a machine that it is not for: says nothing about the one that it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ran_seconds: Option<f64>,
    /// On the machine that it is for, launch included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured_seconds: Option<f64>,
    pub bound: BoundReport,
    pub memory: Memory,
    /// Rules that led here from the form as written.
    pub derivation: Vec<String>,
    /// Where passes had to settle for less than the best.
    pub notes: Vec<String>,
    /// Earlier kernels that must be over before it starts; those before them are not repeated.
    pub after: Vec<String>,
    /// Tensors in global memory.
    pub reads: Vec<String>,
    pub writes: Vec<String>,
}

/// How a kernel's blocks are started.
#[derive(Debug, Clone, Serialize)]
pub struct Launch {
    pub kind: LaunchKind,
    pub blocks: usize,
    /// Blocks of each grid axis, slowest first.
    pub grid: IndexMap<String, usize>,
}

/// A loop of a kernel: depth 1 is a `range` loop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoopReport {
    #[serde(rename = "loop")]
    pub name: String,
    pub depth: usize,
    pub trips: usize,
}

/// Times of the cost model.
#[derive(Debug, Clone, Serialize)]
pub struct Predicted {
    pub us: f64,
    pub cycles: f64,
    /// Busy cycles of the pipes in one block; those without work are left out.
    pub pipes: IndexMap<Pipe, f64>,
}

/// How near a kernel is to the machine's limits for its work: see [`tilewright_passes::cost::Bound`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BoundReport {
    pub us: f64,
    pub by: Roof,
    /// The kernel's time over the bound; simulated where it was, otherwise predicted. The time includes the launch, the bound does not.
    pub ratio: f64,
    /// Whether only a run tells how many rows there are. The bound is of all of them, so the time in the ratio is the predicted
    /// one, which is too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all_rows: bool,
}

/// Times of the simulator.
#[derive(Debug, Clone, Serialize)]
pub struct Simulated {
    pub us: f64,
    pub cycles: f64,
    /// Busy cycles of the pipes in the slowest block; those without work are left out.
    pub pipes: IndexMap<Pipe, f64>,
    /// Microseconds of `us` that are the launch.
    pub launch_us: f64,
    /// Cycles of the slowest block, alone on the machine.
    pub block_cycles: f64,
    /// Blocks that the busiest core runs one after the other.
    pub waves: usize,
    pub cores: usize,
    /// Bytes from and to global memory, all blocks together.
    pub gm_bytes: u64,
    pub busiest: Option<Pipe>,
    /// Share of the slowest block's cycles in which the busiest pipe is busy.
    pub busiest_share: f64,
    /// The same from that pipe's first start to its last end.
    pub steady_share: f64,
}

/// Bytes of the on-chip memories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    pub ub: usize,
    pub l1: usize,
    pub l0a: usize,
    pub l0b: usize,
    pub l0c: usize,
}

impl Memory {
    fn of(bytes: impl Fn(Space) -> usize) -> Self {
        Memory {
            ub: bytes(Space::Ub),
            l1: bytes(Space::L1),
            l0a: bytes(Space::L0a),
            l0b: bytes(Space::L0b),
            l0c: bytes(Space::L0c),
        }
    }

    /// What a core of the machine has.
    pub fn capacity(machine: &Machine) -> Self {
        Memory::of(|s| machine.capacity_of(s))
    }

    /// Name and bytes of each memory.
    pub fn named(&self) -> [(&'static str, usize); 5] {
        [
            ("UB", self.ub),
            ("L1", self.l1),
            ("L0A", self.l0a),
            ("L0B", self.l0b),
            ("L0C", self.l0c),
        ]
    }
}

/// Kernels as written that some kernel does together, with the times of all that do their work.
#[derive(Debug, Clone, Serialize)]
pub struct Region {
    pub covers: Vec<String>,
    pub written: Vec<String>,
    pub optimized: Vec<String>,
    pub written_us: f64,
    pub optimized_us: f64,
    pub speedup: f64,
}

/// How the search went.
#[derive(Debug, Clone, Serialize)]
pub struct Search {
    pub nodes: usize,
    pub classes: usize,
    pub iterations: usize,
    pub stop: Stop,
    /// Of saturation.
    pub seconds: f64,
    pub extract_seconds: f64,
    pub explain_seconds: f64,
    pub rules: IndexMap<String, RuleReport>,
}

impl Search {
    pub fn new(report: &SearchReport, extract_seconds: f64, explain_seconds: f64) -> Self {
        Search {
            nodes: report.nodes,
            classes: report.classes,
            iterations: report.iterations,
            stop: report.stop,
            seconds: report.seconds,
            extract_seconds,
            explain_seconds,
            rules: report.rules.clone(),
        }
    }
}

/// A plan among those that the simulator picks from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CandidateReport {
    pub predicted_us: f64,
    /// By the simulator without data; absent when it refused the plan.
    pub simulated_us: Option<f64>,
    pub picked: bool,
    pub kernels: Vec<CandidateKernel>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CandidateKernel {
    pub name: String,
    pub launch: LaunchKind,
    pub blocks: usize,
}

impl CandidateReport {
    pub fn new(plan: &Optimized, simulated_us: Option<f64>) -> Self {
        let kernels = plan.plan.kernels.iter().map(|k| CandidateKernel {
            name: k.name.clone(),
            launch: k.launch(),
            blocks: k.blocks(),
        });
        CandidateReport {
            predicted_us: plan.estimates.iter().map(|e| e.us).sum(),
            simulated_us,
            picked: false,
            kernels: kernels.collect(),
        }
    }
}

/// One output of one form against what is expected.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    pub form: Form,
    #[serde(flatten)]
    pub comparison: Comparison,
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
        let ragged = |name: &String| {
            program
                .tensors
                .get(name)
                .is_some_and(|t| t.ragged.is_some())
        };
        let all_rows = reads.iter().chain(&writes).any(ragged);
        let mut pipeline = vec![];
        loops(&kernel.body, kernel, &mut pipeline);
        KernelReport {
            name: kernel.name.clone(),
            covers: kernel.covers.clone(),
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
            pipeline,
            predicted: Predicted {
                us: predicted.us,
                cycles: predicted.cycles,
                pipes: pipes.filter(|(_, c)| *c > 0.0).collect(),
            },
            simulated: None,
            ran_seconds: None,
            measured_seconds: None,
            bound: BoundReport::new(bound, predicted.us, all_rows),
            memory: Memory::of(|s| kernel.used(s)),
            derivation,
            notes: kernel.notes.clone(),
            after: kernel.after.clone(),
            reads,
            writes,
        }
    }

    /// Adds what the simulator measured.
    pub fn set_simulated(&mut self, times: Simulated) {
        self.simulated = Some(times);
        self.bound.ratio = ratio(self.us_of_bound(), self.bound.us);
    }

    /// Adds what a chip took.
    pub fn set_measured(&mut self, seconds: f64) {
        self.measured_seconds = Some(seconds);
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
    fn us_of_bound(&self) -> f64 {
        match self.bound.all_rows {
            true => self.predicted.us,
            false => self.us(),
        }
    }

    fn cycles(&self) -> f64 {
        let simulated = self.simulated.as_ref().map(|s| s.cycles);
        simulated.unwrap_or(self.predicted.cycles)
    }

    /// Loaded tiles in flight in its deepest loop.
    pub fn depth(&self) -> usize {
        self.pipeline.iter().map(|l| l.depth).max().unwrap_or(1)
    }
}

impl BoundReport {
    fn new(bound: Bound, us: f64, all_rows: bool) -> Self {
        BoundReport {
            us: bound.us,
            by: bound.by,
            ratio: ratio(us, bound.us),
            all_rows,
        }
    }
}

impl FormReport {
    /// The kernels are the program's.
    pub fn new(kernels: Vec<KernelReport>, program: &Program, machine: &Machine) -> Self {
        let us = kernels.iter().map(KernelReport::us).sum();
        let us_of_bound = kernels.iter().map(KernelReport::us_of_bound).sum();
        let all_rows = kernels.iter().any(|k| k.bound.all_rows);
        FormReport {
            us,
            bound: BoundReport::new(layer_bound(program, machine), us_of_bound, all_rows),
            cycles: kernels.iter().map(KernelReport::cycles).sum(),
            kernels,
        }
    }

    /// The kernel of this name.
    pub fn kernel(&self, name: &str) -> Option<&KernelReport> {
        self.kernels.iter().find(|k| k.name == name)
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

fn loops(body: &[Stmt], kernel: &Kernel, out: &mut Vec<LoopReport>) {
    for s in body {
        match s {
            Stmt::Loop {
                id,
                trips,
                depth,
                body,
            } => {
                out.push(LoopReport {
                    name: kernel.loops.get(*id).cloned().unwrap_or_default(),
                    depth: *depth,
                    trips: *trips,
                });
                loops(body, kernel, out);
            }
            Stmt::If {
                then, otherwise, ..
            } => {
                loops(then, kernel, out);
                loops(otherwise, kernel, out);
            }
            Stmt::Part { body, .. } => loops(body, kernel, out),
            _ => {}
        }
    }
}

/// Groups kernels of both forms that share work, in the order of the written ones.
pub fn regions(written: &FormReport, optimized: &FormReport) -> Vec<Region> {
    let mut groups: Vec<Vec<String>> = vec![];
    for kernel in written.kernels.iter().chain(&optimized.kernels) {
        let shares = |g: &Vec<String>| g.iter().any(|c| kernel.covers.contains(c));
        let Some(first) = groups.iter().position(shares) else {
            groups.push(kernel.covers.clone());
            continue;
        };
        // A kernel that does the work of two groups joins them.
        let (mut joined, apart): (Vec<_>, Vec<_>) = groups.into_iter().partition(shares);
        joined.push(kernel.covers.clone());
        let group: IndexSet<String> = joined.concat().into_iter().collect();
        groups = apart;
        groups.insert(first, group.into_iter().collect());
    }
    groups
        .into_iter()
        .map(|covers| {
            let of = |form: &FormReport| -> (Vec<String>, f64) {
                let kernels: Vec<&KernelReport> = form
                    .kernels
                    .iter()
                    .filter(|k| k.covers.iter().any(|c| covers.contains(c)))
                    .collect();
                (
                    kernels.iter().map(|k| k.name.clone()).collect(),
                    kernels.iter().map(|k| k.us()).sum(),
                )
            };
            let (written, written_us) = of(written);
            let (optimized, optimized_us) = of(optimized);
            Region {
                covers,
                written,
                optimized,
                written_us,
                optimized_us,
                speedup: ratio(written_us, optimized_us),
            }
        })
        .collect()
}

/// `a / b`, and 1 where there is nothing to divide by.
pub fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 1.0 }
}

/// An integer tensor's only element.
pub fn scalar_value(tensor: &tilewright_backends::data::Tensor) -> Option<i64> {
    let is_scalar = tensor.shape.is_empty() && tensor.dtype != DType::F32;
    is_scalar
        .then(|| tensor.to_i64().first().copied())
        .flatten()
}
