//! One instruction on data: what it reads, and where its result goes.

use super::env::{Env, operand};
use super::error::Fault;
use super::globals::Globals;
use super::memory::{Access, Core};
use super::ranks::{Link, Target, TimeOp};
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

/// Executes an instruction. The match over them has no wildcard.
pub(super) fn execute(
    instr: &Instr,
    access: &Access,
    env: &mut Env,
    data: &mut Data,
) -> Result<Done, Fault> {
    let prepared = access.prepared;
    let worked = match instr {
        Instr::Load { dst, src } => transfer::load(access, env, data, dst, src)?,
        Instr::Store { dst, src } => transfer::store(access, env, data, dst, src)?,
        Instr::Move { dst, src, from } => {
            let (dst, src) = (operand(prepared, env, dst)?, operand(prepared, env, src)?);
            transfer::move_tile(access, data.core, &dst, &src, *from)?
        }
        Instr::Matmul {
            dst,
            lhs,
            rhs,
            accumulate,
        } => {
            let [dst, lhs, rhs] = [dst, lhs, rhs].map(|r| operand(prepared, env, r));
            let (dst, lhs, rhs) = (dst?, lhs?, rhs?);
            match accumulate {
                true => cube::matmul_acc(access, data.core, &dst, &lhs, &rhs)?,
                false => cube::matmul(access, data.core, &dst, &lhs, &rhs)?,
            }
        }
        Instr::Vector { op, dst, srcs, tmp } => {
            let of = |tile| operand(prepared, env, tile);
            let (dst, tmp) = (of(dst)?, tmp.as_ref().map(of).transpose()?);
            let srcs = srcs.iter().map(of).collect::<Result<Vec<_>, _>>()?;
            vector::execute(access, data.core, op, &dst, &srcs, tmp.as_ref())?
        }
        Instr::ReadScalar { dst, src } => {
            let value = transfer::read_scalar(access, env, data, src)?;
            env.known.registers[*dst] = Some(value);
            true
        }
        Instr::WriteScalar { dst, value } => {
            let value = env.eval(value)?;
            transfer::write_scalar(access, env, data, dst, value)?;
            true
        }
        Instr::ReadArray { array, src } => {
            for (i, element) in elements(src).enumerate() {
                let value = transfer::read_scalar(access, env, data, &element)?;
                scalar::set(env, *array, i, value)?;
            }
            true
        }
        Instr::WriteArray { dst, array } => {
            for (i, element) in elements(dst).enumerate() {
                let value = scalar::get(env, *array, i)?;
                transfer::write_scalar(access, env, data, &element, value)?;
            }
            true
        }
        Instr::SetReg { dst, value } => {
            env.known.registers[*dst] = Some(env.eval(value)?);
            true
        }
        Instr::Compute { dst, op, lhs, rhs } => {
            env.known.registers[*dst] = Some(scalar::compute(*op, env.eval(lhs)?, env.eval(rhs)?)?);
            true
        }
        Instr::ArrayGet { dst, array, index } => {
            env.known.registers[*dst] = Some(scalar::element(env, *array, index)?);
            true
        }
        Instr::ArraySet {
            array,
            index,
            value,
        } => {
            scalar::set_element(env, *array, index, value)?;
            true
        }
        Instr::Notify { counter, op, value } => {
            let value = env.eval(value)?;
            let at = (env.eval(&counter.row)?, env.eval(&counter.col)?);
            let peer = counter.peer.as_ref().map(|p| env.eval(p)).transpose()?;
            let link = data.link.as_deref_mut().ok_or_else(no_ranks)?;
            let to = Target {
                tensor: &counter.tensor,
                peer,
                at,
            };
            let op = link.notify(access, to, *op, value)?;
            return Ok(Done::Notified(op));
        }
        // The block has passed it.
        Instr::WaitCounter { .. } => true,
    };
    Ok(match worked {
        true => Done::Something,
        false => Done::Nothing,
    })
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
