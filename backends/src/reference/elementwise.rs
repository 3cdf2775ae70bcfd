//! Element-wise primitives and the two broadcasts.

use super::{ReferenceError, floats, integers};
use crate::data::{Tensor, arith};
use tilewright_ir::graph::{Binary, Type, Unary};

/// `op(x)`.
pub(super) fn unary(op: Unary, x: &Tensor, ty: &Type) -> Result<Tensor, ReferenceError> {
    if x.dtype.is_float() {
        let values: Vec<f32> = x
            .to_f32()
            .into_iter()
            .map(|x| arith::unary(op, x))
            .collect();
        return Ok(floats(ty, &values)?);
    }
    // Inference lets integers only into what they have.
    let values: Vec<i64> = x
        .to_i64()
        .into_iter()
        .filter_map(|x| arith::unary_int(op, x))
        .collect();
    Ok(integers(ty, &values)?)
}

/// `x op value`.
pub(super) fn scalar(
    op: Binary,
    x: &Tensor,
    value: f32,
    ty: &Type,
) -> Result<Tensor, ReferenceError> {
    pairwise(op, x, &constant(value), |_| 0, ty, Order::AsGiven)
}

/// `value op x`.
pub(super) fn scalar_left(
    op: Binary,
    value: f32,
    x: &Tensor,
    ty: &Type,
) -> Result<Tensor, ReferenceError> {
    pairwise(op, x, &constant(value), |_| 0, ty, Order::Swapped)
}

/// `a op b`, both of one shape.
pub(super) fn binary(
    op: Binary,
    a: &Tensor,
    b: &Tensor,
    ty: &Type,
) -> Result<Tensor, ReferenceError> {
    pairwise(op, a, b, |i| i, ty, Order::AsGiven)
}

/// `x[r, c] op column[r]`.
pub(super) fn row_binary(
    op: Binary,
    x: &Tensor,
    column: &Tensor,
    ty: &Type,
) -> Result<Tensor, ReferenceError> {
    let (_, columns) = x.matrix();
    pairwise(op, x, column, |i| i / columns, ty, Order::AsGiven)
}

/// `x[r, c] op row[c]`.
pub(super) fn col_binary(
    op: Binary,
    x: &Tensor,
    row: &Tensor,
    ty: &Type,
) -> Result<Tensor, ReferenceError> {
    let (_, columns) = x.matrix();
    pairwise(op, x, row, |i| i % columns, ty, Order::AsGiven)
}

/// `x[g * R + r, c] op row[g, c]`.
pub(super) fn group_col_binary(
    op: Binary,
    x: &Tensor,
    row: &Tensor,
    ty: &Type,
    groups: usize,
) -> Result<Tensor, ReferenceError> {
    let (rows, columns) = x.matrix();
    let height = (rows / groups.max(1)).max(1);
    let partner = |i| i / columns / height * columns + i % columns;
    pairwise(op, x, row, partner, ty, Order::AsGiven)
}

/// The one column of `x` in every column of the result.
pub(super) fn repeat_cols(x: &Tensor, ty: &Type) -> Result<Tensor, ReferenceError> {
    let (_, columns) = ty.matrix();
    let bytes = x.bytes.chunks_exact(x.dtype.bytes());
    let bytes = bytes.flat_map(|b| b.repeat(columns)).collect();
    Ok(Tensor::new(ty.dtype, ty.sizes(), bytes)?)
}

/// Which of the two operands stands on the left.
#[derive(Clone, Copy)]
enum Order {
    AsGiven,
    Swapped,
}

/// `x[i] op other[partner(i)]`, or swapped.
fn pairwise(
    op: Binary,
    x: &Tensor,
    other: &Tensor,
    partner: impl Fn(usize) -> usize,
    ty: &Type,
    order: Order,
) -> Result<Tensor, ReferenceError> {
    if x.dtype.is_float() {
        let (a, b) = (x.to_f32(), other.to_f32());
        let values: Vec<f32> = (0..a.len())
            .map(|i| match (a[i], b[partner(i)], order) {
                (x, y, Order::AsGiven) => arith::binary(op, x, y),
                (x, y, Order::Swapped) => arith::binary(op, y, x),
            })
            .collect();
        return Ok(floats(ty, &values)?);
    }
    let (a, b) = (x.to_i64(), other.to_i64());
    let values: Vec<i64> = (0..a.len())
        .filter_map(|i| match (a[i], b[partner(i)], order) {
            (x, y, Order::AsGiven) => arith::binary_int(op, x, y),
            (x, y, Order::Swapped) => arith::binary_int(op, y, x),
        })
        .collect();
    Ok(integers(ty, &values)?)
}

/// A constant as a scalar; on integers inference has checked that it is one.
fn constant(value: f32) -> Tensor {
    Tensor::scalar(tilewright_ir::DType::F32, crate::data::Scalar::Float(value))
}
