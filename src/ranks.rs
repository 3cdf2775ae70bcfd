//! A run on several ranks: both forms on the simulator of ranks or on another backend, every rank's outputs against the
//! interpreter's.

use crate::check;
use crate::compile::Options;
use crate::data::{Data, Expected};
use crate::error::{Error, Result};
use crate::report::{
    Check, Form, RankForm, RankRun, Report, Simulated, TimedBy, ratio, scalar_value,
};
use crate::run::{Compiled, Outcome, both, emit, remedy};
use tilewright_backends::backend::{Backend, Ran, RanksJob, Timing};
use tilewright_backends::data::Tensors;
use tilewright_backends::reference::{self, Interpreted};
use tilewright_backends::sim::{self, Interleaving, RankOptions, RanksReport};
use tilewright_ir::graph::Graph;
use tilewright_ir::kernel::{Program, Role};
use tilewright_ir::spans;

/// How ranks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct How {
    /// Runs of the layer, one after the other on the same windows; outputs become the inputs that the graph feeds them to.
    pub layers: usize,
    /// Of the order in which ranks move and stores arrive; `None` for all in turn and stores as late as can be.
    pub seed: Option<u64>,
}

impl Default for How {
    fn default() -> Self {
        How {
            layers: 1,
            seed: None,
        }
    }
}

/// The simulator's word on both forms, or a backend's.
enum Told {
    Simulated(Box<[RanksReport; 2]>),
    Ran([Vec<Ran>; 2]),
}

/// Runs both forms of a compiled layer on all ranks.
///
/// # Errors
///
/// Inputs that the interpreter refuses, kernels that the backend refuses, and exchanges that tell of a failure.
pub fn run(
    graph: &Graph,
    options: &Options,
    data: &Data,
    mut outcome: Outcome,
    backend: &dyn Backend,
) -> Result<Outcome> {
    let how = options.ranks;
    let inputs: Vec<Tensors> = data.ranks().into_iter().cloned().collect();
    let feed: Vec<(String, String)> = graph.feeds.clone().into_iter().collect();
    let span = spans::enter("interpret");
    let truth = reference(graph, inputs.clone(), how.layers, &feed)?;
    drop(span);
    for run in &truth {
        refuse_failures(run.failure.clone())?;
    }
    let span = spans::enter(backend.name());
    let told = match backend.timing() {
        Timing::Simulated => {
            let of = |compiled| simulate(compiled, options, &inputs, &feed);
            let (written, optimized) = both(|| of(&outcome.written), || of(&outcome.optimized));
            Told::Simulated(Box::new([written?, optimized?]))
        }
        // Two at once would share the processor that is timed.
        Timing::Host | Timing::Device => {
            let of = |c| execute(c, options, &inputs, &feed, backend);
            Told::Ran([of(&outcome.written)?, of(&outcome.optimized)?])
        }
    };
    drop(span);
    let span = spans::enter("compare");
    let outputs = |form: usize| -> Vec<&Tensors> {
        match &told {
            Told::Simulated(forms) => forms[form].ranks.iter().map(|r| &r.outputs).collect(),
            Told::Ran(forms) => forms[form].iter().map(|r| &r.outputs).collect(),
        }
    };
    let mut checks = vec![];
    for (i, form) in Form::ALL.into_iter().enumerate() {
        for (rank, outputs) in outputs(i).into_iter().enumerate() {
            refuse_failures(reference::failure(graph, outputs))?;
            let mut compare = |against: &str, want: &Tensors| -> Result<()> {
                let counts = &truth[rank].counts;
                let found = check::outputs(graph, form, against, outputs, want, counts)?;
                checks.extend(found.into_iter().map(|mut c| {
                    c.comparison.output = format!("{} of rank {rank}", c.comparison.output);
                    c
                }));
                Ok(())
            };
            compare("reference", &truth[rank].outputs)?;
            if let Some(e) = data.expected.as_ref().filter(|_| how.layers == 1) {
                compare(&e.path.display().to_string(), expected(e, rank))?;
            }
        }
    }
    drop(span);
    let _span = spans::enter("report");
    for (i, compiled) in [&mut outcome.written, &mut outcome.optimized]
        .into_iter()
        .enumerate()
    {
        for (k, kernel) in compiled.kernels.iter_mut().enumerate() {
            match &told {
                Told::Simulated(forms) => {
                    let times = forms[i].ranks.iter().filter_map(|r| r.kernels.get(k));
                    if let Some(slowest) = times.max_by(|a, b| a.us.total_cmp(&b.us)) {
                        kernel.set_simulated(Simulated::from(slowest));
                    }
                }
                Told::Ran(forms) => {
                    let times = forms[i].iter().filter_map(|r| r.kernels.get(k));
                    kernel.ran_seconds = times.map(|k| k.seconds).reduce(f64::max);
                }
            }
        }
    }
    let mut report: Report =
        crate::run::report(graph, options, &outcome.written, &outcome.optimized);
    report.backend = Some(backend.name().into());
    report.timed_by = match &told {
        Told::Simulated(forms) => {
            let forms = RankRun {
                ranks: graph.ranks(),
                layers: how.layers,
                window_bytes: windows(&outcome.optimized.program),
                written: RankForm::new(&forms[0]),
                optimized: RankForm::new(&forms[1]),
            };
            report.speedup = ratio(forms.written.us, forms.optimized.us);
            report.ranks = Some(forms);
            TimedBy::Simulator
        }
        Told::Ran(_) => TimedBy::Model,
    };
    report.ok = checks.iter().all(|c: &Check| c.comparison.ok);
    report.checks = checks;
    let scalars = inputs[0].iter();
    report.scalars = scalars
        .filter_map(|(name, t)| Some((name.clone(), scalar_value(t)?)))
        .collect();
    outcome.report = report;
    Ok(outcome)
}

