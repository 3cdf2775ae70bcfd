//! Two runs of one command leave the same bytes, times aside.

mod common;

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

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
        kernels.keys().any(|n| n.ends_with("optimized/gate_mm.cpp")),
        "{left:?}"
    );
    assert!(
        kernels.keys().any(|n| n.ends_with("written/kernels.json")),
        "{left:?}"
    );
    assert_eq!((json, kernels, left), run());
}
