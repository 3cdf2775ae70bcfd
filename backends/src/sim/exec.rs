//! Runs one block of a kernel in program order: control flow, indices, flags, and one call an instruction.
//!
//! Program order is the order in which the scalar unit dispatches. The data that result are those of the chip exactly when
//! no hazard exists, which is what [`super::hazards`] checks at the same time.

use super::clock::PipeTimes;
use super::collect::{Faults, Next};
use super::env::Env;
use super::error::{Fault, Flag, RankRun, SimError, Site};
use super::hazards::{Clocks, Flags, Lane};
use super::instr::{Data, Done, execute, no_ranks};
use super::memory::Access;
use super::mixed::Cross;
use super::prepared::{Action, Node, Prepared};
use super::ranks::{TimeOp, Wait};
use super::record::{FlagSpan, Moments, PipeSpan};
use tilewright_ir::kernel::{Cond, Expr, Foreseen, GlobalRef, Instr, LoopId, Pipe, Var};
use tilewright_ir::timing::{self, Cost};

/// Statements that a block is in: those of its body, a loop or a branch.
pub(super) struct Frame<'r, 'a> {
    nodes: &'r [Node<'a>],
    next: usize,
    /// The loop, its trip and its trips.
    lap: Option<(LoopId, usize, usize)>,
    /// Of a branch that a timing run takes on the chance, what was known before.
    unsure: Option<Foreseen>,
}

/// Why a block has not come to its end.
#[derive(Clone, Copy)]
pub(super) enum Pause {
    /// Its turn is over.
    Turn,
    Wait(Wait),
    /// For a cross-core flag, at a step.
    Cross {
        flag: usize,
        step: usize,
    },
}

/// Statements that may still run.
pub(super) struct Budget {
    pub left: u64,
    pub limit: u64,
}

/// One block on its way.
pub(super) struct Block<'t, 'r, 'a, 'i> {
    pub prepared: &'r Prepared<'a>,
    pub index: usize,
    /// Which of the block's cores.
    pub core: u8,
    pub env: Env<'r>,
    pub data: Option<Data<'t, 'i>>,
    pub clocks: Clocks,
    pub flags: Flags,
    /// Cross-core flags of the block, in a mixed kernel.
    pub cross: Option<Cross>,
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

impl SimError {
    /// A fault at a step of a block.
    pub(super) fn at(
        prepared: &Prepared,
        block: usize,
        env: &Env,
        step: usize,
        fault: Fault,
    ) -> SimError {
        let kernel = prepared.kernel;
        let axes = kernel.launch.grid.iter().zip(&env.grid);
        SimError {
            site: Some(Box::new(Site {
                run: None,
                kernel: kernel.name.clone(),
                block: Some(block),
                grid: axes.map(|(axis, c)| format!("{}={c}", axis.name)).collect(),
                statement: Some(prepared.describe(step)),
            })),
            fault: Box::new(fault),
        }
    }
}

impl<'r, 'a> Block<'_, 'r, 'a, '_> {
    /// Where a block starts.
    pub fn frames(prepared: &'r Prepared<'a>, core: u8) -> Vec<Frame<'r, 'a>> {
        vec![Frame {
            nodes: prepared.body_of(core),
            next: 0,
            lap: None,
            unsure: None,
        }]
    }

