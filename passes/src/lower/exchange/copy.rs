//! Copies: through the tiles that the program names, or through one of their own, in pieces where it would be too large.

use super::{Lower, emit, far};
use tilewright_ir::dtype::{DType, Round};
use tilewright_ir::kernel::{
    ArrayId, Cond, Expr, GlobalRef, Instr, LoopId, TileId, TileRef, VectorOp,
};
use tilewright_ir::op::exchange::{Content, Int, Place, Rect, Target};

/// Bytes of a tile that memory is copied through.
const COPY_BYTES: usize = 64 << 10;
/// Rows that one transfer has at most.
const COPY_ROWS: usize = 4095;
/// Bytes that a row of a tile is a multiple of.
const BLOCK: usize = 32;

/// Memory to memory.
struct Move<'r> {
    from: &'r Rect,
    to: &'r Rect,
    /// The rank that it goes to.
    peer: Option<Expr>,
    dtype: DType,
    name: String,
}

impl<'a> Lower<'a> {
    pub(super) fn copy(
        &mut self,
        line: usize,
        from: &'a Content,
        to: &'a Target,
        first: Option<&'a Int>,
    ) {
        if let Target::Rect(r, _) = to
            && let Place::Result(i) = r.place
            && !self.stored[i]
        {
            // Nobody wants it.
            return;
        }
        match (from, to) {
            (Content::Rect(from), Target::Rect(to, on)) => self.moved(from, to, on, first),
            (Content::Rect(from), Target::Tile(t)) => {
                let (dst, src) = (self.tile_of(*t), self.place(from));
                self.emit(Instr::Load { dst, src });
            }
            (Content::Tile(t), Target::Rect(to, on)) => {
                let src = self.tile_of(*t);
                let dst = self.target(to, on.as_ref());
                self.emit(Instr::Store { dst, src });
            }
            (Content::Tile(from), Target::Tile(to)) => {
                let same = self.program.tiles[*from].dtype == self.program.tiles[*to].dtype;
                let op = match same {
                    true => VectorOp::Copy,
                    false => VectorOp::Cvt(Round::Rint),
                };
                let (dst, src) = (self.tile_of(*to), self.tile_of(*from));
                self.vector(op, dst, vec![src]);
            }
            (Content::Array(a), Target::Tile(t)) => {
                let array = self.array_of(*a);
                let memory = self.scratch(line, Expr::default());
                self.write_array(array, memory.clone());
                let dst = self.tile_of(*t);
                self.emit(Instr::Load { dst, src: memory });
            }
            (Content::Array(a), Target::Rect(to, _)) => {
                let array = self.array_of(*a);
                let dst = self.place(to);
                self.write_array(array, dst);
            }
            (Content::Int(value), Target::Tile(t)) => {
                let value = self.int(value);
                let dst = self.tile_of(*t);
                self.number(line, value, dst);
            }
            (Content::Int(value), Target::Rect(to, None)) => {
                let value = self.int(value);
                let dst = self.place(to);
                self.emit(Instr::WriteScalar { dst, value });
            }
            (Content::Int(value), Target::Rect(to, Some(on))) => {
                let value = self.int(value);
                let name = format!("{}_value", self.place_name(to.place));
                let tile = TileRef::new(self.new_tile(&name, DType::I32, (1, 1), 1));
                self.number(line, value, tile.clone());
                let dst = self.target(to, Some(on));
                self.emit(Instr::Store { dst, src: tile });
            }
        }
    }

    /// A rectangle on the rank itself.
    fn place(&mut self, r: &Rect) -> GlobalRef {
        let (row, col) = (self.int(&r.row), self.int(&r.col));
        self.memory(r.place, row, col, (r.rows, r.cols))
    }

    fn target(&mut self, r: &Rect, on: Option<&Int>) -> GlobalRef {
        let peer = on.and_then(|on| far(self.int(on)));
        GlobalRef {
            peer,
            ..self.place(r)
        }
    }

