//! Extraction: the best kernels that the e-graph holds.
//!
//! First which values lie in global memory, then the kernels within that. Kernels are extracted from the last to the first, so that a value
//! that no chosen kernel reads is not stored. A kernel's candidates are keyed by their grid (rows a block, columns a block,
//! launch) and by how their loops run; everything else in a candidate is the cheapest executable node of each class. A
//! candidate's cost is that of its kernel program: lowered, allocated (over capacity, it does not exist) and estimated. So
//! shared work is counted once and joined sweeps are seen, which a cost over trees cannot.

mod classes;
mod descent;
mod exchange;
mod refine;
mod resolve;
mod spans;
mod ways;

pub use classes::Classes;
use resolve::{Loads, Resolver};
pub use spans::Spans;
use ways::{Way, Ways};

use crate::cost::{CostModel, Estimate};
use crate::egraph::saturate::Labels;
use crate::hash::WordHasher;
use crate::hash::{HashMap, HashSet};
use crate::kernel::allocate::{AllocateError, allocate};
use crate::kernel::synchronise::{SynchroniseError, check_event_ids};
use crate::lower::{LowerError, lower_kernel, tensor_name};
use crate::problem::{KernelSpec, Problem, Store};
use crate::search::candidate::{Candidate, Choice, Cost, Exceptions, Grid, Trips, rank};
use crate::search::pins::KernelPins;
use crate::term::language::{Head, Term};
use crate::term::plan::{KernelPlan, Root};
use egg::{Id, Language, RecExpr, Symbol};
use indexmap::IndexSet;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use tilewright_ir::graph::Operator;
use tilewright_ir::kernel::{Kernel, KernelError, Program, Unit, verify_kernel};
use tilewright_ir::machine::Machine;
use tracing::trace_span;

/// How loops may run.
type Loops = BTreeSet<Trips>;

/// What the extractions of one e-graph need again and again.
#[derive(Default)]
pub struct Priced {
    /// What kernels cost, by a hash of their terms: whatever else may be read, the same kernel comes up again.
    costs: RefCell<HashMap<u64, Result<Cost, ExtractError>>>,
    /// Of operations of a vector core alone, by class, operator and first operand.
    works: RefCell<HashMap<(Id, Operator, Id), f64>>,
    /// By class of a stored value.
    ways: RefCell<HashMap<(Id, bool), Rc<Ways>>>,
    /// By class of a stored value and grid, how the loops in the terms of its tiles may run.
    loops: RefCell<HashMap<(Id, bool, Grid), Rc<Loops>>>,
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
    #[error(transparent)]
    #[diagnostic(transparent)]
    Flags(SynchroniseError),
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

impl ExtractError {
    /// A kernel that does not fit, where nothing nearer is known.
    pub fn overflow(error: AllocateError) -> Self {
        ExtractError::Overflow {
            error,
            remedy: "choose a smaller tile".into(),
        }
    }
}

/// What extraction of one kernel needs.
pub struct Extraction<'a> {
    pub classes: &'a Classes<'a>,
    pub labels: &'a Labels,
    pub problem: &'a Problem,
    /// The problem's tensors and scalars, to verify kernels with.
    pub shell: &'a Program,
    /// Whether sums must be taken in the order as written.
    pub exact: bool,
    pub machine: &'a Machine,
    pub cost: &'a dyn CostModel,
    pub spec: &'a KernelSpec,
    /// Kernels as written that this one is.
    pub members: &'a [usize],
    pub known: &'a Priced,
    /// Classes of the stored values.
    pub buffers: &'a [Id],
    /// Stores that somebody reads.
    pub needed: Vec<usize>,
    /// Buffers of earlier kernels, and inputs.
    pub readable: BTreeSet<Symbol>,
    /// Rows a block and blocks over columns of the only grids that count.
    pub grids: Option<Vec<(usize, usize)>>,
    pub pins: KernelPins,
}

