//! The cost model: what a kernel costs, computed from its program before flags and data exist.
//!
//! A block's time comes from a scoreboard: each pipe runs its instructions in order, and an instruction starts when its pipe is
//! free, its operands are written and what it overwrites is read. A loop is followed for its first trips only, until its
//! period is steady; the rest is `trips * period`. So a `range` loop costs the chain through its single buffers, a pipeline
//! its fill plus its busiest pipe, and everything in between falls out. A launch is waves of blocks over cores, at least the
//! time that the cores' common bandwidth needs, plus what starting it costs.
//!
//! Of a mixed kernel the part that stores runs first, which tells when each trip's tile is there; then the part that loads, which
//! waits for them. So the two overlap, trip by trip.

use crate::hash::HashMap;
use crate::kernel::cross::{Link, links, parts};
use indexmap::IndexMap;
use serde::Serialize;
use std::fmt;
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::kernel::{
    Cond, GlobalTensor, Instr, Kernel, LoopId, Pipe, Program, Role, SUB_BLOCKS, Stmt, TileRef, Unit,
};
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

/// What the search compares kernels by: [`SearchOptions::cost`](crate::egraph::saturate::SearchOptions::cost).
///
/// A model must be a function of what it is given, since kernels that are equal are looked at once. The simulator, which has
/// the last word among the best plans, has times of its own.
pub trait CostModel: fmt::Debug + Send + Sync {
    /// What a kernel costs, which has addresses and no flags yet. Over capacity it would not be asked for.
    fn estimate(&self, kernel: &Kernel, machine: &Machine) -> Estimate;

    /// What starting so many blocks costs, in us: of launches that differ in nothing else, the cheapest is looked at.
    fn start_us(&self, machine: &Machine, kind: LaunchKind, blocks: usize) -> f64 {
        start_us(machine, kind, blocks)
    }
}

/// The model that comes with tilewright: [`estimate`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Scoreboard;

impl CostModel for Scoreboard {
    fn estimate(&self, kernel: &Kernel, machine: &Machine) -> Estimate {
        estimate(kernel, machine)
    }
}

/// Estimates a kernel.
pub fn estimate(kernel: &Kernel, machine: &Machine) -> Estimate {
    let mut pipes = [0.0; Pipe::ALL.len()];
    let (block_cycles, gm_bytes, link_bytes) = match parts(kernel) {
        Some((cube, vector)) => {
            let links = links(kernel).unwrap_or_default();
            let feeds = links.iter().any(|l| l.maker == Unit::Vector);
            let (first, second) = if feeds {
                (vector, cube)
            } else {
                (cube, vector)
            };
            let mut made = Board::new(kernel, &links, Side::Makes);
            made.run(&flatten(first, kernel, machine));
            let mut used = Board::new(kernel, &links, Side::Uses(made.arrivals(machine)));
            used.run(&flatten(second, kernel, machine));
            for (i, pipe) in pipes.iter_mut().enumerate() {
                *pipe = made.busy[i].max(used.busy[i]);
            }
            let end = made.end().max(used.end());
            let (cube, vector) = if feeds { (used, made) } else { (made, used) };
            // Both vector cores do the same, on data of their own.
            let bytes = cube.gm_bytes + SUB_BLOCKS as f64 * vector.gm_bytes;
            (end, bytes, 0.0)
        }
        None => {
            let mut board = Board::new(kernel, &[], Side::Alone);
            board.run(&flatten(&kernel.body, kernel, machine));
            pipes = board.busy;
            (board.end(), board.gm_bytes, board.link_bytes)
        }
    };
    let blocks = kernel.launch.blocks() as f64;
    let cores = cores(kernel.unit, machine);
    let active = blocks.min(cores);
    let waves = (blocks / cores).ceil();
    let clock = machine.clock_mhz.value;
    // Bytes a cycle that all cores share.
    let shared = machine.gm_bandwidth.value * 1e3 / clock;
    // So do those to peers.
    let link = machine.link_bandwidth.value * 1e3 / clock;
    let block = block_cycles
        .max(gm_bytes * active / shared)
        .max(link_bytes * active / link);
    let us = launch_us(kernel, machine) + waves * block / clock;
    Estimate {
        us,
        cycles: us * clock,
        block_cycles,
        pipes,
        gm_bytes: gm_bytes * blocks,
    }
}

