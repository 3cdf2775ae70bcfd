//! Composites, each from its own definition.

use super::index::picked_columns;
use super::reduce::sum;
use super::{ReferenceError, floats, hyper, integers, result_types, rows};
use crate::data::{Scalar, Tensor, arith, cast_scalar};
use tilewright_ir::graph::{Binary, Composite, INT8_SCALE_MAX, Op, Type};
use tilewright_ir::{DType, Round};

/// The results of one composite.
///
/// # Errors
///
/// As [`super::eval_prim`].
pub fn eval_composite(
    composite: &Composite,
    operands: &[Tensor],
) -> Result<Vec<Tensor>, ReferenceError> {
    if let Composite::Combine { .. } = composite {
        return Err(ReferenceError::Alone { op: "combine" });
    }
    let types = result_types(&Op::Composite(*composite), operands)?;
    let operands: Vec<&Tensor> = operands.iter().collect();
    compute(composite, &operands, &types, None)
}

/// The results of a composite whose operands have the types that it takes; `counts` are the rows of each group of the first.
pub(super) fn compute(
    composite: &Composite,
    operands: &[&Tensor],
    types: &[Type],
    counts: Option<&[usize]>,
) -> Result<Vec<Tensor>, ReferenceError> {
    // Inference has checked the number of operands.
    let x = operands[0];
    match *composite {
        Composite::RmsNorm { eps } => Ok(vec![rms_norm(x, operands[1], eps, &types[0])?]),
        Composite::QuantizeRows { eps } => quantize_rows(x, eps, &types[0], &types[1]),
        Composite::SqrtSoftplus => Ok(vec![sqrt_softplus(x, &types[0])?]),
        Composite::RouteWeights { scale } => {
            Ok(vec![route_weights(x, operands[1], scale, &types[0])?])
        }
        Composite::Combine { .. } => Err(ReferenceError::Alone { op: "combine" }),
        Composite::Dequantize => {
            let groups = counts.map_or(1, <[usize]>::len);
            Ok(vec![dequantize(
                x,
                operands[1],
                operands[2],
                groups,
                &types[0],
            )?])
        }
        Composite::Swiglu { limit } => Ok(vec![swiglu(x, operands[1], limit, &types[0])?]),
        Composite::HcPre {
            norm_eps,
            eps,
            iterations,
        } => hyper::hc_pre(operands, [norm_eps, eps], iterations, types),
        Composite::HcPost => hyper::hc_post(operands, types),
    }
}

/// `x * rsqrt(mean(x^2) + eps) * weight` in f32, from left to right. The mean and the reciprocal root are computed in f64 and
/// each rounded to f32 once.
fn rms_norm(x: &Tensor, weight: &Tensor, eps: f32, ty: &Type) -> Result<Tensor, ReferenceError> {
    let (values, weights) = (x.to_f32(), weight.to_f32());
    let mut out = Vec::with_capacity(values.len());
    for row in rows(&values, x.matrix()) {
        let squares: f64 = row.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
        let mean = (squares / row.len() as f64) as f32;
        let factor = (1.0 / f64::from(mean + eps).sqrt()) as f32;
        out.extend(row.iter().zip(&weights).map(|(x, w)| x * factor * w));
    }
    Ok(floats(ty, &out)?)
}

/// Symmetric int8 a row: `amax = max(|row|, eps)`, `s = 127 / amax`; the values are `x * s` rounded to even through i32 and
/// f16, and the scale is `1 / s`. A row with a NaN has the scale NaN and values 0.
///
/// The division is one correctly rounded f32 division. Torch computes `127 / tensor` as `(1 / tensor) * 127`, rounded twice,
/// so its `s` may be one last place away, and values next to a tie then differ by 1: within the tolerance of the public tests.
fn quantize_rows(
    x: &Tensor,
    eps: f32,
    values_type: &Type,
    scale_type: &Type,
) -> Result<Vec<Tensor>, ReferenceError> {
    let given = x.to_f32();
    let (mut values, mut scales) = (Vec::with_capacity(given.len()), Vec::new());
    for row in rows(&given, x.matrix()) {
        let amax = row
            .iter()
            .fold(eps, |amax, x| arith::binary(Binary::Max, amax, x.abs()));
        let s = INT8_SCALE_MAX / amax;
        values.extend(row.iter().map(|x| to_int8(x * s)));
        scales.push(1.0 / s);
    }
    Ok(vec![
        integers(values_type, &values)?,
        floats(scale_type, &scales)?,
    ])
}

