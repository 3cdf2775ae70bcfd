//! The search over plans: policies, equal parts, candidates, and how work grows.

#[path = "support/choices.rs"]
#[allow(dead_code)]
mod choices;

use choices::{Choices, mix};
use egg::Language;
use indexmap::IndexMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{
    Binary, Builder, Graph, LaunchKind, Op, Prim, Schedule, TileSpec, Unary,
};
use tilewright_ir::kernel::{Kernel, Unit};
use tilewright_ir::machine::Machine;
use tilewright_ir::text::{elaborate, parse};
use tilewright_passes::cost::{CostModel, Estimate, estimate};
use tilewright_passes::decompose::decompose;
use tilewright_passes::egraph::SearchOptions;
use tilewright_passes::lower::lower;
use tilewright_passes::numerics::Numerics;
use tilewright_passes::problem::{Problem, build};
use tilewright_passes::prune::prune;
use tilewright_passes::search::pins::{Pin, Pins};
use tilewright_passes::search::{Optimized, optimize};
use tilewright_passes::term::language::Head;

fn problem(graph: &Graph) -> Problem {
    let machine = Machine::builtin("A3").unwrap();
    build(&prune(&decompose(graph).unwrap()), &machine).unwrap()
}

fn found(problem: &Problem, options: &SearchOptions) -> Optimized {
    let machine = Machine::builtin("A3").unwrap();
    let found = optimize(problem, &machine, options, &Pins::default()).unwrap();
    lower(&found.plan, &machine).expect("what is chosen has a program");
    found
}

fn us(found: &Optimized) -> f64 {
    found.estimates.iter().map(|e| e.us).sum()
}

fn schedule(d: usize, n: Option<usize>) -> Schedule {
    let tile = |axis: &str, size, per_block| TileSpec {
        axis: axis.into(),
        size,
        per_block,
    };
    let mut tiles = IndexMap::from([("T_TILE".to_string(), tile("T", 8, false))]);
    if let Some(n) = n {
        tiles.insert("N_TILE".into(), tile("N", n, true));
    }
    tiles.insert("D_TILE".into(), tile("D", d, false));
    Schedule {
        launch: LaunchKind::Parallel,
        tiles,
        pipeline: 1,
    }
}

/// Layers one after the other: a norm with its widened copy, its product, and what feeds the next layer. `apart` layers do
/// not read each other. The last `odd` have another column tile as written.
fn stack(layers: usize, apart: bool, odd: usize) -> Graph {
    let mut b = Builder::new("stack");
    for (name, size) in [("T", 8), ("D", 256), ("N", 32)] {
        b.param(name, size).unwrap();
    }
    let mut x = b.input("x", DType::Bf16, ["T", "D"]).unwrap();
    for i in 0..layers {
        if apart && i > 0 {
            x = b.input(&format!("x_{i}"), DType::Bf16, ["T", "D"]).unwrap();
        }
        let weight = b.input(&format!("w_{i}"), DType::F32, ["D"]).unwrap();
        let gate = b.input(&format!("g_{i}"), DType::F32, ["N", "D"]).unwrap();
        let d = if i + odd >= layers { 64 } else { 32 };
        b.kernel(&format!("norm_{i}"), Some(schedule(d, None)))
            .unwrap();
        let wide = b.cast(x, DType::F32).unwrap();
        let norm = Op::composite("rms_norm", &[("eps", 1e-6.into())]).expect("the library has it");
        let y = b.op(norm, &[wide, weight]).unwrap()[0];
        let narrow = b.cast(y, DType::Bf16).unwrap();
        let copy = b.cast(narrow, DType::F32).unwrap();
        b.kernel(&format!("gate_{i}"), Some(schedule(d, Some(32))))
            .unwrap();
        let scores = b.prim(Prim::MatmulNt, &[copy, gate]).unwrap();
        let scores = b.prim(Prim::Unary(Unary::Exp), &[scores]).unwrap();
        b.output(scores);
        b.kernel(&format!("next_{i}"), Some(schedule(d, None)))
            .unwrap();
        let twice = b.prim(Prim::Binary(Binary::Add), &[copy, wide]).unwrap();
        x = b.cast(twice, DType::Bf16).unwrap();
        if apart {
            b.output(x);
        }
    }
    if !apart {
        b.output(x);
    }
    b.finish().unwrap()
}

