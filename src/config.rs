//! `tilewright.toml`: what commands take where no option says otherwise, and the layers of a project with their options.
//!
//! [`Config::above`] looks for the file in a folder and in those above it. `[defaults]` is for every command over a layer; `[[layer]]`
//! lists layers; `[snapshot]` is what their snapshots hold. Paths in it start at its own folder. A key that there is not is
//! refused, at its place and with the key that was probably meant.

pub use crate::config_error::ConfigFileError;

use crate::error::{Error, Refusal, Result};
use crate::layer::{PinPlace, read_text};
use indexmap::IndexMap;
use miette::{NamedSource, SourceSpan};
use serde::Deserialize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tilewright_passes::numerics::Numerics;
use tilewright_passes::search::pins::Pin;
use toml::Spanned;

/// The name of the file.
pub const FILE: &str = "tilewright.toml";

/// A configuration, and where it stands.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder of the file: empty for the working folder.
    pub folder: PathBuf,
    /// What the file says.
    pub content: Content,
    text: String,
}

/// What a configuration says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Content {
    /// Defaults of commands.
    pub defaults: Defaults,
    /// What snapshots hold.
    pub snapshot: Snapshot,
    /// The layers of the project.
    pub layer: Vec<Layer>,
}

/// What every command over a layer takes, unless an option says otherwise.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Defaults {
    /// A machine, by name or path.
    pub machine: Option<Spanned<String>>,
    /// Who starts kernels.
    pub runtime: Option<Spanned<String>>,
    /// The numerics policy.
    pub numerics: Option<Numerics>,
    /// The database of what was measured.
    pub db: Option<PathBuf>,
    /// E-nodes at which the search stops.
    pub node_limit: Option<usize>,
    /// Iterations at which the search stops.
    pub iter_limit: Option<usize>,
}

/// What snapshots hold besides the kernels.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Snapshot {
    /// Parts that are there beside kernels.
    pub with: Vec<With>,
}

/// A part of a snapshot that is there if it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum With {
    /// The terms of every kernel, as the search chose them.
    Plan,
    /// Predicted times.
    Times,
}

/// A layer of the project, with options that are named as those of the command are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Layer {
    /// The layer's file.
    pub file: Spanned<PathBuf>,
    /// What its snapshot is called; without it, as its file is.
    pub name: Option<Spanned<String>>,
    /// A machine, by name or path.
    pub machine: Option<Spanned<String>>,
    /// Who starts kernels.
    pub runtime: Option<Spanned<String>>,
    /// The numerics policy.
    pub numerics: Option<Numerics>,
    /// E-nodes at which the search stops.
    pub node_limit: Option<usize>,
    /// Iterations at which the search stops.
    pub iter_limit: Option<usize>,
    /// Sizes of the layer.
    #[serde(default)]
    pub set: IndexMap<String, i64>,
    /// The param `layer_id` of the layer.
    pub layer_id: Option<i64>,
    /// How many ranks run the layer.
    pub ep: Option<i64>,
    /// Pins, `KERNEL.PARAM=VALUE`.
    #[serde(default)]
    pub pin: Vec<Spanned<String>>,
    /// Files of pins.
    #[serde(default)]
    pub pins: Vec<PathBuf>,
    /// Whether everything that is not pinned stays as written.
    #[serde(default)]
    pub only_pins: bool,
    /// Optional rules that run.
    #[serde(default)]
    pub enable_rule: Vec<String>,
    /// Rules that do not run.
    #[serde(default)]
    pub disable_rule: Vec<String>,
    /// Files of rules.
    #[serde(default)]
    pub rules: Vec<PathBuf>,
    /// Instead of what `[snapshot]` says.
    pub with: Option<Vec<With>>,
    /// The language of its kernels.
    #[serde(rename = "as")]
    pub language: Option<Spanned<String>>,
    /// The form as written instead of the optimized one.
    #[serde(default)]
    pub written: bool,
}

impl Config {
    /// The configuration of a folder: its own, or that of the nearest folder above it which has one.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or that is no configuration.
    pub fn above(folder: &Path) -> Result<Option<Self>> {
        let mut folder = folder.to_path_buf();
        loop {
            let path = folder.join(FILE);
            if path.is_file() {
                return Config::parse(&folder, &read_text(&path)?).map(Some);
            }
            // An empty path is the working folder.
            let here = match folder.as_os_str().is_empty() {
                true => Path::new("."),
                false => &folder,
            };
            match here.canonicalize() {
                Ok(real) if real.parent().is_some() => folder = up(&folder),
                _ => return Ok(None),
            }
        }
    }

    /// The configuration of a file: that of the folder which the file is in.
    ///
    /// # Errors
    ///
    /// As [`Config::above`].
    pub fn of_file(file: &Path) -> Result<Option<Self>> {
        Config::above(file.parent().unwrap_or(Path::new("")))
    }

    /// A configuration from its text.
    ///
    /// # Errors
    ///
    /// A text that is no configuration, with its place.
    pub fn parse(folder: &Path, text: &str) -> Result<Self> {
        let name = folder.join(FILE).display().to_string();
        let content =
            toml::from_str(text).map_err(|e| Refusal::from(explained(&e)).within(&name, text))?;
        Ok(Config {
            folder: folder.into(),
            content,
            text: text.into(),
        })
    }

