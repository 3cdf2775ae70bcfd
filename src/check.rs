//! Outputs of a layer against what is expected.
//!
//! Each output is compared with the tolerance that the layer says, or else that of its element type. Outputs that route, the
//! chosen columns of each row and values gathered at them, are compared as pairs: which of two equal scores comes first is
//! nobody's promise.

use crate::data::Expected;
use crate::error::Result;
use crate::form::Form;
use crate::ranks::refuse_failure;
use crate::report::Check;
use std::collections::HashSet;
use tilewright_backends::data::{
    Comparison, Tensors, Tolerance, clear_missing, compare, compare_routing, row_counts,
};
use tilewright_backends::npu::Check as Planned;
use tilewright_backends::reference::{Interpreted, failure};
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{Graph, Op, Prim, Value};
use tilewright_passes::decompose::decompose;

/// The outputs without what rows hold that do not exist.
fn existing(graph: &Graph, tensors: &Tensors, counts: &Tensors) -> Result<Tensors> {
    let mut tensors = tensors.clone();
    for v in &graph.outputs {
        let name = graph.name(*v);
        if let Some(rows) = row_counts(name, graph.ty(*v), counts)?
            && let Some(tensor) = tensors.get_mut(name)
        {
            clear_missing(tensor, &rows);
        }
    }
    Ok(tensors)
}

/// Compares the outputs of every rank with the interpreter's, which come with what says how many rows of them exist, and with
/// what was expected.
///
/// # Errors
///
/// As [`outputs`]; and outputs in which an exchange tells of a failure.
pub fn ranks(
    graph: &Graph,
    form: Form,
    ran: &[&Tensors],
    truth: &[Interpreted],
    expected: Option<&Expected>,
) -> Result<Vec<Check>> {
    let mut checks = vec![];
    for (rank, (actual, truth_of)) in ran.iter().zip(truth).enumerate() {
        refuse_failure(failure(graph, actual))?;
        let counts = &truth_of.counts;
        let mut compare = |against: &str, want: &Tensors| -> Result<()> {
            let mut found = outputs(graph, form, against, actual, want, counts)?;
            if truth.len() > 1 {
                for check in &mut found {
                    let output = &mut check.comparison.output;
                    *output = format!("{output} of rank {rank}");
                }
            }
            checks.extend(found);
            Ok(())
        };
        compare("reference", &truth_of.outputs)?;
        if let Some(e) = expected {
            compare(&e.path.display().to_string(), &e.ranks[rank])?;
        }
    }
    Ok(checks)
}

/// Compares every output that `expected` has; `counts` holds what says how many rows of ragged outputs exist.
///
/// # Errors
///
/// An output whose type is not that of the expected tensor.
pub fn outputs(
    graph: &Graph,
    form: Form,
    against: &str,
    actual: &Tensors,
    expected: &Tensors,
    counts: &Tensors,
) -> Result<Vec<Check>> {
    let (actual, expected) = (
        &existing(graph, actual, counts)?,
        &existing(graph, expected, counts)?,
    );
    let mut checks: Vec<Check> = vec![];
    let given = |name: &str| Some((actual.get(name)?, expected.get(name)?));
    for how in plan(graph, &|name| given(name).is_some())? {
        let found: Vec<Comparison> = match &how {
            Planned::Values { output, tolerance } => match given(output) {
                Some((a, e)) => vec![compare(output, against, a, e, tolerance)?],
                None => continue,
            },
            Planned::Routing {
                indices,
                weights,
                tolerance,
            } => match (given(indices), given(weights)) {
                (Some((ai, ei)), Some((aw, ew))) => {
                    let (indices, weights) = ((&**indices, ai), (&**weights, aw));
                    compare_routing(indices, weights, against, ei, ew, tolerance)?.into()
                }
                _ => continue,
            },
        };
        for comparison in found {
            // One output of a pair may be in another pair, too.
            if !checks
                .iter()
                .any(|c| c.comparison.output == comparison.output)
            {
                checks.push(Check { form, comparison });
            }
        }
    }
    let order = |c: &Check| {
        let output = |v: &Value| graph.name(*v) == c.comparison.output;
        graph.outputs.iter().position(output)
    };
    checks.sort_by_key(order);
    Ok(checks)
}

