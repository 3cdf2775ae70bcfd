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
//!   which a trip takes one. Tiles that only the vector unit touches are overlaid wherever their ranges allow.
//! * Placement is greedy, largest tile first, lowest gap that fits.
//! * Where the slots of the operands of products do not fit L0, its tiles have one slot each: a copy into L0 and a product
//!   then wait for each other, but what takes longest, the load into L1, still runs ahead.
//!
//! The pass runs in a search, thousands of times: one walk over the program, no hashing of names, quadratic only in the
//! tiles of one memory.

use thiserror::Error;
use tilewright_ir::kernel::{Cond, Instr, Kernel, LoopId, Space, Stmt, TileId, TileRef};
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
            for apart in [Apart::Everywhere, Apart::InBody, Apart::InBranch] {
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
                if top <= limit {
                    break;
                }
            }
        }
        Ok(plan)
    }
}

/// How far apart the tiles of the copy pipes stay.
#[derive(Clone, Copy)]
enum Apart {
    /// No other tile shares their bytes.
    Everywhere,
    /// No other tile of the innermost loop around them does.
    InBody,
    /// No other tile of the innermost loop or branch around them does.
    InBranch,
}

/// The live range of a tile, in positions of instructions.
#[derive(Clone, Copy)]
struct Life {
    first: u32,
    last: u32,
    /// Touched by a copy pipe or the cube unit.
    copied: bool,
    /// The outermost loop, as an index of [`Lives::loops`], that its value or its slots cross.
    carried: u32,
    /// The position after its last sure write, or 0.
    defined: u32,
}

const NEVER: u32 = u32::MAX;

struct Lives {
    tiles: Vec<Life>,
    /// First position and position after the last of each loop, outer before inner.
    loops: Vec<(u32, u32)>,
    /// The same of each branch.
    branches: Vec<(u32, u32)>,
    /// Loops around the walk, as indices of `loops`, with their ids.
    around: Vec<(u32, usize)>,
    /// Definitions within branches, with those before: they do not hold after the branch.
    forget: Vec<(TileId, u32)>,
    /// Branches around the walk.
    within: usize,
    /// Tiles that the first trip of a loop defines, with the loop's index; later trips read what an earlier one left.
    begun: Vec<(TileId, u32)>,
    position: u32,
}

impl Lives {
    fn new(kernel: &Kernel) -> Result<Self, AllocateError> {
        let blank = Life {
            first: NEVER,
            last: 0,
            copied: false,
            carried: NEVER,
            defined: 0,
        };
        let mut lives = Lives {
            tiles: vec![blank; kernel.tiles.len()],
            loops: vec![],
            branches: vec![],
            around: vec![],
            forget: vec![],
            within: 0,
            begun: vec![],
            position: 0,
        };
        lives.walk(kernel, &kernel.body)?;
        for i in 0..lives.tiles.len() {
            let tile = &mut lives.tiles[i];
            if tile.first == NEVER {
                continue;
            }
            if let Some(&(start, end)) = lives.loops.get(tile.carried as usize) {
                (tile.first, tile.last) = (tile.first.min(start), tile.last.max(end - 1));
            }
            // A range that crosses the border of a loop covers it; inner loops come last in the list.
            for &(start, end) in lives.loops.iter().rev() {
                let touches = tile.first < end && tile.last >= start;
                let within = tile.first >= start && tile.last < end;
                if touches && !within {
                    (tile.first, tile.last) = (tile.first.min(start), tile.last.max(end - 1));
                }
            }
        }
        Ok(lives)
    }

