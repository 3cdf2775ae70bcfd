//! Which vector kernels pins want to be one.

use super::{Param, PinError, Pins};
use crate::numerics::Numerics;
use crate::problem::{KernelSpec, Problem};
use std::collections::BTreeSet;
use tilewright_ir::kernel::Unit;

/// Whether a kernel can be one with another.
pub(super) fn can(spec: &KernelSpec) -> bool {
    spec.unit == Unit::Vector && spec.exchange.is_none()
}

/// A `fuse` of a kernel with these parts, by names of parts: of the vector part, with those of the others.
pub(super) fn resolved(
    with: &[String],
    kernel: &str,
    parts: &[&KernelSpec],
    problem: &Problem,
) -> Result<(String, Param), PinError> {
    let refused = |expected: String| PinError::Value {
        kernel: kernel.into(),
        param: "fuse".into(),
        value: Param::Fuse(with.to_vec())
            .to_string()
            .replacen("fuse=", "", 1),
        expected,
    };
    let only = |parts: &[&KernelSpec]| -> Result<String, String> {
        let vector: Vec<&str> = (parts.iter().filter(|k| can(k)))
            .map(|k| k.name.as_str())
            .collect();
        match vector[..] {
            [one] => Ok(one.to_owned()),
            [] => Err(others(kernel, problem)),
            _ => Err(format!("one part of a kernel: {}", vector.join(", "))),
        }
    };
    let own = only(parts).map_err(|known| refused(known.clone()))?;
    let mut names = vec![];
    for name in with {
        let named: Vec<&KernelSpec> = match problem.kernels.iter().any(|k| &k.region == name) {
            true => problem
                .kernels
                .iter()
                .filter(|k| &k.region == name)
                .collect(),
            false => problem.kernels.iter().filter(|k| &k.name == name).collect(),
        };
        let name = only(&named).map_err(refused)?;
        if name == own {
            return Err(refused(others(kernel, problem)));
        }
        names.push(name);
    }
    Ok((own, Param::Fuse(names)))
}

/// What a kernel may be one with, in words.
fn others(kernel: &str, problem: &Problem) -> String {
    let others = problem
        .kernels
        .iter()
        .filter(|k| can(k) && k.name != kernel && k.region != kernel);
    let names: Vec<&str> = others.map(|k| k.name.as_str()).collect();
    match names.is_empty() {
        true => "none, as there is no other vector kernel".into(),
        false => format!(
            "none, or vector kernels with + between: {}",
            names.join(", ")
        ),
    }
}

/// Looks whether each kernel is to be one with the same others, whoever says it, and whether the first of them has the pins.
pub(super) fn once(pins: &Pins, problem: &Problem) -> Result<(), PinError> {
    let sets = pins.fused(problem);
    let name = |k: usize| problem.kernels[k].name.clone();
    for (i, (said, set)) in sets.iter().enumerate() {
        for (other, earlier) in &sets[..i] {
            let shared = set.intersection(earlier).next();
            if let (Some(kernel), true) = (shared, set != earlier) {
                return Err(PinError::FusedTwice {
                    kernel: name(*kernel),
                    first: name(*other),
                    second: name(*said),
                });
            }
        }
        let mut members = set.iter();
        let first = members.next().map_or_else(String::new, |k| name(*k));
        for k in members {
            let own = pins.kernels.get(&name(*k));
            let schedules = |p: &&Param| {
                matches!(
                    p,
                    Param::Grid(_) | Param::Stores(_) | Param::Reduces(_) | Param::Tile(..)
                )
            };
            let params = own.map(|p| p.params()).unwrap_or_default();
            if let Some(param) = params.iter().find(schedules) {
                return Err(PinError::FusedAway {
                    pin: format!("{}.{param}", name(*k)),
                    first,
                });
            }
        }
    }
    Ok(())
}

impl Pins {
    /// Policies that kernels are pinned to, each once; `None` is that of kernels as written.
    pub fn policies(&self, problem: &Problem) -> Vec<Option<Numerics>> {
        let mut all: Vec<Option<Numerics>> = vec![];
        for policy in problem.kernels.iter().filter_map(|k| self.of(k).numerics) {
            if !all.contains(&policy) {
                all.push(policy);
            }
        }
        all
    }

    /// Sets of kernels as written that pins want to be one, by place, each with who says so; of one kernel, where it is to stay
    /// by itself.
    pub fn fused(&self, problem: &Problem) -> Vec<(usize, BTreeSet<usize>)> {
        let place = |name: &String| problem.kernels.iter().position(|k| &k.name == name);
        let mut sets = vec![];
        for (k, spec) in problem.kernels.iter().enumerate() {
            if let Some(with) = self.of(spec).fuse.filter(|_| can(spec)) {
                sets.push((k, with.iter().filter_map(place).chain([k]).collect()));
            }
        }
        sets
    }
}
