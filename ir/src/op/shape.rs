//! The rule of an operation's result type, written once: the graph asks it for types with axes, terms and kernels for extents.

use super::row::Number;
use super::{Dim, Operator, Type};
use crate::dtype::DType;

/// The type of a result, from those of the operands. A matrix is `[rows, cols]`; a vector has columns only, a scalar neither.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub rows: Rows,
    pub cols: Cols,
    pub element: Element,
}

/// The rows of a result.
#[derive(Debug, Clone, Copy)]
pub enum Rows {
    /// Those of these operands, which agree: a row of the result is of that row of theirs.
    Of(&'static [usize]),
    /// One for each element of a vector.
    ForEach(usize),
    /// As many as a number says.
    Number(usize),
}

/// The columns of a result.
#[derive(Debug, Clone, Copy)]
pub enum Cols {
    /// Those of these operands, which agree.
    Of(&'static [usize]),
    One,
    /// As many as the operand has rows.
    RowsOf(usize),
    /// As many as the operand has rows for each group of the first operand.
    GroupRowsOf(usize),
    /// As many as a number says.
    Number(usize),
    /// As many as the square of a number.
    Square(usize),
    /// From the first number to the second.
    Between,
    /// Those of both operands.
    Both,
}

/// The element type of a result.
#[derive(Debug, Clone, Copy)]
pub enum Element {
    /// That of the first operand.
    Same,
    Is(DType),
    /// That of a cast.
    Cast,
    /// What products of the first operand's type are summed in: f32, or i32 for i8.
    Sum,
}

impl Shape {
    /// Of the first operand's type.
    pub const SAME: Shape = Shape::of(&[0], &[0]);

    /// Of the first operand's element type, with rows and columns of these operands.
    pub const fn of(rows: &'static [usize], cols: &'static [usize]) -> Shape {
        Shape {
            rows: Rows::Of(rows),
            cols: Cols::Of(cols),
            element: Element::Same,
        }
    }

    /// The element type of the result, for a first operand of some type.
    pub fn dtype(&self, operator: Operator, first: DType) -> DType {
        match (self.element, operator) {
            (Element::Is(dtype), _) | (Element::Cast, Operator::Cast(dtype, _)) => dtype,
            (Element::Sum, _) if first == DType::I8 => DType::I32,
            (Element::Sum, _) => DType::F32,
            (Element::Same | Element::Cast, _) => first,
        }
    }

    /// Rows and columns of the result, for operands of some extents. `blocks`: the operands are blocks of values, and the result
    /// is the block of theirs that they give.
    pub fn extent(
        &self,
        blocks: bool,
        groups: usize,
        operand: impl Fn(usize) -> (usize, usize),
        number: impl Fn(usize) -> usize,
    ) -> (usize, usize) {
        let rows = match self.rows {
            Rows::Of(operands) => operand(operands[0]).0,
            Rows::ForEach(i) => operand(i).1,
            Rows::Number(n) => number(n),
        };
        let cols = match self.cols {
            Cols::Of(operands) => operand(operands[0]).1,
            Cols::One => 1,
            Cols::RowsOf(i) => operand(i).0,
            Cols::GroupRowsOf(i) => operand(i).0 / groups.max(1),
            Cols::Number(n) => number(n),
            Cols::Square(n) => number(n).saturating_mul(number(n)),
            // The columns of a block are those of the block that it is cut from, only further.
            Cols::Between if blocks => operand(0).1,
            Cols::Between => number(1).saturating_sub(number(0)),
            Cols::Both => operand(0).1 + operand(1).1,
        };
        (rows, cols)
    }

    /// The operands whose rows become the result's: they exist where those do.
    pub fn by_rows(&self) -> &'static [usize] {
        match self.rows {
            Rows::Of(operands) => operands,
            Rows::ForEach(_) | Rows::Number(_) => &[],
        }
    }

    /// The type of the result of an operation with its numbers, for operands that it takes. Dimensions keep the names of the
    /// operands' dimensions that they come from.
    pub(super) fn ty(&self, operator: Operator, numbers: &[Number], operands: &[Type]) -> Type {
        let first = &operands[0];
        let number = |i: usize| match numbers.get(i) {
            Some(Number::Whole(n)) => *n,
            _ => 0,
        };
        let groups = first.ragged.as_ref().map_or(1, |r| r.groups);
        let extent = |i: usize| operands[i].matrix();
        let (height, cols) = self.extent(false, groups, extent, number);
        let row_of = |i: &usize| {
            operands[*i]
                .shape
                .first()
                .filter(|_| operands[*i].shape.len() > 1)
        };
        let col_of = |i: &usize| operands[*i].shape.last();
        let rows = match self.rows {
            Rows::Of(all) => named(all.iter().filter_map(row_of)),
            Rows::ForEach(i) => col_of(&i).cloned(),
            // A number keeps the name of the operand's rows where there are as many.
            Rows::Number(_) => row_of(&0)
                .filter(|d| d.size == height)
                .cloned()
                .or(Some(Dim::new(height))),
        };
        let cols = match self.cols {
            Cols::Of(all) => named(all.iter().filter_map(col_of)),
            Cols::Square(_) => col_of(&0).cloned(),
            Cols::RowsOf(i) => row_of(&i).cloned(),
            Cols::GroupRowsOf(i) => row_of(&i).map(|d| d.part(groups)),
            Cols::Between => col_of(&0).map(|d| {
                let whole = d.size.is_multiple_of(cols) && number(0).is_multiple_of(cols);
                match whole {
                    true => d.part(d.size / cols),
                    false => Dim::new(cols),
                }
            }),
            Cols::One | Cols::Number(_) | Cols::Both => Some(Dim::new(cols)),
        };
        let rank = first.shape.len();
        let rows = rows.filter(|_| rank > 1);
        let cols = cols.filter(|_| rank > 0);
        let shape: Vec<Dim> = rows.into_iter().chain(cols).collect();
        Type::new(self.dtype(operator, first.dtype), shape)
    }
}

/// Of equal sizes, the first that has a name.
fn named<'a>(dims: impl Iterator<Item = &'a Dim>) -> Option<Dim> {
    dims.reduce(|a, b| either(a, b)).cloned()
}

/// Of two equal sizes, the one that has a name.
pub(super) fn either<'a>(a: &'a Dim, b: &'a Dim) -> &'a Dim {
    if a.axis.is_some() { a } else { b }
}
