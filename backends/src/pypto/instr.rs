//! One instruction as an assignment. The match over them has no wildcard.

use super::error::Fault;
use super::types::memory;
use super::value::{Rows, Value};
use super::writer::Writer;
use tilewright_ir::kernel::{Instr, TileRef};

impl Writer<'_> {
    pub(super) fn instr(&mut self, instr: &Instr) -> Result<(), Fault> {
        if let Some((_, rect)) = instr.global() {
            self.tensor(&rect.tensor)?;
        }
        let mut allowed = Ok(());
        instr.exprs(&mut |e| {
            if allowed.is_ok() {
                allowed = self.allowed(e);
            }
        });
        allowed?;
        match instr {
            Instr::Load { dst, src } => self.load(dst, src),
            Instr::Store { dst, src } => self.store(dst, src),
            Instr::Move { dst, src, from } => self.move_tile(dst, src, *from),
            Instr::Matmul {
                dst,
                lhs,
                rhs,
                accumulate,
            } => self.product(dst, lhs, rhs, *accumulate, None),
            Instr::Vector { op, dst, srcs, tmp } => self.vector(op, dst, srcs, tmp.as_ref()),
            Instr::ReadScalar { dst, src } => self.read_scalar(*dst, src),
            Instr::WriteScalar { dst, value } => self.write_scalar(dst, value),
            Instr::ReadArray { src: rows, .. } | Instr::WriteArray { dst: rows, .. } => {
                Err(Fault::Rows {
                    tensor: rows.tensor.clone(),
                })
            }
            Instr::SetReg { dst, value } => self.set_register(*dst, value),
            Instr::Compute { dst, op, lhs, rhs } => self.compute(*dst, *op, lhs, rhs),
            Instr::ArrayGet { dst, array, index } => self.array_get(*dst, *array, index),
            Instr::ArraySet {
                array,
                index,
                value,
            } => self.array_set(*array, index, value),
            // Counters are in windows, which have been refused.
            Instr::Notify { counter, .. } | Instr::WaitCounter { counter, .. } => {
                Err(Fault::Window {
                    tensor: counter.tensor.clone(),
                })
            }
        }
    }

    /// A tile of L1, or a piece of it, as an operand of the cube.
    fn move_tile(
        &mut self,
        dst: &TileRef,
        src: &TileRef,
        from: (usize, usize),
    ) -> Result<(), Fault> {
        let (s, value) = self.operand(src)?;
        let (tile, whole) = (self.tile(dst)?, self.tile(src)?);
        let to = memory(tile.space);
        if (tile.rows, tile.cols) == (whole.rows, whole.cols) {
            let text = format!("pl.move({s}, target_memory={to})");
            return self.assign(dst, text, value);
        }
        let shape = self.extents(Self::axes(tile), tile.rows, tile.cols);
        let text = format!(
            "pl.tile.extract({s}, {}, {}, {shape}, target_memory={to})",
            from.0, from.1
        );
        self.assign(dst, text, Value::of(tile, dst.rows.as_ref()))
    }

    /// A product. With a condition, it is only added where the condition does not hold.
    pub(super) fn product(
        &mut self,
        dst: &TileRef,
        lhs: &TileRef,
        rhs: &TileRef,
        accumulate: bool,
        unless: Option<&str>,
    ) -> Result<(), Fault> {
        let to = self.tile(dst)?;
        let (a, left) = self.operand(lhs)?;
        let (b, right) = self.operand(rhs)?;
        let value = Value {
            rows: left.rows,
            cols: right.cols,
            valid_rows: left.valid_rows,
            valid_cols: right.valid_cols,
            filled: None,
        };
        let text = match accumulate {
            false => format!("pl.matmul({a}, {b})"),
            true => {
                let (acc, is) = self.operand(dst)?;
                // An accumulator that is made before its product lies as its own rows say, the product as those that are valid;
                // both round up to whole fractals.
                let fractal = self.machine.geometry.fractal_rows.count();
                let fractals = |rows: usize| rows.div_ceil(fractal);
                let same = match &is.valid_rows {
                    Rows::Fixed(n) => fractals(*n) == fractals(is.rows),
                    Rows::Counted(..) => is.rows <= fractal,
                };
                if !same {
                    return Err(Fault::Accumulator {
                        tile: to.name.clone(),
                        found: is.words(),
                        most: fractal,
                    });
                }
                let first = unless.map_or(String::new(), |c| format!(", init_cond=({c})"));
                format!("pl.matmul_acc({acc}, {a}, {b}{first})")
            }
        };
        self.assign(dst, text, value)
    }
}
