//! What each numerics policy promises of the outputs: on the gate front, for both routings and any number of tokens.

use crate::common;
use indexmap::IndexMap;
use tilewright::compile::Options;
use tilewright::data::{self, Data, Source};
use tilewright::form::Form;
use tilewright::run::{compile_form, run};
use tilewright_backends::data::Tensors;
use tilewright_backends::sim;
use tilewright_ir::graph::Graph;
use tilewright_passes::numerics::Numerics;

const OUTPUTS: [&str; 5] = ["x_norm", "x_norm_i8", "x_norm_scale", "indices", "weights"];

/// Both routings, all tokens and some.
fn cases() -> Vec<(Graph, Data, String)> {
    let mut out = vec![];
    for layer_id in [10, 0] {
        for num_tokens in [8, 3] {
            let sizes = [&common::SMALL[..], &[("layer_id", layer_id)]].concat();
            let graph = common::graph(common::GATE, &sizes);
            let scalars = IndexMap::from([("num_tokens".to_string(), num_tokens)]);
            let seed = Source::Seed(num_tokens as u64);
            let inputs = data::inputs(&graph, &seed, &scalars).expect("inputs are made");
            let data = Data::new(vec![inputs]);
            out.push((
                graph,
                data,
                format!("layer {layer_id}, {num_tokens} tokens"),
            ));
        }
    }
    out
}

fn options(numerics: Numerics) -> Options {
    let mut options = common::options();
    options.search.numerics = numerics;
    options
}

#[test]
fn bitwise_keeps_every_bit_of_the_form_as_written() {
    for (graph, data, case) in cases() {
        let [written, optimized] = both_forms(&graph, &data, &options(Numerics::Bitwise));
        for name in OUTPUTS {
            assert_eq!(written[name], optimized[name], "{name}: {case}");
        }
    }
}

/// The comparison above tells apart what may not be told apart in tolerances.
#[test]
fn sums_in_another_order_do_change_bits() {
    let (graph, data, case) = cases().swap_remove(0);
    let mut options = options(Numerics::Reassociate);
    options.pins = vec!["gate.split_k=4".parse().expect("it is a pin")];
    let [written, optimized] = both_forms(&graph, &data, &options);
    let differ = OUTPUTS.iter().filter(|n| written[**n] != optimized[**n]);
    assert!(differ.count() > 0, "{case}");
}

fn both_forms(graph: &Graph, data: &Data, options: &Options) -> [Tensors; 2] {
    Form::ALL.map(|form| {
        let compiled = compile_form(graph, form, options).expect("the example compiles");
        let how = sim::Options::default();
        let ran = sim::run(&compiled.program, &options.machine, &data.inputs[0], &how);
        ran.expect("the example runs").outputs
    })
}

#[test]
fn looser_policies_stay_within_the_public_tolerances() {
    for (graph, data, case) in cases() {
        for numerics in [Numerics::Reassociate, Numerics::Relaxed] {
            let outcome = run(&graph, &options(numerics), &data).expect("the example runs");
            let checks = &outcome.report.checks;
            assert_eq!(checks.len(), Form::ALL.len() * OUTPUTS.len());
            for c in checks {
                assert!(c.comparison.ok, "{numerics}, {case}: {c:?}");
            }
        }
    }
}
