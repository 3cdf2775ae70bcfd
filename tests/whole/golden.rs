//! Outputs against the interpreter and against the public reference of the layer.

use crate::common;
use indexmap::IndexMap;
use std::path::PathBuf;
use tilewright::data::{self, Data, Source};
use tilewright::form::Form;
use tilewright::layer::Layer;
use tilewright::report::{Check, Report};
use tilewright::run::run;

const OUTPUTS: [&str; 5] = ["x_norm", "x_norm_i8", "x_norm_scale", "indices", "weights"];

/// Every output of both forms was compared with `against`, and is right.
fn assert_right(report: &Report, against: &str, case: &str) {
    for form in Form::ALL {
        let of = |c: &&Check| c.form == form && c.comparison.against == against;
        let checks: Vec<&Check> = report.checks.iter().filter(of).collect();
        let names: Vec<&str> = checks
            .iter()
            .map(|c| c.comparison.output.as_str())
            .collect();
        assert_eq!(names, OUTPUTS, "{case}, {}", form.name());
        for c in checks {
            assert!(c.comparison.ok, "{case}: {c:?}");
        }
    }
    assert!(report.ok, "{case}");
}

/// Runs the example on generated inputs.
fn generated(sizes: &[(&str, i64)], num_tokens: i64, seed: u64) -> Report {
    let graph = common::graph(common::GATE, sizes);
    let scalars = IndexMap::from([("num_tokens".to_string(), num_tokens)]);
    let inputs = data::inputs(&graph, &Source::Seed(seed), &scalars).expect("inputs are made");
    let data = Data::new(vec![inputs]);
    let outcome = run(&graph, &common::options(), &data).expect("the example runs");
    outcome.report
}

#[test]
fn any_number_of_tokens_on_both_routings() {
    for layer_id in [10, 0] {
        for num_tokens in [8, 5, 1, 0] {
            let sizes = [&common::SMALL[..], &[("layer_id", layer_id)]].concat();
            let report = generated(&sizes, num_tokens, num_tokens as u64);
            let case = format!("layer {layer_id}, {num_tokens} tokens");
            assert_right(&report, "reference", &case);
        }
    }
}

#[test]
fn true_sizes() {
    let report = generated(&[], 5, 1);
    assert_right(&report, "reference", "true sizes");
    assert!(report.speedup > 2.0, "{}", report.speedup);
}

#[test]
fn several_blocks_of_tokens() {
    let sizes = [&common::SMALL[..], &[("T", 64)]].concat();
    let report = generated(&sizes, 37, 3);
    assert_right(&report, "reference", "64 tokens, 37 of them active");
}

/// Files of the public reference, which are no part of this repository.
fn golden() -> Vec<PathBuf> {
    let folder = common::root().join("../shared/golden");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        return vec![];
    };
    let is_gate = |p: &PathBuf| {
        let name = p.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("gate_") && name.ends_with(".safetensors")
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|e| e.path())
        .filter(is_gate)
        .collect();
    files.sort();
    files
}

#[test]
fn files_of_the_public_reference() {
    let files = golden();
    if files.is_empty() {
        eprintln!("skipped: there are no files of the public reference in ../shared/golden");
    }
    for path in files {
        let case = path.display().to_string();
        let layer = Layer::load(&common::example(common::GATE)).expect("the example is a graph");
        let tensors = data::load_inputs(&path).expect("the file has inputs");
        let settings = layer
            .settings_for(&IndexMap::new(), &tensors)
            .expect("sizes follow");
        let graph = layer.graph(&settings).expect("the example has these sizes");
        let inputs = data::inputs(&graph, &Source::Given(tensors), &IndexMap::new());
        let expected = data::load_expected(&path, &graph).expect("the file has outputs");
        let data = Data {
            inputs: vec![inputs.expect("the inputs fit")],
            expected: Some(expected),
        };
        let outcome = run(&graph, &common::options(), &data)
            .unwrap_or_else(|e| panic!("{case}: {:?}", miette::Report::new(e)));
        assert_right(&outcome.report, "reference", &case);
        assert_right(&outcome.report, &case, &case);
    }
}
