//! The checker over whole layers and over saved programs: hazards, and values.
//!
//! What is checked, and how, is [`tilewright_backends::checker`]'s to say. (Outputs against expected ones are [`crate::check`]'s.)

use crate::compile::Options;
use crate::error::{Error, Result};
use crate::form::Form;
use crate::layer::Layer;
use crate::ranks::carried;
use crate::report::scalar_value;
use crate::run::{Compiled, compile_forms, notes};
use crate::saved::Saved;
use crate::shown::Shown;
use crate::suspects;
use crate::verify::{Small, Verified, equal, is_quick, smaller};
use indexmap::IndexMap;
use serde::Serialize;
use tilewright_backends::ascend::{File, Notes};
use tilewright_backends::checker::{Checked, Finding, Severity, check, check_ranks, inputs};
use tilewright_backends::data::Tensors;
use tilewright_ir::graph::Graph;
use tilewright_ir::kernel::Program;
use tilewright_ir::machine::Machine;
use tracing::info_span;

/// What the checker found in a layer or a program.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The name of the layer or program.
    pub name: String,
    /// The machine's name.
    pub machine: String,
    /// Whether nothing is wrong.
    pub ok: bool,
    /// A program a form.
    pub programs: Vec<ProgramReport>,
}

/// What the checker found in one program.
#[derive(Debug, Clone, Serialize)]
pub struct ProgramReport {
    /// `None` for a saved program.
    pub form: Option<Form>,
    /// The sizes that it runs, where a folder holds programs for many: `T=1 to 4`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// How many kernels it has.
    pub kernels: usize,
    /// The scalars of each run.
    pub runs: Vec<IndexMap<String, i64>>,
    /// How many ranks run it.
    pub ranks: usize,
    /// The params that differ from those of the layer, of a program that was run at smaller sizes.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub sizes: IndexMap<String, i64>,
    /// The pass that a saved program comes from, where passes were left that it needs to run: they were run first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_from: Option<String>,
    /// At which sizes outputs were compared with the interpreter's; `None` if they were not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Verified>,
    /// What is wrong, in the order of places.
    pub findings: Vec<Finding>,
    /// The emitted files that findings point into.
    #[serde(skip)]
    pub files: Vec<File>,
}

impl ProgramReport {
    fn new(
        form: Option<Form>,
        program: &Program,
        cases: &[Vec<Tensors>],
        checked: Checked,
    ) -> Self {
        let scalars = |case: &Vec<Tensors>| {
            let given = program.scalars.keys();
            // All ranks share them.
            let value = |n: &String| Some((n.clone(), scalar_value(case.first()?.get(n)?)?));
            given.filter_map(value).collect()
        };
        ProgramReport {
            form,
            of: None,
            kernels: program.kernels.len(),
            runs: cases.iter().map(scalars).collect(),
            ranks: program.ranks,
            sizes: IndexMap::new(),
            finished_from: None,
            values: None,
            findings: checked.findings,
            files: checked.files,
        }
    }

