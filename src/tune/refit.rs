//! The layer as the search has it with figures that the trials ask for.
//!
//! Kernels alone say nothing of which of them should be one, or run as one launch: that is the search's to decide, by its model. Where
//! trials show that the model is wrong, its figures are fitted to them, and the layer is searched again.

use super::engine::Bench;
use super::layer::{KernelReport, Subject};
use crate::calibrate::{digits, refit};
use crate::compile::Options;
use crate::error::Result;
use crate::form::Form;
use crate::run::compile_form;
use crate::written;
use tilewright_ir::kernel::Program;
use tilewright_passes::search::pins::Pin;
use tracing::info_span;

/// Trials below which figures are not fitted.
const FEW: usize = 8;
/// How far fitted predictions may be off at the median, as a logarithm: beyond that times are not this machine's.
const FAR: f64 = 0.4;
/// Figures that move by less than this, as a logarithm, are not told.
const TOLD: f64 = 0.2;

/// Pins of all that the search decides with fitted figures; none where there is too little to fit, or no figures explain the times.
pub(super) fn plan(
    subject: &Subject,
    bench: &Bench,
    tuned: &[KernelReport],
) -> Result<Option<Vec<Pin>>> {
    let measured = tuned.iter().flat_map(|k| k.tuned.measured.iter().cloned());
    let measured: Vec<(Program, f64)> = measured.collect();
    if measured.len() < FEW {
        return Ok(None);
    }
    let Subject { graph, options, .. } = *subject;
    let found = refit(&options.machine, &measured)?;
    if found.off[1] > FAR {
        return Ok(None);
    }
    let moved = (found.figures.iter()).filter(|(_, (from, to))| (to / from).ln().abs() > TOLD);
    let moved =
        moved.map(|(path, (from, to))| format!("{path} {} -> {}", digits(*from), digits(*to)));
    let moved: Vec<String> = moved.collect();
    if !moved.is_empty() {
        let percent = |off: f64| 100.0 * (off.exp() - 1.0);
        bench.watch.note(&format!(
            "{} trials fit {} with {} (predictions {:.0} % off instead of {:.0} %)",
            measured.len(),
            options.machine.name,
            moved.join(", "),
            percent(found.off[1]),
            percent(found.off[0]),
        ));
    }
    let _span = info_span!("search with fitted figures").entered();
    let fitted = Options {
        machine: found.machine,
        ..options.clone()
    };
    let Ok(compiled) = compile_form(graph, Form::Optimized, &fitted) else {
        return Ok(None);
    };
    let mut pins = written::pins(&compiled);
    pins.retain(|p| !options.pins.contains(p));
    Ok(Some(pins))
}
