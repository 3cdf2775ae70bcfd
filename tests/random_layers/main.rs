//! Random layers: both forms of each must give on the simulator what the interpreter gives, and nothing may panic.
//!
//! `cargo test` looks at the first of them. More, and from another seed, in release mode, with a table at the end and every
//! failure shrunk to a layer that can be pasted into a file:
//!
//! ```text
//! TILEWRIGHT_RANDOM_LAYERS=100000 TILEWRIGHT_RANDOM_SEED=1 cargo test --release --test random_layers -- --nocapture
//! ```
//!
//! A seed that is told of a layer is taken, too, so one layer of it is that one.
//!
//! The first few are compiled by this system's C++ compiler, too, and must give on the host what the simulator gives (`host`;
//! TILEWRIGHT_RANDOM_HOST=N for more).

mod condition;
mod generate;
mod host;
mod layer;
mod shrink;

#[path = "../common/mod.rs"]
mod common;

use indexmap::IndexMap;
use layer::Layer;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tilewright::compile::Options;
use tilewright::data::{self, Data, Source};
use tilewright::report::{Check, FormReport, Report};
use tilewright::run::run;
use tilewright_ir::graph::Graph;

/// Layers that a usual test run looks at.
const LAYERS: u64 = 200;

/// Kernels round more often than once.
const SLACK: f64 = 2.0;

/// Seeds that are told of each kind.
const SEEDS_TOLD: usize = 10;

/// What values around 1 may be off whatever is expected: where they cancel, their rounding is all that is left.
const ROUNDING: f64 = 1e-6;

/// What became of a layer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Right,
    /// By the code of the diagnostic.
    Refused(String),
    /// Of these outputs.
    Wrong(String),
    /// Kernels that the simulator refuses, or a pass that gives what its verifier refuses.
    Defect(String),
    Panic(String),
}

impl Verdict {
    /// What failures that are the same have in common.
    fn kind(&self) -> String {
        let text = match self {
            Verdict::Right => "right".into(),
            Verdict::Refused(code) => format!("refused: {code}"),
            Verdict::Wrong(_) => "wrong".into(),
            Verdict::Defect(what) => format!("defect: {what}"),
            Verdict::Panic(what) => format!("panic: {what}"),
        };
        let plain = text.replace(|c: char| c.is_ascii_digit(), "N");
        plain.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn is_failure(&self) -> bool {
        !matches!(self, Verdict::Right | Verdict::Refused(_))
    }
}

/// What is told of a layer that is right, and is no failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Notes {
    /// Whether the optimized form is slower in the simulator than the one as written.
    slower: bool,
    /// Whether the time of a form is more than a fifth off the predicted one.
    off: bool,
}

fn judge(layer: &Layer, options: &Options) -> Verdict {
    judge_with_notes(layer, options).0
}

fn judge_with_notes(layer: &Layer, options: &Options) -> (Verdict, Notes) {
    let text = layer.text();
    let mut notes = Notes::default();
    let judged = catch_unwind(AssertUnwindSafe(|| judge_text(&text, options, &mut notes)));
    let verdict = judged.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()));
        let words = words.unwrap_or_default();
        Verdict::Panic(words.chars().take(60).collect())
    });
    (verdict, notes)
}

/// Half of the largest value of every scalar.
fn half(graph: &Graph) -> IndexMap<String, i64> {
    let inputs = graph.inputs().into_iter();
    let scalars = inputs.filter(|v| graph.ty(*v).shape.is_empty());
    let half = |v| {
        let bound = graph.node(v).input.bound.unwrap_or(1);
        (bound - 1) / 2
    };
    scalars
        .map(|v| (graph.name(v).to_string(), half(v.node)))
        .collect()
}

