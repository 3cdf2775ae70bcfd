//! Kernels that move data between ranks: their programs become scalar instructions around copies, a statement after the other.
//!
//! What is chosen is how many blocks share the work, and whether integers move by line. By line, what the scalar unit reads of
//! memory comes into an array at once, and what it writes goes out of one: each line of its data cache crosses global memory once.
//! Otherwise each element does for itself.

mod copy;
mod emit;
mod integer;
mod share;

use crate::hash::{HashMap, HashSet};
use crate::term::blocks::{Blocks, Who};
use crate::term::exchange::Exchange;
use crate::term::plan::KernelPlan;
use emit::Around;
use indexmap::IndexMap;
use share::Parts;
use tilewright_ir::kernel::{
    ArrayId, Cond, Expr, GridAxis, Instr, Kernel, NotifyOp, RegId, Stmt, TileId, Var, VectorOp,
};
use tilewright_ir::machine::Machine;
use tilewright_ir::op::exchange::{
    Compare, Failure, Id, Program, Share, Step, StepKind, Test, visit,
};

/// Bytes of a view that come beside the scalar unit at a time where not all of it has room.
const STREAMED: usize = 1 << 10;

/// How the work of an exchange is done.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Shared {
    pub blocks: usize,
    /// Whether integers move by whole lines of the scalar unit's cache.
    pub by_line: bool,
}

pub(super) fn lower(
    plan: &KernelPlan,
    exchange: &Exchange,
    Shared { blocks, by_line }: Shared,
    scalars: &IndexMap<String, i64>,
    machine: &Machine,
    mut kernel: Kernel,
) -> Kernel {
    kernel.launch.grid = match blocks {
        1 => vec![],
        count => vec![GridAxis {
            name: "blocks".into(),
            count,
        }],
    };
    let program = &*exchange.program;
    let stored = exchange.results.iter();
    let mut lower = Lower {
        exchange,
        program,
        who: Blocks::of(program),
        scalars,
        machine,
        kernel,
        blocks,
        by_line,
        stored: stored
            .map(|name| plan.roots.iter().any(|r| r.tensor == *name))
            .collect(),
        body: vec![],
        integers: vec![Expr::default(); program.variables.len()],
        changing: HashSet::default(),
        arrays: HashMap::default(),
        held: HashMap::default(),
        tiles: HashMap::default(),
        statuses: HashMap::default(),
        parts: HashMap::default(),
        turn: None,
        around: vec![],
    };
    lower.part_arrays();
    lower.clear_spilled();
    lower.turns();
    lower.steps(&program.body);
    let Lower {
        mut kernel, body, ..
    } = lower;
    kernel.body = body;
    kernel.params.insert(plan.names.rows.clone(), blocks);
    kernel
}

/// What `read` has brought into an array: the first row that it has.
struct Held {
    array: ArrayId,
    first: Expr,
}

struct Lower<'a> {
    exchange: &'a Exchange,
    program: &'a Program,
    who: Blocks,
    scalars: &'a IndexMap<String, i64>,
    machine: &'a Machine,
    kernel: Kernel,
    blocks: usize,
    by_line: bool,
    /// Which results anybody wants.
    stored: Vec<bool>,
    body: Vec<Stmt>,
    /// By variable.
    integers: Vec<Expr>,
    /// Registers of variables that change.
    changing: HashSet<RegId>,
    /// By array, view and tile of the program.
    arrays: HashMap<Id, ArrayId>,
    held: HashMap<Id, Held>,
    tiles: HashMap<Id, TileId>,
    /// By result, the array that its status is made in.
    statuses: HashMap<Id, ArrayId>,
    /// By array of the program of which a block keeps its part only.
    parts: HashMap<Id, Parts>,
    /// Which of a window's two instances this run uses.
    turn: Option<RegId>,
    around: Vec<Around>,
}

impl<'a> Lower<'a> {
    /// Statements that are in no shared loop: each block does what it is to do.
    fn steps(&mut self, steps: &'a [Step]) {
        let mut at = 0;
        while let Some(step) = steps.get(at) {
            let alone = self.blocks > 1 && !self.within_shared() && self.by_first(step);
            if !alone {
                self.step(step);
                at += 1;
                continue;
            }
            // What the first block does alone it does at once; a notification waits for all of it.
            let notify = tells(step);
            let count = steps[at..]
                .iter()
                .take_while(|s| self.by_first(s) && tells(s) == notify)
                .count();
            self.first_block(|l| l.all(&steps[at..at + count]));
            at += count;
        }
    }

    /// Statements that whoever comes here does.
    fn all(&mut self, steps: &'a [Step]) {
        steps.iter().for_each(|s| self.step(s));
    }

    fn by_first(&self, step: &Step) -> bool {
        self.who.who(step) == Who::First
    }

    fn within_shared(&self) -> bool {
        self.around.iter().any(|a| a.alone)
    }

