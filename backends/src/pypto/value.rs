//! What the variable of a tile holds, as the language infers it from what the variable was assigned.
//!
//! A tile of the language has a shape and a valid part from (0, 0), and the result of an operation takes both from its
//! operands. The program says for every instruction what it works on. Where the two differ, an operand is narrowed in place
//! of what the program's instruction does by itself, or the instruction has no form.

use tilewright_ir::kernel::{Expr, Layout, Space, Tile};

/// How many rows are valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rows {
    Fixed(usize),
    /// As many as the expression says, from 0 to so many.
    Counted(Expr, usize),
}

impl Rows {
    pub fn limit(&self) -> usize {
        match self {
            Rows::Fixed(n) | Rows::Counted(_, n) => *n,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Value {
    pub rows: usize,
    pub cols: usize,
    pub valid_rows: Rows,
    pub valid_cols: usize,
    /// The constant that all of it is.
    pub filled: Option<f32>,
}

impl Value {
    /// A tile with so many rows of it, counted where there is an expression.
    pub fn of(tile: &Tile, rows: Option<&Expr>) -> Self {
        let (r, c) = shape(tile);
        Value {
            rows: r,
            cols: c,
            valid_rows: counted(rows, tile.valid_rows),
            valid_cols: tile.valid_cols,
            filled: None,
        }
    }

    /// All of it is valid.
    pub fn whole(rows: usize, cols: usize) -> Self {
        Value {
            rows,
            cols,
            valid_rows: Rows::Fixed(rows),
            valid_cols: cols,
            filled: None,
        }
    }

    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    pub fn is_whole(&self) -> bool {
        self.valid_rows == Rows::Fixed(self.rows) && self.valid_cols == self.cols
    }

    /// Whether shape and valid part are those of another one.
    pub fn is_like(&self, other: &Value) -> bool {
        self.shape() == other.shape()
            && (&self.valid_rows, self.valid_cols) == (&other.valid_rows, other.valid_cols)
    }

    /// For messages.
    pub fn words(&self) -> String {
        let rows = match &self.valid_rows {
            Rows::Fixed(n) => n.to_string(),
            Rows::Counted(_, n) => format!("up to {n}"),
        };
        let shape = format!("{} x {}", self.rows, self.cols);
        match self.is_whole() {
            true => shape,
            false => format!("{shape} with {rows} x {} valid", self.valid_cols),
        }
    }
}

/// Rows that are counted at run time. Of one row it is all: instructions on rows run where the count is positive.
pub(super) fn counted(rows: Option<&Expr>, limit: usize) -> Rows {
    match rows {
        Some(e) if limit > 1 => Rows::Counted(e.clone(), limit),
        _ => Rows::Fixed(limit),
    }
}

/// The shape of a tile in the language. Rows of the unified buffer are as many as there are, since padding of columns to whole
/// blocks is a matter of addresses; rows of cube operands are whole fractals, as products need them.
pub(super) fn shape(tile: &Tile) -> (usize, usize) {
    match (tile.space, tile.layout) {
        (Space::Ub, Layout::ColMajor) => (tile.valid_rows, tile.valid_cols),
        (Space::Ub, _) => (tile.valid_rows, tile.cols),
        _ => (tile.rows, tile.cols),
    }
}
