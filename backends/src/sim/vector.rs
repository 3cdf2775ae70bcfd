//! The vector unit: element-wise arithmetic, broadcasts, reductions and conversions on tiles of UB.
//!
//! * Arithmetic is on f32, f16 and i32. f16 is computed in f32 and rounded once; i32 saturates.
//! * Operands of an element-wise instruction have one type, one layout and one valid part.
//! * A row sum adds in a fixed order: element `c` to lane `c % 64`, in ascending columns, and then the lanes in a pairwise
//!   tree (lane `i` and lane `i + 32`, then 16, 8, 4, 2, 1). Lanes beyond the columns take no part.
//! * `dst` may be one of the sources where the ISA allows it: the same slot, never a part of it.
//!
//! Sorting and index instructions are in [`super::sort`].

use super::error::Fault;
use super::memory::{Access, Core, Operand};
use super::{numeric, sort};
use crate::data::{Tensor, arith, convert};
use tilewright_ir::graph::{Binary, Reduce};
use tilewright_ir::kernel::VectorOp;
use tilewright_ir::{DType, Round};

/// The lanes of a row sum.
const LANES: usize = 64;

/// Executes a vector instruction; `false` if an operand has no rows.
pub(super) fn execute(
    access: &Access,
    core: &mut Core,
    op: &VectorOp,
    dst: &Operand,
    srcs: &[Operand],
    tmp: Option<&Operand>,
) -> Result<bool, Fault> {
    if dst.empty() || srcs.iter().any(Operand::empty) {
        return Ok(false);
    }
    if let Some(tmp) = tmp {
        for other in srcs.iter().chain([dst]) {
            disjoint(tmp, other, "its scratch must not share with an operand")?;
        }
        core.scratch(access, tmp)?;
    }
    for src in srcs {
        core.read(access, src)?;
    }
    match (op, srcs) {
        (VectorOp::Cvt(round), [src]) => cvt(access, core, dst, src, *round)?,
        (VectorOp::Unary(f), [src]) => {
            same_shape(dst, src)?;
            in_place(dst, src)?;
            let f = *f;
            if dst.tile.dtype == DType::I32 {
                let x = numeric::ints(DType::I32, &core.gather(src));
                let y = x
                    .iter()
                    .map(|x| arith::unary_int(f, i64::from(*x)).map(clamp))
                    .collect::<Option<Vec<i32>>>()
                    .ok_or_else(|| no_arithmetic(f.name(), dst))?;
                put(access, core, dst, &numeric::int_bytes(&y))?;
            } else {
                let mut x = floats(core, f.name(), src)?;
                for x in &mut x {
                    *x = arith::unary(f, *x);
                }
                put_floats(access, core, dst, &x)?;
            }
        }
        (VectorOp::Scalar(f, value), [src]) => {
            same_shape(dst, src)?;
            if *f == Binary::Div {
                disjoint(dst, src, "a division by a constant does not allow")?;
            } else {
                in_place(dst, src)?;
            }
            let op = *f;
            if dst.tile.dtype == DType::I32 {
                let value = integral(*value, dst)?;
                let mut x = numeric::ints(DType::I32, &core.gather(src));
                for x in &mut x {
                    *x = int(op, *x, value, dst)?;
                }
                put(access, core, dst, &numeric::int_bytes(&x))?;
            } else {
                let mut x = floats(core, op.name(), src)?;
                let value = convert::round_f32(*value, dst.tile.dtype);
                combine(op, x.iter_mut().map(|x| (x, value)));
                put_floats(access, core, dst, &x)?;
            }
        }
        (VectorOp::Binary(f), [a, b]) => {
            same_shape(dst, a)?;
            same_shape(dst, b)?;
            in_place(dst, a)?;
            in_place(dst, b)?;
            two(access, core, *f, dst, a, b, |i| i)?;
        }
        (VectorOp::RowExpand(f), [a, b]) => {
            same_shape(dst, a)?;
            in_place(dst, a)?;
            disjoint(dst, b, "a row broadcast does not allow")?;
            row_major(dst)?;
            if b.rows != dst.rows || b.cols != 1 || !b.is_column() {
                return Err(Fault::Shape {
                    what: format!(
                        "a row broadcast of {} x {} over {} x {}; it takes a column-major [R, 1]",
                        b.rows, b.cols, dst.rows, dst.cols
                    ),
                });
            }
            two(access, core, *f, dst, a, b, |i| i / dst.cols)?;
        }
        (VectorOp::ColExpand(f), [a, b]) => {
            same_shape(dst, a)?;
            in_place(dst, a)?;
            if dst.rows == 1 {
                in_place(dst, b)?;
            } else {
                disjoint(dst, b, "a column broadcast does not allow")?;
            }
            row_major(dst)?;
            row_major(b)?;
            if b.rows != 1 || b.cols != dst.cols {
                return Err(Fault::Shape {
                    what: format!(
                        "a column broadcast of {} x {} over {} x {}; it takes [1, C]",
                        b.rows, b.cols, dst.rows, dst.cols
                    ),
                });
            }
            two(access, core, *f, dst, a, b, |i| i % dst.cols)?;
        }
        (VectorOp::Halves(f), [src]) => halves(access, core, *f, dst, src)?,
        (VectorOp::RowReduce(f), [src]) => {
            row_reduce(access, core, *f, dst, src, tmp)?;
        }
        (VectorOp::Fill(value), []) => {
            let dtype = dst.tile.dtype;
            if !dtype.is_float() {
                integral(*value, dst)?;
            }
            let one = Tensor {
                dtype: DType::F32,
                shape: vec![],
                bytes: value.to_le_bytes().to_vec(),
            };
            let element = convert::convert(&one, dtype, Round::Rint).bytes;
            put(access, core, dst, &element.repeat(dst.size()))?;
        }
        (VectorOp::Copy, [src]) => {
            same_type(dst, src)?;
            disjoint(dst, src, "a copy does not allow")?;
            if dst.is_column() != src.is_column() || src.rows > dst.rows || src.cols > dst.cols {
                return Err(Fault::Shape {
                    what: format!(
                        "a copy of {} x {} into {} x {}",
                        src.rows, src.cols, dst.rows, dst.cols
                    ),
                });
            }
            let part = Operand {
                rows: src.rows,
                cols: src.cols,
                ..*dst
            };
            let bytes = core.gather(src);
            put(access, core, &part, &bytes)?;
        }
        (VectorOp::Iota, []) => {
            if !matches!(dst.tile.dtype, DType::I32 | DType::U32) || dst.rows != 1 {
                return Err(Fault::Unsupported {
                    what: format!("iota into {} rows of {}", dst.rows, dst.tile.dtype),
                    remedy: "iota fills one row of i32 or u32".into(),
                });
            }
            let row: Vec<i32> = (0..dst.cols as i32).collect();
            put(access, core, dst, &numeric::int_bytes(&row))?;
        }
        (VectorOp::Sort32, [x, index]) => sort::sort32(access, core, dst, x, index)?,
        (VectorOp::MergeSort { run }, [src]) => sort::merge(access, core, *run, dst, src)?,
        (VectorOp::PairIndices, [src]) => sort::pair_indices(access, core, dst, src)?,
        (VectorOp::Gather, [x, index]) => sort::gather(access, core, dst, x, index)?,
        _ => {
            return Err(Fault::Program {
                what: format!(
                    "{} does not take {} sources",
                    super::plan::op_name(op),
                    srcs.len()
                ),
            });
        }
    }
    Ok(true)
}

