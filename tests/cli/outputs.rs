//! Where what is made goes: links, devices, pipes and streams in place of files, and kernels that somebody has changed.

use crate::common::{self, folder, tilewright};
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

/// Sizes and limits at which a command takes a moment.
const FAST: [&str; 6] = ["--set", "D=256", "--set", "VOCAB=512", "--iter-limit", "2"];

/// Runs the command with a text as its standard input.
fn fed(folder: &Path, args: &[&str], input: &str) -> common::Ran {
    let mut command = common::command(folder, args);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A command that does not read has ended.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("the command ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is text");
    common::Ran {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// What a file stands for is written: what a link leads to, and a device or a pipe itself.
#[cfg(unix)]
#[test]
fn links_devices_and_pipes_stay() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("real.tw"), "old").expect("a file is written");
    std::os::unix::fs::symlink("real.tw", at("link.tw")).expect("a link is made");
    let made = std::process::Command::new("mkfifo")
        .arg(at("pipe"))
        .status();
    assert!(made.expect("there is mkfifo").success());
    let pipe = at("pipe");
    let reader = std::thread::spawn(move || std::fs::read_to_string(pipe).expect("it is read"));
    let optimize = |more: &[&str]| {
        let args = [&["optimize", "gate.tw"], &FAST[..], more].concat();
        tilewright(folder.path(), &args)
    };
    let ran = optimize(&["--write", "link.tw", "--trace", "pipe"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    let is_link = std::fs::symlink_metadata(at("link.tw")).is_ok_and(|m| m.is_symlink());
    assert!(is_link, "the link was replaced");
    let text = std::fs::read_to_string(at("real.tw")).expect("it is there");
    assert!(text.starts_with("//") || text.contains("graph"), "{text}");
    let trace = reader.join().expect("the reader ends");
    assert!(trace.contains("traceEvents"), "{trace}");
    let out = optimize(&["--write", "/dev/stdout"]);
    assert!(out.stdout.contains("kernel gate"), "{}", out.text());
    if Path::new("/dev/full").exists() {
        let full = optimize(&["--report", "/dev/full"]);
        assert_eq!(full.code, Some(3), "{}", full.text());
        assert!(full.stderr.contains("tilewright::folder::write"));
    }
}

/// `-` is the standard output, which then has the file alone, or the standard input, which each command reads as any file.
#[test]
fn a_minus_is_a_stream() {
    let folder = folder();
    let gate = std::fs::read_to_string(folder.path().join("gate.tw")).expect("the example");
    let file = [&["optimize", "gate.tw", "--write", "-"], &FAST[..]].concat();
    let ran = tilewright(folder.path(), &file);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    assert!(ran.stderr.contains("predicted"), "{}", ran.text());
    let again = fed(folder.path(), &["show", "-", "--set", "D=256"], &ran.stdout);
    assert_eq!(again.code, Some(0), "{}", again.text());
    for args in [&["show", "-"][..], &["show", "-", "--as", "json"]] {
        let named: Vec<&str> = args
            .iter()
            .map(|a| if *a == "-" { "gate.tw" } else { a })
            .collect();
        let streamed = fed(folder.path(), args, &gate);
        assert_eq!(streamed, tilewright(folder.path(), &named), "{args:?}");
    }
    let json = tilewright(folder.path(), &["show", "gate.tw", "--as", "json"]).stdout;
    let shown = fed(folder.path(), &["show", "-"], &json);
    assert_eq!(shown.code, Some(0), "{}", shown.text());
    let wrong = fed(
        folder.path(),
        &["check", "-"],
        "graph g {\n  input x: q[1]\n}\n",
    );
    assert!(wrong.stderr.contains("<stdin>:2"), "{}", wrong.text());
    for (args, code) in [
        (["--write", "-", "--json"].as_slice(), "settings::stdout"),
        (&["--write", "-", "--report", "-"], "folder::write"),
    ] {
        let ran = tilewright(folder.path(), &[&["optimize", "gate.tw"], args].concat());
        assert_eq!(ran.code, Some(3), "{}", ran.text());
        assert!(ran.stderr.contains(code), "{}", ran.text());
    }
    for args in [&["run", "-", "--watch"][..], &["snapshot", "-"]] {
        let ran = fed(folder.path(), args, &gate);
        assert_eq!(ran.code, Some(3), "{}", ran.text());
        assert!(ran.stderr.contains("settings::stdin"), "{}", ran.text());
    }
}

/// Kernels that were changed are not overwritten, unless that is forced; what an older version wrote has no hashes, and is.
#[test]
fn changed_kernels_are_kept() {
    let folder = folder();
    let out = |name: &str| folder.path().join("out").join(name);
    let emit = |more: &[&str]| {
        let args = [
            &["emit", "gate.tw", "--no-verify", "-o", "out"],
            &FAST[..],
            more,
        ]
        .concat();
        tilewright(folder.path(), &args)
    };
    let change = |name: &str| {
        let text = std::fs::read_to_string(out(name)).expect("it is there") + "// mine\n";
        std::fs::write(out(name), &text).expect("it is written");
        text
    };
    assert_eq!(emit(&[]).code, Some(0));
    assert_eq!(emit(&[]).code, Some(0));
    let kernel = "ffn_norm.cpp";
    let mine = change(kernel);
    let refused = emit(&["--written"]);
    assert_eq!(refused.code, Some(3), "{}", refused.text());
    assert!(refused.stderr.contains("tilewright::folder::changed"));
    assert!(refused.stderr.contains(kernel), "{}", refused.text());
    let read = || std::fs::read_to_string(out(kernel)).expect("it is there");
    assert_eq!(read(), mine);
    assert_eq!(emit(&["--force"]).code, Some(0));
    assert_ne!(read(), mine);
    // What was forced is known again.
    change(kernel);
    assert_eq!(emit(&[]).code, Some(3));
    let manifest = std::fs::read_to_string(out("kernels.json")).expect("it is there");
    let (before, _) = manifest.split_once(",\n  \"sha256\"").expect("hashes");
    std::fs::write(out("kernels.json"), format!("{before}\n}}\n")).expect("it is written");
    assert_eq!(emit(&[]).code, Some(0));
    assert_ne!(read(), mine);
    let project = [
        &["emit", "gate.tw", "--no-verify", "--project", "p"],
        &FAST[..],
    ]
    .concat();
    assert_eq!(tilewright(folder.path(), &project).code, Some(0));
    assert_eq!(tilewright(folder.path(), &project).code, Some(0));
    std::fs::write(folder.path().join("p/README.md"), "mine").expect("it is written");
    let refused = tilewright(folder.path(), &project);
    assert!(refused.stderr.contains("README.md"), "{}", refused.text());
}

/// Kernels are the same from wherever they are made.
#[test]
fn kernels_do_not_tell_the_working_folder() {
    let folder = folder();
    let below = folder.path().join("below");
    std::fs::create_dir(&below).expect("a folder is made");
    let emit = |at: &Path, file: &str| {
        let args = [&["emit", file, "--no-verify", "-o", "out"], &FAST[..]].concat();
        let ran = tilewright(at, &args);
        assert_eq!(ran.code, Some(0), "{}", ran.text());
        std::fs::read_to_string(at.join("out/ffn_norm.cpp")).expect("it is there")
    };
    let here = emit(folder.path(), "gate.tw");
    assert_eq!(emit(&below, "../gate.tw"), here);
    assert!(here.contains("emit gate.tw"), "{here}");
}

/// What is for no people is offered by no shell.
#[test]
fn shells_offer_what_the_help_lists() {
    let folder = folder();
    for (shell, hidden, shown) in [
        ("bash", "tilewright,trial)", "tilewright,tune)"),
        ("zsh", "'trial:", "'tune:"),
        ("fish", "-a \"trial\"", "-a \"tune\""),
    ] {
        let script = tilewright(folder.path(), &["completions", shell]).stdout;
        assert!(script.contains(shown), "{script}");
        assert!(!script.contains(hidden), "{shell}");
    }
}

/// A schedule that is written into a layer has lines that people can read.
#[test]
fn lines_of_what_is_held_are_short() {
    let folder = folder();
    let args = [&["optimize", "gate.tw", "--write", "-"], &FAST[..]].concat();
    let text = tilewright(folder.path(), &args).stdout;
    let held: Vec<&str> = text.lines().filter(|l| l.contains("hold ")).collect();
    assert!(held.len() > 5, "{text}");
    for line in held {
        assert!(line.chars().count() <= 100, "{line}");
    }
}
