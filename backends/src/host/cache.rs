//! Where compiled kernels are kept: a folder that any number of processes use at once, and that may be deleted at any time.
//!
//! The name of a file says what is in it: a hash of the text, the headers, the flags and the compiler. So nothing in the
//! folder is ever changed. A new file is written beside its place and renamed, which is atomic.
//!
//! What lies there is code that will run, so it is not believed: it has to be a plain file of this user that nobody else can write, and
//! to be what the file `NAME.sum` beside it says, which is as long and has the same hash. Anything else is made again.

use super::error::HostError;
use std::env;
use std::fs::{self, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The variable that names the folder.
pub const VARIABLE: &str = "TILEWRIGHT_CACHE";

/// A folder of compiled kernels.
#[derive(Debug)]
pub struct Cache {
    root: PathBuf,
    /// The user whose files count, where the system has users.
    owner: Option<u32>,
    /// A folder of this process alone, where the user has none.
    _own: Option<TempDir>,
}

/// Where the folder is, by the environment.
fn place(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let of = |name| variable(name).filter(|p| !p.as_os_str().is_empty());
    of(VARIABLE)
        // The standard says that a relative path is to be ignored.
        .or_else(|| {
            Some(
                of("XDG_CACHE_HOME")
                    .filter(|p| p.is_absolute())?
                    .join("tilewright"),
            )
        })
        .or_else(|| Some(of("HOME")?.join(".cache/tilewright")))
}

impl Cache {
    /// The user's: `$TILEWRIGHT_CACHE`, `$XDG_CACHE_HOME/tilewright`, `~/.cache/tilewright`; without a home, a folder
    /// that is deleted when this value is.
    ///
    /// # Errors
    ///
    /// A folder that cannot be made.
    pub fn open() -> Result<Self, HostError> {
        match place(|name| env::var_os(name).map(PathBuf::from)) {
            Some(root) => Cache::at(&root),
            None => {
                let own = tempfile::Builder::new().prefix("tilewright-").tempdir();
                let own = own.map_err(|e| HostError::file("write to", &env::temp_dir(), &e))?;
                let mut cache = Cache::at(own.path())?;
                cache._own = Some(own);
                Ok(cache)
            }
        }
    }

    /// A folder, which is made.
    ///
    /// # Errors
    ///
    /// What the system refuses.
    pub fn at(root: &Path) -> Result<Self, HostError> {
        let failed = |e| HostError::file("write to", root, &e);
        fs::create_dir_all(root).map_err(failed)?;
        // Compilers run in other folders.
        let root = root.canonicalize().map_err(failed)?;
        let mut cache = Cache {
            root,
            owner: None,
            _own: None,
        };
        // Whoever makes a folder here is this user.
        let made = cache.workshop()?;
        cache.owner = owner(&fs::metadata(made.path()).map_err(failed)?);
        let found = fs::metadata(&cache.root).map_err(failed)?;
        if owner(&found) != cache.owner {
            let other = io::Error::other(
                "it belongs to another user, who could change the code in it; name another folder",
            );
            return Err(failed(other));
        }
        close(&cache.root, &found).map_err(failed)?;
        Ok(cache)
    }

    /// Whether a file is as it was made, by this user.
    fn is_whole(&self, path: &Path) -> bool {
        let Ok(found) = fs::symlink_metadata(path) else {
            return false;
        };
        let ours = found.is_file() && owner(&found) == self.owner && !others_write(&found);
        let same = || {
            let (Ok(bytes), Ok(said)) = (fs::read(path), fs::read_to_string(beside(path))) else {
                return false;
            };
            said == sum(&bytes)
        };
        ours && same()
    }

    /// The folder that compiled kernels are kept in.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A folder to work in, on the file system of the cache, that is deleted when the value is.
    pub(super) fn workshop(&self) -> Result<TempDir, HostError> {
        tempfile::Builder::new()
            .prefix("work-")
            .tempdir_in(&self.root)
            .map_err(|e| HostError::file("write to", &self.root, &e))
    }

    /// The file of this name, made by `make` if it is not there. `make` gets a folder to work in, and says which file in it
    /// is the result.
    pub(super) fn get<E: From<HostError>>(
        &self,
        name: &str,
        make: impl FnOnce(&Path) -> Result<PathBuf, E>,
    ) -> Result<PathBuf, E> {
        let path = self.root.join(name);
        if self.is_whole(&path) {
            return Ok(path);
        }
        let work = self.workshop()?;
        let made = make(work.path())?;
        let failed = |e| HostError::file("write", &path, &e);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        let found = fs::metadata(&made).map_err(failed)?;
        close(&made, &found).map_err(failed)?;
        let said = work.path().join("sum");
        fs::write(&said, sum(&fs::read(&made).map_err(failed)?)).map_err(failed)?;
        fs::rename(&made, &path).map_err(failed)?;
        fs::rename(&said, beside(&path)).map_err(failed)?;
        Ok(path)
    }

    /// A file of this text, written if it is not there or is not whole.
    pub(super) fn text(&self, name: &str, text: &str) -> Result<PathBuf, HostError> {
        let path = self.root.join(name);
        if fs::read(&path).is_ok_and(|found| found == text.as_bytes()) {
            return Ok(path);
        }
        let failed = |e| HostError::file("write", &path, &e);
        let work = self.workshop()?;
        let new = work.path().join("new");
        fs::write(&new, text).map_err(failed)?;
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        fs::rename(&new, &path).map_err(failed)?;
        Ok(path)
    }
}

/// Where it is written what a file has to be.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sum");
    name.into()
}

