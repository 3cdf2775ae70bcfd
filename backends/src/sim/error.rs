//! Why a program does not run: faults, where they happened, and what to do about them.

use super::ranks::RankFault;
use miette::Diagnostic;
use serde::Serialize;
use std::fmt;
use thiserror::Error;
use tilewright_ir::kernel::{KernelError, Pipe};

/// A refusal of the simulator: a [`Fault`], and the [`Site`] where it happened.
#[derive(Debug, Clone, PartialEq)]
pub struct SimError {
    /// `None` for faults of the program as a whole and of its inputs.
    pub site: Option<Box<Site>>,
    pub fault: Box<Fault>,
}

impl From<RankFault> for Fault {
    fn from(fault: RankFault) -> Self {
        Fault::Ranks(Box::new(fault))
    }
}

/// The instruction at which a program stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Site {
    /// The rank and the layer run, in a run of several ranks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RankRun>,
    pub kernel: String,
    /// `None` for what holds in every block.
    pub block: Option<usize>,
    /// Grid coordinates of the block, `axis=coordinate`.
    pub grid: Vec<String>,
    /// `None` for what no single statement is the place of.
    pub statement: Option<Statement>,
}

/// A rank in a layer run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RankRun {
    pub rank: usize,
    /// From 1.
    pub epoch: usize,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(RankRun { rank, epoch }) = self.run {
            write!(f, "rank {rank}, layer run {epoch}, ")?;
        }
        write!(f, "kernel `{}`", self.kernel)?;
        if let Some(block) = self.block {
            write!(f, ", block {block}")?;
            if !self.grid.is_empty() {
                write!(f, " ({})", self.grid.join(", "))?;
            }
        }
        if let Some(statement) = &self.statement {
            write!(f, ", instruction {statement}")?;
        }
        Ok(())
    }
}

impl fmt::Display for SimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.site {
            Some(site) => write!(f, "{site}: {}", self.fault),
            None => write!(f, "{}", self.fault),
        }
    }
}

impl std::error::Error for SimError {}

impl Diagnostic for SimError {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        if let Fault::Verify(error) = &*self.fault {
            return error.code();
        }
        Some(Box::new(self.fault.code()))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.fault.remedy()))
    }
}

impl From<Fault> for SimError {
    fn from(fault: Fault) -> Self {
        SimError {
            site: None,
            fault: Box::new(fault),
        }
    }
}

/// A pipe, with its core where two cores are meant.
fn lane(pipe: Pipe, core: u8, cores: (u8, u8)) -> String {
    match cores.0 == cores.1 {
        true => pipe.name().to_owned(),
        false => format!("{} of the {}", pipe.name(), core_name(core)),
    }
}

/// A core of a block of a mixed kernel.
pub(super) fn core_name(core: u8) -> String {
    match core {
        0 => "cube core".to_owned(),
        n => format!("vector core {}", n - 1),
    }
}

/// One of the event flags: an id of an ordered pair of pipes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Flag {
    pub src: Pipe,
    pub dst: Pipe,
    pub id: usize,
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}->{} {}", self.src.name(), self.dst.name(), self.id)
    }
}

/// Two accesses to the same bytes that nothing orders, in program order.
pub use tilewright_ir::kernel::Dependence as Conflict;

/// A statement of a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// Index path in the body: `2.0.then.1`.
    pub path: String,
    /// The statement as text.
    pub text: String,
    /// The pipe that runs it; of a flag, the one that sets or waits.
    pub pipe: Option<Pipe>,
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.path, self.text)
    }
}

