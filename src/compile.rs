//! Passes over a graph, in the form as written or optimized.

use crate::error::{Error, Result};
use crate::ranks::How;
use crate::report::{CandidateReport, Form};
use std::time::Instant;
use tilewright_backends::sim;
use tilewright_ir::graph::Graph;
use tilewright_ir::kernel::Program;
use tilewright_ir::machine::Machine;
use tilewright_ir::spans;
use tilewright_passes::egraph::SearchOptions;
use tilewright_passes::pass::{Artifact, Context, Manager, OPTIMIZED, Run, Stage, Step, WRITTEN};
use tilewright_passes::search::Optimized;
use tilewright_passes::search::pins::Pin;

/// How a graph is compiled.
#[derive(Debug, Clone)]
pub struct Options {
    pub machine: Machine,
    pub search: SearchOptions,
    /// `KERNEL.PARAM=VALUE`, of the optimized form.
    pub pins: Vec<Pin>,
    /// Whether everything that is not pinned stays as written.
    pub only_pins: bool,
    /// Another order of passes for the optimized form.
    pub passes: Option<Vec<String>>,
    /// Passes whose result is kept as text.
    pub dumps: Vec<String>,
    pub stop_after: Option<String>,
    /// How ranks run, of a layer that runs on several.
    pub ranks: How,
    /// The command that emits the optimized form again, for head comments; the form as written takes `--written` besides.
    pub command: Option<String>,
}

impl Options {
    /// The default search, and no pins.
    pub fn new(machine: Machine) -> Self {
        Options {
            machine,
            search: SearchOptions::default(),
            pins: vec![],
            only_pins: false,
            passes: None,
            dumps: vec![],
            stop_after: None,
            ranks: How::default(),
            command: None,
        }
    }

    /// The order of passes of a form.
    pub fn order(&self, form: Form) -> Vec<String> {
        match (form, &self.passes) {
            (Form::Optimized, Some(passes)) => passes.clone(),
            (Form::Optimized, None) => OPTIMIZED.map(String::from).into(),
            (Form::Written, _) => WRITTEN.map(String::from).into(),
        }
    }
}

/// Runs the passes of a form. Of the optimized form's candidates, the fastest on the simulator is what the run ends with.
///
/// # Errors
///
/// The first pass that refuses, a pass that does not exist, and a pass to stop after that is not in the order.
pub fn compile(graph: &Graph, form: Form, options: &Options) -> Result<Run> {
    Ok(compile_candidates(graph, form, options)?.0)
}

/// As [`compile`], with what was said of each candidate; none where there was nothing to pick from.
///
/// # Errors
///
/// As [`compile`].
pub fn compile_candidates(
    graph: &Graph,
    form: Form,
    options: &Options,
) -> Result<(Run, Vec<CandidateReport>)> {
    let order = options.order(form);
    let manager = Manager::new()
        .dump(options.dumps.clone())
        .stop_after(options.stop_after.clone());
    let context = Context {
        search: options.search.clone(),
        pins: options.pins.clone(),
        only_pins: options.only_pins,
        ..Context::new(options.machine.clone())
    };
    if let Some(stop) = &options.stop_after
        && manager.passes().iter().any(|p| p.name() == stop)
        && !order.contains(stop)
    {
        return Err(Error::NotInOrder {
            pass: stop.clone(),
            order: order.join(", "),
        }
        .into());
    }
    let mut run = manager.run(Artifact::Graph(graph.clone()), &order, &context)?;
    let plans = |name: &String| {
        let mut passes = manager.passes().iter();
        passes.any(|p| p.name() == name && p.gives() == Stage::Plan)
    };
    let planned = order.iter().rposition(plans);
    let (Some(at), Some(plan)) = (planned, run.plan.take()) else {
        return Ok((run, vec![]));
    };
    let (pass, rest) = (&order[at], &order[at + 1..]);
    let start = Instant::now();
    let _span = spans::enter("candidates");
    let mut plan = *plan;
    let others = std::mem::take(&mut plan.others);
    let mut all = vec![plan];
    all.extend(others);
    let mut candidates = vec![];
    if all.len() > 1 {
        for plan in &all {
            candidates.push(CandidateReport::new(plan, simulated(plan, rest, &context)));
        }
    }
    let times = candidates.iter().map(|c| c.simulated_us);
    let timed = times.enumerate().filter_map(|(i, us)| Some((i, us?)));
    let picked = timed
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map_or(0, |(i, _)| i);
    if let Some(c) = candidates.get_mut(picked) {
        c.picked = true;
    }
    let seconds = start.elapsed().as_secs_f64();
    let plan = Box::new(all.swap_remove(picked));
    if picked > 0 {
        // From the plan on, what the run did was of another candidate.
        let done = run.steps.iter().rposition(|s| &s.pass == pass);
        let done = done.map_or(0, |d| d + 1);
        let stopped = run.steps.len() == done;
        run.steps.truncate(done);
        if let Some(dump) = run.steps.last_mut().and_then(|s| s.dump.as_mut()) {
            *dump = Artifact::Plan(plan.clone()).to_string();
        }
        run.artifact = Artifact::Plan(plan.clone());
        if !stopped {
            let again = manager.run(run.artifact, rest, &context)?;
            run.steps.extend(again.steps);
            run.artifact = again.artifact;
        }
    }
    if !candidates.is_empty() {
        run.steps.push(Step {
            pass: "candidates".into(),
            seconds,
            dump: None,
        });
    }
    run.plan = Some(plan);
    Ok((run, candidates))
}

/// The time of a plan on the simulator, if its passes end with a program that it runs.
fn simulated(plan: &Optimized, rest: &[String], context: &Context) -> Option<f64> {
    let plan = Artifact::Plan(Box::new(plan.clone()));
    match Manager::new().run(plan, rest, context).ok()?.artifact {
        Artifact::Program(program) => {
            let _span = spans::enter("simulate");
            let report = sim::time(&program, &context.machine).ok()?;
            Some(report.kernels.iter().map(|k| k.us).sum())
        }
        _ => None,
    }
}

/// The program that a run of passes ended with.
///
/// # Errors
///
/// [`Error::NoProgram`] when an order ends earlier.
pub fn program(run: &Run) -> Result<&Program> {
    match &run.artifact {
        Artifact::Program(program) => Ok(program),
        other => Err(Error::NoProgram {
            found: other.stage(),
            default: OPTIMIZED.join(", "),
        }
        .into()),
    }
}
