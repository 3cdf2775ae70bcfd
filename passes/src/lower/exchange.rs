//! Kernels that move data between ranks: scalar programs around copies.
//!
//! Operations come one after the other, each shared by all blocks. What a block must know of all rows (how many go to each lane) every
//! block counts for itself, so that blocks need nothing of each other but the counters.
//!
//! By line, what the scalar unit needs of a tensor comes into an array once, and what it makes goes out of one: each line of its
//! data cache crosses global memory once. Otherwise each element does for itself.

use super::ub_tile;
use crate::hash::HashMap;
use crate::term::exchange::{Exchange, Operand, Step};
use crate::term::plan::KernelPlan;
use indexmap::IndexMap;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{Comm, NotifyOp, STATUS_OVERFLOW};
use tilewright_ir::kernel::{
    self, ArrayId, Cond, Expr, GlobalRef, GridAxis, Instr, IntOp, Kernel, LoopId, RegId,
    ScalarArray, Stmt, TileId, TileRef, Var, VectorOp,
};
use tilewright_ir::machine::Machine;

/// Integers of a status.
const STATUS_WORDS: usize = 8;
/// Bytes of a tile that rows are copied through.
const COPY_BYTES: usize = 64 << 10;

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
    let mut lower = Lower {
        exchange,
        scalars,
        machine,
        kernel,
        blocks,
        by_line,
        body: vec![],
        arrays: HashMap::default(),
        held: HashMap::default(),
        writers: HashMap::default(),
        overflow: HashMap::default(),
    };
    let stored = |name: &str| plan.roots.iter().any(|r| r.tensor == name);
    for step in &exchange.steps {
        lower.step(step, stored(&step.result.name));
    }
    let Lower {
        mut kernel, body, ..
    } = lower;
    kernel.body = body;
    kernel.params.insert(plan.names.rows.clone(), blocks);
    kernel
}

struct Lower<'a> {
    exchange: &'a Exchange,
    machine: &'a Machine,
    scalars: &'a IndexMap<String, i64>,
    kernel: Kernel,
    blocks: usize,
    by_line: bool,
    body: Vec<Stmt>,
    /// Values that the scalar unit holds.
    arrays: HashMap<&'a str, ArrayId>,
    /// Tensors of which it has rows in an array: the first row, and the elements of a row.
    held: HashMap<String, (ArrayId, Expr, usize)>,
    /// How many blocks write a window's value, or notify a counter.
    writers: HashMap<&'a str, usize>,
    /// By counts of all ranks: the first lane that is sent too much, plus one.
    overflow: HashMap<&'a str, RegId>,
}

impl<'a> Lower<'a> {
    fn step(&mut self, step: &'a Step, stored: bool) {
        let o = &step.operands;
        let name = step.result.name.as_str();
        match step.op {
            // The wait and the notification are about these; the data are where they were written.
            Comm::Window { .. } => {}
            Comm::After => {
                let writers = o.iter().map(|o| self.writers(&o.name)).max();
                self.writers.insert(name, writers.unwrap_or(1));
            }
            Comm::ExpertHistogram { experts } => self.histogram(name, &o[0], &o[1], experts),
            Comm::Put { ranks } => self.put(name, &o[0], &o[1], ranks),
            Comm::RemoteStore { .. } => self.remote_store(name, &o[0], &o[1], &o[2]),
            Comm::Notify { op, ranks } => self.notify(name, &o[0], &o[1], op, ranks),
            Comm::Wait { times } => {
                let counter = self.window(&o[0]);
                let times = times * self.writers(&o[0].name);
                self.emit(Instr::WaitCounter {
                    counter: element(&counter, Expr::default(), Expr::default()),
                    at_least: Expr::var(Var::Epoch, times as i64),
                });
            }
            Comm::ReadRows { .. } if stored => self.stage_rows(&step.result, &o[0], &o[2]),
            Comm::ReadLanes if stored => self.stage_lanes(&step.result, &o[0], &o[2]),
            // The scalar unit reads it where it is.
            Comm::ReadWindow { .. } | Comm::ReadRows { .. } | Comm::ReadLanes => {}
            Comm::LaneCounts { ranks, capacity } => {
                self.lane_counts(name, &o[0], ranks, capacity);
                if stored {
                    self.store_array(name, step.result.rows, true);
                }
            }
            Comm::RouteTargets { ranks, capacity } => {
                self.targets(step, ranks, capacity);
            }
            Comm::LaneStatus { ranks, capacity } => {
                let first = self.overflow(&o[0], ranks, capacity);
                if stored {
                    self.status(name, &o[0], ranks, capacity, first);
                }
            }
            // What they are is computed where it is used.
            Comm::ReturnTargets | Comm::LaneTargets => {}
        }
    }

