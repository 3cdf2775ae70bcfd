//! The cores of one block: one core, or in a mixed kernel a cube core and its vector cores, and the flags between them.
//!
//! The cores of a block run in turns: each goes on until it waits for a cross-core flag that is not raised. What a block
//! does to data does not depend on the turns, or else a hazard is found: the clocks know what flags order, on all of the
//! block's cores, whoever went first. When all cores that are not at their end wait, it is a deadlock.
//!
//! In time the cores run side by side: a wait holds its core back until the flag is raised there.

use super::clock::PipeTimes;
use super::collect::Faults;
use super::env::Env;
use super::error::{Fault, SimError, core_name};
use super::exec::{Attempt, Block, Budget, Frame, Pause};
use super::globals::Globals;
use super::hazards::{Clock, Clocks, Flags, Lane};
use super::instr::Data;
use super::memory::Core;
use super::prepared::Prepared;
use std::collections::VecDeque;
use tilewright_ir::kernel::Pipe;

/// One block to run.
pub(super) struct Job<'j, 'r, 'a, 'i> {
    pub prepared: &'r Prepared<'a>,
    pub index: usize,
    /// The variables of its cores before their first statement.
    pub env: &'j dyn Fn() -> Env<'r>,
    /// Memories of its cores; none in a timing run.
    pub cores: &'j mut [Core],
    pub globals: Option<&'j mut Globals<'i>>,
    pub budget: &'j mut Budget,
    pub faults: Option<&'j mut Faults>,
    /// Cycles from a set to the end of its wait.
    pub flag_cycles: f64,
    /// Whether what its cores do when is kept.
    pub record: bool,
}

/// A set of a cross-core flag.
struct Raised {
    clock: Clock,
    step: usize,
    pipe: Pipe,
    /// Cycle at which it arrives.
    time: f64,
}

/// The cross-core flags of a block.
pub(super) struct Cross {
    /// By the core that set it, or for sets of the cube core by the core that it counts on.
    raised: Vec<Vec<VecDeque<Raised>>>,
    /// How far a flag counts.
    limit: usize,
    cycles: f64,
}

impl Cross {
    fn new(prepared: &Prepared, cycles: f64) -> Self {
        let geometry = &prepared.machine.geometry;
        let flags = || (0..geometry.cross_flags.count()).map(|_| VecDeque::new());
        Cross {
            raised: (0..prepared.cores()).map(|_| flags().collect()).collect(),
            limit: geometry.cross_limit.count(),
            cycles,
        }
    }

    /// The side that a flag is counted on, as cores whose queues hold it: what a vector core waits for is in its own queue,
    /// what the cube core waits for is in those of all vector cores.
    fn queues(&self, core: u8) -> std::ops::Range<usize> {
        match core {
            0 => 1..self.raised.len(),
            n => n as usize..n as usize + 1,
        }
    }
}

/// A core of a block, when it is not its turn.
struct Resting<'r, 'a> {
    env: Env<'r>,
    flags: Flags,
    times: PipeTimes,
    frames: Vec<Frame<'r, 'a>>,
    pause: Option<Pause>,
    over: bool,
}

/// Runs a block to its end and returns when its pipes were busy: of several cores, for each pipe the busiest one's.
pub(super) fn run(job: Job) -> Result<PipeTimes, SimError> {
    let Job {
        prepared,
        index,
        env,
        cores,
        mut globals,
        budget,
        mut faults,
        flag_cycles,
        record,
    } = job;
    let count = prepared.cores();
    let mut resting: Vec<Resting> = (0..count)
        .map(|core| Resting {
            env: Env {
                sub: core.saturating_sub(1),
                ..env()
            },
            flags: Flags::new(core as u8, prepared.machine.geometry.event_ids.count()),
            times: PipeTimes::start(record),
            frames: Block::frames(prepared, core as u8),
            pause: None,
            over: false,
        })
        .collect();
    for core in cores.iter_mut() {
        core.reset();
    }
    let mut clocks = Clocks::new(count);
    let mut cross = (count > 1).then(|| Cross::new(prepared, flag_cycles));
    loop {
        let mut moved = false;
        for (core, mine) in resting.iter_mut().enumerate() {
            if mine.over {
                continue;
            }
            let data = match (cores.get_mut(core), globals.as_deref_mut()) {
                (Some(core), Some(globals)) => Some(Data {
                    core,
                    globals,
                    link: None,
                }),
                _ => None,
            };
            let before = budget.left;
            let mut block = Block {
                prepared,
                index,
                core: core as u8,
                env: std::mem::take(&mut mine.env),
                data,
                clocks,
                flags: std::mem::take(&mut mine.flags),
                cross,
                times: std::mem::take(&mut mine.times),
                budget,
                frames: std::mem::take(&mut mine.frames),
                pause: None,
                trace: None,
                faults: faults.as_deref_mut(),
                attempt: Attempt::default(),
            };
            block.run()?;
            *mine = Resting {
                env: block.env,
                flags: block.flags,
                times: block.times,
                frames: block.frames,
                over: block.pause.is_none(),
                pause: block.pause,
            };
            (clocks, cross) = (block.clocks, block.cross);
            // A core that only asked again for its flag has spent one statement.
            moved |= mine.over || before - budget.left > 1;
        }
        if resting.iter().all(|c| c.over) {
            break;
        }
        if !moved {
            return Err(deadlock(prepared, index, &resting, env()));
        }
    }
    if let Some(cross) = &cross {
        for (fault, step) in left(prepared, cross) {
            let error = SimError::at(prepared, index, &resting[0].env, step, fault);
            match &mut faults {
                Some(faults) => faults.push(error),
                None => return Err(error),
            }
        }
    }
    Ok(together(resting.into_iter().map(|core| core.times)))
}

