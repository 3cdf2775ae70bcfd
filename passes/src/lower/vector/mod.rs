//! Kernels of a vector core.
//!
//! Values of a block are computed in phases. A reduction loop of phase p uses results of reductions of earlier phases only; loops of one
//! phase that agree in extent, chunk and depth become one sweep over the data, and a store joins a sweep when it can.
//! A tile is computed at most once a place: in a loop's body if it depends on the chunk, before the loop if it does not.

pub(super) mod operand;
mod slices;

use super::ragged::Rows;
use super::{LowerError, Stored, StoredBody, folds, not_executable, num, tensor_name, ub_tile};
use crate::hash::{HashMap, HashSet};
use crate::term::language::{Head, Term};
use crate::term::plan::KernelPlan;
use egg::{Id, Language};
use indexmap::IndexMap;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{Operator, Reduce};
use tilewright_ir::kernel::{
    Expr, GlobalRef, GlobalTensor, Instr, Kernel, LoopId, Stmt, TileId, TileRef, Var, VectorOp,
    scratch_needed,
};
use tilewright_ir::machine::Geometry;

/// Where a tile is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// Once a block (or a trip of the row loop). `fanned`: of the block's own columns, not of the whole row.
    Block { fanned: bool },
    /// In each trip of a loop over columns.
    Loop { id: LoopId, fanned: bool },
}

/// Columns of a wider value: the first, and how many.
pub(super) type Window = Option<(usize, usize)>;

/// A loop over columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sweep {
    phase: usize,
    extent: usize,
    chunk: usize,
    depth: usize,
    fanned: bool,
}

pub(super) struct Vector<'a> {
    pub plan: &'a KernelPlan,
    tensors: &'a IndexMap<String, GlobalTensor>,
    scalars: &'a IndexMap<String, i64>,
    pub geometry: &'a Geometry,
    pub kernel: Kernel,
    /// Rows, columns and type of every tile term.
    types: Vec<Option<(usize, usize, DType)>>,
    /// What does not depend on the row loop.
    pub prologue: Vec<Stmt>,
    /// Once a block.
    main: Vec<Stmt>,
    /// The body of the sweep being built.
    body: Vec<Stmt>,
    memo: HashMap<(Id, Place, Window), TileRef>,
    row: Expr,
    /// The group that the rows are of.
    group: Expr,
    /// The columns of a wider value that are computed, first and number; none for all.
    window: Window,
    block_col: Expr,
    chunk: usize,
    depth: usize,
    pub index_row: Option<TileId>,
    /// By the number of columns, where elements of a row lie when it is turned around, and where they do.
    pub turns: HashMap<usize, [TileRef; 2]>,
    /// Names of tiles, and the numbers that follow those given to equal names.
    taken: HashSet<String>,
    numbers: HashMap<String, usize>,
}

pub(super) fn lower(
    plan: &KernelPlan,
    stores: &[Stored],
    (tensors, scalars): (&IndexMap<String, GlobalTensor>, &IndexMap<String, i64>),
    geometry: &Geometry,
    mut kernel: Kernel,
) -> Result<Kernel, LowerError> {
    let first = &stores[0];
    let (grid_rows, grid_cols) = first.grid();
    let (grid_rows, group_rows) = (grid_rows / first.groups, first.rows / first.groups);
    let mut axis = 0;
    let mut coordinate = |count: usize, step: usize| {
        if count > 1 {
            axis += 1;
            Expr::var(Var::Grid(axis - 1), step as i64)
        } else {
            Expr::default()
        }
    };
    let group = coordinate(first.groups, 1);
    let mut row = coordinate(grid_rows, first.block_rows);
    let block_col = coordinate(grid_cols, 1);
    let row_trips = first.block_rows / first.trip_rows.max(1);
    let row_loop = (row_trips > 1).then(|| {
        kernel.loops.push("row".into());
        row = row.clone().plus(Var::Loop(0), first.trip_rows as i64);
        0
    });
    let in_group = row.clone();
    for (v, k) in &group.terms {
        row = row.plus(*v, k * group_rows as i64);
    }
    let ragged = Rows::of(&mut kernel, &tensors[first.tensor], &group);
    let types = types(plan, tensors);
    let mut v = Vector {
        plan,
        tensors,
        scalars,
        geometry,
        kernel,
        types,
        prologue: vec![],
        main: vec![],
        body: vec![],
        memo: HashMap::default(),
        row,
        group,
        window: None,
        block_col,
        chunk: 0,
        depth: 1,
        index_row: None,
        turns: HashMap::default(),
        taken: HashSet::default(),
        numbers: HashMap::default(),
    };
    v.block(stores)?;
    let mut body = v.prologue;
    if let Some(ragged) = ragged {
        let tiles = &v.kernel.tiles;
        // What has as many rows as a trip has a row of each of them; one row needs no count.
        let by_rows = |t: TileId| tiles[t].valid_rows == first.trip_rows;
        let main = std::mem::take(&mut v.main);
        body.push(ragged.read());
        v.main = vec![ragged.guard(&in_group, first.trip_rows, main, &by_rows)];
    }
    match row_loop {
        Some(id) => body.push(Stmt::Loop {
            id,
            trips: row_trips,
            depth: 1,
            body: v.main,
        }),
        None => body.extend(v.main),
    }
    v.kernel.body = body;
    parameters(plan, stores, &mut v.kernel);
    Ok(v.kernel)
}

