//! A program on several ranks at once, on data and in time.
//!
//! Start with [`run_ranks`]. Ranks share nothing but windows, so a kernel that touches none runs as in a run of one rank. The
//! blocks of a kernel that does are all on their way at the same time, and take turns with those of all other ranks in an
//! order that an [`Interleaving`] chooses; it also chooses when stores to other ranks arrive. Whether another order would have
//! done something else is not left to luck: see [`fabric`].
//!
//! | file | holds |
//! |---|---|
//! | `fabric` | windows, counters, stores on their way, vector clocks |
//! | `link` | a block's turn, and what it sees of them |
//! | `marks` | who touched which columns of a window's row |
//! | `timeline` | the same run in the order of time |
//! | `random` | seeded choices |
//! | `report`, `error` | what a run tells, and why it stopped |

mod error;
mod fabric;
mod link;
mod marks;
mod random;
mod report;
mod timeline;

pub use error::{Actor, Element, RankFault, Waiting};
pub use report::{RankReport, RanksReport};
pub use timeline::{Because, BlockSpan, CriticalStep, KernelSpan, Timeline};

pub(super) use fabric::{Target, Wait};
pub(super) use link::Link;
pub(super) use timeline::TimeOp;

use super::clock::PipeTimes;
use super::env::Env;
use super::error::{Fault, SimError};
use super::exec::{Attempt, Block, Budget, Frame, Pause};
use super::globals::Globals;
use super::hazards::{Clocks, Flags};
use super::instr::Data;
use super::memory::Core;
use super::prepared::Prepared;
use super::record::Slowest;
use super::{Options, Returned, Unwritten, check, launch, mixed, scalars};
use crate::data::Tensors;
use fabric::{Fabric, Who};
use link::Turn;
use random::Random;
use tilewright_ir::kernel::{Program, Role, is_communication};
use tilewright_ir::machine::Machine;
use timeline::{Scheduler, Work, dependences};
use tracing::debug;

/// How to run several ranks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RankOptions {
    /// Layer runs, one after the other on the same windows.
    pub layers: usize,
    /// Outputs that are inputs of the next layer run, with the names of these inputs.
    pub carried: Vec<(String, String)>,
    pub interleaving: Interleaving,
    pub options: Options,
}

impl Default for RankOptions {
    fn default() -> Self {
        RankOptions {
            layers: 1,
            carried: vec![],
            interleaving: Interleaving::default(),
            options: Options::default(),
        }
    }
}

/// The order in which blocks of all ranks take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interleaving {
    pub pace: Pace,
    /// When stores to other ranks arrive, of those that may.
    pub delivery: Delivery,
    pub seed: u64,
}

/// In which order ranks go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// All blocks in turn.
    Even,
    Random,
    /// This rank moves only if no other can.
    Slow(usize),
    /// This rank moves whenever it can.
    Fast(usize),
}

/// When what was sent arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    Early,
    Random,
    /// When the notification after them is sent.
    Late,
}

impl Default for Interleaving {
    fn default() -> Self {
        Interleaving {
            pace: Pace::Even,
            delivery: Delivery::Late,
            seed: 0,
        }
    }
}

impl Interleaving {
    /// One of many: seeds that follow each other go through all paces, ranks and deliveries.
    pub fn seeded(seed: u64, ranks: usize) -> Self {
        let mut random = Random::new(seed);
        let rank = random.below(ranks);
        let pace = [Pace::Random, Pace::Slow(rank), Pace::Fast(rank), Pace::Even];
        let delivery = [Delivery::Random, Delivery::Late, Delivery::Early];
        Interleaving {
            pace: pace[seed as usize % pace.len()],
            delivery: delivery[seed as usize / pace.len() % delivery.len()],
            seed,
        }
    }
}

/// A block of a kernel that communicates, on its core.
struct Resident<'r, 'a> {
    env: Env<'r>,
    core: Core,
    clocks: Clocks,
    flags: Flags,
    times: PipeTimes,
    frames: Vec<Frame<'r, 'a>>,
    pause: Option<Pause>,
    trace: Vec<TimeOp>,
    over: bool,
}

/// Where a rank is.
struct Rank<'r, 'a, 'i> {
    globals: Globals<'i>,
    scalars: &'r [i64],
    /// Kernels of all layer runs that are over, or on their way.
    started: usize,
    residents: Vec<Resident<'r, 'a>>,
    budget: Budget,
    work: Vec<Vec<Work>>,
}

