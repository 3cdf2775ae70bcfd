//! Which columns a value has, and where.

use super::attr::{float, size};
use super::check::Check;
use super::row::{Access, Core, Form, NumberKind, Part, Primitive, Row};
use super::shape::{Cols, Rows, Shape};
use super::{OpError, Operator, Prim, Sign};
use crate::dtype::DType;

pub(super) static SLICE_COLS: Primitive = Primitive {
    row: &Row {
        name: "slice_cols",
        doc: "[R, C] -> [R, to - from], or of a vector, columns from..to",
        example: "input x: f32[8, 128]\ny = abs(slice_cols(x, from = 32, to = 96))",
        operands: &["x"],
        results: 1,
        attrs: &[size("from"), size("to")],
        form: Form::Primitive(Operator::SliceCols),
    },
    check: |c| {
        let x = &c.operands[0];
        let (_, columns) = x.matrix();
        if x.shape.is_empty() {
            return Err(c.rank(0, "a matrix or a vector"));
        }
        match *c.prim {
            Prim::SliceCols { from, to } if from >= to || to > columns => {
                let remedy =
                    format!("there are {columns} columns: give 0 <= from < to <= {columns}");
                Err(c.attribute("to", to, &remedy))
            }
            _ => Ok(()),
        }
    },
    shape: Shape {
        cols: Cols::Between,
        ..Shape::SAME
    },
    numbers: &[NumberKind::Place, NumberKind::Size],
    access: Access::Shift,
    sign: |_| Sign::Unknown,
    core: Core::Vector,
};

pub(super) static CONCAT_COLS: Primitive = Primitive {
    row: &Row {
        name: "concat_cols",
        doc: "[R, A], [R, B] -> [R, A + B], the columns of b after those of a",
        example: "input a: f32[8, 64]\ninput b: f32[8, 32]\ny = concat_cols(abs(a), exp(b))",
        operands: &["a", "b"],
        results: 1,
        attrs: &[],
        form: Form::Primitive(Operator::ConcatCols),
    },
    check: |c| {
        c.same_element()?;
        match c.matrix(0)?.0 == c.matrix(1)?.0 {
            true => Ok(()),
            false => Err(c.shapes("both operands have the same rows: make the first sizes equal")),
        }
    },
    shape: Shape {
        cols: Cols::Both,
        ..Shape::of(&[0, 1], &[])
    },
    numbers: &[],
    access: Access::Beside,
    sign: |_| Sign::Unknown,
    core: Core::Storage,
};

pub(super) static TRANSPOSE: Primitive = Primitive {
    row: &Row {
        name: "transpose",
        doc: "[R, C] -> [C, R], rows become columns; what a product reads on its right side is never stored so",
        example: "input a: bf16[16, 64]\ninput b: bf16[64, 32]\ny = matmul_nt(a, transpose(b))",
        operands: &["x"],
        results: 1,
        attrs: &[],
        form: Form::Primitive(Operator::Transpose),
    },
    check: |c| c.matrix(0).map(|_| ()),
    shape: Shape {
        rows: Rows::ForEach(0),
        cols: Cols::RowsOf(0),
        ..Shape::SAME
    },
    numbers: &[],
    access: Access::Turned,
    sign: |s| s[0],
    core: Core::Storage,
};

pub(super) static REPEAT_COLS: Primitive = Primitive {
    row: &Row {
        name: "repeat_cols",
        doc: "[R, 1] -> [R, to], or [1] -> [to], the one column again and again",
        example: "input x: f32[8, 1]\ny = repeat_cols(x, to = 64)",
        operands: &["x"],
        results: 1,
        attrs: &[size("to")],
        form: Form::Primitive(Operator::RepeatCols),
    },
    check: |c| {
        if c.operands[0].shape.last().is_none_or(|d| d.size != 1) {
            return Err(c.rank(0, "one column, [R, 1] or [1]"));
        }
        match *c.prim {
            Prim::RepeatCols { cols: 0 } => Err(c.attribute("to", 0, "give at least 1")),
            _ => Ok(()),
        }
    },
    shape: Shape {
        cols: Cols::Number(0),
        ..Shape::SAME
    },
    // Of a block, its columns, and then those of the value.
    numbers: &[NumberKind::Size, NumberKind::Size],
    access: Access::Repeat,
    sign: |_| Sign::Unknown,
    core: Core::Vector,
};

pub(super) static PAD_COLS: Primitive = Primitive {
    row: &Row {
        name: "pad_cols",
        doc: "[R, C] -> [R, to], the new columns hold the value (`lowest` is minus infinity)",
        example: "input x: f32[8, 48]\ny = pad_cols(exp(x), to = 64, value = lowest)",
        operands: &["x"],
        results: 1,
        attrs: &[size("to"), float("value")],
        form: Form::Primitive(Operator::PadCols),
    },
    check: |c| {
        let Prim::PadCols { cols, value } = *c.prim else {
            return Ok(());
        };
        c.filling("value", value)?;
        let (_, columns) = c.matrix(0)?;
        if cols < columns.size {
            let remedy = format!("padding adds columns: give at least {}", columns.size);
            return Err(c.attribute("to", cols, &remedy));
        }
        Ok(())
    },
    shape: Shape {
        cols: Cols::Number(0),
        ..Shape::SAME
    },
    numbers: &[NumberKind::Size, NumberKind::Constant],
    access: Access::Pad,
    sign: |_| Sign::Unknown,
    core: Core::Vector,
};

pub(super) static GATHER_COLS: Primitive = Primitive {
    row: &Row {
        name: "gather_cols",
        doc: "[R, C], i32 [R, K] -> [R, K], x at the columns of idx",
        example: "input x: f32[8, 64]\ninput idx: i32[8, 8] < 64\ny = gather_cols(x, idx)",
        operands: &["x", "idx"],
        results: 1,
        attrs: &[],
        form: Form::Primitive(Operator::GatherCols),
    },
    check: gathers,
    shape: Shape::of(&[0, 1], &[1]),
    numbers: &[],
    access: Access::Row {
        parts: &[Part::Rows, Part::Block],
        single: true,
    },
    sign: |s| s[0],
    core: Core::Vector,
};

fn gathers(c: &Check) -> Result<(), OpError> {
    let (r, _) = c.matrix(0)?;
    c.element(1, "i32 column numbers", |d| d == DType::I32)?;
    match r == c.matrix(1)?.0 {
        true => Ok(()),
        false => Err(c.shapes("both operands have one row a token: make the first sizes equal")),
    }
}
