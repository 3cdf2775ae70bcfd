//! Casts: where they stand, and which are not needed.

use super::{Contexts, rule};
use crate::egraph::rules::{Line, Match, Rule, line_if, when};
use crate::numerics::Numerics;
use crate::term::language::Head;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{Binary, Operator, Reduce, Unary};

pub(super) fn rules(heads: &[Head], contexts: &Contexts) -> Vec<Rule> {
    vec![
        rule(
            "narrow-of-widened",
            Numerics::Bitwise,
            "drops a widening cast whose result is cast back",
            "every value of the narrow type is one of the wide type, so the way back finds it again",
            pairs(heads, Head::widens)
                .flat_map(|(wide, narrow)| {
                    contexts.lines(
                        &format!("({narrow} ({wide} ?x))"),
                        "?x",
                        same_as_outer(narrow),
                    )
                })
                .collect(),
        ),
        rule(
            "drop-rounding",
            Numerics::Relaxed,
            "drops a narrowing cast whose result is widened again and summed",
            "a sum averages the roundings of its terms out. Other readers keep the cast: a rounding to integers, say, would \
             turn what is lost here into whole steps. The value between is finite in the narrow type",
            pairs(heads, Head::widens)
                .flat_map(|(wide, narrow)| {
                    let term = format!("({wide} ({narrow} ?x))");
                    ["(row_sum {})", "(matmul_nt {} ?b)", "(matmul_nt ?b {})"].map(|sum| {
                        line_if(sum.replace("{}", &term), sum.replace("{}", "?x"), |m| {
                            when(m.is_whole("?x") && m.is_f32("?x"))
                        })
                    })
                })
                .collect(),
        ),
        rule(
            "magnitude-of-rounded",
            Numerics::Bitwise,
            "rounds magnitudes instead of taking magnitudes of what is rounded",
            "rounding to nearest or towards zero does not depend on the sign",
            pairs(heads, Head::widens)
                .filter(|(_, narrow)| {
                    use tilewright_ir::dtype::Round;
                    matches!(
                        narrow,
                        Head::Op(Operator::Cast(_, Round::Rint | Round::Round | Round::Trunc))
                    )
                })
                .map(|(wide, narrow)| {
                    line_if(
                        format!("(abs ({wide} ({narrow} ?a)))"),
                        format!("({wide} ({narrow} (abs ?a)))"),
                        rounded,
                    )
                })
                .collect(),
        ),
        rule(
            "extremum-of-rounded",
            Numerics::Bitwise,
            "rounds a row's extremum instead of every element",
            "rounding is monotone, so the extremum of what is rounded is the rounded extremum; NaN passes through both",
            pairs(heads, Head::widens)
                .flat_map(|(wide, narrow)| {
                    ["max", "min"].map(|r| {
                        line_if(
                            format!("(row_{r} ({wide} ({narrow} ?a)))"),
                            format!("({wide} ({narrow} (row_{r} ?a)))"),
                            rounded,
                        )
                    })
                })
                .collect(),
        ),
        rule(
            "see-through-buffer",
            Numerics::Relaxed,
            "treats a value that lies in global memory as what was stored there, so that algebra reaches across kernels",
            "the buffer holds the value; sums over it take the order of the loop that they get where they are computed",
            contexts
                .0
                .iter()
                .filter(|c| !c.starts_with("(tile"))
                .map(|c| {
                    line_if(c.replace("{}", "(buf ?n ?x)"), c.replace("{}", "?x"), |m| {
                        when(m.is_whole("?x"))
                    })
                })
                .collect(),
        ),
        rule(
            "compute-narrow",
            Numerics::Bitwise,
            "computes signs and extrema in the narrow type, and widens the result",
            "the result is one of the operands but for its sign, so it is exact in the narrow type. Vector cores compute \
             in f16 but not in bf16",
            heads
                .iter()
                .filter(|h| matches!(h, Head::Op(Operator::Cast(DType::F32, _))))
                .flat_map(narrow_lines)
                .collect(),
        ),
    ]
}

impl Head {
    /// Whether this casts to a type that holds all values of the other's.
    fn widens(self, other: Head) -> bool {
        match (self, other) {
            (Head::Op(Operator::Cast(wide, _)), Head::Op(Operator::Cast(narrow, _))) => {
                wide == DType::F32 && narrow.is_float() && narrow != wide && narrow.widens_to(wide)
            }
            _ => false,
        }
    }
}

fn pairs(
    heads: &[Head],
    fits: fn(Head, Head) -> bool,
) -> impl Iterator<Item = (Head, Head)> + use<'_> {
    let all = heads.iter().flat_map(|a| heads.iter().map(|b| (*a, *b)));
    all.filter(move |(a, b)| fits(*a, *b))
}

fn rounded(m: &Match) -> Vec<super::Binding> {
    when(m.is_whole("?a") && m.is_f32("?a"))
}

/// `?x` has the type that the outer cast restores.
fn same_as_outer(narrow: Head) -> fn(&Match) -> Vec<super::Binding> {
    match narrow {
        Head::Op(Operator::Cast(DType::Bf16, _)) => {
            |m| when(m.is_whole("?x") && m.dtype("?x") == Some(DType::Bf16))
        }
        _ => |m| when(m.is_whole("?x") && m.dtype("?x") == Some(DType::F16)),
    }
}

fn narrow_lines(cast: &Head) -> Vec<Line> {
    let half = |m: &Match| when(m.is_whole("?a") && m.dtype("?a") == Some(DType::F16));
    let both = |m: &Match| {
        let is = |v| m.dtype(v) == Some(DType::F16);
        when(m.is_whole("?a") && is("?a") && is("?b"))
    };
    let one = Unary::ALL.into_iter().filter(|f| f.row().selects);
    let rows = Reduce::ALL
        .into_iter()
        .filter(|r| r.combine().row().selects);
    let one = one.map(Operator::Unary).chain(rows.map(Operator::Reduce));
    let mut lines: Vec<Line> = one
        .map(|f| {
            line_if(
                format!("({f} ({cast} ?a))"),
                format!("({cast} ({f} ?a))"),
                half,
            )
        })
        .collect();
    for b in Binary::ALL.into_iter().filter(|b| b.row().selects) {
        for f in [
            Operator::Binary(b),
            Operator::RowBinary(b),
            Operator::ColBinary(b),
        ] {
            lines.push(line_if(
                format!("({f} ({cast} ?a) ({cast} ?b))"),
                format!("({cast} ({f} ?a ?b))"),
                both,
            ));
        }
    }
    lines
}
