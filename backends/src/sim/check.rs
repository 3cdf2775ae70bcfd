//! What holds before the first block runs. The program's form, and that it fits the machine, is
//! [`tilewright_ir::kernel::verify`]'s and [`tilewright_ir::kernel::check_capacity`]'s to say; that nothing here goes out of range rests on
//! them. What is left is what only a simulator needs: addresses, and sizes that fit in host memory.

use super::error::{Fault, SimError, Site};
use tilewright_ir::kernel::{Program, Role, check_capacity, verify};
use tilewright_ir::machine::Machine;

/// Bytes of the tensors that a program may make.
const MAX_MADE: usize = 64 << 30;
const MAX_REGISTERS: usize = 1 << 16;

/// Checks a program against a machine.
pub(super) fn program(program: &Program, machine: &Machine) -> Result<(), SimError> {
    verify(program).map_err(Fault::Verify)?;
    let made = program
        .tensors
        .values()
        .filter(|t| t.role != Role::Input)
        .fold(0_usize, |sum, t| sum.saturating_add(t.bytes()));
    if made > MAX_MADE {
        return Err(Fault::Program {
            what: format!("the program writes tensors of {made} bytes, of at most {MAX_MADE}"),
        }
        .into());
    }
    for kernel in &program.kernels {
        if kernel.registers > MAX_REGISTERS {
            return Err(Fault::Program {
                what: format!(
                    "kernel `{}` has more than {MAX_REGISTERS} registers",
                    kernel.name
                ),
            }
            .into());
        }
        check_capacity(kernel, machine).map_err(Fault::Verify)?;
        if let Some(tile) = kernel.tiles.iter().find(|t| t.addrs.len() != t.slots) {
            return Err(SimError {
                site: Some(Box::new(Site {
                    kernel: kernel.name.clone(),
                    block: None,
                    grid: vec![],
                    path: String::new(),
                    text: String::new(),
                })),
                fault: Box::new(Fault::Unallocated {
                    tile: tile.name.clone(),
                    addrs: tile.addrs.len(),
                    slots: tile.slots,
                }),
            });
        }
    }
    Ok(())
}
