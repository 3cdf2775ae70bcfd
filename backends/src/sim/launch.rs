//! Blocks on cores: waves, shared global memory, and what a launch costs.
//!
//! Blocks are taken in order, each by the core that is free first. Global memory is shared in proportion, at the granularity of blocks:
//! of a wave of `n` blocks each gets `1 / n` of the machine's bandwidth as long as the others move something, so that a block takes at
//! least `its bytes * n / bandwidth`, that of L2, but no longer than all bytes of the wave take. The same holds for the way to other ranks. A kernel's launch is paid before its first
//! block, and the scheduler starts one block after the other. What a kernel touches at all has to come from HBM, or go there.

use super::clock::PipeTimes;
use super::prepared::Prepared;
use super::ranks::BlockSpan;
use super::record::record;
use super::report::KernelReport;
use indexmap::IndexMap;
use tilewright_ir::kernel::{Kernel, Pipe, Unit};
use tilewright_ir::machine::Machine;
use tilewright_ir::timing;

/// Cores that run the blocks of a kernel.
pub(super) fn cores_of(machine: &Machine, kernel: &Kernel) -> usize {
    cores_of_unit(machine, kernel.unit)
}

pub(super) fn cores_of_unit(machine: &Machine, unit: Unit) -> usize {
    let cores = match unit {
        Unit::Cube => machine.cube_cores.value,
        Unit::Vector => machine.vector_cores.value,
        // A cube core with its vector cores.
        Unit::Mixed => {
            let sub_blocks = machine.geometry.sub_blocks.value;
            (machine.cube_cores.value).min((machine.vector_cores.value / sub_blocks).floor())
        }
    };
    (cores as usize).max(1)
}

/// What a kernel takes until its first block starts, in us.
pub(super) fn launch_us(machine: &Machine, kernel: &Kernel) -> f64 {
    machine.runtime().start(kernel.launch.kind)
}

/// us from the start of a block to that of the next one at the earliest.
pub(super) fn step_us(machine: &Machine, kernel: &Kernel) -> f64 {
    machine.runtime().step(kernel.launch.kind)
}

/// us that HBM needs for what a kernel touches, which moves so many bytes in all.
pub(super) fn memory_us(machine: &Machine, kernel: &Kernel, bytes: f64) -> f64 {
    timing::distinct(machine, kernel).min(bytes) / (machine.gm_bandwidth.value * 1e3)
}

/// Cycles of a block on its core when it has global memory for itself.
fn alone_cycles(machine: &Machine, times: &PipeTimes) -> f64 {
    times.end() + machine.block_head.value
}

/// Blocks that are on cores at the same time, and what they move together.
#[derive(Clone, Copy)]
pub(super) struct Wave {
    blocks: f64,
    gm_bytes: f64,
    link_bytes: f64,
}

impl Wave {
    /// The wave of block `b`.
    pub fn of(cores: usize, blocks: &[&PipeTimes], b: usize) -> Wave {
        let first = b - b % cores;
        let wave = &blocks[first..blocks.len().min(first + cores)];
        let sum = |bytes: fn(&PipeTimes) -> u64| wave.iter().map(|t| bytes(t) as f64).sum();
        Wave {
            blocks: wave.len() as f64,
            gm_bytes: sum(|t| t.gm_bytes),
            link_bytes: sum(|t| t.link_bytes),
        }
    }
}

/// Cycles of a block in the company of its wave. Nobody waits for more than all others move, or for more than its share.
pub(super) fn shared_cycles(machine: &Machine, wave: Wave, times: &PipeTimes) -> f64 {
    // GB/s to bytes a cycle.
    let rate = |gigabytes: f64| gigabytes * 1e9 / (machine.clock_mhz.value * 1e6);
    let share = |own: u64, all: f64| (own as f64 * wave.blocks).min(all);
    let memory = share(times.gm_bytes, wave.gm_bytes) / rate(machine.l2_bandwidth.value);
    let link = share(times.link_bytes, wave.link_bytes) / rate(machine.link_bandwidth.value);
    alone_cycles(machine, times).max(memory).max(link)
}

/// The report of a kernel from the times of its blocks, in order.
pub(super) fn report(prepared: &Prepared, blocks: &[PipeTimes]) -> KernelReport {
    let (machine, kernel) = (prepared.machine, prepared.kernel);
    let launch_us = launch_us(machine, kernel);
    let mut spans = vec![];
    let cores = cores_of(machine, kernel);
    let mut free = vec![0.0_f64; cores.min(blocks.len())];
    let mut ran = vec![0_usize; free.len()];
    let mut stretch = 1.0_f64;
    let all: Vec<&PipeTimes> = blocks.iter().collect();
    for (b, times) in blocks.iter().enumerate() {
        let alone = alone_cycles(machine, times);
        let shared = shared_cycles(machine, Wave::of(cores, &all, b), times);
        if alone > 0.0 {
            stretch = stretch.max(shared / alone);
        }
        let core = (0..free.len()).fold(0, |best, c| if free[c] < free[best] { c } else { best });
        let start = free[core].max(b as f64 * step_us(machine, kernel) * machine.clock_mhz.value);
        free[core] = start + shared;
        ran[core] += 1;
        let at = |cycles: f64| launch_us + machine.micros(cycles);
        spans.push(BlockSpan {
            core,
            start_us: at(start),
            end_us: at(free[core]),
            waited_us: 0.0,
        });
    }
    let slowest = (0..blocks.len()).fold(0, |best, b| {
        if blocks[b].end() > blocks[best].end() {
            b
        } else {
            best
        }
    });
    let bytes: u64 = blocks.iter().map(|b| b.gm_bytes).sum();
    let memory = memory_us(machine, kernel, bytes as f64);
    let work = machine.micros(free.iter().copied().fold(0.0, f64::max));
    let us = launch_us + work.max(memory);
    let none = PipeTimes::default();
    let block = blocks.get(slowest).unwrap_or(&none);
    let pipes: IndexMap<Pipe, f64> = Pipe::ALL
        .into_iter()
        .filter_map(|p| block.busy(p).map(|busy| (p, busy)))
        .collect();
    let busiest = pipes
        .iter()
        .fold(None::<(Pipe, f64)>, |best, (p, busy)| match best {
            Some((_, most)) if most >= *busy => best,
            _ => Some((*p, *busy)),
        });
    let share = |of: fn(&PipeTimes, Pipe) -> f64| {
        busiest.map_or(0.0, |(p, busy)| {
            let all = of(block, p);
            if all > 0.0 { busy / all } else { 0.0 }
        })
    };
    KernelReport {
        name: kernel.name.clone(),
        unit: kernel.unit,
        blocks: blocks.len(),
        waves: ran.iter().copied().max().unwrap_or(0),
        cores: free.len(),
        us,
        cycles: us * machine.clock_mhz.value,
        launch_us,
        slowest_block: slowest,
        block_cycles: block.end(),
        stretch,
        gm_bytes: bytes,
        link_bytes: blocks.iter().map(|b| b.link_bytes).sum(),
        busiest_share: share(|b, _| b.end()),
        steady_share: share(PipeTimes::span),
        busiest: busiest.map(|(p, _)| p),
        pipes,
        record: record(prepared, blocks, spans),
    }
}
