//! Primitives that place, pick and drop elements.

use super::{ReferenceError, integers, rows};
use crate::data::{Scalar, Tensor};
use std::cmp::Ordering;
use tilewright_ir::graph::Type;

/// `[R, C] -> [R, cols]`: columns from C on hold `value`.
pub(super) fn pad_cols(x: &Tensor, cols: usize, value: f32) -> Result<Tensor, ReferenceError> {
    let (count, columns) = x.matrix();
    let size = x.dtype.bytes();
    let padding = Tensor::scalar(x.dtype, Scalar::Float(value)).bytes;
    let mut bytes = Vec::with_capacity(count * cols * size);
    for row in rows(&x.bytes, (count, columns * size)) {
        bytes.extend_from_slice(row);
        for _ in columns..cols {
            bytes.extend_from_slice(&padding);
        }
    }
    Ok(Tensor::new(x.dtype, [count, cols], bytes)?)
}

/// Columns `from..to`.
pub(super) fn slice_cols(
    x: &Tensor,
    from: usize,
    to: usize,
    ty: &Type,
) -> Result<Tensor, ReferenceError> {
    let (count, columns) = x.matrix();
    let size = x.dtype.bytes();
    let rows = rows(&x.bytes, (count, columns * size));
    let bytes = rows
        .flat_map(|row| &row[from * size..to * size])
        .copied()
        .collect();
    Ok(Tensor::new(ty.dtype, ty.sizes(), bytes)?)
}

/// The columns of `b` after those of `a`.
pub(super) fn concat_cols(a: &Tensor, b: &Tensor, ty: &Type) -> Result<Tensor, ReferenceError> {
    let width = |t: &Tensor| (t.matrix().0, t.matrix().1 * t.dtype.bytes());
    let pairs = rows(&a.bytes, width(a)).zip(rows(&b.bytes, width(b)));
    let bytes = pairs.flat_map(|(a, b)| [a, b].concat()).collect();
    Ok(Tensor::new(ty.dtype, ty.sizes(), bytes)?)
}

/// Rows become columns.
pub(super) fn transpose(x: &Tensor, ty: &Type) -> Result<Tensor, ReferenceError> {
    let ((high, wide), size) = (x.matrix(), x.dtype.bytes());
    let element = |row: usize, col: usize| {
        let at = (row * wide + col) * size;
        &x.bytes[at..at + size]
    };
    let columns = (0..wide).flat_map(|col| (0..high).map(move |row| (row, col)));
    let bytes = columns.flat_map(|(row, col)| element(row, col).to_vec());
    Ok(Tensor::new(ty.dtype, ty.sizes(), bytes.collect())?)
}

/// `[R, C] -> i32 [R, k]`: columns of the k largest, descending; equal values in the order of their columns, -0 equal to
/// +0, and NaN before every number, as the largest element of the row is NaN, too.
pub(super) fn top_k(x: &Tensor, k: usize, ty: &Type) -> Result<Tensor, ReferenceError> {
    let values = x.to_f32();
    let mut picked = Vec::new();
    for row in rows(&values, x.matrix()) {
        let mut order: Vec<usize> = (0..row.len()).collect();
        // Stable, so that ties keep the order of columns.
        order.sort_by(|a, b| descending(row[*a], row[*b]));
        picked.extend(order.into_iter().take(k).map(|column| column as i64));
    }
    Ok(integers(ty, &picked)?)
}

fn descending(a: f32, b: f32) -> Ordering {
    // Only NaN has no order.
    b.partial_cmp(&a)
        .unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// `x [R, C], i32 [R, K] -> [R, K]`: element (r, k) is `x[r, idx[r, k]]`.
pub(super) fn gather_cols(
    x: &Tensor,
    indices: &Tensor,
    ty: &Type,
) -> Result<Tensor, ReferenceError> {
    let picked = picked_columns(x, indices, "gather_cols")?;
    let size = x.dtype.bytes();
    let bytes = picked
        .into_iter()
        .flat_map(|at| &x.bytes[at * size..(at + 1) * size])
        .copied()
        .collect();
    Ok(Tensor::new(ty.dtype, ty.sizes(), bytes)?)
}

/// Where in `x` each index points, row by row; an error that names the first one out of range.
pub(super) fn picked_columns(
    x: &Tensor,
    indices: &Tensor,
    op: &str,
) -> Result<Vec<usize>, ReferenceError> {
    let (_, columns) = x.matrix();
    let given = indices.to_i64();
    let mut picked = Vec::with_capacity(given.len());
    for (row, wanted) in rows(&given, indices.matrix()).enumerate() {
        for (place, value) in wanted.iter().enumerate() {
            let column = in_range(*value, columns).ok_or_else(|| ReferenceError::Index {
                place: op.to_owned(),
                row,
                column: place,
                value: *value,
                limit: columns,
                what: "columns",
            })?;
            picked.push(row * columns + column);
        }
    }
    Ok(picked)
}

/// `table [V, K], i64 [R] -> [R, K]`: row r is `table[ids[r]]`.
pub(super) fn gather_rows(table: &Tensor, ids: &Tensor) -> Result<Tensor, ReferenceError> {
    let (limit, columns) = table.matrix();
    let width = columns * table.dtype.bytes();
    let mut bytes = Vec::new();
    for (row, value) in ids.to_i64().into_iter().enumerate() {
        let id = in_range(value, limit).ok_or_else(|| ReferenceError::Index {
            place: "gather_rows".to_owned(),
            row,
            column: 0,
            value,
            limit,
            what: "rows",
        })?;
        bytes.extend_from_slice(&table.bytes[id * width..(id + 1) * width]);
    }
    Ok(Tensor::new(table.dtype, [ids.len(), columns], bytes)?)
}

/// `x [R, C], i32 [] -> [R, C]`: rows from the count on become zero. The count is from 0 to R.
pub(super) fn mask_rows(x: &Tensor, count: &Tensor) -> Result<Tensor, ReferenceError> {
    let (limit, columns) = x.matrix();
    let value = count.to_i64().first().copied().unwrap_or_default();
    let active = usize::try_from(value)
        .ok()
        .filter(|n| *n <= limit)
        .ok_or_else(|| ReferenceError::Count {
            place: "mask_rows".to_owned(),
            value,
            limit,
        })?;
    let mut masked = x.clone();
    masked.bytes[active * columns * x.dtype.bytes()..].fill(0);
    Ok(masked)
}

fn in_range(value: i64, limit: usize) -> Option<usize> {
    usize::try_from(value).ok().filter(|v| *v < limit)
}
