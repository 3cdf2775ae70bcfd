//! The tile that an instruction works in beside its operands, as its row says.
//!
//! (PTO-ISA, `include/pto/npu/a2a3/{TRowReduceOps,TRowExpandBinOp,TMrgSort,TGather}.hpp`.)

use super::super::{Tile, VectorOp};
use super::row::Scratch;
use crate::dtype::DType;
use crate::machine::Geometry;

/// The smallest scratch tile, in UB, row-major, all of it valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScratchTile {
    pub dtype: DType,
    pub rows: usize,
    pub cols: usize,
}

impl ScratchTile {
    /// Bytes of the scratch tile.
    pub fn bytes(&self) -> usize {
        self.rows * self.cols * self.dtype.bytes()
    }
}

/// What `op` works in for these operands; `None` if in nothing, or if there are too few operands.
pub fn scratch_needed(
    geometry: &Geometry,
    op: &VectorOp,
    dst: &Tile,
    srcs: &[&Tile],
) -> Option<ScratchTile> {
    match op.row().scratch {
        Scratch::None => None,
        Scratch::Source => {
            let src = srcs.first()?;
            Some(ScratchTile {
                dtype: src.dtype,
                rows: src.rows,
                cols: src.cols,
            })
        }
        Scratch::BlockARow => Some(ScratchTile {
            dtype: dst.dtype,
            rows: dst.valid_rows.next_multiple_of(geometry.repeat_blocks()),
            cols: geometry.block_elements(dst.dtype),
        }),
        Scratch::LastRuns(run) => {
            let pairs = srcs.first()?.valid_cols / 2;
            (run.checked_mul(2) == Some(pairs)).then_some(ScratchTile {
                dtype: dst.dtype,
                rows: 1,
                cols: dst.cols,
            })
        }
        Scratch::Offsets => {
            let indices = srcs.get(1)?;
            (dst.dtype.bytes() < indices.dtype.bytes()).then_some(ScratchTile {
                dtype: DType::I32,
                rows: 1,
                cols: indices.cols,
            })
        }
    }
}
