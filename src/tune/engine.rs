//! Tuning of one kernel: propose, measure, learn, until it is enough.

use super::database::{Database, Key, Record};
use super::effort::{Effort, Profile};
use super::proposer::{History, Proposer, Tried};
use super::random::Random;
use super::runner::{Failure, Runner, Times, Trial, TrialData};
use super::space::{Built, Point, Space};
use super::statistic::{median, spread};
use super::stop::{Budget, Ended};
use crate::tune_error::DatabaseError;
use rayon::prelude::*;
use std::collections::HashMap;
use std::rc::Rc;
use tilewright_ir::kernel::Program;
use tilewright_ir::machine::Machine;

/// What tuning goes about with.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    /// What measures.
    pub runner: &'a dyn Runner,
    /// What knows of earlier trials and keeps new ones.
    pub database: &'a dyn Database,
    /// What kernels are for.
    pub machine: &'a Machine,
    /// How hard to try.
    pub profile: Profile,
    /// When to stop.
    pub budget: Budget,
    /// What all random choices follow from.
    pub seed: u64,
    /// What hears of trials.
    pub watch: &'a dyn Watch,
}

impl<'a> Bench<'a> {
    /// A quick tuning from seed 0, with nobody watching.
    pub fn new(
        runner: &'a dyn Runner,
        database: &'a dyn Database,
        machine: &'a Machine,
    ) -> Bench<'a> {
        let profile = Effort::Quick.profile();
        Bench {
            runner,
            database,
            machine,
            profile,
            budget: Budget::new(profile.trials, None),
            seed: 0,
            watch: &Deaf,
        }
    }
}

/// What hears of trials.
pub trait Watch: Sync {
    /// A trial of a kernel is over, measured now or known before.
    fn over(&self, kernel: &str, news: &News) {
        let _ = (kernel, news);
    }

    /// Something that people should know.
    fn note(&self, text: &str) {
        let _ = text;
    }
}

/// How a kernel's tuning stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct News {
    /// Whether it gave no time.
    pub failed: bool,
    /// Whether it was measured now.
    pub new: bool,
    /// The best time so far.
    pub best_us: Option<f64>,
    /// Of the search's own pick.
    pub pick_us: Option<f64>,
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Deaf;

impl Watch for Deaf {}

/// What came of a kernel.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Tuned {
    /// The schedule of the best trial, as pins without the kernel's name; empty where it is the search's own.
    pub schedule: String,
    /// The time of the best trial.
    pub us: Option<f64>,
    /// How far its times lie apart, in us.
    pub spread_us: f64,
    /// Of the search's own pick.
    pub pick_us: Option<f64>,
    /// Programs that have a trial, those that were measured now, and those that failed.
    pub trials: usize,
    /// Of these, measured now.
    pub new: usize,
    /// Of these, without a time.
    pub failed: usize,
    /// How far the runner's times of the pick moved, as a share.
    pub drift: f64,
    /// Why tuning ended.
    pub ended: Ended,
    /// By trial, the best time so far.
    pub curve: Vec<f64>,
    /// By trial that ran, what the model said and what was measured, in us.
    #[serde(default)]
    pub points: Vec<[f64; 2]>,
    /// Some of the programs that ran with their times in us, the fastest and others of all speeds: what figures are fitted to.
    #[serde(skip)]
    pub measured: Vec<(Program, f64)>,
}

/// Trials of one kernel.
pub struct Tuning<'a> {
    bench: Bench<'a>,
    space: &'a dyn Space,
    key: &'a Key,
    data: Option<&'a TrialData>,
    known: HashMap<String, Record>,
    history: History,
    /// All repeats, by program.
    samples: HashMap<String, Vec<f64>>,
    hosts: HashMap<String, String>,
    /// The search's own pick.
    pick: Option<Rc<Built>>,
    /// Its times, in the order in which they were measured.
    reference: Vec<f64>,
    new: usize,
    failed: usize,
    curve: Vec<f64>,
    points: Vec<[f64; 2]>,
    random: Random,
    /// Of the order in which trials are measured: what is proposed does not depend on it.
    order: Random,
}

/// A program to measure, at a point.
type Wanted = (Point, Rc<Built>);

