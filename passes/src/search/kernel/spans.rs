//! What the forms of a kernel span: the values that each of its parameters can have.

use super::Extraction;
use super::ways::Way;
use std::collections::BTreeSet;
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::kernel::Unit;

/// Values that occur in some form of a kernel, each by itself: not all go together.
#[derive(Debug, Clone, Default)]
pub struct Spans {
    pub launches: Vec<LaunchKind>,
    pub rows: BTreeSet<usize>,
    pub cols: BTreeSet<usize>,
    /// Of reductions and products.
    pub chunks: BTreeSet<usize>,
    pub depths: BTreeSet<usize>,
    pub blocks: BTreeSet<usize>,
    /// Whether padding is filled apart.
    pub hoisted: BTreeSet<bool>,
}

impl Extraction<'_> {
    /// What the kernel's forms span. An exchange spans nothing: what its blocks share is in its program.
    pub fn spans(&self) -> Spans {
        let mut out = Spans::default();
        if self.spec.exchange.is_some() {
            return out;
        }
        let fractal = self.machine.geometry.fractal_rows.count();
        for store in &self.needed {
            let spec = &self.spec.stores[*store];
            for (grid, ways) in self.ways(*store).iter() {
                if !out.launches.contains(&grid.kind) {
                    out.launches.push(grid.kind);
                }
                out.rows.insert(match self.spec.unit {
                    Unit::Cube => grid.block_rows.next_multiple_of(fractal),
                    _ => grid.block_rows,
                });
                out.blocks
                    .insert(spec.rows.div_ceil(grid.block_rows.max(1)) * grid.fan);
                if spec.is_padded() {
                    out.hoisted.insert(grid.hoisted);
                }
                for way in ways {
                    if spec.data_cols > 1 {
                        out.cols.insert(way.chunk);
                    }
                    out.depths.insert(way.trips.depth);
                }
                self.reductions(ways, &mut out);
            }
        }
        out.launches.sort();
        out
    }

    /// Adds the chunks and depths of reductions and products below these tiles.
    fn reductions(&self, ways: &[Way], out: &mut Spans) {
        for class in self.tiles(ways) {
            for of in self.classes.loops(class) {
                out.chunks.insert(of.chunk);
                out.depths.insert(of.trips.depth);
            }
        }
    }
}
