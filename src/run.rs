//! Everything at once: compile both forms, emit them, simulate them, compare them with the interpreter.

use crate::check;
use crate::compile::{Options, compile, program};
use crate::data::Data;
use crate::error::{Error, Result};
use crate::report::{
    Check, Form, FormReport, KernelReport, Memory, Report, Search, Simulated, Time, TimedBy, ratio,
    regions, scalar_value,
};
use indexmap::IndexMap;
use miette::Diagnostic;
use std::time::Instant;
use tilewright_backends::ascend::{File, Notes, emit_with_notes};
use tilewright_backends::data::Tensors;
use tilewright_backends::{reference, sim};
use tilewright_ir::graph::Graph;
use tilewright_ir::kernel::Program;
use tilewright_ir::machine::Machine;
use tilewright_passes::pass::{Run, Step};

/// A layer in one form: its passes, its program, its kernels.
#[derive(Debug, Clone)]
pub struct Compiled {
    pub form: Form,
    pub run: Run,
    pub program: Program,
    pub kernels: Vec<KernelReport>,
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
/// What [`compile`] and [`program`] refuse.
pub fn compile_form(graph: &Graph, form: Form, options: &Options) -> Result<Compiled> {
    let run = compile(graph, form, options)?;
    let program = program(&run)?.clone();
    let derivation = |name: &str| {
        let plans = run.plan.iter().flat_map(|o| &o.plan.kernels);
        let plan = plans.into_iter().find(|k| k.name == name);
        plan.map_or(vec![], |k| k.derivation.clone())
    };
    let kernels = program
        .kernels
        .iter()
        .map(|k| KernelReport::new(k, &program.tensors, &options.machine, derivation(&k.name)))
        .collect();
    Ok(Compiled {
        form,
        run,
        program,
        kernels,
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

/// As [`optimize`], and runs both forms on data.
///
/// # Errors
///
/// As [`optimize`]; inputs that the interpreter refuses, and kernels that the simulator refuses.
pub fn run(graph: &Graph, options: &Options, data: &Data) -> Result<Outcome> {
    let mut outcome = optimize(graph, options)?;
    if graph.ranks() > 1 {
        return crate::ranks::run(graph, options, data, outcome);
    }
    let (truth, counts) = reference::run_with_counts(graph, &data.inputs)?;
    let inputs = &data.inputs;
    let (written, optimized) = std::thread::scope(|scope| {
        let other = scope.spawn(|| simulate(&outcome.written, options, inputs));
        let optimized = simulate(&outcome.optimized, options, inputs);
        (other.join(), optimized)
    });
    let written = written.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let optimized = optimized?;
    let mut checks = vec![];
    for (form, (ran, _)) in Form::ALL.into_iter().zip([&written, &optimized]) {
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
    let ran = [&mut outcome.written, &mut outcome.optimized].into_iter();
    for (compiled, (ran, _)) in ran.zip([&written, &optimized]) {
        for (kernel, times) in compiled.kernels.iter_mut().zip(&ran.kernels) {
            kernel.set_simulated(Simulated::from(times));
        }
    }
    let mut told = report(graph, options, &outcome.written, &outcome.optimized);
    told.timed_by = TimedBy::Simulator;
    told.ok = checks.iter().all(|c: &Check| c.comparison.ok);
    told.checks = checks;
    told.scalars = inputs
        .iter()
        .filter_map(|(name, t)| Some((name.clone(), scalar_value(t)?)))
        .collect();
    for (form, (_, seconds)) in Form::ALL.into_iter().zip([&written, &optimized]) {
        told.times.push(Time {
            form,
            step: "simulate".into(),
            seconds: *seconds,
        });
    }
    outcome.report = told;
    Ok(outcome)
}

/// Runs a form on the simulator; the report, and the seconds that it took.
fn simulate(
    compiled: &Compiled,
    options: &Options,
    inputs: &Tensors,
) -> Result<(sim::Report, f64)> {
    let start = Instant::now();
    let how = sim::Options::default();
    let report = sim::run(&compiled.program, &options.machine, inputs, &how).map_err(|fault| {
        Error::Refused {
            form: match compiled.form {
                Form::Written => "as written",
                Form::Optimized => "as optimized",
            },
            remedy: remedy(&fault, options),
            fault: Box::new(fault),
        }
    })?;
    Ok((report, start.elapsed().as_secs_f64()))
}

/// With the default passes no program should come here that the simulator refuses.
pub(crate) fn remedy(fault: &sim::SimError, options: &Options) -> String {
    let remedy = fault.help().map_or_else(String::new, |h| h.to_string());
    match options.passes {
        Some(_) => remedy,
        None => format!("{remedy}; this is a defect of tilewright, please report it"),
    }
}

/// The report of two forms that were not run.
pub(crate) fn report(graph: &Graph, options: &Options, written: &Compiled, optimized: &Compiled) -> Report {
    let form = |c: &Compiled| FormReport::new(c.kernels.clone());
    let (before, after) = (form(written), form(optimized));
    let times = |c: &Compiled| {
        let form = c.form;
        let time = move |s: &Step| Time {
            form,
            step: s.pass.clone(),
            seconds: s.seconds,
        };
        c.run.steps.iter().map(time).collect::<Vec<_>>()
    };
    let search = optimized.run.plan.as_ref();
    Report {
        graph: graph.name.clone(),
        machine: options.machine.name.clone(),
        params: graph.params.clone(),
        scalars: IndexMap::new(),
        inputs: vec![],
        timed_by: TimedBy::Model,
        capacity: Memory::capacity(&options.machine),
        regions: regions(&before, &after),
        speedup: ratio(before.us, after.us),
        written: before,
        optimized: after,
        search: search.map(|o| Search::new(&o.search, o.extract_seconds, o.explain_seconds)),
        checks: vec![],
        ok: true,
        files: IndexMap::new(),
        ranks: None,
        times: [times(written), times(optimized)].concat(),
    }
}

/// The kernels of a form as files, with what they cost and how they were found in their head comments.
///
/// # Errors
///
/// An instruction that has no PTO-ISA form.
pub fn emit(compiled: &Compiled, machine: &Machine) -> Result<Vec<File>> {
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
        notes.insert(k.name.clone(), lines);
    }
    Ok(emit_with_notes(&compiled.program, machine, &notes)?)
}
