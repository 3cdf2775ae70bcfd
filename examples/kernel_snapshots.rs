//! Kernels of a layer under test in Rust, kept with insta.
//!
//! In a crate of your own, `run` is the body of a `#[test]`: `cargo insta test` then runs it, and `cargo insta review` shows what has
//! changed. Here, `cargo run --example kernel_snapshots`.

use indexmap::IndexMap;
use tilewright::compile::Options;
use tilewright::layer::Layer;
use tilewright::snapshot::{self, Contents};
use tilewright_ir::machine::{DEFAULT_MACHINE, Machine};

/// Compares the texts with those that are kept; their names.
pub fn run() -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let layer = Layer::parse("norm.tw", include_bytes!("snapshots/layers/norm.tw"))?;
    let graph = layer.graph(&IndexMap::from([("D".to_owned(), 1024)]))?;
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

pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    for name in run()? {
        println!("{name}: as it was");
    }
    Ok(())
}
