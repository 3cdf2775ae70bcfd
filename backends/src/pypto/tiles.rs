//! What the variables of tiles hold, and operands and results of an instruction.

use super::error::Fault;
use super::types::{dtype, memory};
use super::value::{Rows, Value};
use super::writer::Writer;
use crate::source::index::Axis;
use tilewright_ir::kernel::{Expr, Layout, Space, Tile, TileRef};

impl<'a> Writer<'a> {
    pub fn tile(&self, r: &TileRef) -> Result<&'a Tile, Fault> {
        self.kernel.tiles.get(r.tile).ok_or_else(|| Fault::Missing {
            what: format!("tile {}", r.tile),
        })
    }

    pub fn name(&self, r: &TileRef) -> String {
        self.names.tiles.get(r.tile).cloned().unwrap_or_default()
    }

    /// The constants of a tile's rows and columns.
    pub fn axes(tile: &Tile) -> [Axis; 2] {
        match tile.layout {
            // [K, N], where K is what the left operand's columns are.
            Layout::Zn | Layout::Right => [Axis::Cols, Axis::Product],
            Layout::Acc => [Axis::Rows, Axis::Product],
            _ => [Axis::Rows, Axis::Cols],
        }
    }

    /// `[rows, cols]`.
    pub fn extents(&mut self, axes: [Axis; 2], rows: usize, cols: usize) -> String {
        let r = self.names.constants.of(axes[0], rows as i64);
        let c = self.names.constants.of(axes[1], cols as i64);
        format!("[{r}, {c}]")
    }

    /// Rows that are valid: a constant, or the variable that counts them.
    pub fn rows(&mut self, axis: Axis, rows: &Rows) -> String {
        match rows {
            Rows::Fixed(n) => self.names.constants.of(axis, *n as i64),
            Rows::Counted(e, limit) => self.count(e, *limit),
        }
    }

    /// The variable that holds `expr`, at least 0 and at most `limit`; assigned here if there is none yet.
    fn count(&mut self, expr: &Expr, limit: usize) -> String {
        let known = self
            .scopes
            .iter()
            .flat_map(|s| &s.counts)
            .find(|(e, l, _)| e == expr && *l == limit);
        if let Some((.., name)) = known {
            return name.clone();
        }
        let name = self.fresh("valid_rows");
        let n = self.sum(expr, Axis::Rows).text();
        let most = self.names.constants.of(Axis::Rows, limit as i64);
        self.line(&match self.is_positive(expr) {
            true => format!("{name} = pl.min({n}, {most})"),
            false => format!("{name} = pl.max(pl.min({n}, {most}), 0)"),
        });
        if let Some(scope) = self.scopes.last_mut() {
            scope.counts.push((expr.clone(), limit, name.clone()));
        }
        name
    }

    /// A new tile, all of it valid.
    pub fn create(&mut self, tile: &Tile, value: &Value) -> String {
        let shape = self.extents(Self::axes(tile), value.rows, value.cols);
        let dtype = dtype(tile.dtype);
        let memory = match tile.space {
            Space::Ub => String::new(),
            space => format!(", target_memory={}", memory(space)),
        };
        format!("pl.create_tile({shape}, dtype={dtype}{memory})")
    }

    /// A new value of which only a part is to be valid.
    pub fn narrowed(&mut self, tile: &Tile, text: String, is: &Value, wanted: &Value) -> String {
        if (&is.valid_rows, is.valid_cols) == (&wanted.valid_rows, wanted.valid_cols) {
            return text;
        }
        let axes = Self::axes(tile);
        let r = self.rows(axes[0], &wanted.valid_rows);
        let c = self.names.constants.of(axes[1], wanted.valid_cols as i64);
        format!("pl.set_validshape({text}, {r}, {c})")
    }

    /// An operand, and what it is in the instruction: as many of its rows as the instruction takes.
    pub fn operand(&mut self, r: &TileRef) -> Result<(String, Value), Fault> {
        let tile = self.tile(r)?;
        let name = self.name(r);
        let wanted = Value::of(tile, r.rows.as_ref());
        let missing = |found: String| Fault::Extent {
            tile: tile.name.clone(),
            found,
            need: wanted.words(),
        };
        let Some(is) = self.values.get(&r.tile).cloned() else {
            return Err(missing("no one extent".into()));
        };
        if is.is_like(&wanted) {
            return Ok((name, is));
        }
        let fits = is.shape() == wanted.shape()
            && matches!(is.valid_rows, Rows::Fixed(n) if n >= wanted.valid_rows.limit())
            && is.valid_cols >= wanted.valid_cols;
        if !fits {
            return Err(missing(is.words()));
        }
        let text = self.part(tile, &name, &is, &wanted);
        Ok((
            text,
            Value {
                filled: None,
                ..wanted
            },
        ))
    }

    /// A view of a tile with fewer valid rows or columns.
    pub fn part(&mut self, tile: &Tile, name: &str, is: &Value, wanted: &Value) -> String {
        let axes = Self::axes(tile);
        let shape = self.extents(axes, is.rows, is.cols);
        let r = self.rows(axes[0], &wanted.valid_rows);
        let c = self.names.constants.of(axes[1], wanted.valid_cols as i64);
        format!("pl.slice({name}, {shape}, [0, 0], valid_shape=[{r}, {c}])")
    }

    /// Assigns a tile what an operation gives, whose extent is `is`.
    pub fn assign(&mut self, dst: &TileRef, text: String, is: Value) -> Result<(), Fault> {
        let tile = self.tile(dst)?;
        let wanted = Value::of(tile, dst.rows.as_ref());
        let fits = is.shape() == wanted.shape()
            && is.valid_rows.limit() >= wanted.valid_rows.limit()
            && is.valid_cols >= wanted.valid_cols;
        if !fits {
            return Err(Fault::Extent {
                tile: tile.name.clone(),
                found: is.words(),
                need: wanted.words(),
            });
        }
        let text = self.narrowed(tile, text, &is, &wanted);
        let name = self.name(dst);
        self.line(&format!("{name} = {text}"));
        let filled = is.filled.filter(|_| dst.rows.is_none());
        self.values.insert(dst.tile, Value { filled, ..wanted });
        Ok(())
    }
}
