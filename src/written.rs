//! Schedules that were found, written back: into the layer's own file, or as pins.
//!
//! What is written is read again and compiled, and what then comes to other kernels is named. So nothing that a search decided is
//! lost without a word.

use crate::compile::{Options, compile, program};
use crate::error::Result;
use crate::form::Form;
use crate::layer::Layer;
use crate::run::Compiled;
use indexmap::IndexMap;
use tilewright_ir::graph::Graph;
use tilewright_ir::kernel::Program;
use tilewright_passes::search::pins::{Holds, Pin};
use tracing::info_span;

/// What was decided for a compiled form; nothing, where its passes make no plan.
pub fn holds(compiled: &Compiled) -> Holds {
    let plan = compiled.run.plan.as_ref();
    plan.map(|p| p.holds.clone()).unwrap_or_default()
}

/// All of it as pins.
pub fn pins(compiled: &Compiled) -> Vec<Pin> {
    holds(compiled).into_values().flatten().collect()
}

/// The layer with its schedule, and kernels that come to something else when that is read again.
///
/// # Errors
///
/// A text that is no layer, and one that does not compile.
pub fn layer(
    layer: &Layer,
    graph: &Graph,
    compiled: &Compiled,
    options: &Options,
) -> Result<(String, Vec<String>)> {
    let _span = info_span!("read again").entered();
    let text = layer.with_holds(graph, &holds(compiled))?;
    let again = Layer::parse("the layer as it is written.tw", text.as_bytes())?;
    let only_held = Options {
        pins: vec![],
        only_pins: true,
        ..options.clone()
    };
    let graph = again.graph(&IndexMap::new())?;
    let differ = other_kernels(&graph, compiled, &only_held).map_err(|e| again.locate(e))?;
    Ok((text, differ))
}

/// Kernels that come to something else with pins for all that was decided.
///
/// # Errors
///
/// Pins that do not compile.
pub fn pinned(
    graph: &Graph,
    compiled: &Compiled,
    pins: &[Pin],
    options: &Options,
) -> Result<Vec<String>> {
    let _span = info_span!("read again").entered();
    let options = Options {
        pins: pins.to_vec(),
        ..options.clone()
    };
    other_kernels(graph, compiled, &options)
}

fn other_kernels(graph: &Graph, compiled: &Compiled, options: &Options) -> Result<Vec<String>> {
    let options = Options {
        dumps: vec![],
        stop_after: None,
        ..options.clone()
    };
    let run = compile(graph, Form::Optimized, &options)?;
    Ok(differ(&compiled.program, program(&run)?))
}

/// Kernels of a program that another one has not, or has otherwise or elsewhere; and those that it has more.
fn differ(one: &Program, other: &Program) -> Vec<String> {
    let mut names = vec![];
    for place in 0..one.kernels.len().max(other.kernels.len()) {
        let (a, b) = (one.kernels.get(place), other.kernels.get(place));
        if a != b {
            let either = a.or(b);
            names.extend(either.map(|k| k.name.clone()));
        }
    }
    names
}
