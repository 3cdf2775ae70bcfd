//! Files into a folder, whole or not at all.
//!
//! Files are written to a new folder beside the target, which then takes the target's place. A target that holds anything
//! that tilewright did not write, or files of ours that are no longer as they were written (`hashes.rs`), is refused; when that is forced, its other files stay, and ours are replaced by a journal
//! (`journal.rs`): a process that is killed leaves all old files, or a journal that the next command here finishes.

use crate::error::{Error, Result};
use crate::hashes;
use crate::journal::Journal;
use crate::place::above as above_of;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tilewright_backends::ascend::File;
use tilewright_backends::npu::{self, Content};

/// The program that the kernels of a folder are emitted from.
pub const BESIDE: &str = "kernels.program.json";

/// The schedule of a snapshot. A folder without it is none.
pub const SCHEDULE: &str = "schedule.json";

/// The plan of a snapshot.
pub const PLAN: &str = "plan.txt";

/// What to do with a folder that holds what somebody else wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// It is refused, and stays as it is; so is one where files of ours were changed since.
    Refuse,
    /// Other files stay; files of the same names are replaced, and ours as well where they were changed.
    Keep,
}

/// What a folder of ours holds, which decides what in it is ours to replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Kernels, and `kernels.json`, which lists them.
    Kernels,
    /// A project, and `project.json`, which lists all files.
    Project,
    /// A snapshot, whose files are known by their names.
    Snapshot,
}

#[derive(Deserialize)]
struct Kernels {
    kernels: Vec<Kernel>,
    /// Files that are no kernel's.
    #[serde(default)]
    files: Vec<String>,
}

#[derive(Deserialize)]
struct Kernel {
    file: String,
}

#[derive(Deserialize)]
struct Project {
    files: Vec<String>,
}

impl Kind {
    fn manifest(self) -> &'static str {
        match self {
            Kind::Kernels => "kernels.json",
            Kind::Project => npu::MANIFEST,
            Kind::Snapshot => SCHEDULE,
        }
    }

    /// Files of ours in a folder: what the manifest there lists, itself included; none without one.
    fn listed(self, folder: &Path) -> BTreeSet<PathBuf> {
        let text = || fs::read_to_string(folder.join(self.manifest())).unwrap_or_default();
        let files = match self {
            Kind::Kernels => serde_json::from_str::<Kernels>(&text()).map(|m| {
                let kernels = m.kernels.into_iter().map(|k| k.file);
                kernels.chain(m.files).collect()
            }),
            Kind::Project => serde_json::from_str::<Project>(&text()).map(|m| m.files),
            // The list may be what two branches have made of it.
            Kind::Snapshot => return snapshot_files(folder).unwrap_or_default(),
        };
        let mut files: Vec<String> = files.unwrap_or_default();
        if !files.is_empty() {
            files.push(self.manifest().into());
            if self == Kind::Kernels {
                files.push(BESIDE.into());
            }
        }
        files.into_iter().map(PathBuf::from).collect()
    }

    fn what(self) -> &'static str {
        match self {
            Kind::Kernels => "kernels",
            Kind::Project => "a project",
            Kind::Snapshot => "a snapshot",
        }
    }
}

/// The files of a snapshot in a folder: texts of the kinds that it can have. Others are somebody's notes. None where there is no
/// snapshot.
///
/// # Errors
///
/// What the system refuses.
pub fn snapshot_files(folder: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let entries = fs::read_dir(folder)?;
    let names = entries.map(|e| Ok(PathBuf::from(e?.file_name())));
    let mut names = names.collect::<io::Result<BTreeSet<_>>>()?;
    let is_snapshot = names.contains(Path::new(SCHEDULE));
    let kinds = ["cpp", "py", "json"].map(std::ffi::OsStr::new);
    let is_kind = |name: &Path| name.extension().is_some_and(|e| kinds.contains(&e));
    names.retain(|n| is_snapshot && (n == Path::new(PLAN) || is_kind(n)));
    Ok(names)
}

/// Writes kernels to a folder, which is made with the folders above it.
///
/// # Errors
///
/// As [`write_tree`].
pub fn write(folder: &Path, files: &[File], foreign: Foreign) -> Result<()> {
    let files: Vec<Content> = files
        .iter()
        .map(|f| Content {
            path: f.path.clone(),
            bytes: Cow::Borrowed(f.text.as_bytes()),
        })
        .collect();
    write_tree(folder, &files, Kind::Kernels, foreign)
}

