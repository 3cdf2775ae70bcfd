//! Two schedules side by side: what of them differs, kernel by kernel, and what the kernels take.
//!
//! A [`Side`] comes from a layer, which is compiled; from programs that were saved; or from a snapshot. [`compare`] says what
//! differs, as a snapshot's review does, and then the times of the kernels that do the same work.

use crate::compile::Options;
use crate::error::{Error, Result};
use crate::folder::{self, SCHEDULE};
use crate::form::Form;
use crate::layer::read_text;
use crate::report::{KernelReport, groups, ratio};
use crate::run::compile_form;
use crate::saved::Saved;
use crate::snapshot::{Contents, Difference, Schedule, differences};
use indexmap::IndexMap;
use serde::Serialize;
use std::path::Path;
use tilewright_backends::sim;
use tilewright_ir::graph::Graph;
use tilewright_ir::kernel::Program;
use tilewright_ir::machine::Machine;
use tilewright_passes::egraph::SearchOptions;

/// One of two schedules.
#[derive(Debug, Clone)]
pub struct Side {
    /// How it was named on the command line.
    pub name: String,
    /// Its kernels and how they are scheduled.
    pub schedule: Schedule,
    /// Whether params, numerics and the rest of what the kernels were made with is known.
    whole: bool,
    /// By kernel, in microseconds; none where nothing tells them.
    us: IndexMap<String, f64>,
    timed_by: Timed,
}

/// Who tells the times of a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Timed {
    /// The simulator, without data.
    Simulator,
    /// The cost model.
    Model,
    /// What is kept of predictions, to three digits.
    Kept,
}

/// What is said of a side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct About {
    /// How it was named.
    pub name: String,
    /// The name of its graph.
    pub layer: String,
    /// Whether it is as written or optimized.
    pub form: String,
    /// The name of the machine that it is for.
    pub machine: String,
    /// How many kernels it has.
    pub kernels: usize,
    /// Of all kernels, one after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub us: Option<f64>,
    /// Who tells `us`.
    pub timed_by: Timed,
}

/// Kernels of both sides that do the work of the same kernels as written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Work {
    /// The kernels as written.
    pub covers: Vec<String>,
    /// Kernels of the first side.
    pub a: Vec<String>,
    /// Kernels of the second side.
    pub b: Vec<String>,
    /// Absent where a side has no such kernels, or no times.
    pub a_us: Option<f64>,
    /// As `a_us`, of the second side.
    pub b_us: Option<f64>,
}

/// How two schedules differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The first side.
    pub a: About,
    /// The second side.
    pub b: About,
    /// Whether nothing differs in the schedule.
    pub same: bool,
    /// Whether no kernel of one does work of a kernel as written of the other: the times say nothing of each other then.
    pub unrelated: bool,
    /// What differs, schedule by schedule.
    pub schedule: Vec<Difference>,
    /// What the kernels of the same work take.
    pub work: Vec<Work>,
    /// Time of the first over time of the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speedup: Option<f64>,
}

impl Side {
    /// The schedule of a layer in a form.
    ///
    /// # Errors
    ///
    /// What [`compile_form`] refuses.
    pub fn of_layer(name: &str, graph: &Graph, form: Form, options: &Options) -> Result<Self> {
        let compiled = compile_form(graph, form, options)?;
        let contents = Contents {
            form,
            ..Contents::default()
        };
        let schedule = Schedule::of(graph, &compiled, options, &contents);
        let (us, timed_by) = times(&compiled.program, &compiled.kernels, &options.machine);
        Ok(Side {
            name: name.into(),
            schedule,
            whole: true,
            us,
            timed_by,
        })
    }

    /// The schedule of a program that was saved, for the machine that it is timed on.
    ///
    /// # Errors
    ///
    /// What the passes refuse that it has not been through.
    pub fn of_saved(name: &str, saved: &Saved, machine: &Machine) -> Result<Self> {
        let (program, _) = saved.finished(machine)?;
        let cost = SearchOptions::default().cost;
        let report = |k| KernelReport::new(k, &program, machine, cost.as_ref(), vec![]);
        let kernels: Vec<KernelReport> = program.kernels.iter().map(report).collect();
        let (us, timed_by) = times(&program, &kernels, machine);
        Ok(Side {
            name: name.into(),
            schedule: Schedule::of_program(&program, saved.form, &kernels),
            whole: false,
            us,
            timed_by,
        })
    }

