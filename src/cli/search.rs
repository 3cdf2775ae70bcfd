//! What kernels are made for and how they are searched: the options, what the configuration says, and what both come to.

use super::shell::{name, quoted};
use clap::builder::TypedValueParser;
use indexmap::IndexMap;
use std::path::{Path, PathBuf};
use tilewright::compile::Options;
use tilewright::config::{Config, Layer};
use tilewright::derived::derived;
use tilewright::error::{Error, Refusal, Result};
use tilewright::layer::PinPlace;
use tilewright::tune;
use tilewright_ir::machine::{DEFAULT_MACHINE, Machine};
use tilewright_passes::egraph::SearchOptions;
use tilewright_passes::egraph::rules::user::UserRules;
use tilewright_passes::numerics::Numerics;
use tilewright_passes::pass::PassError;
use tilewright_passes::search::pins::{Pin, PinError};
use toml::Spanned;

const PIN_HELP: &str = "\
Holds a parameter of a kernel at a value (repeatable)

KERNEL is a kernel as written, a part of one (`gate_mm`), or `*` for
all that have the parameter. PARAM is the name of a tile
(`gate.GATE_N_TILE=16`), or:
  launch    parallel, spmd
  pipeline  depth of its loops, 1 to 4
  blocks    how many blocks the launch has
  pad       inline, hoisted: where padding is initialised
  split_k   blocks that share the inner axis of a product, 1 for none
  mix       true, false: whether one launch does the kernel and the
            products that it reads
  feed      true, false: whether one launch does the kernel's product
            and what stores its operand
  reads     values between kernels that it may read: `x_norm+score`
  fuse      vector kernels that are one with it: `x_norm_quant`;
            `none`: it stays by itself
and what only a search would say, as `--write-pins` does
(docs/tune.md): unread, grid, stores, reduces, prefer, refine,
by_line, numerics, fill";

/// Options of what makes kernels.
#[derive(Debug, Clone, clap::Args)]
pub struct SearchArgs {
    /// What the kernels run on: a name that `tilewright machines` lists, or the path of a `.toml` file [default: A3]
    #[arg(long, value_name = "NAME", help_heading = "Machine and search")]
    pub machine: Option<String>,
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
    /// [default: reassociate]
    #[arg(long, value_name = "POLICY", value_parser = numerics(), help_heading = "Machine and search")]
    pub numerics: Option<Numerics>,
    /// Stops the search at this many e-nodes
    #[arg(long, value_name = "N", help_heading = "Machine and search")]
    pub node_limit: Option<usize>,
    /// Stops the search after this many iterations
    #[arg(long, value_name = "N", help_heading = "Machine and search")]
    pub iter_limit: Option<usize>,
    /// How many plans of different shapes the simulator picks from
    #[arg(long, value_name = "N", default_value_t = SearchOptions::default().candidates, value_parser = count, help_heading = "Machine and search")]
    pub candidates: usize,
    /// Pins of the configuration.
    #[arg(skip)]
    places: Vec<PinPlace>,
}

fn numerics() -> impl TypedValueParser<Value = Numerics> {
    clap::builder::PossibleValuesParser::new(Numerics::ALL.map(Numerics::name))
        .try_map(|s| s.parse::<Numerics>())
}

/// A parameter that is pinned at two values.
const TWICE: &str = "tilewright::pins::twice";

/// The most candidates that can be asked for.
const CANDIDATES: usize = 64;

fn count(text: &str) -> std::result::Result<usize, String> {
    let count = text.parse().ok().filter(|n| (1..=CANDIDATES).contains(n));
    count.ok_or_else(|| format!("`{text}` is not a whole number from 1 to {CANDIDATES}"))
}

