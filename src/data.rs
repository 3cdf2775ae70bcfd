//! Inputs and expected outputs of a run.

use crate::error::{Error, Result};
use indexmap::IndexMap;
use std::path::{Path, PathBuf};
use tilewright_backends::data::{
    self, DataError, Scalar, Tensor, Tensors, check_inputs, expected_of, inputs_of,
};
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{Graph, Value};

/// Bytes that all values of a graph, on all ranks, may take in a run; each is held a few times.
const MAX_BYTES: u128 = 4 << 30;

/// What a run computes on, and what it should come to.
#[derive(Debug, Clone)]
pub struct Data {
    /// Of each rank, checked against the graph, in its order.
    pub inputs: Vec<Tensors>,
    /// Outputs to compare with, beside the interpreter's.
    pub expected: Option<Expected>,
}

/// Expected outputs, by the graph's names.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The file that they come from.
    pub path: PathBuf,
    /// Of each rank.
    pub ranks: Vec<Tensors>,
}

impl Data {
    /// The inputs of each rank, without expectations.
    pub fn new(inputs: Vec<Tensors>) -> Self {
        Data {
            inputs,
            expected: None,
        }
    }

    /// Inputs that are generated, without expectations: of the first rank from `seed`, of each other one from the next number.
    ///
    /// # Errors
    ///
    /// A graph that is too large to run.
    pub fn generated(graph: &Graph, seed: u64) -> Result<Self> {
        let of_rank = |rank: usize| {
            let source = Source::Seed(seed.wrapping_add(rank as u64));
            inputs(graph, &source, &IndexMap::new())
        };
        Ok(Data::new(
            (0..graph.ranks()).map(of_rank).collect::<Result<_>>()?,
        ))
    }
}

/// One rank's part of tensors that have the ranks as their first dimension; what has no dimension is everybody's.
///
/// # Errors
///
/// A tensor whose first dimension is not the number of ranks.
pub fn of_rank(all: &Tensors, rank: usize, ranks: usize) -> Result<Tensors> {
    let part = |(name, t): (&String, &Tensor)| match t.shape.split_first() {
        None => Ok((name.clone(), t.clone())),
        Some((first, shape)) if *first == ranks => {
            let bytes = t.bytes.len() / ranks;
            let own = t.bytes[rank * bytes..(rank + 1) * bytes].to_vec();
            Ok((name.clone(), Tensor::new(t.dtype, shape, own)?))
        }
        Some((first, _)) => Err(Error::NotByRank {
            name: name.clone(),
            first: *first,
            ranks,
        }
        .into()),
    };
    all.iter().map(part).collect()
}

/// Tensors in the graph's shapes, where a dimension of the graph is one of the file or some neighbouring ones of it: `[E, N, K]`
/// is `[E * N, K]`. Others keep their shape, with which they are refused.
pub fn reshaped(
    graph: &Graph,
    values: impl Iterator<Item = Value>,
    mut tensors: Tensors,
) -> Tensors {
    for v in values {
        let (name, ty) = (graph.name(v), graph.ty(v));
        if let Some(t) = tensors.get_mut(name)
            && merges_to(&t.shape, &ty.sizes())
        {
            t.shape = ty.sizes();
        }
    }
    tensors
}

/// Whether a shape with fewer dimensions of more than one element comes of joining neighbours.
fn merges_to(from: &[usize], to: &[usize]) -> bool {
    let cuts = |shape: &[usize]| -> Vec<usize> {
        let products = shape.iter().scan(1usize, |product, size| {
            *product = product.saturating_mul(*size);
            Some(*product)
        });
        products.collect()
    };
    let (from, to) = (cuts(from), cuts(to));
    from.last().unwrap_or(&1) == to.last().unwrap_or(&1)
        && to.iter().all(|cut| *cut == 1 || from.contains(cut))
}

/// Where inputs come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Generated.
    Seed(u64),
    /// Tensors by name, without prefix.
    Given(Tensors),
}

/// The tensors of a file by name, inputs without their prefix.
///
/// # Errors
///
/// A path that is no readable safetensors file.
pub fn load_inputs(path: &Path) -> Result<Tensors> {
    Ok(inputs_of(&data::load(path)?))
}

