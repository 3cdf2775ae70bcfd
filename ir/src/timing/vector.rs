//! Cycles of vector instructions.
//!
//! The vector unit works in repeats of so many bytes ([`crate::machine::Geometry::repeat`]). How many a tile takes depends on the
//! form that the ISA's implementation chooses for its extents
//! (`include/pto/npu/a2a3/{TUnaryOp,TBinOp,TRowExpandBinOp,TColExpandBinOp}.hpp`): a tile without padding
//! is one run of elements, anything else goes row by row; rows that are no multiple of a repeat pay for the
//! vector mask. Which figure and which form an instruction has is in its row of the table of instructions.

use crate::dtype::DType;
use crate::kernel::{Layout, Repeats, Tile, VectorOp};
use crate::machine::{Machine, RowReduceCost, VectorCost};
use crate::op::Binary;

/// The elements that an instruction works on, `width` bytes each at the widest operand.
#[derive(Clone, Copy)]
struct Extent {
    rows: usize,
    cols: usize,
    width: usize,
    /// No operand has padding, so that the rows are one run of elements.
    contiguous: bool,
    /// Bytes of a repeat.
    repeat: usize,
}

impl Extent {
    fn of(tile: &Tile, width: usize, repeat: usize) -> Self {
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
            repeat,
        }
    }

    fn row_bytes(self) -> usize {
        self.cols * self.width
    }

    /// Whether rows end within a repeat.
    fn ragged(self) -> bool {
        !self.row_bytes().is_multiple_of(self.repeat)
    }

    /// Repeats of the elements as one run.
    fn run(self) -> usize {
        (self.rows * self.row_bytes()).div_ceil(self.repeat)
    }

    /// Repeats of one row.
    fn of_row(self) -> usize {
        self.row_bytes().div_ceil(self.repeat)
    }

    /// Repeats row by row.
    fn by_row(self) -> usize {
        self.rows * self.of_row()
    }
}

/// Cycles of `op` on these tiles, of a kernel or of none yet; nothing if a source is missing, or the machine has no such figure.
pub fn on_tiles<'t>(
    machine: &Machine,
    op: &VectorOp,
    dst: &Tile,
    src: impl Fn(usize) -> Option<&'t Tile>,
) -> Option<f64> {
    let row = op.row();
    let geometry = &machine.geometry;
    let repeat = geometry.repeat.count();
    let figure = |name: &str| machine.vector.instruction(name);
    let mask = machine.vector.count_mode.value;
    let width = (0..row.arity())
        .filter_map(&src)
        .map(|t| t.dtype.bytes())
        .fold(dst.dtype.bytes(), usize::max);
    let mut extent = Extent::of(dst, width, repeat);
    let contiguous = |t: &Tile| Extent::of(t, width, repeat).contiguous;
    if let Some(first) = src(0) {
        extent.contiguous &= contiguous(first);
    }
    let bytes = extent.cols * dst.dtype.bytes();
    let priced = |(repeats, masks): (usize, usize)| {
        Some(figure(row.time.figure)?.cycles(repeats as f64) + mask * masks as f64)
    };
    match row.time.repeats {
        Repeats::OneSource => priced(one_source(extent)),
        Repeats::TwoSources => {
            extent.contiguous &= contiguous(src(1)?);
            priced(two_sources(extent))
        }
        Repeats::Conversion if (src(0)?.dtype, dst.dtype) == (DType::I32, DType::F16) => {
            // It waits for its scale register row by row.
            Some(extent.rows as f64 * priced((extent.of_row(), 0))?)
        }
        Repeats::Conversion => priced(one_source(extent)),
        Repeats::Halves => {
            // Left and right halves of several rows go row by row.
            extent.contiguous &= extent.rows <= 1 || src(0)?.valid_rows != dst.valid_rows;
            priced(two_sources(extent))
        }
        Repeats::RowExpand { spread } => {
            // One block a row is written first. Rows longer than the tile is high then go row by row, each with a mask.
            let blocks = extent.rows.div_ceil(geometry.repeat_blocks());
            let masks = match extent.row_bytes() / repeat > extent.rows {
                true => extent.rows,
                false => usize::from(extent.ragged()),
            };
            Some(figure(spread)?.cycles(blocks as f64) + priced((extent.by_row(), masks))?)
        }
        Repeats::ColExpand => {
            let padded = dst.valid_cols != dst.cols && dst.rows != 1;
            let masks = match padded {
                true => extent.rows,
                false => usize::from(extent.ragged()),
            };
            priced((extent.by_row(), masks))
        }
        Repeats::Run => priced((extent.run(), 0)),
        Repeats::Curve { narrow } => {
            let src = src(0)?;
            let name = match src.dtype.bytes() >= 4 {
                true => row.time.figure,
                false => narrow,
            };
            Some(reduced(machine.vector.reduction(name)?, src, dst))
        }
        Repeats::Elements => priced((extent.rows * extent.cols, 0)),
        Repeats::Runs => {
            let src = src(0)?;
            let runs = src.valid_cols.div_ceil(geometry.sort_run.count());
            priced((src.valid_rows * runs, 0))
        }
        Repeats::MergedRuns => {
            let pairs = (extent.rows * bytes).div_ceil(PAIR);
            priced((pairs.div_ceil(4 * geometry.sort_run.count()), 0))
        }
        // Twice the columns are read.
        Repeats::Pairs => priced((dst.valid_rows * (2 * bytes).div_ceil(repeat), 0)),
        Repeats::Gather { offsets } => {
            let by = geometry.repeat_elements(src(1)?.dtype);
            let repeats = dst.valid_rows * dst.valid_cols.div_ceil(by);
            Some(figure(offsets)?.cycles(repeats as f64) + priced((repeats, 0))?)
        }
    }
}

