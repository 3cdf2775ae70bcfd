//! Kernels of a cube core: a product, accumulated over chunks of the inner axis.

use super::ragged::Rows;
use super::{LowerError, Stored, StoredBody, not_executable, num, tensor_name};
use crate::term::language::{Head, Term};
use crate::term::plan::KernelPlan;
use egg::Id;
use indexmap::IndexMap;
use tilewright_ir::dtype::DType;
use tilewright_ir::kernel::{
    Cond, Expr, GlobalRef, GlobalTensor, Instr, Kernel, Layout, LoopId, Space, Stmt, Tile, TileId,
    TileRef, Var,
};

/// Rows and columns of a fractal of the accumulator, and rows of an operand's.
const FRACTAL: usize = 16;

pub(super) fn lower(
    plan: &KernelPlan,
    stores: &[Stored],
    tensors: &IndexMap<String, GlobalTensor>,
    mut kernel: Kernel,
) -> Result<Kernel, LowerError> {
    let [store] = stores else {
        return Err(not_executable(plan, plan.roots[1].id));
    };
    let StoredBody::Cols { chunk, tile, .. } = store.body else {
        return Err(not_executable(plan, plan.roots[0].id));
    };
    let product = Product::read(plan, tile, tensors).ok_or_else(|| not_executable(plan, tile))?;
    product.check(plan, chunk, store.cols)?;

    let (grid_rows, grid_cols) = store.grid();
    let grid_rows = grid_rows / store.groups;
    let group_rows = store.rows / store.groups;
    // Stacked parts are an axis of the grid; the rows below it are those of the operands.
    let (grid_rows, height) = (grid_rows / product.parts, store.rows / product.parts);
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
    let part = coordinate(product.parts, 1);
    let group = coordinate(store.groups, 1);
    let mut row = coordinate(grid_rows, store.block_rows);
    let mut col = coordinate(grid_cols, store.block_cols);
    let mut open: Vec<(LoopId, usize)> = vec![];
    let mut enter = |kernel: &mut Kernel, name: &str, trips: usize| {
        (trips > 1).then(|| {
            kernel.loops.push(name.into());
            open.push((kernel.loops.len() - 1, trips));
            kernel.loops.len() - 1
        })
    };
    if let Some(id) = enter(&mut kernel, "row", store.block_rows / store.trip_rows) {
        row = row.plus(Var::Loop(id), store.trip_rows as i64);
    }
    if let Some(id) = enter(&mut kernel, "col", store.block_cols / chunk) {
        col = col.plus(Var::Loop(id), chunk as i64);
    }
    let rows = Rows::of(&mut kernel, &tensors[store.tensor], &group);
    let times = |e: Expr, of: &Expr, n: usize| {
        let terms = of.terms.iter();
        terms.fold(e, |e, (v, k)| e.plus(*v, k * n as i64))
    };
    let in_group = row.clone();
    let row = times(row, &group, group_rows);
    let right = times(
        col.clone(),
        &group,
        store.cols * usize::from(product.grouped),
    );
    let places = Places {
        row: &row,
        right: &right,
        part: &part,
    };
    let first_tile = kernel.tiles.len();
    let mut body = product.accumulate(&mut kernel, places, store.trip_rows, chunk);
    let stacked = times(row, &part, height);
    let acc = kernel.tiles.len() - 1;
    body.push(Stmt::Instr(Instr::Store {
        dst: GlobalRef {
            tensor: store.tensor.into(),
            row: stacked,
            col,
            rows: store.trip_rows,
            cols: chunk,
            peer: None,
            step: 1,
        },
        src: TileRef::new(acc),
    }));
    if let Some(rows) = &rows {
        // The left operand's tiles and the accumulator, not the right operand's.
        let by_rows = |t: TileId| matches!(t - first_tile, 0 | 2 | 4);
        body = vec![rows.guard(&in_group, store.trip_rows, body, &by_rows)];
    }
    for (id, trips) in open.into_iter().rev() {
        body = vec![Stmt::Loop {
            id,
            trips,
            depth: 1,
            body,
        }];
    }
    if let Some(rows) = rows {
        body.insert(0, rows.read());
    }
    kernel.body = body;
    kernel.pipeline = product.depth;
    let names = &plan.names;
    // The cube works on whole fractals of rows, so that is what the tile is.
    let rows = store.block_rows.next_multiple_of(FRACTAL);
    kernel.params.insert(names.rows.clone(), rows);
    if let Some(name) = &names.cols {
        kernel.params.insert(name.clone(), chunk);
    }
    if let Some(name) = &names.reduce {
        kernel.params.insert(name.clone(), product.chunk);
        if product.piece < product.chunk {
            kernel.params.insert(format!("{name}_L0"), product.piece);
        }
    }
    if product.parts > 1 {
        kernel.params.insert("SPLIT_K".into(), product.parts);
    }
    Ok(kernel)
}

/// Where the operands of a product start.
struct Places<'a> {
    /// Row of the left operand.
    row: &'a Expr,
    /// Row of the right operand, which is given transposed.
    right: &'a Expr,
    /// Part of the inner axis.
    part: &'a Expr,
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
    lhs: &'a str,
    rhs: &'a str,
    dtype: DType,
}

