//! The way from a graph to a report, in stages that are functions from plain values to plain values.
//!
//! [`compile_forms`] makes kernels of both forms; [`optimize`] stops there, with predicted times. [`run_on`] goes on: kernels are
//! emitted, the interpreter says what their outputs should be, a backend runs them, outputs are compared, and times become
//! a report. A layer of one rank is a layer of several with one: there is no other way.

use crate::check;
use crate::compile::{Options, compile_candidates, program};
use crate::data::Data;
use crate::error::{Error, Result};
use crate::form::{Form, Forms};
use crate::ranks::{carried, refuse_failure};
use crate::report::{
    CandidateReport, Check, FormReport, KernelReport, Memory, RankRun, Report, Search, TimedBy,
    ratio, regions, scalar_value, work,
};
use crate::shown::Shown;
use indexmap::{IndexMap, IndexSet};
use miette::Diagnostic;
use tilewright_backends::ascend::{File, Notes, emit_with_notes};
use tilewright_backends::backend::{Backend, BackendError, Job, Ran, RanRank, Simulator, Timing};
use tilewright_backends::checker::check as check_hazards;
use tilewright_backends::data::Tensors;
use tilewright_backends::emitter::{self, Emitter};
use tilewright_backends::reference::{self, Interpreted};
use tilewright_backends::sim::{self, SimError};
use tilewright_ir::graph::Graph;
use tilewright_ir::kernel::{Program, Role};
use tilewright_ir::machine::Machine;
use tilewright_passes::pass::Run;
use tracing::{Id, info_span};

/// A layer in one form: its passes, its program, its kernels.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// Which form.
    pub form: Form,
    /// What the passes left.
    pub run: Run,
    /// The kernels as loops, tiles and instructions.
    pub program: Program,
    /// What a report tells of them, in launch order.
    pub kernels: Vec<KernelReport>,
    /// The command that emits its kernels again, where one is known.
    pub command: Option<String>,
    /// What was picked from; empty where there was one plan.
    pub candidates: Vec<CandidateReport>,
}

/// A report, and what was made on the way.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Times, schedules and checks.
    pub report: Report,
    /// Both forms, with their programs.
    pub compiled: Forms<Compiled>,
    /// The kernels as emitted; none where nothing was run.
    pub files: Forms<Vec<File>>,
    /// What views show of the run; absent unless [`Options::record`] asked for it, and where a backend other than the simulator ran.
    pub watched: Option<Forms<Watched>>,
}

/// What blocks of one form did when.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// By rank, kernels of the last run of the layer, in launch order.
    pub ranks: Vec<Vec<sim::KernelReport>>,
    /// Of several ranks: all together, kernels side by side where they can be.
    pub timeline: Option<sim::Timeline>,
}

impl Watched {
    /// What came back from a backend that tells all that the simulator does.
    fn new(ran: &Ran) -> Option<Self> {
        let kernels = |rank: &RanRank| rank.kernels.iter().map(|k| k.simulated.clone()).collect();
        Some(Watched {
            ranks: ran.ranks.iter().map(kernels).collect::<Option<_>>()?,
            timeline: ran.timelines.as_ref().map(|t| t.overlapped.clone()),
        })
    }
}

/// What is run: a compiled form, and its kernels as emitted.
type Kernels<'a> = (&'a Compiled, &'a Vec<File>);

/// Compiles one form to a program.
///
/// # Errors
///
/// What [`compile_candidates`] and [`program`] refuse.
pub fn compile_form(graph: &Graph, form: Form, options: &Options) -> Result<Compiled> {
    let _span = info_span!("form", step = form.name()).entered();
    let (run, candidates) = compile_candidates(graph, form, options)?;
    let program = program(&run)?.clone();
    let derivation = |name: &str| {
        let plans = run.plan.iter().flat_map(|o| &o.plan.kernels);
        let plan = plans.into_iter().find(|k| k.name == name);
        plan.map_or(vec![], |k| k.derivation.clone())
    };
    let kernels = program
        .kernels
        .iter()
        .map(|k| {
            let derivation = derivation(&k.name);
            let cost = options.search.cost.as_ref();
            let kernel = KernelReport::new(k, &program, &options.machine, cost, derivation);
            KernelReport {
                parts: match form {
                    Form::Written => vec![k.name.clone()],
                    // Known where the form as written is.
                    Form::Optimized => vec![],
                },
                ..kernel
            }
        })
        .collect();
    Ok(Compiled {
        form,
        run,
        program,
        kernels,
        command: options.command.as_ref().map(|c| match form {
            Form::Written => format!("{c} --written"),
            Form::Optimized => c.clone(),
        }),
        candidates,
    })
}