impl SearchArgs {
    /// These options, and where they say nothing, what the configuration says: of a layer first, then its defaults.
    ///
    /// # Errors
    ///
    /// A machine, a runtime or a pin that is none, with its place in the configuration.
    pub fn over(&self, config: Option<&Config>, layer: Option<&Layer>) -> Result<Self> {
        let Some(config) = config else {
            return Ok(self.clone());
        };
        let defaults = &config.content.defaults;
        let said =
            |of: fn(&Layer) -> Option<&Spanned<String>>, default| layer.and_then(of).or(default);
        let mut all = self.clone();
        if let (None, Some(name)) = (
            &all.machine,
            said(|l| l.machine.as_ref(), defaults.machine.as_ref()),
        ) {
            let named = match is_file(name.get_ref()) {
                true => config
                    .resolve(Path::new(name.get_ref()))
                    .display()
                    .to_string(),
                false => name.get_ref().clone(),
            };
            machine(&named).map_err(|e| config.locate(name.span(), e))?;
            all.machine = Some(named);
        }
        if let (None, Some(name)) = (
            &all.runtime,
            said(|l| l.runtime.as_ref(), defaults.runtime.as_ref()),
        ) {
            all.runtime = Some(name.get_ref().clone());
            all.machine().map_err(|e| config.locate(name.span(), e))?;
        }
        let numerics = layer.and_then(|l| l.numerics);
        all.numerics = all.numerics.or(numerics).or(defaults.numerics);
        let limit = layer.and_then(|l| l.node_limit);
        all.node_limit = all.node_limit.or(limit).or(defaults.node_limit);
        let limit = layer.and_then(|l| l.iter_limit);
        all.iter_limit = all.iter_limit.or(limit).or(defaults.iter_limit);
        if let Some(layer) = layer {
            all.add(config, layer)?;
        }
        Ok(all)
    }

    /// Adds what a layer of the configuration holds and lists. A pin of an option takes the place of the same parameter's.
    fn add(&mut self, config: &Config, layer: &Layer) -> Result<()> {
        let param = |pin: &str| pin.split('=').next().unwrap_or_default().trim().to_owned();
        let mut own = vec![];
        for pin in &layer.pin {
            let text = pin.get_ref();
            let read = pins(std::slice::from_ref(text));
            let read = read.map_err(|e| config.locate(pin.span(), e))?;
            if !self.pin.iter().any(|p| param(p) == param(text)) {
                own.push(text.clone());
                let place = |read| config.place(read, pin.span());
                self.places.extend(read.into_iter().map(place));
            }
        }
        let paths =
            |all: &[PathBuf]| -> Vec<PathBuf> { all.iter().map(|p| config.resolve(p)).collect() };
        self.pin = [own, self.pin.clone()].concat();
        self.pins = [paths(&layer.pins), self.pins.clone()].concat();
        self.rules = [paths(&layer.rules), self.rules.clone()].concat();
        self.enable_rule.extend(layer.enable_rule.iter().cloned());
        self.disable_rule.extend(layer.disable_rule.iter().cloned());
        self.only_pins |= layer.only_pins;
        Ok(())
    }

    /// The file of the machine, where one names it.
    pub fn machine_file(&self) -> Option<PathBuf> {
        let machine = self.machine.as_ref().filter(|m| is_file(m));
        machine.map(PathBuf::from)
    }

    /// The machine that kernels are for, with the runtime that is asked for.
    pub fn machine(&self) -> Result<Machine> {
        self.on(machine(self.machine.as_deref().unwrap_or(DEFAULT_MACHINE))?)
    }

    /// A machine with the runtime that is asked for.
    pub fn on(&self, machine: Machine) -> Result<Machine> {
        match &self.runtime {
            Some(name) => Ok(machine.started_by(name)?),
            None => Ok(machine),
        }
    }

    /// How a graph is compiled with these options.
    pub fn options(&self) -> Result<Options> {
        Ok(Options {
            search: self.search()?,
            pins: self.all_pins()?,
            only_pins: self.only_pins,
            ..Options::new(self.machine()?)
        })
    }

