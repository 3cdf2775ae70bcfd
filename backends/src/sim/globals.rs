//! Global memory: the program's tensors, what of them has been written, and what the blocks of a running kernel touch.

use super::Unwritten;
use super::error::{Conflict, Fault, SimError};
use super::memory::{Access, Touch, UNTOUCHED};
use super::prepared::Prepared;
use crate::data::{Tensor, Tensors};
use indexmap::IndexMap;
use std::borrow::Cow;
use tilewright_ir::DType;
use tilewright_ir::graph::Ragged;
use tilewright_ir::kernel::{GlobalTensor, Pipe, Program, Role};

/// A tensor in global memory.
pub(super) struct Buffer<'i> {
    pub name: String,
    pub dtype: DType,
    pub role: Role,
    pub rows: usize,
    pub cols: usize,
    ragged: Option<Ragged>,
    shape: Vec<usize>,
    bytes: Cow<'i, [u8]>,
    /// 1 for each element that has been written; empty for inputs, which are whole.
    written: Vec<u8>,
    /// What the running kernel has done to each element; empty if it stores nothing here.
    cells: Vec<Cell>,
    /// Of a mixed kernel, the last read of each element by each vector core of its block, one after the other; else empty.
    reads: Vec<Touch>,
    /// Vector cores of a block of the running kernel, if that is mixed.
    sub_blocks: usize,
    /// Of each line that the running kernel's scalar units have written: the first block plus one, and its step.
    lines: IndexMap<usize, (u32, usize)>,
}

#[derive(Clone, Copy)]
pub(super) struct Cell {
    /// Block plus one; 0 is none.
    write_block: u32,
    /// The first block that read it, and the first other one.
    read_blocks: [u32; 2],
    write: Touch,
    read: Touch,
    /// Step of the first read, for messages.
    read_step: u32,
}

const FRESH: Cell = Cell {
    write_block: 0,
    read_blocks: [0; 2],
    write: UNTOUCHED,
    read: UNTOUCHED,
    read_step: 0,
};

/// A rectangle in range.
#[derive(Clone, Copy)]
pub(super) struct Rect {
    pub row: usize,
    pub col: usize,
    pub rows: usize,
    pub cols: usize,
}

/// All tensors of a program.
pub(super) struct Globals<'i> {
    pub buffers: IndexMap<String, Buffer<'i>>,
}

impl<'i> Globals<'i> {
    /// Takes the inputs; `program` has passed [`super::check`].
    pub fn new(program: &Program, inputs: &'i Tensors) -> Result<Self, SimError> {
        let mut buffers = IndexMap::new();
        // Windows are the ranks' together.
        let own = |t: &GlobalTensor| t.role != Role::Window;
        for (name, t) in program.tensors.iter().filter(|(_, t)| own(t)) {
            let (rows, cols) = t.matrix();
            let (bytes, written) = if t.role == Role::Input {
                let given = inputs
                    .get(name)
                    .ok_or_else(|| Fault::MissingInput { name: name.clone() })?;
                if given.dtype != t.dtype
                    || given.shape != t.shape
                    || given.bytes.len() != t.bytes()
                {
                    return Err(Fault::InputType {
                        name: name.clone(),
                        want: format!("{} {:?}", t.dtype, t.shape),
                        got: format!(
                            "{} {:?} of {} bytes",
                            given.dtype,
                            given.shape,
                            given.bytes.len()
                        ),
                    }
                    .into());
                }
                (Cow::Borrowed(given.bytes.as_slice()), vec![])
            } else {
                (Cow::Owned(vec![0; t.bytes()]), vec![0; rows * cols])
            };
            buffers.insert(
                name.clone(),
                Buffer {
                    name: name.clone(),
                    dtype: t.dtype,
                    role: t.role,
                    rows,
                    cols,
                    ragged: t.ragged.clone(),
                    shape: t.shape.clone(),
                    bytes,
                    written,
                    cells: vec![],
                    reads: vec![],
                    sub_blocks: 0,
                    lines: IndexMap::new(),
                },
            );
        }
        let mut globals = Globals { buffers };
        for i in 0..globals.buffers.len() {
            let input = globals.buffers[i].role == Role::Input;
            if input && let Some(exist) = globals.existing(&globals.buffers[i])? {
                // Rows that do not exist hold nothing that may be read.
                let b = &mut globals.buffers[i];
                b.written = exist
                    .iter()
                    .flat_map(|e| vec![u8::from(*e); b.cols])
                    .collect();
            }
        }
        Ok(globals)
    }

