//! What the search finds does not depend on the schedule that is written: none, tiles that are far too small, and good ones.

use crate::common;
use indexmap::IndexMap;
use tilewright::layer::Layer;
use tilewright::run::optimize;
use tilewright::written;

const PRODUCT: &str = "graph product {
  param M = 512
  param K = 2048
  param N = 11008
  input a: bf16[M, K]
  input b: bf16[N, K]
  kernel mm {
    {}
    y = matmul_nt(a, b)
  }
  output y
}";

const NORM: &str = "graph norm {
  param M = 64
  param N = 2047
  input x: bf16[M, N]
  input weight: bf16[N] ~ normal(1, 0.1)
  kernel norm {
    {}
    y = rms_norm(x, weight, eps = 1e-6)
  }
  output y
}";

const SOFTMAX: &str = "graph softmax {
  param M = 1024
  param N = 4096
  input x: bf16[M, N]
  kernel softmax {
    {}
    x_f32 = cast(x, to = f32)
    e = exp(x_f32 - row_max(x_f32))
    y = cast(e / row_sum(e), to = bf16)
  }
  output y
}";

/// The slowest of what is found from these schedules over the fastest.
fn apart(text: &str, schedules: [&str; 3]) -> f64 {
    let us = schedules.map(|schedule| {
        let text = text.replace("{}", schedule);
        let layer = Layer::parse("layer.tw", text.as_bytes()).unwrap_or_else(|e| panic!("{e:?}"));
        let graph = layer.graph(&IndexMap::new()).expect("a graph");
        let found = optimize(&graph, &common::options()).unwrap_or_else(|e| panic!("{e:?}"));
        found.report.optimized.us
    });
    us.iter().copied().fold(0.0, f64::max) / us.iter().copied().fold(f64::INFINITY, f64::min)
}

/// 11008 is 43 * 256: from columns of 688 no factor leads to 256.
#[test]
fn products_end_alike() {
    let schedules = [
        "",
        "tile R = 16 over M\n tile C = 688 over N per block\n tile I = 64 over K",
        "launch spmd\n tile R = 128 over M\n tile C = 256 over N per block\n tile I = 64 over K\n loop pipeline(2)",
    ];
    let apart = apart(PRODUCT, schedules);
    assert!(apart < 1.05, "{apart}");
}

/// Blocks of 16 columns are many for cube cores and do little each: few blocks of wide tiles are faster, alone and with a kernel that
/// reads the products.
#[test]
fn narrow_blocks_become_few() {
    let few = PRODUCT
        .replace("M = 512", "M = 16")
        .replace("N = 11008", "N = 4096")
        .replace("bf16", "i8");
    let grouped = "graph grouped {
  param M = 16
  param N = 256
  input a: i8[M, 256]
  input b: i8[N, 256]
  input s: f32[M, 2] ~ normal(0.01, 0.001)
  kernel mm {
    {}
    p = cast(matmul_nt(slice_cols(a, from = 0, to = 128), slice_cols(b, from = 0, to = 128)), to = f32)
    q = cast(matmul_nt(slice_cols(a, from = 128, to = 256), slice_cols(b, from = 128, to = 256)), to = f32)
    y = cast(p * slice_cols(s, from = 0, to = 1) + q * slice_cols(s, from = 1, to = 2), to = bf16)
  }
  output y
}";
    let narrow = "tile R = 16 over M\n tile C = 16 over N per block";
    let wide = "tile R = 16 over M\n tile C = 256 over N per block";
    for text in [few.as_str(), grouped] {
        let apart = apart(text, ["", narrow, wide]);
        assert!(apart < 1.05, "{apart}: {text}");
    }
}

/// 2047 columns have no even divisor.
#[test]
fn rows_end_alike() {
    let schedules = [
        "",
        "tile R = 1 over M\n tile C = 64 over N",
        "launch spmd\n tile R = 8 over M\n tile C = 1024 over N\n loop pipeline(2)",
    ];
    let apart = apart(NORM, schedules);
    assert!(apart < 1.05, "{apart}");
}

