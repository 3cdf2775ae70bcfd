//! What is computed of whole rows.

use super::attr::{float, size};
use super::check::Check;
use super::elements::{FLOATS, NUMBERS, ReduceInstr};
use super::row::{Access, Core, Form, NumberKind, Part, Primitive, Row};
use super::shape::{Cols, Rows, Shape};
use super::{Binary, OpError, Operator, Prim, Sign, table};
use crate::dtype::DType;

/// What is to be said of a reduction of a row to one element.
#[derive(Debug)]
pub struct ReduceRow {
    pub primitive: Primitive,
    /// Its name without `row_`.
    pub name: &'static str,
    /// The element-wise function that joins two partial results.
    pub combine: Binary,
    pub instr: ReduceInstr,
}

macro_rules! reduction {
    ($reduce:ident, $name:literal, $doc:literal) => {
        Primitive {
            row: &Row {
                name: concat!("row_", $name),
                doc: concat!("[R, C] -> [R, 1], ", $doc),
                example: concat!("input x: f32[8, 64]\ny = row_", $name, "(x)"),
                operands: &["x"],
                results: 1,
                attrs: &[],
                form: Form::Primitive(Operator::Reduce(Reduce::$reduce)),
            },
            check: |c| c.matrix(0).map(|_| ()),
            shape: Shape {
                cols: Cols::One,
                ..Shape::SAME
            },
            numbers: &[],
            access: Access::Reduction,
            sign: |s| s[0],
            core: Core::Vector,
        }
    };
}

table! {
    /// Reductions of a row to one element.
    Reduce: ReduceRow {
        Sum => ReduceRow {
            primitive: reduction!(Sum, "sum", "the sum of each row"),
            name: "sum",
            combine: Binary::Add,
            instr: ReduceInstr {
                isa: "TROWSUM",
                pypto: "row_sum",
                cost: ["row_sum_f16", "row_sum_f32"],
                types: FLOATS,
                reordered: [1e-3, 1e-5],
            },
        },
        Max => ReduceRow {
            primitive: reduction!(Max, "max", "the largest of each row"),
            name: "max",
            combine: Binary::Max,
            instr: ReduceInstr {
                isa: "TROWMAX",
                pypto: "row_max",
                cost: ["row_max_f16", "row_max_f32"],
                types: NUMBERS,
                reordered: [0.0; 2],
            },
        },
        Min => ReduceRow {
            primitive: reduction!(Min, "min", "the smallest of each row"),
            name: "min",
            combine: Binary::Min,
            instr: ReduceInstr {
                isa: "TROWMIN",
                pypto: "row_min",
                cost: ["row_max_f16", "row_max_f32"],
                types: NUMBERS,
                reordered: [0.0; 2],
            },
        },
    }
}

impl Reduce {
    /// The name in the text of a program.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The element-wise function that joins two partial results.
    pub fn combine(self) -> Binary {
        self.row().combine
    }
}

/// What is computed of whole rows, one at a time.
const OF_ROW: Access = Access::Row {
    parts: &[Part::Rows],
    single: true,
};

pub(super) static RESHAPE: Primitive = Primitive {
    row: &Row {
        name: "reshape",
        doc: "[A, B] -> [rows, cols], the same elements row by row; how a value that lies in memory is read, no copy",
        example: "input x: f32[8, 128]\ny = row_sum(reshape(x, rows = 32, cols = 32))",
        operands: &["x"],
        results: 1,
        attrs: &[size("rows"), size("cols")],
        form: Form::Primitive(Operator::Reshape),
    },
    check: |c| {
        let (high, wide) = c.matrix(0)?;
        if c.operands[0].ragged.is_some() {
            return Err(OpError::RaggedRows {
                op: c.op.into(),
                operand: 1,
                found: c.operands[0].clone(),
                expected: "all there".into(),
                remedy: "other rows would be of several groups: reshape what is computed of a row, or an operand without \
                         `ragged`",
            });
        }
        let elements = high.size.checked_mul(wide.size);
        match *c.prim {
            Prim::Reshape { rows, cols } if rows.checked_mul(cols) != elements => {
                let remedy = match elements {
                    Some(n) if cols > 0 && n.is_multiple_of(cols) => {
                        format!("of {n} elements in rows of {cols} there are {}", n / cols)
                    }
                    Some(n) => format!("give sizes whose product is {n}, the number of elements"),
                    None => "give sizes of as many elements".into(),
                };
                Err(c.attribute("rows", rows, &remedy))
            }
            _ => Ok(()),
        }
    },
    shape: Shape {
        rows: Rows::Number(0),
        cols: Cols::Number(1),
        ..Shape::SAME
    },
    numbers: &[NumberKind::Size, NumberKind::Size],
    access: Access::Recut,
    sign: |s| s[0],
    core: Core::Storage,
};

