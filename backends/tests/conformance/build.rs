//! Kernels that run one case after the other, each pipe waiting for the one before.

use tilewright_backends::data::{Tensor, Tensors};
use tilewright_ir::DType;
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::kernel::{
    Dim, Event, Expr, GlobalRef, GlobalTensor, GridAxis, Instr, Kernel, Launch, Layout, Pipe,
    Program, Role, ScalarArray, Space, Stmt, Tile, TileId, TileRef, Unit, Var, VectorOp,
    scratch_needed,
};

/// Rows of a run-time count.
pub const COUNT: usize = 2;

/// A case on its way: tiles, inputs and instructions of its own.
#[derive(Default, Clone)]
pub struct Draft {
    pub name: String,
    pub tiles: Vec<Tile>,
    pub inputs: Tensors,
    pub instrs: Vec<Instr>,
    /// Elements of its array of the scalar unit; 0 is none.
    pub array: usize,
    next: [usize; 5],
}

impl Draft {
    pub fn new(name: String) -> Self {
        Draft {
            name,
            ..Draft::default()
        }
    }

    /// A tile that shares its bytes with none of the case.
    pub fn tile(
        &mut self,
        (space, layout): (Space, Layout),
        dtype: DType,
        (rows, cols): (usize, usize),
        (valid_rows, valid_cols): (usize, usize),
    ) -> TileId {
        let next = &mut self.next[space as usize];
        let tile = Tile {
            name: format!("t{}", self.tiles.len()),
            space,
            dtype,
            rows,
            cols,
            valid_rows,
            valid_cols,
            layout,
            slots: 1,
            addrs: vec![*next],
        };
        *next = (*next + tile.bytes()).next_multiple_of(512);
        self.tiles.push(tile);
        self.tiles.len() - 1
    }

    pub fn scratch(&mut self, op: &VectorOp, dst: TileId, srcs: &[TileId]) -> Option<TileId> {
        let all: Vec<&Tile> = srcs.iter().map(|t| &self.tiles[*t]).collect();
        let s = scratch_needed(&crate::machine().geometry, op, &self.tiles[dst], &all)?;
        let at = (Space::Ub, Layout::RowMajor);
        Some(self.tile(at, s.dtype, (s.rows, s.cols), (s.rows, s.cols)))
    }

    /// Loads a tensor, which is as large as the valid part, and returns its name.
    pub fn load(&mut self, tile: TileId, name: &str, tensor: Tensor) {
        let (rows, cols) = tensor.matrix();
        self.inputs.insert(name.into(), tensor);
        self.instrs.push(Instr::Load {
            dst: TileRef::new(tile),
            src: rect(name, rows, cols),
        });
    }

    pub fn vector(
        &mut self,
        op: VectorOp,
        dst: TileId,
        srcs: &[TileId],
        tmp: Option<TileId>,
        rows: bool,
    ) {
        let count = rows.then(|| Expr::var(Var::Scalar(0), 1));
        let counted = |t: TileId| TileRef {
            rows: count.clone(),
            ..TileRef::new(t)
        };
        // The row of a column broadcast has no rows to count.
        let operands = op.row().operands;
        let whole = |i: usize| operands[i + 1].shape[0] == Dim::One;
        let srcs = srcs.iter().enumerate().map(|(i, t)| match whole(i) {
            true => TileRef::new(*t),
            false => counted(*t),
        });
        self.instrs.push(Instr::Vector {
            op,
            dst: counted(dst),
            srcs: srcs.collect(),
            tmp: tmp.map(TileRef::new),
        });
    }

    /// Stores the valid part of a tile as the case's output.
    pub fn store(&mut self, tile: TileId) {
        let t = &self.tiles[tile];
        let (rows, cols) = match t.layout {
            // As one row.
            Layout::ColMajor => (1, t.valid_rows),
            _ => (t.valid_rows, t.valid_cols),
        };
        self.instrs.push(Instr::Store {
            dst: rect(&self.name, rows, cols),
            src: TileRef::new(tile),
        });
    }
}

pub fn rect(tensor: &str, rows: usize, cols: usize) -> GlobalRef {
    GlobalRef {
        tensor: tensor.into(),
        row: Expr::default(),
        col: Expr::default(),
        rows,
        cols,
        peer: None,
        step: 1,
        view: None,
    }
}

/// The cases as kernels of at most `most` each.
pub fn program(drafts: &[&Draft], most: usize) -> (Program, Tensors) {
    let mut program = Program {
        name: "conformance".into(),
        machine: "a3".into(),
        ranks: 1,
        tensors: Default::default(),
        scalars: [("count".to_string(), COUNT as i64)].into(),
        kernels: vec![],
    };
    let mut inputs = Tensors::new();
    let count = tilewright_backends::data::Scalar::Int(COUNT as i64);
    inputs.insert("count".into(), Tensor::scalar(DType::I32, count));
    let unit = |d: &Draft| match d.tiles.iter().any(|t| t.space != Space::Ub) {
        true => Unit::Cube,
        false => Unit::Vector,
    };
    for kind in [Unit::Vector, Unit::Cube] {
        let of: Vec<&&Draft> = drafts.iter().filter(|d| unit(d) == kind).collect();
        for chunk in of.chunks(most) {
            let number = program.kernels.len();
            let mut kernel = Kernel {
                name: format!("cases_{number}"),
                covers: vec![],
                unit: kind,
                launch: Launch {
                    kind: LaunchKind::Spmd,
                    grid: vec![GridAxis {
                        name: "n".into(),
                        count: 1,
                    }],
                },
                params: Default::default(),
                pipeline: 1,
                loops: vec![],
                tiles: vec![],
                registers: 0,
                arrays: vec![],
                after: vec![],
                expected: Default::default(),
                notes: vec![],
                body: vec![],
            };
            for draft in chunk {
                add(&mut program, &mut inputs, &mut kernel, draft);
            }
            program.kernels.push(kernel);
        }
    }
    (program, inputs)
}

