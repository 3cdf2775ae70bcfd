//! What each part of the search is worth: the layer as written, hill climbing, and the e-graph with fewer and more rules.
//!
//! `cargo bench --bench ablation` prints a markdown table; `docs/benchmarks.md` holds one and says what the columns mean.

// Not every benchmark uses all that they share.
#[allow(dead_code)]
mod common;

use common::{Result, gate, head, machine, row};
use indexmap::IndexMap;
use std::time::Instant;
use tilewright::layer::Layer;
use tilewright_ir::graph::Graph;
use tilewright_ir::machine::Machine;
use tilewright_passes::decompose::decompose;
use tilewright_passes::egraph::saturate::SearchOptions;
use tilewright_passes::optimize::optimize;
use tilewright_passes::pins::Pins;
use tilewright_passes::problem::{self, Problem};
use tilewright_passes::prune::prune;

/// Set: hill climbing runs on every layer. Each plan that it looks at fills an e-graph anew, which takes minutes for several
/// kernels; otherwise only layers of one kernel are climbed.
const CLIMB: &str = "TILEWRIGHT_BENCH_CLIMB";

/// Layers: a name, and sizes of the gate front; nothing stands for `examples/rms_norm.tw`.
type Case = (&'static str, Option<&'static [(&'static str, i64)]>);

const CASES: &[Case] = &[
    ("rms_norm", None),
    ("gate front", Some(&[])),
    ("gate front, hash routing", Some(&[("layer_id", 0)])),
    ("gate front, D=2048", Some(&[("D", 2048)])),
    ("gate front, N_EXPERTS=32", Some(&[("N_EXPERTS", 32)])),
];

/// Rules of loops, blocks and launches.
const SCHEDULE: [&str; 11] = [
    "widen-tile",
    "narrow-tile",
    "widen-sum",
    "narrow-sum",
    "widen-k",
    "narrow-k",
    "pipeline-loop",
    "parallel-to-spmd",
    "split-rows",
    "join-rows",
    "fan-out-columns",
];

fn main() -> Result<()> {
    let columns = ["layer", "search", "predicted us", "s", "plans tried"];
    println!("{}", head(&columns));
    let machine = machine()?;
    for (name, settings) in CASES {
        let graph = match settings {
            Some(settings) => gate(settings)?,
            None => norm()?,
        };
        let problem = problem::build(&prune(&decompose(&graph)?))?;
        let whole = SearchOptions::default();
        let written = SearchOptions {
            as_written: true,
            ..whole.clone()
        };
        let algebra = SearchOptions {
            disabled: SCHEDULE.map(String::from).into(),
            ..whole.clone()
        };
        let apart = SearchOptions {
            disabled: ["fuse".to_string()].into(),
            ..whole.clone()
        };
        let print = |search: &str, us: Option<f64>, seconds: f64, tried: usize| {
            let us = us.map_or("refused".into(), |us| format!("{us:.2}"));
            let seconds = format!("{seconds:.2}");
            let cells = [*name, search, &us, &seconds, &tried.to_string()];
            println!("{}", row(&cells.map(String::from)));
        };
        let once = |options: &SearchOptions| {
            let start = Instant::now();
            let us = cost(&problem, &machine, options, &Pins::default());
            (us, start.elapsed().as_secs_f64())
        };
        let (us, seconds) = once(&written);
        print("as written", us, seconds, 1);
        if problem.kernels.len() == 1 || std::env::var_os(CLIMB).is_some() {
            let start = Instant::now();
            let (us, tried) = climb(&problem, &machine);
            print("hill climbing", us, start.elapsed().as_secs_f64(), tried);
        }
        for (search, options) in [
            ("e-graph, no schedule rules", &algebra),
            ("e-graph, without `fuse`", &apart),
            ("e-graph", &whole),
        ] {
            let (us, seconds) = once(options);
            print(search, us, seconds, 1);
        }
    }
    Ok(())
}

fn norm() -> Result<Graph> {
    let layer = Layer::parse("rms_norm.tw", include_bytes!("../examples/rms_norm.tw"))?;
    Ok(layer.graph(&IndexMap::new())?)
}

/// The predicted time of the best plan, if there is one.
fn cost(problem: &Problem, machine: &Machine, options: &SearchOptions, pins: &Pins) -> Option<f64> {
    let found = optimize(problem, machine, options, pins).ok()?;
    Some(found.estimates.iter().map(|e| e.us).sum())
}

/// From the schedule as written, changes one parameter of one kernel at a time and keeps what gains, until nothing does.
/// Returns the predicted time, and how many plans it looked at.
fn climb(problem: &Problem, machine: &Machine) -> (Option<f64>, usize) {
    let options = SearchOptions::default();
    let mut state: IndexMap<String, String> = IndexMap::new();
    let price = |state: &IndexMap<String, String>| {
        let texts: Vec<String> = state.iter().map(|(p, v)| format!("{p}={v}")).collect();
        let pins = Pins::parse(&texts, problem).ok()?;
        cost(problem, machine, &options, &Pins { hold: true, ..pins })
    };
    // All that is not pinned is held, so without pins this is the schedule as written.
    let (mut best, mut tried) = (price(&state), 1);
    loop {
        let before = best;
        for (param, value) in moves(problem, &state) {
            let mut next = state.clone();
            next.insert(param, value);
            let us = price(&next);
            tried += 1;
            if us.is_some_and(|us| best.is_none_or(|b| us < b - 1e-6)) {
                (state, best) = (next, us);
            }
        }
        if best == before {
            return (best, tried);
        }
    }
}

/// Changes of one parameter: another launch, depth, place of padding, number of blocks or parts, other reads, and tiles
/// of half and double size.
fn moves(problem: &Problem, state: &IndexMap<String, String>) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = vec![];
    let mut earlier: Vec<&str> = vec![];
    for spec in &problem.kernels {
        let mut add = |param: &str, value: String| {
            let param = format!("{}.{param}", spec.region);
            if state.get(&param) != Some(&value) {
                out.push((param, value));
            }
        };
        add("launch", "spmd".into());
        for depth in [2, 3] {
            add("pipeline", depth.to_string());
        }
        if spec.stores.iter().any(|s| s.is_padded()) {
            add("pad", "hoisted".into());
        }
        for blocks in [8, 16, 32] {
            add("blocks", blocks.to_string());
        }
        if spec.unit == tilewright_ir::kernel::Unit::Cube {
            for parts in [2, 4, 8] {
                add("split_k", parts.to_string());
            }
        }
        for read in earlier.iter().filter(|_| !spec.reads.is_empty()) {
            add("reads", read.to_string());
        }
        let reduce = spec.reduces.first().map_or(1, |r| r.seed.chunk);
        for (tile, written) in [
            (Some(&spec.names.rows), spec.block_rows),
            (spec.names.cols.as_ref(), spec.cols_tile),
            (spec.names.reduce.as_ref(), reduce),
        ] {
            let Some(tile) = tile else { continue };
            let param = format!("{}.{tile}", spec.region);
            let now = state.get(&param).and_then(|v| v.parse().ok());
            let now: usize = now.unwrap_or(written);
            add(tile, (now * 2).to_string());
            if now > 1 {
                add(tile, (now / 2).to_string());
            }
        }
        earlier.extend(spec.stores.iter().map(|s| s.name.as_str()));
    }
    out
}
