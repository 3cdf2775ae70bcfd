//! Kernels of a cube core: a product, accumulated over chunks of the inner axis.

use super::ragged::Rows;
use super::{LowerError, Source, Stored, StoredBody, not_executable, num};
use crate::term::language::{Head, Term};
use crate::term::plan::KernelPlan;
use egg::Id;
use indexmap::IndexMap;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::Operator;
use tilewright_ir::kernel::{
    Cond, Expr, GlobalRef, GlobalTensor, Instr, Kernel, Layout, LoopId, Space, Stmt, Tile, TileId,
    TileRef, Var,
};
use tilewright_ir::machine::{Geometry, Machine};

pub(super) fn lower(
    plan: &KernelPlan,
    stores: &[Stored],
    tensors: &IndexMap<String, GlobalTensor>,
    machine: &Machine,
    mut kernel: Kernel,
) -> Result<Kernel, LowerError> {
    let [store] = stores else {
        return Err(not_executable(plan, plan.roots[1].id));
    };
    let StoredBody::Cols { chunk, tile, depth } = store.body else {
        return Err(not_executable(plan, plan.roots[0].id));
    };
    let product = Product::read(plan, tile, tensors, machine);
    let product = product.ok_or_else(|| not_executable(plan, tile))?;
    product.check(plan, chunk, store.cols)?;
    let whole_tiles = store.block_cols.is_multiple_of(chunk) || store.block_cols >= store.cols;
    if !whole_tiles || !store.block_rows.is_multiple_of(store.trip_rows) {
        return Err(not_executable(plan, tile));
    }

    let walk = Walk::new(&mut kernel, store, &product, (depth, chunk));
    if product.kept > 0 && walk.tiles.is_none() {
        // There is one tile of columns.
        return Err(not_executable(plan, tile));
    }
    let of_group = store.rows / store.groups / product.parts;
    let block = (of_group, store.block_rows);
    let rows = Rows::of(&mut kernel, &tensors[store.tensor], block, &walk.group);
    let row = times(walk.row.clone(), &walk.group, store.rows / store.groups);
    let columns = store.cols * usize::from(product.grouped);
    let places = Places {
        row: &row,
        right: &times(walk.col.clone(), &walk.group, columns),
        part: &walk.part,
        tiles: walk.tiles,
    };
    // The left operand's tiles and the accumulator, not the right operand's.
    let mut by_rows: Vec<TileId> = vec![];
    let mut tile = |product: &Product, cols: usize, names: &str| {
        let size = (store.trip_rows, cols);
        let sums = if names.is_empty() { depth } else { 1 };
        let (mut body, tiles) = product.accumulate(&mut kernel, &places, (size, sums), names);
        by_rows.extend(tiles.a0.iter().chain(&tiles.kept).chain(&tiles.a1));
        by_rows.push(tiles.acc);
        body.push(Stmt::Instr(Instr::Store {
            dst: GlobalRef {
                tensor: store.tensor.into(),
                row: times(row.clone(), &walk.part, store.rows / product.parts),
                col: walk.col.clone(),
                rows: store.trip_rows,
                cols,
                peer: None,
                step: 1,
                view: None,
            },
            src: TileRef {
                slot: walk.tiles.filter(|_| sums > 1),
                ..TileRef::new(tiles.acc)
            },
        }));
        body
    };
    let mut body = tile(&product, chunk, "");
    let rest = store.cols % chunk;
    if rest > 0 {
        // The last tile may be a block's only one, so it finds nothing kept.
        let loads_all = Product { kept: 0, ..product };
        let otherwise = walk.if_any(store, chunk, tile(&loads_all, rest, "_rest"));
        let left = Expr::constant((store.cols - chunk + 1) as i64).minus(&walk.col);
        body = vec![Stmt::If {
            cond: Cond::Positive(left),
            then: body,
            otherwise,
        }];
    }
    if let Some(rows) = &rows {
        let by_rows = |t: TileId| by_rows.contains(&t);
        body = vec![rows.guard(&walk.row, store.trip_rows, body, &by_rows)];
    }
    body = walk.around(body);
    if let Some(read) = rows.and_then(|r| r.read()) {
        body.insert(0, read);
    }
    kernel.body = body;
    kernel.pipeline = product.depth;
    product.params(plan, store, chunk, &mut kernel.params);
    Ok(kernel)
}

/// `e`, and `n` times the terms of another one.
fn times(e: Expr, of: &Expr, n: usize) -> Expr {
    let terms = of.terms.iter();
    terms.fold(e, |e, (v, k)| e.plus(*v, k * n as i64))
}

