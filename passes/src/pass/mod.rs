//! Passes by name: what each takes and gives, the registry, and the manager that runs them.
//!
//! A pass is a function from one [`Artifact`] to the next. The default orders are [`WRITTEN`] and [`OPTIMIZED`]; they differ in one pass. A pass
//! is added in one file that implements [`Pass`] and one line in [`registry`] (or given to [`Manager::with`]).

mod builtin;
mod manager;

pub use manager::{Manager, Run, Step};

use crate::egraph::SearchOptions;
use crate::kernel::allocate::AllocateError;
use crate::kernel::synchronise::{SynchroniseError, Synchronised};
use crate::lower::LowerError;
use crate::problem::ProblemError;
use crate::search::pins::{Pin, PinError};
use crate::search::{OptimizeError, Optimized};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tilewright_ir::graph::{Graph, GraphError};
use tilewright_ir::kernel::{Kernel, KernelError, Program};
use tilewright_ir::machine::Machine;
use tilewright_ir::syntax::meant;

/// What passes read and return.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one artifact at a time, and passes take a graph apart"
)]
pub enum Artifact {
    Graph(Graph),
    /// A scheduled layer, as terms.
    Plan(Box<Optimized>),
    Program(Program),
}

/// The kind of an [`Artifact`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    Graph,
    Plan,
    Program,
}

impl Artifact {
    /// The kind of the artifact.
    pub fn stage(&self) -> Stage {
        match self {
            Artifact::Graph(_) => Stage::Graph,
            Artifact::Plan(_) => Stage::Plan,
            Artifact::Program(_) => Stage::Program,
        }
    }
}

impl fmt::Display for Artifact {
    /// The canonical text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Artifact::Graph(g) => f.write_str(&tilewright_ir::text::print_graph(g)),
            Artifact::Plan(o) => write!(f, "{}", o.plan),
            Artifact::Program(p) => write!(f, "{p}"),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Graph => "graph",
            Stage::Plan => "plan",
            Stage::Program => "program",
        })
    }
}

/// What passes may ask besides their input.
#[derive(Debug, Clone)]
pub struct Context {
    pub machine: Machine,
    pub search: SearchOptions,
    pub pins: Vec<Pin>,
    /// Whether everything that is not pinned stays as written.
    pub only_pins: bool,
    pub synchronised: FlagCache,
}

/// Kernels that a pass has synchronised, shared by the clones of a context: the same kernel gets the same flags.
#[derive(Debug, Clone, Default)]
pub struct FlagCache(Arc<Mutex<Vec<(Kernel, Synchronised)>>>);

impl FlagCache {
    fn get(&self, kernel: &Kernel) -> Option<Synchronised> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.iter().find(|(k, _)| k == kernel);
        found.map(|(_, done)| done.clone())
    }

    fn keep(&self, kernel: &Kernel, done: &Synchronised) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.push((kernel.clone(), done.clone()));
    }
}

impl Context {
    /// The default search for a machine, without pins.
    pub fn new(machine: Machine) -> Self {
        Context {
            machine,
            search: SearchOptions::default(),
            pins: vec![],
            only_pins: false,
            synchronised: FlagCache::default(),
        }
    }
}

/// A pass. Both forms of a layer can be compiled at the same time, so a pass is shared between threads.
pub trait Pass: Send + Sync {
    /// What orders call it: a word, not one of another pass.
    fn name(&self) -> &'static str;
    /// One sentence for `tilewright passes`.
    fn about(&self) -> &'static str;
    /// What kind of artifact it needs.
    fn takes(&self) -> Stage;
    /// What kind of artifact it returns.
    fn gives(&self) -> Stage;
    /// The input's stage is [`Pass::takes`]: the manager has checked it.
    ///
    /// # Errors
    ///
    /// What the pass refuses; [`PassError::other`] takes an error of any type.
    fn run(&self, input: Artifact, context: &Context) -> Result<Artifact, PassError>;
}

