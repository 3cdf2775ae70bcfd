//! Scale invariance: magnitudes, extrema and quotients of scaled rows.

use super::rule;
use crate::egraph::rules::{Bind, Binding, Line, Match, Rule, line_if};
use crate::numerics::Numerics;
use crate::term::analysis::Sign;

pub(super) fn rules() -> Vec<Rule> {
    let line = |left: &str, right: &str, bind: Bind| -> Line { line_if(left, right, bind) };
    vec![
        rule(
            "magnitude-of-scaled",
            Numerics::Bitwise,
            "scales magnitudes instead of taking magnitudes of what is scaled",
            "the scale has no sign, and a product's magnitude is rounded the same whatever its sign",
            ["row.mul", "col.mul", "row.div", "col.div"]
                .into_iter()
                .map(|f| {
                    line_if(
                        format!("(abs ({f} ?a ?s))"),
                        format!("({f} (abs ?a) ?s)"),
                        |m| scaled(m, Sign::NonNegative),
                    )
                })
                .collect(),
        ),
        rule(
            "extremum-of-scaled",
            Numerics::Relaxed,
            "takes a row's extremum before the row is scaled",
            "a scale above 0 keeps the order, and rounding is monotone; values are finite",
            ["max", "min"]
                .into_iter()
                .flat_map(|r| {
                    [("mul", "mul"), ("div", "div")].map(|(row, f)| {
                        line_if(
                            format!("(row_{r} (row.{row} ?a ?s))"),
                            format!("({f} (row_{r} ?a) ?s)"),
                            |m| scaled(m, Sign::Positive),
                        )
                    })
                })
                .collect(),
        ),
        rule(
            "bound-of-scaled",
            Numerics::Relaxed,
            "bounds a value before it is scaled, by the bound over the scale",
            "a scale above 0 keeps the order; values are finite",
            ["max", "min"]
                .into_iter()
                .map(|f| {
                    line_if(
                        format!("(s.{f} (mul ?a ?s) ?k)"),
                        format!("(mul ({f} ?a (sl.div ?s ?k)) ?s)"),
                        |m| match m.constant("?k").is_some_and(f32::is_normal) {
                            true => scaled(m, Sign::Positive),
                            false => vec![],
                        },
                    )
                })
                .collect(),
        ),
        rule(
            "reciprocal-of-scaled",
            Numerics::Relaxed,
            "divides by a product's factors one after the other, or turns a quotient around",
            "quotients of real numbers; divisors are above 0 and nothing overflows",
            vec![
                line(
                    "(sl.div (mul ?a ?s) ?k)",
                    "(div (sl.div ?a ?k) ?s)",
                    positive,
                ),
                line(
                    "(sl.div (div ?a ?s) ?k)",
                    "(s.mul (div ?s ?a) ?k)",
                    positive,
                ),
            ],
        ),
        rule(
            "cancel-scale",
            Numerics::Relaxed,
            "drops a row's scale that is divided away again",
            "the scale is above 0; nothing overflows or underflows on the way",
            vec![
                line(
                    "(row.mul (row.mul ?a ?s) (div ?q ?s))",
                    "(row.mul ?a ?q)",
                    |m| scaled(m, Sign::Positive),
                ),
                line(
                    "(row.div (row.mul ?a ?s) (mul ?q ?s))",
                    "(row.div ?a ?q)",
                    |m| scaled(m, Sign::Positive),
                ),
            ],
        ),
    ]
}

/// `?a` is a whole f32 value, and the scale `?s` has at least this sign.
fn scaled(m: &Match, sign: Sign) -> Vec<Binding> {
    super::when(m.is_whole("?a") && m.is_f32("?a") && m.sign("?s") >= sign)
}

/// Both divisors are above 0.
fn positive(m: &Match) -> Vec<Binding> {
    match m.sign("?a") {
        Sign::Positive => scaled(m, Sign::Positive),
        _ => vec![],
    }
}
