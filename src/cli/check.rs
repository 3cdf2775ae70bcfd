//! `tilewright check`: hazards in the kernels of a layer or of a saved program.

use super::options::{Common, machine};
use super::{Ended, WIDTH, print, print_json};
use miette::{Diagnostic, MietteHandler, MietteHandlerOpts, ReportHandler};
use std::fmt;
use std::io::{self, IsTerminal};
use tilewright::data;
use tilewright::error::{Error, Result};
use tilewright::findings::{Report, check_layer, check_program, read_program};
use tilewright_ir::kernel::Program;

/// Looks for races, broken flags, overlapping tiles, missing orders between kernels and all else that is wrong with kernels
///
/// FILE is a layer graph, whose form as written and optimized form are both checked, or a program in JSON as `tilewright show
/// FILE --after check-order --as json` prints it. Kernels run on the simulator, on generated inputs unless there are others, with
/// all rows valid, half of them, and none. docs/check.md lists what can be found, and what to do about it.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
}

pub fn main(args: &Args) -> Result<Ended> {
    let common = &args.common;
    let report = match saved(common)? {
        Some(program) => check_saved(common, &program)?,
        None => {
            let prepared = common.prepare()?;
            common.start_dumps()?;
            if let Some(text) = common.stopped(&prepared)? {
                print(&text)?;
                return Ok(Ended::Well);
            }
            let (data, _) = common.data(&prepared)?;
            check_layer(&prepared.graph, &prepared.options, &data)
                .map_err(|e| prepared.layer.locate(e))?
        }
    };
    match common.json {
        true => print_json(&report)?,
        false => print(&text(&report))?,
    }
    Ok(match report.ok {
        true => Ended::Well,
        false => Ended::CheckFailed,
    })
}

/// The program in the file, if it is one.
fn saved(common: &Common) -> Result<Option<Program>> {
    if common.file.extension().is_none_or(|e| e != "json") {
        return Ok(None);
    }
    // What is wrong with the file itself, the graph's reader says.
    match std::fs::read_to_string(&common.file) {
        Ok(text) => read_program(&common.file, &text),
        Err(_) => Ok(None),
    }
}

fn check_saved(common: &Common, program: &Program) -> Result<Report> {
    if let Some(option) = common.of_graphs() {
        return Err(Error::SavedProgram { option }.into());
    }
    // The option has a default, so the program's own machine counts unless it names another one.
    let machine = match common.machine == tilewright_ir::machine::DEFAULT_MACHINE {
        true => machine(&program.machine)?,
        false => machine(&common.machine)?,
    };
    let given = match &common.inputs {
        Some(path) => Some(data::load_inputs(path)?),
        None => None,
    };
    if common.num_tokens.is_some() {
        // All values from none to the largest count in a program.
        let option = "--num-tokens";
        return Err(Error::SavedProgram { option }.into());
    }
    check_program(program, &machine, given.as_ref(), common.seed)
}

fn text(report: &Report) -> String {
    let colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let handler = MietteHandlerOpts::new()
        .width(WIDTH.into())
        .color(colours)
        .terminal_links(false)
        .build();
    let mut out = String::new();
    for program in &report.programs {
        for shown in program.shown() {
            out.push_str(&Drawn(&handler, &shown).to_string());
            out.push('\n');
        }
    }
    for program in &report.programs {
        let form = program
            .form
            .map_or(String::new(), |f| format!(" {}", f.name()));
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
        out.push_str(&format!(
            "{}{form}: {kernels} for {}, {runs}{scalars}: {found}\n",
            report.name, report.machine
        ));
    }
    out
}

fn count(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

/// A diagnostic as the handler draws it.
struct Drawn<'a>(&'a MietteHandler, &'a dyn Diagnostic);

impl fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug(self.1, f)
    }
}
