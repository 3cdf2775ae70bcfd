//! Layer files from sizes and from models' configurations.

#[path = "../common/mod.rs"]
mod common;
mod numbers;

use clap::Parser;
use indexmap::IndexMap;
use std::path::{Path, PathBuf};
use tilewright::compile::{Options, compile};
use tilewright::data::{self, Data, Source};
use tilewright::form::Form;
use tilewright::moe::config::{ConfigError, Configured, Said, read};
use tilewright::moe::{Activation, GroupScore, Groups, Hash, Hyper, Moe, MoeError, Scoring};
use tilewright::run;
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

/// The options of a command line.
fn said(options: &str) -> Said {
    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        said: Said,
    }
    let words = ["new"].into_iter().chain(options.split_whitespace());
    Command::try_parse_from(words)
        .unwrap_or_else(|e| panic!("{e}"))
        .said
}

fn configured(name: &str, options: &str) -> Configured {
    read(name, &config(name), &said(options)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// A configuration with fields changed; null takes one out.
fn changed(name: &str, changes: &[(&str, serde_json::Value)]) -> String {
    let mut fields: serde_json::Map<_, _> = serde_json::from_str(&config(name)).expect("an object");
    for (field, value) in changes {
        fields.insert((*field).into(), value.clone());
    }
    serde_json::to_string(&fields).expect("it serialises")
}

/// Options that compile in a moment and find other blocks, tiles and launches than those written.
fn quick() -> Options {
    let mut options = common::options();
    options.search.iter_limit = 4;
    options.search.candidates = 1;
    options
}

/// Runs a layer on its ranks in both forms, against the interpreter.
fn runs(moe: &Moe) {
    let text = moe.text().unwrap_or_else(|e| panic!("{}: {e}", moe.name));
    let graph = graph(&text);
    let inputs = |rank| {
        data::inputs(&graph, &Source::Seed(7 + rank), &IndexMap::new()).expect("inputs are made")
    };
    let data = Data::new((0..moe.ranks as u64).map(inputs).collect());
    let outcome = run::run(&graph, &quick(), &data)
        .unwrap_or_else(|e| panic!("{}: {:?}\n{text}", moe.name, miette::Report::new(e)));
    let checks = &outcome.report.checks;
    assert!(outcome.report.ok, "{}: {checks:?}", moe.name);
    assert_eq!(checks.len(), 4 * moe.ranks, "{}", moe.name);
}

/// What a layer is, in a line.
fn line(moe: &Moe) -> String {
    let mut words = vec![
        format!("{} {}x{}", moe.experts, moe.hidden, moe.inter),
        format!("top{}", moe.topk),
        format!("{:?}", moe.scoring),
        format!("*{:?}", moe.route_scale),
        format!("eps {:?}", moe.norm_eps),
    ];
    let flags = [
        (moe.bias, "bias"),
        (moe.normalize, "normalized"),
        (moe.router_bias, "router-bias"),
        (moe.expert_bias, "expert-bias"),
        (moe.weigh_input, "weigh-input"),
        (!moe.gated, "ungated"),
        (moe.activation != Activation::Silu, "other-activation"),
        (moe.hash.is_some(), "hash"),
        (moe.hyper.is_some(), "hyper"),
    ];
    words.extend(flags.iter().filter(|f| f.0).map(|f| f.1.to_string()));
    if let Some(g) = moe.groups {
        words.push(format!(
            "{} of {} groups by {:?}",
            g.kept, g.groups, g.score
        ));
    }
    if moe.shared_inter > 0 {
        let gate = if moe.shared_gate { " gated" } else { "" };
        words.push(format!("shared {}{gate}", moe.shared_inter));
    }
    if moe.swiglu_limit > 0.0 {
        words.push(format!("limit {:?}", moe.swiglu_limit));
    }
    if !(moe.activation_alpha == 1.0 && moe.up_offset == 0.0) {
        words.push(format!(
            "alpha {:?} offset {:?}",
            moe.activation_alpha, moe.up_offset
        ));
    }
    words.join(" ")
}

/// Every configuration that has a layer, and what the layer is.
const MODELS: &[(&str, &str)] = &[
    (
        "deepseek_v2_lite.json",
        "64 2048x1408 top6 Softmax *1.0 eps 1e-6 shared 2816",
    ),
    (
        "deepseek_v4_flash.json",
        "256 4096x2048 top6 SqrtSoftplus *1.5 eps 1e-6 bias normalized hash hyper shared 2048 limit 10.0",
    ),
    (
        "deepseek_v4_pro.json",
        "384 7168x3072 top6 SqrtSoftplus *2.5 eps 1e-6 bias normalized hash hyper shared 3072 limit 10.0",
    ),
    (
        "ernie4_5_moe.json",
        "64 2560x1536 top6 Softmax *1.0 eps 1e-5 bias normalized shared 3072",
    ),
    (
        "glm4_moe.json",
        "160 5120x1536 top8 Sigmoid *2.5 eps 1e-5 bias normalized shared 1536",
    ),
    (
        "glm5.json",
        "256 6144x2048 top8 Sigmoid *2.5 eps 1e-5 bias normalized shared 2048",
    ),
    (
        "gpt_oss.json",
        "128 2880x2880 top4 Softmax *1.0 eps 1e-5 normalized router-bias expert-bias limit 7.0 alpha 1.702 offset 1.0",
    ),
    (
        "hunyuan_a13b.json",
        "64 4096x3072 top8 Softmax *1.0 eps 1e-5 normalized shared 3072",
    ),
    (
        "kimi_k2.json",
        "384 7168x2048 top8 Sigmoid *2.827 eps 1e-6 bias normalized shared 2048",
    ),
    (
        "mimo_v2_flash.json",
        "256 4096x2048 top8 Sigmoid *1.0 eps 1e-5 bias normalized",
    ),
    (
        "minimax_m2.json",
        "256 3072x1536 top8 Sigmoid *1.0 eps 1e-6 bias normalized",
    ),
    (
        "mixtral.json",
        "8 4096x14336 top2 Softmax *1.0 eps 1e-5 normalized",
    ),
    (
        "nemotron_3_nano.json",
        "128 2688x1856 top6 Sigmoid *2.5 eps 1e-5 bias normalized ungated other-activation shared 3712",
    ),
    ("olmoe.json", "64 2048x1024 top8 Softmax *1.0 eps 1e-5"),
    (
        "qwen2_moe.json",
        "64 3584x2560 top8 Softmax *1.0 eps 1e-6 shared 20480 gated",
    ),
    (
        "qwen3_5_moe.json",
        "256 2048x512 top8 Softmax *1.0 eps 1e-6 normalized shared 512 gated",
    ),
    (
        "qwen3_moe.json",
        "128 4096x1536 top8 Softmax *1.0 eps 1e-6 normalized",
    ),
    (
        "qwen3_next.json",
        "512 2048x512 top10 Softmax *1.0 eps 1e-6 normalized shared 512 gated",
    ),
    (
        "deepseek_v2.json",
        "160 5120x1536 top6 Softmax *16.0 eps 1e-6 3 of 8 groups by Max shared 3072",
    ),
    (
        "deepseek_v3.json",
        "256 7168x2048 top8 Sigmoid *2.5 eps 1e-6 bias normalized 4 of 8 groups by Top2 shared 2048",
    ),
    (
        "deepseek_v32.json",
        "256 7168x2048 top8 Sigmoid *2.5 eps 1e-6 bias normalized 4 of 8 groups by Top2 shared 2048",
    ),
    (
        "llama4.json",
        "16 5120x8192 top1 Sigmoid *1.0 eps 1e-5 weigh-input shared 8192",
    ),
];

#[test]
fn without_options_it_is_the_example() {
    let text = Moe::default().text().expect("the standard layer");
    let example = root().join("examples/dsv4_flash_moe.tw");
    let example = std::fs::read_to_string(example).expect("the example is there");
    assert_eq!(text, example);
}

#[test]
fn a_configuration_is_read_for_what_its_fields_mean() {
    let mut files = std::fs::read_dir(root().join("examples/configs"))
        .expect("a folder")
        .count();
    for (name, expected) in MODELS {
        assert_eq!(line(&configured(name, "").moe), *expected, "{name}");
        files -= 1;
    }
    assert_eq!(files, 1, "phimoe.json is refused");
    let error = read("phimoe", &config("phimoe.json"), &Said::default());
    assert!(matches!(error, Err(ConfigError::Unsupported { field, .. }) if field == "model_type"));
}

/// As written all of them; the search is asked where shapes differ most.
#[test]
fn every_model_compiles_at_its_sizes() {
    let searched = ["gpt_oss.json", "nemotron_3_nano.json", "deepseek_v3.json"];
    for (name, _) in MODELS {
        let moe = configured(name, "").moe;
        let graph = graph(&moe.text().expect(name));
        let forms = match searched.contains(name) {
            true => &Form::ALL[..],
            false => &[Form::Written],
        };
        for form in forms.iter().copied() {
            compile(&graph, form, &quick())
                .unwrap_or_else(|e| panic!("{name}: {:?}", miette::Report::new(e)));
        }
    }
}

/// Sizes that a test can afford.
const SMALL: &str = "--hidden 128 --inter 96 --experts 16 --vocab 64";

#[test]
fn every_model_runs_small() {
    for (name, _) in MODELS {
        let mut moe = configured(name, SMALL).moe;
        moe.tokens = 4;
        moe.topk = moe.topk.min(4);
        if moe.shared_inter > 0 {
            moe.shared_inter = 192;
        }
        runs(&moe);
    }
}

/// Sizes that the tiles of the template do not divide: an odd number of fractals, experts without a whole one, odd rows.
#[test]
fn tiles_follow_from_the_sizes() {
    for (options, tokens) in [
        ("--hidden 512 --inter 160 --experts 120 --topk 6", 12),
        ("--hidden 1856 --inter 1408 --experts 68 --topk 6", 8),
        ("--hidden 2880 --inter 2880 --experts 20 --topk 4", 33),
    ] {
        let mut moe = said(options).of(configured("olmoe.json", "").moe);
        moe.tokens = tokens;
        let graph = graph(&moe.text().expect(options));
        compile(&graph, Form::Written, &quick())
            .unwrap_or_else(|e| panic!("{options}: {:?}", miette::Report::new(e)));
    }
    let columns = |experts: usize| {
        let moe = said(&format!("--experts {experts}")).of(Moe::default());
        graph(&moe.text().expect("a layer")).params["SORT_COLS"]
    };
    assert_eq!([8, 60, 128, 160, 384].map(columns), [32, 64, 128, 256, 512]);
}

/// What an option changes of a layer.
type Change = fn(&mut Moe);

const OPTIONS: &[(&str, Change)] = &[
    ("--hidden 512", |m| m.hidden = 512),
    ("--inter 768", |m| m.inter = 768),
    ("--shared-inter 96", |m| m.shared_inter = 96),
    ("--experts 32", |m| m.experts = 32),
    ("--topk 3", |m| m.topk = 3),
    ("--scoring sigmoid", |m| m.scoring = Scoring::Sigmoid),
    ("--router-bias true", |m| m.router_bias = true),
    ("--choice-bias false", |m| m.bias = false),
    ("--choice-bias true", |m| m.bias = true),
    ("--normalize false", |m| m.normalize = false),
    ("--route-scale 3.5", |m| m.route_scale = 3.5),
    ("--groups 8 --groups-kept 2 --group-score max", |m| {
        m.groups = Some(Groups {
            groups: 8,
            kept: 2,
            score: GroupScore::Max,
        });
    }),
    ("--weigh-input true", |m| m.weigh_input = true),
    ("--hash-layers 2 --vocab 64", |m| {
        m.hash = Some(Hash {
            layers: 2,
            vocab: 64,
        })
    }),
    ("--hash-layers 0", |m| m.hash = None),
    ("--activation gelu-tanh", |m| {
        m.activation = Activation::GeluTanh
    }),
    ("--gated false", |m| m.gated = false),
    ("--swiglu-limit 3", |m| m.swiglu_limit = 3.0),
    ("--activation-alpha 1.5", |m| m.activation_alpha = 1.5),
    ("--up-offset -1", |m| m.up_offset = -1.0),
    ("--expert-bias true", |m| m.expert_bias = true),
    ("--shared-gate true", |m| m.shared_gate = true),
    ("--streams 2 --sinkhorn-iterations 3 --hc-eps 1e-3", |m| {
        m.hyper = Some(Hyper {
            streams: 2,
            iterations: 3,
            eps: 1e-3,
        });
    }),
    ("--streams 0", |m| m.hyper = None),
    ("--norm-eps 1e-3", |m| m.norm_eps = 1e-3),
];

/// `--inter` beside a configuration without a shared expert adds none, for one.
#[test]
fn an_option_changes_what_it_says_and_nothing_else() {
    let models = ["qwen3_moe.json", "deepseek_v4_flash.json", "qwen2_moe.json"];
    for (options, change) in OPTIONS {
        let mut expected = Moe::default();
        change(&mut expected);
        assert_eq!(said(options).of(Moe::default()), expected, "{options}");
        for name in models {
            let mut expected = configured(name, "").moe;
            change(&mut expected);
            assert_eq!(
                configured(name, options).moe,
                expected,
                "{options} of {name}"
            );
        }
    }
}

/// The defaults of the model's code, an unknown type, other names, parts of a whole, numbers that JSON has not.
#[test]
fn what_a_configuration_leaves_out_is_as_its_model_takes_it() {
    let nothing = Said::default();
    let moe = |name: &str, changes: &[(&str, serde_json::Value)]| {
        read("config.json", &changed(name, changes), &nothing).expect(name)
    };
    let null = serde_json::Value::Null;
    assert!(
        !moe("qwen3_moe.json", &[("norm_topk_prob", null.clone())])
            .moe
            .normalize
    );
    let v3 = moe(
        "deepseek_v3.json",
        &[("n_group", null.clone()), ("topk_group", null.clone())],
    );
    assert_eq!(v3.moe.groups.map(|g| (g.groups, g.kept)), Some((8, 4)));
    let greedy = moe("deepseek_v2.json", &[("topk_method", "greedy".into())]);
    assert_eq!(greedy.moe.groups, None);
    // A type that nobody knows, with fields that everybody knows.
    let known = moe("kimi_k2.json", &[]);
    let unknown = moe("kimi_k2.json", &[("model_type", "kimi_k9".into())]);
    assert_eq!(unknown.moe.name, "kimi_k9_moe");
    assert_eq!(line(&unknown.moe), line(&known.moe));
    assert!(
        unknown.notes[0].contains("`kimi_k9`, which is not known"),
        "{:?}",
        unknown.notes
    );
    let open = moe(
        "olmoe.json",
        &[("model_type", null.clone()), ("norm_topk_prob", null)],
    );
    let note = open.notes.join("\n");
    assert!(
        note.contains("--scoring softmax") && note.contains("--normalize false"),
        "{note}"
    );
    assert!(note.contains("`intermediate_size` is taken for"), "{note}");
    // No limit is none.
    let text = config("gpt_oss.json").replace("7.0", "Infinity");
    assert_eq!(
        read("c", &text, &nothing)
            .expect("it is read")
            .moe
            .swiglu_limit,
        0.0
    );
    // Layers that differ: an option says which one is meant.
    let lists = changed(
        "hunyuan_a13b.json",
        &[("moe_topk", serde_json::json!([4, 8]))],
    );
    let error = read("c", &lists, &nothing)
        .expect_err("two layers")
        .to_string();
    assert!(error.contains("`moe_topk` is `[4,8]`"), "{error}");
    assert_eq!(
        read("c", &lists, &said("--topk 8"))
            .expect("one is meant")
            .moe
            .topk,
        8
    );
}

#[test]
fn numbers_that_are_not_int8_are_said_aloud() {
    let notes = |text: &str| read("c", text, &Said::default()).expect("it is read").notes;
    for (name, parts) in [
        (
            "deepseek_v4_flash.json",
            &["`expert_dtype` is fp4", "fp8 e4m3"][..],
        ),
        ("gpt_oss.json", &["mxfp4"]),
        ("qwen3_moe.json", &["`torch_dtype` is bfloat16"]),
    ] {
        let notes = notes(&config(name));
        assert_eq!(notes.len(), parts.len(), "{notes:?}");
        for (note, part) in notes.iter().zip(parts) {
            assert!(
                note.contains(part) && note.contains("int8 instead"),
                "{note}"
            );
        }
    }
    let weights = |bits: u64, kind: &str| {
        let weights = serde_json::json!({"num_bits": bits, "type": kind});
        let groups = serde_json::json!({"group_0": {"weights": weights}});
        let config =
            serde_json::json!({"quant_method": "compressed-tensors", "config_groups": groups});
        notes(&changed(
            "qwen3_moe.json",
            &[("quantization_config", config)],
        ))
    };
    assert!(weights(8, "int").is_empty());
    assert!(weights(4, "int")[0].contains("int4") && weights(8, "float")[0].contains("float8"));
    // The command says so beside the file, not in it.
    let folder = tempfile::tempdir().expect("there is room");
    std::fs::write(folder.path().join("c.json"), config("gpt_oss.json")).expect("it is written");
    let ran = common::tilewright(folder.path(), &["new", "moe", "--config", "c.json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stderr
            .starts_with("note: c.json: `quantization_config` is mxfp4"),
        "{}",
        ran.stderr
    );
    graph(&ran.stdout);
}

#[test]
fn what_a_configuration_asks_for_in_vain_is_named() {
    let nothing = Said::default();
    for (name, field, value) in [
        ("deepseek_v2_lite.json", "hidden_act", "gelu".into()),
        ("deepseek_v2_lite.json", "scoring_func", "tanh".into()),
        ("deepseek_v2_lite.json", "topk_method", "random".into()),
        ("nemotron_3_nano.json", "moe_latent_size", 1024.into()),
        ("qwen3_moe.json", "zero_expert_num", 4.into()),
        (
            "mixtral.json",
            "mlp_only_layers",
            serde_json::json!((0..32).collect::<Vec<u32>>()),
        ),
    ] {
        let text = config(name).replace("Infinity", "1.0");
        let mut fields: serde_json::Map<_, _> = serde_json::from_str(&text).expect("an object");
        fields.insert(field.into(), value);
        let text = serde_json::to_string(&fields).expect("it serialises");
        let error = read(name, &text, &nothing).expect_err(field);
        let ConfigError::Unsupported { field: named, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(named, field);
    }
    let text = changed("olmoe.json", &[("hidden_size", "x".into())]);
    let error = read("c", &text, &nothing);
    assert!(matches!(error, Err(ConfigError::Value { field, .. }) if field == "hidden_size"));
    assert_eq!(
        read("c", &text, &said("--hidden 512"))
            .expect("it is said")
            .moe
            .hidden,
        512
    );
    let error = read("c", "{\"model_type\": \"mixtral\"}", &nothing);
    assert!(
        matches!(error, Err(ConfigError::Missing { field, .. }) if field.starts_with("hidden_size`, `"))
    );
    for text in ["[1]", "", "{\"a\": Nan}"] {
        assert!(
            matches!(read("c", text, &nothing), Err(ConfigError::Json { .. })),
            "{text}"
        );
    }
}

#[test]
fn sizes_that_are_no_layer_are_refused() {
    let with = |f: Change| {
        let mut moe = Moe::default();
        f(&mut moe);
        moe.text().expect_err("it is refused")
    };
    assert_eq!(with(|m| m.ranks = 1), MoeError::Ranks { ranks: 1 });
    assert_eq!(with(|m| m.shared_inter = 0), MoeError::NoShared);
    let refused = |e: &MoeError, what: &str| matches!(e, MoeError::Size { what: w, .. } if w.starts_with(what));
    let cases: [(Change, &str); 6] = [
        (|m| m.hidden = 100, "the hidden size"),
        (|m| m.inter = 0, "the experts' intermediate size"),
        (|m| m.experts = 63, "the number of experts"),
        (|m| m.topk = 65, "experts a token"),
        (|m| m.tokens = 0, "tokens of a rank"),
        (
            |m| {
                m.groups = Some(Groups {
                    groups: 7,
                    kept: 2,
                    score: GroupScore::Max,
                })
            },
            "the number of groups",
        ),
    ];
    for (change, what) in cases {
        let error = with(change);
        assert!(refused(&error, what), "{what}: {error}");
    }
    let together: [Change; 4] = [
        |m| m.expert_bias = true,
        |m| m.gated = false,
        |m| (m.activation, m.activation_alpha) = (Activation::Relu2, 2.0),
        |m| (m.hyper, m.shared_inter, m.shared_gate) = (None, 0, true),
    ];
    for change in together {
        assert!(matches!(with(change), MoeError::NotTogether { .. }));
    }
    let infinite = with(|m| m.route_scale = f64::INFINITY);
    assert!(matches!(infinite, MoeError::Number { .. }), "{infinite}");
}
