//! From a decomposed layer graph to the optimizer's problem: kernels as written, as terms.
//!
//! A region of the graph is one kernel if one core type runs all of it. On A2/A3 a product (cube) and the arithmetic on its result (vector)
//! are different cores with global memory between them, so such a region becomes several kernels, named after the region
//! with the suffixes `_mm` and `_act`.

mod exchange;
mod terms;
mod written;

use terms::Terms;
use written::Written;

use crate::hash::{HashMap, HashSet};
use crate::term::analysis::{Limits, Seed};
use crate::term::exchange::Exchange;
use crate::term::language::{Head, Term};
use crate::term::plan::TileNames;
use egg::{Id, Language, RecExpr};
use indexmap::IndexMap;
use std::sync::Arc;
use tilewright_ir::graph::{Graph, LaunchKind, Op, Prim, Region, Value};
use tilewright_ir::kernel::{GlobalTensor, Role, Unit};

/// Everything the search needs to know of a layer.
#[derive(Debug, Clone)]
pub struct Problem {
    pub name: String,
    /// Inputs, results and values between kernels as written.
    pub tensors: IndexMap<String, GlobalTensor>,
    /// Run-time scalars with their largest values.
    pub scalars: IndexMap<String, i64>,
    /// How many ranks run the layer together.
    pub ranks: usize,
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
    /// This kernel's reductions and products as written, one an extent.
    pub reduces: Vec<Reduction>,
    pub depth: usize,
    /// Column tile of the widest stored value, and whether a block takes one.
    pub cols_tile: usize,
    pub per_block: bool,
    /// Values between kernels that it reads.
    pub reads: Vec<String>,
    /// What it does when it moves data between ranks.
    pub exchange: Option<Arc<Exchange>>,
}

/// How reductions and products over an extent run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reduction {
    pub extent: usize,
    pub seed: Seed,
}

impl KernelSpec {
    /// How loops over `extent` run as written.
    pub fn reduction(&self, extent: usize) -> Option<Seed> {
        let found = self.reduces.iter().find(|r| r.extent == extent);
        found.map(|r| r.seed)
    }

    /// The same of products, with operands of elements of so many bytes: chunks that L0 does not take whole are multiplied in
    /// pieces.
    pub fn product(&self, extent: usize, element: usize, limits: &Limits) -> Option<Seed> {
        let seed = self.reduction(extent)?;
        let piece = limits.piece(self.block_rows, self.cols_tile, seed.chunk, element);
        Some(Seed {
            piece: piece.unwrap_or(seed.chunk),
            ..seed
        })
    }
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
    /// The tensor that it is columns of, and the first of them, when that is not a tensor of its own.
    pub part_of: Option<(String, usize)>,
    /// Another form of the store of this name, for consumers that read it instead: its sum over this many parts.
    pub split_of: Option<(String, usize)>,
}

impl Store {
    /// The tensor that receives it.
    pub fn tensor(&self) -> &str {
        match &self.part_of {
            Some((tensor, _)) => tensor,
            None => &self.name,
        }
    }

    /// Its first column in that tensor.
    pub fn column(&self) -> usize {
        self.part_of.as_ref().map_or(0, |(_, column)| *column)
    }

    /// Whether part of its columns is padding, which is filled and not computed.
    pub fn is_padded(&self) -> bool {
        self.launch
            .as_ref()
            .iter()
            .any(|n| n.head() == Some(Head::WithPad))
    }
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
    (1..)
        .take_while(|d| d * d <= extent)
        .filter(|d| extent.is_multiple_of(*d))
        .flat_map(|d| [d, extent / d])
        .min_by_key(|d| (d.abs_diff(size), *d))
        .unwrap_or(1)
}

/// What kind of kernel an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Work {
    Cube,
    Vector,
    /// Data between ranks, by a vector core.
    Exchange,
}

impl Work {
    fn unit(self) -> Unit {
        match self {
            Work::Cube => Unit::Cube,
            Work::Vector | Work::Exchange => Unit::Vector,
        }
    }
}

fn work(op: &Op) -> Work {
    match op {
        Op::Exchange(_) => Work::Exchange,
        Op::Prim(Prim::MatmulNt | Prim::GroupedMatmulNt) => Work::Cube,
        _ => Work::Vector,
    }
}

