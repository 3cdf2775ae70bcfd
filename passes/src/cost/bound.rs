//! The bound: what no schedule of some work can be faster than, from one launch, the bytes that must move and the products that must be
//! computed. It knows nothing of pipes, loops and blocks; that is the scoreboard's topic.

use super::expects::{Expects, Kinds};
use crate::hash::HashMap;
use indexmap::IndexMap;
use serde::Serialize;
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::kernel::{
    Access, Cond, GlobalTensor, Instr, Kernel, LoopId, Program, Role, Stmt, TileRef, Unit,
};
use tilewright_ir::machine::Machine;
use tilewright_ir::timing;

/// What no schedule of the same work on this machine can be faster than.
///
/// What starting one launch takes, and the largest of these times, of as many rows as are expected:
///
/// * bandwidth: bytes that must move, over what HBM has by its data sheet;
/// * load and store: bytes that must move one way, over the peak of a core's path times the cores of the kernel's unit;
/// * product: multiplications of products, at the rate of whole fractals on all cube cores.
///
/// The bytes that must move of a tensor, each way, are those that the kernel's blocks move in all, but at most the whole tensor, and
/// each part once: what is read twice must be read once. A value that a kernel stores and another loads must move here, so a fusion can beat
/// the sum of its kernels' bounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bound {
    pub us: f64,
    /// The longer of the launch and what follows it.
    pub by: Roof,
}

/// What bounds a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Roof {
    Launch,
    Bandwidth,
    Load,
    Store,
    Product,
}

impl Roof {
    /// The name in reports: `launch`.
    pub fn name(self) -> &'static str {
        match self {
            Roof::Launch => "launch",
            Roof::Bandwidth => "bandwidth",
            Roof::Load => "load",
            Roof::Store => "store",
            Roof::Product => "product",
        }
    }
}

/// The bound of a kernel of a program with these tensors.
pub fn bound(
    kernel: &Kernel,
    tensors: &IndexMap<String, GlobalTensor>,
    machine: &Machine,
) -> Bound {
    let needs = Needs::of(kernel, machine);
    let all = |_: &str| true;
    highest(
        Traffic {
            loaded: once(&needs.loads, tensors, all).values().sum(),
            stored: once(&needs.stores, tensors, all).values().sum(),
            product: needs.product,
        }
        .at_most(kernel, machine),
        // In a mixed kernel each byte goes one of two ways; a bound lets it have both.
        match kernel.unit {
            Unit::Cube => &[Unit::Cube],
            Unit::Vector => &[Unit::Vector],
            Unit::Mixed => &[Unit::Cube, Unit::Vector],
        },
        machine,
    )
}

/// What no schedule of the same layer can be faster than: inputs loaded once, outputs stored once, products computed, with
/// all cores of both units at work all the time. What kernels store for each other need not move, so this can be far below
/// the sum of their bounds. One launch is part of it.
pub fn layer_bound(program: &Program, machine: &Machine) -> Bound {
    let mut loads: IndexMap<String, f64> = IndexMap::new();
    let mut traffic = Traffic::default();
    let role = |name: &str| program.tensors.get(name).map(|t| t.role);
    for kernel in &program.kernels {
        let needs = Needs::of(kernel, machine);
        let input = |name: &str| role(name) == Some(Role::Input);
        for (name, bytes) in once(&needs.loads, &program.tensors, input) {
            // Two kernels may read the same part.
            let most = loads.entry(name).or_default();
            *most = most.max(bytes);
        }
        let output = |name: &str| role(name) == Some(Role::Output);
        let stored = once(&needs.stores, &program.tensors, output);
        traffic.stored += stored.values().sum::<f64>();
        traffic.product += needs.product;
    }
    traffic.loaded = loads.values().sum();
    highest(traffic, &[Unit::Cube, Unit::Vector], machine)
}

/// Bytes and cycles that some work needs at least.
#[derive(Default)]
struct Traffic {
    loaded: f64,
    stored: f64,
    /// Cycles of the cube at its peak.
    product: f64,
}

