//! `tilewright diff`.

use crate::common::{folder, tilewright};
use crate::{SMALL, snapshot};

#[test]
fn schedules_are_compared_kernel_by_kernel() {
    let folder = folder();
    let run = |args: &[&str]| tilewright(folder.path(), &[args, &SMALL[..]].concat());
    // One layer, searched freely and with a pin.
    let ran = run(&["diff", "gate.tw", "--to-pin", "ffn_norm.fuse=none"]);
    snapshot("diff-pin", &ran.text());
    // Kernels that were saved, and what is found now.
    let ran = run(&[
        "emit",
        "gate.tw",
        "-o",
        "saved",
        "--pin",
        "ffn_norm.fuse=none",
        "--no-verify",
    ]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    let ran = run(&["diff", "saved", "gate.tw", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one JSON object");
    assert_eq!(json["same"], false);
    let kinds: Vec<&str> = json["schedule"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|d| d["kind"].as_str())
        .collect();
    // What the kernels of a folder were made with is not known.
    assert!(
        !kinds.is_empty() && !kinds.contains(&"setting"),
        "{kinds:?}"
    );
    let sum = |side: &str| -> f64 {
        let work = json["work"].as_array().expect("a list").iter();
        work.map(|w| w[side].as_f64().expect("a time")).sum()
    };
    for side in ["a", "b"] {
        let all = json[side]["us"].as_f64().expect("a time");
        assert!((all - sum(&format!("{side}_us"))).abs() < 1e-6 && all > 0.0);
    }
    assert_eq!(json["a"]["timed_by"], "simulator");
    // The same kernels, from a layer and from a folder.
    let ran = run(&["diff", "saved", "gate.tw", "--pin", "ffn_norm.fuse=none"]);
    assert!(
        ran.stdout.contains("the schedules are the same"),
        "{}",
        ran.text()
    );
    let speedup = ran.stdout.lines().rfind(|l| l.starts_with("all "));
    assert!(
        speedup.is_some_and(|l| l.ends_with(" 1.00x")),
        "{}",
        ran.text()
    );
}

#[test]
fn machines_sizes_and_forms_are_compared() {
    let folder = folder();
    let run = |args: &[&str]| {
        let ran = tilewright(folder.path(), &[args, &SMALL[..]].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.text());
        ran.stdout
    };
    let told = run(&["diff", "gate.tw", "--to-machine", "910B4"]);
    assert!(told.contains("machine: A3 -> 910B4"), "{told}");
    let told = run(&["diff", "gate.tw", "--to-set", "VOCAB=256", "--written"]);
    assert!(told.contains("param VOCAB: 512 -> 256"), "{told}");
    run(&["run", "gate.tw"]);
    let out = "tilewright-out/dsv4_flash_gate";
    let told = run(&["diff", &format!("{out}/written"), out]);
    assert!(told.contains("fused: ffn_norm + x_norm_quant ->"), "{told}");
    let told = run(&["diff", &format!("{out}/written"), out, "--written"]);
    assert!(told.contains("the schedules are the same"), "{told}");
}

#[test]
fn sides_that_are_none_are_refused() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("nothing")).expect("there is room");
    let ran = tilewright(
        folder.path(),
        &["emit", "gate.tw", "-o", "saved", "--no-verify"],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    for (args, code) in [
        (&["gate.tw"][..], "tilewright::diff::one_side"),
        (&["gate.tw", "nothing"], "tilewright::diff::no_kernels"),
        (
            &["saved", "gate.tw", "--written"],
            "tilewright::diff::no_kernels",
        ),
        (
            &["gate.tw", "saved", "--to-machine", "A2"],
            "tilewright::diff::saved",
        ),
        (&["absent.tw", "gate.tw"], "tilewright::file"),
    ] {
        // Sides are read before the search.
        let ran = tilewright(folder.path(), &[&["diff"], args, &SMALL[..]].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""), "{args:?}");
        assert!(ran.stderr.contains(code), "{args:?}: {}", ran.stderr);
    }
}

/// A folder whose files are not those of its program is told of, and so are layers that have nothing in common.
#[test]
fn what_cannot_be_compared_is_told() {
    let folder = folder();
    let here = folder.path();
    let emit = ["emit", "gate.tw", "-o", "saved", "--no-verify"];
    let ran = tilewright(here, &[&emit[..], &SMALL].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    let files = std::fs::read_dir(here.join("saved")).expect("it is there");
    let mut kernels: Vec<_> = files
        .map(|f| f.expect("a file").path())
        .filter(|p| p.extension().is_some_and(|e| e == "cpp"))
        .collect();
    kernels.sort();
    std::fs::remove_file(&kernels[0]).expect("it is removed");
    std::fs::write(&kernels[1], "mine").expect("it is written");
    let ran = tilewright(here, &["diff", "saved", "saved"]);
    assert!(
        ran.stderr.contains("tilewright::diff::unlike: saved: "),
        "{}",
        ran.text()
    );
    for said in [".cpp is missing", ".cpp was changed"] {
        assert!(ran.stderr.contains(said), "{}", ran.text());
    }
    let other =
        "graph g {\n  input x: f32[8, 64]\n  kernel k {\n    y = abs(x)\n  }\n  output y\n}\n";
    std::fs::write(here.join("other.tw"), other).expect("it is written");
    let ran = tilewright(here, &["diff", "gate.tw", "other.tw"]);
    assert!(
        ran.stdout.contains("A and B share nothing"),
        "{}",
        ran.text()
    );
    let all = ran.stdout.lines().rfind(|l| l.starts_with("all "));
    assert!(all.is_some_and(|l| !l.ends_with('x')), "{}", ran.text());
}
