//! The search over one kernel's candidates: all grids, and on each of them how loops run and what is read.

use super::resolve::{Resolver, loop_of};
use super::ways::{Way, chunked};
use super::{Candidate, Choice, ExtractError, Extraction, Grid, Rank, Reads, Trips};
use crate::egraph::analysis::Kind;
use crate::egraph::language::{Head, Term};
use egg::{Id, Language, RecExpr};
use indexmap::IndexMap;
use std::collections::{BTreeSet, HashMap, HashSet};
use tilewright_ir::kernel::Unit;

/// A grid is searched in full when its first candidates come this near to the best of all grids.
const NEAR: f64 = 1.5;

/// Terms that were priced, with the fillings of their padding.
type Known = HashSet<(RecExpr<Term>, Vec<Option<Id>>)>;

/// The candidates on one grid that were looked at.
struct GridSearch<'w> {
    grid: Grid,
    ways: Vec<&'w [Way]>,
    stores: BTreeSet<Trips>,
    folds: BTreeSet<Trips>,
    tried: IndexMap<Choice, Option<Candidate>>,
    known: Known,
    best: Option<(Rank, Choice)>,
    failure: Option<ExtractError>,
}

/// Resolvers of all grids, by what they resolve for.
type Resolvers<'e> = HashMap<(Trips, Reads), Resolver<'e>>;

impl Extraction<'_> {
    /// All candidates that were looked at, best first; ties go to the first in the order of grids and loops.
    pub fn run(&self) -> Result<Vec<Candidate>, ExtractError> {
        if self.spec.exchange.is_some() {
            return self.exchanges();
        }
        let ways: Vec<IndexMap<Grid, Vec<Way>>> =
            self.needed.iter().map(|s| self.ways(*s)).collect();
        let mut grids: BTreeSet<Grid> = ways[0].keys().copied().collect();
        for w in &ways[1..] {
            grids.retain(|g| w.contains_key(g));
        }
        let padded = |g: &Grid| {
            let mut fills = ways.iter().flat_map(|w| &w[g]);
            fills.any(|w| w.fill.is_some())
        };
        grids.retain(|g| !g.hoisted || padded(g));
        let mut resolvers = Resolvers::new();
        let mut searches: Vec<GridSearch> = vec![];
        for grid in self.cheapest_launches(grids) {
            if !self.pins.allows_grid(self.spec, &grid) {
                continue;
            }
            let ways: Vec<&[Way]> = ways.iter().map(|w| w[&grid].as_slice()).collect();
            if let Some(mut search) = self.on(grid, ways) {
                search.align(self, &mut resolvers);
                searches.push(search);
            }
        }
        let us = |rank: &Rank| rank.0 as f64;
        let ranks = searches.iter().filter_map(|s| s.best.as_ref());
        let least = ranks.map(|(r, _)| us(r)).fold(f64::INFINITY, f64::min);
        for search in &mut searches {
            if let Some((rank, _)) = &search.best
                && us(rank) <= least * NEAR
            {
                search.descend(self, &mut resolvers);
            }
        }
        let mut found: Vec<Candidate> = vec![];
        let mut failure = None;
        for search in searches {
            failure = failure.or(search.failure);
            found.extend(search.tried.into_values().flatten());
        }
        found.sort_by_key(Candidate::rank);
        match (found.is_empty(), failure) {
            (false, _) => Ok(found),
            (true, Some(e)) => Err(e),
            (true, None) => Err(self.no_schedule(&ways)),
        }
    }

    /// Of grids that differ in the launch only, the one that starts cheapest: the blocks are the same.
    fn cheapest_launches(&self, grids: BTreeSet<Grid>) -> Vec<Grid> {
        let mut best: IndexMap<(usize, usize, usize, bool), Grid> = IndexMap::new();
        for g in grids {
            if !self.pins.allows_launch(self.spec, g.kind) {
                continue;
            }
            let store = &self.spec.stores[self.needed[0]];
            let blocks = store.rows / g.block_rows.max(1) * g.fan;
            let cost = |kind| self.cost.start_us(self.machine, kind, blocks);
            let slot = best
                .entry((g.block_rows, g.rows, g.fan, g.hoisted))
                .or_insert(g);
            if cost(g.kind) < cost(slot.kind) {
                *slot = g;
            }
        }
        best.into_values().collect()
    }

    /// The search on one grid, if all stores can be on it.
    fn on<'w>(&self, grid: Grid, ways: Vec<&'w [Way]>) -> Option<GridSearch<'w>> {
        let wide = chunked(&ways);
        // A value of one column is stored once a block, so blocks must not share rows.
        if grid.fan > 1 && ways.iter().any(|w| !wide(w)) {
            return None;
        }
        let mut stores: BTreeSet<Trips> = BTreeSet::new();
        for (i, w) in ways.iter().enumerate().filter(|(_, w)| wide(w)) {
            let spec = &self.spec.stores[self.needed[i]];
            let allowed = |w: &&Way| self.pins.allows_store(self.spec, spec, w.chunk, w.trips);
            stores.extend(w.iter().filter(allowed).map(|w| w.trips));
        }
        let once = Trips { depth: 1, trips: 1 };
        if !ways.iter().any(|w| wide(w)) {
            stores.insert(once);
        }
        let mut folds = self.loops(&ways);
        if folds.is_empty() {
            folds.insert(once);
        }
        Some(GridSearch {
            grid,
            ways,
            stores,
            folds,
            tried: IndexMap::new(),
            known: Known::new(),
            best: None,
            failure: None,
        })
    }

    /// How the loops of reductions and products that these ways can contain may run.
    fn loops(&self, ways: &[&[Way]]) -> BTreeSet<Trips> {
        let num = |id: Id| self.egraph[id].data.num.unwrap_or(0) as usize;
        let mut out = BTreeSet::new();
        let mut pending: Vec<Id> = ways.iter().flat_map(|w| w.iter()).map(|w| w.tile).collect();
        let mut seen: HashSet<Id> = HashSet::new();
        while let Some(class) = pending.pop() {
            let class = self.egraph.find(class);
            if self.egraph[class].data.kind != Kind::Tile || !seen.insert(class) {
                continue;
            }
            for node in &self.egraph[class].nodes {
                if let Some(c) = loop_of(node) {
                    let (depth, extent, chunk) = (num(c[0]), num(c[1]), num(c[2]).max(1));
                    out.insert(Trips {
                        depth,
                        trips: extent / chunk,
                    });
                }
                if node.head() != Some(Head::Tile) {
                    pending.extend(node.children());
                }
            }
        }
        out
    }
}

