//! Loops, conditions, registers and places of a kernel.

use super::Lower;
use crate::lower::ub_tile;
use tilewright_ir::dtype::DType;
use tilewright_ir::kernel::{
    ArrayId, Cond, Expr, GlobalRef, Instr, IntOp, LoopId, RegId, ScalarArray, Stmt, TileId,
    TileRef, Var, VectorOp,
};
use tilewright_ir::op::exchange::Id;

/// A loop of the program around the statement.
pub(super) struct Around {
    pub variable: Id,
    /// Of the kernel; `None` for one trip a block.
    pub id: Option<LoopId>,
    /// The trip, counted over all blocks from 0.
    pub index: Expr,
    /// The trip, counted over those of the block.
    pub own: Expr,
    /// Of all blocks.
    pub trips: usize,
    /// Whether each block does what it finds here for itself.
    pub alone: bool,
}

impl Lower<'_> {
    pub(super) fn emit(&mut self, instr: Instr) {
        self.body.push(Stmt::Instr(instr));
    }

    pub(super) fn nested(&mut self, f: impl FnOnce(&mut Self)) -> Vec<Stmt> {
        let outer = std::mem::take(&mut self.body);
        f(self);
        std::mem::replace(&mut self.body, outer)
    }

    pub(super) fn when(&mut self, cond: Cond, f: impl FnOnce(&mut Self)) {
        self.branch(cond, f, |_| {});
    }

    /// A condition, if anything depends on it.
    pub(super) fn branch(
        &mut self,
        cond: Cond,
        then: impl FnOnce(&mut Self),
        otherwise: impl FnOnce(&mut Self),
    ) {
        let then = self.nested(then);
        let otherwise = self.nested(otherwise);
        if then.is_empty() && otherwise.is_empty() {
            return;
        }
        self.body.push(Stmt::If {
            cond,
            then,
            otherwise,
        });
    }

    pub(super) fn first_block(&mut self, f: impl FnOnce(&mut Self)) {
        if self.blocks == 1 || self.within_shared() {
            return f(self);
        }
        self.around.push(Around {
            variable: usize::MAX,
            id: None,
            index: Expr::default(),
            own: Expr::default(),
            trips: 1,
            alone: true,
        });
        self.when(Cond::Zero(Expr::var(Var::Grid(0), 1)), f);
        self.around.pop();
    }

    /// A loop, or its body where there is one trip.
    pub(super) fn each(
        &mut self,
        name: &str,
        trips: usize,
        depth: usize,
        f: impl FnOnce(&mut Self, Expr, Option<LoopId>),
    ) {
        if trips == 1 {
            return f(self, Expr::default(), None);
        }
        self.kernel.loops.push(name.into());
        let id = self.kernel.loops.len() - 1;
        let body = self.nested(|l| f(l, Expr::var(Var::Loop(id), 1), Some(id)));
        if body.is_empty() {
            return;
        }
        self.kernel.pipeline = self.kernel.pipeline.max(depth);
        self.body.push(Stmt::Loop {
            id,
            trips,
            depth,
            body,
        });
    }

    pub(super) fn register(&mut self) -> RegId {
        self.kernel.registers += 1;
        self.kernel.registers - 1
    }

    pub(super) fn set(&mut self, dst: RegId, value: Expr) {
        self.emit(Instr::SetReg { dst, value });
    }

    pub(super) fn compute(&mut self, op: IntOp, lhs: Expr, rhs: Expr) -> Expr {
        let dst = self.register();
        self.emit(Instr::Compute { dst, op, lhs, rhs });
        Expr::var(Var::Reg(dst), 1)
    }

    /// A value in a register of its own.
    pub(super) fn kept(&mut self, value: Expr) -> Expr {
        let register = self.register();
        self.set(register, value);
        Expr::var(Var::Reg(register), 1)
    }

    pub(super) fn array(&mut self, name: &str, len: usize) -> ArrayId {
        let names = self.kernel.arrays.iter().map(|a| a.name.as_str());
        let name = free(name, names.collect());
        self.kernel.arrays.push(ScalarArray { name, len });
        self.kernel.arrays.len() - 1
    }

    pub(super) fn vector(&mut self, op: VectorOp, dst: TileRef, srcs: Vec<TileRef>) {
        self.emit(Instr::Vector {
            op,
            dst,
            srcs,
            tmp: None,
        });
    }

    pub(super) fn new_tile(
        &mut self,
        name: &str,
        dtype: DType,
        (rows, cols): (usize, usize),
        slots: usize,
    ) -> TileId {
        let names = self.kernel.tiles.iter().map(|t| t.name.as_str());
        let name = free(name, names.collect());
        let mut tile = ub_tile(&self.machine.geometry, name, dtype, rows, cols);
        tile.slots = slots;
        self.kernel.tiles.push(tile);
        self.kernel.tiles.len() - 1
    }

    /// A tile of the program: of the loop that declares it, the trip's slot.
    pub(super) fn tile_of(&mut self, tile: Id) -> TileRef {
        let t = &self.program.tiles[tile];
        let home = self.around.iter().find(|a| Some(a.variable) == t.home);
        let slot = home.and_then(|a| a.id);
        let id = match self.tiles.get(&tile) {
            Some(id) => *id,
            None => {
                let slots = if slot.is_some() { 2 } else { 1 };
                let id = self.new_tile(&t.name, t.dtype, (t.rows, t.cols), slots);
                self.tiles.insert(tile, id);
                id
            }
        };
        TileRef {
            tile: id,
            slot,
            rows: None,
        }
    }

    pub(super) fn counter(&self, counter: Id, index: Expr) -> GlobalRef {
        rows(&self.exchange.counters[counter], index, 1, 1)
    }
}

/// The name, or with a number where it is taken.
fn free(name: &str, taken: Vec<&str>) -> String {
    let numbered = (2..).map(|n| format!("{name}_{n}"));
    let mut names = std::iter::once(name.to_string()).chain(numbered);
    let free = names.find(|n| !taken.contains(&n.as_str()));
    free.unwrap_or_default()
}

pub(super) fn rows(tensor: &str, row: Expr, rows: usize, cols: usize) -> GlobalRef {
    GlobalRef {
        tensor: tensor.into(),
        row,
        col: Expr::default(),
        rows,
        cols,
        peer: None,
        step: 1,
        view: None,
    }
}

pub(super) fn add(a: &Expr, b: &Expr) -> Expr {
    let sum = a.clone().plus_constant(b.base);
    b.terms.iter().fold(sum, |e, (v, k)| e.plus(*v, *k))
}

pub(super) fn minus(a: &Expr, b: &Expr) -> Expr {
    a.clone().minus(b)
}

pub(super) fn scaled(e: &Expr, by: i64) -> Expr {
    if by == 0 {
        return Expr::default();
    }
    Expr {
        base: e.base * by,
        terms: e.terms.iter().map(|(v, k)| (*v, k * by)).collect(),
    }
}