impl<'a> Tuning<'a> {
    /// With what a database knows of the key.
    ///
    /// # Errors
    ///
    /// What is wrong with the database.
    pub fn new(
        bench: Bench<'a>,
        space: &'a dyn Space,
        key: &'a Key,
        data: Option<&'a TrialData>,
    ) -> Result<Self, DatabaseError> {
        Ok(Tuning {
            known: known(bench.database, key)?,
            history: History::default(),
            samples: HashMap::new(),
            hosts: HashMap::new(),
            pick: space.build(&space.free()).ok(),
            reference: vec![],
            new: 0,
            failed: 0,
            curve: vec![],
            points: vec![],
            random: Random::new(bench.seed),
            order: Random::new(!bench.seed),
            bench,
            space,
            key,
            data,
        })
    }

    /// Tries until the budget is used up or nothing gains.
    ///
    /// # Errors
    ///
    /// What is wrong with the database.
    pub fn run(&mut self, proposer: &mut dyn Proposer) -> Result<Tuned, DatabaseError> {
        let Profile {
            seeds,
            patience,
            batch,
            wide,
            ..
        } = self.bench.profile;
        let width = match self.bench.runner.is_noisy() {
            true => batch,
            false => wide,
        };
        let mut next = self.space.seeds(seeds);
        let mut since = 0;
        let ended = loop {
            if let Some(ended) = self.bench.budget.over() {
                break ended;
            }
            let left = self
                .bench
                .budget
                .trials
                .saturating_sub(self.history.tried.len());
            if left == 0 {
                break Ended::Trials;
            }
            if since >= patience {
                break Ended::Converged;
            }
            let wanted = self.wanted(next, left);
            if wanted.is_empty() && !self.history.tried.is_empty() {
                break Ended::Exhausted;
            }
            let before = self.best().map(|b| b.0);
            let count = wanted.len();
            if let Some(ended) = self.measure(&wanted)? {
                break ended;
            }
            let gained = match (before, self.best()) {
                (Some(before), Some((us, _))) => us < before * 0.999,
                (_, now) => now.is_some(),
            };
            since = if gained { 0 } else { since + count };
            next = proposer.propose(&self.history, self.space, width.min(left), &mut self.random);
        };
        if !matches!(ended, Ended::Interrupted | Ended::Quarantined) {
            self.finals()?;
        }
        Ok(self.tuned(ended))
    }

    /// Points with their programs, no program twice or again.
    fn wanted(&self, points: Vec<Point>, most: usize) -> Vec<Wanted> {
        let mut out: Vec<Wanted> = vec![];
        for point in points {
            let Ok(built) = self.space.build(&point) else {
                continue;
            };
            let seen = self.history.programs.contains(&built.hash);
            if !seen && out.iter().all(|(_, b)| b.hash != built.hash) && out.len() < most {
                out.push((point, built));
            }
        }
        out
    }

    /// Measures what is not known. What comes of it depends on what was wanted only, not on who has measured it.
    fn measure(&mut self, wanted: &[Wanted]) -> Result<Option<Ended>, DatabaseError> {
        self.learn()?;
        let new = wanted
            .iter()
            .filter(|w| !self.known.contains_key(&w.1.hash));
        let mut alive: Vec<Wanted> = new.cloned().collect();
        let mut failures: HashMap<String, Failure> = HashMap::new();
        let rungs: Vec<usize> = match self.bench.runner.is_noisy() {
            true => self.bench.profile.repeats.into(),
            false => vec![1],
        };
        let mut ended = None;
        // Losers leave early: of what is left the better half is measured more often.
        for repeats in rungs {
            if alive.is_empty() || ended.is_some() {
                break;
            }
            self.round(&alive, repeats, &mut failures)?;
            alive.retain(|(_, b)| {
                !failures.contains_key(&b.hash) && self.samples.contains_key(&b.hash)
            });
            let of = |w: &Wanted| self.median_of(&w.1.hash).unwrap_or(f64::INFINITY);
            alive.sort_by(|a, b| of(a).total_cmp(&of(b)));
            alive.truncate(alive.len().div_ceil(2));
            ended = self.bench.budget.over();
        }
        for (point, built) in wanted {
            let failure = failures.get(&built.hash);
            if matches!(failure, Some(Failure::Quarantined(_))) {
                ended = Some(Ended::Quarantined);
            } else if let Some(record) = self.known.get(&built.hash).cloned() {
                self.over(point, built, &record, false);
            } else if failure.is_some() || self.samples.contains_key(&built.hash) {
                let record = self.record(point, built, failure);
                self.new += 1;
                self.over(point, built, &record, true);
            }
        }
        Ok(ended)
    }

