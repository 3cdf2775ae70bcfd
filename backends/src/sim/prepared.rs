//! A kernel prepared for running: statements numbered, costed and described once instead of once a trip.

use super::error::Statement;
use tilewright_ir::kernel::{
    Cond, Event, Expr, GlobalRef, Instr, Kernel, LoopId, Pipe, Stmt, TileRef, Unit, VectorOp,
};
use tilewright_ir::machine::Machine;
use tilewright_ir::timing::{self, Cost};

/// A kernel with its statements numbered in program order.
pub(super) struct Prepared<'a> {
    pub machine: &'a Machine,
    pub kernel: &'a Kernel,
    /// What each core of a block runs: one body, or that of the cube core and that of the vector cores.
    pub bodies: Vec<Vec<Node<'a>>>,
    pub steps: Vec<Step<'a>>,
    /// A number for each slot of each tile: `first_slot[tile] + slot`.
    pub first_slot: Vec<usize>,
}

/// Control flow over steps.
pub(super) enum Node<'a> {
    Loop {
        id: LoopId,
        trips: usize,
        body: Vec<Node<'a>>,
    },
    If {
        /// The step that stands for the condition in errors.
        step: usize,
        cond: &'a Cond,
        then: Vec<Node<'a>>,
        otherwise: Vec<Node<'a>>,
    },
    Step(usize),
}

/// One statement without a body.
pub(super) struct Step<'a> {
    pub path: String,
    pub action: Action<'a>,
}

pub(super) enum Action<'a> {
    Instr {
        instr: &'a Instr,
        /// With all rows.
        cost: Cost,
        /// How many rows its operands have, where that is counted at run time.
        counted: Option<&'a Expr>,
    },
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
    Barrier(Pipe),
    SetCross {
        pipe: Pipe,
        flag: usize,
    },
    WaitCross {
        flag: usize,
    },
    Condition,
}

impl<'a> Prepared<'a> {
    /// `kernel` has passed [`super::check`].
    pub fn new(machine: &'a Machine, kernel: &'a Kernel) -> Self {
        let mut steps = vec![];
        let bodies = match kernel.unit {
            Unit::Mixed => {
                let parts = kernel.body.iter().enumerate();
                let part = |(i, stmt): (usize, &'a Stmt)| match stmt {
                    Stmt::Part { body, .. } => {
                        nodes(machine, kernel, body, &format!("{i}."), &mut steps)
                    }
                    _ => vec![],
                };
                parts.map(part).collect()
            }
            _ => vec![nodes(machine, kernel, &kernel.body, "", &mut steps)],
        };
        let mut next = 0;
        let first_slot = kernel
            .tiles
            .iter()
            .map(|t| {
                next += t.slots;
                next - t.slots
            })
            .collect();
        Prepared {
            machine,
            kernel,
            bodies,
            steps,
            first_slot,
        }
    }

    /// Cores that run a block together.
    pub fn cores(&self) -> usize {
        match self.kernel.unit {
            Unit::Mixed => 1 + self.machine.geometry.sub_blocks.count(),
            _ => 1,
        }
    }

    /// What one of a block's cores runs.
    pub fn body_of(&self, core: u8) -> &[Node<'a>] {
        let last = self.bodies.len().saturating_sub(1);
        self.bodies
            .get(last.min(core.into()))
            .map_or(&[], Vec::as_slice)
    }

    /// The tile and slot of a slot number.
    pub fn slot_name(&self, number: usize) -> (String, usize) {
        let tile = self.first_slot.partition_point(|&f| f <= number).max(1) - 1;
        (
            self.kernel.tiles[tile].name.clone(),
            number - self.first_slot[tile],
        )
    }

    /// A step, for messages.
    pub fn describe(&self, step: usize) -> Statement {
        let pipe = match &self.steps[step].action {
            Action::Instr { cost, .. } => Some(cost.pipe),
            Action::Set { src, .. } => Some(*src),
            Action::Wait { dst, .. } => Some(*dst),
            Action::Barrier(pipe) => Some(*pipe),
            Action::SetCross { pipe, .. } => Some(*pipe),
            Action::WaitCross { .. } => Some(Pipe::S),
            Action::Condition => None,
        };
        Statement {
            path: self.steps[step].path.clone(),
            text: self.text(step),
            pipe,
        }
    }

    fn text(&self, step: usize) -> String {
        match &self.steps[step].action {
            Action::Instr { instr, .. } => instr_text(self.kernel, instr),
            Action::Set { src, dst, event } => {
                format!("set {}->{} {}", src.name(), dst.name(), self.event(event))
            }
            Action::Wait { src, dst, event } => {
                format!("wait {}->{} {}", src.name(), dst.name(), self.event(event))
            }
            Action::Barrier(pipe) => format!("barrier {}", pipe.name()),
            Action::SetCross { pipe, flag } => format!("set_cross {} {flag}", pipe.name()),
            Action::WaitCross { flag } => format!("wait_cross {flag}"),
            Action::Condition => "if".into(),
        }
    }