    /// Counts the first `count` rows' elements by expert.
    fn histogram(&mut self, name: &'a str, indices: &Operand, count: &Operand, experts: usize) {
        let counts = self.array(name, name, experts);
        self.hold(indices, Expr::default(), indices.rows);
        let active = self.scalar(count);
        self.each_active(indices, &active, |l, t, k| {
            let expert = l.read(&indices.name, t, k);
            let before = l.get(counts, Expr::var(Var::Reg(expert), 1));
            l.emit(Instr::ArraySet {
                array: counts,
                index: Expr::var(Var::Reg(expert), 1),
                value: Expr::var(Var::Reg(before), 1).plus_constant(1),
            });
        });
    }

    /// Writes an operand into the own piece of every rank's window: the first block does, for it is little.
    fn put(&mut self, name: &'a str, window: &Operand, x: &Operand, ranks: usize) {
        let target = self.window(window);
        if let Some(array) = self.arrays.get(x.name.as_str()).copied() {
            // The copy unit reads global memory only.
            self.first_block(|l| {
                l.write_array(&x.name, array, x.cols, false);
                l.copy_to_all(&target, x, ranks);
            });
        } else {
            self.first_block(|l| l.copy_to_all(&target, x, ranks));
        }
        self.writers.insert(name, 1);
    }

    fn copy_to_all(&mut self, window: &Operand, x: &Operand, ranks: usize) {
        let tile = self.tile(&format!("{}_row", x.name), x.dtype, x.rows, x.cols, 1);
        self.emit(Instr::Load {
            dst: TileRef::new(tile),
            src: rows(&x.name, Expr::default(), x.rows, x.cols),
        });
        self.each("peer", ranks, 1, |l, peer, _| {
            l.emit(Instr::Store {
                dst: GlobalRef {
                    peer: Some(peer),
                    ..rows(
                        &window.name,
                        Expr::var(Var::Rank, x.rows as i64),
                        x.rows,
                        x.cols,
                    )
                },
                src: TileRef::new(tile),
            });
        });
    }

    /// Adds up what this rank's lanes receive.
    fn lane_counts(&mut self, name: &'a str, all: &'a Operand, ranks: usize, capacity: usize) {
        let first = self.overflow(all, ranks, capacity);
        let lanes = all.cols / ranks;
        let window = self.window(all);
        let counts = self.array(name, name, lanes);
        self.when(Cond::Zero(Expr::var(Var::Reg(first), 1)), |l| {
            l.each("lane", lanes, 1, |l, lane, _| {
                let sum = l.register();
                l.set(sum, Expr::default());
                l.each("source", ranks, 1, |l, source, _| {
                    let column = add(&lane, &Expr::var(Var::Rank, lanes as i64));
                    let sent = l.read(&window.name, &source, &column);
                    l.set(sum, Expr::var(Var::Reg(sum), 1).plus(Var::Reg(sent), 1));
                });
                l.emit(Instr::ArraySet {
                    array: counts,
                    index: lane.clone(),
                    value: Expr::var(Var::Reg(sum), 1),
                });
            });
        });
    }

