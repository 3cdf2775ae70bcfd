//! Why a program has no C++ form.

use crate::source::OtherMachine;
use thiserror::Error;
use tilewright_ir::kernel::KernelError;

/// A refusal to print a program.
#[derive(Debug, Clone, PartialEq, Error, miette::Diagnostic)]
pub enum EmitError {
    /// The program is not one.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Kernel(#[from] KernelError),
    /// PTO-ISA's headers are not for this machine.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Machine(#[from] OtherMachine),
    #[error(
        "kernel `{kernel}` would be a function of that name, which C++ or its headers have taken"
    )]
    #[diagnostic(
        code(tilewright::emit::kernel_name),
        help("rename the kernel, to `{kernel}_kernel` for one")
    )]
    KernelName { kernel: String },
    #[error("kernel `{kernel}`: tile `{tile}` has {addrs} addresses for {slots} slots")]
    #[diagnostic(
        code(tilewright::emit::not_allocated),
        help("run the allocate pass before emission")
    )]
    NotAllocated {
        kernel: String,
        tile: String,
        addrs: usize,
        slots: usize,
    },
    #[error("kernel `{kernel}`, `{instr}`: {fault}")]
    #[diagnostic(code(tilewright::emit::instruction), help("{}", fault.remedy()))]
    Instr {
        kernel: String,
        /// The instruction as text.
        instr: String,
        fault: Fault,
    },
}

impl EmitError {
    /// The kernel that has no form; `None` for errors of the program as a whole.
    pub fn kernel(&self) -> Option<&str> {
        match self {
            EmitError::Kernel(error) => error.kernel(),
            EmitError::Machine(_) => None,
            EmitError::NotAllocated { kernel, .. }
            | EmitError::KernelName { kernel }
            | EmitError::Instr { kernel, .. } => Some(kernel),
        }
    }
}

/// What PTO-ISA cannot express about an instruction that verifies.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Fault {
    #[error("{what} does not exist")]
    Missing { what: String },
    #[error("it needs a scratch tile of {rows} x {cols} {dtype}")]
    Scratch {
        rows: usize,
        cols: usize,
        dtype: &'static str,
    },
    #[error("tile `{tile}` is {found}, but this operand is {need}")]
    Layout {
        tile: String,
        found: &'static str,
        need: &'static str,
    },
    #[error("a copy of {src} into {dst}: TMOV takes tiles of one extent")]
    CopyExtent { dst: String, src: String },
    #[error("a copy of some rows of a column of {dtype}: no instruction copies less than a block")]
    ColumnCopy { dtype: &'static str },
    #[error("the operands have different run-time row counts")]
    RowCounts,
    #[error("tile `{tile}` cannot have a run-time row count")]
    StaticRows { tile: String },
    #[error("the constant {value} has no {dtype}")]
    Constant { value: f32, dtype: &'static str },
    #[error("{runs} runs are merged; TMRGSORT merges two, or multiples of four")]
    Runs { runs: usize },
}

impl Fault {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Fault::Missing { what } => format!("declare {what}"),
            Fault::Scratch { rows, cols, dtype } => {
                format!("give the instruction a row-major {rows} x {cols} {dtype} tile as `tmp`")
            }
            Fault::Layout { need, .. } => format!("use a tile that is {need}"),
            Fault::CopyExtent { .. } => "pad both tiles to the same rows and columns".into(),
            Fault::ColumnCopy { .. } => "copy it as f32, f16 or i32".into(),
            Fault::RowCounts => "use one expression as the row count of all operands".into(),
            Fault::StaticRows { .. } => "use all of its rows".into(),
            Fault::Constant { dtype, .. } => format!("choose a value that {dtype} can hold"),
            Fault::Runs { .. } => "pad the row with the lowest value to a power of two".into(),
        }
    }
}
