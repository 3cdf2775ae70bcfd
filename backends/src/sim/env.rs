//! The values of variables in one block, and operands by them.

use super::error::{Fault, Flag};
use super::memory::Operand;
use super::prepared::Prepared;
use tilewright_ir::kernel::{Event, Expr, Foreseen, LoopId, Pipe, TileRef, Var};

/// The values of variables in one block.
#[derive(Default, Clone)]
pub(super) struct Env<'p> {
    pub grid: Vec<i64>,
    /// Of the loops that are running.
    pub counters: Vec<Option<i64>>,
    pub scalars: &'p [i64],
    /// Arrays of the scalar unit.
    pub arrays: Vec<Vec<i32>>,
    pub rank: usize,
    /// The layer run, from 1.
    pub epoch: usize,
    /// Which of its block's vector cores runs the part, in a mixed kernel.
    pub sub: usize,
    /// Registers; of a run without data those that are known, and what arrays are known to hold.
    pub known: Foreseen,
}

impl<'p> Env<'p> {
    /// A block before its first statement, on rank 0 in the first layer run.
    pub fn new(prepared: &Prepared, grid: Vec<usize>, scalars: &'p [i64]) -> Self {
        let kernel = prepared.kernel;
        Env {
            grid: grid.into_iter().map(|c| c as i64).collect(),
            counters: vec![None; kernel.loops.len()],
            scalars,
            arrays: kernel.arrays.iter().map(|a| vec![0; a.len]).collect(),
            rank: 0,
            epoch: 1,
            sub: 0,
            known: Foreseen::new(kernel),
        }
    }

    /// The value of an index.
    pub fn eval(&self, expr: &Expr) -> Result<i64, Fault> {
        let mut sum = expr.base;
        for (var, coefficient) in &expr.terms {
            let value = match *var {
                Var::Reg(register) => Some(
                    self.known
                        .registers
                        .get(register)
                        .copied()
                        .flatten()
                        .ok_or(Fault::UninitialisedRegister { register })?,
                ),
                other => self.value(other),
            };
            sum = value
                .and_then(|v| v.checked_mul(*coefficient))
                .and_then(|v| v.checked_add(sum))
                .ok_or_else(|| Fault::Program {
                    what: format!(
                        "index variable {var:?} has no value here, or the index overflows"
                    ),
                })?;
        }
        Ok(sum)
    }

    /// The value of a variable that is no register.
    pub fn value(&self, var: Var) -> Option<i64> {
        match var {
            Var::Grid(i) => self.grid.get(i).copied(),
            Var::Loop(id) => self.counters.get(id).copied().flatten(),
            Var::Scalar(i) => self.scalars.get(i).copied(),
            Var::Reg(_) => None,
            Var::Rank => Some(self.rank as i64),
            Var::Epoch => Some(self.epoch as i64),
            Var::Sub => Some(self.sub as i64),
            Var::Turn(id, of) => {
                let counter = self.counters.get(id).copied().flatten();
                counter.and_then(|c| c.checked_rem(of as i64))
            }
        }
    }

    pub fn counter(&self, id: LoopId) -> Result<usize, Fault> {
        let counter = self.counters.get(id).copied().flatten();
        counter.map(|c| c as usize).ok_or_else(|| Fault::Program {
            what: format!("the counter of loop {id} is used outside that loop"),
        })
    }

    pub fn flag(&self, src: Pipe, dst: Pipe, event: &Event) -> Result<Flag, Fault> {
        let turn = match event.rotate {
            None => 0,
            Some((id, depth)) => self.counter(id)? % depth,
        };
        Ok(Flag {
            src,
            dst,
            id: event.base + turn,
        })
    }
}

/// Resolves an operand: its slot by the loop's counter, its rows by the run-time count.
pub(super) fn operand<'a>(
    prepared: &Prepared<'a>,
    env: &Env,
    r: &TileRef,
) -> Result<Operand<'a>, Fault> {
    let tile = &prepared.kernel.tiles[r.tile];
    let slot = match r.slot {
        None => 0,
        Some(id) => env.counter(id)? % tile.slots,
    };
    let rows = match &r.rows {
        None => tile.valid_rows,
        Some(expr) => env.eval(expr)?.clamp(0, tile.valid_rows as i64) as usize,
    };
    Ok(Operand {
        tile,
        slot,
        owner: prepared.first_slot[r.tile] + slot,
        addr: tile.addrs[slot],
        rows,
        cols: tile.valid_cols,
    })
}
