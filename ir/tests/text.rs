//! The text form: what is printed parses to the same, every refusal has a place and a remedy, and nothing panics.

use indexmap::IndexMap;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, NamedSource};
use std::fs;
use std::path::Path;
use tilewright_ir::graph::{Graph, summary};
use tilewright_ir::text::{self, LowerError, ParseError};

fn settings(pairs: &[(&str, i64)]) -> IndexMap<String, i64> {
    pairs.iter().map(|(k, v)| ((*k).into(), *v)).collect()
}

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples")
        .join(name);
    fs::read_to_string(path).expect("the example is there")
}

fn graph(source: &str, pairs: &[(&str, i64)]) -> Graph {
    let file = text::parse(source).expect("it parses");
    text::elaborate(&file, &settings(pairs)).expect("it is a graph")
}

/// Printed as text and as JSON, a graph comes back.
fn assert_round_trips(graph: &Graph) {
    let printed = text::print_graph(graph);
    assert_eq!(&self::graph(&printed, &[]), graph, "{printed}");
    assert_eq!(
        text::print(&text::parse(&printed).expect("it parses")),
        printed
    );
    let json = graph.to_json().expect("it has a JSON form");
    assert_eq!(&Graph::from_json(&json).expect("it reads back"), graph);
}

#[test]
fn examples_are_canonical_and_round_trip() {
    for name in [
        "dsv4_flash_gate.tw",
        "rms_norm.tw",
        "dsv4_shared_expert.tw",
        "dsv4_routed_experts.tw",
        "dsv4_hc.tw",
    ] {
        let source = example(name);
        let file = text::parse(&source).expect("it parses");
        assert_eq!(
            text::print(&file),
            source,
            "{name} is not in canonical form"
        );
        assert_round_trips(&graph(&source, &[]));
    }
}

/// A graph of groups of rows, with a body of its own.
fn ragged(inputs: &str, body: &str) -> Result<Graph, String> {
    let source = format!(
        "graph g {{\n  param E = 4\n  param R = 16\n  param D = 32\n  input counts: i32[E, 1] <= R\n{inputs}\n  kernel k {{\n    {body}\n  }}\n  output y\n}}\n"
    );
    let file = text::parse(&source).map_err(|e| e.to_string())?;
    text::elaborate(&file, &settings(&[])).map_err(|e| format!("{e:?}"))
}

#[test]
fn rows_that_may_not_exist_go_through_what_works_row_by_row() {
    let inputs =
        "  input x: f32[E * R, D] ragged counts\n  input s: f32[E, D]\n  input w: f32[E * D, D]";
    let body = "q, z = quantize_rows(exp(grouped_matmul_nt(x, w)) * s, eps = 1e-4)\n    y = mul(cast(cast(q, to = f16), to = f32), z)";
    let graph = ragged(inputs, body).expect("it is a graph");
    let y = graph.find("y").expect("it has a result");
    assert_eq!(graph.ty(y).to_string(), "f32[64, 32] ragged counts");
    assert_round_trips(&graph);
}

#[test]
fn rows_that_do_not_fit_are_refused_with_a_remedy() {
    let x = "  input x: f32[E * R, D] ragged counts\n";
    for (inputs, body, expected) in [
        (
            "  input x: f32[E * R, D] ragged count",
            "y = abs(x)",
            "UnknownName",
        ),
        ("  input x: f32[E * R, D] ragged R", "y = abs(x)", "counts"),
        (
            "  input x: f32[63, D] ragged counts",
            "y = abs(x)",
            "do not make 4 groups",
        ),
        (
            "  input n: f32[E, 1]\n  input x: f32[E * R, D] ragged n",
            "y = abs(x)",
            "one count a group",
        ),
        (
            &format!("{x}  input p: f32[E * R, D]"),
            "y = x + p",
            "RaggedRows",
        ),
        (
            &format!("{x}  input m: i32"),
            "y = mask_rows(x, m)",
            "RaggedRows",
        ),
        (
            &format!("{x}  input p: f32[E * R, D]"),
            "y = grouped_matmul_nt(p, x)",
            "RaggedRows",
        ),
        (
            &format!("{x}  input w: f32[E * R + 1, D]"),
            "y = grouped_matmul_nt(x, w)",
            "multiple of the groups",
        ),
        (
            x,
            "y = slice_cols(x, from = 8, to = 40)",
            "0 <= from < to <= 32",
        ),
    ] {
        let found = ragged(inputs, body).expect_err(body);
        assert!(found.contains(expected), "{body}: {found}");
    }
}