/// Cores that a block of a kernel takes one of; a mixed one takes a cube core with its vector cores.
fn cores(unit: Unit, machine: &Machine) -> f64 {
    match unit {
        Unit::Cube => machine.cube_cores.value,
        Unit::Vector => machine.vector_cores.value,
        Unit::Mixed => (machine.cube_cores.value)
            .min((machine.vector_cores.value / SUB_BLOCKS as f64).floor())
            .max(1.0),
    }
}

/// What starting the kernel costs, in us.
pub fn launch_us(kernel: &Kernel, machine: &Machine) -> f64 {
    start_us(machine, kernel.launch.kind, kernel.launch.blocks())
}

/// What starting so many blocks costs, in us: a parallel launch pays for each further task.
pub fn start_us(machine: &Machine, kind: LaunchKind, blocks: usize) -> f64 {
    match kind {
        LaunchKind::Spmd => machine.launch_spmd.value,
        LaunchKind::Parallel => {
            machine.launch_parallel.value
                + machine.launch_task.value * blocks.saturating_sub(1) as f64
        }
    }
}

/// What no schedule of the same work on this machine can be faster than.
///
/// The largest of these times, with all rows valid and without the launch:
///
/// * bandwidth: bytes that must move, over the bandwidth that all cores share;
/// * load and store: bytes that must move one way, over the peak of a core's path times the cores of the kernel's unit;
/// * product: multiplications of products, at the rate of whole fractals on all cube cores.
///
/// The bytes that must move of a tensor, each way, are those that the kernel's blocks move in all, but at most the whole tensor:
/// what is read twice must be read once. A value that a kernel stores and another loads must move here, so a fusion can beat
/// the sum of its kernels' bounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bound {
    pub us: f64,
    pub by: Roof,
}

/// What bounds a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Roof {
    Bandwidth,
    Load,
    Store,
    Product,
}

impl Roof {
    pub fn name(self) -> &'static str {
        match self {
            Roof::Bandwidth => "bandwidth",
            Roof::Load => "load",
            Roof::Store => "store",
            Roof::Product => "product",
        }
    }
}

/// The bound of a kernel of a program with these tensors.
pub fn bound(
    kernel: &Kernel,
    tensors: &IndexMap<String, GlobalTensor>,
    machine: &Machine,
) -> Bound {
    let needs = Needs::of(kernel, machine);
    let all = |_: &str| true;
    highest(
        Traffic {
            loaded: once(&needs.loads, tensors, all).values().sum(),
            stored: once(&needs.stores, tensors, all).values().sum(),
            product: needs.product,
        },
        // In a mixed kernel each byte goes one of two ways; a bound lets it have both.
        match kernel.unit {
            Unit::Cube => &[Unit::Cube],
            Unit::Vector => &[Unit::Vector],
            Unit::Mixed => &[Unit::Cube, Unit::Vector],
        },
        machine,
    )
}

/// What no schedule of the same layer can be faster than: inputs loaded once, outputs stored once, products computed, with
/// all cores of both units at work all the time. What kernels store for each other need not move, so this can be far below
/// the sum of their bounds. Launches are not part of it.
pub fn layer_bound(program: &Program, machine: &Machine) -> Bound {
    let mut loads: IndexMap<String, f64> = IndexMap::new();
    let mut traffic = Traffic::default();
    let role = |name: &str| program.tensors.get(name).map(|t| t.role);
    for kernel in &program.kernels {
        let needs = Needs::of(kernel, machine);
        let input = |name: &str| role(name) == Some(Role::Input);
        for (name, bytes) in once(&needs.loads, &program.tensors, input) {
            // Two kernels may read the same part.
            let most = loads.entry(name).or_default();
            *most = most.max(bytes);
        }
        let output = |name: &str| role(name) == Some(Role::Output);
        let stored = once(&needs.stores, &program.tensors, output);
        traffic.stored += stored.values().sum::<f64>();
        traffic.product += needs.product;
    }
    traffic.loaded = loads.values().sum();
    highest(traffic, &[Unit::Cube, Unit::Vector], machine)
}

