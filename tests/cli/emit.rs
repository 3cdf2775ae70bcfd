//! `emit`: kernels in a folder, in each language, and the command in their heads that makes them again.

use crate::common::{folder, tilewright};
use crate::{SMALL, snapshot};

/// The emitted file says how it came to be, and that gives the same file.
#[test]
fn kernels_are_regenerated_by_their_own_command() {
    let folder = folder();
    let pins = [
        "--only-pins",
        "--pin",
        "ffn_norm.D_TILE=256",
        "--pin",
        "gate.pipeline=2",
    ];
    let emit = [
        &["emit", "gate.tw", "-o", "first", "--written"],
        &pins[..],
        &SMALL[..],
    ]
    .concat();
    for emit in [
        emit.clone(),
        emit.into_iter().filter(|a| *a != "--written").collect(),
    ] {
        assert_eq!(tilewright(folder.path(), &emit).code, Some(0));
        let read = |dir: &str| {
            let text = std::fs::read_to_string(folder.path().join(dir).join("ffn_norm.cpp"));
            text.expect("the norm is written")
        };
        let text = read("first");
        let from = text.find("// regenerate: ").expect("the head says how");
        let lines: Vec<&str> = text[from..]
            .lines()
            .take_while(|l| l.starts_with("//"))
            .collect();
        let command = lines.join(" ").replace("// ", "").replace("DIR", "second");
        let words: Vec<&str> = command.split_whitespace().skip(2).collect();
        let ran = tilewright(folder.path(), &words);
        assert_eq!(ran.code, Some(0), "{words:?} {}", ran.text());
        assert_eq!(read("second"), text);
    }
}

#[test]
fn emit_writes_a_folder_whole_or_not_at_all() {
    let folder = folder();
    let emit = |more: &[&str]| {
        let args = [&["emit", "gate.tw", "-o", "a/b"], &SMALL[..], more].concat();
        tilewright(folder.path(), &args)
    };
    let names = || {
        let entries = std::fs::read_dir(folder.path().join("a/b")).expect("the folder is there");
        let name = |e: std::io::Result<std::fs::DirEntry>| {
            e.expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    };
    snapshot("emit", &emit(&[]).text());
    let optimized = names();
    // Kernels that are no longer made go away.
    assert_eq!(emit(&["--written"]).code, Some(0));
    assert_ne!(names(), optimized);
    assert_eq!(emit(&[]).code, Some(0));
    assert_eq!(names(), optimized);
    // What others wrote stays.
    let notes = folder.path().join("a/b/notes.txt");
    std::fs::write(&notes, "mine").expect("a file is written");
    snapshot("emit-foreign", &emit(&["--written"]).text());
    assert_eq!(names().len(), optimized.len() + 1);
    assert_eq!(emit(&["--force"]).code, Some(0));
    assert_eq!(
        std::fs::read_to_string(&notes).expect("it is still there"),
        "mine"
    );
    // Nothing is left beside it.
    let beside = std::fs::read_dir(folder.path().join("a")).expect("the folder is there");
    assert_eq!(beside.count(), 1);
    // A file in the way is no folder.
    std::fs::write(folder.path().join("c"), "").expect("a file is written");
    let ran = tilewright(folder.path(), &["emit", "gate.tw", "-o", "c"]);
    assert_eq!(ran.code, Some(3), "{}", ran.text());
    let ran = tilewright(folder.path(), &["emit", "gate.tw", "-o", "c/d"]);
    assert_eq!(ran.code, Some(3), "{}", ran.text());
}

/// Kernels in another language go through the same folder, and say by themselves how to make them again.
/// What cannot start launches on both core types gets other kernels than `run` shows, and that is said.
#[test]
fn launches_that_a_language_has_not_are_told() {
    let folder = folder();
    let told = |language: &str| {
        let args = [
            "emit",
            "gate.tw",
            "-o",
            "k",
            "--no-verify",
            "--as",
            language,
        ];
        let ran = tilewright(folder.path(), &[&args[..], &SMALL[..]].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.text());
        ran.stdout.contains("no launches on both core types")
    };
    assert!(told("pypto"));
    assert!(!told("cpp"));
}

#[test]
fn emit_as_another_language() {
    let folder = folder();
    let emit = |more: &[&str]| {
        let args = [
            &["emit", "gate.tw", "-o", "k", "--written"],
            &SMALL[..],
            more,
        ]
        .concat();
        tilewright(folder.path(), &args)
    };
    let read = |name: &str| std::fs::read_to_string(folder.path().join("k").join(name));
    assert_eq!(emit(&[]).code, Some(0));
    let cpp = read("gate_mm.cpp").expect("C++ is the default");
    // What was there before is ours, and goes away whichever language it was in.
    snapshot("emit-pypto", &emit(&["--as", "pypto"]).text());
    assert!(read("gate_mm.cpp").is_err());
    let python = read("gate_mm.py").expect("the kernel is written");
    let line = python.lines().find(|l| l.starts_with("regenerate: "));
    assert!(line.is_some_and(|l| l.contains("--written")), "{python}");
    assert!(python.contains("--as pypto"), "{python}");
    assert_eq!(emit(&["--as", "cpp"]).code, Some(0));
    assert!(read("__init__.py").is_err());
    assert_eq!(read("gate_mm.cpp").expect("C++ is back"), cpp);
    snapshot("emit-unknown", &emit(&["--as", "fortran"]).text());
    snapshot(
        "emit-build-pypto",
        &emit(&["--as", "pypto", "--build"]).text(),
    );
}

/// `-` prints the kernels, and the answer goes to the standard error.
#[test]
fn kernels_go_to_the_standard_output() {
    let folder = folder();
    let args = ["emit", "gate.tw", "--no-verify", "-o", "-"];
    let ran = tilewright(folder.path(), &[&args[..], &SMALL].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    assert!(ran.stdout.starts_with("//"), "{}", ran.text());
    let ends = "in the standard output\n";
    assert!(ran.stderr.ends_with(ends), "{}", ran.text());
    assert!(!folder.path().join("-").exists());
    let ran = tilewright(folder.path(), &[&args[..], &["--json"]].concat());
    assert_eq!(ran.code, Some(3), "{}", ran.text());
}
