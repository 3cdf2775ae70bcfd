//! Whether the result depends on the schedule that the search starts from: layers as nobody has scheduled them, from tiles that are far
//! too small, and from tiles that are good.
//!
//! `cargo bench --bench starts` prints a markdown table; `docs/benchmarks.md` holds one and says what the columns mean.

// Not every benchmark uses all that they share.
#[allow(dead_code)]
mod common;

use common::{Result, head, machine, row};
use indexmap::IndexMap;
use std::time::Instant;
use tilewright::compile::Options;
use tilewright::layer::Layer;
use tilewright::run::optimize;
use tilewright_ir::machine::Machine;

/// A product; `{}` is the schedule.
const PRODUCT: &str = "graph product {
  param M = 1
  param K = 1
  param N = 1
  input a: TYPE[M, K]
  input b: TYPE[N, K]
  kernel mm {
    {}
    y = matmul_nt(a, b)
  }
  output y
}";

const SOFTMAX: &str = "graph softmax {
  param M = 1
  param N = 1
  input x: TYPE[M, N]
  kernel softmax {
    {}
    x_f32 = cast(x, to = f32)
    e = exp(x_f32 - row_max(x_f32))
    y = cast(e / row_sum(e), to = bf16)
  }
  output y
}";

const NORM: &str = "graph norm {
  param M = 1
  param N = 1
  input x: TYPE[M, N]
  input weight: TYPE[N] ~ normal(1, 0.1)
  kernel norm {
    {}
    y = rms_norm(x, weight, eps = 1e-6)
  }
  output y
}";

/// Schedules of products: none, far too small, and good.
const OF_PRODUCTS: [&str; 3] = [
    "",
    "tile R = 16 over M\n tile C = 16 over N per block\n tile I = 64 over K",
    "launch spmd\n tile R = 128 over M\n tile C = 256 over N per block\n tile I = 64 over K\n loop pipeline(2)",
];

/// Those of rows.
const OF_ROWS: [&str; 3] = [
    "",
    "tile R = 1 over M\n tile C = 64 over N",
    "launch spmd\n tile R = 8 over M\n tile C = 1024 over N\n loop pipeline(2)",
];

/// Rows and columns, and the inner axis of products.
const PRODUCTS: [[i64; 3]; 8] = [
    [1536, 1536, 1536],
    [4096, 4096, 4096],
    [6144, 6144, 6144],
    [8, 7168, 7168],
    [16, 2048, 4096],
    [512, 2048, 11008],
    [2000, 3008, 5000],
    [1024, 1408, 2880],
];
const ROWS: [[i64; 2]; 7] = [
    [8, 4096],
    [32, 32768],
    [64, 2047],
    [2047, 2047],
    [4096, 4096],
    [11008, 128],
    [1000, 1536],
];

fn main() -> Result<()> {
    let machine = machine()?.started_by("cann")?;
    println!(
        "{}",
        head(&[
            "layer",
            "no schedule us",
            "poor us",
            "good us",
            "apart",
            "longest s"
        ])
    );
    let mut worst: f64 = 1.0;
    for (name, dtype) in [("bf16", "bf16"), ("int8", "i8")] {
        for [m, k, n] in PRODUCTS {
            let text = PRODUCT.replace("TYPE", dtype);
            let sizes = [("M", m), ("K", k), ("N", n)];
            let what = format!("product {name} {m} x {k} x {n}");
            worst = worst.max(starts(&what, &text, &sizes, &OF_PRODUCTS, &machine)?);
        }
    }
    for (name, text) in [("softmax", SOFTMAX), ("norm", NORM)] {
        for [m, n] in ROWS {
            let text = text.replace("TYPE", "bf16");
            let what = format!("{name} {m} x {n}");
            worst = worst.max(starts(
                &what,
                &text,
                &[("M", m), ("N", n)],
                &OF_ROWS,
                &machine,
            )?);
        }
    }
    println!("\nthe most that results of one layer are apart: {worst:.3}");
    Ok(())
}

/// Prints the row of a layer; how far the results are apart.
fn starts(
    name: &str,
    text: &str,
    sizes: &[(&str, i64)],
    schedules: &[&str; 3],
    machine: &Machine,
) -> Result<f64> {
    let sizes: IndexMap<String, i64> = sizes.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    let (mut times, mut longest) = (vec![], 0.0f64);
    for schedule in schedules {
        let layer = Layer::parse("layer.tw", text.replace("{}", schedule).as_bytes())?;
        let graph = layer.graph(&sizes)?;
        let start = Instant::now();
        let outcome = optimize(&graph, &Options::new(machine.clone()))?;
        longest = longest.max(start.elapsed().as_secs_f64());
        times.push(outcome.report.optimized.us);
    }
    let least = times.iter().copied().fold(f64::INFINITY, f64::min);
    let apart = times.iter().copied().fold(0.0, f64::max) / least;
    let mut cells = vec![name.to_owned()];
    cells.extend(times.iter().map(|us| format!("{us:.2}")));
    cells.extend([format!("{apart:.3}"), format!("{longest:.2}")]);
    println!("{}", row(&cells));
    Ok(apart)
}
