//! Rules of one's own: a file of rules in place of one that comes with tilewright.
//!
//! `cargo run --example custom_rules`

use std::fmt::Write as _;
use tilewright::prelude::*;

const RULES: &str = r#"
rule quarter-blocks bitwise "each block stores its own part of the value" {
  (launch.spmd ?t ?w (rows ?b ?r (cols ?d ?n ?c (tile ?r ?c ?v))))
    => (launch.spmd ?t ?w (rows ?b ?r (cols 1 ?z ?z (tile ?r ?z ?v))))
  where ?z = ?n / 4, aligned(?z, ?n, ?v)
}
"#;

/// What led to each kernel with the rules of the file, and what they cost.
pub fn run() -> Result<String> {
    let layer = Layer::parse("rms_norm.tw", include_bytes!("rms_norm.tw"))?;
    // Where blocks cost nothing, more of them pay.
    let mut machine = Machine::builtin(DEFAULT_MACHINE)?;
    machine.block_head.value = 0.0;
    machine.runtime_mut().block.value = 0.0;
    let compiler = Compiler::new(machine)
        .rules(RULES)?
        .without_rule("fan-out-columns");

    let report = compiler.optimize(&layer.at([])?)?.report;
    let mut text = String::new();
    for kernel in &report.optimized.kernels {
        let _ = writeln!(text, "{}: {}", kernel.name, kernel.derivation.join(", "));
    }
    Ok(text + &report.to_string())
}

pub fn main() -> miette::Result<()> {
    print!("{}", run()?);
    Ok(())
}
