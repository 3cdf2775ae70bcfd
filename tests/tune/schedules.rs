//! Schedules as text: from a database, in files, and all values of a parameter.

use crate::{DB, exported, folder, tune, with_db};
use serde_json::{Value, json};
use std::path::Path;

/// The layer's trial, with some fields changed, in a database of its own.
fn changed(folder: &Path, changes: &[(&str, Value)]) {
    let trials = exported(folder);
    let layer = trials
        .iter()
        .find(|t| t["layer"] == true)
        .expect("the layer was measured");
    let mut layer = layer.clone();
    for (name, value) in changes {
        layer[*name] = value.clone();
    }
    std::fs::write(folder.join("one.jsonl"), layer.to_string()).expect("a file is written");
    let ran = with_db(folder, &["db", "import", "one.jsonl"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

const OPTIMIZE: [&str; 5] = ["optimize", "norm.tw", "--set", "D=512", "--json"];

fn optimized(folder: &Path, args: &[&str]) -> (Value, String) {
    let ran = with_db(folder, &[&OPTIMIZE[..], args].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    (
        serde_json::from_str(&ran.stdout).expect("a report is JSON"),
        ran.stderr,
    )
}

#[test]
fn commands_take_the_best_schedule_and_say_so() {
    let folder = folder();
    tune(folder.path(), &["--trials", "8"]);
    let (own, _) = optimized(folder.path(), &[]);
    assert!(
        own["inputs"]
            .to_string()
            .contains("the search's own schedule"),
        "{}",
        own["inputs"]
    );
    let faster = [
        ("schedule", json!("norm.T_TILE=4 norm.launch=spmd")),
        ("median_us", json!(0.001)),
    ];
    changed(folder.path(), &faster);
    let (tuned, warnings) = optimized(folder.path(), &[]);
    assert!(
        tuned["inputs"]
            .to_string()
            .contains("norm.T_TILE=4 norm.launch=spmd")
    );
    assert_eq!(warnings, "");
    let (pinned, _) = optimized(
        folder.path(),
        &["--pin", "norm.T_TILE=4", "--pin", "norm.launch=spmd"],
    );
    assert_eq!(
        tuned["optimized"]["kernels"],
        pinned["optimized"]["kernels"]
    );
    assert_ne!(tuned["optimized"]["kernels"], own["optimized"]["kernels"]);
    let (without, _) = optimized(folder.path(), &["--no-db"]);
    assert_eq!(without["optimized"]["kernels"], own["optimized"]["kernels"]);
    assert_eq!(without["inputs"], json!([]));
    // A command that is shown makes the same kernels.
    let ran = with_db(
        folder.path(),
        &["emit", "norm.tw", "--set", "D=512", "-o", "out"],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("norm.T_TILE=4"), "{}", ran.stdout);
    let text = std::fs::read_to_string(folder.path().join("out/norm.cpp")).expect("it is there");
    assert!(
        text.contains("--pin norm.T_TILE=4 --pin norm.launch=spmd"),
        "{text}"
    );
    let ran = with_db(
        folder.path(),
        &["run", "norm.tw", "--set", "D=512", "--no-emit"],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("norm.T_TILE=4"), "{}", ran.stdout);
}

#[test]
fn what_no_longer_holds_is_left_with_a_warning() {
    let folder = folder();
    tune(folder.path(), &["--trials", "8"]);
    let (own, _) = optimized(folder.path(), &["--no-db"]);
    changed(
        folder.path(),
        &[
            ("schedule", json!("norm.T_TILE=4 norm.blocks=7")),
            ("median_us", json!(0.001)),
        ],
    );
    let (tuned, warnings) = optimized(folder.path(), &[]);
    assert!(warnings.contains("is not used"), "{warnings}");
    // The next best.
    assert_eq!(tuned["optimized"]["kernels"], own["optimized"]["kernels"]);
    let other = crate::folder();
    tune(other.path(), &["--trials", "8"]);
    let text = with_db(other.path(), &["db", "export"]).stdout;
    let hash = exported(other.path())[0]["machine_hash"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    std::fs::write(other.path().join("all.jsonl"), text.replace(&hash, "0")).expect("written");
    std::fs::remove_file(other.path().join(DB)).expect("it is there");
    assert_eq!(
        with_db(other.path(), &["db", "import", "all.jsonl"]).code,
        Some(0)
    );
    let (_, warnings) = optimized(other.path(), &[]);
    assert!(warnings.contains("other figures"), "{warnings}");
}

#[test]
fn commands_that_only_look_make_no_database() {
    let folder = folder();
    let (_, warnings) = optimized(folder.path(), &[]);
    assert_eq!(warnings, "");
    assert_eq!(with_db(folder.path(), &["db", "list"]).code, Some(3));
    assert_eq!(with_db(folder.path(), &["db", "prune"]).code, Some(3));
    assert!(!folder.path().join(DB).exists());
    let mut files = std::fs::read_dir(folder.path()).expect("the folder is there");
    assert!(files.all(|f| f.expect("it is readable").file_name() == "norm.tw"));
}

#[test]
fn a_file_of_pins_is_as_good_as_pins() {
    let folder = folder();
    let text = "# found somewhere\nnorm.T_TILE=4 norm.launch=spmd # both\n\nnorm.pipeline=2\n";
    std::fs::write(folder.path().join("a.pins"), text).expect("a file is written");
    let (file, _) = optimized(folder.path(), &["--pins", "a.pins"]);
    let pins = [
        "--pin",
        "norm.T_TILE=4",
        "--pin",
        "norm.launch=spmd",
        "--pin",
        "norm.pipeline=2",
    ];
    let (line, _) = optimized(folder.path(), &pins);
    assert_eq!(file["optimized"]["kernels"], line["optimized"]["kernels"]);
    std::fs::write(folder.path().join("b.pins"), "norm.T_TILE=4\nnorm\n").expect("written");
    let ran = with_db(
        folder.path(),
        &[&OPTIMIZE[..], &["--pins", "b.pins"]].concat(),
    );
    assert_eq!(ran.code, Some(3));
    assert!(ran.stderr.contains("line 2 of b.pins"), "{}", ran.stderr);
    // What tuning writes is read again, and comes to what was measured.
    let report = tune(
        folder.path(),
        &["--trials", "8", "--write-pins", "best.pins"],
    );
    let (best, _) = optimized(folder.path(), &["--pins", "best.pins", "--no-db"]);
    let us: f64 = best["candidates"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|c| c["picked"] == true)
        .filter_map(|c| c["simulated_us"].as_f64())
        .sum();
    assert!(
        us == 0.0 || us == report["us"].as_f64().unwrap_or_default(),
        "{us} {report}"
    );
}

#[test]
fn a_sweep_has_a_row_for_each_combination() {
    let folder = folder();
    let over = [
        "--over",
        "norm.D_TILE=128,256,511",
        "--over",
        "norm.pipeline=1,2",
    ];
    let args = [&["sweep", "norm.tw", "--set", "D=512"][..], &over[..]].concat();
    let ran = with_db(folder.path(), &[&args[..], &["--csv"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(
        lines[0],
        "norm.D_TILE,norm.pipeline,predicted us,simulated us,"
    );
    let values: Vec<String> = lines[1..]
        .iter()
        .map(|l| l.split(',').take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        values,
        ["128 1", "128 2", "256 1", "256 2", "511 1", "511 2"]
    );
    assert!(lines[5].contains("does not divide"), "{}", lines[5]);
    assert!(lines.iter().any(|l| l.ends_with(",best")), "{}", ran.stdout);
    let ran = with_db(folder.path(), &[&args[..], &["--json"]].concat());
    let swept: Value = serde_json::from_str(&ran.stdout).expect("it is JSON");
    assert_eq!(swept["rows"].as_array().map(Vec::len), Some(6));
    for (over, code) in [
        ("norm.T_TILE", "tilewright::tune::over"),
        ("norm.T_TILE=x", "tilewright::pins::value"),
    ] {
        let ran = with_db(folder.path(), &["sweep", "norm.tw", "--over", over]);
        assert_eq!(ran.code, Some(3));
        assert!(ran.stderr.contains(code), "{}", ran.stderr);
    }
}

/// Marks of a kind in a file of the folder.
fn marks(folder: &Path, file: &str, of: &str) -> usize {
    let text = std::fs::read_to_string(folder.join(file)).expect("it is written");
    assert!(
        text.starts_with("<svg ") && text.ends_with("</svg>\n"),
        "{text}"
    );
    text.matches(of).count()
}

#[test]
fn sweeps_and_trials_are_drawn() {
    let folder = folder();
    let sweep = |over: &[&str]| {
        let args = ["sweep", "norm.tw", "--set", "D=512", "--svg", "sweep.svg"];
        let over: Vec<&str> = over.iter().flat_map(|o| ["--over", o]).collect();
        with_db(folder.path(), &[&args[..], &over[..]].concat())
    };
    let (tiles, depths) = ("norm.D_TILE=128,256,512", "norm.pipeline=1,2");
    assert_eq!(sweep(&[tiles]).code, Some(0));
    // A simulated and a predicted time each.
    assert_eq!(marks(folder.path(), "sweep.svg", "<circle"), 2 * 3 + 2);
    assert_eq!(sweep(&[tiles, depths]).code, Some(0));
    assert_eq!(marks(folder.path(), "sweep.svg", "<rect"), 1 + 3 * 2);
    let refused = sweep(&[tiles, depths, "norm.T_TILE=2,4"]);
    assert_eq!(refused.code, Some(3));
    assert!(
        refused.stderr.contains("tilewright::tune::plot"),
        "{}",
        refused.stderr
    );
    let report = tune(folder.path(), &["--trials", "8", "--svg", "tune.svg"]);
    let trials = report["kernels"][0]["points"]
        .as_array()
        .map_or(0, Vec::len);
    assert_eq!(marks(folder.path(), "tune.svg", "<title>"), trials);
    assert!(trials > 1);
}
