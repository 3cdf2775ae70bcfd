//! Instructions, and the table that says what is to be said of each once and for all.
//!
//! * [`Instr`]: an instruction with its operands.
//! * [`VectorOp`]: those of the vector unit, each with a [`Row`]; `elementwise`, `rows`, `sort` and `index` hold the rows.
//! * [`Kind`]: which instruction it is, with its name and its pipe.

mod elementwise;
mod index;
mod kind;
mod row;
mod rows;
mod scratch;
mod sort;
mod vector;

pub use kind::{Kind, KindRow};
pub use row::{
    Apart, Arg, Cpp, Dim, Effect, Limit, Operand, Placement, Pypto, Repeats, Row, Scratch, Time,
    Types,
};
pub use scratch::{ScratchTile, scratch_needed};
pub use vector::VectorOp;

use super::{ArrayId, Expr, GlobalRef, IntOp, NotifyOp, RegId, TileRef};
use serde::{Deserialize, Serialize};

/// Instructions, each on one pipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Instr {
    /// Global memory to UB or L1 (MTE2). Columns and rows beyond the rectangle keep what they held.
    Load { dst: TileRef, src: GlobalRef },
    /// UB (MTE3) or L0C (FIX) to global memory. Converts nothing. From UB also into a peer's window.
    Store { dst: GlobalRef, src: TileRef },
    /// L1 to L0A or L0B (MTE1): all of `src`, or what of it begins at a row and column and has the extent of `dst`.
    Move {
        dst: TileRef,
        src: TileRef,
        #[serde(default, skip_serializing_if = "is_start")]
        from: (usize, usize),
    },
    /// `dst = lhs x rhs`, or `dst += lhs x rhs` (M).
    Matmul {
        dst: TileRef,
        lhs: TileRef,
        rhs: TileRef,
        accumulate: bool,
    },
    /// Vector arithmetic (V).
    Vector {
        op: VectorOp,
        dst: TileRef,
        srcs: Vec<TileRef>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tmp: Option<TileRef>,
    },
    /// One integer of global memory into a register (S).
    ReadScalar { dst: RegId, src: GlobalRef },
    /// One integer into global memory, also into a peer's window (S).
    WriteScalar { dst: GlobalRef, value: Expr },
    /// Whole rows of integers of global memory, one after the other, into the first elements of an array (S).
    ReadArray { array: ArrayId, src: GlobalRef },
    /// The first elements of an array into whole rows of the rank's own global memory, one after the other (S).
    WriteArray { dst: GlobalRef, array: ArrayId },
    /// A register's new value (S).
    SetReg { dst: RegId, value: Expr },
    /// `dst = lhs op rhs` on integers (S).
    Compute {
        dst: RegId,
        op: IntOp,
        lhs: Expr,
        rhs: Expr,
    },
    /// `dst = array[index]` (S).
    ArrayGet {
        dst: RegId,
        array: ArrayId,
        index: Expr,
    },
    /// `array[index] = value` (S).
    ArraySet {
        array: ArrayId,
        index: Expr,
        value: Expr,
    },
    /// Sets a counter of a window to a value, or adds to it in one step (S). What the block has read and written in global
    /// memory before it, also on other ranks, is over before the counter changes.
    Notify {
        counter: GlobalRef,
        op: NotifyOp,
        value: Expr,
    },
    /// Spins until a counter of the rank's own window is at least a value (S). The block does nothing of what follows,
    /// on any pipe, before that.
    WaitCounter { counter: GlobalRef, at_least: Expr },
}

impl Instr {
    /// Tiles read, then tiles written. An accumulating product and a partial write also read their target.
    pub fn tiles(&self) -> (Vec<&TileRef>, Vec<&TileRef>) {
        match self {
            Instr::Load { dst, .. } => (vec![], vec![dst]),
            Instr::Store { src, .. } => (vec![src], vec![]),
            Instr::Move { dst, src, .. } => (vec![src], vec![dst]),
            Instr::Matmul {
                dst,
                lhs,
                rhs,
                accumulate,
            } => {
                let mut reads = vec![lhs, rhs];
                if *accumulate {
                    reads.push(dst);
                }
                (reads, vec![dst])
            }
            Instr::Vector { dst, srcs, tmp, .. } => (
                srcs.iter().collect(),
                std::iter::once(dst).chain(tmp.as_ref()).collect(),
            ),
            _ => (vec![], vec![]),
        }
    }

    /// How many rows its operands have, where that is counted at run time: it works on no others.
    pub fn counted(&self) -> Option<&Expr> {
        match self {
            Instr::Load { dst, .. } => dst.rows.as_ref(),
            Instr::Store { src, .. } => src.rows.as_ref(),
            Instr::Move { dst, src, .. } => dst.rows.as_ref().or(src.rows.as_ref()),
            Instr::Matmul { dst, lhs, .. } => dst.rows.as_ref().or(lhs.rows.as_ref()),
            Instr::Vector { dst, srcs, .. } => {
                let mut operands = std::iter::once(dst).chain(srcs);
                operands.find_map(|r| r.rows.as_ref())
            }
            _ => None,
        }
    }

    /// The rectangle of global memory that it reads or writes. A counter is read by its wait and written by a notify.
    pub fn global(&self) -> Option<(Access, &GlobalRef)> {
        match self {
            Instr::Load { src, .. }
            | Instr::ReadScalar { src, .. }
            | Instr::ReadArray { src, .. } => Some((Access::Read, src)),
            Instr::WaitCounter { counter, .. } => Some((Access::Read, counter)),
            Instr::Store { dst, .. }
            | Instr::WriteScalar { dst, .. }
            | Instr::WriteArray { dst, .. } => Some((Access::Write, dst)),
            Instr::Notify { counter, .. } => Some((Access::Write, counter)),
            _ => None,
        }
    }
}

fn is_start(from: &(usize, usize)) -> bool {
    *from == (0, 0)
}

/// What an instruction does to a rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}
