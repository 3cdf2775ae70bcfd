//! The scoreboard: a block's time from its instructions, pipe by pipe, and a launch's from its blocks'.

use super::code::{Code, Step, asks, flatten};
use super::expects::{Expects, Kinds};
use super::{Estimate, launch_us};
use crate::kernel::cross::{Handover, handovers, parts};
use std::ops::Range;
use tilewright_ir::kernel::{Cond, Instr, Kernel, LoopId, Pipe, Space, TileRef, Unit};
use tilewright_ir::machine::Machine;
use tilewright_ir::timing;

/// Estimates a kernel.
pub fn estimate(kernel: &Kernel, machine: &Machine) -> Estimate {
    let kinds = Kinds::of(kernel, KINDS);
    let times: Vec<BlockTime> = kinds
        .samples
        .iter()
        .map(|b| block(kernel, machine, *b))
        .collect();
    let slowest = times
        .iter()
        .fold(&times[0], |a, b| if b.cycles > a.cycles { b } else { a });
    let clock = machine.clock_mhz.value;
    // Bytes a cycle that all cores share.
    let rate = |gigabytes: f64| gigabytes * 1e3 / clock;
    let blocks = kernel.launch.blocks();
    let cores = cores(kernel.unit, machine);
    let step = machine.runtime().step(kernel.launch.kind);
    let shared = |t: &BlockTime, company: &Company| {
        let share = |own: f64, all: f64| (own * company.blocks).min(all);
        let gm = share(t.gm_bytes, company.gm_bytes) / rate(machine.l2_bandwidth.value);
        let link = share(t.link_bytes, company.link_bytes) / rate(machine.link_bandwidth.value);
        t.cycles.max(gm).max(link)
    };
    let (work, alone, gm_bytes) = match times.as_slice() {
        [all] => {
            let active = (blocks as f64).min(cores);
            let block = shared(all, &Company::of(std::iter::repeat_n(all, active as usize)));
            let waves = (blocks as f64 / cores).ceil();
            // Cores are free before the scheduler has started all blocks, or the other way around.
            let started = step * (blocks as f64 - 1.0);
            let work = |block: f64| (waves * block / clock).max(started + block / clock);
            (work(block), work(all.cycles), all.gm_bytes * blocks as f64)
        }
        _ => {
            let order: Vec<&BlockTime> = (0..blocks).map(|b| &times[kinds.kind(b)]).collect();
            let mut free = vec![0.0_f64; (cores as usize).min(blocks)];
            let mut alone = 0.0;
            for (w, wave) in order.chunks(free.len()).enumerate() {
                let company = Company::of(wave.iter().copied());
                for (b, t) in wave.iter().enumerate() {
                    // The core that is free first.
                    let core =
                        (0..free.len()).fold(0, |a, c| if free[c] < free[a] { c } else { a });
                    let started = step * (w * free.len() + b) as f64 * clock;
                    free[core] = free[core].max(started) + shared(t, &company);
                    alone += t.cycles / clock / free.len() as f64;
                }
            }
            let end = free.iter().copied().fold(0.0, f64::max);
            let bytes = order.iter().map(|t| t.gm_bytes).sum();
            (end / clock, alone, bytes)
        }
    };
    let once = timing::distinct(machine, kernel).min(gm_bytes);
    let memory = once / rate(machine.gm_bandwidth.value) / clock;
    let us = launch_us(kernel, machine) + work.max(memory);
    Estimate {
        us,
        cycles: us * clock,
        block_cycles: slowest.cycles,
        alone_cycles: alone * clock,
        pipes: slowest.pipes,
        gm_bytes,
    }
}

/// How many kinds of blocks are looked at: those without rows, one that has as many rows as most, and the longest.
const KINDS: usize = 3;

/// What a block takes by itself.
struct BlockTime {
    cycles: f64,
    pipes: [f64; Pipe::ALL.len()],
    gm_bytes: f64,
    link_bytes: f64,
}

/// Blocks that are on cores at the same time, and what they move together.
struct Company {
    blocks: f64,
    gm_bytes: f64,
    link_bytes: f64,
}

impl Company {
    fn of<'t>(blocks: impl Iterator<Item = &'t BlockTime>) -> Self {
        let none = Company {
            blocks: 0.0,
            gm_bytes: 0.0,
            link_bytes: 0.0,
        };
        blocks.fold(none, |all, t| Company {
            blocks: all.blocks + 1.0,
            gm_bytes: all.gm_bytes + t.gm_bytes,
            link_bytes: all.link_bytes + t.link_bytes,
        })
    }
}

