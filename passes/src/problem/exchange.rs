//! Kernels that move data between ranks: their programs, and what they need in global memory.

use super::Problem;
use crate::hash::HashSet;
use crate::term::exchange::{Exchange, Room};
use crate::term::language::{Head, Term};
use egg::{RecExpr, Symbol};
use petgraph::graph::NodeIndex;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{Graph, LaunchKind, Value};
use tilewright_ir::kernel::{GlobalTensor, Role};

/// The exchange that a node calls, with its windows and other memory of its own among the problem's tensors.
pub(super) fn read(
    graph: &Graph,
    node: NodeIndex,
    room: Room,
    problem: &mut Problem,
) -> Option<Exchange> {
    let program = graph.called(node)?.program;
    let name = |v: Value| graph.name(v).to_string();
    let operands = graph.operands(node).into_iter().map(name).collect();
    let results = (0..program.results.len()).map(|result| name(Value { node, result }));
    let results: Vec<String> = results.collect();
    let values: HashSet<&str> = graph.values().map(|v| graph.name(v)).collect();
    let taken = |name: &str| values.contains(name) || problem.tensors.contains_key(name);
    let exchange = Exchange::new(program, operands, results, room, taken);
    let program = exchange.program.clone();
    let mut add = |name: &String, dtype: DType, (rows, cols): (usize, usize), role: Role| {
        let tensor = GlobalTensor {
            dtype,
            shape: vec![rows, cols],
            role,
            ragged: None,
            expected: vec![],
        };
        problem.tensors.insert(name.clone(), tensor);
    };
    for (name, w) in exchange.windows.iter().zip(&program.windows) {
        let instances = if w.alternating { 2 } else { 1 };
        add(name, w.dtype, (instances * w.rows, w.cols), Role::Window);
    }
    for (name, c) in exchange.counters.iter().zip(&program.counters) {
        // Counters of one name have a line each.
        let shape = match c.count {
            1 => (1, 1),
            n => (n, room.line),
        };
        add(name, DType::I32, shape, Role::Window);
    }
    let spilled = exchange.spilled.iter().map(|(_, s)| s);
    for s in exchange.scratch.iter().chain(spilled) {
        add(&s.name, DType::I32, (s.rows, s.cols), Role::Workspace);
    }
    Some(exchange)
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
