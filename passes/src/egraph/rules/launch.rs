//! Launches: how blocks reach the cores, and what a block takes.

use super::{Binding, Match, Role, Rule, line, line_if, num};
use crate::numerics::Numerics;

pub fn rules() -> Vec<Rule> {
    let rule = |name, does, why, lines| Rule {
        name,
        role: Role::Choice,
        numerics: Numerics::Bitwise,
        does,
        why,
        lines,
    };
    let per_launch = |left: &str, right: &str, bind: super::Bind| {
        ["parallel", "spmd"]
            .into_iter()
            .map(|k| {
                line_if(
                    format!("(launch.{k} {left})"),
                    format!("(launch.{k} {right})"),
                    bind,
                )
            })
            .collect::<Vec<_>>()
    };
    let disjoint =
        "each block stores its own part of the value, and the parts together are the value";
    vec![
        rule(
            "parallel-to-spmd",
            "starts all blocks with one launch instead of one task a block",
            "the blocks are independent and find their part by their index. The output of an SPMD body is one rectangle a \
             block, so a body that also fills padding stays as it is until the filling is hoisted",
            vec![
                line(
                    "(launch.parallel ?t ?w (rows ?b ?r ?body))",
                    "(launch.spmd ?t ?w (rows ?b ?r ?body))",
                ),
                line(
                    "(launch.parallel ?t ?w (fill ?b ?from ?to ?v))",
                    "(launch.spmd ?t ?w (fill ?b ?from ?to ?v))",
                ),
            ],
        ),
        rule(
            "split-rows",
            "gives a block fewer rows, so that more cores work",
            disjoint,
            [
                per_launch(
                    "?t ?w (rows ?b ?b (cols ?d ?n ?c (tile ?b ?c ?v)))",
                    "?t ?w (rows ?z ?z (cols ?d ?n ?c (tile ?z ?c ?v)))",
                    |m| rows(m, m.below(m.num("?b"), m.num("?t"))),
                ),
                per_launch(
                    "?t ?w (rows ?b ?r ?body)",
                    "?t ?w (rows ?z ?r ?body)",
                    |m| {
                        let r = m.num("?r").max(1);
                        let sizes = m.below(m.num("?b"), m.num("?t"));
                        rows(m, sizes.filter(|z| z % r == 0))
                    },
                ),
            ]
            .into_iter()
            .flatten()
            .collect(),
        ),
        rule(
            "join-rows",
            "gives a block more rows, so that a transfer's and a launch's fixed costs are paid less often",
            disjoint,
            [
                per_launch(
                    "?t ?w (rows ?b ?b (cols ?d ?n ?c (tile ?b ?c ?v)))",
                    "?t ?w (rows ?z ?z (cols ?d ?n ?c (tile ?z ?c ?v)))",
                    |m| {
                        let row = m.num("?c") * m.element("?v");
                        let sizes = m.above(m.num("?b"), m.num("?t"));
                        rows(m, sizes.filter(|z| z * row <= m.limits().ub))
                    },
                ),
                per_launch(
                    "?t ?w (rows ?b ?r ?body)",
                    "?t ?w (rows ?z ?r ?body)",
                    more_rows,
                ),
            ]
            .into_iter()
            .flatten()
            .collect(),
        ),
        rule(
            "rows-in-turn",
            "takes the rows of a block fewer at a time, so that longer pieces of long rows are held on chip",
            "the rows of a block are independent, and each is still taken once",
            per_launch(
                "?t ?w (rows ?b ?r (cols ?d ?n ?c (tile ?r ?c ?v)))",
                "?t ?w (rows ?b ?z (cols ?d ?n ?c (tile ?z ?c ?v)))",
                |m| {
                    let (b, r) = (m.num("?b"), m.num("?r"));
                    let product = m.fixed("?v").is_some_and(|f| f.product);
                    let row = m.num("?w") * m.element("?v").max(4);
                    let long = r * row > m.limits().ub / HELD;
                    let sizes = m.below(r, m.num("?t")).filter(|_| long && !product);
                    let sizes = sizes.filter(|z| b.is_multiple_of(*z));
                    sizes.map(|z| vec![num("?z", z)]).take(1).collect()
                },
            ),
        ),
        rule(
            "join-columns",
            "gives a block more columns, one tile after the other, so that fewer blocks are started",
            disjoint,
            per_launch(
                "?t ?w (rows ?b ?r (cols ?d ?n ?c (tile ?r ?c ?v)))",
                "?t ?w (rows ?b ?r (cols ?d ?z ?c (tile ?r ?c ?v)))",
                |m| {
                    let (n, c) = (m.num("?n"), m.num("?c").max(1));
                    let wider = in_turn(m, n, m.num("?w")).into_iter();
                    let wider = wider.chain(fewer_columns(m));
                    let wider = wider.filter(|_| n.is_multiple_of(c));
                    wider.map(|z| vec![num("?z", z)]).collect()
                },
            ),
        ),
        rule(
            "fan-out-columns",
            "gives a block fewer columns, so that more cores work",
            disjoint,
            per_launch(
                "?t ?w (rows ?b ?r (cols ?d ?n ?c (tile ?r ?c ?v)))",
                "?t ?w (rows ?b ?r (cols ?y ?z ?x (tile ?r ?x ?v)))",
                |m| {
                    let (n, c, d) = (m.num("?n"), m.num("?c"), m.num("?d"));
                    let element = m.element("?v");
                    m.below(n, m.num("?w"))
                        .filter(|z| c > 0 && m.blocks_fit(m.num("?b"), *z))
                        .filter_map(|z| {
                            // The tile stays unless the block is now smaller than it.
                            let x = if c > z { z } else { c };
                            let whole = (z * element).is_multiple_of(m.limits().block);
                            (z % x == 0 && whole && m.aligned(x, z, element)).then(|| {
                                let depth = if z / x >= 2 { d } else { 1 };
                                vec![num("?y", depth), num("?z", z), num("?x", x)]
                            })
                        })
                        .take(1)
                        .collect()
                },
            ),
        ),
    ]
}

