//! Strength reduction: a cheaper operation with the same result.

use super::{Contexts, bound, constant, of_values, rule};
use crate::egraph::rules::{Match, Rule, line_if, when};
use crate::numerics::Numerics;
use crate::term::analysis::Sign;

pub(super) fn rules(contexts: &Contexts) -> Vec<Rule> {
    let whole = |m: &Match| when(m.is_whole("?x"));
    let float = |m: &Match| when(m.is_whole("?x") && m.dtype("?x").is_some_and(|d| d.is_float()));
    vec![
        rule(
            "divide-by-power-of-two",
            Numerics::Bitwise,
            "multiplies by the reciprocal of a power of two instead of dividing by it",
            "the reciprocal is exact, so both round the same number once",
            vec![line_if("(s.div ?x ?k)", "(s.mul ?x ?z)", |m| {
                match m.constant("?k") {
                    Some(k) if m.is_whole("?x") && m.is_f32("?x") && power_of_two(k) => {
                        bound("?z", 1.0 / k)
                    }
                    _ => vec![],
                }
            })],
        ),
        rule(
            "divide-by-constant",
            Numerics::Relaxed,
            "multiplies by the reciprocal of a constant instead of dividing by it",
            "the reciprocal is rounded once more; it is a normal number",
            vec![line_if("(s.div ?x ?k)", "(s.mul ?x ?z)", |m| {
                match m.constant("?k") {
                    Some(k) if m.is_whole("?x") && m.is_f32("?x") && k.is_normal() => {
                        bound("?z", 1.0 / k)
                    }
                    _ => vec![],
                }
            })],
        ),
        rule(
            "divide-by-scale",
            Numerics::Relaxed,
            "divides once a row or column, and multiplies the elements by the reciprocals",
            "the reciprocal is rounded once more; it is finite, and no subnormal number",
            ["row", "col"]
                .into_iter()
                .map(|b| {
                    line_if(
                        format!("({b}.div ?a ?s)"),
                        format!("({b}.mul ?a (sl.div ?s ?k))"),
                        |m| match m.is_whole("?a") && m.is_f32("?a") {
                            true => vec![vec![constant("?k", 1.0)]],
                            false => vec![],
                        },
                    )
                })
                .collect(),
        ),
        rule(
            "no-op-extremum",
            Numerics::Bitwise,
            "drops the maximum or minimum of a value and itself, and bounds that the sign implies",
            "the larger of x and x is x, NaN included; what has no sign bit is not below 0",
            [
                contexts.lines("(max ?x ?x)", "?x", whole),
                contexts.lines("(min ?x ?x)", "?x", whole),
                contexts.lines("(s.max ?x 0.0)", "?x", |m| {
                    when(m.is_whole("?x") && m.sign("?x") >= Sign::NonNegative)
                }),
            ]
            .into_iter()
            .flatten()
            .collect(),
        ),
        rule(
            "no-op-sign",
            Numerics::Bitwise,
            "drops a negation of a negation",
            "a sign bit that is turned twice is as before",
            contexts.lines("(neg (neg ?x))", "?x", float),
        ),
        rule(
            "sign-of-square",
            Numerics::Bitwise,
            "squares a value instead of its magnitude or negation",
            "the signs of both factors cancel, and the magnitude of the product is rounded the same",
            ["abs", "neg"]
                .into_iter()
                .map(|f| {
                    line_if(
                        format!("(mul ({f} ?a) ({f} ?a))"),
                        "(mul ?a ?a)".to_string(),
                        |m| when(m.is_whole("?a") && m.is_f32("?a")),
                    )
                })
                .chain([line_if("(abs (neg ?a))", "(abs ?a)", |m| {
                    when(m.is_whole("?a") && m.dtype("?a").is_some_and(|d| d.is_float()))
                })])
                .collect(),
        ),
        rule(
            "root-of-square",
            Numerics::Relaxed,
            "takes the magnitude instead of the root of the square",
            "both are the magnitude; the square neither overflows nor underflows",
            vec![of_values("(sqrt (mul ?a ?a))", "(abs ?a)")],
        ),
    ]
}

fn power_of_two(k: f32) -> bool {
    k.is_normal() && k.to_bits() & 0x7f_ffff == 0
}
