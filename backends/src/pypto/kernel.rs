//! The statements of a kernel.

use super::error::{Fault, Refused};
use super::scope::{Variable, declarations, statements};
use super::value::Value;
use super::writer::Writer;
use crate::source::index::{Axis, is_early};
use indexmap::IndexMap;
use tilewright_ir::kernel::{Cond, Expr, Instr, Stmt, TileId};

impl Writer<'_> {
    /// The kernel's statements, `depth` blocks deep.
    pub fn statements(&mut self, depth: usize) -> Result<(), Refused> {
        self.depth = depth;
        for (array, name) in self.kernel.arrays.iter().zip(self.names.arrays.clone()) {
            self.line(&format!(
                "{name} = pl.array.create({}, pl.INT32)",
                array.len
            ));
        }
        let body = statements(&self.kernel.body, &mut vec![]);
        let early = declarations(self.kernel, &body);
        self.body(&body, "", &early)
    }

    fn body(
        &mut self,
        body: &[Stmt],
        prefix: &str,
        early: &IndexMap<String, Vec<Variable>>,
    ) -> Result<(), Refused> {
        if body.is_empty() {
            self.line("pass");
        }
        for (i, stmt) in body.iter().enumerate() {
            let path = format!("{prefix}{i}");
            for v in early.get(&path).into_iter().flatten() {
                self.declare(*v);
            }
            match stmt {
                Stmt::Loop {
                    id,
                    trips,
                    depth,
                    body,
                } => {
                    let k = self.names.loops.get(*id).cloned().unwrap_or_default();
                    let name = self.names.trips.get(*id).cloned().unwrap_or_default();
                    let trips = self.names.constants.named(&name, *trips as i64);
                    let range = match depth {
                        0 | 1 => format!("pl.range({trips})"),
                        stages => format!("pl.pipeline({trips}, stage={stages})"),
                    };
                    let before = self.enter_loop(body);
                    self.open(&format!("for {k} in {range}:"));
                    self.body(body, &format!("{path}."), early)?;
                    self.close();
                    self.join(&before);
                }
                Stmt::If {
                    cond: Cond::First(id),
                    then,
                    otherwise,
                } if sums_up(then, otherwise) => {
                    let k = self.names.loops.get(*id).cloned().unwrap_or_default();
                    let first = format!("{k} == 0");
                    for stmt in otherwise {
                        if let Stmt::Instr(instr @ Instr::Matmul { dst, lhs, rhs, .. }) = stmt {
                            self.product(dst, lhs, rhs, true, Some(&first))
                                .map_err(|f| self.refused(&self.kernel.text_of(instr), f))?;
                        }
                    }
                }
                Stmt::If {
                    cond,
                    then,
                    otherwise,
                } => {
                    let text = match cond {
                        Cond::First(id) => {
                            format!(
                                "{} == 0",
                                self.names.loops.get(*id).cloned().unwrap_or_default()
                            )
                        }
                        Cond::Positive(e) => {
                            self.allowed(e)
                                .map_err(|f| self.refused("a condition", f))?;
                            self.sum(e, Axis::Rows).positive()
                        }
                        Cond::Zero(e) => {
                            self.allowed(e)
                                .map_err(|f| self.refused("a condition", f))?;
                            self.sum(e, Axis::Rows).zero()
                        }
                    };
                    let before = self.values.clone();
                    self.open(&format!("if {text}:"));
                    if let (Cond::Positive(e), Some(scope)) = (cond, self.scopes.last_mut()) {
                        scope.positive = Some(e.clone());
                    }
                    self.body(then, &format!("{path}.then."), early)?;
                    self.close();
                    let left = std::mem::replace(&mut self.values, before);
                    if !otherwise.is_empty() {
                        self.open("else:");
                        self.body(otherwise, &format!("{path}.else."), early)?;
                        self.close();
                    }
                    self.join(&left);
                }
                Stmt::Instr(instr) => {
                    let text = |w: &Self| w.kernel.text_of(instr);
                    self.instr(instr)
                        .map_err(|f| self.refused(&text(self), f))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn refused(&self, instr: &str, fault: Fault) -> Refused {
        Refused {
            kernel: self.kernel.name.clone(),
            instr: instr.to_owned(),
            fault,
        }
    }

    /// What is known of tiles at the end of two ways.
    fn join(&mut self, other: &IndexMap<TileId, Value>) {
        self.values.retain(|tile, value| {
            let Some(b) = other.get(tile) else {
                return false;
            };
            if value.filled != b.filled {
                value.filled = None;
            }
            value.is_like(b)
        });
    }

    /// What a later trip assigns anew is not known before the loop. Returns what is known at its start.
    fn enter_loop(&mut self, body: &[Stmt]) -> IndexMap<TileId, Value> {
        let mut stack: Vec<&Stmt> = body.iter().collect();
        while let Some(stmt) = stack.pop() {
            match stmt {
                Stmt::Loop { body, .. } => stack.extend(body),
                Stmt::If {
                    then, otherwise, ..
                } => stack.extend(then.iter().chain(otherwise)),
                Stmt::Instr(i) => {
                    if let Some(register) = i.register() {
                        self.forget(register);
                    }
                    for r in i.tiles().1 {
                        if let Some(value) = self.values.get_mut(&r.tile) {
                            value.filled = None;
                        }
                    }
                }
                _ => {}
            }
        }
        self.values.clone()
    }

    /// Makes a variable that is assigned in a block below.
    fn declare(&mut self, v: Variable) {
        match v {
            Variable::Register(r) => {
                let name = self.register(r);
                self.line(&format!("{name} = pl.const(0, pl.INDEX)"));
            }
            Variable::Tile(id) => {
                let Some(tile) = self.kernel.tiles.get(id) else {
                    return;
                };
                // What it is assigned below has one extent, if that is known here.
                let rows = self.rows_of(id);
                let wanted = Value::of(tile, rows.as_ref());
                let text = self.create(tile, &wanted);
                let name = self.names.tiles[id].clone();
                let value = Value::whole(wanted.rows, wanted.cols);
                let text = self.narrowed(tile, text, &value, &wanted);
                self.line(&format!("{name} = {text}"));
                self.values.insert(id, wanted);
            }
        }
    }

    /// The count of rows with which a tile is always written, where it is known.
    fn rows_of(&self, id: TileId) -> Option<Expr> {
        let mut counts = vec![];
        self.kernel.visit(&mut |i| {
            let writes = i.tiles().1;
            counts.extend(writes.into_iter().filter(|r| r.tile == id).map(|r| &r.rows));
        });
        let first = (*counts.first()?).clone()?;
        let known = self.is_positive(&first) || is_early(&first);
        (known && counts.iter().all(|c| c.as_ref() == Some(&first))).then_some(first)
    }
}

/// Whether two branches are the same product, made in the one and added to what is there in the other: a statement of the
/// language, which takes the condition.
fn sums_up(then: &[Stmt], otherwise: &[Stmt]) -> bool {
    let ([Stmt::Instr(first)], [Stmt::Instr(later)]) = (then, otherwise) else {
        return false;
    };
    let mut added = first.clone();
    match &mut added {
        Instr::Matmul { accumulate, .. } if !*accumulate => *accumulate = true,
        _ => return false,
    }
    *later == added
}
