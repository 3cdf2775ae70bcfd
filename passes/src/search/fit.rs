//! Tiles that fit: of kernels without a schedule, and of those whose schedule asks for more than a core has.
//!
//! Whether a kernel fits, its program says: memory, fractals, transfers. So a kernel that is refused as written is tried with
//! smaller tiles, those that shrink least first.

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
    let mut caps: IndexMap<String, Cap> = IndexMap::new();
    let mut problem = build_within(graph, machine, &caps)?;
    for k in 0..problem.kernels.len() {
        let spec = &problem.kernels[k];
        if spec.exchange.is_some() || fits(&problem, k, machine) {
            continue;
        }
        for cap in smaller(spec) {
            let mut caps_now = caps.clone();
            caps_now.insert(spec.name.clone(), cap);
            let Ok(tried) = build_within(graph, machine, &caps_now) else {
                continue;
            };
            if fits(&tried, k, machine) {
                (caps, problem) = (caps_now, tried);
                break;
            }
        }
    }
    Ok(problem)
}

/// Whether a kernel as written becomes a program that its core can run.
fn fits(problem: &Problem, kernel: usize, machine: &Machine) -> bool {
    let alone = part(problem, &[kernel]);
    let options = SearchOptions {
        as_written: true,
        candidates: 1,
        ..SearchOptions::default()
    };
    let Ok(found) = optimize(&alone, machine, &options, &Pins::default()) else {
        return false;
    };
    let Ok(mut program) = lower(&found.plan, machine) else {
        return false;
    };
    let mut kernels = program.kernels.iter_mut();
    let held = kernels.all(|k| allocate(k, machine).is_ok() && check_capacity(k, machine).is_ok());
    held && verify(&program, machine).is_ok()
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
