//! Emitted PTO-ISA C++: its text, that real headers accept it, and what is refused.

mod programs;

use std::path::{Path, PathBuf};
use std::process::Command;
use tilewright_backends::ascend::{EmitError, File, Notes, emit, emit_with_notes};
use tilewright_ir::kernel::{Instr, Program, Stmt, VectorOp};
use tilewright_ir::machine::{DEFAULT_MACHINE, Machine};

fn machine() -> Machine {
    Machine::builtin(DEFAULT_MACHINE).expect("the default machine is built in")
}

fn emitted(program: &Program) -> Vec<File> {
    emit(program, &machine()).expect("the program has a C++ form")
}

#[test]
fn a_pipelined_vector_kernel() {
    let mut notes = Notes::new();
    notes.insert(
        "ffn_norm".into(),
        vec!["Predicted: 3.1 us, of which the vector unit is busy for 2.8 us.".into()],
    );
    let files = emit_with_notes(&programs::norm(), &machine(), &notes).expect("it has a C++ form");
    insta::assert_snapshot!("ffn_norm.cpp", files[0].text);
}

#[test]
fn a_cube_kernel() {
    insta::assert_snapshot!("gate_mm.cpp", emitted(&programs::gate_mm())[0].text);
}

#[test]
fn columns_of_statistics_are_computed_on_as_rows() {
    insta::assert_snapshot!("quantize.cpp", emitted(&programs::quantize())[0].text);
}

#[test]
fn a_sort_kernel() {
    insta::assert_snapshot!("route.cpp", emitted(&programs::route())[0].text);
}

#[test]
fn run_time_rows_and_indices_from_memory() {
    let files = emitted(&programs::mask());
    insta::assert_snapshot!("mask_rows.cpp", files[0].text);
    insta::assert_snapshot!("look_up.cpp", files[1].text);
    insta::assert_snapshot!("kernels.json", files[2].text);
}

#[test]
fn a_kernel_that_talks_to_other_ranks() {
    let files = emitted(&programs::exchange());
    insta::assert_snapshot!("exchange.cpp", files[0].text);
    insta::assert_snapshot!("exchange.json", files[1].text);
}

/// TMOV copies whole blocks of 32 bytes on the device, though not in the ISA's CPU simulator.
#[test]
fn some_rows_of_a_column_are_not_copied_by_the_block() {
    let text = &emitted(&programs::mask())[0].text;
    assert!(
        text.contains("TMULS(kept_tile_row_valid, amax_tile_row_valid, 1.0f);"),
        "{text}"
    );
    assert!(!text.contains("TMOV(kept"), "{text}");
}

#[test]
fn extents_of_equal_size_keep_their_own_names() {
    // As many rows as columns, and as many parts as valid rows.
    let mut program = programs::gate::gate_mm_of(16);
    program.kernels[0].params.insert("SPLIT_K".into(), 8);
    let text = &emitted(&program)[0].text;
    assert!(!text.contains("SPLIT_K,"), "{text}");
    assert!(text.contains("L1Left<float, M_TILE, K_CHUNK, 8>"), "{text}");
    assert!(text.contains("L1Right<float, K_CHUNK, N_TILE>"), "{text}");
    assert!(text.contains("TileAcc<float, M_TILE, N_TILE, 8>"), "{text}");
}

#[test]
fn the_text_is_narrow_and_the_same_every_time() {
    for program in programs::all() {
        let files = emitted(&program);
        assert_eq!(files, emitted(&program));
        for file in files {
            for line in file.text.lines() {
                assert!(line.len() <= 120, "{}: {line}", file.path);
                assert_eq!(line, line.trim_end(), "{}", file.path);
            }
        }
    }
}

#[test]
fn a_tile_without_an_address_is_refused() {
    let mut program = programs::quantize();
    program.kernels[0].tiles[2].addrs.clear();
    let error = emit(&program, &machine()).expect_err("it has no address");
    assert_eq!(
        error.to_string(),
        "kernel `quantize`: tile `tmp` has 0 addresses for 1 slots"
    );
}

#[test]
fn operands_with_different_row_counts_are_refused() {
    let mut program = programs::mask();
    let copy = program.kernels[0].body.iter_mut().find_map(|s| match s {
        Stmt::If { then, .. } => then.first_mut(),
        _ => None,
    });
    if let Some(Stmt::Instr(Instr::Vector { op, srcs, .. })) = copy {
        assert_eq!(*op, VectorOp::Copy);
        srcs[0].rows = Some(tilewright_ir::kernel::Expr::constant(3));
    }
    let error = emit(&program, &machine()).expect_err("the counts differ");
    assert!(matches!(error, EmitError::Instr { .. }), "{error}");
    assert!(
        error
            .to_string()
            .ends_with("the operands have different run-time row counts"),
        "{error}"
    );
}

/// Where the files of a program are left for whoever wants to compile them.
fn folder(program: &Program) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("ascend")
        .join(&program.name);
    std::fs::create_dir_all(&folder).expect("the target folder is writable");
    folder
}

/// Compiles every kernel with the system's compiler for the ISA's CPU simulator, if `PTO_INCLUDE` names the include
/// directory of a PTO-ISA checkout.
#[test]
fn the_isa_s_own_headers_accept_the_text() {
    let include = std::env::var("PTO_INCLUDE").ok();
    for program in programs::all() {
        let folder = folder(&program);
        for file in emitted(&program) {
            let path = folder.join(&file.path);
            std::fs::write(&path, &file.text).expect("the target folder is writable");
            let Some(include) = &include else { continue };
            if !file.path.ends_with(".cpp") {
                continue;
            }
            let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
            let output = Command::new(&compiler)
                .args(["-std=c++20", "-fsyntax-only", "-w", "-D__CPU_SIM"])
                .args(["-include", "stdint.h", "-include", "stddef.h"])
                .arg(format!("-I{include}"))
                .arg(&path)
                .output()
                .expect("the system has a C++ compiler");
            assert!(
                output.status.success(),
                "{}: {}",
                path.display(),
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    if include.is_none() {
        println!("skipped: PTO_INCLUDE does not name an include directory of PTO-ISA");
    }
}
