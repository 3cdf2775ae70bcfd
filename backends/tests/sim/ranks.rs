//! Several ranks: what a right exchange does in any order, and what is refused of wrong ones in every order.

use crate::build::*;
use crate::exchange::*;
use crate::kernels::{add_one, add_one_inputs};
use tilewright_backends::data::Tensors;
use tilewright_backends::sim::{
    self, Because, Conflict, Fault, Interleaving, RankFault, RankOptions, RanksReport, SimError,
};
use tilewright_ir::DType::*;
use tilewright_ir::graph::Unary;
use tilewright_ir::kernel::*;

fn run_seed(
    program: &Program,
    inputs: &[Tensors],
    layers: usize,
    seed: u64,
) -> Result<RanksReport, SimError> {
    let options = RankOptions {
        layers,
        interleaving: Interleaving::seeded(seed, program.ranks),
        ..RankOptions::default()
    };
    sim::run_ranks(program, &machine(), inputs, &options)
}

fn run(program: &Program, layers: usize) -> RanksReport {
    match run_seed(program, &all_inputs(program.ranks), layers, 0) {
        Ok(report) => report,
        Err(error) => panic!("{error}"),
    }
}

/// What is refused in each of some interleavings.
fn refused(program: &Program, layers: usize) -> Vec<(RankFault, String)> {
    let inputs = all_inputs(program.ranks);
    (0..24)
        .map(|seed| {
            let error = run_seed(program, &inputs, layers, seed)
                .expect_err("every order of a wrong program is refused");
            let text = error.to_string();
            match *error.fault {
                Fault::Ranks(fault) => (*fault, text),
                other => panic!("seed {seed}: {other}"),
            }
        })
        .collect()
}

/// Data that were not there, or that nothing orders: which of the two shows depends on who came first.
fn unordered(faults: &[(RankFault, String)]) {
    for (fault, text) in faults {
        let expected = matches!(fault, RankFault::Race { .. } | RankFault::NotArrived { .. });
        assert!(expected, "{text}");
    }
}

#[test]
fn any_order_of_progress_gives_the_same_bytes() {
    let programs = [all_to_all(2), all_to_all(3), all_to_all_by_blocks(4)];
    for p in programs {
        let ranks = p.ranks;
        let inputs = all_inputs(ranks);
        let first = run(&p, 3);
        for (r, rank) in first.ranks.iter().enumerate() {
            let y = rank.outputs["y"].to_f32();
            for (i, v) in y.iter().enumerate() {
                assert_eq!(*v, (1000 * (i / WIDTH) + 100 * r + i % WIDTH) as f32);
            }
        }
        for seed in 0..100 {
            let report = run_seed(&p, &inputs, 3, seed).unwrap_or_else(|e| panic!("{seed}: {e}"));
            for (a, b) in report.ranks.iter().zip(&first.ranks) {
                assert_eq!(a.outputs, b.outputs, "seed {seed}");
            }
            // Neither does time depend on the order in which data were computed.
            assert_eq!(report.sequential, first.sequential, "seed {seed}");
            assert_eq!(report.overlapped, first.overlapped, "seed {seed}");
        }
    }
}

#[test]
fn outputs_feed_the_next_layer_run() {
    let p = all_to_all(2);
    let options = RankOptions {
        layers: 2,
        carried: vec![("y".into(), "x".into())],
        ..RankOptions::default()
    };
    let given = all_inputs(2);
    let report = sim::run_ranks(&p, &machine(), &given, &options).unwrap();
    // Exchanged twice.
    for (rank, given) in report.ranks.iter().zip(&given) {
        assert_eq!(rank.outputs["y"].bytes, given["x"].bytes);
    }
}

