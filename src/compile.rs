//! Passes over a graph, in the form as written or optimized.

use crate::error::{Error, Result};
use crate::ranks::How;
use crate::report::Form;
use tilewright_ir::graph::Graph;
use tilewright_ir::kernel::Program;
use tilewright_ir::machine::Machine;
use tilewright_passes::egraph::saturate::SearchOptions;
use tilewright_passes::pass::{Artifact, Context, Manager, OPTIMIZED, Run, WRITTEN};

/// How a graph is compiled.
#[derive(Debug, Clone)]
pub struct Options {
    pub machine: Machine,
    pub search: SearchOptions,
    /// `KERNEL.PARAM=VALUE`, of the optimized form.
    pub pins: Vec<String>,
    /// Whether everything that is not pinned stays as written.
    pub only_pins: bool,
    /// Another order of passes for the optimized form.
    pub passes: Option<Vec<String>>,
    /// Passes whose result is kept as text.
    pub dumps: Vec<String>,
    pub stop_after: Option<String>,
    /// How ranks run, of a layer that runs on several.
    pub ranks: How,
}

impl Options {
    /// The default search, and no pins.
    pub fn new(machine: Machine) -> Self {
        Options {
            machine,
            search: SearchOptions::default(),
            pins: vec![],
            only_pins: false,
            passes: None,
            dumps: vec![],
            stop_after: None,
            ranks: How::default(),
        }
    }

    /// The order of passes of a form.
    pub fn order(&self, form: Form) -> Vec<String> {
        match (form, &self.passes) {
            (Form::Optimized, Some(passes)) => passes.clone(),
            (Form::Optimized, None) => OPTIMIZED.map(String::from).into(),
            (Form::Written, _) => WRITTEN.map(String::from).into(),
        }
    }
}

/// Runs the passes of a form.
///
/// # Errors
///
/// The first pass that refuses, a pass that does not exist, and a pass to stop after that is not in the order.
pub fn compile(graph: &Graph, form: Form, options: &Options) -> Result<Run> {
    let order = options.order(form);
    let manager = Manager::new()
        .dump(options.dumps.clone())
        .stop_after(options.stop_after.clone());
    let context = Context {
        search: options.search.clone(),
        pins: options.pins.clone(),
        only_pins: options.only_pins,
        ..Context::new(options.machine.clone())
    };
    if let Some(stop) = &options.stop_after
        && manager.passes().iter().any(|p| p.name() == stop)
        && !order.contains(stop)
    {
        return Err(Error::NotInOrder {
            pass: stop.clone(),
            order: order.join(", "),
        }
        .into());
    }
    Ok(manager.run(Artifact::Graph(graph.clone()), &order, &context)?)
}

/// The program that a run of passes ended with.
///
/// # Errors
///
/// [`Error::NoProgram`] when an order ends earlier.
pub fn program(run: &Run) -> Result<&Program> {
    match &run.artifact {
        Artifact::Program(program) => Ok(program),
        other => Err(Error::NoProgram {
            found: other.stage(),
            default: OPTIMIZED.join(", "),
        }
        .into()),
    }
}
