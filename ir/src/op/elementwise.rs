//! Functions of each element by itself, also where an operand is broadcast.

use super::attr::{AttrKind, AttrSpec, AttrValue, required};
use super::check::{Check, anything};
use super::row::{Access, Core, Form, NumberKind, Part, Primitive, Row};
use super::shape::{Element, Shape};
use super::{Op, OpError, Operator, Prim, Sign, table};
use crate::dtype::{DType, Round};

pub(super) static CAST: Primitive = Primitive {
    row: &Row {
        name: "cast",
        doc: "each element as another type; round = rint, round, trunc, floor or ceil",
        example: "input x: f32[8, 64]\ny = cast(x, to = bf16)",
        operands: &["x"],
        results: 1,
        attrs: &[
            required("to", AttrKind::DType),
            AttrSpec {
                name: "round",
                kind: AttrKind::Round,
                default: Some(AttrValue::Round(Round::Rint)),
            },
        ],
        form: Form::Built(|a| match *a {
            [AttrValue::DType(to), AttrValue::Round(round)] => {
                Some(Op::Prim(Prim::Cast { to, round }))
            }
            _ => None,
        }),
    },
    check: anything,
    shape: Shape {
        element: Element::Cast,
        ..Shape::SAME
    },
    numbers: &[],
    access: Access::Element(&[Part::Block]),
    sign: |s| s[0],
    core: Core::Vector,
};
use super::elements::{
    BinaryInstr, InstrForms, UnaryInstr, isa_forms, maximum, minimum, pairs, pypto_forms,
};

/// What is to be said of a function of one element.
#[derive(Debug)]
pub struct UnaryRow {
    pub primitive: Primitive,
    /// Whether signed integers have it too, saturated.
    pub integers: bool,
    /// Whether it is +0 at +0.
    pub keeps_zero: bool,
    /// Whether the result is the operand but for its sign, or a zero: so it is exact in every type that holds the operand.
    pub selects: bool,
    /// The result, where every machine has the same to the bit.
    pub exact: Option<fn(f32) -> f32>,
    pub instr: UnaryInstr,
}

/// A function of one element, of which no sign is known.
const fn of_one(row: &'static Row) -> Primitive {
    Primitive {
        row,
        check: has_function,
        shape: Shape::SAME,
        numbers: &[],
        access: Access::Element(&[Part::Block]),
        sign: |_| Sign::Unknown,
        core: Core::Vector,
    }
}

macro_rules! function {
    ($function:ident, $name:literal, $doc:literal, $input:literal) => {
        &Row {
            name: $name,
            doc: $doc,
            example: concat!($input, "\ny = ", $name, "(x)"),
            operands: &["x"],
            results: 1,
            attrs: &[],
            form: Form::Primitive(Operator::Unary(Unary::$function)),
        }
    };
}

