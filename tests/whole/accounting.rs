//! Where time goes is told in full, and limits of the search leave a legal plan.

use crate::common;
use serde_json::Value;

const SIZES: [&str; 4] = ["--set", "D=256", "--set", "VOCAB=512"];

fn report(command: &str, more: &[&str]) -> Value {
    let folder = common::folder();
    let args = [&[command, "gate.tw", "--json"][..], &SIZES[..], more].concat();
    let ran = common::tilewright(folder.path(), &args);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    serde_json::from_str(&ran.stdout).expect("one JSON object")
}

fn number(value: &Value, field: &str) -> f64 {
    value[field]
        .as_f64()
        .unwrap_or_else(|| panic!("{field} of {value}"))
}

fn parts(span: &Value) -> Vec<&Value> {
    span["parts"]
        .as_array()
        .map_or(vec![], |a| a.iter().collect())
}

fn part<'a>(span: &'a Value, step: &str) -> &'a Value {
    let found = parts(span).into_iter().find(|p| p["step"] == step);
    found.unwrap_or_else(|| panic!("no step {step} in {span}"))
}

/// Parts lie within their whole.
fn nested(span: &Value) {
    let whole = number(span, "seconds");
    let seconds = parts(span).into_iter().map(|p| number(p, "seconds"));
    let inner = match span["side_by_side"] == true {
        true => seconds.fold(0.0, f64::max),
        false => seconds.sum(),
    };
    assert!(inner <= whole * 1.0001, "{inner} of {whole}: {span}");
    parts(span).into_iter().for_each(nested);
}

/// The share of a span that is none of its parts'.
fn unattributed(span: &Value) -> f64 {
    let inner: f64 = parts(span).into_iter().map(|p| number(p, "seconds")).sum();
    1.0 - inner / number(span, "seconds")
}

#[test]
fn steps_add_up_to_the_command() {
    let once = || {
        let told = report("run", &[]);
        let command = &told["times"];
        nested(command);
        for step in [
            "read",
            "inputs",
            "written",
            "optimized",
            "interpret",
            "sim",
            "compare",
            "emit",
            "write",
        ] {
            part(command, step);
        }
        let passes = part(command, "optimized");
        for pass in [
            "decompose",
            "optimize",
            "schedule",
            "allocate",
            "synchronise",
            "candidates",
        ] {
            part(passes, pass);
        }
        let search = part(part(passes, "optimize"), "search");
        for step in ["match", "apply", "rebuild"] {
            part(part(search, "fill"), step);
        }
        for step in ["lower", "allocate", "estimate"] {
            let calls = number(part(part(search, "extract"), step), "calls");
            assert!(calls > 1.0, "{step}: {calls}");
        }
        part(search, "prove");
        unattributed(command).max(unattributed(passes))
    };
    // Another process may run just there, but not each time.
    let shares: Vec<f64> = std::iter::repeat_with(once).take(4).collect();
    let least = shares.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(least < 0.05, "nobody's shares of the time: {shares:?}");
}

#[test]
fn rules_tell_matches_and_time() {
    let told = report("optimize", &[]);
    let rules = told["search"]["rules"].as_object().expect("rules by name");
    let mut all = 0.0;
    for (name, rule) in rules {
        // One match can add several terms.
        let [matches, applied] = ["matches", "applied"].map(|f| number(rule, f));
        assert!(applied == 0.0 || matches > 0.0, "{name}: {rule}");
        all += number(rule, "seconds");
    }
    assert!(number(&rules["widen-tile"], "applied") > 0.0);
    assert!(number(&rules["widen-tile"], "seconds") > 0.0);
    assert!(all <= number(&told["search"], "seconds"), "{all}");
}

#[test]
fn times_are_printed_when_asked_for() {
    let folder = common::folder();
    let args = [&["optimize", "gate.tw"][..], &SIZES[..]].concat();
    let without = common::tilewright(folder.path(), &args).stdout;
    let with = common::tilewright(folder.path(), &[&args[..], &["--times"]].concat()).stdout;
    assert!(!without.contains("share of saturation"), "{without}");
    for word in [
        "command",
        "extract",
        "match",
        "share of saturation",
        "widen-tile",
    ] {
        assert!(with.contains(word), "{word}: {with}");
    }
}

#[test]
fn every_limit_leaves_a_legal_plan_and_says_that_it_stopped() {
    let free = report("run", &[]);
    assert_eq!(free["search"]["stop"], "saturated");
    let written = number(&free["written"], "us");
    let limits = [
        ("--node-limit", "300", "node_limit"),
        ("--iter-limit", "2", "iter_limit"),
        ("--time-limit", "0", "time_limit"),
    ];
    for (option, value, stop) in limits {
        let told = report("run", &[option, value]);
        assert_eq!(told["search"]["stop"], stop, "{option}");
        // The simulator ran it without a refusal, and every output is right.
        assert_eq!(told["ok"], true, "{option}");
        assert!(number(&told["optimized"], "us") <= written, "{option}");
        assert!(
            number(&told["search"], "nodes") < number(&free["search"], "nodes"),
            "{option}"
        );
    }
}
