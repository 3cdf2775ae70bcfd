//! Split-K: a product whose inner axis is cut over blocks, so that more cores work on few columns.

use super::{Binding, Match, Role, Rule, line_if, num};
use crate::numerics::Numerics;
use crate::term::language::{Head, Term};
use tilewright_ir::graph::Operator;
use tilewright_ir::integer::gcd;

/// How many parts are tried, where they divide the inner axis.
const PARTS: [usize; 7] = [2, 3, 4, 6, 8, 12, 16];

pub fn rules() -> Vec<Rule> {
    vec![
        Rule {
            name: "split-k",
            role: Role::Choice,
            numerics: Numerics::Reassociate,
            does: "computes partial products over parts of the inner axis in blocks of their own, and adds them where they are read",
            why: "a sum over the inner axis is the sum of the sums over its parts, in another order",
            lines: vec![
                line_if(
                    "(load ?r ?c (buf ?n (matmul_nt ?a ?b)))",
                    "(add_parts ?s (load ?r ?c (buf ?p (parts ?s ?a ?b))))",
                    |m| {
                        let name = m.fixed("?n").and_then(|f| f.name);
                        parts(m)
                            .filter_map(|s| {
                                let name = format!("{}_split{s}", name?).into();
                                Some(vec![num("?s", s), ("?p", Term::Name(name))])
                            })
                            .collect()
                    },
                ),
                line_if(
                    "(buf ?p (parts ?s ?a ?b))",
                    "(launch.parallel ?t ?w (rows ?m ?m (cols 1 ?w ?w (tile ?m ?w (parts ?s ?a ?b)))))",
                    |m| {
                        let rows = m.fixed("?a").map_or(0, |f| f.rows);
                        let cols = m.fixed("?b").map_or(0, |f| f.rows);
                        vec![vec![
                            num("?t", rows * m.num("?s")),
                            num("?w", cols),
                            num("?m", rows),
                        ]]
                    },
                ),
            ],
        },
        Rule {
            name: "chunk-parts",
            role: Role::Structure,
            numerics: Numerics::Bitwise,
            does: "accumulates a partial product over chunks of its part of the inner axis",
            why: "the chunk is the written one, or what of it divides the part",
            lines: vec![line_if(
                "(tile ?r ?c (parts ?s ?a ?b))",
                "(mm_parts ?s ?d ?e ?k (tile ?r ?k ?a) (tile ?c ?k ?b))",
                chunks,
            )],
        },
    ]
}

/// Numbers of parts that the matched product can be split into.
fn parts<'a>(m: &Match<'a>) -> impl Iterator<Item = usize> + use<'a> {
    let extent = m.cols("?a");
    let cores = m.limits().cores;
    // Whole fractals of every element type.
    let fractal = m.limits().fractal.1;
    PARTS
        .into_iter()
        .filter(move |s| *s <= cores && extent.is_multiple_of(s * fractal))
}

fn chunks(m: &Match) -> Vec<Binding> {
    let (Some(a), Some(b)) = (m.id("?a"), m.id("?b")) else {
        return vec![];
    };
    let extent = m.cols("?a") / m.num("?s").max(1);
    let rows = m.fixed("?a").map_or(0, |f| f.rows);
    // A tile lies in one part.
    if m.num("?r") == 0 || !rows.is_multiple_of(m.num("?r")) {
        return vec![];
    }
    m.seeds(&Term::app(Head::Op(Operator::MatmulNt), [a, b]))
        .into_iter()
        .map(|seed| {
            let chunk = gcd(seed.piece, extent);
            let depth = if extent / chunk >= 2 { seed.depth } else { 1 };
            vec![num("?d", depth), num("?e", extent), num("?k", chunk)]
        })
        .collect()
}
