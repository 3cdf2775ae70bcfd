//! Random layer graphs with random schedules, and inputs for graphs.

use super::support::choices::{Choices, exact, mix};
use super::support::classes::Inputs;
use super::support::value::Value;
use indexmap::IndexMap;
use tilewright_backends::data::convert::round_f32;
use tilewright_ir::dtype::{DType, Round};
use tilewright_ir::graph::{
    Binary, Builder, Graph, InputSpec, LaunchKind, NEG_MAX, Prim, Reduce, Schedule, TileSpec,
    Unary, Value as GraphValue,
};

/// Inputs whose sums and products are exact, within their bounds.
pub fn inputs(graph: &Graph, seed: u64) -> Inputs {
    let mut out = Inputs::new();
    for (i, v) in graph.inputs().into_iter().enumerate() {
        let ty = graph.ty(v);
        let (rows, cols) = ty.matrix();
        let n = rows * cols;
        let data = match graph.node(v.node).input.bound {
            Some(bound) => (0..n)
                .map(|e| (mix(seed + i as u64, e) % bound as u64) as f64)
                .collect(),
            None => exact(seed + i as u64, ty.dtype, n),
        };
        let value = Value::tensor(ty.dtype, rows, cols, &data);
        out.insert(graph.name(v).into(), value);
    }
    out
}

/// The same, but floats have all bits of their fraction.
pub fn rough_inputs(graph: &Graph, seed: u64) -> Inputs {
    let mut out = inputs(graph, seed);
    for (i, value) in out.values_mut().enumerate() {
        for (e, x) in value
            .data
            .iter_mut()
            .enumerate()
            .filter(|_| value.dtype.is_float())
        {
            let rough = (mix(seed + i as u64, e) as u32 as f32 / 4_294_967_296.0 - 0.5) * 8.0;
            *x = Some(f64::from(round_f32(rough, value.dtype)));
        }
    }
    out
}

const ROWS: [usize; 7] = [4, 1, 2, 3, 6, 8, 12];
const COLS: [usize; 7] = [32, 8, 24, 48, 56, 96, 112];
const HEADS: [usize; 4] = [16, 24, 40, 64];

/// A graph of one to three kernels; `None` where the choices do not make one.
pub fn graph(c: &mut Choices) -> Option<Graph> {
    let (t, d, n) = (c.pick(&ROWS), c.pick(&COLS), c.pick(&HEADS));
    let mut b = Builder::new("random");
    for (name, size) in [("T", t), ("D", d), ("N", n)] {
        b.param(name, size as i64).ok()?;
    }
    let narrow = c.pick(&[DType::Bf16, DType::F32, DType::F16]);
    let x = b.input("x", narrow, ["T", "D"]).ok()?;
    let y = b.input("y", DType::F32, ["T", "D"]).ok()?;
    let gate = b.input("gate", DType::F32, ["N", "D"]).ok()?;
    let of_d = b.input("of_d", DType::F32, ["D"]).ok()?;
    let of_n = b.input("of_n", DType::F32, ["N"]).ok()?;
    let spec = InputSpec {
        bound: Some(t as i64 + 1),
        ..Default::default()
    };
    let count = b
        .input_with("count", DType::I32, Vec::<usize>::new(), spec)
        .ok()?;
    let fixed = Fixed {
        gate,
        of_d,
        of_n,
        count,
        t,
        n,
    };
    let mut values = vec![y, x];
    for k in 0..1 + c.below(3) {
        b.kernel(&format!("k{k}"), Some(schedule(c, t, d, n)))
            .ok()?;
        let mut made = vec![];
        for _ in 0..1 + c.below(5) {
            made.extend(step(c, &mut b, &fixed, &values).unwrap_or_default());
            values.extend(
                made.iter()
                    .filter(|v| !values.contains(v))
                    .copied()
                    .collect::<Vec<_>>(),
            );
        }
        let matrices: Vec<GraphValue> = made
            .into_iter()
            .filter(|v| b.ty(*v).shape.len() == 2)
            .collect();
        b.output(*matrices.last()?);
        if c.below(3) == 1 && matrices.len() > 1 {
            b.output(matrices[0]);
        }
    }
    b.finish().ok()
}

/// What every kernel may read.
struct Fixed {
    gate: GraphValue,
    of_d: GraphValue,
    of_n: GraphValue,
    count: GraphValue,
    t: usize,
    n: usize,
}

