//! Values of terms: matrices cut into blocks, and arithmetic on their elements.

use super::choices::mix;
use tilewright_backends::data::convert::{integer_range, round_f32};
use tilewright_backends::data::{Scalar, arith, cast_scalar};
use tilewright_ir::dtype::{DType, Round};
use tilewright_ir::graph::{Binary, Unary};
use tilewright_passes::term::analysis::Kind;

/// Why a term has no value, or not the one that it should have.
pub type Fault = String;

/// How elements are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
// Each suite uses some of these.
#[allow(dead_code)]
pub enum Arithmetic {
    /// In f64; an f32 is a real number, so that the order of a sum does not matter. Casts to narrower types round.
    Wide,
    /// Every operation rounds to its element type, in the order that the term states.
    Native,
    /// In f64, with floats of every type as real numbers: what `relaxed` rules keep.
    Real,
    /// As `Real`, but every result is off by up to a rounding of its element type, as the number here draws it (Monte Carlo
    /// arithmetic: Parker, "Monte Carlo arithmetic: exploiting randomness in floating-point arithmetic", UCLA 1997). How far
    /// results of several draws lie apart says how well a form is conditioned.
    Perturbed(u64),
}

/// A matrix as its blocks. A tensor is its own only block.
///
/// Elements are f64, which holds the values of every element type that occurs; `None` is one that nothing has written.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    pub kind: Kind,
    pub dtype: DType,
    pub rows: usize,
    pub cols: usize,
    /// Rows and columns of a block.
    pub block: (usize, usize),
    /// Whether every row of blocks is the one that is here, however many there are.
    pub uniform: bool,
    pub data: Vec<Option<f64>>,
}

/// A block that was read.
#[derive(Debug, Clone)]
pub struct Block {
    pub rows: usize,
    pub cols: usize,
    pub data: Vec<f64>,
}

impl Block {
    pub fn at(&self, row: usize, col: usize) -> f64 {
        self.data[row * self.cols + col]
    }
}

impl Value {
    pub fn tensor(dtype: DType, rows: usize, cols: usize, data: &[f64]) -> Self {
        Value {
            data: data.iter().copied().map(Some).collect(),
            ..Value::unwritten(Kind::Tensor, dtype, (rows, cols), (rows, cols))
        }
    }

    /// A matrix to [`Value::write`] blocks to.
    pub fn unwritten(
        kind: Kind,
        dtype: DType,
        (rows, cols): (usize, usize),
        block: (usize, usize),
    ) -> Self {
        Value {
            kind,
            dtype,
            rows,
            cols,
            block,
            uniform: false,
            data: vec![None; rows * cols],
        }
    }

    /// The same matrix, cut into other blocks, of which the last ones may be smaller.
    pub fn cut(&self, kind: Kind, block: (usize, usize)) -> Result<Self, Fault> {
        let fits = |size: usize, of: usize| (1..=of).contains(&size);
        if !fits(block.0, self.rows) || !fits(block.1, self.cols) {
            return Err(format!(
                "{} x {} has no blocks of {} x {}",
                self.rows, self.cols, block.0, block.1
            ));
        }
        Ok(Value {
            kind,
            block,
            ..self.clone()
        })
    }

    /// How many blocks there are, by rows and by columns.
    pub fn grid(&self) -> (usize, usize) {
        let (rows, cols) = self.block;
        (self.rows.div_ceil(rows), self.cols.div_ceil(cols))
    }

    pub fn read(&self, (i, j): (usize, usize)) -> Result<Block, Fault> {
        let (rows, cols) = self.block;
        let (m, n) = self.grid();
        if i >= m || j >= n {
            return Err(format!(
                "block ({i}, {j}) is read, but there are {m} x {n} blocks of {rows} x {cols}"
            ));
        }
        let first = (i * rows, j * cols);
        self.rectangle(
            first,
            (rows.min(self.rows - first.0), cols.min(self.cols - first.1)),
        )
    }

    /// So many rows and columns from an element on, which exist.
    pub fn rectangle(
        &self,
        first: (usize, usize),
        (rows, cols): (usize, usize),
    ) -> Result<Block, Fault> {
        let mut data = Vec::with_capacity(rows * cols);
        for y in 0..rows {
            for x in 0..cols {
                let (row, col) = (first.0 + y, first.1 + x);
                let element = self.data[row * self.cols + col];
                data.push(
                    element.ok_or_else(|| format!("({row}, {col}) is read but not written"))?,
                );
            }
        }
        Ok(Block { rows, cols, data })
    }

    /// Writes a rectangle whose first element is at `(row, col)`; each element is written once.
    pub fn write(&mut self, (row, col): (usize, usize), block: &Block) -> Result<(), Fault> {
        if row + block.rows > self.rows || col + block.cols > self.cols {
            return Err(format!(
                "{} x {} are written at ({row}, {col}) of {} x {}",
                block.rows, block.cols, self.rows, self.cols
            ));
        }
        for y in 0..block.rows {
            for x in 0..block.cols {
                let slot = &mut self.data[(row + y) * self.cols + col + x];
                if slot.replace(block.at(y, x)).is_some() {
                    return Err(format!("({}, {}) is written twice", row + y, col + x));
                }
            }
        }
        Ok(())
    }

