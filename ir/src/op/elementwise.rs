//! Functions of each element by itself.

use super::table;

/// What is to be said of a function of one element.
#[derive(Debug)]
pub struct UnaryRow {
    pub name: &'static str,
    /// One line for people.
    pub doc: &'static str,
    /// Whether integers have it too, saturated.
    pub integers: bool,
}

table! {
    /// Element-wise functions of one operand.
    Unary: UnaryRow {
        Abs => UnaryRow {
            name: "abs",
            doc: "the magnitude of each element",
            integers: true,
        },
        Exp => UnaryRow {
            name: "exp",
            doc: "e to the power of each element",
            integers: false,
        },
        Log => UnaryRow {
            name: "log",
            doc: "the natural logarithm of each element",
            integers: false,
        },
        Sqrt => UnaryRow {
            name: "sqrt",
            doc: "the square root of each element",
            integers: false,
        },
        Neg => UnaryRow {
            name: "neg",
            doc: "minus each element",
            integers: true,
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
        },
        Sub => BinaryRow {
            name: "sub",
            doc: "a - b",
            broadcast: ["row_sub", "col_sub", "group_col_sub"],
            commutes: false,
            integers: true,
        },
        Mul => BinaryRow {
            name: "mul",
            doc: "a * b",
            broadcast: ["row_mul", "col_mul", "group_col_mul"],
            commutes: true,
            integers: true,
        },
        Div => BinaryRow {
            name: "div",
            doc: "a / b",
            broadcast: ["row_div", "col_div", "group_col_div"],
            commutes: false,
            integers: false,
        },
        Max => BinaryRow {
            name: "max",
            doc: "the larger of a and b",
            broadcast: ["row_maximum", "col_maximum", "group_col_maximum"],
            commutes: true,
            integers: true,
        },
        Min => BinaryRow {
            name: "min",
            doc: "the smaller of a and b",
            broadcast: ["row_minimum", "col_minimum", "group_col_minimum"],
            commutes: true,
            integers: true,
        },
    }
}

impl Binary {
    /// Whether `a op b` is `b op a`.
    pub fn commutes(self) -> bool {
        self.row().commutes
    }
}
