//! The optimizer: from a problem to the best plan that the e-graph holds, with the rules that led there.

use crate::cost::Estimate;
use crate::egraph::analysis::Graph;
use crate::egraph::extract::{Candidate, ExtractError, Extraction, reads};
use crate::egraph::language::Term;
use crate::egraph::rules::{self, Role};
use crate::egraph::saturate::{SaturateError, Saturated, SearchOptions, SearchReport, saturate};
use crate::pins::Pins;
use crate::plan::{KernelPlan, Plan};
use crate::problem::{KernelSpec, Problem};
use egg::{RecExpr, Symbol, TreeExplanation};
use indexmap::IndexSet;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::time::Instant;
use tilewright_ir::kernel::Role as TensorRole;
use tilewright_ir::machine::Machine;

/// A plan and how it was found.
#[derive(Debug, Clone)]
pub struct Optimized {
    pub plan: Plan,
    /// Of the plan's kernels, in order.
    pub estimates: Vec<Estimate>,
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
        buffers,
        report,
    } = saturate(problem, machine, options)?;
    let start = Instant::now();
    let bufs: HashMap<Symbol, &RecExpr<Term>> = problem
        .kernels
        .iter()
        .flat_map(|k| &k.stores)
        .map(|s| (Symbol::from(&s.name), &s.buffer))
        .collect();
    let mut chosen: Vec<(usize, Candidate)> = vec![];
    let mut read: BTreeSet<String> = BTreeSet::new();
    for (i, spec) in problem.kernels.iter().enumerate().rev() {
        let needed: Vec<usize> = (0..spec.stores.len())
            .filter(|s| spec.stores[*s].result || read.contains(&spec.stores[*s].name))
            .collect();
        if needed.is_empty() {
            continue;
        }
        let extraction = Extraction {
            egraph: &egraph,
            problem,
            machine,
            spec,
            buffers: &buffers[i],
            needed,
            readable: readable(problem, i),
            pins: pins.of(&spec.region),
        };
        let mut candidate = best(extraction_of(&extraction), &extraction)?;
        candidate.terms = extraction.full_terms(&candidate, &bufs);
        read.extend(reads(&candidate.plan));
        chosen.push((i, candidate));
    }
    chosen.reverse();
    let extract_seconds = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let mut plan = Plan {
        name: problem.name.clone(),
        tensors: problem.tensors.clone(),
        scalars: problem.scalars.clone(),
        kernels: vec![],
    };
    let mut estimates = vec![];
    for (i, candidate) in chosen {
        let spec = &problem.kernels[i];
        let derivation = derivation(&mut egraph, spec, &candidate);
        if let Some(init) = candidate.init.clone() {
            // The launch of the filling is part of the same proof.
            let kept = |r: &String| r == "hoist-init" || r == "parallel-to-spmd";
            plan.kernels.push(KernelPlan {
                derivation: derivation.iter().filter(|r| kept(r)).cloned().collect(),
                ..init
            });
            let init = plan.kernels.last();
            estimates.extend(init.and_then(|k| price(k, problem, machine)));
        }
        plan.kernels.push(KernelPlan {
            derivation,
            ..candidate.plan
        });
        let main = plan.kernels.last();
        estimates.extend(main.and_then(|k| price(k, problem, machine)));
    }
    Ok(Optimized {
        plan,
        estimates,
        search: report,
        extract_seconds,
        explain_seconds: start.elapsed().as_secs_f64(),
    })
}

fn price(plan: &KernelPlan, problem: &Problem, machine: &Machine) -> Option<Estimate> {
    let mut kernel =
        crate::lower::lower_kernel(plan, &problem.tensors, &problem.scalars).ok()?;
    crate::kernel::allocate::allocate(&mut kernel, machine).ok()?;
    Some(crate::cost::estimate(&kernel, machine))
}

/// What kernel `i` may read: inputs, and what kernels before it store.
fn readable(problem: &Problem, i: usize) -> BTreeSet<Symbol> {
    let inputs = problem
        .tensors
        .iter()
        .filter(|(_, t)| t.role == TensorRole::Input)
        .map(|(n, _)| n);
    let stored = problem.kernels[..i]
        .iter()
        .flat_map(|k| &k.stores)
        .map(|s| &s.name);
    inputs.chain(stored).map(Symbol::from).collect()
}

fn extraction_of(e: &Extraction) -> Result<Vec<Candidate>, ExtractError> {
    e.run(1)
}

/// The best candidate; when a pinned tile overflows a memory, the error names the nearest tile that fits.
fn best(
    found: Result<Vec<Candidate>, ExtractError>,
    e: &Extraction,
) -> Result<Candidate, ExtractError> {
    let error = match found {
        Ok(mut candidates) => return Ok(candidates.swap_remove(0)),
        Err(error) => error,
    };
    let ExtractError::Overflow { error, .. } = error else {
        return Err(error);
    };
    for (name, value) in e.pins.tiles.iter().rev() {
        let mut pins = e.pins.clone();
        pins.tiles.shift_remove(name);
        let free = Extraction {
            pins,
            readable: e.readable.clone(),
            needed: e.needed.clone(),
            ..*e
        };
        let fitting = free.run(usize::MAX).unwrap_or_default();
        let nearest = fitting
            .iter()
            .filter_map(|c| c.kernel.params.get(name))
            .min_by_key(|v| (v.abs_diff(*value), **v));
        if let Some(nearest) = nearest {
            return Err(ExtractError::Overflow {
                error,
                remedy: format!(
                    "{}.{name}={nearest} is the nearest tile that fits",
                    e.spec.region
                ),
            });
        }
    }
    Err(ExtractError::Overflow {
        error,
        remedy: "choose smaller tiles".into(),
    })
}

/// Rules of the proof from the launch as written to the chosen one, each once, in the order in which the proof uses them.
fn derivation(egraph: &mut Graph, spec: &KernelSpec, candidate: &Candidate) -> Vec<String> {
    let choices: HashSet<&str> = rules::table()
        .iter()
        .filter(|r| r.role == Role::Choice)
        .map(|r| r.name)
        .collect();
    let mut names = IndexSet::new();
    for (store, term) in &candidate.terms {
        let explanation = egraph.explain_equivalence(&spec.stores[*store].launch, term);
        let mut seen = HashSet::new();
        collect(&explanation.explanation_trees, &mut seen, &mut names);
    }
    names
        .into_iter()
        .map(|s: Symbol| rules::rule_of(s.as_str()).to_string())
        .filter(|n| choices.contains(n.as_str()))
        .collect::<IndexSet<String>>()
        .into_iter()
        .collect()
}

fn collect(
    trees: &TreeExplanation<Term>,
    seen: &mut HashSet<*const egg::TreeTerm<Term>>,
    names: &mut IndexSet<Symbol>,
) {
    for tree in trees {
        if !seen.insert(Rc::as_ptr(tree)) {
            continue;
        }
        names.extend(tree.forward_rule);
        names.extend(tree.backward_rule);
        for child in &tree.child_proofs {
            collect(child, seen, names);
        }
    }
}
