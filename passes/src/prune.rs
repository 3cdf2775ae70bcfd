//! Removes what no result needs: dead nodes, kernels that become empty, and operations that change nothing.

use crate::hash::HashMap;
use tilewright_ir::graph::{Graph, Op, Prim, Use, Value, region_axes};

/// Returns the part of the graph that its outputs need, without identities.
pub fn prune(graph: &Graph) -> Graph {
    let order = graph.topological().unwrap_or_default();
    // What each value is a copy of, in the end.
    let mut source: HashMap<Value, Value> = HashMap::default();
    for n in &order {
        let node = graph.node(*n);
        for result in 0..node.outputs.len() {
            let v = Value { node: *n, result };
            let s = match identity(graph, v) {
                // A result keeps its own node, so that it keeps its name; so does what an exchange takes by its name.
                Some(operand) if !graph.outputs.contains(&v) && !exchanged(graph, v) => {
                    source[&operand]
                }
                _ => v,
            };
            source.insert(v, s);
        }
    }
    let mut live: crate::hash::HashSet<_> = graph.outputs.iter().map(|v| v.node).collect();
    for n in order.iter().rev() {
        if live.contains(n) {
            live.extend(graph.operands(*n).iter().map(|v| source[v].node));
        }
    }
    // Inputs stay: a caller gives them whether or not this variant of the layer reads them.
    let keep = |n: &petgraph::graph::NodeIndex| live.contains(n) || graph.node(*n).op == Op::Input;
    let used: Vec<usize> = (0..graph.regions.len())
        .filter(|r| live.iter().any(|n| graph.node(*n).region == Some(*r)))
        .collect();
    let mut out = Graph {
        name: graph.name.clone(),
        params: graph.params.clone(),
        nodes: Default::default(),
        regions: used.iter().map(|r| graph.regions[*r].clone()).collect(),
        outputs: vec![],
        ranks: graph.ranks.clone(),
        capacity: graph.capacity.clone(),
        carried: graph.carried.clone(),
        within: graph.within.clone(),
        expected: graph.expected.clone(),
    };
    let mut moved = HashMap::default();
    for n in order.iter().filter(|n| keep(n)) {
        let mut node = graph.node(*n).clone();
        node.region = node.region.and_then(|r| used.iter().position(|u| *u == r));
        let new = out.nodes.add_node(node);
        moved.insert(*n, new);
        for (operand, v) in graph.operands(*n).iter().enumerate() {
            let v = source[v];
            let edge = Use {
                result: v.result,
                operand,
            };
            out.nodes.add_edge(moved[&v.node], new, edge);
        }
    }
    out.outputs = graph
        .outputs
        .iter()
        .map(|v| Value {
            node: moved[&v.node],
            result: v.result,
        })
        .collect();
    // Tiles may have cut only what is gone.
    for region in 0..out.regions.len() {
        let axes = region_axes(&out, region);
        if let Some(schedule) = &mut out.regions[region].schedule {
            schedule.tiles.retain(|_, tile| axes.contains(&tile.axis));
        }
    }
    out
}

/// Whether an exchange takes a value: by its name, so that no other one stands for it.
pub(crate) fn exchanged(graph: &Graph, v: Value) -> bool {
    let mut users = graph.users(v).into_iter();
    users.any(|u| matches!(graph.node(u).op, Op::Exchange(_)))
}

/// The value that another one is equal to, bit for bit: its operand, or what that is another view of.
pub(crate) fn identity(graph: &Graph, v: Value) -> Option<Value> {
    let Op::Prim(prim) = graph.node(v.node).op else {
        return None;
    };
    let operand = *graph.operands(v.node).first()?;
    let cols = |v: Value| graph.ty(v).shape.last().map(|d| d.size);
    let same = match prim {
        Prim::PadCols { cols: to, .. } | Prim::RepeatCols { cols: to } => cols(operand) == Some(to),
        Prim::SliceCols { from, to } => from == 0 && cols(operand) == Some(to),
        Prim::Cast { to, .. } => graph.ty(operand).dtype == to,
        Prim::Transpose => {
            let turned = graph.node(operand.node).op == Op::Prim(Prim::Transpose);
            return turned.then(|| graph.operands(operand.node)[0]);
        }
        // However many views lie between.
        Prim::Reshape { .. } => {
            let mut lies = operand;
            while matches!(graph.node(lies.node).op, Op::Prim(Prim::Reshape { .. })) {
                lies = graph.operands(lies.node)[0];
            }
            return (graph.ty(lies).sizes() == graph.ty(v).sizes()).then_some(lies);
        }
        _ => false,
    };
    same.then_some(operand)
}
