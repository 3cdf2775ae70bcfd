//! Rules from files: what they add to a search, and what is wrong with wrong ones.

mod support;

#[path = "support/graphs.rs"]
#[allow(dead_code)]
mod graphs;
use indexmap::IndexMap;
use miette::Diagnostic;
use proptest::prelude::*;
use support::classes::{Agreement, check};
use support::value::Arithmetic;
use tilewright_ir::machine::Machine;
use tilewright_ir::text;
use tilewright_passes::decompose::decompose;
use tilewright_passes::egraph::rules::user::{UserRuleError, UserRules};
use tilewright_passes::egraph::saturate::{Saturated, saturate};
use tilewright_passes::egraph::{SaturateError, SearchOptions};
use tilewright_passes::numerics::Numerics;
use tilewright_passes::problem::{Problem, build};
use tilewright_passes::prune::prune;
use tilewright_passes::search::optimize;
use tilewright_passes::search::pins::Pins;

const GATE: &str = include_str!("../../examples/dsv4_flash_gate.tw");
const NORM: &str = include_str!("../../examples/rms_norm.tw");
const WIDEN: &str = include_str!("../../examples/rules/widen.rules");
const ALGEBRA: &str = include_str!("../../examples/rules/algebra.rules");
const PAGE: &str = include_str!("../../docs/writing-rules.md");

/// A layer in which the algebraic rules have something to do.
const SIGNS: &str = "graph signs {
  param T = 4
  param D = 64
  input x: f32[T, D]
  input y: f32[T, D]
  kernel k {
    a = neg(x)
    b = abs(a)
    c = neg(y)
    d = add(b, c)
    e = div(d, 2.0)
  }
  output e
}";

fn graph(source: &str, settings: &[(&str, i64)]) -> tilewright_ir::graph::Graph {
    let file = text::parse(source).unwrap();
    let settings: IndexMap<String, i64> =
        settings.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    prune(&decompose(&text::elaborate(&file, &settings).unwrap()).unwrap())
}

fn problem(source: &str, settings: &[(&str, i64)]) -> Problem {
    problem_of(&graph(source, settings))
}

fn problem_of(graph: &tilewright_ir::graph::Graph) -> Problem {
    build(graph, &Machine::builtin("A3").unwrap()).unwrap()
}

fn options(rules: &str) -> SearchOptions {
    SearchOptions {
        rules: UserRules::parse(rules).unwrap(),
        ..SearchOptions::default()
    }
}

fn search(problem: &Problem, options: &SearchOptions) -> Result<Saturated, SaturateError> {
    saturate(problem, &Machine::builtin("A3").unwrap(), options)
}

fn refused(rules: &str) -> UserRuleError {
    match UserRules::parse(rules) {
        Ok(_) => panic!("{rules} is accepted"),
        Err(e) => e,
    }
}

/// Code, message and the text under the label.
fn told(rules: &str) -> (String, String, String) {
    let e = refused(rules);
    let code = e.code().map(|c| c.to_string()).unwrap_or_default();
    assert!(e.help().is_some(), "{e}");
    let label = e.labels().and_then(|mut l| l.next());
    let under = label.map(|l| rules[l.offset()..l.offset() + l.len()].to_string());
    (code, e.to_string(), under.unwrap_or_default())
}

#[test]
fn a_rule_of_a_file_changes_the_result_and_the_derivation() {
    let problem = problem(NORM, &[("T", 8), ("D", 4096)]);
    let machine = support::with_free_blocks();
    let ours = ["widen-tile", "narrow-tile", "fan-out-columns"].map(String::from);
    let without = SearchOptions {
        disabled: ours.clone().into(),
        ..SearchOptions::default()
    };
    let with = SearchOptions {
        disabled: ours.into(),
        ..options(
            "rule quarter-blocks bitwise \"each block stores its own part\" {
               (launch.spmd ?t ?w (rows ?b ?r (cols ?d ?n ?c (tile ?r ?c ?v))))
                 => (launch.spmd ?t ?w (rows ?b ?r (cols 1 ?z ?z (tile ?r ?z ?v))))
               where ?z = ?n / 4, aligned(?z, ?n, ?v)
             }",
        )
    };
    let [a, b] = [&without, &with].map(|o| search(&problem, o).unwrap().report);
    assert!(!a.rules.contains_key("quarter-blocks"));
    assert!(b.rules["quarter-blocks"].applied > 0, "{:?}", b.rules);
    assert!(b.nodes > a.nodes, "{} and {} nodes", a.nodes, b.nodes);

    let [a, b] = [&without, &with].map(|o| {
        let best = optimize(&problem, &machine, o, &Pins::default()).unwrap();
        let rules: Vec<String> = best
            .plan
            .kernels
            .iter()
            .flat_map(|k| k.derivation.clone())
            .collect();
        (best.plan.to_string(), rules)
    });
    assert_ne!(a.0, b.0, "the plan is the same");
    assert!(b.1.iter().any(|r| r == "quarter-blocks"), "{:?}", b.1);
}

