//! Kernels that move data between ranks: their operations, and what they need in global memory.

use super::Problem;
use super::parts::Part;
use crate::term::exchange::{Exchange, Operand, Step};
use crate::term::language::{Head, Term};
use egg::{RecExpr, Symbol};
use tilewright_ir::graph::{Comm, Graph, LaunchKind, Op, Prim, Value};
use tilewright_ir::kernel::{GlobalTensor, Role};

/// Elements of a line of the scalar unit's cache, which only one block may write: each value has a line of its own.
const LINE: usize = 64 / 4;

/// The operations of a part, and its windows and other memory of its own among the problem's tensors.
pub(super) fn read(graph: &Graph, part: &Part, problem: &mut Problem) -> Exchange {
    let operand = |v: Value| {
        let ty = graph.ty(v);
        let (rows, cols) = ty.matrix();
        Operand {
            name: graph.name(v).into(),
            rows,
            cols,
            dtype: ty.dtype,
        }
    };
    let steps = part.nodes.iter().filter_map(|n| match graph.node(*n).op {
        Op::Prim(Prim::Comm(op)) => Some(Step {
            op,
            result: operand(Value {
                node: *n,
                result: 0,
            }),
            operands: graph.operands(*n).into_iter().map(operand).collect(),
        }),
        _ => None,
    });
    let exchange = Exchange {
        ranks: graph.ranks(),
        steps: steps.collect(),
    };
    for step in &exchange.steps {
        let value = &step.result;
        let (role, shape) = match step.op {
            Comm::Window { .. } => (Role::Window, vec![value.rows, value.cols]),
            // What the scalar unit makes goes through memory to the copy unit.
            Comm::ExpertHistogram { .. } => (Role::Workspace, vec![value.rows, value.cols]),
            Comm::ReturnTargets => (Role::Workspace, vec![value.rows * value.cols, LINE]),
            _ => continue,
        };
        let tensor = GlobalTensor {
            dtype: value.dtype,
            shape,
            role,
            ragged: None,
        };
        problem.tensors.entry(value.name.clone()).or_insert(tensor);
    }
    exchange
}

/// `(launch.K R C (share 1 (exchanged NAME)))`: one block does all of it.
pub(super) fn launch(name: &str, kind: LaunchKind, rows: usize, cols: usize) -> RecExpr<Term> {
    let mut expr = value(name);
    let value = expr.root();
    let [rows, cols, one] = [rows, cols, 1].map(|n| expr.add(Term::Num(n as i64)));
    let share = expr.add(Term::app(Head::Share, [one, value]));
    expr.add(Term::app(Head::Launch(kind), [rows, cols, share]));
    expr
}

/// `(exchanged NAME)`.
pub(super) fn value(name: &str) -> RecExpr<Term> {
    let mut expr = RecExpr::default();
    let name = expr.add(Term::Name(Symbol::from(name)));
    expr.add(Term::app(Head::Exchanged, [name]));
    expr
}
