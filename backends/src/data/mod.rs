//! Tensors in host memory: values, files, generated inputs and comparisons.
//!
//! * [`Tensor`], [`Tensors`]: dense values by name.
//! * [`convert`](mod@convert): what a cast does to a value, for everything that executes.
//! * [`arith`]: what an element-wise operation does to a value, likewise.
//! * [`files`]: safetensors files.
//! * [`generate`](mod@generate): inputs for a graph from a seed, and [`check_inputs`] for those that a caller gives.
//! * [`compare`](mod@compare): how far two results are apart, and whether that is too far.
//!
//! Nothing here knows operations of a graph or instructions of a kernel: see [`crate::reference`] and [`crate::sim`].

pub mod arith;
mod check;
pub mod compare;
pub mod convert;
mod error;
pub mod files;
pub mod generate;
pub mod ragged;

pub use check::check_inputs;
pub use compare::{Comparison, Tolerance, compare, compare_routing};
pub use convert::{Scalar, cast_scalar, convert};
pub use error::DataError;
pub use files::{expected_of, inputs_of, load, save};
pub use generate::generate;
pub use ragged::{clear_missing, row_counts};

use indexmap::IndexMap;
use tilewright_ir::DType;
use tilewright_ir::graph::{Dim, Type};

/// A dense row-major tensor, little-endian bytes.
///
/// The constructors keep `bytes.len()` at elements times element size; [`Tensor::new`] checks it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub dtype: DType,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// Tensors by name. Scalars are rank 0.
pub type Tensors = IndexMap<String, Tensor>;

impl Tensor {
    /// A tensor from its bytes; an error when their number is not what the shape needs.
    pub fn new(
        dtype: DType,
        shape: impl Into<Vec<usize>>,
        bytes: Vec<u8>,
    ) -> Result<Tensor, DataError> {
        let tensor = Tensor {
            dtype,
            shape: shape.into(),
            bytes,
        };
        tensor.check()?;
        Ok(tensor)
    }

    /// Whether there are as many bytes as the shape needs; fields that were set one by one may break it.
    ///
    /// # Errors
    ///
    /// [`DataError::Bytes`].
    pub fn check(&self) -> Result<(), DataError> {
        if bytes_of(self.dtype, &self.shape) == Some(self.bytes.len()) {
            return Ok(());
        }
        Err(DataError::Bytes {
            dtype: self.dtype,
            shape: self.shape.clone(),
            found: self.bytes.len(),
        })
    }

    /// The tensor's type, with dimensions that name no axis.
    pub fn ty(&self) -> Type {
        let dims: Vec<Dim> = self.shape.iter().map(|size| Dim::new(*size)).collect();
        Type::new(self.dtype, dims)
    }

    /// All zeros. The shape is the caller's word: it must fit in memory.
    pub fn zeros(dtype: DType, shape: &[usize]) -> Tensor {
        let elements: usize = shape.iter().product();
        Tensor {
            dtype,
            shape: shape.to_vec(),
            bytes: vec![0; elements * dtype.bytes()],
        }
    }

    /// All zeros, of a graph's type.
    pub fn zeros_of(ty: &Type) -> Tensor {
        Tensor::zeros(ty.dtype, &ty.sizes())
    }

    /// From f32 values, rounded to nearest even (and saturated, where `dtype` is an integer type).
    pub fn from_f32(dtype: DType, shape: &[usize], values: &[f32]) -> Result<Tensor, DataError> {
        Tensor::from_scalars(dtype, shape, values.iter().map(|x| Scalar::Float(*x)))
    }

    /// From integers, saturated to `dtype`, or rounded to nearest even where it is a float type.
    pub fn from_i64(dtype: DType, shape: &[usize], values: &[i64]) -> Result<Tensor, DataError> {
        Tensor::from_scalars(dtype, shape, values.iter().map(|x| Scalar::Int(*x)))
    }

    /// A rank-0 tensor.
    pub fn scalar(dtype: DType, value: Scalar) -> Tensor {
        let mut bytes = vec![0; dtype.bytes()];
        convert::write(&mut bytes, dtype, value);
        Tensor {
            dtype,
            shape: vec![],
            bytes,
        }
    }

