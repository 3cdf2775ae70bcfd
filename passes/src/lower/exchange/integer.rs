//! Integers: sums are indices, and everything else takes an instruction and a register.

use super::share::{self, Parts};
use super::{Held, Lower, emit};
use crate::lower::argument;
use crate::term::exchange::Scratch;
use std::collections::BTreeMap;
use tilewright_ir::kernel::{ArrayId, Cond, Expr, GlobalRef, Instr, IntOp, Var};
use tilewright_ir::op::exchange::{Arith, Id, Int, Place, Source, Step, StepKind, visit};

impl<'a> Lower<'a> {
    pub(super) fn int(&mut self, int: &Int) -> Expr {
        match int {
            Int::Const(n) => Expr::constant(*n),
            Int::Rank => Expr::var(Var::Rank, 1),
            Int::Epoch => Expr::var(Var::Epoch, 1),
            Int::Operand(i) => {
                argument(self.scalars, &self.exchange.operands[*i]).unwrap_or_default()
            }
            Int::Variable(v) => self.integers[*v].clone(),
            Int::Element { of, row, col } => {
                let (row, col) = (self.int(row), self.int(col));
                self.element(*of, row, col)
            }
            Int::Arith(op, a, b) => {
                let (a, b) = (self.int(a), self.int(b));
                self.arith(*op, a, b)
            }
        }
    }

    fn arith(&mut self, op: Arith, a: Expr, b: Expr) -> Expr {
        let op = match op {
            Arith::Add => return emit::add(&a, &b),
            Arith::Sub => return emit::minus(&a, &b),
            Arith::Mul if b.terms.is_empty() => return emit::scaled(&a, b.base),
            Arith::Mul if a.terms.is_empty() => return emit::scaled(&b, a.base),
            Arith::Mul => IntOp::Mul,
            Arith::Div => IntOp::Div,
            Arith::Rem => IntOp::Rem,
            Arith::Min => IntOp::Min,
            Arith::Max => IntOp::Max,
        };
        self.compute(op, a, b)
    }

    fn element(&mut self, of: Source, row: Expr, col: Expr) -> Expr {
        match of {
            Source::Array(a) if self.parts.contains_key(&a) => {
                let index = self.own_index(a, &col);
                let array = self.array_of(a);
                self.get(array, index)
            }
            Source::Array(a) => match self.spilled(a, &col) {
                Some(at) => self.read_scalar(at),
                None => {
                    let array = self.array_of(a);
                    self.get(array, col)
                }
            },
            Source::View(v) => {
                let of = &self.program.views[v].of;
                if let Some(Held { array, first }) = self.held.get(&v) {
                    let row = emit::minus(&row, first);
                    let index = emit::add(&emit::scaled(&row, of.cols as i64), &col);
                    return self.get(*array, index);
                }
                let row = emit::add(&self.int(&of.row), &row);
                let at = self.memory(of.place, row, col, (1, 1));
                self.read_scalar(at)
            }
            Source::Memory(place) => {
                let at = self.memory(place, row, col, (1, 1));
                self.read_scalar(at)
            }
        }
    }

    fn read_scalar(&mut self, src: GlobalRef) -> Expr {
        let dst = self.register();
        self.emit(Instr::ReadScalar { dst, src });
        Expr::var(Var::Reg(dst), 1)
    }

    pub(super) fn get(&mut self, array: ArrayId, index: Expr) -> Expr {
        let dst = self.register();
        self.emit(Instr::ArrayGet { dst, array, index });
        Expr::var(Var::Reg(dst), 1)
    }

    pub(super) fn set_element(&mut self, array: Id, index: Expr, value: Expr) {
        if let Some(parts) = self.parts.get(&array).copied() {
            return self.set_own(array, parts, index, value);
        }
        match self.spilled(array, &index) {
            Some(dst) => self.emit(Instr::WriteScalar { dst, value }),
            None => {
                let array = self.array_of(array);
                self.emit(Instr::ArraySet {
                    array,
                    index,
                    value,
                });
            }
        }
    }

    /// Where in its part of an array a block finds what a trip of a shared loop reads.
    fn own_index(&self, array: Id, index: &Expr) -> Expr {
        let Some(parts) = self.parts.get(&array) else {
            return index.clone();
        };
        let stride = parts.stride as i64;
        let shared = self.around.iter().find(|a| a.alone);
        shared.map_or(index.clone(), |a| {
            let within = emit::minus(index, &emit::scaled(&a.index, stride));
            emit::add(&emit::scaled(&a.own, stride), &within)
        })
    }