/// A pass from a graph to a graph, of a function.
///
/// ```
/// use tilewright_passes::pass::{GraphPass, Pass, Stage};
///
/// let rename = GraphPass::new("rename", "gives the graph another name", |mut graph, _| {
///     graph.name += "_mine";
///     Ok(graph)
/// });
/// assert_eq!((rename.takes(), rename.gives()), (Stage::Graph, Stage::Graph));
/// ```
pub struct GraphPass<F> {
    name: &'static str,
    about: &'static str,
    function: F,
}

impl<F> GraphPass<F>
where
    F: Fn(Graph, &Context) -> Result<Graph, PassError> + Send + Sync,
{
    /// A pass of a name, with a sentence on what it does.
    pub fn new(name: &'static str, about: &'static str, function: F) -> Self {
        GraphPass {
            name,
            about,
            function,
        }
    }
}

impl<F> Pass for GraphPass<F>
where
    F: Fn(Graph, &Context) -> Result<Graph, PassError> + Send + Sync,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn takes(&self) -> Stage {
        Stage::Graph
    }

    fn gives(&self) -> Stage {
        Stage::Graph
    }

    fn run(&self, input: Artifact, context: &Context) -> Result<Artifact, PassError> {
        match input {
            Artifact::Graph(graph) => Ok(Artifact::Graph((self.function)(graph, context)?)),
            // The manager gives it graphs only.
            other => Err(PassError::Order {
                pass: self.name.into(),
                takes: Stage::Graph,
                given: other.stage(),
            }),
        }
    }
}

/// Why a pass, or the manager, failed.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum PassError {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Graph(#[from] GraphError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Problem(#[from] ProblemError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Pin(#[from] PinError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Optimize(#[from] OptimizeError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Lower(#[from] LowerError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Allocate(#[from] AllocateError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Synchronise(#[from] SynchroniseError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Kernel(#[from] KernelError),
    #[error("there is no pass `{name}`")]
    #[diagnostic(
        code(tilewright::passes::unknown),
        help("{}the passes are {known}", meant(name, known))
    )]
    UnknownPass { name: String, known: String },
    #[error("two passes are called `{name}`")]
    #[diagnostic(
        code(tilewright::passes::twice),
        help("give your own pass another name: `tilewright passes` lists those that are taken")
    )]
    Twice { name: String },
    #[error("pass `{pass}` takes a {takes}, but what comes before it gives a {given}")]
    #[diagnostic(
        code(tilewright::passes::order),
        help("`tilewright passes` lists what each pass takes and gives")
    )]
    Order {
        pass: String,
        takes: Stage,
        given: Stage,
    },
    #[error("pass `{pass}` returned what its verifier refuses")]
    #[diagnostic(code(tilewright::passes::broken), help("this is a defect of the pass"))]
    Broken {
        pass: String,
        #[source]
        source: Box<PassError>,
    },
    /// Of a pass from elsewhere.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Other(#[from] Box<dyn miette::Diagnostic + Send + Sync>),
}

impl PassError {
    /// An error of a pass from elsewhere, which is shown with its own code and help.
    pub fn other(error: impl miette::Diagnostic + Send + Sync + 'static) -> Self {
        PassError::Other(Box::new(error))
    }
}

/// The passes of the layer as written.
pub const WRITTEN: [&str; 9] = [
    "decompose",
    "legalise",
    "prune",
    "as-written",
    "schedule",
    "allocate",
    "synchronise",
    "order",
    "check-order",
];

/// The passes of the optimized layer.
pub const OPTIMIZED: [&str; 9] = [
    "decompose",
    "legalise",
    "prune",
    "optimize",
    "schedule",
    "allocate",
    "synchronise",
    "order",
    "check-order",
];

/// All passes that come with tilewright.
pub fn registry() -> Vec<Arc<dyn Pass>> {
    vec![
        Arc::new(builtin::Decompose),
        Arc::new(builtin::Legalise),
        Arc::new(builtin::Prune),
        Arc::new(builtin::AsWritten),
        Arc::new(builtin::Optimize),
        Arc::new(builtin::Schedule),
        Arc::new(builtin::Allocate),
        Arc::new(builtin::Synchronise),
        Arc::new(builtin::Order),
        Arc::new(builtin::CheckOrder),
    ]
}
