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
mod expected;
mod json;
mod ranks;
mod verify;

pub use crate::op::exchange::{EPOCH, RANK, RANKS};
pub use crate::op::{
    Binary, Binomial, Block, Dim, INT8_AMAX_EPS, INT8_SCALE_MAX, MAX_DIM, NEG_MAX, Op, OpError,
    Operator, Prim, Ragged, Reduce, Type, Unary, check_counts, infer, name_counts, pair,
};
pub use crate::schedule::*;
pub use accuracy::Accuracy;
pub use builder::{Builder, Size};
pub use dot::{dot, summary};
pub use error::GraphError;
pub use expected::Rows;
pub use json::JsonError;
pub use verify::{MAX_BYTES, is_identifier, region_axes, verify};

use crate::op::Callee;
use crate::op::exchange::Called;
use indexmap::IndexMap;
use petgraph::graph::{DiGraph, NodeIndex};
use serde::{Deserialize, Serialize};

/// What an input may hold, for range checks and for generated data.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct InputSpec {
    /// The least integer; 0 when absent. Only together with a bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<i64>,
    /// Integers lie in `low..bound`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<i64>,
    /// Generated floats are normal with this mean and standard deviation (0 and 1 when absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normal: Option<(f32, f32)>,
    /// How generated integers are spread below their bound (all alike when absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Binomial>,
}

impl InputSpec {
    /// The least value, where the values are bounded.
    pub fn lowest(&self) -> i64 {
        self.low.unwrap_or(0)
    }
}

/// A named result of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output {
    pub name: String,
    pub ty: Type,
}

/// A node: an operation and its named results.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    /// What a search decided of it, which other searches keep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<Hold>,
}

/// A layer graph.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "json::Read")]
pub struct Graph {
    pub name: String,
    /// The named sizes with the values this graph was built for, in order.
    pub params: IndexMap<String, i64>,
    pub nodes: DiGraph<Node, Use>,
    pub regions: Vec<Region>,
    /// The graph's results, in order.
    pub outputs: Vec<Value>,
    /// The parameter that is the number of ranks which run this graph together; `None` for one.
    pub ranks: Option<String>,
    /// The parameter that bounds what a rank may receive, which `--capacity` sets.
    pub capacity: Option<String>,
    /// Outputs that become an input of the next run of the layer, with the names of these inputs.
    pub carried: IndexMap<String, String>,
    /// By output, where it is not the default of its element type.
    pub within: IndexMap<String, Accuracy>,
    /// What counts of rows are taken for where times are computed and nothing runs; of counts that it does not name, all rows.
    pub expected: IndexMap<String, Vec<i64>>,
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

    /// The declarations of its own that its operations call, each behind those that it calls itself.
    pub fn declarations(&self) -> Vec<Callee> {
        fn add(callee: &Callee, out: &mut Vec<Callee>) {
            if callee.is_library() || out.contains(callee) {
                return;
            }
            callee.uses().iter().for_each(|d| add(d, out));
            out.push(callee.clone());
        }
        let mut out = vec![];
        let called = self.nodes.node_weights().filter_map(|n| n.op.callee());
        called.for_each(|d| add(&d, &mut out));
        out
    }

    /// What ranks do in a call of an exchange, for a verified graph; nothing for another node.
    pub fn called(&self, id: NodeIndex) -> Option<Called> {
        let Op::Exchange(call) = &self.node(id).op else {
            return None;
        };
        let operands = self.operands(id).into_iter();
        let types: Vec<Type> = operands.map(|v| self.ty(v).clone()).collect();
        call.instantiate(&types, self.ranks()).ok()
    }

    /// The node of an index; it is the graph's own.
    pub fn node(&self, id: NodeIndex) -> &Node {
        &self.nodes[id]
    }

    /// The name and type of a value.
    pub fn output(&self, v: Value) -> &Output {
        &self.nodes[v.node].outputs[v.result]
    }

    /// The type of a value.
    pub fn ty(&self, v: Value) -> &Type {
        &self.output(v).ty
    }

    /// The name of a value.
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

    /// The value of this name.
    pub fn find(&self, name: &str) -> Option<Value> {
        self.values().find(|v| self.name(*v) == name)
    }

    /// The values that the caller gives, in their order.
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
