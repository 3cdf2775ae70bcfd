//! What a core holds of a row: how long rows are that are sorted or added up at once.

use super::ProblemError;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{Graph, Op, Prim};
use tilewright_ir::kernel::Space;
use tilewright_ir::machine::Machine;

/// Bytes of a column of a row that a kernel holds beside: its elements are f32.
pub const ROW: usize = 4;

/// What a core holds of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub bytes: usize,
    /// Columns that are sorted at once, the least.
    pub run: usize,
}

impl Held {
    pub fn of(machine: &Machine) -> Self {
        Held {
            bytes: machine.capacity_of(Space::Ub),
            run: machine.geometry.sort_run.count(),
        }
    }

    /// The columns that are sorted for a row of so many: a power of two.
    pub fn sorted(&self, cols: usize) -> usize {
        cols.max(self.run).next_power_of_two()
    }

    /// Bytes of a row that is sorted: its indices, the pairs before and after a merge, and the scratch of a merge of fewer than
    /// four runs.
    fn sort(&self, cols: usize) -> usize {
        let pair = 2 * DType::F32.bytes();
        let fours = (cols / self.run).ilog2().is_multiple_of(2);
        cols * (DType::U32.bytes() + pair * if fours { 2 } else { 3 })
    }

    /// The longest row that is sorted beside so many others.
    pub fn sorts(&self, beside: usize) -> usize {
        // And beside rows of a few elements.
        let few = 2 * self.run * DType::F32.bytes();
        let fits = |cols: usize| self.sort(cols) + ROW * beside * cols + few <= self.bytes;
        let mut most = self.run;
        while fits(2 * most) {
            most *= 2;
        }
        most
    }

    /// Columns of a row that is there while another one is sorted, and a few such rows are.
    pub fn beside_sort(&self) -> usize {
        let free = self.bytes.saturating_sub(self.sort(self.parts(0)));
        free / (4 * ROW)
    }

    /// The longest parts that are sorted beside so many others: those whose elements are looked up then.
    pub fn parts(&self, beside: usize) -> usize {
        self.sorts(beside.max(1))
    }

    /// How many of the largest can be found of a row, however long it is.
    pub fn finds(&self) -> usize {
        self.parts(0) / 2
    }

    /// Columns from which on a row that is padded lies in memory: what is padded, the row, and two of what is computed of it are
    /// on chip otherwise.
    pub fn padded(&self) -> usize {
        self.of_columns(2 * ROW, 2)
    }

    pub fn of_columns(&self, bytes: usize, beside: usize) -> usize {
        (self.bytes / (bytes + ROW * beside)).max(self.run)
    }
}

/// Checks that rows are no longer than what sorts them takes.
pub(super) fn sorted(graph: &Graph, machine: &Machine) -> Result<(), ProblemError> {
    let held = Held::of(machine);
    for v in graph.values() {
        let node = graph.node(v.node);
        let Op::Prim(Prim::TopK { k }) = node.op else {
            continue;
        };
        let mut row = graph.operands(v.node)[0];
        if let Op::Prim(Prim::PadCols { .. }) = graph.node(row.node).op {
            row = graph.operands(row.node)[0];
        }
        let cols = graph.ty(row).matrix().1;
        if held.sorted(cols) > held.sorts(0) {
            let region = node.region.map(|r| graph.regions[r].name.clone());
            return Err(ProblemError::Sorted {
                region: region.unwrap_or_default(),
                value: graph.name(row).into(),
                cols,
                k,
                limit: held.sorts(0),
                finds: held.finds(),
            });
        }
    }
    Ok(())
}