/// How a block finds its tiles: the axes of the grid and the loops over them.
struct Walk {
    /// Row within the group, and column.
    row: Expr,
    col: Expr,
    /// Part of the inner axis.
    part: Expr,
    group: Expr,
    /// Loops around the product, with their trips and depth, the outermost first.
    loops: Vec<(LoopId, usize, usize)>,
    /// The loop over tiles of columns, if there are several.
    tiles: Option<LoopId>,
}

impl Walk {
    fn new(
        kernel: &mut Kernel,
        store: &Stored,
        product: &Product,
        (depth, chunk): (usize, usize),
    ) -> Self {
        let (grid_rows, grid_cols) = store.grid();
        // Stacked parts are an axis of the grid; the rows below it are those of the operands.
        let grid_rows = match product.parts {
            1 => grid_rows / store.groups,
            // Each part has all blocks of the result.
            parts => (store.rows / parts).div_ceil(store.block_rows),
        };
        if product.parts > 1 {
            let axes = [
                (super::PARTS, product.parts),
                ("rows", grid_rows),
                (super::COLS, grid_cols),
            ];
            kernel.launch.grid = super::grid(&axes);
        }
        let mut axis = 0;
        let mut coordinate = |count: usize, step: usize| {
            if count > 1 {
                axis += 1;
                Expr::var(Var::Grid(axis - 1), step as i64)
            } else {
                Expr::default()
            }
        };
        let mut walk = Walk {
            part: coordinate(product.parts, 1),
            group: coordinate(store.groups, 1),
            row: coordinate(grid_rows, store.block_rows),
            col: coordinate(grid_cols, store.block_cols),
            loops: vec![],
            tiles: None,
        };
        let trips = store.block_rows.div_ceil(store.trip_rows);
        if let Some(id) = walk.enter(kernel, "row", (trips, 1)) {
            walk.row = walk.row.plus(Var::Loop(id), store.trip_rows as i64);
        }
        let trips = store.block_cols.div_ceil(chunk);
        walk.tiles = walk.enter(kernel, "col", (trips, depth));
        if let Some(id) = walk.tiles {
            walk.col = walk.col.plus(Var::Loop(id), chunk as i64);
        }
        walk
    }

    /// A loop, where there is more than one trip.
    fn enter(
        &mut self,
        kernel: &mut Kernel,
        name: &str,
        (trips, depth): (usize, usize),
    ) -> Option<LoopId> {
        if trips == 1 {
            return None;
        }
        kernel.loops.push(name.into());
        let id = kernel.loops.len() - 1;
        self.loops.push((id, trips, depth));
        Some(id)
    }

    /// The body for the last columns, where there are blocks and trips without any.
    fn if_any(&self, store: &Stored, chunk: usize, body: Vec<Stmt>) -> Vec<Stmt> {
        let trips = store.block_cols.div_ceil(chunk);
        let walked = (store.grid().1 - 1) * store.block_cols + trips * chunk;
        if walked < store.cols + chunk {
            return body;
        }
        vec![Stmt::If {
            cond: Cond::Positive(Expr::constant(store.cols as i64).minus(&self.col)),
            then: body,
            otherwise: vec![],
        }]
    }

    /// The loops with a body in them.
    fn around(self, mut body: Vec<Stmt>) -> Vec<Stmt> {
        for (id, trips, depth) in self.loops.into_iter().rev() {
            body = vec![Stmt::Loop {
                id,
                trips,
                depth,
                body,
            }];
        }
        body
    }
}

/// Where the operands of a product start.
struct Places<'a> {
    /// Row of the left operand.
    row: &'a Expr,
    /// Row of the right operand, which is given transposed.
    right: &'a Expr,
    /// Part of the inner axis.
    part: &'a Expr,
    /// The loop over tiles of columns.
    tiles: Option<LoopId>,
}

/// `(mm depth extent chunk (load r chunk a) (load n chunk b))`, read; or `mm_parts`.
struct Product<'a> {
    /// Parts of the inner axis, of `extent` each.
    parts: usize,
    /// Whether each group of rows meets rows of its own of the right operand.
    grouped: bool,
    depth: usize,
    extent: usize,
    chunk: usize,
    /// Elements of a chunk that are multiplied at a time.
    piece: usize,
    /// Elements of a chunk of the left operand that stay in L1 for all tiles of columns: the first ones.
    kept: usize,
    lhs: Source<'a>,
    rhs: Source<'a>,
    /// Whether the right operand lies as [K, N] in memory, rather than as [N, K].
    turned: bool,
    dtype: DType,
    machine: &'a Machine,
}

