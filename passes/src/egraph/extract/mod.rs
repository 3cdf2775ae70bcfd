//! Extraction: the best kernels that the e-graph holds.
//!
//! First which values lie in global memory, then the kernels within that. Kernels are extracted from the last to the first, so that a value
//! that no chosen kernel reads is not stored. A kernel's candidates are keyed by their grid (rows a block, columns a block,
//! launch) and by how their loops run; everything else in a candidate is the cheapest executable node of each class. A
//! candidate's cost is that of its kernel program: lowered, allocated (over capacity, it does not exist) and estimated. So
//! shared work is counted once and joined sweeps are seen, which a cost over trees cannot.

mod exchange;
mod resolve;
mod ways;

use resolve::{Loads, Resolver, loop_of};
use ways::Way;

use super::analysis::{Graph, Kind};
use super::language::{Head, Term};
use crate::cost::{Estimate, estimate, start_us};
use crate::kernel::allocate::{AllocateError, allocate};
use crate::lower::{LowerError, lower_kernel};
use crate::pins::KernelPins;
use crate::plan::{KernelPlan, Root};
use crate::problem::{KernelSpec, Problem, Store};
use egg::{Id, Language, RecExpr, Symbol};
use indexmap::{IndexMap, IndexSet};
use std::collections::{BTreeSet, HashMap};
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::kernel::{Kernel, KernelError, Program, Space, Unit, verify_kernel};
use tilewright_ir::machine::Machine;

/// The grid of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Grid {
    pub block_rows: usize,
    /// Rows a trip of the row loop.
    pub rows: usize,
    /// Blocks over columns.
    pub fan: usize,
    /// Whether padding is initialised by a launch of its own.
    pub hoisted: bool,
    pub kind: LaunchKind,
}

/// How a loop runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Trips {
    pub depth: usize,
    pub trips: usize,
}

/// A kernel with its cost.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub grid: Grid,
    pub stores: Trips,
    pub folds: Trips,
    pub plan: KernelPlan,
    /// The kernel that only fills padding, when that is hoisted.
    pub init: Option<KernelPlan>,
    pub kernel: Kernel,
    pub estimate: Estimate,
    /// Full terms of the stored values, for proofs.
    pub terms: Vec<(usize, RecExpr<Term>)>,
}

/// What candidates are compared by: the estimate in picoseconds; then, as a model does not know how late a load may be, the
/// deeper pipeline; then fewer bytes on chip.
pub type Rank = (u64, std::cmp::Reverse<usize>, usize);

impl Candidate {
    pub fn rank(&self) -> Rank {
        let bytes = Space::ALL.iter().map(|s| self.kernel.used(*s)).sum();
        let picoseconds = (self.estimate.us * 1e6).round() as u64;
        (picoseconds, std::cmp::Reverse(self.kernel.pipeline), bytes)
    }
}

/// Why a kernel has no candidate.
#[derive(Debug, Clone, PartialEq, thiserror::Error, miette::Diagnostic)]
pub enum ExtractError {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Lower(LowerError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Illegal(KernelError),
    #[error("{error}")]
    #[diagnostic(code(tilewright::schedule::overflow), help("{remedy}"))]
    Overflow {
        error: AllocateError,
        remedy: String,
    },
    #[error("kernel `{kernel}` has no schedule with {pin}")]
    #[diagnostic(code(tilewright::pins::no_schedule), help("{remedy}"))]
    NoSchedule {
        kernel: String,
        pin: String,
        remedy: String,
    },
}

/// What extraction of one kernel needs.
pub struct Extraction<'a> {
    pub egraph: &'a Graph,
    pub names: &'a HashMap<Id, String>,
    pub problem: &'a Problem,
    /// The problem's tensors and scalars, to verify kernels with.
    pub shell: &'a Program,
    /// Whether sums must be taken in the order as written.
    pub exact: bool,
    pub machine: &'a Machine,
    pub spec: &'a KernelSpec,
    /// Classes of the stored values.
    pub buffers: &'a [Id],
    /// Stores that somebody reads.
    pub needed: Vec<usize>,
    /// Buffers of earlier kernels, and inputs.
    pub readable: BTreeSet<Symbol>,
    pub pins: KernelPins,
}