/// The length and a hash of a file.
fn sum(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("{} {:016x}\n", bytes.len(), hasher.finish())
}

#[cfg(unix)]
fn owner(found: &Metadata) -> Option<u32> {
    Some(std::os::unix::fs::MetadataExt::uid(found))
}

#[cfg(unix)]
fn others_write(found: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(found) & 0o022 != 0
}

/// Lets nobody else write it.
#[cfg(unix)]
fn close(path: &Path, found: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    match others_write(found) {
        true => {
            let mode = found.permissions().mode() & !0o022;
            fs::set_permissions(path, fs::Permissions::from_mode(mode))
        }
        false => Ok(()),
    }
}

#[cfg(not(unix))]
fn owner(_: &Metadata) -> Option<u32> {
    None
}

#[cfg(not(unix))]
fn others_write(_: &Metadata) -> bool {
    false
}

#[cfg(not(unix))]
fn close(_: &Path, _: &Metadata) -> io::Result<()> {
    Ok(())
}

/// A name for what these parts make, 128 bits of hash. Another release of Rust may hash differently: then kernels are
/// compiled again.
pub(super) fn digest(parts: &[&str]) -> String {
    let half = |seed: u64| {
        let mut hasher = DefaultHasher::new();
        seed.hash(&mut hasher);
        parts.hash(&mut hasher);
        hasher.finish()
    };
    format!("{:016x}{:016x}", half(0), half(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_where() {
        let env = |list: &'static [(&str, &str)]| {
            place(|name| {
                let found = list.iter().find(|(n, _)| *n == name);
                found.map(|(_, v)| PathBuf::from(v))
            })
        };
        let all = &[(VARIABLE, "/a"), ("XDG_CACHE_HOME", "/b"), ("HOME", "/c")];
        assert_eq!(env(all), Some("/a".into()));
        assert_eq!(env(&all[1..]), Some("/b/tilewright".into()));
        assert_eq!(env(&all[2..]), Some("/c/.cache/tilewright".into()));
        assert_eq!(env(&[("XDG_CACHE_HOME", "b"), ("HOME", "")]), None);
    }

    #[test]
    fn what_is_there_is_not_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(&folder.path().join("new")).unwrap();
        let make = |text: &'static str| {
            move |work: &Path| -> Result<PathBuf, HostError> {
                let file = work.join("x");
                fs::write(&file, text).unwrap();
                Ok(file)
            }
        };
        let path = cache.get("a/one", make("first")).unwrap();
        assert_eq!(cache.get("a/one", make("second")).unwrap(), path);
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        // What failed leaves nothing.
        let lost = HostError::NoFile { kernel: "k".into() };
        assert!(cache.get("a/two", |_| Err::<PathBuf, _>(lost)).is_err());
        assert!(!cache.root().join("a/two").exists());
        let names: Vec<_> = fs::read_dir(cache.root()).unwrap().collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }

    /// Shorter, of the same length, a link, and a file that others can write: nothing of it is run.
    #[cfg(unix)]
    #[test]
    fn what_is_not_as_it_was_made_is_made_again() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        let make = |work: &Path| -> Result<PathBuf, HostError> {
            let file = work.join("x");
            fs::write(&file, "good").unwrap();
            Ok(file)
        };
        let path = cache.get("a/one", make).unwrap();
        let spoil: [&dyn Fn(); 5] = [
            &|| fs::write(&path, "go").unwrap(),
            &|| fs::write(&path, "evil").unwrap(),
            &|| fs::remove_file(beside(&path)).unwrap(),
            &|| {
                let other = folder.path().join("other");
                fs::write(&other, "good").unwrap();
                fs::remove_file(&path).unwrap();
                symlink(other, &path).unwrap();
            },
            &|| fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap(),
        ];
        for (i, spoil) in spoil.iter().enumerate() {
            spoil();
            assert!(!cache.is_whole(&path), "{i}");
            assert_eq!(cache.get("a/one", make).unwrap(), path);
            assert_eq!(fs::read_to_string(&path).unwrap(), "good", "{i}");
            let found = fs::symlink_metadata(&path).unwrap();
            assert!(found.is_file() && !others_write(&found), "{i}");
        }
        // A folder that others could write is closed to them.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        Cache::at(folder.path()).unwrap();
        assert!(!others_write(&fs::metadata(folder.path()).unwrap()));
    }

    #[test]
    fn a_damaged_header_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        let path = cache.text("include/a.hpp", "text").unwrap();
        fs::write(&path, "te").unwrap();
        cache.text("include/a.hpp", "text").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
    }

    #[test]
    fn processes_at_once_end_with_one_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        let text = "x".repeat(1 << 16);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| cache.text("a", &text).unwrap());
            }
        });
        assert_eq!(fs::read_to_string(folder.path().join("a")).unwrap(), text);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let e = Cache::at(&file.join("cache")).unwrap_err();
        assert!(matches!(e, HostError::File { .. }), "{e}");
    }

    #[test]
    fn parts_are_kept_apart() {
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
        assert_eq!(digest(&["ab", "c"]), digest(&["ab", "c"]));
        assert_eq!(digest(&[]).len(), 32);
    }
}
