//! Tiles: buffers in on-chip memory, and tiles as operands.

use super::{Expr, LoopId, TileId};
use crate::dtype::DType;
use crate::space::Space;
use serde::{Deserialize, Serialize};

/// How a tile's elements lie in its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// ND: rows one after the other.
    RowMajor,
    /// DN: one column of per-row values; `[R, 1]` lies as `[1, R]` would.
    ColMajor,
    /// L1 operand A: column blocks of row-major fractals (NZ).
    Nz,
    /// L1 operand B (ZN), `[K, N]`: its load transposes the `[N, K]` rectangle that global memory holds.
    Zn,
    /// L0A: row-major fractals in row-major order (ZZ).
    Zz,
    /// L0B, `[K, N]`: column-major fractals in row-major order (ZN).
    Right,
    /// L0C accumulator (NZ, 16 x 16 fractals).
    Acc,
}

/// A buffer in on-chip memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tile {
    pub name: String,
    pub space: Space,
    pub dtype: DType,
    /// Physical extent, padded to what the memory and the instructions need.
    pub rows: usize,
    pub cols: usize,
    /// The part that holds data, from (0, 0).
    pub valid_rows: usize,
    pub valid_cols: usize,
    pub layout: Layout,
    /// Copies for double buffering.
    pub slots: usize,
    /// One byte address a slot; empty until allocated.
    pub addrs: Vec<usize>,
}

impl Tile {
    /// Bytes of one slot.
    pub fn bytes(&self) -> usize {
        self.rows * self.cols * self.dtype.bytes()
    }
}

/// A tile as an operand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TileRef {
    pub tile: TileId,
    /// The loop whose counter, modulo the tile's slots, names the slot; `None` is slot 0.
    pub slot: Option<LoopId>,
    /// A run-time count of valid rows, clamped to `0..=valid_rows`; `None` is all of them.
    pub rows: Option<Expr>,
}

impl TileRef {
    /// A whole tile, in its first slot.
    pub fn new(tile: TileId) -> Self {
        TileRef {
            tile,
            slot: None,
            rows: None,
        }
    }
}
