//! What to try next.

use super::random::Random;
use super::space::{Point, Space};
use super::surrogate::{Boosted, Surrogate};
use std::collections::HashSet;

/// A trial that is over.
#[derive(Debug, Clone)]
pub struct Tried {
    /// Where it is in the space.
    pub point: Point,
    /// Of the program at the point.
    pub hash: String,
    /// What a surrogate learns from.
    pub features: Vec<f64>,
    /// The median in us; none where the trial failed.
    pub us: Option<f64>,
}

/// All trials of a kernel so far, in order, no program twice.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// All trials, in their order.
    pub tried: Vec<Tried>,
    /// Hashes of the programs that were tried.
    pub programs: HashSet<String>,
}

impl History {
    /// Takes up what came of a point.
    pub fn add(&mut self, tried: Tried) {
        self.programs.insert(tried.hash.clone());
        self.tried.push(tried);
    }

    /// Points by their times, best first.
    pub fn best(&self, count: usize) -> Vec<&Point> {
        let timed = self.tried.iter().filter_map(|t| Some((t.us?, &t.point)));
        let mut timed: Vec<(f64, &Point)> = timed.collect();
        timed.sort_by(|a, b| a.0.total_cmp(&b.0));
        timed.into_iter().take(count).map(|(_, p)| p).collect()
    }
}

/// Proposes points. What it proposes has a program, and none that was tried.
pub trait Proposer {
    /// At most `count` points; fewer, or none, where it finds no more.
    fn propose(
        &mut self,
        history: &History,
        space: &dyn Space,
        count: usize,
        random: &mut Random,
    ) -> Vec<Point>;
}

/// Draws after which a proposer has seen what there is to see, for each point that is asked for.
const DRAWS: usize = 64;

/// Keeps what has a program that was neither tried nor proposed.
struct Fresh<'s> {
    space: &'s dyn Space,
    programs: HashSet<String>,
    points: HashSet<Point>,
    out: Vec<Point>,
}

impl<'s> Fresh<'s> {
    fn new(space: &'s dyn Space, history: &History) -> Self {
        Fresh {
            space,
            programs: history.programs.clone(),
            points: HashSet::new(),
            out: vec![],
        }
    }

    fn offer(&mut self, point: Point) {
        if !self.points.insert(point.clone()) {
            return;
        }
        if let Ok(built) = self.space.build(&point)
            && self.programs.insert(built.hash.clone())
        {
            self.out.push(point);
        }
    }

    /// Offers points until there are `count`, or so many were drawn.
    fn draw(&mut self, count: usize, draws: usize, mut next: impl FnMut(usize) -> Point) {
        for draw in 0..draws {
            if self.out.len() >= count {
                break;
            }
            self.offer(next(draw));
        }
    }
}

fn anywhere(space: &dyn Space, random: &mut Random) -> Point {
    let of = space.ranges().iter();
    Point(
        of.map(|r| random.below(r.values.len() + 1) as u16)
            .collect(),
    )
}

/// Any point, each as likely as the others.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anywhere;

impl Proposer for Anywhere {
    fn propose(
        &mut self,
        history: &History,
        space: &dyn Space,
        count: usize,
        random: &mut Random,
    ) -> Vec<Point> {
        let mut new = Fresh::new(space, history);
        new.draw(count, count * DRAWS, |_| anywhere(space, random));
        new.out
    }
}

/// Children of the best so far: neighbours, and mixtures of two.
#[derive(Debug, Clone, Copy)]
pub struct Evolution {
    /// How many of the best are changed to get new ones.
    pub parents: usize,
}

impl Default for Evolution {
    fn default() -> Self {
        Evolution { parents: 8 }
    }
}

impl Evolution {
    fn child(self, parents: &[&Point], space: &dyn Space, random: &mut Random) -> Point {
        if parents.is_empty() || random.unit() < 0.1 {
            return anywhere(space, random);
        }
        // The better a parent, the more children.
        let pick = |random: &mut Random| {
            parents[random.below(parents.len()).min(random.below(parents.len()))]
        };
        let mut child = pick(random).clone();
        if random.unit() < 0.4 {
            let other = pick(random);
            for (mine, theirs) in child.0.iter_mut().zip(&other.0) {
                if random.unit() < 0.5 {
                    *mine = *theirs;
                }
            }
        }
        for _ in 0..1 + random.below(2) {
            let near = space.neighbours(&child);
            if let Some(next) = near.get(random.below(near.len())) {
                child = next.clone();
            }
        }
        child
    }
}

