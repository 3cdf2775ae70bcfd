//! Equality of graphs: what they say, not how their nodes are numbered.

use super::{Graph, Node, Region};
use std::collections::BTreeMap;

/// A node with the names of its operands instead of edges.
type Named<'a> = (&'a Node, Option<&'a str>, Vec<&'a str>);

impl PartialEq for Graph {
    /// Two graphs are equal when they have the same name, sizes, inputs in the same order, outputs in the same order, and the
    /// same kernels and operations by name. The numbering of nodes and kernels does not count, nor do axes (see [`super::Dim`]).
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.params.iter().eq(other.params.iter())
            && self.ranks == other.ranks
            && self.capacity == other.capacity
            && self.carried == other.carried
            && self.within == other.within
            && self.expected == other.expected
            && input_names(self) == input_names(other)
            && output_names(self) == output_names(other)
            && regions(self) == regions(other)
            && same_nodes(self, other)
    }
}

fn input_names(graph: &Graph) -> Vec<&str> {
    graph.inputs().into_iter().map(|v| graph.name(v)).collect()
}

fn output_names(graph: &Graph) -> Vec<Option<&str>> {
    let name = |v: &super::Value| {
        let outputs = &graph.nodes.node_weight(v.node)?.outputs;
        Some(outputs.get(v.result)?.name.as_str())
    };
    graph.outputs.iter().map(name).collect()
}

fn regions(graph: &Graph) -> BTreeMap<&str, &Region> {
    graph.regions.iter().map(|r| (r.name.as_str(), r)).collect()
}

fn same_nodes(a: &Graph, b: &Graph) -> bool {
    let (a, b) = (named(a), named(b));
    a.len() == b.len()
        && a.iter().zip(&b).all(|((name, a), (other, b))| {
            name == other
                && a.0.op == b.0.op
                && a.0.outputs == b.0.outputs
                && a.0.input == b.0.input
                && a.1 == b.1
                && a.2 == b.2
        })
}

fn named(graph: &Graph) -> Vec<(&str, Named<'_>)> {
    let mut nodes: Vec<(&str, Named<'_>)> = graph
        .nodes
        .node_indices()
        .map(|id| {
            let node = &graph.nodes[id];
            let name = node.outputs.first().map_or("", |o| o.name.as_str());
            let region = node
                .region
                .and_then(|r| graph.regions.get(r))
                .map(|r| r.name.as_str());
            let operands = graph.operands(id).into_iter();
            let operands = operands
                .map(|v| {
                    let outputs = &graph.nodes[v.node].outputs;
                    outputs.get(v.result).map_or("", |o| o.name.as_str())
                })
                .collect();
            (name, (node, region, operands))
        })
        .collect();
    nodes.sort_by_key(|(name, _)| *name);
    nodes
}
