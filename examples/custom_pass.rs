//! A pass of one's own: it looks at the graph between two passes that come with tilewright.
//!
//! `cargo run --example custom_pass`

use indexmap::IndexMap;
use tilewright::layer::Layer;
use tilewright_ir::machine::{DEFAULT_MACHINE, Machine};
use tilewright_passes::pass::{Artifact, Context, Manager, OPTIMIZED, Pass, PassError, Stage};

/// Prints how many nodes reach the search, and changes nothing.
struct Count;

impl Pass for Count {
    fn name(&self) -> &'static str {
        "count"
    }

    fn about(&self) -> &'static str {
        "prints how many nodes the graph has"
    }

    fn takes(&self) -> Stage {
        Stage::Graph
    }

    fn gives(&self) -> Stage {
        Stage::Graph
    }

    fn run(&self, input: Artifact, _: &Context) -> Result<Artifact, PassError> {
        if let Artifact::Graph(graph) = &input {
            println!("{} lines of graph", graph_lines(graph));
        }
        Ok(input)
    }
}

fn graph_lines(graph: &tilewright_ir::graph::Graph) -> usize {
    tilewright_ir::text::print_graph(graph).lines().count()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let layer = Layer::parse("rms_norm.tw", include_bytes!("rms_norm.tw"))?;
    let graph = layer.graph(&IndexMap::from([("D".to_string(), 1024)]))?;

    let manager = Manager::new().with(Box::new(Count));
    let mut order: Vec<String> = OPTIMIZED.map(String::from).into();
    // After `decompose` and `prune`, before `optimize`.
    order.insert(2, "count".into());

    let context = Context::new(Machine::builtin(DEFAULT_MACHINE)?);
    let run = manager.run(Artifact::Graph(graph), &order, &context)?;
    println!("{}", run.artifact);
    Ok(())
}
