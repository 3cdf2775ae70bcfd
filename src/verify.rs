//! Kernels against the interpreter before they leave: on the simulator, at sizes that take seconds.
//!
//! A layer that takes longer is checked at smaller sizes: params are halved, the largest first, for as long as the layer still has
//! kernels as its schedule says. What a schedule is divided by stays.

use crate::compile::Options;
use crate::data::{Source, inputs};
use crate::error::{Error, Result};
use crate::form::Form;
use crate::layer::Layer;
use crate::run::{Compiled, compile_form, outputs_of};
use indexmap::IndexMap;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;
use tilewright_backends::data::Tensors;
use tilewright_ir::graph::{Graph, Op, Prim, Value};
use tracing::info_span;

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
        /// The params that differ from those asked for.
        params: IndexMap<String, i64>,
        /// Whether the kernels have the same names.
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
                "not checked: it would take too long, and no smaller sizes were found; `tilewright run` checks all of it",
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
    let _span = info_span!("verify outputs").entered();
    if is_quick(graph) {
        equal(graph, compiled, options, &generated(graph, scalars)?)?;
        return Ok(Verified::Whole);
    }
    let Some(small) = smaller(layer, graph, options) else {
        return Ok(Verified::Nothing);
    };
    let again = compile_form(&small.graph, compiled.form, options)?;
    // Scalars may count more rows than there are.
    let inputs = generated(&small.graph, &IndexMap::new())?;
    equal(&small.graph, &again, options, &inputs)?;
    Ok(small.verified(compiled, &again))
}

/// Inputs of every rank, from the ranks' numbers as seeds.
fn generated(graph: &Graph, scalars: &IndexMap<String, i64>) -> Result<Vec<Tensors>> {
    let of_rank = |rank: usize| inputs(graph, &Source::Seed(rank as u64), scalars);
    (0..graph.ranks()).map(of_rank).collect()
}

/// Whether outputs of a layer can be checked in seconds.
pub fn is_quick(graph: &Graph) -> bool {
    work(graph) <= BUDGET
}

/// Compares the outputs of a form on these inputs, by rank, with the interpreter's.
///
/// # Errors
///
/// As [`verify`].
pub fn equal(
    graph: &Graph,
    compiled: &Compiled,
    options: &Options,
    given: &[Tensors],
) -> Result<()> {
    let checks = outputs_of(graph, compiled, options, given)?;
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

/// A layer at smaller sizes.
#[derive(Debug, Clone)]
pub struct Small {
    /// The layer at smaller sizes.
    pub graph: Graph,
    /// The params that differ.
    pub params: IndexMap<String, i64>,
}

impl Small {
    /// That a form was checked at these sizes, where it was `again` compiled.
    pub fn verified(&self, whole: &Compiled, again: &Compiled) -> Verified {
        let names = |c: &Compiled| -> Vec<String> {
            c.program.kernels.iter().map(|k| k.name.clone()).collect()
        };
        Verified::Smaller {
            params: self.params.clone(),
            same_kernels: names(again) == names(whole),
        }
    }
}

/// The layer at sizes that are small enough, and at which it has kernels as written and with what is pinned; `None` if there are
/// none.
pub fn smaller(layer: &Layer, graph: &Graph, options: &Options) -> Option<Small> {
    let bare = bare(options);
    let whole = compile_form(graph, Form::Written, &bare).ok();
    let other = whole.map(|w| uneven(&w)).unwrap_or_default();
    let stands = |g: &Graph| stands(g, options, &other);
    // Mostly what can be halved has kernels, too, so that one look at the end is enough.
    let first = shrunk(layer, graph, &|_| true);
    if let Some(small) = first
        && stands(&small.graph)
    {
        return Some(small);
    }
    shrunk(layer, graph, &stands)
}

/// Params made smaller, the largest first and by its smallest factor that will do, until the layer is small enough.
fn shrunk(layer: &Layer, graph: &Graph, fits: &dyn Fn(&Graph) -> bool) -> Option<Small> {
    let mut small = Small {
        graph: graph.clone(),
        params: IndexMap::new(),
    };
    let mut stuck: Vec<String> = vec![];
    let mut moved = false;
    while !is_quick(&small.graph) {
        let params = small.graph.params.iter();
        let open = params.filter(|(n, v)| !stuck.contains(n) && **v > 1);
        let Some((name, value)) = open.max_by_key(|(_, v)| **v) else {
            // A param that others kept as it was may follow them now.
            if !std::mem::take(&mut moved) {
                return None;
            }
            stuck.clear();
            continue;
        };
        let name = name.clone();
        let lesser = factors(*value).into_iter().find_map(|by| {
            let mut params = small.params.clone();
            params.insert(name.clone(), value / by);
            let next = layer.graph(&params).ok()?;
            let less =
                work(&next) < work(&small.graph) && (next.ranks() > 1) == (graph.ranks() > 1);
            (less && fits(&next)).then_some(Small {
                graph: next,
                params,
            })
        });
        match lesser {
            Some(lesser) => (small, moved) = (lesser, true),
            None => stuck.push(name),
        }
    }
    Some(small)
}

/// What a size can be divided by: two, and its prime factors.
fn factors(size: i64) -> Vec<i64> {
    let mut rest = size;
    let mut found = vec![2];
    let mut by = 2;
    while by * by <= rest {
        match rest % by {
            0 => {
                rest /= by;
                found.push(by);
            }
            _ => by += 1,
        }
    }
    if rest > 1 && rest < size {
        found.push(rest);
    }
    found.dedup();
    found
}

/// Options with which nothing is chosen.
fn bare(options: &Options) -> Options {
    Options {
        only_pins: true,
        dumps: vec![],
        stop_after: None,
        ..options.clone()
    }
}

/// Whether a layer has kernels as written, and with what is pinned, with the tiles of the schedule but for these.
fn stands(graph: &Graph, options: &Options, other: &BTreeSet<(String, String)>) -> bool {
    let bare = bare(options);
    let pinned = options.pins.is_empty() || compile_form(graph, Form::Optimized, &bare).is_ok();
    let written = || compile_form(graph, Form::Written, &bare);
    pinned && written().is_ok_and(|w| uneven(&w).is_subset(other))
}

/// Kernels with the tiles as written that are others because they do not divide.
fn uneven(compiled: &Compiled) -> BTreeSet<(String, String)> {
    let shrunk = compiled.run.plan.iter().flat_map(|o| &o.shrunk);
    let uneven = shrunk.filter(|s| s.why.is_of_extent());
    uneven.map(|s| (s.kernel.clone(), s.tile.clone())).collect()
}
