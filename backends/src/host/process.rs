//! Running compiled kernels, in a process of their own: what goes wrong in a kernel then ends that process and not this
//! one, and is told with the kernel's name. Starting it takes milliseconds.

use super::error::HostError;
use crate::data::Tensors;
use crate::emitter::manifest::{scalar_arguments, tensor_arguments};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use tilewright_ir::DType;
use tilewright_ir::kernel::{Program, Role, Space};
use tilewright_ir::machine::Machine;

/// Lines of what the process said that are shown.
const SHOWN: usize = 12;

/// What is run.
pub(super) struct Job<'a> {
    pub program: &'a Program,
    pub machine: &'a Machine,
    pub inputs: &'a Tensors,
    pub runner: &'a Path,
    /// Of each kernel.
    pub libraries: &'a [PathBuf],
    pub threads: usize,
}

/// Outputs, and the seconds of each kernel.
pub(super) fn run(job: &Job) -> Result<(Tensors, Vec<f64>), HostError> {
    let scalars = scalars(job.program, job.inputs)?;
    let folder = tempfile::Builder::new()
        .prefix("tilewright-run-")
        .tempdir()
        .map_err(|e| HostError::file("write to", &std::env::temp_dir(), &e))?;
    let text = describe(job, &scalars, folder.path())?;
    let path = folder.path().join("job");
    fs::write(&path, text).map_err(|e| HostError::file("write", &path, &e))?;
    let output = Command::new(job.runner)
        .arg("job")
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .map_err(|e| HostError::file("start", job.runner, &e))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    let times = times(&said);
    if !output.status.success() {
        let said: Vec<&str> = complaint.lines().take(SHOWN).collect();
        let (ended, said) = (ended(output.status), said.join("\n"));
        // A kernel that has started and has not ended.
        let kernel = job.program.kernels.get(times.len());
        let started = said_start(&output.stdout, times.len());
        return Err(match kernel.filter(|_| started) {
            Some(k) => HostError::Kernel {
                kernel: k.name.clone(),
                ended,
                said,
            },
            None => HostError::Process { ended, said },
        });
    }
    Ok((outputs(job.program, folder.path())?, times))
}

fn said_start(stdout: &[u8], kernel: usize) -> bool {
    let line = format!("start {kernel}");
    String::from_utf8_lossy(stdout).lines().any(|l| l == line)
}

/// Seconds of the kernels that have ended.
fn times(said: &str) -> Vec<f64> {
    let lines = said.lines().filter_map(|l| l.strip_prefix("done "));
    lines
        .filter_map(|l| l.split_once(' ')?.1.parse::<f64>().ok())
        .map(|nanoseconds| nanoseconds * 1e-9)
        .collect()
}

#[cfg(unix)]
fn ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    let name = |signal| match signal {
        4 => " (an instruction that this processor does not have)",
        6 => " (it was refused)",
        7 | 10 | 11 => " (it touched memory that is not its own)",
        8 => " (an integer was divided by zero)",
        9 => " (killed, for example for want of memory)",
        _ => "",
    };
    match (status.signal(), status.code()) {
        (Some(s), _) => format!("was ended by signal {s}{}", name(s)),
        (None, code) => format!("ended with exit code {}", code.unwrap_or(-1)),
    }
}

#[cfg(not(unix))]
fn ended(status: ExitStatus) -> String {
    format!("ended with {status}")
}

/// The runner's file (`runner.cpp` says what is in it), and the inputs beside it.
fn describe(job: &Job, scalars: &[i64], folder: &Path) -> Result<String, HostError> {
    let program = job.program;
    let mut text = format!("threads {}\nmemory", job.threads.max(1));
    for space in Space::ALL {
        let _ = write!(text, " {}", job.machine.capacity_of(space));
    }
    text.push('\n');
    for (i, (name, t)) in program.tensors.iter().enumerate() {
        let file = match t.role {
            Role::Input => {
                let given = input(job.inputs, name, t.dtype, &t.shape)?;
                let path = folder.join(format!("{i}.in"));
                fs::write(&path, given).map_err(|e| HostError::file("write", &path, &e))?;
                format!("{i}.in")
            }
            Role::Output | Role::Workspace | Role::Window => "-".into(),
        };
        let _ = writeln!(text, "tensor {} {file}", t.bytes());
    }
    for (kernel, library) in program.kernels.iter().zip(job.libraries) {
        let _ = write!(text, "kernel {}", kernel.launch.blocks());
        let tensors = tensor_arguments(kernel);
        let _ = write!(text, " {}", tensors.len());
        for name in &tensors {
            let _ = write!(text, " {}", program.tensors.get_index_of(name).unwrap_or(0));
        }
        let used = scalar_arguments(program, kernel);
        let _ = write!(text, " {}", used.len());
        for i in used {
            let _ = write!(text, " {}", scalars[i]);
        }
        let _ = writeln!(text, " {}", library.display());
    }
    for (i, t) in program.tensors.values().enumerate() {
        if t.role == Role::Output {
            let _ = writeln!(text, "output {i} {i}.out");
        }
    }
    Ok(text)
}

fn input<'t>(
    inputs: &'t Tensors,
    name: &str,
    dtype: DType,
    shape: &[usize],
) -> Result<&'t [u8], HostError> {
    let given = inputs.get(name).ok_or_else(|| HostError::MissingInput {
        name: name.to_owned(),
    })?;
    if given.dtype != dtype || given.shape != shape || given.check().is_err() {
        return Err(HostError::Input {
            name: name.to_owned(),
            found: format!("{} {:?}", given.dtype, given.shape),
            need: format!("{dtype} {shape:?}"),
        });
    }
    Ok(&given.bytes)
}

/// The values of the program's scalars: integers of rank 0 among the inputs.
fn scalars(program: &Program, inputs: &Tensors) -> Result<Vec<i64>, HostError> {
    let mut values = vec![];
    for (name, &max) in &program.scalars {
        let given = inputs
            .get(name)
            .ok_or_else(|| HostError::MissingInput { name: name.clone() })?;
        let value = match given.to_i64().as_slice() {
            [one] if given.shape.is_empty() && !given.dtype.is_float() => *one,
            _ => {
                return Err(HostError::Input {
                    name: name.clone(),
                    found: format!("{} {:?}", given.dtype, given.shape),
                    need: "i32 []".into(),
                });
            }
        };
        if !(0..=max).contains(&value) {
            return Err(HostError::Scalar {
                name: name.clone(),
                value,
                max,
            });
        }
        values.push(value);
    }
    Ok(values)
}

fn outputs(program: &Program, folder: &Path) -> Result<Tensors, HostError> {
    let mut outputs = Tensors::new();
    for (i, (name, t)) in program.tensors.iter().enumerate() {
        if t.role != Role::Output {
            continue;
        }
        let path = folder.join(format!("{i}.out"));
        let failed = |e: io::Error| HostError::file("read", &path, &e);
        let bytes = fs::read(&path).map_err(failed)?;
        let tensor = crate::data::Tensor {
            dtype: t.dtype,
            shape: t.shape.clone(),
            bytes,
        };
        outputs.insert(name.clone(), tensor);
    }
    Ok(outputs)
}
