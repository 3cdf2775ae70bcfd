//! The figures that predictions come nearest with.
//!
//! What is minimised is a sum of squares of logarithms: of `predicted / measured`, where far records count linearly (Huber), and of
//! `figure / source`, so that a figure stays at its source unless times say otherwise. Steps are Gauss and Newton's, damped.
//! A record that is left out is one step from the minimum without it; its prediction is computed with the figures there.

use super::{Case, Family, figure, median, predicted, with_figures};
use crate::error::Result;
use indexmap::IndexMap;
use rayon::prelude::*;
use tilewright_ir::kernel::Program;
use tilewright_ir::machine::Machine;
use tilewright_passes::cost;
use tracing::{debug, info_span};

/// A figure that is fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Free {
    /// Which figure, as a file of a machine has it.
    pub path: &'static str,
    /// Figures that have the same value.
    pub with: &'static [&'static str],
    /// What it may be at least.
    pub least: f64,
    /// What it may be at most.
    pub most: f64,
    /// How far from its source it may well be, on a logarithmic scale.
    pub spread: f64,
}

const fn free(path: &'static str, least: f64, most: f64, spread: f64) -> Free {
    Free {
        path,
        with: &[],
        least,
        most,
        spread,
    }
}

/// A task of a `parallel` launch waits for the scheduler as a block of an `spmd` launch does.
const BLOCK: Free = Free {
    with: &["runtime.pypto.task"],
    ..free("runtime.pypto.block", 0.02, 0.5, 0.7)
};

/// The figures that are fitted, and how far they may go. The others are counts, or measured for themselves.
pub const FREE: [Free; 25] = [
    free("l2_to_l1", 80.0, 250.0, 0.4),
    free("gm_to_l1.peak", 25.0, 140.0, 0.5),
    free("gm_to_l1.half", 500.0, 40_000.0, 1.0),
    free("gm_to_l1.burst_overhead", 5.0, 400.0, 1.0),
    free("gm_to_ub.peak", 30.0, 130.0, 0.5),
    free("gm_to_ub.half", 500.0, 40_000.0, 1.0),
    free("ub_to_gm.peak", 15.0, 90.0, 0.5),
    free("ub_to_gm.half", 200.0, 30_000.0, 1.0),
    free("l0c_to_gm.peak", 15.0, 160.0, 0.5),
    free("l0c_to_gm.half", 200.0, 40_000.0, 1.0),
    free("l2_bandwidth", 1800.0, 5400.0, 0.3),
    free("gm_bandwidth", 900.0, 1600.0, 0.15),
    free("block_head", 100.0, 6000.0, 0.7),
    free("runtime.pypto.handover", 0.2, 10.0, 0.7),
    free("runtime.pypto.spmd", 0.3, 8.0, 0.2),
    free("runtime.pypto.parallel", 1.0, 10.0, 0.2),
    BLOCK,
    free("runtime.cann.spmd", 0.5, 21.0, 1.0),
    free("runtime.cann.block", 0.001, 0.2, 1.0),
    free("gm_scalar_read", 50.0, 1500.0, 0.7),
    free("gm_scalar_write", 20.0, 1500.0, 1.0),
    free("scalar_op", 0.5, 10.0, 0.7),
    free("ub_to_peer.peak", 2.0, 60.0, 0.4),
    free("link_bandwidth", 20.0, 250.0, 0.3),
    free("vector.vmrgsort4.slope", 40.0, 300.0, 0.7),
];

/// Residuals beyond this count linearly.
const FAR: f64 = 0.35;
/// What a source weighs beside a record.
const PRIOR: f64 = 0.15;
const STEPS: usize = 25;
/// The step of a derivative, on a logarithmic scale.
const NUDGE: f64 = 0.03;

/// A fit.
#[derive(Debug, Clone)]
pub struct Fit {
    /// By path, its source's value and the fitted one.
    pub figures: IndexMap<String, (f64, f64)>,
    /// By case, in us: with the figures of the sources, with those fitted, without the record, without its family.
    pub before: Vec<f64>,
    /// Predicted times with the fitted figures, by record, in us.
    pub after: Vec<f64>,
    /// The same, fitted without the record itself.
    pub without_record: Vec<f64>,
    /// The same, fitted without the whole family of the record.
    pub without_family: Vec<f64>,
}

