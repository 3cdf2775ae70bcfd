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
//! * `kernel`: statements; `file`: what stands around them; `writer`: names, and the lines so far; `views`: objects that
//!   show tiles; `registers`: where registers are declared.
//! * `instr`: one instruction as calls; `transfer`: those that move rectangles of global memory; `vector`: the vector unit;
//!   `scalar`: the scalar unit, counters, and peers.
//! * `reserved`: names that C++ and its headers have taken.
//! * `types`: C++ types of tiles.

mod error;
mod file;
mod instr;
mod kernel;
mod registers;
mod reserved;
mod scalar;
mod text;
mod transfer;
mod types;
mod vector;
mod views;
mod writer;

pub use crate::source::{File, Lines, Notes};
pub use error::{EmitError, Fault};
pub(crate) use file::part_name;
pub(crate) use types::element;

use crate::source::manifest::manifest;
use crate::source::target;
use tilewright_ir::kernel::{Program, verify};
use tilewright_ir::machine::Machine;

/// Prints every kernel of `program`, and the manifest `kernels.json` as the last file.
///
/// # Errors
/// [`EmitError::Machine`] if the headers are for another machine, [`EmitError::Kernel`] if the program does not verify,
/// otherwise the first kernel, tile or instruction that has no PTO-ISA form.
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
    target::check(machine, "PTO-ISA", true)?;
    verify(program, machine)?;
    let mut files = Vec::with_capacity(program.kernels.len() + 1);
    for kernel in &program.kernels {
        // It is the name of a function, which readers look for, so it does not become another one.
        if reserved::RESERVED.contains(&kernel.name.as_str()) {
            return Err(EmitError::KernelName {
                kernel: kernel.name.clone(),
            });
        }
        let notes = notes.get(&kernel.name).map_or(&[][..], Vec::as_slice);
        let (text, lines) = kernel::file(program, kernel, machine, notes)?;
        files.push(File {
            path: format!("{}.cpp", kernel.name),
            text,
            lines,
        });
    }
    files.push(manifest(program, |k| format!("{}.cpp", k.name), &[]));
    Ok(files)
}
