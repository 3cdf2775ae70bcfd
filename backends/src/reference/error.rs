//! Why the interpreter stopped.

use crate::data::DataError;
use miette::Diagnostic;
use thiserror::Error;
use tilewright_ir::graph::GraphError;

/// Why a graph, or one operation, could not be interpreted.
#[derive(Debug, Error, Diagnostic)]
#[non_exhaustive]
pub enum ReferenceError {
    /// The graph, or the operands of a primitive, are not what the operation takes.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Graph(#[from] GraphError),

    /// The inputs are not what the graph takes.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Data(#[from] DataError),

    #[error(
        "`{place}`: index {value} at row {row}, column {column} is out of range; there are {limit} {what}"
    )]
    #[diagnostic(
        code(tilewright::reference::index),
        help("give indices of at least 0 and below {limit}")
    )]
    Index {
        /// The value being computed; the operation, where an operation is evaluated alone.
        place: String,
        row: usize,
        column: usize,
        value: i64,
        limit: usize,
        /// What is indexed: `rows` or `columns`.
        what: &'static str,
    },

    #[error("the graph runs on {ranks} ranks, and {given} were given inputs")]
    #[diagnostic(
        code(tilewright::reference::ranks),
        help(
            "give the inputs of each rank: saved tensors with the ranks as their first dimension, for example"
        )
    )]
    Ranks { ranks: usize, given: usize },

    #[error("`{op}` moves data between ranks, so it has no result for one rank alone")]
    #[diagnostic(
        code(tilewright::reference::alone),
        help("interpret the graph that it is part of, for all ranks")
    )]
    Alone { op: String },

    #[error("exchange `{exchange}` on rank {rank}{statement}: {what}")]
    #[diagnostic(code(tilewright::reference::exchange), help("{help}"))]
    Exchange {
        exchange: String,
        rank: usize,
        /// The statement, after a comma; empty where it is none.
        statement: String,
        what: String,
        help: &'static str,
    },

    #[error("exchange `{exchange}` never ends: {waits}")]
    #[diagnostic(
        code(tilewright::reference::deadlock),
        help(
            "let the ranks that are waited for notify the counter before they wait themselves, as often as the wait asks for"
        )
    )]
    Deadlock {
        exchange: String,
        /// Who waits for what.
        waits: String,
    },

    #[error(
        "`{input}` of rank {rank} is {value}, and every rank knows it by itself: it is {truth}"
    )]
    #[diagnostic(
        code(tilewright::reference::given),
        help(
            "leave `{input}` out of the inputs, or give each rank its own number, `epoch` from 1"
        )
    )]
    Given {
        input: &'static str,
        rank: usize,
        value: i64,
        truth: i64,
    },

    #[error("`{place}`: {value} active rows of {limit}")]
    #[diagnostic(
        code(tilewright::reference::count),
        help("give a count from 0 to {limit}")
    )]
    Count {
        place: String,
        value: i64,
        limit: usize,
    },
}

impl ReferenceError {
    /// The same error, placed at a named value of a graph.
    pub(super) fn at(mut self, name: &str) -> ReferenceError {
        if let ReferenceError::Index { place, .. } | ReferenceError::Count { place, .. } = &mut self
        {
            *place = name.to_owned();
        }
        self
    }
}
