//! Flags of hand-built and of random kernels.

mod build;
mod checker;
mod kernels;
mod random;

use build::*;
use random::{Choices, random};
use tilewright_ir::kernel::{Kernel, Stmt};
use tilewright_passes::kernel::synchronise::{SynchroniseError, synchronise, synchronise_with_notes};

fn holds(kernel: &Kernel) -> Result<(), String> {
    (0..4).try_for_each(|seed| {
        let mut choices = Choices(seed);
        checker::check(kernel, &mut || choices.below(2) == 0)
    })
}

#[test]
fn zz() {
    for k in kernels::all() {
        let done = synchronise_with_notes(&k).unwrap();
        println!("=====\n{}{:?}", text(&done.kernel), done.notes);
        println!("{:?}", holds(&done.kernel));
        for m in mutants(&done.kernel) {
            if holds(&m.1).is_ok() { println!("  not needed: {}", m.0); }
        }
    }
}

#[test]
fn zz_minimal() {
    let (mut total, mut extra) = (0, 0);
    let mut shown = 0;
    for seed in 0..1000u64 {
        let kernel = random(seed, std::env::var("NEST").map_or(1, |s| s.parse().unwrap()), false);
        let Ok(done) = synchronise(&kernel) else { continue };
        for m in mutants(&done) {
            total += 1;
            if holds(&m.1).is_ok() { extra += 1; if shown < 6 { shown += 1; println!("seed {seed} {}\n{}", m.0, text(&done)); } }
        }
    }
    println!("{extra} of {total}");
}

#[test]
fn random_kernels_are_safe() {
    let mut short = 0;
    for seed in 0..20000 {
        let kernel = random(seed, 1 + seed as usize % 4, seed % 2 == 0);
        match synchronise_with_notes(&kernel) {
            Ok(done) => {
                if let Err(why) = holds(&done.kernel) {
                    panic!("seed {seed}: {why}\n{}", text(&done.kernel));
                }
            }
            Err(e @ SynchroniseError::EventIds { .. }) => { short += 1; println!("SHORT {seed} {e}\n{}", text(&kernel)); }
            Err(e) => panic!("seed {seed}: {e}\n{}", text(&kernel)),
        }
    }
    assert_eq!(short, 0);
}

/// The kernel without one barrier, or without one flag: its set, its wait, and what primes and drains it.
fn mutants(kernel: &Kernel) -> Vec<(String, Kernel)> {
    fn sites<'a>(body: &'a [Stmt], out: &mut Vec<&'a Stmt>) {
        for s in body {
            match s {
                Stmt::Loop { body, .. } => sites(body, out),
                Stmt::If { then, otherwise, .. } => {
                    sites(then, out);
                    sites(otherwise, out);
                }
                Stmt::Instr(_) => {}
                _ => out.push(s),
            }
        }
    }
    let mut all = vec![];
    sites(&kernel.body, &mut all);
    let mut out = vec![];
    for (i, site) in all.iter().enumerate() {
        if matches!(site, Stmt::Barrier(_)) {
            out.push((format!("{site:?} {i}"), without(kernel, &|n, _| n == i)));
        }
        if let Stmt::Set { src, dst, event } = site {
            // Each set goes with the next wait of its id; priming sets and draining waits go with both.
            let same = |s: &Stmt| matches!(s, Stmt::Set { src: a, dst: b, event: e } | Stmt::Wait { src: a, dst: b, event: e } if (a, b) == (src, dst) && e.base == event.base);
            let uses: Vec<usize> = (0..all.len()).filter(|&n| same(all[n])).collect();
            let first_primes = matches!(kernel.body.iter().find(|s| same(s)), Some(Stmt::Set{..})) ;
            let _ = first_primes;
            let sets = uses.iter().filter(|&&n| matches!(all[n], Stmt::Set { .. })).count();
            if event.rotate.is_some() || sets == 2 {
                let width = event.rotate.map_or(1, |r| r.1);
                let (a, b) = (*src, *dst);
                let base = event.base;
                let m = without(kernel, &|_, s| matches!(s, Stmt::Set { src, dst, event } | Stmt::Wait { src, dst, event } if (*src, *dst) == (a, b) && (base..base + width).contains(&event.base)));
                out.push((format!("{site:?} all"), m));
            } else if sets == 1 {
                out.push((format!("{site:?} pair"), without(kernel, &|n, _| uses.contains(&n))));
            }
        }
    }
    out
}

fn without(kernel: &Kernel, drop: &dyn Fn(usize, &Stmt) -> bool) -> Kernel {
    fn walk(body: &[Stmt], n: &mut usize, drop: &dyn Fn(usize, &Stmt) -> bool) -> Vec<Stmt> {
        let mut out = vec![];
        for s in body {
            out.push(match s {
                Stmt::Loop { id, trips, depth, body } => Stmt::Loop { id: *id, trips: *trips, depth: *depth, body: walk(body, n, drop) },
                Stmt::If { cond, then, otherwise } => Stmt::If {
                    cond: cond.clone(),
                    then: walk(then, n, drop),
                    otherwise: walk(otherwise, n, drop),
                },
                Stmt::Instr(_) => s.clone(),
                _ => {
                    *n += 1;
                    if drop(*n - 1, s) { continue; }
                    s.clone()
                }
            });
        }
        out
    }
    Kernel { body: walk(&kernel.body, &mut 0, drop), ..kernel.clone() }
}
