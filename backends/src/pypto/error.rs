//! Why a program has no PyPTO form.

use crate::source::OtherMachine;
use miette::Diagnostic;
use thiserror::Error;
use tilewright_ir::kernel::KernelError;

/// A refusal to print a program.
#[derive(Debug, Clone, PartialEq, Error, Diagnostic)]
pub enum EmitError {
    /// The program is not one.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Kernel(#[from] KernelError),
    /// The language is not for this machine.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Machine(#[from] OtherMachine),
    /// All kernels that have no form, each with the first instruction that has none.
    #[error("{} of {kernels} kernels cannot be written in PyPTO: {}", refused.len(), names(refused))]
    #[diagnostic(
        code(tilewright::emit::pypto),
        help("`--as cpp` prints all kernels; docs/pypto.md lists what has no form in PyPTO")
    )]
    NoForm {
        kernels: usize,
        #[related]
        refused: Vec<Refused>,
    },
}

impl EmitError {
    /// The kernels that have no form; none for errors of the program as a whole.
    pub fn kernels(&self) -> Vec<&str> {
        match self {
            EmitError::Kernel(error) => error.kernel().into_iter().collect(),
            EmitError::Machine(_) => vec![],
            EmitError::NoForm { refused, .. } => {
                refused.iter().map(|r| r.kernel.as_str()).collect()
            }
        }
    }
}

fn names(refused: &[Refused]) -> String {
    let names: Vec<String> = refused.iter().map(|r| format!("`{}`", r.kernel)).collect();
    names.join(", ")
}

/// A kernel that has no form, and why.
#[derive(Debug, Clone, PartialEq, Error, Diagnostic)]
#[error("kernel `{kernel}`, `{instr}`: {fault}")]
#[diagnostic(code(tilewright::emit::pypto_instruction), help("{}", fault.remedy()))]
pub struct Refused {
    pub kernel: String,
    /// The instruction as text.
    pub instr: String,
    pub fault: Fault,
}

/// What PyPTO has no form for in an instruction that verifies.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Fault {
    #[error("{what} does not exist")]
    Missing { what: String },
    #[error("`{tensor}` is a window, memory that other ranks write into")]
    Window { tensor: String },
    #[error("`{tensor}` is read in other rows than it has")]
    View { tensor: String },
    #[error("it depends on the rank, or on the number of the layer run")]
    Rank,
    #[error("tile `{tile}` holds {found}, but the instruction takes {need}")]
    Extent {
        tile: String,
        found: String,
        need: String,
    },
    #[error("the operands are {lhs} and {rhs}: PyPTO computes on tiles of one shape")]
    Shapes { lhs: String, rhs: String },
    #[error(
        "the first rows of tile `{tile}` are replaced, as many as there are at run time, and the others are not zero"
    )]
    SomeRows { tile: String },
    #[error(
        "tile `{tile}` is {found}: PyPTO takes sums up only in accumulators of which all fractals hold rows"
    )]
    Accumulator {
        tile: String,
        found: String,
        /// Rows of a fractal.
        most: usize,
    },
    #[error(
        "rows of `{tensor}` are copied to or from an array of the scalar unit, which PyPTO moves by the element"
    )]
    Rows { tensor: String },
    #[error("{value} is no literal of PyPTO's {dtype}")]
    Literal { value: f32, dtype: &'static str },
    #[error("an index row of {dtype}: PyPTO counts in INT32")]
    Index { dtype: &'static str },
    #[error("{runs} runs are merged; PyPTO merges two, or multiples of four")]
    Runs { runs: usize },
    #[error("a kernel with a part on cube cores and a part on vector cores")]
    Mixed,
    #[error("tile `{tile}` keeps what the first trip of a loop loads in all trips of another one")]
    Kept { tile: String },
}

impl Fault {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Fault::Missing { what } => format!("declare {what}"),
            Fault::Window { .. } | Fault::Rank | Fault::Rows { .. } => {
                "a layer on one rank has no such kernels; `--as cpp` prints those between ranks"
                    .into()
            }
            Fault::View { .. } => {
                "give the layer a tensor of these rows; `--as cpp` prints loads through a view"
                    .into()
            }
            Fault::Extent { .. } => "write the tile as a whole before a part of it is used".into(),
            Fault::Shapes { .. } => {
                "choose a tile whose rows are whole blocks in each of its types".into()
            }
            Fault::SomeRows { .. } => "fill the tile with zeros first".into(),
            Fault::Accumulator { most, .. } => format!("choose a tile of at most {most} rows"),
            Fault::Literal { .. } => "choose a finite value that the type can hold".into(),
            Fault::Index { .. } => "index with i32 or u32".into(),
            Fault::Mixed => "keep products apart from their readers: `--disable-rule mix`".into(),
            Fault::Kept { .. } => {
                "load the operand again: `--disable-rule keep-left --disable-rule keep-left-part`"
                    .into()
            }
            Fault::Runs { .. } => "pad the row with the lowest value to a power of two".into(),
        }
    }
}