    /// Where pins of files are said, but for those that an option says otherwise.
    pub fn places(&self) -> Vec<PinPlace> {
        let param = |pin: &str| pin.split('=').next().unwrap_or_default().trim().to_owned();
        let of_files = self.pins.iter().flat_map(|p| tune::pins::places(p));
        let configured = |pin: &str| self.places.iter().any(|p| param(&p.pin.to_string()) == pin);
        let of_options: Vec<String> = self.pin.iter().map(|p| param(p)).collect();
        let counts = |place: &PinPlace| {
            let name = param(&place.pin.to_string());
            !of_options.contains(&name) || configured(&name)
        };
        of_files.filter(counts).chain(self.places.clone()).collect()
    }

    /// A line on each parameter that is pinned at several values.
    pub fn pinned_twice(pins: &[Pin]) -> Vec<String> {
        let mut lines = vec![];
        for (i, pin) in pins.iter().enumerate() {
            let is_same = |p: &&Pin| (&p.kernel, p.param.name()) == (&pin.kernel, pin.param.name());
            // The last one counts, and tells of the one before.
            let before = pins[..i].iter().rfind(is_same).filter(|p| *p != pin);
            if let Some(before) = before.filter(|_| !pins[i + 1..].iter().any(|p| is_same(&p))) {
                lines.push(format!(
                    "{TWICE}: `{before}` does not count: `{pin}` is said after it (files come before options)"
                ));
            }
        }
        lines
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
            numerics: self.numerics.unwrap_or(default.numerics),
            disabled: self.disable_rule.iter().cloned().collect(),
            enabled: self.enable_rule.iter().cloned().collect(),
            rules: user_rules(&self.rules)?,
            node_limit: self.node_limit.unwrap_or(default.node_limit),
            iter_limit: self.iter_limit.unwrap_or(default.iter_limit),
            candidates: self.candidates,
            ..default
        })
    }

    /// Options and values of the command that makes the same kernels. Pins of files are named one by one.
    pub fn words(&self, settings: &IndexMap<String, i64>, pins: &[Pin]) -> Vec<String> {
        let mut words = vec![];
        let mut option = |option: &str, value: String| words.extend([format!("--{option}"), value]);
        if let Some(machine) = self.machine.as_ref().filter(|m| *m != DEFAULT_MACHINE) {
            let file = Path::new(machine);
            // A file is known by its ending.
            option(
                "machine",
                match file.extension().is_some_and(|e| e == "toml") {
                    true => name(file),
                    false => quoted(machine),
                },
            );
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
            option("rules", name(file));
        }
        let default = SearchOptions::default().numerics;
        if let Some(numerics) = self.numerics.filter(|n| *n != default) {
            option("numerics", numerics.name().into());
        }
        if let Some(n) = self.node_limit {
            option("node-limit", n.to_string());
        }
        if let Some(n) = self.iter_limit {
            option("iter-limit", n.to_string());
        }
        words
    }
}

/// Whether a machine is named by a file.
fn is_file(name: &str) -> bool {
    name.ends_with(".toml") || name.contains('/')
}

/// A built-in machine, or the one that a file describes.
pub fn machine(name: &str) -> Result<Machine> {
    if !is_file(name) {
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
    let refused = |e: PinError| derived(&e).unwrap_or_else(|| PassError::from(e).into());
    let read = |text: &String| text.parse().map_err(refused);
    Ok(texts
        .iter()
        .map(read)
        .collect::<std::result::Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[derive(clap::Parser)]
    struct Alone {
        #[command(flatten)]
        search: SearchArgs,
    }

    /// What the help calls the default is what is taken.
    #[test]
    fn the_help_names_the_defaults() {
        let command = Alone::command();
        let numerics = SearchOptions::default().numerics.name();
        for (option, default) in [("machine", DEFAULT_MACHINE), ("numerics", numerics)] {
            let arg = command.get_arguments().find(|a| a.get_id() == option);
            let help = arg
                .and_then(|a| a.get_help())
                .expect("it has a help")
                .to_string();
            assert!(help.ends_with(&format!("[default: {default}]")), "{help}");
        }
    }
}
