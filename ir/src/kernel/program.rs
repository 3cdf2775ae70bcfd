//! Programs, kernels, launches, and the tensors in global memory.

use super::comm;
use super::instr::{Access, Instr};
use super::{LoopId, Pipe, ScalarArray, Space, Stmt, Tile};
use crate::dtype::DType;
use crate::graph::{LaunchKind, Ragged};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// A layer as kernels, in launch order, over tensors in global memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Program {
    pub name: String,
    /// The machine that tiles and flags were chosen for.
    pub machine: String,
    /// Ranks that run the program together, each on its own inputs; 1 is a program without communication.
    #[serde(default = "comm::one_rank")]
    pub ranks: usize,
    pub tensors: IndexMap<String, GlobalTensor>,
    /// Run-time i32 arguments (`num_tokens`), each with the largest value that it may take.
    pub scalars: IndexMap<String, i64>,
    pub kernels: Vec<Kernel>,
}

/// A dense row-major matrix in global memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GlobalTensor {
    pub dtype: DType,
    /// As in the graph: `[R, C]`, `[C]`, or `[]`.
    pub shape: Vec<usize>,
    pub role: Role,
    /// Groups of rows of which only the first few exist; kernels read and write no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ragged: Option<Ragged>,
    /// What its integers are expected to be, element by element, where they count rows and the layer says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<i64>,
}

impl GlobalTensor {
    /// Rows and columns; a vector is one row.
    pub fn matrix(&self) -> (usize, usize) {
        match self.shape.as_slice() {
            [] => (1, 1),
            [c] => (1, *c),
            [r, c] => (*r, *c),
            more => (
                more[..more.len() - 1].iter().product(),
                more[more.len() - 1],
            ),
        }
    }

    /// Bytes of all elements.
    pub fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bytes()
    }
}

/// Who gives a tensor its elements, and who reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Input,
    Output,
    /// Written by one kernel and read by a later one.
    Workspace,
    /// Symmetric memory that peers write into: one instance a rank, zero before the first layer run, alive over all of them.
    Window,
}

/// The core type that runs a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// AIC.
    Cube,
    /// AIV.
    Vector,
    /// Both: a block is a cube core and its vector cores, each of which runs a [`Stmt::Part`] of the body.
    Mixed,
}

/// One kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kernel {
    pub name: String,
    /// The regions of the graph as written whose work this kernel contains.
    pub covers: Vec<String>,
    pub unit: Unit,
    pub launch: Launch,
    /// Tile parameters under their engineers' names.
    pub params: IndexMap<String, usize>,
    /// Loaded tiles in flight in the deepest loop: 1 is `range`.
    pub pipeline: usize,
    /// Names of loops, in the order of [`LoopId`](super::LoopId).
    pub loops: Vec<String>,
    pub tiles: Vec<Tile>,
    /// How many scalar registers the body uses.
    pub registers: usize,
    /// Arrays of the scalar unit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arrays: Vec<ScalarArray>,
    /// Earlier kernels that must be over before this one starts; those before them need no mention.
    #[serde(default)]
    pub after: Vec<String>,
    /// What the integers that its scalar unit reads are expected to be, by tensor: times without data are of these.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub expected: IndexMap<String, Vec<i64>>,
    /// Where passes had to settle for less than the best, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    pub body: Vec<Stmt>,
}

/// How many blocks, and how they are started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    pub kind: LaunchKind,
    /// Grid axes, slowest first. Block `b` has the coordinates of `b` in this mixed radix.
    pub grid: Vec<GridAxis>,
}

/// An axis of a launch's grid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GridAxis {
    pub name: String,
    pub count: usize,
}

impl Launch {
    /// Blocks of all axes together.
    pub fn blocks(&self) -> usize {
        self.grid.iter().map(|a| a.count).product()
    }

    /// The grid coordinates of a block.
    pub fn coordinates(&self, block: usize) -> Vec<usize> {
        let mut rest = block;
        let mut out = vec![0; self.grid.len()];
        for (i, axis) in self.grid.iter().enumerate().rev() {
            out[i] = rest % axis.count;
            rest /= axis.count;
        }
        out
    }
}

impl Kernel {
    /// The pipe that runs an instruction.
    pub fn pipe(&self, instr: &Instr) -> Pipe {
        match instr {
            Instr::Vector { op, .. } => op.row().pipe,
            Instr::Store { src, .. } if self.tiles[src.tile].space == Space::L0c => Pipe::Fix,
            other => other.kind().row().pipe,
        }
    }

    /// Highest address used in a memory, in bytes.
    pub fn used(&self, space: Space) -> usize {
        self.tiles
            .iter()
            .filter(|t| t.space == space)
            .flat_map(|t| t.addrs.iter().map(|a| a + t.bytes()))
            .max()
            .unwrap_or(0)
    }

    /// Global tensors read and written, by name, each once, in program order.
    pub fn accesses(&self) -> (Vec<String>, Vec<String>) {
        let (mut reads, mut writes) = (vec![], vec![]);
        self.visit(&mut |instr| {
            let Some((access, rect)) = instr.global() else {
                return;
            };
            let list = match access {
                Access::Read => &mut reads,
                Access::Write => &mut writes,
            };
            if !list.contains(&rect.tensor) {
                list.push(rect.tensor.clone());
            }
        });
        (reads, writes)
    }

    /// The trips of every loop, by [`LoopId`](super::LoopId); 1 of a loop that the body does not have.
    pub fn trips(&self) -> Vec<usize> {
        let mut out = vec![1; self.loops.len()];
        self.visit_loops(&mut |id, trips, _| {
            if let Some(t) = out.get_mut(id) {
                *t = trips;
            }
        });
        out
    }

    /// Calls `f` with the id, the trips and the depth of every loop, outer ones first.
    pub fn visit_loops(&self, f: &mut impl FnMut(LoopId, usize, usize)) {
        fn walk(body: &[Stmt], f: &mut impl FnMut(LoopId, usize, usize)) {
            for s in body {
                match s {
                    Stmt::Loop {
                        id,
                        trips,
                        depth,
                        body,
                    } => {
                        f(*id, *trips, *depth);
                        walk(body, f);
                    }
                    Stmt::Part { body, .. } => walk(body, f),
                    Stmt::If {
                        then, otherwise, ..
                    } => {
                        walk(then, f);
                        walk(otherwise, f);
                    }
                    _ => {}
                }
            }
        }
        walk(&self.body, f);
    }

    /// Calls `f` on every instruction in program order, each once.
    pub fn visit<'a>(&'a self, f: &mut impl FnMut(&'a Instr)) {
        fn walk<'a>(body: &'a [Stmt], f: &mut impl FnMut(&'a Instr)) {
            for s in body {
                match s {
                    Stmt::Loop { body, .. } | Stmt::Part { body, .. } => walk(body, f),
                    Stmt::If {
                        then, otherwise, ..
                    } => {
                        walk(then, f);
                        walk(otherwise, f);
                    }
                    Stmt::Instr(i) => f(i),
                    _ => {}
                }
            }
        }
        walk(&self.body, f);
    }
}
