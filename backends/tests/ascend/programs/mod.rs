//! Kernel programs as the later passes leave them: allocated and synchronised, by hand.

mod build;
mod exchange;
pub mod gate;
mod mask;
mod norm;
mod rows;

pub use exchange::exchange;
pub use gate::gate_mm;
pub use mask::mask;
pub use norm::norm;
pub use rows::{quantize, route};

use tilewright_ir::kernel::Program;

/// All programs, by name.
pub fn all() -> Vec<Program> {
    vec![norm(), gate_mm(), quantize(), route(), mask(), exchange()]
}
