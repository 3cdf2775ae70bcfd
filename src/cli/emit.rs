//! `tilewright emit`: kernels to a folder.

use super::host::HostArgs;
use super::options::Common;
use super::{Ended, print, print_json};
use serde::Serialize;
use std::path::PathBuf;
use tilewright::error::{Error, Result};
use tilewright::folder::{self, Foreign};
use tilewright::report::Form;
use tilewright::run;
use tilewright_backends::emitter::{self, Emitter};

/// Writes the kernels of a layer to a folder
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// The folder, which is made with the folders above it; kernels from before are replaced
    #[arg(short = 'o', long = "out", value_name = "DIR", help_heading = "Output")]
    out: PathBuf,
    /// The language: `cpp`, PTO-ISA C++; `pypto`, PyPTO source in Python (docs/pypto.md)
    #[arg(
        long = "as",
        value_name = "EMITTER",
        default_value = "cpp",
        help_heading = "Output"
    )]
    language: String,
    /// The form as written instead of the optimized one
    #[arg(long, help_heading = "Output")]
    written: bool,
    /// Writes into a folder that holds other files too, which stay
    #[arg(long, help_heading = "Output")]
    force: bool,
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
}

pub fn main(args: &Args) -> Result<Ended> {
    let common = &args.common;
    let emitter = emitter(&args.language)?;
    if args.build && emitter.name != emitter::ALL[0].name {
        return Err(Error::NothingToBuild { name: emitter.name }.into());
    }
    let prepared = common.prepare()?;
    common.start_dumps()?;
    if let Some(text) = common.stopped(&prepared)? {
        print(&text)?;
        return Ok(Ended::Well);
    }
    let form = match args.written {
        true => Form::Written,
        false => Form::Optimized,
    };
    let compiled = run::compile_form(&prepared.graph, form, &prepared.options)
        .map_err(|e| prepared.layer.locate(e))?;
    common.print_dumps(form, &compiled.run)?;
    let files = run::emit_as(&compiled, &prepared.options.machine, emitter)?;
    if args.build {
        let host = args.host.host();
        host.build(&compiled.program, &files)?;
    }
    let foreign = match args.force {
        true => Foreign::Keep,
        false => Foreign::Refuse,
    };
    folder::write(&args.out, &files, foreign)?;
    let emitted = Emitted {
        graph: prepared.graph.name.clone(),
        machine: prepared.options.machine.name.clone(),
        form,
        language: emitter.name,
        folder: args.out.display().to_string(),
        files: files.into_iter().map(|f| f.path).collect(),
        built: args.build,
    };
    if common.json {
        print_json(&emitted)?;
        return Ok(Ended::Well);
    }
    let mut text = format!("{} {} in {}\n", emitted.graph, form.name(), emitted.folder);
    for file in &emitted.files {
        text.push_str(&format!("  {file}\n"));
    }
    if args.build {
        text.push_str("all kernels compile\n");
    }
    print(&text)?;
    Ok(Ended::Well)
}

/// The emitter that an option names.
fn emitter(name: &str) -> Result<&'static Emitter> {
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
