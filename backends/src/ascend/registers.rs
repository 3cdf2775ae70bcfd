//! Where the variables of registers are declared.

use crate::source::index::count_vars;
use tilewright_ir::kernel::{Kernel, RegId, Stmt, Var};

/// Whether every use of a register stands after what fills it in the same list of statements, or inside of what stands
/// there.
pub(super) fn is_local(kernel: &Kernel, register: RegId) -> bool {
    fn uses(body: &[Stmt], register: RegId) -> usize {
        let mut n = 0;
        count_vars(body, &mut |v| n += usize::from(v == Var::Reg(register)));
        n
    }
    fn list<'b>(body: &'b [Stmt], register: RegId, reads: &mut Vec<&'b [Stmt]>) {
        for (i, stmt) in body.iter().enumerate() {
            match stmt {
                Stmt::Instr(instr) if instr.register() == Some(register) => {
                    reads.push(&body[i + 1..]);
                }
                Stmt::Loop { body, .. } | Stmt::Part { body, .. } => list(body, register, reads),
                Stmt::If {
                    then, otherwise, ..
                } => {
                    list(then, register, reads);
                    list(otherwise, register, reads);
                }
                _ => {}
            }
        }
    }
    let mut reads = vec![];
    list(&kernel.body, register, &mut reads);
    match reads.as_slice() {
        [after] => uses(after, register) == uses(&kernel.body, register),
        _ => false,
    }
}

/// Registers that some statements fill.
pub(super) fn registers_of(body: &[Stmt]) -> Vec<RegId> {
    let mut out = vec![];
    let mut stack: Vec<&Stmt> = body.iter().collect();
    while let Some(stmt) = stack.pop() {
        match stmt {
            Stmt::Loop { body, .. } | Stmt::Part { body, .. } => stack.extend(body),
            Stmt::If {
                then, otherwise, ..
            } => stack.extend(then.iter().chain(otherwise)),
            Stmt::Instr(i) => out.extend(i.register()),
            _ => {}
        }
    }
    out
}
