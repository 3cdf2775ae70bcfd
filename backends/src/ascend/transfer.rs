//! Rectangles of global memory: loads, stores, scalar reads, and their addresses.

use super::error::Fault;
use super::types::{Count, TileType, element};
use super::writer::Writer;
use crate::source::index::Axis;
use tilewright_ir::kernel::{Expr, GlobalRef, Layout, RegId, Role, Tile, TileRef};

const GM_TILE: &str = "\
// A rectangle of a row-major matrix in global memory whose rows are LD elements apart.
template <typename T, int R, int C, int LD>
using GmTile = GlobalTensor<T, pto::Shape<1, 1, 1, R, C>, pto::Stride<LD, LD, LD, LD, 1>, Layout::ND>;";

const GM_COLUMN: &str = "\
// R elements of a column of N in global memory.
template <typename T, int R, int N>
using GmColumn = GlobalTensor<T, pto::Shape<1, 1, 1, R, 1>, pto::Stride<N, N, N, 1, N>, Layout::DN>;";

const GM_TRANSPOSED: &str = "\
// A rectangle of a row-major matrix in global memory, transposed: R of its columns, C of its rows.
template <typename T, int R, int C, int LD>
using GmTransposed = GlobalTensor<T, pto::Shape<1, 1, 1, R, C>, pto::Stride<LD, LD, LD, 1, LD>, Layout::DN>;";

/// What a transfer sees of its two sides.
struct Sides {
    /// The tile as it takes part.
    tile: TileType,
    /// The type of the rectangle.
    rectangle: String,
    /// The type of its extents, if one of them is known at run time only.
    shape: String,
}