#[test]
fn a_handshake_without_epochs_is_caught_in_the_second_layer_run() {
    let mut p = all_to_all(2);
    part(&mut p, 1)[0] = await_counter("ready", Expr::var(Var::Loop(1), 1), Expr::constant(1));
    run(&p, 1);
    let faults = refused(&p, 2);
    unordered(&faults);
    assert!(faults.iter().all(|(_, text)| text.contains("layer run 2")));
}

#[test]
fn a_window_is_not_overwritten_while_it_may_be_read() {
    let mut p = all_to_all(2);
    part(&mut p, 0)[0] = await_counter("done", Expr::var(Var::Loop(0), 1), Expr::constant(0));
    run(&p, 1);
    let faults = refused(&p, 2);
    unordered(&faults);
    let write_after_read = |f: &&(RankFault, String)| {
        matches!(
            &f.0,
            RankFault::Race {
                conflict: Conflict::WriteAfterRead,
                ..
            }
        )
    };
    assert!(faults.iter().find(write_after_read).is_some());
}

#[test]
fn a_missing_notification_is_a_deadlock_that_names_all_who_wait() {
    let mut p = all_to_all(2);
    part(&mut p, 0).remove(7);
    for (fault, text) in refused(&p, 1) {
        let RankFault::Deadlock { waits } = fault else {
            panic!("{text}");
        };
        let who: Vec<_> = waits.iter().map(|w| w.actor.rank).collect();
        assert_eq!(who, [0, 1]);
        let first = &waits[0];
        assert_eq!((first.at_least, first.value, &first.last), (1, 0, &None));
        assert_eq!(first.actor.kernel, "exchange");
        assert_eq!(
            first.counter.to_string(),
            "element (0, 0) of window `ready` of rank 0"
        );
        assert!(
            first.actor.instruction.contains("TWAIT(ready[q, 0"),
            "{text}"
        );
    }
}

#[test]
fn a_missing_wait_is_caught() {
    let mut p = all_to_all(2);
    part(&mut p, 1).remove(0);
    unordered(&refused(&p, 1));
}

#[test]
fn a_notification_before_the_stores_is_caught() {
    let mut p = all_to_all(2);
    let body = part(&mut p, 0);
    let notify = body.remove(7);
    body.insert(1, notify);
    unordered(&refused(&p, 1));
}

#[test]
fn a_notification_waits_for_the_transfers_before_it() {
    let mut p = all_to_all(2);
    part(&mut p, 0).drain(5..7);
    // The tile is free for the next trip all the same.
    part(&mut p, 0).extend(sync(Pipe::Mte3, Pipe::Mte2));
    for (fault, text) in refused(&p, 1) {
        assert!(
            matches!(fault, RankFault::Undrained { pipe: "MTE3", .. }),
            "{text}"
        );
    }
    let mut p = all_to_all(2);
    part(&mut p, 1).drain(5..7);
    // The load is over before the store, and that before the notification.
    run(&p, 1);
    part(&mut p, 1).drain(5..7);
    for (fault, text) in refused(&p, 1) {
        assert!(
            matches!(fault, RankFault::Undrained { pipe: "MTE2", .. }),
            "{text}"
        );
    }
}

#[test]
fn two_ranks_do_not_write_the_same_rows() {
    let mut p = all_to_all(2);
    part(&mut p, 0)[4] = store(
        peer_row("window", zero(), WIDTH, Expr::var(Var::Loop(0), 1)),
        t(0),
    );
    unordered(&refused(&p, 1));
}

#[test]
fn two_ranks_do_not_set_one_counter_but_may_add_to_it() {
    let counter = |p: &mut Program, op, value| {
        part(p, 0)[7] = notify("ready", zero(), Expr::var(Var::Loop(0), 1), op, value);
        let all = Expr::var(Var::Epoch, 2);
        part(p, 1)[0] = await_counter("ready", zero(), all);
    };
    let mut p = all_to_all(2);
    counter(&mut p, NotifyOp::Add, Expr::constant(1));
    let first = run(&p, 3);
    for seed in 0..24 {
        let report = run_seed(&p, &all_inputs(2), 3, seed).unwrap();
        assert_eq!(report.ranks[1].outputs, first.ranks[1].outputs);
    }
    counter(&mut p, NotifyOp::Set, epoch(0));
    for (fault, text) in refused(&p, 1) {
        let expected = matches!(
            fault,
            RankFault::LostNotification { .. } | RankFault::SharedLine { .. }
        );
        assert!(expected, "{text}");
    }
}

