//! `--dump`: what passes return, on the standard error or in files.

use super::options::Common;
use super::progress;
use std::io::Write;
use std::path::Path;
use tilewright::error::{Error, Refusal, Result};
use tilewright::form::Form;
use tilewright::place::check_unread;
use tilewright::saved;
use tilewright_passes::pass::{Artifact, Manager, Run, Step};

impl Common {
    /// Prints the results of passes that were asked for.
    pub fn print_dumps(&self, form: Form, run: &Run) -> Result<()> {
        for dump in &self.dump {
            let (pass, path) = dump_of(dump);
            let step = run.steps.iter().find(|s| s.pass == pass);
            let Some((text, step)) = step.and_then(|s| Some((s.dump.as_ref()?, s))) else {
                continue;
            };
            let shown = format!("// {}, after pass `{pass}`\n{text}\n", form.name());
            match path {
                Some(path) if path.extension().is_some_and(|e| e == "json") => {
                    let json = as_json(form, step)?;
                    append_new(path, &json, &json)?;
                }
                Some(path) => append_new(path, &shown, &format!("\n{text}\n"))?,
                // Nobody listens: nothing to do about it.
                None => drop(progress::aside(|| {
                    std::io::stderr().write_all(shown.as_bytes())
                })),
            }
        }
        Ok(())
    }

    /// Empties the files that dumps go to, so that a run leaves only its own: once all names are those of passes.
    pub fn start_dumps(&self) -> Result<()> {
        let manager = Manager::new();
        for dump in &self.dump {
            manager.find(dump_of(dump).0)?;
        }
        let files = self.dump.iter().filter_map(|d| dump_of(d).1);
        for path in files.clone() {
            check_unread(&[("--dump", Some(path))], &self.files())?;
        }
        for path in files {
            std::fs::write(path, "").map_err(|e| unwritable(path, &e))?;
        }
        Ok(())
    }
}

/// What a pass returned, in JSON: graphs and programs as they are read again.
fn as_json(form: Form, step: &Step) -> Result<String> {
    match step.artifact.as_deref() {
        Some(Artifact::Program(program)) => saved::text(program, Some(form), &step.pass),
        Some(Artifact::Graph(graph)) => Ok(graph.to_json()? + "\n"),
        _ => Err(Error::NoJson {
            pass: step.pass.clone(),
        }
        .into()),
    }
}

/// The pass, and the file if one is named.
pub(super) fn dump_of(text: &str) -> (&str, Option<&Path>) {
    match text.split_once('=') {
        Some((pass, path)) => (pass, Some(Path::new(path))),
        None => (text, None),
    }
}

/// Appends to a dump, unless the same text (`own`) is its end: a graph that both forms share is there once, and the file is a layer.
fn append_new(path: &Path, text: &str, own: &str) -> Result<()> {
    match std::fs::read_to_string(path).is_ok_and(|there| there.ends_with(own)) {
        true => Ok(()),
        false => append(path, text),
    }
}

fn append(path: &Path, text: &str) -> Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(path)
        .map_err(|e| unwritable(path, &e))?;
    file.write_all(text.as_bytes())
        .map_err(|e| unwritable(path, &e))
}

fn unwritable(path: &Path, e: &std::io::Error) -> Refusal {
    Error::Write {
        path: path.into(),
        reason: e.to_string(),
    }
    .into()
}
