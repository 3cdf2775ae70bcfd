//! How far a result is from what it is compared with, and whether that is too far.
//!
//! The default tolerances are those of the public tests of the DeepSeek-V4 layer: see [`Tolerance::of`].

use super::{DataError, Tensor, type_text};
use serde::Serialize;
use tilewright_ir::DType;
use tilewright_ir::graph::Accuracy;

/// When two tensors count as the same.
///
/// An element is *mismatched* when it is further than `atol + rtol * |expected|` from what is expected. The tensors agree
/// when at most `allowed_fraction` of the elements are mismatched and none is off by more than `max_off`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Tolerance {
    /// Absolute part, in the values' own unit.
    pub atol: f64,
    /// Relative part, as a share of the expected magnitude.
    pub rtol: f64,
    /// Share of the elements that may be mismatched.
    pub allowed_fraction: f64,
    /// The most that any element may be off, mismatched ones too; `None` sets no such limit.
    pub max_off: Option<i64>,
}

impl Tolerance {
    /// Every element must be equal.
    pub const EXACT: Tolerance = Tolerance {
        atol: 0.0,
        rtol: 0.0,
        allowed_fraction: 0.0,
        max_off: None,
    };

    /// The default of an element type:
    ///
    /// | type | tolerance | source |
    /// |---|---|---|
    /// | bf16 | atol 1e-3, rtol 1/128 | public tests, `x_norm` |
    /// | i8 | off by at most 1, in at most 0.1 % of the elements | public tests, `x_norm_i8` |
    /// | f32 | atol 1e-3, rtol 1e-3 | public tests, scores and weights |
    /// | f16 | as f32 | ours: its last place is 2^-10 |
    /// | other integers | exact | ours |
    pub fn of(dtype: DType) -> Tolerance {
        match dtype {
            DType::Bf16 => Tolerance {
                atol: 1e-3,
                rtol: 1.0 / 128.0,
                ..Tolerance::EXACT
            },
            DType::F32 | DType::F16 => Tolerance {
                atol: 1e-3,
                rtol: 1e-3,
                ..Tolerance::EXACT
            },
            DType::I8 => Tolerance {
                allowed_fraction: 1e-3,
                max_off: Some(1),
                ..Tolerance::EXACT
            },
            DType::I32 | DType::U32 | DType::I64 => Tolerance::EXACT,
        }
    }

    fn accepts(&self, mismatched: usize, elements: usize, max_abs: f64) -> bool {
        mismatched as f64 <= self.allowed_fraction * elements as f64
            && self.max_off.is_none_or(|limit| max_abs <= limit as f64)
    }
}

impl From<Accuracy> for Tolerance {
    fn from(accuracy: Accuracy) -> Tolerance {
        Tolerance {
            atol: accuracy.atol,
            rtol: accuracy.rtol,
            allowed_fraction: accuracy.outliers,
            max_off: None,
        }
    }
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The name of what was compared.
    pub output: String,
    /// What it was compared with: `reference`, a file, ...
    pub against: String,
    /// The largest absolute difference; infinite (null in JSON) where one side only is NaN or the infinity.
    pub max_abs: f64,
    /// The largest difference over the expected magnitude, among elements whose expected value is not 0.
    pub max_rel: f64,
    /// How many elements are outside `atol + rtol * |expected|`.
    pub mismatched: usize,
    pub elements: usize,
    /// The row-major index of the element with the largest absolute difference; `None` when there is no difference.
    pub worst: Option<usize>,
    /// Whether the tolerance accepts this.
    pub ok: bool,
}

/// The running state of a comparison.
#[derive(Default)]
struct Tally {
    max_abs: f64,
    max_rel: f64,
    mismatched: usize,
    elements: usize,
    worst: Option<usize>,
}

impl Tally {
    fn add(&mut self, index: usize, actual: f64, expected: f64, tolerance: &Tolerance) {
        let same = actual == expected || (actual.is_nan() && expected.is_nan());
        let off = match (actual - expected).abs() {
            _ if same => 0.0,
            off if off.is_nan() => f64::INFINITY,
            off => off,
        };
        self.record(index, off, expected, tolerance);
    }

    /// Integers are subtracted as integers: f64 does not tell large i64 apart.
    fn add_int(&mut self, index: usize, actual: i64, expected: i64, tolerance: &Tolerance) {
        let off = actual.abs_diff(expected) as f64;
        self.record(index, off, expected as f64, tolerance);
    }

    fn record(&mut self, index: usize, off: f64, expected: f64, tolerance: &Tolerance) {
        self.elements += 1;
        if off == 0.0 {
            return;
        }
        if off > self.max_abs {
            self.max_abs = off;
            self.worst = Some(index);
        }
        if expected != 0.0 && expected.is_finite() {
            self.max_rel = self.max_rel.max(off / expected.abs());
        }
        // With an infinity expected, any finite value is infinitely far, whatever the relative part says.
        let allowed = tolerance.atol + tolerance.rtol * expected.abs();
        if off.is_infinite() || off > allowed {
            self.mismatched += 1;
        }
    }

