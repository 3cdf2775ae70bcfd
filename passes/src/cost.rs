//! The cost model: what a kernel costs, computed from its program before flags and data exist.
//!
//! A block's time comes from a scoreboard: each pipe runs its instructions in order, and an instruction starts when its pipe is
//! free, its operands are written and what it overwrites is read. A loop is followed for its first trips only, until its
//! period is steady; the rest is `trips * period`. So a `range` loop costs the chain through its single buffers, a pipeline
//! its fill plus its busiest pipe, and everything in between falls out. A launch is waves of blocks over cores, at least the
//! time that the cores' common bandwidth needs, plus what starting it costs.

use serde::Serialize;
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::kernel::{Cond, Instr, Kernel, LoopId, Pipe, Stmt, TileRef, Unit};
use tilewright_ir::machine::Machine;
use tilewright_ir::timing;

/// What a kernel is predicted to cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// From launch to the end of the last block.
    pub us: f64,
    /// `us` at the machine's clock.
    pub cycles: f64,
    /// One block alone.
    pub block_cycles: f64,
    /// Busy cycles of each pipe in one block, in the order of [`Pipe::ALL`].
    pub pipes: [f64; Pipe::ALL.len()],
    /// Bytes that all blocks move from and to global memory.
    pub gm_bytes: f64,
}

/// Estimates a kernel.
pub fn estimate(kernel: &Kernel, machine: &Machine) -> Estimate {
    let mut board = Board {
        pipes: [0.0; Pipe::ALL.len()],
        busy: [0.0; Pipe::ALL.len()],
        gm_bytes: 0.0,
        issue: 0.0,
        written: kernel.tiles.iter().map(|t| vec![0.0; t.slots]).collect(),
        read: kernel.tiles.iter().map(|t| vec![0.0; t.slots]).collect(),
        counters: vec![0; kernel.loops.len()],
    };
    let code = flatten(&kernel.body, kernel, machine);
    board.run(&code);
    let block_cycles = board.pipes.iter().fold(board.issue, |a, b| a.max(*b));
    let blocks = kernel.launch.blocks() as f64;
    let cores = match kernel.unit {
        Unit::Cube => machine.cube_cores.value,
        Unit::Vector => machine.vector_cores.value,
    };
    let active = blocks.min(cores);
    let waves = (blocks / cores).ceil();
    let clock = machine.clock_mhz.value;
    // Bytes a cycle that all cores share.
    let shared = machine.gm_bandwidth.value * 1e3 / clock;
    let block = block_cycles.max(board.gm_bytes * active / shared);
    let us = launch_us(kernel, machine) + waves * block / clock;
    Estimate {
        us,
        cycles: us * clock,
        block_cycles,
        pipes: board.busy,
        gm_bytes: board.gm_bytes * blocks,
    }
}

/// What starting the kernel costs, in us.
pub fn launch_us(kernel: &Kernel, machine: &Machine) -> f64 {
    match kernel.launch.kind {
        LaunchKind::Spmd => machine.launch_spmd.value,
        LaunchKind::Parallel => {
            let further = kernel.launch.blocks().saturating_sub(1) as f64;
            machine.launch_parallel.value + machine.launch_task.value * further
        }
    }
}

/// A body with costs looked up once.
enum Code<'a> {
    Loop {
        id: LoopId,
        trips: usize,
        body: Vec<Code<'a>>,
    },
    First {
        id: LoopId,
        then: Vec<Code<'a>>,
        otherwise: Vec<Code<'a>>,
    },
    Instr {
        reads: Vec<&'a TileRef>,
        writes: Vec<&'a TileRef>,
        cost: timing::Cost,
    },
}