    /// The value, when every element was written.
    pub fn complete(self) -> Result<Self, Fault> {
        match self.data.iter().position(Option::is_none) {
            None => Ok(self),
            Some(at) => Err(format!(
                "nothing writes ({}, {})",
                at / self.cols,
                at % self.cols
            )),
        }
    }
}

/// A float or integer as its element type has it.
fn scalar(x: f64, dtype: DType) -> Scalar {
    match dtype.is_float() {
        true => Scalar::Float(x as f32),
        false => Scalar::Int(x as i64),
    }
}

fn float(x: Scalar) -> f64 {
    match x {
        Scalar::Float(x) => f64::from(x),
        Scalar::Int(x) => x as f64,
    }
}

/// The largest relative error of one rounding to a float type.
pub fn unit_roundoff(dtype: DType) -> f64 {
    match dtype {
        DType::Bf16 => 2f64.powi(-8),
        DType::F16 => 2f64.powi(-11),
        _ => 2f64.powi(-24),
    }
}

/// A real number as an integer type holds it.
fn round_integer(x: f64, to: DType, round: Round) -> f64 {
    let whole = match round {
        Round::Rint => x.round_ties_even(),
        Round::Round => x.round(),
        Round::Trunc => x.trunc(),
        Round::Floor => x.floor(),
        Round::Ceil => x.ceil(),
    };
    match integer_range(to) {
        _ if x.is_nan() => 0.0,
        Some((low, high)) => whole.clamp(low as f64, high as f64),
        None => whole,
    }
}

impl Arithmetic {
    pub fn cast(self, x: f64, from: DType, to: DType, round: Round) -> f64 {
        if self == Arithmetic::Wide && to == DType::F32 && from.is_float() {
            return x;
        }
        if matches!(self, Arithmetic::Real | Arithmetic::Perturbed(_)) {
            if from.is_float() && to.is_float() {
                return self.settle(x, to);
            }
            if from.is_float() {
                return round_integer(x, to, round);
            }
        }
        float(cast_scalar(scalar(x, from), from, to, round))
    }

    pub fn unary(self, op: Unary, x: f64, dtype: DType) -> Result<f64, Fault> {
        if !dtype.is_float() {
            let y = arith::unary_int(op, x as i64);
            let y = y.ok_or_else(|| format!("{} of {dtype}", op.name()))?;
            return Ok(self.settle(y as f64, dtype));
        }
        let y = match (self, op) {
            (Arithmetic::Native, _) => f64::from(arith::unary(op, x as f32)),
            (_, Unary::Abs) => x.abs(),
            (_, Unary::Exp) => x.exp(),
            (_, Unary::Log) => x.ln(),
            (_, Unary::Sqrt) => x.sqrt(),
            (_, Unary::Relu) => x.max(0.0),
            (_, Unary::Neg) => -x,
        };
        Ok(self.settle(y, dtype))
    }

    pub fn binary(self, op: Binary, a: f64, b: f64, dtype: DType) -> Result<f64, Fault> {
        if !dtype.is_float() {
            let y = arith::binary_int(op, a as i64, b as i64);
            let y = y.ok_or_else(|| format!("{} of {dtype}", op.name()))?;
            return Ok(self.settle(y as f64, dtype));
        }
        let y = match (self, op) {
            (Arithmetic::Native, _) => f64::from(arith::binary(op, a as f32, b as f32)),
            (_, Binary::Add) => a + b,
            (_, Binary::Sub) => a - b,
            (_, Binary::Mul) => a * b,
            (_, Binary::Div) => a / b,
            // Of two values and not of their sums, so f32 does; but not every f64 is one.
            (_, Binary::Max) if a.is_nan() || b.is_nan() => f64::NAN,
            (_, Binary::Min) if a.is_nan() || b.is_nan() => f64::NAN,
            (_, Binary::Max) => match a.total_cmp(&b) {
                std::cmp::Ordering::Less => b,
                _ => a,
            },
            (_, Binary::Min) => match a.total_cmp(&b) {
                std::cmp::Ordering::Greater => b,
                _ => a,
            },
        };
        Ok(self.settle(y, dtype))
    }

    /// Joins two partial results of a reduction, whose order `Wide` does not see: it saturates and rounds nothing.
    pub fn join(self, op: Binary, a: f64, b: f64, dtype: DType) -> Result<f64, Fault> {
        match (self, op) {
            (Arithmetic::Wide | Arithmetic::Real, Binary::Add)
                if dtype.is_float() || self == Arithmetic::Wide =>
            {
                Ok(a + b)
            }
            _ => self.binary(op, a, b, dtype),
        }
    }

    /// A result, as its element type holds it.
    fn settle(self, x: f64, dtype: DType) -> f64 {
        match (self, dtype) {
            (Arithmetic::Wide, DType::F32) => x,
            (Arithmetic::Real, d) if d.is_float() => x,
            (Arithmetic::Perturbed(draw), d) if d.is_float() => {
                let unit = unit_roundoff(d);
                let z = mix(
                    draw,
                    x.to_bits() as u32 as usize ^ (x.to_bits() >> 32) as usize,
                );
                x * (1.0 + unit * (z as f64 / u64::MAX as f64 * 2.0 - 1.0))
            }
            (_, d) if d.is_float() => f64::from(round_f32(x as f32, d)),
            (_, d) => match integer_range(d) {
                Some((low, high)) => x.clamp(low as f64, high as f64),
                None => x,
            },
        }
    }
}
