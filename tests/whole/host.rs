//! The host backend: the examples' kernels as emitted give what the simulator gives, and what goes wrong is told.

use crate::common;
use crate::common::{GATE, HOST_CACHE, SMALL, command, folder, graph, options, tilewright};
use indexmap::IndexMap;
use std::path::Path;
use tilewright::data::{Source, inputs};
use tilewright::form::Form;
use tilewright::run::{Compiled, compile_form, emit};
use tilewright_backends::backend::{Backend, BackendError, Job, RanRank, Simulator};
use tilewright_backends::data::{Tensor, Tensors};
use tilewright_backends::host::{self, Host, HostError};
use tilewright_backends::reference;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::Graph;

const NORM: &str = "rms_norm";
const MOE: &str = "dsv4_flash_moe";

/// With a cache of the tests' own.
fn host() -> Host {
    Host {
        options: host::Options {
            cache: Some(HOST_CACHE.into()),
            ..Default::default()
        },
    }
}

/// On one rank.
fn run(
    backend: &dyn Backend,
    compiled: &Compiled,
    data: &Tensors,
) -> Result<RanRank, BackendError> {
    let machine = options().machine;
    let files = emit(compiled, &machine).expect("it is emitted");
    let inputs = std::slice::from_ref(data);
    let job = Job::once(&compiled.program, &files, &machine, inputs);
    Ok(backend.run(&job)?.ranks.remove(0))
}

fn data(graph: &Graph, scalars: &[(&str, i64)]) -> Tensors {
    let scalars: IndexMap<String, i64> = scalars.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    inputs(graph, &Source::Seed(3), &scalars).expect("inputs are made")
}

/// Both forms of every example, with all tokens active and with some, by score and by hash.
#[test]
fn examples_are_bit_for_bit_what_the_simulator_computes() {
    let by_hash = [&SMALL[..], &[("layer_id", 1)]].concat();
    let layers = [
        (graph(NORM, &[("D", 512)]), vec![vec![]]),
        (
            graph(GATE, &SMALL),
            vec![vec![], vec![("num_tokens", 3)], vec![("num_tokens", 0)]],
        ),
        (graph(GATE, &by_hash), vec![vec![("num_tokens", 5)]]),
        (along_rows(), vec![vec![]]),
    ];
    for (graph, settings) in layers {
        for form in Form::ALL {
            let compiled = compile_form(&graph, form, &options()).expect("it compiles");
            for scalars in &settings {
                let data = data(&graph, scalars);
                let sim = run(&Simulator, &compiled, &data).expect("it simulates");
                let host = run(&host(), &compiled, &data).expect("it runs");
                for (name, tensor) in &sim.outputs {
                    let place = format!("{} {} {name} {scalars:?}", graph.name, form.name());
                    assert_eq!(host.outputs[name].shape, tensor.shape, "{place}");
                    assert_eq!(host.outputs[name].bytes, tensor.bytes, "{place}");
                }
                assert_eq!(sim.outputs.len(), host.outputs.len());
                let names = |r: &RanRank| -> Vec<String> {
                    r.kernels.iter().map(|k| k.name.clone()).collect()
                };
                assert_eq!(names(&sim), names(&host));
                assert!(host.kernels.iter().all(|k| k.simulated.is_none()));
            }
        }
    }
}

/// Sums and products along rows, which no example has.
fn along_rows() -> Graph {
    let text = "graph along {
  param T = 3
  param D = 40
  input x: f32[T, D]
  kernel k {
    sums = cumsum(x)
    product = row_prod(x)
    order = top_k(x, k = 8)
    whole = cumsum(order)
  }
  output sums, product, whole
}
";
    let layer = tilewright::layer::Layer::parse("along.tw", text.as_bytes()).expect("it parses");
    layer.graph(&IndexMap::new()).expect("a graph")
}

