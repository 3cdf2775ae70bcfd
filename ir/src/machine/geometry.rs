//! What tiles, flags and instructions of a machine are made of, and the largest counts that they take.

use super::{Figure, Machine};
use crate::dtype::DType;
use serde::{Deserialize, Serialize};

/// What tiles, flags and instructions are made of. All figures are whole numbers of at least 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Geometry {
    /// Bytes that a row in UB is whole multiples of, and at which a vector operand starts.
    pub block: Figure,
    /// Bytes that the vector unit works on at once; a multiple of a block.
    pub repeat: Figure,
    /// Rows of a fractal. One of the accumulator is as wide.
    pub fractal_rows: Figure,
    /// Bytes of a row of a fractal.
    pub fractal_width: Figure,
    /// Elements that the vector unit sorts at once.
    pub sort_run: Figure,
    /// Vector cores of a cube core, which share the blocks of a mixed kernel.
    pub sub_blocks: Figure,
    /// Event ids of each ordered pair of pipes.
    pub event_ids: Figure,
    /// Flags between cores that a mixed kernel may use.
    pub cross_flags: Figure,
    /// The highest value of such a flag.
    pub cross_limit: Figure,
}

impl Geometry {
    /// Elements of a type in a block: at least one.
    pub fn block_elements(&self, dtype: DType) -> usize {
        (self.block.count() / dtype.bytes()).max(1)
    }

    /// Rows and columns of the least that is turned on the way into L0B: whole fractals that are a square.
    pub fn turned(&self, dtype: DType) -> usize {
        self.fractal_elements(dtype).max(self.fractal_rows.count())
    }

    /// Elements of a type in a row of a fractal: at least one.
    pub fn fractal_elements(&self, dtype: DType) -> usize {
        (self.fractal_width.count() / dtype.bytes()).max(1)
    }

    /// Blocks of a repeat.
    pub fn repeat_blocks(&self) -> usize {
        (self.repeat.count() / self.block.count()).max(1)
    }

    /// Elements of a type in a repeat: at least one.
    pub fn repeat_elements(&self, dtype: DType) -> usize {
        (self.repeat.count() / dtype.bytes()).max(1)
    }
}

/// The largest counts that instructions and launches take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Repeats of one vector instruction, and blocks from one to the next.
    pub repeats: Figure,
    /// Rows of a transfer from or to UB.
    pub ub_rows: Figure,
    /// Rows of a transfer into L1.
    pub l1_rows: Figure,
    /// Columns of a tensor of which a transfer into L1 takes a part.
    pub l1_stride: Figure,
    /// Rows of a transfer from L0C.
    pub l0c_rows: Figure,
    /// Columns of a transfer from L0C.
    pub l0c_cols: Figure,
    /// Each extent of a product.
    pub product: Figure,
    /// Blocks of a launch.
    pub blocks: Figure,
    /// Bytes of all arrays of the scalar unit.
    pub scalar_arrays: Figure,
}

/// A figure by which kernels for one machine are none for another one's instruction set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlike {
    /// Its path in the description.
    pub figure: &'static str,
    pub unit: String,
    pub here: usize,
    pub there: usize,
}

/// A figure of two machines, by its path.
type Pair<'a> = (&'static str, &'a Figure, &'a Figure);

fn first<'a>(
    pairs: impl IntoIterator<Item = Pair<'a>>,
    differ: fn(usize, usize) -> bool,
) -> Option<Unlike> {
    let mut found = pairs
        .into_iter()
        .filter(|(_, a, b)| differ(a.count(), b.count()));
    found.next().map(|(figure, a, b)| Unlike {
        figure,
        unit: a.unit.clone(),
        here: a.count(),
        there: b.count(),
    })
}

impl Machine {
    /// What tiles are made of here, and not on another machine.
    pub fn unlike(&self, other: &Machine) -> Option<Unlike> {
        let (a, b) = (&self.geometry, &other.geometry);
        let pairs = [
            ("geometry.block", &a.block, &b.block),
            ("geometry.repeat", &a.repeat, &b.repeat),
            ("geometry.fractal_rows", &a.fractal_rows, &b.fractal_rows),
            ("geometry.fractal_width", &a.fractal_width, &b.fractal_width),
            ("geometry.sort_run", &a.sort_run, &b.sort_run),
            ("geometry.sub_blocks", &a.sub_blocks, &b.sub_blocks),
        ];
        first(pairs, |here, there| here != there)
    }

    /// What there is more of here than on another machine.
    pub fn exceeds(&self, other: &Machine) -> Option<Unlike> {
        let (a, b) = (&self.geometry, &other.geometry);
        let (l, m) = (&self.limits, &other.limits);
        let pairs = [
            ("geometry.event_ids", &a.event_ids, &b.event_ids),
            ("geometry.cross_flags", &a.cross_flags, &b.cross_flags),
            ("geometry.cross_limit", &a.cross_limit, &b.cross_limit),
            ("limits.repeats", &l.repeats, &m.repeats),
            ("limits.ub_rows", &l.ub_rows, &m.ub_rows),
            ("limits.l1_rows", &l.l1_rows, &m.l1_rows),
            ("limits.l1_stride", &l.l1_stride, &m.l1_stride),
            ("limits.l0c_rows", &l.l0c_rows, &m.l0c_rows),
            ("limits.l0c_cols", &l.l0c_cols, &m.l0c_cols),
            ("limits.product", &l.product, &m.product),
            ("limits.blocks", &l.blocks, &m.blocks),
            ("limits.scalar_arrays", &l.scalar_arrays, &m.scalar_arrays),
        ];
        first(pairs, |here, there| here > there)
    }
}
