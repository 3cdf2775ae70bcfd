//! Result types of operations.

use super::{GraphError, Op, Type};

/// The types of an operation's results, from those of its operands.
pub fn infer(_op: &Op, _operands: &[Type]) -> Result<Vec<Type>, GraphError> {
    Ok(vec![])
}