/// A time that was measured.
struct Observed {
    us: f64,
    /// How much it counts.
    weight: f64,
}

/// Predictions of what was measured, in us, with these figures of the machines.
type Predict<'c> = dyn Fn(&[(String, f64)]) -> Result<Vec<f64>> + Sync + 'c;

/// What was measured, and predictions of it at a point.
struct Model<'c> {
    observed: Vec<Observed>,
    predict: &'c Predict<'c>,
    free: Vec<Free>,
    /// Logarithms of the sources' values.
    source: Vec<f64>,
}

impl Model<'_> {
    fn figures(&self, point: &[f64]) -> Vec<(String, f64)> {
        (self.free.iter().zip(point))
            .flat_map(|(f, x)| {
                let paths = f.with.iter().chain([&f.path]);
                paths.map(|path| ((*path).to_owned(), x.exp()))
            })
            .collect()
    }

    /// Predictions at a point.
    fn at(&self, point: &[f64]) -> Result<Vec<f64>> {
        (self.predict)(&self.figures(point))
    }

    fn clamp(&self, point: &mut [f64]) {
        for (x, f) in point.iter_mut().zip(&self.free) {
            *x = x.clamp(f.least.ln(), f.most.ln());
        }
    }

    fn residuals(&self, predictions: &[f64]) -> Vec<f64> {
        let observed = self.observed.iter().zip(predictions);
        observed.map(|(o, p)| (p.max(1e-3) / o.us).ln()).collect()
    }

    /// What is minimised.
    fn loss(&self, residuals: &[f64], point: &[f64]) -> f64 {
        let huber = |r: f64| match r.abs() <= FAR {
            true => r * r / 2.0,
            false => FAR * (r.abs() - FAR / 2.0),
        };
        let records: f64 = (self.observed.iter().zip(residuals))
            .map(|(o, r)| o.weight * huber(*r))
            .sum();
        let held: f64 = (0..point.len())
            .map(|i| ((point[i] - self.source[i]) / self.free[i].spread).powi(2) / 2.0)
            .sum();
        records + PRIOR * held
    }

    fn jacobian(&self, point: &[f64], residuals: &[f64]) -> Result<Vec<Vec<f64>>> {
        let columns: Result<Vec<Vec<f64>>> = (0..point.len())
            .into_par_iter()
            .map(|i| {
                let mut moved = point.to_vec();
                // Away from the bound that it may lie at.
                let up = point[i] + NUDGE <= self.free[i].most.ln();
                let step = if up { NUDGE } else { -NUDGE };
                moved[i] += step;
                let there = self.residuals(&self.at(&moved)?);
                Ok(there
                    .iter()
                    .zip(residuals)
                    .map(|(a, b)| (a - b) / step)
                    .collect())
            })
            .collect();
        columns
    }

    /// The normal equations of the times that count: matrix and gradient.
    fn normal(
        &self,
        point: &[f64],
        residuals: &[f64],
        jacobian: &[Vec<f64>],
        counts: impl Fn(usize) -> bool,
    ) -> (Vec<Vec<f64>>, Vec<f64>) {
        let n = point.len();
        let mut matrix = vec![vec![0.0; n]; n];
        let mut gradient = vec![0.0; n];
        for (c, observed) in self.observed.iter().enumerate().filter(|(c, _)| counts(*c)) {
            let r = residuals[c];
            let weight = observed.weight * (FAR / r.abs().max(1e-9)).min(1.0);
            for i in 0..n {
                gradient[i] += weight * r * jacobian[i][c];
                for j in 0..n {
                    matrix[i][j] += weight * jacobian[i][c] * jacobian[j][c];
                }
            }
        }
        for i in 0..n {
            let held = PRIOR / self.free[i].spread.powi(2);
            matrix[i][i] += held;
            gradient[i] += held * (point[i] - self.source[i]);
        }
        (matrix, gradient)
    }
}

