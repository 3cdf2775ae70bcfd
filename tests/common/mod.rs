//! What the tests of the command and of the library share.

// Each test file uses a part of this.
#![allow(dead_code)]

pub mod statements;

use indexmap::IndexMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tilewright::compile::Options;
use tilewright::layer::Layer;
use tilewright_ir::graph::Graph;
use tilewright_ir::machine::{DEFAULT_MACHINE, Machine};

/// As the command has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The main example.
pub const GATE: &str = "dsv4_flash_gate";

/// Where tests keep compiled kernels.
pub const HOST_CACHE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/host-cache");

/// Sizes at which the main example runs in a moment.
pub const SMALL: [(&str, i64); 2] = [("D", 256), ("VOCAB", 512)];

pub fn example(name: &str) -> PathBuf {
    root().join("examples").join(format!("{name}.tw"))
}

/// The names of all examples.
pub fn examples() -> Vec<String> {
    let entries = std::fs::read_dir(root().join("examples")).expect("examples are there");
    let mut names: Vec<String> = entries
        .map(|e| e.expect("the folder is readable").path())
        .filter(|p| p.extension().is_some_and(|e| e == "tw"))
        .filter_map(|p| Some(p.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}

/// Sizes at which a test can afford an example.
pub fn small(example: &str) -> &'static [(&'static str, i64)] {
    match example {
        "dsv4_shared_expert" => &[("D", 512), ("MOE_INTER", 256)],
        "dsv4_routed_experts" => &[("N_LOCAL", 4), ("D", 512), ("MOE_INTER", 256)],
        "dsv4_hc" => &[("D", 256)],
        "dsv4_flash_moe" | "dsv4_pro_moe" => &[
            ("T", 4),
            ("D", 64),
            ("MOE_INTER", 32),
            ("N_LOCAL", 2),
            ("TOPK", 2),
            ("VOCAB", 32),
        ],
        _ => &[],
    }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// An example at these sizes.
pub fn graph(name: &str, sizes: &[(&str, i64)]) -> Graph {
    let layer = Layer::load(&example(name)).expect("the example is a graph");
    let settings: IndexMap<String, i64> = sizes.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    layer.graph(&settings).expect("the example has these sizes")
}

/// The default options on the default machine.
pub fn options() -> Options {
    Options::new(Machine::builtin(DEFAULT_MACHINE).expect("the default machine is built in"))
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Everything, for snapshots.
    pub fn text(&self) -> String {
        let mut text = format!("exit code: {}\n", self.code.unwrap_or(-1));
        for (name, stream) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !stream.is_empty() {
                text.push_str(&format!("--- {name}\n{stream}"));
            }
        }
        text
    }
}

/// The command, in a folder, with an environment that is the same everywhere.
pub fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tilewright"));
    command
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .env("NO_COLOR", "1")
        .env("TILEWRIGHT_CACHE", HOST_CACHE)
        // Nothing that somebody has tuned on this machine.
        .env("TILEWRIGHT_DB", "")
        .env("TERM", "xterm")
        .env("LC_ALL", "C.UTF-8");
    command
}

/// Runs the command. It must never panic.
pub fn tilewright(folder: &Path, args: &[&str]) -> Ran {
    ran(&mut command(folder, args))
}

/// What came of the command, which must not have panicked.
pub fn ran(command: &mut Command) -> Ran {
    let output = command.output().expect("the command starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("what is printed is UTF-8");
    let ran = Ran {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    };
    assert!(
        !ran.stderr.contains("panicked"),
        "{command:?}:\n{}",
        ran.stderr
    );
    ran
}

/// An empty folder with the main example as `gate.tw` in it.
pub fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    std::fs::copy(example(GATE), folder.path().join("gate.tw")).expect("the example is copied");
    folder
}
