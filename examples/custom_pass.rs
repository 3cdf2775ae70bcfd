//! A pass of one's own: it looks at the graph between two passes that come with tilewright.
//!
//! `cargo run --example custom_pass`

use indexmap::IndexMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tilewright::layer::Layer;
use tilewright_ir::machine::{DEFAULT_MACHINE, Machine};
use tilewright_passes::pass::{Artifact, Context, Manager, OPTIMIZED, Pass, PassError, Stage};

/// Counts the lines of the graph that reaches the search, and changes nothing.
#[derive(Default)]
struct Count(Arc<AtomicUsize>);

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

    fn run(&self, input: Artifact, _: &Context) -> Result<Artifact, PassError> {
        if let Artifact::Graph(graph) = &input {
            let lines = tilewright_ir::text::print_graph(graph).lines().count();
            self.0.store(lines, Ordering::Relaxed);
        }
        Ok(input)
    }
}

/// The program that the passes end with, and what the one in between saw.
pub fn run() -> Result<String, Box<dyn std::error::Error>> {
    let layer = Layer::parse("rms_norm.tw", include_bytes!("rms_norm.tw"))?;
    let graph = layer.graph(&IndexMap::from([("D".to_string(), 1024)]))?;

    let count = Count::default();
    let lines = count.0.clone();
    let manager = Manager::new().with(Box::new(count));
    let mut order: Vec<String> = OPTIMIZED.map(String::from).into();
    // After `decompose` and `prune`, before `optimize`.
    order.insert(2, "count".into());

    let context = Context::new(Machine::builtin(DEFAULT_MACHINE)?);
    let run = manager.run(Artifact::Graph(graph), &order, &context)?;
    let lines = lines.load(Ordering::Relaxed);
    Ok(format!("{lines} lines of graph\n{}\n", run.artifact))
}

pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    print!("{}", run()?);
    Ok(())
}
