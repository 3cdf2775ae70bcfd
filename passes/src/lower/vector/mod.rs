//! Kernels of a vector core.
//!
//! Values of a block are computed in phases. A reduction loop of phase p uses results of reductions of earlier phases only; loops of one
//! phase that agree in extent, chunk and depth become one sweep over the data, and a store joins a sweep when it can.
//! A tile is computed at most once a place: in a loop's body if it depends on the chunk, before the loop if it does not.

pub(super) mod operand;
mod slices;
mod sweep;

use super::ragged::Rows;
use super::{LowerError, Stored, StoredBody, folds, not_executable, num, tensor_name, ub_tile};
use crate::hash::{HashMap, HashSet};
use crate::term::language::{Head, Term};
use crate::term::plan::KernelPlan;
use egg::{Id, Language};
use indexmap::IndexMap;
use sweep::{Members, Sweep};
use tilewright_ir::dtype::DType;
use tilewright_ir::kernel::{
    Expr, GlobalTensor, Instr, Kernel, LoopId, Stmt, TileId, TileRef, Var, VectorOp, scratch_needed,
};
use tilewright_ir::machine::Geometry;

/// Where a tile is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// Once a block (or a trip of the row loop). `fanned`: of the block's own columns, not of the whole row.
    Block { fanned: bool },
    /// In each trip of a loop over columns.
    Loop { id: LoopId, fanned: bool },
    /// After such a loop: of the columns from the first one on that are fewer than a trip's.
    Rest { first: usize, fanned: bool },
}

impl Place {
    /// Whether what is computed there is of the block's own columns.
    fn is_fanned(self) -> bool {
        let (Place::Block { fanned } | Place::Loop { fanned, .. } | Place::Rest { fanned, .. }) =
            self;
        fanned
    }
}

/// Columns of a wider value: the first, and how many.
pub(super) type Window = Option<(usize, usize)>;

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
    /// What the block does with its own columns, in a branch for as many as it has.
    branch: Option<Vec<Stmt>>,
    /// The body of the sweep being built.
    body: Vec<Stmt>,
    memo: HashMap<(Id, Place, Window), TileRef>,
    row: Expr,
    /// The group that the rows are of.
    group: Expr,
    /// The columns of a wider value that are computed, first and number; none for all.
    window: Window,
    block_col: Expr,
    /// Columns that the sweep being built has in a block, and in a trip; of what remains after the trips, those.
    block_cols: usize,
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
    if !first.block_rows.is_multiple_of(first.trip_rows) {
        return Err(not_executable(plan, plan.roots[0].id));
    }
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
    let block = (group_rows, first.block_rows);
    let ragged = Rows::of(&mut kernel, &tensors[first.tensor], block, &group);
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
        branch: None,
        body: vec![],
        memo: HashMap::default(),
        row,
        group,
        window: None,
        block_col,
        block_cols: 0,
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
        body.extend(ragged.read());
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
        let mut sweeps: Vec<(Sweep, Members)> = vec![];
        let mut join = |sweep: Sweep, fold: Option<Id>, store| {
            let i = match sweeps.iter().position(|(s, ..)| *s == sweep) {
                Some(i) => i,
                None => {
                    sweeps.push((sweep, Members::default()));
                    sweeps.len() - 1
                }
            };
            sweeps[i].1.folds.extend(fold);
            sweeps[i].1.stores.extend(store);
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
                last: extent,
                chunk,
                depth,
                fanned: false,
            };
            join(sweep, Some(id), None);
        }
        for s in stores {
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
                last: s.cols - (s.grid().1 - 1) * s.block_cols,
                chunk,
                depth,
                fanned: s.grid().1 > 1,
            };
            join(sweep, None, Some(s));
        }
        sweeps.sort_by_key(|(s, ..)| s.phase);
        for (sweep, members) in sweeps {
            self.sweep(sweep, &members)?;
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
            Place::Loop { .. } => &mut self.body,
            place if place.is_fanned() => self.branch.as_mut().unwrap_or(&mut self.main),
            _ => &mut self.main,
        }
    }

    pub(super) fn emit(&mut self, place: Place, instr: Instr) {
        self.list(place).push(Stmt::Instr(instr));
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