/// The e-graph of a wider policy holds the stricter one's plans.
#[test]
fn a_wider_policy_is_never_worse() {
    let text = include_str!("../../examples/dsv4_flash_gate.tw");
    let sizes = IndexMap::from([("D".to_string(), 512), ("VOCAB".to_string(), 512)]);
    let gate = elaborate(&parse(text).unwrap(), &sizes).unwrap();
    let mut problems = vec![problem(&gate), problem(&stack(1, false, 0))];
    for seed in 0..2 {
        let mut c = Choices::new((0..8).map(|i| mix(seed, i) as u32).collect());
        problems.push(problem(&stack(1, c.below(2) == 1, c.below(2))));
    }
    for problem in &problems {
        // A search that is cut short keeps what it had.
        for node_limit in [usize::MAX, 1500] {
            let mut last = f64::INFINITY;
            for numerics in Numerics::ALL {
                let options = SearchOptions {
                    numerics,
                    node_limit,
                    ..Default::default()
                };
                let now = us(&found(problem, &options));
                assert!(now <= last, "{numerics}: {now} us after {last} us");
                last = now;
            }
        }
    }
}

/// Copies are searched once, and told with their own names.
#[test]
fn equal_layers_are_searched_once() {
    let options = SearchOptions::default();
    for apart in [true, false] {
        let few = found(&problem(&stack(6, apart, 0)), &options);
        let many = found(&problem(&stack(10, apart, 0)), &options);
        assert_eq!(few.search.nodes, many.search.nodes);
        assert_eq!(few.search.iterations, many.search.iterations);
    }
    let one = found(&problem(&stack(1, true, 0)), &options);
    let many = found(&problem(&stack(24, true, 0)), &options);
    assert_eq!(one.search.nodes, many.search.nodes);
    assert_eq!(many.plan.kernels.len(), 24 * one.plan.kernels.len());
    assert!((us(&many) - 24.0 * us(&one)).abs() < 1e-6);
    let names: BTreeSet<&String> = many.plan.kernels.iter().map(|k| &k.name).collect();
    assert_eq!(names.len(), many.plan.kernels.len());
    for (i, kernel) in many.plan.kernels.iter().enumerate() {
        let layer = i / one.plan.kernels.len();
        let covers = kernel.covers.iter();
        assert!(
            covers.clone().all(|c| c.ends_with(&format!("_{layer}"))),
            "{:?} in layer {layer}",
            kernel.covers
        );
        assert_eq!(
            kernel.derivation,
            one.plan.kernels[i % one.plan.kernels.len()].derivation
        );
    }
}

/// Layers that differ are searched each, and no combination of them.
#[test]
fn work_grows_with_distinct_layers() {
    let options = SearchOptions::default();
    let nodes = |odd| {
        found(&problem(&stack(12, true, odd)), &options)
            .search
            .nodes
    };
    let (same, other) = (nodes(0), nodes(1));
    assert!(same < other && other <= 2 * same, "{same}, {other}");
    assert_eq!(other, nodes(6));
}

/// Plans that differ in loops and tiles alone come after all others.
#[test]
fn candidates_differ_in_more_than_a_tile() {
    let best = found(&problem(&stack(1, true, 0)), &SearchOptions::default());
    assert_eq!(best.others.len(), 3);
    let all: Vec<&Optimized> = [&best].into_iter().chain(&best.others).collect();
    assert!(all.windows(2).all(|w| us(w[0]) <= us(w[1])));
    let shapes: BTreeSet<Vec<String>> = all.iter().map(|o| shape(o)).collect();
    assert_eq!(shapes.len(), all.len(), "{shapes:?}");
    let one = SearchOptions {
        candidates: 1,
        ..Default::default()
    };
    let only = found(&problem(&stack(1, true, 0)), &one);
    assert_eq!(only.plan.to_string(), best.plan.to_string());
    assert!(only.others.is_empty());
}

/// Kernels with their launches, rows of blocks, columns of blocks, and what they read.
fn shape(found: &Optimized) -> Vec<String> {
    let kernels = found.plan.kernels.iter();
    kernels
        .map(|k| {
            let mut out = BTreeSet::from([format!("{} {}", k.launch(), k.blocks())]);
            for n in k.expr.as_ref() {
                let Some(head) = n.head() else { continue };
                let child = |i: usize| k.expr[n.children()[i]].to_string();
                match head {
                    Head::Rows => out.insert(format!("rows {} {}", child(0), child(1))),
                    Head::Cols => out.insert(format!("columns {}", child(1))),
                    Head::Input => out.insert(child(0)),
                    _ => false,
                };
            }
            format!("{} {out:?}", k.name)
        })
        .collect()
}