/// How the outputs that there are (`given`) are compared: each once, in the graph's order.
///
/// # Errors
///
/// As [`routing`].
pub fn plan(graph: &Graph, given: &dyn Fn(&str) -> bool) -> Result<Vec<Planned>> {
    let pairs = routing(graph)?;
    let mut planned = vec![];
    let mut done: HashSet<&str> = HashSet::new();
    for value in &graph.outputs {
        let name = graph.name(*value);
        if !given(name) || done.contains(name) {
            continue;
        }
        let of_pair = |p: &&Routing| p.indices == name || p.weights == name;
        let pair = pairs.iter().find(of_pair);
        done.insert(name);
        match pair.filter(|p| given(&p.indices) && given(&p.weights)) {
            Some(p) => {
                done.extend([p.indices.as_str(), p.weights.as_str()]);
                planned.push(Planned::Routing {
                    indices: p.indices.clone(),
                    weights: p.weights.clone(),
                    tolerance: tolerance(graph, &p.weights, DType::F32),
                });
            }
            None => planned.push(Planned::Values {
                output: name.into(),
                tolerance: tolerance(graph, name, graph.rounded_to(*value)),
            }),
        }
    }
    Ok(planned)
}

/// What the layer says of an output, or the default of its element type.
fn tolerance(graph: &Graph, output: &str, dtype: DType) -> Tolerance {
    match graph.within.get(output) {
        Some(accuracy) => Tolerance::from(*accuracy),
        None => Tolerance::of(dtype),
    }
}

/// Two outputs that belong together, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// Chosen columns, i32.
    pub indices: String,
    /// Values gathered at them, f32.
    pub weights: String,
}

/// The routing pairs among a graph's outputs: an i32 output that a sort or a table lookup chose, and an f32 output of its shape
/// that is computed from values gathered at the same choice.
///
/// # Errors
///
/// A graph that does not decompose; none that verifies.
pub fn routing(graph: &Graph) -> Result<Vec<Routing>> {
    let graph = &decompose(graph)?;
    let of_type = |dtype: DType| {
        let outputs = graph.outputs.iter().copied();
        outputs.filter(move |v| graph.ty(*v).dtype == dtype)
    };
    let mut pairs = vec![];
    for indices in of_type(DType::I32) {
        let Some(choice) = choice(graph, indices) else {
            continue;
        };
        let weights = of_type(DType::F32).find(|w| {
            graph.ty(*w).shape == graph.ty(indices).shape && is_gathered_by(graph, *w, choice)
        });
        if let Some(weights) = weights {
            pairs.push(Routing {
                indices: graph.name(indices).into(),
                weights: graph.name(weights).into(),
            });
        }
    }
    Ok(pairs)
}

/// The sort or lookup whose result this is, but for masked rows.
fn choice(graph: &Graph, mut value: Value) -> Option<Value> {
    loop {
        match graph.node(value.node).op {
            Op::Prim(Prim::TopK { .. } | Prim::GatherRows) => return Some(value),
            Op::Prim(Prim::MaskRows) => value = *graph.operands(value.node).first()?,
            _ => return None,
        }
    }
}

fn is_gathered_by(graph: &Graph, value: Value, choice: Value) -> bool {
    let mut seen = HashSet::new();
    let mut open = vec![value];
    while let Some(v) = open.pop() {
        if !seen.insert(v.node) {
            continue;
        }
        let operands = graph.operands(v.node);
        let gathers = graph.node(v.node).op == Op::Prim(Prim::GatherCols);
        if gathers && operands.get(1) == Some(&choice) {
            return true;
        }
        open.extend(operands);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Layer;
    use indexmap::IndexMap;

    /// A last place of bf16 is what a computed bf16 value may differ by, and so what is made of one element of it. An input is
    /// exact, and a sum of many such values is not one of them.
    #[test]
    fn what_was_rounded_to_bf16_is_compared_so() {
        let text = "graph g {\n  input a: f32[4, 64]\n  input w: f32[64, 64]\n  input b: bf16[4, 64]\n  kernel k {\n    \
                    p = matmul_nt(a, w)\n    q = cast(p, to = bf16)\n    rounded = cast(q, to = f32) * 2.0\n    \
                    exact = cast(b, to = f32) * 2.0\n  }\n  kernel l {\n    summed = matmul_nt(rounded, w)\n  }\n  \
                    output rounded, exact, summed\n}\n";
        let layer = Layer::parse("g.tw", text.as_bytes()).expect("it is a layer");
        let graph = layer.graph(&IndexMap::new()).expect("it has sizes");
        let of = |name: &str| graph.rounded_to(graph.find(name).expect("it is there"));
        assert_eq!(of("rounded"), DType::Bf16);
        assert_eq!(of("exact"), DType::F32);
        assert_eq!(of("summed"), DType::F32);
    }
}
