//! How far a result is from what it is compared with, and whether that is too far.
//!
//! The default tolerances are those of the public tests of the DeepSeek-V4 layer: see [`Tolerance::of`].

use super::{DataError, Tensor, type_text};
use serde::Serialize;
use std::fmt;
use tilewright_ir::DType;
use tilewright_ir::graph::Accuracy;

/// When two tensors count as the same.
///
/// An element is *off* when it is further than `atol + of_scale * scale + rtol * |expected|` from what is expected, where `scale` is
/// the magnitude of its row of the reference (see [`scales`]). So small values must be as right as large ones. Elements that are off
/// are *outliers* when they are few (`allowed_fraction` of all, and at most one in [`ROW_SHARE`] of each row) and near (see
/// `Tolerance::reach`). The tensors agree when all that is off is an outlier.
///
/// NaN and infinities are equal to themselves only, and never outliers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Tolerance {
    /// Absolute part, in the values' own unit.
    pub atol: f64,
    /// Absolute part, as a share of the scale of the expected row.
    pub of_scale: f64,
    /// Relative part, as a share of the expected magnitude.
    pub rtol: f64,
    /// Share of the elements that may be off.
    pub allowed_fraction: f64,
    /// The most that any element may be off, outliers too; `None` sets no limit but that of outliers.
    pub max_off: Option<i64>,
}

/// Of a row, at most one element in so many may be an outlier: what is allowed to some elements must never cover a row that is wrong
/// as a whole, a lost token for one.
pub const ROW_SHARE: usize = 4;

/// An outlier is at most this share of its row's scale, or of its own expected magnitude, off.
pub const OUTLIER_SIZE: f64 = 0.25;

/// The distance of the smallest values of f16.
const F16_STEP: f64 = 1.0 / (1 << 24) as f64;

/// Rows with fewer columns have too few values to tell their scale; that of the whole tensor is taken.
const NARROW: usize = 16;

/// Values that are so many times the lower quartile of a row do not count for its scale: a mask of -1e30 in it would excuse all
/// others.
const HUGE: f64 = 1024.0;

impl Tolerance {
    /// Every element must be equal.
    pub const EXACT: Tolerance = Tolerance {
        atol: 0.0,
        of_scale: 0.0,
        rtol: 0.0,
        allowed_fraction: 0.0,
        max_off: None,
    };

