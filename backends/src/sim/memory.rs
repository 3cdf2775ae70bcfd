//! On-chip memories of one core: bytes, what of them has been written, and who touched them last.
//!
//! Tiles lie at their real addresses, so tiles that share bytes overwrite each other here, too. Within a tile elements are
//! row-major over its physical extent (a column tile `[R, 1]` is `R` elements in a row; a right operand of a product `[K, N]` lies
//! column by column, as global memory has it); the fractals of L1, L0A, L0B and L0C are not
//! modelled, so there an access claims the whole tile.
//!
//! Hazards are kept by granules of one block, which is what the hardware reads and writes.

use super::error::{Conflict, Fault};
use super::hazards::{Clocks, Lane};
use super::prepared::Prepared;
use std::ops::Range;
use tilewright_ir::kernel::{Layout, Pipe, Space, Tile};

/// No slot has written here.
const NOBODY: u32 = u32::MAX;

/// A tile's slot as an operand, with the rows and columns that take part.
#[derive(Clone, Copy)]
pub(super) struct Operand<'a> {
    pub tile: &'a Tile,
    pub slot: usize,
    /// Number of the slot in [`Prepared::first_slot`]'s counting.
    pub owner: usize,
    pub addr: usize,
    pub rows: usize,
    pub cols: usize,
}

impl Operand<'_> {
    pub fn empty(&self) -> bool {
        self.rows == 0 || self.cols == 0
    }

    pub fn size(&self) -> usize {
        self.rows * self.cols
    }

    pub fn is_column(&self) -> bool {
        self.tile.layout == Layout::ColMajor
    }

    /// Whether elements lie column by column.
    pub fn is_turned(&self) -> bool {
        matches!(self.tile.layout, Layout::Zn | Layout::Right)
    }

    /// All bytes of the slot.
    pub fn extent(&self) -> Range<usize> {
        self.addr..self.addr + self.tile.bytes()
    }

    /// Contiguous runs of elements: how many, and bytes of each and between their starts.
    fn runs(&self) -> (usize, usize, usize) {
        let size = self.tile.dtype.bytes();
        if self.empty() {
            (0, 0, 0)
        } else if self.is_column() {
            (1, self.rows * size, 0)
        } else if self.is_turned() {
            match self.rows == self.tile.rows {
                true => (1, self.rows * self.cols * size, 0),
                false => (self.cols, self.rows * size, self.tile.rows * size),
            }
        } else if self.cols == self.tile.cols {
            (1, self.rows * self.cols * size, 0)
        } else {
            (self.rows, self.cols * size, self.tile.cols * size)
        }
    }

    /// The byte ranges that hold the elements.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (count, bytes, stride) = self.runs();
        let addr = self.addr;
        (0..count).map(move |i| addr + i * stride..addr + i * stride + bytes)
    }

    /// Row and column of the element at a byte address.
    fn element(&self, at: usize) -> (usize, usize) {
        let e = (at - self.addr) / self.tile.dtype.bytes();
        if self.is_column() {
            (e, 0)
        } else if self.is_turned() {
            (e % self.tile.rows, e / self.tile.rows)
        } else {
            (e / self.tile.cols, e % self.tile.cols)
        }
    }
}

/// Who does an access.
#[derive(Clone, Copy)]
pub(super) struct Access<'p, 'a> {
    pub prepared: &'p Prepared<'a>,
    pub clocks: &'p Clocks,
    /// Its block, from 1.
    pub block: u32,
    /// Which of its block's cores.
    pub core: u8,
    pub pipe: Pipe,
    pub seq: u32,
    pub step: usize,
    /// Whether reads of what was never written, was overwritten, or is another block's go through.
    pub tolerant: bool,
}

impl Access<'_, '_> {
    /// A hazard of this access with an earlier one, if nothing orders the two.
    #[inline]
    pub fn conflict(&self, first: Touch) -> bool {
        first.seq != 0
            && !(first.lane() == self.lane() && first.seq == self.seq)
            && !self.clocks.ordered(first.lane(), first.seq, self.lane())
    }