/// Runs a program on all of its ranks, each with inputs of its own, a layer run after the other.
///
/// # Errors
///
/// The first [`Fault`], with the rank, kernel, block and instruction where it happened; [`Fault::Ranks`] is what goes wrong
/// between ranks.
pub fn run_ranks(
    program: &Program,
    machine: &Machine,
    inputs: &[Tensors],
    options: &RankOptions,
) -> Result<RanksReport, SimError> {
    check::program(program, machine)?;
    check::size(program)?;
    check::ranks(program, inputs, options)?;
    let all_prepared: Vec<Prepared> = program
        .kernels
        .iter()
        .map(|k| Prepared::new(machine, k))
        .collect();
    let talks: Vec<bool> = program
        .kernels
        .iter()
        .map(|k| is_communication(program, k))
        .collect();
    let talking = all_prepared.iter().zip(&talks).filter(|(_, t)| **t);
    let width = talking.map(|(p, _)| p.kernel.launch.blocks()).max();
    let values = inputs
        .iter()
        .map(|i| scalars(program, i))
        .collect::<Result<Vec<_>, _>>()?;
    let mut ranks = vec![];
    for (given, scalars) in inputs.iter().zip(&values) {
        ranks.push(Rank {
            globals: Globals::new(program, given)?,
            scalars,
            started: 0,
            residents: vec![],
            budget: Budget {
                left: options.options.max_statements,
                limit: options.options.max_statements,
            },
            work: vec![],
        });
    }
    let mut run = Run {
        options,
        all_prepared: &all_prepared,
        talks: &talks,
        fabric: Fabric::new(program, &all_prepared, width.unwrap_or(1)),
        random: Random::new(options.interleaving.seed),
        flag_cycles: machine.cross_core_flag.value,
        ranks,
        next: 0,
    };
    run.all()?;
    run.report(program, machine)
}

struct Run<'o, 'r, 'a, 'i> {
    options: &'o RankOptions,
    all_prepared: &'r [Prepared<'a>],
    talks: &'r [bool],
    fabric: Fabric<'r, 'a>,
    random: Random,
    /// Cycles of a cross-core flag.
    flag_cycles: f64,
    ranks: Vec<Rank<'r, 'a, 'i>>,
    /// The block whose turn is next at an even pace.
    next: usize,
}

impl<'r, 'a> Run<'_, 'r, 'a, '_> {
    fn all(&mut self) -> Result<(), SimError> {
        loop {
            self.advance()?;
            let blocks = self.able();
            if blocks.is_empty() {
                return match self.waits() {
                    waits if waits.is_empty() => Ok(()),
                    waits => Err(Fault::from(RankFault::Deadlock { waits }).into()),
                };
            }
            let (rank, block) = self.choose(&blocks);
            self.turn(rank, block)?;
        }
    }

    fn epoch(&self, started: usize) -> usize {
        (started - 1) / self.all_prepared.len().max(1) + 1
    }

