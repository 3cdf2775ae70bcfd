//! Flags between pipes.
//!
//! The pipes of a core run side by side. This pass derives which instruction must wait for which, and inserts the sets,
//! waits and barriers that make it so.
//!
//! # Needs
//!
//! Two instructions need an order when one writes bytes that the other touches: bytes of an on-chip memory, compared by
//! address, or a rectangle of a tensor in global memory (`access`). In a loop a need has a *distance*: an instruction
//! of iteration `n` must be over before another one of iteration `n + distance` starts. Two slots of one tile never
//! meet in one iteration; equal slots meet at the distance of the number of slots.
//!
//! # Regions
//!
//! The kernel's body, every loop body and every branch is a *region*, planned on its own, inner ones first (`plan`).
//! Its items are instructions, whole loops and whole conditionals; set and wait of a flag stand in the same region.
//!
//! * A need between two items of one iteration becomes a set after the producer and a wait before the consumer.
//! * A need that crosses the back edge becomes a *token*: wait before the writer, set after the reader, with one id a
//!   slot, so that the writer may run ahead by as many iterations as there are slots. Tokens circulate: they are set
//!   once when the kernel starts, and waited for when it ends. A loop that runs again finds its tokens as it left them,
//!   so its pipeline does not drain in between.
//! * A branch in a loop is planned as a loop body of which some iterations are left out: a token of its own stays as it
//!   is when the branch is not taken, and so do the bytes of its slot.
//!
//! # Only what is needed
//!
//! A graph of moments (`graph`) tells which orders follow from which flags, across pipes, iterations and inner loops.
//! First every need has a flag; then each flag without which all needs are still met is taken away. Needs within a pipe
//! are met by barriers, placed greedily, each as late as possible.
//!
//! # Ids
//!
//! No id is set again before its wait has passed. For a token, its own wait must come before its set in every iteration;
//! a flag in the reverse direction is added if nothing else ensures it. For any other flag in a loop there must be a
//! token that waits before the flag's set and is set after the flag's wait; it *paces* the flag, which then rotates
//! through as many ids. `events` numbers them. If a pair of pipes needs more ids than there are, its flags become more
//! sparing step by step (`Thrift`): they are merged; then a region has only some in flight at a time, so that the
//! producer may run ahead by as many; then they rotate through less ids. The result says so.
//!
//! # Mixed kernels
//!
//! The cross-core flags between the parts come first ([`super::cross`]). Then each part is planned as a kernel of its own, in
//! which they stay where they are. Tensors that go from part to part are left out: a flag that holds back a core is enough
//! for all of its pipes.
//!
//! # Not modelled
//!
//! A conditional is opaque to the region around it: each pipe starts all of it and ends all of it. So flags between a
//! conditional that holds several pipes and what stands around it can be more than a whole view would need. What several
//! loops order by sharing rotating tokens, or by the parity of their trips, is not counted on. The order in which the
//! scalar unit hands out instructions is used for registers only.

mod access;
mod built;
mod events;
mod graph;
mod insert;
mod plan;
mod region;
mod thrift;

use super::cross::{CrossError, flagged};
use plan::Planner;
use region::Reader;
use thiserror::Error;
use thrift::{Thrift, Thrifts};
use tilewright_ir::kernel::{Kernel, LoopId, Pipe, Stmt, Unit};
use tilewright_ir::machine::Geometry;

/// Why a kernel has no flags.
#[derive(Debug, Clone, PartialEq, Eq, Error, miette::Diagnostic)]
pub enum SynchroniseError {
    /// A tile has no address for each of its slots.
    #[error("kernel `{kernel}`: tile `{tile}` has no addresses")]
    #[diagnostic(
        code(tilewright::synchronise::unallocated),
        help("run the allocate pass first")
    )]
    Unallocated { kernel: String, tile: String },
    /// An operand takes its slot from a loop that is not around it.
    #[error(
        "kernel `{kernel}`: tile `{tile}` takes its slot from loop {id}, which is not around the instruction"
    )]
    #[diagnostic(
        code(tilewright::synchronise::slot_loop),
        help("name a loop around the instruction, or use slot 0")
    )]
    SlotLoop {
        kernel: String,
        tile: String,
        id: LoopId,
    },
    /// A loop within itself, or one that the kernel does not name.
    #[error("kernel `{kernel}`: loop {id} is within itself or has no name")]
    #[diagnostic(
        code(tilewright::synchronise::bad_loop),
        help("give every loop an id of its own in the kernel's list of loops")
    )]
    Loop { kernel: String, id: LoopId },
    /// The parts of a mixed kernel.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Cross(#[from] CrossError),
    /// Even merged flags need more ids than a pair of pipes has.
    #[error("kernel `{kernel}`: more than {limit} event ids from {} to {}", src.name(), dst.name())]
    #[diagnostic(
        code(tilewright::synchronise::event_ids),
        help("nest fewer loops, or split the kernel")
    )]
    EventIds {
        kernel: String,
        src: Pipe,
        dst: Pipe,
        limit: usize,
    },
}

/// A kernel with flags, and what the pass has to say about them.
#[derive(Debug, Clone, PartialEq)]
pub struct Synchronised {
    pub kernel: Kernel,
    /// Where ids were short and flags are coarser than the dependences, for people.
    pub notes: Vec<String>,
}

