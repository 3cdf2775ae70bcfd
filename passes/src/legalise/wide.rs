//! Rows that are longer than what a core holds of one: what is computed of a whole row is computed of parts of it, as of rows of
//! their own, and then of what the parts give. A reshape makes them rows, which is no work.
//!
//! - The best of a row are among the best of its parts. Candidates stand in the order of their parts, so ties still go to the lower
//!   column.
//! - Sums up to each element are those within its part, and the sum of the parts before.
//! - The product of a row is that of its parts' products.
//! - An element that is looked up lies in one part. Every part is asked, those that do not have it give minus infinity, and the
//!   largest answer is the element; of whole numbers they give 0, and the sum is.
//!
//! Rows of which only some exist cannot be read as others: their parts are slices, one after the other.

use super::types::wider;
use crate::problem::{Held, ROW};
use crate::rebuild::Rebuild;
use tilewright_ir::dtype::{DType, Round};
use tilewright_ir::graph::{Binary, Graph, GraphError, Node, Prim, Reduce, Unary, Value};

/// Bytes that the sums up to each element of a row need on chip for each of its columns: a dozen rows, of which no more than
/// these live at once.
const OF_SUMS: usize = 32;
/// Those of the product of a row, which is filled to a power of two.
const OF_PRODUCT: usize = 24;
/// How many rows of other values a kernel is taken to hold beside one that it sorts or adds up, at most.
const BESIDE: usize = 8;
/// Columns of a part below which sorting one takes no time worth saving.
const SHORT: usize = 1024;
/// How many more parts than needed there may be, where so many divide the row: no copy with padding is made then.
const MORE: usize = 4;

/// How a row is cut: so many parts of a width, which have padding at the end unless they are the row.
struct Cut {
    parts: usize,
    width: usize,
}

/// Parts of about so many columns, of no more than `most` and no fewer than `least`. Parts that divide the row are better, since
/// they need no copy with padding.
fn cut(cols: usize, about: usize, most: usize, least: usize) -> Cut {
    let wanted = cols.div_ceil(about);
    let even = (cols.div_ceil(most)..=wanted * MORE)
        .filter(|n| cols.is_multiple_of(*n) && cols / n >= least)
        // The nearest, by what one is of the other.
        .min_by_key(|n| (1000 * n.max(&wanted) / n.min(&wanted), *n));
    match even {
        Some(parts) => Cut {
            parts,
            width: cols / parts,
        },
        None => Cut {
            parts: wanted,
            width: cols.div_ceil(wanted).max(least),
        },
    }
}

/// What a part gives that does not have an element, and what joins it with the element.
fn nothing(dtype: DType) -> Option<(f32, Binary)> {
    match dtype {
        DType::I32 => Some((0.0, Binary::Add)),
        _ => dtype.is_float().then_some((f32::NEG_INFINITY, Binary::Max)),
    }
}

/// A node whose row may be too long.
pub(super) struct Wide<'r, 'g> {
    pub rebuild: &'r mut Rebuild<'g>,
    pub held: Held,
    /// Rows of other values that its kernel is taken to hold.
    pub beside: usize,
}

