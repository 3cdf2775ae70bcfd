//! A small all-to-all that ranks run: `y[p]` of rank `r` is `x[r]` of rank `p`.

use crate::build::*;
use tilewright_backends::data::Tensors;
use tilewright_ir::DType::*;
use tilewright_ir::kernel::*;

pub const WIDTH: usize = 64;

pub fn rank() -> Expr {
    Expr::var(Var::Rank, 1)
}

pub fn epoch(minus: i64) -> Expr {
    Expr {
        base: -minus,
        ..Expr::var(Var::Epoch, 1)
    }
}

pub fn peer_row(tensor: &str, row: Expr, cols: usize, peer: Expr) -> GlobalRef {
    GlobalRef {
        peer: Some(peer),
        ..rect(tensor, row, zero(), (1, cols))
    }
}

pub fn notify(counter: &str, row: Expr, peer: Expr, op: NotifyOp, value: Expr) -> Stmt {
    Stmt::Instr(Instr::Notify {
        counter: peer_row(counter, row, 1, peer),
        op,
        value,
    })
}

pub fn await_counter(counter: &str, row: Expr, at_least: Expr) -> Stmt {
    Stmt::Instr(Instr::WaitCounter {
        counter: rect(counter, row, zero(), (1, 1)),
        at_least,
    })
}

/// One block. Body: the loop that sends and the loop that receives.
///
/// Sending to peer `k`: 0 wait until it has read the last run's row, 1 load, 2 set and 3 wait MTE2->MTE3, 4 store into row
/// `rank` of its window, 5 set and 6 wait MTE3->S, 7 notify.
/// Receiving from peer `q`: 0 wait for its row, 1 load, 2 set and 3 wait MTE2->MTE3, 4 store, 5 set and 6 wait MTE2->S, 7 set
/// and 8 wait MTE3->S, 9 notify that the row has been read.
pub fn all_to_all(ranks: usize) -> Program {
    exchange(ranks, false)
}

/// The same with a block a peer.
pub fn all_to_all_by_blocks(ranks: usize) -> Program {
    exchange(ranks, true)
}

fn exchange(ranks: usize, by_blocks: bool) -> Program {
    use Pipe::*;
    let at = |id| match by_blocks {
        true => Expr::var(Var::Grid(0), 1),
        false => Expr::var(Var::Loop(id), 1),
    };
    let row = |tensor: &str, row| rect(tensor, row, zero(), (1, WIDTH));
    let mut send = vec![
        await_counter("done", at(0), epoch(1)),
        load(t(0), row("x", at(0))),
    ];
    send.extend(sync(Mte2, Mte3));
    send.push(store(peer_row("window", rank(), WIDTH, at(0)), t(0)));
    send.extend(sync(Mte3, S));
    send.push(notify("ready", rank(), at(0), NotifyOp::Set, epoch(0)));
    let mut receive = vec![
        await_counter("ready", at(1), epoch(0)),
        load(t(1), row("window", at(1))),
    ];
    receive.extend(sync(Mte2, Mte3));
    receive.push(store(row("y", at(1)), t(1)));
    receive.extend(sync(Mte2, S));
    receive.extend(sync(Mte3, S));
    receive.push(notify("done", rank(), at(1), NotifyOp::Set, epoch(0)));
    let each = |id, body| Stmt::Loop {
        id,
        trips: ranks,
        depth: 1,
        body,
    };
    let tiles = vec![
        ub("out", F32, (1, WIDTH), &[0]),
        ub("in", F32, (1, WIDTH), &[WIDTH * 4]),
    ];
    let (blocks, body) = match by_blocks {
        true => (ranks, [send, receive].concat()),
        false => (1, vec![each(0, send), each(1, receive)]),
    };
    let mut k = kernel("exchange", Unit::Vector, blocks, tiles, body);
    k.loops = vec!["k".into(), "q".into()];
    let counter = || tensor(I32, &[ranks, 16], Role::Window);
    let mut p = program(
        &[
            ("x", tensor(F32, &[ranks, WIDTH], Role::Input)),
            ("window", tensor(F32, &[ranks, WIDTH], Role::Window)),
            ("ready", counter()),
            ("done", counter()),
            ("y", tensor(F32, &[ranks, WIDTH], Role::Output)),
        ],
        vec![k],
    );
    p.ranks = ranks;
    p
}

/// The body of the loop that sends, or that receives.
pub fn part(program: &mut Program, id: LoopId) -> &mut Vec<Stmt> {
    match &mut program.kernels[0].body[id] {
        Stmt::Loop { body, .. } => body,
        _ => panic!("both parts are loops"),
    }
}

/// The element `c` of row `p` on rank `r` is `1000 r + 100 p + c`.
pub fn all_inputs(ranks: usize) -> Vec<Tensors> {
    (0..ranks)
        .map(|r| {
            let value = |i: usize| (1000 * r + 100 * (i / WIDTH) + i % WIDTH) as f32;
            inputs(&[("x", f32s(&[ranks, WIDTH], value))])
        })
        .collect()
}
