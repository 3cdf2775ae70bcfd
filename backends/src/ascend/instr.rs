//! One instruction as PTO-ISA calls. The match over them has no wildcard.

use super::error::Fault;
use super::types::{Count, TileType};
use super::writer::Writer;
use crate::source::index::Axis;
use tilewright_ir::kernel::{Expr, Instr, Layout, Tile, TileRef};

impl<'a> Writer<'a> {
    pub(super) fn instr(&mut self, instr: &'a Instr) -> Result<(), Fault> {
        let isa = instr.kind().row().isa;
        match instr {
            Instr::Load { dst, src } => self.transfer(dst, src, true),
            Instr::Store { dst, src } => self.transfer(src, dst, false),
            Instr::Move { dst, src, from } => self.move_tile(dst, src, *from),
            Instr::Matmul {
                dst,
                lhs,
                rhs,
                accumulate,
            } => {
                let rows = same_rows(&[dst, lhs])?;
                let c = self.operand(dst, rows)?;
                let a = self.operand(lhs, rows)?;
                let b = self.operand(rhs, None)?;
                let sum = accumulate.then(|| c.clone());
                let all: Vec<String> = [c].into_iter().chain(sum).chain([a, b]).collect();
                self.call(isa, &all, rows);
                Ok(())
            }
            Instr::Vector { op, dst, srcs, tmp } => self.vector(op, dst, srcs, tmp.as_ref()),
            Instr::ReadScalar { dst, src } => self.read_scalar(*dst, src),
            Instr::WriteScalar { dst, value } => self.write_scalar(dst, value),
            Instr::ReadArray { array, src } => self.read_array(*array, src),
            Instr::WriteArray { dst, array } => self.write_array(dst, *array),
            Instr::SetReg { dst, value } => {
                self.set_register(*dst, value);
                Ok(())
            }
            Instr::Compute { dst, op, lhs, rhs } => {
                self.compute(*dst, *op, lhs, rhs);
                Ok(())
            }
            Instr::ArrayGet { dst, array, index } => self.array_get(*dst, *array, index),
            Instr::ArraySet {
                array,
                index,
                value,
            } => self.array_set(*array, index, value),
            Instr::Notify { counter, op, value } => self.notify(counter, *op, value),
            Instr::WaitCounter { counter, at_least } => self.wait_counter(counter, at_least),
        }
    }

    /// A tile of L1, or a piece of it, as an operand of the cube.
    fn move_tile(
        &mut self,
        dst: &TileRef,
        src: &TileRef,
        from: (usize, usize),
    ) -> Result<(), Fault> {
        let rows = same_rows(&[dst, src])?;
        let extent = |t: &Tile| (t.rows, t.cols);
        let whole = extent(self.tile(dst)?) == extent(self.tile(src)?);
        let d = self.operand(dst, rows)?;
        let s = self.operand(src, rows)?;
        match whole {
            true => self.call("TMOV", &[d, s], rows),
            false => {
                let (row, col) = (from.0.to_string(), from.1.to_string());
                self.call("TEXTRACT", &[d, s, row, col], rows);
            }
        }
        Ok(())
    }

    pub(super) fn tile(&self, r: &TileRef) -> Result<&'a Tile, Fault> {
        self.kernel.tiles.get(r.tile).ok_or_else(|| Fault::Missing {
            what: format!("tile {}", r.tile),
        })
    }

    /// A tile's own type, with as many rows as there are.
    pub(super) fn own_type(&self, r: &TileRef, rows: Option<&Expr>) -> Result<TileType, Fault> {
        let tile = self.tile(r)?;
        let mut ty = TileType::of(tile);
        if let Some(e) = rows {
            if matches!(tile.layout, Layout::Zn | Layout::Right) {
                return Err(Fault::StaticRows {
                    tile: tile.name.clone(),
                });
            }
            ty.valid_rows = Count::RunTime(e.clone(), tile.valid_rows);
        }
        Ok(ty)
    }

    pub(super) fn operand(&mut self, r: &TileRef, rows: Option<&Expr>) -> Result<String, Fault> {
        let ty = self.own_type(r, rows)?;
        Ok(self.view(r, ty))
    }

    /// An operand of an element-wise instruction: columns are computed on as rows.
    pub(super) fn element_wise(
        &mut self,
        r: &TileRef,
        rows: Option<&Expr>,
    ) -> Result<String, Fault> {
        let ty = self.own_type(r, rows)?.into_row();
        Ok(self.view(r, ty))
    }

    /// A call that does nothing if there are no rows, which the instructions themselves do not allow.
    pub(super) fn call(&mut self, name: &str, operands: &[String], rows: Option<&Expr>) {
        let call = format!("{name}({});", operands.join(", "));
        match rows {
            Some(e) if !self.is_positive(e) => {
                let n = self.sum(e, Axis::Rows).positive();
                self.open(&format!("if ({n}) {{"), Some(e.clone()));
                self.line(&call);
                self.close();
            }
            _ => self.line(&call),
        }
    }
}

/// The run-time row count of an instruction: that of its operands that have one.
pub(super) fn same_rows<'r>(operands: &[&'r TileRef]) -> Result<Option<&'r Expr>, Fault> {
    let mut counts = operands.iter().filter_map(|r| r.rows.as_ref());
    let first = counts.next();
    match counts.all(|e| Some(e) == first) {
        true => Ok(first),
        false => Err(Fault::RowCounts),
    }
}
