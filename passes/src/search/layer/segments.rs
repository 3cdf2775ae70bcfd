//! Long layers are searched in segments, and segments that are equal up to names only once.
//!
//! Kernels that share no value could gain no more than a launch from each other, and are searched apart. What is connected and long is cut: where
//! a sequence of kernels repeats, each repetition is a segment, and elsewhere cuts are where the fewest bytes cross. A
//! value that crosses a cut is a result of the segment before it and an input of those after it. What a cut loses is what
//! could have been decided over it: fusion, a copy that need not be stored, a product that is split for its reader. So what
//! has at most [`WHOLE`] kernels is not cut.

use super::names::{PartNames, Renaming};
use crate::hash::{HashMap, HashSet};
use crate::problem::{KernelSpec, Problem, Store};
use crate::search::pins::{KernelPins, Pins};
use crate::term::language::{Head, Term};
use egg::{Id, Language, RecExpr, Symbol};
use indexmap::{IndexMap, IndexSet};
use petgraph::unionfind::UnionFind;
use std::collections::BTreeSet;
use tilewright_ir::kernel::Role;

/// Kernels that are searched together even when they repeat.
const WHOLE: usize = 12;
/// The length of a segment that short repetitions fill, and the most that is not cut.
const LENGTH: usize = 8;

/// Places of kernels, in launch order.
pub(in crate::search) type Segment = Vec<usize>;

/// Cuts a problem; segments are in an order in which values are stored before they are read.
pub(in crate::search) fn cut(problem: &Problem, pins: &Pins) -> Vec<Segment> {
    let fused = pins.fused(problem);
    let mut segments: Vec<Segment> = connected(problem, &fused)
        .into_iter()
        .flat_map(|kernels| {
            // A pin on what is read holds over cuts too, where all that crosses looks like an input.
            let pinned = |k: &usize| pins.of(&problem.kernels[*k]).reads.is_some();
            if kernels.len() <= WHOLE || kernels.iter().any(pinned) {
                return vec![kernels];
            }
            let windows = windows(problem, &kernels);
            // What pins want to be one is searched together.
            let within = |w: &Segment, one: &BTreeSet<usize>| {
                one.iter().all(|k| w.contains(k)) || one.iter().all(|k| !w.contains(k))
            };
            let cut = |w: &Segment| fused.iter().any(|(_, one)| !within(w, one));
            match windows.iter().any(cut) {
                true => vec![kernels],
                false => windows,
            }
        })
        .collect();
    segments.sort();
    segments
}

/// Kernels that share values, as those that one stores or that both read, and those that pins want to be one.
fn connected(problem: &Problem, fused: &[(usize, BTreeSet<usize>)]) -> Vec<Segment> {
    let mut home: HashMap<String, usize> = HashMap::default();
    let mut sets: UnionFind<usize> = UnionFind::new(problem.kernels.len());
    for (k, spec) in problem.kernels.iter().enumerate() {
        let stores = spec.stores.iter().map(|s| s.tensor().to_owned());
        for name in stores.chain(tensors_of(problem, spec)) {
            // A scalar is no work to share.
            if !problem.tensors.contains_key(&name) {
                continue;
            }
            sets.union(*home.entry(name).or_insert(k), k);
        }
    }
    for (k, one) in fused {
        one.iter().for_each(|other| {
            sets.union(*k, *other);
        });
    }
    let mut out: IndexMap<usize, Segment> = IndexMap::new();
    for (k, set) in sets.into_labeling().into_iter().enumerate() {
        out.entry(set).or_default().push(k);
    }
    out.into_values().collect()
}

/// Names that a kernel's values read directly: inputs, and what other kernels store. Of ragged ones, their counts too.
fn tensors_of(problem: &Problem, spec: &KernelSpec) -> Vec<String> {
    let mut out: IndexSet<String> = IndexSet::new();
    for store in &spec.stores {
        let value = &store.value;
        let mut pending = vec![value.root()];
        let mut seen = HashSet::default();
        while let Some(id) = pending.pop() {
            if !seen.insert(id) {
                continue;
            }
            match &value[id] {
                Term::App(Head::Buf | Head::Input, c) => {
                    if let Term::Name(name) = &value[c[0]] {
                        out.insert(name.to_string());
                    }
                }
                node => pending.extend(node.children()),
            }
        }
    }
    out.extend(spec.exchange.iter().flat_map(|e| e.reads()));
    let stores = spec.stores.iter().map(|s| s.tensor());
    let tensors = out.iter().map(String::as_str).chain(stores);
    let ragged = tensors.filter_map(|n| problem.tensors.get(n)?.ragged.as_ref());
    let counts: Vec<String> = ragged.map(|r| r.counts.clone()).collect();
    out.extend(counts);
    out.into_iter().collect()
}