    /// The file itself.
    pub fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// A path that the configuration names.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// Where a pin in it stands.
    pub fn place(&self, pin: Pin, at: Range<usize>) -> PinPlace {
        let name = self.path().display().to_string();
        PinPlace {
            pin,
            source: Arc::new(NamedSource::new(name, self.text.clone())),
            at,
        }
    }

    /// The same refusal with the place in the configuration that led to it, unless it points into another file.
    pub fn locate(&self, at: Range<usize>, mut refusal: Refusal) -> Refusal {
        if refusal.text.is_some() {
            return refusal;
        }
        if let Error::Read { help, .. } = &mut *refusal.error {
            *help = HELP.into();
        }
        refusal.place = Some((at.into(), "here".into()));
        refusal.within(&self.path().display().to_string(), &self.text)
    }
}

/// Where paths of the file start, unlike those of a command line.
const HELP: &str = "check the path; in this file it starts at the folder that the file is in";

/// The folder above, without asking the system where possible: what is shown is near to what the user wrote.
fn up(folder: &Path) -> PathBuf {
    use std::path::Component;
    match folder.components().next_back() {
        Some(Component::Normal(_)) => folder.parent().unwrap_or(Path::new("")).into(),
        Some(Component::CurDir) => "..".into(),
        _ => folder.join(".."),
    }
}

/// What is wrong with a text, and what to do about it.
fn explained(e: &toml::de::Error) -> ConfigFileError {
    let message = e.message().to_owned();
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    // `unknown field` and `unknown variant` name the wrong word, and then the right ones.
    let help = match quoted.as_slice() {
        [wrong, known @ ..] if message.starts_with("unknown") && !known.is_empty() => {
            let near = tilewright_ir::syntax::nearest(wrong, known.iter().copied());
            near.map_or_else(
                || format!("there are {}", known.join(", ")),
                |near| format!("did you mean `{near}`?"),
            )
        }
        _ => "docs/snapshots.md tells what a configuration may say".into(),
    };
    // The list of all that would be right is the help's.
    let short = match message.starts_with("unknown") {
        true => message.split(", ").next().unwrap_or(&message).to_owned(),
        false => message.lines().next().unwrap_or_default().to_owned(),
    };
    ConfigFileError::Invalid {
        message: short,
        help,
        at: e.span().map(SourceSpan::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use miette::Diagnostic;

    fn refused(text: &str) -> (String, String, String) {
        let refusal = Config::parse(Path::new(""), text).expect_err("it is wrong");
        let label = refusal.labels().and_then(|mut l| l.next());
        let at = label.map_or(String::new(), |l| text[l.offset()..][..l.len()].to_owned());
        let help = refusal.help().map_or(String::new(), |h| h.to_string());
        (refusal.to_string(), help, at)
    }

    #[test]
    fn wrong_words_have_a_place_and_what_was_meant() {
        let (message, help, at) = refused("[defaults]\nmachin = \"A3\"\n");
        assert!(message.ends_with("unknown field `machin`"), "{message}");
        assert_eq!(
            (help.as_str(), at.as_str()),
            ("did you mean `machine`?", "machin")
        );
        let (message, help, at) = refused("[defaults]\nnumerics = \"reasociate\"\n");
        assert!(message.contains("`reasociate`"), "{message}");
        assert_eq!(help, "did you mean `reassociate`?");
        assert_eq!(at, "\"reasociate\"");
        let (_, help, _) = refused("[[layer]]\nfile = \"a.tw\"\nzzz = 1\n");
        assert!(help.contains("only-pins"), "{help}");
        let (message, _, at) = refused("[[layer]]\nfile = \"a.tw\"\nset = { D = \"x\" }\n");
        assert!(message.contains("expected i64"), "{message}");
        assert_eq!(at, "\"x\"");
        let (message, _, _) = refused("[[layer]]\nmachine = \"A3\"\n");
        assert!(message.contains("missing field `file`"), "{message}");
        refused("[defaults\n");
    }

    #[test]
    fn the_nearest_file_upwards_counts() {
        let here = tempfile::tempdir().unwrap();
        let deep = here.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        let put = |path: &str, text: &str| std::fs::write(here.path().join(path), text).unwrap();
        put(FILE, "[defaults]\nnode-limit = 1\n");
        let limit = |folder: &Path| {
            let found = Config::above(folder).unwrap().expect("there is one");
            (found.content.defaults.node_limit, found.folder)
        };
        assert_eq!(limit(&deep), (Some(1), here.path().into()));
        assert_eq!(limit(&deep.join("..")).0, Some(1));
        put("a/tilewright.toml", "[defaults]\nnode-limit = 2\n");
        assert_eq!(limit(&deep), (Some(2), here.path().join("a")));
        let file = Config::of_file(&deep.join("x.tw"))
            .unwrap()
            .expect("there is one");
        assert_eq!(
            file.resolve(Path::new("m.toml")),
            here.path().join("a/m.toml")
        );
    }

    #[test]
    fn folders_above_are_written_as_the_user_would() {
        for (folder, above) in [
            ("a/b", "a"),
            ("a", ""),
            ("", ".."),
            ("..", "../.."),
            (".", ".."),
            ("a/..", "a/../.."),
        ] {
            assert_eq!(up(Path::new(folder)), Path::new(above), "{folder}");
        }
    }
}
