//! The matrix product.

use super::{ReferenceError, floats, integers};
use crate::data::Tensor;
use std::ops::Range;
use tilewright_ir::DType;
use tilewright_ir::graph::Type;

/// Independent sums of one dot product: they keep the adder busy, and their order is the same on every machine.
const LANES: usize = 8;
/// Products of int8 whose sum is far from overflowing an i32.
const BLOCK: usize = 1 << 14;

/// `[M, K] x [N, K] -> [M, N]`: floats accumulate in f64 and are rounded once, to f32; int8 is exact, saturated to i32.
pub(super) fn matmul_nt(a: &Tensor, b: &Tensor, ty: &Type) -> Result<Tensor, ReferenceError> {
    let rows: Vec<usize> = (0..a.matrix().0).collect();
    products(a, b, ty, &[(rows, 0..b.matrix().0)])
}

/// `[G * R, K] x [G * N, K] -> [G * R, N]`: row group g times rows `g * N..` of `b`; rows beyond a group's count are 0.
pub(super) fn grouped_matmul_nt(
    a: &Tensor,
    b: &Tensor,
    ty: &Type,
    counts: &[usize],
) -> Result<Tensor, ReferenceError> {
    let groups = counts.len().max(1);
    let (height, n) = (a.matrix().0 / groups, b.matrix().0 / groups);
    let parts: Vec<_> = counts
        .iter()
        .enumerate()
        .map(|(g, count)| {
            let rows = (g * height..g * height + count).collect();
            (rows, g * n..(g + 1) * n)
        })
        .collect();
    products(a, b, ty, &parts)
}

/// Rows of the left operand, and those of the right one that they are multiplied with.
type Part = (Vec<usize>, Range<usize>);

/// The rows of an operand.
struct Rows<'a, T> {
    values: &'a [T],
    columns: usize,
}

impl<T> Rows<'_, T> {
    fn row(&self, row: usize) -> &[T] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }
}

/// For each part, all dot products of the listed rows of `a` with a range of rows of `b`.
fn products(a: &Tensor, b: &Tensor, ty: &Type, parts: &[Part]) -> Result<Tensor, ReferenceError> {
    let (rows, n) = ty.matrix();
    let columns = a.matrix().1;
    if a.dtype == DType::I8 {
        let [x, y] = [&a.bytes, &b.bytes].map(|values| Rows { values, columns });
        let mut out = vec![0i64; rows * n];
        for part in parts {
            product(&x, &y, part, (&mut out, n), dot_int8);
        }
        return Ok(integers(ty, &out)?);
    }
    let (x, y) = (a.to_f32(), b.to_f32());
    let [x, y] = [&x, &y].map(|values| Rows { values, columns });
    let mut out = vec![0f32; rows * n];
    for part in parts {
        product(&x, &y, part, (&mut out, n), |a, b| dot(a, b) as f32);
    }
    Ok(floats(ty, &out)?)
}

/// The exact product of two rows of int8: blocks whose sums fit in i32 are added in i64.
fn dot_int8(a: &[u8], b: &[u8]) -> i64 {
    let block = |(a, b): (&[u8], &[u8])| {
        let terms = a
            .iter()
            .zip(b)
            .map(|(x, y)| i32::from(*x as i8) * i32::from(*y as i8));
        i64::from(terms.sum::<i32>())
    };
    a.chunks(BLOCK).zip(b.chunks(BLOCK)).map(block).sum()
}

/// The dot products of a part's rows, into a result of `n` columns. A row of `b` stays in the cache while all rows of `a`
/// pass.
fn product<T, U>(
    a: &Rows<T>,
    b: &Rows<T>,
    (left, right): &Part,
    (out, n): (&mut [U], usize),
    dot: impl Fn(&[T], &[T]) -> U,
) {
    if left.is_empty() {
        return;
    }
    for (column, at) in right.clone().enumerate() {
        let other = b.row(at);
        for row in left {
            out[row * n + column] = dot(a.row(*row), other);
        }
    }
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
