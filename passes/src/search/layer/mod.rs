//! The search of one problem: its e-graph fills a numerics policy at a time, and plans are searched in each.

mod assembly;
mod groups;
mod holds;
mod mix;
mod moves;
pub(in crate::search) mod names;
mod plans;
mod remedy;
pub(in crate::search) mod segments;
mod split;

use super::OptimizeError;
use super::why::{self, Applied, Change};
use crate::cost::{CostModel, Estimate};
use crate::egraph::saturate::{Labels, Saturation};
use crate::egraph::{SaturateError, SearchOptions, SearchReport};
use crate::hash::{HashMap, HashSet};
use crate::kernel::allocate::allocate;
use crate::lower::lower_kernel;
use crate::numerics::Numerics;
use crate::problem::{KernelSpec, Problem};
use crate::search::candidate::{Candidate, Grid};
use crate::search::kernel::{Classes, ExtractError, Priced, reads};
use crate::search::pins::{Holds, Param, Pins};
use crate::term::analysis::Graph;
use crate::term::language::Term;
use crate::term::plan::KernelPlan;
use egg::{Id, RecExpr, Symbol};
use indexmap::{IndexMap, IndexSet};
use plans::{Chosen, Evaluated, PlanSearch};
use split::alternatives;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Instant;
use tilewright_ir::kernel::{GlobalTensor, Program, Role as TensorRole};
use tilewright_ir::machine::Machine;
use tracing::debug_span;

/// The rule by whose name a mixed kernel is explained.
const MIX: &str = "mix";

/// Plans of a stage whose variants are looked at.
const VARIED: usize = 64;

/// What one problem's search found.
pub(in crate::search) struct Searched {
    /// Best first, of different shapes; never empty.
    pub plans: Vec<FoundPlan>,
    /// The problem's tensors, and those that plans add.
    pub tensors: IndexMap<String, GlobalTensor>,
    pub search: SearchReport,
    pub extract_seconds: f64,
    pub explain_seconds: f64,
}

/// A plan's kernels in launch order.
#[derive(Debug, Clone, Default)]
pub(in crate::search) struct FoundPlan {
    pub kernels: Vec<FoundKernel>,
    /// All that was decided.
    pub holds: Holds,
}

#[derive(Debug, Clone)]
pub(in crate::search) struct FoundKernel {
    pub plan: KernelPlan,
    pub estimate: Estimate,
    pub chain: Vec<Applied>,
}

impl FoundPlan {
    pub fn us(&self) -> f64 {
        self.kernels.iter().map(|k| k.estimate.us).sum()
    }
}

/// A plan of one stage: for each kernel, what it is and which of its candidates runs.
struct Variant {
    picoseconds: u64,
    of: Rc<Evaluated>,
    /// A kernel that runs its candidate of this number instead of the first.
    other: Option<(usize, usize)>,
}

/// What is left of a variant when its stage is over.
pub(in crate::search) struct Kept {
    pub picoseconds: u64,
    /// With the full terms of what they store.
    pub kernels: Vec<(KernelSpec, Candidate)>,
    /// All that was decided.
    pub holds: Holds,
}

/// Searches one problem. A stage's plans are candidates of every later stage, so that a wider policy never does worse.
pub(in crate::search) fn search(
    problem: &Problem,
    machine: &Machine,
    options: &SearchOptions,
    pins: &Pins,
) -> Result<Searched, OptimizeError> {
    let options = &SearchOptions {
        sizes: &options.sizes | &pins.sizes(problem),
        ..options.clone()
    };
    if !options.as_written && pins.policies(problem).contains(&None) {
        return as_written(problem, machine, options, pins);
    }
    let mut kept: Vec<Kept> = vec![];
    let mut tensors = problem.tensors.clone();
    let mut failure = None;
    let mut extract_seconds = 0.0;
    let saturation = fill(problem, machine, options, |saturation, policy| {
        let start = Instant::now();
        let _span = debug_span!("extract").entered();
        let labels = saturation.labels();
        let stage = Stage {
            filling: Filling::new(&saturation.egraph, &saturation.buffers, &labels, policy),
            problem,
            machine,
            options,
            told: true,
        };
        match stage.plans(pins, options.candidates.max(1)) {
            Ok((plans, with)) => {
                kept.extend(plans);
                tensors = with;
            }
            Err(e) => failure = Some(e),
        }
        extract_seconds += start.elapsed().as_secs_f64();
    })?;
    // What is looked at is a part of what there is, and may all be slower than the kernels as written, or not fit. These are there in
    // any case, but what pins ask for is what they get.
    let pinned = pins.kernels.values().any(|p| !p.is_empty());
    let written = match options.as_written || pinned {
        true => None,
        false => as_written(problem, machine, options, pins).ok(),
    };
    if let (true, Some(e)) = (kept.is_empty(), failure) {
        return written.ok_or(e.into());
    }
    let least = kept.iter().map(|k| k.picoseconds).min().unwrap_or(u64::MAX);
    let slower = |w: &Searched| least as f64 > (w.plans[0].us() * 1e6).ceil();
    let written = written.filter(slower);
    let mut kept = diverse(kept);
    // The simulator may know better, so those that are slower stay candidates.
    kept.truncate(options.candidates.max(1) - usize::from(written.is_some()));
    let search = saturation.report();
    let mut egraph = saturation.egraph;
    let _span = debug_span!("prove").entered();
    let start = Instant::now();
    let mut prover = Prover {
        egraph: &mut egraph,
        tensors: &tensors,
        problem,
        machine,
        cost: options.cost.as_ref(),
    };
    let mut plans = vec![];
    for Kept { kernels, holds, .. } in kept {
        let mut plan = FoundPlan {
            holds,
            ..FoundPlan::default()
        };
        for (spec, candidate) in kernels {
            plan.kernels.extend(prover.kernels(&spec, candidate)?);
        }
        plans.push(plan);
    }
    if let Some(mut written) = written {
        plans.insert(0, written.plans.swap_remove(0));
        for (name, tensor) in written.tensors {
            tensors.entry(name).or_insert(tensor);
        }
    }
    Ok(Searched {
        plans,
        tensors,
        search,
        extract_seconds,
        explain_seconds: start.elapsed().as_secs_f64(),
    })
}

