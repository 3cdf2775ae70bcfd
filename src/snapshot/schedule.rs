//! The schedule of a layer's kernels as it is kept: `schedule.json`, which also lists the files beside it.

use super::Contents;
use crate::compile::Options;
use crate::form::Form;
use crate::report::{KernelReport, LoopReport, Memory};
use crate::run::Compiled;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use tilewright_ir::graph::{Graph, LaunchKind};
use tilewright_ir::kernel::{Program, Unit};
use tilewright_passes::numerics::Numerics;

/// What this writes; another number is another program's.
const FORMAT: u32 = 1;

/// How a layer's kernels are started, tiled and ordered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    format: u32,
    /// The graph's name.
    pub layer: String,
    /// Which form it is.
    pub form: String,
    /// The machine's name.
    pub machine: String,
    /// Who starts kernels.
    pub runtime: String,
    /// The numerics policy.
    pub numerics: Numerics,
    /// The language of the kernels.
    pub language: String,
    /// The layer's params.
    pub params: IndexMap<String, i64>,
    /// Of all kernels, one after the other; where times are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_us: Option<f64>,
    /// In launch order.
    pub kernels: Vec<KernelSchedule>,
    /// The files beside this one.
    pub files: Vec<String>,
}

/// The schedule of one kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KernelSchedule {
    /// The kernel's name.
    pub name: String,
    /// Kernels as written whose work it contains.
    pub covers: Vec<String>,
    /// What runs it.
    pub unit: Unit,
    /// The kind of launch.
    pub launch: LaunchKind,
    /// How many blocks it has.
    pub blocks: usize,
    /// Blocks of each grid axis, slowest first.
    pub grid: IndexMap<String, usize>,
    /// Sizes in elements, and parts of a split, under engineers' names.
    pub tiles: IndexMap<String, usize>,
    /// Its loops, outer ones first.
    pub pipeline: Vec<LoopReport>,
    /// Bytes of the on-chip memories.
    pub memory: Memory,
    /// Tensors in global memory that it reads.
    pub reads: Vec<String>,
    /// Tensors in global memory that it writes.
    pub writes: Vec<String>,
    /// Kernels that must be over before it starts.
    pub after: Vec<String>,
    /// By the cost model, where the snapshot has times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_us: Option<f64>,
}

impl Schedule {
    pub(super) fn new<'a>(
        graph: &Graph,
        compiled: &Compiled,
        options: &Options,
        contents: &Contents,
        files: impl Iterator<Item = &'a String>,
    ) -> Self {
        let us = |us: f64| contents.times.then(|| rounded(us));
        let kernel = |k: &KernelReport| KernelSchedule {
            predicted_us: us(k.predicted.us),
            ..KernelSchedule::of(k)
        };
        Schedule {
            format: FORMAT,
            layer: compiled.program.name.clone(),
            form: contents.form.name().into(),
            machine: options.machine.name.clone(),
            runtime: options.machine.runtime_name().into(),
            numerics: options.search.numerics,
            language: contents.emitter.name.into(),
            params: graph.params.clone(),
            predicted_us: us(compiled.kernels.iter().map(|k| k.predicted.us).sum()),
            kernels: compiled.kernels.iter().map(kernel).collect(),
            files: files.cloned().collect(),
        }
    }

    /// That of a layer whose kernels are not kept.
    pub fn of(graph: &Graph, compiled: &Compiled, options: &Options, contents: &Contents) -> Self {
        Schedule::new(graph, compiled, options, contents, std::iter::empty())
    }

    /// That of a program, which does not tell what else it was made with: that is what is usual, and the form is none where it is
    /// not known.
    pub fn of_program(program: &Program, form: Option<Form>, kernels: &[KernelReport]) -> Self {
        Schedule {
            format: FORMAT,
            layer: program.name.clone(),
            form: form.map_or("", Form::name).into(),
            machine: program.machine.clone(),
            runtime: String::new(),
            numerics: Numerics::default(),
            language: Contents::default().emitter.name.into(),
            params: IndexMap::new(),
            predicted_us: None,
            kernels: kernels.iter().map(KernelSchedule::of).collect(),
            files: vec![],
        }
    }

    /// Leaves out predicted times, which are no part of how kernels are scheduled.
    pub fn without_times(&mut self) {
        self.predicted_us = None;
        for kernel in &mut self.kernels {
            kernel.predicted_us = None;
        }
    }

    /// Reads what was kept.
    ///
    /// # Errors
    ///
    /// Why a text is no schedule, in a line.
    pub fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let head: Head = serde_json::from_str(text).map_err(|e| e.to_string())?;
        match head.format {
            FORMAT => serde_json::from_str(text).map_err(|e| e.to_string()),
            other => Err(format!(
                "it has the format {other}, and this is tilewright of format {FORMAT}"
            )),
        }
    }

    /// As it is written.
    pub fn text(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        // Nothing in it can fail to be JSON: numbers that JSON has not are null.
        text.unwrap_or_default() + "\n"
    }
}

