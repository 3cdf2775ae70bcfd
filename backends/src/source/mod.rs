//! What emitters share: files and their lines, notes for head comments, the names of numbers and variables, so that a
//! kernel's constants are called the same in every language, and the manifest `kernels.json`.
//!
//! Nothing here knows a language. Emitters use this; their registry is [`crate::emitter`].

pub(crate) mod idents;
pub(crate) mod index;
pub(crate) mod manifest;
pub(crate) mod names;
pub(crate) mod target;

pub use target::OtherMachine;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use tilewright_ir::kernel::{Kernel, Unit};
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
    /// Whether no line is known.
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty() && self.tiles.is_empty()
    }
}

/// Lines for the head comment of a kernel, by kernel name: what it costs, what it was chosen over.
pub type Notes = IndexMap<String, Vec<String>>;

/// A kernel's schedule, as head comments tell it: what it is about, and that.
pub(crate) fn schedule(k: &Kernel, machine: &Machine) -> Vec<(&'static str, String)> {
    let mut rows = vec![];
    if !k.covers.is_empty() {
        rows.push(("covers", k.covers.join(", ")));
    }
    let blocks = match k.launch.blocks() {
        1 => "1 block".to_owned(),
        n => format!("{n} blocks"),
    };
    let blocks = match k.unit {
        Unit::Mixed => format!(
            "{blocks} of a cube core and {} vector cores",
            machine.geometry.sub_blocks.count()
        ),
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
