//! The table of operations: what can be said of an operation once and for all is said here, a row an operation.
//!
//! A primitive is what the optimizer's rules and the kernels' instructions speak of. A composite is what people write; the
//! `decompose` pass replaces it by primitives, so no rule needs to know it.
//!
//! * `elementwise`: functions of each element by itself.
//! * `rows`: what is computed of whole rows.
//! * `elements`: what the vector unit knows of these.
//! * [`exchange`]: what ranks do to bring data from one to another, a language of its own.

mod attr;
mod check;
mod columns;
mod definition;
mod elements;
mod elementwise;
mod error;
pub mod exchange;
pub mod expr;
mod infer;
mod prim;
mod product;
mod row;
mod rows;
mod shape;
mod sign;
mod signature;
mod sort;
mod spread;
mod types;

pub use attr::{AttrKind, AttrSpec, AttrValue};
pub use definition::{Body, Call, Callee, Definition, Operations, RawCall, Step, library};
pub use elements::{BinaryInstr, FLOATS, GATHERED, InstrForms, NUMBERS, ReduceInstr, UnaryInstr};
pub use elementwise::{Binary, BinaryRow, Forms, Unary, UnaryRow};
pub use error::OpError;
pub use exchange::{Exchange, ExchangeCall};
pub use infer::{check_counts, infer, name_counts, pair};
pub use prim::{Operator, Prim};
pub use row::{Access, Core, Form, Number, NumberKind, Part, Primitive, Row};
pub use rows::{Reduce, ReduceRow};
pub use shape::{Cols, Element, Rows, Shape};
pub use sign::Sign;
pub use spread::Binomial;
pub use types::{Block, Dim, MAX_DIM, Ragged, Type};

use crate::syntax::ast::ParamRole;
use serde::Serialize;
use std::sync::{Arc, LazyLock};

/// An enumeration with a row for each of its variants: the variants, all of them in order, and the row of one.
macro_rules! table {
    ($(#[$meta:meta])* $name:ident: $row:ident { $($variant:ident => $body:expr,)* }) => {
        $(#[$meta])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($variant,)*
        }

        impl $name {
            /// All of them, in the order of the table.
            pub const ALL: [$name; [$($name::$variant),*].len()] = [$($name::$variant),*];

            /// What the table says of it.
            pub fn row(self) -> &'static $row {
                match self {
                    $($name::$variant => {
                        static ROW: $row = $body;
                        &ROW
                    })*
                }
            }

        }
    };
}
pub(crate) use table;

/// What a node computes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// A tensor or scalar that the caller gives.
    Input,
    Prim(Prim),
    /// A definition with its attributes.
    Composite(Call),
    /// Data between ranks.
    Exchange(ExchangeCall),
}

impl Op {
    /// A composite of the library, by its name and attributes.
    ///
    /// # Errors
    ///
    /// The library has none of the name, or it has other attributes.
    pub fn composite(name: &str, attributes: &[(&str, AttrValue)]) -> Result<Op, OpError> {
        let definition = library().iter().find(|d| d.name() == name);
        let call = definition.and_then(|definition| {
            let specs = definition.attributes();
            let values = specs.iter().map(|spec| {
                let given = attributes.iter().find(|(key, _)| *key == spec.name);
                given.map(|(_, value)| *value)
            });
            let values: Vec<AttrValue> = values.collect::<Option<_>>()?;
            let all = values.len() == attributes.len();
            Call::new(definition.clone(), &values).filter(|_| all)
        });
        match call {
            Some(call) => Ok(Op::Composite(call)),
            None => Err(OpError::NoComposite {
                name: name.into(),
                known: library().iter().map(|d| d.name().to_string()).collect(),
            }),
        }
    }

    /// Whether the operand of this number holds choices of experts, of which -1 is none.
    pub fn takes_no_choice(&self, operand: usize) -> bool {
        let Some(callee) = self.callee() else {
            return false;
        };
        callee.is_library()
            && callee.name() == "dispatch"
            && callee.operands().get(operand) == Some(&"indices")
    }

