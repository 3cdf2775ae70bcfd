//! Attributes: what an operation is given by name.

use super::Number;
use crate::dtype::{DType, Round};
use std::fmt;

/// What an attribute holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttrKind {
    /// A size expression.
    Size,
    /// A constant.
    Float,
    /// An element type.
    DType,
    /// A rounding mode.
    Round,
}

impl AttrKind {
    /// What stands for a value of it where the use of an operation is shown.
    pub fn placeholder(self) -> &'static str {
        match self {
            AttrKind::Size => "SIZE",
            AttrKind::Float => "NUMBER",
            AttrKind::DType => "TYPE",
            AttrKind::Round => "MODE",
        }
    }
}

/// An attribute's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AttrValue {
    Size(usize),
    Float(f32),
    DType(DType),
    Round(Round),
}

impl AttrValue {
    /// What it is a value of.
    pub fn kind(&self) -> AttrKind {
        match self {
            AttrValue::Size(_) => AttrKind::Size,
            AttrValue::Float(_) => AttrKind::Float,
            AttrValue::DType(_) => AttrKind::DType,
            AttrValue::Round(_) => AttrKind::Round,
        }
    }
}

impl fmt::Display for AttrValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AttrValue::Size(n) => write!(f, "{n}"),
            AttrValue::Float(value) => write!(f, "{value:?}"),
            AttrValue::DType(dtype) => f.write_str(dtype.name()),
            AttrValue::Round(round) => f.write_str(round.name()),
        }
    }
}

impl From<usize> for AttrValue {
    fn from(n: usize) -> Self {
        AttrValue::Size(n)
    }
}

impl From<f32> for AttrValue {
    fn from(value: f32) -> Self {
        AttrValue::Float(value)
    }
}

impl From<Number> for AttrValue {
    fn from(number: Number) -> Self {
        match number {
            Number::Whole(n) => AttrValue::Size(n),
            Number::Constant(value) => AttrValue::Float(value),
        }
    }
}

impl TryFrom<AttrValue> for Number {
    type Error = AttrValue;
    fn try_from(value: AttrValue) -> Result<Number, AttrValue> {
        match value {
            AttrValue::Size(n) => Ok(Number::Whole(n)),
            AttrValue::Float(value) => Ok(Number::Constant(value)),
            _ => Err(value),
        }
    }
}

/// An attribute of an operation.
#[derive(Debug, Clone, Copy)]
pub struct AttrSpec<'a> {
    pub name: &'a str,
    pub kind: AttrKind,
    /// The value when it is left out; `None` when it must be given.
    pub default: Option<AttrValue>,
}

/// An attribute that must be given.
pub(super) const fn required(name: &'static str, kind: AttrKind) -> AttrSpec<'static> {
    AttrSpec {
        name,
        kind,
        default: None,
    }
}

/// A size that must be given.
pub(super) const fn size(name: &'static str) -> AttrSpec<'static> {
    required(name, AttrKind::Size)
}

/// A constant that must be given.
pub(super) const fn float(name: &'static str) -> AttrSpec<'static> {
    required(name, AttrKind::Float)
}
