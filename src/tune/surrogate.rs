//! What was learned from trials: how far the machine's model is from what is measured, and how sure that is.
//!
//! The model says a time of every schedule. A surrogate learns the logarithm of measured over predicted, from the features that the
//! model has of a kernel. With no trials it says what the model says.

use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::xgboost::xgb_regressor::{XGRegressor, XGRegressorParameters};

/// What is expected of a schedule: the logarithm of its time, and how far that may be off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// The time that is most likely.
    pub mean: f64,
    /// How far off that may be.
    pub spread: f64,
}

/// Learns from trials. Features begin with the logarithm of the predicted time.
pub trait Surrogate {
    /// Learns from all trials so far: features, and logarithms of times.
    fn fit(&mut self, features: &[Vec<f64>], times: &[f64]);
    /// What it expects of each set of features, by what was learned.
    fn expect(&self, features: &[Vec<f64>]) -> Vec<Expected>;
}

/// The model as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Model;

impl Surrogate for Model {
    fn fit(&mut self, _: &[Vec<f64>], _: &[f64]) {}

    fn expect(&self, features: &[Vec<f64>]) -> Vec<Expected> {
        let of = features.iter();
        of.map(|f| Expected {
            mean: f[0],
            spread: 0.0,
        })
        .collect()
    }
}

/// Boosted trees on the model's error, several of them on parts of the trials: where they disagree, little is known.
#[derive(Default)]
pub struct Boosted {
    seed: u64,
    trees: Vec<XGRegressor<f64, f64, DenseMatrix<f64>, Vec<f64>>>,
}

/// Ensembles, trees in each, and trials below which the model is taken as it is.
const ENSEMBLES: u64 = 4;
const TREES: usize = 24;
const LEAST: usize = 4;
/// The most trials that are learned from: the last ones.
const MOST: usize = 512;

impl Boosted {
    /// A surrogate that knows nothing yet.
    pub fn new(seed: u64) -> Self {
        Boosted {
            seed,
            trees: vec![],
        }
    }
}

impl Surrogate for Boosted {
    fn fit(&mut self, features: &[Vec<f64>], times: &[f64]) {
        self.trees.clear();
        let from = times.len().saturating_sub(MOST);
        let (features, times) = (&features[from..], &times[from..]);
        if times.len() < LEAST {
            return;
        }
        let off: Vec<f64> = features.iter().zip(times).map(|(f, t)| t - f[0]).collect();
        let middle = super::statistic::median(&off).unwrap_or(0.0);
        let Ok(x) = DenseMatrix::from_2d_vec(&features.to_vec()) else {
            return;
        };
        for ensemble in 0..ENSEMBLES {
            let parameters = XGRegressorParameters {
                n_estimators: TREES,
                max_depth: 4,
                learning_rate: 0.25,
                subsample: 0.7,
                base_score: middle,
                seed: self.seed.wrapping_mul(31).wrapping_add(ensemble),
                ..XGRegressorParameters::default()
            };
            // What cannot be learned from leaves the model.
            self.trees
                .extend(XGRegressor::fit(&x, &off, parameters).ok());
        }
    }

    fn expect(&self, features: &[Vec<f64>]) -> Vec<Expected> {
        if self.trees.is_empty() || features.is_empty() {
            return Model.expect(features);
        }
        let Ok(x) = DenseMatrix::from_2d_vec(&features.to_vec()) else {
            return Model.expect(features);
        };
        let all: Vec<Vec<f64>> = self
            .trees
            .iter()
            .filter_map(|t| t.predict(&x).ok())
            .collect();
        let expected = |(place, f): (usize, &Vec<f64>)| {
            let said: Vec<f64> = all.iter().map(|of| of[place]).collect();
            let count = said.len().max(1) as f64;
            let mean = said.iter().sum::<f64>() / count;
            let spread = said.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / count;
            Expected {
                mean: f[0] + mean,
                spread: spread.sqrt(),
            }
        };
        features.iter().enumerate().map(expected).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_the_model_is_learned() {
        // Measured is twice the model where the second feature is large.
        let features: Vec<Vec<f64>> = (0..60)
            .map(|i| vec![f64::from(i % 7) * 0.1, f64::from(i % 2)])
            .collect();
        let time = |f: &Vec<f64>| f[0] + f[1] * 2f64.ln();
        let times: Vec<f64> = features.iter().map(time).collect();
        let mut boosted = Boosted::new(1);
        boosted.fit(&features, &times);
        let asked = vec![vec![0.25, 0.0], vec![0.25, 1.0]];
        let expected = boosted.expect(&asked);
        for (f, e) in asked.iter().zip(&expected) {
            assert!((e.mean - time(f)).abs() < 0.1, "{f:?} {e:?}");
        }
        assert_eq!(Model.expect(&asked)[1].mean, 0.25);
    }
}