fn add(program: &mut Program, inputs: &mut Tensors, kernel: &mut Kernel, draft: &Draft) {
    let first = kernel.tiles.len();
    for (i, t) in draft.tiles.iter().enumerate() {
        kernel.tiles.push(Tile {
            name: format!("t{}", first + i),
            ..t.clone()
        });
    }
    for (name, tensor) in &draft.inputs {
        let known = inputs.insert(name.clone(), tensor.clone());
        assert!(known.is_none_or(|k| k == *tensor), "{name} has two values");
        let entry = GlobalTensor {
            dtype: tensor.dtype,
            shape: tensor.shape.clone(),
            role: Role::Input,
            ragged: None,
            expected: vec![],
        };
        program.tensors.insert(name.clone(), entry);
    }
    let mut last: Option<Pipe> = None;
    for instr in &draft.instrs {
        let mut instr = instr.clone();
        shift(&mut instr, first, kernel);
        let output = match &instr {
            Instr::Store { dst, src } => Some((dst, kernel.tiles[src.tile].dtype, dst.cols)),
            // One element after the other.
            Instr::WriteScalar { dst, .. } => Some((dst, DType::I32, dst.col.base as usize + 1)),
            Instr::WriteArray { dst, .. } => Some((dst, DType::I32, dst.cols)),
            _ => None,
        };
        if let Some((dst, dtype, cols)) = output {
            let entry = GlobalTensor {
                dtype,
                shape: vec![dst.rows, cols],
                role: Role::Output,
                ragged: None,
                expected: vec![],
            };
            program.tensors.insert(dst.tensor.clone(), entry);
        }
        let pipe = kernel.pipe(&instr);
        if let Some(last) = last {
            sync(&mut kernel.body, last, pipe, 0);
        }
        last = Some(pipe);
        kernel.body.push(Stmt::Instr(instr));
    }
    let registers = draft.instrs.iter().filter_map(Instr::register);
    kernel.registers += registers.max().map_or(0, |r| r + 1);
    if draft.array > 0 {
        kernel.arrays.push(ScalarArray {
            name: format!("a{}", kernel.arrays.len()),
            len: draft.array,
        });
    }
    // The next case writes the same bytes and sets the same flags, so every pipe waits for all of this one.
    let ring: &[(Pipe, Pipe)] = match kernel.unit {
        Unit::Vector | Unit::Mixed => &[
            (Pipe::V, Pipe::S),
            (Pipe::S, Pipe::Mte2),
            (Pipe::Mte2, Pipe::V),
        ],
        Unit::Cube => &[],
    };
    if let Some(last) = last {
        let first = ring.first().map_or(Pipe::Mte2, |(src, _)| *src);
        sync(&mut kernel.body, last, first, 1);
    }
    for (src, dst) in ring {
        sync(&mut kernel.body, *src, *dst, 1);
    }
}

fn sync(body: &mut Vec<Stmt>, src: Pipe, dst: Pipe, base: usize) {
    if src == dst {
        if src != Pipe::S {
            body.push(Stmt::Barrier(src));
        }
        return;
    }
    let event = Event { base, rotate: None };
    body.push(Stmt::Set { src, dst, event });
    body.push(Stmt::Wait { src, dst, event });
}

/// Tiles, registers and arrays of a case come after those of the kernel.
fn shift(instr: &mut Instr, tiles: usize, kernel: &Kernel) {
    let (registers, arrays) = (kernel.registers, kernel.arrays.len());
    let tile = |r: &mut TileRef| r.tile += tiles;
    let expr = |e: &mut Expr| {
        for (v, _) in &mut e.terms {
            if let Var::Reg(r) = v {
                *r += registers;
            }
        }
    };
    match instr {
        Instr::Load { dst, src } => {
            tile(dst);
            expr(&mut src.row);
        }
        Instr::Store { src, .. } => tile(src),
        Instr::Move { dst, src, .. } => [dst, src].into_iter().for_each(tile),
        Instr::Matmul { dst, lhs, rhs, .. } => [dst, lhs, rhs].into_iter().for_each(tile),
        Instr::Vector { dst, srcs, tmp, .. } => {
            tile(dst);
            srcs.iter_mut().chain(tmp).for_each(tile);
        }
        Instr::ReadScalar { dst, .. } => *dst += registers,
        Instr::WriteScalar { value, .. } => expr(value),
        Instr::ReadArray { array, .. } | Instr::WriteArray { array, .. } => *array += arrays,
        Instr::SetReg { dst, value } => {
            *dst += registers;
            expr(value);
        }
        Instr::Compute { dst, lhs, rhs, .. } => {
            *dst += registers;
            [lhs, rhs].into_iter().for_each(expr);
        }
        Instr::ArrayGet { dst, array, index } => {
            *dst += registers;
            *array += arrays;
            expr(index);
        }
        Instr::ArraySet {
            array,
            index,
            value,
        } => {
            *array += arrays;
            [index, value].into_iter().for_each(expr);
        }
        // No case has them: see `moves::kind`.
        Instr::Notify { .. } | Instr::WaitCounter { .. } => {}
    }
}