impl<'a> Product<'a> {
    fn read(
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

    fn geometry(&self) -> &Geometry {
        &self.machine.geometry
    }

    /// Rows and columns of a fractal of the accumulator, and rows of an operand's.
    fn fractal(&self) -> usize {
        self.geometry().fractal_rows.count()
    }

    fn check(&self, plan: &KernelPlan, cols: usize, whole: usize) -> Result<(), LowerError> {
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
    fn params(
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
    fn tiles(
        &self,
        kernel: &mut Kernel,
        ((rows, cols), sums): ((usize, usize), usize),
        ending: &str,
    ) -> Tiles {
        let fractal = self.fractal();
        let padded = rows.next_multiple_of(fractal);
        // What is turned is squares, which can be wider than a fractal of the accumulator.
        let filled = match self.turned {
            true => self.geometry().turned(self.dtype),
            false => fractal,
        };
        let mut tile = |name: &str, space, layout, dtype, [height, valid, width]: [usize; 3]| {
            // Columns of the right operand and of the result fill fractals, too.
            let whole = match layout {
                Layout::Nz | Layout::Zn | Layout::Right | Layout::Acc => {
                    width.next_multiple_of(filled)
                }
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
                    (Space::L0c, _) => sums,
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
        let sum = match d {
            DType::I8 => DType::I32,
            _ => DType::F32,
        };
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
        let acc = tile("acc", Space::L0c, Layout::Acc, sum, [padded, rows, cols]);
        if let Some(kept) = kept {
            kernel.tiles[kept].slots = self.extent / c;
        }
        Tiles {
            a1,
            kept,
            b1,
            a0,
            b0,
            acc,
        }
    }

    /// How many tiles of so many elements the pieces of a trip take turns in: the next piece comes while one is multiplied, where
    /// two have room.
    fn alternating(&self, space: Space, elements: usize) -> usize {
        let bytes = elements * self.dtype.bytes();
        let two = self.piece < self.chunk && 2 * bytes <= self.machine.capacity_of(space);
        1 + usize::from(two)
    }

    /// The accumulation of `rows` x `cols`, and its tiles, of which so many add up at a time. Names of loops and tiles have an ending.
    fn accumulate(
        &self,
        kernel: &mut Kernel,
        places: &Places,
        size: ((usize, usize), usize),
        names: &str,
    ) -> (Vec<Stmt>, Tiles) {
        let trips = self.extent / self.chunk;
        let inner = (trips > 1).then(|| {
            kernel.loops.push(format!("k{names}"));
            kernel.loops.len() - 1
        });
        let tiles = self.tiles(kernel, size, names);
        let at = |tile: TileId| TileRef {
            tile,
            slot: inner.filter(|_| kernel.tiles[tile].slots > 1),
            rows: None,
        };
        let product = |(a0, b0): (TileId, TileId), accumulate: bool| {
            Stmt::Instr(Instr::Matmul {
                dst: TileRef {
                    slot: places.tiles.filter(|_| size.1 > 1),
                    ..TileRef::new(tiles.acc)
                },
                lhs: at(a0),
                rhs: at(b0),
                accumulate,
            })
        };
        let mut body = self.loads(&tiles, places, size.0, (inner, &at));
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
            // The first piece overwrites the accumulator; the test of the trip stays inside the loop.
            body.push(match inner {
                _ if piece > 0 => product(in_l0, true),
                None => product(in_l0, false),
                Some(id) => Stmt::If {
                    cond: Cond::First(id),
                    then: vec![product(in_l0, false)],
                    otherwise: vec![product(in_l0, true)],
                },
            });
        }
        if let Some(id) = inner {
            body = vec![Stmt::Loop {
                id,
                trips,
                depth: self.depth,
                body,
            }];
        }
        (body, tiles)
    }

    /// What a trip brings into L1.
    fn loads(
        &self,
        tiles: &Tiles,
        places: &Places,
        (rows, cols): (usize, usize),
        (inner, at): (Option<LoopId>, &dyn Fn(TileId) -> TileRef),
    ) -> Vec<Stmt> {
        let start = match inner {
            Some(id) => Expr::var(Var::Loop(id), self.chunk as i64),
            None => Expr::default(),
        };
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

/// The tiles of a product: operands in L1 and in L0, and the accumulator.
struct Tiles {
    a1: Option<TileId>,
    /// What of the left operand stays for all tiles of columns, with a slot for each trip.
    kept: Option<TileId>,
    b1: TileId,
    /// Those that the pieces of a trip take turns in.
    a0: Vec<TileId>,
    b0: Vec<TileId>,
    acc: TileId,
}
