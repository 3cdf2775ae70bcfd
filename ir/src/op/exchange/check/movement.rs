//! What moves data: tiles, copies, and arithmetic on tiles.

use super::statement::ident;
use super::{Check, Checked, Named};
use crate::dtype::DType;
use crate::op::exchange::ExchangeError;
use crate::op::exchange::program::*;

use crate::syntax::ast::{Expr, ExprKind, Ident, TileForm};
use crate::syntax::print_expr;

/// Rows that one transfer has at most.
const MAX_ROWS: usize = 4095;

impl Check<'_> {
    pub(super) fn read(&mut self, name: &Ident, from: &Expr) -> Checked<StepKind> {
        let taken = self.source(from)?;
        let Content::Rect(of) = taken.from else {
            return Err(self.rule(
                from.span,
                format!("`{}` is no memory", print_expr(from)),
                "read an operand or a window of integers",
            ));
        };
        let (_, _, width) = self.extent(of.place);
        if taken.dtype != DType::I32 || of.cols != width {
            return Err(ExchangeError::ElementType {
                at: self.at(from.span),
                what: format!(
                    "`{}` is {} with {} of {width} columns",
                    print_expr(from),
                    taken.dtype,
                    of.cols
                ),
                help: "`read` takes whole rows of i32".into(),
            });
        }
        self.program.views.push(View {
            name: name.name.clone(),
            of,
        });
        let view = self.program.views.len() - 1;
        self.define(name, Named::View(view))?;
        Ok(StepKind::Read { view })
    }

    pub(super) fn tile(&mut self, name: &Ident, form: &TileForm) -> Checked<Option<StepKind>> {
        let (dtype, rows, cols, taken) = match form {
            TileForm::Loaded(from) => {
                let taken = self.source(from)?;
                let (rows, cols) = taken.extent;
                (taken.dtype, rows, cols, Some(taken.from))
            }
            TileForm::Empty(ty) => {
                let (dtype, rows, cols) = self.rectangle(ty, name)?;
                (dtype, rows, cols, None)
            }
        };
        if rows > MAX_ROWS {
            return Err(ExchangeError::Size {
                at: self.at(name.span),
                what: format!("the number of rows of the tile `{name}`"),
                value: rows as i64,
                low: 1,
                high: MAX_ROWS as i64,
            });
        }
        self.program.tiles.push(Tile {
            name: name.name.clone(),
            dtype,
            rows,
            cols,
            home: self.loops.last().map(|l| l.variable),
        });
        let tile = self.program.tiles.len() - 1;
        self.define(name, Named::Tile(tile))?;
        let Some(from) = taken else {
            return Ok(Some(StepKind::Tile { tile }));
        };
        self.contiguous(name, &from, (rows, cols))?;
        Ok(Some(StepKind::Copy {
            from,
            to: Target::Tile(tile),
            first: None,
        }))
    }

    fn tile_named(&self, name: &Ident) -> Checked<Id> {
        match self.named(&name.name, name.span)? {
            Named::Tile(t) => Ok(t),
            other => Err(self.kind(
                name,
                &other,
                ("a tile", "declare one: `tile sum: f32[1, C]`"),
            )),
        }
    }

    /// A tile of one column takes a column of memory only where that has no other ones.
    fn contiguous(
        &self,
        name: &Ident,
        from: &Content,
        (rows, cols): (usize, usize),
    ) -> Checked<()> {
        let Content::Rect(r) = from else {
            return Ok(());
        };
        let (_, _, width) = self.extent(r.place);
        if rows == 1 || cols != 1 || width == 1 {
            return Ok(());
        }
        Err(self.shape_error(
            name.span,
            format!(
                "a column of `{}`, which has {width} columns, does not lie in one piece",
                self.memory_name(r.place)
            ),
            "take whole rows into the tile, or copy element by element",
        ))
    }

    pub(super) fn fill(&mut self, tile: &Ident, value: &Expr) -> Checked<StepKind> {
        let t = self.tile_named(tile)?;
        let Some(number) = number(value) else {
            return Err(self.rule(
                value.span,
                format!("`{}` is no number", print_expr(value)),
                "fill a tile with a number, as 0 or -1.5",
            ));
        };
        if self.program.tiles[t].dtype == DType::I64 {
            return Err(ExchangeError::ElementType {
                at: self.at(tile.span),
                what: format!("`{tile}` is i64, which cannot be filled"),
                help: "load what it is to hold".into(),
            });
        }
        Ok(StepKind::Fill {
            tile: t,
            value: number,
        })
    }

    pub(super) fn copy(
        &mut self,
        from: &Expr,
        to: &Expr,
        on: Option<&Expr>,
        first: Option<&Expr>,
    ) -> Checked<StepKind> {
        let taken = self.source(from)?;
        let target = self.target(to, &taken, on)?;
        let first = first.map(|f| self.integer(f)).transpose()?.map(|f| f.0);
        let rects = matches!((&taken.from, &target), (Content::Rect(_), Target::Rect(..)));
        if first.is_some() && !rects {
            return Err(self.rule(
                from.span,
                "the first rows of what is no memory",
                "`first` is for copies from memory to memory; a loop with an `if` takes rows of tiles",
            ));
        }
        match (&taken.from, &target) {
            (Content::Array(_), Target::Rect(_, Some(_))) => {
                return Err(self.rule(
                    from.span,
                    "an array is put to a rank directly",
                    "bring it into a tile first: `tile row = counts`, `put row -> w[rank] on peer`",
                ));
            }
            (Content::Tile(t), Target::Rect(r, _)) => {
                let (name, tile) = (ident(to), &self.program.tiles[*t]);
                let extent = (tile.rows, tile.cols);
                self.contiguous(&name, &Content::Rect(r.clone()), extent)?;
            }
            (Content::Rect(_), Target::Tile(_)) => {
                self.contiguous(&ident(to), &taken.from, taken.extent)?;
            }
            _ => {}
        }
        Ok(StepKind::Copy {
            from: taken.from,
            to: target,
            first,
        })
    }

    pub(super) fn add(&mut self, from: &Ident, to: &Ident) -> Checked<StepKind> {
        let (a, b) = (self.tile_named(from)?, self.tile_named(to)?);
        let (x, y) = (&self.program.tiles[a], &self.program.tiles[b]);
        let sums = matches!(x.dtype, DType::F32 | DType::F16 | DType::I32);
        if !sums || x.dtype != y.dtype {
            return Err(ExchangeError::ElementType {
                at: self.at(from.span),
                what: format!("`{from}`, {}, is added to `{to}`, {}", x.dtype, y.dtype),
                help: "both are f32, f16 or i32: copy other types into a tile of f32 first".into(),
            });
        }
        if (x.rows, x.cols) != (y.rows, y.cols) {
            return Err(self.shape_error(
                from.span,
                format!(
                    "`{from}` is {} x {}, and `{to}` is {} x {}",
                    x.rows, x.cols, y.rows, y.cols
                ),
                "give both tiles one extent",
            ));
        }
        Ok(StepKind::Add { from: a, to: b })
    }
}

/// A number as it stands.
fn number(expr: &Expr) -> Option<f32> {
    match &expr.kind {
        ExprKind::Number(text) => text.parse().ok().filter(|x: &f32| x.is_finite()),
        ExprKind::Negate(inner) => number(inner).map(|x| -x),
        _ => None,
    }
}
