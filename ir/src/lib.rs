//! The intermediate representations of tilewright: plain values that every stage reads or returns.
//!
//! * [`graph`]: a layer as a tensor dataflow graph, with the schedule that its author wrote.
//! * [`text`]: the `.tw` text form of a graph, parsed with source spans and printed back.
//! * [`kernel`]: a program of kernels made of loops, tiles, instructions and flags.
//! * [`machine`]: what a kernel runs on, read from TOML files that name the source of every figure.
//! * [`timing`]: what one instruction costs on a machine.
//! * [`spans`]: where the time of a command goes.
//!
//! Nothing here optimizes, emits or executes: that is what the crates `tilewright-passes` and
//! `tilewright-backends` are for, and neither knows the other.

pub mod dtype;
pub mod exchange;
pub mod graph;
pub mod kernel;
pub mod machine;
pub mod spans;
pub mod syntax;
pub mod text;
pub mod threads;
pub mod timing;

pub use dtype::{DType, Round};