/// The kernels as written, as far as pins do not say otherwise.
fn as_written(
    problem: &Problem,
    machine: &Machine,
    options: &SearchOptions,
    pins: &Pins,
) -> Result<Searched, OptimizeError> {
    let written = SearchOptions {
        as_written: true,
        candidates: 1,
        ..options.clone()
    };
    search(problem, machine, &written, pins)
}

/// Fills an e-graph a numerics policy at a time, and shows it after each that has plans of its own; with it, the policy: none of
/// forms as written.
pub(in crate::search) fn fill<'o>(
    problem: &Problem,
    machine: &Machine,
    options: &'o SearchOptions,
    mut show: impl FnMut(&Saturation, Option<Numerics>),
) -> Result<Saturation<'o>, SaturateError> {
    let mut saturation = Saturation::new(problem, machine, options)?;
    let mut seen = None;
    let mut policy = None;
    loop {
        let bitwise = policy.is_none_or(|p| p == Numerics::Bitwise);
        let now = (
            saturation.egraph.total_size(),
            saturation.egraph.number_of_classes(),
            bitwise,
        );
        // Without choices there is one plan; a stage that adds nothing has no other plans, unless sums were held to their order.
        if (policy.is_some() || options.as_written) && seen.replace(now) != Some(now) {
            show(&saturation, policy);
        }
        match saturation.widen()? {
            None if policy.is_none() && !options.as_written => {
                // No rule is a choice.
                policy = Some(Numerics::Bitwise);
            }
            None => return Ok(saturation),
            next => policy = next,
        }
    }
}

/// A filled e-graph, and what was found out about it.
pub(in crate::search) struct Filling<'a> {
    egraph: &'a Graph,
    classes: Classes<'a>,
    buffers: &'a [Vec<Id>],
    labels: &'a Labels,
    /// None, where it holds the forms as written.
    policy: Option<Numerics>,
    known: Priced,
}

impl<'a> Filling<'a> {
    pub fn new(
        egraph: &'a Graph,
        buffers: &'a [Vec<Id>],
        labels: &'a Labels,
        policy: Option<Numerics>,
    ) -> Self {
        Filling {
            classes: Classes::new(egraph),
            egraph,
            buffers,
            labels,
            policy,
            known: Priced::default(),
        }
    }
}

/// One stage of a search: what is asked of its e-graph.
pub(in crate::search) struct Stage<'a> {
    pub filling: Filling<'a>,
    pub problem: &'a Problem,
    pub machine: &'a Machine,
    pub options: &'a SearchOptions,
    /// Whether somebody reads proofs and remedies.
    pub told: bool,
}

