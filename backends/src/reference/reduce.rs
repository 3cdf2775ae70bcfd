//! Row reductions.

use super::{ReferenceError, floats, integers, rows};
use crate::data::{Tensor, arith};
use tilewright_ir::graph::{Reduce, Type};

/// `[R, C] -> [R, 1]`. A sum accumulates in f64 (i128 for integers) and is rounded (saturated) once; NaN goes through.
pub(super) fn row_reduce(op: Reduce, x: &Tensor, ty: &Type) -> Result<Tensor, ReferenceError> {
    if x.dtype.is_float() {
        let values = x.to_f32();
        let reduced: Vec<f32> = rows(&values, x.matrix())
            .map(|row| reduce_row(op, row))
            .collect();
        return Ok(floats(ty, &reduced)?);
    }
    let values = x.to_i64();
    let reduced: Vec<i64> = rows(&values, x.matrix())
        .map(|row| reduce_integers(op, row))
        .collect();
    Ok(integers(ty, &reduced)?)
}

fn reduce_row(op: Reduce, row: &[f32]) -> f32 {
    let join = |a, b: &f32| arith::binary(op.combine(), a, *b);
    match op {
        Reduce::Sum => sum(row),
        Reduce::Max => row.iter().fold(f32::NEG_INFINITY, join),
        Reduce::Min => row.iter().fold(f32::INFINITY, join),
    }
}

/// `[R, C] -> [R, C]`: the sum of a row up to each element, each one as a sum by itself would be.
pub(super) fn cumsum(x: &Tensor, ty: &Type) -> Result<Tensor, ReferenceError> {
    if x.dtype.is_float() {
        let values = x.to_f32();
        let sums = rows(&values, x.matrix()).flat_map(|row| {
            let sums = row.iter().scan(0.0, |sum: &mut f64, x| {
                *sum += f64::from(*x);
                Some(*sum as f32)
            });
            sums.collect::<Vec<f32>>()
        });
        return Ok(floats(ty, &sums.collect::<Vec<f32>>())?);
    }
    let values = x.to_i64();
    let sums = rows(&values, x.matrix())
        .flat_map(|row| (1..=row.len()).map(|n| reduce_integers(Reduce::Sum, &row[..n])));
    Ok(integers(ty, &sums.collect::<Vec<i64>>())?)
}

/// `[R, C] -> [R, 1]`: the product in f64, rounded once.
pub(super) fn row_prod(x: &Tensor, ty: &Type) -> Result<Tensor, ReferenceError> {
    let values = x.to_f32();
    let products = rows(&values, x.matrix())
        .map(|row| row.iter().map(|x| f64::from(*x)).product::<f64>() as f32);
    Ok(floats(ty, &products.collect::<Vec<f32>>())?)
}

/// The sum in f64, rounded once.
pub(super) fn sum(values: &[f32]) -> f32 {
    values.iter().map(|x| f64::from(*x)).sum::<f64>() as f32
}

fn reduce_integers(op: Reduce, row: &[i64]) -> i64 {
    match op {
        Reduce::Sum => {
            let sum: i128 = row.iter().map(|x| i128::from(*x)).sum();
            sum.clamp(i64::MIN.into(), i64::MAX.into()) as i64
        }
        Reduce::Max => row.iter().copied().max().unwrap_or(i64::MIN),
        Reduce::Min => row.iter().copied().min().unwrap_or(i64::MAX),
    }
}
