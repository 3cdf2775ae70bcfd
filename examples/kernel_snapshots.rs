//! Kernels of a layer under test in Rust, kept with insta.
//!
//! In a crate of your own, `run` is the body of a `#[test]`: `cargo insta test` then runs it, and `cargo insta review` shows what has
//! changed. Here, `cargo run --example kernel_snapshots`.

use tilewright::prelude::*;
use tilewright::snapshot::{self, Contents};

/// Compares the texts with those that are kept; their names.
pub fn run() -> Result<Vec<String>> {
    let layer = Layer::parse("norm.tw", include_bytes!("snapshots/layers/norm.tw"))?;
    let graph = layer.at([("D", 1024)])?;
    let options = Options::new(Machine::builtin(DEFAULT_MACHINE)?);
    let texts = snapshot::of(&graph, &options, &Contents::default())?.texts();

    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots/insta");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for (name, text) in &texts {
            insta::assert_snapshot!(name.as_str(), text);
        }
    });
    Ok(texts.into_keys().collect())
}

pub fn main() -> miette::Result<()> {
    for name in run()? {
        println!("{name}: as it was");
    }
    Ok(())
}
