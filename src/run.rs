//! Everything at once: compile both forms, emit them, run them on a backend, compare them with the interpreter.

use crate::check;
use crate::compile::{Options, compile_candidates, program};
use crate::data::Data;
use crate::error::{Error, Result};
use crate::findings::check_compiled;
use crate::report::{
    CandidateReport, Check, Form, FormReport, KernelReport, Memory, Report, Search, Simulated,
    TimedBy, ratio, regions, scalar_value,
};
use indexmap::IndexMap;
use miette::Diagnostic;
use tilewright_backends::ascend::{File, Notes, emit_with_notes};
use tilewright_backends::backend::{Backend, BackendError, Job, Ran, Simulator, Timing};
use tilewright_backends::data::Tensors;
use tilewright_backends::emitter::{self, Emitter};
use tilewright_backends::npu::NpuError;
use tilewright_backends::reference;
use tilewright_backends::sim::SimError;
use tilewright_ir::graph::Graph;
use tilewright_ir::kernel::Program;
use tilewright_ir::machine::Machine;
use tilewright_ir::spans;
use tilewright_passes::pass::Run;

/// A layer in one form: its passes, its program, its kernels.
#[derive(Debug, Clone)]
pub struct Compiled {
    pub form: Form,
    pub run: Run,
    pub program: Program,
    pub kernels: Vec<KernelReport>,
    /// The command that emits its kernels again, where one is known.
    pub command: Option<String>,
    /// What was picked from; empty where there was one plan.
    pub candidates: Vec<CandidateReport>,
}

/// A report, and what was made on the way.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub report: Report,
    pub written: Compiled,
    pub optimized: Compiled,
}

