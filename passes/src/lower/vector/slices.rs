//! Slices of columns, and what is computed slice by slice.
//!
//! Vector instructions start at whole blocks of 32 bytes, so a slice is not cut out of a tile: its operands are computed in the
//! slice's columns only, down to the loads, which may start anywhere.

use super::super::{LowerError, Stored, constant, not_executable};
use super::{Place, Vector, Window};
use crate::term::language::{Head, Term};
use egg::Id;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{Binary, Operator, Reduce, Unary};
use tilewright_ir::kernel::{GlobalRef, Instr, Stmt, TileId, TileRef, VectorOp};

impl Vector<'_> {
    /// Runs with only the columns of a window.
    pub(super) fn within<T>(&mut self, window: Window, f: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.window, window);
        let result = f(self);
        self.window = outer;
        result
    }

    /// The number that a term is, 0 too.
    pub(super) fn number(&self, id: Id) -> Option<usize> {
        match self.plan.expr[id] {
            Term::Num(n) => usize::try_from(n).ok(),
            _ => None,
        }
    }

    /// One column in all columns: ones, times the column.
    pub(super) fn repeat(
        &mut self,
        name: &str,
        column: Id,
        place: Place,
        (rows, cols, dtype): (usize, usize, DType),
    ) -> Result<TileRef, LowerError> {
        let column = self.within(None, |v| v.operand(column, place))?;
        if cols == 1 {
            return Ok(column);
        }
        let ones = self.tile(&format!("{name}_ones"), dtype, rows, cols);
        self.vector(place, VectorOp::Fill(1.0), ones, vec![], None);
        Ok(self.expand(name, place, Binary::Mul, TileRef::new(ones), column))
    }

    /// `a op column`, one element a row.
    fn expand(
        &mut self,
        name: &str,
        place: Place,
        op: Binary,
        a: TileRef,
        column: TileRef,
    ) -> TileRef {
        let like = &self.kernel.tiles[a.tile];
        let (rows, cols, dtype) = (like.valid_rows, like.valid_cols, like.dtype);
        let dst = self.tile(name, dtype, rows, cols);
        self.expand_into(place, op, dst, a, column);
        TileRef::new(dst)
    }

    fn expand_into(&mut self, place: Place, op: Binary, dst: TileId, a: TileRef, column: TileRef) {
        let op = VectorOp::RowExpand(op);
        let name = self.kernel.tiles[dst].name.clone();
        let tmp = self.scratch(&name, &op, dst);
        self.vector(place, op, dst, vec![a, column], tmp);
    }

    /// The tiles of a value that is computed slice by slice, each with its first column; `None` for other values.
    pub(super) fn pieces(
        &mut self,
        id: Id,
        place: Place,
    ) -> Result<Option<Vec<(usize, TileRef)>>, LowerError> {
        let Term::App(Head::Op(Operator::Sinkhorn), c) = &self.plan.expr[id] else {
            return Ok(None);
        };
        let bad = || not_executable(self.plan, id);
        let n = self.number(c[1]).ok_or_else(bad)?;
        let iterations = self.number(c[2]).ok_or_else(bad)?;
        let eps = constant(&self.plan.expr, c[3]).ok_or_else(bad)?;
        let name = self.label(id, "sinkhorn");
        let mut rows = vec![];
        for i in 0..n {
            let logits = self.within(Some((i * n, n)), |v| v.operand(c[0], place))?;
            rows.push(self.softmax(&format!("{name}_{i}"), place, logits, eps));
        }
        self.normalise_columns(&name, place, &rows, eps);
        if iterations > 1 {
            let inner = self.kernel.loops.len();
            self.kernel.loops.push("iteration".into());
            let before = std::mem::take(self.list(place));
            for (i, row) in rows.iter().enumerate() {
                let total = self.row_total(&format!("{name}_{i}_total"), place, row, eps);
                self.expand_into(place, Binary::Div, row.tile, row.clone(), total);
            }
            self.normalise_columns(&name, place, &rows, eps);
            let body = std::mem::replace(self.list(place), before);
            self.list(place).push(Stmt::Loop {
                id: inner,
                trips: iterations - 1,
                depth: 1,
                body,
            });
        }
        let placed = rows.into_iter().enumerate();
        Ok(Some(placed.map(|(i, tile)| (i * n, tile)).collect()))
    }

    /// The softmax of each row, plus `eps`.
    fn softmax(&mut self, name: &str, place: Place, x: TileRef, eps: f32) -> TileRef {
        let like = &self.kernel.tiles[x.tile];
        let ty = (like.valid_rows, like.valid_cols, like.dtype);
        let largest = self.tile(&format!("{name}_max"), ty.2, ty.0, 1);
        self.reduce(place, Reduce::Max, largest, x.clone());
        let largest = TileRef::new(largest);
        let shifted = self.expand(&format!("{name}_shifted"), place, Binary::Sub, x, largest);
        let exp = VectorOp::Unary(Unary::Exp);
        let exp = self.compute(&format!("{name}_exp"), place, exp, ty, vec![shifted]);
        let total = self.tile(&format!("{name}_sum"), ty.2, ty.0, 1);
        self.reduce(place, Reduce::Sum, total, exp.clone());
        let total = TileRef::new(total);
        let share = self.expand(&format!("{name}_softmax"), place, Binary::Div, exp, total);
        let add = VectorOp::Scalar(Binary::Add, eps);
        self.compute(name, place, add, ty, vec![share])
    }

    /// The sum of each row, plus `eps`.
    fn row_total(&mut self, name: &str, place: Place, x: &TileRef, eps: f32) -> TileRef {
        let like = &self.kernel.tiles[x.tile];
        let (rows, dtype) = (like.valid_rows, like.dtype);
        let sum = self.tile(&format!("{name}_sum"), dtype, rows, 1);
        self.reduce(place, Reduce::Sum, sum, x.clone());
        let add = VectorOp::Scalar(Binary::Add, eps);
        self.compute(name, place, add, (rows, 1, dtype), vec![TileRef::new(sum)])
    }

    /// Divides every matrix's columns by their sums plus `eps`; tile i holds row i of all matrices.
    fn normalise_columns(&mut self, name: &str, place: Place, rows: &[TileRef], eps: f32) {
        let Some(first) = rows.first() else { return };
        let like = &self.kernel.tiles[first.tile];
        let ty = (like.valid_rows, like.valid_cols, like.dtype);
        let add = VectorOp::Binary(Binary::Add);
        let mut total = first.clone();
        for row in &rows[1..] {
            let name = format!("{name}_columns");
            total = self.compute(&name, place, add, ty, vec![total, row.clone()]);
        }
        let op = VectorOp::Scalar(Binary::Add, eps);
        let total = self.compute(&format!("{name}_divisor"), place, op, ty, vec![total]);
        for row in rows {
            let operands = vec![row.clone(), total.clone()];
            self.vector(
                place,
                VectorOp::Binary(Binary::Div),
                row.tile,
                operands,
                None,
            );
        }
    }

    /// Stores tiles beside each other.
    pub(super) fn store_pieces(&mut self, s: &Stored, place: Place, pieces: Vec<(usize, TileRef)>) {
        for (first, src) in pieces {
            let tile = &self.kernel.tiles[src.tile];
            let mut col = self.column(place, s.cols, s.cols);
            col.base += (s.column + first) as i64;
            let dst = GlobalRef {
                tensor: s.tensor.into(),
                row: self.row.clone(),
                col,
                rows: s.trip_rows,
                cols: tile.valid_cols,
                peer: None,
                step: 1,
                view: None,
            };
            self.emit(place, Instr::Store { dst, src });
        }
    }
}
