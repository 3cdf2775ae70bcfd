//! The interpreter against the gate of the public layer reference.
//!
//! Two sources: small committed files, written by `reference_fixtures/gate_tiny.py`, and outputs of the layer's public torch
//! reference in `../shared/golden` beside the repository. The second is not part of the repository; without it its test says
//! that it skips.

use indexmap::IndexMap;
use std::path::{Path, PathBuf};
use tilewright_backends::data::{
    Comparison, Tensors, Tolerance, compare, compare_routing, expected_of, files, inputs_of,
};
use tilewright_backends::reference;
use tilewright_ir::DType;
use tilewright_ir::graph::{
    Binary, Builder, Graph, GraphError, INT8_AMAX_EPS, InputSpec, NEG_MAX, Op, Prim,
};
use tilewright_ir::text;

/// The settings in a golden file's header.
struct Settings<'a>(&'a IndexMap<String, String>);

impl Settings<'_> {
    fn number<T: std::str::FromStr>(&self, name: &str) -> T {
        let text = self
            .0
            .get(name)
            .unwrap_or_else(|| panic!("the file's header has no `{name}`"));
        text.parse()
            .unwrap_or_else(|_| panic!("`{name}` is `{text}`"))
    }
}

/// The gate of the layer, stages 2 to 5, built node by node.
fn gate(settings: &Settings) -> Graph {
    build(settings).expect("the gate is a graph")
}

fn build(settings: &Settings) -> Result<Graph, GraphError> {
    let topk = settings.number("TOPK");
    let hashed = settings.number::<i64>("layer") < settings.number("n_hash_layers");
    let bound = |bound| InputSpec {
        low: None,
        bound: Some(bound),
        normal: None,
        spread: None,
    };
    let mut b = Builder::new("gate");
    for (size, key) in [
        ("T", "T"),
        ("D", "D"),
        ("N_EXPERTS", "E"),
        ("VOCAB", "V"),
        ("TOPK", "TOPK"),
    ] {
        b.param(size, settings.number(key))?;
    }
    let (tokens, experts): (i64, i64) = (settings.number("T"), settings.number("E"));
    let x_mixed = b.input("x_mixed", DType::Bf16, ["T", "D"])?;
    let norm_w = b.input("norm_w", DType::Bf16, ["D"])?;
    let gate_w = b.input("gate_w", DType::F32, ["N_EXPERTS", "D"])?;
    let num_tokens = b.input_with::<&str>("num_tokens", DType::I32, [], bound(tokens + 1))?;

    b.kernel("ffn_norm", None)?;
    let eps: f32 = settings.number("eps");
    let norm = Op::composite("rms_norm", &[("eps", eps.into())])?;
    let x_norm = b.op_named(&["x_norm"], norm, &[x_mixed, norm_w])?[0];

    b.kernel("x_norm_quant", None)?;
    let quantize = Op::composite("quantize_rows", &[("eps", INT8_AMAX_EPS.into())])?;
    let quantised = b.op_named(&["x_norm_i8", "scale_of_all"], quantize, &[x_norm])?;
    let mask = || Op::Prim(Prim::MaskRows);
    let x_norm_scale = b.op_named(&["x_norm_scale"], mask(), &[quantised[1], num_tokens])?[0];

    b.kernel("gate", None)?;
    let wide = b.cast(x_norm, DType::F32)?;
    let logits = b.prim(Prim::MatmulNt, &[wide, gate_w])?;
    let score = b.composite("sqrt_softplus", &[], &[logits])?[0];

    let all_indices = if hashed {
        let tid2eid = b.input_with("tid2eid", DType::I32, ["VOCAB", "TOPK"], bound(experts))?;
        let vocab = settings.number("V");
        let input_ids = b.input_with("input_ids", DType::I64, ["T"], bound(vocab))?;
        b.kernel("route_hash", None)?;
        b.prim(Prim::GatherRows, &[tid2eid, input_ids])?
    } else {
        let gate_bias = b.input("gate_bias", DType::F32, ["N_EXPERTS"])?;
        b.kernel("route_sort", None)?;
        let biased = b.prim(Prim::ColBinary(Binary::Add), &[score, gate_bias])?;
        let pad = Prim::PadCols {
            cols: 256,
            value: NEG_MAX,
        };
        let padded = b.prim(pad, &[biased])?;
        b.prim(Prim::TopK { k: topk }, &[padded])?
    };
    let scale: f32 = settings.number("route_scale");
    let scale = [("scale", scale.into())];
    let all_weights = b.composite("route_weights", &scale, &[score, all_indices])?[0];
    let indices = b.op_named(&["indices"], mask(), &[all_indices, num_tokens])?[0];
    let weights = b.op_named(&["weights"], mask(), &[all_weights, num_tokens])?[0];
    for value in [x_norm, quantised[0], x_norm_scale, indices, weights] {
        b.output(value);
    }
    b.finish()
}

