//! Where the boxes of a graph go: layers from top to bottom, few crossings, straight edges where that costs nothing.
//!
//! The steps are those of Sugiyama, Tagawa and Toda (1981): every node below all nodes that it depends on, edges over several
//! layers cut into pieces by points that take part as nodes do, the order within layers by the means of neighbours, and
//! last the coordinates.

/// The room between boxes.
const GAP: (f64, f64) = (28.0, 64.0);
/// The width that a point of an edge takes, which may have a label.
const POINT: f64 = 48.0;
const SWEEPS: usize = 12;

/// Boxes and edges in a plane, with (0, 0) at the top left.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// The centre of each box.
    pub centres: Vec<(f64, f64)>,
    /// Of each edge, points from the lower side of a box to the upper side of another.
    pub routes: Vec<Vec<(f64, f64)>>,
    pub width: f64,
    pub height: f64,
}

/// A box, or a point of an edge.
struct Node {
    width: f64,
    layer: usize,
    above: Vec<usize>,
    below: Vec<usize>,
    x: f64,
}

/// Lays out boxes of these widths, all of one height, with edges from a box to one of a higher number.
pub fn layered(widths: &[f64], height: f64, edges: &[(usize, usize)]) -> Layout {
    let (mut nodes, paths) = nodes(widths, edges);
    let mut layers: Vec<Vec<usize>> = vec![];
    for (n, node) in nodes.iter().enumerate() {
        if layers.len() <= node.layer {
            layers.resize(node.layer + 1, vec![]);
        }
        layers[node.layer].push(n);
    }
    order(&mut layers, &nodes);
    place(&layers, &mut nodes);
    let left = |n: &Node| n.x - n.width / 2.0;
    let least = nodes.iter().map(left).fold(f64::INFINITY, f64::min);
    for node in &mut nodes {
        node.x -= least;
    }
    let pitch = height + GAP.1;
    let y = |n: usize| nodes[n].layer as f64 * pitch + height / 2.0;
    let routes = paths.iter().map(|path| {
        let mut points = vec![];
        for (i, &n) in path.iter().enumerate() {
            let (x, y) = (nodes[n].x, y(n));
            match i {
                0 => points.push((x, y + height / 2.0)),
                _ if i + 1 == path.len() => points.push((x, y - height / 2.0)),
                // An edge passes a layer straight down.
                _ => points.extend([(x, y - height / 2.0), (x, y + height / 2.0)]),
            }
        }
        points
    });
    Layout {
        routes: routes.collect(),
        centres: (0..widths.len()).map(|n| (nodes[n].x, y(n))).collect(),
        width: nodes
            .iter()
            .map(|n| n.x + n.width / 2.0)
            .fold(0.0, f64::max),
        height: (layers.len() as f64 * pitch - GAP.1).max(0.0),
    }
}

/// Boxes with their layers, points of edges after them, and the nodes of each edge from top to bottom.
fn nodes(widths: &[f64], edges: &[(usize, usize)]) -> (Vec<Node>, Vec<Vec<usize>>) {
    let node = |width: f64, layer: usize| Node {
        width,
        layer,
        above: vec![],
        below: vec![],
        x: 0.0,
    };
    let mut layer = vec![0; widths.len()];
    let mut sorted = edges.to_vec();
    sorted.sort_unstable();
    // Sources come before their targets, so one pass is enough.
    for &(from, to) in &sorted {
        layer[to] = layer[to].max(layer[from] + 1);
    }
    let mut nodes: Vec<Node> = (widths.iter().zip(&layer))
        .map(|(width, layer)| node(*width, *layer))
        .collect();
    let mut paths = vec![];
    for &(from, to) in edges {
        let mut path = vec![from];
        for between in layer[from] + 1..layer[to] {
            path.push(nodes.len());
            nodes.push(node(POINT, between));
        }
        path.push(to);
        for pair in path.windows(2) {
            nodes[pair[0]].below.push(pair[1]);
            nodes[pair[1]].above.push(pair[0]);
        }
        paths.push(path);
    }
    (nodes, paths)
}

/// Puts each node of a layer between its neighbours', from top to bottom and back.
fn order(layers: &mut [Vec<usize>], nodes: &[Node]) {
    let mut rank = vec![0.0; nodes.len()];
    let number = |layer: &[usize], rank: &mut [f64]| {
        for (i, n) in layer.iter().enumerate() {
            rank[*n] = (i as f64 + 0.5) / layer.len() as f64;
        }
    };
    layers.iter().for_each(|layer| number(layer, &mut rank));
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        for step in 0..layers.len() {
            let at = if down { step } else { layers.len() - 1 - step };
            let layer = &mut layers[at];
            let mean = |n: &usize| {
                let of = if down {
                    &nodes[*n].above
                } else {
                    &nodes[*n].below
                };
                mean(of.iter().map(|o| rank[*o])).unwrap_or(rank[*n])
            };
            layer.sort_by(|a, b| mean(a).total_cmp(&mean(b)));
            number(layer, &mut rank);
        }
    }
}