    /// A register with the first expert whose lane is sent more than `capacity` rows, plus one; 0 when there is none.
    fn overflow(&mut self, all: &'a Operand, ranks: usize, capacity: usize) -> RegId {
        if let Some(first) = self.overflow.get(all.name.as_str()) {
            return *first;
        }
        let window = self.window(all);
        self.hold(&window, Expr::default(), window.rows);
        let first = self.register();
        self.overflow.insert(&all.name, first);
        self.set(first, Expr::default());
        self.each("expert", all.cols, 1, |l, expert, _| {
            let total = l.total(&window, &expert, ranks);
            let over = Expr::var(Var::Reg(total), 1).plus_constant(-(capacity as i64));
            l.when(Cond::Positive(over), |l| {
                l.when(Cond::Zero(Expr::var(Var::Reg(first), 1)), |l| {
                    l.set(first, expert.clone().plus_constant(1));
                });
            });
        });
        first
    }

    /// A register with the rows that all ranks send to an expert.
    fn total(&mut self, window: &Operand, expert: &Expr, ranks: usize) -> RegId {
        let total = self.register();
        self.set(total, Expr::default());
        self.each("source", ranks, 1, |l, source, _| {
            let sent = l.read(&window.name, &source, expert);
            l.set(total, Expr::var(Var::Reg(total), 1).plus(Var::Reg(sent), 1));
        });
        total
    }

    fn status(&mut self, name: &str, all: &Operand, ranks: usize, capacity: usize, first: RegId) {
        let window = self.window(all);
        let lanes = (all.cols / ranks) as i64;
        let words = (self.by_line).then(|| self.array("", &format!("{name}_words"), STATUS_WORDS));
        self.first_block(|l| {
            let put = |l: &mut Self, place: i64, value: Expr| {
                l.emit(match words {
                    Some(array) => Instr::ArraySet {
                        array,
                        index: Expr::constant(place),
                        value,
                    },
                    None => Instr::WriteScalar {
                        dst: element_of(name, Expr::default(), Expr::constant(place)),
                        value,
                    },
                });
            };
            l.branch(
                Cond::Zero(Expr::var(Var::Reg(first), 1)),
                |l| (0..STATUS_WORDS as i64).for_each(|place| put(l, place, Expr::default())),
                |l| {
                    let expert = Expr::var(Var::Reg(first), 1).plus_constant(-1);
                    let total = l.total(&window, &expert, ranks);
                    let rank = l.compute(IntOp::Div, expert.clone(), Expr::constant(lanes));
                    let lane = l.compute(IntOp::Rem, expert, Expr::constant(lanes));
                    put(l, 0, Expr::constant(i64::from(STATUS_OVERFLOW)));
                    for (place, reg) in [(1, rank), (2, lane), (3, total)] {
                        put(l, place, Expr::var(Var::Reg(reg), 1));
                    }
                    put(l, 4, Expr::constant(capacity as i64));
                    (5..STATUS_WORDS as i64).for_each(|place| put(l, place, Expr::default()));
                },
            );
            if let Some(array) = words {
                let dst = rows(name, Expr::default(), 1, STATUS_WORDS);
                l.emit(Instr::WriteArray { dst, array });
            }
        });
    }

