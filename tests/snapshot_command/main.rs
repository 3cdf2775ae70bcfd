//! `tilewright snapshot`: what is kept of layers, and what is told when it changes.

#[path = "../common/mod.rs"]
mod common;
mod config;
#[cfg(target_os = "linux")]
mod on_terminal;
#[cfg(target_os = "linux")]
mod terminal;

use common::{Ran, tilewright};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A folder with a small layer of two kernels, which are fused.
fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let layers = folder.path().join("layers");
    fs::create_dir(&layers).expect("the folder is made");
    let norm = common::root().join("examples/snapshots/layers/norm.tw");
    fs::copy(norm, layers.join("norm.tw")).expect("the layer is copied");
    folder
}

const LAYER: &str = "layers/norm.tw";
const KEPT: &str = "layers/snapshots/norm";

fn snapshot(folder: &Path, args: &[&str]) -> Ran {
    tilewright(folder, &[&["snapshot"], args].concat())
}

/// As [`snapshot`], with what it ends with.
fn ends(folder: &Path, args: &[&str], code: i32) -> Ran {
    let ran = snapshot(folder, args);
    assert_eq!(ran.code, Some(code), "{args:?}: {}", ran.text());
    ran
}

/// All files below a folder with their bytes, by their paths from there.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).expect("it is readable").flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => open.push(path),
                false => {
                    let name = path.strip_prefix(folder).expect("it is below");
                    let bytes = fs::read(&path).expect("it is readable");
                    all.insert(name.display().to_string(), bytes);
                }
            }
        }
    }
    all
}

fn names(folder: &Path) -> Vec<String> {
    tree(folder).into_keys().collect()
}

/// Asserts that these texts are there, one after the other.
fn in_order(text: &str, parts: &[&str]) {
    let mut at = 0;
    for part in parts {
        let found = text[at..].find(part);
        at += found.unwrap_or_else(|| panic!("no `{part}` after {at} in:\n{text}")) + part.len();
    }
}

#[test]
fn what_is_made_is_as_it_was() {
    let folder = project();
    let here = folder.path();
    let ran = ends(here, &[LAYER, "--check"], 1);
    assert!(
        ran.stdout.contains("layers/snapshots/norm: not kept yet"),
        "{}",
        ran.text()
    );
    assert!(
        !here.join("layers/snapshots").exists(),
        "a check writes nothing"
    );
    let ran = ends(here, &[LAYER], 0);
    assert_eq!(ran.stdout, "layers/snapshots/norm: written\n");
    let made = tree(here);
    let kept = ["kernels.json", "norm_square.cpp", "schedule.json"];
    let mut all: Vec<String> = kept.map(|k| format!("{KEPT}/{k}")).into();
    all.insert(0, LAYER.into());
    assert_eq!(names(here), all);
    for mode in [&[][..], &["--check"], &["--accept"]] {
        let ran = ends(here, &[&[LAYER], mode].concat(), 0);
        assert_eq!(
            (ran.stdout.as_str(), ran.stderr.as_str()),
            ("layers/snapshots/norm: as it was\n", "")
        );
    }
    assert_eq!(tree(here), made);
}

#[test]
fn paths_folders_versions_and_times_are_not_kept() {
    let folder = project();
    let here = folder.path();
    ends(here, &[LAYER], 0);
    let made = tree(&here.join(KEPT));
    for (name, bytes) in &made {
        let text = String::from_utf8_lossy(bytes);
        for word in [
            env!("CARGO_PKG_VERSION"),
            "layers/",
            "predicted",
            "regenerate",
            " us",
        ] {
            assert!(!text.contains(word), "`{word}` in {name}:\n{text}");
        }
    }
    // From another folder, by another path, with another file beside it.
    let absolute = here.join(LAYER).display().to_string();
    ends(&here.join("layers"), &["norm.tw", "--check"], 0);
    ends(Path::new("/"), &[&absolute, "--check"], 0);
    let other = project();
    ends(&other.path().join("layers"), &["norm.tw"], 0);
    assert_eq!(tree(&other.path().join(KEPT)), made);
    // A checkout may have other ends of lines.
    let kernel = here.join(KEPT).join("norm_square.cpp");
    let text = fs::read_to_string(&kernel).unwrap().replace('\n', "\r\n");
    fs::write(&kernel, text).unwrap();
    ends(here, &[LAYER, "--check"], 0);
}

