//! From a decomposed layer graph to the optimizer's problem: kernels as written, as terms.
//!
//! A region of the graph is one kernel if one core type runs all of it. On A2/A3 a product (cube) and the arithmetic on its result (vector)
//! are different cores with global memory between them, so such a region becomes several kernels, named after the region
//! with the suffixes `_mm` and `_act`.

use crate::egraph::analysis::Seed;
use crate::egraph::language::{Bits, Head, Term};
use egg::{Id, Language, RecExpr, Symbol};
use indexmap::IndexMap;
use std::collections::{HashMap, HashSet};
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{Graph, LaunchKind, Op, Prim, Region, Schedule, Value};
use tilewright_ir::kernel::{GlobalTensor, Role, Unit};

/// Everything the search needs to know of a layer.
#[derive(Debug, Clone)]
pub struct Problem {
    pub name: String,
    /// Inputs, results and values between kernels as written.
    pub tensors: IndexMap<String, GlobalTensor>,
    /// Run-time scalars with their largest values.
    pub scalars: IndexMap<String, i64>,
    /// In an order in which every kernel reads only what earlier ones store.
    pub kernels: Vec<KernelSpec>,
}

/// A kernel as written.
#[derive(Debug, Clone)]
pub struct KernelSpec {
    pub name: String,
    /// The region it is, or is part of.
    pub region: String,
    /// The regions whose work it contains: more than one when kernels are fused.
    pub covers: Vec<String>,
    pub unit: Unit,
    pub stores: Vec<Store>,
    /// Names of tile parameters by what they cut.
    pub names: TileNames,
    pub launch: LaunchKind,
    /// Rows a block takes.
    pub block_rows: usize,
    /// Chunk and depth of this kernel's reductions and products as written.
    pub reduce: Option<Seed>,
    /// What they run over.
    pub reduce_extent: Option<usize>,
    pub depth: usize,
    /// Column tile of the widest stored value, and whether a block takes one.
    pub cols_tile: usize,
    pub per_block: bool,
    /// Values between kernels that it reads.
    pub reads: Vec<String>,
}

/// A value that a kernel stores.
#[derive(Debug, Clone)]
pub struct Store {
    pub name: String,
    /// Names of the graph's values by their place in `value`.
    pub names: Vec<(Id, String)>,
    /// The value, in terms of inputs and `buf`s of other kernels; `buf NAME value`; and the launch as written.
    pub value: RecExpr<Term>,
    pub buffer: RecExpr<Term>,
    pub launch: RecExpr<Term>,
    pub rows: usize,
    pub cols: usize,
    /// Columns that are computed; the others are padding.
    pub data_cols: usize,
    /// Whether the layer returns it.
    pub result: bool,
    /// Another form of the store of this name, for consumers that read it instead: its sum over this many parts.
    pub split_of: Option<(String, usize)>,
}

impl Store {
    /// Whether part of its columns is padding, which is filled and not computed.
    pub fn is_padded(&self) -> bool {
        self.launch
            .as_ref()
            .iter()
            .any(|n| n.head() == Some(Head::WithPad))
    }
}

/// Engineers' names for what is cut; `None` where no axis is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TileNames {
    pub rows: String,
    pub cols: Option<String>,
    pub reduce: Option<String>,
}

/// Why a schedule as written cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error, miette::Diagnostic)]
pub enum ProblemError {
    #[error("kernel `{kernel}`: {tile} = {size} does not divide {axis} = {extent}")]
    #[diagnostic(
        code(tilewright::schedule::does_not_divide),
        help("the nearest tile that divides it is {nearest}")
    )]
    DoesNotDivide {
        kernel: String,
        tile: String,
        size: usize,
        axis: String,
        extent: usize,
        nearest: usize,
    },
    #[error("kernel `{kernel}` computes `{value}` of rank {rank}")]
    #[diagnostic(
        code(tilewright::schedule::rank),
        help("kernels compute matrices: give the value two dimensions")
    )]
    Rank {
        kernel: String,
        value: String,
        rank: usize,
    },
    #[error("kernel `{kernel}` stores nothing that is used")]
    #[diagnostic(
        code(tilewright::schedule::empty_kernel),
        help("name one of its values in `output`, use it in another kernel, or remove the kernel")
    )]
    NothingStored { kernel: String },
}

