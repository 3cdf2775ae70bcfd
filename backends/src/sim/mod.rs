//! The simulator: runs a kernel program on data and in time, and refuses what the hardware would not do right.
//!
//! Start with [`run`]. The program is the one that is emitted: tiles with addresses, instructions, flags. Blocks run one after the
//! other in program order, on byte-accurate memories; whether the hardware, which orders much less, must come to the same bytes is
//! checked at the same time with clocks and flags, independent of any timing. The simulator is stricter than the chip, never
//! laxer: what is an error here may happen to work there.
//!
//! | file | holds |
//! |---|---|
//! | `check` | what holds before the first block runs: capacity, alignment, names |
//! | `prepared` | a kernel with numbered and costed statements |
//! | `exec` | one block: control flow, flags |
//! | `env` | the values of its variables, and operands by them |
//! | `instr` | one instruction on data |
//! | `memory`, `globals` | on-chip and global memory, and who touched each byte last |
//! | `collect` | all faults of a program instead of the first |
//! | `hazards` | what is ordered before what |
//! | `mixed` | the cores of a block of a mixed kernel, and cross-core flags |
//! | `transfer`, `cube`, `vector`, `sort`, `numeric` | what each instruction does to data |
//! | `clock`, `launch` | when pipes are busy; blocks on cores, shared bandwidth, launches |
//! | `scalar` | registers and arrays of the scalar unit |
//! | `ranks` | several ranks at once: windows, counters, interleavings, the timeline |
//! | `report`, `record`, `error` | what a run tells, what blocks did when, and why it stopped |
//!
//! What is refused: addresses beyond a memory or misaligned, rectangles and indices out of range, reads of bytes that were never
//! written or that another tile has overwritten, accesses to the same bytes that no flag or barrier orders, flags that are set
//! twice, never set or never waited for, blocks of one kernel that touch each other's data, and instructions, types and
//! shapes that the a2a3 generation does not have.
//!
//! Not modelled: the order of elements inside fractals (only the extent of such tiles), the depth of instruction queues, the data
//! cache of the scalar unit, and numerics of the hardware's `exp`, `log` and cube beyond IEEE f32.

mod check;
mod clock;
mod collect;
mod cube;
mod env;
mod error;
mod exec;
mod globals;
mod hazards;
mod instr;
mod launch;
mod memory;
mod mixed;
mod numeric;
mod prepared;
mod ranks;
mod record;
mod report;
mod scalar;
mod sort;
mod transfer;
mod vector;

pub use collect::Checked;
pub use error::{Conflict, Fault, Flag, RankRun, SimError, Site, Statement};
pub use hazards::Lane;
pub use ranks::{
    Actor, Because, BlockSpan, CriticalStep, Delivery, Element, Interleaving, KernelSpan, Pace,
    RankFault, RankOptions, RankReport, RanksReport, Timeline, Waiting, run_ranks,
};
pub use record::{FlagSpan, PipeSpan, Record};
pub use report::{KernelReport, Report};

use crate::data::Tensors;
use clock::PipeTimes;
use collect::Faults;
use env::Env;
use exec::Budget;
use globals::Globals;
use memory::Core;
use prepared::Prepared;
use record::Slowest;
use tilewright_ir::DType;
use tilewright_ir::kernel::{Program, Role};
use tilewright_ir::machine::Machine;
use tracing::debug;

/// How to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Which tensors come back.
    pub returned: Returned,
    /// What to do with elements of outputs that no kernel has written.
    pub unwritten: Unwritten,
    /// Statements of all blocks together after which a run is given up.
    pub max_statements: u64,
    /// Whether kernels' reports have what their slowest block did when.
    pub record: bool,
}

/// What a run gives back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returned {
    Outputs,
    OutputsAndWorkspaces,
}

/// What becomes of elements that nobody writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwritten {
    Refuse,
    Zero,
    /// All bits are set, so that they differ from what is written.
    Mark,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            returned: Returned::Outputs,
            unwritten: Unwritten::Refuse,
            max_statements: 1 << 30,
            record: false,
        }
    }
}

/// Runs a program of one rank on data and in time. Scalars are rank-0 integer tensors among the inputs.
///
/// # Errors
///
/// The first [`Fault`], with the kernel, block and instruction where it happened.
pub fn run(
    program: &Program,
    machine: &Machine,
    inputs: &Tensors,
    options: &Options,
) -> Result<Report, SimError> {
    check::program(program, machine)?;
    check::size(program)?;
    check::one_rank(program)?;
    let scalars = scalars(program, inputs)?;
    let mut globals = Globals::new(program, inputs)?;
    let mut report = simulate(
        program,
        machine,
        &scalars,
        options,
        Some(&mut globals),
        None,
    )?;
    if options.unwritten == Unwritten::Refuse
        && let Some(fault) = globals.unwritten().next()
    {
        return Err(fault.into());
    }
    report.outputs = globals.take(Role::Output, options.unwritten);
    if options.returned == Returned::OutputsAndWorkspaces {
        report
            .outputs
            .extend(globals.take(Role::Workspace, options.unwritten));
    }
    Ok(report)
}