    fn finish(self, output: &str, against: &str, tolerance: &Tolerance) -> Comparison {
        Comparison {
            output: output.to_owned(),
            against: against.to_owned(),
            max_abs: self.max_abs,
            max_rel: self.max_rel,
            mismatched: self.mismatched,
            elements: self.elements,
            worst: self.worst,
            ok: tolerance.accepts(self.mismatched, self.elements, self.max_abs),
        }
    }
}

/// Compares a tensor with what is expected. NaN equals NaN and no number.
///
/// # Errors
///
/// [`DataError::Incomparable`] when dtype or shape differ.
pub fn compare(
    output: &str,
    against: &str,
    actual: &Tensor,
    expected: &Tensor,
    tolerance: &Tolerance,
) -> Result<Comparison, DataError> {
    same_type(output, against, actual, expected)?;
    let mut tally = Tally::default();
    if actual.dtype.is_float() {
        let values = actual.to_f64().into_iter().zip(expected.to_f64());
        for (index, (a, e)) in values.enumerate() {
            tally.add(index, a, e, tolerance);
        }
    } else {
        let values = actual.to_i64().into_iter().zip(expected.to_i64());
        for (index, (a, e)) in values.enumerate() {
            tally.add_int(index, a, e, tolerance);
        }
    }
    Ok(tally.finish(output, against, tolerance))
}

/// Compares routing: in each row the (index, weight) pairs as a set, so that ties may swap places.
///
/// Two comparisons come back. `indices`: an element is mismatched when its index is not among the row's expected ones (a
/// repeated index as often as it is repeated). `weights`: each weight against the expected weight of the same index; where an
/// index has no partner, against nothing, which is a mismatch.
///
/// # Errors
///
/// [`DataError::Incomparable`] when the four tensors are not matrices of one shape.
pub fn compare_routing(
    indices: (&str, &Tensor),
    weights: (&str, &Tensor),
    against: &str,
    expected_indices: &Tensor,
    expected_weights: &Tensor,
    tolerance: &Tolerance,
) -> Result<[Comparison; 2], DataError> {
    same_type(indices.0, against, indices.1, expected_indices)?;
    same_type(weights.0, against, weights.1, expected_weights)?;
    if indices.1.shape != weights.1.shape {
        return Err(DataError::Incomparable {
            output: weights.0.to_owned(),
            against: indices.0.to_owned(),
            found: type_text(weights.1.dtype, &weights.1.shape),
            expected: type_text(indices.1.dtype, &indices.1.shape),
        });
    }
    let (_, columns) = indices.1.matrix();
    let actual = pairs(indices.1, weights.1);
    let expected = pairs(expected_indices, expected_weights);
    let (mut of_indices, mut of_weights) = (Tally::default(), Tally::default());
    let step = columns.max(1);
    for (row, (a, e)) in actual.chunks(step).zip(expected.chunks(step)).enumerate() {
        let mut left: Vec<(i64, f64)> = e.to_vec();
        for (place, (index, weight)) in a.iter().enumerate() {
            let at = row * columns + place;
            // Of repeated indices, the one with the nearest weight.
            let partner = left
                .iter()
                .enumerate()
                .filter(|(_, (other, _))| other == index)
                .min_by(|(_, (_, x)), (_, (_, y))| {
                    (x - weight).abs().total_cmp(&(y - weight).abs())
                })
                .map(|(position, _)| position);
            match partner {
                Some(position) => {
                    let (_, expected_weight) = left.remove(position);
                    of_indices.elements += 1;
                    of_weights.add(at, *weight, expected_weight, tolerance);
                }
                None => {
                    let (expected_index, expected_weight) = e[place];
                    of_indices.add_int(at, *index, expected_index, &Tolerance::EXACT);
                    of_weights.add(at, f64::NAN, expected_weight, tolerance);
                }
            }
        }
    }
    Ok([
        of_indices.finish(indices.0, against, &Tolerance::EXACT),
        of_weights.finish(weights.0, against, tolerance),
    ])
}

fn pairs(indices: &Tensor, weights: &Tensor) -> Vec<(i64, f64)> {
    indices.to_i64().into_iter().zip(weights.to_f64()).collect()
}

fn same_type(
    output: &str,
    against: &str,
    actual: &Tensor,
    expected: &Tensor,
) -> Result<(), DataError> {
    if actual.dtype == expected.dtype
        && actual.shape == expected.shape
        && actual.bytes.len() == expected.bytes.len()
    {
        return Ok(());
    }
    Err(DataError::Incomparable {
        output: output.to_owned(),
        against: against.to_owned(),
        found: type_text(actual.dtype, &actual.shape),
        expected: type_text(expected.dtype, &expected.shape),
    })
}
