//! What kernels are predicted to cost, against times that follow from bytes and bandwidths alone, and against the bound.

#[allow(dead_code)]
#[path = "synchronise/build.rs"]
mod build;
#[path = "synchronise/random.rs"]
mod random;

use build::*;
use indexmap::IndexMap;
use tilewright_backends::sim;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::kernel::{
    Expr, GlobalRef, GlobalTensor, GridAxis, Instr, Kernel, Program, Role, Space, Stmt, Var,
};
use tilewright_ir::machine::Machine;
use tilewright_passes::cost::{Roof, bound, estimate, launch_us};
use tilewright_passes::kernel::synchronise::synchronise;

/// The default machine, with this part of its bandwidth to global memory.
fn machine(share: f64) -> Machine {
    let mut machine = Machine::builtin("A3").unwrap();
    for figure in [
        &mut machine.gm_bandwidth,
        &mut machine.gm_peak,
        &mut machine.l2_bandwidth,
    ] {
        figure.value *= share;
    }
    machine
}

fn tensor(rows: usize, role: Role) -> GlobalTensor {
    GlobalTensor {
        dtype: DType::F32,
        shape: vec![rows, COLS],
        role,
        ragged: None,
        expected: vec![],
    }
}

/// Columns of all tiles and tensors.
const COLS: usize = 256;
/// Rows of a tile of [`stream`].
const ROWS: usize = 16;
const TRIPS: usize = 12;

/// Rows of a tensor from `first`, as many as a tile of [`stream`] has.
fn rows(name: &str, first: Expr, peer: Option<Expr>) -> GlobalRef {
    GlobalRef {
        rows: ROWS,
        peer,
        ..row(name, first)
    }
}

/// Each block loads rows of its own and stores them again, `TRIPS` tiles one after the other; into a peer's window if so asked.
fn stream(blocks: usize, to_peer: bool) -> Kernel {
    let mut k = kernel(&["i"]);
    k.launch.grid.push(GridAxis {
        name: "b".into(),
        count: blocks,
    });
    let bytes = ROWS * COLS * 4;
    let x = tile(&mut k, "x", Space::Ub, &[0, bytes]);
    k.tiles[x].rows = ROWS;
    k.tiles[x].valid_rows = ROWS;
    let first = || Expr::var(Var::Grid(0), (TRIPS * ROWS) as i64).plus(Var::Loop(0), ROWS as i64);
    let slot = || at(x, Some(0));
    let peer = to_peer.then(|| Expr::constant(1));
    k.body = vec![each_of(
        0,
        TRIPS,
        2,
        vec![
            load(slot(), rows("x", first(), None)),
            store(rows("y", first(), peer), slot()),
        ],
    )];
    k
}

/// Bytes that [`stream`] loads, and as many that it stores.
fn one_way(blocks: usize) -> f64 {
    (blocks * TRIPS * ROWS * COLS * 4) as f64
}

fn tensors_of_stream(blocks: usize) -> IndexMap<String, GlobalTensor> {
    let rows = blocks * TRIPS * ROWS;
    [("x", Role::Input), ("y", Role::Output)]
        .map(|(name, role)| (name.to_owned(), tensor(rows, role)))
        .into()
}

fn simulated_us(kernel: &Kernel, machine: &Machine) -> f64 {
    let program = Program {
        name: "p".into(),
        machine: "a3".into(),
        ranks: 1,
        tensors: tensors_of_stream(kernel.launch.blocks()),
        scalars: IndexMap::new(),
        kernels: vec![synchronise(kernel, &machine.geometry).unwrap()],
    };
    sim::time(&program, machine).unwrap().kernels[0].us
}

fn assert_close(a: f64, b: f64, what: &str) {
    assert!((a - b).abs() <= 1e-9 * b, "{what}: {a} us, not {b}");
}

/// Where global memory is slow enough, a launch takes what its bytes take, by the search's model and by the simulator.
#[test]
fn cores_share_the_bandwidth_of_global_memory() {
    let machine = machine(1.0 / 256.0);
    let cores = machine.vector_cores.value as usize;
    for blocks in [2, cores / 2, cores, 3 * cores] {
        let k = stream(blocks, false);
        // GB/s are bytes a nanosecond.
        let bytes = 2.0 * one_way(blocks);
        let want = launch_us(&k, &machine) + bytes / machine.gm_bandwidth.value / 1e3;
        let predicted = estimate(&k, &machine);
        assert_close(predicted.us, want, &format!("{blocks} blocks, predicted"));
        assert_eq!(predicted.gm_bytes, bytes);
        assert_close(
            simulated_us(&k, &machine),
            want,
            &format!("{blocks} blocks, simulated"),
        );
        let bound = bound(&k, &tensors_of_stream(blocks), &machine);
        assert_eq!(bound.by, Roof::Bandwidth);
        let start = launch_us(&k, &machine);
        let bytes_us = bytes / machine.gm_peak.value / 1e3;
        assert_close(bound.us, start + bytes_us, "bound");
        assert!(bound.us <= predicted.us);
    }
}

/// Where it is fast enough, blocks side by side take as long as one.
#[test]
fn a_bandwidth_that_is_not_used_up_costs_nothing() {
    let mut machine = machine(1e3);
    // All blocks are started at once.
    machine = with_steps(machine, 0.0);
    let cores = machine.vector_cores.value as usize;
    let us = |blocks| {
        let k = stream(blocks, false);
        estimate(&k, &machine).us - launch_us(&k, &machine)
    };
    assert_close(us(cores), us(1), "as many blocks as cores");
    assert_close(us(cores + 1), 2.0 * us(1), "a block more");
    assert_close(us(3 * cores), 3.0 * us(1), "three waves");
}

