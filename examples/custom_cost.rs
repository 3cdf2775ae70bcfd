//! A cost model of one's own: what is compared is bytes moved, as for energy, and not time.
//!
//! `cargo run --example custom_cost`

use indexmap::IndexMap;
use std::fmt::Write as _;
use std::sync::Arc;
use tilewright::layer::Layer;
use tilewright_ir::kernel::Kernel;
use tilewright_ir::machine::{DEFAULT_MACHINE, Machine};
use tilewright_passes::cost::{CostModel, Estimate, Scoreboard, estimate};
use tilewright_passes::pass::{Artifact, Context, Manager, OPTIMIZED};

/// A nanosecond a byte that a kernel moves from and to global memory. Of kernels that move as many, the faster one is better.
#[derive(Debug)]
struct Traffic;

impl CostModel for Traffic {
    fn estimate(&self, kernel: &Kernel, machine: &Machine) -> Estimate {
        let time = estimate(kernel, machine);
        Estimate {
            us: time.gm_bytes / 1e3 + time.us / 1e3,
            ..time
        }
    }
}

/// What each model chooses for the same layer.
pub fn run() -> Result<String, Box<dyn std::error::Error>> {
    let layer = Layer::parse("rms_norm.tw", include_bytes!("rms_norm.tw"))?;
    let graph = layer.graph(&IndexMap::new())?;
    let mut text = String::new();
    let models: [(&str, Arc<dyn CostModel>); 2] = [
        ("time", Arc::new(Scoreboard)),
        ("traffic", Arc::new(Traffic)),
    ];
    for (name, model) in models {
        let mut context = Context::new(Machine::builtin(DEFAULT_MACHINE)?);
        context.search.cost = model;
        let run = Manager::new().run(Artifact::Graph(graph.clone()), &OPTIMIZED[..4], &context)?;
        let Artifact::Plan(best) = &run.artifact else {
            continue;
        };
        for (kernel, e) in best.plan.kernels.iter().zip(&best.estimates) {
            let (blocks, bytes) = (kernel.blocks(), e.gm_bytes);
            writeln!(
                text,
                "{name}: {} {blocks} blocks, {bytes} bytes",
                kernel.name
            )?;
        }
    }
    Ok(text)
}

pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    print!("{}", run()?);
    Ok(())
}
