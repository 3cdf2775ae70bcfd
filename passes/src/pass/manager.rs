//! Runs passes in an order, checks what each returns, and keeps what was asked for.

use super::{Artifact, Context, Pass, PassError, registry};
use serde::Serialize;
use std::sync::Arc;
use std::time::Instant;
use tilewright_ir::machine::Machine;
use tilewright_ir::{graph, kernel};
use tracing::info_span;

/// Runs passes.
pub struct Manager {
    passes: Vec<Arc<dyn Pass>>,
    /// Names of passes whose result is kept as text.
    dumps: Vec<String>,
    stop_after: Option<String>,
}

/// What one pass did.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    pub pass: String,
    pub seconds: f64,
    /// The result's text, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dump: Option<String>,
    /// The result itself, if it was asked for.
    #[serde(skip)]
    pub artifact: Option<Box<Artifact>>,
}

/// What a run of the manager left.
#[derive(Debug, Clone)]
pub struct Run {
    pub artifact: Artifact,
    pub steps: Vec<Step>,
    /// The plan on the way, for reports, if the run came so far.
    pub plan: Option<Box<crate::search::Optimized>>,
}

impl Default for Manager {
    fn default() -> Self {
        Self::new()
    }
}

impl Manager {
    /// A manager with all passes that come with tilewright.
    pub fn new() -> Self {
        Manager {
            passes: registry(),
            dumps: vec![],
            stop_after: None,
        }
    }

    /// Adds a pass of the caller's own; its name then works in orders. A name that another pass has is refused by [`Manager::run`].
    pub fn with(mut self, pass: Arc<dyn Pass>) -> Self {
        self.passes.push(pass);
        self
    }

    /// Keeps the text of what these passes return.
    pub fn dump(mut self, passes: impl IntoIterator<Item = String>) -> Self {
        self.dumps.extend(passes);
        self
    }

    /// Stops after this pass.
    pub fn stop_after(mut self, pass: Option<String>) -> Self {
        self.stop_after = pass;
        self
    }

    /// All passes that orders can name, those of the caller's own last.
    pub fn passes(&self) -> &[Arc<dyn Pass>] {
        &self.passes
    }

    /// The pass of a name.
    ///
    /// # Errors
    ///
    /// [`PassError::UnknownPass`].
    pub fn find(&self, name: &str) -> Result<&dyn Pass, PassError> {
        let found = self.passes.iter().find(|p| p.name() == name);
        found
            .map(|p| p.as_ref())
            .ok_or_else(|| PassError::UnknownPass {
                name: name.into(),
                known: self
                    .passes
                    .iter()
                    .map(|p| p.name())
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }

    /// Runs the passes named by `order` on an artifact: a graph, or what some pass gave.
    ///
    /// # Errors
    ///
    /// An order that cannot work, before any pass runs; then what the first pass refuses, and a pass whose result is wrong.
    pub fn run(
        &self,
        input: Artifact,
        order: &[impl AsRef<str>],
        context: &Context,
    ) -> Result<Run, PassError> {
        for (at, pass) in self.passes.iter().enumerate() {
            let name = pass.name();
            if self.passes[..at].iter().any(|p| p.name() == name) {
                return Err(PassError::Twice { name: name.into() });
            }
        }
        let passes = order
            .iter()
            .map(|name| self.find(name.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        for name in self.dumps.iter().chain(&self.stop_after) {
            self.find(name)?;
        }
        // An order that cannot work is refused before any pass has run.
        let mut stage = input.stage();
        for pass in &passes {
            if pass.takes() != stage {
                return Err(PassError::Order {
                    pass: pass.name().into(),
                    takes: pass.takes(),
                    given: stage,
                });
            }
            stage = pass.gives();
        }
        {
            let _span = info_span!("verify").entered();
            check(&input, &context.machine)?;
        }
        let mut run = Run {
            artifact: input,
            steps: vec![],
            plan: None,
        };
        for pass in passes {
            let start = Instant::now();
            let span = info_span!("pass", step = pass.name()).entered();
            run.artifact = pass.run(run.artifact, context)?;
            drop(span);
            let seconds = start.elapsed().as_secs_f64();
            let span = info_span!("verify").entered();
            check(&run.artifact, &context.machine).map_err(|source| PassError::Broken {
                pass: pass.name().into(),
                source: Box::new(source),
            })?;
            drop(span);
            if let Artifact::Plan(plan) = &run.artifact {
                run.plan = Some(plan.clone());
            }
            let wanted = self.dumps.iter().any(|d| d == pass.name());
            run.steps.push(Step {
                pass: pass.name().into(),
                seconds,
                dump: wanted.then(|| run.artifact.to_string()),
                artifact: wanted.then(|| Box::new(run.artifact.clone())),
            });
            if self.stop_after.as_deref() == Some(pass.name()) {
                break;
            }
        }
        Ok(run)
    }
}

/// The verifier of an artifact's stage.
fn check(artifact: &Artifact, machine: &Machine) -> Result<(), PassError> {
    match artifact {
        Artifact::Graph(g) => graph::verify(g)?,
        // Terms are checked where they are built; what they become is a program.
        Artifact::Plan(_) => {}
        Artifact::Program(p) => kernel::verify(p, machine)?,
    }
    Ok(())
}