/// What block `index` of a kernel takes.
fn block(kernel: &Kernel, machine: &Machine, index: usize) -> BlockTime {
    let expects = || Expects::of(kernel, machine, index);
    let mut pipes = [0.0; Pipe::ALL.len()];
    let (cycles, gm_bytes, link_bytes) = match parts(kernel) {
        Some((cube, vector)) => {
            let handovers = handovers(kernel, &machine.geometry).unwrap_or_default();
            let feeds = handovers.iter().any(|l| l.maker == Unit::Vector);
            let (first, second) = if feeds {
                (vector, cube)
            } else {
                (cube, vector)
            };
            let mut made = Board::new(kernel, &handovers, Side::Makes, expects());
            made.run(&flatten(first, kernel, machine));
            let uses = Side::Uses(made.arrivals(machine));
            let mut used = Board::new(kernel, &handovers, uses, expects());
            used.run(&flatten(second, kernel, machine));
            for (i, pipe) in pipes.iter_mut().enumerate() {
                *pipe = made.busy[i].max(used.busy[i]);
            }
            let end = made.end().max(used.end());
            let (cube, vector) = if feeds { (used, made) } else { (made, used) };
            // All vector cores do the same, on data of their own.
            let bytes = cube.gm_bytes + machine.geometry.sub_blocks.value * vector.gm_bytes;
            (end, bytes, 0.0)
        }
        None => {
            let mut board = Board::new(kernel, &[], Side::Alone, expects());
            board.run(&flatten(&kernel.body, kernel, machine));
            pipes = board.busy;
            (board.end(), board.gm_bytes, board.link_bytes)
        }
    };
    BlockTime {
        cycles: cycles + machine.block_head.value,
        pipes,
        gm_bytes,
        link_bytes,
    }
}

/// Cores that a block of a kernel takes one of; a mixed one takes a cube core with its vector cores.
fn cores(unit: Unit, machine: &Machine) -> f64 {
    match unit {
        Unit::Cube => machine.cube_cores.value,
        Unit::Vector => machine.vector_cores.value,
        Unit::Mixed => (machine.cube_cores.value)
            .min((machine.vector_cores.value / machine.geometry.sub_blocks.value).floor())
            .max(1.0),
    }
}

/// Which part of a mixed kernel a board runs.
#[derive(Clone)]
enum Side {
    /// A kernel of one core type.
    Alone,
    /// The part that makes what goes over handovers.
    Makes,
    /// The part that uses it: when the first trip's is there, and how long after it each further one's.
    Uses(Vec<(f64, f64)>),
}

#[derive(Clone)]
struct Board<'l> {
    /// When each pipe is free.
    pipes: [f64; Pipe::ALL.len()],
    busy: [f64; Pipe::ALL.len()],
    gm_bytes: f64,
    link_bytes: f64,
    /// When the scalar unit issues the next instruction.
    issue: f64,
    /// When each slot of each tile is written, and read for the last time.
    written: Vec<Vec<f64>>,
    read: Vec<Vec<f64>>,
    counters: Vec<usize>,
    /// Whether a tile of sums is stored while the next one adds up.
    two_sums: bool,
    handovers: &'l [Handover],
    side: Side,
    /// Of each handover, when the first and the last store ended, and how many there were.
    stored: Vec<Option<(f64, f64, f64)>>,
    /// What is known of the scalar unit, where the kernel expects anything.
    expects: Option<Expects<'l>>,
}

impl<'l> Board<'l> {
    fn new(
        kernel: &Kernel,
        handovers: &'l [Handover],
        side: Side,
        expects: Option<Expects<'l>>,
    ) -> Self {
        Board {
            pipes: [0.0; Pipe::ALL.len()],
            busy: [0.0; Pipe::ALL.len()],
            gm_bytes: 0.0,
            link_bytes: 0.0,
            issue: 0.0,
            written: kernel.tiles.iter().map(|t| vec![0.0; t.slots]).collect(),
            read: kernel.tiles.iter().map(|t| vec![0.0; t.slots]).collect(),
            counters: vec![0; kernel.loops.len()],
            two_sums: kernel
                .tiles
                .iter()
                .any(|t| t.space == Space::L0c && t.slots > 1),
            handovers,
            side,
            stored: vec![None; handovers.len()],
            expects,
        }
    }

    fn end(&self) -> f64 {
        self.pipes.iter().fold(self.issue, |a, b| a.max(*b))
    }

