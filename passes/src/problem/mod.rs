//! From a decomposed layer graph to the optimizer's problem: kernels as written, as terms.
//!
//! A region of the graph is one kernel if one core type runs all of it. On A2/A3 a product (cube) and the arithmetic on its result (vector)
//! are different cores with global memory between them, so such a region becomes several kernels, named after the region
//! with the suffixes `_mm` and `_act`.

mod cap;
mod error;
mod exchange;
mod held;
mod parts;

mod terms;
mod turned;
mod written;

pub use cap::{Cap, EVEN, Last, Misfit, Shrunk};
pub use cap::{inner_unit, nearest_cut};
use cap::{tile_from, tile_of};
pub use error::ProblemError;
pub(crate) use held::{Held, ROW};
use parts::{Part, Work, is_view, part_name, parts};
use terms::Terms;
use turned::{turned, wide};
use written::Written;

use crate::hash::{HashMap, HashSet};
use crate::term::analysis::{Limits, Seed};
use crate::term::exchange::{Exchange, Room};
use crate::term::language::{Head, Term};
use crate::term::plan::TileNames;
use egg::{Id, Language, RecExpr};
use indexmap::IndexMap;
use petgraph::graph::NodeIndex;
use std::sync::Arc;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{Graph, LaunchKind, Op, Prim, Type, Value};
use tilewright_ir::kernel::{GlobalTensor, Role, Unit};
use tilewright_ir::machine::Machine;
use tilewright_ir::op::{Access, Operator};

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
    /// Tiles as written that are smaller here.
    pub shrunk: Vec<Shrunk>,
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
    /// `buf TENSOR value` of the tensor that it is columns of.
    pub whole: Option<RecExpr<Term>>,
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

/// The operator of a primitive.
fn operator(op: &Op) -> Option<Operator> {
    match op {
        Op::Prim(prim) => Some(prim.operator().0),
        Op::Input | Op::Composite(_) | Op::Exchange(_) => None,
    }
}

/// What of its operands a block of an operation needs.
fn access(op: &Op) -> Option<Access> {
    operator(op).map(|o| o.primitive().access)
}

/// Builds the problem. The graph is verified, holds primitives only, and every node in it is needed.
pub fn build(graph: &Graph, machine: &Machine) -> Result<Problem, ProblemError> {
    build_within(graph, machine, &IndexMap::new())
}

/// As [`build`], with tiles of some kernels, by name, no larger than these.
pub fn build_within(
    graph: &Graph,
    machine: &Machine,
    caps: &IndexMap<String, Cap>,
) -> Result<Problem, ProblemError> {
    turned(graph, machine)?;
    wide(graph, machine)?;
    held::sorted(graph, machine)?;
    let parts = parts(graph, Held::of(machine));
    let places = Places::of(graph, &parts, machine);
    let mut problem = Problem {
        name: graph.name.clone(),
        tensors: IndexMap::new(),
        scalars: IndexMap::new(),
        ranks: graph.ranks(),
        kernels: vec![],
        shrunk: vec![],
    };
    for v in graph.inputs() {
        let ty = graph.ty(v);
        let name = graph.name(v);
        if graph.given(name).is_some() {
            continue;
        }
        if ty.shape.is_empty() {
            let bound = graph.node(v.node).input.bound;
            let max = bound.map_or(i64::from(i32::MAX), |b| b - 1);
            problem.scalars.insert(name.to_string(), max);
        } else if !graph.users(v).is_empty() || places.counted.contains(name) {
            problem.add_tensor(name, ty, Role::Input);
        }
    }
    for part in &parts {
        let siblings: Vec<&Part> = parts.iter().filter(|p| p.region == part.region).collect();
        if places.is_elsewhere(graph, part) {
            continue;
        }
        let name = part_name(&graph.regions[part.region], part, &siblings);
        let cap = caps.get(&name).copied().unwrap_or_default();
        let frame = Frame { machine, cap };
        let spec = kernel(graph, part, (name, frame), &places, &mut problem)?;
        problem.kernels.push(spec);
    }
    for (name, counts) in &graph.expected {
        if let Some(tensor) = problem.tensors.get_mut(name) {
            tensor.expected.clone_from(counts);
        }
    }
    Ok(problem)
}