impl Writer<'_> {
    /// A load into or a store of a tile.
    pub(super) fn transfer(&mut self, r: &TileRef, g: &GlobalRef, load: bool) -> Result<(), Fault> {
        let tile = self.tile(r)?;
        let rows = r.rows.as_ref();
        let matrix = self.program.tensors.get(&g.tensor).map(|t| g.matrix(t));
        let matrix = matrix.ok_or_else(|| Fault::Missing {
            what: format!("tensor `{}`", g.tensor),
        })?;
        let sides = match tile.layout {
            Layout::Zn => self.transposed(tile, rows, g, matrix.1)?,
            Layout::ColMajor if g.rows != 1 => self.column(tile, rows, g, matrix.0),
            _ => self.rows(tile, rows, g, matrix.1),
        };
        let Sides {
            tile: ty,
            rectangle,
            shape,
        } = sides;
        let extent = ty.run_time().map(|(e, limit)| (e.clone(), limit));
        let object = self.view(r, ty);
        let address = self.address(g, Axis::of_tile(tile))?;
        let gm = self.tensor(&g.tensor)?;
        let gm = self.fresh(&format!("{gm}_gm"));
        let guard = rows.filter(|e| !self.is_positive(e));
        let argument = match extent {
            None => address,
            Some((e, limit)) => format!("{address}, {shape}({})", self.count(&e, limit)),
        };
        if let Some(e) = guard {
            let n = self.sum(e, Axis::Rows).positive();
            self.open(&format!("if ({n}) {{"), Some(e.clone()));
        }
        self.line(&format!("{rectangle} {gm}({argument});"));
        self.line(&match load {
            true => format!("TLOAD({object}, {gm});"),
            false => format!("TSTORE({gm}, {object});"),
        });
        if guard.is_some() {
            self.close();
        }
        Ok(())
    }

    /// The right operand of a product in L1: the rectangle's columns are its rows.
    fn transposed(
        &mut self,
        tile: &Tile,
        rows: Option<&Expr>,
        g: &GlobalRef,
        tensor_cols: usize,
    ) -> Result<Sides, Fault> {
        if rows.is_some() {
            return Err(Fault::StaticRows {
                tile: tile.name.clone(),
            });
        }
        let k = self.names.constants.of(Axis::Cols, g.cols as i64);
        let n = self.names.constants.of(Axis::Product, g.rows as i64);
        let ld = self.row_length(g, tensor_cols);
        let template = self.template("GmTransposed", GM_TRANSPOSED);
        Ok(Sides {
            tile: TileType {
                valid_rows: Count::Fixed(g.cols),
                valid_cols: Count::Fixed(g.rows),
                ..TileType::of(tile)
            },
            rectangle: format!("{template}<{}, {k}, {n}, {ld}>", element(tile.dtype)),
            shape: String::new(),
        })
    }

    /// A column of values, from or to a tensor of one column.
    fn column(
        &mut self,
        tile: &Tile,
        rows: Option<&Expr>,
        g: &GlobalRef,
        tensor_rows: usize,
    ) -> Sides {
        let t = element(tile.dtype);
        let template = self.template("GmColumn", GM_COLUMN);
        let (extent, shape) = match rows {
            None => {
                let axis = Axis::of_tile(tile)[0];
                (self.names.constants.of(axis, g.rows as i64), String::new())
            }
            Some(_) => ("-1".into(), "pto::Shape<1, 1, 1, -1, 1>".into()),
        };
        Sides {
            tile: TileType {
                valid_rows: count(tile, rows, g.rows),
                ..TileType::of(tile)
            },
            rectangle: format!("{template}<{t}, {extent}, {tensor_rows}>"),
            shape,
        }
    }

    /// Rows of a rectangle as rows of a tile, or one row as a column.
    fn rows(
        &mut self,
        tile: &Tile,
        rows: Option<&Expr>,
        g: &GlobalRef,
        tensor_cols: usize,
    ) -> Sides {
        let t = element(tile.dtype);
        let axes = Axis::of_tile(tile);
        let column = tile.layout == Layout::ColMajor;
        let ld = self.row_length(g, tensor_cols);
        let ld = match g.step {
            1 => ld,
            step => format!("{step} * {ld}"),
        };
        let template = self.template("GmTile", GM_TILE);
        let own = TileType::of(tile);
        let ty = match column {
            // One row of global memory is the whole column.
            true => TileType {
                valid_rows: count(tile, rows, g.cols),
                ..own
            }
            .into_row(),
            false => TileType {
                valid_rows: count(tile, rows, g.rows),
                valid_cols: Count::Fixed(g.cols),
                ..own
            },
        };
        let c = self.names.constants.of(axes[1], g.cols as i64);
        let n = self.names.constants.of(axes[0], g.rows as i64);
        let (extents, shape) = match rows {
            None => (format!("{n}, {c}"), String::new()),
            Some(_) if column => ("1, -1".into(), "pto::Shape<1, 1, 1, 1, -1>".into()),
            Some(_) => (format!("-1, {c}"), format!("pto::Shape<1, 1, 1, -1, {c}>")),
        };
        Sides {
            tile: ty,
            rectangle: format!("{template}<{t}, {extents}, {ld}>"),
            shape,
        }
    }

    /// Elements from one row to the next. The constant of a tensor is its own rows' length, so a view's is a number.
    fn row_length(&mut self, g: &GlobalRef, cols: usize) -> String {
        match g.view {
            Some(_) => cols.to_string(),
            None => self.extent(&g.tensor, cols),
        }
    }

    /// A pointer to the first element of a rectangle.
    pub(super) fn address(&mut self, g: &GlobalRef, axes: [Axis; 2]) -> Result<String, Fault> {
        let base = self.base(g)?;
        let offset = self.offset(g, axes);
        Ok(match offset.as_str() {
            "0" => base,
            _ => format!("{base} + {offset}"),
        })
    }

    /// Elements before the first of a rectangle.
    fn offset(&mut self, g: &GlobalRef, axes: [Axis; 2]) -> String {
        let (_, cols) = self
            .program
            .tensors
            .get(&g.tensor)
            .map_or((1, 1), |t| g.matrix(t));
        let elements = self
            .program
            .tensors
            .get(&g.tensor)
            .map_or(0, |t| t.shape.iter().product::<usize>());
        let row = self.sum(&g.row, axes[0]);
        let col = self.sum(&g.col, axes[1]);
        let mut parts = vec![];
        if !row.is_zero() {
            parts.push(match cols {
                1 => row.text(),
                _ => {
                    let ld = self.row_length(g, cols);
                    let row = match row.is_product() {
                        true => row.text(),
                        false => format!("({})", row.text()),
                    };
                    // Products are int, and elements may be more.
                    match i32::try_from(elements) {
                        Ok(_) => format!("{row} * {ld}"),
                        Err(_) => format!("(int64_t){ld} * {row}"),
                    }
                }
            });
        }
        if !col.is_zero() {
            parts.push(col.text());
        }
        match parts.is_empty() {
            true => "0".into(),
            false => parts.join(" + "),
        }
    }

    pub(super) fn read_scalar(&mut self, dst: RegId, src: &GlobalRef) -> Result<(), Fault> {
        let tensor = self
            .program
            .tensors
            .get(&src.tensor)
            .ok_or_else(|| Fault::Missing {
                what: format!("tensor `{}`", src.tensor),
            })?;
        if tensor.role != Role::Input {
            // The scalar unit's cache does not see what other cores have written.
            let address = self.address(src, [Axis::Rows, Axis::Cols])?;
            self.line(&format!(
                "dcci((__gm__ void *)({address}), SINGLE_CACHE_LINE);"
            ));
        }
        let base = self.tensor(&src.tensor)?;
        let offset = self.offset(src, [Axis::Rows, Axis::Cols]);
        self.fill(dst, element(tensor.dtype), &format!("{base}[{offset}]"));
        Ok(())
    }
}

/// Rows that take part: those of the rectangle, or as many as there are at run time.
fn count(tile: &Tile, rows: Option<&Expr>, n: usize) -> Count {
    match rows {
        None => Count::Fixed(n),
        Some(e) => Count::RunTime(e.clone(), n.min(tile.valid_rows)),
    }
}
