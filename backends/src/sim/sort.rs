//! The vector unit's sorting and index instructions. Pairs are 8 bytes: an f32 value, then 32 index bits, which are copied as
//! they are. Order is descending by value and stable; NaN comes before all numbers, and -0 equals +0.

use super::error::Fault;
use super::vector::Vector;
use std::cmp::Ordering;
use tilewright_ir::DType;

#[derive(Clone, Copy)]
struct Pair {
    value: f32,
    index: [u8; 4],
}

/// Descending: `Less` goes first.
fn descending(a: &Pair, b: &Pair) -> Ordering {
    match (a.value.is_nan(), b.value.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => b.value.partial_cmp(&a.value).unwrap_or(Ordering::Equal),
    }
}

fn pairs(bytes: &[u8]) -> Vec<Pair> {
    bytes
        .chunks_exact(8)
        .map(|b| Pair {
            value: f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            index: [b[4], b[5], b[6], b[7]],
        })
        .collect()
}

fn pair_bytes(pairs: &[Pair]) -> Vec<u8> {
    pairs
        .iter()
        .flat_map(|p| p.value.to_le_bytes().into_iter().chain(p.index))
        .collect()
}

/// Runs of values with their indices, each run sorted.
pub(super) fn sort(v: &mut Vector) -> Result<(), Fault> {
    let run = v.access.prepared.machine.geometry.sort_run.count();
    let (values, indices) = (v.bytes(0), v.bytes(1));
    let mut all: Vec<Pair> = values
        .chunks_exact(4)
        .zip(indices.chunks_exact(4))
        .map(|(v, i)| Pair {
            value: f32::from_le_bytes([v[0], v[1], v[2], v[3]]),
            index: [i[0], i[1], i[2], i[3]],
        })
        .collect();
    for run in all.chunks_mut(run) {
        run.sort_by(descending);
    }
    v.put(&pair_bytes(&all))
}

/// Merges four sorted runs at a time, or two; equal values keep the order of their runs.
pub(super) fn merge(v: &mut Vector, run: usize) -> Result<(), Fault> {
    let mut all = pairs(&v.bytes(0));
    // A stable sort of neighbouring sorted runs is their merge.
    for group in all.chunks_mut(run.saturating_mul(4)) {
        if let Some(at) = group
            .chunks(run)
            .position(|r| r.windows(2).any(|w| descending(&w[0], &w[1]).is_gt()))
        {
            return Err(Fault::Unsupported {
                what: format!("a merge of runs of which number {at} of a group is not sorted"),
                remedy: "sort each run first, then merge runs of one sort, of four, ...".into(),
            });
        }
        group.sort_by(descending);
    }
    v.put(&pair_bytes(&all))
}

/// The indices of the first pairs, as many as the result has columns.
pub(super) fn pair_indices(v: &mut Vector) -> Result<(), Fault> {
    let indices: Vec<u8> = pairs(&v.bytes(0))
        .iter()
        .take(v.dst.cols)
        .flat_map(|p| p.index)
        .collect();
    v.put(&indices)
}

/// `dst[0, k] = x[0, index[0, k]]`, bits copied.
pub(super) fn gather(v: &mut Vector) -> Result<(), Fault> {
    let (x, index) = (&v.srcs[0], &v.srcs[1]);
    let size = v.dst.tile.dtype.bytes();
    let (values, indices) = (v.bytes(0), v.bytes(1));
    let mut out = Vec::with_capacity(v.dst.cols * size);
    for (at, i) in indices.chunks_exact(4).enumerate() {
        let bits = [i[0], i[1], i[2], i[3]];
        let i = match index.tile.dtype {
            DType::U32 => i64::from(u32::from_le_bytes(bits)),
            _ => i64::from(i32::from_le_bytes(bits)),
        };
        match usize::try_from(i).ok().filter(|i| *i < x.cols) {
            Some(i) => out.extend_from_slice(&values[i * size..(i + 1) * size]),
            None => {
                return Err(Fault::IndexBounds {
                    tile: index.tile.name.clone(),
                    at,
                    index: i,
                    limit: x.cols,
                });
            }
        }
    }
    v.put(&out)
}
