//! The parts of a kernel's file around its statements: the head, constants, the signature, the launch.

use super::error::{Fault, Refused};
use super::format::{INDENT, paragraph, statement};
use super::types::dtype;
use super::writer::Writer;
use crate::source::index::count_vars;
use crate::source::{printable, schedule};
use indexmap::IndexSet;
use std::fmt::Write as _;
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::kernel::{
    Cond, GlobalTensor, Instr, Kernel, LoopId, Program, Stmt, TileId, Unit, Var,
};
use tilewright_ir::machine::Machine;

/// What a kernel does to a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    In,
    Out,
    InOut,
}

/// The text of a kernel's file.
pub(super) fn file(
    program: &Program,
    kernel: &Kernel,
    machine: &Machine,
    function: &str,
    notes: &[String],
) -> Result<String, Refused> {
    if let Some(tile) = kept(&kernel.body, &mut vec![]) {
        let tile = kernel.tiles.get(tile);
        return Err(Refused {
            kernel: kernel.name.clone(),
            instr: "tload".into(),
            fault: Fault::Kept {
                tile: tile.map_or_else(String::new, |t| t.name.clone()),
            },
        });
    }
    if kernel.unit == Unit::Mixed {
        return Err(Refused {
            kernel: kernel.name.clone(),
            instr: "mixed".to_owned(),
            fault: Fault::Mixed,
        });
    }
    let mut w = Writer::new(program, kernel, machine, function);
    let depth = w.launch();
    w.statements(depth)?;
    Ok(w.assemble(notes))
}

/// A module's docstring, from its lines.
pub(super) fn docstring(lines: &[String]) -> String {
    let text = lines.join("\n").replace('"', "'");
    format!("\"\"\"{text}\n\"\"\"\n")
}

/// Rows of a docstring: what each is about, and that.
pub(super) fn rows(lines: &mut Vec<String>, rows: &[(&str, String)]) {
    let width = rows.iter().map(|(key, _)| key.len()).max().unwrap_or(0) + 1;
    let hang = format!("{INDENT}{}", " ".repeat(width));
    for (key, text) in rows {
        let first = format!("{INDENT}{key:<width$}");
        paragraph(lines, &first, &hang, &printable(text));
    }
}

/// A tensor as the type of a parameter.
pub(super) fn parameter(tensor: &GlobalTensor, direction: Direction) -> String {
    let (rows, cols) = tensor.matrix();
    let ty = format!("pl.Tensor[[{rows}, {cols}], {}]", dtype(tensor.dtype));
    match direction {
        Direction::In => ty,
        Direction::Out => format!("pl.Out[{ty}]"),
        Direction::InOut => format!("pl.InOut[{ty}]"),
    }
}

/// What a kernel does to the tensors of its parameters, in their order.
pub(super) fn directions(kernel: &Kernel, names: impl Iterator<Item = String>) -> Vec<Direction> {
    let (reads, writes) = kernel.accesses();
    names
        .map(|n| match (reads.contains(&n), writes.contains(&n)) {
            (true, true) => Direction::InOut,
            (false, true) => Direction::Out,
            _ => Direction::In,
        })
        .collect()
}