/// A layer on ranks at sizes that a test can afford, compiled, with the inputs of every rank.
fn on_ranks(form: Form) -> (Compiled, Vec<Tensors>) {
    let graph = graph(MOE, common::small(MOE));
    let mut options = options();
    options.search.iter_limit = 4;
    options.search.candidates = 1;
    let compiled = compile_form(&graph, form, &options).expect("it compiles");
    let data = (0..graph.ranks() as u64)
        .map(|rank| inputs(&graph, &Source::Seed(7 + rank), &IndexMap::new()).expect("inputs"))
        .collect();
    (compiled, data)
}

/// Two runs of the layer on the same windows, all ranks side by side.
#[test]
fn ranks_are_bit_for_bit_what_the_simulator_computes() {
    let carried = [("x_next".to_string(), "x_hc".to_string())];
    for form in Form::ALL {
        let (compiled, data) = on_ranks(form);
        let machine = options().machine;
        let files = emit(&compiled, &machine).expect("it is emitted");
        let job = Job {
            layers: 2,
            carried: &carried,
            ..Job::once(&compiled.program, &files, &machine, &data)
        };
        let sim = Simulator.run(&job).expect("it simulates");
        let host = host().run(&job).expect("it runs");
        assert!(sim.timelines.is_some() && host.timelines.is_none());
        assert_eq!((sim.ranks.len(), host.ranks.len()), (2, 2));
        for (sim, host) in sim.ranks.iter().zip(&host.ranks) {
            assert_eq!(sim.outputs, host.outputs, "{}", form.name());
            assert_eq!(host.kernels.len(), compiled.program.kernels.len());
        }
    }
}

/// Ranks that wait for each other for ever are ended, and the kernel that waits is named.
#[test]
fn a_notification_that_is_missing_is_told() {
    let (compiled, data) = on_ranks(Form::Written);
    let machine = options().machine;
    let mut files = emit(&compiled, &machine).expect("it is emitted");
    let dispatch = files.iter_mut().find(|f| f.path == "dispatch.cpp");
    let dispatch = dispatch.expect("the layer has one");
    assert!(dispatch.text.contains("comm::TNOTIFY("));
    dispatch.text = dispatch.text.replace("comm::TNOTIFY(", "(void)(");
    let job = Job::once(&compiled.program, &files, &machine, &data);
    let error = host().run(&job).expect_err("rank 1 is never notified");
    match error.downcast_ref() {
        Some(HostError::Kernel { kernel, said, .. }) => {
            assert_eq!(kernel, "dispatch");
            assert!(said.starts_with("TWAIT: nobody notifies"), "{said}");
        }
        _ => panic!("{error:?}"),
    }
}

/// A kernel that leaves its memory ends its own process, and is named.
#[test]
fn a_kernel_that_goes_wrong_is_named() {
    let graph = graph(NORM, &[("D", 512)]);
    let compiled = compile_form(&graph, Form::Written, &options()).expect("it compiles");
    let data = data(&graph, &[]);
    let machine = options().machine;
    let files = emit(&compiled, &machine).expect("it is emitted");
    let with = |from: &str, to: &str| {
        let mut files = files.clone();
        assert!(files[0].text.contains(from), "{}", files[0].text);
        files[0].text = files[0].text.replacen(from, to, 1);
        let inputs = std::slice::from_ref(&data);
        let job = Job::once(&compiled.program, &files, &machine, inputs);
        let error = host().run(&job).expect_err("it goes wrong");
        let own: Option<&HostError> = error.downcast_ref();
        own.cloned().unwrap_or_else(|| panic!("{error:?}"))
    };
    // A page behind the tensor, and not a tensor beside it.
    let e = with("x_gm(x", "x_gm(x + 8 * 512");
    assert!(
        matches!(&e, HostError::Kernel { kernel, ended, .. } if kernel == "norm" && ended.contains("signal")),
        "{e}"
    );
    // An address that no core has.
    let e = with("TASSIGN(weight_tile, 0x", "TASSIGN(weight_tile, 0x80000");
    assert!(
        e.to_string().contains("TASSIGN: the end of the tile: "),
        "{e}"
    );
    // No C++.
    let e = with("TLOAD(", "TLOAD(nothing, ");
    let text = e.to_string();
    assert!(
        matches!(&e, HostError::Compile { kernel, .. } if kernel == "norm"),
        "{text}"
    );
    assert!(
        text.contains("norm.cpp:") && text.contains("nothing"),
        "{text}"
    );
}