table! {
    /// Element-wise functions of one operand.
    Unary: UnaryRow {
        Abs => UnaryRow {
            primitive: Primitive {
                sign: |s| s[0].max(Sign::NonNegative),
                ..of_one(function!(Abs, "abs", "the magnitude of each element", "input x: f32[8, 64]"))
            },
            integers: true,
            keeps_zero: true,
            selects: true,
            exact: Some(f32::abs),
            instr: UnaryInstr {
                isa: "TABS",
                pypto: "abs",
                cost: "vabs",
                float: f32::abs,
                integer: None,
                ulps: 0,
            },
        },
        Exp => UnaryRow {
            primitive: Primitive {
                sign: |_| Sign::Positive,
                ..of_one(function!(Exp, "exp", "e to the power of each element", "input x: f32[8, 64]"))
            },
            integers: false,
            keeps_zero: false,
            selects: false,
            exact: None,
            instr: UnaryInstr {
                isa: "TEXP",
                pypto: "exp",
                cost: "vexp",
                float: |x| f64::from(x).exp() as f32,
                integer: None,
                ulps: 1,
            },
        },
        Log => UnaryRow {
            primitive: of_one(function!(
                Log,
                "log",
                "the natural logarithm of each element",
                "input x: f32[8, 64] ~ normal(4, 0.5)"
            )),
            integers: false,
            keeps_zero: false,
            selects: false,
            exact: None,
            instr: UnaryInstr {
                isa: "TLOG",
                pypto: "log",
                cost: "vln",
                float: |x| f64::from(x).ln() as f32,
                integer: None,
                ulps: 1,
            },
        },
        Sqrt => UnaryRow {
            primitive: Primitive {
                sign: |s| s[0],
                ..of_one(function!(
                    Sqrt,
                    "sqrt",
                    "the square root of each element",
                    "input x: f32[8, 64] ~ normal(4, 0.5)"
                ))
            },
            integers: false,
            keeps_zero: true,
            selects: false,
            exact: Some(f32::sqrt),
            instr: UnaryInstr {
                isa: "TSQRT",
                pypto: "sqrt",
                cost: "vsqrt",
                float: f32::sqrt,
                integer: None,
                ulps: 0,
            },
        },
        Relu => UnaryRow {
            primitive: Primitive {
                sign: |_| Sign::NonNegative,
                ..of_one(function!(Relu, "relu", "each element, or 0 where it is below 0", "input x: f32[8, 64]"))
            },
            integers: true,
            keeps_zero: true,
            selects: true,
            exact: Some(|x| maximum(x, 0.0)),
            instr: UnaryInstr {
                isa: "TRELU",
                pypto: "relu",
                cost: "vrelu",
                float: |x| maximum(x, 0.0),
                integer: Some(|x| x.max(0)),
                ulps: 0,
            },
        },
        Neg => UnaryRow {
            primitive: of_one(function!(Neg, "neg", "minus each element", "input x: f32[8, 64]")),
            integers: true,
            keeps_zero: false,
            selects: true,
            exact: Some(|x| -x),
            instr: UnaryInstr {
                isa: "TNEG",
                pypto: "neg",
                // A product with -1.
                cost: "vmuls",
                float: |x| -x,
                integer: Some(i64::saturating_neg),
                ulps: 0,
            },
        },
    }
}

impl Unary {
    /// Its name in the text form, in terms and in messages.
    pub fn name(self) -> &'static str {
        self.row().primitive.row.name
    }
}

fn has_function(c: &Check) -> Result<(), OpError> {
    match c.prim {
        Prim::Unary(f) if f.row().integers => c.element(0, "a signed type", |d| d != DType::U32),
        _ => c.float(0),
    }
}

/// What is to be said of a function of two elements.
#[derive(Debug)]
pub struct BinaryRow {
    pub forms: Forms,
    /// Whether `a op b` is `b op a`.
    pub commutes: bool,
    /// Whether integers have it too, saturated.
    pub integers: bool,
    /// Whether the result is one of the operands: so it is exact in every type that holds them.
    pub selects: bool,
    /// The sign of `a op b`.
    pub sign: fn(Sign, Sign) -> Sign,
    pub instr: BinaryInstr,
}

/// The primitives that a function of two elements makes, by its operands.
#[derive(Debug)]
pub struct Forms {
    /// With a constant on the right, and on the left.
    pub constant: Primitive,
    pub constant_left: Primitive,
    /// Of two operands of one shape.
    pub pair: Primitive,
    /// With one element a row, one a column, and one a column for each group of rows.
    pub by_row: Primitive,
    pub by_column: Primitive,
    pub by_group: Primitive,
}

