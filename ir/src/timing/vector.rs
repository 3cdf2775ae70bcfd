//! Cycles of vector instructions.
//!
//! The vector unit works in repeats of 256 bytes. How many a tile takes depends on the form that the ISA's implementation
//! chooses for its extents (`include/pto/npu/a2a3/{TUnaryOp,TBinOp,TRowExpandBinOp,TColExpandBinOp}.hpp`): a tile without padding
//! is one run of elements, anything else goes row by row; rows that are no multiple of 256 bytes pay for the
//! vector mask.

use crate::dtype::DType;
use crate::graph::{Binary, Reduce, Unary};
use crate::kernel::{Kernel, Layout, Tile, TileRef, VectorOp};
use crate::machine::{Machine, RowReduceCost, VectorCost, VectorCosts};

/// Bytes of a repeat.
const REPEAT: usize = 256;

/// The elements that an instruction works on, `width` bytes each at the widest operand.
#[derive(Clone, Copy)]
struct Extent {
    rows: usize,
    cols: usize,
    width: usize,
    /// No operand has padding, so that the rows are one run of elements.
    contiguous: bool,
}

impl Extent {
    fn of(tile: &Tile, width: usize) -> Self {
        // A column of per-row values lies as a row.
        let (rows, cols, contiguous) = match tile.layout {
            Layout::ColMajor => (
                tile.valid_cols,
                tile.valid_rows,
                tile.valid_cols <= 1 || tile.valid_rows == tile.rows,
            ),
            _ => (
                tile.valid_rows,
                tile.valid_cols,
                tile.valid_rows <= 1 || tile.valid_cols == tile.cols,
            ),
        };
        Extent {
            rows,
            cols,
            width,
            contiguous,
        }
    }

    fn row_bytes(self) -> usize {
        self.cols * self.width
    }

    /// Whether rows end within a repeat.
    fn ragged(self) -> bool {
        !self.row_bytes().is_multiple_of(REPEAT)
    }

    /// Repeats of the elements as one run.
    fn run(self) -> usize {
        (self.rows * self.row_bytes()).div_ceil(REPEAT)
    }

    /// Repeats row by row.
    fn by_row(self) -> usize {
        self.rows * self.row_bytes().div_ceil(REPEAT)
    }
}

/// Cycles of `op`, or nothing if an operand is no tile of the kernel.
pub(super) fn cycles(
    machine: &Machine,
    kernel: &Kernel,
    op: &VectorOp,
    dst: &TileRef,
    srcs: &[TileRef],
) -> Option<f64> {
    let v = &machine.vector;
    let dst = kernel.tiles.get(dst.tile)?;
    let src = |i: usize| kernel.tiles.get(srcs.get(i)?.tile);
    let width = srcs
        .iter()
        .filter_map(|s| kernel.tiles.get(s.tile))
        .map(|t| t.dtype.bytes())
        .fold(dst.dtype.bytes(), usize::max);
    let mut extent = Extent::of(dst, width);
    if let Some(first) = src(0) {
        extent.contiguous &= Extent::of(first, width).contiguous;
    }
    Some(match op {
        VectorOp::Cvt(_) if (src(0)?.dtype, dst.dtype) == (DType::I32, DType::F16) => {
            // It waits for its scale register row by row.
            let row = v.vconv.cycles(extent.row_bytes().div_ceil(REPEAT) as f64);
            extent.rows as f64 * row
        }
        VectorOp::Cvt(_) => one_source(v, &v.vconv, extent),
        VectorOp::Unary(u) => one_source(v, unary(v, *u), extent),
        VectorOp::Scalar(b, _) => one_source(v, scalar(v, *b), extent),
        VectorOp::Binary(b) => {
            extent.contiguous &= Extent::of(src(1)?, width).contiguous;
            two_sources(v, binary(v, *b), extent)
        }
        VectorOp::RowExpand(b) => {
            // One block a row is written first. Rows longer than the tile is high then go row by row, each with a mask.
            let blocks = v.vbrcb.cycles(extent.rows.div_ceil(8) as f64);
            let masks = if extent.row_bytes() / REPEAT > extent.rows {
                extent.rows
            } else {
                extent.ragged() as usize
            };
            blocks
                + binary(v, *b).cycles(extent.by_row() as f64)
                + v.count_mode.value * masks as f64
        }
        VectorOp::ColExpand(b) => {
            let padded = dst.valid_cols != dst.cols && dst.rows != 1;
            let masks = if padded {
                extent.rows
            } else {
                extent.ragged() as usize
            };
            binary(v, *b).cycles(extent.by_row() as f64) + v.count_mode.value * masks as f64
        }
        VectorOp::Halves(b) => {
            // Left and right halves of several rows go row by row.
            extent.contiguous &= extent.rows <= 1 || src(0)?.valid_rows != dst.valid_rows;
            two_sources(v, binary(v, *b), extent)
        }
        VectorOp::RowReduce(r) => row_reduce(v, *r, src(0)?, dst),
        VectorOp::Fill(_) => v.vector_dup.cycles(extent.run() as f64),
        VectorOp::Copy => one_source(v, &v.vcopy, extent),
        VectorOp::Iota => v.scalar_store.cycles((extent.rows * extent.cols) as f64),
        VectorOp::Sort32 => {
            let src = src(0)?;
            v.vbitsort
                .cycles((src.valid_rows * src.valid_cols.div_ceil(32)) as f64)
        }
        VectorOp::MergeSort { .. } => {
            // Pairs of 8 bytes.
            let bytes = extent.rows * extent.cols * dst.dtype.bytes();
            v.vmrgsort4.cycles(bytes.div_ceil(8 * 128) as f64)
        }
        VectorOp::PairIndices => {
            // Twice the columns are read.
            let pairs = dst.valid_rows * (2 * dst.valid_cols * dst.dtype.bytes()).div_ceil(REPEAT);
            v.vreducev2.cycles(pairs as f64)
        }
        VectorOp::Gather => {
            // The indices become byte offsets, by which each row is then gathered.
            let repeats = (dst.valid_rows * dst.valid_cols.div_ceil(64)) as f64;
            v.vmuls.cycles(repeats) + v.vgather.cycles(repeats)
        }
    })
}