pub(super) type Made = Result<Value, GraphError>;

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
        let same = self.held.sorted(cols) == cols;
        match self.halves(x, k) {
            None if same => Ok(None),
            _ => Ok(Some(self.sorted(x, k)?)),
        }
    }

    /// The parts that a row is sorted in, if it has to be: each at least twice as long as what is wanted of it, so that less is
    /// left. Parts are sorted side by side, and then the candidates are: neither should be much longer than the other.
    fn halves(&self, x: Value, k: usize) -> Option<Cut> {
        let (_, cols) = self.matrix(x);
        let most = self.held.parts(self.beside);
        let long = self.held.sorted(cols) > self.held.sorts(self.beside);
        let even = (cols * k).isqrt().max(2 * k).max(SHORT);
        let even = self.held.sorted(even).min(most);
        (long && 2 * k <= most).then(|| cut(cols, even, most, 2 * k))
    }

    pub(super) fn sorted(&mut self, x: Value, k: usize) -> Made {
        let (rows, cols) = self.matrix(x);
        let Some(cut) = self.halves(x, k) else {
            let x = self.padded(x, self.held.sorted(cols), f32::NEG_INFINITY)?;
            return self.add("result", Prim::TopK { k }, &[x]);
        };
        if self.is_ragged(x) {
            return self.sorted_apart(x, k, cut.width);
        }
        let Cut { parts, width } = cut;
        let filled = self.padded(x, parts * width, f32::NEG_INFINITY)?;
        let blocks = self.recut("blocks", filled, rows * parts, width)?;
        let within = self.padded(blocks, self.held.sorted(width), f32::NEG_INFINITY)?;
        let within = self.add("within", Prim::TopK { k }, &[within])?;
        let values = self.add("best", Prim::GatherCols, &[blocks, within])?;
        let values = self.recut("candidates", values, rows, parts * k)?;
        let columns = self.recut("columns", within, rows, parts * k)?;
        self.beside = 1;
        let chosen = self.sorted(values, k)?;
        let within = self.looked_up(columns, chosen)?;
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
        let most = self.held.of_columns(OF_SUMS, self.beside);
        match self.parts(x, most) {
            Some(cut) if self.is_ragged(x) => Ok(Some(self.sums_apart(x, cut.width)?)),
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
        let most = self.held.of_columns(OF_PRODUCT, self.beside);
        let Some(Cut { parts, width }) = self.parts(x, most) else {
            return Ok(None);
        };
        if self.is_ragged(x) {
            return Ok(Some(self.product_apart(x, width)?));
        }
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

    /// Elements of a row at indices that were found by sorting. A long row is not there while they are: as parts of a value that lie
    /// beside each other they lie in memory, and another kernel reads them.
    pub(super) fn looked_up(&mut self, x: Value, index: Value) -> Made {
        let ((_, cols), (_, k)) = (self.matrix(x), self.matrix(index));
        let index = match cols > self.held.beside_sort() && k > 1 {
            true => {
                let halves = [(0, k / 2), (k / 2, k)];
                let [low, high] = halves.map(|(from, to)| self.slice("half", index, from, to));
                self.add("chosen", Prim::ConcatCols, &[low?, high?])?
            }
            false => index,
        };
        self.found(x, index)
    }

    /// Elements of a row, in parts where it is too long.
    fn found(&mut self, x: Value, index: Value) -> Made {
        match self.gather_cols(x, index)? {
            Some(found) => Ok(found),
            None => self.add("found", Prim::GatherCols, &[x, index]),
        }
    }

    /// Elements of rows that are too long to look them up in.
    pub fn gather_cols(&mut self, x: Value, index: Value) -> Result<Option<Value>, GraphError> {
        let own = self.rebuild.out.ty(x).dtype;
        if let Ok(Some(wide)) = wider(&Prim::GatherCols, own) {
            let x = self.cast("wide", wide, x)?;
            let found = self.found(x, index)?;
            return Ok(Some(self.cast("result", own, found)?));
        }
        let ((_, cols), (_, picked)) = (self.matrix(x), self.matrix(index));
        // The elements that are found, and a few rows of indices.
        let few = ROW * (BESIDE + self.beside);
        let most = |bytes: usize| (bytes / 2 / few).next_multiple_of(self.held.run);
        let fits = cols * own.bytes() + few * picked <= self.held.bytes;
        let Some((nothing, joins)) = nothing(own).filter(|_| !fits) else {
            return Ok(None);
        };
        if picked > most(self.held.bytes) {
            // What is found at all of them is there beside, before and after some more of it.
            let all = 2 * picked * own.bytes();
            self.held.bytes -= all.min(self.held.bytes / 2);
            let most = most(self.held.bytes);
            return Ok(Some(self.many(x, index, most)?));
        }
        let room = self.held.bytes.saturating_sub(few * picked);
        // Each part is copied to where one more column stands behind it.
        let width = (room / (2 * own.bytes()) / self.held.run * self.held.run).max(self.held.run);
        let mut found = None;
        for from in (0..cols).step_by(width) {
            let here = self.part(x, index, (from, (from + width).min(cols)), nothing)?;
            found = Some(match found {
                None => here,
                Some(before) => self.add("found", Prim::Binary(joins), &[before, here])?,
            });
        }
        Ok(found)
    }

    /// Elements at more indices than a core holds beside a row: some of them after the other.
    fn many(&mut self, x: Value, index: Value, most: usize) -> Made {
        let mut all = None;
        for (_, some) in self.slices(index, most)? {
            let found = self.found(x, some)?;
            all = Some(match all {
                None => found,
                Some(all) => self.add("all", Prim::ConcatCols, &[all, found])?,
            });
        }
        Ok(all.unwrap_or(x))
    }

    /// The elements of columns `from..to` that an index points at, and `nothing` where it points elsewhere.
    fn part(&mut self, x: Value, index: Value, (from, to): (usize, usize), nothing: f32) -> Made {
        let width = to - from;
        let part = self.slice("part", x, from, to)?;
        let part = self.padded(part, width + 1, nothing)?;
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

    /// How rows are cut, if they have to be.
    fn parts(&self, x: Value, most: usize) -> Option<Cut> {
        let (_, cols) = self.matrix(x);
        (cols > most).then(|| cut(cols, most, most, 1))
    }

    /// Whether only some rows exist, which cannot be read as other rows.
    fn is_ragged(&self, x: Value) -> bool {
        self.rebuild.out.ty(x).ragged.is_some()
    }
}
