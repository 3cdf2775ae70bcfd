//! Inputs for a graph from a seed.
//!
//! The same seed gives the same bits on every machine, and an input's values depend on the seed and its own name only, so
//! adding an input leaves the others as they are. Each input draws from a ChaCha8 stream of its own.
//!
//! Normal values are the sum of twelve uniform 32-bit draws, minus six (Irwin-Hall): mean 0, standard deviation 1, and no
//! value beyond ±6. This needs additions only, which are exact in f64; a Box-Muller transform would take `ln` and `cos` from
//! the platform's mathematical library, whose last bits differ. The result is rounded once, to the tensor's type.

use super::convert::integer_range;
use super::{DataError, Scalar, Tensor, Tensors, cast_scalar, check_size, type_text};
use indexmap::IndexMap;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tilewright_ir::graph::{Graph, InputSpec, Type};
use tilewright_ir::{DType, Round};

/// All inputs of a graph, in its order.
///
/// Floats are normal as their [`InputSpec`] says; integers with a bound are uniform in `0..bound`; int8 without one is
/// uniform in -127..=127, as symmetric quantisation makes it. A scalar integer takes the value in `scalars`, or else the
/// largest that its bound allows.
///
/// # Errors
///
/// A scalar out of its bound or unknown to the graph, an integer input without a bound.
pub fn generate(
    graph: &Graph,
    seed: u64,
    scalars: &IndexMap<String, i64>,
) -> Result<Tensors, DataError> {
    let mut inputs = graph.inputs();
    // What every rank knows by itself is not drawn.
    inputs.retain(|v| graph.given(graph.name(*v)).is_none());
    let is_scalar = |ty: &Type| ty.shape.is_empty() && !ty.dtype.is_float();
    let known = || {
        inputs
            .iter()
            .filter(|v| is_scalar(graph.ty(**v)))
            .map(|v| graph.name(*v).to_owned())
            .collect::<Vec<_>>()
    };
    if let Some(name) = scalars.keys().find(|name| !known().contains(name)) {
        return Err(DataError::UnknownScalar {
            name: name.clone(),
            known: known(),
        });
    }
    let mut tensors = Tensors::new();
    for value in &inputs {
        let (name, ty) = (graph.name(*value), graph.ty(*value));
        let spec = &graph.node(value.node).input;
        let tensor = if is_scalar(ty) {
            scalar(name, ty, spec, scalars.get(name).copied())?
        } else {
            tensor(name, ty, spec, seed)?
        };
        tensors.insert(name.to_owned(), tensor);
    }
    Ok(tensors)
}

fn scalar(
    name: &str,
    ty: &Type,
    spec: &InputSpec,
    given: Option<i64>,
) -> Result<Tensor, DataError> {
    let (low, high) = match spec.bound {
        Some(bound) => (0, highest(name, ty.dtype, (0, bound))?),
        None => integer_range(ty.dtype).unwrap_or((i64::MIN, i64::MAX)),
    };
    let value = match (given, spec.bound) {
        (Some(value), _) => value,
        (None, Some(_)) => high,
        (None, None) => return Err(no_bound(name, ty)),
    };
    if value < low || value > high {
        return Err(DataError::ScalarRange {
            name: name.to_owned(),
            value,
            low,
            high,
        });
    }
    Ok(Tensor::scalar(ty.dtype, Scalar::Int(value)))
}

/// One input that is no scalar.
///
/// # Errors
///
/// As [`generate`].
pub(crate) fn tensor(
    name: &str,
    ty: &Type,
    spec: &InputSpec,
    seed: u64,
) -> Result<Tensor, DataError> {
    check_size(name, ty)?;
    let mut rng = stream(seed, name);
    let elements = ty.elements();
    if ty.dtype.is_float() {
        let (mean, deviation) = spec.normal.unwrap_or((0.0, 1.0));
        let (mean, deviation) = (f64::from(mean), f64::from(deviation));
        let values: Vec<f32> = (0..elements)
            .map(|_| narrow(mean + deviation * standard_normal(&mut rng), ty.dtype))
            .collect();
        return Tensor::from_f32(ty.dtype, &ty.sizes(), &values);
    }
    if ty.dtype == DType::I8 && spec.bound.is_none() {
        return Tensor::new(ty.dtype, ty.sizes(), symmetric_int8(&mut rng, elements));
    }
    let (low, high) = match (spec.bound, ty.dtype) {
        (Some(bound), dtype) => (spec.lowest(), highest(name, dtype, (spec.lowest(), bound))?),
        (None, _) => return Err(no_bound(name, ty)),
    };
    let values: Vec<i64> = match &spec.spread {
        None => (0..elements)
            .map(|_| uniform(&mut rng, low, high))
            .collect(),
        Some(spread) => (0..elements)
            .map(|_| {
                let share = f64::from(rng.next_u32()) / (f64::from(u32::MAX) + 1.0);
                spread.quantiles([share])[0].clamp(low, high)
            })
            .collect(),
    };
    Tensor::from_i64(ty.dtype, &ty.sizes(), &values)
}

/// Uniform in -127..=127, a byte a draw: weights are large, and -128 is drawn again.
fn symmetric_int8(rng: &mut impl RngCore, elements: usize) -> Vec<u8> {
    let mut bytes = vec![0; elements];
    rng.fill_bytes(&mut bytes);
    for byte in &mut bytes {
        while *byte == i8::MIN as u8 {
            *byte = rng.next_u32() as u8;
        }
    }
    bytes
}

/// The largest value below a bound that the type holds.
fn highest(name: &str, dtype: DType, (low, bound): (i64, i64)) -> Result<i64, DataError> {
    if bound <= low {
        return Err(DataError::EmptyBound {
            tensor: name.to_owned(),
            bound,
        });
    }
    let limit = integer_range(dtype).map_or(i64::MAX, |(_, high)| high);
    Ok((bound - 1).min(limit))
}

fn no_bound(name: &str, ty: &Type) -> DataError {
    DataError::NoBound {
        tensor: name.to_owned(),
        found: type_text(ty.dtype, &ty.sizes()),
    }
}

/// The stream of one input: its key is the seed and the FNV-1a hash of the name.
fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mut key = [0u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&hash.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

fn standard_normal(rng: &mut impl RngCore) -> f64 {
    let sum: u64 = (0..12).map(|_| u64::from(rng.next_u32())).sum();
    sum as f64 / 4_294_967_296.0 - 6.0
}

/// To the type in one rounding: f64 to f32 is to odd, so that a later rounding to fewer bits is right.
fn narrow(x: f64, to: DType) -> f32 {
    let nearest = x as f32;
    if to == DType::F32 || f64::from(nearest) == x || !nearest.is_finite() {
        return nearest;
    }
    let towards_zero = if f64::from(nearest).abs() > x.abs() {
        f32::from_bits(nearest.to_bits() - 1)
    } else {
        nearest
    };
    let odd = f32::from_bits(towards_zero.to_bits() | 1);
    match cast_scalar(Scalar::Float(odd), DType::F32, to, Round::Rint) {
        Scalar::Float(y) => y,
        Scalar::Int(y) => y as f32,
    }
}

/// Uniform in `low..=high` by a multiplication; its bias is below the range over 2^64.
fn uniform(rng: &mut impl RngCore, low: i64, high: i64) -> i64 {
    let span = high.abs_diff(low) as u128 + 1;
    let offset = (u128::from(rng.next_u64()) * span) >> 64;
    low.wrapping_add(offset as i64)
}
