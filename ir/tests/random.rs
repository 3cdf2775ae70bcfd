//! Random text never panics, and random graphs come back from their text and JSON.

use indexmap::IndexMap;
use proptest::prelude::*;
use tilewright_ir::dtype::{DType, Round};
use tilewright_ir::graph::{
    Accuracy, Binary, Builder, Graph, InputSpec, LaunchKind, Op, Prim, Reduce, Schedule, TileSpec,
    Unary, Value, verify,
};
use tilewright_ir::op::AttrValue;
use tilewright_ir::text;

const EXAMPLES: [&str; 5] = [
    include_str!("../../examples/dsv4_flash_gate.tw"),
    include_str!("../../examples/rms_norm.tw"),
    include_str!("../../examples/all_reduce.tw"),
    include_str!("../../examples/ring_all_gather.tw"),
    include_str!("fixtures/format/messy.tw"),
];

/// Reads bytes as a file as far as they go; what parses must also print to a fixed point.
fn read(bytes: &[u8]) {
    let Ok(file) = text::parse_bytes(bytes) else {
        return;
    };
    let printed = text::print(&file);
    let again = text::parse(&printed).expect("what is printed parses");
    assert_eq!(text::print(&again), printed);
    if let Ok(graph) = text::elaborate(&file, &IndexMap::new()) {
        let printed = text::print_graph(&graph);
        let file = text::parse(&printed).expect("what is printed parses");
        let again = text::elaborate(&file, &IndexMap::new()).expect("and is a graph");
        assert_eq!(again, graph);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read(&bytes);
    }

    #[test]
    fn random_words_do_not_panic(words in proptest::collection::vec(0usize..WORDS.len(), 0..60)) {
        let words: Vec<&str> = words.into_iter().map(|w| WORDS[w]).collect();
        read(words.join(" ").as_bytes());
        read(format!("graph g {{\n{}\n}}\n", words.join(" ")).as_bytes());
        read(format!("graph g {{\ninput x: f32[4, 8]\nkernel k {{\n{}\n}}\noutput y\n}}\n", words.join(" ")).as_bytes());
    }

    #[test]
    fn mutated_examples_do_not_panic(
        example in 0..EXAMPLES.len(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0u8..5, any::<u8>()), 1..6),
    ) {
        let mut bytes = EXAMPLES[example].as_bytes().to_vec();
        for (at, other, kind, byte) in edits {
            if bytes.is_empty() {
                break;
            }
            let (at, other) = (at.index(bytes.len()), other.index(bytes.len()));
            match kind {
                0 => bytes[at] = byte,
                1 => { bytes.remove(at); }
                2 => bytes.insert(at, byte & 0x7f),
                3 => bytes.swap(at, other),
                _ => {
                    let (low, high) = (at.min(other), at.max(other).min(at.min(other) + 40));
                    let piece = bytes[low..high].to_vec();
                    let place = at.max(other).min(bytes.len());
                    bytes.splice(place..place, piece);
                }
            }
        }
        read(&bytes);
    }

    #[test]
    fn settings_do_not_panic(values in proptest::collection::vec(prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(0), -3i64..100, any::<i64>()], 9)) {
        let file = text::parse(EXAMPLES[0]).expect("it parses");
        let names = file.params().map(|p| p.name.name.clone());
        let settings: IndexMap<String, i64> = names.zip(values).collect();
        if let Ok(graph) = text::elaborate(&file, &settings) {
            prop_assert_eq!(verify(&graph), Ok(()));
        }
    }

    #[test]
    fn mutated_json_does_not_panic(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), prop_oneof![Just("0"), Just("9"), Just("-1"), Just("null"), Just("[]"), Just("1e99"), Just("\"x\"")]), 1..4),
    ) {
        let file = text::parse(EXAMPLES[0]).expect("it parses");
        let graph = text::elaborate(&file, &IndexMap::new()).expect("it is a graph");
        let mut json = serde_json::to_value(&graph).expect("it has a JSON form");
        for (at, with) in edits {
            let mut places = vec![];
            leaves(&json, String::new(), &mut places);
            if places.is_empty() {
                break;
            }
            let place = &places[at.index(places.len())];
            if let Some(leaf) = json.pointer_mut(place) {
                *leaf = serde_json::from_str(with).expect("it is JSON");
            }
        }
        if let Ok(graph) = Graph::from_json(&json.to_string()) {
            prop_assert_eq!(verify(&graph), Ok(()));
            read(text::print_graph(&graph).as_bytes());
        }
    }

    #[test]
    fn random_graphs_round_trip(steps in proptest::collection::vec((0usize..40, any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<i8>(), 0u8..8), 1..30)) {
        let graph = random_graph(&steps);
        let printed = text::print_graph(&graph);
        let file = text::parse(&printed).expect("what is printed parses");
        prop_assert_eq!(&text::print(&file), &printed);
        let again = text::elaborate(&file, &IndexMap::new());
        prop_assert_eq!(again.as_ref().map_err(ToString::to_string), Ok(&graph), "{}", printed);
        let json = graph.to_json().expect("it has a JSON form");
        let again = Graph::from_json(&json).map_err(|e| e.to_string());
        prop_assert_eq!(again.as_ref(), Ok(&graph));
    }
}

const WORDS: [&str; 46] = [
    "graph",
    "g",
    "{",
    "}",
    "param",
    "P",
    "=",
    "8",
    "input",
    "x",
    ":",
    "f32",
    "[",
    "]",
    ",",
    "kernel",
    "k",
    "when",
    "<",
    "<=",
    "~",
    "normal",
    "(",
    ")",
    "launch",
    "parallel",
    "tile",
    "over",
    "loop",
    "pipeline",
    "output",
    "y",
    "exp",
    "matmul_nt",
    "+",
    "-",
    "*",
    "/",
    "1e-6",
    "0",
    "\n",
    "// c\n",
    "lowest",
    "cast",
    "to",
    "top_k",
];

