//! Tiles, statements and the program that the tests change.

use indexmap::IndexMap;
use tilewright_ir::dtype::{DType, Round};
use tilewright_ir::graph::{Binary, LaunchKind, Reduce};
use tilewright_ir::kernel::{
    Cond, Event, Expr, GlobalRef, GlobalTensor, GridAxis, Instr, Kernel, KernelError, Launch,
    Layout, Pipe, Program, Role, Space, Stmt, Tile, TileRef, Unit, Var, VectorOp,
};
use tilewright_ir::machine::Machine;

pub fn a3() -> Machine {
    Machine::builtin("A3").unwrap()
}

/// Checks a program against the A3.
pub fn verify(program: &Program) -> Result<(), KernelError> {
    tilewright_ir::kernel::verify(program, &a3())
}

pub fn tensor(dtype: DType, shape: &[usize], role: Role) -> GlobalTensor {
    GlobalTensor {
        dtype,
        shape: shape.to_vec(),
        role,
        ragged: None,
        expected: vec![],
    }
}

pub fn tile(
    name: &str,
    space: Space,
    dtype: DType,
    layout: Layout,
    rows: usize,
    cols: usize,
) -> Tile {
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

pub fn ub(name: &str, dtype: DType, rows: usize, cols: usize) -> Tile {
    tile(name, Space::Ub, dtype, Layout::RowMajor, rows, cols)
}

pub fn column(name: &str, rows: usize) -> Tile {
    tile(name, Space::Ub, DType::F32, Layout::ColMajor, rows, 1)
}

pub fn t(tile: usize) -> TileRef {
    TileRef::new(tile)
}

pub fn vector(op: VectorOp, dst: usize, srcs: &[usize]) -> Stmt {
    with_tmp(op, dst, srcs, None)
}

pub fn with_tmp(op: VectorOp, dst: usize, srcs: &[usize], tmp: Option<usize>) -> Stmt {
    Stmt::Instr(Instr::Vector {
        op,
        dst: t(dst),
        srcs: srcs.iter().map(|s| t(*s)).collect(),
        tmp: tmp.map(t),
    })
}

pub fn rect(tensor: &str, row: Expr, col: Expr, rows: usize, cols: usize) -> GlobalRef {
    GlobalRef {
        tensor: tensor.into(),
        row,
        col,
        rows,
        cols,
        peer: None,
        step: 1,
        view: None,
    }
}

pub fn kernel(name: &str, unit: Unit, tiles: Vec<Tile>, body: Vec<Stmt>) -> Kernel {
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
        expected: IndexMap::new(),
        notes: vec![],
        body,
    }
}

/// The sum of the squares of 8 rows a block in chunks of 256 columns, and a product that uses it.
pub fn program() -> Program {
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
        kernels: vec![squares(), product()],
    }
}

fn squares() -> Kernel {
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
    first
}

fn product() -> Kernel {
    let cube = |name: &str, space, layout| tile(name, space, DType::Bf16, layout, 16, 16);
    kernel(
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
    )
}

/// The program with something wrong.
pub fn wrong(change: impl FnOnce(&mut Program)) -> Program {
    let mut p = program();
    change(&mut p);
    p
}
