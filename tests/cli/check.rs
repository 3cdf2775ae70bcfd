//! `check`: values, what the command saves, and what was changed in it.

use crate::SMALL;
use crate::common::{self, folder, tilewright};
use std::path::Path;

/// Passes whose results are saved.
const PASSES: [&str; 8] = [
    "decompose",
    "legalise",
    "prune",
    "schedule",
    "allocate",
    "synchronise",
    "order",
    "check-order",
];

fn check(folder: &Path, args: &[&str]) -> common::Ran {
    tilewright(folder, &[&["check"], args].concat())
}

/// `check` takes whatever the command writes: dumps of all passes but plans, and folders of kernels.
#[test]
fn what_is_saved_is_checked() {
    let few = &["schedule", "check-order"][..];
    for (name, passes) in [
        (common::GATE, &PASSES[..]),
        ("dsv4_routed_experts", few),
        ("dsv4_flash_moe", few),
        ("ring_all_gather", &PASSES),
    ] {
        let folder = folder();
        let folder = folder.path();
        std::fs::copy(common::example(name), folder.join("layer.tw")).expect("a copy");
        let small = match name {
            common::GATE => &common::SMALL[..],
            name => common::small(name),
        };
        let mut sizes = vec!["--iter-limit".to_string(), "4".into()];
        sizes.extend(
            small
                .iter()
                .flat_map(|(n, v)| ["--set".into(), format!("{n}={v}")]),
        );
        let dumps = passes.iter().flat_map(|p| {
            let text = match *p {
                "decompose" | "prune" => vec!["--dump".to_string(), format!("{p}={p}.tw")],
                _ => vec![],
            };
            [vec!["--dump".into(), format!("{p}={p}.json")], text].concat()
        });
        let all: Vec<String> = sizes.iter().cloned().chain(dumps).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let ran = tilewright(
            folder,
            &[&["run", "layer.tw", "-o", "run"], &all[..]].concat(),
        );
        assert_eq!(ran.code, Some(0), "{name}: {}", ran.text());
        let sizes: Vec<&str> = sizes.iter().map(String::as_str).collect();
        let emit = ["emit", "layer.tw", "-o", "emit", "--as", "pypto"];
        let emit = match name {
            common::GATE => emit,
            _ => ["emit", "layer.tw", "-o", "emit", "--as", "cpp"],
        };
        let ran = tilewright(folder, &[&emit[..], &sizes].concat());
        assert_eq!(ran.code, Some(0), "{name}: {}", ran.text());
        let mut saved: Vec<String> = passes.iter().map(|p| format!("{p}.json")).collect();
        saved.extend(["run", "run/optimized", "emit"].map(String::from));
        if passes.contains(&"prune") {
            saved.extend(["decompose.tw", "prune.tw"].map(String::from));
        }
        for file in saved {
            let more: &[&str] = match file.ends_with(".tw") {
                true => &["--iter-limit", "2", "--candidates", "1"],
                false => &[],
            };
            let ran = check(folder, &[&[file.as_str()], more].concat());
            assert_eq!(ran.code, Some(0), "{name} {file}: {}", ran.text());
            let wanted = match file.as_str() {
                "schedule.json" => "it is from after the pass `schedule`",
                "emit" | "run" => "nothing is wrong",
                _ => "",
            };
            assert!(ran.stdout.contains(wanted), "{name} {file}: {}", ran.stdout);
        }
    }
}

#[test]
fn a_project_is_checked_and_a_changed_kernel_is_not_believed() {
    let folder = folder();
    let folder = folder.path();
    let emit = [&["emit", "gate.tw", "--project", "p"], &SMALL[..]].concat();
    let ran = tilewright(folder, &emit);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    let ran = check(folder, &["p"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    let kernel = folder.join("p/kernels/gate_mm.cpp");
    let text = std::fs::read_to_string(&kernel).expect("the kernel is there");
    assert!(text.contains("EVENT_ID0"), "{text}");
    std::fs::write(&kernel, text.replace("EVENT_ID0", "EVENT_ID1")).expect("it is changed");
    let ran = check(folder, &["p"]);
    assert_eq!(ran.code, Some(1), "{}", ran.text());
    assert!(
        ran.stdout.contains("tilewright::check::file"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("`gate_mm.cpp`"), "{}", ran.stdout);
    // What holds no kernels is no graph either.
    let ran = check(folder, &["."]);
    assert_eq!(ran.code, Some(3), "{}", ran.text());
}

/// A rule that is false gives kernels that are free of hazards.
#[test]
fn wrong_values_are_found() {
    let folder = folder();
    let folder = folder.path();
    let layer = "graph g {\n  param T = 8\n  input x: f32[T, 64]\n  kernel k {\n    y = abs(x) * 2.0\n  }\n  output y\n}\n";
    let rule = "rule wrong bitwise \"drops the magnitude\" {\n  (abs ?x) => (s.mul ?x 1.0)\n}\n";
    std::fs::write(folder.join("g.tw"), layer).expect("a file");
    std::fs::write(folder.join("r.rules"), rule).expect("a file");
    let ran = check(folder, &["g.tw"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    assert!(
        ran.stdout.contains("outputs are the interpreter's"),
        "{}",
        ran.stdout
    );
    let ran = check(folder, &["g.tw", "--rules", "r.rules"]);
    assert_eq!(ran.code, Some(1), "{}", ran.text());
    for part in ["tilewright::check::values", "g optimized", "1 error"] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    let ran = check(folder, &["g.tw", "--rules", "r.rules", "--no-verify"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    assert!(!ran.stdout.contains("interpreter"), "{}", ran.stdout);
}

/// A rule of a file is suspected where it led to a wrong result.
#[test]
fn a_rule_of_a_file_is_suspected() {
    let folder = folder();
    let put = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("it is written");
    };
    put(
        "bad.rules",
        "rule exp-of-negated bitwise \"wrong on purpose\" {\n  (exp (neg ?x)) => (exp ?x)\n}\n",
    );
    put(
        "e.tw",
        "graph g {\n  input x: f32[8, 64]\n  kernel k {\n    y = exp(neg(x))\n  }\n  output y\n}\n",
    );
    for args in [
        &["run", "e.tw", "--no-emit", "--rules", "bad.rules"][..],
        &["check", "e.tw", "--rules", "bad.rules"],
    ] {
        let ran = tilewright(folder.path(), args);
        assert_eq!(ran.code, Some(1), "{}", ran.text());
        let told = "suspect the rule `exp-of-negated` of a file";
        assert!(ran.stdout.contains(told), "{}", ran.text());
    }
}
