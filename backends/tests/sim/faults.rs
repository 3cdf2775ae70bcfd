//! What is refused. Each test breaks a kernel that runs, in one place.

use crate::build::*;
use crate::kernels::*;
use tilewright_backends::data::Tensors;
use tilewright_backends::sim::{self, Conflict, Fault, Flag, Options, SimError, Statement};
use tilewright_ir::DType::*;
use tilewright_ir::graph::Binary;
use tilewright_ir::kernel::Pipe::*;
use tilewright_ir::kernel::*;

use miette::Diagnostic;

fn help(error: &SimError) -> String {
    error.help().expect("every fault has a remedy").to_string()
}

fn code(error: &SimError) -> String {
    error.code().expect("every fault has a code").to_string()
}

/// `add_one` at depth 2 with these statements of its loop removed.
fn without(statements: &[usize]) -> Program {
    let mut p = add_one(2);
    let mut i = 0;
    loop_of(&mut p).retain(|_| {
        i += 1;
        !statements.contains(&(i - 1))
    });
    p
}

/// A straight line of vector code on two `[8, 64]` tiles at these addresses.
fn line(addrs: [usize; 2], body: Vec<Stmt>) -> Program {
    let tiles = vec![
        ub("a", F32, (8, 64), &[addrs[0]]),
        ub("b", F32, (8, 64), &[addrs[1]]),
    ];
    program(
        &[
            ("x", tensor(F32, &[8, 64], Role::Input)),
            ("y", tensor(F32, &[8, 64], Role::Output)),
        ],
        vec![kernel("line", Unit::Vector, 1, tiles, body)],
    )
}

fn line_inputs() -> Tensors {
    inputs(&[("x", f32s(&[8, 64], |i| i as f32))])
}

fn whole(name: &str) -> GlobalRef {
    rect(name, zero(), zero(), (8, 64))
}

fn copy(dst: TileId, src: TileId) -> Stmt {
    vector(VectorOp::Copy, t(dst), &[t(src)])
}

#[test]
fn a_missing_flag_is_a_read_after_write() {
    let error = run(&without(&[2, 3]), &add_one_inputs()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "kernel `add_one`, block 0 (n=0), instruction 4.3 `adds 1.0 y <- x`: read after write of tile `x` slot 0 is not \
         ordered: MTE2 4.1 `load x <- x[8 x 256]`, then V here"
    );
    assert_eq!(code(&error), "tilewright::sim::hazard");
    assert_eq!(
        help(&error),
        "set_flag(MTE2, V) after 4.1 `load x <- x[8 x 256]`, and wait_flag(MTE2, V) of the same event id before this \
         instruction"
    );
}

#[test]
fn a_missing_back_edge_is_a_write_after_read() {
    let mut p = without(&[0, 6]);
    let to_mte2 = |s: &Stmt| {
        matches!(
            s,
            Stmt::Set { dst: Mte2, .. } | Stmt::Wait { dst: Mte2, .. }
        )
    };
    p.kernels[0].body.retain(|s| !to_mte2(s));
    let (fault, _) = fault(&p, &add_one_inputs());
    assert!(
        matches!(
            &fault,
            Fault::Hazard {
                conflict: Conflict::WriteAfterRead,
                first_pipe: V,
                second_pipe: Mte2,
                ..
            }
        ),
        "{fault}"
    );
}

#[test]
fn instructions_of_one_pipe_need_a_barrier() {
    let mut p = top_eight();
    let body = &mut p.kernels[0].body;
    let barrier = body
        .iter()
        .position(|s| matches!(s, Stmt::Barrier(V)))
        .unwrap();
    body.remove(barrier);
    let error = run(&p, &inputs(&[("x", f32s(&[1, 256], |i| i as f32))])).unwrap_err();
    assert_eq!(
        help(&error),
        "pipe_barrier(V) between 6 `sort32 pairs <- score, index` and this instruction"
    );
}

