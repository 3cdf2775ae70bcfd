//! The vector unit's sorting and index instructions. Pairs are 8 bytes: an f32 value, then 32 index bits, which are copied as
//! they are. Order is descending by value and stable; NaN comes before all numbers, and -0 equals +0.

use super::error::Fault;
use super::memory::{Access, Core, Operand};
use super::vector::{disjoint, put, row_major};
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

fn shape(what: String) -> Fault {
    Fault::Shape { what }
}

fn one_row(operand: &Operand, dtypes: &[DType]) -> Result<(), Fault> {
    row_major(operand)?;
    if operand.rows != 1 {
        return Err(shape(format!(
            "tile `{}` of {} rows where one row is needed",
            operand.tile.name, operand.rows
        )));
    }
    if !dtypes.contains(&operand.tile.dtype) {
        let names: Vec<_> = dtypes.iter().map(|d| d.name()).collect();
        return Err(Fault::Unsupported {
            what: format!("{} tile `{}`", operand.tile.dtype, operand.tile.name),
            remedy: format!("this operand is {}", names.join(" or ")),
        });
    }
    Ok(())
}

/// Each 32 values with their indices, sorted.
pub(super) fn sort32(
    access: &Access,
    core: &mut Core,
    dst: &Operand,
    x: &Operand,
    index: &Operand,
) -> Result<(), Fault> {
    one_row(dst, &[DType::F32])?;
    one_row(x, &[DType::F32])?;
    one_row(index, &[DType::U32])?;
    if !x.cols.is_multiple_of(32) || index.cols != x.cols || dst.cols != 2 * x.cols {
        return Err(shape(format!(
            "sort32 of {} values with {} indices into {} columns; it takes C, C and 2 C with C a multiple of 32",
            x.cols, index.cols, dst.cols
        )));
    }
    disjoint(dst, x, "a sort does not allow")?;
    disjoint(dst, index, "a sort does not allow")?;
    let (values, indices) = (core.gather(x), core.gather(index));
    let mut all: Vec<Pair> = values
        .chunks_exact(4)
        .zip(indices.chunks_exact(4))
        .map(|(v, i)| Pair {
            value: f32::from_le_bytes([v[0], v[1], v[2], v[3]]),
            index: [i[0], i[1], i[2], i[3]],
        })
        .collect();
    for run in all.chunks_mut(32) {
        run.sort_by(descending);
    }
    put(access, core, dst, &pair_bytes(&all))
}

/// Merges four sorted runs at a time, or two; equal values keep the order of their runs.
pub(super) fn merge(
    access: &Access,
    core: &mut Core,
    run: usize,
    dst: &Operand,
    src: &Operand,
) -> Result<(), Fault> {
    one_row(dst, &[DType::F32])?;
    one_row(src, &[DType::F32])?;
    disjoint(dst, src, "a merge does not allow")?;
    let count = src.cols / 2;
    if run == 0
        || !run.is_multiple_of(32)
        || !src.cols.is_multiple_of(2)
        || !count.is_multiple_of(run)
        || dst.cols != src.cols
    {
        return Err(shape(format!(
            "merge_sort of runs of {run} pairs in {} columns into {} columns",
            src.cols, dst.cols
        )));
    }
    let runs = count / run;
    if runs != 2 && (runs == 0 || !runs.is_multiple_of(4)) {
        return Err(shape(format!(
            "merge_sort of {runs} runs; it merges two runs, or groups of four"
        )));
    }
    let mut all = pairs(&core.gather(src));
    // A stable sort of neighbouring sorted runs is their merge.
    for group in all.chunks_mut(run.saturating_mul(4)) {
        if let Some(at) = group
            .chunks(run)
            .position(|r| r.windows(2).any(|w| descending(&w[0], &w[1]).is_gt()))
        {
            return Err(Fault::Unsupported {
                what: format!("a merge of runs of which number {at} of a group is not sorted"),
                remedy: "sort each run first: sort32, then runs of 32, 128, ...".into(),
            });
        }
        group.sort_by(descending);
    }
    put(access, core, dst, &pair_bytes(&all))
}

/// The indices of the first pairs, as many as `dst` has columns.
pub(super) fn pair_indices(
    access: &Access,
    core: &mut Core,
    dst: &Operand,
    src: &Operand,
) -> Result<(), Fault> {
    one_row(dst, &[DType::I32, DType::U32])?;
    one_row(src, &[DType::F32])?;
    disjoint(dst, src, "a gather by mask does not allow")?;
    if src.cols < 2 * dst.cols {
        return Err(shape(format!(
            "{} indices of {} pairs",
            dst.cols,
            src.cols / 2
        )));
    }
    let indices: Vec<u8> = pairs(&core.gather(src))
        .iter()
        .take(dst.cols)
        .flat_map(|p| p.index)
        .collect();
    put(access, core, dst, &indices)
}

/// `dst[0, k] = x[0, index[0, k]]`, bits copied.
pub(super) fn gather(
    access: &Access,
    core: &mut Core,
    dst: &Operand,
    x: &Operand,
    index: &Operand,
) -> Result<(), Fault> {
    let dtypes = [DType::F32, DType::I32, DType::U32, DType::F16, DType::Bf16];
    one_row(dst, &dtypes)?;
    one_row(x, &[dst.tile.dtype])?;
    one_row(index, &[DType::I32, DType::U32])?;
    disjoint(dst, x, "a gather does not allow")?;
    if index.cols != dst.cols {
        return Err(shape(format!(
            "a gather by {} indices into {} columns",
            index.cols, dst.cols
        )));
    }
    let size = dst.tile.dtype.bytes();
    let (values, indices) = (core.gather(x), core.gather(index));
    let mut out = Vec::with_capacity(dst.cols * size);
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
    put(access, core, dst, &out)
}
