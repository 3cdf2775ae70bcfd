//! Affine expressions as text, and the names of their constants.
//!
//! A tile parameter is printed by its engineers' name where it is one: as the step of a grid axis or a loop over rows
//! or columns, and as the extent of what is moved in such a step. A number that is equal by accident stays a number, as
//! far as that can be told: rows and columns have names of their own.

use indexmap::IndexMap;
use tilewright_ir::kernel::{
    Expr, GlobalRef, Instr, Kernel, Layout, Stmt, Tile, TileRef, Var, exprs_of,
};

/// A parameter that counts blocks, and no rows or columns.
const SPLIT: &str = "SPLIT_K";

/// Names of numbers.
#[derive(Debug, Default)]
pub(crate) struct Constants {
    names: [IndexMap<i64, String>; 3],
    /// What has been printed, with its value.
    pub used: IndexMap<String, i64>,
}

impl Constants {
    /// Finds out which parameters are steps over rows and which are steps over columns. `name` makes an identifier.
    pub fn new(kernel: &Kernel, mut name: impl FnMut(&str) -> String) -> Self {
        let params: Vec<(String, i64)> = kernel
            .params
            .iter()
            .filter(|(k, v)| **v > 1 && k.as_str() != SPLIT)
            .map(|(k, v)| (name(&k.to_ascii_uppercase()), *v as i64))
            .collect();
        let mut out = Constants::default();
        let mut claimed: Vec<String> = vec![];
        let rects = rectangles(kernel);
        for (rect, axes) in &rects {
            for (expr, map) in [(&rect.row, axes[0]), (&rect.col, axes[1])] {
                for (var, c) in &expr.terms {
                    let axis = match var {
                        Var::Grid(i) => kernel.launch.grid.get(*i).map(|a| a.name.as_str()),
                        Var::Loop(i) => kernel.loops.get(*i).map(String::as_str),
                        _ => None,
                    };
                    let Some(axis) = axis else { continue };
                    // Of several parameters with this value, the one that is called after the axis.
                    let same: Vec<_> = params.iter().filter(|(_, v)| v == c).collect();
                    let found = match same.as_slice() {
                        [one] => Some(*one),
                        more => more.iter().copied().find(|(n, _)| is_step_of(n, axis)),
                    };
                    let Some((n, v)) = found else { continue };
                    if out.names[map as usize].insert(*v, n.clone()).is_none() {
                        claimed.push(n.clone());
                    }
                }
            }
        }
        // A tile that is as large as its tensor has no step; its extent tells which axis it is.
        for (n, v) in params.iter().filter(|(n, _)| !claimed.contains(n)) {
            let mut axes: Vec<Axis> = Axis::ALL
                .into_iter()
                .filter(|axis| !out.names[*axis as usize].contains_key(v))
                .filter(|axis| {
                    let moved = rects.iter().any(|(r, axes)| {
                        (axes[0] == *axis && r.rows as i64 == *v)
                            || (axes[1] == *axis && r.cols as i64 == *v)
                    });
                    // The cube pads the rows of its operands.
                    let padded = *axis == Axis::Rows
                        && kernel
                            .tiles
                            .iter()
                            .any(|t| t.layout == Layout::Zz && t.rows as i64 == *v);
                    moved || padded
                })
                .collect();
            if axes.len() > 1 {
                axes.retain(|axis| is_step_of(n, axis.word()));
            }
            if let [axis] = axes.as_slice() {
                out.names[*axis as usize].insert(*v, n.clone());
            }
        }
        out
    }

    /// A number of rows or columns.
    pub fn of(&mut self, axis: Axis, n: i64) -> String {
        match self.names[axis as usize].get(&n) {
            Some(name) => {
                self.used.insert(name.clone(), n);
                name.clone()
            }
            None => n.to_string(),
        }
    }

    /// Whether a number of rows or columns has a name.
    fn is_named(&self, axis: Axis, n: i64) -> bool {
        self.names[axis as usize].contains_key(&n)
    }

    /// A constant under a name.
    pub fn named(&mut self, name: &str, value: i64) -> String {
        self.used.insert(name.to_owned(), value);
        name.to_owned()
    }
}

/// Whether a tile parameter's name says that it is the step of an axis: `T_TILE` of `t`, `GATE_N_TILE` of `cols`.
fn is_step_of(name: &str, axis: &str) -> bool {
    let axis = axis.to_ascii_uppercase();
    let letters: &[&str] = match axis.as_str() {
        "ROW" | "ROWS" => &["M", "T"],
        "COL" | "COLS" => &["N", "D"],
        "INNER" | "K" => &["K", "D"],
        _ => &[],
    };
    name.split('_')
        .any(|part| part == axis || letters.contains(&part))
}

/// What an extent counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Axis {
    Rows,
    /// Columns; those of a product's left operand.
    Cols,
    /// Columns of a product, which are rows of its right operand.
    Product,
}

impl Axis {
    const ALL: [Axis; 3] = [Axis::Rows, Axis::Cols, Axis::Product];