/// A model by which a launch on both core types is dear.
#[derive(Debug)]
struct DearMixed;

impl CostModel for DearMixed {
    fn estimate(&self, kernel: &Kernel, machine: &Machine) -> Estimate {
        let time = estimate(kernel, machine);
        match kernel.unit {
            Unit::Mixed => Estimate {
                us: 100.0 * time.us,
                ..time
            },
            _ => time,
        }
    }
}

/// Kernels that the search puts together are compared by its model, too.
#[test]
fn mixed_kernels_cost_what_the_model_says() {
    let text = include_str!("../../tests/layers/matmul_act.tw");
    let layer = elaborate(&parse(text).unwrap(), &IndexMap::new()).unwrap();
    let problem = problem(&layer);
    let mixed = |options: &SearchOptions| {
        let kernels = found(&problem, options).plan.kernels;
        kernels.iter().filter(|k| k.unit == Unit::Mixed).count()
    };
    let options = SearchOptions {
        cost: Arc::new(DearMixed),
        ..Default::default()
    };
    assert_eq!(mixed(&SearchOptions::default()), 2);
    assert_eq!(mixed(&options), 0);
}

/// A model that calls a launch cheap when it is looked at, and dear when it is priced.
#[derive(Debug)]
struct TwoMinds;

impl CostModel for TwoMinds {
    fn estimate(&self, kernel: &Kernel, machine: &Machine) -> Estimate {
        let time = estimate(kernel, machine);
        match kernel.launch.kind {
            LaunchKind::Spmd => Estimate {
                us: 100.0 * time.us,
                ..time
            },
            _ => time,
        }
    }

    fn start_us(&self, _: &Machine, kind: LaunchKind, _: usize) -> f64 {
        f64::from(u8::from(kind != LaunchKind::Spmd))
    }
}

/// Whatever a model makes the search look at, it ends with nothing that is slower than the kernels as written.
#[test]
fn no_plan_is_slower_than_the_kernels_as_written() {
    let options = SearchOptions {
        cost: Arc::new(TwoMinds),
        ..Default::default()
    };
    let written = SearchOptions {
        as_written: true,
        ..options.clone()
    };
    let problem = problem(&stack(1, true, 0));
    let us = |options: &SearchOptions| -> f64 {
        let found = found(&problem, options);
        found.estimates.iter().map(|e| e.us).sum()
    };
    assert!(us(&options) <= us(&written));
}

/// What one pin finds, the search finds by itself: a fusion has to be undone before a product and the kernel that feeds it are one
/// launch.
#[test]
fn a_pin_finds_nothing_that_is_much_better() {
    let text = include_str!("../../examples/dsv4_flash_gate.tw");
    let sizes = [("D", 2048), ("VOCAB", 512)];
    let sizes = sizes.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    let problem = problem(&elaborate(&parse(text).unwrap(), &sizes).unwrap());
    let machine = Machine::builtin("A3").unwrap();
    let us = |pins: &[&str]| -> f64 {
        let pins: Vec<Pin> = pins.iter().map(|p| p.parse().unwrap()).collect();
        let pins = Pins::check(&pins, &problem).unwrap();
        let found = optimize(&problem, &machine, &SearchOptions::default(), &pins).unwrap();
        found.estimates.iter().map(|e| e.us).sum()
    };
    let free = us(&[]);
    for pin in [
        "ffn_norm.launch=spmd",
        "gate.feed=true",
        "ffn_norm.fuse=none",
    ] {
        let pinned = us(&[pin]);
        assert!(
            free <= 1.05 * pinned,
            "{pin}: {pinned} us, and {free} without"
        );
    }
}

/// The time that a layer takes with pins, after a search.
fn time(text: &str, pins: &[&str]) -> f64 {
    let problem = problem(&elaborate(&parse(text).unwrap(), &IndexMap::new()).unwrap());
    let machine = Machine::builtin("A3").unwrap();
    let pins: Vec<Pin> = pins.iter().map(|p| p.parse().unwrap()).collect();
    let pins = Pins::check(&pins, &problem).unwrap();
    us(&optimize(&problem, &machine, &SearchOptions::default(), &pins).unwrap())
}

