//! `tilewright emit`: kernels to a folder, or a whole project.

use super::host::HostArgs;
use super::options::{Common, Prepared};
use super::output::{self, Answer};
use super::{Ended, database, print, print_report};
use serde::Serialize;
use std::path::{Path, PathBuf};
use tilewright::compile::Options;
use tilewright::error::{Error, Result};
use tilewright::folder::{self, Foreign, Kind};
use tilewright::form::Form;
use tilewright::place::is_stream;
use tilewright::project::{Material, project};
use tilewright::run::{self, Compiled};
use tilewright::saved;
use tilewright::verify::{Verified, verify};
use tilewright_backends::emitter::{self, Emitter, File};
use tilewright_backends::npu;
use tilewright_ir::kernel::Unit;

/// Writes the kernels of a layer to a folder, or a project that runs them on an NPU
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("where").required(true).args(["out", "project"]))]
#[command(after_help = super::examples::EMIT)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// The folder, which is made with the folders above it; kernels from before are replaced. `-` prints them instead, without
    /// what only programs read
    #[arg(short = 'o', long = "out", value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    /// A folder for a project instead: the kernels, a launcher that runs, compares and times them on an NPU, inputs and
    /// expected outputs, and how CANN builds it; a project from before is replaced
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    project: Option<PathBuf>,
    /// Writes a project without inputs and expected outputs, whatever their size; the project's README.md says where they go
    #[arg(long, requires = "project", conflicts_with_all = ["out", "inputs", "seed"], help_heading = "Output")]
    no_data: bool,
    /// The language: `cpp`, PTO-ISA C++; `pypto`, PyPTO source in Python (docs/pypto.md)
    #[arg(
        long = "as",
        value_name = "EMITTER",
        conflicts_with = "project",
        default_value = "cpp",
        help_heading = "Output"
    )]
    language: String,
    /// The form as written instead of the optimized one
    #[arg(long, help_heading = "Output")]
    written: bool,
    /// Writes into a folder that holds other files too, which stay, and over files of ours that were changed
    #[arg(long, help_heading = "Output")]
    force: bool,
    /// Writes kernels whose outputs were not compared with the interpreter's
    #[arg(long, help_heading = "Backend")]
    no_verify: bool,
    /// Compiles every C++ kernel with this system's C++ compiler before it is written
    #[arg(long, help_heading = "Backend")]
    build: bool,
    #[command(flatten)]
    host: HostArgs,
}

/// What was written.
#[derive(Debug, Serialize)]
struct Emitted {
    graph: String,
    machine: String,
    form: Form,
    language: &'static str,
    folder: String,
    files: Vec<String>,
    /// Whether a compiler has seen the kernels.
    built: bool,
    /// At which sizes their outputs were compared; absent with --no-verify.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    verified: Option<Verified>,
    /// Where the data of a project came from, a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<String>,
    /// What was taken from the database of schedules, a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tuned: Vec<String>,
}

/// Why kernels can be others than those of `run`.
const APART: &str = "note: what is written has no launches on both core types, so `run` may show fewer and faster kernels\n";

pub fn main(args: &Args) -> Result<Ended> {
    let common = &args.common;
    let emitter = emitter(&args.language)?;
    if args.build && emitter.name != emitter::ALL[0].name {
        return Err(Error::NothingToBuild { name: emitter.name }.into());
    }
    let said_to = args.said_to()?;
    let mut prepared = common.prepare()?;
    let (options, units) = match args.project {
        Some(_) => (prepared.options.for_units(&npu::UNITS), &npu::UNITS[..]),
        None => (prepared.options.for_emitter(emitter), emitter.units),
    };
    prepared.options = options;
    common.start_dumps()?;
    if let Some(text) = common.stopped(&prepared)? {
        print(&text)?;
        return Ok(Ended::Well);
    }
    let form = match args.written {
        true => Form::Written,
        false => Form::Optimized,
    };
    let compile = |options: &Options| {
        let Prepared {
            layer,
            graph,
            scalars,
            ..
        } = &prepared;
        let compiled = run::compile_form(graph, form, options).map_err(|e| layer.locate(e))?;
        let check = || verify(layer, graph, &compiled, options, scalars);
        let verified = (!args.no_verify).then(check).transpose()?;
        Ok((compiled, verified))
    };
    let ((compiled, verified), tuned) = match form {
        Form::Optimized => database::best(&prepared, args.on(), compile, |_| true)?,
        // What is written was not tuned.
        Form::Written => (compile(&prepared.options)?, vec![]),
    };
    common.print_dumps(form, &compiled.run)?;
    let mut files = run::emit_as(&compiled, &prepared.options.machine, emitter)?;
    if args.build {
        let host = args.host.host();
        host.build(&compiled.program, &files)?;
    }
    files.push(saved::beside(&compiled.program, form)?);
    let folder = args.project.as_ref().or(args.out.as_ref());
    let folder = folder.map_or_else(PathBuf::new, Clone::clone);
    let (paths, inputs) = match args.project {
        Some(_) => write_project(args, &prepared, &compiled, &files, &folder)?,
        None => {
            match said_to {
                Answer::Err => print(&sources(&files))?,
                Answer::Out => folder::write(&folder, &files, args.foreign())?,
            }
            (files.into_iter().map(|f| f.path).collect(), vec![])
        }
    };
    let emitted = Emitted {
        graph: prepared.graph.name.clone(),
        machine: prepared.options.machine.name.clone(),
        form,
        language: emitter.name,
        folder: folder.display().to_string(),
        files: paths,
        built: args.build,
        verified,
        inputs,
        tuned,
    };
    if common.json {
        print_report(&emitted)?;
        return Ok(Ended::Well);
    }
    let apart = form == Form::Optimized && !units.contains(&Unit::Mixed);
    said_to.print(&text(&emitted, said_to, apart))?;
    Ok(Ended::Well)
}