impl Extraction<'_> {
    /// The best `count` candidates, best first; ties go to the first in the order of grids and loops.
    pub fn run(&self, count: usize) -> Result<Vec<Candidate>, ExtractError> {
        if self.spec.exchange.is_some() {
            return self.exchanges(count);
        }
        let ways: Vec<IndexMap<Grid, Vec<Way>>> =
            self.needed.iter().map(|s| self.ways(*s)).collect();
        let mut grids: BTreeSet<Grid> = ways[0].keys().copied().collect();
        for w in &ways[1..] {
            grids.retain(|g| w.contains_key(g));
        }
        let grids: Vec<Grid> = self
            .cheapest_launches(grids)
            .into_iter()
            .filter(|g| self.pins.allows_grid(self.spec, g))
            .collect();
        let mut found: Vec<Candidate> = vec![];
        let mut failure = None;
        for grid in grids {
            let ways: Vec<&[Way]> = ways.iter().map(|w| w[&grid].as_slice()).collect();
            match self.search(grid, &ways, count) {
                Ok(candidates) => found.extend(candidates),
                Err(Some(e)) => failure = failure.or(Some(e)),
                Err(None) => {}
            }
        }
        found.sort_by_key(Candidate::rank);
        found.truncate(count);
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
            let cost = |kind| start_us(self.machine, kind, blocks);
            let slot = best
                .entry((g.block_rows, g.rows, g.fan, g.hoisted))
                .or_insert(g);
            if cost(g.kind) < cost(slot.kind) {
                *slot = g;
            }
        }
        best.into_values().collect()
    }
    /// The best candidates on one grid; the error says why there is none, when a reason is known.
    fn search(
        &self,
        grid: Grid,
        ways: &[&[Way]],
        count: usize,
    ) -> Result<Vec<Candidate>, Option<ExtractError>> {
        let wide = ways::chunked(ways);
        // A value of one column is stored once a block, so blocks must not share rows.
        if grid.fan > 1 && ways.iter().any(|w| !wide(w)) {
            return Err(None);
        }
        let mut stores: BTreeSet<Trips> = BTreeSet::new();
        for (i, w) in ways.iter().enumerate().filter(|(_, w)| wide(w)) {
            let spec = &self.spec.stores[self.needed[i]];
            let trips: BTreeSet<Trips> = w
                .iter()
                .filter(|w| self.pins.allows_store(self.spec, spec, w.chunk, w.trips))
                .map(|w| w.trips)
                .collect();
            match stores.is_empty() {
                true => stores = trips,
                false => stores.retain(|t| trips.contains(t)),
            }
        }
        if !ways.iter().any(|w| wide(w)) {
            stores.insert(Trips { depth: 1, trips: 1 });
        }
        let folds = self.loops(grid.rows);
        let none = Trips { depth: 1, trips: 1 };
        let mut resolvers: HashMap<Trips, Resolver> = HashMap::new();
        let mut tried: IndexMap<(Trips, Trips), Option<Candidate>> = IndexMap::new();
        let mut failure: Option<ExtractError> = None;
        let mut evaluate = |s: Trips, f: Trips| -> Option<Rank> {
            if let Some(done) = tried.get(&(s, f)) {
                return done.as_ref().map(Candidate::rank);
            }
            let resolver = resolvers.entry(f).or_insert_with(|| Resolver {
                extraction: self,
                folds: f,
                memo: HashMap::new(),
                open: Default::default(),
                cut: false,
            });
            let result = self.candidate(grid, ways, s, f, resolver);
            let candidate = match result {
                Ok(c) => c,
                Err(e) => {
                    if failure.is_none() || matches!(e, ExtractError::Overflow { .. }) {
                        failure = Some(e);
                    }
                    None
                }
            };
            let us = candidate.as_ref().map(Candidate::rank);
            tried.insert((s, f), candidate);
            us
        };
        // Loops that run alike join in one sweep, so they come first; then one kind of loop is varied at a time.
        let better = |a: Option<Rank>, b: Option<Rank>| match (a, b) {
            (Some(a), Some(b)) => a < b,
            (a, b) => a.is_some() && b.is_none(),
        };
        let mut best: Option<(Trips, Trips)> = None;
        let mut best_us = None;
        for s in &stores {
            let f = match folds.contains(s) || folds.is_empty() {
                true => *s,
                false => folds.first().copied().unwrap_or(none),
            };
            let us = evaluate(*s, f);
            if better(us, best_us) {
                (best, best_us) = (Some((*s, f)), us);
            }
        }
        if best.is_none() {
            // No aligned pair is legal: any pair will do as a start.
            'start: for s in &stores {
                for f in &folds {
                    let us = evaluate(*s, *f);
                    if us.is_some() {
                        (best, best_us) = (Some((*s, *f)), us);
                        break 'start;
                    }
                }
            }
        }
        while let Some((s, f)) = best {
            let mut next = None;
            for pair in folds
                .iter()
                .map(|f| (s, *f))
                .chain(stores.iter().map(|s| (*s, f)))
            {
                let us = evaluate(pair.0, pair.1);
                if better(us, best_us) {
                    (next, best_us) = (Some(pair), us);
                }
            }
            match next {
                Some(pair) => best = Some(pair),
                None => break,
            }
        }
        let mut found: Vec<Candidate> = tried.into_values().flatten().collect();
        found.sort_by_key(Candidate::rank);
        found.truncate(count);
        match found.is_empty() {
            false => Ok(found),
            true => Err(failure),
        }
    }

    /// How loops of reductions and products over `rows` rows may run.
    fn loops(&self, rows: usize) -> BTreeSet<Trips> {
        let num = |id: Id| self.egraph[id].data.num.unwrap_or(0) as usize;
        let mut out = BTreeSet::new();
        for class in self.egraph.classes() {
            if class.data.kind != Kind::Tile || class.data.rows != rows {
                continue;
            }
            for node in &class.nodes {
                if let Some(c) = loop_of(node) {
                    let (depth, extent, chunk) = (num(c[0]), num(c[1]), num(c[2]).max(1));
                    out.insert(Trips {
                        depth,
                        trips: extent / chunk,
                    });
                }
            }
        }
        out
    }

    /// Lowers, allocates and estimates one choice. `Ok(None)`: there is no such term.
    fn candidate(
        &self,
        grid: Grid,
        ways: &[&[Way]],
        stores: Trips,
        folds: Trips,
        resolver: &mut Resolver,
    ) -> Result<Option<Candidate>, ExtractError> {
        let mut expr: RecExpr<Term> = RecExpr::default();
        let mut memo = HashMap::new();
        let mut roots = vec![];
        let mut chosen = vec![];
        let mut labels = HashMap::new();
        for (i, ways) in ways.iter().enumerate() {
            let store = &self.spec.stores[self.needed[i]];
            let Some(way) = ways::find(ways, stores) else {
                return Ok(None);
            };
            if resolver.resolve(way.tile).is_none() {
                return Ok(None);
            }
            let tile = resolver.build(way.tile, &mut expr, &mut memo, Loads::Names);
            let id = launch(&mut expr, grid, store, way, tile, self.egraph);
            for (class, id) in &memo {
                if let Some(name) = self.label(*class) {
                    labels.insert(*id, name.clone());
                }
            }
            roots.push(Root {
                tensor: store.tensor().into(),
                column: store.column(),
                id,
            });
            chosen.push(*way);
        }
        let plan = KernelPlan {
            name: self.spec.name.clone(),
            covers: self.spec.covers.clone(),
            unit: self.spec.unit,
            exchange: None,
            names: self.spec.names.clone(),
            expr,
            labels,
            roots,
            derivation: vec![],
        };
        let (kernel, estimate) = self.price(&plan)?;
        let fills: Vec<(usize, Id)> = chosen
            .iter()
            .enumerate()
            .filter_map(|(i, w)| Some((i, w.fill?)))
            .collect();
        let init = (!fills.is_empty()).then(|| self.init_kernel(&fills));
        let mut estimate = estimate;
        if let Some(init) = &init {
            // The fill is paid for where it was decided.
            let (_, fill) = self.price(init)?;
            estimate.us += fill.us;
        }
        Ok(Some(Candidate {
            grid,
            stores,
            folds,
            plan,
            init,
            kernel,
            estimate,
            terms: vec![],
        }))
    }

    /// What the graph calls the value that a tile class is a tile of.
    fn label(&self, class: Id) -> Option<&String> {
        self.egraph[class].nodes.iter().find_map(|n| match n {
            Term::App(Head::Tile, c) => self.names.get(&self.egraph.find(c[2])),
            _ => None,
        })
    }

    fn price(&self, plan: &KernelPlan) -> Result<(Kernel, Estimate), ExtractError> {
        let mut kernel = lower_kernel(plan, &self.problem.tensors, &self.problem.scalars)
            .map_err(ExtractError::Lower)?;
        verify_kernel(self.shell, &kernel).map_err(ExtractError::Illegal)?;
        allocate(&mut kernel, self.machine).map_err(|error| ExtractError::Overflow {
            error,
            remedy: "choose a smaller tile".into(),
        })?;
        let estimate = estimate(&kernel, self.machine);
        Ok((kernel, estimate))
    }

    /// The kernel that fills the padding of stores; each comes with the class of its filling.
    fn init_kernel(&self, fills: &[(usize, Id)]) -> KernelPlan {
        let mut expr: RecExpr<Term> = RecExpr::default();
        let mut roots = vec![];
        for (store, fill) in fills {
            let launches = self.egraph[*fill].nodes.iter().filter_map(|n| match n {
                Term::App(Head::Launch(kind), c) => Some((*kind, c)),
                _ => None,
            });
            let best = launches
                .filter(|(kind, _)| self.pins.allows_launch(self.spec, *kind))
                .min_by(|a, b| {
                    let cost = |kind| start_us(self.machine, kind, 1);
                    cost(a.0).total_cmp(&cost(b.0))
                });
            let Some((kind, c)) = best else { continue };
            let body = self.egraph[c[2]].nodes[0].clone();
            let mut leaf = |id: Id| expr.add(self.egraph[id].nodes[0].clone());
            let extent = [leaf(c[0]), leaf(c[1])];
            let children: Vec<Id> = body.children().iter().map(|c| leaf(*c)).collect();
            let body = expr.add(Term::app(Head::Fill, children));
            let id = expr.add(Term::app(Head::Launch(kind), [extent[0], extent[1], body]));
            roots.push(Root {
                tensor: self.spec.stores[self.needed[*store]].name.clone(),
                column: 0,
                id,
            });
        }
        KernelPlan {
            name: format!("{}_pad_init", self.spec.region),
            covers: self.spec.covers.clone(),
            unit: Unit::Vector,
            exchange: None,
            names: self.spec.names.clone(),
            expr,
            labels: HashMap::new(),
            roots,
            derivation: vec![],
        }
    }

    /// Full terms of a candidate's stored values, for proofs. `bufs` are the terms of all buffers by name.
    pub fn full_terms(
        &self,
        candidate: &Candidate,
        bufs: &HashMap<Symbol, &RecExpr<Term>>,
    ) -> Vec<(usize, RecExpr<Term>)> {
        let mut resolver = Resolver {
            extraction: self,
            folds: candidate.folds,
            memo: HashMap::new(),
            open: Default::default(),
            cut: false,
        };
        let mut out = vec![];
        if self.spec.exchange.is_some() {
            let roots = &candidate.plan.roots;
            let term = |r: &Root| part(&candidate.plan.expr, r.id);
            return std::iter::zip(&self.needed, roots)
                .map(|(store, r)| (*store, term(r)))
                .collect();
        }
        for store in &self.needed {
            let ways = self.ways(*store);
            let Some(ways) = ways.get(&candidate.grid) else {
                continue;
            };
            let way = ways::find(ways, candidate.stores);
            let Some(way) = way else { continue };
            if resolver.resolve(way.tile).is_none() {
                continue;
            }
            let mut expr: RecExpr<Term> = RecExpr::default();
            let mut memo = HashMap::new();
            let tile = resolver.build(way.tile, &mut expr, &mut memo, Loads::Terms(bufs));
            let spec = &self.spec.stores[*store];
            let data = launch(&mut expr, candidate.grid, spec, way, tile, self.egraph);
            if let (Some(_), Some(init)) = (way.fill, &candidate.init) {
                let fill = init.roots.iter().find(|r| r.tensor == spec.name);
                let Some(fill) = fill else { continue };
                let fill = append(&init.expr, &mut expr)[usize::from(fill.id)];
                expr.add(Term::app(Head::Overlay, [fill, data]));
            }
            out.push((*store, expr));
        }
        out
    }

    fn no_schedule(&self, ways: &[IndexMap<Grid, Vec<Way>>]) -> ExtractError {
        let grids = ways.iter().flat_map(|w| w.keys());
        let blocks: BTreeSet<usize> = grids.clone().map(|g| g.block_rows).collect();
        let chunks: BTreeSet<usize> = ways
            .iter()
            .flat_map(|w| w.values().flatten())
            .filter(|w| w.block_cols > 1)
            .map(|w| w.chunk)
            .collect();
        let list = |s: BTreeSet<usize>| {
            s.iter()
                .map(usize::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let names = &self.spec.names;
        ExtractError::NoSchedule {
            kernel: self.spec.region.clone(),
            pin: self.pins.to_string(),
            remedy: format!(
                "with these rules and this numerics policy, {} can be one of {}; {} one of {}",
                names.rows,
                list(blocks),
                names.cols.as_deref().unwrap_or("the column tile"),
                list(chunks)
            ),
        }
    }
}

/// Appends the terms of `from` to `to`; returns their places.
fn append(from: &RecExpr<Term>, to: &mut RecExpr<Term>) -> Vec<Id> {
    let mut ids: Vec<Id> = vec![];
    for node in from.as_ref() {
        let node = node.clone().map_children(|c| ids[usize::from(c)]);
        ids.push(to.add(node));
    }
    ids
}

/// The term below `id`, alone.
fn part(expr: &RecExpr<Term>, id: Id) -> RecExpr<Term> {
    expr[id].build_recexpr(|id| expr[id].clone())
}

fn launch(
    expr: &mut RecExpr<Term>,
    grid: Grid,
    store: &Store,
    way: &Way,
    tile: Id,
    egraph: &Graph,
) -> Id {
    let mut num = |n: usize| expr.add(Term::Num(n as i64));
    let (d, n, c) = (num(way.trips.depth), num(way.block_cols), num(way.chunk));
    let (b, r) = (num(grid.block_rows), num(grid.rows));
    let rows = num(store.rows);
    // With a hoisted padding the launch is of the data alone.
    let cols = num(match way.fill {
        Some(_) => way.block_cols * grid.fan,
        None => store.cols,
    });
    let mut body = expr.add(Term::app(Head::Cols, [d, n, c, tile]));
    body = expr.add(Term::app(Head::Rows, [b, r, body]));
    if let Some((width, value)) = way.pad {
        let width = expr.add(egraph[width].nodes[0].clone());
        let value = expr.add(egraph[value].nodes[0].clone());
        body = expr.add(Term::app(Head::WithPad, [width, value, body]));
    }
    expr.add(Term::app(Head::Launch(grid.kind), [rows, cols, body]))
}
/// Names that the loads of a plan read.
pub fn reads(plan: &KernelPlan) -> IndexSet<String> {
    if let Some(exchange) = &plan.exchange {
        return exchange.reads().into_iter().collect();
    }
    let expr = &plan.expr;
    expr.as_ref()
        .iter()
        .filter_map(|n| match n {
            Term::App(Head::Load, c) => match &expr[c[2]] {
                Term::App(Head::Input, name) => match &expr[name[0]] {
                    Term::Name(s) => Some(s.to_string()),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        })
        .collect()
}
