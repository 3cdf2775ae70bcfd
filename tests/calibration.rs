//! The table of measured times names kernels that are there.

mod common;

use indexmap::IndexMap;
use std::collections::BTreeSet;
use tilewright::layer::Layer;

/// What a record is of: a file at some sizes, and the kernel if it is of one.
fn of(record: &toml::Table) -> (String, IndexMap<String, i64>, Option<&str>) {
    let file = record["file"].as_str().expect("a file's name").to_owned();
    let sizes = record.get("set").and_then(toml::Value::as_table);
    let sizes = sizes.into_iter().flatten();
    let size = |v: &toml::Value| v.as_integer().expect("a size is a whole number");
    let sizes = sizes.map(|(name, v)| (name.clone(), size(v))).collect();
    (
        file,
        sizes,
        record.get("kernel").and_then(toml::Value::as_str),
    )
}

#[test]
fn records_are_of_kernels_that_are_there() {
    let folder = common::root().join("examples/calibration");
    let text = std::fs::read_to_string(folder.join("records.toml")).expect("the table is there");
    let table: toml::Table = toml::from_str(&text).expect("it is a table");
    let entries = |name: &str| {
        let all = table[name].as_array().expect("a list of tables");
        all.iter().map(|v| v.as_table().expect("a table"))
    };
    let ids: BTreeSet<&str> = entries("record").filter_map(|r| r["id"].as_str()).collect();
    assert_eq!(
        ids.len(),
        entries("record").count(),
        "two records share a name"
    );
    assert!(ids.len() >= 60, "{} measured times", ids.len());
    let sides = entries("difference").flat_map(|d| {
        ["before", "after"].map(|side| d[side].as_table().expect("a file and its sizes"))
    });
    for record in entries("record").chain(sides) {
        let (file, sizes, kernel) = of(record);
        let layer = Layer::load(&folder.join(&file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let graph = layer.graph(&sizes);
        let graph = graph.unwrap_or_else(|e| panic!("{file} {sizes:?}: {e}"));
        if let Some(kernel) = kernel {
            let there = graph.regions.iter().any(|r| r.name == kernel);
            assert!(there, "{file} has no kernel `{kernel}`");
        }
    }
    for record in entries("record") {
        assert!(
            record["us"]
                .as_float()
                .or(record["us"].as_integer().map(|n| n as f64))
                > Some(0.0)
        );
        if let Some(pair) = record.get("pair").and_then(toml::Value::as_str) {
            assert!(ids.contains(pair), "no record `{pair}`");
        }
    }
}
