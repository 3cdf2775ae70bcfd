//! The schedule pass: a kernel's terms become a kernel program of loops, tiles and instructions.
//!
//! One function a core type: `vector` and `cube`. The result has no addresses and no flags yet; executed from top to
//! bottom it is right. Nothing is chosen here: loops, tiles and launches are those of the terms.

mod cube;
mod exchange;
mod mixed;
mod prefix;
mod ragged;
mod sort;
mod vector;
pub(crate) mod work;

use crate::term::exchange::Exchange;
use crate::term::language::{Head, Term};
use crate::term::plan::{KernelPlan, Plan, Root};
use egg::{Id, Language, RecExpr};
use indexmap::IndexMap;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{EPOCH, LaunchKind, Operator, RANK};
use tilewright_ir::kernel::{
    Expr, GlobalTensor, GridAxis, Instr, Kernel, Launch, Layout, Program, Space, Tile, Unit, Var,
};
use tilewright_ir::machine::{Geometry, Machine};

/// Why terms cannot become a kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum LowerError {
    #[error("kernel `{kernel}`: the term `{term}` is not executable on a {unit:?} core")]
    #[diagnostic(code(tilewright::schedule::not_executable))]
    NotExecutable {
        kernel: String,
        term: String,
        unit: Unit,
    },
    #[error("kernel `{kernel}`: values of one kernel have different launches")]
    #[diagnostic(code(tilewright::schedule::launches_differ))]
    LaunchesDiffer { kernel: String },
    #[error(
        "kernel `{kernel}` sorts rows of {cols} columns; the sorting network takes a power of two from {least} on"
    )]
    #[diagnostic(
        code(tilewright::schedule::sort_width),
        help("pad the row: pad_cols(x, to = {next}, value = lowest)")
    )]
    SortWidth {
        kernel: String,
        cols: usize,
        least: usize,
        next: usize,
    },
    /// A product and its reader that cannot be one launch.
    #[error("kernel `{kernel}` and the product `{product}` cannot be one launch: {what}")]
    #[diagnostic(
        code(tilewright::schedule::mix),
        help(
            "let both have the same blocks, the vector kernel cut in two halves of rows or columns, or keep them apart"
        )
    )]
    Mix {
        kernel: String,
        product: String,
        what: &'static str,
    },
    #[error("kernel `{kernel}`: a cube tile of {what} = {size} is not a multiple of {unit}")]
    #[diagnostic(
        code(tilewright::schedule::fractal),
        help("products are made of whole fractals: choose a multiple of {unit}")
    )]
    Fractal {
        kernel: String,
        what: &'static str,
        size: usize,
        unit: usize,
    },
}

/// Lowers all kernels of a plan.
pub fn lower(plan: &Plan, machine: &Machine) -> Result<Program, LowerError> {
    let mut all = plan.tensors.clone();
    let mut kernels = vec![];
    for k in &plan.kernels {
        let (kernel, rings) = lower_with_rings(k, &plan.tensors, &plan.scalars, machine)?;
        kernels.push(kernel);
        all.extend(rings);
    }
    let used = |name: &str| {
        kernels.iter().any(|k| {
            let (reads, writes) = k.accesses();
            reads.iter().chain(&writes).any(|t| t == name)
        })
    };
    let tensors = all.into_iter().filter(|(n, _)| used(n)).collect();
    Ok(Program {
        name: plan.name.clone(),
        machine: machine.name.clone(),
        ranks: plan.ranks,
        tensors,
        scalars: plan.scalars.clone(),
        kernels,
    })
}

/// Grid axes: blocks over columns, and over parts of a product's inner axis.
pub(crate) const COLS: &str = "cols";
pub(crate) const PARTS: &str = "parts";

/// Lowers one kernel.
pub fn lower_kernel(
    plan: &KernelPlan,
    tensors: &IndexMap<String, GlobalTensor>,
    scalars: &IndexMap<String, i64>,
    machine: &Machine,
) -> Result<Kernel, LowerError> {
    Ok(lower_with_rings(plan, tensors, scalars, machine)?.0)
}

/// Workspaces between the parts of a mixed kernel, by name.
pub type Rings = IndexMap<String, GlobalTensor>;

/// Lowers one kernel, with the workspaces that it adds.
pub fn lower_with_rings(
    plan: &KernelPlan,
    tensors: &IndexMap<String, GlobalTensor>,
    scalars: &IndexMap<String, i64>,
    machine: &Machine,
) -> Result<(Kernel, Rings), LowerError> {
    let (mut kernel, rings) = lower_parts(plan, tensors, scalars, machine)?;
    kernel.expected = expected(&kernel, tensors);
    Ok((kernel, rings))
}

