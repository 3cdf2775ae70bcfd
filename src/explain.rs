//! Why the chosen kernels are what they are: what led there, what each rule of it gains, and what alternatives would cost.
//!
//! What a rule gains is measured, not attributed: the layer is optimized again with the rule disabled, and the gain is the
//! predicted time of the best plan without it minus that of the chosen plan. So gains do not add up: a rule that another
//! can stand in for gains little, and rules that need each other each gain what they gain together. A gain below zero is
//! possible, since extraction is a heuristic.

use crate::compile::Options;
use crate::error::{Error, Result};
use crate::form::{Form, Forms};
use crate::hints::{Shown, hints};
use crate::report::{BoundReport, KernelReport, work};
use crate::run::{Compiled, compile_form, compile_forms};
use crate::watch::Counter;
use indexmap::{IndexMap, IndexSet};
use miette::Diagnostic;
use rayon::prelude::*;
use serde::Serialize;
use tilewright_ir::graph::Graph;
use tilewright_ir::kernel::{Pipe, Unit};
use tilewright_ir::machine::Machine;
use tilewright_passes::cost::launch_us;
use tilewright_passes::egraph::rules::{self, Rule};
use tilewright_passes::problem::Misfit;
use tilewright_passes::search::Change;
use tilewright_passes::search::pins::Pin;
use tracing::info_span;

/// What `tilewright explain` tells. All times are predicted.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The layer's name.
    pub graph: String,
    /// The machine's name.
    pub machine: String,
    /// The layer's params.
    pub params: IndexMap<String, i64>,
    /// Of the whole layer.
    pub written_us: f64,
    /// Of the whole layer, as chosen.
    pub optimized_us: f64,
    /// What was asked about, where that is no chosen kernel but one as written, whose work the kernels below do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// In launch order.
    pub kernels: Vec<KernelExplanation>,
    /// What was asked about.
    pub why_not: Vec<Alternative>,
    /// What of the form as written costs time for a reason that can be named.
    pub hints: Vec<Shown>,
}

/// How a chosen kernel came to be.
#[derive(Debug, Clone, Serialize)]
pub struct KernelExplanation {
    /// The kernel's name.
    pub name: String,
    /// Kernels as written whose work it contains.
    pub covers: Vec<String>,
    /// The same, of those that are cut into parts by part.
    pub parts: Vec<String>,
    /// What runs it.
    pub unit: Unit,
    /// Its time.
    pub us: f64,
    /// What it cannot be faster than.
    pub bound: BoundReport,
    /// Of the parts as written whose work it does.
    pub written_work_us: f64,
    /// Of all chosen kernels that do the work of these parts.
    pub work_us: f64,
    /// Tiles that the search starts from rather than from those as written, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub starts: Vec<String>,
    /// From the form as written, in the order of the proof; empty when nothing was better.
    pub chain: Vec<StepExplanation>,
}

/// A rule on the way.
#[derive(Debug, Clone, Serialize)]
pub struct StepExplanation {
    /// The name of the rule.
    pub rule: String,
    /// What the rule does, in words; of a rule of a file, why it is legal.
    pub does: String,
    /// Whether the proof uses the rule from right to left.
    pub backwards: bool,
    /// Empty when what it changed was changed back.
    pub changes: Vec<Change>,
    /// What is lost without it, where that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gain: Option<Gain>,
}

/// What a rule gains: the best plan without it against the chosen one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gain {
    /// Of the layer without the rule; absent when there is no plan without it.
    pub without_us: Option<f64>,
    /// `without_us` minus the chosen plan's time.
    pub us: Option<f64>,
    /// The same of the kernels that do this kernel's work.
    pub work_without_us: Option<f64>,
    /// Without what it gains: the time of these kernels as chosen.
    pub work_us: Option<f64>,
    /// Why there is no plan without the rule.
    pub refused: Option<String>,
}

/// What another value of a parameter would cost.
#[derive(Debug, Clone, Serialize)]
pub struct Alternative {
    /// `KERNEL.PARAM=VALUE`.
    pub pin: String,
    /// Of the chosen plan.
    pub chosen_us: f64,
    /// Of the best plan with that value; absent when there is none.
    pub us: Option<f64>,
    /// What it costs more than the chosen plan.
    pub more_us: Option<f64>,
    /// Why there is none.
    pub refused: Option<Limit>,
    /// Where the time of the kernel's work goes in the chosen plan, and with that value.
    pub chosen: Vec<Breakdown>,
    /// The same with that value.
    pub alternative: Vec<Breakdown>,
}

