//! Functions of each element by itself.

use super::elements::{
    BinaryInstr, Forms, UnaryInstr, isa_forms, maximum, minimum, pairs, pypto_forms,
};
use super::table;

/// What is to be said of a function of one element.
#[derive(Debug)]
pub struct UnaryRow {
    pub name: &'static str,
    /// One line for people.
    pub doc: &'static str,
    /// Whether integers have it too, saturated.
    pub integers: bool,
    pub instr: UnaryInstr,
}

table! {
    /// Element-wise functions of one operand.
    Unary: UnaryRow {
        Abs => UnaryRow {
            name: "abs",
            doc: "the magnitude of each element",
            integers: true,
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
            name: "exp",
            doc: "e to the power of each element",
            integers: false,
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
            name: "log",
            doc: "the natural logarithm of each element",
            integers: false,
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
            name: "sqrt",
            doc: "the square root of each element",
            integers: false,
            instr: UnaryInstr {
                isa: "TSQRT",
                pypto: "sqrt",
                cost: "vsqrt",
                float: f32::sqrt,
                integer: None,
                ulps: 0,
            },
        },
        Neg => UnaryRow {
            name: "neg",
            doc: "minus each element",
            integers: true,
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

/// What is to be said of a function of two elements.
#[derive(Debug)]
pub struct BinaryRow {
    pub name: &'static str,
    /// One line for people.
    pub doc: &'static str,
    /// Its names in the forms that broadcast one element a row, one a column, and one a column of each group of rows.
    pub broadcast: [&'static str; 3],
    /// Whether `a op b` is `b op a`.
    pub commutes: bool,
    /// Whether integers have it too, saturated.
    pub integers: bool,
    pub instr: BinaryInstr,
}

table! {
    /// Element-wise functions of two operands.
    Binary: BinaryRow {
        Add => BinaryRow {
            name: "add",
            doc: "a + b",
            broadcast: ["row_add", "col_add", "group_col_add"],
            commutes: true,
            integers: true,
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
            name: "sub",
            doc: "a - b",
            broadcast: ["row_sub", "col_sub", "group_col_sub"],
            commutes: false,
            integers: true,
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
            name: "mul",
            doc: "a * b",
            broadcast: ["row_mul", "col_mul", "group_col_mul"],
            commutes: true,
            integers: true,
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
            name: "div",
            doc: "a / b",
            broadcast: ["row_div", "col_div", "group_col_div"],
            commutes: false,
            integers: false,
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
            name: "max",
            doc: "the larger of a and b",
            broadcast: ["row_maximum", "col_maximum", "group_col_maximum"],
            commutes: true,
            integers: true,
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
            name: "min",
            doc: "the smaller of a and b",
            broadcast: ["row_minimum", "col_minimum", "group_col_minimum"],
            commutes: true,
            integers: true,
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
    /// Whether `a op b` is `b op a`.
    pub fn commutes(self) -> bool {
        self.row().commutes
    }
}
