//! What pins leave to the search: launches, grids, loops, reads and splits of a kernel.

use super::KernelPins;
use crate::problem::{KernelSpec, Problem, Store};
use crate::search::candidate::{Grid, Trips};
use egg::Symbol;
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::kernel::{Role, Unit};
use tilewright_ir::machine::Geometry;

impl KernelPins {
    /// Whether nothing is pinned.
    pub fn is_empty(&self) -> bool {
        *self == KernelPins::default()
    }

    /// What a tile is held at: its pin, or as written when the rest is held too.
    fn tile(&self, name: Option<&String>, written: usize) -> Option<usize> {
        let pinned = name.and_then(|n| self.tiles.get(n).copied());
        pinned.or(self.hold.then_some(written))
    }

    /// Whether a launch kind may be taken.
    pub fn allows_launch(&self, spec: &KernelSpec, kind: LaunchKind) -> bool {
        let held = self.launch.or(self.hold.then_some(spec.launch));
        held.is_none_or(|k| k == kind)
    }

    /// Whether a grid may be taken.
    pub fn allows_grid(&self, spec: &KernelSpec, grid: &Grid, geometry: &Geometry) -> bool {
        let rows = spec.stores.iter().map(|s| s.rows).max().unwrap_or(1);
        let cols = spec.stores.iter().map(|s| s.data_cols).max().unwrap_or(1);
        // A tile larger than the axis is one block; a cube tile is whole fractals.
        let fractal = geometry.fractal_rows.count();
        let rows_ok = self
            .tile(Some(&spec.names.rows), spec.block_rows)
            .is_none_or(|t| {
                grid.block_rows == t.min(rows)
                    || (spec.unit == Unit::Cube && grid.block_rows.next_multiple_of(fractal) == t)
            });
        let tile = self.tile(spec.names.cols.as_ref(), spec.cols_tile);
        let written_fan = match spec.per_block {
            true => cols.div_ceil(tile.unwrap_or(cols).clamp(1, cols)),
            false => 1,
        };
        let blocks = rows.div_ceil(grid.block_rows.max(1)) * grid.fan;
        rows_ok
            && self.allows_launch(spec, grid.kind)
            && match self.blocks {
                Some(b) => b == blocks,
                None => !self.hold || grid.fan == written_fan,
            }
            && self.allows_pad(spec, grid)
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
        let tile = self.tile(spec.names.cols.as_ref(), spec.cols_tile);
        let tile_ok = tile.is_none_or(|v| store.data_cols == 1 || chunk == v.min(store.data_cols));
        tile_ok && self.allows_depth(spec, t)
    }

    /// Whether the loop of a reduction of so many elements may take so many at a time.
    pub fn allows_reduce(
        &self,
        spec: &KernelSpec,
        (extent, chunk): (usize, usize),
        t: Trips,
    ) -> bool {
        let written = spec.reduction(extent).map_or(chunk, |r| r.chunk);
        let tile = self.tile(spec.names.reduce.as_ref(), written);
        tile.is_none_or(|v| chunk == v.min(extent)) && self.allows_depth(spec, t)
    }

    fn allows_depth(&self, spec: &KernelSpec, t: Trips) -> bool {
        let held = self.pipeline.or(self.hold.then_some(spec.depth));
        t.trips == 1 || held.is_none_or(|d| d == t.depth)
    }

    /// Whether so many blocks may share an exchange.
    pub fn allows_share(&self, spec: &KernelSpec, blocks: usize) -> bool {
        self.tile(Some(&spec.names.rows), 1)
            .is_none_or(|t| t == blocks)
    }

    /// Whether a product may be cut into so many parts.
    pub fn allows_split(&self, parts: usize) -> bool {
        let held = self.split_k.or(self.hold.then_some(1));
        held.is_none_or(|s| s == parts)
    }

    /// Whether a kernel may read this value from memory.
    pub fn allows_read(&self, problem: &Problem, spec: &KernelSpec, name: Symbol) -> bool {
        let Some(reads) = self.reads.as_ref().or(self.hold.then_some(&spec.reads)) else {
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