    fn event(&self, event: &Event) -> String {
        match event.rotate {
            None => event.base.to_string(),
            Some((id, depth)) => {
                format!("{} + {} % {depth}", event.base, self.kernel.loops[id])
            }
        }
    }
}

fn nodes<'a>(
    machine: &Machine,
    kernel: &'a Kernel,
    body: &'a [Stmt],
    prefix: &str,
    steps: &mut Vec<Step<'a>>,
) -> Vec<Node<'a>> {
    let mut out = Vec::with_capacity(body.len());
    for (i, stmt) in body.iter().enumerate() {
        let path = format!("{prefix}{i}");
        let action = match stmt {
            Stmt::Loop {
                id, trips, body, ..
            } => {
                out.push(Node::Loop {
                    id: *id,
                    trips: *trips,
                    body: nodes(machine, kernel, body, &format!("{path}."), steps),
                });
                continue;
            }
            Stmt::If {
                cond,
                then,
                otherwise,
            } => {
                let step = steps.len();
                steps.push(Step {
                    path: path.clone(),
                    action: Action::Condition,
                });
                out.push(Node::If {
                    step,
                    cond,
                    then: nodes(machine, kernel, then, &format!("{path}.then."), steps),
                    otherwise: nodes(machine, kernel, otherwise, &format!("{path}.else."), steps),
                });
                continue;
            }
            Stmt::Instr(instr) => Action::Instr {
                instr,
                cost: timing::cost(machine, kernel, instr),
                counted: instr.counted(),
            },
            Stmt::Set { src, dst, event } => Action::Set {
                src: *src,
                dst: *dst,
                event: *event,
            },
            Stmt::Wait { src, dst, event } => Action::Wait {
                src: *src,
                dst: *dst,
                event: *event,
            },
            Stmt::Barrier(pipe) => Action::Barrier(*pipe),
            Stmt::SetCross { pipe, flag } => Action::SetCross {
                pipe: *pipe,
                flag: *flag,
            },
            Stmt::WaitCross { flag } => Action::WaitCross { flag: *flag },
            // The verifier has none here.
            Stmt::Part { .. } => continue,
        };
        out.push(Node::Step(steps.len()));
        steps.push(Step { path, action });
    }
    out
}

fn instr_text(kernel: &Kernel, instr: &Instr) -> String {
    let tile = |r: &TileRef| kernel.tiles[r.tile].name.clone();
    let rect = |g: &GlobalRef| format!("{}[{} x {}]", g.tensor, g.rows, g.cols);
    match instr {
        Instr::Load { dst, src } => format!("load {} <- {}", tile(dst), rect(src)),
        Instr::Store { dst, src } => format!("store {} <- {}", rect(dst), tile(src)),
        Instr::Move { dst, src, from } => match from {
            (0, 0) => format!("move {} <- {}", tile(dst), tile(src)),
            (row, col) => format!("move {} <- {} from [{row}, {col}]", tile(dst), tile(src)),
        },
        Instr::Matmul {
            dst,
            lhs,
            rhs,
            accumulate,
        } => format!(
            "{} {} <- {}, {}",
            if *accumulate { "matmul_acc" } else { "matmul" },
            tile(dst),
            tile(lhs),
            tile(rhs)
        ),
        Instr::Vector { op, dst, srcs, tmp } => {
            let mut text = format!("{} {}", op_name(op), tile(dst));
            for (i, src) in srcs.iter().enumerate() {
                text.push_str(if i == 0 { " <- " } else { ", " });
                text.push_str(&tile(src));
            }
            if let Some(tmp) = tmp {
                text.push_str(&format!(" (tmp {})", tile(tmp)));
            }
            text
        }
        Instr::ReadScalar { dst, src } => format!("read_scalar r{dst} <- {}", rect(src)),
        other => kernel.text_of(other),
    }
}

/// The name of a vector instruction in messages.
fn op_name(op: &VectorOp) -> String {
    match op {
        VectorOp::Cvt(round) => format!("cvt {}", round.name()),
        VectorOp::Unary(f) => f.name().into(),
        VectorOp::Scalar(f, value) => format!("{}s {value:?}", f.name()),
        VectorOp::Binary(f) => f.name().into(),
        VectorOp::RowExpand(f) => format!("row_expand_{}", f.name()),
        VectorOp::ColExpand(f) => format!("col_expand_{}", f.name()),
        VectorOp::Halves(f) => format!("halves_{}", f.name()),
        VectorOp::RowReduce(f) => format!("row_{}", f.name()),
        VectorOp::Fill(value) => format!("fill {value:?}"),
        VectorOp::Copy => "copy".into(),
        VectorOp::Iota => "iota".into(),
        VectorOp::Sort32 => "sort32".into(),
        VectorOp::MergeSort { run } => format!("merge_sort {run}"),
        VectorOp::PairIndices => "pair_indices".into(),
        VectorOp::Gather => "gather".into(),
    }
}
