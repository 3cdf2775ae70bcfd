//! The scalar unit.

use super::error::Fault;
use super::types::dtype;
use super::writer::Writer;
use crate::source::index::Axis;
use tilewright_ir::kernel::{Expr, GlobalRef, Instr, IntOp, NotifyOp};

impl Writer<'_> {
    pub(super) fn scalar(&mut self, instr: &Instr) -> Result<(), Fault> {
        match instr {
            Instr::ReadScalar { dst, src } => {
                let at = self.element(src)?;
                self.fill(*dst, &format!("pl.cast(pl.read({at}), pl.INDEX)"));
            }
            Instr::WriteScalar { dst, value } => {
                let at = self.element(dst)?;
                let tensor = self.program.tensors.get(&dst.tensor);
                let ty = tensor.map_or("pl.INT32", |t| dtype(t.dtype));
                let value = match value.terms.is_empty() {
                    true => format!("pl.const({}, {ty})", value.base),
                    false => format!("pl.cast({}, {ty})", self.value_text(value)?),
                };
                self.line(&format!("pl.write({at}, {value})"));
            }
            Instr::SetReg { dst, value } => {
                let value = match value.terms.is_empty() {
                    true => format!("pl.const({}, pl.INDEX)", value.base),
                    false => self.value_text(value)?,
                };
                self.fill(*dst, &value);
            }
            Instr::Compute { dst, op, lhs, rhs } => {
                let (a, b) = (self.value_text(lhs)?, self.value_text(rhs)?);
                let value = match op {
                    IntOp::Min => format!("pl.min({a}, {b})"),
                    IntOp::Max => format!("pl.max({a}, {b})"),
                    IntOp::Mul => format!("{} * {}", factor(a), factor(b)),
                    IntOp::Div => format!("{} // {}", factor(a), factor(b)),
                    IntOp::Rem => format!("{} % {}", factor(a), factor(b)),
                };
                self.fill(*dst, &value);
            }
            Instr::ArrayGet { dst, array, index } => {
                let at = self.place(*array, index)?;
                self.fill(*dst, &format!("pl.cast({at}, pl.INDEX)"));
            }
            Instr::ArraySet {
                array,
                index,
                value,
            } => {
                let at = self.place(*array, index)?;
                let value = self.value_text(value)?;
                self.line(&format!("{at} = pl.cast({value}, pl.INT32)"));
            }
            Instr::ReadArray { src: rows, .. } | Instr::WriteArray { dst: rows, .. } => {
                return Err(Fault::Rows {
                    tensor: rows.tensor.clone(),
                });
            }
            // Counters are in windows, which have been refused.
            Instr::Notify { counter, op, .. } => {
                let op = match op {
                    NotifyOp::Set => "set",
                    NotifyOp::Add => "increased",
                };
                return Err(Fault::Missing {
                    what: format!("a window that `{}` is {op} in", counter.tensor),
                });
            }
            Instr::WaitCounter { counter, .. } => {
                return Err(Fault::Missing {
                    what: format!("a window that holds `{}`", counter.tensor),
                });
            }
            _ => {}
        }
        Ok(())
    }

    /// The indices of one element.
    fn element(&mut self, g: &GlobalRef) -> Result<String, Fault> {
        let gm = self.tensor(&g.tensor)?;
        let row = self.sum(&g.row, Axis::Rows).text();
        let col = self.sum(&g.col, Axis::Cols).text();
        Ok(format!("{gm}, [{row}, {col}]"))
    }

    fn place(&mut self, array: usize, index: &Expr) -> Result<String, Fault> {
        let name = self.names.arrays.get(array).cloned();
        let name = name.ok_or_else(|| Fault::Missing {
            what: format!("array {array}"),
        })?;
        Ok(format!("{name}[{}]", self.value_text(index)?))
    }
}

fn factor(text: String) -> String {
    match text.contains([' ', '-']) {
        true => format!("({text})"),
        false => text,
    }
}
