//! Launchers that run, and what they find.

use crate::common::{GATE, command, example, folder};
use crate::stand_in::{Project, has_cmake, text, with_cann};
use std::fs;
use tilewright_backends::data::{Tensor, Tolerance, compare};
use tilewright_ir::DType;

const SMALL_GATE: [&str; 4] = ["--set", "D=256", "--set", "VOCAB=512"];
const SMALL_EXPERT: [&str; 4] = ["--set", "D=512", "--set", "MOE_INTER=256"];

/// Words of the line that begins like this.
fn line<'o>(out: &'o str, start: &str) -> Vec<&'o str> {
    let found = out.lines().find(|l| l.starts_with(start));
    let found = found.unwrap_or_else(|| panic!("no `{start}` in:\n{out}"));
    found.split(' ').collect()
}

/// Outputs of several types, a routing, a scalar argument, and both kinds of cores.
#[test]
fn outputs_agree_and_times_are_told() {
    let project = Project::new(GATE, &[&SMALL_GATE[..], &["--num-tokens", "5"]].concat());
    let (code, out, err) = project.launch(&["--repeat", "3"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    for output in ["x_norm", "x_norm_i8", "x_norm_scale", "indices", "weights"] {
        let words = line(&out, &format!("output {output} "));
        assert_eq!(words[2], "ok", "{out}");
    }
    let layer = fs::read_to_string(project.path("layer.txt")).expect("it is text");
    assert!(layer.contains("scalar num_tokens 5 max 8"), "{layer}");
    let kernels = layer.lines().filter_map(|l| l.strip_prefix("kernel "));
    let kernels: Vec<&str> = kernels.filter_map(|l| l.split(' ').next()).collect();
    assert!(kernels.len() > 1);
    let timed = kernels.iter().map(|k| format!("kernel {k} us "));
    for start in timed.chain(["layer dsv4_flash_gate us ".into()]) {
        let us: f64 = line(&out, &start)[3].parse().expect("it is a number");
        assert!(us > 0.0, "{out}");
    }
    if has_cmake() {
        project.build_with_cmake();
        let (code, again, err) = project.launch(&["--repeat", "0"]);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{again}");
        assert!(out.starts_with(&again), "{out}{again}");
    } else {
        println!("there is no CMake: CMakeLists.txt is not tested");
    }
    // Another number of active tokens is another result.
    project.edit("layer.txt", "num_tokens 5", "num_tokens 2");
    let (code, out, _) = project.launch(&["--repeat", "0"]);
    assert_eq!(code, Some(1), "{out}");
    assert_eq!(line(&out, "output indices ")[2], "WRONG");
    assert!(!out.contains("kernel "), "{out}");
}

#[test]
fn what_is_wrong_is_told() {
    let project = Project::new("rms_norm", &["--set", "D=512"]);
    what_goes_wrong_is_told(&project);
    a_wrong_output_is_found(&project);
}

/// What is expected is planted, and the launcher says of it what tilewright's own comparison says.
fn a_wrong_output_is_found(project: &Project) {
    let quick = ["--repeat", "0", "--serial", "--save", "."];
    let (code, out, err) = project.launch(&quick);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    let file = project.path("data/expected/y.bin");
    let actual = fs::read(project.path("y.bin")).expect("it was saved");
    let tensor =
        |bytes: Vec<u8>| Tensor::new(DType::Bf16, [actual.len() / 2], bytes).expect("it fits");
    let bits = |x: f32| (x.to_bits() >> 16) as u16;
    let planted: [&[(usize, u16)]; 6] = [
        &[],
        // One more in the last place, which is within 1/128.
        &[(3, 0)],
        &[(7, bits(1000.0))],
        &[(7, bits(f32::NAN)), (11, bits(f32::INFINITY))],
        &[
            (0, bits(-0.0)),
            (1, bits(f32::NEG_INFINITY)),
            (4095, bits(1e-30)),
        ],
        &[(100, bits(f32::MAX)), (200, bits(0.5)), (300, bits(-0.5))],
    ];
    for plant in planted {
        let mut bytes = actual.clone();
        for (i, value) in plant {
            let value = match value {
                0 => u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]]) + 1,
                value => *value,
            };
            bytes[2 * i..2 * i + 2].copy_from_slice(&value.to_le_bytes());
        }
        fs::write(&file, &bytes).expect("it is written");
        let want = compare(
            "y",
            "",
            &tensor(actual.clone()),
            &tensor(bytes),
            &Tolerance::of(DType::Bf16),
        );
        let want = want.expect("they have one type");
        let (code, out, err) = project.launch(&quick);
        assert_eq!(
            (code, err.as_str()),
            (Some(i32::from(!want.ok)), ""),
            "{out}"
        );
        let words = line(&out, "output y ");
        assert_eq!(words[2], if want.ok { "ok" } else { "WRONG" }, "{out}");
        let number = |i: usize| words[i].parse::<f64>().expect("it is a number");
        assert_eq!(number(4), want.mismatched as f64, "{out}");
        assert_eq!(number(6), want.elements as f64, "{out}");
        assert_eq!(number(8), want.max_abs, "{out}");
        assert_eq!(number(10), want.max_rel, "{out}");
        assert_eq!(number(12), want.worst.map_or(-1.0, |w| w as f64), "{out}");
    }
    // Tolerances are those of layer.txt.
    let mut bytes = actual.clone();
    bytes[400..402].copy_from_slice(&bits(500.0).to_le_bytes());
    fs::write(&file, &bytes).expect("it is written");
    assert_eq!(project.launch(&quick).0, Some(1));
    project.edit("layer.txt", "atol 0 ", "atol 1000 ");
    assert_eq!(project.launch(&quick).0, Some(0));
    project.edit("layer.txt", "atol 1000 ", "atol 400 ");
    assert_eq!(project.launch(&quick).0, Some(1));
    assert_eq!(
        project.launch(&[&quick[..], &["--no-compare"]].concat()).0,
        Some(0)
    );
}

