//! Every kernel of every example, with one thing wrong: the checker or a comparison of outputs must notice.
//!
//! The mutants and what counts as harmless are those of `docs/check.md`, which has the table that this prints
//! (`cargo test --test mutation -- --nocapture`).

#[path = "../common/mod.rs"]
mod common;
mod harmless;
mod mutants;
#[path = "../../passes/tests/synchronise/mutate.rs"]
mod mutate;
mod orders;
mod ranks;
mod values;

use mutants::{Kind, Mutant, mutants};
use std::collections::BTreeMap;
use tilewright::form::Form;
use tilewright::layer::Layer;
use tilewright::run::compile_form;
use tilewright_backends::ascend;
use tilewright_backends::checker::inputs::cases;
use tilewright_backends::data::{Tensors, generate};
use tilewright_backends::sim::{self, Options, Returned, Unwritten};
use tilewright_ir::graph::Graph;
use tilewright_ir::kernel::{Kernel, Program, Role, Stmt, Unit, check_order};
use tilewright_ir::machine::Machine;

/// Sizes at which loops have several trips, and a mutant takes a moment.
fn sizes(example: &str) -> Vec<Vec<(&'static str, i64)>> {
    match example {
        common::GATE => {
            let small = vec![("D", 1024), ("VOCAB", 64), ("layer_id", 10)];
            let hash = vec![("D", 1024), ("VOCAB", 64), ("layer_id", 0)];
            vec![small, hash]
        }
        "rms_norm" => vec![vec![("D", 2048)]],
        other => vec![common::small(other).to_vec()],
    }
}

/// A layer whose kernels are changed.
struct Subject {
    name: String,
    graph: Graph,
    form: Form,
    options: tilewright::compile::Options,
}

/// Both forms of the examples of one rank, and a layer with mixed kernels. `ranks` has the exchanges of the other examples, whose
/// other kernels are these.
fn subjects() -> Vec<Subject> {
    let mut out = vec![];
    let mut examples = common::examples();
    examples.retain(|e| common::graph(e, common::small(e)).ranks() == 1);
    for name in &examples {
        for sizes in sizes(name) {
            for form in Form::ALL {
                out.push(Subject {
                    name: name.clone(),
                    graph: common::graph(name, &sizes),
                    form,
                    options: common::options(),
                });
            }
        }
    }
    let path = common::root().join("tests/layers/matmul_act.tw");
    let layer = Layer::load(&path).expect("the layer is a graph");
    let mut how = common::options();
    how.pins = MIXED.map(|p| p.parse().unwrap()).into();
    out.push(Subject {
        name: "matmul_act".to_owned(),
        graph: layer.graph(&Default::default()).expect("it has sizes"),
        form: Form::Optimized,
        options: how,
    });
    out
}

/// One kernel with a ring between its parts, and one without.
const MIXED: [&str; 5] = [
    "dense.mix=true",
    "dense.blocks=2",
    "dense.DENSE_N_TILE=16",
    "quantised.mix=true",
    "quantised.blocks=8",
];

/// A kernel alone, with what it reads as inputs, and what it came to when nothing was wrong.
struct Alone {
    program: Program,
    cases: Vec<(Tensors, Tensors)>,
}

impl Alone {
    fn new(program: &Program, kernel: &Kernel, runs: &[Tensors], machine: &Machine) -> Self {
        let (reads, writes) = kernel.accesses();
        let mut own = program.clone();
        own.tensors
            .retain(|n, _| reads.contains(n) || writes.contains(n));
        for (name, tensor) in &mut own.tensors {
            tensor.role = match writes.contains(name) {
                true => Role::Output,
                false => Role::Input,
            };
        }
        // Of a layer of several ranks, this one kernel talks to nobody.
        own.ranks = 1;
        let names: Vec<String> = own.tensors.keys().cloned().collect();
        for tensor in own.tensors.values_mut() {
            tensor.ragged.take_if(|r| !names.contains(&r.counts));
        }
        own.kernels = vec![Kernel {
            after: vec![],
            ..kernel.clone()
        }];
        let cases = runs
            .iter()
            .map(|tensors| {
                let report = sim::run(&own, machine, tensors, &options());
                let outputs = report.expect("a kernel of an example runs alone").outputs;
                (tensors.clone(), outputs)
            })
            .collect();
        Alone {
            program: own,
            cases,
        }
    }

    /// The same with one more case, if the kernel runs on it.
    fn also(&mut self, tensors: Tensors, machine: &Machine) {
        if let Ok(report) = sim::run(&self.program, machine, &tensors, &options()) {
            self.cases.push((tensors, report.outputs));
        }
    }

    /// What notices that the kernel is another one.
    fn caught(&mut self, kernel: &Kernel, machine: &Machine) -> Option<&'static str> {
        self.program.kernels[0] = Kernel {
            after: vec![],
            ..kernel.clone()
        };
        for (tensors, expected) in &self.cases {
            match sim::run(&self.program, machine, tensors, &options()) {
                Err(_) => return Some("checker"),
                Ok(report) if report.outputs != *expected => return Some("outputs"),
                Ok(_) => {}
            }
        }
        let emitted = ascend::emit(&self.program, machine);
        emitted.is_err().then_some("emitter")
    }
}

