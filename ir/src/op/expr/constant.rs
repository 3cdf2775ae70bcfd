//! Constants: size expressions over named sizes, and floats. All arithmetic is checked.

use super::super::row::Form;
use super::super::{Binary, NEG_MAX, find_row};
use super::ExprError;
use crate::syntax::ast::*;
use crate::syntax::{print_expr, suggest};
use indexmap::IndexMap;
use std::ops::RangeInclusive;

/// The value of a constant expression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    /// The number as a float.
    pub fn float(self) -> f64 {
        match self {
            Number::Int(i) => i as f64,
            Number::Float(f) => f,
        }
    }
}

/// The params with their values, in order.
pub type Scope = IndexMap<String, Number>;

/// Minus infinity, by name: what `pad_cols` fills with so that no padding comes before data.
pub const LOWEST: &str = "lowest";

/// The value of an expression over params.
pub fn number(scope: &Scope, expr: &Expr) -> Result<Number, ExprError> {
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
            None => Err(ExprError::UnknownName {
                name: name.clone(),
                span: expr.span.into(),
                help: suggest(
                    name,
                    scope.keys().map(String::as_str),
                    "a constant is made of numbers and of params declared above it",
                ),
            }),
        },
        ExprKind::Paren(inner) => number(scope, inner),
        ExprKind::Negate(inner) => match number(scope, inner)? {
            Number::Int(i) => checked(i.checked_neg(), expr),
            Number::Float(f) => Ok(Number::Float(-f)),
        },
        ExprKind::Infix { op, left, right } => {
            let (l, r) = (number(scope, left)?, number(scope, right)?);
            match super::binary(*op) {
                Some(op) => fold(op, l, r, expr),
                None => remainder(l, r, expr),
            }
        }
        ExprKind::Call { name, args, attrs } => {
            match (arithmetic(&name.name), &args[..], &attrs[..]) {
                (Some(f), [left, right], []) => {
                    fold(f, number(scope, left)?, number(scope, right)?, expr)
                }
                _ => Err(problem(
                    expr.span,
                    format!("`{name}(...)` is not a constant"),
                    "constants are made with + - * / % and max(a, b), min(a, b)",
                )),
            }
        }
        ExprKind::Index { name, .. } => Err(problem(
            expr.span,
            format!("`{name}[...]` is not a constant"),
            "constants are made with + - * / % and max(a, b), min(a, b)",
        )),
    }
}

/// The function of two numbers that a name stands for.
fn arithmetic(name: &str) -> Option<Binary> {
    match find_row(name)?.form {
        Form::Arithmetic(f) => Some(f),
        Form::Primitive(_) | Form::Built(_) => None,
    }
}

fn fold(op: Binary, l: Number, r: Number, expr: &Expr) -> Result<Number, ExprError> {
    let zero = || {
        problem(
            expr.span,
            format!("`{}` divides by zero", print_expr(expr)),
            "change the divisor, or the param that makes it zero",
        )
    };
    if let (Number::Int(l), Number::Int(r)) = (l, r) {
        return match op {
            Binary::Add => checked(l.checked_add(r), expr),
            Binary::Sub => checked(l.checked_sub(r), expr),
            Binary::Mul => checked(l.checked_mul(r), expr),
            Binary::Div if r == 0 => Err(zero()),
            Binary::Div => checked(l.checked_div(r), expr),
            Binary::Max => Ok(Number::Int(l.max(r))),
            Binary::Min => Ok(Number::Int(l.min(r))),
        };
    }
    let (l, r) = (l.float(), r.float());
    let value = match op {
        Binary::Add => l + r,
        Binary::Sub => l - r,
        Binary::Mul => l * r,
        Binary::Div if r == 0.0 => return Err(zero()),
        Binary::Div => l / r,
        Binary::Max => l.max(r),
        Binary::Min => l.min(r),
    };
    checked_float(value, expr)
}

fn remainder(l: Number, r: Number, expr: &Expr) -> Result<Number, ExprError> {
    match (l, r) {
        (Number::Int(l), Number::Int(r)) if l >= 0 && r > 0 => Ok(Number::Int(l % r)),
        (l, r) => Err(problem(
            expr.span,
            format!("`{}` is {} % {}", print_expr(expr), l.float(), r.float()),
            "a remainder is of a whole number from 0 on, by one from 1 on",
        )),
    }
}

/// Whether a comparison of two constants holds.
pub fn holds(scope: &Scope, condition: &Condition) -> Result<bool, ExprError> {
    let (left, right) = (
        number(scope, &condition.left)?,
        number(scope, &condition.right)?,
    );
    Ok(match (left, right) {
        (Number::Int(l), Number::Int(r)) => condition.op.holds(l, r),
        _ => condition.op.holds(left.float(), right.float()),
    })
}

fn checked(value: Option<i64>, expr: &Expr) -> Result<Number, ExprError> {
    match value {
        Some(i) => Ok(Number::Int(i)),
        None => Err(overflow(expr)),
    }
}

fn checked_float(value: f64, expr: &Expr) -> Result<Number, ExprError> {
    if value.is_finite() {
        Ok(Number::Float(value))
    } else {
        Err(overflow(expr))
    }
}

fn overflow(expr: &Expr) -> ExprError {
    problem(
        expr.span,
        format!("`{}` overflows", print_expr(expr)),
        "whole numbers lie between -2^63 and 2^63, floats within their type: use smaller ones",
    )
}

fn problem(span: Span, problem: String, help: &str) -> ExprError {
    ExprError::SizeExpression {
        problem,
        span: span.into(),
        help: help.into(),
    }
}

/// A whole number.
pub fn integer(scope: &Scope, expr: &Expr) -> Result<i64, ExprError> {
    match number(scope, expr)? {
        Number::Int(i) => Ok(i),
        Number::Float(f) => Err(problem(
            expr.span,
            format!("`{}` is {f}, not a whole number", print_expr(expr)),
            "sizes, bounds and conditions are whole numbers",
        )),
    }
}

/// A size: a whole number in a range; `what` says in messages what it is the size of.
pub fn size(
    scope: &Scope,
    expr: &Expr,
    what: &str,
    range: RangeInclusive<usize>,
) -> Result<usize, ExprError> {
    let value = integer(scope, expr)?;
    match usize::try_from(value) {
        Ok(size) if range.contains(&size) => Ok(size),
        _ => Err(ExprError::Size {
            what: what.into(),
            expression: print_expr(expr),
            value,
            span: expr.span.into(),
            help: format!("give {} to {}", range.start(), range.end()),
        }),
    }
}

/// An f32, or `lowest`, also with a minus before it.
pub fn float_or_lowest(scope: &Scope, expr: &Expr) -> Result<f32, ExprError> {
    match &expr.kind {
        ExprKind::Name(name) if name == LOWEST && !scope.contains_key(name) => Ok(NEG_MAX),
        ExprKind::Negate(inner) if matches!(&inner.kind, ExprKind::Name(n) if n == LOWEST) => {
            float_or_lowest(scope, inner).map(|x| -x)
        }
        _ => float(scope, expr),
    }
}

/// A finite f32. A literal is rounded once, from its digits.
pub fn float(scope: &Scope, expr: &Expr) -> Result<f32, ExprError> {
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
            format!("`{}` does not fit an f32", print_expr(expr)),
            "the largest f32 is about 3.4e38; an infinity stands only for the value that `pad_cols` fills with",
        ))
    }
}