    fn word(self) -> &'static str {
        match self {
            Axis::Rows => "ROWS",
            Axis::Cols => "COLS",
            Axis::Product => "N",
        }
    }

    /// What rows and columns in global memory of a tile are.
    pub fn of_tile(tile: &Tile) -> [Axis; 2] {
        match tile.layout {
            Layout::Zn => [Axis::Product, Axis::Cols],
            Layout::Acc => [Axis::Rows, Axis::Product],
            _ => [Axis::Rows, Axis::Cols],
        }
    }
}

/// A sum of products.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    /// Terms that are added, and terms that are subtracted.
    pub plus: Vec<String>,
    pub minus: Vec<String>,
}

/// How many values a variable takes, and the name of that number.
pub(crate) type Extent = (i64, String);

impl Sum {
    /// A step that takes in all values of another variable of the sum is printed as so many of that one's steps.
    pub fn new(
        expr: &Expr,
        axis: Axis,
        constants: &mut Constants,
        var: impl Fn(Var) -> String,
        extent: impl Fn(Var) -> Option<Extent>,
    ) -> Self {
        // The product of the first variable's extent and step that divides a number, if one does.
        let whole = |n: i64, than: Option<Var>, constants: &mut Constants| {
            let terms = expr
                .terms
                .iter()
                .filter(|(v, c)| Some(*v) != than && *c > 0);
            let (times, name, step) = terms.into_iter().find_map(|(v, c)| {
                let (count, name) = extent(*v)?;
                let all = count.checked_mul(*c)?;
                let fits = count > 1 && all > 0 && n % all == 0 && (than.is_none() || n == all);
                fits.then(|| (n / all, name, *c))
            })?;
            let name = constants.named(&name, n / times / step);
            let factors = [(times != 1).then(|| times.to_string()), Some(name)];
            let step = (step != 1).then(|| constants.of(axis, step));
            let factors = factors.into_iter().chain([step]).flatten();
            Some(factors.collect::<Vec<_>>().join(" * "))
        };
        let mut sum = Sum::default();
        let mut push = |c: i64, text: String| match c < 0 {
            true => sum.minus.push(text),
            false => sum.plus.push(text),
        };
        for (v, c) in &expr.terms {
            let name = var(*v);
            let text = match c.unsigned_abs() {
                1 => name,
                n => {
                    let n = i64::try_from(n).unwrap_or(i64::MAX);
                    let factor = match constants.is_named(axis, n) {
                        true => None,
                        false => whole(n, Some(*v), constants),
                    };
                    let factor = factor.unwrap_or_else(|| constants.of(axis, n));
                    format!("{name} * {factor}")
                }
            };
            push(*c, text);
        }
        if expr.base != 0 {
            let text = match expr.base > 0 {
                true => whole(expr.base, None, constants),
                false => None,
            };
            push(
                expr.base,
                text.unwrap_or_else(|| expr.base.unsigned_abs().to_string()),
            );
        }
        sum
    }

    pub fn is_zero(&self) -> bool {
        self.plus.is_empty() && self.minus.is_empty()
    }

    /// One term, which can be a factor as it is.
    pub fn is_product(&self) -> bool {
        self.plus.len() == 1 && self.minus.is_empty()
    }

    pub fn text(&self) -> String {
        let mut out = self.plus.join(" + ");
        for term in &self.minus {
            out.push_str(if out.is_empty() { "-" } else { " - " });
            out.push_str(term);
        }
        match out.is_empty() {
            true => "0".into(),
            false => out,
        }
    }

    /// `self == 0`, without negative terms.
    pub fn zero(&self) -> String {
        self.compare("==")
    }

    /// `self > 0`, without negative terms.
    pub fn positive(&self) -> String {
        self.compare(">")
    }

    fn compare(&self, with: &str) -> String {
        let side = |terms: &[String]| match terms {
            [] => "0".to_owned(),
            terms => terms.join(" + "),
        };
        format!("{} {with} {}", side(&self.plus), side(&self.minus))
    }
}

/// The rectangles of global memory that a kernel moves, and what their rows and columns are.
fn rectangles(kernel: &Kernel) -> Vec<(&GlobalRef, [Axis; 2])> {
    let mut out = vec![];
    let axes = |r: &TileRef| {
        let tile = kernel.tiles.get(r.tile);
        tile.map_or([Axis::Rows, Axis::Cols], Axis::of_tile)
    };
    kernel.visit(&mut |i| match i {
        Instr::Load { src, dst } => out.push((src, axes(dst))),
        Instr::Store { dst, src } => out.push((dst, axes(src))),
        scalar => {
            let rect = scalar.global();
            out.extend(rect.map(|(_, g)| (g, [Axis::Rows, Axis::Cols])));
        }
    });
    out
}

/// How often each variable occurs in the indices and conditions of some statements.
pub(crate) fn count_vars(body: &[Stmt], of: &mut impl FnMut(Var)) {
    exprs_of(body, &mut |e| e.terms.iter().for_each(|(v, _)| of(*v)));
}

/// Whether an expression is known before the first statement: it is of coordinates of the block and of arguments.
pub(crate) fn is_early(expr: &Expr) -> bool {
    expr.terms
        .iter()
        .all(|(v, _)| matches!(v, Var::Grid(_) | Var::Scalar(_)))
}
