//! Bodies of kernels as the scoreboard goes through them: what each instruction costs is looked up once.

use tilewright_ir::kernel::{Cond, Instr, Kernel, LoopId, Stmt, TileRef};
use tilewright_ir::machine::Machine;
use tilewright_ir::timing;

/// A body with costs looked up once.
pub(super) enum Code<'a> {
    Loop {
        id: LoopId,
        trips: usize,
        body: Vec<Code<'a>>,
        /// Tensors that it touches.
        globals: Vec<&'a str>,
    },
    First {
        id: LoopId,
        then: Vec<Code<'a>>,
        otherwise: Vec<Code<'a>>,
    },
    /// A condition that may be known; it holds where it is not.
    If {
        cond: &'a Cond,
        then: Vec<Code<'a>>,
        otherwise: Vec<Code<'a>>,
    },
    Instr(Step<'a>),
}

pub(super) struct Step<'a> {
    pub instr: &'a Instr,
    pub reads: Vec<&'a TileRef>,
    pub writes: Vec<&'a TileRef>,
    /// With all rows.
    pub cost: timing::Cost,
    pub global: Option<&'a str>,
}

pub(super) fn flatten<'a>(
    body: &'a [Stmt],
    kernel: &'a Kernel,
    machine: &Machine,
) -> Vec<Code<'a>> {
    let mut out = vec![];
    for s in body {
        match s {
            Stmt::Loop {
                id, trips, body, ..
            } => {
                let body = flatten(body, kernel, machine);
                out.push(Code::Loop {
                    id: *id,
                    trips: *trips,
                    globals: globals(&body),
                    body,
                });
            }
            Stmt::If {
                cond: Cond::First(id),
                then,
                otherwise,
            } => out.push(Code::First {
                id: *id,
                then: flatten(then, kernel, machine),
                otherwise: flatten(otherwise, kernel, machine),
            }),
            Stmt::If {
                cond,
                then,
                otherwise,
            } if !kernel.expected.is_empty() => out.push(Code::If {
                cond,
                then: flatten(then, kernel, machine),
                otherwise: flatten(otherwise, kernel, machine),
            }),
            // Nothing is known of what it asks: all rows are valid.
            Stmt::If { then, .. } => out.extend(flatten(then, kernel, machine)),
            Stmt::Instr(i) => out.push(instr(i, kernel, machine)),
            Stmt::Part { body, .. } => out.extend(flatten(body, kernel, machine)),
            _ => {}
        }
    }
    out
}

/// Whether a body asks for what is expected of counts.
pub(super) fn asks(body: &[Code]) -> bool {
    body.iter().any(|c| match c {
        Code::If { .. } => true,
        Code::Loop { body, .. } => asks(body),
        Code::First {
            then, otherwise, ..
        } => asks(then) || asks(otherwise),
        Code::Instr(_) => false,
    })
}

fn globals<'a>(body: &[Code<'a>]) -> Vec<&'a str> {
    let mut out = vec![];
    for c in body {
        match c {
            Code::Loop { globals, .. } => out.extend(globals),
            Code::First {
                then, otherwise, ..
            }
            | Code::If {
                then, otherwise, ..
            } => out.extend(globals(then).into_iter().chain(globals(otherwise))),
            Code::Instr(step) => out.extend(step.global),
        }
    }
    out
}

fn instr<'a>(i: &'a Instr, kernel: &'a Kernel, machine: &Machine) -> Code<'a> {
    let (reads, writes) = i.tiles();
    Code::Instr(Step {
        instr: i,
        reads,
        writes,
        cost: timing::cost(machine, kernel, i),
        global: i.global().map(|(_, rect)| rect.tensor.as_str()),
    })
}
