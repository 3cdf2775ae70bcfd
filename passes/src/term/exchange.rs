//! Kernels that move data between ranks, before they are lowered: a program, and what its names stand for in the layer.
//!
//! They have no tiles to choose. What can be chosen is how many blocks share the work. A program says what a rank does as one
//! thread; [`Blocks`] says what of it each block does, and when several blocks may do it at all.

use super::blocks::Blocks;
use std::sync::Arc;
use tilewright_ir::graph::{EPOCH, RANK};
use tilewright_ir::op::exchange::{
    Content, Id, Place, Program, Share, Step, StepKind, Target, visit,
};

/// An exchange in a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    pub program: Arc<Program>,
    /// Values of the layer, by operand and result.
    pub operands: Vec<String>,
    pub results: Vec<String>,
    /// Memory of its own.
    pub windows: Vec<String>,
    pub counters: Vec<String>,
    pub scratch: Vec<Scratch>,
    /// Arrays that lie in memory, a row a block, by their numbers in the program.
    pub spilled: Vec<(Id, Scratch)>,
}

/// What of a machine decides where integers of an exchange lie.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Integers in a line of the scalar unit's cache.
    pub line: usize,
    /// Bytes of all arrays beside the scalar unit.
    pub arrays: usize,
    /// The most blocks that share the work.
    pub blocks: usize,
}

/// Memory through which what the scalar unit makes goes to the copy unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scratch {
    pub name: String,
    /// The statement that needs it, among the program's lines.
    pub line: usize,
    pub rows: usize,
    pub cols: usize,
}

impl Scratch {
    fn renamed(&self, name: impl Fn(&str) -> String) -> Self {
        Scratch {
            name: name(&self.name),
            ..self.clone()
        }
    }
}

impl Exchange {
    /// A program whose own memory has the first result's name before its own, and a number after it where that is taken.
    pub fn new(
        program: Program,
        operands: Vec<String>,
        results: Vec<String>,
        room: Room,
        taken: impl Fn(&str) -> bool,
    ) -> Self {
        let mut given: Vec<String> = vec![];
        let mut own = |name: &str| {
            let first = results.first().map_or("", String::as_str);
            let base = format!("{first}_{name}");
            let numbered = (2..).map(|n| format!("{base}{n}"));
            let mut names = std::iter::once(base.clone()).chain(numbered);
            let free = names.find(|n| !taken(n) && !given.contains(n));
            let name = free.unwrap_or(base);
            given.push(name.clone());
            name
        };
        let windows = program.windows.iter().map(|w| own(&w.name)).collect();
        let counters = program.counters.iter().map(|c| own(&c.name)).collect();
        let mut scratch = scratch(&program, room.line);
        scratch.iter_mut().for_each(|s| s.name = own(&s.name));
        let mut spilled = spilled(&program, room);
        spilled.iter_mut().for_each(|(_, s)| s.name = own(&s.name));
        Exchange {
            program: Arc::new(program),
            operands,
            results,
            windows,
            counters,
            scratch,
            spilled,
        }
    }

