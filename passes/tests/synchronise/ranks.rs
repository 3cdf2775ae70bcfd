//! Kernels that talk to other ranks.

use crate::build::*;
use crate::{expect, holds};
use tilewright_ir::kernel::*;
use tilewright_passes::kernel::synchronise::synchronise;

fn on(peer: Expr, rect: GlobalRef) -> GlobalRef {
    GlobalRef {
        peer: Some(peer),
        ..rect
    }
}

fn counter(row: Expr, peer: Option<Expr>) -> GlobalRef {
    GlobalRef {
        tensor: "ready".into(),
        row,
        col: Expr::constant(0),
        rows: 1,
        cols: 1,
        peer,
        step: 1,
        view: None,
    }
}

fn notify(peer: Expr) -> Stmt {
    Stmt::Instr(Instr::Notify {
        counter: counter(Expr::var(Var::Rank, 1), Some(peer)),
        op: NotifyOp::Set,
        value: Expr::var(Var::Epoch, 1),
    })
}

fn wait(row: Expr) -> Stmt {
    Stmt::Instr(Instr::WaitCounter {
        counter: counter(row, None),
        at_least: Expr::var(Var::Epoch, 1),
    })
}

/// Rows go to peers through two slots; a notification follows them all.
fn send() -> Kernel {
    let mut k = kernel(&["p"]);
    let x = tile(&mut k, "x", Space::Ub, &[0, 1024]);
    k.body = vec![
        each_of(
            0,
            4,
            2,
            vec![
                load(at(x, Some(0)), row("x", each(0))),
                store(
                    on(each(0), row("rows", Expr::var(Var::Rank, 1))),
                    at(x, Some(0)),
                ),
            ],
        ),
        each_of(0, 4, 1, vec![notify(each(0))]),
    ];
    k.loops.push("q".into());
    let Stmt::Loop { id, body, .. } = &mut k.body[1] else {
        unreachable!("the notifications are a loop");
    };
    *id = 1;
    body[0] = notify(each(1));
    k
}

#[test]
fn transfers_are_over_before_a_notification() {
    // Stores to different peers need no order of their own.
    expect(
        &send(),
        "
        set MTE3->MTE2 0
        set MTE3->MTE2 1
        for p in 0..4
          wait MTE3->MTE2 0+p%2
          MTE2: x <-
          set MTE2->MTE3 0+p%2
          wait MTE2->MTE3 0+p%2
          MTE3:  <- x
          set MTE3->MTE2 0+p%2
        set MTE3->S 0
        wait MTE3->S 0
        for q in 0..4
          S:  <-
        wait MTE3->MTE2 0
        wait MTE3->MTE2 1
        ",
    );
}

#[test]
fn what_has_been_read_is_over_before_a_notification() {
    let mut k = kernel(&["p"]);
    let x = tile(&mut k, "x", Space::Ub, &[0]);
    k.body = vec![each_of(
        0,
        4,
        1,
        vec![
            wait(each(0)),
            load(at(x, None), row("rows", each(0))),
            store(row("y", each(0)), at(x, None)),
            notify(each(0)),
        ],
    )];
    let done = synchronise(&k, &crate::A3.geometry).unwrap();
    assert_eq!(holds(&done), Ok(()));
    // Without a way from the copies to the scalar unit it does not hold.
    fn drop_scalar(body: &mut Vec<Stmt>) {
        body.retain(|s| {
            !matches!(
                s,
                Stmt::Set { dst: Pipe::S, .. } | Stmt::Wait { dst: Pipe::S, .. }
            )
        });
        for s in body {
            if let Stmt::Loop { body, .. } = s {
                drop_scalar(body);
            }
        }
    }
    let mut broken = done.clone();
    drop_scalar(&mut broken.body);
    assert_ne!(broken, done);
    assert!(
        holds(&broken)
            .unwrap_err()
            .contains("a notification before")
    );
}

#[test]
fn scalar_stores_and_copies_of_one_tensor_have_an_order() {
    let write = |col: i64| {
        Stmt::Instr(Instr::WriteScalar {
            dst: GlobalRef {
                tensor: "t".into(),
                row: Expr::constant(0),
                col: Expr::constant(col),
                rows: 1,
                cols: 1,
                peer: None,
                step: 1,
                view: None,
            },
            value: Expr::constant(1),
        })
    };
    let mut k = kernel(&[]);
    let x = tile(&mut k, "x", Space::Ub, &[0]);
    k.body = vec![
        write(0),
        load(at(x, None), row("t", Expr::constant(0))),
        write(3),
    ];
    expect(
        &k,
        "
        S:  <-
        set S->MTE2 0
        wait S->MTE2 0
        MTE2: x <-
        set MTE2->S 0
        wait MTE2->S 0
        S:  <-
        ",
    );
}