/// The kernel with all sets, waits and barriers that it needs; those that it had are derived anew.
///
/// # Errors
///
/// See [`SynchroniseError`].
pub fn synchronise(kernel: &Kernel, geometry: &Geometry) -> Result<Kernel, SynchroniseError> {
    Ok(synchronise_with_notes(kernel, geometry)?.kernel)
}

/// Whether [`synchronise`] finds enough event ids. Flags of trips that are in flight together are apart, and those of as many trips
/// can be merged; those of branches are their own. Only where ids are too few for that is it tried.
///
/// # Errors
///
/// See [`SynchroniseError`].
pub fn check_event_ids(kernel: &Kernel, geometry: &Geometry) -> Result<(), SynchroniseError> {
    let mut depths: Vec<usize> = kernel.tiles.iter().map(|t| t.slots).collect();
    depths.sort_unstable();
    depths.dedup();
    let apart: usize = depths.iter().filter(|d| **d > 1).sum();
    match apart + branches(&kernel.body) < geometry.event_ids.count() {
        true => Ok(()),
        false => synchronise(kernel, geometry).map(|_| ()),
    }
}

/// How many bodies of conditionals there are.
fn branches(body: &[Stmt]) -> usize {
    let of = |s: &Stmt| match s {
        Stmt::Loop { body, .. } | Stmt::Part { body, .. } => branches(body),
        Stmt::If {
            then, otherwise, ..
        } => {
            let both = [then, otherwise].into_iter().filter(|b| !b.is_empty());
            both.map(|b| 1 + branches(b)).sum()
        }
        _ => 0,
    };
    body.iter().map(of).sum()
}

/// As [`synchronise`], with notes on where event ids were short.
///
/// # Errors
///
/// See [`SynchroniseError`].
pub fn synchronise_with_notes(
    kernel: &Kernel,
    geometry: &Geometry,
) -> Result<Synchronised, SynchroniseError> {
    let event_ids = geometry.event_ids.count();
    if kernel.unit != Unit::Mixed {
        return core(kernel, &[], event_ids);
    }
    let (mut kernel, handovers) = flagged(kernel, geometry)?;
    let linked: Vec<String> = handovers.into_iter().map(|l| l.tensor).collect();
    let mut notes = vec![];
    let mut body = vec![];
    for stmt in std::mem::take(&mut kernel.body) {
        body.push(match stmt {
            Stmt::Part { unit, body } => {
                kernel.body = body;
                let done = core(&kernel, &linked, event_ids)?;
                let own = done
                    .notes
                    .iter()
                    .map(|n| format!("{} part: {n}", unit.name()));
                notes.extend(own);
                Stmt::Part {
                    unit,
                    body: done.kernel.body,
                }
            }
            other => other,
        });
    }
    kernel.body = body;
    Ok(Synchronised { kernel, notes })
}

/// The flags of one core.
fn core(
    kernel: &Kernel,
    linked: &[String],
    event_ids: usize,
) -> Result<Synchronised, SynchroniseError> {
    let mut reader = Reader::new(kernel, linked);
    let mut root = reader.root()?;
    let mut steps = Thrifts::default();
    loop {
        Planner::new(kernel, &reader.works, &reader.trips, &steps, event_ids).plan(&mut root);
        let over = match events::assign(&root, event_ids) {
            Ok(ids) => {
                let body = insert::body(&root, &ids);
                return Ok(Synchronised {
                    kernel: Kernel {
                        body,
                        ..kernel.clone()
                    },
                    notes: notes(&steps, event_ids),
                });
            }
            Err(over) => over,
        };
        let mut sparing: Vec<(Pipe, Pipe)> = over
            .into_iter()
            .map(|(src, dst)| {
                let step = |src: Pipe, dst: Pipe| steps[src as usize][dst as usize];
                let (own, back) = (step(src, dst), step(dst, src));
                // Flags of the other direction that wait for each other do so through flags of this one.
                let ring = Thrift::LADDER[back].ring != Thrift::ALL;
                match ring && back > own && back + 1 < Thrift::LADDER.len() {
                    true => (dst, src),
                    false => (src, dst),
                }
            })
            .collect();
        sparing.sort();
        sparing.dedup();
        for (src, dst) in sparing {
            let at = &mut steps[src as usize][dst as usize];
            *at += 1;
            if *at == Thrift::LADDER.len() {
                return Err(SynchroniseError::EventIds {
                    kernel: kernel.name.clone(),
                    src,
                    dst,
                    limit: event_ids,
                });
            }
        }
    }
}

/// Where ids were short, and what that did to the flags.
fn notes(steps: &Thrifts, event_ids: usize) -> Vec<String> {
    let pairs = Pipe::ALL
        .into_iter()
        .flat_map(|src| Pipe::ALL.map(|dst| (src, dst)));
    let short = pairs.filter(|&(src, dst)| steps[src as usize][dst as usize] > 0);
    let note = |(src, dst): (Pipe, Pipe)| {
        let thrift = Thrift::LADDER[steps[src as usize][dst as usize]];
        format!(
            "more than {event_ids} event ids from {} to {}: {}",
            src.name(),
            dst.name(),
            thrift.words()
        )
    };
    short.map(note).collect()
}
