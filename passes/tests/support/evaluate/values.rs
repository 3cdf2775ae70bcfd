//! Inputs, and operators on whole values and their tiles.

use super::super::value::{Block, Fault, Value};
use super::{Children, Denotation, filled};
use tilewright_ir::dtype::{DType, Round};
use tilewright_ir::graph::{Binary, Unary};
use tilewright_passes::term::analysis::Kind;

impl Children<'_> {
    /// A tensor that is given; what ranks exchange is one, too: how many blocks share the work changes nothing of it.
    pub(super) fn given(&self) -> Result<Value, Fault> {
        match self.children[0] {
            Denotation::Name(s) => {
                (self.context.input)(*s).ok_or_else(|| format!("there is no tensor {s}"))
            }
            other => Err(format!("{other:?} is no name")),
        }
    }

    pub(super) fn share(&self) -> Result<Value, Fault> {
        let v = self.of_kind(1, Kind::Tensor)?;
        v.cut(Kind::Block, (v.rows, v.cols))
    }

    pub(super) fn cast(&self, to: DType, round: Round) -> Result<Value, Fault> {
        let arithmetic = self.context.arithmetic;
        let from = self.value(0)?.dtype;
        self.map(to, |x| Ok(arithmetic.cast(x, from, to, round)))
    }

    pub(super) fn unary(&self, op: Unary) -> Result<Value, Fault> {
        let arithmetic = self.context.arithmetic;
        let dtype = self.value(0)?.dtype;
        self.map(dtype, |x| arithmetic.unary(op, x, dtype))
    }

    pub(super) fn scalar(&self, op: Binary) -> Result<Value, Fault> {
        let arithmetic = self.context.arithmetic;
        let (dtype, c) = (self.value(0)?.dtype, self.constant(1)?);
        self.map(dtype, |x| arithmetic.binary(op, x, c, dtype))
    }

    pub(super) fn scalar_left(&self, op: Binary) -> Result<Value, Fault> {
        let arithmetic = self.context.arithmetic;
        let (dtype, c) = (self.value(0)?.dtype, self.constant(1)?);
        self.map(dtype, |x| arithmetic.binary(op, c, x, dtype))
    }

    pub(super) fn slice_cols(&self) -> Result<Value, Fault> {
        let (x, from, to) = (self.value(0)?, self.num(1)?, self.num(2)?);
        if from >= to || to > x.cols {
            return Err(format!("columns {from}..{to} of {}", x.cols));
        }
        let rows = x.data.chunks_exact(x.cols);
        let cut = Value {
            cols: to - from,
            data: rows.flat_map(|row| &row[from..to]).copied().collect(),
            block: (x.block.0, x.block.1.min(to - from)),
            ..x.clone()
        };
        cut.cut(x.kind, cut.block)
    }

    pub(super) fn concat_cols(&self) -> Result<Value, Fault> {
        let (a, b) = self.operands(0, 1, Kind::Tensor)?;
        let block = (a.rows, a.cols + b.cols);
        let mut out = Value::unwritten(a.kind, a.dtype, block, block);
        out.write((0, 0), &a.read((0, 0))?)?;
        out.write((0, a.cols), &b.read((0, 0))?)?;
        out.complete()
    }

    pub(super) fn repeat_cols(&self) -> Result<Value, Fault> {
        let (x, cols, all) = (self.value(0)?, self.num(1)?, self.num(2)?);
        if x.cols != 1 || cols == 0 || all == 0 {
            return Err(format!(
                "{} columns are repeated to {cols} of {all}",
                x.cols
            ));
        }
        let grid = (x.grid().0, all.div_ceil(cols));
        self.blocks(x.kind, x.dtype, grid, (x.block.0, cols), |(i, j)| {
            let x = x.read((i, 0))?;
            let cols = cols.min(all - j * cols);
            let data = x.data.iter().flat_map(|e| vec![*e; cols]).collect();
            Ok(Block {
                rows: x.rows,
                cols,
                data,
            })
        })
    }

    pub(super) fn sinkhorn(&self) -> Result<Value, Fault> {
        let (x, n, iterations) = (self.value(0)?, self.num(1)?, self.num(2)?);
        let eps = self.constant(3)?;
        if x.cols != n * n {
            return Err(format!("{} columns are no {n} x {n} matrix", x.cols));
        }
        let given: Option<Vec<f64>> = x.data.iter().copied().collect();
        let given = given.ok_or("something is not written")?;
        let rows = given.chunks_exact(n * n);
        let data = rows
            .flat_map(|row| sinkhorn(row, n, iterations, eps))
            .map(Some);
        Ok(Value {
            data: data.collect(),
            block: (x.block.0, n * n),
            ..x.clone()
        })
    }

    /// Elements of a whole value in their order, as other rows.
    pub(super) fn reshape(&self) -> Result<Value, Fault> {
        let (x, rows, cols) = (self.value(0)?, self.num(1)?, self.num(2)?);
        if x.kind != Kind::Tensor || rows * cols != x.data.len() {
            return Err(format!(
                "{rows} x {cols} of a {:?} of {}",
                x.kind,
                x.data.len()
            ));
        }
        Ok(Value {
            data: x.data.clone(),
            ..Value::unwritten(Kind::Tensor, x.dtype, (rows, cols), (rows, cols))
        })
    }

    pub(super) fn pad_cols(&self) -> Result<Value, Fault> {
        let (x, cols, value) = (self.value(0)?, self.num(1)?, self.constant(2)?);
        if x.grid().1 != 1 || cols < x.cols {
            return Err(format!("{} columns are padded to {cols}", x.cols));
        }
        let block = (x.block.0, cols);
        let mut out = Value::unwritten(x.kind, x.dtype, (x.rows, cols), block);
        for i in 0..x.grid().0 {
            let row = i * x.block.0;
            let block = x.read((i, 0))?;
            out.write((row, 0), &block)?;
            out.write((row, x.cols), &filled(block.rows, cols - x.cols, value))?;
        }
        out.complete()
    }

    pub(super) fn top_k(&self) -> Result<Value, Fault> {
        let (x, k) = (self.value(0)?, self.num(1)?);
        self.blocks(x.kind, DType::I32, x.grid(), (x.block.0, k), |at| {
            let x = x.read(at)?;
            let picked = (0..x.rows).flat_map(|y| largest(&x, y, k)).collect();
            Ok(Block {
                rows: x.rows,
                cols: k,
                data: picked,
            })
        })
    }

    pub(super) fn gather_cols(&self) -> Result<Value, Fault> {
        let (x, index) = (self.value(0)?, self.value(1)?);
        self.blocks(index.kind, x.dtype, index.grid(), index.block, |(i, j)| {
            let (x, index) = (x.read((i, 0))?, index.read((i, j))?);
            let mut out = index.clone();
            for y in 0..index.rows {
                for k in 0..index.cols {
                    let col = index.at(y, k) as usize;
                    if index.at(y, k) < 0.0 || col >= x.cols || y >= x.rows {
                        return Err(format!("({y}, {col}) is gathered"));
                    }
                    out.data[y * index.cols + k] = x.at(y, col);
                }
            }
            Ok(out)
        })
    }

    pub(super) fn cumsum(&self) -> Result<Value, Fault> {
        let (x, arithmetic) = (self.value(0)?, self.context.arithmetic);
        self.blocks(x.kind, x.dtype, x.grid(), x.block, |at| {
            let mut out = x.read(at)?;
            for i in (0..out.data.len()).filter(|i| i % out.cols > 0) {
                let before = out.data[i - 1];
                out.data[i] = arithmetic.join(Binary::Add, before, out.data[i], x.dtype)?;
            }
            Ok(out)
        })
    }

    pub(super) fn mask_rows(&self) -> Result<Value, Fault> {
        let (x, count) = (self.value(0)?, self.of_kind(1, Kind::Tensor)?);
        let count = count.read((0, 0))?.at(0, 0);
        self.blocks(x.kind, x.dtype, x.grid(), x.block, |(i, j)| {
            let mut out = x.read((i, j))?;
            for (at, element) in out.data.iter_mut().enumerate() {
                let row = i * x.block.0 + at / out.cols;
                if row as f64 >= count {
                    *element = 0.0;
                }
            }
            Ok(out)
        })
    }

    /// Whole: one row an index. A tile: block (i, 0) is the row of the table that index block (0, i) names.
    pub(super) fn gather_rows(&self) -> Result<Value, Fault> {
        let (table, index) = (self.value(0)?, self.value(1)?);
        let row = |id: f64, j: usize| {
            let table = match table.kind {
                Kind::Tensor => &table.cut(Kind::Tile, (1, table.cols))?,
                _ => table,
            };
            if table.block.0 != 1 || id < 0.0 {
                return Err(format!("row {id} of blocks of {} rows", table.block.0));
            }
            table.read((id as usize, j))
        };
        if index.kind == Kind::Tensor {
            let ids = index.read((0, 0))?.data;
            let block = (ids.len(), table.cols);
            let mut out = Value::unwritten(Kind::Tensor, table.dtype, block, block);
            for (i, id) in ids.into_iter().enumerate() {
                out.write((i, 0), &row(id, 0)?)?;
            }
            return out.complete();
        }
        if index.block != (1, 1) || index.rows != 1 {
            return Err(format!("indices in blocks of {:?}", index.block));
        }
        let grid = (index.cols, table.grid().1);
        self.blocks(Kind::Tile, table.dtype, grid, table.block, |(i, j)| {
            row(index.read((0, i))?.at(0, 0), j)
        })
    }
}

