//! The chain from the form as written to the chosen one, in terms of parameters.
//!
//! A proof is a list of trees: each is the term before it with one rule applied at its root, after which its children are
//! rewritten by proofs of their own. Visited in that order, the trees are the flat proof, without its full terms. What a rule
//! changed is what differs between the end of one tree and the start of the next: numbers of launches and loops, which have
//! engineers' names, and buffers that are read.

use crate::hash::HashSet;
use crate::term::language::{Head, Term};
use crate::term::plan::TileNames;
use egg::{TreeExplanation, TreeTerm};
use indexmap::IndexMap;
use serde::Serialize;
use std::rc::Rc;

/// A rule on the way from the form as written to the chosen one, with all that it changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Applied {
    pub rule: String,
    /// Whether the proof uses the rule from right to left: a rule's two sides are equal.
    pub backwards: bool,
    /// Consecutive changes of one parameter are one. Empty when a rule changed no parameter in the end.
    pub changes: Vec<Change>,
}

/// A parameter before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub param: String,
    pub before: String,
    pub after: String,
}

/// What a rule changed in one kind of loop, and every single step of it.
#[derive(Debug, Clone)]
struct Track {
    place: &'static str,
    change: Change,
    steps: Vec<(String, String)>,
}

/// Collects the rules of proofs, in the order of the first use of each rule.
#[derive(Debug)]
pub(super) struct Chain<'a> {
    names: &'a TileNames,
    /// By rewrite's rule and direction.
    applied: IndexMap<(String, bool), Vec<Track>>,
    seen: HashSet<*const TreeTerm<Term>>,
    rule_of: fn(&str) -> &str,
}

/// The rows that a trip of a block's row loop takes.
const TRIP_ROWS: &str = "rows a trip";

/// A tree's term before or after the proofs of its children.
type Side = fn(&TreeExplanation<Term>) -> Option<&Rc<TreeTerm<Term>>>;

fn first(proof: &TreeExplanation<Term>) -> Option<&Rc<TreeTerm<Term>>> {
    proof.first()
}

fn last(proof: &TreeExplanation<Term>) -> Option<&Rc<TreeTerm<Term>>> {
    proof.last()
}

