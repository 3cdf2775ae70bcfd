//! Small layers, each of a kind that a schedule can get wrong: both forms must give what the interpreter gives.

mod common;

use indexmap::IndexMap;
use tilewright::data::{self, Data, Source};
use tilewright::layer::Layer;
use tilewright::run::run;

/// Compiles and runs a layer, with all rows and with some, and looks at every check.
fn is_right(text: &str) {
    let layer = Layer::parse("layer.tw", text.as_bytes()).expect("it is a layer");
    let graph = layer.graph(&IndexMap::new()).expect("its sizes are right");
    for rows in [None, Some(5)] {
        let scalars: IndexMap<String, i64> = graph
            .inputs()
            .into_iter()
            .filter(|v| graph.ty(*v).shape.is_empty())
            .filter_map(|v| Some((graph.name(v).to_string(), rows?)))
            .collect();
        let inputs = data::inputs(&graph, &Source::Seed(7), &scalars).expect("inputs are made");
        let ran =
            run(&graph, &common::options(), &Data::new(vec![inputs])).expect("both forms run");
        assert!(!ran.report.checks.is_empty());
        for check in &ran.report.checks {
            assert!(check.comparison.ok, "{text}\n{check:?}");
        }
    }
}

/// A tile of a pipelined loop has a slot a trip, under a condition too.
#[test]
fn masked_rows_in_a_pipelined_loop() {
    for operation in ["mask_rows(z, n)", "mask_rows(z, n) + z", "mask_rows(x, n)"] {
        is_right(&format!(
            "graph masked {{
  param T = 8
  param D = 512
  input x: f32[T, D]
  input n: i32 <= T
  kernel k {{
    loop pipeline(2)
    tile D_TILE = 64 over D
    z = x + 1.0
    y = {operation}
  }}
  output y
}}
"
        ));
    }
}

/// Rows that are looked up have the columns of their block, and of their trip.
#[test]
fn gathered_rows_in_columns() {
    for (tile, reader) in [
        (
            "tile D_TILE = 64 over D per block",
            "y = gather_rows(table, ids)",
        ),
        ("tile D_TILE = 64 over D", "y = gather_rows(table, ids)"),
        (
            "loop pipeline(2)\n    tile D_TILE = 64 over D",
            "rows = gather_rows(table, ids)\n    y = rows * 2.0",
        ),
    ] {
        is_right(&format!(
            "graph embedding {{
  param T = 4
  param V = 32
  param D = 256
  input table: f32[V, D]
  input ids: i64[T] < V
  kernel k {{
    {tile}
    {reader}
  }}
  output y
}}
"
        ));
    }
}

/// A cast to the own type changes nothing: not a result, and not a value in between.
#[test]
fn casts_to_the_own_type() {
    for operation in [
        "cast(x, to = f32)",
        "cast(x, to = f32, round = floor)",
        "cast(cast(x + 0.25, to = f32), to = f32)",
        "rms_norm(x, weight, eps = 1e-6)",
    ] {
        is_right(&format!(
            "graph own_type {{
  param T = 3
  param D = 64
  input x: f32[T, D]
  input weight: f32[D] ~ normal(1, 0.1)
  kernel k {{
    y = {operation}
  }}
  output y
}}
"
        ));
    }
}
