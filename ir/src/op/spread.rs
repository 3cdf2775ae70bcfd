//! How counts are spread, where a layer says so.

use serde::{Deserialize, Serialize};

/// How many of `trials` independent trials hit, each with the probability `hits / of`: the rows that an expert receives of so many
/// tokens, say, each of which chooses `hits` of `of` experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binomial {
    pub trials: i64,
    pub hits: i64,
    pub of: i64,
}

impl Binomial {
    /// Most trials: so many tokens fit a tensor.
    const MAX_TRIALS: i64 = 1 << 31;

    /// What is wrong with it, and what to do.
    pub fn problem(&self) -> Option<(String, &'static str)> {
        let Binomial { trials, hits, of } = *self;
        if !(0..Self::MAX_TRIALS).contains(&trials) {
            let what = format!("binomial({trials}, {hits}, {of}) has {trials} trials");
            return Some((what, "give 0 to 2147483647"));
        }
        if of < 1 || !(0..=of).contains(&hits) {
            let what = format!("binomial({trials}, {hits}, {of}) hits with {hits} / {of}");
            return Some((
                what,
                "give a probability from 0 to 1: HITS from 0 to OF, and OF above 0",
            ));
        }
        None
    }

    /// The probability of a hit.
    pub fn probability(&self) -> f64 {
        self.hits as f64 / self.of as f64
    }

    /// The least count that at least these shares of all draws do not pass; `shares` ascend, within 0..1.
    pub fn quantiles(&self, shares: impl IntoIterator<Item = f64>) -> Vec<i64> {
        let (first, weights) = self.weights();
        let all: f64 = weights.iter().sum();
        let mut at = 0;
        let mut below = weights.first().copied().unwrap_or(1.0);
        let counts = shares.into_iter().map(|share| {
            while at + 1 < weights.len() && below < share * all {
                at += 1;
                below += weights[at];
            }
            first + at as i64
        });
        counts.collect()
    }

    /// The first count with a weight that matters, and how likely it and those after it are, relative to each other. They are
    /// computed from the likeliest one outwards, so that none is rounded to zero that matters.
    fn weights(&self) -> (i64, Vec<f64>) {
        const LEAST: f64 = 1e-12;
        let (n, p) = (self.trials, self.probability());
        if p >= 1.0 {
            return (n, vec![1.0]);
        }
        let odds = p / (1.0 - p);
        let mode = (((n + 1) as f64 * p).floor() as i64).clamp(0, n);
        let mut lower = vec![];
        let mut weight = 1.0;
        for k in (1..=mode).rev() {
            weight *= k as f64 / ((n - k + 1) as f64 * odds);
            if weight < LEAST {
                break;
            }
            lower.push(weight);
        }
        let first = mode - lower.len() as i64;
        let mut weights: Vec<f64> = lower.into_iter().rev().collect();
        weights.push(1.0);
        weight = 1.0;
        for k in mode..n {
            weight *= (n - k) as f64 / (k + 1) as f64 * odds;
            if weight < LEAST {
                break;
            }
            weights.push(weight);
        }
        (first, weights)
    }
}
