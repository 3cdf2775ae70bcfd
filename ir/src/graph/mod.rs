//! A layer as a tensor dataflow graph.
//!
//! Start with [`Graph`]; build one with [`Builder`], from the text form with [`crate::text`], or from JSON with serde.
//! A graph is not trusted until [`verify`] has passed it: everything after may rely on what it checks.
//!
//! A graph has concrete sizes. Named sizes (`T`, `D`, ...) stay attached to dimensions as their *axis*, because schedules
//! name the axis that a tile cuts.

mod accuracy;
mod builder;
mod compare;
mod dot;
mod error;
mod exchange;
mod infer;
mod json;
mod op;
mod schedule;
mod verify;

pub use crate::exchange::{EPOCH, RANK, RANKS};
pub use accuracy::Accuracy;
pub use builder::{Builder, Size};
pub use dot::{dot, summary};
pub use error::GraphError;
pub use exchange::Call;
pub use infer::{infer, name_counts, pair};
pub use json::JsonError;
pub use op::*;
pub use schedule::*;
pub use verify::{MAX_BYTES, MAX_DIM, is_identifier, verify};

use crate::dtype::DType;
use indexmap::IndexMap;
use petgraph::graph::{DiGraph, NodeIndex};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One dimension: its size, and the named size it came from, if any.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Dim {
    pub size: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub axis: Option<String>,
    /// The named size that it is a multiple of, when it was written as so many blocks of it, `E * R`: rows of each group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<Block>,
}

/// A named size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    pub size: usize,
    pub axis: String,
}

impl PartialEq for Dim {
    /// Two dimensions agree when their sizes do; axes are names for people and schedules.
    fn eq(&self, other: &Self) -> bool {
        self.size == other.size
    }
}

impl Dim {
    pub fn new(size: usize) -> Self {
        Dim {
            size,
            axis: None,
            block: None,
        }
    }

    pub fn named(size: usize, axis: impl Into<String>) -> Self {
        Dim {
            size,
            axis: Some(axis.into()),
            block: None,
        }
    }

    /// One of so many equal parts of the dimension; it has a name if it is a block.
    pub fn part(&self, parts: usize) -> Self {
        let size = self.size / parts.max(1);
        match &self.block {
            Some(block) if block.size == size => Dim::named(size, block.axis.clone()),
            _ if parts == 1 => self.clone(),
            _ => Dim::new(size),
        }
    }
}

/// Groups of rows of which only the first few exist: group g of a `[groups * R, C]` value has `counts[g]` rows, at most R.
/// Rows beyond the count do not exist: nobody computes, stores, compares or reads them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ragged {
    pub groups: usize,
    /// The name of the i32 `[groups, 1]` value that holds how many rows each group has.
    pub counts: String,
}

/// The type of a value: element type and shape (rank 0, 1 or 2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Type {
    pub dtype: DType,
    pub shape: Vec<Dim>,
    /// `None`: every row exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ragged: Option<Ragged>,
}

impl Type {
    pub fn new(dtype: DType, shape: impl Into<Vec<Dim>>) -> Self {
        Type {
            dtype,
            shape: shape.into(),
            ragged: None,
        }
    }

    /// The same type with rows that exist or not.
    pub fn with_ragged(self, ragged: Option<Ragged>) -> Self {
        Type { ragged, ..self }
    }

    pub fn sizes(&self) -> Vec<usize> {
        self.shape.iter().map(|d| d.size).collect()
    }

    /// The value as a matrix: a vector `[C]` is one row, a scalar is 1 x 1.
    pub fn matrix(&self) -> (usize, usize) {
        match self.shape.as_slice() {
            [] => (1, 1),
            [c] => (1, c.size),
            [r, c] => (r.size, c.size),
            more => (
                more[..more.len() - 1].iter().map(|d| d.size).product(),
                more[more.len() - 1].size,
            ),
        }
    }

    pub fn elements(&self) -> usize {
        self.shape.iter().map(|d| d.size).product()
    }

    pub fn bytes(&self) -> usize {
        self.elements() * self.dtype.bytes()
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.dtype)?;
        if !self.shape.is_empty() {
            let dims: Vec<String> = self.shape.iter().map(|d| d.size.to_string()).collect();
            write!(f, "[{}]", dims.join(", "))?;
        }
        if let Some(ragged) = &self.ragged {
            write!(f, " ragged {}", ragged.counts)?;
        }
        Ok(())
    }
}

/// What an input may hold, for range checks and for generated data.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct InputSpec {
    /// Integers lie in `0..bound`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<i64>,
    /// Generated floats are normal with this mean and standard deviation (0 and 1 when absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normal: Option<(f32, f32)>,
}

/// A named result of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output {
    pub name: String,
    pub ty: Type,
}

/// A node: an operation and its named results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    pub op: Op,
    pub outputs: Vec<Output>,
    /// The region (index into [`Graph::regions`]) whose kernel computes it; inputs have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<usize>,
    /// Only for [`Op::Input`].
    #[serde(default)]
    pub input: InputSpec,
}

