//! Who waits for whom: a graph of moments, with iteration distances.
//!
//! A node is a moment of one iteration of a region. An edge `u -> v` of distance `d` says that `u` of iteration `n` is
//! over before `v` of iteration `n + d`. The nodes of an instruction are its *start* (all waits before it on its pipe
//! have passed) and its *end* (it and all earlier work of its pipe are complete). Starts follow starts and ends follow
//! ends; only a barrier, or a pipe that keeps its own order, makes a start follow an end.
//!
//! A loop inside a region appears as two copies of its body, the first iteration and the last one.

use tilewright_ir::kernel::Pipe;

pub(super) type Node = u32;
pub(super) const FAR: u32 = u32::MAX;
const PIPES: usize = Pipe::ALL.len();

/// Start and end of a work.
pub(super) type Span = (Node, Node);

/// The part of the graph that one loop contributes to the region around it.
pub(super) struct Sealed {
    nodes: u32,
    edges: Vec<(Node, Node)>,
    entry: [Span; PIPES],
    exit: [Span; PIPES],
    /// The works of the loop, in program order: in the first iteration, and in the last.
    first: Vec<Span>,
    last: Vec<Span>,
    tokens: Vec<Token>,
}

/// Set and wait of a flag that circulates, for the next time that the loop runs.
#[derive(Clone, Copy)]
struct Token {
    pair: (Pipe, Pipe),
    /// How many tokens of the pair are further out. Loops beside each other share the ids of a level.
    level: usize,
    width: usize,
    first: (Node, Node),
    last: (Node, Node),
}

/// A graph under construction, in program order.
pub(super) struct Graph {
    nodes: u32,
    edges: Vec<(Node, Node, u32)>,
    entry: [Span; PIPES],
    tail: [Span; PIPES],
    pub first: Vec<Span>,
    pub last: Vec<Span>,
    tokens: Vec<Token>,
    /// How many of `tokens` belong to loops inside the region; those of the region itself come after them.
    inner: usize,
    /// Edges by source: those of `u` begin at `starts[u]`.
    adjacent: Vec<(Node, u32)>,
    starts: Vec<u32>,
    /// Whether all edges without distance lead to later nodes.
    ordered: bool,
}

/// Pipes on which an instruction sees the results of earlier ones without a barrier. Only the scalar unit surely runs one
/// instruction after the other; the public compiler puts a barrier before each accumulating product, too.
pub(super) fn keeps_order(pipe: Pipe) -> bool {
    pipe == Pipe::S
}

impl Graph {
    pub fn new() -> Self {
        let mut graph = Graph {
            nodes: 0,
            edges: vec![],
            entry: [(0, 0); PIPES],
            tail: [(0, 0); PIPES],
            first: vec![],
            last: vec![],
            tokens: vec![],
            inner: 0,
            adjacent: vec![],
            starts: vec![],
            ordered: false,
        };
        for p in 0..PIPES {
            graph.entry[p] = (graph.node(), graph.node());
        }
        graph.tail = graph.entry;
        graph
    }

    fn node(&mut self) -> Node {
        self.nodes += 1;
        self.nodes - 1
    }

    pub fn edge(&mut self, from: Node, to: Node, distance: u32) {
        self.edges.push((from, to, distance));
    }

    /// An instruction, or all that an opaque item does on one pipe.
    pub fn work(&mut self, pipe: Pipe) -> Span {
        let (start, end) = (self.node(), self.node());
        let tail = self.tail[pipe as usize];
        self.edge(tail.0, start, 0);
        self.edge(tail.1, end, 0);
        self.edge(start, end, 0);
        if keeps_order(pipe) {
            self.edge(tail.1, start, 0);
        }
        self.tail[pipe as usize] = (start, end);
        (start, end)
    }

    pub fn record(&mut self, span: Span) {
        self.first.push(span);
        self.last.push(span);
    }

    /// A set fires when all earlier work and waits of its pipe are over.
    pub fn set(&mut self, pipe: Pipe) -> Node {
        let node = self.node();
        let tail = self.tail[pipe as usize];
        self.edge(tail.0, node, 0);
        self.edge(tail.1, node, 0);
        node
    }

