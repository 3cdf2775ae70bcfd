//! Rectangles of global memory: loads and stores.

use super::error::Fault;
use super::types::{dtype, literal, memory};
use super::value::{Rows, Value};
use super::writer::Writer;
use crate::source::index::Axis;
use tilewright_ir::kernel::{GlobalRef, Layout, Space, TileRef};

impl Writer<'_> {
    pub(super) fn load(&mut self, dst: &TileRef, src: &GlobalRef) -> Result<(), Fault> {
        if src.view.is_some() {
            return Err(Fault::View {
                tensor: src.tensor.clone(),
            });
        }
        if src.step != 1 {
            return self.load_apart(dst, src);
        }
        let tile = self.tile(dst)?;
        let gm = self.tensor(&src.tensor)?;
        let axes = Axis::of_tile(tile);
        let row = self.sum(&src.row, axes[0]).text();
        let col = self.sum(&src.col, axes[1]).text();
        let at = format!("[{row}, {col}]");
        let declared = Value::of(tile, dst.rows.as_ref());
        let counted = |n: usize| super::value::counted(dst.rows.as_ref(), n);
        let memory = match tile.space {
            Space::Ub => String::new(),
            space => format!(", target_memory={}", memory(space)),
        };
        match tile.layout {
            Layout::Zn => {
                // [N, K] in global memory, seen as [K, N].
                let shape = self.extents(axes, declared.cols, declared.rows);
                let valid = match (src.rows, src.cols) == (declared.cols, declared.rows) {
                    true => String::new(),
                    false => {
                        let valid = self.extents(axes, src.rows, src.cols);
                        format!(", valid_shape={valid}")
                    }
                };
                let load = format!("pl.load({gm}, {at}, {shape}{valid}{memory})");
                let value = Value {
                    valid_rows: Rows::Fixed(src.cols),
                    valid_cols: src.rows,
                    ..declared
                };
                self.assign(dst, format!("pl.tile.transpose_view({load})"), value)
            }
            Layout::ColMajor if src.rows == 1 && tile.valid_rows > 1 => {
                // A row of global memory is the column.
                let n = self.names.constants.of(axes[0], declared.rows as i64);
                let valid_rows = counted(src.cols);
                let valid = match &valid_rows {
                    Rows::Fixed(all) if *all == declared.rows => String::new(),
                    some => {
                        let r = self.rows(axes[0], some);
                        format!(", valid_shape=[1, {r}]")
                    }
                };
                let load = format!("pl.load({gm}, {at}, [1, {n}]{valid})");
                let value = Value {
                    valid_rows,
                    ..declared
                };
                self.assign(dst, format!("pl.reshape({load}, [{n}, 1])"), value)
            }
            _ => {
                let value = Value {
                    valid_rows: counted(src.rows.min(tile.valid_rows)),
                    valid_cols: src.cols,
                    ..declared.clone()
                };
                let is_less = value.valid_rows.limit() < tile.valid_rows
                    || value.valid_cols < tile.valid_cols;
                // Of a tile that holds something, the rest stays.
                if let (true, Some(old)) = (is_less, self.values.get(&dst.tile).cloned()) {
                    if dst.rows.is_some() {
                        return Err(Fault::SomeRows {
                            tile: tile.name.clone(),
                        });
                    }
                    let shape = self.extents(axes, src.rows, src.cols);
                    let name = self.name(dst);
                    let load = format!("pl.load({gm}, {at}, {shape}{memory})");
                    let text = format!("pl.assemble({name}, {load}, [0, 0])");
                    return self.assign(
                        dst,
                        text,
                        Value {
                            filled: None,
                            ..old
                        },
                    );
                }
                let shape = self.extents(axes, value.rows, value.cols);
                let valid = match value.is_whole() {
                    true => String::new(),
                    false => {
                        let r = self.rows(axes[0], &value.valid_rows);
                        let c = self.names.constants.of(axes[1], value.valid_cols as i64);
                        format!(", valid_shape=[{r}, {c}]")
                    }
                };
                let text = format!("pl.load({gm}, {at}, {shape}{valid}{memory})");
                self.assign(dst, text, value)
            }
        }
    }

    /// Rows that do not lie beside each other are loaded one by one.
    fn load_apart(&mut self, dst: &TileRef, src: &GlobalRef) -> Result<(), Fault> {
        let tile = self.tile(dst)?;
        let gm = self.tensor(&src.tensor)?;
        let axes = Axis::of_tile(tile);
        let value = Value::of(tile, dst.rows.as_ref());
        if dst.rows.is_some() {
            return Err(Fault::SomeRows {
                tile: tile.name.clone(),
            });
        }
        let shape = self.extents(axes, value.rows, value.cols);
        let (ty, zero) = (dtype(tile.dtype), literal(0.0, tile.dtype)?);
        let text = format!("pl.tile.full({shape}, dtype={ty}, value={zero})");
        self.assign(dst, text, Value::whole(value.rows, value.cols))?;
        let shape = self.extents(axes, 1, src.cols);
        let col = self.sum(&src.col, axes[1]).text();
        for i in 0..src.rows {
            let mut row = src.row.clone();
            row.base += (i * src.step) as i64;
            let row = self.sum(&row, axes[0]).text();
            let name = self.name(dst);
            let load = format!("pl.load({gm}, [{row}, {col}], {shape})");
            let text = format!("pl.assemble({name}, {load}, [{i}, 0])");
            self.assign(dst, text, value.clone())?;
        }
        Ok(())
    }

    pub(super) fn store(&mut self, dst: &GlobalRef, src: &TileRef) -> Result<(), Fault> {
        let tile = self.tile(src)?;
        let gm = self.tensor(&dst.tensor)?;
        let axes = Axis::of_tile(tile);
        let (mut text, value) = self.operand(src)?;
        let row = self.sum(&dst.row, axes[0]).text();
        let col = self.sum(&dst.col, axes[1]).text();
        let as_row = tile.layout == Layout::ColMajor && dst.rows == 1 && tile.valid_rows > 1;
        let moved = match as_row {
            true => (dst.cols, 1),
            false => (dst.rows, dst.cols),
        };
        if moved != (value.valid_rows.limit(), value.valid_cols) {
            if src.rows.is_some() {
                return Err(Fault::Extent {
                    tile: tile.name.clone(),
                    found: value.words(),
                    need: format!("{} x {}", moved.0, moved.1),
                });
            }
            let shape = self.extents(Self::axes(tile), moved.0, moved.1);
            text = format!("pl.slice({text}, {shape}, [0, 0])");
        }
        if as_row {
            let n = self.names.constants.of(axes[0], moved.0 as i64);
            text = format!("pl.reshape({text}, [1, {n}])");
        }
        self.line(&format!("{gm} = pl.store({text}, [{row}, {col}], {gm})"));
        Ok(())
    }
}
