//! What counts of rows are expected to be, where times are computed and nothing runs.

use super::{Graph, GraphError, Op, Value};
use crate::integer::gcd;
use indexmap::IndexMap;

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
