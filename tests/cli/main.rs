//! The command: what it prints, and how it refuses.
//!
//! `INSTA_UPDATE=always cargo test --test cli` writes the snapshots again.

mod check;
#[path = "../common/mod.rs"]
mod common;
mod diff;
mod emit;
mod fmt;
mod json;
mod outputs;
mod pins;
mod refusals;
mod terminal;
mod warnings;
mod watch;

use common::{command, folder, tilewright};
use std::process::Stdio;

/// Sizes at which a run takes a moment.
const SMALL: [&str; 4] = ["--set", "D=256", "--set", "VOCAB=512"];

/// Compares with a snapshot, times aside.
fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.add_filter(r"\d+\.\d\d s\b", "[time]");
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn help() {
    let folder = folder();
    for args in [
        &["--help"][..],
        &["run", "--help"],
        &["optimize", "--help"],
        &["check", "--help"],
        &["emit", "--help"],
        &["show", "--help"],
        &["passes", "--help"],
        &["rules", "--help"],
        &["machines", "--help"],
    ] {
        let ran = tilewright(folder.path(), args);
        assert_eq!(ran.code, Some(0));
        snapshot(
            &format!("help-{}", args[0].trim_start_matches('-')),
            &ran.stdout,
        );
    }
}

#[test]
fn run() {
    let folder = folder();
    let ran = tilewright(folder.path(), &[&["run", "gate.tw"], &SMALL[..]].concat());
    snapshot("run", &ran.text());
    let out = folder.path().join("tilewright-out/dsv4_flash_gate");
    assert!(out.join("written/gate_mm.cpp").is_file());
    assert!(out.join("optimized/kernels.json").is_file());
    let args = [
        "run",
        "gate.tw",
        "--no-emit",
        "--layer-id",
        "1",
        "--num-tokens",
        "3",
    ];
    let ran = tilewright(folder.path(), &[&args[..], &SMALL[..]].concat());
    snapshot("run-hash-partial", &ran.text());
}

