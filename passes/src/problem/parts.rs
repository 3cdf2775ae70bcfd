//! Which operations are one kernel: regions are cut where the core type changes.

use super::{access, operator};
use crate::hash::{HashMap, HashSet};
use indexmap::IndexMap;
use petgraph::graph::NodeIndex;
use tilewright_ir::graph::{Graph, Op, Region, Value};
use tilewright_ir::kernel::Unit;
use tilewright_ir::op::{Access, Core};

/// What kind of kernel an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Work {
    Cube,
    Vector,
    /// Data between ranks, by a vector core.
    Exchange,
}

impl Work {
    pub fn unit(self) -> Unit {
        match self {
            Work::Cube => Unit::Cube,
            Work::Vector | Work::Exchange => Unit::Vector,
        }
    }
}

fn work(op: &Op) -> Work {
    match op {
        Op::Exchange(_) => Work::Exchange,
        _ => match operator(op).map(|o| o.primitive().core) {
            Some(Core::Cube) => Work::Cube,
            Some(Core::Vector | Core::Storage) | None => Work::Vector,
        },
    }
}

/// Nodes of one kernel, in topological order.
pub(super) struct Part {
    pub region: usize,
    pub work: Work,
    pub nodes: Vec<NodeIndex>,
}

/// Cuts regions where the core type changes, and orders the pieces.
pub(super) fn parts(graph: &Graph) -> Vec<Part> {
    let order = graph.topological().unwrap_or_default();
    let stage = stages(graph, &order);
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
    sorted(graph, keyed.into_values().collect())
}

/// The number of changes of core type on the longest way into each node, within its region.
fn stages(graph: &Graph, order: &[NodeIndex]) -> HashMap<NodeIndex, usize> {
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
            || access(&node.op) == Some(Access::Shift);
        let users =
            (0..node.outputs.len()).flat_map(|result| graph.users(Value { node: *n, result }));
        let users: Vec<_> = users.collect();
        let same = |u: &NodeIndex| {
            graph.node(*u).region == node.region && work(&graph.node(*u).op) == work(&node.op)
        };
        if small && node.region.is_some() && users.iter().all(same) {
            let first = users.iter().filter_map(|u| stage.get(u)).min().copied();
            stage.extend(first.map(|s| (*n, s)));
        }
    }
    stage
}

/// Kahn over parts; ties go to the first in region order, so that launch order is the order written.
fn sorted(graph: &Graph, mut parts: Vec<Part>) -> Vec<Part> {
    let mut sorted: Vec<Part> = vec![];
    let mut done: HashSet<NodeIndex> = graph.inputs().iter().map(|v| v.node).collect();
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

pub(super) fn part_name(region: &Region, part: &Part, siblings: &[&Part]) -> String {
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
