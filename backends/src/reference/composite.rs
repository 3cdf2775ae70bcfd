//! Composites, each from its own definition.

use super::index::picked_columns;
use super::reduce::sum;
use super::{ReferenceError, floats, hyper, integers, prim, result_types, rows};
use crate::data::{Scalar, Tensor, arith, cast_scalar};
use tilewright_ir::graph::{Binary, GraphError, INT8_SCALE_MAX, Op, Type};
use tilewright_ir::op::{AttrValue, Call, Step};
use tilewright_ir::{DType, Round};

/// The results of one composite.
///
/// # Errors
///
/// As [`super::eval_prim`].
pub fn eval_composite(call: &Call, operands: &[Tensor]) -> Result<Vec<Tensor>, ReferenceError> {
    if call.definition().exchanges() {
        return Err(alone(call.definition().name()));
    }
    let types = result_types(&Op::Composite(call.clone()), operands)?;
    let operands: Vec<&Tensor> = operands.iter().collect();
    compute(call, &operands, &types, None)
}

fn alone(op: &str) -> ReferenceError {
    ReferenceError::Alone { op: op.into() }
}

/// The results of a composite by the lines of its definition, whatever else is known of it.
///
/// # Errors
///
/// As [`super::eval_prim`].
pub fn eval_definition(call: &Call, operands: &[Tensor]) -> Result<Vec<Tensor>, ReferenceError> {
    let types: Vec<Type> = operands.iter().map(Tensor::ty).collect();
    let operands: Vec<&Tensor> = operands.iter().collect();
    written_out(call, &operands, &types, None)
}

/// Whether a composite is computed from a form of its own, so that a wrong definition shows.
pub fn has_closed_form(call: &Call) -> bool {
    closed_form(call).is_some()
}

/// The results of a composite whose operands have the types that it takes; `counts` are the rows of each group of the first.
pub(super) fn compute(
    call: &Call,
    operands: &[&Tensor],
    types: &[Type],
    counts: Option<&[usize]>,
) -> Result<Vec<Tensor>, ReferenceError> {
    match closed_form(call) {
        Some(form) => form(&Given {
            call,
            operands,
            types,
            groups: counts.map_or(1, <[usize]>::len),
        }),
        None => {
            let types: Vec<Type> = operands.iter().map(|t| t.ty()).collect();
            written_out(call, operands, &types, counts)
        }
    }
}

/// A composite with its operands and the types of its results.
struct Given<'a> {
    call: &'a Call,
    operands: &'a [&'a Tensor],
    types: &'a [Type],
    /// Groups of the first operand's rows.
    groups: usize,
}

impl Given<'_> {
    /// A number that is an attribute.
    fn float(&self, attribute: &str) -> f32 {
        match self.call.number(attribute) {
            Some(AttrValue::Float(value)) => value,
            _ => 0.0,
        }
    }

    fn size(&self, attribute: &str) -> usize {
        match self.call.number(attribute) {
            Some(AttrValue::Size(n)) => n,
            _ => 0,
        }
    }
}

type ClosedForm = fn(&Given) -> Result<Vec<Tensor>, ReferenceError>;

/// The library's composites, each from its own definition here: a wrong decomposition shows.
fn closed_form(call: &Call) -> Option<ClosedForm> {
    if !call.definition().is_library() {
        return None;
    }
    let form: ClosedForm = match call.definition().name() {
        "rms_norm" => rms_norm,
        "quantize_rows" => quantize_rows,
        "sqrt_softplus" => sqrt_softplus,
        "route_weights" => route_weights,
        "dequantize" => dequantize,
        "swiglu" => swiglu,
        "hc_pre" => |g| {
            let eps = [g.float("norm_eps"), g.float("hc_eps")];
            hyper::hc_pre(g.operands, eps, g.size("iterations"), g.types)
        },
        "hc_post" => |g| hyper::hc_post(g.operands, g.types),
        _ => return None,
    };
    Some(form)
}

/// The results by the lines of the definition.
fn written_out(
    call: &Call,
    operands: &[&Tensor],
    types: &[Type],
    counts: Option<&[usize]>,
) -> Result<Vec<Tensor>, ReferenceError> {
    let body = call.expand(types, 1).map_err(GraphError::from)?;
    let mut made: Vec<Tensor> = vec![];
    for (step, ty) in body.steps.iter().zip(&body.types[operands.len()..]) {
        let values = of_step(step, operands, &made);
        made.push(eval_step(step, &values, (&body.types, ty), counts)?);
    }
    let results = body.results.iter();
    Ok(results.map(|v| made[*v - operands.len()].clone()).collect())
}

