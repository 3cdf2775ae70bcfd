//! Elements as bytes and as values. What a function does to a value is in its row of the table of operations; what a
//! conversion does is [`crate::data::convert`]'s, shared with the reference interpreter.

use half::{bf16, f16};
use tilewright_ir::DType;

/// Values of a float type; empty for integer types.
pub(super) fn floats(dtype: DType, bytes: &[u8]) -> Vec<f32> {
    match dtype {
        DType::F32 => words(bytes).map(f32::from_le_bytes).collect(),
        DType::F16 => halves(bytes)
            .map(|b| f16::from_le_bytes(b).to_f32())
            .collect(),
        DType::Bf16 => halves(bytes)
            .map(|b| bf16::from_le_bytes(b).to_f32())
            .collect(),
        _ => vec![],
    }
}

/// Bytes of values of a float type, rounded to nearest even.
pub(super) fn float_bytes(dtype: DType, values: &[f32]) -> Vec<u8> {
    match dtype {
        DType::F16 => values
            .iter()
            .flat_map(|v| f16::from_f32(*v).to_le_bytes())
            .collect(),
        DType::Bf16 => values
            .iter()
            .flat_map(|v| bf16::from_f32(*v).to_le_bytes())
            .collect(),
        _ => {
            let mut out = vec![0; values.len() * 4];
            for (slot, v) in out.chunks_exact_mut(4).zip(values) {
                slot.copy_from_slice(&v.to_le_bytes());
            }
            out
        }
    }
}

/// Values of i8 and i32, and the bits of u32; empty for other types.
pub(super) fn ints(dtype: DType, bytes: &[u8]) -> Vec<i32> {
    match dtype {
        DType::I8 => bytes.iter().map(|b| i32::from(*b as i8)).collect(),
        DType::I32 | DType::U32 => words(bytes).map(i32::from_le_bytes).collect(),
        _ => vec![],
    }
}

/// Bytes of i32 values.
pub(super) fn int_bytes(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn words(bytes: &[u8]) -> impl Iterator<Item = [u8; 4]> + '_ {
    bytes.chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]])
}

fn halves(bytes: &[u8]) -> impl Iterator<Item = [u8; 2]> + '_ {
    bytes.chunks_exact(2).map(|b| [b[0], b[1]])
}
