//! Tiles to begin with: of kernels without a schedule, and of those whose schedule asks for more than a core has.
//!
//! Whether a kernel fits, its program says: memory, fractals, transfers. So a kernel that is refused as written is tried with
//! smaller tiles, those that shrink least first. A search leaves tiles that are far too slow, too.

use crate::cost::{CostModel, Scoreboard};
use crate::egraph::SearchOptions;
use crate::kernel::allocate::allocate;
use crate::lower::lower;
use crate::problem::{Cap, KernelSpec, Problem, ProblemError, build_within};
use crate::search::layer::segments::part;
use crate::search::optimize;
use crate::search::pins::Pins;
use indexmap::IndexMap;
use tilewright_ir::graph::Graph;
use tilewright_ir::kernel::{check_capacity, verify};
use tilewright_ir::machine::Machine;

/// Builds the problem of a graph with tiles that fit, where there are some.
///
/// # Errors
///
/// What is wrong with a schedule whatever its tiles.
pub fn fitted(graph: &Graph, machine: &Machine) -> Result<Problem, ProblemError> {
    fitted_within(graph, machine, IndexMap::new())
}

/// As [`fitted`], for a search. What it reaches from tiles that are far from good is limited by how much it may look at, so kernels of
/// which that `may` be start from the tiles of a kernel without a schedule, where these are much faster than those as written.
///
/// # Errors
///
/// What is wrong with a schedule whatever its tiles.
pub fn start(
    graph: &Graph,
    machine: &Machine,
    cost: &dyn CostModel,
    may: impl Fn(&KernelSpec) -> bool,
) -> Result<Problem, ProblemError> {
    let problem = fitted(graph, machine)?;
    let tiled = |spec: &&KernelSpec| {
        let region = graph.regions.iter().find(|r| r.name == spec.region);
        let schedule = region.and_then(|r| r.schedule.as_ref());
        spec.exchange.is_none() && schedule.is_some_and(|s| !s.tiles.is_empty()) && may(spec)
    };
    let all: IndexMap<String, Cap> = (problem.kernels.iter().filter(tiled))
        .map(|spec| {
            let anew = Cap {
                anew: true,
                ..Cap::default()
            };
            (spec.name.clone(), anew)
        })
        .collect();
    if all.is_empty() {
        return Ok(problem);
    }
    let Ok(other) = fitted_within(graph, machine, all.clone()) else {
        return Ok(problem);
    };
    let us = |problem: &Problem, name: &str| {
        let kernel = problem.kernels.iter().position(|k| k.name == name)?;
        written_us(problem, kernel, machine, cost)
    };
    let mut faster = all;
    faster.retain(|name, _| {
        let times = us(&problem, name).zip(us(&other, name));
        times.is_some_and(|(written, anew)| written > SLOW * anew)
    });
    match faster.is_empty() {
        true => Ok(problem),
        false => fitted_within(graph, machine, faster),
    }
}

/// How many times as long as without a schedule a kernel takes as written that is too far from what is good.
const SLOW: f64 = 8.0;

fn fitted_within(
    graph: &Graph,
    machine: &Machine,
    mut caps: IndexMap<String, Cap>,
) -> Result<Problem, ProblemError> {
    let mut problem = build_within(graph, machine, &caps)?;
    for k in 0..problem.kernels.len() {
        let spec = &problem.kernels[k];
        if spec.exchange.is_some() || written_us(&problem, k, machine, &Scoreboard).is_some() {
            continue;
        }
        let name = spec.name.clone();
        let anew = caps.get(&name).is_some_and(|c| c.anew);
        for cap in smaller(spec) {
            let mut caps_now = caps.clone();
            caps_now.insert(name.clone(), Cap { anew, ..cap });
            let Ok(tried) = build_within(graph, machine, &caps_now) else {
                continue;
            };
            if written_us(&tried, k, machine, &Scoreboard).is_some() {
                (caps, problem) = (caps_now, tried);
                break;
            }
        }
    }
    Ok(problem)
}

/// What a kernel as written takes; none where it is no program that its core can run.
fn written_us(
    problem: &Problem,
    kernel: usize,
    machine: &Machine,
    cost: &dyn CostModel,
) -> Option<f64> {
    let alone = part(problem, &[kernel]);
    let options = SearchOptions {
        as_written: true,
        candidates: 1,
        ..SearchOptions::default()
    };
    let found = optimize(&alone, machine, &options, &Pins::default()).ok()?;
    let mut program = lower(&found.plan, machine).ok()?;
    let mut us = 0.0;
    for k in &mut program.kernels {
        allocate(k, machine).ok()?;
        check_capacity(k, machine).ok()?;
        us += cost.estimate(k, machine).us;
    }
    verify(&program, machine).ok().map(|()| us)
}

/// Columns and elements of a chunk below which no tile is tried.
const LEAST: usize = 8;
/// How often the rows of a block are doubled.
const ROWS: usize = 10;

/// Smaller tiles, those that shrink least first; of these, columns before rows, and rows before chunks.
fn smaller(spec: &KernelSpec) -> Vec<Cap> {
    let chunk = spec.reduces.iter().map(|r| r.seed.chunk).max().unwrap_or(1);
    let halvings = |size: usize, least: usize| 0..=(size / least).max(1).ilog2();
    let mut out = vec![];
    for rows in halvings(spec.block_rows, 1) {
        for cols in halvings(spec.cols_tile, LEAST) {
            for inner in halvings(chunk, LEAST) {
                let cap = Cap {
                    least_rows: 1,
                    anew: false,
                    rows: spec.block_rows >> rows,
                    cols: spec.cols_tile >> cols,
                    chunk: chunk >> inner,
                };
                out.push(((rows + cols + inner, rows + inner, inner), cap));
            }
        }
    }
    out.sort_by_key(|(order, _)| *order);
    // The first is the kernel as it is. Where nothing smaller fits, there may be too many blocks: more rows are fewer.
    let smaller = out.into_iter().skip(1).map(|(_, cap)| cap);
    let larger = (1..=ROWS).map(|up| Cap {
        least_rows: spec.block_rows << up,
        ..Cap::default()
    });
    smaller.chain(larger).collect()
}