    /// The default of an element type:
    ///
    /// | type | tolerance | source |
    /// |---|---|---|
    /// | bf16 | 1/256 of the row's scale, rtol 1/128 | public tests, `x_norm`; the scale's share is half of the last place of a value as large |
    /// | i8 | off by at most 1, in at most 0.1 % of the elements | public tests, `x_norm_i8` |
    /// | f32 | 1e-3 of the row's scale, rtol 1e-3 | public tests, scores and weights, whose scale is 1 |
    /// | f16 | as f32, and its smallest step, 2^-24 | ours: its last place is 2^-10, of small values more |
    /// | other integers | exact | ours |
    pub fn of(dtype: DType) -> Tolerance {
        match dtype {
            DType::Bf16 => Tolerance {
                of_scale: 1.0 / 256.0,
                rtol: 1.0 / 128.0,
                ..Tolerance::EXACT
            },
            DType::F32 | DType::F16 => Tolerance {
                // Two roundings of a value may lie one step apart however small it is.
                atol: if dtype == DType::F16 { F16_STEP } else { 0.0 },
                of_scale: 1e-3,
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

    /// How far an element may be from what is expected and not be off.
    fn allowed(&self, expected: f64, scale: f64) -> f64 {
        self.atol + self.of_scale * scale + self.rtol * expected.abs()
    }

    /// How far an outlier may be from what is expected. An integer is never nearer than one step.
    fn reach(&self, expected: f64, scale: f64, float: bool) -> f64 {
        let least = if float { 0.0 } else { 1.0 };
        let size = (OUTLIER_SIZE * scale.max(expected.abs())).max(least);
        let reach = size.max(self.allowed(expected, scale));
        self.max_off
            .map_or(reach, |limit| (limit as f64).min(reach))
    }
}

/// What may differ, in words.
impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = vec![];
        if self.atol > 0.0 {
            parts.push(match self.atol < 1e-3 {
                true => format!("{:.1e}", self.atol),
                false => self.atol.to_string(),
            });
        }
        if self.of_scale > 0.0 {
            parts.push(format!("{} of the row's scale", share(self.of_scale)));
        }
        if self.rtol > 0.0 {
            parts.push(format!("{} of the value", share(self.rtol)));
        }
        match parts.is_empty() {
            true => f.write_str("equal")?,
            false => f.write_str(&parts.join(" + "))?,
        }
        if self.allowed_fraction > 0.0 {
            write!(f, "; {} may be off", share(self.allowed_fraction))?;
        }
        match self.max_off {
            Some(most) => write!(f, ", by at most {most}"),
            None => Ok(()),
        }
    }
}

fn share(x: f64) -> String {
    match x < 0.01 {
        true => format!("{:.2} %", 100.0 * x),
        false => format!("{:.0} %", 100.0 * x),
    }
}

impl From<Accuracy> for Tolerance {
    fn from(accuracy: Accuracy) -> Tolerance {
        Tolerance {
            atol: accuracy.atol,
            of_scale: 0.0,
            rtol: accuracy.rtol,
            allowed_fraction: accuracy.outliers,
            max_off: None,
        }
    }
}

/// The magnitude of each row of what is expected: the root mean square of its values, without zeros, NaN, infinities and what is
/// more than 1024 times the row's lower quartile. Where rows have fewer than 16 columns, all have the scale of the whole tensor.
pub fn scales(expected: &[f64], columns: usize) -> Vec<f64> {
    let columns = columns.max(1);
    let rows = expected.len().div_ceil(columns);
    if columns < NARROW {
        return vec![scale(expected); rows];
    }
    expected.chunks(columns).map(scale).collect()
}

fn scale(values: &[f64]) -> f64 {
    let magnitudes = values.iter().map(|v| v.abs());
    let mut of: Vec<f64> = magnitudes.filter(|v| *v > 0.0 && v.is_finite()).collect();
    if of.is_empty() {
        return 0.0;
    }
    let quarter = of.len() / 4;
    let quartile = *of.select_nth_unstable_by(quarter, f64::total_cmp).1;
    of.retain(|v| *v <= HUGE * quartile);
    // Sums are of values over the quartile, so that no square leaves f64; in ascending order, so that they depend on the values only.
    of.sort_unstable_by(f64::total_cmp);
    let squares: f64 = of.iter().map(|v| (v / quartile).powi(2)).sum();
    quartile * (squares / of.len() as f64).sqrt()
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The name of what was compared.
    pub output: String,
    /// What it was compared with: `reference`, a file, ...
    pub against: String,
    pub tolerance: Tolerance,
    /// The largest absolute difference; infinite (null in JSON) where one side only is NaN or the infinity.
    pub max_abs: f64,
    /// The largest difference over the expected magnitude, among elements whose expected value is not 0.
    pub max_rel: f64,
    /// How many elements are further off than the tolerance says.
    pub mismatched: usize,
    pub elements: usize,
    /// The row-major index of the element with the largest absolute difference; `None` when there is no difference.
    pub worst: Option<usize>,
    /// Whether all that is mismatched is an outlier that the tolerance allows.
    pub ok: bool,
    /// Why not, with places and numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The running state of a comparison.
struct Tally<'a> {
    tolerance: &'a Tolerance,
    scales: Vec<f64>,
    columns: usize,
    float: bool,
    max_abs: f64,
    max_rel: f64,
    mismatched: usize,
    elements: usize,
    worst: Option<usize>,
    /// The row that is counted, and how much of it is off.
    row: (usize, usize),
    /// The row with most elements off, and how many.
    worst_row: (usize, usize),
    /// The first element that is off by more than an outlier may be: where, what was there, what was expected, and the most.
    beyond: Option<(usize, f64, f64, f64)>,
}

impl<'a> Tally<'a> {
    /// Of what is expected, rows of so many columns.
    fn new(tolerance: &'a Tolerance, expected: &[f64], columns: usize, float: bool) -> Self {
        Tally {
            tolerance,
            scales: scales(expected, columns),
            columns: columns.max(1),
            float,
            max_abs: 0.0,
            max_rel: 0.0,
            mismatched: 0,
            elements: 0,
            worst: None,
            row: (0, 0),
            worst_row: (0, 0),
            beyond: None,
        }
    }

    fn add(&mut self, index: usize, actual: f64, expected: f64) {
        let same = actual == expected || (actual.is_nan() && expected.is_nan());
        let off = match (actual - expected).abs() {
            _ if same => 0.0,
            off if off.is_nan() => f64::INFINITY,
            off => off,
        };
        self.record(index, off, actual, expected);
    }

