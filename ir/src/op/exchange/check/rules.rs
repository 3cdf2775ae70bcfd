//! What a program as a whole has to keep to.

use super::{Check, Checked};
use crate::op::exchange::ExchangeError;
use crate::op::exchange::program::*;
use crate::syntax::ast::Span;

impl Check<'_> {
    pub(super) fn rules(&mut self) -> Checked<()> {
        let mut notified = vec![];
        let mut written = vec![false; self.program.results.len()];
        let mut told = vec![];
        visit(&self.program.body, &mut |s| match &s.kind {
            StepKind::Notify { counter, .. } => notified.push(*counter),
            StepKind::Copy {
                to: Target::Rect(r, _),
                ..
            } => {
                if let Place::Result(i) = r.place {
                    written[i] = true;
                }
            }
            StepKind::Fail { failure, .. } => told.push(self.program.failures[*failure].status),
            _ => {}
        });
        for (counter, span, line) in self.waits.clone() {
            if !notified.contains(&counter) {
                self.line = self.program.lines[line].clone();
                return Err(ExchangeError::NeverNotified {
                    at: self.at(span),
                    counter: self.program.counters[counter].name.clone(),
                });
            }
        }
        self.line.clear();
        self.arrays(&told)?;
        for (i, written) in written.into_iter().enumerate() {
            let result = self.program.results[i].name.clone();
            if !written && !told.contains(&i) {
                return Err(self.rule(
                    self.result_span(i),
                    format!("nothing is written to its result `{result}`"),
                    "copy what it is to be into it, or take it out of the results",
                ));
            }
            if written && told.contains(&i) {
                return Err(self.rule(
                    self.result_span(i),
                    format!("its result `{result}` tells of failures, and is written too"),
                    "name two results: `fail` alone writes a status",
                ));
            }
        }
        Ok(())
    }

    /// Arrays have room. What is copied whole, and what statuses are made in, lies beside the scalar unit; other arrays may lie
    /// in memory.
    fn arrays(&self, statuses: &[Id]) -> Checked<()> {
        let copied = self.program.copied_arrays();
        let arrays = || self.program.arrays.iter().enumerate();
        let held = arrays()
            .filter(|(i, _)| copied.contains(i))
            .map(|(_, a)| a.length);
        let status = |i: &usize| statuses.contains(i);
        let results = (0..self.program.results.len()).filter(status);
        let words = results.map(|i| self.program.results[i].cols);
        let bytes = |lengths: &mut dyn Iterator<Item = usize>| -> usize {
            lengths
                .map(|n| n.saturating_mul(4))
                .fold(0, usize::saturating_add)
        };
        let size = |what: &str, bytes: usize, most: usize| match bytes <= most {
            true => Ok(()),
            false => Err(ExchangeError::Size {
                at: self.at(self.tree.signature.name.span),
                what: what.into(),
                value: bytes as i64,
                low: 0,
                high: most as i64,
            }),
        };
        let beside = bytes(&mut held.chain(words));
        size(
            "the number of bytes of arrays that it copies, and of statuses,",
            beside,
            MAX_ARRAYS,
        )?;
        let all = bytes(&mut arrays().map(|(_, a)| a.length));
        size(
            "the number of bytes of its arrays",
            all,
            MAX_ARRAYS_IN_MEMORY,
        )
    }

    fn result_span(&self, i: usize) -> Span {
        self.tree.signature.results[i].name.span
    }
}
