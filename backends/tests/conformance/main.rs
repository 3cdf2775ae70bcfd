//! One suite of cases, three runners: the interpreter of layer graphs, the simulator, and the emitted C++ on this machine.
//!
//! The last two must agree in every bit (NaN is NaN; `exp` and `log` within one unit in the last place, since they are two
//! libraries'). With the interpreter, sums are in another order. docs/host.md has the table.

mod build;
mod cases;
mod data;
mod moves;

use build::program;
use cases::{Case, FORMS, Form, Want, draft, samples, written_rows};
use data::difference;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use tilewright_backends::ascend::emit;
use tilewright_backends::backend::{Backend, Job, Simulator};
use tilewright_backends::data::{Tensor, Tensors};
use tilewright_backends::host::{Host, Options};
use tilewright_backends::reference::eval_prim;
use tilewright_ir::DType;
use tilewright_ir::kernel::{Instr, Kind, verify};
use tilewright_ir::machine::Machine;

/// Cases of one kernel.
const MOST: usize = 40;

fn machine() -> &'static Machine {
    static A3: LazyLock<Machine> = LazyLock::new(|| Machine::builtin("a3").unwrap());
    &A3
}

/// Whether the case is a program that verifies and has a C++ form.
fn exists(case: &Case) -> bool {
    let (program, _) = program(&[&case.draft], 1);
    verify(&program, machine()).is_ok() && emit(&program, machine()).is_ok()
}

fn suite() -> Vec<Case> {
    let mut all = moves::all();
    for (i, op) in samples().into_iter().enumerate() {
        for from in DType::ALL {
            for to in DType::ALL {
                for form in FORMS {
                    let name = format!("v{i}_{from}_{to}_{form:?}").to_lowercase();
                    let Some(mut case) = draft(op, from, to, form, name) else {
                        continue;
                    };
                    case.instruction = format!("{op:?} {from} -> {to}, {form:?}");
                    all.push(case);
                }
            }
        }
    }
    all.retain(exists);
    all
}

struct Ran {
    suite: Vec<Case>,
    text: String,
    sim: Tensors,
    host: Tensors,
}

fn run() -> Ran {
    let suite = suite();
    let drafts: Vec<_> = suite.iter().map(|c| &c.draft).collect();
    let (program, inputs) = program(&drafts, MOST);
    let files = emit(&program, machine()).unwrap();
    let inputs = [inputs];
    let job = Job::once(&program, &files, machine(), &inputs);
    let outputs = |b: &dyn Backend| match b.run(&job) {
        Ok(mut ran) => ran.ranks.remove(0).outputs,
        Err(e) => panic!("{}: {e}", b.name()),
    };
    Ran {
        sim: outputs(&Simulator),
        host: outputs(&Host {
            options: Options {
                cache: Some(concat!(env!("CARGO_TARGET_TMPDIR"), "/host-cache").into()),
                ..Options::default()
            },
        }),
        text: files.iter().map(|f| f.text.as_str()).collect(),
        suite,
    }
}

/// The first row or so of what differs, by instruction.
fn report(differences: BTreeMap<&str, String>) {
    let lines: Vec<String> = differences
        .iter()
        .map(|(instruction, what)| format!("{instruction}: {what}"))
        .collect();
    assert!(
        lines.is_empty(),
        "{} instructions differ:\n{}",
        lines.len(),
        lines.join("\n")
    );
}

/// What the interpreter makes of a case.
fn reference(case: &Case, want: &Want, form_rows: Option<usize>) -> Option<Tensor> {
    let mut truth = eval_prim(&want.prim, &want.operands).ok()?;
    if let (Some(rows), Some(before)) = (form_rows, &want.before) {
        let row = truth.bytes.len() / truth.matrix().0.max(1);
        assert_eq!(
            before.bytes.len(),
            truth.bytes.len(),
            "{}",
            case.instruction
        );
        let kept = &before.bytes[rows * row..];
        truth.bytes[rows * row..].copy_from_slice(kept);
    }
    Some(truth)
}

