//! Many questions to one e-graph: what is the best kernel with these pins?
//!
//! Filling an e-graph takes longer than asking it, and does not depend on pins. So whoever tries many schedules of a kernel fills
//! once ([`Filled`]) and asks often ([`Asker`]). The answer is the plan that the search over the same kernels gives with these pins.

use super::OptimizeError;
use super::kernel::Spans;
use super::layer::segments::{canonical, part};
use super::layer::{Filling, Kept, Stage, diverse, fill};
use super::pins::{Param, Pin, Pins};
use crate::egraph::SearchOptions;
use crate::egraph::saturate::Labels;
use crate::numerics::Numerics;
use crate::problem::Problem;
use crate::term::analysis::Graph;
use crate::term::plan::Plan;
use egg::Id;
use indexmap::IndexMap;
use std::collections::BTreeSet;
use tilewright_ir::kernel::{GlobalTensor, Role, Unit};
use tilewright_ir::machine::Machine;

/// A kernel as written, alone.
#[derive(Debug, Clone)]
pub struct Region {
    pub name: String,
    /// Its parts; what they read of other kernels is input.
    pub problem: Problem,
    /// A text that equal kernels share, whatever they and their values are called.
    pub text: String,
}

/// The kernels as written of a layer, each alone. Exchanges are none: they have no schedule to try.
pub fn regions(problem: &Problem) -> Vec<Region> {
    let mut places: IndexMap<&str, Vec<usize>> = IndexMap::new();
    for (place, spec) in problem.kernels.iter().enumerate() {
        places.entry(&spec.region).or_default().push(place);
    }
    let free = |of: &&(&str, Vec<usize>)| {
        let mut specs = of.1.iter().map(|k| &problem.kernels[*k]);
        specs.all(|s| s.exchange.is_none())
    };
    let all: Vec<(&str, Vec<usize>)> = places.into_iter().collect();
    let region = |(name, kernels): &(&str, Vec<usize>)| {
        let mut problem = part(problem, kernels);
        // What other kernels read is what this one is for.
        let results: Vec<String> = (problem.kernels.iter())
            .flat_map(|k| k.stores.iter().filter(|s| s.result))
            .map(|s| s.tensor().to_owned())
            .collect();
        for name in results {
            if let Some(tensor) = problem.tensors.get_mut(&name) {
                tensor.role = Role::Output;
            }
        }
        let text = canonical(&problem, &Pins::default()).0;
        Region {
            name: (*name).to_owned(),
            problem,
            text,
        }
    };
    all.iter().filter(free).map(region).collect()
}

/// A text that equal layers share, whatever their kernels and values are called.
pub fn text(problem: &Problem) -> String {
    canonical(problem, &Pins::default()).0
}

/// A parameter, and the values that it has in some form of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    pub name: String,
    /// In the order of their sizes.
    pub values: Vec<Param>,
}

/// The e-graph of some kernels after each numerics policy.
pub struct Filled {
    problem: Problem,
    machine: Machine,
    options: SearchOptions,
    stages: Vec<Shown>,
}

struct Shown {
    egraph: Graph,
    buffers: Vec<Vec<Id>>,
    labels: Labels,
    policy: Option<Numerics>,
}

impl Filled {
    /// Fills the e-graph.
    ///
    /// # Errors
    ///
    /// Rules that do not exist or do not hold.
    pub fn new(
        problem: Problem,
        machine: &Machine,
        options: &SearchOptions,
    ) -> Result<Self, OptimizeError> {
        let mut stages = vec![];
        fill(&problem, machine, options, |saturation, policy| {
            stages.push(Shown {
                egraph: saturation.egraph.clone(),
                buffers: saturation.buffers.clone(),
                labels: saturation.labels(),
                policy,
            });
        })?;
        Ok(Filled {
            problem,
            machine: machine.clone(),
            options: options.clone(),
            stages,
        })
    }

    /// The kernels that the e-graph holds.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// Who asks: one a thread.
    pub fn asker(&self) -> Asker<'_> {
        let mut stages = vec![];
        for shown in &self.stages {
            let Shown {
                egraph,
                buffers,
                labels,
                policy,
            } = shown;
            stages.push(Stage {
                filling: Filling::new(egraph, buffers, labels, *policy),
                problem: &self.problem,
                machine: &self.machine,
                options: &self.options,
                told: false,
            });
        }
        Asker {
            filled: self,
            stages,
        }
    }
}

/// Asks an e-graph, and remembers what kernels cost.
pub struct Asker<'f> {
    filled: &'f Filled,
    stages: Vec<Stage<'f>>,
}

