//! What the scalar unit computes: registers and arrays.

use super::env::Env;
use super::error::Fault;
use super::instr::no_ranks;
use tilewright_ir::kernel::{Expr, Instr};

/// Executes an instruction that touches nothing but registers and arrays.
pub(super) fn execute(instr: &Instr, env: &mut Env) -> Result<bool, Fault> {
    match instr {
        Instr::SetReg { dst, value } => env.registers[*dst] = Some(env.eval(value)?),
        Instr::Compute { dst, op, lhs, rhs } => {
            let (a, b) = (env.eval(lhs)?, env.eval(rhs)?);
            let value = op.apply(a, b).ok_or_else(|| Fault::Unsupported {
                what: format!("{} of {a} and {b}", op.name()),
                remedy: "div and rem take a value that is not negative and a positive one, and no result leaves 64 bits"
                    .into(),
            })?;
            env.registers[*dst] = Some(value);
        }
        Instr::ArrayGet { dst, array, index } => {
            let at = element(env, *array, index)?;
            env.registers[*dst] = Some(i64::from(env.arrays[*array][at]));
        }
        Instr::ArraySet {
            array,
            index,
            value,
        } => {
            let at = element(env, *array, index)?;
            env.arrays[*array][at] = integer(env.eval(value)?)?;
        }
        _ => return Err(no_ranks()),
    }
    Ok(true)
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

fn element(env: &Env, array: usize, index: &Expr) -> Result<usize, Fault> {
    place(env, array, env.eval(index)?)
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
