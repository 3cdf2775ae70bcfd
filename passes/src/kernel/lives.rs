//! When tiles of a kernel hold what is needed, and what else may lie where they do.

use super::allocate::AllocateError;
use tilewright_ir::kernel::{Cond, Instr, Kernel, LoopId, Stmt, TileId, TileRef};

/// How far apart the tiles of the copy pipes stay.
#[derive(Clone, Copy)]
pub(super) enum Apart {
    /// No other tile shares their bytes.
    Everywhere,
    /// No other tile of the innermost loop around them does. Outside of loops none of so many instructions before and after.
    InBody(u32),
    /// No other tile of the innermost loop or branch around them does, or outside of both none of so many instructions.
    InBranch(u32),
}

/// Instructions before and after what is needed in which nothing else lies there, outside of loops.
pub(super) const NEAR: [u32; 8] = [64, 16, 8, 4, 3, 2, 1, 0];

/// The live range of a tile, in positions of instructions.
#[derive(Clone, Copy)]
pub(super) struct Life {
    pub first: u32,
    pub last: u32,
    /// Touched by a copy pipe or the cube unit.
    copied: bool,
    /// The outermost loop, as an index of [`Lives::loops`], that its value or its slots cross.
    carried: u32,
    /// The position after its last sure write, or 0.
    defined: u32,
}

pub(super) const NEVER: u32 = u32::MAX;

pub(super) struct Lives {
    pub tiles: Vec<Life>,
    /// First position and position after the last of each loop, outer before inner.
    pub loops: Vec<(u32, u32)>,
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
    pub position: u32,
}

impl Lives {
    pub fn new(kernel: &Kernel) -> Result<Self, AllocateError> {
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
        let (scope, near) = match apart {
            Apart::Everywhere => return (0, NEVER),
            Apart::InBody(near) => (body, near),
            Apart::InBranch(near) => {
                let branch = self.branches.iter().filter(contains);
                let scopes = branch.chain(body);
                (scopes.min_by_key(|(start, end)| end - start), near)
            }
        };
        match scope {
            Some(&(start, end)) => (start, end - 1),
            None => (
                life.first.saturating_sub(near),
                life.last.saturating_add(near),
            ),
        }
    }

    /// The lowest offset at which a tile meets none of those placed, which come sorted by their own.
    pub fn lowest(
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
