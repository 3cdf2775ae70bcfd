//! Whose work a kernel does, pins that say nothing, and names that are no parameters.

use crate::common::{folder, tilewright};

fn json(folder: &std::path::Path, args: &[&str]) -> serde_json::Value {
    let ran = tilewright(folder, args);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    serde_json::from_str(&ran.stdout).expect("one JSON object")
}

/// A part of a kernel that is computed again by its readers is work of theirs.
#[test]
fn what_vanishes_is_work_of_who_reads_it() {
    let folder = folder();
    let pin = ["optimize", "gate.tw", "--pin", "gate.fuse=none", "--json"];
    let report = json(folder.path(), &pin);
    let kernels = report["optimized"]["kernels"].as_array().expect("a list");
    let of = |name: &str| kernels.iter().find(|k| k["name"] == name);
    let reader = of("x_norm_quant_route_sort").expect("`gate_act` is no kernel of its own");
    let list = |field: &str| reader[field].as_array().expect("a list").clone();
    assert_eq!(list("parts"), ["x_norm_quant", "gate_act", "route_sort"]);
    assert!(list("covers").contains(&"gate".into()), "{reader}");
    // So what both do of `gate` is one row.
    let regions = report["regions"].as_array().expect("a list");
    assert_eq!(regions.len(), 1, "{regions:?}");
    // Each part as written is told once.
    let explained = json(
        folder.path(),
        &["explain", "gate.tw", "--no-gains", "--json"],
    );
    let works = explained["kernels"].as_array().expect("a list").iter();
    let sum: f64 = works.filter_map(|k| k["written_work_us"].as_f64()).sum();
    let written = explained["written_us"].as_f64().expect("a time");
    assert!((sum - written).abs() < 1e-6, "{sum} of {written}");
}

#[test]
fn pins_of_tiles_that_no_kernel_has_are_told() {
    let folder = folder();
    for (pin, moot) in [
        ("gate_act.GATE_N_TILE=64", true),
        ("route_sort.T_TILE=8", false),
    ] {
        let ran = tilewright(folder.path(), &["optimize", "gate.tw", "--pin", pin]);
        let told = format!("warning: tilewright::pins::moot: `{pin}` pins nothing");
        assert_eq!(ran.stderr.contains(&told), moot, "{}", ran.text());
    }
}

/// What reports print and no pin takes: the refusal says how it is pinned.
#[test]
fn names_of_reports_lead_to_parameters() {
    let folder = folder();
    for (pin, help) in [
        ("gate.SPLIT_K=2", "did you mean `split_k`?"),
        ("gate.gate_n_tile=16", "did you mean `GATE_N_TILE`?"),
        ("gate.GATE_D_TILE_L0=64", "pin gate.reduces=TRIPSx1xPIECES"),
        ("ffn_norm.D_TILE_SUM=128", "pin ffn_norm.reduces=TRIPS:"),
        (
            "ffn_norm_gate_mm.T_TILE=8",
            "is `ffn_norm` and `gate_mm` in one",
        ),
    ] {
        let ran = tilewright(folder.path(), &["optimize", "gate.tw", "--pin", pin]);
        assert_eq!(ran.code, Some(3), "{}", ran.text());
        let text: Vec<&str> = ran.stderr.split_whitespace().collect();
        assert!(text.join(" ").contains(help), "{pin}: {}", ran.text());
    }
}

/// Kernels as written, and parts of them, lead to what does their work.
#[test]
fn names_as_written_lead_to_chosen_kernels() {
    let folder = folder();
    let args = ["explain", "gate.tw", "gate_mm", "--no-gains"];
    let ran = tilewright(folder.path(), &args);
    let told = "the work of `gate_mm` is done by `ffn_norm_gate_mm`\n";
    assert!(ran.stdout.contains(told), "{}", ran.text());
    let ran = tilewright(folder.path(), &["swimlane", "gate.tw", "gate_act"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    let name = "x_norm_quant_gate_act_route_sort";
    assert!(
        ran.stdout.contains(&format!("{name}, block")),
        "{}",
        ran.text()
    );
    let told = format!("note: the work of `gate_act` is done by `{name}`\n");
    assert_eq!(ran.stderr, told);
}

/// A parameter with letters that changed places, in the file and as an option.
#[test]
fn parameters_with_typos_are_no_tiles() {
    let folder = folder();
    let text = "graph g {\n  input x: f32[8, 64]\n  kernel k {\n    hold lunch(spmd)\n    y = abs(x)\n  }\n  output y\n}\n";
    std::fs::write(folder.path().join("typo.tw"), text).expect("it is written");
    for args in [
        &["optimize", "typo.tw"][..],
        &["optimize", "gate.tw", "--pin", "gate.lunch=spmd"],
    ] {
        let ran = tilewright(folder.path(), args);
        assert_eq!(ran.code, Some(3));
        let told = "did you mean `launch`? a tile takes a number of elements";
        assert!(ran.stderr.contains(told), "{}", ran.text());
    }
}