    /// All names of values and memory.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.operands
            .iter()
            .chain(&self.results)
            .chain(self.memory())
    }

    /// Memory of its own.
    pub fn memory(&self) -> impl Iterator<Item = &String> {
        let spilled = self.spilled.iter().map(|(_, s)| s);
        let scratch = self.scratch.iter().chain(spilled).map(|s| &s.name);
        self.windows.iter().chain(&self.counters).chain(scratch)
    }

    /// The same with other names.
    pub fn renamed(&self, name: impl Fn(&str) -> String) -> Self {
        let all = |names: &[String]| names.iter().map(|n| name(n)).collect();
        Exchange {
            program: self.program.clone(),
            operands: all(&self.operands),
            results: all(&self.results),
            windows: all(&self.windows),
            counters: all(&self.counters),
            scratch: self.scratch.iter().map(|s| s.renamed(&name)).collect(),
            spilled: self
                .spilled
                .iter()
                .map(|(array, s)| (*array, s.renamed(&name)))
                .collect(),
        }
    }

    /// The tensors of other kernels, and inputs, that it reads; without the scalars that every rank is given.
    pub fn reads(&self) -> Vec<String> {
        let mut out: Vec<String> = vec![];
        for name in &self.operands {
            if name != RANK && name != EPOCH && !out.contains(name) {
                out.push(name.clone());
            }
        }
        out
    }

    /// The numbers of blocks that can share the work, from one up to `cores`: a block that waits must be resident, and a block
    /// takes as many trips of an evenly shared loop as any other.
    pub fn shares(&self, cores: usize) -> Vec<usize> {
        let mut even = vec![];
        let mut shared = false;
        visit(&self.program.body, &mut |s| {
            if let StepKind::Loop {
                share: Some(share),
                trips,
                ..
            } = &s.kind
            {
                shared = true;
                if *share == Share::Evenly {
                    even.push(*trips);
                }
            }
        });
        let blocks = Blocks::of(&self.program);
        let most = if shared && blocks.may_share { cores } else { 1 };
        (1..=most.max(1))
            .filter(|b| even.iter().all(|trips| trips.is_multiple_of(*b)))
            .collect()
    }
}

/// Where integers of the scalar unit go through memory. Only one block may write a `line` of its cache: each integer that a loop
/// makes has a line of its own.
fn scratch(program: &Program, line: usize) -> Vec<Scratch> {
    fn walk(
        program: &Program,
        body: &[Step],
        (trips, line): (usize, usize),
        out: &mut Vec<Scratch>,
    ) {
        for step in body {
            match &step.kind {
                StepKind::Loop {
                    trips: more, body, ..
                } => walk(program, body, (trips.saturating_mul(*more), line), out),
                StepKind::If {
                    then, otherwise, ..
                } => {
                    walk(program, then, (trips, line), out);
                    walk(program, otherwise, (trips, line), out);
                }
                StepKind::Copy { from, to, .. } => {
                    let (name, rows, cols) = match (from, to) {
                        (Content::Array(a), Target::Tile(_)) => {
                            let array = &program.arrays[*a];
                            (array.name.clone(), 1, array.length)
                        }
                        (Content::Int(_), Target::Tile(t)) => {
                            (format!("{}_values", program.tiles[*t].name), trips, line)
                        }
                        (Content::Int(_), Target::Rect(r, Some(_))) => {
                            (format!("{}_values", place(program, r.place)), trips, line)
                        }
                        _ => continue,
                    };
                    out.push(Scratch {
                        name,
                        line: step.line,
                        rows,
                        cols,
                    });
                }
                _ => {}
            }
        }
    }
    let mut out = vec![];
    walk(program, &program.body, (1, line), &mut out);
    out
}

/// Arrays that go to memory, the longest first, until the others have room beside the scalar unit. Those that are copied whole stay.
fn spilled(program: &Program, room: Room) -> Vec<(Id, Scratch)> {
    let copied = program.copied_arrays();
    let statuses = program
        .failures
        .iter()
        .map(|f| program.results[f.status].cols);
    let arrays = program.arrays.iter().map(|a| a.length);
    let mut bytes: usize = arrays.chain(statuses).map(|n| n * 4).sum();
    let mut movable: Vec<Id> = (0..program.arrays.len())
        .filter(|a| !copied.contains(a))
        .collect();
    movable.sort_by_key(|a| std::cmp::Reverse(program.arrays[*a].length));
    let mut out = vec![];
    for array in movable {
        if bytes <= room.arrays {
            break;
        }
        let a = &program.arrays[array];
        bytes -= a.length * 4;
        let scratch = Scratch {
            name: a.name.clone(),
            line: 0,
            rows: room.blocks,
            cols: a.length.next_multiple_of(room.line),
        };
        out.push((array, scratch));
    }
    out
}

fn place(program: &Program, place: Place) -> &str {
    match place {
        Place::Operand(i) => &program.operands[i].name,
        Place::Result(i) => &program.results[i].name,
        Place::Window(i) => &program.windows[i].name,
    }
}
