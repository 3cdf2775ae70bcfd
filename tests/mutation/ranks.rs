//! The kernels that talk to other ranks, on two ranks and for two runs of the layer, with one thing wrong: the mutants of all
//! kernels, and those of what ranks tell each other.

use super::harmless;
use super::mutants::{Kind, Mutant, mutants};
use crate::common;
use std::collections::BTreeMap;
use tilewright::data::{Source, inputs};
use tilewright::report::Form;
use tilewright::run::compile_form;
use tilewright_backends::data::Tensors;
use tilewright_backends::sim::{self, Interleaving, RankOptions, Returned};
use tilewright_ir::kernel::{Kernel, Program, Role, is_communication};
use tilewright_ir::machine::Machine;

const EXAMPLE: &str = "dsv4_flash_moe";

fn how(layers: usize, seed: u64, ranks: usize) -> RankOptions {
    RankOptions {
        layers,
        interleaving: Interleaving::seeded(seed, ranks),
        options: super::options(),
        ..RankOptions::default()
    }
}

/// What every rank stored, or that it was refused.
fn run(
    program: &Program,
    machine: &Machine,
    inputs: &[Tensors],
    layers: usize,
    seed: u64,
) -> Option<Vec<Tensors>> {
    let how = how(layers, seed, inputs.len());
    let report = sim::run_ranks(program, machine, inputs, &how).ok()?;
    Some(report.ranks.into_iter().map(|r| r.outputs).collect())
}

/// A kernel alone: what it reads are inputs, what it stores are outputs, windows stay what they are.
fn alone(program: &Program, kernel: &Kernel) -> Program {
    let (reads, writes) = kernel.accesses();
    let mut own = program.clone();
    own.tensors
        .retain(|n, _| reads.contains(n) || writes.contains(n));
    for (name, tensor) in &mut own.tensors {
        tensor.role = match tensor.role {
            Role::Window => Role::Window,
            _ if writes.contains(name) => Role::Output,
            _ => Role::Input,
        };
    }
    own.kernels = vec![with_body_of(kernel)];
    own
}

fn with_body_of(kernel: &Kernel) -> Kernel {
    Kernel {
        after: vec![],
        ..kernel.clone()
    }
}

#[test]
fn mutants_of_exchanges_are_caught() {
    assert_eq!(super::options().returned, Returned::OutputsAndWorkspaces);
    let machine = common::options().machine;
    let mut options = common::options();
    options.search.iter_limit = 4;
    options.search.candidates = 1;
    let graph = common::graph(EXAMPLE, common::small(EXAMPLE));
    let given: Vec<Tensors> = (0..graph.ranks() as u64)
        .map(|rank| inputs(&graph, &Source::Seed(7 + rank), &Default::default()).expect("inputs"))
        .collect();
    let mut tallies: BTreeMap<Kind, (usize, usize, usize)> = BTreeMap::new();
    let mut missed = vec![];
    for form in Form::ALL {
        let compiled = compile_form(&graph, form, &options).expect("the example compiles");
        let program = &compiled.program;
        let ran = run(program, &machine, &given, 1, 0).expect("the example runs");
        let mut known = given.clone();
        for (known, ran) in known.iter_mut().zip(ran) {
            known.extend(ran);
        }
        let talking = program
            .kernels
            .iter()
            .filter(|k| is_communication(program, k));
        for kernel in talking {
            let mut own = alone(program, kernel);
            let expected = run(&own, &machine, &known, 2, 0).expect("it runs alone");
            for seed in 1..4 {
                assert_eq!(
                    run(&own, &machine, &known, 2, seed).as_ref(),
                    Some(&expected)
                );
            }
            for mutant in mutants(kernel, &machine) {
                own.kernels[0] = with_body_of(&mutant.kernel);
                let caught = (0..2)
                    .any(|seed| run(&own, &machine, &known, 2, seed).as_ref() != Some(&expected));
                let (all, found, right) = tallies.entry(mutant.kind).or_default();
                *all += 1;
                if caught {
                    *found += 1;
                } else if harmless::why(kernel, &mutant).is_some() {
                    *right += 1;
                } else {
                    missed.push(line(form, kernel, &mutant));
                }
            }
        }
    }
    let sum = |of: fn(&(usize, usize, usize)) -> usize| tallies.values().map(of).sum::<usize>();
    let (all, found, right) = (sum(|t| t.0), sum(|t| t.1), sum(|t| t.2));
    println!("{:<10} {:>5} {:>7} {:>8}", "", "all", "caught", "harmless");
    for (kind, (all, found, right)) in &tallies {
        println!("{:<10} {all:>5} {found:>7} {right:>8}", format!("{kind:?}"));
    }
    missed.iter().for_each(|m| println!("  missed: {m}"));
    println!("{found} of {all}, {right} of which are harmless");
    assert!(all > 300, "{all} mutants are too few to tell");
    assert!(found * 100 >= (all - right) * 95, "{found} of {all}");
    let (protocol, found, _) = tallies[&Kind::Protocol];
    assert!(protocol > 10, "{protocol} protocol mutants");
    assert_eq!(found, protocol, "what ranks tell each other is all needed");
}

fn line(form: Form, kernel: &Kernel, mutant: &Mutant) -> String {
    format!("{} {}: {}", form.name(), kernel.name, mutant.what)
}