#[test]
fn cores_share_the_links_to_peers() {
    let mut machine = with_steps(machine(1.0), 0.0);
    machine.link_bandwidth.value /= 256.0;
    let cores = machine.vector_cores.value as usize;
    for blocks in [2, cores] {
        let k = stream(blocks, true);
        let predicted = estimate(&k, &machine);
        let want = one_way(blocks) / machine.link_bandwidth.value / 1e3;
        assert_close(
            predicted.us,
            want + launch_us(&k, &machine),
            &format!("{blocks} blocks"),
        );
        // What goes to a peer is not the rank's own memory.
        assert_eq!(predicted.gm_bytes, one_way(blocks));
    }
}

/// The machine, whose runtime takes so many us from the start of a block to that of the next one.
fn with_steps(mut machine: Machine, us: f64) -> Machine {
    machine.runtime_mut().task.value = us;
    machine.runtime_mut().block.value = us;
    machine
}

/// Blocks start one after the other, as fast as the kind of launch says.
#[test]
fn starting_costs_by_kind() {
    let alone = |kind| {
        let machine = with_steps(machine(1e3), 0.0);
        let mut k = stream(5, false);
        k.launch.kind = kind;
        estimate(&k, &machine).us
    };
    for (kind, step) in [(LaunchKind::Spmd, 30.0), (LaunchKind::Parallel, 40.0)] {
        let machine = with_steps(machine(1e3), step);
        let mut k = stream(5, false);
        k.launch.kind = kind;
        assert_eq!(launch_us(&k, &machine), machine.runtime().start(kind));
        let last = 4.0 * step;
        assert_close(estimate(&k, &machine).us, alone(kind) + last, "five blocks");
        assert_close(simulated_us(&k, &machine), alone(kind) + last, "simulated");
    }
}

/// What all blocks read again comes from L2, and from HBM once.
#[test]
fn what_is_read_again_comes_from_l2() {
    let mut machine = with_steps(machine(1.0), 0.0);
    machine.l2_bandwidth.value = machine.gm_bandwidth.value * 1e3;
    machine.gm_bandwidth.value /= 256.0;
    let own = stream(24, false);
    let mut same = own.clone();
    let Stmt::Loop { body, .. } = &mut same.body[0] else {
        panic!("a loop");
    };
    let Stmt::Instr(Instr::Load { src, .. }) = &mut body[0] else {
        panic!("a load");
    };
    src.row = Expr::var(Var::Loop(0), ROWS as i64);
    let us = |k: &Kernel| estimate(k, &machine).us - launch_us(k, &machine);
    let stored = one_way(24);
    let bytes = |loaded: f64| (stored + loaded) / machine.gm_bandwidth.value / 1e3;
    assert_close(us(&own), bytes(stored), "rows of their own");
    assert_close(us(&same), bytes(stored / 24.0), "the same rows");
}

/// Multiplies the trips of all loops.
fn longer(body: &mut [Stmt], factor: usize) {
    for stmt in body {
        match stmt {
            Stmt::Loop { trips, body, .. } => {
                *trips *= factor;
                longer(body, factor);
            }
            Stmt::If {
                then, otherwise, ..
            } => {
                longer(then, factor);
                longer(otherwise, factor);
            }
            _ => {}
        }
    }
}

/// No kernel is predicted to be faster than what no schedule of its work can be faster than.
#[test]
fn no_prediction_is_below_the_bound() {
    let mut reached = [0; 5];
    for seed in 0..200 {
        let mut k = random::random(seed, 2, true);
        longer(&mut k.body, [1, 3, 400][seed as usize % 3]);
        k.launch.grid.push(GridAxis {
            name: "b".into(),
            count: [1, 7, 48, 100][seed as usize % 4],
        });
        // Tensors that are read again and again, and such that are not.
        // Launches that cost something, and such that do not.
        for (rows, launch) in [(2, 1.0), (2, 0.0), (1 << 20, 0.0)] {
            let tensors = ["a", "b", "c"].map(|n| (n.to_owned(), tensor(rows, Role::Input)));
            for share in [1.0, 1.0 / 64.0, 1e3] {
                let mut machine = machine(share);
                let runtime = machine.runtime_mut();
                for figure in [
                    &mut runtime.spmd,
                    &mut runtime.parallel,
                    &mut runtime.handover,
                ] {
                    figure.value *= launch;
                }
                let predicted = estimate(&k, &machine).us;
                let bound = bound(&k, &tensors.clone().into(), &machine);
                assert!(
                    predicted >= bound.us * (1.0 - 1e-9),
                    "seed {seed}, {rows} rows, {share} of the bandwidth: {predicted} us, bound {bound:?}\n{}",
                    text(&k)
                );
                reached[bound.by as usize] += 1;
            }
        }
    }
    // Each kind of bound was the highest one of some kernels.
    assert!(reached.iter().all(|n| *n > 0), "{reached:?}");
}

/// A bound counts a tensor once, however often its rows are read.
#[test]
fn what_is_read_again_must_move_once() {
    let machine = machine(1.0 / 256.0);
    let k = stream(4, false);
    let all = tensors_of_stream(4);
    let mut few = all.clone();
    few.insert("x".into(), tensor(ROWS, Role::Input));
    let us = |tensors| bound(&k, tensors, &machine).us - launch_us(&k, &machine);
    let stored = one_way(4);
    let (once, again) = (us(&few), us(&all));
    let ratio = (stored + (ROWS * COLS * 4) as f64) / (2.0 * stored);
    assert_close(once, again * ratio, "one tile read 48 times");
}
