//! Why a kernel program is refused.

use std::fmt;

/// A part of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub kernel: String,
    /// The tile, or the statement with its number in program order.
    pub at: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kernel `{}`, {}", self.kernel, self.at)
    }
}

/// Why a kernel program is not one.
#[derive(Debug, Clone, PartialEq, thiserror::Error, miette::Diagnostic)]
pub enum KernelError {
    #[error("{place}: {what} {index} does not exist, there are {limit}")]
    #[diagnostic(code(tilewright::kernel::index), help("number it below {limit}"))]
    Index {
        place: Box<Place>,
        what: &'static str,
        index: usize,
        limit: usize,
    },
    #[error("{place}: the counter of loop `{name}` is used outside of the loop")]
    #[diagnostic(
        code(tilewright::kernel::scope),
        help("move the statement into loop `{name}`, or index by a constant")
    )]
    Scope { place: Box<Place>, name: String },
    #[error("{place}: {what} is {found}, but has to be {need}")]
    #[diagnostic(code(tilewright::kernel::count), help("make {what} {need}"))]
    Count {
        place: Box<Place>,
        what: String,
        found: usize,
        need: String,
    },
    #[error("{place}: {what}")]
    #[diagnostic(code(tilewright::kernel::form), help("{help}"))]
    Form {
        place: Box<Place>,
        what: String,
        help: String,
    },
    #[error("{place}: {what}")]
    #[diagnostic(code(tilewright::kernel::types), help("{help}"))]
    Type {
        place: Box<Place>,
        what: String,
        help: String,
    },
    #[error("{place}: {what}")]
    #[diagnostic(code(tilewright::kernel::shape), help("{help}"))]
    Shape {
        place: Box<Place>,
        what: String,
        help: String,
    },
    #[error("{place}: {what}")]
    #[diagnostic(code(tilewright::kernel::space), help("{help}"))]
    Space {
        place: Box<Place>,
        what: String,
        help: String,
    },
    #[error("{place}: {axis} {low}..{high} of `{tensor}` are used, but there are {limit}")]
    #[diagnostic(
        code(tilewright::kernel::bounds),
        help("choose a tile that divides the {limit} {axis}, or fewer trips or blocks")
    )]
    Bounds {
        place: Box<Place>,
        tensor: String,
        axis: &'static str,
        low: i128,
        high: i128,
        limit: usize,
    },
    #[error("kernel `{kernel}`: `{tensor}` {what}")]
    #[diagnostic(code(tilewright::kernel::data), help("{help}"))]
    Data {
        kernel: String,
        tensor: String,
        what: &'static str,
        help: String,
    },
    #[error("program `{program}`: {what}")]
    #[diagnostic(code(tilewright::kernel::program), help("{help}"))]
    Program {
        program: String,
        what: String,
        help: String,
    },
    #[error("{place}: {need} bytes of {space} are needed, but {machine} has {limit}")]
    #[diagnostic(
        code(tilewright::kernel::capacity),
        help("save {over} bytes: {remedy}")
    )]
    Capacity {
        /// The largest tile.
        place: Box<Place>,
        machine: String,
        space: &'static str,
        need: usize,
        limit: usize,
        over: usize,
        remedy: String,
    },
    #[error(
        "{place}: address {address} is no multiple of {alignment}, which {machine} needs in {space}"
    )]
    #[diagnostic(
        code(tilewright::kernel::alignment),
        help("place the tile at {nearest}, the next multiple of {alignment}")
    )]
    Alignment {
        place: Box<Place>,
        machine: String,
        space: &'static str,
        address: usize,
        alignment: usize,
        nearest: usize,
    },
}
