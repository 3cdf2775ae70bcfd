//! Rows that are longer than what a core holds of one: what is computed of a whole row is computed of parts of it, as of rows of
//! their own, and then of what the parts give. A reshape makes them rows, which is no work.
//!
//! - The best of a row are among the best of its parts. Candidates stand in the order of their parts, so ties still go to the lower
//!   column.
//! - Sums up to each element are those within its part, and the sum of the parts before.
//! - The product of a row is that of its parts' products.
//! - An element that is looked up lies in one part. Every part is asked, those that do not have it give minus infinity, and the
//!   largest answer is the element.

use crate::rebuild::Rebuild;
use tilewright_ir::dtype::{DType, Round};
use tilewright_ir::graph::{Binary, Graph, GraphError, Node, Op, Prim, Reduce, Unary, Value};
use tilewright_ir::kernel::Space;
use tilewright_ir::machine::Machine;


/// Bytes that the sums up to each element of a row need on chip for each of its columns: a dozen rows, of which no more than
/// these live at once.
const OF_SUMS: usize = 32;
/// Those of the product of a row, which is filled to a power of two.
const OF_PRODUCT: usize = 24;
/// How many rows of other values a kernel is taken to hold beside one that it sorts or adds up, at most.
const BESIDE: usize = 8;
/// Bytes of a column of such a row: its elements are f32.
const ROW: usize = 4;
/// How many more parts than needed there may be, where so many divide the row: no copy with padding is made then.
const MORE: usize = 4;

/// What a core holds of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    bytes: usize,
    /// Columns that are sorted at once, the least.
    run: usize,
}

impl Room {
    pub fn of(machine: &Machine) -> Self {
        Room {
            bytes: machine.capacity_of(Space::Ub),
            run: machine.geometry.sort_run.count(),
        }
    }

    /// The columns that are sorted for a row of so many: a power of two.
    pub fn sorted(&self, cols: usize) -> usize {
        cols.max(self.run).next_power_of_two()
    }

    /// The longest row that is sorted beside so many others: its indices, the pairs before and after a merge, and the scratch of a
    /// merge of fewer than four runs.
    pub fn sorts(&self, beside: usize) -> usize {
        let pair = 2 * DType::F32.bytes();
        let fits = |cols: usize| {
            let fours = (cols / self.run).ilog2().is_multiple_of(2);
            let row = DType::U32.bytes() + pair * if fours { 2 } else { 3 } + ROW * beside;
            // Beside rows of a few elements.
            cols * row + self.run * pair <= self.bytes
        };
        let mut most = self.run;
        while fits(2 * most) {
            most *= 2;
        }
        most
    }

    fn of_columns(&self, bytes: usize, beside: usize) -> usize {
        (self.bytes / (bytes + ROW * beside)).max(self.run)
    }
}

/// How a row is cut: so many parts of a width, which have padding at the end unless they are the row.
struct Cut {
    parts: usize,
    width: usize,
}

/// Parts of at most so many columns, and `least`; none where there are no such.
fn cut(cols: usize, most: usize, least: usize) -> Option<Cut> {
    let fewest = cols.div_ceil(most);
    let even = (fewest..=fewest * MORE)
        .find(|n| cols.is_multiple_of(*n) && cols / n >= least)
        .map(|n| (n, cols / n));
    let (parts, width) = even.unwrap_or((fewest, cols.div_ceil(fewest)));
    (width >= least && parts > 1).then_some(Cut { parts, width })
}

/// A node whose row may be too long.
pub(super) struct Wide<'r, 'g> {
    pub rebuild: &'r mut Rebuild<'g>,
    pub room: Room,
    /// Rows of other values that its kernel is taken to hold.
    pub beside: usize,
}

type Made = Result<Value, GraphError>;

impl Wide<'_, '_> {
    /// How many other values of its region have as long rows.
    pub fn beside(graph: &Graph, node: &Node, cols: usize) -> usize {
        let values = graph.values().filter(|v| {
            let ty = graph.ty(*v);
            let other = graph.node(v.node);
            other.region == node.region && ty.shape.len() >= 2 && ty.matrix().1 >= cols
        });
        // Two of them are what is computed and what it is computed of.
        values.count().saturating_sub(2).min(BESIDE)
    }

    /// Columns of the k largest of each row, where the row cannot be sorted as it is.
    pub fn top_k(&mut self, x: Value, k: usize) -> Result<Option<Value>, GraphError> {
        let (_, cols) = self.matrix(x);
        let dtype = self.rebuild.out.ty(x).dtype;
        if dtype != DType::F32 {
            // Which keeps their order.
            let x = self.cast("wide", DType::F32, x)?;
            return Ok(Some(self.sorted(x, k)?));
        }
        let same = self.room.sorted(cols) == cols;
        match self.halves(x, k) {
            None if same => Ok(None),
            _ => Ok(Some(self.sorted(x, k)?)),
        }
    }

