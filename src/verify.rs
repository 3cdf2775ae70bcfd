//! Kernels against the interpreter before they leave: on the simulator, at sizes that take seconds.

use crate::compile::Options;
use crate::data::{Source, inputs};
use crate::error::{Error, Result};
use crate::layer::Layer;
use crate::run::{Compiled, compile_form, outputs_of};
use indexmap::IndexMap;
use serde::Serialize;
use std::fmt;
use tilewright_ir::graph::{Graph, Op, Prim, Value};

/// Multiplications and elements that a check may take: a few seconds.
const BUDGET: f64 = 3e9;

/// What was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "checked", rename_all = "lowercase")]
pub enum Verified {
    /// The kernels themselves.
    Whole,
    /// The kernels of the layer at smaller sizes: the params that differ, and whether they are kernels of the same names.
    Smaller {
        params: IndexMap<String, i64>,
        same_kernels: bool,
    },
    /// Nothing: no sizes were found that are small enough.
    Nothing,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verified::Whole => {
                f.write_str("checked on the simulator: outputs are the interpreter's")
            }
            Verified::Smaller {
                params,
                same_kernels,
            } => {
                let params: Vec<String> = params.iter().map(|(n, v)| format!("{n}={v}")).collect();
                write!(
                    f,
                    "checked on the simulator at {}, where {}: outputs are the interpreter's",
                    params.join(" "),
                    match same_kernels {
                        true => "the kernels are the same but for sizes",
                        false => "other kernels are best",
                    }
                )
            }
            Verified::Nothing => f.write_str(
                "not checked: it would take too long; `tilewright run` checks all of it",
            ),
        }
    }
}

/// Runs a compiled form on the simulator, or the same layer at smaller sizes where that takes too long.
///
/// # Errors
///
/// [`Error::Differs`] when an output is not the interpreter's, and what the simulator refuses.
pub fn verify(
    layer: &Layer,
    graph: &Graph,
    compiled: &Compiled,
    options: &Options,
    scalars: &IndexMap<String, i64>,
) -> Result<Verified> {
    if work(graph) <= BUDGET {
        equal(graph, compiled, options, scalars)?;
        return Ok(Verified::Whole);
    }
    let Some((params, small)) = smaller(layer, graph) else {
        return Ok(Verified::Nothing);
    };
    // What is pinned may not divide smaller sizes.
    let Ok(again) = compile_form(&small, compiled.form, options) else {
        return Ok(Verified::Nothing);
    };
    // Scalars may count more rows than there are.
    equal(&small, &again, options, &IndexMap::new())?;
    let names = |c: &Compiled| -> Vec<String> {
        c.program.kernels.iter().map(|k| k.name.clone()).collect()
    };
    Ok(Verified::Smaller {
        params,
        same_kernels: names(&again) == names(compiled),
    })
}

fn equal(
    graph: &Graph,
    compiled: &Compiled,
    options: &Options,
    scalars: &IndexMap<String, i64>,
) -> Result<()> {
    let of_rank = |rank: usize| inputs(graph, &Source::Seed(rank as u64), scalars);
    let given = (0..graph.ranks())
        .map(of_rank)
        .collect::<Result<Vec<_>>>()?;
    let checks = outputs_of(graph, compiled, options, &given)?;
    let off: Vec<String> = checks
        .iter()
        .filter(|c| !c.comparison.ok)
        .map(|c| {
            let c = &c.comparison;
            format!(
                "`{}` ({} of {} elements)",
                c.output, c.mismatched, c.elements
            )
        })
        .collect();
    match off.is_empty() {
        true => Ok(()),
        false => Err(Error::Differs {
            form: compiled.form.phrase(),
            outputs: off.join(", "),
        }
        .into()),
    }
}

/// Multiplications of products and elements of other values, on all ranks.
fn work(graph: &Graph) -> f64 {
    let node = |v: Value| {
        let size = |v: Value| {
            let (rows, cols) = graph.ty(v).matrix();
            rows as f64 * cols as f64
        };
        let operands = graph.operands(v.node);
        let inner = match graph.node(v.node).op {
            Op::Prim(Prim::MatmulNt | Prim::GroupedMatmulNt) => graph.ty(operands[0]).matrix().1,
            // Composites have products in them.
            Op::Composite(_) => operands
                .iter()
                .map(|o| graph.ty(*o).matrix().1)
                .max()
                .unwrap_or(1),
            _ => 1,
        };
        size(v) * inner as f64
    };
    graph.values().map(node).sum::<f64>() * graph.ranks() as f64
}

/// The layer with params halved, the largest first, until it is small enough; and the params that differ.
fn smaller(layer: &Layer, graph: &Graph) -> Option<(IndexMap<String, i64>, Graph)> {
    let mut given: IndexMap<String, i64> = IndexMap::new();
    let mut small = graph.clone();
    let mut stuck: Vec<String> = vec![];
    while work(&small) > BUDGET {
        let open = small
            .params
            .iter()
            .filter(|(n, v)| !stuck.contains(n) && **v > 1);
        let (name, value) = open.max_by_key(|(_, v)| **v)?;
        let (name, half) = (name.clone(), value / 2);
        let mut tried = given.clone();
        tried.insert(name.clone(), half);
        match layer.graph(&tried) {
            Ok(next) if work(&next) < work(&small) => (given, small) = (tried, next),
            _ => stuck.push(name),
        }
    }
    Some((given, small))
}