/// What the integers that a kernel's scalar unit reads, or writes as a whole, are expected to be.
fn expected(
    kernel: &Kernel,
    tensors: &IndexMap<String, GlobalTensor>,
) -> IndexMap<String, Vec<i64>> {
    let mut out = IndexMap::new();
    kernel.visit(&mut |instr| {
        if let Instr::ReadScalar { src, .. }
        | Instr::ReadArray { src, .. }
        | Instr::WriteArray { dst: src, .. } = instr
            && let Some(tensor) = tensors.get(&src.tensor)
            && !tensor.expected.is_empty()
        {
            out.insert(src.tensor.clone(), tensor.expected.clone());
        }
    });
    out.sort_keys();
    out
}

fn lower_parts(
    plan: &KernelPlan,
    tensors: &IndexMap<String, GlobalTensor>,
    scalars: &IndexMap<String, i64>,
    machine: &Machine,
) -> Result<(Kernel, Rings), LowerError> {
    if plan.products.is_empty() {
        return Ok((lower_one(plan, tensors, scalars, machine)?, Rings::new()));
    }
    let mut products = vec![];
    for product in &plan.products {
        products.push(lower_one(product, tensors, scalars, machine)?);
    }
    let vector = KernelPlan {
        unit: Unit::Vector,
        products: vec![],
        ..plan.clone()
    };
    for part in plan.products.iter().chain([&vector]) {
        if read_stores(part, tensors)?.iter().any(Stored::is_partial) {
            return Err(LowerError::Mix {
                kernel: plan.name.clone(),
                product: plan.products[0].name.clone(),
                what: "a last tile is smaller than the others",
            });
        }
    }
    let vector = lower_one(&vector, tensors, scalars, machine)?;
    mixed::mix(products, vector, tensors, &machine.geometry)
}

/// Lowers a kernel of one core type.
fn lower_one(
    plan: &KernelPlan,
    tensors: &IndexMap<String, GlobalTensor>,
    scalars: &IndexMap<String, i64>,
    machine: &Machine,
) -> Result<Kernel, LowerError> {
    if let Some(exchange) = &plan.exchange {
        return lower_exchange(plan, exchange, scalars, machine);
    }
    let geometry = &machine.geometry;
    let stores = read_stores(plan, tensors)?;
    let first = &stores[0];
    let same = stores.iter().all(|s| {
        s.kind == first.kind
            && s.rows == first.rows
            && (s.groups, s.counts) == (first.groups, first.counts)
            && s.grid() == first.grid()
            && s.block_rows == first.block_rows
    });
    if !same {
        return Err(LowerError::LaunchesDiffer {
            kernel: plan.name.clone(),
        });
    }
    let (rows, cols) = first.grid();
    let axes = [
        ("groups", first.groups),
        ("rows", rows / first.groups),
        (COLS, cols),
    ];
    let kernel = empty(plan, first.kind, grid(&axes));
    match plan.unit {
        Unit::Cube => cube::lower(plan, &stores, tensors, machine, kernel),
        Unit::Vector | Unit::Mixed => {
            vector::lower(plan, &stores, (tensors, scalars), geometry, kernel)
        }
    }
}

/// The launch terms of a plan, read.
fn read_stores<'a>(
    plan: &'a KernelPlan,
    tensors: &'a IndexMap<String, GlobalTensor>,
) -> Result<Vec<Stored<'a>>, LowerError> {
    let read = |root: &'a Root| {
        let stored = Stored::read(plan, root.id, &root.tensor)?;
        let tensor = tensors.get(&root.tensor)?;
        Some(Stored {
            column: root.column,
            groups: tensor.ragged.as_ref().map_or(1, |r| r.groups),
            counts: tensor.ragged.as_ref().map(|r| r.counts.as_str()),
            ..stored
        })
    };
    let stores = plan.roots.iter().map(read);
    stores
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| not_executable(plan, plan.roots[0].id))
}