/// Fits figures to cases, from the figures of the sources.
///
/// # Errors
///
/// A figure that machines do not have.
pub fn fit(cases: &[Case]) -> Result<Fit> {
    let _span = info_span!("fit").entered();
    let mut machines = IndexMap::new();
    for case in cases {
        let key = (case.machine.clone(), case.runtime.clone());
        if !machines.contains_key(&key) {
            let machine = Machine::as_sourced(&case.machine)?;
            machines.insert(key, machine.started_by(&case.runtime)?);
        }
    }
    let generation = Machine::as_sourced("a2a3")?;
    let value = |f: &Free| figure(&generation, f.path).unwrap_or(f.least);
    let source: Vec<f64> = FREE.iter().map(|f| value(f).ln()).collect();
    let predict = |figures: &[(String, f64)]| -> Result<Vec<f64>> {
        let machines: Result<IndexMap<_, _>> = (machines.iter())
            .map(|(key, machine)| Ok((key, with_figures(machine, figures)?)))
            .collect();
        let machines = machines?;
        let of = |c: &Case| &machines[&(c.machine.clone(), c.runtime.clone())];
        Ok(cases.par_iter().map(|c| predicted(c, of(c))).collect())
    };
    let observed = cases.iter().map(|c| Observed {
        us: c.us,
        weight: c.weight,
    });
    let model = Model {
        observed: observed.collect(),
        predict: &predict,
        free: FREE.to_vec(),
        source: source.clone(),
    };
    let before = model.at(&source)?;
    let (point, jacobian) = minimum(&model, source.clone())?;
    let after = model.at(&point)?;
    let residuals = model.residuals(&after);
    // One step from the minimum, without what is left out.
    let without = |counts: &dyn Fn(usize) -> bool| -> Result<Vec<f64>> {
        let (matrix, gradient) = model.normal(&point, &residuals, &jacobian, counts);
        let mut moved = point.clone();
        for (x, step) in moved.iter_mut().zip(solve(matrix, gradient)) {
            *x -= step;
        }
        model.clamp(&mut moved);
        model.at(&moved)
    };
    let mut without_record = vec![];
    for left in 0..cases.len() {
        without_record.push(without(&|c| c != left)?[left]);
    }
    let mut without_family = vec![0.0; cases.len()];
    for family in Family::ALL {
        let predictions = without(&|c| cases[c].family != family)?;
        for (c, case) in cases.iter().enumerate() {
            if case.family == family {
                without_family[c] = predictions[c];
            }
        }
    }
    let generation = &generation;
    let figures = FREE.iter().enumerate().flat_map(|(i, f)| {
        let rounded = significant(point[i].exp());
        let paths = [&f.path].into_iter().chain(f.with);
        paths.map(move |path| {
            let source = figure(generation, path).unwrap_or(rounded);
            ((*path).to_owned(), (source, rounded))
        })
    });
    Ok(Fit {
        figures: figures.collect(),
        before,
        after,
        without_record,
        without_family,
    })
}

/// Figures that measured times ask of one machine.
#[derive(Debug, Clone)]
pub struct Refit {
    /// The machine with them.
    pub machine: Machine,
    /// By path, the machine's value and the fitted one.
    pub figures: IndexMap<String, (f64, f64)>,
    /// How far predictions are off at the median, on a logarithmic scale: with the machine's figures, and with these.
    pub off: [f64; 2],
}

/// How far a figure may go from a machine's, beyond the bounds of what chips have.
const ANY: f64 = 4.0;

