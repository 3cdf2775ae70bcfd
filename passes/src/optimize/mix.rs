//! Products and their reader as one mixed kernel: which pairs of candidates can be one launch, and which is best.
//!
//! A product's block is a block of the mixed kernel; the reader has two blocks for each, halves of its rows or of its columns,
//! for the block's two vector cores. So the reader is extracted anew on the grids that fit a product's, and every pair that
//! [`crate::lower`] can make one kernel of is priced as that kernel: it starts once, and its cube part is a tile ahead of its
//! vector part. What neither lets both be one is no candidate.

use super::groups::Group;
use super::plans::PlanSearch;
use crate::egraph::extract::{Candidate, Cost, ExtractError, Extraction, Found, Grid, Trips, rank};
use crate::hash::{HashMap, HashSet};
use crate::kernel::allocate::allocate;
use crate::lower::{LowerError, lower_with_rings};
use crate::plan::KernelPlan;
use crate::problem::KernelSpec;
use egg::Symbol;
use indexmap::IndexMap;
use std::collections::BTreeSet;
use std::rc::Rc;
use tilewright_ir::kernel::{Program, SUB_BLOCKS, Unit, check_capacity, verify_kernel};

/// Grids of products that are tried, and ways to run their loops on each.
const GRIDS: usize = 12;
const LOOPS: usize = 4;
/// Candidates of the reader that are tried with each of them.
const READERS: usize = 24;
/// Mixed candidates that are kept.
const KEPT: usize = 4;

/// A kernel of a plan before its candidates are chosen.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub group: Rc<Group>,
    pub needed: Vec<usize>,
    pub readable: BTreeSet<Symbol>,
}

/// A product that a candidate takes over: what it is, and which of its candidates.
#[derive(Debug, Clone)]
pub struct Taken {
    pub spec: KernelSpec,
    pub candidate: Candidate,
}

