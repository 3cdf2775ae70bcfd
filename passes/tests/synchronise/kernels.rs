//! The kernels that every test of flags looks at.

use crate::build::*;
use tilewright_ir::kernel::{Cond, Expr, Kernel, Space, Stmt, Unit, Var};

/// `for i: x = load; y = exp x; store y`, with that many slots.
pub fn vector_loop(slots: usize) -> Kernel {
    vector_loop_of(slots, 8)
}

/// The same with that many trips.
pub fn vector_loop_of(slots: usize, trips: usize) -> Kernel {
    let mut k = kernel(&["i"]);
    let slot = Some(0);
    let addrs = |base: usize| (0..slots).map(|s| base + 1024 * s).collect::<Vec<_>>();
    let x = tile(&mut k, "x", Space::Ub, &addrs(0));
    let y = tile(&mut k, "y", Space::Ub, &addrs(1024 * slots));
    k.body = vec![each_of(
        0,
        trips,
        slots,
        vec![
            load(at(x, slot), row("a", each(0))),
            unary(at(y, slot), at(x, slot)),
            store(row("b", each(0)), at(y, slot)),
        ],
    )];
    k
}

/// That loop with six slots, and so many branches before it, each of which loads, computes and stores.
pub fn branches_and_a_loop(branches: usize) -> Kernel {
    let mut k = vector_loop(6);
    let mut body = vec![];
    for branch in 0..branches {
        let name = format!("z{branch}");
        let z = tile(&mut k, &name, Space::Ub, &[1024 * (12 + branch)]);
        let then = vec![
            load(at(z, None), row("a", Expr::constant(8 + branch as i64))),
            unary(at(z, None), at(z, None)),
            store(row("b", Expr::constant(8 + branch as i64)), at(z, None)),
        ];
        body.push(when(Cond::Positive(Expr::constant(1)), then, vec![]));
    }
    body.append(&mut k.body);
    k.body = body;
    k
}

/// A product: global memory to L1 (two slots), to L0 (two slots), accumulated over `k`, stored after the loop.
pub fn cube_loop() -> Kernel {
    let mut k = kernel(&["k"]);
    k.unit = Unit::Cube;
    let slot = Some(0);
    let a1 = tile(&mut k, "a1", Space::L1, &[0, 1024]);
    let b1 = tile(&mut k, "b1", Space::L1, &[2048, 3072]);
    let a0 = tile(&mut k, "a0", Space::L0a, &[0, 1024]);
    let b0 = tile(&mut k, "b0", Space::L0b, &[0, 1024]);
    let c = tile(&mut k, "c", Space::L0c, &[0]);
    let product = |accumulate| vec![matmul(at(c, None), at(a0, slot), at(b0, slot), accumulate)];
    k.body = vec![
        each_of(
            0,
            6,
            2,
            vec![
                load(at(a1, slot), row("a", each(0))),
                load(at(b1, slot), row("b", each(0))),
                copy(at(a0, slot), at(a1, slot)),
                copy(at(b0, slot), at(b1, slot)),
                when(Cond::First(0), product(false), product(true)),
            ],
        ),
        store(row("c", Expr::constant(0)), at(c, None)),
    ];
    k
}

/// A loop that adds up rows, then a loop that uses the sum.
pub fn two_phases() -> Kernel {
    let mut k = kernel(&["i", "j"]);
    let x = tile(&mut k, "x", Space::Ub, &[0, 1024]);
    let sum = tile(&mut k, "sum", Space::Ub, &[2048]);
    // Overlays `x`.
    let z = tile(&mut k, "z", Space::Ub, &[0, 1024]);
    let y = tile(&mut k, "y", Space::Ub, &[4096, 5120]);
    k.body = vec![
        load(at(sum, None), row("zero", Expr::constant(0))),
        each_of(
            0,
            4,
            2,
            vec![
                load(at(x, Some(0)), row("a", each(0))),
                binary(at(sum, None), at(sum, None), at(x, Some(0))),
            ],
        ),
        unary(at(sum, None), at(sum, None)),
        each_of(
            1,
            4,
            2,
            vec![
                load(at(z, Some(1)), row("a", each(1))),
                binary(at(y, Some(1)), at(z, Some(1)), at(sum, None)),
                store(row("b", each(1)), at(y, Some(1))),
            ],
        ),
    ];
    k
}

/// Rows around two column loops: a sum over the row, then the row scaled by it.
pub fn rows() -> Kernel {
    let mut k = kernel(&["row", "i", "j"]);
    let x = tile(&mut k, "x", Space::Ub, &[0, 1024]);
    let z = tile(&mut k, "z", Space::Ub, &[2048, 3072]);
    let y = tile(&mut k, "y", Space::Ub, &[4096, 5120]);
    let sum = tile(&mut k, "sum", Space::Ub, &[6144]);
    let line = |id| Expr::var(Var::Loop(0), 8).plus(Var::Loop(id), 1);
    k.body = vec![each_of(
        0,
        3,
        1,
        vec![
            vector(
                tilewright_ir::kernel::VectorOp::Fill(0.0),
                at(sum, None),
                vec![],
            ),
            each_of(
                1,
                5,
                2,
                vec![
                    load(at(x, Some(1)), row("a", line(1))),
                    binary(at(sum, None), at(sum, None), at(x, Some(1))),
                ],
            ),
            each_of(
                2,
                5,
                2,
                vec![
                    load(at(z, Some(2)), row("a", line(2))),
                    binary(at(y, Some(2)), at(z, Some(2)), at(sum, None)),
                    store(row("b", line(2)), at(y, Some(2))),
                ],
            ),
        ],
    )];
    k
}

pub fn all() -> Vec<Kernel> {
    vec![
        vector_loop(1),
        vector_loop(2),
        vector_loop(3),
        cube_loop(),
        two_phases(),
        rows(),
    ]
}

/// A double-buffered loop whose body runs only for blocks that have rows.
pub fn conditional() -> Kernel {
    let mut k = vector_loop(2);
    if let Some(Stmt::Loop { body, .. }) = k.body.first_mut() {
        let then = std::mem::take(body);
        *body = vec![when(
            Cond::Positive(Expr::var(Var::Scalar(0), 1)),
            then,
            vec![],
        )];
    }
    k
}

/// Rows that are loaded and added up one after the other, each into a tile of its own.
pub fn loads_and_uses(count: usize) -> Kernel {
    let mut k = kernel(&[]);
    let sum = tile(&mut k, "sum", Space::Ub, &[0]);
    for t in 0..count {
        let x = tile(&mut k, &format!("x{t}"), Space::Ub, &[1024 * (1 + t)]);
        k.body.extend([
            load(at(x, None), row(&format!("a{t}"), Expr::constant(0))),
            binary(at(sum, None), at(sum, None), at(x, None)),
        ]);
    }
    k
}

/// Loads `count` tiles in turn, each added up as it comes.
pub fn many_loads(count: usize) -> Kernel {
    let mut k = kernel(&["i"]);
    let slot = Some(0);
    let sum = tile(&mut k, "sum", Space::Ub, &[0]);
    let tiles: Vec<_> = (0..count)
        .map(|t| {
            let base = 2048 * (1 + t);
            tile(&mut k, &format!("x{t}"), Space::Ub, &[base, base + 1024])
        })
        .collect();
    let mut body = vec![];
    for &t in &tiles {
        body.push(load(at(t, slot), row(&format!("a{t}"), each(0))));
    }
    for &t in &tiles {
        body.push(binary(at(sum, None), at(sum, None), at(t, slot)));
    }
    k.body = vec![each_of(0, 5, 2, body)];
    k
}
