//! What files of a folder were when they were written, so that work of somebody who has changed them since is not lost.
//!
//! The manifest of the folder has the hashes as its last key; its own is that of the text before the key. A folder without hashes is
//! of a version that wrote none: nothing in it counts as changed.

use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use tilewright_backends::npu::Content;

/// The key, as it stands in the manifest.
const KEY: &str = ",\n  \"sha256\": ";

#[derive(Deserialize)]
struct Hashed {
    #[serde(default)]
    sha256: BTreeMap<String, String>,
}

/// The files, with the hashes of all of them in the manifest.
pub fn with<'a>(files: &[Content<'a>], manifest: &str) -> Vec<Content<'a>> {
    let mut files = files.to_vec();
    let Some(at) = files.iter().position(|f| f.path == manifest) else {
        return files;
    };
    let Some(head) = head(&files[at].bytes).map(String::from) else {
        return files;
    };
    let mut all: BTreeMap<&str, String> = BTreeMap::new();
    for file in &files {
        all.insert(&file.path, hash(&file.bytes));
    }
    all.insert(manifest, hash(head.as_bytes()));
    let lines: Vec<String> = all
        .iter()
        .map(|(path, hash)| {
            let path = serde_json::Value::from(*path);
            format!("    {path}: \"{hash}\"")
        })
        .collect();
    let text = format!("{head}{KEY}{{\n{}\n  }}\n}}\n", lines.join(",\n"));
    files[at].bytes = Cow::Owned(text.into_bytes());
    files
}

/// The files that are no longer as they were written, by name. One that is gone is nothing to lose.
pub fn changed(folder: &Path, manifest: &str) -> Vec<String> {
    let bytes = fs::read(folder.join(manifest)).unwrap_or_default();
    let hashed = serde_json::from_slice(&bytes).map(|h: Hashed| h.sha256);
    let differs = |(path, written): &(String, String)| {
        let now = match path == manifest {
            true => head(&bytes).map(|h| hash(h.as_bytes())),
            false => fs::read(folder.join(path)).ok().map(|b| hash(&b)),
        };
        now.is_some_and(|now| now != *written)
    };
    let all = hashed.unwrap_or_default().into_iter();
    all.filter(differs).map(|(path, _)| path).collect()
}

/// A manifest up to the hashes, or to its last bracket.
fn head(manifest: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(manifest).ok()?;
    let end = text.rfind(KEY).or_else(|| text.rfind('}'))?;
    Some(text[..end].trim_end())
}

fn hash(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_named() {
        let here = tempfile::tempdir().unwrap();
        let content = |path: &str, text: &'static str| Content {
            path: path.into(),
            bytes: Cow::Borrowed(text.as_bytes()),
        };
        let manifest = "{\n  \"files\": [\"a.cpp\", \"b.cpp\"]\n}\n";
        let files = [
            content("a.cpp", "a"),
            content("b.cpp", "b"),
            content("m.json", manifest),
        ];
        let put = |files: &[Content]| {
            for file in files {
                fs::write(here.path().join(&file.path), &file.bytes).unwrap();
            }
        };
        let changed = || changed(here.path(), "m.json");
        // As an older version wrote it.
        put(&files);
        assert!(changed().is_empty());
        let hashed = with(&files, "m.json");
        put(&hashed);
        assert!(changed().is_empty());
        // Hashes of hashes are those of the files.
        assert_eq!(with(&hashed, "m.json"), hashed);
        fs::write(here.path().join("a.cpp"), "mine").unwrap();
        fs::remove_file(here.path().join("b.cpp")).unwrap();
        assert_eq!(changed(), ["a.cpp"]);
        let text = fs::read_to_string(here.path().join("m.json")).unwrap();
        fs::write(here.path().join("m.json"), text.replacen('[', "[ ", 1)).unwrap();
        assert_eq!(changed(), ["a.cpp", "m.json"]);
    }
}
