//! The optimizer's result, and the schedule pass's input: for every kernel, the terms of what it stores.

use crate::hash::HashMap;
use crate::term::exchange::Exchange;
use crate::term::language::{Head, Term};
use egg::{Id, RecExpr};
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
            for line in part.pretty(96).lines() {
                writeln!(f, "    {line}")?;
            }
        }
        Ok(())
    }
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
