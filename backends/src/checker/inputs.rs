//! Inputs to check a program on.

use crate::data::generate::tensor;
use crate::data::{DataError, Scalar, Tensor, Tensors};
use indexmap::IndexMap;
use std::collections::BTreeSet;
use tilewright_ir::DType;
use tilewright_ir::graph::{Dim, InputSpec, Type};
use tilewright_ir::kernel::{
    Expr, GlobalRef, Instr, Kernel, Program, Ranges, Role, TileId, TileRef, Var, VectorOp,
    verify_tensors,
};
use tilewright_ir::machine::Machine;

/// The same inputs with the largest value of every scalar, with half of it, and with zero: rows that are all valid, some, none.
/// A program without scalars has one case.
pub fn cases(program: &Program, inputs: &Tensors) -> Vec<Tensors> {
    let with = |value: &dyn Fn(i64) -> i64| {
        let mut tensors = inputs.clone();
        for (name, most) in &program.scalars {
            let dtype = inputs.get(name).map_or(DType::I32, |t| t.dtype);
            let scalar = Tensor::scalar(dtype, Scalar::Int(value(*most)));
            tensors.insert(name.clone(), scalar);
        }
        tensors
    };
    let mut all = vec![with(&|most| most)];
    if program.scalars.values().any(|most| *most > 0) {
        all.push(with(&|most| most / 2));
        all.push(with(&|_| 0));
    }
    all
}

/// Inputs for a program that comes without its graph, from a seed. Floats are normal; integers that end up as indices are
/// within what they index, and the others are small.
///
/// # Errors
///
/// A tensor that is too large.
pub fn generate(program: &Program, machine: &Machine, seed: u64) -> Result<Tensors, DataError> {
    let mut tensors = Tensors::new();
    // Of broken tensors there are none to make; the checker says what is wrong with them.
    if verify_tensors(program).is_err() {
        return Ok(tensors);
    }
    let bounds = bounds(program, machine);
    for (name, t) in &program.tensors {
        if t.role != Role::Input {
            continue;
        }
        let shape: Vec<Dim> = t.shape.iter().map(|size| Dim::new(*size)).collect();
        let spec = InputSpec {
            low: None,
            bound: match t.dtype {
                d if d.is_float() => None,
                DType::I8 => bounds.get(name).copied(),
                _ => Some(bounds.get(name).copied().unwrap_or(128).max(1)),
            },
            normal: None,
            spread: None,
        };
        let made = tensor(name, &Type::new(t.dtype, shape), &spec, seed)?;
        tensors.insert(name.clone(), made);
    }
    for (name, most) in &program.scalars {
        tensors.insert(name.clone(), Tensor::scalar(DType::I32, Scalar::Int(*most)));
    }
    Ok(tensors)
}

/// What the integers of a tensor must stay below, where they count rows, are read as an index of rows or columns, or gathered by.
fn bounds(program: &Program, machine: &Machine) -> IndexMap<String, i64> {
    let mut out: IndexMap<String, i64> = IndexMap::new();
    let mut limit = |name: &str, most: i64| {
        let entry = out.entry(name.to_owned()).or_insert(i64::MAX);
        *entry = (*entry).min(most);
    };
    // Counts of rows, from none to all of a group.
    for tensor in program.tensors.values() {
        if let Some(ragged) = &tensor.ragged {
            let rows = tensor.matrix().0 / ragged.groups.max(1);
            limit(&ragged.counts, (rows as i64).saturating_add(1));
        }
    }
    for kernel in &program.kernels {
        let ranges = Ranges::new(program, kernel, &machine.geometry);
        let mut registers: Vec<(usize, &str)> = vec![];
        kernel.visit(&mut |i| {
            if let Instr::ReadScalar { dst, src } = i {
                registers.push((*dst, &src.tensor));
            }
        });
        kernel.visit(&mut |i| {
            let (Instr::Load { src: rect, .. }
            | Instr::Store { dst: rect, .. }
            | Instr::ReadScalar { src: rect, .. }) = i
            else {
                return;
            };
            for (register, most) in register_limits(program, &ranges, rect) {
                let from = registers.iter().filter(|(r, _)| *r == register);
                from.for_each(|(_, tensor)| limit(tensor, most));
            }
        });
        for (tensor, most) in gathered(kernel) {
            limit(&tensor, most);
        }
    }
    out
}

/// How large a register may be in the index of a rectangle, for each register there.
fn register_limits(program: &Program, ranges: &Ranges, rect: &GlobalRef) -> Vec<(usize, i64)> {
    let Some(tensor) = program.tensors.get(&rect.tensor) else {
        return vec![];
    };
    let (rows, cols) = rect.matrix(tensor);
    let mut out = vec![];
    for (start, extent, limit) in [
        (&rect.row, rect.height(), rows),
        (&rect.col, rect.cols, cols),
    ] {
        for (v, c) in &start.terms {
            if let Var::Reg(r) = v
                && *c > 0
            {
                let rest = others(ranges, start, *v);
                out.push((
                    *r,
                    (limit as i64)
                        .saturating_sub(extent as i64)
                        .saturating_sub(rest)
                        / c
                        + 1,
                ));
            }
        }
    }
    out
}

/// The most that an index comes to without one of its variables; loop counters are taken for what they are at first.
fn others(ranges: &Ranges, start: &Expr, without: Var) -> i64 {
    let most = |v: &Var| match v {
        Var::Grid(_) | Var::Scalar(_) | Var::Rank | Var::Sub => {
            ranges.of_var(*v).map_or(0, |(_, most)| most as i64)
        }
        Var::Epoch | Var::Loop(_) | Var::Turn(..) | Var::Reg(_) => 0,
    };
    let terms = start.terms.iter().filter(|(v, c)| *v != without && *c > 0);
    terms.fold(start.base, |sum, (v, c)| {
        sum.saturating_add(c.saturating_mul(most(v)))
    })
}

/// Tensors that are loaded and gathered by, with the columns that they choose from.
fn gathered(kernel: &Kernel) -> Vec<(String, i64)> {
    let mut choices: Vec<(TileId, i64)> = vec![];
    let mut copies: Vec<(TileId, TileId)> = vec![];
    let mut loads: Vec<(TileId, String)> = vec![];
    kernel.visit(&mut |i| match i {
        Instr::Load { dst, src } => loads.push((dst.tile, src.tensor.clone())),
        Instr::Vector {
            op: VectorOp::Gather,
            srcs,
            ..
        } => {
            if let [values, by] = srcs.as_slice() {
                let cols = kernel.tiles.get(values.tile).map_or(1, |t| t.valid_cols);
                choices.push((by.tile, cols as i64));
            }
        }
        Instr::Vector {
            op: VectorOp::Copy,
            dst,
            srcs,
            ..
        } => copies.extend(srcs.iter().map(|s: &TileRef| (dst.tile, s.tile))),
        _ => {}
    });
    let mut out = vec![];
    for (tile, cols) in choices {
        let mut from = BTreeSet::from([tile]);
        // A chain of copies is no longer than the list of them.
        for _ in 0..copies.len() {
            let more = copies.iter().filter(|c| from.contains(&c.0)).map(|c| c.1);
            from.extend(more.collect::<Vec<_>>());
        }
        let tensors = loads.iter().filter(|l| from.contains(&l.0));
        out.extend(tensors.map(|l| (l.1.clone(), cols)));
    }
    out
}
