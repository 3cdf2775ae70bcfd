//! The options that subcommands over a graph share, and what they stand for.

use super::database::DatabaseArgs;
use super::dumps;
use super::shell::{path, quoted};
use clap::builder::TypedValueParser;
use indexmap::IndexMap;
use std::path::PathBuf;
use std::time::Duration;
use tilewright::compile::{Options, compile};
use tilewright::data::{self, Data, Source};
use tilewright::error::{Error, Refusal, Result};
use tilewright::form::Form;
use tilewright::layer::Layer;
use tilewright::ranks::How;
use tilewright::tune;
use tilewright_backends::data::Tensors;
use tilewright_ir::graph::Graph;
use tilewright_ir::machine::{DEFAULT_MACHINE, Machine};
use tilewright_ir::op::exchange::RANKS;
use tilewright_passes::egraph::SearchOptions;
use tilewright_passes::egraph::rules::user::UserRules;
use tilewright_passes::numerics::Numerics;
use tilewright_passes::pass::PassError;
use tilewright_passes::search::pins::{Pin, PinError};
use tracing::info_span;

const PIN_HELP: &str = "\
Holds a parameter of a kernel at a value (repeatable)

KERNEL is a kernel as written, or `*` for all that have the parameter. PARAM is the name of a tile (`gate.GATE_N_TILE=16`), or:
  launch    parallel, spmd
  pipeline  depth of its loops, 1 to 4
  blocks    how many blocks the launch has
  pad       inline, hoisted: where padding is initialised
  split_k   blocks that share the inner axis of a product, 1 for none
  mix       true, false: whether one launch does the kernel and the products that it reads
  feed      true, false: whether one launch does the kernel's product and what stores its operand
  reads     values between kernels that it may read: `reads=x_norm+score`";

/// Options of every subcommand over a graph.
#[derive(Debug, clap::Args)]
pub struct Common {
    /// The layer graph: text (`.tw`), or JSON (`.json`)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What the kernels run on: a name that `tilewright machines` lists, or the path of a `.toml` file
    #[arg(long, value_name = "NAME", default_value = DEFAULT_MACHINE, help_heading = "Machine and search")]
    pub machine: String,
    /// Who starts kernels, as far as the machine's file has figures of it: `pypto`, its own default, or `cann`
    #[arg(long, value_name = "NAME", help_heading = "Machine and search")]
    pub runtime: Option<String>,
    #[arg(long, value_name = "KERNEL.PARAM=VALUE", long_help = PIN_HELP, help = PIN_HELP.lines().next(), help_heading = "Machine and search")]
    pub pin: Vec<String>,
    /// Takes pins from a file, too, as `tilewright tune --write-pins` makes it: a pin a line (repeatable)
    #[arg(long, value_name = "FILE", help_heading = "Machine and search")]
    pub pins: Vec<PathBuf>,
    /// Keeps everything that is not pinned as it is written
    #[arg(long, help_heading = "Machine and search")]
    pub only_pins: bool,
    /// Searches with an optional rule that `tilewright rules` lists (repeatable)
    #[arg(long, value_name = "NAME", help_heading = "Machine and search")]
    pub enable_rule: Vec<String>,
    /// Searches without a rule that `tilewright rules` lists (repeatable)
    #[arg(long, value_name = "NAME", help_heading = "Machine and search")]
    pub disable_rule: Vec<String>,
    /// Searches with the rules of a file, too; docs/writing-rules.md says how to write one (repeatable)
    #[arg(long, value_name = "FILE", help_heading = "Machine and search")]
    pub rules: Vec<PathBuf>,
    /// What rules may do to the numbers: keep every bit, sum in another order, or drop intermediate roundings
    #[arg(long, value_name = "POLICY", default_value = "reassociate", value_parser = numerics(), help_heading = "Machine and search")]
    pub numerics: Numerics,
    /// Stops the search at this many e-nodes
    #[arg(long, value_name = "N", help_heading = "Machine and search")]
    pub node_limit: Option<usize>,
    /// Stops the search after this many iterations
    #[arg(long, value_name = "N", help_heading = "Machine and search")]
    pub iter_limit: Option<usize>,
    /// Stops the search after this many seconds; results then differ from machine to machine
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true, help_heading = "Machine and search")]
    pub time_limit: Option<Duration>,
    /// How many plans of different shapes the simulator picks from
    #[arg(long, value_name = "N", default_value_t = SearchOptions::default().candidates, value_parser = count, help_heading = "Machine and search")]
    pub candidates: usize,
    /// Sets a param of the graph (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting, allow_hyphen_values = true, help_heading = "Sizes and data")]
    pub set: Vec<(String, i64)>,
    /// Sets the param `layer_id`
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Sizes and data"
    )]
    pub layer_id: Option<i64>,
    /// Ranks that run the layer together, where it says `ranks`: 2, 4, 8, 16 or 32
    #[arg(long, value_name = "N", help_heading = "Sizes and data")]
    pub ep: Option<i64>,
    /// Rows that an expert can receive: what the file says, which is the worst case in our examples, or `fixed:N`
    #[arg(long, value_name = "worst-case|fixed:N", value_parser = capacity, help_heading = "Sizes and data")]
    pub capacity: Option<Capacity>,
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

