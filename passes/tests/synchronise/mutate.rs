//! Kernels with one flag or one barrier less.

use tilewright_ir::kernel::{Event, Kernel, Pipe, Stmt};

/// What was taken away, and the rest.
pub type Mutant = (String, Kernel);

/// One mutant for each barrier and each flag. A flag goes with all sets and waits of its ids: removing half of it would
/// fail for the balance alone.
pub fn mutants(kernel: &Kernel) -> Vec<Mutant> {
    let mut all = vec![];
    sites(&kernel.body, &mut all);
    let mut out = vec![];
    for (i, site) in all.iter().enumerate() {
        match site {
            Stmt::Barrier(p) => out.push((
                format!("barrier {} at {i}", p.name()),
                without(kernel, &|n, _| n == i),
            )),
            Stmt::Set { src, dst, event } => {
                let ids = event.base..event.base + event.rotate.map_or(1, |r| r.1);
                let of_flag = |s: &Stmt| {
                    flag(s).is_some_and(|f| (f.0, f.1) == (*src, *dst) && ids.contains(&f.2.base))
                };
                let sets = all.iter().filter(|s| of_flag(s));
                let sets = sets.filter(|s| matches!(s, Stmt::Set { .. })).count();
                // Ids of several flags are left out, but for tokens: one set in the loop, and what primes it.
                let primed = kernel.body.first().is_some_and(is_set) && primes(kernel, site);
                let alone = sets == 1 || (event.rotate.is_some() || sets == 2) && !primed;
                if alone && sets <= 1 + ids.len() {
                    out.push((
                        format!("{}->{} {}", src.name(), dst.name(), event.base),
                        without(kernel, &|_, s| of_flag(s)),
                    ));
                }
            }
            _ => {}
        }
    }
    out
}

fn is_set(s: &Stmt) -> bool {
    matches!(s, Stmt::Set { .. })
}

/// Whether a set is one of those at the very beginning.
fn primes(kernel: &Kernel, set: &Stmt) -> bool {
    kernel
        .body
        .iter()
        .take_while(|s| is_set(s))
        .any(|s| std::ptr::eq(s, set))
}

fn flag(s: &Stmt) -> Option<(Pipe, Pipe, Event)> {
    match s {
        Stmt::Set { src, dst, event } | Stmt::Wait { src, dst, event } => {
            Some((*src, *dst, *event))
        }
        _ => None,
    }
}

fn sites<'a>(body: &'a [Stmt], out: &mut Vec<&'a Stmt>) {
    for s in body {
        match s {
            Stmt::Loop { body, .. } => sites(body, out),
            Stmt::If {
                then, otherwise, ..
            } => {
                sites(then, out);
                sites(otherwise, out);
            }
            Stmt::Instr(_) => {}
            _ => out.push(s),
        }
    }
}

fn without(kernel: &Kernel, drop: &dyn Fn(usize, &Stmt) -> bool) -> Kernel {
    Kernel {
        body: keep(&kernel.body, &mut 0, drop),
        ..kernel.clone()
    }
}

fn keep(body: &[Stmt], n: &mut usize, drop: &dyn Fn(usize, &Stmt) -> bool) -> Vec<Stmt> {
    let mut out = vec![];
    for s in body {
        out.push(match s {
            Stmt::Loop {
                id,
                trips,
                depth,
                body,
            } => Stmt::Loop {
                id: *id,
                trips: *trips,
                depth: *depth,
                body: keep(body, n, drop),
            },
            Stmt::If {
                cond,
                then,
                otherwise,
            } => Stmt::If {
                cond: cond.clone(),
                then: keep(then, n, drop),
                otherwise: keep(otherwise, n, drop),
            },
            Stmt::Instr(_) => s.clone(),
            _ => {
                *n += 1;
                if drop(*n - 1, s) {
                    continue;
                }
                s.clone()
            }
        });
    }
    out
}
