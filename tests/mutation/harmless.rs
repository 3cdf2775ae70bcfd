//! Mutants that are right: a proof of it, from the program alone and independent of the simulator.

use super::mutants::{Kind, Mutant};
use std::collections::BTreeMap;
use tilewright_ir::kernel::{Cond, Instr, Kernel, Stmt, TileRef};

/// Why a mutant computes what the kernel computes; `None` if that is not known.
pub fn why(kernel: &Kernel, mutant: &Mutant) -> Option<&'static str> {
    let (tile, slot) = mutant.tile?;
    match mutant.kind {
        Kind::Tile => {
            let moved = &mutant.kernel;
            let own = bytes(moved, (tile, slot));
            let others: Vec<Slot> = slots(moved)
                .filter(|s| *s != (tile, slot) && meet(&own, &bytes(moved, *s)))
                .collect();
            if others.is_empty() {
                return Some("moved to bytes that no other tile uses");
            }
            let lives = lives(moved);
            let apart = others.iter().all(|o| apart(&lives, (tile, slot), *o));
            apart.then_some("moved to bytes whose tiles are dead while it lives")
        }
        Kind::Shrunk => {
            let (before, after) = (&kernel.tiles[tile], &mutant.kernel.tiles[tile]);
            let same = |f: fn(&tilewright_ir::kernel::Tile) -> usize| f(before) == f(after);
            let padding = same(|t| t.valid_rows) && same(|t| t.valid_cols) && same(|t| t.slots);
            padding.then_some("lost only padding")
        }
        _ => None,
    }
}

type Slot = (usize, usize);

fn slots(kernel: &Kernel) -> impl Iterator<Item = Slot> {
    let tiles = kernel.tiles.iter().enumerate();
    tiles.flat_map(|(t, tile)| (0..tile.slots).map(move |s| (t, s)))
}

/// Memory, first byte, end.
fn bytes(kernel: &Kernel, (tile, slot): Slot) -> (usize, usize, usize) {
    let t = &kernel.tiles[tile];
    let start = t.addrs[slot];
    // As much as the hardware reads and writes at once.
    (
        t.space as usize,
        start / 32 * 32,
        (start + t.bytes()).div_ceil(32) * 32,
    )
}

fn meet(a: &(usize, usize, usize), b: &(usize, usize, usize)) -> bool {
    a.0 == b.0 && a.1 < b.2 && b.1 < a.2
}

/// When each slot is read and written, in program order of one block.
#[derive(Default)]
struct Life {
    /// Number of the instruction, and whether it writes.
    uses: Vec<(usize, bool)>,
}

/// Both branches of a condition are taken, and loops run twice round their slots.
fn lives(kernel: &Kernel) -> BTreeMap<Slot, Life> {
    let most = kernel.tiles.iter().map(|t| t.slots).max().unwrap_or(1);
    let mut walk = Walk {
        kernel,
        counters: vec![0; kernel.loops.len()],
        rounds: 2 * most + 1,
        now: 0,
        lives: BTreeMap::new(),
    };
    walk.body(&kernel.body);
    walk.lives
}

struct Walk<'a> {
    kernel: &'a Kernel,
    counters: Vec<usize>,
    rounds: usize,
    now: usize,
    lives: BTreeMap<Slot, Life>,
}

impl Walk<'_> {
    fn body(&mut self, body: &[Stmt]) {
        for stmt in body {
            match stmt {
                Stmt::Loop {
                    id, trips, body, ..
                } => {
                    for trip in 0..(*trips).min(self.rounds) {
                        self.counters[*id] = trip;
                        self.body(body);
                    }
                }
                Stmt::If {
                    cond,
                    then,
                    otherwise,
                } => {
                    let first = match cond {
                        Cond::First(id) => Some(self.counters[*id] == 0),
                        Cond::Positive(_) | Cond::Zero(_) => None,
                    };
                    if first != Some(false) {
                        self.body(then);
                    }
                    if first != Some(true) {
                        self.body(otherwise);
                    }
                }
                Stmt::Part { body, .. } => self.body(body),
                Stmt::Instr(instr) => self.instr(instr),
                _ => {}
            }
        }
    }

    fn instr(&mut self, instr: &Instr) {
        self.now += 1;
        let (reads, writes) = instr.tiles();
        for (tiles, write) in [(reads, false), (writes, true)] {
            for t in tiles {
                let slot = self.slot(t);
                self.lives
                    .entry(slot)
                    .or_default()
                    .uses
                    .push((self.now, write));
            }
        }
    }

    fn slot(&self, t: &TileRef) -> Slot {
        let turn = t.slot.map_or(0, |id| self.counters[id]);
        (t.tile, turn % self.kernel.tiles[t.tile].slots)
    }
}

/// Whether neither of two slots is written while the other one holds something that is read later, and no instruction uses both.
fn apart(lives: &BTreeMap<Slot, Life>, a: Slot, b: Slot) -> bool {
    let (Some(a), Some(b)) = (lives.get(&a), lives.get(&b)) else {
        return true;
    };
    let shared = a.uses.iter().any(|x| b.uses.iter().any(|y| x.0 == y.0));
    let kept = |x: &Life, y: &Life| {
        // A write of `y` with a use of `x` before it and a read of `x` after it, with no write of `x` between it and that read.
        y.uses.iter().filter(|u| u.1).any(|u| {
            let before = x.uses.iter().any(|v| v.0 < u.0);
            let next = x.uses.iter().find(|v| v.0 > u.0);
            before && next.is_some_and(|v| !v.1)
        })
    };
    !shared && !kept(a, b) && !kept(b, a)
}
