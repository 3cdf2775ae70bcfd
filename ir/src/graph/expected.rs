//! What counts of rows are expected to be, where times are computed and nothing runs.

use super::{Graph, GraphError, Op, Value};
use crate::timing::gcd;
use indexmap::IndexMap;
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

/// What counts of rows are taken for.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Rows {
    /// What the layer says of them: how inputs are generated, and what exchanges say of their results. Counts of which it says
    /// nothing have all rows.
    #[default]
    Said,
    /// All rows exist.
    Full,
    /// By name; of others what the layer says.
    Given(IndexMap<String, Vec<i64>>),
}

impl Graph {
    /// Sets [`Graph::expected`] for all counts of ragged rows.
    ///
    /// # Errors
    ///
    /// [`GraphError::Expected`] for given counts that no rows have, too many or too few of them, or such as no group can have.
    pub fn expect_rows(&mut self, rows: &Rows) -> Result<(), GraphError> {
        let counted = self.counted();
        let mut expected = IndexMap::new();
        if let Rows::Given(given) = rows {
            for (name, counts) in given {
                check(name, counts, &counted)?;
            }
        }
        for (name, (v, most)) in &counted {
            let said = match rows {
                Rows::Full => None,
                Rows::Given(given) if given.contains_key(name) => given.get(name).cloned(),
                Rows::Given(_) | Rows::Said => self.said(*v, *most),
            };
            if let Some(said) = said {
                expected.insert(name.clone(), said);
            }
        }
        self.expected = expected;
        Ok(())
    }

    /// What counts rows, with how many a group has at most.
    fn counted(&self) -> IndexMap<String, (Value, (usize, i64))> {
        let mut out = IndexMap::new();
        for v in self.values() {
            let ty = self.ty(v);
            let Some(ragged) = &ty.ragged else { continue };
            let rows = ty.matrix().0 / ragged.groups.max(1);
            if let Some(counts) = self.find(&ragged.counts) {
                out.insert(
                    ragged.counts.clone(),
                    (counts, (ragged.groups, rows as i64)),
                );
            }
        }
        out
    }

    /// What the layer says of counts, each at most `most`.
    fn said(&self, v: Value, (groups, most): (usize, i64)) -> Option<Vec<i64>> {
        let node = self.node(v.node);
        let shares = (0..groups).map(|g| (g as f64 + 0.5) / groups as f64);
        let counts: Vec<i64> = match &node.op {
            Op::Input => {
                let high = node.input.bound? - 1;
                let low = node.input.lowest();
                match &node.input.spread {
                    Some(spread) => spread
                        .quantiles(shares)
                        .into_iter()
                        .map(|n| n.clamp(low, high))
                        .collect(),
                    None => {
                        let values = (high - low + 1) as f64;
                        shares.map(|s| low + (s * values) as i64).collect()
                    }
                }
            }
            Op::Exchange(_) => {
                let results = self.called(v.node)?.program.results.clone();
                results.get(v.result)?.spread?.quantiles(shares)
            }
            _ => return None,
        };
        let counts = counts.into_iter().map(|n| n.clamp(0, most)).collect();
        Some(spread_out(counts))
    }
}

fn check(
    name: &str,
    counts: &[i64],
    counted: &IndexMap<String, (Value, (usize, i64))>,
) -> Result<(), GraphError> {
    let wrong = |what: String, help: String| {
        Err(GraphError::Expected {
            name: name.into(),
            what,
            help,
        })
    };
    let Some((_, (groups, most))) = counted.get(name) else {
        let names: Vec<&str> = counted.keys().map(String::as_str).collect();
        return wrong(
            "counts no rows of this layer".into(),
            match names.is_empty() {
                true => "leave it out: all rows of this layer exist".into(),
                false => format!("what counts rows here: {}", names.join(", ")),
            },
        );
    };
    if counts.len() != *groups {
        return wrong(
            format!(
                "has {} counts, and the layer has {groups} groups of rows",
                counts.len()
            ),
            format!("give {groups} numbers, one a group"),
        );
    }
    if let Some(n) = counts.iter().find(|n| !(0..=*most).contains(n)) {
        return wrong(
            format!("has a group of {n} rows, where there is room for {most}"),
            format!("give counts from 0 to {most}"),
        );
    }
    Ok(())
}

/// Ascending counts in an order in which neighbours are far apart, so that any few groups in a row have about as many rows as any
/// others: blocks take groups in order.
fn spread_out(counts: Vec<i64>) -> Vec<i64> {
    let n = counts.len();
    let golden = (n as f64 * 0.618_033_988_75).round() as usize;
    let coprime = |step: usize| gcd(step, n) == 1;
    let step = (0..n).find_map(|d| {
        let near = [golden.saturating_sub(d), golden + d];
        near.into_iter().find(|s| *s > 0 && coprime(*s))
    });
    let step = step.unwrap_or(1);
    (0..n).map(|g| counts[(g * step + n / 2) % n]).collect()
}
