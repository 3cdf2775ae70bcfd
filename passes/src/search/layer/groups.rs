//! Kernels as written that become one, in an order in which values are stored before they are read.

use crate::hash::HashSet;
use crate::problem::{KernelSpec, Problem};
use crate::search::pins::{KernelPins, Param, Pins};
use crate::term::analysis::Graph;
use crate::term::language::{Head, Term};
use crate::term::plan::TileNames;
use egg::{Id, Language, Symbol};
use indexmap::IndexSet;
use std::collections::BTreeSet;
use std::rc::Rc;
use tilewright_ir::graph::Operator;
use tilewright_ir::kernel::Unit;

/// Kernels as written that become one.
#[derive(Debug)]
pub(super) struct Group {
    pub members: Vec<usize>,
    pub spec: KernelSpec,
    pub buffers: Vec<Id>,
    /// Every name that some form of it reads.
    pub concerns: BTreeSet<Symbol>,
    /// What pins say of it; none where those of its members cannot all be said of the whole.
    pub pins: Option<KernelPins>,
    /// Whether it may become one with others: not an exchange, and nothing of which pins say what only one kernel as written has.
    pub free: bool,
}

impl Group {
    pub fn new(
        members: Vec<usize>,
        problem: &Problem,
        buffers: &[Vec<Id>],
        egraph: &Graph,
        pins: &Pins,
    ) -> Rc<Self> {
        let specs = || members.iter().map(|m| &problem.kernels[*m]);
        let mut spec = problem.kernels[members[0]].clone();
        if members.len() > 1 {
            let names: Vec<&str> = specs().map(|s| s.name.as_str()).collect();
            spec.name = names.join("_");
            let covers: IndexSet<&String> = specs().flat_map(|s| &s.covers).collect();
            spec.covers = covers.into_iter().cloned().collect();
            spec.stores = specs().flat_map(|s| s.stores.clone()).collect();
            spec.reads = specs().flat_map(|s| s.reads.clone()).collect();
            spec.reduces = specs().flat_map(|s| s.reduces.clone()).collect();
            let names =
                |f: fn(&TileNames) -> Option<&String>| specs().find_map(|s| f(&s.names)).cloned();
            // A kernel that processes rows one by one has no column tile, and what contains it has none to speak of.
            let named = specs().all(|s| s.names.cols.is_some());
            spec.names.cols = names(|n| n.cols.as_ref()).filter(|_| named);
            spec.names.reduce = names(|n| n.reduce.as_ref());
        }
        let buffers: Vec<Id> = (members.iter().flat_map(|m| buffers[*m].clone())).collect();
        let free = specs().all(|s| {
            let pins = pins.of(s);
            let shared = pins.params().iter().all(Param::is_of_any_kernel);
            !pins.hold && shared && s.unit == Unit::Vector && s.exchange.is_none()
        });
        let pins = match members.len() {
            1 => Some(pins.of(&spec)),
            _ => of_all(specs(), pins, &spec.names),
        };
        Rc::new(Group {
            pins,
            concerns: loadable(egraph, &buffers),
            buffers,
            spec,
            members,
            free,
        })
    }

    pub fn stores(&self, name: &str) -> bool {
        self.spec.stores.iter().any(|s| s.tensor() == name)
    }
}

/// The pins of kernels that become one, as those of the whole: none where two say different things, or one speaks of a tile that the
/// whole does not have.
fn of_all<'s>(
    members: impl Iterator<Item = &'s KernelSpec>,
    pins: &Pins,
    names: &TileNames,
) -> Option<KernelPins> {
    let mut all = KernelPins::default();
    for spec in members {
        for param in pins.of(spec).params() {
            if let Param::Tile(name, _) = &param {
                // It is said of another part of the kernel as written.
                if !spec.names.has(name) {
                    continue;
                }
                if !names.has(name) {
                    return None;
                }
            }
            let said = all.params();
            let same = |p: &&Param| p.name() == param.name();
            if said.iter().find(same).is_some_and(|p| *p != param) {
                return None;
            }
            all.hold_at(&param);
        }
    }
    Some(all)
}

/// Names that some executable term below these classes loads.
fn loadable(egraph: &Graph, roots: &[Id]) -> BTreeSet<Symbol> {
    let (mut pending, mut seen) = (roots.to_vec(), HashSet::default());
    let mut names = BTreeSet::new();
    while let Some(class) = pending.pop() {
        let class = egraph.find(class);
        if !seen.insert(class) {
            continue;
        }
        for node in &egraph[class].nodes {
            match node {
                Term::App(Head::Load, c) => {
                    let viewed = |n: &Term| match n {
                        Term::App(Head::Op(Operator::Reshape), c) => Some(c[0]),
                        _ => None,
                    };
                    let of = egraph[c[2]].nodes.iter().find_map(viewed);
                    let nodes = egraph[of.unwrap_or(c[2])].nodes.iter();
                    names.extend(nodes.filter_map(|n| match n {
                        Term::App(Head::Buf | Head::Input, c) => egraph[c[0]].data.name,
                        _ => None,
                    }));
                }
                // A family of blocks is executed in one of its other forms, and a value in that of its launch.
                Term::App(Head::Tile | Head::Buf | Head::Input, _) => {}
                _ => pending.extend(node.children()),
            }
        }
    }
    names
}

/// What a group reads in a plan.
pub(super) type ReadsOf<'a> = dyn Fn(&Group) -> IndexSet<String> + 'a;

/// The groups with `a` and `b` made `merged`; `None` when one between the two forbids it. Kernels that share no value gain a
/// launch.
pub(super) fn fuse(
    groups: &[Rc<Group>],
    (a, b): (usize, usize),
    reads_of: &ReadsOf,
    merge: impl FnOnce(Vec<usize>) -> Rc<Group>,
) -> Option<Vec<Rc<Group>>> {
    let (first, second) = (&groups[a], &groups[b]);
    if !first.free || !second.free {
        return None;
    }
    let mut allowed = true;
    let merge = |members| {
        let merged = merge(members);
        allowed = merged.pins.is_some();
        merged
    };
    join(groups, (a, b), reads_of, merge).filter(|_| allowed)
}

/// As [`fuse`], of groups that pins want to be one.
pub(super) fn join(
    groups: &[Rc<Group>],
    (a, b): (usize, usize),
    reads_of: &ReadsOf,
    merge: impl FnOnce(Vec<usize>) -> Rc<Group>,
) -> Option<Vec<Rc<Group>>> {
    let (first, second) = (&groups[a], &groups[b]);
    // Groups between the two go before or after; one that needs the first and feeds the second forbids it.
    let needs = |g: &Group, of: &Group| reads_of(g).iter().any(|r| of.stores(r));
    let mut before: Vec<Rc<Group>> = groups[..a].to_vec();
    let mut after: Vec<Rc<Group>> = vec![];
    for g in &groups[a + 1..b] {
        if needs(g, first) || after.iter().any(|x| needs(g, x)) {
            after.push(g.clone());
        } else {
            before.push(g.clone());
        }
    }
    if after.iter().any(|g| needs(second, g)) {
        return None;
    }
    let mut members = [first.members.clone(), second.members.clone()].concat();
    members.sort();
    before.push(merge(members));
    before.extend(after);
    before.extend(groups[b + 1..].iter().cloned());
    Some(before)
}
