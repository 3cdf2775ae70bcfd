//! `--watch`: runs a command again when one of its files changes.
//!
//! Files are looked at a few times a second. That is as soon as a person sees it, works on every file system, and needs nothing
//! of the system.

use super::{Ended, refuse};
use std::io::Write as _;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, SystemTime};
use tilewright::error::{Error, Result};
use tilewright::place::is_stream;

const PAUSE: Duration = Duration::from_millis(200);

/// A file as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    path: PathBuf,
    /// What tells, without reading it, that it may be another.
    stamp: Option<(SystemTime, u64)>,
    bytes: Option<Vec<u8>>,
}

impl Seen {
    fn new(path: PathBuf) -> Self {
        let mut seen = Seen {
            path,
            stamp: None,
            bytes: None,
        };
        seen.look();
        seen
    }

    /// Looks again; whether its bytes are others. A file that is not there for a moment, while an editor replaces it, is as it was.
    fn look(&mut self) -> bool {
        let about = std::fs::metadata(&self.path).ok();
        let stamp = about.and_then(|a| Some((a.modified().ok()?, a.len())));
        if stamp.is_none() || stamp == self.stamp {
            return false;
        }
        let Ok(bytes) = std::fs::read(&self.path) else {
            return false;
        };
        self.stamp = stamp;
        let before = self.bytes.replace(bytes);
        before != self.bytes
    }
}

/// Runs a command, and again after each change of these files, until nobody reads what it prints or the process is ended. What is
/// refused is told, and the next change tries again.
pub fn again(files: Vec<PathBuf>, once: impl Fn() -> Result<Ended>) -> Result<Ended> {
    if files.iter().any(|f| is_stream(f)) {
        return Err(Error::OneStdin { what: "`--watch`" }.into());
    }
    let mut files: Vec<Seen> = files.into_iter().map(Seen::new).collect();
    loop {
        let ended = once();
        if let Err(refusal) = ended {
            refuse(refusal);
        }
        let names: Vec<String> = files.iter().map(|f| f.path.display().to_string()).collect();
        if !tell(&format!("watching {} (Ctrl-C ends)", names.join(", "))) {
            return Ok(Ended::Well);
        }
        let changed = wait(&mut files);
        if !tell(&format!("\n{changed} changed")) {
            return Ok(Ended::Well);
        }
    }
}

/// Waits for a change, and until nothing changes any more: the file that changed.
fn wait(files: &mut [Seen]) -> String {
    let mut changed = None;
    loop {
        sleep(PAUSE);
        // Each of them is to be looked at.
        let now: Vec<&mut Seen> = files
            .iter_mut()
            .filter_map(|f| f.look().then_some(f))
            .collect();
        match (now.first(), &changed) {
            (Some(file), _) => changed = Some(file.path.display().to_string()),
            (None, Some(name)) => return name.clone(),
            (None, None) => {}
        }
    }
}

/// Writes a line; whether somebody reads it.
fn tell(line: &str) -> bool {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_other_bytes_are_a_change() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("a.tw");
        let write = |text: &str| std::fs::write(&path, text).expect("it is written");
        write("one");
        let mut seen = Seen::new(path.clone());
        assert!(!seen.look());
        write("other");
        assert!(seen.look() && !seen.look());
        std::fs::remove_file(&path).expect("it is removed");
        assert!(!seen.look());
        write("other");
        assert!(!seen.look());
        write("third one");
        assert!(seen.look());
    }
}
