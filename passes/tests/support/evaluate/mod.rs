//! The value of one term for the values of its children, computed block by block as a kernel would.
//!
//! Consumers map block coordinates: element-wise (i, j), a per-row operand (i, 0), a per-column one (0, j). A loop over chunks
//! reads chunk after chunk. A part of a split product is found from the row block: of M / r row blocks a part, row block i is
//! block i mod (M / r) of part i / (M / r). Whoever maps otherwise computes something else, and a check sees it.

mod products;
mod schedule;
mod values;

use super::value::{Arithmetic, Block, Fault, Value};
use egg::Symbol;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{Binary, Operator};
use tilewright_passes::term::analysis::Kind;
use tilewright_passes::term::language::{Head, Term};

/// What a term stands for.
#[derive(Debug, Clone, PartialEq)]
pub enum Denotation {
    Num(usize),
    /// A number, and the pieces in which a product takes it.
    Pieces(usize, usize),
    Const(f32),
    Name(Symbol),
    Value(Value),
}

/// What evaluation needs besides the children.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub arithmetic: Arithmetic,
    /// The tensor of a name.
    pub input: &'a dyn Fn(Symbol) -> Option<Value>,
    /// Columns that a whole reduction or product takes at a time: that is the order which its text stands for.
    pub chunk: Option<usize>,
}

/// The value of a term.
pub fn evaluate(
    term: &Term,
    children: &[&Denotation],
    context: Context,
) -> Result<Denotation, Fault> {
    match term {
        Term::Num(n) => Ok(Denotation::Num(
            usize::try_from(*n).map_err(|_| "negative")?,
        )),
        Term::Const(c) => Ok(Denotation::Const(c.value())),
        Term::Name(s) => Ok(Denotation::Name(*s)),
        Term::App(Head::Pieces | Head::Kept, _) => {
            let children = Children { children, context };
            let (chunk, piece) = (children.num(0)?, children.num(1)?);
            match piece > 0 && chunk.is_multiple_of(piece) {
                true => Ok(Denotation::Pieces(chunk, piece)),
                false => Err(format!("{chunk} in pieces of {piece}")),
            }
        }
        Term::App(head, _) => {
            let children = Children { children, context };
            children.apply(*head).map(Denotation::Value)
        }
    }
}

struct Children<'a> {
    children: &'a [&'a Denotation],
    context: Context<'a>,
}

