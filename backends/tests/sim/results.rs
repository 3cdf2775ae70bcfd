//! What programs compute, to the bit.

use crate::build::*;
use crate::kernels::*;
use tilewright_backends::data::Tensor;
use tilewright_backends::sim::{self, Options, Returned};
use tilewright_ir::DType::{self, *};
use tilewright_ir::Round;
use tilewright_ir::graph::{Binary, Reduce, Unary};
use tilewright_ir::kernel::*;

#[test]
fn a_double_buffered_loop_touches_every_chunk() {
    for depth in [1, 2, 3] {
        let y = &outputs(&add_one(depth), &add_one_inputs())["y"];
        assert_eq!(
            *y,
            f32s(&[ROWS, WIDTH * TRIPS], |i| i as f32 + 1.0),
            "depth {depth}"
        );
    }
}

#[test]
fn a_product_accumulates_in_ascending_k() {
    let (a, b) = (
        f32s(&[16, 96], |i| (i as f32 * 0.37).sin()),
        f32s(&[32, 96], |i| (i as f32 * 0.73).cos()),
    );
    let got = &outputs(&product(3), &inputs(&[("a", a.clone()), ("b", b.clone())]))["y"];
    let (a, b) = (a.to_f32(), b.to_f32());
    let want = f32s(&[16, 32], |i| {
        let (m, n) = (i / 32, i % 32);
        (0..96).fold(0.0, |acc, k| acc + a[m * 96 + k] * b[n * 96 + k])
    });
    assert_eq!(*got, want);
}

#[test]
fn a_sort_is_stable_and_copies_index_bits() {
    // Each value four times.
    let x = f32s(&[1, 256], |i| ((i * 37) % 64) as f32);
    let got = outputs(&top_eight(), &inputs(&[("x", x.clone())]));
    let x = x.to_f32();
    let mut order: Vec<i64> = (0..256).collect();
    order.sort_by(|a, b| x[*b as usize].total_cmp(&x[*a as usize]));
    assert_eq!(got["top"].to_i64(), order[..8]);
    assert_eq!(
        got["value"].to_f32(),
        [63.0, 63.0, 63.0, 63.0, 62.0, 62.0, 62.0, 62.0]
    );
}

#[test]
fn run_time_rows_limit_what_an_instruction_does() {
    let x = f32s(&[8, 256], |i| (i / 256) as f32);
    for count in [0, 3, 8] {
        let got = outputs(
            &sum_rows(),
            &inputs(&[("x", x.clone()), ("count", scalar(count))]),
        );
        let want = f32s(&[8, 1], |r| {
            if (r as i64) < count {
                256.0 * r as f32
            } else {
                0.0
            }
        });
        assert_eq!(got["y"], want, "{count} rows");
    }
}

#[test]
fn a_row_sum_has_one_order_for_every_width() {
    // Lane 0 gets 1e8, 1 and -1e8: adding them in ascending columns loses the 1.
    let x = f32s(&[8, 256], |i| match i % 256 {
        0 => 1e8,
        64 => 1.0,
        128 => -1e8,
        1 => 0.5,
        _ => 0.0,
    });
    let got = outputs(&sum_rows(), &inputs(&[("x", x), ("count", scalar(8))]));
    assert_eq!(got["y"].to_f32(), [0.5; 8]);
}

#[test]
fn registers_index_rows() {
    let got = outputs(&gather_rows(), &gather_rows_inputs(&[2, 0, 2]));
    let want = f32s(&[3, 64], |i| ([2, 0, 2][i / 64] * 64 + i % 64) as f32);
    assert_eq!(got["y"], want);
}

/// One instruction from `x` (and `w`) to `y`, each tile of its own type and layout.
fn one(op: VectorOp, tiles: [Tile; 3], data: &[Tensor]) -> Tensor {
    use Pipe::*;
    let shape = |i: usize| (tiles[i].valid_rows, tiles[i].valid_cols);
    let names = ["x", "w"];
    let mut tensors = vec![];
    let mut body = vec![];
    for (i, d) in data.iter().enumerate() {
        let (r, c) = shape(i);
        tensors.push((names[i], tensor(d.dtype, &[r, c], Role::Input)));
        body.push(load(t(i), rect(names[i], zero(), zero(), (r, c))));
    }
    let (r, c) = shape(2);
    tensors.push(("y", tensor(tiles[2].dtype, &[r, c], Role::Output)));
    body.extend(sync(Mte2, V));
    let srcs: Vec<TileRef> = (0..data.len()).map(t).collect();
    body.push(if matches!(op, VectorOp::RowReduce(_)) {
        vector_tmp(op, t(2), &srcs, t(3))
    } else {
        vector(op, t(2), &srcs)
    });
    body.extend(sync(V, Mte3));
    body.push(store(rect("y", zero(), zero(), (r, c)), t(2)));
    let scratch = ub(
        "scratch",
        tiles[0].dtype,
        (tiles[0].rows, tiles[0].cols),
        &[65536],
    );
    let tiles = tiles.into_iter().chain([scratch]).collect();
    let p = program(&tensors, vec![kernel("one", Unit::Vector, 1, tiles, body)]);
    let given: Vec<_> = names.into_iter().zip(data.iter().cloned()).collect();
    outputs(&p, &inputs(&given))["y"].clone()
}

fn rows_of(dtype: DType) -> [Tile; 3] {
    [
        ub("x", dtype, (8, 64), &[0]),
        ub("w", dtype, (8, 64), &[16384]),
        ub("y", dtype, (8, 64), &[32768]),
    ]
}