    /// What another process has measured since.
    fn learn(&mut self) -> Result<(), DatabaseError> {
        for (program, record) in known(self.bench.database, self.key)? {
            // What was measured here has all its samples here.
            if !self.samples.contains_key(&program) {
                self.known.entry(program).or_insert(record);
            }
        }
        Ok(())
    }

    /// One round of repeats, in an order of its own, with the pick among them to see whether the runner drifts. Every trial is kept
    /// as soon as it is over.
    fn round(
        &mut self,
        alive: &[Wanted],
        repeats: usize,
        failures: &mut HashMap<String, Failure>,
    ) -> Result<(), DatabaseError> {
        let mut order = alive.to_vec();
        if self.bench.runner.is_noisy() {
            self.order.shuffle(&mut order);
            let pick = self.pick.clone();
            let pick = pick.filter(|p| order.iter().all(|(_, b)| b.hash != p.hash));
            order.extend(pick.map(|p| (self.space.free(), p)));
        }
        let Bench { runner, budget, .. } = self.bench;
        for some in order.chunks(runner.lanes().max(1)) {
            if budget.over().is_some() {
                break;
            }
            let trials: Vec<Trial> = some.iter().map(|(_, b)| self.trial(b)).collect();
            let times: Vec<Result<Times, Failure>> = match &trials[..] {
                [one] => vec![runner.measure(one, repeats)],
                // As many at once as the runner takes.
                all => all.par_iter().map(|t| runner.measure(t, repeats)).collect(),
            };
            for ((point, built), found) in some.iter().zip(times) {
                self.take(built, found, failures);
                let failure = failures.get(&built.hash);
                if !matches!(failure, Some(Failure::Quarantined(_))) {
                    let record = self.record(point, built, failure);
                    let name = self.space.name();
                    self.bench.database.add(self.key, name, &record)?;
                }
            }
        }
        Ok(())
    }

    /// Takes what a runner says of a program.
    fn take(
        &mut self,
        built: &Built,
        found: Result<Times, Failure>,
        failures: &mut HashMap<String, Failure>,
    ) {
        let hash = built.hash.clone();
        match found {
            Ok(times) => {
                if self.pick.as_ref().is_some_and(|p| p.hash == hash) {
                    self.reference.extend(median(&times.us));
                }
                self.hosts.insert(hash.clone(), times.host);
                self.samples.entry(hash).or_default().extend(times.us);
            }
            Err(failure) => {
                failures.insert(hash, failure);
            }
        }
    }

    fn trial<'t>(&'t self, built: &'t Built) -> Trial<'t> {
        Trial {
            name: self.space.name(),
            program: &built.program,
            hash: &built.hash,
            machine: self.bench.machine,
            data: self.data,
        }
    }

    fn median_of(&self, program: &str) -> Option<f64> {
        median(self.samples.get(program)?)
    }

    fn record(&self, point: &Point, built: &Built, failure: Option<&Failure>) -> Record {
        let samples = self.samples.get(&built.hash).map_or(&[][..], Vec::as_slice);
        Record {
            schedule: self.space.text(point),
            program: built.hash.clone(),
            median_us: median(samples).filter(|_| failure.is_none()),
            spread_us: spread(samples),
            repeats: samples.len(),
            predicted_us: built.predicted_us,
            host: self.hosts.get(&built.hash).cloned().unwrap_or_default(),
            failure: failure.map(ToString::to_string),
            verified: failure.is_none() && self.data.is_some() && self.bench.runner.computes(),
        }
    }

    fn over(&mut self, point: &Point, built: &Built, record: &Record, new: bool) {
        if let (false, Some(us)) = (new, record.median_us) {
            // As many repeats as it was measured with, so that new ones weigh no more than they should.
            let samples = self.samples.entry(built.hash.clone()).or_default();
            samples.extend(vec![us; record.repeats.clamp(1, 16)]);
            self.hosts.insert(built.hash.clone(), record.host.clone());
        }
        self.failed += usize::from(record.failure.is_some());
        self.history.add(Tried {
            point: point.clone(),
            hash: built.hash.clone(),
            features: built.features.clone(),
            us: record.median_us,
        });
        let best_us = self.best().map(|b| b.0);
        self.curve.extend(best_us);
        let point = record.median_us.map(|us| [built.predicted_us, us]);
        self.points.extend(point);
        let pick_us = self.pick.as_ref().and_then(|p| self.median_of(&p.hash));
        let news = News {
            failed: record.failure.is_some(),
            new,
            best_us,
            pick_us,
        };
        self.bench.watch.over(self.space.name(), &news);
    }