    /// Which rows of a ragged tensor exist; `None` where all do.
    fn existing(&self, buffer: &Buffer) -> Result<Option<Vec<bool>>, Fault> {
        let Some(ragged) = &buffer.ragged else {
            return Ok(None);
        };
        let height = buffer.rows / ragged.groups.max(1);
        let Some(counts) = self.buffers.get(&ragged.counts) else {
            return Err(Fault::MissingInput {
                name: ragged.counts.clone(),
            });
        };
        let mut exist = vec![false; buffer.rows];
        for (group, count) in counts.bytes.chunks_exact(4).take(ragged.groups).enumerate() {
            let count = i32::from_le_bytes([count[0], count[1], count[2], count[3]]);
            let fits = usize::try_from(count).ok().filter(|n| *n <= height);
            let Some(count) = fits else {
                return Err(Fault::RowCount {
                    tensor: buffer.name.clone(),
                    counts: ragged.counts.clone(),
                    group,
                    count,
                    limit: height,
                });
            };
            exist[group * height..group * height + count].fill(true);
        }
        Ok(Some(exist))
    }

    /// Prepares for a kernel.
    pub fn begin_kernel(&mut self, prepared: &Prepared) {
        let stored = prepared.kernel.accesses().1;
        for buffer in self.buffers.values_mut() {
            buffer.cells.clear();
            buffer.reads.clear();
            buffer.lines.clear();
            if stored.contains(&buffer.name) {
                let size = buffer.rows * buffer.cols;
                buffer.cells.resize(size, FRESH);
                buffer.sub_blocks = prepared.cores() - 1;
                buffer.reads.resize(size * buffer.sub_blocks, UNTOUCHED);
            }
        }
    }

    /// Hands out the tensors of a role. Elements that were never written are zero, or have all bits set.
    pub fn take(&mut self, role: Role, unwritten: Unwritten) -> Tensors {
        self.buffers
            .values_mut()
            .filter(|b| b.role == role)
            .map(|b| {
                if unwritten == Unwritten::Mark {
                    b.mark();
                }
                let tensor = Tensor {
                    dtype: b.dtype,
                    shape: std::mem::take(&mut b.shape),
                    bytes: std::mem::take(&mut b.bytes).into_owned(),
                };
                (b.name.clone(), tensor)
            })
            .collect()
    }

    /// Prepares for another layer run, in which inputs named second are what the outputs named first are now.
    pub fn next_layer(&mut self, carried: &[(String, String)]) {
        for (output, input) in carried {
            let bytes = self.buffers.get(output).map(|b| b.bytes.to_vec());
            if let (Some(bytes), Some(input)) = (bytes, self.buffers.get_mut(input)) {
                input.bytes = Cow::Owned(bytes);
            }
        }
        // Of an input, the rows that exist are there in every run.
        let made = |b: &&mut Buffer| b.role != Role::Input;
        for buffer in self.buffers.values_mut().filter(made) {
            buffer.written.fill(0);
        }
    }

    /// Outputs that are not wholly written, a fault each.
    pub fn unwritten(&self) -> impl Iterator<Item = Fault> {
        let outputs = self.buffers.values().filter(|b| b.role == Role::Output);
        outputs.filter_map(|b| {
            let exist = match self.existing(b) {
                Ok(exist) => exist,
                Err(fault) => return Some(fault),
            };
            let there = |at: usize| exist.as_ref().is_none_or(|e| e[at / b.cols.max(1)]);
            let missing = |(at, w): (usize, &u8)| (*w == 0 && there(at)).then_some(at);
            let mut missing = b.written.iter().enumerate().filter_map(missing);
            let at = missing.next()?;
            Some(Fault::UnwrittenOutput {
                tensor: b.name.clone(),
                row: at / b.cols.max(1),
                col: at % b.cols.max(1),
                missing: 1 + missing.count(),
            })
        })
    }