/// The same from the committed text, at the file's sizes.
fn gate_of_the_example(settings: &Settings) -> Graph {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/dsv4_flash_gate.tw");
    let source = std::fs::read_to_string(path).expect("the example is there");
    let file = text::parse(&source).expect("the example parses");
    let sizes = [
        ("T", "T"),
        ("D", "D"),
        ("N_EXPERTS", "E"),
        ("TOPK", "TOPK"),
        ("VOCAB", "V"),
        ("layer_id", "layer"),
        ("N_HASH_LAYERS", "n_hash_layers"),
    ];
    let sizes = sizes
        .iter()
        .map(|(param, key)| ((*param).to_owned(), settings.number(key)))
        .collect();
    text::elaborate(&file, &sizes).expect("the example is a graph at these sizes")
}

/// Runs a graph on one golden file; returns what each output's comparison found.
fn compare_file(path: &Path, graph: impl Fn(&Settings) -> Graph) -> Vec<Comparison> {
    let file = files::load_with_metadata(path).expect("the file is read");
    let graph = graph(&Settings(&file.metadata));
    let outputs =
        reference::run(&graph, &inputs_of(&file.tensors)).expect("the gate is interpreted");
    let expected = expected_of(&file.tensors);
    let mut comparisons = vec![];
    for name in ["x_norm", "x_norm_i8", "x_norm_scale"] {
        let tolerance = Tolerance::of(outputs[name].dtype);
        let found = compare(name, "golden", &outputs[name], &expected[name], &tolerance);
        comparisons.push(found.expect("same types"));
    }
    comparisons.extend(routing(&outputs, &expected));
    comparisons
}

fn routing(outputs: &Tensors, expected: &Tensors) -> [Comparison; 2] {
    compare_routing(
        ("indices", &outputs["indices"]),
        ("weights", &outputs["weights"]),
        "golden",
        &expected["indices"],
        &expected["weights"],
        &Tolerance::of(DType::F32),
    )
    .expect("same types")
}

fn check(path: &Path, graph: impl Fn(&Settings) -> Graph) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    for c in compare_file(path, graph) {
        println!(
            "{name} {}: max abs {:.3e}, max rel {:.3e}, {} of {} beyond the tolerance",
            c.output, c.max_abs, c.max_rel, c.mismatched, c.elements
        );
        assert!(c.ok, "{name}: {c:?}");
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/reference_fixtures")
        .join(name)
}

#[test]
fn tiny_gate_by_score() {
    check(&fixture("gate_tiny_sort.safetensors"), gate);
}

#[test]
fn tiny_gate_by_hash_with_an_inactive_row() {
    check(&fixture("gate_tiny_hash.safetensors"), gate);
}

/// The gate files of the public reference; none, with a message, where the folder is absent.
fn golden() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/golden");
    if !folder.is_dir() {
        println!("skipped: there are no golden files at ../shared/golden beside the repository");
        return vec![];
    }
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the folder is read")
        .map(|entry| entry.expect("an entry is read").path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("gate_") && name.ends_with(".safetensors")
        })
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no gate_*.safetensors in the folder");
    paths
}

#[test]
fn gate_of_the_public_reference() {
    for path in golden() {
        check(&path, gate);
    }
}

#[test]
fn example_of_the_public_reference() {
    for path in golden() {
        check(&path, gate_of_the_example);
    }
}
