//! What an optimization may do to the numbers.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Numerics policies, from strict to loose; each allows what the ones before it allow.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Numerics {
    /// Every bit of every result stays.
    Bitwise,
    /// Sums may be taken in another order.
    #[default]
    Reassociate,
    /// Intermediate roundings may be dropped.
    Relaxed,
}

impl Numerics {
    /// All policies, the strictest first.
    pub const ALL: [Numerics; 3] = [Numerics::Bitwise, Numerics::Reassociate, Numerics::Relaxed];

    /// The name in options: `bitwise`.
    pub fn name(self) -> &'static str {
        match self {
            Numerics::Bitwise => "bitwise",
            Numerics::Reassociate => "reassociate",
            Numerics::Relaxed => "relaxed",
        }
    }
}

impl fmt::Display for Numerics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Numerics {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        Numerics::ALL
            .into_iter()
            .find(|n| n.name() == s)
            .ok_or_else(|| format!("`{s}` is none of bitwise, reassociate, relaxed"))
    }
}
