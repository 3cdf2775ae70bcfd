//! Communication between ranks.

use super::attr::{AttrKind, AttrValue, required, size};
use super::comm::comm;
use super::row::{Form, Row};
use super::{Comm, Composite, Exchange, Op};

pub(super) static DISPATCH: Row = Row {
    name: "dispatch",
    doc: "rows to the ranks of their experts: x, scale, weight, route, count and status of what this rank receives",
    example: "ranks N = 2\n\
              input x: f32[8, 64]\n\
              input scale: f32[8, 1]\n\
              input experts: i32[8, 2] < 4\n\
              input weights: f32[8, 2]\n\
              input count: i32 <= 8\n\
              rows, scales, shares, route, received, status = dispatch(x, scale, experts, weights, count, ranks = N, experts = 4, capacity = 16)",
    operands: &["x", "scale", "indices", "weights", "count"],
    results: 6,
    attrs: &[size("ranks"), size("experts"), size("capacity")],
    form: Form::Built(|a| match *a {
        [
            AttrValue::Size(ranks),
            AttrValue::Size(experts),
            AttrValue::Size(capacity),
        ] => Some(Op::Composite(Composite::Exchange(Exchange::Dispatch {
            ranks,
            experts,
            capacity,
        }))),
        _ => None,
    }),
};

pub(super) static COMBINE: Row = Row {
    name: "combine",
    doc: "the experts' rows back to where they came from, added to shared [T, D]",
    example: "ranks N = 2\n\
              input received: i32[2, 1] <= 16\n\
              input rows: bf16[2 * 16, 64] ragged received\n\
              input route: i32[2 * 16, 1] ragged received\n\
              input shared: bf16[8, 64]\n\
              input count: i32 <= 8\n\
              y = combine(rows, route, received, shared, count, ranks = N, topk = 2)",
    operands: &["y", "route", "received", "shared", "count"],
    results: 1,
    attrs: &[size("ranks"), size("topk")],
    form: Form::Built(|a| match *a {
        [AttrValue::Size(ranks), AttrValue::Size(topk)] => {
            Some(Op::Composite(Composite::Exchange(Exchange::Combine {
                ranks,
                topk,
            })))
        }
        _ => None,
    }),
};

pub(super) static WINDOW: Row = Row {
    name: "window",
    doc: "-> [rows, cols], memory that peers write into; i32 [1, 1] is a counter",
    example: "ranks N = 2\n\
              input rank: i32 < 2\n\
              input epoch: i32\n\
              input x: f32[8, 64]\n\
              sent = put(window(type = f32, rows = 2 * 8, cols = 64), x, rank, ranks = N)\n\
              told = notify(window(type = i32, rows = 1, cols = 1), sent, epoch, op = add, ranks = N)\n\
              y = read_window(sent, wait(told, epoch, times = N), rows = 2 * 8, cols = 64)",
    operands: &[],
    results: 1,
    attrs: &[
        required("type", AttrKind::DType),
        size("rows"),
        size("cols"),
    ],
    form: Form::Built(|a| match *a {
        [
            AttrValue::DType(dtype),
            AttrValue::Size(rows),
            AttrValue::Size(cols),
        ] => comm(Comm::Window { dtype, rows, cols }),
        _ => None,
    }),
};

pub(super) static PUT: Row = Row {
    name: "put",
    doc: "writes x [R, C] into rows rank * R of every rank's window [ranks * R, C]",
    example: "ranks N = 2\n\
              input rank: i32 < 2\n\
              input epoch: i32\n\
              input x: f32[8, 64]\n\
              sent = put(window(type = f32, rows = 2 * 8, cols = 64), x, rank, ranks = N)\n\
              told = notify(window(type = i32, rows = 1, cols = 1), sent, epoch, op = add, ranks = N)\n\
              y = read_window(sent, wait(told, epoch, times = N), rows = 2 * 8, cols = 64)",
    operands: &["window", "x", "rank"],
    results: 1,
    attrs: &[size("ranks")],
    form: Form::Built(|a| match *a {
        [AttrValue::Size(ranks)] => comm(Comm::Put { ranks }),
        _ => None,
    }),
};

pub(super) static REMOTE_STORE: Row = Row {
    name: "remote_store",
    doc: "writes row r of x to its targets, i32 [R, K]: rows of all ranks' windows stacked; a negative one is none",
    example: "ranks N = 2\n\
              input epoch: i32\n\
              input x: f32[8, 64]\n\
              input targets: i32[8, 1] < 32\n\
              input count: i32 <= 16\n\
              sent = remote_store(window(type = f32, rows = 16, cols = 64), x, targets, ranks = N)\n\
              too = after(sent, x)\n\
              told = notify(window(type = i32, rows = 1, cols = 1), too, epoch, op = add, ranks = N)\n\
              y = read_rows(too, wait(told, epoch, times = N), count, rows = 16, cols = 64)",
    operands: &["window", "x", "targets"],
    results: 1,
    attrs: &[size("ranks")],
    form: Form::Built(|a| match *a {
        [AttrValue::Size(ranks)] => comm(Comm::RemoteStore { ranks }),
        _ => None,
    }),
};