    /// The target of each active element; -1 for the others and when a lane overflows.
    fn targets(&mut self, step: &'a Step, ranks: usize, capacity: usize) {
        let [indices, all, _, count] = &step.operands[..] else {
            return;
        };
        let first = self.overflow(all, ranks, capacity);
        let window = self.window(all);
        let name = step.result.name.as_str();
        let pairs = indices.rows * indices.cols;
        self.hold(indices, Expr::default(), indices.rows);
        let targets = self.array(name, name, pairs);
        let next = self.array("", "next", all.cols);
        self.each("pair", pairs, 1, |l, pair, _| {
            l.emit(Instr::ArraySet {
                array: targets,
                index: pair,
                value: Expr::constant(-1),
            });
        });
        let active = self.scalar(count);
        self.when(Cond::Zero(Expr::var(Var::Reg(first), 1)), |l| {
            // What lower ranks send to a lane comes before this rank's rows.
            l.each("expert", all.cols, 1, |l, expert, _| {
                let place = l.register();
                l.set(place, Expr::default());
                l.each("source", ranks, 1, |l, source, _| {
                    let earlier = minus(&Expr::var(Var::Rank, 1), &source);
                    l.when(Cond::Positive(earlier), |l| {
                        let sent = l.read(&window.name, &source, &expert);
                        l.set(place, Expr::var(Var::Reg(place), 1).plus(Var::Reg(sent), 1));
                    });
                });
                l.emit(Instr::ArraySet {
                    array: next,
                    index: expert.clone(),
                    value: Expr::var(Var::Reg(place), 1),
                });
            });
            l.each_active(indices, &active, |l, t, k| {
                let expert = l.read(&indices.name, t, k);
                let expert = Expr::var(Var::Reg(expert), 1);
                let place = l.get(next, expert.clone());
                l.emit(Instr::ArraySet {
                    array: next,
                    index: expert.clone(),
                    value: Expr::var(Var::Reg(place), 1).plus_constant(1),
                });
                let row = scaled(&expert, capacity as i64).plus(Var::Reg(place), 1);
                l.emit(Instr::ArraySet {
                    array: targets,
                    index: add(&scaled(t, indices.cols as i64), k),
                    value: row,
                });
            });
        });
    }

    /// Sends rows, or single elements, to their targets.
    fn remote_store(&mut self, name: &'a str, window: &Operand, x: &'a Operand, to: &'a Operand) {
        self.writers.insert(name, self.blocks);
        let window = self.window(window);
        let exchange = self.exchange;
        match exchange.step(&to.name) {
            Some(Step {
                op: Comm::LaneTargets,
                operands,
                ..
            }) => self.send_lanes(&window, x, &operands[0], &operands[1]),
            _ => self.send_rows(&window, x, to),
        }
    }

    /// Row t goes to each of its targets, which an array holds.
    fn send_rows(&mut self, window: &Operand, x: &'a Operand, to: &'a Operand) {
        let Some(targets) = self.arrays.get(to.name.as_str()).copied() else {
            return;
        };
        let computed = self.exchange.step(&x.name).map(|s| &s.op) == Some(&Comm::ReturnTargets);
        let elements = window.cols == 1 && (x.rows, x.cols) == (to.rows, to.cols);
        let share = to.rows / self.blocks;
        let depth = if share > 1 { 2 } else { 1 };
        let tile = format!("{}_row", x.name);
        let tile = self.tile(&tile, x.dtype, 1, window.cols, depth);
        let first = self.block(share);
        self.each("token", share, depth, |l, token, id| {
            let t = add(&first, &token);
            let at = TileRef {
                tile,
                slot: id.filter(|_| depth > 1),
                rows: None,
            };
            let load = |l: &mut Self, row: Expr, col: Expr| {
                l.emit(Instr::Load {
                    dst: at.clone(),
                    src: GlobalRef {
                        col,
                        ..rows(&x.name, row, 1, window.cols)
                    },
                });
            };
            if !elements {
                load(l, t.clone(), Expr::default());
            }
            l.each("choice", to.cols, 1, |l, k, _| {
                let pair = add(&scaled(&t, to.cols as i64), &k);
                let target = l.get(targets, pair.clone());
                let target = Expr::var(Var::Reg(target), 1);
                l.when(Cond::Positive(target.clone().plus_constant(1)), |l| {
                    let (peer, row) = l.place(target, window.rows);
                    if computed {
                        // `rank * T * K + t * K + k`, through a line of memory of its own.
                        let own = Expr::var(Var::Rank, (to.rows * to.cols) as i64);
                        l.emit(Instr::WriteScalar {
                            dst: element_of(&x.name, pair.clone(), Expr::default()),
                            value: add(&own, &pair),
                        });
                        load(l, pair.clone(), Expr::default());
                    } else if elements {
                        load(l, t.clone(), k.clone());
                    }
                    l.emit(Instr::Store {
                        dst: GlobalRef {
                            peer: Some(peer),
                            ..rows(&window.name, row, 1, window.cols)
                        },
                        src: at.clone(),
                    });
                });
            });
        });
    }

