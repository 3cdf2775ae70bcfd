//! Kernel programs in JSON, as the command saves them: after a pass, or beside the kernels that are emitted from them.
//!
//! A saved program is the program's own object with a few fields more: the pass that it comes from, where others follow that one, the
//! form, where it is known, and the sizes that it runs, where there are programs for many. A file may hold several, one after the
//! other: those of both forms, or of all sizes.

use crate::error::{Error, Result};
use crate::folder::{self, BESIDE};
use crate::form::Form;
use crate::layer::read_text;
use crate::place::is_stream;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use tilewright_backends::ascend::File;
use tilewright_ir::kernel::Program;
use tilewright_ir::machine::Machine;
use tilewright_passes::pass::{Artifact, Context, Manager, OPTIMIZED};

/// What lists kernels with their launches and arguments, for who starts them.
pub const MANIFEST: &str = "kernels.json";

/// A program that was saved.
#[derive(Debug, Clone)]
pub struct Saved {
    /// The program.
    pub program: Program,
    /// Which form it is, where the file says so.
    pub form: Option<Form>,
    /// The pass that it comes from; `None` for one that has been through all.
    pub stage: Option<String>,
    /// Which sizes it runs, where there are programs for many.
    pub sizes: Option<For>,
    /// The folder of kernels that it is beside.
    folder: Option<PathBuf>,
}

/// Which sizes a program runs, where there is one for each bucket of sizes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct For {
    /// The param whose values the sizes are.
    pub param: String,
    /// The smallest.
    pub from: i64,
    /// The largest, which the program is of.
    pub to: i64,
    /// What its schedule is pinned to.
    pub pins: Vec<String>,
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    form: Option<Form>,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    sizes: Option<&'a For>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'a str>,
    #[serde(flatten)]
    program: &'a Program,
}

/// The text of a program after a pass.
///
/// # Errors
///
/// A program that is no JSON, of which there is none.
pub fn text(program: &Program, form: Option<Form>, pass: &str) -> Result<String> {
    json(&Written {
        form,
        sizes: None,
        stage: (!rest(pass).is_empty()).then_some(pass),
        program,
    })
}

fn json(written: &Written) -> Result<String> {
    let program = written.program;
    let text = serde_json::to_string_pretty(written).map_err(|e| Error::Program {
        path: program.name.clone().into(),
        reason: e.to_string(),
    })?;
    Ok(text + "\n")
}

/// The program beside the kernels that are emitted from it.
///
/// # Errors
///
/// As [`text`].
pub fn beside(program: &Program, form: Form) -> Result<File> {
    Ok(File {
        path: BESIDE.into(),
        text: text(program, Some(form), OPTIMIZED[OPTIMIZED.len() - 1])?,
        lines: Default::default(),
    })
}

/// The programs of many sizes beside the kernels of all of them, each with the sizes that it runs: the table by which one is chosen.
///
/// # Errors
///
/// As [`text`].
pub fn beside_sizes(programs: &[(For, &Program)]) -> Result<File> {
    let one = |(sizes, program): &(For, &Program)| {
        json(&Written {
            form: Some(Form::Optimized),
            sizes: Some(sizes),
            stage: None,
            program,
        })
    };
    let all: Vec<String> = programs.iter().map(one).collect::<Result<_>>()?;
    Ok(File {
        path: BESIDE.into(),
        text: all.concat(),
        lines: Default::default(),
    })
}

/// The table by which kernels of many sizes are chosen: for each bucket its sizes and pins, and what `kernels.json` says of its kernels.
///
/// # Errors
///
/// As [`text`].
pub fn table_of_sizes(buckets: &[(For, &str)]) -> Result<File> {
    let wrong = |e: serde_json::Error| Error::Program {
        path: MANIFEST.into(),
        reason: e.to_string(),
    };
    let param = buckets.first().map_or("", |(sizes, _)| &sizes.param);
    let mut rows = vec![];
    for (sizes, manifest) in buckets {
        let mut row = Map::new();
        row.insert("from".into(), sizes.from.into());
        row.insert("to".into(), sizes.to.into());
        row.insert("pins".into(), sizes.pins.clone().into());
        let own: Map<String, Value> = serde_json::from_str(manifest).map_err(wrong)?;
        row.extend(own);
        rows.push(Value::Object(row));
    }
    let table = serde_json::json!({ "param": param, "sizes": rows });
    let text = serde_json::to_string_pretty(&table).map_err(wrong)?;
    Ok(File {
        path: MANIFEST.into(),
        text: text + "\n",
        lines: Default::default(),
    })
}

