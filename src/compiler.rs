//! The whole way behind one value: how a layer is optimized, with what of the caller's own, and what runs it.

use crate::compile::{Options, OwnPass};
use crate::data::Data;
use crate::error::{Refusal, Result};
use crate::folder::{self, Foreign};
use crate::form::Form;
use crate::run::{Compiled, Outcome, compile_form, emit, optimize, run_on};
use crate::saved;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use tilewright_backends::backend::{Backend, Simulator};
use tilewright_ir::graph::Graph;
use tilewright_ir::machine::Machine;
use tilewright_passes::cost::CostModel;
use tilewright_passes::pass::{Pass, PassError};

/// How layers are optimized and run. Each method takes what it is told and returns the compiler again; what none of them says is in
/// [`Compiler::options`].
#[derive(Clone)]
pub struct Compiler {
    /// All that can be said of how a graph is compiled.
    pub options: Options,
    backend: Arc<dyn Backend + Send>,
}

impl fmt::Debug for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiler")
            .field("options", &self.options)
            .field("backend", &self.backend.name())
            .finish()
    }
}

impl Compiler {
    /// The default search for a machine, with the simulator to run what it finds.
    pub fn new(machine: Machine) -> Self {
        Compiler {
            options: Options::new(machine),
            backend: Arc::new(Simulator),
        }
    }

    /// As [`Compiler::new`], for a machine that comes with tilewright (`tilewright machines` lists them).
    ///
    /// # Errors
    ///
    /// A name that no machine has.
    pub fn for_machine(name: &str) -> Result<Self> {
        Ok(Compiler::new(Machine::builtin(name)?))
    }

    /// Adds rules, in the text form of rule files.
    ///
    /// # Errors
    ///
    /// The first thing in the text that is not right, with its place.
    pub fn rules(mut self, text: &str) -> Result<Self> {
        let added = self.options.search.rules.add(text);
        added.map_err(|e| Refusal::from(e).within("rules", text))?;
        Ok(self)
    }

    /// Leaves a rule out. One that does not exist, or that is not a choice, is refused when a graph is compiled.
    pub fn without_rule(mut self, name: &str) -> Self {
        self.options.search.disabled.insert(name.into());
        self
    }

    /// Holds a parameter of a kernel: `KERNEL.PARAM=VALUE`, as `--pin` takes it.
    ///
    /// # Errors
    ///
    /// A text that is no pin. Whether a layer has the kernel and the parameter shows when it is compiled.
    pub fn pin(mut self, text: &str) -> Result<Self> {
        let pin = text.parse().map_err(PassError::from)?;
        self.options.pins.push(pin);
        Ok(self)
    }

    /// Sets what kernels are compared by.
    pub fn cost(mut self, model: impl CostModel + 'static) -> Self {
        self.options.search.cost = Arc::new(model);
        self
    }

    /// Puts a pass of your own right after another one, in each form whose order has that: after `prune` in both, after `optimize` in
    /// the optimized one. A pass that no form has a place for is refused when a graph is compiled.
    pub fn pass_after(mut self, after: &str, pass: impl Pass + 'static) -> Self {
        self.options.own.push(OwnPass {
            after: after.into(),
            pass: Arc::new(pass),
        });
        self
    }

    /// Sets what runs kernels.
    pub fn on(mut self, backend: impl Backend + Send + 'static) -> Self {
        self.backend = Arc::new(backend);
        self
    }

    /// Compiles one form of a graph.
    ///
    /// # Errors
    ///
    /// What a pass refuses. [`Layer::locate`](crate::layer::Layer::locate) adds the place in the layer's file.
    pub fn compile(&self, graph: &Graph, form: Form) -> Result<Compiled> {
        let options = self.options.for_units(self.backend.units());
        compile_form(graph, form, &options)
    }

    /// Compiles both forms of a graph, and predicts their times.
    ///
    /// # Errors
    ///
    /// As [`Compiler::compile`].
    pub fn optimize(&self, graph: &Graph) -> Result<Outcome> {
        optimize(graph, &self.options.for_units(self.backend.units()))
    }

    /// Compiles both forms of a graph, runs them, and compares their outputs with the interpreter's. Outputs that differ are no
    /// error: [`Report::ok`](crate::report::Report::ok) tells.
    ///
    /// # Errors
    ///
    /// As [`Compiler::compile`]; inputs that do not fit, and what the backend refuses.
    pub fn run(&self, graph: &Graph, data: &Data) -> Result<Outcome> {
        run_on(graph, &self.options, data, self.backend.as_ref())
    }

    /// Writes the kernels of both forms to folders `written` and `optimized` in a folder. Kernels from before are replaced; a folder
    /// that holds anything else is refused.
    ///
    /// # Errors
    ///
    /// An instruction that has no PTO-ISA form, and what the system refuses.
    pub fn emit(&self, outcome: &Outcome, folder: &Path) -> Result<()> {
        for (form, compiled) in outcome.compiled.as_ref() {
            let mut files = match outcome.files.get(form) {
                files if files.is_empty() => emit(compiled, &self.options.machine)?,
                files => files.clone(),
            };
            files.push(saved::beside(&compiled.program, form)?);
            folder::write(&folder.join(form.name()), &files, Foreign::Refuse)?;
        }
        Ok(())
    }
}
