//! Addresses for tiles.
//!
//! Every slot of every tile gets a byte address in its memory. Two tiles share bytes when that is right and costs no
//! parallelism:
//!
//! * Each tile has one *live range*: the instructions, in program order, from its first use to its last. A range that
//!   enters or leaves a loop covers the loop, and so does one whose value crosses the loop's back edge (read before it
//!   is surely written) or whose slots rotate with the loop. A range is closed at both ends, so the destination of an
//!   instruction never lies on one of its sources.
//! * Tiles that a copy pipe or the cube unit touches (loads, moves, products, stores) would, if overlaid, wait for each
//!   other's instructions. First they all get bytes of their own. If that does not fit, their ranges shrink to the
//!   innermost loop around them, so that only different phases share bytes; and then to the innermost loop or branch, of
//!   which a trip takes one. Outside of loops they shrink to some instructions before and after, as many as fit, so that a load
//!   waits for what is long over. Tiles that only the vector unit touches are overlaid wherever their ranges allow.
//! * Placement is greedy, largest tile first, lowest gap that fits.
//! * Where the slots of the operands of products do not fit L0, its tiles have one slot each: a copy into L0 and a product
//!   then wait for each other, but what takes longest, the load into L1, still runs ahead.
//!
//! The pass runs in a search, thousands of times: one walk over the program, no hashing of names, quadratic only in the
//! tiles of one memory.

use super::lives::{Apart, Life, Lives, NEAR, NEVER};
use thiserror::Error;
use tilewright_ir::kernel::{Instr, Kernel, Space, Stmt, TileRef};
use tilewright_ir::machine::Machine;

/// How many of the largest tiles an error names.
const NAMED: usize = 4;

/// Why a kernel's tiles have no addresses.
#[derive(Debug, Clone, PartialEq, Eq, Error, miette::Diagnostic)]
pub enum AllocateError {
    /// The tiles that live at the same time are larger than the memory.
    #[error("kernel `{kernel}` needs {need} bytes of {}, which has {limit}; the largest tiles are {}", space.name(), list(tiles))]
    #[diagnostic(
        code(tilewright::allocate::overflow),
        help("shrink one of these tiles, or use fewer slots (a shallower pipeline)")
    )]
    Overflow {
        kernel: String,
        space: Space,
        /// Bytes.
        need: usize,
        /// Bytes.
        limit: usize,
        /// The largest tiles of that memory, each with the bytes of all of its slots.
        tiles: Vec<(String, usize)>,
    },
    /// An instruction names a tile that the kernel does not have.
    #[error("kernel `{kernel}` names tile {tile}, but has {count} tiles")]
    #[diagnostic(
        code(tilewright::allocate::unknown_tile),
        help("add the tile to the kernel's list of tiles")
    )]
    UnknownTile {
        kernel: String,
        tile: usize,
        count: usize,
    },
}

fn list(tiles: &[(String, usize)]) -> String {
    let each: Vec<_> = tiles
        .iter()
        .map(|(name, bytes)| format!("`{name}` ({bytes} bytes)"))
        .collect();
    each.join(", ")
}

/// Gives every slot of every tile an address, in place.
///
/// The result depends on the kernel and the machine only. On an error no address has changed.
///
/// # Errors
///
/// [`AllocateError::Overflow`] when tiles that live together do not fit a memory.
pub fn allocate(kernel: &mut Kernel, machine: &Machine) -> Result<(), AllocateError> {
    let mut plan = Placement::new(kernel, machine)?;
    for space in [Space::L0a, Space::L0b] {
        let full = |plan: &Placement| {
            figure(machine.capacity.get(&space))
                .is_some_and(|limit| plan.need[space as usize] > limit)
        };
        if full(&plan) {
            let before = kernel.clone();
            if single(kernel, space) {
                plan = Placement::new(kernel, machine)?;
                if full(&plan) {
                    *kernel = before;
                    plan = Placement::new(kernel, machine)?;
                }
            }
        }
    }
    for space in Space::ALL {
        if let Some(limit) = figure(machine.capacity.get(&space))
            && plan.need[space as usize] > limit
        {
            return Err(overflow(kernel, space, plan.need[space as usize], limit));
        }
    }
    for (tile, &(offset, stride)) in kernel.tiles.iter_mut().zip(&plan.places) {
        tile.addrs.clear();
        tile.addrs.extend(
            (0..tile.slots.max(1)).map(|s| offset.saturating_add(s.saturating_mul(stride))),
        );
    }
    Ok(())
}

/// Leaves the tiles of a memory one slot each; `false` if they have no more.
fn single(kernel: &mut Kernel, space: Space) -> bool {
    let mut narrowed = vec![false; kernel.tiles.len()];
    for (tile, narrowed) in kernel.tiles.iter_mut().zip(&mut narrowed) {
        if tile.space == space && tile.slots > 1 {
            tile.slots = 1;
            *narrowed = true;
        }
    }
    if !narrowed.contains(&true) {
        return false;
    }
    let mut body = std::mem::take(&mut kernel.body);
    still(&mut body, &narrowed);
    kernel.body = body;
    true
}