/// Lowers a kernel that moves data between ranks.
fn lower_exchange(
    plan: &KernelPlan,
    exchange: &Exchange,
    scalars: &IndexMap<String, i64>,
    machine: &Machine,
) -> Result<Kernel, LowerError> {
    let share = |root: &Root| match &plan.expr[root.id] {
        Term::App(Head::Launch(kind), c) => match &plan.expr[c[2]] {
            Term::App(Head::Share, s) => {
                let by_line = matches!(plan.expr[s[1]], Term::App(Head::ByLine, _));
                let blocks = num(&plan.expr, s[0])?;
                Some((*kind, exchange::Shared { blocks, by_line }))
            }
            _ => None,
        },
        _ => None,
    };
    let first = &plan.roots[0];
    let (kind, shared) = share(first).ok_or_else(|| not_executable(plan, first.id))?;
    if plan.roots.iter().any(|r| share(r) != Some((kind, shared))) {
        return Err(LowerError::LaunchesDiffer {
            kernel: plan.name.clone(),
        });
    }
    Ok(exchange::lower(
        plan,
        exchange,
        shared,
        scalars,
        machine,
        empty(plan, kind, vec![]),
    ))
}

/// A kernel without a body.
fn empty(plan: &KernelPlan, kind: LaunchKind, grid: Vec<GridAxis>) -> Kernel {
    Kernel {
        name: plan.name.clone(),
        covers: plan.covers.clone(),
        unit: plan.unit,
        launch: Launch { kind, grid },
        params: IndexMap::new(),
        pipeline: 1,
        loops: vec![],
        tiles: vec![],
        registers: 0,
        arrays: vec![],
        after: vec![],
        expected: IndexMap::new(),
        notes: vec![],
        body: vec![],
    }
}

/// Grid axes with more than one block.
fn grid(axes: &[(&str, usize)]) -> Vec<GridAxis> {
    axes.iter()
        .filter(|(_, count)| *count > 1)
        .map(|(name, count)| GridAxis {
            name: (*name).into(),
            count: *count,
        })
        .collect()
}

fn not_executable(plan: &KernelPlan, id: Id) -> LowerError {
    LowerError::NotExecutable {
        kernel: plan.name.clone(),
        term: plan.expr[id].to_string(),
        unit: plan.unit,
    }
}

/// A launch term, read.
#[derive(Debug, Clone, PartialEq)]
struct Stored<'a> {
    tensor: &'a str,
    /// Its first column in the tensor.
    column: usize,
    /// Groups of the rows; 1 where all exist.
    groups: usize,
    /// What counts the rows of each group, where they need not all exist.
    counts: Option<&'a str>,
    kind: LaunchKind,
    rows: usize,
    cols: usize,
    block_rows: usize,
    /// Rows a trip.
    trip_rows: usize,
    block_cols: usize,
    body: StoredBody,
    /// Columns up to the first are filled with the second.
    pad: Option<(usize, f32)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum StoredBody {
    /// A loop of `depth` that stores `chunk` columns a trip of the tile term.
    Cols {
        depth: usize,
        chunk: usize,
        tile: Id,
    },
    /// Columns from the first on are filled with the second.
    Fill { from: usize, value: f32 },
}

impl<'a> Stored<'a> {
    fn read(plan: &KernelPlan, id: Id, tensor: &'a str) -> Option<Self> {
        let expr = &plan.expr;
        let Term::App(Head::Launch(kind), c) = &expr[id] else {
            return None;
        };
        let (rows, cols) = (num(expr, c[0])?, num(expr, c[1])?);
        let mut pad = None;
        let mut body = c[2];
        if let Term::App(Head::WithPad, c) = &expr[body] {
            pad = Some((num(expr, c[0])?, constant(expr, c[1])?));
            body = c[2];
        }
        match &expr[body] {
            Term::App(Head::Rows, c) => {
                let (block_rows, trip_rows) = (num(expr, c[0])?, num(expr, c[1])?);
                let Term::App(Head::Cols, c) = &expr[c[2]] else {
                    return None;
                };
                Some(Stored {
                    tensor,
                    column: 0,
                    groups: 1,
                    counts: None,
                    kind: *kind,
                    rows,
                    // The padding is no part of the grid.
                    cols: if pad.is_some() {
                        num(expr, c[1])?
                    } else {
                        cols
                    },
                    block_rows,
                    trip_rows,
                    block_cols: num(expr, c[1])?,
                    body: StoredBody::Cols {
                        depth: num(expr, c[0])?,
                        chunk: num(expr, c[2])?,
                        tile: c[3],
                    },
                    pad,
                })
            }
            Term::App(Head::Fill, c) => {
                let block_rows = num(expr, c[0])?;
                Some(Stored {
                    tensor,
                    column: 0,
                    groups: 1,
                    counts: None,
                    kind: *kind,
                    rows,
                    cols,
                    block_rows,
                    trip_rows: block_rows,
                    block_cols: cols,
                    body: StoredBody::Fill {
                        from: num(expr, c[1])?,
                        value: constant(expr, c[3])?,
                    },
                    pad,
                })
            }
            _ => None,
        }
    }

