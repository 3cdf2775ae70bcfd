//! The JSON form: serde's, verified after reading. Declarations of the file's own stand in it as text.

use super::{
    Accuracy, Graph, GraphError, InputSpec, Node, Op, Output, Prim, Region, Use, Value, verify,
};
use crate::op::{Operations, RawCall};
use crate::syntax::parse_library;
use indexmap::IndexMap;
use petgraph::graph::DiGraph;
use serde::{Deserialize, Serialize, Serializer};

/// Why JSON is not a graph.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum JsonError {
    /// It is not JSON, or not of a graph's form.
    #[error("this is not a graph in JSON: {0}")]
    #[diagnostic(
        code(tilewright::json::form),
        help("write one with `Graph::to_json`, or use the text form")
    )]
    Form(#[from] serde_json::Error),
    /// It has the form, but breaks a rule.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Graph(#[from] GraphError),
}

impl Graph {
    /// Reads a graph from JSON and verifies it; the text may come from anywhere.
    ///
    /// # Errors
    ///
    /// [`JsonError::Form`] for text that is no graph, [`JsonError::Graph`] for a graph that [`verify`] refuses.
    pub fn from_json(text: &str) -> Result<Graph, JsonError> {
        let graph: Graph = serde_json::from_str(text)?;
        verify(&graph)?;
        Ok(graph)
    }

    /// The graph as JSON, indented.
    ///
    /// # Errors
    ///
    /// None for a verified graph: every part of it has a JSON form.
    pub fn to_json(&self) -> Result<String, JsonError> {
        Ok(serde_json::to_string_pretty(self)?)
    }
}

/// A graph as it is written.
#[derive(Serialize)]
struct Written<'a> {
    name: &'a str,
    params: &'a IndexMap<String, i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    definitions: Vec<String>,
    nodes: &'a DiGraph<Node, Use>,
    regions: &'a [Region],
    outputs: &'a [Value],
    #[serde(skip_serializing_if = "Option::is_none")]
    ranks: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity: Option<&'a str>,
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    carried: &'a IndexMap<String, String>,
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    within: &'a IndexMap<String, Accuracy>,
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    expected: &'a IndexMap<String, Vec<i64>>,
}

impl Serialize for Graph {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let declared = self.declarations();
        let texts = declared.iter().filter_map(|d| d.text());
        let written = Written {
            name: &self.name,
            params: &self.params,
            definitions: texts.map(String::from).collect(),
            nodes: &self.nodes,
            regions: &self.regions,
            outputs: &self.outputs,
            ranks: self.ranks.as_deref(),
            capacity: self.capacity.as_deref(),
            carried: &self.carried,
            within: &self.within,
            expected: &self.expected,
        };
        written.serialize(serializer)
    }
}

/// A graph as it is read: what its composites are is not known before its definitions are.
#[derive(Deserialize)]
pub(super) struct Read {
    name: String,
    params: IndexMap<String, i64>,
    #[serde(default)]
    definitions: Vec<String>,
    nodes: DiGraph<ReadNode, Use>,
    regions: Vec<Region>,
    outputs: Vec<Value>,
    #[serde(default)]
    ranks: Option<String>,
    #[serde(default)]
    capacity: Option<String>,
    #[serde(default)]
    carried: IndexMap<String, String>,
    #[serde(default)]
    within: IndexMap<String, Accuracy>,
    #[serde(default)]
    expected: IndexMap<String, Vec<i64>>,
}

#[derive(Clone, Deserialize)]
struct ReadNode {
    op: ReadOp,
    outputs: Vec<Output>,
    #[serde(default)]
    region: Option<usize>,
    #[serde(default)]
    input: InputSpec,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReadOp {
    Input,
    Prim(Prim),
    Composite(RawCall),
    Exchange(RawCall),
}

impl TryFrom<Read> for Graph {
    type Error = String;

    fn try_from(read: Read) -> Result<Graph, String> {
        let mut operations = Operations::default();
        for text in &read.definitions {
            for line in parse_library(text).map_err(|e| e.to_string())? {
                let name = &line.kind.signature().name;
                let declared = operations.declare(&line);
                declared.map_err(|e| format!("`{name}`: {e}"))?;
            }
        }
        let mut ops = vec![];
        for node in read.nodes.node_weights() {
            ops.push(match node.op.clone() {
                ReadOp::Input => Op::Input,
                ReadOp::Prim(prim) => Op::Prim(prim),
                ReadOp::Composite(call) | ReadOp::Exchange(call) => {
                    let (callee, attributes) = call.link(&operations).map_err(|e| e.to_string())?;
                    let made = callee.build(&attributes);
                    made.ok_or_else(|| format!("`{}` has other attributes", callee.name()))?
                }
            });
        }
        let nodes = read.nodes.map(
            |id, node| Node {
                op: ops[id.index()].clone(),
                outputs: node.outputs.clone(),
                region: node.region,
                input: node.input.clone(),
            },
            |_, edge| *edge,
        );
        Ok(Graph {
            name: read.name,
            params: read.params,
            nodes,
            regions: read.regions,
            outputs: read.outputs,
            ranks: read.ranks,
            capacity: read.capacity,
            carried: read.carried,
            within: read.within,
            expected: read.expected,
        })
    }
}
