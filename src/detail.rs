//! What views show beside a report: when blocks run, what lies where on chip, and the emitted text.
//!
//! A value of plain data, made once from what was compiled and run; the page ([`crate::page`]), the trace ([`crate::trace`]) and the
//! swimlane ([`crate::swimlane`]) are functions of it. Where nothing was simulated with data, as by `optimize`, kernels are
//! simulated without.

use crate::compile::Options;
use crate::explain::does;
use crate::form::{Form, Forms};
use crate::run::{Compiled, Outcome, Watched, emit};
use serde::Serialize;
use tilewright_backends::ascend::File;
use tilewright_backends::sim::{self, Because, CriticalStep, KernelSpan, Record};
use tilewright_ir::kernel::{Kernel, Pipe, Space, Tile};
use tilewright_ir::machine::Machine;
use tilewright_passes::egraph::rules;
use tilewright_passes::kernel::allocate::live_ranges;
use tilewright_passes::search::{Applied, Change};

/// Both forms of a layer, in detail.
#[derive(Debug, Clone, Serialize)]
pub struct Details {
    /// The clock of the machine, in MHz.
    pub clock_mhz: f64,
    /// Vector cores of a cube core.
    pub vectors_a_cube: usize,
    /// Of each form.
    pub forms: Forms<FormDetails>,
}

/// A form in detail.
#[derive(Debug, Clone, Serialize)]
pub struct FormDetails {
    /// Which form.
    pub form: Form,
    /// Whether times are of a run with its data; otherwise all rows are valid, and nobody waits for another rank.
    pub with_data: bool,
    /// Microseconds from the first launch to the end of the last kernel; 0 where the simulator refused.
    pub us: f64,
    /// How many ranks there are.
    pub ranks: usize,
    /// By rank, then in program order.
    pub timeline: Vec<KernelSpan>,
    /// What the end hung on, first to last.
    pub critical: Vec<CriticalStep>,
    /// In launch order.
    pub kernels: Vec<KernelDetails>,
    /// Why there is no text of kernels.
    pub no_source: Option<String>,
}

/// A kernel in detail.
#[derive(Debug, Clone, Serialize)]
pub struct KernelDetails {
    /// The kernel's name.
    pub name: String,
    /// Of the memories that it uses.
    pub memory: Vec<MemoryMap>,
    /// By rank, what the slowest block does; of the last run of the layer.
    pub records: Vec<Record>,
    /// By rank, what all blocks move from and to global memory.
    pub gm_bytes: Vec<u64>,
    /// Rules that led here from the form as written, with what they changed.
    pub chain: Vec<Step>,
    /// The emitted file.
    pub source: Option<File>,
}

/// A rule on the way to a kernel.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// The name of the rule.
    pub rule: String,
    /// What the rule does, in words; of a rule of a file, why it is legal.
    pub does: String,
    /// Whether the proof uses the rule from right to left.
    pub backwards: bool,
    /// Empty when what it changed was changed back.
    pub changes: Vec<Change>,
}

/// Who has which bytes of a memory when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemoryMap {
    /// Which memory.
    pub space: Space,
    /// Bytes.
    pub capacity: usize,
    /// Bytes that tiles take.
    pub used: usize,
    /// Positions of instructions in program order, of which `first` and `last` are some.
    pub positions: usize,
    /// Loops, as spans of statements.
    pub loops: Vec<LoopSpan>,
    /// By address.
    pub buffers: Vec<Buffer>,
}

/// Where a loop is in program order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoopSpan {
    /// The loop's name.
    pub name: String,
    /// How often it runs.
    pub trips: usize,
    /// Its first statement.
    pub first: usize,
    /// Its last statement.
    pub last: usize,
}

/// A slot of a tile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Buffer {
    /// The tile's name.
    pub tile: String,
    /// The number of the slot, from 0.
    pub slot: usize,
    /// How many slots the tile has.
    pub slots: usize,
    /// Rows, columns and type.
    pub shape: String,
    /// Where it begins, in bytes.
    pub address: usize,
    /// Its bytes.
    pub bytes: usize,
    /// The first statement that touches it.
    pub first: usize,
    /// The last statement that touches it.
    pub last: usize,
}