/// Runs a form on a backend that is no simulator.
fn execute(
    compiled: &Compiled,
    options: &Options,
    inputs: &[Tensors],
    feed: &[(String, String)],
    backend: &dyn Backend,
) -> Result<Vec<Ran>> {
    let files = emit(compiled, &options.machine)?;
    let ran = backend.run_ranks(&RanksJob {
        program: &compiled.program,
        files: &files,
        machine: &options.machine,
        inputs,
        layers: options.ranks.layers,
        feed,
    });
    Ok(ran.map_err(Error::Backend)?)
}

fn expected(e: &Expected, rank: usize) -> &Tensors {
    match rank {
        0 => &e.tensors,
        _ => &e.peers[rank - 1],
    }
}

/// What the interpreter makes of the last run of the layer, by rank.
fn reference(
    graph: &Graph,
    mut inputs: Vec<Tensors>,
    layers: usize,
    feed: &[(String, String)],
) -> Result<Vec<Interpreted>> {
    let mut all = reference::Layers::new(graph);
    let mut last = all.run(&inputs)?;
    for _ in 1..layers {
        for (inputs, run) in inputs.iter_mut().zip(&last) {
            refuse_failures(run.failure.clone())?;
            for (output, input) in feed {
                inputs.insert(input.clone(), run.outputs[output].clone());
            }
        }
        last = all.run(&inputs)?;
    }
    Ok(last)
}

fn simulate(
    compiled: &Compiled,
    options: &Options,
    inputs: &[Tensors],
    feed: &[(String, String)],
) -> Result<RanksReport> {
    let how = options.ranks;
    let ranks = RankOptions {
        layers: how.layers,
        feed: match how.layers {
            1 => vec![],
            _ => feed.to_vec(),
        },
        interleaving: match how.seed {
            None => Interleaving::default(),
            Some(seed) => Interleaving::seeded(seed, inputs.len()),
        },
        ..Default::default()
    };
    let report = sim::run_ranks(&compiled.program, &options.machine, inputs, &ranks);
    let report = report.map_err(|fault| Error::Refused {
        form: match compiled.form {
            Form::Written => "as written",
            Form::Optimized => "as optimized",
        },
        remedy: remedy(&fault, options),
        fault: Box::new(fault),
        findings: vec![],
    })?;
    Ok(report)
}

/// Refuses outputs in which an exchange tells of a failure.
fn refuse_failures(failure: Option<(String, String)>) -> Result<()> {
    match failure {
        None => Ok(()),
        Some((message, help)) => Err(Error::ExchangeFailed { message, help }.into()),
    }
}

/// Bytes of all windows of a rank.
fn windows(program: &Program) -> usize {
    let windows = program.tensors.values().filter(|t| t.role == Role::Window);
    windows.map(|t| t.bytes()).sum()
}
