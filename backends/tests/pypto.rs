//! Emitted PyPTO source: its text, and what is refused.

#[allow(dead_code)]
#[path = "ascend/programs/mod.rs"]
mod programs;

use miette::Diagnostic;
use tilewright_backends::emitter::{self, File, Notes};
use tilewright_backends::pypto::{EmitError, Fault, emit};
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::kernel::{Instr, Program, Stmt, VectorOp};
use tilewright_ir::machine::{DEFAULT_MACHINE, Machine};

fn a3() -> Machine {
    Machine::builtin(DEFAULT_MACHINE).unwrap()
}

fn emitted(program: &Program) -> Vec<File> {
    emit(program, &a3(), &Notes::new()).expect("the program has a PyPTO form")
}

/// The first kernel's refusal.
fn fault(program: &Program) -> (String, Fault) {
    match emit(program, &a3(), &Notes::new()).expect_err("it has no form") {
        EmitError::NoForm { refused, .. } => (refused[0].to_string(), refused[0].fault.clone()),
        other => panic!("{other}"),
    }
}

#[test]
fn a_pipelined_vector_kernel_and_its_head() {
    let mut notes = Notes::new();
    notes.insert(
        "ffn_norm".into(),
        vec!["predicted: 3.1 us, \"of which\" the vector unit is busy for 2.8 us".into()],
    );
    let files = emit(&programs::norm(), &a3(), &notes).expect("it has a PyPTO form");
    insta::assert_snapshot!("ffn_norm.py", files[0].text);
}

#[test]
fn a_cube_kernel() {
    insta::assert_snapshot!("gate_mm.py", emitted(&programs::gate_mm())[0].text);
}

#[test]
fn a_sort_kernel() {
    insta::assert_snapshot!("route.py", emitted(&programs::route())[0].text);
}

#[test]
fn run_time_rows_indices_from_memory_and_the_layer() {
    let files = emitted(&programs::mask());
    insta::assert_snapshot!("mask_rows.py", files[0].text);
    insta::assert_snapshot!("look_up.py", files[1].text);
    insta::assert_snapshot!("mask.py", files[2].text);
    insta::assert_snapshot!("mask-init.py", files[3].text);
    insta::assert_snapshot!("mask-kernels.json", files[4].text);
}

/// A parallel launch is a task a block, an axis a loop.
#[test]
fn a_parallel_launch() {
    let mut program = programs::gate_mm();
    program.kernels[0].launch.kind = LaunchKind::Parallel;
    let text = &emitted(&program)[0].text;
    assert!(!text.contains("pl.spmd"), "{text}");
    let (open, scope) = (text.find("in pl.parallel("), text.find("with pl.at("));
    assert!(open.is_some() && open < scope, "{text}");
}

/// A variable that is first assigned in a branch is made before the loop that carries it, and no further out.
#[test]
fn an_accumulator_is_made_before_its_loop() {
    let text = emitted(&programs::gate_mm()).remove(0).text;
    let at = |what: &str| {
        text.find(what)
            .unwrap_or_else(|| panic!("{what} in\n{text}"))
    };
    assert!(at("pl.spmd(") < at("pl.create_tile("), "{text}");
    assert!(at("pl.create_tile(") < at("pl.pipeline("), "{text}");
    assert!(at("pl.pipeline(") < at("init_cond=(k == 0)"), "{text}");
}

/// Flags, barriers and addresses are the compiler's: without them the text is the same.
#[test]
fn what_orders_pipes_has_no_form() {
    fn strip(body: &mut Vec<Stmt>) {
        body.retain(|s| !matches!(s, Stmt::Set { .. } | Stmt::Wait { .. } | Stmt::Barrier(_)));
        for stmt in body {
            match stmt {
                Stmt::Loop { body, .. } => strip(body),
                Stmt::If {
                    then, otherwise, ..
                } => {
                    strip(then);
                    strip(otherwise);
                }
                _ => {}
            }
        }
    }
    let with = programs::gate_mm();
    let mut without = with.clone();
    strip(&mut without.kernels[0].body);
    assert_ne!(with, without);
    assert_eq!(emitted(&with), emitted(&without));
}

