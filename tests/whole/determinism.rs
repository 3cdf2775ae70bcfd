//! Two runs of one command leave the same bytes, times aside.

use crate::common;
use rayon::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tilewright::compile::Options;
use tilewright::form::Form;
use tilewright::layer::Layer;
use tilewright::run::{compile_form, emit};
use tilewright::written;
use tilewright_ir::graph::Graph;

const MOE: &str = "dsv4_flash_moe";

/// Removes fields whose names end in `seconds`.
fn without_seconds(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !name.ends_with("seconds"));
            fields.values_mut().for_each(without_seconds);
        }
        Value::Array(entries) => entries.iter_mut().for_each(without_seconds),
        _ => {}
    }
}

/// Every file below a folder, by its path in it.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    for entry in entries {
        let path = entry.expect("the folder is readable").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            let inner = files(&path).into_iter();
            all.extend(inner.map(|(n, bytes)| (format!("{name}/{n}"), bytes)));
        } else {
            all.insert(name, std::fs::read(&path).expect("the file is readable"));
        }
    }
    all
}

#[test]
fn two_runs_are_byte_identical() {
    let args = [
        "run",
        "gate.tw",
        "--set",
        "D=1024",
        "--set",
        "VOCAB=512",
        "--json",
    ];
    let run = || {
        let folder = common::folder();
        let ran = common::tilewright(folder.path(), &args);
        assert_eq!(ran.code, Some(0), "{}", ran.text());
        let mut json: Value = serde_json::from_str(&ran.stdout).expect("one JSON object");
        without_seconds(&mut json);
        let kernels = files(&folder.path().join("tilewright-out"));
        let left: Vec<String> = files(folder.path()).into_keys().collect();
        (json.to_string(), kernels, left)
    };
    let (json, kernels, left) = run();
    assert!(
        kernels
            .keys()
            .any(|n| n.contains("optimized/") && n.ends_with("gate_mm.cpp")),
        "{left:?}"
    );
    assert!(
        kernels.keys().any(|n| n.ends_with("written/kernels.json")),
        "{left:?}"
    );
    assert_eq!((json, kernels, left), run());
}

/// A kernel without the comments of its head, in which the command says how to emit it again.
fn code(text: &str) -> Vec<&str> {
    text.lines().filter(|l| !l.starts_with("//")).collect()
}

/// Names are numbered in the order in which they come up, which threads may change. Nothing may depend on their numbers.
#[test]
fn the_order_in_which_names_come_up_does_not_matter() {
    let file = common::example(MOE);
    let text = std::fs::read_to_string(&file).expect("the example is readable");
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    let mut words: Vec<&str> = words.collect();
    words.sort_unstable();
    for word in words.into_iter().rev() {
        let _ = egg::Symbol::from(word);
    }
    let sizes = common::small(MOE);
    let graph = common::graph(MOE, sizes);
    let options = common::options();
    let compiled = compile_form(&graph, Form::Optimized, &options).expect("the example compiles");
    let here = emit(&compiled, &options.machine).expect("the kernels are emitted");

    let folder = common::folder();
    let sets = sizes.iter().map(|(name, size)| format!("{name}={size}"));
    let sets: Vec<String> = sets.flat_map(|set| ["--set".into(), set]).collect();
    let path = file.to_string_lossy();
    let mut args = vec!["emit", path.as_ref(), "--out", "kernels"];
    args.extend(sets.iter().map(String::as_str));
    let ran = common::tilewright(folder.path(), &args);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    let there = files(&folder.path().join("kernels"));
    assert!(here.len() > 10, "{}", here.len());
    for file in here {
        let text = String::from_utf8_lossy(&there[&file.path]);
        // Hashes of the files, of which the heads differ, are added where they are written.
        let text = match text.split_once(",\n  \"sha256\"") {
            Some((head, _)) => format!("{head}\n}}\n"),
            None => text.into_owned(),
        };
        assert_eq!(code(&file.text), code(&text), "{}", file.path);
    }
}

/// A layer with its schedule written into it comes to the same kernels, to the byte: as it is read, and with nothing left to
/// the search. So do pins of all that was decided.
#[test]
fn what_was_found_can_be_written_and_read_again() {
    let one = |name: String| {
        let layer = Layer::load(&common::example(&name)).expect("the example is a layer");
        let graph = common::graph(&name, common::small(&name));
        let options = common::options();
        let compile = |graph: &Graph, options: &Options| {
            compile_form(graph, Form::Optimized, options).unwrap_or_else(|e| panic!("{name}: {e}"))
        };
        let found = compile(&graph, &options);
        let (text, differ) = written::layer(&layer, &graph, &found, &options).expect("it compiles");
        assert_eq!(differ, [""; 0], "{name}:\n{text}");
        let again = Layer::parse("again.tw", text.as_bytes()).expect("what is written is a layer");
        let graph = again
            .graph(&Default::default())
            .expect("its sizes are in it");
        let read = compile(&graph, &options);
        let [read_files, found_files] = [&read, &found].map(|compiled| {
            let files = emit(compiled, &options.machine).expect("the kernels are emitted");
            let texts = files.iter().map(|f| (f.path.clone(), f.text.clone()));
            texts.collect::<Vec<_>>()
        });
        assert_eq!(read_files, found_files, "{name}");
    };
    // Of the two whole layers one is enough: they differ in sizes.
    let examples = common::examples().into_par_iter();
    let examples = examples.filter(|name| name != "dsv4_pro_moe");
    examples.for_each(one);
}
