//! When kernels of all ranks run: blocks on cores, launches, waits for other ranks, and what the last of them hung on.
//!
//! The interleaving in which data were computed says nothing about time. Here the same blocks run again in the order of time: a kernel
//! is launched when those that it depends on are over, blocks take cores as they become ready, and a wait ends with what it waits for.

use super::super::clock::PipeTimes;
use super::super::launch::{Wave, cores_of_unit, launch_us, memory_us, shared_cycles, step_us};
use serde::Serialize;
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use tilewright_ir::kernel::{Kernel, Pipe, Program, Unit, is_communication};
use tilewright_ir::machine::Machine;
use tilewright_ir::timing::Cost;

/// The number of a notification in the run.
pub(in super::super) type Arrival = usize;

/// What a block that communicates does in time.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum TimeOp {
    Run(Cost),
    Set {
        src: Pipe,
        flag: usize,
    },
    Wait {
        dst: Pipe,
        flag: usize,
    },
    /// After the instruction's own [`TimeOp::Run`].
    Notify {
        arrival: Arrival,
        far: bool,
    },
    Await {
        needs: Vec<Arrival>,
    },
}

/// What a block does in time.
pub(super) enum Work {
    /// It waits for nobody.
    Alone(PipeTimes),
    Shared(Vec<TimeOp>, PipeTimes),
}

impl Work {
    pub fn times(&self) -> &PipeTimes {
        match self {
            Work::Alone(times) | Work::Shared(_, times) => times,
        }
    }

    pub fn times_mut(&mut self) -> &mut PipeTimes {
        match self {
            Work::Alone(times) | Work::Shared(_, times) => times,
        }
    }
}

/// The kernels of all ranks in time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timeline {
    /// Microseconds from the first launch to the end of the last block.
    pub us: f64,
    /// By rank, then in program order, a layer run after the other.
    pub kernels: Vec<KernelSpan>,
    /// What the end hung on, first to last.
    pub critical: Vec<CriticalStep>,
}

/// One kernel of one rank in one layer run, in microseconds from the first launch of all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KernelSpan {
    pub rank: usize,
    pub epoch: usize,
    pub kernel: String,
    pub unit: Unit,
    /// When it was launched.
    pub start_us: f64,
    /// When its first block started.
    pub begin_us: f64,
    pub end_us: f64,
    /// The longest that one of its blocks waited for other blocks.
    pub waited_us: f64,
    pub blocks: Vec<BlockSpan>,
}

/// One block on its core.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BlockSpan {
    pub core: usize,
    pub start_us: f64,
    pub end_us: f64,
    pub waited_us: f64,
}

/// A part of the critical path.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CriticalStep {
    pub rank: usize,
    pub epoch: usize,
    pub kernel: String,
    pub block: usize,
    pub start_us: f64,
    pub end_us: f64,
    /// Why it did not begin earlier.
    pub because: Because,
}

/// Why a kernel goes on when it does.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// It is the first.
    Start,
    /// A kernel of its rank had to be over.
    Kernel { kernel: String },
    /// Its core was busy.
    Core { kernel: String, block: usize },
    /// It waited for a notification.
    Notification {
        rank: usize,
        kernel: String,
        block: usize,
    },
}

/// A block: rank, kernel in the order of the rank's run, block.
type At = (usize, usize, usize);

#[derive(Clone, Copy, PartialEq)]
struct Time(f64);

impl Eq for Time {}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A block is over and its core free.
    End(At),
    /// A kernel's blocks may start.
    Ready(usize, usize),
}

#[derive(Clone, Default)]
struct BlockState {
    core: usize,
    start: f64,
    end: f64,
    waited: f64,
    /// Waits that held it up: when they ended, and the notification.
    stalls: Vec<(f64, Arrival)>,
    /// Who had the core before.
    before: Option<At>,
    next: usize,
    times: PipeTimes,
    flags: BTreeMap<usize, f64>,
}

struct KernelState {
    missing: usize,
    /// The kernel of its rank that ended last of those that it depends on.
    cause: Option<usize>,
    start: f64,
    ready: f64,
    left: usize,
    blocks: Vec<BlockState>,
}

/// Which kernels of one layer run an earlier one of the same run must precede: those that share a tensor that one of them
/// writes, and those that touch windows.
pub(super) fn dependences(program: &Program) -> Vec<Vec<usize>> {
    let touched: Vec<_> = program.kernels.iter().map(Kernel::accesses).collect();
    let talks: Vec<_> = program
        .kernels
        .iter()
        .map(|k| is_communication(program, k))
        .collect();
    let meet = |a: &[String], b: &[String]| a.iter().any(|x| b.contains(x));
    (0..program.kernels.len())
        .map(|k| {
            let (reads, writes) = &touched[k];
            (0..k)
                .filter(|&i| {
                    let (r, w) = &touched[i];
                    meet(w, reads) || meet(w, writes) || meet(r, writes) || talks[i] && talks[k]
                })
                .collect()
        })
        .collect()
}