/// Writes files to a folder and folders in it, which are made with the folders above them.
///
/// # Errors
///
/// [`Error::ForeignFolder`], [`Error::ChangedFiles`], and [`Error::Write`] for what the system refuses. After each of them the folder is as it was, or the next
/// command finishes what this one began.
pub fn write_tree(folder: &Path, files: &[Content], kind: Kind, foreign: Foreign) -> Result<()> {
    let failed = |e: io::Error| Error::Write {
        path: folder.into(),
        reason: e.to_string(),
    };
    let present = match fs::symlink_metadata(folder) {
        Ok(_) => Some(fs::canonicalize(folder).map_err(failed)?),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(failed(e).into()),
    };
    let target = present.clone().unwrap_or_else(|| folder.to_path_buf());
    let above = above_of(&target);
    // What was begun is finished before anything is looked at.
    sweep(&above, &target);
    let stranger = match &present {
        Some(path) => stranger(path, kind).map_err(failed)?,
        None => None,
    };
    if let (Some(name), Foreign::Refuse) = (&stranger, foreign) {
        return Err(Error::ForeignFolder {
            path: folder.into(),
            what: kind.what(),
            foreign: name.clone(),
        }
        .into());
    }
    if foreign == Foreign::Refuse {
        let changed = present
            .as_ref()
            .map(|p| hashes::changed(p, kind.manifest()));
        let changed = changed.unwrap_or_default();
        if !changed.is_empty() {
            return Err(Error::ChangedFiles {
                path: folder.into(),
                changed: changed.join("`, `"),
            }
            .into());
        }
    }
    let files = match kind {
        // Under version control, where a difference is looked at before it is taken.
        Kind::Snapshot => files.to_vec(),
        Kind::Kernels | Kind::Project => hashes::with(files, kind.manifest()),
    };
    fs::create_dir_all(&above).map_err(failed)?;
    let staged = tempfile::Builder::new()
        .prefix(&format!("{STAGED}{}-", std::process::id()))
        .tempdir_in(&above)
        .map_err(failed)?;
    let new = staged.path().join("new");
    fs::create_dir(&new).map_err(failed)?;
    for file in &files {
        let path = new.join(&file.path);
        fs::create_dir_all(above_of(&path)).map_err(failed)?;
        fs::write(path, &file.bytes).map_err(failed)?;
    }
    match (present, stranger) {
        (None, _) => fs::rename(&new, &target).map_err(failed)?,
        (Some(_), None) => {
            if !exchange(&new, &target) {
                let old = staged.path().join("old");
                fs::rename(&target, &old).map_err(failed)?;
                if let Err(e) = fs::rename(&new, &target) {
                    // What was there comes back.
                    fs::rename(&old, &target).map_err(failed)?;
                    return Err(failed(e).into());
                }
            }
        }
        (Some(_), Some(_)) => {
            let is_new = |path: &PathBuf| files.iter().any(|f| Path::new(&f.path) == path);
            let old = kind.listed(&target).into_iter().filter(|p| !is_new(p));
            let gone = old.map(|p| p.to_string_lossy().into_owned()).collect();
            let new = files.iter().map(|f| f.path.clone()).collect();
            // What can fail comes before the first file that is replaced.
            let journal = Journal::new(&target, new, gone).map_err(failed)?;
            journal.write(staged.path()).map_err(failed)?;
            if let Err(e) = journal.finish(staged.path()) {
                // The next command finishes what could not be done now.
                let _ = staged.keep();
                return Err(failed(e).into());
            }
        }
    }
    Ok(())
}

/// Files of a folder of kernels that are missing, and those that are no longer as they were written.
pub fn unlike(folder: &Path) -> Vec<String> {
    let kind = Kind::Kernels;
    let changed = hashes::changed(folder, kind.manifest());
    let listed = kind.listed(folder).into_iter();
    let missing = listed.filter(|file| !folder.join(file).exists());
    let missing = missing.map(|file| format!("{} is missing", file.display()));
    let changed = changed
        .into_iter()
        .map(|file| format!("{file} was changed"));
    missing.chain(changed).collect()
}

/// Finishes what a process that was killed had begun to write to a folder.
pub fn settle(folder: &Path) {
    if let Ok(target) = fs::canonicalize(folder) {
        sweep(&above_of(&target), &target);
    }
}

/// How folders begin in which files are made before they take their place; the number of the process follows.
const STAGED: &str = ".tilewright-";

/// Finishes and removes what processes that were ended left beside the target.
fn sweep(above: &Path, target: &Path) {
    let Ok(entries) = fs::read_dir(above) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|n| n.strip_prefix(STAGED));
        let process = process.and_then(|n| n.split_once('-')?.0.parse::<u32>().ok());
        let is_folder = entry.file_type().is_ok_and(|t| t.is_dir());
        if !(is_folder && process.is_some_and(is_over)) {
            continue;
        }
        let path = entry.path();
        if let Some(journal) = Journal::read(&path).filter(|_| is_own(&path, above)) {
            // What cannot be finished may be later, unless it is written anew now.
            if journal.finish(&path).is_err()
                && !journal.is_of(target)
                && above.join(&name).exists()
            {
                continue;
            }
        }
        // Somebody else may do the same, or own it.
        let _ = fs::remove_dir_all(path);
    }
}

