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
const LAUNCHER: [(&str, &str); 17] = [
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
    part!("src/sizes.cpp"),
    part!("src/sizes.hpp"),
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

/// What runs the sizes of a bucket.
#[derive(Debug, Clone)]
pub struct Bucket<'a> {
    /// The smallest and the largest size; kernels are those of the largest.
    pub sizes: (i64, i64),
    /// Its kernels, whose names no other bucket has.
    pub spec: Spec<'a>,
}

/// A layer at many sizes.
#[derive(Debug, Clone)]
pub struct Sized<'a> {
    /// The layer's name.
    pub name: &'a str,
    /// The param whose values the sizes are.
    pub param: &'a str,
    /// Smallest sizes first; at least one.
    pub buckets: Vec<Bucket<'a>>,
    /// Files beside the kernels of all buckets.
    pub beside: &'a [File],
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
    let mut files = of_program(spec, "layer.txt", "data")?;
    files.extend(of_all(&spec.program.name, &[spec.program]));
    files.push(text("README.md", readme(spec, None)));
    Ok(whole(files, &spec.program.name, &spec.program.machine))
}

/// All files of a project that runs a layer at many sizes, sorted by path.
///
/// # Errors
///
/// As [`project`], of every bucket, whose data count together.
pub fn project_of_sizes<'a>(sized: &Sized<'a>) -> Result<Vec<Content<'a>>, NpuError> {
    let Some(first) = sized.buckets.first() else {
        return Ok(vec![]);
    };
    let with_data = matches!(first.spec.stored, Stored::Expected(_));
    let programs: Vec<&Program> = sized.buckets.iter().map(|b| b.spec.program).collect();
    in_limit(programs.iter().map(|p| data_bytes(p)).sum(), with_data)?;
    let mut files = vec![];
    let mut table = format!(
        "# Which layer runs a size: the first whose largest size is no smaller.\nparam {}\n",
        sized.param
    );
    for bucket in &sized.buckets {
        let name = &bucket.spec.program.name;
        let (layer, data) = (format!("layers/{name}.txt"), format!("data/{name}"));
        files.extend(of_program(&bucket.spec, &layer, &data)?);
        let (from, to) = bucket.sizes;
        let _ = writeln!(table, "size {from} {to} {layer} {data}");
    }
    files.extend(of_all(sized.name, &programs));
    for file in sized.beside {
        files.push(text(&format!("kernels/{}", file.path), file.text.clone()));
    }
    files.push(text("sizes.txt", table));
    files.push(text("README.md", readme(&first.spec, Some(sized))));
    Ok(whole(files, sized.name, &first.spec.program.machine))
}

fn text<'a>(path: &str, text: String) -> Content<'a> {
    Content {
        path: path.into(),
        bytes: Cow::Owned(text.into_bytes()),
    }
}

/// What belongs to one program: its kernels and what starts them, what the launcher does with them, and its data.
fn of_program<'a>(spec: &Spec<'a>, layer: &str, data: &str) -> Result<Vec<Content<'a>>, NpuError> {
    let program = spec.program;
    check(spec)?;
    let scalars = scalars(program, spec.inputs)?;
    let mut files: Vec<Content> = vec![];
    for file in spec.files {
        files.push(text(&format!("kernels/{}", file.path), file.text.clone()));
    }
    for kernel in &program.kernels {
        let path = format!("launch/{}.cpp", kernel.name);
        files.push(text(&path, starter(program, kernel)));
    }
    files.push(text(layer, layer::text(spec, &scalars)));
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
            path: format!("{data}/{folder}/{name}.bin"),
            bytes: Cow::Borrowed(tensor),
        });
    }
    Ok(files)
}

