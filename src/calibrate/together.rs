//! What the kernels of a layer take together, as a record says that they ran.

use tilewright_ir::kernel::{Kernel, Unit};
use tilewright_ir::machine::Machine;
use tilewright_passes::cost;

/// us from the start of the first kernel to the end of the last one. Stages follow each other; the kernels of a stage run side by
/// side, as far as there are cores. Parts of one launch start together, once.
pub fn layer_us(stages: &[Vec<&Kernel>], one_launch: bool, machine: &Machine) -> f64 {
    let start = |kernel: &Kernel| {
        cost::launch_us(kernel, machine) + machine.micros(machine.block_head.value)
    };
    let us = |kernel: &Kernel| {
        let us = cost::estimate(kernel, machine).us;
        match one_launch {
            true => us - start(kernel),
            false => us,
        }
    };
    let all: f64 = stages
        .iter()
        .map(|stage| side_by_side(stage, &us, machine))
        .sum();
    let first = stages.iter().flatten().next().filter(|_| one_launch);
    all + first.map_or(0.0, |kernel| start(kernel))
}

/// A kernel on its cores: cube and vector ones.
struct Running {
    start: f64,
    end: f64,
    cores: [f64; 2],
}

/// Each kernel starts as soon as it has its cores.
fn side_by_side(stage: &[&Kernel], us: &dyn Fn(&Kernel) -> f64, machine: &Machine) -> f64 {
    let mut running: Vec<Running> = vec![];
    for kernel in stage {
        let (us, cores) = (us(kernel), cores(kernel, machine));
        let mut starts: Vec<f64> = running.iter().map(|r| r.end).chain([0.0]).collect();
        starts.sort_by(f64::total_cmp);
        let last = starts.last().copied().unwrap_or(0.0);
        let fits = |start: &f64| room(&running, (*start, start + us), cores, machine);
        let start = starts.into_iter().find(fits).unwrap_or(last);
        running.push(Running {
            start,
            end: start + us,
            cores,
        });
    }
    running.iter().map(|r| r.end).fold(0.0, f64::max)
}

/// Cube and vector cores that a kernel has at once.
fn cores(kernel: &Kernel, machine: &Machine) -> [f64; 2] {
    let blocks = kernel.launch.blocks() as f64;
    let all = [machine.cube_cores.value, machine.vector_cores.value];
    match kernel.unit {
        Unit::Cube => [blocks.min(all[0]), 0.0],
        Unit::Vector => [0.0, blocks.min(all[1])],
        Unit::Mixed => {
            let each = machine.geometry.sub_blocks.value;
            let blocks = blocks.min(all[0]).min((all[1] / each).floor());
            [blocks, blocks * each]
        }
    }
}

/// Whether so many cores are free all the time.
fn room(running: &[Running], (start, end): (f64, f64), cores: [f64; 2], machine: &Machine) -> bool {
    let all = [machine.cube_cores.value, machine.vector_cores.value];
    // More of them run only from where one starts.
    let starts = running.iter().map(|r| r.start);
    let mut moments = starts.filter(|s| *s > start && *s < end).chain([start]);
    moments.all(|t| {
        let now = running.iter().filter(|r| r.start <= t && t < r.end);
        let used = now.fold([0.0, 0.0], |u, r| [u[0] + r.cores[0], u[1] + r.cores[1]]);
        (0..2).all(|i| used[i] + cores[i] <= all[i])
    })
}
