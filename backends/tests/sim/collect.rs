//! All that is wrong with a program at once, with places in the emitted files.

use crate::build::*;
use crate::kernels::*;
use tilewright_backends::ascend::Notes;
use tilewright_backends::checker::{Finding, Severity, check, inputs as generated};
use tilewright_backends::data::Tensors;
use tilewright_ir::DType::F32;
use tilewright_ir::kernel::Pipe::*;
use tilewright_ir::kernel::*;

fn findings(program: &Program, inputs: Tensors) -> (Vec<Finding>, String) {
    let checked = check(program, &machine(), &[inputs], &Notes::new());
    let text = checked.files.first().map_or("", |f| &f.text).to_owned();
    (checked.findings, text)
}

/// The last parts of the codes.
fn codes(findings: &[Finding]) -> Vec<&str> {
    let last = |f: &'_ Finding| f.code.rfind(':').map_or(0, |i| i + 1);
    findings.iter().map(|f| &f.code[last(f)..]).collect()
}

#[test]
fn nothing_is_found_in_a_program_that_runs() {
    let (found, _) = findings(&add_one(2), add_one_inputs());
    assert_eq!(found, []);
}

/// Two barriers less are two findings, and what follows from neither is not one.
#[test]
fn every_fault_is_found_and_only_once() {
    let mut p = top_eight();
    let given = inputs(&[("x", f32s(&[1, 256], |i| i as f32))]);
    let barriers = |p: &Program| {
        let body = p.kernels[0].body.iter();
        body.filter(|s| matches!(s, Stmt::Barrier(V))).count()
    };
    let before = barriers(&p);
    assert!(before > 2);
    p.kernels[0].body.retain(|s| !matches!(s, Stmt::Barrier(V)));
    let (found, text) = findings(&p, given);
    assert!(found.len() >= before, "{:?}", codes(&found));
    for f in &found {
        assert_eq!(f.code, "tilewright::sim::hazard");
        assert_eq!(f.severity, Severity::Error);
        let lines: Vec<&str> = text.lines().collect();
        let line = |p: &tilewright_backends::checker::Place| {
            lines[p.line.expect("statements have lines") - 1].trim()
        };
        let (first, here) = (f.first.as_ref().expect("a hazard is of two"), &f.place);
        assert!(
            line(here).starts_with('T') && line(first).starts_with('T'),
            "{f:?}"
        );
        assert_eq!((here.pipe, first.pipe), (Some(V), Some(V)));
        assert!(
            f.remedy.starts_with("pipe_barrier(V) between"),
            "{}",
            f.remedy
        );
    }
    let mut places: Vec<_> = found.iter().map(|f| (&f.place, &f.first)).collect();
    places.dedup();
    assert_eq!(places.len(), found.len());
}

#[test]
fn a_lost_wait_is_a_race_and_a_flag() {
    let mut p = add_one(2);
    let at = loop_of(&mut p).iter().position(|s| {
        matches!(
            s,
            Stmt::Wait {
                dst: V,
                src: Mte2,
                ..
            }
        )
    });
    loop_of(&mut p).remove(at.expect("the loop waits for its load"));
    let (found, text) = findings(&p, add_one_inputs());
    let found_codes = codes(&found);
    assert!(
        found_codes.contains(&"hazard") && found_codes.contains(&"double_set"),
        "{found_codes:?}"
    );
    let hazard = found
        .iter()
        .find(|f| f.code.ends_with("hazard"))
        .expect("a race");
    // Every trip of every block has it.
    assert!(hazard.times > 1);
    let line = hazard.place.line.expect("it has a line");
    let shown = text.lines().nth(line - 1).expect("the file is as long");
    assert!(shown.trim().starts_with("TADDS("), "{shown}");
}

/// What stops one kernel does not hide what is wrong with the next, nor make it look wrong.
#[test]
fn a_kernel_that_stops_is_stepped_over() {
    let mut p = add_one(2);
    let mut second = p.kernels[0].clone();
    second.name = "second".into();
    second.after = vec!["add_one".into()];
    let mut third = second.clone();
    third.name = "third".into();
    third.after = vec!["second".into()];
    // The first never gets its flag, and the third stores twice without an order; the second is right.
    let set = loop_of(&mut p)
        .iter()
        .position(|s| matches!(s, Stmt::Set { src: Mte2, .. }));
    loop_of(&mut p).remove(set.expect("the load sets a flag"));
    p.kernels.push(second);
    p.kernels.push(third);
    let third = &mut p.kernels[2];
    let Some(Stmt::Loop { body, .. }) = third
        .body
        .iter_mut()
        .find(|s| matches!(s, Stmt::Loop { .. }))
    else {
        panic!("the kernel has a loop")
    };
    let store = body
        .iter()
        .position(|s| matches!(s, Stmt::Instr(Instr::Store { .. })))
        .expect("the loop stores");
    body.insert(store, body[store].clone());
    let (found, _) = findings(&p, add_one_inputs());
    let by: Vec<(&str, &str)> = found
        .iter()
        .map(|f| (f.kernel.as_deref().unwrap_or(""), f.code.as_str()))
        .collect();
    assert_eq!(
        by,
        [
            ("add_one", "tilewright::sim::deadlock"),
            ("third", "tilewright::sim::hazard")
        ]
    );
}

/// Without an order the second kernel may start first, whatever else is right.
#[test]
fn a_missing_order_is_found_with_the_rest() {
    let mut p = add_one(2);
    let mut second = p.kernels[0].clone();
    second.name = "second".into();
    p.kernels.push(second);
    let (found, _) = findings(&p, add_one_inputs());
    assert_eq!(codes(&found), ["order"]);
    assert_eq!(found[0].kernel.as_deref(), Some("second"));
    assert_eq!(found[0].place.file.as_deref(), Some("second.cpp"));
    assert!(found[0].place.line.is_some());
}

#[test]
fn a_statement_that_no_run_comes_to_is_a_warning() {
    let given = |count| inputs(&[("x", f32s(&[8, 256], |_| 1.0)), ("count", scalar(count))]);
    let mut p = sum_rows();
    let guarded = std::mem::take(&mut p.kernels[0].body);
    let last = guarded.len() - 1;
    p.kernels[0].body = guarded;
    // Never: the count is at most 8.
    p.kernels[0].body.insert(
        last,
        Stmt::If {
            cond: Cond::Positive(Expr::var(Var::Scalar(0), 1).minus(&Expr::constant(8))),
            then: vec![Stmt::Barrier(V)],
            otherwise: vec![],
        },
    );
    let (found, _) = findings(&p, given(8));
    assert_eq!(codes(&found), ["unreached"]);
    assert_eq!(found[0].severity, Severity::Warning);
    assert_eq!(found[0].place.statement, Some(format!("{last}.then.0")));
}

#[test]
fn inputs_of_a_saved_program_are_within_what_they_index() {
    let p = gather_rows();
    for seed in 0..8 {
        let given = generated::generate(&p, &machine(), seed).expect("inputs are made");
        let (found, _) = findings(&p, given);
        assert_eq!(found, []);
    }
    let tensor = GlobalTensor {
        dtype: F32,
        shape: vec![usize::MAX, 2],
        role: Role::Input,
        ragged: None,
        expected: vec![],
    };
    let mut broken = p;
    broken.tensors.insert("huge".into(), tensor);
    let given =
        generated::generate(&broken, &machine(), 0).expect("nothing is made of a broken program");
    let (found, _) = findings(&broken, given);
    assert_eq!(codes(&found), ["program"]);
}
