//! Runs emitted kernels on this machine: their C++ text as it is, compiled by the system's compiler.
//!
//! The text is compiled against tilewright's own implementation of the PTO instructions for a CPU
//! (`backends/include/isa`, part of the binary), or against a PTO-ISA installation. All blocks of a kernel run on threads,
//! kernels one after the other, ranks side by side. docs/host.md tells what is exact.
//!
//! Start with [`Host`]. It decides nothing about a kernel and proves nothing: races and missing flags are the simulator's
//! to find, since a block runs in program order here.
//!
//! * `compiler`: which compiler there is; `cache`: where libraries are kept; `build`: from texts to libraries.
//! * `process`: libraries, tensors and threads in a process of their own, and how that ended.

mod build;
mod cache;
mod compiler;
mod error;
mod process;

pub use cache::{Cache, VARIABLE};
pub use compiler::Compiler;
pub use error::HostError;
pub(crate) use process::{ended, input, scalars};

use crate::ascend::File;
use crate::backend::{Backend, BackendError, Job, Ran, RanKernel, RanRank, Timing};
use build::Builder;
use std::path::PathBuf;
use tilewright_ir::kernel::Program;

/// How kernels are compiled and run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The folder `include` of a PTO-ISA installation; the built-in header if there is none.
    pub pto_include: Option<PathBuf>,
    /// More arguments for the compiler, after all others.
    pub cxxflags: Vec<String>,
    /// Threads that blocks run on; as many as the machine has if there is no number.
    pub threads: Option<usize>,
    /// Where compiled kernels are kept; [`Cache::open`] says where else.
    pub cache: Option<PathBuf>,
}

/// This machine.
#[derive(Debug, Clone, Default)]
pub struct Host {
    pub options: Options,
}

impl Host {
    /// Compiles the kernels of a program and runs nothing; the libraries, in the order of the kernels.
    ///
    /// # Errors
    ///
    /// No compiler, and the first kernel that it refuses.
    pub fn build(&self, program: &Program, files: &[File]) -> Result<Vec<PathBuf>, HostError> {
        let (cache, compiler) = (self.cache()?, Compiler::find()?);
        Builder::new(&cache, &compiler, &self.options)?.kernels(program, files)
    }

    fn cache(&self) -> Result<Cache, HostError> {
        match &self.options.cache {
            Some(path) => Cache::at(path),
            None => Cache::open(),
        }
    }

    fn run_job(&self, job: &Job) -> Result<Ran, HostError> {
        if job.inputs.len() != job.program.ranks {
            return Err(HostError::Ranks {
                ranks: job.program.ranks,
                given: job.inputs.len(),
            });
        }
        let (cache, compiler) = (self.cache()?, Compiler::find()?);
        let builder = Builder::new(&cache, &compiler, &self.options)?;
        let libraries = builder.kernels(job.program, job.files)?;
        let parallelism = || std::thread::available_parallelism().map_or(1, |n| n.get());
        let ranks = process::run(&process::Task {
            job,
            runner: &builder.runner()?,
            libraries: &libraries,
            threads: self.options.threads.unwrap_or_else(parallelism),
        })?;
        let ran = |(outputs, seconds): (_, Vec<f64>)| {
            let kernels = job.program.kernels.iter().zip(seconds);
            RanRank {
                outputs,
                kernels: kernels
                    .map(|(k, seconds)| RanKernel::new(&k.name, seconds))
                    .collect(),
            }
        };
        Ok(Ran {
            ranks: ranks.into_iter().map(ran).collect(),
            timelines: None,
        })
    }
}

impl Backend for Host {
    fn name(&self) -> &'static str {
        "host"
    }

    fn about(&self) -> &'static str {
        "the emitted C++, compiled by this system's compiler; times are this machine's"
    }

    fn timing(&self) -> Timing {
        Timing::Host
    }

    fn run(&self, job: &Job) -> Result<Ran, BackendError> {
        Ok(self.run_job(job)?)
    }
}
