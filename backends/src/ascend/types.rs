//! C++ types of tiles, and other ways to see the bytes of a tile.
//!
//! A tile of the program has one layout and one type; some instructions want another. Arithmetic takes row-major tiles
//! only, so a column `[R, 1]` is computed on as the row `[1, R]` that its bytes also are; the index half of (value,
//! index) pairs is read as u32; a rectangle that is smaller than its tile is loaded into a tile with a smaller valid
//! part. Each way is a [`TileType`], and a second object at the same address.

use crate::source::index::{Axis, Constants};
use tilewright_ir::DType;
use tilewright_ir::kernel::{Expr, Layout, Tile};

/// The name of an element type.
pub(crate) fn element(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "float",
        DType::Bf16 => "bfloat16_t",
        DType::F16 => "half",
        DType::I8 => "int8_t",
        DType::I32 => "int32_t",
        DType::U32 => "uint32_t",
        DType::I64 => "int64_t",
    }
}

/// A valid extent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Count {
    Fixed(usize),
    /// As many as the expression says, from 0 to the limit.
    RunTime(Expr, usize),
}

/// A tile as one instruction sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TileType {
    pub layout: Layout,
    pub dtype: DType,
    pub rows: usize,
    pub cols: usize,
    pub valid_rows: Count,
    pub valid_cols: Count,
    /// Its columns are rows of a matrix in global memory: only matters for the names of its extents.
    pub turned: bool,
}

impl TileType {
    /// The tile as it is declared.
    pub fn of(tile: &Tile) -> Self {
        TileType {
            layout: tile.layout,
            dtype: tile.dtype,
            rows: tile.rows,
            cols: tile.cols,
            valid_rows: Count::Fixed(tile.valid_rows),
            valid_cols: Count::Fixed(tile.valid_cols),
            turned: matches!(tile.layout, Layout::Zn | Layout::Right),
        }
    }

    /// A column as a row; other tiles as they are.
    pub fn into_row(self) -> Self {
        match self.layout {
            Layout::ColMajor => TileType {
                layout: Layout::RowMajor,
                rows: self.cols,
                cols: self.rows,
                valid_rows: self.valid_cols,
                valid_cols: self.valid_rows,
                turned: true,
                ..self
            },
            _ => self,
        }
    }

    /// One row of `cols` elements of a type, all valid, at the tile's address.
    pub fn row_of(dtype: DType, cols: usize) -> Self {
        TileType {
            layout: Layout::RowMajor,
            dtype,
            rows: 1,
            cols,
            valid_rows: Count::Fixed(1),
            valid_cols: Count::Fixed(cols),
            turned: false,
        }
    }

    /// The alias template, and its definition where PTO-ISA has none.
    pub fn template(&self) -> (&'static str, Option<&'static str>) {
        match self.layout {
            Layout::RowMajor => (
                "VecTile",
                Some(
                    "// A tile of the unified buffer.\n\
                     template <typename T, int R, int C, int VR = R, int VC = C>\n\
                     using VecTile = Tile<TileType::Vec, T, R, C, BLayout::RowMajor, VR, VC>;",
                ),
            ),
            Layout::ColMajor => (
                "VecColumn",
                Some(
                    "// One value a row.\n\
                     template <typename T, int R, int VR = R>\n\
                     using VecColumn = Tile<TileType::Vec, T, R, 1, BLayout::ColMajor, VR, 1>;",
                ),
            ),
            Layout::Nz => (
                "L1Left",
                Some(
                    "// The left operand of a product in L1 (NZ).\n\
                     template <typename T, int R, int C, int VR = R, int VC = C>\n\
                     using L1Left = Tile<TileType::Mat, T, R, C, BLayout::ColMajor, VR, VC, SLayout::RowMajor>;",
                ),
            ),
            Layout::Zn => (
                "L1Right",
                Some(
                    "// The right operand of a product in L1 (ZN).\n\
                     template <typename T, int R, int C, int VR = R, int VC = C>\n\
                     using L1Right = Tile<TileType::Mat, T, R, C, BLayout::RowMajor, VR, VC, SLayout::ColMajor>;",
                ),
            ),
            Layout::Zz => ("TileLeft", None),
            Layout::Right => ("TileRight", None),
            Layout::Acc => ("TileAcc", None),
        }
    }

    /// The type as text.
    pub fn text(&self, constants: &mut Constants) -> String {
        let (template, _) = self.template();
        let [of_rows, of_cols] = match (self.turned, self.layout) {
            (true, Layout::RowMajor) => [Axis::Cols, Axis::Rows],
            (true, _) => [Axis::Cols, Axis::Product],
            (false, Layout::Acc) => [Axis::Rows, Axis::Product],
            (false, _) => [Axis::Rows, Axis::Cols],
        };
        let mut extent = |axis: Axis, n: &Count| match n {
            Count::Fixed(n) => constants.of(axis, *n as i64),
            Count::RunTime(..) => "-1".into(),
        };
        let r = extent(of_rows, &Count::Fixed(self.rows));
        let vr = extent(of_rows, &self.valid_rows);
        let c = extent(of_cols, &Count::Fixed(self.cols));
        let vc = extent(of_cols, &self.valid_cols);
        let t = element(self.dtype);
        if self.layout == Layout::ColMajor {
            return match vr == r {
                true => format!("{template}<{t}, {r}>"),
                false => format!("{template}<{t}, {r}, {vr}>"),
            };
        }
        match (vr == r, vc == c) {
            (true, true) => format!("{template}<{t}, {r}, {c}>"),
            (false, true) => format!("{template}<{t}, {r}, {c}, {vr}>"),
            _ => format!("{template}<{t}, {r}, {c}, {vr}, {vc}>"),
        }
    }

    /// The run-time extent, if there is one.
    pub fn run_time(&self) -> Option<(&Expr, usize)> {
        [&self.valid_rows, &self.valid_cols]
            .into_iter()
            .find_map(|c| match c {
                Count::RunTime(e, limit) => Some((e, *limit)),
                Count::Fixed(_) => None,
            })
    }

    /// What this view of a tile is, in words.
    pub fn words(&self, tile: &Tile) -> Vec<String> {
        let mut words = vec![];
        if self.dtype != tile.dtype {
            words.push(format!("bits as {}", element(self.dtype)));
        }
        match (self.layout, tile.layout) {
            (Layout::RowMajor, Layout::ColMajor) => words.push("a column as a row".into()),
            (Layout::ColMajor, Layout::RowMajor) => words.push("a row as a column".into()),
            _ => {}
        }
        if self.run_time().is_some() {
            words.push("as many rows as there are".into());
        }
        words
    }

    /// What to call this view of a tile, after the tile's name; nothing for the tile as it is declared.
    pub fn suffix(&self, tile: &Tile) -> String {
        let plain = TileType::of(tile);
        if *self == plain {
            return String::new();
        }
        let mut parts = vec![];
        if self.dtype != tile.dtype {
            parts.push(self.dtype.name().to_owned());
        }
        match (self.layout, tile.layout) {
            (Layout::RowMajor, Layout::ColMajor) => parts.push("row".into()),
            (Layout::ColMajor, Layout::RowMajor) => parts.push("column".into()),
            _ => {}
        }
        if self.run_time().is_some() {
            parts.push("valid".into());
        } else if parts.is_empty() {
            parts.push("part".into());
        }
        parts.join("_")
    }
}