impl Details {
    /// Of an outcome with the options that it was made with.
    pub fn new(outcome: &Outcome, options: &Options) -> Self {
        let watched = match &outcome.watched {
            Some(watched) => watched.as_ref().map(Some),
            None => Forms::default(),
        };
        let both = outcome.compiled.as_ref().zip(outcome.files.as_ref());
        let forms = both.zip(watched).map(|((compiled, files), watched)| {
            let emitted = match files.is_empty() {
                false => Ok(files.clone()),
                true => emit(compiled, &options.machine),
            };
            let no_source = emitted.as_ref().err().map(ToString::to_string);
            let files = emitted.unwrap_or_default();
            FormDetails {
                no_source,
                ..form_details(compiled, watched, &files, options)
            }
        });
        Details {
            clock_mhz: options.machine.clock_mhz.value,
            vectors_a_cube: options.machine.geometry.sub_blocks.count(),
            forms,
        }
    }
}

impl FormDetails {
    /// Whether anything is known of when blocks run.
    pub fn is_timed(&self) -> bool {
        !self.timeline.is_empty()
    }

    /// The kernel of this name.
    pub fn kernel(&self, name: &str) -> Option<&KernelDetails> {
        self.kernels.iter().find(|k| k.name == name)
    }
}

impl KernelDetails {
    /// The slowest rank's record, with the number of that rank.
    pub fn slowest(&self) -> Option<(usize, &Record)> {
        let mut records = self.records.iter().enumerate();
        let first = records.next()?;
        Some(
            records.fold(first, |best, next| match cycles(next.1) > cycles(best.1) {
                true => next,
                false => best,
            }),
        )
    }
}

/// Cycles of a recorded block.
pub fn cycles(record: &Record) -> f64 {
    let runs = record.runs.iter().map(sim::PipeSpan::end);
    let waits = record.flags.iter().map(|f| f.until);
    runs.chain(waits).fold(0.0, f64::max)
}

/// Rows for kernels of one rank, each on the first one that is free: more than one where kernels run side by side.
pub fn rows(spans: &[&KernelSpan]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by(|a, b| spans[*a].start_us.total_cmp(&spans[*b].start_us));
    let mut free: Vec<f64> = vec![];
    let mut rows = vec![0; spans.len()];
    for i in order {
        let row = free.iter().position(|end| *end <= spans[i].start_us);
        let row = row.unwrap_or(free.len());
        free.resize(free.len().max(row + 1), 0.0);
        free[row] = spans[i].end_us;
        rows[i] = row;
    }
    rows
}

/// Cycles that rounding may take from a sum.
const ROUNDING: f64 = 1e-6;

/// The instruction after which a flag is set, and the first one that waited for it; where there are both.
pub fn ends<'r>(
    record: &'r Record,
    flag: &sim::FlagSpan,
) -> Option<(&'r sim::PipeSpan, &'r sim::PipeSpan)> {
    let runs = || record.runs.iter();
    let mut before = runs().filter(|r| r.lane == flag.from && r.end() <= flag.set + ROUNDING);
    // The scalar unit dispatches for all pipes of its core.
    let waits = |r: &&sim::PipeSpan| match flag.to.pipe {
        Pipe::S => r.lane.core == flag.to.core,
        _ => r.lane == flag.to,
    };
    let mut after = runs()
        .filter(waits)
        .filter(|r| r.start >= flag.until - ROUNDING);
    Some((before.next_back()?, after.next()?))
}

/// A form with these files, and with what was watched of its run, or else simulated without data.
fn form_details(
    compiled: &Compiled,
    watched: Option<&Watched>,
    files: &[File],
    options: &Options,
) -> FormDetails {
    let machine = &options.machine;
    let simulated = match watched {
        Some(_) => None,
        None => without_data(compiled, machine),
    };
    let none = Watched::default();
    let times = watched.or(simulated.as_ref()).unwrap_or(&none);
    let (timeline, critical) = match &times.timeline {
        Some(timeline) => (timeline.kernels.clone(), timeline.critical.clone()),
        None => in_sequence(times.ranks.first().map_or(&[][..], Vec::as_slice)),
    };
    let kernels = compiled.program.kernels.iter().enumerate();
    FormDetails {
        form: compiled.form,
        with_data: watched.is_some(),
        us: timeline.iter().map(|k| k.end_us).fold(0.0, f64::max),
        ranks: times.ranks.len(),
        timeline,
        critical,
        kernels: kernels
            .map(|(k, kernel)| {
                let reports = || times.ranks.iter().filter_map(|rank| rank.get(k));
                let path = format!("{}.cpp", kernel.name);
                KernelDetails {
                    name: kernel.name.clone(),
                    memory: memory(kernel, machine),
                    records: reports()
                        .filter_map(|r| r.record.as_deref().cloned())
                        .collect(),
                    gm_bytes: reports().map(|r| r.gm_bytes).collect(),
                    chain: chain(compiled, &kernel.name, options),
                    source: files.iter().find(|f| f.path == path).cloned(),
                }
            })
            .collect(),
        no_source: None,
    }
}