impl PlanSearch<'_> {
    fn of<'s>(&'s self, w: &'s Wanted) -> Extraction<'s> {
        self.extraction(&w.group, w.needed.clone(), w.readable.clone())
    }

    /// The best mixed kernels of a reader and the products that it takes over.
    ///
    /// # Errors
    ///
    /// Why none of the pairs is one kernel: of the pair that would come first.
    pub(super) fn mix(
        &self,
        reader: &Wanted,
        products: &[Wanted],
    ) -> Result<Vec<Candidate>, ExtractError> {
        let mut found: Vec<Vec<Candidate>> = vec![];
        for product in products {
            found.push(self.of(product).run(None, loops)?);
        }
        // By grid: of each product the best way to run each kind of loop.
        let mut grids: IndexMap<Grid, Vec<Vec<&Candidate>>> = IndexMap::new();
        for (i, candidates) in found.iter().enumerate() {
            for c in candidates {
                let ways = grids
                    .entry(c.grid)
                    .or_insert_with(|| vec![vec![]; found.len()]);
                ways[i].push(c);
            }
        }
        grids.retain(|_, ways| ways.iter().all(|w| !w.is_empty()));
        let name = self.name(reader, products);
        let mut best: Vec<Candidate> = vec![];
        let mut failure = None;
        for (grid, ways) in grids.iter().take(GRIDS) {
            let mut extraction = self.of(reader);
            let halves = [
                (grid.block_rows / SUB_BLOCKS, grid.fan),
                (grid.block_rows, grid.fan * SUB_BLOCKS),
            ];
            extraction.grids = Some(halves.into());
            let readers = |found: &[Found]| {
                let fits = (0..found.len()).filter(|i| found[*i].grid.kind == grid.kind);
                fits.take(READERS).collect()
            };
            let readers = match extraction.run(None, readers) {
                Ok(readers) => readers,
                Err(e) => {
                    failure = failure.or(Some(e));
                    continue;
                }
            };
            // What has the same loops as the first product, or the nearest, of every other one.
            for first in &ways[0] {
                let trips = |c: &Candidate| c.choice.stores.trips;
                let distance = |c: &&&Candidate| trips(c).abs_diff(trips(first));
                let near = ways.iter().map(|w| w.iter().min_by_key(distance).copied());
                let Some(set) = near.collect::<Option<Vec<&Candidate>>>() else {
                    continue;
                };
                let taken = || -> Vec<Taken> {
                    let each = std::iter::zip(products, &set);
                    each.map(|(p, c)| Taken {
                        spec: p.group.spec.clone(),
                        candidate: (*c).clone(),
                    })
                    .collect()
                };
                for r in &readers {
                    match self.one(r, taken(), &name) {
                        Ok(c) => best.push(c),
                        Err(e) => failure = failure.or(Some(e)),
                    }
                }
            }
        }
        best.sort_by_key(Candidate::rank);
        best.truncate(KEPT);
        match (best.is_empty(), failure) {
            (false, _) => Ok(best),
            (true, Some(e)) => Err(e),
            (true, None) => Err(ExtractError::Lower(LowerError::Mix {
                kernel: reader.group.spec.region.clone(),
                product: products
                    .first()
                    .map_or_else(String::new, |p| p.group.spec.name.clone()),
                what: "no grid fits both",
            })),
        }
    }

    /// A reader's candidate and its products as one kernel.
    fn one(
        &self,
        reader: &Candidate,
        taken: Vec<Taken>,
        name: &str,
    ) -> Result<Candidate, ExtractError> {
        let mut covers: Vec<String> = vec![];
        let products = taken.iter().map(|t| &t.candidate.plan);
        for c in products
            .clone()
            .chain([&reader.plan])
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
            ..reader.plan.clone()
        };
        let (problem, machine) = (self.problem, self.machine);
        let (mut kernel, rings) = lower_with_rings(&plan, &problem.tensors, &problem.scalars)
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
        verify_kernel(&shell, &kernel).map_err(ExtractError::Illegal)?;
        allocate(&mut kernel, machine).map_err(|error| ExtractError::Overflow {
            error,
            remedy: "choose a smaller tile".into(),
        })?;
        check_capacity(&kernel, machine).map_err(ExtractError::Illegal)?;
        let mut priced = self.cost.estimate(&kernel, machine);
        // What fills padding in a launch of its own is paid for, too.
        priced.us += reader.cost.fill_us;
        Ok(Candidate {
            plan,
            cost: Cost {
                rank: rank(&kernel, &priced),
                ..reader.cost
            },
            taken,
            ..reader.clone()
        })
    }

    /// The region, if all of it is in here; else the names of all that is.
    fn name(&self, reader: &Wanted, products: &[Wanted]) -> String {
        let region = &reader.group.spec.region;
        let parts = products.iter().chain([reader]).map(|w| &w.group);
        let members: Vec<usize> = parts.clone().flat_map(|g| g.members.clone()).collect();
        let kernels = self.problem.kernels.iter().enumerate();
        let mut of_region = kernels.filter(|(_, k)| &k.region == region);
        let whole = of_region.all(|(i, _)| members.contains(&i))
            && members
                .iter()
                .all(|m| &self.problem.kernels[*m].region == region);
        match whole {
            true => region.clone(),
            false => {
                let names: Vec<&str> = parts.map(|g| g.spec.name.as_str()).collect();
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

    /// Whether kernels as written are to be one launch with the products that they read: what pins say.
    pub(super) fn mix_pin(&self, kernel: usize) -> Option<bool> {
        let pins = self.pins.of(&self.problem.kernels[kernel].region);
        pins.mix.or(pins.hold.then_some(false))
    }
}

/// On each grid the best candidates whose loops that store differ, at most [`LOOPS`].
fn loops(found: &[Found]) -> Vec<usize> {
    let mut of_grid: HashMap<Grid, HashSet<Trips>> = HashMap::default();
    let differs = |i: &usize| {
        let loops = of_grid.entry(found[*i].grid).or_default();
        loops.len() < LOOPS && loops.insert(found[*i].choice.stores)
    };
    (0..found.len()).filter(differs).collect()
}
