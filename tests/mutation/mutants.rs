//! Programs with one thing wrong.

use super::mutate;
use tilewright_ir::kernel::{Expr, GlobalRef, Instr, Kernel, Space, Stmt, Tile, Var};
use tilewright_ir::machine::Machine;

/// What was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// One set, wait or barrier less.
    Statement,
    /// All sets and waits of a flag less.
    Flag,
    /// A tile's slot one unit of its memory's alignment higher or lower.
    Tile,
    /// The rows or columns of a rectangle in global memory, one further or nearer.
    Global,
    /// A tile with less rows, columns or slots.
    Shrunk,
    /// A notification or a wait less, or one that takes every layer run for the first.
    Protocol,
}

/// A kernel with one thing changed.
pub struct Mutant {
    pub kind: Kind,
    /// What was changed, in words.
    pub what: String,
    pub kernel: Kernel,
    /// Of [`Kind::Tile`]: the tile and slot that moved. Of [`Kind::Shrunk`]: the tile.
    pub tile: Option<(usize, usize)>,
}

/// All mutants of a kernel.
pub fn mutants(kernel: &Kernel, machine: &Machine) -> Vec<Mutant> {
    let mut out = statements(kernel);
    out.extend(flags(kernel));
    for t in 0..kernel.tiles.len() {
        out.extend(moved(kernel, t, machine));
        out.extend(shrunk(kernel, t));
    }
    out.extend(rectangles(kernel));
    out.extend(messages(kernel));
    out
}

fn statements(kernel: &Kernel) -> Vec<Mutant> {
    let wanted = |s: &Stmt| !is_held(s);
    let without = |n: usize| {
        let mut changed = kernel.clone();
        let (mut what, mut kind) = (String::new(), Kind::Statement);
        edit(&mut changed.body, &mut 0, n, &wanted, &mut |body, i| {
            let gone = body.remove(i);
            if matches!(
                gone,
                Stmt::Set { .. } | Stmt::Wait { .. } | Stmt::Barrier(_)
            ) {
                kind = Kind::Flag;
            }
            what = format!("without {gone:?}");
        });
        Mutant::new(kind, what, changed, None)
    };
    (0..count(&kernel.body, &wanted)).map(without).collect()
}

fn flags(kernel: &Kernel) -> impl Iterator<Item = Mutant> {
    let flags = mutate::mutants(kernel).into_iter();
    let flags = flags.filter(|(what, _)| what.contains("->"));
    flags.map(|(what, changed)| {
        let what = format!("without {what}");
        Mutant::new(Kind::Flag, what, changed, None)
    })
}

fn moved(kernel: &Kernel, t: usize, machine: &Machine) -> Vec<Mutant> {
    let tile = &kernel.tiles[t];
    let unit = machine.alignment_of(tile.space) as i64;
    let mut out = vec![];
    for slot in 0..tile.addrs.len() {
        for by in [-unit, unit] {
            let Ok(moved) = usize::try_from(tile.addrs[slot] as i64 + by) else {
                continue;
            };
            let mut changed = kernel.clone();
            changed.tiles[t].addrs[slot] = moved;
            let what = format!("{} slot {slot} moved by {by}", tile.name);
            out.push(Mutant::new(Kind::Tile, what, changed, Some((t, slot))));
        }
    }
    out
}

fn shrunk(kernel: &Kernel, t: usize) -> Vec<Mutant> {
    let tile = &kernel.tiles[t];
    let step = match tile.space {
        Space::Ub => 32 / tile.dtype.bytes(),
        _ => 16,
    };
    let mut out = vec![];
    let mut shrink = |what: &str, change: &dyn Fn(&mut Tile)| {
        let mut changed = kernel.clone();
        let smaller = &mut changed.tiles[t];
        change(smaller);
        smaller.valid_rows = smaller.valid_rows.min(smaller.rows);
        smaller.valid_cols = smaller.valid_cols.min(smaller.cols);
        let what = format!("{} with {what}", tile.name);
        out.push(Mutant::new(Kind::Shrunk, what, changed, Some((t, 0))));
    };
    if tile.cols > step {
        shrink("less columns", &|t| t.cols -= step);
    }
    if tile.rows > 1 {
        shrink("less rows", &|t| t.rows -= step.min(t.rows - 1));
    }
    if tile.slots > 1 {
        shrink("a slot less", &|t| {
            t.slots -= 1;
            t.addrs.pop();
        });
    }
    out
}

