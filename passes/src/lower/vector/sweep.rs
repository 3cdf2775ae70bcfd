//! Loops over columns: what is stored and what is reduced, trip by trip, and what remains after the trips.

use super::super::{LowerError, Stored, StoredBody, not_executable, num};
use super::{Place, Vector, tile_refs};
use crate::term::language::{Head, Term};
use egg::Id;
use tilewright_ir::graph::{Operator, Reduce};
use tilewright_ir::kernel::{
    Cond, Expr, GlobalRef, Instr, LoopId, Stmt, TileId, TileRef, Var, VectorOp,
};
use tilewright_ir::op::{Access, Part};

/// A loop over columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sweep {
    pub phase: usize,
    pub extent: usize,
    /// Of the last block.
    pub last: usize,
    pub chunk: usize,
    pub depth: usize,
    pub fanned: bool,
}

/// What a loop over columns reduces and stores.
#[derive(Default)]
pub(super) struct Members<'s> {
    pub folds: Vec<Id>,
    pub stores: Vec<&'s Stored<'s>>,
}

impl Vector<'_> {
    /// A loop over columns, for as many as the block has.
    pub(super) fn sweep(&mut self, sweep: Sweep, members: &Members) -> Result<(), LowerError> {
        self.block_cols = sweep.extent;
        if sweep.last == sweep.extent {
            return self.columns(sweep, members);
        }
        let branch = |v: &mut Self, extent: usize| {
            v.branch = Some(vec![]);
            v.memo.retain(|(_, place, _), _| !place.is_fanned());
            v.columns(Sweep { extent, ..sweep }, members)?;
            v.memo.retain(|(_, place, _), _| !place.is_fanned());
            Ok(v.branch.take().unwrap_or_default())
        };
        let then = branch(self, sweep.extent)?;
        let otherwise = branch(self, sweep.last)?;
        let blocks = members.stores.iter().map(|s| s.grid().1).max();
        let last = blocks.unwrap_or(1) as i64 - 1;
        let before_last = Expr::constant(last).minus(&self.block_col);
        self.main.push(Stmt::If {
            cond: Cond::Positive(before_last),
            then,
            otherwise,
        });
        Ok(())
    }

    /// A loop over some columns, and what remains after its trips.
    fn columns(&mut self, sweep: Sweep, members: &Members) -> Result<(), LowerError> {
        let (fanned, chunk) = (sweep.fanned, sweep.chunk);
        let (trips, rest) = (sweep.extent / chunk, sweep.extent % chunk);
        self.chunk = chunk;
        self.depth = sweep.depth;
        if trips > 0 {
            let place = match trips {
                1 => Place::Block { fanned },
                _ => {
                    let id = self.kernel.loops.len();
                    self.kernel.loops.push(format!("chunk{id}"));
                    self.kernel.pipeline = self.kernel.pipeline.max(sweep.depth);
                    Place::Loop { id, fanned }
                }
            };
            self.all(members, place)?;
            if let Place::Loop { id, .. } = place {
                let body = std::mem::take(&mut self.body);
                self.list(Place::Block { fanned }).push(Stmt::Loop {
                    id,
                    trips,
                    depth: sweep.depth,
                    body: loads_first(body),
                });
            }
        }
        if rest > 0 {
            let first = trips * chunk;
            self.rest(Place::Rest { first, fanned }, rest, members)?;
        }
        Ok(())
    }

    /// What a loop reduces and stores, at a place.
    fn all(&mut self, members: &Members, place: Place) -> Result<(), LowerError> {
        for fold in &members.folds {
            self.fold(*fold, place)?;
        }
        for stored in &members.stores {
            self.store(stored, place)?;
        }
        Ok(())
    }

    /// What remains after the trips of a loop: the same of fewer columns, in tiles of their own.
    fn rest(&mut self, place: Place, rest: usize, members: &Members) -> Result<(), LowerError> {
        // A column of a wider value is not contiguous, and no tile.
        if rest == 1 {
            return Err(not_executable(self.plan, self.plan.roots[0].id));
        }
        let chunk = std::mem::replace(&mut self.chunk, rest);
        self.depth = 1;
        let types = self.types.clone();
        for stored in &members.stores {
            if let StoredBody::Cols { tile, .. } = stored.body {
                self.narrow(tile, chunk, rest)?;
            }
        }
        for fold in &members.folds {
            if let Term::App(Head::Fold(_), c) = &self.plan.expr[*fold]
                && let Term::App(Head::Op(Operator::Reduce(_)), arg) = &self.plan.expr[c[3]]
            {
                // What it shares with a store, or with another fold, may be narrow already.
                let bad = || not_executable(self.plan, *fold);
                let of = self.remaining(arg[0]);
                let cols = types[usize::from(of)].ok_or_else(bad)?.1;
                if !(rest * cols).is_multiple_of(chunk) {
                    return Err(bad());
                }
                self.narrow(of, cols, rest * cols / chunk)?;
            }
        }
        self.all(members, place)?;
        // Another sweep's rest is of other columns.
        self.memo
            .retain(|(_, place, _), _| !matches!(place, Place::Rest { .. }));
        self.types = types;
        Ok(())
    }

    /// What is reduced of the columns that remain: a row that cannot be halved so often is reduced as it is. The sum of halves is a
    /// sum in another order anyway.
    fn remaining(&self, of: Id) -> Id {
        match &self.plan.expr[of] {
            Term::App(Head::Halve(_), c) => {
                let halvings = num(&self.plan.expr, c[0]).unwrap_or(0);
                // A half starts at a block.
                let unit = match self.types[usize::from(of)] {
                    Some((.., dtype)) => self.geometry.block_elements(dtype),
                    None => 1,
                };
                match self.chunk.is_multiple_of(unit << halvings) {
                    true => of,
                    false => c[1],
                }
            }
            _ => of,
        }
    }

    /// Makes the tile of a term, and those of its operands that are as wide, `rest` columns wide where they are `chunk`.
    fn narrow(&mut self, id: Id, chunk: usize, rest: usize) -> Result<(), LowerError> {
        let plan = self.plan;
        let bad = || not_executable(plan, id);
        let ty = self.types[usize::from(id)].ok_or_else(bad)?;
        if ty.1 == 1 || ty.1 == rest {
            return Ok(());
        }
        let Term::App(head, c) = &plan.expr[id] else {
            return Err(bad());
        };
        if ty.1 != chunk {
            return Err(bad());
        }
        match head {
            Head::Load => {}
            Head::AddParts => self.narrow(c[1], chunk, rest)?,
            Head::Halve(_) => {
                let halvings = num(&plan.expr, c[0]).ok_or_else(bad)?;
                self.narrow(c[1], chunk << halvings, rest << halvings)?;
            }
            Head::Op(operator) => {
                let primitive = operator.primitive();
                let operands = &c[usize::from(primitive.grouped())..];
                match primitive.access {
                    Access::Element(parts) => {
                        for (part, operand) in parts.iter().zip(operands) {
                            if !matches!(part, Part::Column | Part::Whole) {
                                self.narrow(*operand, chunk, rest)?;
                            }
                        }
                    }
                    Access::Shift => self.narrow(operands[0], chunk, rest)?,
                    Access::Repeat => {}
                    _ => return Err(bad()),
                }
            }
            _ => return Err(bad()),
        }
        self.types[usize::from(id)] = Some((ty.0, rest, ty.2));
        Ok(())
    }

    /// Stores a tile of a value.
    fn store(&mut self, s: &Stored, place: Place) -> Result<(), LowerError> {
        let StoredBody::Cols { tile, depth, .. } = s.body else {
            return Ok(());
        };
        if let Some(pieces) = self.pieces(tile, place)? {
            self.store_pieces(s, place, pieces);
            return Ok(());
        }
        let src = self.operand(tile, place)?;
        let (rows, cols) = (s.trip_rows, self.chunk);
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
            view: None,
        };
        // What a store reads is in flight after the trip; a pipelined loop has one buffer a stage.
        if let Place::Loop { id, .. } = place
            && depth > 1
        {
            self.rotate(src.tile, id, depth);
            let src = TileRef {
                slot: Some(id),
                ..src
            };
            self.emit(place, Instr::Store { dst, src });
            return Ok(());
        }
        self.emit(place, Instr::Store { dst, src });
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
        let once = Place::Block { fanned: false };
        let acc = match self.memo.get(&(id, once, None)) {
            // What remains after the loop joins what the loop has.
            Some(acc) => acc.tile,
            None => self.tile(&name, dtype, rows, 1),
        };
        if let Place::Rest { .. } = place {
            let of = self.remaining(arg[0]);
            self.combine(place, *reduce, acc, of)?;
        } else if let Place::Loop { .. } = place {
            let identity = match reduce {
                Reduce::Sum => 0.0,
                Reduce::Max => f32::NEG_INFINITY,
                Reduce::Min => f32::INFINITY,
            };
            self.vector(once, VectorOp::Fill(identity), acc, vec![], None);
            self.combine(place, *reduce, acc, arg[0])?;
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

    /// Adds the reduction of a tile to what there is of others.
    fn combine(
        &mut self,
        place: Place,
        reduce: Reduce,
        acc: TileId,
        arg: Id,
    ) -> Result<(), LowerError> {
        let src = self.operand(arg, place)?;
        let like = &self.kernel.tiles[acc];
        let (name, dtype, rows) = (like.name.clone(), like.dtype, like.valid_rows);
        let part = self.tile(&format!("{name}_part"), dtype, rows, 1);
        self.reduce(place, reduce, part, src);
        let combine = VectorOp::Binary(reduce.combine());
        let operands = vec![TileRef::new(acc), TileRef::new(part)];
        self.vector(place, combine, acc, operands, None);
        Ok(())
    }

    pub(super) fn reduce(&mut self, place: Place, reduce: Reduce, dst: TileId, src: TileRef) {
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
    pub(super) fn fill(&mut self, s: &Stored, from: usize, to: usize, value: f32) {
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
            view: None,
        };
        let src = TileRef::new(tile);
        self.emit(place, Instr::Store { dst, src });
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
