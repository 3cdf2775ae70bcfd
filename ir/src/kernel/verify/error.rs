//! Why a kernel program is refused.

use std::fmt;

/// A part of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub kernel: String,
    /// The tile, or the statement with its number in program order, in words.
    pub at: String,
    pub spot: Spot,
}

/// A part of a kernel, for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    Launch,
    Tile(String),
    /// Number in program order, from 1; a loop and a condition come before what they hold.
    Statement(usize),
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
    #[error("{place}: {what} is {}, but has to be {need}", counted(*found))]
    #[diagnostic(code(tilewright::kernel::count), help("make {what} {need}"))]
    Count {
        place: Box<Place>,
        what: String,
        /// `None` for more than 64 bits count.
        found: Option<usize>,
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
    /// A kernel that may start before another one is done with what both touch.
    #[error(
        "kernel `{kernel}` may start before `{first}` is over: {} of rows {}..{} and columns {}..{} of `{tensor}`",
        dependence.text(), rows.0, rows.1, cols.0, cols.1
    )]
    #[diagnostic(
        code(tilewright::kernel::order),
        help("let `{kernel}` wait for `{first}`: add it to `after`, or run the pass `order`")
    )]
    Order {
        kernel: String,
        /// The earlier one.
        first: String,
        dependence: super::super::Dependence,
        tensor: String,
        /// What both touch: from, to.
        rows: (i64, i64),
        cols: (i64, i64),
    },
    #[error("kernel `{kernel}` waits for `{name}`, {what}")]
    #[diagnostic(
        code(tilewright::kernel::after),
        help("name kernels that are launched before it")
    )]
    After {
        kernel: String,
        name: String,
        what: &'static str,
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

impl KernelError {
    /// The kernel that is wrong; `None` for errors of the program as a whole.
    pub fn kernel(&self) -> Option<&str> {
        match self {
            KernelError::Program { .. } => None,
            KernelError::Data { kernel, .. }
            | KernelError::Order { kernel, .. }
            | KernelError::After { kernel, .. } => Some(kernel),
            _ => self.place().map(|p| p.kernel.as_str()),
        }
    }

    /// The place in the kernel that is wrong, if it is one.
    pub fn place(&self) -> Option<&Place> {
        match self {
            KernelError::Index { place, .. }
            | KernelError::Scope { place, .. }
            | KernelError::Count { place, .. }
            | KernelError::Form { place, .. }
            | KernelError::Type { place, .. }
            | KernelError::Shape { place, .. }
            | KernelError::Space { place, .. }
            | KernelError::Bounds { place, .. }
            | KernelError::Capacity { place, .. }
            | KernelError::Alignment { place, .. } => Some(place),
            KernelError::Data { .. }
            | KernelError::Order { .. }
            | KernelError::After { .. }
            | KernelError::Program { .. } => None,
        }
    }
}

/// A number, or that it is too large for one.
fn counted(found: Option<usize>) -> String {
    found.map_or("too large to count".into(), |n| n.to_string())
}
