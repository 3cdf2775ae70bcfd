//! The kernels that talk to other ranks, on two ranks and for two runs of the layer, with one thing wrong: the mutants of all
//! kernels, and those of what ranks tell each other.

use super::harmless;
use super::mutants::{Kind, Mutant, mutants};
use crate::common;
use std::collections::BTreeMap;
use tilewright::data::{Source, inputs};
use tilewright::form::Form;
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
pub fn run(
    program: &Program,
    machine: &Machine,
    inputs: &[Tensors],
    layers: usize,
    seed: u64,
) -> Result<Vec<Tensors>, String> {
    let how = how(layers, seed, inputs.len());
    let report = sim::run_ranks(program, machine, inputs, &how).map_err(|e| e.to_string())?;
    Ok(report.ranks.into_iter().map(|r| r.outputs).collect())
}

/// The kernels that talk, alone: what they store are outputs, what else they read are inputs, windows stay what they are.
/// They are together, since that the windows of one may be used again follows from what the others wait for.
pub fn exchanges(program: &Program) -> Program {
    let mut own = program.clone();
    own.kernels.retain(|k| is_communication(program, k));
    let accesses: Vec<_> = own.kernels.iter().map(Kernel::accesses).collect();
    let reads = |n: &String| accesses.iter().any(|a| a.0.contains(n));
    let writes = |n: &String| accesses.iter().any(|a| a.1.contains(n));
    own.tensors.retain(|n, _| reads(n) || writes(n));
    for (name, tensor) in &mut own.tensors {
        tensor.role = match tensor.role {
            Role::Window => Role::Window,
            _ if writes(name) => Role::Output,
            _ => Role::Input,
        };
    }
    for tensor in own.tensors.values_mut().filter(|t| t.role == Role::Input) {
        // How many rows there are, one of the kernels finds out.
        tensor.ragged = None;
    }
    let mut before = None;
    for kernel in &mut own.kernels {
        kernel.after = before.replace(kernel.name.clone()).into_iter().collect();
    }
    own
}

#[test]
fn mutants_of_exchanges_are_caught() {
    assert_eq!(super::options().returned, Returned::OutputsAndWorkspaces);
    let machine = common::options().machine;
    let mut options = common::options();
    options.search.iter_limit = 4;
    options.search.candidates = 1;
    let graph = common::graph(EXAMPLE, common::small(EXAMPLE));
    // With all tokens active, and with some.
    let given = [4, 2].map(|tokens: i64| -> Vec<Tensors> {
        let scalars = [("num_tokens".to_string(), tokens)].into_iter().collect();
        let of_rank = |rank| inputs(&graph, &Source::Seed(7 + rank), &scalars).expect("inputs");
        (0..graph.ranks() as u64).map(of_rank).collect()
    });
    let mut tallies: BTreeMap<Kind, (usize, usize, usize)> = BTreeMap::new();
    let mut missed = vec![];
    for form in Form::ALL {
        let compiled = compile_form(&graph, form, &options).expect("the example compiles");
        let program = &compiled.program;
        let mut own = exchanges(program);
        let cases = given.each_ref().map(|given| {
            let ran = run(program, &machine, given, 1, 0).expect("the example runs");
            let mut known = given.clone();
            for (known, ran) in known.iter_mut().zip(ran) {
                known.extend(ran);
            }
            let expected = run(&own, &machine, &known, 2, 0).expect("exchanges run alone");
            for seed in 1..4 {
                let again = run(&own, &machine, &known, 2, seed);
                assert_eq!(again.as_ref(), Ok(&expected));
            }
            (known, expected)
        });
        assert!(own.kernels.len() > 1, "rows go out and come back");
        for i in 0..own.kernels.len() {
            let kernel = own.kernels[i].clone();
            for mutant in mutants(&kernel, &machine) {
                own.kernels[i] = mutant.kernel.clone();
                let differs = |(known, expected): &(Vec<Tensors>, Vec<Tensors>)| {
                    let ran = |seed| run(&own, &machine, known, 2, seed);
                    (0..2).any(|seed| ran(seed).as_ref() != Ok(expected))
                };
                let caught = cases.iter().any(differs);
                let (all, found, right) = tallies.entry(mutant.kind).or_default();
                *all += 1;
                if caught {
                    *found += 1;
                } else if harmless::why(&kernel, &mutant).is_some() {
                    *right += 1;
                } else {
                    missed.push(line(form, &kernel, &mutant));
                }
            }
            own.kernels[i] = kernel;
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
    // What a flag orders here is often ordered once more: the scalar unit waits for a pipe before it notifies, and whatever is issued
    // after that is later. So flags, and second buffers that these flags guard, have a bar of their own.
    let synchronises = |kind: &Kind| matches!(kind, Kind::Flag | Kind::Shrunk);
    let values = tallies.iter().filter(|(kind, _)| !synchronises(kind));
    let (changed, seen) = values.fold((0, 0), |(changed, seen), (_, (all, found, right))| {
        (changed + all - right, seen + found)
    });
    assert!(seen * 100 >= changed * 98, "{seen} of {changed}");
    assert!(found * 100 >= (all - right) * 93, "{found} of {all}");
    let (protocol, found, _) = tallies[&Kind::Protocol];
    assert!(protocol > 10, "{protocol} protocol mutants");
    assert_eq!(found, protocol, "what ranks tell each other is all needed");
}

fn line(form: Form, kernel: &Kernel, mutant: &Mutant) -> String {
    format!("{} {}: {}", form.name(), kernel.name, mutant.what)
}