impl Writer<'_> {
    /// Opens the loops or scopes that start the blocks; returns how deep their body is.
    fn launch(&mut self) -> usize {
        let kernel = self.kernel;
        let mut used = IndexSet::new();
        count_vars(&kernel.body, &mut |v| {
            if let Var::Grid(i) = v {
                used.insert(i);
            }
        });
        let axes = &kernel.launch.grid;
        let counted: Vec<usize> = (0..axes.len()).filter(|i| axes[*i].count > 1).collect();
        let hint = format!("name_hint=\"{}\"", self.function);
        self.depth = 1;
        match kernel.launch.kind {
            LaunchKind::Parallel => {
                for i in &counted {
                    let n = self
                        .names
                        .constants
                        .named(&self.names.blocks[*i], axes[*i].count as i64);
                    let name = match used.contains(i) {
                        true => self.names.grid[*i].clone(),
                        false => "_".to_owned(),
                    };
                    self.line(&format!("for {name} in pl.parallel({n}):"));
                    self.depth += 1;
                }
                self.line(&format!("with pl.at(level=pl.Level.CORE_GROUP, {hint}):"));
                self.depth += 1;
            }
            LaunchKind::Spmd => {
                let blocks: Vec<String> = counted
                    .iter()
                    .map(|i| {
                        self.names
                            .constants
                            .named(&self.names.blocks[*i], axes[*i].count as i64)
                    })
                    .collect();
                let (name, total) = match counted.as_slice() {
                    [] => ("_".to_owned(), "1".to_owned()),
                    [one] if used.contains(one) => (self.names.grid[*one].clone(), blocks.join("")),
                    more if more.iter().any(|i| used.contains(i)) => {
                        (self.block.clone(), blocks.join(" * "))
                    }
                    _ => ("_".to_owned(), blocks.join(" * ")),
                };
                self.line(&format!("for {name} in pl.spmd({total}, {hint}):"));
                self.depth += 1;
                if counted.len() > 1 {
                    for (at, i) in counted.iter().enumerate() {
                        if used.contains(i) {
                            let text = coordinate(&self.block, &blocks, at);
                            let name = self.names.grid[*i].clone();
                            self.line(&format!("{name} = {text}"));
                        }
                    }
                }
            }
        }
        // An axis of one block.
        for i in 0..axes.len() {
            if !counted.contains(&i) && used.contains(&i) {
                let name = self.names.grid[i].clone();
                self.line(&format!("{name} = 0"));
            }
        }
        self.depth
    }

    fn assemble(mut self, notes: &[String]) -> String {
        let kernel = self.kernel;
        let mut lines = vec![];
        let unit = kernel.unit.name();
        let title = format!(
            "{}: a {unit} kernel of {}, for {}. Made by tilewright.",
            kernel.name, self.program.name, self.program.machine
        );
        paragraph(&mut lines, "", "", &printable(&title));
        lines.push(String::new());
        rows(&mut lines, &schedule(kernel, self.machine));
        if !notes.is_empty() {
            lines.push(String::new());
        }
        for note in notes {
            paragraph(&mut lines, "", INDENT, &printable(note));
        }
        let mut out = docstring(&lines);
        out.push_str("\nimport pypto.language as pl\n\n");
        self.names.constants.used.sort_keys();
        let place = |name: &str| {
            let mut params = kernel.params.keys();
            params.position(|p| p.to_ascii_uppercase() == name)
        };
        self.names
            .constants
            .used
            .sort_by_key(|name, _| place(name).unwrap_or(usize::MAX));
        for (name, value) in &self.names.constants.used {
            let _ = writeln!(out, "{name} = {value}");
        }
        let mut lines = vec![];
        if !self.names.constants.used.is_empty() {
            lines.push(String::new());
        }
        lines.push(String::new());
        lines.push("@pl.jit.inline".into());
        lines.push(format!("def {}(", self.function));
        let directions = directions(kernel, self.names.tensors.keys().cloned());
        let mut results = vec![];
        for ((name, id), direction) in self.names.tensors.iter().zip(directions) {
            if let Some(tensor) = self.program.tensors.get(name) {
                let ty = parameter(tensor, direction);
                statement(&mut lines, INDENT, &format!("{id}: {ty},"));
            }
            if direction != Direction::In {
                results.push(id.clone());
            }
        }
        for id in self.names.scalars.values() {
            lines.push(format!("{INDENT}{id}: pl.Scalar[pl.INDEX],"));
        }
        lines.push("):".into());
        lines.extend(std::mem::take(&mut self.lines));
        if !results.is_empty() {
            statement(
                &mut lines,
                INDENT,
                &format!("return {}", results.join(", ")),
            );
        }
        for line in lines {
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// A coordinate of a block: its place in the mixed radix of the axes' blocks, slowest first.
fn coordinate(block: &str, blocks: &[String], at: usize) -> String {
    let inner = &blocks[at + 1..];
    let text = match inner {
        [] => block.to_owned(),
        [n] => format!("{block} // {n}"),
        more => format!("{block} // ({})", more.join(" * ")),
    };
    match at {
        0 => text,
        _ => format!("{text} % {}", blocks[at]),
    }
}

/// A tile of slots by one loop that only the first trip of another one loads: the language has no name for what is left in them.
fn kept(body: &[Stmt], firsts: &mut Vec<LoopId>) -> Option<TileId> {
    body.iter().find_map(|stmt| match stmt {
        Stmt::Loop { body, .. } | Stmt::Part { body, .. } => kept(body, firsts),
        Stmt::If {
            cond,
            then,
            otherwise,
        } => {
            let known = firsts.len();
            if let Cond::First(id) = cond {
                firsts.push(*id);
            }
            let found = kept(then, firsts);
            firsts.truncate(known);
            found.or_else(|| kept(otherwise, firsts))
        }
        Stmt::Instr(Instr::Load { dst, .. }) => {
            let slot = dst.slot.filter(|s| firsts.iter().any(|f| f != s));
            slot.map(|_| dst.tile)
        }
        _ => None,
    })
}