/// Kernels are compiled once; a changed text, flag or compiler compiles again.
#[test]
fn compiled_kernels_are_kept_by_content() {
    let graph = graph(NORM, &[("D", 256)]);
    let compiled = compile_form(&graph, Form::Written, &options()).expect("it compiles");
    let files = emit(&compiled, &options().machine).expect("it is emitted");
    let cache = tempfile::tempdir().expect("there is room");
    let kept = || {
        let folder = std::fs::read_dir(cache.path().join("kernels")).expect("it is there");
        let names = folder.map(|e| e.expect("an entry").path());
        names
            .filter(|p| p.extension().is_some_and(|e| e == "so"))
            .count()
    };
    let with = |flags: &[&str]| Host {
        options: host::Options {
            cache: Some(cache.path().into()),
            cxxflags: flags.iter().map(|f| f.to_string()).collect(),
            ..Default::default()
        },
    };
    let build = |flags: &[&str]| {
        with(flags)
            .build(&compiled.program, &files)
            .expect("it builds")
    };
    let first = build(&["-O0"]);
    let time = |p: &Path| {
        p.metadata()
            .and_then(|m| m.modified())
            .expect("it is a file")
    };
    let made = time(&first[0]);
    assert_eq!(build(&["-O0"]), first);
    assert_eq!((kept(), time(&first[0])), (1, made));
    assert_ne!(build(&["-O0", "-DANOTHER_FLAG"]), first);
    assert_eq!(kept(), 2);
    let mut other = files.clone();
    other[0].text.push_str("// other\n");
    let changed = with(&["-O0"])
        .build(&compiled.program, &other)
        .expect("it builds");
    assert_ne!(changed, first);
    assert_eq!(kept(), 3);
    // A flag that no compiler has.
    let e = with(&["-no-such-flag"]).build(&compiled.program, &files);
    assert!(e.is_err_and(|e| e.to_string().contains("no-such-flag")));
}

#[test]
fn the_command_runs_and_builds_on_the_host() {
    let folder = folder();
    std::fs::copy(common::example(NORM), folder.path().join("norm.tw")).expect("it is copied");
    let run = [
        "run",
        "norm.tw",
        "--set",
        "D=512",
        "--on",
        "host",
        "--only-pins",
    ];
    let ran = tilewright(
        folder.path(),
        &[&run[..], &["--json", "--no-emit"]].concat(),
    );
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("it is JSON");
    assert_eq!(report["backend"], "host");
    assert_eq!(report["timed_by"], "model");
    let seconds = report["written"]["kernels"][0]["ran_seconds"].as_f64();
    assert!(seconds.is_some_and(|s| s > 0.0), "{report}");
    let ran = tilewright(folder.path(), &[&run[..], &["-v"]].concat());
    assert!(ran.stdout.contains("host us"), "{}", ran.stdout);
    let emit = [
        "emit",
        "norm.tw",
        "--set",
        "D=512",
        "--written",
        "--build",
        "-o",
        "out",
    ];
    let ran = tilewright(folder.path(), &emit);
    assert!(
        ran.stdout.ends_with("all kernels compile\n"),
        "{}",
        ran.text()
    );
}

