//! What the vector unit knows of a function: what it is called there, what it costs, and what it does to elements.
//!
//! These are the parts of a row that instructions are made of ([`crate::kernel::VectorOp::row`]). The interpreter of layer
//! graphs does not use them: it has definitions of its own, which they are checked against.

use super::{Operator, Prim};
use crate::dtype::DType;
use std::cmp::Ordering;

/// Types of elements that are computed on.
pub const FLOATS: &[DType] = &[DType::F16, DType::F32];
/// The same, and the integers that saturate.
pub const NUMBERS: &[DType] = &[DType::F16, DType::F32, DType::I32];

/// A function of one element as an instruction.
#[derive(Debug)]
pub struct UnaryInstr {
    /// Name in PTO-ISA.
    pub isa: &'static str,
    /// Name in PyPTO.
    pub pypto: &'static str,
    /// The figure of a machine that prices it, under `vector`.
    pub cost: &'static str,
    /// On a float, in f32; f16 is rounded once afterwards.
    pub float: fn(f32) -> f32,
    /// On an integer, saturated; nothing if the instruction takes none.
    pub integer: Option<fn(i64) -> i64>,
    /// How far two libraries' results may lie apart in f32, in units in the last place.
    pub ulps: u32,
}

impl UnaryInstr {
    /// Types of elements that the instruction takes.
    pub fn types(&self) -> &'static [DType] {
        match self.integer {
            Some(_) => NUMBERS,
            None => FLOATS,
        }
    }
}

/// A function of two elements as instructions.
#[derive(Debug)]
pub struct BinaryInstr {
    /// Names in PTO-ISA: of two tiles, of a tile and a constant, and with a second operand of one value a row or a column.
    pub isa: InstrForms,
    /// The same in PyPTO.
    pub pypto: InstrForms,
    /// The figure of a machine that prices it, under `vector`.
    pub cost: &'static str,
    /// The same with a constant.
    pub cost_scalar: &'static str,
    /// Whether the form with a constant may write where it reads.
    pub scalar_in_place: bool,
    /// On floats, in f32; f16 is rounded once afterwards.
    pub float: fn(f32, f32) -> f32,
    /// `x = x op y` on each pair: the same function, in a loop that a compiler can widen.
    pub floats: fn(&mut [f32], &[f32]),
    /// On integers, saturated; nothing if the instructions take none.
    pub integer: Option<fn(i64, i64) -> i64>,
}

impl BinaryInstr {
    /// Types of elements that the instructions take.
    pub fn types(&self) -> &'static [DType] {
        match self.integer {
            Some(_) => NUMBERS,
            None => FLOATS,
        }
    }
}

/// Elements of rows that an instruction looks up.
pub const GATHERED: [DType; 4] = [DType::F32, DType::I32, DType::U32, DType::F16];

impl Prim {
    /// Types of elements that instructions compute it on; `None` of what they only move, and of what has rules of its own.
    pub fn computed_on(&self) -> Option<&'static [DType]> {
        match self {
            Prim::Unary(f) => Some(f.row().instr.types()),
            Prim::Scalar { op, .. }
            | Prim::ScalarLeft { op, .. }
            | Prim::Binary(op)
            | Prim::RowBinary(op)
            | Prim::ColBinary(op)
            | Prim::GroupColBinary(op) => Some(op.row().instr.types()),
            Prim::RowReduce(f) => Some(f.row().instr.types),
            Prim::GatherCols => Some(&GATHERED),
            _ => None,
        }
    }
}

impl Operator {
    /// Whether it computes on elements of two operands, which have one type.
    pub fn pairs(self) -> bool {
        use Operator::*;
        matches!(
            self,
            Binary(_) | RowBinary(_) | ColBinary(_) | GroupColBinary(_)
        )
    }
}

/// Names of the instructions of a function of two elements.
#[derive(Debug)]
pub struct InstrForms {
    pub tiles: &'static str,
    pub scalar: &'static str,
    pub row_expand: &'static str,
    pub col_expand: &'static str,
}

/// A reduction of rows as an instruction.
#[derive(Debug)]
pub struct ReduceInstr {
    /// Name in PTO-ISA.
    pub isa: &'static str,
    /// Name in PyPTO.
    pub pypto: &'static str,
    /// The figures of a machine that price it, under `vector`: of elements of 2 bytes, and of 4.
    pub cost: [&'static str; 2],
    pub types: &'static [DType],
    /// How far a sum in another order may lie away, relative to the number of terms: of f16, and of other types.
    pub reordered: [f64; 2],
}

/// Names in PTO-ISA of a function that is called so.
macro_rules! isa_forms {
    ($word:literal) => {
        InstrForms {
            tiles: concat!("T", $word),
            scalar: concat!("T", $word, "S"),
            row_expand: concat!("TROWEXPAND", $word),
            col_expand: concat!("TCOLEXPAND", $word),
        }
    };
}
pub(super) use isa_forms;

/// Names in PyPTO of a function that is called so, by itself and where it broadcasts.
macro_rules! pypto_forms {
    ($word:literal, $expand:literal) => {
        InstrForms {
            tiles: $word,
            scalar: $word,
            row_expand: concat!("row_expand_", $expand),
            col_expand: concat!("col_expand_", $expand),
        }
    };
}
pub(super) use pypto_forms;

/// A function of two elements in a loop over slices.
macro_rules! pairs {
    ($f:expr) => {
        |x: &mut [f32], y: &[f32]| std::iter::zip(x, y).for_each(|(x, y)| *x = $f(*x, *y))
    };
}
pub(super) use pairs;

/// IEEE 754-2019 `maximum`: NaN goes through, and -0 is below +0.
pub(super) fn maximum(a: f32, b: f32) -> f32 {
    if a.is_nan() {
        a
    } else if b.is_nan() || a.total_cmp(&b) == Ordering::Less {
        b
    } else {
        a
    }
}

/// IEEE 754-2019 `minimum`.
pub(super) fn minimum(a: f32, b: f32) -> f32 {
    -maximum(-a, -b)
}