    fn step(&mut self, step: &'a Step) {
        match &step.kind {
            StepKind::Set {
                variable, value, ..
            } => self.set_variable(*variable, value),
            StepKind::SetElement {
                array,
                index,
                value,
            } => {
                let (index, value) = (self.int(index), self.int(value));
                self.set_element(*array, index, value);
            }
            StepKind::Read { view } => self.hold(*view),
            StepKind::Tile { .. } => {}
            StepKind::Loop {
                variable,
                first,
                trips,
                share,
                body,
            } => self.program_loop(*variable, (*first, *trips), *share, body),
            StepKind::If {
                test,
                then,
                otherwise,
            } => self.condition(test, then, otherwise),
            StepKind::Copy { from, to, first } => {
                self.copy(step.line, from, to, first.as_ref());
            }
            StepKind::Fill { tile, value } => {
                let dst = self.tile_of(*tile);
                self.vector(VectorOp::Fill(*value), dst, vec![]);
            }
            StepKind::Add { from, to } => {
                let (dst, src) = (self.tile_of(*to), self.tile_of(*from));
                let op = VectorOp::Binary(tilewright_ir::graph::Binary::Add);
                self.vector(op, dst.clone(), vec![dst, src]);
            }
            // What one block would tell itself.
            StepKind::Notify { counter, .. } | StepKind::Wait { counter, .. }
                if self.blocks == 1 && self.who.within_rank(*counter) => {}
            StepKind::Notify { counter, index, on } => {
                let (index, on) = (self.int(index), self.int(on));
                let mut counter = self.counter(*counter, index);
                counter.peer = far(on);
                self.emit(Instr::Notify {
                    counter,
                    op: NotifyOp::Add,
                    value: Expr::constant(1),
                });
            }
            StepKind::Wait {
                counter,
                index,
                at_least,
            } => {
                let (index, at_least) = (self.int(index), self.int(at_least));
                // As many blocks of every rank tell of what one did.
                let times = match self.who.all_notify(*counter) {
                    true => self.blocks as i64,
                    false => 1,
                };
                let counter = self.counter(*counter, index);
                self.emit(Instr::WaitCounter {
                    counter,
                    at_least: emit::scaled(&at_least, times),
                });
            }
            StepKind::Fail { failure, values } => {
                let values: Vec<Expr> = values.iter().map(|v| self.int(v)).collect();
                self.fail(*failure, values);
            }
        }
        if self.around.is_empty() {
            self.tell(step);
        }
    }

    fn set_variable(&mut self, variable: Id, value: &'a tilewright_ir::op::exchange::Int) {
        let value = self.int(value);
        if !self.program.variables[variable].changes {
            self.integers[variable] = self.steady(value);
            return;
        }
        let register = match self.integers[variable].terms[..] {
            [(Var::Reg(r), 1)] if self.changing.contains(&r) => r,
            _ => {
                let r = self.register();
                self.changing.insert(r);
                self.integers[variable] = Expr::var(Var::Reg(r), 1);
                r
            }
        };
        self.set(register, value);
    }

    /// A value that stays when variables change.
    fn steady(&mut self, value: Expr) -> Expr {
        let changes = |(v, _): &(Var, i64)| matches!(v, Var::Reg(r) if self.changing.contains(r));
        if !value.terms.iter().any(changes) {
            return value;
        }
        self.kept(value)
    }

    /// The tiles that a loop declares have a slot a trip.
    fn depth(&self, variable: Id, trips: usize) -> usize {
        let declares = self.program.tiles.iter().any(|t| t.home == Some(variable));
        if declares && trips > 1 { 2 } else { 1 }
    }

    fn program_loop(
        &mut self,
        variable: Id,
        (first, trips): (i64, usize),
        share: Option<Share>,
        body: &'a [Step],
    ) {
        let streamed = match share {
            None if first == 0 => self.streamed(variable, body),
            _ => vec![],
        };
        if !streamed.is_empty() {
            return self.stream(variable, trips, &streamed, body);
        }
        let blocks = if share.is_some() { self.blocks } else { 1 };
        let part = trips.div_ceil(blocks);
        let even = trips.is_multiple_of(blocks);
        let start = match blocks {
            1 => Expr::default(),
            _ => Expr::var(Var::Grid(0), part as i64),
        };
        let name = self.program.variables[variable].name.clone();
        let depth = self.depth(variable, part);
        self.each(&name, part, depth, |l, trip, id| {
            let mut index = emit::add(&start, &trip);
            let run = |l: &mut Self, index: Expr| {
                let around = Around {
                    variable,
                    id,
                    index,
                    own: trip,
                    trips,
                    alone: share.is_some(),
                };
                l.trip(around, first, body);
            };
            if even {
                return run(l, index);
            }
            // The last blocks have fewer trips, or none.
            let exists = emit::minus(&Expr::constant(trips as i64), &index);
            l.when(Cond::Positive(exists), |l| {
                // That it is below the extent the condition says, which a verifier of indices does not know.
                index = l.kept(index);
                run(l, index);
            });
        });
    }