fn rectangles(kernel: &Kernel) -> Vec<Mutant> {
    let is_global = |s: &Stmt| rect(&mut s.clone()).is_some();
    let mut out = vec![];
    for n in 0..count(&kernel.body, &is_global) {
        for (axis, by) in [("row", -1), ("row", 1), ("column", -1), ("column", 1)] {
            let mut changed = kernel.clone();
            let mut what = String::new();
            edit(&mut changed.body, &mut 0, n, &is_global, &mut |body, i| {
                if let Some(g) = rect(&mut body[i]) {
                    let start = if axis == "row" {
                        &mut g.row
                    } else {
                        &mut g.col
                    };
                    *start = std::mem::take(start).plus_base(by);
                    what = format!("{} at statement {i}: {axis} {by:+}", g.tensor);
                }
            });
            out.push(Mutant::new(Kind::Global, what, changed, None));
        }
    }
    out
}

fn messages(kernel: &Kernel) -> Vec<Mutant> {
    let mut out = vec![];
    for n in 0..count(&kernel.body, &is_message) {
        for without in [true, false] {
            let mut changed = kernel.clone();
            let mut what = None;
            edit(&mut changed.body, &mut 0, n, &is_message, &mut |body, i| {
                if without {
                    what = Some(format!("without {:?}", body.remove(i)));
                } else if let Stmt::Instr(Instr::WaitCounter { counter, at_least }) = &mut body[i] {
                    // Later runs have an epoch of 2 and more.
                    let first = |v: Var, k: i64| if v == Var::Epoch { k } else { 0 };
                    if at_least.terms.iter().all(|(v, _)| *v != Var::Epoch) {
                        return;
                    }
                    let terms = at_least.terms.iter();
                    at_least.base += terms.map(|&(v, k)| first(v, k)).sum::<i64>();
                    at_least.terms.retain(|(v, _)| *v != Var::Epoch);
                    what = Some(format!("wait for {} of the first run", counter.tensor));
                }
            });
            if let Some(what) = what {
                out.push(Mutant::new(Kind::Protocol, what, changed, None));
            }
        }
    }
    out
}

/// What orders ranks.
fn is_message(s: &Stmt) -> bool {
    matches!(
        s,
        Stmt::Instr(Instr::Notify { .. } | Instr::WaitCounter { .. })
    )
}

impl Mutant {
    fn new(kind: Kind, what: String, kernel: Kernel, tile: Option<(usize, usize)>) -> Self {
        Mutant {
            kind,
            what,
            kernel,
            tile,
        }
    }
}

trait PlusBase {
    fn plus_base(self, by: i64) -> Self;
}

impl PlusBase for Expr {
    fn plus_base(mut self, by: i64) -> Self {
        self.base += by;
        self
    }
}

fn is_held(s: &Stmt) -> bool {
    matches!(
        s,
        Stmt::Loop { .. } | Stmt::If { .. } | Stmt::Instr(_) | Stmt::Part { .. }
    )
}

fn rect(s: &mut Stmt) -> Option<&mut GlobalRef> {
    match s {
        Stmt::Instr(
            Instr::Load { src: g, .. }
            | Instr::Store { dst: g, .. }
            | Instr::ReadScalar { src: g, .. }
            | Instr::ReadArray { src: g, .. },
        ) => Some(g),
        _ => None,
    }
}

pub fn count(body: &[Stmt], want: &dyn Fn(&Stmt) -> bool) -> usize {
    body.iter()
        .map(|s| {
            usize::from(want(s))
                + match s {
                    Stmt::Loop { body, .. } | Stmt::Part { body, .. } => count(body, want),
                    Stmt::If {
                        then, otherwise, ..
                    } => count(then, want) + count(otherwise, want),
                    _ => 0,
                }
        })
        .sum()
}

/// Calls `change` with the list and index of the `n`th statement that is wanted.
pub fn edit(
    body: &mut Vec<Stmt>,
    seen: &mut usize,
    n: usize,
    want: &dyn Fn(&Stmt) -> bool,
    change: &mut dyn FnMut(&mut Vec<Stmt>, usize),
) {
    let mut i = 0;
    while i < body.len() {
        if want(&body[i]) {
            if *seen == n {
                *seen += 1;
                return change(body, i);
            }
            *seen += 1;
        }
        match &mut body[i] {
            Stmt::Loop { body, .. } | Stmt::Part { body, .. } => {
                edit(body, seen, n, want, change);
            }
            Stmt::If {
                then, otherwise, ..
            } => {
                edit(then, seen, n, want, change);
                edit(otherwise, seen, n, want, change);
            }
            _ => {}
        }
        if *seen > n {
            return;
        }
        i += 1;
    }
}
