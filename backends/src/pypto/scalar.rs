//! The scalar unit.

use super::error::Fault;
use super::types::dtype;
use super::writer::Writer;
use crate::source::index::Axis;
use tilewright_ir::kernel::{ArrayId, Expr, GlobalRef, IntOp, RegId};

impl Writer<'_> {
    pub(super) fn read_scalar(&mut self, dst: RegId, src: &GlobalRef) -> Result<(), Fault> {
        let at = self.element(src)?;
        self.fill(dst, &format!("pl.cast(pl.read({at}), pl.INDEX)"));
        Ok(())
    }

    pub(super) fn write_scalar(&mut self, dst: &GlobalRef, value: &Expr) -> Result<(), Fault> {
        let at = self.element(dst)?;
        let tensor = self.program.tensors.get(&dst.tensor);
        let ty = tensor.map_or("pl.INT32", |t| dtype(t.dtype));
        let value = match value.terms.is_empty() {
            true => format!("pl.const({}, {ty})", value.base),
            false => format!("pl.cast({}, {ty})", self.value_text(value)?),
        };
        self.line(&format!("pl.write({at}, {value})"));
        Ok(())
    }

    pub(super) fn set_register(&mut self, dst: RegId, value: &Expr) -> Result<(), Fault> {
        let value = match value.terms.is_empty() {
            true => format!("pl.const({}, pl.INDEX)", value.base),
            false => self.value_text(value)?,
        };
        self.fill(dst, &value);
        Ok(())
    }

    pub(super) fn compute(
        &mut self,
        dst: RegId,
        op: IntOp,
        lhs: &Expr,
        rhs: &Expr,
    ) -> Result<(), Fault> {
        let (a, b) = (self.value_text(lhs)?, self.value_text(rhs)?);
        let value = match op {
            IntOp::Min => format!("pl.min({a}, {b})"),
            IntOp::Max => format!("pl.max({a}, {b})"),
            IntOp::Mul => format!("{} * {}", factor(a), factor(b)),
            IntOp::Div => format!("{} // {}", factor(a), factor(b)),
            IntOp::Rem => format!("{} % {}", factor(a), factor(b)),
        };
        self.fill(dst, &value);
        Ok(())
    }

    pub(super) fn array_get(
        &mut self,
        dst: RegId,
        array: ArrayId,
        index: &Expr,
    ) -> Result<(), Fault> {
        let at = self.place(array, index)?;
        self.fill(dst, &format!("pl.cast({at}, pl.INDEX)"));
        Ok(())
    }

    pub(super) fn array_set(
        &mut self,
        array: ArrayId,
        index: &Expr,
        value: &Expr,
    ) -> Result<(), Fault> {
        let at = self.place(array, index)?;
        let value = self.value_text(value)?;
        self.line(&format!("{at} = pl.cast({value}, pl.INT32)"));
        Ok(())
    }

    /// The indices of one element.
    fn element(&mut self, g: &GlobalRef) -> Result<String, Fault> {
        if g.view.is_some() {
            return Err(Fault::View {
                tensor: g.tensor.clone(),
            });
        }
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
