//! A product.

use super::build::*;
use Pipe::{Fix, M, Mte1, Mte2};
use tilewright_ir::DType;
use tilewright_ir::kernel::{Cond, Event, Instr, Layout, Pipe, Program, Role, Space, Stmt, Unit};

/// `logits = x * w^T` in f32: a loop over the inner axis with two slots in L1 and L0.
pub fn gate_mm() -> Program {
    gate_mm_of(64)
}

/// With as many columns a block.
pub fn gate_mm_of(tile_cols: usize) -> Program {
    let (rows, inner, cols, chunk) = (8, 1024, 128, 128);
    let mut k = kernel(
        "gate_mm",
        Unit::Cube,
        &[("n", cols / tile_cols)],
        &[("M_TILE", 16), ("N_TILE", tile_cols), ("K_CHUNK", chunk)],
        &["k"],
    );
    k.pipeline = 2;
    let mut p = Place::new(&mut k);
    let f = DType::F32;
    let (left, right) = ((16, chunk), (chunk, tile_cols));
    let part = (rows, chunk);
    let a1 = p.part("a_l1", (Space::L1, Layout::Nz), f, [left, part], 2);
    let b1 = p.part("b_l1", (Space::L1, Layout::Zn), f, [right; 2], 2);
    let a0 = p.part("a_l0", (Space::L0a, Layout::Zz), f, [left, part], 2);
    let b0 = p.part("b_l0", (Space::L0b, Layout::Right), f, [right; 2], 2);
    let sums = [(16, tile_cols), (rows, tile_cols)];
    let acc = p.part("acc", (Space::L0c, Layout::Acc), f, sums, 1);
    let col = || trip(0, chunk as i64);
    let product = |accumulate| {
        Stmt::Instr(Instr::Matmul {
            dst: all_of(acc),
            lhs: slot(a0, 0),
            rhs: slot(b0, 0),
            accumulate,
        })
    };
    let moved = |dst, src| {
        Stmt::Instr(Instr::Move {
            dst: slot(dst, 0),
            src: slot(src, 0),
            from: (0, 0),
        })
    };
    let body = vec![
        wait(Mte1, Mte2, turn(0, 0)),
        load(slot(a1, 0), rect("x", zero(), col(), rows, chunk)),
        load(
            slot(b1, 0),
            rect("w", grid(0, tile_cols as i64), col(), tile_cols, chunk),
        ),
        set(Mte2, Mte1, turn(0, 0)),
        wait(Mte2, Mte1, turn(0, 0)),
        wait(M, Mte1, turn(2, 0)),
        moved(a0, a1),
        moved(b0, b1),
        set(Mte1, Mte2, turn(0, 0)),
        set(Mte1, M, turn(0, 0)),
        wait(Mte1, M, turn(0, 0)),
        Stmt::If {
            cond: Cond::First(0),
            then: vec![product(false)],
            otherwise: vec![product(true)],
        },
        set(M, Mte1, turn(2, 0)),
    ];
    let ends = |f: fn(Pipe, Pipe, Event) -> Stmt| {
        [
            f(Mte1, Mte2, fixed(0)),
            f(Mte1, Mte2, fixed(1)),
            f(M, Mte1, fixed(2)),
            f(M, Mte1, fixed(3)),
        ]
    };
    k.body.extend(ends(set));
    k.body.push(Stmt::Loop {
        id: 0,
        trips: inner / chunk,
        depth: 2,
        body,
    });
    k.body.extend(sync(M, Fix, fixed(0)));
    let out = rect("logits", zero(), grid(0, tile_cols as i64), rows, tile_cols);
    k.body.push(store(out, all_of(acc)));
    k.body.extend(ends(wait));
    program(
        "gate",
        &[
            ("x", f, &[rows, inner], Role::Input),
            ("w", f, &[cols, inner], Role::Input),
            ("logits", f, &[rows, cols], Role::Output),
        ],
        &[],
        vec![k],
    )
}