    /// The rows of this rank's lanes go where their route says.
    fn send_lanes(&mut self, window: &Operand, x: &Operand, route: &Operand, counts: &Operand) {
        let lanes = counts.rows;
        let capacity = x.rows / lanes;
        let share = lanes / self.blocks;
        let depth = if capacity > 1 { 2 } else { 1 };
        let tile = self.tile(&format!("{}_row", x.name), x.dtype, 1, window.cols, depth);
        let first = self.block(share);
        // Of the routes only those of rows that exist were written, so they are read one by one.
        self.hold(counts, first.clone(), share);
        self.each("lane", share, 1, |l, lane, _| {
            let lane = add(&first, &lane);
            let count = l.read(&counts.name, &lane, &Expr::default());
            l.each("row", capacity, depth, |l, row, id| {
                let exists = minus(&Expr::var(Var::Reg(count), 1), &row);
                l.when(Cond::Positive(exists), |l| {
                    let row = add(&scaled(&lane, capacity as i64), &row);
                    let target = l.read(&route.name, &row, &Expr::default());
                    let (peer, to) = l.place(Expr::var(Var::Reg(target), 1), window.rows);
                    let at = TileRef {
                        tile,
                        slot: id.filter(|_| depth > 1),
                        rows: None,
                    };
                    l.emit(Instr::Load {
                        dst: at.clone(),
                        src: rows(&x.name, row, 1, window.cols),
                    });
                    l.emit(Instr::Store {
                        dst: GlobalRef {
                            peer: Some(peer),
                            ..rows(&window.name, to, 1, window.cols)
                        },
                        src: at,
                    });
                });
            });
        });
    }

    /// Copies what arrived out of a window, so that the window is free again, and zeros for what did not: blocks take rows.
    fn stage_rows(&mut self, result: &'a Operand, window: &Operand, count: &Operand) {
        let window = self.window(window);
        let active = self.scalar(count);
        // A row of the result is some rows of the window.
        let count = result.rows;
        let (pieces, share) = (window.rows / count, count.div_ceil(self.blocks));
        let depth = if pieces > 1 { 2 } else { 1 };
        let tile = self.tile(&result.name, result.dtype, 1, window.cols, depth);
        let first = self.block(share);
        let piece = |row: &Expr, k: &Expr| GlobalRef {
            col: scaled(k, window.cols as i64),
            ..rows(&result.name, row.clone(), 1, window.cols)
        };
        let copy = |l: &mut Self, row: Expr| {
            l.branch(
                Cond::Positive(minus(&active, &row)),
                |l| {
                    l.each("choice", pieces, depth, |l, k, id| {
                        let from = add(&scaled(&row, pieces as i64), &k);
                        let at = TileRef {
                            tile,
                            slot: id.filter(|_| depth > 1),
                            rows: None,
                        };
                        l.emit(Instr::Load {
                            dst: at.clone(),
                            src: rows(&window.name, from, 1, window.cols),
                        });
                        let dst = piece(&row, &k);
                        l.emit(Instr::Store { dst, src: at });
                    });
                },
                |l| {
                    l.emit(Instr::Vector {
                        op: VectorOp::Fill(0.0),
                        dst: TileRef::new(tile),
                        srcs: vec![],
                        tmp: None,
                    });
                    l.each("choice", pieces, 1, |l, k, _| {
                        let dst = piece(&row, &k);
                        let src = TileRef::new(tile);
                        l.emit(Instr::Store { dst, src });
                    });
                },
            );
        };
        let even = count.is_multiple_of(self.blocks);
        self.each("token", share, 1, |l, token, _| {
            let row = add(&first, &token);
            if even {
                return copy(l, row);
            }
            // The last blocks have fewer rows, or none.
            let exists = minus(&Expr::constant(count as i64), &row);
            l.when(Cond::Positive(exists), |l| {
                let row = l.compute(IntOp::Min, row, Expr::constant(count as i64 - 1));
                copy(l, Expr::var(Var::Reg(row), 1));
            });
        });
    }

