//! Rectangles of global memory: loads, stores, scalar reads, and their addresses.

use super::error::Fault;
use super::types::{Count, TileType, element};
use super::writer::Writer;
use crate::source::index::Axis;
use tilewright_ir::kernel::{GlobalRef, Layout, RegId, Role, TileRef};

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

impl Writer<'_> {
    /// A load into or a store of a tile.
    pub(super) fn transfer(&mut self, r: &TileRef, g: &GlobalRef, load: bool) -> Result<(), Fault> {
        let tile = self.tile(r)?;
        let rows = r.rows.as_ref();
        let (tensor_rows, tensor_cols) = self
            .program
            .tensors
            .get(&g.tensor)
            .map(|t| t.matrix())
            .ok_or_else(|| Fault::Missing {
                what: format!("tensor `{}`", g.tensor),
            })?;
        let mut ty = TileType::of(tile);
        let axes = Axis::of_tile(tile);
        let count = |n: usize| match rows {
            None => Count::Fixed(n),
            Some(e) => Count::RunTime(e.clone(), n.min(tile.valid_rows)),
        };
        // Extents in global memory as printed, and the one that is only known at run time.
        let t = element(tile.dtype);
        let (gm_type, shape) = match tile.layout {
            Layout::Zn => {
                if rows.is_some() {
                    return Err(Fault::StaticRows {
                        tile: tile.name.clone(),
                    });
                }
                ty.valid_rows = Count::Fixed(g.cols);
                ty.valid_cols = Count::Fixed(g.rows);
                let k = self.names.constants.of(Axis::Cols, g.cols as i64);
                let n = self.names.constants.of(Axis::Product, g.rows as i64);
                let ld = self.extent(&g.tensor, tensor_cols);
                let template = self.template("GmTransposed", GM_TRANSPOSED);
                (format!("{template}<{t}, {k}, {n}, {ld}>"), String::new())
            }
            Layout::ColMajor if g.rows != 1 => {
                ty.valid_rows = count(g.rows);
                let template = self.template("GmColumn", GM_COLUMN);
                match rows {
                    None => {
                        let n = self.names.constants.of(axes[0], g.rows as i64);
                        (
                            format!("{template}<{t}, {n}, {tensor_rows}>"),
                            String::new(),
                        )
                    }
                    Some(_) => (
                        format!("{template}<{t}, -1, {tensor_rows}>"),
                        "pto::Shape<1, 1, 1, -1, 1>".into(),
                    ),
                }
            }
            _ => {
                let column = tile.layout == Layout::ColMajor;
                let ld = self.extent(&g.tensor, tensor_cols);
                let ld = match g.step {
                    1 => ld,
                    step => format!("{step} * {ld}"),
                };
                let template = self.template("GmTile", GM_TILE);
                if column {
                    // One row of global memory is the whole column.
                    ty.valid_rows = count(g.cols);
                    ty = ty.into_row();
                } else {
                    ty.valid_rows = count(g.rows);
                    ty.valid_cols = Count::Fixed(g.cols);
                }
                let c = self.names.constants.of(axes[1], g.cols as i64);
                let n = self.names.constants.of(axes[0], g.rows as i64);
                match rows {
                    None => (format!("{template}<{t}, {n}, {c}, {ld}>"), String::new()),
                    Some(_) if column => (
                        format!("{template}<{t}, 1, -1, {ld}>"),
                        "pto::Shape<1, 1, 1, 1, -1>".into(),
                    ),
                    Some(_) => (
                        format!("{template}<{t}, -1, {c}, {ld}>"),
                        format!("pto::Shape<1, 1, 1, -1, {c}>"),
                    ),
                }
            }
        };
        let extent = ty.run_time().map(|(e, limit)| (e.clone(), limit));
        let object = self.view(r, ty);
        let address = self.address(g, axes)?;
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
        self.line(&format!("{gm_type} {gm}({argument});"));
        self.line(&match load {
            true => format!("TLOAD({object}, {gm});"),
            false => format!("TSTORE({gm}, {object});"),
        });
        if guard.is_some() {
            self.close();
        }
        Ok(())
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
            .map_or((1, 1), |t| t.matrix());
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
                    let ld = self.extent(&g.tensor, cols);
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
