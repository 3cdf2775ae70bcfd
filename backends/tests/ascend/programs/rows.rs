//! Rows that are quantised, and rows of which the largest are chosen.

use super::build::*;
use Pipe::{Mte2, Mte3, V};
use tilewright_ir::graph::{Binary, LaunchKind, Reduce, Unary};
use tilewright_ir::kernel::{Layout, Pipe, Program, Role, Space, Unit, VectorOp};
use tilewright_ir::{DType, Round};

/// Symmetric int8 a row: `q = round(x * 127 / amax)` through i32 and f16, and the scale `amax / 127`.
pub fn quantize() -> Program {
    let (rows, cols) = (8, 256);
    let mut k = kernel(
        "quantize",
        Unit::Vector,
        &[("rows", 2)],
        &[("T_TILE", rows)],
        &[],
    );
    k.launch.kind = LaunchKind::Parallel;
    let mut p = Place::new(&mut k);
    let x = p.ub("x", DType::F32, rows, cols, 1);
    let abs = p.ub("abs", DType::F32, rows, cols, 1);
    let tmp = p.ub("tmp", DType::F32, rows, cols, 1);
    let int = p.ub("i32", DType::I32, rows, cols, 1);
    let half = p.ub("half", DType::F16, rows, cols, 1);
    let q = p.ub("q", DType::I8, rows, cols, 1);
    let amax = p.column("amax", rows);
    let top = p.column("top", rows);
    let inverse = p.column("inverse", rows);
    let scale = p.column("scale", rows);
    let blocks = p.ub("blocks", DType::F32, rows, 8, 1);
    let row = || grid(0, rows as i64);
    let mut body = vec![load(all_of(x), rect("x", row(), zero(), rows, cols))];
    body.extend(sync(Mte2, V, fixed(0)));
    body.extend(v(VectorOp::Unary(Unary::Abs), abs, &[x]));
    body.extend(vt(
        VectorOp::RowReduce(Reduce::Max),
        amax,
        &[abs],
        Some(tmp),
    ));
    body.extend(v(VectorOp::Scalar(Binary::Max, 1e-4), amax, &[amax]));
    body.extend(v(VectorOp::Fill(127.0), top, &[]));
    body.extend(v(VectorOp::Binary(Binary::Div), inverse, &[top, amax]));
    body.extend(v(VectorOp::Scalar(Binary::Div, 127.0), scale, &[amax]));
    body.extend(vt(
        VectorOp::RowExpand(Binary::Mul),
        x,
        &[x, inverse],
        Some(blocks),
    ));
    body.extend(v(VectorOp::Cvt(Round::Rint), int, &[x]));
    body.extend(v(VectorOp::Cvt(Round::Rint), half, &[int]));
    body.extend(v(VectorOp::Cvt(Round::Trunc), q, &[half]));
    body.extend(sync(V, Mte3, fixed(0)));
    body.push(store(rect("q", row(), zero(), rows, cols), all_of(q)));
    body.push(store(rect("scale", row(), zero(), rows, 1), all_of(scale)));
    k.body = body;
    program(
        "quantize",
        &[
            ("x", DType::F32, &[2 * rows, cols], Role::Input),
            ("q", DType::I8, &[2 * rows, cols], Role::Output),
            ("scale", DType::F32, &[2 * rows, 1], Role::Output),
        ],
        &[],
        vec![k],
    )
}

/// The six largest of each row, and their weights: one row a block, padded from 192 to 256 columns.
pub fn route() -> Program {
    let (rows, used, cols, top) = (4, 192, 256, 6);
    let mut k = kernel("route", Unit::Vector, &[("t", rows)], &[("TOPK", top)], &[]);
    let mut p = Place::new(&mut k);
    let f = DType::F32;
    let scores = p.ub("scores", f, 1, used, 1);
    let padded = p.ub("padded", f, 1, cols, 1);
    let index = p.ub("index", DType::U32, 1, cols, 1);
    let pairs = p.ub("pairs", f, 1, 2 * cols, 1);
    let runs = p.ub("runs", f, 1, 2 * cols, 1);
    let sorted = p.ub("sorted", f, 1, 2 * cols, 1);
    let tmp = p.ub("tmp", f, 1, 2 * cols, 1);
    let ub = (Space::Ub, Layout::RowMajor);
    let chosen = p.part("chosen", ub, DType::I32, [(1, 8), (1, top)], 1);
    let weights = p.part("weights", ub, f, [(1, 8), (1, top)], 1);
    let tmp8 = p.part("tmp8", ub, f, [(1, 8), (1, top)], 1);
    let sum = p.column("sum", 1);
    let blocks = p.ub("blocks", f, 8, 8, 1);
    let row = || grid(0, 1);
    let mut body = vec![
        vector(VectorOp::Iota, all_of(index), &[], None),
        set(Pipe::S, V, fixed(1)),
        load(all_of(scores), rect("scores", row(), zero(), 1, used)),
        // Two rectangles of one tile.
        vector(VectorOp::Fill(f32::MIN), all_of(padded), &[], None),
        set(V, Mte2, fixed(0)),
        wait(V, Mte2, fixed(0)),
        load(all_of(padded), rect("scores", row(), zero(), 1, used)),
    ];
    body.extend(sync(Mte2, V, fixed(0)));
    body.push(wait(Pipe::S, V, fixed(1)));
    body.extend(v(VectorOp::Sort32, pairs, &[padded, index]));
    body.extend(v(VectorOp::MergeSort { run: 32 }, runs, &[pairs]));
    body.extend(vt(
        VectorOp::MergeSort { run: 128 },
        sorted,
        &[runs],
        Some(tmp),
    ));
    body.extend(v(VectorOp::PairIndices, chosen, &[sorted]));
    body.extend(v(VectorOp::Gather, weights, &[scores, chosen]));
    body.extend(vt(
        VectorOp::RowReduce(Reduce::Sum),
        sum,
        &[weights],
        Some(tmp8),
    ));
    body.extend(vt(
        VectorOp::RowExpand(Binary::Div),
        weights,
        &[weights, sum],
        Some(blocks),
    ));
    body.extend(v(VectorOp::Scalar(Binary::Mul, 2.5), weights, &[weights]));
    body.extend(sync(V, Mte3, fixed(0)));
    body.push(store(rect("chosen", row(), zero(), 1, top), all_of(chosen)));
    body.push(store(
        rect("weights", row(), zero(), 1, top),
        all_of(weights),
    ));
    k.body = body;
    program(
        "route",
        &[
            ("scores", f, &[rows, used], Role::Input),
            ("chosen", DType::I32, &[rows, top], Role::Output),
            ("weights", f, &[rows, top], Role::Output),
        ],
        &[],
        vec![k],
    )
}
