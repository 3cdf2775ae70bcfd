//! The search over plans: which values lie in global memory, which kernels are one, and who reads what; then the best of each
//! kernel.
//!
//! These choices are independent moves from an incumbent. The search starts from the kernels as written, takes the best
//! single move for as long as one gains, then looks at pairs of moves that are about the same kernels, and then starts again
//! from seeded changes of the best plan. Products and their readers in one launch come last, from the best plan without. A kernel is extracted once for what it stores and may read, however many plans it
//! is in. How many kernels are extracted and how many plans are looked at is bounded by counts, linear in the number of
//! kernels, so that the search ends and does not depend on the clock.

use super::assembly::Assembly;
use super::groups::Group;
use super::mix::Wanted;
use super::moves::{Key, Move, State};
use super::remedy::remedied;
use super::split::Product;
use crate::cost::CostModel;
use crate::egraph::saturate::Labels;
use crate::hash::{HashMap, HashSet, scattered};
use crate::problem::{KernelSpec, Problem};
use crate::search::candidate::{Candidate, Grid, Scored};
use crate::search::kernel::{Classes, ExtractError, Extraction, Priced, reads};
use crate::search::pins::{Param, Pins};
use crate::search::trials::params;
use crate::term::analysis::Graph;
use egg::{Id, Symbol};
use indexmap::{IndexMap, IndexSet};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use tilewright_ir::kernel::{Program, Role as TensorRole};
use tilewright_ir::machine::Machine;
use tracing::{debug, debug_span};

/// Kernels that are extracted after the first descent, and plans that are looked at, for each kernel as written.
const EXTRACTIONS: usize = 4;
const PLANS: usize = 200;
/// Starts from changes of the best plan, and moves that each makes.
const RESTARTS: u64 = 2;
const CHANGES: u64 = 2;
/// Candidates of one kernel that are kept: the best of so many grids.
const KEPT: usize = 6;

/// How a kernel of a plan runs.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub group: Rc<Group>,
    /// The stores that somebody reads.
    pub needed: Vec<usize>,
    pub readable: BTreeSet<Symbol>,
    /// Products that it takes over, all of its candidates or none.
    pub products: Vec<Wanted>,
    /// Best first; the others have other grids.
    pub candidates: Rc<Vec<Candidate>>,
}

/// What a state costs; the least is the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StateCost {
    /// Picoseconds of all kernels in sequence.
    Whole(u64),
    /// Kernels that have no candidate, and picoseconds of the others.
    Lacking(usize, u64),
    /// Nobody looked: as many states were looked at as may be.
    Unseen,
}

impl StateCost {
    pub fn is_whole(self) -> bool {
        matches!(self, StateCost::Whole(_))
    }

    /// Of the kernels that have a candidate.
    pub fn picoseconds(self) -> u64 {
        match self {
            StateCost::Whole(p) | StateCost::Lacking(_, p) => p,
            StateCost::Unseen => 0,
        }
    }
}

/// What a state is worth.
#[derive(Debug, Clone)]
pub(super) struct Evaluated {
    pub cost: StateCost,
    pub chosen: Vec<Chosen>,
    pub error: Option<ExtractError>,
    /// What was decided before kernels were extracted.
    pub state: Rc<State>,
}

impl Evaluated {
    /// What a group reads in this plan; as written, where it has no candidate.
    pub fn reads_of(&self, group: &Group) -> IndexSet<String> {
        let is = |g: &Group| g.members == group.members;
        let taken = self.chosen.iter().find_map(|c| {
            let place = c.products.iter().position(|w| is(&w.group))?;
            c.candidates[0].plan.products.get(place)
        });
        if let Some(product) = taken {
            return reads(product);
        }
        match self.chosen.iter().find(|c| is(&c.group)) {
            Some(c) => reads(&c.candidates[0].plan),
            // Kernels that nobody needs are in no plan.
            None if self.cost.is_whole() => IndexSet::new(),
            None => group.spec.reads.iter().cloned().collect(),
        }
    }
}

/// The search over plans.
pub(super) struct PlanSearch<'a> {
    pub egraph: &'a Graph,
    pub classes: &'a Classes<'a>,
    pub labels: &'a Labels,
    pub problem: &'a Problem,
    pub shell: &'a Program,
    /// Whether sums must be taken in the order as written.
    pub exact: bool,
    pub machine: &'a Machine,
    pub cost: &'a dyn CostModel,
    pub buffers: &'a [Vec<Id>],
    pub pins: &'a Pins,
    pub products: &'a [Product],
    /// Whether kernels may become one.
    pub fuse: bool,
    /// Whether products and their readers may be one launch.
    pub mix: bool,
    /// Products that a pin mixes with a reader, and that reader.
    pub reserved: HashMap<Symbol, usize>,
    /// What this e-graph's kernels cost, whatever is pinned.
    pub known: &'a Priced,
    /// Whether a refusal names what would fit.
    pub remedies: bool,
    pub memo: Memo,
}

