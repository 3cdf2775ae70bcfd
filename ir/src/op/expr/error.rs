//! What can be wrong with an expression.

use super::super::OpError;
use miette::SourceSpan;

/// Why an expression computes nothing at these sizes.
#[derive(Debug, Clone, PartialEq, thiserror::Error, miette::Diagnostic)]
pub enum ExprError {
    #[error("there is no operation `{name}`")]
    #[diagnostic(code(tilewright::lower::unknown_op))]
    UnknownOp {
        name: String,
        #[label("unknown operation")]
        span: SourceSpan,
        #[help]
        help: String,
    },
    #[error("{problem}")]
    #[diagnostic(code(tilewright::lower::arguments), help("{usage}"))]
    Arguments {
        problem: String,
        #[label("{problem}")]
        span: SourceSpan,
        usage: String,
    },
    #[error("nothing is called `{name}`")]
    #[diagnostic(code(tilewright::lower::unknown_name))]
    UnknownName {
        name: String,
        #[label("unknown name")]
        span: SourceSpan,
        #[help]
        help: String,
    },
    #[error("{problem}")]
    #[diagnostic(code(tilewright::lower::size_expression))]
    SizeExpression {
        problem: String,
        #[label("here")]
        span: SourceSpan,
        #[help]
        help: String,
    },
    #[error("the {what} `{expression}` is {value}, out of range")]
    #[diagnostic(code(tilewright::lower::size))]
    Size {
        what: String,
        expression: String,
        value: i64,
        #[label("is {value}")]
        span: SourceSpan,
        #[help]
        help: String,
    },
    #[error("{problem}")]
    #[diagnostic(code(tilewright::lower::expression))]
    Expression {
        problem: String,
        #[label("here")]
        span: SourceSpan,
        #[help]
        help: String,
    },
    #[error("{error}")]
    #[diagnostic(code(tilewright::lower::types))]
    Types {
        error: Box<OpError>,
        #[label("here")]
        span: SourceSpan,
    },
}
