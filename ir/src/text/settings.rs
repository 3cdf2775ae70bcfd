//! Sizes from data: what params must be, when the tensors are given.

use super::LowerError;
use crate::syntax::ast::{Expr, ExprKind, File, Infix};
use crate::syntax::print_expr;
use indexmap::IndexMap;

/// The settings under which a file fits the tensors that a user has: the explicit ones, and for each input that `shapes` names,
/// the param of each dimension that is just a param. Tensors that the file does not know are left alone.
///
/// # Errors
///
/// [`LowerError::ConflictingSetting`] when two tensors, or a tensor and an explicit setting, ask for different values;
/// [`LowerError::TensorShape`] when a tensor has another rank than its input.
pub fn infer_settings(
    file: &File,
    explicit: &IndexMap<String, i64>,
    shapes: &IndexMap<String, Vec<usize>>,
) -> Result<IndexMap<String, i64>, LowerError> {
    let mut settings = explicit.clone();
    let mut sources: IndexMap<String, String> = explicit
        .keys()
        .map(|k| (k.clone(), "set explicitly".to_string()))
        .collect();
    for input in file.inputs() {
        let Some(shape) = shapes.get(&input.name.name) else {
            continue;
        };
        let Some(dims) = aligned(&input.shape, shape.len()) else {
            let dims: Vec<String> = input.shape.iter().map(print_expr).collect();
            return Err(LowerError::TensorShape {
                name: input.name.name.clone(),
                found: shape.clone(),
                declared: format!("[{}]", dims.join(", ")),
                span: input.name.span.into(),
            });
        };
        for (dim, size) in dims.iter().zip(shape) {
            let ExprKind::Name(name) = &dim.kind else {
                continue;
            };
            let value = i64::try_from(*size).unwrap_or(i64::MAX);
            let source = format!("a dimension of tensor `{}`", input.name);
            match settings.get(name) {
                Some(first) if *first != value => {
                    return Err(LowerError::ConflictingSetting {
                        name: name.clone(),
                        first: *first,
                        first_source: sources.get(name).cloned().unwrap_or_default(),
                        second: value,
                        second_source: source,
                    });
                }
                Some(_) => {}
                None => {
                    settings.insert(name.clone(), value);
                    sources.insert(name.clone(), source);
                }
            }
        }
    }
    Ok(settings)
}

/// The declared dimensions, one a dimension of a tensor of this rank: a tensor may have the factors of a product (`E * R`) as
/// dimensions of their own, and lack a last dimension of one element.
fn aligned(declared: &[Expr], rank: usize) -> Option<Vec<&Expr>> {
    let whole: Vec<&Expr> = declared.iter().collect();
    let split: Vec<&Expr> = declared.iter().flat_map(factors).collect();
    let one = |e: &Expr| matches!(&e.kind, ExprKind::Number(n) if n == "1");
    [whole, split].into_iter().find_map(|mut dims| {
        while dims.len() > rank && dims.last().is_some_and(|e| one(e)) {
            dims.pop();
        }
        (dims.len() == rank).then_some(dims)
    })
}

/// What a product is made of, first to last.
fn factors(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::Infix {
            op: Infix::Mul,
            left,
            right,
        } => [factors(left), factors(right)].concat(),
        ExprKind::Paren(inner) => factors(inner),
        _ => vec![expr],
    }
}