/// One run of elements where nothing is padded; a mask where a row is longer than a repeat and ends within one.
fn one_source(v: &VectorCosts, cost: &VectorCost, e: Extent) -> f64 {
    let masked = if e.contiguous {
        e.ragged() && e.rows > 1 && e.row_bytes() > REPEAT
    } else {
        e.ragged()
    };
    let repeats = if e.contiguous { e.run() } else { e.by_row() };
    with_mask(v, cost, repeats, masked)
}

/// As [`one_source`], but rows shorter than a repeat go one a repeat, with a mask.
fn two_sources(v: &VectorCosts, cost: &VectorCost, e: Extent) -> f64 {
    let one_run = e.contiguous && (e.row_bytes() >= REPEAT || e.rows == 1);
    let repeats = if one_run { e.run() } else { e.by_row() };
    with_mask(v, cost, repeats, e.ragged())
}

fn with_mask(v: &VectorCosts, cost: &VectorCost, repeats: usize, masked: bool) -> f64 {
    let mask = if masked { v.count_mode.value } else { 0.0 };
    cost.cycles(repeats as f64) + mask
}

/// Columns of a row, `width` bytes each, after so many halvings that its halves are whole repeats all the way; as few as can be.
pub fn halved(cols: usize, width: usize) -> usize {
    let mut cols = cols;
    while cols.is_multiple_of(2) && cols / 2 > 0 && (cols / 2 * width).is_multiple_of(REPEAT) {
        cols /= 2;
    }
    cols
}

/// Cycles of a reduction of whole rows of `width` bytes an element.
pub fn reduction(machine: &Machine, reduce: Reduce, width: usize, rows: usize, cols: usize) -> f64 {
    curve(&machine.vector, reduce, width >= 4).cycles(rows as f64, cols as f64)
}

/// Cycles of halving rows `times` times.
pub fn halving(
    machine: &Machine,
    op: Binary,
    width: usize,
    (rows, cols): (usize, usize),
    times: u32,
) -> f64 {
    let halves = (1..=times).map(|t| (cols >> t) * width);
    halves
        .map(|bytes| binary(&machine.vector, op).cycles((rows * bytes.div_ceil(REPEAT)) as f64))
        .sum()
}

fn row_reduce(v: &VectorCosts, reduce: Reduce, src: &Tile, dst: &Tile) -> f64 {
    let curve = curve(v, reduce, src.dtype.bytes() >= 4);
    let (rows, cols) = (src.valid_rows as f64, src.valid_cols as f64);
    let own = src.dtype == DType::F32
        && dst.layout == Layout::ColMajor
        && (src.rows, src.cols) == (src.valid_rows, src.valid_cols);
    own.then(|| curve.path(rows, cols))
        .flatten()
        .unwrap_or_else(|| curve.cycles(rows, cols))
}

fn curve(v: &VectorCosts, reduce: Reduce, wide: bool) -> &RowReduceCost {
    match (reduce, wide) {
        (Reduce::Sum, true) => &v.row_sum_f32,
        (Reduce::Sum, false) => &v.row_sum_f16,
        (Reduce::Max | Reduce::Min, true) => &v.row_max_f32,
        (Reduce::Max | Reduce::Min, false) => &v.row_max_f16,
    }
}

fn unary(v: &VectorCosts, op: Unary) -> &VectorCost {
    match op {
        Unary::Abs => &v.vabs,
        Unary::Exp => &v.vexp,
        Unary::Log => &v.vln,
        Unary::Sqrt => &v.vsqrt,
        // A product with -1.
        Unary::Neg => &v.vmuls,
    }
}

fn scalar(v: &VectorCosts, op: Binary) -> &VectorCost {
    match op {
        // A difference adds the negated constant.
        Binary::Add | Binary::Sub => &v.vadds,
        Binary::Mul => &v.vmuls,
        Binary::Div => &v.divs,
        Binary::Max => &v.vmaxs,
        Binary::Min => &v.vmins,
    }
}

fn binary(v: &VectorCosts, op: Binary) -> &VectorCost {
    match op {
        Binary::Add => &v.vadd,
        Binary::Sub => &v.vsub,
        Binary::Mul => &v.vmul,
        Binary::Div => &v.vdiv,
        Binary::Max => &v.vmax,
        Binary::Min => &v.vmin,
    }
}
