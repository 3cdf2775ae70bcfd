//! The options that subcommands over a graph share, and what they stand for.

use super::database::{DatabaseArgs, warn};
use super::dumps;
use super::search::SearchArgs;
use super::shell::{name, quoted};
use super::sizes::SizeArgs;
use indexmap::IndexMap;
use std::path::PathBuf;
use std::time::Duration;
use tilewright::compile::{Options, compile};
use tilewright::config::Config;
use tilewright::data::{self, Data, Source};
use tilewright::error::Result;
use tilewright::form::Form;
use tilewright::layer::Layer;
use tilewright::ranks::How;
use tilewright::report::{Report, work};
use tilewright::warnings;
use tilewright_backends::data::Tensors;
use tilewright_ir::graph::Graph;
use tilewright_ir::op::exchange::RANKS;
use tilewright_ir::syntax::meant;
use tilewright_passes::pass::PassError;
use tilewright_passes::search::pins::{Param, Pin, PinError};
use tracing::info_span;

/// Options of every subcommand over a graph.
#[derive(Debug, clap::Args)]
pub struct Common {
    /// The layer graph: text (`.tw`), or JSON (`.json`); `-` is the standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub search: SearchArgs,
    /// Stops the search after this many seconds; results then differ from machine to machine
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true, help_heading = "Machine and search")]
    pub time_limit: Option<Duration>,
    #[command(flatten)]
    pub sizes: SizeArgs,
    /// Runs of the layer on the same windows, one after the other, where ranks run it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64), help_heading = "Sizes and data")]
    pub layers: u32,
    /// Seed of the order in which ranks move and their stores arrive; without it, in turn, and as late as can be
    #[arg(long, value_name = "N", help_heading = "Sizes and data")]
    pub interleaving: Option<u64>,
    /// The value of the scalar input `num_tokens`; without it, what the inputs file says, or the largest allowed
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Sizes and data"
    )]
    pub num_tokens: Option<i64>,
    /// Inputs by name (the prefix `in.` is accepted); sizes follow from them unless they are set
    #[arg(long, value_name = "FILE.safetensors", help_heading = "Sizes and data")]
    pub inputs: Option<PathBuf>,
    /// Expected outputs by name (the prefix `out.` is accepted): `run` checks against them too, and `emit --project` writes them
    #[arg(
        long,
        value_name = "FILE.safetensors",
        requires = "inputs",
        help_heading = "Sizes and data"
    )]
    pub expect: Option<PathBuf>,
    /// Seed of inputs that `run` and `emit --project` generate
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        conflicts_with = "inputs",
        help_heading = "Sizes and data"
    )]
    pub seed: u64,
    /// Another order of passes for the optimized form
    #[arg(
        long,
        value_name = "A,B,C",
        value_delimiter = ',',
        help_heading = "Passes"
    )]
    pub passes: Option<Vec<String>>,
    /// Prints what a pass returns to the standard error, or to a file: as text, or in JSON if its name ends so (repeatable)
    #[arg(long, value_name = "PASS[=FILE]", help_heading = "Passes")]
    pub dump: Vec<String>,
    /// Stops the optimized form after a pass, and prints what that returned instead of a report
    #[arg(
        long,
        value_name = "PASS",
        conflicts_with = "json",
        help_heading = "Passes"
    )]
    pub stop_after: Option<String>,
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Prints one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Says what of a layer and of its pins is probably not meant.
pub(super) fn remark(layer: &Layer, options: &Options) {
    for line in warnings::of(layer) {
        warn(&line.to_string());
    }
    for line in SearchArgs::pinned_twice(&options.pins) {
        warn(&line);
    }
}

/// Says which pins of tiles say nothing, since no chosen kernel has such a tile any more.
pub(super) fn remark_pins(options: &Options, report: &Report) {
    for line in work::moot(&options.pins, &report.optimized.kernels) {
        warn(&line);
    }
}

/// Refuses pins that name values which the layer has not. What the compiler makes of a value begins with the value's name.
///
/// # Errors
///
/// The first such name.
pub(super) fn check_names(graph: &Graph, pins: &[Pin]) -> Result<()> {
    let known: Vec<&str> = graph.values().map(|v| graph.name(v)).collect();
    let is_of = |name: &str, value: &str| {
        let rest = name.strip_prefix(value);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    };
    for pin in pins {
        let (Param::Reads(names) | Param::Unread(names)) = &pin.param else {
            continue;
        };
        if let Some(wrong) = names.iter().find(|n| !known.iter().any(|v| is_of(n, v))) {
            let known = known.join(", ");
            let expected = format!("{}names of values: {known}", meant(wrong, &known));
            return Err(PassError::from(PinError::Value {
                kernel: pin.kernel.clone(),
                param: pin.param.name().into(),
                value: wrong.clone(),
                expected,
            })
            .into());
        }
    }
    Ok(())
}