fn to_int8(x: f32) -> i64 {
    let cast = |value, from, to| cast_scalar(value, from, to, Round::Rint);
    let integer = cast(Scalar::Float(x), DType::F32, DType::I32);
    let half = cast(integer, DType::I32, DType::F16);
    match cast(half, DType::F16, DType::I8) {
        Scalar::Int(value) => value,
        Scalar::Float(value) => value as i64,
    }
}

/// `sqrt(log(1 + exp(x)))` in f64, rounded to f32 once: `log(1 + exp(x))` is written so that neither end is lost.
fn sqrt_softplus(x: &Tensor, ty: &Type) -> Result<Tensor, ReferenceError> {
    let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
    let values: Vec<f32> = x
        .to_f64()
        .into_iter()
        .map(|x| {
            if x.is_nan() {
                f32::NAN
            } else {
                softplus(x).sqrt() as f32
            }
        })
        .collect();
    Ok(floats(ty, &values)?)
}

/// The scores at the indices, divided by their sum, times `scale`, in f32 from left to right.
fn route_weights(
    scores: &Tensor,
    indices: &Tensor,
    scale: f32,
    ty: &Type,
) -> Result<Tensor, ReferenceError> {
    let values = scores.to_f32();
    let picked: Vec<f32> = picked_columns(scores, indices, "route_weights")?
        .into_iter()
        .map(|at| values[at])
        .collect();
    let weights: Vec<f32> = rows(&picked, indices.matrix())
        .flat_map(|row| {
            let sum = sum(row);
            row.iter().map(move |x| x / sum * scale)
        })
        .collect();
    Ok(floats(ty, &weights)?)
}

/// `acc * row scale * column scale`, in f32 from left to right; each group of rows has its own column scales.
fn dequantize(
    acc: &Tensor,
    row_scale: &Tensor,
    col_scale: &Tensor,
    groups: usize,
    ty: &Type,
) -> Result<Tensor, ReferenceError> {
    let (count, columns) = acc.matrix();
    let (row_scale, col_scale) = (row_scale.to_f32(), col_scale.to_f32());
    let height = (count / groups.max(1)).max(1);
    let values = acc.to_f32();
    let values: Vec<f32> = rows(&values, (count, columns))
        .enumerate()
        .flat_map(|(r, row)| {
            let group = if col_scale.len() == columns {
                0
            } else {
                r / height
            };
            let scales = &col_scale[group * columns..(group + 1) * columns];
            let one = row_scale[r];
            row.iter().zip(scales).map(move |(x, s)| x * one * s)
        })
        .collect();
    Ok(floats(ty, &values)?)
}

/// `silu(min(gate, limit)) * clamp(up, -limit, limit)`; the sigmoid is computed in f64.
fn swiglu(gate: &Tensor, up: &Tensor, limit: f32, ty: &Type) -> Result<Tensor, ReferenceError> {
    let limit = if limit == 0.0 { f32::INFINITY } else { limit };
    let values: Vec<f32> = gate
        .to_f32()
        .into_iter()
        .zip(up.to_f32())
        .map(|(gate, up)| {
            let gate = arith::binary(Binary::Min, gate, limit);
            let up = arith::binary(Binary::Max, arith::binary(Binary::Min, up, limit), -limit);
            (f64::from(gate) * hyper::sigmoid(gate)) as f32 * up
        })
        .collect();
    Ok(floats(ty, &values)?)
}
