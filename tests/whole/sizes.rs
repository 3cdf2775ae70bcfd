//! Sizes that tiles do not divide: the last block or trip has fewer rows or columns.

use crate::common;
use indexmap::IndexMap;
use tilewright::data::{self, Data, Source};
use tilewright::layer::Layer;
use tilewright::run::{optimize, run};

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

/// What is computed of whole rows, of rows that a core does not hold: of many equal elements, so that ties show, and of NaN.
const ROWS: &str = "\
graph rows {
  param T = 1
  param D = 16
  param K = 1
  input x: f32[T, D]
  input n: i32[T, D] < 100
  input f: f32[T, D] ~ normal(1, 0.0001)
  kernel best {
    equal = cast(cast(x, to = i32), to = f32)
    idx = top_k(equal, k = K)
    found = gather_cols(equal, idx)
    numbers = gather_cols(n, idx)
    nan = top_k(log(x), k = 1)
  }
  kernel sums {
    s = cumsum(x) * 0.0001
    counts = cumsum(n)
  }
  kernel products {
    p = row_prod(f)
  }
  output idx, found, numbers, nan, s, counts, p
}
";

#[test]
fn rows_may_be_longer_than_a_core_holds() {
    // Powers of two, multiples of what divides them, and a number that only parts with padding make up.
    for (t, d, k) in [
        (2, 4096, 8),
        (1, 16_384, 1),
        (2, 20_000, 64),
        (1, 10_007, 7),
        (1, 151_936, 8),
    ] {
        right(ROWS, &[("T", t), ("D", d), ("K", k)]);
    }
    right(ROWS, &[("T", 1), ("D", 32_768), ("K", 2048)]);
}

/// More elements of a row than are on chip beside a part of it. The search adds nothing to what is asked here, so it ends at once.
#[test]
fn many_elements_of_long_rows_are_looked_up() {
    let text = "graph looked_up {\n  input x: f32[1, 40000]\n  input i: i32[1, 10000] < 40000\n  kernel k {\n    \
                y = gather_cols(x, i)\n  }\n  output y\n}\n";
    let layer = Layer::parse("layer.tw", text.as_bytes()).expect("it is a layer");
    let graph = layer.graph(&IndexMap::new()).expect("it is a graph");
    let mut options = common::options();
    options.search.iter_limit = 1;
    options.search.candidates = 1;
    let inputs = data::inputs(&graph, &Source::Seed(1), &IndexMap::new()).expect("inputs");
    let outcome =
        run(&graph, &options, &Data::new(vec![inputs])).unwrap_or_else(|e| panic!("{e:?}"));
    assert!(outcome.report.ok, "{:?}", outcome.report.checks);
}

/// The same of rows of which only some exist.
#[test]
fn ragged_rows_may_be_long_too() {
    let ragged = ROWS
        .replace(
            "input x: f32[T, D]",
            "input c: i32[2, 1] <= T\n  input x: f32[2 * T, D] ragged c",
        )
        .replace("i32[T, D] < 100", "i32[2 * T, D] ragged c < 100")
        .replace("f32[T, D] ~ normal(1", "f32[2 * T, D] ragged c ~ normal(1");
    right(&ragged, &[("T", 1), ("D", 9000), ("K", 8)]);
}

#[test]
fn other_types_are_sorted_as_f32() {
    for dtype in ["bf16", "f16"] {
        let text = format!(
            "graph sorts {{\n  input x: {dtype}[5, 200]\n  kernel k {{\n    y = top_k(x, k = 9)\n  }}\n  output y\n}}\n"
        );
        right(&text, &[]);
    }
}

/// Weights that lie as [K, N], of all types that the cube multiplies.
#[test]
fn right_operands_may_lie_by_rows() {
    for dtype in ["f32", "bf16", "f16", "i8"] {
        let text = format!(
            "graph by_rows {{\n  param M = 16\n  param K = 64\n  param N = 16\n  input a: {dtype}[M, K]\n  \
             input b: {dtype}[K, N]\n  kernel k {{\n    y = matmul_nn(a, b)\n  }}\n  output y\n}}\n"
        );
        for (m, k, n) in [(16, 64, 32), (1, 32, 1), (33, 96, 50), (100, 1024, 500)] {
            right(&text, &[("M", m), ("K", k), ("N", n)]);
        }
    }
}

/// What changes nothing is nothing, and a copy where the layer returns it.
#[test]
fn what_changes_nothing_is_no_kernel() {
    let text = "\
graph same {
  param T = 5
  param D = 85
  input x: f32[T, D]
  input w: bf16[32, 16]
  input m: bf16[8, 16]
  kernel a {
    v = slice_cols(x, from = 27, to = 85)
    y = reshape(v, rows = T, cols = 58)
    z = reshape(reshape(x, rows = D, cols = T), rows = T, cols = D)
    t = cast(x, to = f32)
    u = transpose(transpose(m))
    p = slice_cols(exp(x), from = 0, to = D)
    q = repeat_cols(row_sum(x), to = 1)
    r = abs(reshape(p, rows = T, cols = D))
    s = matmul_nt(m, transpose(transpose(w)))
    b = pad_cols(x, to = D, value = 0)
  }
  output y, z, t, u, p, q, r, s, b
}
";
    right(text, &[]);
}