#[test]
fn scalar_stores_of_two_ranks_share_no_line() {
    let write = |col: Expr| {
        Stmt::Instr(Instr::WriteScalar {
            dst: GlobalRef {
                peer: Some(Expr::constant(0)),
                ..rect("marks", zero(), col, (1, 1))
            },
            value: rank(),
        })
    };
    let with = |stride: i64| {
        let mut p = all_to_all(2);
        p.tensors
            .insert("marks".into(), tensor(I32, &[1, 32], Role::Window));
        p.kernels[0]
            .body
            .insert(0, write(Expr::var(Var::Rank, stride)));
        p
    };
    let ok = with(16);
    let body = &ok.kernels[0].body;
    assert!(matches!(body[0], Stmt::Instr(Instr::WriteScalar { .. })));
    // The loops are one statement further on.
    run(&ok, 1);
    for (fault, text) in refused(&with(1), 1) {
        assert!(
            matches!(fault, RankFault::SharedLine { line: 64, .. }),
            "{text}"
        );
    }
}

#[test]
fn windows_have_bounds_and_ranks_have_numbers() {
    let with = |row: i64, peer: i64| {
        let mut p = all_to_all(2);
        let reg = |dst, value| {
            Stmt::Instr(Instr::SetReg {
                dst,
                value: Expr::constant(value),
            })
        };
        p.kernels[0].registers = 2;
        let at = |r| Expr::var(Var::Reg(r), 1);
        let body = part(&mut p, 0);
        body[4] = store(peer_row("window", at(0), WIDTH, at(1)), t(0));
        body.splice(0..0, [reg(0, row), reg(1, peer)]);
        run_seed(&p, &all_inputs(2), 1, 0).unwrap_err()
    };
    let far = with(2, 0);
    assert!(matches!(*far.fault, Fault::GlobalBounds { .. }), "{far}");
    assert!(far.to_string().starts_with("rank "), "{far}");
    let nobody = with(0, 2);
    let expected = |f: &RankFault| matches!(f, RankFault::Peer { peer: 2, ranks: 2 });
    assert!(
        matches!(&*nobody.fault, Fault::Ranks(f) if expected(f)),
        "{nobody}"
    );
}

#[test]
fn counters_are_changed_by_notifications_only() {
    let mut p = all_to_all(2);
    p.kernels[0].body.push(Stmt::Instr(Instr::WriteScalar {
        dst: rect("ready", rank(), zero(), (1, 1)),
        value: Expr::constant(0),
    }));
    for (fault, text) in refused(&p, 1) {
        assert!(matches!(fault, RankFault::CounterStore { .. }), "{text}");
    }
}

#[test]
fn inputs_layers_and_paces_fit_the_ranks() {
    let p = all_to_all(2);
    let code = |inputs: &[Tensors], options: &RankOptions| {
        let error = sim::run_ranks(&p, &machine(), inputs, options).unwrap_err();
        error.fault.code()
    };
    let options = RankOptions::default();
    assert_eq!(code(&all_inputs(1), &options), "tilewright::sim::ranks");
    let none = RankOptions {
        layers: 0,
        ..options.clone()
    };
    assert_eq!(code(&all_inputs(2), &none), "tilewright::sim::ranks");
    let twice = RankOptions {
        carried: vec![("y".into(), "z".into())],
        ..options
    };
    assert_eq!(code(&all_inputs(2), &twice), "tilewright::sim::ranks");
    let alone = sim::run(&p, &machine(), &all_inputs(2)[0], &Default::default());
    assert_eq!(
        alone.unwrap_err().fault.code(),
        "tilewright::sim::unsupported"
    );
}

