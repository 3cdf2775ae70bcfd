//! What holds before the first block runs. The program's form, and that it fits the machine, is
//! [`tilewright_ir::kernel::verify`]'s and [`tilewright_ir::kernel::check_capacity`]'s to say; that nothing here goes out of range rests on
//! them. What is left is what only a simulator needs: addresses, and sizes that fit in host memory.

use super::collect::Faults;
use super::error::{Fault, SimError, Site};
use tilewright_ir::kernel::{
    Kernel, Program, Role, check_capacity, check_order, verify, verify_kernel, verify_tensors,
};
use tilewright_ir::machine::Machine;

/// Bytes of the tensors that a program may make.
const MAX_MADE: usize = 64 << 30;
const MAX_REGISTERS: usize = 1 << 16;

/// Checks a program against a machine.
pub(super) fn program(program: &Program, machine: &Machine) -> Result<(), SimError> {
    verify(program).map_err(Fault::Verify)?;
    size(program)?;
    for kernel in &program.kernels {
        check_capacity(kernel, machine).map_err(Fault::Verify)?;
        addresses(kernel)?;
    }
    Ok(())
}

/// Collects what is wrong before the first block runs, and returns the kernels that cannot run; `None` if none of them can.
pub(super) fn collect(
    program: &Program,
    machine: &Machine,
    faults: &mut Faults,
) -> Option<Vec<String>> {
    // Tensors and scalars first: nothing can be said of kernels over broken ones.
    if let Err(error) = verify_tensors(program)
        .map_err(Fault::Verify)
        .and_then(|()| size(program))
    {
        faults.push(error.into());
        return None;
    }
    let mut broken = vec![];
    for kernel in &program.kernels {
        let found = verify_kernel(program, kernel)
            .and_then(|()| check_capacity(kernel, machine))
            .map_err(|e| SimError::from(Fault::Verify(e)))
            .and_then(|()| addresses(kernel));
        if let Err(error) = found {
            faults.push(error);
            broken.push(kernel.name.clone());
        }
    }
    if broken.is_empty()
        && let Err(error) = verify(program)
    {
        faults.push(Fault::Verify(error).into());
        return None;
    }
    if let Err(errors) = check_order(program) {
        for error in errors {
            faults.push(Fault::Verify(error).into());
        }
    }
    Some(broken)
}

/// What a host can hold.
fn size(program: &Program) -> Result<(), Fault> {
    let made = program
        .tensors
        .values()
        .filter(|t| t.role != Role::Input)
        .fold(0_usize, |sum, t| sum.saturating_add(t.bytes()));
    if made > MAX_MADE {
        return Err(Fault::Program {
            what: format!("the program writes tensors of {made} bytes, of at most {MAX_MADE}"),
        });
    }
    match program.kernels.iter().find(|k| k.registers > MAX_REGISTERS) {
        Some(kernel) => Err(Fault::Program {
            what: format!(
                "kernel `{}` has more than {MAX_REGISTERS} registers",
                kernel.name
            ),
        }),
        None => Ok(()),
    }
}

fn addresses(kernel: &Kernel) -> Result<(), SimError> {
    match kernel.tiles.iter().find(|t| t.addrs.len() != t.slots) {
        Some(tile) => Err(SimError {
            site: Some(Box::new(Site {
                kernel: kernel.name.clone(),
                block: None,
                grid: vec![],
                statement: None,
            })),
            fault: Box::new(Fault::Unallocated {
                tile: tile.name.clone(),
                addrs: tile.addrs.len(),
                slots: tile.slots,
            }),
        }),
        None => Ok(()),
    }
}