/// As [`difference`], with what a sum in another order may change.
fn against_reference(ran: &Tensor, truth: &Tensor, case: &Case, want: &Want) -> Option<String> {
    let shaped = Tensor {
        shape: truth.shape.clone(),
        ..ran.clone()
    };
    if want.tolerance == 0.0 {
        return difference(&shaped, truth, case.ulps);
    }
    let (a, b) = (shaped.to_f32(), truth.to_f32());
    let terms = want.operands[0].matrix().1 as f64;
    let off = |(x, y): (&f32, &f32)| {
        let limit = want.tolerance * (terms + f64::from(y.abs()));
        let finite = x.is_finite() && y.is_finite();
        finite && f64::from((x - y).abs()) > limit
    };
    // Sums of edges overflow, or not, by their order.
    let first = a.iter().zip(&b).position(off)?;
    Some(format!("element {first} is {} and {}", a[first], b[first]))
}

#[test]
fn simulator_and_host_agree_and_so_does_the_interpreter() {
    let ran = run();
    let (mut apart, mut wrong) = (BTreeMap::new(), BTreeMap::new());
    let mut compared = 0;
    for case in &ran.suite {
        let name = &case.draft.name;
        let (sim, host) = (&ran.sim[name], &ran.host[name]);
        if let Some(d) = difference(sim, host, case.ulps) {
            apart.insert(case.instruction.as_str(), format!("sim and host: {d}"));
        }
        let Some(want) = &case.want else { continue };
        let rows = want.before.as_ref().and(written_rows(Form::Rows));
        let Some(truth) = reference(case, want, rows) else {
            continue;
        };
        compared += 1;
        if let Some(d) = against_reference(host, &truth, case, want) {
            wrong.insert(
                case.instruction.as_str(),
                format!("host and reference: {d}"),
            );
        }
    }
    println!(
        "{} cases, {compared} of them with the interpreter",
        ran.suite.len()
    );
    report(apart);
    report(wrong);
    calls_of_examples_have_cases(&ran.text);
}

/// Every instruction and every vector operation has a case that survived the verifier.
#[test]
fn every_instruction_has_a_case() {
    let suite = suite();
    let mut kinds = BTreeSet::new();
    let mut ops = BTreeSet::new();
    for instr in suite.iter().flat_map(|c| &c.draft.instrs) {
        kinds.insert(instr.kind());
        if let Instr::Vector { op, .. } = instr {
            ops.insert(format!("{op:?}"));
        }
    }
    // The cases are of one rank; `tests/host.rs` compares exchanges of two.
    let alone = Kind::ALL.into_iter().filter(|k| !k.row().between_ranks);
    assert_eq!(kinds, alone.collect());
    for op in samples() {
        assert!(ops.contains(&format!("{op:?}")), "{op:?} has no case");
    }
    // As many as there were when this was written, so that none is lost in silence.
    assert!(suite.len() > 400, "{} cases", suite.len());
}

/// The calls in a text, by name.
fn calls(text: &str) -> BTreeSet<&str> {
    let code = text.lines().map(|l| l.split("//").next().unwrap_or(""));
    code.flat_map(|l| l.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
        .filter(|w| w.len() > 3 && w.starts_with('T'))
        .filter(|w| {
            w.chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
        })
        .collect()
}

/// What the examples' kernels call, and the text of the suite does not.
fn calls_of_examples_have_cases(text: &str) {
    let snapshots = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../snapshots");
    let mut folders = vec![snapshots];
    let (known, mut found) = (calls(text), 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(".cpp.snap") {
                found += 1;
                let text = std::fs::read_to_string(&path).unwrap();
                let between_ranks = Kind::ALL.into_iter().filter(|k| k.row().between_ranks);
                let between_ranks: Vec<_> = between_ranks.map(|k| k.row().isa).collect();
                let calls = calls(&text).into_iter();
                for call in calls.filter(|c| !between_ranks.contains(c)) {
                    assert!(known.contains(call), "{}: {call}", path.display());
                }
            }
        }
    }
    assert!(found > 0, "the examples have snapshots");
}