/// Tile parameters under their engineers' names: of the rows, of the stored columns, and of reductions where they differ.
fn parameters(plan: &KernelPlan, stores: &[Stored], kernel: &mut Kernel) {
    let names = &plan.names;
    kernel
        .params
        .insert(names.rows.clone(), stores[0].block_rows);
    let stored = stores
        .iter()
        .filter_map(|s| match s.body {
            StoredBody::Cols { chunk, .. } if s.cols > 1 => Some(chunk),
            _ => None,
        })
        .max();
    if let (Some(name), Some(chunk)) = (&names.cols, stored) {
        kernel.params.insert(name.clone(), chunk);
    }
    let roots = plan.roots.iter().map(|r| r.id);
    for id in folds(&plan.expr, roots) {
        let (Term::App(Head::Fold(reduce), c), Some(name)) = (&plan.expr[id], &names.reduce) else {
            continue;
        };
        let Some(chunk) = num(&plan.expr, c[2]) else {
            continue;
        };
        match kernel.params.get(name) {
            None => {
                kernel.params.insert(name.clone(), chunk);
            }
            Some(same) if *same == chunk => {}
            Some(_) => {
                let name = format!("{}_{}", name, reduce.name().to_uppercase());
                kernel.params.insert(name, chunk);
            }
        }
    }
}

/// Rows, columns and type of the tile terms of a plan.
fn types(
    plan: &KernelPlan,
    tensors: &IndexMap<String, GlobalTensor>,
) -> Vec<Option<(usize, usize, DType)>> {
    let expr = &plan.expr;
    let mut out: Vec<Option<(usize, usize, DType)>> = Vec::with_capacity(expr.len());
    for (_, node) in expr.items() {
        let of = |i: usize| out[usize::from(node.children()[i])];
        let ty = match node {
            Term::App(Head::Load, c) => tensor_name(expr, c[2])
                .and_then(|n| tensors.get(n))
                .and_then(|t| Some((num(expr, c[0])?, num(expr, c[1])?, t.dtype))),
            Term::App(Head::Op(operator), c) => {
                let primitive = operator.primitive();
                let first = usize::from(primitive.grouped());
                let operand = |i: usize| of(first + i).map_or((1, 1), |(r, c, _)| (r, c));
                let numbers = first + primitive.operands();
                let number = |i: usize| num(expr, c[numbers + i]).unwrap_or(0);
                of(first).map(|(_, _, dtype)| {
                    let (rows, cols) = primitive.shape.extent(true, 1, operand, number);
                    (rows, cols, primitive.shape.dtype(*operator, dtype))
                })
            }
            Term::App(Head::Fold(_), _) => of(3),
            Term::App(Head::Halve(_), c) => {
                of(1).and_then(|(r, cols, d)| Some((r, cols >> num(expr, c[0])?, d)))
            }
            Term::App(Head::AddParts, _) => of(1),
            _ => None,
        };
        out.push(ty);
    }
    out
}