/// Gives each node a place as near to its neighbours' as its layer allows.
fn place(layers: &[Vec<usize>], nodes: &mut [Node]) {
    for sweep in 0..=SWEEPS {
        for step in 0..layers.len() {
            let at = match sweep % 2 == 0 {
                true => step,
                false => layers.len() - 1 - step,
            };
            let wanted = |n: &usize| {
                let node = &nodes[*n];
                // The first time nothing below has a place.
                let below = node.below.iter().filter(|_| sweep > 0);
                let near = node.above.iter().chain(below);
                mean(near.map(|o| nodes[*o].x)).unwrap_or(node.x)
            };
            let wanted: Vec<f64> = layers[at].iter().map(wanted).collect();
            let widths: Vec<f64> = layers[at].iter().map(|n| nodes[*n].width).collect();
            for (n, x) in layers[at].iter().zip(spread(&wanted, &widths)) {
                nodes[*n].x = x;
            }
        }
    }
}

/// Places in this order, with room for these widths, so that the squares of the distances from what is wanted are least: pools of
/// adjacent violators.
fn spread(wanted: &[f64], widths: &[f64]) -> Vec<f64> {
    let mut offset = vec![0.0; wanted.len()];
    for i in 1..wanted.len() {
        offset[i] = offset[i - 1] + (widths[i - 1] + widths[i]) / 2.0 + GAP.0;
    }
    // Sum and number of what was pooled.
    let mut pools: Vec<(f64, usize)> = vec![];
    for (want, offset) in wanted.iter().zip(&offset) {
        let mut pool = (want - offset, 1);
        while let Some(before) = pools.last()
            && before.0 / before.1 as f64 > pool.0 / pool.1 as f64
        {
            pool = (pool.0 + before.0, pool.1 + before.1);
            pools.pop();
        }
        pools.push(pool);
    }
    let means = pools
        .iter()
        .flat_map(|(sum, count)| std::iter::repeat_n(sum / *count as f64, *count));
    means
        .zip(offset)
        .map(|(mean, offset)| mean + offset)
        .collect()
}

fn mean(of: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = of.fold((0.0, 0), |(sum, count), x| (sum + x, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_go_down_and_boxes_keep_apart() {
        let widths = [100.0, 80.0, 120.0, 60.0, 90.0, 100.0];
        let edges = [(0, 1), (0, 2), (1, 3), (2, 3), (0, 4), (3, 5), (0, 5)];
        let layout = layered(&widths, 40.0, &edges);
        for (edge, route) in edges.iter().zip(&layout.routes) {
            let (from, to) = (layout.centres[edge.0], layout.centres[edge.1]);
            assert!(from.1 < to.1, "{edge:?}");
            assert_eq!(route.first(), Some(&(from.0, from.1 + 20.0)));
            assert_eq!(route.last(), Some(&(to.0, to.1 - 20.0)));
            assert!(route.windows(2).all(|p| p[0].1 <= p[1].1), "{route:?}");
        }
        for a in 0..widths.len() {
            let (x, y) = layout.centres[a];
            assert!(x - widths[a] / 2.0 >= -1e-9 && x + widths[a] / 2.0 <= layout.width + 1e-9);
            assert!(y - 20.0 >= 0.0 && y + 20.0 <= layout.height + 1e-9);
            for b in 0..a {
                let apart = (layout.centres[b].0 - x).abs() >= (widths[a] + widths[b]) / 2.0;
                assert!(layout.centres[b].1 != y || apart, "{a} and {b}");
            }
        }
    }

    #[test]
    fn a_chain_is_a_straight_line_and_nothing_is_nothing() {
        let layout = layered(&[50.0, 90.0, 70.0], 40.0, &[(0, 1), (1, 2)]);
        assert!(layout.centres.iter().all(|c| c.0 == layout.centres[0].0));
        assert_eq!(layered(&[], 40.0, &[]).height, 0.0);
    }

    #[test]
    fn two_chains_do_not_cross() {
        let layout = layered(&[50.0; 4], 40.0, &[(0, 3), (1, 2)]);
        let x = |n: usize| layout.centres[n].0;
        assert_eq!(x(0) < x(1), x(3) < x(2));
    }
}
