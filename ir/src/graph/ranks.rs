//! What running together asks of a graph: how many ranks there are, what they exchange, what one run gives the next.

use super::verify::check_name;
use super::{EPOCH, Graph, GraphError, Op, RANK, RANKS, Type, Value, check_counts};
use crate::dtype::DType;
use crate::op::Callee;
use indexmap::IndexMap;

pub(super) fn ranks(graph: &Graph) -> Result<(), GraphError> {
    let capacity = graph.capacity.as_ref();
    if let Some(name) = capacity.filter(|n| !graph.params.contains_key(*n)) {
        return Err(GraphError::UnknownSize { name: name.clone() });
    }
    if let Some(name) = &graph.ranks {
        check_ranks(name, graph.params.get(name).copied().unwrap_or(0))?;
    }
    // The scalars that every rank is given have their names to themselves.
    for name in [RANK, EPOCH].into_iter().filter(|_| graph.ranks.is_some()) {
        let taken = graph.params.contains_key(name)
            || graph.find(name).is_some_and(|v| {
                graph.node(v.node).op != Op::Input || *graph.ty(v) != Type::new(DType::I32, [])
            });
        if taken {
            return Err(GraphError::Reserved { name: name.into() });
        }
    }
    Ok(())
}

/// One name is one declaration; operands of exchanges have the counts that these say.
pub(super) fn declarations(graph: &Graph) -> Result<(), GraphError> {
    let mut seen: IndexMap<String, Callee> = IndexMap::new();
    for callee in graph.declarations() {
        check_name(callee.name())?;
        if let Some(first) = seen.insert(callee.name().into(), callee)
            && seen.get(first.name()) != Some(&first)
        {
            return Err(GraphError::DuplicateDeclaration {
                name: first.name().into(),
            });
        }
    }
    for id in graph.nodes.node_indices() {
        let operands = graph.operands(id);
        let typed = |v: &Value| (graph.name(*v), graph.ty(*v));
        let typed: Vec<(&str, &Type)> = operands.iter().map(typed).collect();
        check_counts(&graph.nodes[id].op, &typed, graph.ranks())?;
    }
    Ok(())
}

/// Checks that an output can become an input of the next run.
pub(super) fn check_feed(graph: &Graph, output: &str, input: &str) -> Result<(), GraphError> {
    let wrong = |problem: String| {
        Err(GraphError::Carry {
            output: output.into(),
            input: input.into(),
            problem,
        })
    };
    let from = graph.outputs.iter().find(|v| graph.name(**v) == output);
    let Some(from) = from else {
        return wrong(format!("`{output}` is no output"));
    };
    let to = graph
        .find(input)
        .filter(|v| graph.node(v.node).op == Op::Input);
    let Some(to) = to else {
        return wrong(format!("there is no input `{input}`"));
    };
    if graph.ty(*from) != graph.ty(to) {
        let (a, b) = (graph.ty(*from), graph.ty(to));
        return wrong(format!("one is {a}, the other {b}"));
    }
    match graph.carried.values().filter(|i| *i == input).count() > 1 {
        true => wrong("another output is carried to it already".into()),
        false => Ok(()),
    }
}

pub(super) fn check_ranks(name: &str, value: i64) -> Result<(), GraphError> {
    match RANKS.iter().any(|n| i64::try_from(*n) == Ok(value)) {
        true => Ok(()),
        false => Err(GraphError::Ranks {
            name: name.into(),
            value,
        }),
    }
}