/// A parameter's place, name, and values.
type Noted = (&'static str, String, String, String);

impl<'a> Chain<'a> {
    pub fn new(names: &'a TileNames, rule_of: fn(&str) -> &str) -> Self {
        Chain {
            names,
            applied: IndexMap::new(),
            seen: HashSet::default(),
            rule_of,
        }
    }

    /// Adds a proof.
    pub fn add(&mut self, proof: &TreeExplanation<Term>) {
        // Trees are known by their addresses, which the next proof may use again.
        self.seen.clear();
        self.walk(proof);
    }

    fn walk(&mut self, proof: &TreeExplanation<Term>) {
        for (i, tree) in proof.iter().enumerate() {
            // What two parts of a proof share is one step.
            if !self.seen.insert(Rc::as_ptr(tree)) {
                continue;
            }
            for (rule, backwards) in [(tree.forward_rule, false), (tree.backward_rule, true)] {
                let Some(rule) = rule else { continue };
                let rule = (self.rule_of)(rule.as_str()).to_string();
                let mut found = vec![];
                if let Some(before) = i.checked_sub(1).and_then(|b| proof.get(b)) {
                    self.compare(&rule, backwards, before, tree, &mut found);
                }
                self.record(rule, backwards, found);
            }
            for child in &tree.child_proofs {
                self.walk(child);
            }
        }
    }

    fn record(&mut self, rule: String, backwards: bool, found: Vec<Noted>) {
        let tracks = self.applied.entry((rule, backwards)).or_default();
        for (place, param, before, after) in found {
            let step = (before.clone(), after.clone());
            let mut same = tracks
                .iter_mut()
                .filter(|t| t.place == place && t.change.param == param);
            // The same step of another loop: several stores and reductions of one kernel change alike.
            if same.any(|t| t.steps.contains(&step)) {
                continue;
            }
            let mut same = tracks
                .iter_mut()
                .filter(|t| t.place == place && t.change.param == param);
            match same.find(|t| t.change.after == before) {
                Some(track) => {
                    track.change.after = after;
                    track.steps.push(step);
                }
                None => tracks.push(Track {
                    place,
                    change: Change {
                        param,
                        before,
                        after,
                    },
                    steps: vec![step],
                }),
            }
        }
    }

    /// The rules that `keep` keeps.
    pub fn applied(self, keep: impl Fn(&str) -> bool) -> Vec<Applied> {
        let rows = &self.names.rows;
        let kept = self.applied.into_iter().filter(|((r, _), _)| keep(r));
        kept.map(|((rule, backwards), tracks)| {
            let mut changes: Vec<Change> = vec![];
            let places = |of: &Track| {
                let same = tracks.iter().filter(|t| {
                    t.change.param == of.change.param && t.change.before != t.change.after
                });
                let differ = same.clone().any(|t| t.change != of.change);
                differ && same.clone().any(|t| t.place != of.place)
            };
            for track in &tracks {
                let mut change = track.change.clone();
                // Loops of one kernel that went different ways.
                if places(track) {
                    change.param = format!("{} of {}", change.param, track.place);
                }
                if change.before != change.after && !changes.contains(&change) {
                    changes.push(change);
                }
            }
            // Where a block is one trip, its rows are the trip's.
            let blocks: Vec<Change> = changes.clone();
            changes.retain(|c| {
                let same = |b: &Change| (&b.before, &b.after) == (&c.before, &c.after);
                c.param != TRIP_ROWS || !blocks.iter().any(|b| &b.param == rows && same(b))
            });
            Applied {
                rule,
                backwards,
                changes,
            }
        })
        .collect()
    }

    fn compare(
        &self,
        rule: &str,
        backwards: bool,
        before: &Rc<TreeTerm<Term>>,
        after: &Rc<TreeTerm<Term>>,
        out: &mut Vec<Noted>,
    ) {
        // Rules that change the shape of a term say what that means; the left side is the one to look at.
        let ((left, l), (right, r)): ((_, Side), (_, Side)) = match backwards {
            false => ((before, last), (after, first)),
            true => ((after, first), (before, last)),
        };
        let shape = match rule {
            "read-narrow" => Some(("reads", buffer(left, l), buffer(right, r))),
            "fuse" => Some(("reads", buffer(left, l), Some("computed".into()))),
            "stage-pieces" => {
                let pieces = pieces(right, r).map(|p| p.to_string());
                Some(("pieces a trip", Some("1".into()), pieces))
            }
            "keep-left" => Some((
                "left operand",
                Some("loaded again".into()),
                Some("kept".into()),
            )),
            "scalars-by-line" => {
                Some(("scalars", Some("by element".into()), Some("by line".into())))
            }
            "hoist-init" => Some(("pad", Some("inline".into()), Some("hoisted".into()))),
            "split-k" if head(right) == Some(Head::AddParts) => {
                let parts = number(right, 0, r).map(|n| n.to_string());
                Some(("split_k", Some("1".into()), parts))
            }
            _ => None,
        };
        match shape {
            Some((param, Some(left), Some(right))) => out.push(match backwards {
                false => (param, param.into(), left, right),
                true => (param, param.into(), right, left),
            }),
            Some(_) => {}
            None => self.numbers(before, after, out),
        }
    }

    /// Numbers that differ, of launches and loops around values.
    fn numbers(
        &self,
        before: &Rc<TreeTerm<Term>>,
        after: &Rc<TreeTerm<Term>>,
        out: &mut Vec<Noted>,
    ) {
        let (Some(a), Some(b)) = (head(before), head(after)) else {
            return;
        };
        let schedule = |h: Head| {
            matches!(
                h,
                Head::Launch(_)
                    | Head::Rows
                    | Head::Cols
                    | Head::Fold(_)
                    | Head::Mm
                    | Head::MmParts
                    | Head::WithPad
                    | Head::Overlay
            )
        };
        match (a, b) {
            (Head::Launch(a), Head::Launch(b)) if a != b => {
                out.push(("launch", "launch".into(), a.name().into(), b.name().into()))
            }
            (a, b) if a != b => return,
            _ => {}
        }
        if !schedule(a) {
            return;
        }
        for i in 0..a.arity() {
            match (number(before, i, last), number(after, i, first)) {
                (Some(x), Some(y)) if x != y => {
                    if let Some((place, param)) = self.param(a, i) {
                        out.push((place, param, x.to_string(), y.to_string()));
                    }
                }
                (None, None) => {
                    let x = before.child_proofs.get(i).and_then(last);
                    let y = after.child_proofs.get(i).and_then(first);
                    if let (Some(x), Some(y)) = (x, y)
                        && !Rc::ptr_eq(x, y)
                    {
                        self.numbers(x, y, out);
                    }
                }
                _ => {}
            }
        }
    }

    /// Where the `i`-th operand of a loop belongs, and its name.
    fn param(&self, head: Head, i: usize) -> Option<(&'static str, String)> {
        let names = self.names;
        let cols = || names.cols.clone().unwrap_or("columns a trip".into());
        let reduce = || names.reduce.clone().unwrap_or("elements a trip".into());
        Some(match (head, i) {
            (Head::Rows, 0) => ("rows", names.rows.clone()),
            (Head::Rows, 1) => ("rows", TRIP_ROWS.into()),
            (Head::Cols, 0) => ("stores", "pipeline".into()),
            (Head::Cols, 1) => ("stores", "columns a block".into()),
            (Head::Cols, 2) => ("stores", cols()),
            (Head::Fold(_), 0) => ("reductions", "pipeline".into()),
            (Head::Fold(_), 2) => ("reductions", reduce()),
            (Head::Mm, 0) | (Head::MmParts, 1) => ("products", "pipeline".into()),
            (Head::Mm, 2) | (Head::MmParts, 3) => ("products", reduce()),
            _ => return None,
        })
    }
}

fn head(tree: &TreeTerm<Term>) -> Option<Head> {
    tree.node.head()
}

/// The number that a tree's operand is, at one side of the operand's proof.
fn number(tree: &TreeTerm<Term>, operand: usize, side: Side) -> Option<i64> {
    match tree.child_proofs.get(operand).and_then(side)?.node {
        Term::Num(n) => Some(n),
        _ => None,
    }
}

/// How many pieces a product's loop takes a trip in.
fn pieces(tree: &Rc<TreeTerm<Term>>, side: Side) -> Option<i64> {
    let mut operands = tree.child_proofs.iter().filter_map(side);
    let chunk = operands.find(|c| head(c) == Some(Head::Pieces))?;
    Some(number(chunk, 0, side)? / number(chunk, 1, side)?.max(1))
}

/// The name of the first tensor in global memory below a tree, in depth.
fn buffer(tree: &Rc<TreeTerm<Term>>, side: Side) -> Option<String> {
    let children = || tree.child_proofs.iter().filter_map(side);
    match head(tree)? {
        Head::Buf | Head::Input => children().find_map(|c| match c.node {
            Term::Name(n) => Some(n.to_string()),
            _ => None,
        }),
        _ => children().find_map(|c| buffer(c, side)),
    }
}
