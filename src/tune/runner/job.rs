//! A trial as a folder: what a command is given, and what it gives back.
//!
//! | file | holds |
//! |---|---|
//! | `job.json` | what is to be measured, and how often |
//! | `program.json` | the kernels as a program, as `emit` puts it beside them |
//! | `*.cpp` | the kernels as text |
//! | `inputs.safetensors` | what they compute on |
//! | `result.json` | written by the command, at the end: times in us, and where |
//! | `outputs.safetensors` | written by the command, before: what the kernels computed |

use super::{Failure, Trial, TrialData};
use crate::error::{Error, Result};
use crate::form::Form;
use crate::{saved, tune::TuneError};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;
use tilewright_backends::ascend::{Notes, emit_with_notes};
use tilewright_backends::backend::{Backend, Job as BackendJob};
use tilewright_backends::data;
use tilewright_ir::machine::Machine;

/// The file of a trial that says what it is.
pub const JOB: &str = "job.json";
/// The file of a trial that says what came of it.
pub const RESULT: &str = "result.json";
/// The file of a trial that holds outputs.
pub const OUTPUTS: &str = "outputs.safetensors";
const INPUTS: &str = "inputs.safetensors";
const MACHINE: &str = "machine.json";

/// What a command is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub hash: String,
    pub name: String,
    /// In the order in which they run.
    pub kernels: Vec<String>,
    pub repeats: usize,
    /// Machines that keep failing: work should not go there.
    pub exclude: Vec<String>,
}

/// What a command has to say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// That of the job.
    pub hash: String,
    /// All times, in us.
    #[serde(default)]
    pub times_us: Vec<f64>,
    /// The machine that measured.
    #[serde(default)]
    pub host: String,
    /// Why there are no times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Writes what a trial is into a folder, the job last: a folder with a job is complete.
pub(super) fn write(folder: &Path, trial: &Trial, asked: &Asked) -> io::Result<()> {
    let other = |e: &dyn std::fmt::Display| io::Error::other(e.to_string());
    fs::create_dir_all(folder)?;
    let files = emit_with_notes(trial.program, trial.machine, &Notes::new());
    for file in files.map_err(|e| other(&e))? {
        let path = folder.join(&file.path);
        if let Some(above) = path.parent() {
            fs::create_dir_all(above)?;
        }
        fs::write(path, file.text)?;
    }
    let program = saved::beside(trial.program, Form::Optimized);
    fs::write(
        folder.join("program.json"),
        program.map_err(|e| other(&e))?.text,
    )?;
    fs::write(folder.join(MACHINE), serde_json::to_string(trial.machine)?)?;
    if let Some(given) = trial.data {
        data::save(folder.join(INPUTS), &given.inputs).map_err(|e| other(&e))?;
    }
    let new = folder.join("job.json.new");
    fs::write(&new, serde_json::to_string_pretty(asked)?)?;
    fs::rename(new, folder.join(JOB))
}

/// What a command left in a folder for this job; none where it left nothing that can be read.
pub(super) fn read(folder: &Path, asked: &Asked) -> std::result::Result<Outcome, Failure> {
    let broken = |why: String| Failure::Broken(why);
    let text = fs::read_to_string(folder.join(RESULT));
    let text = text.map_err(|e| broken(format!("there is no {RESULT}: {e}")))?;
    let found: Outcome =
        serde_json::from_str(&text).map_err(|e| broken(format!("{RESULT} is no result: {e}")))?;
    if found.hash != asked.hash {
        return Err(broken(format!("{RESULT} is of another job")));
    }
    if let Some(error) = found.error {
        return Err(broken(error));
    }
    let sane = |t: &f64| t.is_finite() && *t > 0.0;
    match found.times_us.is_empty() || !found.times_us.iter().all(sane) {
        true => Err(broken(format!(
            "{RESULT} has no times: {:?}",
            found.times_us
        ))),
        false => Ok(found),
    }
}

/// The outputs beside a result, compared with what is expected.
pub(super) fn checked(
    folder: &Path,
    trial: &Trial,
    expected: &TrialData,
) -> std::result::Result<(), Failure> {
    let found = data::load(folder.join(OUTPUTS));
    let found = found.map_err(|e| Failure::Broken(format!("no {OUTPUTS}: {e}")))?;
    super::right(trial.program, &expected.expected, &found)
}

/// Does a job on a backend: what a worker runs, `tilewright trial FOLDER`.
///
/// # Errors
///
/// A folder without a job. What the backend refuses is in the result.
pub fn run_job(folder: &Path, backend: &dyn Backend) -> Result<Outcome> {
    let unreadable = |file: &str, reason: String| {
        Error::from(TuneError::Job {
            path: folder.join(file),
            reason,
        })
    };
    let text = |file: &str| {
        let text = fs::read_to_string(folder.join(file));
        text.map_err(|e| unreadable(file, e.to_string()))
    };
    let asked: Asked =
        serde_json::from_str(&text(JOB)?).map_err(|e| unreadable(JOB, e.to_string()))?;
    let machine: Machine =
        serde_json::from_str(&text(MACHINE)?).map_err(|e| unreadable(MACHINE, e.to_string()))?;
    let path = folder.join("program.json");
    let programs = saved::parse(&path, &text("program.json")?)?.unwrap_or_default();
    let Some(program) = programs.into_iter().next().map(|s| s.program) else {
        return Err(unreadable("program.json", "it holds no program".into()).into());
    };
    let inputs = data::load(folder.join(INPUTS)).map_err(|e| unreadable(INPUTS, e.to_string()))?;
    let host = super::this_host();
    let outcome = match run(&program, &machine, &inputs, (backend, asked.repeats)) {
        Ok((times_us, outputs)) => {
            let written = data::save(folder.join(OUTPUTS), &outputs);
            written.map_err(|e| unreadable(OUTPUTS, e.to_string()))?;
            Outcome {
                hash: asked.hash,
                times_us,
                host,
                error: None,
            }
        }
        Err(error) => Outcome {
            hash: asked.hash,
            times_us: vec![],
            host,
            error: Some(error),
        },
    };
    // A result is there whole or not at all.
    let (new, path) = (folder.join("result.json.new"), folder.join(RESULT));
    let json = serde_json::to_string(&outcome).unwrap_or_default();
    let written = fs::write(&new, json).and_then(|()| fs::rename(&new, path));
    written.map_err(|e| unreadable(RESULT, e.to_string()))?;
    Ok(outcome)
}

/// Times and outputs of a program on a backend.
fn run(
    program: &tilewright_ir::kernel::Program,
    machine: &Machine,
    inputs: &data::Tensors,
    (backend, repeats): (&dyn Backend, usize),
) -> std::result::Result<(Vec<f64>, data::Tensors), String> {
    let files = emit_with_notes(program, machine, &Notes::new()).map_err(|e| e.to_string())?;
    let job = BackendJob::once(program, &files, machine, std::slice::from_ref(inputs));
    let mut times = vec![];
    let mut outputs = data::Tensors::new();
    // The first run warms up.
    for run in 0..=repeats.max(1) {
        let ran = backend.run(&job).map_err(|e| e.to_string())?;
        let Some(rank) = ran.ranks.into_iter().next() else {
            return Err("the backend ran no rank".into());
        };
        if run > 0 {
            times.push(rank.kernels.iter().map(|k| k.us()).sum());
        }
        outputs = rank.outputs;
    }
    Ok((times, outputs))
}