/// What went wrong. Sizes are in bytes, places in rows and columns from 0.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Fault {
    #[error("{0}")]
    Verify(KernelError),
    #[error("{what}")]
    Program { what: String },
    #[error("tile `{tile}` has {addrs} addresses for {slots} slots")]
    Unallocated {
        tile: String,
        addrs: usize,
        slots: usize,
    },
    #[error("input `{name}` is not given")]
    MissingInput { name: String },
    #[error(
        "`{counts}` says that group {group} of `{tensor}` has {count} rows, of at most {limit}"
    )]
    RowCount {
        tensor: String,
        counts: String,
        group: usize,
        count: i32,
        limit: usize,
    },
    #[error("input `{name}` is {got}, the program takes {want}")]
    InputType {
        name: String,
        want: String,
        got: String,
    },
    #[error("scalar `{name}` is {value}, outside 0..={max}")]
    ScalarRange { name: String, value: i64, max: i64 },
    #[error("no such instruction: {what}")]
    Unsupported { what: String, remedy: String },
    #[error("shapes do not fit: {what}")]
    Shape { what: String },
    #[error("tiles `{a}` and `{b}` share bytes in one instruction, which {why}")]
    OperandOverlap { a: String, b: String, why: String },
    #[error(
        "rows {row}..{} and columns {col}..{} of tensor `{tensor}`, which has {} x {}",
        row.saturating_add(*rows as i64), col.saturating_add(*cols as i64), shape.0, shape.1
    )]
    GlobalBounds {
        tensor: String,
        row: i64,
        col: i64,
        rows: usize,
        cols: usize,
        shape: (usize, usize),
    },
    #[error("index {index} at column {at} of tile `{tile}` is outside 0..{limit}")]
    IndexBounds {
        tile: String,
        at: usize,
        index: i64,
        limit: usize,
    },
    #[error("reads element ({row}, {col}) of tile `{tile}` slot {slot}, which was never written")]
    Uninitialised {
        tile: String,
        slot: usize,
        row: usize,
        col: usize,
    },
    #[error("reads element ({row}, {col}) of tensor `{tensor}`, which was never written")]
    UninitialisedGlobal {
        tensor: String,
        row: usize,
        col: usize,
    },
    #[error("register {register} was never written")]
    UninitialisedRegister { register: usize },
    #[error(
        "reads tile `{tile}` slot {slot}, whose bytes `{by_tile}` slot {by_slot} has overwritten at {by}"
    )]
    Clobbered {
        tile: String,
        slot: usize,
        by_tile: String,
        by_slot: usize,
        by: Statement,
    },
    #[error(
        "{} of {place} is not ordered: {} {first}, then {} here",
        conflict.text(), lane(*first_pipe, cores.0, *cores), lane(*second_pipe, cores.1, *cores)
    )]
    Hazard {
        conflict: Conflict,
        /// A tile with its slot, or a global tensor.
        place: String,
        first: Statement,
        first_pipe: Pipe,
        second_pipe: Pipe,
        /// Which of the block's cores did each.
        cores: (u8, u8),
        /// The number of the first one on its pipe, in its block.
        seq: u32,
    },
    #[error("{} of element ({row}, {col}) of tensor `{tensor}` between blocks of one kernel: block {other} at {first}", conflict.text())]
    BlockRace {
        conflict: Conflict,
        tensor: String,
        row: usize,
        col: usize,
        /// Another block that touches it.
        other: usize,
        first: Statement,
    },
    #[error(
        "stores by the scalar unit to the line at byte {line} of tensor `{tensor}`, to which block {other} stores at {first}"
    )]
    SharedLine {
        tensor: String,
        /// Offset of the line in the tensor.
        line: usize,
        /// Bytes of a line.
        bytes: usize,
        /// Another block that stores to it.
        other: usize,
        first: Statement,
    },
    #[error("flag {flag} is set again before a wait has consumed it (set at {first})")]
    DoubleSet { flag: Flag, first: Statement },
    #[error("flag {flag} is set again while its wait at {wait} may not have run")]
    UnorderedSet { flag: Flag, wait: Statement },
    #[error("waits for flag {flag}, which is set only later in program order")]
    WaitBeforeSet { flag: Flag },
    #[error("deadlock: waits for flag {flag}, and no set of it is left")]
    Deadlock { flag: Flag },
    #[error("cross-core flag {flag} counts to more than {limit}: nothing holds this core back")]
    CrossOverflow { flag: usize, limit: usize },
    #[error("deadlock between the cores of a block: {}", waits.join("; "))]
    CrossDeadlock {
        /// Of each core that waits, which it is and for which flag.
        waits: Vec<String>,
    },
    #[error("cross-core flag {flag}, set at {set}, is never waited for")]
    UnconsumedCross { flag: usize, set: Statement },
    #[error("flag {flag}, set at {set}, is never waited for")]
    UnconsumedFlag { flag: Flag, set: Statement },
    #[error(
        "element ({row}, {col}) of output `{tensor}` was never written ({missing} elements in all)"
    )]
    UnwrittenOutput {
        tensor: String,
        row: usize,
        col: usize,
        missing: usize,
    },
    #[error("{what}")]
    Ranked { what: String },
    #[error("{0}")]
    Ranks(Box<RankFault>),
    #[error("the program executes more than {limit} statements")]
    TooLong { limit: u64 },
}