/// Bytes and cycles that some work needs at least.
#[derive(Default)]
struct Traffic {
    loaded: f64,
    stored: f64,
    /// Cycles of the cube at its peak.
    product: f64,
}

/// Bytes that blocks move of each tensor in all, but at most the whole of it.
fn once(
    moved: &IndexMap<&str, (f64, f64)>,
    tensors: &IndexMap<String, GlobalTensor>,
    counts: impl Fn(&str) -> bool,
) -> IndexMap<String, f64> {
    let moved = moved.iter().filter(|(name, _)| counts(name));
    moved
        .map(|(name, (elements, bytes))| {
            let whole = tensors.get(*name).map_or(f64::INFINITY, |t| {
                let (rows, cols) = t.matrix();
                (rows * cols) as f64
            });
            // Bytes an element, as the kernel moves them.
            let share = (whole / elements.max(1.0)).min(1.0);
            (name.to_string(), bytes * share)
        })
        .collect()
}

/// The highest roof over this traffic, with the cores of these units: cube, vector or both.
fn highest(traffic: Traffic, units: &[Unit], machine: &Machine) -> Bound {
    let Traffic {
        loaded,
        stored,
        product,
    } = traffic;
    // Bytes a microsecond: GB/s shared, GiB/s of a path.
    let shared = machine.gm_bandwidth.value * 1e3;
    let path = |unit: &Unit| match unit {
        Unit::Cube => (
            machine.cube_cores.value,
            &machine.gm_to_l1,
            &machine.l0c_to_gm,
        ),
        Unit::Vector | Unit::Mixed => (
            machine.vector_cores.value,
            &machine.gm_to_ub,
            &machine.ub_to_gm,
        ),
    };
    let gib = (1u64 << 30) as f64 / 1e6;
    let paths = units.iter().map(path);
    let load: f64 = (paths.clone().map(|(n, load, _)| n * load.peak.value * gib)).sum();
    let store: f64 = paths.map(|(n, _, store)| n * store.peak.value * gib).sum();
    let roofs = [
        (Roof::Bandwidth, (loaded + stored) / shared),
        (Roof::Load, loaded / load),
        (Roof::Store, stored / store),
        (
            Roof::Product,
            product / machine.cube_cores.value / machine.clock_mhz.value,
        ),
    ];
    let mut highest = roofs[0];
    for roof in roofs {
        if roof.1 > highest.1 {
            highest = roof;
        }
    }
    Bound {
        us: highest.1,
        by: highest.0,
    }
}

/// What all blocks of a kernel do, by tensor: elements and bytes, moved as often as they are.
#[derive(Default)]
struct Needs<'a> {
    loads: IndexMap<&'a str, (f64, f64)>,
    stores: IndexMap<&'a str, (f64, f64)>,
    /// Cycles of the cube at its peak.
    product: f64,
}

impl<'a> Needs<'a> {
    fn of(kernel: &'a Kernel, machine: &Machine) -> Self {
        let mut needs = Needs::default();
        let blocks = kernel.launch.blocks() as f64;
        needs.count(
            &kernel.body,
            blocks,
            kernel,
            machine,
            &mut HashMap::default(),
        );
        needs
    }

