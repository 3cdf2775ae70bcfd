//! Constants: neutral ones vanish, and two in a row become one.

use super::{Contexts, bound, constant, rule};
use crate::egraph::rules::{Binding, Match, Rule, line_if, when};
use crate::numerics::Numerics;

pub(super) fn rules(contexts: &Contexts) -> Vec<Rule> {
    let whole = |m: &Match| when(m.is_whole("?x"));
    vec![
        rule(
            "neutral-constant",
            Numerics::Bitwise,
            "drops an operation whose constant changes nothing",
            "x * 1 and x / 1 are x, and so are x + -0 and x - 0, whatever the sign of a zero x; x + 0 is not, since -0 + 0 is +0",
            [
                "(s.mul ?x 1.0)",
                "(s.div ?x 1.0)",
                "(s.add ?x -0.0)",
                "(s.sub ?x 0.0)",
            ]
            .into_iter()
            .flat_map(|left| contexts.lines(left, "?x", whole))
            .collect(),
        ),
        rule(
            "fold-extrema",
            Numerics::Bitwise,
            "bounds a value once instead of twice",
            "maxima and minima are associative, and NaN passes through both forms",
            vec![
                line_if("(s.max (s.max ?x ?j) ?k)", "(s.max ?x ?z)", |m| {
                    extremum(m, f32::max)
                }),
                line_if("(s.min (s.min ?x ?j) ?k)", "(s.min ?x ?z)", |m| {
                    extremum(m, f32::min)
                }),
            ],
        ),
        rule(
            "fold-negation",
            Numerics::Bitwise,
            "puts a negation into the constant of a product or quotient beside it",
            "a sign is not rounded",
            vec![
                line_if("(s.mul (neg ?x) ?k)", "(s.mul ?x ?z)", negated),
                line_if("(neg (s.mul ?x ?k))", "(s.mul ?x ?z)", negated),
                line_if("(s.div (neg ?x) ?k)", "(s.div ?x ?z)", negated),
                line_if("(sl.div (neg ?x) ?k)", "(sl.div ?x ?z)", negated),
            ],
        ),
        rule(
            "fold-sums",
            Numerics::Reassociate,
            "adds one constant instead of two",
            "the same terms, added in another order; signs are alike, so that nothing cancels",
            vec![line_if("(s.add (s.add ?x ?j) ?k)", "(s.add ?x ?z)", |m| {
                fold(m, |j, k| match (j > 0.0) == (k > 0.0) {
                    true => j + k,
                    false => f32::NAN,
                })
            })],
        ),
        rule(
            "fold-products",
            Numerics::Relaxed,
            "multiplies or divides by one constant instead of two",
            "the product of the constants is rounded once; nothing overflows",
            vec![
                line_if("(s.mul (s.mul ?x ?j) ?k)", "(s.mul ?x ?z)", |m| {
                    fold(m, |j, k| j * k)
                }),
                line_if("(s.mul (s.div ?x ?j) ?k)", "(s.mul ?x ?z)", |m| {
                    fold(m, |j, k| k / j)
                }),
                line_if("(s.div (s.mul ?x ?j) ?k)", "(s.mul ?x ?z)", |m| {
                    fold(m, |j, k| j / k)
                }),
                line_if("(s.mul (sl.div ?x ?j) ?k)", "(sl.div ?x ?z)", |m| {
                    fold(m, |j, k| j * k)
                }),
                line_if("(sl.div (s.mul ?x ?j) ?k)", "(sl.div ?x ?z)", |m| {
                    fold(m, |j, k| k / j)
                }),
                line_if("(sl.div (sl.div ?x ?j) ?k)", "(s.mul ?x ?z)", |m| {
                    fold(m, |j, k| k / j)
                }),
            ],
        ),
    ]
}

/// `?z` of `?j` and `?k`, where it is a normal number.
fn fold(m: &Match, f: fn(f32, f32) -> f32) -> Vec<Binding> {
    match (m.constant("?j"), m.constant("?k")) {
        (Some(j), Some(k)) if m.is_whole("?x") && m.is_f32("?x") => bound("?z", f(j, k)),
        _ => vec![],
    }
}

/// The order of the layer's maxima and minima puts -0 below +0; no constant is NaN here.
fn extremum(m: &Match, f: fn(f32, f32) -> f32) -> Vec<Binding> {
    match (m.constant("?j"), m.constant("?k")) {
        (Some(j), Some(k)) if m.is_whole("?x") && !j.is_nan() && !k.is_nan() && j != k => {
            vec![vec![constant("?z", f(j, k))]]
        }
        _ => vec![],
    }
}

fn negated(m: &Match) -> Vec<Binding> {
    match m.constant("?k") {
        Some(k) if m.is_whole("?x") && m.is_f32("?x") => vec![vec![constant("?z", -k)]],
        _ => vec![],
    }
}
