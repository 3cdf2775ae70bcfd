//! Which operations are one kernel: regions are cut where the core type changes.

use super::held::{Held, ROW};
use super::{access, operator};
use crate::hash::{HashMap, HashSet};
use indexmap::IndexMap;
use petgraph::graph::NodeIndex;
use tilewright_ir::graph::{Graph, Op, Region, Type, Value};
use tilewright_ir::kernel::Unit;
use tilewright_ir::op::{Access, Core, Part as Piece};

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

/// Whether an operation is only a way to read its operand, which is no part of a kernel.
pub(super) fn is_view(op: &Op) -> bool {
    matches!(access(op), Some(Access::Turned | Access::Recut))
}

/// The value that is read where `v` is.
fn source(graph: &Graph, v: Value) -> Value {
    let of = graph.operands(v.node).first().copied();
    match of.filter(|_| is_view(&graph.node(v.node).op)) {
        Some(of) => source(graph, of),
        None => v,
    }
}

/// Nodes of one kernel, in topological order.
pub(super) struct Part {
    pub region: usize,
    pub work: Work,
    pub nodes: Vec<NodeIndex>,
}

/// Cuts regions where the core type changes, and orders the pieces. What a core does not hold lies in memory: what is padded or
/// gathered in long rows before it is read, and long rows that are needed whole beside what can be cut into columns.
pub(super) fn parts(graph: &Graph, held: Held) -> Vec<Part> {
    let order = graph.topological().unwrap_or_default();
    let whole = apart(graph, &order, held);
    let stage = stages(graph, &order, held.padded(), &whole);
    let rows = rows(graph, &order, &stage);
    // A cube kernel computes one product, an exchange is a kernel by itself, and a vector kernel walks over rows of one number.
    let mut keyed: IndexMap<(usize, usize, Work, Alike<'_>), Part> = IndexMap::new();
    for n in order {
        let node = graph.node(n);
        let Some(region) = node.region else { continue };
        if is_view(&node.op) {
            continue;
        }
        let (u, s) = (work(&node.op), stage[&n]);
        let alike = match u {
            Work::Vector => Alike::Rows(rows.get(&n).copied(), whole.contains(&n)),
            Work::Cube | Work::Exchange => Alike::One(n),
        };
        keyed
            .entry((region, s, u, alike))
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

/// What nodes of one kernel have in common besides their core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Alike<'g> {
    /// Rows, and what counts those that exist; none where no matrix says. And whether they are needed whole, apart from what can be cut.
    Rows(Option<Extent<'g>>, bool),
    /// Nothing: a kernel by itself.
    One(NodeIndex),
}

/// Rows of a matrix, their groups, and the value that counts those of each group which exist.
type Extent<'g> = (usize, Option<(usize, &'g str)>);

/// What rows a node's matrices have.
fn extent(graph: &Graph, n: NodeIndex) -> Option<Extent<'_>> {
    let types = graph.node(n).outputs.iter().map(|o| &o.ty);
    let mut matrices = types.filter(|ty| ty.shape.len() >= 2);
    let ty: &Type = matrices.next()?;
    let ragged = ty.ragged.as_ref().map(|r| (r.groups, r.counts.as_str()));
    Some((ty.matrix().0, ragged))
}

/// Rows of the kernel that each node of a vector core is part of: its own, and of a vector or scalar those of what reads it there.
fn rows<'g>(
    graph: &'g Graph,
    order: &[NodeIndex],
    stage: &HashMap<NodeIndex, usize>,
) -> HashMap<NodeIndex, Extent<'g>> {
    let mut rows: HashMap<NodeIndex, Extent> = HashMap::default();
    for n in order.iter().rev() {
        let users = users(graph, *n);
        let together = |u: &&NodeIndex| {
            graph.node(**u).region == graph.node(*n).region && stage.get(u) == stage.get(n)
        };
        let read = || {
            users
                .iter()
                .filter(together)
                .find_map(|u| rows.get(u).copied())
        };
        if let Some(extent) = extent(graph, *n).or_else(read) {
            rows.insert(*n, extent);
        }
    }
    rows
}

fn users(graph: &Graph, n: NodeIndex) -> Vec<NodeIndex> {
    let results = 0..graph.node(n).outputs.len();
    let values = results.map(|result| Value { node: n, result });
    values.flat_map(|v| graph.users(v)).collect()
}

/// Nodes that take whole rows, of regions in which a core does not hold such rows of all that is computed: as one kernel with them,
/// nothing could be cut into columns.
fn apart(graph: &Graph, order: &[NodeIndex], held: Held) -> HashSet<NodeIndex> {
    let cols = |v: &Value| graph.ty(source(graph, *v)).matrix().1;
    let takes = |n: NodeIndex| graph.operands(n).iter().map(cols).max().unwrap_or(0);
    let takes_rows = |n: NodeIndex| matches!(access(&graph.node(n).op), Some(Access::Row { .. }));
    let mut apart: HashSet<NodeIndex> = HashSet::default();
    for region in 0..graph.regions.len() {
        let nodes = || {
            let of = order.iter().copied();
            of.filter(|n| graph.node(*n).region == Some(region))
        };
        let rows = nodes().filter(|n| takes_rows(*n)).map(takes).max();
        let Some(width) = rows else { continue };
        // Rows beside: of what is computed, and one of scratch.
        let long = |n: &NodeIndex| {
            let results = 0..graph.node(*n).outputs.len();
            let mut widths = results.map(|result| graph.ty(Value { node: *n, result }).matrix().1);
            widths.any(|w| 2 * w > width)
        };
        let beside = nodes().filter(long).count() + 1;
        let cut =
            |n: NodeIndex| !takes_rows(n) && !is_view(&graph.node(n).op) && 2 * takes(n) > width;
        if ROW * width * (beside + 1) <= held.bytes || !nodes().any(cut) {
            continue;
        }
        apart.extend(nodes().filter(|n| takes_rows(*n)));
        // What only makes the rows longer, or takes some of their columns, is done where they are taken.
        for n in order.iter().rev().copied() {
            let moves = matches!(access(&graph.node(n).op), Some(Access::Pad | Access::Shift));
            let mut users = users(graph, n).into_iter().peekable();
            if graph.node(n).region == Some(region)
                && moves
                && users.peek().is_some()
                && users.all(|u| apart.contains(&u))
            {
                apart.insert(n);
            }
        }
    }
    apart
}

