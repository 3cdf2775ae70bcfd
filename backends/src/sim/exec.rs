//! Runs one block of a kernel in program order: control flow, indices, flags, and one call an instruction.
//!
//! Program order is the order in which the scalar unit dispatches. The data that result are those of the chip exactly when
//! no hazard exists, which is what [`super::hazards`] checks at the same time.

use super::clock::PipeTimes;
use super::collect::{Faults, Next};
use super::error::{Fault, Flag, RankRun, SimError, Site};
use super::globals::Globals;
use super::hazards::{Clocks, Flags, flag_index};
use super::memory::{Access, Core, Operand};
use super::plan::{Action, Node, Plan};
use super::ranks::{Link, TimeOp, Wait};
use super::{cube, scalar, transfer, vector};
use tilewright_ir::kernel::{Cond, Event, Expr, GlobalRef, Instr, LoopId, Pipe, TileRef, Var};

/// The values of variables in one block.
#[derive(Default)]
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

impl<'p> Env<'p> {
    /// A block before its first statement, on rank 0 in the first layer run.
    pub fn new(plan: &Plan, grid: Vec<usize>, scalars: &'p [i64]) -> Self {
        let kernel = plan.kernel;
        Env {
            grid: grid.into_iter().map(|c| c as i64).collect(),
            counters: vec![None; kernel.loops.len()],
            scalars,
            registers: vec![None; kernel.registers],
            arrays: kernel.arrays.iter().map(|a| vec![0; a.len]).collect(),
            rank: 0,
            epoch: 1,
        }
    }

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
pub(super) struct Data<'t, 'i> {
    pub core: &'t mut Core,
    pub globals: &'t mut Globals<'i>,
    /// Windows and counters, in a run of several ranks.
    pub link: Option<&'t mut dyn Link>,
}

/// Statements that a block is in: those of its body, a loop or a branch.
pub(super) struct Frame<'r, 'a> {
    nodes: &'r [Node<'a>],
    next: usize,
    /// The loop, its trip and its trips.
    lap: Option<(LoopId, usize, usize)>,
}

/// Why a block has not come to its end.
#[derive(Clone, Copy)]
pub(super) enum Pause {
    /// Its turn is over.
    Turn,
    Wait(Wait),
}

/// Statements that may still run.
pub(super) struct Budget {
    pub left: u64,
    pub limit: u64,
}

/// One block on its way.
pub(super) struct Block<'t, 'r, 'a, 'i> {
    pub plan: &'r Plan<'a>,
    pub index: usize,
    pub env: Env<'r>,
    pub data: Option<Data<'t, 'i>>,
    pub clocks: Clocks,
    pub flags: Flags,
    pub times: PipeTimes,
    pub budget: &'t mut Budget,
    /// Where it is; outermost first.
    pub frames: Vec<Frame<'r, 'a>>,
    pub pause: Option<Pause>,
    /// What it did in time, if somebody wants to know.
    pub trace: Option<Vec<TimeOp>>,
    /// Where faults go that the block survives; without it, it survives none.
    pub faults: Option<&'t mut Faults>,
    pub attempt: Attempt,
}

/// The instruction that is being executed, which a fault may have interrupted.
#[derive(Default)]
pub(super) struct Attempt {
    /// Its number on its pipe.
    seq: Option<u32>,
    tolerant: bool,
}

impl<'r, 'a> Block<'_, 'r, 'a, '_> {
    /// Where a block starts.
    pub fn frames(plan: &'r Plan<'a>) -> Vec<Frame<'r, 'a>> {
        vec![Frame {
            nodes: &plan.body,
            next: 0,
            lap: None,
        }]
    }

    /// Runs the block to its end, or until it pauses.
    pub fn run(&mut self) -> Result<(), SimError> {
        let plan = self.plan;
        self.pause = None;
        self.walk()?;
        if self.pause.is_some() {
            return Ok(());
        }
        for (step, fault) in self.flags.unconsumed(plan) {
            let error = self.at(step, fault);
            match &mut self.faults {
                Some(faults) => faults.push(error),
                None => return Err(error),
            }
        }
        Ok(())
    }