/// A pin that the plan meets anyway keeps no kernel from being one with others.
#[test]
fn a_pin_at_what_was_chosen_changes_nothing() {
    let text = include_str!("../../examples/dsv4_flash_gate.tw").replace("129280", "512");
    let free = time(&text, &[]);
    for pin in ["*.launch=spmd", "x_norm_quant.T_TILE=1", "gate.mix=false"] {
        let pinned = time(&text, &[pin]);
        assert!(
            (pinned - free).abs() < 1e-6 * free,
            "{pin}: {pinned} us, and {free} without"
        );
    }
    // Both are pinned at what the whole cannot have at once.
    let apart = time(
        &text,
        &["x_norm_quant.launch=spmd", "route_sort.launch=parallel"],
    );
    assert!(apart > free, "{apart} us, and {free} without pins");
}

/// Where a schedule starts does not decide where the search ends.
#[test]
fn schedules_as_written_do_not_decide() {
    let rows = |lines: &str| {
        format!(
            "graph rows {{; param T = 320; param D = 256; input x: f32[T, D]
  kernel k {{; {lines}; i = top_k(x, k = 3); }}; output i; }}"
        )
    };
    let columns = |lines: &str| {
        format!(
            "graph columns {{; param T = 100; param I = 1408; input g: bf16[T, I]; input u: bf16[T, I]
  kernel k {{; {lines}
    h = gelu(cast(g, to = f32)) * cast(u, to = f32)
    q, s = quantize_rows(h, eps = 1e-6)
  }}; output q, s; }}"
        )
    };
    let starts = [
        vec![
            rows(""),
            rows("tile R = 1 over T"),
            rows("tile R = 320 over T"),
        ],
        vec![
            columns(""),
            columns("tile R = 7 over T; tile C = 300 over I; launch spmd; loop pipeline(3)"),
            columns("tile R = 16 over T; tile C = 32 over I; loop pipeline(2)"),
        ],
    ];
    for layers in starts {
        // A semicolon ends a line.
        let lines = |text: &String| text.replace(';', "\n");
        let times: Vec<f64> = layers.iter().map(|text| time(&lines(text), &[])).collect();
        let least = times.iter().copied().fold(f64::INFINITY, f64::min);
        assert!(
            times.iter().all(|t| *t <= 1.05 * least),
            "{times:?} us of {layers:?}"
        );
    }
}

/// Rows of vocabularies whose divisors can be halved a few times only, beside one whose can.
#[test]
fn wide_rows_of_all_lengths_are_about_as_fast() {
    let loss = |cols: usize| {
        let text = format!(
            "graph loss {{; param T = 16; param V = {cols}; input x: f32[T, V]
  kernel k {{; m = row_max(x); s = row_sum(exp(x - m)); y = log(s) + m; }}; output y; }}"
        );
        time(&text.replace(';', "\n"), &[]) / cols as f64
    };
    let even = loss(131_072);
    for cols in [128_256, 151_936, 201_088] {
        let other = loss(cols);
        assert!(
            other < 1.4 * even,
            "{cols}: {other} us a column, and {even}"
        );
    }
}

/// What a refused pin says can be, can be.
#[test]
fn values_that_a_refusal_names_work() {
    let text = "graph norms {; param T = 64; param D = 1024; input x: f32[T, D]; input w: f32[D]
  kernel norm {; tile T_TILE = 8 over T; tile D_TILE = 256 over D; y = rms_norm(x, w, eps = 1e-6); }; output y; }"
        .replace(';', "\n");
    let problem = problem(&elaborate(&parse(&text).unwrap(), &IndexMap::new()).unwrap());
    let machine = Machine::builtin("A3").unwrap();
    for pins in [
        vec!["norm.blocks=100"],
        vec!["norm.T_TILE=16", "norm.D_TILE=100"],
    ] {
        let read = |pins: &[&str]| {
            let pins: Vec<Pin> = pins.iter().map(|p| p.parse().unwrap()).collect();
            Pins::check(&pins, &problem).unwrap()
        };
        let refused = optimize(&problem, &machine, &SearchOptions::default(), &read(&pins));
        let help = miette::Diagnostic::help(&refused.unwrap_err())
            .unwrap()
            .to_string();
        let words = help.split([' ', ',']).filter(|w| w.contains('='));
        let named: Vec<&str> = words.collect();
        assert!(!named.is_empty(), "{help}");
        for instead in named {
            let param = instead.split('=').next().unwrap();
            let kept = pins.iter().copied().filter(|p| !p.starts_with(param));
            let pins: Vec<&str> = kept.chain([instead]).collect();
            time(&text, &pins);
        }
    }
}

