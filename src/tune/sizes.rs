//! One layer at many sizes: each is tuned, neighbours share kernels, and a table says which kernels run a size.
//!
//! Kernels of a larger size run a smaller one when the rows beyond it do not matter to the others. Then a bucket of sizes is served by
//! the kernels of its largest, and what the smaller ones lose by that is bounded. Where rows depend on each other, each size has
//! kernels of its own.

use super::TuneError;
use super::layer::Report;
use super::stop::Ended;
use crate::data::{Source, inputs};
use crate::error::{Refusal, Result};
use crate::run::Compiled;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use tilewright_backends::data::{Tensor, Tensors};
use tilewright_backends::reference;
use tilewright_ir::graph::Graph;

/// The most sizes.
const MOST: usize = 65536;

/// Values of a param of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes {
    /// The param's name.
    pub param: String,
    /// Ascending, each once; at least one.
    pub values: Vec<i64>,
}

impl FromStr for Sizes {
    type Err = TuneError;

    /// Reads `NAME=A..B,C,...`, where a range has both ends.
    fn from_str(text: &str) -> std::result::Result<Self, TuneError> {
        let wrong = |reason: String| TuneError::Sizes {
            text: text.into(),
            reason,
        };
        let (param, list) = text
            .split_once('=')
            .ok_or_else(|| wrong("it has no `=`".into()))?;
        let number = |word: &str| match word.trim().parse::<i64>() {
            Ok(n) if n > 0 => Ok(n),
            _ => Err(wrong(format!("`{}` is no size", word.trim()))),
        };
        let mut values = vec![];
        for part in list.split(',') {
            let (first, last) = match part.split_once("..") {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(part)?, number(part)?),
            };
            if last < first {
                return Err(wrong(format!("`{}` ends before it begins", part.trim())));
            }
            let count = (last - first) as usize + values.len();
            if count >= MOST {
                return Err(wrong(format!("it has more than {MOST} sizes")));
            }
            values.extend(first..=last);
        }
        values.sort_unstable();
        values.dedup();
        Ok(Sizes {
            param: param.trim().into(),
            values,
        })
    }
}

/// Whether kernels of a size run smaller ones, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sharing {
    /// Rows beyond a size do not change what its own rows give, to the bit; so outputs of the interpreter said.
    Padded,
    /// They do.
    Dependent,
    /// It would take too long to find out.
    Unknown,
}

/// A size that was tuned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The size.
    pub size: i64,
    /// The best that was measured, in us, and how far its times lie apart.
    pub us: f64,
    /// How far its times lie apart.
    pub spread_us: f64,
    /// The search's own, in us.
    pub pick_us: f64,
    /// The best schedule; none where the search's own is.
    pub pins: Vec<String>,
    /// At which sizes its outputs were compared, in words.
    pub verified: String,
    /// Programs that were measured now.
    pub new: usize,
    /// Why it ended.
    pub ended: Ended,
}

impl Measured {
    /// What came of tuning a size.
    pub fn new(size: i64, report: Report) -> Self {
        Measured {
            size,
            us: report.us,
            spread_us: report.spread_us,
            pick_us: report.pick_us,
            pins: report.pins,
            verified: report.verified,
            new: report.new,
            ended: report.ended,
        }
    }
}

/// Sizes that share kernels: those of the largest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// The smallest size that was asked for in it.
    pub from: i64,
    /// The largest, which its kernels are of.
    pub to: i64,
    /// What its kernels take, in us.
    pub us: f64,
    /// What its smallest size loses by that: time over its own best, less one.
    pub loss: f64,
}

/// What came of tuning a layer for many sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SizesReport {
    /// The graph's name.
    pub graph: String,
    /// The machine's name.
    pub machine: String,
    /// What measured.
    pub runner: String,
    /// The param whose values the sizes are.
    pub param: String,
    /// Sizes that were asked for.
    pub sizes: usize,
    /// What a size may lose at most, as a share of its own best.
    pub loss: f64,
    /// Whether sizes may share kernels.
    pub sharing: Sharing,
    /// Smallest first.
    pub buckets: Vec<Bucket>,
    /// The sizes that were tuned, smallest first; those between lie between them.
    pub measured: Vec<Measured>,
}