#[test]
fn lines_fit_a_terminal() {
    let folder = folder();
    let run = [&["run", "gate.tw", "--no-emit"], &SMALL[..]].concat();
    let tune = ["tune", "gate.tw", "--effort", "quick", "--trials", "2"];
    let tune = [&tune[..], &SMALL].concat();
    let explain = [&["explain", "gate.tw", "--no-gains"], &SMALL[..]].concat();
    let root = common::root().display().to_string();
    let records = format!("{root}/examples/calibration/records.toml");
    for args in [
        &run[..],
        &tune,
        &explain,
        &["rules"],
        &["machines"],
        &["machines", "910B4"],
        &["passes"],
        &["calibrate", "--check", "A3", &records],
        &["--help"],
        &["run", "--help"],
        &["tune", "--help"],
        &["db", "--help"],
        &["check", "-h"],
    ] {
        let ran = tilewright(folder.path(), args);
        assert_eq!(ran.code, Some(0), "{}", ran.text());
        assert!(
            !ran.stdout.contains('\u{1b}'),
            "no colours without a terminal"
        );
        for line in ran.stdout.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

#[test]
fn other_tables() {
    let folder = folder();
    for args in [
        &["optimize", "gate.tw"][..],
        &["passes"],
        &["rules"],
        &["machines"],
    ] {
        let ran = tilewright(folder.path(), args);
        snapshot(args[0], &ran.text());
    }
}

#[test]
fn json_has_the_fields_that_are_promised() {
    let folder = folder();
    let args = [&["run", "gate.tw", "--json", "--no-emit"], &SMALL[..]].concat();
    let ran = tilewright(folder.path(), &args);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one JSON object");
    for path in [
        "/graph",
        "/machine",
        "/ok",
        "/checks/0/output",
        "/checks/0/against",
    ] {
        assert!(report.pointer(path).is_some(), "{path}");
    }
    for field in ["max_abs", "max_rel", "mismatched", "ok"] {
        assert!(report["checks"][0].get(field).is_some(), "{field}");
    }
    for field in ["nodes", "classes", "iterations", "stop", "seconds"] {
        assert!(report["search"].get(field).is_some(), "{field}");
    }
    for form in ["written", "optimized"] {
        assert!(report[form]["us"].is_f64() && report[form]["cycles"].is_f64());
        let kernels = report[form]["kernels"].as_array().expect("a list");
        assert!(!kernels.is_empty());
        for kernel in kernels {
            for path in [
                "/name",
                "/covers/0",
                "/launch/kind",
                "/launch/blocks",
                "/tiles",
                "/pipeline",
                "/predicted/us",
                "/predicted/cycles",
                "/predicted/pipes",
                "/simulated/us",
                "/simulated/cycles",
                "/simulated/pipes",
                "/memory/ub",
                "/memory/l1",
                "/memory/l0a",
                "/memory/l0b",
                "/memory/l0c",
                "/derivation",
            ] {
                assert!(kernel.pointer(path).is_some(), "{form}: {path} of {kernel}");
            }
        }
    }
}

#[test]
fn show_reads_what_it_prints() {
    let folder = folder();
    let text = tilewright(folder.path(), &["show", "gate.tw"]);
    let json = tilewright(folder.path(), &["show", "gate.tw", "--as", "json"]);
    std::fs::write(folder.path().join("g.tw"), &text.stdout).expect("the text is written");
    std::fs::write(folder.path().join("g.json"), &json.stdout).expect("the JSON is written");
    for file in ["g.tw", "g.json"] {
        let again = tilewright(folder.path(), &["show", file]);
        assert_eq!(again.stdout, text.stdout);
        let again = tilewright(folder.path(), &["show", file, "--json"]);
        assert_eq!(again.stdout, json.stdout);
    }
    let dot = tilewright(folder.path(), &["show", "gate.tw", "--as", "dot"]);
    assert!(
        dot.stdout.starts_with("digraph dsv4_flash_gate {"),
        "{}",
        dot.stdout
    );
}

#[test]
fn show_after_each_pass() {
    let folder = folder();
    for (pass, first) in [
        ("prune", "graph dsv4_flash_gate {"),
        ("optimize", "plan dsv4_flash_gate"),
        ("synchronise", "program dsv4_flash_gate"),
    ] {
        let args = [&["show", "gate.tw", "--after", pass], &SMALL[..]].concat();
        let shown = tilewright(folder.path(), &args);
        assert!(shown.stdout.starts_with(first), "{}", shown.text());
        let args = [&["run", "gate.tw", "--stop-after", pass], &SMALL[..]].concat();
        assert_eq!(tilewright(folder.path(), &args).stdout, shown.stdout);
        let args = [&["optimize", "gate.tw", "--dump", pass], &SMALL[..]].concat();
        let dumped = tilewright(folder.path(), &args).stderr;
        assert!(dumped.contains(&shown.stdout), "{dumped}");
        let args = [&["show", "gate.tw", "--json", "--after", pass], &SMALL[..]].concat();
        let shown = tilewright(folder.path(), &args).stdout;
        let json: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
        assert_eq!(json["name"], "dsv4_flash_gate");
    }
}

#[test]
fn check_finds_nothing_in_what_is_made() {
    let folder = folder();
    let ran = tilewright(folder.path(), &[&["check", "gate.tw"], &SMALL[..]].concat());
    snapshot("check", &ran.text());
    // More loads at once than there are event ids: coarser flags, which are right, and a note.
    let pins = [
        "--set",
        "VOCAB=64",
        "--pin",
        "gate.split_k=16",
        "--pin",
        "gate.GATE_M_TILE=8",
        "--disable-rule",
        "fuse",
    ];
    let ran = tilewright(folder.path(), &[&["check", "gate.tw"], &pins[..]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    let emit = [&["emit", "gate.tw", "-o", "split"], &pins[..]].concat();
    assert_eq!(tilewright(folder.path(), &emit).code, Some(0));
    let text = std::fs::read_to_string(folder.path().join("split/gate_act.cpp"));
    let text = text.expect("the gate has a vector part");
    let note = "more than 8 event ids from MTE2 to V: neighbouring flags are merged";
    assert!(text.contains(&format!("// note: {note}")), "{text}");
    assert!(
        text.contains("// regenerate: tilewright emit gate.tw"),
        "{text}"
    );
    assert!(text.contains("--pin gate.split_k=16"), "{text}");
    let optimize = [&["optimize", "gate.tw", "-v"], &pins[..]].concat();
    let ran = tilewright(folder.path(), &optimize);
    let words: Vec<&str> = ran.stdout.split_whitespace().collect();
    assert!(
        words
            .join(" ")
            .contains(&format!("note on gate_act optimized: {note}")),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_saved_program_is_checked_as_its_user_left_it() {
    let folder = folder();
    let args = [
        &[
            "show",
            "gate.tw",
            "--after",
            "check-order",
            "--json",
            "--disable-rule",
            "fuse",
        ],
        &SMALL[..],
    ]
    .concat();
    let saved = tilewright(folder.path(), &args).stdout;
    let check = |text: &str, more: &[&str]| {
        std::fs::write(folder.path().join("p.json"), text).expect("the program is saved");
        tilewright(folder.path(), &[&["check", "p.json"], more].concat())
    };
    let ran = check(&saved, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    // The quantisation no longer waits for its load, nor for the kernel that makes what it loads.
    let mut program: serde_json::Value = serde_json::from_str(&saved).expect("JSON");
    let kernels = program["kernels"].as_array_mut().expect("kernels");
    let quant = kernels
        .iter_mut()
        .find(|k| k["name"] == "x_norm_quant")
        .expect("a kernel");
    quant["after"] = serde_json::json!([]);
    let body = quant["body"].as_array_mut().expect("statements");
    let wait = body
        .iter()
        .position(|s| s.get("wait").is_some())
        .expect("a wait");
    body.remove(wait);
    let text = program.to_string();
    let ran = check(&text, &[]);
    assert_eq!(ran.code, Some(1));
    snapshot("check-saved", &ran.text());
    let ran = check(&text, &["--json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(
        (ran.code, &report["ok"]),
        (Some(1), &serde_json::json!(false))
    );
    let findings = report["programs"][0]["findings"]
        .as_array()
        .expect("findings");
    for finding in findings {
        for path in [
            "/code",
            "/kernel",
            "/place/file",
            "/place/line",
            "/message",
            "/remedy",
            "/times",
        ] {
            assert!(finding.pointer(path).is_some(), "{path} of {finding}");
        }
    }
    // What is no program, and options that are for graphs.
    for (text, more) in [
        ("{\"kernels\": 3, \"machine\": \"A3\"}", &[][..]),
        ("{}", &[]),
        ("", &[]),
        (saved.as_str(), &["--set", "D=512"]),
        (saved.as_str(), &["--pin", "gate.launch=spmd"]),
        (saved.as_str(), &["--num-tokens", "99999"]),
        (&saved.replace("\"A3\"", "\"A7\""), &[]),
    ] {
        let ran = check(text, more);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (Some(3), ""),
            "{more:?} {}",
            ran.stderr
        );
        assert!(ran.stderr.contains("tilewright::"), "{}", ran.stderr);
    }
}

#[test]
fn a_reader_that_has_had_enough_is_no_error() {
    let folder = folder();
    let mut child = command(folder.path(), &["machines", "A3"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the command ends");
    assert_eq!(output.status.code(), Some(0));
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn inputs_from_a_file() {
    use tilewright::data::{self, Source};
    use tilewright_backends::data::{Tensors, save};

    let folder = folder();
    let graph = common::graph(common::GATE, &common::SMALL);
    let mut tensors =
        data::inputs(&graph, &Source::Seed(7), &Default::default()).expect("inputs are made");
    let truth = tilewright_backends::reference::run(&graph, &tensors).expect("it runs");
    let write = |name: &str, tensors: &Tensors| {
        save(folder.path().join(name), tensors).expect("saved");
    };
    let run = |inputs: &str, more: &[&str]| {
        let args = ["run", "gate.tw", "--no-emit", "--inputs", inputs];
        tilewright(folder.path(), &[&args[..], more].concat())
    };
    write("in.safetensors", &tensors);
    let mut expected = truth.clone();
    write("out.safetensors", &expected);
    let ran = run("in.safetensors", &["--expect", "out.safetensors"]);
    snapshot("run-inputs", &ran.text());
    assert_eq!(ran.code, Some(0));
    // A wrong expectation is a failed check: the report is printed, and the exit code is 1.
    let scale = expected.get_mut("x_norm_scale").expect("an output");
    scale.bytes[3] ^= 1;
    write("wrong.safetensors", &expected);
    let ran = run("in.safetensors", &["--expect", "wrong.safetensors"]);
    assert_eq!(ran.code, Some(1), "{}", ran.text());
    assert!(
        ran.stdout.contains("2 of 20 checks FAILED"),
        "{}",
        ran.stdout
    );
    // An expectation of another layer, sizes that contradict each other, a missing input.
    expected = truth
        .into_iter()
        .map(|(n, t)| (format!("out.other_{n}"), t))
        .collect();
    write("other.safetensors", &expected);
    let ran = run("in.safetensors", &["--expect", "other.safetensors"]);
    snapshot("inputs-other-expect", &ran.text());
    snapshot(
        "inputs-conflict",
        &run("in.safetensors", &["--set", "D=512"]).text(),
    );
    tensors.shift_remove("norm_w");
    write("part.safetensors", &tensors);
    snapshot("inputs-missing", &run("part.safetensors", &[]).text());
}

#[test]
fn machines_from_a_file() {
    let folder = folder();
    let write = |text: &str| {
        std::fs::write(folder.path().join("m.toml"), text).expect("a file is written");
    };
    write("base = \"A3\"\nname = \"slow\"\nclock_mhz = { value = 185, source = \"assumed\" }\n");
    let args = ["optimize", "gate.tw", "--machine", "m.toml", "--json"];
    let ran = tilewright(folder.path(), &args);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one JSON object");
    assert_eq!(report["machine"], "slow");
    write("base = \"A3\"\nclock_mhz = { value = -5, source = \"assumed\" }\n");
    snapshot("machine-file", &tilewright(folder.path(), &args).text());
}

/// A file is the user's until all that was asked for is understood.
#[test]
fn a_dump_of_no_pass_leaves_its_file_alone() {
    let folder = folder();
    let kept = folder.path().join("kept.txt");
    std::fs::write(&kept, "precious").expect("the folder can be written to");
    let args = [
        &[
            "optimize",
            "gate.tw",
            "--dump",
            "prune=kept.txt",
            "--dump",
            "nosuch=kept.txt",
        ],
        &SMALL[..],
    ]
    .concat();
    let ran = tilewright(folder.path(), &args);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("there is no pass `nosuch`"),
        "{}",
        ran.stderr
    );
    let text = std::fs::read_to_string(&kept).expect("the file is there");
    assert_eq!(text, "precious");
}

/// Times of rows that only a run counts say which rows they are of, and those are the user's to choose.
#[test]
fn rows_that_only_a_run_counts() {
    let folder = folder();
    let layer = "graph experts {
  param R = 64
  input counts: i32[16, 1] <= R ~ binomial(64, 1, 4)
  input x: f32[16 * R, 512] ragged counts
  kernel k {
    y = exp(x)
  }
  output y
}
";
    std::fs::write(folder.path().join("layer.tw"), layer).expect("a file is written");
    let few = format!("{{\"counts\": [{}]}}", ["1"; 16].join(", "));
    std::fs::write(folder.path().join("few.json"), few).expect("a file is written");
    std::fs::write(folder.path().join("wrong.json"), "{\"counts\": [1]}").expect("it is written");
    let optimized = |rows: &[&str]| -> (f64, String) {
        let args = [&["optimize", "layer.tw"], rows].concat();
        let ran = tilewright(folder.path(), &args);
        assert_eq!(ran.code, Some(0), "{}", ran.text());
        let line = ran.stdout.lines().find(|l| l.starts_with("optimized: "));
        let us = line.and_then(|l| l.split(' ').nth(1)?.parse().ok());
        (us.unwrap_or_else(|| panic!("{}", ran.text())), ran.stdout)
    };
    let (expected, said) = optimized(&[]);
    assert!(
        said.contains("(predicted, of expected rows: --rows)"),
        "{said}"
    );
    let (full, said) = optimized(&["--rows", "full"]);
    assert!(said.contains("(predicted, of all rows: --rows)"), "{said}");
    let (few, _) = optimized(&["--rows", "few.json"]);
    assert!(few < expected && expected < full, "{few} {expected} {full}");
    let ran = tilewright(
        folder.path(),
        &["optimize", "layer.tw", "--rows", "wrong.json"],
    );
    assert_eq!(ran.code, Some(3));
    let said = "`counts` has 1 counts, and the layer has 16 groups of rows";
    assert!(ran.stderr.contains(said), "{}", ran.text());
}