/// Compiles both forms.
///
/// # Errors
///
/// What [`compile_form`] refuses.
pub fn compile_forms(graph: &Graph, options: &Options) -> Result<Forms<Compiled>> {
    let written = compile_form(graph, Form::Written, options)?;
    let mut optimized = compile_form(graph, Form::Optimized, options)?;
    work::cover(&written.kernels, &mut optimized.kernels);
    Ok(Forms { written, optimized })
}

/// Compiles both forms and predicts their times.
///
/// # Errors
///
/// What [`compile_form`] refuses.
pub fn optimize(graph: &Graph, options: &Options) -> Result<Outcome> {
    let compiled = compile_forms(graph, options)?;
    Ok(Outcome {
        report: report(graph, options, compiled.as_ref()),
        compiled,
        files: Forms::default(),
        watched: None,
    })
}

/// As [`optimize`], and runs both forms on the simulator.
///
/// # Errors
///
/// As [`run_on`].
pub fn run(graph: &Graph, options: &Options, data: &Data) -> Result<Outcome> {
    run_on(graph, options, data, &Simulator)
}

/// As [`optimize`], and runs both forms on a backend, on as many ranks as the graph has.
///
/// # Errors
///
/// As [`optimize`]; an instruction that has no PTO-ISA form, inputs that the interpreter refuses, what the backend does not
/// run, and exchanges that tell of a failure.
pub fn run_on(
    graph: &Graph,
    options: &Options,
    data: &Data,
    backend: &dyn Backend,
) -> Result<Outcome> {
    let options = &options.for_units(backend.units());
    let compiled = compile_forms(graph, options)?;
    for (_, form) in compiled.as_ref() {
        backend.accepts(&form.program)?;
    }
    let span = info_span!("emit").entered();
    let files = compiled.as_ref().try_map(|c| emit(c, &options.machine))?;
    drop(span);
    // Runs of the layer one after the other are for windows, which one rank has none of.
    let layers = match graph.ranks() {
        1 => 1,
        _ => options.ranks.layers,
    };
    let carried = match layers {
        1 => vec![],
        _ => carried(graph),
    };
    let span = info_span!("interpret").entered();
    let truth = reference(graph, &data.inputs, layers, &carried)?;
    drop(span);
    let span = info_span!("backend", step = backend.name()).entered();
    let execute = |kernels: Kernels| {
        let (compiled, files) = kernels;
        let job = Job {
            program: &compiled.program,
            files,
            machine: &options.machine,
            inputs: &data.inputs,
            layers,
            carried: &carried,
            seed: options.ranks.seed,
            record: options.record,
        };
        execute(compiled, options, &job, backend)
    };
    let kernels = compiled.as_ref().zip(files.as_ref());
    let ran = match backend.timing().is_measured() {
        true => kernels.try_map(execute)?,
        false => side_by_side(kernels, span.id(), execute).try_map(|ran| ran)?,
    };
    drop(span);
    let span = info_span!("compare").entered();
    let mut checks = vec![];
    for (form, ran) in ran.as_ref() {
        let outputs: Vec<&Tensors> = ran.ranks.iter().map(|r| &r.outputs).collect();
        // What is expected is of one run of the layer.
        let expected = data.expected.as_ref().filter(|_| layers == 1);
        checks.extend(check::ranks(graph, form, &outputs, &truth, expected)?);
    }
    drop(span);
    let _span = info_span!("report").entered();
    let timing = backend.timing();
    let timed = compiled.zip(ran.as_ref());
    let compiled = timed.map(|(compiled, ran)| with_times(compiled, ran, timing));
    let mut report = report(graph, options, compiled.as_ref());
    report.backend = Some(backend.name().into());
    report.timed_by = TimedBy::from(timing);
    report.ok = checks.iter().all(|c: &Check| c.comparison.ok);
    report.checks = checks;
    report.scalars = scalars(&data.inputs);
    if let Some(timelines) = ran.as_ref().map(|r| r.timelines.as_ref()).both() {
        let program = &compiled.optimized.program;
        let ranks = RankRun::new(program, layers, timelines);
        report.speedup = ratio(ranks.written.us, ranks.optimized.us);
        report.ranks = Some(ranks);
    }
    let watched = ran
        .as_ref()
        .map(|r| Watched::new(r).filter(|_| options.record));
    Ok(Outcome {
        report,
        compiled,
        files,
        watched: watched.both(),
    })
}

