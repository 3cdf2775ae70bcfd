//! What the scalar unit of a block holds, as far as it follows from what the kernel is told to expect: of a run without data.

use super::{Cond, Expr, Instr, Kernel, Var};

/// Registers and arrays of a block. What follows from nothing that is known has no value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Foreseen {
    pub registers: Vec<Option<i64>>,
    arrays: Vec<Option<Vec<i64>>>,
}

impl Foreseen {
    /// A block before its first statement.
    pub fn new(kernel: &Kernel) -> Self {
        Foreseen {
            registers: vec![None; kernel.registers],
            arrays: vec![None; kernel.arrays.len()],
        }
    }

    /// The value of an index, where all of its variables have one; `others` knows those that are no registers.
    pub fn value(&self, expr: &Expr, others: &impl Fn(Var) -> Option<i64>) -> Option<i64> {
        let mut sum = expr.base;
        for (var, coefficient) in &expr.terms {
            let value = match *var {
                Var::Reg(register) => self.registers.get(register).copied().flatten(),
                other => others(other),
            };
            sum = sum.checked_add(value?.checked_mul(*coefficient)?)?;
        }
        Some(sum)
    }

    /// Whether a condition on registers holds, where that is known. One on a loop's first trip is the caller's to know.
    pub fn holds(&self, cond: &Cond, others: &impl Fn(Var) -> Option<i64>) -> Option<bool> {
        match cond {
            Cond::First(_) => None,
            Cond::Positive(expr) => Some(self.value(expr, others)? > 0),
            Cond::Zero(expr) => Some(self.value(expr, others)? == 0),
        }
    }

    /// What is known after an instruction of the scalar unit; others change nothing here.
    pub fn follow(&mut self, kernel: &Kernel, instr: &Instr, others: &impl Fn(Var) -> Option<i64>) {
        match instr {
            Instr::ReadScalar { dst, src } => {
                let counts = kernel.expected.get(&src.tensor);
                let at = self.value(&src.row, others);
                let first = self.value(&src.col, others) == Some(0);
                let value = counts.zip(at.and_then(|at| usize::try_from(at).ok()));
                self.set(
                    *dst,
                    value
                        .filter(|_| first)
                        .and_then(|(c, at)| c.get(at).copied()),
                );
            }
            Instr::ReadArray { array, src } => {
                let counts = kernel.expected.get(&src.tensor);
                let from = self
                    .value(&src.row, others)
                    .and_then(|at| usize::try_from(at).ok());
                let rows = counts
                    .zip(from)
                    .filter(|_| src.cols == 1)
                    .and_then(|(c, from)| c.get(from..from + src.rows));
                if let Some(known) = self.arrays.get_mut(*array) {
                    *known = rows.map(<[i64]>::to_vec);
                }
            }
            Instr::SetReg { dst, value } => self.set(*dst, self.value(value, others)),
            Instr::Compute { dst, op, lhs, rhs } => {
                let (lhs, rhs) = (self.value(lhs, others), self.value(rhs, others));
                let value = lhs.zip(rhs).and_then(|(l, r)| op.apply(l, r));
                self.set(*dst, value);
            }
            Instr::ArrayGet { dst, array, index } => {
                let at = self
                    .value(index, others)
                    .and_then(|at| usize::try_from(at).ok());
                let known = self.arrays.get(*array).and_then(Option::as_ref);
                self.set(*dst, known.zip(at).and_then(|(a, at)| a.get(at).copied()));
            }
            // Counts that are expected of what is written are expected of where they come from.
            Instr::WriteArray { dst, array } => {
                let counts = kernel.expected.get(&dst.tensor);
                let whole = dst.cols == 1 && self.value(&dst.row, others) == Some(0);
                if let (Some(counts), Some(known)) = (counts, self.arrays.get_mut(*array))
                    && known.is_none()
                    && whole
                    && counts.len() == dst.rows
                {
                    *known = Some(counts.clone());
                }
            }
            // What else changes an array says nothing of what it holds.
            Instr::ArraySet { array, .. } => {
                if let Some(known) = self.arrays.get_mut(*array) {
                    *known = None;
                }
            }
            _ => {}
        }
    }

    /// Forgets what has changed since: a branch that is run on the chance changes what is known if it is taken only.
    pub fn unsure_since(&mut self, before: &Foreseen) {
        for (now, then) in self.registers.iter_mut().zip(&before.registers) {
            *now = now.filter(|_| now == then);
        }
        for (now, then) in self.arrays.iter_mut().zip(&before.arrays) {
            if now != then {
                *now = None;
            }
        }
    }

    fn set(&mut self, register: usize, value: Option<i64>) {
        if let Some(known) = self.registers.get_mut(register) {
            *known = value;
        }
    }
}