/// Whether a folder is the user's who runs this: what others say is to be done is not done.
#[cfg(unix)]
fn is_own(path: &Path, above: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let owner = |p: &Path| fs::symlink_metadata(p).map(|m| m.uid());
    let mine = tempfile::Builder::new().prefix(STAGED).tempfile_in(above);
    let mine = mine.and_then(|f| f.as_file().metadata().map(|m| m.uid()));
    matches!((owner(path), mine), (Ok(a), Ok(b)) if a == b)
}

#[cfg(not(unix))]
fn is_own(_: &Path, _: &Path) -> bool {
    false
}

/// Whether a process is known to have ended.
fn is_over(process: u32) -> bool {
    let processes = Path::new("/proc");
    processes.join("self").exists() && !processes.join(process.to_string()).exists()
}

/// Two folders change places at once, so that there is one at any moment; not every system can.
#[cfg(target_os = "linux")]
fn exchange(a: &Path, b: &Path) -> bool {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn exchange(_: &Path, _: &Path) -> bool {
    false
}

/// The first file or empty folder, or link, in a folder that the manifest there does not list.
fn stranger(folder: &Path, kind: Kind) -> io::Result<Option<String>> {
    let own = kind.listed(folder);
    let mut open = vec![PathBuf::new()];
    let mut first: Option<PathBuf> = None;
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(folder.join(&at))? {
            let entry = entry?;
            let path = at.join(entry.file_name());
            // Only folders that files of ours are in: of any other one, its name says enough.
            let ours = own.iter().any(|o| o != &path && o.starts_with(&path));
            match (entry.file_type()?.is_dir(), ours) {
                (true, true) => open.push(path),
                (false, _) if own.contains(&path) => {}
                _ => first = Some(first.map_or(path.clone(), |f| f.min(path))),
            }
        }
    }
    Ok(first.map(|p| p.display().to_string()))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn content(path: &str, text: &'static str) -> Content<'static> {
        Content {
            path: path.into(),
            bytes: Cow::Borrowed(text.as_bytes()),
        }
    }

    /// Neither what is written nor what is removed lies behind a link.
    #[test]
    fn links_lead_nowhere() {
        let here = tempfile::tempdir().unwrap();
        let (out, other) = (here.path().join("out"), here.path().join("other"));
        fs::create_dir_all(&out).unwrap();
        fs::create_dir_all(&other).unwrap();
        fs::write(other.join("precious"), "mine").unwrap();
        symlink(&other, out.join("data")).unwrap();
        let manifest = r#"{"files": ["data/precious", "../other/precious"]}"#;
        fs::write(out.join(npu::MANIFEST), manifest).unwrap();
        let through = [content("data/precious", "new")];
        let refused = write_tree(&out, &through, Kind::Project, Foreign::Keep);
        assert!(refused.is_err());
        let beside = [content("a.txt", "new")];
        write_tree(&out, &beside, Kind::Project, Foreign::Keep).unwrap();
        assert_eq!(fs::read_to_string(other.join("precious")).unwrap(), "mine");
        // A link in place of a file is replaced, and what it leads to stays.
        symlink(other.join("precious"), out.join("b.txt")).unwrap();
        let over = [content("b.txt", "new")];
        write_tree(&out, &over, Kind::Project, Foreign::Keep).unwrap();
        assert_eq!(fs::read_to_string(other.join("precious")).unwrap(), "mine");
        assert_eq!(fs::read_to_string(out.join("b.txt")).unwrap(), "new");
    }

    /// All files of a folder with their texts.
    fn tree(folder: &Path) -> Vec<(PathBuf, String)> {
        let mut out = vec![];
        let mut open = vec![folder.to_path_buf()];
        while let Some(at) = open.pop() {
            for entry in fs::read_dir(&at).unwrap().flatten() {
                match entry.file_type().unwrap().is_dir() {
                    true => open.push(entry.path()),
                    false => out.push((entry.path(), fs::read_to_string(entry.path()).unwrap())),
                }
            }
        }
        out.sort();
        out
    }

    /// Whenever a process is killed that writes into a folder with files of others, all files are the old ones, or the next
    /// command makes all of them the new ones; others' files stay, and nothing is left beside.
    #[test]
    fn a_kill_leaves_all_of_the_old_or_all_of_the_new() {
        if !Path::new("/proc/self").exists() {
            return;
        }
        let old = r#"{"files": ["a.txt", "b/old.txt", "c.txt"]}"#;
        let new = r#"{"files": ["a.txt", "d/new.txt", "c.txt"]}"#;
        // Steps: before the journal; with it, and 0 to 4 files in their places; and one gone besides.
        for step in 0..7_usize {
            let here = tempfile::tempdir().unwrap();
            let out = here.path().join("out");
            let before = [
                (npu::MANIFEST, old),
                ("a.txt", "old"),
                ("b/old.txt", "old"),
                ("c.txt", "old"),
                ("mine.txt", "mine"),
            ];
            let staged = here.path().join(format!("{STAGED}{}-x", u32::MAX - 1));
            let after = [
                ("a.txt", "new"),
                ("d/new.txt", "new"),
                ("c.txt", "new"),
                (npu::MANIFEST, new),
            ];
            let put = |folder: &Path, files: &[(&str, &str)]| {
                for (path, text) in files {
                    let path = folder.join(path);
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(path, text).unwrap();
                }
            };
            put(&out, &before);
            put(&staged.join("new"), &after);
            if step > 0 {
                let files = after.iter().map(|f| f.0.to_string()).collect();
                let journal = Journal::new(&out, files, vec!["b/old.txt".into()]).unwrap();
                journal.write(&staged).unwrap();
                for (path, _) in &after[..(step - 1).min(4)] {
                    fs::create_dir_all(out.join(path).parent().unwrap()).unwrap();
                    fs::rename(staged.join("new").join(path), out.join(path)).unwrap();
                }
                if step == 6 {
                    fs::remove_file(out.join("b/old.txt")).unwrap();
                }
            }
            settle(&out);
            let expected = here.path().join("expected");
            let mine = ("mine.txt", "mine");
            match step {
                0 => put(&expected, &before),
                _ => put(&expected, &[&after[..], &[mine]].concat()),
            }
            let of = |folder: &Path| -> Vec<(PathBuf, String)> {
                let files = tree(folder).into_iter();
                files
                    .map(|(p, t)| (p.strip_prefix(folder).unwrap().to_path_buf(), t))
                    .collect()
            };
            assert_eq!(of(&out), of(&expected), "killed at step {step}");
            assert_eq!(out.join("b").exists(), step == 0);
            // The target and what it is compared with.
            assert_eq!(fs::read_dir(here.path()).unwrap().count(), 2);
        }
    }

    /// A journal that somebody wrote leads nowhere but to the folder beside it.
    #[test]
    fn journals_lead_nowhere_else() {
        let here = tempfile::tempdir().unwrap();
        let out = here.path().join("out");
        fs::create_dir_all(&out).unwrap();
        fs::write(here.path().join("precious"), "mine").unwrap();
        symlink(here.path(), out.join("up")).unwrap();
        for (target, file) in [
            ("out", "../precious"),
            ("out", "up/precious"),
            ("..", "precious"),
            ("out/up", "precious"),
            ("/", "tmp/precious"),
        ] {
            let staged = here.path().join(format!("{STAGED}{}-x", u32::MAX - 1));
            fs::create_dir_all(staged.join("new/up")).unwrap();
            fs::write(staged.join("precious"), "theirs").unwrap();
            fs::write(staged.join("new/precious"), "theirs").unwrap();
            fs::write(staged.join("new/up/precious"), "theirs").unwrap();
            let journal =
                format!(r#"{{"target": "{target}", "files": ["{file}"], "gone": ["{file}"]}}"#);
            fs::write(staged.join("journal.json"), journal).unwrap();
            settle(&out);
            let text = fs::read_to_string(here.path().join("precious")).unwrap();
            assert_eq!(text, "mine", "{target} {file}");
        }
    }

    /// What a process that was ended left goes away; what one that runs has stays, and so does what is not ours.
    #[test]
    fn litter_is_swept() {
        let here = tempfile::tempdir().unwrap();
        let of = |name: String| here.path().join(name);
        let dead = of(format!("{STAGED}{}-x", u32::MAX - 1));
        let alive = of(format!("{STAGED}{}-x", std::process::id()));
        let foreign = of(format!("{STAGED}notes"));
        for folder in [&dead, &alive, &foreign] {
            fs::create_dir_all(folder.join("new")).unwrap();
        }
        let files = [content("a.txt", "new")];
        write_tree(&of("out".into()), &files, Kind::Project, Foreign::Refuse).unwrap();
        let swept = !Path::new("/proc/self").exists() || !dead.exists();
        assert!(swept && alive.exists() && foreign.exists());
    }
}
