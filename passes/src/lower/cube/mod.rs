//! Kernels of a cube core: a product, accumulated over chunks of the inner axis.

mod product;

use super::ragged::Rows;
use super::{LowerError, Stored, StoredBody, not_executable};
use crate::term::plan::KernelPlan;
use indexmap::IndexMap;
use product::Product;
use tilewright_ir::kernel::{
    Cond, Expr, GlobalRef, GlobalTensor, Instr, Kernel, LoopId, Stmt, TileId, TileRef, Var,
};
use tilewright_ir::machine::Machine;

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
    // What is kept is kept for other tiles of columns, and in equal trips.
    if product.kept > 0 && (walk.tiles.is_none() || product.rest() > 0) {
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
        let (mut body, acc) =
            product.accumulate(&mut kernel, &places, (size, sums), (names, &mut by_rows));
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
                ..TileRef::new(acc)
            },
        }));
        body
    };
    let mut body = tile(&product, chunk, "");
    let rest = store.cols % chunk;
    if rest > 0 {
        // The last tile may be a block's only one, so it finds nothing kept.
        let loads_all = product.loads_all();
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
