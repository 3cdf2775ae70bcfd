//! Structure: how a tile of a value comes from tiles of its operands, and reductions and products become loops.

use super::{Binding, Line, Role, Rule, line, line_if, num};
use crate::numerics::Numerics;
use crate::term::analysis::Seed;
use crate::term::language::{Head, Term};
use tilewright_ir::graph::Reduce;

pub fn rules(heads: &[Head]) -> Vec<Rule> {
    let structure = |name, does, why, lines| Rule {
        name,
        role: Role::Structure,
        numerics: Numerics::Bitwise,
        does,
        why,
        lines,
    };
    vec![
        structure(
            "tile-elementwise",
            "computes a tile of an element-wise result from the same tiles of its operands",
            "element (i, j) of the result needs only element (i, j) of each operand",
            elementwise(heads),
        ),
        structure(
            "tile-broadcast",
            "computes a tile of a broadcast from a tile of the matrix and a piece of the row or column operand",
            "element (i, j) needs (i, j) of the matrix and i of the column, or j of the row",
            broadcasts(heads),
        ),
        structure(
            "tile-rowwise",
            "computes rows of a sort or gather from whole rows of its operands",
            "a row of the result needs only the same row of each operand",
            vec![
                line_if(
                    "(tile 1 ?k (top_k ?x ?k))",
                    "(top_k (tile 1 ?w ?x) ?k)",
                    |m| vec![vec![num("?w", m.cols("?x"))]],
                ),
                line_if(
                    "(tile 1 ?k (gather_cols ?x ?i))",
                    "(gather_cols (tile 1 ?w ?x) (tile 1 ?k ?i))",
                    |m| vec![vec![num("?w", m.cols("?x"))]],
                ),
                line(
                    "(tile 1 ?k (gather_rows ?t ?i))",
                    "(gather_rows (load 1 ?k ?t) (load 1 1 ?i))",
                ),
                line_if(
                    "(tile ?r ?w (sinkhorn ?x ?n ?i ?e))",
                    "(sinkhorn (tile ?r ?n ?x) ?n ?i ?e)",
                    |m| match m.num("?w") == m.num("?n").pow(2) {
                        true => vec![vec![]],
                        false => vec![],
                    },
                ),
            ],
        ),
        structure(
            "tile-slice",
            "computes a tile of a slice from the same tile of the whole value, as many columns further",
            "column j of the slice is column `from + j` of the value. One column of several is not contiguous, so it is \
             taken row by row",
            vec![line_if(
                "(tile ?r ?c (slice_cols ?x ?f ?t))",
                "(slice_cols (tile ?r ?c ?x) ?f ?t)",
                |m| {
                    let column = m.num("?t") == m.num("?f") + 1 && m.cols("?x") > 1;
                    match column && m.num("?r") > 1 {
                        true => vec![],
                        false => vec![vec![]],
                    }
                },
            )],
        ),
        structure(
            "tile-repeat",
            "fills a tile with the one column of its operand",
            "every column of the result is that column",
            vec![line(
                "(tile ?r ?c (repeat_cols ?x ?n ?n))",
                "(repeat_cols (tile ?r 1 ?x) ?c ?n)",
            )],
        ),
        structure(
            "tile-load",
            "reads a tile of a value that lies in global memory",
            "a materialised value has the elements of the value",
            vec![
                line("(tile ?r ?c (input ?x))", "(load ?r ?c (input ?x))"),
                line("(tile ?r ?c (buf ?x ?v))", "(load ?r ?c (buf ?x ?v))"),
            ],
        ),
        structure(
            "tile-pad",
            "pads rows on chip",
            "the columns beyond the data hold the value, whatever the row",
            vec![line_if(
                "(tile ?r ?w (pad_cols ?x ?w ?v))",
                "(pad_cols (tile ?r ?c ?x) ?w ?v)",
                |m| vec![vec![num("?c", m.cols("?x"))]],
            )],
        ),
        structure(
            "chunk-reduction",
            "reduces rows chunk by chunk, as written",
            "the order of the additions is part of what is written, so it defines the bits",
            Reduce::ALL
                .into_iter()
                .map(|r| {
                    let n = r.name();
                    line_if(
                        format!("(tile ?r 1 (row_{n} ?a))"),
                        format!("(fold.{n} ?d ?e ?c (row_{n} (tile ?r ?c ?a)))"),
                        match r {
                            Reduce::Sum => |m| reduction_seeds(m, Reduce::Sum),
                            Reduce::Max => |m| reduction_seeds(m, Reduce::Max),
                            Reduce::Min => |m| reduction_seeds(m, Reduce::Min),
                        },
                    )
                })
                .collect(),
        ),
        structure(
            "chunk-product",
            "accumulates a product over chunks of the inner axis, as written",
            "the order of the additions is part of what is written, so it defines the bits",
            vec![
                line_if(
                    "(tile ?r ?c (matmul_nt ?a ?b))",
                    "(mm ?d ?e ?k (tile ?r ?k ?a) (tile ?c ?k ?b))",
                    |m| chunks(m, &product_seeds(m)),
                ),
                line_if(
                    "(tile ?r ?c (matmul_nt ?a ?b))",
                    "(mm ?d ?e (pieces ?k ?z) (tile ?r ?k ?a) (tile ?c ?k ?b))",
                    |m| chunks_in_pieces(m, &product_seeds(m)),
                ),
            ],
        ),
        structure(
            "chunk-grouped-product",
            "accumulates a product of a group of rows over chunks of the inner axis, as written",
            "a block of rows lies in one group, so all of it meets the same rows of the second operand",
            vec![
                line_if(
                    "(tile ?r ?c (grouped_matmul_nt ?g ?a ?b))",
                    "(mm_grouped ?g ?d ?e ?k (tile ?r ?k ?a) (tile ?c ?k ?b))",
                    |m| chunks(m, &grouped_seeds(m)),
                ),
                line_if(
                    "(tile ?r ?c (grouped_matmul_nt ?g ?a ?b))",
                    "(mm_grouped ?g ?d ?e (pieces ?k ?z) (tile ?r ?k ?a) (tile ?c ?k ?b))",
                    |m| chunks_in_pieces(m, &grouped_seeds(m)),
                ),
            ],
        ),
    ]
}

