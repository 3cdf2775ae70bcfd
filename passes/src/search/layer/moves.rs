//! The states of the search over plans, and what changes one into another.

use super::groups::{Group, fuse};
use super::plans::{Evaluated, PlanSearch};
use egg::Symbol;
use indexmap::IndexSet;
use std::collections::BTreeSet;
use std::rc::Rc;

/// What is decided before kernels are extracted.
#[derive(Debug, Clone)]
pub(super) struct State {
    /// Which kernels are one, in launch order.
    pub groups: Vec<Rc<Group>>,
    /// The form of each product.
    pub forms: Vec<usize>,
    /// Values that kernels as written do not read, though they could.
    pub unread: BTreeSet<(usize, &'static str)>,
    /// Kernels as written whose groups are one launch with the products that they read, and products as written that are one
    /// with the kernel that feeds them.
    pub mixed: BTreeSet<usize>,
}

impl State {
    /// Equal keys are equal plans.
    pub fn key(&self) -> Key {
        let groups = self.groups.iter().map(|g| g.members.clone()).collect();
        let unread = self.unread.iter().copied();
        let mixed = self.mixed.iter().copied().collect();
        (groups, self.forms.clone(), unread.collect(), mixed)
    }
}

pub(super) type Key = (
    Vec<Vec<usize>>,
    Vec<usize>,
    Vec<(usize, &'static str)>,
    Vec<usize>,
);

impl State {
    /// The state in which groups with such a kernel are kernels as written, but for what pins want to be one.
    pub fn without_fusions(&self, search: &PlanSearch, of: &dyn Fn(&usize) -> bool) -> State {
        let split = |g: &Rc<Group>| -> Vec<Rc<Group>> {
            match g.free && g.members.iter().any(of) {
                true => g.members.iter().map(|m| search.group(vec![*m])).collect(),
                false => vec![g.clone()],
            }
        };
        State {
            groups: self.groups.iter().flat_map(split).collect(),
            ..self.clone()
        }
    }
}

/// Groups in the order of their first kernels, as far as what they read is stored before: one that no longer reads a value need not
/// wait for it, and others may read what it stores. As they are, where there is no such order.
fn in_order(groups: &[Rc<Group>], reads_of: impl Fn(&Group) -> IndexSet<String>) -> Vec<Rc<Group>> {
    let mut left: Vec<(&Rc<Group>, IndexSet<String>)> =
        groups.iter().map(|g| (g, reads_of(g))).collect();
    left.sort_by_key(|(g, _)| g.members[0]);
    let mut out: Vec<Rc<Group>> = vec![];
    while !left.is_empty() {
        let waits = |of: &(&Rc<Group>, IndexSet<String>)| {
            let mut others = left.iter().filter(|(g, _)| !Rc::ptr_eq(g, of.0));
            others.any(|(g, _)| of.1.iter().any(|r| g.stores(r)))
        };
        let Some(next) = left.iter().position(|of| !waits(of)) else {
            return groups.to_vec();
        };
        out.push(left.remove(next).0.clone());
    }
    out
}

/// One change of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Move {
    /// Product, and its form.
    Form(usize, usize),
    /// Whether these kernels as written read a value.
    Read(Vec<usize>, Symbol, bool),
    /// The groups of two kernels as written become one.
    Fuse(usize, usize),
    /// A kernel as written, the first or last of its group, leaves it.
    Part(usize),
    /// Whether the group of a kernel as written is one launch with the products that it reads; or, of a product, with the
    /// kernel that feeds it.
    Mix(usize, bool),
}

impl Move {
    /// The state after the move; `None` where it changes nothing or cannot be.
    pub fn apply(&self, search: &PlanSearch, state: &State, at: &Evaluated) -> Option<State> {
        let mut next = state.clone();
        let place = |kernel: &usize| {
            let mut groups = state.groups.iter();
            groups.position(|g| g.members.contains(kernel))
        };
        match self {
            Move::Form(product, form) => {
                if next.forms[*product] == *form {
                    return None;
                }
                next.forms[*product] = *form;
            }
            Move::Read(kernels, value, read) => {
                for k in kernels {
                    match read {
                        true => next.unread.remove(&(*k, value.as_str())),
                        false => next.unread.insert((*k, value.as_str())),
                    };
                }
                if next.unread == state.unread {
                    return None;
                }
                if !read {
                    next.groups = in_order(&state.groups, |g| {
                        let mut reads = at.reads_of(g);
                        if g.members.iter().any(|m| kernels.contains(m)) {
                            reads.shift_remove(value.as_str());
                        }
                        reads
                    });
                }
            }
            Move::Fuse(a, b) => {
                let (a, b) = (place(a)?, place(b)?);
                if a == b {
                    return None;
                }
                let pair = (a.min(b), a.max(b));
                let merge = |members| search.group(members);
                next.groups = fuse(&state.groups, pair, &|g| at.reads_of(g), merge)?;
            }
            Move::Part(kernel) => {
                let at = place(kernel)?;
                let members = &state.groups[at].members;
                let rest: Vec<usize> = members.iter().copied().filter(|m| m != kernel).collect();
                if rest.is_empty() {
                    return None;
                }
                let mut two = [search.group(vec![*kernel]), search.group(rest.clone())];
                if rest.iter().all(|m| m < kernel) {
                    two.reverse();
                } else if rest.iter().any(|m| m < kernel) {
                    return None;
                }
                next.groups.splice(at..=at, two);
            }
            Move::Mix(kernel, on) => {
                let changed = match on {
                    true => {
                        // A product has one partner, so it leaves another one.
                        next.mixed.retain(|other| !search.rivals(*kernel, *other));
                        next.mixed.insert(*kernel)
                    }
                    false => next.mixed.remove(kernel),
                };
                if !changed {
                    return None;
                }
            }
        }
        Some(next)
    }

