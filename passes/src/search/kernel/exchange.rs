//! Kernels that move data between ranks: how many blocks share the work, and how they start.

use super::{ExtractError, Extraction};
use crate::hash::HashMap;
use crate::search::candidate::{Candidate, Choice, Grid, Reads, Trips};
use crate::term::language::{Head, Term};
use crate::term::plan::{KernelPlan, Root};
use egg::{Id, RecExpr};
use std::collections::BTreeSet;
use tilewright_ir::graph::LaunchKind;

impl Extraction<'_> {
    /// All candidates, best first.
    pub(super) fn exchanges(&self) -> Result<Vec<Candidate>, ExtractError> {
        let mut ways: Option<BTreeSet<(usize, LaunchKind, bool)>> = None;
        for store in &self.needed {
            let own = self.shares(self.buffers[*store]);
            ways = Some(match ways {
                None => own,
                Some(all) => all.intersection(&own).copied().collect(),
            });
        }
        let mut found = vec![];
        let mut failure = None;
        for (blocks, kind, by_line) in ways.unwrap_or_default() {
            match self.exchange(blocks, kind, by_line) {
                Ok(candidate) => found.push(candidate),
                Err(e) => failure = failure.or(Some(e)),
            }
        }
        found.sort_by_key(Candidate::rank);
        match (found.is_empty(), failure) {
            (true, Some(e)) => Err(e),
            (true, None) => Err(self.no_schedule()),
            (false, _) => Ok(found),
        }
    }

    /// Blocks and launches of a stored value's class, and whether integers move by line.
    fn shares(&self, buffer: Id) -> BTreeSet<(usize, LaunchKind, bool)> {
        let mut out = BTreeSet::new();
        for node in &self.classes[self.classes.find(buffer)].nodes {
            let Term::App(Head::Launch(kind), c) = node else {
                continue;
            };
            if !self.pins.allows_launch(self.spec, *kind) {
                continue;
            }
            for share in &self.classes[c[2]].nodes {
                if let Term::App(Head::Share, s) = share {
                    let blocks = self.classes[s[0]].data.num.unwrap_or(0) as usize;
                    let by_line = self.classes[s[1]]
                        .nodes
                        .iter()
                        .any(|n| n.head() == Some(Head::ByLine));
                    if self.pins.allows_share(self.spec, blocks)
                        && self.pins.allows_by_line(by_line)
                    {
                        out.insert((blocks, *kind, by_line));
                    }
                }
            }
        }
        out
    }

    fn exchange(
        &self,
        blocks: usize,
        kind: LaunchKind,
        by_line: bool,
    ) -> Result<Candidate, ExtractError> {
        let mut expr: RecExpr<Term> = RecExpr::default();
        let share = expr.add(Term::Num(blocks as i64));
        let roots = self.needed.iter().map(|store| {
            let store = &self.spec.stores[*store];
            let name = expr.add(Term::Name((&store.name).into()));
            let mut value = expr.add(Term::app(Head::Exchanged, [name]));
            if by_line {
                value = expr.add(Term::app(Head::ByLine, [value]));
            }
            let body = expr.add(Term::app(Head::Share, [share, value]));
            let [rows, cols] = [store.rows, store.cols].map(|n| expr.add(Term::Num(n as i64)));
            Root {
                tensor: store.name.clone(),
                column: 0,
                id: expr.add(Term::app(Head::Launch(kind), [rows, cols, body])),
            }
        });
        let roots: Vec<Root> = roots.collect();
        let plan = KernelPlan {
            name: self.spec.name.clone(),
            covers: self.spec.covers.clone(),
            unit: self.spec.unit,
            names: self.spec.names.clone(),
            exchange: self.spec.exchange.clone(),
            expr,
            labels: HashMap::default(),
            roots,
            products: vec![],
            derivation: vec![],
        };
        let cost = self.cost(&plan, None)?;
        Ok(Candidate {
            grid: Grid {
                block_rows: 1,
                rows: 1,
                fan: blocks,
                hoisted: false,
                kind,
            },
            choice: Choice {
                stores: Trips::ONCE,
                folds: Trips::ONCE,
                reads: Reads::Cheapest,
            },
            exceptions: Default::default(),
            plan,
            init: None,
            cost,
            products: vec![],
            by_line,
            terms: vec![],
        })
    }
}
