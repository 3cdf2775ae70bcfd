//! Runs what the book says, as a reader would.

use crate::common::{self, Ran};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder with two small examples in it.
pub fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    for name in ["rms_norm", "all_gather"] {
        let to = folder.path().join(format!("{name}.tw"));
        std::fs::copy(common::example(name), to).expect("an example is copied");
    }
    folder
}

/// Runs lines of a shell, in which `tilewright` is the command under test.
pub fn shell(folder: &Path, lines: &str) -> Ran {
    // What the command of the tests is started with, for another program.
    let own = common::command(folder, &[]);
    let binary = Path::new(own.get_program());
    let bin = binary.parent().expect("a folder").to_path_buf();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(bin).chain(std::env::split_paths(&path));
    let mut command = Command::new("sh");
    command
        .args(["-e", "-c", lines])
        .current_dir(folder)
        .stdin(std::process::Stdio::null())
        .env("PATH", std::env::join_paths(paths).expect("paths"));
    for (name, value) in own.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    common::ran(&mut command)
}

/// What `work` says of each item, some at a time, in the order of the items.
pub fn side_by_side<T: Sync>(items: &[T], work: impl Fn(&T) -> Vec<String> + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let said: Mutex<Vec<(usize, Vec<String>)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some((i, item)) = {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    items.get(i).map(|item| (i, item))
                } {
                    let lines = work(item);
                    said.lock().expect("no thread panics").push((i, lines));
                }
            });
        }
    });
    let mut said = said.into_inner().expect("no thread panics");
    said.sort();
    said.into_iter().flat_map(|(_, lines)| lines).collect()
}