macro_rules! forms {
    ($function:ident, $name:literal, $doc:literal, $broadcast:literal) => {{
        const ROW: &Row = &Row {
            name: $name,
            doc: $doc,
            example: concat!(
                "input a: f32[8, 64]\ninput b: f32[8, 64]\ny = ",
                $name,
                "(a, b)"
            ),
            operands: &["a", "b"],
            results: 1,
            attrs: &[],
            form: Form::Arithmetic(Binary::$function),
        };
        const BY_ROW: &Row = &Row {
            name: concat!("row_", $broadcast),
            doc: "[R, C], [R, 1] -> [R, C], with one element a row",
            example: concat!(
                "input x: f32[8, 64]\ninput s: f32[8, 1]\ny = row_",
                $broadcast,
                "(x, s)"
            ),
            operands: &["x", "column"],
            form: Form::Primitive(Operator::RowBinary(Binary::$function)),
            results: 1,
            attrs: &[],
        };
        const BY_COLUMN: &Row = &Row {
            name: concat!("col_", $broadcast),
            doc: "[R, C], [C] -> [R, C], with one element a column",
            example: concat!(
                "input x: f32[8, 64]\ninput w: f32[64]\ny = col_",
                $broadcast,
                "(x, w)"
            ),
            operands: &["x", "row"],
            form: Form::Primitive(Operator::ColBinary(Binary::$function)),
            results: 1,
            attrs: &[],
        };
        const BY_GROUP: &Row = &Row {
            name: concat!("group_col_", $broadcast),
            doc: "ragged [G * R, C], [G, C] -> ragged [G * R, C], with one row of elements a group",
            example: concat!(
                "input counts: i32[4, 1] <= 8\n\
                         input x: f32[4 * 8, 64] ragged counts\n\
                         input w: f32[4, 64]\n\
                         y = group_col_",
                $broadcast,
                "(x, w)"
            ),
            operands: &["x", "rows"],
            form: Form::Primitive(Operator::GroupColBinary(Binary::$function)),
            results: 1,
            attrs: &[],
        };
        Forms {
            constant: Primitive {
                check: with_constant,
                sign: |s| (Binary::$function.row().sign)(s[0], s[1]),
                ..of_constant(ROW)
            },
            constant_left: Primitive {
                check: with_constant_left,
                sign: |s| (Binary::$function.row().sign)(s[1], s[0]),
                ..of_constant(ROW)
            },
            pair: Primitive {
                check: of_one_shape,
                shape: Shape::of(&[0, 1], &[0, 1]),
                access: Access::Element(&[Part::Block, Part::Block]),
                sign: |s| (Binary::$function.row().sign)(s[0], s[1]),
                ..of_two(ROW)
            },
            by_row: Primitive {
                check: one_a_row,
                shape: Shape::of(&[0, 1], &[0]),
                access: Access::Element(&[Part::Block, Part::Column]),
                sign: |s| (Binary::$function.row().sign)(s[0], s[1]),
                ..of_two(BY_ROW)
            },
            by_column: Primitive {
                check: one_a_column,
                shape: Shape::of(&[0], &[0, 1]),
                access: Access::Element(&[Part::Block, Part::Row]),
                sign: |s| (Binary::$function.row().sign)(s[0], s[1]),
                ..of_two(BY_COLUMN)
            },
            by_group: Primitive {
                check: one_a_group,
                shape: Shape::of(&[0], &[0, 1]),
                access: Access::Element(&[Part::Block, Part::GroupRow]),
                ..of_two(BY_GROUP)
            },
        }
    }};
}

const fn of_constant(row: &'static Row) -> Primitive {
    Primitive {
        numbers: &[NumberKind::Constant],
        ..of_one(row)
    }
}

const fn of_two(row: &'static Row) -> Primitive {
    of_one(row)
}

table! {
    /// Element-wise functions of two operands.
    Binary: BinaryRow {
        Add => BinaryRow {
            forms: forms!(Add, "add", "a + b", "add"),
            commutes: true,
            integers: true,
            selects: false,
            // -0 + 0 is +0 and -0 + x is x, so one side alone says nothing.
            sign: |a, b| match a.min(b) {
                Sign::Unknown => Sign::Unknown,
                _ => a.max(b),
            },
            instr: BinaryInstr {
                isa: isa_forms!("ADD"),
                pypto: pypto_forms!("add", "add"),
                cost: "vadd",
                cost_scalar: "vadds",
                scalar_in_place: true,
                float: |a, b| a + b,
                floats: pairs!(|a: f32, b: f32| a + b),
                integer: Some(i64::saturating_add),
            },
        },
        Sub => BinaryRow {
            forms: forms!(Sub, "sub", "a - b", "sub"),
            commutes: false,
            integers: true,
            selects: false,
            sign: |_, _| Sign::Unknown,
            instr: BinaryInstr {
                isa: isa_forms!("SUB"),
                pypto: pypto_forms!("sub", "sub"),
                cost: "vsub",
                // The negated constant is added.
                cost_scalar: "vadds",
                scalar_in_place: true,
                float: |a, b| a - b,
                floats: pairs!(|a: f32, b: f32| a - b),
                integer: Some(i64::saturating_sub),
            },
        },
        Mul => BinaryRow {
            forms: forms!(Mul, "mul", "a * b", "mul"),
            commutes: true,
            integers: true,
            selects: false,
            sign: Sign::min,
            instr: BinaryInstr {
                isa: isa_forms!("MUL"),
                pypto: pypto_forms!("mul", "mul"),
                cost: "vmul",
                cost_scalar: "vmuls",
                scalar_in_place: true,
                float: |a, b| a * b,
                floats: pairs!(|a: f32, b: f32| a * b),
                integer: Some(i64::saturating_mul),
            },
        },
        Div => BinaryRow {
            forms: forms!(Div, "div", "a / b", "div"),
            commutes: false,
            integers: false,
            selects: false,
            sign: Sign::min,
            instr: BinaryInstr {
                isa: isa_forms!("DIV"),
                pypto: pypto_forms!("div", "div"),
                cost: "vdiv",
                cost_scalar: "divs",
                scalar_in_place: false,
                float: |a, b| a / b,
                floats: pairs!(|a: f32, b: f32| a / b),
                integer: None,
            },
        },
        Max => BinaryRow {
            forms: forms!(Max, "max", "the larger of a and b", "maximum"),
            commutes: true,
            integers: true,
            selects: true,
            sign: Sign::max,
            instr: BinaryInstr {
                isa: isa_forms!("MAX"),
                pypto: pypto_forms!("maximum", "max"),
                cost: "vmax",
                cost_scalar: "vmaxs",
                scalar_in_place: true,
                float: maximum,
                floats: pairs!(maximum),
                integer: Some(Ord::max),
            },
        },
        Min => BinaryRow {
            forms: forms!(Min, "min", "the smaller of a and b", "minimum"),
            commutes: true,
            integers: true,
            selects: true,
            sign: Sign::min,
            instr: BinaryInstr {
                isa: isa_forms!("MIN"),
                pypto: pypto_forms!("minimum", "min"),
                cost: "vmin",
                cost_scalar: "vmins",
                scalar_in_place: true,
                float: minimum,
                floats: pairs!(minimum),
                integer: Some(Ord::min),
            },
        },
    }
}

