//! On-chip memories: machines have sizes of them, kernels have tiles in them.

use serde::{Deserialize, Serialize};

/// On-chip memories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Space {
    /// Unified buffer of a vector core.
    Ub,
    L1,
    L0a,
    L0b,
    L0c,
}

impl Space {
    /// All on-chip memories.
    pub const ALL: [Space; 5] = [Space::Ub, Space::L1, Space::L0a, Space::L0b, Space::L0c];

    /// The name in reports: `UB`.
    pub fn name(self) -> &'static str {
        match self {
            Space::Ub => "ub",
            Space::L1 => "l1",
            Space::L0a => "l0a",
            Space::L0b => "l0b",
            Space::L0c => "l0c",
        }
    }
}
