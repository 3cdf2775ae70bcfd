//! Emitted files to libraries: the text as it is, and beside it an entry that the runner calls.

use super::Options;
use super::cache::{Cache, digest};
use super::compiler::{Compiler, Ended};
use super::error::HostError;
use crate::ascend::{File, element, part_name};
use crate::source::manifest::{RankNeeds, scalar_arguments, tensor_arguments};
use rayon::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use tilewright_ir::kernel::{Kernel, Program, Unit};
use tracing::debug;

macro_rules! header {
    ($path:literal) => {
        ($path, include_str!(concat!("../../include/", $path)))
    };
}

/// The PTO instructions for a CPU.
const ISA: [(&str, &str); 9] = [
    header!("isa/pto/pto-inst.hpp"),
    header!("isa/pto/comm/pto_comm_inst.hpp"),
    header!("isa/pto/host/core.hpp"),
    header!("isa/pto/host/types.hpp"),
    header!("isa/pto/host/tile.hpp"),
    header!("isa/pto/host/memory.hpp"),
    header!("isa/pto/host/cube.hpp"),
    header!("isa/pto/host/vector.hpp"),
    header!("isa/pto/host/sort.hpp"),
];

/// What runs kernels.
const RUN: [(&str, &str); 3] = [
    header!("run/tilewright/context.hpp"),
    header!("run/tilewright/cross.hpp"),
    header!("run/tilewright/runner.cpp"),
];

/// The same value for the same element whatever is in a vector register: no fused multiplication and addition, and
/// nothing else that `-ffast-math` would allow. Floating-point traps and `errno` are nobody's business here.
const EXACT: [&str; 3] = ["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"];

/// Everything that compiles, and what it compiles against.
pub(super) struct Builder<'a> {
    cache: &'a Cache,
    compiler: &'a Compiler,
    options: &'a Options,
    /// Folder of the headers in the cache.
    include: PathBuf,
    flags: Vec<String>,
}

impl<'a> Builder<'a> {
    pub fn new(
        cache: &'a Cache,
        compiler: &'a Compiler,
        options: &'a Options,
    ) -> Result<Self, HostError> {
        let texts: Vec<&str> = ISA.iter().chain(&RUN).map(|(_, text)| *text).collect();
        let folder = format!("include/{}", digest(&texts));
        for (name, text) in ISA.iter().chain(&RUN) {
            cache.text(&format!("{folder}/{name}"), text)?;
        }
        let mut flags: Vec<String> = ["-std=c++20", "-fPIC", "-w", "-D__CPU_SIM"]
            .map(String::from)
            .into();
        match &options.pto_include {
            None => {
                flags.push("-O3".into());
                flags.extend(compiler.tuning.iter().cloned());
                flags.extend(EXACT.map(String::from));
            }
            Some(path) => {
                if !path.join("pto/pto-inst.hpp").is_file() {
                    return Err(HostError::NoPto { path: path.clone() });
                }
                let path = path
                    .canonicalize()
                    .map_err(|e| HostError::file("read", path, &e))?;
                flags.push("-O2".into());
                // Its CPU headers expect these two to be there.
                flags.extend(["-include", "stdint.h", "-include", "stddef.h"].map(String::from));
                for p in [path.clone(), path.join("pto")] {
                    flags.push(format!("-I{}", p.display()));
                }
            }
        }
        flags.extend(options.cxxflags.iter().cloned());
        Ok(Builder {
            cache,
            compiler,
            options,
            include: cache.root().join(folder),
            flags,
        })
    }

    fn include(&self, folder: &str) -> String {
        format!("-I{}", self.include.join(folder).display())
    }

    /// The program that runs kernels.
    pub fn runner(&self) -> Result<PathBuf, HostError> {
        let texts = RUN.iter().map(|(_, text)| *text);
        let parts: Vec<&str> = [self.compiler.identity.as_str()]
            .into_iter()
            .chain(texts)
            .collect();
        let key = digest(&parts);
        self.cache.get(&format!("runner/{key}"), |work| {
            let source = self.include.join(RUN[2].0).display().to_string();
            let run = self.include("run");
            let args = ["-std=c++20", "-O2", "-w", &run, &source];
            let args = [&args[..], &["-o", "runner", "-pthread", "-ldl"]].concat();
            match self.compiler.run(work, &args) {
                Ended::Well { .. } => Ok(work.join("runner")),
                Ended::Refused(said) | Ended::NotStarted(said) => Err(HostError::Runner {
                    compiler: self.compiler.name(),
                    said,
                }),
            }
        })
    }

    /// The library of each kernel, in order; the error of the first that is refused.
    pub fn kernels(&self, program: &Program, files: &[File]) -> Result<Vec<PathBuf>, HostError> {
        let kernels = program.kernels.par_iter().with_max_len(1);
        let done = AtomicUsize::new(0);
        let compile = |kernel| {
            let path = self.kernel(program, kernel, files);
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            debug!(
                progress = "kernels compiled",
                done,
                of = program.kernels.len()
            );
            path
        };
        let done: Vec<Result<PathBuf, HostError>> = kernels.map(compile).collect();
        done.into_iter().collect()
    }

