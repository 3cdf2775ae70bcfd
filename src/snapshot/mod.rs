//! Snapshots of the kernels of a layer: what is kept beside it under version control, so that a change of the schedule or of the
//! emitted text is seen, and accepted or not.
//!
//! [`of`] makes a [`Snapshot`]: plain texts by the names of their files. They depend on the layer and on how it is optimized, and not
//! on paths, versions, commands or (unless [`Contents::times`] asks for them) times. [`Kept`] is what a folder holds;
//! [`compare`] tells how the two differ, the [`Schedule`] before the text; [`Kept::accept`] replaces what is kept, whole or not at all.
//! A test in Rust can keep the texts as it keeps others:
//!
//! ```
//! use indexmap::IndexMap;
//! use tilewright::compile::Options;
//! use tilewright::layer::Layer;
//! use tilewright::snapshot::{self, Contents};
//! use tilewright_ir::machine::{DEFAULT_MACHINE, Machine};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let layer = Layer::parse("rms_norm.tw", include_bytes!("../../examples/rms_norm.tw"))?;
//! let graph = layer.graph(&IndexMap::from([("D".to_string(), 1024)]))?;
//! let options = Options::new(Machine::builtin(DEFAULT_MACHINE)?);
//! for (name, text) in snapshot::of(&graph, &options, &Contents::default())?.texts() {
//!     // insta::assert_snapshot!(name, text);
//!     assert!(!name.is_empty() && text.ends_with('\n'));
//! }
//! # Ok(())
//! # }
//! ```

mod diff;
mod kept;
mod schedule;

pub use crate::snapshot_error::SnapshotError;
pub use diff::{Difference, Fate, Part, Review, TextChange, compare, differences};
pub use kept::{FOLDER, Kept};
pub use schedule::{KernelSchedule, Schedule};

use crate::compile::Options;
use crate::error::Result;
use crate::folder::{PLAN, SCHEDULE};
use crate::form::Form;
use crate::run::compile_form;
use indexmap::IndexMap;
use tilewright_backends::emitter::{self, Emitter, Notes};
use tilewright_ir::graph::Graph;
use tilewright_passes::pass::Artifact;

/// What a snapshot holds.
#[derive(Debug, Clone, Copy)]
pub struct Contents {
    /// Which form is kept.
    pub form: Form,
    /// The language of the kernels.
    pub emitter: &'static Emitter,
    /// Whether the terms of every kernel are in it, as the search chose them.
    pub plan: bool,
    /// Whether predicted times are in its schedule.
    pub times: bool,
}

impl Default for Contents {
    /// The optimized kernels in C++.
    fn default() -> Self {
        Contents {
            form: Form::Optimized,
            emitter: &emitter::ALL[0],
            plan: false,
            times: false,
        }
    }
}

/// A layer's kernels as they are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// How the layer is scheduled.
    pub schedule: Schedule,
    /// The texts of all files but the schedule's, by their names.
    pub files: IndexMap<String, String>,
}

/// Makes the snapshot of a layer.
///
/// # Errors
///
/// What [`compile_form`] refuses, and an instruction that has no form in the language.
pub fn of(graph: &Graph, options: &Options, contents: &Contents) -> Result<Snapshot> {
    let options = &options.for_emitter(contents.emitter);
    let compiled = compile_form(graph, contents.form, options)?;
    // Without notes, which tell of commands, paths and times.
    let emitted = (contents.emitter.emit)(&compiled.program, &options.machine, &Notes::new())?;
    let mut files: IndexMap<String, String> =
        emitted.into_iter().map(|f| (f.path, f.text)).collect();
    if let Some(plan) = compiled.run.plan.as_ref().filter(|_| contents.plan) {
        let text = Artifact::Plan(plan.clone()).to_string();
        files.insert(PLAN.into(), text.trim_end().to_owned() + "\n");
    }
    files.sort_keys();
    Ok(Snapshot {
        schedule: Schedule::new(graph, &compiled, options, contents, files.keys()),
        files,
    })
}

impl Snapshot {
    /// All texts by the names of their files, the schedule first.
    pub fn texts(&self) -> IndexMap<String, String> {
        let schedule = (SCHEDULE.to_owned(), self.schedule.text());
        let files = self.files.iter().map(|(n, t)| (n.clone(), t.clone()));
        [schedule].into_iter().chain(files).collect()
    }
}
