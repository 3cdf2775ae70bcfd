//! Layer files from sizes and from models' configurations.

use indexmap::IndexMap;
use std::path::{Path, PathBuf};
use tilewright::moe::config::{ConfigError, read};
use tilewright::moe::{Moe, MoeError, Scoring};
use tilewright_ir::graph::Graph;
use tilewright_ir::text::{elaborate, parse, print};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).into()
}

fn graph(text: &str) -> Graph {
    let file = parse(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(print(&file), text, "it is in its canonical form");
    elaborate(&file, &IndexMap::new()).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn config(name: &str) -> String {
    let path = root().join("examples/configs").join(name);
    std::fs::read_to_string(path).expect("the configuration is there")
}

/// A configuration with one field changed.
fn changed(name: &str, field: &str, value: serde_json::Value) -> String {
    let mut fields: serde_json::Map<_, _> = serde_json::from_str(&config(name)).expect("an object");
    fields.insert(field.into(), value);
    serde_json::to_string(&fields).expect("it serialises")
}

#[test]
fn without_options_it_is_the_example() {
    let text = Moe::default().text().expect("the standard layer");
    let example = root().join("examples/dsv4_flash_moe.tw");
    let example = std::fs::read_to_string(example).expect("the example is there");
    assert_eq!(text, example);
}

#[test]
fn every_configuration_gives_a_layer_of_its_sizes() {
    for (name, experts, topk, kernels) in [
        (
            "deepseek_v3.json",
            16,
            4,
            ["gate", "sh_gate_up", "residual"],
        ),
        (
            "deepseek_v4.json",
            16,
            6,
            ["hc_pre", "sh_gate_up", "hc_post"],
        ),
        ("glm4_moe.json", 16, 8, ["gate", "sh_gate_up", "residual"]),
        ("qwen3_moe.json", 16, 8, ["gate", "dispatch", "combine"]),
        ("mixtral.json", 8, 2, ["gate", "dispatch", "combine"]),
    ] {
        let moe = read(name, &config(name), 2, 8).expect(name);
        let graph = graph(&moe.text().expect(name));
        assert_eq!(
            (graph.params["N_EXPERTS"], graph.params["TOPK"]),
            (experts, topk),
            "{name}"
        );
        assert_eq!(graph.params["D"], 512, "{name}");
        assert_eq!(graph.ranks(), 2, "{name}");
        let regions: Vec<&str> = graph.regions.iter().map(|r| r.name.as_str()).collect();
        for kernel in kernels {
            assert!(
                regions.contains(&kernel),
                "{name} has no {kernel}: {regions:?}"
            );
        }
        let shared = regions.contains(&"sh_gate_up");
        assert_eq!(shared, moe.shared_inter > 0, "{name}");
        let hyper = regions.contains(&"hc_pre");
        assert_eq!(hyper, moe.hyper.is_some(), "{name}");
        let bias = graph.find("gate_bias").is_some();
        assert_eq!(bias, moe.bias, "{name}");
    }
}

#[test]
fn weights_that_are_not_normalised_are_scores_times_the_factor() {
    let text = changed("qwen3_moe.json", "norm_topk_prob", false.into());
    let moe = read("qwen", &text, 4, 8).expect("it is read");
    let text = moe.text().expect("a layer");
    assert!(text.contains("gather_cols(score, experts)"), "{text}");
    assert!(!text.contains("route_weights"), "{text}");
    graph(&text);
}

#[test]
fn what_a_configuration_asks_for_in_vain_is_named() {
    for (name, field, value) in [
        ("deepseek_v3.json", "hidden_act", "gelu".into()),
        ("deepseek_v3.json", "scoring_func", "tanh".into()),
        (
            "deepseek_v3.json",
            "topk_method",
            "group_limited_greedy".into(),
        ),
        ("deepseek_v3.json", "model_type", "gpt2".into()),
    ] {
        let error = read(name, &changed(name, field, value), 2, 8).expect_err(field);
        let ConfigError::Unsupported { field: named, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(*named, field);
    }
    // Four of eight groups.
    let mut text = changed("deepseek_v3.json", "n_group", 8.into());
    text = text.replace("\"topk_group\":1", "\"topk_group\":4");
    let error = read("v3", &text, 2, 8).expect_err("groups limit the choice");
    assert!(error.to_string().contains("`topk_group` is `4`"), "{error}");
    let error = read(
        "v3",
        &changed("deepseek_v3.json", "hidden_size", "x".into()),
        2,
        8,
    );
    assert!(matches!(
        error,
        Err(ConfigError::Value {
            field: "hidden_size",
            ..
        })
    ));
    let error = read("v3", "{\"model_type\": \"mixtral\"}", 2, 8);
    assert!(matches!(error, Err(ConfigError::Missing { .. })));
    assert!(matches!(
        read("v3", "[1]", 2, 8),
        Err(ConfigError::Json { .. })
    ));
}

#[test]
fn sizes_that_are_no_layer_are_refused() {
    let with = |f: fn(&mut Moe)| {
        let mut moe = Moe::default();
        f(&mut moe);
        moe.text().expect_err("it is refused")
    };
    assert_eq!(with(|m| m.ranks = 1), MoeError::Ranks { ranks: 1 });
    assert_eq!(with(|m| m.shared_inter = 0), MoeError::NoShared);
    let refused =
        |e: &MoeError, what: &str| matches!(e, MoeError::Size { what: w, .. } if *w == what);
    type Change = fn(&mut Moe);
    let cases: [(Change, &str); 5] = [
        (|m| m.hidden = 100, "the hidden size"),
        (|m| m.inter = 0, "the experts' intermediate size"),
        (|m| m.experts = 63, "the number of experts"),
        (|m| m.topk = 65, "experts a token"),
        (|m| m.tokens = 0, "tokens of a rank"),
    ];
    for (change, what) in cases {
        let error = with(change);
        assert!(refused(&error, what), "{what}: {error}");
    }
    for scoring in Scoring::ALL {
        let moe = Moe {
            scoring,
            ..Moe::default()
        };
        graph(&moe.text().expect("every scoring has a layer"));
    }
}