/// Outputs of a compiled form on the simulator, compared with the interpreter's.
///
/// # Errors
///
/// As [`run_on`].
pub fn outputs_of(
    graph: &Graph,
    compiled: &Compiled,
    options: &Options,
    inputs: &[Tensors],
) -> Result<Vec<Check>> {
    let files = emit(compiled, &options.machine)?;
    let truth = reference(graph, inputs, 1, &[])?;
    let job = Job {
        program: &compiled.program,
        files: &files,
        machine: &options.machine,
        inputs,
        layers: 1,
        carried: &[],
        seed: options.ranks.seed,
        record: false,
    };
    let ran = execute(compiled, options, &job, &Simulator)?;
    let outputs: Vec<&Tensors> = ran.ranks.iter().map(|r| &r.outputs).collect();
    check::ranks(graph, compiled.form, &outputs, &truth, None)
}

/// What the interpreter makes of the last run of the layer, by rank.
fn reference(
    graph: &Graph,
    inputs: &[Tensors],
    layers: usize,
    carried: &[(String, String)],
) -> Result<Vec<Interpreted>> {
    let mut all = reference::Layers::new(graph);
    let mut inputs = inputs.to_vec();
    let mut run = 1;
    loop {
        let truth = all.run(&inputs)?;
        // Where an exchange fails nothing is sent, so what comes after it would wait for what never comes.
        for rank in &truth {
            refuse_failure(rank.failure.clone())?;
        }
        if run >= layers {
            return Ok(truth);
        }
        run += 1;
        for (inputs, rank) in inputs.iter_mut().zip(&truth) {
            for (output, input) in carried {
                inputs.insert(input.clone(), rank.outputs[output].clone());
            }
        }
    }
}

/// Does the work of both forms at the same time, within a span.
fn side_by_side<T: Send, U: Send>(
    forms: Forms<T>,
    within: Option<Id>,
    work: impl Fn(T) -> U + Sync,
) -> Forms<U> {
    let work = |form: Form, given: T| {
        let _span = info_span!(parent: within.clone(), "form", step = form.name()).entered();
        work(given)
    };
    let (written, optimized) = rayon::join(
        || work(Form::Written, forms.written),
        || work(Form::Optimized, forms.optimized),
    );
    Forms { written, optimized }
}

/// Runs a form on a backend; what comes back is of every rank, and every output.
fn execute(
    compiled: &Compiled,
    options: &Options,
    job: &Job,
    backend: &dyn Backend,
) -> Result<Ran> {
    let ran = backend.run(job).map_err(|fault| match fault {
        BackendError::Sim(fault) => refused(compiled, options, job, fault),
        fault => Error::Backend(fault),
    })?;
    let (found, ranks) = (ran.ranks.len(), job.inputs.len());
    if found != ranks {
        let backend = backend.name();
        return Err(BackendError::Ranks {
            backend,
            found,
            ranks,
        }
        .into());
    }
    let outputs = job.program.tensors.iter();
    let outputs = outputs.filter(|(_, t)| t.role == Role::Output);
    for (name, _) in outputs {
        let missing = |r: &RanRank| !r.outputs.contains_key(name);
        if let Some(rank) = ran.ranks.iter().position(missing) {
            return Err(BackendError::Output {
                backend: backend.name(),
                output: name.clone(),
                rank,
            }
            .into());
        }
    }
    Ok(ran)
}

/// What the simulator refuses, with all that is wrong beside it, and with what to do.
fn refused(compiled: &Compiled, options: &Options, job: &Job, fault: SimError) -> Error {
    // The hazard checker runs programs of one rank.
    let findings = match job.inputs {
        [_] => {
            let checked = check_hazards(job.program, job.machine, job.inputs, &notes(compiled));
            let findings = checked.findings.iter();
            findings.map(|f| Shown::new(f, &checked.files)).collect()
        }
        _ => vec![],
    };
    let remedy = fault.help().map_or_else(String::new, |h| h.to_string());
    Error::Refused {
        form: compiled.form.phrase(),
        remedy: match options.passes {
            Some(_) => remedy,
            // With the default passes no program should come here that the simulator refuses.
            None => format!("{remedy}; this is a defect of tilewright, please report it"),
        },
        fault: Box::new(fault),
        findings,
    }
}