#[test]
fn words_of_python_are_no_names() {
    let mut program = programs::quantize();
    program.kernels[0].name = "lambda".into();
    program.kernels[0].tiles[0].name = "import".into();
    let files = emitted(&program);
    assert!(
        files[0].text.contains("def lambda_kernel("),
        "{}",
        files[0].text
    );
    assert!(
        files[0].text.contains("import_tile = "),
        "{}",
        files[0].text
    );
    assert_eq!(files[0].path, "lambda_kernel.py");
}

#[test]
fn the_text_is_narrow_and_the_same_every_time() {
    for program in programs::all() {
        let Ok(files) = emit(&program, &a3(), &Notes::new()) else {
            assert_eq!(program.name, "exchange");
            continue;
        };
        assert_eq!(files, emitted(&program));
        for file in files.iter().filter(|f| f.path.ends_with(".py")) {
            for line in file.text.lines() {
                assert!(line.len() <= 110, "{}: {line}", file.path);
                assert_eq!(line, line.trim_end(), "{}", file.path);
            }
        }
    }
}

#[test]
fn kernels_between_ranks_are_refused() {
    let (text, fault) = fault(&programs::exchange());
    assert!(matches!(fault, Fault::Window { .. }), "{text}");
    assert!(text.starts_with("kernel `exchange`, `T"), "{text}");
}

/// Only zeros can be what stays of a tile whose first rows are replaced.
#[test]
fn rows_over_a_filling_that_is_not_zero_are_refused() {
    let mut program = programs::mask();
    for stmt in &mut program.kernels[0].body {
        if let Stmt::Instr(Instr::Vector { op, .. }) = stmt
            && let VectorOp::Fill(value) = op
        {
            *value = 1.0;
        }
    }
    let (text, fault) = fault(&program);
    assert!(matches!(fault, Fault::SomeRows { .. }), "{text}");
}

/// Where sums are taken up lies as the first product does only if all fractals hold rows.
#[test]
fn accumulators_with_empty_fractals_are_refused() {
    let mut program = programs::gate_mm();
    for tile in &mut program.kernels[0].tiles {
        if tile.rows == 16 {
            tile.rows = 32;
        }
    }
    let (text, fault) = fault(&program);
    assert!(matches!(fault, Fault::Accumulator { .. }), "{text}");
}

#[test]
fn constants_without_a_literal_are_refused() {
    let mut program = programs::mask();
    for stmt in &mut program.kernels[0].body {
        if let Stmt::Instr(Instr::Vector { op, .. }) = stmt
            && let VectorOp::Fill(value) = op
        {
            *value = f32::NAN;
        }
    }
    let (text, fault) = fault(&program);
    assert!(matches!(fault, Fault::Literal { .. }), "{text}");
    let error = emit(&program, &a3(), &Notes::new()).expect_err("it has no form");
    assert_eq!(error.kernels(), ["mask_rows"]);
    assert_eq!(error.related().map_or(0, Iterator::count), 1);
}

#[test]
fn the_table_of_emitters() {
    let machine = Machine::builtin(DEFAULT_MACHINE).expect("the default machine is built in");
    let program = programs::quantize();
    let names: Vec<&str> = emitter::ALL.iter().map(|e| e.name).collect();
    assert_eq!(names, ["cpp", "pypto"]);
    for e in &emitter::ALL {
        let found = emitter::find(e.name).expect("it is in the table");
        let files = (found.emit)(&program, &machine, &Notes::new()).expect("it has a form");
        assert_eq!(files.last().map(|f| f.path.as_str()), Some("kernels.json"));
    }
    assert!(emitter::find("fortran").is_none());
}
