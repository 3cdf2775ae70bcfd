//! Moves: between global memory and a core, and within a cube core.

use super::super::{GlobalRef, GlobalTensor, Layout, Role, Space, Tile, TileRef};
use super::{Check, KernelError, Verifier};
use crate::dtype::DType;

impl<'a> Verifier<'a> {
    /// A view has the elements of its tensor, all of which exist.
    pub(super) fn view(&self, g: &GlobalRef, tensor: &GlobalTensor) -> Check {
        let Some((rows, cols)) = g.view else {
            return Ok(());
        };
        let (high, wide) = tensor.matrix();
        if rows.checked_mul(cols) != high.checked_mul(wide) {
            return Err(self.form(
                format!(
                    "`{}` of {high} x {wide} is read as {rows} x {cols}, which are not as many elements",
                    g.tensor
                ),
                "give the view as many elements as the tensor has",
            ));
        }
        if tensor.ragged.is_some() || tensor.role == Role::Window {
            return Err(self.form(
                format!("`{}` is read in other rows than it has", g.tensor),
                "give a view to tensors whose rows all exist and which no peer writes",
            ));
        }
        Ok(())
    }

    fn form(&self, what: String, help: &str) -> KernelError {
        KernelError::Form {
            place: self.place(),
            what,
            help: help.to_owned(),
        }
    }

    pub(super) fn load(&self, dst: &TileRef, src: &'a GlobalRef) -> Check {
        let tensor = self.own(src, dst.rows.as_ref())?;
        let tile = self.tile(dst)?;
        self.space(tile, &[Space::Ub, Space::L1])?;
        if src.step != 1 {
            // Other layouts have no stride of their own.
            self.space(tile, &[Space::Ub])?;
            self.layout(tile, Layout::RowMajor)?;
        }
        self.transfer(
            tensor.dtype,
            src.matrix(tensor),
            &src.tensor,
            tile,
            (src.rows, src.cols),
        )
    }

    pub(super) fn store(&self, dst: &'a GlobalRef, src: &TileRef) -> Check {
        let tensor = self.global(dst, src.rows.as_ref())?;
        let tile = self.tile(src)?;
        if dst.step != 1 {
            return Err(self.count("the step of a store".to_owned(), dst.step, "1".to_owned()));
        }
        if dst.view.is_some() {
            return Err(self.form(
                format!("a store into a view of `{}`", dst.tensor),
                "store rows of the tensor itself: only loads go through a view",
            ));
        }
        let spaces = match dst.peer {
            None => &[Space::Ub, Space::L0c][..],
            Some(_) => &[Space::Ub],
        };
        self.space(tile, spaces)?;
        self.transfer(
            tensor.dtype,
            tensor.matrix(),
            &dst.tensor,
            tile,
            (dst.rows, dst.cols),
        )
    }

    pub(super) fn move_tile(&self, dst: &TileRef, src: &TileRef, from: (usize, usize)) -> Check {
        let (dst, src) = (self.tile(dst)?, self.tile(src)?);
        self.space(src, &[Space::L1])?;
        self.space(dst, &[Space::L0a, Space::L0b])?;
        self.same_type(dst, src)?;
        match (dst.space, src.layout) {
            (Space::L0b, Layout::Nz) => self.squares(dst, src, from)?,
            (Space::L0a, _) => self.layout(src, Layout::Nz)?,
            _ => self.layout(src, Layout::Zn)?,
        }
        self.piece(dst, src, from)
    }

    /// On the way into L0B squares are turned: as many fractals as make one.
    fn squares(&self, dst: &Tile, src: &Tile, (row, col): (usize, usize)) -> Check {
        let side = self.machine.geometry.turned(src.dtype);
        let sizes = [row, col, dst.rows, dst.cols, src.rows, src.cols];
        match sizes.iter().all(|n| n.is_multiple_of(side)) {
            true => Ok(()),
            false => Err(self.shape(
                format!(
                    "{} x {} from row {row} and column {col} of `{}`, which is {} x {}, are turned in squares of {side} x {side}",
                    dst.rows, dst.cols, src.name, src.rows, src.cols
                ),
                format!("make all of these multiples of {side}"),
            )),
        }
    }

    /// A rectangle and its tile: TLOAD and TSTORE.
    fn transfer(
        &self,
        dtype: DType,
        (_, tensor_cols): (usize, usize),
        name: &str,
        tile: &Tile,
        (rows, cols): (usize, usize),
    ) -> Check {
        if dtype != tile.dtype {
            return Err(self.types(
                format!(
                    "`{name}` is {dtype}, but tile `{}` is {}",
                    tile.name, tile.dtype
                ),
                format!("use a tile of {dtype}: a transfer converts nothing"),
            ));
        }
        let (high, wide) = match tile.layout {
            // The view is transposed.
            Layout::Zn => (tile.valid_cols, tile.valid_rows),
            // A column lies as a row, and may be moved as either.
            Layout::ColMajor if rows == 1 => (1, tile.valid_rows),
            _ => (tile.valid_rows, tile.valid_cols),
        };
        if rows > high || cols > wide {
            return Err(self.shape(
                format!(
                    "{rows} x {cols} elements do not fit in tile `{}` of {high} x {wide}",
                    tile.name
                ),
                format!("move at most {high} x {wide}"),
            ));
        }
        if tile.layout == Layout::ColMajor && rows > 1 && tensor_cols != 1 {
            return Err(self.shape(
                format!("a column of `{name}`, which has {tensor_cols} columns, is not contiguous"),
                "move row-major tiles, or give the tensor one column".to_owned(),
            ));
        }
        let limits = &self.machine.limits;
        match tile.space {
            Space::Ub => self.at_most("the number of rows", rows, limits.ub_rows.count()),
            Space::L0c => {
                self.at_most("the number of rows", rows, limits.l0c_rows.count())?;
                self.at_most("the number of columns", cols, limits.l0c_cols.count())
            }
            Space::L1 | Space::L0a | Space::L0b => {
                self.at_most("the number of rows", rows, limits.l1_rows.count())?;
                let stride = limits.l1_stride.count();
                self.at_most("the tensor's number of columns", tensor_cols, stride)
            }
        }
    }

    /// A piece of a tile of fractals is fractals of it.
    fn piece(&self, dst: &Tile, src: &Tile, (row, col): (usize, usize)) -> Check {
        let (rows, cols) = (row + dst.valid_rows, col + dst.valid_cols);
        if (row, col) == (0, 0) && (dst.rows, dst.cols) == (src.rows, src.cols) {
            return self.valid(src, dst.valid_rows, dst.valid_cols);
        }
        let geometry = &self.machine.geometry;
        let outer = geometry.fractal_rows.count();
        let inner = geometry.fractal_elements(dst.dtype);
        let (high, wide) = match src.layout {
            Layout::Zn => (inner, outer),
            _ => (outer, inner),
        };
        let fits = row + dst.rows <= src.rows
            && col + dst.cols <= src.cols
            && rows <= src.valid_rows
            && cols <= src.valid_cols;
        let whole = [(row, high), (dst.rows, high), (col, wide), (dst.cols, wide)];
        if fits && whole.iter().all(|(n, of)| n.is_multiple_of(*of)) {
            return Ok(());
        }
        Err(self.shape(
            format!(
                "{} x {} from row {row} and column {col} of `{}`, which is {} x {}",
                dst.valid_rows, dst.valid_cols, src.name, src.valid_rows, src.valid_cols
            ),
            format!("take a piece of it whose rows are multiples of {high} and columns of {wide}"),
        ))
    }
}