/// The number of values in global memory on the longest way into each node, within its region.
fn stages(
    graph: &Graph,
    order: &[NodeIndex],
    long: usize,
    parted: &HashSet<NodeIndex>,
) -> HashMap<NodeIndex, usize> {
    let mut stage: HashMap<_, usize> = HashMap::default();
    // What is computed of whole rows of values that are not stored.
    let mut whole: HashSet<NodeIndex> = HashSet::default();
    for n in order.iter().copied() {
        let node = graph.node(n);
        let Some(region) = node.region else { continue };
        let operands = graph.operands(n);
        let own = operands
            .iter()
            .enumerate()
            .filter(|(_, v)| graph.node(v.node).region == Some(region));
        let apart = |i: usize, v: &Value| {
            crosses(graph, v.node, n, i, &whole)
                || is_long(graph, v.node, n, long)
                || parted.contains(&v.node) != parted.contains(&n)
        };
        let s = own
            .clone()
            .map(|(i, v)| stage[&v.node] + usize::from(apart(i, v)))
            .max()
            .unwrap_or(0);
        let mut within = own.filter(|(i, v)| {
            let spread = piece(&node.op, *i) != Some(Piece::Column);
            spread && stage[&v.node] == s && whole.contains(&v.node)
        });
        let rows = match access(&node.op) {
            Some(Access::Row { .. } | Access::Pad | Access::Gather) => true,
            Some(Access::Reduction | Access::Repeat | Access::Beside) => false,
            _ => within.next().is_some(),
        };
        if rows {
            whole.insert(n);
        }
        stage.insert(n, s);
    }
    // Vectors and scalars are not stored, and a slice of what is stored need not be: both are computed where they are
    // first needed.
    for n in order.iter().rev() {
        let node = graph.node(*n);
        let small = node.outputs.iter().all(|o| o.ty.shape.len() < 2)
            || access(&node.op) == Some(Access::Shift);
        let users = users(graph, *n);
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

/// What a block of a node needs of its operand of this number.
fn piece(op: &Op, operand: usize) -> Option<Piece> {
    match access(op)? {
        Access::Element(parts) | Access::Row { parts, .. } => parts.get(operand).copied(),
        _ => None,
    }
}

/// Whether a node reads whole rows, padded or gathered, of more columns than a core holds beside what is computed of them. What padding
/// lies beside is stored with it.
fn is_long(graph: &Graph, from: NodeIndex, to: NodeIndex, long: usize) -> bool {
    let whole = match access(&graph.node(from).op) {
        Some(Access::Pad) => access(&graph.node(to).op) != Some(Access::Beside),
        Some(Access::Gather) => true,
        _ => false,
    };
    let mut outputs = graph.node(from).outputs.iter();
    whole && outputs.any(|o| o.ty.matrix().1 >= long)
}

/// Whether a node reads an operand that its region computes from global memory, rather than from the same kernel.
fn crosses(
    graph: &Graph,
    from: NodeIndex,
    to: NodeIndex,
    operand: usize,
    whole: &HashSet<NodeIndex>,
) -> bool {
    let (before, after) = (&graph.node(from).op, &graph.node(to).op);
    match (access(before), access(after)) {
        // What is read in other rows lies in memory, and is there for all who read it so.
        (Some(Access::Recut), _) => return false,
        (_, Some(Access::Recut)) => return true,
        _ => {}
    }
    if work(before) != work(after) {
        return true;
    }
    let extents = (extent(graph, from), extent(graph, to));
    match (access(before), access(after)) {
        // What lies beside each other is stored piece by piece, and is one value only in memory.
        (Some(Access::Beside), after) => after != Some(Access::Beside),
        (Some(Access::Matrix), _) => true,
        // Rows are looked up in memory.
        (_, Some(Access::Gather)) => true,
        // Slices are computed in their columns only, which whole rows have not.
        (_, Some(Access::Shift)) if whole.contains(&from) => true,
        // Blocks of other rows.
        _ => {
            matches!(extents, (Some(a), Some(b)) if a != b && piece(after, operand) != Some(Piece::Whole))
        }
    }
}

/// Kahn over parts; ties go to the first in region order, so that launch order is the order written.
fn sorted(graph: &Graph, mut parts: Vec<Part>) -> Vec<Part> {
    let mut sorted: Vec<Part> = vec![];
    let mut done: HashSet<NodeIndex> = graph.inputs().iter().map(|v| v.node).collect();
    parts.sort_by_key(|p| p.region);
    while !parts.is_empty() {
        let ready = parts.iter().position(|p| {
            p.nodes.iter().all(|n| {
                graph.operands(*n).iter().all(|v| {
                    let v = source(graph, *v);
                    done.contains(&v.node) || p.nodes.contains(&v.node)
                })
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
