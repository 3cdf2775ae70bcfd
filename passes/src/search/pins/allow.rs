//! What pins leave to the search: launches, grids, loops, reads and splits of a kernel.

use super::KernelPins;
use crate::problem::{KernelSpec, Problem, Store};
use crate::search::candidate::{Grid, Reads, Trips};
use egg::Symbol;
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::kernel::{Role, Unit};
use tilewright_ir::machine::Geometry;

impl KernelPins {
    /// Whether nothing is pinned.
    pub fn is_empty(&self) -> bool {
        *self == KernelPins::default()
    }

    /// What a tile is held at: its pin, or as written when the rest is held too; that is unless `said` otherwise.
    fn tile(&self, name: Option<&String>, written: usize, said: bool) -> Option<usize> {
        let pinned = name.and_then(|n| self.tiles.get(n).copied());
        pinned.or((self.hold && !said).then_some(written))
    }

    /// Whether a launch kind may be taken.
    pub fn allows_launch(&self, spec: &KernelSpec, kind: LaunchKind) -> bool {
        let held = self.launch.or(self.hold.then_some(spec.launch));
        held.is_none_or(|k| k == kind)
    }

    /// Whether the kernel that fills its padding may be launched so.
    pub fn allows_fill(&self, spec: &KernelSpec, kind: LaunchKind) -> bool {
        match self.fill {
            Some(fill) => fill == kind,
            None => self.allows_launch(spec, kind),
        }
    }

    /// Whether a grid may be taken.
    pub fn allows_grid(&self, spec: &KernelSpec, grid: &Grid, geometry: &Geometry) -> bool {
        let rows = spec.stores.iter().map(|s| s.rows).max().unwrap_or(1);
        let cols = spec.stores.iter().map(|s| s.data_cols).max().unwrap_or(1);
        // A tile larger than the axis is one block; a cube tile is whole fractals.
        let fractal = geometry.fractal_rows.count();
        let rows_ok = self
            .tile(Some(&spec.names.rows), spec.block_rows, self.grid.is_some())
            .is_none_or(|t| {
                grid.block_rows == t.min(rows)
                    || (spec.unit == Unit::Cube && grid.block_rows.next_multiple_of(fractal) == t)
            });
        let tile = self.tile(spec.names.cols.as_ref(), spec.cols_tile, false);
        let written_fan = match spec.per_block {
            true => cols.div_ceil(tile.unwrap_or(cols).clamp(1, cols)),
            false => 1,
        };
        let blocks = rows.div_ceil(grid.block_rows.max(1)) * grid.fan;
        rows_ok
            && self.allows_launch(spec, grid.kind)
            && match self.blocks {
                Some(b) => b == blocks,
                None => !self.hold || self.grid.is_some() || grid.fan == written_fan,
            }
            && self.allows_blocks(grid)
            && self.allows_pad(spec, grid)
    }

    /// Whether blocks may be these.
    pub fn allows_blocks(&self, grid: &Grid) -> bool {
        self.grid.is_none_or(|g| g == grid.blocks())
    }

    /// Whether loops that store may run so.
    pub fn allows_stores(&self, trips: Trips) -> bool {
        self.stores.is_none_or(|t| t == trips)
    }

    /// Whether reductions and products may run so.
    pub fn allows_reduces(&self, trips: Trips) -> bool {
        self.reduces.is_none_or(|t| t == trips)
    }

    pub fn allows_prefer(&self, reads: Reads) -> bool {
        self.prefer.is_none_or(|r| r == reads)
    }

    /// Whether single loops and terms may do otherwise than the rest.
    pub fn allows_refine(&self) -> bool {
        self.refine.unwrap_or(!self.hold)
    }

    /// Whether an exchange's integers may move so.
    pub fn allows_by_line(&self, by_line: bool) -> bool {
        let held = self.by_line.or(self.hold.then_some(false));
        held.is_none_or(|b| b == by_line)
    }

    /// Whether a product's trip may be multiplied in pieces, and a row reduced in halves, as nobody wrote it.
    pub fn allows_pieces(&self) -> bool {
        !self.hold || self.reduces.is_some()
    }

    /// Whether padding may be filled as this grid does.
    pub fn allows_pad(&self, spec: &KernelSpec, grid: &Grid) -> bool {
        let padded = spec.stores.iter().any(|s| s.is_padded());
        // Blocks that share a row cannot fill its padding.
        let hoisted = self
            .hoisted
            .or((self.hold && grid.fan == 1).then_some(false));
        !padded || hoisted.is_none_or(|h| h == grid.hoisted)
    }

    /// Whether a store may take these trips of columns.
    pub fn allows_store(&self, spec: &KernelSpec, store: &Store, chunk: usize, t: Trips) -> bool {
        let said = self.stores.is_some();
        let tile = self.tile(spec.names.cols.as_ref(), spec.cols_tile, said);
        let tile_ok = tile.is_none_or(|v| store.data_cols == 1 || chunk == v.min(store.data_cols));
        // The depth of a product is that of its inner axis.
        let ahead = match spec.unit {
            Unit::Cube => said || !self.hold || t.trips == 1 || t.depth == 1,
            _ => self.allows_depth(spec, t, said),
        };
        tile_ok && ahead
    }

    /// Whether the loop of a reduction of so many elements may take so many at a time.
    pub fn allows_reduce(
        &self,
        spec: &KernelSpec,
        (extent, chunk): (usize, usize),
        t: Trips,
    ) -> bool {
        let written = spec.reduction(extent).map_or(chunk, |r| r.chunk);
        let said = self.reduces.is_some();
        let tile = self.tile(spec.names.reduce.as_ref(), written, said);
        tile.is_none_or(|v| chunk == v.min(extent)) && self.allows_depth(spec, t, said)
    }

    fn allows_depth(&self, spec: &KernelSpec, t: Trips, said: bool) -> bool {
        let held = self.pipeline.or((self.hold && !said).then_some(spec.depth));
        t.trips == 1 || held.is_none_or(|d| d == t.depth)
    }

    /// Whether so many blocks may share an exchange.
    pub fn allows_share(&self, spec: &KernelSpec, blocks: usize) -> bool {
        self.tile(Some(&spec.names.rows), 1, false)
            .is_none_or(|t| t == blocks)
    }

    /// Whether a product may be cut into so many parts.
    pub fn allows_split(&self, parts: usize) -> bool {
        let held = self.split_k.or(self.hold.then_some(1));
        held.is_none_or(|s| s == parts)
    }

    /// Whether a kernel may read this value from memory.
    pub fn allows_read(&self, problem: &Problem, spec: &KernelSpec, name: Symbol) -> bool {
        // What is said of values that are not read says that of all others.
        let written = (self.hold && self.unread.is_none()).then_some(&spec.reads);
        let Some(reads) = self.reads.as_ref().or(written) else {
            return true;
        };
        let tensor = problem.tensors.get(name.as_str());
        let input = tensor.is_none_or(|t| t.role == Role::Input);
        // Which form of a split product is read is decided with its producer.
        let split = problem
            .kernels
            .iter()
            .flat_map(|k| &k.stores)
            .any(|s| s.split_of.is_some() && s.name == name.as_str());
        input || split || reads.iter().any(|r| r == name.as_str())
    }
}
