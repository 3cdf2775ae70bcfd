//! Rows of instructions on whole rows of a tile.

use super::elementwise::{BY_ROW, PLAIN, SAME};
use super::row::{
    Apart, Cpp, Dim, Effect, Limit, Operand, Placement, Pypto, Repeats, Row, Scratch, Time,
};
use crate::op::{Binary, Reduce};

/// `dst [R, C]`: upper op lower half of `src [2 R, C]`, or left op right half of `src [R, 2 C]`.
pub(super) fn halves(f: Binary) -> Row {
    let f = &f.row().instr;
    Row {
        isa: f.isa.tiles,
        types: f.types(),
        operands: &[
            BY_ROW,
            Operand {
                shape: [Dim::Any; 2],
                apart: Apart::Always,
                ..BY_ROW
            },
        ],
        limit: Limit::Halves,
        time: Time {
            figure: f.cost,
            repeats: Repeats::Halves,
        },
        cpp: Cpp::Halves,
        pypto: Pypto::Halves(f.pypto.tiles),
        effect: Effect::Halves(f),
        ..PLAIN
    }
}

/// `[R, C] -> [R, 1]`.
pub(super) fn reduce(f: Reduce) -> Row {
    let (combine, f) = (&f.combine().row().instr, &f.row().instr);
    Row {
        isa: f.isa,
        types: f.types,
        lead: 1,
        operands: &[
            Operand {
                shape: [Dim::R, Dim::One],
                layout: Placement::Any,
                ..SAME
            },
            Operand {
                apart: Apart::Always,
                ..BY_ROW
            },
        ],
        scratch: Scratch::Source,
        time: Time {
            figure: f.cost[1],
            repeats: Repeats::Curve { narrow: f.cost[0] },
        },
        cpp: Cpp::Reduce,
        pypto: Pypto::Reduce(f.pypto),
        effect: Effect::Reduce(f, combine),
        ..PLAIN
    }
}
