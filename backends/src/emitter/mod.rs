//! What prints the kernels of a program as source text: a name and a function, and the table of those that there are.
//!
//! An emitter gets a program that is allocated and synchronised, and decides nothing: what it prints is what the program
//! says, and what its language has no form for it refuses, by kernel and instruction. To add one, write a function in a module
//! of its own and give it a line in [`ALL`]; `emit --as NAME` finds it there.
//!
//! What emitters share is here: files and their lines, notes for head comments, and (`index`, `idents`) the names of numbers
//! and variables, so that a kernel's constants are called the same in every language.

pub(crate) mod idents;
pub(crate) mod index;
pub(crate) mod manifest;

use crate::{ascend, pypto};
use indexmap::IndexMap;
use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tilewright_ir::kernel::{Kernel, Program, SUB_BLOCKS, Unit};
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
    /// Prints all kernels, and the manifest `kernels.json` as the last file.
    pub emit: fn(&Program, &Machine, &Notes) -> Result<Vec<File>, EmitterError>,
}

/// The emitters that there are, the default one first.
pub const ALL: [Emitter; 2] = [
    Emitter {
        name: "cpp",
        about: "PTO-ISA C++, which also runs on this machine",
        units: &Unit::ALL,
        emit: |program, machine, notes| Ok(ascend::emit_with_notes(program, machine, notes)?),
    },
    Emitter {
        name: "pypto",
        about: "PyPTO source, in Python, whose compiler places tiles and flags",
        units: &[Unit::Cube, Unit::Vector],
        emit: |program, _, notes| Ok(pypto::emit(program, notes)?),
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

/// A kernel's schedule, as head comments tell it: what it is about, and that.
pub(crate) fn schedule(k: &Kernel) -> Vec<(&'static str, String)> {
    let mut rows = vec![];
    if !k.covers.is_empty() {
        rows.push(("covers", k.covers.join(", ")));
    }
    let blocks = match k.launch.blocks() {
        1 => "1 block".to_owned(),
        n => format!("{n} blocks"),
    };
    let blocks = match k.unit {
        Unit::Mixed => format!("{blocks} of a cube core and {SUB_BLOCKS} vector cores"),
        Unit::Cube | Unit::Vector => blocks,
    };
    let grid: Vec<String> = k
        .launch
        .grid
        .iter()
        .map(|a| format!("{} {}", a.name, a.count))
        .collect();
    let grid = match grid.as_slice() {
        [] => String::new(),
        axes => format!(" ({})", axes.join(" x ")),
    };
    rows.push((
        "launch",
        format!("{}, {blocks}{grid}", k.launch.kind.name()),
    ));
    let params: Vec<String> = k.params.iter().map(|(n, v)| format!("{n} = {v}")).collect();
    if !params.is_empty() {
        rows.push(("tiles", params.join(", ")));
    }
    let pipeline = match k.pipeline {
        0 | 1 => "none".to_owned(),
        n => format!("{n} loads in flight"),
    };
    rows.push(("pipeline", pipeline));
    if !k.after.is_empty() {
        rows.push(("after", k.after.join(", ")));
    }
    rows
}

/// One line without what would end a comment.
pub(crate) fn printable(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() || c == '\\' { ' ' } else { c })
        .collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The name of one of several.
pub(crate) fn singular(name: &str) -> &str {
    match name.strip_suffix('s') {
        Some(one) if !one.is_empty() && !one.ends_with('s') => one,
        _ => name,
    }
}