impl Traffic {
    /// With no more bytes than the kernel touches, each once.
    fn at_most(mut self, kernel: &Kernel, machine: &Machine) -> Self {
        let touched = timing::touched(machine, kernel);
        let of = |access: Access| -> f64 {
            let touched = touched.iter().filter(|t| t.access == access);
            touched.map(|t| t.bytes).sum()
        };
        self.loaded = self.loaded.min(of(Access::Read));
        self.stored = self.stored.min(of(Access::Write));
        self
    }
}

/// Bytes that blocks move of each tensor in all, but at most the whole of it.
fn once(
    moved: &IndexMap<&str, (f64, f64)>,
    tensors: &IndexMap<String, GlobalTensor>,
    counts: impl Fn(&str) -> bool,
) -> IndexMap<String, f64> {
    let moved = moved.iter().filter(|(name, _)| counts(name));
    moved
        .map(|(name, (elements, bytes))| {
            let whole = tensors.get(*name).map_or(f64::INFINITY, |t| {
                let (rows, cols) = t.matrix();
                (rows * cols) as f64
            });
            // Bytes an element, as the kernel moves them.
            let share = (whole / elements.max(1.0)).min(1.0);
            (name.to_string(), bytes * share)
        })
        .collect()
}

/// The highest roof over this traffic, with the cores of these units: cube, vector or both.
fn highest(traffic: Traffic, units: &[Unit], machine: &Machine) -> Bound {
    let Traffic {
        loaded,
        stored,
        product,
    } = traffic;
    // Bytes a microsecond: GB/s shared, GiB/s of a path.
    let shared = machine.gm_peak.value * 1e3;
    let path = |unit: &Unit| match unit {
        Unit::Cube => (
            machine.cube_cores.value,
            &machine.gm_to_l1,
            &machine.l0c_to_gm,
        ),
        Unit::Vector | Unit::Mixed => (
            machine.vector_cores.value,
            &machine.gm_to_ub,
            &machine.ub_to_gm,
        ),
    };
    let gib = (1u64 << 30) as f64 / 1e6;
    let paths = units.iter().map(path);
    let load: f64 = (paths.clone().map(|(n, load, _)| n * load.peak.value * gib)).sum();
    let store: f64 = paths.map(|(n, _, store)| n * store.peak.value * gib).sum();
    let roofs = [
        (Roof::Bandwidth, (loaded + stored) / shared),
        (Roof::Load, loaded / load),
        (Roof::Store, stored / store),
        (
            Roof::Product,
            product / machine.cube_cores.value / machine.clock_mhz.value,
        ),
    ];
    let mut highest = roofs[0];
    for roof in roofs {
        if roof.1 > highest.1 {
            highest = roof;
        }
    }
    let runtime = machine.runtime();
    let start = runtime
        .start(LaunchKind::Spmd)
        .min(runtime.start(LaunchKind::Parallel));
    Bound {
        us: start + highest.1,
        by: if start > highest.1 {
            Roof::Launch
        } else {
            highest.0
        },
    }
}

/// What all blocks of a kernel do, by tensor: elements and bytes, moved as often as they are.
#[derive(Default)]
struct Needs<'a> {
    loads: IndexMap<&'a str, (f64, f64)>,
    stores: IndexMap<&'a str, (f64, f64)>,
    /// Cycles of the cube at its peak.
    product: f64,
}

impl<'a> Needs<'a> {
    fn of(kernel: &'a Kernel, machine: &'a Machine) -> Self {
        let mut needs = Needs::default();
        let kinds = Kinds::of(kernel, usize::MAX);
        for (sample, blocks) in kinds.samples.iter().zip(&kinds.blocks) {
            let mut walk = Walk {
                kernel,
                machine,
                trips: HashMap::default(),
                counters: vec![0; kernel.loops.len()],
                expects: Expects::of(kernel, machine, *sample),
            };
            needs.count(&kernel.body, *blocks as f64, &mut walk);
        }
        needs
    }

