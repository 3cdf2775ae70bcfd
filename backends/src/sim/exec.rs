//! Runs one block of a kernel in program order: control flow, indices, flags, and one call an instruction.
//!
//! Program order is the order in which the scalar unit dispatches. The data that result are those of the chip exactly when
//! no hazard exists, which is what [`super::hazards`] checks at the same time.

use super::clock::PipeTimes;
use super::error::{Fault, Flag, SimError, Site};
use super::globals::Globals;
use super::hazards::{Clocks, Flags};
use super::memory::{Access, Core, Operand};
use super::plan::{Action, Node, Plan};
use super::{cube, scalar, transfer, vector};
use tilewright_ir::kernel::{Cond, Event, Expr, Instr, LoopId, Pipe, TileRef, Var};

/// The values of variables in one block.
pub(super) struct Env<'p> {
    pub grid: Vec<i64>,
    /// Of the loops that are running.
    pub counters: Vec<Option<i64>>,
    pub scalars: &'p [i64],
    pub registers: Vec<Option<i64>>,
    /// Arrays of the scalar unit.
    pub arrays: Vec<Vec<i32>>,
    pub rank: usize,
    /// The layer run, from 1.
    pub epoch: usize,
}

impl Env<'_> {
    /// The value of an index.
    pub fn eval(&self, expr: &Expr) -> Result<i64, Fault> {
        let mut sum = expr.base;
        for (var, coefficient) in &expr.terms {
            let value = match *var {
                Var::Grid(i) => self.grid.get(i).copied(),
                Var::Loop(id) => self.counters.get(id).copied().flatten(),
                Var::Scalar(i) => self.scalars.get(i).copied(),
                Var::Reg(register) => Some(
                    self.registers
                        .get(register)
                        .copied()
                        .flatten()
                        .ok_or(Fault::UninitialisedRegister { register })?,
                ),
                Var::Rank => Some(self.rank as i64),
                Var::Epoch => Some(self.epoch as i64),
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

    pub fn counter(&self, id: LoopId) -> Result<usize, Fault> {
        let counter = self.counters.get(id).copied().flatten();
        counter.map(|c| c as usize).ok_or_else(|| Fault::Program {
            what: format!("the counter of loop {id} is used outside that loop"),
        })
    }

    fn flag(&self, src: Pipe, dst: Pipe, event: &Event) -> Result<Flag, Fault> {
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

/// What a functional run works on; a timing run has none.
pub(super) struct Data<'r, 'i> {
    pub core: &'r mut Core,
    pub globals: &'r mut Globals<'i>,
}

/// Statements that may still run.
pub(super) struct Budget {
    pub left: u64,
    pub limit: u64,
}

/// One block on its way.
pub(super) struct Block<'r, 'a, 'i> {
    pub plan: &'r Plan<'a>,
    pub index: usize,
    pub env: Env<'r>,
    pub data: Option<Data<'r, 'i>>,
    pub clocks: Clocks,
    pub flags: Flags,
    pub times: PipeTimes,
    pub budget: &'r mut Budget,
}

impl<'a> Block<'_, 'a, '_> {
    /// Runs the block to its end.
    pub fn run(&mut self) -> Result<(), SimError> {
        let plan = self.plan;
        self.walk(&plan.body)?;
        match self.flags.unconsumed(plan) {
            Some((step, fault)) => Err(self.at(step, fault)),
            None => Ok(()),
        }
    }

    fn at(&self, step: usize, fault: Fault) -> SimError {
        let kernel = self.plan.kernel;
        SimError {
            site: Some(Box::new(Site {
                kernel: kernel.name.clone(),
                block: Some(self.index),
                grid: kernel
                    .launch
                    .grid
                    .iter()
                    .zip(&self.env.grid)
                    .map(|(axis, c)| format!("{}={c}", axis.name))
                    .collect(),
                path: self.plan.steps[step].path.clone(),
                text: self.plan.text(step),
            })),
            fault: Box::new(fault),
        }
    }

    fn walk(&mut self, nodes: &[Node<'a>]) -> Result<(), SimError> {
        for node in nodes {
            match node {
                Node::Loop { id, trips, body } => {
                    for trip in 0..*trips {
                        self.spend()?;
                        self.env.counters[*id] = Some(trip as i64);
                        self.walk(body)?;
                    }
                    self.env.counters[*id] = None;
                }
                Node::If {
                    step,
                    cond,
                    then,
                    otherwise,
                } => {
                    self.spend()?;
                    let holds = self.holds(cond).map_err(|f| self.at(*step, f))?;
                    self.walk(if holds { then } else { otherwise })?;
                }
                Node::Step(step) => {
                    self.spend()?;
                    self.step(*step).map_err(|f| self.at(*step, f))?;
                }
            }
        }
        Ok(())
    }

    fn spend(&mut self) -> Result<(), Fault> {
        match self.budget.left.checked_sub(1) {
            Some(left) => {
                self.budget.left = left;
                Ok(())
            }
            None => Err(Fault::TooLong {
                limit: self.budget.limit,
            }),
        }
    }

    /// A timing run takes a condition on a register as true.
    fn holds(&self, cond: &Cond) -> Result<bool, Fault> {
        match cond {
            Cond::First(id) => Ok(self.env.counter(*id)? == 0),
            Cond::Positive(expr) | Cond::Zero(expr) => match self.env.eval(expr) {
                Err(Fault::UninitialisedRegister { .. }) if self.data.is_none() => Ok(true),
                value => Ok(match cond {
                    Cond::Zero(_) => value? == 0,
                    _ => value? > 0,
                }),
            },
        }
    }

    fn step(&mut self, step: usize) -> Result<(), Fault> {
        let plan = self.plan;
        match &plan.steps[step].action {
            Action::Condition => {}
            Action::Barrier(pipe) => self.clocks.barrier(*pipe),
            Action::Set { src, dst, event } => {
                let flag = self.env.flag(*src, *dst, event)?;
                let time = self.times.ready(*src);
                self.flags.set(plan, &self.clocks, flag, step, time)?;
            }
            Action::Wait { src, dst, event } => {
                let flag = self.env.flag(*src, *dst, event)?;
                match self.flags.wait(&mut self.clocks, flag, step) {
                    Some(time) => self.times.wait(*dst, time),
                    None => return Err(self.no_set(flag)),
                }
            }
            Action::Instr { instr, cost } => {
                let seq = self.clocks.issue(cost.pipe);
                let does_something = match &mut self.data {
                    Some(data) => {
                        let access = Access {
                            plan,
                            clocks: &self.clocks,
                            pipe: cost.pipe,
                            seq,
                            step,
                        };
                        execute(instr, &access, &mut self.env, data, self.index)?
                    }
                    None => true,
                };
                if does_something {
                    self.times.run(cost);
                }
            }
        }
        Ok(())
    }

    /// Why a wait finds no set: does one follow in program order?
    fn no_set(&self, flag: Flag) -> Fault {
        let mut env = Env {
            grid: self.env.grid.clone(),
            counters: vec![None; self.env.counters.len()],
            scalars: self.env.scalars,
            registers: self.env.registers.clone(),
            arrays: self.env.arrays.clone(),
            rank: self.env.rank,
            epoch: self.env.epoch,
        };
        let mut sets = 0;
        let mut left = 1_000_000;
        count_sets(
            self.plan,
            &self.plan.body,
            &mut env,
            flag,
            &mut sets,
            &mut left,
        );
        if sets > self.flags.sets(flag) && flag.dst != Pipe::S {
            Fault::WaitBeforeSet { flag }
        } else {
            Fault::Deadlock { flag }
        }
    }
}

/// Counts the sets of a flag in a whole block, with the registers as they are.
fn count_sets(
    plan: &Plan,
    nodes: &[Node],
    env: &mut Env,
    flag: Flag,
    sets: &mut u64,
    left: &mut u64,
) {
    for node in nodes {
        *left = left.saturating_sub(1);
        if *left == 0 {
            return;
        }
        match node {
            Node::Loop { id, trips, body } => {
                for trip in 0..*trips {
                    env.counters[*id] = Some(trip as i64);
                    count_sets(plan, body, env, flag, sets, left);
                    if *left == 0 {
                        return;
                    }
                }
                env.counters[*id] = None;
            }
            Node::If {
                cond,
                then,
                otherwise,
                ..
            } => {
                let holds = match cond {
                    Cond::First(id) => env.counter(*id).is_ok_and(|c| c == 0),
                    Cond::Positive(expr) => env.eval(expr).is_ok_and(|v| v > 0),
                    Cond::Zero(expr) => env.eval(expr).is_ok_and(|v| v == 0),
                };
                let body = if holds { then } else { otherwise };
                count_sets(plan, body, env, flag, sets, left);
            }
            Node::Step(step) => {
                if let Action::Set { src, dst, event } = &plan.steps[*step].action
                    && env.flag(*src, *dst, event) == Ok(flag)
                {
                    *sets += 1;
                }
            }
        }
    }
}

/// Resolves an operand: its slot by the loop's counter, its rows by the run-time count.
pub(super) fn operand<'a>(plan: &Plan<'a>, env: &Env, r: &TileRef) -> Result<Operand<'a>, Fault> {
    let tile = &plan.kernel.tiles[r.tile];
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
        owner: plan.first_slot[r.tile] + slot,
        addr: tile.addrs[slot],
        rows,
        cols: tile.valid_cols,
    })
}

/// Executes one instruction; `false` if it has no rows to work on.
fn execute(
    instr: &Instr,
    access: &Access,
    env: &mut Env,
    data: &mut Data,
    block: usize,
) -> Result<bool, Fault> {
    match instr {
        Instr::Load { dst, src } => transfer::load(access, env, data, block, dst, src),
        Instr::Store { dst, src } => transfer::store(access, env, data, block, dst, src),
        Instr::Move { dst, src } => {
            let dst = operand(access.plan, env, dst)?;
            let src = operand(access.plan, env, src)?;
            transfer::move_tile(access, data.core, &dst, &src)
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
            let value = transfer::read_scalar(access, env, data, block, src)?;
            env.registers[*dst] = Some(value);
            Ok(true)
        }
        scalar => scalar::execute(scalar, env),
    }
}
