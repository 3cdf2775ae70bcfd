//! Reshapes: views of what lies in memory. Both forms of each layer give what the interpreter gives, and so do kernels on the host.

use crate::common;
use indexmap::IndexMap;
use tilewright::data::{self, Data, Source};
use tilewright::form::Form;
use tilewright::layer::Layer;
use tilewright::run::{compile_form, emit, run};
use tilewright_backends::backend::{Backend, Job, Simulator};
use tilewright_backends::host::{self, Host};
use tilewright_ir::graph::Graph;
use tilewright_ir::kernel::{Program, dependence, footprints};

fn graph(text: &str) -> Graph {
    let layer = Layer::parse("layer.tw", text.as_bytes()).expect("it is a layer");
    layer.graph(&IndexMap::new()).expect("its sizes are right")
}

/// A layer of `x: f32[6, 40]`, `w: bf16[32, 48]` and some kernels, each of lines.
fn layer(kernels: &[&str], outputs: &str) -> String {
    let kernels = kernels.iter().enumerate();
    let kernels: String = kernels
        .map(|(i, k)| format!("  kernel k{i} {{\n    {k}\n  }}\n"))
        .collect();
    format!(
        "graph views {{\n  param T = 6\n  param D = 40\n  input x: f32[T, D]\n  input h: bf16[24, 64]\n  \
         input w: bf16[32, 48] ~ normal(0, 0.2)\n  input n: i32 <= 20\n  input ids: i64[9] < 20\n{kernels}  output {outputs}\n}}\n"
    )
}

/// Runs a layer, and its kernels on the host.
fn is_right(text: &str) {
    let graph = graph(text);
    let inputs = data::inputs(&graph, &Source::Seed(7), &IndexMap::new()).expect("inputs are made");
    let ran = run(&graph, &common::options(), &Data::new(vec![inputs.clone()]));
    let ran = ran.unwrap_or_else(|e| panic!("{text}\n{e:?}"));
    assert!(!ran.report.checks.is_empty());
    for check in &ran.report.checks {
        assert!(check.comparison.ok, "{text}\n{check:?}");
    }
    if host::Compiler::find().is_err() {
        return;
    }
    let host = Host {
        options: host::Options {
            cache: Some(common::HOST_CACHE.into()),
            cxxflags: vec!["-O0".into()],
            ..Default::default()
        },
    };
    let machine = common::options().machine;
    let compiled = compile_form(&graph, Form::Written, &common::options()).expect("it compiles");
    let files = emit(&compiled, &machine).expect("it is emitted");
    let inputs = [inputs];
    let job = Job::once(&compiled.program, &files, &machine, &inputs);
    let on_host = host.run(&job).expect("it runs").ranks.remove(0);
    let simulated = Simulator.run(&job).expect("it simulates").ranks.remove(0);
    for (name, tensor) in &simulated.outputs {
        assert_eq!(on_host.outputs[name].bytes, tensor.bytes, "{text}\n{name}");
    }
}

#[test]
fn an_input_is_read_through_the_view() {
    for lines in [
        "y = row_sum(reshape(x, rows = 12, cols = 20))",
        "y = softmax(reshape(x, rows = 30, cols = 8))",
        // Rows of the view lie across rows of the input.
        "y = reshape(x, rows = 16, cols = 15) * 2.0",
        "y = abs(reshape(x, rows = 240, cols = 1))",
        "y = exp(reshape(x, rows = 1, cols = 240))",
        "y = abs(reshape(reshape(x, rows = 4, cols = 60), rows = 20, cols = 12))",
        "y = mask_rows(reshape(x, rows = 20, cols = 12), n)",
        "y = gather_rows(reshape(x, rows = 20, cols = 12), ids)",
        "y = concat_cols(reshape(x, rows = 20, cols = 12), abs(reshape(x, rows = 20, cols = 12)))",
        "y = slice_cols(reshape(x, rows = 20, cols = 12), from = 3, to = 9) + 1.0",
        "y = matmul_nt(reshape(h, rows = 32, cols = 48), w)",
        "y = matmul_nt(reshape(h, rows = 16, cols = 96), reshape(w, rows = 16, cols = 96))",
        "y = matmul_nn(w, reshape(h, rows = 48, cols = 32))",
        // Inner axes that are no whole fractals are padded, from the view.
        "y = matmul_nt(reshape(h, rows = 64, cols = 24), reshape(w, rows = 64, cols = 24))",
    ] {
        is_right(&layer(&[lines], "y"));
    }
}

#[test]
fn a_value_is_cut_where_it_is_read_in_other_rows() {
    for lines in [
        "v = x + 1.0\n    y = row_sum(reshape(v, rows = 24, cols = 10))",
        "v = x + 1.0\n    y = reshape(v, rows = 15, cols = 16) - 1.0",
        "v = softmax(reshape(x, rows = 24, cols = 10))\n    y = reshape(v, rows = 6, cols = 40) + x",
        "v = matmul_nt(reshape(h, rows = 32, cols = 48), w)\n    y = softmax(reshape(v, rows = 64, cols = 16))",
        "v = cast(x, to = bf16)\n    y = matmul_nt(reshape(v, rows = 5, cols = 48), w)",
        "v = matmul_nt(reshape(h, rows = 32, cols = 48), w)\n    u = cast(reshape(v, rows = 16, cols = 64), to = bf16)\n    \
         y = matmul_nt(u, h)",
        "v = exp(x)\n    y = v + reshape(reshape(v, rows = 2, cols = 120), rows = 6, cols = 40)",
    ] {
        is_right(&layer(&[lines], "y"));
    }
}

