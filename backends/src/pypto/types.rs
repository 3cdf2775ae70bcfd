//! Names of element types, memories and rounding modes, and literals.

use super::error::Fault;
use tilewright_ir::kernel::Space;
use tilewright_ir::{DType, Round};

pub(super) fn dtype(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "pl.FP32",
        DType::Bf16 => "pl.BF16",
        DType::F16 => "pl.FP16",
        DType::I8 => "pl.INT8",
        DType::I32 => "pl.INT32",
        DType::U32 => "pl.UINT32",
        DType::I64 => "pl.INT64",
    }
}

pub(super) fn memory(space: Space) -> &'static str {
    match space {
        Space::Ub => "pl.Mem.Vec",
        Space::L1 => "pl.Mem.Mat",
        Space::L0a => "pl.Mem.Left",
        Space::L0b => "pl.Mem.Right",
        Space::L0c => "pl.Mem.Acc",
    }
}

pub(super) fn round(round: Round) -> &'static str {
    round.name()
}

/// A constant as an operand of tiles of an element type.
pub(super) fn literal(value: f32, dtype: DType) -> Result<String, Fault> {
    let (low, high) = match dtype {
        DType::F32 | DType::F16 | DType::Bf16 => (f64::from(f32::MIN), f64::from(f32::MAX)),
        DType::I8 => (-128.0, 127.0),
        DType::I32 => (-2_147_483_648.0, 2_147_483_647.0),
        DType::U32 => (0.0, 4_294_967_295.0),
        DType::I64 => (-9e15, 9e15),
    };
    let fits = (low..=high).contains(&f64::from(value));
    if !fits || (!dtype.is_float() && value.fract() != 0.0) {
        return Err(Fault::Literal {
            value,
            dtype: dtype.name(),
        });
    }
    Ok(match dtype.is_float() {
        true => format!("{value:?}"),
        false => format!("{}", value as i64),
    })
}
