//! All terms of an e-class denote one value: every e-node of saturated e-graphs, evaluated through its blocks.

mod support;

#[path = "support/graphs.rs"]
mod graphs;

use egg::{Id, Pattern, Rewrite, Runner, SimpleScheduler, Symbol};
use indexmap::IndexMap;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use std::cell::Cell;
use support::choices::choices;
use support::classes::{Agreement, Inputs, Tally, check, values};
use support::evaluate::Denotation;
use support::value::{Arithmetic, Value};
use tilewright_backends::data::{Tensor, Tensors};
use tilewright_backends::reference;
use tilewright_ir::graph::Graph as Layer;
use tilewright_ir::machine::Machine;
use tilewright_ir::text;
use tilewright_passes::decompose::decompose;
use tilewright_passes::egraph::rules::{self, Role};
use tilewright_passes::egraph::saturate::{Saturated, first_wrong, saturate};
use tilewright_passes::egraph::{SaturateError, SearchOptions, Stop};
use tilewright_passes::numerics::Numerics;
use tilewright_passes::problem::{KernelSpec, Problem, ProblemError, build};
use tilewright_passes::prune::prune;
use tilewright_passes::term::analysis::{Graph, TermAnalysis};
use tilewright_passes::term::language::{Head, Term};

const GATE: &str = include_str!("../../examples/dsv4_flash_gate.tw");
const NORM: &str = include_str!("../../examples/rms_norm.tw");

/// Sums in f64 in another order; inputs are chosen so that most are exact.
const TIGHT: Agreement = Agreement::Within(1e-9);

/// Constants that rules join are rounded to f32.
const REAL: Agreement = Agreement::Real(1e-6);

/// How many are checked. What was compared is printed with `--nocapture`.
const RANDOM_GRAPHS: u32 = 96;

fn layer(source: &str, settings: &[(&str, i64)]) -> Layer {
    let file = text::parse(source).unwrap();
    let settings: IndexMap<String, i64> =
        settings.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    let graph = text::elaborate(&file, &settings).unwrap();
    prune(&decompose(&graph).unwrap())
}

fn built(layer: &Layer) -> Result<Problem, ProblemError> {
    build(layer, &Machine::builtin("A3").unwrap())
}

fn saturated(problem: &Problem, numerics: Numerics) -> Result<Saturated, SaturateError> {
    let machine = Machine::builtin("A3").unwrap();
    let optional = rules::table().iter().filter(|r| r.role == Role::Optional);
    let options = SearchOptions {
        numerics,
        enabled: optional.map(|r| r.name.to_string()).collect(),
        ..Default::default()
    };
    saturate(problem, &machine, &options)
}

/// Saturates a layer, checks it, and compares its buffers with the reference interpreter.
fn checked(layer: &Layer, numerics: Numerics) -> Tally {
    let problem = built(layer).unwrap();
    let s = saturated(&problem, numerics).unwrap();
    assert_eq!(s.report.stop, Stop::Saturated);
    assert_eq!(first_wrong(&s.egraph), None);
    if numerics == Numerics::Relaxed {
        return same_reals(&s.egraph, &graphs::rough_inputs(layer, 7))
            .unwrap_or_else(|faults| panic!("{} faults\n{}", faults.len(), faults.join("\n")));
    }
    let inputs = graphs::inputs(layer, 7);
    let tally = check(&s.egraph, &inputs, Arithmetic::Wide, TIGHT)
        .unwrap_or_else(|faults| panic!("{} faults\n{}", faults.len(), faults.join("\n")));
    buffers_are_right(layer, &problem, &s, &inputs);
    if numerics == Numerics::Bitwise {
        same_bits(&s.egraph, &graphs::rough_inputs(layer, 7))
            .unwrap_or_else(|faults| panic!("{} faults\n{}", faults.len(), faults.join("\n")));
    }
    println!("{numerics}: {tally:?}");
    tally
}

/// Under the strictest policy, classes agree in every bit when operations round as they do on chip.
fn same_bits(egraph: &Graph, inputs: &Inputs) -> Result<Tally, Vec<String>> {
    check(egraph, inputs, Arithmetic::Native, Agreement::Exact)
}

