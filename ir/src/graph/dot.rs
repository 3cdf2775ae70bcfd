//! Pictures of a graph: Graphviz, and a short text for people.

use super::{Graph, Op, Value};
use std::fmt::Write;

/// The graph in Graphviz' language: one box a kernel, one node an operation, edges labelled with the value and its type.
///
/// For a verified graph. The text is the same for the same graph, so it can be compared.
pub fn dot(graph: &Graph) -> String {
    let mut s = format!("digraph {} {{\n", graph.name);
    s.push_str("  rankdir = TB;\n  node [shape = box, fontname = \"monospace\"];\n");
    let node = |id: petgraph::graph::NodeIndex, indent: &str| {
        let n = graph.node(id);
        let names: Vec<&str> = n.outputs.iter().map(|o| o.name.as_str()).collect();
        let style = match n.op {
            Op::Input => ", style = rounded",
            _ => "",
        };
        format!(
            "{indent}n{} [label = \"{}\\n{}\"{style}];\n",
            id.index(),
            names.join(", "),
            n.op.name()
        )
    };
    for id in graph.nodes.node_indices() {
        if graph.node(id).region.is_none() {
            s.push_str(&node(id, "  "));
        }
    }
    for (index, region) in graph.regions.iter().enumerate() {
        let _ = writeln!(
            s,
            "  subgraph cluster_{index} {{\n    label = \"{}\";",
            region.name
        );
        for id in graph.nodes.node_indices() {
            if graph.node(id).region == Some(index) {
                s.push_str(&node(id, "    "));
            }
        }
        s.push_str("  }\n");
    }
    for id in graph.nodes.node_indices() {
        for v in graph.operands(id) {
            let _ = writeln!(
                s,
                "  n{} -> n{} [label = \"{}: {}\"];",
                v.node.index(),
                id.index(),
                graph.name(v),
                graph.ty(v)
            );
        }
    }
    for (i, v) in graph.outputs.iter().enumerate() {
        let _ = writeln!(
            s,
            "  out{i} [label = \"{}\", shape = oval];\n  n{} -> out{i} [label = \"{}\"];",
            graph.name(*v),
            v.node.index(),
            graph.ty(*v)
        );
    }
    s.push_str("}\n");
    s
}

/// A few lines for people: inputs, kernels with what they read and write, outputs, each with its type.
///
/// For a verified graph.
pub fn summary(graph: &Graph) -> String {
    let show = |v: &Value| format!("{}: {}", graph.name(*v), graph.ty(*v));
    let list = |values: &[Value]| values.iter().map(show).collect::<Vec<_>>().join(", ");
    let mut s = format!("graph {}\n", graph.name);
    for input in graph.inputs() {
        let _ = writeln!(s, "  input {}", show(&input));
    }
    let materialised = graph.materialised();
    for (index, region) in graph.regions.iter().enumerate() {
        let inside: Vec<_> = graph
            .nodes
            .node_indices()
            .filter(|id| graph.node(*id).region == Some(index))
            .collect();
        let mut reads: indexmap::IndexSet<Value> = indexmap::IndexSet::new();
        for id in &inside {
            let outside = |v: &Value| graph.node(v.node).region != Some(index);
            reads.extend(graph.operands(*id).into_iter().filter(outside));
        }
        let reads: Vec<Value> = reads.into_iter().collect();
        let written = materialised.iter().filter(|v| inside.contains(&v.node));
        let written: Vec<Value> = written.copied().collect();
        let _ = writeln!(s, "  kernel {} ({} operations)", region.name, inside.len());
        let _ = writeln!(s, "    reads {}", list(&reads));
        let _ = writeln!(s, "    writes {}", list(&written));
    }
    let _ = writeln!(s, "  output {}", list(&graph.outputs));
    s
}