impl Fault {
    /// The stable code of this kind of fault; a [`SimError`] shows that of a [`KernelError`] itself.
    pub fn code(&self) -> &'static str {
        match self {
            Fault::Verify(_) => "tilewright::sim::verify",
            Fault::Program { .. } => "tilewright::sim::program",
            Fault::Unallocated { .. } => "tilewright::sim::unallocated",
            Fault::MissingInput { .. } => "tilewright::sim::missing_input",
            Fault::InputType { .. } => "tilewright::sim::input_type",
            Fault::RowCount { .. } => "tilewright::sim::row_count",
            Fault::ScalarRange { .. } => "tilewright::sim::scalar_range",
            Fault::Unsupported { .. } => "tilewright::sim::unsupported",
            Fault::Shape { .. } => "tilewright::sim::shape",
            Fault::OperandOverlap { .. } => "tilewright::sim::operand_overlap",
            Fault::GlobalBounds { .. } => "tilewright::sim::global_bounds",
            Fault::IndexBounds { .. } => "tilewright::sim::index_bounds",
            Fault::Uninitialised { .. } => "tilewright::sim::uninitialised",
            Fault::UninitialisedGlobal { .. } => "tilewright::sim::uninitialised_global",
            Fault::UninitialisedRegister { .. } => "tilewright::sim::uninitialised_register",
            Fault::Clobbered { .. } => "tilewright::sim::clobbered",
            Fault::Hazard { .. } => "tilewright::sim::hazard",
            Fault::BlockRace { .. } => "tilewright::sim::block_race",
            Fault::SharedLine { .. } => "tilewright::sim::shared_line",
            Fault::DoubleSet { .. } => "tilewright::sim::double_set",
            Fault::UnorderedSet { .. } => "tilewright::sim::unordered_set",
            Fault::WaitBeforeSet { .. } => "tilewright::sim::wait_before_set",
            Fault::Deadlock { .. } => "tilewright::sim::deadlock",
            Fault::UnconsumedFlag { .. } => "tilewright::sim::unconsumed_flag",
            Fault::CrossOverflow { .. } => "tilewright::sim::cross_overflow",
            Fault::CrossDeadlock { .. } => "tilewright::sim::cross_deadlock",
            Fault::UnconsumedCross { .. } => "tilewright::sim::unconsumed_cross",
            Fault::UnwrittenOutput { .. } => "tilewright::sim::unwritten_output",
            Fault::Ranked { .. } => "tilewright::sim::ranks",
            Fault::Ranks(fault) => fault.code(),
            Fault::TooLong { .. } => "tilewright::sim::too_long",
        }
    }

    /// The earlier statement that the fault is about.
    pub fn first(&self) -> Option<&Statement> {
        match self {
            Fault::Clobbered { by, .. } => Some(by),
            Fault::Hazard { first, .. }
            | Fault::BlockRace { first, .. }
            | Fault::SharedLine { first, .. }
            | Fault::DoubleSet { first, .. } => Some(first),
            Fault::UnorderedSet { wait, .. } => Some(wait),
            _ => None,
        }
    }

    /// The numbers of the message, by name.
    pub fn numbers(&self) -> Vec<(&'static str, i64)> {
        let n = |x: &usize| *x as i64;
        match self {
            Fault::Verify(KernelError::Capacity { need, limit, .. }) => {
                vec![("need", n(need)), ("limit", n(limit))]
            }
            Fault::Verify(KernelError::Alignment {
                address, alignment, ..
            }) => vec![("address", n(address)), ("alignment", n(alignment))],
            Fault::Verify(KernelError::Order { rows, cols, .. }) => vec![
                ("row", rows.0),
                ("rows", rows.1 - rows.0),
                ("col", cols.0),
                ("cols", cols.1 - cols.0),
            ],
            Fault::Verify(KernelError::Bounds {
                low, high, limit, ..
            }) => vec![
                ("low", *low as i64),
                ("high", *high as i64),
                ("limit", n(limit)),
            ],
            Fault::Unallocated { addrs, slots, .. } => {
                vec![("addresses", n(addrs)), ("slots", n(slots))]
            }
            Fault::ScalarRange { value, max, .. } => vec![("value", *value), ("limit", *max)],
            Fault::GlobalBounds {
                row,
                col,
                rows,
                cols,
                shape,
                ..
            } => vec![
                ("row", *row),
                ("rows", n(rows)),
                ("col", *col),
                ("cols", n(cols)),
                ("limit_rows", n(&shape.0)),
                ("limit_cols", n(&shape.1)),
            ],
            Fault::IndexBounds {
                at, index, limit, ..
            } => vec![("column", n(at)), ("index", *index), ("limit", n(limit))],
            Fault::Uninitialised { slot, row, col, .. } => {
                vec![("slot", n(slot)), ("row", n(row)), ("col", n(col))]
            }
            Fault::UninitialisedGlobal { row, col, .. } => vec![("row", n(row)), ("col", n(col))],
            Fault::UninitialisedRegister { register } => vec![("register", n(register))],
            Fault::Clobbered { slot, by_slot, .. } => {
                vec![("slot", n(slot)), ("by_slot", n(by_slot))]
            }
            Fault::BlockRace {
                row, col, other, ..
            } => vec![("row", n(row)), ("col", n(col)), ("other_block", n(other))],
            Fault::SharedLine { line, other, .. } => {
                vec![("byte", n(line)), ("other_block", n(other))]
            }
            Fault::DoubleSet { flag, .. }
            | Fault::UnorderedSet { flag, .. }
            | Fault::WaitBeforeSet { flag }
            | Fault::Deadlock { flag }
            | Fault::UnconsumedFlag { flag, .. } => vec![("event_id", n(&flag.id))],
            Fault::UnwrittenOutput {
                row, col, missing, ..
            } => vec![("row", n(row)), ("col", n(col)), ("missing", n(missing))],
            Fault::TooLong { limit } => vec![("limit", *limit as i64)],
            Fault::CrossOverflow { flag, limit } => vec![("flag", n(flag)), ("limit", n(limit))],
            Fault::UnconsumedCross { flag, .. } => vec![("flag", n(flag))],
            _ => vec![],
        }
    }

    /// What removes the fault.
    pub fn remedy(&self) -> String {
        match self {
            Fault::Verify(error) => error.help().map_or_else(String::new, |h| h.to_string()),
            Fault::Program { .. } => {
                "make the program smaller, or look at which pass made it so: dump it after each pass".into()
            }
            Fault::Unallocated { .. } => "run the allocate pass first".into(),
            Fault::MissingInput { name } => format!("pass a tensor named `{name}`"),
            Fault::InputType { want, .. } => format!("convert it to {want}"),
            Fault::RowCount { limit, .. } => format!("give counts from 0 to {limit}"),
            Fault::ScalarRange { max, .. } => {
                format!("pass a value of at most {max}, or compile for a larger one")
            }
            Fault::Unsupported { remedy, .. } => remedy.clone(),
            Fault::Shape { .. } => "give the operands the same valid part".into(),
            Fault::OperandOverlap { .. } => "give the operands tiles of their own".into(),
            Fault::GlobalBounds { .. } => {
                "shorten the last tile, limit its rows at run time, or pad the tensor".into()
            }
            Fault::IndexBounds { limit, .. } => format!("indices must be below {limit}"),
            Fault::Uninitialised { .. } => {
                "load or fill the whole valid part first, or narrow what is read".into()
            }
            Fault::UninitialisedGlobal { .. } => {
                "write it in an earlier kernel, or narrow what is read".into()
            }
            Fault::UninitialisedRegister { .. } => "read it from global memory before its first use".into(),
            Fault::Clobbered { tile, by_tile, .. } => {
                format!("`{tile}` and `{by_tile}` are live together: give them disjoint addresses")
            }
            Fault::Hazard {
                first,
                first_pipe,
                second_pipe,
                cores,
                ..
            } => order(first, (*first_pipe, *second_pipe), cores.0 == cores.1),
            Fault::BlockRace { .. } => {
                "blocks of a kernel run in any order: give each block its own part, or use two kernels".into()
            }
            Fault::SharedLine { bytes, .. } => {
                format!("give each block lines of {bytes} bytes of its own, or store through UB")
            }
            Fault::DoubleSet { flag, .. } => format!(
                "wait_flag({}, {}) of id {} between the two sets, or another id",
                flag.src.name(),
                flag.dst.name(),
                flag.id
            ),
            Fault::UnorderedSet { flag, .. } => format!(
                "set_flag({b}, {a}) after that wait and wait_flag({b}, {a}) before this set, or rotate event ids",
                a = flag.src.name(),
                b = flag.dst.name()
            ),
            Fault::WaitBeforeSet { flag } | Fault::Deadlock { flag } => format!(
                "set_flag({}, {}) of id {} before this wait in program order; a back edge of a loop is primed before the loop",
                flag.src.name(),
                flag.dst.name(),
                flag.id
            ),
            Fault::CrossOverflow { flag, .. } => format!(
                "wait for a flag of the other core that tells that it has waited for flag {flag}"
            ),
            Fault::CrossDeadlock { .. } => {
                "set each flag before the other core waits for it, from every vector core; prime what the first trips wait for".into()
            }
            Fault::UnconsumedCross { flag, .. } => {
                format!("wait_cross({flag}) on the other core before the kernel ends")
            }
            Fault::UnconsumedFlag { flag, .. } => format!(
                "wait_flag({}, {}) of id {} before the kernel ends",
                flag.src.name(),
                flag.dst.name(),
                flag.id
            ),
            Fault::UnwrittenOutput { .. } => "store the whole output, or allow partial outputs".into(),
            Fault::Ranked { .. } => {
                "give one set of inputs a rank, and name ranks, layers and tensors that there are".into()
            }
            Fault::Ranks(fault) => fault.remedy(),
            Fault::TooLong { .. } => "check the trips of its loops and its grid".into(),
        }
    }
}

/// What orders an instruction after an earlier one, by their pipes.
fn order(first: &Statement, (a, b): (Pipe, Pipe), same_core: bool) -> String {
    let (a, b, same_pipe) = (a.name(), b.name(), a == b);
    match (same_core, same_pipe) {
        (false, _) => format!(
            "set_cross({a}) after {first}, and wait_cross of the same flag on the other core before this instruction"
        ),
        (true, true) => format!("pipe_barrier({a}) between {first} and this instruction"),
        (true, false) => format!(
            "set_flag({a}, {b}) after {first}, and wait_flag({a}, {b}) of the same event id before this instruction"
        ),
    }
}