fn options() -> Options {
    Options {
        // A kernel may write a part of what others write the rest of. Which part is compared, too.
        unwritten: Unwritten::Mark,
        returned: Returned::OutputsAndWorkspaces,
        ..Options::default()
    }
}

#[derive(Default)]
struct Tally {
    all: usize,
    caught: BTreeMap<&'static str, usize>,
    /// Survivors that are right, and why, by reason.
    harmless: BTreeMap<&'static str, Vec<String>>,
    missed: Vec<String>,
}

#[test]
fn mutants_of_the_examples_are_caught() {
    let machine = common::options().machine;
    let mut tallies: BTreeMap<Kind, Tally> = BTreeMap::new();
    let mut orders = (0, 0);
    for subject in subjects() {
        let Subject {
            name,
            graph,
            form,
            options: how,
        } = &subject;
        let compiled = compile_form(graph, *form, how).expect("the layer compiles");
        let program = &compiled.program;
        let inputs = generate(graph, 1, &Default::default()).expect("inputs");
        let runs: Vec<Tensors> = cases(program, &inputs)
            .into_iter()
            .map(|mut case| {
                let ran = sim::run(program, &machine, &case, &options());
                case.extend(ran.expect("a layer runs").outputs);
                case
            })
            .collect();
        for (j, kernel) in program.kernels.iter().enumerate() {
            let place = format!("{name} {} {}", form.name(), kernel.name);
            let mut alone = Alone::new(program, kernel, &runs, &machine);
            for mutant in mutants(kernel, &machine) {
                let tally = tallies.entry(mutant.kind).or_default();
                judge(&mut alone, kernel, &mutant, &machine, &place, tally);
            }
            for n in 0..kernel.after.len() {
                let mut changed = program.clone();
                changed.kernels[j].after.remove(n);
                orders.0 += 1;
                orders.1 += usize::from(check_order(&changed, &machine).is_err());
            }
        }
    }
    let (mut all, mut caught, mut harmless) = (0, 0, 0);
    println!("{:<10} {:>5} {:>7} {:>8}", "", "all", "caught", "harmless");
    for (kind, tally) in &tallies {
        let found: usize = tally.caught.values().sum();
        let right: usize = tally.harmless.values().map(Vec::len).sum();
        let kind = format!("{kind:?}");
        println!(
            "{kind:<10} {:>5} {found:>7} {right:>8}  {:?}",
            tally.all, tally.caught
        );
        for (why, survivors) in &tally.harmless {
            println!("  {} {why}:", survivors.len());
            survivors.iter().for_each(|s| println!("    {s}"));
        }
        for missed in &tally.missed {
            println!("  missed: {missed}");
        }
        (all, caught, harmless) = (all + tally.all, caught + found, harmless + right);
    }
    println!("orders between kernels: {} of {}", orders.1, orders.0);
    println!("{caught} of {all}, {harmless} of which are harmless");
    assert_eq!(
        orders.0, orders.1,
        "an order that nothing needs, or a need that is not seen"
    );
    assert!(orders.0 > 0);
    assert!(all > 500, "{all} mutants are too few to tell");
    assert!(caught * 100 >= (all - harmless) * 95, "{caught} of {all}");
}

/// Each cross-core flag that is taken away, and each that is set once more, is found out.
#[test]
fn every_cross_core_flag_counts() {
    let machine = common::options().machine;
    let subject = subjects().pop().expect("the last one has mixed kernels");
    let compiled = compile_form(&subject.graph, subject.form, &subject.options);
    let program = compiled.expect("the layer compiles").program;
    let inputs = generate(&subject.graph, 1, &Default::default()).expect("inputs");
    let mut flags = 0;
    for (k, kernel) in program.kernels.iter().enumerate() {
        assert_eq!(kernel.unit, Unit::Mixed);
        for mutant in mutants(kernel, &machine) {
            if mutant.kind != Kind::Statement || !mutant.what.contains("Cross") {
                continue;
            }
            flags += 1;
            let mut changed = program.clone();
            changed.kernels[k] = mutant.kernel;
            let ran = sim::run(&changed, &machine, &inputs, &Options::default());
            assert!(ran.is_err(), "{}: {}", kernel.name, mutant.what);
        }
        for unit in [0, 1] {
            let mut changed = program.clone();
            if let Some(Stmt::Part { body, .. }) = changed.kernels[k].body.get_mut(unit) {
                let set = body.iter().position(|s| matches!(s, Stmt::SetCross { .. }));
                let Some(set) = set else { continue };
                body.insert(set, body[set].clone());
            }
            let ran = sim::run(&changed, &machine, &inputs, &Options::default());
            assert!(ran.is_err(), "{}: a set too many", kernel.name);
        }
    }
    assert!(flags >= 14, "{flags}");
}

fn judge(
    alone: &mut Alone,
    kernel: &Kernel,
    mutant: &Mutant,
    machine: &Machine,
    place: &str,
    tally: &mut Tally,
) {
    tally.all += 1;
    if let Some(by) = alone.caught(&mutant.kernel, machine) {
        *tally.caught.entry(by).or_default() += 1;
        return;
    }
    let text = format!("{place}: {}", mutant.what);
    match harmless::why(kernel, mutant) {
        Some(why) => tally.harmless.entry(why).or_default().push(text),
        None => tally.missed.push(text),
    }
}
