//! Rows that are counted at run time, and rows of a table.

use super::build::*;
use Pipe::{Mte2, Mte3, V};
use tilewright_ir::DType;
use tilewright_ir::graph::{Binary, Reduce};
use tilewright_ir::kernel::{
    Cond, Event, Expr, Instr, Kernel, Layout, Pipe, Program, Role, Space, Stmt, TileId, TileRef,
    Unit, Var, VectorOp,
};

/// Rows from `num_tokens` on become zero; and each of the first rows' entry of a table, by an index from memory. Two kernels: the
/// second looks at what the first has written.
pub fn mask() -> Program {
    program(
        "mask",
        &[
            ("x", DType::F32, &[ROWS, COLS], Role::Input),
            ("ids", DType::I64, &[ROWS], Role::Input),
            ("table", DType::I32, &[1000, 6], Role::Input),
            ("masked", DType::F32, &[ROWS, COLS], Role::Output),
            ("amax", DType::F32, &[ROWS, 1], Role::Output),
            ("kept", DType::F32, &[ROWS, 1], Role::Output),
            ("chosen", DType::I32, &[ROWS, 6], Role::Output),
        ],
        &[("num_tokens", ROWS as i64)],
        vec![mask_rows(), look_up()],
    )
}

const ROWS: usize = 16;
const COLS: usize = 64;

fn mask_rows() -> Kernel {
    let (tile, cols) = (8, COLS);
    let mut k = kernel(
        "mask_rows",
        Unit::Vector,
        &[("t", 2)],
        &[("T_TILE", tile)],
        &[],
    );
    let mut p = Place::new(&mut k);
    let x = p.ub("x", DType::F32, tile, cols, 1);
    let out = p.ub("out", DType::F32, tile, cols, 1);
    let amax = p.column("amax", tile);
    let kept = p.column("kept", tile);
    let tmp = p.ub("tmp", DType::F32, tile, cols, 1);
    let valid = Expr::var(Var::Scalar(0), 1).plus(Var::Grid(0), -(tile as i64));
    let some = |t: TileId| TileRef {
        rows: Some(valid.clone()),
        ..TileRef::new(t)
    };
    let row = || grid(0, tile as i64);
    let mut body = vec![load(some(x), rect("x", row(), zero(), tile, cols))];
    body.extend(v(VectorOp::Fill(0.0), out, &[]));
    body.extend(v(VectorOp::Fill(0.0), kept, &[]));
    body.extend(sync(Mte2, V, fixed(0)));
    body.push(Stmt::If {
        cond: Cond::Positive(valid.clone()),
        then: vec![
            vector(VectorOp::Copy, some(out), &[some(x)], None),
            Stmt::Barrier(V),
            vector(
                VectorOp::RowReduce(Reduce::Max),
                some(amax),
                &[some(x)],
                Some(tmp),
            ),
            Stmt::Barrier(V),
            vector(
                VectorOp::Scalar(Binary::Add, 1.0),
                some(amax),
                &[some(amax)],
                None,
            ),
            Stmt::Barrier(V),
            vector(VectorOp::Copy, some(kept), &[some(amax)], None),
        ],
        otherwise: vec![],
    });
    body.extend(sync(V, Mte3, fixed(0)));
    body.push(store(
        rect("masked", row(), zero(), tile, cols),
        all_of(out),
    ));
    body.push(store(rect("amax", row(), zero(), tile, 1), some(amax)));
    body.push(store(rect("kept", row(), zero(), tile, 1), all_of(kept)));
    k.body = body;
    k
}

fn look_up() -> Kernel {
    let mut g = kernel("look_up", Unit::Vector, &[], &[], &["t"]);
    g.registers = 1;
    let mut p = Place::new(&mut g);
    let at = (Space::Ub, Layout::RowMajor);
    let entry = p.part("entry", at, DType::I32, [(1, 8), (1, 6)], 2);
    let turn = Event {
        base: 0,
        rotate: Some((0, 2)),
    };
    let back = Event { base: 2, ..turn };
    let table = rect("table", Expr::var(Var::Reg(0), 1), zero(), 1, 6);
    g.body
        .extend([set(Mte3, Mte2, fixed(2)), set(Mte3, Mte2, fixed(3))]);
    g.body.push(Stmt::Loop {
        id: 0,
        trips: ROWS,
        depth: 2,
        body: vec![
            Stmt::Instr(Instr::ReadScalar {
                dst: 0,
                src: rect("ids", zero(), trip(0, 1), 1, 1),
            }),
            wait(Mte3, Mte2, back),
            load(slot(entry, 0), table),
            set(Mte2, Mte3, turn),
            wait(Mte2, Mte3, turn),
            store(rect("chosen", trip(0, 1), zero(), 1, 6), slot(entry, 0)),
            set(Mte3, Mte2, back),
        ],
    });
    g.body
        .extend([wait(Mte3, Mte2, fixed(2)), wait(Mte3, Mte2, fixed(3))]);
    g
}
