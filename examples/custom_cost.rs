//! A cost model of one's own: what is compared is bytes moved, as for energy, and not time.
//!
//! `cargo run --example custom_cost`

use std::fmt::Write as _;
use tilewright::prelude::*;

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
pub fn run() -> Result<String> {
    let layer = Layer::parse("rms_norm.tw", include_bytes!("rms_norm.tw"))?;
    // One long row: two blocks that share it are faster, and each reads all of it.
    let graph = layer.at([("T", 1), ("D", 16384)])?;
    let mut time = Compiler::for_machine(DEFAULT_MACHINE)?;
    // The model alone chooses: of several plans the simulator would.
    time.options.search.candidates = 1;
    let traffic = time.clone().cost(Traffic);
    let mut text = String::new();
    for (name, compiler) in [("time", time), ("traffic", traffic)] {
        let compiled = compiler.compile(&graph, Form::Optimized)?;
        let Some(best) = compiled.run.plan else {
            continue;
        };
        for (kernel, e) in best.plan.kernels.iter().zip(&best.estimates) {
            let (blocks, bytes) = (kernel.blocks(), e.gm_bytes);
            let _ = writeln!(
                text,
                "{name}: {} {blocks} blocks, {bytes} bytes",
                kernel.name
            );
        }
    }
    Ok(text)
}

pub fn main() -> miette::Result<()> {
    print!("{}", run()?);
    Ok(())
}