/// One matrix of logits, made doubly stochastic, rounded to f32.
fn sinkhorn(row: &[f64], n: usize, iterations: usize, eps: f64) -> Vec<f64> {
    let mut m: Vec<f64> = vec![];
    for row in row.chunks_exact(n) {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let exp: Vec<f64> = row.iter().map(|x| (x - largest).exp()).collect();
        let total: f64 = exp.iter().sum();
        m.extend(exp.iter().map(|e| e / total + eps));
    }
    for iteration in 0..iterations {
        for row in m.chunks_exact_mut(n).filter(|_| iteration > 0) {
            let total = row.iter().sum::<f64>() + eps;
            row.iter_mut().for_each(|x| *x /= total);
        }
        for c in 0..n {
            let total = (0..n).map(|r| m[r * n + c]).sum::<f64>() + eps;
            (0..n).for_each(|r| m[r * n + c] /= total);
        }
    }
    m.into_iter().map(|x| f64::from(x as f32)).collect()
}

/// Columns of the `k` largest of a row: ties to the lower column, NaN below every number.
fn largest(x: &Block, row: usize, k: usize) -> Vec<f64> {
    let mut order: Vec<usize> = (0..x.cols).collect();
    order.sort_by(|a, b| {
        let (a, b) = (x.at(row, *a), x.at(row, *b));
        b.partial_cmp(&a)
            .unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
    });
    order.into_iter().take(k).map(|c| c as f64).collect()
}
