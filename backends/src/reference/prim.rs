//! The table of primitives.

use super::{ReferenceError, elementwise, floats, hyper, index, matmul, reduce, result_types};
use crate::data::{Tensor, convert};
use tilewright_ir::graph::{Op, Prim, Type};

/// The result of one primitive for operands of any shape that it takes.
///
/// # Errors
///
/// [`ReferenceError::Graph`] when the operands are not what the primitive takes, [`ReferenceError::Index`] and
/// [`ReferenceError::Count`] when what they hold is out of range.
pub fn eval_prim(prim: &Prim, operands: &[Tensor]) -> Result<Tensor, ReferenceError> {
    let types = result_types(&Op::Prim(*prim), operands)?;
    let operands: Vec<&Tensor> = operands.iter().collect();
    // A primitive has one result.
    compute(prim, &operands, &types[0], None)
}

/// The result of a primitive whose operands have the types that it takes; `counts` are the rows of each group of the first.
pub(super) fn compute(
    prim: &Prim,
    operands: &[&Tensor],
    ty: &Type,
    counts: Option<&[usize]>,
) -> Result<Tensor, ReferenceError> {
    // Inference has checked the number of operands.
    let x = operands[0];
    match *prim {
        Prim::Cast { to, round } => Ok(convert(x, to, round)),
        Prim::Unary(op) => elementwise::unary(op, x, ty),
        Prim::Scalar { op, value } => elementwise::scalar(op, x, value, ty),
        Prim::ScalarLeft { op, value } => elementwise::scalar_left(op, value, x, ty),
        Prim::Binary(op) => elementwise::binary(op, x, operands[1], ty),
        Prim::RowBinary(op) => elementwise::row_binary(op, x, operands[1], ty),
        Prim::ColBinary(op) => elementwise::col_binary(op, x, operands[1], ty),
        Prim::GroupColBinary(op) => {
            elementwise::group_col_binary(op, x, operands[1], ty, groups(counts))
        }
        Prim::RowReduce(op) => reduce::row_reduce(op, x, ty),
        Prim::MatmulNt => matmul::matmul_nt(x, operands[1], ty),
        Prim::GroupedMatmulNt => {
            matmul::grouped_matmul_nt(x, operands[1], ty, counts.unwrap_or_default())
        }
        Prim::SliceCols { from, to } => index::slice_cols(x, from, to, ty),
        Prim::ConcatCols => index::concat_cols(x, operands[1], ty),
        Prim::Transpose => index::transpose(x, ty),
        Prim::Reshape { .. } => Ok(Tensor::new(ty.dtype, ty.sizes(), x.bytes.clone())?),
        Prim::RepeatCols { .. } => elementwise::repeat_cols(x, ty),
        Prim::Sinkhorn { n, iterations, eps } => {
            let values = x.to_f32();
            Ok(floats(ty, &hyper::sinkhorn(&values, n, iterations, eps))?)
        }
        Prim::PadCols { cols, value } => index::pad_cols(x, cols, value),
        Prim::TopK { k } => index::top_k(x, k, ty),
        Prim::Cumsum => reduce::cumsum(x, ty),
        Prim::RowProd => reduce::row_prod(x, ty),
        Prim::GatherCols => index::gather_cols(x, operands[1], ty),
        Prim::GatherRows => index::gather_rows(x, operands[1]),
        Prim::MaskRows => index::mask_rows(x, operands[1]),
    }
}

/// How many groups there are; what is not ragged is one.
fn groups(counts: Option<&[usize]>) -> usize {
    counts.map_or(1, <[usize]>::len)
}
