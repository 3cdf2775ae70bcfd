//! What a kernel program promises to the stages after it.

use super::Program;

/// Why a kernel program is not one.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum KernelError {}

/// Checks a program.
pub fn verify(_program: &Program) -> Result<(), KernelError> {
    Ok(())
}
