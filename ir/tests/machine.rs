//! Machines: the built-in ones, a user's own, and what is refused.

use miette::Diagnostic;
use tilewright_ir::kernel::Space;
use tilewright_ir::machine::{DEFAULT_MACHINE, Machine, MachineError};

#[test]
fn every_builtin_machine_reads_and_has_its_cores_and_clock() {
    let found: Vec<_> = Machine::names()
        .into_iter()
        .map(|name| {
            let m = Machine::builtin(name).unwrap();
            assert_eq!(m.name, name);
            (
                name,
                m.cube_cores.value,
                m.vector_cores.value,
                m.clock_mhz.value,
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("A3", 24.0, 48.0, 1850.0),
            ("910B1", 24.0, 48.0, 1850.0),
            ("910B2", 24.0, 48.0, 1800.0),
            ("910B3", 20.0, 40.0, 1800.0),
            ("910B4", 20.0, 40.0, 1500.0),
        ]
    );
    assert_eq!(Machine::names()[0], DEFAULT_MACHINE);
}

#[test]
fn every_memory_has_a_capacity_and_an_alignment() {
    let m = Machine::builtin("910b1").unwrap();
    let found = Space::ALL.map(|s| (m.capacity_of(s), m.alignment_of(s)));
    assert_eq!(
        found,
        [
            (188416, 32),
            (524288, 128),
            (65536, 64),
            (65536, 64),
            (131072, 128)
        ]
    );
}

#[test]
fn every_figure_of_every_machine_has_a_unit_and_a_source() {
    fn walk(path: &str, v: &serde_json::Value) {
        let serde_json::Value::Object(map) = v else {
            return;
        };
        if ["value", "slope", "points"]
            .iter()
            .any(|k| map.contains_key(*k))
        {
            for key in ["unit", "source"] {
                let text = map.get(key).and_then(|v| v.as_str()).unwrap_or("");
                assert!(!text.is_empty(), "{path} has no {key}");
            }
        }
        for (k, v) in map {
            walk(&format!("{path}.{k}"), v);
        }
    }
    for name in Machine::names() {
        let machine = Machine::builtin(name).unwrap();
        walk(name, &serde_json::to_value(machine).unwrap());
    }
}

#[test]
fn a_machine_comes_back_from_its_own_json() {
    let machine = Machine::builtin("A3").unwrap();
    let text = serde_json::to_string(&machine).unwrap();
    assert_eq!(serde_json::from_str::<Machine>(&text).unwrap(), machine);
}

#[test]
fn a_file_without_a_base_has_everything() {
    let text = include_str!("../machines/a2a3.toml");
    assert_eq!(Machine::from_toml(text).unwrap().name, "a2a3");
    let without = text.replace("gm_bandwidth =", "# gm_bandwidth =");
    let e = Machine::from_toml(&without).unwrap_err();
    assert_eq!(e.to_string(), "`gm_bandwidth` is missing");
}

#[test]
fn a_file_overrides_only_what_it_says() {
    let base = Machine::builtin("910B1").unwrap();
    let mine = Machine::from_toml(
        "base = \"910b1\"\nname = \"mine\"\nclock_mhz = { value = 1700, source = \"measured\" }\n\
         [gm_to_ub]\npeak = { value = 200.5, source = \"measured\" }\n",
    )
    .unwrap();
    assert_eq!(mine.name, "mine");
    assert_eq!(mine.clock_mhz.value, 1700.0);
    assert_eq!(mine.clock_mhz.unit, "MHz");
    assert_eq!(mine.gm_to_ub.peak.value, 200.5);
    assert_eq!(mine.gm_to_ub.half, base.gm_to_ub.half);
    assert_eq!(mine.vector, base.vector);
}

#[test]
fn an_unknown_machine_names_the_known_and_the_nearest() {
    let e = Machine::builtin("910C").unwrap_err();
    assert_eq!(e.to_string(), "there is no machine `910C`");
    assert_eq!(
        e.help().unwrap().to_string(),
        "the nearest is `910B1`; the machines are A3, 910B1, 910B2, 910B3, 910B4"
    );
}

/// The error's code, its text, and the text that it points to.
fn refusal(text: &str) -> (String, String, String) {
    let e: MachineError = Machine::from_toml(text).unwrap_err();
    let place = e
        .labels()
        .and_then(|mut l| l.next())
        .map(|l| text[l.offset()..l.offset() + l.len()].to_owned())
        .unwrap_or_default();
    (e.code().unwrap().to_string(), e.to_string(), place)
}

#[test]
fn every_refusal_has_a_code_and_a_place() {
    for (text, code, message, place) in [
        ("base = ", "syntax", "", ""),
        (
            "base = \"910B9\"",
            "unknown",
            "there is no machine `910B9`",
            "\"910B9\"",
        ),
        (
            "base = 9",
            "kind",
            "`base` has to be a string, but is a number",
            "9",
        ),
        (
            "base = \"A3\"\nclok_mhz = { value = 1 }",
            "key",
            "`clok_mhz` is no figure of a machine",
            "clok_mhz",
        ),
        (
            "base = \"A3\"\n[vector.vadd]\nheads = 1",
            "key",
            "`vector.vadd.heads` is no figure of a machine",
            "heads",
        ),
        (
            "base = \"A3\"\nclock_mhz = 1850",
            "kind",
            "`clock_mhz` has to be a table, but is a number",
            "1850",
        ),
        (
            "base = \"A3\"\nclock_mhz = { value = \"fast\", source = \"s\" }",
            "kind",
            "`clock_mhz.value` has to be a number, but is a string",
            "\"fast\"",
        ),
        (
            "base = \"A3\"\nclock_mhz = { value = 1700 }",
            "source",
            "`clock_mhz` overrides a figure without saying where the new one comes from",
            "{ value = 1700 }",
        ),
        (
            "base = \"A3\"\nclock_mhz = { value = 1.7, unit = \"GHz\", source = \"s\" }",
            "unit",
            "`clock_mhz` is in `GHz`, but has to be in `MHz`",
            "\"GHz\"",
        ),
        (
            "base = \"A3\"\nclock_mhz = { value = nan, source = \"s\" }",
            "range",
            "`clock_mhz.value` is NaN, but has to be greater than 0, and at most 1000000",
            "nan",
        ),
        (
            "base = \"A3\"\nclock_mhz = { value = 0, source = \"s\" }",
            "range",
            "`clock_mhz.value` is 0, but has to be greater than 0, and at most 1000000",
            "0",
        ),
        (
            "base = \"A3\"\ngm_to_ub.half = { value = -1, source = \"s\" }",
            "range",
            "`gm_to_ub.half.value` is -1, but has to be from 0 to 1000000",
            "-1",
        ),
        (
            "base = \"A3\"\ncube_cores = { value = 2.5, source = \"s\" }",
            "range",
            "`cube_cores.value` is 2.5, but has to be a whole number from 1 to 4096",
            "2.5",
        ),
        (
            "base = \"A3\"\nalignment.ub = { value = 33, source = \"s\" }",
            "range",
            "`alignment.ub.value` is 33, but has to be a power of two up to 4096 bytes",
            "33",
        ),
        (
            "base = \"A3\"\ncapacity.ub = { value = inf, source = \"s\" }",
            "range",
            "`capacity.ub.value` is inf, but has to be a whole number of bytes from 1024 to 1 GiB",
            "inf",
        ),
        (
            "base = \"A3\"\n[vector.row_sum_f32]\nsource = \"s\"\npoints = [[8, 1, 1], [8, 1, 1]]",
            "order",
            "the columns of `vector.row_sum_f32.points[1]` do not ascend",
            "[8, 1, 1]",
        ),
        (
            "base = \"A3\"\n[vector.row_sum_f32]\nsource = \"s\"\npoints = []",
            "missing",
            "`vector.row_sum_f32.points[0]` is missing",
            "[]",
        ),
        (
            "base = \"A3\"\n[vector.row_sum_f32]\nsource = \"s\"\npoints = [[8, 1]]",
            "kind",
            "`vector.row_sum_f32.points[0]` has to be a triple of numbers, but is an array",
            "[8, 1]",
        ),
    ] {
        let (found_code, found, found_place) = refusal(text);
        assert_eq!(found_code, format!("tilewright::machine::{code}"), "{text}");
        if code != "syntax" {
            assert_eq!(found, message, "{text}");
            assert_eq!(found_place, place, "{text}");
        }
    }
}

#[test]
fn repeats_and_addresses_are_whole_blocks() {
    let with = |block: usize| {
        let text = format!(
            "base = \"A3\"\n[geometry]\nblock = {{ value = {block}, source = \"made up\" }}\n"
        );
        Machine::from_toml(&text)
    };
    assert!(with(16).is_ok());
    assert_eq!(
        with(64).unwrap_err().to_string(),
        "`alignment.ub` is 32, but `geometry.block`, which it is made of, is 64"
    );
    assert_eq!(
        with(48).unwrap_err().to_string(),
        "`geometry.repeat` is 256, but `geometry.block`, which it is made of, is 48"
    );
    assert!(with(0).is_err());
}