/// The programs in a file, or beside the kernels in a folder; `None` if the file holds none, but perhaps a graph.
///
/// # Errors
///
/// A folder without kernels, and [`Error::Program`] for JSON that begins as a program and is none.
pub fn read(path: &Path) -> Result<Option<Vec<Saved>>> {
    if path.is_dir() {
        folder::settle(path);
        let mut all = vec![];
        // `run` writes a folder a form, and a project has one for its kernels.
        let inner = ["written", "optimized", "kernels"].map(|name| path.join(name));
        for folder in [path.into()].into_iter().chain(inner) {
            if let Ok(text) = read_text(&folder.join(BESIDE)) {
                let found = parse(&folder.join(BESIDE), &text)?.unwrap_or_default();
                all.extend(found.into_iter().map(|saved| Saved {
                    folder: Some(folder.clone()),
                    ..saved
                }));
            }
        }
        return Ok((!all.is_empty()).then_some(all));
    }
    if !is_stream(path) && path.extension().is_none_or(|e| e != "json") {
        return Ok(None);
    }
    // What is wrong with the file itself, the graph's reader says.
    match read_text(path) {
        Ok(text) => parse(path, &text),
        Err(_) => Ok(None),
    }
}

/// The programs of a text.
///
/// # Errors
///
/// As [`read`].
pub fn parse(path: &Path, text: &str) -> Result<Option<Vec<Saved>>> {
    let wrong = |e: serde_json::Error| Error::Program {
        path: path.into(),
        reason: e.to_string(),
    };
    let mut all = vec![];
    for object in serde_json::Deserializer::from_str(text).into_iter::<Map<String, Value>>() {
        let is_program =
            |o: &Map<String, Value>| o.contains_key("kernels") && o.contains_key("machine");
        let mut object = match object {
            Ok(object) if is_program(&object) => object,
            Err(e) if !all.is_empty() => return Err(wrong(e).into()),
            _ => return Ok(None),
        };
        let form = object.remove("form");
        let sizes = object.remove("for");
        let stage = object.remove("stage");
        let program = serde_json::from_value(Value::Object(object)).map_err(wrong)?;
        let known = |f: &Form| form.as_ref().and_then(Value::as_str) == Some(f.name());
        all.push(Saved {
            program,
            form: Form::ALL.into_iter().find(known),
            stage: stage.and_then(|s| s.as_str().map(String::from)),
            // What an older tilewright wrote otherwise says nothing here.
            sizes: sizes.and_then(|s| serde_json::from_value(s).ok()),
            folder: None,
        });
    }
    Ok((!all.is_empty()).then_some(all))
}

/// The standard passes after one.
fn rest(pass: &str) -> &'static [&'static str] {
    match OPTIMIZED.iter().position(|p| *p == pass) {
        Some(at) => &OPTIMIZED[at + 1..],
        None => &[],
    }
}

impl Saved {
    /// What of the files beside it is missing, or no longer as it was written; the folder with a line each.
    pub fn unlike(&self) -> Option<(&Path, Vec<String>)> {
        let folder = self.folder.as_deref()?;
        let unlike = folder::unlike(folder);
        (!unlike.is_empty()).then_some((folder, unlike))
    }

    /// The program after the standard passes that are left, and where there were such, the pass that it came from.
    ///
    /// # Errors
    ///
    /// What a pass refuses.
    pub fn finished(&self, machine: &Machine) -> Result<(Program, Option<String>)> {
        let rest = self.stage.as_deref().map_or(&[][..], rest);
        // The last pass only looks, and the checker looks again.
        let [rest @ .., _] = rest else {
            return Ok((self.program.clone(), None));
        };
        if rest.is_empty() {
            return Ok((self.program.clone(), None));
        }
        let program = Artifact::Program(self.program.clone());
        let run = Manager::new().run(program, rest, &Context::new(machine.clone()))?;
        Ok((crate::compile::program(&run)?.clone(), self.stage.clone()))
    }

    /// Kernels in the program's folder that are not, but for comments, what is emitted for it.
    pub fn changed(&self, files: &[File]) -> Vec<String> {
        let Some(folder) = &self.folder else {
            return vec![];
        };
        let code = |text: &str| -> Vec<String> {
            let lines = text
                .lines()
                .map(|l| l.split("//").next().unwrap_or(l).trim());
            lines.filter(|l| !l.is_empty()).map(String::from).collect()
        };
        let kernels = files.iter().filter(|f| f.path.ends_with(".cpp"));
        let changed = kernels.filter(|f| match read_text(&folder.join(&f.path)) {
            Ok(text) => code(&text) != code(&f.text),
            // In another language, which is not compared.
            Err(_) => !folder
                .join(Path::new(&f.path).with_extension("py"))
                .exists(),
        });
        changed.map(|f| f.path.clone()).collect()
    }
}
