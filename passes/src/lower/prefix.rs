//! What runs along a row: the sums up to each element, and the product of all.
//!
//! Vector instructions start at whole blocks of 32 bytes, so an element that lies a few columns further comes by a lookup. Each
//! step of it joins twice as many elements as the one before.

use super::vector::{Place, Vector};
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::Binary;
use tilewright_ir::kernel::{Instr, Stmt, TileRef, VectorOp};

/// The element-wise functions of indices that steps are made of.
const STEP: [fn(f32) -> VectorOp; 2] = [
    |n| VectorOp::Scalar(Binary::Add, n),
    |n| VectorOp::Scalar(Binary::Min, n),
];

impl Vector<'_> {
    /// The sums of the one row of `src` up to each element. The row is turned around with a zero behind it: what would lie
    /// before its first element is that zero, and all indices that go too far are the zero's.
    pub(super) fn cumsum(&mut self, name: &str, place: Place, src: TileRef) -> TileRef {
        let like = &self.kernel.tiles[src.tile];
        let (cols, dtype) = (like.valid_cols, like.dtype);
        if cols == 1 {
            return src;
        }
        let [turned, places] = self.turns(cols);
        let row = self.picked(&format!("{name}_turned"), place, src, turned.clone());
        let ty = (1, cols + 1, dtype);
        let mut sums = self.widened(name, place, row, 0.0, ty.1);
        let mut step = 1;
        while step < cols {
            let further = self.further(place, &places, step, cols);
            let others = self.picked(&format!("{name}_others"), place, sums.clone(), further);
            let add = VectorOp::Binary(Binary::Add);
            sums = self.compute(&format!("{name}_sums"), place, add, ty, vec![sums, others]);
            step *= 2;
        }
        self.picked(name, place, sums, turned)
    }

    /// The product of the one row of `src`: ones fill it to a power of two, halves are multiplied as long as they are whole blocks,
    /// and a lookup finds the rest.
    pub(super) fn row_prod(&mut self, name: &str, place: Place, src: TileRef) -> TileRef {
        let like = &self.kernel.tiles[src.tile];
        let (cols, dtype) = (like.valid_cols, like.dtype);
        if cols == 1 {
            return src;
        }
        let block = self.geometry.block_elements(dtype);
        let mut width = cols.next_power_of_two().max(block);
        let mut product = self.widened(name, place, src, 1.0, width);
        let label = format!("{name}_product");
        while width > block {
            width /= 2;
            let halves = VectorOp::Halves(Binary::Mul);
            product = self.compute(&label, place, halves, (1, width, dtype), vec![product]);
        }
        let [_, places] = self.turns(width - 1);
        while width > 1 {
            width /= 2;
            let further = self.further(place, &places, width, block - 1);
            let others = self.picked(&format!("{name}_others"), place, product.clone(), further);
            let times = VectorOp::Binary(Binary::Mul);
            let ty = (1, block, dtype);
            product = self.compute(&label, place, times, ty, vec![product, others]);
        }
        let first = self.tile(&format!("{name}_first"), DType::I32, 1, 1);
        self.vector(place, VectorOp::Fill(0.0), first, vec![], None);
        self.picked(name, place, product, TileRef::new(first))
    }

    /// A row with a number behind it.
    fn widened(
        &mut self,
        name: &str,
        place: Place,
        row: TileRef,
        value: f32,
        cols: usize,
    ) -> TileRef {
        let dtype = self.kernel.tiles[row.tile].dtype;
        let dst = self.tile(&format!("{name}_row"), dtype, 1, cols);
        self.vector(place, VectorOp::Fill(value), dst, vec![], None);
        self.vector(place, VectorOp::Copy, dst, vec![row], None);
        TileRef::new(dst)
    }

    /// Indices so many columns further, the last one at most.
    fn further(&mut self, place: Place, places: &TileRef, step: usize, last: usize) -> TileRef {
        let cols = self.kernel.tiles[places.tile].valid_cols;
        let numbers = [step, last].map(|n| n as f32);
        let steps = std::iter::zip(STEP, numbers);
        steps.fold(places.clone(), |index, (op, n)| {
            self.compute("further", place, op(n), (1, cols, DType::I32), vec![index])
        })
    }

    /// Indices of so many columns from the last to the first, and of these and one more from the first to the last: written once a
    /// block.
    fn turns(&mut self, cols: usize) -> [TileRef; 2] {
        if let Some(known) = self.turns.get(&cols) {
            return known.clone();
        }
        let names = ["ascending", "negated", "turned", "places"];
        let [ascending, negated, turned] =
            [0, 1, 2].map(|i| self.tile(names[i], DType::I32, 1, cols));
        let places = self.tile(names[3], DType::I32, 1, cols + 1);
        let last = (cols - 1) as f32;
        let written = [
            (VectorOp::Iota, ascending, None),
            (
                VectorOp::Scalar(Binary::Mul, -1.0),
                negated,
                Some(ascending),
            ),
            (VectorOp::Scalar(Binary::Add, last), turned, Some(negated)),
            (VectorOp::Fill(cols as f32), places, None),
            (VectorOp::Copy, places, Some(ascending)),
        ];
        for (op, dst, src) in written {
            self.prologue.push(Stmt::Instr(Instr::Vector {
                op,
                dst: TileRef::new(dst),
                srcs: src.map(TileRef::new).into_iter().collect(),
                tmp: None,
            }));
        }
        let known = [turned, places].map(TileRef::new);
        self.turns.insert(cols, known.clone());
        known
    }
}