/// Where values are computed, and which of them lie in global memory.
struct Places<'g> {
    /// By node, its part.
    home: HashMap<NodeIndex, usize>,
    /// Values that say how many rows of others exist.
    counted: HashSet<&'g str>,
    stored: HashSet<Value>,
    /// For integers of exchanges.
    room: Room,
}

impl<'g> Places<'g> {
    fn of(graph: &'g Graph, parts: &[Part], machine: &Machine) -> Self {
        let nodes = parts.iter().enumerate();
        let home: HashMap<_, usize> = nodes
            .flat_map(|(i, p)| p.nodes.iter().map(move |n| (*n, i)))
            .collect();
        // What says how many rows of other values exist is read, though no operation names it.
        let counted: HashSet<&str> = graph
            .values()
            .filter_map(|v| graph.ty(v).ragged.as_ref())
            .map(|r| r.counts.as_str())
            .collect();
        // A value lies in global memory if the layer returns it or another kernel reads it. Vectors are computed by all who
        // read them.
        let stored = graph
            .values()
            .filter(|v| !is_view(&graph.node(v.node).op))
            .filter(|v| {
                let users = graph.users(*v);
                let crosses = users.iter().any(|u| home.get(u) != home.get(&v.node));
                let counts = counted.contains(graph.name(*v));
                counts || graph.outputs.contains(v) || graph.ty(*v).shape.len() >= 2 && crosses
            })
            .collect();
        Places {
            home,
            counted,
            stored,
            room: Room {
                line: (machine.gm_scalar_line.count() / DType::I32.bytes()).max(1),
                arrays: machine.limits.scalar_arrays.count(),
                blocks: machine.vector_cores.value as usize,
            },
        }
    }

    /// Whether all of a part is computed by those who read it.
    fn is_elsewhere(&self, graph: &Graph, part: &Part) -> bool {
        let vector = |n: &NodeIndex| {
            let mut outputs = graph.node(*n).outputs.iter();
            outputs.all(|o| o.ty.shape.len() < 2)
        };
        part.nodes.iter().all(vector) && self.stored_by(graph, part).is_empty()
    }

    /// The values of a part that lie in global memory.
    fn stored_by(&self, graph: &Graph, part: &Part) -> Vec<Value> {
        let values = part.nodes.iter().flat_map(|n| {
            (0..graph.node(*n).outputs.len()).map(|result| Value { node: *n, result })
        });
        values.filter(|v| self.stored.contains(v)).collect()
    }
}

impl Problem {
    fn add_tensor(&mut self, name: &str, ty: &Type, role: Role) {
        self.tensors.insert(
            name.to_string(),
            GlobalTensor {
                dtype: ty.dtype,
                shape: ty.sizes(),
                role,
                ragged: ty.ragged.clone(),
                expected: vec![],
            },
        );
    }
}

/// What bounds the tiles of a kernel.
#[derive(Clone, Copy)]
struct Frame<'m> {
    machine: &'m Machine,
    cap: Cap,
}

/// One part as a kernel; what it stores is added to the problem's tensors.
fn kernel(
    graph: &Graph,
    part: &Part,
    (name, frame): (String, Frame),
    places: &Places,
    problem: &mut Problem,
) -> Result<KernelSpec, ProblemError> {
    let region = &graph.regions[part.region];
    let values = places.stored_by(graph, part);
    if values.is_empty() {
        return Err(ProblemError::NothingStored {
            kernel: name,
            region: region.name.clone(),
        });
    }
    for v in &values {
        let ty = graph.ty(*v);
        if ty.shape.len() != 2 {
            return Err(ProblemError::Rank {
                kernel: name,
                region: region.name.clone(),
                value: graph.name(*v).into(),
                rank: ty.shape.len(),
            });
        }
        let role = match graph.outputs.contains(v) {
            true => Role::Output,
            false => Role::Workspace,
        };
        problem.add_tensor(graph.name(*v), ty, role);
    }
    if part.work == Work::Exchange {
        return Ok(exchange_spec(
            graph,
            part,
            &values,
            name,
            places.room,
            problem,
        ));
    }
    // What lies beside each other is stored part by part.
    let leaves: Vec<Leaf> = values
        .iter()
        .flat_map(|v| parts_of(graph, *v, &part.nodes))
        .collect();
    let values: Vec<Value> = leaves.iter().map(|leaf| leaf.value).collect();
    let written = Written::new(graph, part, &values, &name, frame)?;
    problem.shrunk.extend(written.shrunk.iter().cloned());
    let mut stores: Vec<Store> = vec![];
    for leaf in leaves {
        let mut store = store(graph, &leaf, places.home[&part.nodes[0]], places, &written);
        // A value can lie in several places, or beside others and be one that another kernel stores.
        let foreign = !part.nodes.contains(&leaf.value.node);
        if foreign || stores.iter().any(|s| s.name == store.name) {
            store.name = fresh(graph, &stores, store.tensor());
        }
        stores.push(store);
    }
    let mut reads: Vec<String> = vec![];
    for name in stores.iter().flat_map(|s| read_buffers(&s.value)) {
        if !reads.contains(&name) {
            reads.push(name);
        }
    }
    Ok(KernelSpec {
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
    })
}