#[test]
fn blocks_that_wait_are_all_resident() {
    let mut p = all_to_all(2);
    p.kernels[0].launch.grid[0].count = 49;
    let error = run_seed(&p, &all_inputs(2), 1, 0).unwrap_err();
    assert!(error.to_string().contains("49 blocks that wait"), "{error}");
}

/// Rank 1 computes longer than rank 0 before the exchange.
fn uneven() -> Program {
    let mut p = all_to_all(2);
    let slow = Stmt::If {
        cond: Cond::Positive(rank()),
        then: vec![Stmt::Loop {
            id: 2,
            trips: 1000,
            depth: 1,
            body: vec![
                Stmt::Barrier(Pipe::V),
                vector(VectorOp::Unary(Unary::Exp), t(2), &[t(2)]),
            ],
        }],
        otherwise: vec![],
    };
    let k = &mut p.kernels[0];
    k.tiles.push(ub("work", F32, (1, 512), &[1024]));
    k.loops.push("work".into());
    let ready = sync(Pipe::V, Pipe::S);
    let fill = vector(VectorOp::Fill(0.0), t(2), &[]);
    let body = [fill, slow].into_iter().chain(ready);
    k.body.splice(0..0, body);
    p
}

#[test]
fn a_rank_waits_for_a_slow_one_and_the_critical_path_says_so() {
    let p = uneven();
    let report = run(&p, 1);
    let span = |rank: usize| &report.sequential.kernels[rank];
    assert!(span(0).waited_us > 10.0 * span(1).waited_us);
    let path = &report.sequential.critical;
    assert_eq!((path[0].rank, &path[0].because), (1, &Because::Start));
    let crossed = path
        .iter()
        .any(|s| s.rank == 0 && matches!(&s.because, Because::Notification { rank: 1, .. }));
    let last = path.last().unwrap();
    assert_eq!(last.end_us, report.sequential.us);
    assert!(crossed || last.rank == 1);
    // What a kernel does alone has no waits in it.
    let alone = report.ranks[0].kernels[0].us;
    assert!(alone < span(0).end_us - span(0).waited_us + 1.0);
}

#[test]
fn kernels_that_depend_on_nothing_of_each_other_run_side_by_side() {
    let mut p = all_to_all(2);
    let other = add_one(2);
    p.tensors.extend(other.tensors.into_iter().map(|(n, t)| {
        let name = if n == "x" { "a" } else { "b" };
        (name.to_string(), t)
    }));
    let mut k = other.kernels[0].clone();
    fn rename(body: &mut [Stmt]) {
        for s in body {
            match s {
                Stmt::Loop { body, .. } => rename(body),
                Stmt::Instr(Instr::Load { src, .. }) => src.tensor = "a".into(),
                Stmt::Instr(Instr::Store { dst, .. }) => dst.tensor = "b".into(),
                _ => {}
            }
        }
    }
    rename(&mut k.body);
    p.kernels.push(k);
    let mut inputs = all_inputs(2);
    for rank in &mut inputs {
        rank.insert("a".into(), add_one_inputs()["x"].clone());
    }
    let report = run_seed(&p, &inputs, 2, 7).unwrap();
    let (one, side) = (&report.sequential, &report.overlapped);
    assert!(side.us < one.us, "{} {}", side.us, one.us);
    let start = |t: &sim::Timeline, i: usize| t.kernels[i].start_us;
    assert!(start(one, 1) >= one.kernels[0].end_us);
    assert_eq!(start(side, 1), 0.0);
    // A layer run starts when the one before it is over.
    let first = side.kernels[0].end_us.max(side.kernels[1].end_us);
    assert_eq!(start(side, 2), first);
}

