//! Why kernels were not compiled, or did not run.

use crate::backend::BackendError;
use miette::Diagnostic;
use std::path::PathBuf;
use thiserror::Error;

/// A refusal of the host backend.
#[derive(Debug, Clone, PartialEq, Error, Diagnostic)]
pub enum HostError {
    #[error("no C++ compiler: tried {}", tried.join(", "))]
    #[diagnostic(
        code(tilewright::host::no_compiler),
        help(
            "install one that knows C++20 (g++ 11, clang++ 14 or newer), or name it: `CXX=/path/to/c++`"
        )
    )]
    NoCompiler {
        /// Commands with what each of them came to.
        tried: Vec<String>,
    },
    #[error("{} has no `pto/pto-inst.hpp`", path.display())]
    #[diagnostic(
        code(tilewright::host::no_pto),
        help(
            "give `--pto-include` the folder `include` of a PTO-ISA installation, or leave it out to use the built-in header"
        )
    )]
    NoPto { path: PathBuf },
    #[error("`{compiler}` does not compile kernel `{kernel}`:\n{said}")]
    #[diagnostic(code(tilewright::host::compile), help("{help}"))]
    Compile {
        kernel: String,
        compiler: String,
        /// The first lines of what the compiler said.
        said: String,
        help: String,
    },
    #[error("`{compiler}` does not compile tilewright's own runner:\n{said}")]
    #[diagnostic(
        code(tilewright::host::runner),
        help("it needs POSIX threads, `dlopen` and `mmap`; check `CXX` and `--cxxflags`")
    )]
    Runner { compiler: String, said: String },
    #[error("kernel `{kernel}` {ended}{}", lines_after(said))]
    #[diagnostic(
        code(tilewright::host::kernel),
        help(
            "`--on sim` names the instruction that leaves its memory or breaks a rule of the ISA; if it runs there, this is a defect of tilewright, please report it"
        )
    )]
    Kernel {
        kernel: String,
        /// `was ended by signal 11`.
        ended: String,
        said: String,
    },
    #[error("the runner of the kernels {ended}{}", lines_after(said))]
    #[diagnostic(
        code(tilewright::host::process),
        help(
            "check that there is memory for the tensors, and that the folder of temporary files is writable and not full"
        )
    )]
    Process { ended: String, said: String },
    #[error("cannot {what} {}: {reason}", path.display())]
    #[diagnostic(
        code(tilewright::host::file),
        help(
            "compiled kernels are kept in `$TILEWRIGHT_CACHE`, `$XDG_CACHE_HOME/tilewright` or `~/.cache/tilewright`: name a writable folder"
        )
    )]
    File {
        what: &'static str,
        path: PathBuf,
        reason: String,
    },
    #[error("the program runs on {ranks} rank(s), and there are inputs of {given}")]
    #[diagnostic(code(tilewright::host::ranks), help("give the inputs of every rank"))]
    Ranks { ranks: usize, given: usize },
    #[error("input `{name}` is missing")]
    #[diagnostic(
        code(tilewright::host::missing_input),
        help("give a tensor under this name")
    )]
    MissingInput { name: String },
    #[error("input `{name}` is {found}, but the program takes {need}")]
    #[diagnostic(
        code(tilewright::host::input),
        help("convert or reshape it, or compile for its sizes")
    )]
    Input {
        name: String,
        found: String,
        need: String,
    },
    #[error("scalar `{name}` is {value}, outside of 0 to {max}")]
    #[diagnostic(
        code(tilewright::host::scalar),
        help("kernels were compiled for at most {max}")
    )]
    Scalar { name: String, value: i64, max: i64 },
    #[error("the emitted files have none for kernel `{kernel}`")]
    #[diagnostic(
        code(tilewright::host::no_file),
        help("emit the program that is run: one file a kernel, `{kernel}.cpp`")
    )]
    NoFile { kernel: String },
}

fn lines_after(said: &str) -> String {
    match said.trim() {
        "" => String::new(),
        said => format!(":\n{said}"),
    }
}

impl HostError {
    pub(super) fn file(what: &'static str, path: &std::path::Path, e: &std::io::Error) -> Self {
        HostError::File {
            what,
            path: path.into(),
            reason: e.to_string(),
        }
    }
}

impl From<HostError> for BackendError {
    fn from(error: HostError) -> Self {
        BackendError::other(error)
    }
}
