//! Tuning of a whole layer: its distinct kernels once each, then their combination.

use super::database::{Finished, Key, Record};
use super::effort::Effort;
use super::engine::{Bench, Tuned};
use super::kernel::hash;
use super::proposer::Guided;
use super::random::Random;
use super::runner::{Failure, Trial};
use super::single::{data_of, region};
use super::statistic::{median, spread};
use super::stop::Ended;
use super::{TuneError, key, layer_text, lowered, problem, refit};
use crate::compile::Options;
use crate::error::{Refusal, Result};
use crate::form::Form;
use crate::layer::Layer;
use crate::run::{Compiled, compile_form};
use crate::verify::verify;
use indexmap::IndexMap;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tilewright_backends::data::Tensors;
use tilewright_backends::reference;
use tilewright_ir::graph::Graph;
use tilewright_passes::pass::PassError;
use tilewright_passes::problem::Problem;
use tilewright_passes::search::pins::{Pin, held};
use tilewright_passes::search::trials::{Region, regions};

/// What is tuned.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The layer, for smaller sizes of it.
    pub layer: &'a Layer,
    /// The layer at its sizes.
    pub graph: &'a Graph,
    /// How it is compiled.
    pub options: &'a Options,
    /// Values of the layer's scalars.
    pub scalars: &'a IndexMap<String, i64>,
    /// Of the only rank; asked for by runners that compute.
    pub inputs: &'a Tensors,
}

/// What came of tuning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The graph's name.
    pub graph: String,
    /// The machine's name.
    pub machine: String,
    /// What measured.
    pub runner: String,
    /// The distinct kernels.
    pub kernels: Vec<KernelReport>,
    /// The layer as the search has it, and as it is now, in us.
    pub pick_us: f64,
    /// The layer as it is now.
    pub us: f64,
    /// How far its times lie apart.
    pub spread_us: f64,
    /// Pins of the best layer; none where the search's own is.
    pub pins: Vec<String>,
    /// Layers that were compiled and measured.
    pub combinations: usize,
    /// Programs that were measured now, of kernels and of layers.
    pub new: usize,
    /// At which sizes outputs were compared, in words.
    pub verified: String,
    /// Why tuning ended.
    pub ended: Ended,
}

/// What came of a distinct kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KernelReport {
    /// Kernels as written that are equal.
    pub names: Vec<String>,
    /// Points of its space.
    pub space: String,
    /// How it went.
    #[serde(flatten)]
    pub tuned: Tuned,
}

/// A distinct kernel with the names of those that equal it.
struct Distinct {
    region: Region,
    names: Vec<String>,
}

/// Refuses what cannot be tuned, before a database is made for it.
///
/// # Errors
///
/// A layer of several ranks.
pub fn of_one_rank(graph: &Graph) -> Result<()> {
    match graph.ranks() {
        0 | 1 => Ok(()),
        ranks => Err(TuneError::Ranks {
            graph: graph.name.clone(),
            ranks,
        }
        .into()),
    }
}

/// Tunes a layer.
///
/// # Errors
///
/// A layer of several ranks, one that has no kernels, a runner that does not run the search's own pick, and a database that is not
/// usable.
pub fn tune(subject: &Subject, bench: &Bench, effort: Effort) -> Result<Report> {
    let Subject { graph, options, .. } = *subject;
    of_one_rank(graph)?;
    let lowered = lowered(graph, options)?;
    let problem = problem(&lowered, &options.machine)?;
    let runner = bench.runner.identity();
    let held = held(graph).map_err(PassError::from)?;
    let layer_key = key(&layer_text(&problem, &held), true, options, &runner);
    let asked = format!(
        "{effort:?} seed {} trials {}",
        bench.seed, bench.budget.trials
    );
    if let Some(run) = bench
        .database
        .finished(&layer_key, &asked)
        .map_err(TuneError::from)?
        && let Ok(report) = serde_json::from_str::<Report>(&run.report)
    {
        let known = |k: KernelReport| KernelReport {
            tuned: Tuned { new: 0, ..k.tuned },
            ..k
        };
        let kernels = report.kernels.into_iter().map(known).collect();
        return Ok(Report {
            new: 0,
            kernels,
            graph: graph.name.clone(),
            ..report
        });
    }
    let values = match bench.runner.computes() {
        true => Some(reference::run_all(&lowered, subject.inputs)?),
        false => None,
    };
    let tuned = kernels(&problem, bench, options, (&held, values.as_ref()))?;
    let mut layers = Layers {
        subject,
        bench,
        problem: &problem,
        key: &layer_key,
        values: values.as_ref(),
        tried: vec![],
        new: 0,
        interrupted: false,
    };
    let best = layers.run(&tuned)?;
    let ended = ended(&tuned, bench, layers.interrupted);
    let report = Report {
        graph: graph.name.clone(),
        machine: options.machine.name.clone(),
        runner,
        pick_us: best.pick_us,
        us: best.us,
        spread_us: best.spread_us,
        pins: best.pins,
        combinations: layers.tried.len(),
        new: layers.new + tuned.iter().map(|k| k.tuned.new).sum::<usize>(),
        kernels: tuned,
        verified: best.verified,
        ended,
    };
    if ended.is_over() {
        let json = serde_json::to_string(&report).unwrap_or_default();
        let run = Finished {
            asked,
            report: json,
        };
        bench
            .database
            .finish(&layer_key, &run)
            .map_err(TuneError::from)?;
    }
    Ok(report)
}

