//! The table of measured times names kernels that are there.

use crate::common;
use indexmap::IndexMap;
use std::collections::BTreeSet;
use tilewright::layer::Layer;

use tilewright::calibrate::{Set, accuracy, case, fit, load, machine_file, page, plot, predicted};
use tilewright_ir::machine::Machine;

/// The committed figures, the page and its plot are what the committed times give; and they are nearer than those of the sources.
#[test]
fn the_committed_machine_is_what_the_times_give() {
    let root = common::root();
    let (set, cases) = load(&root.join("examples/calibration/records.toml")).expect("the table");
    let fit = fit(&cases).expect("it can be fitted");
    let bless = std::env::var_os("TILEWRIGHT_BLESS").is_some();
    for (file, text) in [
        (
            "ir/machines/calibrated.toml",
            machine_file(cases.len(), &fit),
        ),
        ("docs/accuracy.md", page(&cases, &set.left_out, &fit)),
        ("docs/accuracy.svg", plot(&cases, &fit.after)),
    ] {
        let path = root.join(file);
        if bless {
            std::fs::write(&path, &text).expect("it can be written");
        }
        let committed = std::fs::read_to_string(&path).expect("it is committed");
        assert!(
            committed == text,
            "{file} is not what the records give; TILEWRIGHT_BLESS=1 writes it"
        );
    }
    let [before, after] = [&fit.before, &fit.without_record].map(|p| accuracy(&cases, p));
    assert!(
        after.median < 0.22 && after.median < before.median,
        "{after:?}"
    );
    assert!(after.spearman > 0.95, "{after:?}");
}

/// A time does not depend on who else is measured: figures make it.
#[test]
fn predictions_follow_the_figures() {
    let folder = common::root().join("examples/calibration");
    let set = Set::read(&folder.join("records.toml")).expect("the table");
    let record = set.record.iter().find(|r| r.id == "R019.before");
    let case = case(&folder, record.expect("it is there")).expect("it compiles");
    let machine = |block: f64| {
        let mut machine = Machine::builtin(&case.machine).expect("it is built in");
        machine.runtime_mut().block.value = block;
        machine
    };
    // 4096 blocks, of which each waits for the one before.
    let [free, slow] = [0.0, 0.4].map(|block| predicted(&case, &machine(block)));
    assert!(slow > 10.0 * free, "{slow} and {free}");
}

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
