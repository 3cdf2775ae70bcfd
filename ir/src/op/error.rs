//! What can be wrong with an operation.

use super::Type;
use super::exchange::ExchangeError;

/// Why an operation does not take its operands or attributes. Each message names the operation, the sizes, and what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error, miette::Diagnostic)]
pub enum OpError {
    #[error("{op} has {found} operands and takes {expected}; pass {expected}")]
    #[diagnostic(code(tilewright::graph::operand_count))]
    OperandCount {
        op: String,
        expected: usize,
        found: usize,
    },
    #[error("operand {operand} of {op} is {found}, not {expected}; give it that rank")]
    #[diagnostic(code(tilewright::graph::rank))]
    Rank {
        op: String,
        operand: usize,
        found: Type,
        expected: String,
    },
    #[error("operand {operand} of {op} is {found}, not {expected}; cast it")]
    #[diagnostic(code(tilewright::graph::element_type))]
    Element {
        op: String,
        operand: usize,
        found: Type,
        expected: String,
    },
    #[error(
        "the operands of {op} differ in element type, {left} and {right}; cast one to the other's"
    )]
    #[diagnostic(code(tilewright::graph::element_types))]
    Elements { op: String, left: Type, right: Type },
    #[error("the shapes of {op}'s operands do not fit, {left} and {right}; {remedy}")]
    #[diagnostic(code(tilewright::graph::shapes))]
    Shapes {
        op: String,
        left: Type,
        right: Type,
        remedy: String,
    },
    #[error("operand {operand} of {op} is {found}, and its rows are to be {expected}; {remedy}")]
    #[diagnostic(code(tilewright::graph::ragged_rows))]
    RaggedRows {
        op: String,
        operand: usize,
        found: Type,
        expected: String,
        remedy: &'static str,
    },
    #[error("`{attribute} = {value}` is out of range for {op}; {remedy}")]
    #[diagnostic(code(tilewright::graph::attribute))]
    Attribute {
        op: String,
        attribute: String,
        value: String,
        remedy: String,
    },
    #[error("`{operand}` of {op} is {found}, and is to be {wanted}: {problem}")]
    #[diagnostic(code(tilewright::graph::shapes))]
    Sizes {
        op: String,
        operand: String,
        found: Type,
        wanted: String,
        problem: String,
    },
    #[error("the definition of {op}, at `{place}`: {problem}")]
    #[diagnostic(code(tilewright::graph::definition))]
    Definition {
        op: String,
        place: String,
        problem: String,
    },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Exchange(Box<ExchangeError>),
    #[error(
        "`{found}` counts the rows of `{operand}`, and {op} takes rows that its operand `{counts}` counts, which is `{expected}`; give it `{found}`"
    )]
    #[diagnostic(code(tilewright::graph::counts))]
    Counts {
        op: String,
        operand: String,
        found: String,
        counts: String,
        expected: String,
    },
    #[error("there is no composite `{name}` with these attributes; the library has: {}", .known.join(", "))]
    #[diagnostic(code(tilewright::graph::composite))]
    NoComposite { name: String, known: Vec<String> },
}