/// Bytes of a value and its index.
const PAIR: usize = 8;

/// Repeats and masks: one run of elements where nothing is padded; a mask where a row is longer than a repeat and ends within
/// one.
fn one_source(e: Extent) -> (usize, usize) {
    let masked = match e.contiguous {
        true => e.ragged() && e.rows > 1 && e.row_bytes() > e.repeat,
        false => e.ragged(),
    };
    let repeats = if e.contiguous { e.run() } else { e.by_row() };
    (repeats, usize::from(masked))
}

/// As [`one_source`], but rows shorter than a repeat go one a repeat, with a mask.
fn two_sources(e: Extent) -> (usize, usize) {
    let one_run = e.contiguous && (e.row_bytes() >= e.repeat || e.rows == 1);
    let repeats = if one_run { e.run() } else { e.by_row() };
    (repeats, usize::from(e.ragged()))
}

/// Columns of a row, `width` bytes each, after so many halvings that its halves are whole repeats, of so many bytes, all the
/// way; as few as can be.
pub fn halved(repeat: usize, cols: usize, width: usize) -> usize {
    let mut cols = cols;
    while cols.is_multiple_of(2) && cols / 2 > 0 && (cols / 2 * width).is_multiple_of(repeat) {
        cols /= 2;
    }
    cols
}

/// Cycles of halving rows `times` times.
pub fn halving(
    machine: &Machine,
    op: Binary,
    width: usize,
    (rows, cols): (usize, usize),
    times: u32,
) -> f64 {
    let repeat = machine.geometry.repeat.count();
    let cost = machine.vector.instruction(op.row().instr.cost);
    let repeats = (1..=times).map(|t| rows * ((cols >> t) * width).div_ceil(repeat));
    let each = |cost: &VectorCost| repeats.map(|n| cost.cycles(n as f64)).sum();
    cost.map_or(0.0, each)
}

fn reduced(curve: &RowReduceCost, src: &Tile, dst: &Tile) -> f64 {
    let (rows, cols) = (src.valid_rows as f64, src.valid_cols as f64);
    let own = src.dtype == DType::F32
        && dst.layout == Layout::ColMajor
        && (src.rows, src.cols) == (src.valid_rows, src.valid_cols);
    own.then(|| curve.path(rows, cols))
        .flatten()
        .unwrap_or_else(|| curve.cycles(rows, cols))
}
