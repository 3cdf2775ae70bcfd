//! What every later stage may rely on.
//!
//! [`verify`] takes a graph from anywhere, so it assumes nothing: it checks indices before it follows them.

use super::ranks::{check_feed, declarations, ranks};
use super::{
    Graph, GraphError, InputSpec, MAX_DIM, MAX_PIPELINE_DEPTH, Node, Op, Type, Value, infer,
    name_counts,
};
use crate::dtype::DType;
use crate::op::expr::constant::LOWEST;
use indexmap::IndexMap;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;
use std::collections::BTreeSet;

/// The most bytes of one value (1 TiB): what is larger is a mistake, and byte counts stay far from overflow.
pub const MAX_BYTES: usize = 1 << 40;

/// Whether a name can be written in the text form and in emitted code: letters, digits and `_`, not a digit first.
pub fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Checks everything that later stages rely on.
///
/// # Errors
///
/// The first problem found; the order of the checks is fixed, so the same graph always gives the same error.
pub fn verify(graph: &Graph) -> Result<(), GraphError> {
    names(graph)?;
    ranks(graph)?;
    types(graph)?;
    edges(graph)?;
    acyclic(graph)?;
    ragged(graph)?;
    declarations(graph)?;
    inferred(graph)?;
    regions(graph)?;
    outputs(graph)?;
    schedules(graph)
}

pub(super) fn label(graph: &Graph, id: NodeIndex) -> String {
    match graph.nodes[id].outputs.first() {
        Some(output) => output.name.clone(),
        None => format!("node {}", id.index()),
    }
}

fn names(graph: &Graph) -> Result<(), GraphError> {
    let mut seen = BTreeSet::new();
    let values = graph
        .nodes
        .node_weights()
        .flat_map(|n| n.outputs.iter().map(|o| &o.name));
    check_name(&graph.name)?;
    for name in graph.params.keys() {
        check_param_name(name)?;
    }
    for name in graph.params.keys().chain(values) {
        check_name(name)?;
        if !seen.insert(name) {
            return Err(GraphError::DuplicateName { name: name.clone() });
        }
    }
    let mut seen = BTreeSet::new();
    for region in &graph.regions {
        check_name(&region.name)?;
        if !seen.insert(&region.name) {
            return Err(GraphError::DuplicateRegion {
                name: region.name.clone(),
            });
        }
    }
    Ok(())
}

pub(super) fn check_name(name: &str) -> Result<(), GraphError> {
    if is_identifier(name) {
        Ok(())
    } else {
        Err(GraphError::Name { name: name.into() })
    }
}

/// The text form has one constant with a name.
pub(super) fn check_param_name(name: &str) -> Result<(), GraphError> {
    match name == LOWEST {
        true => Err(GraphError::ReservedParam { name: name.into() }),
        false => Ok(()),
    }
}

fn types(graph: &Graph) -> Result<(), GraphError> {
    for node in graph.nodes.node_weights() {
        for output in &node.outputs {
            check_type(&output.name, &output.ty, &graph.params)?;
        }
    }
    Ok(())
}

/// Checks one value's type: rank, sizes, axes, bytes.
pub(super) fn check_type(
    value: &str,
    ty: &Type,
    params: &IndexMap<String, i64>,
) -> Result<(), GraphError> {
    if ty.shape.len() > 2 {
        return Err(GraphError::ValueRank {
            value: value.into(),
            rank: ty.shape.len(),
        });
    }
    let mut bytes = ty.dtype.bytes() as u128;
    for dim in &ty.shape {
        if dim.size == 0 || dim.size > MAX_DIM {
            return Err(GraphError::Size {
                value: value.into(),
                size: dim.size.to_string(),
            });
        }
        bytes *= dim.size as u128;
        let named = |axis: &str, size: usize| params.get(axis).copied() == i64::try_from(size).ok();
        if let Some(block) = &dim.block
            && !(named(&block.axis, block.size)
                && block.size > 0
                && dim.size.is_multiple_of(block.size))
        {
            return Err(GraphError::Axis {
                value: value.into(),
                axis: block.axis.clone(),
                size: block.size,
            });
        }
        if let Some(axis) = &dim.axis
            && !named(axis, dim.size)
        {
            return Err(GraphError::Axis {
                value: value.into(),
                axis: axis.clone(),
                size: dim.size,
            });
        }
    }
    if bytes > MAX_BYTES as u128 {
        return Err(GraphError::TooLarge {
            value: value.into(),
            ty: ty.clone(),
        });
    }
    Ok(())
}

