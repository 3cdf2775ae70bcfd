//! What programs are made of.

use indexmap::IndexMap;
use tilewright_ir::DType;
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::kernel::{
    Event, Expr, GlobalRef, GlobalTensor, GridAxis, Instr, Kernel, Launch, Layout, Pipe, Program,
    Role, Space, Stmt, Tile, TileId, TileRef, Unit, Var, VectorOp,
};

pub fn program(
    name: &str,
    tensors: &[(&str, DType, &[usize], Role)],
    scalars: &[(&str, i64)],
    kernels: Vec<Kernel>,
) -> Program {
    let tensor = |(name, dtype, shape, role): &(&str, DType, &[usize], Role)| {
        let tensor = GlobalTensor {
            dtype: *dtype,
            shape: shape.to_vec(),
            role: *role,
            ragged: None,
            expected: vec![],
        };
        (name.to_string(), tensor)
    };
    Program {
        name: name.into(),
        machine: "A3".into(),
        ranks: 1,
        tensors: tensors.iter().map(tensor).collect(),
        scalars: scalars.iter().map(|(n, v)| (n.to_string(), *v)).collect(),
        kernels,
    }
}

/// A kernel without tiles and statements.
pub fn kernel(
    name: &str,
    unit: Unit,
    grid: &[(&str, usize)],
    params: &[(&str, usize)],
    loops: &[&str],
) -> Kernel {
    Kernel {
        name: name.into(),
        covers: vec![name.into()],
        unit,
        launch: Launch {
            kind: LaunchKind::Spmd,
            grid: grid
                .iter()
                .map(|(name, count)| GridAxis {
                    name: name.to_string(),
                    count: *count,
                })
                .collect(),
        },
        params: params
            .iter()
            .map(|(n, v)| (n.to_string(), *v))
            .collect::<IndexMap<_, _>>(),
        pipeline: 1,
        loops: loops.iter().map(|l| l.to_string()).collect(),
        tiles: vec![],
        registers: 0,
        arrays: vec![],
        after: vec![],
        expected: Default::default(),
        notes: vec![],
        body: vec![],
    }
}

/// Adds tiles one after the other.
pub struct Place<'k> {
    kernel: &'k mut Kernel,
    next: [usize; 5],
}

impl<'k> Place<'k> {
    pub fn new(kernel: &'k mut Kernel) -> Self {
        Place {
            kernel,
            next: [0; 5],
        }
    }

    /// A tile of which only the first rows and columns hold something.
    pub fn part(
        &mut self,
        name: &str,
        (space, layout): (Space, Layout),
        dtype: DType,
        [(rows, cols), (valid_rows, valid_cols)]: [(usize, usize); 2],
        slots: usize,
    ) -> TileId {
        let mut tile = Tile {
            name: name.into(),
            space,
            dtype,
            rows,
            cols,
            valid_rows,
            valid_cols,
            layout,
            slots,
            addrs: vec![],
        };
        let next = &mut self.next[space as usize];
        for _ in 0..slots {
            tile.addrs.push(*next);
            *next = (*next + tile.bytes()).next_multiple_of(512);
        }
        self.kernel.tiles.push(tile);
        self.kernel.tiles.len() - 1
    }

    pub fn ub(
        &mut self,
        name: &str,
        dtype: DType,
        rows: usize,
        cols: usize,
        slots: usize,
    ) -> TileId {
        let at = (Space::Ub, Layout::RowMajor);
        self.part(name, at, dtype, [(rows, cols); 2], slots)
    }

    /// One value a row.
    pub fn column(&mut self, name: &str, rows: usize) -> TileId {
        let at = (Space::Ub, Layout::ColMajor);
        let high = rows.next_multiple_of(8);
        self.part(name, at, DType::F32, [(high, 1), (rows, 1)], 1)
    }
}

pub fn all_of(tile: TileId) -> TileRef {
    TileRef::new(tile)
}

pub fn slot(tile: TileId, of: usize) -> TileRef {
    TileRef {
        slot: Some(of),
        ..TileRef::new(tile)
    }
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

pub fn zero() -> Expr {
    Expr::default()
}

pub fn grid(axis: usize, step: i64) -> Expr {
    Expr::var(Var::Grid(axis), step)
}

pub fn trip(of: usize, step: i64) -> Expr {
    Expr::var(Var::Loop(of), step)
}

pub fn load(dst: TileRef, src: GlobalRef) -> Stmt {
    Stmt::Instr(Instr::Load { dst, src })
}

pub fn store(dst: GlobalRef, src: TileRef) -> Stmt {
    Stmt::Instr(Instr::Store { dst, src })
}

pub fn vector(op: VectorOp, dst: TileRef, srcs: &[TileRef], tmp: Option<TileId>) -> Stmt {
    Stmt::Instr(Instr::Vector {
        op,
        dst,
        srcs: srcs.to_vec(),
        tmp: tmp.map(TileRef::new),
    })
}

/// A vector instruction after which its result can be read.
pub fn v(op: VectorOp, dst: TileId, srcs: &[TileId]) -> Vec<Stmt> {
    vt(op, dst, srcs, None)
}

pub fn vt(op: VectorOp, dst: TileId, srcs: &[TileId], tmp: Option<TileId>) -> Vec<Stmt> {
    let srcs: Vec<TileRef> = srcs.iter().map(|t| all_of(*t)).collect();
    vec![vector(op, all_of(dst), &srcs, tmp), Stmt::Barrier(Pipe::V)]
}

pub fn fixed(base: usize) -> Event {
    Event { base, rotate: None }
}

pub fn turn(base: usize, of: usize) -> Event {
    Event {
        base,
        rotate: Some((of, 2)),
    }
}

pub fn set(src: Pipe, dst: Pipe, event: Event) -> Stmt {
    Stmt::Set { src, dst, event }
}

pub fn wait(src: Pipe, dst: Pipe, event: Event) -> Stmt {
    Stmt::Wait { src, dst, event }
}

/// `dst` goes on when `src` has done what is before.
pub fn sync(src: Pipe, dst: Pipe, event: Event) -> Vec<Stmt> {
    vec![set(src, dst, event), wait(src, dst, event)]
}
