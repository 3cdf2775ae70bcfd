//! A plain interpreter of the layer graph: the truth that everything else is compared with.
//!
//! Start with [`run`]. Every operation is computed whole, one after the other, by one readable function on values in f32 (or
//! integers); composites are computed from their definition and not through their primitives, so that a wrong decomposition
//! shows. Nothing here is tiled, scheduled or fast.
//!
//! * `prim`: the table of primitives, and [`eval_prim`].
//! * `elementwise`, `reduce`, `matmul`, `index`: the primitives.
//! * `composite`, `hyper`: the composites.
//! * `layers`: graphs, an operation of all ranks after the other, and runs of a layer.
//! * `ranks`: exchanges, statement by statement; `exchange`: those of the library from definitions of their own.
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
mod layers;
mod matmul;
mod prim;
mod ranks;
mod reduce;

pub use composite::{eval_composite, eval_definition, has_closed_form};
pub use error::ReferenceError;
pub use layers::{Interpreted, Layers, failure, run_all, run_ranks};
pub use prim::eval_prim;

use crate::data::{DataError, Tensor, Tensors, check_size, clear_missing, row_counts};
use tilewright_ir::graph::{Graph, GraphError, Op, Type, Value, infer};

/// The outputs of a graph, by name and in the graph's order.
///
/// `inputs` are looked up by the names of the graph's inputs (see [`crate::data::inputs_of`] for files with prefixes) and
/// checked; others are ignored.
///
/// # Errors
///
/// A graph that does not verify, inputs that are missing or of the wrong type or out of bound, an index out of range.
pub fn run(graph: &Graph, inputs: &Tensors) -> Result<Tensors, ReferenceError> {
    Ok(results(graph, run_all(graph, inputs)?).0)
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
    let results = infer(op, &types, 1).map_err(GraphError::from)?;
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
