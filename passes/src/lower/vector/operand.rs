//! The tile of a term at a place: loads, and one instruction or a few for each operator.

use super::super::{LowerError, Source, argument, constant, not_executable, num, tensor_name};
use super::{Place, Vector};
use crate::term::language::{Head, Term};
use egg::Id;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{Binary, Operator};
use tilewright_ir::kernel::{Cond, Expr, GlobalRef, Instr, Stmt, TileId, TileRef, Var, VectorOp};
use tilewright_ir::op::{Access, Part};

/// An operation whose result is to be computed.
struct Target<'p> {
    id: Id,
    operator: Operator,
    /// Operands and numbers of its term.
    operands: &'p [Id],
    numbers: &'p [Id],
    name: String,
    place: Place,
    ty: (usize, usize, DType),
}

impl Vector<'_> {
    /// The tile of a term at a place, computed there if it is not yet.
    pub fn operand(&mut self, id: Id, place: Place) -> Result<TileRef, LowerError> {
        let bad = || not_executable(self.plan, id);
        let plan = self.plan;
        let Term::App(head, c) = &plan.expr[id] else {
            return Err(bad());
        };
        let ty = self.types[usize::from(id)].ok_or_else(bad)?;
        let (rows, cols, dtype) = ty;
        // One value a row does not depend on the chunk.
        let place = match cols {
            1 => Place::Block { fanned: false },
            _ => place,
        };
        let access = head.access();
        let window = match head {
            // The same whatever the columns.
            Head::Fold(_) => None,
            _ if access == Some(Access::Repeat) => None,
            _ => self.window,
        };
        if let Some(tile) = self.memo.get(&(id, place, window)) {
            return Ok(tile.clone());
        }
        let name = self.label(id, &op_name(*head));
        let tile = match head {
            Head::Load => {
                let source = Source::read(&plan.expr, c[2]).ok_or_else(bad)?;
                self.load(source, rows, cols, dtype, place)
            }
            Head::Op(operator) => {
                let primitive = operator.primitive();
                let operands = &c[usize::from(primitive.grouped())..];
                let (operands, numbers) = operands.split_at(primitive.operands());
                self.operation(&Target {
                    id,
                    operator: *operator,
                    operands,
                    numbers,
                    name,
                    place,
                    ty,
                })?
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
            // A loop has its tile before what reads it; the others are no tiles of a vector core.
            Head::Fold(_)
            | Head::Input
            | Head::Buf
            | Head::Parts
            | Head::Tile
            | Head::Mm
            | Head::MmParts
            | Head::MmGrouped
            | Head::Pieces
            | Head::Kept
            | Head::Cols
            | Head::Rows
            | Head::WithPad
            | Head::Fill
            | Head::Launch(_)
            | Head::Overlay
            | Head::Exchanged
            | Head::Share
            | Head::ByLine => return Err(bad()),
        };
        self.memo.insert((id, place, window), tile.clone());
        Ok(tile)
    }

    /// The tile of an operation: one instruction, or a few.
    fn operation(&mut self, t: &Target) -> Result<TileRef, LowerError> {
        let bad = || not_executable(self.plan, t.id);
        let access = t.operator.primitive().access;
        let whole_row = matches!(access, Access::Row { .. } | Access::Pad | Access::Gather);
        if self.window.is_some() && whole_row {
            return Err(bad());
        }
        match t.operator {
            // The instruction rounds to whole numbers where types are equal; a cast to the own type changes nothing.
            Operator::Cast(to, _) if self.dtype(t.operands[0]) == Some(to) => {
                self.operand(t.operands[0], t.place)
            }
            Operator::Cast(..)
            | Operator::Unary(_)
            | Operator::Scalar(_)
            | Operator::Binary(_)
            | Operator::RowBinary(_)
            | Operator::ColBinary(_)
            | Operator::GroupColBinary(_) => self.instruction(t),
            Operator::ScalarLeft(b) => {
                // The vector unit takes a constant on the right only: fill a tile with it.
                let k = self.constant(t, 0)?;
                let a = self.operand(t.operands[0], t.place)?;
                let (rows, cols, dtype) = t.ty;
                let left = self.tile(&format!("{}_const", t.name), dtype, rows, cols);
                self.vector(t.place, VectorOp::Fill(k), left, vec![], None);
                let operands = vec![TileRef::new(left), a];
                Ok(self.compute(&t.name, t.place, VectorOp::Binary(b), t.ty, operands))
            }
            Operator::SliceCols => {
                let from = self.number(t.numbers[0]).ok_or_else(bad)?;
                let to = self.number(t.numbers[1]).ok_or_else(bad)?;
                let window = match self.window {
                    None => (from, to.saturating_sub(from)),
                    Some((first, count)) => (from + first, count),
                };
                self.within(Some(window), |v| v.operand(t.operands[0], t.place))
            }
            Operator::RepeatCols => self.repeat(&t.name, t.operands[0], t.place, t.ty),
            Operator::PadCols => {
                let k = self.constant(t, 1)?;
                let a = self.operand(t.operands[0], t.place)?;
                let dst = self.result(t);
                self.vector(t.place, VectorOp::Fill(k), dst, vec![], None);
                self.vector(t.place, VectorOp::Copy, dst, vec![a], None);
                Ok(TileRef::new(dst))
            }
            Operator::MaskRows => self.mask(t),
            Operator::TopK => {
                let src = self.operand(t.operands[0], t.place)?;
                self.top_k(&t.name, src, t.ty.1)
            }
            Operator::Cumsum => {
                let src = self.operand(t.operands[0], t.place)?;
                Ok(self.cumsum(&t.name, t.place, src))
            }
            Operator::RowProd => {
                let src = self.operand(t.operands[0], t.place)?;
                Ok(self.row_prod(&t.name, t.place, src))
            }
            Operator::GatherCols => {
                let src = self.operand(t.operands[0], t.place)?;
                let index = self.operand(t.operands[1], t.place)?;
                Ok(self.picked(&t.name, t.place, src, index))
            }
            Operator::GatherRows => self.gather_rows(t),
            // Reductions and products are loops; the others are stored piece by piece.
            Operator::Reduce(_)
            | Operator::MatmulNt
            | Operator::GroupedMatmulNt
            | Operator::ConcatCols
            | Operator::Transpose
            | Operator::Reshape
            | Operator::Sinkhorn => Err(bad()),
        }
    }

    /// An operation that is one instruction, with the parts of its operands that it needs.
    fn instruction(&mut self, t: &Target) -> Result<TileRef, LowerError> {
        let constant = match t.operator {
            Operator::Scalar(_) => self.constant(t, 0)?,
            _ => 0.0,
        };
        let op = instruction(t.operator, t.ty, constant);
        let op = op.ok_or_else(|| not_executable(self.plan, t.id))?;
        let Access::Element(parts) = t.operator.primitive().access else {
            return Err(not_executable(self.plan, t.id));
        };
        let mut srcs = vec![];
        for (part, operand) in parts.iter().zip(t.operands) {
            srcs.push(match part {
                // One value a row has no columns to choose from.
                Part::Column => self.within(None, |v| v.operand(*operand, t.place))?,
                Part::GroupRow => {
                    let row = std::mem::replace(&mut self.row, self.group.clone());
                    let src = self.operand(*operand, t.place);
                    self.row = row;
                    src?
                }
                Part::Block | Part::Row | Part::Rows | Part::Whole => {
                    self.operand(*operand, t.place)?
                }
            });
        }
        if let VectorOp::RowExpand(_) = op {
            let dst = self.result(t);
            let tmp = self.scratch(&t.name, &op, dst);
            self.vector(t.place, op, dst, srcs, tmp);
            return Ok(TileRef::new(dst));
        }
        Ok(self.compute(&t.name, t.place, op, t.ty, srcs))
    }

    /// Elements of one row, by the columns that another one holds.
    pub(in crate::lower) fn picked(
        &mut self,
        name: &str,
        place: Place,
        src: TileRef,
        index: TileRef,
    ) -> TileRef {
        let dtype = self.kernel.tiles[src.tile].dtype;
        let cols = self.kernel.tiles[index.tile].valid_cols;
        let dst = self.tile(name, dtype, 1, cols);
        let tmp = self.tile(&format!("{name}_tmp"), DType::I32, 1, cols);
        self.vector(place, VectorOp::Gather, dst, vec![src, index], Some(tmp));
        TileRef::new(dst)
    }

    /// A constant among an operation's numbers.
    fn constant(&self, t: &Target, number: usize) -> Result<f32, LowerError> {
        let found = constant(&self.plan.expr, t.numbers[number]);
        found.ok_or_else(|| not_executable(self.plan, t.id))
    }

    fn dtype(&self, id: Id) -> Option<DType> {
        self.types[usize::from(id)].map(|(_, _, dtype)| dtype)
    }

    /// A tile for an operation's result.
    fn result(&mut self, t: &Target) -> TileId {
        let (rows, cols, dtype) = t.ty;
        self.tile(&t.name, dtype, rows, cols)
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
        let source = Source::read(&self.plan.expr, c[2]).ok_or_else(bad)?;
        let (rows, cols, dtype) = self.types[usize::from(load)].ok_or_else(bad)?;
        let height = source.matrix(self.tensors).0 / parts;
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
                source,
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
    fn mask(&mut self, t: &Target) -> Result<TileRef, LowerError> {
        let src = self.operand(t.operands[0], t.place)?;
        let count = t.operands[1];
        let rows = tensor_name(&self.plan.expr, count)
            .and_then(|n| argument(self.scalars, n))
            .ok_or_else(|| not_executable(self.plan, count))?;
        let dst = self.result(t);
        self.vector(t.place, VectorOp::Fill(0.0), dst, vec![], None);
        let valid = rows.minus(&self.row);
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
        self.list(t.place).push(guarded);
        Ok(TileRef::new(dst))
    }

    /// A row of a table, by an index that the scalar unit reads.
    fn gather_rows(&mut self, t: &Target) -> Result<TileRef, LowerError> {
        let bad = || not_executable(self.plan, t.operands[0]);
        let source = |load: Id| match &self.plan.expr[load] {
            Term::App(Head::Load, c) => Source::read(&self.plan.expr, c[2]),
            _ => None,
        };
        let [table, ids] = [0, 1].map(|i| source(t.operands[i]));
        let (table, ids) = (table.ok_or_else(bad)?, ids.ok_or_else(bad)?);
        let (rows, cols, dtype) = t.ty;
        let register = self.kernel.registers;
        self.kernel.registers += 1;
        // The ids are a vector, one a row of the result.
        let src = GlobalRef {
            tensor: ids.name.into(),
            row: Expr::default(),
            col: self.row.clone(),
            rows: 1,
            cols: 1,
            peer: None,
            step: 1,
            view: ids.view,
        };
        self.emit(t.place, Instr::ReadScalar { dst: register, src });
        let of_result = std::mem::replace(&mut self.row, Expr::var(Var::Reg(register), 1));
        let row = self.load(table, rows, cols, dtype, t.place);
        self.row = of_result;
        Ok(row)
    }

    fn load(
        &mut self,
        source: Source,
        rows: usize,
        cols: usize,
        dtype: DType,
        place: Place,
    ) -> TileRef {
        self.load_rows(source, (rows, 1), cols, dtype, place)
    }

    /// Loads so many rows, so far apart.
    fn load_rows(
        &mut self,
        source: Source,
        (rows, step): (usize, usize),
        cols: usize,
        dtype: DType,
        place: Place,
    ) -> TileRef {
        let tile = self.tile(source.name, dtype, rows, cols);
        let mut dst = TileRef::new(tile);
        if let Place::Loop { id, .. } = place
            && self.depth > 1
        {
            self.kernel.tiles[tile].slots = self.depth;
            dst.slot = Some(id);
        }
        let (height, width) = source.matrix(self.tensors);
        let row = match height {
            1 => Expr::default(),
            _ => self.row.clone(),
        };
        let src = GlobalRef {
            tensor: source.name.into(),
            row,
            col: self.column(place, width, cols),
            rows,
            cols,
            peer: None,
            step,
            view: source.view,
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
        // Columns of the tile for each that is stored.
        let per = |columns: usize| columns * cols / self.chunk.max(1);
        let start = match place.is_fanned() {
            true => {
                let step = per(self.block_cols) as i64;
                let terms = self.block_col.terms.iter();
                terms.fold(Expr::default(), |e, (v, k)| e.plus(*v, k * step))
            }
            false => Expr::default(),
        };
        match place {
            Place::Block { .. } => start,
            Place::Loop { id, .. } => start.plus(Var::Loop(id), cols as i64),
            Place::Rest { first, .. } => start.plus_constant(per(first) as i64),
        }
    }
}

/// The instruction of an operation that is one, for a result of some rows and columns.
pub(crate) fn instruction(
    operator: Operator,
    (rows, cols, _): (usize, usize, DType),
    constant: f32,
) -> Option<VectorOp> {
    Some(match operator {
        Operator::Cast(_, round) => VectorOp::Cvt(round),
        Operator::Unary(f) => VectorOp::Unary(f),
        Operator::Scalar(f) => VectorOp::Scalar(f, constant),
        Operator::Binary(f) => VectorOp::Binary(f),
        // An [R, 1] matrix and its row operand are of one shape.
        Operator::RowBinary(f) if cols == 1 => VectorOp::Binary(f),
        Operator::RowBinary(f) => VectorOp::RowExpand(f),
        Operator::ColBinary(f) | Operator::GroupColBinary(f) if rows == 1 => VectorOp::Binary(f),
        Operator::ColBinary(f) | Operator::GroupColBinary(f) => VectorOp::ColExpand(f),
        _ => return None,
    })
}

/// A name for the result of an operator whose value the layer does not name.
fn op_name(head: Head) -> String {
    head.to_string().replace('.', "_")
}