impl Children<'_> {
    fn num(&self, i: usize) -> Result<usize, Fault> {
        match self.children[i] {
            Denotation::Num(n) | Denotation::Pieces(n, _) => Ok(*n),
            other => Err(format!("operand {i} is no number: {other:?}")),
        }
    }

    /// What of a chunk is multiplied at a time.
    fn piece(&self, i: usize) -> Result<usize, Fault> {
        match self.children[i] {
            Denotation::Pieces(_, piece) => Ok(*piece),
            _ => self.num(i),
        }
    }

    fn constant(&self, i: usize) -> Result<f64, Fault> {
        match self.children[i] {
            Denotation::Const(c) => Ok(f64::from(*c)),
            other => Err(format!("operand {i} is no constant: {other:?}")),
        }
    }

    fn value(&self, i: usize) -> Result<&Value, Fault> {
        match self.children[i] {
            Denotation::Value(v) => Ok(v),
            other => Err(format!("operand {i} is no value: {other:?}")),
        }
    }

    fn of_kind(&self, i: usize, kind: Kind) -> Result<&Value, Fault> {
        let v = self.value(i)?;
        match v.kind == kind {
            true => Ok(v),
            false => Err(format!("operand {i} is a {:?}, not a {kind:?}", v.kind)),
        }
    }

    fn apply(&self, head: Head) -> Result<Value, Fault> {
        match head {
            Head::Input | Head::Exchanged => self.given(),
            Head::ByLine => Ok(self.of_kind(0, Kind::Tensor)?.clone()),
            Head::Share => self.share(),
            Head::Buf => Ok(self.of_kind(1, Kind::Tensor)?.clone()),
            Head::Op(Operator::Cast(to, round)) => self.cast(to, round),
            Head::Op(Operator::Unary(op)) => self.unary(op),
            Head::Op(Operator::Scalar(op)) => self.scalar(op),
            Head::Op(Operator::ScalarLeft(op)) => self.scalar_left(op),
            Head::Op(Operator::Binary(op)) => self.zip(op, |a| a.block, |at| at, |y, x| (y, x)),
            Head::Op(Operator::RowBinary(op)) => {
                self.zip(op, |a| (a.block.0, 1), |(i, _)| (i, 0), |y, _| (y, 0))
            }
            Head::Op(Operator::ColBinary(op)) => {
                self.zip(op, |a| (1, a.block.1), |(_, j)| (0, j), |_, x| (0, x))
            }
            Head::Op(Operator::GroupColBinary(op)) => self.group_columns(op),
            Head::Op(Operator::GroupedMatmulNt) => self.grouped_product(),
            Head::Op(Operator::SliceCols) => self.slice_cols(),
            Head::Op(Operator::ConcatCols) => self.concat_cols(),
            Head::Op(Operator::Transpose) => self.transpose(),
            Head::Op(Operator::Reshape) => self.reshape(),
            Head::Op(Operator::RepeatCols) => self.repeat_cols(),
            Head::Op(Operator::Sinkhorn) => self.sinkhorn(),
            Head::Op(Operator::Reduce(op)) => self.reduce(op.combine()),
            Head::Op(Operator::RowProd) => self.reduce(Binary::Mul),
            Head::Op(Operator::Cumsum) => self.cumsum(),
            Head::Op(Operator::MatmulNt) => self.matmul_nt(),
            Head::Parts => self.parts(),
            Head::Op(Operator::PadCols) => self.pad_cols(),
            Head::Op(Operator::TopK) => self.top_k(),
            Head::Op(Operator::GatherCols) => self.gather_cols(),
            Head::Op(Operator::GatherRows) => self.gather_rows(),
            Head::Op(Operator::MaskRows) => self.mask_rows(),
            Head::Tile | Head::Load => self.tile(),
            Head::Halve(op) => self.halve(op),
            Head::Pieces | Head::Kept => Err("pieces are a number".into()),
            Head::Fold(op) => self.fold(op),
            Head::Mm => self.mm(),
            Head::MmParts => self.mm_parts(),
            Head::MmGrouped => self.mm_grouped(),
            Head::AddParts => self.add_parts(),
            Head::Cols => self.cols(),
            Head::Rows => self.rows(),
            Head::WithPad => self.with_pad(),
            Head::Fill => self.fill(),
            Head::Launch(_) => self.launch(),
            Head::Overlay => self.overlay(),
        }
    }

    fn operands(&self, a: usize, b: usize, kind: Kind) -> Result<(&Value, &Value), Fault> {
        Ok((self.of_kind(a, kind)?, self.of_kind(b, kind)?))
    }

    /// A matrix from its blocks, of which the last ones may be smaller.
    fn blocks(
        &self,
        kind: Kind,
        dtype: DType,
        (m, n): (usize, usize),
        (r, c): (usize, usize),
        mut block: impl FnMut((usize, usize)) -> Result<Block, Fault>,
    ) -> Result<Value, Fault> {
        let mut rows = vec![];
        for i in 0..m {
            let row: Result<Vec<Block>, Fault> = (0..n).map(|j| block((i, j))).collect();
            rows.push(row?);
        }
        let last = rows.last().and_then(|row| row.last());
        let (height, width) = last.map_or((r, c), |b| (b.rows, b.cols));
        if height > r || width > c {
            return Err(format!(
                "a block of {height} x {width} is none of {r} x {c}"
            ));
        }
        let size = ((m - 1) * r + height, (n - 1) * c + width);
        let mut out = Value::unwritten(kind, dtype, size, (r, c));
        for (i, row) in rows.iter().enumerate() {
            for (j, block) in row.iter().enumerate() {
                out.write((i * r, j * c), block)?;
            }
        }
        out.complete()
    }

    fn map(&self, dtype: DType, f: impl Fn(f64) -> Result<f64, Fault>) -> Result<Value, Fault> {
        let x = self.value(0)?;
        self.blocks(x.kind, dtype, x.grid(), x.block, |at| {
            let mut block = x.read(at)?;
            for e in &mut block.data {
                *e = f(*e)?;
            }
            Ok(block)
        })
    }

    /// `a op b` where `b` has blocks of a shape that follows from `a`, and is read at mapped coordinates.
    fn zip(
        &self,
        op: Binary,
        shape: impl Fn(&Value) -> (usize, usize),
        block_of: impl Fn((usize, usize)) -> (usize, usize),
        element_of: impl Fn(usize, usize) -> (usize, usize),
    ) -> Result<Value, Fault> {
        let (a, b) = (self.value(0)?, self.value(1)?);
        if b.kind != a.kind || b.block != shape(a) || a.dtype != b.dtype {
            return Err(format!(
                "{:?} of {:?} and {:?} of {:?} do not fit",
                a.kind, a.block, b.kind, b.block
            ));
        }
        self.blocks(a.kind, a.dtype, a.grid(), a.block, |at| {
            let (mut x, y) = (a.read(at)?, b.read(block_of(at))?);
            for e in 0..x.data.len() {
                let (row, col) = element_of(e / x.cols, e % x.cols);
                let (left, right) = (x.data[e], y.at(row, col));
                x.data[e] = self.context.arithmetic.binary(op, left, right, a.dtype)?;
            }
            Ok(x)
        })
    }

    fn transpose(&self) -> Result<Value, Fault> {
        let x = self.value(0)?;
        let ((m, n), (r, c)) = (x.grid(), x.block);
        self.blocks(x.kind, x.dtype, (n, m), (c, r), |(i, j)| {
            let block = x.read((j, i))?;
            let (rows, cols) = (block.rows, block.cols);
            let places = (0..cols).flat_map(|col| (0..rows).map(move |row| (row, col)));
            Ok(Block {
                rows: cols,
                cols: rows,
                data: places.map(|(row, col)| block.at(row, col)).collect(),
            })
        })
    }

    fn join(&self, op: Binary, mut a: Block, b: &Block, dtype: DType) -> Result<Block, Fault> {
        for (x, y) in a.data.iter_mut().zip(&b.data) {
            *x = self.context.arithmetic.join(op, *x, *y, dtype)?;
        }
        Ok(a)
    }
}

fn filled(rows: usize, cols: usize, value: f64) -> Block {
    Block {
        rows,
        cols,
        data: vec![value; rows * cols],
    }
}

/// Trips over chunks, of which the last one may be smaller.
fn trips(extent: usize, chunk: usize) -> Result<usize, Fault> {
    match chunk > 0 && chunk <= extent {
        true => Ok(extent.div_ceil(chunk)),
        false => Err(format!("chunks of {chunk} of {extent}")),
    }
}