#[test]
fn a_changed_schedule_is_told_before_the_text() {
    let folder = project();
    let here = folder.path();
    ends(here, &[LAYER], 0);
    let made = tree(here);
    let pinned = [LAYER, "--disable-rule", "fuse"];
    let ran = ends(here, &[&pinned[..], &["--check"]].concat(), 1);
    in_order(
        &ran.stdout,
        &[
            "layers/snapshots/norm: differs",
            "  schedule",
            "unfused: norm_square -> norm + square",
            "- norm_square: spmd",
            "+ norm: spmd x2, T_TILE 4, ",
            "+ square: spmd x2",
            "  text",
            "norm.cpp: new",
            "norm_square.cpp: nothing makes it any more",
            "--- layers/snapshots/norm/kernels.json",
            "@@",
            "-      \"name\": \"norm_square\"",
            "the snapshot differs: --review",
        ],
    );
    assert!(!ran.stdout.contains('\u{1b}'), "colours are for terminals");
    // Told without an option, too, and not replaced.
    let told = ends(here, &pinned, 1);
    assert_eq!(told.stdout, ran.stdout);
    assert_eq!(tree(here), made);
    // Kernel by kernel, where kernels are the same.
    ends(here, &[&pinned[..], &["--accept"]].concat(), 0);
    let other = [
        "--pin",
        "square.launch=parallel",
        "--pin",
        "square.T_TILE=2",
    ];
    let ran = ends(here, &[&pinned[..], &other, &["--check"]].concat(), 1);
    let lines = [
        "  schedule\n",
        "    square\n",
        "launch: spmd x2 -> parallel x4",
        "T_TILE: 4 -> 2",
        "--- ",
    ];
    in_order(&ran.stdout, &lines);
    assert!(!ran.stdout.contains("\n    norm\n"), "{}", ran.stdout);
}

#[test]
fn accepted_is_what_is_made_and_nothing_stale() {
    let folder = project();
    let here = folder.path();
    ends(here, &[LAYER], 0);
    let notes = here.join(KEPT).join("notes.md");
    fs::write(&notes, "why it is so").unwrap();
    let stray = here.join(KEPT).join("old.cpp");
    fs::write(&stray, "// of another branch\n").unwrap();
    let ran = ends(here, &[LAYER, "--check"], 1);
    in_order(
        &ran.stdout,
        &[
            "the schedule is the same",
            "old.cpp: nothing makes it any more",
        ],
    );
    let other = [LAYER, "--disable-rule", "fuse", "--accept"];
    assert_eq!(
        ends(here, &other, 0).stdout.lines().next(),
        Some("layers/snapshots/norm: replaced")
    );
    let kept = [
        "kernels.json",
        "norm.cpp",
        "notes.md",
        "schedule.json",
        "square.cpp",
    ];
    assert_eq!(names(&here.join(KEPT)), kept);
    assert_eq!(
        names(here).len(),
        kept.len() + 1,
        "nothing is left beside it"
    );
    ends(here, &[LAYER, "--disable-rule", "fuse", "--check"], 0);
}

#[test]
fn an_edited_text_differs_in_its_text_only() {
    let folder = project();
    let here = folder.path();
    ends(here, &[LAYER], 0);
    let kernel = here.join(KEPT).join("norm_square.cpp");
    let text = fs::read_to_string(&kernel).unwrap();
    fs::write(
        &kernel,
        text.replace("using namespace pto;", "using namespace other;"),
    )
    .unwrap();
    let ran = ends(here, &[LAYER, "--check"], 1);
    in_order(
        &ran.stdout,
        &[
            "the schedule is the same",
            "norm_square.cpp: +1 -1 lines",
            "-using namespace other;\n+using namespace pto;\n",
        ],
    );
    // What two branches made of the schedule is replaced as well.
    let schedule = here.join(KEPT).join("schedule.json");
    let text = fs::read_to_string(&schedule).unwrap();
    fs::write(&schedule, format!("<<<<<<< ours\n{text}")).unwrap();
    let ran = ends(here, &[LAYER, "--check"], 1);
    in_order(
        &ran.stdout,
        &[
            "the schedule that is kept cannot be read: expected value at line 1",
            "-<<<<<<< ours",
        ],
    );
    ends(here, &[LAYER, "--accept"], 0);
    ends(here, &[LAYER, "--check"], 0);
}