pub(super) fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| format!("`{text}` is not a number"))?;
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| format!("`{text}` is no time: give seconds, from 0 on"))
}

/// A graph at its sizes, and how to compile it.
pub struct Prepared {
    pub layer: Layer,
    pub graph: Graph,
    pub options: Options,
    /// Inputs from a file, by rank.
    pub tensors: Option<Vec<Tensors>>,
    /// Scalars from the command line.
    pub scalars: IndexMap<String, i64>,
    /// What was taken from the inputs file.
    pub taken: Vec<String>,
    /// The database of schedules that is meant, whether it is there or not.
    pub database: Option<PathBuf>,
    /// Whether an option names the database.
    pub named: bool,
}

impl Common {
    /// The files that say what is to be made: the layer's, and those of pins, rules and a machine.
    pub fn files(&self) -> Vec<PathBuf> {
        let search = &self.search;
        let machine = search.machine_file();
        let named = search.pins.iter().chain(&search.rules).cloned();
        [self.file.clone()]
            .into_iter()
            .chain(named)
            .chain(machine)
            .collect()
    }

    /// Reads the files that the options name.
    pub fn prepare(&self) -> Result<Prepared> {
        let _span = info_span!("read").entered();
        let config = Config::of_file(&self.file)?;
        let mut layer = Layer::load(&self.file)?;
        let search = self.search.over(config.as_ref(), None)?;
        let mut options = search.options()?;
        layer.pinned_at(search.places());
        options.search.time_limit = self.time_limit;
        let options = Options {
            passes: self.passes.clone(),
            dumps: self
                .dump
                .iter()
                .map(|d| dumps::dump_of(d).0.into())
                .collect(),
            stop_after: self.stop_after.clone(),
            ranks: How {
                layers: self.layers as usize,
                seed: self.interleaving,
            },
            ..options
        };
        let mut explicit = self.sizes.settings(&layer)?;
        let mut taken = vec![];
        let mut tensors = None;
        let mut settings = explicit.clone();
        if let Some(path) = &self.inputs {
            let found = data::load_inputs(path)?;
            let found = match layer.ranks() {
                None => vec![found],
                Some(param) => {
                    // The first dimension of every tensor is the ranks'.
                    let dimension = found.values().find_map(|t| t.shape.first().copied());
                    let given = explicit.get(&param).and_then(|n| usize::try_from(*n).ok());
                    let ranks = given.or(dimension).unwrap_or(1);
                    explicit.entry(param).or_insert(ranks as i64);
                    if !RANKS.contains(&ranks) {
                        // The graph says what is wrong with the number, before anything is made for as many.
                        layer.graph(&explicit)?;
                    }
                    (0..ranks)
                        .map(|rank| data::of_rank(&found, rank, ranks))
                        .collect::<Result<_>>()?
                }
            };
            let first = found.first().cloned().unwrap_or_default();
            settings = layer.settings_for(&explicit, &first)?;
            let new: Vec<String> = settings
                .iter()
                .filter(|(n, _)| !explicit.contains_key(*n))
                .map(|(n, v)| format!("{n}={v}"))
                .collect();
            if !new.is_empty() {
                taken.push(format!("{} from {}", new.join(" "), path.display()));
            }
            tensors = Some(found);
        }
        let options = Options {
            command: Some(self.emit_command(search.words(&settings, &options.pins))),
            ..options
        };
        let graph = self.sizes.graph(&layer, &settings)?;
        // Of what is refused, the refusal is enough.
        remark(&layer, &options);
        check_names(&graph, &options.pins).map_err(|e| layer.locate(e))?;
        let scalars: IndexMap<String, i64> = self
            .num_tokens
            .iter()
            .map(|n| ("num_tokens".into(), *n))
            .collect();
        data::check_scalars(&graph, &scalars)?;
        Ok(Prepared {
            layer,
            graph,
            options,
            tensors,
            scalars,
            taken,
            database: self.database.path(config.as_ref()),
            named: self.database.is_named(),
        })
    }