/// The divisor of `extent` that is nearest to `size`, the smaller one of two.
pub fn nearest_divisor(extent: usize, size: usize) -> usize {
    (1..=extent)
        .filter(|d| extent.is_multiple_of(*d))
        .min_by_key(|d| (d.abs_diff(size), *d))
        .unwrap_or(1)
}

fn unit(op: &Op) -> Unit {
    match op {
        Op::Prim(Prim::MatmulNt) => Unit::Cube,
        _ => Unit::Vector,
    }
}

/// Nodes of one kernel, in topological order.
struct Part {
    region: usize,
    unit: Unit,
    nodes: Vec<petgraph::graph::NodeIndex>,
}

/// Builds the problem. The graph is verified, holds primitives only, and every node in it is needed.
pub fn build(graph: &Graph) -> Result<Problem, ProblemError> {
    let parts = parts(graph);
    let home: HashMap<_, usize> = parts
        .iter()
        .enumerate()
        .flat_map(|(i, p)| p.nodes.iter().map(move |n| (*n, i)))
        .collect();
    // A value lies in global memory if the layer returns it or another kernel reads it.
    let stored: HashSet<Value> = graph
        .values()
        .filter(|v| {
            let crosses = |u| home.get(u) != home.get(&v.node);
            graph.outputs.contains(v) || graph.users(*v).iter().any(crosses)
        })
        .collect();
    let mut problem = Problem {
        name: graph.name.clone(),
        tensors: IndexMap::new(),
        scalars: IndexMap::new(),
        kernels: vec![],
    };
    for v in graph.inputs() {
        let ty = graph.ty(v);
        if ty.shape.is_empty() {
            let bound = graph.node(v.node).input.bound;
            let max = bound.map_or(i64::from(i32::MAX), |b| b - 1);
            problem.scalars.insert(graph.name(v).to_string(), max);
        } else if !graph.users(v).is_empty() {
            problem.tensors.insert(
                graph.name(v).to_string(),
                GlobalTensor {
                    dtype: ty.dtype,
                    shape: ty.sizes(),
                    role: Role::Input,
                },
            );
        }
    }
    for part in &parts {
        let region = &graph.regions[part.region];
        let siblings: Vec<&Part> = parts.iter().filter(|p| p.region == part.region).collect();
        let name = part_name(region, part, &siblings);
        let values: Vec<Value> = part
            .nodes
            .iter()
            .flat_map(|n| {
                (0..graph.node(*n).outputs.len()).map(|result| Value { node: *n, result })
            })
            .filter(|v| stored.contains(v))
            .collect();
        if values.is_empty() {
            return Err(ProblemError::NothingStored { kernel: name });
        }
        for v in &values {
            let ty = graph.ty(*v);
            if ty.shape.len() != 2 {
                return Err(ProblemError::Rank {
                    kernel: name,
                    value: graph.name(*v).into(),
                    rank: ty.shape.len(),
                });
            }
            let role = match graph.outputs.contains(v) {
                true => Role::Output,
                false => Role::Workspace,
            };
            problem.tensors.insert(
                graph.name(*v).to_string(),
                GlobalTensor {
                    dtype: ty.dtype,
                    shape: ty.sizes(),
                    role,
                },
            );
        }
        let written = Written::new(graph, region, part, &values, &name)?;
        let stores = values
            .iter()
            .map(|v| {
                let terms = || Terms {
                    graph,
                    home: &home,
                    stored: &stored,
                    expr: RecExpr::default(),
                    part: home[&v.node],
                    memo: HashMap::new(),
                };
                let launch = written.launch(&mut terms(), *v);
                let mut value = terms();
                value.inline(*v);
                let mut buffer = terms();
                buffer.exported(*v);
                let (rows, cols) = graph.ty(*v).matrix();
                let data_cols = graph.ty(data_of(graph, *v)).matrix().1;
                Store {
                    name: graph.name(*v).into(),
                    names: value.names(),
                    value: value.expr,
                    buffer: buffer.expr,
                    launch,
                    rows,
                    cols,
                    data_cols,
                    result: graph.outputs.contains(v),
                    split_of: None,
                }
            })
            .collect();
        let stores: Vec<Store> = stores;
        let mut reads: Vec<String> = vec![];
        for name in stores.iter().flat_map(|s| read_buffers(&s.value)) {
            if !reads.contains(&name) {
                reads.push(name);
            }
        }
        problem.kernels.push(KernelSpec {
            name,
            region: region.name.clone(),
            covers: vec![region.name.clone()],
            unit: part.unit,
            stores,
            names: written.names,
            launch: written.launch,
            block_rows: written.block_rows,
            reduce: written.reduce,
            reduce_extent: written.reduce_extent,
            depth: written.depth,
            cols_tile: written.cols,
            per_block: written.per_block,
            reads,
        });
    }
    Ok(problem)
}

