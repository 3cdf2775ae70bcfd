//! What the scalar unit computes: registers and arrays.

use super::env::Env;
use super::error::Fault;
use tilewright_ir::kernel::{ArrayId, Expr, IntOp};

/// Integer arithmetic.
pub(super) fn compute(op: IntOp, a: i64, b: i64) -> Result<i64, Fault> {
    op.apply(a, b).ok_or_else(|| Fault::Unsupported {
        what: format!("{} of {a} and {b}", op.name()),
        remedy: "div and rem take a value that is not negative and a positive one, and no result leaves 64 bits"
            .into(),
    })
}

/// `array[index]`.
pub(super) fn element(env: &Env, array: ArrayId, index: &Expr) -> Result<i64, Fault> {
    let at = place(env, array, env.eval(index)?)?;
    Ok(i64::from(env.arrays[array][at]))
}

/// `array[index] = value`.
pub(super) fn set_element(
    env: &mut Env,
    array: ArrayId,
    index: &Expr,
    value: &Expr,
) -> Result<(), Fault> {
    let at = place(env, array, env.eval(index)?)?;
    env.arrays[array][at] = integer(env.eval(value)?)?;
    Ok(())
}

/// A value as the 32 bits of an array or a counter.
pub(super) fn integer(value: i64) -> Result<i32, Fault> {
    i32::try_from(value).map_err(|_| Fault::Unsupported {
        what: format!("{value} as an i32"),
        remedy: "keep values between -2147483648 and 2147483647".into(),
    })
}

/// Sets an element of an array.
pub(super) fn set(env: &mut Env, array: usize, index: usize, value: i64) -> Result<(), Fault> {
    let at = place(env, array, index as i64)?;
    env.arrays[array][at] = integer(value)?;
    Ok(())
}

/// An element of an array.
pub(super) fn get(env: &Env, array: usize, index: usize) -> Result<i64, Fault> {
    let at = place(env, array, index as i64)?;
    Ok(i64::from(env.arrays[array][at]))
}

fn place(env: &Env, array: usize, at: i64) -> Result<usize, Fault> {
    let len = env.arrays[array].len();
    usize::try_from(at)
        .ok()
        .filter(|a| *a < len)
        .ok_or_else(|| Fault::Program {
            what: format!("element {at} of array {array}, which has {len}"),
        })
}
