//! The scratch tile that a vector instruction needs beside its operands.
//!
//! | instruction | scratch |
//! |---|---|
//! | `RowReduce` | row-major, as the source: its type and physical rows and columns |
//! | `RowExpand` | row-major, one 32-byte block a row of the result, rows rounded up to 8 |
//! | `MergeSort` of the last two runs | one row, as the result |
//! | `Gather` of 2-byte elements | one row of i32, as many as there are indices |
//! | all others | none |
//!
//! A `RowExpand` without one works in 8 KiB that the ISA keeps for itself at the end of UB; the others do not work
//! without.
//! (PTO-ISA, `include/pto/npu/a2a3/{TRowReduceOps,TRowExpandBinOp,TMrgSort,TGather}.hpp`.)

use super::{Tile, VectorOp};
use crate::dtype::DType;

/// The smallest scratch tile, in UB, row-major, all of it valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scratch {
    pub dtype: DType,
    pub rows: usize,
    pub cols: usize,
}

/// What `op` needs for these operands; `None` if nothing, or if there are too few operands.
pub fn scratch_needed(op: &VectorOp, dst: &Tile, srcs: &[&Tile]) -> Option<Scratch> {
    match op {
        VectorOp::RowReduce(_) => {
            let src = srcs.first()?;
            Some(Scratch {
                dtype: src.dtype,
                rows: src.rows,
                cols: src.cols,
            })
        }
        VectorOp::RowExpand(_) => Some(Scratch {
            dtype: dst.dtype,
            rows: dst.valid_rows.next_multiple_of(8),
            cols: 32 / dst.dtype.bytes(),
        }),
        VectorOp::MergeSort { run } => {
            let pairs = srcs.first()?.valid_cols / 2;
            (run.checked_mul(2) == Some(pairs)).then_some(Scratch {
                dtype: dst.dtype,
                rows: 1,
                cols: dst.cols,
            })
        }
        VectorOp::Gather => {
            let indices = srcs.get(1)?;
            (dst.dtype.bytes() == 2).then_some(Scratch {
                dtype: DType::I32,
                rows: 1,
                cols: indices.cols,
            })
        }
        _ => None,
    }
}