    pub fn wait(&mut self, pipe: Pipe) -> Node {
        let node = self.node();
        self.edge(self.tail[pipe as usize].0, node, 0);
        self.tail[pipe as usize].0 = node;
        node
    }

    /// Returns the edge from all work before.
    pub fn barrier(&mut self, pipe: Pipe) -> (Node, Node) {
        let work = self.tail[pipe as usize].1;
        let node = self.set(pipe);
        self.tail[pipe as usize].0 = node;
        (work, node)
    }

    pub fn token(&mut self, pair: (Pipe, Pipe), width: usize, set: Node, wait: Node) {
        let own = &self.tokens[self.inner..];
        self.tokens.push(Token {
            pair,
            level: own.iter().filter(|t| t.pair == pair).count(),
            width,
            first: (set, wait),
            last: (set, wait),
        });
    }

    /// The last start and the last end of a pipe so far: all that the pipe sets later comes after them.
    pub fn tail(&self, pipe: Pipe) -> Span {
        self.tail[pipe as usize]
    }

    /// What a pipe did before the region: its starts and waits, and its ends.
    pub fn entry(&self, pipe: Pipe) -> Span {
        self.entry[pipe as usize]
    }

    /// A whole loop.
    pub fn embed(&mut self, inner: &Sealed) {
        let base = self.nodes;
        self.nodes += inner.nodes;
        let shift = |s: Span| (s.0 + base, s.1 + base);
        self.edges
            .extend(inner.edges.iter().map(|&(u, v)| (u + base, v + base, 0)));
        for p in 0..PIPES {
            let entry = shift(inner.entry[p]);
            self.edge(self.tail[p].0, entry.0, 0);
            self.edge(self.tail[p].1, entry.1, 0);
            self.tail[p] = shift(inner.exit[p]);
        }
        self.first.extend(inner.first.iter().map(|&s| shift(s)));
        self.last.extend(inner.last.iter().map(|&s| shift(s)));
        self.tokens.extend(inner.tokens.iter().map(|t| Token {
            first: shift(t.first),
            last: shift(t.last),
            ..*t
        }));
        self.inner = self.tokens.len();
    }

    /// Ends construction; in a loop that runs more than once the ends meet the beginnings.
    pub fn finish(&mut self, trips: usize) {
        let (inner, own) = self.tokens.split_at_mut(self.inner);
        for t in &mut *inner {
            t.level += own.iter().filter(|o| o.pair == t.pair).count();
        }
        // Loops beside each other that pass on one id.
        for (i, t) in inner.iter().enumerate() {
            for next in &inner[i + 1..] {
                if (t.pair, t.level, t.width, 1) == (next.pair, next.level, 1, next.width) {
                    self.edges.push((t.last.0, next.first.1, 0));
                }
            }
        }
        if trips > 1 {
            for t in &*inner {
                if t.width == 1 {
                    self.edges.push((t.last.0, t.first.1, 1));
                } else {
                    self.edges.push((t.last.0, t.last.1, 1));
                    self.edges.push((t.first.0, t.first.1, 1));
                }
            }
            for p in 0..PIPES {
                self.edge(self.tail[p].0, self.entry[p].0, 1);
                self.edge(self.tail[p].1, self.entry[p].1, 1);
            }
        }
        self.ordered = self.edges.iter().all(|&(u, v, d)| d > 0 || u < v);
        self.starts = vec![0; self.nodes as usize + 1];
        for &(u, _, _) in &self.edges {
            self.starts[u as usize + 1] += 1;
        }
        for u in 0..self.nodes as usize {
            self.starts[u + 1] += self.starts[u];
        }
        let mut next = self.starts.clone();
        self.adjacent = vec![(0, 0); self.edges.len()];
        for &(u, v, d) in &self.edges {
            self.adjacent[next[u as usize] as usize] = (v, d);
            next[u as usize] += 1;
        }
    }

    /// The least distance from a node to each other.
    pub fn from(&self, source: Node) -> Vec<u32> {
        self.near(source, &[]).0
    }

