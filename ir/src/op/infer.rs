//! Result types of operations: the one place that knows which shapes and element types an operation takes.
//!
//! Sizes are compared, axes are carried: a result's dimension keeps the axis name of the operand's dimension it comes from.

use super::check::Check;
use super::{Binary, Op, OpError, Prim, Ragged, Type};

/// The types of an operation's results, from those of its operands, in a graph of so many ranks.
///
/// [`Op::Input`] has no operands to infer from: its type is its declaration's, and the result here is empty.
///
/// # Errors
///
/// A [`OpError`] that names the operation, the operand and the sizes: a wrong number of operands, an element type or a
/// shape that the operation does not take, or an attribute out of range.
pub fn infer(op: &Op, operands: &[Type], ranks: usize) -> Result<Vec<Type>, OpError> {
    if operands.len() != op.arity() {
        return Err(OpError::OperandCount {
            op: op.name().into(),
            expected: op.arity(),
            found: operands.len(),
        });
    }
    match op {
        Op::Input => Ok(vec![]),
        Op::Prim(p) => Ok(vec![prim(p, operands)?]),
        Op::Composite(call) => call.infer(operands, ranks),
        Op::Exchange(call) => call.infer(operands, ranks),
    }
}

/// Checks that exchanges get rows that are counted by the operand that they say. [`infer`] knows no names, so it cannot.
///
/// # Errors
///
/// [`OpError::Counts`], and as [`infer`].
pub fn check_counts(op: &Op, operands: &[(&str, &Type)], ranks: usize) -> Result<(), OpError> {
    match op {
        Op::Input | Op::Prim(_) => Ok(()),
        Op::Exchange(call) => call.check_counts(operands),
        Op::Composite(call) if !call.definition().exchanges() => Ok(()),
        Op::Composite(call) => {
            let types: Vec<Type> = operands.iter().map(|(_, ty)| (*ty).clone()).collect();
            let body = call.expand(&types, ranks)?;
            for step in &body.steps {
                let named = |v: &usize| match operands.get(*v) {
                    Some(operand) => *operand,
                    None => ("what a line of the definition gives", &body.types[*v]),
                };
                let operands: Vec<(&str, &Type)> = step.operands.iter().map(named).collect();
                check_counts(&step.op, &operands, ranks)?;
            }
            Ok(())
        }
    }
}

/// The type of a primitive's result, for as many operands as it takes.
fn prim(prim: &Prim, operands: &[Type]) -> Result<Type, OpError> {
    let (operator, numbers) = prim.operator();
    let primitive = operator.primitive();
    let check = Check {
        op: operator.row().name,
        prim,
        operands,
    };
    (primitive.check)(&check)?;
    let ragged = check.ragged(primitive.shape.by_rows())?.cloned();
    let ty = primitive.shape.ty(operator, &numbers, operands);
    Ok(ty.with_ragged(ragged))
}

/// Names the counts that are results or operands of the same operation: inference, which knows no names, writes `#k` for result
/// k and `@k` for operand k.
pub fn name_counts(types: Vec<Type>, results: &[&str], operands: &[&str]) -> Vec<Type> {
    let named = |ragged: Ragged| {
        let place = |prefix, names: &[&str]| {
            let k: usize = ragged.counts.strip_prefix(prefix)?.parse().ok()?;
            names.get(k).map(|n| n.to_string())
        };
        match place('#', results).or_else(|| place('@', operands)) {
            Some(name) => Ragged {
                counts: name,
                ..ragged
            },
            None => ragged,
        }
    };
    types
        .into_iter()
        .map(|t| Type {
            ragged: t.ragged.map(named),
            ..t
        })
        .collect()
}

/// The element-wise form of `op` for two operand types: of one shape, `[R, C] op [R, 1]`, `[R, C] op [C]`, or ragged
/// `[G * R, C] op [G, C]`. The flag says that the operands must be swapped, which only happens when `op` commutes.
///
/// # Errors
///
/// [`OpError::Shapes`] when no form fits.
pub fn pair(op: Binary, left: &Type, right: &Type) -> Result<(Prim, bool), OpError> {
    let grouped = |matrix: &Type, other: &Type| {
        let groups = matrix.ragged.as_ref().map(|r| r.groups);
        groups.is_some() && other.ragged.is_none() && other.shape.len() == 2 && {
            let (rows, cols) = other.matrix();
            groups == Some(rows) && cols == matrix.matrix().1
        }
    };
    if left.shape == right.shape && !grouped(left, right) && !grouped(right, left) {
        return Ok((Prim::Binary(op), false));
    }
    let broadcast = |matrix: &Type, other: &Type| match (&matrix.shape[..], &other.shape[..]) {
        _ if grouped(matrix, other) => Some(Prim::GroupColBinary(op)),
        ([r, _], [other_r, one]) if r == other_r && one.size == 1 => Some(Prim::RowBinary(op)),
        ([_, c], [other_c]) if c == other_c => Some(Prim::ColBinary(op)),
        _ => None,
    };
    if let Some(prim) = broadcast(left, right) {
        return Ok((prim, false));
    }
    let swapped = broadcast(right, left);
    match swapped {
        Some(prim) if op.commutes() => Ok((prim, true)),
        _ => Err(OpError::Shapes {
            op: op.name().into(),
            left: left.clone(),
            right: right.clone(),
            remedy: if swapped.is_some() {
                "only the second operand is broadcast, so put the matrix first (negate, or divide one by it)".into()
            } else {
                "give both one shape, or make the second one element a row, [R, 1], or one a column, [C]".into()
            },
        }),
    }
}
