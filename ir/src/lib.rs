//! The intermediate representations of tilewright: plain values that every stage reads or returns.
//!
//! * [`syntax`]: the text form as a tree, parsed with source spans and printed back.
//! * [`op`]: the table of operations, and definitions of more in the text form.
//! * [`graph`]: a layer as a tensor dataflow graph, with the schedule that its author wrote.
//! * [`text`]: graphs from the text form and back.
//! * [`kernel`]: a program of kernels made of loops, tiles, instructions and flags.
//! * [`machine`]: what a kernel runs on, read from TOML files that name the source of every figure.
//! * [`timing`]: what one instruction costs on a machine.
//!
//! Nothing here optimizes, emits or executes: that is what the crates `tilewright-passes` and
//! `tilewright-backends` are for, and neither knows the other.

pub mod dtype;
mod float;
pub mod graph;
pub mod integer;
pub mod kernel;
pub mod machine;
pub mod op;
pub mod schedule;
mod space;
pub mod syntax;
pub mod text;
pub mod timing;

pub use dtype::{DType, Round};
