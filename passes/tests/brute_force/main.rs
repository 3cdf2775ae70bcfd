//! The extraction against a brute force that shares nothing with it but what defines a cost.
//!
//! Of small random layers, every program that the e-graph holds is priced: for every kernel, all launches, blocks, loops
//! that store and, for each tile class that these reach, each of its executable nodes, one a class. The cheapest plan of all
//! is what `optimize` has to return. Products are neither split nor mixed with their readers here.

mod brute;
#[path = "../support/choices.rs"]
#[allow(dead_code)]
mod choices;
mod layers;

use brute::{Brute, FUSED_MARK};
use choices::{Choices, mix};
use layers::{layer, options};
use std::collections::BTreeSet;
use tilewright_ir::machine::Machine;
use tilewright_passes::decompose::decompose;
use tilewright_passes::egraph::SearchOptions;
use tilewright_passes::egraph::saturate::{Saturated, saturate};
use tilewright_passes::problem::{Problem, build};
use tilewright_passes::prune::prune;
use tilewright_passes::search::optimize;
use tilewright_passes::search::pins::Pins;

/// Layers whose kernels are all small enough to be enumerated.
const LAYERS: usize = 40;
/// Layers of several kernels, which may become one.
const FUSED: usize = 24;
/// Seeds of layers, beside the first ones, that a search of one loop at a time, or of the cheapest read, gets wrong.
const HARD: [u64; 3] = [158, 208, 505];
/// The same of layers whose kernels may become one: products of which one could be read from the other, and kernels whose
/// sums were written in different orders.
const HARD_FUSED: [u64; 6] = [101, 146, 182, 232, 375, 423];
/// In microseconds.
const PICOSECOND: f64 = 1e-6;

/// A layer's problem with what both searches found.
struct Compared {
    problem: Problem,
    /// Candidates of the brute force.
    tried: usize,
    /// Whether the best plan has fewer kernels than were written and stored.
    fused: bool,
    best: f64,
    found: f64,
    report: String,
}

/// Both searches of one layer; `None` when it has too many candidates.
fn compare(problem: Problem, machine: &Machine, options: &SearchOptions) -> Option<Compared> {
    let Saturated {
        egraph, buffers, ..
    } = saturate(&problem, machine, options).unwrap();
    let mut brute = Brute::new(&problem, machine, &egraph, &buffers);
    let mut best = (f64::INFINITY, String::new());
    for order in brute.orders(!options.disabled.contains("fuse")) {
        let found = brute.layer(&order, &BTreeSet::new())?;
        if found.0 < best.0 {
            best = found;
        }
    }
    let (best, plan) = best;
    let tried = brute.candidates;
    let (found, chosen) = match optimize(&problem, machine, options, &Pins::default()) {
        Ok(o) => (o.estimates.iter().map(|e| e.us).sum(), o.plan.to_string()),
        Err(e) => (f64::INFINITY, e.to_string()),
    };
    Some(Compared {
        report: format!(
            "{tried} candidates, without {:?}\nbrute force: {best:.6} us\n{plan}\nextraction: {found:.6} us\n{chosen}",
            options.disabled
        ),
        fused: plan.contains(FUSED_MARK),
        problem,
        tried,
        best,
        found,
    })
}

/// Compares layers of the first seeds until there are enough, then those of the hard ones, and says which of them are wrong.
fn compare_all(enough: usize, hard: &[u64], fuse: bool) {
    let machine = Machine::builtin("A3").unwrap();
    let (mut layers, mut kernels, mut candidates, mut fused) = (0, 0, 0, 0);
    let (mut large, mut refused, mut none) = (0, 0, 0);
    let mut wrong = vec![];
    for seed in (0..hard[0]).chain(hard.iter().copied()) {
        if layers >= enough && !hard.contains(&seed) {
            continue;
        }
        let mut c = Choices::new((0..64).map(|i| mix(seed, i) as u32).collect());
        let mut options = options(&mut c);
        if !fuse {
            options.disabled.insert("fuse".into());
        }
        let problem = layer(&mut c)
            .and_then(|g| decompose(&g).ok())
            .and_then(|g| build(&prune(&g), &machine).ok());
        let Some(problem) = problem else {
            none += 1;
            continue;
        };
        if fuse && problem.kernels.len() == 1 {
            continue;
        }
        let Some(compared) = compare(problem, &machine, &options) else {
            large += 1;
            continue;
        };
        let Compared { best, found, .. } = compared;
        if best.is_infinite() && found.is_infinite() {
            refused += 1;
            continue;
        }
        layers += 1;
        kernels += compared.problem.kernels.len();
        fused += usize::from(compared.fused);
        candidates += compared.tried;
        // Picoseconds are what the extraction compares.
        if (best - found).abs() >= PICOSECOND {
            println!("seed {seed}: {:.1} %", (found / best - 1.0) * 100.0);
            wrong.push(format!("seed {seed}, {}", compared.report));
        }
    }
    println!(
        "{layers} layers, {kernels} kernels, {candidates} candidates, {fused} with fused kernels; left out: {large} too large, {refused} refused by both, {none} not layers"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(layers >= enough && (!fuse || fused >= enough / 8));
}

#[test]
fn extraction_finds_what_a_brute_force_finds() {
    compare_all(LAYERS, &HARD, false);
}

#[test]
fn fusion_finds_what_a_brute_force_finds() {
    compare_all(FUSED, &HARD_FUSED, true);
}
