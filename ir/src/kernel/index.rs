//! Indices: affine expressions of grid coordinates, loop counters and registers, and rectangles of global memory.

use super::{GlobalTensor, LoopId, RegId};
use serde::{Deserialize, Serialize};

/// A variable of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Var {
    /// Coordinate on a grid axis.
    Grid(usize),
    /// Counter of a loop, from 0.
    Loop(LoopId),
    /// Index into [`Program::scalars`](super::Program::scalars).
    Scalar(usize),
    /// A register that an instruction of the scalar unit filled.
    Reg(RegId),
    /// The number of the rank that runs the kernel, from 0.
    Rank,
    /// The number of the layer run, from 1.
    Epoch,
    /// In the vector part of a mixed kernel: which of the block's vector cores it is, from 0.
    Sub,
    /// The counter of a loop modulo a number: which slot of a ring in global memory a trip uses.
    Turn(LoopId, usize),
}

/// `base + sum of coefficient * variable`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Expr {
    pub base: i64,
    /// Sorted by variable, no zero coefficients.
    pub terms: Vec<(Var, i64)>,
}

impl Expr {
    /// An index that is the same in every block and trip.
    pub fn constant(base: i64) -> Self {
        Expr {
            base,
            terms: vec![],
        }
    }

    /// An index that is a multiple of a variable.
    pub fn var(v: Var, coefficient: i64) -> Self {
        Expr::default().plus(v, coefficient)
    }

    /// `self + coefficient * v`.
    pub fn plus(mut self, v: Var, coefficient: i64) -> Self {
        match self.terms.binary_search_by_key(&v, |t| t.0) {
            Ok(i) => {
                self.terms[i].1 += coefficient;
                if self.terms[i].1 == 0 {
                    self.terms.remove(i);
                }
            }
            Err(i) if coefficient != 0 => self.terms.insert(i, (v, coefficient)),
            Err(_) => {}
        }
        self
    }

    /// `self + constant`.
    pub fn plus_constant(mut self, constant: i64) -> Self {
        self.base += constant;
        self
    }

    /// `self + other`.
    pub fn added(mut self, other: &Expr) -> Self {
        self.base += other.base;
        for (v, c) in &other.terms {
            self = self.plus(*v, *c);
        }
        self
    }

    /// `self - other`.
    pub fn minus(mut self, other: &Expr) -> Self {
        self.base -= other.base;
        for (v, c) in &other.terms {
            self = self.plus(*v, -c);
        }
        self
    }

    /// The value of the index, where variables are what `lookup` says.
    pub fn eval(&self, lookup: impl Fn(Var) -> i64) -> i64 {
        self.base + self.terms.iter().map(|(v, c)| c * lookup(*v)).sum::<i64>()
    }
}

/// A rectangle of a global tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GlobalRef {
    /// Name in [`Program::tensors`](super::Program::tensors).
    pub tensor: String,
    pub row: Expr,
    pub col: Expr,
    pub rows: usize,
    pub cols: usize,
    /// The rank whose instance of a window it is; `None` is the rank's own, as for all other tensors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Expr>,
    /// Rows of the tensor from one row of the rectangle to the next; only a load has more than 1.
    #[serde(default = "adjacent", skip_serializing_if = "is_adjacent")]
    pub step: usize,
    /// Rows and columns that the tensor is read as, where not as its own: the same elements in the same order. Only a load has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<(usize, usize)>,
}

fn adjacent() -> usize {
    1
}

fn is_adjacent(step: &usize) -> bool {
    *step == 1
}

impl GlobalRef {
    /// Rows and columns of the matrix that it is a rectangle of.
    pub fn matrix(&self, tensor: &GlobalTensor) -> (usize, usize) {
        self.view.unwrap_or_else(|| tensor.matrix())
    }

    /// Rows of the tensor from the first to the last of the rectangle.
    pub fn height(&self) -> usize {
        self.rows.saturating_sub(1).saturating_mul(self.step) + self.rows.min(1)
    }
}
