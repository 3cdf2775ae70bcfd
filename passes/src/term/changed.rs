//! Which classes a rule has to look at again.
//!
//! egg finds all matches in every iteration. A match that was not there in the last iteration has a class in it that has
//! changed since: it got nodes, or was merged with another. So a rule looks only at classes that have a changed one
//! as near below them as its left side is deep.

use super::analysis::{Done, Graph, TermAnalysis};
use super::language::Term;
use crate::hash::HashMap;
use egg::{
    ENodeOrVar, Id, Language, Pattern, PatternAst, SearchMatches, Searcher, Subst, Symbol, Var,
};
use std::sync::Arc;

/// Left sides are at most this deep; one that is deeper looks at all classes.
const DEEPEST: u8 = 8;

/// What changed since the last iteration.
#[derive(Debug, Clone, Default)]
pub struct Changed {
    /// Nodes of every class, when they were counted last; nothing before the first iteration.
    counted: Option<HashMap<Id, usize>>,
    /// By class: how far below it the nearest changed one is; none where all are to be looked at.
    below: Option<Vec<u8>>,
}

impl Changed {
    /// Counts what an e-graph has, and finds what it did not have before.
    pub fn update(&mut self, egraph: &Graph) {
        let counts: HashMap<Id, usize> = egraph.classes().map(|c| (c.id, c.nodes.len())).collect();
        let Some(before) = self.counted.replace(counts) else {
            self.below = None;
            return;
        };
        let size = egraph.classes().map(|c| usize::from(c.id) + 1).max();
        let mut below = vec![u8::MAX; size.unwrap_or(0)];
        let mut list: Vec<Id> = vec![];
        let reach = |below: &mut Vec<u8>, list: &mut Vec<Id>, class: Id, distance: u8| {
            let slot = &mut below[usize::from(class)];
            if distance < *slot {
                *slot = distance;
                list.push(class);
            }
        };
        for class in egraph.classes() {
            if before.get(&class.id) != Some(&class.nodes.len()) {
                reach(&mut below, &mut list, class.id, 0);
            }
        }
        for id in before.keys() {
            let now = egraph.find(*id);
            if now != *id {
                reach(&mut below, &mut list, now, 0);
            }
        }
        for distance in 1..DEEPEST {
            for class in std::mem::take(&mut list) {
                for parent in egraph[class].parents() {
                    reach(&mut below, &mut list, egraph.find(parent), distance);
                }
            }
        }
        self.below = Some(below);
    }

    /// Whether all classes are to be looked at.
    fn is_all(&self) -> bool {
        self.below.is_none()
    }

    fn within(&self, class: Id, depth: u8) -> bool {
        match &self.below {
            Some(below) if depth <= DEEPEST => {
                let distance = below.get(usize::from(class));
                distance.is_none_or(|d| *d < depth)
            }
            _ => true,
        }
    }
}

/// A left side that is matched where something changed; what it matched before is left out.
pub(crate) struct Fresh {
    /// Of the rewrite.
    name: Symbol,
    pattern: Arc<Pattern<Term>>,
    /// Nodes from its root to its deepest operand, variables included.
    depth: u8,
}

impl Fresh {
    pub fn new(name: &str, pattern: Arc<Pattern<Term>>) -> Self {
        let mut depths: Vec<u8> = vec![];
        for node in pattern.ast.as_ref() {
            let below = node.children().iter().map(|c| depths[usize::from(*c)]);
            depths.push(below.max().unwrap_or(0).saturating_add(1));
        }
        Fresh {
            name: name.into(),
            depth: depths.last().copied().unwrap_or(1),
            pattern,
        }
    }
}

impl Searcher<Term, TermAnalysis> for Fresh {
    fn search_eclass_with_limit(
        &self,
        egraph: &Graph,
        eclass: Id,
        limit: usize,
    ) -> Option<SearchMatches<'_, Term>> {
        let mut found = self
            .pattern
            .search_eclass_with_limit(egraph, eclass, limit)?;
        let done = &egraph.analysis.done;
        let new = |subst: &Subst| !done.knows(Done::key(self.name, subst));
        found.substs.retain(new);
        (!found.substs.is_empty()).then_some(found)
    }

    fn search_with_limit(&self, egraph: &Graph, limit: usize) -> Vec<SearchMatches<'_, Term>> {
        let ENodeOrVar::ENode(root) = &self.pattern.ast[self.pattern.ast.root()] else {
            return self.pattern.search_with_limit(egraph, limit);
        };
        let Some(classes) = egraph.classes_for_op(&root.discriminant()) else {
            return vec![];
        };
        let (changed, done) = (&egraph.analysis.changed, &egraph.analysis.done);
        if changed.is_all() && done.is_through(self.name) {
            return vec![];
        }
        let mut left = limit;
        let mut found = vec![];
        for class in classes {
            if left == 0 {
                break;
            }
            if !egraph.analysis.changed.within(class, self.depth) {
                continue;
            }
            if let Some(matches) = self.search_eclass_with_limit(egraph, class, left) {
                left = left.saturating_sub(matches.substs.len());
                found.push(matches);
            }
        }
        found
    }

    fn get_pattern_ast(&self) -> Option<&PatternAst<Term>> {
        Some(&self.pattern.ast)
    }

    fn vars(&self) -> Vec<Var> {
        self.pattern.vars()
    }
}