impl GridSearch<'_> {
    /// Prices a choice, once.
    fn evaluate<'e>(
        &mut self,
        e: &'e Extraction<'e>,
        choice: Choice,
        resolvers: &mut Resolvers<'e>,
    ) {
        if self.tried.contains_key(&choice) {
            return;
        }
        let resolver = resolvers
            .entry((choice.folds, choice.reads))
            .or_insert_with(|| Resolver::new(e, choice.folds, choice.reads));
        let result = e.candidate(self.grid, &self.ways, choice, resolver, &mut self.known);
        let candidate = match result {
            Ok(c) => c,
            Err(e) => {
                if self.failure.is_none() || matches!(e, ExtractError::Overflow { .. }) {
                    self.failure = Some(e);
                }
                None
            }
        };
        let rank = candidate.as_ref().map(Candidate::rank);
        if let Some(rank) = rank
            && self.best.as_ref().is_none_or(|(b, _)| rank < *b)
        {
            self.best = Some((rank, choice));
        }
        self.tried.insert(choice, candidate);
    }

    /// Loops that run alike join in one sweep, so they come first.
    fn align<'e>(&mut self, e: &'e Extraction<'e>, resolvers: &mut Resolvers<'e>) {
        let (stores, folds) = (shallow(&self.stores), shallow(&self.folds));
        let alike = |s: &Trips| match folds.contains(s) {
            true => Some(*s),
            false => folds.first().copied(),
        };
        let mut starts: Vec<(Trips, Trips)> = stores
            .iter()
            .filter_map(|s| Some((*s, alike(s)?)))
            .collect();
        // Where no such pair is legal, those with the least tiles on one side.
        let least = |t: &BTreeSet<Trips>| {
            t.iter()
                .copied()
                .max_by_key(|t| (t.trips, -(t.depth as i64)))
        };
        let mut rest = vec![];
        if let (Some(s), Some(f)) = (least(&stores), least(&folds)) {
            rest.extend(stores.iter().map(|s| (*s, f)));
            rest.extend(folds.iter().map(|f| (s, *f)));
        }
        for (i, pairs) in [&mut starts, &mut rest].into_iter().enumerate() {
            if i == 1 && self.best.is_some() {
                break;
            }
            for (stores, folds) in pairs.iter().copied() {
                let choice = Choice {
                    stores,
                    folds,
                    reads: Reads::Cheapest,
                };
                self.evaluate(e, choice, resolvers);
            }
        }
    }

    /// From the best choice so far: one kind of loop is varied at a time. The two loops of a product share L0B, so that both
    /// can have to change at once; they are few, and all pairs are tried.
    fn descend<'e>(&mut self, e: &'e Extraction<'e>, resolvers: &mut Resolvers<'e>) {
        let (stores, folds) = (shallow(&self.stores), shallow(&self.folds));
        let mut last = None;
        while let Some((_, at)) = self.best
            && last != Some(at)
        {
            last = Some(at);
            for folds in &folds {
                self.evaluate(
                    e,
                    Choice {
                        folds: *folds,
                        ..at
                    },
                    resolvers,
                );
            }
            for stores in &stores {
                self.evaluate(
                    e,
                    Choice {
                        stores: *stores,
                        ..at
                    },
                    resolvers,
                );
            }
            if resolvers.values().any(|r| r.ambiguous) {
                for reads in [Reads::Cheapest, Reads::Stored] {
                    self.evaluate(e, Choice { reads, ..at }, resolvers);
                }
            }
        }
        if let (Some((_, at)), Unit::Cube) = (self.best, e.spec.unit) {
            for stores in &stores {
                for folds in &folds {
                    let (stores, folds) = (*stores, *folds);
                    self.evaluate(
                        e,
                        Choice {
                            stores,
                            folds,
                            ..at
                        },
                        resolvers,
                    );
                }
            }
        }
        self.deepen(e, resolvers);
    }

    /// More trips in flight, in the loops of the best choice that are pipelined; loops that run alike go on doing so.
    fn deepen<'e>(&mut self, e: &'e Extraction<'e>, resolvers: &mut Resolvers<'e>) {
        let Some((_, at)) = self.best else { return };
        let deeper = |of: &BTreeSet<Trips>, t: Trips| -> Vec<Trips> {
            let more = |d: &&Trips| t.depth > 1 && d.trips == t.trips && d.depth > t.depth;
            of.iter().filter(more).copied().collect()
        };
        let (stores, folds) = (
            deeper(&self.stores, at.stores),
            deeper(&self.folds, at.folds),
        );
        let alike = stores.iter().filter(|s| folds.contains(s));
        let mut choices: Vec<Choice> = match at.stores == at.folds {
            true => alike
                .map(|t| Choice {
                    stores: *t,
                    folds: *t,
                    ..at
                })
                .collect(),
            false => vec![],
        };
        choices.extend(folds.iter().map(|folds| Choice {
            folds: *folds,
            ..at
        }));
        choices.extend(stores.iter().map(|stores| Choice {
            stores: *stores,
            ..at
        }));
        for choice in choices {
            self.evaluate(e, choice, resolvers);
        }
    }
}

/// The loops with at most two trips in flight, or all where there are none: deeper ones are tried from the best of these.
fn shallow(all: &BTreeSet<Trips>) -> BTreeSet<Trips> {
    let shallow: BTreeSet<Trips> = all.iter().filter(|t| t.depth <= 2).copied().collect();
    match shallow.is_empty() {
        true => all.clone(),
        false => shallow,
    }
}
