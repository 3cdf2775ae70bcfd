//! A finding as a value, and how faults become findings.

use crate::ascend::{EmitError, File};
use crate::sim::{Fault, SimError, Statement};
use indexmap::IndexMap;
use miette::Diagnostic;
use serde::Serialize;
use tilewright_ir::kernel::{KernelError, Pipe, Program, Spot, Stmt};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    /// Stable name of the kind: `tilewright::sim::hazard`.
    pub code: String,
    pub kernel: Option<String>,
    pub place: Place,
    /// The earlier access, set, wait or write that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Place>,
    /// The first block in which it happens, with its grid coordinates, `axis=coordinate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grid: Vec<String>,
    pub message: String,
    /// What the message says in numbers, by name.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub numbers: IndexMap<&'static str, i64>,
    pub remedy: String,
    /// In how many blocks and trips it happened.
    pub times: u64,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    /// Nothing is known to be wrong.
    Warning,
}

/// Where in a program, and where in what is emitted for it. Empty for the program as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Index path in the kernel's body: `2.0.then.1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instruction: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipe: Option<Pipe>,
}

impl Finding {
    /// What is wrong with a program as a whole.
    fn whole(code: &str, message: String, remedy: &str) -> Finding {
        Finding {
            severity: Severity::Error,
            code: code.into(),
            kernel: None,
            place: Place::default(),
            first: None,
            block: None,
            grid: vec![],
            message,
            numbers: IndexMap::new(),
            remedy: remedy.into(),
            times: 1,
        }
    }

    /// Outputs that are not the interpreter's.
    pub fn values(message: String) -> Finding {
        Finding::whole(
            "tilewright::check::values",
            message,
            "look at the kernels that the outputs come from: `tilewright run` prints how far each of them is off. Where the \
             layer rounds on purpose, say the tolerance: `output y within(rtol = 1e-2)`",
        )
    }

    /// A file that is not what the program beside it is emitted as.
    pub fn file(name: &str) -> Finding {
        Finding::whole(
            "tilewright::check::file",
            format!(
                "`{name}` is not what the program beside it says, so that nothing is known of it"
            ),
            "emit the kernels again, with `--force` over a file that was edited",
        )
    }

    /// What the emitter refuses of a program that verifies.
    pub(super) fn unprintable(error: &EmitError) -> Finding {
        let text = |t: Option<Box<dyn std::fmt::Display + '_>>| {
            t.map_or_else(String::new, |t| t.to_string())
        };
        Finding {
            severity: Severity::Error,
            code: text(error.code()),
            kernel: error.kernel().map(String::from),
            place: Place::default(),
            first: None,
            block: None,
            grid: vec![],
            message: error.to_string(),
            numbers: IndexMap::new(),
            remedy: text(error.help()),
            times: 1,
        }
    }
}

/// The parts of a program and of its files, to point at.
pub(super) struct Places<'a> {
    program: &'a Program,
    files: &'a [File],
}

impl<'a> Places<'a> {
    pub fn new(program: &'a Program, files: &'a [File]) -> Self {
        Places { program, files }
    }

    fn file(&self, kernel: &str) -> Option<&'a File> {
        let path = format!("{kernel}.cpp");
        self.files.iter().find(|f| f.path == path)
    }

    /// A line of a kernel's file; the file alone if there is no such line.
    fn line(&self, kernel: &str, line: impl Fn(&File) -> Option<usize>) -> Place {
        let file = self.file(kernel);
        Place {
            file: file.map(|f| f.path.clone()),
            line: file.and_then(line),
            ..Place::default()
        }
    }

    fn statement(&self, kernel: &str, statement: &Statement) -> Place {
        let line = |f: &File| f.lines.statements.get(&statement.path).copied();
        Place {
            statement: Some(statement.path.clone()),
            instruction: Some(statement.text.clone()),
            pipe: statement.pipe,
            ..self.line(kernel, line)
        }
    }

    /// The place of an error of the verifier.
    fn verified(&self, error: &KernelError) -> Place {
        let Some(kernel) = error.kernel() else {
            return Place::default();
        };
        let function = |f: &File| Some(f.lines.function);
        match error.place().map(|p| &p.spot) {
            None | Some(Spot::Launch) => self.line(kernel, function),
            Some(Spot::Tile(tile)) => {
                self.line(kernel, |f| f.lines.tiles.get(tile.as_str()).copied())
            }
            Some(Spot::Statement(number)) => {
                let body = self.program.kernels.iter().find(|k| k.name == kernel);
                let mut paths = vec![];
                if let Some(k) = body {
                    number_paths(&k.body, "", &mut paths);
                }
                let path = paths.get(number.wrapping_sub(1)).cloned();
                let place = self.line(kernel, |f| {
                    f.lines.statements.get(path.as_deref()?).copied()
                });
                Place {
                    statement: path,
                    ..place
                }
            }
        }
    }

    pub fn finding(&self, error: &SimError, times: u64) -> Finding {
        let fault = &*error.fault;
        let text = |t: Option<Box<dyn std::fmt::Display + '_>>| {
            t.map_or_else(String::new, |t| t.to_string())
        };
        let (kernel, place) = match (fault, &error.site) {
            (Fault::Verify(e), _) => (e.kernel().map(String::from), self.verified(e)),
            (_, None) => (None, Place::default()),
            (_, Some(site)) => {
                let place = match &site.statement {
                    Some(statement) => self.statement(&site.kernel, statement),
                    None => self.line(&site.kernel, |f| Some(f.lines.function)),
                };
                (Some(site.kernel.clone()), place)
            }
        };
        let first = fault.first().zip(kernel.as_deref());
        Finding {
            severity: Severity::Error,
            code: text(error.code()),
            first: first.map(|(s, k)| self.statement(k, s)),
            kernel,
            place,
            block: error.site.as_ref().and_then(|s| s.block),
            grid: error.site.as_ref().map_or(vec![], |s| s.grid.clone()),
            message: fault.to_string(),
            numbers: fault.numbers().into_iter().collect(),
            remedy: text(error.help()),
            times,
        }
    }

    /// A statement that no run came to.
    pub fn unreached(&self, kernel: &str, statement: &Statement) -> Finding {
        Finding {
            severity: Severity::Warning,
            code: "tilewright::check::unreached".into(),
            kernel: Some(kernel.into()),
            place: self.statement(kernel, statement),
            first: None,
            block: None,
            grid: vec![],
            message: "no run came to this statement, so that nothing is known of it".into(),
            numbers: IndexMap::new(),
            remedy:
                "check with inputs that lead there: `--inputs`, `--num-tokens`, `--seed`, `--set`"
                    .into(),
            times: 1,
        }
    }
}

/// The index paths of statements in the order in which the verifier numbers them.
fn number_paths(body: &[Stmt], prefix: &str, out: &mut Vec<String>) {
    for (i, stmt) in body.iter().enumerate() {
        let path = format!("{prefix}{i}");
        out.push(path.clone());
        match stmt {
            Stmt::Loop { body, .. } | Stmt::Part { body, .. } => {
                number_paths(body, &format!("{path}."), out);
            }
            Stmt::If {
                then, otherwise, ..
            } => {
                number_paths(then, &format!("{path}.then."), out);
                number_paths(otherwise, &format!("{path}.else."), out);
            }
            _ => {}
        }
    }
}
