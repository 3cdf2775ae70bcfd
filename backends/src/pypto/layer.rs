//! The file that runs a layer's kernels one after the other, and the one that makes a package of all.

use super::file::{Direction, directions, docstring, parameter, rows};
use super::format::{INDENT, paragraph, statement};
use super::reserved::RESERVED;
use super::types::dtype;
use crate::source::idents::Idents;
use crate::source::manifest::{scalar_arguments, tensor_arguments};
use crate::source::printable;
use indexmap::IndexMap;
use tilewright_ir::kernel::{Program, Role};

/// The text of the layer's file. `functions` are the names of the kernels' functions, in launch order.
pub(super) fn file(program: &Program, function: &str, functions: &[String]) -> String {
    let mut ids = Idents::new(RESERVED);
    ids.claim(function, "");
    for name in functions {
        ids.claim(name, "");
    }
    let tensors: IndexMap<&String, String> = program
        .tensors
        .keys()
        .map(|name| (name, ids.claim(name, "gm")))
        .collect();
    let scalars: Vec<String> = program
        .scalars
        .keys()
        .map(|name| ids.claim(name, "arg"))
        .collect();
    let mut out = docstring(&head(program));
    out.push_str("\nimport pypto.language as pl\n\n");
    let mut imports: Vec<&String> = functions.iter().collect();
    imports.sort();
    for name in imports {
        out.push_str(&format!("from .{name} import {name}\n"));
    }
    let mut lines = vec![String::new(), String::new()];
    lines.push("@pl.jit".into());
    lines.push(format!("def {function}("));
    let mut results = vec![];
    for (name, tensor) in &program.tensors {
        let direction = match tensor.role {
            Role::Input => Direction::In,
            Role::Output => Direction::Out,
            Role::Workspace | Role::Window => continue,
        };
        let id = &tensors[name];
        if direction == Direction::Out {
            results.push(id.as_str());
        }
        let ty = parameter(tensor, direction);
        statement(&mut lines, INDENT, &format!("{id}: {ty},"));
    }
    for id in &scalars {
        lines.push(format!("{INDENT}{id}: pl.Scalar[pl.INDEX] = pl.RUNTIME,"));
    }
    lines.push("):".into());
    for (name, tensor) in &program.tensors {
        if tensor.role == Role::Workspace {
            let (rows, cols) = tensor.matrix();
            let ty = dtype(tensor.dtype);
            let text = format!(
                "{} = pl.create_tensor([{rows}, {cols}], dtype={ty})",
                tensors[name]
            );
            statement(&mut lines, INDENT, &text);
        }
    }
    for (kernel, function) in program.kernels.iter().zip(functions) {
        let names = tensor_arguments(kernel);
        let directions = directions(kernel, names.iter().cloned());
        let mut arguments: Vec<&str> = names.iter().map(|n| tensors[n].as_str()).collect();
        let given = arguments.iter().zip(&directions);
        let written: Vec<&str> = given
            .filter(|(_, d)| **d != Direction::In)
            .map(|(a, _)| *a)
            .collect();
        let numbers = scalar_arguments(program, kernel);
        arguments.extend(numbers.into_iter().map(|i| scalars[i].as_str()));
        let call = format!("{function}({})", arguments.join(", "));
        let text = match written.is_empty() {
            true => call,
            false => format!("{} = {call}", written.join(", ")),
        };
        statement(&mut lines, INDENT, &text);
    }
    let last = match results.is_empty() {
        true => "return".to_owned(),
        false => format!("return {}", results.join(", ")),
    };
    statement(&mut lines, INDENT, &last);
    for line in lines {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// The text of the package's own file.
pub(super) fn package(program: &Program, function: &str) -> String {
    let mut lines = vec![];
    let title = format!("The kernels of {}. Made by tilewright.", program.name);
    paragraph(&mut lines, "", "", &printable(&title));
    format!(
        "{}\nfrom .{function} import {function}\n\n__all__ = [\"{function}\"]\n",
        docstring(&lines)
    )
}

fn head(program: &Program) -> Vec<String> {
    let mut lines = vec![];
    let kernels = match program.kernels.len() {
        1 => "1 kernel".to_owned(),
        n => format!("{n} kernels"),
    };
    let title = format!(
        "{}: a layer of {kernels}, for {}. Made by tilewright.",
        program.name, program.machine
    );
    paragraph(&mut lines, "", "", &printable(&title));
    lines.push(String::new());
    let table: Vec<(&str, String)> = program
        .kernels
        .iter()
        .map(|k| {
            let blocks = match k.launch.blocks() {
                1 => "1 block".to_owned(),
                n => format!("{n} blocks"),
            };
            let after = match k.after.is_empty() {
                true => String::new(),
                false => format!(", after {}", k.after.join(", ")),
            };
            let text = format!("{}, {blocks}{after}", k.launch.kind.name());
            (k.name.as_str(), text)
        })
        .collect();
    rows(&mut lines, &table);
    lines
}
