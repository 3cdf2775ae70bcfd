//! What a composite is made of computes what the interpreter computes from the composite's definition, on inputs for which
//! every constant in it matters.

use indexmap::IndexMap;
use tilewright_backends::data::{Tensors, Tolerance, compare, generate};
use tilewright_backends::reference;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{Graph, Op};
use tilewright_ir::text::{elaborate, parse};
use tilewright_passes::decompose::decompose;

/// A composite with a constant, and with another one that must give something else.
struct Case {
    /// Inputs by name, type and distribution, separated by commas.
    inputs: &'static str,
    /// The call, with `{}` for the constant.
    call: &'static str,
    outputs: &'static [&'static str],
    constant: &'static str,
    /// With this one the results differ: the inputs are such that the constant matters.
    other: &'static str,
}

const fn case(
    inputs: &'static str,
    call: &'static str,
    outputs: &'static [&'static str],
    constant: &'static str,
    other: &'static str,
) -> Case {
    Case {
        inputs,
        call,
        outputs,
        constant,
        other,
    }
}

const NORM: &str = "x: bf16[T, D] ~ normal(0, 0.001); w: f32[D] ~ normal(1, 0.1)";
const GATES: &str = "gate: f32[T, D] ~ normal(0, 4); up: f32[T, D] ~ normal(0, 4)";
const SMALL: &str = "x: f32[T, D] ~ normal(0, 0.00001)";
const ROUTES: &str = "scores: f32[T, D] ~ normal(5, 1); idx: i32[T, 6] < D";
const STREAMS: &str = "x: bf16[T, 4 * D] ~ normal(0, 0.01); fn: f32[24, 4 * D] ~ normal(0, 0.3); \
                       scale: f32[3] ~ normal(1, 0.1); base: f32[24]";
const BACK: &str = "y: bf16[T, D]; x: bf16[T, 4 * D]; post: f32[T, 4]; comb: f32[T, 16]";
const ACC: &str = "acc: i32[T, D] < 100000; row: f32[T, 1]; col: f32[D]";

#[rustfmt::skip]
const CASES: [Case; 15] = [
    case(NORM, "y = rms_norm(x, w, eps = {})", &["y"], "1e-6", "1e-12"),
    case(SMALL, "q, s = quantize_rows(x, eps = {})", &["q", "s"], "1e-4", "1e-9"),
    case("x: f32[T, D]", "q, s = quantize_rows(x, eps = {})", &["q", "s"], "1e-4", "10.0"),
    case(GATES, "y = swiglu(gate, up, limit = {})", &["y"], "2.0", "0.0"),
    case(GATES, "y = swiglu(gate, up, limit = {})", &["y"], "0.0", "2.0"),
    // One clamp each.
    case("gate: f32[T, D] ~ normal(9, 1); up: f32[T, D]", "y = swiglu(gate, up, limit = {})", &["y"], "6.0", "0.0"),
    case("gate: f32[T, D]; up: f32[T, D] ~ normal(9, 1)", "y = swiglu(gate, up, limit = {})", &["y"], "6.0", "0.0"),
    case("gate: f32[T, D]; up: f32[T, D] ~ normal(-9, 1)", "y = swiglu(gate, up, limit = {})", &["y"], "6.0", "0.0"),
    case(ROUTES, "y = route_weights(scores, idx, scale = {})", &["y"], "1.5", "1.0"),
    case(STREAMS, HC_NORM, &["m", "post", "comb"], "1e-4", "1e-9"),
    case(STREAMS, HC_EPS, &["m", "post", "comb"], "0.1", "1e-6"),
    case(STREAMS, HC_TURNS, &["m", "post", "comb"], "3", "1"),
    // No constant: the inputs are all that matters.
    case("x: f32[T, D] ~ normal({}, 8)", "y = sqrt_softplus(x)", &["y"], "0", "5"),
    case(ACC, "y = dequantize(acc, row * {}, col)", &["y"], "1.0", "2.0"),
    case(BACK, "z = hc_post(y, x, post * {}, comb)", &["z"], "1.0", "2.0"),
];

const HC_NORM: &str =
    "m, post, comb = hc_pre(x, fn, scale, base, norm_eps = {}, hc_eps = 1e-6, iterations = 2)";
const HC_EPS: &str =
    "m, post, comb = hc_pre(x, fn, scale, base, norm_eps = 1e-6, hc_eps = {}, iterations = 2)";
const HC_TURNS: &str =
    "m, post, comb = hc_pre(x, fn, scale, base, norm_eps = 1e-6, hc_eps = 1e-6, iterations = {})";

impl Case {
    fn graph(&self, constant: &str) -> Graph {
        let inputs: String = self
            .inputs
            .split("; ")
            .map(|i| format!("  input {}\n", i.trim().replace("{}", constant)))
            .collect();
        let text = format!(
            "graph g {{\n  param T = 8\n  param D = 64\n{inputs}  kernel k {{\n    {}\n  }}\n  output {}\n}}\n",
            self.call.replace("{}", constant),
            self.outputs.join(", ")
        );
        let file = parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        elaborate(&file, &IndexMap::new()).unwrap_or_else(|e| panic!("{e}\n{text}"))
    }
}

/// Of an element's own size, and of rounding where a sum cancels.
fn tolerance(dtype: DType, largest: f64) -> Tolerance {
    match dtype {
        DType::I8 => Tolerance::of(dtype),
        DType::Bf16 => Tolerance {
            atol: 1e-3 * largest,
            rtol: 1.0 / 128.0,
            ..Tolerance::EXACT
        },
        _ => Tolerance {
            atol: 1e-6 * largest,
            rtol: 5e-4,
            ..Tolerance::EXACT
        },
    }
}

/// The share of an output's elements that are off, and whether that is too much.
fn off(name: &str, actual: &Tensors, expected: &Tensors) -> (f64, bool) {
    let expected = &expected[name];
    let values = expected.to_f64();
    let largest = values.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
    let tolerance = tolerance(expected.dtype, largest);
    let told = compare(name, "", &actual[name], expected, &tolerance).unwrap();
    (told.mismatched as f64 / told.elements as f64, told.ok)
}

fn run(graph: &Graph) -> Tensors {
    let inputs = generate(graph, 11, &IndexMap::new()).unwrap();
    reference::run(graph, &inputs).unwrap()
}

#[test]
fn composites_are_what_they_are_made_of() {
    for case in &CASES {
        let graph = case.graph(case.constant);
        let parts = decompose(&graph).unwrap();
        let left = parts
            .nodes
            .node_weights()
            .filter(|n| matches!(n.op, Op::Composite(_)));
        assert_eq!(left.count(), 0, "{}", case.call);
        let (whole, parts) = (run(&graph), run(&parts));
        for name in case.outputs {
            let (share, ok) = off(name, &parts, &whole);
            assert!(ok, "{}: {share} of {name}", case.call);
        }
    }
}

/// Inputs for which a constant does not matter would say nothing about it.
#[test]
fn constants_of_composites_matter() {
    for case in &CASES {
        let [one, other] = [case.constant, case.other].map(|c| run(&case.graph(c)));
        let shares = case.outputs.iter().map(|name| off(name, &other, &one).0);
        let most = shares.fold(0.0, f64::max);
        assert!(most > 0.25, "{} {}: {most}", case.inputs, case.call);
    }
}