/// Cuts regions where the core type changes, and orders the pieces.
fn parts(graph: &Graph) -> Vec<Part> {
    let order = graph.topological().unwrap_or_default();
    // The number of changes of core type on the longest way into a node, within its region.
    let mut stage: HashMap<_, usize> = HashMap::new();
    let mut keyed: IndexMap<(usize, usize, Unit), Part> = IndexMap::new();
    for n in order {
        let node = graph.node(n);
        let Some(region) = node.region else { continue };
        let u = unit(&node.op);
        let s = graph
            .operands(n)
            .iter()
            .filter(|v| graph.node(v.node).region == Some(region))
            .map(|v| stage[&v.node] + usize::from(unit(&graph.node(v.node).op) != u))
            .max()
            .unwrap_or(0);
        stage.insert(n, s);
        keyed
            .entry((region, s, u))
            .or_insert_with(|| Part {
                region,
                unit: u,
                nodes: vec![],
            })
            .nodes
            .push(n);
    }
    // Kahn over parts; ties go to the first in region order, so that launch order is the order written.
    let mut parts: Vec<Part> = keyed.into_values().collect();
    let mut sorted: Vec<Part> = vec![];
    let mut done: std::collections::HashSet<petgraph::graph::NodeIndex> =
        graph.inputs().iter().map(|v| v.node).collect();
    parts.sort_by_key(|p| p.region);
    while !parts.is_empty() {
        let ready = parts.iter().position(|p| {
            p.nodes.iter().all(|n| {
                graph
                    .operands(*n)
                    .iter()
                    .all(|v| done.contains(&v.node) || p.nodes.contains(&v.node))
            })
        });
        // A verified graph has acyclic regions, so one is always ready.
        let part = parts.remove(ready.unwrap_or(0));
        done.extend(&part.nodes);
        sorted.push(part);
    }
    sorted
}

fn part_name(region: &Region, part: &Part, siblings: &[&Part]) -> String {
    if siblings.len() == 1 {
        return region.name.clone();
    }
    let suffix = match part.unit {
        Unit::Cube => "mm",
        Unit::Vector => "act",
    };
    let same: Vec<&&Part> = siblings.iter().filter(|p| p.unit == part.unit).collect();
    let place = same.iter().position(|p| p.nodes == part.nodes).unwrap_or(0);
    match same.len() {
        1 => format!("{}_{suffix}", region.name),
        _ => format!("{}_{suffix}{}", region.name, place + 1),
    }
}

/// The schedule of a kernel as written, made concrete.
struct Written {
    launch: LaunchKind,
    block_rows: usize,
    /// Rows a trip of the row loop takes.
    rows: usize,
    cols_tile: HashMap<Value, usize>,
    /// Of the widest value.
    cols: usize,
    /// Whether a block takes one column tile, rather than all columns tile by tile.
    per_block: bool,
    reduce: Option<Seed>,
    reduce_extent: Option<usize>,
    depth: usize,
    names: TileNames,
}

