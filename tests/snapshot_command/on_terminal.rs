//! What is only there on a terminal: questions, colours and progress.

use super::common::{self, command};
use super::terminal::{Shown, run};
use super::{KEPT, LAYER, ends, in_order, names, project, tree};
use std::path::Path;

/// Runs the command on a terminal. Nobody has said that there are to be no colours.
fn shown(folder: &Path, args: &[&str], typed: &str) -> Shown {
    run(command(folder, args).env_remove("NO_COLOR"), typed)
}

#[test]
fn a_review_asks_for_each() {
    let folder = project();
    let here = folder.path();
    let config = "[[layer]]\nfile = \"layers/norm.tw\"\n\n[[layer]]\nfile = \"layers/norm.tw\"\nname = \"b\"\n\n\
                  [[layer]]\nfile = \"layers/norm.tw\"\nname = \"c\"\n";
    std::fs::write(here.join("tilewright.toml"), config).unwrap();
    ends(here, &[], 0);
    let made = tree(here);
    let review = ["snapshot", "--review", "--disable-rule", "fuse"];
    // Nothing that is no answer is taken for one; what is rejected and what nobody was asked about stays.
    let ran = shown(here, &review, "what\nr\nt\na\nq\n");
    assert_eq!(ran.code, Some(1), "{}", ran.text);
    in_order(
        &ran.text,
        &[
            "norm: differs",
            "unfused: norm_square -> norm + square",
            "1 of 3: [a]ccept",
            "1 of 3: [a]ccept",
            "b: differs",
            "2 of 3: ",
            "--- layers/snapshots/b/kernels.json",
            "2 of 3: ",
            "c: differs",
            "3 of 3: ",
            "2 of 3 snapshots differ",
        ],
    );
    let kept = |name: &str| names(&here.join("layers/snapshots").join(name));
    assert_eq!(
        kept("b"),
        ["kernels.json", "norm.cpp", "schedule.json", "square.cpp"]
    );
    for name in ["norm", "c"] {
        assert_eq!(
            kept(name),
            ["kernels.json", "norm_square.cpp", "schedule.json"]
        );
    }
    let unchanged = tree(&here.join(KEPT));
    let before = made
        .into_iter()
        .filter_map(|(n, b)| Some((n.strip_prefix(&format!("{KEPT}/"))?.to_owned(), b)));
    assert_eq!(unchanged, before.collect());
    let ran = shown(here, &review, "a\na\n");
    assert_eq!(ran.code, Some(0), "{}", ran.text);
    ends(here, &["--check", "--disable-rule", "fuse"], 0);
    // There is nothing to ask.
    let ran = shown(here, &review, "");
    assert_eq!(ran.code, Some(0), "{}", ran.text);
    assert!(!ran.text.contains("[a]ccept"), "{}", ran.text);
}

#[test]
fn a_diff_has_colours() {
    let folder = project();
    let here = folder.path();
    ends(here, &[LAYER], 0);
    let args = ["snapshot", "--check", LAYER, "--set", "D=1024"];
    let ran = shown(here, &args, "");
    assert_eq!(ran.code, Some(1));
    assert!(ran.text.contains("\u{1b}[32m+        1024"), "{}", ran.text);
    assert!(ran.text.contains("\u{1b}[31m-        2048"), "{}", ran.text);
    let plain = run(&mut command(here, &args), "");
    assert!(!plain.text.contains("\u{1b}[32m"), "{}", plain.text);
}

/// A layer that takes longer than what shows nothing.
const LONG: [&str; 4] = ["optimize", "gate.tw", "--set", "VOCAB=512"];

#[test]
fn progress_is_shown_on_a_terminal_only() {
    let folder = common::folder();
    let ran = shown(folder.path(), &LONG, "");
    assert_eq!(ran.code, Some(0), "{}", ran.text);
    in_order(&ran.text, &["optimized: searching", "next: "]);
    assert!(ran.text.contains("e-nodes "), "{}", ran.text);
    // The report is as wide as the terminal, which has 100 columns.
    let shown_text = ran
        .text
        .rsplit("dsv4_flash_gate on A3")
        .next()
        .unwrap_or_default();
    let lines = shown_text.lines().map(console::strip_ansi_codes);
    let longest = lines.map(|l| l.chars().count()).max().unwrap_or(0);
    assert!(longest <= 100, "{}", ran.text);
    assert!(
        shown_text.contains("layer_id=10 N_HASH_LAYERS=3"),
        "{}",
        ran.text
    );
    // The line is gone before the report, which is what it is elsewhere.
    let elsewhere = common::tilewright(folder.path(), &LONG);
    assert_eq!(elsewhere.stderr, "");
    let head = elsewhere.stdout.lines().next().expect("there is a report");
    let report = ran.text.rsplit_once(head).expect("it is shown").1;
    assert!(!report.contains("searching"), "{report}");
    assert!(
        ran.text.contains(&format!("\u{1b}[2K{head}")),
        "{}",
        ran.text
    );
    for quiet in ["-q", "--json"] {
        let ran = shown(folder.path(), &[&LONG[..], &[quiet]].concat(), "");
        assert_eq!(ran.code, Some(0), "{}", ran.text);
        assert!(!ran.text.contains("searching"), "{}", ran.text);
    }
}