#[test]
fn scalar_stores_need_a_flag() {
    let mut p = top_eight();
    p.kernels[0]
        .body
        .retain(|s| !matches!(s, Stmt::Set { src: S, .. } | Stmt::Wait { src: S, .. }));
    let (fault, text) = fault(&p, &inputs(&[("x", f32s(&[1, 256], |i| i as f32))]));
    assert!(
        matches!(
            fault,
            Fault::Hazard {
                first_pipe: S,
                second_pipe: V,
                ..
            }
        ),
        "{text}"
    );
}

#[test]
fn a_flag_round_another_pipe_is_as_good_as_a_barrier() {
    // MTE3 reads `b` after V; V writes it again after MTE3: no barrier of V needed.
    let mut body = vec![load(t(0), whole("x"))];
    body.extend(sync(Mte2, V));
    body.push(copy(1, 0));
    body.extend(sync(V, Mte3));
    body.push(store(whole("y"), t(1)));
    body.extend(sync(Mte3, V));
    body.push(copy(1, 0));
    run(&line([0, 2048], body), &line_inputs()).unwrap();
}

#[test]
fn live_tiles_at_one_address_clobber_each_other() {
    let mut body = vec![
        load(t(0), whole("x")),
        Stmt::Barrier(Mte2),
        load(t(1), whole("x")),
    ];
    body.extend(sync(Mte2, Mte3));
    body.push(store(whole("y"), t(0)));
    let (fault, text) = fault(&line([0, 1024], body), &line_inputs());
    assert!(
        matches!(&fault, Fault::Clobbered { tile, by_tile, .. } if tile == "a" && by_tile == "b"),
        "{text}"
    );
}

#[test]
fn operands_of_one_instruction_share_nothing() {
    let mut body = vec![load(t(0), whole("x"))];
    body.extend(sync(Mte2, V));
    body.push(vector(VectorOp::Scalar(Binary::Add, 1.0), t(1), &[t(0)]));
    let (fault, text) = fault(&line([0, 32], with_store(body)), &line_inputs());
    assert!(matches!(fault, Fault::OperandOverlap { .. }), "{text}");
}

fn with_store(mut body: Vec<Stmt>) -> Vec<Stmt> {
    body.extend(sync(V, Mte3));
    body.push(store(whole("y"), t(1)));
    body
}

#[test]
fn a_set_waits_for_its_wait() {
    let mut p = add_one(2);
    let again = loop_of(&mut p)[2].clone();
    loop_of(&mut p).insert(3, again);
    let (fault, text) = fault(&p, &add_one_inputs());
    assert!(matches!(fault, Fault::DoubleSet { .. }), "{text}");
}

#[test]
fn a_set_that_may_overtake_a_wait_is_refused() {
    let mut body = vec![load(t(0), whole("x"))];
    body.extend(sync(Mte2, V));
    body.push(load(t(1), whole("x")));
    body.extend(sync(Mte2, V));
    let (fault, text) = fault(&line([0, 2048], with_store(body)), &line_inputs());
    assert_eq!(
        fault,
        Fault::UnorderedSet {
            flag: Flag {
                src: Mte2,
                dst: V,
                id: 0
            },
            wait: Statement {
                path: "2".into(),
                text: "wait MTE2->V 0".into(),
                pipe: Some(V)
            }
        },
        "{text}"
    );
}

#[test]
fn every_set_is_consumed() {
    let mut p = add_one(2);
    p.kernels[0].body.pop();
    let (fault, text) = fault(&p, &add_one_inputs());
    assert!(
        matches!(
            fault,
            Fault::UnconsumedFlag {
                flag: Flag {
                    src: Mte3,
                    dst: V,
                    id: 1
                },
                ..
            }
        ),
        "{text}"
    );
}

#[test]
fn a_wait_without_a_set_is_a_deadlock() {
    let (fault, text) = fault(&without(&[2]), &add_one_inputs());
    assert_eq!(
        fault,
        Fault::Deadlock {
            flag: Flag {
                src: Mte2,
                dst: V,
                id: 0
            }
        },
        "{text}"
    );
}

