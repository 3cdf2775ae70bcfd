//! Chooses the flags and barriers of each region, inner regions first.

use super::access::{Around, Conflict, Work};
use super::built::{Built, build};
use super::graph::{FAR, Graph, Node, keeps_order};
use super::region::{Flag, Kind, Pace, Point, Rank, Region};
use super::thrift::{Thrift, Thrifts};
use crate::hash::HashSet;
use std::collections::{BTreeMap, BTreeSet};
use tilewright_ir::kernel::{Kernel, Pipe};

pub(super) struct Planner<'a> {
    pub works: &'a [Work<'a>],
    pub trips: &'a [usize],
    grid: Vec<usize>,
    thrift: &'a Thrifts,
    /// Event ids of a pair of pipes.
    event_ids: usize,
    /// Pairs of instructions whose equal slots a token keeps apart, however often their loop runs.
    covered: BTreeSet<(usize, usize)>,
}

/// An ordering that the program needs.
struct Need {
    from: usize,
    to: usize,
    from_item: usize,
    to_item: usize,
    conflict: Conflict,
}

/// Flags, or barriers: all of a region, and the edge that each is in its graph.
struct Orders<T> {
    all: for<'r> fn(&'r mut Region<'_>) -> &'r mut Vec<T>,
    edges: fn(&Built) -> &[(Node, Node)],
}

/// How the needs of one source are met.
enum Met {
    /// By ways over these, of what could be taken away.
    By(BTreeSet<usize>),
    /// Not by ways alone.
    Unknown,
    Not,
}