    fn walk(&mut self, kernel: &Kernel, body: &[Stmt]) -> Result<(), AllocateError> {
        for stmt in body {
            match stmt {
                Stmt::Loop { id, body, .. } => {
                    let index = self.loops.len();
                    self.loops.push((self.position, self.position));
                    self.around.push((index as u32, *id));
                    self.walk(kernel, body)?;
                    self.around.pop();
                    // An empty loop still takes a place, so that its range is not empty.
                    self.position += 1;
                    self.loops[index].1 = self.position;
                }
                Stmt::If {
                    cond,
                    then,
                    otherwise,
                } => self.either(kernel, cond, [then, otherwise])?,
                Stmt::Part { body, .. } => self.walk(kernel, body)?,
                Stmt::Instr(instr) => self.instr(kernel, instr)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn either(
        &mut self,
        kernel: &Kernel,
        cond: &Cond,
        [then, otherwise]: [&[Stmt]; 2],
    ) -> Result<(), AllocateError> {
        let first = self.branch(kernel, then)?;
        let known = self.begun.len();
        if let Cond::First(id) = cond
            && let Some(index) = self.index_of(*id)
        {
            self.begun.extend(first.iter().map(|(t, _)| (*t, index)));
        }
        let second = self.branch(kernel, otherwise)?;
        self.begun.truncate(known);
        // What both define is defined.
        for (tile, before) in first {
            if second.iter().any(|(t, _)| *t == tile) {
                if self.within > 0 {
                    self.forget.push((tile, before));
                }
                self.tiles[tile].defined = self.position;
            }
        }
        Ok(())
    }

    /// Walks a branch. Tiles that it surely defines, with where they were defined before.
    fn branch(
        &mut self,
        kernel: &Kernel,
        body: &[Stmt],
    ) -> Result<Vec<(TileId, u32)>, AllocateError> {
        let (mark, start) = (self.forget.len(), self.position);
        self.within += 1;
        self.walk(kernel, body)?;
        self.within -= 1;
        let mut defined: Vec<(TileId, u32)> = self.forget.drain(mark..).collect();
        for &(tile, before) in defined.iter().rev() {
            self.tiles[tile].defined = before;
        }
        self.branches.push((start, self.position));
        let mut seen = vec![];
        defined.retain(|(t, _)| {
            !seen.contains(t) && {
                seen.push(*t);
                true
            }
        });
        Ok(defined)
    }

    /// The innermost loop of that id around the walk.
    fn index_of(&self, id: LoopId) -> Option<u32> {
        self.around.iter().rev().find(|a| a.1 == id).map(|a| a.0)
    }

    fn instr(&mut self, kernel: &Kernel, instr: &Instr) -> Result<(), AllocateError> {
        let copied = !matches!(instr, Instr::Vector { .. });
        match instr {
            Instr::Load { dst, .. } => self.write(kernel, dst, copied)?,
            Instr::Store { src, .. } => self.read(kernel, src, copied)?,
            Instr::Move { dst, src, .. } => {
                self.read(kernel, src, copied)?;
                self.write(kernel, dst, copied)?;
            }
            Instr::Matmul {
                dst,
                lhs,
                rhs,
                accumulate,
            } => {
                self.read(kernel, lhs, copied)?;
                self.read(kernel, rhs, copied)?;
                if *accumulate {
                    self.read(kernel, dst, copied)?;
                }
                self.write(kernel, dst, copied)?;
            }
            Instr::Vector { dst, srcs, tmp, .. } => {
                for src in srcs {
                    self.read(kernel, src, copied)?;
                }
                for dst in std::iter::once(dst).chain(tmp) {
                    self.write(kernel, dst, copied)?;
                }
            }
            // The scalar unit has no tiles.
            _ => {}
        }
        self.position += 1;
        Ok(())
    }

    /// Widens the range to here; over the loop of a rotating tile too.
    fn touch(&mut self, kernel: &Kernel, at: &TileRef, copied: bool) -> Result<(), AllocateError> {
        let count = self.tiles.len();
        let Some(tile) = self.tiles.get_mut(at.tile) else {
            return Err(AllocateError::UnknownTile {
                kernel: kernel.name.clone(),
                tile: at.tile,
                count,
            });
        };
        tile.first = tile.first.min(self.position);
        tile.last = self.position;
        tile.copied |= copied;
        if at.slot.is_some()
            && let Some(&(index, _)) = self.around.iter().find(|a| Some(a.1) == at.slot)
        {
            tile.carried = tile.carried.min(index);
        }
        Ok(())
    }

    fn read(&mut self, kernel: &Kernel, at: &TileRef, copied: bool) -> Result<(), AllocateError> {
        self.touch(kernel, at, copied)?;
        let tile = &mut self.tiles[at.tile];
        if let Some((_, index)) = self.begun.iter().find(|b| b.0 == at.tile) {
            tile.carried = tile.carried.min(*index);
            return Ok(());
        }
        // Loops that began after the last sure write: the value may come over their back edge.
        let crossed = self
            .around
            .iter()
            .find(|a| tile.defined <= self.loops[a.0 as usize].0);
        if let Some(&(index, _)) = crossed {
            tile.carried = tile.carried.min(index);
        }
        Ok(())
    }

    fn write(&mut self, kernel: &Kernel, at: &TileRef, copied: bool) -> Result<(), AllocateError> {
        self.touch(kernel, at, copied)?;
        let tile = &mut self.tiles[at.tile];
        if self.within > 0 {
            self.forget.push((at.tile, tile.defined));
        }
        tile.defined = self.position + 1;
        Ok(())
    }

    /// The positions that a tile keeps others out of.
    fn range(&self, tile: usize, apart: Apart) -> (u32, u32) {
        let life = self.tiles[tile];
        if !life.copied {
            return (life.first, life.last);
        }
        let contains = |&&(start, end): &&(u32, u32)| start <= life.first && life.last < end;
        let body = self.loops.iter().rev().find(contains);
        let scope = match apart {
            Apart::Everywhere => return (0, NEVER),
            Apart::InBody => body,
            Apart::InBranch => {
                let branch = self.branches.iter().filter(contains);
                let scopes = branch.chain(body);
                scopes.min_by_key(|(start, end)| end - start)
            }
        };
        scope.map_or((life.first, life.last), |&(start, end)| (start, end - 1))
    }

    /// The lowest offset at which a tile meets none of those placed, which come sorted by their own.
    fn lowest(
        &self,
        tile: usize,
        bytes: usize,
        apart: Apart,
        placed: &[(usize, usize, usize)],
    ) -> usize {
        if self.tiles[tile].first == NEVER {
            return 0;
        }
        let (first, last) = self.range(tile, apart);
        let mut offset = 0usize;
        for &(start, end, other) in placed {
            if self.tiles[other].first == NEVER {
                continue;
            }
            let (from, to) = self.range(other, apart);
            if from <= last && first <= to {
                if offset.saturating_add(bytes) <= start {
                    break;
                }
                offset = offset.max(end);
            }
        }
        offset
    }
}