/// A limit that an alternative breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// The code of the refusal.
    pub code: String,
    /// What is refused.
    pub message: String,
    /// What to do instead.
    pub help: Option<String>,
}

/// Where the predicted time of a kernel goes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Breakdown {
    /// The kernel's name.
    pub kernel: String,
    /// Its time.
    pub us: f64,
    /// Starting the blocks.
    pub launch_us: f64,
    /// How many blocks it has.
    pub blocks: usize,
    /// Blocks that the busiest core runs one after the other.
    pub waves: usize,
    /// The pipe that is busy longest.
    pub busiest: Option<Pipe>,
    /// Busy cycles of that pipe on the busiest core.
    pub busiest_cycles: f64,
    /// What is left of `us`: pipes that wait for each other, or for bandwidth that cores share.
    pub waiting_us: f64,
}

/// What is to be explained.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// A kernel as written, a part of one, or a chosen kernel; all when absent.
    pub kernel: Option<String>,
    /// `KERNEL.PARAM=VALUE` each.
    pub why_not: Vec<Pin>,
    /// Leaves out what rules gain, which takes a search for each of them.
    pub no_gains: bool,
}

/// Explains a layer's chosen kernels.
///
/// # Errors
///
/// What [`compile_form`] refuses; a kernel or a parameter that does not exist. An alternative that cannot be is an answer.
pub fn explain(graph: &Graph, options: &Options, question: &Question) -> Result<Explanation> {
    let Forms {
        written,
        optimized: chosen,
    } = compile_forms(graph, options)?;
    let Some(found) = &chosen.run.plan else {
        return Err(Error::NoSearch.into());
    };
    let kernels = selected(&chosen, question.kernel.as_deref())?;
    let chain = |k: &KernelReport| found.chains.get(&k.name).cloned().unwrap_or_default();
    let disabled: IndexSet<String> = kernels
        .iter()
        .filter(|_| !question.no_gains)
        .flat_map(|k| chain(k).into_iter().map(|l| l.rule))
        .collect();
    let pins = question.why_not.iter().map(|p| target(p, &chosen));
    // Every question is a search of its own.
    let mut searches: Vec<Options> = vec![];
    for rule in &disabled {
        let mut o = quiet(options);
        o.search.disabled.insert(rule.clone());
        searches.push(o);
    }
    for pin in pins {
        let mut o = quiet(options);
        o.pins.push(pin);
        searches.push(o);
    }
    let span = info_span!("alternatives").entered();
    let counter = Counter::new("alternatives", searches.len());
    let search = |o: &Options| -> Result<Compiled> {
        let mut found = compile_form(graph, Form::Optimized, o)?;
        work::cover(&written.kernels, &mut found.kernels);
        Ok(found)
    };
    let ask = |o: &Options| counter.one(search(o));
    let questions = searches.par_iter().with_max_len(1);
    let mut answers: Vec<Result<Compiled>> = questions.map(ask).collect();
    drop(span);
    let alternatives = answers.split_off(disabled.len());
    let without: Without = disabled.into_iter().zip(answers).collect();
    let table = rules::table();
    let about = about(question.kernel.as_deref(), &kernels);
    let is_chosen = |name: &String| kernels.iter().any(|k| k.name == *name);
    let asked = question.kernel.clone().filter(|name| !is_chosen(name));
    let explained = kernels.into_iter().map(|k| KernelExplanation {
        name: k.name.clone(),
        covers: k.covers.clone(),
        parts: k.parts.clone(),
        unit: k.unit,
        us: k.predicted.us,
        bound: k.bound,
        written_work_us: work(&written, &k.parts),
        work_us: work(&chosen, &k.parts),
        starts: starts(&chosen, &k.parts),
        chain: chain(k)
            .into_iter()
            .map(|link| StepExplanation {
                does: does(table, options, &link.rule),
                gain: (!question.no_gains).then(|| gain(&chosen, &without, &link.rule, &k.parts)),
                rule: link.rule,
                backwards: link.backwards,
                changes: link.changes,
            })
            .collect(),
    });
    let pinned = question.why_not.iter().zip(alternatives);
    let why_not = pinned.map(|(pin, answer)| alternative(pin, answer, &chosen, &options.machine));
    Ok(Explanation {
        graph: graph.name.clone(),
        machine: options.machine.name.clone(),
        params: graph.params.clone(),
        written_us: total(&written),
        optimized_us: total(&chosen),
        asked,
        kernels: explained.collect(),
        why_not: why_not.collect::<Result<_>>()?,
        hints: hints(graph, &written, options)
            .iter()
            .filter(|h| h.is_about(&written.program, about.as_ref()))
            .map(Shown::from)
            .collect(),
    })
}

