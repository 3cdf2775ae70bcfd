//! `tilewright trial`: what a worker does with a folder that `tune --on command:...` has made.

use super::Ended;
use super::host::HostArgs;
use std::path::PathBuf;
use tilewright::error::Result;
use tilewright::tune::runner::run_job;

/// Does a trial in a folder
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder, with a `job.json`
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// What runs the kernels, as `run --on` has it
    #[arg(long, value_name = "BACKEND", default_value = "npu")]
    on: String,
    #[command(flatten)]
    host: HostArgs,
}

pub fn main(args: &Args) -> Result<Ended> {
    let backend = args.host.backend(&args.on)?;
    backend.ready()?;
    let outcome = run_job(&args.folder, backend.as_ref())?;
    Ok(match outcome.error {
        None => Ended::Well,
        Some(_) => Ended::CheckFailed,
    })
}