/// The kernels on the simulator, with all rows valid and alone on their rank; nothing of what it refuses.
fn without_data(compiled: &Compiled, machine: &Machine) -> Option<Watched> {
    let how = sim::Options {
        record: true,
        ..sim::Options::default()
    };
    let report = sim::time_with(&compiled.program, machine, &how).ok()?;
    Some(Watched {
        ranks: vec![report.kernels],
        timeline: None,
    })
}

/// The kernels of a rank one after the other: each begins when the one before it is over.
fn in_sequence(reports: &[sim::KernelReport]) -> (Vec<KernelSpan>, Vec<CriticalStep>) {
    let (mut spans, mut critical): (Vec<KernelSpan>, Vec<CriticalStep>) = (vec![], vec![]);
    let mut start = 0.0;
    for report in reports {
        let blocks = report.record.as_ref().map_or(&[][..], |r| &r.blocks);
        let blocks: Vec<sim::BlockSpan> = blocks
            .iter()
            .map(|b| sim::BlockSpan {
                start_us: start + b.start_us,
                end_us: start + b.end_us,
                ..b.clone()
            })
            .collect();
        let end = start + report.us;
        let before = critical.last().map(|c| c.kernel.clone());
        let last = (0..blocks.len()).rev().max_by(|a, b| {
            let end = |b: &usize| blocks[*b].end_us;
            end(a).total_cmp(&end(b))
        });
        critical.push(CriticalStep {
            rank: 0,
            epoch: 1,
            kernel: report.name.clone(),
            block: last.unwrap_or(0),
            start_us: start,
            end_us: end,
            because: before.map_or(Because::Start, |kernel| Because::Kernel { kernel }),
        });
        spans.push(KernelSpan {
            rank: 0,
            epoch: 1,
            kernel: report.name.clone(),
            unit: report.unit,
            start_us: start,
            begin_us: start + report.launch_us,
            end_us: end,
            waited_us: 0.0,
            blocks,
        });
        start = end;
    }
    (spans, critical)
}

/// The memories that a kernel uses, with who has which bytes when.
fn memory(kernel: &Kernel, machine: &Machine) -> Vec<MemoryMap> {
    let Ok(live) = live_ranges(kernel) else {
        return vec![];
    };
    let mut loops = vec![];
    kernel.visit_loops(&mut |id, trips, _| loops.push((id, trips)));
    let loops: Vec<LoopSpan> = loops
        .into_iter()
        .zip(&live.loops)
        .map(|((id, trips), (first, last))| LoopSpan {
            name: kernel.loops.get(id).cloned().unwrap_or_default(),
            trips,
            first: *first,
            last: *last,
        })
        .collect();
    let both = || kernel.tiles.iter().zip(&live.tiles);
    let maps = Space::ALL.into_iter().map(|space| {
        let inside = both().filter(|(t, _)| t.space == space);
        let mut buffers: Vec<Buffer> = inside
            .filter_map(|(tile, range)| Some((tile, (*range)?)))
            .flat_map(|(tile, range)| slots(tile, range))
            .collect();
        buffers.sort_by_key(|b| (b.address, b.first));
        MemoryMap {
            space,
            capacity: machine.capacity_of(space),
            used: kernel.used(space),
            positions: live.positions,
            loops: loops.clone(),
            buffers,
        }
    });
    maps.filter(|m| !m.buffers.is_empty()).collect()
}

fn slots(tile: &Tile, (first, last): (usize, usize)) -> impl Iterator<Item = Buffer> + '_ {
    tile.addrs
        .iter()
        .enumerate()
        .map(move |(slot, address)| Buffer {
            tile: tile.name.clone(),
            slot,
            slots: tile.addrs.len(),
            shape: format!("{} x {} {}", tile.rows, tile.cols, tile.dtype),
            address: *address,
            bytes: tile.bytes(),
            first,
            last,
        })
}

fn chain(compiled: &Compiled, kernel: &str, options: &Options) -> Vec<Step> {
    let plan = compiled.run.plan.as_ref();
    let applied = plan.and_then(|p| p.chains.get(kernel));
    let table = rules::table();
    let step = |a: &Applied| Step {
        rule: a.rule.clone(),
        does: does(table, options, &a.rule),
        backwards: a.backwards,
        changes: a.changes.clone(),
    };
    applied.into_iter().flatten().map(step).collect()
}
