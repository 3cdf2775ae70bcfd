//! What is asked of one operand, and refusals in words.

use super::super::{Layout, Space, Tile, TileRef};
use super::{Check, KernelError, Verifier};
use crate::dtype::DType;

impl Verifier<'_> {
    pub(super) fn types(&self, what: String, help: String) -> KernelError {
        KernelError::Type {
            place: self.place(),
            what,
            help,
        }
    }

    pub(super) fn shape(&self, what: String, help: String) -> KernelError {
        KernelError::Shape {
            place: self.place(),
            what,
            help,
        }
    }

    pub(super) fn space(&self, t: &Tile, spaces: &[Space]) -> Check {
        if spaces.contains(&t.space) {
            return Ok(());
        }
        let names: Vec<_> = spaces.iter().map(|s| s.name()).collect();
        Err(KernelError::Space {
            place: self.place(),
            what: format!("tile `{}` is in {}", t.name, t.space.name()),
            help: format!("use a tile in {}", names.join(" or ")),
        })
    }

    pub(super) fn of_type(&self, t: &Tile, types: &[DType]) -> Check {
        if types.contains(&t.dtype) {
            return Ok(());
        }
        let names: Vec<_> = types.iter().map(|d| d.name()).collect();
        Err(self.types(
            format!(
                "tile `{}` is {}, which the instruction does not take",
                t.name, t.dtype
            ),
            format!("cast it to {}", names.join(" or ")),
        ))
    }

    pub(super) fn same_type(&self, a: &Tile, b: &Tile) -> Check {
        if a.dtype == b.dtype {
            return Ok(());
        }
        Err(self.types(
            format!(
                "`{}` is {}, but `{}` is {}",
                a.name, a.dtype, b.name, b.dtype
            ),
            format!("cast `{}` to {}", b.name, a.dtype),
        ))
    }

    pub(super) fn layout(&self, t: &Tile, layout: Layout) -> Check {
        // One element lies in a row as it does in a column.
        let both = [Layout::RowMajor, Layout::ColMajor];
        let one = (t.valid_rows, t.valid_cols) == (1, 1);
        if t.layout == layout || one && both.contains(&layout) && both.contains(&t.layout) {
            return Ok(());
        }
        Err(self.shape(
            format!("`{}` is {}", t.name, t.layout.name()),
            format!("make it {}", layout.name()),
        ))
    }

    /// The valid extents are `rows x cols`.
    pub(super) fn valid(&self, t: &Tile, rows: usize, cols: usize) -> Check {
        if (t.valid_rows, t.valid_cols) == (rows, cols) {
            return Ok(());
        }
        Err(self.shape(
            format!(
                "`{}` has {} x {} valid elements, but needs {rows} x {cols}",
                t.name, t.valid_rows, t.valid_cols
            ),
            format!("make it {rows} x {cols}"),
        ))
    }

    pub(super) fn at_most(&self, what: &str, found: usize, limit: usize) -> Check {
        if found <= limit {
            return Ok(());
        }
        Err(self.count(what.to_owned(), found, format!("at most {limit}")))
    }

    /// The instruction reads an operand after it has begun to write.
    pub(super) fn apart(&self, dst: &TileRef, src: &TileRef) -> Check {
        if dst.tile != src.tile {
            return Ok(());
        }
        Err(KernelError::Form {
            place: self.place(),
            what: "the result overwrites an operand that is still read".to_owned(),
            help: "write to another tile".to_owned(),
        })
    }

    /// Refuses a number that is no multiple of another one.
    pub(super) fn multiple(&self, what: &str, found: usize, of: usize) -> Check {
        if found.is_multiple_of(of) {
            return Ok(());
        }
        Err(self.count(
            what.to_owned(),
            found,
            format!("a multiple of {of}, so {}", found.next_multiple_of(of)),
        ))
    }
}