    /// Counts a body that runs `times` times.
    fn count(&mut self, body: &'a [Stmt], times: f64, walk: &mut Walk<'a>) {
        for s in body {
            match s {
                Stmt::Loop {
                    id, trips, body, ..
                } if walk.expects.is_some() && asks(body) => {
                    walk.trips.remove(id);
                    for trip in 0..*trips {
                        walk.counters[*id] = trip;
                        self.count(body, times, walk);
                    }
                }
                Stmt::Loop {
                    id, trips: n, body, ..
                } => {
                    walk.trips.insert(*id, *n as f64);
                    self.count(body, times * *n as f64, walk);
                }
                Stmt::If {
                    cond: Cond::First(id),
                    then,
                    otherwise,
                } => match walk.trips.get(id) {
                    Some(n) => {
                        let n = n.max(1.0);
                        self.count(then, times / n, walk);
                        self.count(otherwise, times * (n - 1.0) / n, walk);
                    }
                    None if walk.counters[*id] == 0 => self.count(then, times, walk),
                    None => self.count(otherwise, times, walk),
                },
                Stmt::If {
                    cond,
                    then,
                    otherwise,
                } => match walk.holds(cond) {
                    Some(false) => self.count(otherwise, times, walk),
                    // Of what is not known, all rows are valid.
                    _ => self.count(then, times, walk),
                },
                Stmt::Instr(i) => {
                    if let Some(expects) = &mut walk.expects {
                        expects.follow(i, &walk.counters);
                    }
                    self.instr(i, times, walk);
                }
                Stmt::Part { unit, body } => {
                    let cores = match unit {
                        Unit::Vector => walk.machine.geometry.sub_blocks.value,
                        _ => 1.0,
                    };
                    self.count(body, times * cores, walk);
                }
                _ => {}
            }
        }
    }

    fn instr(&mut self, instr: &'a Instr, times: f64, walk: &Walk<'a>) {
        let (kernel, machine) = (walk.kernel, walk.machine);
        let most = walk.rows(instr);
        let (moved, rect) = match instr {
            Instr::Load { src, .. } => (&mut self.loads, src),
            Instr::Store { dst, .. } => (&mut self.stores, dst),
            Instr::Matmul { dst, lhs, rhs, .. } => {
                let tile = |r: &TileRef| kernel.tiles.get(r.tile);
                if let (Some(dst), Some(lhs), Some(rhs)) = (tile(dst), tile(lhs), tile(rhs)) {
                    let m = dst.valid_rows.min(most);
                    let (k, n) = (lhs.valid_cols, rhs.valid_cols);
                    let rows = machine.geometry.fractal_rows.count();
                    let inner = machine.geometry.fractal_elements(lhs.dtype);
                    let fractal = timing::matmul(machine, lhs.dtype, rows, inner, rows);
                    let whole = fractal - machine.cube_head.value;
                    let share = (m * k * n) as f64 / (rows * inner * rows) as f64;
                    self.product += times * whole * share;
                }
                return;
            }
            _ => return,
        };
        let elements = times * (rect.rows.min(most) * rect.cols) as f64;
        let cost = timing::cost_of_rows(machine, kernel, instr, most);
        let sums = moved.entry(&rect.tensor).or_default();
        sums.0 += elements;
        sums.1 += times * cost.gm_bytes as f64;
    }
}

/// Where a count is.
struct Walk<'a> {
    kernel: &'a Kernel,
    machine: &'a Machine,
    /// Of the loops around it that are counted as a whole, their trips.
    trips: HashMap<LoopId, f64>,
    /// Of those that are walked trip by trip, the trip.
    counters: Vec<usize>,
    expects: Option<Expects<'a>>,
}

impl Walk<'_> {
    fn holds(&self, cond: &Cond) -> Option<bool> {
        self.expects.as_ref()?.holds(cond, &self.counters)
    }

    /// The rows that counted operands of an instruction have at most.
    fn rows(&self, instr: &Instr) -> usize {
        let rows = self
            .expects
            .as_ref()
            .and_then(|e| e.rows(instr, &self.counters));
        rows.unwrap_or(usize::MAX)
    }
}

/// Whether a body asks anything but for the first trip.
fn asks(body: &[Stmt]) -> bool {
    body.iter().any(|s| match s {
        Stmt::If {
            cond: Cond::First(_),
            then,
            otherwise,
        } => asks(then) || asks(otherwise),
        Stmt::If { .. } => true,
        Stmt::Loop { body, .. } | Stmt::Part { body, .. } => asks(body),
        _ => false,
    })
}