/// Sizes of blocks that take tiles of `unit` in turn: as many as leave one or two waves of blocks, or all of `whole`. Nothing where there
/// are not more than two. A product may share its launch with vector cores, which are more: it may have two waves of those, too.
fn in_turn(m: &Match, unit: usize, whole: usize) -> Vec<usize> {
    let (blocks, limits) = (m.blocks(), m.limits());
    let (cores, waves) = match m.is_product() {
        true => (
            limits.cube_cores,
            (2 * limits.cores).div_ceil(limits.cube_cores.max(1)).max(2),
        ),
        false => (limits.cores, 2),
    };
    if blocks <= 2 * cores || unit == 0 {
        return vec![];
    }
    let tiles = whole.div_ceil(unit);
    let enough = |waves: usize| {
        let least = blocks.div_ceil(waves * cores);
        let fits = |k: &usize| !whole.is_multiple_of(unit) || tiles.is_multiple_of(*k);
        (least..=tiles).find(fits).unwrap_or(tiles)
    };
    let mut counts = vec![enough(1), enough(2), enough(waves)];
    counts.dedup();
    counts.retain(|k| *k > 1);
    counts.into_iter().map(|k| (k * unit).min(whole)).collect()
}

/// More rows a block, where it takes all columns: those are taken in turn first.
fn more_rows(m: &Match) -> Vec<Binding> {
    let fixed = m.fixed("?body").filter(|f| f.cols == m.num("?w"));
    let Some(fixed) = fixed else {
        return vec![];
    };
    let sizes = in_turn(m, m.num("?b"), m.num("?t")).into_iter();
    // Starting a block may cost more than its share of little work.
    let sizes = sizes.chain(fewer(m).filter(|_| !fixed.product));
    sizes.flat_map(|z| rows(m, [z].into_iter())).collect()
}