    /// Executes a step. With a place for faults, a fault that leaves something to go on with is put there.
    fn attempt(&mut self, step: usize) -> Result<(), SimError> {
        self.attempt = Attempt::default();
        if let Some(faults) = &mut self.faults {
            faults.reached[step] = true;
        }
        while let Err(fault) = self.step(step) {
            let next = Next::after(&fault);
            if let Fault::Hazard {
                first_pipe,
                second_pipe,
                seq,
                ..
            } = fault
            {
                self.clocks.assume(first_pipe, seq, second_pipe);
            }
            let error = self.at(step, fault);
            let Some(faults) = self.faults.as_deref_mut().filter(|_| next != Next::Stop) else {
                return Err(error);
            };
            faults.push(error);
            match next {
                Next::Tolerate => self.attempt.tolerant = true,
                Next::Force => break,
                Next::Assume | Next::Stop => {}
            }
        }
        Ok(())
    }

    fn at(&self, step: usize, fault: Fault) -> SimError {
        let kernel = self.plan.kernel;
        SimError {
            site: Some(Box::new(Site {
                run: self
                    .data
                    .as_ref()
                    .and_then(|d| d.link.as_ref())
                    .map(|_| RankRun {
                        rank: self.env.rank,
                        epoch: self.env.epoch,
                    }),
                kernel: kernel.name.clone(),
                block: Some(self.index),
                grid: kernel
                    .launch
                    .grid
                    .iter()
                    .zip(&self.env.grid)
                    .map(|(axis, c)| format!("{}={c}", axis.name))
                    .collect(),
                statement: Some(self.plan.describe(step)),
            })),
            fault: Box::new(fault),
        }
    }