    /// The edges of ways from a node to others, each within its bound.
    ///
    /// # Errors
    ///
    /// The place of the first that is farther away.
    pub fn ways(&self, source: Node, wanted: &[(Node, u32)]) -> Result<Vec<(Node, Node)>, usize> {
        let (least, before) = self.near(source, wanted);
        let far = |w: &(Node, u32)| least[w.0 as usize] > w.1;
        if let Some(far) = wanted.iter().position(far) {
            return Err(far);
        }
        let mut seen = vec![false; self.nodes as usize];
        let mut edges = vec![];
        for &(mut v, _) in wanted {
            // A node that is wanted of itself needs no way.
            while v != source && !std::mem::replace(&mut seen[v as usize], true) {
                edges.push((before[v as usize], v));
                v = before[v as usize];
            }
        }
        Ok(edges)
    }

    /// The least distance from a node to each other, and from where its way comes there. If some are wanted, it ends when all
    /// of them turned out to be within their bounds, and what is beyond every bound may be FAR.
    fn near(&self, source: Node, wanted: &[(Node, u32)]) -> (Vec<u32>, Vec<Node>) {
        let all = wanted.is_empty();
        let most = wanted.iter().map(|w| w.1).max().unwrap_or(FAR);
        // Without distance, edges lead from earlier to later nodes, so that nothing comes back from behind the last one.
        let last = match most == 0 && self.ordered {
            true => wanted.iter().map(|w| w.0).max().unwrap_or(FAR),
            false => FAR,
        };
        let nodes = self.nodes as usize;
        let (mut least, mut before) = (vec![FAR; nodes], vec![source; nodes]);
        // Of each node one more than its bound, and how many are wanted still.
        let (mut bounds, mut left) = (vec![0; if all { 0 } else { nodes }], 0);
        for &(node, bound) in wanted {
            let slot = &mut bounds[node as usize];
            left += usize::from(*slot == 0);
            *slot = match *slot {
                0 => bound.saturating_add(1),
                other => other.min(bound.saturating_add(1)),
            };
        }
        // Distances are few and small: one list for each, nearest first.
        let mut at = vec![vec![source]];
        least[source as usize] = 0;
        let mut d = 0;
        while d < at.len() {
            while let Some(u) = at[d].pop() {
                if least[u as usize] < d as u32 {
                    continue;
                }
                if !all && (d as u32) < std::mem::take(&mut bounds[u as usize]) {
                    left -= 1;
                    if left == 0 {
                        return (least, before);
                    }
                }
                let next = self.starts[u as usize] as usize..self.starts[u as usize + 1] as usize;
                for &(v, w) in &self.adjacent[next] {
                    let through = d + w as usize;
                    if v <= last && through as u32 <= most && (through as u32) < least[v as usize] {
                        least[v as usize] = through as u32;
                        before[v as usize] = u;
                        if through >= at.len() {
                            at.resize(through + 1, vec![]);
                        }
                        at[through].push(v);
                    }
                }
            }
            d += 1;
        }
        (least, before)
    }

    /// The loop whose body this is, as part of the region around it.
    pub fn seal(self, trips: usize) -> Sealed {
        let n = self.nodes;
        let mut edges: Vec<(Node, Node)> = self
            .edges
            .iter()
            .filter(|e| e.2 == 0)
            .map(|e| (e.0, e.1))
            .collect();
        let copies = trips > 1;
        let shift = |s: Span| if copies { (s.0 + n, s.1 + n) } else { s };
        if copies {
            let body = edges.clone();
            let mut before = vec![vec![]; n as usize];
            for &(u, v) in &body {
                before[v as usize].push(u);
            }
            edges.extend(body.iter().map(|&(u, v)| (u + n, v + n)));
            let reach = u32::try_from(trips - 1).unwrap_or(FAR - 1);
            for u in 0..n {
                let least = self.from(u);
                let near = |v: Node| least[v as usize] <= reach;
                for v in (0..n).filter(|&v| near(v)) {
                    // An earlier node of the last iteration brings the later ones along.
                    if !before[v as usize].iter().any(|&w| near(w)) {
                        edges.push((u, v + n));
                    }
                }
            }
        }
        Sealed {
            nodes: if copies { 2 * n } else { n },
            edges,
            entry: self.entry,
            exit: self.tail.map(shift),
            first: self.first,
            last: self.last.into_iter().map(shift).collect(),
            tokens: self
                .tokens
                .iter()
                .map(|t| Token {
                    last: shift(t.last),
                    ..*t
                })
                .collect(),
        }
    }
}