#[test]
fn one_rank_runs_as_ever() {
    let p = add_one(2);
    let alone = sim::run(&p, &machine(), &add_one_inputs(), &Default::default()).unwrap();
    let report = run_seed(&p, &[add_one_inputs()], 1, 0).unwrap();
    assert_eq!(report.ranks[0].outputs, alone.outputs);
    assert_eq!(report.ranks[0].kernels, alone.kernels);
    assert!((report.sequential.us - alone.us).abs() < 1e-9);
}

#[test]
fn the_scalar_unit_counts() {
    use Pipe::*;
    let reg = |r| Expr::var(Var::Reg(r), 1);
    let read = Stmt::Instr(Instr::ReadScalar {
        dst: 0,
        src: rect("x", zero(), Expr::var(Var::Loop(0), 1), (1, 1)),
    });
    let bucket = Stmt::Instr(Instr::Compute {
        dst: 1,
        op: IntOp::Rem,
        lhs: reg(0),
        rhs: Expr::constant(4),
    });
    let get = Stmt::Instr(Instr::ArrayGet {
        dst: 2,
        array: 0,
        index: reg(1),
    });
    let add = Stmt::Instr(Instr::ArraySet {
        array: 0,
        index: reg(1),
        value: Expr { base: 1, ..reg(2) },
    });
    let count = Stmt::Loop {
        id: 0,
        trips: 8,
        depth: 1,
        body: vec![read, bucket, get, add],
    };
    let out = Stmt::Loop {
        id: 1,
        trips: 4,
        depth: 1,
        body: vec![
            Stmt::Instr(Instr::ArrayGet {
                dst: 2,
                array: 0,
                index: Expr::var(Var::Loop(1), 1),
            }),
            Stmt::Instr(Instr::WriteScalar {
                dst: rect("count", zero(), Expr::var(Var::Loop(1), 1), (1, 1)),
                value: reg(2),
            }),
        ],
    };
    let mut k = kernel(
        "count",
        Unit::Vector,
        1,
        vec![ub("row", I32, (1, 8), &[0])],
        vec![count, out],
    );
    k.registers = 3;
    k.loops = vec!["k".into(), "q".into()];
    k.arrays = vec![ScalarArray {
        name: "counts".into(),
        len: 4,
    }];
    // The copy unit sees what the scalar unit has written, after a flag.
    k.body.extend(sync(S, Mte2));
    k.body
        .push(load(t(0), rect("count", zero(), zero(), (1, 8))));
    k.body.extend(sync(Mte2, Mte3));
    k.body.push(store(rect("y", zero(), zero(), (1, 8)), t(0)));
    let mut p = program(
        &[
            ("x", tensor(I32, &[8], Role::Input)),
            ("count", tensor(I32, &[8], Role::Workspace)),
            ("y", tensor(I32, &[8], Role::Output)),
        ],
        vec![k],
    );
    let given = inputs(&[("x", i32s(&[8], &[0, 1, 2, 3, 4, 5, 8, 9]))]);
    // Four of eight are written.
    let (fault, text) = fault(&p, &given);
    assert!(matches!(fault, Fault::UninitialisedGlobal { .. }), "{text}");
    for tensor in ["count", "y"] {
        p.tensors[tensor].shape = vec![4];
    }
    for stmt in &mut p.kernels[0].body {
        if let Stmt::Instr(Instr::Load { src: g, .. } | Instr::Store { dst: g, .. }) = stmt {
            g.cols = 4;
        }
    }
    assert_eq!(outputs(&p, &given)["y"].to_i64(), [3, 3, 1, 1]);
    let flag = p.kernels[0]
        .body
        .iter()
        .position(|s| matches!(s, Stmt::Set { src: S, .. }))
        .unwrap();
    p.kernels[0].body.drain(flag..flag + 2);
    let (fault, text) = crate::build::fault(&p, &given);
    assert!(matches!(fault, Fault::Hazard { .. }), "{text}");
}
