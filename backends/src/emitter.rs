//! What prints the kernels of a program as source text: a name and a function, and the table of those that there are.
//!
//! An emitter gets a program that is allocated and synchronised, and decides nothing: what it prints is what the program
//! says, and what its language has no form for it refuses, by kernel and instruction. To add one, write a function in a module
//! of its own and give it a line in [`ALL`]; `emit --as NAME` finds it there.

pub use crate::source::{File, Lines, Notes};

use crate::{ascend, pypto};
use miette::Diagnostic;
use thiserror::Error;
use tilewright_ir::kernel::{Program, Unit};
use tilewright_ir::machine::Machine;

/// A language that kernels are printed in.
#[derive(Debug, Clone, Copy)]
pub struct Emitter {
    /// What `--as` takes.
    pub name: &'static str,
    /// In a line.
    pub about: &'static str,
    /// The kernels that the language can say, by their cores; others are not made for it.
    pub units: &'static [Unit],
    /// Rules that choose what the language has no form for; kernels for it are made without.
    pub without: &'static [&'static str],
    /// Prints all kernels, and the manifest `kernels.json` as the last file.
    pub emit: fn(&Program, &Machine, &Notes) -> Result<Vec<File>, EmitterError>,
}

/// The emitters that there are, the default one first.
pub const ALL: [Emitter; 2] = [
    Emitter {
        name: "cpp",
        about: "PTO-ISA C++, which also runs on this machine",
        units: &Unit::ALL,
        without: &[],
        emit: |program, machine, notes| Ok(ascend::emit_with_notes(program, machine, notes)?),
    },
    Emitter {
        name: "pypto",
        about: "PyPTO source, in Python, whose compiler places tiles and flags",
        units: &[Unit::Cube, Unit::Vector],
        without: &["keep-left", "keep-left-part"],
        emit: |program, machine, notes| Ok(pypto::emit(program, machine, notes)?),
    },
];

/// The emitter of this name.
pub fn find(name: &str) -> Option<&'static Emitter> {
    ALL.iter().find(|e| e.name == name)
}

/// Why a program has no form in a language.
#[derive(Debug, Error, Diagnostic)]
pub enum EmitterError {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Cpp(#[from] ascend::EmitError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Pypto(#[from] pypto::EmitError),
}