    /// What the table says of it; inputs and what is declared in the text form are none of its operations.
    pub fn row(&self) -> Option<&'static Row> {
        match self {
            Op::Prim(p) => Some(p.operator().0.row()),
            Op::Input | Op::Composite(_) | Op::Exchange(_) => None,
        }
    }

    /// What is called.
    pub fn callee(&self) -> Option<Callee> {
        match self {
            Op::Input => None,
            Op::Prim(p) => Some(Callee::Row(p.operator().0.row())),
            Op::Composite(call) => Some(Callee::Defined(Arc::clone(call.definition()))),
            Op::Exchange(call) => Some(Callee::Exchange(Arc::clone(call.exchange()))),
        }
    }

    /// The operation's name in the text form and in messages. The element-wise forms with one operand or a constant share
    /// the name of their function; the broadcasting ones have `row_` and `col_` before it.
    pub fn name(&self) -> &str {
        match self {
            Op::Input => "input",
            Op::Prim(p) => p.operator().0.row().name,
            Op::Composite(call) => call.definition().name(),
            Op::Exchange(call) => call.exchange().name(),
        }
    }

    /// How many operands the operation reads.
    pub fn arity(&self) -> usize {
        match self {
            Op::Input => 0,
            Op::Prim(p) => p.operator().0.primitive().operands(),
            Op::Composite(call) => call.definition().operands().len(),
            Op::Exchange(call) => call.exchange().operands().len(),
        }
    }

    /// How many results the operation gives.
    pub fn results(&self) -> usize {
        match self {
            Op::Input => 1,
            Op::Prim(p) => p.operator().0.row().results,
            Op::Composite(call) => call.definition().results(),
            Op::Exchange(call) => call.exchange().results(),
        }
    }

    /// Its attributes with their values, in the order in which they are written.
    pub fn attributes(&self) -> Vec<(AttrSpec<'_>, AttrValue)> {
        let (specs, values) = match self {
            Op::Input | Op::Prim(Prim::Scalar { .. } | Prim::ScalarLeft { .. }) => return vec![],
            Op::Prim(p) => {
                let (operator, numbers) = p.operator();
                let values = match p {
                    Prim::Cast { to, round } => {
                        vec![AttrValue::DType(*to), AttrValue::Round(*round)]
                    }
                    _ => numbers.into_iter().map(AttrValue::from).collect(),
                };
                (operator.row().attrs.to_vec(), values)
            }
            Op::Composite(call) => (call.definition().attributes(), call.attributes().to_vec()),
            Op::Exchange(call) => (call.exchange().attributes(), call.attributes().to_vec()),
        };
        specs.into_iter().zip(values).collect()
    }
}

impl Row {
    /// The operation that a call with these attributes stands for; `None` where that depends on the operands, or for
    /// attributes that are not the row's.
    pub fn build(&self, attributes: &[AttrValue]) -> Option<Op> {
        match self.form {
            _ if attributes.len() != self.attrs.len() => None,
            Form::Arithmetic(_) => None,
            Form::Built(build) => build(attributes),
            Form::Primitive(operator) => {
                let numbers = attributes.iter().map(|a| Number::try_from(*a).ok());
                let numbers: Option<Vec<Number>> = numbers.collect();
                operator.prim(&numbers?).map(Op::Prim)
            }
        }
    }
}

/// The text of a graph that is an operation's example: what it declares, and then one kernel that gives what its last line does.
pub fn example(lines: &str) -> String {
    let declares = |line: &&str| {
        let word = line.split(' ').next().unwrap_or_default();
        ParamRole::ALL.iter().any(|r| r.word() == word) || word == "input"
    };
    let (declared, computed): (Vec<&str>, Vec<&str>) = lines.lines().partition(declares);
    let last = computed.last().and_then(|line| line.split_once(" = "));
    let results = last.map_or("", |(names, _)| names);
    format!(
        "graph example {{\n{}\nkernel k {{\n{}\n}}\noutput {results}\n}}\n",
        declared.join("\n"),
        computed.join("\n")
    )
}

/// Every row, family by family.
pub fn rows() -> &'static [&'static Row] {
    static ROWS: LazyLock<Vec<&'static Row>> = LazyLock::new(|| {
        let pairs = Binary::ALL.map(|f| f.row().forms.pair.row);
        let mut rows = pairs.to_vec();
        let others = Operator::all().map(Operator::row);
        for row in others {
            if !rows.iter().any(|r| r.name == row.name) {
                rows.push(row);
            }
        }
        rows
    });
    &ROWS
}

/// The row of a name.
pub fn find_row(name: &str) -> Option<&'static Row> {
    rows().iter().find(|r| r.name == name).copied()
}

/// The smallest amax that symmetric quantisation divides by (`INT8_AMAX_EPS` of the public reference).
pub const INT8_AMAX_EPS: f32 = 1e-4;
/// The largest magnitude of a symmetric int8 (`INT8_SCALE_MAX`).
pub const INT8_SCALE_MAX: f32 = 127.0;
/// The lowest f32, which pads what is sorted in descending order: nothing comes after it, not even a masked column.
pub const NEG_MAX: f32 = f32::NEG_INFINITY;
