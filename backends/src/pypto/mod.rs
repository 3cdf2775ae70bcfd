//! Prints a kernel program as source of PyPTO, a language for tile kernels in Python, in a form that a person who writes
//! such kernels can read and edit.
//!
//! [`emit`] decides nothing. Loops with their depth, launches, tiles and instructions are those of the program: a kernel is a
//! `@pl.jit.inline` function of tiles that are loaded, computed and stored, in a file of its own, so that tile constants keep
//! their engineers' names though kernels differ in their values. The layer is a `@pl.jit` function that calls the kernels in
//! launch order. What has no form in the language is left to its compiler: addresses, slots of buffers (`pl.pipeline` rotates
//! them), flags, and scratch of instructions that have no argument for it. An instruction without a form is refused.
//!
//! A program writes tiles in place; in the language an operation gives a new value. So an instruction is an assignment to
//! the variable of its tile. Three things follow, and are all that is added: a variable that is assigned in a block and
//! used outside is made before the block (`scope`); the extent of a value is inferred, and narrowed where an instruction works on
//! less (`value`); and an instruction that leaves a part of its tile alone is an insertion into the value before.
//!
//! * [`emit`], [`EmitError`], [`Fault`]: what callers use.
//! * `kernel`: statements; `file`: what stands around; `layer`: the function of all.
//! * `instr`: one instruction; `transfer`, `vector`, `scalar`: those of one kind.
//! * `writer`: names, and the lines so far; `tiles`: what the variables of tiles hold.
//! * `types`, `reserved`, `format`: words, and how lines are broken.
//!
//! The language is that of the repository `hw-native-sys/pypto`: its user guide (`docs/en/user/language`, `docs/en/user/ops`) and
//! its signatures (`python/pypto/language`), version 0.1.0 of August 2026.

mod error;
mod file;
mod format;
mod instr;
mod kernel;
mod layer;
mod reserved;
mod scalar;
mod scope;
mod tiles;
mod transfer;
mod types;
mod value;
mod vector;
mod writer;

pub use error::{EmitError, Fault, Refused};

use crate::source::idents::Idents;
use crate::source::manifest::manifest;
use crate::source::target;
use crate::source::{File, Lines, Notes};
use reserved::RESERVED;
use tilewright_ir::kernel::{Kernel, Program, verify};
use tilewright_ir::machine::Machine;

/// Prints every kernel of `program`, the layer that calls them, the package's `__init__.py`, and the manifest
/// `kernels.json` as the last file.
///
/// # Errors
/// [`EmitError::Machine`] if the language is for another machine, [`EmitError::Kernel`] if the program does not verify,
/// otherwise every kernel that has no form, with its first instruction that has none.
pub fn emit(program: &Program, machine: &Machine, notes: &Notes) -> Result<Vec<File>, EmitError> {
    // Flags and their numbers are the language's own.
    target::check(machine, "PyPTO", false)?;
    verify(program, machine)?;
    let mut ids = Idents::new(RESERVED);
    let layer = ids.claim(&program.name, "layer");
    let functions: Vec<String> = program
        .kernels
        .iter()
        .map(|k| ids.claim(&k.name, "kernel"))
        .collect();
    let path = |name: &str| format!("{name}.py");
    let mut files = vec![];
    let mut refused = vec![];
    for (kernel, function) in program.kernels.iter().zip(&functions) {
        let notes = notes.get(&kernel.name).map_or(&[][..], Vec::as_slice);
        match file::file(program, kernel, machine, function, notes) {
            Ok(text) => files.push(source(path(function), text)),
            Err(e) => refused.push(e),
        }
    }
    if !refused.is_empty() {
        return Err(EmitError::NoForm {
            kernels: program.kernels.len(),
            refused,
        });
    }
    files.push(source(
        path(&layer),
        layer::file(program, &layer, &functions),
    ));
    files.push(source(
        "__init__.py".into(),
        layer::package(program, &layer),
    ));
    let others = [path(&layer), "__init__.py".into()];
    let of = |kernel: &Kernel| {
        let place = program.kernels.iter().position(|k| k.name == kernel.name);
        let name = place.and_then(|i| functions.get(i));
        path(name.map_or("", String::as_str))
    };
    files.push(manifest(program, of, &others));
    Ok(files)
}

fn source(path: String, text: String) -> File {
    File {
        path,
        text,
        lines: Lines::default(),
    }
}
