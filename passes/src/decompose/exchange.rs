//! Expert parallelism as windows, one-sided stores and counters.
//!
//! Counters only grow, and a wait compares with a multiple of the epoch, so that serial layers use the same windows. That is safe because
//! nobody stores into a peer's window before the peer has told the counts of this epoch, and by then it has read, in program
//! order, everything of the last one; the counts themselves are read before the rows are notified.

use super::Rewriter;
use tilewright_ir::dtype::{DType, Round};
use tilewright_ir::graph::{
    Binary, Comm, EPOCH, Exchange, GraphError, InputSpec, Node, NotifyOp, Op, Output, Prim, RANK,
    Type, Value,
};

pub(super) fn decompose(
    r: &mut Rewriter,
    exchange: Exchange,
    operands: &[Value],
) -> Result<Vec<Value>, GraphError> {
    match exchange {
        Exchange::Dispatch {
            ranks,
            experts,
            capacity,
        } => dispatch(r, operands, ranks, experts, capacity),
        Exchange::Combine { ranks, topk } => combine(r, operands, ranks, topk),
    }
}

fn dispatch(
    r: &mut Rewriter,
    operands: &[Value],
    ranks: usize,
    experts: usize,
    capacity: usize,
) -> Result<Vec<Value>, GraphError> {
    let &[x, scale, indices, weights, count] = operands else {
        unreachable!("inference has checked the number of operands");
    };
    let (rank, epoch) = (
        r.given(RANK, ranks as i64),
        r.given(EPOCH, i64::from(i32::MAX)),
    );
    // Everybody learns how many rows everybody sends to every expert.
    let histogram = r.comm(
        "histogram",
        Comm::ExpertHistogram { experts },
        &[indices, count],
    )?;
    let window = r.window("count_window", DType::I32, ranks, experts)?;
    let put = r.comm("count_put", Comm::Put { ranks }, &[window, histogram, rank])?;
    let told = r.barrier("count", put, epoch, ranks)?;
    let all = Comm::ReadWindow {
        rows: ranks,
        cols: experts,
    };
    let all = r.comm("count_all", all, &[put, told])?;
    // So everybody knows the place of every row, and whether all rows have one.
    let targets = Comm::RouteTargets { ranks, capacity };
    let targets = r.comm("targets", targets, &[indices, all, rank, count])?;
    // All that is read of the counts is read before the rows are notified: a peer that has waited for those may tell the counts of
    // the next epoch.
    let lanes = Comm::LaneCounts { ranks, capacity };
    let received = r.comm("received", lanes, &[all, rank])?;
    let status = Comm::LaneStatus { ranks, capacity };
    let status = r.comm("status", status, &[all])?;
    let routes = r.comm("routes", Comm::ReturnTargets, &[indices, rank])?;
    let mut channels = vec![];
    for (part, value) in [
        ("x", x),
        ("scale", scale),
        ("weight", weights),
        ("route", routes),
    ] {
        let ty = r.out.ty(value).clone();
        // One element a pair, or one row a token.
        let cols = match part {
            "weight" | "route" => 1,
            _ => ty.matrix().1,
        };
        let window = r.window(
            &format!("{part}_window"),
            ty.dtype,
            experts / ranks * capacity,
            cols,
        )?;
        let store = Comm::RemoteStore { ranks };
        let sent = r.comm(&format!("{part}_sent"), store, &[window, value, targets])?;
        channels.push((part, sent));
    }
    let mut sent = channels[0].1;
    for (part, other) in &channels[1..] {
        sent = r.comm(&format!("{part}_too"), Comm::After, &[sent, *other])?;
    }
    let arrived = r.barrier("data", sent, epoch, ranks)?;
    let mut results = vec![];
    for (part, sent) in channels {
        let operands = [sent, arrived, received];
        results.push(r.comm(&format!("{part}_received"), Comm::ReadLanes, &operands)?);
    }
    results.extend([received, status]);
    Ok(results)
}

fn combine(
    r: &mut Rewriter,
    operands: &[Value],
    ranks: usize,
    topk: usize,
) -> Result<Vec<Value>, GraphError> {
    let &[y, route, received, shared, count] = operands else {
        unreachable!("inference has checked the number of operands");
    };
    let epoch = r.given(EPOCH, i64::from(i32::MAX));
    let (tokens, cols) = r.out.ty(shared).matrix();
    let dtype = r.out.ty(y).dtype;
    let window = r.window("window", dtype, tokens * topk, cols)?;
    let targets = r.comm("targets", Comm::LaneTargets, &[route, received])?;
    let sent = r.comm("sent", Comm::RemoteStore { ranks }, &[window, y, targets])?;
    let done = r.barrier("combine", sent, epoch, ranks)?;
    // The K answers of a token lie one after the other: a row of K * D columns.
    let read = Comm::ReadRows {
        rows: tokens,
        cols: topk * cols,
    };
    let answers = r.comm("answers", read, &[sent, done, count])?;
    let mut sum = r.cast("shared_f32", shared, DType::F32)?;
    for k in 0..topk {
        let slice = Prim::SliceCols {
            from: k * cols,
            to: (k + 1) * cols,
        };
        let answer = r.prim(&format!("answer{k}"), slice, &[answers])?;
        let answer = r.cast(&format!("answer{k}_f32"), answer, DType::F32)?;
        sum = r.binary(&format!("sum{k}"), Binary::Add, sum, answer)?;
    }
    let to = r.out.ty(shared).dtype;
    let round = Round::Rint;
    Ok(vec![r.prim("out", Prim::Cast { to, round }, &[sum])?])
}

impl Rewriter {
    /// A scalar input that every rank is given.
    fn given(&mut self, name: &str, bound: i64) -> Value {
        if let Some(v) = self.out.find(name) {
            return v;
        }
        let node = self.out.nodes.add_node(Node {
            op: Op::Input,
            outputs: vec![Output {
                name: name.into(),
                ty: Type::new(DType::I32, []),
            }],
            region: None,
            input: InputSpec {
                bound: Some(bound),
                normal: None,
            },
        });
        Value { node, result: 0 }
    }

    fn comm(&mut self, part: &str, comm: Comm, operands: &[Value]) -> Result<Value, GraphError> {
        self.prim(part, Prim::Comm(comm), operands)
    }

    fn window(
        &mut self,
        part: &str,
        dtype: DType,
        rows: usize,
        cols: usize,
    ) -> Result<Value, GraphError> {
        self.comm(part, Comm::Window { dtype, rows, cols }, &[])
    }

    /// A counter that has seen every rank's notification after `written`.
    fn barrier(
        &mut self,
        part: &str,
        written: Value,
        epoch: Value,
        ranks: usize,
    ) -> Result<Value, GraphError> {
        let counter = Comm::Window {
            dtype: DType::I32,
            rows: 1,
            cols: 1,
        };
        let counter = self.comm(&format!("{part}_done"), counter, &[])?;
        let op = NotifyOp::Add;
        let notify = Comm::Notify { op, ranks };
        let notified = self.comm(
            &format!("{part}_notified"),
            notify,
            &[counter, written, epoch],
        )?;
        let wait = Comm::Wait { times: ranks };
        self.comm(&format!("{part}_waited"), wait, &[notified, epoch])
    }
}