impl Binary {
    /// Its name in the text form, in terms and in messages.
    pub fn name(self) -> &'static str {
        self.row().forms.pair.row.name
    }

    /// Whether `a op b` is `b op a`.
    pub fn commutes(self) -> bool {
        self.row().commutes
    }
}

/// Integers have no division: what it rounds to is not the author's to guess.
fn has_binary(c: &Check, f: Binary) -> Result<(), OpError> {
    match f.row().integers {
        true => Ok(()),
        false => c.float(0),
    }
}

fn with_constant(c: &Check) -> Result<(), OpError> {
    match *c.prim {
        Prim::Scalar { op, value } | Prim::ScalarLeft { op, value } => {
            c.constant("value", value)?;
            has_binary(c, op)
        }
        _ => Ok(()),
    }
}

fn with_constant_left(c: &Check) -> Result<(), OpError> {
    with_constant(c)?;
    match *c.prim {
        Prim::ScalarLeft { op, value } if op.commutes() => Err(c.attribute(
            "value",
            value,
            "a constant on the left is only for sub and div; use the form with the constant on the right",
        )),
        _ => Ok(()),
    }
}

fn two(c: &Check) -> Result<(), OpError> {
    c.same_element()?;
    match *c.prim {
        Prim::Binary(f) | Prim::RowBinary(f) | Prim::ColBinary(f) | Prim::GroupColBinary(f) => {
            has_binary(c, f)
        }
        _ => Ok(()),
    }
}

fn of_one_shape(c: &Check) -> Result<(), OpError> {
    two(c)?;
    match c.operands[0].shape == c.operands[1].shape {
        true => Ok(()),
        false => Err(c.shapes("give both operands one shape")),
    }
}

fn one_a_row(c: &Check) -> Result<(), OpError> {
    two(c)?;
    let ((r, _), (other, one)) = (c.matrix(0)?, c.matrix(1)?);
    match r == other && one.size == 1 {
        true => Ok(()),
        false => Err(c.shapes("make the second operand one element a row of the first, [R, 1]")),
    }
}

fn one_a_column(c: &Check) -> Result<(), OpError> {
    two(c)?;
    let ((_, columns), other) = (c.matrix(0)?, c.vector(1)?);
    match columns == other {
        true => Ok(()),
        false => Err(c.shapes("make the second operand one element a column of the first, [C]")),
    }
}

fn one_a_group(c: &Check) -> Result<(), OpError> {
    two(c)?;
    let groups = c.groups()?;
    let ((_, columns), (other, wide)) = (c.matrix(0)?, c.matrix(1)?);
    match other.size == groups && columns == wide {
        true => Ok(()),
        false => Err(c.shapes("make the second operand one row a group of the first, [G, C]")),
    }
}