    /// Sets an element that is in the block's part.
    fn set_own(&mut self, array: Id, parts: Parts, index: Expr, value: Expr) {
        let length = (parts.of_block(self.blocks) * parts.stride) as i64;
        let index = emit::minus(&index, &Expr::var(Var::Grid(0), length));
        let array = self.array_of(array);
        let not_before = Cond::Positive(index.clone().plus_constant(1));
        let not_behind = Cond::Positive(emit::minus(&Expr::constant(length), &index));
        self.when(not_before, |l| {
            l.when(not_behind, |l| {
                // What a register holds no verifier bounds; the conditions do.
                let index = l.kept(index);
                l.emit(Instr::ArraySet {
                    array,
                    index,
                    value,
                });
            });
        });
    }

    /// Finds the arrays of which blocks keep their parts: all that can be, but those in memory only where there is room.
    pub(super) fn part_arrays(&mut self) {
        if self.blocks == 1 {
            return;
        }
        let mut found: Vec<(Id, Parts)> = (0..self.program.arrays.len())
            .filter_map(|a| Some((a, share::parts(self.program, a)?)))
            .collect();
        found.sort_by_key(|(a, _)| self.in_memory(*a).is_some());
        for (array, parts) in found {
            let bytes = 4 * parts.of_block(self.blocks) * parts.stride;
            let room = self.machine.limits.scalar_arrays.count() / 2;
            if self.in_memory(array).is_none() || self.planned() + bytes <= room {
                self.parts.insert(array, parts);
            }
        }
    }

    /// Bytes of the program's arrays that lie beside the scalar unit.
    fn planned(&self) -> usize {
        let length = |a: Id| match self.parts.get(&a) {
            Some(parts) => parts.of_block(self.blocks) * parts.stride,
            None if self.in_memory(a).is_some() => 0,
            None => self.program.arrays[a].length,
        };
        (0..self.program.arrays.len()).map(|a| 4 * length(a)).sum()
    }

    fn in_memory(&self, array: Id) -> Option<&Scratch> {
        let mut spilled = self.exchange.spilled.iter();
        spilled.find(|(a, _)| *a == array).map(|(_, memory)| memory)
    }

    /// An element of an array that lies in memory: each block has a row.
    fn spilled(&self, array: Id, index: &Expr) -> Option<GlobalRef> {
        let memory = self.in_memory(array)?;
        let row = match self.blocks {
            1 => Expr::default(),
            _ => Expr::var(Var::Grid(0), 1),
        };
        Some(GlobalRef {
            col: index.clone(),
            ..emit::rows(&memory.name, row, 1, 1)
        })
    }

    /// Arrays start with zeros, those in memory too.
    pub(super) fn clear_spilled(&mut self) {
        let exchange = self.exchange;
        for (array, memory) in &exchange.spilled {
            if self.parts.contains_key(array) {
                continue;
            }
            let length = self.program.arrays[*array].length;
            self.each(&memory.name, length, 1, |l, index, _| {
                l.set_element(*array, index, Expr::default());
            });
        }
    }

    pub(super) fn array_of(&mut self, array: Id) -> ArrayId {
        if let Some(id) = self.arrays.get(&array) {
            return *id;
        }
        let a = &self.program.arrays[array];
        let length = match self.parts.get(&array) {
            Some(parts) => parts.of_block(self.blocks) * parts.stride,
            None => a.length,
        };
        let id = self.array(&a.name, length);
        self.arrays.insert(array, id);
        id
    }

    /// Brings what a view shows into an array, if integers move by line and there is room.
    pub(super) fn hold(&mut self, view: Id) {
        let v = &self.program.views[view];
        // Of a shared loop that reads its own row only, a block needs its own rows only.
        let part = by_share(&self.program.body, view)
            .filter(|trips| *trips == v.of.rows && trips.is_multiple_of(self.blocks));
        let (first, count) = match part {
            Some(trips) if self.blocks > 1 => {
                let share = trips / self.blocks;
                (Expr::var(Var::Grid(0), share as i64), share)
            }
            _ => (Expr::default(), v.of.rows),
        };
        let bytes: usize = self.kernel.arrays.iter().map(|a| a.len * 4).sum();
        // The rest of the arrays is for what the kernel computes.
        let most = self.machine.limits.scalar_arrays.count() / 2;
        if self.by_line && bytes + count * v.of.cols * 4 <= most {
            self.bring(view, first, count);
        }
    }

