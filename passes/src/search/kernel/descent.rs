//! The search over one kernel's candidates: all grids, and on each of them how loops run and what is read.

use super::resolve::Resolver;
use super::ways::{Way, Ways, chunked};
use super::{ExtractError, Extraction, Loops};
use crate::hash::{HashMap, HashSet};
use crate::search::candidate::{
    Candidate, Choice, Cost, Exceptions, Grid, Rank, Reads, Scored, Trips,
};
use crate::term::analysis::Kind;
use crate::term::language::Head;
use egg::{Id, Language};
use indexmap::IndexMap;
use std::collections::BTreeSet;
use std::rc::Rc;
use tilewright_ir::kernel::Unit;
use tracing::trace_span;

/// Probes of a grid whose loops are tried after the first that fits.
const PROBES: usize = 1;
/// A grid is looked at beyond its probes when they come this near to the best of all grids.
const FAR: f64 = 1.3;
/// A grid is searched in full when its first candidates come this near to the best of all grids.
const NEAR: f64 = 1.2;

/// The candidates on one grid that were looked at.
struct GridSearch<'w> {
    grid: Grid,
    ways: Vec<&'w [Way]>,
    stores: BTreeSet<Trips>,
    folds: BTreeSet<Trips>,
    tried: IndexMap<Choice, Option<Cost>>,
    /// Terms that were chosen: loops that a kernel lacks can be chosen in many ways that are one.
    known: HashSet<u64>,
    best: Option<(Rank, Choice)>,
    failure: Option<ExtractError>,
    /// Loops that run alike, and what comes where no such pair is legal.
    starts: Pairs,
    rest: Pairs,
}

/// How loops that store and loops that reduce run.
type Pairs = Vec<(Trips, Trips)>;

/// Resolvers of all grids, by what they resolve for.
type Resolvers<'e> = HashMap<(Trips, Reads), Resolver<'e>>;