fn cvt(
    access: &Access,
    core: &mut Core,
    dst: &Operand,
    src: &Operand,
    round: Round,
) -> Result<(), Fault> {
    let (from, to) = (src.tile.dtype, dst.tile.dtype);
    same_extent(dst, src)?;
    if from.bytes() == to.bytes() {
        in_place(dst, src)?;
    } else {
        disjoint(
            dst,
            src,
            "a conversion between types of different sizes does not allow",
        )?;
    }
    let tensor = Tensor {
        dtype: from,
        shape: vec![src.rows, src.cols],
        bytes: core.gather(src),
    };
    let bytes = if from == to {
        // f32 to f32 rounds to an integral value.
        let rounded: Vec<f32> = numeric::floats(from, &tensor.bytes)
            .iter()
            .map(|x| convert::round_integral(f64::from(*x), round) as f32)
            .collect();
        numeric::float_bytes(to, &rounded)
    } else {
        convert::convert(&tensor, to, round).bytes
    };
    put(access, core, dst, &bytes)
}

fn row_reduce(
    access: &Access,
    core: &mut Core,
    f: Reduce,
    dst: &Operand,
    src: &Operand,
    tmp: Option<&Operand>,
) -> Result<(), Fault> {
    same_type(dst, src)?;
    row_major(src)?;
    disjoint(dst, src, "a row reduction does not allow")?;
    if dst.rows != src.rows || dst.cols != 1 {
        return Err(Fault::Shape {
            what: format!(
                "a row reduction of {} x {} into {} x {}",
                src.rows, src.cols, dst.rows, dst.cols
            ),
        });
    }
    match tmp {
        Some(tmp) if tmp.tile.dtype == src.tile.dtype && tmp.tile.bytes() >= src.tile.bytes() => {}
        _ => {
            return Err(Fault::Shape {
                what: format!(
                    "a row reduction of {} x {} {} without a scratch tile as big as its source",
                    src.tile.rows, src.tile.cols, src.tile.dtype
                ),
            });
        }
    }
    let op = f.combine();
    if src.tile.dtype == DType::I32 {
        let x = numeric::ints(DType::I32, &core.gather(src));
        let mut out = Vec::with_capacity(src.rows);
        for row in x.chunks_exact(src.cols) {
            let mut acc = row[0];
            for x in &row[1..] {
                acc = int(op, acc, *x, dst)?;
            }
            out.push(acc);
        }
        return put(access, core, dst, &numeric::int_bytes(&out));
    }
    let x = floats(core, f.name(), src)?;
    let out: Vec<f32> = x
        .chunks_exact(src.cols)
        .map(|row| reduce_lanes(op, row))
        .collect();
    put_floats(access, core, dst, &out)
}

