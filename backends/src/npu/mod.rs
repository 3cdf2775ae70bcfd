//! Emitted kernels on an NPU: a project that CANN builds, and that loads, launches, compares and times them.
//!
//! [`project`] makes the files of a project, which stands on its own, and [`project_of_sizes`] those of one for many sizes; `tilewright emit --project` writes them. [`Npu`] is
//! the backend: it writes a project to a temporary folder, builds it with CANN's compiler, runs it, and reads outputs and
//! times back. docs/npu.md tells what has been tested, and on what.
//!
//! * `project`: the files; those that are the same in every project are in `project/`.
//! * `layer`: `layer.txt`, which tells the launcher what to do.
//! * `cann`: where CANN is, building and running.

mod cann;
mod error;
mod layer;
mod project;

pub use error::NpuError;
pub use project::{
    Bucket, Check, Content, MANIFEST, MAX_DATA, Sized, Spec, Stored, UNITS, project,
    project_of_sizes, supported,
};

use crate::backend::{Backend, BackendError, Job, Ran, Timing};
use cann::Cann;
use std::path::PathBuf;
use tilewright_ir::kernel::{Program, Unit};

/// The NPU of this machine.
#[derive(Debug, Clone, Default)]
pub struct Npu {
    /// The folder `include` of PTO-ISA; CANN's own if there is none.
    pub pto_include: Option<PathBuf>,
}

impl Backend for Npu {
    fn name(&self) -> &'static str {
        "npu"
    }

    fn about(&self) -> &'static str {
        "an Ascend NPU of this machine, by CANN; times are its own"
    }

    fn timing(&self) -> Timing {
        Timing::Device
    }

    fn units(&self) -> &'static [Unit] {
        &UNITS
    }

    fn ready(&self) -> Result<(), BackendError> {
        Cann::find()?;
        Ok(())
    }

    fn accepts(&self, program: &Program) -> Result<(), BackendError> {
        Ok(project::one_rank(program)?)
    }

    fn run(&self, job: &Job) -> Result<Ran, BackendError> {
        self.accepts(job.program)?;
        let inputs = job.only_rank(self.name())?;
        let ran = Cann::find()?.run(job, inputs, self.pto_include.as_deref())?;
        Ok(Ran {
            ranks: vec![ran],
            timelines: None,
        })
    }
}