/// The JSON pointers of all leaves.
fn leaves(value: &serde_json::Value, at: String, places: &mut Vec<String>) {
    match value {
        serde_json::Value::Array(items) if !items.is_empty() => {
            for (i, item) in items.iter().enumerate() {
                leaves(item, format!("{at}/{i}"), places);
            }
        }
        serde_json::Value::Object(items) if !items.is_empty() => {
            for (key, item) in items {
                leaves(item, format!("{at}/{key}"), places);
            }
        }
        _ => places.push(at),
    }
}

/// A graph from random choices: each step tries an operation on earlier values, and is dropped where they do not fit.
fn random_graph(steps: &[(usize, prop::sample::Index, prop::sample::Index, i8, u8)]) -> Graph {
    let mut b = Builder::new("random");
    let mut values: Vec<Value> = vec![];
    for (name, size) in [("R", 6), ("C", 10), ("ONE", 1), ("below", -7)] {
        b.param(name, size).expect("names are free");
    }
    let bound = |bound| InputSpec {
        bound: Some(bound),
        ..InputSpec::default()
    };
    let normal = InputSpec {
        normal: Some((-0.5, 1e-3)),
        ..InputSpec::default()
    };
    let mut input = |b: &mut Builder, name, dtype, shape: &[&str], spec| {
        let v = b.input_with(name, dtype, shape.iter().copied(), spec);
        values.push(v.expect("the inputs are right"));
    };
    input(&mut b, "x", DType::F32, &["R", "C"], normal);
    input(&mut b, "h", DType::Bf16, &["R", "C"], InputSpec::default());
    input(&mut b, "row", DType::F32, &["C"], InputSpec::default());
    input(
        &mut b,
        "column",
        DType::F32,
        &["R", "ONE"],
        InputSpec::default(),
    );
    input(&mut b, "ids", DType::I64, &["R"], bound(i64::MAX));
    input(&mut b, "index", DType::I32, &["R", "ONE"], bound(6));
    input(&mut b, "n", DType::I32, &[], bound(7));
    let first = Schedule {
        launch: LaunchKind::Spmd,
        tiles: [(
            "R_TILE".to_string(),
            TileSpec {
                axis: "R".into(),
                size: 3,
                per_block: false,
            },
        )]
        .into(),
        pipeline: 3,
    };
    b.kernel("first", Some(first)).expect("names are free");
    values.push(
        b.prim(Prim::Unary(Unary::Exp), &[values[0]])
            .expect("it fits"),
    );
    for (number, (choice, left, right, constant, flags)) in steps.iter().enumerate() {
        let x = values[left.index(values.len())];
        let y = values[right.index(values.len())];
        let value = f32::from(*constant) / 8.0;
        let op = op(*choice, value, usize::from(*flags));
        let operands = if op.arity() == 1 { vec![x] } else { vec![x, y] };
        if let Ok(results) = b.op(op, &operands) {
            values.extend(results);
            if *flags == 7 {
                let name = format!("kernel_{number}");
                b.kernel(&name, None).expect("names are free");
                values.push(
                    b.prim(Prim::Unary(Unary::Neg), &[values[0]])
                        .expect("it fits"),
                );
            }
        }
    }
    let last = values[values.len() - 1];
    b.output(last);
    if let Some((_, _, _, value, flags)) = steps.last()
        && *flags % 2 == 1
    {
        let accuracy = Accuracy {
            atol: f64::from(*value).abs() / 3.0,
            rtol: 1e-7,
            outliers: f64::from(*flags) / 10.0,
        };
        b.within(last, accuracy).expect("it is an accuracy");
    }
    b.finish().expect("each step was checked")
}

fn op(choice: usize, value: f32, flag: usize) -> Op {
    let binary = Binary::ALL[flag % 6];
    match choice % 16 {
        0 => Op::Prim(Prim::Cast {
            to: DType::ALL[flag % 7],
            round: Round::ALL[flag % 5],
        }),
        1 => Op::Prim(Prim::Unary(Unary::ALL[flag % 5])),
        2 => Op::Prim(Prim::Scalar { op: binary, value }),
        3 => Op::Prim(Prim::ScalarLeft { op: binary, value }),
        4 => Op::Prim(Prim::Binary(binary)),
        5 => Op::Prim(Prim::RowBinary(binary)),
        6 => Op::Prim(Prim::ColBinary(binary)),
        7 => Op::Prim(Prim::RowReduce(Reduce::ALL[flag % 3])),
        8 => Op::Prim(Prim::MatmulNt),
        9 => Op::Prim(Prim::PadCols {
            cols: 8 + flag,
            value: if flag == 0 { f32::MIN } else { value },
        }),
        10 => Op::Prim(Prim::TopK { k: flag }),
        11 => Op::Prim(Prim::GatherCols),
        12 => Op::Prim(Prim::GatherRows),
        13 => Op::Prim(Prim::MaskRows),
        14 => composite("quantize_rows", &[("eps", value.into())]),
        _ => match flag % 3 {
            0 => composite("rms_norm", &[("eps", value.into())]),
            1 => composite("sqrt_softplus", &[]),
            _ => composite("route_weights", &[("scale", value.into())]),
        },
    }
}

fn composite(name: &str, attributes: &[(&str, AttrValue)]) -> Op {
    Op::composite(name, attributes).expect("the library has it")
}
