//! Products and a vector kernel as one mixed kernel: which pairs of candidates can be one launch, and which is best. The vector
//! kernel reads the products, or it feeds one: stores what that reads.
//!
//! A product's block is a block of the mixed kernel; the vector kernel has two blocks for each, halves of its rows or of its
//! columns, for the block's two vector cores. So the vector kernel is extracted anew on the grids that fit a product's, and every
//! pair that [`crate::lower`] can make one kernel of is priced as that kernel: it starts once, and one part is a tile ahead of the
//! other. What does not let both be one is no candidate.

use super::groups::Group;
use super::plans::PlanSearch;
use crate::hash::{HashMap, HashSet};
use crate::kernel::allocate::allocate;
use crate::kernel::synchronise::check_event_ids;
use crate::lower::{LowerError, PARTS, lower_kernel, lower_with_rings};
use crate::problem::KernelSpec;
use crate::search::candidate::{Candidate, Cost, Grid, MixedProduct, Scored, Trips, rank};
use crate::search::kernel::{ExtractError, Extraction};
use crate::term::plan::KernelPlan;
use egg::Symbol;
use indexmap::IndexMap;
use std::collections::BTreeSet;
use std::rc::Rc;
use tilewright_ir::kernel::{Program, Unit, check_capacity, verify_kernel};
use tracing::trace_span;

/// Grids of products that are tried, and ways to run their loops on each.
const GRIDS: usize = 48;
const LOOPS: usize = 8;
/// Candidates of the vector kernel that are tried with each of them.
const VECTORS: usize = 24;
/// Mixed candidates that are kept.
const KEPT: usize = 4;

/// A kernel of a plan before its candidates are chosen.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub group: Rc<Group>,
    pub needed: Vec<usize>,
    pub readable: BTreeSet<Symbol>,
}

