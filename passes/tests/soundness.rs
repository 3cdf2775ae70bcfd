//! Every line of every rule keeps the numerics class that it claims, on random shapes and values.

mod support;

#[path = "support/instances/mod.rs"]
mod instances;

use egg::{ENodeOrVar, Id, Language, PatternAst, Rewrite, Runner, SimpleScheduler};
use instances::{Instance, instance};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use std::cell::Cell;
use support::choices::{Choices, choices};
use support::classes::{Agreement, Inputs, Values, agree, node_value, show, values};
use support::evaluate::Denotation;
use support::value::{Arithmetic, Value, unit_roundoff};
use tilewright_backends::data::convert::integer_range;
use tilewright_ir::dtype::{DType, Round};
use tilewright_ir::graph::{Binary, Operator, Reduce, Unary};
use tilewright_passes::egraph::rules::{self, Line, Role, Rule};
use tilewright_passes::numerics::Numerics;
use tilewright_passes::term::analysis::{Graph, TermAnalysis};
use tilewright_passes::term::language::{Head, Term};

/// Instances of each line that its rule must have matched.
const FIRED: usize = 24;
/// Lists of choices that are tried for that.
const TRIED: u32 = 20_000;

/// Every operator that rules have lines for.
fn heads() -> Vec<Head> {
    let casts = DType::ALL
        .into_iter()
        .flat_map(|to| Round::ALL.map(|round| Head::Op(Operator::Cast(to, round))));
    casts.chain(arithmetic()).collect()
}

fn arithmetic() -> impl Iterator<Item = Head> {
    let unary = Unary::ALL.into_iter().map(|f| Head::Op(Operator::Unary(f)));
    let binary = Binary::ALL.into_iter().flat_map(|b| {
        [
            Head::Op(Operator::Scalar(b)),
            Head::Op(Operator::ScalarLeft(b)),
            Head::Op(Operator::Binary(b)),
            Head::Op(Operator::RowBinary(b)),
            Head::Op(Operator::ColBinary(b)),
            Head::Op(Operator::GroupColBinary(b)),
        ]
    });
    unary.chain(binary)
}

/// All rules. What reads the result of a removed operation is one operator of each form: a congruence needs no more.
fn all_rules() -> Vec<Rule> {
    let contexts = [
        Head::Op(Operator::Cast(DType::I32, Round::Rint)),
        Head::Op(Operator::Unary(Unary::Sqrt)),
        Head::Op(Operator::Scalar(Binary::Add)),
        Head::Op(Operator::ScalarLeft(Binary::Div)),
        Head::Op(Operator::Binary(Binary::Mul)),
        Head::Op(Operator::RowBinary(Binary::Mul)),
        Head::Op(Operator::ColBinary(Binary::Sub)),
        Head::Op(Operator::Reduce(Reduce::Sum)),
        Head::Op(Operator::MatmulNt),
        Head::Op(Operator::MaskRows),
    ];
    // Structure and schedule rules for every cast; pairs of casts, of one mode each.
    let few = DType::ALL.map(|to| Head::Op(Operator::Cast(to, Round::Rint)));
    let few: Vec<Head> = few.into_iter().chain(arithmetic()).collect();
    let mut rules = rules::all_within(&few, &contexts);
    for rule in rules::all(&heads()) {
        if rule.role == Role::Structure {
            rules.retain(|r| r.name != rule.name);
            rules.push(rule);
        }
    }
    rules
}

