//! What kernels wait for, against every element that they touch.

use crate::common;
use std::collections::BTreeMap;
use tilewright::form::Form;
use tilewright::run::compile_form;
use tilewright_ir::kernel::{Access, Expr, Instr, Kernel, Program, Stmt, Var, waits};
use tilewright_passes::pass::{Artifact, Context, Manager, PassError};

/// By tensor: for each element, whether it is read and whether it is written.
type Touched = BTreeMap<String, Vec<(bool, bool)>>;

/// Every element that a kernel touches, block by block and trip by trip. An index from memory may be any.
fn touched(program: &Program, kernel: &Kernel) -> Touched {
    let mut out = Touched::new();
    for block in 0..kernel.launch.blocks() {
        let grid = kernel.launch.coordinates(block);
        let mut counters = vec![0; kernel.loops.len()];
        walk(program, &kernel.body, &grid, &mut counters, &mut out);
    }
    out
}

fn walk(
    program: &Program,
    body: &[Stmt],
    grid: &[usize],
    counters: &mut Vec<usize>,
    out: &mut Touched,
) {
    for stmt in body {
        match stmt {
            Stmt::Loop {
                id, trips, body, ..
            } => {
                for trip in 0..*trips {
                    counters[*id] = trip;
                    walk(program, body, grid, counters, out);
                }
            }
            Stmt::If {
                then, otherwise, ..
            } => {
                walk(program, then, grid, counters, out);
                walk(program, otherwise, grid, counters, out);
            }
            Stmt::Part { body, .. } => walk(program, body, grid, counters, out),
            Stmt::Instr(instr) => {
                let Some((access, rect)) = instr.global() else {
                    continue;
                };
                let writes = access == Access::Write;
                let (rows, cols) = rect.matrix(&program.tensors[&rect.tensor]);
                let range = |e: &Expr, extent: usize, limit: usize| {
                    let any = e
                        .terms
                        .iter()
                        .any(|(v, _)| matches!(v, Var::Reg(_) | Var::Rank | Var::Epoch | Var::Sub));
                    let start = e.eval(|v| match v {
                        Var::Grid(i) => grid[i] as i64,
                        Var::Loop(l) => counters[l] as i64,
                        Var::Turn(l, of) => (counters[l] % of) as i64,
                        Var::Scalar(_) | Var::Reg(_) | Var::Rank | Var::Epoch | Var::Sub => 0,
                    });
                    match any {
                        true => 0..limit,
                        false => start as usize..start as usize + extent,
                    }
                };
                let all = out
                    .entry(rect.tensor.clone())
                    .or_insert_with(|| vec![(false, false); rows * cols]);
                for r in range(&rect.row, rect.rows, rows) {
                    for c in range(&rect.col, rect.cols, cols) {
                        let cell = &mut all[r * cols + c];
                        *cell = (cell.0 || !writes, cell.1 || writes);
                    }
                }
            }
            _ => {}
        }
    }
}

fn depends(first: &Touched, second: &Touched) -> bool {
    first.iter().any(|(name, a)| {
        let b = second.get(name);
        b.is_some_and(|b| {
            a.iter()
                .zip(b)
                .any(|(a, b)| a.1 && (b.0 || b.1) || a.0 && b.1)
        })
    })
}

fn program(form: Form) -> Program {
    let sizes = [("D", 256), ("VOCAB", 64)];
    let graph = common::graph(common::GATE, &sizes);
    // Kernels as engineers cut them: fused ones hardly wait for each other.
    let mut options = common::options();
    options.search.disabled.insert("fuse".into());
    // A launch more is worth it, so padding is initialised apart.
    let runtime = options.machine.runtime_mut();
    for figure in [&mut runtime.handover, &mut runtime.block] {
        figure.value = 0.0;
    }
    let compiled = compile_form(&graph, form, &options);
    compiled.expect("the example compiles").program
}

#[test]
fn kernels_wait_for_all_that_they_depend_on() {
    for form in Form::ALL {
        let program = program(form);
        let waits = waits(&program);
        let touched: Vec<Touched> = program
            .kernels
            .iter()
            .map(|k| touched(&program, k))
            .collect();
        let mut side_by_side = 0;
        for (j, kernel) in program.kernels.iter().enumerate() {
            for (i, first) in program.kernels[..j].iter().enumerate() {
                let needed = depends(&touched[i], &touched[j]);
                assert!(!needed || waits[j][i], "{} and {}", first.name, kernel.name);
                side_by_side += usize::from(!waits[j][i]);
            }
        }
        assert!(
            side_by_side > 0,
            "the quantisation and the gate do not wait for each other"
        );
    }
}

#[test]
fn a_missing_order_is_refused_by_the_pass() {
    let check = |program: &Program| {
        let context = Context::new(common::options().machine);
        let run = Manager::new().run(
            Artifact::Program(program.clone()),
            &["check-order"],
            &context,
        );
        run.map(|_| ())
    };
    let whole = program(Form::Optimized);
    check(&whole).expect("the standard passes give an order");
    let position = |name: &str| whole.kernels.iter().position(|k| k.name == name);
    let sort = position("route_sort").expect("the layer sorts");
    let mut changed = whole.clone();
    changed.kernels[sort].after.retain(|n| n != "gate_act");
    let error = check(&changed).expect_err("the scores may not be there yet");
    assert_eq!(
        error.to_string(),
        "kernel `route_sort` may start before `gate_act` is over: read after write of rows 0..8 and columns 0..64 of \
         `score`"
    );
    assert!(matches!(error, PassError::Kernel(_)));
    // Two kernels that write parts of one tensor need no order; with the same part they do.
    let mut changed = whole.clone();
    let act = position("gate_act").expect("the gate has a vector part");
    let init = position("gate_pad_init").expect("padding is initialised on its own");
    assert!(!waits(&changed)[act][init]);
    changed.kernels[act].after.push("route_sort".into());
    let error = check(&changed).expect_err("a kernel cannot wait for a later one");
    assert_eq!(
        error.to_string(),
        "kernel `gate_act` waits for `route_sort`, which is not launched before it"
    );
    let mut changed = whole.clone();
    for stmt in &mut changed.kernels[init].body {
        if let Stmt::Instr(Instr::Store { dst, .. }) = stmt {
            dst.col = Expr::constant(0);
        }
    }
    let error = check(&changed).expect_err("who writes last is nobody's promise");
    assert!(error.to_string().contains("write after write"), "{error}");
}
