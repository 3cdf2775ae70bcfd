//! How long programs take.

use crate::build::*;
use crate::kernels::*;
use tilewright_backends::sim::{self, KernelReport};
use tilewright_ir::graph::{LaunchKind, Unary};
use tilewright_ir::kernel::*;

fn time(program: &Program) -> KernelReport {
    match sim::time(program, &machine()) {
        Ok(mut report) => report.kernels.remove(0),
        Err(error) => panic!("{error}"),
    }
}

/// `add_one` with as much vector work as its loads take.
fn balanced(depth: usize) -> KernelReport {
    let mut p = add_one(depth);
    let exp = vector(VectorOp::Unary(Unary::Exp), at(1, 0), &[at(1, 0)]);
    for _ in 0..4 {
        loop_of(&mut p).splice(6..6, [Stmt::Barrier(Pipe::V), exp.clone()]);
    }
    time(&p)
}

#[test]
fn a_pipelined_loop_is_as_fast_as_its_busiest_pipe() {
    let piped = balanced(2);
    let ranged = balanced(1);
    let all: f64 = piped.pipes.values().sum();
    let busiest = piped.pipes[&piped.busiest.unwrap()];
    assert!(
        piped.block_cycles < 1.15 * busiest + all / TRIPS as f64,
        "{} cycles, busiest pipe {busiest}",
        piped.block_cycles
    );
    assert!(piped.steady_share > 0.9, "{}", piped.steady_share);
    assert_eq!(ranged.pipes, piped.pipes);
    assert!(
        ranged.block_cycles > 1.5 * piped.block_cycles,
        "range {}, pipeline {}",
        ranged.block_cycles,
        piped.block_cycles
    );
}

#[test]
fn a_chain_takes_the_sum_of_its_instructions() {
    let report = time(&sum_rows());
    let sum = report.pipes.values().sum::<f64>();
    let off = (report.block_cycles - sum).abs() / sum;
    assert!(off < 1e-12, "{} cycles, not {sum}", report.block_cycles);
}

#[test]
fn a_run_with_data_takes_as_long_as_one_without() {
    let program = add_one(2);
    let with_data = run(&program, &add_one_inputs()).unwrap();
    assert_eq!(with_data.kernels[0], time(&program));
}

#[test]
fn blocks_run_in_waves() {
    let mut m = machine();
    m.runtime_mut().block.value = 0.0;
    let cores = m.vector_cores.value as usize;
    let with_blocks = |n: usize| {
        let mut p = gather_rows();
        p.kernels[0].launch.grid[0].count = n;
        p.tensors["table"].shape = vec![n];
        p.tensors["y"].shape = vec![n, 64];
        sim::time(&p, &m).unwrap().kernels.remove(0)
    };
    let (one, full, more) = (with_blocks(1), with_blocks(cores), with_blocks(cores + 1));
    assert_eq!((one.waves, one.cores), (1, 1));
    assert_eq!((full.waves, full.cores), (1, cores));
    assert_eq!((more.waves, more.cores), (2, cores));
    let work = |r: &KernelReport| r.us - r.launch_us;
    assert!(work(&more) > 1.5 * work(&full));
    assert_eq!(one.launch_us, m.runtime().start(LaunchKind::Spmd));
}

#[test]
fn parallel_tasks_are_launched_one_after_the_other() {
    let m = machine();
    let mut p = gather_rows();
    p.kernels[0].launch.kind = LaunchKind::Parallel;
    let found = time(&p);
    assert_eq!(found.launch_us, m.runtime().start(LaunchKind::Parallel));
    // The last of three starts two steps after the first.
    assert!(found.us >= found.launch_us + 2.0 * m.runtime().task.value);
}

#[test]
fn cores_share_global_memory() {
    let mut p = add_one(2);
    p.kernels[0].launch.grid[0].count = machine().vector_cores.value as usize;
    let mut m = machine();
    m.runtime_mut().block.value = 0.0;
    let alone = sim::time(&p, &m).unwrap().kernels.remove(0);
    m.l2_bandwidth.value /= 256.0;
    let shared = sim::time(&p, &m).unwrap().kernels.remove(0);
    let cycles = shared.gm_bytes as f64 / (m.l2_bandwidth.value * 1e9) * m.clock_mhz.value * 1e6;
    let work = (shared.us - shared.launch_us) * m.clock_mhz.value;
    assert!(
        (work - cycles).abs() < 1e-6 * cycles,
        "{work} cycles, {cycles} of bandwidth"
    );
    assert!(shared.stretch > alone.stretch);
}