    fn lane(&self) -> Lane {
        Lane {
            core: self.core,
            pipe: self.pipe,
        }
    }

    #[cold]
    pub fn hazard(&self, conflict: Conflict, place: String, first: Touch) -> Fault {
        Fault::Hazard {
            conflict,
            place,
            first: self.prepared.describe(first.step as usize),
            first_pipe: first.pipe,
            second_pipe: self.pipe,
            cores: (first.core, self.core),
            seq: first.seq,
        }
    }

    pub fn touch(&self) -> Touch {
        Touch {
            seq: self.seq,
            step: self.step as u32,
            pipe: self.pipe,
            core: self.core,
        }
    }
}

/// An earlier access; number 0 is none.
#[derive(Clone, Copy)]
pub(super) struct Touch {
    pub seq: u32,
    pub step: u32,
    pub pipe: Pipe,
    pub core: u8,
}

impl Touch {
    fn lane(self) -> Lane {
        Lane {
            core: self.core,
            pipe: self.pipe,
        }
    }
}

pub(super) const UNTOUCHED: Touch = Touch {
    seq: 0,
    step: 0,
    pipe: Pipe::S,
    core: 0,
};

#[derive(Clone, Copy)]
struct Granule {
    write: Touch,
    owner: u32,
    /// The last read of the computing pipe, and of the pipe that moves data out.
    reads: [Touch; 2],
}

const FRESH: Granule = Granule {
    write: UNTOUCHED,
    owner: NOBODY,
    reads: [UNTOUCHED; 2],
};

/// A memory has two pipes that read it: one that computes and one that moves.
fn reader(pipe: Pipe) -> usize {
    match pipe {
        Pipe::V | Pipe::M | Pipe::S => 0,
        Pipe::Mte1 | Pipe::Mte2 | Pipe::Mte3 | Pipe::Fix => 1,
    }
}

/// One on-chip memory.
#[derive(Default)]
struct Memory {
    bytes: Vec<u8>,
    /// 1 for each byte that has been written.
    written: Vec<u8>,
    granules: Vec<Granule>,
}

/// The memories of one core, as one block finds and leaves them.
#[derive(Default)]
pub(super) struct Core {
    memories: [Memory; 5],
    /// Bytes of a granule.
    granule: usize,
}

impl Core {
    /// Memories as large as the kernel uses them.
    pub fn new(prepared: &Prepared) -> Self {
        let granule = prepared.machine.geometry.block.count();
        Core {
            granule,
            memories: Space::ALL.map(|space| {
                let used = prepared.kernel.used(space);
                Memory {
                    bytes: vec![0; used],
                    written: vec![0; used],
                    granules: vec![FRESH; used.div_ceil(granule)],
                }
            }),
        }
    }

    /// Forgets the last block.
    pub fn reset(&mut self) {
        for memory in &mut self.memories {
            memory.written.fill(0);
            memory.granules.fill(FRESH);
        }
    }

    /// Records a read: refuses bytes that were never written, that another tile has overwritten, and unordered writes.
    pub fn read(&mut self, access: &Access, operand: &Operand) -> Result<(), Fault> {
        let memory = &mut self.memories[operand.tile.space as usize];
        for range in operand.ranges() {
            let start = range.start;
            let written = &memory.written[range];
            // Almost always there is nothing to find, which is found out fast.
            if !access.tolerant
                && written.contains(&0)
                && let Some(at) = written.iter().position(|w| *w == 0)
            {
                let (row, col) = operand.element(start + at);
                return Err(Fault::Uninitialised {
                    tile: operand.tile.name.clone(),
                    slot: operand.slot,
                    row,
                    col,
                });
            }
        }
        for range in claimed(operand, self.granule) {
            for granule in &mut memory.granules[range] {
                if access.conflict(granule.write) {
                    return Err(access.hazard(
                        Conflict::ReadAfterWrite,
                        place(operand),
                        granule.write,
                    ));
                }
                let foreign = granule.owner != operand.owner as u32 && granule.owner != NOBODY;
                if foreign && !access.tolerant {
                    let (by_tile, by_slot) = access.prepared.slot_name(granule.owner as usize);
                    return Err(Fault::Clobbered {
                        tile: operand.tile.name.clone(),
                        slot: operand.slot,
                        by_tile,
                        by_slot,
                        by: access.prepared.describe(granule.write.step as usize),
                    });
                }
                granule.reads[reader(access.pipe)] = access.touch();
            }
        }
        Ok(())
    }