impl PlanSearch<'_> {
    fn of<'s>(&'s self, w: &'s Wanted) -> Extraction<'s> {
        self.extraction(&w.group, w.needed.clone(), w.readable.clone())
    }

    /// The best mixed kernels of a vector kernel and the products that it takes over.
    ///
    /// # Errors
    ///
    /// Why none of the pairs is one kernel: of the pair that would come first.
    pub(super) fn mix(
        &self,
        vector: &Wanted,
        products: &[Wanted],
    ) -> Result<Vec<Candidate>, ExtractError> {
        let feeds = products.iter().any(|p| feeds(&vector.group, &p.group));
        let mut mixing = Mixing {
            search: self,
            vector,
            products,
            feeds,
            worth: self.worth_mixed(vector, products),
            name: self.name(vector, products, feeds),
            best: vec![],
            failure: None,
        };
        for (grid, ways) in mixing.grids()?.iter().take(GRIDS) {
            mixing.on_grid(grid, ways);
        }
        match (mixing.best.is_empty(), mixing.failure) {
            (false, _) => Ok(mixing.best),
            (true, Some(e)) => Err(e),
            (true, None) => Err(ExtractError::Lower(LowerError::Mix {
                kernel: vector.group.spec.region.clone(),
                product: products
                    .first()
                    .map_or_else(String::new, |p| p.group.spec.name.clone()),
                what: "no grid fits both",
            })),
        }
    }

    /// Picoseconds that a mixed kernel has to stay below to be worth it: those of its parts as kernels of their own. None where
    /// a pin wants it whatever it costs.
    fn worth_mixed(&self, vector: &Wanted, products: &[Wanted]) -> Option<u64> {
        let parts = || products.iter().chain([vector]);
        let mut members = parts().flat_map(|w| &w.group.members);
        if members.any(|m| self.mix_pin(*m) == Some(true)) {
            return None;
        }
        let alone = |w: &Wanted| self.kernel(&w.group, &w.needed, &w.readable);
        parts().map(|w| alone(w).ok().map(|c| c[0].rank().0)).sum()
    }

    /// Parts of the inner axis over which a product's candidate is split.
    fn parts(&self, product: &Candidate) -> Result<usize, ExtractError> {
        let problem = self.problem;
        let (tensors, scalars) = (&problem.tensors, &problem.scalars);
        let kernel = lower_kernel(&product.plan, tensors, scalars, self.machine);
        let axes = kernel.map_err(ExtractError::Lower)?.launch.grid;
        Ok(axes.iter().find(|a| a.name == PARTS).map_or(1, |a| a.count))
    }

    /// A vector kernel's candidate and those of products as one kernel, and what that costs.
    fn one(
        &self,
        vector: &Candidate,
        products: &[&Candidate],
        name: &str,
    ) -> Result<(KernelPlan, Cost), ExtractError> {
        let _span = trace_span!("mix").entered();
        let mut covers: Vec<String> = vec![];
        let products = products.iter().map(|c| &c.plan);
        for c in products
            .clone()
            .chain([&vector.plan])
            .flat_map(|p| &p.covers)
        {
            if !covers.contains(c) {
                covers.push(c.clone());
            }
        }
        let plan = KernelPlan {
            name: name.to_owned(),
            covers,
            unit: Unit::Mixed,
            products: products.cloned().collect(),
            ..vector.plan.clone()
        };
        let (problem, machine) = (self.problem, self.machine);
        let (mut kernel, rings) =
            lower_with_rings(&plan, &problem.tensors, &problem.scalars, machine)
                .map_err(ExtractError::Lower)?;
        let mut tensors = self.shell.tensors.clone();
        tensors.extend(rings);
        let shell = Program {
            tensors,
            scalars: self.shell.scalars.clone(),
            name: String::new(),
            machine: String::new(),
            ranks: self.shell.ranks,
            kernels: vec![],
        };
        verify_kernel(&shell, &kernel, machine).map_err(ExtractError::Illegal)?;
        allocate(&mut kernel, machine).map_err(|error| ExtractError::Overflow {
            error,
            remedy: "choose a smaller tile".into(),
        })?;
        check_capacity(&kernel, machine).map_err(ExtractError::Illegal)?;
        check_event_ids(&kernel, &machine.geometry).map_err(ExtractError::Flags)?;
        let mut priced = self.cost.estimate(&kernel, machine);
        // What fills padding in a launch of its own is paid for, too.
        priced.us += vector.cost.fill_us;
        let cost = Cost {
            rank: rank(&kernel, &priced),
            ..vector.cost
        };
        Ok((plan, cost))
    }

    /// The region, if all of it is in here; else the names of all that is, in the order in which they store.
    fn name(&self, vector: &Wanted, products: &[Wanted], feeds: bool) -> String {
        let region = &vector.group.spec.region;
        let mut parts: Vec<&Rc<Group>> = products.iter().map(|w| &w.group).collect();
        parts.insert(if feeds { 0 } else { parts.len() }, &vector.group);
        let members: Vec<usize> = parts.iter().flat_map(|g| g.members.clone()).collect();
        let kernels = self.problem.kernels.iter().enumerate();
        let mut of_region = kernels.filter(|(_, k)| &k.region == region);
        let whole = of_region.all(|(i, _)| members.contains(&i))
            && members
                .iter()
                .all(|m| &self.problem.kernels[*m].region == region);
        match whole {
            true => region.clone(),
            false => {
                let names: Vec<&str> = parts.iter().map(|g| g.spec.name.as_str()).collect();
                names.join("_")
            }
        }
    }

    /// Kernels as written whose products a kernel as written reads.
    pub(super) fn products_of(&self, kernel: usize) -> Vec<usize> {
        let spec = &self.problem.kernels[kernel];
        if spec.unit != Unit::Vector || spec.exchange.is_some() {
            return vec![];
        }
        let reads = |t: &str| spec.reads.iter().any(|r| r == t);
        let kernels = self.problem.kernels.iter().enumerate();
        kernels
            .filter(|(_, k)| k.unit == Unit::Cube)
            .filter(|(_, k)| k.stores.iter().any(|s| reads(&s.name)))
            .map(|(i, _)| i)
            .collect()
    }

    /// Vector kernels as written that store what a product as written reads.
    pub(super) fn makers_of(&self, kernel: usize) -> Vec<usize> {
        let spec = &self.problem.kernels[kernel];
        if spec.unit != Unit::Cube {
            return vec![];
        }
        let stores = |k: &KernelSpec| k.stores.iter().any(|s| spec.reads.contains(&s.name));
        let kernels = self.problem.kernels.iter().enumerate();
        kernels
            .filter(|(_, k)| k.unit == Unit::Vector && k.exchange.is_none() && stores(k))
            .map(|(i, _)| i)
            .collect()
    }

    /// The products of readers that pins mix with them.
    pub(super) fn reserve(&self) -> HashMap<Symbol, usize> {
        let mut out = HashMap::default();
        let readers = 0..self.problem.kernels.len();
        for reader in readers.filter(|k| self.mix && self.mix_pin(*k) == Some(true)) {
            for product in self.products_of(reader) {
                let stores = &self.problem.kernels[product].stores;
                out.extend(stores.iter().map(|s| (Symbol::from(&s.name), reader)));
            }
        }
        out
    }

    /// Whether a vector kernel as written is to be one launch with the products that it reads, or a product with the kernel
    /// that feeds it: what pins say.
    pub(super) fn mix_pin(&self, kernel: usize) -> Option<bool> {
        let spec = &self.problem.kernels[kernel];
        let pins = self.pins.of(spec);
        let said = match spec.unit {
            // A product has one partner.
            Unit::Cube => pins.feed.or(pins.mix.filter(|m| *m).map(|_| false)),
            _ => pins.mix,
        };
        said.or(pins.hold.then_some(false))
    }

    /// Whether a pin wants this to be a product that a vector kernel feeds.
    pub(super) fn fed_by_pin(&self, group: &Group) -> bool {
        let fed = |m: &usize| self.mix && self.mix_pin(*m) == Some(true) && self.mixes(*m);
        group.spec.unit == Unit::Cube && group.members.iter().any(fed)
    }

    /// Whether two kernels as written would be one launch with the same product.
    pub(super) fn rivals(&self, a: usize, b: usize) -> bool {
        let products = |kernel: usize| match self.problem.kernels[kernel].unit {
            Unit::Cube => vec![kernel],
            _ => self.products_of(kernel),
        };
        let of_b = products(b);
        a != b && products(a).iter().any(|p| of_b.contains(p))
    }

    /// Whether a kernel as written has another one with which it could be one launch.
    pub(super) fn mixes(&self, kernel: usize) -> bool {
        !self.products_of(kernel).is_empty() || !self.makers_of(kernel).is_empty()
    }
}

