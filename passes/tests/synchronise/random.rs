//! Random small kernels.

use crate::build::*;
use tilewright_ir::kernel::{Cond, Expr, Kernel, LoopId, Space, Stmt, TileRef, VectorOp};
use tilewright_passes::hash::mixed;

/// A stream of numbers from a seed.
pub struct Choices {
    seed: u64,
    next: u64,
}

impl Choices {
    pub fn new(seed: u64) -> Self {
        Choices { seed, next: 0 }
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.next += 1;
        (mixed(self.seed, self.next - 1) % n as u64) as usize
    }
}

const SPACES: [Space; 4] = [Space::Ub, Space::L1, Space::L0a, Space::L0c];

/// A kernel of loops and, if wanted, conditionals, up to `nesting` deep, and of instructions on all pipes, whose tiles overlap here and there.
pub fn random(seed: u64, nesting: usize, conditionals: bool) -> Kernel {
    let mut c = Choices::new(seed);
    let mut k = kernel(&[]);
    for space in SPACES {
        for _ in 0..1 + c.below(4) {
            let slots = [1, 1, 2, 2, 3][c.below(5)];
            let addrs: Vec<_> = (0..slots).map(|_| 512 * c.below(14)).collect();
            let name = format!("{}{}", space.name(), k.tiles.len());
            tile(&mut k, &name, space, &addrs);
        }
    }
    let mut budget = 3 + c.below(12);
    k.body = body(
        &mut k,
        &mut c,
        &mut vec![],
        &mut budget,
        nesting,
        conditionals,
    );
    k
}

fn body(
    k: &mut Kernel,
    c: &mut Choices,
    around: &mut Vec<LoopId>,
    budget: &mut usize,
    nesting: usize,
    conditionals: bool,
) -> Vec<Stmt> {
    let mut out = vec![];
    for _ in 0..1 + c.below(6) {
        if *budget == 0 {
            break;
        }
        match c.below(6) {
            0 | 1 if nesting > 0 => {
                let id = k.loops.len();
                k.loops.push(format!("l{id}"));
                around.push(id);
                let inner = body(k, c, around, budget, nesting - 1, conditionals);
                around.pop();
                out.push(each_of(id, c.below(6), 1 + c.below(3), inner));
            }
            2 if nesting > 0 && conditionals => {
                let then = body(k, c, around, budget, nesting - 1, conditionals);
                let otherwise = if c.below(2) == 0 {
                    vec![]
                } else {
                    body(k, c, around, budget, nesting - 1, conditionals)
                };
                let cond = match around.last() {
                    Some(_) if c.below(2) == 0 => Cond::First(around[c.below(around.len())]),
                    _ => Cond::Positive(Expr::constant(1)),
                };
                out.push(when(cond, then, otherwise));
            }
            _ => {
                *budget -= 1;
                out.push(instr(k, c, around));
            }
        }
    }
    out
}

fn instr(k: &Kernel, c: &mut Choices, around: &[LoopId]) -> Stmt {
    let pick = |c: &mut Choices, space: Space| -> TileRef {
        let of: Vec<_> = (0..k.tiles.len())
            .filter(|&t| k.tiles[t].space == space)
            .collect();
        let tile = of[c.below(of.len())];
        let slot = (!around.is_empty() && c.below(4) > 0).then(|| around[c.below(around.len())]);
        at(tile, slot.filter(|_| k.tiles[tile].slots > 1))
    };
    let place = |c: &mut Choices| {
        let line = match around {
            [] => Expr::constant(c.below(4) as i64),
            some => each(some[c.below(some.len())]).plus_constant(c.below(3) as i64),
        };
        row(["a", "b", "c"][c.below(3)], line)
    };
    match c.below(9) {
        0 => load(pick(c, Space::Ub), place(c)),
        1 => load(pick(c, Space::L1), place(c)),
        2 => store(place(c), pick(c, Space::Ub)),
        3 => store(place(c), pick(c, Space::L0c)),
        4 => copy(pick(c, Space::L0a), pick(c, Space::L1)),
        5 => matmul(
            pick(c, Space::L0c),
            pick(c, Space::L0a),
            pick(c, Space::L0a),
            c.below(2) == 0,
        ),
        6 => vector(VectorOp::Iota, pick(c, Space::Ub), vec![]),
        _ => binary(pick(c, Space::Ub), pick(c, Space::Ub), pick(c, Space::Ub)),
    }
}
