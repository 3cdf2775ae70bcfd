//! Expert parallelism from definitions of its own, row by row: what the library's exchanges are compared with.

use super::ReferenceError;
use crate::data::{Tensor, arith};
use tilewright_ir::DType;
use tilewright_ir::graph::{Binary, Op};
use tilewright_ir::op::AttrValue;

/// Elements of a status: a failure's number, rank, rows, expert and capacity; the others are zero.
const STATUS_COLS: usize = 8;
/// Where the answer to each of a rank's pairs lies, by rank and row.
type Answers = Vec<Option<(usize, usize)>>;

/// The results of what the library has for exchanges by rank, row by row from what it is for; nothing for other operations.
pub(super) fn own_definition(
    op: &Op,
    operands: &[Vec<&Tensor>],
) -> Option<Result<Vec<Vec<Tensor>>, ReferenceError>> {
    if !op.callee()?.is_library() {
        return None;
    }
    let size = |name: &str| {
        let attributes = op.attributes();
        let found = attributes.iter().find(|(spec, _)| spec.name == name);
        match found {
            Some((_, AttrValue::Size(n))) => *n,
            _ => 0,
        }
    };
    match op.name() {
        "dispatch" => {
            let sizes = [operands.len(), size("experts"), size("capacity")];
            Some(dispatch(operands, sizes))
        }
        "combine" => Some(combine(operands, size("topk"))),
        _ => None,
    }
}

/// Rows to the ranks of their experts, in the order of source, token and choice; none at all when a lane is sent too many.
fn dispatch(
    operands: &[Vec<&Tensor>],
    [ranks, experts, capacity]: [usize; 3],
) -> Result<Vec<Vec<Tensor>>, ReferenceError> {
    // (source, token, choice) of every row, by expert, in the order of arrival.
    let mut lanes: Vec<Vec<(usize, usize, usize)>> = vec![vec![]; experts];
    for (source, o) in operands.iter().enumerate() {
        let (_, topk) = o[2].matrix();
        let indices = o[2].to_i64();
        let sent = active(o[4], o[2])? * topk;
        for (pair, index) in indices.into_iter().enumerate().take(sent) {
            // A choice of no expert goes nowhere.
            if index == -1 {
                continue;
            }
            let expert = expert(index, pair, topk, experts)?;
            lanes[expert].push((source, pair / topk, pair % topk));
        }
    }
    let per_rank = experts / ranks;
    let overflow = lanes.iter().position(|l| l.len() > capacity);
    let mut status = [0; STATUS_COLS];
    if let Some(e) = overflow {
        let (rank, expert) = (e / per_rank, e % per_rank);
        let told = [rank, lanes[e].len(), expert, capacity];
        status[0] = 1;
        for (place, value) in status[1..].iter_mut().zip(told) {
            *place = value as i64;
        }
        lanes.iter_mut().for_each(Vec::clear);
    }
    let held = per_rank * capacity;
    let receive = |rank: usize| {
        let own = &lanes[rank * per_rank..(rank + 1) * per_rank];
        let (tokens, topk) = operands[rank][2].matrix();
        let cols = operands[rank][0].matrix().1;
        let mut x = Tensor::zeros(operands[rank][0].dtype, &[held, cols]);
        let mut scale = Tensor::zeros(DType::F32, &[held, 1]);
        let mut weight = Tensor::zeros(DType::F32, &[held, 1]);
        let mut route = vec![0; held];
        for (l, lane) in own.iter().enumerate() {
            for (place, &(source, t, k)) in lane.iter().enumerate() {
                let row = l * capacity + place;
                let from = &operands[source];
                copy_row(&mut x, row, from[0], t, cols);
                copy_row(&mut scale, row, from[1], t, 1);
                copy_row(&mut weight, row, from[3], t * topk + k, 1);
                route[row] = ((source * tokens + t) * topk + k) as i64;
            }
        }
        let counts = own.iter().map(|l| l.len() as i64);
        Ok(vec![
            x,
            scale,
            weight,
            i32s(held, 1, route)?,
            i32s(per_rank, 1, counts)?,
            i32s(1, STATUS_COLS, status)?,
        ])
    };
    (0..ranks).map(receive).collect()
}

