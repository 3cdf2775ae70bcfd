//! The tile of a term at a place: loads, and one instruction or a few for each operator.

use super::super::{COLS, LowerError, argument, constant, not_executable, num, tensor_name};
use super::{Place, Vector};
use crate::term::language::{Head, Term};
use egg::Id;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::Binary;
use tilewright_ir::kernel::{Cond, Expr, GlobalRef, Instr, Stmt, TileRef, Var, VectorOp};

impl Vector<'_> {
    /// The tile of a term at a place, computed there if it is not yet.
    pub fn operand(&mut self, id: Id, place: Place) -> Result<TileRef, LowerError> {
        let bad = || not_executable(self.plan, id);
        let plan = self.plan;
        let Term::App(head, c) = &plan.expr[id] else {
            return Err(bad());
        };
        let (rows, cols, dtype) = self.types[usize::from(id)].ok_or_else(bad)?;
        // One value a row does not depend on the chunk.
        let place = match cols {
            1 => Place::Block { fanned: false },
            _ => place,
        };
        let window = match head {
            // The same whatever the columns.
            Head::Fold(_) | Head::RepeatCols => None,
            _ => self.window,
        };
        if let Some(tile) = self.memo.get(&(id, place, window)) {
            return Ok(tile.clone());
        }
        let whole_row = matches!(
            head,
            Head::PadCols | Head::TopK | Head::GatherCols | Head::GatherRows
        );
        if window.is_some() && whole_row {
            return Err(bad());
        }
        let name = self.label(id, &op_name(*head));
        let ty = (rows, cols, dtype);
        let one = |k: &mut Self, op, src| k.compute(&name, place, op, ty, vec![src]);
        let tile = match head {
            Head::Load => {
                let name = tensor_name(&plan.expr, c[2]).ok_or_else(bad)?;
                self.load(name, rows, cols, dtype, place)
            }
            Head::Cast(_, round) => {
                let a = self.operand(c[0], place)?;
                one(self, VectorOp::Cvt(*round), a)
            }
            Head::Unary(u) => {
                let a = self.operand(c[0], place)?;
                one(self, VectorOp::Unary(*u), a)
            }
            Head::Scalar(b) => {
                let k = constant(&plan.expr, c[1]).ok_or_else(bad)?;
                let a = self.operand(c[0], place)?;
                one(self, VectorOp::Scalar(*b, k), a)
            }
            Head::ScalarLeft(b) => {
                // The vector unit takes a constant on the right only: fill a tile with it.
                let k = constant(&plan.expr, c[1]).ok_or_else(bad)?;
                let a = self.operand(c[0], place)?;
                let left = self.tile(&format!("{name}_const"), dtype, rows, cols);
                self.vector(place, VectorOp::Fill(k), left, vec![], None);
                let operands = vec![TileRef::new(left), a];
                self.compute(&name, place, VectorOp::Binary(*b), ty, operands)
            }
            Head::Binary(b) => {
                let a = self.operand(c[0], place)?;
                let s = self.operand(c[1], place)?;
                self.compute(&name, place, VectorOp::Binary(*b), ty, vec![a, s])
            }
            Head::RowBinary(b) => {
                let a = self.operand(c[0], place)?;
                // One value a row has no columns to choose from.
                let s = self.within(None, |v| v.operand(c[1], place))?;
                // An [R, 1] matrix and its row operand are of one shape.
                if cols == 1 {
                    self.compute(&name, place, VectorOp::Binary(*b), ty, vec![a, s])
                } else {
                    let dst = self.tile(&name, dtype, rows, cols);
                    let tmp = format!("{name}_tmp");
                    let tmp = self.tile(&tmp, dtype, rows.next_multiple_of(8), 8);
                    self.vector(place, VectorOp::RowExpand(*b), dst, vec![a, s], Some(tmp));
                    TileRef::new(dst)
                }
            }
            Head::ColBinary(b) => {
                let a = self.operand(c[0], place)?;
                let w = self.operand(c[1], place)?;
                let op = match rows {
                    1 => VectorOp::Binary(*b),
                    _ => VectorOp::ColExpand(*b),
                };
                self.compute(&name, place, op, ty, vec![a, w])
            }
            Head::GroupColBinary(b) => {
                let a = self.operand(c[1], place)?;
                let row = std::mem::replace(&mut self.row, self.group.clone());
                let w = self.operand(c[2], place);
                self.row = row;
                let op = match rows {
                    1 => VectorOp::Binary(*b),
                    _ => VectorOp::ColExpand(*b),
                };
                self.compute(&name, place, op, ty, vec![a, w?])
            }
            Head::SliceCols => {
                let from = self.number(c[1]).ok_or_else(bad)?;
                let to = self.number(c[2]).ok_or_else(bad)?;
                let window = match self.window {
                    None => (from, to.saturating_sub(from)),
                    Some((first, count)) => (from + first, count),
                };
                self.within(Some(window), |v| v.operand(c[0], place))?
            }
            Head::RepeatCols => self.repeat(&name, c[0], place, ty)?,
            Head::PadCols => {
                let k = constant(&plan.expr, c[2]).ok_or_else(bad)?;
                let a = self.operand(c[0], place)?;
                let dst = self.tile(&name, dtype, rows, cols);
                self.vector(place, VectorOp::Fill(k), dst, vec![], None);
                self.vector(place, VectorOp::Copy, dst, vec![a], None);
                TileRef::new(dst)
            }
            Head::Halve(reduce) => {
                let times = num(&plan.expr, c[0]).ok_or_else(bad)?;
                let mut src = self.operand(c[1], place)?;
                for left in (0..times).rev() {
                    let op = VectorOp::Halves(reduce.combine());
                    src = self.compute(&name, place, op, (rows, cols << left, dtype), vec![src]);
                }
                src
            }
            Head::AddParts => self.add_parts(&name, c[0], c[1], place)?,
            Head::MaskRows => self.mask(&name, c[0], c[1], place, ty)?,
            Head::TopK => {
                let src = self.operand(c[0], place)?;
                self.top_k(&name, src, cols)?
            }
            Head::GatherCols => {
                let src = self.operand(c[0], place)?;
                let index = self.operand(c[1], place)?;
                let dst = self.tile(&name, dtype, rows, cols);
                let tmp = self.tile(&format!("{name}_tmp"), DType::I32, rows, cols);
                self.vector(place, VectorOp::Gather, dst, vec![src, index], Some(tmp));
                TileRef::new(dst)
            }
            Head::GatherRows => self.gather_rows(c[0], c[1], place, ty)?,
            _ => return Err(bad()),
        };
        self.memo.insert((id, place, window), tile.clone());
        Ok(tile)
    }

    /// The sum of the parts that lie over each other in global memory. A block of one row loads that row of many parts at once, and
    /// adds halves of them to each other; the row of one part after the other is added otherwise.
    fn add_parts(
        &mut self,
        label: &str,
        parts: Id,
        load: Id,
        place: Place,
    ) -> Result<TileRef, LowerError> {
        let bad = || not_executable(self.plan, load);
        let parts = num(&self.plan.expr, parts).ok_or_else(bad)?;
        let Term::App(Head::Load, c) = &self.plan.expr[load] else {
            return Err(bad());
        };
        let name = tensor_name(&self.plan.expr, c[2]).ok_or_else(bad)?;
        let (rows, cols, dtype) = self.types[usize::from(load)].ok_or_else(bad)?;
        let height = self.tensors[name].matrix().0 / parts;
        let row = self.row.clone();
        let halvings = match (rows, cols) {
            (1, 2..) => parts.trailing_zeros(),
            _ => 0,
        };
        let together = 1 << halvings;
        let mut loads = vec![];
        for part in (0..parts).step_by(together) {
            self.row.base = row.base + (part * height) as i64;
            let mut sum = self.load_rows(
                name,
                (together * rows, if together > 1 { height } else { 1 }),
                cols,
                dtype,
                place,
            );
            for left in (0..halvings).rev() {
                let halves = VectorOp::Halves(Binary::Add);
                sum = self.compute(label, place, halves, (1 << left, cols, dtype), vec![sum]);
            }
            loads.push(sum);
        }
        self.row = row;
        let mut loads = loads.into_iter();
        let mut sum = loads.next().ok_or_else(bad)?;
        for part in loads {
            let add = VectorOp::Binary(Binary::Add);
            sum = self.compute(label, place, add, (rows, cols, dtype), vec![sum, part]);
        }
        Ok(sum)
    }

    /// Zeroes, and the first rows over them.
    fn mask(
        &mut self,
        label: &str,
        value: Id,
        count: Id,
        place: Place,
        (rows, cols, dtype): (usize, usize, DType),
    ) -> Result<TileRef, LowerError> {
        let src = self.operand(value, place)?;
        let count = tensor_name(&self.plan.expr, count)
            .and_then(|n| argument(self.scalars, n))
            .ok_or_else(|| not_executable(self.plan, count))?;
        let dst = self.tile(label, dtype, rows, cols);
        self.vector(place, VectorOp::Fill(0.0), dst, vec![], None);
        let valid = count.minus(&self.row);
        let with_rows = |tile: TileRef| TileRef {
            rows: Some(valid.clone()),
            ..tile
        };
        let copy = Stmt::Instr(Instr::Vector {
            op: VectorOp::Copy,
            dst: with_rows(TileRef::new(dst)),
            srcs: vec![with_rows(src)],
            tmp: None,
        });
        let guarded = Stmt::If {
            cond: Cond::Positive(valid.clone()),
            then: vec![copy],
            otherwise: vec![],
        };
        self.list(place).push(guarded);
        Ok(TileRef::new(dst))
    }

    /// A row of a table, by an index that the scalar unit reads.
    fn gather_rows(
        &mut self,
        table: Id,
        ids: Id,
        place: Place,
        (rows, cols, dtype): (usize, usize, DType),
    ) -> Result<TileRef, LowerError> {
        let bad = || not_executable(self.plan, table);
        let name = |load: Id| match &self.plan.expr[load] {
            Term::App(Head::Load, c) => tensor_name(&self.plan.expr, c[2]),
            _ => None,
        };
        let (table, ids) = (name(table).ok_or_else(bad)?, name(ids).ok_or_else(bad)?);
        let register = self.kernel.registers;
        self.kernel.registers += 1;
        // The ids are a vector, one a row of the result.
        let src = GlobalRef {
            tensor: ids.into(),
            row: Expr::default(),
            col: self.row.clone(),
            rows: 1,
            cols: 1,
            peer: None,
            step: 1,
        };
        self.emit(place, Instr::ReadScalar { dst: register, src });
        let dst = TileRef::new(self.tile(table, dtype, rows, cols));
        let src = GlobalRef {
            tensor: table.into(),
            row: Expr::var(Var::Reg(register), 1),
            col: Expr::default(),
            rows,
            cols,
            peer: None,
            step: 1,
        };
        let load = Instr::Load {
            dst: dst.clone(),
            src,
        };
        self.emit(place, load);
        Ok(dst)
    }

    fn load(
        &mut self,
        name: &str,
        rows: usize,
        cols: usize,
        dtype: DType,
        place: Place,
    ) -> TileRef {
        self.load_rows(name, (rows, 1), cols, dtype, place)
    }

    /// Loads so many rows, so far apart.
    fn load_rows(
        &mut self,
        name: &str,
        (rows, step): (usize, usize),
        cols: usize,
        dtype: DType,
        place: Place,
    ) -> TileRef {
        let tile = self.tile(name, dtype, rows, cols);
        let mut dst = TileRef::new(tile);
        if let Place::Loop { id, .. } = place
            && self.depth > 1
        {
            self.kernel.tiles[tile].slots = self.depth;
            dst.slot = Some(id);
        }
        let (height, width) = self.tensors[name].matrix();
        let row = match height {
            1 => Expr::default(),
            _ => self.row.clone(),
        };
        let src = GlobalRef {
            tensor: name.into(),
            row,
            col: self.column(place, width, cols),
            rows,
            cols,
            peer: None,
            step,
        };
        let load = Instr::Load {
            dst: dst.clone(),
            src,
        };
        self.emit(place, load);
        dst
    }

    /// The first column of a piece of `cols` columns at a place, in a value of `width` columns.
    pub(super) fn column(&self, place: Place, width: usize, cols: usize) -> Expr {
        // Columns of a slice count from its first.
        let (first, width) = self.window.unwrap_or((0, width));
        let mut column = self.column_in(place, width, cols);
        column.base += first as i64;
        column
    }

    fn column_in(&self, place: Place, width: usize, cols: usize) -> Expr {
        if cols == width {
            return Expr::default();
        }
        let block = |cols: usize| {
            self.block_col
                .terms
                .iter()
                .fold(Expr::default(), |e, (v, k)| e.plus(*v, k * cols as i64))
        };
        match place {
            Place::Block { fanned: true } => block(cols),
            Place::Block { fanned: false } => Expr::default(),
            Place::Loop { id, fanned } => {
                let grid = self.kernel.launch.grid.iter().find(|a| a.name == COLS);
                let start = match (fanned, grid) {
                    (true, Some(axis)) => block(width / axis.count),
                    _ => Expr::default(),
                };
                start.plus(Var::Loop(id), cols as i64)
            }
        }
    }
}

/// A name for the result of an operator whose value the layer does not name.
fn op_name(head: Head) -> String {
    head.to_string().replace('.', "_")
}