    /// Counts a body that runs `times` times. `trips` are those of the loops around it.
    fn count(
        &mut self,
        body: &'a [Stmt],
        times: f64,
        kernel: &'a Kernel,
        machine: &Machine,
        trips: &mut HashMap<LoopId, f64>,
    ) {
        for s in body {
            match s {
                Stmt::Loop {
                    id, trips: n, body, ..
                } => {
                    trips.insert(*id, *n as f64);
                    self.count(body, times * *n as f64, kernel, machine, trips);
                }
                Stmt::If {
                    cond: Cond::First(id),
                    then,
                    otherwise,
                } => {
                    let n = trips.get(id).copied().unwrap_or(1.0).max(1.0);
                    self.count(then, times / n, kernel, machine, trips);
                    self.count(otherwise, times * (n - 1.0) / n, kernel, machine, trips);
                }
                // Run-time conditions are taken: all rows are valid.
                Stmt::If { then, .. } => self.count(then, times, kernel, machine, trips),
                Stmt::Instr(i) => self.instr(i, times, kernel, machine),
                Stmt::Part { unit, body } => {
                    let cores = match unit {
                        Unit::Vector => SUB_BLOCKS as f64,
                        _ => 1.0,
                    };
                    self.count(body, times * cores, kernel, machine, trips);
                }
                _ => {}
            }
        }
    }

    fn instr(&mut self, instr: &'a Instr, times: f64, kernel: &'a Kernel, machine: &Machine) {
        let (moved, rect) = match instr {
            Instr::Load { src, .. } => (&mut self.loads, src),
            Instr::Store { dst, .. } => (&mut self.stores, dst),
            Instr::Matmul { dst, lhs, rhs, .. } => {
                let tile = |r: &TileRef| kernel.tiles.get(r.tile);
                if let (Some(dst), Some(lhs), Some(rhs)) = (tile(dst), tile(lhs), tile(rhs)) {
                    let (m, k, n) = (dst.valid_rows, lhs.valid_cols, rhs.valid_cols);
                    // A fractal is 16 x 32 bytes times 32 bytes x 16.
                    let inner = (32 / lhs.dtype.bytes()).max(1);
                    let whole =
                        timing::matmul(machine, lhs.dtype, 16, inner, 16) - machine.cube_head.value;
                    let share = (m * k * n) as f64 / (16 * inner * 16) as f64;
                    self.product += times * whole * share;
                }
                return;
            }
            _ => return,
        };
        let elements = times * (rect.rows * rect.cols) as f64;
        let bytes = times * timing::cost(machine, kernel, instr).gm_bytes as f64;
        let sums = moved.entry(&rect.tensor).or_default();
        sums.0 += elements;
        sums.1 += bytes;
    }
}

/// A body with costs looked up once.
enum Code<'a> {
    Loop {
        id: LoopId,
        trips: usize,
        body: Vec<Code<'a>>,
        /// Tensors that it touches.
        globals: Vec<&'a str>,
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
        global: Option<&'a str>,
    },
}

fn flatten<'a>(body: &'a [Stmt], kernel: &'a Kernel, machine: &Machine) -> Vec<Code<'a>> {
    let mut out = vec![];
    for s in body {
        match s {
            Stmt::Loop {
                id, trips, body, ..
            } => {
                let body = flatten(body, kernel, machine);
                out.push(Code::Loop {
                    id: *id,
                    trips: *trips,
                    globals: globals(&body),
                    body,
                });
            }
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
            Stmt::Part { body, .. } => out.extend(flatten(body, kernel, machine)),
            _ => {}
        }
    }
    out
}

fn globals<'a>(body: &[Code<'a>]) -> Vec<&'a str> {
    let mut out = vec![];
    for c in body {
        match c {
            Code::Loop { globals, .. } => out.extend(globals),
            Code::First {
                then, otherwise, ..
            } => out.extend(globals(then).into_iter().chain(globals(otherwise))),
            Code::Instr { global, .. } => out.extend(global),
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
        global: i.global().map(|(_, rect)| rect.tensor.as_str()),
    }
}

/// Which part of a mixed kernel a board runs.
#[derive(Clone)]
enum Side {
    /// A kernel of one core type.
    Alone,
    /// The part that makes what goes over links.
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
    links: &'l [Link],
    side: Side,
    /// Of each link, when the first and the last store ended.
    stored: Vec<Option<(f64, f64)>>,
}