/// What programs share: the launcher, the table of kernels, and how CANN builds them.
fn of_all<'a>(name: &str, programs: &[&Program]) -> Vec<Content<'a>> {
    let launcher = LAUNCHER.into_iter();
    let mut files: Vec<Content> = launcher
        .map(|(path, part)| text(path, part.into()))
        .collect();
    let kernels: Vec<&Kernel> = programs.iter().flat_map(|p| &p.kernels).collect();
    files.push(text("src/table.cpp", table(&kernels)));
    files.push(text("CMakeLists.txt", cmake(name, &kernels)));
    files
}

/// The files, sorted, with the one that lists them all.
fn whole<'a>(mut files: Vec<Content<'a>>, program: &str, machine: &str) -> Vec<Content<'a>> {
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut paths: Vec<&str> = files.iter().map(|f| f.path.as_str()).collect();
    paths.push(MANIFEST);
    paths.sort_unstable();
    let manifest = Manifest {
        made_by: "tilewright",
        program,
        machine,
        files: paths,
    };
    // Only strings: serialisation has no case to fail in.
    let mut json = serde_json::to_string_pretty(&manifest).unwrap_or_default();
    json.push('\n');
    files.push(text(MANIFEST, json));
    files
}

/// Whether there can be a project of a program, before its data are computed.
///
/// # Errors
///
/// As [`project`].
pub fn supported(program: &Program, with_data: bool) -> Result<(), NpuError> {
    one_rank(program)?;
    in_limit(data_bytes(program), with_data)
}

fn in_limit(need: u128, with_data: bool) -> Result<(), NpuError> {
    match with_data && need > MAX_DATA {
        true => Err(NpuError::TooMuch {
            need,
            limit: MAX_DATA,
        }),
        false => Ok(()),
    }
}

/// Bytes of a program's inputs and outputs.
fn data_bytes(program: &Program) -> u128 {
    let stored = program.tensors.values();
    let stored = stored.filter(|t| t.role != Role::Workspace);
    stored.map(|t| t.bytes() as u128).sum()
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
fn table(kernels: &[&Kernel]) -> String {
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

fn cmake(name: &str, kernels: &[&Kernel]) -> String {
    let mut lines = String::new();
    for k in kernels {
        let _ = writeln!(lines, "kernel({} {})", k.name, core(k.unit).1);
    }
    CMAKE.replace("@NAME@", name).replace("@KERNELS@\n", &lines)
}

/// What a project for many sizes says of them.
fn sizes(sized: &Sized) -> String {
    let param = sized.param;
    let mut s = format!(
        "## Sizes\n\nThis project runs the layer at these sizes of `{param}`:\n\n| `{param}` | kernels of |\n|---|---|\n"
    );
    for Bucket {
        sizes: (from, to), ..
    } in &sized.buckets
    {
        let _ = writeln!(s, "| {from} to {to} | {param} = {to} |");
    }
    let _ = writeln!(
        s,
        "\n`build/launcher --size N` runs the first whose largest size is no smaller than N (`find_bucket` in `src/sizes.cpp`); \
         without it all are run. What lies beyond N in its inputs is computed, too, and changes nothing else. Each has its own \
         `layers/NAME.txt` in place of `layer.txt` and its own `data/NAME/`; `sizes.txt` is the table.\n"
    );
    s
}

/// The text for people; `sized` where the project runs many sizes, of which the program is one.
fn readme(spec: &Spec, sized: Option<&Sized>) -> String {
    let program = spec.program;
    let name = sized.map_or(program.name.as_str(), |s| s.name);
    let kernels = sized.map_or(program.kernels.len(), |s| {
        let of = |b: &Bucket| b.spec.program.kernels.len();
        s.buckets.iter().map(of).sum()
    });
    let count = match kernels {
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
        .replace("@NAME@", name)
        .replace("@KERNEL_COUNT@", &count)
        .replace("@FORM@", spec.form)
        .replace("@MACHINE@", &program.machine)
        .replace("@COMMAND@", &command)
        .replace("@SIZES@\n", &sized.map_or_else(String::new, sizes))
        .replace("@DATA@", data)
}
