//! A layer on several ranks: both forms on the simulator of ranks, against the interpreter and the public torch reference.

use indexmap::IndexMap;
use std::path::Path;
use tilewright::compile::Options;
use tilewright::data::{self, Data, Source};
use tilewright::error::Error;
use tilewright::layer::Layer;
use tilewright::ranks::How;
use tilewright::run;
use tilewright_backends::data::{Tensors, files, inputs_of};
use tilewright_ir::graph::Graph;
use tilewright_ir::machine::{DEFAULT_MACHINE, Machine};

fn layer() -> Layer {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/dsv4_flash_moe.tw");
    Layer::load(&path).expect("the example is there")
}

fn settings(pairs: &[(&str, i64)]) -> IndexMap<String, i64> {
    pairs.iter().map(|(n, v)| (n.to_string(), *v)).collect()
}

/// The layer at sizes that a test can afford.
fn small(more: &[(&str, i64)]) -> Graph {
    let sizes = [
        ("T", 4),
        ("D", 64),
        ("MOE_INTER", 32),
        ("N_LOCAL", 2),
        ("TOPK", 2),
        ("VOCAB", 32),
    ];
    let graph = layer().graph(&settings(&[&sizes, more].concat()));
    graph.unwrap_or_else(|e| panic!("{e:?}"))
}

fn options() -> Options {
    let mut options = Options::new(Machine::builtin(DEFAULT_MACHINE).expect("it is built in"));
    // A few iterations find other blocks, tiles and launches, which is what is to be right here.
    options.search.iter_limit = 4;
    options.search.candidates = 1;
    options
}

fn generated(graph: &Graph, scalars: &[(&str, i64)]) -> Data {
    let of_rank = |rank: u64| {
        let inputs = data::inputs(graph, &Source::Seed(7 + rank), &settings(scalars));
        inputs.unwrap_or_else(|e| panic!("{e:?}"))
    };
    Data::new((0..graph.ranks() as u64).map(of_rank).collect())
}

#[test]
fn every_rank_gets_the_interpreters_results() {
    for (ep, layer_id, tokens) in [(2, 10, 4), (2, 0, 3), (4, 10, 4)] {
        let graph = small(&[("EP", ep), ("layer_id", layer_id)]);
        let data = generated(&graph, &[("num_tokens", tokens)]);
        let outcome = run::run(&graph, &options(), &data).unwrap_or_else(|e| panic!("{e:?}"));
        let report = outcome.report;
        assert!(report.ok, "{:?}", report.checks);
        // Two outputs of two forms on each rank.
        assert_eq!(report.checks.len(), 4 * ep as usize);
        let ranks = report.ranks.expect("it ran on ranks");
        assert_eq!(ranks.ranks, ep as usize);
        assert!(ranks.window_bytes > 0 && !ranks.optimized.critical.is_empty());
        assert!(ranks.optimized.us < ranks.written.us);
    }
}

#[test]
fn the_order_in_which_ranks_move_changes_nothing() {
    let graph = small(&[]);
    let data = generated(&graph, &[]);
    let options = options();
    let outcome = run::optimize(&graph, &options).unwrap_or_else(|e| panic!("{e:?}"));
    let inputs = data.inputs;
    let machine = options.machine.clone();
    for (_, compiled) in outcome.compiled.as_ref() {
        let mut first = None;
        for seed in 0..100 {
            let how = tilewright_backends::sim::RankOptions {
                layers: 2,
                carried: vec![("x_next".into(), "x_hc".into())],
                interleaving: tilewright_backends::sim::Interleaving::seeded(seed, inputs.len()),
                ..Default::default()
            };
            let ran =
                tilewright_backends::sim::run_ranks(&compiled.program, &machine, &inputs, &how)
                    .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            let outputs: Vec<Tensors> = ran.ranks.into_iter().map(|r| r.outputs).collect();
            let first = first.get_or_insert_with(|| outputs.clone());
            assert!(*first == outputs, "seed {seed} gives other bits");
        }
    }
}

#[test]
fn serial_layers_use_the_same_windows() {
    let graph = small(&[]);
    let data = generated(&graph, &[]);
    let options = Options {
        ranks: How {
            layers: 3,
            seed: Some(5),
        },
        ..options()
    };
    let outcome = run::run(&graph, &options, &data).unwrap_or_else(|e| panic!("{e:?}"));
    assert!(outcome.report.ok, "{:?}", outcome.report.checks);
}

#[test]
fn a_lane_that_is_sent_too_much_is_refused_with_its_place() {
    // By hash with a table of one expert: every token goes to expert 1 of rank 0, twice.
    let graph = small(&[("layer_id", 0), ("RECV_MAX", 3)]);
    let mut data = generated(&graph, &[]);
    let everywhere = |inputs: &mut Tensors| {
        let table = &mut inputs["tid2eid"];
        let one = 1i32.to_le_bytes();
        table.bytes = one.repeat(table.bytes.len() / 4);
    };
    data.inputs.iter_mut().for_each(everywhere);
    let refused =
        run::run(&graph, &options(), &data).expect_err("sixteen rows do not fit into three");
    let Error::ExchangeFailed { message, help } = &*refused.error else {
        panic!("{refused:?}");
    };
    assert_eq!(
        message,
        "rank 0 is sent 16 rows for its expert 1, which has room for 3"
    );
    assert!(help.contains("--capacity fixed:16"), "{help}");
}

#[test]
fn the_whole_layer_is_the_public_references() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for case in [
        "moe_ep2_hash_n5",
        "moe_ep2_sort",
        "moe_ep4_sort",
        "moe_ep8_sort",
    ] {
        let path = root.join(format!("../shared/golden/{case}.safetensors"));
        if !path.exists() {
            println!("skipped {case}: {} is not there", path.display());
            continue;
        }
        let saved = files::load_with_metadata(&path).expect("it reads");
        let ranks: usize = saved.metadata["ep"].parse().expect("a number");
        let inputs = inputs_of(&saved.tensors);
        let of_rank = |rank| data::of_rank(&inputs, rank, ranks).expect("a part for each rank");
        let explicit = settings(&[("EP", ranks as i64)]);
        let layer = layer();
        let sizes = layer.settings_for(&explicit, &of_rank(0));
        let graph = layer
            .graph(&sizes.expect("the sizes follow"))
            .expect("a graph");
        let checked = |rank| {
            let given = Source::Given(of_rank(rank));
            data::inputs(&graph, &given, &IndexMap::new()).expect("they fit")
        };
        let data = Data {
            inputs: (0..ranks).map(checked).collect(),
            expected: Some(data::load_expected(&path, &graph).expect("outputs")),
        };
        let outcome = run::run(&graph, &options(), &data).unwrap_or_else(|e| panic!("{e:?}"));
        assert!(outcome.report.ok, "{case}: {:?}", outcome.report.checks);
    }
}
