//! Products of several tiles a block: the next tile adds up while one is stored, and the left operand stays on chip for all of them.

use crate::common::options;
use indexmap::IndexMap;
use tilewright::compile::Options;
use tilewright::data::{Data, Source, inputs};
use tilewright::form::Form;
use tilewright::layer::Layer;
use tilewright::run::{compile_form, optimize, run};
use tilewright_ir::graph::Graph;
use tilewright_ir::kernel::{Cond, Instr, Kernel, Space, Stmt};

const PRODUCT: &str = "graph product {
  param M = 128
  param K = 1024
  param N = 256
  input a: TYPE[M, K]
  input b: SHAPE
  kernel mm {
    y = CALL(a, b)
  }
  output y
}";

fn product(dtype: &str, turned: bool, sizes: &[(&str, i64)]) -> Graph {
    let (call, shape) = match turned {
        true => ("matmul_nn", "TYPE[K, N]"),
        false => ("matmul_nt", "TYPE[N, K]"),
    };
    let text = PRODUCT.replace("CALL", call).replace("SHAPE", shape);
    let text = text.replace("TYPE", dtype);
    let layer = Layer::parse("product.tw", text.as_bytes()).expect("a layer");
    let sizes: IndexMap<String, i64> = sizes.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    layer.graph(&sizes).expect("it has these sizes")
}

fn pinned(pins: &[&str]) -> Options {
    let mut options = options();
    // What is pinned stays so.
    let pins = pins
        .iter()
        .chain(["mm.refine=false"].iter().filter(|_| !pins.is_empty()));
    options.pins = pins.map(|p| p.parse().expect("a pin")).collect();
    options.search.candidates = 1;
    options
}

/// Checks the outputs, and that the model is at most so far off what the simulator finds. The kernel.
fn checked(graph: &Graph, options: &Options, most: f64) -> Kernel {
    let data = inputs(graph, &Source::Seed(7), &IndexMap::new()).expect("inputs are made");
    let outcome = run(graph, options, &Data::new(vec![data])).expect("it runs");
    assert!(outcome.report.ok);
    for k in &outcome.report.optimized.kernels {
        let simulated = k.simulated.as_ref().map_or(0.0, |s| s.us);
        let off = (k.predicted.us / simulated - 1.0).abs();
        assert!(off < most, "{}: {} {simulated}", k.name, k.predicted.us);
    }
    let compiled = compile_form(graph, Form::Optimized, options).expect("it compiles");
    compiled.program.kernels[0].clone()
}

/// Slots of the tiles of this name.
fn slots(kernel: &Kernel, name: &str) -> usize {
    let found = kernel.tiles.iter().find(|t| t.name == name);
    found.map_or(0, |t| t.slots)
}

/// Loads that only the first tile of columns does.
fn once(body: &[Stmt]) -> usize {
    let loads = |b: &[Stmt]| {
        let load = |s: &&Stmt| matches!(s, Stmt::Instr(Instr::Load { .. }));
        b.iter().filter(load).count()
    };
    let all = body.iter().map(|s| match s {
        Stmt::Loop { body, .. } => once(body),
        Stmt::If {
            cond: Cond::First(_),
            then,
            ..
        } => loads(then),
        Stmt::If {
            then, otherwise, ..
        } => once(then) + once(otherwise),
        _ => 0,
    });
    all.sum()
}

/// Four tiles a block; whole ones, and with some columns left.
#[test]
fn a_left_operand_stays_for_all_tiles() {
    for (dtype, turned, n) in [
        ("bf16", false, 256),
        ("i8", false, 256),
        ("bf16", true, 256),
        ("bf16", false, 254),
    ] {
        let graph = product(dtype, turned, &[("N", n)]);
        let pins = ["mm.grid=64x64x1", "mm.stores=4x2", "mm.reduces=4x2x1x1"];
        // The model takes what is left of columns for a tile like the others; it loads all of its operands.
        let most = if n == 256 { 0.05 } else { 0.2 };
        let kernel = checked(&graph, &pinned(&pins), most);
        assert_eq!(slots(&kernel, "acc"), 2, "{dtype} {n}");
        assert_eq!(slots(&kernel, "a_kept"), 4, "{dtype} {n}");
        assert_eq!(slots(&kernel, "a_l1"), 0, "{dtype} {n}");
        assert_eq!(once(&kernel.body), 1, "{dtype} {n}");
    }
}

/// Where L1 has no room for all of it, a part of each trip stays.
#[test]
fn a_part_of_a_left_operand_stays() {
    let graph = product("bf16", false, &[]);
    let mut options = pinned(&["mm.grid=64x64x1", "mm.stores=4x1", "mm.reduces=4x2x4x1"]);
    let l1 = options.machine.capacity.get_mut(&Space::L1);
    l1.expect("there is L1").value = f64::from(144 << 10);
    let kernel = checked(&graph, &options, 0.05);
    let width = |name: &str| {
        let found = kernel.tiles.iter().find(|t| t.name == name);
        found.map_or(0, |t| t.cols)
    };
    assert_eq!((width("a_kept"), width("a_l1")), (64, 192));
    assert_eq!(slots(&kernel, "acc"), 1);
}

/// From no schedule, a product whose tiles are stored about as long as they add up.
#[test]
fn the_search_takes_what_overlaps() {
    let graph = product("i8", false, &[("M", 1536), ("K", 1536), ("N", 1536)]);
    let us = |disabled: &[&str]| {
        let mut options = pinned(&[]);
        options.machine = options.machine.started_by("cann").expect("a runtime");
        options.search.disabled = disabled.iter().map(|r| r.to_string()).collect();
        let found = optimize(&graph, &options).expect("it is found");
        found.report.optimized.us
    };
    let (all, none) = (us(&[]), us(&["keep-left", "keep-left-part"]));
    assert!(all < 0.97 * none, "{all} {none}");
    assert!(all < 23.0, "{all}");
}
