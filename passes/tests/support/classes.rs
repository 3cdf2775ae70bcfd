//! Every e-node of every e-class, evaluated and compared within its class.

use super::evaluate::{Context, Denotation, evaluate};
use super::value::{Arithmetic, Fault, Value};
use egg::{Id, Language, Symbol};
use indexmap::IndexMap;
use std::collections::HashMap;
use tilewright_ir::graph::Operator;
use tilewright_passes::term::analysis::{Graph, Kind, TermAnalysis};
use tilewright_passes::term::language::{Head, Term};

/// Tensors by name.
pub type Inputs = IndexMap<Symbol, Value>;

/// How far two values of a class may be apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Agreement {
    /// Bit for bit, but that NaN is NaN.
    Exact,
    /// Relative to the larger of the two.
    Within(f64),
    /// As `Within`, for forms that are equal as real numbers: relative to the largest element, integers may be next to a tie, and
    /// what is not finite or very large is outside the domain.
    Real(f64),
}

/// What was compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub classes: usize,
    pub nodes: usize,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.classes += other.classes;
        self.nodes += other.nodes;
    }
}

/// Values of e-classes. Ids that were current when they were evaluated stay valid while the e-graph grows.
pub type Values = HashMap<Id, Denotation>;

/// A value for every class that has one, from the node that says most directly what the class is; `known` values stay.
pub fn values(
    egraph: &Graph,
    inputs: &Inputs,
    arithmetic: Arithmetic,
    known: &Values,
) -> (Values, Vec<Fault>) {
    let mut values: Values = known
        .iter()
        .map(|(id, v)| (egraph.find(*id), v.clone()))
        .collect();
    let mut faults = vec![];
    let mut open: Vec<Id> = egraph.classes().map(|c| c.id).collect();
    open.sort();
    open.retain(|id| !values.contains_key(id));
    let mut rank = 0;
    while !open.is_empty() && rank < 2 {
        let before = open.len();
        open.retain(|id| {
            for node in egraph[*id].nodes.iter().filter(|n| directness(n) <= rank) {
                match node_value(egraph, node, inputs, arithmetic, &values) {
                    Some(Ok(value)) => {
                        values.insert(*id, value);
                        return false;
                    }
                    Some(Err(why)) => faults.push(format!("{}: {why}", show(egraph, node))),
                    None => {}
                }
            }
            true
        });
        rank = if open.len() == before { rank + 1 } else { 0 };
    }
    for id in open {
        let nodes: Vec<String> = egraph[id].nodes.iter().map(|n| show(egraph, n)).collect();
        faults.push(format!("class {id} has no value: {nodes:?}"));
    }
    (values, faults)
}

/// Compares all nodes of all classes with their class's value, and the value with the class's facts.
pub fn check(
    egraph: &Graph,
    inputs: &Inputs,
    arithmetic: Arithmetic,
    agreement: Agreement,
) -> Result<Tally, Vec<Fault>> {
    let (values, mut faults) = values(egraph, inputs, arithmetic, &Values::new());
    let mut tally = Tally::default();
    let mut classes: Vec<_> = egraph.classes().collect();
    classes.sort_by_key(|c| c.id);
    for class in classes {
        let Some(value) = values.get(&class.id) else {
            continue;
        };
        tally.classes += 1;
        if let Denotation::Value(v) = value
            && let Err(why) = facts_hold(egraph, class.id, v)
        {
            faults.push(format!("{}: {why}", show(egraph, &class.nodes[0])));
        }
        for node in &class.nodes {
            tally.nodes += 1;
            if let Err(why) = structure(egraph, class.id, node) {
                faults.push(format!("{}: {why}", show(egraph, node)));
            }
            let found = match node_value(egraph, node, inputs, arithmetic, &values) {
                Some(found) => found,
                None => Err("an operand has no value".into()),
            };
            let same = found.and_then(|found| agree(value, &found, agreement));
            if let Err(why) = same {
                let peers: Vec<String> = class
                    .nodes
                    .iter()
                    .filter(|n| *n != node)
                    .map(|n| show(egraph, n))
                    .take(3)
                    .collect();
                faults.push(format!(
                    "{}: {why}; its class {}: {}",
                    show(egraph, node),
                    class.id,
                    peers.join(" ")
                ));
            }
        }
    }
    match faults.is_empty() {
        true => Ok(tally),
        false => Err(faults),
    }
}

/// The value of a node, when its operands have values.
pub fn node_value(
    egraph: &Graph,
    node: &Term,
    inputs: &Inputs,
    arithmetic: Arithmetic,
    values: &Values,
) -> Option<Result<Denotation, Fault>> {
    let children: Option<Vec<&Denotation>> = node
        .children()
        .iter()
        .map(|c| values.get(&egraph.find(*c)))
        .collect();
    let loops = match node {
        Term::App(Head::Parts, c) => {
            egraph.lookup(Term::app(Head::Op(Operator::MatmulNt), [c[1], c[2]]))
        }
        Term::App(
            Head::Op(Operator::Reduce(_))
            | Head::Op(Operator::MatmulNt)
            | Head::Op(Operator::GroupedMatmulNt),
            _,
        ) => egraph.lookup(node.clone()),
        _ => None,
    };
    let seeds = loops.map(|id| TermAnalysis::seeds_of(egraph, id));
    let context = Context {
        arithmetic,
        input: &|name| inputs.get(&name).cloned(),
        chunk: seeds.and_then(|s| s.first().map(|s| s.piece)),
    };
    Some(evaluate(node, &children?, context))
}