/// Why a layer's tuning ended: what could be gone on with comes first.
fn ended(tuned: &[KernelReport], bench: &Bench, interrupted: bool) -> Ended {
    let late = bench.budget.over().filter(|_| interrupted);
    let of = || tuned.iter().map(|k| k.tuned.ended).chain(late);
    let first = [
        Ended::Interrupted,
        Ended::Quarantined,
        Ended::Time,
        Ended::Trials,
    ];
    let open = first.into_iter().find(|e| of().any(|k| k == *e));
    open.or_else(|| of().next()).unwrap_or(Ended::Exhausted)
}

/// Tunes distinct kernels: side by side where that does not spoil times.
fn kernels(
    problem: &Problem,
    bench: &Bench,
    options: &Options,
    (held, values): (&[Pin], Option<&Tensors>),
) -> Result<Vec<KernelReport>> {
    let mut distinct: IndexMap<String, Distinct> = IndexMap::new();
    for region in regions(problem) {
        // A kernel that is pinned is what its user wants.
        let of_region = |p: &Pin| {
            let mut kernels = region.problem.kernels.iter();
            p.kernel == "*" || p.kernel == region.name || kernels.any(|k| k.name == p.kernel)
        };
        if options.pins.iter().chain(held).any(of_region) {
            continue;
        }
        let name = region.name.clone();
        let new = || Distinct {
            region: region.clone(),
            names: vec![],
        };
        distinct
            .entry(region.text.clone())
            .or_insert_with(new)
            .names
            .push(name);
    }
    let one = |d: &Distinct| one(d, bench, options, values);
    let all: Vec<Distinct> = distinct.into_values().collect();
    let found: Vec<Result<Option<KernelReport>>> = match bench.runner.is_noisy() {
        true => all.iter().map(one).collect(),
        false => all.par_iter().map(one).collect(),
    };
    found.into_iter().filter_map(Result::transpose).collect()
}

/// Points that are looked at for one that is tried on a runner that computes nothing.
const LOOKS: usize = 2;

/// Tunes a distinct kernel; none where it has no choice, or where the interpreter does not know what it reads.
fn one(
    distinct: &Distinct,
    bench: &Bench,
    options: &Options,
    values: Option<&Tensors>,
) -> Result<Option<KernelReport>> {
    let mut proposer = Guided::new(bench.seed);
    proposer.pool = match bench.runner.is_noisy() {
        true => bench.profile.pool,
        // A trial costs no more than a look.
        false => LOOKS,
    };
    let found = region(&distinct.region, bench, options, values, &mut proposer)?;
    Ok(found.map(|(size, tuned)| KernelReport {
        names: distinct.names.clone(),
        space: size.to_string(),
        tuned,
    }))
}

/// Layers with the best kernels in them.
struct Layers<'a> {
    subject: &'a Subject<'a>,
    bench: &'a Bench<'a>,
    problem: &'a Problem,
    key: &'a Key,
    values: Option<&'a Tensors>,
    tried: Vec<Whole>,
    new: usize,
    interrupted: bool,
}

/// A layer with some kernels pinned.
struct Whole {
    pins: Vec<Pin>,
    compiled: Compiled,
    hash: String,
    us: Vec<f64>,
    host: String,
    failure: Option<Failure>,
}

/// The best layer.
struct Best {
    pick_us: f64,
    us: f64,
    spread_us: f64,
    pins: Vec<String>,
    verified: String,
}

