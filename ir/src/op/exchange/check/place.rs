//! Places: what a copy takes and where it goes, with extents that agree.

use super::integer::constant;
use super::{Check, Checked, Named, Range};
use crate::dtype::DType;
use crate::op::exchange::ExchangeError;
use crate::op::exchange::program::{Content, Int, Place, Rect, Target};
use crate::syntax::ast::{Expr, ExprKind, Ident, Slice};
use crate::syntax::print_expr;

/// Rows and columns.
type Extent = (usize, usize);

/// What is copied, with its element type and extent.
pub(super) struct Copied {
    pub from: Content,
    pub dtype: DType,
    pub extent: Extent,
}

impl Check<'_> {
    pub(super) fn source(&mut self, expr: &Expr) -> Checked<Copied> {
        let (name, at) = match &expr.kind {
            ExprKind::Name(name) => (
                Ident {
                    name: name.clone(),
                    span: expr.span,
                },
                None,
            ),
            ExprKind::Index { name, at } => (name.clone(), Some(&at[..])),
            _ => return self.number(expr),
        };
        match (self.named(&name.name, name.span)?, at) {
            (Named::Memory(Place::Result(r)), _) => Err(self.kind(
                &name,
                &Named::Memory(Place::Result(r)),
                (
                    "something to read",
                    "a result is only written: keep what is needed again in a window, a tile or an array",
                ),
            )),
            (Named::Memory(place), at) => {
                let rect = self.rect(&name, place, at, None)?;
                Ok(Copied {
                    dtype: self.extent(place).0,
                    extent: (rect.rows, rect.cols),
                    from: Content::Rect(rect),
                })
            }
            (Named::Tile(t), None) => {
                let tile = &self.program.tiles[t];
                Ok(Copied {
                    from: Content::Tile(t),
                    dtype: tile.dtype,
                    extent: (tile.rows, tile.cols),
                })
            }
            (Named::Array(a), None) => Ok(Copied {
                from: Content::Array(a),
                dtype: DType::I32,
                extent: (1, self.program.arrays[a].length),
            }),
            _ => self.number(expr),
        }
    }

    fn number(&mut self, expr: &Expr) -> Checked<Copied> {
        let (int, _) = self.integer(expr)?;
        Ok(Copied {
            from: Content::Int(int),
            dtype: DType::I32,
            extent: (1, 1),
        })
    }

    /// Where something goes, on the rank itself or on another one.
    pub(super) fn target(
        &mut self,
        expr: &Expr,
        taken: &Copied,
        on: Option<&Expr>,
    ) -> Checked<Target> {
        let (name, at) = match &expr.kind {
            ExprKind::Name(name) => (
                Ident {
                    name: name.clone(),
                    span: expr.span,
                },
                None,
            ),
            ExprKind::Index { name, at } => (name.clone(), Some(&at[..])),
            _ => {
                return Err(self.rule(
                    expr.span,
                    format!("`{}` is no place", print_expr(expr)),
                    "name a result, a window or a tile",
                ));
            }
        };
        match (self.named(&name.name, name.span)?, at, on) {
            (Named::Memory(Place::Operand(o)), _, _) => Err(self.kind(
                &name,
                &Named::Memory(Place::Operand(o)),
                (
                    "something to write",
                    "operands are only read: write a result or a window",
                ),
            )),
            (Named::Memory(Place::Result(r)), _, Some(_)) => Err(self.kind(
                &name,
                &Named::Memory(Place::Result(r)),
                (
                    "a window",
                    "ranks write into each other's windows only: put it there, and let the other rank copy it",
                ),
            )),
            (Named::Memory(place), at, on) => {
                let dtype = self.extent(place).0;
                self.same_type(&name, dtype, taken.dtype)?;
                let rect = self.target_rect(&name, place, at, taken)?;
                let on = on.map(|on| self.peer(on)).transpose()?;
                Ok(Target::Rect(rect, on))
            }
            (Named::Tile(t), None, None) => {
                let tile = self.program.tiles[t].clone();
                self.same_extent(&name, (tile.rows, tile.cols), taken)?;
                match taken.from {
                    Content::Tile(f) if f == t => Err(self.rule(
                        name.span,
                        format!("`{name}` is copied into itself"),
                        "name two tiles",
                    )),
                    Content::Tile(_) => self.converts(&name, taken.dtype, tile.dtype),
                    _ => self.same_type(&name, tile.dtype, taken.dtype),
                }?;
                Ok(Target::Tile(t))
            }
            (other, _, _) => Err(self.kind(
                &name,
                &other,
                ("something to write", "name a result, a window or a tile"),
            )),
        }
    }

    /// The rank that is named.
    pub(super) fn peer(&mut self, expr: &Expr) -> Checked<Int> {
        let ranks = self.program.ranks;
        let (int, range) = self.integer(expr)?;
        match range {
            Some((low, high)) if low < 0 || high >= ranks as i64 => Err(ExchangeError::Peer {
                at: self.at(expr.span),
                low,
                high,
                ranks,
                last: ranks - 1,
            }),
            _ => Ok(int),
        }
    }

    fn target_rect(
        &mut self,
        name: &Ident,
        place: Place,
        at: Option<&[Slice]>,
        taken: &Copied,
    ) -> Checked<Rect> {
        let (_, rows, cols) = self.extent(place);
        let extent = match taken.from {
            // An array is a row, or a column where there is one column.
            Content::Array(_) if cols == 1 => (taken.extent.1, 1),
            _ => taken.extent,
        };
        let rect = self.rect(name, place, at, Some(extent))?;
        let whole = at.is_none() && (rect.rows, rect.cols) != extent;
        let width = matches!(at, Some([_])) && extent.1 != cols;
        if whole || width || (rect.rows, rect.cols) != extent {
            return Err(self.shape_error(
                name.span,
                format!(
                    "{} x {} elements are copied to {} x {} of `{name}`, which is {rows} x {cols}",
                    extent.0, extent.1, rect.rows, rect.cols
                ),
                "name where they begin, with the column where they are no whole rows: `y[row, column]`",
            ));
        }
        Ok(rect)
    }

    /// A rectangle: all of it, or from a row and a column on. What is written has the extent of what is copied.
    pub(super) fn rect(
        &mut self,
        name: &Ident,
        place: Place,
        at: Option<&[Slice]>,
        extent: Option<Extent>,
    ) -> Checked<Rect> {
        let (_, rows, cols) = self.extent(place);
        let whole = || (constant(0), None);
        let (row, col) = match at {
            None => {
                return Ok(Rect {
                    place,
                    row: Int::Const(0),
                    col: Int::Const(0),
                    rows,
                    cols,
                });
            }
            Some([c]) if self.is_vector(place) => (whole(), self.slice(c)?),
            Some([r]) => (self.slice(r)?, whole()),
            Some([r, c]) if !self.is_vector(place) => (self.slice(r)?, self.slice(c)?),
            Some(more) => {
                return Err(self.shape_error(
                    name.span,
                    format!("`{name}` is {rows} x {cols}, and {} indices name a place in it", more.len()),
                    "write `NAME[row]`, `NAME[row, column]` or `NAME[row : rows, column : columns]`",
                ));
            }
        };
        let only_row = matches!(at, Some([_])) && !self.is_vector(place);
        let high = row.1.unwrap_or(extent.map_or(1, |e| e.0));
        let wide = col.1.unwrap_or(match extent {
            Some(e) => e.1,
            None if only_row => cols,
            None => 1,
        });
        self.within(name, ("rows", row.0.1, high), rows)?;
        self.within(name, ("columns", col.0.1, wide), cols)?;
        Ok(Rect {
            place,
            row: row.0.0,
            col: col.0.0,
            rows: high,
            cols: wide,
        })
    }

    /// Start and count of a slice.
    fn slice(&mut self, s: &Slice) -> Checked<((Int, Range), Option<usize>)> {
        let start = self.integer(&s.start)?;
        let count = s.count.as_ref();
        let count = count.map(|c| self.size(c, "the count", i64::from(i32::MAX)));
        Ok((start, count.transpose()?))
    }

    pub(super) fn same_type(&self, name: &Ident, to: DType, from: DType) -> Checked<()> {
        if to == from {
            return Ok(());
        }
        Err(ExchangeError::ElementType {
            at: self.at(name.span),
            what: format!("{from} is copied to `{name}`, which is {to}"),
            help: "a copy converts nothing but from one tile to another".into(),
        })
    }

    fn converts(&self, name: &Ident, from: DType, to: DType) -> Checked<()> {
        let wide = |a: DType, b: DType| {
            a == DType::F32 && matches!(b, DType::F16 | DType::Bf16 | DType::I32)
        };
        if from == to || wide(from, to) || wide(to, from) {
            return Ok(());
        }
        Err(ExchangeError::ElementType {
            at: self.at(name.span),
            what: format!("{from} is converted to `{name}`, which is {to}"),
            help: "tiles are converted between f32 and f16, bf16 or i32: go through f32".into(),
        })
    }

    pub(super) fn same_extent(
        &self,
        name: &Ident,
        (rows, cols): Extent,
        taken: &Copied,
    ) -> Checked<()> {
        if taken.extent == (rows, cols) {
            return Ok(());
        }
        Err(self.shape_error(
            name.span,
            format!(
                "`{name}` is {rows} x {cols}, and {} x {} elements are copied to it",
                taken.extent.0, taken.extent.1
            ),
            "give the tile the extent of what it holds",
        ))
    }
}
