//! Files that show a run: a page for a browser, and a trace for Perfetto.

use std::path::{Path, PathBuf};
use tilewright::compile::Options;
use tilewright::detail::Details;
use tilewright::error::{Error, Result};
use tilewright::folder;
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
    fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.report, &self.trace]
            .into_iter()
            .flatten()
            .map(PathBuf::as_path)
    }

    /// Whether anything is written; refused before work is done for a place where no file can be.
    ///
    /// # Errors
    ///
    /// A folder of that name, a folder above it that is not there, and one name for both.
    pub fn wanted(&self) -> Result<bool> {
        for path in self.files() {
            let above = path.parent().filter(|p| !p.as_os_str().is_empty());
            let reason = match above {
                _ if path.is_dir() => Some("it is a folder".to_owned()),
                Some(above) if !above.is_dir() => Some(format!("{} is no folder", above.display())),
                _ if self.report == self.trace => {
                    Some("--report and --trace name the same file".into())
                }
                _ => None,
            };
            if let Some(reason) = reason {
                let path = path.into();
                return Err(Error::Write { path, reason }.into());
            }
        }
        Ok(self.files().next().is_some())
    }

    /// Writes what is wanted, and returns a line on each.
    ///
    /// # Errors
    ///
    /// What the system refuses to write.
    pub fn write(&self, outcome: &Outcome, options: &Options) -> Result<String> {
        if self.files().next().is_none() {
            return Ok(String::new());
        }
        let _span = info_span!("views").entered();
        let details = Details::new(outcome, options);
        let mut lines = String::new();
        if let Some(path) = &self.report {
            write(path, &page::html(&outcome.report, &details))?;
            lines.push_str(&format!("report: {}\n", path.display()));
        }
        if let Some(path) = &self.trace {
            let trace = trace(&outcome.report.graph, &details);
            let text = serde_json::to_string(&trace).map_err(|e| Error::Write {
                path: path.clone(),
                reason: e.to_string(),
            })?;
            write(path, &text)?;
            lines.push_str(&format!(
                "trace: {} (open it in ui.perfetto.dev)\n",
                path.display()
            ));
        }
        Ok(lines)
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    let failed = |e: std::io::Error| Error::Write {
        path: path.into(),
        reason: e.to_string(),
    };
    Ok(folder::replace(path, text.as_bytes()).map_err(failed)?)
}
