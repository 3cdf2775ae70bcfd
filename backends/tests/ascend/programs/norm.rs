//! A norm of rows.

use super::build::*;
use Pipe::{Mte2, Mte3, V};
use tilewright_ir::graph::{Binary, Reduce, Unary};
use tilewright_ir::kernel::{Expr, GlobalRef, Pipe, Program, Role, Stmt, TileId, Unit, VectorOp};
use tilewright_ir::{DType, Round};

/// `y = x * rsqrt(mean(x^2) + 1e-6) * w` on rows of bf16: two sweeps over the columns, two loads in flight.
pub fn norm() -> Program {
    let mut k = kernel(
        "ffn_norm",
        Unit::Vector,
        &[("t", 2)],
        &[("T_TILE", ROWS), ("D_CHUNK", CHUNK)],
        &["sum", "out"],
    );
    k.pipeline = 2;
    let t = Tiles::new(&mut Place::new(&mut k));
    let free = |pipe, other| (0..2).map(move |i| set(pipe, other, fixed(i)));
    let drain = |pipe, other| (0..2).map(move |i| wait(pipe, other, fixed(i)));
    let mut body = v(VectorOp::Fill(0.0), t.total, &[]);
    body.extend(free(V, Mte2));
    body.push(Stmt::Loop {
        id: 0,
        trips: COLS / CHUNK,
        depth: 2,
        body: squares(&t),
    });
    let mean = VectorOp::Scalar(Binary::Mul, 1.0 / COLS as f32);
    body.extend(v(mean, t.total, &[t.total]));
    body.extend(v(VectorOp::Scalar(Binary::Add, 1e-6), t.total, &[t.total]));
    body.extend(v(VectorOp::Unary(Unary::Sqrt), t.root, &[t.total]));
    body.extend(v(VectorOp::Fill(1.0), t.one, &[]));
    body.extend(v(VectorOp::Binary(Binary::Div), t.scale, &[t.one, t.root]));
    body.extend((2..4).map(|i| set(Mte3, V, fixed(i))));
    body.push(Stmt::Loop {
        id: 1,
        trips: COLS / CHUNK,
        depth: 2,
        body: scaled(&t),
    });
    body.extend(drain(V, Mte2));
    body.extend((2..4).map(|i| wait(Mte3, V, fixed(i))));
    k.body = body;
    program(
        "norm",
        &[
            ("x", DType::Bf16, &[16, COLS], Role::Input),
            ("w", DType::F32, &[COLS], Role::Input),
            ("y", DType::Bf16, &[16, COLS], Role::Output),
        ],
        &[],
        vec![k],
    )
}

const ROWS: usize = 8;
const COLS: usize = 1024;
const CHUNK: usize = 256;
const CVT: VectorOp = VectorOp::Cvt(Round::Rint);

/// The tiles of [`norm`].
struct Tiles {
    x: TileId,
    w: TileId,
    y: TileId,
    f: TileId,
    square: TileId,
    tmp: TileId,
    part: TileId,
    total: TileId,
    root: TileId,
    one: TileId,
    scale: TileId,
    blocks: TileId,
}

impl Tiles {
    fn new(p: &mut Place) -> Self {
        Tiles {
            x: p.ub("x", DType::Bf16, ROWS, CHUNK, 2),
            w: p.ub("w", DType::F32, 1, CHUNK, 2),
            y: p.ub("y", DType::Bf16, ROWS, CHUNK, 2),
            f: p.ub("x_f32", DType::F32, ROWS, CHUNK, 1),
            square: p.ub("square", DType::F32, ROWS, CHUNK, 1),
            tmp: p.ub("tmp", DType::F32, ROWS, CHUNK, 1),
            part: p.column("part", ROWS),
            total: p.column("total", ROWS),
            root: p.column("root", ROWS),
            one: p.column("one", ROWS),
            scale: p.column("scale", ROWS),
            blocks: p.ub("scale_blocks", DType::F32, ROWS, 8, 1),
        }
    }
}

/// A chunk of some rows.
fn chunk(name: &str, row: Expr, of: usize, rows: usize) -> GlobalRef {
    rect(name, row, trip(of, CHUNK as i64), rows, CHUNK)
}

/// Adds up the squares of a chunk.
fn squares(t: &Tiles) -> Vec<Stmt> {
    let row = grid(0, ROWS as i64);
    let mut body = vec![
        wait(V, Mte2, turn(0, 0)),
        load(slot(t.x, 0), chunk("x", row, 0, ROWS)),
        set(Mte2, V, turn(0, 0)),
        wait(Mte2, V, turn(0, 0)),
        vector(CVT, all_of(t.f), &[slot(t.x, 0)], None),
        set(V, Mte2, turn(0, 0)),
        Stmt::Barrier(V),
    ];
    body.extend(v(VectorOp::Binary(Binary::Mul), t.square, &[t.f, t.f]));
    let sum = VectorOp::RowReduce(Reduce::Sum);
    body.extend(vt(sum, t.part, &[t.square], Some(t.tmp)));
    body.extend(v(
        VectorOp::Binary(Binary::Add),
        t.total,
        &[t.total, t.part],
    ));
    body
}

/// Scales a chunk and stores it.
fn scaled(t: &Tiles) -> Vec<Stmt> {
    let row = || grid(0, ROWS as i64);
    let mut body = vec![
        wait(V, Mte2, turn(0, 1)),
        load(slot(t.x, 1), chunk("x", row(), 1, ROWS)),
        load(slot(t.w, 1), chunk("w", zero(), 1, 1)),
        set(Mte2, V, turn(0, 1)),
        wait(Mte2, V, turn(0, 1)),
        vector(CVT, all_of(t.f), &[slot(t.x, 1)], None),
        Stmt::Barrier(V),
    ];
    let by_row = VectorOp::RowExpand(Binary::Mul);
    body.extend(vt(by_row, t.f, &[t.f, t.scale], Some(t.blocks)));
    let by_col = VectorOp::ColExpand(Binary::Mul);
    body.extend([
        vector(by_col, all_of(t.f), &[all_of(t.f), slot(t.w, 1)], None),
        set(V, Mte2, turn(0, 1)),
        Stmt::Barrier(V),
        wait(Mte3, V, turn(2, 1)),
        vector(CVT, slot(t.y, 1), &[all_of(t.f)], None),
        set(V, Mte3, turn(0, 1)),
        wait(V, Mte3, turn(0, 1)),
        store(chunk("y", row(), 1, ROWS), slot(t.y, 1)),
        set(Mte3, V, turn(2, 1)),
        Stmt::Barrier(V),
    ]);
    body
}
