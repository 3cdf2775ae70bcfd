//! Integers: sums are indices, and everything else takes an instruction and a register.

use super::share::{self, Parts};
use super::{Held, Lower, STREAMED, emit};
use crate::lower::argument;
use crate::term::exchange::Scratch;
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
        let length = parts.of_block(self.blocks) as i64;
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

    /// Finds the arrays of which blocks keep their parts: all that can be, but those in memory only where half of the room is left.
    pub(super) fn part_arrays(&mut self) {
        if self.blocks == 1 {
            return;
        }
        let mut found: Vec<(Id, Parts)> = (0..self.program.arrays.len())
            .filter_map(|a| Some((a, share::parts(self.program, a)?)))
            .collect();
        found.sort_by_key(|(a, _)| self.in_memory(*a).is_some());
        for (array, parts) in found {
            let bytes = 4 * parts.of_block(self.blocks);
            let room = self.machine.limits.scalar_arrays.count() / 2;
            if self.in_memory(array).is_none() || self.planned() + bytes <= room {
                self.parts.insert(array, parts);
            }
        }
    }

    /// Elements of an array of the program that a block keeps beside the scalar unit.
    fn length(&self, array: Id) -> usize {
        match self.parts.get(&array) {
            Some(parts) => parts.of_block(self.blocks),
            None if self.in_memory(array).is_some() => 0,
            None => self.program.arrays[array].length,
        }
    }

    /// Bytes of the program's arrays beside the scalar unit, and of those in which failures are told.
    fn planned(&self) -> usize {
        let arrays = (0..self.program.arrays.len()).map(|a| self.length(a));
        let mut statuses: Vec<Id> = self.program.failures.iter().map(|f| f.status).collect();
        statuses.sort_unstable();
        statuses.dedup();
        let words = statuses.into_iter().map(|s| self.program.results[s].cols);
        4 * arrays.chain(words).sum::<usize>()
    }

    /// Bytes beside the scalar unit that nothing has a claim on.
    fn room(&self) -> usize {
        let planned = |id: &ArrayId| {
            let mut all = self.arrays.values().chain(self.statuses.values());
            all.any(|a| a == id)
        };
        let arrays = self.kernel.arrays.iter().enumerate();
        let brought = arrays
            .filter(|(id, _)| !planned(id))
            .map(|(_, a)| 4 * a.len);
        let all = self.machine.limits.scalar_arrays.count();
        all.saturating_sub(self.planned() + brought.sum::<usize>())
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
        let id = self.array(&a.name, self.length(array));
        self.arrays.insert(array, id);
        id
    }

    /// Brings what a view shows into an array, if integers move by line and there is room.
    pub(super) fn hold(&mut self, view: Id) {
        let v = &self.program.views[view];
        // Of a shared loop that reads its own row only, a block needs its own rows only.
        let part = share::rows_of_trips(&self.program.body, view)
            .filter(|trips| *trips == v.of.rows && trips.is_multiple_of(self.blocks));
        let (first, count) = match part {
            Some(trips) if self.blocks > 1 => {
                let share = trips / self.blocks;
                (Expr::var(Var::Grid(0), share as i64), share)
            }
            _ => (Expr::default(), v.of.rows),
        };
        if self.by_line && count * v.of.cols * 4 <= self.room() {
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

    /// Views that are not beside the scalar unit, of which each trip of a loop reads its own row and no other, as far as there is room.
    pub(super) fn streamed(&self, variable: Id, body: &[Step]) -> Vec<Id> {
        // What is read within the loop begins there.
        let mut within = vec![];
        visit(body, &mut |step| {
            if let StepKind::Read { view } = step.kind {
                within.push(view);
            }
        });
        let views = 0..self.program.views.len();
        let wanted = views.filter(|v| {
            let known = within.contains(v) || self.held.contains_key(v);
            let row = 4 * self.program.views[*v].of.cols;
            !known && row <= STREAMED && share::reads_own_row(body, *v, variable)
        });
        let most = if self.by_line {
            self.room() / STREAMED
        } else {
            0
        };
        wanted.take(most).collect()
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