/// 64 partial results, then a pairwise tree: the same order for a sum whatever its number of columns.
fn reduce_lanes(op: Binary, row: &[f32]) -> f32 {
    let count = row.len().min(LANES);
    let mut lanes = [0.0; LANES];
    lanes[..count].copy_from_slice(&row[..count]);
    for chunk in row[count..].chunks(LANES) {
        combine(op, lanes.iter_mut().zip(chunk.iter().copied()));
    }
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half.min(count.saturating_sub(half)) {
            lanes[i] = arith::binary(op, lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// `x = x op y` on each pair. The match is outside the loop so that each loop is vectorised.
fn combine<'x>(op: Binary, pairs: impl Iterator<Item = (&'x mut f32, f32)>) {
    match op {
        Binary::Add => pairs.for_each(|(x, y)| *x += y),
        Binary::Sub => pairs.for_each(|(x, y)| *x -= y),
        Binary::Mul => pairs.for_each(|(x, y)| *x *= y),
        Binary::Div => pairs.for_each(|(x, y)| *x /= y),
        Binary::Max | Binary::Min => pairs.for_each(|(x, y)| *x = arith::binary(op, *x, y)),
    }
}

/// `dst[i] = a[i] op b[place(i)]`.
fn two(
    access: &Access,
    core: &mut Core,
    op: Binary,
    dst: &Operand,
    a: &Operand,
    b: &Operand,
    place: impl Fn(usize) -> usize,
) -> Result<(), Fault> {
    same_type(dst, b)?;
    if dst.tile.dtype == DType::I32 {
        let mut x = numeric::ints(DType::I32, &core.gather(a));
        let y = numeric::ints(DType::I32, &core.gather(b));
        for (i, x) in x.iter_mut().enumerate() {
            *x = int(op, *x, y[place(i)], dst)?;
        }
        return put(access, core, dst, &numeric::int_bytes(&x));
    }
    let mut x = floats(core, op.name(), a)?;
    let y = floats(core, op.name(), b)?;
    combine(op, x.iter_mut().enumerate().map(|(i, x)| (x, y[place(i)])));
    put_floats(access, core, dst, &x)
}

/// Two halves of the source: its upper and lower rows, or its left and right columns.
fn halves(
    access: &Access,
    core: &mut Core,
    op: Binary,
    dst: &Operand,
    src: &Operand,
) -> Result<(), Fault> {
    same_type(dst, src)?;
    disjoint(dst, src, "halves do not allow")?;
    row_major(dst)?;
    row_major(src)?;
    let upper = (src.rows, src.cols) == (2 * dst.rows, dst.cols);
    let left = (src.rows, src.cols) == (dst.rows, 2 * dst.cols);
    if !upper && !left {
        return Err(Fault::Shape {
            what: format!(
                "halves of {} x {} into {} x {}; it takes [2 R, C] or [R, 2 C] into [R, C]",
                src.rows, src.cols, dst.rows, dst.cols
            ),
        });
    }
    // Elements of both halves that lie together.
    let run = if upper { dst.size() } else { dst.cols };
    if dst.tile.dtype == DType::I32 {
        let x = numeric::ints(DType::I32, &core.gather(src));
        let pairs = x.chunks_exact(2 * run).map(|both| both.split_at(run));
        let joined = pairs.flat_map(|(a, b)| std::iter::zip(a, b));
        let joined = joined
            .map(|(a, b)| int(op, *a, *b, dst))
            .collect::<Result<Vec<i32>, _>>()?;
        return put(access, core, dst, &numeric::int_bytes(&joined));
    }
    let x = floats(core, op.name(), src)?;
    let pairs = x.chunks_exact(2 * run).map(|both| both.split_at(run));
    let (mut left, mut right) = (vec![], vec![]);
    for (a, b) in pairs {
        left.extend_from_slice(a);
        right.extend_from_slice(b);
    }
    combine(op, left.iter_mut().zip(right));
    put_floats(access, core, dst, &left)
}

fn int(op: Binary, a: i32, b: i32, dst: &Operand) -> Result<i32, Fault> {
    arith::binary_int(op, i64::from(a), i64::from(b))
        .map(clamp)
        .ok_or_else(|| no_arithmetic(op.name(), dst))
}

fn clamp(x: i64) -> i32 {
    x.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

fn integral(value: f32, dst: &Operand) -> Result<i32, Fault> {
    if value.fract() == 0.0 && value.abs() < 2_147_483_648.0 {
        Ok(value as i32)
    } else {
        Err(Fault::Unsupported {
            what: format!("constant {value:?} on a tile of {}", dst.tile.dtype),
            remedy: "constants of integer instructions are integers".into(),
        })
    }
}

fn no_arithmetic(name: &str, operand: &Operand) -> Fault {
    Fault::Unsupported {
        what: format!("{name} on {}", operand.tile.dtype),
        remedy: "vector arithmetic is on f32, f16 and i32 (division and functions on f32 and f16): convert first".into(),
    }
}

fn floats(core: &Core, name: &str, operand: &Operand) -> Result<Vec<f32>, Fault> {
    match operand.tile.dtype {
        DType::F32 | DType::F16 => Ok(numeric::floats(operand.tile.dtype, &core.gather(operand))),
        _ => Err(no_arithmetic(name, operand)),
    }
}

fn put_floats(access: &Access, core: &mut Core, dst: &Operand, x: &[f32]) -> Result<(), Fault> {
    put(access, core, dst, &numeric::float_bytes(dst.tile.dtype, x))
}

/// Writes an instruction's result.
pub(super) fn put(
    access: &Access,
    core: &mut Core,
    dst: &Operand,
    bytes: &[u8],
) -> Result<(), Fault> {
    core.write(access, dst)?;
    core.scatter(dst, bytes);
    Ok(())
}

pub(super) fn same_type(dst: &Operand, src: &Operand) -> Result<(), Fault> {
    if dst.tile.dtype == src.tile.dtype {
        return Ok(());
    }
    Err(Fault::Unsupported {
        what: format!(
            "one instruction on {} `{}` and {} `{}`",
            dst.tile.dtype, dst.tile.name, src.tile.dtype, src.tile.name
        ),
        remedy: "convert one of them first".into(),
    })
}

fn same_shape(dst: &Operand, src: &Operand) -> Result<(), Fault> {
    same_type(dst, src)?;
    same_extent(dst, src)
}

fn same_extent(dst: &Operand, src: &Operand) -> Result<(), Fault> {
    if (dst.rows, dst.cols) == (src.rows, src.cols) && dst.is_column() == src.is_column() {
        return Ok(());
    }
    let layout = |o: &Operand| {
        if o.is_column() {
            "column-major"
        } else {
            "row-major"
        }
    };
    Err(Fault::Shape {
        what: format!(
            "{} `{}` of {} x {} and {} `{}` of {} x {}",
            layout(dst),
            dst.tile.name,
            dst.rows,
            dst.cols,
            layout(src),
            src.tile.name,
            src.rows,
            src.cols
        ),
    })
}

pub(super) fn row_major(operand: &Operand) -> Result<(), Fault> {
    if operand.is_column() {
        return Err(Fault::Shape {
            what: format!(
                "column-major tile `{}` where rows are needed",
                operand.tile.name
            ),
        });
    }
    Ok(())
}

fn overlap(a: &Operand, b: &Operand) -> bool {
    let (x, y) = (a.extent(), b.extent());
    a.tile.space == b.tile.space && x.start < y.end && y.start < x.end
}

/// Refuses operands that share bytes.
pub(super) fn disjoint(a: &Operand, b: &Operand, why: &str) -> Result<(), Fault> {
    if !overlap(a, b) {
        return Ok(());
    }
    Err(Fault::OperandOverlap {
        a: a.tile.name.clone(),
        b: b.tile.name.clone(),
        why: why.into(),
    })
}

/// Refuses operands that share bytes unless they are one slot.
fn in_place(a: &Operand, b: &Operand) -> Result<(), Fault> {
    if a.owner == b.owner {
        return Ok(());
    }
    disjoint(a, b, "is only allowed for one and the same tile")
}