impl Proposer for Evolution {
    fn propose(
        &mut self,
        history: &History,
        space: &dyn Space,
        count: usize,
        random: &mut Random,
    ) -> Vec<Point> {
        let parents = history.best(self.parents);
        let mut new = Fresh::new(space, history);
        new.draw(count, count * DRAWS, |_| {
            self.child(&parents, space, random)
        });
        new.out
    }
}

/// Trials before which half of what is proposed explores, and the share of it after that: one in so many.
const EARLY: usize = 16;
const EXPLORED: usize = 8;

/// Values of parameters that occur in points.
fn values<'p>(points: impl Iterator<Item = &'p Point>) -> HashSet<(usize, u16)> {
    points
        .flat_map(|p| p.0.iter().copied().enumerate())
        .collect()
}

/// Looks at many children and takes those that a surrogate expects most of: the fastest that it may be, with what is uncertain in
/// favour.
pub struct Guided<S = Boosted> {
    /// What expects times.
    pub surrogate: S,
    /// What makes points to choose from.
    pub evolution: Evolution,
    /// Points that are looked at for one that is proposed.
    pub pool: usize,
    /// How many spreads a point may be better than expected.
    pub hope: f64,
}

impl Guided {
    /// A proposer whose choices follow from a seed.
    pub fn new(seed: u64) -> Self {
        Guided {
            surrogate: Boosted::new(seed),
            evolution: Evolution::default(),
            pool: 16,
            hope: 1.0,
        }
    }
}

impl<S: Surrogate> Proposer for Guided<S> {
    fn propose(
        &mut self,
        history: &History,
        space: &dyn Space,
        count: usize,
        random: &mut Random,
    ) -> Vec<Point> {
        let timed = history
            .tried
            .iter()
            .filter_map(|t| Some((t.features.clone(), t.us?.ln())));
        let (features, times): (Vec<_>, Vec<_>) = timed.unzip();
        self.surrogate.fit(&features, &times);
        let parents = history.best(self.evolution.parents);
        let mut new = Fresh::new(space, history);
        // All neighbours of the best, so that an end is a local optimum at least.
        if let Some(best) = parents.first() {
            space
                .neighbours(best)
                .into_iter()
                .for_each(|p| new.offer(p));
        }
        let wanted = count * self.pool;
        new.draw(wanted, wanted * 2, |draw| match draw % 4 {
            0 => anywhere(space, random),
            _ => self.evolution.child(&parents, space, random),
        });
        let features: Vec<Vec<f64>> = new
            .out
            .iter()
            .filter_map(|p| Some(space.build(p).ok()?.features.clone()))
            .collect();
        let expected = self.surrogate.expect(&features);
        let mut scored: Vec<(f64, Point)> = expected
            .iter()
            .zip(new.out)
            .map(|(e, point)| (e.mean - self.hope * e.spread, point))
            .collect();
        scored.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut out: Vec<Point> = scored
            .drain(..count.min(scored.len()))
            .map(|s| s.1)
            .collect();
        // Some that nobody expects anything of, at first the half: where the model is wrong, only trials tell.
        let explored = match history.tried.len() < EARLY {
            true => out.len() / 2,
            false => out.len().div_ceil(EXPLORED).min(out.len() / 2),
        };
        let mut seen: HashSet<(usize, u16)> = values(history.tried.iter().map(|t| &t.point));
        for place in (0..out.len()).rev().take(explored) {
            let unseen =
                |(_, p): &(f64, Point)| values(std::iter::once(p)).difference(&seen).count();
            scored.sort_by_key(unseen);
            // Of those with the most values that nobody has tried, any.
            let most = scored.last().map(unseen);
            let first = scored.partition_point(|s| Some(unseen(s)) < most);
            if first < scored.len() {
                let at = first + random.below(scored.len() - first);
                out[place] = scored.swap_remove(at).1;
                seen.extend(values(std::iter::once(&out[place])));
            }
        }
        out
    }
}