/// The next number of rows a block, of whole trips, that leaves blocks for a part of the cores at least.
fn fewer(m: &Match) -> Option<usize> {
    let (b, t, trip) = (m.num("?b"), m.num("?t"), m.num("?r").max(1));
    let busy = |z: &usize| t.div_ceil(*z) * FEWER >= m.limits().cores;
    let whole = |z: &usize| z.is_multiple_of(trip) && m.in_groups(*z);
    m.above(b, t).find(whole).filter(busy)
}

/// The next number of columns a block of little work that leaves blocks for a part of the cores at least: starting a block may cost
/// more than its share.
fn fewer_columns(m: &Match) -> Option<usize> {
    let (b, n, w) = (m.num("?b").max(1), m.num("?n"), m.num("?w"));
    let busy = |z: &usize| m.num("?t").div_ceil(b) * w.div_ceil(*z) * FEWER >= m.limits().cores;
    let little = |z: &usize| b * z * m.element("?v").max(4) <= m.limits().ub / HELD;
    let whole = |z: &usize| n > 0 && z.is_multiple_of(n);
    m.above(n, w).find(whole).filter(busy).filter(little)
}

/// The first of the rows a block with which the launch stays within the blocks that are worth starting.
fn rows(m: &Match, sizes: impl Iterator<Item = usize>) -> Vec<Binding> {
    let n = m.fixed("?body").map_or(m.num("?n"), |f| f.cols).max(1);
    // Fewer rows than a fractal has cost a product what a fractal costs, and read the right operand once more.
    let least = match m.is_product() {
        true => m.num("?b").min(m.limits().fractal.0),
        false => 1,
    };
    // What has too many blocks comes nearer with fewer.
    let fits = |z: usize| m.blocks_fit(z, n) || z > m.num("?b") && m.in_groups(z);
    sizes
        .filter(|z| *z >= least && fits(*z))
        .map(|z| vec![num("?z", z)])
        .take(1)
        .collect()
}

/// Rows that need less than such a part of the unified buffer are held as they are, with all that is computed of them; what a block
/// computes in less is little.
const HELD: usize = 8;
/// How many times fewer blocks than cores may be worth starting.
const FEWER: usize = 8;
/// How often as many blocks as the machine has cores a launch has at most: the last ones leave cores idle, by an eighth then.
const WAVES: usize = 8;
/// By how much more blocks a launch over groups of rows may have.
const MAX_GROUPS: usize = 2;

impl Match<'_> {
    /// Whether the matched launch computes a product.
    fn is_product(&self) -> bool {
        let of = ["?body", "?v"].iter().find_map(|v| self.fixed(v));
        of.is_some_and(|f| f.product)
    }

    /// How many groups of rows the matched launch is over.
    fn launched_groups(&self) -> usize {
        let groups = ["?body", "?v"].iter().find_map(|v| self.fixed(v));
        groups.map_or(1, |f| f.groups.max(1))
    }

    /// Whether blocks of so many rows each lie in one group.
    fn in_groups(&self, b: usize) -> bool {
        let groups = self.launched_groups();
        b > 0 && (groups == 1 || (self.num("?t") / groups).is_multiple_of(b))
    }

    /// How many blocks the matched launch has.
    fn blocks(&self) -> usize {
        let n = self
            .fixed("?body")
            .map_or(self.num("?n"), |f| f.cols)
            .max(1);
        let b = self.num("?b").max(1);
        self.num("?t").div_ceil(b) * self.num("?w").div_ceil(n)
    }

    /// Whether blocks of b x n of the matched launch are as many as are worth starting.
    fn blocks_fit(&self, b: usize, n: usize) -> bool {
        let (t, w) = (self.num("?t"), self.num("?w"));
        // How many groups have rows is not known.
        n > 0
            && self.in_groups(b)
            && t.div_ceil(b) * w.div_ceil(n)
                <= WAVES * self.limits().cores * self.launched_groups().min(MAX_GROUPS)
    }
}