/// Whether a rewrite matched the instance; an error when what it added is not what was there.
fn holds(
    rule: &Rule,
    left: &PatternAst<Term>,
    rewrite: &Rewrite<Term, TermAnalysis>,
    c: &mut Choices,
) -> Result<bool, String> {
    // A relaxed rule keeps real numbers, so infinities and NaN are outside its domain.
    let edges = rule.numerics != Numerics::Relaxed;
    let Some(made) = instance(left, edges, c) else {
        return Ok(false);
    };
    let (before, faults) = values(
        &made.egraph,
        &made.inputs,
        Arithmetic::Native,
        &Values::new(),
    );
    if !faults.is_empty() {
        return Err(format!("a left side is wrong: {}", faults.join("\n")));
    }
    let runner: Runner<Term, TermAnalysis> = Runner::new(TermAnalysis::default())
        .with_egraph(made.egraph.clone())
        .with_scheduler(SimpleScheduler)
        .with_iter_limit(1)
        .run([rewrite]);
    if let Some(why) = &runner.egraph.analysis.conflict {
        return Err(format!("{why}\n{}", term(&made.egraph, made.root)));
    }
    if runner.iterations.iter().all(|i| i.applied.is_empty()) {
        return Ok(false);
    }
    let compared = match rule.numerics {
        Numerics::Relaxed => match keeps_reals(left, &made, &before, &runner.egraph) {
            Ok(false) => return Ok(false),
            other => other.map(|_| ()),
        },
        _ => compare(rule, &made, &before, &runner.egraph),
    };
    compared.map_err(|why| format!("{why}\n{}", term(&made.egraph, made.root)))?;
    Ok(true)
}

/// Compares all nodes with the values of before.
fn compare(rule: &Rule, made: &Instance, before: &Values, after: &Graph) -> Result<(), String> {
    let (now, faults) = values(after, &made.inputs, Arithmetic::Native, before);
    if let Some(why) = faults.first() {
        return Err(why.clone());
    }
    let root = after.find(made.root);
    for class in after.classes() {
        for node in &class.nodes {
            let value = node_value(after, node, &made.inputs, Arithmetic::Native, &now);
            let value = value.ok_or("an operand has no value")?;
            let value = value.map_err(|why| format!("{}: {why}", show(after, node)))?;
            let same = match (&now[&class.id], &value) {
                (Denotation::Value(a), Denotation::Value(b))
                    if class.id == root && rule.numerics == Numerics::Reassociate =>
                {
                    within_sums(made, a, b)
                }
                (a, b) => agree(a, b, Agreement::Exact),
            };
            same.map_err(|why| format!("{}: {why}", show(after, node)))?;
        }
    }
    Ok(())
}

/// Draws of perturbed arithmetic.
const DRAWS: u64 = 8;

