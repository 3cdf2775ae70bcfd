//! Rows that exist: see [`Ragged`].

use super::{DataError, Tensor, Tensors};
#[cfg(doc)]
use tilewright_ir::graph::Ragged;
use tilewright_ir::graph::Type;

/// How many rows each group of a ragged value has, out of the tensor that says so; `None` where every row exists.
///
/// # Errors
///
/// [`DataError::Missing`] without the counts, [`DataError::RowCount`] for a count below 0 or above a group's rows.
pub fn row_counts(
    name: &str,
    ty: &Type,
    tensors: &Tensors,
) -> Result<Option<Vec<usize>>, DataError> {
    let Some(ragged) = &ty.ragged else {
        return Ok(None);
    };
    let limit = ty.matrix().0 / ragged.groups.max(1);
    let Some(counts) = tensors.get(&ragged.counts) else {
        return Err(DataError::Missing {
            tensor: ragged.counts.clone(),
            expected: format!("i32[{}, 1]", ragged.groups),
            present: tensors.keys().cloned().collect(),
        });
    };
    let counts = counts.to_i64().into_iter().enumerate();
    counts
        .map(|(group, count)| {
            let fits = usize::try_from(count).ok().filter(|n| *n <= limit);
            fits.ok_or_else(|| DataError::RowCount {
                tensor: name.to_owned(),
                counts: ragged.counts.clone(),
                group,
                count,
                limit,
            })
        })
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Sets rows that do not exist to zero, so that whatever they hold cannot be seen.
pub fn clear_missing(tensor: &mut Tensor, counts: &[usize]) {
    let rows = tensor.matrix().0 / counts.len().max(1);
    let width = tensor.bytes.len() / (rows * counts.len()).max(1);
    for (group, count) in counts.iter().enumerate() {
        let first = (group * rows + count.min(&rows)) * width;
        tensor.bytes[first..(group + 1) * rows * width].fill(0);
    }
}