    /// The parts that a row is sorted in, if it has to be: each at least twice as long as what is wanted of it, so that less is
    /// left.
    fn halves(&self, x: Value, k: usize) -> Option<Cut> {
        let (_, cols) = self.matrix(x);
        let most = self.room.sorts(self.beside);
        let whole = self.rebuild.out.ty(x).ragged.is_none();
        match self.room.sorted(cols) > most && whole {
            true => cut(cols, most, 2 * k),
            false => None,
        }
    }

    fn sorted(&mut self, x: Value, k: usize) -> Made {
        let (rows, cols) = self.matrix(x);
        let Some(Cut { parts, width }) = self.halves(x, k) else {
            let x = self.padded(x, self.room.sorted(cols), f32::NEG_INFINITY)?;
            return self.add("result", Prim::TopK { k }, &[x]);
        };
        let filled = self.padded(x, parts * width, f32::NEG_INFINITY)?;
        let blocks = self.recut("blocks", filled, rows * parts, width)?;
        let within = self.padded(blocks, self.room.sorted(width), f32::NEG_INFINITY)?;
        let within = self.add("within", Prim::TopK { k }, &[within])?;
        let values = self.add("best", Prim::GatherCols, &[blocks, within])?;
        let values = self.recut("candidates", values, rows, parts * k)?;
        let columns = self.recut("columns", within, rows, parts * k)?;
        self.beside = 0;
        let chosen = self.sorted(values, k)?;
        let within = self.add("chosen", Prim::GatherCols, &[columns, chosen])?;
        // The number of the part is that of the candidate over k. Half of one more is far from the next whole number whatever
        // the rounding.
        let part = match k {
            1 => chosen,
            _ => {
                let place = self.cast("place", DType::F32, chosen)?;
                let middle = self.scalar("middle", Binary::Add, 0.5, place)?;
                let part = self.scalar("part", Binary::Mul, 1.0 / k as f32, middle)?;
                let (to, round) = (DType::I32, Round::Trunc);
                self.add("part", Prim::Cast { to, round }, &[part])?
            }
        };
        let first = self.scalar("first", Binary::Mul, width as f32, part)?;
        self.add("result", Prim::Binary(Binary::Add), &[within, first])
    }

    /// The sums up to each element of rows that are too long.
    pub fn cumsum(&mut self, x: Value) -> Result<Option<Value>, GraphError> {
        let most = self.room.of_columns(OF_SUMS, self.beside);
        match self.parts(x, most) {
            Some(cut) => Ok(Some(self.sums(x, cut)?)),
            None => Ok(None),
        }
    }

    fn sums(&mut self, x: Value, Cut { parts, width }: Cut) -> Made {
        let (rows, cols) = self.matrix(x);
        let filled = self.padded(x, parts * width, 0.0)?;
        let blocks = self.recut("blocks", filled, rows * parts, width)?;
        let within = self.add("within", Prim::Cumsum, &[blocks])?;
        let totals = match self.rebuild.out.ty(x).dtype {
            DType::F32 => self.add("totals", Prim::RowReduce(Reduce::Sum), &[blocks])?,
            // What is reduced is of floating point: the last of the sums is the same.
            _ => self.slice("totals", within, width - 1, width)?,
        };
        let totals = self.recut("row", totals, rows, parts)?;
        // Nothing is before the first part. Its first element is in all sums, so NaN may stand for nothing where it is NaN.
        let first = self.slice("first", x, 0, 1)?;
        let nothing = match self.rebuild.out.ty(x).dtype {
            DType::F32 => {
                let magnitude = self.add("magnitude", Prim::Unary(Unary::Abs), &[first])?;
                self.scalar("nothing", Binary::Min, 0.0, magnitude)?
            }
            _ => self.scalar("nothing", Binary::Mul, 0.0, first)?,
        };
        let others = self.slice("others", totals, 0, parts - 1)?;
        let before = self.add("before", Prim::ConcatCols, &[nothing, others])?;
        self.beside = 0;
        let before = match self.cumsum(before)? {
            Some(sums) => sums,
            None => self.add("before", Prim::Cumsum, &[before])?,
        };
        let before = self.recut("column", before, rows * parts, 1)?;
        let sums = self.add("sums", Prim::RowBinary(Binary::Add), &[within, before])?;
        let all = self.recut("all", sums, rows, parts * width)?;
        self.slice("result", all, 0, cols)
    }

