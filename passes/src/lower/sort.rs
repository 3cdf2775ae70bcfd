//! Sorting a row: the k largest of a row, by the sorter of short runs and the 4-way merger.

use super::LowerError;
use super::vector::{Place, Vector};
use tilewright_ir::dtype::DType;
use tilewright_ir::kernel::{Instr, Stmt, TileRef, VectorOp};

impl Vector<'_> {
    /// Indices of the k largest of the one row of `src`.
    pub(super) fn top_k(
        &mut self,
        name: &str,
        src: TileRef,
        k: usize,
    ) -> Result<TileRef, LowerError> {
        let cols = self.kernel.tiles[src.tile].valid_cols;
        let sorted_at_once = self.geometry.sort_run.count();
        if cols < sorted_at_once || !cols.is_power_of_two() {
            return Err(LowerError::SortWidth {
                kernel: self.plan.name.clone(),
                cols,
                least: sorted_at_once,
                next: cols.next_power_of_two().max(sorted_at_once),
            });
        }
        let place = Place::Block { fanned: false };
        let index = self.index_row(cols);
        let mut sorted = self.tile("pairs", DType::F32, 1, 2 * cols);
        self.vector(
            place,
            VectorOp::Sort32,
            sorted,
            vec![src, TileRef::new(index)],
            None,
        );
        let mut run = sorted_at_once;
        while run < cols {
            let merged = self.tile("merged", DType::F32, 1, 2 * cols);
            let ways = (cols / run).min(4);
            let tmp = (ways < 4).then(|| self.tile("tmp", DType::F32, 1, 2 * cols));
            self.vector(
                place,
                VectorOp::MergeSort { run },
                merged,
                vec![TileRef::new(sorted)],
                tmp,
            );
            sorted = merged;
            run *= ways;
        }
        let indices = self.tile(name, DType::I32, 1, k);
        self.vector(
            place,
            VectorOp::PairIndices,
            indices,
            vec![TileRef::new(sorted)],
            None,
        );
        Ok(TileRef::new(indices))
    }

    /// 0, 1, 2, ...: written once a block.
    fn index_row(&mut self, cols: usize) -> usize {
        if let Some(tile) = self.index_row
            && self.kernel.tiles[tile].valid_cols == cols
        {
            return tile;
        }
        let tile = self.tile("index", DType::U32, 1, cols);
        self.prologue.push(Stmt::Instr(Instr::Vector {
            op: VectorOp::Iota,
            dst: TileRef::new(tile),
            srcs: vec![],
            tmp: None,
        }));
        self.index_row = Some(tile);
        tile
    }
}
