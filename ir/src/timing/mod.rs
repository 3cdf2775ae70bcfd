//! What one instruction costs on a machine.
//!
//! The formulas are here, every constant is in the machine's TOML file. A cost is what the instruction occupies its pipe for when
//! it starts alone: how instructions of different pipes overlap, and how cores share global memory, is for the
//! cost model and the simulator to say. Searches call [`cost`] very often, so it neither allocates nor looks
//! anything up by name.

mod traffic;
mod vector;

pub use traffic::{Touched, distinct, touched};
pub use vector::{halved, halving, on_tiles};

use crate::dtype::DType;
use crate::integer::gcd;
use crate::kernel::{GlobalRef, Instr, Kernel, Layout, Pipe, Space, Tile, TileRef, Var};
use crate::machine::{Figure, Machine, Transfer};
use std::borrow::Cow;

/// Cost of one instruction on its pipe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    pub pipe: Pipe,
    /// Cycles that the pipe is busy when no other core competes for global memory.
    pub cycles: f64,
    /// Bytes moved from or to the rank's own global memory.
    pub gm_bytes: u64,
    /// Bytes moved to peers.
    pub link_bytes: u64,
}

/// Cost of `instr` of `kernel` with all rows valid. An instruction that names a tile which the kernel does not have costs nothing.
pub fn cost(machine: &Machine, kernel: &Kernel, instr: &Instr) -> Cost {
    price(machine, kernel, instr, usize::MAX).unwrap_or(NOTHING)
}

/// As [`cost`], of at most so many rows of those operands whose rows are counted at run time.
pub fn cost_of_rows(machine: &Machine, kernel: &Kernel, instr: &Instr, rows: usize) -> Cost {
    price(machine, kernel, instr, rows).unwrap_or(NOTHING)
}

/// Sources of a vector instruction at most.
const SOURCES: usize = 4;

const NOTHING: Cost = Cost {
    pipe: Pipe::S,
    cycles: 0.0,
    gm_bytes: 0,
    link_bytes: 0,
};

/// A tile with the rows that there are of an operand. They are `most` at most, if they are counted at run time.
fn counted<'k>(kernel: &'k Kernel, r: &TileRef, most: usize) -> Option<Cow<'k, Tile>> {
    let tile = kernel.tiles.get(r.tile)?;
    Some(match r.rows.is_some() && most < tile.valid_rows {
        true => Cow::Owned(Tile {
            valid_rows: most,
            ..tile.clone()
        }),
        false => Cow::Borrowed(tile),
    })
}

fn price(machine: &Machine, kernel: &Kernel, instr: &Instr, most: usize) -> Option<Cost> {
    let tile = |r: &TileRef| counted(kernel, r, most);
    let on_chip = |pipe, cycles| Cost {
        pipe,
        cycles,
        gm_bytes: 0,
        link_bytes: 0,
    };
    Some(match instr {
        Instr::Load { dst, src } => {
            let dst = tile(dst)?;
            let path = match dst.space {
                Space::Ub => &machine.gm_to_ub,
                _ => &machine.gm_to_l1,
            };
            let again = match dst.space {
                Space::Ub => &machine.l2_to_ub,
                _ => &machine.l2_to_l1,
            };
            let first = global(machine, Pipe::Mte2, path, &dst, (src, most));
            // What other blocks read, too, comes from HBM for one of them, and from L2 for the others: as fast as the path is.
            let share = 1.0 / reuse(kernel, src);
            let again = cycles_at(machine, again, first.gm_bytes);
            Cost {
                cycles: share * first.cycles + (1.0 - share) * again,
                ..first
            }
        }
        Instr::Store { dst, src } => {
            let src = tile(src)?;
            if dst.peer.is_some() {
                let cost = global(machine, Pipe::Mte3, &machine.ub_to_peer, &src, (dst, most));
                return Some(Cost {
                    gm_bytes: 0,
                    link_bytes: cost.gm_bytes,
                    ..cost
                });
            }
            match src.space {
                Space::L0c => global(machine, Pipe::Fix, &machine.l0c_to_gm, &src, (dst, most)),
                _ => global(machine, Pipe::Mte3, &machine.ub_to_gm, &src, (dst, most)),
            }
        }
        Instr::Move { dst, .. } => {
            let counted = dst.rows.is_some();
            let dst = tile(dst)?;
            let rate = match dst.space {
                Space::L0a => &machine.l1_to_l0a,
                _ => &machine.l1_to_l0b,
            };
            // Of rows that are counted, whole fractals of those that there are.
            let fractal = machine.geometry.fractal_rows.count();
            let rows = match counted {
                true => dst.valid_rows.next_multiple_of(fractal).min(dst.rows),
                false => dst.rows,
            };
            let bytes = dst.bytes() as f64 * rows as f64 / dst.rows.max(1) as f64;
            on_chip(Pipe::Mte1, bytes / rate.value)
        }
        Instr::Matmul { dst, lhs, rhs, .. } => {
            let (lhs, rhs) = (tile(lhs)?, tile(rhs)?);
            let m = tile(dst)?.valid_rows;
            let (k, n) = (lhs.valid_cols, rhs.valid_cols);
            on_chip(Pipe::M, matmul(machine, lhs.dtype, m, k, n))
        }
        Instr::Vector { op, dst, srcs, .. } => {
            let read: [Option<Cow<Tile>>; SOURCES] =
                std::array::from_fn(|i| srcs.get(i).and_then(tile));
            let src = |i: usize| read.get(i)?.as_deref();
            let cycles = vector::on_tiles(machine, op, tile(dst)?.as_ref(), src)?;
            on_chip(kernel.pipe(instr), cycles)
        }
        // A wait polls once when it finds its counter high enough; how long it spins is for the run to say.
        Instr::ReadScalar { .. } | Instr::WaitCounter { .. } => Cost {
            pipe: Pipe::S,
            cycles: machine.gm_scalar_read.value,
            gm_bytes: machine.gm_scalar_line.value as u64,
            link_bytes: 0,
        },
        Instr::WriteScalar { dst, .. } => line(machine, dst, 0.0),
        Instr::ReadArray { src, .. } => lines(machine, src, machine.gm_scalar_read.value),
        Instr::WriteArray { dst, .. } => lines(machine, dst, machine.gm_scalar_write.value),
        // The block goes on when the counter has changed: there and back.
        Instr::Notify { counter, .. } => line(machine, counter, 2.0 * machine.link_cycles()),
        Instr::SetReg { .. }
        | Instr::Compute { .. }
        | Instr::ArrayGet { .. }
        | Instr::ArraySet { .. } => on_chip(Pipe::S, machine.scalar_op.value),
    })
}

