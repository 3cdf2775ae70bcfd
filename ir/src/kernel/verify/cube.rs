//! Products.

use super::super::{Space, TileRef};
use super::{Check, Verifier};
use crate::dtype::DType;

impl Verifier<'_> {
    /// TMATMUL and TMATMUL_ACC.
    pub(super) fn matmul(&self, dst: &TileRef, lhs: &TileRef, rhs: &TileRef) -> Check {
        let (acc, a, b) = (self.tile(dst)?, self.tile(lhs)?, self.tile(rhs)?);
        self.space(acc, &[Space::L0c])?;
        self.space(a, &[Space::L0a])?;
        self.space(b, &[Space::L0b])?;
        self.same_type(a, b)?;
        let sum = match a.dtype {
            DType::I8 => DType::I32,
            _ => DType::F32,
        };
        if acc.dtype != sum {
            return Err(self.types(
                format!(
                    "products of {} are summed in {sum}, but `{}` is {}",
                    a.dtype, acc.name, acc.dtype
                ),
                format!("make `{}` {sum}", acc.name),
            ));
        }
        let (m, k, n) = (a.valid_rows, a.valid_cols, b.valid_cols);
        self.valid(b, k, n)?;
        self.valid(acc, m, n)?;
        for (what, found) in [("m", m), ("k", k), ("n", n)] {
            self.at_most(what, found, self.machine.limits.product.count())?;
        }
        // Columns of the result may end within a fractal; what is summed may not.
        self.multiple("k", k, self.machine.geometry.fractal_rows.count())
    }
}
