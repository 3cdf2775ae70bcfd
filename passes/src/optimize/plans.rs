//! The search over plans: which values lie in global memory, which kernels are one, then the best of each kernel.

use crate::egraph::analysis::Graph;
use crate::egraph::extract::{Candidate, ExtractError, Extraction, reads};
use crate::pins::Pins;
use crate::problem::{KernelSpec, Problem, TileNames};
use egg::{Id, Symbol};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use tilewright_ir::kernel::{Program, Role as TensorRole, Unit};
use tilewright_ir::machine::Machine;

/// A kernel's group, the stores that are needed of it, and how it runs.
pub(super) type Chosen = (Rc<Group>, Vec<usize>, Candidate);

/// Kernels as written that become one.
#[derive(Debug)]
pub(super) struct Group {
    members: Vec<usize>,
    pub spec: KernelSpec,
    buffers: Vec<Id>,
}

/// The search over plans: which values lie in global memory, then the kernels within that.
pub(super) struct PlanSearch<'a> {
    pub egraph: &'a Graph,
    pub names: &'a HashMap<Id, String>,
    pub problem: &'a Problem,
    pub shell: &'a Program,
    /// Whether sums must be taken in the order as written.
    pub exact: bool,
    pub machine: &'a Machine,
    pub buffers: &'a [Vec<Id>],
    pub pins: &'a Pins,
    /// For each plan, what is not read.
    pub families: &'a [BTreeSet<Symbol>],
    /// Whether kernels may become one.
    pub fuse: bool,
    /// Best candidates by kernels, needed stores, and what of the hidden values concerns them.
    pub memo: RefCell<HashMap<MemoKey, Result<Candidate, ExtractError>>>,
}

pub(super) type MemoKey = (Vec<usize>, Vec<usize>, Vec<Symbol>);

/// What a plan costs in sequence, and its kernels.
type Plans = (f64, Vec<Chosen>);

impl<'a> PlanSearch<'a> {
    /// The best plan, and what is not read in it.
    pub fn best(&self) -> Result<(BTreeSet<Symbol>, Vec<Chosen>), ExtractError> {
        let mut best: Option<(f64, &BTreeSet<Symbol>, Vec<Chosen>)> = None;
        let mut failure = None;
        for hidden in self.families {
            match self.fused(hidden) {
                Ok((us, plan)) => {
                    if best.as_ref().is_none_or(|(b, ..)| us < *b) {
                        best = Some((us, hidden, plan));
                    }
                }
                Err(e) => failure = failure.or(Some(e)),
            }
        }
        match (best, failure) {
            (Some((_, hidden, plan)), _) => Ok((hidden.clone(), plan)),
            (None, Some(e)) => Err(e),
            (None, None) => Ok(Default::default()),
        }
    }

    /// The best plan when `hidden` values are not read: from the kernels as written, fuses two at a time for as long as that
    /// gains.
    fn fused(&self, hidden: &BTreeSet<Symbol>) -> Result<Plans, ExtractError> {
        let mut groups: Vec<Rc<Group>> = (0..self.problem.kernels.len())
            .map(|i| self.group(vec![i]))
            .collect();
        let mut best = self.plan(&groups, hidden)?;
        if !self.fuse {
            return Ok(best);
        }
        loop {
            let mut next: Option<(Plans, Vec<Rc<Group>>)> = None;
            for a in 0..groups.len() {
                for b in a + 1..groups.len() {
                    let Some(candidate) = self.merged(&groups, a, b, &best.1) else {
                        continue;
                    };
                    // A fusion without a kernel (it does not fit, say) is no fusion.
                    let Ok(plan) = self.plan(&candidate, hidden) else {
                        continue;
                    };
                    let target = next.as_ref().map_or(best.0, |(p, _)| p.0);
                    if plan.0 < target {
                        next = Some((plan, candidate));
                    }
                }
            }
            match next {
                Some((plan, merged)) => (best, groups) = (plan, merged),
                None => return Ok(best),
            }
        }
    }

