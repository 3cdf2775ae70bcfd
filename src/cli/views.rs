//! Files that show a run: a page for a browser, and a trace for Perfetto.

use super::output;
use std::path::{Path, PathBuf};
use tilewright::compile::Options;
use tilewright::detail::Details;
use tilewright::error::{Error, Result};
use tilewright::page;
use tilewright::run::Outcome;
use tilewright::trace::trace;
use tracing::info_span;

/// Which of them are written.
#[derive(Debug, clap::Args)]
pub struct ViewArgs {
    /// Writes a page for a browser: the graph of kernels, schedules, memory, pipes, cores, checks and source, in one file
    #[arg(
        long,
        value_name = "FILE.html",
        conflicts_with = "stop_after",
        help_heading = "Output"
    )]
    report: Option<PathBuf>,
    /// Writes when blocks and instructions run, and the flags between them, as a trace for ui.perfetto.dev
    #[arg(
        long,
        value_name = "FILE.json",
        conflicts_with = "stop_after",
        help_heading = "Output"
    )]
    trace: Option<PathBuf>,
}

impl ViewArgs {
    /// Whether anything is written.
    pub fn wanted(&self) -> bool {
        self.places().iter().any(|(_, path)| path.is_some())
    }

    /// The files, each with the option that names it.
    pub fn places(&self) -> [(&str, Option<&Path>); 2] {
        [
            ("--report", self.report.as_deref()),
            ("--trace", self.trace.as_deref()),
        ]
    }

    /// Writes what is wanted, and returns a line on each.
    ///
    /// # Errors
    ///
    /// What the system refuses to write.
    pub fn write(&self, outcome: &Outcome, options: &Options) -> Result<String> {
        if !self.wanted() {
            return Ok(String::new());
        }
        let _span = info_span!("views").entered();
        let details = Details::new(outcome, options);
        let mut lines = String::new();
        if let Some(path) = &self.report {
            let page = page::html(&outcome.report, &details);
            output::write(path, &page)?;
            lines.push_str(&format!("report: {}\n", path.display()));
        }
        if let Some(path) = &self.trace {
            let trace = trace(&outcome.report.graph, &details);
            let text = serde_json::to_string(&trace).map_err(|e| Error::Write {
                path: path.clone(),
                reason: e.to_string(),
            })?;
            output::write(path, &text)?;
            lines.push_str(&format!(
                "trace: {} (open it in ui.perfetto.dev)\n",
                path.display()
            ));
        }
        Ok(lines)
    }
}
