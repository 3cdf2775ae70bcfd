//! Which kernels must be over before another one starts.
//!
//! A kernel's [`Kernel::after`] says what it waits for; launchers rely on that and on nothing else, so kernels that do not wait
//! for each other may run side by side, in either order. [`check_order`] does not trust the lists: it takes all pairs of
//! kernels that touch the same elements, at least one of them writing, and wants the later one to wait for the earlier one,
//! directly or through others.
//!
//! What a kernel touches is known up to rectangles: the least ones that hold an access of all blocks and trips. An index from a
//! register or the number of the layer run may be anywhere in its tensor.

use super::{Access, Expr, Kernel, KernelError, Program, Ranges, Var};
use crate::machine::Machine;
use serde::{Deserialize, Serialize};

/// Why a kernel must wait for an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dependence {
    ReadAfterWrite,
    WriteAfterRead,
    WriteAfterWrite,
}

impl Dependence {
    /// As it is said in messages: `write after read`.
    pub fn text(self) -> &'static str {
        match self {
            Dependence::ReadAfterWrite => "read after write",
            Dependence::WriteAfterRead => "write after read",
            Dependence::WriteAfterWrite => "write after write",
        }
    }
}

/// The part of a tensor that an instruction touches in all blocks and trips together: ranges of rows and columns, ends not included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footprint {
    pub tensor: String,
    pub writes: bool,
    pub rows: (i64, i64),
    pub cols: (i64, i64),
}

impl Footprint {
    /// What two footprints have in common: rows and columns.
    fn meet(&self, other: &Footprint) -> Option<((i64, i64), (i64, i64))> {
        let common = |a: (i64, i64), b: (i64, i64)| (a.0.max(b.0), a.1.min(b.1));
        let (rows, cols) = (common(self.rows, other.rows), common(self.cols, other.cols));
        (self.tensor == other.tensor && rows.0 < rows.1 && cols.0 < cols.1).then_some((rows, cols))
    }
}

/// What a kernel touches in global memory, an entry for each different footprint. Tensors that the program lacks are left out.
///
/// All ranks run the same kernels, so what this one does to a peer's window is what a peer may do to its own.
pub fn footprints(kernel: &Kernel, program: &Program, machine: &Machine) -> Vec<Footprint> {
    let ranges = Ranges::new(program, kernel, &machine.geometry);
    let mut out = vec![];
    kernel.visit(&mut |instr| {
        let Some((access, rect)) = instr.global() else {
            return;
        };
        let Some(tensor) = program.tensors.get(&rect.tensor) else {
            return;
        };
        let (rows, cols) = rect.matrix(tensor);
        let mut footprint = Footprint {
            tensor: rect.tensor.clone(),
            writes: access == Access::Write,
            rows: touched(&ranges, &rect.row, rect.height(), rows),
            cols: touched(&ranges, &rect.col, rect.cols, cols),
        };
        if rect.view.is_some() {
            (footprint.rows, footprint.cols) = own(footprint.rows, cols, tensor.matrix().1);
        }
        if !out.contains(&footprint) {
            out.push(footprint);
        }
    });
    out
}

/// Rows and columns of a tensor of `wide` columns that hold these rows of a view of `cols` columns.
fn own(rows: (i64, i64), cols: usize, wide: usize) -> ((i64, i64), (i64, i64)) {
    let (cols, wide) = (cols as i128, wide.max(1) as i128);
    let first = i128::from(rows.0) * cols / wide;
    let end = (i128::from(rows.1) * cols + wide - 1) / wide;
    ((first as i64, end as i64), (0, wide as i64))
}

/// From the least start to the greatest end, within the tensor.
fn touched(ranges: &Ranges, start: &Expr, extent: usize, limit: usize) -> (i64, i64) {
    let counts_runs = start.terms.iter().any(|(v, _)| *v == Var::Epoch);
    match ranges.of(start) {
        Some((low, high)) if !counts_runs => {
            let within = |x: i128| x.clamp(0, limit as i128) as i64;
            (within(low), within(high + extent as i128))
        }
        _ => (0, limit as i64),
    }
}

/// How two kernels depend, on what tensor, and which rows and columns of it both touch.
type Overlap<'a> = (Dependence, &'a str, (i64, i64), (i64, i64));

/// Why the kernel with the second footprints must wait for that with the first, and what both touch: tensor, rows, columns.
pub fn dependence<'a>(first: &'a [Footprint], second: &[Footprint]) -> Option<Overlap<'a>> {
    first.iter().find_map(|a| {
        second.iter().find_map(|b| {
            let kind = match (a.writes, b.writes) {
                (true, false) => Dependence::ReadAfterWrite,
                (false, true) => Dependence::WriteAfterRead,
                (true, true) => Dependence::WriteAfterWrite,
                (false, false) => return None,
            };
            let (rows, cols) = a.meet(b)?;
            Some((kind, a.tensor.as_str(), rows, cols))
        })
    })
}

/// For each kernel, whether it waits for each one before it, directly or through others. Names that are no earlier kernel count for
/// nothing.
pub fn waits(program: &Program) -> Vec<Vec<bool>> {
    let mut all: Vec<Vec<bool>> = vec![];
    for (j, kernel) in program.kernels.iter().enumerate() {
        let mut own = vec![false; j];
        for name in &kernel.after {
            let earlier = program.kernels[..j].iter();
            if let Some(i) = earlier.clone().position(|k| &k.name == name) {
                own[i] = true;
                for (k, far) in all[i].iter().enumerate() {
                    own[k] |= far;
                }
            }
        }
        all.push(own);
    }
    all
}

/// Checks that no kernel can start before those are over whose data it reads or whose data it overwrites.
///
/// # Errors
/// All of [`KernelError::After`], and a [`KernelError::Order`] for each pair of kernels that lacks an order.
pub fn check_order(program: &Program, machine: &Machine) -> Result<(), Vec<KernelError>> {
    let mut errors = vec![];
    let position = |name: &str| program.kernels.iter().position(|k| k.name == name);
    let waits = waits(program);
    let touched: Vec<Vec<Footprint>> = program
        .kernels
        .iter()
        .map(|k| footprints(k, program, machine))
        .collect();
    for (j, kernel) in program.kernels.iter().enumerate() {
        for name in &kernel.after {
            let what = match position(name) {
                None => "which the program does not have",
                Some(i) if i >= j => "which is not launched before it",
                Some(_) => continue,
            };
            errors.push(KernelError::After {
                kernel: kernel.name.clone(),
                name: name.clone(),
                what,
            });
        }
        for (i, first) in program.kernels[..j].iter().enumerate() {
            if waits[j][i] {
                continue;
            }
            if let Some((dependence, tensor, rows, cols)) = dependence(&touched[i], &touched[j]) {
                errors.push(KernelError::Order {
                    kernel: kernel.name.clone(),
                    first: first.name.clone(),
                    dependence,
                    tensor: tensor.to_owned(),
                    rows,
                    cols,
                });
            }
        }
    }
    match errors.is_empty() {
        true => Ok(()),
        false => Err(errors),
    }
}