/// The times of a block, from those of its cores.
fn together(cores: impl Iterator<Item = PipeTimes>) -> PipeTimes {
    let both = |mut times: PipeTimes, other: PipeTimes| {
        times.beside(&other);
        times
    };
    cores.reduce(both).unwrap_or_default()
}

fn deadlock(prepared: &Prepared, index: usize, resting: &[Resting], env: Env) -> SimError {
    let mut at = None;
    let mut waits = vec![];
    for (core, mine) in resting.iter().enumerate() {
        if let (Some(Pause::Cross { flag, step }), false) = (mine.pause, mine.over) {
            at.get_or_insert(step);
            waits.push(format!(
                "the {} waits for flag {flag} at {}",
                core_name(core as u8),
                prepared.describe(step)
            ));
        }
    }
    SimError::at(
        prepared,
        index,
        &env,
        at.unwrap_or(0),
        Fault::CrossDeadlock { waits },
    )
}

/// Sets that no wait has consumed, each of the two sides of a flag once.
fn left(prepared: &Prepared, cross: &Cross) -> Vec<(Fault, usize)> {
    let mut out: Vec<(Fault, usize)> = vec![];
    let flags = cross.raised.first().map_or(0, Vec::len);
    for flag in 0..flags {
        for queues in &cross.raised {
            if let Some(raised) = queues[flag].front() {
                let set = prepared.describe(raised.step);
                let fault = Fault::UnconsumedCross { flag, set };
                if out.iter().all(|(f, _)| *f != fault) {
                    out.push((fault, raised.step));
                }
            }
        }
    }
    out
}

impl Block<'_, '_, '_, '_> {
    pub(super) fn set_cross(&mut self, pipe: Pipe, flag: usize, step: usize) -> Result<(), Fault> {
        let lane = self.lane(pipe);
        let clock = self.clocks.token(lane);
        let ready = self.times.ready(pipe);
        let Some(cross) = &mut self.cross else {
            return Ok(());
        };
        let time = ready + cross.cycles;
        // What the cube core sets is raised on each vector core, what a vector core sets is its part of the cube core's.
        let mut over = false;
        let limit = cross.limit;
        for core in cross.queues(self.core) {
            let queue = &mut cross.raised[core][flag];
            over |= queue.len() >= limit;
            queue.push_back(Raised {
                clock: clock.clone(),
                step,
                pipe,
                time,
            });
        }
        match over {
            true => Err(Fault::CrossOverflow { flag, limit }),
            false => Ok(()),
        }
    }

    /// Lowers a flag, or pauses until it is raised.
    pub(super) fn wait_cross(&mut self, flag: usize, step: usize) {
        let core = self.core;
        let Some(cross) = &mut self.cross else {
            return;
        };
        let cycles = cross.cycles;
        let raised = cross
            .queues(core)
            .all(|c| !cross.raised[c][flag].is_empty());
        if !raised {
            self.pause = Some(Pause::Cross { flag, step });
            return;
        }
        let dst = Lane {
            core,
            pipe: Pipe::S,
        };
        let queues = cross.queues(core);
        let raised: Vec<(usize, Raised)> = queues
            .filter_map(|c| Some((c, cross.raised[c][flag].pop_front()?)))
            .collect();
        for (queue, raised) in raised {
            self.clocks.join(dst, &raised.clock);
            self.times.wait(Pipe::S, raised.time);
            let from = Lane {
                core: if core == 0 { queue as u8 } else { 0 },
                pipe: raised.pipe,
            };
            self.waited(step, (from, dst), raised.time - cycles);
        }
    }
}
