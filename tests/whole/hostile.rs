//! What is absurd or broken is refused with numbers, before anything is made for it.

use crate::common::{Ran, command, example, tilewright};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tilewright_backends::data::{Tensor, Tensors, files};
use tilewright_ir::dtype::DType;

const NORM: &str = "\
graph norm {
  param T = 8
  param D = 64
  input x: bf16[T, D]
  input weight: bf16[D]
  kernel norm {
    y = rms_norm(x, weight, eps = 1e-6)
  }
  output y
}
";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("there is room");
    fs::write(folder.path().join("norm.tw"), NORM).expect("it is written");
    folder
}

/// Refused or found wrong, soon, in words.
fn refused(folder: &Path, args: &[&str]) -> Ran {
    let start = Instant::now();
    let ran = tilewright(folder, args);
    assert!(start.elapsed() < Duration::from_secs(60), "{args:?}");
    assert!(matches!(ran.code, Some(1..=3)), "{args:?}:\n{}", ran.text());
    ran
}

/// A program as it is saved, with one thing changed.
fn check(folder: &Path, program: &Value, pointer: &str, value: Value) -> Ran {
    let mut changed = program.clone();
    *changed.pointer_mut(pointer).expect("it is there") = value;
    fs::write(folder.join("p.json"), changed.to_string()).expect("it is written");
    refused(folder, &["check", "p.json"])
}

#[test]
fn saved_programs_with_absurd_counts_are_refused() {
    let folder = folder();
    let shown = tilewright(
        folder.path(),
        &[
            "show",
            "norm.tw",
            "--after",
            "check-order",
            "--as",
            "json",
            "--pin",
            "norm.blocks=2",
        ],
    );
    let program: Value = serde_json::from_str(&shown.stdout).expect("it is JSON");
    for (pointer, value, said) in [
        (
            "/kernels/0/registers",
            json!(u64::MAX),
            "18446744073709551615",
        ),
        (
            "/kernels/0/registers",
            json!(10_000_000_000_u64),
            "at most 65536",
        ),
        (
            "/tensors/y/shape/1",
            json!(i32::MAX),
            "bytes of memory, of at most",
        ),
        (
            "/tensors/y/role",
            json!("input"),
            "is an input, but is written",
        ),
        ("/kernels/0/launch/grid/0/count", json!(u64::MAX), "blocks"),
        ("/kernels/0/tiles/0/rows", json!(u64::MAX), "size in bytes"),
        ("/ranks", json!(0), "ranks"),
    ] {
        let ran = check(folder.path(), &program, pointer, value.clone());
        assert!(
            ran.text().contains(said),
            "{pointer} {value}:\n{}",
            ran.text()
        );
    }
    // One kernel is broken, and the next one writes an input.
    let mut twice = program.clone();
    let mut second = twice["kernels"][0].clone();
    second["name"] = json!("second");
    second["registers"] = json!(u64::MAX);
    twice["kernels"] = json!([second, twice["kernels"][0]]);
    let ran = check(folder.path(), &twice, "/tensors/y/role", json!("input"));
    assert!(
        ran.text().contains("is an input, but is written"),
        "{}",
        ran.text()
    );
}

#[test]
fn numbers_of_ranks_that_there_are_not_are_refused_before_data_are_cut() {
    let folder = folder();
    let file = folder.path().join("x.safetensors");
    let empty = Tensors::from([
        ("x".to_string(), Tensor::zeros(DType::F32, &[0, 4])),
        ("n".to_string(), Tensor::zeros(DType::I32, &[])),
    ]);
    files::save(&file, &empty).expect("it is saved");
    let layer = example("all_gather").display().to_string();
    for ranks in ["0", "1", "3", "-1", "1000000000", "9223372036854775807"] {
        let args = [
            "run",
            &layer,
            "--ep",
            ranks,
            "--no-emit",
            "--inputs",
            "x.safetensors",
        ];
        let ran = refused(folder.path(), &args);
        assert!(
            ran.stderr.contains(ranks.trim_start_matches('-')),
            "{}",
            ran.text()
        );
    }
}

/// A machine's name stands in comments, which end with their line.
#[test]
fn names_of_machines_are_one_line_of_plain_text() {
    let folder = folder();
    for name in [
        "a\\nint evil;",
        "",
        "   ",
        "back\\\\slash",
        "q\\\"uote",
        "x\\u0000",
        &"n".repeat(65),
    ] {
        let text = format!("base = \"A3\"\nname = \"{name}\"\n");
        fs::write(folder.path().join("m.toml"), text).expect("it is written");
        let ran = refused(
            folder.path(),
            &["optimize", "norm.tw", "--machine", "m.toml"],
        );
        assert!(
            ran.stderr.contains("machine::range"),
            "{name}:\n{}",
            ran.text()
        );
    }
    fs::write(
        folder.path().join("m.toml"),
        "base = \"A3\"\nname = \"My A3 (2)\"\n",
    )
    .unwrap();
    let ran = tilewright(
        folder.path(),
        &["optimize", "norm.tw", "--machine", "m.toml"],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.text());
}

/// A file's name may be anything; the command in the kernels makes them again.
#[cfg(unix)]
#[test]
fn the_command_in_kernels_survives_strange_names() {
    let folder = folder();
    for name in ["a b'c.tw", "new\nline.tw", "-x.tw", "back\\slash.tw"] {
        fs::write(folder.path().join(name), NORM).expect("it is written");
        let file = format!("./{name}");
        let ran = tilewright(folder.path(), &["emit", &file, "-o", "k", "--force"]);
        assert_eq!(ran.code, Some(0), "{}", ran.text());
        let kernel = fs::read_to_string(folder.path().join("k/norm.cpp")).expect("it is there");
        let line = kernel
            .lines()
            .find_map(|l| l.split_once("regenerate: tilewright "));
        let words = line
            .expect("it says how")
            .1
            .replace("--out DIR", "--out again");
        let run = format!("exec \"$0\" {words} --force");
        let program = command(folder.path(), &[]).get_program().to_owned();
        let ran = std::process::Command::new("sh")
            .args(["-c", &run])
            .arg(program)
            .current_dir(folder.path())
            .output()
            .expect("there is a shell");
        assert!(
            ran.status.success(),
            "{words}: {}",
            String::from_utf8_lossy(&ran.stderr)
        );
        let again = fs::read_to_string(folder.path().join("again/norm.cpp")).expect("it is there");
        assert_eq!(again, kernel);
    }
}

/// A kernel is a function; values yield to what C++ has taken.
#[test]
fn names_that_cpp_has_taken_are_refused_for_kernels() {
    let folder = folder();
    for word in ["int", "class", "template", "union", "main", "std", "NULL"] {
        let text = format!(
            "graph {word} {{\n  input {word}: f32[8, 64]\n  kernel {word} {{\n    y = abs({word})\n  }}\n  output y\n}}\n"
        );
        fs::write(folder.path().join("w.tw"), &text).expect("it is written");
        let ran = refused(folder.path(), &["emit", "w.tw", "-o", "w"]);
        assert!(ran.stderr.contains("emit::kernel_name"), "{}", ran.text());
        let renamed = text.replace(&format!("kernel {word} "), "kernel k ");
        fs::write(folder.path().join("w.tw"), renamed).expect("it is written");
        let ran = tilewright(folder.path(), &["run", "w.tw", "--no-emit", "--on", "host"]);
        assert_eq!(ran.code, Some(0), "{word}: {}", ran.text());
    }
}
