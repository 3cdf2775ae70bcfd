//! Loops: how much a trip takes, and how many trips are in flight.

use super::{Bind, Binding, Line, Match, Role, Rule, line_if, num};
use crate::numerics::Numerics;
use tilewright_ir::graph::MAX_PIPELINE_DEPTH;
use tilewright_ir::timing;

/// The loops that accumulate products, up to their depth.
const PRODUCTS: [&str; 3] = ["mm", "mm_parts ?s", "mm_grouped ?g"];

pub fn rules() -> Vec<Rule> {
    let rule = |name, numerics, does, why, lines| Rule {
        name,
        role: Role::Choice,
        numerics,
        does,
        why,
        lines,
    };
    let pieces = "the same elements in larger or smaller pieces; the last one of a row may be smaller than the others";
    let order = "the same terms, added in another order";
    vec![
        rule(
            "widen-tile",
            Numerics::Bitwise,
            "makes a column tile wider, so that a transfer's fixed cost is paid less often",
            pieces,
            extrema_and_stores(wider),
        ),
        rule(
            "narrow-tile",
            Numerics::Bitwise,
            "makes a column tile narrower, so that more fits on chip",
            pieces,
            extrema_and_stores(narrower),
        ),
        rule(
            "widen-sum",
            Numerics::Reassociate,
            "sums a row in wider chunks",
            order,
            vec![reduction("sum", |m| sized(m, wider(m)))],
        ),
        rule(
            "narrow-sum",
            Numerics::Reassociate,
            "sums a row in narrower chunks",
            order,
            vec![reduction("sum", |m| sized(m, narrower(m)))],
        ),
        rule(
            "widen-k",
            Numerics::Reassociate,
            "takes more of a product's inner axis a trip",
            order,
            products(|m| inner(m, m.above(m.num("?k"), m.num("?n")))),
        ),
        rule(
            "narrow-k",
            Numerics::Reassociate,
            "takes less of a product's inner axis a trip",
            order,
            products(|m| inner(m, m.below(m.num("?k"), m.num("?n")))),
        ),
        rule(
            "halve-extremum",
            Numerics::Bitwise,
            "reduces a row by taking the larger or smaller of its two halves, over and over, until one repeat is left",
            "maxima and minima are exact in any order; a vector instruction reduces all lanes of a repeat at once",
            vec![halves("max"), halves("min")],
        ),
        rule(
            "halve-sum",
            Numerics::Reassociate,
            "sums a row by adding its two halves, over and over, until one repeat is left",
            order,
            vec![halves("sum")],
        ),
        rule(
            "stage-pieces",
            Numerics::Bitwise,
            "brings more of a product's inner axis into L1 at once than L0 holds, and multiplies it piece by piece",
            "the same products in the same order; a longer transfer pays its fixed cost less often",
            PRODUCTS
                .map(|mm| {
                    line_if(
                        format!("({mm} ?d ?n ?k (tile ?r ?k ?a) (tile ?c ?k ?b))"),
                        format!("({mm} ?d ?n (pieces ?z ?k) (tile ?r ?z ?a) (tile ?c ?z ?b))"),
                        staged,
                    )
                })
                .into(),
        ),
        rule(
            "pipeline-loop",
            Numerics::Bitwise,
            "loads the next one to three trips' tiles while the current trip computes",
            "loads of different trips go to different buffers; the order of the arithmetic stays",
            pipelines(),
        ),
    ]
}

/// Sizes of a column tile beyond its own, the nearest first.
type Steps = fn(&Match) -> Vec<usize>;

fn wider(m: &Match) -> Vec<usize> {
    m.above(m.num("?c"), m.num("?n")).collect()
}

fn narrower(m: &Match) -> Vec<usize> {
    m.below(m.num("?c"), m.num("?n")).collect()
}

fn extrema_and_stores(steps: Steps) -> Vec<Line> {
    vec![
        line_if(
            "(cols ?d ?n ?c (tile ?r ?c ?v))",
            "(cols ?d ?n ?z (tile ?r ?z ?v))",
            // The last of all columns may be a smaller tile; within a block tiles are whole.
            move |m| {
                let (n, whole) = (m.num("?n"), m.cols("?v"));
                let fits = |z: usize| n == whole || n.is_multiple_of(z);
                sized(m, steps(m).into_iter().filter(|z| fits(*z)))
            },
        ),
        reduction("max", move |m| sized(m, steps(m))),
        reduction("min", move |m| sized(m, steps(m))),
    ]
}

