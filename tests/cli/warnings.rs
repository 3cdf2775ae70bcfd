//! What is told beside the answer, and where a wrong pin stands.

use crate::common::tilewright;
use std::path::Path;

const LAYER: &str = "graph g {
  param R = 8
  param C = 64
  input x: f32[R, C]
  input idle: f32[R, C]
  kernel k {
    tile T = 4 over R
    y = x * 1e-50
    dead = abs(x)
  }
  output y
}
";

fn folder(layer: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    put(folder.path(), "g.tw", layer);
    folder
}

fn put(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("a file is written");
}

/// Warnings have a code and a place, and are no part of what a program reads.
#[test]
fn warnings_are_beside_the_answer() {
    let folder = folder(LAYER);
    let ran = tilewright(folder.path(), &["optimize", "g.tw", "--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    serde_json::from_str::<serde_json::Value>(&ran.stdout).expect("one JSON object");
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(
        lines,
        [
            "warning: tilewright::unused::input: g.tw:5:9: nothing uses the input `idle`",
            "warning: tilewright::lower::vanishes: g.tw:8:13: `1e-50` is less than f32 has, and becomes 0",
            "warning: tilewright::unused::value: g.tw:9:5: `dead` is computed, and nothing uses it",
        ]
    );
    put(folder.path(), "p.pins", "k.T=2\n");
    let twice = ["show", "g.tw", "--pins", "p.pins", "--pin", "k.T=8"];
    let ran = tilewright(folder.path(), &twice);
    assert!(
        ran.stderr.contains("tilewright::pins::twice"),
        "{}",
        ran.text()
    );
    assert!(
        ran.stderr.contains("`k.T=8` is said after"),
        "{}",
        ran.text()
    );
    let ran = tilewright(folder.path(), &["optimize", "g.tw", "--db", "none.sqlite"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    let missing = "warning: tilewright::db::missing: there is no database none.sqlite";
    assert!(ran.stderr.contains(missing), "{}", ran.text());
}

/// A pin that is well-formed and wrong is shown where it stands.
#[test]
fn wrong_pins_have_a_place() {
    let held = LAYER.replace("    y =", "    hold nope(3)\n    y =");
    let folder = folder(LAYER);
    put(folder.path(), "held.tw", &held);
    put(folder.path(), "p.pins", "# mine\nk.T=4 k.NOPE=4\n");
    let toml = "[[layer]]\nfile = \"g.tw\"\npin = [\"k.T=4\", \"zz.T=4\"]\n";
    put(folder.path(), "tilewright.toml", toml);
    for (args, place) in [
        (
            &["optimize", "g.tw", "--pins", "p.pins"][..],
            "[p.pins:2:7]",
        ),
        (&["optimize", "held.tw"], "[held.tw:8:10]"),
        (&["snapshot"], "[tilewright.toml:3:17]"),
        (
            &["optimize", "g.tw", "--pin", "k.NOPE=4"],
            "no parameter `NOPE`",
        ),
        (
            &["optimize", "g.tw", "--pin", "k.reads=q"],
            "`q` is not a value of `k.reads`",
        ),
        (
            &["emit", "g.tw", "-o", "o", "--pin", "k.unread=idlee"],
            "did you mean",
        ),
        (
            &["sweep", "g.tw", "--over", "zz.T=4"],
            "tilewright::pins::unknown_kernel",
        ),
        (
            &["sweep", "g.tw", "--over", "k.NOPE=4"],
            "no parameter `NOPE`",
        ),
    ] {
        let ran = tilewright(folder.path(), args);
        assert_eq!(ran.code, Some(3), "{args:?}: {}", ran.text());
        assert!(ran.stderr.contains(place), "{args:?}: {}", ran.text());
    }
}

/// What cannot be imported leaves no database, and is what is blamed.
#[test]
fn a_refused_import_makes_nothing() {
    let folder = folder(LAYER);
    put(folder.path(), "bad.jsonl", "{}\n");
    for (file, code) in [("none.jsonl", "file::read"), ("bad.jsonl", "db::import")] {
        let ran = tilewright(folder.path(), &["db", "import", file, "--db", "new.sqlite"]);
        assert_eq!(ran.code, Some(3), "{}", ran.text());
        assert!(ran.stderr.contains(code), "{}", ran.text());
        assert!(ran.stderr.contains(file), "{}", ran.text());
        assert!(!folder.path().join("new.sqlite").exists());
    }
}