#[test]
fn a_value_of_another_kernel_is_read_through_the_view() {
    is_right(&layer(
        &[
            "v = exp(x)",
            "r = reshape(v, rows = 20, cols = 12)",
            "y = row_max(r)",
            "z = r * 2.0\n    u = v + 1.0",
        ],
        "y, z, u",
    ));
    // Of the result of a product whose inner axis is long, parts may be added by who reads it, or not.
    is_right(
        "graph long {\n  param T = 16\n  param K = 2048\n  input a: bf16[T, K]\n  input b: bf16[32, K] ~ normal(0, 0.02)\n  \
         kernel k {\n    v = matmul_nt(a, b)\n    y = row_sum(reshape(v, rows = 8, cols = 64))\n  }\n  output y\n}\n",
    );
}

#[test]
fn a_view_can_be_an_output() {
    is_right(&layer(&["y = reshape(x, rows = 20, cols = 12)"], "y"));
    is_right(&layer(
        &["v = x * 2.0\n    y = reshape(v, rows = 15, cols = 16)\n    z = y + 1.0"],
        "v, y, z",
    ));
    is_right(&layer(&["y = reshape(h, rows = 96, cols = 16)"], "y"));
    let copies = "v = slice_cols(x, from = 16, to = 29)\n    y = reshape(v, rows = 13, cols = 6)";
    is_right(&layer(&[copies], "y"));
}

/// What goes to other ranks is taken by its name: a view is copied for them.
#[test]
fn a_view_can_go_to_other_ranks() {
    let example = std::fs::read_to_string(common::example("all_gather")).expect("it is there");
    let exchange = &example[example.find("exchange all_gather").expect("one")..];
    let exchange = &exchange[..exchange.find("\n}\n").expect("its end") + 3];
    let text = format!(
        "{exchange}graph gather {{\n  ranks EP = 2\n  param T = 4\n  param D = 64\n  input x: f32[T, D]\n  \
         kernel k {{\n    y = all_gather(reshape(x, rows = 8, cols = 32))\n  }}\n  output y\n}}\n"
    );
    let graph = graph(&text);
    let of_rank = |rank: u64| {
        data::inputs(&graph, &Source::Seed(rank), &IndexMap::new()).expect("inputs are made")
    };
    let ran = run(
        &graph,
        &common::options(),
        &Data::new(vec![of_rank(1), of_rank(2)]),
    );
    for check in &ran.expect("it runs").report.checks {
        assert!(check.comparison.ok, "{check:?}");
    }
}

/// A kernel that reads a view waits for the one that stores the value.
#[test]
fn the_view_is_the_same_memory() {
    let text = layer(
        &["v = exp(x)", "y = abs(reshape(v, rows = 20, cols = 12))"],
        "y",
    );
    let options = common::options();
    let compiled = compile_form(&graph(&text), Form::Written, &options).expect("it compiles");
    let program: &Program = &compiled.program;
    let [first, second] = program.kernels.as_slice() else {
        panic!("two kernels, not {}", program.kernels.len());
    };
    assert!(second.after.contains(&first.name));
    let [first, second] = [first, second].map(|k| footprints(k, program, &options.machine));
    assert!(dependence(&first, &second).is_some());
    // Nothing is copied: the value has one tensor.
    let names: Vec<&String> = program.tensors.keys().collect();
    assert_eq!(names, ["x", "v", "y"]);
}

#[test]
fn what_is_no_view_is_refused() {
    let said = |lines: &str| {
        let layer = Layer::parse("layer.tw", layer(&[lines], "y").as_bytes()).expect("it parses");
        let error = layer.graph(&IndexMap::new()).expect_err("it is refused");
        format!("{error:?}")
    };
    let rows = said("y = abs(reshape(x, rows = 21, cols = 12))");
    assert!(
        rows.contains("of 240 elements in rows of 12 there are 20"),
        "{rows}"
    );
    let product = said("y = abs(reshape(x, rows = 7, cols = 7))");
    assert!(product.contains("whose product is 240"), "{product}");
    let ragged = "graph r {\n  param E = 2\n  param R = 4\n  input c: i32[E, 1] <= R\n  input x: f32[E * R, 8] ragged c\n  \
                  kernel k {\n    y = abs(reshape(x, rows = 4, cols = 16))\n  }\n  output y\n}\n";
    let layer = Layer::parse("layer.tw", ragged.as_bytes()).expect("it parses");
    let error = layer.graph(&IndexMap::new()).expect_err("it is refused");
    assert!(
        format!("{error:?}").contains("of several groups"),
        "{error:?}"
    );
}
