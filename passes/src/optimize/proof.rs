//! What led from the form as written to the chosen one, read off egg's proofs.

use crate::egraph::analysis::Graph;
use crate::egraph::extract::Candidate;
use crate::egraph::language::Term;
use crate::egraph::rules::{self, Role};
use crate::problem::KernelSpec;
use egg::{Symbol, TreeExplanation};
use indexmap::IndexSet;
use std::collections::HashSet;
use std::rc::Rc;

/// Rules of the proof from the launch as written to the chosen one, each once, in the order in which the proof uses them.
pub(super) fn derivation(
    egraph: &mut Graph,
    spec: &KernelSpec,
    candidate: &Candidate,
) -> Vec<String> {
    let choices: HashSet<&str> = rules::table()
        .iter()
        .filter(|r| r.role != Role::Structure)
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