/// Whether a relaxed rewrite added a form that is the same real number, and no worse conditioned than the form that was
/// there: computed with all roundings, its error is within 16 times what 8 draws of perturbed arithmetic give the old form,
/// and 16 roundings of the result. False where a value is outside the domain: not finite, too large, or nearly subnormal.
fn keeps_reals(
    left: &PatternAst<Term>,
    made: &Instance,
    native: &Values,
    after: &Graph,
) -> Result<bool, String> {
    let root = after.find(made.root);
    let old = made.egraph.find(made.root);
    let of = |arithmetic| -> Result<Value, String> {
        let (values, _) = values(&made.egraph, &made.inputs, arithmetic, &Values::new());
        match values.get(&old) {
            Some(Denotation::Value(v)) => Ok(v.clone()),
            _ => Err("the left side has no value".into()),
        }
    };
    // Constants that the rule itself names are inside.
    let named = |x: f64| {
        let constant = |n: &ENodeOrVar<Term>| matches!(n, ENodeOrVar::ENode(Term::Const(k)) if f64::from(k.value()) == x);
        left.as_ref().iter().any(constant)
    };
    let inside = |v: &Value| {
        let domain = match v.dtype {
            DType::F16 => 2f64.powi(-14)..65504.0,
            _ => 1e-30..1e30,
        };
        let element = |x: f64| x == 0.0 || domain.contains(&x.abs()) || named(x);
        v.data.iter().all(|x| x.is_some_and(element))
    };
    let real = of(Arithmetic::Real)?;
    // Every value on the way, so that nothing overflows or vanishes in between.
    let (on_the_way, _) = values(after, &made.inputs, Arithmetic::Native, native);
    let all_inside = on_the_way.values().all(|v| match v {
        Denotation::Value(v) => inside(v),
        _ => true,
    });
    if !all_inside {
        return Ok(false);
    }
    let draws: Vec<Value> = (0..DRAWS)
        .map(|d| of(Arithmetic::Perturbed(d)))
        .collect::<Result<_, _>>()?;
    let unit = unit_roundoff(real.dtype);
    let (reals, faults) = values(after, &made.inputs, Arithmetic::Real, &Values::new());
    if let Some(why) = faults.first() {
        return Err(why.clone());
    }
    for node in &after[root].nodes {
        let value = |arithmetic, values: &Values| -> Result<Value, String> {
            let value = node_value(after, node, &made.inputs, arithmetic, values);
            match value.ok_or("an operand has no value")?? {
                Denotation::Value(v) => Ok(v),
                other => Err(format!("{other:?}")),
            }
        };
        let shape = |v: &Value| (v.kind, v.dtype, v.rows, v.cols, v.block);
        let (exact, rounded) = (
            value(Arithmetic::Real, &reals)?,
            value(Arithmetic::Native, &on_the_way)?,
        );
        if shape(&exact) != shape(&real) {
            return Err(format!(
                "{:?} expected, {:?} found",
                shape(&real),
                shape(&exact)
            ));
        }
        let element = |v: &Value, i: usize| v.data[i].unwrap_or(f64::NAN);
        let largest = (0..real.data.len()).fold(0f64, |m, i| m.max(element(&real, i).abs()));
        for i in 0..real.data.len() {
            let x = element(&real, i);
            let spread = draws
                .iter()
                .map(|d| (element(d, i) - x).abs())
                .fold(0.0, f64::max);
            // In f64 both forms round too, a sum may cancel, and a rule's constants are rounded to f32.
            let slack = 2f64.powi(-23) * x.abs() + 1e-5 * spread + 1e-13 * largest;
            if (element(&exact, i) - x).abs() > slack {
                let y = element(&exact, i);
                return Err(format!(
                    "{}: element {i} is {y}, not {x}",
                    show(after, node)
                ));
            }
            let error = (element(&rounded, i) - x).abs();
            // What is next to a tie may become either integer.
            let tie = if real.dtype.is_float() { 0.0 } else { 1.0 };
            if error > tie + 16.0 * (spread + unit * x.abs()) + 16.0 * unit * unit * largest {
                let why = format!("element {i}: off by {error}, where {x} may be by {spread}");
                return Err(format!("{}: {why}", show(after, node)));
            }
        }
    }
    Ok(true)
}

/// Whether two sums of the same terms in different orders are no further apart than rounding can take them:
/// 2 n u sum |x| (Higham, Accuracy and Stability of Numerical Algorithms, section 4.2; u of the element type).
fn within_sums(made: &Instance, a: &Value, b: &Value) -> Result<(), String> {
    let shape = |v: &Value| (v.kind, v.dtype, v.rows, v.cols, v.block);
    if shape(a) != shape(b) {
        return Err(format!("{:?} expected, {:?} found", shape(a), shape(b)));
    }
    let magnitudes: Inputs = made
        .inputs
        .iter()
        .map(|(name, v)| {
            let mut v = v.clone();
            v.data.iter_mut().for_each(|x| *x = x.map(f64::abs));
            (*name, v)
        })
        .collect();
    let sums = values(&made.egraph, &magnitudes, Arithmetic::Wide, &Values::new());
    let Some(Denotation::Value(sums)) = sums.0.get(&made.egraph.find(made.root)) else {
        return Err("no magnitudes".into());
    };
    // Constants are terms of the sum too.
    let nodes = made.egraph.classes().flat_map(|c| &c.nodes);
    let constants: f64 = nodes
        .map(|n| match n {
            Term::Const(k) => f64::from(k.value().abs()),
            _ => 0.0,
        })
        .sum();
    let (unit, largest) = match a.dtype {
        DType::Bf16 => (2f64.powi(-8), f64::from(f32::MAX)),
        DType::F16 => (2f64.powi(-11), 65504.0),
        DType::F32 => (2f64.powi(-24), f64::from(f32::MAX)),
        d => (0.0, integer_range(d).map_or(0.0, |(_, high)| high as f64)),
    };
    for (i, (x, y)) in a.data.iter().zip(&b.data).enumerate() {
        let (Some(x), Some(y), Some(sum)) = (x, y, sums.data[i]) else {
            return Err("something is not written".into());
        };
        let sum = sum + 2.0 * constants;
        // Where a partial sum may overflow, orders differ.
        if sum.is_nan() || sum > largest * 0.99 {
            continue;
        }
        let tiny = f64::from(f32::MIN_POSITIVE);
        if (x - y).abs() > 2.0 * made.terms as f64 * unit * sum + tiny * unit {
            return Err(format!("element {i}: {x} and {y}, sum of magnitudes {sum}"));
        }
    }
    Ok(())
}

