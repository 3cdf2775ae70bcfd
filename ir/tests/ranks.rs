//! Programs of several ranks: their text, their JSON, and what is refused.

use indexmap::IndexMap;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::kernel::*;
use tilewright_ir::machine::Machine;

fn check(program: &Program) -> Result<(), KernelError> {
    verify(program, &Machine::builtin("A3").unwrap())
}

fn window(dtype: DType, shape: &[usize]) -> GlobalTensor {
    GlobalTensor {
        dtype,
        shape: shape.to_vec(),
        role: Role::Window,
        ragged: None,
        expected: vec![],
    }
}

fn rect(tensor: &str, row: Expr, cols: usize, peer: Option<Expr>) -> GlobalRef {
    GlobalRef {
        tensor: tensor.into(),
        row,
        col: Expr::default(),
        rows: 1,
        cols,
        peer,
        step: 1,
        view: None,
    }
}

fn peer() -> Option<Expr> {
    Some(Expr::var(Var::Loop(0), 1))
}

fn exchange(body: Vec<Stmt>) -> Kernel {
    Kernel {
        name: "exchange".into(),
        covers: vec![],
        unit: Unit::Vector,
        launch: Launch {
            kind: LaunchKind::Spmd,
            grid: vec![],
        },
        after: vec![],
        expected: IndexMap::new(),
        notes: vec![],
        params: IndexMap::new(),
        pipeline: 1,
        loops: vec!["peer".into()],
        tiles: vec![Tile {
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
        }],
        registers: 2,
        arrays: vec![ScalarArray {
            name: "counts".into(),
            len: 8,
        }],
        body,
    }
}

fn program() -> Program {
    let rank = || Expr::var(Var::Rank, 1);
    let reg = |r| Expr::var(Var::Reg(r), 1);
    let send = vec![
        Stmt::Instr(Instr::Load {
            dst: TileRef::new(0),
            src: rect("x", Expr::var(Var::Loop(0), 1), 64, None),
        }),
        Stmt::Instr(Instr::Store {
            dst: rect("rows", rank(), 64, peer()),
            src: TileRef::new(0),
        }),
        Stmt::Instr(Instr::WriteScalar {
            dst: rect("marks", rank(), 1, peer()),
            value: Expr::var(Var::Epoch, 2),
        }),
        Stmt::Instr(Instr::Notify {
            counter: rect("ready", rank(), 1, peer()),
            op: NotifyOp::Add,
            value: Expr::constant(1),
        }),
    ];
    let body = vec![
        Stmt::Loop {
            id: 0,
            trips: 4,
            depth: 1,
            body: send,
        },
        Stmt::Instr(Instr::SetReg {
            dst: 0,
            value: Expr::constant(7),
        }),
        Stmt::Instr(Instr::Compute {
            dst: 1,
            op: IntOp::Div,
            lhs: reg(0),
            rhs: Expr::constant(2),
        }),
        Stmt::Instr(Instr::ArraySet {
            array: 0,
            index: reg(1),
            value: reg(0),
        }),
        Stmt::Instr(Instr::ArrayGet {
            dst: 0,
            array: 0,
            index: Expr::constant(3),
        }),
        Stmt::If {
            cond: Cond::Zero(reg(0)),
            then: vec![],
            otherwise: vec![Stmt::Instr(Instr::WaitCounter {
                counter: rect("ready", Expr::default(), 1, None),
                at_least: Expr::var(Var::Epoch, 1),
            })],
        },
        Stmt::Instr(Instr::Store {
            dst: rect("y", Expr::default(), 64, None),
            src: TileRef::new(0),
        }),
    ];
    let kernel = exchange(body);
    let own = |role| GlobalTensor {
        role,
        ..window(DType::F32, &[4, 64])
    };
    Program {
        name: "example".into(),
        machine: "A3".into(),
        ranks: 4,
        tensors: IndexMap::from([
            ("x".into(), own(Role::Input)),
            ("rows".into(), window(DType::F32, &[4, 64])),
            ("marks".into(), window(DType::I32, &[4, 16])),
            ("ready".into(), window(DType::I32, &[4, 16])),
            ("y".into(), own(Role::Output)),
        ]),
        scalars: IndexMap::new(),
        kernels: vec![kernel],
    }
}

