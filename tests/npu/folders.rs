//! A project is written whole or not at all, and takes nothing of its user's.

use crate::common::{Ran, command, example, folder, tilewright};
use std::fs;
use std::path::{Path, PathBuf};
use tilewright_backends::data::{Scalar, Tensor, Tensors, save};
use tilewright_ir::DType;

/// Files under a folder, sorted.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    let mut open = vec![root.to_path_buf()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(at).expect("it is a folder") {
            let path = entry.expect("it is readable").path();
            match path.is_dir() {
                true => open.push(path),
                false => found.push(path.strip_prefix(root).expect("it is inside").into()),
            }
        }
    }
    found.sort();
    found
}

/// Writes a project to `a/b`.
fn emit(here: &Path, more: &[&str]) -> Ran {
    let args = [
        "emit",
        "gate.tw",
        "--project",
        "a/b",
        "--set",
        "D=256",
        "--set",
        "VOCAB=512",
        "--only-pins",
    ];
    tilewright(here, &[&args[..], more].concat())
}

#[test]
fn a_project_replaces_a_project() {
    let folder = folder();
    let emit = |more: &[&str]| emit(folder.path(), more);
    let project = folder.path().join("a/b");
    let read = |file: &str| fs::read(project.join(file)).expect("it is there");
    assert_eq!(emit(&[]).code, Some(0));
    let optimized = files(&project);
    let listed: serde_json::Value =
        serde_json::from_slice(&read("project.json")).expect("it is JSON");
    let listed: Vec<PathBuf> = listed["files"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|f| f.as_str().expect("text").into())
        .collect();
    assert_eq!(listed, optimized);
    // The same again is the same, byte for byte.
    let layer = read("layer.txt");
    let contents = || -> Vec<Vec<u8>> {
        let files = optimized.iter();
        files.map(|f| read(f.to_str().expect("text"))).collect()
    };
    let all = contents();
    assert_eq!(emit(&[]).code, Some(0));
    assert!(all == contents());
    // Another form has other kernels, and those from before go away; so do data.
    assert_eq!(
        emit(&["--pin", "gate.split_k=2", "--no-data"]).code,
        Some(0)
    );
    let without = files(&project);
    assert!(without != optimized && !project.join("data").exists());
    assert_eq!(emit(&[]).code, Some(0));
    assert_eq!(files(&project), optimized);
    assert_eq!(read("layer.txt"), layer);
}

#[test]
fn what_others_put_into_a_project_stays() {
    let folder = folder();
    let emit = |more: &[&str]| emit(folder.path(), more);
    let project = folder.path().join("a/b");
    assert_eq!(emit(&[]).code, Some(0));
    for (theirs, told) in [
        ("notes.txt", "notes.txt"),
        ("build/cache", "build"),
        ("kernels/mine.cpp", "kernels/mine.cpp"),
    ] {
        let path = project.join(theirs);
        fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
        fs::write(&path, "mine").expect("it is written");
        let ran = emit(&["--no-data"]);
        assert_eq!(ran.code, Some(3));
        assert!(
            ran.stderr.contains("tilewright::folder::foreign")
                && ran.stderr.contains(&format!("`{told}`")),
            "{}",
            ran.stderr
        );
        assert!(
            ran.stderr.contains("is not a folder of a project"),
            "{}",
            ran.stderr
        );
        assert!(project.join("data/inputs/x_mixed.bin").exists());
        assert_eq!(emit(&["--force", "--no-data"]).code, Some(0));
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "mine");
        // What tilewright wrote before and does not now is gone.
        assert!(!project.join("data/inputs/x_mixed.bin").exists());
        fs::remove_file(&path).expect("it is removed");
        let _ = fs::remove_dir(project.join("build"));
        assert_eq!(emit(&["--force"]).code, Some(0));
        assert!(project.join("data/inputs/x_mixed.bin").exists());
    }
}

#[test]
fn what_is_in_the_way_of_a_project_changes_nothing() {
    let folder = folder();
    let here = folder.path();
    let project = here.join("a/b");
    assert_eq!(emit(here, &[]).code, Some(0));
    // A folder where a file should go.
    fs::remove_file(project.join("layer.txt")).expect("it is removed");
    fs::create_dir(project.join("layer.txt")).expect("it is made");
    let ran = emit(here, &["--force", "--no-data"]);
    assert_eq!(ran.code, Some(3), "{}", ran.text());
    assert!(ran.stderr.contains("layer.txt"), "{}", ran.stderr);
    assert!(project.join("data/inputs/x_mixed.bin").exists());
    // Nothing is left beside it.
    assert_eq!(fs::read_dir(here.join("a")).expect("a folder").count(), 1);
    // Kernels alone are no project, and the other way round.
    let out = [
        "emit",
        "gate.tw",
        "--set",
        "D=256",
        "--set",
        "VOCAB=512",
        "--only-pins",
        "-o",
        "a/b",
    ];
    assert_eq!(tilewright(here, &out).code, Some(3));
}

#[test]
fn one_of_two_kinds_of_folders_is_named() {
    let folder = folder();
    for args in [
        &["emit", "gate.tw"][..],
        &["emit", "gate.tw", "-o", "a", "--project", "b"],
        &["emit", "gate.tw", "-o", "a", "--no-data"],
        &[
            "emit",
            "gate.tw",
            "--project",
            "a",
            "--no-data",
            "--seed",
            "3",
        ],
    ] {
        assert_eq!(tilewright(folder.path(), args).code, Some(2), "{args:?}");
    }
}

/// Inputs and expected outputs of the user's are what is written.
#[test]
fn tensors_from_files() {
    let folder = folder();
    let here = folder.path();
    fs::copy(example("rms_norm"), here.join("norm.tw")).expect("it is copied");
    let of = |name: &str, shape: &[usize], value: i64| {
        let values = vec![value; shape.iter().product()];
        (
            name.to_owned(),
            Tensor::from_i64(DType::Bf16, shape, &values).expect("it fits"),
        )
    };
    let inputs: Tensors = [of("x", &[8, 256], 3), of("weight", &[256], 2)].into();
    save(here.join("in.safetensors"), &inputs).expect("it is saved");
    let emit = |expected: Tensors| {
        save(here.join("out.safetensors"), &expected).expect("it is saved");
        let args = [
            "emit",
            "norm.tw",
            "--project",
            "p",
            "--inputs",
            "in.safetensors",
            "--expect",
            "out.safetensors",
        ];
        command(here, &args)
            .output()
            .expect("it starts")
            .status
            .code()
    };
    assert_eq!(emit([of("y", &[8, 256], 7)].into()), Some(0));
    let bytes = |file: &str| fs::read(here.join("p/data").join(file)).expect("it is there");
    assert_eq!(bytes("inputs/x.bin"), inputs["x"].bytes);
    assert_eq!(bytes("inputs/weight.bin"), inputs["weight"].bytes);
    assert_eq!(bytes("expected/y.bin"), of("y", &[8, 256], 7).1.bytes);
    let readme = fs::read_to_string(here.join("p/README.md")).expect("it is text");
    assert!(
        readme.contains("--inputs in.safetensors --expect out.safetensors"),
        "{readme}"
    );
    // What cannot be compared is refused.
    let other = Tensor::scalar(DType::F32, Scalar::Int(1));
    assert_eq!(emit([("y".to_owned(), other)].into()), Some(3));
}
