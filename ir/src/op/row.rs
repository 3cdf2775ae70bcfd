//! What a row of the table holds.

use super::attr::{AttrSpec, AttrValue};
use super::check::Check;
use super::shape::Shape;
use super::sign::Sign;
use super::{Binary, Op, OpError, Operator};

/// An operation as people write it.
#[derive(Debug)]
pub struct Row {
    pub name: &'static str,
    /// One line: shapes and meaning.
    pub doc: &'static str,
    /// Inputs, one a line, and then the lines of a kernel that uses it.
    pub example: &'static str,
    /// What each operand is, for messages.
    pub operands: &'static [&'static str],
    pub results: usize,
    pub attrs: &'static [AttrSpec<'static>],
    pub form: Form,
}

/// How a call becomes an operation.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// The primitive with its attributes as numbers.
    Primitive(Operator),
    /// The element-wise form that the operands ask for: a constant on either side, one shape, a row or a column.
    Arithmetic(Binary),
    /// From its attributes. `None` for attributes of the wrong number or kind, which the table's reader never passes.
    Built(fn(&[AttrValue]) -> Option<Op>),
}

/// A primitive: what the graph, the optimizer and the kernels have to know of it.
#[derive(Debug)]
pub struct Primitive {
    pub row: &'static Row,
    /// What operands and attributes have to be, beyond their number and what [`Shape`] says of rows that exist.
    pub check: fn(&Check) -> Result<(), OpError>,
    /// The type of the result.
    pub shape: Shape,
    /// The numbers that its term has behind the operands.
    pub numbers: &'static [NumberKind],
    /// What of the operands a block of the result needs.
    pub access: Access,
    /// The sign of the result, from those of the operands and constants.
    pub sign: fn(&[Sign]) -> Sign,
    /// What computes it.
    pub core: Core,
}

impl Primitive {
    /// Whether its term says how many groups of rows there are, before the operands.
    pub fn grouped(&self) -> bool {
        match self.access {
            Access::Element(parts) => parts.contains(&Part::GroupRow),
            Access::Product { grouped } => grouped,
            _ => false,
        }
    }

    /// How many operands it has, where a constant is none.
    pub fn operands(&self) -> usize {
        match self.access {
            Access::Element(parts) | Access::Row { parts, .. } => parts.len(),
            Access::Reduction
            | Access::Shift
            | Access::Repeat
            | Access::Pad
            | Access::Matrix
            | Access::Turned
            | Access::Recut => 1,
            Access::Product { .. } | Access::Gather | Access::Beside => 2,
        }
    }

    /// How many children its term has: groups, operands, numbers.
    pub fn children(&self) -> usize {
        usize::from(self.grouped()) + self.operands() + self.numbers.len()
    }
}

/// What a number of a term is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberKind {
    /// A place, 0 too.
    Place,
    /// At least 1.
    Size,
    Constant,
}

/// A number that belongs to an operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    Whole(usize),
    Constant(f32),
}

impl From<usize> for Number {
    fn from(n: usize) -> Self {
        Number::Whole(n)
    }
}

impl From<f32> for Number {
    fn from(value: f32) -> Self {
        Number::Constant(value)
    }
}

impl TryFrom<Number> for usize {
    type Error = Number;
    fn try_from(number: Number) -> Result<usize, Number> {
        match number {
            Number::Whole(n) => Ok(n),
            Number::Constant(_) => Err(number),
        }
    }
}

impl TryFrom<Number> for f32 {
    type Error = Number;
    fn try_from(number: Number) -> Result<f32, Number> {
        match number {
            Number::Constant(value) => Ok(value),
            Number::Whole(_) => Err(number),
        }
    }
}

/// What of the operands a block of the result needs: by it the optimizer pushes tiles inwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Element by element, of each operand a part.
    Element(&'static [Part]),
    /// Row by row, of each operand a part; a row at a time if `single`.
    Row {
        parts: &'static [Part],
        single: bool,
    },
    /// A row becomes an element, chunk by chunk.
    Reduction,
    /// Rows of both operands, chunk by chunk of their columns; `grouped`: each group of rows of the first meets rows of its own.
    Product { grouped: bool },
    /// The operand's columns so much further.
    Shift,
    /// The operand's one column.
    Repeat,
    /// The operand's columns, and more that hold a number.
    Pad,
    /// The rows of n x n matrices, one by one.
    Matrix,
    /// Rows of the first operand, by the indices that the second one holds.
    Gather,
    /// The operands beside each other: no block of the result needs both.
    Beside,
    /// The operand's element (j, i): how it is read, and no work of its own.
    Turned,
    /// The operand's elements in their order, in other rows: how it is read from global memory, and no work of its own.
    Recut,
}

/// What a block of the result needs of an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The same block: element (i, j) needs (i, j).
    Block,
    /// One element a row: (i, 0).
    Column,
    /// One element a column: (0, j).
    Row,
    /// One element a column, of the group that row i is in.
    GroupRow,
    /// Whole rows: (i, 0), (i, 1), ...
    Rows,
    /// All of it: a scalar.
    Whole,
}

/// What computes an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Core {
    Vector,
    Cube,
    /// Nothing: its operands are stored where the result has them.
    Storage,
}