/// Segments of kernels that are connected and many.
///
/// Pins do not matter here: what holds a plan leaves the segments in which it was found.
fn windows(problem: &Problem, kernels: &[usize]) -> Vec<Segment> {
    let text: Vec<String> = kernels
        .iter()
        .map(|k| canonical(&part(problem, &[*k]), &Pins::default()).0)
        .collect();
    let (mut out, mut at, mut rest) = (vec![], 0, vec![]);
    while at < kernels.len() {
        let Some((period, times)) = repetition(&text, at) else {
            rest.push(kernels[at]);
            at += 1;
            continue;
        };
        out.extend(narrow(problem, std::mem::take(&mut rest)));
        // Short repetitions are searched several at a time.
        let length = period * (LENGTH / period).max(1);
        let end = at + period * times;
        while at < end {
            let next = (at + length).min(end);
            out.push(kernels[at..next].to_vec());
            at = next;
        }
    }
    out.extend(narrow(problem, rest));
    out
}

/// The length and number of equal sequences that begin here: those that cover most, of these the shortest.
fn repetition(text: &[String], at: usize) -> Option<(usize, usize)> {
    let left = &text[at..];
    let mut best: Option<(usize, usize)> = None;
    for period in 1..=WHOLE.min(left.len() / 2) {
        let same = (0..left.len() - period).take_while(|i| left[*i] == left[i + period]);
        let times = same.count() / period + 1;
        if times >= 2 && best.is_none_or(|(p, t)| period * times > p * t) {
            best = Some((period, times));
        }
    }
    best
}

/// Cuts kernels that do not repeat, into segments of at most [`LENGTH`], where the fewest bytes cross.
fn narrow(problem: &Problem, mut kernels: Segment) -> Vec<Segment> {
    let mut out = vec![];
    while kernels.len() > LENGTH {
        let crossing = |at: &usize| {
            let (before, after) = kernels.split_at(*at);
            let read: HashSet<String> = after
                .iter()
                .flat_map(|k| tensors_of(problem, &problem.kernels[*k]))
                .collect();
            let stores = before.iter().flat_map(|k| &problem.kernels[*k].stores);
            stores
                .filter(|s| read.contains(s.tensor()))
                .map(|s| s.rows * s.cols * problem.tensors[s.tensor()].dtype.bytes())
                .sum::<usize>()
        };
        let at = (LENGTH / 2..=LENGTH).min_by_key(crossing).unwrap_or(LENGTH);
        let rest = kernels.split_off(at);
        out.push(std::mem::replace(&mut kernels, rest));
    }
    if !kernels.is_empty() {
        out.push(kernels);
    }
    out
}

/// The problem of some kernels alone: what they read of others is input, and what others read of them is a result.
pub(in crate::search) fn part(problem: &Problem, kernels: &[usize]) -> Problem {
    if kernels.len() == problem.kernels.len() {
        return problem.clone();
    }
    let inside: HashSet<usize> = kernels.iter().copied().collect();
    let others = (0..problem.kernels.len()).filter(|k| !inside.contains(k));
    let wanted: HashSet<String> = others
        .flat_map(|k| tensors_of(problem, &problem.kernels[k]))
        .collect();
    let stored = kernels.iter().flat_map(|k| &problem.kernels[*k].stores);
    let own: HashSet<Symbol> = stored.map(|s| Symbol::from(s.tensor())).collect();
    let mut named: IndexSet<String> = IndexSet::new();
    let mut specs = vec![];
    for k in kernels {
        let mut spec = problem.kernels[*k].clone();
        named.extend(tensors_of(problem, &spec));
        for store in &mut spec.stores {
            store.result |= wanted.contains(store.tensor());
            (store.value, store.names) = closed(&store.value, &store.names, &own);
            store.buffer = closed(&store.buffer, &[], &own).0;
            let whole = store.whole.take();
            store.whole = whole.map(|w| closed(&w, &[], &own).0);
            store.launch = closed(&store.launch, &[], &own).0;
            named.insert(store.tensor().to_owned());
            for term in [&store.value, &store.buffer, &store.launch] {
                named.extend(inputs(term));
            }
        }
        let exchange = spec.exchange.iter().flat_map(|e| e.names());
        named.extend(exchange.cloned());
        specs.push(spec);
    }
    // What an exchange writes for itself alone.
    let exchanges = specs.iter().filter_map(|s| s.exchange.as_ref());
    let memory: HashSet<String> = exchanges.flat_map(|e| e.memory().cloned()).collect();
    let tensor = |name: &String| {
        let mut tensor = problem.tensors.get(name)?.clone();
        let given = matches!(tensor.role, Role::Output | Role::Workspace);
        if given && !own.contains(&Symbol::from(name)) && !memory.contains(name) {
            tensor.role = Role::Input;
        }
        Some((name.clone(), tensor))
    };
    let scalar = |name: &String| Some((name.clone(), *problem.scalars.get(name)?));
    for spec in &mut specs {
        spec.reads.retain(|r| own.contains(&Symbol::from(r)));
    }
    Problem {
        name: problem.name.clone(),
        tensors: named.iter().filter_map(tensor).collect(),
        scalars: named.iter().filter_map(scalar).collect(),
        ranks: problem.ranks,
        kernels: specs,
        shrunk: vec![],
    }
}

