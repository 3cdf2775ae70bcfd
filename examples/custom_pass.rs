//! A pass of one's own: it looks at the graph between two passes that come with tilewright, and refuses what is too long for it.
//!
//! `cargo run --example custom_pass`

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tilewright::ir::text::print_graph;
use tilewright::prelude::*;

/// What only this pass can say; it is shown with its code and its help, like what tilewright itself refuses.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the graph has {lines} lines, of at most {most}")]
#[diagnostic(code(count::too_long), help("take a smaller layer"))]
struct TooLong {
    lines: usize,
    most: usize,
}

/// What comes of a run with the pass, and what the pass saw, if that is at most so many lines.
pub fn run(most: usize) -> Result<String> {
    let layer = Layer::parse("rms_norm.tw", include_bytes!("rms_norm.tw"))?;
    let graph = layer.at([("D", 1024)])?;

    let counted = Arc::<AtomicUsize>::default();
    let seen = counted.clone();
    let count = GraphPass::new("count", "counts the lines of the graph", move |graph, _| {
        let lines = print_graph(&graph).lines().count();
        if lines > most {
            return Err(PassError::other(TooLong { lines, most }));
        }
        seen.store(lines, Ordering::Relaxed);
        Ok(graph)
    });

    let compiler = Compiler::for_machine(DEFAULT_MACHINE)?.pass_after("prune", count);
    let outcome = compiler.run(&graph, &Data::generated(&graph, 0)?)?;
    let lines = counted.load(Ordering::Relaxed);
    Ok(format!("{lines} lines of graph\n{}", outcome.report))
}

pub fn main() -> miette::Result<()> {
    print!("{}", run(1000)?);
    Ok(())
}
