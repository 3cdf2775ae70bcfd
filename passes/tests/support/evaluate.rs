//! The value of one term for the values of its children, computed block by block as a kernel would.
//!
//! Consumers map block coordinates: element-wise (i, j), a per-row operand (i, 0), a per-column one (0, j). A loop over chunks
//! reads chunk after chunk. A part of a split product is found from the row block: of M / r row blocks a part, row block i is
//! block i mod (M / r) of part i / (M / r). Whoever maps otherwise computes something else, and a check sees it.

use super::value::{Arithmetic, Block, Fault, Value};
use egg::Symbol;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{Binary, Reduce};
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
        Term::App(Head::Pieces, _) => {
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
        let arithmetic = self.context.arithmetic;
        match head {
            Head::Input => match self.children[0] {
                Denotation::Name(s) => {
                    (self.context.input)(*s).ok_or_else(|| format!("there is no tensor {s}"))
                }
                other => Err(format!("{other:?} is no name")),
            },
            // What ranks exchange is given, as an input is; how many blocks share the work changes nothing of it.
            Head::Exchanged => match self.children[0] {
                Denotation::Name(s) => {
                    (self.context.input)(*s).ok_or_else(|| format!("there is no exchange of {s}"))
                }
                other => Err(format!("{other:?} is no name")),
            },
            Head::ByLine => Ok(self.of_kind(0, Kind::Tensor)?.clone()),
            Head::Share => {
                let v = self.of_kind(1, Kind::Tensor)?;
                v.cut(Kind::Block, (v.rows, v.cols))
            }
            Head::Buf => Ok(self.of_kind(1, Kind::Tensor)?.clone()),
            Head::Cast(to, round) => {
                let from = self.value(0)?.dtype;
                self.map(to, |x| Ok(arithmetic.cast(x, from, to, round)))
            }
            Head::Unary(op) => {
                let dtype = self.value(0)?.dtype;
                self.map(dtype, |x| arithmetic.unary(op, x, dtype))
            }
            Head::Scalar(op) => {
                let (dtype, c) = (self.value(0)?.dtype, self.constant(1)?);
                self.map(dtype, |x| arithmetic.binary(op, x, c, dtype))
            }
            Head::ScalarLeft(op) => {
                let (dtype, c) = (self.value(0)?.dtype, self.constant(1)?);
                self.map(dtype, |x| arithmetic.binary(op, c, x, dtype))
            }
            Head::Binary(op) => self.zip(op, |a| a.block, |at| at, |y, x| (y, x)),
            Head::RowBinary(op) => self.zip(op, |a| (a.block.0, 1), |(i, _)| (i, 0), |y, _| (y, 0)),
            Head::ColBinary(op) => self.zip(op, |a| (1, a.block.1), |(_, j)| (0, j), |_, x| (0, x)),
            Head::GroupColBinary(op) => self.group_columns(op),
            Head::GroupedMatmulNt => self.grouped_product(),
            Head::SliceCols => {
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
            Head::ConcatCols => {
                let (a, b) = self.operands(0, 1, Kind::Tensor)?;
                let block = (a.rows, a.cols + b.cols);
                let mut out = Value::unwritten(a.kind, a.dtype, block, block);
                out.write((0, 0), &a.read((0, 0))?)?;
                out.write((0, a.cols), &b.read((0, 0))?)?;
                out.complete()
            }
            Head::RepeatCols => {
                let (x, cols, all) = (self.value(0)?, self.num(1)?, self.num(2)?);
                if x.cols != 1 || cols == 0 || !all.is_multiple_of(cols) {
                    return Err(format!(
                        "{} columns are repeated to {cols} of {all}",
                        x.cols
                    ));
                }
                let grid = (x.grid().0, all / cols);
                self.blocks(x.kind, x.dtype, grid, (x.block.0, cols), |(i, _)| {
                    let x = x.read((i, 0))?;
                    let data = x.data.iter().flat_map(|e| vec![*e; cols]).collect();
                    Ok(Block {
                        rows: x.rows,
                        cols,
                        data,
                    })
                })
            }
            Head::Sinkhorn => {
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
            Head::Reduce(op) => self.reduce(op),
            Head::MatmulNt => {
                let (a, b) = self.operands(0, 1, Kind::Tensor)?;
                let all = (0, a.cols);
                let chunk = self.context.chunk.unwrap_or(a.cols);
                self.whole_product(&[(all, chunk)], a, b)
            }
            Head::Parts => {
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
            Head::PadCols => {
                let (x, cols, value) = (self.value(0)?, self.num(1)?, self.constant(2)?);
                if x.grid().1 != 1 || cols < x.cols {
                    return Err(format!("{} columns are padded to {cols}", x.cols));
                }
                let block = (x.block.0, cols);
                let mut out = Value::unwritten(x.kind, x.dtype, (x.rows, cols), block);
                for i in 0..x.grid().0 {
                    let row = i * x.block.0;
                    out.write((row, 0), &x.read((i, 0))?)?;
                    out.write((row, x.cols), &filled(x.block.0, cols - x.cols, value))?;
                }
                out.complete()
            }
            Head::TopK => {
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
            Head::GatherCols => {
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
            Head::GatherRows => self.gather_rows(),
            Head::MaskRows => {
                let (x, count) = (self.value(0)?, self.of_kind(1, Kind::Tensor)?);
                let count = count.read((0, 0))?.at(0, 0);
                self.blocks(x.kind, x.dtype, x.grid(), x.block, |(i, j)| {
                    let mut out = x.read((i, j))?;
                    for (at, element) in out.data.iter_mut().enumerate() {
                        let row = i * out.rows + at / out.cols;
                        if row as f64 >= count {
                            *element = 0.0;
                        }
                    }
                    Ok(out)
                })
            }
            Head::Tile | Head::Load => {
                let block = (self.num(0)?, self.num(1)?);
                self.of_kind(2, Kind::Tensor)?.cut(Kind::Tile, block)
            }
            Head::Halve(op) => {
                let (times, t) = (self.num(0)?, self.of_kind(1, Kind::Tile)?);
                let cols = t.block.1 >> times;
                if cols << times != t.block.1 {
                    return Err(format!("{:?} is halved {times} times", t.block));
                }
                self.blocks(Kind::Tile, t.dtype, t.grid(), (t.block.0, cols), |at| {
                    let mut left = t.read(at)?;
                    for _ in 0..times {
                        let whole = left.data.chunks(left.cols);
                        let half = left.cols / 2;
                        let (a, b): (Vec<_>, Vec<_>) = whole.map(|row| row.split_at(half)).unzip();
                        let right = Block {
                            data: b.concat(),
                            cols: half,
                            ..left.clone()
                        };
                        left = Block {
                            data: a.concat(),
                            ..right.clone()
                        };
                        left = self.join(op.combine(), left, &right, t.dtype)?;
                    }
                    Ok(left)
                })
            }
            Head::Pieces => Err("pieces are a number".into()),
            Head::Fold(op) => self.fold(op),
            Head::Mm => {
                let (extent, chunk) = (self.num(1)?, self.num(2)?);
                self.chunked_product(1, extent, chunk, 3)
            }
            Head::MmParts => {
                let (parts, extent, chunk) = (self.num(0)?, self.num(2)?, self.num(3)?);
                self.chunked_product(parts, extent, chunk, 4)
            }
            Head::MmGrouped => {
                let (groups, extent, chunk) = (self.num(0)?, self.num(2)?, self.num(3)?);
                self.grouped_chunks(groups, extent, chunk)
            }
            Head::AddParts => {
                let (s, t) = (self.num(0)?, self.of_kind(1, Kind::Tile)?);
                let (m, n) = t.grid();
                if s == 0 || !m.is_multiple_of(s) {
                    return Err(format!("{m} row blocks are no {s} parts"));
                }
                self.blocks(Kind::Tile, t.dtype, (m / s, n), t.block, |(i, j)| {
                    let mut sum = t.read((i, j))?;
                    for q in 1..s {
                        sum =
                            self.join(Binary::Add, sum, &t.read((q * (m / s) + i, j))?, t.dtype)?;
                    }
                    Ok(sum)
                })
            }
            Head::Cols => {
                let (n, c, t) = (self.num(1)?, self.num(2)?, self.of_kind(3, Kind::Tile)?);
                self.gathered_blocks(t, (t.block.0, n), (t.block.0, c))
            }
            Head::Rows => {
                let (b, r, body) = (self.num(0)?, self.num(1)?, self.of_kind(2, Kind::Block)?);
                self.gathered_blocks(body, (b, body.block.1), (r, body.block.1))
            }
            Head::WithPad => {
                let (width, body) = (self.num(0)?, self.of_kind(2, Kind::Block)?);
                if body.grid().1 != 1 || width < body.cols {
                    return Err(format!(
                        "{} blocks a row fill columns {}..{width}",
                        body.grid().1,
                        body.cols
                    ));
                }
                let size = (body.rows, width);
                let block = (body.block.0, width);
                let mut out = Value::unwritten(Kind::Block, body.dtype, size, block);
                for i in 0..body.grid().0 {
                    let row = i * body.block.0;
                    out.write((row, 0), &body.read((i, 0))?)?;
                    let padding = filled(body.block.0, width - body.cols, self.constant(1)?);
                    out.write((row, body.cols), &padding)?;
                }
                out.complete()
            }
            Head::Fill => {
                let (rows, from, to) = (self.num(0)?, self.num(1)?, self.num(2)?);
                if from > to {
                    return Err(format!("columns {from}..{to} are filled"));
                }
                let size = (rows, to);
                let mut out = Value::unwritten(Kind::Block, DType::F32, size, size);
                out.uniform = true;
                out.write((0, from), &filled(rows, to - from, self.constant(3)?))?;
                Ok(out)
            }
            Head::Launch(_) => {
                let (rows, cols) = (self.num(0)?, self.num(1)?);
                let body = self.of_kind(2, Kind::Block)?;
                if body.uniform {
                    return self.launch_fill(rows, cols, body);
                }
                if (rows, cols) != (body.rows, body.cols) {
                    return Err(format!(
                        "a launch of {rows} x {cols} has blocks of {} x {}",
                        body.rows, body.cols
                    ));
                }
                let size = (rows, cols);
                let mut out = Value::unwritten(Kind::Tensor, body.dtype, size, size);
                let (m, n) = body.grid();
                for at in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                    out.write((at.0 * body.block.0, at.1 * body.block.1), &body.read(at)?)?;
                }
                out.complete()
            }
            Head::Overlay => {
                let (a, b) = self.operands(0, 1, Kind::Tensor)?;
                let mut out = a.clone();
                out.dtype = b.dtype;
                out.write((0, 0), &b.read((0, 0))?)?;
                out.complete()
            }
        }
    }

    fn operands(&self, a: usize, b: usize, kind: Kind) -> Result<(&Value, &Value), Fault> {
        Ok((self.of_kind(a, kind)?, self.of_kind(b, kind)?))
    }

    /// A matrix from its blocks.
    fn blocks(
        &self,
        kind: Kind,
        dtype: DType,
        (m, n): (usize, usize),
        (r, c): (usize, usize),
        mut block: impl FnMut((usize, usize)) -> Result<Block, Fault>,
    ) -> Result<Value, Fault> {
        let mut out = Value::unwritten(kind, dtype, (m * r, n * c), (r, c));
        for i in 0..m {
            for j in 0..n {
                out.write((i * r, j * c), &block((i, j))?)?;
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

    fn reduce(&self, op: Reduce) -> Result<Value, Fault> {
        let x = self.value(0)?;
        let (join, arithmetic) = (op.combine(), self.context.arithmetic);
        let chunk = match x.kind {
            Kind::Tensor => self.context.chunk.unwrap_or(x.cols),
            _ => x.block.1,
        };
        self.blocks(x.kind, x.dtype, x.grid(), (x.block.0, 1), |at| {
            let block = x.read(at)?;
            let mut data = vec![];
            for row in block.data.chunks_exact(block.cols) {
                let partial = |chunk: &[f64]| {
                    chunk[1..]
                        .iter()
                        .try_fold(chunk[0], |a, b| arithmetic.join(join, a, *b, x.dtype))
                };
                let mut chunks = row.chunks(chunk);
                let first = partial(chunks.next().ok_or("a row is empty")?)?;
                data.push(
                    chunks
                        .try_fold(first, |a, c| arithmetic.join(join, a, partial(c)?, x.dtype))?,
                );
            }
            Ok(Block {
                rows: block.rows,
                cols: 1,
                data,
            })
        })
    }

    fn fold(&self, op: Reduce) -> Result<Value, Fault> {
        let (extent, chunk) = (self.num(1)?, self.num(2)?);
        let body = self.of_kind(3, Kind::Tile)?;
        let trips = trips(extent, chunk)?;
        if body.block.1 != 1 || body.grid().1 != trips {
            return Err(format!(
                "{trips} trips over {} chunks of {} columns",
                body.grid().1,
                body.block.1
            ));
        }
        let grid = (body.grid().0, 1);
        self.blocks(Kind::Tile, body.dtype, grid, body.block, |(i, _)| {
            let mut out = body.read((i, 0))?;
            for k in 1..trips {
                out = self.join(op.combine(), out, &body.read((i, k))?, body.dtype)?;
            }
            Ok(out)
        })
    }

    fn join(&self, op: Binary, mut a: Block, b: &Block, dtype: DType) -> Result<Block, Fault> {
        for (x, y) in a.data.iter_mut().zip(&b.data) {
            *x = self.context.arithmetic.join(op, *x, *y, dtype)?;
        }
        Ok(a)
    }

    /// The products over `(first column, columns)` in chunks, stacked.
    fn whole_product(
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
    fn chunked_product(
        &self,
        parts: usize,
        extent: usize,
        chunk: usize,
        first: usize,
    ) -> Result<Value, Fault> {
        let (a, b) = self.operands(first, first + 1, Kind::Tile)?;
        let dtype = self.product_type(a, b)?;
        let trips = trips(extent, chunk)?;
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
                let (a, b) = (a.read((i, k))?, b.read((j, k))?);
                for first in (0..chunk).step_by(piece) {
                    let product = self.dot(&a, &b, first..first + piece, dtype)?;
                    sum = Some(self.accumulate(sum, product, dtype)?);
                }
            }
            sum.ok_or("nothing is summed".into())
        })
    }

    /// Each group of rows with its own row of the second operand.
    fn group_columns(&self, op: Binary) -> Result<Value, Fault> {
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
                let (row, col) = (i * x.rows + e / x.cols, j * x.cols + e % x.cols);
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
    fn grouped_product(&self) -> Result<Value, Fault> {
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
    fn grouped_chunks(&self, groups: usize, extent: usize, chunk: usize) -> Result<Value, Fault> {
        let (a, b) = self.operands(4, 5, Kind::Tile)?;
        let dtype = self.product_type(a, b)?;
        let trips = trips(extent, chunk)?;
        let ((m, k), (all, other)) = (a.grid(), b.grid());
        let fits = groups > 0 && m.is_multiple_of(groups) && all.is_multiple_of(groups);
        if !fits || a.block.1 != chunk || b.block.1 != chunk || k != trips || k != other {
            return Err(format!(
                "{groups} groups of {m} and {all} blocks, {k} chunks"
            ));
        }
        let n = all / groups;
        let block = (a.block.0, b.block.0);
        let piece = self.piece(3)?;
        self.blocks(Kind::Tile, dtype, (m, n), block, |(i, j)| {
            let group = i / (m / groups);
            let mut sum = None;
            for k in 0..trips {
                let (a, b) = (a.read((i, k))?, b.read((group * n + j, k))?);
                for first in (0..chunk).step_by(piece) {
                    let product = self.dot(&a, &b, first..first + piece, dtype)?;
                    sum = Some(self.accumulate(sum, product, dtype)?);
                }
            }
            sum.ok_or("nothing is summed".into())
        })
    }

    fn product_type(&self, a: &Value, b: &Value) -> Result<DType, Fault> {
        match (a.dtype, b.dtype) {
            (DType::I8, DType::I8) => Ok(DType::I32),
            (x, y) if x == y && x.is_float() => Ok(DType::F32),
            (x, y) => Err(format!("a product of {x} and {y}")),
        }
    }

    fn accumulate(&self, sum: Option<Block>, next: Block, dtype: DType) -> Result<Block, Fault> {
        match sum {
            None => Ok(next),
            Some(sum) => self.join(Binary::Add, sum, &next, dtype),
        }
    }

    fn dot(
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

    /// Whole: one row an index. A tile: block (i, 0) is the row of the table that index block (0, i) names.
    fn gather_rows(&self) -> Result<Value, Fault> {
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

    /// Blocks of `large` that a loop stores piece by piece.
    fn gathered_blocks(
        &self,
        pieces: &Value,
        large: (usize, usize),
        small: (usize, usize),
    ) -> Result<Value, Fault> {
        if pieces.block != small {
            return Err(format!("pieces of {:?} are not {small:?}", pieces.block));
        }
        let (down, across) = (trips(large.0, small.0)?, trips(large.1, small.1)?);
        let cut = pieces.cut(Kind::Block, large)?;
        self.blocks(Kind::Block, pieces.dtype, cut.grid(), large, |(i, j)| {
            let mut block = Value::unwritten(Kind::Block, pieces.dtype, large, large);
            for y in 0..down {
                for x in 0..across {
                    let piece = pieces.read((i * down + y, j * across + x))?;
                    block.write((y * small.0, x * small.1), &piece)?;
                }
            }
            block.complete()?.read((0, 0))
        })
    }

    fn launch_fill(&self, rows: usize, cols: usize, body: &Value) -> Result<Value, Fault> {
        if cols != body.cols || rows == 0 || !rows.is_multiple_of(body.rows) {
            return Err(format!(
                "a launch of {rows} x {cols} fills {} x {}",
                body.rows, body.cols
            ));
        }
        let size = (rows, cols);
        let mut out = Value::unwritten(Kind::Tensor, body.dtype, size, size);
        out.data = body.data.repeat(rows / body.rows);
        Ok(out)
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

fn filled(rows: usize, cols: usize, value: f64) -> Block {
    Block {
        rows,
        cols,
        data: vec![value; rows * cols],
    }
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

fn trips(extent: usize, chunk: usize) -> Result<usize, Fault> {
    match chunk > 0 && extent > 0 && extent.is_multiple_of(chunk) {
        true => Ok(extent / chunk),
        false => Err(format!("chunks of {chunk} do not divide {extent}")),
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}