/// A sum shares what it adds up with a store, in tiles that leave some columns over.
#[test]
fn what_is_stored_and_summed_is_cut_once() {
    let text = "\
graph shared {
  param D = 12
  input x: f32[3, D]
  kernel k {
    tile D_TILE = 10 over D
    v = abs(x)
    s = row_sum(x)
    largest = row_max(v)
  }
  output v, s, largest
}
";
    right(text, &[]);
    right(&text.replace("D_TILE = 10", "D_TILE = 8"), &[]);
    right(&text.replace("D_TILE = 10", "D_TILE = 40"), &[("D", 50)]);
}

/// A column, and what another kernel pads, beside each other.
#[test]
fn what_was_padded_before_is_stored_as_it_is() {
    let text = "\
graph padded {
  param T = 3
  input x: f32[T, 1]
  kernel pads {
    a = max(x, 0.25)
    b = pad_cols(a, to = 61, value = -1)
  }
  kernel joins {
    c = concat_cols(a * 2.0, b)
    d = b * min(b, 2.0)
  }
  output c, d
}
";
    right(text, &[]);
}

/// The search looks at a part of what there is. Where none of that fits, the kernels as written do.
#[test]
fn the_kernels_as_written_are_found_in_any_case() {
    let text = "\
graph chain {
  param T = 2
  param D = 1031
  input x: f32[T, D]
  input w: f32[D]
  kernel sums {
    a = cumsum(x) * 0.001
  }
  kernel shares {
    tile D_TILE = 859 over D
    b = a - exp(min(w, 1.0))
    c = a / (abs(b) + 1.0)
  }
  output c
}
";
    let layer = Layer::parse("layer.tw", text.as_bytes()).expect("it is a layer");
    let graph = layer.graph(&IndexMap::new()).expect("it has these sizes");
    let mut options = common::options();
    for nodes in [1000, 4000] {
        options.search.node_limit = nodes;
        let ran =
            tilewright::run::compile_form(&graph, tilewright::form::Form::Optimized, &options);
        assert!(ran.is_ok(), "{nodes}: {:?}", ran.err());
    }
}

/// The inner axis of a product is padded: of what another product gave, in tiles that are no fractals of it; of one column, in
/// more rows than a launch has blocks; and products of rows of one element.
#[test]
fn products_of_any_inner_axis() {
    right(
        "\
graph chained {
  param T = 2
  param K = 7
  param D = 33
  input x: f32[T, K]
  input v: f32[D, K]
  input w: f32[D, D]
  kernel first {
    a = matmul_nt(x, v)
  }
  kernel second {
    tile D_TILE = 11 over D
    y = matmul_nt(a, w)
  }
  output y
}
",
        &[],
    );
    let single = "\
graph single {
  param D = 16
  param E = 4
  param R = 2
  input count: i32[E, 1] <= R
  input x: f32[E * R, 1] ragged count
  input w: f32[E * D, 1]
  kernel k {
    y = grouped_matmul_nt(x, w)
  }
  output y
}
";
    for rows in [16, 16384] {
        right(single, &[("D", rows)]);
    }
}

/// What chunks leave of a product's inner axis is a smaller chunk: of all types, in groups with few rows, with trips in flight and with
/// columns left over, too; and an axis of a large prime costs as much as its neighbour.
#[test]
fn the_last_chunk_of_an_inner_axis_is_smaller() {
    let layer = |dtype: &str| {
        format!(
            "\
graph last {{
  param M = 24
  param N = 72
  param K = 2144
  param E = 3
  input x: {dtype}[M, K]
  input w: {dtype}[N, K]
  input count: i32[E, 1] <= M
  input r: {dtype}[E * M, K] ragged count
  input v: {dtype}[E * N, K]
  kernel whole {{
    tile N_TILE = 32 over N per block
    tile K_TILE = 256 over K
    loop pipeline(2)
    y = matmul_nt(x, w)
  }}
  kernel groups {{
    tile M_TILE = 8 over M
    tile K_TILE = 512 over K
    z = grouped_matmul_nt(r, v)
  }}
  output y, z
}}
"
        )
    };
    for dtype in ["bf16", "f32", "i8"] {
        right(&layer(dtype), &[]);
        right(&layer(dtype), &[("K", 544)]);
    }
    let us = |k: i64| {
        let text = "graph g {\n  param K = 16\n  input x: bf16[128, K]\n  input w: bf16[1024, K]\n  kernel k {\n    \
                    y = matmul_nt(x, w)\n  }\n  output y\n}\n";
        let layer = Layer::parse("layer.tw", text.as_bytes()).expect("it is a layer");
        let graph = layer
            .graph(&[("K".to_owned(), k)].into())
            .expect("its sizes are right");
        let found = optimize(&graph, &common::options()).expect("it compiles");
        found.report.optimized.us
    };
    let (prime, even) = (us(16 * 257), us(16 * 256));
    assert!(prime < 1.1 * even, "{prime} and {even} us");
}

/// Columns that leave some over, of stores beside each other: more branches than there are flags for with trips in flight.
#[test]
fn branches_and_loops_share_flags() {
    right(
        "\
graph shared {
  param T = 31
  param D = 1000
  input x: f32[T, D]
  input c: f32[T, 1]
  kernel shifts {
    a = x - c
  }
  kernel stores {
    p = repeat_cols(c, to = 31)
    q = reshape(a, rows = T, cols = D)
    r = abs(a)
  }
  output p, q, r
}
",
        &[],
    );
}
