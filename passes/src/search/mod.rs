//! The optimizer: from a problem to the best plan that the e-graph holds, with the rules that led there.

pub mod candidate;
pub mod fit;
pub mod kernel;
mod layer;
pub mod pins;
pub mod trials;
mod why;

pub use why::{Applied, Change};

use layer::names::{PartNames, Renaming};
use layer::segments;
use layer::{FoundPlan, Searched};

use crate::cost::Estimate;
use crate::egraph::{SaturateError, SearchOptions, SearchReport};
use crate::problem::{Problem, Shrunk};
use crate::search::kernel::ExtractError;
use crate::search::pins::{Holds, Pins};
use crate::term::plan::Plan;
use indexmap::IndexMap;
use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tilewright_ir::machine::Machine;
use tracing::{Id, debug, debug_span};

/// A plan and how it was found.
#[derive(Debug, Clone)]
pub struct Optimized {
    pub plan: Plan,
    /// Of the plan's kernels, in order.
    pub estimates: Vec<Estimate>,
    /// By kernel of the plan: what led there from the form as written.
    pub chains: IndexMap<String, Vec<Applied>>,
    pub search: SearchReport,
    /// Seconds of extraction and of proofs.
    pub extract_seconds: f64,
    pub explain_seconds: f64,
    /// All that the search decided, as pins: with these it comes to the same kernels.
    pub holds: Holds,
    /// Tiles as written that are smaller here.
    pub shrunk: Vec<Shrunk>,
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
    let start = Instant::now();
    // Distinct parts with their own names, by what is equal of equal ones; and of every segment its part and its names.
    let mut distinct: IndexMap<String, (Problem, PartNames)> = IndexMap::new();
    let mut segments: Vec<(usize, PartNames)> = vec![];
    let cutting = debug_span!("cut").entered();
    for segment in segments::cut(problem, pins) {
        let part = segments::part(problem, &segment);
        let (text, names) = segments::canonical(&part, pins);
        let place = match distinct.get_index_of(&text) {
            Some(place) => place,
            None => distinct.insert_full(text, (part, names.clone())).0,
        };
        segments.push((place, names));
    }
    drop(cutting);
    let searching = debug_span!("search").entered();
    let found = search_apart(&distinct, searching.id(), |part| {
        let mut options = options.clone();
        let left = |limit: Duration| limit.saturating_sub(start.elapsed());
        options.time_limit = options.time_limit.map(left);
        layer::search(part, machine, &options, pins)
    });
    let mut parts: Vec<(PartNames, Searched)> = vec![];
    for (found, (_, names)) in std::iter::zip(found, distinct.into_values()) {
        parts.push((names, found?));
    }
    drop(searching);
    let _span = debug_span!("join").entered();
    let mut found = Optimized {
        plan: Plan {
            name: problem.name.clone(),
            tensors: problem.tensors.clone(),
            scalars: problem.scalars.clone(),
            ranks: problem.ranks,
            kernels: vec![],
        },
        estimates: vec![],
        chains: IndexMap::new(),
        search: SearchReport::default(),
        extract_seconds: 0.0,
        explain_seconds: 0.0,
        holds: Holds::new(),
        shrunk: problem.shrunk.clone(),
        others: vec![],
    };
    for (_, part) in &parts {
        found.search.add(&part.search);
        found.extract_seconds += part.extract_seconds;
        found.explain_seconds += part.explain_seconds;
    }
    let renamings: Vec<Renaming> = segments
        .iter()
        .map(|(part, names)| parts[*part].0.to(names))
        .collect();
    for ((part, _), renaming) in segments.iter().zip(&renamings) {
        for (name, tensor) in renaming.tensors(&parts[*part].1.tensors) {
            found.plan.tensors.entry(name).or_insert(tensor);
        }
    }
    // The plan in which one part has its plan of this number, wherever it is, and the others have their best.
    let whole = |other: Option<(usize, usize)>| {
        let mut whole = found.clone();
        for ((part, _), renaming) in segments.iter().zip(&renamings) {
            let number = other.filter(|(p, _)| p == part).map_or(0, |(_, n)| n);
            let Some(plan) = parts[*part].1.plans.get(number) else {
                continue;
            };
            let plan = renaming.plan(plan);
            for (region, pins) in plan.holds {
                whole.holds.entry(region).or_default().extend(pins);
            }
            for mut kernel in plan.kernels {
                kernel.plan.name = free(&whole.plan, &kernel.plan.name);
                whole.chains.insert(kernel.plan.name.clone(), kernel.chain);
                whole.plan.kernels.push(kernel.plan);
                whole.estimates.push(kernel.estimate);
            }
        }
        whole
    };
    let mut others: Vec<(f64, (usize, usize))> = vec![];
    for (p, (_, part)) in parts.iter().enumerate() {
        let times = segments.iter().filter(|(s, _)| *s == p).count() as f64;
        let us = part.plans.iter().map(FoundPlan::us);
        let more = us.map(|us| times * (us - part.plans[0].us()));
        others.extend(more.enumerate().skip(1).map(|(n, more)| (more, (p, n))));
    }
    others.sort_by(|a, b| a.0.total_cmp(&b.0));
    others.truncate(options.candidates.saturating_sub(1));
    Ok(Optimized {
        others: others.iter().map(|(_, o)| whole(Some(*o))).collect(),
        ..whole(None)
    })
}

/// The name, or with a number where a kernel has it: several kernels of a region can each have one that fills their padding.
fn free(plan: &Plan, name: &str) -> String {
    let numbered = (2..).map(|n| format!("{name}{n}"));
    let mut names = std::iter::once(name.to_string()).chain(numbered);
    let taken = |name: &String| plan.kernels.iter().any(|k| k.name == *name);
    names.find(|n| !taken(n)).unwrap_or_default()
}

/// Searches distinct parts on as many threads as there are cores, within a span; what was found is in the order of the parts.
fn search_apart<A: Send>(
    distinct: &IndexMap<String, (Problem, PartNames)>,
    within: Option<Id>,
    search: impl Fn(&Problem) -> A + Sync,
) -> Vec<A> {
    if let [(part, _)] = distinct.values().collect::<Vec<_>>()[..] {
        return vec![search(part)];
    }
    // The longest first, so that no thread is left with one at the end: a bridge hands out one after the other.
    let (done, of) = (AtomicUsize::new(0), distinct.len());
    let mut order: Vec<(usize, &Problem)> = distinct.values().map(|d| &d.0).enumerate().collect();
    order.sort_by_key(|(_, part)| std::cmp::Reverse(part.kernels.len()));
    let beside = |(place, part): (usize, &Problem)| {
        let thread = rayon::current_thread_index().map_or(0, |t| t + 1);
        let step = format!("thread {thread}");
        let _span = debug_span!(parent: within.clone(), "thread", step).entered();
        let found = search(part);
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        debug!(progress = "parts", done, of);
        (place, found)
    };
    let mut found: Vec<(usize, A)> = order.into_iter().par_bridge().map(beside).collect();
    found.sort_by_key(|(place, _)| *place);
    found.into_iter().map(|(_, found)| found).collect()
}
