//! The files of a project: kernels as emitted, what starts them, the launcher, and what it runs on.

use super::error::NpuError;
use super::layer;
use crate::ascend::{File, element};
use crate::data::{Tensors, Tolerance};
use crate::host::{input, scalars};
use crate::source::manifest::{scalar_arguments, tensor_arguments};
use indexmap::IndexMap;
use serde::Serialize;
use std::borrow::Cow;
use std::fmt::Write as _;
use tilewright_ir::graph::is_identifier;
use tilewright_ir::kernel::{Kernel, Program, Role, Unit};

macro_rules! part {
    ($path:literal) => {
        ($path, include_str!(concat!("project/", $path)))
    };
}

/// What is the same in every project.
const LAUNCHER: [(&str, &str); 15] = [
    part!("src/compare.cpp"),
    part!("src/compare.hpp"),
    part!("src/device.cpp"),
    part!("src/device.hpp"),
    part!("src/fail.hpp"),
    part!("src/files.cpp"),
    part!("src/files.hpp"),
    part!("src/launch.hpp"),
    part!("src/layer.cpp"),
    part!("src/layer.hpp"),
    part!("src/main.cpp"),
    part!("src/schedule.cpp"),
    part!("src/schedule.hpp"),
    part!("src/table.hpp"),
    part!("src/values.hpp"),
];

const CMAKE: &str = include_str!("project/CMakeLists.txt");
const README: &str = include_str!("project/README.md");

/// The file that lists all files of a project.
pub const MANIFEST: &str = "project.json";

/// The most bytes of inputs and expected outputs.
pub const MAX_DATA: u128 = 1 << 30;

/// The kernels that a project starts, by their cores.
pub const UNITS: [Unit; 2] = [Unit::Cube, Unit::Vector];

/// How an output is compared.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    /// Element by element.
    Values {
        output: String,
        tolerance: Tolerance,
    },
    /// Two outputs as pairs: see [`crate::data::compare_routing`].
    Routing {
        indices: String,
        weights: String,
        /// Of the weights.
        tolerance: Tolerance,
    },
}

/// Tensors that are files of a project.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stored<'a> {
    Nothing,
    Inputs,
    /// Inputs, and these as what outputs should be.
    Expected(&'a Tensors),
}

/// What a project is made from.
#[derive(Debug, Clone)]
pub struct Spec<'a> {
    pub program: &'a Program,
    /// The program as [`crate::ascend::emit`] prints it.
    pub files: &'a [File],
    /// How the kernels came to be, for people: `as written`.
    pub form: &'a str,
    /// The command that makes the project again.
    pub command: Option<&'a str>,
    /// Values of the program's scalars, and inputs where they are stored.
    pub inputs: &'a Tensors,
    pub stored: Stored<'a>,
    pub checks: Vec<Check>,
    /// Of ragged outputs: how many rows of each group exist.
    pub rows: IndexMap<String, Vec<usize>>,
}

/// A file of a project.
#[derive(Debug, Clone, PartialEq)]
pub struct Content<'a> {
    /// Relative, with `/`.
    pub path: String,
    pub bytes: Cow<'a, [u8]>,
}

#[derive(Serialize)]
struct Manifest<'a> {
    made_by: &'static str,
    program: &'a str,
    machine: &'a str,
    files: Vec<&'a str>,
}

/// All files of a project, sorted by path.
///
/// # Errors
///
/// A program of several ranks, data that are too large or missing, and names that cannot be those of files.
pub fn project<'a>(spec: &Spec<'a>) -> Result<Vec<Content<'a>>, NpuError> {
    let program = spec.program;
    check(spec)?;
    let scalars = scalars(program, spec.inputs)?;
    let mut files: Vec<Content> = vec![];
    let mut text = |path: &str, text: String| {
        files.push(Content {
            path: path.into(),
            bytes: Cow::Owned(text.into_bytes()),
        });
    };
    for (path, content) in LAUNCHER {
        text(path, content.into());
    }
    for file in spec.files {
        text(&format!("kernels/{}", file.path), file.text.clone());
    }
    for kernel in &program.kernels {
        text(
            &format!("launch/{}.cpp", kernel.name),
            starter(program, kernel),
        );
    }
    text("src/table.cpp", table(&program.kernels));
    text("layer.txt", layer::text(spec, &scalars));
    text("CMakeLists.txt", cmake(program));
    text("README.md", readme(spec));
    for (name, t) in &program.tensors {
        let (folder, tensor) = match (t.role, spec.stored) {
            (Role::Input, Stored::Inputs | Stored::Expected(_)) => {
                ("inputs", input(spec.inputs, name, t.dtype, &t.shape)?)
            }
            (Role::Output, Stored::Expected(expected)) => {
                ("expected", input(expected, name, t.dtype, &t.shape)?)
            }
            _ => continue,
        };
        files.push(Content {
            path: format!("data/{folder}/{name}.bin"),
            bytes: Cow::Borrowed(tensor),
        });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut paths: Vec<&str> = files.iter().map(|f| f.path.as_str()).collect();
    paths.push(MANIFEST);
    paths.sort_unstable();
    let manifest = Manifest {
        made_by: "tilewright",
        program: &program.name,
        machine: &program.machine,
        files: paths,
    };
    // Only strings: serialisation has no case to fail in.
    let mut json = serde_json::to_string_pretty(&manifest).unwrap_or_default();
    json.push('\n');
    files.push(Content {
        path: MANIFEST.into(),
        bytes: Cow::Owned(json.into_bytes()),
    });
    Ok(files)
}

