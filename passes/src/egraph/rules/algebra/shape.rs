//! Masks and padding: what is computed beside them.

use super::{constant, rule};
use crate::egraph::rules::{Binding, Line, Match, Rule, line_if, when};
use crate::numerics::Numerics;
use crate::term::language::Head;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{Binary, NEG_MAX, Operator};

pub(super) fn rules(heads: &[Head]) -> Vec<Rule> {
    vec![
        rule(
            "mask-last",
            Numerics::Bitwise,
            "masks rows after an element-wise function instead of before it",
            "the function of +0 is +0, so the masked rows are the same",
            operators(heads).flat_map(masked).collect(),
        ),
        rule(
            "pad-last",
            Numerics::Bitwise,
            "pads after an element-wise function instead of before it",
            "the function of the padding is computed once, with the arithmetic of the vector unit",
            operators(heads).flat_map(padded).collect(),
        ),
        rule(
            "extremum-of-padded",
            Numerics::Bitwise,
            "reduces the data alone, and takes the padding in at the end",
            "maxima and minima are associative",
            ["max", "min"]
                .into_iter()
                .map(|f| {
                    line_if(
                        format!("(row_{f} (pad_cols ?a ?w ?k))"),
                        format!("(s.{f} (row_{f} ?a) ?k)"),
                        |m| when(is_padded(m)),
                    )
                })
                .collect(),
        ),
        rule(
            "sum-of-padded",
            Numerics::Reassociate,
            "sums the data alone",
            "the padding is zeros",
            vec![line_if(
                "(row_sum (pad_cols ?a ?w 0.0))",
                "(row_sum ?a)",
                |m| when(m.is_whole("?a")),
            )],
        ),
        rule(
            "sort-unpadded",
            Numerics::Relaxed,
            "sorts the data alone",
            "padding with minus infinity comes after all data, of equal elements the first comes first, and \
             there is data enough",
            vec![line_if(
                format!("(top_k (pad_cols ?a ?w {NEG_MAX:?}) ?k)"),
                "(top_k ?a ?k)",
                |m| {
                    // What the sorter takes.
                    let cols = m.cols("?a");
                    let sorts = cols >= m.limits().sort_run && cols.is_power_of_two();
                    when(sorts && cols < m.num("?w") && m.num("?k") <= cols && m.is_f32("?a"))
                },
            )],
        ),
    ]
}

fn operators(heads: &[Head]) -> impl Iterator<Item = Operator> {
    heads.iter().filter_map(|head| match head {
        Head::Op(operator) => Some(*operator),
        _ => None,
    })
}

fn is_padded(m: &Match) -> bool {
    m.is_whole("?a") && m.cols("?a") < m.num("?w")
}

/// `f(mask x) = mask(f(x))` where f(+0) is +0.
fn masked(operator: Operator) -> Vec<Line> {
    let whole = |m: &Match| when(m.is_whole("?a"));
    let one = || {
        vec![line_if(
            format!("({operator} (mask_rows ?a ?n))"),
            format!("(mask_rows ({operator} ?a) ?n)"),
            whole,
        )]
    };
    let with_constant = |holds: fn(f32) -> bool| {
        vec![line_if(
            format!("({operator} (mask_rows ?a ?n) ?k)"),
            format!("(mask_rows ({operator} ?a ?k) ?n)"),
            move |m| when(m.is_whole("?a") && m.constant("?k").is_some_and(holds)),
        )]
    };
    match operator {
        Operator::Cast(..) => one(),
        Operator::Unary(f) if f.row().keeps_zero => one(),
        Operator::Scalar(Binary::Mul | Binary::Div) => with_constant(|k| k.is_normal() && k > 0.0),
        Operator::Scalar(Binary::Max) => with_constant(|k| k <= 0.0),
        Operator::Scalar(Binary::Min) => with_constant(|k| k >= 0.0 && k.is_sign_positive()),
        Operator::Binary(b) if b != Binary::Div => vec![line_if(
            format!("({operator} (mask_rows ?a ?n) (mask_rows ?b ?n))"),
            format!("(mask_rows ({operator} ?a ?b) ?n)"),
            whole,
        )],
        _ => vec![],
    }
}

/// `f(pad x v) = pad(f(x), f(v))`, in f32.
fn padded(operator: Operator) -> Vec<Line> {
    let one = format!("({operator} (pad_cols ?a ?w ?j))");
    let one_right = format!("(pad_cols ({operator} ?a) ?w ?z)");
    let with_constant = |f: fn(f32, f32) -> f32| {
        vec![line_if(
            format!("({operator} (pad_cols ?a ?w ?j) ?k)"),
            format!("(pad_cols ({operator} ?a ?k) ?w ?z)"),
            move |m| padding(m, f),
        )]
    };
    match operator {
        Operator::Unary(f) => match f.row().exact {
            Some(f) => vec![line_if(one, one_right, move |m| padding(m, |j, _| f(j)))],
            None => vec![],
        },
        Operator::Cast(DType::F32, _) => vec![line_if(one, one_right, narrow_padding)],
        Operator::Scalar(Binary::Add) => with_constant(|j, k| j + k),
        Operator::Scalar(Binary::Sub) => with_constant(|j, k| j - k),
        Operator::Scalar(Binary::Mul) => with_constant(|j, k| j * k),
        Operator::Scalar(Binary::Div) => with_constant(|j, k| j / k),
        Operator::ScalarLeft(Binary::Sub) => with_constant(|j, k| k - j),
        Operator::ScalarLeft(Binary::Div) => with_constant(|j, k| k / j),
        _ => vec![],
    }
}

/// `?z` is `f` of the padding `?j` and the constant `?k`, where that is a number.
fn padding(m: &Match, f: impl Fn(f32, f32) -> f32) -> Vec<Binding> {
    let Some(j) = m.constant("?j") else {
        return vec![];
    };
    let z = f(j, m.constant("?k").unwrap_or(0.0));
    match is_padded(m) && m.is_f32("?a") && z.is_finite() {
        true => vec![vec![constant("?z", z)]],
        false => vec![],
    }
}

/// A padding that the narrow type holds stays what it is; which one does is known of zero and of small whole numbers.
fn narrow_padding(m: &Match) -> Vec<Binding> {
    let Some(j) = m.constant("?j") else {
        return vec![];
    };
    let exact = j.fract() == 0.0 && j.abs() <= 128.0;
    let float = m.dtype("?a").is_some_and(|d| d.is_float());
    match is_padded(m) && float && exact {
        true => vec![vec![constant("?z", j)]],
        false => vec![],
    }
}