impl SizesReport {
    /// What was measured at a size, if it was tuned.
    pub fn at(&self, size: i64) -> Option<&Measured> {
        self.measured.iter().find(|m| m.size == size)
    }
}

/// Puts sizes into buckets, from the largest on: each goes down to the smallest size that loses no more than `loss` by kernels of
/// its largest. `us` is the best time of a size; it is asked for as few sizes as a bisection needs, since kernels of a larger size
/// run a smaller one and so no size takes longer than a larger one.
///
/// # Errors
///
/// What `us` says.
pub fn buckets(
    values: &[i64],
    loss: f64,
    us: &mut dyn FnMut(i64) -> Result<f64>,
) -> Result<Vec<Bucket>> {
    let mut found = vec![];
    let mut end = values.len();
    while end > 0 {
        let to = values[end - 1];
        let whole = us(to)?;
        let mut within = |size: i64| Ok::<bool, Refusal>(whole <= us(size)? * (1.0 + loss));
        // The first of these is in the bucket; what is before `low` is not.
        let (mut low, mut first) = (0, end - 1);
        while low < first {
            let middle = (low + first) / 2;
            match within(values[middle])? {
                true => first = middle,
                false => low = middle + 1,
            }
        }
        found.push(Bucket {
            from: values[first],
            to,
            us: whole,
            loss: (whole / us(values[first])? - 1.0).max(0.0),
        });
        end = first;
    }
    found.reverse();
    Ok(found)
}

/// Buckets of one size each.
///
/// # Errors
///
/// What `us` says.
pub fn apart(values: &[i64], us: &mut dyn FnMut(i64) -> Result<f64>) -> Result<Vec<Bucket>> {
    let one = |size: &i64| {
        Ok(Bucket {
            from: *size,
            to: *size,
            us: us(*size)?,
            loss: 0.0,
        })
    };
    values.iter().map(one).collect()
}

/// Whether a graph's outputs are among those of the same graph at a larger size, whose inputs begin with the smaller one's and go on
/// with others: then the larger one's kernels run the smaller one. Both are interpreted.
///
/// # Errors
///
/// Graphs that the interpreter refuses.
pub fn is_independent(small: &Graph, large: &Graph) -> Result<bool> {
    let none = IndexMap::new();
    let few = inputs(small, &Source::Seed(0), &none)?;
    let mut many = inputs(large, &Source::Seed(1), &none)?;
    for (name, tensor) in &mut many {
        let Some(begin) = few.get(name) else {
            return Ok(false);
        };
        if !write_begin(tensor, begin) {
            return Ok(false);
        }
    }
    let [few, many] =
        [(small, few), (large, many)].map(|(g, x): (&Graph, Tensors)| reference::run(g, &x));
    let (few, many) = (few?, many?);
    let same = |(name, small): (&String, &Tensor)| {
        let large = many.get(name);
        large.and_then(|large| begin(large, &small.shape)) == Some(small.bytes.clone())
    };
    Ok(few.iter().all(same))
}

/// A compiled form whose kernels have names of their own, so that those of several sizes can be linked together.
#[must_use]
pub fn named(compiled: &Compiled, suffix: &str) -> Compiled {
    let mut named = compiled.clone();
    let program = &mut named.program;
    program.name.push_str(suffix);
    for kernel in &mut program.kernels {
        kernel.name.push_str(suffix);
        kernel
            .after
            .iter_mut()
            .for_each(|name| name.push_str(suffix));
    }
    for kernel in &mut named.kernels {
        kernel.name.push_str(suffix);
    }
    named
}

/// Bytes of the elements of a tensor whose indices are below these sizes; `None` if it does not have so many.
fn begin(of: &Tensor, sizes: &[usize]) -> Option<Vec<u8>> {
    let mut bytes = vec![];
    for (from, length) in runs(of, sizes)? {
        bytes.extend_from_slice(&of.bytes[from..from + length]);
    }
    Some(bytes)
}