/// A name for a part of a tensor that no value and no store has.
fn fresh(graph: &Graph, stores: &[Store], tensor: &str) -> String {
    let names = (1..).map(|i| format!("{tensor}_part{i}"));
    let taken =
        |name: &String| graph.find(name).is_some() || stores.iter().any(|s| s.name == *name);
    names.into_iter().find(|n| !taken(n)).unwrap_or_default()
}

/// A value that a kernel, of number `part`, stores: whole, or as a part of one that lies beside others.
fn store(graph: &Graph, leaf: &Leaf, part: usize, places: &Places, written: &Written) -> Store {
    let v = leaf.value;
    let terms = || Terms {
        graph,
        home: &places.home,
        stored: &places.stored,
        expr: RecExpr::default(),
        part,
        memo: HashMap::default(),
    };
    let launch = written.launch(&mut terms(), v);
    let mut value = terms();
    value.inline(v);
    let mut buffer = terms();
    buffer.exported(v);
    let whole = leaf.beside.map(|(whole, _)| {
        let mut buffer = terms();
        buffer.read_by_others(whole);
        buffer.expr
    });
    let (rows, cols) = graph.ty(v).matrix();
    Store {
        name: graph.name(v).into(),
        names: value.names(),
        value: value.expr,
        buffer: buffer.expr,
        launch,
        rows,
        cols,
        data_cols: graph.ty(written.data[&v]).matrix().1,
        result: graph.outputs.contains(&v) || leaf.beside.is_some(),
        part_of: leaf
            .beside
            .map(|(whole, column)| (graph.name(whole).into(), column)),
        whole,
        split_of: None,
    }
}

/// A kernel that moves data between ranks: nothing of it is cut into tiles.
fn exchange_spec(
    graph: &Graph,
    part: &Part,
    values: &[Value],
    name: String,
    room: Room,
    problem: &mut Problem,
) -> KernelSpec {
    let region = &graph.regions[part.region];
    let exchange = part.nodes.first();
    let exchange = exchange.and_then(|n| exchange::read(graph, *n, room, problem));
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
            whole: None,
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

/// A value that is stored: whole, or beside others, in a wider value from a column on.
struct Leaf {
    value: Value,
    beside: Option<(Value, usize)>,
}

/// The values that a stored value is made of, each with its place; itself, unless it is a concatenation. Those among the kernel's
/// `nodes` that are concatenations themselves are taken apart.
fn parts_of(graph: &Graph, v: Value, nodes: &[NodeIndex]) -> Vec<Leaf> {
    fn leaves(
        graph: &Graph,
        v: Value,
        nodes: &[NodeIndex],
        column: usize,
        out: &mut Vec<(Value, usize)>,
    ) {
        let mut column = column;
        match access(&graph.node(v.node).op) {
            Some(Access::Beside) if nodes.contains(&v.node) => {
                for operand in graph.operands(v.node) {
                    leaves(graph, operand, nodes, column, out);
                    column += graph.ty(operand).matrix().1;
                }
            }
            _ => out.push((v, column)),
        }
    }
    if access(&graph.node(v.node).op) != Some(Access::Beside) {
        return vec![Leaf {
            value: v,
            beside: None,
        }];
    }
    let mut out = vec![];
    leaves(graph, v, nodes, 0, &mut out);
    let placed = |(value, column)| Leaf {
        value,
        beside: Some((v, column)),
    };
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