impl Stage<'_> {
    /// The best plans that the stage's e-graph holds, so many at most, with the problem's tensors and theirs.
    pub fn plans(
        &self,
        pins: &Pins,
        count: usize,
    ) -> Result<(Vec<Kept>, IndexMap<String, GlobalTensor>), ExtractError> {
        self.asked(pins, |search| {
            let plans = search.best()?;
            let variants = variants(&plans, search.problem, count);
            Ok(variants.iter().map(|v| self.kept(search, v)).collect())
        })
    }

    /// What the forms of a kernel as written span, by its parts.
    pub fn spans(&self, region: &str) -> Result<Vec<Vec<Param>>, ExtractError> {
        Ok(self.asked(&Pins::default(), |s| Ok(s.spans(region)))?.0)
    }

    /// What the search over this stage's plans with these pins says, with the tensors that it knows.
    fn asked<A>(
        &self,
        pins: &Pins,
        ask: impl FnOnce(&PlanSearch) -> Result<A, ExtractError>,
    ) -> Result<(A, IndexMap<String, GlobalTensor>), ExtractError> {
        let Filling {
            egraph,
            classes,
            buffers,
            labels,
            policy,
            known,
        } = &self.filling;
        let (machine, options) = (self.machine, self.options);
        if let Some(wanted) = pins.policies(self.problem).iter().find(|p| *p != policy) {
            return Err(holds::other_policy(self.problem, *wanted));
        }
        let mut problem = self.problem.clone();
        let mut buffers = buffers.to_vec();
        let products = alternatives(&mut problem, egraph, &mut buffers, pins)?;
        let shell = Program {
            name: problem.name.clone(),
            machine: machine.name.clone(),
            ranks: problem.ranks,
            tensors: problem.tensors.clone(),
            scalars: problem.scalars.clone(),
            kernels: vec![],
        };
        let mut search = PlanSearch {
            egraph,
            classes,
            labels,
            problem: &problem,
            shell: &shell,
            exact: policy.is_none_or(|p| p == Numerics::Bitwise),
            machine,
            cost: options.cost.as_ref(),
            buffers: &buffers,
            pins,
            products: &products,
            fuse: !options.as_written && !options.disabled.contains("fuse"),
            mix: !options.as_written && !options.disabled.contains("mix"),
            reserved: HashMap::default(),
            known,
            remedies: self.told,
            memo: Default::default(),
        };
        search.reserved = search.reserve();
        let answer = ask(&search)?;
        drop(search);
        Ok((answer, problem.tensors))
    }

    /// What is left of a variant when its stage is over.
    fn kept(&self, search: &PlanSearch, variant: &Variant) -> Kept {
        let stores = || search.problem.kernels.iter().flat_map(|k| &k.stores);
        let wholes = stores().filter_map(|s| Some((Symbol::from(s.tensor()), s.whole.as_ref()?)));
        let bufs: HashMap<Symbol, &RecExpr<Term>> = stores()
            .map(|s| (Symbol::from(&s.name), &s.buffer))
            .chain(wholes)
            .collect();
        let mut kernels = vec![];
        for (i, chosen) in variant.of.chosen.iter().enumerate() {
            let other = variant.other.filter(|(k, _)| *k == i);
            let mut candidate = chosen.candidates[other.map_or(0, |(_, c)| c)].clone();
            let Chosen {
                group,
                needed,
                readable,
                products,
                ..
            } = chosen;
            // The full terms are for proofs.
            if self.told {
                candidate.terms = search
                    .extraction(group, needed.clone(), readable.clone())
                    .full_terms(&candidate, &bufs);
                for (product, of) in candidate.products.iter_mut().zip(products) {
                    let extraction =
                        search.extraction(&of.group, of.needed.clone(), of.readable.clone());
                    product.candidate.terms = extraction.full_terms(&product.candidate, &bufs);
                }
            }
            kernels.push((group.spec.clone(), candidate));
        }
        Kept {
            picoseconds: variant.picoseconds,
            kernels,
            holds: search.holds(&variant.of, variant.other, self.filling.policy),
        }
    }
}

/// The best `count` plans no two of which differ only in loops and their tiles; where there are fewer, such plans follow.
fn variants(plans: &[Rc<Evaluated>], problem: &Problem, count: usize) -> Vec<Variant> {
    let mut all: Vec<Variant> = vec![];
    for plan in plans.iter().take(if count == 1 { 1 } else { VARIED }) {
        let cost = plan.cost.picoseconds();
        all.push(Variant {
            picoseconds: cost,
            of: plan.clone(),
            other: None,
        });
        // Another candidate of a kernel must find what it reads.
        let read: BTreeSet<String> = (plan.chosen.iter())
            .flat_map(|c| reads(&c.candidates[0].plan))
            .collect();
        let there = |name: &String| {
            let input = |t: &GlobalTensor| t.role == TensorRole::Input;
            read.contains(name) || problem.tensors.get(name).is_some_and(input)
        };
        for (i, chosen) in plan.chosen.iter().enumerate() {
            let own = chosen.candidates[0].rank().0;
            for (j, candidate) in chosen.candidates.iter().enumerate().skip(1) {
                if reads(&candidate.plan).iter().all(there) {
                    all.push(Variant {
                        picoseconds: cost - own + candidate.rank().0,
                        of: plan.clone(),
                        other: Some((i, j)),
                    });
                }
            }
        }
    }
    all.sort_by_key(|v| v.picoseconds);
    let mut shapes = HashSet::default();
    let shape = |v: &Variant| {
        let of = v.of.chosen.iter().enumerate().map(|(i, c)| {
            let j = v.other.map_or(0, |(k, j)| if k == i { j } else { 0 });
            shape(&c.group.spec, &c.candidates[j])
        });
        of.collect::<Vec<_>>()
    };
    let (mut kept, rest): (Vec<Variant>, Vec<Variant>) =
        all.into_iter().partition(|v| shapes.insert(shape(v)));
    kept.extend(rest);
    kept.truncate(count);
    kept
}

