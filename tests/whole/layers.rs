//! Small layers, each of a kind that a schedule can get wrong: both forms must give what the interpreter gives.

use crate::common;
use indexmap::IndexMap;
use tilewright::data::{self, Data, Source};
use tilewright::layer::Layer;
use tilewright::run::run;
use tilewright_ir::graph::Rows;

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

/// One layer with some lines in its kernels.
fn layer(rows: usize, cols: usize, kernels: &[&str], outputs: &str) -> String {
    let kernels = kernels.iter().enumerate();
    let kernels: String = kernels
        .map(|(i, k)| format!("  kernel k{i} {{\n    {k}\n  }}\n"))
        .collect();
    format!(
        "graph lines {{\n  param T = {rows}\n  param D = {cols}\n  input x: f32[T, D]\n  input z: f32[T, D]\n{kernels}  output {outputs}\n}}\n"
    )
}

/// Of inputs, of results, of both, of equal values, read in the same kernel and by others, and of products.
#[test]
fn values_beside_each_other() {
    for (kernels, outputs) in [
        (&["y = concat_cols(x, x)"][..], "y"),
        (
            &["a = x * 2.0\n    y = concat_cols(a, a)", "w = max(y, y)"],
            "w",
        ),
        (
            &["a = exp(x)\n    y = concat_cols(z, a)\n    w = abs(y)"],
            "w, y",
        ),
        (&["y = concat_cols(concat_cols(x, z), -x)"], "y"),
        (&["a = matmul_nt(x, z)", "y = concat_cols(a, a)"], "y"),
        (
            &["a = pad_cols(x, to = 40, value = 3)\n    y = concat_cols(a, z)"],
            "a, y",
        ),
    ] {
        is_right(&layer(16, 32, kernels, outputs));
    }
}

/// Rotary embedding as model code writes it, and as an operation.
#[test]
fn rotary_embedding() {
    let halves = "a = slice_cols(x, from = 0, to = 32)\n    b = slice_cols(x, from = 32, to = 64)\n    \
                  y = x * z + concat_cols(-b, a) * z";
    is_right(&layer(16, 64, &[halves], "y"));
    is_right(&layer(16, 64, &["y = rope(x, z, z)"], "y"));
}

/// What has to lie in memory before it is read cuts a kernel, and so do other rows.
#[test]
fn kernels_are_cut_where_they_have_to_be() {
    for line in [
        "y = abs(pad_cols(x, to = 128, value = -1))",
        "i = top_k(x, k = 4)\n    y = slice_cols(i, from = 1, to = 3)",
        "p = matmul_nt(x, z)\n    y = concat_cols(softmax(p), p)",
        "y = row_sum(matmul_nt(exp(x), z)) + row_max(x)",
    ] {
        is_right(&layer(8, 96, &[line], "y"));
    }
}

/// One row, one column, primes, and what is no multiple of a tile, a block or a fractal.
#[test]
fn sizes_of_all_kinds() {
    for rows in [1, 7, 33] {
        for cols in [1, 2, 7, 72, 100, 481, 2047] {
            let k = 1 + cols / 2 % 3;
            is_right(&layer(rows, cols, &["y = softmax(x) + z"], "y"));
            is_right(&layer(
                rows,
                cols,
                &[&format!("y = top_k(x, k = {k})")],
                "y",
            ));
            is_right(&layer(rows, cols, &["y = matmul_nt(x, z)"], "y"));
        }
    }
}

/// Sums and products along rows: one element, less than a block, blocks and a part of one; with other work before and behind, and of
/// integers.
#[test]
fn what_runs_along_rows() {
    for (rows, cols) in [(1, 1), (3, 2), (8, 7), (1, 8), (5, 9), (8, 64), (3, 481)] {
        let lines = [
            "s = cumsum(x) + z",
            "y = row_prod(1.0 - min(abs(x), 1.0) * 0.01) * s",
        ];
        is_right(&layer(rows, cols, &lines, "s, y"));
        let k = cols.min(8);
        let order = format!("best = top_k(x, k = {k})");
        is_right(&layer(rows, cols, &[&order, "y = cumsum(best)"], "y"));
    }
    is_right(&layer(
        8,
        64,
        &["y = cumsum(slice_cols(x, from = 3, to = 36))"],
        "y",
    ));
    is_right(&layer(
        8,
        64,
        &["y = slice_cols(cumsum(x), from = 63, to = 64)"],
        "y",
    ));
}