/// Puts a tensor where a larger one begins; whether it is one that fits.
fn write_begin(into: &mut Tensor, from: &Tensor) -> bool {
    let Some(runs) = runs(into, &from.shape).filter(|_| into.dtype == from.dtype) else {
        return false;
    };
    let mut at = 0;
    for (place, length) in runs {
        into.bytes[place..place + length].copy_from_slice(&from.bytes[at..at + length]);
        at += length;
    }
    true
}

/// The bytes of what lies below these sizes, in runs: place and length.
fn runs(of: &Tensor, sizes: &[usize]) -> Option<Vec<(usize, usize)>> {
    let fits = of.shape.len() == sizes.len() && sizes.iter().zip(&of.shape).all(|(a, b)| a <= b);
    if !fits {
        return None;
    }
    let mut places = vec![0];
    let mut length = of.dtype.bytes();
    let Some((last, outer)) = sizes.split_last() else {
        return Some(vec![(0, length)]);
    };
    length *= last;
    let mut stride: usize = of.shape.iter().product::<usize>() * of.dtype.bytes();
    for (size, all) in outer.iter().zip(&of.shape) {
        stride /= (*all).max(1);
        let inner = |place: &usize| (0..*size).map(|i| place + i * stride).collect::<Vec<_>>();
        places = places.iter().flat_map(inner).collect();
    }
    Some(places.into_iter().map(|place| (place, length)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tilewright_ir::DType;

    #[test]
    fn sizes_are_ranges_and_numbers() {
        let sizes: Sizes = "T=8..10,128, 9".parse().expect("sizes");
        assert_eq!(
            (sizes.param.as_str(), &sizes.values[..]),
            ("T", &[8, 9, 10, 128][..])
        );
        for wrong in [
            "T",
            "T=",
            "T=0",
            "T=9..8",
            "T=1..999999999",
            "T=a",
            "T=-1..4",
        ] {
            assert!(wrong.parse::<Sizes>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_bucket_ends_where_its_smallest_size_would_lose_too_much() {
        let values: Vec<i64> = (1..=100).collect();
        let mut asked = vec![];
        let found = buckets(&values, 0.5, &mut |size| {
            asked.push(size);
            Ok(size as f64)
        });
        let ends: Vec<(i64, i64)> = found
            .expect("times")
            .iter()
            .map(|b| (b.from, b.to))
            .collect();
        // Each bucket's largest size takes at most half more than its smallest, and one size more would be too much.
        assert_eq!(ends.last(), Some(&(67, 100)));
        assert!(
            ends.iter()
                .all(|(from, to)| *to as f64 <= *from as f64 * 1.5)
        );
        assert!(ends.windows(2).all(|w| w[0].1 + 1 == w[1].0));
        assert!(
            ends.windows(2)
                .all(|w| w[1].1 as f64 > (w[1].0 - 1) as f64 * 1.5)
        );
        asked.sort_unstable();
        asked.dedup();
        assert!(asked.len() < 60, "{asked:?}");
        let one = buckets(&values, 0.0, &mut |_| Ok(7.0)).expect("times");
        assert_eq!((one.len(), one[0].from, one[0].to), (1, 1, 100));
    }

    #[test]
    fn a_smaller_tensor_lies_where_a_larger_one_begins() {
        let mut large =
            Tensor::from_i64(DType::I8, &[3, 4], &(0..12).collect::<Vec<_>>()).expect("it is one");
        assert_eq!(begin(&large, &[2, 3]), Some(vec![0, 1, 2, 4, 5, 6]));
        assert_eq!(begin(&large, &[4, 1]), None);
        let small = Tensor::from_i64(DType::I8, &[1, 2], &[50, 51]).expect("it is one");
        assert!(write_begin(&mut large, &small));
        assert_eq!(large.bytes[..5], [50, 51, 2, 3, 4]);
    }
}
