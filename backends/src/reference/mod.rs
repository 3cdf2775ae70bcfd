//! A plain interpreter of the layer graph: the truth that everything else is compared with.
//!
//! Start with [`run`]. Every operation is computed whole, one after the other, by one readable function on values in f32 (or
//! integers); composites are computed from their definition and not through their primitives, so that a wrong decomposition
//! shows. Nothing here is tiled, scheduled or fast.
//!
//! * `prim`: the table of primitives, and [`eval_prim`].
//! * `elementwise`, `reduce`, `matmul`, `index`: the primitives.
//! * `composite`, `hyper`: the composites.
//!
//! # Where values are rounded
//!
//! Element-wise arithmetic is f32 arithmetic; each operation rounds its result to the type of its result, to nearest even.
//! Sums of rows, means and matrix products accumulate in f64 and round once, so that no order of summation is preferred;
//! products of int8 are exact, and integers saturate.

mod composite;
mod elementwise;
mod error;
mod exchange;
mod hyper;
mod index;
mod matmul;
mod prim;
mod reduce;

pub use composite::{eval_composite, eval_definition, has_closed_form};
pub use error::ReferenceError;
pub use prim::eval_prim;

use crate::data::{
    DataError, Tensor, Tensors, check_inputs, check_size, clear_missing, row_counts,
};
use tilewright_ir::graph::{Composite, Graph, GraphError, Op, Prim, Type, Value, infer, verify};

/// The outputs of a graph, by name and in the graph's order.
///
/// `inputs` are looked up by the names of the graph's inputs (see [`crate::data::inputs_of`] for files with prefixes) and
/// checked; others are ignored.
///
/// # Errors
///
/// A graph that does not verify, inputs that are missing or of the wrong type or out of bound, an index out of range.
pub fn run(graph: &Graph, inputs: &Tensors) -> Result<Tensors, ReferenceError> {
    Ok(run_with_counts(graph, inputs)?.0)
}

/// As [`run`], and the values that say how many rows of others exist.
///
/// # Errors
///
/// As [`run`].
pub fn run_with_counts(
    graph: &Graph,
    inputs: &Tensors,
) -> Result<(Tensors, Tensors), ReferenceError> {
    Ok(results(graph, run_all(graph, inputs)?))
}

/// Outputs, and the values that say how many rows of others exist.
fn results(graph: &Graph, mut all: Tensors) -> (Tensors, Tensors) {
    let ragged = graph.values().filter_map(|v| graph.ty(v).ragged.as_ref());
    let counts = ragged
        .filter_map(|r| Some((r.counts.clone(), all.get(&r.counts)?.clone())))
        .collect();
    let mut outputs = Tensors::new();
    for value in &graph.outputs {
        // A value may be an output twice.
        if let Some((name, tensor)) = all.swap_remove_entry(graph.name(*value)) {
            outputs.insert(name, tensor);
        }
    }
    (outputs, counts)
}

/// Every value of a graph by name, inputs too, in an order in which operands come first.
///
/// # Errors
///
/// As [`run`].
pub fn run_all(graph: &Graph, inputs: &Tensors) -> Result<Tensors, ReferenceError> {
    let mut all = lockstep(graph, std::slice::from_ref(inputs))?;
    Ok(all.swap_remove(0))
}

/// The outputs of a graph on each of its ranks, which have inputs of their own, and the values that say how many rows of
/// others exist.
///
/// # Errors
///
/// As [`run`], and [`ReferenceError::Ranks`] for inputs of another number of ranks than the graph's.
pub fn run_ranks(
    graph: &Graph,
    inputs: &[Tensors],
) -> Result<Vec<(Tensors, Tensors)>, ReferenceError> {
    let all = lockstep(graph, inputs)?;
    Ok(all.into_iter().map(|all| results(graph, all)).collect())
}