/// Whether there can be a project of a program, before its data are computed.
///
/// # Errors
///
/// As [`project`].
pub fn supported(program: &Program, with_data: bool) -> Result<(), NpuError> {
    one_rank(program)?;
    let stored = program.tensors.values();
    let stored = stored.filter(|t| t.role != Role::Workspace);
    let need: u128 = stored.map(|t| t.bytes() as u128).sum();
    match with_data && need > MAX_DATA {
        true => Err(NpuError::TooMuch {
            need,
            limit: MAX_DATA,
        }),
        false => Ok(()),
    }
}

fn check(spec: &Spec) -> Result<(), NpuError> {
    let program = spec.program;
    supported(program, matches!(spec.stored, Stored::Expected(_)))?;
    let kernels = program.kernels.iter().map(|k| &k.name);
    let tensors = program.tensors.keys();
    let names = kernels.chain(tensors).chain([&program.name]);
    if let Some(name) = names.into_iter().find(|n| !is_identifier(n)) {
        return Err(NpuError::Name { name: name.clone() });
    }
    for kernel in &program.kernels {
        let file = format!("{}.cpp", kernel.name);
        if !spec.files.iter().any(|f| f.path == file) {
            return Err(NpuError::NoFile {
                kernel: kernel.name.clone(),
            });
        }
    }
    Ok(())
}

/// Refuses what needs other ranks, and kernels of both core types.
pub(super) fn one_rank(program: &Program) -> Result<(), NpuError> {
    if let Some(kernel) = program.kernels.iter().find(|k| !UNITS.contains(&k.unit)) {
        return Err(NpuError::Mixed {
            kernel: kernel.name.clone(),
        });
    }
    let window = program.tensors.values().any(|t| t.role == Role::Window);
    match program.ranks > 1 || window {
        true => Err(NpuError::Ranks {
            ranks: program.ranks,
        }),
        false => Ok(()),
    }
}

/// The file that starts a kernel; the kernel's text is included, as its function and the launch are one compilation.
fn starter(program: &Program, kernel: &Kernel) -> String {
    let name = &kernel.name;
    let tensors = tensor_arguments(kernel);
    let tensors = tensors.iter().enumerate().map(|(i, tensor)| {
        let t = program.tensors.get(tensor);
        let ty = t.map_or("void", |t| element(t.dtype));
        (format!("(__gm__ {ty} *)tensors[{i}]"), tensor.as_str())
    });
    let scalars = scalar_arguments(program, kernel).into_iter().enumerate();
    let scalars = scalars.filter_map(|(i, scalar)| {
        let (name, _) = program.scalars.get_index(scalar)?;
        Some((format!("scalars[{i}]"), name.as_str()))
    });
    let parameter = match scalars.clone().next() {
        Some(_) => " *scalars",
        None => " *",
    };
    let arguments: Vec<(String, &str)> = tensors.chain(scalars).collect();
    let mut call = String::new();
    for (i, (argument, name)) in arguments.iter().enumerate() {
        let end = match i + 1 == arguments.len() {
            true => ");",
            false => ",",
        };
        let _ = writeln!(call, "        {argument}{end}  // {name}");
    }
    format!(
        "// Starts {name}: {}.\n\
         #include \"../kernels/{name}.cpp\"\n\
         #include \"../src/launch.hpp\"\n\n\
         extern \"C\" void launch_{name}(uint32_t blocks, void *stream, void *const *tensors, const int32_t{parameter})\n\
         {{\n    TILEWRIGHT_LAUNCH({name}, blocks, stream)(\n{call}}}\n",
        core(kernel.unit).0
    )
}

/// What the cores are called: in words, and in the compiler's names of architectures.
fn core(unit: Unit) -> (&'static str, &'static str) {
    match unit {
        Unit::Cube => ("a kernel of cube cores", "cube"),
        // There is no project with a mixed one.
        Unit::Vector | Unit::Mixed => ("a kernel of vector cores", "vec"),
    }
}

/// `src/table.cpp`
fn table(kernels: &[Kernel]) -> String {
    let mut s = String::from("#include \"table.hpp\"\n\n");
    for k in kernels {
        let _ = writeln!(s, "extern \"C\" Launch launch_{};", k.name);
    }
    s.push_str("\nLaunch *find_launch(const std::string &kernel)\n{\n");
    for k in kernels {
        let _ = writeln!(s, "    if (kernel == \"{0}\") return launch_{0};", k.name);
    }
    s.push_str("    return nullptr;\n}\n");
    s
}

fn cmake(program: &Program) -> String {
    let mut kernels = String::new();
    for k in &program.kernels {
        let _ = writeln!(kernels, "kernel({} {})", k.name, core(k.unit).1);
    }
    CMAKE
        .replace("@NAME@", &program.name)
        .replace("@KERNELS@\n", &kernels)
}

fn readme(spec: &Spec) -> String {
    let program = spec.program;
    let count = match program.kernels.len() {
        1 => "1 kernel".to_owned(),
        n => format!("{n} kernels"),
    };
    let command = match spec.command {
        Some(command) => format!(":\n\n```sh\n{command}\n```"),
        None => ".".into(),
    };
    let data = match spec.stored {
        Stored::Expected(_) => {
            "Expected outputs are those of tilewright's interpreter on these inputs, unless the command above names other ones."
        }
        Stored::Nothing | Stored::Inputs => {
            "This project was written without data: put the files of all inputs there, and those of expected outputs, or run \
             the launcher with `--no-compare`. Rows of ragged outputs that do not exist are not known without data, so these \
             outputs are not compared."
        }
    };
    README
        .replace("@NAME@", &program.name)
        .replace("@KERNEL_COUNT@", &count)
        .replace("@FORM@", spec.form)
        .replace("@MACHINE@", &program.machine)
        .replace("@COMMAND@", &command)
        .replace("@DATA@", data)
}
