//! What programs of several ranks and of the scalar unit have beside loops, tiles and vector instructions.

use super::{Expr, Instr, Kernel, Program, RegId, Role, Stmt};
use serde::{Deserialize, Serialize};

/// The number of an array of the scalar unit.
pub type ArrayId = usize;

/// An array of i32 that the scalar unit keeps for one block; all zero when the block starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScalarArray {
    pub name: String,
    pub len: usize,
}

/// Integer arithmetic of the scalar unit on 64-bit values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IntOp {
    Mul,
    /// The quotient of a value that is not negative and a positive one.
    Div,
    /// The remainder of a value that is not negative and a positive one.
    Rem,
    Min,
    Max,
}

impl IntOp {
    /// The name in the text of a program.
    pub fn name(self) -> &'static str {
        match self {
            IntOp::Mul => "mul",
            IntOp::Div => "div",
            IntOp::Rem => "rem",
            IntOp::Min => "min",
            IntOp::Max => "max",
        }
    }

    /// The result; nothing on overflow and for operands that the operation does not take.
    pub fn apply(self, lhs: i64, rhs: i64) -> Option<i64> {
        match self {
            IntOp::Mul => lhs.checked_mul(rhs),
            IntOp::Div | IntOp::Rem if lhs < 0 || rhs <= 0 => None,
            IntOp::Div => Some(lhs / rhs),
            IntOp::Rem => Some(lhs % rhs),
            IntOp::Min => Some(lhs.min(rhs)),
            IntOp::Max => Some(lhs.max(rhs)),
        }
    }
}

/// How a notification changes its counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotifyOp {
    Set,
    /// In one step: additions of several blocks are never lost.
    Add,
}

/// What a program is that says nothing of ranks.
pub(super) fn one_rank() -> usize {
    1
}

/// Whether a kernel touches windows: its own or a peer's.
pub fn is_communication(program: &Program, kernel: &Kernel) -> bool {
    let window = |name: &String| {
        program
            .tensors
            .get(name)
            .is_some_and(|t| t.role == Role::Window)
    };
    let (reads, writes) = kernel.accesses();
    reads.iter().chain(&writes).any(window)
}

impl Kernel {
    /// Whether a block may have to wait for another one, so that all blocks must be resident at once.
    pub fn waits(&self) -> bool {
        let mut waits = false;
        self.visit(&mut |i| waits |= matches!(i, Instr::WaitCounter { .. }));
        waits
    }
}

impl Instr {
    /// The register that it fills.
    pub fn register(&self) -> Option<RegId> {
        match self {
            Instr::ReadScalar { dst, .. }
            | Instr::SetReg { dst, .. }
            | Instr::Compute { dst, .. }
            | Instr::ArrayGet { dst, .. } => Some(*dst),
            _ => None,
        }
    }

    /// Calls `f` on every expression in it: run-time rows, indices, peers, values.
    pub fn exprs<'a>(&'a self, f: &mut impl FnMut(&'a Expr)) {
        let (reads, writes) = self.tiles();
        for tile in reads.into_iter().chain(writes) {
            tile.rows.iter().for_each(&mut *f);
        }
        if let Some((_, rect)) = self.global() {
            f(&rect.row);
            f(&rect.col);
            rect.peer.iter().for_each(&mut *f);
        }
        match self {
            Instr::WriteScalar { value, .. }
            | Instr::SetReg { value, .. }
            | Instr::Notify { value, .. }
            | Instr::WaitCounter {
                at_least: value, ..
            } => f(value),
            Instr::Compute { lhs, rhs, .. } => {
                f(lhs);
                f(rhs);
            }
            Instr::ArrayGet { index, .. } => f(index),
            Instr::ArraySet { index, value, .. } => {
                f(index);
                f(value);
            }
            _ => {}
        }
    }
}

impl super::Cond {
    /// The expression that it tests, if it is one.
    pub fn expr(&self) -> Option<&Expr> {
        match self {
            super::Cond::First(_) => None,
            super::Cond::Positive(e) | super::Cond::Zero(e) => Some(e),
        }
    }
}

/// Calls `f` on every expression of some statements, conditions included, in program order.
pub fn exprs_of<'a>(body: &'a [Stmt], f: &mut impl FnMut(&'a Expr)) {
    for stmt in body {
        match stmt {
            Stmt::Loop { body, .. } | Stmt::Part { body, .. } => exprs_of(body, f),
            Stmt::If {
                cond,
                then,
                otherwise,
            } => {
                cond.expr().into_iter().for_each(&mut *f);
                exprs_of(then, f);
                exprs_of(otherwise, f);
            }
            Stmt::Instr(i) => i.exprs(f),
            _ => {}
        }
    }
}
