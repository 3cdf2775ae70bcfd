//! `tilewright check`: hazards in the kernels of a layer or of a saved program, and values of a layer.

use super::layout::paragraph;
use super::options::Common;
use super::search::machine;
use super::tables::count;
use super::{Ended, print, print_report, terminal, watch};
use indexmap::IndexMap;
use miette::{Diagnostic, MietteHandler, ReportHandler};
use std::fmt;
use tilewright::data;
use tilewright::error::{Error, Result};
use tilewright::findings::{ProgramReport, Report, Subject, check_layer, check_program};
use tilewright::form::Form;
use tilewright::saved::{self, Saved};
use tilewright_backends::data::Tensors;
use tilewright_ir::graph::Graph;

/// Looks for races, broken flags, overlapping tiles, missing orders between kernels, wrong values, and all else that is wrong with
/// kernels
///
/// FILE is a layer graph, whose form as written and optimized form are both checked; or a program in JSON, as `tilewright show FILE
/// --after check-order --as json` and `--dump PASS=FILE.json` write it; or a folder that `emit` or `run` wrote kernels to. Kernels
/// run on the simulator, on generated inputs unless there are others, with all rows valid, half of them, and none. Outputs of a
/// layer are compared with the interpreter's. docs/check.md lists what can be found, and what to do about it.
#[derive(Debug, clap::Args)]
#[command(after_help = super::examples::CHECK)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Runs again when the file, or one of pins, rules or a machine, changes
    #[arg(long, conflicts_with_all = ["json"])]
    watch: bool,
    /// Does not compare outputs with the interpreter's
    #[arg(long, help_heading = "Backend")]
    no_verify: bool,
}

pub fn main(args: &Args) -> Result<Ended> {
    match args.watch {
        true => watch::again(args.common.files(), || once(args)),
        false => once(args),
    }
}

fn once(args: &Args) -> Result<Ended> {
    let common = &args.common;
    let report = match saved::read(&common.file)? {
        Some(programs) => check_saved(common, &programs)?,
        None => {
            let prepared = common.prepare()?;
            common.start_dumps()?;
            if let Some(text) = common.stopped(&prepared)? {
                print(&text)?;
                return Ok(Ended::Well);
            }
            let subject = Subject {
                layer: &prepared.layer,
                graph: &prepared.graph,
                options: &prepared.options,
                values: !args.no_verify,
            };
            let data = |graph: &Graph| match graph.params == prepared.graph.params {
                true => Ok(common.data(&prepared)?.0.inputs),
                // Neither files nor counts of rows fit other sizes.
                false => common.generated(graph, &IndexMap::new()),
            };
            check_layer(&subject, &data).map_err(|e| prepared.layer.locate(e))?
        }
    };
    match common.json {
        true => print_report(&report)?,
        false => print(&text(&report))?,
    }
    Ok(match report.ok {
        true => Ended::Well,
        false => Ended::CheckFailed,
    })
}

fn check_saved(common: &Common, programs: &[Saved]) -> Result<Report> {
    if let Some(option) = common.of_graphs() {
        return Err(Error::SavedProgram { option }.into());
    }
    if common.num_tokens.is_some() {
        // All values from none to the largest count in a program.
        let option = "--num-tokens";
        return Err(Error::SavedProgram { option }.into());
    }
    let given = match &common.inputs {
        Some(path) => Some(data::load_inputs(path)?),
        None => None,
    };
    let mut reports = vec![];
    let mut of = ("", String::new());
    for saved in programs {
        let program = &saved.program;
        let named = common.search.machine.as_ref().unwrap_or(&program.machine);
        let machine = common.search.on(machine(named)?)?;
        let by_rank = |all: &Tensors| match program.ranks {
            0 | 1 => Ok(vec![all.clone()]),
            ranks => (0..ranks)
                .map(|rank| data::of_rank(all, rank, ranks))
                .collect(),
        };
        let given = given.as_ref().map(by_rank).transpose()?;
        reports.push(check_program(
            saved,
            &machine,
            given.as_deref(),
            common.seed,
        )?);
        of = (&program.name, machine.name);
    }
    Ok(Report {
        name: of.0.into(),
        machine: of.1,
        ok: reports.iter().all(|p| p.errors() == 0),
        programs: reports,
    })
}

fn text(report: &Report) -> String {
    let handler = terminal::findings();
    let mut out = String::new();
    for program in &report.programs {
        for shown in program.shown() {
            out.push_str(&Drawn(&handler, &shown).to_string());
            out.push('\n');
        }
    }
    // What is said of several programs is said once.
    let mut said: IndexMap<String, Vec<&str>> = IndexMap::new();
    for program in &report.programs {
        let form = program.form.map_or("", Form::name);
        let what = format!("{form}\n{}", summary(report, program));
        let of = program.of.as_deref();
        said.entry(what).or_default().extend(of);
    }
    for (what, of) in said {
        let (form, summary) = what.split_once('\n').unwrap_or(("", &what));
        let name: Vec<&str> = [&*report.name, form]
            .into_iter()
            .filter(|w| !w.is_empty())
            .collect();
        let sizes = match &of[..] {
            [] => String::new(),
            [one] => format!(" for {one}"),
            all => format!(
                ", the same of {} programs for {}",
                all.len(),
                all.join(", ")
            ),
        };
        let (head, rest) = summary.split_once('\n').unwrap_or((summary, ""));
        let line = format!("{}{sizes}: {head}", name.join(" "));
        out.push_str(&paragraph(&line, 0, 2));
        for line in rest.lines() {
            out.push_str(&paragraph(line, 2, 4));
        }
    }
    out
}

/// What was found in a program, a line, and what there is to say of it, a line each.
fn summary(report: &Report, program: &ProgramReport) -> String {
    let kernels = count(program.kernels, "kernel");
    let runs = count(program.runs.len(), "run");
    let scalars: Vec<String> = program
        .runs
        .iter()
        .flatten()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let scalars = match scalars.is_empty() {
        true => String::new(),
        false => format!(" ({})", scalars.join(", ")),
    };
    let errors = program.errors();
    let warnings = program.findings.len() - errors;
    let mut found = match errors {
        0 => "nothing is wrong".to_owned(),
        n => count(n, "error"),
    };
    if warnings > 0 {
        found.push_str(&format!(", {}", count(warnings, "warning")));
    }
    let ranks = match program.ranks {
        0 | 1 => String::new(),
        n => format!(" on {n} ranks"),
    };
    let sizes = program.sizes.iter().map(|(n, v)| format!("{n}={v}"));
    let sizes: Vec<String> = sizes.collect();
    let sizes = match sizes.is_empty() {
        true => String::new(),
        false => format!(" at {}", sizes.join(" ")),
    };
    let mut out = format!(
        "{kernels} for {}{ranks}{sizes}, {runs}{scalars}: {found}\n",
        report.machine
    );
    if let Some(stage) = &program.finished_from {
        out.push_str(&format!(
            "it is from after the pass `{stage}`: the passes that follow were run first\n"
        ));
    }
    match &program.values {
        Some(values) if errors == 0 => out.push_str(&format!("{values}\n")),
        _ => {}
    }
    out
}

/// A diagnostic as the handler draws it.
struct Drawn<'a>(&'a MietteHandler, &'a dyn Diagnostic);

impl fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug(self.1, f)
    }
}