fn judge_text(text: &str, options: &Options, notes: &mut Notes) -> Verdict {
    let refused = |e: &dyn miette::Diagnostic| {
        let code = e.code().map(|c| c.to_string()).unwrap_or_default();
        let words = e.to_string();
        match code.contains("defect") || code.contains("broken") || code.contains("refused") {
            true => {
                let cause =
                    std::iter::successors(Some(e as &dyn std::error::Error), |e| e.source());
                let last = cause.last().map(ToString::to_string).unwrap_or(words);
                Verdict::Defect(format!(
                    "{code} {}",
                    last.chars().take(150).collect::<String>()
                ))
            }
            false => Verdict::Refused(code),
        }
    };
    let graph = match tilewright::layer::Layer::parse("layer.tw", text.as_bytes())
        .and_then(|l| l.graph(&IndexMap::new()))
    {
        Ok(graph) => graph,
        Err(e) => return refused(&e),
    };
    let inputs = match data::inputs(&graph, &Source::Seed(7), &half(&graph)) {
        Ok(inputs) => inputs,
        Err(e) => return refused(&e),
    };
    match run(&graph, options, &Data::new(vec![inputs.clone()])) {
        Err(e) => refused(&e),
        Ok(ran) => {
            *notes = timed(&ran.report);
            let near = |c: &Check| c.comparison.max_abs <= ROUNDING;
            let off = ran
                .report
                .checks
                .iter()
                .filter(|c| !c.comparison.ok && !near(c));
            let mut off: Vec<&Check> = off.collect();
            if !off.is_empty() {
                let slack = condition::slack(&graph, &inputs);
                let most = |c: &Check| slack.get(&c.comparison.output).copied().unwrap_or(0.0);
                off.retain(|c| c.comparison.max_abs > SLACK * most(c));
            }
            let off: Vec<String> = off.iter().map(|c| format!("{c:?}")).collect();
            match off.is_empty() {
                true => Verdict::Right,
                false => Verdict::Wrong(off.join("\n")),
            }
        }
    }
}

/// What the times of a run tell.
fn timed(report: &Report) -> Notes {
    let off = |form: &FormReport| {
        let kernels = || form.kernels.iter();
        let predicted: f64 = kernels().map(|k| k.predicted.us).sum();
        let simulated = kernels().filter_map(|k| k.simulated.as_ref());
        let simulated: f64 = simulated.map(|s| s.us).sum();
        (simulated - predicted).abs() > 0.2 * predicted
    };
    Notes {
        slower: report.optimized.us > report.written.us * 1.001,
        off: off(&report.written) || off(&report.optimized),
    }
}

/// Steep enough for every rule, and quick.
fn quick() -> Options {
    let mut options = common::options();
    options.search.node_limit = 4_000;
    options.search.iter_limit = 8;
    options.search.candidates = 2;
    options
}

fn number(variable: &str, default: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(default, |text| text.parse().expect("a number"))
}

/// Of the layers to look at. What is told of a layer is its own seed, and begins with it.
fn first_seed() -> u64 {
    match number("TILEWRIGHT_RANDOM_SEED", 0) {
        few if few < 1 << 32 => few << 32,
        own => own,
    }
}

#[test]
fn random_layers_are_right() {
    let count = number("TILEWRIGHT_RANDOM_LAYERS", LAYERS);
    let first = first_seed();
    let options = quick();
    std::panic::set_hook(Box::new(|_| {}));
    let verdicts: Vec<(u64, Verdict, Notes)> = (first..first + count)
        .into_par_iter()
        .map(|seed| {
            let (verdict, notes) = judge_with_notes(&generate::layer(seed), &options);
            (seed, verdict, notes)
        })
        .collect();
    let mut kinds: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (seed, verdict, _) in &verdicts {
        kinds.entry(verdict.kind()).or_default().push(*seed);
    }
    let told = |what: &str, is: &dyn Fn(&Notes) -> bool| {
        let seeds = verdicts.iter().filter(|v| is(&v.2)).map(|v| v.0);
        let seeds: Vec<u64> = seeds.collect();
        let some = seeds
            .first()
            .map_or(String::new(), |s| format!("  (seed {s})"));
        println!("{:>7}  {what}{some}", seeds.len());
    };
    told("optimized is slower than written in the simulator", &|n| {
        n.slower
    });
    told("simulated more than 20 % off the predicted time", &|n| {
        n.off
    });
    for (kind, seeds) in &kinds {
        let some: Vec<String> = seeds.iter().take(SEEDS_TOLD).map(u64::to_string).collect();
        println!("{:>7}  {kind}  (seed {})", seeds.len(), some.join(", "));
    }
    // One of each kind of failure, as small as it gets.
    let mut failures = 0;
    for (kind, seeds) in &kinds {
        let seed = seeds[0];
        let whole = generate::layer(seed);
        let refusal = kind.starts_with("refused");
        let shown = refusal && std::env::var_os("TILEWRIGHT_RANDOM_REFUSED").is_some();
        if !shown && !judge(&whole, &options).is_failure() {
            continue;
        }
        failures += usize::from(!refusal);
        let small = shrink::shrink(whole, |l| judge(l, &options).kind() == *kind);
        println!(
            "--- {kind}, of seed {seed}:\n{}{:?}",
            small.text(),
            judge(&small, &options)
        );
    }
    let _ = std::panic::take_hook();
    let right = kinds.get("right").map_or(0, Vec::len) as u64;
    assert_eq!(failures, 0, "kinds of failures; see above");
    assert!(right * 100 >= count * 90, "{right} of {count} are right");
}