fn numerics() -> impl TypedValueParser<Value = Numerics> {
    clap::builder::PossibleValuesParser::new(Numerics::ALL.map(Numerics::name))
        .try_map(|s| s.parse::<Numerics>())
}

pub(super) fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| format!("`{text}` is not a number"))?;
    Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())
}

/// How many rows an expert can receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capacity {
    WorstCase,
    Fixed(i64),
}

fn capacity(text: &str) -> std::result::Result<Capacity, String> {
    if text == "worst-case" {
        return Ok(Capacity::WorstCase);
    }
    let rows = text.strip_prefix("fixed:").and_then(|n| n.parse().ok());
    match rows {
        Some(n) if n > 0 => Ok(Capacity::Fixed(n)),
        _ => Err("write worst-case, or fixed:N with N rows of an expert, at least 1".into()),
    }
}

/// The most candidates that can be asked for.
const CANDIDATES: usize = 64;

fn count(text: &str) -> std::result::Result<usize, String> {
    let count = text.parse().ok().filter(|n| (1..=CANDIDATES).contains(n));
    count.ok_or_else(|| format!("`{text}` is not a whole number from 1 to {CANDIDATES}"))
}

fn setting(text: &str) -> std::result::Result<(String, i64), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("write NAME=VALUE, for example D=1024")?;
    let value = value.trim();
    let number = value
        .parse()
        .map_err(|_| format!("`{value}` is not a whole number below 2^63"))?;
    Ok((name.trim().into(), number))
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
}

