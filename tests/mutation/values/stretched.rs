//! Inputs that tell kernels apart: what a layer makes of normal values hardly reaches a clamp, an epsilon or a tie.

use std::collections::{BTreeMap, BTreeSet};
use tilewright_backends::data::{Tensor, Tensors};
use tilewright_ir::DType;
use tilewright_ir::kernel::{Instr, Kernel, Program, TileId, VectorOp};

/// How many ways there are.
pub const WAYS: usize = 34;

/// What integers mean to a kernel; of others nothing is known, so that they stay.
pub struct Meaning {
    /// Sums of products, which are converted.
    sums: BTreeSet<String>,
    /// All that is loaded.
    loaded: BTreeSet<String>,
    /// How many rows there are, and the most of them.
    counts: BTreeMap<String, i64>,
    scalars: Vec<String>,
}

impl Meaning {
    pub fn of(program: &Program, kernel: &Kernel) -> Meaning {
        let mut loads: Vec<(TileId, String)> = vec![];
        let (mut converted, mut counts) = (BTreeSet::new(), BTreeMap::new());
        let most = |counts: &str| {
            let tensors = program.tensors.values();
            let rows = tensors.filter_map(|t| {
                let ragged = t.ragged.as_ref().filter(|r| r.counts == counts)?;
                Some(t.matrix().0 / ragged.groups.max(1))
            });
            rows.min().unwrap_or(1) as i64
        };
        kernel.visit(&mut |i| match i {
            Instr::Load { dst, src } => loads.push((dst.tile, src.tensor.clone())),
            Instr::ReadScalar { src, .. } => {
                counts.insert(src.tensor.clone(), most(&src.tensor));
            }
            Instr::Vector {
                op: VectorOp::Cvt(_),
                srcs,
                ..
            } => converted.extend(srcs.iter().map(|s| s.tile)),
            _ => {}
        });
        // What is converted may be added up first.
        let mut added: Vec<(TileId, TileId)> = vec![];
        kernel.visit(&mut |i| {
            if let Instr::Vector {
                op: VectorOp::Binary(_) | VectorOp::Halves(_) | VectorOp::Copy,
                dst,
                srcs,
                ..
            } = i
            {
                added.extend(srcs.iter().map(|s| (dst.tile, s.tile)));
            }
        });
        for _ in 0..added.len() {
            let more = added.iter().filter(|a| converted.contains(&a.0));
            converted.extend(more.map(|a| a.1).collect::<Vec<_>>());
        }
        let sums = loads.iter().filter(|l| converted.contains(&l.0));
        Meaning {
            sums: sums.map(|l| l.1.clone()).collect(),
            loaded: loads.into_iter().map(|l| l.1).collect(),
            counts,
            scalars: program.scalars.keys().cloned().collect(),
        }
    }
}

/// The same tensors with other numbers.
pub fn stretched(tensors: &Tensors, way: usize, meaning: &Meaning) -> Tensors {
    let number =
        |name: &String, of: &BTreeSet<String>| of.iter().position(|n| n == name).unwrap_or(0);
    let changed = |(name, t): (&String, &Tensor)| {
        let integers = |f: &dyn Fn(usize, i64) -> i64| {
            let values = t.to_i64().into_iter().enumerate();
            let values: Vec<i64> = values.map(|(i, x)| f(i, x)).collect();
            Tensor::from_i64(t.dtype, &t.shape, &values).unwrap_or_else(|_| t.clone())
        };
        let t = match t.dtype {
            DType::F32 | DType::Bf16 | DType::F16 => floats(t, way, number(name, &meaning.loaded)),
            DType::I32 if meaning.sums.contains(name) => {
                let n = number(name, &meaning.sums);
                integers(&|i, x| sum(i, x, way, n))
            }
            DType::I32 if meaning.counts.contains_key(name) => {
                let most = meaning.counts[name];
                integers(&|i, x| match way % 4 {
                    0 => x.min(1),
                    1 => i as i64 % (most + 1),
                    2 => most,
                    _ => x,
                })
            }
            DType::I32 if meaning.scalars.contains(name) => integers(&|_, x| match way % 8 {
                0 => x.min(1),
                1 => (x - 1).max(0),
                _ => x,
            }),
            _ => t.clone(),
        };
        (name.clone(), t)
    };
    tensors.iter().map(changed).collect()
}

/// A sum of products.
fn sum(i: usize, x: i64, way: usize, tensor: usize) -> i64 {
    let sign = [1, -1][i % 3 % 2];
    match way {
        // Halves of what is 254 at most, in one tensor of two; the other one is constant.
        // The largest is rounded up, and down.
        31 => sign * ((1 << 24) + 1 + 2 * (i as i64 % 64)),
        33 => sign * ((1 << 24) + 1 + 2 * (i as i64 % 63)),
        14..26 if (way + tensor).is_multiple_of(2) => 1,
        14..26 if i.is_multiple_of(16) => 254 * sign,
        14..26 => sign * (2 * (i as i64 * 7 % 63) + 1),
        // A bit more than bf16 has, and than f16 has.
        12 => sign * [257 + 2 * (i as i64 * 5 % 127), 4099 + 4 * (i as i64 % 500)][i % 2],
        // Next to a tie of bf16, by less than 24 bits tell.
        13 => sign * ((1 << 24) + (2 * (i as i64 % 64) + 1) * (1 << 16) + [1, -1][i / 2 % 2]),
        // As many bits as make a conversion to 32 bits a tie.
        _ if way.is_multiple_of(3) => sign * ((1 << 24) + 1 + 2 * (i as i64 % 64)),
        _ if way % 3 == 1 => x - (1 << 25) - (i % 7) as i64,
        _ => x,
    }
}

