//! A backend of one's own: it keeps the kernels that it is given in a folder, and lets the host run them, on one rank or on several.
//!
//! `cargo run --example custom_backend`

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use tilewright::prelude::*;

struct Recorded {
    folder: PathBuf,
    host: Host,
}

/// What only this backend can say; it is shown with its code and its help, like what tilewright itself refuses.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("cannot keep a kernel as {}: {reason}", path.display())]
#[diagnostic(
    code(recorded::unwritable),
    help("name a folder that is there and can be written to")
)]
struct Unwritable {
    path: PathBuf,
    reason: String,
}

impl Backend for Recorded {
    fn name(&self) -> &'static str {
        "recorded"
    }

    fn about(&self) -> &'static str {
        "the host, with the kernels kept in a folder"
    }

    fn timing(&self) -> Timing {
        Timing::Host
    }

    fn run(&self, job: &Job) -> Result<Ran, BackendError> {
        for file in job.files {
            let path = self.folder.join(&file.path);
            std::fs::write(&path, &file.text).map_err(|e| {
                BackendError::other(Unwritable {
                    path,
                    reason: e.to_string(),
                })
            })?;
        }
        self.host.run(job)
    }
}

/// One layer on one rank, and one on two; their kernels are kept in a folder.
pub fn run(folder: &Path, host: Host) -> Result<String> {
    let mut compiler = Compiler::for_machine(DEFAULT_MACHINE)?.on(Recorded {
        folder: folder.into(),
        host,
    });
    // A few iterations are enough to have something to run.
    compiler.options.search.iter_limit = 4;
    compiler.options.search.candidates = 1;
    let mut text = String::new();
    for graph in [norm()?, moe()?] {
        let report = compiler.run(&graph, &Data::generated(&graph, 0)?)?.report;
        let _ = writeln!(
            text,
            "{}: {} kernels on {} rank(s), {} checks, all passed: {}",
            graph.name,
            report.optimized.kernels.len(),
            graph.ranks(),
            report.checks.len(),
            report.ok
        );
    }
    Ok(text)
}

fn norm() -> Result<Graph> {
    let layer = Layer::parse("rms_norm.tw", include_bytes!("rms_norm.tw"))?;
    layer.at([("D", 512)])
}

/// A whole layer of experts, at sizes that a moment is enough for.
fn moe() -> Result<Graph> {
    let layer = Layer::parse("dsv4_flash_moe.tw", include_bytes!("dsv4_flash_moe.tw"))?;
    layer.at([
        ("T", 4),
        ("D", 64),
        ("MOE_INTER", 32),
        ("N_LOCAL", 2),
        ("TOPK", 2),
        ("VOCAB", 32),
    ])
}

pub fn main() -> miette::Result<()> {
    let folder = std::env::temp_dir();
    print!("{}", run(&folder, Host::default())?);
    println!("kernels kept in {}", folder.display());
    Ok(())
}
