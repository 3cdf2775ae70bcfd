//! Explanations: the chain of each kernel, what rules gain, and what alternatives cost.
//!
//! `INSTA_UPDATE=always cargo test --test explain` writes the snapshots again.

use crate::common::{GATE, SMALL, folder, graph, options, tilewright};
use tilewright::explain::{Explanation, Question, explain};

fn small(question: &Question) -> Explanation {
    explain(&graph(GATE, &SMALL), &options(), question).expect("the example can be explained")
}

fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn chains_and_alternatives_are_told() {
    let folder = folder();
    let ran = tilewright(
        folder.path(),
        &[
            "explain",
            "gate.tw",
            "--set",
            "D=256",
            "--set",
            "VOCAB=512",
            "--why-not",
            "gate.launch=parallel",
            "--why-not",
            "x_norm_quant.QUANT_TILE=3",
        ],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    let longest = ran.stdout.lines().map(|l| l.chars().count()).max();
    assert!(longest <= Some(100), "{longest:?}");
    snapshot("explain", &ran.stdout);
    let ran = tilewright(folder.path(), &["explain", "--help"]);
    snapshot("help-explain", &ran.stdout);
    let ran = tilewright(folder.path(), &["explain", "gate.tw", "norm"]);
    assert_eq!(ran.code, Some(3));
    snapshot("unknown-kernel", &ran.stderr);
}

#[test]
fn every_kernel_that_got_faster_has_a_chain_that_changes_something() {
    let e = small(&Question::default());
    assert!(e.optimized_us < e.written_us);
    assert!(!e.kernels.is_empty());
    for k in &e.kernels {
        assert!(!k.chain.is_empty(), "{} has no chain", k.name);
        let changes = k.chain.iter().flat_map(|s| &s.changes);
        assert!(changes.count() > 0, "the chain of {} is empty", k.name);
        for step in &k.chain {
            assert!(!step.does.is_empty(), "{}", step.rule);
            let gain = step.gain.as_ref().and_then(|g| g.work_us);
            let gain = gain.expect("no rule of these is necessary");
            assert!(gain > -0.005, "{} loses {gain} us", step.rule);
        }
    }
}

#[test]
fn changes_start_as_written_and_end_as_chosen() {
    let question = Question {
        kernel: Some("x_norm_quant".into()),
        ..Default::default()
    };
    // Alone, the kernel is what it was written as, but for its own schedule.
    let mut options = options();
    options.search.disabled.insert("fuse".into());
    let e = explain(&graph(GATE, &SMALL), &options, &question).expect("it is explained");
    let changes: Vec<String> = e.kernels[0]
        .chain
        .iter()
        .flat_map(|s| &s.changes)
        .map(|c| format!("{} {} => {}", c.param, c.before, c.after))
        .collect();
    assert_eq!(
        changes,
        [
            "launch parallel => spmd",
            "QUANT_TILE 32 => 256",
            "reads x_norm_f32 => x_norm"
        ]
    );
}

#[test]
fn an_alternative_that_overflows_names_need_and_limit() {
    let question = Question {
        kernel: Some("x_norm_quant".into()),
        why_not: vec!["x_norm_quant.QUANT_TILE=4096".parse().unwrap()],
        no_gains: true,
    };
    let graph = graph(GATE, &[("VOCAB", 512)]);
    let mut options = options();
    options.pins = vec!["x_norm_quant.T_TILE=8".parse().unwrap()];
    let e = explain(&graph, &options, &question).expect("an overflow is an answer");
    let limit = e.why_not[0].refused.as_ref().expect("it overflows");
    assert_eq!(e.why_not[0].us, None);
    assert_eq!(limit.code, "tilewright::schedule::overflow");
    assert!(
        limit.message.contains("bytes of ub, which has"),
        "{limit:?}"
    );
    assert!(limit.help.as_ref().is_some_and(|h| h.contains("nearest")));
}

#[test]
fn a_pin_on_nothing_is_refused() {
    let question = Question {
        kernel: None,
        why_not: vec!["gate.NO_TILE=4".parse().unwrap()],
        no_gains: true,
    };
    let refusal = explain(&graph(GATE, &SMALL), &options(), &question);
    assert!(refusal.is_err());
}

/// Of one kernel, hints are about it alone; without gains there are all steps, and no search for each of them.
#[test]
fn a_question_for_one_kernel_is_answered_for_it() {
    let question = |kernel: Option<&str>| Question {
        kernel: kernel.map(String::from),
        no_gains: true,
        ..Default::default()
    };
    let all = small(&question(None));
    assert!(all.kernels.iter().any(|k| !k.chain.is_empty()));
    let steps = || all.kernels.iter().flat_map(|k| &k.chain);
    assert!(steps().all(|s| s.gain.is_none()));
    let one = small(&question(Some("gate")));
    let is_own = |h: &tilewright::hints::Shown| h.message.contains("gate");
    assert!(one.hints.iter().all(is_own), "{:?}", one.hints);
    assert!(all.hints.iter().any(|h| !is_own(h)), "{:?}", all.hints);
    assert!(one.hints.iter().all(|h| all.hints.contains(h)));
}
