//! What holds before the first block runs. The program's form, and that it fits the machine, is
//! [`tilewright_ir::kernel::verify`]'s and [`tilewright_ir::kernel::check_capacity`]'s to say; that nothing here goes out of range rests on
//! them. What is left is what only a simulator needs: addresses, and sizes that fit in host memory.

use super::collect::Faults;
use super::error::{Fault, SimError, Site};
use super::instr::no_ranks;
use super::launch::cores_of;
use super::ranks::{Pace, RankOptions};
use crate::data::Tensors;
use tilewright_ir::kernel::{
    GlobalTensor, Kernel, Program, Role, Stmt, check_capacity, check_order, verify, verify_kernel,
    verify_tensors,
};
use tilewright_ir::machine::Machine;

/// Bytes of the tensors that a program may make.
const MAX_MADE: usize = 16 << 30;
/// Bytes that are kept of each element: whether it was written, and by whom last.
const TRACKED: usize = 1 + size_of::<super::globals::Cell>();
/// Statements that the blocks of a kernel run: minutes.
const MAX_STEPS: u64 = 1 << 31;

/// A program that runs without other ranks.
pub(super) fn one_rank(program: &Program) -> Result<(), SimError> {
    if program.ranks > 1 || program.tensors.values().any(|t| t.role == Role::Window) {
        return Err(no_ranks().into());
    }
    Ok(())
}

/// What a run of several ranks is given.
pub(super) fn ranks(
    program: &Program,
    inputs: &[Tensors],
    options: &RankOptions,
) -> Result<(), SimError> {
    let wrong = |what: String| Err(Fault::Ranked { what }.into());
    if inputs.len() != program.ranks {
        return wrong(format!(
            "inputs are given for {} ranks, but the program runs on {}",
            inputs.len(),
            program.ranks
        ));
    }
    if !(1..=MAX_LAYERS).contains(&options.layers) {
        return wrong(format!(
            "{} layer runs are asked for, of 1 to {MAX_LAYERS}",
            options.layers
        ));
    }
    if let Pace::Slow(rank) | Pace::Fast(rank) = options.interleaving.pace
        && rank >= program.ranks
    {
        return wrong(format!(
            "rank {rank} is to be slow or fast, but there are {} ranks",
            program.ranks
        ));
    }
    for (output, input) in &options.carried {
        let of = |name: &str, role| program.tensors.get(name).filter(|t| t.role == role);
        let (from, to) = (of(output, Role::Output), of(input, Role::Input));
        let fits = from
            .zip(to)
            .is_some_and(|(a, b)| (a.dtype, &a.shape) == (b.dtype, &b.shape));
        if !fits {
            return wrong(format!(
                "`{output}` of a layer run cannot be `{input}` of the next one: an output and an input of one type and shape are needed"
            ));
        }
    }
    Ok(())
}

/// Layer runs one after the other: a slip is what this refuses.
const MAX_LAYERS: usize = 10_000;

/// Checks a program against a machine.
pub(super) fn program(program: &Program, machine: &Machine) -> Result<(), SimError> {
    verify(program, machine).map_err(Fault::Verify)?;
    for kernel in &program.kernels {
        check_capacity(kernel, machine).map_err(Fault::Verify)?;
        resident(kernel, machine)?;
        addresses(kernel)?;
    }
    Ok(())
}

/// Collects what is wrong before the first block runs, and returns the kernels that cannot run; `None` if none of them can.
pub(super) fn collect(
    program: &Program,
    machine: &Machine,
    faults: &mut Faults,
) -> Option<Vec<String>> {
    // Tensors and scalars first: nothing can be said of kernels over broken ones.
    if let Err(error) = verify_tensors(program)
        .map_err(Fault::Verify)
        .and_then(|()| size(program))
    {
        faults.push(error.into());
        return None;
    }
    let mut broken = vec![];
    for kernel in &program.kernels {
        let found = verify_kernel(program, kernel, machine)
            .and_then(|()| check_capacity(kernel, machine))
            .map_err(|e| SimError::from(Fault::Verify(e)))
            .and_then(|()| resident(kernel, machine))
            .and_then(|()| addresses(kernel));
        if let Err(error) = found {
            faults.push(error);
            broken.push(kernel.name.clone());
        }
    }
    if broken.is_empty()
        && let Err(error) = verify(program, machine)
    {
        faults.push(Fault::Verify(error).into());
        return None;
    }
    if let Err(errors) = check_order(program, machine) {
        for error in errors {
            faults.push(Fault::Verify(error).into());
        }
    }
    Some(broken)
}

/// A run on data: what a host can hold, and what ends before anyone gives up.
pub(super) fn size(program: &Program) -> Result<(), Fault> {
    let made = program
        .tensors
        .iter()
        .filter(|(_, t)| t.role != Role::Input);
    let need = |t: &GlobalTensor| {
        let elements = t.shape.iter().fold(1_usize, |n, d| n.saturating_mul(*d));
        t.bytes().saturating_add(elements.saturating_mul(TRACKED))
    };
    let all = made
        .clone()
        .fold(0_usize, |sum, (_, t)| sum.saturating_add(need(t)));
    if all > MAX_MADE {
        let largest = made.max_by_key(|(_, t)| need(t));
        let (name, bytes) = largest.map_or(("", 0), |(name, t)| (name.as_str(), t.bytes()));
        return Err(Fault::Program {
            what: format!(
                "to follow what the program writes takes {all} bytes of memory, of at most {MAX_MADE}; the largest tensor is `{name}` with {bytes} bytes"
            ),
        });
    }
    for kernel in &program.kernels {
        let blocks = kernel.launch.blocks() as u64;
        let steps = blocks.saturating_mul(steps(&kernel.body));
        if steps > MAX_STEPS {
            return Err(Fault::Program {
                what: format!(
                    "the {blocks} blocks of kernel `{}` run {steps} statements, of at most {MAX_STEPS}",
                    kernel.name
                ),
            });
        }
    }
    Ok(())
}

/// How many statements a block runs at most.
fn steps(body: &[Stmt]) -> u64 {
    let of = |s: &Stmt| match s {
        Stmt::Loop { trips, body, .. } => (*trips as u64).saturating_mul(steps(body)),
        Stmt::If {
            then, otherwise, ..
        } => steps(then).max(steps(otherwise)),
        Stmt::Part { body, .. } => steps(body),
        _ => 1,
    };
    let sum = body.iter().map(of).fold(0, u64::saturating_add);
    sum.saturating_add(1)
}

/// Blocks that wait for each other must all be running.
fn resident(kernel: &Kernel, machine: &Machine) -> Result<(), SimError> {
    let (blocks, cores) = (kernel.launch.blocks(), cores_of(machine, kernel));
    if kernel.waits() && blocks > cores {
        return Err(Fault::Program {
            what: format!(
                "kernel `{}` has {blocks} blocks that wait for each other, but {} has {cores} cores for them: some would never start",
                kernel.name, machine.name
            ),
        }
        .into());
    }
    Ok(())
}

fn addresses(kernel: &Kernel) -> Result<(), SimError> {
    match kernel.tiles.iter().find(|t| t.addrs.len() != t.slots) {
        Some(tile) => Err(SimError {
            site: Some(Box::new(Site {
                run: None,
                kernel: kernel.name.clone(),
                block: None,
                grid: vec![],
                statement: None,
            })),
            fault: Box::new(Fault::Unallocated {
                tile: tile.name.clone(),
                addrs: tile.addrs.len(),
                slots: tile.slots,
            }),
        }),
        None => Ok(()),
    }
}
