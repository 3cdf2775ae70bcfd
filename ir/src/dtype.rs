//! Element types and rounding modes.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The element type of a tensor or tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    F32,
    Bf16,
    F16,
    I8,
    I32,
    U32,
    I64,
}

impl DType {
    /// All types.
    pub const ALL: [DType; 7] = [
        DType::F32,
        DType::Bf16,
        DType::F16,
        DType::I8,
        DType::I32,
        DType::U32,
        DType::I64,
    ];

    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            DType::I8 => 1,
            DType::Bf16 | DType::F16 => 2,
            DType::F32 | DType::I32 | DType::U32 => 4,
            DType::I64 => 8,
        }
    }

    /// Whether elements are floating-point numbers.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::Bf16 | DType::F16)
    }

    /// Whether every value of `self` is a value of `to`, so that a cast keeps each bit of information.
    pub fn widens_to(self, to: DType) -> bool {
        use DType::*;
        self == to
            || matches!(
                (self, to),
                (Bf16 | F16, F32) | (I8, F16 | F32 | Bf16 | I32 | I64) | (I32 | U32, I64)
            )
    }

    /// The name in the text form: `bf16`.
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::Bf16 => "bf16",
            DType::F16 => "f16",
            DType::I8 => "i8",
            DType::I32 => "i32",
            DType::U32 => "u32",
            DType::I64 => "i64",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DType {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        DType::ALL.into_iter().find(|d| d.name() == s).ok_or(())
    }
}

/// How a cast rounds. The names follow the ISA's rounding modes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Round {
    /// To nearest, ties to even (`CAST_RINT`).
    #[default]
    Rint,
    /// To nearest, ties away from zero (`CAST_ROUND`).
    Round,
    /// Towards zero (`CAST_TRUNC`).
    Trunc,
    /// Towards minus infinity (`CAST_FLOOR`).
    Floor,
    /// Towards plus infinity (`CAST_CEIL`).
    Ceil,
}

impl Round {
    /// All modes.
    pub const ALL: [Round; 5] = [
        Round::Rint,
        Round::Round,
        Round::Trunc,
        Round::Floor,
        Round::Ceil,
    ];

    /// The name in the text form: `rint`.
    pub fn name(self) -> &'static str {
        match self {
            Round::Rint => "rint",
            Round::Round => "round",
            Round::Trunc => "trunc",
            Round::Floor => "floor",
            Round::Ceil => "ceil",
        }
    }
}

impl FromStr for Round {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        Round::ALL.into_iter().find(|r| r.name() == s).ok_or(())
    }
}