impl Extraction<'_> {
    /// The way to store a value whose loop runs as wanted; if none does, the one that comes nearest.
    fn way<'w>(&self, store: &Store, ways: &'w [Way], wanted: Trips) -> Option<&'w Way> {
        // A value that is never cut takes no part in how the others are.
        let whole = ways.iter().all(|w| w.trips.trips == 1);
        let allowed = |w: &&Way| {
            let cut = || self.pins.allows_store(self.spec, store, w.chunk, w.trips);
            self.may_read(w.tile) && (whole || cut())
        };
        ways.iter().filter(allowed).min_by_key(|w| {
            let t = w.trips;
            (
                t.trips.abs_diff(wanted.trips),
                t.depth.abs_diff(wanted.depth),
            )
        })
    }

    /// Whether a tile can be something else than a load of what this kernel cannot read: a copy is a way to store a value for who
    /// copies it only.
    pub(super) fn may_read(&self, tile: Id) -> bool {
        let stored = |n: &Term| match n {
            Term::App(Head::Buf | Head::Input, c) => {
                let name = self.classes[c[0]].data.name;
                name.is_some_and(|n| self.readable.contains(&n))
            }
            _ => false,
        };
        let readable = |of: Id| {
            self.classes[of].nodes.iter().any(|n| match n {
                Term::App(Head::Op(Operator::Reshape), c) => {
                    self.classes[c[0]].nodes.iter().any(stored)
                }
                n => stored(n),
            })
        };
        self.classes[tile].nodes.iter().any(|n| match n {
            Term::App(Head::Load, c) => readable(c[2]),
            node => node.head() != Some(Head::Tile),
        })
    }

    /// Of each value that is stored, the way that a choice takes.
    fn taken<'w>(
        &self,
        ways: &[&'w [Way]],
        choice: Choice,
        exceptions: &Exceptions,
    ) -> Option<Vec<&'w Way>> {
        let stores = self.needed.iter().zip(ways).enumerate();
        let way = |(i, (needed, ways)): (usize, (&usize, &&'w [Way]))| match exceptions.way(i) {
            Some(way) => ways.get(way),
            None => self.way(&self.spec.stores[*needed], ways, choice.stores),
        };
        stores.map(way).collect()
    }

    /// A hash of the terms of these ways, if there are such.
    fn key(&self, grid: Grid, taken: &[&Way], resolver: &mut Resolver) -> Option<u64> {
        let mut hasher = WordHasher::default();
        // A pinned launch is that of the kernel which fills padding, too.
        let launches = (self.pins.launch, self.pins.fill);
        (self.members, &self.needed, grid, launches).hash(&mut hasher);
        for way in taken {
            resolver.resolve(way.tile)?;
            hasher.write_u64(resolver.print(way.tile));
            (way.trips, way.chunk, way.block_cols, way.pad, way.fill).hash(&mut hasher);
        }
        Some(hasher.finish())
    }

    /// The kernel that stores values in these ways, and the one that fills its padding, if that is one of its own.
    fn plan(
        &self,
        grid: Grid,
        taken: &[&Way],
        resolver: &Resolver,
    ) -> (KernelPlan, Option<KernelPlan>) {
        let mut expr: RecExpr<Term> = RecExpr::default();
        let mut memo = HashMap::default();
        let mut roots = vec![];
        let mut fills = vec![];
        for (i, (needed, way)) in self.needed.iter().zip(taken).enumerate() {
            let store = &self.spec.stores[*needed];
            let tile = resolver.build(way.tile, &mut expr, &mut memo, Loads::Names);
            roots.push(Root {
                tensor: store.tensor().into(),
                column: store.column(),
                id: launch(&mut expr, grid, store, way, tile, self.classes),
            });
            fills.extend(way.fill.map(|fill| (i, fill)));
        }
        let named = |(class, id)| Some((id, self.label(class)?.clone()));
        let plan = KernelPlan {
            name: self.spec.name.clone(),
            covers: self.spec.covers.clone(),
            unit: self.spec.unit,
            exchange: None,
            names: self.spec.names.clone(),
            expr,
            labels: memo.into_iter().filter_map(named).collect(),
            roots,
            products: vec![],
            derivation: vec![],
        };
        let init = (!fills.is_empty()).then(|| self.init_kernel(&fills));
        (plan, init)
    }

    /// What the kernel that stores values in these ways costs, by a hash of its terms: once.
    fn cost_of(
        &self,
        key: u64,
        grid: Grid,
        taken: &[&Way],
        resolver: &Resolver,
    ) -> Result<Cost, ExtractError> {
        if let Some(known) = self.known.costs.borrow().get(&key) {
            return known.clone();
        }
        let span = trace_span!("write terms").entered();
        let (plan, init) = self.plan(grid, taken, resolver);
        drop(span);
        let cost = self.cost(&plan, init.as_ref());
        self.known.costs.borrow_mut().insert(key, cost.clone());
        cost
    }

    /// What a kernel costs, with the one that fills its padding: that is paid for where it was decided.
    fn cost(&self, plan: &KernelPlan, init: Option<&KernelPlan>) -> Result<Cost, ExtractError> {
        let (kernel, mut estimate) = self.price(plan)?;
        let fill = init.map(|i| self.price(i)).transpose()?;
        let fill_us = fill.map_or(0.0, |(_, fill)| fill.us);
        estimate.us += fill_us;
        Ok(Cost {
            rank: rank(&kernel, &estimate),
            fill_us,
        })
    }

    /// What the graph calls the value that a tile class is a tile of.
    fn label(&self, class: Id) -> Option<&String> {
        self.classes[class].nodes.iter().find_map(|n| match n {
            Term::App(Head::Tile, c) => self.labels.of(&self.spec.name, self.classes.find(c[2])),
            _ => None,
        })
    }

    /// Lowers, allocates and estimates a kernel.
    pub fn price(&self, plan: &KernelPlan) -> Result<(Kernel, Estimate), ExtractError> {
        let mut kernel = {
            let _span = trace_span!("lower").entered();
            let problem = self.problem;
            let kernel = lower_kernel(plan, &problem.tensors, &problem.scalars, self.machine)
                .map_err(ExtractError::Lower)?;
            verify_kernel(self.shell, &kernel, self.machine).map_err(ExtractError::Illegal)?;
            kernel
        };
        {
            let _span = trace_span!("allocate").entered();
            allocate(&mut kernel, self.machine).map_err(ExtractError::overflow)?;
            check_event_ids(&kernel, &self.machine.geometry).map_err(ExtractError::Flags)?;
        }
        let _span = trace_span!("estimate").entered();
        let estimate = self.cost.estimate(&kernel, self.machine);
        Ok((kernel, estimate))
    }

    /// The kernel that fills the padding of stores; each comes with the class of its filling.
    fn init_kernel(&self, fills: &[(usize, Id)]) -> KernelPlan {
        let mut expr: RecExpr<Term> = RecExpr::default();
        let mut roots = vec![];
        for (store, fill) in fills {
            let launches = self.classes[*fill].nodes.iter().filter_map(|n| match n {
                Term::App(Head::Launch(kind), c) => Some((*kind, c)),
                _ => None,
            });
            let best = launches
                .filter(|(kind, _)| self.pins.allows_fill(self.spec, *kind))
                .min_by(|a, b| {
                    let cost = |kind| self.cost.start_us(self.machine, kind, 1);
                    cost(a.0).total_cmp(&cost(b.0))
                });
            let Some((kind, c)) = best else { continue };
            let body = self.classes[c[2]].nodes[0].clone();
            let mut leaf = |id: Id| expr.add(self.classes[id].nodes[0].clone());
            let extent = [leaf(c[0]), leaf(c[1])];
            let children: Vec<Id> = body.children().iter().map(|c| leaf(*c)).collect();
            let body = expr.add(Term::app(Head::Fill, children));
            let id = expr.add(Term::app(Head::Launch(kind), [extent[0], extent[1], body]));
            roots.push(Root {
                tensor: self.spec.stores[self.needed[*store]].tensor().into(),
                column: self.spec.stores[self.needed[*store]].column(),
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
            labels: HashMap::default(),
            roots,
            products: vec![],
            derivation: vec![],
        }
    }

    /// Full terms of a candidate's stored values, for proofs. `bufs` are the terms of all buffers by name.
    pub fn full_terms(
        &self,
        candidate: &Candidate,
        bufs: &HashMap<Symbol, &RecExpr<Term>>,
    ) -> Vec<(usize, RecExpr<Term>)> {
        let mut resolver = Resolver::new(self, candidate.choice, candidate.exceptions.clone());
        let mut out = vec![];
        if self.spec.exchange.is_some() {
            let roots = &candidate.plan.roots;
            let term = |r: &Root| part(&candidate.plan.expr, r.id);
            return std::iter::zip(&self.needed, roots)
                .map(|(store, r)| (*store, term(r)))
                .collect();
        }
        let ways: Vec<Rc<Ways>> = self.needed.iter().map(|s| self.ways(*s)).collect();
        let Some(ways) = on_grid(&ways, candidate.grid) else {
            return out;
        };
        let Some(taken) = self.taken(&ways, candidate.choice, &candidate.exceptions) else {
            return out;
        };
        if self.key(candidate.grid, &taken, &mut resolver).is_none() {
            return out;
        }
        for (store, way) in self.needed.iter().zip(taken) {
            let mut expr: RecExpr<Term> = RecExpr::default();
            let mut memo = HashMap::default();
            let tile = resolver.build(way.tile, &mut expr, &mut memo, Loads::Terms(bufs));
            let spec = &self.spec.stores[*store];
            let data = launch(&mut expr, candidate.grid, spec, way, tile, self.classes);
            if let (Some(_), Some(init)) = (way.fill, &candidate.init) {
                let place = (spec.tensor(), spec.column());
                let mut roots = init.roots.iter();
                let fill = roots.find(|r| (r.tensor.as_str(), r.column) == place);
                let Some(fill) = fill else { continue };
                let fill = append(&init.expr, &mut expr)[usize::from(fill.id)];
                expr.add(Term::app(Head::Overlay, [fill, data]));
            }
            out.push((*store, expr));
        }
        out
    }

    /// What stands for a kernel that was not looked at.
    pub fn unknown(&self) -> ExtractError {
        self.no_schedule()
    }

    fn no_schedule(&self) -> ExtractError {
        ExtractError::NoSchedule {
            kernel: self.spec.region.clone(),
            pin: self.pins.to_string(),
            remedy: match self.pins.is_empty() {
                true => "search with all rules, or write other tiles, or none",
                false => "leave out one of them",
            }
            .into(),
        }
    }
}

/// Of each value, the ways to store it on a grid, if all have some.
fn on_grid(ways: &[Rc<Ways>], grid: Grid) -> Option<Vec<&[Way]>> {
    ways.iter()
        .map(|w| w.get(&grid).map(Vec::as_slice))
        .collect()
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
    classes: &Classes,
) -> Id {
    let mut num = |n: usize| expr.add(Term::Num(n as i64));
    let (d, n, c) = (num(way.trips.depth), num(way.block_cols), num(way.chunk));
    let (b, r) = (num(grid.block_rows), num(grid.rows));
    let rows = num(store.rows);
    // With a hoisted padding the launch is of the data alone.
    let cols = num(match way.fill {
        Some(_) => store.data_cols,
        None => store.cols,
    });
    let mut body = expr.add(Term::app(Head::Cols, [d, n, c, tile]));
    body = expr.add(Term::app(Head::Rows, [b, r, body]));
    if let Some((width, value)) = way.pad {
        let width = expr.add(classes[width].nodes[0].clone());
        let value = expr.add(classes[value].nodes[0].clone());
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
    let mut out: IndexSet<String> = expr
        .as_ref()
        .iter()
        .filter_map(|n| match n {
            Term::App(Head::Load, c) => tensor_name(expr, c[2]).map(str::to_owned),
            _ => None,
        })
        .collect();
    // What its own parts make for each other is not there before it.
    for product in &plan.products {
        out.extend(reads(product));
    }
    if !plan.products.is_empty() {
        let parts = plan.products.iter().chain([plan]);
        let made: HashSet<&String> = parts.flat_map(|p| &p.roots).map(|r| &r.tensor).collect();
        out.retain(|name| !made.contains(name));
    }
    out
}