/// The candidates of a kernel, or why there are none.
pub(super) type Extracted = Result<Rc<Vec<Candidate>>, ExtractError>;

/// What was found, and what may still be looked for.
#[derive(Default)]
pub(super) struct Memo {
    groups: RefCell<HashMap<Vec<usize>, Rc<Group>>>,
    kernels: RefCell<HashMap<KernelKey, Extracted>>,
    mixed: RefCell<HashMap<Vec<KernelKey>, Extracted>>,
    /// Every plan that was looked at and has all its kernels, in that order.
    plans: RefCell<IndexMap<Key, Rc<Evaluated>>>,
    /// By kernel as written, its picoseconds alone.
    apart: RefCell<HashMap<usize, u64>>,
    extractions: Cell<usize>,
    looked: Cell<usize>,
    /// Whether moves mix kernels: after what can be had without.
    mixing: Cell<bool>,
}

/// Kernels, needed stores, and what may be read.
type KernelKey = (Vec<usize>, Vec<usize>, Vec<Symbol>);

impl<'a> PlanSearch<'a> {
    /// The plans that were looked at, best first.
    pub fn best(&self) -> Result<Vec<Rc<Evaluated>>, ExtractError> {
        let kernels = self.problem.kernels.len();
        let start = self.start()?;
        self.memo.looked.set(PLANS * kernels.max(1));
        self.memo.extractions.set(usize::MAX);
        let first = self.evaluate(&start);
        // What kernels cost apart is what they have to beat as one.
        if first.cost.is_whole() {
            let apart = first.chosen.iter();
            let apart = apart.map(|c| (c.group.members[0], c.candidates[0].rank().0));
            self.memo.apart.borrow_mut().extend(apart);
        }
        let (mut state, mut best) = self.descend(start, first.clone());
        self.memo.extractions.set(EXTRACTIONS * kernels);
        (state, best) = self.pairs(state, best);
        for restart in 0..RESTARTS {
            let (mut other, mut at) = (state.clone(), best.clone());
            for change in 0..CHANGES {
                let moves = Move::all(self, &other, &at);
                if moves.is_empty() {
                    break;
                }
                let pick = scattered(restart * CHANGES + change) % moves.len() as u64;
                if let Some(next) = moves[pick as usize].apply(self, &other, &at) {
                    at = self.evaluate(&next);
                    other = next;
                }
            }
            let (other, at) = self.descend(other, at);
            if at.cost < best.cost {
                (state, best) = self.pairs(other, at);
            }
        }
        // Last, so that a launch saved early does not stand in the way of a fusion that saves more.
        if self.mix {
            self.memo.mixing.set(true);
            self.memo.looked.set(PLANS * kernels.max(1));
            self.memo.extractions.set(EXTRACTIONS * kernels);
            (state, best) = self.descend(state, best);
            // However much that took.
            self.memo.extractions.set(EXTRACTIONS * kernels);
            (_, best) = self.apart(state, best);
        }
        if !best.cost.is_whole() {
            let error = first.error.clone().or(best.error.clone());
            return error.map_or(Ok(vec![]), Err);
        }
        let mut plans: Vec<Rc<Evaluated>> = self.memo.plans.borrow().values().cloned().collect();
        plans.sort_by_key(|p| p.cost);
        if let Some(refined) = plans.first().and_then(|best| self.refined(best)) {
            plans.insert(0, Rc::new(refined));
        }
        Ok(plans)
    }

    /// A plan whose kernels are refined one by one, if that gains.
    fn refined(&self, plan: &Evaluated) -> Option<Evaluated> {
        let _span = debug_span!("refine").entered();
        let mut out = plan.clone();
        let mut picoseconds = plan.cost.picoseconds();
        let alone = |c: &&mut Chosen| c.products.is_empty();
        for chosen in out.chosen.iter_mut().filter(alone) {
            let (needed, readable) = (chosen.needed.clone(), chosen.readable.clone());
            let best = &chosen.candidates[0];
            let refined = self
                .extraction(&chosen.group, needed, readable)
                .refine(best);
            picoseconds -= best.rank().0 - refined.rank().0;
            let others = chosen.candidates[1..].iter().cloned();
            chosen.candidates = Rc::new(std::iter::once(refined).chain(others).collect());
        }
        out.cost = StateCost::Whole(picoseconds);
        (out.cost < plan.cost).then_some(out)
    }