/// A right operand that lies as [K, N].
#[test]
fn transposed_operands() {
    for cols in [16, 100, 256] {
        is_right(&format!(
            "graph nn {{\n  param M = 24\n  param K = 128\n  param N = {cols}\n  input a: bf16[M, K]\n  input b: bf16[K, N]\n  \
             kernel k {{\n    y = gelu(matmul_nn(a, b))\n  }}\n  output y\n}}\n"
        ));
    }
}

/// Tiles as written that a core has no room for become smaller.
#[test]
fn tiles_that_do_not_fit_become_smaller() {
    let text = "graph wide {\n  param T = 64\n  param D = 4096\n  input g: f32[T, D]\n  input u: f32[T, D]\n  kernel act {\n    \
                tile R = 64 over T\n    tile C = 4096 over D\n    y = swiglu(g, u, limit = 3)\n  }\n  output y\n}\n";
    is_right(text);
    let layer = Layer::parse("layer.tw", text.as_bytes()).expect("it is a layer");
    let graph = layer.graph(&IndexMap::new()).expect("its sizes are right");
    let told = tilewright::run::optimize(&graph, &common::options()).expect("it compiles");
    let notes = told.report.tiles.join("\n");
    assert!(notes.contains("as written does not fit"), "{notes}");
}

/// What is copied beside another value is made by one kernel and copied by another, each with loops and launches of its own.
#[test]
fn makers_and_copies_of_a_value_are_told_apart() {
    for kernels in [
        "kernel made {\n    p = matmul_nt(x, w)\n  }\n  kernel copied {\n    y = concat_cols(p, p)\n  }",
        "kernel made {\n    p = x + 1.0\n  }\n  kernel more {\n    q = p * p\n  }\n  kernel copied {\n    launch spmd\n    \
         y = concat_cols(q, p)\n  }",
    ] {
        is_right(&format!(
            "graph copied {{\n  input x: f32[1, 481]\n  input w: f32[481, 481] ~ normal(0, 0.04)\n  {kernels}\n  output y\n}}\n"
        ));
    }
}

/// Predicted times of ragged rows are of the rows that are expected, whichever are: as many as the simulator then finds.
#[test]
fn ragged_rows_cost_what_there_is() {
    let layer = Layer::parse(
        "layer.tw",
        b"graph experts {
  param D = 512
  param R = 64
  input counts: i32[16, 1] <= R
  input x: bf16[16 * R, D] ragged counts
  input w: bf16[16 * D, D]
  kernel k {
    tile R_TILE = 16 over R
    y = grouped_matmul_nt(x, w)
  }
  kernel act {
    z = exp(y * 0.001)
  }
  output z
}
",
    );
    let layer = layer.expect("it is a layer");
    let mut graph = layer.graph(&IndexMap::new()).expect("its sizes are right");
    let inputs = data::inputs(&graph, &Source::Seed(3), &IndexMap::new()).expect("inputs are made");
    let found = inputs["counts"].to_i64();
    let few: Vec<i64> = found.iter().map(|n| n / 16).collect();
    let mut times = vec![];
    for (rows, counts) in [
        (Rows::Full, vec![64; 16]),
        (
            Rows::Given([("counts".into(), found.clone())].into()),
            found,
        ),
        (Rows::Given([("counts".into(), few.clone())].into()), few),
    ] {
        graph.expect_rows(&rows).expect("the layer can have them");
        let mut inputs = inputs.clone();
        let counts: Vec<i64> = counts;
        let tensor = tilewright_backends::data::Tensor::from_i64(
            tilewright_ir::DType::I32,
            &[16, 1],
            &counts,
        );
        inputs.insert("counts".into(), tensor.expect("they are integers"));
        let ran =
            run(&graph, &common::options(), &Data::new(vec![inputs])).expect("both forms run");
        for form in [&ran.report.written, &ran.report.optimized] {
            for k in &form.kernels {
                let (predicted, simulated) = (k.predicted.us, k.us());
                let off = (predicted / simulated - 1.0).abs();
                assert!(
                    off < 0.1,
                    "{}: {predicted} for {simulated}, {rows:?}",
                    k.name
                );
                assert!(
                    k.bound.us <= simulated,
                    "{}: {:?}, {rows:?}",
                    k.name,
                    k.bound
                );
            }
        }
        times.push((ran.report.optimized.us, ran.report.optimized.bound.us));
    }
    let [full, found, few] = times[..] else {
        panic!("three ran");
    };
    assert!(found.0 < full.0 && few.0 < found.0, "{times:?}");
    assert!(found.1 < full.1 && few.1 < found.1, "{times:?}");
}

