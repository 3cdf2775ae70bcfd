//! Sizes that tiles do not divide: the last block or trip has fewer rows or columns.

mod common;

use indexmap::IndexMap;
use tilewright::data::{self, Data, Source};
use tilewright::layer::Layer;
use tilewright::run::run;

/// A product, a sum along rows with what follows it, and both again in a kernel of several stores.
const LAYER: &str = "\
graph sizes {
  param M = 16
  param N = 16
  param C = 16
  input a: bf16[M, 64]
  input b: bf16[N, 64]
  input x: f32[M, C]
  input w: f32[C]
  kernel product {
    y = matmul_nt(a, b)
  }
  kernel norm {
    p = x * w
    q = row_mul(p, row_sum(x * x))
    largest = row_max(p)
  }
  output y, q, largest
}
";

/// Runs a layer; all of its outputs are right in both forms.
fn right(text: &str, sizes: &[(&str, usize)]) {
    let layer = Layer::parse("layer.tw", text.as_bytes()).expect("it is a layer");
    let sizes: IndexMap<String, i64> =
        (sizes.iter().map(|(n, v)| (n.to_string(), *v as i64))).collect();
    let graph = layer.graph(&sizes).expect("it has these sizes");
    let inputs = data::inputs(&graph, &Source::Seed(1), &IndexMap::new()).expect("inputs");
    let ran = run(&graph, &common::options(), &Data::new(vec![inputs]));
    let ran = ran.unwrap_or_else(|e| panic!("{sizes:?}: {e}"));
    for check in &ran.report.checks {
        assert!(check.comparison.ok, "{sizes:?}: {check:?}");
    }
}

#[test]
fn primes_are_cut_into_tiles() {
    for (m, n, c) in [(131, 1031, 8209), (1, 8209, 50_021), (1031, 37, 33)] {
        right(LAYER, &[("M", m), ("N", n), ("C", c)]);
    }
}

/// Tiles as written that divide nothing are what the kernels as written have.
#[test]
fn a_schedule_need_not_divide() {
    let tiled = LAYER
        .replace("kernel product {", "kernel product {\n    tile M_TILE = 24 over M\n    tile N_TILE = 48 over N per block")
        .replace("kernel norm {", "kernel norm {\n    tile M_TILE = 7 over M\n    tile C_TILE = 56 over C\n    loop pipeline(2)");
    right(&tiled, &[("M", 50), ("N", 100), ("C", 200)]);
}

/// A value that is used twice at each of many steps has as many nodes as steps, and as a tree more than can be counted.
#[test]
fn values_may_be_shared_many_times() {
    let steps: String = (0..80)
        .map(|i| format!("    v{} = v{i} * 0.5 + v{i} * v{i} * 0.125\n", i + 1))
        .collect();
    let text = format!(
        "graph shared {{\n  input v0: f32[8, 64]\n  kernel k {{\n{steps}  }}\n  output v80\n}}\n"
    );
    right(&text, &[]);
}
