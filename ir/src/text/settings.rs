//! Sizes from data: what params must be, when the tensors are given.

use super::LowerError;
use super::ast::{ExprKind, File};
use indexmap::IndexMap;

/// The settings under which a file fits the tensors that a user has: the explicit ones, and for each input that `shapes` names,
/// the param of each dimension that is just a param. Tensors that the file does not know are left alone.
///
/// # Errors
///
/// [`LowerError::ConflictingSetting`] when two tensors, or a tensor and an explicit setting, ask for different values;
/// [`LowerError::TensorShape`] when a tensor has another rank than its input.
pub fn infer_settings(
    file: &File,
    explicit: &IndexMap<String, i64>,
    shapes: &IndexMap<String, Vec<usize>>,
) -> Result<IndexMap<String, i64>, LowerError> {
    let mut settings = explicit.clone();
    let mut sources: IndexMap<String, String> = explicit
        .keys()
        .map(|k| (k.clone(), "set explicitly".to_string()))
        .collect();
    for input in file.inputs() {
        let Some(shape) = shapes.get(&input.name.name) else {
            continue;
        };
        if shape.len() != input.shape.len() {
            let dims: Vec<String> = input.shape.iter().map(super::print_expr).collect();
            return Err(LowerError::TensorShape {
                name: input.name.name.clone(),
                found: shape.clone(),
                declared: format!("[{}]", dims.join(", ")),
                span: input.name.span.into(),
            });
        }
        for (dim, size) in input.shape.iter().zip(shape) {
            let ExprKind::Name(name) = &dim.kind else {
                continue;
            };
            let value = i64::try_from(*size).unwrap_or(i64::MAX);
            let source = format!("a dimension of tensor `{}`", input.name);
            match settings.get(name) {
                Some(first) if *first != value => {
                    return Err(LowerError::ConflictingSetting {
                        name: name.clone(),
                        first: *first,
                        first_source: sources.get(name).cloned().unwrap_or_default(),
                        second: value,
                        second_source: source,
                    });
                }
                Some(_) => {}
                None => {
                    settings.insert(name.clone(), value);
                    sources.insert(name.clone(), source);
                }
            }
        }
    }
    Ok(settings)
}
