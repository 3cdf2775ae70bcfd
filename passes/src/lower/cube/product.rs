//! A product: its tiles, and how it accumulates over chunks of the inner axis.

use super::{Places, times};
use crate::lower::{LowerError, Source, Stored, num};
use crate::term::language::{Head, Term};
use crate::term::plan::KernelPlan;
use egg::Id;
use indexmap::IndexMap;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::Operator;
use tilewright_ir::integer::gcd;
use tilewright_ir::kernel::{
    Cond, Expr, GlobalRef, GlobalTensor, Instr, Kernel, Layout, LoopId, Space, Stmt, Tile, TileId,
    TileRef, Var,
};
use tilewright_ir::machine::{Geometry, Machine};

/// `(mm depth extent chunk (load r chunk a) (load n chunk b))`, read; or `mm_parts`.
pub(super) struct Product<'a> {
    /// Parts of the inner axis, of `extent` each.
    pub parts: usize,
    /// Whether each group of rows meets rows of its own of the right operand.
    pub grouped: bool,
    pub depth: usize,
    extent: usize,
    chunk: usize,
    /// Elements of a chunk that are multiplied at a time.
    piece: usize,
    /// Elements of a chunk of the left operand that stay in L1 for all tiles of columns: the first ones.
    pub kept: usize,
    lhs: Source<'a>,
    rhs: Source<'a>,
    /// Whether the right operand lies as [K, N] in memory, rather than as [N, K].
    turned: bool,
    dtype: DType,
    machine: &'a Machine,
}

impl<'a> Product<'a> {
    pub fn read(
        plan: &'a KernelPlan,
        id: Id,
        tensors: &IndexMap<String, GlobalTensor>,
        machine: &'a Machine,
    ) -> Option<Self> {
        let expr = &plan.expr;
        let (parts, grouped, c) = match &expr[id] {
            Term::App(Head::Mm, c) => (1, false, &c[..]),
            Term::App(Head::MmParts, c) => (num(expr, c[0])?, false, &c[1..]),
            Term::App(Head::MmGrouped, c) => (1, true, &c[1..]),
            _ => return None,
        };
        let operand = |id: Id| match &expr[id] {
            Term::App(Head::Load, c) => Source::read(expr, c[2]),
            _ => None,
        };
        let (rhs, turned) = match &expr[c[4]] {
            Term::App(Head::Op(Operator::Transpose), of) => (operand(of[0])?, true),
            _ => (operand(c[4])?, false),
        };
        let lhs = operand(c[3])?;
        let (chunk, piece, kept) = match &expr[c[2]] {
            Term::App(Head::Pieces, p) => (num(expr, p[0])?, num(expr, p[1])?, 0),
            Term::App(Head::Kept, p) => (num(expr, p[0])?, num(expr, p[1])?, num(expr, p[2])?),
            _ => (num(expr, c[2])?, num(expr, c[2])?, 0),
        };
        Some(Product {
            parts,
            grouped,
            depth: num(expr, c[0])?,
            extent: num(expr, c[1])?,
            chunk,
            piece,
            kept: kept * piece,
            lhs,
            rhs,
            turned,
            dtype: tensors.get(lhs.name)?.dtype,
            machine,
        })
    }

    /// The same product where nothing stays in L1.
    pub fn loads_all(&self) -> Self {
        Product { kept: 0, ..*self }
    }

    fn geometry(&self) -> &Geometry {
        &self.machine.geometry
    }

    /// Rows and columns of a fractal of the accumulator, and rows of an operand's.
    fn fractal(&self) -> usize {
        self.geometry().fractal_rows.count()
    }

    pub fn check(&self, plan: &KernelPlan, cols: usize, whole: usize) -> Result<(), LowerError> {
        let fractal = |what, size: usize, unit| {
            if size.is_multiple_of(unit) {
                return Ok(());
            }
            Err(LowerError::Fractal {
                kernel: plan.name.clone(),
                what,
                size,
                unit,
            })
        };
        // All columns may end within a fractal, whose rest is no part of the result; other tiles are whole.
        if cols != whole {
            fractal("columns", cols, self.fractal())?;
        }
        let inner = crate::problem::inner_unit(self.geometry(), self.dtype);
        fractal("the inner axis", self.piece, inner)
    }

