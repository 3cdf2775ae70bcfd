//! What `--json` prints: one object with a version, also of what is wrong.

use crate::common::{folder, tilewright};
use serde_json::Value;
use std::path::Path;

fn object(folder: &Path, args: &[&str], code: i32) -> Value {
    let ran = tilewright(folder, args);
    assert_eq!(ran.code, Some(code), "{args:?}: {}", ran.text());
    let value: Value = serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|e| panic!("{args:?}: {e}: {}", ran.text()));
    assert_eq!(value["version"], 1, "{args:?}: {value}");
    value
}

#[test]
fn lists_are_fields_of_an_object() {
    let folder = folder();
    for (args, field) in [
        (&["rules", "--json"][..], "/rules/0/name"),
        (&["passes", "--json"], "/passes/0/name"),
        (&["machines", "--json"], "/machines/0/name"),
        (&["machines", "A3", "--json"], "/clock_mhz/value"),
        (&["fmt", "--check", "gate.tw", "--json"], "/files/0/is"),
        (&["new", "moe", "--json"], "/text"),
        (
            &["show", "gate.tw", "--after", "optimize", "--json"],
            "/kernels/0/name",
        ),
    ] {
        let value = object(folder.path(), args, 0);
        assert!(value.pointer(field).is_some(), "{field}: {value}");
    }
}

#[test]
fn files_that_are_not_formatted_are_listed() {
    let folder = folder();
    let path = folder.path().join("gate.tw");
    let text = std::fs::read_to_string(&path).expect("it is there");
    std::fs::write(&path, text.replace("param T = 8", "param T=8")).expect("it is written");
    let value = object(folder.path(), &["fmt", "--check", "gate.tw", "--json"], 1);
    assert_eq!(value["ok"], false);
    assert_eq!(value["files"][0]["is"], "not_formatted");
    let value = object(folder.path(), &["fmt", "gate.tw", "--json"], 0);
    assert_eq!(value["files"][0]["is"], "formatted");
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), text);
}

/// What is wrong with the command line is an object, too, where one is asked for.
#[test]
fn a_wrong_command_line_is_told_as_an_object() {
    let folder = folder();
    let value = object(folder.path(), &["run", "--json", "gate.tw", "--bogus"], 2);
    assert_eq!(value["error"]["code"], "tilewright::command_line");
    let message = value["error"]["message"].as_str().expect("a text");
    assert_eq!(message, "unexpected argument '--bogus' found");
    for args in [
        &["run", "gate.tw", "--bogus"][..],
        &["run", "--json", "--help"],
    ] {
        let ran = tilewright(folder.path(), args);
        assert!(!ran.stdout.starts_with('{'), "{}", ran.text());
    }
}