impl Layers<'_> {
    fn run(&mut self, tuned: &[KernelReport]) -> Result<Best> {
        let gains: Vec<Vec<Pin>> = tuned.iter().filter_map(pins_of).collect();
        let none: Vec<Vec<Pin>> = vec![vec![]];
        let mut wanted = none;
        if self.bench.budget.over().is_none() {
            wanted.extend(refit::plan(self.subject, self.bench, tuned)?);
        }
        wanted.push(gains.concat());
        if gains.len() > 1 {
            wanted.extend(gains.iter().cloned());
        }
        wanted.truncate(self.bench.profile.combinations.max(2));
        self.measure(wanted)?;
        // From the best on, one kernel more for as long as that gains.
        while let Some(best) = self.order().first().copied() {
            let left = self
                .bench
                .profile
                .combinations
                .saturating_sub(self.tried.len());
            // A kernel that the best layer says already stays as it is there.
            let said = |p: &Pin| {
                let mut pins = self.tried[best].pins.iter();
                pins.any(|q| q.kernel == p.kernel)
            };
            let more = gains.iter().filter(|g| !g.iter().any(said));
            let more = more.map(|g| [self.tried[best].pins.clone(), g.clone()].concat());
            let next: Vec<Vec<Pin>> = more.filter(|p| !self.has(p)).take(left).collect();
            if next.is_empty() || self.bench.budget.over().is_some() {
                break;
            }
            self.measure(next)?;
            if self.order().first() == Some(&best) {
                break;
            }
        }
        self.winner()
    }

    fn has(&self, pins: &[Pin]) -> bool {
        let same =
            |w: &Whole| w.pins.len() == pins.len() && pins.iter().all(|p| w.pins.contains(p));
        self.tried.iter().any(same)
    }

    /// Places of layers that ran, best first; of equal ones the earlier, which has fewer pins.
    fn order(&self) -> Vec<usize> {
        let timed = self
            .tried
            .iter()
            .enumerate()
            .filter(|(_, w)| w.failure.is_none());
        let mut timed: Vec<(f64, usize)> = timed
            .filter_map(|(i, w)| Some((median(&w.us)?, i)))
            .collect();
        timed.sort_by(|a, b| a.0.total_cmp(&b.0));
        timed.into_iter().map(|(_, i)| i).collect()
    }

    /// Compiles and measures layers with these pins, side by side with those before.
    fn measure(&mut self, wanted: Vec<Vec<Pin>>) -> Result<()> {
        for pins in wanted {
            // The search's own is there in any case.
            if !self.tried.is_empty() && (pins.is_empty() || self.bench.budget.over().is_some()) {
                self.interrupted |= !pins.is_empty();
                continue;
            }
            match self.compiled(&pins) {
                Ok(compiled) => {
                    let text = serde_json::to_string(&compiled.program).unwrap_or_default();
                    let hash = hash(&text);
                    if self.tried.iter().all(|w| w.hash != hash) {
                        let (us, host, failure) = (vec![], String::new(), None);
                        self.tried.push(Whole {
                            pins,
                            compiled,
                            hash,
                            us,
                            host,
                            failure,
                        });
                    }
                }
                Err(e) if pins.is_empty() => return Err(e),
                Err(e) => self
                    .bench
                    .watch
                    .note(&format!("not compiled with {}: {e}", words(&pins))),
            }
        }
        let known = self
            .bench
            .database
            .known(self.key)
            .map_err(TuneError::from)?;
        let data = self.values.and_then(|v| data_of(self.problem, v));
        let rounds = match self.bench.runner.is_noisy() {
            true => self.bench.profile.finals,
            false => 1,
        };
        let mut random = Random::new(self.bench.seed);
        let mut order: Vec<usize> = (0..self.tried.len()).collect();
        for _ in 0..rounds {
            random.shuffle(&mut order);
            for place in &order {
                let whole = &mut self.tried[*place];
                let found = known.iter().find(|k| k.program == whole.hash);
                if whole.failure.is_some() || whole.us.len() >= rounds {
                    continue;
                }
                if let Some(record) = found.filter(|r| r.repeats >= rounds)
                    && let Some(us) = record.median_us
                {
                    whole.us = vec![us; rounds];
                    whole.host = record.host.clone();
                    continue;
                }
                let trial = Trial {
                    name: &self.subject.graph.name,
                    program: &whole.compiled.program,
                    hash: &whole.hash,
                    machine: &self.subject.options.machine,
                    data: data.as_ref(),
                };
                match self.bench.runner.measure(&trial, 1) {
                    Ok(times) => {
                        whole.us.extend(times.us);
                        whole.host = times.host;
                    }
                    Err(failure) => whole.failure = Some(failure),
                }
            }
        }
        for place in 0..self.tried.len() {
            let record = self.record(place, false);
            if !known
                .iter()
                .any(|k| k.program == record.program && k.repeats >= record.repeats)
            {
                self.new += 1;
                self.keep(&record)?;
            }
        }
        Ok(())
    }

    fn options(&self, pins: &[Pin]) -> Options {
        let options = self.subject.options;
        Options {
            pins: [options.pins.clone(), pins.to_vec()].concat(),
            ..options.clone()
        }
    }

    fn compiled(&self, pins: &[Pin]) -> Result<Compiled> {
        let Subject { layer, graph, .. } = *self.subject;
        let compiled = compile_form(graph, Form::Optimized, &self.options(pins));
        compiled.map_err(|e| layer.locate(e))
    }

    fn record(&self, place: usize, verified: bool) -> Record {
        let whole = &self.tried[place];
        let predicted = whole.compiled.kernels.iter().map(|k| k.predicted.us).sum();
        Record {
            schedule: words(&whole.pins),
            program: whole.hash.clone(),
            median_us: median(&whole.us).filter(|_| whole.failure.is_none()),
            spread_us: spread(&whole.us),
            repeats: whole.us.len(),
            predicted_us: predicted,
            host: whole.host.clone(),
            failure: whole.failure.as_ref().map(ToString::to_string),
            verified,
        }
    }

    fn keep(&self, record: &Record) -> Result<()> {
        let name = &self.subject.graph.name;
        Ok(self
            .bench
            .database
            .add(self.key, name, record)
            .map_err(TuneError::from)?)
    }

    /// The best layer whose values are the interpreter's.
    fn winner(&mut self) -> Result<Best> {
        let pick = self.tried.first().and_then(|w| match &w.failure {
            None => Some(Ok(median(&w.us)?)),
            Some(failure) => Some(Err(failure.to_string())),
        });
        let pick_us = match pick {
            Some(Ok(us)) => us,
            Some(Err(reason)) => return Err(self.no_reference(reason)),
            None => return Err(self.no_reference("it was ended before".into())),
        };
        for place in self.order() {
            let whole = &self.tried[place];
            let Subject {
                layer,
                graph,
                scalars,
                ..
            } = *self.subject;
            let options = self.options(&whole.pins);
            // Who is in a hurry to end gets the search's own, which is verified where it is used.
            if super::stop::asked() && !whole.pins.is_empty() {
                self.interrupted = true;
                continue;
            }
            let said = match super::stop::asked() {
                true => Ok("not checked: it was interrupted".to_owned()),
                false => {
                    verify(layer, graph, &whole.compiled, &options, scalars).map(|v| v.to_string())
                }
            };
            match said {
                Ok(verified) => {
                    let us = median(&whole.us).unwrap_or(pick_us);
                    let pins = whole.pins.iter().map(ToString::to_string).collect();
                    let spread_us = spread(&whole.us);
                    self.keep(&self.record(place, !super::stop::asked()))?;
                    return Ok(Best {
                        pick_us,
                        us,
                        spread_us,
                        pins,
                        verified,
                    });
                }
                Err(e) => {
                    let why = Failure::Wrong(e.to_string());
                    self.bench
                        .watch
                        .note(&format!("{}: {why}", words(&whole.pins)));
                    self.tried[place].failure = Some(why);
                    self.keep(&self.record(place, false))?;
                }
            }
        }
        Err(self.no_reference("no layer computes what the interpreter does".into()))
    }

    /// The refusal of a layer that has no time to compare with.
    fn no_reference(&self, reason: String) -> Refusal {
        let remedy = self.bench.runner.remedy();
        TuneError::Reference { reason, remedy }.into()
    }
}

/// Pins of a kernel's best schedule, for all kernels that equal it; none where the search's own is the best.
fn pins_of(of: &KernelReport) -> Option<Vec<Pin>> {
    if of.tuned.schedule.is_empty() {
        return None;
    }
    let mut out = vec![];
    for name in &of.names {
        for word in of.tuned.schedule.split_whitespace() {
            out.push(format!("{name}.{word}").parse().ok()?);
        }
    }
    Some(out)
}

/// The text of pins.
pub fn words(pins: &[Pin]) -> String {
    let pins: Vec<String> = pins.iter().map(ToString::to_string).collect();
    pins.join(" ")
}
