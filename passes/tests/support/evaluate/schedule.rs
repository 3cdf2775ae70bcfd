//! Tiles, loops, and what blocks store.

use super::super::value::{Block, Fault, Value};
use super::{Children, filled};
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{Binary, Reduce};
use tilewright_passes::term::analysis::Kind;

impl Children<'_> {
    pub(super) fn tile(&self) -> Result<Value, Fault> {
        let block = (self.num(0)?, self.num(1)?);
        self.of_kind(2, Kind::Tensor)?.cut(Kind::Tile, block)
    }

    pub(super) fn halve(&self, op: Reduce) -> Result<Value, Fault> {
        let (times, t) = (self.num(0)?, self.of_kind(1, Kind::Tile)?);
        let cols = t.block.1 >> times;
        if cols << times != t.block.1 {
            return Err(format!("{:?} is halved {times} times", t.block));
        }
        self.blocks(Kind::Tile, t.dtype, t.grid(), (t.block.0, cols), |at| {
            let mut left = t.read(at)?;
            if left.cols < t.block.1 {
                return self.onto(op, &left, cols, t.dtype);
            }
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

    /// A last tile, whose columns from the first few on are combined with those.
    fn onto(&self, op: Reduce, tile: &Block, few: usize, dtype: DType) -> Result<Block, Fault> {
        let cols = tile.cols.min(few);
        let mut data = vec![];
        for row in tile.data.chunks_exact(tile.cols) {
            let mut out = row[..cols].to_vec();
            for (x, e) in row.iter().enumerate().skip(cols) {
                let slot = &mut out[x % cols];
                *slot = self
                    .context
                    .arithmetic
                    .join(op.combine(), *slot, *e, dtype)?;
            }
            data.extend(out);
        }
        Ok(Block {
            rows: tile.rows,
            cols,
            data,
        })
    }

    pub(super) fn mm(&self) -> Result<Value, Fault> {
        let (extent, chunk) = (self.num(1)?, self.num(2)?);
        self.chunked_product(1, extent, chunk, 3)
    }

    pub(super) fn mm_parts(&self) -> Result<Value, Fault> {
        let (parts, extent, chunk) = (self.num(0)?, self.num(2)?, self.num(3)?);
        self.chunked_product(parts, extent, chunk, 4)
    }

    pub(super) fn mm_grouped(&self) -> Result<Value, Fault> {
        let (groups, extent, chunk) = (self.num(0)?, self.num(2)?, self.num(3)?);
        self.grouped_chunks(groups, extent, chunk)
    }

    pub(super) fn cols(&self) -> Result<Value, Fault> {
        let (n, c, t) = (self.num(1)?, self.num(2)?, self.of_kind(3, Kind::Tile)?);
        self.gathered_blocks(t, (t.block.0, n), (t.block.0, c))
    }

    pub(super) fn rows(&self) -> Result<Value, Fault> {
        let (b, r, body) = (self.num(0)?, self.num(1)?, self.of_kind(2, Kind::Block)?);
        self.gathered_blocks(body, (b, body.block.1), (r, body.block.1))
    }

    pub(super) fn with_pad(&self) -> Result<Value, Fault> {
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
            let block = body.read((i, 0))?;
            out.write((row, 0), &block)?;
            let padding = filled(block.rows, width - body.cols, self.constant(1)?);
            out.write((row, body.cols), &padding)?;
        }
        out.complete()
    }

    pub(super) fn fill(&self) -> Result<Value, Fault> {
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

    pub(super) fn launch(&self) -> Result<Value, Fault> {
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

    pub(super) fn overlay(&self) -> Result<Value, Fault> {
        let (a, b) = self.operands(0, 1, Kind::Tensor)?;
        let mut out = a.clone();
        out.dtype = b.dtype;
        out.write((0, 0), &b.read((0, 0))?)?;
        out.complete()
    }

    pub(super) fn reduce(&self, join: Binary) -> Result<Value, Fault> {
        let x = self.value(0)?;
        let arithmetic = self.context.arithmetic;
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

    pub(super) fn fold(&self, op: Reduce) -> Result<Value, Fault> {
        let (extent, chunk) = (self.num(1)?, self.num(2)?);
        let body = self.of_kind(3, Kind::Tile)?;
        let trips = extent.div_ceil(chunk.max(1));
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

    /// Blocks of `large` that a loop stores piece by piece.
    pub(super) fn gathered_blocks(
        &self,
        pieces: &Value,
        large: (usize, usize),
        small: (usize, usize),
    ) -> Result<Value, Fault> {
        if pieces.block != small {
            return Err(format!("pieces of {:?} are not {small:?}", pieces.block));
        }
        let cut = pieces.cut(Kind::Block, large)?;
        // Pieces of a block are whole, unless there is no other block.
        let whole = |large: usize, small: usize, blocks| large.is_multiple_of(small) || blocks == 1;
        if !whole(large.0, small.0, cut.grid().0) || !whole(large.1, small.1, cut.grid().1) {
            return Err(format!("pieces of {small:?} of blocks of {large:?}"));
        }
        self.blocks(Kind::Block, pieces.dtype, cut.grid(), large, |(i, j)| {
            let all = cut.read((i, j))?;
            let size = (all.rows, all.cols);
            let mut block = Value::unwritten(Kind::Block, pieces.dtype, size, size);
            for y in 0..size.0.div_ceil(small.0) {
                for x in 0..size.1.div_ceil(small.1) {
                    let (down, across) = (large.0.div_ceil(small.0), large.1.div_ceil(small.1));
                    let piece = pieces.read((i * down + y, j * across + x))?;
                    block.write((y * small.0, x * small.1), &piece)?;
                }
            }
            block.complete()?.read((0, 0))
        })
    }

    pub(super) fn launch_fill(
        &self,
        rows: usize,
        cols: usize,
        body: &Value,
    ) -> Result<Value, Fault> {
        if cols != body.cols || rows == 0 || body.rows == 0 {
            return Err(format!(
                "a launch of {rows} x {cols} fills {} x {}",
                body.rows, body.cols
            ));
        }
        let size = (rows, cols);
        let mut out = Value::unwritten(Kind::Tensor, body.dtype, size, size);
        let all = body.data.iter().cycle();
        out.data = all.take(rows * cols).copied().collect();
        Ok(out)
    }
}