impl Asker<'_> {
    /// The best plans with these pins, so many at most and of different shapes, best first.
    ///
    /// # Errors
    ///
    /// Pins that the kernels cannot have together; what would fit instead is not looked for.
    pub fn plans(&self, pins: &Pins, count: usize) -> Result<Vec<Plan>, OptimizeError> {
        let mut kept: Vec<Kept> = vec![];
        let mut tensors = self.filled.problem.tensors.clone();
        let mut failure = None;
        for stage in &self.stages {
            match stage.plans(pins, count) {
                Ok((plans, with)) => {
                    kept.extend(plans);
                    tensors = with;
                }
                Err(e) => failure = Some(e),
            }
        }
        if let (true, Some(e)) = (kept.is_empty(), failure) {
            return Err(e.into());
        }
        let kept = match count {
            1 => kept
                .into_iter()
                .min_by_key(|k| k.picoseconds)
                .into_iter()
                .collect(),
            _ => diverse(kept),
        };
        let plans = kept.into_iter().take(count);
        Ok(plans.map(|k| self.plan(k, &tensors)).collect())
    }

    fn plan(&self, Kept { kernels, .. }: Kept, tensors: &IndexMap<String, GlobalTensor>) -> Plan {
        let problem = &self.filled.problem;
        let of = kernels.into_iter().map(|(_, candidate)| candidate);
        Plan {
            name: problem.name.clone(),
            tensors: tensors.clone(),
            scalars: problem.scalars.clone(),
            ranks: problem.ranks,
            kernels: of
                .flat_map(|c| c.init.into_iter().chain([c.plan]))
                .collect(),
        }
    }

    /// What the forms of a kernel as written span: only what has more than one value, and only values that a pin may have.
    pub fn ranges(&self, region: &str) -> Vec<Range> {
        let mut out: IndexMap<String, Vec<Param>> = IndexMap::new();
        for stage in &self.stages {
            let Ok(spans) = stage.spans(region) else {
                continue;
            };
            for param in spans.into_iter().flatten() {
                let values = out.entry(param.name().to_owned()).or_default();
                if !values.contains(&param) {
                    values.push(param);
                }
            }
        }
        let can = |param: &Param| {
            let pin = Pin {
                kernel: region.into(),
                param: param.clone(),
            };
            Pins::check(&[pin], &self.filled.problem).is_ok()
        };
        let mut ranges = vec![];
        for (name, mut values) in out {
            values.retain(can);
            values.sort_by_key(size);
            if values.len() > 1 {
                ranges.push(Range { name, values });
            }
        }
        ranges
    }
}

/// What values of one parameter are ordered by.
pub(super) fn size(param: &Param) -> usize {
    match param {
        Param::Pipeline(n) | Param::Blocks(n) | Param::SplitK(n) | Param::Tile(_, n) => *n,
        Param::Hoisted(yes)
        | Param::Mix(yes)
        | Param::Feed(yes)
        | Param::Refine(yes)
        | Param::ByLine(yes) => usize::from(*yes),
        Param::Launch(kind) | Param::Fill(kind) => *kind as usize,
        Param::Reads(names) | Param::Fuse(names) | Param::Unread(names) => names.len(),
        Param::Grid(blocks) => blocks.rows,
        Param::Stores(trips) | Param::Reduces(trips) => trips.trips,
        Param::Prefer(reads) => *reads as usize,
        Param::Numerics(policy) => policy.map_or(0, |p| 1 + p as usize),
    }
}

/// The values that a kernel's spans are, as parameters under the names of its tiles.
pub(super) fn params(spec: &crate::problem::KernelSpec, spans: &Spans) -> Vec<Param> {
    let tile = |name: Option<&String>, sizes: &BTreeSet<usize>| {
        let params = |name: &String| {
            let tile = |n: &usize| Param::Tile(name.clone(), *n);
            sizes.iter().map(tile).collect::<Vec<_>>()
        };
        name.map(params).unwrap_or_default()
    };
    let names = &spec.names;
    let mut out = vec![];
    out.extend(spans.launches.iter().map(|k| Param::Launch(*k)));
    out.extend(tile(Some(&names.rows), &spans.rows));
    out.extend(tile(names.cols.as_ref(), &spans.cols));
    out.extend(tile(names.reduce.as_ref(), &spans.chunks));
    out.extend(spans.depths.iter().map(|d| Param::Pipeline(*d)));
    out.extend(spans.blocks.iter().map(|b| Param::Blocks(*b)));
    out.extend(spans.hoisted.iter().map(|h| Param::Hoisted(*h)));
    let splits = spec.stores.iter().filter_map(|s| s.split_of.as_ref());
    let parts: Vec<Param> = splits.map(|(_, parts)| Param::SplitK(*parts)).collect();
    if !parts.is_empty() && spec.unit == Unit::Cube {
        out.push(Param::SplitK(1));
        out.extend(parts);
    }
    out
}
