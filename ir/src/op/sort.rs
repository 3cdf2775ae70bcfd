//! Sorting.

use super::attr::size;
use super::row::{Access, Core, Form, NumberKind, Part, Primitive, Row};
use super::shape::{Cols, Element, Shape};
use super::{Operator, Prim, Sign};
use crate::dtype::DType;

pub(super) static TOP_K: Primitive = Primitive {
    row: &Row {
        name: "top_k",
        doc: "[R, C] -> i32 [R, k], columns of the k largest, descending, ties to the lower column",
        example: "input x: f32[8, 64]\ny = top_k(x, k = 8)",
        operands: &["x"],
        results: 1,
        attrs: &[size("k")],
        form: Form::Primitive(Operator::TopK),
    },
    check: |c| {
        c.float(0)?;
        let (_, columns) = c.matrix(0)?;
        let columns = columns.size;
        match *c.prim {
            Prim::TopK { k } if k == 0 || k > columns => {
                let remedy = format!("a row has {columns} columns: give 1 to {columns}");
                Err(c.attribute("k", k, &remedy))
            }
            _ => Ok(()),
        }
    },
    shape: Shape {
        cols: Cols::Number(0),
        element: Element::Is(DType::I32),
        ..Shape::SAME
    },
    numbers: &[NumberKind::Size],
    access: Access::Row {
        parts: &[Part::Rows],
        single: true,
    },
    sign: |_| Sign::Unknown,
    core: Core::Vector,
};
