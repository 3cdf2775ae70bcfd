//! Short names for the parts of a kernel program.

use tilewright_backends::data::{Scalar, Tensor, Tensors};
use tilewright_backends::sim::{self, Fault, Options, Report, SimError};
use tilewright_ir::DType;
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::kernel::*;
use tilewright_ir::machine::Machine;

pub fn machine() -> Machine {
    Machine::builtin("a3").unwrap()
}

pub fn tile(
    name: &str,
    space: Space,
    dtype: DType,
    shape: (usize, usize),
    addrs: &[usize],
) -> Tile {
    Tile {
        name: name.into(),
        space,
        dtype,
        rows: shape.0,
        cols: shape.1,
        valid_rows: shape.0,
        valid_cols: shape.1,
        layout: match space {
            Space::Ub => Layout::RowMajor,
            Space::L1 => Layout::Nz,
            Space::L0a => Layout::Zz,
            Space::L0b => Layout::Right,
            Space::L0c => Layout::Acc,
        },
        slots: addrs.len(),
        addrs: addrs.to_vec(),
    }
}

pub fn ub(name: &str, dtype: DType, shape: (usize, usize), addrs: &[usize]) -> Tile {
    tile(name, Space::Ub, dtype, shape, addrs)
}

/// `[rows, 1]`, column-major.
pub fn column(name: &str, dtype: DType, rows: usize, addr: usize) -> Tile {
    Tile {
        layout: Layout::ColMajor,
        ..ub(name, dtype, (rows, 1), &[addr])
    }
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

pub fn t(tile: TileId) -> TileRef {
    TileRef::new(tile)
}

/// A tile's slot by the counter of a loop.
pub fn at(tile: TileId, id: LoopId) -> TileRef {
    TileRef {
        slot: Some(id),
        ..t(tile)
    }
}

pub fn rect(tensor: &str, row: Expr, col: Expr, shape: (usize, usize)) -> GlobalRef {
    GlobalRef {
        tensor: tensor.into(),
        row,
        col,
        rows: shape.0,
        cols: shape.1,
        peer: None,
        step: 1,
        view: None,
    }
}

pub fn zero() -> Expr {
    Expr::constant(0)
}

pub fn load(dst: TileRef, src: GlobalRef) -> Stmt {
    Stmt::Instr(Instr::Load { dst, src })
}

pub fn store(dst: GlobalRef, src: TileRef) -> Stmt {
    Stmt::Instr(Instr::Store { dst, src })
}

pub fn vector(op: VectorOp, dst: TileRef, srcs: &[TileRef]) -> Stmt {
    Stmt::Instr(Instr::Vector {
        op,
        dst,
        srcs: srcs.to_vec(),
        tmp: None,
    })
}

pub fn vector_tmp(op: VectorOp, dst: TileRef, srcs: &[TileRef], tmp: TileRef) -> Stmt {
    Stmt::Instr(Instr::Vector {
        op,
        dst,
        srcs: srcs.to_vec(),
        tmp: Some(tmp),
    })
}

pub fn set(src: Pipe, dst: Pipe, base: usize) -> Stmt {
    Stmt::Set {
        src,
        dst,
        event: Event { base, rotate: None },
    }
}

pub fn wait(src: Pipe, dst: Pipe, base: usize) -> Stmt {
    Stmt::Wait {
        src,
        dst,
        event: Event { base, rotate: None },
    }
}

/// A set and its wait.
pub fn sync(src: Pipe, dst: Pipe) -> [Stmt; 2] {
    [set(src, dst, 0), wait(src, dst, 0)]
}

pub fn kernel(name: &str, unit: Unit, blocks: usize, tiles: Vec<Tile>, body: Vec<Stmt>) -> Kernel {
    Kernel {
        name: name.into(),
        covers: vec![],
        unit,
        launch: Launch {
            kind: LaunchKind::Spmd,
            grid: vec![GridAxis {
                name: "n".into(),
                count: blocks,
            }],
        },
        params: Default::default(),
        pipeline: 1,
        loops: vec!["k".into()],
        tiles,
        registers: 1,
        arrays: vec![],
        after: vec![],
        expected: Default::default(),
        notes: vec![],
        body,
    }
}

pub fn program(tensors: &[(&str, GlobalTensor)], kernels: Vec<Kernel>) -> Program {
    Program {
        name: "test".into(),
        machine: "a3".into(),
        ranks: 1,
        tensors: tensors
            .iter()
            .map(|(n, t)| (n.to_string(), t.clone()))
            .collect(),
        scalars: Default::default(),
        kernels,
    }
}

pub fn f32s(shape: &[usize], value: impl Fn(usize) -> f32) -> Tensor {
    let values: Vec<f32> = (0..shape.iter().product()).map(value).collect();
    Tensor::from_f32(DType::F32, shape, &values).unwrap()
}

pub fn i32s(shape: &[usize], values: &[i64]) -> Tensor {
    Tensor::from_i64(DType::I32, shape, values).unwrap()
}

pub fn scalar(value: i64) -> Tensor {
    Tensor::scalar(DType::I32, Scalar::Int(value))
}

pub fn inputs(list: &[(&str, Tensor)]) -> Tensors {
    list.iter()
        .map(|(n, t)| (n.to_string(), t.clone()))
        .collect()
}

pub fn run(program: &Program, inputs: &Tensors) -> Result<Report, SimError> {
    sim::run(program, &machine(), inputs, &Options::default())
}

/// The outputs of a run that must succeed.
pub fn outputs(program: &Program, inputs: &Tensors) -> Tensors {
    match run(program, inputs) {
        Ok(report) => report.outputs,
        Err(error) => panic!("{error}"),
    }
}

/// The fault of a run that must fail, and its text.
pub fn fault(program: &Program, inputs: &Tensors) -> (Fault, String) {
    let error = run(program, inputs).expect_err("the program must be refused");
    let text = error.to_string();
    (*error.fault, text)
}
