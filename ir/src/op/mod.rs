//! The table of operations: what can be said of an operation once and for all is said here, a row an operation.
//!
//! A primitive is what the optimizer's rules and the kernels' instructions speak of. A composite is what people write; the
//! `decompose` pass replaces it by primitives, so no rule needs to know it.
//!
//! * `elementwise`: functions of each element by itself.
//! * `rows`: what is computed of whole rows.

mod attr;
mod check;
mod columns;
mod comm;
mod definition;
mod elementwise;
mod error;
mod exchange;
pub mod expr;
mod infer;
mod prim;
mod product;
mod row;
mod rows;
mod scalar;
mod shape;
mod sign;
mod sort;
mod types;

pub use attr::{AttrKind, AttrSpec, AttrValue};
pub use comm::*;
pub use definition::{Body, Call, Callee, Definition, Operations, RawComposite, Step, library};
pub use elementwise::{Binary, BinaryRow, Forms, Unary, UnaryRow};
pub use error::OpError;
pub use infer::{infer, name_counts, pair};
pub use prim::{Operator, Prim};
pub use row::{Access, Core, Form, Number, NumberKind, Part, Primitive, Row};
pub use rows::{Reduce, ReduceRow};
pub use shape::{Cols, Element, Rows, Shape};
pub use sign::Sign;
pub use types::{Block, Dim, MAX_DIM, Ragged, Type};

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

/// Composites: what people write.
#[derive(Debug, Clone, PartialEq)]
pub enum Composite {
    /// A call of a definition.
    Defined(Call),
    /// Rows to the ranks of their experts, and back.
    Exchange(Exchange),
}

/// What a node computes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// A tensor or scalar that the caller gives.
    Input,
    Prim(Prim),
    Composite(Composite),
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
            Some(call) => Ok(Op::Composite(Composite::Defined(call))),
            None => Err(OpError::NoComposite {
                name: name.into(),
                known: library().iter().map(|d| d.name().to_string()).collect(),
            }),
        }
    }

    /// What the table says of it; inputs and definitions are none of its operations.
    pub fn row(&self) -> Option<&'static Row> {
        match self {
            Op::Input | Op::Composite(Composite::Defined(_)) => None,
            Op::Prim(Prim::Comm(c)) => Some(c.row()),
            Op::Prim(p) => p.operator().map(|(o, _)| o.row()),
            Op::Composite(Composite::Exchange(e)) => Some(e.row()),
        }
    }

    /// The definition that it calls.
    pub fn definition(&self) -> Option<&Arc<Definition>> {
        match self {
            Op::Composite(Composite::Defined(call)) => Some(call.definition()),
            _ => None,
        }
    }

    /// The operation's name in the text form and in messages. The element-wise forms with one operand or a constant share
    /// the name of their function; the broadcasting ones have `row_` and `col_` before it.
    pub fn name(&self) -> &str {
        match (self.row(), self.definition()) {
            (Some(row), _) => row.name,
            (None, Some(definition)) => definition.name(),
            (None, None) => "input",
        }
    }

    /// How many operands the operation reads.
    pub fn arity(&self) -> usize {
        match self {
            Op::Input => 0,
            Op::Prim(Prim::Comm(c)) => c.arity(),
            Op::Prim(p) => p.operator().map_or(0, |(o, _)| o.primitive().operands()),
            Op::Composite(Composite::Exchange(e)) => e.arity(),
            Op::Composite(Composite::Defined(call)) => call.definition().operands().len(),
        }
    }

    /// How many results the operation gives.
    pub fn results(&self) -> usize {
        match (self.row(), self.definition()) {
            (Some(row), _) => row.results,
            (None, Some(definition)) => definition.results(),
            (None, None) => 1,
        }
    }

    /// Its attributes with their values, in the order in which they are written.
    pub fn attributes(&self) -> Vec<(AttrSpec<'_>, AttrValue)> {
        let values = match self {
            Op::Input | Op::Prim(Prim::Scalar { .. } | Prim::ScalarLeft { .. }) => vec![],
            Op::Prim(Prim::Cast { to, round }) => {
                vec![AttrValue::DType(*to), AttrValue::Round(*round)]
            }
            Op::Prim(Prim::Comm(c)) => c.attributes(),
            Op::Prim(p) => {
                let numbers = p.operator().map(|(_, numbers)| numbers);
                numbers.into_iter().flatten().map(AttrValue::from).collect()
            }
            Op::Composite(Composite::Exchange(e)) => e.attributes(),
            Op::Composite(Composite::Defined(call)) => call.attributes().to_vec(),
        };
        let specs = match (self.row(), self.definition()) {
            (Some(row), _) => row.attrs.to_vec(),
            (None, Some(definition)) => definition.attributes(),
            (None, None) => vec![],
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
        ["param", "ranks", "input"].contains(&word)
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
        for row in others.chain(Exchange::ROWS).chain(Comm::ROWS) {
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
/// The most negative finite f32, which pads what is sorted in descending order.
pub const NEG_MAX: f32 = f32::MIN;