    /// Takes tensors for written that a kernel was to write which did not come to its end.
    pub fn assume_written(&mut self, tensors: &[String]) {
        for name in tensors {
            if let Some(buffer) = self.buffers.get_mut(name) {
                buffer.written.fill(1);
            }
        }
    }
}

impl Buffer<'_> {
    /// Sets all bits of what was never written.
    fn mark(&mut self) {
        let size = self.dtype.bytes();
        let elements = self.bytes.to_mut().chunks_mut(size);
        for (element, written) in elements.zip(&self.written) {
            if *written == 0 {
                element.fill(0xff);
            }
        }
    }

    /// A rectangle, if it is in range.
    pub fn rect(&self, row: i64, col: i64, rows: usize, cols: usize) -> Result<Rect, Fault> {
        let fits = |start: i64, count: usize, limit: usize| {
            usize::try_from(start)
                .ok()
                .filter(|s| s.checked_add(count).is_some_and(|end| end <= limit))
        };
        match (fits(row, rows, self.rows), fits(col, cols, self.cols)) {
            (Some(row), Some(col)) => Ok(Rect {
                row,
                col,
                rows,
                cols,
            }),
            _ => Err(Fault::GlobalBounds {
                tensor: self.name.clone(),
                row,
                col,
                rows,
                cols,
                shape: (self.rows, self.cols),
            }),
        }
    }

    /// Reads columns of a row of a view of so many rows and columns: they lie in one row of the tensor or in several.
    pub fn read_view(
        &mut self,
        access: &Access,
        view: (usize, usize),
        (row, col): (i64, i64),
        cols: usize,
    ) -> Result<Vec<u8>, Fault> {
        let out_of_view = Fault::GlobalBounds {
            tensor: self.name.clone(),
            row,
            col,
            rows: 1,
            cols,
            shape: view,
        };
        let (Ok(r), Ok(c)) = (usize::try_from(row), usize::try_from(col)) else {
            return Err(out_of_view);
        };
        if r >= view.0 || c.checked_add(cols).is_none_or(|end| end > view.1) {
            return Err(out_of_view);
        }
        let (mut at, end) = (r * view.1 + c, r * view.1 + c + cols);
        let mut bytes = vec![];
        while at < end {
            let (own, first) = (at / self.cols.max(1), at % self.cols.max(1));
            let count = (self.cols - first).min(end - at);
            let rect = self.rect(own as i64, first as i64, 1, count)?;
            bytes.extend(self.read(access, rect)?);
            at += count;
        }
        Ok(bytes)
    }

    /// Reads a rectangle: its elements in row-major order, as bytes.
    pub fn read(&mut self, access: &Access, rect: Rect) -> Result<Vec<u8>, Fault> {
        let size = self.dtype.bytes();
        let mut out = Vec::with_capacity(rect.rows * rect.cols * size);
        for r in rect.row..rect.row + rect.rows {
            let range = r * self.cols + rect.col..r * self.cols + rect.col + rect.cols;
            if !self.written.is_empty()
                && !access.tolerant
                && let Some(c) = self.written[range.clone()].iter().position(|w| *w == 0)
            {
                return Err(Fault::UninitialisedGlobal {
                    tensor: self.name.clone(),
                    row: r,
                    col: rect.col + c,
                });
            }
            if !self.cells.is_empty() {
                self.read_cells(access, r, rect)?;
            }
            out.extend_from_slice(&self.bytes[range.start * size..range.end * size]);
        }
        Ok(out)
    }

    fn read_cells(&mut self, access: &Access, row: usize, rect: Rect) -> Result<(), Fault> {
        let (start, block) = (row * self.cols, access.block);
        for c in rect.col..rect.col + rect.cols {
            let cell = self.cells[start + c];
            if cell.write_block != 0 {
                if cell.write_block != block && !access.tolerant {
                    let first = (cell.write_block, cell.write.step);
                    return Err(self.race(access, Conflict::ReadAfterWrite, row, c, first));
                }
                if cell.write_block == block && access.conflict(cell.write) {
                    let place = format!("tensor `{}`", self.name);
                    return Err(access.hazard(Conflict::ReadAfterWrite, place, cell.write));
                }
            }
            let cell = &mut self.cells[start + c];
            match cell.read_blocks {
                [0, _] => {
                    cell.read_blocks[0] = block;
                    cell.read_step = access.step as u32;
                }
                [first, 0] if first != block => cell.read_blocks[1] = block,
                _ => {}
            }
            // What the scalar unit reads is there before it dispatches anything else.
            if access.pipe != Pipe::S {
                match access.core {
                    0 => cell.read = access.touch(),
                    core => {
                        let first = (start + c) * self.sub_blocks;
                        self.reads[first + core as usize - 1] = access.touch();
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes a rectangle from bytes in row-major order.
    pub fn write(&mut self, access: &Access, rect: Rect, data: &[u8]) -> Result<(), Fault> {
        let size = self.dtype.bytes();
        let block = access.block;
        if access.pipe == Pipe::S {
            self.write_lines(access, rect)?;
        }
        for (i, r) in (rect.row..rect.row + rect.rows).enumerate() {
            let start = r * self.cols;
            for c in rect.col..rect.col + rect.cols {
                let cell = self.cells[start + c];
                let foreign = |b: &u32| *b != 0 && *b != block;
                if foreign(&cell.write_block) && !access.tolerant {
                    let first = (cell.write_block, cell.write.step);
                    return Err(self.race(access, Conflict::WriteAfterWrite, r, c, first));
                }
                if let Some(other) = cell.read_blocks.into_iter().find(foreign)
                    && !access.tolerant
                {
                    let first = (other, cell.read_step);
                    return Err(self.race(access, Conflict::WriteAfterRead, r, c, first));
                }
                // Numbers of another block mean nothing here.
                let own = !foreign(&cell.write_block) && !cell.read_blocks.iter().any(foreign);
                if own {
                    let first = (start + c) * self.sub_blocks;
                    let reads = &self.reads[first..first + self.sub_blocks];
                    let reads = std::iter::once(&cell.read).chain(reads);
                    let reads = reads.map(|t| (*t, Conflict::WriteAfterRead));
                    let all = reads.chain([(cell.write, Conflict::WriteAfterWrite)]);
                    if let Some((touch, conflict)) = { all }.find(|(t, _)| access.conflict(*t)) {
                        let place = format!("tensor `{}`", self.name);
                        return Err(access.hazard(conflict, place, touch));
                    }
                }
                let cell = &mut self.cells[start + c];
                cell.write_block = block;
                cell.write = access.touch();
            }
            let range = start + rect.col..start + rect.col + rect.cols;
            self.written[range.clone()].fill(1);
            let width = rect.cols * size;
            self.bytes.to_mut()[range.start * size..range.end * size]
                .copy_from_slice(&data[i * width..(i + 1) * width]);
        }
        Ok(())
    }

    /// A scalar store goes through a cache that writes whole lines back: a line has one writer.
    fn write_lines(&mut self, access: &Access, rect: Rect) -> Result<(), Fault> {
        let (size, block) = (self.dtype.bytes(), access.block);
        // Tensors start at a line.
        let bytes = access.prepared.machine.gm_scalar_line.count().max(1);
        for r in rect.row..rect.row + rect.rows {
            let at = |c: usize| (r * self.cols + c) * size;
            for line in at(rect.col) / bytes..at(rect.col + rect.cols).div_ceil(bytes) {
                let (other, step) = *self.lines.entry(line).or_insert((block, access.step));
                if other != block && !access.tolerant {
                    return Err(Fault::SharedLine {
                        tensor: self.name.clone(),
                        line: line * bytes,
                        bytes,
                        other: other as usize - 1,
                        first: access.prepared.describe(step),
                    });
                }
            }
        }
        Ok(())
    }

    #[cold]
    fn race(
        &self,
        access: &Access,
        conflict: Conflict,
        row: usize,
        col: usize,
        (block, step): (u32, u32),
    ) -> Fault {
        Fault::BlockRace {
            conflict,
            tensor: self.name.clone(),
            row,
            col,
            other: block as usize - 1,
            first: access.prepared.describe(step as usize),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::hazards::{Clocks, Lane};
    use crate::sim::prepared::Prepared;
    use tilewright_ir::graph::LaunchKind;
    use tilewright_ir::kernel::{Expr, GlobalRef, GlobalTensor, Instr, Kernel, Launch, Stmt, Unit};
    use tilewright_ir::machine::{DEFAULT_MACHINE, Machine};

    /// Stores one element by a pipe, in a block each, and tells whether the second one is refused.
    fn two_blocks(pipe: Pipe, cols: [usize; 2]) -> Result<(), Fault> {
        let kernel = Kernel {
            name: "k".into(),
            covers: vec![],
            unit: Unit::Vector,
            launch: Launch {
                kind: LaunchKind::Spmd,
                grid: vec![],
            },
            params: IndexMap::new(),
            pipeline: 1,
            loops: vec![],
            tiles: vec![],
            registers: 0,
            arrays: vec![],
            after: vec![],
            expected: Default::default(),
            notes: vec![],
            body: vec![Stmt::Barrier(Pipe::V)],
        };
        let y = GlobalTensor {
            dtype: DType::I32,
            shape: vec![2, 32],
            role: Role::Output,
            ragged: None,
            expected: vec![],
        };
        let program = Program {
            name: "p".into(),
            machine: DEFAULT_MACHINE.into(),
            ranks: 1,
            tensors: IndexMap::from([("y".to_owned(), y)]),
            scalars: IndexMap::new(),
            kernels: vec![],
        };
        let machine = Machine::builtin(DEFAULT_MACHINE).expect("it is built in");
        let write = Stmt::Instr(Instr::WriteScalar {
            dst: GlobalRef {
                tensor: "y".into(),
                row: Expr::default(),
                col: Expr::default(),
                rows: 1,
                cols: 1,
                peer: None,
                step: 1,
                view: None,
            },
            value: Expr::default(),
        });
        let kernel = Kernel {
            body: vec![write],
            ..kernel.clone()
        };
        let prepared = Prepared::new(&machine, &kernel);
        let inputs = Tensors::new();
        let mut globals = Globals::new(&program, &inputs).expect("there are no inputs");
        globals.begin_kernel(&prepared);
        for (block, col) in cols.into_iter().enumerate() {
            let mut clocks = Clocks::new(1);
            let access = Access {
                prepared: &prepared,
                block: block as u32 + 1,
                seq: clocks.issue(Lane { core: 0, pipe }),
                clocks: &clocks,
                core: 0,
                pipe,
                step: 0,
                tolerant: false,
            };
            let rect = Rect {
                row: 0,
                col,
                rows: 1,
                cols: 1,
            };
            globals.buffers["y"].write(&access, rect, &[0; 4])?;
        }
        Ok(())
    }

    #[test]
    fn scalar_units_do_not_share_lines() {
        let error = two_blocks(Pipe::S, [0, 15]).expect_err("both are in the first 64 bytes");
        assert!(
            matches!(
                error,
                Fault::SharedLine {
                    line: 0,
                    other: 0,
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(two_blocks(Pipe::S, [15, 16]), Ok(()));
        // What MTE3 stores goes past the cache.
        assert_eq!(two_blocks(Pipe::Mte3, [0, 15]), Ok(()));
    }
}
