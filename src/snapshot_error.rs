//! Why a snapshot is not made, compared or kept.

use miette::Diagnostic;
use std::path::PathBuf;

/// What can be wrong with snapshots.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Diagnostic)]
#[allow(missing_docs)] // Each variant has its message.
#[non_exhaustive]
pub enum SnapshotError {
    #[error("no layer is named, and no tilewright.toml from here upwards lists one")]
    #[diagnostic(
        code(tilewright::snapshot::no_layers),
        help(
            "name a layer, `tilewright snapshot layer.tw`, or list it in tilewright.toml: `[[layer]]`, `file = \"layer.tw\"`"
        )
    )]
    NoLayers,
    #[error("{} would hold two snapshots: of {} and of {}", folder.display(), first.display(), second.display())]
    #[diagnostic(
        code(tilewright::snapshot::same_place),
        help("give one of them another `name` in tilewright.toml, or with --name")
    )]
    SamePlace {
        folder: PathBuf,
        first: PathBuf,
        second: PathBuf,
    },
    #[error("a snapshot cannot be called `{name}`")]
    #[diagnostic(
        code(tilewright::snapshot::name),
        help("its name is that of one folder, which does not begin with a point")
    )]
    Name { name: String },
    #[error("{} is not a snapshot: `{foreign}` is in it, and {schedule} is not", folder.display())]
    #[diagnostic(
        code(tilewright::snapshot::foreign),
        help("move what is there elsewhere, or give the snapshot another `name`")
    )]
    Foreign {
        folder: PathBuf,
        foreign: String,
        /// What every snapshot holds.
        schedule: &'static str,
    },
    #[error(
        "cannot ask what to do with {count} changed snapshot{}: the standard input is no terminal", if *count == 1 { "" } else { "s" }
    )]
    #[diagnostic(
        code(tilewright::snapshot::no_terminal),
        help(
            "run --review on a terminal; --check only tells of them, and --accept takes all of them"
        )
    )]
    NoTerminal { count: usize },
}