/// Kernels on two streams; a dependency that is taken out of layer.txt shows.
#[test]
fn streams_wait_for_each_other() {
    let project = Project::new(
        "dsv4_shared_expert",
        &[&SMALL_EXPERT[..], &["--written"]].concat(),
    );
    let layer = fs::read_to_string(project.path("layer.txt")).expect("it is text");
    assert!(layer.contains(" stream 1 "), "{layer}");
    let (code, out, err) = project.launch(&["--repeat", "1"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    project.edit(
        "layer.txt",
        "after 2 sh_gate_up_mm1 sh_gate_up_mm2",
        "after 0",
    );
    let (code, out, err) = project.launch(&["--repeat", "0"]);
    assert_eq!((code, err.as_str()), (Some(1), ""), "{out}");
    assert_eq!(line(&out, "output sh ")[2], "WRONG", "{out}");
}

/// Rows that do not exist are not compared, and those that do are.
#[test]
fn ragged_rows() {
    let small = ["N_LOCAL=2", "D=512", "MOE_INTER=256"];
    let small: Vec<&str> = small.iter().flat_map(|s| ["--set", s]).collect();
    let project = Project::new("dsv4_routed_experts", &small);
    let quick = ["--repeat", "0"];
    let (code, out, err) = project.launch(&quick);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    let layer = fs::read_to_string(project.path("layer.txt")).expect("it is text");
    let rows = layer.lines().find_map(|l| l.strip_prefix("rows recv_y "));
    let rows: Vec<usize> = rows
        .expect("it is ragged")
        .split(' ')
        .map(|n| n.parse().expect("a number"))
        .collect();
    let file = project.path("data/expected/recv_y.bin");
    let bytes = fs::read(&file).expect("it is there");
    let group = bytes.len() / rows.len();
    let row = 512 * 2;
    assert!(rows[0] > 0 && rows[0] * row < group, "{rows:?}");
    for (at, code) in [(rows[0] * row, 0), ((rows[0] - 1) * row, 1)] {
        let mut changed = bytes.clone();
        changed[at + 1] ^= 0x40;
        fs::write(&file, changed).expect("it is written");
        assert_eq!(project.launch(&quick).0, Some(code), "{at}");
    }
}

/// Every refusal of the launcher says what it is about.
fn what_goes_wrong_is_told(project: &Project) {
    let told = |args: &[&str], env: &[(&str, &str)]| {
        let (code, _, err) = project.launch_with(args, env);
        assert_eq!(code, Some(2), "{err}");
        assert!(err.lines().any(|l| l.starts_with("error: ")), "{err}");
        err
    };
    for call in [
        "aclInit",
        "aclrtSetDevice",
        "aclrtMalloc",
        "aclrtMemcpy",
        "aclrtSynchronizeStream",
    ] {
        let err = told(&[], &[("STAND_IN_FAIL", call)]);
        assert!(err.contains(&format!("{call} returned 107000")), "{err}");
    }
    let failing = [("STAND_IN_FAIL", "aclrtSynchronizeStream")];
    assert!(told(&["--serial"], &failing).contains("kernel norm"));
    assert!(told(&[], &failing).contains("--serial"));
    assert!(told(&["--device", "7"], &[]).contains("device 7"));
    assert!(told(&["--device", "-1"], &[]).contains("`-1` is no count"));
    assert!(told(&["--repeat"], &[]).contains("a value is missing"));
    assert!(told(&["--turbo"], &[]).contains("no such option"));
    assert!(told(&["--data", "nowhere"], &[]).contains("nowhere/inputs/"));
    assert!(told(&["--layer", "nothing.txt"], &[]).contains("nothing.txt"));
    for (from, to, what) in [
        ("bf16 input", "bf8 input", "layer.txt:3: `bf8`"),
        ("tensors 3 x", "tensors 3 z", "`z`"),
        ("kernel norm", "kernel abnormal", "not linked in"),
        ("atol ", "atoll ", "`atoll`"),
        ("tensor ", "tensro ", "`tensro`"),
    ] {
        project.edit("layer.txt", from, to);
        let err = told(&[], &[]);
        assert!(err.contains(what), "{err}");
        project.edit("layer.txt", to, from);
    }
    let input = project.path("data/inputs/x.bin");
    let bytes = fs::read(&input).expect("it is there");
    fs::write(&input, &bytes[1..]).expect("it is written");
    assert!(told(&[], &[]).contains("x.bin: has"));
    fs::write(&input, [&bytes[..], &[0]].concat()).expect("it is written");
    assert!(told(&[], &[]).contains("more than"));
    fs::write(&input, bytes).expect("it is written");
    assert_eq!(project.launch(&["--repeat", "0"]).0, Some(0));
}

/// `run --on npu`, from the command to the report.
#[test]
fn the_backend_runs_and_times() {
    let folder = folder();
    fs::copy(example("rms_norm"), folder.path().join("norm.tw")).expect("it is copied");
    let run = "run norm.tw --on npu --no-emit --set D=512";
    let run: Vec<&str> = run.split(' ').collect();
    let ran = |more: &[&str], env: &[(&str, &str)]| {
        let mut command = command(folder.path(), &[&run[..], more].concat());
        command.envs(env.iter().copied());
        let output = with_cann(&mut command).output().expect("it starts");
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (code, out, err) = ran(&["--json"], &[]);
    assert_eq!(code, Some(0), "{err}");
    let report: serde_json::Value = serde_json::from_str(&out).expect("it is JSON");
    assert_eq!(report["backend"], "npu");
    assert_eq!(report["timed_by"], "device");
    assert_eq!(report["ok"], true);
    let us = |of: &serde_json::Value| of.as_f64().expect("it is a number");
    for form in ["written", "optimized"] {
        let kernels = report[form]["kernels"].as_array().expect("a list");
        let measured = kernels.iter().map(|k| us(&k["measured_seconds"]) * 1e6);
        let sum: f64 = measured.sum();
        let told = us(&report[form]["us"]);
        assert!(sum > 0.0 && (told / sum - 1.0).abs() < 1e-9, "{report}");
        assert!(kernels.iter().all(|k| k["simulated"].is_null()));
    }
    let speedup = us(&report["written"]["us"]) / us(&report["optimized"]["us"]);
    assert!((us(&report["speedup"]) / speedup - 1.0).abs() < 1e-9);
    // Of PTO-ISA's headers, those that are named are taken.
    let (code, _, err) = ran(&["--pto-include", "."], &[]);
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("tilewright::npu::build"), "{err}");
    assert!(err.contains("pto-inst.hpp"), "{err}");
    // What fails in the runtime is shown.
    let (code, _, err) = ran(&["--only-pins"], &[("STAND_IN_FAIL", "aclrtMalloc")]);
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("tilewright::npu::launcher"), "{err}");
    assert!(err.contains("aclrtMalloc returned 107000"), "{err}");
    // A table for people has the column.
    let (_, out, err) = ran(&["--only-pins", "-v"], &[]);
    assert!(out.contains("npu us"), "{out}{err}");
    assert!(out.contains("all 2 checks passed"), "{out}{err}");
}

/// A launcher for many sizes runs the kernels of the bucket that a size is in, or of all.
#[test]
fn a_project_for_many_sizes_takes_a_size() {
    let args = ["--for", "T=1..4,16", "--set", "D=512", "--no-db"];
    let project = Project::by("tune", "rms_norm", &args);
    let sizes = fs::read_to_string(project.path("sizes.txt")).expect("it is text");
    let buckets: Vec<&str> = sizes
        .lines()
        .filter_map(|l| l.strip_prefix("size "))
        .collect();
    assert!(
        !buckets.is_empty() && buckets[buckets.len() - 1].contains(" 16 "),
        "{sizes}"
    );
    let (code, out, err) = project.launch(&["--repeat", "0"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    let ran = |out: &str| out.lines().filter(|l| l.starts_with("size T ")).count();
    assert_eq!(ran(&out), buckets.len(), "{out}");
    assert_eq!(out.matches("output y ok").count(), buckets.len(), "{out}");
    // Every size has one bucket, which is the first that is large enough.
    for size in [1, 3, 4, 5, 16] {
        let (code, out, err) = project.launch(&["--repeat", "0", "--size", &size.to_string()]);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
        let words = line(&out, "size T ");
        let to: i64 = words[4].parse().expect("it is a number");
        assert_eq!(ran(&out), 1, "{out}");
        let large_enough = buckets
            .iter()
            .filter_map(|b| b.split(' ').nth(1)?.parse().ok());
        assert_eq!(Some(to), large_enough.filter(|to| *to >= size).min());
    }
    let (code, _, err) = project.launch(&["--size", "17"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("T = 17 is larger"), "{err}");
}
