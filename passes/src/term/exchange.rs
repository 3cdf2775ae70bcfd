//! Kernels that move data between ranks, before they are lowered: a program, and what its names stand for in the layer.
//!
//! They have no tiles to choose. What can be chosen is how many blocks share the work. A program says what a rank does as one
//! thread; [`Blocks`] says what of it each block does, and when several blocks may do it at all.

use super::blocks::Blocks;
use std::sync::Arc;
use tilewright_ir::graph::{EPOCH, RANK};
use tilewright_ir::op::exchange::{Content, Place, Program, Share, Step, StepKind, Target, visit};

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

impl Exchange {
    /// A program whose own memory has the first result's name before its own, and a number after it where that is taken. `line`:
    /// integers in a line of the scalar unit's cache.
    pub fn new(
        program: Program,
        operands: Vec<String>,
        results: Vec<String>,
        line: usize,
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
        let mut scratch = scratch(&program, line);
        scratch.iter_mut().for_each(|s| s.name = own(&s.name));
        Exchange {
            program: Arc::new(program),
            operands,
            results,
            windows,
            counters,
            scratch,
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
        let scratch = self.scratch.iter().map(|s| &s.name);
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
            scratch: self
                .scratch
                .iter()
                .map(|s| Scratch {
                    name: name(&s.name),
                    ..s.clone()
                })
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

fn place(program: &Program, place: Place) -> &str {
    match place {
        Place::Operand(i) => &program.operands[i].name,
        Place::Result(i) => &program.results[i].name,
        Place::Window(i) => &program.windows[i].name,
    }
}