/// Every value of every rank, an operation of all ranks after the other.
fn lockstep(graph: &Graph, inputs: &[Tensors]) -> Result<Vec<Tensors>, ReferenceError> {
    verify(graph)?;
    if inputs.len() != graph.ranks() {
        return Err(ReferenceError::Ranks {
            ranks: graph.ranks(),
            given: inputs.len(),
        });
    }
    let mut ranks = inputs
        .iter()
        .map(|inputs| check_inputs(graph, inputs))
        .collect::<Result<Vec<_>, _>>()?;
    for values in &mut ranks {
        for v in graph.inputs() {
            clear(graph, v, values)?;
        }
    }
    // A verified graph has no cycle.
    for id in graph.topological().unwrap_or_default() {
        let node = graph.node(id);
        let operands = graph.operands(id);
        let types: Vec<Type> = node.outputs.iter().map(|o| o.ty.clone()).collect();
        for output in &node.outputs {
            check_size(&output.name, &output.ty)?;
        }
        let values = |values| -> Vec<&Tensor> { operands_of(graph, &operands, values) };
        let all: Vec<Vec<&Tensor>> = ranks.iter().map(values).collect();
        let counts = ranks.iter().map(|values| match operands.first() {
            Some(v) => row_counts(graph.name(*v), graph.ty(*v), values),
            None => Ok(None),
        });
        let results: Result<Vec<Vec<Tensor>>, ReferenceError> = match &node.op {
            Op::Input => continue,
            Op::Prim(Prim::Comm(c)) => exchange::eval_comm(c, &all)
                .map(|results| results.into_iter().map(|t| vec![t]).collect()),
            Op::Composite(Composite::Exchange(e)) => exchange::eval_exchange(e, &all),
            Op::Prim(p) => std::iter::zip(&all, counts)
                .map(|(o, counts)| Ok(vec![prim::compute(p, o, &types[0], counts?.as_deref())?]))
                .collect(),
            Op::Composite(Composite::Defined(c)) => std::iter::zip(&all, counts)
                .map(|(o, counts)| composite::compute(c, o, &types, counts?.as_deref()))
                .collect(),
        };
        let results = results.map_err(|error| {
            error.at(graph.name(Value {
                node: id,
                result: 0,
            }))
        })?;
        for (values, results) in ranks.iter_mut().zip(results) {
            for (output, tensor) in node.outputs.iter().zip(results) {
                values.insert(output.name.clone(), tensor);
            }
        }
        for values in &mut ranks {
            for result in 0..node.outputs.len() {
                clear(graph, Value { node: id, result }, values)?;
            }
        }
    }
    Ok(ranks)
}

fn operands_of<'a>(graph: &Graph, operands: &[Value], values: &'a Tensors) -> Vec<&'a Tensor> {
    let named = operands.iter().map(|v| graph.name(*v));
    named.filter_map(|name| values.get(name)).collect()
}

/// Clears what a value holds in rows that do not exist.
fn clear(graph: &Graph, v: Value, values: &mut Tensors) -> Result<(), DataError> {
    if let Some(counts) = row_counts(graph.name(v), graph.ty(v), values)?
        && let Some(tensor) = values.get_mut(graph.name(v))
    {
        clear_missing(tensor, &counts);
    }
    Ok(())
}

/// The types of an operation's results for these operands, after everything that could go wrong with types was checked.
fn result_types(op: &Op, operands: &[Tensor]) -> Result<Vec<Type>, ReferenceError> {
    for operand in operands {
        operand.check()?;
    }
    let types: Vec<Type> = operands.iter().map(Tensor::ty).collect();
    let results = infer(op, &types).map_err(GraphError::from)?;
    for ty in &results {
        check_size("result", ty)?;
    }
    Ok(results)
}

/// f32 values as a tensor of a result's type, rounded to nearest even.
fn floats(ty: &Type, values: &[f32]) -> Result<Tensor, DataError> {
    Tensor::from_f32(ty.dtype, &ty.sizes(), values)
}

/// Integers as a tensor of a result's type, saturated.
fn integers(ty: &Type, values: &[i64]) -> Result<Tensor, DataError> {
    Tensor::from_i64(ty.dtype, &ty.sizes(), values)
}

/// The rows of a matrix, empty ones too.
fn rows<T>(values: &[T], (rows, columns): (usize, usize)) -> impl Iterator<Item = &[T]> {
    (0..rows).map(move |r| &values[r * columns..(r + 1) * columns])
}
