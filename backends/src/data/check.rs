//! Whether a caller's tensors are what a graph needs.

use super::{DataError, Tensor, Tensors, convert, type_text};
use tilewright_ir::Round;
use tilewright_ir::graph::{Graph, Value};

/// The inputs of a graph out of `tensors`, in the graph's order, checked: present, of the right type, and in bound.
///
/// What every rank knows by itself is left out. A rank-0 integer of another integer type is converted when its value fits. Tensors that the graph does not read are
/// left out. Prefixed names are not looked at: see [`super::inputs_of`].
///
/// # Errors
///
/// [`DataError::Missing`], [`DataError::Mismatch`] or [`DataError::OutOfBound`] for the first input that fails.
pub fn check_inputs(graph: &Graph, tensors: &Tensors) -> Result<Tensors, DataError> {
    let mut checked = Tensors::new();
    for value in graph.inputs() {
        let (name, ty) = (graph.name(value), graph.ty(value));
        if graph.given(name).is_some() {
            continue;
        }
        let Some(given) = tensors.get(name) else {
            return Err(DataError::Missing {
                tensor: name.to_owned(),
                expected: ty.to_string(),
                present: tensors.keys().cloned().collect(),
            });
        };
        let tensor = as_scalar_of(given, ty).unwrap_or_else(|| given.clone());
        if !tensor.is_of(ty) {
            return Err(DataError::Mismatch {
                tensor: name.to_owned(),
                expected: ty.to_string(),
                found: found(&tensor),
            });
        }
        if let Some(bound) = graph.node(value.node).input.bound {
            check_bound(name, &tensor, (lowest(graph, value), bound))?;
        }
        checked.insert(name.to_owned(), tensor);
    }
    Ok(checked)
}

/// A scalar integer in the graph's integer type, if that keeps its value.
fn as_scalar_of(given: &Tensor, ty: &tilewright_ir::graph::Type) -> Option<Tensor> {
    let integers = !given.dtype.is_float() && !ty.dtype.is_float();
    let scalars = given.shape.is_empty() && ty.shape.is_empty();
    if !integers || !scalars || given.dtype == ty.dtype {
        return None;
    }
    let converted = convert(given, ty.dtype, Round::Rint);
    (converted.to_i64() == given.to_i64()).then_some(converted)
}

fn found(tensor: &Tensor) -> String {
    let text = type_text(tensor.dtype, &tensor.shape);
    match tensor.check() {
        Ok(_) => text,
        Err(_) => format!("{text} with {} bytes", tensor.bytes.len()),
    }
}

/// The least value of an input. What nothing but the choice of experts reads may be -1, a choice that goes nowhere, without being
/// declared so.
fn lowest(graph: &Graph, value: Value) -> i64 {
    let declared = graph.node(value.node).input.lowest();
    let users = graph.users(value);
    let drops = users.iter().all(|user| {
        let operands = graph.operands(*user).into_iter().enumerate();
        let mut read = operands.filter(|(_, operand)| *operand == value);
        read.all(|(place, _)| graph.node(*user).op.takes_no_choice(place))
    });
    match !users.is_empty() && drops {
        true => declared.min(-1),
        false => declared,
    }
}

fn check_bound(name: &str, tensor: &Tensor, (low, bound): (i64, i64)) -> Result<(), DataError> {
    if tensor.dtype.is_float() {
        return Ok(());
    }
    let values = tensor.to_i64();
    match values.iter().position(|v| *v < low || *v >= bound) {
        Some(index) => Err(DataError::OutOfBound {
            tensor: name.to_owned(),
            index,
            value: values[index],
            low,
            bound,
        }),
        None => Ok(()),
    }
}
