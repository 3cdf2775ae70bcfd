//! One rank: its integers, arrays, tiles and results, and the place that it has come to.

use super::Fault;
use super::memory::{At, Shared};
use crate::data::Tensor;
use crate::reference::prim::eval_prim;
use tilewright_ir::graph::{Binary, Prim};
use tilewright_ir::op::exchange::{
    Arith, Content, Counts, Id, Int, Memory, Place, Program, Rect, Source, Step, StepKind, Target,
    Test,
};
use tilewright_ir::{DType, Round};

/// What a rank did.
pub(super) enum State {
    Moved,
    /// Its wait is not over.
    Waits,
    Over,
}

/// Statements that follow each other, and the next one of them.
struct Frame<'a> {
    body: &'a [Step],
    next: usize,
    /// Of a loop: its counter, and the trips that are left after this one.
    trips: Option<(Id, usize)>,
}

/// A result so far.
struct Made {
    tensor: Tensor,
    written: Vec<bool>,
}

pub(super) struct Rank<'a> {
    program: &'a Program,
    pub number: usize,
    epoch: i64,
    operands: &'a [&'a Tensor],
    variables: Vec<i64>,
    arrays: Vec<Vec<i64>>,
    views: Vec<Vec<i64>>,
    tiles: Vec<Option<Tensor>>,
    results: Vec<Made>,
    frames: Vec<Frame<'a>>,
}

type Faulty<T> = Result<T, Fault>;