    /// When what goes over each handover is there: the first trip's, and the time between trips. The ring is taken to be deep
    /// enough: a part that waits for a slot waits for a slower part, which then decides how long both take.
    fn arrivals(&self, machine: &Machine) -> Vec<(f64, f64)> {
        let flag = machine.cross_core_flag.value;
        let of = self.handovers.iter().zip(&self.stored);
        of.map(|(handover, stored)| {
            let (first, last, stores) = stored.unwrap_or_default();
            // Of rows that do not exist there are no trips.
            let trips = (handover.trips as f64).min(stores);
            (first + flag, (last - first) / (trips - 1.0).max(1.0))
        })
        .collect()
    }

    /// The trip of a handover that the loops around its loads are in.
    fn trip(&self, handover: &Handover) -> usize {
        let loops = &handover.loads.loops;
        loops
            .iter()
            .fold(0, |n, (id, trips)| n * trips + self.counters[*id])
    }

    fn run(&mut self, code: &[Code]) {
        for c in code {
            match c {
                Code::Loop {
                    id,
                    trips,
                    body,
                    globals,
                } => {
                    // What comes at once is waited for before a loop that loads it.
                    for (i, handover) in self.handovers.iter().enumerate() {
                        let outside = handover.loads.loops.iter().all(|(l, _)| l != id);
                        if outside && globals.contains(&handover.tensor.as_str()) {
                            self.await_link(i);
                        }
                    }
                    self.run_loop(*id, *trips, body);
                }
                Code::First {
                    id,
                    then,
                    otherwise,
                } => match self.counters[*id] {
                    0 => self.run(then),
                    _ => self.run(otherwise),
                },
                Code::If {
                    cond,
                    then,
                    otherwise,
                } => match self.holds(cond) {
                    Some(false) => self.run(otherwise),
                    Some(true) => self.run(then),
                    None => {
                        let before = self.expects.clone();
                        self.run(then);
                        if let (Some(now), Some(before)) = (&mut self.expects, before) {
                            now.unsure_since(&before);
                        }
                    }
                },
                Code::Instr(step) => self.step(step),
            }
        }
    }

    /// The wait for a trip of a handover holds back the whole core.
    fn await_link(&mut self, handover: usize) {
        if let Side::Uses(arrivals) = &self.side {
            let (first, period) = arrivals[handover];
            let there = first + period * self.trip(&self.handovers[handover]) as f64;
            self.issue = self.issue.max(there);
        }
    }

    fn slot(&self, r: &TileRef) -> usize {
        let slots = self.written[r.tile].len();
        r.slot.map_or(0, |l| self.counters[l] % slots)
    }

    fn holds(&self, cond: &Cond) -> Option<bool> {
        self.expects.as_ref()?.holds(cond, &self.counters)
    }

    fn step(&mut self, step: &Step) {
        let Step {
            reads,
            writes,
            global,
            ..
        } = step;
        let mut cost = step.cost;
        if let Some(expects) = &mut self.expects {
            expects.follow(step.instr, &self.counters);
            match expects.rows(step.instr, &self.counters) {
                None => {}
                Some(0) => return,
                Some(rows) => cost = expects.cost_of_rows(step.instr, rows),
            }
        }
        let pipe = cost.pipe as usize;
        let handover = self
            .handovers
            .iter()
            .position(|l| Some(l.tensor.as_str()) == *global);
        if let Some(i) = handover {
            self.await_link(i);
        }
        let mut start = self.pipes[pipe].max(self.issue);
        // Peers are told of what has been stored and read.
        if matches!(step.instr, Instr::Notify { .. }) {
            start = start.max(self.end());
        }
        for r in reads {
            start = start.max(self.written[r.tile][self.slot(r)]);
        }
        for w in writes {
            let slot = self.slot(w);
            start = start
                .max(self.written[w.tile][slot])
                .max(self.read[w.tile][slot]);
        }
        let end = start + cost.cycles;
        for r in reads {
            let slot = self.slot(r);
            self.read[r.tile][slot] = self.read[r.tile][slot].max(end);
        }
        for w in writes {
            let slot = self.slot(w);
            self.written[w.tile][slot] = end;
        }
        self.pipes[pipe] = end;
        self.busy[pipe] += cost.cycles;
        self.gm_bytes += cost.gm_bytes as f64;
        self.link_bytes += cost.link_bytes as f64;
        if cost.pipe == Pipe::S {
            self.issue = end;
        }
        if let (Some(i), Side::Makes) = (handover, &self.side) {
            let (first, _, stores) = self.stored[i].unwrap_or((end, end, 0.0));
            self.stored[i] = Some((first, end, stores + 1.0));
        }
    }

