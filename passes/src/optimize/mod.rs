//! The optimizer: from a problem to the best plan that the e-graph holds, with the rules that led there.

mod chain;
mod groups;
mod moves;
mod plans;
mod proof;
mod search;
mod split;

pub use chain::{Change, Link};

use search::FoundPlan;

use crate::cost::Estimate;
use crate::egraph::extract::ExtractError;
use crate::egraph::saturate::{SaturateError, SearchOptions, SearchReport};
use crate::pins::Pins;
use crate::plan::Plan;
use crate::problem::Problem;
use indexmap::IndexMap;
use tilewright_ir::machine::Machine;

/// A plan and how it was found.
#[derive(Debug, Clone)]
pub struct Optimized {
    pub plan: Plan,
    /// Of the plan's kernels, in order.
    pub estimates: Vec<Estimate>,
    /// By kernel of the plan: what led there from the form as written.
    pub chains: IndexMap<String, Vec<Link>>,
    pub search: SearchReport,
    /// Seconds of extraction and of proofs.
    pub extract_seconds: f64,
    pub explain_seconds: f64,
    /// The next best plans, of other shapes: for whoever has a better model of the machine. Their search is the same.
    pub others: Vec<Optimized>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error, miette::Diagnostic)]
pub enum OptimizeError {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Saturate(#[from] SaturateError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Extract(#[from] ExtractError),
}

/// The best plan, and the best ones of other shapes.
pub fn optimize(
    problem: &Problem,
    machine: &Machine,
    options: &SearchOptions,
    pins: &Pins,
) -> Result<Optimized, OptimizeError> {
    let found = search::search(problem, machine, options, pins)?;
    let optimized = |plan: FoundPlan| {
        let mut out = Optimized {
            plan: Plan {
                name: problem.name.clone(),
                tensors: found.tensors.clone(),
                scalars: problem.scalars.clone(),
                kernels: vec![],
            },
            estimates: vec![],
            chains: IndexMap::new(),
            search: found.search.clone(),
            extract_seconds: found.extract_seconds,
            explain_seconds: found.explain_seconds,
            others: vec![],
        };
        for kernel in plan.kernels {
            out.chains.insert(kernel.plan.name.clone(), kernel.chain);
            out.plan.kernels.push(kernel.plan);
            out.estimates.push(kernel.estimate);
        }
        out
    };
    let mut plans = found.plans.iter().cloned().map(optimized);
    let mut best = plans.next().unwrap_or_else(|| optimized(FoundPlan::default()));
    best.others = plans.collect();
    Ok(best)
}
