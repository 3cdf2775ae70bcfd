//! Records of measured times, and what they are times of.

use crate::compile::{Options, compile, program};
use crate::error::{Error, Result};
use crate::form::Form;
use crate::layer::Layer;
use crate::watch::Counter;
use indexmap::IndexMap;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use tilewright_ir::kernel::Program;
use tilewright_ir::machine::Machine;
use tilewright_passes::search::pins::Pin;
use tracing::info_span;

/// What kind of work a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Kernels of a vector core.
    Vector,
    /// Kernels of a product.
    Product,
    /// Exchanges between ranks.
    Exchange,
    /// Single kernels below 12 us.
    Small,
    /// Several kernels.
    Layer,
}

impl Family {
    /// All families.
    pub const ALL: [Family; 5] = [
        Family::Vector,
        Family::Product,
        Family::Exchange,
        Family::Small,
        Family::Layer,
    ];
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Vector => "vector",
            Family::Product => "product",
            Family::Exchange => "exchange",
            Family::Small => "small",
            Family::Layer => "layer",
        })
    }
}

/// What a time is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// One task on its core.
    Block,
    /// From the start of a kernel's first block to the end of its last one.
    Span,
    /// With what starting it takes.
    Kernel,
    /// All kernels of the layer, one after the other.
    Layer,
}

/// A table of records.
#[derive(Debug, Clone, Deserialize)]
pub struct Set {
    /// The records that a fit takes.
    #[serde(default)]
    pub record: Vec<Record>,
    /// Those that it does not take.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
}

/// A record that no fit takes, with the reason.
#[derive(Debug, Clone, Deserialize)]
pub struct LeftOut {
    /// The name of the record.
    pub id: String,
    /// Why it is left out.
    pub reason: String,
}

/// A measured time.
#[derive(Debug, Clone, Deserialize)]
pub struct Record {
    /// A name that no other record has.
    pub id: String,
    /// What kind of kernel it is of.
    pub family: Family,
    /// The layer, beside the table.
    pub file: String,
    /// Sizes of the layer.
    #[serde(default)]
    pub set: IndexMap<String, i64>,
    /// What the schedule holds, `KERNEL.PARAM=VALUE`.
    #[serde(default)]
    pub pin: Vec<String>,
    /// The kernel that was timed; none for a layer.
    pub kernel: Option<String>,
    /// What was timed.
    pub what: What,
    /// The time, in us.
    pub us: f64,
    /// The machine, by name.
    pub machine: String,
    /// Who started the kernels.
    pub runtime: String,
    /// The record of the same kernel with another schedule.
    pub pair: Option<String>,
    /// How well the source says what was measured.
    pub grade: String,
    /// Whether something of it had to be guessed.
    #[serde(default)]
    pub assumed: bool,
    /// Kernels that ran side by side on the chip; `*` stands for all. The others followed each other.
    #[serde(default)]
    pub beside: Vec<Vec<String>>,
    /// On the chip all kernels are parts of one launch.
    #[serde(default)]
    pub in_one: bool,
    /// The schedule that was timed is not known; the one that the search finds stands for it.
    #[serde(default)]
    pub searched: bool,
    /// Where the time was published.
    pub source: String,
    /// What is to be known of it.
    #[serde(default)]
    pub note: String,
}

/// A record with its kernels.
#[derive(Debug, Clone)]
pub struct Case {
    /// The name of the record.
    pub id: String,
    /// What kind of kernel it is of.
    pub family: Family,
    /// What was timed.
    pub what: What,
    /// The measured time, in us.
    pub us: f64,
    /// The machine, by name.
    pub machine: String,
    /// Who started the kernels.
    pub runtime: String,
    /// The record of the same kernel with another schedule.
    pub pair: Option<String>,
    /// How much it counts: less where something that matters is assumed.
    pub weight: f64,
    /// Where the time was published.
    pub source: String,
    /// What is to be known of it.
    pub note: String,
    /// The kernels, as they ran.
    pub program: Program,
    /// Whether the kernels are parts of one launch.
    pub in_one: bool,
    /// The kernels whose time it is: stages that follow each other, of kernels side by side.
    pub stages: Vec<Vec<usize>>,
}