/// Names of inputs in a term.
fn inputs(term: &RecExpr<Term>) -> impl Iterator<Item = String> {
    term.as_ref().iter().filter_map(|n| match n {
        Term::App(Head::Input, c) => match &term[c[0]] {
            Term::Name(name) => Some(name.to_string()),
            _ => None,
        },
        _ => None,
    })
}

/// A term in which values that others store are inputs, with the names of what is left.
fn closed(
    term: &RecExpr<Term>,
    names: &[(Id, String)],
    own: &HashSet<Symbol>,
) -> (RecExpr<Term>, Vec<(Id, String)>) {
    fn copy(
        from: &RecExpr<Term>,
        id: Id,
        own: &HashSet<Symbol>,
        to: &mut RecExpr<Term>,
        memo: &mut HashMap<Id, Id>,
    ) -> Id {
        if let Some(done) = memo.get(&id) {
            return *done;
        }
        let new = match &from[id] {
            Term::App(Head::Buf, c) if matches!(&from[c[0]], Term::Name(n) if !own.contains(n)) => {
                let name = to.add(from[c[0]].clone());
                to.add(Term::app(Head::Input, [name]))
            }
            node => {
                let mut node = node.clone();
                for c in node.children_mut() {
                    *c = copy(from, *c, own, to, memo);
                }
                to.add(node)
            }
        };
        memo.insert(id, new);
        new
    }
    let (mut out, mut memo) = (RecExpr::default(), HashMap::default());
    copy(term, term.root(), own, &mut out, &mut memo);
    let kept = names
        .iter()
        .filter_map(|(id, n)| Some((*memo.get(id)?, n.clone())));
    let mut kept: Vec<(Id, String)> = kept.collect();
    kept.sort();
    (out, kept)
}

/// Pins with other names in them.
fn pinned(names: &Renaming, mut pins: KernelPins) -> KernelPins {
    for named in [&mut pins.reads, &mut pins.unread].into_iter().flatten() {
        named.iter_mut().for_each(|v| *v = names.value(v));
    }
    for with in pins.fuse.iter_mut().flatten() {
        *with = names.kernel(with);
    }
    pins
}

/// A text that equal problems share, whatever names their values and kernels have, and these names.
pub(in crate::search) fn canonical(problem: &Problem, pins: &Pins) -> (String, PartNames) {
    let mut names = PartNames::default();
    for spec in &problem.kernels {
        names.kernel(&spec.name);
        names.kernel(&spec.region);
        spec.covers.iter().for_each(|c| names.kernel(c));
        for store in &spec.stores {
            inputs(&store.value).for_each(|n| names.value(&n));
            store.names.iter().for_each(|(_, n)| names.value(n));
            names.value(&store.name);
            names.value(store.tensor());
        }
        for name in spec.exchange.iter().flat_map(|e| e.names()) {
            names.value(name);
        }
    }
    problem.tensors.keys().for_each(|n| names.value(n));
    problem.scalars.keys().for_each(|n| names.value(n));
    let numbered = names.numbered();
    let mut text = String::new();
    let mut line = |part: String| {
        text.push_str(&part);
        text.push('\n');
    };
    for spec in &problem.kernels {
        let KernelSpec {
            name,
            region,
            covers,
            unit,
            stores,
            names,
            launch,
            block_rows,
            reduces,
            depth,
            cols_tile,
            per_block,
            reads,
            exchange,
        } = spec;
        let covers: Vec<String> = covers.iter().map(|c| numbered.kernel(c)).collect();
        let reads: Vec<String> = reads.iter().map(|c| numbered.value(c)).collect();
        let pins = pinned(&numbered, pins.of(spec));
        line(format!(
            "{} {}",
            numbered.kernel(name),
            numbered.kernel(region)
        ));
        line(format!(
            "{covers:?} {unit:?} {names:?} {launch:?} {block_rows} {reduces:?}"
        ));
        line(format!(
            "{depth} {cols_tile} {per_block} {reads:?} {pins:?}"
        ));
        let exchange = exchange.as_ref().map(|e| numbered.exchange(e));
        line(format!("{exchange:?}"));
        for store in stores {
            let Store {
                name,
                names,
                value,
                buffer,
                launch,
                rows,
                cols,
                data_cols,
                result,
                part_of,
                whole,
                split_of,
            } = store;
            let part_of = part_of.as_ref().map(|(t, c)| (numbered.value(t), c));
            let named = names.iter().map(|(i, n)| (*i, numbered.value(n)));
            line(format!(
                "{} {:?}",
                numbered.value(name),
                named.collect::<Vec<_>>()
            ));
            line(format!(
                "{rows} {cols} {data_cols} {result} {part_of:?} {split_of:?}"
            ));
            for term in [value, buffer, launch].into_iter().chain(whole) {
                line(format!("{:?}", numbered.term(term).as_ref()));
            }
        }
    }
    for (name, tensor) in numbered.tensors(&problem.tensors) {
        line(format!("{name} {tensor:?}"));
    }
    for (name, max) in &problem.scalars {
        line(format!("{} {max}", numbered.value(name)));
    }
    (text, names)
}
