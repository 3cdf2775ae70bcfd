//! Rows of instructions that make indices and look up by them.

use super::super::Pipe;
use super::elementwise::PLAIN;
use super::row::{Cpp, Dim, Effect, Operand, Pypto, Repeats, Row, Scratch, Time, Types};
use super::sort::ONE_ROW;
use crate::dtype::DType;
use crate::op::GATHERED;

const INDICES: &[DType] = &[DType::I32, DType::U32];

/// TCI: `dst [1, C] = 0, 1, 2, ...`, written by the scalar unit.
pub(super) fn iota() -> Row {
    Row {
        isa: "TCI",
        pipe: Pipe::S,
        types: INDICES,
        operands: &[ONE_ROW],
        time: Time {
            figure: "scalar_store",
            repeats: Repeats::Elements,
        },
        cpp: Cpp::Iota,
        pypto: Pypto::Iota,
        effect: Effect::Iota,
        ..PLAIN
    }
}

/// TGATHER: `dst[0, k] = data[0, indices[0, k]]`.
pub(super) fn gather() -> Row {
    Row {
        isa: "TGATHER",
        lead: 2,
        types: INDICES,
        operands: &[
            Operand {
                types: Types::As(1),
                ..ONE_ROW
            },
            Operand {
                shape: [Dim::One, Dim::Any],
                types: Types::Of(&GATHERED),
                ..ONE_ROW
            },
            Operand {
                apart: super::row::Apart::InPlace,
                ..ONE_ROW
            },
        ],
        scratch: Scratch::Offsets,
        time: Time {
            figure: "vgather",
            repeats: Repeats::Gather { offsets: "vmuls" },
        },
        cpp: Cpp::Gather,
        pypto: Pypto::Gather,
        effect: Effect::Gather,
        ..PLAIN
    }
}
