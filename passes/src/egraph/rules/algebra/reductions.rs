//! Reductions of rows: what need not be done to every element before.

use super::{of_values, rule};
use crate::egraph::rules::{Match, Rule, line_if, when};
use crate::numerics::Numerics;

pub(super) fn rules() -> Vec<Rule> {
    vec![
        rule(
            "extremum-of-negated",
            Numerics::Bitwise,
            "takes the other extremum and negates one element a row",
            "negation turns the order around and rounds nothing",
            vec![
                line_if("(row_max (neg ?a))", "(neg (row_min ?a))", float),
                line_if("(row_min (neg ?a))", "(neg (row_max ?a))", float),
            ],
        ),
        rule(
            "extremum-of-monotone",
            Numerics::Bitwise,
            "reduces first, and applies a monotone function to one element a row",
            "rounding is monotone, so the function of the extremum is the extremum of the function; NaN passes through both",
            ["max", "min"]
                .into_iter()
                .flat_map(|r| {
                    let line = |f: &str, bind| {
                        line_if(
                            format!("(row_{r} (s.{f} ?a ?k))"),
                            format!("(s.{f} (row_{r} ?a) ?k)"),
                            bind,
                        )
                    };
                    [
                        line("mul", positive as super::Bind),
                        line("div", positive),
                        line("add", finite),
                        line("sub", finite),
                        line("max", finite),
                        line("min", finite),
                    ]
                })
                .collect(),
        ),
        rule(
            "sum-of-scaled",
            Numerics::Relaxed,
            "sums first, and multiplies one element a row by the constant",
            "multiplication distributes over sums; nothing overflows, and the constant is a normal number",
            vec![line_if(
                "(row_sum (s.mul ?a ?k))",
                "(s.mul (row_sum ?a) ?k)",
                |m| {
                    let k = m.constant("?k");
                    when(m.is_whole("?a") && m.is_f32("?a") && k.is_some_and(f32::is_normal))
                },
            )],
        ),
        rule(
            "extremum-of-bounded",
            Numerics::Bitwise,
            "reduces first, and bounds one element a row by the row's bound",
            "maxima and minima are associative and distribute over each other",
            ["max", "min"]
                .into_iter()
                .flat_map(|r| {
                    ["max", "min"].map(|f| {
                        of_values(
                            format!("(row_{r} (row.{f} ?a ?s))"),
                            format!("({f} (row_{r} ?a) ?s)"),
                        )
                    })
                })
                .collect(),
        ),
    ]
}

fn float(m: &Match) -> Vec<super::Binding> {
    when(m.is_whole("?a") && m.dtype("?a").is_some_and(|d| d.is_float()))
}

fn positive(m: &Match) -> Vec<super::Binding> {
    let k = m.constant("?k");
    when(m.is_whole("?a") && m.is_f32("?a") && k.is_some_and(|k| k.is_normal() && k > 0.0))
}

fn finite(m: &Match) -> Vec<super::Binding> {
    let k = m.constant("?k");
    when(m.is_whole("?a") && m.is_f32("?a") && k.is_some_and(f32::is_finite))
}
