//! Why a configuration is none.

use miette::{Diagnostic, SourceSpan};

/// Why a configuration is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Diagnostic)]
#[allow(missing_docs)] // Each variant has its message.
pub enum ConfigFileError {
    #[error("the configuration is not right: {message}")]
    #[diagnostic(code(tilewright::config::invalid), help("{help}"))]
    Invalid {
        message: String,
        help: String,
        #[label("here")]
        at: Option<SourceSpan>,
    },
}
