//! What can be wrong with a file that parses: one variant a problem, each with a code, the place, and the remedy.

use crate::graph::GraphError;
use crate::op::exchange::ExchangeError;
use crate::op::expr::ExprError;
use miette::SourceSpan;

/// Why a parsed file gives no graph at these settings.
#[derive(Debug, Clone, PartialEq, thiserror::Error, miette::Diagnostic)]
pub enum LowerError {
    /// An expression computes nothing.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Expr(#[from] ExprError),
    #[error("`{name}` is used before it is defined")]
    #[diagnostic(
        code(tilewright::lower::use_before_definition),
        help(
            "a line reads only what stands above it: move the definition up; if it needs this line's result in turn, the two form a cycle, which no order can run"
        )
    )]
    UseBeforeDefinition {
        name: String,
        #[label("used here")]
        span: SourceSpan,
        #[label("defined here")]
        definition: SourceSpan,
    },
    #[error("`{name}` is not defined at these sizes")]
    #[diagnostic(code(tilewright::lower::inactive), help("{help}"))]
    Inactive {
        name: String,
        help: String,
        #[label("used here")]
        span: SourceSpan,
        #[label("defined only under this kernel's condition")]
        definition: SourceSpan,
    },
    #[error("the name `{name}` is taken")]
    #[diagnostic(code(tilewright::lower::duplicate_name), help("rename one of the two"))]
    DuplicateName {
        name: String,
        #[label("defined again")]
        span: SourceSpan,
        #[label("first defined here")]
        first: SourceSpan,
    },
    #[error("the output `{name}` is named twice")]
    #[diagnostic(
        code(tilewright::lower::duplicate_output),
        help("name each value once; who calls the layer may read it as often as it likes")
    )]
    DuplicateOutput {
        name: String,
        #[label("again")]
        span: SourceSpan,
        #[label("first named here")]
        first: SourceSpan,
    },
    #[error("kernel `{kernel}` says `{what}` twice")]
    #[diagnostic(
        code(tilewright::lower::duplicate_schedule),
        help("keep one of the two")
    )]
    DuplicateSchedule {
        kernel: String,
        what: String,
        #[label("again")]
        span: SourceSpan,
        #[label("first said here")]
        first: SourceSpan,
    },
    #[error("there is no param `{name}` to set")]
    #[diagnostic(code(tilewright::lower::unknown_setting))]
    UnknownSetting {
        name: String,
        #[help]
        help: String,
    },
    #[error("`{name}` would be both {first} ({first_source}) and {second} ({second_source})")]
    #[diagnostic(
        code(tilewright::lower::conflicting_setting),
        help("give inputs and settings that agree on `{name}`")
    )]
    ConflictingSetting {
        name: String,
        first: i64,
        first_source: String,
        second: i64,
        second_source: String,
    },
    #[error("tensor `{name}` has shape {found:?}, and the graph's input is {declared}")]
    #[diagnostic(
        code(tilewright::lower::tensor_shape),
        help("give a tensor of the declared rank and sizes")
    )]
    TensorShape {
        name: String,
        found: Vec<usize>,
        declared: String,
        #[label("declared here")]
        span: SourceSpan,
    },
    #[error("tile `{tile}` cuts axis `{axis}`, which no value of kernel `{kernel}` has")]
    #[diagnostic(code(tilewright::lower::tile_axis))]
    TileAxis {
        kernel: String,
        tile: String,
        axis: String,
        #[label("no dimension here comes from `{axis}`")]
        span: SourceSpan,
        #[help]
        help: String,
    },
    #[error("kernel `{kernel}` computes nothing")]
    #[diagnostic(
        code(tilewright::lower::empty_kernel),
        help("give it a line such as `y = exp(x)`, or remove it")
    )]
    EmptyKernel {
        kernel: String,
        #[label("no operations")]
        span: SourceSpan,
    },
    #[error("the graph has no outputs")]
    #[diagnostic(
        code(tilewright::lower::no_outputs),
        help("name what the caller wants: `output y`")
    )]
    NoOutputs {
        #[label("this graph")]
        span: SourceSpan,
    },
    #[error("{error}")]
    #[diagnostic(code(tilewright::lower::exchange), help("{help}"))]
    Exchange {
        error: Box<ExchangeError>,
        /// In the declaration, if the file has it.
        #[label("here")]
        statement: Option<SourceSpan>,
        #[label("called here")]
        call: SourceSpan,
        help: String,
    },
    #[error("{error}")]
    #[diagnostic(code(tilewright::lower::types))]
    Types {
        error: Box<GraphError>,
        #[label("here")]
        span: SourceSpan,
    },
}

impl LowerError {
    /// What this only adds a place to: an error of a graph, of an operation or of an exchange, whose code says more.
    pub fn inner(&self) -> Option<&dyn miette::Diagnostic> {
        match self {
            LowerError::Types { error, .. } => {
                let mut error = error.as_ref();
                while let GraphError::AtNode { error: inner, .. } = error {
                    error = inner;
                }
                Some(error)
            }
            LowerError::Expr(ExprError::Types { error, .. }) => Some(error.as_ref()),
            LowerError::Exchange { error, .. } => Some(error.as_ref()),
            _ => None,
        }
    }
}