/// Under the loosest policy, classes are one real number when floats are not rounded. Inputs have no ties: where two forms differ
/// in the last place of f64, a selection would see it.
fn same_reals(egraph: &Graph, inputs: &Inputs) -> Result<Tally, Vec<String>> {
    check(egraph, inputs, Arithmetic::Real, REAL)
}

/// What the kernels store is what the layer computes: anchors the evaluator, and the way from the layer to terms.
fn buffers_are_right(layer: &Layer, problem: &Problem, s: &Saturated, inputs: &Inputs) {
    let tensors: Tensors = layer
        .inputs()
        .into_iter()
        .map(|v| {
            let (name, ty) = (layer.name(v), layer.ty(v));
            let data = &inputs[&Symbol::from(name)].data;
            let data: Vec<f32> = data.iter().map(|x| x.unwrap() as f32).collect();
            let tensor = Tensor::from_f32(ty.dtype, &ty.sizes(), &data).unwrap();
            (name.to_string(), tensor)
        })
        .collect();
    let expected = reference::run_all(layer, &tensors).unwrap();
    let (found, _) = values(&s.egraph, inputs, Arithmetic::Wide, &Default::default());
    for (kernel, classes) in problem.kernels.iter().zip(&s.buffers) {
        for (store, class) in kernel.stores.iter().zip(classes) {
            let Denotation::Value(found) = &found[&s.egraph.find(*class)] else {
                panic!("{} is no value", store.name);
            };
            let expected = expected[&store.name].to_f64();
            assert_eq!(expected.len(), found.data.len(), "{}", store.name);
            for (x, y) in expected.iter().zip(&found.data) {
                let y = y.unwrap();
                let near = *x == y || (x - y).abs() <= 1e-4 * x.abs().max(y.abs()).max(1e-3);
                assert!(near || x.is_nan() && y.is_nan(), "{}: {x}, {y}", store.name);
            }
        }
    }
}

