//! Names of a part of a layer, and how what was found for it is told of an equal part.

use super::{FoundKernel, FoundPlan};
use crate::search::pins::{Param, Pin};
use crate::search::why::Applied;
use crate::term::exchange::Exchange;
use crate::term::language::Term;
use crate::term::plan::{KernelPlan, Root};
use egg::{RecExpr, Symbol};
use indexmap::{IndexMap, IndexSet};
use std::sync::Arc;
use tilewright_ir::graph::{EPOCH, RANK};
use tilewright_ir::kernel::GlobalTensor;

/// Names in the order in which a part mentions them: those of equal parts correspond place by place.
#[derive(Debug, Clone, Default)]
pub(in crate::search) struct PartNames {
    kernels: IndexSet<String>,
    values: IndexSet<String>,
}

/// From the names of one part to those of another.
#[derive(Debug, Clone, Default)]
pub(in crate::search) struct Renaming {
    kernels: IndexMap<String, String>,
    values: IndexMap<String, String>,
}

impl PartNames {
    pub fn kernel(&mut self, name: &str) {
        if !self.kernels.contains(name) {
            self.kernels.insert(name.into());
        }
    }

    pub fn value(&mut self, name: &str) {
        // What every rank knows by itself has its name everywhere.
        let given = [RANK, EPOCH].contains(&name);
        if !given && !self.values.contains(name) {
            self.values.insert(name.into());
        }
    }

    /// To the places of the names.
    pub fn numbered(&self) -> Renaming {
        let numbers = |of: &IndexSet<String>, letter: &str| {
            let named = of.iter().enumerate();
            named
                .map(|(i, n)| (n.clone(), format!("{letter}{i}")))
                .collect()
        };
        Renaming {
            kernels: numbers(&self.kernels, "%k"),
            values: numbers(&self.values, "%v"),
        }
    }

    /// To the names of an equal part.
    pub fn to(&self, other: &PartNames) -> Renaming {
        let pairs = |a: &IndexSet<String>, b: &IndexSet<String>| {
            let pairs = a.iter().zip(b);
            pairs.map(|(a, b)| (a.clone(), b.clone())).collect()
        };
        Renaming {
            kernels: pairs(&self.kernels, &other.kernels),
            values: pairs(&self.values, &other.values),
        }
    }
}

impl Renaming {
    pub fn kernel(&self, name: &str) -> String {
        renamed(name, &self.kernels)
    }

    pub fn value(&self, name: &str) -> String {
        renamed(name, &self.values)
    }

    pub fn term(&self, term: &RecExpr<Term>) -> RecExpr<Term> {
        let nodes = term.as_ref().iter().map(|n| match n {
            Term::Name(name) => Term::Name(Symbol::from(self.value(name.as_str()))),
            other => other.clone(),
        });
        RecExpr::from(nodes.collect::<Vec<_>>())
    }

    pub fn tensors(
        &self,
        tensors: &IndexMap<String, GlobalTensor>,
    ) -> IndexMap<String, GlobalTensor> {
        let tensor = |t: &GlobalTensor| {
            let mut t = t.clone();
            if let Some(ragged) = &mut t.ragged {
                ragged.counts = self.value(&ragged.counts);
            }
            t
        };
        let renamed = tensors.iter().map(|(n, t)| (self.value(n), tensor(t)));
        renamed.collect()
    }

    pub fn exchange(&self, exchange: &Exchange) -> Exchange {
        exchange.renamed(|name| self.value(name))
    }

    pub fn plan(&self, plan: &FoundPlan) -> FoundPlan {
        FoundPlan {
            kernels: plan.kernels.iter().map(|k| self.found(k)).collect(),
            holds: plan
                .holds
                .iter()
                .map(|(region, pins)| {
                    let pins = pins.iter().map(|pin| self.pin(pin)).collect();
                    (self.kernel(region), pins)
                })
                .collect(),
        }
    }

    fn pin(&self, pin: &Pin) -> Pin {
        let values = |names: &[String]| names.iter().map(|n| self.value(n)).collect();
        Pin {
            kernel: self.kernel(&pin.kernel),
            param: match &pin.param {
                Param::Fuse(with) => Param::Fuse(with.iter().map(|k| self.kernel(k)).collect()),
                Param::Reads(names) => Param::Reads(values(names)),
                Param::Unread(names) => Param::Unread(values(names)),
                other => other.clone(),
            },
        }
    }

    fn found(&self, kernel: &FoundKernel) -> FoundKernel {
        FoundKernel {
            plan: self.kernel_plan(&kernel.plan),
            estimate: kernel.estimate.clone(),
            chain: kernel.chain.iter().map(|l| self.applied(l)).collect(),
        }
    }

    fn kernel_plan(&self, plan: &KernelPlan) -> KernelPlan {
        let KernelPlan {
            name,
            covers,
            unit,
            names,
            exchange,
            expr,
            labels,
            roots,
            products,
            derivation,
        } = plan;
        let root = |r: &Root| Root {
            tensor: self.value(&r.tensor),
            column: r.column,
            id: r.id,
        };
        let labels = labels.iter().map(|(id, n)| (*id, self.value(n)));
        KernelPlan {
            name: self.kernel(name),
            covers: covers.iter().map(|c| self.kernel(c)).collect(),
            unit: *unit,
            names: names.clone(),
            exchange: exchange.as_ref().map(|e| Arc::new(self.exchange(e))),
            expr: self.term(expr),
            labels: labels.collect(),
            roots: roots.iter().map(root).collect(),
            products: products.iter().map(|p| self.kernel_plan(p)).collect(),
            derivation: derivation.clone(),
        }
    }

    fn applied(&self, applied: &Applied) -> Applied {
        let mut applied = applied.clone();
        // Only what is read has a name for a value.
        for change in applied.changes.iter_mut().filter(|c| c.param == "reads") {
            change.before = self.value(&change.before);
            change.after = self.value(&change.after);
        }
        applied
    }
}

/// A name with every known one in it replaced: what is derived from names joins them with `_`, or adds to them. At each place
/// the longest known name counts.
fn renamed(name: &str, map: &IndexMap<String, String>) -> String {
    if let Some(new) = map.get(name) {
        return new.clone();
    }
    let (mut out, mut rest) = (String::new(), name);
    loop {
        let ends = rest
            .char_indices()
            .filter(|(_, c)| *c == '_')
            .map(|(i, _)| i);
        let ends: Vec<usize> = ends.chain([rest.len()]).collect();
        let known = ends
            .iter()
            .rev()
            .find_map(|e| Some((*e, map.get(&rest[..*e])?)));
        let end = match known {
            Some((end, new)) => {
                out.push_str(new);
                end
            }
            None => {
                out.push_str(&rest[..ends[0]]);
                ends[0]
            }
        };
        match rest[end..].strip_prefix('_') {
            Some(after) => {
                out.push('_');
                rest = after;
            }
            None => return out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_names_follow_the_names_in_them() {
        let pairs = [("a", "b"), ("a_1", "b_2"), ("mm", "nn"), ("x", "x_2")];
        let map = pairs.map(|(a, b)| (a.to_string(), b.to_string())).into();
        for (name, new) in [
            ("a", "b"),
            ("a_1", "b_2"),
            ("a_1_split8", "b_2_split8"),
            ("a_1_mm", "b_2_nn"),
            ("a_2", "b_2"),
            ("other", "other"),
            ("x_a_pad_init", "x_2_b_pad_init"),
            ("", ""),
        ] {
            assert_eq!(renamed(name, &map), new, "{name}");
        }
    }
}