    /// Integers are subtracted as integers: f64 does not tell large i64 apart.
    fn add_int(&mut self, index: usize, actual: i64, expected: i64) {
        let off = actual.abs_diff(expected) as f64;
        self.record(index, off, actual as f64, expected as f64);
    }

    fn record(&mut self, index: usize, off: f64, actual: f64, expected: f64) {
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
        let row = index / self.columns;
        let scale = self.scales.get(row).copied().unwrap_or(0.0);
        // With an infinity expected, any finite value is infinitely far, whatever the relative part says.
        if off.is_finite() && off <= self.tolerance.allowed(expected, scale) {
            return;
        }
        self.mismatched += 1;
        if self.row.0 != row {
            self.row = (row, 0);
        }
        self.row.1 += 1;
        if self.row.1 > self.worst_row.1 {
            self.worst_row = self.row;
        }
        let reach = self.tolerance.reach(expected, scale, self.float);
        if self.beyond.is_none() && (off.is_infinite() || off > reach) {
            self.beyond = Some((index, actual, expected, reach));
        }
    }

    /// What is wrong, in words.
    fn why(&self) -> Option<String> {
        let (mismatched, elements) = (self.mismatched, self.elements);
        let at = |i: usize| format!("row {}, column {}", i / self.columns, i % self.columns);
        if let Some((index, actual, expected, reach)) = self.beyond {
            let place = at(index);
            // Of a float, the digits that tell f32 apart.
            let show = |x: f64| {
                if self.float {
                    format!("{:?}", x as f32)
                } else {
                    format!("{x}")
                }
            };
            let found = format!(
                "{place}: {} where {} is expected",
                show(actual),
                show(expected)
            );
            return Some(if !(actual.is_finite() && expected.is_finite()) {
                format!("{found}, and no tolerance covers that")
            } else if self.tolerance.allowed_fraction > 0.0 {
                format!("{found}; an outlier may be off by at most {reach:.3e}")
            } else {
                let most = self.worst_row;
                format!(
                    "{found}; {mismatched} of {elements} elements are off, {} of them in row {}",
                    most.1, most.0
                )
            });
        }
        let allowed = self.tolerance.allowed_fraction;
        if mismatched as f64 > allowed * elements as f64 {
            let place = self
                .worst
                .map_or(String::new(), |i| format!(", the furthest at {}", at(i)));
            return Some(format!(
                "{mismatched} of {elements} elements are off{place}; at most {} % may be",
                100.0 * allowed
            ));
        }
        let (row, count) = self.worst_row;
        let limit = self.columns / ROW_SHARE;
        (count > limit).then(|| format!("row {row} is off in {count} of its {} elements; outliers may be at most {limit} of a row", self.columns))
    }

    fn finish(self, output: &str, against: &str) -> Comparison {
        let why = self.why();
        Comparison {
            output: output.to_owned(),
            against: against.to_owned(),
            tolerance: *self.tolerance,
            max_abs: self.max_abs,
            max_rel: self.max_rel,
            mismatched: self.mismatched,
            elements: self.elements,
            worst: self.worst,
            ok: why.is_none(),
            why,
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
    let expected_values = expected.to_f64();
    let float = actual.dtype.is_float();
    let mut tally = Tally::new(tolerance, &expected_values, columns(expected), float);
    if float {
        let values = actual.to_f64().into_iter().zip(expected_values);
        for (index, (a, e)) in values.enumerate() {
            tally.add(index, a, e);
        }
    } else {
        let values = actual.to_i64().into_iter().zip(expected.to_i64());
        for (index, (a, e)) in values.enumerate() {
            tally.add_int(index, a, e);
        }
    }
    Ok(tally.finish(output, against))
}

/// Elements of a row. A scalar is a row of one.
fn columns(tensor: &Tensor) -> usize {
    tensor.shape.last().copied().unwrap_or(1).max(1)
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
    let step = columns.max(1);
    let mut of_indices = Tally::new(&Tolerance::EXACT, &[], step, false);
    let mut of_weights = Tally::new(tolerance, &expected_weights.to_f64(), step, true);
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
                    of_weights.add(at, *weight, expected_weight);
                }
                None => {
                    let (expected_index, expected_weight) = e[place];
                    of_indices.add_int(at, *index, expected_index);
                    of_weights.add(at, f64::NAN, expected_weight);
                }
            }
        }
    }
    Ok([
        of_indices.finish(indices.0, against),
        of_weights.finish(weights.0, against),
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
