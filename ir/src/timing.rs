//! What one instruction costs on a machine.

use crate::kernel::{Instr, Kernel, Pipe};
use crate::machine::Machine;

/// Cost of one instruction on its pipe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    pub pipe: Pipe,
    /// Cycles that the pipe is busy when no other core competes for global memory.
    pub cycles: f64,
    /// Bytes moved from or to global memory.
    pub gm_bytes: u64,
}

/// Cost of `instr` of `kernel` with all rows valid.
pub fn cost(_machine: &Machine, _kernel: &Kernel, _instr: &Instr) -> Cost {
    unimplemented!()
}