    fn from_scalars(
        dtype: DType,
        shape: &[usize],
        values: impl ExactSizeIterator<Item = Scalar>,
    ) -> Result<Tensor, DataError> {
        let mut bytes = vec![0; values.len() * dtype.bytes()];
        for (slot, value) in bytes.chunks_exact_mut(dtype.bytes()).zip(values) {
            convert::write(slot, dtype, value);
        }
        Tensor::new(dtype, shape, bytes)
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.dtype.bytes()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// As a matrix of (rows, columns): a vector is one row, a scalar 1 x 1, leading dimensions are joined.
    pub fn matrix(&self) -> (usize, usize) {
        match self.shape.as_slice() {
            [] => (1, 1),
            [.., columns] => (
                self.shape[..self.shape.len() - 1].iter().product(),
                *columns,
            ),
        }
    }

    /// Whether dtype and shape are those of a graph's type, and the bytes are all there.
    pub fn is_of(&self, ty: &Type) -> bool {
        self.dtype == ty.dtype && self.shape == ty.sizes() && self.check().is_ok()
    }

    /// One element by its row-major index.
    pub fn get(&self, index: usize) -> Result<Scalar, DataError> {
        let size = self.dtype.bytes();
        match self.bytes.chunks_exact(size).nth(index) {
            Some(bytes) => Ok(convert::read(bytes, self.dtype)),
            None => Err(self.beyond(index)),
        }
    }

    /// Sets one element, rounded to nearest even and saturated to the tensor's type.
    pub fn set(&mut self, index: usize, value: Scalar) -> Result<(), DataError> {
        let (size, dtype) = (self.dtype.bytes(), self.dtype);
        match self.bytes.chunks_exact_mut(size).nth(index) {
            Some(bytes) => convert::write(bytes, dtype, value),
            None => return Err(self.beyond(index)),
        }
        Ok(())
    }

    fn beyond(&self, index: usize) -> DataError {
        DataError::Beyond {
            index,
            elements: self.len(),
        }
    }

    /// The elements in row-major order.
    pub fn scalars(&self) -> impl ExactSizeIterator<Item = Scalar> + '_ {
        self.bytes
            .chunks_exact(self.dtype.bytes())
            .map(|bytes| convert::read(bytes, self.dtype))
    }

    /// The elements as f32: exact for floats, rounded to nearest for integers above 2^24.
    pub fn to_f32(&self) -> Vec<f32> {
        self.scalars()
            .map(|value| match value {
                Scalar::Float(x) => x,
                Scalar::Int(x) => x as f32,
            })
            .collect()
    }

    /// The elements as f64: exact for all but integers above 2^53.
    pub fn to_f64(&self) -> Vec<f64> {
        self.scalars().map(Scalar::as_f64).collect()
    }

    /// The elements as i64: exact for integers; floats round to nearest even and saturate, NaN is 0.
    pub fn to_i64(&self) -> Vec<i64> {
        self.scalars()
            .map(|value| match value {
                Scalar::Float(x) => f64::from(x).round_ties_even() as i64,
                Scalar::Int(x) => x,
            })
            .collect()
    }
}

/// The most bytes that one computed or generated tensor may take: 16 GiB. More is an error before it is an allocation.
pub const MAX_BYTES: usize = 1 << 34;

/// Whether a tensor of a type may be made.
///
/// # Errors
///
/// [`DataError::TooLarge`] with the name given.
pub fn check_size(name: &str, ty: &Type) -> Result<(), DataError> {
    match bytes_of(ty.dtype, &ty.sizes()) {
        Some(bytes) if bytes <= MAX_BYTES => Ok(()),
        _ => Err(DataError::TooLarge {
            tensor: name.to_owned(),
            found: ty.to_string(),
            limit: MAX_BYTES,
        }),
    }
}

/// The bytes of a tensor; `None` when they overflow.
fn bytes_of(dtype: DType, shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(dtype.bytes(), |n, d| n.checked_mul(*d))
}

/// A tensor's type in words, as [`Type`] prints it: `bf16[8, 4096]`.
pub(crate) fn type_text(dtype: DType, shape: &[usize]) -> String {
    if shape.is_empty() {
        return dtype.to_string();
    }
    let dims: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("{dtype}[{}]", dims.join(", "))
}