pub(super) static AFTER: Row = Row {
    name: "after",
    doc: "the window, once the other is written too",
    example: "ranks N = 2\n\
              input epoch: i32\n\
              input x: f32[8, 64]\n\
              input targets: i32[8, 1] < 32\n\
              input count: i32 <= 16\n\
              sent = remote_store(window(type = f32, rows = 16, cols = 64), x, targets, ranks = N)\n\
              too = after(sent, x)\n\
              told = notify(window(type = i32, rows = 1, cols = 1), too, epoch, op = add, ranks = N)\n\
              y = read_rows(too, wait(told, epoch, times = N), count, rows = 16, cols = 64)",
    operands: &["window", "other"],
    results: 1,
    attrs: &[],
    form: Form::Built(|_| comm(Comm::After)),
};

pub(super) static NOTIFY: Row = Row {
    name: "notify",
    doc: "once `after` is written: op = add adds one to every rank's counter, op = set sets the epoch",
    example: "ranks N = 2\n\
              input rank: i32 < 2\n\
              input epoch: i32\n\
              input x: f32[8, 64]\n\
              sent = put(window(type = f32, rows = 2 * 8, cols = 64), x, rank, ranks = N)\n\
              told = notify(window(type = i32, rows = 1, cols = 1), sent, epoch, op = add, ranks = N)\n\
              y = read_window(sent, wait(told, epoch, times = N), rows = 2 * 8, cols = 64)",
    operands: &["counter", "after", "epoch"],
    results: 1,
    attrs: &[required("op", AttrKind::Notify), size("ranks")],
    form: Form::Built(|a| match *a {
        [AttrValue::Notify(op), AttrValue::Size(ranks)] => comm(Comm::Notify { op, ranks }),
        _ => None,
    }),
};

pub(super) static WAIT: Row = Row {
    name: "wait",
    doc: "waits until the counter is at least times * epoch",
    example: "ranks N = 2\n\
              input rank: i32 < 2\n\
              input epoch: i32\n\
              input x: f32[8, 64]\n\
              sent = put(window(type = f32, rows = 2 * 8, cols = 64), x, rank, ranks = N)\n\
              told = notify(window(type = i32, rows = 1, cols = 1), sent, epoch, op = add, ranks = N)\n\
              y = read_window(sent, wait(told, epoch, times = N), rows = 2 * 8, cols = 64)",
    operands: &["counter", "epoch"],
    results: 1,
    attrs: &[size("times")],
    form: Form::Built(|a| match *a {
        [AttrValue::Size(times)] => comm(Comm::Wait { times }),
        _ => None,
    }),
};

pub(super) static READ_WINDOW: Row = Row {
    name: "read_window",
    doc: "the window's contents after the wait, as [rows, cols]",
    example: "ranks N = 2\n\
              input rank: i32 < 2\n\
              input epoch: i32\n\
              input x: f32[8, 64]\n\
              sent = put(window(type = f32, rows = 2 * 8, cols = 64), x, rank, ranks = N)\n\
              told = notify(window(type = i32, rows = 1, cols = 1), sent, epoch, op = add, ranks = N)\n\
              y = read_window(sent, wait(told, epoch, times = N), rows = 2 * 8, cols = 64)",
    operands: &["window", "counter"],
    results: 1,
    attrs: &[size("rows"), size("cols")],
    form: Form::Built(|a| match *a {
        [AttrValue::Size(rows), AttrValue::Size(cols)] => comm(Comm::ReadWindow { rows, cols }),
        _ => None,
    }),
};

pub(super) static READ_ROWS: Row = Row {
    name: "read_rows",
    doc: "the first `count` rows of the window's contents after the wait, as [rows, cols]; the others are zero",
    example: "ranks N = 2\n\
              input epoch: i32\n\
              input x: f32[8, 64]\n\
              input targets: i32[8, 1] < 32\n\
              input count: i32 <= 16\n\
              sent = remote_store(window(type = f32, rows = 16, cols = 64), x, targets, ranks = N)\n\
              too = after(sent, x)\n\
              told = notify(window(type = i32, rows = 1, cols = 1), too, epoch, op = add, ranks = N)\n\
              y = read_rows(too, wait(told, epoch, times = N), count, rows = 16, cols = 64)",
    operands: &["window", "counter", "count"],
    results: 1,
    attrs: &[size("rows"), size("cols")],
    form: Form::Built(|a| match *a {
        [AttrValue::Size(rows), AttrValue::Size(cols)] => comm(Comm::ReadRows { rows, cols }),
        _ => None,
    }),
};

pub(super) static READ_LANES: Row = Row {
    name: "read_lanes",
    doc: "the rows of a window's lanes after the wait, ragged by i32 [L, 1]",
    example: "ranks N = 2\n\
              input epoch: i32\n\
              input x: f32[8, 64]\n\
              input targets: i32[8, 1] < 64\n\
              input received: i32[2, 1] <= 16\n\
              sent = remote_store(window(type = f32, rows = 2 * 16, cols = 64), x, targets, ranks = N)\n\
              told = notify(window(type = i32, rows = 1, cols = 1), sent, epoch, op = add, ranks = N)\n\
              y = read_lanes(sent, wait(told, epoch, times = N), received)",
    operands: &["window", "counter", "received"],
    results: 1,
    attrs: &[],
    form: Form::Built(|_| comm(Comm::ReadLanes)),
};
