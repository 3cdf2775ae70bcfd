//! What is refused, and how it is said: files, options, command lines, sizes.

use crate::common::{self, folder, tilewright};
use crate::snapshot;
use rayon::prelude::*;

/// Graphs that are refused, by file name.
const REFUSED: [(&str, &str); 6] = [
    ("empty.tw", ""),
    (
        "unknown-op.tw",
        "graph g {\n  input x: f32[8, 8]\n  kernel k { y = sqroot(x) }\n  output y\n}\n",
    ),
    (
        "shapes.tw",
        "graph g {\n  input x: f32[8, 8]\n  input z: f32[4, 8]\n  kernel k { y = add(x, z) }\n  output y\n}\n",
    ),
    (
        "cycle.tw",
        "graph g {\n  input x: f32[8, 8]\n  kernel k {\n    a = add(x, b)\n    b = exp(a)\n  }\n  output b\n}\n",
    ),
    ("unclosed.tw", "graph g {\n  input x: f32[8, 8]\n"),
    ("empty.json", ""),
];

#[test]
fn refused_files() {
    let folder = folder();
    for (name, text) in REFUSED {
        std::fs::write(folder.path().join(name), text).expect("a file is written");
    }
    let binary: Vec<u8> = (0..2000_u32)
        .map(|i| (i * 151 % 251) as u8 | 0x80)
        .collect();
    for name in [
        "binary.tw",
        "binary.json",
        "binary.safetensors",
        "binary.toml",
    ] {
        std::fs::write(folder.path().join(name), &binary).expect("a file is written");
    }
    let files = REFUSED.map(|(name, _)| name);
    for file in files
        .into_iter()
        .chain(["binary.tw", "binary.json", ".", "absent.tw"])
    {
        let ran = tilewright(folder.path(), &["run", file]);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (Some(3), ""),
            "{}",
            ran.stderr
        );
        let name = match file {
            "." => "folder".into(),
            file => file.replace('.', "-"),
        };
        snapshot(&format!("refused-{name}"), &ran.stderr);
    }
    for (option, file) in [
        ("--inputs", "binary.safetensors"),
        ("--inputs", "absent.safetensors"),
        ("--inputs", "."),
        ("--machine", "binary.toml"),
        ("--machine", "absent.toml"),
    ] {
        let ran = tilewright(folder.path(), &["run", "gate.tw", option, file]);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (Some(3), ""),
            "{}",
            ran.stderr
        );
        assert!(ran.stderr.contains(file), "{}", ran.stderr);
    }
}

#[test]
fn refused_options() {
    let folder = folder();
    for (name, args) in [
        ("machine", &["--machine", "910B"][..]),
        ("num-tokens", &["--num-tokens", "9"]),
        ("num-tokens-negative", &["--num-tokens", "-1"]),
        ("set-unknown", &["--set", "DD=3"]),
        ("set-zero", &["--set", "T=0"]),
        ("set-huge", &["--set", "D=1000000000"]),
        ("set-beyond", &["--set", "D=9000000000000000000"]),
        ("set-twice", &["--set", "layer_id=1", "--layer-id", "2"]),
        ("pin-syntax", &["--pin", "gate"]),
        ("pin-kernel", &["--pin", "gat.launch=spmd"]),
        ("pin-parameter", &["--pin", "gate.TILE=3"]),
        ("pin-value", &["--pin", "gate.launch=fast"]),
        ("pin-divides", &["--pin", "ffn_norm.D_TILE=4095"]),
        ("pin-multiple", &["--pin", "gate.GATE_D_TILE=300"]),
        (
            "pin-overflow",
            &[
                "--pin",
                "x_norm_quant.T_TILE=8",
                "--pin",
                "x_norm_quant.QUANT_TILE=4096",
            ],
        ),
        ("rule-unknown", &["--disable-rule", "read-narow"]),
        ("rule-structure", &["--disable-rule", "tile-load"]),
        ("pass-unknown", &["--passes", "decompose,optimise"]),
        ("pass-order", &["--passes", "decompose,schedule"]),
        ("pass-program", &["--passes", "decompose,prune"]),
        ("pass-stop", &["--stop-after", "as-written"]),
    ] {
        let ran = tilewright(folder.path(), &[&["run", "gate.tw"], args].concat());
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (Some(3), ""),
            "{name}: {}",
            ran.stderr
        );
        snapshot(&format!("option-{name}"), &ran.stderr);
    }
    std::fs::copy(common::example("rms_norm"), folder.path().join("norm.tw")).expect("a copy");
    let ran = tilewright(folder.path(), &["run", "norm.tw", "--layer-id", "3"]);
    snapshot("option-layer-id", &ran.stderr);
    let ran = tilewright(folder.path(), &["run", "norm.tw", "--num-tokens", "3"]);
    snapshot("option-num-tokens-none", &ran.stderr);
}

