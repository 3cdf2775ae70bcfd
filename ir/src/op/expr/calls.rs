//! Calls against the table of operations: names, counts of operands, attributes. No sizes or types yet.

use super::super::{Callee, Operations};
use super::ExprError;
use crate::syntax::ast::{Expr, ExprKind, Ident, Span};
use crate::syntax::{nearest, operation, suggest};

type Checked<T> = Result<T, ExprError>;

/// The word that asks for the element type of a value.
pub const DTYPE: &str = "dtype";

/// What a call of an exchange may repeat: the number of ranks that run the graph.
pub const RANKS: &str = "ranks";

/// Every call names an operation, with its operands and attributes.
pub fn check_calls(operations: &Operations, expr: &Expr) -> Checked<()> {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::Name(_) | ExprKind::Index { .. } => Ok(()),
        ExprKind::Negate(inner) | ExprKind::Paren(inner) => check_calls(operations, inner),
        ExprKind::Infix { left, right, .. } => {
            check_calls(operations, left)?;
            check_calls(operations, right)
        }
        ExprKind::Call { name, args, attrs } => {
            check_call(operations, name, args, attrs, expr.span)?;
            args.iter().try_for_each(|arg| check_calls(operations, arg))
        }
    }
}

/// The operation that a call names, when its operands and attributes are the operation's.
pub fn check_call(
    operations: &Operations,
    name: &Ident,
    args: &[Expr],
    attrs: &[(Ident, Expr)],
    span: Span,
) -> Checked<Callee> {
    let Some(callee) = operations.find(&name.name) else {
        return Err(ExprError::UnknownOp {
            name: name.name.clone(),
            span: name.span.into(),
            help: operation(&name.name).unwrap_or_else(|| {
                suggest(
                    &name.name,
                    operations.names(),
                    "the table of operations lists what there is",
                )
            }),
        });
    };
    let wrong = |problem: String, span: Span| {
        Err(ExprError::Arguments {
            problem,
            span: span.into(),
            usage: callee.usage(),
        })
    };
    let operands = callee.operands().len();
    if args.len() != operands {
        let plural = if operands == 1 { "" } else { "s" };
        return wrong(
            format!(
                "`{name}` takes {operands} operand{plural}, not {}",
                args.len()
            ),
            span,
        );
    }
    let specs = callee.attributes();
    for (i, (key, _)) in attrs.iter().enumerate() {
        let repeated = key.name == RANKS && callee.exchanges();
        if !repeated && !specs.iter().any(|a| a.name == key.name) {
            let near = nearest(&key.name, specs.iter().map(|a| a.name));
            let near = near.map_or_else(String::new, |n| format!(": did you mean `{n}`?"));
            return wrong(format!("`{name}` has no attribute `{key}`{near}"), key.span);
        }
        if attrs[..i].iter().any(|(other, _)| other.name == key.name) {
            return wrong(format!("`{key}` is given twice"), key.span);
        }
    }
    for attr in &specs {
        if attr.default.is_none() && !attrs.iter().any(|(key, _)| key.name == attr.name) {
            return wrong(
                format!("`{name}` needs its attribute `{}`", attr.name),
                span,
            );
        }
    }
    drop(specs);
    Ok(callee)
}
