//! Constants: size expressions over named sizes, and floats. All arithmetic is checked.

use super::LowerError;
use super::ast::*;
use super::ops;
use crate::graph::NEG_MAX;
use indexmap::IndexMap;
use std::ops::RangeInclusive;

/// The value of a constant expression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    pub(super) fn float(self) -> f64 {
        match self {
            Number::Int(i) => i as f64,
            Number::Float(f) => f,
        }
    }
}

/// The params with their values, in order.
pub(super) type Scope = IndexMap<String, Number>;

/// The most negative finite f32, by name.
pub(super) const LOWEST: &str = "lowest";

/// The value of an expression over params.
pub(super) fn number(scope: &Scope, expr: &Expr) -> Result<Number, LowerError> {
    match &expr.kind {
        ExprKind::Number(text) => match text.parse::<i64>() {
            Ok(i) => Ok(Number::Int(i)),
            Err(_) => match text.parse::<f64>() {
                Ok(f) => Ok(Number::Float(f)),
                Err(_) => Err(problem(
                    expr.span,
                    format!("`{text}` is not a number"),
                    "write it as in `8`, `1.5` or `1e-6`",
                )),
            },
        },
        ExprKind::Name(name) => match scope.get(name) {
            Some(n) => Ok(*n),
            None if name == LOWEST => Ok(Number::Float(f64::from(NEG_MAX))),
            None => Err(LowerError::UnknownName {
                name: name.clone(),
                span: expr.span.into(),
                help: super::suggest(
                    name,
                    scope.keys().map(String::as_str),
                    "a constant is made of numbers and of params declared above it",
                ),
            }),
        },
        ExprKind::Index { .. } => Err(problem(
            expr.span,
            format!("`{}` is not a constant", super::print_expr(expr)),
            "constants are made with + - * / % and max(a, b), min(a, b)",
        )),
        ExprKind::Paren(inner) => number(scope, inner),
        ExprKind::Negate(inner) => match number(scope, inner)? {
            Number::Int(i) => checked(i.checked_neg(), expr),
            Number::Float(f) => Ok(Number::Float(-f)),
        },
        ExprKind::Infix { op, left, right } => {
            let (l, r) = (number(scope, left)?, number(scope, right)?);
            let name = match op {
                Infix::Add => "add",
                Infix::Sub => "sub",
                Infix::Mul => "mul",
                Infix::Div => "div",
                Infix::Rem => "rem",
            };
            fold(name, l, r, expr)
        }
        ExprKind::Call { name, args, attrs } => match (&args[..], &attrs[..]) {
            ([left, right], [])
                if ops::find(&name.name)
                    .is_some_and(|s| matches!(s.form, ops::Form::Arithmetic(_))) =>
            {
                let (l, r) = (number(scope, left)?, number(scope, right)?);
                fold(&name.name, l, r, expr)
            }
            _ => Err(problem(
                expr.span,
                format!("`{name}(...)` is not a constant"),
                "constants are made with + - * / % and max(a, b), min(a, b)",
            )),
        },
    }
}

fn fold(op: &str, l: Number, r: Number, expr: &Expr) -> Result<Number, LowerError> {
    let zero = || {
        problem(
            expr.span,
            format!("`{}` divides by zero", super::print_expr(expr)),
            "change the divisor, or the param that makes it zero",
        )
    };
    if let (Number::Int(l), Number::Int(r)) = (l, r) {
        return match op {
            "add" => checked(l.checked_add(r), expr),
            "sub" => checked(l.checked_sub(r), expr),
            "mul" => checked(l.checked_mul(r), expr),
            "div" | "rem" if r == 0 => Err(zero()),
            "div" => checked(l.checked_div(r), expr),
            "rem" => checked(l.checked_rem(r), expr),
            "max" => Ok(Number::Int(l.max(r))),
            _ => Ok(Number::Int(l.min(r))),
        };
    }
    let (l, r) = (l.float(), r.float());
    let value = match op {
        "add" => l + r,
        "sub" => l - r,
        "mul" => l * r,
        "div" if r == 0.0 => return Err(zero()),
        "div" => l / r,
        "rem" => {
            return Err(problem(
                expr.span,
                format!(
                    "`{}` takes a remainder of a fraction",
                    super::print_expr(expr)
                ),
                "a remainder is of whole numbers",
            ));
        }
        "max" => l.max(r),
        _ => l.min(r),
    };
    checked_float(value, expr)
}

fn checked(value: Option<i64>, expr: &Expr) -> Result<Number, LowerError> {
    match value {
        Some(i) => Ok(Number::Int(i)),
        None => Err(overflow(expr)),
    }
}

fn checked_float(value: f64, expr: &Expr) -> Result<Number, LowerError> {
    if value.is_finite() {
        Ok(Number::Float(value))
    } else {
        Err(overflow(expr))
    }
}

fn overflow(expr: &Expr) -> LowerError {
    problem(
        expr.span,
        format!("`{}` overflows", super::print_expr(expr)),
        "whole numbers lie between -2^63 and 2^63, floats within their type: use smaller ones",
    )
}

fn problem(span: Span, problem: String, help: &str) -> LowerError {
    LowerError::SizeExpression {
        problem,
        span: span.into(),
        help: help.into(),
    }
}

/// A whole number.
pub(super) fn integer(scope: &Scope, expr: &Expr) -> Result<i64, LowerError> {
    match number(scope, expr)? {
        Number::Int(i) => Ok(i),
        Number::Float(f) => Err(problem(
            expr.span,
            format!("`{}` is {f}, not a whole number", super::print_expr(expr)),
            "sizes, bounds and conditions are whole numbers",
        )),
    }
}

/// A size: a whole number in a range; `what` says in messages what it is the size of.
pub(super) fn size(
    scope: &Scope,
    expr: &Expr,
    what: &'static str,
    range: RangeInclusive<usize>,
) -> Result<usize, LowerError> {
    let value = integer(scope, expr)?;
    match usize::try_from(value) {
        Ok(size) if range.contains(&size) => Ok(size),
        _ => Err(LowerError::Size {
            what,
            expression: super::print_expr(expr),
            value,
            span: expr.span.into(),
            help: format!("give {} to {}", range.start(), range.end()),
        }),
    }
}

/// An f32. A literal is rounded once, from its digits.
pub(super) fn float(scope: &Scope, expr: &Expr) -> Result<f32, LowerError> {
    let value = match &expr.kind {
        ExprKind::Number(text) => text.parse::<f32>().unwrap_or(f32::NAN),
        ExprKind::Negate(inner) => match &inner.kind {
            ExprKind::Number(text) => -text.parse::<f32>().unwrap_or(f32::NAN),
            _ => number(scope, expr)?.float() as f32,
        },
        _ => number(scope, expr)?.float() as f32,
    };
    if value.is_finite() {
        Ok(value)
    } else {
        Err(problem(
            expr.span,
            format!("`{}` does not fit an f32", super::print_expr(expr)),
            "the largest f32 is about 3.4e38",
        ))
    }
}
