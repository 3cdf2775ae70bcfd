//! Kernel programs: their text, and what the verifier refuses.

use indexmap::IndexMap;
use miette::Diagnostic;
use tilewright_ir::dtype::{DType, Round};
use tilewright_ir::graph::{Binary, LaunchKind, Reduce, Unary};
use tilewright_ir::kernel::{
    Cond, Event, Expr, GlobalRef, GlobalTensor, GridAxis, Instr, Kernel, Launch, Layout, Pipe,
    Program, Role, Space, Stmt, Tile, TileRef, Unit, Var, VectorOp, check_capacity, verify,
};
use tilewright_ir::machine::Machine;

fn tensor(dtype: DType, shape: &[usize], role: Role) -> GlobalTensor {
    GlobalTensor {
        dtype,
        shape: shape.to_vec(),
        role,
        ragged: None,
    }
}

fn tile(name: &str, space: Space, dtype: DType, layout: Layout, rows: usize, cols: usize) -> Tile {
    Tile {
        name: name.into(),
        space,
        dtype,
        rows,
        cols,
        valid_rows: rows,
        valid_cols: cols,
        layout,
        slots: 1,
        addrs: vec![],
    }
}

fn ub(name: &str, dtype: DType, rows: usize, cols: usize) -> Tile {
    tile(name, Space::Ub, dtype, Layout::RowMajor, rows, cols)
}

fn column(name: &str, rows: usize) -> Tile {
    tile(name, Space::Ub, DType::F32, Layout::ColMajor, rows, 1)
}

fn t(tile: usize) -> TileRef {
    TileRef::new(tile)
}

fn vector(op: VectorOp, dst: usize, srcs: &[usize]) -> Stmt {
    with_tmp(op, dst, srcs, None)
}

fn with_tmp(op: VectorOp, dst: usize, srcs: &[usize], tmp: Option<usize>) -> Stmt {
    Stmt::Instr(Instr::Vector {
        op,
        dst: t(dst),
        srcs: srcs.iter().map(|s| t(*s)).collect(),
        tmp: tmp.map(t),
    })
}

fn rect(tensor: &str, row: Expr, col: Expr, rows: usize, cols: usize) -> GlobalRef {
    GlobalRef {
        tensor: tensor.into(),
        row,
        col,
        rows,
        cols,
        peer: None,
        step: 1,
    }
}

fn kernel(name: &str, unit: Unit, tiles: Vec<Tile>, body: Vec<Stmt>) -> Kernel {
    Kernel {
        name: name.into(),
        covers: vec![],
        unit,
        launch: Launch {
            kind: LaunchKind::Spmd,
            grid: vec![],
        },
        params: IndexMap::new(),
        pipeline: 1,
        loops: vec![],
        tiles,
        registers: 0,
        arrays: vec![],
        after: vec![],
        notes: vec![],
        body,
    }
}

