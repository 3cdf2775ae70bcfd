//! What a folder keeps of a layer, and its replacement.

use super::{Snapshot, SnapshotError};
use crate::error::{Error, Refusal, Result};
use crate::folder::{self, Foreign, Kind};
use indexmap::IndexMap;
use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use tilewright_backends::npu::Content;

/// The folder beside a layer's file in which snapshots are, a folder each.
pub const FOLDER: &str = "snapshots";

/// The texts in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where it is.
    pub folder: PathBuf,
    /// By the names of the files; none where nothing is kept.
    pub files: IndexMap<String, String>,
}

impl Kept {
    /// The folder of a layer's snapshot.
    ///
    /// # Errors
    ///
    /// A name that is not one of a folder.
    pub fn place(file: &Path, name: Option<&str>) -> Result<PathBuf> {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let name = name.unwrap_or(&stem);
        let plain = |c: char| !c.is_control() && !"/\\:".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            return Err(SnapshotError::Name { name: name.into() }.into());
        }
        let above = file.parent().unwrap_or(Path::new(""));
        Ok(above.join(FOLDER).join(name))
    }

    /// Reads a folder, which may not be there.
    ///
    /// # Errors
    ///
    /// A folder that holds something else, and what cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        folder::settle(folder);
        let mut kept = Kept {
            folder: folder.into(),
            files: IndexMap::new(),
        };
        if !folder.exists() {
            return Ok(kept);
        }
        let failed = |e: io::Error| unreadable(folder, &e);
        let names = folder::snapshot_files(folder).map_err(failed)?;
        if names.is_empty()
            && let Some(first) = std::fs::read_dir(folder).map_err(failed)?.next()
        {
            return Err(SnapshotError::Foreign {
                folder: folder.into(),
                foreign: first.map_err(failed)?.file_name().display().to_string(),
                schedule: folder::SCHEDULE,
            }
            .into());
        }
        for name in &names {
            let path = folder.join(name);
            let bytes = std::fs::read(&path).map_err(|e| unreadable(&path, &e))?;
            // A text that is none differs from all that are; a checkout may have other ends of lines.
            let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
            kept.files.insert(name.to_string_lossy().into_owned(), text);
        }
        Ok(kept)
    }

    /// Replaces what is kept, whole or not at all; files that nothing makes any more go.
    ///
    /// # Errors
    ///
    /// What the system refuses; then all is as it was.
    pub fn accept(&self, now: &Snapshot) -> Result<()> {
        let content = |(path, text): (String, String)| Content {
            path,
            bytes: Cow::Owned(text.into_bytes()),
        };
        let files: Vec<Content> = now.texts().into_iter().map(content).collect();
        folder::write_tree(&self.folder, &files, Kind::Snapshot, Foreign::Keep)
    }
}

fn unreadable(path: &Path, e: &io::Error) -> Refusal {
    Error::Read {
        path: path.into(),
        reason: e.to_string(),
        help: "a snapshot is a folder of texts: check that it can be read".into(),
    }
    .into()
}