    /// Every rank runs on to its next kernel that communicates, side by side.
    fn advance(&mut self) -> Result<(), SimError> {
        let (all_prepared, talks, options) = (self.all_prepared, self.talks, self.options);
        let flag_cycles = self.flag_cycles;
        let idle =
            |r: &Rank| r.residents.is_empty() && r.started < all_prepared.len() * options.layers;
        let run = |number: usize, rank: &mut Rank<'r, 'a, '_>| {
            while idle(rank) && !talks[rank.started % all_prepared.len()] {
                let of = all_prepared.len() * options.layers;
                debug!(progress = "kernels", done = rank.started, of);
                rank.prepare(all_prepared, options)?;
                rank.alone(number, all_prepared, (flag_cycles, options.options.record))?;
            }
            Ok(())
        };
        if self.ranks.iter().filter(|r| idle(r)).count() > 1 {
            let ended: Vec<Result<(), SimError>> = std::thread::scope(|scope| {
                let ranks = self.ranks.iter_mut().enumerate();
                let threads: Vec<_> = ranks
                    .map(|(number, rank)| scope.spawn(move || run(number, rank)))
                    .collect();
                threads
                    .into_iter()
                    .map(|t| t.join().unwrap_or_else(|p| std::panic::resume_unwind(p)))
                    .collect()
            });
            ended.into_iter().collect::<Result<(), _>>()?;
        } else {
            for (number, rank) in self.ranks.iter_mut().enumerate() {
                run(number, rank)?;
            }
        }
        for number in 0..self.ranks.len() {
            let rank = &mut self.ranks[number];
            if !idle(rank) {
                continue;
            }
            rank.prepare(all_prepared, options)?;
            rank.settle(number, all_prepared, options.options.record);
            let epoch = self.epoch(self.ranks[number].started);
            for block in 0..self.ranks[number].residents.len() {
                let who = self.who(number, block, epoch);
                self.fabric.begin(who);
            }
        }
        Ok(())
    }

    fn who(&self, rank: usize, block: usize, epoch: usize) -> Who {
        Who {
            rank,
            block,
            kernel: (self.ranks[rank].started - 1) % self.all_prepared.len(),
            epoch,
        }
    }

    /// Blocks that can do something.
    fn able(&self) -> Vec<(usize, usize)> {
        let mut able = vec![];
        for (r, rank) in self.ranks.iter().enumerate() {
            for (b, resident) in rank.residents.iter().enumerate() {
                let ready = match &resident.pause {
                    Some(Pause::Wait(wait)) => self.fabric.ready(r, wait),
                    _ => true,
                };
                if ready && !resident.over {
                    able.push((r, b));
                }
            }
        }
        able
    }

    fn waits(&self) -> Vec<Waiting> {
        let mut waits = vec![];
        for (r, rank) in self.ranks.iter().enumerate() {
            for (b, resident) in rank.residents.iter().enumerate() {
                if let (Some(Pause::Wait(wait)), false) = (&resident.pause, resident.over) {
                    let who = self.who(r, b, self.epoch(rank.started));
                    waits.push(self.fabric.waiting(who, wait));
                }
            }
        }
        waits
    }

    fn choose(&mut self, able: &[(usize, usize)]) -> (usize, usize) {
        let of = |fits: &dyn Fn(usize) -> bool| -> Vec<(usize, usize)> {
            able.iter().copied().filter(|b| fits(b.0)).collect()
        };
        let some = match self.options.interleaving.pace {
            Pace::Even => {
                let width = able.iter().map(|b| b.1 + 1).max().unwrap_or(1);
                let place = |b: &(usize, usize)| b.0 * width + b.1;
                let next = able.iter().find(|b| place(b) >= self.next);
                let chosen = *next.unwrap_or(&able[0]);
                self.next = place(&chosen) + 1;
                return chosen;
            }
            Pace::Random => vec![],
            Pace::Slow(rank) => of(&|r| r != rank),
            Pace::Fast(rank) => of(&|r| r == rank),
        };
        let of = if some.is_empty() { able } else { &some };
        of[self.random.below(of.len())]
    }

    fn turn(&mut self, number: usize, block: usize) -> Result<(), SimError> {
        let left = match self.options.interleaving.pace {
            Pace::Even => 1,
            _ => 1 + self.random.below(8),
        };
        let epoch = self.epoch(self.ranks[number].started);
        let who = self.who(number, block, epoch);
        let prepared = &self.all_prepared[who.kernel];
        let rank = &mut self.ranks[number];
        let resident = &mut rank.residents[block];
        let mut turn = Turn {
            fabric: &mut self.fabric,
            random: &mut self.random,
            delivery: self.options.interleaving.delivery,
            who,
            left,
        };
        let mut running = Block {
            prepared,
            index: block,
            core: 0,
            env: std::mem::take(&mut resident.env),
            data: Some(Data {
                core: &mut resident.core,
                globals: &mut rank.globals,
                link: Some(&mut turn),
            }),
            clocks: std::mem::take(&mut resident.clocks),
            flags: std::mem::take(&mut resident.flags),
            cross: None,
            times: std::mem::take(&mut resident.times),
            budget: &mut rank.budget,
            frames: std::mem::take(&mut resident.frames),
            pause: None,
            trace: Some(std::mem::take(&mut resident.trace)),
            faults: None,
            attempt: Attempt::default(),
        };
        running.run()?;
        let Block {
            env,
            clocks,
            flags,
            times,
            frames,
            pause,
            trace,
            ..
        } = running;
        *resident = Resident {
            env,
            core: std::mem::take(&mut resident.core),
            clocks,
            flags,
            times,
            frames,
            over: pause.is_none(),
            pause,
            trace: trace.unwrap_or_default(),
        };
        if resident.over {
            self.fabric.end(who);
        }
        if rank.residents.iter().all(|r| r.over) {
            let blocks = rank.residents.drain(..);
            let mut work: Vec<Work> = blocks.map(|r| Work::Shared(r.trace, r.times)).collect();
            let mut slowest = Slowest::default();
            for (block, work) in work.iter_mut().enumerate() {
                slowest.watch(block, work.times_mut());
            }
            give_back(&mut work, slowest);
            rank.work.push(work);
        }
        Ok(())
    }

    fn report(mut self, program: &Program, machine: &Machine) -> Result<RanksReport, SimError> {
        let how = &self.options.options;
        let mut ranks = vec![];
        for rank in &mut self.ranks {
            if how.unwritten == Unwritten::Refuse && rank.started > 0 {
                rank.globals.unwritten().next().map_or(Ok(()), Err)?;
            }
            let mut outputs = rank.globals.take(Role::Output, how.unwritten);
            if how.returned == Returned::OutputsAndWorkspaces {
                outputs.extend(rank.globals.take(Role::Workspace, how.unwritten));
            }
            let last = rank.work.len().saturating_sub(program.kernels.len());
            let kernels = self.all_prepared.iter().zip(&rank.work[last..]);
            let kernels = kernels.map(|(prepared, blocks)| {
                let times: Vec<_> = blocks.iter().map(|b| b.times().clone()).collect();
                launch::report(prepared, &times)
            });
            ranks.push(RankReport {
                outputs,
                kernels: kernels.collect(),
            });
        }
        let work: Vec<_> = self.ranks.into_iter().map(|r| r.work).collect();
        let chain: Vec<Vec<usize>> = (0..program.kernels.len())
            .map(|k| k.checked_sub(1).into_iter().collect())
            .collect();
        let (notifications, remote_stores) = self.fabric.counts();
        Ok(RanksReport {
            ranks,
            sequential: Scheduler::new(program, machine, &work, &chain).run(),
            overlapped: Scheduler::new(program, machine, &work, &dependences(program)).run(),
            notifications,
            remote_stores,
        })
    }
}

