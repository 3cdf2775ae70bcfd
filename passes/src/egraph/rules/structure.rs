//! Structure: how a tile of a value comes from tiles of its operands, and reductions and products become loops.

use super::algebra::is_function;
use super::{Binding, Line, Match, Role, Rule, line, line_if, num, when};
use crate::numerics::Numerics;
use crate::term::analysis::Seed;
use crate::term::language::{Head, Term};
use tilewright_ir::graph::{Operator, Reduce};
use tilewright_ir::op::{Access, Cols, Part, Primitive};

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
            pushed(heads, |p| {
                matches!(p.access, Access::Element(_)) && !broadcasts(p)
            }),
        ),
        structure(
            "tile-broadcast",
            "computes a tile of a broadcast from a tile of the matrix and a piece of the row or column operand",
            "element (i, j) needs (i, j) of the matrix and i of the column, or j of the row",
            pushed(heads, broadcasts),
        ),
        structure(
            "tile-rowwise",
            "computes rows of a sort or gather from whole rows of its operands",
            "a row of the result needs only the same row of each operand",
            pushed(heads, |p| matches!(p.access, Access::Row { .. }))
                .into_iter()
                .chain([
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
                ])
                .collect(),
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
            "tile-reshape",
            "reads a tile of a value that lies in global memory in other rows",
            "rows follow each other in memory, so the same elements are rows of any length that divides them",
            vec![
                line(
                    "(tile ?r ?c (reshape (input ?x) ?m ?n))",
                    "(load ?r ?c (reshape (input ?x) ?m ?n))",
                ),
                line(
                    "(tile ?r ?c (reshape (buf ?x ?v) ?m ?n))",
                    "(load ?r ?c (reshape (buf ?x ?v) ?m ?n))",
                ),
            ],
        ),
        structure(
            "tile-transpose",
            "reads a tile of a transposed value as the transposed tile",
            "element (i, j) of the result is element (j, i) of the value",
            vec![line(
                "(tile ?r ?c (transpose ?x))",
                "(transpose (tile ?c ?r ?x))",
            )],
        ),
        structure(
            "tile-pad",
            "pads a row on chip",
            "the columns beyond the data hold the value, whatever the row. Rows of two widths are not equally far apart, so each \
             is padded by itself",
            vec![line_if(
                "(tile 1 ?w (pad_cols ?x ?w ?v))",
                "(pad_cols (tile 1 ?c ?x) ?w ?v)",
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
                        move |m| reduction_seeds(m, r),
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

fn product_seeds(m: &Match) -> Vec<Seed> {
    match (m.id("?a"), m.id("?b")) {
        (Some(a), Some(b)) => m.seeds(&Term::app(Head::Op(Operator::MatmulNt), [a, b])),
        _ => vec![],
    }
}

fn grouped_seeds(m: &Match) -> Vec<Seed> {
    match (m.id("?g"), m.id("?a"), m.id("?b")) {
        (Some(g), Some(a), Some(b)) if in_one_group(m) => {
            m.seeds(&Term::app(Head::Op(Operator::GroupedMatmulNt), [g, a, b]))
        }
        _ => vec![],
    }
}

fn chunks(m: &Match, seeds: &[Seed]) -> Vec<Binding> {
    let extent = m.cols("?a");
    let seeds = seeds.iter();
    seeds
        .map(|s| vec![num("?d", s.depth), num("?e", extent), num("?k", s.piece)])
        .collect()
}

/// Of chunks that L0 does not take whole.
fn chunks_in_pieces(m: &Match, seeds: &[Seed]) -> Vec<Binding> {
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
fn in_one_group(m: &Match) -> bool {
    let (r, g) = (m.num("?r").max(1), m.num("?g").max(1));
    let rows = m.fixed("?a").map_or(0, |f| f.rows);
    rows.is_multiple_of(g) && (rows / g).is_multiple_of(r)
}

fn reduction_seeds(m: &Match, reduce: Reduce) -> Vec<Binding> {
    let Some(a) = m.id("?a") else {
        return vec![];
    };
    let extent = m.cols("?a");
    m.seeds(&Term::app(Head::Op(Operator::Reduce(reduce)), [a]))
        .into_iter()
        .map(|s| vec![num("?d", s.depth), num("?e", extent), num("?c", s.chunk)])
        .collect()
}

/// Operations whose blocks need one element a row or column of an operand.
fn broadcasts(primitive: &Primitive) -> bool {
    let broadcast = |part: &Part| matches!(part, Part::Column | Part::Row | Part::GroupRow);
    matches!(primitive.access, Access::Element(parts) if parts.iter().any(broadcast))
}

/// Tiles pushed inwards: a line for each operation that `which` wants, of functions those that occur.
fn pushed(heads: &[Head], which: impl Fn(&Primitive) -> bool) -> Vec<Line> {
    let functions = heads.iter().filter_map(|head| match head {
        Head::Op(operator) if is_function(*operator) => Some(*operator),
        _ => None,
    });
    let others = Operator::all().filter(|o| !is_function(*o));
    let all = functions.chain(others);
    all.filter(|o| which(o.primitive()))
        .filter_map(push)
        .collect()
}

/// `(tile r c (op x ...))` as the operation of the parts of its operands that the tile needs.
fn push(operator: Operator) -> Option<Line> {
    let primitive = operator.primitive();
    let (parts, single, whole) = match primitive.access {
        Access::Element(parts) => (parts, false, false),
        Access::Row { parts, single } => (parts, single, true),
        _ => return None,
    };
    let rows = if single { "1" } else { "?r" };
    let (mut left, mut right) = (vec![], vec![]);
    if primitive.grouped() {
        left.push("?g".to_string());
        right.push("?g".to_string());
    }
    for (i, part) in parts.iter().enumerate() {
        let (var, need) = match (part, i) {
            (Part::Block, 0) => ("?a", format!("(tile {rows} ?c ?a)")),
            (Part::Block, _) => ("?b", format!("(tile {rows} ?c ?b)")),
            (Part::Column, _) => ("?s", format!("(tile {rows} 1 ?s)")),
            (Part::Row | Part::GroupRow, _) => ("?w", "(tile 1 ?c ?w)".into()),
            (Part::Rows, _) => ("?a", format!("(tile {rows} ?e ?a)")),
            (Part::Whole, _) => ("?n", "?n".into()),
        };
        left.push(var.into());
        right.push(need);
    }
    for i in 0..primitive.numbers.len() {
        // Of whole rows, the columns that a number says.
        let number = match primitive.shape.cols {
            Cols::Number(n) if whole && n == i => "?c".to_string(),
            _ => ["?k", "?l", "?m"][i].to_string(),
        };
        left.push(number.clone());
        right.push(number);
    }
    Some(line_if(
        format!("(tile {rows} ?c ({operator} {}))", left.join(" ")),
        format!("({operator} {})", right.join(" ")),
        move |m| match (primitive.grouped(), whole, primitive.shape.cols) {
            (true, ..) => when(in_one_group(m)),
            (_, false, _) => when(true),
            // All columns of the result.
            (_, true, Cols::Of([0])) if m.num("?c") != m.cols("?a") => vec![],
            (_, true, _) => vec![vec![num("?e", m.cols("?a"))]],
        },
    ))
}