/// Inputs of a graph, with the given values of its scalars.
///
/// # Errors
///
/// Scalars that are unknown or out of range, inputs that are missing or wrong, and a graph that is too large to run.
pub fn inputs(graph: &Graph, source: &Source, scalars: &IndexMap<String, i64>) -> Result<Tensors> {
    check_size(graph)?;
    check_scalars(graph, scalars)?;
    match source {
        Source::Seed(seed) => Ok(data::generate(graph, *seed, scalars)?),
        Source::Given(tensors) => {
            let mut tensors = reshaped(graph, graph.inputs().into_iter(), tensors.clone());
            for (name, value) in scalars {
                let dtype = graph.find(name).map_or(DType::I32, |v| graph.ty(v).dtype);
                tensors.insert(name.clone(), Tensor::scalar(dtype, Scalar::Int(*value)));
            }
            Ok(check_inputs(graph, &tensors)?)
        }
    }
}

/// Expected outputs from a file; names with or without `out.`.
///
/// # Errors
///
/// An unreadable file, a prefixed name that is no output, and a file without any output.
pub fn load_expected(path: &Path, graph: &Graph) -> Result<Expected> {
    let all = data::load(path)?;
    let names: Vec<&str> = graph.outputs.iter().map(|v| graph.name(*v)).collect();
    let prefixed = expected_of(&all);
    if let Some(name) = prefixed.keys().find(|n| !names.contains(&n.as_str())) {
        return Err(Error::UnknownOutput {
            path: path.into(),
            name: name.clone(),
            known: names.join(", "),
        }
        .into());
    }
    let found = |n: &&str| Some((n.to_string(), prefixed.get(*n).or(all.get(*n))?.clone()));
    let tensors: Tensors = names.iter().filter_map(found).collect();
    if tensors.is_empty() {
        return Err(Error::NothingExpected {
            path: path.into(),
            known: names.join(", "),
        }
        .into());
    }
    let outputs = || graph.outputs.iter().copied();
    let ranks = match graph.ranks() {
        1 => vec![reshaped(graph, outputs(), tensors)],
        ranks => (0..ranks)
            .map(|rank| {
                let own = of_rank(&tensors, rank, ranks)?;
                Ok(reshaped(graph, outputs(), own))
            })
            .collect::<Result<_>>()?,
    };
    Ok(Expected {
        path: path.into(),
        ranks,
    })
}

/// Checks that all values of a graph fit in memory.
fn check_size(graph: &Graph) -> Result<()> {
    let bytes = |v: &Value| graph.ty(*v).bytes() as u128;
    let need: u128 = graph.values().map(|v| bytes(&v)).sum::<u128>() * graph.ranks() as u128;
    if need <= MAX_BYTES {
        return Ok(());
    }
    let largest = graph.values().max_by_key(bytes);
    let axis = largest
        .and_then(|v| graph.ty(v).shape.iter().max_by_key(|d| d.size))
        .and_then(|d| d.axis.clone());
    Err(Error::TooMuchData {
        need,
        limit: MAX_BYTES,
        largest: axis.unwrap_or_else(|| "NAME".into()),
    }
    .into())
}

/// Checks the values of scalar inputs that were given on the command line.
///
/// # Errors
///
/// A name that is no scalar integer input, or a value out of its bound.
pub fn check_scalars(graph: &Graph, scalars: &IndexMap<String, i64>) -> Result<()> {
    let known: Vec<Value> = graph
        .inputs()
        .into_iter()
        .filter(|v| graph.ty(*v).shape.is_empty() && !graph.ty(*v).dtype.is_float())
        .collect();
    for (name, value) in scalars {
        let Some(v) = known.iter().find(|v| graph.name(**v) == name) else {
            return Err(DataError::UnknownScalar {
                name: name.clone(),
                known: known.iter().map(|v| graph.name(*v).into()).collect(),
            }
            .into());
        };
        let bound = graph.node(v.node).input.bound;
        let high = bound.map_or(i64::from(i32::MAX), |b| b - 1);
        if !(0..=high).contains(value) {
            return Err(DataError::ScalarRange {
                name: name.clone(),
                value: *value,
                low: 0,
                high,
            }
            .into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::merges_to;

    #[test]
    fn neighbouring_dimensions_become_one() {
        assert!(merges_to(&[4, 16, 8], &[64, 8]));
        assert!(merges_to(&[8, 2, 4], &[8, 8]));
        assert!(merges_to(&[8, 1], &[8]));
        assert!(merges_to(&[1], &[]));
        assert!(merges_to(&[64], &[1, 64]));
        assert!(!merges_to(&[64, 8], &[8, 64]));
        assert!(!merges_to(&[512], &[8, 64]));
        assert!(!merges_to(&[8, 8], &[8, 4]));
    }
}