/// Gives the slowest block of a kernel what it did.
fn give_back(work: &mut [Work], slowest: Slowest) {
    if let Some((block, moments)) = slowest.end() {
        work[block].times_mut().moments = Some(moments);
    }
}

impl<'r, 'a> Rank<'r, 'a, '_> {
    /// Begins the next kernel.
    fn prepare(
        &mut self,
        all_prepared: &[Prepared],
        options: &RankOptions,
    ) -> Result<(), SimError> {
        if self.started > 0 && self.started.is_multiple_of(all_prepared.len()) {
            if options.options.unwritten == Unwritten::Refuse {
                self.globals.unwritten().next().map_or(Ok(()), Err)?;
            }
            self.globals.next_layer(&options.carried);
        }
        self.globals
            .begin_kernel(&all_prepared[self.started % all_prepared.len()]);
        self.started += 1;
        Ok(())
    }

    fn env(&self, number: usize, all_prepared: &'r [Prepared<'a>], block: usize) -> Env<'r> {
        let prepared = &all_prepared[(self.started - 1) % all_prepared.len()];
        Env {
            rank: number,
            epoch: (self.started - 1) / all_prepared.len() + 1,
            ..Env::new(
                prepared,
                prepared.kernel.launch.coordinates(block),
                self.scalars,
            )
        }
    }

    /// Runs a kernel that touches no windows.
    fn alone(
        &mut self,
        number: usize,
        all_prepared: &'r [Prepared<'a>],
        (flag_cycles, record): (f64, bool),
    ) -> Result<(), SimError> {
        let prepared = &all_prepared[(self.started - 1) % all_prepared.len()];
        let mut cores: Vec<Core> = (0..prepared.cores()).map(|_| Core::new(prepared)).collect();
        let mut work = vec![];
        let mut slowest = Slowest::default();
        for index in 0..prepared.kernel.launch.blocks() {
            let env = self.env(number, all_prepared, index);
            let mut times = mixed::run(mixed::Job {
                prepared,
                index,
                env: &|| env.clone(),
                cores: &mut cores,
                globals: Some(&mut self.globals),
                budget: &mut self.budget,
                faults: None,
                flag_cycles,
                record,
            })?;
            slowest.watch(index, &mut times);
            work.push(Work::Alone(times));
        }
        give_back(&mut work, slowest);
        self.work.push(work);
        Ok(())
    }

    /// Puts the blocks of a kernel on their cores.
    fn settle(&mut self, number: usize, all_prepared: &'r [Prepared<'a>], record: bool) {
        let prepared = &all_prepared[(self.started - 1) % all_prepared.len()];
        self.residents = (0..prepared.kernel.launch.blocks())
            .map(|b| Resident {
                env: self.env(number, all_prepared, b),
                core: Core::new(prepared),
                clocks: Clocks::new(1),
                flags: Flags::new(0, prepared.machine.geometry.event_ids.count()),
                times: PipeTimes::start(record),
                frames: Block::frames(prepared, 0),
                pause: None,
                trace: vec![],
                over: false,
            })
            .collect();
    }
}