/// What the search does not start from as it is written, of these parts.
fn starts(chosen: &Compiled, parts: &[String]) -> Vec<String> {
    let shrunk = chosen.run.plan.iter().flat_map(|o| &o.shrunk);
    let slow = shrunk.filter(|s| s.why == Misfit::Slow && parts.contains(&s.kernel));
    slow.map(ToString::to_string).collect()
}

/// Kernels as written that hints are to be about; all without a question for one.
fn about(name: Option<&str>, kernels: &[&KernelReport]) -> Option<IndexSet<String>> {
    let name = name?;
    let all = kernels.iter().flat_map(|k| &k.covers);
    let parts = kernels.iter().flat_map(|k| &k.parts);
    // A kernel as written is meant alone, also where it is one with others in the end.
    Some(match all.clone().chain(parts).any(|c| c == name) {
        true => IndexSet::from([name.to_owned()]),
        false => all.cloned().collect(),
    })
}

/// What the search found without each of some rules.
type Without = IndexMap<String, Result<Compiled>>;

/// What a rule gains for the work of some kernels, and for the layer.
fn gain(chosen: &Compiled, without: &Without, rule: &str, parts: &[String]) -> Gain {
    match without.get(rule) {
        Some(Ok(other)) => {
            let (layer, part) = (total(other), work(other, parts));
            Gain {
                without_us: Some(layer),
                us: Some(layer - total(chosen)),
                work_without_us: Some(part),
                work_us: Some(part - work(chosen, parts)),
                refused: None,
            }
        }
        other => Gain {
            without_us: None,
            us: None,
            work_without_us: None,
            work_us: None,
            refused: other.and_then(|o| o.as_ref().err()).map(|e| e.to_string()),
        },
    }
}

/// What a pin would cost, or why it cannot be.
fn alternative(
    pin: &Pin,
    answer: Result<Compiled>,
    chosen: &Compiled,
    machine: &Machine,
) -> Result<Alternative> {
    // Work that two kernels of one plan do may be one kernel of the other.
    let plans = [chosen].into_iter().chain(answer.as_ref().ok());
    let parts = together(parts_of(&target(pin, chosen), chosen), plans);
    let part = |c: &Compiled| breakdowns(c, &parts, machine);
    let (us, refused, alternative) = match answer {
        Ok(c) => (Some(total(&c)), None, part(&c)),
        Err(e) => {
            // A pin that cannot be met is answered; one of nothing is not.
            if e.asks_nothing() {
                return Err(e);
            }
            let code = e.code().map_or_else(String::new, |c| c.to_string());
            let limit = Limit {
                code,
                message: e.to_string(),
                help: e.help().map(|h| h.to_string()),
            };
            (None, Some(limit), vec![])
        }
    };
    Ok(Alternative {
        pin: pin.to_string(),
        chosen_us: total(chosen),
        us,
        more_us: us.map(|u| u - total(chosen)),
        refused,
        chosen: part(chosen),
        alternative,
    })
}

/// The same options without dumps.
fn quiet(options: &Options) -> Options {
    Options {
        dumps: vec![],
        stop_after: None,
        ..options.clone()
    }
}

/// Chosen kernels of this name, or that do the work of a kernel as written.
fn selected<'a>(chosen: &'a Compiled, name: Option<&str>) -> Result<Vec<&'a KernelReport>> {
    let Some(name) = name else {
        return Ok(chosen.kernels.iter().collect());
    };
    let found = work::doing(&chosen.kernels, name);
    if found.is_empty() {
        return Err(Error::NothingToExplain {
            kernel: name.into(),
            known: work::names(&chosen.kernels),
        }
        .into());
    }
    Ok(found)
}