#[test]
fn wrong_command_lines() {
    let folder = folder();
    for args in [
        &["walk"][..],
        &["run"],
        &["run", "gate.tw", "--set", "D"],
        &["run", "gate.tw", "--set", "D=x"],
        &["run", "gate.tw", "--numerics", "loose"],
        &["run", "gate.tw", "--expect", "x.safetensors"],
        &["run", "gate.tw", "--seed", "-1"],
        &["run", "gate.tw", "--time-limit", "nan"],
        &["emit", "gate.tw"],
        &["show", "gate.tw", "--as", "svg"],
    ] {
        let ran = tilewright(folder.path(), args);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (Some(2), ""),
            "{args:?}: {}",
            ran.stderr
        );
        assert!(
            ran.stderr.contains("Usage:") || ran.stderr.contains("--help"),
            "{}",
            ran.stderr
        );
    }
}

/// What is meant is said, and what is wrong is said in the user's terms.
#[test]
fn wrong_words_are_answered_in_words() {
    let folder = folder();
    let cut = "{\"name\": \"g\", \"kernels\": [";
    std::fs::write(folder.path().join("cut.json"), cut).expect("a file is written");
    for (args, says) in [
        (&["rnu", "gate.tw"][..], "'run'"),
        (
            &["run", "gate.tw", "--time-limit", "nan"],
            "seconds, from 0 on",
        ),
        (
            &["run", "gate.tw", "--time-limit", "-1"],
            "seconds, from 0 on",
        ),
        (&["check", "cut.json"], "it ends in the middle, at line 1"),
        (&["show", "cut.json"], "tilewright::file::json"),
    ] {
        let ran = tilewright(folder.path(), args);
        assert!(ran.stderr.contains(says), "{args:?}: {}", ran.text());
        assert!(!ran.stderr.contains("Duration"), "{}", ran.text());
    }
}

/// No size may hang the command, exhaust memory or make it panic, whatever it answers.
#[test]
fn strange_sizes() {
    let folder = folder();
    let sizes = [
        "D=1000000000",
        "T=1000000000",
        "N_EXPERTS=1000000000",
        "VOCAB=2000000000",
        "SORT_COLS=2000000000",
        "TOPK=1000000",
        "TOPK=65",
        "TOPK=0",
        "T=7",
        "T=1",
        "N_EXPERTS=1",
        "N_EXPERTS=65536",
        "D=32",
        "D=1",
        "T=-1",
        "layer_id=-7",
        "T=65536",
    ];
    sizes.into_par_iter().for_each(|size| {
        let ran = tilewright(folder.path(), &["optimize", "gate.tw", "--set", size]);
        assert!(matches!(ran.code, Some(0 | 3)), "{size}: {}", ran.text());
    });
}

/// With `--json` a refusal is an object, too, and text besides.
#[test]
fn refusals_are_json_where_it_is_asked_for() {
    let folder = folder();
    let refused = |args: &[&str]| {
        let ran = tilewright(folder.path(), &[args, &["--json"]].concat());
        assert_eq!(ran.code, Some(3), "{}", ran.text());
        assert!(ran.stderr.contains("help: "), "{}", ran.stderr);
        let told: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one JSON object");
        assert_eq!(told["version"], 1);
        told["error"].clone()
    };
    for (name, text) in REFUSED {
        std::fs::write(folder.path().join(name), text).expect("a file is written");
    }
    let error = refused(&["run", "unknown-op.tw"]);
    assert_eq!(error["place"]["file"], "unknown-op.tw");
    assert_eq!(
        (&error["place"]["line"], &error["place"]["column"]),
        (&3.into(), &18.into())
    );
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|m| m.contains("sqroot")),
        "{error}"
    );
    let error = refused(&["optimize", "gate.tw", "--pin", "gat.launch=spmd"]);
    assert_eq!(error["code"], "tilewright::pins::unknown_kernel");
    assert_eq!(error["place"], serde_json::Value::Null);
    let help = error["help"].as_str().expect("there is a help");
    assert!(
        help.starts_with("did you mean `gate`? the kernels are ffn_norm, "),
        "{help}"
    );
}
