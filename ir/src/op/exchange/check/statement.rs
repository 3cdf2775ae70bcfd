//! Statements: names, integers, loops and conditions.

use super::{Around, Check, Checked, MAX_EXTENT, Named};
use crate::op::exchange::ExchangeError;
use crate::op::exchange::program::*;

use crate::syntax::ast::{Action, Block, Condition, Expr, ExprKind, Ident};
use crate::syntax::{print_action, print_expr};
use indexmap::IndexMap;

/// Loops around a statement: what follows the first trips of each, as a cost model does, has that many to a power.
const MAX_LOOPS: usize = 6;
/// Counters of one name.
const MAX_COUNTERS: i64 = 1 << 16;

impl Check<'_> {
    pub(super) fn block(&mut self, block: &Block<Action>) -> Checked<Vec<Step>> {
        self.scopes.push(IndexMap::new());
        let mut out = vec![];
        for line in &block.lines {
            let stmt = &line.kind;
            self.line = print_action(stmt);
            self.program.lines.push(self.line.clone());
            let line = self.program.lines.len() - 1;
            if let Some(kind) = self.statement(stmt)? {
                out.push(Step { line, kind });
            }
        }
        self.scopes.pop();
        Ok(out)
    }

    /// What a statement does; nothing, for one that only names something.
    fn statement(&mut self, stmt: &Action) -> Checked<Option<StepKind>> {
        match stmt {
            Action::Let { name, value } => self.named_integer(name, value),
            Action::Var { name, value } => {
                let (value, _) = self.integer(value)?;
                let variable = self.variable(&name.name, true);
                self.define(name, Named::Variable(variable))?;
                Ok(Some(StepKind::Set {
                    variable,
                    value,
                    declares: true,
                }))
            }
            Action::Assign { target, value } => self.assign(target, value).map(Some),
            Action::Window { .. } | Action::Counter { .. } | Action::Array { .. } => {
                self.memory(stmt)?;
                Ok(None)
            }
            Action::Read { name, from } => self.read(name, from).map(Some),
            Action::Tile { name, form } => self.tile(name, form),
            Action::For { .. } => self.for_loop(stmt),
            Action::If {
                condition,
                then,
                otherwise,
            } => {
                let test = self.test(condition)?;
                let then = self.block(then)?;
                let otherwise = match otherwise {
                    Some(block) => self.block(block)?,
                    None => vec![],
                };
                Ok(Some(StepKind::If {
                    test,
                    then,
                    otherwise,
                }))
            }
            Action::Copy {
                from,
                to,
                on,
                first,
            } => self.copy(from, to, on.as_ref(), first.as_ref()).map(Some),
            Action::Fill { tile, value } => self.fill(tile, value).map(Some),
            Action::Add { from, to } => self.add(from, to).map(Some),
            Action::Notify { counter, on } => self.notify(counter, on).map(Some),
            Action::Wait { counter, at_least } => {
                let span = counter.span;
                let (counter, index) = self.counter(counter)?;
                self.waits
                    .push((counter, span, self.program.lines.len() - 1));
                let (at_least, _) = self.integer(at_least)?;
                Ok(Some(StepKind::Wait {
                    counter,
                    index,
                    at_least,
                }))
            }
            Action::Fail {
                status,
                message,
                help,
            } => self.fail(status, message, help.as_ref()).map(Some),
            Action::Require { condition, message } => {
                self.require(condition, message)?;
                Ok(None)
            }
        }
    }

    /// Windows, counters and arrays.
    fn memory(&mut self, stmt: &Action) -> Checked<()> {
        match stmt {
            Action::Window {
                name,
                ty,
                alternating,
            } => {
                self.on_top(name, "a window")?;
                let (dtype, rows, cols) = self.rectangle(ty, name)?;
                self.program.windows.push(Window {
                    name: name.name.clone(),
                    dtype,
                    rows,
                    cols,
                    alternating: *alternating,
                });
                let place = Place::Window(self.program.windows.len() - 1);
                self.define(name, Named::Memory(place))
            }
            Action::Counter { name, count } => {
                self.on_top(name, "a counter")?;
                let count = match count {
                    None => 1,
                    Some(e) => self.size(e, "the number of counters", MAX_COUNTERS)?,
                };
                self.program.counters.push(Counter {
                    name: name.name.clone(),
                    count,
                });
                self.define(name, Named::Counter(self.program.counters.len() - 1))
            }
            Action::Array { name, length } => {
                self.on_top(name, "an array")?;
                let length = self.size(length, "the length", MAX_EXTENT)?;
                self.program.arrays.push(Array {
                    name: name.name.clone(),
                    length,
                });
                self.define(name, Named::Array(self.program.arrays.len() - 1))
            }
            _ => Ok(()),
        }
    }

    fn variable(&mut self, name: &str, changes: bool) -> Id {
        self.program.variables.push(Variable {
            name: name.into(),
            changes,
        });
        self.program.variables.len() - 1
    }

    /// What lives as long as the exchange is declared outside of loops.
    pub(super) fn on_top(&self, name: &Ident, what: &str) -> Checked<()> {
        if self.scopes.len() <= 2 {
            return Ok(());
        }
        Err(self.rule(
            name.span,
            format!("{what} is declared within a loop or a condition"),
            "move the declaration before it: it lives as long as the exchange",
        ))
    }

    fn named_integer(&mut self, name: &Ident, value: &Expr) -> Checked<Option<StepKind>> {
        let (value, range) = self.integer(value)?;
        if let Int::Const(n) = value {
            self.define(name, Named::Const(n))?;
            return Ok(None);
        }
        let variable = self.variable(&name.name, false);
        self.define(name, Named::Int(Int::Variable(variable), range))?;
        Ok(Some(StepKind::Set {
            variable,
            value,
            declares: true,
        }))
    }

    fn assign(&mut self, target: &Expr, value: &Expr) -> Checked<StepKind> {
        let (name, index) = match &target.kind {
            ExprKind::Name(name) => (
                Ident {
                    name: name.clone(),
                    span: target.span,
                },
                None,
            ),
            ExprKind::Index { name, at } => (name.clone(), Some(at)),
            _ => {
                return Err(self.rule(
                    target.span,
                    format!("`{}` is nothing that takes a value", print_expr(target)),
                    "name a `var`, or an element of an array",
                ));
            }
        };
        let (value, _) = self.integer(value)?;
        let named = self.named(&name.name, name.span)?;
        if self.outside_of_shared(&name.name) {
            return Err(self.rule(
                name.span,
                format!("`{name}` changes in a loop that blocks share, where others do not see it"),
                "let every trip of a shared loop keep to itself: count in a loop that is not shared",
            ));
        }
        match (named, index) {
            (Named::Variable(variable), None) => Ok(StepKind::Set {
                variable,
                value,
                declares: false,
            }),
            (Named::Array(array), Some(at)) if at.len() == 1 && at[0].count.is_none() => {
                let (index, range) = self.integer(&at[0].start)?;
                let length = self.program.arrays[array].length;
                self.within(&name, ("elements", range, 1), length)?;
                Ok(StepKind::SetElement {
                    array,
                    index,
                    value,
                })
            }
            (Named::Memory(place), _) => Err(self.kind(
                &name,
                &Named::Memory(place),
                (
                    "something that takes an integer",
                    "memory is written by a copy: `copy n -> y[row, column]`",
                ),
            )),
            (other, _) => Err(self.kind(
                &name,
                &other,
                (
                    "something that takes an integer",
                    "declare it with `var`, or name one element of an array: `a[i] = n`",
                ),
            )),
        }
    }

    fn for_loop(&mut self, stmt: &Action) -> Checked<Option<StepKind>> {
        let Action::For {
            name,
            from,
            to,
            share,
            body,
        } = stmt
        else {
            return Ok(None);
        };
        let (first, end) = (self.constant(from)?, self.constant(to)?);
        let trips = end.saturating_sub(first).max(0);
        if trips > i64::from(i32::MAX) {
            return Err(ExchangeError::Size {
                at: self.at(to.span),
                what: "the number of trips".into(),
                value: trips,
                low: 0,
                high: i64::from(i32::MAX),
            });
        }
        if share.is_some() && self.loops.iter().any(|l| l.shared) {
            return Err(self.rule(
                name.span,
                "a shared loop within a shared loop",
                "blocks share the outer one: leave `shared` out here",
            ));
        }
        if self.loops.len() == MAX_LOOPS {
            return Err(self.rule(
                name.span,
                format!("loops are nested more than {MAX_LOOPS} deep"),
                "let one loop go over both ranges: `for i in 0..A * B`, with `i / B` and `i % B`",
            ));
        }
        let variable = self.variable(&name.name, false);
        self.scopes.push(IndexMap::new());
        let range = Some((first, end.max(first + 1) - 1));
        self.define(name, Named::Int(Int::Variable(variable), range))?;
        self.loops.push(Around {
            variable,
            shared: share.is_some(),
            scopes: self.scopes.len() - 1,
        });
        let steps = self.block(body)?;
        self.loops.pop();
        self.scopes.pop();
        Ok((trips > 0).then_some(StepKind::Loop {
            variable,
            first,
            trips: trips as usize,
            share: *share,
            body: steps,
        }))
    }

    pub(super) fn test(&mut self, c: &Condition) -> Checked<Test> {
        Ok(Test {
            left: self.integer(&c.left)?.0,
            op: c.op,
            right: self.integer(&c.right)?.0,
        })
    }
}

/// The name that an expression begins with.
pub(super) fn ident(expr: &Expr) -> Ident {
    match &expr.kind {
        ExprKind::Name(name) => Ident {
            name: name.clone(),
            span: expr.span,
        },
        ExprKind::Index { name, .. } => name.clone(),
        _ => Ident {
            name: String::new(),
            span: expr.span,
        },
    }
}
