//! Statements: loops, conditions, and the flags that order pipes.

use super::{Expr, Instr, LoopId, Unit};
use serde::{Deserialize, Serialize};

/// The queues of a core. Instructions of one pipe start in program order; different pipes are only ordered by flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Pipe {
    /// Scalar unit.
    S,
    /// Vector unit.
    V,
    /// Cube unit.
    M,
    /// L1 to L0A and L0B.
    Mte1,
    /// Global memory to UB and L1.
    Mte2,
    /// UB to global memory.
    Mte3,
    /// L0C to global memory.
    Fix,
}

impl Pipe {
    /// All pipes, in the order that reports have.
    pub const ALL: [Pipe; 7] = [
        Pipe::S,
        Pipe::V,
        Pipe::M,
        Pipe::Mte1,
        Pipe::Mte2,
        Pipe::Mte3,
        Pipe::Fix,
    ];

    /// The name in reports: `MTE2`.
    pub fn name(self) -> &'static str {
        match self {
            Pipe::S => "S",
            Pipe::V => "V",
            Pipe::M => "M",
            Pipe::Mte1 => "MTE1",
            Pipe::Mte2 => "MTE2",
            Pipe::Mte3 => "MTE3",
            Pipe::Fix => "FIX",
        }
    }
}

/// One of a pipe pair's event ids: `base`, or `base + counter % depth` in a loop that rotates them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub base: usize,
    /// The rotating loop and its depth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate: Option<(LoopId, usize)>,
}

/// A condition that the scalar unit decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cond {
    /// The first trip of a loop.
    First(LoopId),
    /// The expression is greater than zero.
    Positive(Expr),
    /// The expression is zero.
    Zero(Expr),
}

/// A statement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stmt {
    Loop {
        id: LoopId,
        trips: usize,
        /// Loaded tiles in flight: 1 is `range`.
        depth: usize,
        body: Vec<Stmt>,
    },
    If {
        cond: Cond,
        then: Vec<Stmt>,
        otherwise: Vec<Stmt>,
    },
    Instr(Instr),
    Set {
        src: Pipe,
        dst: Pipe,
        event: Event,
    },
    Wait {
        src: Pipe,
        dst: Pipe,
        event: Event,
    },
    /// Later instructions of the pipe start after the earlier ones have finished.
    Barrier(Pipe),
    /// What one type of core does in a mixed kernel; the kernel's body is one of the cube, then one of the vector cores.
    Part {
        unit: Unit,
        body: Vec<Stmt>,
    },
    /// Raises a flag of the block's other cores when all that the pipe was given before has finished: from the cube core
    /// on each vector core, and from the vector cores on the cube core once all of them have set it. A flag counts.
    SetCross {
        pipe: Pipe,
        flag: usize,
    },
    /// The core does nothing of what follows, on any pipe, before the flag is raised; lowers it by one.
    WaitCross {
        flag: usize,
    },
}
