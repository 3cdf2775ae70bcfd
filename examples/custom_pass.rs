//! A pass of one's own: it looks at the graph between two passes that come with tilewright, and refuses what is too long for it.
//!
//! `cargo run --example custom_pass`

use indexmap::IndexMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tilewright::error::Result;
use tilewright::layer::Layer;
use tilewright_ir::machine::{DEFAULT_MACHINE, Machine};
use tilewright_passes::pass::{Artifact, Context, Manager, OPTIMIZED, Pass, PassError, Stage};

/// Counts the lines of the graph that reaches the search, and changes nothing.
struct Count {
    counted: Arc<AtomicUsize>,
    most: usize,
}

/// What only this pass can say; it is shown with its code and its help, like what tilewright itself refuses.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the graph has {lines} lines, of at most {most}")]
#[diagnostic(code(count::too_long), help("take a smaller layer"))]
struct TooLong {
    lines: usize,
    most: usize,
}

impl Pass for Count {
    fn name(&self) -> &'static str {
        "count"
    }

    fn about(&self) -> &'static str {
        "counts the lines of the graph"
    }

    fn takes(&self) -> Stage {
        Stage::Graph
    }

    fn gives(&self) -> Stage {
        Stage::Graph
    }

    fn run(&self, input: Artifact, _: &Context) -> std::result::Result<Artifact, PassError> {
        if let Artifact::Graph(graph) = &input {
            let (lines, most) = (
                tilewright_ir::text::print_graph(graph).lines().count(),
                self.most,
            );
            if lines > most {
                return Err(PassError::other(TooLong { lines, most }));
            }
            self.counted.store(lines, Ordering::Relaxed);
        }
        Ok(input)
    }
}

/// The program that the passes end with, and what the one in between saw, if that is at most so many lines.
pub fn run(most: usize) -> Result<String> {
    let layer = Layer::parse("rms_norm.tw", include_bytes!("rms_norm.tw"))?;
    let graph = layer.graph(&IndexMap::from([("D".to_string(), 1024)]))?;

    let counted = Arc::<AtomicUsize>::default();
    let count = Count {
        counted: counted.clone(),
        most,
    };
    let manager = Manager::new().with(Box::new(count));
    let mut order: Vec<String> = OPTIMIZED.map(String::from).into();
    // After `decompose` and `prune`, before `optimize`.
    order.insert(2, "count".into());

    let context = Context::new(Machine::builtin(DEFAULT_MACHINE)?);
    let run = manager.run(Artifact::Graph(graph), &order, &context)?;
    let lines = counted.load(Ordering::Relaxed);
    Ok(format!("{lines} lines of graph\n{}\n", run.artifact))
}

pub fn main() -> miette::Result<()> {
    print!("{}", run(1000)?);
    Ok(())
}