    /// Copies the rows that exist out of a window: blocks take lanes.
    fn stage_lanes(&mut self, result: &'a Operand, window: &Operand, counts: &'a Operand) {
        let window = self.window(window);
        let Some(array) = self.arrays.get(counts.name.as_str()).copied() else {
            return;
        };
        let capacity = window.rows / counts.rows;
        let step = copy_rows(capacity, &window);
        let share = counts.rows / self.blocks;
        let first = self.block(share);
        let tile = self.tile(&result.name, result.dtype, step, window.cols, 1);
        self.each("lane", share, 1, |l, lane, _| {
            let lane = add(&first, &lane);
            let count = l.get(array, lane.clone());
            l.each("piece", capacity / step, 1, |l, piece, _| {
                let from = scaled(&piece, step as i64);
                let left = minus(&Expr::var(Var::Reg(count), 1), &from);
                l.when(Cond::Positive(left.clone()), |l| {
                    let row = add(&scaled(&lane, capacity as i64), &from);
                    let to = rows(&result.name, row.clone(), step, window.cols);
                    l.copy(
                        tile,
                        rows(&window.name, row, step, window.cols),
                        to,
                        Some(left),
                    );
                });
            });
        });
    }

    /// Of the rectangle, the first `valid` rows.
    fn copy(&mut self, tile: TileId, src: GlobalRef, dst: GlobalRef, valid: Option<Expr>) {
        let at = TileRef {
            tile,
            slot: None,
            rows: valid.filter(|_| src.rows > 1),
        };
        self.emit(Instr::Load {
            dst: at.clone(),
            src,
        });
        self.emit(Instr::Store { dst, src: at });
    }

    fn notify(
        &mut self,
        name: &'a str,
        counter: &Operand,
        after: &Operand,
        op: NotifyOp,
        ranks: usize,
    ) {
        let counter = self.window(counter);
        let writers = self.writers(&after.name);
        self.writers.insert(name, writers);
        let tell = |l: &mut Self| {
            l.each("peer", ranks, 1, |l, peer, _| {
                l.emit(Instr::Notify {
                    counter: GlobalRef {
                        peer: Some(peer),
                        ..element(&counter, Expr::default(), Expr::default())
                    },
                    op: match op {
                        NotifyOp::Add => kernel::NotifyOp::Add,
                        NotifyOp::Set => kernel::NotifyOp::Set,
                    },
                    value: match op {
                        NotifyOp::Add => Expr::constant(1),
                        NotifyOp::Set => Expr::var(Var::Epoch, 1),
                    },
                });
            });
        };
        match writers {
            1 => self.first_block(tell),
            _ => tell(self),
        }
    }

    /// Writes an array to the tensor of its name: a column of it, or a row.
    fn store_array(&mut self, name: &'a str, len: usize, column: bool) {
        let array = self.arrays[name];
        self.first_block(|l| l.write_array(name, array, len, column));
    }

    fn write_array(&mut self, name: &str, array: ArrayId, len: usize, column: bool) {
        if self.by_line {
            let (high, wide) = if column { (len, 1) } else { (1, len) };
            let dst = rows(name, Expr::default(), high, wide);
            return self.emit(Instr::WriteArray { dst, array });
        }
        self.each("place", len, 1, |l, place, _| {
            let value = l.get(array, place.clone());
            let (row, col) = match column {
                true => (place, Expr::default()),
                false => (Expr::default(), place),
            };
            l.emit(Instr::WriteScalar {
                dst: element_of(name, row, col),
                value: Expr::var(Var::Reg(value), 1),
            });
        });
    }

