//! Passes over a graph, in the form as written or optimized.

use crate::error::{Error, Result};
use crate::form::Form;
use crate::ranks::How;
use crate::report::CandidateReport;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;
use tilewright_backends::emitter::Emitter;
use tilewright_backends::sim;
use tilewright_ir::graph::Graph;
use tilewright_ir::kernel::{Program, Unit};
use tilewright_ir::machine::Machine;
use tilewright_passes::egraph::SearchOptions;
use tilewright_passes::pass::{
    Artifact, Context, Manager, OPTIMIZED, Pass, Run, Stage, Step, WRITTEN,
};
use tilewright_passes::search::Optimized;
use tilewright_passes::search::pins::Pin;
use tracing::{debug, info_span};

/// A pass of the caller's own, and where it stands: right after another one, in every form whose order has that.
#[derive(Clone)]
pub struct OwnPass {
    /// The name of the pass that it follows.
    pub after: String,
    /// The pass.
    pub pass: Arc<dyn Pass>,
}

impl fmt::Debug for OwnPass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {}", self.pass.name(), self.after)
    }
}

/// How a graph is compiled.
#[derive(Debug, Clone)]
pub struct Options {
    /// What kernels are for.
    pub machine: Machine,
    /// Which rules run, how far, and what kernels are compared by.
    pub search: SearchOptions,
    /// `KERNEL.PARAM=VALUE`, of the optimized form.
    pub pins: Vec<Pin>,
    /// Whether everything that is not pinned stays as written.
    pub only_pins: bool,
    /// Another order of passes for the optimized form.
    pub passes: Option<Vec<String>>,
    /// Passes of the caller's own, of both forms.
    pub own: Vec<OwnPass>,
    /// Passes whose result is kept as text.
    pub dumps: Vec<String>,
    /// A pass of the optimized form that is the last one to run.
    pub stop_after: Option<String>,
    /// How ranks run, of a layer that runs on several.
    pub ranks: How,
    /// The command that emits the optimized form again, for head comments; the form as written takes `--written` besides.
    pub command: Option<String>,
    /// Whether a run on the simulator keeps what blocks do when, for views of it: see [`sim::Record`].
    pub record: bool,
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
            own: vec![],
            dumps: vec![],
            stop_after: None,
            ranks: How::default(),
            command: None,
            record: false,
        }
    }

    /// The same options for what can start these kernels only: mixed ones are not made for what has none.
    pub fn for_units(&self, units: &[Unit]) -> Self {
        let mut options = self.clone();
        if !units.contains(&Unit::Mixed) {
            options.search.disabled.insert("mix".into());
        }
        options
    }

    /// The same options for kernels that an emitter can print.
    pub fn for_emitter(&self, emitter: &Emitter) -> Self {
        let mut options = self.for_units(emitter.units);
        let without = emitter.without.iter().map(|r| (*r).to_owned());
        options.search.disabled.extend(without);
        options
    }

    /// The order of passes of a form. Of own passes that follow the same one, the earlier given comes first; one that the order
    /// names already is where it is named.
    pub fn order(&self, form: Form) -> Vec<String> {
        let mut order: Vec<String> = match (form, &self.passes) {
            (Form::Optimized, Some(passes)) => passes.clone(),
            (Form::Optimized, None) => OPTIMIZED.map(String::from).into(),
            (Form::Written, _) => WRITTEN.map(String::from).into(),
        };
        for (given, own) in self.own.iter().enumerate() {
            let Some(at) = order.iter().position(|p| *p == own.after) else {
                continue;
            };
            let name = own.pass.name();
            if order.iter().any(|p| p == name) {
                continue;
            }
            let before = &self.own[..given];
            let is_before = |p: &&String| {
                before
                    .iter()
                    .any(|o| o.after == own.after && o.pass.name() == **p)
            };
            let behind = order[at + 1..].iter().take_while(is_before).count();
            order.insert(at + 1 + behind, name.into());
        }
        order
    }

    /// The passes that there are, those of the caller's own among them.
    fn manager(&self) -> Manager {
        let own = self.own.iter().map(|o| o.pass.clone());
        own.fold(Manager::new(), Manager::with)
    }

    /// What passes may ask.
    fn context(&self) -> Context {
        Context {
            search: self.search.clone(),
            pins: self.pins.clone(),
            only_pins: self.only_pins,
            ..Context::new(self.machine.clone())
        }
    }

    /// Refuses an own pass that no form has a place for.
    fn placed(&self) -> Result<()> {
        let orders = Form::ALL.map(|form| self.order(form));
        let lost = |own: &&OwnPass| {
            let name = own.pass.name();
            !orders.iter().flatten().any(|p| p == name)
        };
        match self.own.iter().find(lost) {
            Some(own) => Err(Error::NotInOrder {
                pass: own.after.clone(),
                order: orders[1].join(", "),
            }
            .into()),
            None => Ok(()),
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
    let passes = Passes::new(form, options)?;
    let mut run = passes.run(Artifact::Graph(graph.clone()), &passes.order)?;
    let planned = run.steps.iter().rposition(|s| passes.give_plan(&s.pass));
    let (Some(at), Some(mut best)) = (planned, run.plan.take()) else {
        return Ok((run, vec![]));
    };
    let _span = info_span!("candidates").entered();
    let others = std::mem::take(&mut best.others);
    if others.is_empty() {
        run.plan = Some(best);
        return Ok((run, vec![]));
    }
    let plans = [*best].into_iter().chain(others).collect();
    pick(&passes, run, at, plans)
}

/// The passes of a form, and what they may ask.
struct Passes {
    order: Vec<String>,
    manager: Manager,
    /// Ends where it was asked to.
    stopping: Manager,
    stop_after: Option<String>,
    context: Context,
}

impl Passes {
    fn new(form: Form, options: &Options) -> Result<Self> {
        let order = options.order(form);
        options.placed()?;
        let manager = || options.manager().dump(options.dumps.clone());
        let passes = Passes {
            manager: manager(),
            stopping: manager().stop_after(options.stop_after.clone()),
            stop_after: options.stop_after.clone(),
            context: options.context(),
            order,
        };
        // Of a pass that does not exist, the manager says so.
        let known = |stop: &String| passes.manager.passes().iter().any(|p| p.name() == stop);
        match &passes.stop_after {
            Some(stop) if known(stop) && !passes.order.contains(stop) => Err(Error::NotInOrder {
                pass: stop.clone(),
                order: passes.order.join(", "),
            }
            .into()),
            _ => Ok(passes),
        }
    }

    /// Through passes, up to the one to stop after.
    fn run(&self, from: Artifact, passes: &[String]) -> Result<Run> {
        Ok(self.stopping.run(from, passes, &self.context)?)
    }

    /// A plan through all passes that follow it.
    fn run_plan(&self, plan: &Optimized, passes: &[String]) -> Result<Run> {
        let plan = Artifact::Plan(Box::new(plan.clone()));
        Ok(self.manager.run(plan, passes, &self.context)?)
    }

    /// Whether a pass, by its name, gives a plan.
    fn give_plan(&self, pass: &str) -> bool {
        let mut passes = self.manager.passes().iter();
        passes.any(|p| p.name() == pass && p.gives() == Stage::Plan)
    }
}

/// Of several plans, the one that is fastest on the simulator, in place of the first: that one's run had its plan after the step
/// of number `at`. Every plan goes through the passes that follow once.
fn pick(
    passes: &Passes,
    mut run: Run,
    at: usize,
    mut plans: Vec<Optimized>,
) -> Result<(Run, Vec<CandidateReport>)> {
    let start = Instant::now();
    let rest = &passes.order[at + 1..];
    let first = Run {
        steps: run.steps.split_off(at + 1),
        artifact: run.artifact,
        plan: None,
    };
    let whole = passes.stop_after.is_none();
    let mut others: Vec<Option<Run>> = vec![];
    let mut candidates: Vec<CandidateReport> = vec![];
    for (i, plan) in plans.iter().enumerate() {
        let us = candidates.iter().filter_map(|c| c.simulated_us);
        let best_us = us.min_by(f64::total_cmp);
        debug!(progress = "candidates", done = i, of = plans.len(), best_us);
        // The first has been through, unless it was stopped.
        let tried = (i > 0 || !whole).then(|| passes.run_plan(plan, rest).ok());
        let reached = match &tried {
            None => Some(&first),
            Some(tried) => tried.as_ref(),
        };
        let led_to = match reached.map(|r| &r.artifact) {
            Some(Artifact::Program(program)) => Some(program),
            _ => None,
        };
        let us = led_to.and_then(|program| simulated(program, &passes.context.machine));
        candidates.push(CandidateReport::new(plan, led_to, us));
        others.push(tried.flatten());
    }
    let times = candidates.iter().map(|c| c.simulated_us);
    let timed = times.enumerate().filter_map(|(i, us)| Some((i, us?)));
    let picked = timed
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map_or(0, |(i, _)| i);
    candidates[picked].picked = true;
    let seconds = start.elapsed().as_secs_f64();
    let plan = Box::new(plans.swap_remove(picked));
    let end = match picked {
        0 => first,
        _ if whole => others.swap_remove(picked).unwrap_or(first),
        // The run was stopped at the plan itself, or at one of the passes that follow.
        _ if first.steps.is_empty() => Run {
            artifact: Artifact::Plan(plan.clone()),
            ..first
        },
        _ => passes.run(Artifact::Plan(plan.clone()), rest)?,
    };
    if picked > 0
        && let Some(dump) = run.steps.last_mut().and_then(|s| s.dump.as_mut())
    {
        *dump = Artifact::Plan(plan.clone()).to_string();
    }
    run.steps.extend(end.steps);
    run.steps.push(Step {
        pass: "candidates".into(),
        seconds,
        dump: None,
        artifact: None,
    });
    let run = Run {
        artifact: end.artifact,
        steps: run.steps,
        plan: Some(plan),
    };
    Ok((run, candidates))
}

/// The graph that the search of the optimized form gets: after the passes before the first one that gives no graph.
///
/// # Errors
///
/// As [`compile`].
pub fn lowered(graph: &Graph, options: &Options) -> Result<Graph> {
    options.placed()?;
    let manager = options.manager();
    let is_graph = |name: &String| {
        let mut passes = manager.passes().iter();
        passes.any(|p| p.name() == name && p.gives() == Stage::Graph)
    };
    let order = options.order(Form::Optimized);
    let count = order.iter().take_while(|p| is_graph(p)).count();
    let input = Artifact::Graph(graph.clone());
    let run = manager.run(input, &order[..count], &options.context())?;
    match run.artifact {
        Artifact::Graph(graph) => Ok(graph),
        // Passes that give graphs end with one.
        Artifact::Plan(_) | Artifact::Program(_) => Ok(graph.clone()),
    }
}

/// The time of a program on the simulator, if it is one that this runs.
fn simulated(program: &Program, machine: &Machine) -> Option<f64> {
    let _span = info_span!("simulate").entered();
    let report = sim::time(program, machine).ok()?;
    Some(report.kernels.iter().map(|k| k.us).sum())
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
