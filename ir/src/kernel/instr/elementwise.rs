//! Rows of instructions that compute each element of the result from one of each source, or from a constant.

use super::super::{Layout, Pipe, Space};
use super::row::{
    Apart, Arg, Cpp, Dim, Effect, Limit, Operand, Placement, Pypto, Repeats, Row, Scratch, Time,
    Types,
};
use crate::dtype::{DType, Round};
use crate::op::{Binary, Unary};

/// An operand of R x C elements of one type, in the order of the result's.
pub(super) const SAME: Operand = Operand {
    shape: [Dim::R, Dim::C],
    layout: Placement::AsResult,
    types: Types::Own,
    apart: Apart::InPlace,
};

/// The same, of any type.
const ANY_TYPE: Operand = Operand {
    types: Types::Any,
    ..SAME
};

const FILLABLE: &[DType] = &[
    DType::F32,
    DType::Bf16,
    DType::F16,
    DType::I8,
    DType::I32,
    DType::U32,
];

/// What all rows of elements start from.
pub(super) const PLAIN: Row = Row {
    isa: "",
    pipe: Pipe::V,
    space: Space::Ub,
    lead: 0,
    operands: &[SAME, SAME],
    types: &[],
    limit: Limit::None,
    scratch: Scratch::None,
    time: Time {
        figure: "",
        repeats: Repeats::OneSource,
    },
    cpp: Cpp::Call {
        args: &[Arg::Result, Arg::Source(0)],
        as_rows: true,
    },
    pypto: Pypto::Copy,
    effect: Effect::Copy,
};

/// TCVT: conversion of each element.
pub(super) fn cvt(round: Round) -> Row {
    Row {
        isa: "TCVT",
        operands: &[
            ANY_TYPE,
            Operand {
                apart: Apart::WidthsDiffer,
                ..ANY_TYPE
            },
        ],
        limit: Limit::Cast,
        time: Time {
            figure: "vconv",
            repeats: Repeats::Conversion,
        },
        cpp: Cpp::Call {
            args: &[Arg::Result, Arg::Source(0), Arg::Round, Arg::Saturation],
            as_rows: true,
        },
        pypto: Pypto::Cast,
        effect: Effect::Convert(round),
        ..PLAIN
    }
}

/// `dst = f(src)`.
pub(super) fn unary(f: Unary) -> Row {
    let f = &f.row().instr;
    Row {
        isa: f.isa,
        types: f.types(),
        time: Time {
            figure: f.cost,
            repeats: Repeats::OneSource,
        },
        pypto: Pypto::Call {
            name: f.pypto,
            args: &[Arg::Source(0)],
        },
        effect: Effect::One(f),
        ..PLAIN
    }
}

/// `dst = src op value`.
pub(super) fn scalar(f: Binary, value: f32) -> Row {
    let f = &f.row().instr;
    Row {
        isa: f.isa.scalar,
        types: f.types(),
        operands: match f.scalar_in_place {
            true => &[SAME, SAME],
            false => &[
                SAME,
                Operand {
                    apart: Apart::Always,
                    ..SAME
                },
            ],
        },
        time: Time {
            figure: f.cost_scalar,
            repeats: Repeats::OneSource,
        },
        cpp: Cpp::Call {
            args: &[Arg::Result, Arg::Source(0), Arg::Constant],
            as_rows: true,
        },
        pypto: Pypto::Call {
            name: f.pypto.scalar,
            args: &[Arg::Source(0), Arg::Constant],
        },
        effect: Effect::Constant(f, value),
        ..PLAIN
    }
}

/// `dst = a op b`.
pub(super) fn binary(f: Binary) -> Row {
    let f = &f.row().instr;
    Row {
        isa: f.isa.tiles,
        types: f.types(),
        operands: &[SAME, SAME, SAME],
        time: Time {
            figure: f.cost,
            repeats: Repeats::TwoSources,
        },
        cpp: Cpp::Call {
            args: &[Arg::Result, Arg::Source(0), Arg::Source(1)],
            as_rows: true,
        },
        pypto: Pypto::Call {
            name: f.pypto.tiles,
            args: &[Arg::Source(0), Arg::Source(1)],
        },
        effect: Effect::Two(f),
        ..PLAIN
    }
}

/// An operand of R x C elements of one type, row by row.
pub(super) const BY_ROW: Operand = Operand {
    layout: Placement::Is(Layout::RowMajor),
    ..SAME
};

/// `dst [R, C] = a [R, C] op b [R, 1]`.
pub(super) fn row_expand(f: Binary) -> Row {
    let f = &f.row().instr;
    Row {
        isa: f.isa.row_expand,
        types: f.types(),
        operands: &[
            BY_ROW,
            BY_ROW,
            Operand {
                shape: [Dim::R, Dim::One],
                layout: Placement::Is(Layout::ColMajor),
                apart: Apart::Always,
                ..SAME
            },
        ],
        scratch: Scratch::BlockARow,
        time: Time {
            figure: f.cost,
            repeats: Repeats::RowExpand { spread: "vbrcb" },
        },
        cpp: Cpp::Call {
            args: &[Arg::Result, Arg::Source(0), Arg::Source(1), Arg::Scratch],
            as_rows: false,
        },
        pypto: Pypto::Call {
            name: f.pypto.row_expand,
            args: &[Arg::Source(0), Arg::Source(1)],
        },
        effect: Effect::Two(f),
        ..PLAIN
    }
}

/// `dst [R, C] = a [R, C] op b [1, C]`.
pub(super) fn col_expand(f: Binary) -> Row {
    let f = &f.row().instr;
    Row {
        isa: f.isa.col_expand,
        types: f.types(),
        operands: &[
            BY_ROW,
            BY_ROW,
            Operand {
                shape: [Dim::One, Dim::C],
                apart: Apart::SeveralRows,
                ..BY_ROW
            },
        ],
        limit: Limit::RowRepeats,
        time: Time {
            figure: f.cost,
            repeats: Repeats::ColExpand,
        },
        cpp: Cpp::Call {
            args: &[Arg::Result, Arg::Source(0), Arg::Whole(1)],
            as_rows: false,
        },
        pypto: Pypto::Call {
            name: f.pypto.col_expand,
            args: &[Arg::Source(0), Arg::Source(1)],
        },
        effect: Effect::Two(f),
        ..PLAIN
    }
}

/// TEXPANDS: all of the result becomes a value.
pub(super) fn fill(value: f32) -> Row {
    Row {
        isa: "TEXPANDS",
        types: FILLABLE,
        operands: &[SAME],
        time: Time {
            figure: "vector_dup",
            repeats: Repeats::Run,
        },
        cpp: Cpp::Call {
            args: &[Arg::Result, Arg::Constant],
            as_rows: true,
        },
        pypto: Pypto::Fill,
        effect: Effect::Fill(value),
        ..PLAIN
    }
}

/// TMOV within UB: the source's valid part becomes the first rows and columns.
pub(super) fn copy() -> Row {
    Row {
        isa: "TMOV",
        types: &DType::ALL,
        operands: &[
            SAME,
            Operand {
                shape: [Dim::Any; 2],
                types: Types::As(0),
                apart: Apart::Always,
                ..SAME
            },
        ],
        limit: Limit::Within,
        time: Time {
            figure: "vcopy",
            repeats: Repeats::OneSource,
        },
        cpp: Cpp::Copy,
        pypto: Pypto::Copy,
        effect: Effect::Copy,
        ..PLAIN
    }
}