/// A core holds one row of 4096, and not sixteen: blocks of many rows have to come to take them one at a time.
#[test]
fn long_rows_end_alike() {
    let schedules = [
        "",
        "tile R = 16 over M\n tile C = 128 over N",
        "launch spmd\n tile R = 1 over M\n tile C = 4096 over N",
    ];
    let apart = apart(SOFTMAX, schedules);
    assert!(apart < 1.05, "{apart}");
}

/// More values than can be looked at from tiles of eight columns: the search starts from others, and says so. What it comes to can be
/// held.
#[test]
fn a_poor_start_is_left() {
    let layer = |tiles: &str| {
        let text = format!(
            "graph scales {{
  param T = 40
  param D = 1000
  input x: f32[T, D]
  kernel a {{
{tiles}
    low = row_min(x)
    high = row_max(x)
    scale = (high - low) / 255.0
    q = cast((x - low) / scale, to = i32)
    back = cast(q, to = f32) * scale + low
    off = row_sum((back - x) * (back - x))
  }}
  output low, high, scale, q, back, off
}}"
        );
        Layer::parse("layer.tw", text.as_bytes()).unwrap_or_else(|e| panic!("{e:?}"))
    };
    let found = |tiles: &str| {
        let layer = layer(tiles);
        let graph = layer.graph(&IndexMap::new()).expect("a graph");
        let found = optimize(&graph, &common::options()).unwrap_or_else(|e| panic!("{e:?}"));
        (layer, graph, found)
    };
    let poor = "    tile T_TILE = 40 over T\n    tile D_TILE = 8 over D";
    let (_, _, without) = found("");
    let (layer, graph, with) = found(poor);
    let apart = with.report.optimized.us / without.report.optimized.us;
    assert!(apart < 1.05, "{apart}");
    let note = "kernel `a` takes D_TILE = 1000: with D_TILE = 8 as written it takes far longer, so the search starts from this";
    assert!(
        with.report.tiles.iter().any(|t| t == note),
        "{:?}",
        with.report.tiles
    );
    // A tile that is pinned at what is written is reached from there.
    let mut pinned = common::options();
    pinned.pins = vec!["a.D_TILE=8".parse().expect("a pin")];
    let pinned = optimize(&graph, &pinned).unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(pinned.report.tiles, [""; 0]);
    let (_, differ) = written::layer(&layer, &graph, &with.compiled.optimized, &common::options())
        .unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(differ, [""; 0]);
}

/// The time of what is found for a layer of a row of so many columns.
fn of_a_row(columns: usize, lines: &str) -> (f64, f64) {
    let text = format!(
        "graph row {{
  param V = {columns}
  input x: f32[1, V]
  kernel row {{
{lines}
  }}
  output y
}}"
    );
    let layer = Layer::parse("layer.tw", text.as_bytes()).unwrap_or_else(|e| panic!("{e:?}"));
    let graph = layer.graph(&IndexMap::new()).expect("a graph");
    let found = optimize(&graph, &common::options()).unwrap_or_else(|e| panic!("{e:?}"));
    (found.report.written.us, found.report.optimized.us)
}

/// Of 32001 columns each power of two leaves one over, and the divisors are 3 and 10667; what is left of 50257 after wide chunks cannot
/// be halved.
#[test]
fn awkward_widths_cost_what_even_ones_do() {
    for (awkward, even) in [(32_001, 32_000), (50_257, 50_256)] {
        let of = |columns| of_a_row(columns, "    y = row_sum(x * x)").1;
        let apart = of(awkward) / of(even);
        assert!(apart < 1.2, "{awkward}: {apart}");
    }
}

/// A good schedule of a row with few divisors is not lost.
#[test]
fn nothing_is_slower_than_the_kernels_as_written() {
    let lines = "    tile X = 4096 over V\n    loop pipeline(2)\n    y = row_max(x)";
    let (written, optimized) = of_a_row(151_643, lines);
    assert!(optimized <= written, "{optimized} {written}");
}
