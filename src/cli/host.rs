//! The options of commands that compile kernels, and the backend that `--on` names.

use std::path::PathBuf;
use tilewright::error::{Error, Result};
use tilewright_backends::backend::Backend;
use tilewright_backends::host::{Host, Options};
use tilewright_backends::registry::all;

/// How kernels are compiled and run on this machine.
#[derive(Debug, clap::Args)]
pub struct HostArgs {
    /// Compiles against a PTO-ISA installation, whose folder `include` this is, instead of the built-in header, or,
    /// for `npu`, of the one in CANN
    #[arg(long, value_name = "DIR", help_heading = "Backend")]
    pto_include: Option<PathBuf>,
    /// More arguments for the C++ compiler, separated by blanks (repeatable)
    #[arg(
        long,
        value_name = "FLAGS",
        allow_hyphen_values = true,
        help_heading = "Backend"
    )]
    cxxflags: Vec<String>,
}

impl HostArgs {
    fn options(&self) -> Options {
        let flags = self.cxxflags.iter().flat_map(|f| f.split_whitespace());
        Options {
            pto_include: self.pto_include.clone(),
            cxxflags: flags.map(String::from).collect(),
            ..Options::default()
        }
    }

    pub fn host(&self) -> Host {
        Host {
            options: self.options(),
        }
    }

    /// The backend of this name.
    pub fn backend(&self, name: &str) -> Result<Box<dyn Backend>> {
        let backends = all(&self.options());
        let known: Vec<String> = backends
            .iter()
            .map(|b| format!("`{}` ({})", b.name(), b.about()))
            .collect();
        let found = backends.into_iter().find(|b| b.name() == name);
        found.ok_or_else(|| {
            Error::NoBackend {
                name: name.into(),
                known: known.join(", "),
            }
            .into()
        })
    }
}
