//! Matrix products.

use super::check::Check;
use super::row::{Access, Core, Form, Primitive, Row};
use super::shape::{Cols, Element, Shape};
use super::{OpError, Operator, Sign};
use crate::dtype::DType;

pub(super) static MATMUL_NT: Primitive = Primitive {
    row: &Row {
        name: "matmul_nt",
        doc: "[M, K], [N, K] -> [M, N], a times b transposed; f32, or i32 for i8",
        example: "input a: bf16[16, 64]\ninput b: bf16[32, 64]\ny = matmul_nt(a, b)",
        operands: &["a", "b"],
        results: 1,
        attrs: &[],
        form: Form::Primitive(Operator::MatmulNt),
    },
    check: multiplies,
    shape: Shape {
        cols: Cols::RowsOf(1),
        element: Element::Sum,
        ..Shape::SAME
    },
    numbers: &[],
    access: Access::Product { grouped: false },
    sign: |s| s[0].min(s[1]).min(Sign::NonNegative),
    core: Core::Cube,
};

pub(super) static GROUPED_MATMUL_NT: Primitive = Primitive {
    row: &Row {
        name: "grouped_matmul_nt",
        doc: "ragged [G * R, K], [G * N, K] -> ragged [G * R, N], rows of group g times rows g * N.. of b, transposed",
        example: "input counts: i32[4, 1] <= 16\n\
                  input a: bf16[4 * 16, 64] ragged counts\n\
                  input b: bf16[4 * 32, 64]\n\
                  y = grouped_matmul_nt(a, b)",
        operands: &["a", "b"],
        results: 1,
        attrs: &[],
        form: Form::Primitive(Operator::GroupedMatmulNt),
    },
    check: |c| {
        factors(c)?;
        let groups = c.groups()?;
        inner(c)?;
        match c.matrix(1)?.0.size.is_multiple_of(groups) {
            true => Ok(()),
            false => Err(c.shapes(
                "the second operand has as many rows for each group of the first: make its rows a multiple of the groups",
            )),
        }
    },
    shape: Shape {
        cols: Cols::GroupRowsOf(1),
        element: Element::Sum,
        ..Shape::SAME
    },
    numbers: &[],
    access: Access::Product { grouped: true },
    sign: |_| Sign::Unknown,
    core: Core::Cube,
};

fn multiplies(c: &Check) -> Result<(), OpError> {
    factors(c)?;
    inner(c)
}

/// What the cube multiplies.
fn factors(c: &Check) -> Result<(), OpError> {
    c.same_element()?;
    c.element(0, "f32, bf16, f16 or i8", |d| {
        d.is_float() || d == DType::I8
    })
}

/// The columns of both are what is summed over.
fn inner(c: &Check) -> Result<(), OpError> {
    match c.matrix(0)?.1 == c.matrix(1)?.1 {
        true => Ok(()),
        false => {
            Err(c.shapes("both operands end in the summed dimension: make the last sizes equal"))
        }
    }
}
