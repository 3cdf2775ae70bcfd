//! What a program promises: indices, loops, rectangles, flags, and data that is there.

use crate::build::{column, rect, t, vector, verify, wrong};
use miette::Diagnostic;
use tilewright_ir::kernel::{Event, Expr, Instr, Pipe, Program, Role, Stmt, Unit, Var, VectorOp};

#[track_caller]
fn refused(p: &Program, code: &str, message: &str, help: &str) {
    let e = verify(p).expect_err(message);
    assert_eq!(e.to_string(), message);
    assert_eq!(
        e.code().unwrap().to_string(),
        format!("tilewright::kernel::{code}")
    );
    assert_eq!(e.help().unwrap().to_string(), help);
}

/// The body of the first kernel's loop.
fn inner(p: &mut Program) -> &mut Vec<Stmt> {
    match &mut p.kernels[0].body[0] {
        Stmt::Loop { body, .. } => body,
        _ => panic!("the first statement is the loop"),
    }
}

#[test]
fn indices_have_to_exist() {
    refused(
        &wrong(|p| p.kernels[0].body.push(vector(VectorOp::Fill(0.0), 9, &[]))),
        "index",
        "kernel `squares`, statement 16 `TEXPANDS(tile9, 0.0)`: tile 9 does not exist, there are 5",
        "number it below 5",
    );
    refused(
        &wrong(|p| {
            let read = Instr::ReadScalar {
                dst: 0,
                src: rect("x", Expr::default(), Expr::default(), 1, 1),
            };
            inner(p).insert(0, Stmt::Instr(read));
        }),
        "index",
        "kernel `squares`, statement 2 `r0 = READ(x[0, 0 : 1 x 1])`: register 0 does not exist, there are 0",
        "number it below 0",
    );
    refused(
        &wrong(|p| p.kernels[0].loops.clear()),
        "index",
        "kernel `squares`, statement 1: loop 0 does not exist, there are 0",
        "number it below 0",
    );
    refused(
        &wrong(|p| p.scalars.clear()),
        "index",
        "kernel `squares`, statement 15 `TSTORE(sums[8 * r, 0 : 8 x 1], sum.rows(-8 * r + scalar0))`: scalar 0 does not exist, there are 0",
        "number it below 0",
    );
    refused(
        &wrong(|p| {
            p.tensors.shift_remove("sums");
        }),
        "form",
        "kernel `squares`, statement 15 `TSTORE(sums[8 * r, 0 : 8 x 1], sum.rows(-8 * r + scalar0))`: the program has no tensor `sums`",
        "add `sums` to the program's tensors",
    );
}

#[test]
fn counters_are_used_in_their_loops() {
    refused(
        &wrong(|p| {
            let load = inner(p).remove(0);
            p.kernels[0].body.push(load);
        }),
        "scope",
        "kernel `squares`, statement 15 `TLOAD(x[k % 2], x[8 * r, 256 * k : 8 x 256])`: the counter of loop `k` is used outside of the loop",
        "move the statement into loop `k`, or index by a constant",
    );
}

#[test]
fn loops_and_flags_are_well_formed() {
    refused(
        &wrong(|p| {
            if let Stmt::Loop { trips, .. } = &mut p.kernels[0].body[0] {
                *trips = 0;
            }
        }),
        "count",
        "kernel `squares`, statement 1: the loop's trips is 0, but has to be from 1 to 2147483647",
        "make the loop's trips from 1 to 2147483647",
    );
    refused(
        &wrong(|p| {
            let again = p.kernels[0].body[0].clone();
            p.kernels[0].body.push(again);
        }),
        "form",
        "kernel `squares`, statement 16: loop 0 is there twice",
        "number every loop of a kernel once",
    );
    refused(
        &wrong(|p| {
            let event = Event {
                base: 7,
                rotate: Some((0, 2)),
            };
            inner(p)[1] = Stmt::Set {
                src: Pipe::Mte2,
                dst: Pipe::V,
                event,
            };
        }),
        "count",
        "kernel `squares`, statement 3: the number of event ids up to the flag's last is 9, but has to be at most 8, with a rotation of at least 1",
        "make the number of event ids up to the flag's last at most 8, with a rotation of at least 1",
    );
    refused(
        &wrong(|p| p.kernels[0].launch.grid[0].count = 0),
        "count",
        "kernel `squares`, launch: the number of blocks is 0, but has to be from 1 to 65535",
        "make the number of blocks from 1 to 65535",
    );
}

#[test]
fn rectangles_lie_in_their_tensors_for_all_blocks_and_trips() {
    refused(
        &wrong(|p| {
            if let Stmt::Loop { trips, .. } = &mut p.kernels[0].body[0] {
                *trips = 17;
            }
        }),
        "bounds",
        "kernel `squares`, statement 2 `TLOAD(x[k % 2], x[8 * r, 256 * k : 8 x 256])`: columns 0..4352 of `x` are used, but there are 4096",
        "choose a tile that divides the 4096 columns, or fewer trips or blocks",
    );
    refused(
        &wrong(|p| p.kernels[0].launch.grid[0].count = 3),
        "bounds",
        "kernel `squares`, statement 2 `TLOAD(x[k % 2], x[8 * r, 256 * k : 8 x 256])`: rows 0..24 of `x` are used, but there are 16",
        "choose a tile that divides the 16 rows, or fewer trips or blocks",
    );
    // What depends on data is for the run.
    let by_register = wrong(|p| {
        p.kernels[0].registers = 1;
        if let Stmt::Instr(Instr::Load { src, .. }) = &mut inner(p)[0] {
            src.row = Expr::var(Var::Reg(0), 1000);
        }
    });
    verify(&by_register).unwrap();
}

#[test]
fn a_kernel_reads_what_was_written_before() {
    let p = wrong(|p| {
        p.kernels[1].tiles.clear();
        p.kernels[1].unit = Unit::Vector;
        p.kernels[1].tiles.push(column("s", 8));
        let src = rect("sums", Expr::default(), Expr::default(), 8, 1);
        p.kernels[1].body = vec![Stmt::Instr(Instr::Load { dst: t(0), src })];
        p.kernels.swap(0, 1);
    });
    refused(
        &p,
        "data",
        "kernel `product`: `sums` is read, but no earlier kernel writes it",
        "launch the kernel that writes it first, or make it an input",
    );
    refused(
        &wrong(|p| p.tensors["sums"].role = Role::Input),
        "data",
        "kernel `squares`: `sums` is an input, but is written",
        "write a workspace or an output",
    );
    refused(
        &wrong(|p| {
            p.kernels.pop();
        }),
        "program",
        "program `example`: no kernel writes the output `y`",
        "store it, or make it an input",
    );
    refused(
        &wrong(|p| p.kernels[1].name = "../squares".into()),
        "program",
        "program `example`: kernel `../squares` cannot be the name of a file and a function",
        "use letters, digits and `_`, and no digit first",
    );
}