impl<'a> Planner<'a> {
    pub fn new(
        kernel: &Kernel,
        works: &'a [Work<'a>],
        trips: &'a [usize],
        thrift: &'a Thrifts,
        event_ids: usize,
    ) -> Self {
        Planner {
            works,
            trips,
            grid: kernel.launch.grid.iter().map(|a| a.count).collect(),
            thrift,
            event_ids,
            covered: BTreeSet::new(),
        }
    }

    pub fn plan(&mut self, region: &mut Region) {
        self.decide(region);
    }

    /// Plans a region and what is in it, and returns its graph.
    fn decide(&mut self, region: &mut Region) -> Graph {
        region.flags.clear();
        region.barriers.clear();
        for item in &mut region.items {
            match &mut item.kind {
                Kind::Loop { region, sealed, .. } => {
                    let trips = region.own.map_or(1, |own| own.1);
                    *sealed = Some(self.decide(region).seal(trips));
                }
                Kind::If {
                    then, otherwise, ..
                } => {
                    self.decide(then);
                    self.decide(otherwise);
                }
                Kind::Instr(_) | Kind::Idle(_) => {}
            }
        }
        let needs = self.needs(region);
        let (own, cross): (Vec<_>, Vec<_>) = needs
            .into_iter()
            .partition(|n| self.works[n.from].pipe == self.works[n.to].pipe);
        self.propose(region, &cross);
        let decisive = self.decisive(region, &cross);
        self.prune(region, &decisive, |_, _| true);
        self.throttle(region);
        self.prune(region, &decisive, |region, built| {
            self.missing(region, built).is_none()
        });
        self.barriers(region, &own);
        let built = build(region, self.works);
        self.pace(region, &built);
        self.cover(region, &built, own.iter().chain(&cross));
        self.color(region, &built);
        built.graph
    }

    fn needs(&self, region: &Region) -> Vec<Need> {
        let around = Around {
            outer: &region.outer,
            own: region.own,
            trips: self.trips,
            grid: &self.grid,
            repeated: region.repeated,
            far: self.event_ids,
        };
        let item_of: Vec<usize> = region
            .items
            .iter()
            .enumerate()
            .flat_map(|(i, item)| item.works.clone().map(move |_| i))
            .collect();
        let mut needs = vec![];
        for from in region.works.clone() {
            for to in region.works.clone() {
                let (x, y) = (&self.works[from], &self.works[to]);
                if x.pipe == y.pipe && keeps_order(x.pipe) {
                    continue;
                }
                let (i, j) = (
                    item_of[from - region.works.start],
                    item_of[to - region.works.start],
                );
                let conflict = if i < j && x.same_iteration(y, &around) {
                    Some(Conflict {
                        distance: 0,
                        slotwise: None,
                    })
                } else {
                    x.later_iteration(y, &around)
                };
                let Some(mut conflict) = conflict else {
                    continue;
                };
                let equal_slots = conflict.slotwise == Some(conflict.distance);
                if region.branch && conflict.distance > 0 && !equal_slots {
                    // Nobody knows how many of the iterations between take the branch.
                    conflict = Conflict {
                        distance: 1,
                        slotwise: None,
                    };
                }
                if conflict.distance > 0 && i == j && self.covered.contains(&(from, to)) {
                    continue;
                }
                needs.push(Need {
                    from,
                    to,
                    from_item: i,
                    to_item: j,
                    conflict,
                });
            }
        }
        needs
    }

    /// The needs without those that follow from others. Starts of a pipe follow starts and ends follow ends, so a need follows
    /// from one of an equal or later instruction before an equal or earlier one of the same pipes, at no greater distance.
    fn decisive<'n>(&self, region: &Region, needs: &'n [Need]) -> Vec<&'n Need> {
        // In a branch some needs are met by what is no way in the graph.
        if region.branch {
            return needs.iter().collect();
        }
        // By pipes, needs of later instructions: what they end before, and at what distance.
        let mut later: BTreeMap<(Pipe, Pipe), Vec<(usize, usize)>> = BTreeMap::new();
        let mut out = vec![];
        for source in needs.chunk_by(|a, b| a.from == b.from).rev() {
            let mut source: Vec<&Need> = source.iter().collect();
            source.sort_by_key(|n| (n.to, n.conflict.distance));
            for need in source {
                let pipes = (self.works[need.from].pipe, self.works[need.to].pipe);
                let (to, distance) = (need.to, need.conflict.distance);
                let known = later.entry(pipes).or_default();
                if !known.iter().any(|(t, d)| *t <= to && *d <= distance) {
                    known.retain(|(t, d)| *t < to || *d < distance);
                    known.push((to, distance));
                    out.push(need);
                }
            }
        }
        out.reverse();
        out
    }

    fn thrift(&self, src: Pipe, dst: Pipe) -> Thrift {
        Thrift::LADDER[self.thrift[src as usize][dst as usize]]
    }

    /// Ids that a token rotates through at most. Flags of the other direction that it paces take as many.
    fn width(&self, src: Pipe, dst: Pipe) -> usize {
        let (own, back) = (self.thrift(src, dst), self.thrift(dst, src));
        own.width.min(back.width)
    }

    /// A flag for every need, those with the same producer or consumer joined.
    fn propose(&self, region: &mut Region, needs: &[Need]) {
        // The last producer before each consumer.
        let mut forward: BTreeMap<(usize, Pipe, Pipe), usize> = BTreeMap::new();
        // The last reader for each writer that comes round again, then the first writer for each reader.
        let mut readers: BTreeMap<(Pipe, Pipe, usize, usize), usize> = BTreeMap::new();
        for need in needs {
            let (p, q) = (self.works[need.from].pipe, self.works[need.to].pipe);
            let (i, j) = (need.from_item, need.to_item);
            if i < j {
                // A dependence on a later iteration only, in program order: that on the same one is stronger.
                let last = forward.entry((j, p, q)).or_insert(i);
                *last = (*last).max(i);
            } else {
                let width = need.conflict.distance.min(self.width(p, q));
                let last = readers.entry((p, q, width, j)).or_insert(i);
                *last = (*last).max(i);
            }
        }
        let mut writers: BTreeMap<(Pipe, Pipe, usize, usize), usize> = BTreeMap::new();
        for (&(p, q, width, j), &i) in &readers {
            let first = writers.entry((p, q, width, i)).or_insert(j);
            *first = (*first).min(j);
        }
        let mut tokens: Vec<(Pipe, Pipe, usize, usize, usize)> = vec![];
        for (&(p, q, width, i), &j) in &writers {
            // With more than one slot, waiting for all tiles of the iteration at once costs nothing.
            let plain = |k: usize| !matches!(region.items[k].kind, Kind::Loop { .. });
            let thrifty = self.thrift(p, q).merged;
            let same = tokens.iter_mut().find(|t| {
                (t.0, t.1) == (p, q)
                    && (thrifty
                        || t.2 == width && width > 1 && [t.3, t.4, i, j].into_iter().all(plain))
            });
            match same {
                Some(t) => (t.2, t.3, t.4) = (t.2.min(width), t.3.max(i), t.4.min(j)),
                None => tokens.push((p, q, width, i, j)),
            }
        }
        for ((j, p, q), i) in forward {
            let (set, wait) = (after(i), before(j));
            let merged = self.thrift(p, q).merged;
            let open = region
                .flags
                .iter_mut()
                .find(|f| merged && (f.src, f.dst) == (p, q) && i < f.wait.gap && f.set.gap <= j);
            match open {
                Some(f) => (f.set.gap, f.wait.gap) = (f.set.gap.max(i + 1), f.wait.gap.min(j)),
                None => region.flags.push(Flag {
                    src: p,
                    dst: q,
                    set,
                    wait,
                    token: None,
                    pace: Pace::None,
                }),
            }
        }
        region
            .flags
            .extend(tokens.into_iter().map(|(p, q, width, i, j)| Flag {
                src: p,
                dst: q,
                set: after(i),
                wait: before(j),
                token: Some(width),
                pace: Pace::None,
            }));
    }

    /// Takes away, one after the other, the flags without which all needs are met and the region is still `right`; the ones that
    /// reach farthest first.
    fn prune(&self, region: &mut Region, needs: &[&Need], right: impl Fn(&Region, &Built) -> bool) {
        let mut order: Vec<usize> = (0..region.flags.len()).collect();
        order.sort_by_key(|&i| {
            let f = &region.flags[i];
            let reach = f.wait.gap.abs_diff(f.set.gap);
            (f.token.is_some(), std::cmp::Reverse(reach), i)
        });
        let flags = Orders {
            all: |r| &mut r.flags,
            edges: |b| &b.flags,
        };
        self.thin(region, needs, &order, flags, right);
    }

    /// Takes away, in an order, what is not needed of all that orders something in a region by an edge each.
    ///
    /// Without such an edge the graph still has every way that is not over it, so only those needs are looked at again whose
    /// ways are.
    fn thin<T>(
        &self,
        region: &mut Region,
        needs: &[&Need],
        order: &[usize],
        Orders { all, edges }: Orders<T>,
        right: impl Fn(&Region, &Built) -> bool,
    ) {
        // The places at which those of `order` stand now, and those that stand there.
        let mut places: Vec<usize> = (0..order.len()).collect();
        let mut names = places.clone();
        let met = |region: &Region, built: &Built, names: &[usize], needs: &[&Need]| match self
            .ways(region, built, needs)
        {
            Ok(Some(ways)) => {
                let ways: HashSet<(Node, Node)> = ways.into_iter().collect();
                let edges = edges(built);
                let used = edges.iter().zip(names).filter(|(e, _)| ways.contains(e));
                Met::By(used.map(|(_, name)| *name).collect())
            }
            Ok(None) => Met::Unknown,
            Err(_) => Met::Not,
        };
        let built = build(region, self.works);
        let mut sources: Vec<(&[&Need], Met)> = needs
            .chunk_by(|a, b| a.from == b.from)
            .map(|needs| (needs, met(region, &built, &names, needs)))
            .collect();
        for &i in order {
            let taken = all(region).remove(places[i]);
            names.remove(places[i]);
            let built = build(region, self.works);
            let concerned = (sources.iter().enumerate()).filter(|(_, (_, met))| match met {
                Met::By(used) => used.contains(&i),
                Met::Unknown | Met::Not => true,
            });
            let again = concerned.map(|(s, (needs, _))| match met(region, &built, &names, needs) {
                Met::Not => None,
                met => Some((s, met)),
            });
            let again: Option<Vec<(usize, Met)>> = again.collect();
            match again.filter(|_| right(region, &built)) {
                Some(again) => {
                    let later = places[i..].iter_mut();
                    later.for_each(|p| *p = p.saturating_sub(1));
                    for (s, met) in again {
                        sources[s].1 = met;
                    }
                }
                None => {
                    all(region).insert(places[i], taken);
                    names.insert(places[i], i);
                }
            }
        }
    }

    /// Adds what keeps an id from being set again before its wait.
    fn throttle(&self, region: &mut Region) {
        loop {
            let built = build(region, self.works);
            let Some(flag) = self.missing(region, &built) else {
                return;
            };
            region.flags.push(flag);
        }
    }

    /// A flag without which some id may be set too early.
    fn missing(&self, region: &Region, built: &Built) -> Option<Flag> {
        for (i, flag) in region.flags.iter().enumerate() {
            if flag.token.is_some() {
                if !built.passed(i, i) {
                    return Some(answer(flag, flag));
                }
            } else if region.recurs() && built.pace_of(region, i) == Pace::None {
                return Some(self.pacer(region, flag));
            }
        }
        self.chain(region)
            .into_iter()
            .find(|&(a, b)| !built.passed(a, b))
            .map(|(a, b)| answer(&region.flags[a], &region.flags[b]))
    }

    /// A token that lets a flag's source run ahead of its wait by the depth of the loop.
    fn pacer(&self, region: &Region, flag: &Flag) -> Flag {
        let most = self.width(flag.dst, flag.src).min(self.event_ids);
        let width = region.rotate.map_or(1, |(_, depth)| depth.min(most));
        let set = match flag.wait.rank {
            Rank::Answer => flag.wait.gap,
            _ => flag.wait.gap + 1,
        };
        let wait = match flag.set.rank {
            Rank::Passed => flag.set.gap,
            _ => flag.set.gap.saturating_sub(1),
        };
        Flag {
            src: flag.dst,
            dst: flag.src,
            set: Point {
                gap: set,
                rank: Rank::Set,
            },
            wait: before(wait),
            token: Some(width),
            pace: Pace::None,
        }
    }

    /// Flags that must follow each other because ids are short: the wait of the first before the set of the second.
    fn chain(&self, region: &Region) -> Vec<(usize, usize)> {
        let mut order: Vec<usize> = (0..region.flags.len())
            .filter(|&i| region.flags[i].token.is_none())
            .collect();
        order.sort_by_key(|&i| {
            let f = &region.flags[i];
            (f.src, f.dst, f.set, f.wait)
        });
        let pair = |i: usize| (region.flags[i].src, region.flags[i].dst);
        let mut follow = vec![];
        for flags in order.chunk_by(|&a, &b| pair(a) == pair(b)) {
            let (src, dst) = pair(flags[0]);
            let ring = self.thrift(src, dst).ring;
            let later = flags.iter().skip(ring);
            let pairs = flags.iter().zip(later).map(|(&a, &b)| (a, b));
            follow.extend(pairs.filter(|&(a, b)| region.flags[a].wait < region.flags[b].set));
        }
        follow
    }

    fn pace(&self, region: &mut Region, built: &Built) {
        if region.recurs() {
            for i in 0..region.flags.len() {
                region.flags[i].pace = built.pace_of(region, i);
            }
        }
    }

    /// The edges by which the needs of one source are met, or the place of one that is not. None where one is met by what no
    /// edge tells.
    fn ways(
        &self,
        region: &Region,
        built: &Built,
        needs: &[&Need],
    ) -> Result<Option<Vec<(Node, Node)>>, usize> {
        let wanted = |n: &&Need| {
            let bound = match region.branch {
                true => n.conflict.distance.min(1),
                false => n.conflict.distance,
            };
            let target = built.graph.first[n.to - region.works.start].0;
            (target, u32::try_from(bound).unwrap_or(FAR))
        };
        let wanted: Vec<(Node, u32)> = needs.iter().map(wanted).collect();
        let from = built.graph.last[needs[0].from - region.works.start].1;
        let mut at = 0;
        loop {
            match built.graph.ways(from, &wanted[at..]) {
                Ok(edges) => return Ok((at == 0).then_some(edges)),
                Err(far) if region.branch && kept(region, built, needs[at + far]) => at += far + 1,
                Err(far) => return Err(at + far),
            }
        }
    }

    fn met(&self, region: &Region, built: &Built, need: &Need) -> bool {
        self.ways(region, built, &[need]).is_ok()
    }

    /// Barriers for needs within a pipe: each as late as it may stand, so that it serves all earlier ones.
    fn barriers(&self, region: &mut Region, needs: &[Need]) {
        let mut order = self.decisive(region, needs);
        order.sort_by_key(|n| (n.conflict.distance > 0, n.to_item, n.from));
        // One barrier before a conditional serves both branches.
        order.retain(|n| !region.branch || n.conflict.distance == 0);
        let mut built = build(region, self.works);
        for need in &order {
            if !self.met(region, &built, need) {
                region
                    .barriers
                    .push((need.to_item, self.works[need.to].pipe));
                built = build(region, self.works);
            }
        }
        order.sort_by_key(|n| n.from);
        region.barriers.sort();
        region.barriers.dedup();
        let places: Vec<usize> = (0..region.barriers.len()).collect();
        let barriers = Orders {
            all: |r| &mut r.barriers,
            edges: |b| &b.barriers,
        };
        self.thin(region, &order, &places, barriers, |_, _| true);
    }

    /// Notes the needs that are met however often, and with whatever left out, the region runs again.
    fn cover<'n>(&mut self, region: &Region, built: &Built, needs: impl Iterator<Item = &'n Need>) {
        for need in needs {
            let once_and_again = match region.branch {
                true => self.met(region, built, need),
                false => kept(region, built, need),
            };
            if once_and_again {
                self.covered.insert((need.from, need.to));
            }
        }
    }

    /// Numbers flags so that those of one number and one token come after each other, wait before set.
    fn color(&self, region: &mut Region, built: &Built) {
        region.colors = vec![0; region.flags.len()];
        let mut order: Vec<usize> = (0..region.flags.len())
            .filter(|&i| region.flags[i].token.is_none())
            .collect();
        order.sort_by_key(|&i| (region.flags[i].set, region.flags[i].wait, i));
        // The last flag of each color, by pair of pipes and token.
        let mut last: BTreeMap<(Pipe, Pipe, Pace), Vec<usize>> = BTreeMap::new();
        for i in order {
            let flag = &region.flags[i];
            let colors = last.entry((flag.src, flag.dst, flag.pace)).or_default();
            let free = colors.iter().position(|&other| built.passed(other, i));
            region.colors[i] = free.unwrap_or(colors.len());
            match free {
                Some(c) => colors[c] = i,
                None => colors.push(i),
            }
        }
    }
}

