//! Which machines the printed languages are for.
//!
//! PTO-ISA's headers and the PyPTO compiler know blocks, fractals and flags of a generation of machines by heart. So kernels that
//! were made for a machine with other ones cannot be printed, and are refused here; the simulator runs them.

use miette::Diagnostic;
use std::sync::LazyLock;
use thiserror::Error;
use tilewright_ir::machine::{Machine, MachineError, Unlike};

/// Why kernels for a machine have no form in a language.
#[derive(Debug, Clone, PartialEq, Error, Diagnostic)]
pub enum OtherMachine {
    #[error(
        "`{}` of {machine} is {} {}, but {language} for {generation} knows {}",
        figure.figure, figure.here, figure.unit, figure.there
    )]
    #[diagnostic(
        code(tilewright::emit::machine),
        help(
            "compile for a machine of {generation}, or run this one's kernels in the simulator only"
        )
    )]
    Unlike {
        machine: String,
        language: &'static str,
        generation: String,
        figure: Unlike,
    },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Broken(#[from] MachineError),
}

static GENERATION: LazyLock<Result<Machine, MachineError>> = LazyLock::new(Machine::generation);

/// Refuses a machine whose tiles are made of something else than a language knows, or with more of what it has `counted`.
pub(crate) fn check(
    machine: &Machine,
    language: &'static str,
    counted: bool,
) -> Result<(), OtherMachine> {
    let generation = match &*GENERATION {
        Ok(generation) => generation,
        Err(broken) => return Err(OtherMachine::Broken(broken.clone())),
    };
    let more = || machine.exceeds(generation).filter(|_| counted);
    match machine.unlike(generation).or_else(more) {
        None => Ok(()),
        Some(figure) => Err(OtherMachine::Unlike {
            machine: machine.name.clone(),
            language,
            generation: generation.name.clone(),
            figure,
        }),
    }
}
