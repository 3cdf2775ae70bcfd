//! How a kernel runs, in the words of the people who tune kernels.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How the blocks of a kernel reach the cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LaunchKind {
    /// One task a block, each scheduled by the runtime.
    Parallel,
    /// One task for all blocks; a block finds its part by its index.
    Spmd,
}

impl LaunchKind {
    /// All kinds.
    pub const ALL: [LaunchKind; 2] = [LaunchKind::Parallel, LaunchKind::Spmd];

    /// The name in the text form: `spmd`.
    pub fn name(self) -> &'static str {
        match self {
            LaunchKind::Parallel => "parallel",
            LaunchKind::Spmd => "spmd",
        }
    }
}

impl fmt::Display for LaunchKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for LaunchKind {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|k| k.name() == s).ok_or(())
    }
}

/// A tile under its engineers' name: it cuts `axis` into pieces of `size`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TileSpec {
    pub axis: String,
    pub size: usize,
    /// Whether a block takes one such piece of a column axis. Without it a block takes the whole axis, piece by piece. A
    /// tile over rows is always a block's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub per_block: bool,
}

/// The deepest software pipeline that a loop may ask for.
pub const MAX_PIPELINE_DEPTH: usize = 4;

/// The schedule of a kernel as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    pub launch: LaunchKind,
    /// Tiles by name, in the order written.
    pub tiles: IndexMap<String, TileSpec>,
    /// Loaded tiles in flight: 1 is a plain `range` loop, d > 1 a `pipeline` of depth d.
    pub pipeline: usize,
}

/// What a search decided of a kernel: a parameter of it, or of a part of it, and the value at which it is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The kernel, or its part: `gate`, `gate_mm`.
    pub part: String,
    pub param: String,
    /// Numbers, or names.
    pub values: Vec<String>,
}

impl Hold {
    /// The value in one word, as it is pinned: numbers with `x` between, names with `+`.
    pub fn value(&self) -> String {
        let number = |v: &String| v.bytes().all(|b| b.is_ascii_digit());
        self.values.join(if self.values.iter().all(number) {
            "x"
        } else {
            "+"
        })
    }
}
