//! Rules of one's own: a file of rules in place of one that comes with tilewright.
//!
//! `cargo run --example custom_rules`

use indexmap::IndexMap;
use std::fmt::Write as _;
use tilewright::layer::Layer;
use tilewright_ir::machine::{DEFAULT_MACHINE, Machine};
use tilewright_passes::egraph::rules::user::UserRules;
use tilewright_passes::pass::{Artifact, Context, Manager, OPTIMIZED};

const RULES: &str = r#"
rule quarter-blocks bitwise "each block stores its own part of the value" {
  (launch.spmd ?t ?w (rows ?b ?r (cols ?d ?n ?c (tile ?r ?c ?v))))
    => (launch.spmd ?t ?w (rows ?b ?r (cols 1 ?z ?z (tile ?r ?z ?v))))
  where ?z = ?n / 4, aligned(?z, ?n, ?v)
}
"#;

/// What led to each kernel with the rules of the file, and the plan.
pub fn run() -> Result<String, Box<dyn std::error::Error>> {
    let layer = Layer::parse("rms_norm.tw", include_bytes!("rms_norm.tw"))?;
    let graph = layer.graph(&IndexMap::new())?;

    // Where blocks cost nothing, more of them pay.
    let mut machine = Machine::builtin(DEFAULT_MACHINE)?;
    machine.block_head.value = 0.0;
    machine.runtime_mut().block.value = 0.0;
    let mut context = Context::new(machine);
    context.search.rules = UserRules::parse(RULES)?;
    context.search.disabled = ["fan-out-columns".to_string()].into();

    // The plan: terms, before they become loops and instructions.
    let run = Manager::new().run(Artifact::Graph(graph), &OPTIMIZED[..4], &context)?;
    let mut text = String::new();
    if let Artifact::Plan(best) = &run.artifact {
        for kernel in &best.plan.kernels {
            writeln!(text, "{}: {}", kernel.name, kernel.derivation.join(", "))?;
        }
    }
    writeln!(text, "{}", run.artifact)?;
    Ok(text)
}

pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    print!("{}", run()?);
    Ok(())
}