/// Whole rows of 32-bit integers by way of the scalar unit's data cache: each of their lines once, one after the other, and an
/// instruction an element. They start with a row, wherever that lies within a line.
fn lines(machine: &Machine, rect: &GlobalRef, each: f64) -> Cost {
    let line = machine.gm_scalar_line.count().max(1);
    let elements = rect.rows * rect.cols;
    let row = rect.cols * DType::I32.bytes();
    // Rows start at multiples of this within a line.
    let grain = match rect.row.terms.is_empty() && rect.row.base == 0 {
        true => line,
        false => gcd(row, line),
    };
    let count = (line - grain + elements * DType::I32.bytes()).div_ceil(line);
    Cost {
        pipe: Pipe::S,
        cycles: count as f64 * each + elements as f64 * machine.scalar_op.value,
        gm_bytes: (count * line) as u64,
        link_bytes: 0,
    }
}

/// A line of the scalar unit's data cache on its way to global memory.
fn line(machine: &Machine, to: &GlobalRef, way: f64) -> Cost {
    let bytes = machine.gm_scalar_line.value as u64;
    let (far, gm_bytes, link_bytes) = match to.peer {
        None => (0.0, bytes, 0),
        Some(_) => (way, 0, bytes),
    };
    Cost {
        pipe: Pipe::S,
        cycles: machine.gm_scalar_write.value + far,
        gm_bytes,
        link_bytes,
    }
}

/// Cycles of one `[m, k] x [k, n]` product: a head, and one step for each pair of fractals.
pub fn matmul(machine: &Machine, operands: DType, m: usize, k: usize, n: usize) -> f64 {
    let fractal = match operands {
        DType::F32 => &machine.cube_fractal_f32,
        _ => &machine.cube_fractal,
    };
    let rows = machine.geometry.fractal_rows.count();
    let inner = machine.geometry.fractal_elements(operands);
    let steps = m.div_ceil(rows) * k.div_ceil(inner) * n.div_ceil(rows);
    machine.cube_head.value + fractal.value * steps as f64
}

/// How many blocks read the same: those that differ only in coordinates that the rectangle does not depend on.
fn reuse(kernel: &Kernel, rect: &GlobalRef) -> f64 {
    let uses = |axis: usize| {
        let mut terms = rect.row.terms.iter().chain(&rect.col.terms);
        terms.any(|(v, _)| *v == Var::Grid(axis))
    };
    let axes = kernel.launch.grid.iter().enumerate();
    let others = axes.filter(|(axis, _)| !uses(*axis));
    others.map(|(_, a)| a.count.max(1) as f64).product()
}

/// Cycles of so many bytes at a rate in GiB/s.
fn cycles_at(machine: &Machine, rate: &Figure, bytes: u64) -> f64 {
    machine.clock_mhz.value * 1e6 * bytes as f64 / (rate.value * (1u64 << 30) as f64)
}

/// Cycles of a transfer of `bursts` rows of `burst` bytes, each contiguous in global memory.
pub fn transfer(machine: &Machine, path: &Transfer, bursts: usize, burst: usize) -> f64 {
    let (bursts, burst) = (bursts as f64, burst as f64);
    let short = (1.0 - burst / path.full_burst.value).max(0.0);
    let bytes = bursts * (burst + path.burst_overhead.value * short) + path.half.value;
    let peak = path.peak.value * (1u64 << 30) as f64;
    machine.clock_mhz.value * 1e6 * bytes / peak
}

/// Every row of the rectangle is one burst; a column of per-row values in a column tile is one burst too, since the ISA
/// moves such a tile from and to contiguous memory only.
fn global(
    machine: &Machine,
    pipe: Pipe,
    path: &Transfer,
    tile: &Tile,
    (rect, most): (&GlobalRef, usize),
) -> Cost {
    let row = rect.cols * tile.dtype.bytes();
    let rows = rect.rows.min(most);
    let (bursts, burst) = match tile.layout {
        Layout::ColMajor if rect.cols == 1 => (1, rows * row),
        _ => (rows, row),
    };
    Cost {
        pipe,
        cycles: transfer(machine, path, bursts, burst),
        gm_bytes: (rows * row) as u64,
        link_bytes: 0,
    }
}
