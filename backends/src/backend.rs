//! What runs the kernels of a program: a name and a run.
//!
//! A backend gets a program that is allocated and synchronised, the text that was emitted for it, and inputs; it gives back
//! outputs and times, or says why not. What is compared with what is its caller's business. To add one, implement
//! [`Backend`] and give it a line in [`crate::registry::all`], or hand it to the caller as it is (`examples/custom_backend.rs`).

use crate::ascend::File;
use crate::data::Tensors;
use crate::sim::{self, Interleaving, RankOptions, SimError};
use miette::Diagnostic;
use std::error::Error;
use tilewright_ir::kernel::{Program, Unit};
use tilewright_ir::machine::Machine;

/// What a backend is to run: a program on all of its ranks, which may be one.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    pub program: &'a Program,
    /// The program as [`crate::ascend::emit`] prints it.
    pub files: &'a [File],
    pub machine: &'a Machine,
    /// Of each rank: tensors under the program's names, and its scalars as integers of rank 0.
    pub inputs: &'a [Tensors],
    /// Runs of the program, one after the other on the same windows.
    pub layers: usize,
    /// Outputs that become inputs of the next run.
    pub carried: &'a [(String, String)],
    /// Seed of the order in which ranks move and stores arrive, for a backend that can choose it.
    pub seed: Option<u64>,
    /// Whether what blocks do when is kept, by a backend that knows: see [`sim::Record`].
    pub record: bool,
}

impl<'a> Job<'a> {
    /// One run of a program.
    pub fn once(
        program: &'a Program,
        files: &'a [File],
        machine: &'a Machine,
        inputs: &'a [Tensors],
    ) -> Self {
        Job {
            program,
            files,
            machine,
            inputs,
            layers: 1,
            carried: &[],
            seed: None,
            record: false,
        }
    }

