//! What can be wrong with text: one variant a problem, each with a code, the place, and the remedy.

use miette::SourceSpan;

/// Why text does not parse.
#[derive(Debug, Clone, PartialEq, thiserror::Error, miette::Diagnostic)]
pub enum ParseError {
    #[error("the file is empty")]
    #[diagnostic(
        code(tilewright::parse::empty),
        help("a file holds one graph: `graph NAME {{ ... }}`")
    )]
    Empty,
    #[error("the file is not UTF-8 text: byte {offset} does not belong")]
    #[diagnostic(
        code(tilewright::parse::not_text),
        help("give the text form (`.tw`), saved as UTF-8; JSON and tensors are read elsewhere")
    )]
    NotText { offset: usize },
    #[error("the file has {size} bytes, and {limit} is the limit")]
    #[diagnostic(
        code(tilewright::parse::too_large),
        help("a layer graph is a few kilobytes: is this the right file?")
    )]
    TooLarge { size: usize, limit: usize },
    #[error("the character {found:?} has no meaning here")]
    #[diagnostic(
        code(tilewright::parse::character),
        help("comments start with `//`; names are letters, digits and `_`")
    )]
    Character {
        found: char,
        #[label("this")]
        span: SourceSpan,
    },
    #[error("`{text}` is not a number that fits")]
    #[diagnostic(
        code(tilewright::parse::number),
        help("write integers below 2^63, and floats as in `1.5` or `1e-6`")
    )]
    Number {
        text: String,
        #[label("this number")]
        span: SourceSpan,
    },
    #[error("expected {expected}, found {found}")]
    #[diagnostic(code(tilewright::parse::unexpected))]
    Unexpected {
        expected: String,
        found: String,
        #[label("expected {expected}")]
        span: SourceSpan,
        #[help]
        help: Option<String>,
    },
    #[error("{what} is not closed")]
    #[diagnostic(code(tilewright::parse::unclosed), help("add the missing `{close}`"))]
    Unclosed {
        what: &'static str,
        close: &'static str,
        #[label("opened here")]
        open: SourceSpan,
    },
    #[error("expressions are nested more than {limit} deep")]
    #[diagnostic(
        code(tilewright::parse::nesting),
        help("give the inner part a name of its own")
    )]
    Nesting {
        limit: usize,
        #[label("too deep here")]
        span: SourceSpan,
    },
    #[error("there is no launch kind `{found}`")]
    #[diagnostic(
        code(tilewright::parse::launch),
        help("write `launch parallel` (one task a block) or `launch spmd` (one task for all)")
    )]
    Launch {
        found: String,
        #[label("not a launch kind")]
        span: SourceSpan,
    },
    #[error("there is no loop kind `{found}`")]
    #[diagnostic(
        code(tilewright::parse::loop_kind),
        help("write `loop range`, or `loop pipeline(2)`")
    )]
    LoopKind {
        found: String,
        #[label("not a loop kind")]
        span: SourceSpan,
    },
    #[error("there is no element type `{found}`")]
    #[diagnostic(
        code(tilewright::parse::element_type),
        help("{}", super::element_types(found))
    )]
    ElementType {
        found: String,
        #[label("not an element type")]
        span: SourceSpan,
    },
}
