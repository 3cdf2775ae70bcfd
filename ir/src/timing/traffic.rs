//! How much of global memory a kernel touches, however often.

use crate::kernel::{Access, Expr, GlobalRef, Instr, Kernel, Unit, Var};
use crate::machine::Machine;

/// A part of a tensor that a kernel touches: how, and how many bytes it is in all.
#[derive(Debug, Clone, PartialEq)]
pub struct Touched<'k> {
    pub tensor: &'k str,
    pub access: Access,
    pub bytes: f64,
}

/// Bytes of the kernel's own global memory that it touches in all, each once: what has to come from HBM, or go there.
pub fn distinct(machine: &Machine, kernel: &Kernel) -> f64 {
    touched(machine, kernel).iter().map(|t| t.bytes).sum()
}

/// What of global memory a kernel touches, each part once. The same part may be touched by several blocks and trips; two
/// instructions on one tensor are taken to touch different parts where their rectangles differ. Run-time conditions are taken.
pub fn touched<'k>(machine: &Machine, kernel: &'k Kernel) -> Vec<Touched<'k>> {
    let trips = kernel.trips();
    let mut seen: Vec<(&GlobalRef, Touched<'k>)> = vec![];
    kernel.visit(&mut |instr| {
        let Some((access, rect)) = instr.global() else {
            return;
        };
        if rect.peer.is_some() || seen.iter().any(|(r, t)| *r == rect && t.access == access) {
            return;
        }
        let moved = super::cost(machine, kernel, instr).gm_bytes as f64;
        // What the scalar unit reads is a line.
        let (rows, cols) = match instr {
            Instr::Load { .. } | Instr::Store { .. } => (rect.rows, rect.cols),
            _ => (1, 1),
        };
        let count = |e: &Expr, extent: usize| places(kernel, machine, &trips, e, extent);
        let bytes = moved * count(&rect.row, rows) * count(&rect.col, cols);
        let tensor = &rect.tensor;
        seen.push((
            rect,
            Touched {
                tensor,
                access,
                bytes,
            },
        ));
    });
    seen.into_iter().map(|(_, touched)| touched).collect()
}

/// How many extents apart the places of an index are in all, as far as they do not overlap.
fn places(kernel: &Kernel, machine: &Machine, trips: &[usize], index: &Expr, extent: usize) -> f64 {
    let extent = extent.max(1) as f64;
    let each = index.terms.iter().map(|(var, step)| {
        let count = match *var {
            Var::Grid(axis) => kernel.launch.grid.get(axis).map_or(1, |a| a.count),
            Var::Loop(l) => trips.get(l).copied().unwrap_or(1),
            Var::Turn(l, of) => trips.get(l).copied().unwrap_or(1).min(of),
            Var::Sub if kernel.unit == Unit::Mixed => machine.geometry.sub_blocks.count(),
            // What depends on data may be anywhere, and is taken to be in one place.
            _ => 1,
        };
        // Steps that are smaller than the extent overlap.
        let share = (step.unsigned_abs() as f64 / extent).min(1.0);
        1.0 + (count.saturating_sub(1)) as f64 * share
    });
    each.product()
}