    /// The inputs of the only rank, for a backend that runs no more.
    ///
    /// # Errors
    ///
    /// [`BackendError::OneRank`] with the backend's name.
    pub fn only_rank(&self, backend: &'static str) -> Result<&'a Tensors, BackendError> {
        match self.inputs {
            [inputs] => Ok(inputs),
            ranks => Err(BackendError::OneRank {
                backend,
                ranks: ranks.len(),
            }),
        }
    }
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Ran {
    /// By rank.
    pub ranks: Vec<RanRank>,
    /// How all ranks went together, if the backend knows.
    pub timelines: Option<Timelines>,
}

/// What the last run of the program came to on one rank.
#[derive(Debug, Clone)]
pub struct RanRank {
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

impl RanKernel {
    /// A kernel of which nothing is known but its time.
    pub fn new(name: &str, seconds: f64) -> Self {
        RanKernel {
            name: name.to_owned(),
            seconds,
            simulated: None,
        }
    }

    /// Microseconds.
    pub fn us(&self) -> f64 {
        let simulated = self.simulated.as_ref().map(|s| s.us);
        simulated.unwrap_or(self.seconds * 1e6)
    }
}

impl From<sim::KernelReport> for RanKernel {
    fn from(report: sim::KernelReport) -> Self {
        RanKernel {
            name: report.name.clone(),
            seconds: report.us * 1e-6,
            simulated: Some(report),
        }
    }
}

/// The kernels of all ranks in time, and what went between them.
#[derive(Debug, Clone)]
pub struct Timelines {
    /// Kernels of a rank one after the other.
    pub sequential: sim::Timeline,
    /// Kernels of a rank side by side where they can be.
    pub overlapped: sim::Timeline,
    /// Changes of counters, and stores into windows of other ranks.
    pub notifications: u64,
    pub remote_stores: u64,
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

impl Timing {
    /// Whether a clock is read, so that two runs at once would spoil each other's times.
    pub fn is_measured(self) -> bool {
        match self {
            Timing::Simulated => false,
            Timing::Host | Timing::Device => true,
        }
    }
}

/// Runs programs.
pub trait Backend: Sync {
    /// What `--on` takes.
    fn name(&self) -> &'static str;
    /// In a line.
    fn about(&self) -> &'static str;
    /// What its times are worth.
    fn timing(&self) -> Timing;
    /// The kernels that it can start, by their cores; others are not made for it.
    fn units(&self) -> &'static [Unit] {
        &Unit::ALL
    }
    /// Whether this machine has what the backend needs, before work is done for it.
    ///
    /// # Errors
    ///
    /// What is missing.
    fn ready(&self) -> Result<(), BackendError> {
        Ok(())
    }
    /// Whether it runs such a program at all, before inputs are computed on.
    ///
    /// # Errors
    ///
    /// What of the program it does not run.
    fn accepts(&self, program: &Program) -> Result<(), BackendError> {
        let _ = program;
        Ok(())
    }
    /// Runs all kernels in their order, on all ranks side by side.
    ///
    /// # Errors
    ///
    /// What the backend does not run, and why; [`BackendError::other`] takes an error of any type.
    fn run(&self, job: &Job) -> Result<Ran, BackendError>;
}

/// Why a backend did not run a program.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum BackendError {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Sim(#[from] SimError),
    #[error("backend `{backend}` runs programs of one rank, and this one has {ranks}")]
    #[diagnostic(
        code(tilewright::backend::one_rank),
        help("run it with `--on sim` or `--on host`")
    )]
    OneRank { backend: &'static str, ranks: usize },
    #[error("backend `{backend}` gave results of {found} rank(s) of {ranks}")]
    #[diagnostic(
        code(tilewright::backend::ranks),
        help("this is a defect of the backend: it must give back what every rank came to")
    )]
    Ranks {
        backend: &'static str,
        found: usize,
        ranks: usize,
    },
    #[error("backend `{backend}` gave no `{output}` of rank {rank}")]
    #[diagnostic(
        code(tilewright::backend::output),
        help("this is a defect of the backend: it must give back every output of the program")
    )]
    Output {
        backend: &'static str,
        output: String,
        rank: usize,
    },
    /// The backend's own, of whatever type.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Other(#[from] Box<dyn Diagnostic + Send + Sync>),
}

impl BackendError {
    /// An error of the backend's own, which is shown with its code and help.
    pub fn other(error: impl Diagnostic + Send + Sync + 'static) -> Self {
        BackendError::Other(Box::new(error))
    }

    /// The backend's own error, if it is of this type.
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        match self {
            BackendError::Other(error) => {
                let error: &(dyn Error + 'static) = &**error;
                error.downcast_ref()
            }
            _ => None,
        }
    }
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
        let options = sim::Options {
            record: job.record,
            ..sim::Options::default()
        };
        if let [inputs] = job.inputs {
            let report = sim::run(job.program, job.machine, inputs, &options)?;
            return Ok(Ran {
                ranks: vec![RanRank {
                    outputs: report.outputs,
                    kernels: report.kernels.into_iter().map(RanKernel::from).collect(),
                }],
                timelines: None,
            });
        }
        let how = RankOptions {
            layers: job.layers,
            carried: job.carried.to_vec(),
            interleaving: job.seed.map_or_else(Interleaving::default, |seed| {
                Interleaving::seeded(seed, job.inputs.len())
            }),
            options,
        };
        let report = sim::run_ranks(job.program, job.machine, job.inputs, &how)?;
        let ranks = report.ranks.into_iter().map(|rank| RanRank {
            outputs: rank.outputs,
            kernels: rank.kernels.into_iter().map(RanKernel::from).collect(),
        });
        Ok(Ran {
            ranks: ranks.collect(),
            timelines: Some(Timelines {
                sequential: report.sequential,
                overlapped: report.overlapped,
                notifications: report.notifications,
                remote_stores: report.remote_stores,
            }),
        })
    }
}
