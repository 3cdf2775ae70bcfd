//! A backend of one's own: it writes what it is given to a folder and lets the host run it.
//!
//! `cargo run --example custom_backend`

use indexmap::IndexMap;
use std::path::PathBuf;
use tilewright::compile::Options;
use tilewright::data::{Data, Source, inputs};
use tilewright::layer::Layer;
use tilewright::run::run_on;
use tilewright_backends::backend::{Backend, BackendError, Job, Ran, Timing};
use tilewright_backends::host::Host;
use tilewright_ir::machine::{DEFAULT_MACHINE, Machine};

struct Recorded {
    folder: PathBuf,
    host: Host,
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
                let reason = format!("cannot write {}: {e}", path.display());
                BackendError::Other(miette::miette!(reason).into())
            })?;
        }
        self.host.run(job)
    }
}

fn main() -> miette::Result<()> {
    let text = include_bytes!("rms_norm.tw");
    let layer = Layer::parse("rms_norm.tw", text)?;
    let graph = layer.graph(&IndexMap::from([("D".to_string(), 512)]))?;
    let options = Options::new(Machine::builtin(DEFAULT_MACHINE)?);
    let data = Data {
        peers: vec![],
        inputs: inputs(&graph, &Source::Seed(0), &IndexMap::new())?,
        expected: None,
    };
    let backend = Recorded {
        folder: std::env::temp_dir(),
        host: Host::default(),
    };
    let outcome = run_on(&graph, &options, &data, &backend)?;
    for kernel in &outcome.report.optimized.kernels {
        let us = kernel.ran_us().unwrap_or_default();
        println!("{}: {us:.2} us on this machine", kernel.name);
    }
    println!("all checks passed: {}", outcome.report.ok);
    Ok(())
}
