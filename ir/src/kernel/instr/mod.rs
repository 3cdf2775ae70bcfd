//! Instructions.

use super::{ArrayId, Expr, GlobalRef, IntOp, NotifyOp, RegId, TileRef};
use crate::dtype::Round;
use crate::graph::{Binary, Reduce, Unary};
use serde::{Deserialize, Serialize};

/// Vector instructions. Operands are named as in [`Instr::Vector`]: `dst`, then `srcs`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VectorOp {
    /// Type conversion.
    Cvt(Round),
    Unary(Unary),
    /// `srcs[0] op value`.
    Scalar(Binary, f32),
    Binary(Binary),
    /// `srcs[0] [R, C] op srcs[1] [R, 1]`.
    RowExpand(Binary),
    /// `srcs[0] [R, C] op srcs[1] [1, C]`.
    ColExpand(Binary),
    /// `dst [R, C]`: upper op lower half of `srcs[0] [2 R, C]`, or left op right half of `srcs[0] [R, 2 C]`.
    Halves(Binary),
    /// `[R, C] -> [R, 1]`, with a scratch tile as big as the source.
    RowReduce(Reduce),
    /// All of `dst` becomes the value.
    Fill(f32),
    /// Copies the source's valid part into the first rows and columns.
    Copy,
    /// `dst [1, C] = 0, 1, 2, ...` (i32 or u32), by the scalar unit.
    Iota,
    /// Sorts each 32 elements of `srcs[0] [1, C] f32` in descending order, stable; `srcs[1] [1, C] u32` are their indices;
    /// `dst [1, 2 C]` receives (value, index) pairs, 8 bytes each.
    Sort32,
    /// Merges sorted runs of `run` pairs in `srcs[0]`, four (or the last two) at a time, into `dst`.
    MergeSort {
        run: usize,
    },
    /// The indices of the first `dst` columns' pairs of `srcs[0]`, as i32.
    PairIndices,
    /// `dst[0, k] = srcs[0][0, srcs[1][0, k]]`, one row.
    Gather,
}

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