fn schedule(c: &mut Choices, t: usize, d: usize, n: usize) -> Schedule {
    let tile = |axis: &str, size, per_block| TileSpec {
        axis: axis.into(),
        size,
        per_block,
    };
    let tiles = IndexMap::from([
        ("T_TILE".to_string(), tile("T", c.divisor(t), false)),
        (
            "D_TILE".to_string(),
            tile("D", c.divisor(d), c.below(4) == 1),
        ),
        (
            "N_TILE".to_string(),
            tile("N", c.divisor(n), c.below(3) == 1),
        ),
    ]);
    Schedule {
        launch: c.pick(&LaunchKind::ALL),
        tiles,
        pipeline: 1 + c.below(3),
    }
}

/// One operation on values that are there; `None` where it does not fit.
fn step(
    c: &mut Choices,
    b: &mut Builder,
    fixed: &Fixed,
    values: &[GraphValue],
) -> Option<Vec<GraphValue>> {
    let v = values[values.len() - 1 - c.below(values.len().min(4))];
    let ty = b.ty(v).clone();
    let (_, cols) = ty.matrix();
    // Sums of narrow types round where the chunks end, so they are taken in f32.
    let x = match ty.dtype {
        DType::F32 => v,
        _ => b.cast(v, DType::F32).ok()?,
    };
    let one = |v: Option<GraphValue>| v.map(|v| vec![v]);
    let row = match cols == fixed.n {
        true => fixed.of_n,
        false => fixed.of_d,
    };
    match c.below(18) {
        0 => one(b.prim(Prim::Unary(c.pick(&Unary::ALL)), &[x]).ok()),
        1 | 2 => {
            let op = c.pick(&Binary::ALL);
            let value = c.pick(&[0.5, 2.0, -1.0, 3.0]);
            one(b.prim(Prim::Scalar { op, value }, &[x]).ok())
        }
        3 => {
            let op = c.pick(&[Binary::Sub, Binary::Div]);
            one(b.prim(Prim::ScalarLeft { op, value: 1.0 }, &[x]).ok())
        }
        4 | 5 => {
            let same =
                |o: &&GraphValue| b.ty(**o).sizes() == ty.sizes() && b.ty(**o).dtype == DType::F32;
            let others: Vec<GraphValue> = values.iter().filter(same).copied().collect();
            let other = if others.is_empty() {
                x
            } else {
                c.pick(&others)
            };
            one(b.prim(Prim::Binary(c.pick(&Binary::ALL)), &[x, other]).ok())
        }
        6 | 7 => {
            let column = |o: &&GraphValue| {
                b.ty(**o).sizes() == [fixed.t, 1] && b.ty(**o).dtype == DType::F32
            };
            let columns: Vec<GraphValue> = values.iter().filter(column).copied().collect();
            let s = match columns.is_empty() {
                true => b.prim(Prim::RowReduce(c.pick(&Reduce::ALL)), &[x]).ok()?,
                false => c.pick(&columns),
            };
            one(b.prim(Prim::RowBinary(c.pick(&Binary::ALL)), &[x, s]).ok())
        }
        8 => one(b
            .prim(Prim::ColBinary(c.pick(&Binary::ALL)), &[x, row])
            .ok()),
        9 | 10 => one(b.prim(Prim::RowReduce(c.pick(&Reduce::ALL)), &[x]).ok()),
        11 => one(b.prim(Prim::MatmulNt, &[x, fixed.gate]).ok()),
        12 => {
            let to = c.pick(&[DType::Bf16, DType::F16, DType::I32, DType::I8]);
            one(b
                .prim(
                    Prim::Cast {
                        to,
                        round: c.pick(&Round::ALL),
                    },
                    &[x],
                )
                .ok())
        }
        13 => one(b.prim(Prim::MaskRows, &[x, fixed.count]).ok()),
        14 => {
            let (cols, value) = (cols + 8 * (1 + c.below(4)), c.pick(&[NEG_MAX, 0.0]));
            one(b.prim(Prim::PadCols { cols, value }, &[x]).ok())
        }
        15 => b
            .composite("rms_norm", &[("eps", 1e-6.into())], &[v, row])
            .ok(),
        16 => b
            .composite("quantize_rows", &[("eps", 1e-4.into())], &[x])
            .ok(),
        _ => {
            let k = 1 + c.below(3);
            let top = b.prim(Prim::TopK { k }, &[x]).ok()?;
            let scale = [("scale", 1.5.into())];
            let mut out = b.composite("route_weights", &scale, &[x, top]).ok()?;
            out.push(top);
            Some(out)
        }
    }
}