#[test]
fn rules_of_files_obey_the_options() {
    let problem = problem(NORM, &[("T", 8), ("D", 1024)]);
    let rules = "rule sums reassociate {
        (fold.sum 1 ?n ?c (row_sum (tile ?r ?c ?v))) => (fold.sum 1 ?n ?z (row_sum (tile ?r ?z ?v)))
        where ?z = ?n / 4 }";
    let applied = |o: &SearchOptions| {
        search(&problem, o)
            .unwrap()
            .report
            .rules
            .get("sums")
            .copied()
    };
    assert!(applied(&options(rules)).is_some());
    let bitwise = SearchOptions {
        numerics: Numerics::Bitwise,
        ..options(rules)
    };
    assert_eq!(applied(&bitwise), None);
    let disabled = SearchOptions {
        disabled: ["sums".to_string()].into(),
        ..options(rules)
    };
    assert_eq!(applied(&disabled), None);
    let as_written = SearchOptions {
        as_written: true,
        ..options(rules)
    };
    assert_eq!(applied(&as_written), None);
    let unknown = SearchOptions {
        disabled: ["sum".to_string()].into(),
        ..options(rules)
    };
    let Err(SaturateError::UnknownRule { nearest, .. }) = search(&problem, &unknown) else {
        panic!("`sum` is a rule");
    };
    assert_eq!(nearest, "sums");
}

/// Every class of layers that are saturated with the example rules denotes one value, to the bit.
#[test]
fn example_rules_are_sound() {
    let norm = graph(NORM, &[("T", 4), ("D", 512)]);
    let signs = graph(SIGNS, &[]);
    for (layer, rules, used) in [
        (&norm, WIDEN, vec![]),
        (
            &signs,
            ALGEBRA,
            vec!["abs-of-negated", "negated-difference", "halves"],
        ),
        (&signs, WIDEN, vec![]),
    ] {
        let with = SearchOptions {
            numerics: Numerics::Bitwise,
            ..options(rules)
        };
        let s = search(&problem_of(layer), &with).unwrap();
        for rule in used {
            assert!(
                s.report.rules[rule].applied > 0,
                "{rule}: {:?}",
                s.report.rules
            );
        }
        let inputs = graphs::rough_inputs(layer, 3);
        check(&s.egraph, &inputs, Arithmetic::Native, Agreement::Exact)
            .unwrap_or_else(|faults| panic!("{}", faults.join("\n")));
    }
}

#[test]
fn the_widen_example_widens() {
    let with = SearchOptions {
        disabled: ["widen-tile".to_string()].into(),
        ..options(WIDEN)
    };
    let small = [("T", 8), ("D", 1024)];
    let s = search(&problem(GATE, &small), &with).unwrap();
    assert!(
        s.report.rules["widen-store"].applied > 0,
        "{:?}",
        s.report.rules
    );
}

/// An operand that equals what wraps it: the search still ends, with a plan.
#[test]
fn an_involution_leaves_a_plan() {
    let source = "graph g {
      param T = 4
      param D = 64
      input x: f32[T, D]
      kernel k {
        a = neg(x)
        b = neg(a)
        c = add(b, a)
      }
      output c
    }";
    let with = options(
        "rule double-negation bitwise \"removes a double negation\" { (neg (neg ?x)) => ?x }",
    );
    let machine = Machine::builtin("A3").unwrap();
    let best = optimize(&problem(source, &[]), &machine, &with, &Pins::default());
    let best = best.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(best.plan.kernels.len(), 1);
}

