//! One instruction: which rules it goes through. The match has no wildcard.
//!
//! Rules are those of the public headers of PTO-ISA, `include/pto/npu/a2a3/*.hpp`, where they are static or run-time assertions;
//! a rule that is only a limit of an encoding (a repeat count of 8 bits) is one too, since it goes wrong in silence.

use super::super::Instr;
use super::{Check, Verifier};
use crate::dtype::DType;

/// Integers that the scalar unit reads and writes.
const INTEGERS: &[DType] = &[DType::I32, DType::U32, DType::I64];

impl<'a> Verifier<'a> {
    pub(super) fn instruction(&self, i: &'a Instr) -> Check {
        if let Some(dst) = i.register() {
            self.index("register", dst, self.kernel.registers)?;
        }
        match i {
            Instr::Load { dst, src } => self.load(dst, src),
            Instr::Store { dst, src } => self.store(dst, src),
            Instr::Move { dst, src, from } => self.move_tile(dst, src, *from),
            Instr::Matmul { dst, lhs, rhs, .. } => self.matmul(dst, lhs, rhs),
            Instr::Vector { op, dst, srcs, tmp } => self.vector(op, dst, srcs, tmp.as_ref()),
            Instr::ReadScalar { src, .. } => {
                self.own(src, None)?;
                self.integer(src, INTEGERS)
            }
            Instr::WriteScalar { dst, value } => {
                self.integer(dst, INTEGERS)?;
                self.expr(value)
            }
            Instr::ReadArray { array, src } => self.rows_of_array(src, *array),
            Instr::WriteArray { dst, array } => self.rows_of_array(dst, *array),
            Instr::SetReg { value, .. } => self.expr(value),
            Instr::Compute { lhs, rhs, .. } => {
                self.expr(lhs)?;
                self.expr(rhs)
            }
            Instr::ArrayGet { array, index, .. } => self.array(*array, index),
            Instr::ArraySet {
                array,
                index,
                value,
            } => {
                self.array(*array, index)?;
                self.expr(value)
            }
            Instr::Notify { counter, value, .. } => {
                self.counter_ref(counter)?;
                self.expr(value)
            }
            Instr::WaitCounter { counter, at_least } => {
                self.own(counter, None)?;
                self.counter_ref(counter)?;
                self.expr(at_least)
            }
        }
    }
}
