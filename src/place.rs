//! Single files that options name, whole or not at all.
//!
//! What a name leads to is written: the file behind a link, and a device or a pipe itself.

use crate::error::{Error, Result};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Whether a path stands for the standard input or output.
pub fn is_stream(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Refuses files that cannot be written, each with the option that names it: before work is done for them.
///
/// # Errors
///
/// [`Error::Write`] for a folder of that name, a folder above it that is not there, and one name for two files.
pub fn check_places(files: &[(&str, Option<&Path>)]) -> Result<()> {
    let mut seen: Vec<(&str, &Path)> = vec![];
    for (option, path) in files {
        let Some(path) = path else { continue };
        let above = path.parent().filter(|p| !p.as_os_str().is_empty());
        let twice = seen.iter().find(|(_, other)| other == path);
        let reason = match (above, twice) {
            _ if path.is_dir() => "it is a folder".to_owned(),
            (Some(above), _) if !above.is_dir() => format!("{} is no folder", above.display()),
            (_, Some((other, _))) => format!("{other} and {option} name the same file"),
            _ => {
                seen.push((option, path));
                continue;
            }
        };
        let path = path.to_path_buf();
        return Err(Error::Write { path, reason }.into());
    }
    Ok(())
}

/// Refuses options that would write over a file which is read, the layer first of these. Only `--write` may replace the layer, and
/// `--write-pins` the pins: they write what was read, with more in it.
///
/// # Errors
///
/// [`Error::Write`] for such an option.
pub fn check_unread(files: &[(&str, Option<&Path>)], read: &[PathBuf]) -> Result<()> {
    let same = |a: &Path, b: &Path| match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b && a.is_file(),
        _ => false,
    };
    for (option, path) in files {
        let Some(path) = path.filter(|p| !is_stream(p)) else {
            continue;
        };
        let watched = match *option {
            "--write" => &[],
            "--write-pins" => &read[..read.len().min(1)],
            _ => read,
        };
        if watched.iter().any(|r| same(r, path)) {
            let reason = format!("it is read, and {option} would replace it: name another file");
            let path = path.to_path_buf();
            return Err(Error::Write { path, reason }.into());
        }
    }
    Ok(())
}

/// Writes a file, whole or not at all: beside its place first, and then there. One that is there keeps its permissions. Of a link,
/// what it leads to is replaced; a device or a pipe is written into.
///
/// # Errors
///
/// [`Error::Write`] for what the system refuses; a file is then as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |e: io::Error| Error::Write {
        path: path.into(),
        reason: e.to_string(),
    };
    Ok(replaced(path, bytes).map_err(failed)?)
}

fn replaced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let old = fs::metadata(path);
    if let Ok(old) = &old {
        // What this process prints to is open, and would go on to a file that has no name any more.
        if is_open(old, Stream::Out) {
            let mut out = io::stdout().lock();
            return out.write_all(bytes).and_then(|()| out.flush());
        }
        if is_open(old, Stream::Err) {
            return io::stderr().lock().write_all(bytes);
        }
        if !old.is_file() {
            return fs::OpenOptions::new()
                .write(true)
                .open(path)?
                .write_all(bytes);
        }
    }
    let path = behind_links(path)?;
    let mut builder = tempfile::Builder::new();
    // As any new file: what the user's mask leaves.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(above(&path))?;
    file.write_all(bytes)?;
    if let Ok(old) = old {
        file.as_file().set_permissions(old.permissions())?;
    }
    file.persist(path)?;
    Ok(())
}

/// Links that may lead to each other, as the system has it.
const LINKS: usize = 40;

/// The path that links lead to in the end, whether something is there or not.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..LINKS {
        match fs::symlink_metadata(&path) {
            Ok(about) if about.is_symlink() => path = above(&path).join(fs::read_link(&path)?),
            _ => return Ok(path),
        }
    }
    Err(io::Error::other("links lead in a circle"))
}

#[derive(Clone, Copy)]
enum Stream {
    Out,
    Err,
}

/// Whether a file is the one that a stream of this process is.
#[cfg(unix)]
fn is_open(file: &fs::Metadata, stream: Stream) -> bool {
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::MetadataExt as _;
    let own = match stream {
        Stream::Out => io::stdout().as_fd().try_clone_to_owned(),
        Stream::Err => io::stderr().as_fd().try_clone_to_owned(),
    };
    let own = own.and_then(|own| fs::File::from(own).metadata());
    own.is_ok_and(|own| (own.dev(), own.ino()) == (file.dev(), file.ino()))
}

#[cfg(not(unix))]
fn is_open(_: &fs::Metadata, _: Stream) -> bool {
    false
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
pub(crate) fn above(path: &Path) -> PathBuf {
    match path.parent() {
        Some(p) if p.as_os_str().is_empty() => PathBuf::from("."),
        Some(p) => p.into(),
        None => path.into(),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn links_stay_and_what_they_lead_to_is_replaced() {
        let here = tempfile::tempdir().unwrap();
        let at = |name: &str| here.path().join(name);
        fs::create_dir(at("in")).unwrap();
        fs::write(at("in/file"), "old").unwrap();
        fs::set_permissions(at("in/file"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("in/file", at("one")).unwrap();
        symlink(at("one"), at("two")).unwrap();
        symlink("in/none", at("dangling")).unwrap();
        symlink("circle", at("circle")).unwrap();
        replace(&at("two"), b"new").unwrap();
        replace(&at("dangling"), b"new").unwrap();
        for name in ["one", "two", "dangling"] {
            assert!(fs::symlink_metadata(at(name)).unwrap().is_symlink());
        }
        for name in ["in/file", "in/none"] {
            assert_eq!(fs::read_to_string(at(name)).unwrap(), "new");
        }
        let mode = fs::metadata(at("in/file")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert!(replace(&at("circle"), b"new").is_err());
    }

    #[test]
    fn devices_are_written_into() {
        replace(Path::new("/dev/null"), b"new").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        if Path::new("/dev/full").exists() {
            let refused = replace(Path::new("/dev/full"), b"new").unwrap_err();
            assert!(refused.to_string().contains("space"), "{refused}");
        }
    }
}