fn term(egraph: &Graph, root: Id) -> String {
    egraph.id_to_expr(root).to_string()
}

/// How many instances a line matched; an error with the simplest one that it breaks.
fn tried(rule: &Rule, left: &str, rewrite: &Rewrite<Term, TermAnalysis>) -> Result<usize, String> {
    let pattern = left.parse::<egg::Pattern<Term>>().unwrap().ast;
    let fired = Cell::new(0);
    let config = ProptestConfig {
        cases: TRIED,
        max_shrink_iters: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let run = TestRunner::new_with_rng(config, rng).run(&choices(), |mut c| {
        if fired.get() < FIRED {
            let matched = holds(rule, &pattern, rewrite, &mut c).map_err(TestCaseError::fail)?;
            fired.set(fired.get() + usize::from(matched));
        }
        Ok(())
    });
    match run {
        Ok(()) => Ok(fired.get()),
        Err(e) => Err(first_lines(&e.to_string(), 6)),
    }
}

#[test]
fn every_line_is_sound_in_its_class() {
    let (mut lines, mut instances) = (0, 0);
    let (mut missing, mut wrong) = (vec![], vec![]);
    for rule in all_rules() {
        for (line, rewrite) in rule.lines.iter().zip(rule.rewrites().unwrap()) {
            // What an exchange denotes all ranks do together: tests of ranks run it with other shares.
            if line.left.contains("(share ") {
                continue;
            }
            let name = format!("{}: {} => {}", rule.name, line.left, line.right);
            lines += 1;
            match tried(&rule, &line.left, &rewrite) {
                Ok(fired) => {
                    instances += fired;
                    if fired < FIRED {
                        missing.push(format!("{name}: {fired}"));
                    }
                }
                Err(why) => wrong.push(format!("{name}\n{why}")),
            }
        }
    }
    println!("{lines} lines, {instances} instances");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(
        missing.is_empty(),
        "no instances of these lines, or too few; `tests/support/instances/mod.rs` makes them:\n{}",
        missing.join("\n")
    );
}

/// Rules that reorder sums do not pass as bitwise ones.
#[test]
fn a_class_that_is_too_strict_is_caught() {
    for name in ["widen-sum", "narrow-sum", "widen-k", "narrow-k", "split-k"] {
        let mut rules = rules::all(&[]).into_iter();
        let rule = Rule {
            numerics: Numerics::Bitwise,
            ..rules.find(|r| r.name == name).unwrap()
        };
        let rewrite = &rule.rewrites().unwrap()[0];
        let caught = tried(&rule, &rule.lines[0].left, rewrite);
        assert!(caught.is_err(), "{name}: {caught:?}");
    }
}

/// Wrong rules are caught, and the same harness passes right ones.
#[test]
fn planted_rules_are_caught() {
    let cases = [
        (
            "(tile ?r ?c (sub ?a ?b))",
            "(sub (tile ?r ?c ?b) (tile ?r ?c ?a))",
            false,
        ),
        // The zero's sign.
        (
            "(tile ?r ?c (neg ?a))",
            "(sl.sub (tile ?r ?c ?a) 0.0)",
            false,
        ),
        (
            "(tile ?r ?c (add ?a ?b))",
            "(sub (tile ?r ?c ?a) (neg (tile ?r ?c ?b)))",
            false,
        ),
        // Rounds twice.
        (
            "(tile ?r ?c (cast.bf16.rint ?a))",
            "(cast.bf16.rint (cast.f16.rint (tile ?r ?c ?a)))",
            false,
        ),
        ("(fold.max ?d ?n ?c ?t)", "(fold.min ?d ?n ?c ?t)", false),
        (
            "(tile ?r ?c (max ?a ?b))",
            "(max (tile ?r ?c ?b) (tile ?r ?c ?a))",
            true,
        ),
        ("(tile ?r ?c (mask_rows ?a ?n))", "(tile ?r ?c ?a)", false),
        ("(mm ?d ?n ?k ?a ?b)", "(mm ?d ?n ?k ?b ?a)", false),
    ];
    for (left, right, sound) in cases {
        let rule = Rule {
            name: "planted",
            role: Role::Choice,
            numerics: Numerics::Bitwise,
            does: "",
            why: "",
            lines: vec![Line {
                left: left.into(),
                right: right.into(),
                bind: std::sync::Arc::new(|_| vec![vec![]]),
            }],
        };
        let found = tried(&rule, left, &rule.rewrites().unwrap()[0]);
        assert_eq!(found.is_ok(), sound, "{left} => {right}: {found:?}");
    }
}

fn first_lines(text: &str, n: usize) -> String {
    text.lines().take(n).collect::<Vec<_>>().join("\n")
}

/// A term with its operands, for comparing parts of patterns.
fn part(pattern: &PatternAst<Term>, at: Id) -> String {
    let node = &pattern[at];
    let operands: Vec<String> = node.children().iter().map(|c| part(pattern, *c)).collect();
    match operands.is_empty() {
        true => node.to_string(),
        false => format!("({node} {})", operands.join(" ")),
    }
}

/// A right side that is its left side adds nothing, and one that holds it grows for ever.
#[test]
fn right_sides_do_not_hold_their_left_sides() {
    for rule in all_rules() {
        for line in &rule.lines {
            let [left, right] = [&line.left, &line.right]
                .map(|side| side.parse::<egg::Pattern<Term>>().unwrap().ast);
            let whole = part(&left, left.root());
            for i in 0..right.len() {
                let piece = part(&right, Id::from(i));
                assert_ne!(piece, whole, "{}: {}", rule.name, line.right);
            }
            assert!(
                matches!(right[right.root()], ENodeOrVar::ENode(_)),
                "{}: a class becomes its own operand",
                rule.name
            );
        }
    }
}

/// What the right side has more than the left is a size, a name, or nothing: tensors and tiles come from the left.
#[test]
fn new_variables_stand_for_leaves() {
    for rule in all_rules() {
        for line in &rule.lines {
            let [left, right] =
                [&line.left, &line.right].map(|side| side.parse::<egg::Pattern<Term>>().unwrap());
            for v in right.vars().iter().filter(|v| !left.vars().contains(v)) {
                let at = right
                    .ast
                    .as_ref()
                    .iter()
                    .position(|n| *n == ENodeOrVar::Var(*v));
                let id = Id::from(at.unwrap());
                for node in right.ast.as_ref() {
                    let ENodeOrVar::ENode(Term::App(head, c)) = node else {
                        continue;
                    };
                    for (i, _) in c.iter().enumerate().filter(|(_, c)| **c == id) {
                        assert!(
                            leaf_operand(*head, i),
                            "{}: {v} in {}",
                            rule.name,
                            line.right
                        );
                    }
                }
            }
        }
    }
}

/// Whether an operand is a number, a constant or a name.
fn leaf_operand(head: Head, i: usize) -> bool {
    match head {
        Head::Input => true,
        Head::Op(Operator::Scalar(_))
        | Head::Op(Operator::ScalarLeft(_))
        | Head::Op(Operator::TopK) => i == 1,
        Head::Op(Operator::PadCols)
        | Head::Op(Operator::SliceCols)
        | Head::Op(Operator::RepeatCols)
        | Head::Op(Operator::Reshape)
        | Head::Op(Operator::Sinkhorn) => i > 0,
        Head::Op(Operator::GroupColBinary(_)) | Head::Op(Operator::GroupedMatmulNt) => i == 0,
        Head::Buf | Head::Parts | Head::AddParts | Head::Share | Head::Halve(_) => i == 0,
        Head::Pieces | Head::Kept => true,
        Head::Tile | Head::Load | Head::Rows | Head::WithPad | Head::Launch(_) => i < 2,
        Head::Fold(_) | Head::Cols | Head::Mm => i < 3,
        Head::MmParts | Head::MmGrouped | Head::Fill => i < 4,
        _ => false,
    }
}
