//! What a run tells, as plain values: printed for people by the command, and written as JSON as they are.
//!
//! Two runs of the same command give equal reports but for fields that end in `seconds`, and for what follows from the
//! times of a device.

mod candidates;
mod kernel;
mod ranks;
mod text;
pub mod work;

pub use candidates::{CandidateKernel, CandidateReport};
pub use kernel::{BoundReport, KernelReport, Launch, LoopReport, Predicted, Simulated};
pub use ranks::{Critical, RankForm, RankRun};

use crate::form::Form;
use crate::times::Times;
use indexmap::{IndexMap, IndexSet};
use serde::{Deserialize, Serialize};
use tilewright_backends::backend::Timing;
use tilewright_backends::data::{Comparison, Tensor};
use tilewright_ir::dtype::DType;
use tilewright_ir::kernel::{Program, Space};
use tilewright_ir::machine::Machine;
use tilewright_passes::cost::layer_bound;
use tilewright_passes::egraph::{RuleReport, SearchReport, Stop};

/// What `tilewright run` and `tilewright optimize` tell.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The graph's name.
    pub graph: String,
    /// The machine's name.
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
    /// Tiles as written that no kernel can have, and what is used instead, a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tiles: Vec<String>,
    /// Bytes of each memory of a core.
    pub capacity: Memory,
    /// The kernels as written.
    pub written: FormReport,
    /// The kernels as the search chose them.
    pub optimized: FormReport,
    /// Written kernels' names, grouped with the kernels that do their work.
    pub regions: Vec<Region>,
    /// Time as written over time optimized.
    pub speedup: f64,
    /// Absent when another order of passes searched nothing.
    pub search: Option<Search>,
    /// Plans of different shapes, best predicted first, of which the simulator picked; empty where there was one.
    pub candidates: Vec<CandidateReport>,
    /// Outputs of both forms against what is expected; empty where nothing ran.
    pub checks: Vec<Check>,
    /// Of a layer that was not run as a whole: what of it was compared, a line a form.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verified: Vec<String>,
    /// Whether every check is.
    pub ok: bool,
    /// Where kernels were written, by form.
    pub files: IndexMap<String, String>,
    /// Where the time went, up to this report; absent where nobody recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<Times>,
    /// Of a run on several ranks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranks: Option<RankRun>,
}

impl Report {
    /// The layer in this form.
    pub fn form(&self, form: Form) -> &FormReport {
        match form {
            Form::Written => &self.written,
            Form::Optimized => &self.optimized,
        }
    }
}

/// Who timed a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TimedBy {
    /// The simulator.
    Simulator,
    /// The cost model: nothing ran on a machine whose times count.
    Model,
    /// An NPU.
    Device,
}

impl From<Timing> for TimedBy {
    fn from(timing: Timing) -> Self {
        match timing {
            Timing::Simulated => TimedBy::Simulator,
            // Times of another machine say nothing of this one.
            Timing::Host => TimedBy::Model,
            Timing::Device => TimedBy::Device,
        }
    }
}

/// A layer in one form.
#[derive(Debug, Clone, Serialize)]
pub struct FormReport {
    /// Of all kernels, one after the other; measured or simulated where the layer was run, otherwise predicted.
    pub us: f64,
    /// `us` at the machine's clock.
    pub cycles: f64,
    /// Of the layer: what no kernels can be faster than, see [`layer_bound`].
    pub bound: BoundReport,
    /// In launch order.
    pub kernels: Vec<KernelReport>,
}

/// Bytes of the on-chip memories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Of the unified buffer of a vector core.
    pub ub: usize,
    /// Of the first level of a cube core.
    pub l1: usize,
    /// Of the left operands of products.
    pub l0a: usize,
    /// Of the right operands of products.
    pub l0b: usize,
    /// Of the results of products.
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
    /// Kernels as written.
    pub covers: Vec<String>,
    /// Names of the kernels of the form as written that do their work.
    pub written: Vec<String>,
    /// Names of the optimized ones.
    pub optimized: Vec<String>,
    /// Time of the kernels as written.
    pub written_us: f64,
    /// Time of the optimized ones.
    pub optimized_us: f64,
    /// The one over the other.
    pub speedup: f64,
}

/// How the search went.
#[derive(Debug, Clone, Serialize)]
pub struct Search {
    /// E-nodes at the end.
    pub nodes: usize,
    /// E-classes at the end.
    pub classes: usize,
    /// How often all rules were tried.
    pub iterations: usize,
    /// Why filling ended.
    pub stop: Stop,
    /// Of saturation.
    pub seconds: f64,
    /// Of choosing from the e-graph.
    pub extract_seconds: f64,
    /// Of finding what led to the choice.
    pub explain_seconds: f64,
    /// What each rule did, by its name.
    pub rules: IndexMap<String, RuleReport>,
}

impl Search {
    /// What the search tells, with the seconds that it took.
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

/// One output of one form against what is expected.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// Of which form.
    pub form: Form,
    /// How far the output is off.
    #[serde(flatten)]
    pub comparison: Comparison,
}

impl FormReport {
    /// The kernels are the program's.
    pub fn new(kernels: Vec<KernelReport>, program: &Program, machine: &Machine) -> Self {
        let us = kernels.iter().map(KernelReport::us).sum();
        let us_of_bound = kernels.iter().map(KernelReport::us_of_bound).sum();
        let rows = kernels.iter().filter_map(|k| k.bound.rows).max();
        FormReport {
            us,
            bound: BoundReport::new(layer_bound(program, machine), us_of_bound, rows),
            cycles: kernels.iter().map(KernelReport::cycles).sum(),
            kernels,
        }
    }

    /// The kernel of this name.
    pub fn kernel(&self, name: &str) -> Option<&KernelReport> {
        self.kernels.iter().find(|k| k.name == name)
    }
}

/// Kernels as written, in the groups that some kernel does the work of together: what each kernel covers, joined where two share
/// some.
pub fn groups<'a>(covers: impl IntoIterator<Item = &'a Vec<String>>) -> Vec<Vec<String>> {
    let mut groups: Vec<Vec<String>> = vec![];
    for covers in covers {
        let shares = |g: &Vec<String>| g.iter().any(|c| covers.contains(c));
        let Some(first) = groups.iter().position(shares) else {
            groups.push(covers.clone());
            continue;
        };
        // A kernel that does the work of two groups joins them.
        let (mut joined, apart): (Vec<_>, Vec<_>) = groups.into_iter().partition(shares);
        joined.push(covers.clone());
        let group: IndexSet<String> = joined.concat().into_iter().collect();
        groups = apart;
        groups.insert(first, group.into_iter().collect());
    }
    groups
}

/// Groups kernels of both forms that share work, in the order of the written ones.
pub fn regions(written: &FormReport, optimized: &FormReport) -> Vec<Region> {
    let kernels = written.kernels.iter().chain(&optimized.kernels);
    groups(kernels.map(|k| &k.covers))
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
pub fn scalar_value(tensor: &Tensor) -> Option<i64> {
    let is_scalar = tensor.shape.is_empty() && tensor.dtype != DType::F32;
    is_scalar
        .then(|| tensor.to_i64().first().copied())
        .flatten()
}
