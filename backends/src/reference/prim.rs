//! The table of primitives.

use super::{ReferenceError, elementwise, index, matmul, reduce, result_types};
use crate::data::{Tensor, convert};
use tilewright_ir::graph::{Op, Prim};

/// The result of one primitive for operands of any shape that it takes.
///
/// # Errors
///
/// [`ReferenceError::Graph`] when the operands are not what the primitive takes, [`ReferenceError::Index`] and
/// [`ReferenceError::Count`] when what they hold is out of range.
pub fn eval_prim(prim: &Prim, operands: &[Tensor]) -> Result<Tensor, ReferenceError> {
    if let Prim::Comm(comm) = prim {
        return Err(ReferenceError::Alone { op: comm.name() });
    }
    let types = result_types(&Op::Prim(*prim), operands)?;
    // Inference has checked the number of operands, and a primitive has one result.
    let ty = &types[0];
    let x = &operands[0];
    match *prim {
        Prim::Cast { to, round } => Ok(convert(x, to, round)),
        Prim::Unary(op) => elementwise::unary(op, x, ty),
        Prim::Scalar { op, value } => elementwise::scalar(op, x, value, ty),
        Prim::ScalarLeft { op, value } => elementwise::scalar_left(op, value, x, ty),
        Prim::Binary(op) => elementwise::binary(op, x, &operands[1], ty),
        Prim::RowBinary(op) => elementwise::row_binary(op, x, &operands[1], ty),
        Prim::ColBinary(op) => elementwise::col_binary(op, x, &operands[1], ty),
        Prim::RowReduce(op) => reduce::row_reduce(op, x, ty),
        Prim::MatmulNt => matmul::matmul_nt(x, &operands[1], ty),
        Prim::PadCols { cols, value } => index::pad_cols(x, cols, value),
        Prim::TopK { k } => index::top_k(x, k, ty),
        Prim::GatherCols => index::gather_cols(x, &operands[1], ty),
        Prim::GatherRows => index::gather_rows(x, &operands[1]),
        Prim::MaskRows => index::mask_rows(x, &operands[1]),
        Prim::Comm(_) => unreachable!("refused above"),
    }
}