    /// Trips that are followed one by one: enough for a pipeline of the deepest kind to fill.
    const FOLLOWED: usize = 8;
    /// The same of a loop with conditions on counts.
    const COUNTED: usize = 256;
    /// Trips over which a period is measured; a multiple of every depth but 3, whose error it bounds.
    const PERIOD: usize = 4;

    fn run_loop(&mut self, id: LoopId, trips: usize, body: &[Code]) {
        let busy = self.busy_trips(id, trips, body);
        self.run_trips(id, 0..busy, body);
        self.run_trips(id, busy..trips, body);
    }

    /// Trips of a loop up to the first one that finds its condition not to hold, as those after it do. All, where none is known.
    fn busy_trips(&self, id: LoopId, trips: usize, body: &[Code]) -> usize {
        let Some(expects) = &self.expects else {
            return trips;
        };
        let idle = |trip: usize| {
            let mut counters = self.counters.clone();
            counters[id] = trip;
            let mut known = expects.clone();
            for code in body {
                match code {
                    Code::Instr(step) => known.follow(step.instr, &counters),
                    Code::If { cond, .. } => return known.holds(cond, &counters) == Some(false),
                    Code::Loop { .. } | Code::First { .. } => return false,
                }
            }
            false
        };
        if trips == 0 || !idle(trips - 1) {
            return trips;
        }
        let (mut low, mut high) = (0, trips - 1);
        while low < high {
            let middle = (low + high) / 2;
            match idle(middle) {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        low
    }

    /// The pipes whose time goes on with a loop's trips: all, unless the other one of two tiles from before the loop is still being stored, and
    /// for longer than all that the loop does. That tells nothing of the loop.
    fn moved_since(&self, before: &Board) -> Vec<usize> {
        let all = 0..self.pipes.len();
        let moved = |p: &usize| self.pipes[*p] > before.pipes[*p];
        let end = |board: &Board| {
            all.clone()
                .filter(moved)
                .map(|p| board.pipes[p])
                .fold(0.0, f64::max)
        };
        let late = end(before);
        let fix = Pipe::Fix as usize;
        match self.two_sums && !moved(&fix) && self.pipes[fix] > late {
            true => all.filter(moved).collect(),
            false => all.collect(),
        }
    }

    /// These trips of a loop.
    fn run_trips(&mut self, id: LoopId, range: Range<usize>, body: &[Code]) {
        let (first, trips) = (range.start, range.len());
        // What is expected of counts may differ from trip to trip.
        let followed = match asks(body) {
            true => trips.min(Self::COUNTED),
            false => trips.min(Self::FOLLOWED),
        };
        let mut before = None;
        for i in 0..followed {
            if i + Self::PERIOD == followed {
                before = Some(self.clone());
            }
            self.counters[id] = first + i;
            self.run(body);
        }
        let (Some(before), true) = (before, trips > followed) else {
            return;
        };
        // The steady state: everything advances by the same amount a period.
        let scale = (trips - followed) as f64 / Self::PERIOD as f64;
        let moved = self.moved_since(&before);
        let all = moved.len() == self.pipes.len();
        let end = |board: &Board| match all {
            true => board.end(),
            false => moved.iter().map(|&p| board.pipes[p]).fold(0.0, f64::max),
        };
        let advance = (end(self) - end(&before)) * scale;
        for (now, then) in self.busy.iter_mut().zip(before.busy) {
            *now += (*now - then) * scale;
        }
        self.gm_bytes += (self.gm_bytes - before.gm_bytes) * scale;
        self.link_bytes += (self.link_bytes - before.link_bytes) * scale;
        self.issue += (self.issue - before.issue) * scale;
        for &p in &moved {
            if self.pipes[p] > 0.0 {
                self.pipes[p] += advance;
            }
        }
        for (now, then) in self.stored.iter_mut().zip(&before.stored) {
            if let Some((_, last, stores)) = now {
                *last += advance;
                *stores += (*stores - then.map_or(0.0, |(.., n)| n)) * scale;
            }
        }
        let now = self.written.iter_mut().chain(self.read.iter_mut());
        let then = before.written.iter().chain(&before.read);
        for (now, then) in now.flatten().zip(then.flatten()) {
            if *now > if all { 0.0 } else { *then } {
                *now += advance;
            }
        }
    }
}