impl<'l> Board<'l> {
    fn new(kernel: &Kernel, links: &'l [Link], side: Side) -> Self {
        Board {
            pipes: [0.0; Pipe::ALL.len()],
            busy: [0.0; Pipe::ALL.len()],
            gm_bytes: 0.0,
            link_bytes: 0.0,
            issue: 0.0,
            written: kernel.tiles.iter().map(|t| vec![0.0; t.slots]).collect(),
            read: kernel.tiles.iter().map(|t| vec![0.0; t.slots]).collect(),
            counters: vec![0; kernel.loops.len()],
            links,
            side,
            stored: vec![None; links.len()],
        }
    }

    fn end(&self) -> f64 {
        self.pipes.iter().fold(self.issue, |a, b| a.max(*b))
    }

    /// When what goes over each link is there: the first trip's, and the time between trips. The ring is taken to be deep
    /// enough: a part that waits for a slot waits for a slower part, which then decides how long both take.
    fn arrivals(&self, machine: &Machine) -> Vec<(f64, f64)> {
        let flag = machine.cross_core_flag.value;
        let of = self.links.iter().zip(&self.stored);
        of.map(|(link, stored)| {
            let (first, last) = stored.unwrap_or_default();
            let more = link.trips.saturating_sub(1).max(1) as f64;
            (first + flag, (last - first) / more)
        })
        .collect()
    }

    /// The trip of a link that the loops around its loads are in.
    fn trip(&self, link: &Link) -> usize {
        let loops = &link.loads.loops;
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
                    for (i, link) in self.links.iter().enumerate() {
                        let outside = link.loads.loops.iter().all(|(l, _)| l != id);
                        if outside && globals.contains(&link.tensor.as_str()) {
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
                Code::Instr {
                    reads,
                    writes,
                    cost,
                    global,
                } => self.step(reads, writes, cost, *global),
            }
        }
    }

    /// The wait for a trip of a link holds back the whole core.
    fn await_link(&mut self, link: usize) {
        if let Side::Uses(arrivals) = &self.side {
            let (first, period) = arrivals[link];
            let there = first + period * self.trip(&self.links[link]) as f64;
            self.issue = self.issue.max(there);
        }
    }

    fn slot(&self, r: &TileRef) -> usize {
        let slots = self.written[r.tile].len();
        r.slot.map_or(0, |l| self.counters[l] % slots)
    }

    fn step(
        &mut self,
        reads: &[&TileRef],
        writes: &[&TileRef],
        cost: &timing::Cost,
        global: Option<&str>,
    ) {
        let pipe = cost.pipe as usize;
        let link = self
            .links
            .iter()
            .position(|l| Some(l.tensor.as_str()) == global);
        if let Some(i) = link {
            self.await_link(i);
        }
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
        self.link_bytes += cost.link_bytes as f64;
        if cost.pipe == Pipe::S {
            self.issue = end;
        }
        if let (Some(i), Side::Makes) = (link, &self.side) {
            let first = self.stored[i].map_or(end, |(first, _)| first);
            self.stored[i] = Some((first, end));
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
        let scale = (trips - followed) as f64 / Self::PERIOD as f64;
        let advance = (self.end() - before.end()) * scale;
        for (now, then) in self.busy.iter_mut().zip(before.busy) {
            *now += (*now - then) * scale;
        }
        self.gm_bytes += (self.gm_bytes - before.gm_bytes) * scale;
        self.link_bytes += (self.link_bytes - before.link_bytes) * scale;
        self.issue += (self.issue - before.issue) * scale;
        for t in self.pipes.iter_mut().filter(|t| **t > 0.0) {
            *t += advance;
        }
        for (_, last) in self.stored.iter_mut().flatten() {
            *last += advance;
        }
        for times in self.written.iter_mut().chain(self.read.iter_mut()) {
            for t in times.iter_mut().filter(|t| **t > 0.0) {
                *t += advance;
            }
        }
    }
}
