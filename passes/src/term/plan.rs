//! The optimizer's result, and the schedule pass's input: for every kernel, the terms of what it stores.

use crate::hash::HashMap;
use crate::term::exchange::Exchange;
use crate::term::language::{Head, Term};
use egg::{Id, Language, RecExpr};
use indexmap::IndexMap;
use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::kernel::{GlobalTensor, Unit};

/// All kernels of a layer, scheduled as terms, in launch order.
#[derive(Debug, Clone)]
pub struct Plan {
    pub name: String,
    pub tensors: IndexMap<String, GlobalTensor>,
    pub scalars: IndexMap<String, i64>,
    /// How many ranks run the layer together.
    pub ranks: usize,
    pub kernels: Vec<KernelPlan>,
}

/// Engineers' names for what is cut; `None` where no axis is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TileNames {
    pub rows: String,
    pub cols: Option<String>,
    pub reduce: Option<String>,
}

impl TileNames {
    /// Whether a tile is called so.
    pub fn has(&self, name: &str) -> bool {
        let all = [Some(&self.rows), self.cols.as_ref(), self.reduce.as_ref()];
        all.into_iter().flatten().any(|n| n == name)
    }
}

/// One kernel: a DAG of executable terms with one launch a stored value.
#[derive(Debug, Clone)]
pub struct KernelPlan {
    pub name: String,
    /// Regions as written whose work it contains.
    pub covers: Vec<String>,
    pub unit: Unit,
    pub names: TileNames,
    /// Launch terms share their tiles. A `buf` is written as `(input NAME)`: where it came from is not this kernel's matter.
    pub expr: RecExpr<Term>,
    /// What it does, when it moves data between ranks; its terms then only say how many blocks share that.
    pub exchange: Option<Arc<Exchange>>,
    /// What the layer calls the values of terms.
    pub labels: HashMap<Id, String>,
    pub roots: Vec<Root>,
    /// Products whose blocks it takes over within one launch: a mixed kernel. Each stores one value, which only this kernel
    /// reads.
    pub products: Vec<KernelPlan>,
    /// Rules that led here from the form as written, each once, in the order of the proof.
    pub derivation: Vec<String>,
}

/// A stored value: `tensor` receives what the launch `id` computes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Root {
    pub tensor: String,
    /// Its first column in the tensor: not 0 when several values lie beside each other.
    pub column: usize,
    #[serde(skip)]
    pub id: Id,
}

impl KernelPlan {
    /// Of the launch of the first stored value, as all agree.
    fn grid(&self) -> Option<(LaunchKind, usize)> {
        let num = |id: Id| match self.expr[id] {
            Term::Num(n) => n.max(1) as usize,
            _ => 1,
        };
        let Term::App(Head::Launch(kind), c) = &self.expr[self.roots.first()?.id] else {
            return None;
        };
        let (rows, mut cols, mut body) = (num(c[0]), num(c[1]), &self.expr[c[2]]);
        let mut block = (rows, cols);
        loop {
            match body {
                Term::App(Head::WithPad, c) => {
                    // A block that fills padding has all columns.
                    cols = 0;
                    body = &self.expr[c[2]];
                }
                Term::App(Head::Rows, c) => {
                    block.0 = num(c[0]);
                    body = &self.expr[c[2]];
                }
                Term::App(Head::Cols, c) => {
                    block.1 = num(c[1]);
                    break;
                }
                _ => break,
            }
        }
        Some((*kind, rows / block.0 * (cols / block.1).max(1)))
    }

    /// How it is launched.
    pub fn launch(&self) -> LaunchKind {
        self.grid().map_or(LaunchKind::Parallel, |(kind, _)| kind)
    }

    /// Blocks of its launch; of a mixed kernel those of its products, each with several vector cores.
    pub fn blocks(&self) -> usize {
        let of = self.products.first().unwrap_or(self);
        of.grid().map_or(1, |(_, blocks)| blocks)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "plan {}", self.name)?;
        for k in &self.kernels {
            write!(f, "\n{k}")?;
        }
        Ok(())
    }
}