    /// Records a write of the operand's elements: refuses unordered reads and writes.
    pub fn write(&mut self, access: &Access, operand: &Operand) -> Result<(), Fault> {
        self.claim(access, operand, claimed(operand, self.granule))?;
        let written = &mut self.memories[operand.tile.space as usize].written;
        for range in operand.ranges() {
            written[range].fill(1);
        }
        Ok(())
    }

    /// Records a write of unspecified values to all of a slot: scratch, and the padding of a product.
    pub fn scratch(&mut self, access: &Access, operand: &Operand) -> Result<(), Fault> {
        let extent = operand.extent();
        let granules = extent.start / self.granule..extent.end.div_ceil(self.granule);
        self.claim(access, operand, std::iter::once(granules))?;
        self.memories[operand.tile.space as usize].written[extent].fill(0);
        Ok(())
    }

    fn claim(
        &mut self,
        access: &Access,
        operand: &Operand,
        ranges: impl Iterator<Item = Range<usize>>,
    ) -> Result<(), Fault> {
        let memory = &mut self.memories[operand.tile.space as usize];
        for range in ranges {
            for granule in &mut memory.granules[range] {
                // Reads first: what orders them orders the write before them, too.
                for read in granule.reads {
                    if access.conflict(read) {
                        return Err(access.hazard(Conflict::WriteAfterRead, place(operand), read));
                    }
                }
                if access.conflict(granule.write) {
                    return Err(access.hazard(
                        Conflict::WriteAfterWrite,
                        place(operand),
                        granule.write,
                    ));
                }
                *granule = Granule {
                    write: access.touch(),
                    owner: operand.owner as u32,
                    reads: [UNTOUCHED; 2],
                };
            }
        }
        Ok(())
    }

    /// The bytes of a memory.
    pub fn bytes(&self, space: Space) -> &[u8] {
        &self.memories[space as usize].bytes
    }

    pub fn bytes_mut(&mut self, space: Space) -> &mut [u8] {
        &mut self.memories[space as usize].bytes
    }

    /// The elements of an operand in the order in which they lie, as bytes.
    pub fn gather(&self, operand: &Operand) -> Vec<u8> {
        let bytes = self.bytes(operand.tile.space);
        let mut out = Vec::with_capacity(operand.size() * operand.tile.dtype.bytes());
        for range in operand.ranges() {
            out.extend_from_slice(&bytes[range]);
        }
        out
    }

    /// The inverse of [`Core::gather`].
    pub fn scatter(&mut self, operand: &Operand, data: &[u8]) {
        let bytes = self.bytes_mut(operand.tile.space);
        let mut rest = data;
        for range in operand.ranges() {
            let (now, later) = rest.split_at(range.len());
            bytes[range].copy_from_slice(now);
            rest = later;
        }
    }
}

fn place(operand: &Operand) -> String {
    format!("tile `{}` slot {}", operand.tile.name, operand.slot)
}

/// The granules that an access to these elements claims.
fn claimed(operand: &Operand, granule: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    let whole = (operand.tile.space != Space::Ub).then(|| operand.extent());
    let parts = if whole.is_some() {
        None
    } else {
        Some(operand.ranges())
    };
    whole
        .into_iter()
        .chain(parts.into_iter().flatten())
        .map(move |r| r.start / granule..r.end.div_ceil(granule))
}
