//! The project's own Rust files.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use proc_macro2::TokenStream;

/// Folders of the crates of the workspace, as prefixes of paths.
pub const CRATES: [&str; 4] = ["", "ir/", "passes/", "backends/"];

const FOLDERS: [&str; 4] = ["src", "tests", "benches", "examples"];

/// A file.
pub struct Source {
    /// From the root of the workspace, with `/` between folders.
    pub path: String,
    pub text: String,
}

impl Source {
    pub fn lines(&self) -> usize {
        self.text.lines().count()
    }

    pub fn tokens(&self) -> TokenStream {
        self.text
            .parse()
            .unwrap_or_else(|e| panic!("{}: {e}", self.path))
    }
}

/// All Rust files of the workspace, in the order of their paths.
pub fn all() -> &'static [Source] {
    static ALL: OnceLock<Vec<Source>> = OnceLock::new();
    ALL.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = Vec::new();
        for krate in CRATES {
            for folder in FOLDERS {
                collect(root, &format!("{krate}{folder}"), &mut found);
            }
        }
        assert!(found.len() > 300, "only {} files were found", found.len());
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    })
}

fn collect(root: &Path, folder: &str, found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(root.join(folder)) else {
        return; // Not each crate has benches.
    };
    for entry in entries {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            collect(root, &path, found);
        } else if path.ends_with(".rs") {
            let text = fs::read_to_string(entry.path()).unwrap();
            found.push(Source { path, text });
        }
    }
}