impl<'a> Rank<'a> {
    pub fn new(
        program: &'a Program,
        number: usize,
        epoch: i64,
        operands: &'a [&'a Tensor],
    ) -> Self {
        let told = |i: usize| program.failures.iter().any(|f| f.status == i);
        let results = program.results.iter().enumerate().map(|(i, r)| Made {
            tensor: Tensor::zeros(r.dtype, &[r.rows, r.cols]),
            // Without a failure a status is zero.
            written: vec![told(i); r.rows * r.cols],
        });
        Rank {
            program,
            number,
            epoch,
            operands,
            variables: vec![0; program.variables.len()],
            arrays: program.arrays.iter().map(|a| vec![0; a.length]).collect(),
            views: vec![vec![]; program.views.len()],
            tiles: vec![None; program.tiles.len()],
            results: results.collect(),
            frames: vec![Frame {
                body: &program.body,
                next: 0,
                trips: None,
            }],
        }
    }

    pub fn is_over(&self) -> bool {
        self.frames.is_empty()
    }

    /// The statement that comes next, as it was written.
    pub fn line(&self) -> &'a str {
        let next = self.frames.last().and_then(|f| f.body.get(f.next));
        next.map_or("", |s| self.program.lines[s.line].as_str())
    }

    /// The wait that it stands at, in words.
    pub fn waiting(&self, shared: &Shared) -> Option<String> {
        let frame = self.frames.last()?;
        let step = frame.body.get(frame.next)?;
        let StepKind::Wait {
            counter,
            index,
            at_least,
        } = &step.kind
        else {
            return None;
        };
        let (index, at_least) = (self.int(index, shared), self.int(at_least, shared));
        let (index, at_least) = (index.unwrap_or(0), at_least.unwrap_or(0));
        let value = usize::try_from(index)
            .ok()
            .and_then(|i| shared.counters[*counter][self.number].get(i));
        Some(format!(
            "rank {} waits in `{}` for {at_least}, and the counter is {}",
            self.number,
            self.program.lines[step.line],
            value.copied().unwrap_or(0)
        ))
    }

    /// One statement.
    pub fn step(&mut self, shared: &mut Shared) -> Faulty<State> {
        let Some(frame) = self.frames.last_mut() else {
            return Ok(State::Over);
        };
        let Some(step) = frame.body.get(frame.next) else {
            match &mut frame.trips {
                Some((variable, left)) if *left > 0 => {
                    *left -= 1;
                    frame.next = 0;
                    self.variables[*variable] += 1;
                }
                _ => {
                    self.frames.pop();
                }
            }
            return Ok(State::Moved);
        };
        if let StepKind::Wait {
            counter,
            index,
            at_least,
        } = &step.kind
        {
            let at_least = self.int(at_least, shared)?;
            let index = self.counter_index(*counter, index, shared)?;
            if shared.counters[*counter][self.number][index] < at_least {
                return Ok(State::Waits);
            }
        }
        if let Some(frame) = self.frames.last_mut() {
            frame.next += 1;
        }
        self.execute(&step.kind, shared)?;
        Ok(State::Moved)
    }

    fn execute(&mut self, kind: &'a StepKind, shared: &mut Shared) -> Faulty<()> {
        match kind {
            StepKind::Set {
                variable, value, ..
            } => {
                self.variables[*variable] = self.int(value, shared)?;
            }
            StepKind::SetElement {
                array,
                index,
                value,
            } => {
                let (index, value) = (self.int(index, shared)?, self.int(value, shared)?);
                let name = &self.program.arrays[*array].name;
                let place = within(name, "elements", index, 1, self.arrays[*array].len())?;
                if i32::try_from(value).is_err() {
                    return Err(Fault {
                        what: format!("{value} does not fit an element of `{name}`"),
                        help: "elements of arrays have 32 bits",
                    });
                }
                self.arrays[*array][place] = value;
            }
            StepKind::Tile { tile } => self.tiles[*tile] = None,
            StepKind::Read { view } => {
                let of = &self.program.views[*view].of;
                self.views[*view] = self.rect(of, None, shared)?.to_i64();
            }
            StepKind::Loop {
                variable,
                first,
                trips,
                body,
                ..
            } => {
                self.variables[*variable] = *first;
                self.frames.push(Frame {
                    body,
                    next: 0,
                    trips: Some((*variable, trips - 1)),
                });
            }
            StepKind::If {
                test,
                then,
                otherwise,
            } => {
                let body = match self.holds(test, shared)? {
                    true => then,
                    false => otherwise,
                };
                self.frames.push(Frame {
                    body,
                    next: 0,
                    trips: None,
                });
            }
            StepKind::Copy { from, to, first } => self.copy(from, to, first.as_ref(), shared)?,
            StepKind::Fill { tile, value } => {
                let t = &self.program.tiles[*tile];
                let values = vec![*value; t.rows * t.cols];
                let filled = Tensor::from_f32(t.dtype, &[t.rows, t.cols], &values);
                self.tiles[*tile] = filled.ok();
            }
            StepKind::Add { from, to } => {
                let operands = [self.tile(*to)?.clone(), self.tile(*from)?.clone()];
                self.tiles[*to] = Some(computed(&Prim::Binary(Binary::Add), &operands)?);
            }
            StepKind::Notify { counter, index, on } => {
                let index = self.counter_index(*counter, index, shared)?;
                let on = self.peer(on, shared)?;
                shared.counters[*counter][on][index] += 1;
            }
            // It is over, or the rank would not be here.
            StepKind::Wait { .. } => {}
            StepKind::Fail { failure, values } => {
                let status = self.program.failures[*failure].status;
                let mut words = vec![0; self.program.results[status].cols];
                words[0] = *failure as i64 + 1;
                for (word, value) in words[1..].iter_mut().zip(values) {
                    *word = self.int(value, shared)?;
                }
                let shape = [1, words.len()];
                if let Ok(told) = Tensor::from_i64(DType::I32, &shape, &words) {
                    self.results[status].tensor = told;
                }
            }
        }
        Ok(())
    }

    fn copy(
        &mut self,
        from: &Content,
        to: &Target,
        first: Option<&Int>,
        shared: &mut Shared,
    ) -> Faulty<()> {
        let first = first.map(|f| self.int(f, shared)).transpose()?;
        let content = match from {
            Content::Rect(r) => self.rect(r, first, shared)?,
            Content::Tile(t) => self.tile(*t)?.clone(),
            Content::Array(a) => {
                let values = &self.arrays[*a];
                integers(&[1, values.len()], values)?
            }
            Content::Int(i) => integers(&[1, 1], &[self.int(i, shared)?])?,
        };
        match to {
            Target::Tile(t) => {
                let tile = &self.program.tiles[*t];
                let content = match content.dtype == tile.dtype {
                    true => content,
                    false => {
                        let (to, round) = (tile.dtype, Round::Rint);
                        computed(&Prim::Cast { to, round }, &[content])?
                    }
                };
                self.tiles[*t] = Some(content);
                Ok(())
            }
            Target::Rect(r, on) => {
                let rows = match first {
                    Some(n) => usize::try_from(n).unwrap_or(0).min(r.rows),
                    None => r.rows,
                };
                self.write(r, rows, on.as_ref(), &content.bytes, shared)
            }
        }
    }

    fn write(
        &mut self,
        r: &Rect,
        rows: usize,
        on: Option<&Int>,
        bytes: &[u8],
        shared: &mut Shared,
    ) -> Faulty<()> {
        let (row, col) = self.start(r, rows, shared)?;
        match r.place {
            Place::Window(window) => {
                let rank = match on {
                    Some(on) => self.peer(on, shared)?,
                    None => self.number,
                };
                let at = At {
                    window,
                    rank,
                    row,
                    col,
                    rows,
                    cols: r.cols,
                };
                shared.write(self.program, at, bytes, self.number);
            }
            Place::Result(i) => {
                let width = self.program.results[i].cols;
                let size = self.program.results[i].dtype.bytes();
                let result = &mut self.results[i];
                for (k, bytes) in bytes.chunks_exact(r.cols * size).enumerate().take(rows) {
                    let start = (row + k) * width + col;
                    let end = start + r.cols;
                    result.tensor.bytes[start * size..end * size].copy_from_slice(bytes);
                    result.written[start..end].fill(true);
                }
            }
            // Nothing writes operands.
            Place::Operand(_) => {}
        }
        Ok(())
    }

    /// The first row and column of a rectangle of so many rows.
    fn start(&self, r: &Rect, rows: usize, shared: &Shared) -> Faulty<(usize, usize)> {
        let (name, high, wide) = self.extent(r.place);
        let row = within(name, "rows", self.int(&r.row, shared)?, rows, high)?;
        let col = within(name, "columns", self.int(&r.col, shared)?, r.cols, wide)?;
        Ok((row, col))
    }

    fn extent(&self, place: Place) -> (&'a str, usize, usize) {
        let memory = |m: &'a Memory| (m.name.as_str(), m.rows, m.cols);
        match place {
            Place::Operand(i) => memory(&self.program.operands[i]),
            Place::Result(i) => memory(&self.program.results[i]),
            Place::Window(i) => {
                let w = &self.program.windows[i];
                (w.name.as_str(), w.rows, w.cols)
            }
        }
    }

    /// What a rectangle holds, or its first rows.
    fn rect(&self, r: &Rect, first: Option<i64>, shared: &Shared) -> Faulty<Tensor> {
        let rows = match first {
            Some(n) => usize::try_from(n).unwrap_or(0).min(r.rows),
            None => r.rows,
        };
        let (row, col) = self.start(r, rows, shared)?;
        let (dtype, bytes) = match r.place {
            Place::Window(window) => {
                let at = At {
                    window,
                    rank: self.number,
                    row,
                    col,
                    rows,
                    cols: r.cols,
                };
                let dtype = self.program.windows[window].dtype;
                (dtype, shared.read(self.program, at)?)
            }
            Place::Operand(i) => {
                self.exist(i, row, rows)?;
                let memory = &self.program.operands[i];
                let size = memory.dtype.bytes();
                let bytes = &self.operands[i].bytes;
                let elements = (row..row + rows).flat_map(|row| {
                    let start = row * memory.cols + col;
                    &bytes[start * size..(start + r.cols) * size]
                });
                (memory.dtype, elements.copied().collect())
            }
            // Nothing reads results.
            Place::Result(i) => (self.program.results[i].dtype, vec![]),
        };
        Ok(Tensor {
            dtype,
            shape: vec![rows, r.cols],
            bytes,
        })
    }

    /// Rows of an operand are there, where not all of them need be.
    fn exist(&self, operand: Id, row: usize, rows: usize) -> Faulty<()> {
        let memory = &self.program.operands[operand];
        let Some(Counts::Operand(counts)) = memory.counts else {
            return Ok(());
        };
        let counts = self.operands[counts].to_i64();
        let room = memory.rows / counts.len().max(1);
        let missing = (row..row + rows).find(|r| (r % room) as i64 >= counts[r / room]);
        match missing {
            None => Ok(()),
            Some(r) => Err(Fault {
                what: format!(
                    "it reads row {r} of `{}`, and group {} has {} rows",
                    memory.name,
                    r / room,
                    counts[r / room]
                ),
                help: "read only the rows that the counts say are there",
            }),
        }
    }

    fn tile(&self, tile: Id) -> Faulty<&Tensor> {
        self.tiles[tile].as_ref().ok_or_else(|| Fault {
            what: format!(
                "the tile `{}` holds nothing yet",
                self.program.tiles[tile].name
            ),
            help: "copy something into it, or fill it, before it is read",
        })
    }

    fn peer(&self, on: &Int, shared: &Shared) -> Faulty<usize> {
        let on = self.int(on, shared)?;
        let rank = usize::try_from(on).ok().filter(|r| *r < self.program.ranks);
        rank.ok_or_else(|| Fault {
            what: format!("there is no rank {on} of {}", self.program.ranks),
            help: "name a rank from 0 on, below `ranks`",
        })
    }

    fn counter_index(&self, counter: Id, index: &Int, shared: &Shared) -> Faulty<usize> {
        let c = &self.program.counters[counter];
        within(&c.name, "counters", self.int(index, shared)?, 1, c.count)
    }

    fn holds(&self, test: &Test, shared: &Shared) -> Faulty<bool> {
        let (left, right) = (
            self.int(&test.left, shared)?,
            self.int(&test.right, shared)?,
        );
        Ok(test.op.holds(left, right))
    }

    fn int(&self, int: &Int, shared: &Shared) -> Faulty<i64> {
        match int {
            Int::Const(n) => Ok(*n),
            Int::Rank => Ok(self.number as i64),
            Int::Epoch => Ok(self.epoch),
            Int::Operand(i) => Ok(self.operands[*i].to_i64().first().copied().unwrap_or(0)),
            Int::Variable(v) => Ok(self.variables[*v]),
            Int::Element { of, row, col } => {
                let (row, col) = (self.int(row, shared)?, self.int(col, shared)?);
                self.element(*of, row, col, shared)
            }
            Int::Arith(op, a, b) => {
                let (a, b) = (self.int(a, shared)?, self.int(b, shared)?);
                op.apply(a, b).ok_or_else(|| Fault {
                    what: match op {
                        Arith::Div | Arith::Rem if b == 0 => format!("{a} is divided by zero"),
                        Arith::Div | Arith::Rem => format!("{a} is divided by {b}"),
                        _ => format!("an integer made of {a} and {b} overflows"),
                    },
                    help: "divide what is not negative by what is at least 1, and keep to 64 bits",
                })
            }
        }
    }

    fn element(&self, of: Source, row: i64, col: i64, shared: &Shared) -> Faulty<i64> {
        match of {
            Source::Array(a) => {
                let array = &self.arrays[a];
                let name = &self.program.arrays[a].name;
                Ok(array[within(name, "elements", col, 1, array.len())?])
            }
            Source::View(v) => {
                let view = &self.program.views[v];
                let row = within(&view.name, "rows", row, 1, view.of.rows)?;
                let col = within(&view.name, "columns", col, 1, view.of.cols)?;
                self.views[v]
                    .get(row * view.of.cols + col)
                    .copied()
                    .ok_or_else(|| Fault {
                        what: format!("`{}` is not read yet", view.name),
                        help: "let `read` come before what uses it",
                    })
            }
            Source::Memory(place) => {
                let rect = Rect {
                    place,
                    row: Int::Const(row),
                    col: Int::Const(col),
                    rows: 1,
                    cols: 1,
                };
                let read = self.rect(&rect, None, shared)?.to_i64();
                Ok(read.first().copied().unwrap_or(0))
            }
        }
    }

    /// The results, of which all rows that exist have been written.
    pub fn results(self) -> Faulty<Vec<Tensor>> {
        let counts: Vec<Option<Vec<i64>>> = self
            .program
            .results
            .iter()
            .map(|r| match r.counts? {
                Counts::Operand(i) => Some(self.operands[i].to_i64()),
                Counts::Result(i) => Some(self.results[i].tensor.to_i64()),
            })
            .collect();
        let mut out = vec![];
        for ((made, memory), counts) in self
            .results
            .into_iter()
            .zip(&self.program.results)
            .zip(counts)
        {
            let room = match &counts {
                Some(counts) => memory.rows / counts.len().max(1),
                None => memory.rows,
            };
            let exists = |row: usize| match &counts {
                Some(counts) => ((row % room) as i64) < counts[row / room],
                None => true,
            };
            let missing =
                (0..made.written.len()).find(|i| !made.written[*i] && exists(i / memory.cols));
            if let Some(i) = missing {
                return Err(Fault {
                    what: format!(
                        "nobody has written element ({}, {}) of its result `{}`",
                        i / memory.cols,
                        i % memory.cols,
                        memory.name
                    ),
                    help: "write every row that exists, also where a condition does not hold",
                });
            }
            out.push(made.tensor);
        }
        Ok(out)
    }
}