fn product_seeds(m: &super::Match) -> Vec<Seed> {
    match (m.id("?a"), m.id("?b")) {
        (Some(a), Some(b)) => m.seeds(&Term::app(Head::MatmulNt, [a, b])),
        _ => vec![],
    }
}

fn grouped_seeds(m: &super::Match) -> Vec<Seed> {
    match (m.id("?g"), m.id("?a"), m.id("?b")) {
        (Some(g), Some(a), Some(b)) if in_one_group(m) => {
            m.seeds(&Term::app(Head::GroupedMatmulNt, [g, a, b]))
        }
        _ => vec![],
    }
}

fn chunks(m: &super::Match, seeds: &[Seed]) -> Vec<Binding> {
    let extent = m.cols("?a");
    let seeds = seeds.iter();
    seeds
        .map(|s| vec![num("?d", s.depth), num("?e", extent), num("?k", s.piece)])
        .collect()
}

/// Of chunks that L0 does not take whole.
fn chunks_in_pieces(m: &super::Match, seeds: &[Seed]) -> Vec<Binding> {
    let extent = m.cols("?a");
    let (r, c, element) = (m.num("?r"), m.num("?c"), m.element("?a"));
    let cut = seeds
        .iter()
        .filter(|s| s.piece < s.chunk && m.limits().l0_holds(r, c, s.piece, element));
    cut.map(|s| {
        vec![
            num("?d", s.depth),
            num("?e", extent),
            num("?k", s.chunk),
            num("?z", s.piece),
        ]
    })
    .collect()
}

/// Whether every block of `?r` rows of `?a` lies in one of its `?g` groups.
fn in_one_group(m: &super::Match) -> bool {
    let (r, g) = (m.num("?r").max(1), m.num("?g").max(1));
    let rows = m.fixed("?a").map_or(0, |f| f.rows);
    rows.is_multiple_of(g) && (rows / g).is_multiple_of(r)
}

fn reduction_seeds(m: &super::Match, reduce: Reduce) -> Vec<Binding> {
    let Some(a) = m.id("?a") else {
        return vec![];
    };
    let extent = m.cols("?a");
    m.seeds(&Term::app(Head::Reduce(reduce), [a]))
        .into_iter()
        .map(|s| vec![num("?d", s.depth), num("?e", extent), num("?c", s.chunk)])
        .collect()
}

fn elementwise(heads: &[Head]) -> Vec<Line> {
    heads
        .iter()
        .filter_map(|h| match h {
            Head::Cast(..) | Head::Unary(_) => Some(line(
                format!("(tile ?r ?c ({h} ?a))"),
                format!("({h} (tile ?r ?c ?a))"),
            )),
            Head::Scalar(_) | Head::ScalarLeft(_) => Some(line(
                format!("(tile ?r ?c ({h} ?a ?k))"),
                format!("({h} (tile ?r ?c ?a) ?k)"),
            )),
            Head::Binary(_) => Some(line(
                format!("(tile ?r ?c ({h} ?a ?b))"),
                format!("({h} (tile ?r ?c ?a) (tile ?r ?c ?b))"),
            )),
            _ => None,
        })
        // The count of a mask is a scalar; which rows it hits follows from the block's place.
        .chain([line(
            "(tile ?r ?c (mask_rows ?a ?n))",
            "(mask_rows (tile ?r ?c ?a) ?n)",
        )])
        .collect()
}

fn broadcasts(heads: &[Head]) -> Vec<Line> {
    heads
        .iter()
        .filter_map(|h| match h {
            Head::RowBinary(_) => Some(line(
                format!("(tile ?r ?c ({h} ?a ?s))"),
                format!("({h} (tile ?r ?c ?a) (tile ?r 1 ?s))"),
            )),
            Head::ColBinary(_) => Some(line(
                format!("(tile ?r ?c ({h} ?a ?w))"),
                format!("({h} (tile ?r ?c ?a) (tile 1 ?c ?w))"),
            )),
            Head::GroupColBinary(_) => Some(line_if(
                format!("(tile ?r ?c ({h} ?g ?a ?w))"),
                format!("({h} ?g (tile ?r ?c ?a) (tile 1 ?c ?w))"),
                |m| match in_one_group(m) {
                    true => vec![vec![]],
                    false => vec![],
                },
            )),
            _ => None,
        })
        .collect()
}