/// Rows that need not exist are not taken with rows that do, nor with rows that others count, however alike they are.
#[test]
fn rows_of_other_counts_are_other_kernels() {
    is_right(
        "graph one_group {
  param D = 7
  param R = 7
  input count: i32[1, 1] <= 1
  input x: bf16[R, D] ragged count
  input w: bf16[D, D]
  kernel k {
    y = grouped_matmul_nt(x, w)
  }
  output y
}
",
    );
    is_right(
        "graph two_counts {
  param D = 64
  input few: i32[4, 1] <= 1
  input more: i32[4, 1] <= 8
  input x: f32[4 * 8, D] ragged few
  input y: f32[4 * 8, D] ragged more
  kernel a {
    p = x + 1.0
  }
  kernel b {
    q = exp(y)
  }
  output p, q
}
",
    );
}

/// Cores compute on f32, f16 and i32. What a layer computes on others is computed in a type that holds them all.
#[test]
fn types_that_cores_do_not_compute_on() {
    for operation in [
        "x + x",
        "exp(x - row_max(x))",
        "row_sum(x) * 0.01",
        "x * z",
        "row_mul(x, row_max(z))",
        "min(b, 3) - b",
        "row_max(abs(b))",
        "x + b",
        "cast(b, to = f32)",
        "cast(x, to = f16)",
    ] {
        is_right(&format!(
            "graph types {{
  input x: bf16[8, 200]
  input z: f32[8, 200]
  input b: i8[8, 200] <= 100
  kernel k {{
    y = {operation}
  }}
  output y
}}
"
        ));
    }
}

/// Groups of 18 rows and an inner axis of 96 are cut by tiles that divide them, whatever is written.
#[test]
fn tiles_that_do_not_divide_what_must_be_divided() {
    is_right(
        "graph experts {
  param E = 2
  param R = 18
  param K = 96
  param N = 64
  input counts: i32[E, 1] <= R
  input x: bf16[E * R, K] ragged counts
  input w: bf16[E * N, K]
  kernel k {
    tile R_TILE = 16 over R
    tile K_TILE = 64 over K
    y = grouped_matmul_nt(x, w)
  }
  output y
}
",
    );
}

/// A column of several is not contiguous, so the last tile has none or two at least.
#[test]
fn tiles_that_leave_one_column_over() {
    is_right(
        "graph norms {
  param T = 3
  param D = 129
  input x: f32[T, D]
  kernel k {
    tile D_TILE = 64 over D
    y = exp(x)
    z = row_sum(x)
  }
  output y, z
}
",
    );
}

/// A core does not hold so long a row and what is computed of it.
#[test]
fn long_rows_are_looked_up_by_themselves() {
    is_right(
        "graph embedding {
  param D = 16384
  input ids: i64[2] < 9
  input table: bf16[9, D]
  input w: bf16[D]
  kernel k {
    x = gather_rows(table, ids)
    y = rms_norm(x, w, eps = 1e-6)
  }
  output y
}
",
    );
}

/// What is needed whole and what can be cut into columns are kernels of their own where a core does not hold both.
#[test]
fn losses_of_real_vocabularies() {
    for cols in [16_000, 50_257] {
        is_right(&format!(
            "graph loss {{
  param T = 3
  param V = {cols}
  input logits: f32[T, V]
  input label: i32[T, 1] < V
  kernel loss {{
    top = row_max(logits)
    total = row_sum(exp(logits - top))
    loss = log(total) + top - gather_cols(logits, label)
  }}
  output loss
}}
"
        ));
    }
}

/// An instruction does not look up elements of bf16, and adds f16 with a rounding each time.
#[test]
fn elements_and_sums_of_narrow_types() {
    is_right(
        "graph narrow {
  param T = 3
  param V = 1000
  param D = 19999
  input x: bf16[T, V]
  input i: i32[T, 8] < V
  input y: f16[T, D]
  kernel k {
    p = gather_cols(x, i)
  }
  kernel l {
    s = row_sum(y)
  }
  output p, s
}
",
    );
}

/// The last tile of a row is reduced in halves that start at blocks, or as it is.
#[test]
fn the_rest_of_a_row_is_reduced_in_halves() {
    is_right(
        "graph rest {
  param T = 2
  param V = 20864
  input x: f32[T, V]
  kernel k {
    tile V_TILE = 8192 over V
    m = row_max(x)
    s = row_sum(exp(x - m))
  }
  output m, s
}
",
    );
}
