//! Kernels that move data between ranks, before they are lowered: communication primitives one after the other.
//!
//! They have no tiles to choose. What can be chosen is how many blocks share the work: blocks take equal parts of the rows that are
//! sent and of the lanes that are received, and each of them notifies and waits for itself.

use std::collections::BTreeSet;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{Comm, EPOCH, RANK};

/// The operations of one kernel, in an order in which operands come first.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    pub ranks: usize,
    pub steps: Vec<Step>,
}

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub op: Comm,
    pub result: Operand,
    pub operands: Vec<Operand>,
}

/// A value that an operation reads or gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operand {
    pub name: String,
    pub rows: usize,
    pub cols: usize,
    pub dtype: DType,
}

impl Exchange {
    pub fn step(&self, result: &str) -> Option<&Step> {
        self.steps.iter().find(|s| s.result.name == result)
    }

    /// The window that a value is a state of.
    pub fn window(&self, value: &str) -> Option<&Operand> {
        let step = self.step(value)?;
        match step.op {
            Comm::Window { .. } => Some(&step.result),
            Comm::Put { .. }
            | Comm::RemoteStore { .. }
            | Comm::After
            | Comm::Notify { .. }
            | Comm::Wait { .. }
            | Comm::ReadWindow { .. }
            | Comm::ReadRows { .. }
            | Comm::ReadLanes => self.window(&step.operands[0].name),
            _ => None,
        }
    }

    /// All values that its operations read or give.
    pub fn values(&self) -> impl Iterator<Item = &Operand> {
        self.steps
            .iter()
            .flat_map(|s| s.operands.iter().chain([&s.result]))
    }

    /// The tensors of other kernels, and inputs, that it reads; without the scalars that every rank is given.
    pub fn reads(&self) -> Vec<String> {
        let own: BTreeSet<&str> = self.steps.iter().map(|s| s.result.name.as_str()).collect();
        let mut out: Vec<String> = vec![];
        for name in self.steps.iter().flat_map(|s| &s.operands).map(|o| &o.name) {
            let foreign = !own.contains(name.as_str()) && name != RANK && name != EPOCH;
            if foreign && !out.contains(name) {
                out.push(name.clone());
            }
        }
        out
    }

    /// The numbers of blocks that can share the work, from one up to `cores`: a block that waits must be resident, and a block
    /// takes whole rows and whole lanes.
    pub fn shares(&self, cores: usize) -> Vec<usize> {
        let parts: Vec<usize> = self.steps.iter().filter_map(|s| self.parts(s)).collect();
        (1..=cores)
            .filter(|b| parts.iter().all(|p| p.is_multiple_of(*b)))
            .collect()
    }

    /// How many pieces a step's work has, if blocks share it.
    fn parts(&self, step: &Step) -> Option<usize> {
        match step.op {
            Comm::RemoteStore { .. } => match self.step(&step.operands[2].name)? {
                // One lane of this rank's experts after the other.
                Step {
                    op: Comm::LaneTargets,
                    operands,
                    ..
                } => Some(operands[1].rows),
                targets => Some(targets.result.rows),
            },
            Comm::LaneCounts { .. } => Some(step.result.rows),
            _ => None,
        }
    }
}
