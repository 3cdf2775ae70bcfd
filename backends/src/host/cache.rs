//! Where compiled kernels are kept: a folder that any number of processes use at once, and that may be deleted at any time.
//!
//! The name of a file says what is in it: a hash of the text, the headers, the flags and the compiler. So nothing in the
//! folder is ever changed. A new file is written beside its place and renamed, which is atomic.

use super::error::HostError;
use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The variable that names the folder.
pub const VARIABLE: &str = "TILEWRIGHT_CACHE";

/// A folder of compiled kernels.
#[derive(Debug)]
pub struct Cache {
    root: PathBuf,
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
                Ok(Cache {
                    root: own.path().into(),
                    _own: Some(own),
                })
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
        Ok(Cache { root, _own: None })
    }

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
        if path.is_file() {
            return Ok(path);
        }
        let work = self.workshop()?;
        let made = make(work.path())?;
        let failed = |e| HostError::file("write", &path, &e);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        fs::rename(&made, &path).map_err(failed)?;
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
