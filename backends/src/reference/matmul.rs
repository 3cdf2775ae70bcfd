//! The matrix product.

use super::{ReferenceError, floats, integers, rows};
use crate::data::Tensor;
use tilewright_ir::graph::Type;

/// Independent sums of one dot product: they keep the adder busy, and their order is the same on every machine.
const LANES: usize = 8;

/// `[M, K] x [N, K] -> [M, N]`: floats accumulate in f64 and are rounded once, to f32; int8 is exact, saturated to i32.
pub(super) fn matmul_nt(a: &Tensor, b: &Tensor, ty: &Type) -> Result<Tensor, ReferenceError> {
    if a.dtype.is_float() {
        let values = product(a, b, Tensor::to_f32, |a, b| dot(a, b) as f32);
        return Ok(floats(ty, &values)?);
    }
    let values = product(a, b, Tensor::to_i64, |a, b| {
        a.iter().zip(b).map(|(x, y)| x * y).sum()
    });
    Ok(integers(ty, &values)?)
}

/// All dot products of a row of `a` and a row of `b`. A row of `b` stays in the cache while all rows of `a` pass.
fn product<T, U: Copy + Default>(
    a: &Tensor,
    b: &Tensor,
    read: impl Fn(&Tensor) -> Vec<T>,
    dot: impl Fn(&[T], &[T]) -> U,
) -> Vec<U> {
    let (left, right) = (read(a), read(b));
    let ((m, _), (n, _)) = (a.matrix(), b.matrix());
    let mut out = vec![U::default(); m * n];
    for (column, other) in rows(&right, b.matrix()).enumerate() {
        for (row, one) in rows(&left, a.matrix()).enumerate() {
            out[row * n + column] = dot(one, other);
        }
    }
    out
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0f64; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f64 = (a.remainder().iter().zip(b.remainder()))
        .map(|(x, y)| f64::from(*x) * f64::from(*y))
        .sum();
    for (x, y) in a.zip(b) {
        for lane in 0..LANES {
            sums[lane] += f64::from(x[lane]) * f64::from(y[lane]);
        }
    }
    sums.iter().sum::<f64>() + rest
}