    /// The command that emits the same optimized kernels: these words, and what else kernels depend on.
    pub fn emit_command(&self, search: Vec<String>) -> String {
        let mut words = vec!["tilewright".to_owned(), "emit".into(), name(&self.file)];
        words.extend(search);
        let mut option = |option: &str, value: String| words.extend([format!("--{option}"), value]);
        if let Some(limit) = self.time_limit {
            option("time-limit", limit.as_secs_f64().to_string());
        }
        if let Some(passes) = &self.passes {
            option("passes", quoted(&passes.join(",")));
        }
        if let Some(rows) = &self.sizes.rows {
            option("rows", quoted(rows));
        }
        option("out", "DIR".into());
        if self.search.only_pins {
            words.push("--only-pins".into());
        }
        words.join(" ")
    }

    /// The command that makes a project, from the one that emits its kernels: with the options that data depend on.
    pub fn project_command(&self, emit: &str, no_data: bool) -> String {
        // The last one: a file may be called so.
        let (before, after) = emit.rsplit_once("--out DIR").unwrap_or((emit, ""));
        let mut words = vec![format!("{before}--project DIR{after}")];
        let mut option = |option: &str, value: String| words.extend([format!("--{option}"), value]);
        if let Some(n) = self.num_tokens {
            option("num-tokens", n.to_string());
        }
        if let Some(file) = &self.inputs {
            option("inputs", name(file));
        }
        if let Some(file) = &self.expect {
            option("expect", name(file));
        }
        if self.seed != 0 {
            option("seed", self.seed.to_string());
        }
        if no_data {
            words.push("--no-data".into());
        }
        words.join(" ")
    }

    /// The first option given that says how to make kernels from a graph.
    pub fn of_graphs(&self) -> Option<&'static str> {
        let given = [
            ("--set", !self.sizes.set.is_empty()),
            ("--layer-id", self.sizes.layer_id.is_some()),
            ("--pin", !self.search.pin.is_empty()),
            ("--pins", !self.search.pins.is_empty()),
            ("--only-pins", self.search.only_pins),
            ("--rules", !self.search.rules.is_empty()),
            ("--enable-rule", !self.search.enable_rule.is_empty()),
            ("--disable-rule", !self.search.disable_rule.is_empty()),
            ("--passes", self.passes.is_some()),
            ("--dump", !self.dump.is_empty()),
            ("--stop-after", self.stop_after.is_some()),
            ("--expect", self.expect.is_some()),
        ];
        given.into_iter().find(|g| g.1).map(|g| g.0)
    }

    /// Inputs and expectations of a run, and a line on each of them.
    pub fn data(&self, prepared: &Prepared) -> Result<(Data, Vec<String>)> {
        let mut notes = vec![];
        let ranks = prepared.graph.ranks();
        match &self.inputs {
            Some(path) => notes.push(format!("inputs from {}", path.display())),
            None if ranks == 1 => notes.push(format!("inputs generated with seed {}", self.seed)),
            None => {
                let last = self.seed + ranks as u64 - 1;
                notes.push(format!(
                    "inputs generated with seeds {} to {last}, one a rank",
                    self.seed
                ));
            }
        }
        notes.extend(prepared.taken.iter().cloned());
        let inputs = match &prepared.tensors {
            Some(tensors) => {
                let of_rank = |rank: usize| {
                    let source = Source::Given(tensors[rank].clone());
                    data::inputs(&prepared.graph, &source, &prepared.scalars)
                };
                (0..ranks).map(of_rank).collect::<Result<_>>()?
            }
            None => self.generated(&prepared.graph, &prepared.scalars)?,
        };
        let expected = match &self.expect {
            Some(path) => Some(data::load_expected(path, &prepared.graph)?),
            None => None,
        };
        if let Some(e) = &expected {
            notes.push(format!(
                "{} expected outputs from {}",
                e.ranks.first().map_or(0, |tensors| tensors.len()),
                e.path.display()
            ));
        }
        Ok((Data { inputs, expected }, notes))
    }

    /// Generated inputs of a graph, by rank.
    pub fn generated(
        &self,
        graph: &Graph,
        scalars: &IndexMap<String, i64>,
    ) -> Result<Vec<Tensors>> {
        let of_rank = |rank: usize| {
            let source = Source::Seed(self.seed.wrapping_add(rank as u64));
            data::inputs(graph, &source, scalars)
        };
        (0..graph.ranks()).map(of_rank).collect()
    }

    /// With `--stop-after`: the text of what that pass returned.
    pub fn stopped(&self, prepared: &Prepared) -> Result<Option<String>> {
        if self.stop_after.is_none() {
            return Ok(None);
        }
        let run = compile(&prepared.graph, Form::Optimized, &prepared.options)
            .map_err(|e| prepared.layer.locate(e))?;
        self.print_dumps(Form::Optimized, &run)?;
        Ok(Some(run.artifact.to_string()))
    }
}