    /// Whether what two moves change is near: the same kernels, or one of them stores what the other's read.
    pub fn touches(&self, other: &Move, search: &PlanSearch) -> bool {
        let (a, b) = (self.kernels(search), other.kernels(search));
        a.iter().any(|k| b.contains(k))
    }

    /// Kernels as written that a move is about.
    fn kernels(&self, search: &PlanSearch) -> BTreeSet<usize> {
        match self {
            Move::Form(product, _) => {
                let home = search.products[*product].kernel;
                let of = search.problem.kernels[home].stores.iter();
                let names: Vec<Symbol> = of.map(|s| Symbol::from(&s.name)).collect();
                let readers = (0..search.problem.kernels.len()).filter(|k| {
                    names
                        .iter()
                        .any(|n| search.group(vec![*k]).concerns.contains(n))
                });
                readers.chain([home]).collect()
            }
            Move::Read(kernels, value, _) => {
                let home = search.home(*value);
                kernels.iter().copied().chain(home).collect()
            }
            Move::Fuse(a, b) => [*a, *b].into(),
            Move::Part(k) => [*k].into(),
            Move::Mix(k, _) => {
                let others = [search.products_of(*k), search.makers_of(*k)];
                others.into_iter().flatten().chain([*k]).collect()
            }
        }
    }

    /// All moves from a state.
    pub fn all(search: &PlanSearch, state: &State, at: &Evaluated) -> Vec<Move> {
        let mut out = vec![];
        for (product, of) in search.products.iter().enumerate() {
            let others = (0..of.forms.len()).filter(|f| *f != state.forms[product]);
            out.extend(others.map(|f| Move::Form(product, f)));
        }
        if search.fuse {
            let heads: Vec<usize> = state.groups.iter().map(|g| g.members[0]).collect();
            for (i, a) in heads.iter().enumerate() {
                out.extend(heads[i + 1..].iter().map(|b| Move::Fuse(*a, *b)));
            }
            for g in state
                .groups
                .iter()
                .filter(|g| g.free && g.members.len() > 1)
            {
                out.extend(g.members.first().map(|m| Move::Part(*m)));
                out.extend(g.members.last().map(|m| Move::Part(*m)));
            }
        }
        if search.mixing() {
            for k in (0..search.problem.kernels.len()).filter(|k| search.mix_pin(*k).is_none()) {
                if search.mixes(k) {
                    out.push(Move::Mix(k, !state.mixed.contains(&k)));
                }
            }
        }
        // A value that somebody reads is not, by one group and by all; and the other way round.
        let mut read: Vec<(Symbol, Vec<&Rc<Group>>)> = vec![];
        // An exchange reads what it was written to read, and pins may say what a kernel reads.
        let free = |g: &&Rc<Group>| {
            g.spec.exchange.is_none() && !g.members.iter().any(|m| search.says_unread(*m))
        };
        for g in state.groups.iter().filter(free) {
            for name in at.reads_of(g).iter().map(Symbol::from) {
                match read.iter_mut().find(|(n, _)| *n == name) {
                    Some((_, groups)) => groups.push(g),
                    None if search.home(name).is_some() => read.push((name, vec![g])),
                    None => {}
                }
            }
        }
        for (name, groups) in read {
            let all = groups.iter().flat_map(|g| g.members.clone()).collect();
            out.push(Move::Read(all, name, false));
            if groups.len() > 1 {
                let each = groups.iter();
                out.extend(each.map(|g| Move::Read(g.members.clone(), name, false)));
            }
        }
        let mut unread: Vec<(&str, Vec<usize>)> = vec![];
        let moved = |(kernel, _): &&(usize, &str)| !search.says_unread(*kernel);
        for (kernel, name) in state.unread.iter().filter(moved) {
            match unread.iter_mut().find(|(n, _)| n == name) {
                Some((_, kernels)) => kernels.push(*kernel),
                None => unread.push((*name, vec![*kernel])),
            }
        }
        for (name, kernels) in unread {
            let name = Symbol::from(name);
            if kernels.len() > 1 {
                out.extend(kernels.iter().map(|k| Move::Read(vec![*k], name, true)));
            }
            out.push(Move::Read(kernels, name, true));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threads may bring up names in any order, by which egg numbers them.
    #[test]
    fn unread_values_stand_in_the_order_of_their_names() {
        let numbered_backwards = ["unread_c", "unread_b", "unread_a"].map(Symbol::from);
        let state = State {
            groups: vec![],
            forms: vec![],
            unread: numbered_backwards.map(|n| (0, n.as_str())).into(),
            mixed: BTreeSet::new(),
        };
        let (.., unread, _) = state.key();
        let names: Vec<&str> = unread.into_iter().map(|(_, n)| n).collect();
        assert_eq!(names, ["unread_a", "unread_b", "unread_c"]);
    }
}
