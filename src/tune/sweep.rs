//! All values of a few parameters, one layer each.

use super::layer::words;
use crate::compile::Options;
use crate::error::Result;
use crate::form::Form;
use crate::run::compile_form;
use crate::tune_error::TuneError;
use crate::watch::Counter;
use rayon::prelude::*;
use serde::Serialize;
use tilewright_backends::sim;
use tilewright_ir::graph::Graph;
use tilewright_passes::pass::PassError;
use tilewright_passes::search::pins::{Pin, PinError};
use tracing::info_span;

/// The most layers of a sweep.
const MOST: usize = 4096;

/// A parameter with the values that it is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Over {
    /// `KERNEL.PARAM`.
    pub name: String,
    /// What is tried, one after the other.
    pub values: Vec<Pin>,
}

/// A layer of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// In the order of the parameters.
    pub values: Vec<String>,
    /// By the cost model; none where no kernel has the values.
    pub predicted_us: Option<f64>,
    /// On the simulator; none where it does not run.
    pub simulated_us: Option<f64>,
    /// Why there is no such layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl Over {
    /// Reads `KERNEL.PARAM=VALUE,VALUE,...`.
    ///
    /// # Errors
    ///
    /// A text that names nothing, and a value that is none.
    pub fn parse(text: &str) -> Result<Self> {
        let nothing = || TuneError::Over { text: text.into() };
        let (name, values) = text.split_once('=').ok_or_else(nothing)?;
        let pin = |value: &str| {
            let pin = format!("{}={}", name.trim(), value.trim()).parse();
            pin.map_err(|e: PinError| PassError::from(e))
        };
        let values = values.split(',').filter(|v| !v.trim().is_empty());
        let values: Vec<Pin> = values.map(pin).collect::<std::result::Result<_, _>>()?;
        match values.is_empty() {
            true => Err(nothing().into()),
            false => Ok(Over {
                name: name.trim().to_owned(),
                values,
            }),
        }
    }
}

/// Compiles and times a layer for each combination of values, the last parameter fastest.
///
/// # Errors
///
/// Too many combinations, and a parameter that there is not. A combination that no layer has is a row.
pub fn sweep(graph: &Graph, options: &Options, over: &[Over]) -> Result<Vec<Row>> {
    let count = over
        .iter()
        .map(|o| o.values.len())
        .fold(1, usize::saturating_mul);
    if count > MOST {
        return Err(TuneError::TooMany { count, limit: MOST }.into());
    }
    let mut all: Vec<Vec<Pin>> = vec![vec![]];
    for of in over {
        let longer = |pins: &Vec<Pin>| {
            let with = of
                .values
                .iter()
                .map(|v| [pins.clone(), vec![v.clone()]].concat());
            with.collect::<Vec<_>>()
        };
        all = all.iter().flat_map(longer).collect();
    }
    let _span = info_span!("sweep").entered();
    let counter = Counter::new("combinations", all.len());
    let rows: Vec<Result<Row>> = all
        .par_iter()
        .map(|pins| counter.one(row(graph, options, pins)))
        .collect();
    rows.into_iter().collect()
}

fn row(graph: &Graph, options: &Options, pins: &[Pin]) -> Result<Row> {
    let pinned = Options {
        pins: [options.pins.clone(), pins.to_vec()].concat(),
        ..options.clone()
    };
    let value = |p: &Pin| {
        words(std::slice::from_ref(p))
            .rsplit('=')
            .next()
            .map(String::from)
    };
    let values = pins.iter().filter_map(value).collect();
    Ok(match compile_form(graph, Form::Optimized, &pinned) {
        Ok(compiled) => Row {
            values,
            predicted_us: Some(compiled.kernels.iter().map(|k| k.predicted.us).sum()),
            simulated_us: sim::time(&compiled.program, &options.machine)
                .ok()
                .map(|r| r.us),
            refused: None,
        },
        // Nothing has that name, so that no row would say anything.
        Err(e) if e.asks_nothing() => return Err(e),
        Err(e) => Row {
            values,
            predicted_us: None,
            simulated_us: None,
            refused: Some(e.to_string()),
        },
    })
}
