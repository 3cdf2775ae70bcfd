//! Running compiled kernels, in a process of their own: what goes wrong in a kernel then ends that process and not this
//! one, and is told with the kernel's name. Starting it takes milliseconds.

use super::error::HostError;
use crate::backend::Job;
use crate::data::Tensors;
use crate::source::manifest::{RankNeeds, scalar_arguments, tensor_arguments};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use tilewright_ir::DType;
use tilewright_ir::kernel::{Program, Role, Space, Unit, is_communication};

/// Lines of what the process said that are shown.
const SHOWN: usize = 12;

/// What is run, and with what.
pub(super) struct Task<'a> {
    pub job: &'a Job<'a>,
    pub runner: &'a Path,
    /// Of each kernel.
    pub libraries: &'a [PathBuf],
    /// Of all ranks together.
    pub threads: usize,
}

/// By rank: outputs, and the seconds of each kernel in the last layer run.
pub(super) fn run(task: &Task) -> Result<Vec<(Tensors, Vec<f64>)>, HostError> {
    let (program, ranks) = (task.job.program, task.job.inputs);
    let scalars = ranks.iter().map(|inputs| scalars(program, inputs));
    let scalars: Vec<Vec<i64>> = scalars.collect::<Result<_, _>>()?;
    let folder = tempfile::Builder::new()
        .prefix("tilewright-run-")
        .tempdir()
        .map_err(|e| HostError::file("write to", &std::env::temp_dir(), &e))?;
    let text = describe(task, &scalars, folder.path())?;
    let path = folder.path().join("job");
    fs::write(&path, text).map_err(|e| HostError::file("write", &path, &e))?;
    let output = Command::new(task.runner)
        .arg("job")
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .map_err(|e| HostError::file("start", task.runner, &e))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    let moments = Moments::read(&said, ranks.len());
    if !output.status.success() {
        let said: Vec<&str> = complaint.lines().take(SHOWN).collect();
        let (ended, said) = (ended(output.status), said.join("\n"));
        let kernel = moments.unfinished().and_then(|k| program.kernels.get(k));
        return Err(match kernel {
            Some(k) => HostError::Kernel {
                kernel: k.name.clone(),
                ended,
                said,
            },
            None => HostError::Process { ended, said },
        });
    }
    let times = moments.times.into_iter().enumerate();
    let ran = times.map(|(rank, times)| Ok((outputs(program, rank, folder.path())?, times)));
    ran.collect()
}

/// What the runner said of when kernels started and ended.
struct Moments {
    /// Seconds of the kernels that have ended, by rank, in the last layer run.
    times: Vec<Vec<f64>>,
    /// The kernel that has started and not ended, by rank, the last one to start last.
    open: Vec<(usize, usize)>,
}

impl Moments {
    fn read(said: &str, ranks: usize) -> Self {
        let mut moments = Moments {
            times: vec![vec![]; ranks],
            open: vec![],
        };
        for line in said.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |i: usize| words.get(i).and_then(|w| w.parse::<usize>().ok());
            let (Some(rank), Some(kernel)) = (number(1), number(2)) else {
                continue;
            };
            moments.open.retain(|o| o.0 != rank);
            match (words[0], number(3)) {
                ("done", Some(nanoseconds)) => {
                    if let Some(times) = moments.times.get_mut(rank) {
                        // Of a later layer run.
                        times.truncate(kernel);
                        times.push(nanoseconds as f64 * 1e-9);
                    }
                }
                _ => moments.open.push((rank, kernel)),
            }
        }
        moments
    }

    /// A kernel that has started and not ended.
    fn unfinished(&self) -> Option<usize> {
        self.open.last().map(|o| o.1)
    }
}

/// How a process ended, in words.
#[cfg(unix)]
pub(crate) fn ended(status: ExitStatus) -> String {
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
pub(crate) fn ended(status: ExitStatus) -> String {
    format!("ended with {status}")
}

/// The runner's file (`runner.cpp` says what is in it), and the inputs beside it.
fn describe(task: &Task, scalars: &[Vec<i64>], folder: &Path) -> Result<String, HostError> {
    let Job {
        program,
        machine,
        inputs,
        layers,
        carried,
        ..
    } = *task.job;
    let mut text = format!(
        "threads {}\nranks {}\nlayers {}\nmemory",
        task.threads.max(1),
        inputs.len(),
        layers.max(1)
    );
    for space in Space::ALL {
        let _ = write!(text, " {}", machine.capacity_of(space));
    }
    text.push('\n');
    for t in program.tensors.values() {
        let word = match t.role {
            Role::Window => "window",
            Role::Input | Role::Output | Role::Workspace => "tensor",
        };
        let _ = writeln!(text, "{word} {}", t.bytes());
    }
    for (rank, (inputs, scalars)) in inputs.iter().zip(scalars).enumerate() {
        let values: String = scalars.iter().map(|s| format!(" {s}")).collect();
        let _ = writeln!(text, "scalars {rank} {}{values}", scalars.len());
        for (i, (name, t)) in program.tensors.iter().enumerate() {
            let file = match t.role {
                Role::Input => {
                    let given = input(inputs, name, t.dtype, &t.shape)?;
                    let path = folder.join(format!("{rank}.{i}.in"));
                    fs::write(&path, given).map_err(|e| HostError::file("write", &path, &e))?;
                    format!("input {rank} {i} {rank}.{i}.in")
                }
                Role::Output => format!("output {rank} {i} {rank}.{i}.out"),
                Role::Workspace | Role::Window => continue,
            };
            let _ = writeln!(text, "{file}");
        }
    }
    let index = |name: &String| program.tensors.get_index_of(name).unwrap_or(0);
    for (kernel, library) in program.kernels.iter().zip(task.libraries) {
        let needs = RankNeeds::of(kernel);
        let word = |needed: bool, w: &str| needed.then(|| w.to_owned());
        let tensors = tensor_arguments(kernel);
        let tensors = tensors.iter().map(|name| index(name).to_string());
        let tensors: Vec<String> = tensors.chain(word(needs.peers, "p")).collect();
        let scalars = scalar_arguments(program, kernel);
        let scalars = scalars.into_iter().map(|i| i.to_string());
        let scalars = scalars
            .chain(word(needs.rank, "r"))
            .chain(word(needs.epoch, "e"));
        let scalars: Vec<String> = scalars.collect();
        let list = |words: &[String]| words.iter().map(|w| format!(" {w}")).collect::<String>();
        let _ = writeln!(
            text,
            "kernel {} {} {} {}{} {}{} {}",
            usize::from(is_communication(program, kernel)),
            match kernel.unit {
                Unit::Mixed => 1 + machine.geometry.sub_blocks.count(),
                Unit::Cube | Unit::Vector => 1,
            },
            kernel.launch.blocks(),
            tensors.len(),
            list(&tensors),
            scalars.len(),
            list(&scalars),
            library.display()
        );
    }
    for (output, input) in carried {
        let _ = writeln!(text, "carry {} {}", index(output), index(input));
    }
    Ok(text)
}

/// The bytes of a tensor that is of this type.
pub(crate) fn input<'t>(
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
pub(crate) fn scalars(program: &Program, inputs: &Tensors) -> Result<Vec<i64>, HostError> {
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

fn outputs(program: &Program, rank: usize, folder: &Path) -> Result<Tensors, HostError> {
    let mut outputs = Tensors::new();
    for (i, (name, t)) in program.tensors.iter().enumerate() {
        if t.role != Role::Output {
            continue;
        }
        let path = folder.join(format!("{rank}.{i}.out"));
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