/// Nodes of one kernel, in topological order.
struct Part {
    region: usize,
    work: Work,
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
    // What says how many rows of other values exist is read, though no operation names it.
    let counted: HashSet<&str> = graph
        .values()
        .filter_map(|v| graph.ty(v).ragged.as_ref())
        .map(|r| r.counts.as_str())
        .collect();
    // A value lies in global memory if the layer returns it or another kernel reads it.
    let stored: HashSet<Value> = graph
        .values()
        .filter(|v| {
            let crosses = |u| home.get(u) != home.get(&v.node);
            let counts = counted.contains(graph.name(*v));
            counts || graph.outputs.contains(v) || graph.users(*v).iter().any(crosses)
        })
        .collect();
    let mut problem = Problem {
        name: graph.name.clone(),
        tensors: IndexMap::new(),
        scalars: IndexMap::new(),
        ranks: graph.ranks(),
        kernels: vec![],
    };
    for v in graph.inputs() {
        let ty = graph.ty(v);
        if graph.given(graph.name(v)).is_some() {
            continue;
        }
        if ty.shape.is_empty() {
            let bound = graph.node(v.node).input.bound;
            let max = bound.map_or(i64::from(i32::MAX), |b| b - 1);
            problem.scalars.insert(graph.name(v).to_string(), max);
        } else if !graph.users(v).is_empty() || counted.contains(graph.name(v)) {
            problem.tensors.insert(
                graph.name(v).to_string(),
                GlobalTensor {
                    dtype: ty.dtype,
                    shape: ty.sizes(),
                    role: Role::Input,
                    ragged: ty.ragged.clone(),
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
                    ragged: ty.ragged.clone(),
                },
            );
        }
        if part.work == Work::Exchange {
            let spec = exchange_spec(graph, region, part, &values, name, &mut problem);
            problem.kernels.push(spec);
            continue;
        }
        // What lies beside each other is stored part by part.
        let leaves: Vec<(Value, Option<(String, usize)>)> =
            values.iter().flat_map(|v| parts_of(graph, *v)).collect();
        let values: Vec<Value> = leaves.iter().map(|(v, _)| *v).collect();
        let written = Written::new(graph, region, part, &values, &name)?;
        let stores = leaves
            .iter()
            .map(|(v, part_of)| {
                let terms = || Terms {
                    graph,
                    home: &home,
                    stored: &stored,
                    expr: RecExpr::default(),
                    part: home[&v.node],
                    memo: HashMap::default(),
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
                    result: graph.outputs.contains(v) || part_of.is_some(),
                    part_of: part_of.clone(),
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
            unit: part.work.unit(),
            exchange: None,
            stores,
            names: written.names,
            launch: written.launch,
            block_rows: written.block_rows,
            reduces: written.reduces,
            depth: written.depth,
            cols_tile: written.cols,
            per_block: written.per_block,
            reads,
        });
    }
    Ok(problem)
}

/// A kernel that moves data between ranks: nothing of it is cut into tiles.
fn exchange_spec(
    graph: &Graph,
    region: &Region,
    part: &Part,
    values: &[Value],
    name: String,
    problem: &mut Problem,
) -> KernelSpec {
    let exchange = part.nodes.first();
    let exchange = exchange.and_then(|n| exchange::read(graph, *n, problem));
    let launch = region
        .schedule
        .as_ref()
        .map_or(LaunchKind::Parallel, |s| s.launch);
    let store = |v: &Value| {
        let (rows, cols) = graph.ty(*v).matrix();
        let name = graph.name(*v);
        let value = exchange::value(name);
        let mut buffer = value.clone();
        let root = buffer.root();
        let label = buffer.add(Term::Name(name.into()));
        buffer.add(Term::app(Head::Buf, [label, root]));
        Store {
            name: name.into(),
            names: vec![(value.root(), name.into())],
            value,
            buffer,
            launch: exchange::launch(name, launch, rows, cols),
            rows,
            cols,
            data_cols: cols,
            result: graph.outputs.contains(v),
            split_of: None,
            part_of: None,
        }
    };
    KernelSpec {
        name,
        region: region.name.clone(),
        covers: vec![region.name.clone()],
        unit: part.work.unit(),
        stores: values.iter().map(store).collect(),
        names: TileNames {
            rows: "BLOCKS".into(),
            ..Default::default()
        },
        launch,
        block_rows: 1,
        reduces: vec![],
        depth: 1,
        cols_tile: 1,
        per_block: false,
        reads: exchange.as_ref().map_or(vec![], Exchange::reads),
        exchange: exchange.map(Arc::new),
    }
}

/// Cuts regions where the core type changes, and orders the pieces.
fn parts(graph: &Graph) -> Vec<Part> {
    let order = graph.topological().unwrap_or_default();
    // The number of changes of core type on the longest way into a node, within its region.
    let mut stage: HashMap<_, usize> = HashMap::default();
    for n in order.iter().copied() {
        let node = graph.node(n);
        let Some(region) = node.region else { continue };
        let u = work(&node.op);
        let s = graph
            .operands(n)
            .iter()
            .filter(|v| graph.node(v.node).region == Some(region))
            .map(|v| stage[&v.node] + usize::from(work(&graph.node(v.node).op) != u))
            .max()
            .unwrap_or(0);
        stage.insert(n, s);
    }
    // Vectors and scalars are not stored, and a slice of what is stored need not be: both are computed where they are
    // first needed.
    for n in order.iter().rev() {
        let node = graph.node(*n);
        let small = node.outputs.iter().all(|o| o.ty.shape.len() < 2)
            || matches!(node.op, Op::Prim(Prim::SliceCols { .. }));
        let users =
            (0..node.outputs.len()).flat_map(|result| graph.users(Value { node: *n, result }));
        let users: Vec<_> = users.collect();
        let same = |u: &petgraph::graph::NodeIndex| {
            graph.node(*u).region == node.region && work(&graph.node(*u).op) == work(&node.op)
        };
        if small && node.region.is_some() && users.iter().all(same) {
            let first = users.iter().filter_map(|u| stage.get(u)).min().copied();
            stage.extend(first.map(|s| (*n, s)));
        }
    }
    // A cube kernel computes one product, and an exchange is a kernel by itself.
    let mut keyed: IndexMap<(usize, usize, Work, Option<usize>), Part> = IndexMap::new();
    for n in order {
        let node = graph.node(n);
        let Some(region) = node.region else { continue };
        let (u, s) = (work(&node.op), stage[&n]);
        keyed
            .entry((region, s, u, (u != Work::Vector).then(|| n.index())))
            .or_insert_with(|| Part {
                region,
                work: u,
                nodes: vec![],
            })
            .nodes
            .push(n);
    }
    // Kahn over parts; ties go to the first in region order, so that launch order is the order written.
    let mut parts: Vec<Part> = keyed.into_values().collect();
    let mut sorted: Vec<Part> = vec![];
    let mut done: crate::hash::HashSet<petgraph::graph::NodeIndex> =
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
    let suffix = match part.work {
        Work::Cube => "mm",
        Work::Vector => "act",
        Work::Exchange => "comm",
    };
    let same: Vec<&&Part> = siblings.iter().filter(|p| p.work == part.work).collect();
    let place = same.iter().position(|p| p.nodes == part.nodes).unwrap_or(0);
    match same.len() {
        1 => format!("{}_{suffix}", region.name),
        _ => format!("{}_{suffix}{}", region.name, place + 1),
    }
}

/// Names of the buffers that a value reads directly, in an order that does not depend on them.
pub fn read_buffers(value: &RecExpr<Term>) -> Vec<String> {
    let mut stack = vec![value.root()];
    let mut seen = HashSet::default();
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
    out
}

/// The values that a stored value is made of, each with its place; itself, unless it is a concatenation.
fn parts_of(graph: &Graph, v: Value) -> Vec<(Value, Option<(String, usize)>)> {
    fn leaves(graph: &Graph, v: Value, column: usize, out: &mut Vec<(Value, usize)>) {
        let mut column = column;
        match graph.node(v.node).op {
            Op::Prim(Prim::ConcatCols) => {
                for operand in graph.operands(v.node) {
                    leaves(graph, operand, column, out);
                    column += graph.ty(operand).matrix().1;
                }
            }
            _ => out.push((v, column)),
        }
    }
    if graph.node(v.node).op != Op::Prim(Prim::ConcatCols) {
        return vec![(v, None)];
    }
    let mut out = vec![];
    leaves(graph, v, 0, &mut out);
    let name = graph.name(v);
    let placed = |(leaf, column)| (leaf, Some((name.to_string(), column)));
    out.into_iter().map(placed).collect()
}

/// The value whose columns a padded value starts with; other values are their own.
fn data_of(graph: &Graph, v: Value) -> Value {
    match graph.node(v.node).op {
        Op::Prim(Prim::PadCols { cols, .. }) => {
            let operand = graph.operands(v.node)[0];
            match graph.ty(operand).matrix().1 < cols {
                true => operand,
                false => v,
            }
        }
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
