//! Instructions of the vector unit.

use super::row::Row;
use super::{elementwise, index, rows, sort};
use crate::dtype::Round;
use crate::op::{self, Binary, Reduce, Unary};
use serde::{Deserialize, Serialize};

/// An instruction of the vector unit. Operands are named as in [`Instr::Vector`](super::Instr::Vector): `dst`, then `srcs`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VectorOp {
    /// Type conversion.
    Cvt(Round),
    Unary(Unary),
    /// `srcs[0] op value`.
    Scalar(Binary, #[serde(with = "crate::float")] f32),
    Binary(Binary),
    /// `srcs[0] [R, C] op srcs[1] [R, 1]`.
    RowExpand(Binary),
    /// `srcs[0] [R, C] op srcs[1] [1, C]`.
    ColExpand(Binary),
    /// `dst [R, C]`: upper op lower half of `srcs[0] [2 R, C]`, or left op right half of `srcs[0] [R, 2 C]`.
    Halves(Binary),
    /// `[R, C] -> [R, 1]`, with a scratch tile as big as the source.
    RowReduce(Reduce),
    /// All of `dst` becomes the value.
    Fill(#[serde(with = "crate::float")] f32),
    /// Copies the source's valid part into the first rows and columns.
    Copy,
    /// `dst [1, C] = 0, 1, 2, ...` (i32 or u32), by the scalar unit.
    Iota,
    /// Sorts each 32 elements of `srcs[0] [1, C] f32` in descending order, stable; `srcs[1] [1, C] u32` are their indices;
    /// `dst [1, 2 C]` receives (value, index) pairs, 8 bytes each.
    Sort32,
    /// Merges sorted runs of `run` pairs in `srcs[0]`, four (or the last two) at a time, into `dst`.
    MergeSort {
        run: usize,
    },
    /// The indices of the first `dst` columns' pairs of `srcs[0]`, as i32.
    PairIndices,
    /// `dst[0, k] = srcs[0][0, srcs[1][0, k]]`, one row.
    Gather,
}

impl VectorOp {
    /// What the table says of it.
    pub fn row(&self) -> Row {
        match *self {
            VectorOp::Cvt(round) => elementwise::cvt(round),
            VectorOp::Unary(f) => elementwise::unary(f),
            VectorOp::Scalar(f, value) => elementwise::scalar(f, value),
            VectorOp::Binary(f) => elementwise::binary(f),
            VectorOp::RowExpand(f) => elementwise::row_expand(f),
            VectorOp::ColExpand(f) => elementwise::col_expand(f),
            VectorOp::Halves(f) => rows::halves(f),
            VectorOp::RowReduce(f) => rows::reduce(f),
            VectorOp::Fill(value) => elementwise::fill(value),
            VectorOp::Copy => elementwise::copy(),
            VectorOp::Iota => index::iota(),
            VectorOp::Sort32 => sort::sort(),
            VectorOp::MergeSort { run } => sort::merge(run),
            VectorOp::PairIndices => sort::pair_indices(),
            VectorOp::Gather => index::gather(),
        }
    }

    /// The name of the ISA's instruction.
    pub fn name(&self) -> &'static str {
        self.row().isa
    }

    /// Every instruction, each function and rounding mode once; where a constant is an operand, it is this one, and runs have
    /// so many pairs. The match has no wildcard: what is new is missing here.
    pub fn all(value: f32, run: usize) -> Vec<VectorOp> {
        use VectorOp::*;
        let mut all = vec![];
        let mut next = Some(Cvt(Round::Rint));
        while let Some(this) = next {
            let (family, then): (Vec<VectorOp>, _) = match this {
                Cvt(_) => (Round::ALL.map(Cvt).into(), Some(Unary(op::Unary::Abs))),
                Unary(_) => (
                    op::Unary::ALL.map(Unary).into(),
                    Some(Scalar(op::Binary::Add, value)),
                ),
                Scalar(..) => (
                    op::Binary::ALL.map(|f| Scalar(f, value)).into(),
                    Some(Binary(op::Binary::Add)),
                ),
                Binary(_) => (
                    op::Binary::ALL.map(Binary).into(),
                    Some(RowExpand(op::Binary::Add)),
                ),
                RowExpand(_) => (
                    op::Binary::ALL.map(RowExpand).into(),
                    Some(ColExpand(op::Binary::Add)),
                ),
                ColExpand(_) => (
                    op::Binary::ALL.map(ColExpand).into(),
                    Some(Halves(op::Binary::Add)),
                ),
                Halves(_) => (
                    op::Binary::ALL.map(Halves).into(),
                    Some(RowReduce(op::Reduce::Sum)),
                ),
                RowReduce(_) => (op::Reduce::ALL.map(RowReduce).into(), Some(Fill(value))),
                Fill(_) => (vec![this], Some(Copy)),
                Copy => (vec![this], Some(Iota)),
                Iota => (vec![this], Some(Sort32)),
                Sort32 => (vec![this], Some(MergeSort { run })),
                MergeSort { .. } => (vec![this], Some(PairIndices)),
                PairIndices => (vec![this], Some(Gather)),
                Gather => (vec![this], None),
            };
            all.extend(family);
            next = then;
        }
        all
    }
}