fn edges(graph: &Graph) -> Result<(), GraphError> {
    for id in graph.nodes.node_indices() {
        let mut slots = vec![];
        for e in graph
            .nodes
            .edges_directed(id, petgraph::Direction::Incoming)
        {
            let results = graph.nodes[e.source()].outputs.len();
            if e.weight().result >= results {
                return Err(GraphError::ResultIndex {
                    node: label(graph, id),
                    source_node: label(graph, e.source()),
                    result: e.weight().result,
                    results,
                });
            }
            slots.push(e.weight().operand);
        }
        slots.sort_unstable();
        if slots.iter().enumerate().any(|(i, slot)| i != *slot) {
            return Err(GraphError::OperandSlots {
                node: label(graph, id),
                found: slots,
            });
        }
    }
    Ok(())
}

fn acyclic(graph: &Graph) -> Result<(), GraphError> {
    if graph.topological().is_some() {
        return Ok(());
    }
    let edges = graph
        .nodes
        .edge_references()
        .map(|e| (e.source().index(), e.target().index()));
    let path = cycle(graph.nodes.node_count(), edges);
    let name = |i: usize| label(graph, NodeIndex::new(i));
    Err(GraphError::Cycle {
        path: path.into_iter().map(name).collect(),
    })
}

/// A cycle among `count` things joined by `edges`, its first thing repeated at the end; empty when there is none.
fn cycle(count: usize, edges: impl Iterator<Item = (usize, usize)>) -> Vec<usize> {
    let mut successors = vec![BTreeSet::new(); count];
    let mut predecessors = vec![BTreeSet::new(); count];
    for (from, to) in edges {
        successors[from].insert(to);
        predecessors[to].insert(from);
    }
    let mut waiting: Vec<usize> = predecessors.iter().map(BTreeSet::len).collect();
    let mut ready: Vec<usize> = (0..count).filter(|n| waiting[*n] == 0).collect();
    while let Some(n) = ready.pop() {
        for t in &successors[n] {
            waiting[*t] -= 1;
            if waiting[*t] == 0 {
                ready.push(*t);
            }
        }
    }
    // What still waits has a predecessor that waits: walk backwards until a thing comes again.
    let Some(mut at) = (0..count).find(|n| waiting[*n] > 0) else {
        return vec![];
    };
    let mut place = vec![None; count];
    let mut walk = vec![];
    while place[at].is_none() {
        place[at] = Some(walk.len());
        walk.push(at);
        match predecessors[at].iter().find(|p| waiting[**p] > 0) {
            Some(p) => at = *p,
            None => return vec![],
        }
    }
    let mut path = walk.split_off(place[at].unwrap_or(0));
    path.push(at);
    path.reverse();
    path
}

/// Checks what says how many rows of a value exist: an i32 `[groups, 1]` value that is there before.
fn ragged(graph: &Graph) -> Result<(), GraphError> {
    let values: IndexMap<&str, Value> = graph.values().map(|v| (graph.name(v), v)).collect();
    for v in graph.values() {
        let counts = graph.ty(v).ragged.as_ref().map(|r| r.counts.as_str());
        let found = counts.and_then(|name| values.get(name));
        let before = found.filter(|c| **c != v && c.node <= v.node);
        check_ragged(graph.name(v), graph.ty(v), before.map(|c| graph.ty(*c)))?;
    }
    Ok(())
}

/// Checks one value's groups against the type of its counts, if those are there.
pub(super) fn check_ragged(
    value: &str,
    ty: &Type,
    counts: Option<&Type>,
) -> Result<(), GraphError> {
    let Some(ragged) = &ty.ragged else {
        return Ok(());
    };
    let wrong = |problem: String| {
        Err(GraphError::Ragged {
            value: value.into(),
            ty: ty.clone(),
            problem,
        })
    };
    let Some(counts) = counts else {
        return wrong(format!(
            "there is no value `{}` before it; declare the counts first",
            ragged.counts
        ));
    };
    let groups = ragged.groups;
    if counts.dtype != DType::I32 || counts.sizes() != [groups, 1] || counts.ragged.is_some() {
        return wrong(format!(
            "the counts `{}` are {counts}; give one count a group, i32[{}, 1]",
            ragged.counts,
            groups.max(1)
        ));
    }
    if ty.shape.len() != 2 || groups == 0 || !ty.shape[0].size.is_multiple_of(groups) {
        return wrong(format!(
            "its rows do not make {groups} groups; give a matrix whose rows are a multiple of {groups}"
        ));
    }
    Ok(())
}

