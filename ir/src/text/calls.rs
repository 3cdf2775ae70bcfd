//! Calls against the table of operations: names, counts of operands, attributes. No sizes or types yet.

use super::ast::{Expr, ExprKind, Ident, Infix, Span};
use super::ops::{self, OpSpec};
use super::{LowerError, exchanges, suggest};
use crate::exchange::Definition;
use indexmap::IndexMap;

type Lowered<T> = Result<T, LowerError>;

/// Every call names an operation of the table, with its operands and attributes.
pub(super) fn check_calls(expr: &Expr, exchanges: &IndexMap<String, Definition>) -> Lowered<()> {
    let check_calls = |expr: &Expr| check_calls(expr, exchanges);
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::Name(_) => Ok(()),
        ExprKind::Negate(inner) | ExprKind::Paren(inner) => check_calls(inner),
        ExprKind::Index { .. } | ExprKind::Infix { op: Infix::Rem, .. } => {
            Err(of_an_exchange(expr))
        }
        ExprKind::Infix { left, right, .. } => {
            check_calls(left)?;
            check_calls(right)
        }
        ExprKind::Call { name, args, attrs } => {
            // What an exchange takes is said where its sizes are known.
            if exchanges::find(exchanges, &name.name).is_none() {
                check_call(name, args, attrs, expr.span)?;
            }
            args.iter().try_for_each(check_calls)
        }
    }
}

/// A form of expression that an exchange has and a kernel has not.
pub(super) fn of_an_exchange(expr: &Expr) -> LowerError {
    LowerError::Expression {
        problem: format!(
            "`{}` is no operation on whole values",
            super::print_expr(expr)
        ),
        span: expr.span.into(),
        help: "elements and remainders are for sizes and exchanges: take columns with slice_cols, rows with gather_rows".into(),
    }
}

/// The table's line for a call, when its operands and attributes are the table's.
pub(super) fn check_call(
    name: &Ident,
    args: &[Expr],
    attrs: &[(Ident, Expr)],
    span: Span,
) -> Lowered<&'static OpSpec> {
    let Some(spec) = ops::find(&name.name) else {
        let names = ops::OPS.iter().map(|s| s.name);
        return Err(LowerError::UnknownOp {
            name: name.name.clone(),
            span: name.span.into(),
            help: suggest(
                &name.name,
                names,
                "the table of operations lists what there is",
            ),
        });
    };
    let wrong = |problem: String, span: Span| {
        Err(LowerError::Arguments {
            problem,
            span: span.into(),
            usage: spec.usage(),
        })
    };
    if args.len() != spec.operands.len() {
        return wrong(
            format!(
                "`{name}` takes {} operands, not {}",
                spec.operands.len(),
                args.len()
            ),
            span,
        );
    }
    for (i, (key, _)) in attrs.iter().enumerate() {
        if !spec.attrs.iter().any(|a| a.name == key.name) {
            return wrong(format!("`{name}` has no attribute `{key}`"), key.span);
        }
        if attrs[..i].iter().any(|(other, _)| other.name == key.name) {
            return wrong(format!("`{key}` is given twice"), key.span);
        }
    }
    for attr in spec.attrs {
        if attr.default.is_none() && !attrs.iter().any(|(key, _)| key.name == attr.name) {
            return wrong(
                format!("`{name}` needs its attribute `{}`", attr.name),
                span,
            );
        }
    }
    Ok(spec)
}
