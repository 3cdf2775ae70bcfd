//! Tensors in host memory: values, files, generated inputs and comparisons.

use indexmap::IndexMap;
use tilewright_ir::DType;

/// A dense row-major tensor, little-endian bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub dtype: DType,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// Tensors by name. Scalars are rank 0.
pub type Tensors = IndexMap<String, Tensor>;
