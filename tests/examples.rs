//! The programs of `examples/` run, and do what they say.

mod common;

// Its `main` has no folder and no cache of the tests' own.
#[allow(dead_code)]
#[path = "../examples/custom_backend.rs"]
mod custom_backend;
#[path = "../examples/custom_cost.rs"]
mod custom_cost;
#[path = "../examples/custom_pass.rs"]
mod custom_pass;
#[path = "../examples/custom_rules.rs"]
mod custom_rules;
#[path = "../examples/custom_tune.rs"]
mod custom_tune;
#[path = "../examples/kernel_snapshots.rs"]
mod kernel_snapshots;

use miette::Diagnostic;
use tilewright::backends::host;
use tilewright::prelude::*;

#[test]
fn a_pass_of_ones_own_sees_the_graph_and_leaves_it() {
    let text = custom_pass::run(1000).expect("it runs");
    let (first, rest) = text.split_once('\n').expect("two parts");
    let lines = first.strip_suffix(" lines of graph").expect("the count");
    assert!(lines.parse::<usize>().expect("a number") > 5, "{first}");
    assert!(rest.contains("all 2 checks passed"), "{rest}");
    assert!(rest.contains("  norm: "), "{rest}");
    custom_pass::main().expect("it runs");
}

/// The compiler for the default machine with some passes that change nothing, each after another.
fn with_passes(passes: &[(&'static str, &str)]) -> Result<Compiler> {
    let compiler = Compiler::for_machine(DEFAULT_MACHINE)?;
    let add = |compiler: Compiler, (name, after): &(&'static str, &str)| {
        compiler.pass_after(after, GraphPass::new(name, "changes nothing", |g, _| Ok(g)))
    };
    Ok(passes.iter().fold(compiler, add))
}

#[test]
fn passes_of_ones_own_stand_where_they_are_put() {
    let compiler = with_passes(&[("a", "prune"), ("b", "prune"), ("c", "a")]).expect("a machine");
    for (form, fourth) in [(Form::Written, "as-written"), (Form::Optimized, "optimize")] {
        let order = compiler.options.order(form);
        assert_eq!(order[2..7], ["prune", "a", "c", "b", fourth], "{form:?}");
    }
}

#[test]
fn a_pass_of_ones_own_that_cannot_be_placed_is_refused() {
    let layer = Layer::parse("rms_norm.tw", include_bytes!("../examples/rms_norm.tw"));
    let graph = layer.and_then(|l| l.at([("D", 64)])).expect("a graph");
    for (passes, code, message) in [
        (
            [("mine", "nowhere")],
            "passes::not_in_order",
            "pass `nowhere` is not in the order decompose, legalise, prune",
        ),
        (
            [("prune", "legalise")],
            "passes::twice",
            "two passes are called `prune`",
        ),
        (
            [("mine", "optimize")],
            "passes::order",
            "pass `mine` takes a graph, but what comes before it gives a plan",
        ),
    ] {
        let compiler = with_passes(&passes).expect("a machine");
        let refusal = compiler.optimize(&graph).expect_err("no place");
        let found = refusal.code().map(|c| c.to_string());
        assert_eq!(found, Some(format!("tilewright::{code}")));
        assert!(refusal.to_string().starts_with(message), "{refusal}");
    }
}

#[test]
fn examples_need_one_crate() {
    // What the stages' crates are called is nobody else's business.
    let folder = common::root().join("examples");
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).expect("it can be read");
            let other = text.lines().find(|l| l.contains("tilewright_"));
            assert_eq!(other, None, "{}", path.display());
        }
    }
}

/// A refusal as the command shows it.
fn shown(refusal: Refusal) -> String {
    format!("{:?}", miette::Report::new(refusal))
}

#[test]
fn an_error_of_ones_own_pass_is_shown_as_it_is() {
    let refusal = custom_pass::run(1).expect_err("the graph has more lines");
    assert_eq!(
        refusal.code().map(|c| c.to_string()),
        Some("count::too_long".into())
    );
    let text = shown(refusal);
    for part in [
        "count::too_long",
        "lines, of at most 1",
        "take a smaller layer",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

fn host() -> Host {
    Host {
        options: host::Options {
            cache: Some(common::HOST_CACHE.into()),
            ..Default::default()
        },
    }
}

#[test]
fn a_backend_of_ones_own_runs_one_rank_and_several() {
    let folder = common::folder();
    let text = custom_backend::run(folder.path(), host()).expect("it runs");
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with("rms_norm: 1 kernels on 1 rank(s), 2 checks"),
        "{text}"
    );
    assert!(
        lines[1].contains("kernels on 2 rank(s), 8 checks"),
        "{text}"
    );
    assert!(
        lines.iter().all(|l| l.ends_with("all passed: true")),
        "{text}"
    );
    for kernel in ["norm.cpp", "dispatch.cpp"] {
        assert!(folder.path().join(kernel).is_file(), "{kernel}");
    }
}

#[test]
fn an_error_of_ones_own_backend_is_shown_as_it_is() {
    let folder = common::folder();
    let nowhere = folder.path().join("nowhere");
    let refusal = custom_backend::run(&nowhere, host()).expect_err("there is no such folder");
    let text = shown(refusal);
    for part in [
        "recorded::unwritable",
        "cannot keep a kernel as",
        "name a folder that is there",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn rules_of_ones_own_lead_to_the_plan() {
    let text = custom_rules::run().expect("it runs");
    let first = text.lines().next().expect("a kernel");
    assert!(first.contains("quarter-blocks"), "{first}");
    assert!(!first.contains("fan-out-columns"), "{first}");
    custom_rules::main().expect("it runs");
}

#[test]
fn a_cost_model_of_ones_own_decides() {
    let text = custom_cost::run().expect("it runs");
    let bytes = |model: &str| -> f64 {
        let lines = text.lines().filter(|l| l.starts_with(model));
        let last = lines.map(|l| l.rsplit(' ').nth(1).expect("bytes before their unit"));
        last.map(|n| n.parse::<f64>().expect("a number")).sum()
    };
    // Blocks that share a row each read it.
    assert!(
        0.0 < bytes("traffic") && bytes("traffic") < bytes("time"),
        "{text}"
    );
    custom_cost::main().expect("it runs");
}

#[test]
fn a_runner_of_ones_own_has_the_last_word() {
    let tuned = custom_tune::run().expect("it runs");
    assert!(tuned.us < tuned.pick_us, "{tuned:?}");
    assert!(!tuned.schedule.is_empty());
    custom_tune::main().expect("it runs");
}

#[test]
fn kernels_are_kept_with_insta() {
    let names = kernel_snapshots::run().expect("it runs");
    assert_eq!(names, ["schedule.json", "kernels.json", "norm_square.cpp"]);
    kernel_snapshots::main().expect("it runs");
}
