//! One instruction on data: what it reads, and where its result goes.

use super::env::{Env, operand};
use super::error::Fault;
use super::globals::Globals;
use super::memory::{Access, Core};
use super::ranks::{Link, TimeOp};
use super::{cube, scalar, transfer, vector};
use tilewright_ir::kernel::{GlobalRef, Instr};

/// What a functional run works on; a timing run has none.
pub(super) struct Data<'t, 'i> {
    pub core: &'t mut Core,
    pub globals: &'t mut Globals<'i>,
    /// Windows and counters, in a run of several ranks.
    pub link: Option<&'t mut dyn Link>,
}

/// What an instruction did.
#[derive(PartialEq)]
pub(super) enum Done {
    /// It has no rows to work on.
    Nothing,
    Something,
    Notified(TimeOp),
}

/// A program of several ranks that runs as one.
pub(super) fn no_ranks() -> Fault {
    Fault::Unsupported {
        what: "a window, or an instruction between ranks".into(),
        remedy: "run the program with all of its ranks".into(),
    }
}

/// Executes an instruction.
pub(super) fn execute(
    instr: &Instr,
    access: &Access,
    env: &mut Env,
    data: &mut Data,
) -> Result<Done, Fault> {
    match instr {
        Instr::Notify { counter, op, value } => {
            let value = env.eval(value)?;
            let at = (env.eval(&counter.row)?, env.eval(&counter.col)?);
            let peer = counter.peer.as_ref().map(|p| env.eval(p)).transpose()?;
            let link = data.link.as_deref_mut().ok_or_else(no_ranks)?;
            let op = link.notify(access, &counter.tensor, peer, at, *op, value)?;
            Ok(Done::Notified(op))
        }
        // The block has passed it.
        Instr::WaitCounter { .. } => Ok(Done::Something),
        other => match on_rank(other, access, env, data)? {
            true => Ok(Done::Something),
            false => Ok(Done::Nothing),
        },
    }
}

/// Executes an instruction that changes no counter; `false` if it has no rows to work on.
fn on_rank(instr: &Instr, access: &Access, env: &mut Env, data: &mut Data) -> Result<bool, Fault> {
    match instr {
        Instr::Load { dst, src } => transfer::load(access, env, data, dst, src),
        Instr::Store { dst, src } => transfer::store(access, env, data, dst, src),
        Instr::Move { dst, src, from } => {
            let dst = operand(access.plan, env, dst)?;
            let src = operand(access.plan, env, src)?;
            transfer::move_tile(access, data.core, &dst, &src, *from)
        }
        Instr::Matmul {
            dst,
            lhs,
            rhs,
            accumulate,
        } => {
            let dst = operand(access.plan, env, dst)?;
            let lhs = operand(access.plan, env, lhs)?;
            let rhs = operand(access.plan, env, rhs)?;
            if *accumulate {
                cube::matmul_acc(access, data.core, &dst, &lhs, &rhs)
            } else {
                cube::matmul(access, data.core, &dst, &lhs, &rhs)
            }
        }
        Instr::Vector { op, dst, srcs, tmp } => {
            let dst = operand(access.plan, env, dst)?;
            let srcs = srcs
                .iter()
                .map(|s| operand(access.plan, env, s))
                .collect::<Result<Vec<_>, _>>()?;
            let tmp = tmp
                .as_ref()
                .map(|t| operand(access.plan, env, t))
                .transpose()?;
            vector::execute(access, data.core, op, &dst, &srcs, tmp.as_ref())
        }
        Instr::ReadScalar { dst, src } => {
            let value = transfer::read_scalar(access, env, data, src)?;
            env.registers[*dst] = Some(value);
            Ok(true)
        }
        Instr::WriteScalar { dst, value } => {
            let value = env.eval(value)?;
            transfer::write_scalar(access, env, data, dst, value)?;
            Ok(true)
        }
        Instr::ReadArray { array, src } => {
            for (i, element) in elements(src).enumerate() {
                let value = transfer::read_scalar(access, env, data, &element)?;
                scalar::set(env, *array, i, value)?;
            }
            Ok(true)
        }
        Instr::WriteArray { dst, array } => {
            for (i, element) in elements(dst).enumerate() {
                let value = scalar::get(env, *array, i)?;
                transfer::write_scalar(access, env, data, &element, value)?;
            }
            Ok(true)
        }
        scalar => scalar::execute(scalar, env),
    }
}

/// The elements of a rectangle, row after row.
fn elements(rect: &GlobalRef) -> impl Iterator<Item = GlobalRef> + use<'_> {
    (0..rect.rows * rect.cols).map(|i| GlobalRef {
        row: rect.row.clone().plus_constant((i / rect.cols) as i64),
        col: rect.col.clone().plus_constant((i % rect.cols) as i64),
        rows: 1,
        cols: 1,
        ..rect.clone()
    })
}