/// What makes a kernel of a plan another than one that differs in loops and their tiles: whose work it does, its grid, what it
/// reads.
fn shape(spec: &KernelSpec, candidate: &Candidate) -> (String, Grid, Vec<String>) {
    let mut reads: Vec<String> = reads(&candidate.plan).into_iter().collect();
    reads.sort();
    (spec.name.clone(), candidate.grid, reads)
}

/// Plans of all stages, best first, those of a stricter policy before equal ones: first one of each shape, then the others.
pub(in crate::search) fn diverse(mut plans: Vec<Kept>) -> Vec<Kept> {
    plans.sort_by_key(|p| p.picoseconds);
    let mut texts = HashSet::default();
    plans.retain(|Kept { kernels, .. }| {
        let text = |(_, c): &(_, Candidate)| c.plan.terms();
        texts.insert(kernels.iter().map(text).collect::<String>())
    });
    let mut shapes = HashSet::default();
    let (mut first, rest): (Vec<Kept>, Vec<Kept>) =
        plans.into_iter().partition(|Kept { kernels, .. }| {
            let of = kernels.iter().map(|(spec, c)| shape(spec, c));
            shapes.insert(of.collect::<Vec<_>>())
        });
    first.extend(rest);
    first
}

/// Turns candidates into kernels of a plan, with the rules that led to them.
struct Prover<'a> {
    egraph: &'a mut Graph,
    /// The problem's tensors, and those of split products.
    tensors: &'a IndexMap<String, GlobalTensor>,
    problem: &'a Problem,
    machine: &'a Machine,
    cost: &'a dyn CostModel,
}

impl Prover<'_> {
    /// A candidate's kernels: the one that fills its padding, if that is one of its own, and itself.
    fn kernels(
        &mut self,
        spec: &KernelSpec,
        candidate: Candidate,
    ) -> Result<Vec<FoundKernel>, ExtractError> {
        let mut chain = vec![];
        for product in &candidate.products {
            chain.extend(why::chain(self.egraph, &product.spec, &product.candidate));
        }
        chain.extend(why::chain(self.egraph, spec, &candidate));
        chain.extend(mixed(&candidate));
        let mut out = vec![];
        if let Some(init) = candidate.init {
            // The launch of the filling is part of the same proof.
            let kept = |l: &&Applied| l.rule == "hoist-init" || l.rule == "parallel-to-spmd";
            out.push(self.kernel(init, chain.iter().filter(kept).cloned().collect())?);
        }
        out.push(self.kernel(candidate.plan, chain)?);
        Ok(out)
    }

    fn kernel(&self, plan: KernelPlan, chain: Vec<Applied>) -> Result<FoundKernel, ExtractError> {
        let plan = KernelPlan {
            derivation: why::derivation(&chain),
            ..plan
        };
        let mut kernel = lower_kernel(&plan, self.tensors, &self.problem.scalars, self.machine)
            .map_err(ExtractError::Lower)?;
        allocate(&mut kernel, self.machine).map_err(ExtractError::overflow)?;
        Ok(FoundKernel {
            estimate: self.cost.estimate(&kernel, self.machine),
            plan,
            chain,
        })
    }
}

/// That products and a vector kernel are one launch. It is no rewrite: the terms of both are as they were.
fn mixed(candidate: &Candidate) -> Option<Applied> {
    if candidate.products.is_empty() {
        return None;
    }
    // What one part hands to the other: operands of the products, or else these.
    let products = || candidate.products.iter().map(|t| &t.candidate.plan);
    let read: IndexSet<String> = products().flat_map(reads).collect();
    let own = candidate.plan.roots.iter().map(|r| r.tensor.as_str());
    let mut names: Vec<&str> = own.filter(|n| read.contains(*n)).collect();
    if names.is_empty() {
        let stored = products().flat_map(|p| &p.roots);
        names = stored.map(|r| r.tensor.as_str()).collect();
    }
    Some(Applied {
        rule: MIX.into(),
        backwards: false,
        changes: vec![Change {
            param: "mix".into(),
            before: format!("{} in global memory between two launches", names.join(", ")),
            after: "one launch on both core types".into(),
        }],
    })
}
