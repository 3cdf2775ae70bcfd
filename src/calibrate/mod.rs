//! Figures of machines from times that were measured on chips.
//!
//! Records say a kernel, its schedule and a time. The cost model predicts each time from the figures of a machine. [`fit`] finds
//! the figures with which predictions come nearest, held to where the figures come from. [`accuracy`] says how near that is,
//! also of records that the fit has not seen.

mod fit;
mod page;
mod records;
mod together;

pub use fit::{FREE, Fit, Free, Refit, fit, refit};
pub use page::{digits, machine_file, page, plot, table};
pub use records::{Case, Family, LeftOut, Record, Set, What, case, load};
pub use together::layer_us;

use crate::error::{Error, Result};
use serde::Serialize;
use tilewright_ir::kernel::Kernel;
use tilewright_ir::machine::Machine;
use tilewright_passes::cost;

/// The machine with other values of some figures, each by its path (`gm_to_l1.peak`).
///
/// # Errors
///
/// A path that is no figure.
pub fn with_figures(machine: &Machine, figures: &[(String, f64)]) -> Result<Machine> {
    let broken = |reason: String| Error::Calibration { reason };
    let mut value = serde_json::to_value(machine).map_err(|e| broken(e.to_string()))?;
    for (path, to) in figures {
        let figure = match value.pointer(&pointer(path)) {
            Some(_) => value.pointer_mut(&pointer(path)),
            None => value.pointer_mut(&plain(path)),
        };
        *figure.ok_or_else(|| broken(format!("`{path}` is no figure of a machine")))? =
            serde_json::json!(to);
    }
    Ok(serde_json::from_value(value).map_err(|e| broken(e.to_string()))?)
}

/// The value of a figure.
pub fn figure(machine: &Machine, path: &str) -> Option<f64> {
    let value = serde_json::to_value(machine).ok()?;
    let figure = value.pointer(&pointer(path));
    figure.or_else(|| value.pointer(&plain(path)))?.as_f64()
}

/// Where a figure with a unit of its own has its value.
fn pointer(path: &str) -> String {
    format!("{}/value", plain(path))
}

/// Where a number of a table has it.
fn plain(path: &str) -> String {
    format!("/{}", path.replace('.', "/"))
}

/// What the cost model says of a case, in us.
pub fn predicted(case: &Case, machine: &Machine) -> f64 {
    let each = |us: &dyn Fn(&Kernel) -> f64| {
        let kernels = case.stages.iter().flatten();
        kernels.map(|k| us(&case.program.kernels[*k])).sum()
    };
    match case.what {
        What::Block => each(&|k| machine.micros(cost::estimate(k, machine).block_cycles)),
        What::Span => each(&|k| cost::estimate(k, machine).us - cost::launch_us(k, machine)),
        What::Kernel => each(&|k| cost::estimate(k, machine).us),
        What::Layer => {
            let stages = case.stages.iter();
            let stages: Vec<Vec<&Kernel>> = stages
                .map(|stage| stage.iter().map(|k| &case.program.kernels[*k]).collect())
                .collect();
            layer_us(&stages, case.in_one, machine)
        }
    }
}

/// How near predictions of a set of records are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Accuracy {
    /// How many records there are.
    pub records: usize,
    /// Medians of `|predicted / measured - 1|`, taken on a logarithmic scale so that twice and half are alike.
    pub median: f64,
    /// Of the ratios before / after of pairs.
    pub pairs: usize,
    /// The median error of the ratio of two records that are a pair.
    pub median_of_pairs: f64,
    /// Pairs whose change has the right direction.
    pub right_direction: usize,
    /// How well the order of times is predicted: the rank correlation.
    pub spearman: f64,
    /// By family: how many, and the median of `predicted / measured`.
    pub families: Vec<(Family, usize, f64)>,
}

/// Judges predictions, one a case, in us.
pub fn accuracy(cases: &[Case], predictions: &[f64]) -> Accuracy {
    let off = |ratio: f64| ratio.ln().abs().exp() - 1.0;
    let ratios: Vec<f64> = (cases.iter().zip(predictions))
        .map(|(c, p)| p / c.us)
        .collect();
    let at = |id: &str| cases.iter().position(|c| c.id == id);
    let mut pairs = vec![];
    let mut right_direction = 0;
    for (after, case) in cases.iter().enumerate() {
        let Some(before) = case.pair.as_deref().and_then(at) else {
            continue;
        };
        let measured = cases[before].us / case.us;
        let predicted = predictions[before] / predictions[after];
        pairs.push(off(predicted / measured));
        // Where next to nothing changed there is no direction.
        let still = |gain: f64| gain.ln().abs() < STILL;
        let same = (measured > 1.0) == (predicted > 1.0);
        right_direction +=
            usize::from(same || still(measured) || still(predicted) && still(measured));
    }
    let families = Family::ALL.into_iter().filter_map(|family| {
        let of = cases
            .iter()
            .zip(&ratios)
            .filter(|(c, _)| c.family == family);
        let of: Vec<f64> = of.map(|(_, r)| *r).collect();
        (!of.is_empty()).then(|| (family, of.len(), median(of)))
    });
    Accuracy {
        records: cases.len(),
        median: median(ratios.iter().map(|r| off(*r)).collect()),
        pairs: pairs.len(),
        median_of_pairs: median(pairs),
        right_direction,
        spearman: spearman(cases.iter().map(|c| c.us).collect(), predictions.to_vec()),
        families: families.collect(),
    }
}

/// Changes below this, on a logarithmic scale, are noise: single runs vary by 3 to 5 %.
const STILL: f64 = 0.05;

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

/// The rank correlation of two series.
fn spearman(a: Vec<f64>, b: Vec<f64>) -> f64 {
    let ranks = |v: &[f64]| -> Vec<f64> {
        let below = |x: f64| v.iter().filter(|y| **y < x).count() as f64;
        let equal = |x: f64| v.iter().filter(|y| **y == x).count() as f64;
        v.iter()
            .map(|x| below(*x) + (equal(*x) - 1.0) / 2.0)
            .collect()
    };
    let (a, b) = (ranks(&a), ranks(&b));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let product = |x: &[f64], y: &[f64]| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum()
    };
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}
