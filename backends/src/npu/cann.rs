//! CANN: where it is, and building and running a project with it.

use super::error::NpuError;
use super::project::{Content, Spec, Stored, project};
use crate::backend::{Job, RanKernel, RanRank};
use crate::data::{Tensor, Tensors};
use crate::host::ended;
use indexmap::IndexMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tilewright_ir::kernel::{Program, Role};

/// The variable that CANN's `set_env.sh` sets.
const HOME: &str = "ASCEND_HOME_PATH";

/// Lines of what a command said that are shown.
const SHOWN: usize = 20;

/// Runs of a kernel that are timed together.
const REPEAT: &str = "20";

/// An installation of CANN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cann {
    home: PathBuf,
}

impl Cann {
    /// The one that the environment names.
    pub fn find() -> Result<Self, NpuError> {
        Cann::find_by(env::var_os(HOME))
    }

    fn find_by(home: Option<OsString>) -> Result<Self, NpuError> {
        let home = home.filter(|h| !h.is_empty()).map(PathBuf::from);
        let Some(home) = home else {
            let why = format!("{HOME} is not set");
            return Err(NpuError::NoCann { why });
        };
        match home.canonicalize() {
            Ok(home) if home.join("include/acl/acl.h").is_file() => Ok(Cann { home }),
            _ => {
                let why = format!("{HOME} is `{}`, without include/acl/acl.h", home.display());
                Err(NpuError::NoCann { why })
            }
        }
    }

    /// Builds a project of a program of one rank in a folder of its own, and runs it there on these inputs.
    pub fn run(
        &self,
        job: &Job,
        inputs: &Tensors,
        pto_include: Option<&Path>,
    ) -> Result<RanRank, NpuError> {
        let folder = tempfile::Builder::new()
            .prefix("tilewright-npu-")
            .tempdir()
            .map_err(|e| NpuError::file("write to", &env::temp_dir(), &e))?;
        let root = folder.path();
        let files = project(&Spec {
            program: job.program,
            files: job.files,
            form: "as given",
            command: None,
            inputs,
            stored: Stored::Inputs,
            checks: vec![],
            rows: IndexMap::new(),
        })?;
        write(root, &files)?;
        fs::create_dir(root.join("out")).map_err(|e| NpuError::file("write", root, &e))?;
        self.build(root, pto_include)?;
        let args = "--serial --no-compare --save out --repeat";
        let args = args.split(' ').chain([REPEAT]);
        let launcher = root.join("build/launcher");
        let output = self.start(root, launcher.as_os_str(), args)?;
        if !output.status.success() {
            return Err(NpuError::Launcher {
                ended: ended(output.status),
                said: first_lines(&output),
            });
        }
        let said = String::from_utf8_lossy(&output.stdout);
        let kernels = job.program.kernels.iter();
        let kernels = kernels.map(|k| {
            let seconds = us_of(&said, &k.name).map(|us| us * 1e-6);
            let missing = || NpuError::NoTime {
                kernel: k.name.clone(),
            };
            Ok(RanKernel::new(&k.name, seconds.ok_or_else(missing)?))
        });
        Ok(RanRank {
            kernels: kernels.collect::<Result<_, NpuError>>()?,
            outputs: outputs(job.program, &root.join("out"))?,
        })
    }

    /// With CMake, to `build`.
    fn build(&self, root: &Path, pto_include: Option<&Path>) -> Result<(), NpuError> {
        let mut configure: Vec<OsString> = ["-S", ".", "-B", "build"].map(OsString::from).into();
        if let Some(path) = pto_include {
            let path = path
                .canonicalize()
                .map_err(|e| NpuError::file("read", path, &e))?;
            let mut define = OsString::from("-DPTO_INCLUDE=");
            define.push(path);
            configure.push(define);
        }
        let build: Vec<OsString> = ["--build", "build", "--parallel"]
            .map(OsString::from)
            .into();
        for args in [configure, build] {
            let output = self.start(root, "cmake".as_ref(), &args)?;
            if !output.status.success() {
                let words = args.iter().map(|a| format!(" {}", a.to_string_lossy()));
                return Err(NpuError::Build {
                    command: format!("cmake{}", words.collect::<String>()),
                    said: first_lines(&output),
                    help: "`--pto-include DIR` names PTO-ISA's folder `include`; `tilewright emit FILE --project DIR` writes the project, to build it step by step".into(),
                });
            }
        }
        Ok(())
    }

    /// Runs a command in a folder to its end.
    fn start(
        &self,
        folder: &Path,
        command: &OsStr,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<Output, NpuError> {
        Command::new(command)
            .args(args)
            .current_dir(folder)
            // A relative path would be one from this folder.
            .env(HOME, &self.home)
            // Messages that do not depend on who runs it.
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .map_err(|e| NpuError::NoTool {
                command: command.to_string_lossy().into_owned(),
                reason: e.to_string(),
            })
    }
}

fn write(root: &Path, files: &[Content]) -> Result<(), NpuError> {
    for file in files {
        let path = root.join(&file.path);
        let parent = path.parent().unwrap_or(root);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, &file.bytes))
            .map_err(|e| NpuError::file("write", &path, &e))?;
    }
    Ok(())
}

/// What a command said, from the first line on that speaks of an error.
fn first_lines(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr].map(|s| String::from_utf8_lossy(s));
    let lines: Vec<&str> = both.iter().flat_map(|s| s.lines()).collect();
    let start = lines.iter().position(|l| l.contains("rror")).unwrap_or(0);
    let shown = lines.iter().skip(start).take(SHOWN).copied();
    shown.collect::<Vec<_>>().join("\n")
}

/// Of the line `kernel NAME us T`.
fn us_of(said: &str, kernel: &str) -> Option<f64> {
    let prefix = format!("kernel {kernel} us ");
    let time = said.lines().find_map(|l| l.strip_prefix(&prefix))?;
    time.trim().parse().ok().filter(|us: &f64| us.is_finite())
}

fn outputs(program: &Program, folder: &Path) -> Result<Tensors, NpuError> {
    let outputs = program.tensors.iter();
    let outputs = outputs.filter(|(_, t)| t.role == Role::Output);
    let read = |(name, t): (&String, &tilewright_ir::kernel::GlobalTensor)| {
        let path = folder.join(format!("{name}.bin"));
        let bytes = fs::read(&path).map_err(|e| NpuError::file("read", &path, &e))?;
        let tensor = Tensor {
            dtype: t.dtype,
            shape: t.shape.clone(),
            bytes,
        };
        Ok((name.clone(), tensor))
    };
    outputs.map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_cann_it_says_why() {
        let why = |home: Option<&str>| match Cann::find_by(home.map(OsString::from)) {
            Err(NpuError::NoCann { why }) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(why(None), "ASCEND_HOME_PATH is not set");
        assert_eq!(why(Some("")), "ASCEND_HOME_PATH is not set");
        assert!(why(Some("/no/such/cann")).contains("`/no/such/cann`"));
    }

    #[test]
    fn times_are_read_from_their_lines() {
        let said =
            "output y ok\nkernel a_b us 3.250\nkernel a us 12.5\nkernel c us nan\nlayer a us 1\n";
        assert_eq!(us_of(said, "a"), Some(12.5));
        assert_eq!(us_of(said, "a_b"), Some(3.25));
        assert_eq!(us_of(said, "c"), None);
        assert_eq!(us_of(said, "d"), None);
    }
}