fn floats(tensor: &Tensor, way: usize, n: usize) -> Tensor {
    let (rows, _) = tensor.matrix();
    let constant = match way {
        // In all orders of three; every second row so small that an epsilon counts.
        14..26 => {
            let order = [
                [0, -2, -6],
                [0, -6, -2],
                [-2, 0, -6],
                [-2, -6, 0],
                [-6, 0, -2],
                [-6, -2, 0],
            ];
            Some(2.0_f32.powi(order[(way - 14) / 2 % 6][n % 3]))
        }
        12 | 13 => Some(1.0),
        // One matrix has ties, all else is 1.
        28..=30 if n != way - 28 => Some(1.0),
        31 | 33 => Some(2.0_f32.powi(-12)),
        26 | 27 if tensor.matrix().1 == 1 => Some(1.0),
        11 if rows == 1 || tensor.matrix().1 == 1 => Some(1.0),
        _ => None,
    };
    let cols = tensor.matrix().1.max(1);
    let values = tensor.to_f32().into_iter().enumerate().map(|(i, x)| {
        let (row, col) = (i / cols, i % cols);
        let small = (14..26).contains(&way) && cols == 1 && row % 2 == 1;
        let factor = if small { 2.0_f32.powi(-6) } else { 1.0 };
        match (constant, way) {
            (Some(c), _) => c * factor,
            (None, 26 | 27) => normed(row, col, rows == 1, way),
            _ => value(x, row, (col, cols), way),
        }
    });
    let values: Vec<f32> = values.collect();
    Tensor::from_f32(tensor.dtype, &tensor.shape, &values).unwrap_or_else(|_| tensor.clone())
}

/// Rows whose mean square is a power of four, so that a norm divides by a power of two, and weights with which that ends in ties: of
/// bf16, or of a quantisation to 127.
fn normed(row: usize, col: usize, weight: bool, way: usize) -> f32 {
    const ROW: [f32; 8] = [43.0, 11.0, 7.0, 3.0, 3.0, 3.0, 1.0, 1.0];
    let step = (col / 8 * 5) as f32;
    match (weight, way) {
        (false, _) => ROW[col % 8] * [1.0, -1.0][(row + col / 8) % 2] * 1024.0,
        (true, 26) => (129.0 + 2.0 * (step % 20.0)) / 128.0,
        (true, _) => match col % 8 {
            6 => 127.0,
            7 => step % 100.0 + 0.5,
            _ => 1.0,
        },
    }
}

fn value(x: f32, row: usize, (col, cols): (usize, usize), way: usize) -> f32 {
    let part = col as f32 / cols as f32;
    let sign = [1.0, -1.0][(row + col) % 2];
    match way {
        // Rows and columns of scales of their own, beyond clamps.
        0 => x * [1.0, 8.0, 64.0, 0.125][(row + col) % 4],
        // So small that an epsilon counts.
        1 => x * 2.0_f32.powi(-13 - (row % 6) as i32),
        // Halves of whole numbers below 127, and that: ties of a quantisation.
        2 | 11 | 28..=30 => match col % 16 {
            0 => 127.0 * sign,
            c => sign * ((row * 7 + c * 5) % 64) as f32 + 0.5,
        },
        // Few bits, so that products end in ties.
        3 => sign * (1.0 + ((row * 3 + col * 5) % 32) as f32 / 32.0),
        // All of one size and sign, by rows.
        4 => -2.0_f32.powi((row % 3) as i32),
        // Zeros, but for a few.
        5 => match (row % 3, (row + col) % 5) {
            (1.., 0) => x,
            _ => 0.0,
        },
        // The largest at the end, and at the start.
        6 => x * (1.0 + 31.0 * part),
        7 => x * (32.0 - 31.0 * part),
        // So large that some overflow in 16 bits, and all clamps bite.
        8 => x * 2.0_f32.powi(10 + (row + col) as i32 % 8),
        // Next to what has no normal form.
        9 => sign * (1.0 + ((row * 3 + col * 5) % 128) as f32 / 128.0) * 2.0_f32.powi(-125),
        // Where 1 and an exponential lose digits of each other.
        32 => -7.0 - 2.0 * ((row * 7 + col * 3) % 64) as f32 / 64.0,
        // Ties of every last place of bf16 and f16.
        _ => {
            let n = ((row * 13 + col * 29) % 256) as f32;
            let last = [1.0 / 256.0, 1.0 / 2048.0][col % 2];
            sign * (1.0 + (n - n % 2.0) * last / 2.0 + last)
        }
    }
}