    fn walk(&mut self) -> Result<(), SimError> {
        while let Some(frame) = self.frames.last_mut() {
            let Some(node) = frame.nodes.get(frame.next) else {
                match &mut frame.lap {
                    Some((id, trip, trips)) if *trip + 1 < *trips => {
                        *trip += 1;
                        frame.next = 0;
                        self.env.counters[*id] = Some(*trip as i64);
                        self.spend()?;
                    }
                    lap => {
                        if let Some((id, ..)) = lap {
                            self.env.counters[*id] = None;
                        }
                        self.frames.pop();
                    }
                }
                continue;
            };
            frame.next += 1;
            match node {
                Node::Loop { trips: 0, .. } => {}
                Node::Loop { id, trips, body } => {
                    self.spend()?;
                    self.env.counters[*id] = Some(0);
                    self.enter(body, Some((*id, 0, *trips)));
                }
                Node::If {
                    step,
                    cond,
                    then,
                    otherwise,
                } => {
                    self.spend()?;
                    let holds = self.holds(cond).map_err(|f| self.at(*step, f))?;
                    self.enter(if holds { then } else { otherwise }, None);
                }
                Node::Step(step) => {
                    self.spend()?;
                    self.attempt(*step)?;
                    match self.pause {
                        None => {}
                        Some(Pause::Turn) => return Ok(()),
                        Some(Pause::Wait(_)) => {
                            // It is asked again.
                            if let Some(frame) = self.frames.last_mut() {
                                frame.next -= 1;
                            }
                            return Ok(());
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn enter(&mut self, nodes: &'r [Node<'a>], lap: Option<(LoopId, usize, usize)>) {
        self.frames.push(Frame {
            nodes,
            next: 0,
            lap,
        });
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
                self.note(|| TimeOp::Set {
                    src: *src,
                    flag: flag_index(flag),
                });
            }
            Action::Wait { src, dst, event } => {
                let flag = self.env.flag(*src, *dst, event)?;
                match self.flags.wait(&mut self.clocks, flag, step) {
                    Some(time) => self.times.wait(*dst, time),
                    None => return Err(self.no_set(flag)),
                }
                self.note(|| TimeOp::Wait {
                    dst: *dst,
                    flag: flag_index(flag),
                });
            }
            Action::Instr { instr, cost } => {
                if let Instr::WaitCounter { counter, at_least } = instr
                    && !self.wait(counter, at_least, step)?
                {
                    return Ok(());
                }
                let seq = match self.attempt.seq {
                    Some(seq) => seq,
                    None => self.clocks.issue(cost.pipe),
                };
                self.attempt.seq = Some(seq);
                let done = match &mut self.data {
                    Some(data) => {
                        let access = Access {
                            plan,
                            clocks: &self.clocks,
                            pipe: cost.pipe,
                            seq,
                            step,
                            tolerant: self.attempt.tolerant,
                        };
                        let done = execute(instr, &access, &mut self.env, data, self.index)?;
                        if data.link.as_ref().is_some_and(|l| l.turn_is_over()) {
                            self.pause = Some(Pause::Turn);
                        }
                        done
                    }
                    None => Done::Something,
                };
                if done != Done::Nothing {
                    self.times.run(cost);
                    self.note(|| TimeOp::Run(*cost));
                }
                if let Done::Notified(op) = done {
                    self.note(|| op);
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, op: impl FnOnce() -> TimeOp) {
        if let Some(trace) = &mut self.trace {
            trace.push(op());
        }
    }

    /// Whether a counter is high enough; otherwise the block pauses. A timing run does not wait.
    fn wait(&mut self, counter: &GlobalRef, at_least: &Expr, step: usize) -> Result<bool, Fault> {
        let Some(data) = &mut self.data else {
            return Ok(true);
        };
        let link = data.link.as_deref_mut().ok_or_else(no_ranks)?;
        let at = (self.env.eval(&counter.row)?, self.env.eval(&counter.col)?);
        let wait = link.waits_for(&counter.tensor, at, self.env.eval(at_least)?, step)?;
        match link.pass(&wait) {
            Some(op) => {
                self.note(|| op);
                Ok(true)
            }
            None => {
                self.pause = Some(Pause::Wait(wait));
                Ok(false)
            }
        }
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

/// What an instruction did.
#[derive(PartialEq)]
enum Done {
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

fn execute(
    instr: &Instr,
    access: &Access,
    env: &mut Env,
    data: &mut Data,
    block: usize,
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
        other => match on_rank(other, access, env, data, block)? {
            true => Ok(Done::Something),
            false => Ok(Done::Nothing),
        },
    }
}

/// Executes an instruction that changes no counter; `false` if it has no rows to work on.
fn on_rank(
    instr: &Instr,
    access: &Access,
    env: &mut Env,
    data: &mut Data,
    block: usize,
) -> Result<bool, Fault> {
    match instr {
        Instr::Load { dst, src } => transfer::load(access, env, data, block, dst, src),
        Instr::Store { dst, src } => transfer::store(access, env, data, block, dst, src),
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
            let value = transfer::read_scalar(access, env, data, block, src)?;
            env.registers[*dst] = Some(value);
            Ok(true)
        }
        Instr::WriteScalar { dst, value } => {
            let value = env.eval(value)?;
            transfer::write_scalar(access, env, data, block, dst, value)?;
            Ok(true)
        }
        Instr::ReadArray { array, src } => {
            for (i, element) in elements(src).enumerate() {
                let value = transfer::read_scalar(access, env, data, block, &element)?;
                scalar::set(env, *array, i, value)?;
            }
            Ok(true)
        }
        Instr::WriteArray { dst, array } => {
            for (i, element) in elements(dst).enumerate() {
                let value = scalar::get(env, *array, i)?;
                transfer::write_scalar(access, env, data, block, &element, value)?;
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
