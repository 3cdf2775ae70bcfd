//! An optimizer for layer graphs on Ascend NPUs.
//!
//! A layer graph is read, scheduled once as its author wrote it and once as an e-graph search finds best, emitted as PTO-ISA C++
//! kernels, and run on the embedded simulator against a plain interpreter.
//!
//! ```
//! use tilewright::prelude::*;
//!
//! # fn main() -> Result<()> {
//! # let folder = tempfile::tempdir().map_err(|e| Error::Stdout { reason: e.to_string() })?;
//! let layer = Layer::parse("rms_norm.tw", include_bytes!("../examples/rms_norm.tw"))?;
//! let graph = layer.at([("D", 1024)])?;
//! let rename = GraphPass::new("rename", "gives the graph another name", |mut graph, _| {
//!     graph.name += "_mine";
//!     Ok(graph)
//! });
//! let compiler = Compiler::for_machine(DEFAULT_MACHINE)?
//!     .rules(r#"rule no-double-negation bitwise "two signs cancel" { (neg (neg ?a)) => ?a }"#)?
//!     .pin("norm.launch=spmd")?
//!     .pass_after("prune", rename)
//!     .cost(Scoreboard)
//!     .on(Simulator);
//! let outcome = compiler.run(&graph, &Data::generated(&graph, 0)?)?;
//! compiler.emit(&outcome, folder.path())?;
//! print!("{}", outcome.report);
//! assert!(outcome.report.ok && outcome.report.speedup > 1.0);
//! assert_eq!(outcome.compiled.optimized.program.name, "rms_norm_mine");
//! assert!(folder.path().join("optimized/norm.cpp").is_file());
//! # Ok(())
//! # }
//! ```
//!
//! [`prelude`] has what that needs and what own passes, cost models and backends are written with. A graph can be built in Rust as well
//! ([`ir::graph::Builder`]). An error has a code, a remedy and a place in the layer's text where there is one: it is a
//! `miette::Diagnostic`.
//!
//! * [`compiler`]: one value that says how layers are optimized and what runs them; start here.
//! * [`layer`]: a graph file, and the graph that it stands for at some sizes; [`warnings`]: what in it is probably not meant.
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
//! * [`hints`]: what of a schedule costs time for a reason that can be named.
//! * [`moe`]: layer files from sizes and from models' configurations.
//! * [`folder`]: files into a folder, whole or not at all; [`place`]: single files.
//! * [`project`](mod@project): kernels with a launcher and data, to be built with CANN.
//! * [`tune`](mod@tune): the best schedule by measuring, and what was measured.
//! * [`snapshot`]: kernels that are kept, to see what of them changes.
//! * [`comparison`]: two schedules side by side.
//! * [`config`]: what `tilewright.toml` says.
//! * [`error`]: why something was refused.
//!
//! The stages themselves are crates of their own, under names of this one: [`ir`], [`passes`] and [`backends`].

#![warn(missing_docs)]

/// Graphs, operations, kernel programs and machines: the crate `tilewright-ir`.
pub use tilewright_ir as ir;

/// From a graph to a kernel program: the crate `tilewright-passes`.
pub use tilewright_passes as passes;

/// What interprets, simulates, prints and runs programs: the crate `tilewright-backends`.
pub use tilewright_backends as backends;

mod axis;
pub mod calibrate;
pub mod check;
pub mod comparison;
pub mod compile;
pub mod compiler;
pub mod config;
mod config_error;
pub mod data;
pub mod derived;
pub mod detail;
pub mod error;
pub mod explain;
pub mod findings;
pub mod folder;
pub mod form;
mod hashes;
pub mod hints;
mod journal;
pub mod layer;
pub mod moe;
pub mod page;
pub mod place;
pub mod plot;
pub mod prelude;
pub mod project;
pub mod ranks;
pub mod report;
pub mod run;
pub mod saved;
pub mod shown;
pub mod snapshot;
mod snapshot_error;
pub mod suspects;
pub mod swimlane;
pub mod times;
pub mod trace;
pub mod tune;
mod tune_error;
pub mod verify;
pub mod warnings;
pub mod watch;
pub mod written;
