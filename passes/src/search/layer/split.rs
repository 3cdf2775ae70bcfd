//! Split forms of products: which partial products the e-graph holds, as stores that a plan can choose.

use crate::problem::{Problem, Store};
use crate::search::kernel::ExtractError;
use crate::search::pins::Pins;
use crate::term::analysis::Graph;
use crate::term::language::{Head, Term};
use egg::{Id, Language, RecExpr, Symbol};
use std::collections::BTreeSet;
use tilewright_ir::graph::{LaunchKind, Operator};
use tilewright_ir::kernel::{GlobalTensor, Role as TensorRole, Unit};

/// A product that can be whole or split.
#[derive(Debug)]
pub(super) struct Product {
    pub kernel: usize,
    /// For each of its forms, what is not read.
    pub forms: Vec<BTreeSet<Symbol>>,
    /// For each of its forms, parts of the inner axis; 1 where it is whole.
    pub parts: Vec<usize>,
}

/// Adds to the problem the split forms of products that the e-graph holds. Returns the forms to compare of each product: for
/// each form, the names of split buffers and of the unsplit one that are not to be read. A whole product comes first.
pub(super) fn alternatives(
    problem: &mut Problem,
    egraph: &Graph,
    buffers: &mut [Vec<Id>],
    pins: &Pins,
) -> Result<Vec<Product>, ExtractError> {
    let mut products = vec![];
    for (i, classes) in buffers.iter_mut().enumerate() {
        let spec = &problem.kernels[i];
        let region = pins.of(spec);
        let mut forms: Vec<(Store, Id)> = vec![];
        for store in &spec.stores {
            let value = store.value.root();
            let Term::App(Head::Op(Operator::MatmulNt), operands) = &store.value[value] else {
                continue;
            };
            for class in egraph.classes() {
                for node in &class.nodes {
                    if let Some(form) = split_form(egraph, class.id, node, store, operands) {
                        forms.push(form);
                    }
                }
            }
        }
        forms.sort_by_key(|(s, _)| s.split_of.as_ref().map(|(_, parts)| *parts));
        let names: Vec<Symbol> = forms.iter().map(|(s, _)| Symbol::from(&s.name)).collect();
        let unsplit: Vec<Symbol> = forms
            .iter()
            .filter_map(|(s, _)| s.split_of.as_ref())
            .map(|(of, _)| Symbol::from(of))
            .collect();
        let allowed: Vec<usize> = (0..forms.len())
            .filter(|f| {
                let parts = forms[*f].0.split_of.as_ref().map_or(1, |(_, p)| *p);
                region.allows_split(parts)
            })
            .collect();
        let product = !unsplit.is_empty() || spec.unit == Unit::Cube;
        if let (Some(parts), true, true) = (region.split_k, product, allowed.is_empty())
            && parts != 1
        {
            let counts = forms.iter().filter_map(|(s, _)| s.split_of.as_ref());
            let counts: Vec<String> = counts.map(|(_, parts)| parts.to_string()).collect();
            return Err(ExtractError::NoSchedule {
                kernel: spec.region.clone(),
                pin: format!("split_k={parts}"),
                remedy: format!(
                    "with these rules and this numerics policy, split_k can be one of {}",
                    [&["1".to_string()], &counts[..]].concat().join(", ")
                ),
            });
        }
        if forms.is_empty() {
            continue;
        }
        let mut choices: Vec<BTreeSet<Symbol>> = vec![];
        let mut parts = vec![];
        if region.allows_split(1) {
            choices.push(names.iter().copied().collect());
            parts.push(1);
        }
        for f in &allowed {
            let hidden = names.iter().enumerate().filter(|(n, _)| n != f);
            choices.push(hidden.map(|(_, n)| n).chain(&unsplit).copied().collect());
            parts.push(forms[*f].0.split_of.as_ref().map_or(1, |(_, p)| *p));
        }
        products.push(Product {
            kernel: i,
            forms: choices,
            parts,
        });
        for (store, class) in forms {
            let Some((of, _)) = &store.split_of else {
                continue;
            };
            let partial = GlobalTensor {
                dtype: problem.tensors[of].dtype,
                shape: vec![store.rows, store.cols],
                role: TensorRole::Workspace,
                ragged: None,
                expected: vec![],
            };
            problem.tensors.insert(store.name.clone(), partial);
            classes.push(class);
            problem.kernels[i].stores.push(store);
        }
    }
    Ok(products)
}

/// The store of `(buf p (parts s a b))`, if that is a split form of the product that `of` stores.
fn split_form(
    egraph: &Graph,
    class: Id,
    node: &Term,
    of: &Store,
    operands: &[Id],
) -> Option<(Store, Id)> {
    let Term::App(Head::Buf, c) = node else {
        return None;
    };
    let name = egraph[c[0]].data.name?;
    let operand = |id: Id| {
        let mut expr: RecExpr<Term> = RecExpr::default();
        copy(&of.value, id, &mut expr);
        egraph.lookup_expr(&expr)
    };
    let (a, b) = (operand(operands[0])?, operand(operands[1])?);
    let parts = egraph[c[1]].nodes.iter().find_map(|n| match n {
        Term::App(Head::Parts, p) if egraph.find(p[1]) == a && egraph.find(p[2]) == b => {
            egraph[p[0]].data.num
        }
        _ => None,
    })? as usize;
    // The terms: the stacked value, its buffer, and the launch that the rule starts from.
    let mut value: RecExpr<Term> = RecExpr::default();
    let a = copy(&of.value, operands[0], &mut value);
    let b = copy(&of.value, operands[1], &mut value);
    let s = value.add(Term::Num(parts as i64));
    let stacked = value.add(Term::app(Head::Parts, [s, a, b]));
    let mut buffer = value.clone();
    let n = buffer.add(Term::Name(name));
    buffer.add(Term::app(Head::Buf, [n, stacked]));
    let mut launch = value.clone();
    let [t, w, m, one] =
        [of.rows * parts, of.cols, of.rows, 1].map(|x| launch.add(Term::Num(x as i64)));
    let tile = launch.add(Term::app(Head::Tile, [m, w, stacked]));
    let cols = launch.add(Term::app(Head::Cols, [one, w, w, tile]));
    let rows = launch.add(Term::app(Head::Rows, [m, m, cols]));
    launch.add(Term::app(Head::Launch(LaunchKind::Parallel), [t, w, rows]));
    let store = Store {
        name: name.to_string(),
        names: vec![],
        value,
        buffer,
        launch,
        rows: of.rows * parts,
        cols: of.cols,
        data_cols: of.cols,
        result: false,
        part_of: None,
        whole: None,
        split_of: Some((of.name.clone(), parts)),
    };
    Some((store, class))
}

/// Copies the part of `from` below `id`.
fn copy(from: &RecExpr<Term>, id: Id, to: &mut RecExpr<Term>) -> Id {
    let mut node = from[id].clone();
    for c in node.children_mut() {
        *c = copy(from, *c, to);
    }
    to.add(node)
}
