//! What runs the kernels of a program: a name, a run, and the registry of those that there are.
//!
//! A backend gets a program that is allocated and synchronised, the text that was emitted for it, and inputs; it gives back
//! outputs and times, or says why not. What is compared with what is its caller's business. To add one, implement
//! [`Backend`] and give it a line in [`all`], or hand it to the caller as it is (`examples/custom_backend.rs`).

use crate::ascend::File;
use crate::data::Tensors;
use crate::host::{Host, HostError, Options};
use crate::npu::{Npu, NpuError};
use crate::sim::{self, SimError};
use miette::Diagnostic;
use thiserror::Error;
use tilewright_ir::kernel::Program;
use tilewright_ir::machine::Machine;

/// What a backend is to run.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    pub program: &'a Program,
    /// The program as [`crate::ascend::emit`] prints it.
    pub files: &'a [File],
    pub machine: &'a Machine,
    /// Tensors under the program's names, and its scalars as integers of rank 0.
    pub inputs: &'a Tensors,
}

/// What a backend is to run on several ranks.
#[derive(Debug, Clone, Copy)]
pub struct RanksJob<'a> {
    pub program: &'a Program,
    /// The program as [`crate::ascend::emit`] prints it.
    pub files: &'a [File],
    pub machine: &'a Machine,
    /// Of each rank, as in a [`Job`].
    pub inputs: &'a [Tensors],
    /// Runs of the program, one after the other on the same windows.
    pub layers: usize,
    /// Outputs that become inputs of the next run.
    pub feed: &'a [(String, String)],
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The program's outputs, by name.
    pub outputs: Tensors,
    /// In launch order.
    pub kernels: Vec<RanKernel>,
}

/// A kernel's time.
#[derive(Debug, Clone)]
pub struct RanKernel {
    pub name: String,
    /// From its start to the end of its last block; what clock that is, [`Backend::timing`] says.
    pub seconds: f64,
    /// What a simulator of the machine knows beside.
    pub simulated: Option<sim::KernelReport>,
}

/// Whose times a backend gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// A model of the machine that kernels were compiled for.
    Simulated,
    /// The machine that tilewright runs on, which says nothing about the one that kernels are for.
    Host,
    /// A chip of the kind that kernels were compiled for, measured.
    Device,
}

/// Runs programs.
pub trait Backend: Sync {
    /// What `--on` takes.
    fn name(&self) -> &'static str;
    /// In a line.
    fn about(&self) -> &'static str;
    fn timing(&self) -> Timing;
    /// Whether this machine has what the backend needs, before work is done for it.
    ///
    /// # Errors
    ///
    /// What is missing.
    fn ready(&self) -> Result<(), BackendError> {
        Ok(())
    }
    /// Runs all kernels, one after the other.
    ///
    /// # Errors
    ///
    /// What the backend does not run, and why.
    fn run(&self, job: &Job) -> Result<Ran, BackendError>;
    /// Runs all kernels on all ranks, which run side by side; what each rank came to in the last run.
    ///
    /// # Errors
    ///
    /// As [`Backend::run`]; [`BackendError::OneRank`] if the backend runs no programs of several ranks.
    fn run_ranks(&self, job: &RanksJob) -> Result<Vec<Ran>, BackendError> {
        Err(BackendError::OneRank {
            backend: self.name(),
            ranks: job.inputs.len(),
        })
    }
}

/// Why a backend did not run a program.
#[derive(Debug, Error, Diagnostic)]
pub enum BackendError {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Sim(#[from] SimError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Npu(#[from] NpuError),
    #[error("backend `{backend}` runs programs of one rank, and this one has {ranks}")]
    #[diagnostic(
        code(tilewright::backend::one_rank),
        help("run it with `--on sim` or `--on host`")
    )]
    OneRank { backend: &'static str, ranks: usize },
    /// Of a backend from elsewhere.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Other(#[from] Box<dyn Diagnostic + Send + Sync>),
}

/// The backends that there are, the default one first.
pub fn all(options: &Options) -> Vec<Box<dyn Backend>> {
    vec![
        Box::new(Simulator),
        Box::new(Host {
            options: options.clone(),
        }),
        Box::new(Npu {
            pto_include: options.pto_include.clone(),
        }),
    ]
}

/// The embedded simulator: see [`crate::sim`].
#[derive(Debug, Clone, Copy)]
pub struct Simulator;

impl Backend for Simulator {
    fn name(&self) -> &'static str {
        "sim"
    }

    fn about(&self) -> &'static str {
        "the embedded simulator, which also refuses races and missing flags; times are the machine's"
    }

    fn timing(&self) -> Timing {
        Timing::Simulated
    }

    fn run(&self, job: &Job) -> Result<Ran, BackendError> {
        let how = sim::Options::default();
        let report = sim::run(job.program, job.machine, job.inputs, &how)?;
        let kernels = report.kernels.into_iter().map(|k| RanKernel {
            name: k.name.clone(),
            seconds: k.us * 1e-6,
            simulated: Some(k),
        });
        Ok(Ran {
            outputs: report.outputs,
            kernels: kernels.collect(),
        })
    }
}
