//! Tensors in safetensors files.
//!
//! A file may hold inputs and expected outputs together, told apart by the prefixes `in.` and `out.`; [`load`] keeps names
//! as they are, and [`inputs_of`] and [`expected_of`] take the two apart. A file is never trusted.

use super::{DataError, Tensor, Tensors};
use indexmap::IndexMap;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::path::Path;
use tilewright_ir::DType;

/// The prefix of an input's name.
pub const INPUT_PREFIX: &str = "in.";
/// The prefix of an expected output's name.
pub const EXPECTED_PREFIX: &str = "out.";

/// What a file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorFile {
    /// Sorted by name.
    pub tensors: Tensors,
    /// The free-form strings of the header, sorted by key.
    pub metadata: IndexMap<String, String>,
}

/// Reads the tensors of a file, sorted by name, names as they are.
///
/// # Errors
///
/// [`DataError::Read`] for a path that is no readable file, [`DataError::Format`] for a damaged or truncated one,
/// [`DataError::UnsupportedType`] for an element type that no [`DType`] is.
pub fn load(path: impl AsRef<Path>) -> Result<Tensors, DataError> {
    Ok(load_with_metadata(path)?.tensors)
}

/// As [`load`], with the header's strings.
pub fn load_with_metadata(path: impl AsRef<Path>) -> Result<TensorFile, DataError> {
    let path = path.as_ref();
    let read = |source| DataError::Read {
        path: path.to_owned(),
        source,
    };
    // A device or pipe may never end.
    if !std::fs::metadata(path).map_err(read)?.is_file() {
        return Err(read(std::io::Error::other("not a regular file")));
    }
    parse(&std::fs::read(path).map_err(read)?, path)
}

/// Reads what is in memory already; `path` is only for errors.
pub fn parse(bytes: &[u8], path: impl AsRef<Path>) -> Result<TensorFile, DataError> {
    let path = path.as_ref();
    let format = |reason: String| DataError::Format {
        path: path.to_owned(),
        reason,
    };
    let (_, header) =
        SafeTensors::read_metadata(bytes).map_err(|error| format(error.to_string()))?;
    let file = SafeTensors::deserialize(bytes).map_err(|error| format(error.to_string()))?;
    let mut found = file.tensors();
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut tensors = Tensors::new();
    for (name, view) in found {
        let Some(dtype) = from_file(view.dtype()) else {
            return Err(DataError::UnsupportedType {
                path: path.to_owned(),
                tensor: name,
                dtype: view.dtype().to_string(),
            });
        };
        let tensor = Tensor::new(dtype, view.shape(), view.data().to_vec())
            .map_err(|error| format(format!("tensor `{name}`: {error}")))?;
        tensors.insert(name, tensor);
    }
    let mut metadata: IndexMap<String, String> = header
        .metadata()
        .iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    metadata.sort_keys();
    Ok(TensorFile { tensors, metadata })
}

/// The bytes of a file of these tensors: the same for the same tensors, whatever their order.
pub fn to_bytes(tensors: &Tensors) -> Result<Vec<u8>, DataError> {
    let views = tensors
        .iter()
        .map(|(name, t)| {
            let view = TensorView::new(to_file(t.dtype), t.shape.clone(), &t.bytes);
            view.map(|view| (name.as_str(), view))
        })
        .collect::<Result<Vec<_>, _>>();
    views
        .and_then(|views| safetensors::serialize(views, None))
        .map_err(|error| DataError::Serialise {
            reason: error.to_string(),
        })
}

/// Writes tensors to a file, names as they are.
pub fn save(path: impl AsRef<Path>, tensors: &Tensors) -> Result<(), DataError> {
    let path = path.as_ref();
    std::fs::write(path, to_bytes(tensors)?).map_err(|source| DataError::Write {
        path: path.to_owned(),
        source,
    })
}

/// The inputs among tensors: names without their `in.`, and names that have neither prefix. A prefixed name wins over a
/// plain one.
pub fn inputs_of(tensors: &Tensors) -> Tensors {
    let mut inputs = with_prefix(tensors, INPUT_PREFIX);
    for (name, tensor) in tensors {
        let plain = !name.starts_with(INPUT_PREFIX) && !name.starts_with(EXPECTED_PREFIX);
        if plain && !inputs.contains_key(name) {
            inputs.insert(name.clone(), tensor.clone());
        }
    }
    inputs
}

/// The expected outputs among tensors: names without their `out.`.
pub fn expected_of(tensors: &Tensors) -> Tensors {
    with_prefix(tensors, EXPECTED_PREFIX)
}

fn with_prefix(tensors: &Tensors, prefix: &str) -> Tensors {
    tensors
        .iter()
        .filter_map(|(name, t)| Some((name.strip_prefix(prefix)?.to_owned(), t.clone())))
        .collect()
}

fn from_file(dtype: Dtype) -> Option<DType> {
    match dtype {
        Dtype::F32 => Some(DType::F32),
        Dtype::BF16 => Some(DType::Bf16),
        Dtype::F16 => Some(DType::F16),
        Dtype::I8 => Some(DType::I8),
        Dtype::I32 => Some(DType::I32),
        Dtype::U32 => Some(DType::U32),
        Dtype::I64 => Some(DType::I64),
        _ => None,
    }
}

fn to_file(dtype: DType) -> Dtype {
    match dtype {
        DType::F32 => Dtype::F32,
        DType::Bf16 => Dtype::BF16,
        DType::F16 => Dtype::F16,
        DType::I8 => Dtype::I8,
        DType::I32 => Dtype::I32,
        DType::U32 => Dtype::U32,
        DType::I64 => Dtype::I64,
    }
}
