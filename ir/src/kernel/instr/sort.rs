//! Rows of instructions that sort. A pair is 8 bytes: an f32 value, then a u32 index.

use super::elementwise::{BY_ROW, PLAIN};
use super::row::{
    Apart, Arg, Cpp, Dim, Effect, Limit, Operand, Pypto, Repeats, Row, Scratch, Time, Types,
};
use crate::dtype::DType;

/// One row of as many elements as the lead operand has columns.
pub(super) const ONE_ROW: Operand = Operand {
    shape: [Dim::One, Dim::C],
    apart: Apart::Always,
    ..BY_ROW
};

/// TSORT32: runs of values with their indices, each sorted in descending order, as pairs.
pub(super) fn sort() -> Row {
    Row {
        isa: "TSORT32",
        lead: 1,
        types: &[DType::F32],
        operands: &[
            Operand {
                shape: [Dim::One, Dim::TwoC],
                ..ONE_ROW
            },
            ONE_ROW,
            Operand {
                types: Types::Of(&[DType::U32]),
                ..ONE_ROW
            },
        ],
        limit: Limit::WholeRuns,
        time: Time {
            figure: "vbitsort",
            repeats: Repeats::Runs,
        },
        cpp: Cpp::Call {
            args: &[Arg::Result, Arg::Source(0), Arg::Source(1)],
            as_rows: false,
        },
        pypto: Pypto::Sort,
        effect: Effect::Sort,
        ..PLAIN
    }
}

/// TMRGSORT: sorted runs of pairs become sorted runs of four times as many, or the last two become one.
pub(super) fn merge(run: usize) -> Row {
    Row {
        isa: "TMRGSORT",
        lead: 1,
        types: &[DType::F32],
        operands: &[ONE_ROW, ONE_ROW],
        limit: Limit::Runs(run),
        scratch: Scratch::LastRuns(run),
        time: Time {
            figure: "vmrgsort4",
            repeats: Repeats::MergedRuns,
        },
        cpp: Cpp::Merge(run),
        pypto: Pypto::Merge(run),
        effect: Effect::Merge(run),
        ..PLAIN
    }
}

/// TGATHER by the mask 1010: the indices of the first pairs.
pub(super) fn pair_indices() -> Row {
    Row {
        isa: "TGATHER_P1010",
        lead: 1,
        types: &[DType::F32],
        operands: &[
            Operand {
                shape: [Dim::One, Dim::Any],
                types: Types::Of(&[DType::I32, DType::U32]),
                ..ONE_ROW
            },
            ONE_ROW,
        ],
        limit: Limit::Pairs,
        time: Time {
            figure: "vreducev2",
            repeats: Repeats::Pairs,
        },
        cpp: Cpp::Pairs,
        pypto: Pypto::Pairs,
        effect: Effect::Pairs,
        ..PLAIN
    }
}