#[test]
fn element_wise_arithmetic() {
    let x = f32s(&[8, 64], |i| i as f32 - 100.0);
    let w = f32s(&[8, 64], |i| 0.5 + (i % 7) as f32);
    let check = |op: Binary, f: fn(f32, f32) -> f32| {
        let got = one(VectorOp::Binary(op), rows_of(F32), &[x.clone(), w.clone()]);
        assert_eq!(
            got,
            f32s(&[8, 64], |i| f(i as f32 - 100.0, 0.5 + (i % 7) as f32))
        );
    };
    check(Binary::Add, |a, b| a + b);
    check(Binary::Sub, |a, b| a - b);
    check(Binary::Mul, |a, b| a * b);
    check(Binary::Div, |a, b| a / b);
    check(Binary::Max, f32::max);
    check(Binary::Min, f32::min);
    let got = one(VectorOp::Unary(Unary::Exp), rows_of(F32), &[w]);
    assert_eq!(
        got,
        f32s(&[8, 64], |i| f64::from(0.5 + (i % 7) as f32).exp() as f32)
    );
}

#[test]
fn half_precision_rounds_each_result() {
    let x = Tensor::from_f32(F16, &[8, 64], &[1.0; 512]).unwrap();
    let w = Tensor::from_f32(F16, &[8, 64], &[1.0 / 2048.0; 512]).unwrap();
    let y = one(VectorOp::Binary(Binary::Add), rows_of(F16), &[x, w]);
    assert_eq!(y.to_f32(), [1.0; 512]);
}

#[test]
fn broadcasts_of_rows_and_columns() {
    let x = f32s(&[8, 64], |i| i as f32);
    let column_tiles = [
        ub("x", F32, (8, 64), &[0]),
        column("w", F32, 8, 16384),
        ub("y", F32, (8, 64), &[32768]),
    ];
    let w = f32s(&[8, 1], |r| r as f32);
    let y = one(
        VectorOp::RowExpand(Binary::Mul),
        column_tiles,
        &[x.clone(), w],
    );
    assert_eq!(y, f32s(&[8, 64], |i| (i * (i / 64)) as f32));
    let row_tiles = [
        ub("x", F32, (8, 64), &[0]),
        ub("w", F32, (1, 64), &[16384]),
        ub("y", F32, (8, 64), &[32768]),
    ];
    let w = f32s(&[1, 64], |c| c as f32);
    let y = one(VectorOp::ColExpand(Binary::Add), row_tiles, &[x, w]);
    assert_eq!(y, f32s(&[8, 64], |i| (i + i % 64) as f32));
}

#[test]
fn reductions_of_rows() {
    let x = f32s(&[8, 64], |i| ((i * 29) % 512) as f32);
    let values = x.to_f32();
    for (f, fold) in [
        (Reduce::Max, f32::max as fn(f32, f32) -> f32),
        (Reduce::Min, f32::min),
    ] {
        let tiles = [
            ub("x", F32, (8, 64), &[0]),
            ub("w", F32, (8, 64), &[16384]),
            column("y", F32, 8, 32768),
        ];
        let y = one(VectorOp::RowReduce(f), tiles, std::slice::from_ref(&x));
        let want = f32s(&[8, 1], |r| {
            values[r * 64..(r + 1) * 64]
                .iter()
                .copied()
                .reduce(fold)
                .unwrap()
        });
        assert_eq!(y, want);
    }
}

#[test]
fn conversions_round_as_they_are_told() {
    let x = f32s(&[8, 64], |i| i as f32 / 2.0 - 64.0);
    for (round, f) in [
        (Round::Rint, f32::round_ties_even as fn(f32) -> f32),
        (Round::Round, f32::round),
        (Round::Trunc, f32::trunc),
        (Round::Floor, f32::floor),
        (Round::Ceil, f32::ceil),
    ] {
        let mut tiles = rows_of(F32);
        tiles[2].dtype = I32;
        let y = one(VectorOp::Cvt(round), tiles, std::slice::from_ref(&x));
        let want: Vec<i64> = x.to_f32().iter().map(|v| f(*v) as i64).collect();
        assert_eq!(y.to_i64(), want, "{}", round.name());
    }
}

#[test]
fn workspaces_come_back_on_request() {
    use Pipe::*;
    let step = |name, from, to| {
        let all = |name| rect(name, zero(), zero(), (8, 64));
        let mut body = vec![load(t(0), all(from))];
        body.extend(sync(Mte2, V));
        body.push(vector(VectorOp::Scalar(Binary::Mul, 2.0), t(1), &[t(0)]));
        body.extend(sync(V, Mte3));
        body.push(store(all(to), t(1)));
        let tiles = vec![ub("a", F32, (8, 64), &[0]), ub("b", F32, (8, 64), &[2048])];
        kernel(name, Unit::Vector, 1, tiles, body)
    };
    let p = program(
        &[
            ("x", tensor(F32, &[8, 64], Role::Input)),
            ("half", tensor(F32, &[8, 64], Role::Workspace)),
            ("y", tensor(F32, &[8, 64], Role::Output)),
        ],
        vec![step("first", "x", "half"), step("second", "half", "y")],
    );
    let options = Options {
        returned: Returned::OutputsAndWorkspaces,
        ..Options::default()
    };
    let x = inputs(&[("x", f32s(&[8, 64], |i| i as f32))]);
    let report = sim::run(&p, &machine(), &x, &options).unwrap();
    assert_eq!(report.outputs["half"], f32s(&[8, 64], |i| 2.0 * i as f32));
    assert_eq!(report.outputs["y"], f32s(&[8, 64], |i| 4.0 * i as f32));
    assert_eq!(report.us, report.kernels[0].us + report.kernels[1].us);
}