impl Vector<'_> {
    /// One block, or one trip of its row loop.
    fn block(&mut self, stores: &[Stored]) -> Result<(), LowerError> {
        let expr = &self.plan.expr;
        let roots: Vec<Id> = self.plan.roots.iter().map(|r| r.id).collect();
        let folds = folds(expr, roots);
        let mut phases: HashMap<Id, usize> = HashMap::default();
        for id in (0..expr.len()).map(Id::from) {
            let below = expr[id].children().iter().map(|c| phases[c]).max();
            let fold = matches!(expr[id], Term::App(Head::Fold(_), _));
            phases.insert(id, below.unwrap_or(0) + usize::from(fold));
        }
        // Sweeps in the order of their phases, each with the folds and stores that share it.
        let mut sweeps: Vec<(Sweep, Vec<Id>, Vec<usize>)> = vec![];
        let mut join = |sweep: Sweep, fold: Option<Id>, store: Option<usize>| {
            let i = match sweeps.iter().position(|(s, ..)| *s == sweep) {
                Some(i) => i,
                None => {
                    sweeps.push((sweep, vec![], vec![]));
                    sweeps.len() - 1
                }
            };
            sweeps[i].1.extend(fold);
            sweeps[i].2.extend(store);
        };
        for id in folds {
            let Term::App(_, c) = &expr[id] else { continue };
            let bad = || not_executable(self.plan, id);
            let (depth, extent, chunk) = (
                num(expr, c[0]).ok_or_else(bad)?,
                num(expr, c[1]).ok_or_else(bad)?,
                num(expr, c[2]).ok_or_else(bad)?,
            );
            if chunk == 1 && extent > 1 {
                return Err(bad());
            }
            let sweep = Sweep {
                phase: phases[&id] - 1,
                extent,
                chunk,
                depth,
                fanned: false,
            };
            join(sweep, Some(id), None);
        }
        for (i, s) in stores.iter().enumerate() {
            let StoredBody::Cols { depth, chunk, tile } = s.body else {
                continue;
            };
            // A tile of one column is one value a row, which does not depend on the columns.
            if chunk == 1 && s.cols > 1 {
                return Err(not_executable(self.plan, tile));
            }
            let sweep = Sweep {
                phase: phases[&tile],
                extent: s.block_cols,
                chunk,
                depth,
                fanned: s.grid().1 > 1,
            };
            join(sweep, None, Some(i));
        }
        sweeps.sort_by_key(|(s, ..)| s.phase);
        for (sweep, folds, members) in sweeps {
            self.sweep(sweep, &folds, stores, &members)?;
        }
        for s in stores {
            match (s.body, s.pad) {
                (StoredBody::Fill { from, value }, _) => self.fill(s, from, s.cols, value),
                (_, Some((to, value))) => self.fill(s, s.cols, to, value),
                _ => {}
            }
        }
        Ok(())
    }

    fn sweep(
        &mut self,
        sweep: Sweep,
        folds: &[Id],
        stores: &[Stored],
        members: &[usize],
    ) -> Result<(), LowerError> {
        let trips = sweep.extent / sweep.chunk;
        self.chunk = sweep.chunk;
        self.depth = sweep.depth;
        let place = match trips {
            1 => Place::Block {
                fanned: sweep.fanned,
            },
            _ => {
                let id = self.kernel.loops.len();
                self.kernel.loops.push(format!("chunk{id}"));
                self.kernel.pipeline = self.kernel.pipeline.max(sweep.depth);
                Place::Loop {
                    id,
                    fanned: sweep.fanned,
                }
            }
        };
        for fold in folds {
            self.fold(*fold, place)?;
        }
        for i in members {
            let s = &stores[*i];
            let StoredBody::Cols { tile, .. } = s.body else {
                continue;
            };
            if let Some(pieces) = self.pieces(tile, place)? {
                self.store_pieces(s, place, pieces);
                continue;
            }
            let src = self.operand(tile, place)?;
            let (rows, cols) = (s.trip_rows, sweep.chunk);
            let width = s.cols;
            let mut col = self.column(place, width, cols);
            col.base += s.column as i64;
            let dst = GlobalRef {
                tensor: s.tensor.into(),
                row: self.row.clone(),
                col,
                rows,
                cols,
                peer: None,
                step: 1,
            };
            // What a store reads is in flight after the trip; a pipelined loop has one buffer a stage.
            if let Place::Loop { id, .. } = place
                && sweep.depth > 1
            {
                self.rotate(src.tile, id, sweep.depth);
                let src = TileRef {
                    slot: Some(id),
                    ..src
                };
                self.emit(place, Instr::Store { dst, src });
                continue;
            }
            self.emit(place, Instr::Store { dst, src });
        }
        if let Place::Loop { id, .. } = place {
            let body = std::mem::take(&mut self.body);
            self.main.push(Stmt::Loop {
                id,
                trips,
                depth: sweep.depth,
                body: loads_first(body),
            });
        }
        Ok(())
    }

    /// Gives a tile one slot a stage, and its writers in the current body the slot of their trip.
    fn rotate(&mut self, tile: TileId, id: LoopId, depth: usize) {
        if self.kernel.tiles[tile].slots == depth {
            return;
        }
        self.kernel.tiles[tile].slots = depth;
        in_slot(&mut self.body, tile, id);
        for (_, r) in self.memo.iter_mut() {
            if r.tile == tile {
                r.slot = Some(id);
            }
        }
    }

    /// Combines the chunks' reductions in an accumulator; one chunk needs none.
    fn fold(&mut self, id: Id, place: Place) -> Result<(), LowerError> {
        let bad = || not_executable(self.plan, id);
        let Term::App(Head::Fold(reduce), c) = &self.plan.expr[id] else {
            return Err(bad());
        };
        let Term::App(Head::Op(Operator::Reduce(_)), arg) = &self.plan.expr[c[3]] else {
            return Err(bad());
        };
        let (rows, _, dtype) = self.types[usize::from(id)].ok_or_else(bad)?;
        let name = self.label(id, reduce.name());
        let acc = self.tile(&name, dtype, rows, 1);
        if let Place::Loop { .. } = place {
            let identity = match reduce {
                Reduce::Sum => 0.0,
                Reduce::Max => f32::NEG_INFINITY,
                Reduce::Min => f32::INFINITY,
            };
            let once = Place::Block { fanned: false };
            self.vector(once, VectorOp::Fill(identity), acc, vec![], None);
            let src = self.operand(arg[0], place)?;
            let part = self.tile(&format!("{name}_part"), dtype, rows, 1);
            self.reduce(place, *reduce, part, src);
            let combine = VectorOp::Binary(reduce.combine());
            let operands = vec![TileRef::new(acc), TileRef::new(part)];
            self.vector(place, combine, acc, operands, None);
        } else {
            let src = self.operand(arg[0], place)?;
            self.reduce(place, *reduce, acc, src);
        }
        for fanned in [false, true] {
            self.memo
                .insert((id, Place::Block { fanned }, None), TileRef::new(acc));
        }
        Ok(())
    }

    fn reduce(&mut self, place: Place, reduce: Reduce, dst: TileId, src: TileRef) {
        let like = self.kernel.tiles[src.tile].clone();
        let name = format!("{}_tmp", self.kernel.tiles[dst].name);
        let tmp = self.tile(&name, like.dtype, like.valid_rows, like.valid_cols);
        self.vector(
            place,
            VectorOp::RowReduce(reduce),
            dst,
            vec![src],
            Some(tmp),
        );
    }
    /// A fill of columns `from..to` of a stored value.
    fn fill(&mut self, s: &Stored, from: usize, to: usize, value: f32) {
        let place = Place::Block { fanned: false };
        let dtype = self.tensors[s.tensor].dtype;
        let tile = self.tile("padding", dtype, s.trip_rows, to - from);
        self.vector(place, VectorOp::Fill(value), tile, vec![], None);
        let dst = GlobalRef {
            tensor: s.tensor.into(),
            row: self.row.clone(),
            col: Expr::constant((s.column + from) as i64),
            rows: s.trip_rows,
            cols: to - from,
            peer: None,
            step: 1,
        };
        let src = TileRef::new(tile);
        self.emit(place, Instr::Store { dst, src });
    }
    pub(in crate::lower) fn compute(
        &mut self,
        name: &str,
        place: Place,
        op: VectorOp,
        (rows, cols, dtype): (usize, usize, DType),
        srcs: Vec<TileRef>,
    ) -> TileRef {
        let dst = self.tile(name, dtype, rows, cols);
        self.vector(place, op, dst, srcs, None);
        TileRef::new(dst)
    }

    /// What the layer calls the value of a term.
    pub(super) fn label(&self, id: Id, fallback: &str) -> String {
        let label = self.plan.labels.get(&id);
        label.map_or_else(|| fallback.to_string(), String::clone)
    }

    /// A new tile; its name gets a number when it is taken.
    pub fn tile(&mut self, name: &str, dtype: DType, rows: usize, cols: usize) -> TileId {
        let id = self.kernel.tiles.len();
        let mut unique = name.to_string();
        // Numbers below were taken before, and still are.
        let mut i = self.numbers.get(name).copied().unwrap_or(2);
        while self.taken.contains(&unique) {
            unique = format!("{name}_{i}");
            i += 1;
        }
        if i > 2 {
            self.numbers.insert(name.to_string(), i);
        }
        self.taken.insert(unique.clone());
        let tile = ub_tile(self.geometry, unique, dtype, rows, cols);
        self.kernel.tiles.push(tile);
        id
    }

    /// The scratch tile of an instruction whose need is known from its result, which is called `name`.
    pub(super) fn scratch(&mut self, name: &str, op: &VectorOp, dst: TileId) -> Option<TileId> {
        let need = scratch_needed(self.geometry, op, &self.kernel.tiles[dst], &[])?;
        let name = format!("{name}_tmp");
        Some(self.tile(&name, need.dtype, need.rows, need.cols))
    }

    pub fn vector(
        &mut self,
        place: Place,
        op: VectorOp,
        dst: TileId,
        srcs: Vec<TileRef>,
        tmp: Option<TileId>,
    ) {
        let instr = Instr::Vector {
            op,
            dst: TileRef::new(dst),
            srcs,
            tmp: tmp.map(TileRef::new),
        };
        self.emit(place, instr);
    }

    pub(super) fn list(&mut self, place: Place) -> &mut Vec<Stmt> {
        match place {
            Place::Block { .. } => &mut self.main,
            Place::Loop { .. } => &mut self.body,
        }
    }

    pub(super) fn emit(&mut self, place: Place, instr: Instr) {
        self.list(place).push(Stmt::Instr(instr));
    }
}
/// Every operand that is this tile becomes its slot of a loop's trip, under conditions too.
fn in_slot(body: &mut [Stmt], tile: TileId, id: LoopId) {
    for stmt in body {
        match stmt {
            Stmt::Loop { body, .. } | Stmt::Part { body, .. } => in_slot(body, tile, id),
            Stmt::If {
                then, otherwise, ..
            } => {
                in_slot(then, tile, id);
                in_slot(otherwise, tile, id);
            }
            Stmt::Instr(instr) => {
                let of_tile = tile_refs(instr).into_iter().filter(|r| r.tile == tile);
                of_tile.for_each(|r| r.slot = Some(id));
            }
            _ => {}
        }
    }
}

/// All tile operands of an instruction.
pub(super) fn tile_refs(instr: &mut Instr) -> Vec<&mut TileRef> {
    match instr {
        Instr::Load { dst, .. } => vec![dst],
        Instr::Store { src, .. } => vec![src],
        Instr::Move { dst, src, .. } => vec![dst, src],
        Instr::Matmul { dst, lhs, rhs, .. } => vec![dst, lhs, rhs],
        Instr::Vector { dst, srcs, tmp, .. } => {
            let mut out = vec![dst];
            out.extend(srcs.iter_mut());
            out.extend(tmp.iter_mut());
            out
        }
        // The scalar unit has no tiles.
        _ => vec![],
    }
}

/// Loads at the top of a body: they depend on nothing in it, and one wait then covers all of them.
fn loads_first(body: Vec<Stmt>) -> Vec<Stmt> {
    let is_load = |s: &Stmt| {
        matches!(s, Stmt::Instr(Instr::Load { src, .. })
            if !src.row.terms.iter().any(|(v, _)| matches!(v, Var::Reg(_))))
    };
    let (mut loads, rest): (Vec<Stmt>, Vec<Stmt>) = body.into_iter().partition(is_load);
    loads.extend(rest);
    loads
}
