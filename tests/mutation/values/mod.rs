//! Kernels that compute something else: every example, as written and optimized, on one rank and on several.
//!
//! Kernels run alone, on what the kernels before them made and on inputs that reach what normal values do not (`stretched`);
//! kernels that talk to other ranks run together. Outputs are compared bit by bit. What survives must be proven to be the same
//! (`equal`). `cargo test` looks at a sample; all of them, with the table of `docs/testing.md`:
//!
//! ```text
//! TILEWRIGHT_ALL_MUTANTS=1 cargo test --test mutation values -- --nocapture
//! ```

mod changes;
mod equal;
mod laws;
mod stretched;

use crate::ranks::{exchanges, run};
use crate::{Alone, common, options, sizes};
use changes::{Change, Class, changes};
use rayon::prelude::*;
use std::collections::BTreeMap;
use stretched::{Meaning, stretched};
use tilewright::data::{Source, inputs};
use tilewright::form::Form;
use tilewright::run::compile_form;
use tilewright_backends::checker::inputs::cases;
use tilewright_backends::data::{Tensor, Tensors};
use tilewright_backends::sim;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::Graph;
use tilewright_ir::kernel::{Kernel, Program, Role, is_communication};
use tilewright_ir::machine::Machine;

/// Mutants of a class that a usual test run looks at.
const SAMPLE: usize = 90;

/// A layer in a form, and what its kernels read and make.
struct Subject {
    place: String,
    program: Program,
    /// All tensors of each case, by rank.
    cases: Vec<Vec<Tensors>>,
}

/// A kernel to change: a subject's, by number.
struct Task {
    subject: usize,
    kernel: usize,
    changes: Vec<Change>,
}

#[derive(Default)]
struct Tally {
    all: usize,
    caught: usize,
    /// By proof.
    equal: BTreeMap<&'static str, usize>,
    survived: Vec<String>,
}

fn layers() -> Vec<(String, Graph)> {
    let mut out = vec![];
    for name in common::examples() {
        for sizes in sizes(&name) {
            out.push((name.clone(), common::graph(&name, &sizes)));
        }
    }
    out
}

fn subject(name: &str, graph: &Graph, form: Form, machine: &Machine) -> Subject {
    let mut how = common::options();
    if graph.ranks() > 1 {
        how.search.iter_limit = 4;
        how.search.candidates = 1;
    }
    let compiled = compile_form(graph, form, &how).expect("the example compiles");
    let program = compiled.program;
    let of_rank = |rank: usize| inputs(graph, &Source::Seed(1 + rank as u64), &Default::default());
    let given: Vec<Tensors> = (0..graph.ranks())
        .map(|rank| of_rank(rank).expect("inputs"))
        .collect();
    let by_rank: Vec<Vec<Tensors>> = given.iter().map(|g| cases(&program, g)).collect();
    let cases = (0..by_rank[0].len()).map(|n| {
        let mut known: Vec<Tensors> = by_rank.iter().map(|r| r[n].clone()).collect();
        let made = match known.as_slice() {
            [one] => vec![
                sim::run(&program, machine, one, &options())
                    .expect("the example runs")
                    .outputs,
            ],
            many => run(&program, machine, many, 1, 0).expect("the example runs"),
        };
        for (known, made) in known.iter_mut().zip(made) {
            known.extend(made);
        }
        known
    });
    Subject {
        place: format!("{name} {}", form.name()),
        cases: cases.collect(),
        program,
    }
}