/// The sum of the squares of 8 rows a block in chunks of 256 columns, and a product that uses it.
fn program() -> Program {
    let start = Expr::var(Var::Grid(0), 8);
    let mut x = ub("x", DType::Bf16, 8, 256);
    x.slots = 2;
    x.addrs = vec![0, 4096];
    let chunk = TileRef {
        slot: Some(0),
        ..t(0)
    };
    let event = Event {
        base: 0,
        rotate: Some((0, 2)),
    };
    let (src, dst) = (Pipe::Mte2, Pipe::V);
    let mut first = kernel(
        "squares",
        Unit::Vector,
        vec![
            x,
            ub("f", DType::F32, 8, 256),
            ub("tmp", DType::F32, 8, 256),
            column("part", 8),
            column("sum", 8),
        ],
        vec![
            Stmt::Loop {
                id: 0,
                trips: 16,
                depth: 2,
                body: vec![
                    Stmt::Instr(Instr::Load {
                        dst: chunk.clone(),
                        src: rect("x", start.clone(), Expr::var(Var::Loop(0), 256), 8, 256),
                    }),
                    Stmt::Set { src, dst, event },
                    Stmt::Wait { src, dst, event },
                    Stmt::Instr(Instr::Vector {
                        op: VectorOp::Cvt(Round::Rint),
                        dst: t(1),
                        srcs: vec![chunk],
                        tmp: None,
                    }),
                    Stmt::Barrier(Pipe::V),
                    vector(VectorOp::Binary(Binary::Mul), 1, &[1, 1]),
                    Stmt::Barrier(Pipe::V),
                    with_tmp(VectorOp::RowReduce(Reduce::Sum), 3, &[1], Some(2)),
                    Stmt::Barrier(Pipe::V),
                    Stmt::If {
                        cond: Cond::First(0),
                        then: vec![vector(VectorOp::Copy, 4, &[3])],
                        otherwise: vec![vector(VectorOp::Binary(Binary::Add), 4, &[4, 3])],
                    },
                ],
            },
            vector(VectorOp::Scalar(Binary::Mul, 0.5), 4, &[4]),
            Stmt::Instr(Instr::Store {
                dst: rect("sums", start, Expr::default(), 8, 1),
                src: TileRef {
                    rows: Some(Expr::var(Var::Scalar(0), 1).plus(Var::Grid(0), -8)),
                    ..t(4)
                },
            }),
        ],
    );
    first.covers = vec!["norm".into()];
    first.launch.grid = vec![GridAxis {
        name: "r".into(),
        count: 2,
    }];
    first.loops = vec!["k".into()];
    first.params = IndexMap::from([("T_TILE".to_owned(), 8)]);
    first.pipeline = 2;
    let cube = |name: &str, space, layout| tile(name, space, DType::Bf16, layout, 16, 16);
    let second = kernel(
        "product",
        Unit::Cube,
        vec![
            cube("a", Space::L1, Layout::Nz),
            cube("b", Space::L1, Layout::Zn),
            cube("la", Space::L0a, Layout::Zz),
            cube("lb", Space::L0b, Layout::Right),
            tile("acc", Space::L0c, DType::F32, Layout::Acc, 16, 16),
        ],
        vec![
            Stmt::Instr(Instr::Load {
                dst: t(0),
                src: rect("x", Expr::default(), Expr::constant(16), 16, 16),
            }),
            Stmt::Instr(Instr::Load {
                dst: t(1),
                src: rect("x", Expr::default(), Expr::default(), 16, 16),
            }),
            Stmt::Instr(Instr::Move {
                dst: t(2),
                src: t(0),
                from: (0, 0),
            }),
            Stmt::Instr(Instr::Move {
                dst: t(3),
                src: t(1),
                from: (0, 0),
            }),
            Stmt::Instr(Instr::Matmul {
                dst: t(4),
                lhs: t(2),
                rhs: t(3),
                accumulate: false,
            }),
            Stmt::Instr(Instr::Matmul {
                dst: t(4),
                lhs: t(2),
                rhs: t(3),
                accumulate: true,
            }),
            Stmt::Instr(Instr::Store {
                dst: rect("y", Expr::default(), Expr::default(), 16, 16),
                src: t(4),
            }),
        ],
    );
    Program {
        name: "example".into(),
        machine: "A3".into(),
        ranks: 1,
        tensors: IndexMap::from([
            ("x".into(), tensor(DType::Bf16, &[16, 4096], Role::Input)),
            ("sums".into(), tensor(DType::F32, &[16, 1], Role::Workspace)),
            ("y".into(), tensor(DType::F32, &[16, 16], Role::Output)),
        ]),
        scalars: IndexMap::from([("num_tokens".to_owned(), 16)]),
        kernels: vec![first, second],
    }
}

#[test]
fn the_text_of_a_program() {
    let expected = "\
program example for A3
  input x: bf16 [16, 4096]
  workspace sums: f32 [16, 1]
  output y: f32 [16, 16]
  scalar num_tokens: 0..=16

kernel squares: vector
  covers norm
  launch spmd r=2
  params T_TILE=8
  pipeline 2
  tile x: ub bf16 8 x 256 row_major slots 2 at 0x0, 0x1000
  tile f: ub f32 8 x 256 row_major
  tile tmp: ub f32 8 x 256 row_major
  tile part: ub f32 8 x 1 col_major
  tile sum: ub f32 8 x 1 col_major
  body
    for k in pipeline(16, stage=2)
      TLOAD(x[k % 2], x[8 * r, 256 * k : 8 x 256])
      set_flag(MTE2, V, 0 + k % 2)
      wait_flag(MTE2, V, 0 + k % 2)
      TCVT(f, x[k % 2], rint)
      pipe_barrier(V)
      TMUL(f, f, f)
      pipe_barrier(V)
      TROWSUM(part, f, tmp=tmp)
      pipe_barrier(V)
      if k == 0
        TMOV(sum, part)
      else
        TADD(sum, sum, part)
    TMULS(sum, sum, 0.5)
    TSTORE(sums[8 * r, 0 : 8 x 1], sum.rows(-8 * r + num_tokens))

kernel product: cube
  launch spmd
  pipeline 1
  tile a: l1 bf16 16 x 16 nz
  tile b: l1 bf16 16 x 16 zn
  tile la: l0a bf16 16 x 16 zz
  tile lb: l0b bf16 16 x 16 right
  tile acc: l0c f32 16 x 16 acc
  body
    TLOAD(a, x[0, 16 : 16 x 16])
    TLOAD(b, x[0, 0 : 16 x 16])
    TMOV(la, a)
    TMOV(lb, b)
    TMATMUL(acc, la, lb)
    TMATMUL_ACC(acc, acc, la, lb)
    TSTORE(y[0, 0 : 16 x 16], acc)
";
    assert_eq!(program().to_string(), expected);
}