#[test]
fn the_gate_at_its_own_sizes() {
    let gate = graph(&example("dsv4_flash_gate.tw"), &[]);
    insta::assert_snapshot!("gate_summary", summary(&gate));
    insta::assert_snapshot!("gate_printed", text::print_graph(&gate));
    insta::assert_snapshot!("gate_dot", tilewright_ir::graph::dot(&gate));
}

#[test]
fn the_gate_by_hash_at_other_sizes() {
    let sizes = [
        ("layer_id", 2),
        ("N_EXPERTS", 48),
        ("T", 32),
        ("D", 1024),
        ("VOCAB", 512),
    ];
    let gate = graph(&example("dsv4_flash_gate.tw"), &sizes);
    assert_round_trips(&gate);
    insta::assert_snapshot!("gate_hash_summary", summary(&gate));
    let kernel = gate.regions.iter().find(|r| r.name == "gate");
    let schedule = kernel
        .and_then(|k| k.schedule.as_ref())
        .expect("it has one");
    // Tile sizes are expressions over the sizes.
    assert_eq!(schedule.tiles["GATE_N_TILE"].size, 48);
}

#[test]
fn padding_to_the_same_columns_is_legal() {
    let gate = graph(&example("dsv4_flash_gate.tw"), &[("N_EXPERTS", 256)]);
    let padded = gate.find("biased_pad").expect("it is there");
    assert_eq!(gate.ty(padded).to_string(), "f32[8, 256]");
}

/// Each fixture prints canonically, and what is printed prints as itself.
#[test]
fn formatting() {
    insta::glob!("fixtures/format/*.tw", |path| {
        let source = fs::read_to_string(path).expect("the fixture is there");
        let printed = text::print(&text::parse(&source).expect("it parses"));
        assert_eq!(
            text::print(&text::parse(&printed).expect("it parses")),
            printed
        );
        assert_round_trips(&graph(&source, &[]));
        insta::assert_snapshot!(printed);
    });
}

fn render(error: &dyn Diagnostic) -> String {
    let mut out = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .render_report(&mut out, error)
        .expect("strings take everything");
    out
}

/// Each fixture is refused. A first line `// set: NAME=VALUE` gives settings.
#[test]
fn diagnostics() {
    insta::glob!("fixtures/errors/*.tw", |path| {
        let source = fs::read_to_string(path).expect("the fixture is there");
        let set = source
            .lines()
            .next()
            .and_then(|l| l.strip_prefix("// set: "));
        let set: IndexMap<String, i64> = set
            .into_iter()
            .flat_map(|l| l.split(' '))
            .filter_map(|pair| pair.split_once('='))
            .map(|(k, v)| (k.to_string(), v.parse().expect("a number")))
            .collect();
        let name = path.file_name().expect("it has a name").to_string_lossy();
        let report = match text::parse(&source) {
            Err(e) => miette::Report::new(e),
            Ok(file) => match text::elaborate(&file, &set) {
                Err(e) => miette::Report::new(e),
                Ok(_) => panic!("{name} is accepted"),
            },
        };
        let report = report.with_source_code(NamedSource::new(name, source.clone()));
        insta::assert_snapshot!(render(report.as_ref()));
    });
}

#[test]
fn what_is_not_text_is_refused() {
    let wrong = text::parse_bytes(&[0x67, 0x72, 0xff, 0xfe]);
    assert_eq!(wrong, Err(ParseError::NotText { offset: 2 }));
    let wrong = text::parse_bytes(b"graph g\0{}");
    assert_eq!(wrong, Err(ParseError::NotText { offset: 7 }));
    assert!(matches!(
        text::parse(&" ".repeat(text::MAX_SOURCE + 1)),
        Err(ParseError::TooLarge { .. })
    ));
}

#[test]
fn line_ends_and_marks_of_other_systems_are_read() {
    let source = example("rms_norm.tw");
    let windows = format!("\u{feff}{}", source.replace('\n', "\r\n"));
    let file = text::parse_bytes(windows.as_bytes()).expect("it parses");
    assert_eq!(text::print(&file), source);
}

#[test]
fn long_chains_are_refused_like_deep_nesting() {
    let source = format!("graph g {{ param T = 1{} }}", " + 1".repeat(10_000));
    assert!(matches!(
        text::parse(&source),
        Err(ParseError::Nesting { .. })
    ));
}

