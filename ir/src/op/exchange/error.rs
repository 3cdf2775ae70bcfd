//! What can be wrong with an exchange at some sizes: one variant a problem, with its place, the numbers, and the remedy.

use crate::syntax::ast::Span;
use std::fmt;

/// A statement, or another part, of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    pub exchange: String,
    /// As it was written; empty for its head.
    pub text: String,
    /// In the text that the exchange was read from.
    pub span: Span,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text.is_empty() {
            true => write!(f, "exchange `{}`", self.exchange),
            false => write!(f, "exchange `{}`, `{}`", self.exchange, self.text),
        }
    }
}

/// Why an exchange cannot be called like this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum ExchangeError {
    #[error("{at}: nothing is called `{name}`")]
    #[diagnostic(code(tilewright::exchange::unknown_name), help("{help}"))]
    UnknownName {
        at: Box<At>,
        name: String,
        help: String,
    },
    #[error("{at}: the name `{name}` is taken")]
    #[diagnostic(
        code(tilewright::exchange::duplicate_name),
        help(
            "give one of the two another name; `rank`, `ranks` and `epoch` are there without being declared"
        )
    )]
    DuplicateName { at: Box<At>, name: String },
    #[error("{at}: `{name}` is {found}, where {expected} is needed")]
    #[diagnostic(code(tilewright::exchange::kind), help("{help}"))]
    Kind {
        at: Box<At>,
        name: String,
        found: &'static str,
        expected: &'static str,
        help: String,
    },
    #[error("{at}: {what}")]
    #[diagnostic(code(tilewright::exchange::shape), help("{help}"))]
    Shape {
        at: Box<At>,
        what: String,
        help: String,
    },
    #[error("{at}: {what}")]
    #[diagnostic(code(tilewright::exchange::element_type), help("{help}"))]
    ElementType {
        at: Box<At>,
        what: String,
        help: String,
    },
    #[error("{at}: {axis} {low}..{high} of `{name}` are used, but there are {limit}")]
    #[diagnostic(
        code(tilewright::exchange::bounds),
        help(
            "keep the index within 0..{limit} in every trip and on every rank, with min(...) or `% {limit}` also where an `if` leaves a trip out"
        )
    )]
    Bounds {
        at: Box<At>,
        name: String,
        axis: &'static str,
        low: i64,
        high: i64,
        limit: usize,
    },
    #[error("{at}: the rank is from {low} to {high}, and there are {ranks} ranks")]
    #[diagnostic(
        code(tilewright::exchange::peer),
        help("name a rank from 0 to {last}; `(rank + 1) % ranks` is the next one")
    )]
    Peer {
        at: Box<At>,
        low: i64,
        high: i64,
        ranks: usize,
        last: usize,
    },
    #[error("{at}: {what}")]
    #[diagnostic(code(tilewright::exchange::arithmetic), help("{help}"))]
    Arithmetic {
        at: Box<At>,
        what: String,
        help: String,
    },
    #[error("{at}: {what} is {value}")]
    #[diagnostic(code(tilewright::exchange::size), help("give {low} to {high}"))]
    Size {
        at: Box<At>,
        what: String,
        value: i64,
        low: i64,
        high: i64,
    },
    #[error("{at}: nobody notifies `{counter}`, so the wait never ends")]
    #[diagnostic(
        code(tilewright::exchange::never_notified),
        help(
            "let the ranks that this one waits for say `notify {counter} on ...`, or leave out the wait"
        )
    )]
    NeverNotified { at: Box<At>, counter: String },
    #[error("{at}: {what}")]
    #[diagnostic(code(tilewright::exchange::rule), help("{help}"))]
    Rule {
        at: Box<At>,
        what: String,
        help: String,
    },
    #[error("exchange `{exchange}`: {message}")]
    #[diagnostic(
        code(tilewright::exchange::required),
        help("it asks for `{condition}`, with {values}")
    )]
    Required {
        exchange: String,
        message: String,
        condition: String,
        values: String,
        span: Span,
    },
    #[error("exchange `{exchange}` is for several ranks, and the graph runs on {ranks}")]
    #[diagnostic(
        code(tilewright::exchange::ranks),
        help("declare how many ranks run the graph: `ranks EP = 2`, with 2, 4, 8, 16 or 32")
    )]
    Ranks { exchange: String, ranks: usize },
}

impl ExchangeError {
    /// The part of the exchange that it is about.
    pub fn span(&self) -> Option<Span> {
        match self {
            ExchangeError::Required { span, .. } => Some(*span),
            error => error.at().map(|at| at.span),
        }
    }

    /// The exchange's name.
    pub fn exchange(&self) -> &str {
        match self {
            ExchangeError::Required { exchange, .. } | ExchangeError::Ranks { exchange, .. } => {
                exchange
            }
            error => error.at().map_or("", |at| &at.exchange),
        }
    }

    fn at(&self) -> Option<&At> {
        use ExchangeError::*;
        match self {
            UnknownName { at, .. }
            | DuplicateName { at, .. }
            | Kind { at, .. }
            | Shape { at, .. }
            | ElementType { at, .. }
            | Bounds { at, .. }
            | Peer { at, .. }
            | Arithmetic { at, .. }
            | Size { at, .. }
            | NeverNotified { at, .. }
            | Rule { at, .. } => Some(at),
            Required { .. } | Ranks { .. } => None,
        }
    }
}
