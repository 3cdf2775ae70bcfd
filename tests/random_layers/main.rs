//! Random layers: both forms of each must give on the simulator what the interpreter gives, and nothing may panic.
//!
//! `cargo test` looks at the first of them. More, and from another seed, in release mode, with a table at the end and every
//! failure shrunk to a layer that can be pasted into a file:
//!
//! ```text
//! TILEWRIGHT_RANDOM_LAYERS=100000 TILEWRIGHT_RANDOM_SEED=1 cargo test --release --test random_layers -- --nocapture
//! ```

mod generate;
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
use tilewright::run::run;

/// Layers that a usual test run looks at.
const LAYERS: u64 = 1000;

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

fn judge(layer: &Layer, options: &Options) -> Verdict {
    let text = layer.text();
    let judged = catch_unwind(AssertUnwindSafe(|| judge_text(&text, options)));
    judged.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()));
        let words = words.unwrap_or_default();
        Verdict::Panic(words.chars().take(60).collect())
    })
}

fn judge_text(text: &str, options: &Options) -> Verdict {
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
    let scalars = graph
        .inputs()
        .into_iter()
        .filter(|v| graph.ty(*v).shape.is_empty());
    let scalars: IndexMap<String, i64> = scalars
        .map(|v| {
            let bound = graph.node(v.node).input.bound.unwrap_or(1);
            (graph.name(v).to_string(), (bound - 1) / 2)
        })
        .collect();
    let inputs = match data::inputs(&graph, &Source::Seed(7), &scalars) {
        Ok(inputs) => inputs,
        Err(e) => return refused(&e),
    };
    match run(&graph, options, &Data::new(vec![inputs])) {
        Err(e) => refused(&e),
        Ok(ran) => {
            let off = ran.report.checks.iter().filter(|c| !c.comparison.ok);
            let off: Vec<String> = off.map(|c| format!("{c:?}")).collect();
            match off.is_empty() {
                true => Verdict::Right,
                false => Verdict::Wrong(off.join("\n")),
            }
        }
    }
}

fn number(variable: &str, default: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn random_layers_are_right() {
    let count = number("TILEWRIGHT_RANDOM_LAYERS", LAYERS);
    let first = number("TILEWRIGHT_RANDOM_SEED", 0) << 32;
    let mut options = common::options();
    // Steep enough for every rule, and quick.
    options.search.node_limit = 4_000;
    options.search.iter_limit = 8;
    options.search.candidates = 2;
    std::panic::set_hook(Box::new(|_| {}));
    let verdicts: Vec<(u64, Verdict)> = (first..first + count)
        .into_par_iter()
        .map(|seed| (seed, judge(&generate::layer(seed), &options)))
        .collect();
    let mut kinds: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (seed, verdict) in &verdicts {
        kinds.entry(verdict.kind()).or_default().push(*seed);
    }
    for (kind, seeds) in &kinds {
        println!("{:>7}  {kind}  (seed {})", seeds.len(), seeds[0]);
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
