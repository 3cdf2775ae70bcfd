//! The options that write views, and the swimlane.

use crate::common::{folder, tilewright};

const SMALL: [&str; 4] = ["--set", "D=256", "--set", "VOCAB=512"];

#[test]
fn run_and_optimize_write_what_is_asked_for() {
    let folder = folder();
    let file = |name: &str| std::fs::read_to_string(folder.path().join(name));
    std::fs::write(folder.path().join("r.html"), "before").expect("it is written");
    for command in ["run", "optimize"] {
        let mut args = vec![
            command, "gate.tw", "--report", "r.html", "--trace", "t.json",
        ];
        args.extend(SMALL);
        if command == "run" {
            args.push("--no-emit");
        }
        let ran = tilewright(folder.path(), &args);
        assert_eq!(ran.code, Some(0), "{}", ran.text());
        let end = "report: r.html\ntrace: t.json (open it in ui.perfetto.dev)\n";
        assert!(ran.stdout.ends_with(end), "{}", ran.text());
        let page = file("r.html").expect("the page is there");
        assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
        let trace = file("t.json").expect("the trace is there");
        let trace: serde_json::Value = serde_json::from_str(&trace).expect("it is JSON");
        let with_data = &trace["otherData"]["optimized"]["with_data"];
        assert_eq!(with_data, &serde_json::json!(command == "run"));
    }
    let left = std::fs::read_dir(folder.path())
        .expect("it is a folder")
        .count();
    assert_eq!(left, 3, "nothing else is left");
}

#[test]
fn places_where_no_file_can_be_are_refused_before_any_work() {
    let folder = folder();
    let same = ["--report", "x", "--trace", "x"];
    for (args, reason) in [
        (&["--report", "."][..], "it is a folder"),
        (&["--trace", "nowhere/t.json"], "nowhere is no folder"),
        (&same, "--report and --trace name the same file"),
        (&["--write", "nowhere/gate.tw"], "nowhere is no folder"),
        (
            &["--trace", "one", "--write-pins", "one"],
            "--trace and --write-pins name the same file",
        ),
    ] {
        // The layer is not read yet, or else it would be refused.
        let all = [&["optimize", "nothing.tw"], args].concat();
        let ran = tilewright(folder.path(), &all);
        assert_eq!(ran.code, Some(3), "{}", ran.text());
        assert!(ran.stderr.contains(reason), "{}", ran.text());
    }
    let args = [
        "optimize",
        "gate.tw",
        "--report",
        "r.html",
        "--stop-after",
        "lower",
    ];
    let ran = tilewright(folder.path(), &args);
    assert_eq!(ran.code, Some(2), "{}", ran.text());
}

/// But for `--write`, which writes the layer with its schedule.
#[test]
fn no_option_writes_over_the_layer() {
    let folder = folder();
    let layer = || std::fs::read_to_string(folder.path().join("gate.tw")).expect("it is there");
    let before = layer();
    for args in [
        &["optimize", "gate.tw", "--report", "gate.tw"][..],
        &["optimize", "gate.tw", "--trace", "./gate.tw"],
        &["optimize", "gate.tw", "--write-pins", "gate.tw"],
        &["run", "gate.tw", "--no-emit", "--dump", "optimize=gate.tw"],
        &["tune", "gate.tw", "--svg", "gate.tw"],
        &[
            "sweep",
            "gate.tw",
            "--over",
            "gate.pipeline=1,2",
            "--svg",
            "gate.tw",
        ],
    ] {
        let ran = tilewright(folder.path(), args);
        assert_eq!(ran.code, Some(3), "{}", ran.text());
        assert!(ran.stderr.contains("it is read"), "{}", ran.text());
        assert!(layer() == before, "{args:?}");
    }
}

#[test]
fn the_swimlane_fits_its_width() {
    let folder = folder();
    let run = |args: &[&str]| {
        let all = [&["swimlane", "gate.tw"], args, &SMALL].concat();
        let ran = tilewright(folder.path(), &all);
        assert_eq!(ran.code, Some(0), "{}", ran.text());
        ran.stdout
    };
    let text = run(&[]);
    insta::assert_snapshot!("swimlane", text);
    for width in [40, 80, 132] {
        let text = run(&["--width", &width.to_string()]);
        let longest = text.lines().map(|l| l.chars().count()).max();
        assert!(
            longest <= Some(width) && longest > Some(width - 8),
            "{longest:?} of {width}"
        );
    }
    let one = run(&["gate_mm", "--written"]);
    assert!(one.trim_start().starts_with("gate_mm, block "), "{one}");
    let ran = tilewright(
        folder.path(),
        &["swimlane", "gate.tw", "gat", "--set", "D=256"],
    );
    assert_eq!(ran.code, Some(3), "{}", ran.text());
    insta::assert_snapshot!("swimlane-unknown", ran.stderr);
    insta::assert_snapshot!(
        "help-swimlane",
        tilewright(folder.path(), &["swimlane", "--help"]).stdout
    );
}