    fn trip(&mut self, around: Around, first: i64, body: &'a [Step]) {
        self.integers[around.variable] = around.index.clone().plus_constant(first);
        self.around.push(around);
        self.steps(body);
        self.around.pop();
    }

    /// A loop whose trips read rows of views that do not lie beside the scalar unit: they come some rows at a time.
    fn stream(&mut self, variable: Id, trips: usize, views: &[Id], body: &'a [Step]) {
        let widest = views.iter().map(|v| self.program.views[*v].of.cols).max();
        let most = STREAMED / (4 * widest.unwrap_or(1));
        let rows = (1..=most).rev().find(|n| trips.is_multiple_of(*n));
        let rows = rows.unwrap_or(1);
        let name = self.program.variables[variable].name.clone();
        let depth = self.depth(variable, rows);
        self.each(&format!("{name}_rows"), trips / rows, 1, |l, outer, _| {
            let start = emit::scaled(&outer, rows as i64);
            for view in views {
                l.bring(*view, start.clone(), rows);
            }
            l.each(&name, rows, depth, |l, trip, id| {
                let around = Around {
                    variable,
                    id,
                    index: emit::add(&start, &trip),
                    own: trip,
                    trips,
                    alone: false,
                };
                l.trip(around, 0, body);
            });
        });
        for view in views {
            self.held.remove(view);
        }
    }

    fn condition(&mut self, test: &'a Test, then: &'a [Step], otherwise: &'a [Step]) {
        let (left, right) = (self.int(&test.left), self.int(&test.right));
        let (cond, swap) = match test.op {
            Compare::Greater => (Cond::Positive(emit::minus(&left, &right)), false),
            Compare::GreaterEqual => {
                let more = emit::minus(&left, &right).plus_constant(1);
                (Cond::Positive(more), false)
            }
            Compare::Less => (Cond::Positive(emit::minus(&right, &left)), false),
            Compare::LessEqual => {
                let more = emit::minus(&right, &left).plus_constant(1);
                (Cond::Positive(more), false)
            }
            Compare::Equal => (Cond::Zero(emit::minus(&left, &right)), false),
            Compare::NotEqual => (Cond::Zero(emit::minus(&left, &right)), true),
        };
        let (then, otherwise) = match swap {
            true => (otherwise, then),
            false => (then, otherwise),
        };
        self.branch(cond, |l| l.steps(then), |l| l.steps(otherwise));
    }

    /// Keeps what a failure tells in an array.
    fn fail(&mut self, failure: Id, values: Vec<Expr>) {
        let status = self.program.failures[failure].status;
        if !self.stored[status] {
            return;
        }
        let others = |f: &&Failure| f.status == status;
        let several = self.program.failures.iter().filter(others).count() > 1;
        let words = self.program.results[status].cols;
        let array = self.status_array(status);
        let code = Expr::constant(failure as i64 + 1);
        let mut told: Vec<Expr> = std::iter::once(code).chain(values).collect();
        if several {
            told.resize(words, Expr::default());
        }
        for (place, value) in told.into_iter().enumerate() {
            self.emit(Instr::ArraySet {
                array,
                index: Expr::constant(place as i64),
                value,
            });
        }
    }

    fn status_array(&mut self, status: Id) -> ArrayId {
        if let Some(array) = self.statuses.get(&status) {
            return *array;
        }
        let result = &self.program.results[status];
        let array = self.array(&format!("{}_words", result.name), result.cols);
        self.statuses.insert(status, array);
        array
    }

    /// Writes the statuses of which this was the last statement that could tell a failure.
    fn tell(&mut self, step: &'a Step) {
        let fails = |step: &Step| {
            let mut found = vec![];
            visit(std::slice::from_ref(step), &mut |s| {
                if let StepKind::Fail { failure, .. } = s.kind {
                    found.push(self.program.failures[failure].status);
                }
            });
            found
        };
        let mut done: Vec<Id> = fails(step);
        done.dedup();
        if done.is_empty() {
            return;
        }
        let here = |s: &&Step| !std::ptr::eq(*s, step);
        let later = self.program.body.iter().skip_while(here).skip(1);
        let later: Vec<Id> = later.flat_map(&fails).collect();
        for status in done {
            if !self.stored[status] || later.contains(&status) {
                continue;
            }
            let array = self.status_array(status);
            let (name, cols) = (
                self.exchange.results[status].clone(),
                self.program.results[status].cols,
            );
            let dst = emit::rows(&name, Expr::default(), 1, cols);
            self.first_block(|l| l.write_array(array, dst));
        }
    }
}

/// Another rank, where an integer may name one; none where it is this one, whose memory is no further than any other.
fn far(rank: Expr) -> Option<Expr> {
    (rank != Expr::var(Var::Rank, 1)).then_some(rank)
}

/// Whether a statement notifies.
fn tells(step: &Step) -> bool {
    let mut found = false;
    visit(std::slice::from_ref(step), &mut |s| {
        found |= matches!(s.kind, StepKind::Notify { .. });
    });
    found
}
