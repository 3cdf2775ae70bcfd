//! Prints a kernel program as PTO-ISA C++, one file a kernel, that a person can read.
//!
//! [`emit`] takes a program with addresses and flags and decides nothing: a tile is a `Tile` at its address, an
//! instruction is one call, a loop is a loop. What it adds is what C++ needs and the program leaves out: a second
//! `Tile` object at the same address where an instruction wants to see the same bytes as another shape or type
//! (`types`), and a `GlobalTensor` for each rectangle of global memory.
//!
//! The text is C++17 for the a2a3 headers of PTO-ISA; it also compiles in that project's CPU simulator
//! (`__CPU_SIM`) and in its cost model (`__COSTMODEL`).
//!
//! * [`emit`], [`File`], [`Notes`], [`EmitError`]: what callers use.
//! * `kernel`: statements, and the names and objects that they use; `file`: what stands around them.
//! * `instr`: one instruction as calls; `transfer`: those that move rectangles of global memory.
//! * `scalar`: the scalar unit, counters, and peers.
//! * `index`: affine expressions and their constants' names.
//! * `types`: C++ types of tiles.
//! * `manifest`: `kernels.json`, which tells a launcher order, blocks and arguments.

mod error;
mod file;
mod idents;
mod index;
mod instr;
mod kernel;
mod manifest;
mod scalar;
mod text;
mod transfer;
mod types;

pub use error::{EmitError, Fault};
pub(crate) use manifest::{RankNeeds, scalar_arguments, tensor_arguments};
pub(crate) use types::element;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use tilewright_ir::kernel::{Program, verify};
use tilewright_ir::machine::Machine;

/// A file to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Relative to the output folder: `gate_mm.cpp`.
    pub path: String,
    pub text: String,
    /// Where the kernel's parts are in the text; empty for a file without a kernel.
    #[serde(default, skip_serializing_if = "Lines::is_empty")]
    pub lines: Lines,
}

/// Lines of a kernel's file, from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    /// Of each statement, by its index path in the body (`2.0.then.1`): the line on which its call begins, or its `for` or `if`.
    pub statements: IndexMap<String, usize>,
    /// Of each tile's declaration, by the tile's name.
    pub tiles: IndexMap<String, usize>,
    /// Of the function's signature.
    pub function: usize,
}

impl Lines {
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty() && self.tiles.is_empty()
    }
}

/// Lines for the head comment of a kernel, by kernel name: what it costs, what it was chosen over.
pub type Notes = IndexMap<String, Vec<String>>;

/// Prints every kernel of `program`, and the manifest `kernels.json` as the last file.
///
/// # Errors
/// [`EmitError::Kernel`] if the program does not verify, otherwise the first kernel, tile or instruction that has no
/// PTO-ISA form.
pub fn emit(program: &Program, machine: &Machine) -> Result<Vec<File>, EmitError> {
    emit_with_notes(program, machine, &Notes::new())
}

/// As [`emit`], with lines for the head comments.
///
/// # Errors
/// As [`emit`].
pub fn emit_with_notes(
    program: &Program,
    machine: &Machine,
    notes: &Notes,
) -> Result<Vec<File>, EmitError> {
    verify(program)?;
    let mut files = Vec::with_capacity(program.kernels.len() + 1);
    for kernel in &program.kernels {
        let notes = notes.get(&kernel.name).map_or(&[][..], Vec::as_slice);
        let (text, lines) = kernel::file(program, kernel, machine, notes)?;
        files.push(File {
            path: format!("{}.cpp", kernel.name),
            text,
            lines,
        });
    }
    files.push(File {
        path: "kernels.json".into(),
        text: manifest::manifest(program),
        lines: Lines::default(),
    });
    Ok(files)
}