/// 0 for nodes that say what a value is, 1 for those that say how it is computed in blocks.
fn directness(node: &Term) -> usize {
    match node.head() {
        Some(
            Head::Load
            | Head::Fold(_)
            | Head::Mm
            | Head::MmParts
            | Head::MmGrouped
            | Head::AddParts
            | Head::Halve(_)
            | Head::Cols
            | Head::Rows
            | Head::WithPad
            | Head::Fill
            | Head::Launch(_)
            | Head::Overlay,
        ) => 1,
        _ => 0,
    }
}

/// A node whose operands are written out where they are leaves, and are class numbers elsewhere.
pub fn show(egraph: &Graph, node: &Term) -> String {
    let operands = node.children().iter().map(|c| {
        let class = &egraph[*c];
        match class.nodes.iter().find(|n| n.is_leaf()) {
            Some(leaf) => format!(" {leaf}"),
            None => format!(" #{}", class.id),
        }
    });
    let operands: String = operands.collect();
    match node.is_leaf() {
        true => node.to_string(),
        false => format!("({node}{operands})"),
    }
}

fn facts_hold(egraph: &Graph, class: Id, v: &Value) -> Result<(), Fault> {
    let facts = &egraph[class].data;
    let shape = match v.kind {
        Kind::Tensor => (v.rows, v.cols),
        _ => v.block,
    };
    // A filling alone has no type: it takes that of the data beside it.
    let typed = facts.dtype.is_none_or(|d| d == v.dtype);
    match facts.kind == v.kind && (facts.rows, facts.cols) == shape && typed {
        true => Ok(()),
        false => Err(format!(
            "the analysis has {facts:?}, the value is a {:?} of {shape:?} {}",
            v.kind, v.dtype
        )),
    }
}

/// What holds of every node, whatever its value.
fn structure(egraph: &Graph, class: Id, node: &Term) -> Result<(), Fault> {
    let own = |c: &Id| egraph.find(*c) == class;
    // A buffer is its value, materialised; but they are two classes.
    if node.children().iter().any(own) {
        return Err("an operand is the node's own class".into());
    }
    if let Term::App(Head::Load, c) = node {
        let mut nodes = egraph[c[2]].nodes.iter();
        let there = |n: &Term| match n {
            // Of a view, what it is of.
            Term::App(Head::Op(Operator::Reshape), v) => {
                let mut of = egraph[v[0]].nodes.iter();
                of.any(|n| matches!(n.head(), Some(Head::Input | Head::Buf)))
            }
            n => matches!(n.head(), Some(Head::Input | Head::Buf)),
        };
        if !nodes.any(there) {
            return Err("what is loaded does not lie in global memory".into());
        }
    }
    Ok(())
}

/// Whether two denotations are the same, up to what `agreement` allows.
pub fn agree(a: &Denotation, b: &Denotation, agreement: Agreement) -> Result<(), Fault> {
    let (Denotation::Value(a), Denotation::Value(b)) = (a, b) else {
        return match a == b {
            true => Ok(()),
            false => Err(format!("{a:?} is not {b:?}")),
        };
    };
    let shape = |v: &Value| (v.kind, v.dtype, v.rows, v.cols, v.block, v.uniform);
    if shape(a) != shape(b) {
        return Err(format!("{:?} expected, {:?} found", shape(a), shape(b)));
    }
    let largest = a.data.iter().flatten().filter(|x| x.is_finite());
    let largest = largest.fold(0f64, |m, x| m.max(x.abs()));
    let differs = |(x, y): (&Option<f64>, &Option<f64>)| match (x, y) {
        (Some(x), Some(y)) => match agreement {
            Agreement::Real(tolerance) => {
                let inside = |x: &f64| x.is_finite() && x.abs() < 1e30;
                let tie = if a.dtype.is_float() { 0.0 } else { 1.0 };
                inside(x) && inside(y) && (x - y).abs() > tie + tolerance * (largest + 1.0)
            }
            _ => !close(*x, *y, agreement),
        },
        (x, y) => x != y,
    };
    match a.data.iter().zip(&b.data).position(differs) {
        None => Ok(()),
        Some(at) => Err(format!(
            "({}, {}) is {:?}, not {:?}",
            at / a.cols,
            at % a.cols,
            b.data[at],
            a.data[at]
        )),
    }
}

fn close(x: f64, y: f64, agreement: Agreement) -> bool {
    if x.is_nan() || y.is_nan() {
        return x.is_nan() && y.is_nan();
    }
    match agreement {
        Agreement::Exact => x.to_bits() == y.to_bits(),
        Agreement::Within(tolerance) | Agreement::Real(tolerance) => {
            x == y || (x - y).abs() <= tolerance * x.abs().max(y.abs())
        }
    }
}