/// The same tensors with other experts, in a way of each rank's own: all rows to one of them, so that its lane is full or overflows,
/// to the last ones, to as many as there are in turn, to nobody, or a single row of a single rank. `most` is the last expert, who need
/// not be among those that a rank's own rows chose.
fn routed(tensors: &Tensors, way: usize, rank: usize, most: i64) -> Tensors {
    let mut tensors = tensors.clone();
    if let Some(t) = tensors.get_mut("indices") {
        let values = t.to_i64();
        let cols = t.matrix().1;
        let expert = |(i, e): (usize, &i64)| match (way + rank) % 6 {
            _ if way % 8 == 7 => match (rank, i) {
                (0, 0) => most * (way as i64 / 8 % 2),
                _ => -1,
            },
            // One row more than there is room for.
            _ if way % 8 == 4 && rank > 0 && i > 0 => -1,
            _ if way % 8 == 4 => [most, 0, most - 1, 1][way / 8 % 4].max(0),
            // All ranks to the same one, which is too much for it, and half of their rows, which is just enough.
            _ if way % 8 == 6 => [most, 0, most - 1, 1][way / 8 % 4].max(0),
            _ if way % 8 == 5 && i % 2 == 0 => [most, 0, most - 1, 1][way / 8 % 4].max(0),
            _ if way % 8 == 5 => -1,
            0 => *e,
            1 => 0,
            2 => most,
            3 => (most - 1).max(0),
            // Some are sent to nobody.
            5 if i % 3 == 1 => -1,
            4 => (i / cols) as i64 % (most + 1),
            _ => i as i64 % (most + 1),
        };
        let values: Vec<i64> = values.iter().enumerate().map(expert).collect();
        if let Ok(other) = Tensor::from_i64(t.dtype, &t.shape, &values) {
            *t = other;
        }
    }
    tensors
}

/// The last expert of a layer: ranks tell each other how many rows they send to each.
fn last_expert(program: &Program, ranks: usize) -> i64 {
    let told = program
        .tensors
        .values()
        .filter(|t| t.role == Role::Window && t.dtype == DType::I32 && t.matrix().0 == ranks);
    told.map(|t| t.matrix().1 as i64 - 1).max().unwrap_or(0)
}

/// Whether a mutant is looked at: a share of each class, chosen by a hash of its place.
fn sampled(place: &str, n: usize, share: f64) -> bool {
    let bytes = place.bytes().chain(n.to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    });
    ((hash >> 11) as f64) < share * (1_u64 << 53) as f64
}

/// All changes, or of each class about as many as a test run has time for.
fn tasks(subjects: &[Subject], all: bool) -> Vec<Task> {
    let mut tasks = vec![];
    let mut of_class: BTreeMap<Class, usize> = BTreeMap::new();
    for (s, subject) in subjects.iter().enumerate() {
        for (k, kernel) in subject.program.kernels.iter().enumerate() {
            let changes = changes(kernel);
            for change in &changes {
                *of_class.entry(change.class).or_default() += 1;
            }
            tasks.push(Task {
                subject: s,
                kernel: k,
                changes,
            });
        }
    }
    if !all {
        for task in &mut tasks {
            let place = format!("{} {}", subjects[task.subject].place, task.kernel);
            let mut n = 0;
            task.changes.retain(|change| {
                n += 1;
                let share = SAMPLE as f64 / of_class[&change.class] as f64;
                sampled(&place, n, share)
            });
        }
    }
    tasks
}

/// What decides whether a change of a kernel shows.
enum Judge {
    Alone(Box<Alone>),
    /// The kernels that talk, the kernel's number among them, and what every rank stores, by case.
    Together(Box<Program>, usize, Vec<(Vec<Tensors>, Vec<Tensors>)>),
}

impl Judge {
    fn new(subject: &Subject, number: usize, machine: &Machine) -> Judge {
        let program = &subject.program;
        let kernel = &program.kernels[number];
        if is_communication(program, kernel) {
            let own = exchanges(program);
            let at = own.kernels.iter().position(|k| k.name == kernel.name);
            let meaning = Meaning::of(&own, kernel);
            let mut known = subject.cases.clone();
            let most = last_expert(&own, known[0].len());
            for way in 0..stretched::WAYS {
                let ranks = known[0].iter().enumerate();
                let of_rank = |(r, t)| routed(&stretched(t, way, &meaning), way, r, most);
                known.push(ranks.map(of_rank).collect());
            }
            let cases = known.into_iter().filter_map(|known| {
                let stored = run(&own, machine, &known, 2, 0).ok()?;
                Some((known, stored))
            });
            let cases: Vec<_> = cases.collect();
            assert!(cases.len() >= subject.cases.len(), "exchanges run alone");
            return Judge::Together(Box::new(own), at.unwrap_or_default(), cases);
        }
        let runs: Vec<Tensors> = subject.cases.iter().map(|ranks| ranks[0].clone()).collect();
        let mut alone = Alone::new(program, kernel, &runs, machine);
        let meaning = Meaning::of(program, kernel);
        for way in 0..stretched::WAYS {
            alone.also(stretched(&runs[0], way, &meaning), machine);
        }
        Judge::Alone(Box::new(alone))
    }

