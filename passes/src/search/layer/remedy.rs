//! What would work instead of pins that cannot be: found by trying, so that it does.

use crate::kernel::allocate::AllocateError;
use crate::search::candidate::Scored;
use crate::search::kernel::{ExtractError, Extraction};
use crate::search::pins::{KernelPins, Param};
use crate::search::trials::{params, size};

/// Values of a pin that are tried, and such as work that are told.
const TRIED: usize = 24;
const TOLD: usize = 4;

/// The error with what would work.
pub(super) fn remedied(error: ExtractError, e: &Extraction) -> ExtractError {
    match error {
        ExtractError::Overflow { error, .. } => nearest_fit(error, e),
        ExtractError::NoSchedule {
            kernel,
            pin,
            remedy,
        } => ExtractError::NoSchedule {
            remedy: instead(&kernel, e).unwrap_or(remedy),
            kernel,
            pin,
        },
        other => other,
    }
}

fn with_pins<'e>(e: &Extraction<'e>, pins: KernelPins) -> Extraction<'e> {
    Extraction {
        pins,
        readable: e.readable.clone(),
        needed: e.needed.clone(),
        grids: e.grids.clone(),
        ..*e
    }
}

/// The nearest values that the first of the pins can have with the others that has such.
fn instead(kernel: &str, e: &Extraction) -> Option<String> {
    let spans = params(e.spec, &with_pins(e, KernelPins::default()).spans());
    let works = |param: &&Param| {
        let mut pins = e.pins.clone();
        pins.hold_at(param);
        let first = |found: &[Scored]| (0..found.len().min(1)).collect();
        with_pins(e, pins).run(None, first).is_ok()
    };
    e.pins.params().iter().find_map(|pin| {
        let mut others: Vec<&Param> = (spans.iter())
            .filter(|p| p.name() == pin.name() && *p != pin)
            .collect();
        others.sort_by_key(|p| (size(p).abs_diff(size(pin)), size(p)));
        others.dedup();
        let working = others.into_iter().take(TRIED).filter(works).take(TOLD);
        let told: Vec<String> = working.map(|p| format!("{kernel}.{p}")).collect();
        match &told[..] {
            [] => None,
            [one] => Some(format!("{one} can be")),
            [some @ .., last] => Some(format!("{} and {last} can be", some.join(", "))),
        }
    })
}

/// When a pinned tile overflows a memory, the error names the nearest tile that fits.
fn nearest_fit(error: AllocateError, e: &Extraction) -> ExtractError {
    for (name, value) in e.pins.tiles.iter().rev() {
        let mut pins = e.pins.clone();
        pins.tiles.shift_remove(name);
        let free = with_pins(e, pins);
        let all = |found: &[Scored]| (0..found.len()).collect();
        let fitting = free.run(None, all).unwrap_or_default();
        let nearest = fitting
            .iter()
            .filter_map(|c| Some(*free.price(&c.plan).ok()?.0.params.get(name)?))
            .min_by_key(|v| (v.abs_diff(*value), *v));
        if let Some(nearest) = nearest {
            return ExtractError::Overflow {
                error,
                remedy: format!(
                    "{}.{name}={nearest} is the nearest tile that fits",
                    e.spec.region
                ),
            };
        }
    }
    let remedy = match e.spec.exchange {
        None if e.spec.names.cols.is_none() => {
            "it takes rows whole, which no tile cuts: write some of its operations as a kernel of their own, or take fewer columns at a time"
        }
        None => "choose smaller tiles",
        Some(_) => {
            "declare a smaller tile in the exchange, of fewer rows or columns at a time; a copy from memory to memory goes in pieces by itself"
        }
    };
    ExtractError::Overflow {
        error,
        remedy: remedy.into(),
    }
}
