//! The types of values: element type, sizes, and which rows exist.

use crate::dtype::DType;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The largest size of one dimension.
pub const MAX_DIM: usize = 1 << 31;

/// One dimension: its size, and the named size it came from, if any.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Dim {
    pub size: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub axis: Option<String>,
    /// The named size that it is a multiple of, when it was written as so many blocks of it, `E * R`: rows of each group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<Block>,
}

/// A named size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    pub size: usize,
    pub axis: String,
}

impl PartialEq for Dim {
    /// Two dimensions agree when their sizes do; axes are names for people and schedules.
    fn eq(&self, other: &Self) -> bool {
        self.size == other.size
    }
}

impl Dim {
    /// A dimension of a size, without a name.
    pub fn new(size: usize) -> Self {
        Dim {
            size,
            axis: None,
            block: None,
        }
    }

    /// A dimension of a size on an axis.
    pub fn named(size: usize, axis: impl Into<String>) -> Self {
        Dim {
            size,
            axis: Some(axis.into()),
            block: None,
        }
    }

    /// One of so many equal parts of the dimension; it has a name if it is a block.
    pub fn part(&self, parts: usize) -> Self {
        let size = self.size / parts.max(1);
        match &self.block {
            Some(block) if block.size == size => Dim::named(size, block.axis.clone()),
            _ if parts == 1 => self.clone(),
            _ => Dim::new(size),
        }
    }
}

/// Groups of rows of which only the first few exist: group g of a `[groups * R, C]` value has `counts[g]` rows, at most R.
/// Rows beyond the count do not exist: nobody computes, stores, compares or reads them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ragged {
    pub groups: usize,
    /// The name of the i32 `[groups, 1]` value that holds how many rows each group has.
    pub counts: String,
}

/// The type of a value: element type and shape (rank 0, 1 or 2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Type {
    pub dtype: DType,
    pub shape: Vec<Dim>,
    /// `None`: every row exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ragged: Option<Ragged>,
}

impl Type {
    /// A type with these dimensions.
    pub fn new(dtype: DType, shape: impl Into<Vec<Dim>>) -> Self {
        Type {
            dtype,
            shape: shape.into(),
            ragged: None,
        }
    }

    /// The same type with rows that exist or not.
    pub fn with_ragged(self, ragged: Option<Ragged>) -> Self {
        Type { ragged, ..self }
    }

    /// The sizes of the dimensions.
    pub fn sizes(&self) -> Vec<usize> {
        self.shape.iter().map(|d| d.size).collect()
    }

    /// The value as a matrix: a vector `[C]` is one row, a scalar is 1 x 1.
    pub fn matrix(&self) -> (usize, usize) {
        match self.shape.as_slice() {
            [] => (1, 1),
            [c] => (1, c.size),
            [r, c] => (r.size, c.size),
            more => (
                more[..more.len() - 1].iter().map(|d| d.size).product(),
                more[more.len() - 1].size,
            ),
        }
    }

    /// How many elements there are; one of a scalar.
    pub fn elements(&self) -> usize {
        self.shape.iter().map(|d| d.size).product()
    }

    /// Bytes of all elements.
    pub fn bytes(&self) -> usize {
        self.elements() * self.dtype.bytes()
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.dtype)?;
        if !self.shape.is_empty() {
            let dims: Vec<String> = self.shape.iter().map(|d| d.size.to_string()).collect();
            write!(f, "[{}]", dims.join(", "))?;
        }
        if let Some(ragged) = &self.ragged {
            write!(f, " ragged {}", ragged.counts)?;
        }
        Ok(())
    }
}