impl Written {
    fn new(
        graph: &Graph,
        region: &Region,
        part: &Part,
        values: &[Value],
        kernel: &str,
    ) -> Result<Self, ProblemError> {
        let default = Schedule {
            launch: LaunchKind::Parallel,
            tiles: IndexMap::new(),
            pipeline: 1,
        };
        let schedule = region.schedule.as_ref().unwrap_or(&default);
        let axis_of = |v: Value, dim: usize| graph.ty(v).shape[dim].axis.clone();
        // A tile over an axis, as (name, size); the naive one when none is written.
        let tile = |axis: &Option<String>, extent: usize, naive: usize, fallback: &str| {
            let written = schedule
                .tiles
                .iter()
                .find(|(_, t)| Some(&t.axis) == axis.as_ref());
            match written {
                Some((name, t)) => (name.clone(), t.size.min(extent)),
                None => {
                    let axis = axis.clone().unwrap_or_else(|| fallback.to_string());
                    (format!("{axis}_TILE"), naive)
                }
            }
        };
        let divides = |name: &str, axis: &Option<String>, extent: usize, size: usize| {
            if size > 0 && extent.is_multiple_of(size) {
                return Ok(());
            }
            Err(ProblemError::DoesNotDivide {
                kernel: kernel.into(),
                tile: name.into(),
                size,
                axis: axis.clone().unwrap_or_default(),
                extent,
                nearest: nearest_divisor(extent, size),
            })
        };
        let widest = *values
            .iter()
            .max_by_key(|v| graph.ty(**v).matrix().1)
            .unwrap_or(&values[0]);
        let (rows, _) = graph.ty(widest).matrix();
        let row_axis = axis_of(widest, 0);
        let (rows_name, block_rows) = tile(&row_axis, rows, naive_tile(rows, 8), "ROW");
        divides(&rows_name, &row_axis, rows, block_rows)?;
        let one_row = part.nodes.iter().any(|n| {
            matches!(
                graph.node(*n).op,
                Op::Prim(Prim::TopK { .. } | Prim::GatherCols | Prim::GatherRows)
            )
        });
        let mut cols_tile = HashMap::new();
        let mut cols_name = None;
        let mut per_block = false;
        for v in values {
            // The padding of a result is filled beside the data, which is what tiles cut.
            let source = data_of(graph, *v);
            let (_, cols) = graph.ty(source).matrix();
            let axis = axis_of(source, 1);
            let (name, size) = tile(&axis, cols, naive_tile(cols, 1024), "COL");
            if one_row || cols == 1 {
                cols_tile.insert(*v, cols);
                continue;
            }
            divides(&name, &axis, cols, size)?;
            cols_tile.insert(*v, size);
            if *v == widest || cols_name.is_none() {
                per_block = schedule.tiles.get(&name).is_some_and(|t| t.per_block);
                cols_name = Some(name);
            }
        }
        let reduced = part.nodes.iter().find_map(|n| match graph.node(*n).op {
            Op::Prim(Prim::RowReduce(_) | Prim::MatmulNt) => Some(graph.operands(*n)[0]),
            _ => None,
        });
        let mut reduce = None;
        let mut reduce_extent = None;
        let mut reduce_name = None;
        if let Some(v) = reduced {
            let (_, extent) = graph.ty(v).matrix();
            let axis = axis_of(v, 1);
            let (name, chunk) = tile(&axis, extent, naive_tile(extent, 256), "K");
            let chunk = if one_row { extent } else { chunk };
            divides(&name, &axis, extent, chunk)?;
            reduce_extent = Some(extent);
            reduce = Some(Seed {
                chunk,
                depth: match extent / chunk {
                    1 => 1,
                    _ => schedule.pipeline,
                },
            });
            // Rows that are processed one by one have no chunk to name, unless the author did.
            if !one_row || schedule.tiles.contains_key(&name) {
                reduce_name = Some(name);
            }
        }
        Ok(Written {
            launch: schedule.launch,
            block_rows,
            rows: if one_row { 1 } else { block_rows },
            cols: cols_tile[&widest],
            per_block,
            cols_tile,
            reduce,
            reduce_extent,
            depth: schedule.pipeline,
            names: TileNames {
                rows: rows_name,
                cols: cols_name,
                reduce: reduce_name,
            },
        })
    }