#[test]
fn a_rule_that_merges_what_differs_is_named() {
    let problem = problem(NORM, &[("T", 8), ("D", 1024)]);
    for (rules, what) in [
        (
            "rule half-a-store bitwise { (cols ?d ?n ?c (tile ?r ?c ?v)) => (cols ?d ?z ?c (tile ?r ?c ?v)) where ?z = ?n * 2 }",
            "is a block of",
        ),
        (
            "rule narrower relaxed { (mul ?a ?b) => (cast.bf16.rint (mul ?a ?b)) }",
            "",
        ),
        (
            "rule narrow relaxed { (cast.f32.rint ?x) => (cast.bf16.rint ?x) }",
            "bf16",
        ),
    ] {
        let Ok(rules) = UserRules::parse(rules) else {
            assert_eq!(what, "", "{rules}");
            continue;
        };
        let with = SearchOptions {
            numerics: Numerics::Relaxed,
            rules,
            ..SearchOptions::default()
        };
        let name = with.rules.iter().next().unwrap().name.clone();
        let e = search(&problem, &with)
            .err()
            .unwrap_or_else(|| panic!("{name} passes"));
        let text = e.to_string();
        assert!(matches!(e, SaturateError::Unsound(_)), "{text}");
        assert!(
            text.contains(&format!("rule `{name}`")) && text.contains(what),
            "{text}"
        );
    }
}

/// Right sides that do not fit together are skipped: without `divides`, no piece is cut that does not divide.
#[test]
fn what_does_not_fit_is_skipped() {
    let layer = graph(NORM, &[("T", 6), ("D", 96)]);
    let with = SearchOptions {
        numerics: Numerics::Bitwise,
        ..options(
            "rule any bitwise { (cols ?d ?n ?c (tile ?r ?c ?v)) => (cols ?d ?n ?z (tile ?r ?z ?v)) where ?z = ?c + 5 }
             rule deep bitwise { (cols 1 ?n ?c ?t) => (cols ?e ?n ?c ?t) where ?e = ?n }",
        )
    };
    let s = search(&problem_of(&layer), &with).unwrap();
    assert_eq!(s.report.rules["deep"].applied, 0);
    let inputs = graphs::rough_inputs(&layer, 3);
    check(&s.egraph, &inputs, Arithmetic::Native, Agreement::Exact)
        .unwrap_or_else(|faults| panic!("{}", faults.join("\n")));
}