/// One search for the best pairs of a vector kernel's candidates and its products'.
struct Mixing<'m, 'a> {
    search: &'m PlanSearch<'a>,
    vector: &'m Wanted,
    products: &'m [Wanted],
    feeds: bool,
    /// Picoseconds to stay below.
    worth: Option<u64>,
    name: String,
    /// Best first.
    best: Vec<Candidate>,
    failure: Option<ExtractError>,
}

impl Mixing<'_, '_> {
    /// Each part takes as long as it does alone, or longer.
    fn slow(&self, picoseconds: u64) -> bool {
        self.worth.is_some_and(|w| picoseconds >= w)
    }

    /// Picoseconds until all blocks of a candidate's launch run.
    fn start(&self, c: &Candidate) -> u64 {
        let (kind, blocks) = (c.plan.launch(), c.plan.blocks());
        let us = self.search.cost.start_us(self.search.machine, kind, blocks);
        (us * 1e6) as u64
    }

    /// By grid, of each product the best way to run each kind of loop.
    fn grids(&self) -> Result<IndexMap<Grid, Vec<Vec<Candidate>>>, ExtractError> {
        let mut grids: IndexMap<Grid, Vec<Vec<Candidate>>> = IndexMap::new();
        for (i, product) in self.products.iter().enumerate() {
            let keep = |found: &[Scored]| loops(found, self.feeds);
            for c in self.search.of(product).run(self.worth, keep)? {
                let none = || vec![vec![]; self.products.len()];
                grids.entry(c.grid).or_insert_with(none)[i].push(c);
            }
        }
        grids.retain(|_, ways| ways.iter().all(|w| !w.is_empty()));
        Ok(grids)
    }