    /// The products of rows that are too long.
    pub fn row_prod(&mut self, x: Value) -> Result<Option<Value>, GraphError> {
        let most = self.room.of_columns(OF_PRODUCT, self.beside);
        let Some(Cut { parts, width }) = self.parts(x, most) else {
            return Ok(None);
        };
        let (rows, _) = self.matrix(x);
        let filled = self.padded(x, parts * width, 1.0)?;
        let blocks = self.recut("blocks", filled, rows * parts, width)?;
        let products = self.add("products", Prim::RowProd, &[blocks])?;
        let products = self.recut("row", products, rows, parts)?;
        self.beside = 0;
        match self.row_prod(products)? {
            Some(product) => Ok(Some(product)),
            None => Ok(Some(self.add("result", Prim::RowProd, &[products])?)),
        }
    }

    /// Elements of rows that are too long to look them up in.
    pub fn gather_cols(&mut self, x: Value, index: Value) -> Result<Option<Value>, GraphError> {
        let dtype = self.rebuild.out.ty(x).dtype;
        let ((_, cols), (_, picked)) = (self.matrix(x), self.matrix(index));
        // The elements that are found, and a few rows of indices.
        let few = ROW * (BESIDE + self.beside) * picked;
        let room = self.room.bytes.saturating_sub(few);
        if !dtype.is_float() || cols * dtype.bytes() <= room {
            return Ok(None);
        }
        // Each part is copied to where one more column stands behind it.
        let width = (room / (2 * dtype.bytes()) / self.room.run * self.room.run).max(self.room.run);
        let mut found = None;
        for from in (0..cols).step_by(width) {
            let here = self.part(x, index, (from, (from + width).min(cols)))?;
            found = Some(match found {
                None => here,
                Some(before) => {
                    self.add("found", Prim::Binary(Binary::Max), &[before, here])?
                }
            });
        }
        Ok(found)
    }

    /// The elements of columns `from..to` that an index points at, minus infinity where it points elsewhere.
    fn part(&mut self, x: Value, index: Value, (from, to): (usize, usize)) -> Made {
        let width = to - from;
        let part = self.slice("part", x, from, to)?;
        let part = self.padded(part, width + 1, f32::NEG_INFINITY)?;
        let within = match from {
            0 => index,
            _ => self.scalar("within", Binary::Sub, from as f32, index)?,
        };
        // What lies before the part is sent behind it: 1 for each of these, 0 for others, times what leads there.
        let below = self.scalar("below", Binary::Mul, -1.0, within)?;
        let below = self.scalar("below", Binary::Max, 0.0, below)?;
        let below = self.scalar("below", Binary::Min, 1.0, below)?;
        let behind = self.scalar("behind", Binary::Mul, width as f32, below)?;
        let within = self.scalar("within", Binary::Max, 0.0, within)?;
        let within = self.add("within", Prim::Binary(Binary::Add), &[within, behind])?;
        let within = self.scalar("within", Binary::Min, width as f32, within)?;
        self.add("found", Prim::GatherCols, &[part, within])
    }

    /// How rows that all exist are cut, if they have to be.
    fn parts(&self, x: Value, most: usize) -> Option<Cut> {
        let (_, cols) = self.matrix(x);
        let whole = self.rebuild.out.ty(x).ragged.is_none();
        match cols > most && whole {
            true => cut(cols, most, 1),
            false => None,
        }
    }

    fn matrix(&self, x: Value) -> (usize, usize) {
        self.rebuild.out.ty(x).matrix()
    }

    fn padded(&mut self, x: Value, cols: usize, value: f32) -> Made {
        match self.matrix(x).1 == cols {
            true => Ok(x),
            false => self.add("padded", Prim::PadCols { cols, value }, &[x]),
        }
    }

    fn recut(&mut self, name: &str, x: Value, rows: usize, cols: usize) -> Made {
        match self.matrix(x) == (rows, cols) {
            true => Ok(x),
            false => self.add(name, Prim::Reshape { rows, cols }, &[x]),
        }
    }

    fn slice(&mut self, name: &str, x: Value, from: usize, to: usize) -> Made {
        self.add(name, Prim::SliceCols { from, to }, &[x])
    }

    fn scalar(&mut self, name: &str, op: Binary, value: f32, x: Value) -> Made {
        self.add(name, Prim::Scalar { op, value }, &[x])
    }

    fn cast(&mut self, name: &str, to: DType, x: Value) -> Made {
        let round = Round::Rint;
        self.add(name, Prim::Cast { to, round }, &[x])
    }

    fn add(&mut self, name: &str, prim: Prim, operands: &[Value]) -> Made {
        let made = self
            .rebuild
            .operation(&[name.to_string()], Op::Prim(prim), operands)?;
        Ok(made[0])
    }
}