/// All kernels of all ranks on their cores.
pub(super) struct Scheduler<'r> {
    program: &'r Program,
    machine: &'r Machine,
    /// By rank, kernel in the order of the run, block.
    work: &'r [Vec<Vec<Work>>],
    followers: Vec<Vec<usize>>,
    state: Vec<Vec<KernelState>>,
    events: BinaryHeap<Reverse<(Time, Event)>>,
    /// By rank and unit.
    waiting: Vec<[BTreeSet<(Time, usize, usize)>; 3]>,
    /// By rank, cube cores and vector cores.
    free: Vec<[BTreeSet<usize>; 2]>,
    last_on: Vec<[BTreeMap<usize, At>; 2]>,
    /// When each notification arrives, and whose it is.
    arrived: BTreeMap<Arrival, (f64, At)>,
    blocked: BTreeMap<Arrival, Vec<At>>,
}

impl<'r> Scheduler<'r> {
    /// `before[k]` are the kernels of the same layer run that kernel `k` starts after.
    pub fn new(
        program: &'r Program,
        machine: &'r Machine,
        work: &'r [Vec<Vec<Work>>],
        before: &[Vec<usize>],
    ) -> Self {
        let count = program.kernels.len();
        let total = work.first().map_or(0, Vec::len);
        let mut followers = vec![vec![]; total];
        let mut missing = vec![0; total];
        for i in 0..total {
            let base = i - i % count.max(1);
            // A layer run starts when the one before it is over.
            let earlier = base.saturating_sub(count)..base;
            let own = before[i % count].iter().map(|b| base + b);
            for b in earlier.chain(own) {
                followers[b].push(i);
                missing[i] += 1;
            }
        }
        let cores = |unit| 0..cores_of_unit(machine, unit);
        Scheduler {
            program,
            machine,
            work,
            followers,
            state: work
                .iter()
                .map(|kernels| {
                    let state = |(i, blocks): (usize, &Vec<Work>)| KernelState {
                        missing: missing[i],
                        cause: None,
                        start: 0.0,
                        ready: 0.0,
                        left: blocks.len(),
                        blocks: vec![BlockState::default(); blocks.len()],
                    };
                    kernels.iter().enumerate().map(state).collect()
                })
                .collect(),
            events: BinaryHeap::new(),
            waiting: vec![Default::default(); work.len()],
            free: vec![[cores(Unit::Cube).collect(), cores(Unit::Vector).collect()]; work.len()],
            last_on: vec![Default::default(); work.len()],
            arrived: BTreeMap::new(),
            blocked: BTreeMap::new(),
        }
    }