impl Common {
    /// Reads the files that the options name.
    pub fn prepare(&self) -> Result<Prepared> {
        let _span = info_span!("read").entered();
        let layer = Layer::load(&self.file)?;
        let options = Options {
            search: self.search()?,
            pins: self.all_pins()?,
            only_pins: self.only_pins,
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
            ..Options::new(self.on(machine(&self.machine)?)?)
        };
        let mut explicit = self.settings(&layer)?;
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
            command: Some(self.emit_command(&settings, &options.pins)),
            ..options
        };
        let graph = layer.graph(&settings)?;
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
        })
    }

    /// A machine with the runtime that is asked for.
    pub fn on(&self, machine: Machine) -> Result<Machine> {
        match &self.runtime {
            Some(name) => Ok(machine.started_by(name)?),
            None => Ok(machine),
        }
    }

    /// The command that emits the same optimized kernels: these options and settings as far as kernels depend on them.
    fn emit_command(&self, settings: &IndexMap<String, i64>, pins: &[Pin]) -> String {
        let mut words = vec!["tilewright".to_owned(), "emit".into(), path(&self.file)];
        let mut option = |name: &str, value: String| words.extend([format!("--{name}"), value]);
        if self.machine != DEFAULT_MACHINE {
            option("machine", quoted(&self.machine));
        }
        if let Some(runtime) = &self.runtime {
            option("runtime", quoted(runtime));
        }
        for (name, value) in settings {
            option("set", format!("{name}={value}"));
        }
        for pin in pins {
            option("pin", quoted(&pin.to_string()));
        }
        for rule in &self.enable_rule {
            option("enable-rule", quoted(rule));
        }
        for rule in &self.disable_rule {
            option("disable-rule", quoted(rule));
        }
        for file in &self.rules {
            option("rules", path(file));
        }
        if self.numerics != SearchOptions::default().numerics {
            option("numerics", self.numerics.name().into());
        }
        if let Some(n) = self.node_limit {
            option("node-limit", n.to_string());
        }
        if let Some(n) = self.iter_limit {
            option("iter-limit", n.to_string());
        }
        if let Some(limit) = self.time_limit {
            option("time-limit", limit.as_secs_f64().to_string());
        }
        if let Some(passes) = &self.passes {
            option("passes", quoted(&passes.join(",")));
        }
        option("out", "DIR".into());
        if self.only_pins {
            words.push("--only-pins".into());
        }
        words.join(" ")
    }

    /// The command that makes a project, from the one that emits its kernels: with the options that data depend on.
    pub fn project_command(&self, emit: &str, no_data: bool) -> String {
        // The last one: a file may be called so.
        let (before, after) = emit.rsplit_once("--out DIR").unwrap_or((emit, ""));
        let mut words = vec![format!("{before}--project DIR{after}")];
        let mut option = |name: &str, value: String| words.extend([format!("--{name}"), value]);
        if let Some(n) = self.num_tokens {
            option("num-tokens", n.to_string());
        }
        if let Some(file) = &self.inputs {
            option("inputs", path(file));
        }
        if let Some(file) = &self.expect {
            option("expect", path(file));
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
            ("--set", !self.set.is_empty()),
            ("--layer-id", self.layer_id.is_some()),
            ("--pin", !self.pin.is_empty()),
            ("--pins", !self.pins.is_empty()),
            ("--only-pins", self.only_pins),
            ("--rules", !self.rules.is_empty()),
            ("--enable-rule", !self.enable_rule.is_empty()),
            ("--disable-rule", !self.disable_rule.is_empty()),
            ("--passes", self.passes.is_some()),
            ("--dump", !self.dump.is_empty()),
            ("--stop-after", self.stop_after.is_some()),
            ("--expect", self.expect.is_some()),
        ];
        given.into_iter().find(|g| g.1).map(|g| g.0)
    }

    /// Pins of files, and those of the command line after them.
    fn all_pins(&self) -> Result<Vec<Pin>> {
        let mut all = vec![];
        for file in &self.pins {
            all.extend(tune::pins::read(file)?);
        }
        all.extend(pins(&self.pin)?);
        Ok(all)
    }

    fn search(&self) -> Result<SearchOptions> {
        let default = SearchOptions::default();
        Ok(SearchOptions {
            numerics: self.numerics,
            disabled: self.disable_rule.iter().cloned().collect(),
            enabled: self.enable_rule.iter().cloned().collect(),
            rules: user_rules(&self.rules)?,
            node_limit: self.node_limit.unwrap_or(default.node_limit),
            iter_limit: self.iter_limit.unwrap_or(default.iter_limit),
            time_limit: self.time_limit,
            candidates: self.candidates,
            ..default
        })
    }

    /// Params that the command line sets.
    fn settings(&self, layer: &Layer) -> Result<IndexMap<String, i64>> {
        let params = layer.params();
        if self.layer_id.is_some() && !params.iter().any(|p| p == "layer_id") {
            return Err(Error::NoLayerId {
                graph: layer.name.clone(),
                known: params.join(", "),
            }
            .into());
        }
        let ep = match (self.ep, layer.ranks()) {
            (None, _) => None,
            (Some(n), Some(param)) => Some((param, n)),
            (Some(_), None) => {
                return Err(Error::NoRanks {
                    graph: layer.name.clone(),
                }
                .into());
            }
        };
        let capacity = match (&self.capacity, layer.capacity()) {
            (None | Some(Capacity::WorstCase), _) => None,
            (Some(Capacity::Fixed(n)), Some(param)) => Some((param, *n)),
            (Some(_), None) => {
                return Err(Error::NoCapacity {
                    graph: layer.name.clone(),
                }
                .into());
            }
        };
        let layer_id = self.layer_id.map(|n| ("layer_id".to_string(), n));
        let given: Vec<(String, i64)> = [layer_id, ep, capacity].into_iter().flatten().collect();
        let mut settings = IndexMap::new();
        for (name, value) in self.set.iter().cloned().chain(given) {
            match settings.get(&name) {
                Some(first) if *first != value => {
                    return Err(Error::ConflictingOptions {
                        name,
                        first: *first,
                        second: value,
                    }
                    .into());
                }
                _ => settings.insert(name, value),
            };
        }
        Ok(settings)
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

/// A built-in machine, or the one that a file describes.
pub fn machine(name: &str) -> Result<Machine> {
    if !name.ends_with(".toml") && !name.contains('/') {
        return Ok(Machine::builtin(name)?);
    }
    let text = std::fs::read_to_string(name).map_err(|e| Error::Read {
        path: name.into(),
        reason: e.to_string(),
        help: "name a machine that `tilewright machines` lists, or a readable TOML file".into(),
    })?;
    Machine::from_toml(&text).map_err(|e| Refusal::from(e).within(name, &text))
}

/// The rules of these files.
pub fn user_rules(paths: &[PathBuf]) -> Result<UserRules> {
    let mut rules = UserRules::default();
    for path in paths {
        let text = std::fs::read_to_string(path).map_err(|e| Error::Read {
            path: path.into(),
            reason: e.to_string(),
            help: "name a readable text file of rules".into(),
        })?;
        let added = rules.add(&text);
        added.map_err(|e| Refusal::from(e).within(&path.display().to_string(), &text))?;
    }
    Ok(rules)
}

/// Pins from their texts.
///
/// # Errors
///
/// A text that is no pin, or a value that is none.
pub(super) fn pins(texts: &[String]) -> Result<Vec<Pin>> {
    let read = |text: &String| text.parse().map_err(|e: PinError| PassError::from(e));
    Ok(texts
        .iter()
        .map(read)
        .collect::<std::result::Result<_, _>>()?)
}