/// Compiles one form to a program.
///
/// # Errors
///
/// What [`compile_candidates`] and [`program`] refuse.
pub fn compile_form(graph: &Graph, form: Form, options: &Options) -> Result<Compiled> {
    let _span = spans::enter(form.name());
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
            KernelReport::new(k, &program, &options.machine, cost, derivation)
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

/// Compiles both forms and predicts their times.
///
/// # Errors
///
/// What [`compile_form`] refuses.
pub fn optimize(graph: &Graph, options: &Options) -> Result<Outcome> {
    let written = compile_form(graph, Form::Written, options)?;
    let optimized = compile_form(graph, Form::Optimized, options)?;
    let report = report(graph, options, &written, &optimized);
    Ok(Outcome {
        report,
        written,
        optimized,
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

/// As [`optimize`], and runs both forms on a backend.
///
/// # Errors
///
/// As [`optimize`]; inputs that the interpreter refuses, and what the backend does not run.
pub fn run_on(
    graph: &Graph,
    options: &Options,
    data: &Data,
    backend: &dyn Backend,
) -> Result<Outcome> {
    let mut outcome = optimize(graph, options)?;
    if graph.ranks() > 1 {
        if backend.timing() == Timing::Device {
            let ranks = graph.ranks();
            return Err(BackendError::from(NpuError::Ranks { ranks }).into());
        }
        return crate::ranks::run(graph, options, data, outcome, backend);
    }
    let span = spans::enter("interpret");
    let (truth, counts) = reference::run_with_counts(graph, &data.inputs)?;
    drop(span);
    let span = spans::enter(backend.name());
    let inputs = &data.inputs;
    let of = |compiled| execute(compiled, options, inputs, backend);
    let (written, optimized) = match backend.timing() {
        Timing::Simulated => both(|| of(&outcome.written), || of(&outcome.optimized)),
        // Two at once would share the processor that is timed.
        Timing::Host | Timing::Device => (of(&outcome.written), of(&outcome.optimized)),
    };
    drop(span);
    let (written, optimized) = (written?, optimized?);
    let span = spans::enter("compare");
    let mut checks = vec![];
    for (form, ran) in Form::ALL.into_iter().zip([&written, &optimized]) {
        checks.extend(check::outputs(
            graph,
            form,
            "reference",
            &ran.outputs,
            &truth,
            &counts,
        )?);
        if let Some(e) = &data.expected {
            let against = e.path.display().to_string();
            checks.extend(check::outputs(
                graph,
                form,
                &against,
                &ran.outputs,
                &e.tensors,
                &counts,
            )?);
        }
    }
    drop(span);
    let _span = spans::enter("report");
    let ran = [&mut outcome.written, &mut outcome.optimized].into_iter();
    for (compiled, ran) in ran.zip([&written, &optimized]) {
        for (kernel, times) in compiled.kernels.iter_mut().zip(&ran.kernels) {
            match (&times.simulated, backend.timing()) {
                (Some(simulated), _) => kernel.set_simulated(Simulated::from(simulated)),
                (None, Timing::Device) => kernel.set_measured(times.seconds),
                (None, _) => kernel.ran_seconds = Some(times.seconds),
            }
        }
    }
    let mut told = report(graph, options, &outcome.written, &outcome.optimized);
    told.timed_by = match backend.timing() {
        Timing::Simulated => TimedBy::Simulator,
        Timing::Host => TimedBy::Model,
        Timing::Device => TimedBy::Device,
    };
    told.backend = Some(backend.name().into());
    told.ok = checks.iter().all(|c: &Check| c.comparison.ok);
    told.checks = checks;
    told.scalars = inputs
        .iter()
        .filter_map(|(name, t)| Some((name.clone(), scalar_value(t)?)))
        .collect();
    outcome.report = told;
    Ok(outcome)
}

/// Does the work of both forms at the same time, as parts of the span that is open.
pub(crate) fn both<T: Send>(
    written: impl FnOnce() -> T + Send,
    optimized: impl FnOnce() -> T,
) -> (T, T) {
    spans::side_by_side();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| spans::recorded(Form::Written.name(), written));
        let span = spans::enter(Form::Optimized.name());
        let optimized = optimized();
        drop(span);
        let written = other.join();
        let (written, took) = written.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        spans::attach(took);
        (written, optimized)
    })
}

/// Runs a form.
fn execute(
    compiled: &Compiled,
    options: &Options,
    inputs: &Tensors,
    backend: &dyn Backend,
) -> Result<Ran> {
    let span = spans::enter("emit");
    let files = emit(compiled, &options.machine)?;
    drop(span);
    let _span = spans::enter("run");
    let job = Job {
        program: &compiled.program,
        files: &files,
        machine: &options.machine,
        inputs,
    };
    let ran = backend.run(&job).map_err(|fault| match fault {
        BackendError::Sim(fault) => Error::Refused {
            form: match compiled.form {
                Form::Written => "as written",
                Form::Optimized => "as optimized",
            },
            remedy: remedy(&fault, options),
            fault: Box::new(fault),
            findings: check_compiled(compiled, &options.machine, std::slice::from_ref(inputs))
                .shown()
                .collect(),
        },
        fault => Error::Backend(fault),
    })?;
    Ok(ran)
}

/// With the default passes no program should come here that the simulator refuses.
pub(crate) fn remedy(fault: &SimError, options: &Options) -> String {
    let remedy = fault.help().map_or_else(String::new, |h| h.to_string());
    match options.passes {
        Some(_) => remedy,
        None => format!("{remedy}; this is a defect of tilewright, please report it"),
    }
}

/// The report of two forms that were not run.
pub(crate) fn report(
    graph: &Graph,
    options: &Options,
    written: &Compiled,
    optimized: &Compiled,
) -> Report {
    let form = |c: &Compiled| FormReport::new(c.kernels.clone(), &c.program, &options.machine);
    let (before, after) = (form(written), form(optimized));
    let search = optimized.run.plan.as_ref();
    Report {
        graph: graph.name.clone(),
        machine: options.machine.name.clone(),
        params: graph.params.clone(),
        scalars: IndexMap::new(),
        inputs: vec![],
        timed_by: TimedBy::Model,
        backend: None,
        capacity: Memory::capacity(&options.machine),
        regions: regions(&before, &after),
        speedup: ratio(before.us, after.us),
        written: before,
        optimized: after,
        candidates: optimized.candidates.clone(),
        search: search.map(|o| Search::new(&o.search, o.extract_seconds, o.explain_seconds)),
        checks: vec![],
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
