//! Rows between two ranks.

use super::build::*;
use Pipe::{Mte2, Mte3, S};
use tilewright_ir::DType;
use tilewright_ir::kernel::{
    Cond, Expr, GlobalRef, Instr, IntOp, Layout, NotifyOp, Pipe, Program, RegId, Role, ScalarArray,
    Space, Stmt, Tile, TileRef, Unit, Var,
};

/// Counts the rows for each of two ranks, sends rows to them, and waits for theirs.
pub fn exchange() -> Program {
    let mut k = kernel(
        "exchange",
        Unit::Vector,
        &[],
        &[("ROW", 64)],
        &["t", "peer", "source"],
    );
    k.tiles = vec![Tile {
        name: "row".into(),
        space: Space::Ub,
        dtype: DType::F32,
        rows: 1,
        cols: 64,
        valid_rows: 1,
        valid_cols: 64,
        layout: Layout::RowMajor,
        slots: 1,
        addrs: vec![0],
    }];
    k.registers = 4;
    k.arrays = vec![ScalarArray {
        name: "counts".into(),
        len: 2,
    }];
    let arrived = Stmt::Instr(Instr::WaitCounter {
        counter: rect("ready", zero(), zero(), 1, 1),
        at_least: Expr::var(Var::Epoch, 2),
    });
    let each = |id, trips, body| Stmt::Loop {
        id,
        trips,
        depth: 1,
        body,
    };
    k.body = vec![
        each(0, 8, send()),
        each(1, 2, tell()),
        arrived,
        each(2, 2, take()),
    ];
    let f32s = |rows| [rows, 64];
    let mut p = program(
        "exchange",
        &[
            ("x", DType::F32, &f32s(8), Role::Input),
            ("target", DType::I32, &[8], Role::Input),
            ("rows", DType::F32, &f32s(16), Role::Window),
            ("count", DType::I32, &[2, 16], Role::Window),
            ("ready", DType::I32, &[1, 16], Role::Window),
            ("done", DType::I32, &[2, 16], Role::Window),
            ("y", DType::F32, &f32s(2), Role::Output),
        ],
        &[],
        vec![k],
    );
    p.ranks = 2;
    p
}

fn rank() -> Expr {
    Expr::var(Var::Rank, 1)
}

fn reg(r: RegId) -> Expr {
    Expr::var(Var::Reg(r), 1)
}

fn flag(src: Pipe, dst: Pipe) -> Vec<Stmt> {
    sync(src, dst, fixed(0))
}

fn on(peer: Expr, rect: GlobalRef) -> GlobalRef {
    GlobalRef {
        peer: Some(peer),
        ..rect
    }
}

fn get(dst: RegId) -> Instr {
    Instr::ArrayGet {
        dst,
        array: 0,
        index: reg(1),
    }
}

/// A row to the rank that its target says.
fn send() -> Vec<Stmt> {
    let mut send = vec![
        Stmt::Instr(Instr::ReadScalar {
            dst: 0,
            src: rect("target", zero(), Expr::var(Var::Loop(0), 1), 1, 1),
        }),
        Stmt::Instr(Instr::Compute {
            dst: 1,
            op: IntOp::Rem,
            lhs: reg(0),
            rhs: Expr::constant(2),
        }),
        Stmt::Instr(get(2)),
        Stmt::Instr(Instr::Load {
            dst: TileRef::new(0),
            src: rect("x", Expr::var(Var::Loop(0), 1), zero(), 1, 64),
        }),
    ];
    send.extend(flag(Mte2, Mte3));
    send.push(Stmt::Instr(Instr::Store {
        dst: on(
            reg(1),
            rect(
                "rows",
                Expr::var(Var::Rank, 8).plus(Var::Reg(2), 1),
                zero(),
                1,
                64,
            ),
        ),
        src: TileRef::new(0),
    }));
    send.extend(flag(Mte3, Mte2));
    send.push(Stmt::Instr(Instr::ArraySet {
        array: 0,
        index: reg(1),
        value: Expr { base: 1, ..reg(2) },
    }));
    send
}

/// How many rows a peer has received.
fn tell() -> Vec<Stmt> {
    let of_peer = Expr::var(Var::Loop(1), 1);
    let mut tell = vec![
        Stmt::Instr(Instr::SetReg {
            dst: 1,
            value: of_peer.clone(),
        }),
        Stmt::Instr(get(3)),
        Stmt::Instr(Instr::WriteScalar {
            dst: on(of_peer.clone(), rect("count", rank(), zero(), 1, 1)),
            value: reg(3),
        }),
    ];
    tell.extend(flag(Mte3, S));
    tell.push(Stmt::Instr(Instr::Notify {
        counter: on(of_peer, rect("ready", zero(), zero(), 1, 1)),
        op: NotifyOp::Add,
        value: Expr::constant(1),
    }));
    tell
}

/// The first row that a rank has sent, if it has sent one.
fn take() -> Vec<Stmt> {
    let mut take = vec![Stmt::Instr(Instr::ReadScalar {
        dst: 3,
        src: rect("count", Expr::var(Var::Loop(2), 1), zero(), 1, 1),
    })];
    let mut stored = vec![Stmt::Instr(Instr::Load {
        dst: TileRef::new(0),
        src: rect("rows", Expr::var(Var::Loop(2), 8), zero(), 1, 64),
    })];
    stored.extend(flag(Mte2, Mte3));
    stored.push(Stmt::Instr(Instr::Store {
        dst: rect("y", Expr::var(Var::Loop(2), 1), zero(), 1, 64),
        src: TileRef::new(0),
    }));
    stored.extend(flag(Mte3, Mte2));
    take.push(Stmt::If {
        cond: Cond::Zero(reg(3)),
        then: vec![],
        otherwise: stored,
    });
    // When the peer may overwrite what this rank has read.
    take.push(Stmt::Instr(Instr::Notify {
        counter: on(
            Expr::var(Var::Loop(2), 1),
            rect("done", rank(), zero(), 1, 1),
        ),
        op: NotifyOp::Set,
        value: Expr::var(Var::Epoch, 1),
    }));
    take
}
