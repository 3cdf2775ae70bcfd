//! Tiles, loops over them, and what blocks store.

use super::{COLS, Maker, WIDE, Want};
use egg::{ENodeOrVar, Id};
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{Operator, Reduce};
use tilewright_passes::term::language::{Head, Term};

impl Maker<'_> {
    /// The term of a family of tiles.
    pub(super) fn tile(&mut self, at: Id, want: Want) -> Option<Id> {
        let (head, c) = match &self.left[at] {
            ENodeOrVar::Var(v) => return self.var(*v, want, |m| m.tile_of_input(want)),
            ENodeOrVar::ENode(Term::App(head, c)) => (*head, c.clone()),
            ENodeOrVar::ENode(_) => return None,
        };
        match head {
            Head::Tile | Head::Load => self.tile_of_value(head, &c, want),
            Head::Fold(op) => self.fold_tiles(head, op, &c, want),
            Head::Op(Operator::Reduce(_)) if want.block.1 == 1 => self.reduce_tiles(head, &c, want),
            Head::Mm => self.mm_tiles(head, &c, want),
            Head::MmGrouped => self.mm_grouped_tiles(head, &c, want),
            Head::MmParts => self.mm_parts_tiles(head, &c, want),
            _ => None,
        }
    }

    fn tile_of_value(&mut self, head: Head, c: &[Id], want: Want) -> Option<Id> {
        let r = self.leaf(c[0], want.block.0)?;
        // One column, where the pattern has one.
        let (cols, width) = match &self.left[c[1]] {
            ENodeOrVar::ENode(Term::Num(1)) => (1, 1),
            _ => (want.cols, want.block.1),
        };
        let n = self.leaf(c[1], width)?;
        let block = (want.block.0, width);
        let v = self.tensor(
            c[2],
            Want {
                cols,
                block,
                ..want
            },
        )?;
        Some(self.app(head, [r, n, v]))
    }

    fn fold_tiles(&mut self, head: Head, op: Reduce, c: &[Id], want: Want) -> Option<Id> {
        let (extent, chunk) = self.extent(c[1], c[2])?;
        let d = self.depth(c[0])?;
        let over = Want {
            cols: extent,
            block: (want.block.0, chunk),
            ..want
        };
        let body = match self.left[c[3]].clone() {
            ENodeOrVar::Var(v) => {
                let column = Want {
                    block: (want.block.0, 1),
                    ..want
                };
                self.var(v, column, |m| {
                    let tile = m.tile_of_input(over);
                    m.app(Head::Op(Operator::Reduce(op)), [tile])
                })?
            }
            ENodeOrVar::ENode(Term::App(reduce @ Head::Op(Operator::Reduce(_)), x)) => {
                let tile = self.tile(x[0], over)?;
                self.app(reduce, [tile])
            }
            ENodeOrVar::ENode(_) => return None,
        };
        let (n, k) = (self.num(extent), self.num(chunk));
        Some(self.app(head, [d, n, k, body]))
    }

    fn reduce_tiles(&mut self, head: Head, c: &[Id], want: Want) -> Option<Id> {
        let chunk = self.c.pick(&WIDE);
        self.made.terms = self.made.terms.max(chunk);
        let over = Want {
            cols: want.cols * chunk,
            block: (want.block.0, chunk),
            ..want
        };
        let x = self.tile(c[0], over)?;
        Some(self.app(head, [x]))
    }

    fn mm_tiles(&mut self, head: Head, c: &[Id], want: Want) -> Option<Id> {
        let (extent, chunk, k) = self.product_extent(c[1], c[2])?;
        let d = self.depth(c[0])?;
        let (a, b) = self.factor_tiles(want, (c[3], c[4]), extent, chunk)?;
        let n = self.num(extent);
        Some(self.app(head, [d, n, k, a, b]))
    }

    fn mm_grouped_tiles(&mut self, head: Head, c: &[Id], want: Want) -> Option<Id> {
        let g = self.divisor(c[0], want.rows / want.block.0)?;
        let (extent, chunk, k) = self.product_extent(c[2], c[3])?;
        let d = self.depth(c[1])?;
        let all = Want {
            cols: g * want.cols,
            ..want
        };
        let (a, b) = self.factor_tiles(all, (c[4], c[5]), extent, chunk)?;
        let [g, n] = [g, extent].map(|n| self.num(n));
        Some(self.app(head, [g, d, n, k, a, b]))
    }

    fn mm_parts_tiles(&mut self, head: Head, c: &[Id], want: Want) -> Option<Id> {
        let s = self.divisor(c[0], want.rows / want.block.0)?;
        let (extent, chunk, k) = self.product_extent(c[2], c[3])?;
        let d = self.depth(c[1])?;
        let part = Want {
            rows: want.rows / s,
            ..want
        };
        let (a, b) = self.factor_tiles(part, (c[4], c[5]), s * extent, chunk)?;
        let [s, n] = [s, extent].map(|n| self.num(n));
        Some(self.app(head, [s, d, n, k, a, b]))
    }

    /// Extent and chunk of a loop.
    fn extent(&mut self, extent: Id, chunk: Id) -> Option<(usize, usize)> {
        let extent = self.number(extent, &COLS)?;
        self.made.terms = self.made.terms.max(extent);
        Some((extent, self.divisor(chunk, extent)?))
    }

    /// As [`Maker::extent`], of a product, whose chunk can be in pieces; with the chunk's term.
    fn product_extent(&mut self, extent: Id, chunk: Id) -> Option<(usize, usize, Id)> {
        let ENodeOrVar::ENode(Term::App(Head::Pieces, p)) = self.left[chunk].clone() else {
            let (extent, chunk) = self.extent(extent, chunk)?;
            return Some((extent, chunk, self.num(chunk)));
        };
        let (extent, chunk) = self.extent(extent, p[0])?;
        let piece = self.divisor(p[1], chunk)?;
        let (k, z) = (self.num(chunk), self.num(piece));
        Some((extent, chunk, self.app(Head::Pieces, [k, z])))
    }

    fn depth(&mut self, at: Id) -> Option<Id> {
        let d = self.number(at, &[1, 2, 3])?;
        Some(self.num(d))
    }

    fn tile_of_input(&mut self, want: Want) -> Id {
        let (_, x) = self.fresh(want);
        let (r, c) = (self.num(want.block.0), self.num(want.block.1));
        self.app(Head::Tile, [r, c, x])
    }

    fn factor_tiles(
        &mut self,
        want: Want,
        (a, b): (Id, Id),
        extent: usize,
        chunk: usize,
    ) -> Option<(Id, Id)> {
        let dtype = match want.dtype {
            DType::I32 => DType::I8,
            DType::F32 => self.c.pick(&[DType::F32, DType::Bf16, DType::F16]),
            _ => return None,
        };
        let of = |rows, block| Want {
            rows,
            cols: extent,
            block: (block, chunk),
            dtype,
            below: None,
        };
        let a = self.tile(a, of(want.rows, want.block.0))?;
        Some((a, self.tile(b, of(want.cols, want.block.1))?))
    }

    /// The term of what the blocks of a launch store.
    pub(super) fn block(&mut self, at: Id, want: Want) -> Option<Id> {
        let (b, n) = want.block;
        let (head, c) = match &self.left[at] {
            ENodeOrVar::Var(v) => {
                return self.var(*v, want, |m| {
                    let chunk = m.c.divisor(n);
                    let tile = m.tile_of_input(Want {
                        block: (b, chunk),
                        ..want
                    });
                    let [one, n, chunk] = [1, n, chunk].map(|x| m.num(x));
                    m.app(Head::Cols, [one, n, chunk, tile])
                });
            }
            ENodeOrVar::ENode(Term::App(head, c)) => (*head, c.clone()),
            ENodeOrVar::ENode(_) => return None,
        };
        match head {
            Head::Cols => {
                let d = self.depth(c[0])?;
                let width = self.leaf(c[1], n)?;
                let chunk = self.divisor(c[2], n)?;
                let block = (b, chunk);
                let tile = self.tile(c[3], Want { block, ..want })?;
                let chunk = self.num(chunk);
                Some(self.app(head, [d, width, chunk, tile]))
            }
            Head::Rows => {
                let height = self.leaf(c[0], b)?;
                let r = self.divisor(c[1], b)?;
                let block = (r, n);
                let body = self.block(c[2], Want { block, ..want })?;
                let r = self.num(r);
                Some(self.app(head, [height, r, body]))
            }
            Head::WithPad => {
                let fits = n == want.cols;
                let width = fits.then(|| self.leaf(c[0], n))??;
                let value = self.constant(c[1], want.dtype)?;
                let data = 1 + self.c.below(n);
                let body = Want {
                    cols: data,
                    block: (b, data),
                    ..want
                };
                let body = self.block(c[2], body)?;
                Some(self.app(head, [width, value, body]))
            }
            Head::Fill => {
                let height = self.leaf(c[0], b)?;
                let from: Vec<usize> = (0..n).collect();
                let from = self.number(c[1], &from)?;
                let to = (n == want.cols).then(|| self.leaf(c[2], n))??;
                let value = self.constant(c[3], DType::F32)?;
                let from = self.num(from);
                Some(self.app(head, [height, from, to, value]))
            }
            _ => None,
        }
    }
}
