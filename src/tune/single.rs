//! Tuning of one kernel as written of a graph.

use super::engine::{Bench, Tuned, Tuning};
use super::kernel::KernelSpace;
use super::proposer::Proposer;
use super::runner::TrialData;
use super::space::Space;
use super::{TuneError, key, lowered, problem};
use crate::compile::Options;
use crate::data::{Source, inputs};
use crate::error::Result;
use indexmap::IndexMap;
use tilewright_backends::data::Tensors;
use tilewright_backends::reference;
use tilewright_ir::graph::Graph;
use tilewright_ir::kernel::Role;
use tilewright_passes::pass::PassError;
use tilewright_passes::problem::Problem;
use tilewright_passes::search::trials::{Filled, Region, regions};

/// Tunes one kernel as written: `proposer` says what to try, `bench` what measures and what is kept. A runner that computes gets
/// inputs generated from the bench's seed.
///
/// # Errors
///
/// A kernel that is not there or that has nothing to choose, what the search refuses, and a database that is not usable.
pub fn tune_kernel(
    graph: &Graph,
    options: &Options,
    kernel: &str,
    bench: &Bench,
    proposer: &mut dyn Proposer,
) -> Result<Tuned> {
    super::layer::of_one_rank(graph)?;
    let lowered = lowered(graph, options)?;
    let problem = problem(&lowered, &options.machine)?;
    let values = match bench.runner.computes() {
        true => {
            let inputs = inputs(graph, &Source::Seed(bench.seed), &IndexMap::new())?;
            Some(reference::run_all(&lowered, &inputs)?)
        }
        false => None,
    };
    let all = regions(&problem);
    let known = || {
        let names = all.iter().map(|r| r.name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    let no_choice = || TuneError::Kernel {
        kernel: kernel.to_owned(),
        known: known(),
    };
    let found = all.iter().find(|r| r.name == kernel);
    let found = found.ok_or_else(no_choice)?;
    let tuned = region(found, bench, options, values.as_ref(), proposer)?;
    Ok(tuned.ok_or_else(no_choice)?.1)
}

/// Tunes a kernel, with the points of its space; none where it has no choice, or where the interpreter does not know what it reads.
pub(super) fn region(
    region: &Region,
    bench: &Bench,
    options: &Options,
    values: Option<&Tensors>,
    proposer: &mut dyn Proposer,
) -> Result<Option<(u128, Tuned)>> {
    let filled = Filled::new(region.problem.clone(), &options.machine, &options.search);
    let filled = filled.map_err(PassError::from)?;
    let space = KernelSpace::new(&region.name, &filled, &options.machine, &options.search);
    let data = match values {
        None => None,
        Some(values) => match data_of(&region.problem, values) {
            Some(data) => Some(data),
            None => return Ok(None),
        },
    };
    if space.ranges().is_empty() {
        return Ok(None);
    }
    let key = key(&region.text, false, options, &bench.runner.identity());
    let tuning = Tuning::new(*bench, &space, &key, data.as_ref());
    let tuned = tuning
        .and_then(|mut t| t.run(proposer))
        .map_err(TuneError::from)?;
    Ok(Some((space.size(), tuned)))
}

/// What a kernel computes on, of all values of a layer. Rows that need not exist are compared in the layer only.
pub(super) fn data_of(problem: &Problem, values: &Tensors) -> Option<TrialData> {
    let mut data = TrialData::default();
    for (name, tensor) in &problem.tensors {
        if tensor.ragged.is_some() {
            return None;
        }
        match tensor.role {
            Role::Input => {
                data.inputs.insert(name.clone(), values.get(name)?.clone());
            }
            Role::Output => {
                data.expected
                    .insert(name.clone(), values.get(name)?.clone());
            }
            Role::Workspace | Role::Window => {}
        }
    }
    for name in problem.scalars.keys() {
        data.inputs.insert(name.clone(), values.get(name)?.clone());
    }
    Some(data)
}