/// A pin of a chosen kernel as a pin of the kernel as written whose work it does.
fn target(pin: &Pin, chosen: &Compiled) -> Pin {
    let kernels = || chosen.kernels.iter();
    let is_written =
        |k: &KernelReport| k.covers.contains(&pin.kernel) || k.parts.contains(&pin.kernel);
    if kernels().any(is_written) {
        return pin.clone();
    }
    match kernels()
        .find(|k| k.name == pin.kernel)
        .map(|k| &k.covers[..])
    {
        Some([one]) => Pin {
            kernel: one.clone(),
            param: pin.param.clone(),
        },
        _ => pin.clone(),
    }
}

/// The parts as written that a pin is about; none is all.
fn parts_of(pin: &Pin, chosen: &Compiled) -> Vec<String> {
    if pin.kernel == "*" {
        return vec![];
    }
    let kernels = || chosen.kernels.iter();
    if kernels().any(|k| k.parts.contains(&pin.kernel)) {
        return vec![pin.kernel.clone()];
    }
    let covering = kernels().filter(|k| k.covers.contains(&pin.kernel));
    let parts: IndexSet<&String> = covering.flat_map(|k| &k.parts).collect();
    parts.into_iter().cloned().collect()
}

/// Parts as written, with those that are one kernel with them in any of these plans, and so on.
fn together<'a>(
    mut parts: Vec<String>,
    plans: impl Iterator<Item = &'a Compiled> + Clone,
) -> Vec<String> {
    if parts.is_empty() {
        return parts;
    }
    loop {
        let kernels = plans.clone().flat_map(|p| &p.kernels);
        let theirs = kernels.filter(|k| shares(k, &parts));
        let all: IndexSet<String> = (parts.iter())
            .chain(theirs.flat_map(|k| &k.parts))
            .cloned()
            .collect();
        if all.len() == parts.len() {
            return parts;
        }
        parts = all.into_iter().collect();
    }
}

/// Predicted time of all kernels.
fn total(compiled: &Compiled) -> f64 {
    compiled.kernels.iter().map(|k| k.predicted.us).sum()
}

/// Predicted time of all kernels that do the work of parts as written.
fn work(compiled: &Compiled, parts: &[String]) -> f64 {
    let part = compiled.kernels.iter().filter(|k| shares(k, parts));
    part.map(|k| k.predicted.us).sum()
}

fn shares(kernel: &KernelReport, parts: &[String]) -> bool {
    parts.is_empty() || kernel.parts.iter().any(|p| parts.contains(p))
}

/// What a rule of the tables does, or why a rule of a file is legal.
pub(crate) fn does(table: &[Rule], options: &Options, rule: &str) -> String {
    let ours = table.iter().find(|r| r.name == rule).map(|r| r.does);
    let theirs = || options.search.rules.get(rule).map(|r| r.why.as_str());
    ours.or_else(theirs).unwrap_or_default().into()
}

fn breakdowns(compiled: &Compiled, parts: &[String], machine: &Machine) -> Vec<Breakdown> {
    let both = compiled.kernels.iter().zip(&compiled.program.kernels);
    both.filter(|(k, _)| shares(k, parts))
        .map(|(k, kernel)| {
            let cores = match k.unit {
                Unit::Cube => machine.cube_cores.value,
                Unit::Vector => machine.vector_cores.value,
                Unit::Mixed => (machine.cube_cores.value)
                    .min(machine.vector_cores.value / machine.geometry.sub_blocks.value),
            };
            let waves = (k.launch.blocks as f64 / cores).ceil();
            let busiest = k.predicted.pipes.iter().max_by(|a, b| a.1.total_cmp(b.1));
            let busiest_cycles = waves * busiest.map_or(0.0, |(_, c)| *c);
            let launch_us = launch_us(kernel, machine);
            let us = k.predicted.us;
            Breakdown {
                kernel: k.name.clone(),
                us,
                launch_us,
                blocks: k.launch.blocks,
                waves: waves as usize,
                busiest: busiest.map(|(p, _)| *p),
                busiest_cycles,
                waiting_us: us - launch_us - busiest_cycles / machine.clock_mhz.value,
            }
        })
        .collect()
}
