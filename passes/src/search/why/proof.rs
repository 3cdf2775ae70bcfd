//! What led from the form as written to the chosen one, read off egg's proofs.

use super::chain::{Applied, Chain};
use crate::egraph::rules::{self, Role};
use crate::hash::HashSet;
use crate::problem::KernelSpec;
use crate::search::candidate::Candidate;
use crate::term::analysis::Graph;
use indexmap::IndexSet;

/// Rules of the proof from the launch as written to the chosen one, in the order in which the proof first uses them, each with
/// what it changed.
pub(in crate::search) fn chain(
    egraph: &mut Graph,
    spec: &KernelSpec,
    candidate: &Candidate,
) -> Vec<Applied> {
    // What is left are choices: ours and those of rule files.
    let given: HashSet<&str> = rules::table()
        .iter()
        .filter(|r| r.role == Role::Structure)
        .map(|r| r.name)
        .chain(["as-written"])
        .collect();
    let mut chain = Chain::new(&spec.names, rules::rule_of);
    for (store, term) in &candidate.terms {
        let explanation = egraph.explain_equivalence(&spec.stores[*store].launch, term);
        chain.add(&explanation.explanation_trees);
    }
    chain.applied(|rule| !given.contains(rule))
}

/// The rules of a chain, each once.
pub(in crate::search) fn derivation(chain: &[Applied]) -> Vec<String> {
    let rules: IndexSet<&String> = chain.iter().map(|l| &l.rule).collect();
    rules.into_iter().cloned().collect()
}
