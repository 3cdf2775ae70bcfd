//! Products, whole and in chunks, and what groups of rows meet.

use super::super::value::{Arithmetic, Block, Fault, Value};
use super::{Children, trips};
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::Binary;
use tilewright_passes::term::analysis::Kind;

impl Children<'_> {
    pub(super) fn matmul_nt(&self) -> Result<Value, Fault> {
        let (a, b) = self.operands(0, 1, Kind::Tensor)?;
        let all = (0, a.cols);
        let chunk = self.context.chunk.unwrap_or(a.cols);
        self.whole_product(&[(all, chunk)], a, b)
    }

    pub(super) fn parts(&self) -> Result<Value, Fault> {
        let s = self.num(0)?;
        let (a, b) = self.operands(1, 2, Kind::Tensor)?;
        if s == 0 || !a.cols.is_multiple_of(s) {
            return Err(format!("{s} parts of {} columns", a.cols));
        }
        let e = a.cols / s;
        let chunk = gcd(self.context.chunk.unwrap_or(e), e);
        let parts: Vec<_> = (0..s).map(|q| ((q * e, e), chunk)).collect();
        self.whole_product(&parts, a, b)
    }

    pub(super) fn add_parts(&self) -> Result<Value, Fault> {
        let (s, t) = (self.num(0)?, self.of_kind(1, Kind::Tile)?);
        let (m, n) = t.grid();
        if s == 0 || !m.is_multiple_of(s) {
            return Err(format!("{m} row blocks are no {s} parts"));
        }
        self.blocks(Kind::Tile, t.dtype, (m / s, n), t.block, |(i, j)| {
            let mut sum = t.read((i, j))?;
            for q in 1..s {
                sum = self.join(Binary::Add, sum, &t.read((q * (m / s) + i, j))?, t.dtype)?;
            }
            Ok(sum)
        })
    }

    /// The products over `(first column, columns)` in chunks, stacked.
    pub(super) fn whole_product(
        &self,
        parts: &[((usize, usize), usize)],
        a: &Value,
        b: &Value,
    ) -> Result<Value, Fault> {
        let dtype = self.product_type(a, b)?;
        if a.cols != b.cols {
            return Err(format!("{} and {} columns", a.cols, b.cols));
        }
        let (x, y) = (a.read((0, 0))?, b.read((0, 0))?);
        let block = (parts.len() * a.rows, b.rows);
        let mut out = Value::unwritten(Kind::Tensor, dtype, block, block);
        for (q, ((from, extent), chunk)) in parts.iter().enumerate() {
            let mut sum = None;
            for k in (*from..from + extent).step_by(*chunk) {
                let product = self.dot(&x, &y, k..(k + chunk).min(from + extent), dtype)?;
                sum = Some(self.accumulate(sum, product, dtype)?);
            }
            out.write((q * a.rows, 0), &sum.ok_or("nothing is summed")?)?;
        }
        out.complete()
    }

    /// `mm` and `mm_parts`: row block i of the result is block i mod (M / r) of part i / (M / r).
    pub(super) fn chunked_product(
        &self,
        parts: usize,
        extent: usize,
        chunk: usize,
        first: usize,
    ) -> Result<Value, Fault> {
        let (a, b) = self.operands(first, first + 1, Kind::Tile)?;
        let dtype = self.product_type(a, b)?;
        let trips = trips(extent, chunk)?;
        if parts > 1 && !extent.is_multiple_of(chunk) {
            return Err(format!("a chunk of {chunk} lies in two parts of {extent}"));
        }
        let ((m, k), (n, other)) = (a.grid(), b.grid());
        if a.block.1 != chunk || b.block.1 != chunk || k != parts * trips || k != other {
            return Err(format!(
                "{parts} parts of {trips} chunks of {chunk} over {k} blocks of {} and {other} of {}",
                a.block.1, b.block.1
            ));
        }
        let block = (a.block.0, b.block.0);
        let piece = self.piece(first - 1)?;
        self.blocks(Kind::Tile, dtype, (parts * m, n), block, |(i, j)| {
            let (q, i) = (i / m, i % m);
            let mut sum = None;
            for k in q * trips..(q + 1) * trips {
                sum = self.pieces(sum, (&a.read((i, k))?, &b.read((j, k))?), piece, dtype)?;
            }
            sum.ok_or("nothing is summed".into())
        })
    }

    /// Adds the products of a chunk's pieces. The last chunk of an axis may be a smaller one, whose pieces are equal.
    fn pieces(
        &self,
        mut sum: Option<Block>,
        (a, b): (&Block, &Block),
        piece: usize,
        dtype: DType,
    ) -> Result<Option<Block>, Fault> {
        let piece = gcd(a.cols, piece);
        for first in (0..a.cols).step_by(piece) {
            let product = self.dot(a, b, first..first + piece, dtype)?;
            sum = Some(self.accumulate(sum, product, dtype)?);
        }
        Ok(sum)
    }

    /// Each group of rows with its own row of the second operand.
    pub(super) fn group_columns(&self, op: Binary) -> Result<Value, Fault> {
        let (groups, a, s) = (self.num(0)?, self.value(1)?, self.value(2)?);
        let height = a.rows / groups.max(1);
        let one_group = match a.kind {
            Kind::Tile => s.block == (1, a.block.1) && height.is_multiple_of(a.block.0),
            _ => s.block == (groups, a.cols),
        };
        if s.kind != a.kind || !one_group || s.rows != groups || height == 0 {
            return Err(format!(
                "{groups} groups of {:?} and {:?}",
                a.block, s.block
            ));
        }
        self.blocks(a.kind, a.dtype, a.grid(), a.block, |(i, j)| {
            let mut x = a.read((i, j))?;
            for e in 0..x.data.len() {
                let (row, col) = (i * a.block.0 + e / x.cols, j * a.block.1 + e % x.cols);
                let other = s.data[row / height * s.cols + col].ok_or("not written")?;
                x.data[e] = self
                    .context
                    .arithmetic
                    .binary(op, x.data[e], other, a.dtype)?;
            }
            Ok(x)
        })
    }

    /// Each group of rows with its own rows of the second operand, whole.
    pub(super) fn grouped_product(&self) -> Result<Value, Fault> {
        let groups = self.num(0)?;
        let (a, b) = self.operands(1, 2, Kind::Tensor)?;
        let part = |x: &Value, g: usize| {
            let rows = x.rows / groups;
            let data = &x.data[g * rows * x.cols..(g + 1) * rows * x.cols];
            Value {
                rows,
                block: (rows, x.cols),
                data: data.to_vec(),
                ..x.clone()
            }
        };
        let chunk = self.context.chunk.unwrap_or(a.cols);
        let (rows, cols) = (a.rows, b.rows / groups);
        let dtype = self.product_type(a, b)?;
        let mut out = Value::unwritten(Kind::Tensor, dtype, (rows, cols), (rows, cols));
        for g in 0..groups {
            let all = ((0, a.cols), chunk);
            let product = self.whole_product(&[all], &part(a, g), &part(b, g))?;
            out.write((g * rows / groups, 0), &product.read((0, 0))?)?;
        }
        out.complete()
    }

    /// `mm_grouped`: of m row blocks, block i meets the blocks of group i / (m / groups).
    pub(super) fn grouped_chunks(
        &self,
        groups: usize,
        extent: usize,
        chunk: usize,
    ) -> Result<Value, Fault> {
        let (a, b) = self.operands(4, 5, Kind::Tile)?;
        let dtype = self.product_type(a, b)?;
        let trips = trips(extent, chunk)?;
        let ((m, k), (_, other)) = (a.grid(), b.grid());
        let fits = groups > 0 && m.is_multiple_of(groups) && b.rows.is_multiple_of(groups);
        if !fits || a.block.1 != chunk || b.block.1 != chunk || k != trips || k != other {
            return Err(format!(
                "{groups} groups of {m} blocks and {} rows, {k} chunks",
                b.rows
            ));
        }
        // Rows of a group in blocks of their own.
        let rows = b.rows / groups;
        let n = rows.div_ceil(b.block.0);
        let right = |group: usize, j: usize, k: usize| {
            let first = j * b.block.0;
            let size = (b.block.0.min(rows - first), chunk.min(extent - k * chunk));
            b.rectangle((group * rows + first, k * chunk), size)
        };
        let block = (a.block.0, b.block.0);
        let piece = self.piece(3)?;
        self.blocks(Kind::Tile, dtype, (m, n), block, |(i, j)| {
            let group = i / (m / groups);
            let mut sum = None;
            for k in 0..trips {
                sum = self.pieces(sum, (&a.read((i, k))?, &right(group, j, k)?), piece, dtype)?;
            }
            sum.ok_or("nothing is summed".into())
        })
    }

    pub(super) fn product_type(&self, a: &Value, b: &Value) -> Result<DType, Fault> {
        match (a.dtype, b.dtype) {
            (DType::I8, DType::I8) => Ok(DType::I32),
            (x, y) if x == y && x.is_float() => Ok(DType::F32),
            (x, y) => Err(format!("a product of {x} and {y}")),
        }
    }

    pub(super) fn accumulate(
        &self,
        sum: Option<Block>,
        next: Block,
        dtype: DType,
    ) -> Result<Block, Fault> {
        match sum {
            None => Ok(next),
            Some(sum) => self.join(Binary::Add, sum, &next, dtype),
        }
    }

    pub(super) fn dot(
        &self,
        a: &Block,
        b: &Block,
        columns: std::ops::Range<usize>,
        dtype: DType,
    ) -> Result<Block, Fault> {
        let arithmetic = self.context.arithmetic;
        let mut data = Vec::with_capacity(a.rows * b.rows);
        for i in 0..a.rows {
            for j in 0..b.rows {
                // Floats need no care, and products are most of the work.
                let mut pairs = columns.clone().map(|k| (a.at(i, k), b.at(j, k)));
                if matches!(arithmetic, Arithmetic::Wide | Arithmetic::Real) {
                    data.push(pairs.map(|(x, y)| x * y).sum());
                    continue;
                }
                if dtype == DType::F32 && arithmetic == Arithmetic::Native {
                    let products = pairs.map(|(x, y)| x as f32 * y as f32);
                    let sum = products.reduce(|a, b| a + b).ok_or("nothing is summed")?;
                    data.push(f64::from(sum));
                    continue;
                }
                let mut sum = None;
                for (x, y) in pairs.by_ref() {
                    let product = arithmetic.binary(Binary::Mul, x, y, dtype)?;
                    sum = Some(match sum {
                        None => product,
                        Some(sum) => arithmetic.join(Binary::Add, sum, product, dtype)?,
                    });
                }
                data.push(sum.ok_or("nothing is summed")?);
            }
        }
        Ok(Block {
            rows: a.rows,
            cols: b.rows,
            data,
        })
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}