/// Names slot 0 of tiles that have no other.
fn still(body: &mut [Stmt], narrowed: &[bool]) {
    for stmt in body {
        match stmt {
            Stmt::Loop { body, .. } => still(body, narrowed),
            Stmt::If {
                then, otherwise, ..
            } => {
                still(then, narrowed);
                still(otherwise, narrowed);
            }
            Stmt::Instr(Instr::Move { dst, .. }) => slot_zero(dst, narrowed),
            Stmt::Instr(Instr::Matmul { lhs, rhs, .. }) => {
                slot_zero(lhs, narrowed);
                slot_zero(rhs, narrowed);
            }
            // Nothing else touches L0A and L0B.
            _ => {}
        }
    }
}

fn slot_zero(at: &mut TileRef, narrowed: &[bool]) {
    if narrowed.get(at.tile).copied().unwrap_or(false) {
        at.slot = None;
    }
}

/// Bytes of each memory, in the order of [`Space::ALL`], that [`allocate`] would use; over the capacity where it does
/// not fit.
///
/// # Errors
///
/// [`AllocateError::UnknownTile`].
pub fn footprint(kernel: &Kernel, machine: &Machine) -> Result<[usize; 5], AllocateError> {
    Ok(Placement::new(kernel, machine)?.need)
}

/// When tiles hold what is needed, in positions of instructions in program order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveRanges {
    /// First and last position of each tile; absent where nothing touches it.
    pub tiles: Vec<Option<(usize, usize)>>,
    /// First and last position of each loop, in the order in which loops begin.
    pub loops: Vec<(usize, usize)>,
    /// All positions; the end of a loop has one, too.
    pub positions: usize,
}

/// The live ranges that [`allocate`] goes by.
///
/// # Errors
///
/// [`AllocateError::UnknownTile`].
pub fn live_ranges(kernel: &Kernel) -> Result<LiveRanges, AllocateError> {
    let lives = Lives::new(kernel)?;
    let tiles = lives.tiles.iter();
    let range = |t: &Life| (t.first != NEVER).then_some((t.first as usize, t.last as usize));
    let loops = lives.loops.iter();
    Ok(LiveRanges {
        tiles: tiles.map(range).collect(),
        loops: loops
            .map(|(start, end)| (*start as usize, (*end as usize).saturating_sub(1)))
            .collect(),
        positions: lives.position as usize,
    })
}

fn overflow(kernel: &Kernel, space: Space, need: usize, limit: usize) -> AllocateError {
    let mut tiles: Vec<_> = kernel
        .tiles
        .iter()
        .filter(|t| t.space == space)
        .map(|t| (t.name.clone(), t.bytes() * t.slots.max(1)))
        .collect();
    tiles.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    tiles.truncate(NAMED);
    AllocateError::Overflow {
        kernel: kernel.name.clone(),
        space,
        need,
        limit,
        tiles,
    }
}

fn figure(f: Option<&tilewright_ir::machine::Figure>) -> Option<usize> {
    // A negative or absurd figure saturates.
    f.map(|f| f.value as usize)
}

/// Where every tile lies.
struct Placement {
    /// Offset of slot 0 and distance of the slots, a tile each.
    places: Vec<(usize, usize)>,
    need: [usize; 5],
}

impl Placement {
    fn new(kernel: &Kernel, machine: &Machine) -> Result<Self, AllocateError> {
        let lives = Lives::new(kernel)?;
        let mut plan = Placement {
            places: vec![(0, 0); kernel.tiles.len()],
            need: [0; 5],
        };
        let mut order: Vec<usize> = Vec::with_capacity(kernel.tiles.len());
        let mut placed = Vec::with_capacity(kernel.tiles.len());
        for space in Space::ALL {
            order.clear();
            order.extend((0..kernel.tiles.len()).filter(|&t| kernel.tiles[t].space == space));
            if order.is_empty() {
                continue;
            }
            let align = figure(machine.alignment.get(&space)).unwrap_or(1).max(1);
            let limit = figure(machine.capacity.get(&space)).unwrap_or(usize::MAX);
            for &t in &order {
                plan.places[t].1 = kernel.tiles[t]
                    .bytes()
                    .checked_next_multiple_of(align)
                    .unwrap_or(usize::MAX);
            }
            let size = |t: usize, places: &[(usize, usize)]| {
                places[t].1.saturating_mul(kernel.tiles[t].slots.max(1))
            };
            order.sort_by_key(|&t| {
                (
                    std::cmp::Reverse(size(t, &plan.places)),
                    lives.tiles[t].first,
                    t,
                )
            });
            let mut place = |apart: Apart| {
                placed.clear();
                let mut top = 0;
                for &t in &order {
                    let bytes = size(t, &plan.places);
                    let offset = lives.lowest(t, bytes, apart, &placed);
                    plan.places[t].0 = offset;
                    let at = placed.partition_point(|&(o, _, _)| o <= offset);
                    placed.insert(at, (offset, offset.saturating_add(bytes), t));
                    top = top.max(offset.saturating_add(bytes));
                }
                plan.need[space as usize] = top;
                top <= limit
            };
            // Where tiles do not even fit as close as can be, nothing fits; where they do, they may fit further apart.
            let close = [Apart::InBody(0), Apart::InBranch(0)];
            if place(Apart::Everywhere) || !close.into_iter().any(&mut place) {
                continue;
            }
            let near: &[u32] = match lives.loops.is_empty() {
                true => &NEAR,
                false => &NEAR[NEAR.len() - 1..],
            };
            let ladder = near
                .iter()
                .flat_map(|n| [Apart::InBody(*n), Apart::InBranch(*n)]);
            for apart in ladder {
                if place(apart) {
                    break;
                }
            }
        }
        Ok(plan)
    }
}