/// An edge: result `result` of the source is operand `operand` of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    pub result: usize,
    pub operand: usize,
}

/// One result of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Value {
    pub node: NodeIndex,
    pub result: usize,
}

/// A named kernel as its author wrote it: the nodes that carry its index, and how it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Region {
    pub name: String,
    /// As written; `None` asks for the naive one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
}

/// A layer graph.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Graph {
    pub name: String,
    /// The named sizes with the values this graph was built for, in order.
    pub params: IndexMap<String, i64>,
    pub nodes: DiGraph<Node, Use>,
    pub regions: Vec<Region>,
    /// The graph's results, in order.
    pub outputs: Vec<Value>,
    /// The parameter that is the number of ranks which run this graph together; `None` for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranks: Option<String>,
    /// The parameter that bounds what a rank may receive, which `--capacity` sets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<String>,
    /// Outputs that become an input of the next run of the layer, with the names of these inputs.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub feeds: IndexMap<String, String>,
    /// By output, where it is not the default of its element type.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub within: IndexMap<String, Accuracy>,
}

impl Graph {
    /// How many ranks run this graph together.
    pub fn ranks(&self) -> usize {
        let size = self.ranks.as_ref().and_then(|name| self.params.get(name));
        size.and_then(|n| usize::try_from(*n).ok()).unwrap_or(1)
    }

    /// An input that every rank knows by itself: its number, or that of the run.
    pub fn given(&self, name: &str) -> Option<Value> {
        let given = self.ranks.is_some() && [RANK, EPOCH].contains(&name);
        given.then(|| self.find(name)).flatten()
    }

    pub fn node(&self, id: NodeIndex) -> &Node {
        &self.nodes[id]
    }

    pub fn output(&self, v: Value) -> &Output {
        &self.nodes[v.node].outputs[v.result]
    }

    pub fn ty(&self, v: Value) -> &Type {
        &self.output(v).ty
    }

    pub fn name(&self, v: Value) -> &str {
        &self.output(v).name
    }

    /// The operands of a node, in order.
    pub fn operands(&self, id: NodeIndex) -> Vec<Value> {
        use petgraph::Direction::Incoming;
        use petgraph::visit::EdgeRef;
        let mut uses: Vec<(usize, Value)> = self
            .nodes
            .edges_directed(id, Incoming)
            .map(|e| {
                let value = Value {
                    node: e.source(),
                    result: e.weight().result,
                };
                (e.weight().operand, value)
            })
            .collect();
        uses.sort_by_key(|(operand, _)| *operand);
        uses.into_iter().map(|(_, v)| v).collect()
    }

    /// The nodes that read a value, in index order, without repeats.
    pub fn users(&self, v: Value) -> Vec<NodeIndex> {
        use petgraph::Direction::Outgoing;
        use petgraph::visit::EdgeRef;
        let mut users: Vec<NodeIndex> = self
            .nodes
            .edges_directed(v.node, Outgoing)
            .filter(|e| e.weight().result == v.result)
            .map(|e| e.target())
            .collect();
        users.sort();
        users.dedup();
        users
    }

    /// All results of all nodes, in index order.
    pub fn values(&self) -> impl Iterator<Item = Value> + '_ {
        self.nodes.node_indices().flat_map(|node| {
            (0..self.nodes[node].outputs.len()).map(move |result| Value { node, result })
        })
    }

    pub fn find(&self, name: &str) -> Option<Value> {
        self.values().find(|v| self.name(*v) == name)
    }

    pub fn inputs(&self) -> Vec<Value> {
        self.values()
            .filter(|v| self.nodes[v.node].op == Op::Input)
            .collect()
    }

    /// The nodes in an order in which operands come first; `None` when the graph has a cycle.
    /// Ties go to the lower index, so the order is the same on every machine.
    pub fn topological(&self) -> Option<Vec<NodeIndex>> {
        use petgraph::Direction::{Incoming, Outgoing};
        let mut missing: Vec<usize> = self
            .nodes
            .node_indices()
            .map(|n| self.nodes.edges_directed(n, Incoming).count())
            .collect();
        let mut ready: std::collections::BTreeSet<NodeIndex> = self
            .nodes
            .node_indices()
            .filter(|n| missing[n.index()] == 0)
            .collect();
        let mut order = Vec::with_capacity(missing.len());
        while let Some(n) = ready.pop_first() {
            order.push(n);
            for t in self.nodes.neighbors_directed(n, Outgoing) {
                missing[t.index()] -= 1;
                if missing[t.index()] == 0 {
                    ready.insert(t);
                }
            }
        }
        (order.len() == self.nodes.node_count()).then_some(order)
    }

    /// Values that must lie in global memory when each region is a kernel: results of a region that another region or
    /// the caller reads.
    pub fn materialised(&self) -> Vec<Value> {
        self.values()
            .filter(|v| {
                let home = self.nodes[v.node].region;
                self.nodes[v.node].op != Op::Input
                    && (self.outputs.contains(v)
                        || self.users(*v).iter().any(|u| self.nodes[*u].region != home))
            })
            .collect()
    }
}