    /// Whether moves may put a product and its reader into one launch.
    pub fn mixing(&self) -> bool {
        self.memo.mixing.get()
    }

    /// Takes the best single move for as long as one gains.
    fn descend(&self, mut state: State, mut at: Rc<Evaluated>) -> (State, Rc<Evaluated>) {
        loop {
            let mut next: Option<(State, Rc<Evaluated>)> = None;
            for m in Move::all(self, &state, &at) {
                let Some(other) = m.apply(self, &state, &at) else {
                    continue;
                };
                let found = self.evaluate(&other);
                if found.cost < next.as_ref().map_or(at.cost, |(_, n)| n.cost) {
                    next = Some((other, found));
                }
            }
            let done = self.memo.plans.borrow().len();
            let best_us = at.cost.picoseconds() as f64 / 1e6;
            debug!(progress = "plans", done, best_us);
            match next {
                Some((s, a)) => (state, at) = (s, a),
                None => return (state, at),
            }
        }
    }

    /// Pairs of moves that are about the same kernels, each of which alone does not gain.
    fn pairs(&self, state: State, at: Rc<Evaluated>) -> (State, Rc<Evaluated>) {
        let moves = Move::all(self, &state, &at);
        let alone: Vec<Option<(State, Rc<Evaluated>)>> = moves
            .iter()
            .map(|m| {
                m.apply(self, &state, &at)
                    .map(|s| (s.clone(), self.evaluate(&s)))
            })
            .collect();
        let mut best = (state.clone(), at.clone());
        for (i, m) in moves.iter().enumerate() {
            let Some((one, found)) = &alone[i] else {
                continue;
            };
            for (j, other) in moves.iter().enumerate() {
                // Each pair once; a move that is possible only after another comes second.
                if j == i || (j < i && alone[j].is_some()) || !m.touches(other, self) {
                    continue;
                }
                let Some(two) = other.apply(self, one, found) else {
                    continue;
                };
                let both = self.evaluate(&two);
                if both.cost < best.1.cost {
                    best = (two, both);
                }
            }
        }
        match best.1.cost < at.cost {
            true => self.descend(best.0, best.1),
            false => best,
        }
    }

    /// From plans in which a product and a vector kernel are one launch, whatever that costs at first: kernels that would be part of
    /// it leave their fusions, and others become one instead.
    fn apart(&self, mut state: State, mut best: Rc<Evaluated>) -> (State, Rc<Evaluated>) {
        for kernel in (0..self.problem.kernels.len()).filter(|k| self.mixes(*k)) {
            if self.mix_pin(kernel).is_some() || state.mixed.contains(&kernel) {
                continue;
            }
            let beside = [self.products_of(kernel), self.makers_of(kernel)].concat();
            let leaves = |m: &usize| *m == kernel || beside.contains(m);
            let other = state.without_fusions(self, &leaves);
            let at = self.evaluate(&other);
            let Some(other) = Move::Mix(kernel, true).apply(self, &other, &at) else {
                continue;
            };
            let at = self.evaluate(&other);
            if !at.cost.is_whole() {
                continue;
            }
            let (other, at) = self.descend(other, at);
            if at.cost < best.cost {
                (state, best) = (other, at);
            }
        }
        (state, best)
    }

    pub(super) fn group(&self, members: Vec<usize>) -> Rc<Group> {
        let mut groups = self.memo.groups.borrow_mut();
        let new = || {
            Group::new(
                members.clone(),
                self.problem,
                self.buffers,
                self.egraph,
                self.pins,
            )
        };
        groups.entry(members.clone()).or_insert_with(new).clone()
    }

    /// The kernel as written that stores a value.
    pub fn home(&self, value: Symbol) -> Option<usize> {
        let stores =
            |k: &crate::problem::KernelSpec| k.stores.iter().any(|s| s.tensor() == value.as_str());
        self.problem.kernels.iter().position(stores)
    }

    /// The best kernels of a state: looked up, or assembled while there are plans left to look at.
    fn evaluate(&self, state: &State) -> Rc<Evaluated> {
        let key = state.key();
        if let Some(done) = self.memo.plans.borrow().get(&key) {
            return done.clone();
        }
        let left = self.memo.looked.get();
        if left == 0 {
            return Rc::new(Evaluated {
                cost: StateCost::Unseen,
                chosen: vec![],
                error: None,
                state: Rc::new(state.clone()),
            });
        }
        self.memo.looked.set(left - 1);
        let found = Rc::new(Assembly::new(self, state).run());
        if found.cost.is_whole() {
            let mut plans = self.memo.plans.borrow_mut();
            plans.insert(key, found.clone());
        }
        found
    }

