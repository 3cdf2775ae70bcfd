//! The hazard checker over whole layers and over saved programs.
//!
//! What is checked, and how, is [`tilewright_backends::checker`]'s to say. (Outputs against expected ones are [`crate::check`]'s.)

use crate::compile::Options;
use crate::data::Data;
use crate::error::{Error, Result};
use crate::form::Form;
use crate::report::scalar_value;
use crate::run::{Compiled, compile_forms, notes};
use crate::shown::Shown;
use indexmap::IndexMap;
use serde::Serialize;
use std::path::Path;
use tilewright_backends::ascend::{File, Notes};
use tilewright_backends::checker::{Checked, Finding, Severity, check, inputs};
use tilewright_backends::data::Tensors;
use tilewright_ir::graph::Graph;
use tilewright_ir::kernel::Program;
use tilewright_ir::machine::Machine;

/// What the checker found in a layer or a program.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub name: String,
    pub machine: String,
    /// Whether nothing is wrong.
    pub ok: bool,
    pub programs: Vec<ProgramReport>,
}

/// What the checker found in one program.
#[derive(Debug, Clone, Serialize)]
pub struct ProgramReport {
    /// `None` for a saved program.
    pub form: Option<Form>,
    pub kernels: usize,
    /// The scalars of each run.
    pub runs: Vec<IndexMap<String, i64>>,
    pub findings: Vec<Finding>,
    /// The emitted files that findings point into.
    #[serde(skip)]
    pub files: Vec<File>,
}

impl ProgramReport {
    fn new(form: Option<Form>, program: &Program, cases: &[Tensors], checked: Checked) -> Self {
        let scalars = |case: &Tensors| {
            let given = program.scalars.keys();
            let value = |n: &String| Some((n.clone(), scalar_value(case.get(n)?)?));
            given.filter_map(value).collect()
        };
        ProgramReport {
            form,
            kernels: program.kernels.len(),
            runs: cases.iter().map(scalars).collect(),
            findings: checked.findings,
            files: checked.files,
        }
    }

    /// The findings, each with the text that it points into.
    pub fn shown(&self) -> impl Iterator<Item = Shown> {
        self.findings.iter().map(|f| Shown::new(f, &self.files))
    }

    pub fn errors(&self) -> usize {
        let wrong = |f: &&Finding| f.severity == Severity::Error;
        self.findings.iter().filter(wrong).count()
    }
}

/// Checks both forms of a layer on these inputs, and with fewer of the rows that its scalars tell to be valid.
///
/// # Errors
///
/// What [`compile_forms`] refuses.
pub fn check_layer(graph: &Graph, options: &Options, data: &Data) -> Result<Report> {
    let programs: Vec<ProgramReport> = compile_forms(graph, options)?
        .into_iter()
        .map(|(_, compiled)| {
            // Programs of several ranks are refused as such, whatever the inputs.
            let cases = data.inputs.iter().take(1);
            let cases = cases.flat_map(|i| inputs::cases(&compiled.program, i));
            let cases: Vec<Tensors> = cases.collect();
            check_compiled(&compiled, &options.machine, &cases)
        })
        .collect();
    Ok(Report {
        name: graph.name.clone(),
        machine: options.machine.name.clone(),
        ok: programs.iter().all(|p| p.errors() == 0),
        programs,
    })
}

/// Checks a compiled form on each of some inputs.
fn check_compiled(compiled: &Compiled, machine: &Machine, cases: &[Tensors]) -> ProgramReport {
    let checked = check(&compiled.program, machine, cases, &notes(compiled));
    ProgramReport::new(Some(compiled.form), &compiled.program, cases, checked)
}

/// Checks a program that was saved, on these inputs or on generated ones.
///
/// # Errors
///
/// Tensors that are too large to generate.
pub fn check_program(
    program: &Program,
    machine: &Machine,
    given: Option<&Tensors>,
    seed: u64,
) -> Result<Report> {
    let mut base = inputs::generate(program, machine, seed)?;
    for (name, tensor) in given.into_iter().flatten() {
        base.insert(name.clone(), tensor.clone());
    }
    let cases = inputs::cases(program, &base);
    let checked = check(program, machine, &cases, &Notes::new());
    let ok = checked.ok();
    Ok(Report {
        name: program.name.clone(),
        machine: machine.name.clone(),
        ok,
        programs: vec![ProgramReport::new(None, program, &cases, checked)],
    })
}

/// Reads a program that `tilewright show FILE --after PASS --as json` printed. `None` if the text is a graph in JSON.
///
/// # Errors
///
/// [`Error::Program`] for JSON that is neither.
pub fn read_program(path: &Path, text: &str) -> Result<Option<Program>> {
    let is_program = serde_json::from_str::<IndexMap<String, serde_json::Value>>(text)
        .is_ok_and(|object| object.contains_key("kernels") && object.contains_key("machine"));
    if !is_program {
        return Ok(None);
    }
    let program = serde_json::from_str(text).map_err(|e| Error::Program {
        path: path.into(),
        reason: e.to_string(),
    })?;
    Ok(Some(program))
}