/// Fits figures of a machine to times that programs took, in us, from its own figures on. Each figure may move alone, and a
/// machine that is wrong may be far off.
///
/// # Errors
///
/// A machine that lacks a figure.
pub fn refit(machine: &Machine, measured: &[(Program, f64)]) -> Result<Refit> {
    let _span = info_span!("fit").entered();
    let value = |path: &str| figure(machine, path).unwrap_or(0.0);
    let alone = |f: &Free| {
        let of = *f;
        let paths = [f.path].into_iter().chain(f.with.iter().copied());
        paths.map(move |path| Free {
            path,
            with: &[],
            least: of.least.min(value(path).max(of.least / ANY) / ANY),
            most: of.most.max(value(path) * ANY),
            ..of
        })
    };
    let free: Vec<Free> = FREE.iter().flat_map(alone).collect();
    // A figure that no chip has, such as nothing, says little of where to begin.
    let begin = |f: &Free| {
        let of = FREE
            .iter()
            .find(|of| of.path == f.path || of.with.contains(&f.path));
        let (least, most) = of.map_or((f.least, f.most), |of| (of.least, of.most));
        match value(f.path) {
            x if (least..=most).contains(&x) => x,
            _ => (least * most).sqrt(),
        }
    };
    let source: Vec<f64> = free.iter().map(|f| begin(f).ln()).collect();
    let predict = |figures: &[(String, f64)]| -> Result<Vec<f64>> {
        let machine = with_figures(machine, figures)?;
        let us = |program: &Program| {
            let kernels = program.kernels.iter();
            kernels.map(|k| cost::estimate(k, &machine).us).sum()
        };
        Ok(measured.par_iter().map(|(p, _)| us(p)).collect())
    };
    let observed = measured.iter().map(|(_, us)| Observed {
        us: *us,
        weight: 1.0,
    });
    let model = Model {
        observed: observed.collect(),
        predict: &predict,
        free,
        source: source.clone(),
    };
    let off = |residuals: Vec<f64>| median(residuals.iter().map(|r| r.abs()).collect());
    let unfitted = model.residuals(&predict(&[])?);
    let (point, _) = minimum(&model, source)?;
    let figures = model.figures(&point).into_iter();
    let figures: Vec<(String, f64)> = figures.map(|(path, x)| (path, significant(x))).collect();
    Ok(Refit {
        machine: with_figures(machine, &figures)?,
        off: [off(unfitted), off(model.residuals(&model.at(&point)?))],
        figures: (figures.into_iter())
            .map(|(path, to)| (path.clone(), (value(&path), to)))
            .collect(),
    })
}

/// The minimum from a point on, and the derivatives there.
fn minimum(model: &Model, mut point: Vec<f64>) -> Result<(Vec<f64>, Vec<Vec<f64>>)> {
    let mut residuals = model.residuals(&model.at(&point)?);
    let mut loss = model.loss(&residuals, &point);
    let mut damping = 1e-2;
    let mut jacobian = model.jacobian(&point, &residuals)?;
    for done in 0..STEPS {
        debug!(progress = "steps", done, of = STEPS);
        let (matrix, gradient) = model.normal(&point, &residuals, &jacobian, |_| true);
        let mut better = None;
        while better.is_none() && damping < 1e4 {
            let mut damped = matrix.clone();
            for (i, row) in damped.iter_mut().enumerate() {
                row[i] *= 1.0 + damping;
            }
            let mut moved = point.clone();
            for (x, step) in moved.iter_mut().zip(solve(damped, gradient.clone())) {
                *x -= step;
            }
            model.clamp(&mut moved);
            let there = model.residuals(&model.at(&moved)?);
            let found = model.loss(&there, &moved);
            match found < loss {
                true => better = Some((moved, there, found)),
                false => damping *= 4.0,
            }
        }
        let Some((moved, there, found)) = better else {
            break;
        };
        let gain = loss - found;
        (point, residuals, loss) = (moved, there, found);
        damping = (damping / 10.0).max(1e-6);
        jacobian = model.jacobian(&point, &residuals)?;
        if gain < 1e-6 * loss {
            break;
        }
    }
    Ok((point, jacobian))
}

/// Three significant digits: more says nothing of a figure that was fitted.
fn significant(x: f64) -> f64 {
    format!("{x:.2e}").parse().unwrap_or(x)
}

/// Solves a symmetric positive system by elimination.
fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let n = right.len();
    for i in 0..n {
        let pivot = matrix[i][i].max(1e-12);
        let upper = matrix[i].clone();
        for j in i + 1..n {
            let factor = matrix[j][i] / pivot;
            for (x, above) in matrix[j].iter_mut().zip(&upper).skip(i) {
                *x -= factor * above;
            }
            right[j] -= factor * right[i];
        }
    }
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|j| matrix[i][j] * right[j]).sum();
        right[i] = (right[i] - known) / matrix[i][i].max(1e-12);
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_solved() {
        let matrix = vec![
            vec![4.0, 1.0, 0.0],
            vec![1.0, 3.0, 1.0],
            vec![0.0, 1.0, 2.0],
        ];
        let x = solve(matrix, vec![6.0, 10.0, 8.0]);
        for (found, want) in x.iter().zip([1.0, 2.0, 3.0]) {
            assert!((found - want).abs() < 1e-9, "{x:?}");
        }
    }
}