    pub(super) fn kernel(
        &self,
        group: &Group,
        needed: &[usize],
        readable: &BTreeSet<Symbol>,
    ) -> Result<Rc<Vec<Candidate>>, ExtractError> {
        let names = readable.iter().copied().collect();
        let key = (group.members.clone(), needed.to_vec(), names);
        if let Some(done) = self.memo.kernels.borrow().get(&key) {
            return done.clone();
        }
        let extraction = self.extraction(group, needed.to_vec(), readable.clone());
        let left = self.memo.extractions.get();
        if left == 0 {
            return Err(extraction.unknown());
        }
        self.memo.extractions.set(left - 1);
        let result = match extraction.run(self.worth(group), diverse) {
            Ok(found) => Ok(Rc::new(found)),
            Err(error) if self.remedies => Err(remedied(error, &extraction)),
            Err(error) => Err(error),
        };
        self.memo.kernels.borrow_mut().insert(key, result.clone());
        result
    }

    pub(super) fn mixed(&self, reader: &Wanted, products: &[Wanted]) -> Extracted {
        let key = |w: &Wanted| {
            let names = w.readable.iter().copied().collect();
            (w.group.members.clone(), w.needed.clone(), names)
        };
        let keys: Vec<KernelKey> = products.iter().chain([reader]).map(key).collect();
        if let Some(done) = self.memo.mixed.borrow().get(&keys) {
            return done.clone();
        }
        let left = self.memo.extractions.get();
        if left == 0 {
            let readable = reader.readable.clone();
            return Err(self
                .extraction(&reader.group, reader.needed.clone(), readable)
                .unknown());
        }
        self.memo.extractions.set(left - 1);
        let result = self.mix(reader, products).map(Rc::new);
        self.memo.mixed.borrow_mut().insert(keys, result.clone());
        result
    }

    /// Picoseconds that a group of kernels has to stay below to be worth it; none of one kernel.
    fn worth(&self, group: &Group) -> Option<u64> {
        let apart = self.memo.apart.borrow();
        let costs = group.members.iter().map(|m| apart.get(m).copied());
        match group.members.len() {
            1 => None,
            _ => costs.sum(),
        }
    }

    pub fn extraction<'s>(
        &'s self,
        group: &'s Group,
        needed: Vec<usize>,
        readable: BTreeSet<Symbol>,
    ) -> Extraction<'s> {
        Extraction {
            classes: self.classes,
            labels: self.labels,
            problem: self.problem,
            shell: self.shell,
            exact: self.exact,
            machine: self.machine,
            cost: self.cost,
            spec: &group.spec,
            members: &group.members,
            known: self.known,
            buffers: &group.buffers,
            needed,
            readable,
            grids: None,
            // What pins want to be one has those of its first kernel.
            pins: group
                .pins
                .clone()
                .unwrap_or_else(|| self.pins.of(&self.problem.kernels[group.members[0]])),
        }
    }

    /// What the forms of a kernel as written span, by its parts.
    pub fn spans(&self, region: &str) -> Vec<Vec<Param>> {
        let kernels = self.problem.kernels.iter().enumerate();
        let own = kernels.filter(|(_, spec)| spec.region == region);
        let spans = |(place, spec): (usize, &KernelSpec)| {
            let group = self.group(vec![place]);
            let needed = (0..group.spec.stores.len()).collect();
            let extraction = self.extraction(&group, needed, self.readable(&[]));
            params(spec, &extraction.spans())
        };
        let mut out: Vec<Vec<Param>> = own.map(spans).collect();
        if self.mix && (0..self.problem.kernels.len()).any(|k| self.mixes(k)) {
            out.push(vec![Param::Mix(false), Param::Mix(true)]);
        }
        out
    }

    /// What may be read after `earlier` groups: inputs, and what these store.
    pub(super) fn readable(&self, earlier: &[Rc<Group>]) -> BTreeSet<Symbol> {
        let tensors = self.problem.tensors.iter();
        let inputs = tensors
            .filter(|(_, t)| t.role == TensorRole::Input)
            .map(|(n, _)| n.as_str());
        let stores = earlier.iter().flat_map(|g| &g.spec.stores);
        inputs
            .chain(stores.map(|s| s.tensor()))
            .map(Symbol::from)
            .collect()
    }
}

/// The best candidate of each grid, and of the next best ones as many as still fit; best first.
fn diverse(found: &[Scored]) -> Vec<usize> {
    let mut grids: HashSet<Grid> = HashSet::default();
    let (mut kept, rest): (Vec<usize>, Vec<usize>) =
        (0..found.len()).partition(|i| grids.len() < KEPT && grids.insert(found[*i].grid));
    kept.extend(rest.into_iter().take(KEPT - kept.len().min(KEPT)));
    kept.sort_by_key(|i| found[*i].rank);
    kept
}
