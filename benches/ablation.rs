//! What each part of the search is worth: the layer as written, a greedy pass, hill climbing, and the e-graph with fewer and
//! more rules.
//!
//! `cargo bench --bench ablation` prints a markdown table; `docs/benchmarks.md` holds one and says what the columns mean.

// Not every benchmark uses all that they share.
#[allow(dead_code)]
mod common;

use common::{Result, head, machine, row};
use indexmap::IndexMap;
use std::time::Instant;
use tilewright::layer::Layer;
use tilewright_ir::graph::Graph;
use tilewright_ir::machine::Machine;
use tilewright_passes::decompose::decompose;
use tilewright_passes::egraph::SearchOptions;
use tilewright_passes::problem::{self, Problem};
use tilewright_passes::prune::prune;
use tilewright_passes::search::optimize;
use tilewright_passes::search::pins::{Pin, PinError, Pins};

/// Set: hill climbing runs on every layer until nothing gains. Each plan that it looks at fills an e-graph anew, which takes
/// minutes for several kernels; otherwise only layers of one kernel are climbed, and of others one round is a greedy pass.
const CLIMB: &str = "TILEWRIGHT_BENCH_CLIMB";

/// Layers: a name, a file in `examples/`, and sizes.
type Case = (&'static str, &'static str, &'static [(&'static str, i64)]);

const CASES: &[Case] = &[
    ("rms_norm", "rms_norm", &[]),
    ("gate front", GATE, &[]),
    ("gate front, hash routing", GATE, &[("layer_id", 0)]),
    ("gate front, D=2048", GATE, &[("D", 2048)]),
    ("gate front, N_EXPERTS=32", GATE, &[("N_EXPERTS", 32)]),
    ("shared expert", "dsv4_shared_expert", &[]),
    ("routed experts", "dsv4_routed_experts", &[]),
    ("hyper-connections", "dsv4_hc", &[]),
    ("MoE layer", "dsv4_flash_moe", &[]),
    ("Pro MoE layer", "dsv4_pro_moe", &[]),
];

/// A greedy pass fills an e-graph for every value of every parameter: layers of more kernels would take hours.
const PASSED: usize = 12;

const GATE: &str = "dsv4_flash_gate";

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
    for (name, file, settings) in CASES {
        let graph = example(file, settings)?;
        let problem = problem::build(&prune(&decompose(&graph)?), &machine)?;
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
        if problem.kernels.len() <= PASSED {
            let start = Instant::now();
            let (us, tried) = climb(&problem, &machine, 1);
            print("greedy pass", us, start.elapsed().as_secs_f64(), tried);
        }
        if problem.kernels.len() == 1 || std::env::var_os(CLIMB).is_some() {
            let start = Instant::now();
            let (us, tried) = climb(&problem, &machine, usize::MAX);
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

fn example(file: &str, settings: &[(&str, i64)]) -> Result<Graph> {
    let path = format!("{}/examples/{file}.tw", env!("CARGO_MANIFEST_DIR"));
    let layer = Layer::load(path.as_ref())?;
    let settings: IndexMap<String, i64> =
        settings.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    Ok(layer.graph(&settings)?)
}

/// The predicted time of the best plan, if there is one.
fn cost(problem: &Problem, machine: &Machine, options: &SearchOptions, pins: &Pins) -> Option<f64> {
    let found = optimize(problem, machine, options, pins).ok()?;
    Some(found.estimates.iter().map(|e| e.us).sum())
}

/// From the schedule as written, changes one parameter of one kernel at a time and keeps what gains, until nothing does or so
/// many rounds are over. Returns the predicted time, and how many plans it looked at.
fn climb(problem: &Problem, machine: &Machine, rounds: usize) -> (Option<f64>, usize) {
    let options = SearchOptions::default();
    let mut state: IndexMap<String, String> = IndexMap::new();
    let price = |state: &IndexMap<String, String>| {
        let pins = state.iter().map(|(p, v)| format!("{p}={v}").parse());
        let pins: Vec<Pin> = pins.collect::<std::result::Result<_, PinError>>().ok()?;
        let pins = Pins::check(&pins, problem).ok()?;
        cost(problem, machine, &options, &Pins { hold: true, ..pins })
    };
    // All that is not pinned is held, so without pins this is the schedule as written.
    let (mut best, mut tried) = (price(&state), 1);
    for _ in 0..rounds {
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
            break;
        }
    }
    (best, tried)
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