    fn group(&self, members: Vec<usize>) -> Rc<Group> {
        let specs = || members.iter().map(|m| &self.problem.kernels[*m]);
        let mut spec = self.problem.kernels[members[0]].clone();
        if members.len() > 1 {
            let names: Vec<&str> = specs().map(|s| s.name.as_str()).collect();
            spec.name = names.join("_");
            spec.covers = vec![];
            for region in specs().flat_map(|s| &s.covers) {
                if !spec.covers.contains(region) {
                    spec.covers.push(region.clone());
                }
            }
            spec.stores = specs().flat_map(|s| s.stores.clone()).collect();
            spec.reads = specs().flat_map(|s| s.reads.clone()).collect();
            spec.reduces = specs().flat_map(|s| s.reduces.clone()).collect();
            let names =
                |f: fn(&TileNames) -> Option<&String>| specs().find_map(|s| f(&s.names)).cloned();
            // A kernel that processes rows one by one has no column tile, and what contains it has none to speak of.
            let named = specs().all(|s| s.names.cols.is_some());
            spec.names.cols = names(|n| n.cols.as_ref()).filter(|_| named);
            spec.names.reduce = names(|n| n.reduce.as_ref());
        }
        Rc::new(Group {
            buffers: members
                .iter()
                .flat_map(|m| self.buffers[*m].clone())
                .collect(),
            spec,
            members,
        })
    }

    /// The groups with `a` and `b` made one, in an order in which values are stored before they are read.
    fn merged(
        &self,
        groups: &[Rc<Group>],
        a: usize,
        b: usize,
        plan: &[Chosen],
    ) -> Option<Vec<Rc<Group>>> {
        let (first, second) = (&groups[a], &groups[b]);
        let stores = |g: &Group, name: &str| g.spec.stores.iter().any(|s| s.tensor() == name);
        let reads_of = |g: &Rc<Group>| {
            let of = plan.iter().find(|(p, ..)| p.members == g.members);
            of.map(|(.., c)| reads(&c.plan)).unwrap_or_default()
        };
        let (read_a, read_b) = (reads_of(first), reads_of(second));
        let held = |g: &Group| {
            let pins = self.pins.of(&g.spec.region);
            pins.hold || !pins.is_empty() || g.spec.unit != Unit::Vector
        };
        // Nothing is gained by fusing kernels that share no value, and a pinned kernel stays what it is.
        let related =
            read_b.iter().any(|r| stores(first, r)) || read_a.iter().any(|r| read_b.contains(r));
        if held(first) || held(second) || !related {
            return None;
        }
        let mut members = [first.members.clone(), second.members.clone()].concat();
        members.sort();
        let merged = self.group(members);
        // Groups between the two go before or after; one that needs the first and feeds the second forbids it.
        let needs = |g: &Rc<Group>, of: &Group| reads_of(g).iter().any(|r| stores(of, r));
        let mut before: Vec<Rc<Group>> = groups[..a].to_vec();
        let mut after: Vec<Rc<Group>> = vec![];
        for g in &groups[a + 1..b] {
            if needs(g, first) || after.iter().any(|x| needs(g, x)) {
                after.push(g.clone());
            } else {
                before.push(g.clone());
            }
        }
        if after.iter().any(|g| needs(second, g)) {
            return None;
        }
        before.push(merged);
        before.extend(after);
        before.extend(groups[b + 1..].iter().cloned());
        Some(before)
    }

    /// The best kernels for these groups when `hidden` values are not read, from the last kernel to the first.
    fn plan(&self, groups: &[Rc<Group>], hidden: &BTreeSet<Symbol>) -> Result<Plans, ExtractError> {
        let mut chosen: Vec<Chosen> = vec![];
        let mut read: BTreeSet<String> = BTreeSet::new();
        for (i, group) in groups.iter().enumerate().rev() {
            let stores = &group.spec.stores;
            let needed: Vec<usize> = (0..stores.len())
                .filter(|s| stores[*s].result || read.contains(stores[*s].tensor()))
                .collect();
            if needed.is_empty() {
                continue;
            }
            let candidate = self.kernel(groups, i, &needed, hidden)?;
            read.extend(reads(&candidate.plan));
            chosen.push((group.clone(), needed, candidate));
        }
        chosen.reverse();
        Ok((chosen.iter().map(|(.., c)| c.estimate.us).sum(), chosen))
    }

