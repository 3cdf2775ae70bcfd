//! How long the optimizer takes, and how large its e-graph is, from one kernel to the gate front at several sizes.
//!
//! `cargo bench --bench search` prints a markdown table; `docs/benchmarks.md` holds one and says what the columns mean. Every
//! case runs in a process of its own, since the memory that a process has used at its peak never falls.

mod common;

use common::{Result, gate, head, machine, row, timed};
use std::process::Command;
use tilewright::compile::{Options, compile};
use tilewright::form::Form;
use tilewright_ir::graph::Graph;
use tilewright_passes::decompose::decompose;
use tilewright_passes::egraph::Stop;
use tilewright_passes::egraph::saturate::saturate;
use tilewright_passes::problem;
use tilewright_passes::prune::prune;
use tilewright_passes::search::pins::Pins;
use tilewright_passes::search::{Optimized, optimize};

/// Names the case that a child process measures.
const CASE: &str = "TILEWRIGHT_BENCH_CASE";

/// A layer to search.
struct Case {
    name: &'static str,
    settings: &'static [(&'static str, i64)],
    /// What the layer returns; nothing stands for all of its outputs. What no output needs is pruned.
    outputs: &'static [&'static str],
    /// Optional rules that run.
    disabled: &'static [&'static str],
}

/// The gate front at its default sizes.
const FRONT: Case = Case {
    name: "gate front",
    settings: &[],
    outputs: &[],
    disabled: &[],
};

const CASES: &[Case] = &[
    Case {
        name: "ffn_norm",
        outputs: &["x_norm"],
        ..FRONT
    },
    Case {
        name: "ffn_norm, x_norm_quant",
        outputs: &["x_norm", "x_norm_i8", "x_norm_scale"],
        ..FRONT
    },
    Case {
        name: "ffn_norm, gate",
        outputs: &["x_norm", "biased_pad"],
        ..FRONT
    },
    FRONT,
    Case {
        name: "gate front, without `fuse`",
        disabled: &["fuse"],
        ..FRONT
    },
    Case {
        name: "gate front, hash routing",
        settings: &[("layer_id", 0)],
        ..FRONT
    },
    Case {
        name: "gate front, N_EXPERTS=256",
        settings: &[("N_EXPERTS", 256)],
        ..FRONT
    },
    Case {
        name: "gate front, D=7168",
        settings: &[("D", 7168)],
        ..FRONT
    },
    Case {
        name: "gate front, N_EXPERTS=384 D=7168 SORT_COLS=512",
        settings: &[("N_EXPERTS", 384), ("D", 7168), ("SORT_COLS", 512)],
        ..FRONT
    },
    Case {
        name: "gate front, T=128",
        settings: &[("T", 128)],
        ..FRONT
    },
    Case {
        name: "gate front, T=128 N_EXPERTS=256",
        settings: &[("T", 128), ("N_EXPERTS", 256)],
        ..FRONT
    },
    Case {
        name: "gate front, T=128 N_EXPERTS=256 D=7168",
        settings: &[("T", 128), ("N_EXPERTS", 256), ("D", 7168)],
        ..FRONT
    },
];

const COLUMNS: [&str; 10] = [
    "layer",
    "e-nodes",
    "classes",
    "iterations",
    "saturate s",
    "extract s",
    "all s",
    "peak MB",
    "written us",
    "optimized us",
];

fn main() -> Result<()> {
    if let Ok(case) = std::env::var(CASE) {
        let case = case.parse::<usize>().ok().and_then(|i| CASES.get(i));
        println!("{}", measure(case.ok_or("there is no such case")?)?);
        return Ok(());
    }
    println!("{}", head(&COLUMNS));
    for (index, case) in CASES.iter().enumerate() {
        let child = Command::new(std::env::current_exe()?)
            .env(CASE, index.to_string())
            .output()?;
        match child.status.success() {
            true => print!("{}", String::from_utf8_lossy(&child.stdout)),
            false => {
                let why = String::from_utf8_lossy(&child.stderr).into_owned();
                return Err(format!("{}: {why}", case.name).into());
            }
        }
    }
    Ok(())
}

/// The layer with the outputs of the case.
fn graph(case: &Case) -> Result<Graph> {
    let mut graph = gate(case.settings)?;
    if !case.outputs.is_empty() {
        graph.outputs = case
            .outputs
            .iter()
            .map(|n| graph.find(n).ok_or_else(|| format!("there is no `{n}`")))
            .collect::<std::result::Result<_, _>>()?;
    }
    Ok(graph)
}

/// Searches a layer; a row of the table. A form that is refused has no figures.
fn measure(case: &Case) -> Result<String> {
    let graph = graph(case)?;
    let mut options = Options::new(machine()?);
    options.search.disabled = case.disabled.iter().map(|r| r.to_string()).collect();
    let predicted = |form: Form| match compile(&graph, form, &options) {
        Ok(run) => format!("{:.2}", run.plan.iter().map(|o| us(o)).sum::<f64>()),
        Err(_) => "refused".into(),
    };
    let problem = problem::build(&prune(&decompose(&graph)?), &options.machine)?;
    let (filled, saturated) =
        timed(|| Ok(saturate(&problem, &options.machine, &options.search)?.report))?;
    let (_, all) = timed(|| {
        let pins = Pins::default();
        Ok(optimize(
            &problem,
            &options.machine,
            &options.search,
            &pins,
        )?)
    })?;
    let peak = peak_megabytes();
    let mut name = case.name.to_string();
    if filled.stop != Stop::Saturated {
        name.push_str(" (not saturated)");
    }
    Ok(row(&[
        name,
        filled.nodes.to_string(),
        filled.classes.to_string(),
        filled.iterations.to_string(),
        format!("{saturated:.2}"),
        format!("{:.2}", (all - saturated).max(0.0)),
        format!("{all:.2}"),
        peak.map_or("-".into(), |mb| format!("{mb:.0}")),
        predicted(Form::Written),
        predicted(Form::Optimized),
    ]))
}

fn us(found: &Optimized) -> f64 {
    found.estimates.iter().map(|e| e.us).sum()
}

/// The most memory that this process has held, where the system tells (Linux).
fn peak_megabytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}