    /// Compares outputs with the interpreter's; the first case in which they differ is a finding.
    fn compare(
        &mut self,
        graph: &Graph,
        compiled: &Compiled,
        options: &Options,
        cases: &[Vec<Tensors>],
    ) -> Result<()> {
        for case in cases {
            match equal(graph, compiled, options, case) {
                Ok(()) => {}
                Err(refusal) if matches!(*refusal.error, Error::Differs { .. }) => {
                    let mut finding = Finding::values(refusal.to_string());
                    if let Some(line) = suspects::line(&compiled.kernels) {
                        finding.remedy = line;
                    }
                    self.findings.push(finding);
                    return Ok(());
                }
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(())
    }

    /// The findings, each with the text that it points into.
    pub fn shown(&self) -> impl Iterator<Item = Shown> {
        self.findings.iter().map(|f| Shown::new(f, &self.files))
    }

    /// How many findings say that something is wrong.
    pub fn errors(&self) -> usize {
        let wrong = |f: &&Finding| f.severity == Severity::Error;
        self.findings.iter().filter(wrong).count()
    }
}

/// A layer to check.
pub struct Subject<'a> {
    /// The layer, for smaller sizes of it.
    pub layer: &'a Layer,
    /// The layer at its sizes.
    pub graph: &'a Graph,
    /// How it is compiled.
    pub options: &'a Options,
    /// Whether outputs are compared with the interpreter's, too.
    pub values: bool,
}

/// Checks both forms of a layer: on the inputs that `data` makes of a graph, and with fewer of the rows that its scalars tell to be
/// valid. What several ranks run and would take too long is checked at smaller sizes.
///
/// # Errors
///
/// What [`compile_forms`] refuses, and `data`.
pub fn check_layer(
    subject: &Subject,
    data: &dyn Fn(&Graph) -> Result<Vec<Tensors>>,
) -> Result<Report> {
    let Subject { graph, options, .. } = *subject;
    let compiled = compile_forms(graph, options)?;
    // Smaller sizes, and the kernels at these.
    let small = match is_quick(graph) || !(subject.values || graph.ranks() > 1) {
        true => None,
        false => smaller(subject.layer, graph, options),
    };
    let small = match small {
        Some(small) => Some((compile_forms(&small.graph, options)?, small)),
        None => None,
    };
    let mut programs = vec![];
    for (form, compiled) in compiled.as_ref() {
        let _span = info_span!("check", step = form.name()).entered();
        let _span = info_span!("hazards").entered();
        let lesser = small.as_ref().map(|(c, small)| (c.get(form), small));
        programs.push(check_form(subject, compiled, lesser, data)?);
    }
    Ok(Report {
        name: graph.name.clone(),
        machine: options.machine.name.clone(),
        ok: programs.iter().all(|p| p.errors() == 0),
        programs,
    })
}

/// Checks a form of a layer; `small` is the same form at smaller sizes, where values are compared at these.
fn check_form(
    subject: &Subject,
    compiled: &Compiled,
    small: Option<(&Compiled, &Small)>,
    data: &dyn Fn(&Graph) -> Result<Vec<Tensors>>,
) -> Result<ProgramReport> {
    let whole = (compiled, subject.graph);
    let lesser = small.map_or(whole, |(c, small)| (c, &small.graph));
    // One rank runs at the sizes that were asked for, several ranks at those that take seconds.
    let (checked, graph) = match subject.graph.ranks() {
        1 => whole,
        _ => lesser,
    };
    let cases = by_case(&checked.program, &data(graph)?);
    let mut report = match graph.ranks() {
        1 => check_compiled(checked, &subject.options.machine, &cases),
        _ => {
            let (program, machine) = (&checked.program, &subject.options.machine);
            let found = check_ranks(program, machine, &cases, &carried(graph), &notes(checked));
            ProgramReport::new(Some(checked.form), program, &cases, found)
        }
    };
    report.kernels = compiled.program.kernels.len();
    if let (Some((_, small)), true) = (small, graph.ranks() > 1) {
        report.sizes = small.params.clone();
    }
    if subject.values && report.errors() == 0 {
        let (compiled_small, graph) = lesser;
        report.values = Some(match (small, is_quick(graph)) {
            (_, false) => Verified::Nothing,
            (None, true) => Verified::Whole,
            (Some((again, small)), true) => small.verified(compiled, again),
        });
        if is_quick(graph) {
            let cases = by_case(&compiled_small.program, &data(graph)?);
            report.compare(graph, compiled_small, subject.options, &cases)?;
        }
    }
    Ok(report)
}

/// The inputs of each case, by rank.
fn by_case(program: &Program, inputs: &[Tensors]) -> Vec<Vec<Tensors>> {
    let mut by_rank: Vec<_> = inputs
        .iter()
        .map(|i| inputs::cases(program, i).into_iter())
        .collect();
    let mut cases = vec![];
    loop {
        let case: Vec<Tensors> = by_rank.iter_mut().filter_map(Iterator::next).collect();
        if case.is_empty() {
            return cases;
        }
        cases.push(case);
    }
}

/// Checks a compiled form of one rank on each of some inputs.
fn check_compiled(compiled: &Compiled, machine: &Machine, cases: &[Vec<Tensors>]) -> ProgramReport {
    let own: Vec<Tensors> = cases.concat();
    let checked = check(&compiled.program, machine, &own, &notes(compiled));
    ProgramReport::new(Some(compiled.form), &compiled.program, cases, checked)
}

/// Checks a program that was saved, on these inputs, by rank, or on generated ones. One from a pass that others follow is taken
/// through those first.
///
/// # Errors
///
/// Tensors that are too large to generate, and what the passes that were left refuse.
pub fn check_program(
    saved: &Saved,
    machine: &Machine,
    given: Option<&[Tensors]>,
    seed: u64,
) -> Result<ProgramReport> {
    let (program, finished_from) = saved.finished(machine)?;
    let mut base = vec![];
    // Of broken ranks the verifier speaks.
    for rank in 0..program.ranks.clamp(1, MOST_RANKS) {
        let mut own = inputs::generate(&program, machine, seed.wrapping_add(rank as u64))?;
        for (name, tensor) in given.into_iter().filter_map(|g| g.get(rank)).flatten() {
            own.insert(name.clone(), tensor.clone());
        }
        base.push(own);
    }
    let cases = by_case(&program, &base);
    let checked = match program.ranks {
        0 | 1 => check(&program, machine, &cases.concat(), &Notes::new()),
        _ => check_ranks(&program, machine, &cases, &[], &Notes::new()),
    };
    let mut report = ProgramReport::new(saved.form, &program, &cases, checked);
    report.finished_from = finished_from;
    report.of = saved.sizes.as_ref().map(|s| match s.from == s.to {
        true => format!("{}={}", s.param, s.to),
        false => format!("{}={} to {}", s.param, s.from, s.to),
    });
    let changed = saved.changed(&report.files);
    report
        .findings
        .extend(changed.iter().map(|f| Finding::file(f)));
    Ok(report)
}

/// Ranks that inputs are made for.
const MOST_RANKS: usize = 32;
