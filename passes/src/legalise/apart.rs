//! Parts of rows as slices, and the operations that a node becomes.

use super::wide::{Made, Wide};
use tilewright_ir::dtype::{DType, Round};
use tilewright_ir::graph::{Binary, Op, Prim, Reduce, Value};

impl Wide<'_, '_> {
    /// Slices of at most so many columns, each with its first.
    pub(super) fn slices(
        &mut self,
        x: Value,
        width: usize,
    ) -> Result<Vec<(usize, Value)>, super::GraphError> {
        let (_, cols) = self.matrix(x);
        let firsts = (0..cols).step_by(width);
        let slice = |from| Ok((from, self.slice("part", x, from, (from + width).min(cols))?));
        firsts.map(slice).collect()
    }

    /// Columns of the k largest: the best of each slice, and of these the best.
    pub(super) fn sorted_apart(&mut self, x: Value, k: usize, width: usize) -> Made {
        let mut candidates: Option<[Value; 2]> = None;
        for (from, part) in self.slices(x, width)? {
            let (_, cols) = self.matrix(part);
            let filled = self.padded(part, self.held.sorted(cols), f32::NEG_INFINITY)?;
            let best = Prim::TopK { k: k.min(cols) };
            let best = self.add("within", best, &[filled])?;
            let values = self.add("best", Prim::GatherCols, &[part, best])?;
            let columns = self.scalar("columns", Binary::Add, from as f32, best)?;
            candidates = Some(match candidates {
                None => [values, columns],
                Some([v, c]) => [
                    self.add("candidates", Prim::ConcatCols, &[v, values])?,
                    self.add("columns", Prim::ConcatCols, &[c, columns])?,
                ],
            });
        }
        let [values, columns] = candidates.unwrap_or([x, x]);
        self.beside = 1;
        let chosen = self.sorted(values, k)?;
        self.looked_up(columns, chosen)
    }

    /// The sums up to each element, slice by slice.
    pub(super) fn sums_apart(&mut self, x: Value, width: usize) -> Made {
        let float = self.rebuild.out.ty(x).dtype.is_float();
        let mut before: Option<Value> = None;
        let mut all: Option<Value> = None;
        for (_, part) in self.slices(x, width)? {
            let (_, cols) = self.matrix(part);
            let within = self.add("within", Prim::Cumsum, &[part])?;
            let total = match float {
                true => self.add("total", Prim::RowReduce(Reduce::Sum), &[part])?,
                false => self.slice("total", within, cols - 1, cols)?,
            };
            let plus = Prim::Binary(Binary::Add);
            let (sums, so_far) = match before {
                None => (within, total),
                Some(b) => (
                    self.add("sums", Prim::RowBinary(Binary::Add), &[within, b])?,
                    self.add("before", plus, &[b, total])?,
                ),
            };
            before = Some(so_far);
            all = Some(match all {
                None => sums,
                Some(a) => self.add("all", Prim::ConcatCols, &[a, sums])?,
            });
        }
        Ok(all.unwrap_or(x))
    }

    /// The product of rows, slice by slice.
    pub(super) fn product_apart(&mut self, x: Value, width: usize) -> Made {
        let mut product: Option<Value> = None;
        for (_, part) in self.slices(x, width)? {
            let here = self.add("product", Prim::RowProd, &[part])?;
            product = Some(match product {
                None => here,
                Some(p) => self.add("product", Prim::Binary(Binary::Mul), &[p, here])?,
            });
        }
        Ok(product.unwrap_or(x))
    }

    pub(super) fn matrix(&self, x: Value) -> (usize, usize) {
        self.rebuild.out.ty(x).matrix()
    }

    pub(super) fn padded(&mut self, x: Value, cols: usize, value: f32) -> Made {
        match self.matrix(x).1 == cols {
            true => Ok(x),
            false => self.add("padded", Prim::PadCols { cols, value }, &[x]),
        }
    }

    pub(super) fn recut(&mut self, name: &str, x: Value, rows: usize, cols: usize) -> Made {
        match self.matrix(x) == (rows, cols) {
            true => Ok(x),
            false => self.add(name, Prim::Reshape { rows, cols }, &[x]),
        }
    }

    pub(super) fn slice(&mut self, name: &str, x: Value, from: usize, to: usize) -> Made {
        self.add(name, Prim::SliceCols { from, to }, &[x])
    }

    pub(super) fn scalar(&mut self, name: &str, op: Binary, value: f32, x: Value) -> Made {
        self.add(name, Prim::Scalar { op, value }, &[x])
    }

    pub(super) fn cast(&mut self, name: &str, to: DType, x: Value) -> Made {
        let round = Round::Rint;
        self.add(name, Prim::Cast { to, round }, &[x])
    }

    pub(super) fn add(&mut self, name: &str, prim: Prim, operands: &[Value]) -> Made {
        let made = self
            .rebuild
            .operation(&[name.to_string()], Op::Prim(prim), operands)?;
        Ok(made[0])
    }
}