impl Extraction<'_> {
    /// Candidates, best first; ties go to the first in the order of grids and loops.
    ///
    /// Of all that were looked at, these are the ones at the places that `keep` returns, in that order. What cannot come near
    /// `worth`, in picoseconds, is not searched in full.
    pub fn run(
        &self,
        worth: Option<u64>,
        keep: impl Fn(&[Scored]) -> Vec<usize>,
    ) -> Result<Vec<Candidate>, ExtractError> {
        if self.spec.exchange.is_some() {
            let all = self.exchanges()?;
            let found: Vec<Scored> = all.iter().map(Candidate::found).collect();
            return Ok(keep(&found).into_iter().map(|i| all[i].clone()).collect());
        }
        let ways: Vec<Rc<Ways>> = self.needed.iter().map(|s| self.ways(*s)).collect();
        let mut grids: BTreeSet<Grid> = ways[0].keys().copied().collect();
        // A grid of nothing but copies of what this kernel cannot read is none.
        let runs = |w: &Ways, g: &Grid| {
            let on_grid = w.get(g).map_or(&[][..], Vec::as_slice);
            on_grid.iter().any(|w| self.may_read(w.tile))
        };
        grids.retain(|g| ways.iter().all(|w| runs(w, g)));
        let padded = |g: &Grid| {
            let mut fills = ways.iter().flat_map(|w| &w[g]);
            fills.any(|w| w.fill.is_some())
        };
        grids.retain(|g| !g.hoisted || padded(g));
        let mut resolvers = Resolvers::default();
        let mut searches: Vec<GridSearch> = vec![];
        for grid in self.cheapest_launches(grids) {
            // Blocks that are given leave nothing for pins on blocks to say.
            let allowed = match &self.grids {
                None => self
                    .pins
                    .allows_grid(self.spec, &grid, &self.machine.geometry),
                Some(given) => {
                    given.contains(&(grid.block_rows, grid.fan))
                        && self.pins.allows_blocks(&grid)
                        && self.pins.allows_pad(self.spec, &grid)
                }
            };
            if !allowed {
                continue;
            }
            let ways: Vec<&[Way]> = ways.iter().map(|w| w[&grid].as_slice()).collect();
            let mut search = self.on(grid, ways);
            search.probe(self, &mut resolvers);
            searches.push(search);
        }
        let worth = worth.map_or(f64::INFINITY, |w| w as f64);
        let least = least_of(&searches).min(worth);
        for search in &mut searches {
            let far = |(rank, _): &(Rank, Choice)| rank.0 as f64 > least * FAR;
            if !search.best.as_ref().is_some_and(far) {
                search.align(self, &mut resolvers);
            }
        }
        let least = least_of(&searches).min(worth);
        for search in &mut searches {
            if let Some((rank, _)) = &search.best
                && rank.0 as f64 <= least * NEAR
            {
                search.descend(self, &mut resolvers);
            }
        }
        let mut found: Vec<(Scored, usize)> = vec![];
        for (at, search) in searches.iter().enumerate() {
            let priced = search
                .tried
                .iter()
                .filter_map(|(c, cost)| Some((*c, (*cost)?)));
            found.extend(priced.map(|(choice, cost)| {
                let (grid, rank) = (search.grid, cost.rank);
                (Scored { grid, choice, rank }, at)
            }));
        }
        if found.is_empty() {
            let failure = searches.into_iter().find_map(|s| s.failure);
            return Err(failure.unwrap_or_else(|| self.no_schedule()));
        }
        found.sort_by_key(|(f, _)| f.rank);
        let (found, places): (Vec<Scored>, Vec<usize>) = found.into_iter().unzip();
        let written = |i: usize| {
            let Scored { grid, choice, .. } = found[i];
            let search = &searches[places[i]];
            let cost = search.tried[&choice]?;
            let resolver = resolvers.get(&(choice.folds, choice.reads))?;
            let exceptions = Exceptions::default();
            let taken = self.taken(&search.ways, choice, &exceptions)?;
            let (plan, init) = self.plan(grid, &taken, resolver);
            Some(Candidate {
                grid,
                choice,
                exceptions,
                plan,
                init,
                cost,
                products: vec![],
                by_line: false,
                terms: vec![],
            })
        };
        Ok(keep(&found).into_iter().filter_map(written).collect())
    }

    /// Of grids that differ in the launch only, the one that starts cheapest: the blocks are the same.
    fn cheapest_launches(&self, grids: BTreeSet<Grid>) -> Vec<Grid> {
        let mut best: IndexMap<(usize, usize, usize, bool), Grid> = IndexMap::new();
        for g in grids {
            if !self.pins.allows_launch(self.spec, g.kind) {
                continue;
            }
            let store = &self.spec.stores[self.needed[0]];
            let blocks = store.rows.div_ceil(g.block_rows.max(1)) * g.fan;
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

    /// The search on one grid.
    fn on<'w>(&self, grid: Grid, ways: Vec<&'w [Way]>) -> GridSearch<'w> {
        let wide = chunked(&ways);
        let mut stores: BTreeSet<Trips> = BTreeSet::new();
        for (i, w) in ways.iter().enumerate().filter(|(_, w)| wide(w)) {
            let spec = &self.spec.stores[self.needed[i]];
            let allowed = |w: &&Way| self.pins.allows_store(self.spec, spec, w.chunk, w.trips);
            stores.extend(w.iter().filter(allowed).map(|w| w.trips));
        }
        if !ways.iter().any(|w| wide(w)) {
            stores.insert(Trips::ONCE);
        }
        let mut folds = BTreeSet::new();
        for (store, ways) in self.needed.iter().zip(&ways) {
            folds.extend(self.loops(*store, grid, ways).iter());
        }
        if folds.is_empty() {
            folds.insert(Trips::ONCE);
        }
        stores.retain(|t| self.pins.allows_stores(*t));
        folds.retain(|t| self.pins.allows_reduces(*t));
        let (starts, rest) = starts(&first_stores(&stores, self.spec.unit), &first_folds(&folds));
        GridSearch {
            grid,
            ways,
            stores,
            folds,
            tried: IndexMap::new(),
            known: HashSet::default(),
            best: None,
            failure: None,
            starts,
            rest,
        }
    }

    /// The classes of tiles that ways to store a value can be made of; those in global memory are not looked into.
    pub(super) fn tiles(&self, ways: &[Way]) -> Vec<Id> {
        let mut seen: HashSet<Id> = HashSet::default();
        let mut pending: Vec<Id> = ways.iter().map(|w| w.tile).collect();
        let mut out = vec![];
        while let Some(class) = pending.pop() {
            let class = self.classes.find(class);
            if self.classes[class].data.kind != Kind::Tile || !seen.insert(class) {
                continue;
            }
            out.push(class);
            for node in &self.classes[class].nodes {
                if node.head() != Some(Head::Tile) {
                    pending.extend(node.children());
                }
            }
        }
        out
    }

    /// How the loops of reductions and products that the ways to store a value can contain may run.
    fn loops(&self, store: usize, grid: Grid, ways: &[Way]) -> Rc<Loops> {
        let buffer = self.classes.find(self.buffers[store]);
        // What makes a value and what copies it share the value's class.
        let key = (buffer, self.is_cube(), grid);
        let mut known = self.known.loops.borrow_mut();
        let loops = known.entry(key).or_insert_with(|| {
            let mut out = Loops::new();
            for class in self.tiles(ways) {
                out.extend(self.classes.loops(class).iter().map(|l| l.trips));
            }
            Rc::new(out)
        });
        loops.clone()
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
            .or_insert_with(|| Resolver::new(e, choice, Exceptions::default()));
        let span = trace_span!("choose terms").entered();
        let taken = e.taken(&self.ways, choice, &Exceptions::default());
        let key = taken.and_then(|taken| Some((e.key(self.grid, &taken, resolver)?, taken)));
        let new = key.filter(|(key, _)| self.known.insert(*key));
        drop(span);
        let Some((key, taken)) = new else {
            self.tried.insert(choice, None);
            return;
        };
        let result = e.cost_of(key, self.grid, &taken, resolver);
        let cost = match result {
            Ok(cost) => Some(cost),
            Err(e) => {
                if self.failure.is_none() || matches!(e, ExtractError::Overflow { .. }) {
                    self.failure = Some(e);
                }
                None
            }
        };
        if let Some(Cost { rank, .. }) = cost
            && self.best.as_ref().is_none_or(|(b, _)| rank < *b)
        {
            self.best = Some((rank, choice));
        }
        self.tried.insert(choice, cost);
    }

    /// A few of the loops that run alike, to tell what the grid is worth: one trip at a time, from the widest tiles that fit.
    fn probe<'e>(&mut self, e: &'e Extraction<'e>, resolvers: &mut Resolvers<'e>) {
        let mut fitting = 0;
        for (stores, folds) in self.starts.clone() {
            if stores.depth > 1 {
                continue;
            }
            self.start(e, stores, folds, resolvers);
            fitting += usize::from(self.best.is_some());
            if fitting > PROBES {
                break;
            }
        }
    }

    /// Loops that run alike join in one sweep, so they come first.
    fn align<'e>(&mut self, e: &'e Extraction<'e>, resolvers: &mut Resolvers<'e>) {
        for (stores, folds) in self.starts.clone() {
            self.start(e, stores, folds, resolvers);
        }
        if self.best.is_none() {
            for (stores, folds) in self.rest.clone() {
                self.start(e, stores, folds, resolvers);
            }
        }
    }

    fn start<'e>(
        &mut self,
        e: &'e Extraction<'e>,
        stores: Trips,
        folds: Trips,
        resolvers: &mut Resolvers<'e>,
    ) {
        let choice = Choice {
            stores,
            folds,
            reads: e.pins.prefer.unwrap_or(Reads::Cheapest),
        };
        self.evaluate(e, choice, resolvers);
    }

    /// From the best choice so far: one kind of loop is varied at a time. The two loops of a product share L0B, so that both
    /// can have to change at once; they are few, and all pairs are tried.
    fn descend<'e>(&mut self, e: &'e Extraction<'e>, resolvers: &mut Resolvers<'e>) {
        let stores = first_stores(&self.stores, e.spec.unit);
        let folds = first_folds(&self.folds);
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
                for reads in Reads::ALL.into_iter().filter(|r| e.pins.allows_prefer(*r)) {
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
            self.keep(e, resolvers);
        }
        self.deepen(e, resolvers);
    }

    /// Of products that come near the best, whether the next tile is begun while one is stored, and what of the left operand stays
    /// on chip: that takes room, and gains little beside it.
    fn keep<'e>(&mut self, e: &'e Extraction<'e>, resolvers: &mut Resolvers<'e>) {
        let Some((least, _)) = self.best else { return };
        let near =
            |cost: &Option<Cost>| cost.is_some_and(|c| c.rank.0 as f64 <= least.0 as f64 * FAR);
        let near: Vec<Choice> = self
            .tried
            .iter()
            .filter(|(at, cost)| at.stores.trips > 1 && near(cost))
            .map(|(at, _)| *at)
            .collect();
        for at in near {
            let like = |all: &BTreeSet<Trips>, of: Trips| -> Vec<Trips> {
                let same = |t: &&Trips| t.trips == of.trips && t.depth <= 2;
                all.iter().filter(same).copied().collect()
            };
            let kept = like(&self.folds, at.folds).into_iter();
            let kept = kept.filter(|f| f.kept > 0 && f.depth == at.folds.depth);
            let folds: Vec<Trips> = std::iter::once(at.folds).chain(kept).collect();
            for stores in like(&self.stores, at.stores) {
                for folds in &folds {
                    let folds = *folds;
                    let choice = Choice {
                        stores,
                        folds,
                        ..at
                    };
                    self.evaluate(e, choice, resolvers);
                }
            }
        }
    }

    /// More trips in flight, in the loops of the best choice that are pipelined; loops that run alike go on doing so.
    fn deepen<'e>(&mut self, e: &'e Extraction<'e>, resolvers: &mut Resolvers<'e>) {
        let Some((_, at)) = self.best else { return };
        let deeper = |of: &BTreeSet<Trips>, t: Trips| -> Vec<Trips> {
            let keeps = |d: &Trips| (d.kept > 0) == (t.kept > 0);
            let more =
                |d: &&Trips| t.depth > 1 && d.trips == t.trips && d.depth > t.depth && keeps(d);
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

/// The loops with at most two trips in flight, or one of a product's tiles: deeper ones are tried from the best of these.
fn first_stores(all: &BTreeSet<Trips>, unit: Unit) -> BTreeSet<Trips> {
    let most = if unit == Unit::Cube { 1 } else { 2 };
    some_of(all, |t| t.depth <= most)
}

/// As [`first_stores`], of loops that reduce; what keeps operands is tried from the best of what does not.
fn first_folds(all: &BTreeSet<Trips>) -> BTreeSet<Trips> {
    some_of(all, |t| t.depth <= 2 && t.kept == 0)
}

/// Those of which something is so, or all where there are none.
fn some_of(all: &BTreeSet<Trips>, so: impl Fn(&Trips) -> bool) -> BTreeSet<Trips> {
    let some: BTreeSet<Trips> = all.iter().copied().filter(so).collect();
    match some.is_empty() {
        true => all.clone(),
        false => some,
    }
}

/// The time of the best candidate of all grids.
fn least_of(searches: &[GridSearch]) -> f64 {
    let ranks = searches.iter().filter_map(|s| s.best.as_ref());
    ranks.map(|(r, _)| r.0 as f64).fold(f64::INFINITY, f64::min)
}

/// Pairs of loops that store and loops that reduce: those that run alike; and those with the least tiles on one side.
fn starts(stores: &BTreeSet<Trips>, folds: &BTreeSet<Trips>) -> (Pairs, Pairs) {
    let alike = |s: &Trips| match folds.contains(s) {
        true => Some(*s),
        false => folds.first().copied(),
    };
    let starts = stores.iter().filter_map(|s| Some((*s, alike(s)?)));
    let least = |t: &BTreeSet<Trips>| {
        t.iter()
            .copied()
            .max_by_key(|t| (t.trips, -(t.depth as i64)))
    };
    let mut rest = vec![];
    if let (Some(s), Some(f)) = (least(stores), least(folds)) {
        rest.extend(stores.iter().map(|s| (*s, f)));
        rest.extend(folds.iter().map(|f| (s, *f)));
    }
    (starts.collect(), rest)
}
