//! Integers: sums are indices, and everything else takes an instruction and a register.

use super::{Held, Lower, emit};
use crate::lower::argument;
use tilewright_ir::kernel::{ArrayId, Expr, GlobalRef, Instr, IntOp, Var};
use tilewright_ir::op::exchange::{Arith, Id, Int, Place, Source, Step, StepKind};

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

    /// An element of an array that lies in memory: each block has a row.
    fn spilled(&self, array: Id, index: &Expr) -> Option<GlobalRef> {
        let mut spilled = self.exchange.spilled.iter();
        let (_, memory) = spilled.find(|(a, _)| *a == array)?;
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
        let id = self.array(&a.name, a.length);
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
        let len = count * v.of.cols;
        let bytes: usize = self.kernel.arrays.iter().map(|a| a.len * 4).sum();
        // The rest of the arrays is for what the kernel computes.
        let most = self.machine.limits.scalar_arrays.count() / 2;
        if !self.by_line || bytes + len * 4 > most {
            return;
        }
        let row = emit::add(&self.int(&v.of.row), &first);
        let array = self.array(&format!("{}_held", v.name), len);
        let src = self.memory(v.of.place, row, Expr::default(), (count, v.of.cols));
        self.emit(Instr::ReadArray { array, src });
        self.held.insert(view, Held { array, first });
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
