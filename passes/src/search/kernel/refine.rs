//! Refinement of one kernel on its real cost: one value or one class at a time does otherwise than the rest.
//!
//! On a grid, candidates differ in how all loops run and in nothing else; what is cheapest by itself decides the rest. That
//! misses kernels in which one store runs unlike the others, or a class is worth more than it costs because others share it.
//! So from the best candidate each of these single changes is tried, and kept where the kernel's cost falls, until none
//! gains or the count of tries is used up.

use super::resolve::Resolver;
use super::ways::{Way, Ways};
use super::{Extraction, on_grid, reads};
use crate::hash::HashSet;
use crate::search::candidate::Candidate;
use egg::Id;
use std::rc::Rc;

/// Kernels that the refinement of one looks at.
const TRIES: usize = 96;

/// One change.
#[derive(Clone, Copy)]
enum Change {
    Way(usize, usize),
    Node(Id, usize),
}

impl Extraction<'_> {
    /// The candidate, or a better one that reads the same.
    pub fn refine(&self, candidate: &Candidate) -> Candidate {
        let all: Vec<Rc<Ways>> = self.needed.iter().map(|s| self.ways(*s)).collect();
        let written = self.spec.exchange.is_some() || !self.pins.allows_refine();
        let (Some(ways), false) = (on_grid(&all, candidate.grid), written) else {
            return candidate.clone();
        };
        let mut best = candidate.clone();
        let mut left = TRIES;
        loop {
            let before = best.rank();
            for change in self.changes(&ways, &best) {
                if left == 0 {
                    return best;
                }
                left -= 1;
                if let Some(better) = self.changed(&ways, &best, change) {
                    best = better;
                }
            }
            if best.rank() == before {
                return best;
            }
        }
    }

    /// The candidate after a change, if that gains.
    fn changed(&self, ways: &[&[Way]], from: &Candidate, change: Change) -> Option<Candidate> {
        let mut exceptions = from.exceptions.clone();
        match change {
            Change::Way(store, way) => exceptions.ways.insert(store, way),
            Change::Node(class, node) => exceptions.nodes.insert(class, node),
        };
        let taken = self.taken(ways, from.choice, &exceptions)?;
        let mut resolver = Resolver::new(self, from.choice, exceptions);
        let key = self.key(from.grid, &taken, &mut resolver)?;
        let cost = self.cost_of(key, from.grid, &taken, &resolver).ok()?;
        if cost.rank >= from.rank() {
            return None;
        }
        let (plan, init) = self.plan(from.grid, &taken, &resolver);
        (reads(&plan) == reads(&from.plan)).then(|| Candidate {
            exceptions: resolver.exceptions,
            plan,
            init,
            cost,
            ..from.clone()
        })
    }

    /// All single changes of a candidate: of stores first, then of the classes of its terms, from the stores on.
    fn changes(&self, ways: &[&[Way]], from: &Candidate) -> Vec<Change> {
        let mut out = vec![];
        let mut resolver = Resolver::new(self, from.choice, from.exceptions.clone());
        let Some(taken) = self.taken(ways, from.choice, &from.exceptions) else {
            return out;
        };
        if self.key(from.grid, &taken, &mut resolver).is_none() {
            return out;
        }
        let stores = self.needed.iter().zip(ways).zip(&taken).enumerate();
        for (i, ((store, ways), taken)) in stores {
            let store = &self.spec.stores[*store];
            for (j, way) in ways.iter().enumerate() {
                let same =
                    (way.trips, way.chunk, way.tile) == (taken.trips, taken.chunk, taken.tile);
                if !same
                    && self
                        .pins
                        .allows_store(self.spec, store, way.chunk, way.trips)
                {
                    out.push(Change::Way(i, j));
                }
            }
        }
        let mut seen: HashSet<Id> = HashSet::default();
        let mut pending: Vec<Id> = taken.iter().map(|w| self.classes.find(w.tile)).collect();
        pending.reverse();
        while let Some(class) = pending.pop() {
            if seen.insert(class) {
                let others = resolver.others(class);
                out.extend(others.into_iter().map(|node| Change::Node(class, node)));
                pending.extend(resolver.operands(class));
            }
        }
        out
    }
}
