//! What operands and attributes have to be: checks that say what is wrong and what to do.

use super::{Dim, OpError, Prim, Ragged, Type};
use crate::dtype::DType;

/// A primitive with the operands that it is to take.
pub struct Check<'a> {
    pub op: &'a str,
    pub prim: &'a Prim,
    pub operands: &'a [Type],
}

/// Nothing to check.
pub(super) fn anything(_: &Check) -> Result<(), OpError> {
    Ok(())
}

impl Check<'_> {
    pub fn matrix(&self, i: usize) -> Result<(&Dim, &Dim), OpError> {
        match &self.operands[i].shape[..] {
            [r, c] => Ok((r, c)),
            _ => Err(self.rank(i, "a matrix (rank 2)")),
        }
    }

    pub fn vector(&self, i: usize) -> Result<&Dim, OpError> {
        match &self.operands[i].shape[..] {
            [c] => Ok(c),
            _ => Err(self.rank(i, "a vector (rank 1)")),
        }
    }

    pub fn float(&self, i: usize) -> Result<(), OpError> {
        self.element(i, "a floating-point type", DType::is_float)
    }

    pub fn element(
        &self,
        i: usize,
        expected: &str,
        holds: impl Fn(DType) -> bool,
    ) -> Result<(), OpError> {
        if holds(self.operands[i].dtype) {
            return Ok(());
        }
        Err(OpError::Element {
            op: self.op.into(),
            operand: i + 1,
            found: self.operands[i].clone(),
            expected: expected.into(),
        })
    }

    pub fn same_element(&self) -> Result<(), OpError> {
        if self.operands[0].dtype == self.operands[1].dtype {
            return Ok(());
        }
        Err(OpError::Elements {
            op: self.op.into(),
            left: self.operands[0].clone(),
            right: self.operands[1].clone(),
        })
    }

    /// What fills new columns: a constant, or for floats an infinity.
    pub fn filling(&self, attribute: &str, value: f32) -> Result<(), OpError> {
        match self.operands[0].dtype.is_float() && value.is_infinite() {
            true => Ok(()),
            false => self.constant(attribute, value),
        }
    }

    /// A constant is finite, and for integers exact.
    pub fn constant(&self, attribute: &str, value: f32) -> Result<(), OpError> {
        let dtype = self.operands[0].dtype;
        if !value.is_finite() {
            return Err(self.attribute(attribute, value, "give a finite number"));
        }
        let exact =
            |low: f64, high: f64| value.fract() == 0.0 && (low..=high).contains(&f64::from(value));
        let holds = match dtype {
            DType::F32 | DType::Bf16 | DType::F16 => true,
            DType::I8 => exact(-128.0, 127.0),
            DType::I32 => exact(-2147483648.0, 2147483647.0),
            DType::U32 => exact(0.0, 4294967295.0),
            DType::I64 => exact(-9007199254740992.0, 9007199254740992.0),
        };
        if holds {
            Ok(())
        } else {
            Err(self.attribute(
                attribute,
                value,
                &format!("give an integer in the range of {dtype}, or cast to f32 before"),
            ))
        }
    }

    /// Groups of the first operand's rows.
    pub fn groups(&self) -> Result<usize, OpError> {
        match &self.operands[0].ragged {
            Some(ragged) => Ok(ragged.groups),
            None => Err(OpError::RaggedRows {
                op: self.op.into(),
                operand: 1,
                found: self.operands[0].clone(),
                expected: "groups of rows".into(),
                remedy: "declare it `ragged COUNTS`, or use the form without groups",
            }),
        }
    }

    /// The rows that the result has: those of the operands whose rows become its, which must agree; rows of the others all exist.
    pub fn ragged(&self, by_rows: &[usize]) -> Result<Option<&Ragged>, OpError> {
        let first = by_rows.first();
        let ragged = first.and_then(|i| self.operands[*i].ragged.as_ref());
        for (i, operand) in self.operands.iter().enumerate() {
            let expected = if by_rows.contains(&i) { ragged } else { None };
            if operand.ragged.as_ref() == expected {
                continue;
            }
            return Err(OpError::RaggedRows {
                op: self.op.into(),
                operand: i + 1,
                found: operand.clone(),
                expected: match expected {
                    Some(r) => format!("ragged {}", r.counts),
                    None => "all there".into(),
                },
                remedy: "give all operands rows of the same counts, declared with `ragged COUNTS`",
            });
        }
        Ok(ragged)
    }

    pub fn attribute(&self, attribute: &str, value: impl std::fmt::Debug, remedy: &str) -> OpError {
        OpError::Attribute {
            op: self.op.into(),
            attribute: attribute.into(),
            value: format!("{value:?}"),
            remedy: remedy.into(),
        }
    }

    pub fn shapes(&self, remedy: &str) -> OpError {
        OpError::Shapes {
            op: self.op.into(),
            left: self.operands[0].clone(),
            right: self.operands[1].clone(),
            remedy: remedy.into(),
        }
    }

    pub fn rank(&self, i: usize, expected: &str) -> OpError {
        OpError::Rank {
            op: self.op.into(),
            operand: i + 1,
            found: self.operands[i].clone(),
            expected: expected.into(),
        }
    }
}