/// Rows back to where they came from, added to the rank's own in the order of choices.
fn combine(operands: &[Vec<&Tensor>], topk: usize) -> Result<Vec<Vec<Tensor>>, ReferenceError> {
    let (tokens, cols) = operands[0][3].matrix();
    // By source rank and (t, k): the answer's row.
    let mut answers = vec![vec![None; tokens * topk]; operands.len()];
    for (rank, o) in operands.iter().enumerate() {
        let counts = o[2].to_i64();
        let capacity = o[0].matrix().0 / counts.len().max(1);
        let routes = o[1].to_i64();
        for (lane, count) in counts.iter().enumerate() {
            for row in (lane * capacity..).take(usize::try_from(*count).unwrap_or(0)) {
                let route = usize::try_from(routes[row]).unwrap_or(usize::MAX);
                let home = answers.get_mut(route / (tokens * topk));
                let Some(place) = home.and_then(|a| a.get_mut(route % (tokens * topk))) else {
                    return Err(out_of_range(
                        row,
                        0,
                        routes[row],
                        operands.len() * tokens * topk,
                        "rows",
                    ));
                };
                *place = Some((rank, row));
            }
        }
    }
    let values: Vec<Vec<f32>> = operands.iter().map(|o| o[0].to_f32()).collect();
    let sum = |(o, answers): (&Vec<&Tensor>, &Answers)| {
        let mut out = o[3].to_f32();
        let count = active(o[4], o[3])?;
        for t in 0..count {
            for answer in answers[t * topk..(t + 1) * topk].iter() {
                // What was not sent (no expert, or a lane overflowed) adds nothing.
                let Some((rank, row)) = *answer else { continue };
                let row = &values[rank][row * cols..(row + 1) * cols];
                for (sum, x) in out[t * cols..(t + 1) * cols].iter_mut().zip(row) {
                    *sum = arith::binary(Binary::Add, *sum, *x);
                }
            }
        }
        Ok(vec![Tensor::from_f32(o[3].dtype, &[tokens, cols], &out)?])
    };
    operands.iter().zip(&answers).map(sum).collect()
}

fn copy_row(to: &mut Tensor, row: usize, from: &Tensor, source: usize, cols: usize) {
    let size = cols * to.dtype.bytes();
    let bytes = &from.bytes[source * size..(source + 1) * size];
    to.bytes[row * size..(row + 1) * size].copy_from_slice(bytes);
}

fn expert(value: i64, pair: usize, topk: usize, experts: usize) -> Result<usize, ReferenceError> {
    match usize::try_from(value) {
        Ok(e) if e < experts => Ok(e),
        _ => Err(out_of_range(
            pair / topk,
            pair % topk,
            value,
            experts,
            "experts",
        )),
    }
}

fn out_of_range(
    row: usize,
    column: usize,
    value: i64,
    limit: usize,
    what: &'static str,
) -> ReferenceError {
    ReferenceError::Index {
        place: what.into(),
        row,
        column,
        value,
        limit,
        what,
    }
}

fn integer(x: &Tensor) -> Result<i64, ReferenceError> {
    Ok(x.to_i64().first().copied().unwrap_or(0))
}

fn i32s(
    rows: usize,
    cols: usize,
    values: impl IntoIterator<Item = i64>,
) -> Result<Tensor, ReferenceError> {
    let values: Vec<i64> = values.into_iter().collect();
    Ok(Tensor::from_i64(DType::I32, &[rows, cols], &values)?)
}

/// The active rows that `count` says there are.
fn active(count: &Tensor, rows: &Tensor) -> Result<usize, ReferenceError> {
    let (value, limit) = (integer(count)?, rows.matrix().0);
    match usize::try_from(value) {
        Ok(n) if n <= limit => Ok(n),
        _ => Err(ReferenceError::Count {
            place: "count".into(),
            value,
            limit,
        }),
    }
}
