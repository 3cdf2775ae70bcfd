//! Communication: operations that see all ranks.
//!
//! Ranks run in lockstep: an operation is computed for all of them before the next one. So counters are always high enough, and what
//! a window holds is what was stored into it by operations before.

use super::ReferenceError;
use crate::data::{Tensor, arith};
use tilewright_ir::DType;
use tilewright_ir::graph::{Binary, Comm, Exchange, STATUS_COLS, STATUS_OVERFLOW};

/// Operands of one rank.
type Operands<'a> = &'a [&'a Tensor];
/// Where the answer to each of a rank's pairs lies, by rank and row.
type Answers = Vec<Option<(usize, usize)>>;

/// The results of a communication primitive, one a rank.
pub(super) fn eval_comm(
    comm: &Comm,
    operands: &[Vec<&Tensor>],
) -> Result<Vec<Tensor>, ReferenceError> {
    let each = |f: &dyn Fn(usize, Operands) -> Result<Tensor, ReferenceError>| {
        let ranks = operands.iter().enumerate();
        ranks.map(|(rank, o)| f(rank, o)).collect()
    };
    match *comm {
        Comm::Window { dtype, rows, cols } => each(&|_, _| Ok(Tensor::zeros(dtype, &[rows, cols]))),
        Comm::ExpertHistogram { experts } => each(&|_, o| {
            let counts = histogram(o[0], active(o[1], o[0])?, experts)?;
            i32s(1, experts, counts)
        }),
        Comm::Put { .. } => {
            let mut windows: Vec<Tensor> = operands.iter().map(|o| o[0].clone()).collect();
            for o in operands {
                let at = integer(o[2])? as usize * o[1].bytes.len();
                for window in &mut windows {
                    window.bytes[at..at + o[1].bytes.len()].copy_from_slice(&o[1].bytes);
                }
            }
            Ok(windows)
        }
        Comm::RemoteStore { .. } => {
            let mut windows: Vec<Tensor> = operands.iter().map(|o| o[0].clone()).collect();
            for o in operands {
                remote_store(&mut windows, o[1], o[2])?;
            }
            Ok(windows)
        }
        Comm::After => each(&|_, o| Ok(o[0].clone())),
        // Lockstep: everybody has notified once before anybody waits.
        Comm::Notify { ranks, .. } => each(&|_, o| {
            let before = integer(o[0])?;
            i32s(1, 1, [before + ranks as i64])
        }),
        Comm::Wait { .. } => each(&|_, o| Ok(o[0].clone())),
        Comm::ReadWindow { rows, cols } => {
            each(&|_, o| Ok(Tensor::new(o[0].dtype, [rows, cols], o[0].bytes.clone())?))
        }
        Comm::ReadRows { rows, cols } => each(&|_, o| {
            let mut read = Tensor::new(o[0].dtype, [rows, cols], o[0].bytes.clone())?;
            let there = active(o[2], &read)? * cols * read.dtype.bytes();
            read.bytes[there..].fill(0);
            Ok(read)
        }),
        Comm::ReadLanes => each(&|_, o| Ok(o[0].clone())),
        Comm::LaneCounts { ranks, capacity } => each(&|_, o| {
            let lanes = Lanes::new(o[0], ranks, capacity);
            i32s(lanes.per_rank(), 1, lanes.received(integer(o[1])? as usize))
        }),
        Comm::RouteTargets { ranks, capacity } => each(&|_, o| {
            let lanes = Lanes::new(o[1], ranks, capacity);
            let (rows, cols) = o[0].matrix();
            let rank = integer(o[2])? as usize;
            let targets = lanes.targets(o[0], rank, active(o[3], o[0])?)?;
            i32s(rows, cols, targets)
        }),
        Comm::ReturnTargets => each(&|_, o| {
            let (rows, cols) = o[0].matrix();
            let first = integer(o[1])? * (rows * cols) as i64;
            i32s(rows, cols, (0..(rows * cols) as i64).map(|i| first + i))
        }),
        Comm::LaneTargets => each(&|_, o| {
            let (rows, counts) = (o[0].matrix().0, o[1].to_i64());
            let capacity = rows / counts.len().max(1);
            let exists = |i: usize| (i % capacity) < counts[i / capacity] as usize;
            let targets = o[0].to_i64().into_iter().enumerate();
            i32s(
                rows,
                1,
                targets.map(|(i, t)| if exists(i) { t } else { -1 }),
            )
        }),
        Comm::LaneStatus { ranks, capacity } => each(&|_, o| {
            let lanes = Lanes::new(o[0], ranks, capacity);
            i32s(1, STATUS_COLS, lanes.status())
        }),
    }
}

/// The results of an exchange, by rank: from its definition, row by row.
pub(super) fn eval_exchange(
    exchange: &Exchange,
    operands: &[Vec<&Tensor>],
) -> Result<Vec<Vec<Tensor>>, ReferenceError> {
    match *exchange {
        Exchange::Dispatch {
            ranks,
            experts,
            capacity,
        } => dispatch(operands, ranks, experts, capacity),
        Exchange::Combine { ranks: _, topk } => combine(operands, topk),
    }
}

fn dispatch(
    operands: &[Vec<&Tensor>],
    ranks: usize,
    experts: usize,
    capacity: usize,
) -> Result<Vec<Vec<Tensor>>, ReferenceError> {
    // (source, token, choice) of every row, by expert, in the order of arrival.
    let mut lanes: Vec<Vec<(usize, usize, usize)>> = vec![vec![]; experts];
    for (source, o) in operands.iter().enumerate() {
        let (_, topk) = o[2].matrix();
        let indices = o[2].to_i64();
        let sent = active(o[4], o[2])? * topk;
        for (pair, index) in indices.into_iter().enumerate().take(sent) {
            let expert = expert(index, pair, topk, experts)?;
            lanes[expert].push((source, pair / topk, pair % topk));
        }
    }
    let per_rank = experts / ranks;
    let overflow = lanes.iter().position(|l| l.len() > capacity);
    let mut status = [0; STATUS_COLS];
    if let Some(e) = overflow {
        let (rank, expert) = (e / per_rank, e % per_rank);
        let told = [rank, expert, lanes[e].len(), capacity];
        status[0] = i64::from(STATUS_OVERFLOW);
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
                // What was not sent (a lane overflowed) adds nothing.
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

/// Which rows go where, from the counts of all ranks.
struct Lanes {
    /// By source rank, then expert of all.
    counts: Vec<Vec<i64>>,
    ranks: usize,
    capacity: usize,
}

impl Lanes {
    fn new(counts: &Tensor, ranks: usize, capacity: usize) -> Self {
        let experts = counts.matrix().1;
        let all = counts.to_i64();
        Lanes {
            counts: all.chunks(experts.max(1)).map(<[i64]>::to_vec).collect(),
            ranks,
            capacity,
        }
    }

    fn experts(&self) -> usize {
        self.counts.first().map_or(0, Vec::len)
    }

    fn per_rank(&self) -> usize {
        self.experts() / self.ranks
    }

    fn total(&self, expert: usize) -> i64 {
        self.counts.iter().map(|c| c[expert]).sum()
    }

    fn overflow(&self) -> Option<usize> {
        (0..self.experts()).find(|e| self.total(*e) > self.capacity as i64)
    }

    fn received(&self, rank: usize) -> Vec<i64> {
        let own = rank * self.per_rank()..(rank + 1) * self.per_rank();
        own.map(|e| match self.overflow() {
            None => self.total(e),
            Some(_) => 0,
        })
        .collect()
    }

    fn targets(
        &self,
        indices: &Tensor,
        rank: usize,
        count: usize,
    ) -> Result<Vec<i64>, ReferenceError> {
        let (rows, topk) = indices.matrix();
        let mut targets = vec![-1; rows * topk];
        if self.overflow().is_some() {
            return Ok(targets);
        }
        let earlier = |e: usize| self.counts[..rank].iter().map(move |c| c[e]).sum();
        let mut next: Vec<i64> = (0..self.experts()).map(earlier).collect();
        let given = indices.to_i64();
        for pair in 0..count * topk {
            let expert = expert(given[pair], pair, topk, self.experts())?;
            targets[pair] = (expert * self.capacity) as i64 + next[expert];
            next[expert] += 1;
        }
        Ok(targets)
    }

    fn status(&self) -> Vec<i64> {
        let mut status = vec![0; STATUS_COLS];
        if let Some(e) = self.overflow() {
            let place = [e / self.per_rank(), e % self.per_rank()].map(|n| n as i64);
            status[0] = i64::from(STATUS_OVERFLOW);
            status[1..5].copy_from_slice(&[
                place[0],
                place[1],
                self.total(e),
                self.capacity as i64,
            ]);
        }
        status
    }
}

fn histogram(indices: &Tensor, count: usize, experts: usize) -> Result<Vec<i64>, ReferenceError> {
    let topk = indices.matrix().1;
    let mut counts = vec![0; experts];
    for (pair, value) in indices.to_i64().into_iter().take(count * topk).enumerate() {
        counts[expert(value, pair, topk, experts)?] += 1;
    }
    Ok(counts)
}

/// Writes the rows, or elements, of `x` to their targets.
fn remote_store(
    windows: &mut [Tensor],
    x: &Tensor,
    targets: &Tensor,
) -> Result<(), ReferenceError> {
    let (rows, cols) = windows[0].matrix();
    let (count, topk) = targets.matrix();
    let elements = x.matrix() == (count, topk) && cols == 1;
    for (place, target) in targets.to_i64().into_iter().enumerate() {
        let Ok(target) = usize::try_from(target) else {
            continue;
        };
        let source = if elements { place } else { place / topk };
        let limit = windows.len() * rows;
        let Some(window) = windows.get_mut(target / rows) else {
            return Err(out_of_range(
                place / topk,
                place % topk,
                target as i64,
                limit,
                "rows",
            ));
        };
        copy_row(window, target % rows, x, source, cols);
    }
    Ok(())
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
