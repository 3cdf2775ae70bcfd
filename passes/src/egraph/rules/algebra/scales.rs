//! Row and column scales: through products, sums and matrix products, outwards.

use super::rule;
use crate::egraph::rules::{Line, Rule, line_if, when};
use crate::numerics::Numerics;

pub(super) fn rules() -> Vec<Rule> {
    let f32_values = |left: &str, right: &str| -> Line {
        line_if(left, right, |m| when(m.is_whole("?a") && m.is_f32("?a")))
    };
    vec![
        rule(
            "scale-rows-last",
            Numerics::Relaxed,
            "multiplies rows by their scales after other element-wise products instead of before",
            "products of real numbers commute; nothing overflows or underflows on the way",
            vec![
                f32_values(
                    "(col.mul (row.mul ?a ?s) ?w)",
                    "(row.mul (col.mul ?a ?w) ?s)",
                ),
                f32_values(
                    "(col.div (row.mul ?a ?s) ?w)",
                    "(row.mul (col.div ?a ?w) ?s)",
                ),
                f32_values("(mul (row.mul ?a ?s) ?b)", "(row.mul (mul ?a ?b) ?s)"),
                f32_values("(mul ?b (row.mul ?a ?s))", "(row.mul (mul ?b ?a) ?s)"),
            ],
        ),
        rule(
            "join-scales",
            Numerics::Relaxed,
            "multiplies the scales of a row instead of each element by both",
            "products of real numbers are associative; nothing overflows or underflows on the way",
            vec![
                f32_values("(row.mul (row.mul ?a ?s) ?t)", "(row.mul ?a (mul ?s ?t))"),
                f32_values("(row.div (row.mul ?a ?s) ?t)", "(row.mul ?a (div ?s ?t))"),
                f32_values("(col.mul (col.mul ?a ?s) ?t)", "(col.mul ?a (mul ?s ?t))"),
                f32_values("(s.mul (row.mul ?a ?s) ?k)", "(row.mul ?a (s.mul ?s ?k))"),
                f32_values("(s.mul (col.mul ?a ?s) ?k)", "(col.mul ?a (s.mul ?s ?k))"),
            ],
        ),
        rule(
            "negate-scale",
            Numerics::Bitwise,
            "negates a row's or column's scale instead of its elements",
            "a sign is not rounded",
            vec![
                f32_values("(neg (row.mul ?a ?s))", "(row.mul ?a (neg ?s))"),
                f32_values("(neg (col.mul ?a ?s))", "(col.mul ?a (neg ?s))"),
            ],
        ),
        rule(
            "sum-of-scaled-rows",
            Numerics::Relaxed,
            "sums rows before they are scaled",
            "multiplication distributes over sums; nothing overflows",
            vec![f32_values(
                "(row_sum (row.mul ?a ?s))",
                "(mul (row_sum ?a) ?s)",
            )],
        ),
        rule(
            "product-of-scaled-rows",
            Numerics::Relaxed,
            "multiplies matrices before rows are scaled, and scales the rows of the result",
            "a row of the product is linear in the row; nothing overflows",
            vec![f32_values(
                "(matmul_nt (row.mul ?a ?s) ?b)",
                "(row.mul (matmul_nt ?a ?b) ?s)",
            )],
        ),
    ]
}