    /// What notices that the kernel is another one.
    fn caught(&mut self, kernel: &Kernel, machine: &Machine) -> Option<&'static str> {
        let (own, at, cases) = match self {
            Judge::Alone(alone) => return alone.caught(kernel, machine),
            Judge::Together(own, at, cases) => (own, *at, cases),
        };
        let changed = Kernel {
            after: own.kernels[at].after.clone(),
            ..kernel.clone()
        };
        let before = std::mem::replace(&mut own.kernels[at], changed);
        let seeds = cases.iter().flat_map(|c| [(c, 0), (c, 1)]);
        let mut differs =
            seeds.filter_map(
                |((known, stored), seed)| match run(own, machine, known, 2, seed) {
                    Err(_) => Some("checker"),
                    Ok(ran) => (&ran != stored).then_some("outputs"),
                },
            );
        let caught = differs.next();
        drop(differs);
        own.kernels[at] = before;
        caught
    }
}

fn judge(subjects: &[Subject], task: &Task, machine: &Machine) -> BTreeMap<Class, Tally> {
    let mut tallies: BTreeMap<Class, Tally> = BTreeMap::new();
    let subject = &subjects[task.subject];
    let kernel = &subject.program.kernels[task.kernel];
    if task.changes.is_empty() {
        return tallies;
    }
    let mut judge = Judge::new(subject, task.kernel, machine);
    for change in &task.changes {
        let tally = tallies.entry(change.class).or_default();
        tally.all += 1;
        let why = || equal::why(&subject.program, kernel, &change.kernel);
        let place = format!("{} {}: {}", subject.place, kernel.name, change.what);
        if let Some(by) = judge.caught(&change.kernel, machine) {
            tally.caught += 1;
            // The checker may refuse what computes the same; other values prove a proof wrong.
            assert!(
                by != "outputs" || why().is_none(),
                "{place} is not the same"
            );
        } else if let Some(why) = why() {
            *tally.equal.entry(why).or_default() += 1;
        } else {
            tally.survived.push(place);
        }
    }
    tallies
}

#[test]
fn wrong_values_are_caught() {
    let machine = common::options().machine;
    let all = std::env::var_os("TILEWRIGHT_ALL_MUTANTS").is_some();
    let forms: Vec<(String, Graph, Form)> = layers()
        .into_iter()
        .flat_map(|(name, graph)| Form::ALL.map(|form| (name.clone(), graph.clone(), form)))
        .collect();
    let subjects: Vec<Subject> = forms
        .par_iter()
        .map(|(name, graph, form)| subject(name, graph, *form, &machine))
        .collect();
    let judged: Vec<BTreeMap<Class, Tally>> = tasks(&subjects, all)
        .par_iter()
        .map(|task| judge(&subjects, task, &machine))
        .collect();
    let mut tallies: BTreeMap<Class, Tally> = BTreeMap::new();
    for (class, tally) in judged.into_iter().flatten() {
        let sum = tallies.entry(class).or_default();
        sum.all += tally.all;
        sum.caught += tally.caught;
        sum.survived.extend(tally.survived);
        for (why, n) in tally.equal {
            *sum.equal.entry(why).or_default() += n;
        }
    }
    println!("| class | mutants | caught | proven equal | survived |\n|---|---|---|---|---|");
    for (class, t) in &tallies {
        let (equal, survived) = (t.equal.values().sum::<usize>(), t.survived.len());
        println!(
            "| {class} | {} | {} | {equal} | {survived} |",
            t.all, t.caught
        );
    }
    for (class, t) in &tallies {
        println!("{class}: proven equal: {:?}", t.equal);
        t.survived.iter().for_each(|s| println!("  survived: {s}"));
    }
    assert_eq!(tallies.len(), 7, "every class has mutants");
    for (class, t) in &tallies {
        let (survived, different) = (t.survived.len(), t.caught + t.survived.len());
        assert!(different > 20, "{class}: {different} are too few to tell");
        // One of a sample says nothing of one in a hundred.
        assert!(
            survived * 100 <= different || !all && survived == 1,
            "{class}: {survived} of {different} survived"
        );
    }
}
