//! What ranks tell each other, and what they tell the caller.

use super::statement::ident;
use super::{Check, Checked, Named};
use crate::dtype::DType;
use crate::op::exchange::ExchangeError;
use crate::op::exchange::program::*;

use crate::syntax::ast::{Condition, Expr, ExprKind, Ident, Text};
use crate::syntax::print_expr;

impl Check<'_> {
    pub(super) fn counter(&mut self, expr: &Expr) -> Checked<(Id, Int)> {
        let name = ident(expr);
        let named = match &expr.kind {
            ExprKind::Name(_) | ExprKind::Index { .. } => self.named(&name.name, name.span)?,
            _ => {
                return Err(self.rule(
                    expr.span,
                    format!("`{}` is no counter", print_expr(expr)),
                    "name a counter: `counter done`",
                ));
            }
        };
        let Named::Counter(counter) = named else {
            return Err(self.kind(&name, &named, ("a counter", "declare one: `counter done`")));
        };
        let count = self.program.counters[counter].count;
        let index = match &expr.kind {
            ExprKind::Index { at, .. } if at.len() == 1 && at[0].count.is_none() => {
                let (index, range) = self.integer(&at[0].start)?;
                self.within(&name, ("counters", range, 1), count)?;
                index
            }
            ExprKind::Name(_) if count == 1 => Int::Const(0),
            _ => {
                return Err(self.shape_error(
                    name.span,
                    format!("`{name}` is {count} counters, and one is needed"),
                    "name one of them: `done[step]`",
                ));
            }
        };
        Ok((counter, index))
    }

    pub(super) fn notify(&mut self, counter: &Expr, on: &Expr) -> Checked<StepKind> {
        let (counter, index) = self.counter(counter)?;
        let on = self.peer(on)?;
        Ok(StepKind::Notify { counter, index, on })
    }

    pub(super) fn require(&mut self, condition: &Condition, message: &Text) -> Checked<()> {
        let left = self.constant(&condition.left)?;
        let right = self.constant(&condition.right)?;
        if condition.op.holds(left, right) {
            return Ok(());
        }
        let mut asked = vec![];
        for e in [&condition.left, &condition.right] {
            names(e, &mut asked);
        }
        let value = |name: &String| match self.find(name) {
            Some(Named::Const(n)) => n.to_string(),
            _ => name.clone(),
        };
        let values = asked.iter().map(|name| format!("{name} = {}", value(name)));
        let values: Vec<String> = values.collect();
        let mut told = vec![];
        let pieces = self.message(message, &mut told)?;
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Value(i) => value(&told[*i]),
        };
        let op = condition.op.name();
        let (left, right) = (&condition.left, &condition.right);
        Err(ExchangeError::Required {
            exchange: self.program.name.clone(),
            message: pieces.iter().map(text).collect(),
            condition: format!("{} {op} {}", print_expr(left), print_expr(right)),
            values: values.join(", "),
            span: left.span.to(right.span),
        })
    }

    /// The pieces of a message; a value is the place of its name in `names`, to which new ones are added.
    fn message(&self, text: &Text, names: &mut Vec<String>) -> Checked<Vec<Piece>> {
        let mut out = vec![];
        let mut rest = text.text.as_str();
        while let Some(open) = rest.find('{') {
            let Some(length) = rest[open..].find('}') else {
                break;
            };
            if open > 0 {
                out.push(Piece::Text(rest[..open].into()));
            }
            let name = rest[open + 1..open + length].trim();
            let named = self.named(name, text.span)?;
            if !matches!(named, Named::Const(_) | Named::Int(..) | Named::Variable(_)) {
                let ident = Ident {
                    name: name.into(),
                    span: text.span,
                };
                let help = "a message tells integers: `let n = ...` names one";
                return Err(self.kind(&ident, &named, ("an integer", help)));
            }
            let place = names.iter().position(|n| n == name).unwrap_or_else(|| {
                names.push(name.into());
                names.len() - 1
            });
            out.push(Piece::Value(place));
            rest = &rest[open + length + 1..];
        }
        if !rest.is_empty() {
            out.push(Piece::Text(rest.into()));
        }
        Ok(out)
    }

    pub(super) fn fail(
        &mut self,
        status: &Ident,
        message: &Text,
        help: Option<&Text>,
    ) -> Checked<StepKind> {
        let named = self.named(&status.name, status.span)?;
        let result = match named {
            Named::Memory(Place::Result(r)) => r,
            other => {
                return Err(self.kind(
                    status,
                    &other,
                    (
                        "a result",
                        "declare one that tells of failures: `status: i32[1, 8]`",
                    ),
                ));
            }
        };
        if self.loops.iter().any(|l| l.shared) {
            return Err(self.rule(
                status.span,
                "a failure within a loop that blocks share",
                "find out before the loop: all blocks have to agree on it",
            ));
        }
        let mut names = vec![];
        let message = self.message(message, &mut names)?;
        let help = match help {
            Some(text) => self.message(text, &mut names)?,
            None => vec![],
        };
        let memory = &self.program.results[result];
        let room = memory.cols.saturating_sub(1);
        if memory.dtype != DType::I32 || memory.rows != 1 || names.len() > room {
            return Err(self.shape_error(
                status.span,
                format!(
                    "`{status}` is {} {} x {}, and the failure has {} values beside its number",
                    memory.dtype,
                    memory.rows,
                    memory.cols,
                    names.len()
                ),
                "declare it with room for all of them: `status: i32[1, 8]`",
            ));
        }
        let mut values = vec![];
        for name in &names {
            let (value, _) = self.integer(&Expr {
                kind: ExprKind::Name(name.clone()),
                span: status.span,
            })?;
            values.push(value);
        }
        self.program.failures.push(Failure {
            status: result,
            message,
            help,
        });
        Ok(StepKind::Fail {
            failure: self.program.failures.len() - 1,
            values,
        })
    }
}

/// Names in an expression, each once.
fn names(expr: &Expr, out: &mut Vec<String>) {
    match &expr.kind {
        ExprKind::Name(name) if !out.contains(name) => out.push(name.clone()),
        ExprKind::Paren(inner) | ExprKind::Negate(inner) => names(inner, out),
        ExprKind::Infix { left, right, .. } => {
            names(left, out);
            names(right, out);
        }
        ExprKind::Call { args, .. } => args.iter().for_each(|a| names(a, out)),
        _ => {}
    }
}