#[test]
fn settings_come_from_the_shapes_of_tensors() {
    let file = text::parse(&example("dsv4_flash_gate.tw")).expect("it parses");
    let mut shapes: IndexMap<String, Vec<usize>> = IndexMap::new();
    shapes.insert("x_mixed".into(), vec![32, 1024]);
    shapes.insert("gate_w".into(), vec![256, 1024]);
    shapes.insert("not_of_this_graph".into(), vec![3]);
    let found = text::infer_settings(&file, &settings(&[("layer_id", 1)]), &shapes);
    let expected = settings(&[("layer_id", 1), ("T", 32), ("D", 1024), ("N_EXPERTS", 256)]);
    assert_eq!(found, Ok(expected));

    shapes.insert("norm_w".into(), vec![2048]);
    let wrong = text::infer_settings(&file, &settings(&[]), &shapes).expect_err("D is two sizes");
    assert_eq!(
        wrong.to_string(),
        "`D` would be both 1024 (a dimension of tensor `x_mixed`) and 2048 (a dimension of tensor `norm_w`)"
    );

    shapes.insert("norm_w".into(), vec![1, 1024]);
    let wrong = text::infer_settings(&file, &settings(&[]), &shapes);
    assert!(matches!(wrong, Err(LowerError::TensorShape { .. })));

    shapes.shift_remove("norm_w");
    let wrong = text::infer_settings(&file, &settings(&[("T", 8)]), &shapes).expect_err("T is two");
    assert_eq!(
        wrong.to_string(),
        "`T` would be both 8 (set explicitly) and 32 (a dimension of tensor `x_mixed`)"
    );
}

/// The form of arithmetic follows the operands.
#[test]
fn arithmetic_takes_the_form_of_its_operands() {
    let source = "
graph g {
  param R = 48
  param C = 96
  param HALF = 0.5
  input x: f32[R, C]
  input row: f32[C]
  input column: f32[R, 1]
  kernel k {
    same = x + x
    by_row = column * x
    by_column = row - HALF + x
    right = x / 2
    left = 127.0 / x
    commuted = max(HALF, x)
    folded = x * (C / R + HALF * 2)
    nested = sqrt(row_sum(x * x) / C)
  }
  output same, by_row, by_column, right, left, commuted, folded, nested
}
";
    let graph = graph(source, &[]);
    assert_round_trips(&graph);
    insta::assert_snapshot!(text::print_graph(&graph));
}

/// Every operation's result, with the axes that its dimensions keep.
#[test]
fn results_have_the_types_and_axes_of_their_operands() {
    let source = "
graph g {
  param R = 48
  param C = 96
  param N = 32
  param K = 5
  param WIDE = 128
  input x: f32[R, C]
  input h: bf16[R, C]
  input q: i8[R, C]
  input w: i8[N, C]
  input v: f32[N, C]
  input weight: bf16[C]
  input row: f32[C]
  input column: f32[R, 1]
  input table: i32[WIDE, K] >= -1 < C
  input ids: i64[R] < WIDE
  input n: i32 <= R
  kernel k {
    cast_row = cast(row, to = f16, round = trunc)
    by_row = row_div(x, column)
    by_column = col_sub(x, row)
    largest = row_max(q)
    product = matmul_nt(x, v)
    int_product = matmul_nt(q, w)
    padded = pad_cols(x, to = WIDE, value = -1)
    padded_by_number = pad_cols(x, to = 97, value = lowest)
    best = top_k(x, k = K)
    taken = gather_cols(h, best)
    rows = gather_rows(table, ids)
    masked = mask_rows(q, n)
    normed = rms_norm(h, weight, eps = 1e-6)
    quantized, scale = quantize_rows(h, eps = 1e-4)
    soft = sqrt_softplus(row)
    routed = route_weights(x, rows, scale = 2.5)
    counted = n + 1
  }
  output cast_row, by_row, by_column, largest, product, int_product, padded, padded_by_number, best, taken, rows, masked
  output normed, quantized, scale, soft, routed, counted
}
";
    let graph = graph(source, &[]);
    assert_round_trips(&graph);
    let lines: Vec<String> = graph
        .outputs
        .iter()
        .map(|v| {
            let axes = graph.ty(*v).shape.iter();
            let axes: Vec<&str> = axes.map(|d| d.axis.as_deref().unwrap_or("-")).collect();
            format!("{}: {} ({})", graph.name(*v), graph.ty(*v), axes.join(", "))
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}