/// Everything that a plan decides can be pinned: each plan of a search, the ones that were not the best too, comes back from its
/// pins, to the letter.
#[test]
fn pins_of_all_that_was_decided_give_the_same_plan() {
    let machine = Machine::builtin("A3").unwrap();
    let mut told = BTreeSet::new();
    for (text, sizes) in [
        (include_str!("../../examples/rms_norm.tw"), &[][..]),
        (include_str!("../../examples/all_gather.tw"), &[]),
        (
            include_str!("../../examples/dsv4_flash_gate.tw"),
            &[("D", 256), ("VOCAB", 512)],
        ),
        (include_str!("../../tests/layers/matmul_act.tw"), &[]),
        (include_str!("../../tests/layers/norm_matmul.tw"), &[]),
    ] {
        let sizes = sizes.iter().map(|(n, v)| (n.to_string(), *v)).collect();
        let problem = problem(&elaborate(&parse(text).unwrap(), &sizes).unwrap());
        let best = found(&problem, &SearchOptions::default());
        for (number, plan) in [&best].into_iter().chain(&best.others).enumerate() {
            let decided: Vec<Pin> = plan.holds.values().flatten().cloned().collect();
            told.extend(decided.iter().map(|p| p.param.name().to_owned()));
            let pins = Pins::check(&decided, &problem).unwrap();
            let said: Vec<String> = decided.iter().map(ToString::to_string).collect();
            // With what is not pinned free, and as it is written.
            let pins = Pins {
                hold: number % 2 == 1,
                ..pins
            };
            let again = optimize(&problem, &machine, &SearchOptions::default(), &pins).unwrap();
            let said = said.join(" ");
            assert_eq!(again.plan.to_string(), plan.plan.to_string(), "{said}");
            assert_eq!(again.holds, plan.holds);
            assert!(again.others.is_empty(), "something was left to decide");
        }
    }
    for param in [
        "fuse", "grid", "stores", "reduces", "mix", "split_k", "by_line", "unread",
    ] {
        assert!(told.contains(param), "{param}: {told:?}");
    }
}

/// One kernel as the pins have it, or why not.
fn fused(problem: &Problem, pins: &[&str]) -> Result<Vec<String>, String> {
    let machine = Machine::builtin("A3").unwrap();
    let pins: Vec<Pin> = pins.iter().map(|p| p.parse().unwrap()).collect();
    let pins = Pins::check(&pins, problem).map_err(|e| e.to_string())?;
    let found = optimize(problem, &machine, &SearchOptions::default(), &pins);
    let kernels = found.map_err(|e| e.to_string())?.plan.kernels;
    Ok(kernels.into_iter().map(|k| k.name).collect())
}

#[test]
fn pins_say_which_kernels_are_one() {
    let problem = problem(&stack(1, true, 0));
    let one = fused(&problem, &["norm_0.fuse=next_0"]).unwrap();
    assert!(one.iter().any(|k| k.contains("norm_0_next_0")), "{one:?}");
    let apart = fused(&problem, &["norm_0.fuse=none", "next_0.fuse=none"]).unwrap();
    assert!(
        !apart.iter().any(|k| k.contains("norm_0_next_0")),
        "{apart:?}"
    );
    for (pins, why) in [
        (
            &["norm_0.fuse=gate_0+next_0", "next_0.fuse=none"][..],
            "pins want `",
        ),
        (
            &["norm_0.fuse=norm_0"],
            "`norm_0` is not a value of `norm_0.fuse`",
        ),
        (
            &["norm_0.fuse=nobody"],
            "`nobody` is not a value of `norm_0.fuse`",
        ),
        (
            &["gate_0_mm.fuse=none"],
            "kernel `gate_0_mm` has no parameter `fuse`",
        ),
        (
            &["norm_0.fuse=next_0", "next_0.D_TILE=64"],
            "kernels that are to be one have pins of their own: next_0.D_TILE=64",
        ),
        (&["nobody.fuse=none"], "there is no kernel `nobody` to pin"),
    ] {
        let refused = fused(&problem, pins).unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
}
