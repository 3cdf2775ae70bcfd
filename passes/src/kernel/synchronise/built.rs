//! A region with its flags, as a graph.

use super::access::Work;
use super::graph::{Graph, Node};
use super::region::{Kind, Pace, Point, Rank, Region};
use tilewright_ir::kernel::Pipe;

/// A region's graph, and in it the sets and waits of its flags, and its barriers.
pub(super) struct Built {
    pub graph: Graph,
    pub flags: Vec<(Node, Node)>,
    /// The edges that only barriers make: from all work before to the barrier.
    pub barriers: Vec<(Node, Node)>,
}

/// Builds the graph of a region whose inner loops are sealed.
pub(super) fn build(region: &Region, works: &[Work]) -> Built {
    let mut graph = Graph::new();
    let mut flags = vec![(0, 0); region.flags.len()];
    let mut barriers = vec![(0, 0); region.barriers.len()];
    // Sets and waits where they stand; those of one place in the order of the flags, the set first.
    let mut places: Vec<(Point, usize, bool)> = (region.flags.iter().enumerate())
        .flat_map(|(i, f)| [(f.set, i, false), (f.wait, i, true)])
        .collect();
    places.sort_unstable();
    let mut places = places.into_iter().peekable();
    for gap in 0..=region.items.len() {
        for rank in [
            Rank::Answer,
            Rank::Set,
            Rank::Wait,
            Rank::Barrier,
            Rank::Passed,
        ] {
            let here = Point { gap, rank };
            if rank == Rank::Barrier {
                let barriers = region.barriers.iter().zip(&mut barriers);
                for (b, edge) in barriers.filter(|(b, _)| b.0 == gap) {
                    *edge = graph.barrier(b.1);
                }
            }
            while let Some((_, i, waits)) = places.next_if(|(at, ..)| *at == here) {
                match waits {
                    false => flags[i].0 = graph.set(region.flags[i].src),
                    true => flags[i].1 = graph.wait(region.flags[i].dst),
                }
            }
        }
        let Some(item) = region.items.get(gap) else {
            break;
        };
        match &item.kind {
            Kind::Instr(_) => {
                let span = graph.work(works[item.works.start].pipe);
                graph.record(span);
            }
            Kind::Loop { sealed, .. } => {
                if let Some(sealed) = sealed {
                    graph.embed(sealed);
                }
            }
            Kind::If { .. } => {
                let mut spans = [None; Pipe::ALL.len()];
                for w in item.works.clone() {
                    let pipe = works[w].pipe;
                    let span = *spans[pipe as usize].get_or_insert_with(|| graph.work(pipe));
                    graph.record(span);
                }
            }
            Kind::Idle(_) => {}
        }
    }
    let trips = region.own.map_or(1, |own| own.1);
    for (flag, &(set, wait)) in region.flags.iter().zip(&flags) {
        match flag.token {
            None => graph.edge(set, wait, 0),
            Some(width) => {
                graph.token((flag.src, flag.dst), width, set, wait);
                // In a branch a rotating token says nothing of the time before this one.
                if trips > 1 && (width == 1 || !region.branch) {
                    graph.edge(set, wait, width as u32);
                }
            }
        }
    }
    graph.finish(trips);
    Built {
        graph,
        flags,
        barriers,
    }
}

impl Built {
    /// Whether the wait of one flag comes before the set of another, in the same iteration.
    pub fn passed(&self, wait: usize, set: usize) -> bool {
        self.graph.from(self.flags[wait].1)[self.flags[set].0 as usize] == 0
    }

    /// What keeps a flag's next set behind its wait; nothing, if it is a token.
    pub fn pace_of(&self, region: &Region, flag: usize) -> Pace {
        let f = &region.flags[flag];
        if f.token.is_some() {
            return Pace::None;
        }
        let from_wait = self.graph.from(self.flags[flag].1);
        let (start, end) = self.graph.tail(f.src);
        if from_wait[start as usize] == 0 || from_wait[end as usize] == 0 {
            return Pace::Source;
        }
        let set = self.flags[flag].0 as usize;
        let (start, end) = self.graph.entry(f.dst);
        if self.graph.from(start)[set] == 0 || self.graph.from(end)[set] == 0 {
            return Pace::Destination;
        }
        (0..region.flags.len())
            .filter(|&t| {
                region.flags[t].token.is_some() && self.passed(flag, t) && self.passed(t, flag)
            })
            .min_by_key(|&t| (region.flags[t].token, t))
            .map_or(Pace::None, Pace::Token)
    }
}