/// Sizes of the gate that are small, and not powers of two.
fn gate_sizes(layer_id: i64) -> [Vec<(&'static str, i64)>; 3] {
    let of = |t, d, n, k| {
        vec![
            ("T", t),
            ("D", d),
            ("N_EXPERTS", n),
            ("TOPK", k),
            ("VOCAB", 16),
            ("SORT_COLS", 2 * n),
            ("layer_id", layer_id),
        ]
    };
    [of(4, 96, 48, 3), of(6, 256, 20, 5), of(2, 768, 24, 6)]
}

#[test]
fn gate_that_routes_by_score() {
    for sizes in gate_sizes(10) {
        for numerics in Numerics::ALL {
            checked(&layer(GATE, &sizes), numerics);
        }
    }
}

#[test]
fn gate_that_routes_by_hash() {
    for sizes in gate_sizes(0) {
        for numerics in Numerics::ALL {
            checked(&layer(GATE, &sizes), numerics);
        }
    }
}

#[test]
fn norm_without_a_schedule() {
    for (t, d) in [(8, 96), (6, 1792), (5, 40)] {
        for numerics in Numerics::ALL {
            checked(&layer(NORM, &[("T", t), ("D", d)]), numerics);
        }
    }
}

/// Every example reaches a fixpoint within the default limits, at its own sizes; scales leave the product and the extremum of
/// what is quantised under the loosest policy.
#[test]
fn examples_saturate() {
    let hash = [("layer_id", 0)];
    for layer in [layer(GATE, &[]), layer(GATE, &hash), layer(NORM, &[])] {
        for numerics in [Numerics::default(), Numerics::Relaxed] {
            let s = saturated(&built(&layer).unwrap(), numerics).unwrap();
            assert_eq!(s.report.stop, Stop::Saturated, "{:?}", s.report);
            assert!(s.report.nodes < 15_000, "{:?}", s.report);
            assert_eq!(first_wrong(&s.egraph), None);
        }
    }
}

/// Whether all kernels as written add up as many elements in the same order.
fn has_one_order(problem: &Problem) -> bool {
    let all = || problem.kernels.iter().flat_map(|k| &k.reduces);
    all().all(|a| all().all(|b| a.extent != b.extent || a.seed.chunk == b.seed.chunk))
}

/// Whether the tiles of a kernel as written divide what they cut.
fn has_whole_tiles(spec: &KernelSpec) -> bool {
    let reduces = spec.reduces.iter().map(|r| (r.extent, r.seed.chunk));
    let rows = spec.stores.iter().map(|s| (s.rows, spec.block_rows));
    let cols = spec.stores.iter().flat_map(|s| {
        let number = |id: Id| match s.launch[id] {
            Term::Num(n) => n as usize,
            _ => 1,
        };
        let nodes = s.launch.as_ref().iter();
        nodes
            .filter_map(move |node| match node {
                Term::App(Head::Cols, c) => Some((number(c[1]), number(c[2]))),
                _ => None,
            })
            .flat_map(|(n, c)| [(s.data_cols, n), (n, c)])
            .collect::<Vec<_>>()
    });
    let mut all = reduces.chain(rows).chain(cols);
    all.all(|(extent, tile)| tile > 0 && extent.is_multiple_of(tile))
}

#[test]
fn random_graphs() {
    let config = ProptestConfig {
        cases: RANDOM_GRAPHS,
        max_global_rejects: 10_000,
        max_shrink_iters: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let total = Cell::new(Tally::default());
    let run = runner.run(&(choices(), 0..3usize), |(mut c, policy)| {
        let graph = graphs::graph(&mut c);
        prop_assume!(graph.is_some());
        let layer = prune(&decompose(&graph.unwrap()).unwrap());
        let problem = match built(&layer) {
            Ok(p) => p,
            // Tiles as written need not divide what padding or selection made.
            Err(ProblemError::NothingStored { .. }) => {
                return Err(TestCaseError::reject("no problem"));
            }
            Err(e) => return Err(TestCaseError::fail(e.to_string())),
        };
        // A denotation is of blocks of one size. Those of several are compared where kernels run.
        prop_assume!(problem.kernels.iter().all(has_whole_tiles));
        // Of a sum that two kernels take in different orders, each keeps its own when it is chosen; their class has both.
        prop_assume!(has_one_order(&problem));
        let numerics = Numerics::ALL[policy];
        let s = saturated(&problem, numerics)
            .map_err(|e| TestCaseError::fail(format!("{e}\n{}", text::print_graph(&layer))))?;
        prop_assert_eq!(s.report.stop, Stop::Saturated);
        prop_assert_eq!(first_wrong(&s.egraph), None);
        let inputs = graphs::inputs(&layer, 11);
        let rough = graphs::rough_inputs(&layer, 11);
        let exact = || check(&s.egraph, &inputs, Arithmetic::Wide, TIGHT);
        let result = match numerics {
            Numerics::Bitwise => exact().and_then(|_| same_bits(&s.egraph, &rough)),
            Numerics::Reassociate => exact(),
            Numerics::Relaxed => same_reals(&s.egraph, &rough),
        };
        let tally = result.map_err(|faults| {
            let some = faults[..faults.len().min(8)].join("\n");
            TestCaseError::fail(format!("{some}\n{}", text::print_graph(&layer)))
        })?;
        let mut sum = total.get();
        sum += tally;
        total.set(sum);
        Ok(())
    });
    run.unwrap_or_else(|e| panic!("{e}"));
    println!("{:?}", total.get());
}

/// Applies a planted rule to the saturated gate, and returns what the check has to say.
fn planted(egraph: &Graph, inputs: &Inputs, left: &str, right: &str) -> Vec<String> {
    let parse = |side: &str| side.parse::<Pattern<Term>>().unwrap();
    let rule: Rewrite<Term, TermAnalysis> =
        Rewrite::new("planted", parse(left), parse(right)).unwrap();
    let runner: Runner<Term, TermAnalysis> = Runner::new(TermAnalysis::default())
        .with_egraph(egraph.clone())
        .with_scheduler(SimpleScheduler)
        .with_iter_limit(1)
        .run(&[rule]);
    assert_ne!(
        runner.iterations[0].applied.len(),
        0,
        "{left} never matched"
    );
    let result = check(&runner.egraph, inputs, Arithmetic::Wide, TIGHT);
    result.err().unwrap_or_default()
}

/// The row scale of the norm leaves both the gate's product and the extremum that quantises, across kernels.
#[test]
fn row_scales_move_outwards() {
    let s = |numerics| {
        let problem = built(&layer(GATE, &gate_sizes(10)[0])).unwrap();
        saturated(&problem, numerics).unwrap().report.rules
    };
    let (relaxed, default) = (s(Numerics::Relaxed), s(Numerics::default()));
    for rule in [
        "scale-rows-last",
        "product-of-scaled-rows",
        "drop-rounding",
        "extremum-of-rounded",
        "extremum-of-scaled",
        "divide-by-scale",
    ] {
        assert!(relaxed[rule].applied > 0, "{rule}: {relaxed:?}");
    }
    assert!(!default.contains_key("scale-rows-last"));
}

/// The smallest gate, saturated.
fn host() -> (Graph, Inputs) {
    let layer = layer(GATE, &gate_sizes(10)[0]);
    let s = saturated(&built(&layer).unwrap(), Numerics::Reassociate).unwrap();
    (s.egraph, graphs::inputs(&layer, 7))
}

/// The analysis sees no difference in any of these: what tells is the value, or how it is read from blocks.
#[test]
fn planted_rules_are_caught() {
    let wrong = [
        // The extent of a sum is half of the row.
        ("(fold.sum ?d 96 48 ?t)", "(fold.sum 1 48 48 ?t)"),
        // Parts that are read at the stride of another split: three parts are added where six lie.
        (
            "(add_parts ?s (load ?r ?c (buf ?p (parts ?s ?a ?b))))",
            "(add_parts 3 (load ?r ?c (buf wrong (parts 6 ?a ?b))))",
        ),
        // Only the first part is read.
        ("(add_parts ?s (load ?r ?c ?v))", "(load ?r ?c ?v)"),
        // A product over another number of parts of the same width.
        ("(mm_parts ?s ?d ?e ?k ?a ?b)", "(mm ?d ?e ?k ?a ?b)"),
        // A part's product reads half of its columns.
        (
            "(mm_parts 3 ?d 32 32 (tile ?r 32 ?a) (tile ?c 32 ?b))",
            "(mm_parts 3 ?d 16 16 (tile ?r 16 ?a) (tile ?c 16 ?b))",
        ),
        // Another constant, another operand order, another mask.
        ("(s.add ?x 1.0)", "(s.add ?x 2.0)"),
        (
            "(row.mul (tile ?r ?c ?x) ?s)",
            "(row.div (tile ?r ?c ?x) ?s)",
        ),
        ("(mask_rows ?x ?n)", "?x"),
    ];
    let (egraph, inputs) = host();
    for (left, right) in wrong {
        let faults = planted(&egraph, &inputs, left, right);
        assert!(!faults.is_empty(), "{left} => {right} passes");
        println!("{left} => {right}\n  {}", faults[0]);
    }
}

/// A right rule of the same sort passes.
#[test]
fn planted_rules_that_are_right_pass() {
    let (egraph, inputs) = host();
    for (left, right) in [
        ("(s.add ?x 1.0)", "(s.add (s.add ?x 0.5) 0.5)"),
        ("(load ?r ?c ?v)", "(tile ?r ?c ?v)"),
    ] {
        let faults = planted(&egraph, &inputs, left, right);
        assert_eq!(faults, Vec::<String>::new());
    }
}

/// A block that is larger than the value, and elements that are written twice or not at all, are faults of their own.
#[test]
fn blocks_are_checked() {
    use support::value::Block;
    use tilewright_ir::dtype::DType;
    use tilewright_passes::term::analysis::Kind;
    let v = Value::tensor(DType::F32, 2, 6, &[0.0; 12]);
    let why = v.cut(Kind::Tile, (2, 8)).unwrap_err();
    assert_eq!(why, "2 x 6 has no blocks of 2 x 8");
    let last = v.cut(Kind::Tile, (2, 4)).unwrap().read((0, 1)).unwrap();
    assert_eq!((last.rows, last.cols), (2, 2));
    let tiles = v.cut(Kind::Tile, (1, 3)).unwrap();
    let why = tiles.read((2, 0)).unwrap_err();
    assert_eq!(
        why,
        "block (2, 0) is read, but there are 2 x 2 blocks of 1 x 3"
    );
    let mut out = Value::unwritten(Kind::Tensor, DType::F32, (1, 4), (1, 4));
    let block = Block {
        rows: 1,
        cols: 2,
        data: vec![0.0; 2],
    };
    out.write((0, 1), &block).unwrap();
    assert_eq!(
        out.write((0, 2), &block).unwrap_err(),
        "(0, 2) is written twice"
    );
    assert_eq!(out.complete().unwrap_err(), "nothing writes (0, 0)");
}