    fn each_active(
        &mut self,
        indices: &Operand,
        active: &Expr,
        f: impl FnOnce(&mut Self, &Expr, &Expr),
    ) {
        self.each("token", indices.rows, 1, |l, t, _| {
            l.when(Cond::Positive(minus(active, &t)), |l| {
                l.each("choice", indices.cols, 1, |l, k, _| f(l, &t, &k));
            });
        });
    }

    /// Rank and row of a target.
    fn place(&mut self, target: Expr, window_rows: usize) -> (Expr, Expr) {
        let rows = Expr::constant(window_rows as i64);
        let peer = self.compute(IntOp::Div, target.clone(), rows.clone());
        let row = self.compute(IntOp::Rem, target, rows);
        (Expr::var(Var::Reg(peer), 1), Expr::var(Var::Reg(row), 1))
    }

    fn window(&self, value: &Operand) -> Operand {
        let found = self.exchange.window(&value.name);
        found.unwrap_or(value).clone()
    }

    fn writers(&self, value: &str) -> usize {
        self.writers.get(value).copied().unwrap_or(1)
    }

    fn scalar(&self, operand: &Operand) -> Expr {
        match self.scalars.get_index_of(operand.name.as_str()) {
            Some(i) => Expr::var(Var::Scalar(i), 1),
            None => Expr::default(),
        }
    }

    /// The block's number times a step.
    fn block(&self, step: usize) -> Expr {
        match self.blocks {
            1 => Expr::default(),
            _ => Expr::var(Var::Grid(0), step as i64),
        }
    }

    fn first_block(&mut self, f: impl FnOnce(&mut Self)) {
        match self.blocks {
            1 => f(self),
            _ => self.when(Cond::Zero(self.block(1)), f),
        }
    }

    fn emit(&mut self, instr: Instr) {
        self.body.push(Stmt::Instr(instr));
    }

    fn nested(&mut self, f: impl FnOnce(&mut Self)) -> Vec<Stmt> {
        let outer = std::mem::take(&mut self.body);
        f(self);
        std::mem::replace(&mut self.body, outer)
    }

    fn when(&mut self, cond: Cond, f: impl FnOnce(&mut Self)) {
        self.branch(cond, f, |_| {});
    }

    fn branch(
        &mut self,
        cond: Cond,
        then: impl FnOnce(&mut Self),
        otherwise: impl FnOnce(&mut Self),
    ) {
        let then = self.nested(then);
        let otherwise = self.nested(otherwise);
        self.body.push(Stmt::If {
            cond,
            then,
            otherwise,
        });
    }

    /// A loop, or its body where there is one trip.
    fn each(
        &mut self,
        name: &str,
        trips: usize,
        depth: usize,
        f: impl FnOnce(&mut Self, Expr, Option<LoopId>),
    ) {
        if trips == 1 {
            return f(self, Expr::default(), None);
        }
        self.kernel.loops.push(name.into());
        let id = self.kernel.loops.len() - 1;
        let body = self.nested(|l| f(l, Expr::var(Var::Loop(id), 1), Some(id)));
        self.kernel.pipeline = self.kernel.pipeline.max(depth);
        self.body.push(Stmt::Loop {
            id,
            trips,
            depth,
            body,
        });
    }

    fn register(&mut self) -> RegId {
        self.kernel.registers += 1;
        self.kernel.registers - 1
    }

    fn set(&mut self, dst: RegId, value: Expr) {
        self.emit(Instr::SetReg { dst, value });
    }

    fn compute(&mut self, op: IntOp, lhs: Expr, rhs: Expr) -> RegId {
        let dst = self.register();
        self.emit(Instr::Compute { dst, op, lhs, rhs });
        dst
    }