impl fmt::Display for KernelPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "kernel {} ({:?})", self.name, self.unit)?;
        for product in &self.products {
            write!(f, "with {product}")?;
        }
        for root in &self.roots {
            let mut part: RecExpr<Term> = RecExpr::default();
            copy(&self.expr, root.id, &mut part, &mut Default::default());
            writeln!(f, "  {} =", root.tensor)?;
            for (name, part) in named(&part) {
                for (i, line) in part.pretty(96).lines().enumerate() {
                    match (i, &name) {
                        (0, Some(name)) => writeln!(f, "    {name} = {line}")?,
                        _ => writeln!(f, "    {line}")?,
                    }
                }
            }
        }
        Ok(())
    }
}

impl KernelPlan {
    /// The terms that it stores, as text that is equal where they are: a line a node, so that a node that is used often stands there
    /// once.
    pub fn terms(&self) -> String {
        let mut out = format!("{:?} ", self.unit);
        for product in &self.products {
            out.push_str(&product.terms());
        }
        for root in &self.roots {
            let mut part: RecExpr<Term> = RecExpr::default();
            copy(&self.expr, root.id, &mut part, &mut Default::default());
            out.push_str(&format!(
                "{} {} {:?}\n",
                root.tensor,
                root.column,
                part.as_ref()
            ));
        }
        out
    }
}

/// Nodes up to which a term is printed whole.
const WHOLE: usize = 4096;

/// A term in pieces that are short enough to read, the whole one last: where all of it would be too long, what is used more than
/// once has a name.
fn named(part: &RecExpr<Term>) -> Vec<(Option<String>, RecExpr<Term>)> {
    let nodes = part.as_ref();
    let mut size = vec![1_usize; nodes.len()];
    let mut uses = vec![0_usize; nodes.len()];
    for (i, node) in nodes.iter().enumerate() {
        for c in node.children() {
            size[i] = size[i].saturating_add(size[usize::from(*c)]);
            uses[usize::from(*c)] += 1;
        }
    }
    if size.last().is_none_or(|s| *s <= WHOLE) {
        return vec![(None, part.clone())];
    }
    let last = nodes.len() - 1;
    let has_name = |i: usize| uses[i] > 1 && size[i] > 1 && i != last;
    let mut out = vec![];
    for i in (0..nodes.len()).filter(|i| has_name(*i) || *i == last) {
        let mut piece: RecExpr<Term> = RecExpr::default();
        fragment(
            part,
            Id::from(i),
            &|c: Id| has_name(usize::from(c)),
            true,
            &mut piece,
        );
        out.push(((i != last).then(|| format!("_{i}")), piece));
    }
    out
}

/// A node with what is below it, up to what has a name of its own.
fn fragment(
    from: &RecExpr<Term>,
    id: Id,
    has_name: &dyn Fn(Id) -> bool,
    top: bool,
    to: &mut RecExpr<Term>,
) -> Id {
    if !top && has_name(id) {
        return to.add(Term::Name(format!("_{id}").into()));
    }
    let node = from[id].clone();
    let node = node.map_children(|c| fragment(from, c, has_name, false, to));
    to.add(node)
}

/// Copies the part of `from` below `id`.
fn copy(
    from: &RecExpr<Term>,
    id: Id,
    to: &mut RecExpr<Term>,
    memo: &mut crate::hash::HashMap<Id, Id>,
) -> Id {
    if let Some(new) = memo.get(&id) {
        return *new;
    }
    let mut node = from[id].clone();
    if let Term::App(_, children) = &mut node {
        for c in children.iter_mut() {
            *c = copy(from, *c, to, memo);
        }
    }
    let new = to.add(node);
    memo.insert(id, new);
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use tilewright_ir::graph::{Binary, Operator};

    /// Each of 80 steps uses the one before twice: as a tree that is 2^80 nodes.
    #[test]
    fn what_is_used_often_is_printed_once() {
        let mut expr: RecExpr<Term> = RecExpr::default();
        let name = expr.add(Term::Name("x".into()));
        let mut last = expr.add(Term::app(Head::Input, [name]));
        for _ in 0..80 {
            last = expr.add(Term::app(
                Head::Op(Operator::Binary(Binary::Add)),
                [last, last],
            ));
        }
        let pieces = named(&expr);
        let (name, piece) = &pieces[pieces.len() - 1];
        assert_eq!((name, piece.to_string().as_str()), (&None, "(add _80 _80)"));
        assert_eq!(pieces.len(), 81);
    }
}
