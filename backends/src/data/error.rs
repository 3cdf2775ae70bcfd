//! Why data was refused.

use miette::Diagnostic;
use std::path::PathBuf;
use thiserror::Error;
use tilewright_ir::DType;

/// Why tensors, a file of them, or what was asked about them was refused.
#[derive(Debug, Error, Diagnostic)]
#[non_exhaustive]
pub enum DataError {
    #[error("cannot read {}", path.display())]
    #[diagnostic(
        code(tilewright::data::read),
        help("check that the path names a readable file")
    )]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },

    #[error("cannot write {}", path.display())]
    #[diagnostic(
        code(tilewright::data::write),
        help("check that the folder exists and is writable")
    )]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },

    #[error("{} is not a valid safetensors file: {reason}", path.display())]
    #[diagnostic(
        code(tilewright::data::format),
        help(
            "the file is damaged or cut short, or has another format: write it again with a safetensors library"
        )
    )]
    Format { path: PathBuf, reason: String },

    #[error("the tensors cannot be written as safetensors: {reason}")]
    #[diagnostic(
        code(tilewright::data::serialise),
        help("every tensor must hold as many bytes as its shape and type need")
    )]
    Serialise { reason: String },

    #[error("tensor `{tensor}` of {} has element type {dtype}, which is not supported", path.display())]
    #[diagnostic(
        code(tilewright::data::dtype),
        help("convert it to one of F32, BF16, F16, I8, I32, U32 or I64")
    )]
    UnsupportedType {
        path: PathBuf,
        tensor: String,
        dtype: String,
    },

    #[error("{found} bytes cannot be a tensor of type {}", super::type_text(*dtype, shape))]
    #[diagnostic(
        code(tilewright::data::bytes),
        help("give one value for each element of the shape")
    )]
    Bytes {
        dtype: DType,
        shape: Vec<usize>,
        found: usize,
    },

    #[error(
        "`{counts}` says that group {group} of `{tensor}` has {count} rows; a group has at most {limit}"
    )]
    #[diagnostic(
        code(tilewright::data::row_count),
        help("give counts from 0 to {limit}")
    )]
    RowCount {
        tensor: String,
        counts: String,
        group: usize,
        count: i64,
        limit: usize,
    },

    #[error("`{tensor}` would be {found}: more than the {limit} bytes that one tensor may take")]
    #[diagnostic(
        code(tilewright::data::too_large),
        help("build the graph with smaller sizes")
    )]
    TooLarge {
        tensor: String,
        found: String,
        limit: usize,
    },

    #[error("element {index} of a tensor with {elements} elements")]
    #[diagnostic(
        code(tilewright::data::beyond),
        help("indices are row-major and start at 0")
    )]
    Beyond { index: usize, elements: usize },

    #[error("input `{tensor}` is missing; the graph needs it as {expected}")]
    #[diagnostic(
        code(tilewright::data::missing),
        help(
            "add a tensor `{tensor}` (or `in.{tensor}`) of that type; there are: {}",
            list(present)
        )
    )]
    Missing {
        tensor: String,
        expected: String,
        present: Vec<String>,
    },

    #[error("input `{tensor}` is {found}; the graph needs {expected}")]
    #[diagnostic(
        code(tilewright::data::type_mismatch),
        help("convert the tensor, or build the graph for the sizes of the data")
    )]
    Mismatch {
        tensor: String,
        expected: String,
        found: String,
    },

    #[error(
        "input `{tensor}` holds {value} at element {index}; it must be at least {low} and below {bound}"
    )]
    #[diagnostic(
        code(tilewright::data::bound),
        help(
            "correct the value, or declare the input with another range: `input {tensor}: ... >= LEAST < BOUND`"
        )
    )]
    OutOfBound {
        tensor: String,
        index: usize,
        value: i64,
        low: i64,
        bound: i64,
    },

    #[error(
        "scalar `{name}` = {value} is out of range: it must be at least {low} and at most {high}"
    )]
    #[diagnostic(
        code(tilewright::data::scalar_range),
        help("give `{name}` a value from {low} to {high}")
    )]
    ScalarRange {
        name: String,
        value: i64,
        low: i64,
        high: i64,
    },

    #[error("the graph has no scalar integer input `{name}`")]
    #[diagnostic(
        code(tilewright::data::unknown_scalar),
        help("its scalar integer inputs: {}", list(known))
    )]
    UnknownScalar { name: String, known: Vec<String> },

    #[error(
        "input `{tensor}` is {found} without a bound, so there is no range to draw its values from"
    )]
    #[diagnostic(
        code(tilewright::data::no_bound),
        help("declare a bound for it in the graph, or give its value if it is a scalar")
    )]
    NoBound { tensor: String, found: String },

    #[error("input `{tensor}` has bound {bound}, which leaves no value to draw")]
    #[diagnostic(
        code(tilewright::data::empty_bound),
        help("a bound is above the least value, which is 0 unless the input says another one")
    )]
    EmptyBound { tensor: String, bound: i64 },

    #[error("`{output}` is {found}, and {against} has {expected}: they cannot be compared")]
    #[diagnostic(
        code(tilewright::data::compare),
        help("compare results of the same graph at the same sizes")
    )]
    Incomparable {
        output: String,
        against: String,
        found: String,
        expected: String,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "none".into();
    }
    names.join(", ")
}
