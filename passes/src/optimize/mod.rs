//! The optimizer: from a problem to the best plan that the e-graph holds, with the rules that led there.

mod chain;
mod plans;
mod proof;
mod split;

pub use chain::{Change, Link};

use plans::{Group, PlanSearch};
use split::alternatives;

use crate::cost::Estimate;
use crate::egraph::extract::ExtractError;
use crate::egraph::language::Term;
use crate::egraph::saturate::{SaturateError, Saturated, SearchOptions, SearchReport, saturate};
use crate::numerics::Numerics;
use crate::pins::Pins;
use crate::plan::{KernelPlan, Plan};
use crate::problem::Problem;
use egg::{RecExpr, Symbol};
use indexmap::IndexMap;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;
use tilewright_ir::kernel::Program;
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

/// The best plan.
pub fn optimize(
    problem: &Problem,
    machine: &Machine,
    options: &SearchOptions,
    pins: &Pins,
) -> Result<Optimized, OptimizeError> {
    let Saturated {
        mut egraph,
        mut buffers,
        names,
        report,
    } = saturate(problem, machine, options)?;
    let start = Instant::now();
    let mut problem = problem.clone();
    let families = alternatives(&mut problem, &egraph, &mut buffers, pins)?;
    let shell = Program {
        name: problem.name.clone(),
        machine: machine.name.clone(),
        ranks: problem.ranks,
        tensors: problem.tensors.clone(),
        scalars: problem.scalars.clone(),
        kernels: vec![],
    };
    let search = PlanSearch {
        egraph: &egraph,
        names: &names,
        problem: &problem,
        shell: &shell,
        exact: options.as_written || options.numerics == Numerics::Bitwise,
        machine,
        buffers: &buffers,
        pins,
        families: &families,
        fuse: options.enabled.contains("fuse") && !options.disabled.contains("fuse"),
        memo: Default::default(),
    };
    let (hidden, mut chosen) = search.best()?;
    let bufs: HashMap<Symbol, &RecExpr<Term>> = problem
        .kernels
        .iter()
        .flat_map(|k| &k.stores)
        .map(|s| (Symbol::from(&s.name), &s.buffer))
        .collect();
    let order: Vec<Rc<Group>> = chosen.iter().map(|(g, ..)| g.clone()).collect();
    for (i, (group, needed, candidate)) in chosen.iter_mut().enumerate() {
        let readable = search.readable(&order[..i], &hidden);
        candidate.terms = search
            .extraction(group, needed.clone(), readable)
            .full_terms(candidate, &bufs);
    }
    drop(search);
    let extract_seconds = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let mut plan = Plan {
        name: problem.name.clone(),
        tensors: problem.tensors.clone(),
        scalars: problem.scalars.clone(),
        ranks: problem.ranks,
        kernels: vec![],
    };
    let mut estimates = vec![];
    let mut chains = IndexMap::new();
    for (group, _, candidate) in chosen {
        let chain = proof::chain(&mut egraph, &group.spec, &candidate);
        let derivation = proof::derivation(&chain);
        if let Some(init) = candidate.init.clone() {
            // The launch of the filling is part of the same proof.
            let kept = |r: &String| r == "hoist-init" || r == "parallel-to-spmd";
            let links = chain.iter().filter(|l| kept(&l.rule)).cloned();
            chains.insert(init.name.clone(), links.collect());
            plan.kernels.push(KernelPlan {
                derivation: derivation.iter().filter(|r| kept(r)).cloned().collect(),
                ..init
            });
            let init = plan.kernels.last();
            estimates.extend(init.and_then(|k| price(k, &problem, machine)));
        }
        chains.insert(candidate.plan.name.clone(), chain);
        plan.kernels.push(KernelPlan {
            derivation,
            ..candidate.plan
        });
        let main = plan.kernels.last();
        estimates.extend(main.and_then(|k| price(k, &problem, machine)));
    }
    Ok(Optimized {
        plan,
        estimates,
        chains,
        search: report,
        extract_seconds,
        explain_seconds: start.elapsed().as_secs_f64(),
    })
}
fn price(plan: &KernelPlan, problem: &Problem, machine: &Machine) -> Option<Estimate> {
    let mut kernel = crate::lower::lower_kernel(plan, &problem.tensors, &problem.scalars).ok()?;
    crate::kernel::allocate::allocate(&mut kernel, machine).ok()?;
    Some(crate::cost::estimate(&kernel, machine))
}