    /// The tiles of a block under their engineers' names.
    pub fn params(
        &self,
        plan: &KernelPlan,
        store: &Stored,
        cols: usize,
        params: &mut IndexMap<String, usize>,
    ) {
        let names = &plan.names;
        // The cube works on whole fractals of rows, so that is what the tile is.
        let rows = store.block_rows.next_multiple_of(self.fractal());
        params.insert(names.rows.clone(), rows);
        if let Some(name) = &names.cols {
            params.insert(name.clone(), cols);
        }
        if let Some(name) = &names.reduce {
            params.insert(name.clone(), self.chunk);
            if self.piece < self.chunk {
                params.insert(format!("{name}_L0"), self.piece);
            }
            if self.kept > 0 {
                params.insert(format!("{name}_KEPT"), self.kept);
            }
        }
        if self.parts > 1 {
            params.insert("SPLIT_K".into(), self.parts);
        }
    }

    /// The tiles of a product of `rows` x `cols`, of which so many add up at a time; their names with an ending.
    fn tiles(&self, kernel: &mut Kernel, (rows, cols): (usize, usize), ending: &str) -> Tiles {
        let fractal = self.fractal();
        let padded = rows.next_multiple_of(fractal);
        let filled = self.filled();
        let mut tile = |name: &str, space, layout, dtype, [height, valid, width]: [usize; 3]| {
            // Columns of the right operand fill fractals, too.
            let whole = match layout {
                Layout::Nz | Layout::Zn | Layout::Right => width.next_multiple_of(filled),
                _ => width,
            };
            kernel.tiles.push(Tile {
                name: format!("{name}{ending}"),
                space,
                dtype,
                rows: height,
                cols: whole,
                valid_rows: valid,
                valid_cols: width,
                layout,
                slots: match (space, self.depth) {
                    (Space::L1, d) => d,
                    // L0 is emptied by each product, so two slots are enough whatever the depth. Pieces of a trip change
                    // between tiles instead.
                    (Space::L0a | Space::L0b, d) if self.piece == self.chunk => d.min(2),
                    _ => 1,
                },
                addrs: vec![],
            });
            kernel.tiles.len() - 1
        };
        let (d, c, p) = (self.dtype, self.chunk, self.piece);
        let goes = c - self.kept;
        let mut left = |name: &str, width: usize| {
            (width > 0).then(|| tile(name, Space::L1, Layout::Nz, d, [padded, rows, width]))
        };
        let (a1, kept) = (left("a_l1", goes), left("a_kept", self.kept));
        // The load of a right operand that is given as [N, K] transposes; otherwise the way into L0 does.
        let b1 = match self.turned {
            true => tile("b_l1", Space::L1, Layout::Nz, d, [c, c, cols]),
            false => tile("b_l1", Space::L1, Layout::Zn, d, [c, c, cols]),
        };
        let mut in_l0 = |name: &str, space, layout, [height, valid, width]: [usize; 3]| {
            let names = [name.to_owned(), format!("{name}_next")];
            let count = self.alternating(space, height * width.next_multiple_of(fractal));
            let names = names.iter().take(count);
            names
                .map(|n| tile(n, space, layout, d, [height, valid, width]))
                .collect()
        };
        let a0 = in_l0("a_l0", Space::L0a, Layout::Zz, [padded, rows, p]);
        let b0 = in_l0("b_l0", Space::L0b, Layout::Right, [p, p, cols]);
        if let Some(kept) = kept {
            kernel.tiles[kept].slots = self.extent / c;
        }
        Tiles {
            a1,
            kept,
            b1,
            a0,
            b0,
        }
    }