    /// The best time so far and its point.
    fn best(&self) -> Option<(f64, &Point)> {
        let timed = self
            .history
            .tried
            .iter()
            .filter_map(|t| Some((t.us?, &t.point)));
        timed.min_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// The best of a noisy runner again, side by side with the pick: what was only lucky falls back.
    fn finals(&mut self) -> Result<(), DatabaseError> {
        let Profile {
            finalists, finals, ..
        } = self.bench.profile;
        if !self.bench.runner.is_noisy() || self.new == 0 {
            return Ok(());
        }
        let mut points: Vec<Point> = self.history.best(finalists).into_iter().cloned().collect();
        points.push(self.space.free());
        let mut alive: Vec<Wanted> = vec![];
        for point in points {
            if let Ok(built) = self.space.build(&point)
                && alive.iter().all(|(_, b)| b.hash != built.hash)
            {
                alive.push((point, built));
            }
        }
        let mut failures = HashMap::new();
        for _ in 0..finals {
            self.round(&alive, 1, &mut failures)?;
            if self.bench.budget.over().is_some() {
                break;
            }
        }
        for (_, built) in &alive {
            let us = self.median_of(&built.hash);
            let tried = self.history.tried.iter_mut().find(|t| t.hash == built.hash);
            let (Some(us), Some(tried)) = (us, tried) else {
                continue;
            };
            let failed = failures.contains_key(&built.hash);
            tried.us = tried.us.and(Some(us)).filter(|_| !failed);
        }
        Ok(())
    }

    fn tuned(&self, ended: Ended) -> Tuned {
        let pick_us = self.pick.as_ref().and_then(|p| self.median_of(&p.hash));
        // What is not faster than the search's own pick is no reason to pin anything.
        let best = self
            .best()
            .filter(|(us, _)| pick_us.is_none_or(|p| *us < p));
        let (schedule, us) = match best {
            Some((us, point)) => (self.space.text(point), Some(us)),
            None => (String::new(), pick_us),
        };
        let of = best.map_or_else(
            || self.pick.as_ref().map(|p| p.hash.clone()),
            |(_, point)| self.space.build(point).ok().map(|b| b.hash.clone()),
        );
        let samples = of.and_then(|h| self.samples.get(&h));
        let least = self.reference.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.reference.iter().copied().fold(0.0, f64::max);
        Tuned {
            schedule,
            us,
            spread_us: samples.map_or(0.0, |s| spread(s)),
            pick_us,
            trials: self.history.tried.len(),
            new: self.new,
            failed: self.failed,
            drift: if self.reference.len() > 1 {
                most / least - 1.0
            } else {
                0.0
            },
            ended,
            curve: self.curve.clone(),
            points: self.points.clone(),
            measured: self.measured(),
        }
    }

    /// Some of the programs that ran: half of them the fastest, the others from the whole range of times.
    fn measured(&self) -> Vec<(Program, f64)> {
        let timed = self.history.tried.iter();
        let mut timed: Vec<(f64, &Point)> = timed.filter_map(|t| Some((t.us?, &t.point))).collect();
        timed.sort_by(|a, b| a.0.total_cmp(&b.0));
        let most = self.bench.profile.fitted;
        let fast = timed.len().min(most / 2);
        let others = timed.len() - fast;
        let step = others.div_ceil((most - most / 2).max(1)).max(1);
        let places = (0..fast).chain((fast..timed.len()).step_by(step));
        let program = |place: usize| {
            let (us, point) = timed[place];
            let built = self.space.build(point).ok()?;
            Some((built.program.clone(), us))
        };
        places.filter_map(program).collect()
    }
}

/// What a database knows of a key, by program.
fn known(database: &dyn Database, key: &Key) -> Result<HashMap<String, Record>, DatabaseError> {
    // What a runner failed at may succeed now.
    let lasting = |r: &Record| r.failure.as_ref().is_none_or(|f| is_lasting(f));
    let all = database.known(key)?.into_iter().filter(lasting);
    Ok(all.map(|r| (r.program.clone(), r)).collect())
}

/// Whether a failure is the program's, and would come again.
fn is_lasting(failure: &str) -> bool {
    failure.starts_with("wrong") || failure.starts_with("refused")
}
