//! Files that hold what a search decided: the layer with its schedule, and pins.

use super::database::warn;
use super::options::Prepared;
use super::output;
use std::path::{Path, PathBuf};
use tilewright::compile::Options;
use tilewright::error::Result;
use tilewright::run::Compiled;
use tilewright::tune::pins;
use tilewright::written;

/// Which of them are written.
#[derive(Debug, Default, clap::Args)]
pub struct WriteArgs {
    /// Writes the layer with the schedule that was found in its kernels: read again, it comes to the same kernels; `-`
    /// is the standard output, here and below, and the answer then goes to the standard error
    #[arg(
        long,
        value_name = "FILE.tw",
        conflicts_with = "stop_after",
        help_heading = "Output"
    )]
    write: Option<PathBuf>,
    /// Writes the schedule that was found to a file that every command takes with --pins
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "stop_after",
        help_heading = "Output"
    )]
    write_pins: Option<PathBuf>,
}

impl WriteArgs {
    /// Whether anything is written.
    pub fn wanted(&self) -> bool {
        self.places().iter().any(|(_, path)| path.is_some())
    }

    /// The files, each with the option that names it.
    pub fn places(&self) -> [(&str, Option<&Path>); 2] {
        [
            ("--write", self.write.as_deref()),
            ("--write-pins", self.write_pins.as_deref()),
        ]
    }

    /// Writes what is wanted, with a head for the file of pins. Returns whether all that was decided could be said; a warning names
    /// what could not.
    ///
    /// # Errors
    ///
    /// What the system refuses to write, and a schedule that does not compile when it is read again.
    pub fn write(
        &self,
        prepared: &Prepared,
        compiled: &Compiled,
        options: &Options,
        head: &str,
    ) -> Result<bool> {
        let mut all = true;
        if let Some(path) = &self.write {
            let (layer, graph) = (&prepared.layer, &prepared.graph);
            let (text, differ) = written::layer(layer, graph, compiled, options)?;
            output::write(path, &text)?;
            all &= told(&path.display().to_string(), &differ);
        }
        if let Some(path) = &self.write_pins {
            let found = written::pins(compiled);
            let differ = written::pinned(&prepared.graph, compiled, &found, options)?;
            output::write(path, &pins::text(head, &found))?;
            all &= told(&path.display().to_string(), &differ);
        }
        Ok(all)
    }
}

/// Whether nothing differs; a warning says what does.
pub fn told(what: &str, differ: &[String]) -> bool {
    if !differ.is_empty() {
        warn(&format!(
            "tilewright::write::differs: {} does not say all of the schedule that was found: read again, it comes to other kernels \
             in place of {}; what `emit` writes has these",
            what,
            differ.join(", ")
        ));
    }
    differ.is_empty()
}
