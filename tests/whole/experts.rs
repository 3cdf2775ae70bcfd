//! The expert and hyper-connection examples: both forms on the simulator against the interpreter and the public reference.

use crate::common;
use indexmap::IndexMap;
use std::path::PathBuf;
use tilewright::data::{self, Data, Expected, Source};
use tilewright::form::Form;
use tilewright::run::{Outcome, run};
use tilewright_backends::data::{Tensor, Tensors};
use tilewright_backends::sim;
use tilewright_ir::graph::Graph;
use tilewright_ir::machine::{DEFAULT_MACHINE, Machine};

const ROUTED: &str = "dsv4_routed_experts";
const SHARED: &str = "dsv4_shared_expert";

fn generate(graph: &Graph, seed: u64) -> Tensors {
    data::inputs(graph, &Source::Seed(seed), &IndexMap::new()).expect("inputs are made")
}

/// Runs both forms; every output of both is right against the interpreter and, where there is one, the expected file.
fn right(graph: &Graph, data: &Data, case: &str) -> Outcome {
    let outcome = run(graph, &common::options(), data)
        .unwrap_or_else(|e| panic!("{case}: {:?}", miette::Report::new(e)));
    let sources = 1 + usize::from(data.expected.is_some());
    for form in Form::ALL {
        let checks = outcome.report.checks.iter().filter(|c| c.form == form);
        assert_eq!(checks.count(), sources * graph.outputs.len(), "{case}");
    }
    for c in &outcome.report.checks {
        assert!(c.comparison.ok, "{case}: {c:?}");
        assert!(c.comparison.elements > 0, "{case}: {c:?}");
    }
    outcome
}

fn generated(name: &str, sizes: &[(&str, i64)]) -> Outcome {
    let graph = common::graph(name, sizes);
    let inputs = generate(&graph, 7);
    right(&graph, &Data::new(vec![inputs]), name)
}

#[test]
fn shared_expert() {
    let outcome = generated(SHARED, &[("D", 512), ("MOE_INTER", 256)]);
    assert!(outcome.report.speedup > 1.5, "{}", outcome.report.speedup);
}

/// 5 rows, a row block that is no multiple of a fractal; clamps off.
#[test]
fn shared_expert_of_odd_sizes() {
    generated(SHARED, &[("T", 5), ("D", 256), ("MOE_INTER", 512)]);
}

#[test]
fn hyper_connections() {
    let outcome = generated("dsv4_hc", &[("D", 256)]);
    assert!(outcome.report.speedup > 1.5, "{}", outcome.report.speedup);
}

#[test]
fn three_residual_streams() {
    generated("dsv4_hc", &[("D", 128), ("HC_MULT", 3), ("T", 3)]);
}

const SMALL: [(&str, i64); 4] = [
    ("N_LOCAL", 4),
    ("RECV_MAX", 32),
    ("D", 512),
    ("MOE_INTER", 256),
];

/// No rows, one, part of the second block of rows, all: and nobody reads or writes others.
#[test]
fn routed_experts_touch_only_rows_that_exist() {
    let graph = common::graph(ROUTED, &SMALL);
    let counts = [0i64, 1, 21, 32];
    let mut inputs = generate(&graph, 3);
    let count = Tensor::from_i64(tilewright_ir::DType::I32, &[4, 1], &counts);
    inputs.insert("recv_expert_count".into(), count.expect("four counts"));
    let outcome = right(&graph, &Data::new(vec![inputs.clone()]), "counts");
    let machine = Machine::builtin(DEFAULT_MACHINE).expect("the default machine is built in");
    let how = sim::Options::default();
    for (_, form) in outcome.compiled.as_ref() {
        // The simulator refuses reads of rows that do not exist; what is never written stays zero.
        let ran = sim::run(&form.program, &machine, &inputs, &how).expect("it runs");
        let y = ran.outputs["recv_y"].to_f32();
        for (row, values) in y.chunks_exact(512).enumerate() {
            let exists = ((row % 32) as i64) < counts[row / 32];
            assert_eq!(values.iter().any(|x| *x != 0.0), exists, "row {row}");
        }
    }
}

#[test]
fn a_count_above_the_window_is_refused() {
    let graph = common::graph(ROUTED, &SMALL);
    let mut inputs = generate(&graph, 3);
    let outcome = right(&graph, &Data::new(vec![inputs.clone()]), "counts");
    let count = Tensor::from_i64(tilewright_ir::DType::I32, &[4, 1], &[0, 33, 0, 0]);
    inputs.insert("recv_expert_count".into(), count.expect("four counts"));
    let machine = Machine::builtin(DEFAULT_MACHINE).expect("the default machine is built in");
    let how = sim::Options::default();
    let error = sim::run(&outcome.compiled.written.program, &machine, &inputs, &how).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("group 1") && text.contains("33"), "{text}");
}

/// A file of the public reference, which is no part of this repository.
fn golden(name: &str) -> Option<PathBuf> {
    let path = common::root().join("../shared/golden").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: there is no ../shared/golden/{name}");
    None
}

/// Tensors in the shapes that a graph gives them: the files have a dimension for the experts.
fn shaped(graph: &Graph, tensors: Tensors) -> Tensors {
    let shaped = tensors.into_iter().map(|(name, tensor)| {
        let sizes = graph.find(&name).map(|v| graph.ty(v).sizes());
        let shape = sizes.unwrap_or(tensor.shape);
        let tensor = Tensor::new(tensor.dtype, shape, tensor.bytes);
        (name, tensor.expect("as many elements as the graph says"))
    });
    shaped.collect()
}

fn public_reference(name: &str, file: &str, sizes: &[(&str, i64)]) {
    let Some(path) = golden(file) else { return };
    let graph = common::graph(name, sizes);
    let given = shaped(
        &graph,
        data::load_inputs(&path).expect("the file has inputs"),
    );
    let inputs = data::inputs(&graph, &Source::Given(given), &IndexMap::new());
    let expected = data::load_expected(&path, &graph).expect("the file has outputs");
    let ranks = expected.ranks.into_iter();
    let expected = Expected {
        path: expected.path,
        ranks: ranks.map(|tensors| shaped(&graph, tensors)).collect(),
    };
    let data = Data {
        inputs: vec![inputs.expect("the inputs fit")],
        expected: Some(expected),
    };
    right(&graph, &data, file);
}

#[test]
fn shared_expert_of_the_public_reference() {
    let sizes = [("T", 8), ("D", 1024), ("MOE_INTER", 512)];
    public_reference(SHARED, "shared_t8.safetensors", &sizes);
}

#[test]
fn routed_experts_of_the_public_reference() {
    let sizes = [
        ("N_LOCAL", 4),
        ("RECV_MAX", 32),
        ("D", 1024),
        ("MOE_INTER", 512),
    ];
    public_reference(ROUTED, "routed_4x32.safetensors", &sizes);
}
