//! The cube unit: products of L0A and L0B into L0C.
//!
//! `[M, K] x [K, N] -> [M, N]`. Floating-point products accumulate in f32, one product after the other in ascending k for each
//! element, rounded after the multiplication and after the addition. Products of i8 accumulate exactly in i32 (modulo 2^32).

use super::error::Fault;
use super::memory::{Access, Core, Operand};
use super::numeric;
use tilewright_ir::DType;

/// `dst = lhs x rhs`. Also leaves the padding of `dst` unspecified.
pub(super) fn matmul(
    access: &Access,
    core: &mut Core,
    dst: &Operand,
    lhs: &Operand,
    rhs: &Operand,
) -> Result<bool, Fault> {
    if !checked(dst, lhs, rhs)? {
        return Ok(false);
    }
    core.read(access, lhs)?;
    core.read(access, rhs)?;
    core.scratch(access, dst)?;
    core.write(access, dst)?;
    let zero = vec![0; dst.size() * dst.tile.dtype.bytes()];
    product(core, dst, lhs, rhs, &zero);
    Ok(true)
}

/// `dst += lhs x rhs`.
pub(super) fn matmul_acc(
    access: &Access,
    core: &mut Core,
    dst: &Operand,
    lhs: &Operand,
    rhs: &Operand,
) -> Result<bool, Fault> {
    if !checked(dst, lhs, rhs)? {
        return Ok(false);
    }
    core.read(access, lhs)?;
    core.read(access, rhs)?;
    core.read(access, dst)?;
    core.write(access, dst)?;
    let start = core.gather(dst);
    product(core, dst, lhs, rhs, &start);
    Ok(true)
}

/// Types and shapes; `false` if there is nothing to do.
fn checked(dst: &Operand, lhs: &Operand, rhs: &Operand) -> Result<bool, Fault> {
    use DType::*;
    let types = (dst.tile.dtype, lhs.tile.dtype, rhs.tile.dtype);
    if !matches!(
        types,
        (I32, I8, I8) | (F32, F16, F16) | (F32, Bf16, Bf16) | (F32, F32, F32)
    ) {
        return Err(Fault::Unsupported {
            what: format!("a product of {} and {} into {}", types.1, types.2, types.0),
            remedy: "the cube multiplies i8 into i32, and f16, bf16 or f32 into f32, both operands of one type".into(),
        });
    }
    if dst.empty() || lhs.empty() || rhs.empty() {
        return Ok(false);
    }
    if lhs.cols != rhs.rows || dst.rows != lhs.rows || dst.cols != rhs.cols {
        return Err(Fault::Shape {
            what: format!(
                "a product of {} x {} and {} x {} into {} x {}",
                lhs.rows, lhs.cols, rhs.rows, rhs.cols, dst.rows, dst.cols
            ),
        });
    }
    Ok(true)
}

fn product(core: &mut Core, dst: &Operand, lhs: &Operand, rhs: &Operand, start: &[u8]) {
    let (a, b) = (core.gather(lhs), core.gather(rhs));
    let dtype = lhs.tile.dtype;
    let (k, n) = (lhs.cols, rhs.cols);
    let out = if dtype == DType::I8 {
        let mut acc = numeric::ints(DType::I32, start);
        // The right operand lies column by column, so both factors of a sum are contiguous.
        for (acc, a) in acc.chunks_exact_mut(n).zip(a.chunks_exact(k)) {
            for (acc, b) in acc.iter_mut().zip(b.chunks_exact(k)) {
                *acc = acc.wrapping_add(dot(a, b));
            }
        }
        numeric::int_bytes(&acc)
    } else {
        let a = numeric::floats(dtype, &a);
        let b = turned(&numeric::floats(dtype, &b), k, n);
        let mut acc = numeric::floats(DType::F32, start);
        rows(&mut acc, &a, &b, k, n, |acc, x, y| acc + x * y);
        numeric::float_bytes(DType::F32, &acc)
    };
    core.scatter(dst, &out);
}

/// The sum of the products of int8, modulo 2^32.
fn dot(a: &[u8], b: &[u8]) -> i32 {
    let products = a.iter().zip(b);
    products.fold(0, |sum: i32, (x, y)| {
        sum.wrapping_add(i32::from(*x as i8) * i32::from(*y as i8))
    })
}

/// `n` columns of `k` elements as `k` rows of `n`.
fn turned(columns: &[f32], k: usize, n: usize) -> Vec<f32> {
    let mut rows = vec![0.0; columns.len()];
    for (c, column) in columns.chunks_exact(k).enumerate() {
        for (r, x) in column.iter().enumerate() {
            rows[r * n + c] = *x;
        }
    }
    rows
}

/// A row of the left operand against all of the right one: the innermost loop runs along contiguous columns.
fn rows<T: Copy>(acc: &mut [T], a: &[T], b: &[T], k: usize, n: usize, fma: impl Fn(T, T, T) -> T) {
    for (acc, a) in acc.chunks_exact_mut(n).zip(a.chunks_exact(k)) {
        for (&x, b) in a.iter().zip(b.chunks_exact(n)) {
            for (c, &y) in acc.iter_mut().zip(b) {
                *c = fma(*c, x, y);
            }
        }
    }
}