#[test]
fn a_back_edge_is_primed() {
    let mut p = add_one(2);
    p.kernels[0].body.remove(0);
    let (fault, text) = fault(&p, &add_one_inputs());
    assert_eq!(
        fault,
        Fault::WaitBeforeSet {
            flag: Flag {
                src: V,
                dst: Mte2,
                id: 0
            }
        },
        "{text}"
    );
}

#[test]
fn event_ids_are_below_eight() {
    let mut p = add_one(1);
    p.kernels[0].body.push(set(V, Mte2, 8));
    let (fault, text) = fault(&p, &add_one_inputs());
    assert!(matches!(fault, Fault::Verify(_)), "{text}");
}

#[test]
fn bytes_that_were_never_written_are_not_read() {
    let (fault, text) = fault(&without(&[1]), &add_one_inputs());
    assert!(
        matches!(&fault, Fault::Uninitialised { tile, slot: 0, row: 0, col: 0 } if tile == "x"),
        "{text}"
    );
}

#[test]
fn rows_beyond_the_run_time_count_are_unwritten() {
    let mut p = sum_rows();
    let body = &mut p.kernels[0].body;
    let fill = body
        .iter()
        .rposition(|s| {
            matches!(
                s,
                Stmt::Instr(Instr::Vector {
                    op: VectorOp::Fill(_),
                    ..
                })
            )
        })
        .unwrap();
    body.remove(fill);
    let given = inputs(&[("x", f32s(&[8, 256], |_| 1.0)), ("count", scalar(3))]);
    let (fault, text) = fault(&p, &given);
    assert!(
        matches!(&fault, Fault::Uninitialised { tile, row: 3, .. } if tile == "sum"),
        "{text}"
    );
}

#[test]
fn unwritten_parts_of_a_tensor_are_neither_read_nor_returned() {
    let mut p = gather_rows();
    p.kernels[0].launch.grid[0].count = 2;
    let error = run(&p, &gather_rows_inputs(&[0, 1, 2])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "element (2, 0) of output `y` was never written (64 elements in all)"
    );
    let options = Options {
        unwritten: sim::Unwritten::Zero,
        ..Options::default()
    };
    sim::run(&p, &machine(), &gather_rows_inputs(&[0, 1, 2]), &options).unwrap();
}

#[test]
fn rows_from_data_stay_in_the_tensor() {
    let error = run(&gather_rows(), &gather_rows_inputs(&[0, 4, 1])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "kernel `gather_rows`, block 1 (n=1), instruction 1 `load row <- x[1 x 64]`: rows 4..5 and columns 0..64 of \
         tensor `x`, which has 4 x 64"
    );
}

#[test]
fn a_register_is_read_before_it_is_used() {
    let mut p = gather_rows();
    p.kernels[0].body.remove(0);
    let (fault, text) = fault(&p, &gather_rows_inputs(&[0, 1, 2]));
    assert_eq!(
        fault,
        Fault::UninitialisedRegister { register: 0 },
        "{text}"
    );
}

#[test]
fn blocks_do_not_store_to_the_same_bytes() {
    let mut p = gather_rows();
    let Some(Stmt::Instr(Instr::Store { dst, .. })) = p.kernels[0].body.last_mut() else {
        panic!("the kernel ends with its store")
    };
    dst.row = zero();
    let (fault, text) = fault(&p, &gather_rows_inputs(&[0, 1, 2]));
    assert!(
        matches!(
            &fault,
            Fault::BlockRace {
                conflict: Conflict::WriteAfterWrite,
                row: 0,
                col: 0,
                other: 0,
                ..
            }
        ),
        "{text}"
    );
}

