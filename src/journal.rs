//! Files of a folder that are replaced while other files in it stay: all of them or none, also when the process is killed.
//!
//! New files are made in a folder beside the target (`new` in it). Then the journal is written there, which names what takes its
//! place and what goes away. Before that nothing in the target has changed; from then on whoever finds the journal of a process
//! that has ended finishes its work. Each step may be done twice.

use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Component, Path};

/// What is to be done to a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// The folder's name; it is beside the journal's own folder.
    target: String,
    /// Paths in the target whose new files are in `new`.
    files: Vec<String>,
    /// Paths in the target that go away.
    gone: Vec<String>,
}

/// The journal in its folder, and under which name it is written.
const FILE: &str = "journal.json";
const DRAFT: &str = "journal.draft";

impl Journal {
    /// A journal for a folder, whose paths lead nowhere else.
    ///
    /// # Errors
    ///
    /// A path that leads out of the folder, through a link or by its name, and a folder in place of a file.
    pub fn new(target: &Path, files: Vec<String>, gone: Vec<String>) -> io::Result<Journal> {
        for file in &files {
            no_link_above(target, Path::new(file))?;
            if fs::symlink_metadata(target.join(file)).is_ok_and(|m| m.is_dir()) {
                return Err(io::Error::other(format!("`{file}` in it is a folder")));
            }
        }
        let name = target.file_name().and_then(|n| n.to_str());
        let name = name.ok_or_else(|| io::Error::other("its name is no text"))?;
        let reached =
            |p: &String| is_inside(Path::new(p)) && no_link_above(target, Path::new(p)).is_ok();
        Ok(Journal {
            target: name.into(),
            files,
            gone: gone.into_iter().filter(reached).collect(),
        })
    }

    /// Writes the journal to its folder: from then on its work is done.
    ///
    /// # Errors
    ///
    /// What the system refuses.
    pub fn write(&self, staged: &Path) -> io::Result<()> {
        fs::write(staged.join(DRAFT), serde_json::to_vec(self)?)?;
        fs::rename(staged.join(DRAFT), staged.join(FILE))
    }

    /// The journal in a folder, if there is one.
    pub fn read(staged: &Path) -> Option<Journal> {
        let text = fs::read(staged.join(FILE)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Whether it is about this folder.
    pub fn is_of(&self, target: &Path) -> bool {
        target
            .file_name()
            .is_some_and(|n| n == self.target.as_str())
    }

    /// Does what is left to do of its work.
    ///
    /// # Errors
    ///
    /// What the system refuses, and a path that leads out of the folder.
    pub fn finish(&self, staged: &Path) -> io::Result<()> {
        let named = Path::new(&self.target);
        let Some(above) = staged.parent().filter(|_| is_name(named)) else {
            return Err(io::Error::other("its folder is not beside it"));
        };
        let target = above.join(named);
        if !fs::symlink_metadata(&target)?.is_dir() {
            return Err(io::Error::other("its folder is none"));
        }
        let paths = || self.files.iter().chain(&self.gone).map(Path::new);
        if let Some(path) = paths().find(|p| !is_inside(p)) {
            return Err(io::Error::other(format!(
                "`{}` is not in it",
                path.display()
            )));
        }
        for file in &self.files {
            let (from, to) = (staged.join("new").join(file), target.join(file));
            // What is no longer there has been done.
            if fs::symlink_metadata(&from).is_ok() {
                no_link_above(&target, Path::new(file))?;
                fs::create_dir_all(to.parent().unwrap_or(&target))?;
                fs::rename(from, to)?;
            }
        }
        for file in &self.gone {
            no_link_above(&target, Path::new(file))?;
            match fs::remove_file(target.join(file)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            // A folder that held files of ours only.
            for folder in Path::new(file).ancestors().skip(1) {
                if folder.as_os_str().is_empty() || fs::remove_dir(target.join(folder)).is_err() {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Whether a path, which anyone may have written, leads to a file in the folder that it starts at.
pub fn is_inside(path: &Path) -> bool {
    path.components().all(|c| matches!(c, Component::Normal(_)))
}

fn is_name(path: &Path) -> bool {
    is_inside(path) && path.components().count() == 1
}

/// No folder on the way to a file in `folder` is a link, which would lead out of it.
///
/// # Errors
///
/// The link.
pub fn no_link_above(folder: &Path, file: &Path) -> io::Result<()> {
    for part in file.ancestors().skip(1) {
        let path = folder.join(part);
        let link = fs::symlink_metadata(&path).is_ok_and(|m| m.is_symlink());
        if link && !part.as_os_str().is_empty() {
            return Err(io::Error::other(format!(
                "`{}` in it is a link, which leads elsewhere: remove the link",
                part.display()
            )));
        }
    }
    Ok(())
}