    /// `(launch.K R C (rows b r (cols d n c (tile r c v))))`, around a fill for padded values.
    fn launch(&self, terms: &mut Terms, v: Value) -> RecExpr<Term> {
        let graph = terms.graph;
        let (rows, cols) = graph.ty(v).matrix();
        let data = data_of(graph, v);
        let (_, data_cols) = graph.ty(data).matrix();
        let value = terms.inline(data);
        let chunk = self.cols_tile[&v];
        let block_cols = if self.per_block { chunk } else { data_cols };
        let depth = if block_cols / chunk >= 2 {
            self.depth
        } else {
            1
        };
        let tile = terms.tile(self.rows, chunk, value);
        let children = [depth, block_cols, chunk].map(|n| terms.num(n));
        let store = terms.app(Head::Cols, [&children[..], &[tile]].concat());
        let children = [self.block_rows, self.rows].map(|n| terms.num(n));
        let mut body = terms.app(Head::Rows, [&children[..], &[store]].concat());
        if data != v {
            let Op::Prim(Prim::PadCols { cols, value }) = graph.node(v.node).op else {
                unreachable!("data_of differs for pad_cols only");
            };
            let width = terms.num(cols);
            let value = terms.add(Term::Const(Bits::new(value)));
            if block_cols < data_cols {
                // Many blocks share the row, so none of them can fill the padding: a launch of its own does.
                let [rows, from] = [rows, data_cols].map(|n| terms.num(n));
                let fill = terms.app(Head::Fill, [rows, from, width, value]);
                let fill = terms.app(Head::Launch(self.launch), [rows, width, fill]);
                let data = terms.app(Head::Launch(self.launch), [rows, from, body]);
                terms.app(Head::Overlay, [fill, data]);
                return std::mem::take(&mut terms.expr);
            }
            body = terms.app(Head::WithPad, [width, value, body]);
        }
        let extent = [rows, cols].map(|n| terms.num(n));
        terms.app(Head::Launch(self.launch), [extent[0], extent[1], body]);
        std::mem::take(&mut terms.expr)
    }
}

/// Names of the buffers that a value reads directly.
pub fn read_buffers(value: &RecExpr<Term>) -> Vec<String> {
    let mut stack = vec![value.root()];
    let mut seen = HashSet::new();
    let mut out = vec![];
    while let Some(id) = stack.pop() {
        if !seen.insert(id) {
            continue;
        }
        match &value[id] {
            Term::App(Head::Buf, c) => {
                if let Term::Name(name) = &value[c[0]] {
                    out.push(name.to_string());
                }
            }
            node => stack.extend(node.children()),
        }
    }
    out.sort();
    out
}

/// The value whose columns a padded value starts with; other values are their own.
fn data_of(graph: &Graph, v: Value) -> Value {
    match graph.node(v.node).op {
        Op::Prim(Prim::PadCols { .. }) => graph.operands(v.node)[0],
        _ => v,
    }
}

/// The largest divisor of `extent` up to `limit`.
fn naive_tile(extent: usize, limit: usize) -> usize {
    (1..=limit.min(extent))
        .rev()
        .find(|d| extent.is_multiple_of(*d))
        .unwrap_or(1)
}

/// Builds terms of values.
struct Terms<'a> {
    graph: &'a Graph,
    home: &'a HashMap<petgraph::graph::NodeIndex, usize>,
    stored: &'a HashSet<Value>,
    expr: RecExpr<Term>,
    /// The kernel whose own values are computed rather than read.
    part: usize,
    memo: HashMap<(Value, bool), Id>,
}