#[test]
fn what_is_missing_is_told_with_a_remedy() {
    let folder = folder();
    std::fs::copy(common::example(NORM), folder.path().join("norm.tw")).expect("it is copied");
    let args = [
        "run",
        "norm.tw",
        "--set",
        "D=512",
        "--only-pins",
        "--no-emit",
        "--on",
    ];
    let ran = |more: &[&str], cxx: Option<&str>| {
        let mut command = command(folder.path(), &[&args[..], more].concat());
        if let Some(cxx) = cxx {
            command.env("CXX", cxx);
        }
        let output = command.output().expect("it starts");
        assert_eq!(output.status.code(), Some(3));
        String::from_utf8(output.stderr).expect("it is text")
    };
    let text = ran(&["host"], Some("/no/such/compiler"));
    assert!(text.contains("tilewright::host::no_compiler"), "{text}");
    assert!(
        text.contains("/no/such/compiler") && text.contains("CXX"),
        "{text}"
    );
    let text = ran(&["host", "--pto-include", "."], None);
    assert!(text.contains("tilewright::host::no_pto"), "{text}");
    let text = ran(&["cloud"], None);
    assert!(text.contains("no backend `cloud`"), "{text}");
    assert!(text.contains("`sim`") && text.contains("`host`"), "{text}");
}

/// One order in the interpreter, the simulator and the headers: NaN first, whatever its sign, then from the largest to the smallest, with
/// -0 as 0; of equals the lower column. Padding comes after all columns, those of minus infinity, too.
#[test]
fn there_is_one_order_of_numbers_and_padding_is_last() {
    let text = "\
graph order {
  param T = 8
  param N = 40
  input x: f32[T, N]
  kernel k {
    best = top_k(pad_cols(x, to = 64, value = lowest), k = 8)
    high = row_max(x)
    low = row_min(x)
  }
  output best, high, low
}
";
    let layer = tilewright::layer::Layer::parse("order.tw", text.as_bytes()).expect("it parses");
    let graph = layer.graph(&IndexMap::new()).expect("a graph");
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let special = [
        nan,
        -nan,
        inf,
        -inf,
        0.0,
        -0.0,
        f32::MIN,
        f32::MAX,
        1e-40,
        1.0,
    ];
    let value = |i: usize| match (i / 40, i % 40) {
        (0, _) => -inf,
        (1, _) => f32::MIN,
        (2, c) => [-inf, f32::MIN][usize::from(c == 7)],
        (3, _) => nan,
        (4, c) => [-0.0, 0.0][c % 2],
        (r, c) => special[(r * 7 + c * 3) % 10],
    };
    let x: Vec<f32> = (0..320).map(value).collect();
    let x = Tensor::from_f32(DType::F32, &[8, 40], &x).expect("it fits");
    let data = Tensors::from([("x".to_string(), x)]);
    let defined = reference::run(&graph, &data).expect("it runs");
    let best = defined["best"].to_i64();
    assert_eq!(best[..8], [0, 1, 2, 3, 4, 5, 6, 7], "minus infinity");
    assert_eq!(best[16..19], [7, 0, 1], "the lowest number is above it");
    assert_eq!(best[24..32], [0, 1, 2, 3, 4, 5, 6, 7], "NaN");
    assert_eq!(best[32..40], [0, 1, 2, 3, 4, 5, 6, 7], "zeros are equal");
    for form in Form::ALL {
        let compiled = compile_form(&graph, form, &options()).expect("it compiles");
        for backend in [&Simulator as &dyn Backend, &host()] {
            let ran = run(backend, &compiled, &data).expect("it runs");
            assert_eq!(ran.outputs["best"].to_i64(), best, "{}", form.name());
            for name in ["high", "low"] {
                let (a, b) = (ran.outputs[name].to_f32(), defined[name].to_f32());
                let same = |(a, b): (&f32, &f32)| a == b || a.is_nan() && b.is_nan();
                assert!(
                    a.iter().zip(&b).all(same),
                    "{name} {}: {a:?} {b:?}",
                    form.name()
                );
            }
        }
    }
}