/// A flag that tells, before the set of `second`, that the wait of `first` has passed.
fn answer(first: &Flag, second: &Flag) -> Flag {
    Flag {
        src: first.dst,
        dst: second.src,
        set: Point {
            gap: first.wait.gap,
            rank: Rank::Passed,
        },
        wait: Point {
            gap: second.set.gap,
            rank: Rank::Answer,
        },
        token: None,
        pace: Pace::None,
    }
}

fn after(item: usize) -> Point {
    Point {
        gap: item + 1,
        rank: Rank::Set,
    }
}

fn before(item: usize) -> Point {
    Point {
        gap: item,
        rank: Rank::Wait,
    }
}

/// Whether a token with an id for each slot stands between two users of equal slots.
fn kept(region: &Region, built: &Built, need: &Need) -> bool {
    let Some(slots) = need.conflict.slotwise else {
        return false;
    };
    let end = built.graph.last[need.from - region.works.start].1;
    let start = built.graph.first[need.to - region.works.start].0;
    let from_end = built.graph.from(end);
    let flags = region.flags.iter().zip(&built.flags);
    flags
        .filter(|(f, _)| f.token == Some(slots))
        .any(|(_, n)| from_end[n.0 as usize] == 0 && built.graph.from(n.1)[start as usize] == 0)
}