/// Runs a program on data and collects what [`run`] refuses: all faults that are there on their own. What follows from another
/// one is left out, as far as it is known. Kernels that do not verify or do not fit the machine are not run.
pub fn check(program: &Program, machine: &Machine, inputs: &Tensors, options: &Options) -> Checked {
    let mut faults = Faults::default();
    let broken = check::collect(program, machine, &mut faults);
    let Some(broken) = broken else {
        return faults.into_checked();
    };
    if let Err(error) = check::one_rank(program) {
        faults.push(error);
        return faults.into_checked();
    }
    let started = scalars(program, inputs)
        .map_err(SimError::from)
        .and_then(|s| Ok((s, Globals::new(program, inputs)?)));
    let (scalars, mut globals) = match started {
        Ok(started) => started,
        Err(error) => {
            faults.push(error);
            return faults.into_checked();
        }
    };
    let collect = Collect {
        faults: &mut faults,
        broken: &broken,
    };
    let ran = simulate(
        program,
        machine,
        &scalars,
        options,
        Some(&mut globals),
        Some(collect),
    );
    match ran {
        // Faults of kernels are collected; what comes here ends the run.
        Err(error) => faults.push(error),
        Ok(_) if options.unwritten == Unwritten::Refuse => {
            globals.unwritten().for_each(|f| faults.push(f.into()));
        }
        Ok(_) => {}
    }
    faults.into_checked()
}

/// What is wrong with a program before any of it runs, whatever its ranks and inputs are.
pub fn check_form(program: &Program, machine: &Machine) -> Vec<(SimError, u64)> {
    let mut faults = Faults::default();
    check::collect(program, machine, &mut faults);
    faults.into_checked().faults
}

/// Where a run puts faults, and the kernels that it leaves out.
struct Collect<'r> {
    faults: &'r mut Faults,
    broken: &'r [String],
}

/// Times a program without data: scalars have their largest values, counts of rows are what kernels expect of them, and where they
/// expect nothing, conditions on registers hold and all rows are valid.
///
/// # Errors
///
/// As [`run`], without what depends on data: flags are checked, hazards and memories are not.
pub fn time(program: &Program, machine: &Machine) -> Result<Report, SimError> {
    time_with(program, machine, &Options::default())
}

/// As [`time`], with options.
///
/// # Errors
///
/// As [`time`].
pub fn time_with(
    program: &Program,
    machine: &Machine,
    options: &Options,
) -> Result<Report, SimError> {
    check::program(program, machine)?;
    let scalars: Vec<i64> = program.scalars.values().copied().collect();
    simulate(program, machine, &scalars, options, None, None)
}

fn scalars(program: &Program, inputs: &Tensors) -> Result<Vec<i64>, Fault> {
    let mut values = vec![];
    for (name, &max) in &program.scalars {
        let tensor = inputs
            .get(name)
            .ok_or_else(|| Fault::MissingInput { name: name.clone() })?;
        let value = match (tensor.dtype, tensor.bytes.as_slice()) {
            (DType::I32, &[a, b, c, d]) => i64::from(i32::from_le_bytes([a, b, c, d])),
            (DType::I64, &[a, b, c, d, e, f, g, h]) => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
            _ => {
                return Err(Fault::InputType {
                    name: name.clone(),
                    want: "i32 []".into(),
                    got: format!("{} {:?}", tensor.dtype, tensor.shape),
                });
            }
        };
        if !(0..=max).contains(&value) {
            return Err(Fault::ScalarRange {
                name: name.clone(),
                value,
                max,
            });
        }
        values.push(value);
    }
    Ok(values)
}

fn simulate(
    program: &Program,
    machine: &Machine,
    scalars: &[i64],
    options: &Options,
    mut globals: Option<&mut Globals>,
    mut collect: Option<Collect>,
) -> Result<Report, SimError> {
    let mut budget = Budget {
        left: options.max_statements,
        limit: options.max_statements,
    };
    let mut kernels = vec![];
    for (done, kernel) in program.kernels.iter().enumerate() {
        debug!(progress = "kernels", done, of = program.kernels.len());
        let stored = kernel.accesses().1;
        let prepared = Prepared::new(machine, kernel);
        if let Some(globals) = globals.as_deref_mut() {
            globals.begin_kernel(&prepared);
            if let Some(c) = &collect
                && c.broken.contains(&kernel.name)
            {
                globals.assume_written(&stored);
                continue;
            }
        }
        if let Some(c) = &mut collect {
            c.faults.begin_kernel(&prepared);
        }
        let mut cores: Vec<Core> = match globals {
            Some(_) => (0..prepared.cores())
                .map(|_| Core::new(&prepared))
                .collect(),
            None => vec![],
        };
        let mut times: Vec<PipeTimes> = vec![];
        let mut slowest = Slowest::default();
        for index in 0..kernel.launch.blocks() {
            let grid = kernel.launch.coordinates(index);
            let ran = mixed::run(mixed::Job {
                prepared: &prepared,
                index,
                env: &|| Env::new(&prepared, grid.clone(), scalars),
                cores: &mut cores,
                globals: globals.as_deref_mut(),
                budget: &mut budget,
                faults: collect.as_mut().map(|c| &mut *c.faults),
                flag_cycles: machine.cross_core_flag.value,
                record: options.record,
            });
            match (ran, &mut collect) {
                (Ok(mut pipes), _) => {
                    slowest.watch(index, &mut pipes);
                    times.push(pipes);
                }
                (Err(error), Some(c)) if !matches!(*error.fault, Fault::TooLong { .. }) => {
                    c.faults.push(error);
                    if let Some(globals) = globals.as_deref_mut() {
                        globals.assume_written(&stored);
                    }
                    break;
                }
                (Err(error), _) => return Err(error),
            }
        }
        if let Some((block, moments)) = slowest.end() {
            times[block].moments = Some(moments);
        }
        match &mut collect {
            // Of a kernel that stopped, what it did not come to is no news.
            Some(c) if times.len() == kernel.launch.blocks() => c.faults.end_kernel(&prepared),
            Some(_) => {}
            None => kernels.push(launch::report(&prepared, &times)),
        }
    }
    let us = kernels.iter().map(|k| k.us).sum();
    Ok(Report {
        outputs: Tensors::new(),
        kernels,
        us,
        cycles: us * machine.clock_mhz.value,
    })
}