    fn kernel(
        &self,
        program: &Program,
        kernel: &Kernel,
        files: &[File],
    ) -> Result<PathBuf, HostError> {
        let name = format!("{}.cpp", kernel.name);
        let file = files.iter().find(|f| f.path == name);
        let file = file.ok_or_else(|| HostError::NoFile {
            kernel: kernel.name.clone(),
        })?;
        let entry = entry(program, kernel, self.options.pto_include.is_some());
        let seen = match self.options.pto_include {
            // What the compiler sees of a header that is not ours.
            Some(_) => self.preprocessed(&kernel.name, &file.text, &entry)?,
            None => self.include.display().to_string(),
        };
        let flags = self.flags.join("\n");
        let parts = [&self.compiler.identity, &flags, &seen, &file.text, &entry];
        let key = digest(&parts.map(String::as_str));
        self.cache.get(&format!("kernels/{key}.so"), |work| {
            let args = ["-shared", "-o", "kernel.so"];
            self.compile(work, &kernel.name, &file.text, &entry, &args)?;
            Ok(work.join("kernel.so"))
        })
    }

    fn preprocessed(&self, kernel: &str, text: &str, entry: &str) -> Result<String, HostError> {
        let work = self.cache.workshop()?;
        self.compile(work.path(), kernel, text, entry, &["-E", "-P"])
    }

    /// Compiles a kernel in a folder, where its file has its own name.
    fn compile(
        &self,
        work: &Path,
        kernel: &str,
        text: &str,
        entry: &str,
        args: &[&str],
    ) -> Result<String, HostError> {
        for (name, text) in [(format!("{kernel}.cpp"), text), ("entry.cc".into(), entry)] {
            let path = work.join(name);
            fs::write(&path, text).map_err(|e| HostError::file("write", &path, &e))?;
        }
        let mut all: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        let (isa, run) = (self.include("isa"), self.include("run"));
        if self.options.pto_include.is_none() {
            all.push(&isa);
        }
        all.extend([run.as_str(), "entry.cc"]);
        all.extend(args);
        match self.compiler.run(work, &all) {
            Ended::Well { stdout } => Ok(stdout),
            Ended::Refused(said) | Ended::NotStarted(said) => Err(HostError::Compile {
                kernel: kernel.into(),
                compiler: self.compiler.name(),
                said,
                help: match &self.options.pto_include {
                    Some(_) => "check that `--pto-include` is a PTO-ISA whose CPU simulator this compiler can compile, and what it needs in `--cxxflags`; without them the built-in header is used".into(),
                    None if !self.options.cxxflags.is_empty() => "check `--cxxflags`".into(),
                    None => "what tilewright emits should compile: this is a defect of tilewright, please report it".into(),
                },
            }),
        }
    }
}

/// The file that includes a kernel and gives it the one signature that the runner knows.
fn entry(program: &Program, kernel: &Kernel, foreign: bool) -> String {
    let tensors = tensor_arguments(kernel);
    let pointers = tensors.iter().enumerate().map(|(i, name)| {
        let t = program
            .tensors
            .get(name)
            .map_or("void", |t| element(t.dtype));
        format!("({t} *)tensors[{i}]")
    });
    let needs = RankNeeds::of(kernel);
    let table = tensors.len();
    let bases = needs.peers.then(|| format!("(uint64_t *)tensors[{table}]"));
    let scalars = scalar_arguments(program, kernel).len()
        + usize::from(needs.rank)
        + usize::from(needs.epoch);
    let scalars = (0..scalars).map(|i| format!("scalars[{i}]"));
    let arguments: Vec<String> = pointers.chain(bases).chain(scalars).collect();
    let name = &kernel.name;
    let arguments = arguments.join(", ");
    // What a thread runs is one core's part of a mixed kernel.
    let (mixed, sub) = match kernel.unit {
        Unit::Mixed => (true, "context->core > 0 ? context->core - 1 : 0, 2"),
        _ => (false, "0, 1"),
    };
    let call = match mixed {
        false => format!("{name}({arguments});"),
        true => format!(
            "if (context->core == 0)\n        {}({arguments});\n    else\n        {}({arguments});",
            part_name(name, Unit::Cube),
            part_name(name, Unit::Vector)
        ),
    };
    let scope = match foreign {
        true => format!("pto::cpu_sim::ScopedExecutionContext scope(context->block, {sub})"),
        false => "pto::host::Scope scope(*context)".into(),
    };
    let (header, current) = match foreign && mixed {
        true => (
            "#include <stdint.h>\n#include <tilewright/cross.hpp>\n",
            "tilewright::current = context;\n    ",
        ),
        false => ("", ""),
    };
    format!(
        "{header}#include \"{name}.cpp\"\n\
         #include <tilewright/context.hpp>\n\n\
         extern \"C\" void tilewright_block(const tilewright::Context *context, void *const *tensors, const int32_t *scalars)\n\
         {{\n    {current}{scope};\n    {call}\n}}\n",
    )
}
