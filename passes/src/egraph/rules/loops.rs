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
            "keep-left",
            Numerics::Bitwise,
            "keeps of each trip of a product some pieces of the left operand in L1, for all column tiles of a block's rows",
            "the same products in the same order; what is kept is what would be loaded again",
            keeps(),
        ),
        rule(
            "keep-left-part",
            Numerics::Reassociate,
            "cuts a trip of a product into smaller pieces, of which L1 can keep more of the left operand",
            order,
            PRODUCTS
                .map(|mm| keep(mm, "?k", "(kept ?k ?z ?q)", parts_kept))
                .into(),
        ),
        rule(
            "pipeline-loop",
            Numerics::Bitwise,
            "loads the next one to three trips' tiles while the current trip computes, or none",
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
    // The last chunk may be a smaller one, of whole fractals; but no chunk lies in two of `?s` parts.
    let (rows, bytes) = m.limits().fractal;
    let unit = rows.max(bytes / element.max(1)).max(1);
    let whole = |size: usize| size.is_multiple_of(unit);
    let rest = m.num("?s") == 0 && whole(n);
    let cuts = |z: usize| n.is_multiple_of(z) || (rest && whole(z));
    sizes
        .filter(|z| cuts(*z) && m.aligned(*z, n, element) && (d == 1 || n / z >= 2))
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

/// Products whose chunk is one piece, or several.
fn keeps() -> Vec<Line> {
    let whole = PRODUCTS.map(|mm| keep(mm, "?k", "(kept ?k ?k ?q)", |m| kept(m, m.num("?k"))));
    let pieces = PRODUCTS.map(|mm| {
        keep(mm, "(pieces ?k ?z)", "(kept ?k ?z ?q)", |m| {
            kept(m, m.num("?z"))
        })
    });
    whole.into_iter().chain(pieces).collect()
}

/// A product with another chunk.
fn keep(mm: &str, chunk: &str, kept: &str, bind: Bind) -> Line {
    line_if(
        format!("({mm} ?d ?n {chunk} (tile ?r ?k ?a) (tile ?c ?k ?b))"),
        format!("({mm} ?d ?n {kept} (tile ?r ?k ?a) (tile ?c ?k ?b))"),
        bind,
    )
}

/// Halves or quarters of a trip, where more elements of these can be kept.
fn parts_kept(m: &Match) -> Vec<Binding> {
    let (k, width, element) = (m.num("?k"), m.limits().fractal.1, m.element("?a"));
    let mut most = most_kept(m, k).map_or(0, |q| q * k);
    let mut out = vec![];
    for n in [2, 4] {
        let piece = k / n;
        if !k.is_multiple_of(n) || !(piece * element).is_multiple_of(width) {
            continue;
        }
        if let Some(q) = most_kept(m, piece).filter(|q| q * piece > most) {
            most = q * piece;
            out.push(vec![num("?z", piece), num("?q", q)]);
        }
    }
    out
}

/// The most of these pieces.
fn kept(m: &Match, piece: usize) -> Vec<Binding> {
    let most = most_kept(m, piece).into_iter();
    most.map(|q| vec![num("?q", q)]).collect()
}

/// As many pieces as L1 has room for beside the trips in flight, where there are other columns to keep them for.
fn most_kept(m: &Match, piece: usize) -> Option<usize> {
    let (n, d, k) = (m.num("?n"), m.num("?d"), m.num("?k").max(1));
    let (c, element) = (m.num("?c"), m.element("?a"));
    let r = m.num("?r").next_multiple_of(m.limits().fractal.0.max(1));
    let again = m.fixed("?b").is_some_and(|b| b.rows > c) && n.is_multiple_of(k);
    let trips = n / k;
    // A kept piece has a slot for each trip.
    let ahead = again && d >= 2 && (d..=MAX_KEPT_TRIPS).contains(&trips);
    let room = |q: &usize| {
        let (stays, goes) = (q * piece, k - q * piece);
        (trips * r * stays + d * (r * goes + c * k)) * element <= m.limits().l1
    };
    let most = (1..=k / piece.max(1)).rev().find(room);
    most.filter(|_| ahead)
}

/// Trips whose pieces can be kept: slots of a tile.
const MAX_KEPT_TRIPS: usize = 64;

/// Trips in flight: of one at a time, more; of more, one at a time.
fn depths(m: &Match) -> Vec<Binding> {
    if m.num("?d") > 1 {
        return vec![vec![num("?e", 1)]];
    }
    let trips = m.num("?n") / m.num("?c").max(1);
    // Each of them has a flag of its own.
    let flags = m.limits().event_ids;
    let depths = 2..=trips.min(MAX_PIPELINE_DEPTH).min(flags);
    depths.map(|e| vec![num("?e", e)]).collect()
}

/// Whether L0C has room for two tiles of a product's sums.
fn two_sums(m: &Match) -> bool {
    let tile = m.fixed("?t");
    tile.is_some_and(|t| 2 * t.rows * t.cols * t.element() <= m.limits().l0c)
}

fn pipelines() -> Vec<Line> {
    // Of a product two tiles are enough: one is stored while the next one adds up.
    let stored: Bind = |m| match m.fixed("?t").is_some_and(|f| f.product) {
        true => depths(m)
            .into_iter()
            .take(1)
            .filter(|_| m.num("?d") > 1 || two_sums(m))
            .collect(),
        false => depths(m),
    };
    let mut lines = vec![line_if("(cols ?d ?n ?c ?t)", "(cols ?e ?n ?c ?t)", stored)];
    for n in ["sum", "max", "min"] {
        lines.push(line_if(
            format!("(fold.{n} ?d ?n ?c ?t)"),
            format!("(fold.{n} ?e ?n ?c ?t)"),
            depths,
        ));
    }
    for mm in PRODUCTS {
        lines.push(line_if(
            format!("({mm} ?d ?n ?c ?a ?b)"),
            format!("({mm} ?e ?n ?c ?a ?b)"),
            depths,
        ));
    }
    lines
}