    fn kernel(&self, k: usize) -> &'r Kernel {
        &self.program.kernels[k % self.program.kernels.len()]
    }

    pub fn run(mut self) -> Timeline {
        for rank in 0..self.work.len() {
            for k in 0..self.work[rank].len() {
                if self.state[rank][k].missing == 0 {
                    self.launch(rank, k, 0.0);
                }
            }
        }
        while let Some(Reverse((Time(now), event))) = self.events.pop() {
            let rank = match event {
                Event::Ready(rank, k) => {
                    let blocks = 0..self.work[rank][k].len();
                    let unit = self.kernel(k).unit as usize;
                    self.waiting[rank][unit].extend(blocks.map(|b| (Time(now), k, b)));
                    rank
                }
                Event::End(at) => {
                    self.end(at, now);
                    at.0
                }
            };
            // A mixed block takes cores of both types, so that any end may let any kernel start.
            for unit in [Unit::Mixed, Unit::Cube, Unit::Vector] {
                while !self.waiting[rank][unit as usize].is_empty()
                    && let Some(core) = self.take(rank, unit)
                    && let Some((_, k, b)) = self.waiting[rank][unit as usize].pop_first()
                {
                    self.start((rank, k, b), core, now);
                }
            }
        }
        self.timeline()
    }

    fn launch(&mut self, rank: usize, k: usize, now: f64) {
        let ready = now + launch_us(self.machine, self.kernel(k));
        let state = &mut self.state[rank][k];
        (state.start, state.ready) = (now, ready);
        self.events
            .push(Reverse((Time(ready), Event::Ready(rank, k))));
    }

    /// The vector cores of a cube core.
    fn vectors(&self) -> impl Fn(usize) -> std::ops::Range<usize> + use<> {
        let sub_blocks = self.machine.geometry.sub_blocks.count();
        move |core| core * sub_blocks..(core + 1) * sub_blocks
    }

    /// Takes a free core; for a mixed block a cube core with its vector cores.
    fn take(&mut self, rank: usize, unit: Unit) -> Option<usize> {
        let vectors = self.vectors();
        let [cube, vector] = &mut self.free[rank];
        match unit {
            Unit::Cube => cube.pop_first(),
            Unit::Vector => vector.pop_first(),
            Unit::Mixed => {
                let whole = |c: &&usize| vectors(**c).all(|v| vector.contains(&v));
                let core = *cube.iter().find(whole)?;
                cube.remove(&core);
                vectors(core).for_each(|v| {
                    vector.remove(&v);
                });
                Some(core)
            }
        }
    }

    fn start(&mut self, at: At, core: usize, now: f64) {
        let vectors = self.vectors();
        let [cube, vector] = &mut self.last_on[at.0];
        let before = match self.program.kernels[at.1 % self.program.kernels.len()].unit {
            Unit::Cube => cube.insert(core, at),
            Unit::Vector => vector.insert(core, at),
            Unit::Mixed => {
                vectors(core).for_each(|v| {
                    vector.insert(v, at);
                });
                cube.insert(core, at)
            }
        };
        let earliest = step_us(self.machine, self.kernel(at.1)) * at.2 as f64;
        let state = &mut self.state[at.0][at.1];
        let start = now.max(state.ready + earliest);
        state.blocks[at.2] = BlockState {
            core,
            start,
            before,
            ..BlockState::default()
        };
        self.go_on(at);
    }

    /// Runs a block until it waits for what has not been sent yet, and whoever waits for what it sends.
    fn go_on(&mut self, at: At) {
        let mut list = vec![at];
        while let Some(at) = list.pop() {
            let (rank, k, b) = at;
            let mut block = std::mem::take(&mut self.state[rank][k].blocks[b]);
            let over = match &self.work[rank][k][b] {
                Work::Alone(times) => {
                    block.times = times.clone();
                    true
                }
                Work::Shared(ops, _) => self.replay(at, ops, &mut block, &mut list),
            };
            if over {
                let (kernel, works) = (self.kernel(k), &self.work[rank][k]);
                let all: Vec<&PipeTimes> = works.iter().map(Work::times).collect();
                let wave = Wave::of(cores_of_unit(self.machine, kernel.unit), &all, b);
                let cycles = shared_cycles(self.machine, wave, &block.times);
                // What the blocks up to this one touch has come from HBM.
                let bytes = all.iter().map(|t| t.gm_bytes as f64).sum();
                let memory = memory_us(self.machine, kernel, bytes) * (b + 1) as f64;
                let there = self.state[rank][k].ready + memory / all.len() as f64;
                block.end = (block.start + self.machine.micros(cycles)).max(there);
                self.events.push(Reverse((Time(block.end), Event::End(at))));
            }
            self.state[rank][k].blocks[b] = block;
        }
    }

    /// `false` if the block has to wait.
    fn replay(
        &mut self,
        at: At,
        ops: &[TimeOp],
        block: &mut BlockState,
        list: &mut Vec<At>,
    ) -> bool {
        let clock = self.machine.clock_mhz.value;
        while let Some(op) = ops.get(block.next) {
            match op {
                TimeOp::Run(cost) => {
                    block.times.run(cost);
                }
                TimeOp::Set { src, flag } => {
                    block.flags.insert(*flag, block.times.ready(*src));
                }
                TimeOp::Wait { dst, flag } => {
                    if let Some(time) = block.flags.remove(flag) {
                        block.times.wait(*dst, time);
                    }
                }
                TimeOp::Notify { arrival, far } => {
                    // The instruction has waited for the way there and back.
                    let back = match far {
                        true => self.machine.link_cycles(),
                        false => 0.0,
                    };
                    let cycles = block.times.ready(Pipe::S) - back;
                    let time = block.start + self.machine.micros(cycles);
                    self.arrived.insert(*arrival, (time, at));
                    list.extend(self.blocked.remove(arrival).unwrap_or_default());
                }
                TimeOp::Await { needs } => {
                    let missing = needs.iter().find(|n| !self.arrived.contains_key(n));
                    if let Some(missing) = missing {
                        self.blocked.entry(*missing).or_default().push(at);
                        return false;
                    }
                    let last = needs
                        .iter()
                        .max_by(|a, b| self.arrived[a].0.total_cmp(&self.arrived[b].0));
                    // What the block told itself it does not wait for, however times are rounded.
                    if let Some(last) = last.filter(|n| self.arrived[*n].1 != at) {
                        let time = self.arrived[last].0;
                        let before = block.times.ready(Pipe::S);
                        let until = (time - block.start) * clock;
                        if until > before {
                            block.waited += (until - before) / clock;
                            block.stalls.push((time, *last));
                            block.times.wait(Pipe::S, until);
                        }
                    }
                }
            }
            block.next += 1;
        }
        true
    }

    fn end(&mut self, (rank, k, b): At, now: f64) {
        let core = self.state[rank][k].blocks[b].core;
        let unit = self.kernel(k).unit;
        let vectors = self.vectors();
        let [cube, vector] = &mut self.free[rank];
        match unit {
            Unit::Cube => {
                cube.insert(core);
            }
            Unit::Vector => {
                vector.insert(core);
            }
            Unit::Mixed => {
                cube.insert(core);
                vector.extend(vectors(core));
            }
        }
        self.state[rank][k].left -= 1;
        if self.state[rank][k].left > 0 {
            return;
        }
        for f in self.followers[k].clone() {
            let follower = &mut self.state[rank][f];
            follower.missing -= 1;
            // The last one to end is the last one to come here.
            follower.cause = Some(k);
            if follower.missing == 0 {
                self.launch(rank, f, now);
            }
        }
    }

    fn timeline(self) -> Timeline {
        let count = self.program.kernels.len();
        let mut kernels = vec![];
        for (rank, states) in self.state.iter().enumerate() {
            for (k, s) in states.iter().enumerate() {
                let fold = |f: fn(f64, f64) -> f64, from: f64, of: fn(&BlockState) -> f64| {
                    s.blocks.iter().map(of).fold(from, f)
                };
                kernels.push(KernelSpan {
                    rank,
                    epoch: k / count + 1,
                    kernel: self.kernel(k).name.clone(),
                    unit: self.kernel(k).unit,
                    start_us: s.start,
                    begin_us: fold(f64::min, f64::INFINITY, |b| b.start),
                    end_us: fold(f64::max, 0.0, |b| b.end),
                    waited_us: fold(f64::max, 0.0, |b| b.waited),
                    blocks: s
                        .blocks
                        .iter()
                        .map(|b| BlockSpan {
                            core: b.core,
                            start_us: b.start,
                            end_us: b.end,
                            waited_us: b.waited,
                        })
                        .collect(),
                });
            }
        }
        Timeline {
            us: kernels.iter().map(|k| k.end_us).fold(0.0, f64::max),
            critical: self.critical(),
            kernels,
        }
    }

    /// The last block of a kernel.
    fn last_block(&self, rank: usize, k: usize) -> At {
        let blocks = &self.state[rank][k].blocks;
        let last = (0..blocks.len()).fold(0, |best, b| match blocks[b].end > blocks[best].end {
            true => b,
            false => best,
        });
        (rank, k, last)
    }

    /// From the last block back to the first launch.
    fn critical(&self) -> Vec<CriticalStep> {
        let all = (0..self.state.len())
            .flat_map(|r| (0..self.state[r].len()).map(move |k| (r, k)))
            .map(|(r, k)| self.last_block(r, k));
        let end = |at: &At| self.state[at.0][at.1].blocks[at.2].end;
        let Some(mut at) = all.reduce(|a, b| if end(&b) > end(&a) { b } else { a }) else {
            return vec![];
        };
        let mut until = end(&at);
        let mut steps = vec![];
        loop {
            let (rank, k, b) = at;
            let kernel = &self.state[rank][k];
            let block = &kernel.blocks[b];
            // Blocks that tell each other at one moment lead nowhere.
            let stall = block.stalls.iter().rev().find(|s| s.0 < until);
            let (start, because, next) = match (stall, block.before, kernel.cause) {
                (Some(&(time, arrival)), ..) => {
                    let from = self.arrived[&arrival].1;
                    let because = Because::Notification {
                        rank: from.0,
                        kernel: self.kernel(from.1).name.clone(),
                        block: from.2,
                    };
                    (time, because, Some((from, time)))
                }
                (None, Some(before), _) if block.start > kernel.ready => {
                    let because = Because::Core {
                        kernel: self.kernel(before.1).name.clone(),
                        block: before.2,
                    };
                    (block.start, because, Some((before, block.start)))
                }
                (None, _, Some(cause)) => {
                    let because = Because::Kernel {
                        kernel: self.kernel(cause).name.clone(),
                    };
                    let next = (self.last_block(rank, cause), kernel.start);
                    (kernel.start, because, Some(next))
                }
                (None, _, None) => (kernel.start, Because::Start, None),
            };
            steps.push(CriticalStep {
                rank,
                epoch: k / self.program.kernels.len() + 1,
                kernel: self.kernel(k).name.clone(),
                block: b,
                start_us: start,
                end_us: until,
                because,
            });
            match next {
                Some((before, time)) => (at, until) = (before, time),
                None => break,
            }
        }
        steps.reverse();
        steps
    }
}