/// Reads a table of records, and compiles what they are of. Files are named from the table's folder.
///
/// # Errors
///
/// A file that cannot be read, a table that is none, and what cannot be compiled.
pub fn load(path: &Path) -> Result<(Set, Vec<Case>)> {
    let set = Set::read(path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let _span = info_span!("records").entered();
    let counter = Counter::new("records", set.record.len());
    let cases: Result<Vec<Case>> = (set.record.par_iter())
        .map(|r| counter.one(case(folder, r)))
        .collect();
    let cases = cases?;
    Ok((set, cases))
}

impl Set {
    /// Reads a table of records.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, and a table that is none.
    pub fn read(path: &Path) -> Result<Set> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::Read {
            path: path.into(),
            reason: e.to_string(),
            help: "name a readable table of records, as examples/calibration/records.toml is"
                .into(),
        })?;
        let set = toml::from_str(&text).map_err(|e| Error::Calibration {
            reason: format!("{}: {}", path.display(), e.message()),
        })?;
        Ok(set)
    }
}

/// Compiles what a record is of; its file is in this folder.
///
/// # Errors
///
/// A file that cannot be read, and what cannot be compiled.
pub fn case(folder: &Path, record: &Record) -> Result<Case> {
    let layer = Layer::load(&folder.join(&record.file))?;
    let graph = layer.graph(&record.set)?;
    // Schedules do not depend on what is fitted.
    let machine = Machine::as_sourced(&record.machine)?.started_by(&record.runtime);
    let machine = machine.map_err(|e| Error::Calibration {
        reason: format!("record `{}`: {e}", record.id),
    })?;
    let mut options = Options::new(machine);
    options.only_pins = !record.searched;
    let pins = record.pin.iter().map(|p| p.parse::<Pin>());
    let pins: std::result::Result<Vec<Pin>, _> = pins.collect();
    options.pins = pins.map_err(|e| Error::Calibration {
        reason: format!("record `{}`: {e}", record.id),
    })?;
    let form = match record.pin.is_empty() && !record.searched {
        true => Form::Written,
        false => Form::Optimized,
    };
    let run = compile(&graph, form, &options)?;
    let program = program(&run)?.clone();
    let all = program.kernels.iter().enumerate();
    let kernels: Vec<usize> = all
        .filter(|(_, k)| {
            let wanted = record.kernel.as_ref();
            wanted.is_none_or(|w| k.covers.contains(w) || k.name == *w)
        })
        .map(|(i, _)| i)
        .collect();
    if kernels.is_empty() {
        return Err(Error::Calibration {
            reason: format!("record `{}` is of no kernel of {}", record.id, record.file),
        }
        .into());
    }
    let graded = if record.grade == "A" { 1.0 } else { 0.5 };
    Ok(Case {
        id: record.id.clone(),
        family: record.family,
        what: record.what,
        us: record.us,
        machine: record.machine.clone(),
        runtime: record.runtime.clone(),
        pair: record.pair.clone(),
        weight: if record.assumed { graded * 0.5 } else { graded },
        source: record.source.clone(),
        note: record.note.clone(),
        in_one: record.in_one,
        stages: stages(&program, &kernels, &record.beside),
        program,
    })
}

/// Kernels in order, those that run side by side as one stage.
fn stages(program: &Program, kernels: &[usize], beside: &[Vec<String>]) -> Vec<Vec<usize>> {
    let group = |k: usize| {
        let kernel = &program.kernels[k];
        let is =
            |name: &String| name == "*" || *name == kernel.name || kernel.covers.contains(name);
        beside.iter().position(|names| names.iter().any(is))
    };
    let mut stages: Vec<(Option<usize>, Vec<usize>)> = vec![];
    for k in kernels {
        let group = group(*k);
        let same = stages.iter_mut().find(|(g, _)| g.is_some() && *g == group);
        match same {
            Some((_, stage)) => stage.push(*k),
            None => stages.push((group, vec![*k])),
        }
    }
    stages.into_iter().map(|(_, stage)| stage).collect()
}