/// An index from which on so many elements are there.
fn within(name: &str, axis: &'static str, start: i64, count: usize, limit: usize) -> Faulty<usize> {
    let end = |s: &usize| s.checked_add(count).is_some_and(|end| end <= limit);
    let place = usize::try_from(start).ok().filter(end);
    place.ok_or_else(|| Fault {
        what: format!(
            "{axis} {start}..{} of `{name}` are used, and there are {limit}",
            start.saturating_add(count as i64)
        ),
        help: "keep the index below the extent: what it is computed from is larger than it should be",
    })
}

fn integers(shape: &[usize], values: &[i64]) -> Faulty<Tensor> {
    if let Some(wide) = values.iter().find(|v| i32::try_from(**v).is_err()) {
        return Err(Fault {
            what: format!("{wide} does not fit an i32"),
            help: "integers in memory have 32 bits",
        });
    }
    Tensor::from_i64(DType::I32, shape, values).map_err(|e| Fault {
        what: e.to_string(),
        help: "copy as many integers as there is room for",
    })
}

fn computed(prim: &Prim, operands: &[Tensor]) -> Faulty<Tensor> {
    eval_prim(prim, operands).map_err(|e| Fault {
        what: e.to_string(),
        help: "add tiles of one type, and convert by way of f32",
    })
}
