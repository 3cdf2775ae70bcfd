//! What each kernel waits for.
//!
//! Of all kernels that a kernel depends on, [`Kernel::after`] names those that none of the others waits for already.

use tilewright_ir::kernel::{Footprint, Kernel, Program, dependence, footprints};
use tilewright_ir::machine::Machine;

/// Fills in what every kernel waits for, anew.
pub fn order(program: &mut Program, machine: &Machine) {
    let touched: Vec<Vec<Footprint>> = program
        .kernels
        .iter()
        .map(|k| footprints(k, program, machine))
        .collect();
    let mut waits: Vec<Vec<bool>> = vec![];
    for j in 0..program.kernels.len() {
        let mut own = vec![false; j];
        let mut direct = vec![];
        // From the latest one back: what it waits for needs no mention.
        for i in (0..j).rev() {
            if !own[i] && dependence(&touched[i], &touched[j]).is_some() {
                direct.push(i);
                own[i] = true;
                for (k, far) in waits[i].iter().enumerate() {
                    own[k] |= far;
                }
            }
        }
        waits.push(own);
        let names = direct.iter().rev().map(|i| name(&program.kernels[*i]));
        program.kernels[j].after = names.collect();
    }
}

fn name(kernel: &Kernel) -> String {
    kernel.name.clone()
}