/// The same form with the times of a run; where several ranks ran a kernel, the slowest one's.
fn with_times(mut compiled: Compiled, ran: &Ran, timing: Timing) -> Compiled {
    for (k, kernel) in compiled.kernels.iter_mut().enumerate() {
        let times = ran.ranks.iter().filter_map(|r| r.kernels.get(k));
        if let Some(slowest) = times.max_by(|a, b| a.us().total_cmp(&b.us())) {
            kernel.set_ran(slowest, timing);
        }
    }
    compiled
}
/// The scalars of a run, which all ranks share.
fn scalars(inputs: &[Tensors]) -> IndexMap<String, i64> {
    let all = inputs.iter().take(1).flatten();
    let scalars = all.filter_map(|(name, t)| Some((name.clone(), scalar_value(t)?)));
    scalars.collect()
}

/// The report of two forms, with the times that their kernels have so far.
fn report(graph: &Graph, options: &Options, compiled: Forms<&Compiled>) -> Report {
    let form = |c: &Compiled| FormReport::new(c.kernels.clone(), &c.program, &options.machine);
    let (before, after) = (form(compiled.written), form(compiled.optimized));
    let optimized = compiled.optimized;
    let search = optimized.run.plan.as_ref();
    Report {
        graph: graph.name.clone(),
        machine: options.machine.name.clone(),
        params: graph.params.clone(),
        scalars: IndexMap::new(),
        inputs: vec![],
        timed_by: TimedBy::Model,
        backend: None,
        tiles: tiles([&compiled.written.run, &optimized.run]),
        capacity: Memory::capacity(&options.machine),
        regions: regions(&before, &after),
        speedup: ratio(before.us, after.us),
        written: before,
        optimized: after,
        candidates: optimized.candidates.clone(),
        search: search.map(|o| Search::new(&o.search, o.extract_seconds, o.explain_seconds)),
        checks: vec![],
        verified: vec![],
        ok: true,
        files: IndexMap::new(),
        ranks: None,
        times: None,
    }
}

/// The kernels of a form as files, with what they cost and how they were found in their head comments.
///
/// # Errors
///
/// An instruction that has no PTO-ISA form.
pub fn emit(compiled: &Compiled, machine: &Machine) -> Result<Vec<File>> {
    Ok(emit_with_notes(
        &compiled.program,
        machine,
        &notes(compiled),
    )?)
}

/// As [`emit`], in the language of an emitter.
///
/// # Errors
///
/// An instruction that has no form in the language.
pub fn emit_as(compiled: &Compiled, machine: &Machine, emitter: &Emitter) -> Result<Vec<File>> {
    let is_default = emitter.name == emitter::ALL[0].name;
    let command = compiled.command.as_ref().map(|c| match is_default {
        true => c.clone(),
        false => format!("{c} --as {}", emitter.name),
    });
    let notes = notes_with(compiled, command.as_deref());
    Ok((emitter.emit)(&compiled.program, machine, &notes)?)
}

/// What the head comments of a form's kernels say.
pub fn notes(compiled: &Compiled) -> Notes {
    notes_with(compiled, compiled.command.as_deref())
}

/// As [`notes`], with another command that emits the kernels again.
fn notes_with(compiled: &Compiled, command: Option<&str>) -> Notes {
    let mut notes = Notes::new();
    for k in &compiled.kernels {
        let mut lines = vec![format!("predicted: {:.2} us", k.predicted.us)];
        match (compiled.form, k.derivation.is_empty()) {
            (Form::Written, _) => lines.push("schedule: as written".into()),
            (Form::Optimized, true) => {
                lines.push("schedule: as written, nothing was better".into())
            }
            (Form::Optimized, false) => {
                lines.push(format!("derivation: {}", k.derivation.join(", ")));
            }
        }
        if let Some(command) = command {
            lines.push(format!("regenerate: {command}"));
        }
        notes.insert(k.name.clone(), lines);
    }
    notes
}

/// What is to be said of tiles that are not as written, in either form.
fn tiles(runs: [&Run; 2]) -> Vec<String> {
    let shrunk = runs
        .into_iter()
        .flat_map(|r| &r.plan)
        .flat_map(|o| &o.shrunk);
    let said: IndexSet<String> = shrunk.map(ToString::to_string).collect();
    said.into_iter().collect()
}
