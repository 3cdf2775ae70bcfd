//! What a kernel is told to expect of counts of rows, block by block.

use crate::hash::HashMap;
use tilewright_ir::kernel::{Cond, Foreseen, Instr, Kernel, LoopId, Var};
use tilewright_ir::machine::Machine;
use tilewright_ir::timing;

/// Blocks that are taken to do the same, as the groups of rows that they work on are expected to have as many rows.
pub struct Kinds {
    /// A block of each kind.
    pub samples: Vec<usize>,
    /// How many blocks are of each kind.
    pub blocks: Vec<usize>,
    /// The kind of each coordinate on the axis of the groups, and how many blocks follow each other with the same one.
    kinds: Vec<usize>,
    stride: usize,
}

impl Kinds {
    /// The kinds of a kernel's blocks, at most so many. Where there are more, those without rows are one; those with the most are
    /// one, and all others are taken for a block of the average.
    pub fn of(kernel: &Kernel, most: usize) -> Kinds {
        let blocks = kernel.launch.blocks();
        let alike = Kinds {
            samples: vec![0],
            blocks: vec![blocks],
            kinds: vec![0],
            stride: blocks.max(1),
        };
        let Some((axis, counts)) = counted(kernel) else {
            return alike;
        };
        let stride: usize = kernel.launch.grid[axis + 1..]
            .iter()
            .map(|a| a.count)
            .product();
        let stands_for = sampled(&counts, most);
        let mut out = Kinds {
            samples: vec![],
            blocks: vec![],
            kinds: vec![],
            stride,
        };
        let each = blocks / counts.len().max(1);
        let mut of: HashMap<usize, usize> = HashMap::default();
        for at in stands_for {
            let kind = *of.entry(at).or_insert_with(|| {
                out.samples.push(at * stride);
                out.blocks.push(0);
                out.samples.len() - 1
            });
            out.blocks[kind] += each;
            out.kinds.push(kind);
        }
        out
    }

    /// The kind of a block.
    pub fn kind(&self, block: usize) -> usize {
        self.kinds[block / self.stride % self.kinds.len()]
    }
}

/// The axis of the grid whose coordinate says of which group the rows of a block are, and how many rows they are expected to have.
fn counted(kernel: &Kernel) -> Option<(usize, Vec<i64>)> {
    if kernel.expected.is_empty() {
        return None;
    }
    let mut found = None;
    kernel.visit(&mut |instr| {
        let (Instr::ReadScalar { src, .. } | Instr::ReadArray { src, .. }) = instr else {
            return;
        };
        let [(Var::Grid(axis), step)] = src.row.terms[..] else {
            return;
        };
        let known = kernel.expected.get(&src.tensor);
        if let (None, Some(known)) = (&found, known) {
            let count = kernel.launch.grid.get(axis).map_or(0, |a| a.count);
            let at = |c: usize| usize::try_from(src.row.base + step * c as i64).ok();
            let counts = (0..count).map(|c| known.get(at(c)?).copied());
            let counts: Option<Vec<i64>> = counts.collect();
            found = counts.filter(|c| !c.is_empty()).map(|c| (axis, c));
        }
    });
    found
}

/// For each count the place of one that it is taken for.
fn sampled(counts: &[i64], most: usize) -> Vec<usize> {
    let first = |n: i64| counts.iter().position(|m| *m == n).unwrap_or(0);
    let mut distinct = counts.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() <= most {
        return counts.iter().map(|n| first(*n)).collect();
    }
    let some: Vec<i64> = counts.iter().copied().filter(|n| *n > 0).collect();
    let mean = some.iter().sum::<i64>() as f64 / some.len().max(1) as f64;
    let far = |n: i64| (n as f64 - mean).abs();
    let usual = distinct
        .iter()
        .copied()
        .filter(|n| *n > 0)
        .min_by(|a, b| far(*a).total_cmp(&far(*b)));
    let usual = usual.unwrap_or(0);
    let longest = distinct.last().copied().unwrap_or(0);
    let taken = |n: i64| match n {
        0 => 0,
        n if n == longest => longest,
        _ => usual,
    };
    counts.iter().map(|n| first(taken(*n))).collect()
}

/// What is known of the scalar unit of a block while it is followed.
#[derive(Clone)]
pub struct Expects<'k> {
    kernel: &'k Kernel,
    machine: &'k Machine,
    grid: Vec<usize>,
    known: Foreseen,
}

impl<'k> Expects<'k> {
    /// Of a block; nothing of a kernel that expects nothing.
    pub fn of(kernel: &'k Kernel, machine: &'k Machine, block: usize) -> Option<Self> {
        (!kernel.expected.is_empty()).then(|| Expects {
            kernel,
            machine,
            grid: kernel.launch.coordinates(block),
            known: Foreseen::new(kernel),
        })
    }

    /// The values of variables that are no registers. Scalars and what tells ranks apart are not known.
    fn others<'c>(&'c self, counters: &'c [usize]) -> impl Fn(Var) -> Option<i64> + use<'c> {
        let grid = &self.grid;
        let counter = |id: LoopId| counters.get(id).map(|c| *c as i64);
        move |var| match var {
            Var::Grid(axis) => grid.get(axis).map(|c| *c as i64),
            Var::Loop(id) => counter(id),
            Var::Turn(id, of) => counter(id)?.checked_rem(of as i64),
            Var::Sub => Some(0),
            Var::Reg(_) | Var::Scalar(_) | Var::Rank | Var::Epoch => None,
        }
    }

    pub fn holds(&self, cond: &Cond, counters: &[usize]) -> Option<bool> {
        self.known.holds(cond, &self.others(counters))
    }

    /// Follows an instruction of the scalar unit.
    pub fn follow(&mut self, instr: &Instr, counters: &[usize]) {
        let mut known = std::mem::take(&mut self.known);
        known.follow(self.kernel, instr, &self.others(counters));
        self.known = known;
    }

    /// After a branch that may not be taken.
    pub fn unsure_since(&mut self, before: &Expects) {
        self.known.unsure_since(&before.known);
    }

    /// How many rows the operands of an instruction have, where that is counted and known.
    pub fn rows(&self, instr: &Instr, counters: &[usize]) -> Option<usize> {
        let rows = self.known.value(instr.counted()?, &self.others(counters))?;
        Some(usize::try_from(rows).unwrap_or(0))
    }

    pub fn cost_of_rows(&self, instr: &Instr, rows: usize) -> timing::Cost {
        timing::cost_of_rows(self.machine, self.kernel, instr, rows)
    }
}