    /// The schedule that a snapshot's folder keeps; `None` where the folder is none.
    ///
    /// # Errors
    ///
    /// A schedule that cannot be read.
    pub fn of_snapshot(name: &str, folder: &Path) -> Result<Option<Self>> {
        folder::settle(folder);
        let file = folder.join(SCHEDULE);
        if !file.is_file() {
            return Ok(None);
        }
        let mut schedule = Schedule::parse(&read_text(&file)?).map_err(|reason| Error::Read {
            path: file,
            reason,
            help: "write it again with `tilewright snapshot --accept`".into(),
        })?;
        let kernels = schedule.kernels.iter();
        let us = kernels.filter_map(|k| Some((k.name.clone(), k.predicted_us?)));
        let us = us.collect();
        schedule.without_times();
        Ok(Some(Side {
            name: name.into(),
            schedule,
            whole: true,
            us,
            timed_by: Timed::Kept,
        }))
    }

    fn about(&self) -> About {
        About {
            name: self.name.clone(),
            layer: self.schedule.layer.clone(),
            form: self.schedule.form.clone(),
            machine: self.schedule.machine.clone(),
            kernels: self.schedule.kernels.len(),
            us: self.total(self.schedule.kernels.iter().map(|k| &k.name)),
            timed_by: self.timed_by,
        }
    }

    /// Of these kernels; `None` without one, and where a time is not known.
    fn total<'a>(&self, kernels: impl Iterator<Item = &'a String>) -> Option<f64> {
        let all: Vec<f64> = kernels
            .map(|k| self.us.get(k).copied())
            .collect::<Option<_>>()?;
        (!all.is_empty()).then(|| all.iter().sum())
    }
}

/// By kernel: simulated, where the simulator needs no data for it, and otherwise predicted.
fn times(
    program: &Program,
    kernels: &[KernelReport],
    machine: &Machine,
) -> (IndexMap<String, f64>, Timed) {
    let simulated = match program.ranks {
        0 | 1 => sim::time(program, machine).ok(),
        _ => None,
    };
    match simulated {
        Some(report) => {
            let us = report.kernels.iter().map(|k| (k.name.clone(), k.us));
            (us.collect(), Timed::Simulator)
        }
        None => {
            let us = kernels.iter().map(|k| (k.name.clone(), k.predicted.us));
            (us.collect(), Timed::Model)
        }
    }
}

/// What differs from the first to the second.
pub fn compare(a: &Side, b: &Side) -> Comparison {
    let mut schedule = differences(&a.schedule, &b.schedule);
    if !(a.whole && b.whole) {
        // A saved program does not tell what else it was made with.
        let told = |name: &str| ["layer", "machine"].contains(&name);
        let form = [a, b].iter().all(|s| !s.schedule.form.is_empty());
        schedule.retain(|d| match d {
            Difference::Setting { part } => told(&part.name) || form && part.name == "form",
            _ => true,
        });
    }
    let kernels = a.schedule.kernels.iter().chain(&b.schedule.kernels);
    let work = groups(kernels.map(|k| &k.covers))
        .into_iter()
        .map(|covers| {
            let of = |side: &Side| -> (Vec<String>, Option<f64>) {
                let kernels = side.schedule.kernels.iter();
                let own = kernels.filter(|k| k.covers.iter().any(|c| covers.contains(c)));
                let names: Vec<String> = own.map(|k| k.name.clone()).collect();
                let us = side.total(names.iter());
                (names, us)
            };
            let ((a, a_us), (b, b_us)) = (of(a), of(b));
            Work {
                covers,
                a,
                b,
                a_us,
                b_us,
            }
        });
    let work: Vec<Work> = work.collect();
    let unrelated = work.iter().all(|w| w.a.is_empty() || w.b.is_empty());
    let (a, b) = (a.about(), b.about());
    Comparison {
        same: schedule.is_empty(),
        schedule,
        work,
        speedup: (a.us.zip(b.us))
            .filter(|_| !unrelated)
            .map(|(a, b)| ratio(a, b)),
        unrelated,
        a,
        b,
    }
}
