//! The statements of mixed kernels, to look at and to change.

use tilewright_ir::kernel::{Kernel, Stmt, Unit};

/// Calls `f` on the statement lists of a part, outermost first.
pub fn lists(body: &mut Vec<Stmt>, f: &mut dyn FnMut(&mut Vec<Stmt>)) {
    f(body);
    for stmt in body {
        match stmt {
            Stmt::Loop { body, .. } | Stmt::Part { body, .. } => lists(body, f),
            Stmt::If {
                then, otherwise, ..
            } => {
                lists(then, f);
                lists(otherwise, f);
            }
            _ => {}
        }
    }
}

/// The part of a mixed kernel for these cores.
pub fn part(kernel: &mut Kernel, unit: Unit) -> &mut Vec<Stmt> {
    let parts = kernel.body.iter_mut();
    parts
        .filter_map(|s| match s {
            Stmt::Part { unit: u, body } if *u == unit => Some(body),
            _ => None,
        })
        .next()
        .expect("a mixed kernel has both parts")
}

/// Drops all statements of a part that are wanted.
pub fn drop_all(kernel: &mut Kernel, unit: Unit, wanted: &dyn Fn(&Stmt) -> bool) {
    lists(part(kernel, unit), &mut |list| list.retain(|s| !wanted(s)));
}

/// How many statements of a mixed kernel are wanted.
pub fn count(kernel: &Kernel, wanted: &dyn Fn(&Stmt) -> bool) -> usize {
    let mut n = 0;
    lists(&mut kernel.clone().body, &mut |list| {
        n += list.iter().filter(|s| wanted(s)).count();
    });
    n
}