    /// The accumulator of a product of `rows` x `cols`.
    fn accumulator(
        &self,
        kernel: &mut Kernel,
        ((rows, cols), sums): ((usize, usize), usize),
        ending: &str,
    ) -> TileId {
        kernel.tiles.push(Tile {
            name: format!("acc{ending}"),
            space: Space::L0c,
            dtype: match self.dtype {
                DType::I8 => DType::I32,
                _ => DType::F32,
            },
            rows: rows.next_multiple_of(self.fractal()),
            cols: cols.next_multiple_of(self.filled()),
            valid_rows: rows,
            valid_cols: cols,
            layout: Layout::Acc,
            slots: sums,
            addrs: vec![],
        });
        kernel.tiles.len() - 1
    }

    /// What the columns of the right operand and of the result are multiples of, as they lie in a core: what is turned is squares,
    /// which can be wider than a fractal of the accumulator.
    fn filled(&self) -> usize {
        match self.turned {
            true => self.geometry().turned(self.dtype),
            false => self.fractal(),
        }
    }

    /// How many tiles of so many elements the pieces of a trip take turns in: the next piece comes while one is multiplied, where
    /// two have room.
    fn alternating(&self, space: Space, elements: usize) -> usize {
        let bytes = elements * self.dtype.bytes();
        let two = self.piece < self.chunk && 2 * bytes <= self.machine.capacity_of(space);
        1 + usize::from(two)
    }

    /// Elements of the inner axis beyond the whole chunks.
    pub fn rest(&self) -> usize {
        self.extent % self.chunk
    }

    /// The accumulation of `rows` x `cols`, of which so many add up at a time, and the accumulator. Names of loops and tiles have an
    /// ending. Adds to the tiles that have the left operand's rows.
    pub fn accumulate(
        &self,
        kernel: &mut Kernel,
        places: &Places,
        size: ((usize, usize), usize),
        (names, by_rows): (&str, &mut Vec<TileId>),
    ) -> (Vec<Stmt>, TileId) {
        let trips = self.extent / self.chunk;
        let inner = (trips > 1).then(|| {
            kernel.loops.push(format!("k{names}"));
            kernel.loops.len() - 1
        });
        let mut tiles = self.tiles(kernel, size.0, names);
        let acc = self.accumulator(kernel, size, names);
        by_rows.push(acc);
        let sum = TileRef {
            slot: places.tiles.filter(|_| size.1 > 1),
            ..TileRef::new(acc)
        };
        let start = match inner {
            Some(id) => Expr::var(Var::Loop(id), self.chunk as i64),
            None => Expr::default(),
        };
        let first = match inner {
            Some(id) => First::If(id),
            None => First::Yes,
        };
        let mut body = self.trip(kernel, places, (size.0, &tiles, &sum), (start, first));
        tiles.by_rows(by_rows);
        if let Some(id) = inner {
            body = vec![Stmt::Loop {
                id,
                trips,
                depth: self.depth,
                body,
            }];
        }
        if self.rest() > 0 {
            let last = Product {
                chunk: self.rest(),
                // Whole fractals divide both.
                piece: gcd(self.rest(), self.piece),
                depth: 1,
                ..*self
            };
            tiles = last.tiles(kernel, size.0, &format!("{names}_last"));
            let start = Expr::constant((trips * self.chunk) as i64);
            let at = (start, First::No);
            body.extend(last.trip(kernel, places, (size.0, &tiles, &sum), at));
            tiles.by_rows(by_rows);
        }
        (body, acc)
    }