#[test]
fn the_text_of_a_program_of_four_ranks() {
    assert_eq!(check(&program()), Ok(()));
    let expected = "\
program example for A3 on 4 ranks
  input x: f32 [4, 64]
  window rows: f32 [4, 64]
  window marks: i32 [4, 16]
  window ready: i32 [4, 16]
  output y: f32 [4, 64]

kernel exchange: vector
  launch spmd
  pipeline 1
  tile row: ub f32 1 x 64 row_major at 0x0
  array counts: i32 [8]
  body
    for peer in range(4)
      TLOAD(row, x[peer, 0 : 1 x 64])
      TSTORE(rows[rank, 0 : 1 x 64] on peer, row)
      WRITE(marks[rank, 0 : 1 x 1] on peer, 2 * epoch)
      TNOTIFY(ready[rank, 0 : 1 x 1] on peer, += 1)
    r0 = 7
    r1 = div(r0, 2)
    counts[r1] = r0
    r0 = counts[3]
    if r0 == 0
    else
      TWAIT(ready[0, 0 : 1 x 1] >= epoch)
    TSTORE(y[0, 0 : 1 x 64], row)
";
    assert_eq!(program().to_string(), expected);
}

#[test]
fn programs_are_stored_as_json() {
    let p = program();
    let text = serde_json::to_string(&p).unwrap();
    assert_eq!(serde_json::from_str::<Program>(&text).unwrap(), p);
    // A program that says nothing of ranks has one.
    let old = text.replace("\"ranks\":4,", "");
    assert_eq!(serde_json::from_str::<Program>(&old).unwrap().ranks, 1);
}

#[test]
fn kernels_say_what_they_touch_of_windows() {
    let p = program();
    let (reads, writes) = p.kernels[0].accesses();
    assert_eq!(reads, ["x", "ready"]);
    assert_eq!(writes, ["rows", "marks", "ready", "y"]);
    assert!(is_communication(&p, &p.kernels[0]));
    assert!(p.kernels[0].waits());
}

/// The text of the refusal of a program that differs from [`program`].
fn refused(change: impl FnOnce(&mut Program)) -> String {
    let mut p = program();
    change(&mut p);
    check(&p).expect_err("it must be refused").to_string()
}

fn send(p: &mut Program) -> &mut Vec<Stmt> {
    match &mut p.kernels[0].body[0] {
        Stmt::Loop { body, .. } => body,
        _ => unreachable!("the first statement is a loop"),
    }
}

#[test]
fn peers_are_ranks_and_have_windows() {
    let text = refused(|p| p.ranks = 3);
    assert!(
        text.contains("the peer is from 0 to 3, but the program runs on 3 ranks"),
        "{text}"
    );
    let text = refused(|p| p.tensors["rows"].role = Role::Workspace);
    assert!(
        text.contains("`rows` is no window, but a peer's is named"),
        "{text}"
    );
    let text = refused(|p| {
        send(p)[0] = Stmt::Instr(Instr::Load {
            dst: TileRef::new(0),
            src: rect("rows", Expr::default(), 64, peer()),
        });
    });
    assert!(text.contains("`rows` of a peer is read"), "{text}");
    // `rank` is below the number of ranks.
    let text = refused(|p| p.tensors["rows"].shape = vec![3, 64]);
    assert!(
        text.contains("rows 0..4 of `rows` are used, but there are 3"),
        "{text}"
    );
    for ranks in [0, 2000] {
        let text = refused(|p| p.ranks = ranks);
        assert!(
            text.contains(&format!("it runs on {ranks} ranks")),
            "{text}"
        );
    }
    let text = refused(|p| {
        p.scalars.insert("epoch".into(), 4);
    });
    assert!(text.contains("a scalar is called `epoch`"), "{text}");
}

#[test]
fn counters_are_integers_of_windows() {
    let text = refused(|p| p.tensors["ready"].dtype = DType::F32);
    assert!(text.contains("`ready` is f32"), "{text}");
    let text = refused(|p| {
        let Stmt::Instr(Instr::Notify { counter, .. }) = &mut send(p)[3] else {
            unreachable!("the last statement notifies");
        };
        counter.cols = 2;
    });
    assert!(text.contains("1 x 2 elements are used"), "{text}");
    let text = refused(|p| {
        send(p).remove(3);
        p.tensors["ready"].role = Role::Input;
    });
    assert!(text.contains("the counter `ready` is no window"), "{text}");
}

#[test]
fn arrays_have_elements_and_registers_exist() {
    let text = refused(|p| p.kernels[0].arrays[0].len = 3);
    assert!(
        text.contains("elements 3..4 of `counts` are used, but there are 3"),
        "{text}"
    );
    let text = refused(|p| p.kernels[0].arrays[0].len = 0);
    assert!(text.contains("the array's length is 0"), "{text}");
    let text = refused(|p| p.kernels[0].arrays[0].len = 5000);
    assert!(
        text.contains("20000, but has to be at most 16384"),
        "{text}"
    );
    let text = refused(|p| p.kernels[0].arrays.clear());
    assert!(text.contains("array 0 does not exist"), "{text}");
    let text = refused(|p| p.kernels[0].registers = 1);
    assert!(text.contains("register 1 does not exist"), "{text}");
}
