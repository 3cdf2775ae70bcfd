//! Random layers with kernels small enough to be enumerated.

use crate::choices::Choices;
use indexmap::IndexMap;
use std::collections::BTreeSet;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{
    Binary, Builder, Graph as Layer, LaunchKind, Op, Prim, Reduce, Schedule, TileSpec, Unary,
};
use tilewright_passes::egraph::SearchOptions;

/// One to three kernels of a few operations each, with loops and blocks to choose.
pub fn layer(c: &mut Choices) -> Option<Layer> {
    let (t, d, n) = (
        c.pick(&[4, 2, 8]),
        c.pick(&[128, 64, 96, 512]),
        c.pick(&[32, 16, 64]),
    );
    let mut b = Builder::new("small");
    for (name, size) in [("T", t), ("D", d), ("N", n)] {
        b.param(name, size as i64).ok()?;
    }
    let x = b.input("x", DType::Bf16, ["T", "D"]).ok()?;
    let y = b.input("y", DType::F32, ["T", "D"]).ok()?;
    let weight = b.input("weight", DType::F32, ["D"]).ok()?;
    let gate = b.input("gate", DType::F32, ["N", "D"]).ok()?;
    let mut last = y;
    for k in 0..1 + c.pick(&[0, 0, 1, 2]) {
        let tile = |axis: &str, size, per_block| TileSpec {
            axis: axis.into(),
            size,
            per_block,
        };
        let d_tile = c.pick(&[32, 16, d]);
        let tiles = IndexMap::from([
            ("T_TILE".to_string(), tile("T", c.divisor(t), false)),
            ("D_TILE".to_string(), tile("D", d_tile, false)),
        ]);
        let schedule = Schedule {
            launch: c.pick(&LaunchKind::ALL),
            tiles,
            pipeline: 1 + c.below(2),
        };
        b.kernel(&format!("k{k}"), Some(schedule)).ok()?;
        let mut made = vec![];
        if b.ty(last).matrix().1 != d {
            last = y;
        }
        for _ in 0..1 + c.below(4) {
            let ty = b.ty(last).clone();
            let whole = ty.matrix().1 == d;
            let v = match ty.dtype {
                DType::F32 => last,
                _ => b.cast(last, DType::F32).ok()?,
            };
            let reduce = Prim::RowReduce(c.pick(&Reduce::ALL));
            let next = match c.below(10) {
                0 => b.prim(Prim::Unary(Unary::Exp), &[v]).ok()?,
                1 if whole => b.prim(Prim::Binary(Binary::Add), &[v, y]).ok()?,
                2 if whole => {
                    let wide = b.cast(x, DType::F32).ok()?;
                    b.prim(Prim::Binary(Binary::Mul), &[v, wide]).ok()?
                }
                3 if whole => b.prim(Prim::ColBinary(Binary::Mul), &[v, weight]).ok()?,
                4 | 5 => {
                    let s = b.prim(reduce, &[v]).ok()?;
                    b.prim(Prim::RowBinary(Binary::Sub), &[v, s]).ok()?
                }
                6 => b.prim(reduce, &[v]).ok()?,
                7 if whole => {
                    let norm = Op::composite("rms_norm", &[("eps", 1e-6.into())])
                        .expect("the library has it");
                    b.op(norm, &[v, weight]).ok()?[0]
                }
                8 if whole => b.prim(Prim::MatmulNt, &[v, gate]).ok()?,
                _ => {
                    let narrow = b.cast(v, DType::Bf16).ok()?;
                    made.push(narrow);
                    b.cast(narrow, DType::F32).ok()?
                }
            };
            made.push(next);
            last = next;
        }
        b.output(last);
        if c.below(2) == 1 && made[0] != last {
            b.output(made[0]);
        }
    }
    b.finish().ok()
}

/// The rules of a search; fewer leave a smaller space.
pub fn options(c: &mut Choices) -> SearchOptions {
    let groups: [&[&str]; 5] = [
        &["pipeline-loop"],
        &["widen-tile", "widen-sum", "widen-k"],
        &["narrow-tile", "narrow-sum", "narrow-k"],
        &["split-rows", "join-rows"],
        &["fan-out-columns"],
    ];
    // Split products are further buffers, which this enumeration does not know.
    let mut disabled = BTreeSet::from(["split-k".to_string(), "mix".to_string()]);
    for group in groups {
        if c.below(3) == 0 {
            disabled.extend(group.iter().map(|r| r.to_string()));
        }
    }
    SearchOptions {
        disabled,
        ..Default::default()
    }
}