fn flatten<'a>(body: &'a [Stmt], kernel: &'a Kernel, machine: &Machine) -> Vec<Code<'a>> {
    let mut out = vec![];
    for s in body {
        match s {
            Stmt::Loop {
                id, trips, body, ..
            } => out.push(Code::Loop {
                id: *id,
                trips: *trips,
                body: flatten(body, kernel, machine),
            }),
            Stmt::If {
                cond: Cond::First(id),
                then,
                otherwise,
            } => out.push(Code::First {
                id: *id,
                then: flatten(then, kernel, machine),
                otherwise: flatten(otherwise, kernel, machine),
            }),
            // Run-time conditions are taken: all rows are valid.
            Stmt::If { then, .. } => out.extend(flatten(then, kernel, machine)),
            Stmt::Instr(i) => out.push(instr(i, kernel, machine)),
            Stmt::Set { .. } | Stmt::Wait { .. } | Stmt::Barrier(_) => {}
        }
    }
    out
}

fn instr<'a>(i: &'a Instr, kernel: &'a Kernel, machine: &Machine) -> Code<'a> {
    let (reads, writes) = i.tiles();
    Code::Instr {
        reads,
        writes,
        cost: timing::cost(machine, kernel, i),
    }
}

#[derive(Clone)]
struct Board {
    /// When each pipe is free.
    pipes: [f64; Pipe::ALL.len()],
    busy: [f64; Pipe::ALL.len()],
    gm_bytes: f64,
    /// When the scalar unit issues the next instruction.
    issue: f64,
    /// When each slot of each tile is written, and read for the last time.
    written: Vec<Vec<f64>>,
    read: Vec<Vec<f64>>,
    counters: Vec<usize>,
}

impl Board {
    fn run(&mut self, code: &[Code]) {
        for c in code {
            match c {
                Code::Loop { id, trips, body } => self.run_loop(*id, *trips, body),
                Code::First {
                    id,
                    then,
                    otherwise,
                } => match self.counters[*id] {
                    0 => self.run(then),
                    _ => self.run(otherwise),
                },
                Code::Instr {
                    reads,
                    writes,
                    cost,
                } => self.step(reads, writes, cost),
            }
        }
    }

    fn slot(&self, r: &TileRef) -> usize {
        let slots = self.written[r.tile].len();
        r.slot.map_or(0, |l| self.counters[l] % slots)
    }

    fn step(&mut self, reads: &[&TileRef], writes: &[&TileRef], cost: &timing::Cost) {
        let pipe = cost.pipe as usize;
        let mut start = self.pipes[pipe].max(self.issue);
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
        if cost.pipe == Pipe::S {
            self.issue = end;
        }
    }

    /// Trips that are followed one by one: enough for a pipeline of the deepest kind to fill.
    const FOLLOWED: usize = 8;
    /// Trips over which a period is measured; a multiple of every depth but 3, whose error it bounds.
    const PERIOD: usize = 4;

    fn run_loop(&mut self, id: LoopId, trips: usize, body: &[Code]) {
        let followed = trips.min(Self::FOLLOWED);
        let mut before = None;
        for i in 0..followed {
            if i + Self::PERIOD == followed {
                before = Some(self.clone());
            }
            self.counters[id] = i;
            self.run(body);
        }
        let (Some(before), true) = (before, trips > followed) else {
            return;
        };
        // The steady state: everything advances by the same amount a period.
        let end = |b: &Board| b.pipes.iter().fold(b.issue, |a, t| a.max(*t));
        let scale = (trips - followed) as f64 / Self::PERIOD as f64;
        let advance = (end(self) - end(&before)) * scale;
        for (now, then) in self.busy.iter_mut().zip(before.busy) {
            *now += (*now - then) * scale;
        }
        self.gm_bytes += (self.gm_bytes - before.gm_bytes) * scale;
        self.issue += (self.issue - before.issue) * scale;
        for t in self.pipes.iter_mut().filter(|t| **t > 0.0) {
            *t += advance;
        }
        for times in self.written.iter_mut().chain(self.read.iter_mut()) {
            for t in times.iter_mut().filter(|t| **t > 0.0) {
                *t += advance;
            }
        }
    }
}