    /// Prices pairs whose product runs on a grid.
    fn on_grid(&mut self, grid: &Grid, ways: &[Vec<Candidate>]) {
        let all_slow = |w: &Vec<Candidate>| w.iter().all(|c| self.slow(c.rank().0));
        if ways.iter().any(all_slow) {
            return;
        }
        let vectors = match self.vectors(grid, ways[0].first()) {
            Ok(vectors) => vectors,
            Err(e) => {
                self.failure.get_or_insert(e);
                return;
            }
        };
        // What has the same loops as the first product, or the nearest, of every other one.
        for first in &ways[0] {
            let trips = |c: &Candidate| c.choice.stores.trips;
            let distance = |c: &&Candidate| trips(c).abs_diff(trips(first));
            let near = ways[1..]
                .iter()
                .filter_map(|w| w.iter().min_by_key(distance));
            let set: Vec<&Candidate> = std::iter::once(first).chain(near).collect();
            let start = self.start(first);
            for v in &vectors {
                // A part has its own launch no more.
                let least = |c: &Candidate| c.rank().0.saturating_sub(self.start(c)) + start;
                let slower = |c: &Candidate| self.best.iter().all(|b| least(c) >= b.rank().0);
                if self.best.len() >= KEPT && set.iter().copied().chain([v]).any(slower) {
                    break;
                }
                self.pair(v, &set);
            }
        }
    }

    /// The vector kernel's candidates on grids that are equal parts of a product's, one a vector core.
    fn vectors(
        &self,
        grid: &Grid,
        product: Option<&Candidate>,
    ) -> Result<Vec<Candidate>, ExtractError> {
        let mut extraction = self.search.of(self.vector);
        // Blocks over columns of an operand are parts of the product's inner axis.
        let across = match (self.feeds, product) {
            (true, Some(product)) => self.search.parts(product)?,
            _ => grid.fan,
        };
        let sub_blocks = self.search.machine.geometry.sub_blocks.count();
        let parts = [
            (grid.block_rows / sub_blocks, across),
            (grid.block_rows, across * sub_blocks),
        ];
        extraction.grids = Some(parts.into());
        extraction.run(self.worth, |found: &[Scored]| {
            let fits = |i: &usize| found[*i].grid.kind == grid.kind && !self.slow(found[*i].rank.0);
            (0..found.len()).filter(fits).take(VECTORS).collect()
        })
    }

    /// Prices a pair as one kernel, and keeps it if it is among the best.
    fn pair(&mut self, vector: &Candidate, products: &[&Candidate]) {
        let (plan, cost) = match self.search.one(vector, products, &self.name) {
            Ok(one) => one,
            Err(e) => {
                self.failure.get_or_insert(e);
                return;
            }
        };
        let place = self.best.partition_point(|b| b.rank() <= cost.rank);
        if place >= KEPT {
            return;
        }
        let pairs = std::iter::zip(self.products, products);
        let products = pairs.map(|(p, c)| MixedProduct {
            spec: p.group.spec.clone(),
            candidate: (*c).clone(),
        });
        let mixed = Candidate {
            plan,
            cost,
            products: products.collect(),
            ..vector.clone()
        };
        self.best.insert(place, mixed);
        self.best.truncate(KEPT);
    }
}

/// Whether a vector kernel stores what a product reads.
pub(super) fn feeds(vector: &Group, product: &Group) -> bool {
    let mut stores = vector.spec.stores.iter();
    stores.any(|s| product.concerns.contains(&Symbol::from(s.tensor())))
}

/// On each grid the best candidates whose loops that store differ, or any loops if they are `fed`, at most [`LOOPS`]: what a
/// product waits for decides how much of its other operand it best has loaded by then.
fn loops(found: &[Scored], fed: bool) -> Vec<usize> {
    let mut of_grid: HashMap<Grid, HashSet<(Trips, Option<Trips>)>> = HashMap::default();
    let differs = |i: &usize| {
        let Scored { grid, choice, .. } = found[*i];
        let loops = of_grid.entry(grid).or_default();
        loops.len() < LOOPS && loops.insert((choice.stores, fed.then_some(choice.folds)))
    };
    (0..found.len()).filter(differs).collect()
}
