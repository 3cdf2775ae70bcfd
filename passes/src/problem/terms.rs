//! Terms of the graph's values.

use crate::hash::{HashMap, HashSet};
use crate::term::language::{Bits, Head, Term};
use egg::{Id, RecExpr, Symbol};
use tilewright_ir::graph::{Graph, Op, Prim, Value};
use tilewright_ir::op::{Access, Number};

/// Builds terms of values.
pub(super) struct Terms<'a> {
    pub graph: &'a Graph,
    pub home: &'a HashMap<petgraph::graph::NodeIndex, usize>,
    pub stored: &'a HashSet<Value>,
    pub expr: RecExpr<Term>,
    /// The kernel whose own values are computed rather than read.
    pub part: usize,
    pub memo: HashMap<(Value, bool), Id>,
}

impl Terms<'_> {
    /// The graph's values in the term, each with its name, in the order of their places.
    pub fn names(&self) -> Vec<(Id, String)> {
        let mut out: Vec<(Id, String)> = self
            .memo
            .iter()
            .map(|((v, _), id)| (*id, self.graph.name(*v).to_string()))
            .collect();
        out.sort();
        out
    }

    pub fn add(&mut self, term: Term) -> Id {
        self.expr.add(term)
    }

    pub fn num(&mut self, n: usize) -> Id {
        self.add(Term::Num(n as i64))
    }

    fn name(&mut self, s: &str) -> Id {
        self.add(Term::Name(Symbol::from(s)))
    }

    pub fn app(&mut self, head: Head, children: impl Into<Vec<Id>>) -> Id {
        self.add(Term::app(head, children))
    }

    pub fn tile(&mut self, rows: usize, cols: usize, value: Id) -> Id {
        let rows = self.num(rows);
        let cols = self.num(cols);
        self.app(Head::Tile, [rows, cols, value])
    }

    /// The value as its own kernel sees it: computed from inputs and from other kernels' buffers.
    pub fn inline(&mut self, v: Value) -> Id {
        self.term(v, true)
    }

    /// The value as other kernels see it.
    pub fn exported(&mut self, v: Value) -> Id {
        self.term(v, false)
    }

    /// The value as kernels other than its own see it.
    pub fn read_by_others(&mut self, v: Value) -> Id {
        self.part = usize::MAX;
        self.term(v, false)
    }

    fn term(&mut self, v: Value, own: bool) -> Id {
        if let Some(id) = self.memo.get(&(v, own)) {
            return *id;
        }
        let graph = self.graph;
        let node = graph.node(v.node);
        let id = match &node.op {
            Op::Input => {
                let name = self.name(graph.name(v));
                self.app(Head::Input, [name])
            }
            Op::Exchange(_) => {
                let name = self.name(graph.name(v));
                let value = self.app(Head::Exchanged, [name]);
                match self.stored.contains(&v) {
                    true => self.app(Head::Buf, [name, value]),
                    false => value,
                }
            }
            Op::Prim(prim) => {
                let groups = self.groups(v);
                let local = own && self.home.get(&v.node) == Some(&self.part);
                let buffered = !local && self.stored.contains(&v);
                let operands = graph.operands(v.node).into_iter();
                let operands: Vec<Id> = operands
                    .map(|o| self.term(in_memory(graph, *prim, o), local))
                    .collect();
                let value = self.operation(*prim, groups, &operands);
                match buffered {
                    true => {
                        let name = self.name(graph.name(v));
                        self.app(Head::Buf, [name, value])
                    }
                    false => value,
                }
            }
            Op::Composite(_) => unreachable!("the graph was decomposed"),
        };
        self.memo.insert((v, own), id);
        id
    }

    /// Groups of the value's rows; rows that all exist are one.
    fn groups(&self, v: Value) -> usize {
        let ragged = self.graph.ty(v).ragged.as_ref();
        ragged.map_or(1, |r| r.groups)
    }

    /// `(operator groups? operands... numbers...)`.
    fn operation(&mut self, prim: Prim, groups: usize, operands: &[Id]) -> Id {
        let (operator, numbers) = prim.operator();
        let primitive = operator.primitive();
        let mut children = vec![];
        if primitive.grouped() {
            children.push(self.num(groups));
        }
        children.extend(operands);
        for number in numbers {
            children.push(match number {
                Number::Whole(n) => self.num(n),
                Number::Constant(value) => self.add(Term::Const(Bits::new(value))),
            });
        }
        if primitive.access == Access::Repeat {
            // Of a value, a block that has all of its columns.
            children.extend(children.last().copied());
        }
        self.app(Head::Op(operator), children)
    }
}

/// The operand of an operation; of a view of a view, what lies in memory.
fn in_memory(graph: &Graph, of: Prim, operand: Value) -> Value {
    let mut operand = operand;
    while let (Prim::Reshape { .. }, Op::Prim(Prim::Reshape { .. })) =
        (of, &graph.node(operand.node).op)
    {
        operand = graph.operands(operand.node)[0];
    }
    operand
}