#[test]
fn what_is_right_is_verified() {
    verify(&program()).unwrap();
    let machine = Machine::builtin("A3").unwrap();
    for kernel in &program().kernels {
        check_capacity(kernel, &machine).unwrap();
    }
}

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

/// The program with something wrong.
fn wrong(change: impl FnOnce(&mut Program)) -> Program {
    let mut p = program();
    change(&mut p);
    p
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

/// The first error of a vector kernel with these tiles and this statement.
fn refusal(tiles: Vec<Tile>, stmt: Stmt) -> String {
    let mut p = program();
    p.kernels[0].tiles = tiles;
    p.kernels[0].body = vec![stmt];
    match verify(&p) {
        Ok(()) => "fine".to_owned(),
        Err(e) => {
            let text = e.to_string();
            let code = e.code().unwrap().to_string();
            let code = code.rsplit(':').next().unwrap().to_owned();
            assert!(!e.help().unwrap().to_string().is_empty());
            // Without the kernel and the statement.
            let what = text
                .split_once("`: ")
                .map_or(text.clone(), |s| s.1.to_owned());
            format!("{code}: {what}")
        }
    }
}

#[test]
fn tiles_fit_their_memories() {
    let fill = || vector(VectorOp::Fill(0.0), 0, &[]);
    let one = |t: Tile| refusal(vec![t], fill());
    let padded = |mut t: Tile| {
        t.valid_cols = 300;
        t
    };
    let slots = |addrs: &[usize]| {
        let mut t = ub("t", DType::F32, 8, 8);
        t.slots = 2;
        t.addrs = addrs.to_vec();
        one(t)
    };
    assert_eq!(one(ub("t", DType::F32, 3, 8)), "fine");
    assert_eq!(
        one(ub("t", DType::F32, 8, 12)),
        "count: the number of columns is 12, but has to be a multiple of 8 (rows of whole 32-byte blocks), so at least 16"
    );
    assert_eq!(
        one(column("t", 6)),
        "count: the number of rows is 6, but has to be a multiple of 8 (a column of whole 32-byte blocks), so at least 8"
    );
    assert_eq!(
        one(padded(ub("t", DType::F32, 8, 256))),
        "count: the number of valid columns is 300, but has to be from 1 to the extent, 256"
    );
    assert_eq!(
        slots(&[0]),
        "count: the number of addresses is 1, but has to be 2, one a slot, or 0"
    );
    assert_eq!(
        slots(&[0, 100]),
        "count: the address is 100, but has to be a multiple of 32 and at most 1073741824"
    );
    assert_eq!(
        one(tile("t", Space::L1, DType::F32, Layout::Nz, 16, 16)),
        "space: a vector core has no l1"
    );
    assert_eq!(
        one(tile("t", Space::Ub, DType::F32, Layout::Nz, 16, 16)),
        "space: ub holds no tile of layout nz"
    );
    // Sizes that overflow are refused, not computed.
    assert_eq!(
        one(ub("t", DType::F32, usize::MAX, 8)),
        "count: the size in bytes is too large to count, but has to be at most 1073741824"
    );
}

#[test]
fn cube_tiles_have_whole_fractals() {
    let with = |index: usize, change: fn(&mut Tile)| {
        let p = wrong(|p| change(&mut p.kernels[1].tiles[index]));
        verify(&p).map_err(|e| e.to_string()).unwrap_err()
    };
    assert_eq!(
        with(0, |t| (t.rows, t.valid_rows) = (8, 8)),
        "kernel `product`, tile `a`: the number of rows is 8, but has to be a multiple of 16 (fractals of 16 rows of 32 bytes), so at least 16"
    );
    assert_eq!(
        with(3, |t| (t.cols, t.valid_cols) = (8, 8)),
        "kernel `product`, tile `lb`: the number of columns is 8, but has to be a multiple of 16 (fractals of 16 columns of 32 bytes), so at least 16"
    );
    assert_eq!(
        with(4, |t| t.dtype = DType::Bf16),
        "kernel `product`, tile `acc`: l0c holds no bf16"
    );
    assert_eq!(
        with(4, |t| t.dtype = DType::I32),
        "kernel `product`, statement 5 `TMATMUL(acc, la, lb)`: products of bf16 are summed in f32, but `acc` is i32"
    );
    assert_eq!(
        with(2, |t| t.valid_rows = 8),
        "kernel `product`, statement 3 `TMOV(la, a)`: `a` has 16 x 16 valid elements, but needs 8 x 16"
    );
}

#[test]
fn instructions_have_their_types() {
    use DType::*;
    let cast = |from, to| {
        refusal(
            vec![ub("d", to, 8, 32), ub("s", from, 8, 32)],
            vector(VectorOp::Cvt(Round::Rint), 0, &[1]),
        )
    };
    let allowed: Vec<_> = DType::ALL
        .into_iter()
        .map(|from| {
            let to: Vec<_> = DType::ALL
                .into_iter()
                .filter(|to| cast(from, *to) == "fine")
                .map(|d| d.name())
                .collect();
            format!("{from}: {}", to.join(" "))
        })
        .collect();
    assert_eq!(
        allowed,
        [
            "f32: f32 bf16 f16 i32 i64",
            "bf16: f32 i32",
            "f16: f32 i8 i32",
            "i8: f16",
            "i32: f32 f16 i64",
            "u32: ",
            "i64: f32 i32"
        ]
    );
    assert_eq!(cast(F32, I8), "types: there is no cast from f32 to i8");

    let two = |op, d| {
        let tiles = vec![ub("d", d, 8, 32), ub("s", d, 8, 32)];
        refusal(tiles, vector(op, 0, &[1, 1]))
    };
    assert_eq!(two(VectorOp::Binary(Binary::Add), I32), "fine");
    assert_eq!(
        two(VectorOp::Binary(Binary::Div), I32),
        "types: tile `d` is i32, which the instruction does not take"
    );
    assert_eq!(
        two(VectorOp::Binary(Binary::Add), Bf16),
        "types: tile `d` is bf16, which the instruction does not take"
    );
    let mixed = vec![ub("d", F32, 8, 32), ub("s", F16, 8, 32)];
    assert_eq!(
        refusal(mixed, vector(VectorOp::Unary(Unary::Exp), 0, &[1])),
        "types: `d` is f32, but `s` is f16"
    );
}

#[test]
fn instructions_have_their_shapes() {
    use DType::*;
    let x = || ub("x", F32, 8, 32);
    let add = VectorOp::Binary(Binary::Add);
    assert_eq!(
        refusal(vec![x(), ub("y", F32, 8, 64)], vector(add, 0, &[0, 1])),
        "shape: `y` has 8 x 64 valid elements, but needs 8 x 32"
    );
    let mut padded = ub("y", F32, 8, 64);
    padded.valid_cols = 32;
    assert_eq!(
        refusal(vec![x(), padded], vector(VectorOp::Copy, 0, &[1])),
        "shape: `x` is 8 x 32, but `y` is 8 x 64"
    );
    assert_eq!(
        refusal(vec![x()], vector(add, 0, &[0])),
        "count: the number of operands is 1, but has to be 2"
    );
    let rows = VectorOp::RowExpand(Binary::Mul);
    assert_eq!(
        refusal(vec![x(), column("c", 8)], vector(rows, 0, &[0, 1])),
        "fine"
    );
    assert_eq!(
        refusal(vec![x(), column("c", 16)], vector(rows, 0, &[0, 1])),
        "shape: `c` has 16 x 1 valid elements, but needs 8 x 1"
    );
    assert_eq!(
        refusal(
            vec![x(), column("c", 8), ub("w", F32, 1, 8)],
            with_tmp(rows, 0, &[0, 1], Some(2))
        ),
        "count: the size in bytes of the scratch tile `w` is 32, but has to be at least 256"
    );
    let cols = VectorOp::ColExpand(Binary::Mul);
    assert_eq!(
        refusal(vec![x(), ub("w", F32, 1, 32)], vector(cols, 0, &[0, 1])),
        "fine"
    );
    assert_eq!(
        refusal(
            vec![ub("x", F32, 8, 2048), ub("w", F32, 1, 2048)],
            vector(cols, 0, &[0, 1])
        ),
        "count: the number of 32-byte blocks of a row is 256, but has to be at most 255"
    );
    let sum = VectorOp::RowReduce(Reduce::Sum);
    assert_eq!(
        refusal(vec![x(), column("c", 8)], vector(sum, 1, &[0])),
        "form: the instruction has no scratch tile"
    );
    assert_eq!(
        refusal(vec![x(), x(), x()], with_tmp(sum, 1, &[0], Some(2))),
        "shape: `x` has 8 x 32 valid elements, but needs 8 x 1"
    );
}

#[test]
fn results_do_not_overwrite_what_is_still_read() {
    let x = || ub("x", DType::F32, 8, 32);
    let halve = VectorOp::Scalar(Binary::Div, 2.0);
    assert_eq!(refusal(vec![x(), x()], vector(halve, 0, &[1])), "fine");
    assert_eq!(
        refusal(vec![x()], vector(halve, 0, &[0])),
        "form: the result overwrites an operand that is still read"
    );
    let double = VectorOp::Scalar(Binary::Mul, 2.0);
    assert_eq!(refusal(vec![x()], vector(double, 0, &[0])), "fine");
}

#[test]
fn halves_are_whole_blocks_of_rows_or_columns() {
    let halves = |to: (usize, usize), from: (usize, usize)| {
        let tile = |(rows, cols)| {
            let mut t = ub("t", DType::F32, rows, cols);
            t.cols = t.cols.next_multiple_of(8);
            t
        };
        let add = VectorOp::Halves(Binary::Add);
        refusal(vec![tile(to), tile(from)], vector(add, 0, &[1]))
    };
    assert_eq!(halves((1, 64), (1, 128)), "fine");
    assert_eq!(halves((3, 40), (6, 40)), "fine");
    assert_eq!(halves((1, 40), (2, 40)), "fine");
    assert_eq!(
        halves((1, 12), (1, 24)),
        "count: the bytes of a half is 48, but has to be a multiple of 32"
    );
    assert_eq!(halves((2, 64), (2, 128)), "fine");
    assert_eq!(
        halves((2, 64), (3, 128)),
        "shape: `t` has 3 x 128 valid elements, but needs 2 x 128"
    );
    assert_eq!(
        halves((1, 64), (1, 256)),
        "shape: `t` has 1 x 256 valid elements, but needs 1 x 128"
    );
}

#[test]
fn only_loads_leave_rows_out() {
    let apart = |rows, step| GlobalRef {
        step,
        ..rect("x", Expr::default(), Expr::default(), rows, 32)
    };
    let load = |rows, step| {
        let load = Instr::Load {
            dst: TileRef::new(0),
            src: apart(rows, step),
        };
        refusal(vec![ub("t", DType::Bf16, rows, 32)], Stmt::Instr(load))
    };
    assert_eq!(load(4, 5), "fine");
    assert_eq!(
        load(4, 6),
        "count: the number of rows of `x` is 19, but has to be from 1 to 16"
    );
    assert_eq!(
        load(4, 0),
        "count: the step of `x` is 0, but has to be at least 1"
    );
    let store = Instr::Store {
        dst: apart(4, 2),
        src: TileRef::new(0),
    };
    assert_eq!(
        refusal(vec![ub("t", DType::Bf16, 4, 32)], Stmt::Instr(store)),
        "count: the step of a store is 2, but has to be 1"
    );
}

#[test]
fn sorting_has_its_shapes() {
    use DType::*;
    let row = |d, c| ub("t", d, 1, c);
    let sort = |n: usize, out: usize| {
        let tiles = vec![row(F32, out), row(F32, n), row(U32, n)];
        refusal(tiles, vector(VectorOp::Sort32, 0, &[1, 2]))
    };
    assert_eq!(sort(256, 512), "fine");
    assert_eq!(
        sort(256, 256),
        "shape: `t` has 1 x 256 valid elements, but needs 1 x 512"
    );
    assert_eq!(
        sort(48, 96),
        "count: the number of values is 48, but has to be a multiple of 32, so 64"
    );
    let merge = |run, cols, tmp| {
        let tiles = vec![row(F32, cols), row(F32, cols), row(F32, cols)];
        refusal(tiles, with_tmp(VectorOp::MergeSort { run }, 0, &[1], tmp))
    };
    assert_eq!(merge(32, 512, None), "fine");
    assert_eq!(merge(128, 512, Some(2)), "fine");
    assert_eq!(
        merge(128, 512, None),
        "form: the instruction has no scratch tile"
    );
    assert_eq!(merge(32, 192, None), "shape: 96 pairs are 3 runs of 32");
    assert_eq!(
        merge(16, 512, None),
        "count: the length of a run is 16, but has to be a multiple of 32 pairs, and not 0"
    );
    let gather = |data, index, n| {
        let tiles = vec![row(data, 8), row(data, 256), row(index, n)];
        refusal(tiles, vector(VectorOp::Gather, 0, &[1, 2]))
    };
    assert_eq!(gather(F32, I32, 8), "fine");
    assert_eq!(
        gather(F32, F32, 8),
        "types: tile `t` is f32, which the instruction does not take"
    );
    assert_eq!(
        gather(F32, I32, 16),
        "shape: `t` has 1 x 8 valid elements, but needs 1 x 16"
    );
    let indices = |n| {
        let tiles = vec![row(I32, n), row(F32, 512)];
        refusal(tiles, vector(VectorOp::PairIndices, 0, &[1]))
    };
    assert_eq!(indices(8), "fine");
    assert_eq!(
        indices(264),
        "count: the number of indices is 264, but has to be at most 256"
    );
}

#[test]
fn transfers_convert_nothing_and_fit() {
    let load = |t: Tile, rows, cols| {
        let src = rect("x", Expr::default(), Expr::default(), rows, cols);
        let load = Instr::Load {
            dst: TileRef::new(0),
            src,
        };
        refusal(vec![t], Stmt::Instr(load))
    };
    assert_eq!(
        load(ub("t", DType::F32, 8, 256), 8, 256),
        "types: `x` is bf16, but tile `t` is f32"
    );
    assert_eq!(
        load(ub("t", DType::Bf16, 8, 256), 8, 512),
        "shape: 8 x 512 elements do not fit in tile `t` of 8 x 256"
    );
    assert_eq!(
        load(ub("t", DType::Bf16, 8, 256), 17, 256),
        "count: the number of rows of `x` is 17, but has to be from 1 to 16"
    );
    assert_eq!(
        load(
            tile("t", Space::Ub, DType::Bf16, Layout::ColMajor, 16, 1),
            16,
            1
        ),
        "shape: a column of `x`, which has 4096 columns, is not contiguous"
    );
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

#[test]
fn capacity_names_need_limit_and_the_nearest_remedy() {
    let machine = Machine::builtin("A3").unwrap();
    let refusal = |tiles| {
        let e = check_capacity(&kernel("k", Unit::Vector, tiles, vec![]), &machine).unwrap_err();
        (e.to_string(), e.help().unwrap().to_string())
    };
    let mut double = ub("x", DType::F32, 8, 2048);
    double.slots = 3;
    assert_eq!(
        refusal(vec![double]),
        (
            "kernel `k`, largest tile `x` (196608 bytes in 3 slots): 196608 bytes of ub are needed, but A3 has 188416".into(),
            "save 8192 bytes: give `x` 2 slots instead of 3".into()
        )
    );
    assert_eq!(
        refusal(vec![ub("x", DType::F32, 8, 6144)]).1,
        "save 8192 bytes: make `x` 8 x 3072 instead of 8 x 6144"
    );
    let mut placed = ub("x", DType::F32, 8, 8);
    placed.addrs = vec![188320];
    assert_eq!(
        refusal(vec![placed.clone()]).0,
        "kernel `k`, largest tile `x` (256 bytes in 1 slots): 188576 bytes of ub are needed, but A3 has 188416"
    );
    placed.addrs = vec![48];
    assert_eq!(
        refusal(vec![placed]),
        (
            "kernel `k`, tile `x`: address 48 is no multiple of 32, which A3 needs in ub".into(),
            "place the tile at 64, the next multiple of 32".into()
        )
    );
}