    /// One chunk of the inner axis, from `start` of its part: what it loads, and the products of its pieces.
    fn trip(
        &self,
        kernel: &Kernel,
        places: &Places,
        (size, tiles, sum): ((usize, usize), &Tiles, &TileRef),
        (start, of_all): (Expr, First),
    ) -> Vec<Stmt> {
        let inner = match of_all {
            First::If(id) => Some(id),
            First::Yes | First::No => None,
        };
        let at = |tile: TileId| TileRef {
            tile,
            slot: inner.filter(|_| kernel.tiles[tile].slots > 1),
            rows: None,
        };
        let product = |(a0, b0): (TileId, TileId), accumulate: bool| {
            Stmt::Instr(Instr::Matmul {
                dst: sum.clone(),
                lhs: at(a0),
                rhs: at(b0),
                accumulate,
            })
        };
        let mut body = self.loads(tiles, places, size, (start, &at));
        for piece in 0..self.chunk / self.piece {
            let first = piece * self.piece;
            let turn = |tiles: &[TileId]| tiles[piece % tiles.len()];
            let in_l0 = (turn(&tiles.a0), turn(&tiles.b0));
            let left = match (tiles.kept, tiles.a1) {
                (Some(kept), _) if first < self.kept => Some((kept, first)),
                (_, a1) => a1.map(|a1| (a1, first - self.kept)),
            };
            let left = left.map(|(src, col)| (in_l0.0, src, (0, col)));
            let moves = left.into_iter().chain([(in_l0.1, tiles.b1, (first, 0))]);
            body.extend(moves.map(|(dst, src, from)| {
                Stmt::Instr(Instr::Move {
                    dst: at(dst),
                    src: at(src),
                    from,
                })
            }));
            // The first piece of all overwrites the accumulator; the test of the trip stays inside the loop.
            body.push(match of_all {
                First::If(id) if piece == 0 => Stmt::If {
                    cond: Cond::First(id),
                    then: vec![product(in_l0, false)],
                    otherwise: vec![product(in_l0, true)],
                },
                First::Yes if piece == 0 => product(in_l0, false),
                First::If(_) | First::Yes | First::No => product(in_l0, true),
            });
        }
        body
    }

    /// What a trip brings into L1.
    fn loads(
        &self,
        tiles: &Tiles,
        places: &Places,
        (rows, cols): (usize, usize),
        (start, at): (Expr, &dyn Fn(TileId) -> TileRef),
    ) -> Vec<Stmt> {
        let k = times(start, places.part, self.extent);
        let load = |tile: TileId, source: Source, (row, col): (&Expr, &Expr), rows, cols| {
            Stmt::Instr(Instr::Load {
                dst: at(tile),
                src: GlobalRef {
                    tensor: source.name.into(),
                    row: row.clone(),
                    col: col.clone(),
                    rows,
                    cols,
                    peer: None,
                    step: 1,
                    view: source.view,
                },
            })
        };
        let goes = tiles.a1.map(|a1| {
            let after = k.clone().plus_constant(self.kept as i64);
            load(
                a1,
                self.lhs,
                (places.row, &after),
                rows,
                self.chunk - self.kept,
            )
        });
        let right = match self.turned {
            true => load(tiles.b1, self.rhs, (&k, places.right), self.chunk, cols),
            false => load(tiles.b1, self.rhs, (places.right, &k), cols, self.chunk),
        };
        let Some((kept, of)) = tiles.kept.zip(places.tiles) else {
            return goes.into_iter().chain([right]).collect();
        };
        let stays = Stmt::If {
            cond: Cond::First(of),
            then: vec![load(kept, self.lhs, (places.row, &k), rows, self.kept)],
            otherwise: vec![],
        };
        // What is loaded in every trip comes first, so that one flag tells of all.
        [right, stays].into_iter().chain(goes).collect()
    }
}

/// The tiles of a product's operands in L1 and in L0.
struct Tiles {
    a1: Option<TileId>,
    /// What of the left operand stays for all tiles of columns, with a slot for each trip.
    kept: Option<TileId>,
    b1: TileId,
    /// Those that the pieces of a trip take turns in.
    a0: Vec<TileId>,
    b0: Vec<TileId>,
}

impl Tiles {
    /// Adds those of the left operand.
    fn by_rows(&self, out: &mut Vec<TileId>) {
        out.extend(self.a0.iter().chain(&self.kept).chain(&self.a1));
    }
}

/// Whether a product is the first one of its accumulator, which it overwrites.
#[derive(Clone, Copy)]
enum First {
    Yes,
    No,
    /// In the first trip of a loop.
    If(LoopId),
}