impl Terms<'_> {
    /// The graph's values in the term, each with its name, in the order of their places.
    fn names(&self) -> Vec<(Id, String)> {
        let mut out: Vec<(Id, String)> = self
            .memo
            .iter()
            .map(|((v, _), id)| (*id, self.graph.name(*v).to_string()))
            .collect();
        out.sort();
        out
    }

    fn add(&mut self, term: Term) -> Id {
        self.expr.add(term)
    }

    fn num(&mut self, n: usize) -> Id {
        self.add(Term::Num(n as i64))
    }

    fn name(&mut self, s: &str) -> Id {
        self.add(Term::Name(Symbol::from(s)))
    }

    fn app(&mut self, head: Head, children: impl Into<Vec<Id>>) -> Id {
        self.add(Term::app(head, children))
    }

    fn tile(&mut self, rows: usize, cols: usize, value: Id) -> Id {
        let rows = self.num(rows);
        let cols = self.num(cols);
        self.app(Head::Tile, [rows, cols, value])
    }

    /// The value as its own kernel sees it: computed from inputs and from other kernels' buffers.
    fn inline(&mut self, v: Value) -> Id {
        self.term(v, true)
    }

    /// The value as other kernels see it.
    fn exported(&mut self, v: Value) -> Id {
        self.term(v, false)
    }

    fn term(&mut self, v: Value, own: bool) -> Id {
        if let Some(id) = self.memo.get(&(v, own)) {
            return *id;
        }
        let graph = self.graph;
        let node = graph.node(v.node);
        let id = match node.op {
            Op::Input => {
                let name = self.name(graph.name(v));
                self.app(Head::Input, [name])
            }
            Op::Prim(prim) => {
                let local = own && self.home.get(&v.node) == Some(&self.part);
                let buffered = !local && self.stored.contains(&v);
                let operands: Vec<Id> = graph
                    .operands(v.node)
                    .into_iter()
                    .map(|o| self.term(o, local))
                    .collect();
                let value = self.prim(prim, &operands);
                match buffered {
                    true => {
                        let name = self.name(graph.name(v));
                        self.app(Head::Buf, [name, value])
                    }
                    false => value,
                }
            }
            Op::Composite(_) => unreachable!("the graph was decomposed"),
        };
        self.memo.insert((v, own), id);
        id
    }

    fn prim(&mut self, prim: Prim, operands: &[Id]) -> Id {
        let a = operands.to_vec();
        match prim {
            Prim::Cast { to, round } => self.app(Head::Cast(to, round), a),
            Prim::Unary(u) => self.app(Head::Unary(u), a),
            Prim::Scalar { op, value } => {
                let k = self.add(Term::Const(Bits::new(value)));
                self.app(Head::Scalar(op), [a[0], k])
            }
            Prim::ScalarLeft { op, value } => {
                let k = self.add(Term::Const(Bits::new(value)));
                self.app(Head::ScalarLeft(op), [a[0], k])
            }
            Prim::Binary(b) => self.app(Head::Binary(b), a),
            Prim::RowBinary(b) => self.app(Head::RowBinary(b), a),
            Prim::ColBinary(b) => self.app(Head::ColBinary(b), a),
            Prim::RowReduce(r) => self.app(Head::Reduce(r), a),
            Prim::MatmulNt => self.app(Head::MatmulNt, a),
            Prim::PadCols { cols, value } => {
                let n = self.num(cols);
                let k = self.add(Term::Const(Bits::new(value)));
                self.app(Head::PadCols, [a[0], n, k])
            }
            Prim::TopK { k } => {
                let k = self.num(k);
                self.app(Head::TopK, [a[0], k])
            }
            Prim::GatherCols => self.app(Head::GatherCols, a),
            Prim::GatherRows => self.app(Head::GatherRows, a),
            Prim::MaskRows => self.app(Head::MaskRows, a),
        }
    }
}

/// Element type of a tensor in global memory.
pub fn dtype(problem: &Problem, tensor: &str) -> Option<DType> {
    problem.tensors.get(tensor).map(|t| t.dtype)
}