    fn get(&mut self, array: ArrayId, index: Expr) -> RegId {
        let dst = self.register();
        self.emit(Instr::ArrayGet { dst, array, index });
        dst
    }

    /// Brings rows of a tensor into an array, from which [`Lower::read`] then takes them; not within a loop or a condition.
    fn hold(&mut self, tensor: &Operand, first: Expr, count: usize) {
        let integers = matches!(tensor.dtype, DType::I32 | DType::U32);
        let len = count * tensor.cols;
        let bytes: usize = self.kernel.arrays.iter().map(|a| a.len * 4).sum();
        if !self.by_line
            || !integers
            || self.held.contains_key(&tensor.name)
            // The rest of the arrays is for what the kernel computes.
            || bytes + len * 4 > self.machine.limits.scalar_arrays.count() / 2
        {
            return;
        }
        let array = self.array("", &format!("{}_held", tensor.name), len);
        let src = rows(&tensor.name, first.clone(), count, tensor.cols);
        self.emit(Instr::ReadArray { array, src });
        self.held
            .insert(tensor.name.clone(), (array, first, tensor.cols));
    }

    fn read(&mut self, tensor: &str, row: &Expr, col: &Expr) -> RegId {
        if let Some((array, first, cols)) = self.held.get(tensor) {
            let index = add(&scaled(&minus(row, first), *cols as i64), col);
            return self.get(*array, index);
        }
        let dst = self.register();
        let src = element_of(tensor, row.clone(), col.clone());
        self.emit(Instr::ReadScalar { dst, src });
        dst
    }

    fn array(&mut self, value: &'a str, name: &str, len: usize) -> ArrayId {
        self.kernel.arrays.push(ScalarArray {
            name: name.into(),
            len,
        });
        let id = self.kernel.arrays.len() - 1;
        if !value.is_empty() {
            self.arrays.insert(value, id);
        }
        id
    }

    fn tile(&mut self, name: &str, dtype: DType, rows: usize, cols: usize, slots: usize) -> TileId {
        let geometry = &self.machine.geometry;
        let mut tile = ub_tile(geometry, name.into(), dtype, rows, cols);
        tile.slots = slots;
        self.kernel.tiles.push(tile);
        self.kernel.tiles.len() - 1
    }
}

fn rows(tensor: &str, row: Expr, rows: usize, cols: usize) -> GlobalRef {
    GlobalRef {
        tensor: tensor.into(),
        row,
        col: Expr::default(),
        rows,
        cols,
        peer: None,
        step: 1,
    }
}

fn element(window: &Operand, row: Expr, col: Expr) -> GlobalRef {
    element_of(&window.name, row, col)
}

fn element_of(tensor: &str, row: Expr, col: Expr) -> GlobalRef {
    GlobalRef {
        col,
        ..rows(tensor, row, 1, 1)
    }
}

fn add(a: &Expr, b: &Expr) -> Expr {
    let sum = a.clone().plus_constant(b.base);
    b.terms.iter().fold(sum, |e, (v, k)| e.plus(*v, *k))
}

fn minus(a: &Expr, b: &Expr) -> Expr {
    a.clone().minus(b)
}

fn scaled(e: &Expr, by: i64) -> Expr {
    Expr {
        base: e.base * by,
        terms: e.terms.iter().map(|(v, k)| (*v, k * by)).collect(),
    }
}

/// Rows of a window that are copied at once.
fn copy_rows(rows: usize, window: &Operand) -> usize {
    let bytes = window.cols * window.dtype.bytes();
    divisor(rows, (COPY_BYTES / bytes.max(1)).max(1))
}

/// The largest divisor of `n` up to `limit`.
fn divisor(n: usize, limit: usize) -> usize {
    (1..=limit.min(n))
        .rev()
        .find(|d| n.is_multiple_of(*d))
        .unwrap_or(1)
}
