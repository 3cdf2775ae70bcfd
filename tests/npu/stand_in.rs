//! An installation of the stand-in, and projects that are built with it.

use crate::common::{command, example, root};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use tempfile::TempDir;

/// The folder that `ASCEND_HOME_PATH` names; it is made once for all tests.
pub fn cann() -> &'static Path {
    static HOME: OnceLock<PathBuf> = OnceLock::new();
    HOME.get_or_init(|| {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stand-in-cann");
        let _ = fs::remove_dir_all(&home);
        copy(&root().join("tests/npu/cann"), &home);
        copy(&root().join("backends/include/run"), &home.join("run"));
        copy(&root().join("backends/include/isa"), &home.join("include"));
        let lib = home.join("lib64");
        fs::create_dir_all(&lib).expect("a folder is made");
        let shared = |name: &str, args: &[&str]| {
            let output = Command::new("c++")
                .args(["-std=c++20", "-O1", "-fPIC", "-shared", "-Irun", "-o"])
                .arg(lib.join(format!("lib{name}.so")))
                .args(args)
                .current_dir(&home)
                .output()
                .expect("there is a compiler");
            assert!(output.status.success(), "{}", text(&output.stderr));
        };
        shared("ascendcl", &["-Wall", "-Wextra", "-Werror", "runtime.cpp"]);
        // What else is linked has nothing in it.
        for name in ["runtime", "tiling_api", "platform", "c_sec", "nnopbase"] {
            shared(name, &["-xc++", "/dev/null"]);
        }
        home
    })
}

/// Whether this machine has CMake itself.
pub fn has_cmake() -> bool {
    let output = Command::new("cmake").arg("--version").output();
    output.is_ok_and(|o| o.status.success())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder is made");
    for entry in fs::read_dir(from).expect("it is a folder") {
        let entry = entry.expect("it is readable");
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            // Permissions go with it.
            false => drop(fs::copy(entry.path(), target).expect("it is copied")),
        }
    }
}

/// Lets a command find the stand-in for CANN, and that for CMake, which takes a tenth of the time.
pub fn with_cann(command: &mut Command) -> &mut Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let tools = cann().join("tools");
    command
        .env("ASCEND_HOME_PATH", cann())
        .env("PATH", format!("{}:{path}", tools.display()))
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The commands of a project's README.md.
const BUILD: [&[&str]; 2] = [
    &["-S", ".", "-B", "build"],
    &["--build", "build", "--parallel"],
];

/// An example's project in a folder of its own, built.
pub struct Project {
    pub folder: TempDir,
}

impl Project {
    pub fn new(name: &str, args: &[&str]) -> Self {
        Project::by("emit", name, args)
    }

    /// What a command makes of an example.
    pub fn by(subcommand: &str, name: &str, args: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        let source = example(name);
        let source = source.display().to_string();
        let emit = [&[subcommand, &source, "--project", "."], args].concat();
        let output = command(folder.path(), &emit).output().expect("it starts");
        assert!(output.status.success(), "{}", text(&output.stderr));
        let project = Project { folder };
        for args in BUILD {
            let built = project.run("cmake", args, &[]);
            assert!(built.status.success(), "{}", text(&built.stderr));
        }
        project
    }

    /// Builds it anew, by CMake itself and so by the project's CMakeLists.txt.
    pub fn build_with_cmake(&self) {
        fs::remove_dir_all(self.path("build")).expect("it was built");
        for args in BUILD {
            let mut command = Command::new("cmake");
            command.args(args).current_dir(self.folder.path());
            command.env("ASCEND_HOME_PATH", cann());
            let built = command.output().expect("it starts");
            assert!(built.status.success(), "{}", text(&built.stderr));
        }
    }

    pub fn path(&self, of: &str) -> PathBuf {
        self.folder.path().join(of)
    }

    fn run(&self, program: &str, args: &[&str], env: &[(&str, &str)]) -> Output {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.folder.path());
        command.envs(env.iter().copied());
        with_cann(&mut command).output().expect("it starts")
    }

    /// Its exit code, standard output and standard error.
    pub fn launch(&self, args: &[&str]) -> (Option<i32>, String, String) {
        self.launch_with(args, &[])
    }

    pub fn launch_with(
        &self,
        args: &[&str],
        env: &[(&str, &str)],
    ) -> (Option<i32>, String, String) {
        let launcher = self.path("build/launcher").display().to_string();
        let output = self.run(&launcher, args, env);
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        (output.status.code(), stdout, stderr)
    }

    /// Changes a text file of the project.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.path(file);
        let text = fs::read_to_string(&path).expect("it is text");
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replacen(from, to, 1)).expect("it is written");
    }
}