#[test]
fn stores_to_the_same_bytes_are_ordered_within_a_block() {
    let mut body = vec![load(t(0), whole("x"))];
    body.extend(sync(Mte2, Mte3));
    body.extend([store(whole("y"), t(0)), store(whole("y"), t(0))]);
    let (fault, text) = fault(&line([0, 2048], body.clone()), &line_inputs());
    assert!(
        matches!(
            fault,
            Fault::Hazard {
                conflict: Conflict::WriteAfterWrite,
                ..
            }
        ),
        "{text}"
    );
    body.insert(4, Stmt::Barrier(Mte3));
    run(&line([0, 2048], body), &line_inputs()).unwrap();
}

#[test]
fn a_block_loads_what_it_has_stored_only_after_a_flag() {
    // `y` is written by one kernel, and updated in place by the next.
    let first = {
        let mut body = vec![load(t(0), whole("x"))];
        body.extend(sync(Mte2, Mte3));
        body.push(store(whole("y"), t(0)));
        body
    };
    let update = |flag: bool| {
        let mut body = vec![load(t(0), whole("y"))];
        body.extend(sync(Mte2, Mte3));
        body.push(store(whole("y"), t(0)));
        if flag {
            body.extend(sync(Mte3, Mte2));
        }
        body.push(load(t(1), whole("y")));
        let mut p = line([0, 2048], first.clone());
        let mut second = line([0, 2048], body).kernels.remove(0);
        second.name = "update".into();
        p.kernels.push(second);
        run(&p, &line_inputs())
    };
    let error = update(false).unwrap_err();
    assert!(
        matches!(
            &*error.fault,
            Fault::Hazard {
                first_pipe: Mte3,
                second_pipe: Mte2,
                ..
            }
        ),
        "{error}"
    );
    update(true).unwrap();
}

#[test]
fn a_tile_that_does_not_fit_is_refused_with_numbers() {
    let mut p = line([0, 188_416], vec![]);
    p.kernels[0].body = with_store(vec![vector(VectorOp::Fill(0.0), t(1), &[])]);
    let error = run(&p, &line_inputs()).unwrap_err();
    assert_eq!(code(&error), "tilewright::kernel::capacity");
    p.kernels[0].tiles[1].addrs.clear();
    let error = run(&p, &line_inputs()).unwrap_err();
    assert_eq!(code(&error), "tilewright::sim::unallocated");
}

#[test]
fn indices_of_a_gather_are_in_range() {
    let mut p = top_eight();
    let body = &mut p.kernels[0].body;
    let merged = body
        .iter()
        .position(|s| {
            matches!(
                s,
                Stmt::Instr(Instr::Vector {
                    op: VectorOp::PairIndices,
                    ..
                })
            )
        })
        .unwrap();
    body[merged] = vector(VectorOp::Fill(256.0), t(5), &[]);
    let (fault, text) = fault(&p, &inputs(&[("x", f32s(&[1, 256], |i| i as f32))]));
    assert!(
        matches!(
            fault,
            Fault::IndexBounds {
                index: 256,
                limit: 256,
                ..
            }
        ),
        "{text}"
    );
}

#[test]
fn inputs_are_checked() {
    let (missing, _) = fault(&add_one(1), &inputs(&[]));
    assert_eq!(missing, Fault::MissingInput { name: "x".into() });
    let (shape, text) = fault(&add_one(1), &line_inputs());
    assert!(matches!(shape, Fault::InputType { .. }), "{text}");
    let given = inputs(&[("x", f32s(&[8, 256], |_| 1.0)), ("count", scalar(9))]);
    let (range, text) = fault(&sum_rows(), &given);
    assert!(
        matches!(
            range,
            Fault::ScalarRange {
                value: 9,
                max: 8,
                ..
            }
        ),
        "{text}"
    );
}

#[test]
fn a_run_has_an_end() {
    let options = Options {
        max_statements: 20,
        ..Options::default()
    };
    let error = sim::run(&add_one(2), &machine(), &add_one_inputs(), &options).unwrap_err();
    assert_eq!(*error.fault, Fault::TooLong { limit: 20 });
}