/// Three digits: what does not matter does not show.
fn rounded(us: f64) -> f64 {
    format!("{us:.2e}").parse().unwrap_or(us)
}

impl KernelSchedule {
    /// That of a kernel, without its time.
    fn of(k: &KernelReport) -> Self {
        KernelSchedule {
            name: k.name.clone(),
            covers: k.covers.clone(),
            unit: k.unit,
            launch: k.launch.kind,
            blocks: k.launch.blocks,
            grid: k.launch.grid.clone(),
            tiles: k.tiles.clone(),
            pipeline: k.pipeline.clone(),
            memory: k.memory,
            reads: k.reads.clone(),
            writes: k.writes.clone(),
            after: k.after.clone(),
            predicted_us: None,
        }
    }

    /// The parameters of the schedule with their values, as they are pinned and printed.
    pub fn parameters(&self) -> IndexMap<String, String> {
        let grid = self.grid.iter().map(|(axis, n)| format!("{axis} {n}"));
        let grid = match self.grid.len() {
            0 | 1 => String::new(),
            _ => format!(" ({})", grid.collect::<Vec<_>>().join(" x ")),
        };
        let mut all = IndexMap::from([
            ("cores".to_owned(), cores(self.unit).to_owned()),
            (
                "launch".to_owned(),
                format!("{} x{}{grid}", self.launch, self.blocks),
            ),
        ]);
        all.extend(self.tiles.iter().map(|(n, v)| (n.clone(), v.to_string())));
        for (i, l) in self.pipeline.iter().enumerate() {
            // Two loops may have one name.
            let before = self.pipeline[..i].iter().filter(|b| b.name == l.name);
            let number = match before.count() {
                0 => String::new(),
                n => format!("#{}", n + 1),
            };
            let depth = match l.depth {
                1 => "one trip at a time".to_owned(),
                n => format!("{n} trips in flight"),
            };
            all.insert(
                format!("loop {}{number}", l.name),
                format!("{} trips, {depth}", l.trips),
            );
        }
        let used = self.memory.named().into_iter().filter(|(_, n)| *n > 0);
        all.extend(
            used.map(|(name, n)| (name.to_owned(), format!("{:.1} KiB", n as f64 / 1024.0))),
        );
        for (name, values) in [
            ("reads", &self.reads),
            ("writes", &self.writes),
            ("waits for", &self.after),
        ] {
            if !values.is_empty() {
                all.insert(name.into(), values.join(", "));
            }
        }
        if let Some(us) = self.predicted_us {
            all.insert("predicted".into(), format!("{us} us"));
        }
        all
    }

    /// How it is started, tiled and pipelined, in a line.
    pub fn summary(&self) -> String {
        let mut words = vec![format!("{} x{}", self.launch, self.blocks)];
        words.extend(self.tiles.iter().map(|(n, v)| format!("{n} {v}")));
        let deep = self.pipeline.iter().filter(|l| l.depth > 1);
        words.extend(deep.map(|l| format!("{} trips of {} in flight", l.depth, l.name)));
        words.join(", ")
    }
}

fn cores(unit: Unit) -> &'static str {
    match unit {
        Unit::Cube => "cube",
        Unit::Vector => "vector",
        Unit::Mixed => "cube and vector",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits() {
        let texts = [0.0, 1.0 / 3.0, 12.3456, 98765.4, 6.9961].map(|us| rounded(us).to_string());
        assert_eq!(texts, ["0", "0.333", "12.3", "98800", "7"]);
    }

    #[test]
    fn what_is_no_schedule_is_told_as_that() {
        for (text, why) in [
            ("", "EOF"),
            ("<<<<<<< ours\n{", "expected value"),
            ("{\"format\": 2}", "format 2"),
            ("{\"format\": 1}", "missing field `layer`"),
        ] {
            let refused = Schedule::parse(text).expect_err("it is none");
            assert!(refused.contains(why), "{refused}");
        }
    }
}
