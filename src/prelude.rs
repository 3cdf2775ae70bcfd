//! What most programs need, in one line: `use tilewright::prelude::*`.
//!
//! These are all types that [`Compiler`] takes and returns, and those that passes, cost models and backends of your own are written
//! with. Whatever else the stages have is in [`crate::ir`], [`crate::passes`] and [`crate::backends`].

pub use crate::compile::{Options, OwnPass};
pub use crate::compiler::Compiler;
pub use crate::data::{Data, Expected, Source};
pub use crate::error::{Error, Refusal, Result};
pub use crate::form::{Form, Forms};
pub use crate::layer::Layer;
pub use crate::report::{Check, KernelReport, Report};
pub use crate::run::{Compiled, Outcome};

pub use tilewright_ir::graph::{Builder, Graph, GraphError, Op, Schedule, Value};
pub use tilewright_ir::kernel::{Kernel, Program};
pub use tilewright_ir::machine::{DEFAULT_MACHINE, Machine, MachineError};
pub use tilewright_ir::{DType, Round};

pub use tilewright_passes::cost::{CostModel, Estimate, Scoreboard, estimate};
pub use tilewright_passes::pass::{Artifact, Context, GraphPass, Pass, PassError, Stage};
pub use tilewright_passes::search::pins::Pin;

pub use tilewright_backends::backend::{Backend, BackendError, Job, Ran, Simulator, Timing};
pub use tilewright_backends::data::{Tensor, Tensors};
pub use tilewright_backends::host::Host;