/// What a step of a definition reads, of the operands and of what the steps before it made.
pub(super) fn of_step<'a>(
    step: &Step,
    operands: &[&'a Tensor],
    made: &'a [Tensor],
) -> Vec<&'a Tensor> {
    let value = |v: &usize| match operands.get(*v) {
        Some(operand) => *operand,
        None => &made[*v - operands.len()],
    };
    step.operands.iter().map(value).collect()
}

/// The result of a step that is a primitive; `types` are those of all values, and its own.
pub(super) fn eval_step(
    step: &Step,
    operands: &[&Tensor],
    (types, ty): (&[Type], &Type),
    counts: Option<&[usize]>,
) -> Result<Tensor, ReferenceError> {
    // Groups are those of the first operand's rows.
    let first = step.operands.first().map(|v| &types[*v]);
    let counts = counts.filter(|_| first.is_some_and(|ty| ty.ragged.is_some()));
    match &step.op {
        Op::Prim(prim) => prim::compute(prim, operands, ty, counts),
        op => Err(alone(op.name())),
    }
}

/// `x * rsqrt(mean(x^2) + eps) * weight` in f32, from left to right. The mean and the reciprocal root are computed in f64 and
/// each rounded to f32 once.
fn rms_norm(g: &Given) -> Result<Vec<Tensor>, ReferenceError> {
    let (x, eps) = (g.operands[0], g.float("eps"));
    let (values, weights) = (x.to_f32(), g.operands[1].to_f32());
    let mut out = Vec::with_capacity(values.len());
    for row in rows(&values, x.matrix()) {
        let squares: f64 = row.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
        let mean = (squares / row.len() as f64) as f32;
        let factor = (1.0 / f64::from(mean + eps).sqrt()) as f32;
        out.extend(row.iter().zip(&weights).map(|(x, w)| x * factor * w));
    }
    Ok(vec![floats(&g.types[0], &out)?])
}

/// Symmetric int8 a row: `amax = max(|row|, eps)`, `s = 127 / amax`; the values are `x * s` rounded to even through i32 and
/// f16, and the scale is `1 / s`. A row with a NaN has the scale NaN and values 0.
///
/// The division is one correctly rounded f32 division. Torch computes `127 / tensor` as `(1 / tensor) * 127`, rounded twice,
/// so its `s` may be one last place away, and values next to a tie then differ by 1: within the tolerance of the public tests.
fn quantize_rows(g: &Given) -> Result<Vec<Tensor>, ReferenceError> {
    let (x, eps) = (g.operands[0], g.float("eps"));
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
        integers(&g.types[0], &values)?,
        floats(&g.types[1], &scales)?,
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
fn sqrt_softplus(g: &Given) -> Result<Vec<Tensor>, ReferenceError> {
    let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
    let values: Vec<f32> = g.operands[0]
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
    Ok(vec![floats(&g.types[0], &values)?])
}

/// The scores at the indices, divided by their sum, times `scale`, in f32 from left to right.
fn route_weights(g: &Given) -> Result<Vec<Tensor>, ReferenceError> {
    let (scores, indices, scale) = (g.operands[0], g.operands[1], g.float("scale"));
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
    Ok(vec![floats(&g.types[0], &weights)?])
}

/// `acc * row scale * column scale`, in f32 from left to right; each group of rows has its own column scales.
fn dequantize(g: &Given) -> Result<Vec<Tensor>, ReferenceError> {
    let acc = g.operands[0];
    let (count, columns) = acc.matrix();
    let (row_scale, col_scale) = (g.operands[1].to_f32(), g.operands[2].to_f32());
    let height = (count / g.groups.max(1)).max(1);
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
    Ok(vec![floats(&g.types[0], &values)?])
}

/// `silu(min(gate, limit)) * clamp(up, -limit, limit)`; the sigmoid is computed in f64.
fn swiglu(g: &Given) -> Result<Vec<Tensor>, ReferenceError> {
    let limit = match g.float("limit") {
        0.0 => f32::INFINITY,
        limit => limit,
    };
    let [gate, up] = [0, 1].map(|i| g.operands[i].to_f32());
    let values: Vec<f32> = gate
        .into_iter()
        .zip(up)
        .map(|(gate, up)| {
            let gate = arith::binary(Binary::Min, gate, limit);
            let up = arith::binary(Binary::Max, arith::binary(Binary::Min, up, limit), -limit);
            (f64::from(gate) * hyper::sigmoid(gate)) as f32 * up
        })
        .collect();
    Ok(vec![floats(&g.types[0], &values)?])
}
