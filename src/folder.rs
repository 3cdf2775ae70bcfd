//! Files into a folder, whole or not at all.
//!
//! Files are written to a new folder beside the target, which then takes the target's place. A target that holds anything
//! that tilewright did not write is refused; when that is forced, its other files stay.

use crate::error::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tilewright_backends::ascend::File;

/// What to do with a folder that holds other files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    Refuse,
    /// Other files stay; files of the same names are replaced.
    Keep,
}

/// The file that lists what else tilewright wrote beside it.
const MANIFEST: &str = "kernels.json";

#[derive(Deserialize)]
struct Manifest {
    kernels: Vec<ManifestKernel>,
    /// Files that are no kernel's.
    #[serde(default)]
    files: Vec<String>,
}

#[derive(Deserialize)]
struct ManifestKernel {
    file: String,
}

/// Writes files to a folder, which is made with the folders above it.
///
/// # Errors
///
/// [`Error::ForeignFolder`], and [`Error::Write`] for what the system refuses. After either the folder is as it was.
pub fn write(folder: &Path, files: &[File], foreign: Foreign) -> Result<()> {
    let failed = |e: io::Error| Error::Write {
        path: folder.into(),
        reason: e.to_string(),
    };
    let present = match fs::symlink_metadata(folder) {
        Ok(_) => Some(fs::canonicalize(folder).map_err(failed)?),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(failed(e).into()),
    };
    let stranger = match &present {
        Some(path) => stranger(path).map_err(failed)?,
        None => None,
    };
    if let (Some(name), Foreign::Refuse) = (&stranger, foreign) {
        return Err(Error::ForeignFolder {
            path: folder.into(),
            foreign: name.clone(),
        }
        .into());
    }
    let target = present.clone().unwrap_or_else(|| folder.to_path_buf());
    let above = above(&target);
    fs::create_dir_all(&above).map_err(failed)?;
    let staged = tempfile::Builder::new()
        .prefix(".tilewright-")
        .tempdir_in(&above)
        .map_err(failed)?;
    let new = staged.path().join("new");
    fs::create_dir(&new).map_err(failed)?;
    for file in files {
        fs::write(new.join(&file.path), &file.text).map_err(failed)?;
    }
    match (present, stranger) {
        (None, _) => fs::rename(&new, &target).map_err(failed)?,
        (Some(_), None) => {
            let old = staged.path().join("old");
            fs::rename(&target, &old).map_err(failed)?;
            if let Err(e) = fs::rename(&new, &target) {
                // What was there comes back.
                fs::rename(&old, &target).map_err(failed)?;
                return Err(failed(e).into());
            }
        }
        (Some(_), Some(_)) => {
            for file in files {
                fs::rename(new.join(&file.path), target.join(&file.path)).map_err(failed)?;
            }
        }
    }
    Ok(())
}

/// Writes a new file, whole or not at all.
///
/// # Errors
///
/// [`Error::Exists`], and [`Error::Write`] for what the system refuses.
pub fn write_new(path: &Path, text: &str) -> Result<()> {
    let failed = |e: io::Error| Error::Write {
        path: path.into(),
        reason: e.to_string(),
    };
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(above(path)).map_err(failed)?;
    io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => {
            Err(Error::Exists { path: path.into() }.into())
        }
        Err(e) => Err(failed(e.error).into()),
    }
}

/// The folder above; the current one for a bare name.
fn above(path: &Path) -> PathBuf {
    match path.parent() {
        Some(p) if p.as_os_str().is_empty() => PathBuf::from("."),
        Some(p) => p.into(),
        None => path.into(),
    }
}

/// The first name in a folder that the manifest beside it does not list.
fn stranger(folder: &Path) -> io::Result<Option<String>> {
    let names: BTreeSet<String> = fs::read_dir(folder)?
        .map(|e| Ok(e?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()?;
    let own: Vec<String> = fs::read_to_string(folder.join(MANIFEST))
        .ok()
        .and_then(|text| serde_json::from_str::<Manifest>(&text).ok())
        .map_or(vec![], |m| {
            let kernels = m.kernels.into_iter().map(|k| k.file);
            kernels.chain(m.files).collect()
        });
    let is_own = |n: &String| own.contains(n) || (n == MANIFEST && !own.is_empty());
    Ok(names.into_iter().find(|n| !is_own(n)))
}
