//! Tuning: from the command, with a database that survives everything, and with commands that do not do what they should.

#[path = "../common/mod.rs"]
mod common;
mod database;
mod runners;
mod schedules;
mod sizes;

use common::{Ran, command, example, ran};
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

/// Where tests of this file keep trials.
const DB: &str = "tuned.sqlite";

/// An empty folder with the smallest example in it.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let to = folder.path().join("norm.tw");
    std::fs::copy(example("rms_norm"), to).expect("the example is copied");
    folder
}

/// The command on a database in a folder.
fn with_db(folder: &Path, args: &[&str]) -> Ran {
    ran(command(folder, args).env("TILEWRIGHT_DB", DB))
}

const TUNE: [&str; 6] = ["tune", "norm.tw", "--set", "D=512", "--effort", "quick"];

fn tune(folder: &Path, args: &[&str]) -> Value {
    let ran = with_db(folder, &[&TUNE[..], args, &["--json"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).expect("a report is JSON")
}

fn number(of: &Value, name: &str) -> f64 {
    of[name]
        .as_f64()
        .unwrap_or_else(|| panic!("no `{name}` in {of}"))
}

/// Lines that `db export` writes.
fn exported(folder: &Path) -> Vec<Value> {
    let ran = with_db(folder, &["db", "export"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let line = |l: &str| serde_json::from_str(l).expect("a line is JSON");
    ran.stdout.lines().map(line).collect()
}

#[test]
fn a_layer_gets_no_worse_and_nothing_is_measured_twice() {
    let folder = folder();
    let first = tune(folder.path(), &["--trials", "24"]);
    assert!(number(&first, "us") <= number(&first, "pick_us"));
    let kernel = &first["kernels"][0];
    assert_eq!(kernel["names"][0], "norm");
    assert_eq!(kernel["trials"], kernel["new"]);
    assert!(number(kernel, "us") <= number(kernel, "pick_us"));
    let trials = exported(folder.path()).len();
    assert_eq!(number(&first, "new") as usize, trials);
    // The same again is answered from the database.
    let second = tune(folder.path(), &["--trials", "24"]);
    assert_eq!(number(&second, "new"), 0.0);
    assert_eq!(second["kernels"][0]["trials"], kernel["trials"]);
    assert_eq!(second["us"], first["us"]);
    assert_eq!(exported(folder.path()).len(), trials);
    // More goes on from there.
    let more = tune(folder.path(), &["--trials", "40"]);
    assert!(number(&more, "new") < number(&more["kernels"][0], "trials"));
    assert!(number(&more, "us") <= number(&first, "us"));
}

#[test]
fn the_same_seed_gives_the_same_trials() {
    let reports = [(); 2].map(|()| {
        let folder = folder();
        let report = tune(folder.path(), &["--trials", "24", "--seed", "7"]);
        (report, exported(folder.path()))
    });
    assert_eq!(reports[0], reports[1]);
}

#[test]
fn what_ended_early_goes_on() {
    let folder = folder();
    let none = tune(folder.path(), &["--trials", "24", "--time", "0"]);
    assert_eq!(none["ended"], "time");
    assert_eq!(none["kernels"][0]["trials"], 0);
    let all = tune(folder.path(), &["--trials", "24"]);
    assert_eq!(all["kernels"][0]["new"], all["kernels"][0]["trials"]);
    assert!(number(&all["kernels"][0], "new") > 1.0);
}

#[test]
fn a_wrong_model_is_corrected_by_a_runner_that_is_right() {
    let folder = folder();
    // A machine on which the dear launch is cheap and the cheap one dear.
    let figure = |name: &str, us: f64| {
        format!("{name} = {{ value = {us:?}, unit = \"us\", source = \"wrong on purpose\" }}\n")
    };
    let machine = "base = \"a2a3\"\nname = \"off\"\nabout = \"launches are wrong\"\n".to_owned()
        + &figure("runtime.pypto.spmd", 50.0)
        + &figure("runtime.pypto.parallel", 0.1)
        + &figure("runtime.pypto.task", 0.0);
    std::fs::write(folder.path().join("off.toml"), machine).expect("a file is written");
    let args = [
        "--trials",
        "60",
        "--machine",
        "./off.toml",
        "--sim-machine",
        "A3",
    ];
    let report = tune(folder.path(), &args);
    assert!(
        number(&report, "us") < number(&report, "pick_us"),
        "{report}"
    );
    let pin = report["pins"][0].as_str().expect("something is pinned");
    // It is what is made from then on.
    let args = [
        "optimize",
        "norm.tw",
        "--set",
        "D=512",
        "--machine",
        "./off.toml",
    ];
    let ran = with_db(folder.path(), &args);
    assert!(ran.stdout.contains(pin), "{}", ran.stdout);
}

#[test]
fn what_no_runner_is_is_refused() {
    let folder = folder();
    for (on, code) in [
        ("moon", "tilewright::tune::runner"),
        ("command:true", "tilewright::tune::template"),
    ] {
        let ran = with_db(folder.path(), &[&TUNE[..], &["--on", on]].concat());
        assert_eq!(ran.code, Some(3));
        assert!(ran.stderr.contains(code), "{}", ran.stderr);
    }
    // Nothing was made for it.
    assert!(!folder.path().join(DB).exists());
}

/// A layer of several ranks is refused with a way that works.
#[test]
fn several_ranks_are_refused() {
    let folder = folder();
    std::fs::copy(example("all_gather"), folder.path().join("ranks.tw")).expect("it is copied");
    let refused = with_db(folder.path(), &["tune", "ranks.tw"]);
    assert_eq!(refused.code, Some(3), "{}", refused.text());
    assert!(
        refused.stderr.contains("runs on 2 ranks"),
        "{}",
        refused.stderr
    );
    assert!(
        refused.stderr.contains("--write-pins FILE"),
        "{}",
        refused.stderr
    );
    assert!(!folder.path().join(DB).exists(), "nothing was measured");
}

/// Which kernels are one launch is decided by the model, which trials of kernels alone cannot mend but by its figures.
#[test]
fn a_layer_is_searched_with_figures_that_trials_ask_for() {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("a file is written");
    };
    write(
        "layer.tw",
        "graph layer {
  param T = 8
  param D = 512
  param F = 1024
  input x: f32[T, D]
  input g: f32[D]
  input w: f32[F, D]
  kernel norm {
    h = rms_norm(x, g, eps = 1e-6)
  }
  kernel product {
    y = matmul_nt(h, w)
  }
  kernel act {
    z = silu(y)
  }
  output z
}
",
    );
    // Blocks are free, and the path into L1 is half as wide as it is.
    let figure = |name: &str, value: f64| {
        format!("{name} = {{ value = {value:?}, source = \"wrong on purpose\" }}\n")
    };
    let machine = "base = \"A3\"\nname = \"off\"\nabout = \"blocks are free\"\n".to_owned()
        + &figure("gm_to_l1.peak", 33.9)
        + &figure("runtime.pypto.parallel", 0.579)
        + &figure("runtime.pypto.task", 0.0)
        + &figure("runtime.pypto.block", 0.0);
    write("off.toml", &machine);
    let json = |args: &[&str]| -> Value {
        let ran = with_db(folder.path(), args);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        serde_json::from_str(&ran.stdout).expect("a report is JSON")
    };
    let tune = [
        "tune",
        "layer.tw",
        "--machine",
        "./off.toml",
        "--sim-machine",
        "A3",
        "--effort",
        "quick",
        "--trials",
        "12",
        "--json",
    ];
    let tuned = json(&tune);
    let right = json(&["run", "layer.tw", "--machine", "A3", "--no-db", "--json"]);
    let best = number(&right["optimized"], "us");
    let pick = number(&tuned, "pick_us");
    assert!(
        pick > 1.5 * best,
        "{pick} and {best}: the model is not wrong enough"
    );
    let us = number(&tuned, "us");
    assert!(
        us < best + 0.1 * (pick - best),
        "{us} of {pick}, where {best} is possible"
    );
    // What was found is what is made from then on, by the wrong model, too.
    let again = with_db(
        folder.path(),
        &["optimize", "layer.tw", "--machine", "./off.toml"],
    );
    let pin = tuned["pins"][0].as_str().expect("something is pinned");
    assert!(again.stdout.contains(pin), "{}", again.stdout);
}