    /// Whether a last block or trip has fewer rows or columns than the others.
    fn is_partial(&self) -> bool {
        let chunk = match self.body {
            StoredBody::Cols { chunk, .. } => chunk,
            StoredBody::Fill { .. } => self.block_cols,
        };
        let whole = [
            (self.rows / self.groups, self.block_rows),
            (self.cols, self.block_cols),
            (self.block_cols, chunk),
        ];
        whole.iter().any(|(of, tile)| !of.is_multiple_of(*tile))
    }

    /// Blocks over rows and over columns. The last of a group's blocks may have fewer rows, and the last of a row fewer columns.
    fn grid(&self) -> (usize, usize) {
        let rows = (self.rows / self.groups).div_ceil(self.block_rows.max(1));
        (
            rows * self.groups,
            self.cols.div_ceil(self.block_cols.max(1)),
        )
    }
}

fn num(expr: &RecExpr<Term>, id: Id) -> Option<usize> {
    match expr[id] {
        Term::Num(n) => usize::try_from(n).ok().filter(|n| *n > 0),
        _ => None,
    }
}

fn constant(expr: &RecExpr<Term>, id: Id) -> Option<f32> {
    match expr[id] {
        Term::Const(b) => Some(b.value()),
        _ => None,
    }
}

/// The name in `(input NAME)`, or in a view of it.
pub(crate) fn tensor_name(expr: &RecExpr<Term>, id: Id) -> Option<&'static str> {
    match &expr[id] {
        Term::App(Head::Op(Operator::Reshape), c) => tensor_name(expr, c[0]),
        Term::App(Head::Input, c) => match &expr[c[0]] {
            Term::Name(s) => Some(s.as_str()),
            _ => None,
        },
        _ => None,
    }
}

/// A tensor that a kernel reads, and the rows and columns that it reads it as where they are not its own.
#[derive(Debug, Clone, Copy)]
struct Source<'a> {
    name: &'a str,
    view: Option<(usize, usize)>,
}

impl Source<'_> {
    /// Of `(input NAME)`, or `(reshape (input NAME) rows cols)`.
    fn read(expr: &RecExpr<Term>, id: Id) -> Option<Source<'static>> {
        let name = tensor_name(expr, id)?;
        let view = match &expr[id] {
            Term::App(Head::Op(Operator::Reshape), c) => Some((num(expr, c[1])?, num(expr, c[2])?)),
            _ => None,
        };
        Some(Source { name, view })
    }

    /// Rows and columns.
    fn matrix(&self, tensors: &IndexMap<String, GlobalTensor>) -> (usize, usize) {
        self.view.unwrap_or_else(|| tensors[self.name].matrix())
    }
}

/// An integer that a kernel is given: an argument, or what every rank knows by itself.
fn argument(scalars: &IndexMap<String, i64>, name: &str) -> Option<Expr> {
    let var = match (scalars.get_index_of(name), name) {
        (Some(i), _) => Var::Scalar(i),
        (None, RANK) => Var::Rank,
        (None, EPOCH) => Var::Epoch,
        _ => return None,
    };
    Some(Expr::var(var, 1))
}

/// A tile in UB that holds `rows` x `cols`, padded to what vector instructions and transfers need.
fn ub_tile(geometry: &Geometry, name: String, dtype: DType, rows: usize, cols: usize) -> Tile {
    let per_block = geometry.block_elements(dtype);
    // One value a row lies as a column, unless it is one row: then column and row are the same.
    let column = cols == 1;
    let (padded_rows, padded_cols, layout) = match column {
        true => (rows.next_multiple_of(per_block), 1, Layout::ColMajor),
        false => (rows, cols.next_multiple_of(per_block), Layout::RowMajor),
    };
    Tile {
        name,
        space: Space::Ub,
        dtype,
        rows: padded_rows,
        cols: padded_cols,
        valid_rows: rows,
        valid_cols: cols,
        layout,
        slots: 1,
        addrs: vec![],
    }
}

/// All nodes below `roots` that are folds.
fn folds(expr: &RecExpr<Term>, roots: impl IntoIterator<Item = Id>) -> Vec<Id> {
    let mut seen = vec![false; expr.len()];
    let mut stack: Vec<Id> = roots.into_iter().collect();
    let mut out = vec![];
    while let Some(id) = stack.pop() {
        if std::mem::replace(&mut seen[usize::from(id)], true) {
            continue;
        }
        if matches!(expr[id], Term::App(Head::Fold(_), _)) {
            out.push(id);
        }
        stack.extend(expr[id].children());
    }
    out.sort();
    out
}