pub(super) static CUMSUM: Primitive = Primitive {
    row: &Row {
        name: "cumsum",
        doc: "f32 or i32 [R, C] -> [R, C], of each row the sum up to each element, with it",
        example: "input x: f32[8, 64]\ny = cumsum(x)",
        operands: &["x"],
        results: 1,
        attrs: &[],
        form: Form::Primitive(Operator::Cumsum),
    },
    check: |c| of_elements(c, "f32 or i32", &[DType::F32, DType::I32]),
    shape: Shape::SAME,
    numbers: &[],
    access: OF_ROW,
    sign: |s| s[0],
    core: Core::Vector,
};

pub(super) static ROW_PROD: Primitive = Primitive {
    row: &Row {
        name: "row_prod",
        doc: "f32 [R, C] -> [R, 1], the product of each row",
        example: "input x: f32[8, 64] ~ normal(1, 0.1)\ny = row_prod(x)",
        operands: &["x"],
        results: 1,
        attrs: &[],
        form: Form::Primitive(Operator::RowProd),
    },
    check: |c| of_elements(c, "f32", &[DType::F32]),
    shape: Shape {
        cols: Cols::One,
        ..Shape::SAME
    },
    numbers: &[],
    access: OF_ROW,
    sign: |s| s[0],
    core: Core::Vector,
};

/// A matrix of these elements.
fn of_elements(c: &Check, expected: &str, types: &[DType]) -> Result<(), OpError> {
    c.element(0, expected, |d| types.contains(&d))?;
    c.matrix(0).map(|_| ())
}

pub(super) static MASK_ROWS: Primitive = Primitive {
    row: &Row {
        name: "mask_rows",
        doc: "[R, C], i32 scalar -> [R, C], rows from the count on become zero",
        example: "input x: f32[8, 64]\ninput count: i32 <= 8\ny = mask_rows(x, count)",
        operands: &["x", "count"],
        results: 1,
        attrs: &[],
        form: Form::Primitive(Operator::MaskRows),
    },
    check: |c| {
        c.matrix(0)?;
        c.element(1, "an i32 count", |d| d == DType::I32)?;
        if !c.operands[1].shape.is_empty() {
            return Err(c.rank(1, "a scalar (rank 0)"));
        }
        // It counts all rows, those too that do not exist.
        c.ragged(&[]).map(|_| ())
    },
    shape: Shape::SAME,
    numbers: &[],
    access: Access::Element(&[Part::Block, Part::Whole]),
    sign: |s| s[0].min(Sign::NonNegative),
    core: Core::Vector,
};

pub(super) static GATHER_ROWS: Primitive = Primitive {
    row: &Row {
        name: "gather_rows",
        doc: "[V, K], i64 [R] -> [R, K], the table's rows at ids",
        example: "input table: f32[100, 64]\ninput ids: i64[8] < 100\ny = gather_rows(table, ids)",
        operands: &["table", "ids"],
        results: 1,
        attrs: &[],
        form: Form::Primitive(Operator::GatherRows),
    },
    check: |c| {
        c.matrix(0)?;
        c.element(1, "i64 row numbers", |d| d == DType::I64)?;
        c.vector(1).map(|_| ())
    },
    shape: Shape {
        rows: Rows::ForEach(1),
        ..Shape::SAME
    },
    numbers: &[],
    access: Access::Gather,
    sign: |_| Sign::Unknown,
    core: Core::Vector,
};

pub(super) static SINKHORN: Primitive = Primitive {
    row: &Row {
        name: "sinkhorn",
        doc: "f32 [R, n * n] -> [R, n * n], each row an n x n matrix of logits, made doubly stochastic: softmax of its rows plus eps, then columns and rows divided by their sums plus eps in turn, columns `iterations` times in all",
        example: "input x: f32[8, 16]\ny = sinkhorn(x, n = 4, iterations = 3, eps = 1e-6)",
        operands: &["x"],
        results: 1,
        attrs: &[size("n"), size("iterations"), float("eps")],
        form: Form::Primitive(Operator::Sinkhorn),
    },
    check: |c| {
        let Prim::Sinkhorn { n, iterations, eps } = *c.prim else {
            return Ok(());
        };
        if !(eps >= 0.0 && eps.is_finite()) {
            return Err(c.attribute("eps", eps, "give a small positive number such as 1e-6"));
        }
        c.element(0, "f32", |d| d == DType::F32)?;
        let (_, columns) = c.matrix(0)?;
        if n == 0 || n.checked_mul(n) != Some(columns.size) {
            let columns = columns.size;
            let remedy = format!("a row of {columns} columns is to be an n x n matrix");
            return Err(c.attribute("n", n, &remedy));
        }
        match (1..=1000).contains(&iterations) {
            true => Ok(()),
            false => Err(c.attribute("iterations", iterations, "give 1 to 1000")),
        }
    },
    shape: Shape {
        cols: Cols::Square(0),
        ..Shape::SAME
    },
    numbers: &[NumberKind::Size, NumberKind::Size, NumberKind::Constant],
    access: Access::Matrix,
    sign: |_| Sign::Unknown,
    core: Core::Vector,
};
