//! The moves that engineers made by hand on the gate: the optimizer makes each of them from the example as written, and not
//! without the rule that it needs.

use crate::common;
use tilewright::report::{FormReport, KernelReport};
use tilewright::run::optimize;
use tilewright_ir::graph::LaunchKind;

struct Move {
    name: &'static str,
    /// Rules without which it does not happen.
    rules: &'static [&'static str],
    happened: fn(&FormReport) -> bool,
}

const MOVES: [Move; 7] = [
    Move {
        name: "every kernel is one SPMD launch",
        rules: &["parallel-to-spmd"],
        happened: |form| {
            form.kernels
                .iter()
                .all(|k| k.launch.kind == LaunchKind::Spmd)
        },
    },
    Move {
        name: "the gate's product is fanned over its columns, on at least 4 cube cores",
        rules: &["fan-out-columns"],
        happened: |form| {
            let k = kernel(form, "gate_mm");
            let columns = k.tiles.get("GATE_N_TILE").is_some_and(|n| *n < 64);
            columns && k.launch.blocks >= 4
        },
    },
    Move {
        name: "the product's loop over D is pipelined",
        rules: &["pipeline-loop"],
        happened: |form| kernel(form, "gate_mm").depth() >= 2,
    },
    Move {
        name: "x_norm_quant reads bf16",
        rules: &["read-narrow"],
        happened: |form| {
            let reads = &kernel(form, "x_norm_quant").reads;
            reads.contains(&"x_norm".into()) && !reads.contains(&"x_norm_f32".into())
        },
    },
    Move {
        name: "the norm's tiles are wider",
        rules: &["widen-tile", "widen-sum"],
        happened: |form| {
            let tiles = &kernel(form, "ffn_norm").tiles;
            let wider = |(name, size): (&String, &usize)| name.starts_with("D_TILE") && *size > 128;
            tiles.iter().any(wider)
        },
    },
    Move {
        name: "the quantisation's tiles are wider",
        rules: &["widen-tile"],
        happened: |form| {
            let tile = kernel(form, "x_norm_quant").tiles.get("QUANT_TILE");
            tile.is_some_and(|t| *t > 32)
        },
    },
    Move {
        name: "padding is initialised by a kernel of its own",
        rules: &["hoist-init"],
        happened: |form| form.kernel("gate_pad_init").is_some(),
    },
];

fn kernel<'a>(form: &'a FormReport, name: &str) -> &'a KernelReport {
    let names: Vec<&String> = form.kernels.iter().map(|k| &k.name).collect();
    form.kernel(name)
        .unwrap_or_else(|| panic!("there is no kernel `{name}` among {names:?}"))
}

/// The main example at its true sizes, without some rules. Engineers kept its kernels apart and its product whole: the search
/// is free to split the product instead of fanning it over columns, and to put the product and its reader into one launch.
fn optimized(without: &[&str]) -> tilewright::error::Result<FormReport> {
    let mut options = common::options();
    // With a launch more, padding is initialised apart: where launches cost next to nothing, that is worth it.
    let runtime = options.machine.runtime_mut();
    for figure in [&mut runtime.handover, &mut runtime.block] {
        figure.value = 0.0;
    }
    let without = without.iter().chain(&["fuse", "split-k", "mix"]);
    options.search.disabled = without.map(|r| r.to_string()).collect();
    let graph = common::graph(common::GATE, &[]);
    Ok(optimize(&graph, &options)?.report.optimized)
}

#[test]
fn the_optimizer_makes_every_move() {
    let form = optimized(&[]).expect("the example compiles");
    let missing: Vec<&str> = MOVES
        .iter()
        .filter(|m| !(m.happened)(&form))
        .map(|m| m.name)
        .collect();
    assert_eq!(missing, [""; 0], "of {}", MOVES.len());
}

#[test]
fn each_move_needs_its_rules() {
    let mut wrong = vec![];
    for m in &MOVES {
        match optimized(m.rules) {
            Ok(form) if !(m.happened)(&form) => {}
            Ok(_) => wrong.push(format!("{}: happened without {:?}", m.name, m.rules)),
            Err(e) => wrong.push(format!("{}: without {:?}, {e}", m.name, m.rules)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_move_is_in_the_derivation_of_its_kernel() {
    let form = optimized(&[]).expect("the example compiles");
    let used = |name: &str, rule: &str| kernel(&form, name).derivation.contains(&rule.into());
    for (name, rule) in [
        ("ffn_norm", "parallel-to-spmd"),
        ("ffn_norm", "widen-tile"),
        ("x_norm_quant", "read-narrow"),
        ("x_norm_quant", "widen-tile"),
        ("gate_mm", "fan-out-columns"),
        ("gate_mm", "pipeline-loop"),
        ("gate_pad_init", "hoist-init"),
        ("route_sort", "parallel-to-spmd"),
    ] {
        assert!(
            used(name, rule),
            "{name} without {rule}: {:?}",
            kernel(&form, name).derivation
        );
    }
}

#[test]
fn kernels_become_one_unless_they_are_pinned() {
    let graph = common::graph(common::GATE, &[]);
    let names = |pins: &[&str]| -> Vec<String> {
        let mut options = common::options();
        options.pins = pins.iter().map(|p| p.parse().unwrap()).collect();
        let form = optimize(&graph, &options).expect("the example compiles");
        let kernels = form.report.optimized.kernels.iter();
        kernels.map(|k| k.name.clone()).collect()
    };
    let free = names(&[]);
    assert!(!free.contains(&"x_norm_quant".into()), "{free:?}");
    let pinned = names(&["x_norm_quant.fuse=none"]);
    assert!(pinned.contains(&"x_norm_quant".into()), "{pinned:?}");
}

#[test]
fn the_simulator_picks_the_fastest_candidate() {
    let graph = common::graph(common::GATE, &common::SMALL);
    let mut options = common::options();
    let told = |options: &tilewright::compile::Options| {
        let outcome = optimize(&graph, options).expect("the example compiles");
        (outcome.report.candidates, outcome.report.optimized)
    };
    let (candidates, form) = told(&options);
    assert_eq!(candidates.len(), options.search.candidates);
    let times: Vec<f64> = candidates.iter().filter_map(|c| c.simulated_us).collect();
    assert_eq!(times.len(), candidates.len());
    let least = times.iter().copied().fold(f64::INFINITY, f64::min);
    let picked: Vec<_> = candidates.iter().filter(|c| c.picked).collect();
    assert_eq!(picked.len(), 1);
    assert_eq!(picked[0].simulated_us, Some(least));
    let names: Vec<&String> = picked[0].kernels.iter().map(|k| &k.name).collect();
    assert_eq!(
        names,
        form.kernels.iter().map(|k| &k.name).collect::<Vec<_>>()
    );
    for (told, made) in picked[0].kernels.iter().zip(&form.kernels) {
        assert_eq!(
            (told.launch, told.blocks),
            (made.launch.kind, made.launch.blocks)
        );
    }
    options.search.candidates = 1;
    assert!(told(&options).0.is_empty());
}