    fn kernel(
        &self,
        groups: &[Rc<Group>],
        i: usize,
        needed: &[usize],
        hidden: &BTreeSet<Symbol>,
    ) -> Result<Candidate, ExtractError> {
        let concerns = |name: &&Symbol| {
            let reads = &groups[i].spec.reads;
            let family = |of: &str| reads.iter().any(|r| r == of);
            let split = self
                .problem
                .kernels
                .iter()
                .flat_map(|k| &k.stores)
                .find(|s| s.name == name.as_str())
                .and_then(|s| s.split_of.as_ref());
            family(name.as_str()) || split.is_some_and(|(of, _)| family(of))
        };
        let key = (
            groups[i].members.clone(),
            needed.to_vec(),
            hidden.iter().filter(concerns).copied().collect::<Vec<_>>(),
        );
        if let Some(done) = self.memo.borrow().get(&key) {
            return done.clone();
        }
        let readable = self.readable(&groups[..i], hidden);
        let extraction = self.extraction(&groups[i], needed.to_vec(), readable);
        let result = best(extraction.run(1), &extraction);
        self.memo.borrow_mut().insert(key, result.clone());
        result
    }

    pub fn extraction<'s>(
        &'s self,
        group: &'s Group,
        needed: Vec<usize>,
        readable: BTreeSet<Symbol>,
    ) -> Extraction<'s> {
        Extraction {
            egraph: self.egraph,
            names: self.names,
            problem: self.problem,
            shell: self.shell,
            exact: self.exact,
            machine: self.machine,
            spec: &group.spec,
            buffers: &group.buffers,
            needed,
            readable,
            pins: self.pins.of(&group.spec.region),
        }
    }

    /// What may be read after `earlier` groups: inputs, and what these store.
    pub fn readable(&self, earlier: &[Rc<Group>], hidden: &BTreeSet<Symbol>) -> BTreeSet<Symbol> {
        let inputs = self
            .problem
            .tensors
            .iter()
            .filter(|(_, t)| t.role == TensorRole::Input)
            .map(|(n, _)| n.as_str());
        let stores = earlier.iter().flat_map(|g| &g.spec.stores);
        let stored = stores.map(|s| s.tensor());
        inputs
            .chain(stored)
            .map(Symbol::from)
            .filter(|n| !hidden.contains(n))
            .collect()
    }
}

/// The best candidate; when a pinned tile overflows a memory, the error names the nearest tile that fits.
fn best(
    found: Result<Vec<Candidate>, ExtractError>,
    e: &Extraction,
) -> Result<Candidate, ExtractError> {
    let error = match found {
        Ok(mut candidates) => return Ok(candidates.swap_remove(0)),
        Err(error) => error,
    };
    let ExtractError::Overflow { error, .. } = error else {
        return Err(error);
    };
    for (name, value) in e.pins.tiles.iter().rev() {
        let mut pins = e.pins.clone();
        pins.tiles.shift_remove(name);
        let free = Extraction {
            pins,
            readable: e.readable.clone(),
            needed: e.needed.clone(),
            ..*e
        };
        let fitting = free.run(usize::MAX).unwrap_or_default();
        let nearest = fitting
            .iter()
            .filter_map(|c| c.kernel.params.get(name))
            .min_by_key(|v| (v.abs_diff(*value), **v));
        if let Some(nearest) = nearest {
            return Err(ExtractError::Overflow {
                error,
                remedy: format!(
                    "{}.{name}={nearest} is the nearest tile that fits",
                    e.spec.region
                ),
            });
        }
    }
    Err(ExtractError::Overflow {
        error,
        remedy: "choose smaller tiles".into(),
    })
}