fn inferred(graph: &Graph) -> Result<(), GraphError> {
    for id in graph.nodes.node_indices() {
        let node = &graph.nodes[id];
        let operands: Vec<Type> = graph
            .operands(id)
            .into_iter()
            .map(|v| graph.ty(v).clone())
            .collect();
        let types =
            infer(&node.op, &operands, graph.ranks()).map_err(|error| GraphError::AtNode {
                node: label(graph, id),
                error: Box::new(error.into()),
            })?;
        let expected = if node.op == Op::Input { 1 } else { types.len() };
        if node.outputs.len() != expected {
            return Err(GraphError::ResultCount {
                node: label(graph, id),
                op: node.op.name().into(),
                expected,
                found: node.outputs.len(),
            });
        }
        let names: Vec<&str> = node.outputs.iter().map(|o| o.name.as_str()).collect();
        let types = name_counts(types, &names, &operands_named(graph, id));
        for (output, inferred) in node.outputs.iter().zip(types) {
            if output.ty != inferred {
                return Err(GraphError::ResultType {
                    value: output.name.clone(),
                    op: node.op.name().into(),
                    declared: output.ty.clone(),
                    inferred,
                });
            }
        }
        input_range(node)?;
    }
    Ok(())
}

fn operands_named(graph: &Graph, id: NodeIndex) -> Vec<&str> {
    let operands = graph.operands(id);
    operands.into_iter().map(|v| graph.name(v)).collect()
}

fn input_range(node: &Node) -> Result<(), GraphError> {
    let Some(output) = node.outputs.first() else {
        return Ok(());
    };
    if node.op != Op::Input {
        if node.input != InputSpec::default() {
            return Err(GraphError::InputRange {
                input: output.name.clone(),
                ty: output.ty.clone(),
                problem: "only inputs have one; remove it".into(),
            });
        }
        return Ok(());
    }
    check_input(&output.name, &output.ty, &node.input)
}

/// Checks what an input says about its contents.
pub(super) fn check_input(name: &str, ty: &Type, spec: &InputSpec) -> Result<(), GraphError> {
    let wrong = |problem: String| {
        Err(GraphError::InputRange {
            input: name.into(),
            ty: ty.clone(),
            problem,
        })
    };
    if let Some(bound) = spec.bound {
        let (lowest, highest) = match ty.dtype {
            DType::I8 => (i64::from(i8::MIN), i64::from(i8::MAX)),
            DType::I32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
            DType::U32 => (0, i64::from(u32::MAX)),
            DType::I64 => (i64::MIN, i64::MAX),
            DType::F32 | DType::Bf16 | DType::F16 => {
                return wrong(
                    "a bound is for integers; say `~ normal(mean, deviation)` for floats".into(),
                );
            }
        };
        let low = spec.lowest();
        // A scalar counts rows; kernels take it for at least 0.
        let lowest = if ty.shape.is_empty() { 0 } else { lowest };
        if low < lowest || low > highest {
            return wrong(format!(
                "values are from {low} on; give a least value from {lowest} to {highest}"
            ));
        }
        if bound <= low || bound - 1 > highest {
            return wrong(format!(
                "values lie in {low}..{bound}; give a bound from {} to {}",
                low.saturating_add(1),
                highest.saturating_add(1)
            ));
        }
    } else if spec.low.is_some() {
        return wrong("a least value needs a bound; say `>= LEAST < BOUND`".into());
    }
    if let Some(spread) = spec.spread {
        if spec.bound.is_none() || ty.dtype.is_float() {
            return wrong("a binomial distribution is for integers with a bound; say `<= MOST ~ binomial(TRIALS, HITS, OF)`".into());
        }
        if let Some((what, help)) = spread.problem() {
            return wrong(format!("{what}; {help}"));
        }
    }
    if let Some((mean, deviation)) = spec.normal {
        if !ty.dtype.is_float() {
            return wrong("a normal distribution is for floats; say `< bound` for integers".into());
        }
        if !mean.is_finite() || !deviation.is_finite() || deviation < 0.0 {
            return wrong(format!(
                "normal({mean}, {deviation}) is no distribution; give a finite mean and a deviation of 0 or more"
            ));
        }
    }
    Ok(())
}