    /// Brings rows of a view into an array.
    pub(super) fn bring(&mut self, view: Id, first: Expr, count: usize) {
        let v = &self.program.views[view];
        let row = emit::add(&self.int(&v.of.row), &first);
        let array = self.array(&format!("{}_held", v.name), count * v.of.cols);
        let src = self.memory(v.of.place, row, Expr::default(), (count, v.of.cols));
        self.emit(Instr::ReadArray { array, src });
        self.held.insert(view, Held { array, first });
    }

    /// Views that are not beside the scalar unit, and of which each trip of a loop reads its own row and no other.
    pub(super) fn streamed(&self, variable: Id, body: &[Step]) -> Vec<Id> {
        let mut rows: BTreeMap<Id, bool> = BTreeMap::new();
        visit(body, &mut |step| {
            step.kind.integers(&mut |i| {
                i.visit(&mut |i| {
                    if let Int::Element { of, row, .. } = i
                        && let Source::View(view) = of
                    {
                        *rows.entry(*view).or_insert(true) &= **row == Int::Variable(variable);
                    }
                });
            });
        });
        // What is read within the loop begins there.
        let mut within = vec![];
        visit(body, &mut |step| {
            if let StepKind::Read { view } = step.kind {
                within.push(view);
            }
        });
        let outside = |v: &Id| !within.contains(v) && !self.held.contains_key(v);
        let own = rows
            .into_iter()
            .filter_map(|(view, own)| own.then_some(view));
        own.filter(|v| self.by_line && outside(v)).collect()
    }

    /// Whether this run uses the one or the other instance of windows that have two.
    pub(super) fn turns(&mut self) {
        if self.program.windows.iter().any(|w| w.alternating) {
            let turn = self.compute(IntOp::Rem, Expr::var(Var::Epoch, 1), Expr::constant(2));
            self.turn = turn.terms.first().and_then(|(v, _)| match v {
                Var::Reg(r) => Some(*r),
                _ => None,
            });
        }
    }

    /// A rectangle of memory on the rank itself.
    pub(super) fn memory(
        &self,
        place: Place,
        row: Expr,
        col: Expr,
        (rows, cols): (usize, usize),
    ) -> GlobalRef {
        let (name, row) = match place {
            Place::Operand(i) => (&self.exchange.operands[i], row),
            Place::Result(i) => (&self.exchange.results[i], row),
            Place::Window(i) => {
                let window = &self.program.windows[i];
                let row = match self.turn.filter(|_| window.alternating) {
                    Some(turn) => row.plus(Var::Reg(turn), window.rows as i64),
                    None => row,
                };
                (&self.exchange.windows[i], row)
            }
        };
        GlobalRef {
            col,
            ..emit::rows(name, row, rows, cols)
        }
    }
}

/// The trips of the evenly shared loop that alone reads a view, each trip its own row of it.
fn by_share(body: &[Step], view: Id) -> Option<usize> {
    /// Trips of the loop that reads it so; an error where something else reads it.
    fn walk(body: &[Step], view: Id, shared: Option<(Id, usize)>) -> Result<Option<usize>, ()> {
        let mut found = None;
        for step in body {
            let mut other = false;
            step.kind.integers(&mut |i| {
                i.visit(&mut |i| {
                    let Int::Element { of, row, .. } = i else {
                        return;
                    };
                    if *of != Source::View(view) {
                        return;
                    }
                    match shared {
                        Some((v, trips)) if **row == Int::Variable(v) => found = Some(trips),
                        _ => other = true,
                    }
                });
            });
            if other {
                return Err(());
            }
            let inner = match &step.kind {
                StepKind::Loop {
                    variable,
                    first,
                    trips,
                    share,
                    body,
                } => {
                    let own = share.filter(|_| *first == 0).map(|_| (*variable, *trips));
                    walk(body, view, shared.or(own))?
                }
                StepKind::If {
                    then, otherwise, ..
                } => walk(then, view, shared)?.or(walk(otherwise, view, shared)?),
                _ => None,
            };
            found = found.or(inner);
        }
        Ok(found)
    }
    walk(body, view, None).ok().flatten()
}