#[test]
fn every_kind_of_bad_file_is_told() {
    let cases = [
        ("", "empty", "there is no rule in the file", ""),
        ("// nothing", "empty", "there is no rule in the file", ""),
        ("rul x", "syntax", "expected `rule`, found `rul`", "rul"),
        (
            "rule X bitwise { (abs ?x) => (neg ?x) }",
            "syntax",
            "expected a name of small letters, digits and `-`, found `X`",
            "X",
        ),
        (
            "rule x bitwise { (abs ?x) (neg ?x) }",
            "syntax",
            "expected `=>`, found `(`",
            "(",
        ),
        (
            "rule x bitwise { (abs ?x) => (neg ?x)",
            "syntax",
            "expected a pattern: `(operator operands)`, `?variable` or a number, found the end of the file",
            "",
        ),
        (
            "rule x bitwise \"why { (abs ?x) => (neg ?x) }",
            "syntax",
            "expected a closing `\"` on the same line, found the end of the file",
            "",
        ),
        (
            "rule x exact { (abs ?x) => (neg ?x) }",
            "numerics",
            "`exact` is not a class of numerics",
            "exact",
        ),
        (
            "rule widen-tile bitwise { (abs ?x) => (neg ?x) }",
            "name_taken",
            "the name `widen-tile` is taken",
            "widen-tile",
        ),
        (
            "rule x bitwise { (abs ?x) => (neg ?x) } rule x bitwise { (abs ?x) => (neg ?x) }",
            "name_taken",
            "the name `x` is taken",
            "x",
        ),
        (
            "rule x bitwise { (abs ?x) => (ngg ?x) }",
            "operator",
            "there is no operator `ngg` with operands",
            "ngg",
        ),
        (
            "rule x bitwise { (tile ?r ?x) => (load ?r ?x) }",
            "arity",
            "`tile` takes 3 operands, not 2",
            "(tile ?r ?x)",
        ),
        (
            "rule x bitwise { (abs ?x) => (add ?x ?y) }",
            "unbound",
            "`?y` is not bound",
            "?y",
        ),
        (
            "rule x bitwise { (tile ?r ?c ?x) => (tile ?r ?z ?x) where ?z = ?q }",
            "unbound",
            "`?q` is not bound",
            "?q",
        ),
        (
            "rule x bitwise { (tile ?r ?c ?x) => (tile ?r ?c ?x) where ?c = 5 }",
            "bound",
            "`?c` is bound already",
            "?c",
        ),
        (
            "rule x bitwise { ?x => (neg (neg ?x)) }",
            "matches_all",
            "the left side is a variable, which matches everything",
            "?x",
        ),
        (
            "rule x bitwise { (abs ?x) => (abs  ?x) }",
            "no_change",
            "the right side is the left side",
            "(abs  ?x)",
        ),
        (
            "rule x bitwise { (abs ?x) => (neg (abs ?x)) }",
            "grows",
            "the right side contains the whole left side",
            "(abs ?x)",
        ),
        (
            "rule x bitwise { (tile ?r ?c (abs ?x)) => ?x }",
            "kinds",
            "the left side is a tile, and the right side is a whole value",
            "?x",
        ),
        (
            "rule x bitwise { (cols ?d ?n ?c ?t) => ?t }",
            "kinds",
            "the left side is what a block stores, and the right side is a tile",
            "?t",
        ),
        (
            "rule x bitwise { (tile ?r ?c ?x) => (tile ?r ?x ?x) }",
            "operand",
            "`?x` is a whole value, and a size belongs here",
            "?x",
        ),
        (
            "rule x bitwise { (s.mul ?x 1) => ?x }",
            "operand",
            "`1` is a number, and a constant belongs here",
            "1",
        ),
        (
            "rule x bitwise { (tile r ?c ?x) => (load ?c ?c ?x) }",
            "operand",
            "`r` is a name, and a size belongs here",
            "r",
        ),
        (
            "rule x bitwise { (cols ?d ?n ?c (input x)) => (cols ?d ?n ?c (input x)) }",
            "operand",
            "`(input x)` is a whole value, and a tile belongs here",
            "(input x)",
        ),
        (
            "rule x bitwise { (tile ?r ?c ?x) => (tile ?r ?c (input w)) }",
            "name",
            "`w` is a name that the left side does not have",
            "w",
        ),
        (
            "rule x bitwise { (cols 1 ?n ?c ?t) => (cols 5 ?n ?c ?t) }",
            "number",
            "5 is not between 1 and 4",
            "5",
        ),
        (
            "rule x bitwise { (tile ?r ?c ?x) => (tile ?r ?z ?x) where ?z = 99999999999999999999 }",
            "number",
            "99999999999999999999 is not between 1 and 1048576",
            "99999999999999999999",
        ),
        (
            "rule x bitwise { (abs ?x) => (neg ?x) where dtype(?x) == f33 }",
            "syntax",
            "expected an element type (f32, bf16, f16, i8, i32, u32, i64), found `f33`",
            "f33",
        ),
        (
            "rule x bitwise { (abs ?x) => (neg ?x) where big(?x) }",
            "syntax",
            "expected a number, a variable, or `rows`, `cols` or `bytes` of one, found `big`",
            "big",
        ),
    ];
    let mut wrong = vec![];
    for (rules, code, message, under) in cases {
        let expected = (
            format!("tilewright::rules::{code}"),
            message.to_string(),
            under.to_string(),
        );
        let found = told(rules);
        if found != expected {
            wrong.push(format!(
                "{rules}\n  expected {expected:?}\n  found    {found:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let deep = format!(
        "rule x bitwise {{ {}?x{} => ?x }}",
        "(abs ".repeat(100_000),
        ")".repeat(100_000)
    );
    assert!(matches!(refused(&deep), UserRuleError::TooDeep { .. }));
    let long = "/".repeat((1 << 20) + 1);
    assert!(matches!(refused(&long), UserRuleError::TooLarge { .. }));
}

/// Two files share one set of names, and a file that is refused adds nothing.
#[test]
fn files_share_names() {
    let mut rules = UserRules::parse(ALGEBRA).unwrap();
    let before = rules.iter().count();
    rules.add(ALGEBRA).unwrap_err();
    assert_eq!(rules.iter().count(), before);
    rules.add(WIDEN).unwrap();
    assert_eq!(rules.iter().count(), before + 1);
}

#[test]
fn the_page_about_writing_rules_is_right() {
    let blocks: Vec<&str> = PAGE
        .split("```rules\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(blocks.len() >= 3);
    let norm = problem(NORM, &[("T", 8), ("D", 1024)]);
    for block in blocks {
        let rules = UserRules::parse(block).unwrap_or_else(|e| panic!("{e}\n{block}"));
        let with = SearchOptions {
            rules,
            ..SearchOptions::default()
        };
        search(&norm, &with).unwrap_or_else(|e| panic!("{e}\n{block}"));
    }
}

/// Words of the grammar, in any order.
const WORDS: [&str; 32] = [
    "rule ", "x ", "bitwise ", "\"why\"", "{", "}", "(", ")", "=>", " where ", "?a ", "?b ", "?",
    ",", "=", "==", "<=", "+", "/", "1 ", "2.0 ", "abs ", "tile ", "cols ", "mm ", "divides",
    "rows", "dtype", "fits", "// ", "\n", "é",
];

proptest! {
    #[test]
    fn any_text_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = UserRules::parse(&text);
    }

    #[test]
    fn any_words_are_read_or_refused(words in proptest::collection::vec(0..WORDS.len(), 0..80), whole in any::<bool>()) {
        let words: String = words.into_iter().map(|w| WORDS[w]).collect();
        let text = match whole {
            true => words,
            false => format!("rule x bitwise {{ (tile ?a ?b ?x) => {words} }}"),
        };
        if let Err(e) = UserRules::parse(&text)
            && let Some(labels) = e.labels()
        {
            for label in labels {
                prop_assert!(text.get(label.offset()..label.offset() + label.len()).is_some());
            }
        }
    }

    /// Whatever a changed file still says: the search ends, with a plan or with a diagnostic.
    #[test]
    fn changed_files_do_not_break_the_search(at in 0..4000usize, word in 0..WORDS.len(), cut in 0..6usize) {
        let at = at % WIDEN.len();
        let end = (at + cut).min(WIDEN.len());
        prop_assume!(WIDEN.is_char_boundary(at) && WIDEN.is_char_boundary(end));
        let text = format!("{}{}{}", &WIDEN[..at], WORDS[word], &WIDEN[end..]);
        if let Ok(rules) = UserRules::parse(&text) {
            let with = SearchOptions { rules, node_limit: 2_000, ..SearchOptions::default() };
            let _ = search(&problem(NORM, &[("T", 4), ("D", 128)]), &with);
        }
    }
}

/// What is known of signs is a condition: a scale that may be negative does not leave an extremum.
#[test]
fn signs_are_conditions() {
    let source = |scale: &str| {
        format!(
            "graph g {{
               param T = 4
               param D = 64
               input x: f32[T, D]
               input y: f32[T, D]
               kernel k {{
                 s = {scale}
                 a = row_mul(x, s)
                 b = row_max(a)
               }}
               output b
             }}"
        )
    };
    let rules = "rule scale-after relaxed {
      (row_max (row.mul ?a ?s)) => (mul (row_max ?a) ?s) where positive(?s), dtype(?a) == f32
    }
    rule bare-magnitude bitwise {
      (row.mul ?a (abs (row_sum ?x))) => (row.mul ?a (row_sum ?x)) where nonnegative(?x)
    }";
    let with = SearchOptions {
        numerics: Numerics::Relaxed,
        // Ours do the same.
        disabled: ["extremum-of-scaled", "no-op-sign"]
            .map(String::from)
            .into(),
        ..options(rules)
    };
    let applied = |scale: &str, rule: &str| {
        let s = search(&problem(&source(scale), &[]), &with).unwrap();
        s.report.rules[rule].applied
    };
    assert_eq!(applied("row_sum(y)", "scale-after"), 0);
    assert_eq!(applied("row_sum(abs(y))", "scale-after"), 0);
    assert!(applied("add(row_sum(abs(y)), 1.0)", "scale-after") > 0);
    assert_eq!(applied("abs(row_sum(y))", "bare-magnitude"), 0);
    assert!(applied("abs(row_sum(exp(y)))", "bare-magnitude") > 0);
}