#[test]
fn contents_are_what_is_asked_for() {
    let folder = project();
    let here = folder.path();
    let with = [
        LAYER,
        "--with",
        "plan,times",
        "--as",
        "pypto",
        "--written",
        "--name",
        "as-written",
    ];
    ends(here, &with, 0);
    let kept = here.join("layers/snapshots/as-written");
    assert_eq!(
        names(&kept),
        [
            "__init__.py",
            "kernels.json",
            "norm.py",
            "norm_kernel.py",
            "plan.txt",
            "schedule.json",
            "square.py"
        ]
    );
    let schedule = fs::read_to_string(kept.join("schedule.json")).unwrap();
    let schedule: serde_json::Value = serde_json::from_str(&schedule).unwrap();
    let us = schedule["kernels"][0]["predicted_us"]
        .as_f64()
        .expect("times were asked for");
    assert!(
        us > 0.0 && format!("{us}").len() <= 4,
        "{us} has three digits"
    );
    assert_eq!(schedule["form"], "written");
    let ran = ends(
        here,
        &[&with[..], &["--json", "--check", "--set", "D=1024"]].concat(),
        1,
    );
    let told: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one JSON object");
    assert_eq!(told["ok"], false);
    let one = &told["snapshots"][0];
    assert_eq!(
        (&one["fate"], &one["kept"]),
        (&"changed".into(), &false.into())
    );
    assert_eq!(one["schedule"][0]["part"]["name"], "param D");
    assert!(one["texts"].as_array().is_some_and(|t| !t.is_empty()));
}

#[test]
fn refusals_write_nothing() {
    let folder = project();
    let here = folder.path();
    ends(here, &[LAYER], 0);
    let stop = |args: &[&str], parts: &[&str]| {
        let ran = ends(here, args, 3);
        parts
            .iter()
            .for_each(|part| assert!(ran.stderr.contains(part), "{part}: {}", ran.text()));
    };
    stop(&["--check"], &["snapshot::no_layers", "[[layer]]"]);
    stop(&["layers/none.tw"], &["there is no such file"]);
    stop(&[LAYER, "--name", "../x"], &["snapshot::name", "`../x`"]);
    stop(
        &[LAYER, "./layers/norm.tw"],
        &["snapshot::same_place", "--name"],
    );
    stop(&[LAYER, "--as", "cxx"], &["there is no emitter `cxx`"]);
    stop(
        &[LAYER, "--set", "D=4096", "--review"],
        &["snapshot::no_terminal", "--accept takes all"],
    );
    let made = tree(here);
    // A folder of something else.
    let foreign = here.join("layers/snapshots/mine");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("a.cpp"), "mine").unwrap();
    stop(
        &[LAYER, "--name", "mine", "--accept"],
        &["snapshot::foreign", "a.cpp"],
    );
    assert_eq!(names(&foreign), ["a.cpp"]);
    fs::remove_dir_all(&foreign).unwrap();
    // A place that cannot be written to, whoever asks.
    fs::write(here.join("layers/file"), "").unwrap();
    fs::copy(here.join(LAYER), here.join("layers/other.tw")).unwrap();
    fs::rename(here.join("layers/snapshots"), here.join("layers/away")).unwrap();
    fs::rename(here.join("layers/file"), here.join("layers/snapshots")).unwrap();
    stop(
        &["layers/other.tw"],
        &["folder::write", "layers/snapshots/other"],
    );
    fs::remove_file(here.join("layers/snapshots")).unwrap();
    fs::remove_file(here.join("layers/other.tw")).unwrap();
    fs::rename(here.join("layers/away"), here.join("layers/snapshots")).unwrap();
    assert_eq!(tree(here), made);
}

/// The project in `examples/` is as it was made, and a test in Rust keeps its kernels with insta.
#[test]
fn the_example_is_as_it_was() {
    let folder = common::root().join("examples/snapshots");
    let mode = match std::env::var("INSTA_UPDATE").is_ok_and(|v| v == "always") {
        true => "--accept",
        false => "--check",
    };
    let ran = ends(&folder, &[mode], 0);
    let snapshots = ran.stdout.lines().filter(|l| !l.starts_with(' '));
    assert_eq!(snapshots.count(), 2, "{}", ran.text());
}
