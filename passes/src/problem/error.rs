//! Why a graph is no problem that can be searched.

/// Why a schedule as written cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error, miette::Diagnostic)]
pub enum ProblemError {
    #[error("kernel `{kernel}` computes `{value}` of rank {rank}")]
    #[diagnostic(
        code(tilewright::schedule::rank),
        help("kernels compute matrices: give the value two dimensions")
    )]
    Rank {
        kernel: String,
        region: String,
        value: String,
        rank: usize,
    },
    #[error("kernel `{kernel}` stores nothing that is used")]
    #[diagnostic(
        code(tilewright::schedule::empty_kernel),
        help("name one of its values in `output`, use it in another kernel, or remove the kernel")
    )]
    NothingStored { kernel: String, region: String },
    #[error(
        "kernel `{region}`: a product reads `{value}` of {cols} columns, and rows that are loaded for one have at most {limit}"
    )]
    #[diagnostic(code(tilewright::schedule::wide), help("{help}"))]
    Wide {
        region: String,
        value: String,
        cols: usize,
        limit: usize,
        help: String,
    },
    #[error(
        "kernel `{region}`: the {k} largest are wanted of rows of `{value}`, which have {cols} columns: of more than {limit} \
         columns at most {finds} can be found"
    )]
    #[diagnostic(
        code(tilewright::schedule::sorted),
        help("give k = {finds} at most, or rows of at most {limit} columns")
    )]
    Sorted {
        region: String,
        value: String,
        cols: usize,
        k: usize,
        limit: usize,
        finds: usize,
    },
    #[error("kernel `{region}`: {problem} of `{value}`")]
    #[diagnostic(code(tilewright::schedule::transposed), help("{help}"))]
    Transposed {
        region: String,
        value: String,
        problem: String,
        help: &'static str,
    },
}

impl ProblemError {
    /// The region of the graph that is refused.
    pub fn region(&self) -> &str {
        match self {
            ProblemError::Rank { region, .. }
            | ProblemError::NothingStored { region, .. }
            | ProblemError::Wide { region, .. }
            | ProblemError::Sorted { region, .. }
            | ProblemError::Transposed { region, .. } => region,
        }
    }
}
