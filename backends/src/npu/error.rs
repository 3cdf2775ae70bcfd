//! Why there is no project, or why it did not run.

use crate::backend::BackendError;
use crate::host::HostError;
use miette::Diagnostic;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What the NPU backend refuses.
#[derive(Debug, Error, Diagnostic)]
pub enum NpuError {
    #[error("there is no CANN here: {why}")]
    #[diagnostic(
        code(tilewright::npu::no_cann),
        help(
            "source the file `set_env.sh` of a CANN installation, which sets ASCEND_HOME_PATH, on a machine with an Ascend NPU; without one, `--on sim` simulates the NPU, `--on host` runs the kernels on this processor, and `tilewright emit FILE --project DIR` writes a project to be built elsewhere"
        )
    )]
    NoCann { why: String },
    #[error("cannot start `{command}`: {reason}")]
    #[diagnostic(
        code(tilewright::npu::no_tool),
        help("CMake 3.16 or newer is needed: install it, and check PATH")
    )]
    NoTool { command: String, reason: String },
    #[error("`{command}` failed:\n{said}")]
    #[diagnostic(code(tilewright::npu::build), help("{help}"))]
    Build {
        command: String,
        said: String,
        help: String,
    },
    #[error(
        "the kernels did not run on the NPU: the launcher {ended}{}",
        lines_after(said)
    )]
    #[diagnostic(
        code(tilewright::npu::launcher),
        help(
            "`npu-smi info` shows whether the device is there and free; if it is, `tilewright emit FILE --project DIR` writes what was run"
        )
    )]
    Launcher {
        /// `ended with exit code 2`.
        ended: String,
        said: String,
    },
    #[error("the launcher gave no time for kernel `{kernel}`")]
    #[diagnostic(
        code(tilewright::npu::no_time),
        help("this is a defect of tilewright, please report it")
    )]
    NoTime { kernel: String },
    #[error("the layer runs on {ranks} rank(s) with windows, and a project runs one rank without")]
    #[diagnostic(
        code(tilewright::npu::ranks),
        help(
            "its kernels alone: `tilewright emit FILE -o DIR`, where `kernels.json` says what a launcher must give them; `--on sim` runs all ranks"
        )
    )]
    Ranks { ranks: usize },
    #[error(
        "kernel `{kernel}` has a part on cube cores and a part on vector cores, which a project does not start"
    )]
    #[diagnostic(
        code(tilewright::npu::mixed),
        help("keep products apart from their readers: `--disable-rule mix`")
    )]
    Mixed { kernel: String },
    #[error("`{name}` cannot be the name of a file")]
    #[diagnostic(
        code(tilewright::npu::name),
        help("name tensors and kernels with letters, digits and `_`")
    )]
    Name { name: String },
    #[error("inputs and expected outputs take {need} bytes, of at most {limit} in a project")]
    #[diagnostic(
        code(tilewright::npu::too_much),
        help(
            "write the project without them (`--no-data`), and put your own beside it as its README.md says; or take smaller sizes"
        )
    )]
    TooMuch { need: u128, limit: u128 },
    #[error("the emitted files have none for kernel `{kernel}`")]
    #[diagnostic(
        code(tilewright::npu::no_file),
        help("emit the program that is run: one file a kernel, `{kernel}.cpp`")
    )]
    NoFile { kernel: String },
    #[error("cannot {what} {}: {reason}", path.display())]
    #[diagnostic(
        code(tilewright::npu::file),
        help("the folder of temporary files must be writable and not full")
    )]
    File {
        what: &'static str,
        path: PathBuf,
        reason: String,
    },
    /// Inputs that are not what the program takes.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Input(#[from] HostError),
}

impl NpuError {
    pub(super) fn file(what: &'static str, path: &Path, e: &std::io::Error) -> Self {
        NpuError::File {
            what,
            path: path.into(),
            reason: e.to_string(),
        }
    }
}

fn lines_after(said: &str) -> String {
    match said.trim() {
        "" => String::new(),
        said => format!(":\n{said}"),
    }
}

impl From<NpuError> for BackendError {
    fn from(error: NpuError) -> Self {
        BackendError::other(error)
    }
}