    /// Runs the block to its end, or until it pauses.
    pub fn run(&mut self) -> Result<(), SimError> {
        let prepared = self.prepared;
        self.pause = None;
        self.walk()?;
        if self.pause.is_some() {
            return Ok(());
        }
        for (step, fault) in self.flags.unconsumed(prepared) {
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
                cores,
                seq,
                ..
            } = fault
            {
                let lane = |core, pipe| Lane { core, pipe };
                self.clocks
                    .assume(lane(cores.0, first_pipe), seq, lane(cores.1, second_pipe));
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
        let ranked = self.data.as_ref().is_some_and(|d| d.link.is_some());
        let mut error = SimError::at(self.prepared, self.index, &self.env, step, fault);
        if let (true, Some(site)) = (ranked, &mut error.site) {
            site.run = Some(RankRun {
                rank: self.env.rank,
                epoch: self.env.epoch,
            });
        }
        error
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
                        let over = self.frames.pop();
                        if let Some(before) = over.and_then(|f| f.unsure) {
                            self.env.known.unsure_since(&before);
                        }
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
                    self.enter(
                        if holds.unwrap_or(true) {
                            then
                        } else {
                            otherwise
                        },
                        None,
                    );
                    let expects = !self.prepared.kernel.expected.is_empty();
                    if let (None, true, Some(frame)) = (holds, expects, self.frames.last_mut()) {
                        frame.unsure = Some(self.env.known.clone());
                    }
                }
                Node::Step(step) => {
                    self.spend()?;
                    self.attempt(*step)?;
                    match self.pause {
                        None => {}
                        Some(Pause::Turn) => return Ok(()),
                        Some(Pause::Wait(_) | Pause::Cross { .. }) => {
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
            unsure: None,
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

    /// Whether a condition holds. None, of one on a register in a timing run, which does not know: it is taken to hold.
    fn holds(&self, cond: &Cond) -> Result<Option<bool>, Fault> {
        match cond {
            Cond::First(id) => Ok(Some(self.env.counter(*id)? == 0)),
            Cond::Positive(expr) | Cond::Zero(expr) => match self.env.eval(expr) {
                Err(Fault::UninitialisedRegister { .. }) if self.data.is_none() => Ok(None),
                value => Ok(Some(match cond {
                    Cond::Zero(_) => value? == 0,
                    _ => value? > 0,
                })),
            },
        }
    }

    fn step(&mut self, step: usize) -> Result<(), Fault> {
        let prepared = self.prepared;
        match &prepared.steps[step].action {
            Action::Condition => {}
            Action::Barrier(pipe) => self.clocks.barrier(self.lane(*pipe)),
            Action::SetCross { pipe, flag } => self.set_cross(*pipe, *flag, step)?,
            Action::WaitCross { flag } => self.wait_cross(*flag, step),
            Action::Set { src, dst, event } => {
                let flag = self.env.flag(*src, *dst, event)?;
                let time = self.times.ready(*src);
                self.flags.set(prepared, &self.clocks, flag, step, time)?;
                let flag = self.flags.index(flag);
                self.note(|| TimeOp::Set { src: *src, flag });
            }
            Action::Wait { src, dst, event } => {
                let flag = self.env.flag(*src, *dst, event)?;
                match self.flags.wait(&mut self.clocks, flag, step) {
                    Some(time) => {
                        self.times.wait(*dst, time);
                        self.waited(step, (self.lane(*src), self.lane(*dst)), time);
                    }
                    None => return Err(self.no_set(flag)),
                }
                let flag = self.flags.index(flag);
                self.note(|| TimeOp::Wait { dst: *dst, flag });
            }
            Action::Instr {
                instr,
                cost,
                counted,
            } => {
                let cost = &match counted {
                    Some(rows) => self.cost_of_rows(instr, *cost, rows)?,
                    None => *cost,
                };
                if let Instr::WaitCounter { counter, at_least } = instr
                    && !self.wait(counter, at_least, step)?
                {
                    return Ok(());
                }
                let seq = match self.attempt.seq {
                    Some(seq) => seq,
                    None => self.clocks.issue(self.lane(cost.pipe)),
                };
                self.attempt.seq = Some(seq);
                let done = match &mut self.data {
                    Some(data) => {
                        let access = Access {
                            prepared,
                            clocks: &self.clocks,
                            block: self.index as u32 + 1,
                            core: self.core,
                            pipe: cost.pipe,
                            seq,
                            step,
                            tolerant: self.attempt.tolerant,
                        };
                        let done = execute(instr, &access, &mut self.env, data)?;
                        if data.link.as_ref().is_some_and(|l| l.turn_is_over()) {
                            self.pause = Some(Pause::Turn);
                        }
                        done
                    }
                    None => self.foresee(instr, *counted),
                };
                if done != Done::Nothing {
                    let start = self.times.run(cost);
                    let lane = self.lane(cost.pipe);
                    self.keep(|moments| {
                        moments.runs.push(PipeSpan {
                            lane,
                            step,
                            start,
                            cycles: cost.cycles,
                            gm_bytes: cost.gm_bytes,
                        });
                    });
                    self.note(|| TimeOp::Run(*cost));
                }
                if let Done::Notified(op) = done {
                    self.note(|| op);
                }
            }
        }
        Ok(())
    }

    /// The cost of an instruction on the rows that there are.
    fn cost_of_rows(&self, instr: &Instr, all: Cost, rows: &Expr) -> Result<Cost, Fault> {
        let rows = match self.env.eval(rows) {
            Err(Fault::UninitialisedRegister { .. }) if self.data.is_none() => return Ok(all),
            rows => usize::try_from(rows?).unwrap_or(0),
        };
        let Prepared {
            machine, kernel, ..
        } = self.prepared;
        Ok(timing::cost_of_rows(machine, kernel, instr, rows))
    }

    /// What a timing run knows of the scalar unit after an instruction.
    fn foresee(&mut self, instr: &Instr, counted: Option<&Expr>) -> Done {
        let kernel = self.prepared.kernel;
        if !kernel.expected.is_empty() {
            let mut known = std::mem::take(&mut self.env.known);
            let others = |var: Var| self.env.value(var);
            known.follow(kernel, instr, &others);
            self.env.known = known;
        }
        match counted.map(|rows| self.env.eval(rows)) {
            Some(Ok(rows)) if rows <= 0 => Done::Nothing,
            _ => Done::Something,
        }
    }

    pub fn lane(&self, pipe: Pipe) -> Lane {
        Lane {
            core: self.core,
            pipe,
        }
    }

    fn keep(&mut self, moment: impl FnOnce(&mut Moments)) {
        if let Some(moments) = &mut self.times.moments {
            moment(moments);
        }
    }

    /// Keeps that a pipe waited at a step for what another one set at a time.
    pub(super) fn waited(&mut self, step: usize, (from, to): (Lane, Lane), set: f64) {
        let until = self.times.ready(to.pipe);
        self.keep(|moments| {
            moments.flags.push(FlagSpan {
                step,
                from,
                to,
                set,
                until,
            });
        });
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
            arrays: self.env.arrays.clone(),
            rank: self.env.rank,
            epoch: self.env.epoch,
            sub: self.env.sub,
            known: self.env.known.clone(),
        };
        let mut sets = 0;
        let mut left = 1_000_000;
        count_sets(
            self.prepared,
            self.prepared.body_of(self.core),
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
    prepared: &Prepared,
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
                    count_sets(prepared, body, env, flag, sets, left);
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
                count_sets(prepared, body, env, flag, sets, left);
            }
            Node::Step(step) => {
                if let Action::Set { src, dst, event } = &prepared.steps[*step].action
                    && env.flag(*src, *dst, event) == Ok(flag)
                {
                    *sets += 1;
                }
            }
        }
    }
}
