//! An optimizer for layer graphs on Ascend NPUs.
//!
//! A layer graph is read, scheduled once as its author wrote it and once as an e-graph search finds best, emitted as PTO-ISA C++
//! kernels, and run on the embedded simulator against a plain interpreter.
//!
//! ```
//! use indexmap::IndexMap;
//! use tilewright::compile::{Options, compile};
//! use tilewright::form::Form;
//! use tilewright::layer::Layer;
//! use tilewright_ir::machine::{DEFAULT_MACHINE, Machine};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let layer = Layer::parse("rms_norm.tw", include_bytes!("../examples/rms_norm.tw"))?;
//! let graph = layer.graph(&IndexMap::from([("D".to_string(), 1024)]))?;
//! let options = Options::new(Machine::builtin(DEFAULT_MACHINE)?);
//! let optimized = compile(&graph, Form::Optimized, &options)?;
//! assert_eq!(optimized.artifact.stage().to_string(), "program");
//! # Ok(())
//! # }
//! ```
//!
//! * [`layer`]: a graph file, and the graph that it stands for at some sizes.
//! * [`data`]: inputs and expected outputs of a run.
//! * [`compile`](mod@compile): passes over a graph, in the form as written or optimized.
//! * [`form`]: a layer as written and optimized, and a value of each.
//! * [`run`](mod@run): the whole way, stage by stage, to a [`report::Report`] and files.
//! * [`ranks`]: what several ranks are asked besides.
//! * [`check`]: outputs against what is expected.
//! * [`findings`]: what the checker has to say about kernels; [`shown`]: the same as diagnostics; [`saved`]: programs in JSON.
//! * [`verify`](mod@verify): kernels against the interpreter, at sizes that take seconds.
//! * [`report`]: what a run tells, as plain values.
//! * [`detail`]: what views show beside a report: when blocks run, what lies where on chip, the emitted text.
//! * [`page`]: both as a page for a browser; [`trace`]: when blocks run, for Perfetto; [`swimlane`]: the same as text.
//! * [`times`]: where the time of a command goes; [`watch`]: what is being done while it is.
//! * [`explain`](mod@explain): what led to the chosen kernels, and what alternatives would cost.
//! * [`moe`]: layer files from sizes and from models' configurations.
//! * [`folder`]: files into a folder, whole or not at all.
//! * [`project`](mod@project): kernels with a launcher and data, to be built with CANN.
//! * [`tune`](mod@tune): the best schedule by measuring, and what was measured.
//! * [`snapshot`]: kernels that are kept, to see what of them changes.
//! * [`config`]: what `tilewright.toml` says.
//! * [`error`]: why something was refused.
//!
//! The stages themselves are in the crates `tilewright-ir`, `tilewright-passes` and `tilewright-backends`.

mod axis;
pub mod calibrate;
pub mod check;
pub mod compile;
pub mod config;
mod config_error;
pub mod data;
pub mod detail;
pub mod error;
pub mod explain;
pub mod findings;
pub mod folder;
pub mod form;
mod journal;
pub mod layer;
pub mod moe;
pub mod page;
pub mod plot;
pub mod project;
pub mod ranks;
pub mod report;
pub mod run;
pub mod saved;
pub mod shown;
pub mod snapshot;
mod snapshot_error;
pub mod swimlane;
pub mod times;
pub mod trace;
pub mod tune;
mod tune_error;
pub mod verify;
pub mod watch;
pub mod written;
