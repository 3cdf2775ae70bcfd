//! Emitted PyPTO source is Python, of documented names, in which every variable is assigned before it is read.
//!
//! What is looked at are the snapshots, which `snapshots.rs` compares with what is emitted; so nothing is compiled here.

use crate::common;
use std::path::{Path, PathBuf};
use std::process::Command;

/// All emitted Python source, in snapshots.
fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
        let entries = std::fs::read_dir(folder).expect("snapshots are there");
        for entry in entries {
            let path = entry.expect("the folder is readable").path();
            match path.is_dir() {
                true => walk(&path, out),
                false if path.to_string_lossy().ends_with(".py.snap") => out.push(path),
                false => {}
            }
        }
    }
    let mut out = vec![];
    walk(&common::root().join("snapshots"), &mut out);
    out.sort();
    out
}

/// What the checker says of some files; nothing without Python.
fn checked(files: &[PathBuf]) -> Option<Vec<String>> {
    let here = common::root().join("tests/pypto");
    let output = Command::new("python3")
        .arg(here.join("check.py"))
        .arg(here.join("names.txt"))
        .args(files)
        .output();
    let output = match output {
        Ok(output) => output,
        Err(e) => {
            eprintln!("skipped: python3 does not start ({e})");
            return None;
        }
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    Some(text(&output.stdout).lines().map(String::from).collect())
}

#[test]
fn emitted_source_is_sound_python_of_documented_names() {
    let files = sources();
    // Every example on one rank is printed in both forms, and no other is.
    for example in common::examples() {
        for form in ["written", "optimized"] {
            let folder = common::root().join("snapshots").join(&example).join(form);
            let program = std::fs::read_to_string(folder.join("after-check-order.snap"));
            let program = program.expect("the program is a snapshot");
            let head = program.lines().find(|l| l.starts_with("program "));
            let has_ranks = head.expect("the program has a head").contains(" ranks");
            let printed = files.contains(&folder.join("pypto/__init__.py.snap"));
            assert_eq!(printed, !has_ranks, "{example} {form}");
        }
    }
    let Some(lines) = checked(&files) else { return };
    let (last, findings) = lines.split_last().expect("the checker prints a line");
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    let calls: usize = last
        .strip_suffix(" calls")
        .and_then(|l| l.split(' ').next_back())
        .and_then(|n| n.parse().ok())
        .expect("the checker counts");
    assert!(calls > 10 * files.len(), "{last}");
}

/// Each kind of fault is one that the checker sees.
#[test]
fn the_checker_finds_faults() {
    let faults = [
        (
            "pl.load(x, [0], [1])",
            "pl.laod(x, [0], [1])",
            "`pl.laod` is no documented name",
        ),
        ("name_hint=", "hint=", "`pl.spmd` takes no `hint`"),
        (
            "        acc = pl.create_tile([1, 1])\n",
            "",
            "`acc` is read before it is assigned",
        ),
        ("[0], [1]", "[K], [1]", ""),
        ("    return out", "    return out\n  ", ""),
        ("\"\"\"A kernel.\"\"\"", "", "no docstring"),
        ("def f(", "def f(x, ", "two parameters of one name"),
        ("pl.range(2):", "pl.range(2)", "<unknown>, line"),
    ];
    let sound = "\"\"\"A kernel.\"\"\"\n\nimport pypto.language as pl\n\nK = 1\n\n\n@pl.jit.inline\ndef f(x, out):\n    \
                 for _ in pl.spmd(K, name_hint=\"f\"):\n        acc = pl.create_tile([1, 1])\n        \
                 for i in pl.range(2):\n            a = pl.load(x, [0], [1])\n            \
                 if i == 0:\n                acc = pl.neg(a)\n            else:\n                \
                 acc = pl.add(acc, a)\n        out = pl.store(acc, [0, 0], out)\n    return out\n";
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let path = folder.path().join("kernel.py");
    let of = |text: &str| {
        std::fs::write(&path, text).expect("the folder is writable");
        checked(std::slice::from_ref(&path))
    };
    let Some(lines) = of(sound) else { return };
    assert_eq!(lines, ["1 files, 7 calls"]);
    for (part, instead, finding) in faults {
        let text = sound.replacen(part, instead, 1);
        assert_ne!(text, sound, "{part}");
        let lines = of(&text).expect("python3 has started before");
        let found = lines[..lines.len() - 1].join("\n");
        assert!(found.contains(finding), "{part}: {found}");
        assert_eq!(found.is_empty(), finding.is_empty(), "{part}: {found}");
    }
    let unused = sound.replace("pl.spmd(K", "pl.spmd(1");
    let lines = of(&unused).expect("python3 has started before");
    assert!(lines[0].ends_with("constant `K` is not used"), "{lines:?}");
}