fn reduction(n: &str, bind: impl Fn(&Match) -> Vec<Binding> + Send + Sync + 'static) -> Line {
    line_if(
        format!("(fold.{n} ?d ?n ?c (row_{n} (tile ?r ?c ?v)))"),
        format!("(fold.{n} ?d ?n ?z (row_{n} (tile ?r ?z ?v)))"),
        bind,
    )
}

fn products(bind: Bind) -> Vec<Line> {
    PRODUCTS
        .map(|mm| {
            line_if(
                format!("({mm} ?d ?n ?k (tile ?r ?k ?a) (tile ?c ?k ?b))"),
                format!("({mm} ?d ?n ?z (tile ?r ?z ?a) (tile ?c ?z ?b))"),
                bind,
            )
        })
        .into()
}

/// Of rows whose halves are tiles.
fn halves(n: &str) -> Line {
    line_if(
        format!("(row_{n} (tile ?r ?c ?v))"),
        format!("(row_{n} (halve.{n} ?h (tile ?r ?c ?v)))"),
        |m| {
            let cols = m.num("?c");
            let left = timing::halved(m.limits().repeat, cols, m.element("?v"));
            match cols / left.max(1) {
                0 | 1 => vec![],
                times => vec![vec![num("?h", times.ilog2() as usize)]],
            }
        },
    )
}

/// The first of the sizes `?z` that is aligned, is not hopelessly large, and leaves a pipelined loop two trips. Whether a kernel fits is
/// known when its tiles have addresses.
fn sized(m: &Match, sizes: impl IntoIterator<Item = usize>) -> Vec<Binding> {
    let (n, d, r) = (m.num("?n"), m.num("?d"), m.num("?r"));
    let element = m.element("?v");
    sizes
        .into_iter()
        .filter(|z| m.aligned(*z, n, element) && (d == 1 || n / z >= 2))
        .filter(|z| r * z * element <= 2 * m.limits().ub)
        .map(|z| vec![num("?z", z)])
        .take(1)
        .collect()
}

/// As [`sized`], of the inner axis of a product.
fn inner(m: &Match, sizes: impl Iterator<Item = usize>) -> Vec<Binding> {
    let (n, d) = (m.num("?n"), m.num("?d"));
    let (r, c, element) = (m.num("?r"), m.num("?c"), m.element("?a"));
    sizes
        .filter(|z| n.is_multiple_of(*z) && m.aligned(*z, n, element) && (d == 1 || n / z >= 2))
        .filter(|z| r * z * element <= m.limits().l0a && c * z * element <= m.limits().l0b)
        .map(|z| vec![num("?z", z)])
        .take(1)
        .collect()
}

/// How many pieces are staged at once.
const PIECES: [usize; 2] = [2, 4];

/// Chunks of pieces as large as L0 takes, one or two at a time: smaller pieces could themselves be larger.
fn staged(m: &Match) -> Vec<Binding> {
    let (n, d, k) = (m.num("?n"), m.num("?d"), m.num("?k"));
    let (r, c, element) = (m.num("?r"), m.num("?c"), m.element("?a"));
    let fills = 4 * r.max(c) * k * element > m.limits().l0b;
    PIECES
        .into_iter()
        .map(|p| p * k)
        .filter(|z| fills && n.is_multiple_of(*z) && n / z >= d)
        .filter(|z| {
            (k * element).is_multiple_of(m.limits().fractal.1)
                && d * (r + c) * z * element <= m.limits().l1
        })
        .map(|z| vec![num("?z", z)])
        .collect()
}

/// Trips in flight.
fn depths(m: &Match) -> Vec<Binding> {
    let trips = m.num("?n") / m.num("?c").max(1);
    // Each of them has a flag of its own.
    let flags = m.limits().event_ids;
    let depths = 2..=trips.min(MAX_PIPELINE_DEPTH).min(flags);
    depths.map(|e| vec![num("?e", e)]).collect()
}

fn pipelines() -> Vec<Line> {
    // The tiles of a product come one after the other: what runs ahead is its own loop.
    let stored: Bind = |m| match m.fixed("?t").is_some_and(|f| f.product) {
        true => vec![],
        false => depths(m),
    };
    let mut lines = vec![line_if("(cols 1 ?n ?c ?t)", "(cols ?e ?n ?c ?t)", stored)];
    for n in ["sum", "max", "min"] {
        lines.push(line_if(
            format!("(fold.{n} 1 ?n ?c ?t)"),
            format!("(fold.{n} ?e ?n ?c ?t)"),
            depths,
        ));
    }
    for mm in PRODUCTS {
        lines.push(line_if(
            format!("({mm} 1 ?n ?c ?a ?b)"),
            format!("({mm} ?e ?n ?c ?a ?b)"),
            depths,
        ));
    }
    lines
}