fn regions(graph: &Graph) -> Result<(), GraphError> {
    let mut sizes = vec![0usize; graph.regions.len()];
    for id in graph.nodes.node_indices() {
        let node = &graph.nodes[id];
        match (node.region, node.op == Op::Input) {
            (None, true) => {}
            (Some(_), true) => {
                return Err(GraphError::InputRegion {
                    node: label(graph, id),
                });
            }
            (None, false) => {
                return Err(GraphError::NoRegion {
                    node: label(graph, id),
                });
            }
            (Some(region), false) => match sizes.get_mut(region) {
                Some(size) => *size += 1,
                None => {
                    return Err(GraphError::RegionIndex {
                        node: label(graph, id),
                        region,
                        regions: sizes.len(),
                    });
                }
            },
        }
    }
    if let Some(empty) = sizes.iter().position(|s| *s == 0) {
        return Err(GraphError::EmptyRegion {
            region: graph.regions[empty].name.clone(),
        });
    }
    let between = graph.nodes.edge_references().filter_map(|e| {
        let (from, to) = (
            graph.nodes[e.source()].region?,
            graph.nodes[e.target()].region?,
        );
        (from != to).then_some((from, to))
    });
    let path = cycle(graph.regions.len(), between);
    if path.is_empty() {
        return Ok(());
    }
    Err(GraphError::RegionCycle {
        path: path
            .into_iter()
            .map(|r| graph.regions[r].name.clone())
            .collect(),
    })
}

fn outputs(graph: &Graph) -> Result<(), GraphError> {
    if graph.outputs.is_empty() {
        return Err(GraphError::NoOutputs);
    }
    let mut seen = BTreeSet::new();
    for (index, v) in graph.outputs.iter().enumerate() {
        let output = graph
            .nodes
            .node_weight(v.node)
            .and_then(|n| Some((n, n.outputs.get(v.result)?)));
        let Some((node, output)) = output else {
            return Err(GraphError::OutputIndex {
                index,
                node: v.node.index(),
                result: v.result,
            });
        };
        let name = output.name.clone();
        if !seen.insert(*v) {
            return Err(GraphError::DuplicateOutput { name });
        }
        if node.op == Op::Input {
            return Err(GraphError::OutputIsInput { name });
        }
    }
    for (output, input) in &graph.carried {
        check_feed(graph, output, input)?;
    }
    super::accuracy::verify(graph)
}

/// The axes that the values of a region have, results and what it reads, in the order in which they appear.
pub fn region_axes(graph: &Graph, region: usize) -> Vec<String> {
    let mut axes: indexmap::IndexSet<String> = indexmap::IndexSet::new();
    for id in graph.nodes.node_indices() {
        if graph.nodes[id].region != Some(region) {
            continue;
        }
        let results = (0..graph.nodes[id].outputs.len()).map(|result| Value { node: id, result });
        for v in results.chain(graph.operands(id)) {
            let ty = graph.ty(v);
            axes.extend(ty.shape.iter().filter_map(|d| d.axis.clone()));
            if let Some(ragged) = &ty.ragged {
                axes.extend(ty.shape[0].part(ragged.groups).axis);
            }
        }
    }
    axes.into_iter().collect()
}

fn schedules(graph: &Graph) -> Result<(), GraphError> {
    for (index, region) in graph.regions.iter().enumerate() {
        for hold in &region.holds {
            check_name(&hold.part)?;
            check_name(&hold.param)?;
            let value = |v: &String| {
                !v.is_empty() && v.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())
            };
            if hold.values.is_empty() || !hold.values.iter().all(value) {
                return Err(GraphError::Held {
                    region: region.name.clone(),
                    param: hold.param.clone(),
                    value: hold.value(),
                });
            }
        }
        let Some(schedule) = &region.schedule else {
            continue;
        };
        if schedule.pipeline == 0 || schedule.pipeline > MAX_PIPELINE_DEPTH {
            return Err(GraphError::Pipeline {
                region: region.name.clone(),
                depth: schedule.pipeline,
            });
        }
        let axes = region_axes(graph, index);
        let mut cut: IndexMap<&str, &str> = IndexMap::new();
        for (tile, spec) in &schedule.tiles {
            check_name(tile)?;
            if spec.size == 0 || spec.size > MAX_DIM {
                return Err(GraphError::TileSize {
                    region: region.name.clone(),
                    tile: tile.clone(),
                    size: spec.size,
                });
            }
            if !axes.contains(&spec.axis) {
                return Err(GraphError::TileAxis {
                    region: region.name.clone(),
                    tile: tile.clone(),
                    axis: spec.axis.clone(),
                    axes,
                });
            }
            if let Some(first) = cut.insert(&spec.axis, tile) {
                return Err(GraphError::TileTwice {
                    region: region.name.clone(),
                    first: first.into(),
                    second: tile.clone(),
                    axis: spec.axis.clone(),
                });
            }
        }
    }
    Ok(())
}