/// What was written, and where. `apart` says that there are no launches on both core types.
fn text(emitted: &Emitted, said_to: Answer, apart: bool) -> String {
    let place = match said_to {
        Answer::Err => "the standard output",
        Answer::Out => &emitted.folder,
    };
    let form = emitted.form.name();
    let mut text = format!("{} {form} in {place}\n", emitted.graph);
    for file in emitted.files.iter().filter(|_| said_to == Answer::Out) {
        text.push_str(&format!("  {file}\n"));
    }
    for line in emitted.inputs.iter().chain(&emitted.tuned) {
        text.push_str(&format!("{line}\n"));
    }
    if let Some(verified) = &emitted.verified {
        text.push_str(&format!("{verified}\n"));
    }
    if emitted.built {
        text.push_str("all kernels compile\n");
    }
    if apart {
        text.push_str(APART);
    }
    text
}

/// The kernels as text, one after the other, without what only programs read.
fn sources(files: &[File]) -> String {
    let kernels = files.iter().filter(|f| !f.path.ends_with(".json"));
    let texts: Vec<&str> = kernels.map(|f| f.text.as_str()).collect();
    texts.join("\n")
}

impl Args {
    /// What the kernels are to run on: nothing that a host's times tell of.
    fn on(&self) -> &'static str {
        match self.project {
            Some(_) => "npu",
            None => "sim",
        }
    }

    /// Where the answer goes: the standard output may have the kernels.
    fn said_to(&self) -> Result<Answer> {
        if let Some(path) = self.project.clone().filter(|p| is_stream(p)) {
            let reason = "a project is a folder".into();
            return Err(Error::Write { path, reason }.into());
        }
        output::streams(&[("--out", self.out.as_deref())], self.common.json)
    }

    fn foreign(&self) -> Foreign {
        match self.force {
            true => Foreign::Keep,
            false => Foreign::Refuse,
        }
    }
}

/// The paths of a project, and lines on where its data came from.
fn write_project(
    args: &Args,
    prepared: &Prepared,
    compiled: &Compiled,
    kernels: &[File],
    folder: &Path,
) -> Result<(Vec<String>, Vec<String>)> {
    npu::supported(&compiled.program, !args.no_data)?;
    let (material, notes) = match args.no_data {
        true => {
            let none = Material::without_data(&compiled.program, &prepared.scalars);
            (none, vec![])
        }
        false => {
            let (data, notes) = args.common.data(prepared)?;
            (Material::new(&prepared.graph, &data)?, notes)
        }
    };
    let command = compiled.command.as_ref();
    let command = command.map(|c| args.common.project_command(c, args.no_data));
    let files = project(
        &prepared.graph,
        compiled,
        kernels,
        command.as_deref(),
        &material,
    )?;
    folder::write_tree(folder, &files, Kind::Project, args.foreign())?;
    Ok((files.into_iter().map(|f| f.path).collect(), notes))
}

/// The emitter that an option names.
pub(super) fn emitter(name: &str) -> Result<&'static Emitter> {
    emitter::find(name).ok_or_else(|| {
        let known: Vec<String> = emitter::ALL
            .iter()
            .map(|e| format!("`{}` ({})", e.name, e.about))
            .collect();
        Error::NoEmitter {
            name: name.into(),
            known: known.join(", "),
        }
        .into()
    })
}
