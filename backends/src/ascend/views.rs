//! Objects that show tiles: C++ variables at a tile's address, each of one type, and their run-time extents.

use super::types::{Count, TileType};
use super::writer::Writer;
use crate::source::index::{Axis, is_early};
use tilewright_ir::kernel::{Expr, Tile, TileId, TileRef};

/// An object at a tile's address.
pub(super) struct View {
    pub tile: TileId,
    pub ty: TileType,
    /// Bytes after the tile's own address.
    pub offset: usize,
    pub name: String,
}

impl View {
    /// A comment for objects that are not the tile as it is declared.
    pub fn note(&self, tile: &Tile, name: &str, all: &[&View]) -> String {
        let known = all.iter().any(|v| v.name == name);
        let mut parts = self.ty.words(tile);
        if self.offset > 0 {
            parts.push(format!("from byte {} on", self.offset));
        }
        match (known, parts.is_empty()) {
            _ if name == self.name => String::new(),
            (_, true) => String::new(),
            (true, false) => format!("  // {name}, {}", parts.join(", ")),
            (false, false) => format!("  // {}", parts.join(", ")),
        }
    }
}

impl Writer<'_> {
    /// The object that shows a tile as `ty`, in the slot that the operand names.
    pub fn view(&mut self, r: &TileRef, ty: TileType) -> String {
        self.view_at(r, ty, 0, "")
    }

    /// As [`Writer::view`], some bytes after the tile's start.
    pub fn view_at(&mut self, r: &TileRef, ty: TileType, offset: usize, suffix: &str) -> String {
        let slot = self.slot(r);
        let known = self
            .views
            .iter()
            .find(|v| v.tile == r.tile && v.offset == offset && v.ty == ty);
        let name = match known {
            Some(v) => v.name.clone(),
            None => {
                let own = &self.names.tiles[r.tile];
                let tail = match suffix {
                    "" => ty.suffix(&self.kernel.tiles[r.tile]),
                    s => s.to_owned(),
                };
                let name = match tail.as_str() {
                    "" => own.clone(),
                    tail => self.fresh(&format!("{own}_{tail}")),
                };
                let (template, text) = ty.template();
                if let Some(text) = text {
                    self.template(template, text);
                }
                self.views.push(View {
                    tile: r.tile,
                    ty: ty.clone(),
                    offset,
                    name: name.clone(),
                });
                name
            }
        };
        let object = format!("{name}{slot}");
        self.set_extent(&object, &ty);
        object
    }

    fn slot(&self, r: &TileRef) -> String {
        match (self.kernel.tiles[r.tile].slots, r.slot) {
            (0 | 1, _) => String::new(),
            (_, None) => "[0]".into(),
            (slots, Some(id)) => format!("[{} % {slots}]", self.loop_name(id)),
        }
    }

    /// Sets a run-time extent that depends on where the instruction is.
    fn set_extent(&mut self, object: &str, ty: &TileType) {
        let Some((expr, limit)) = ty.run_time() else {
            return;
        };
        let name = self.count(expr, limit);
        if is_early(expr)
            || self
                .scopes
                .iter()
                .any(|s| s.set.iter().any(|o| o == object))
        {
            return;
        }
        let call = extent_call(ty);
        self.line(&format!("{object}.{call}({name});"));
        if let Some(scope) = self.scopes.last_mut() {
            scope.set.push(object.to_owned());
        }
    }

    /// The variable that holds `expr`, at least 0 and at most `limit`; declared here if it is not known yet.
    pub fn count(&mut self, expr: &Expr, limit: usize) -> String {
        let known = self
            .scopes
            .iter()
            .flat_map(|s| &s.counts)
            .chain(&self.early)
            .find(|(e, l, _)| e == expr && *l == limit);
        if let Some((.., name)) = known {
            return name.clone();
        }
        self.clamps = true;
        let name = self.fresh("valid_rows");
        let entry = (expr.clone(), limit, name.clone());
        if is_early(expr) {
            self.early.push(entry);
        } else {
            let text = self.clamped(expr, limit, &name);
            self.line(&text);
            if let Some(scope) = self.scopes.last_mut() {
                scope.counts.push(entry);
            }
        }
        name
    }

    pub fn clamped(&mut self, expr: &Expr, limit: usize, name: &str) -> String {
        let n = self.sum(expr, Axis::Rows).text();
        let limit = self.names.constants.of(Axis::Rows, limit as i64);
        format!("const int {name} = Clamp({n}, {limit});")
    }

    /// Whether a surrounding condition says that an extent is not zero.
    pub fn is_positive(&self, expr: &Expr) -> bool {
        self.scopes
            .iter()
            .any(|s| s.positive.as_ref() == Some(expr))
    }
}

/// How a type's run-time extent is set.
pub(super) fn extent_call(ty: &TileType) -> &'static str {
    match ty.valid_rows {
        Count::RunTime(..) => "SetValidRow",
        Count::Fixed(_) => "SetValidCol",
    }
}