    fn place_name(&self, place: Place) -> &'a str {
        match place {
            Place::Operand(i) => &self.program.operands[i].name,
            Place::Result(i) => &self.program.results[i].name,
            Place::Window(i) => &self.program.windows[i].name,
        }
    }

    /// The memory through which a statement's integers go to the copy unit.
    fn scratch(&self, line: usize, row: Expr) -> GlobalRef {
        let found = self.exchange.scratch.iter().find(|s| s.line == line);
        match found {
            Some(s) => emit::rows(&s.name, row, 1, s.cols),
            None => emit::rows("", row, 1, 1),
        }
    }

    /// An integer into a tile of one element, through a line of memory of its own.
    fn number(&mut self, line: usize, value: Expr, dst: TileRef) {
        let trips = self.around.iter();
        let index = trips.fold(Expr::default(), |index, a| {
            emit::add(&emit::scaled(&index, a.trips as i64), &a.index)
        });
        let memory = GlobalRef {
            cols: 1,
            ..self.scratch(line, index)
        };
        self.emit(Instr::WriteScalar {
            dst: memory.clone(),
            value,
        });
        self.emit(Instr::Load { dst, src: memory });
    }

    /// Writes an array to a row or a column of memory.
    pub(super) fn write_array(&mut self, array: ArrayId, dst: GlobalRef) {
        if self.by_line {
            return self.emit(Instr::WriteArray { dst, array });
        }
        let len = dst.rows * dst.cols;
        self.each("place", len, 1, |l, place, _| {
            let value = l.get(array, place.clone());
            let (row, col) = match dst.cols {
                1 => (emit::add(&dst.row, &place), dst.col.clone()),
                _ => (dst.row.clone(), emit::add(&dst.col, &place)),
            };
            l.emit(Instr::WriteScalar {
                dst: GlobalRef {
                    row,
                    col,
                    rows: 1,
                    cols: 1,
                    ..dst.clone()
                },
                value,
            });
        });
    }

    /// Memory to memory; with a count, only so many rows.
    fn moved(&mut self, from: &'a Rect, to: &'a Rect, on: &'a Option<Int>, first: Option<&'a Int>) {
        let (dtype, from_cols) = self.of(from.place);
        let (_, to_cols) = self.of(to.place);
        let count = first.map(|n| self.int(n));
        let peer = on.as_ref().and_then(|on| far(self.int(on)));
        let wide = widest(from.cols, dtype);
        // A column lies in one piece only where there are no others.
        let one_column = from.cols == 1 && (from_cols, to_cols) != (1, 1);
        let most = match one_column {
            true => 1,
            false => (COPY_BYTES / (wide * dtype.bytes()).max(1)).clamp(1, COPY_ROWS),
        };
        let high = piece(from.rows, most);
        let this = Move {
            from,
            to,
            peer,
            dtype,
            name: self.place_name(to.place).into(),
        };
        self.pieces(&this, (high, wide), count);
    }

    fn of(&self, place: Place) -> (DType, usize) {
        match place {
            Place::Operand(i) => (
                self.program.operands[i].dtype,
                self.program.operands[i].cols,
            ),
            Place::Result(i) => (self.program.results[i].dtype, self.program.results[i].cols),
            Place::Window(i) => (self.program.windows[i].dtype, self.program.windows[i].cols),
        }
    }

    /// All pieces of so many rows and columns, and what is left over.
    fn pieces(&mut self, this: &Move<'a>, (high, wide): (usize, usize), count: Option<Expr>) {
        let (rows, cols) = (this.from.rows, this.from.cols);
        let whole = (rows / high, cols / wide);
        // Rows that are counted are not ahead of the counting.
        let depth = match whole.0 * whole.1 {
            1 => 1,
            _ if count.is_some() => 1,
            _ => 2,
        };
        let tile = self.new_tile(&this.name, this.dtype, (high, wide), depth);
        self.each("piece", whole.0, depth, |l, i, id| {
            let row = emit::scaled(&i, high as i64);
            l.columns(this, (row, high), &count, (tile, id, wide));
        });
        if rows % high > 0 {
            let row = Expr::constant((whole.0 * high) as i64);
            let rest = rows % high;
            let tile = self.new_tile(&this.name, this.dtype, (rest, wide), 1);
            self.columns(this, (row, rest), &count, (tile, None, wide));
        }
    }

    /// The pieces of some rows.
    fn columns(
        &mut self,
        this: &Move<'a>,
        (row, high): (Expr, usize),
        count: &Option<Expr>,
        (tile, around, wide): (TileId, Option<LoopId>, usize),
    ) {
        let cols = this.from.cols;
        let all = |l: &mut Self, valid: Option<Expr>| {
            let slots = l.kernel.tiles[tile].slots;
            let parts = cols / wide;
            let depth = if parts > 1 && slots > 1 { 2 } else { 1 };
            l.each("part", parts, depth, |l, i, id| {
                let at = TileRef {
                    tile,
                    slot: id.or(around).filter(|_| slots > 1),
                    rows: valid.clone().filter(|_| high > 1),
                };
                let col = emit::scaled(&i, wide as i64);
                l.piece_of(this, (row.clone(), col), (high, wide), at);
            });
            let rest = cols % wide;
            if rest > 0 {
                let col = Expr::constant((parts * wide) as i64);
                let at = TileRef {
                    rows: valid.filter(|_| high > 1),
                    ..TileRef::new(l.new_tile(&this.name, this.dtype, (high, rest), 1))
                };
                l.piece_of(this, (row.clone(), col), (high, rest), at);
            }
        };
        match count {
            None => all(self, None),
            Some(count) => {
                let left = emit::minus(count, &row);
                self.when(Cond::Positive(left.clone()), |l| all(l, Some(left)));
            }
        }
    }

    fn piece_of(
        &mut self,
        this: &Move<'a>,
        (row, col): (Expr, Expr),
        extent: (usize, usize),
        at: TileRef,
    ) {
        let mut shifted = |r: &Rect| {
            let (start_row, start_col) = (self.int(&r.row), self.int(&r.col));
            let (row, col) = (emit::add(&start_row, &row), emit::add(&start_col, &col));
            self.memory(r.place, row, col, extent)
        };
        let src = shifted(this.from);
        let dst = GlobalRef {
            peer: this.peer.clone(),
            ..shifted(this.to)
        };
        self.emit(Instr::Load {
            dst: at.clone(),
            src,
        });
        self.emit(Instr::Store { dst, src: at });
    }
}

/// Columns that are copied at once: all, or as many as fill a tile.
fn widest(cols: usize, dtype: DType) -> usize {
    match cols * dtype.bytes() <= COPY_BYTES {
        true => cols,
        false => COPY_BYTES / BLOCK * BLOCK / dtype.bytes(),
    }
}

/// Rows that are copied at once, up to a limit: as many each time where that takes hardly more times.
fn piece(rows: usize, limit: usize) -> usize {
    let limit = limit.min(rows);
    let even = (1..=limit).rev().find(|d| rows.is_multiple_of(*d));
    even.filter(|d| 2 * d > limit).unwrap_or(limit)
}