impl<'a> Product<'a> {
    fn read(
        plan: &'a KernelPlan,
        id: Id,
        tensors: &IndexMap<String, GlobalTensor>,
    ) -> Option<Self> {
        let expr = &plan.expr;
        let (parts, grouped, c) = match &expr[id] {
            Term::App(Head::Mm, c) => (1, false, &c[..]),
            Term::App(Head::MmParts, c) => (num(expr, c[0])?, false, &c[1..]),
            Term::App(Head::MmGrouped, c) => (1, true, &c[1..]),
            _ => return None,
        };
        let operand = |id: Id| match &expr[id] {
            Term::App(Head::Load, c) => tensor_name(expr, c[2]),
            _ => None,
        };
        let (lhs, rhs) = (operand(c[3])?, operand(c[4])?);
        let (chunk, piece) = match &expr[c[2]] {
            Term::App(Head::Pieces, p) => (num(expr, p[0])?, num(expr, p[1])?),
            _ => (num(expr, c[2])?, num(expr, c[2])?),
        };
        Some(Product {
            parts,
            grouped,
            depth: num(expr, c[0])?,
            extent: num(expr, c[1])?,
            chunk,
            piece,
            lhs,
            rhs,
            dtype: tensors.get(lhs)?.dtype,
        })
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
        // All columns may end within a fractal, whose rest is no part of the result.
        if cols != whole {
            fractal("columns", cols, FRACTAL)?;
        }
        fractal("the inner axis", self.piece, 32 / self.dtype.bytes())
    }

    /// The accumulation; the accumulator is the last tile that it adds.
    fn accumulate(
        &self,
        kernel: &mut Kernel,
        Places { row, right, part }: Places,
        rows: usize,
        cols: usize,
    ) -> Vec<Stmt> {
        let padded = rows.next_multiple_of(FRACTAL);
        let trips = self.extent / self.chunk;
        let inner = (trips > 1).then(|| {
            kernel.loops.push("k".into());
            kernel.loops.len() - 1
        });
        let mut k = match inner {
            Some(id) => Expr::var(Var::Loop(id), self.chunk as i64),
            None => Expr::default(),
        };
        for (v, step) in &part.terms {
            k = k.plus(*v, step * self.extent as i64);
        }
        let mut tile =
            |name: &str, space, layout, dtype, [height, valid, width]: [usize; 3]| -> TileId {
                // Columns of the right operand and of the result fill fractals, too.
                let whole = match layout {
                    Layout::Zn | Layout::Right | Layout::Acc => width.next_multiple_of(FRACTAL),
                    _ => width,
                };
                kernel.tiles.push(Tile {
                    name: name.into(),
                    space,
                    dtype,
                    rows: height,
                    cols: whole,
                    valid_rows: valid,
                    valid_cols: width,
                    layout,
                    // L0 is emptied by each product, so two slots are enough whatever the depth. A trip of several pieces uses
                    // its slot several times, so another one would gain nothing.
                    slots: match (space, self.depth) {
                        (Space::L1, d) => d,
                        (Space::L0a | Space::L0b, d) if self.piece == self.chunk => d.min(2),
                        _ => 1,
                    },
                    addrs: vec![],
                });
                kernel.tiles.len() - 1
            };
        let (d, c, p) = (self.dtype, self.chunk, self.piece);
        let a1 = tile("a_l1", Space::L1, Layout::Nz, d, [padded, rows, c]);
        // The right operand is given as [N, K]; its load transposes.
        let b1 = tile("b_l1", Space::L1, Layout::Zn, d, [c, c, cols]);
        let a0 = tile("a_l0", Space::L0a, Layout::Zz, d, [padded, rows, p]);
        let b0 = tile("b_l0", Space::L0b, Layout::Right, d, [p, p, cols]);
        let sum = match d {
            DType::I8 => DType::I32,
            _ => DType::F32,
        };
        let acc = tile("acc", Space::L0c, Layout::Acc, sum, [padded, rows, cols]);
        let slots: Vec<usize> = kernel.tiles.iter().map(|t| t.slots).collect();
        let at = |tile: TileId| TileRef {
            tile,
            slot: inner.filter(|_| slots[tile] > 1),
            rows: None,
        };
        let global = |tensor: &str, row: &Expr, rows: usize| GlobalRef {
            tensor: tensor.into(),
            row: row.clone(),
            col: k.clone(),
            rows,
            cols: c,
            peer: None,
            step: 1,
        };
        let product = |accumulate: bool| {
            Stmt::Instr(Instr::Matmul {
                dst: TileRef::new(acc),
                lhs: at(a0),
                rhs: at(b0),
                accumulate,
            })
        };
        let mut body: Vec<Stmt> = [
            Instr::Load {
                dst: at(a1),
                src: global(self.lhs, row, rows),
            },
            Instr::Load {
                dst: at(b1),
                src: global(self.rhs, right, cols),
            },
        ]
        .map(Stmt::Instr)
        .into();
        for piece in 0..c / p {
            let first = piece * p;
            body.push(Stmt::Instr(Instr::Move {
                dst: at(a0),
                src: at(a1),
                from: (0, first),
            }));
            body.push(Stmt::Instr(Instr::Move {
                dst: at(b0),
                src: at(b1),
                from: (first, 0),
            }));
            // The first piece overwrites the accumulator; the test of the trip stays inside the loop.
            body.push(match inner {
                _ if piece > 0 => product(true),
                None => product(false),
                Some(id) => Stmt::If {
                    cond: Cond::First(id),
                    then: vec![product(false)],
                    otherwise: vec![product(true)],
                },
            });
        }
        match inner {
            None => body,
            Some(id) => {
                vec![Stmt::Loop {
                    id,
                    trips,
                    depth: self.depth,
                    body,
                }]
            }
        }
    }
}
