//! The vector unit: what its instructions do to tiles of UB, as the table of instructions says.
//!
//! * Arithmetic is on f32, f16 and i32. f16 is computed in f32 and rounded once; i32 saturates.
//! * What operands have to be is in the instruction's row. The verifier has looked at all that is known before a run; what
//!   depends on run-time rows, and bytes that operands share, is looked at here.
//! * A row sum adds in a fixed order: element `c` to lane `c` modulo the lanes, in ascending columns, and then the lanes in a
//!   pairwise tree (of 64, lane `i` and lane `i + 32`, then 16, 8, 4, 2, 1). Lanes beyond the columns take no part. There are as
//!   many lanes as f32 in a repeat.
//! * The result may be one of the sources where the row allows it: the same slot, never a part of it.
//!
//! Sorting and index instructions are in [`super::sort`].

use super::error::Fault;
use super::memory::{Access, Core, Operand};
use super::{numeric, sort};
use crate::data::{Tensor, convert};
use tilewright_ir::kernel::{Apart, Dim, Effect, Row, VectorOp};
use tilewright_ir::op::{BinaryInstr, UnaryInstr};
use tilewright_ir::{DType, Round};

/// An instruction on its way.
pub(super) struct Vector<'v, 'p, 'a> {
    pub access: &'v Access<'p, 'a>,
    pub core: &'v mut Core,
    pub row: &'v Row,
    pub dst: &'v Operand<'a>,
    pub srcs: &'v [Operand<'a>],
}

/// Executes a vector instruction; `false` if an operand has no rows.
pub(super) fn execute(
    access: &Access,
    core: &mut Core,
    op: &VectorOp,
    dst: &Operand,
    srcs: &[Operand],
    tmp: Option<&Operand>,
) -> Result<bool, Fault> {
    if dst.empty() || srcs.iter().any(Operand::empty) {
        return Ok(false);
    }
    if let Some(tmp) = tmp {
        for other in srcs.iter().chain([dst]) {
            disjoint(tmp, other, "its scratch must not share with an operand")?;
        }
        core.scratch(access, tmp)?;
    }
    for src in srcs {
        core.read(access, src)?;
    }
    let row = op.row();
    let mut v = Vector {
        access,
        core,
        row: &row,
        dst,
        srcs,
    };
    v.operands()?;
    match row.effect {
        Effect::One(f) => v.one(f)?,
        Effect::Constant(f, value) => v.constant(f, value)?,
        Effect::Two(f) => v.two(f)?,
        Effect::Halves(f) => v.halves(f)?,
        Effect::Reduce(_, f) => v.reduce(f)?,
        Effect::Convert(round) => v.convert(round)?,
        Effect::Fill(value) => v.fill(value)?,
        Effect::Copy => v.copy()?,
        Effect::Iota => {
            let row: Vec<i32> = (0..dst.cols as i32).collect();
            v.put(&numeric::int_bytes(&row))?;
        }
        Effect::Sort => sort::sort(&mut v)?,
        Effect::Merge(run) => sort::merge(&mut v, run)?,
        Effect::Pairs => sort::pair_indices(&mut v)?,
        Effect::Gather => sort::gather(&mut v)?,
    }
    Ok(true)
}

impl Vector<'_, '_, '_> {
    /// Extents with as many rows as there are, and bytes that must not be shared.
    fn operands(&self) -> Result<(), Fault> {
        let all: Vec<&Operand> = std::iter::once(self.dst).chain(self.srcs).collect();
        let lead = all[self.row.lead];
        let extent = (lead.rows, lead.cols);
        for (operand, found) in self.row.operands.iter().zip(&all) {
            let [rows, cols] = operand.shape.map(|d| d.of(extent));
            let need = (rows.unwrap_or(found.rows), cols.unwrap_or(found.cols));
            if (found.rows, found.cols) != need {
                return Err(self.shape(&format!(
                    "`{}` of {} x {} where {} x {} are needed",
                    found.tile.name, found.rows, found.cols, need.0, need.1
                )));
            }
        }
        for (operand, src) in self.row.operands.iter().skip(1).zip(self.srcs) {
            let apart = match operand.apart {
                Apart::InPlace => false,
                Apart::Always => true,
                Apart::WidthsDiffer => src.tile.dtype.bytes() != self.dst.tile.dtype.bytes(),
                Apart::SeveralRows => self.dst.rows > 1,
            };
            match apart {
                true => disjoint(self.dst, src, "the instruction does not allow")?,
                false => in_place(self.dst, src)?,
            }
        }
        Ok(())
    }

    /// A refusal of extents.
    pub fn shape(&self, what: &str) -> Fault {
        Fault::Shape {
            what: format!("{what} by {}", self.row.isa),
        }
    }

    /// The elements of a source, in the order in which they lie, as bytes.
    pub fn bytes(&self, source: usize) -> Vec<u8> {
        self.core.gather(&self.srcs[source])
    }

    fn floats(&self, source: usize) -> Vec<f32> {
        numeric::floats(self.srcs[source].tile.dtype, &self.bytes(source))
    }

    fn integers(&self, source: usize) -> Vec<i32> {
        numeric::ints(DType::I32, &self.bytes(source))
    }

    /// Whether the instruction computes on integers.
    fn is_integer(&self) -> bool {
        self.dst.tile.dtype == DType::I32
    }

    /// Writes the result.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.core.write(self.access, self.dst)?;
        self.core.scatter(self.dst, bytes);
        Ok(())
    }

    fn put_floats(&mut self, x: &[f32]) -> Result<(), Fault> {
        self.put(&numeric::float_bytes(self.dst.tile.dtype, x))
    }

    fn put_integers(&mut self, x: &[i32]) -> Result<(), Fault> {
        self.put(&numeric::int_bytes(x))
    }

    fn one(&mut self, f: &UnaryInstr) -> Result<(), Fault> {
        if self.is_integer() {
            let of = f.integer.ok_or_else(|| self.no_integers())?;
            let y: Vec<i32> = { self.integers(0) }
                .iter()
                .map(|x| clamp(of(i64::from(*x))))
                .collect();
            return self.put_integers(&y);
        }
        let mut x = self.floats(0);
        for x in &mut x {
            *x = (f.float)(*x);
        }
        self.put_floats(&x)
    }

    fn constant(&mut self, f: &BinaryInstr, value: f32) -> Result<(), Fault> {
        if self.is_integer() {
            let value = self.integral(value)?;
            let mut x = self.integers(0);
            for x in &mut x {
                *x = self.join(f, *x, value)?;
            }
            return self.put_integers(&x);
        }
        let value = convert::round_f32(value, self.dst.tile.dtype);
        let mut x = self.floats(0);
        let cols = self.dst.size().min(SPREAD);
        let spread = vec![value; cols];
        for x in x.chunks_mut(cols) {
            (f.floats)(x, &spread);
        }
        self.put_floats(&x)
    }

    /// The second source has an element for each, for each row or for each column.
    fn two(&mut self, f: &BinaryInstr) -> Result<(), Fault> {
        let (cols, shape) = (self.dst.cols, self.row.operands[2].shape);
        if self.is_integer() {
            let (mut x, y) = (self.integers(0), self.integers(1));
            for (i, x) in x.iter_mut().enumerate() {
                let place = match shape {
                    [Dim::R, Dim::One] => i / cols,
                    [Dim::One, Dim::C] => i % cols,
                    _ => i,
                };
                *x = self.join(f, *x, y[place])?;
            }
            return self.put_integers(&x);
        }
        let (mut x, y) = (self.floats(0), self.floats(1));
        match shape {
            [Dim::R, Dim::One] => {
                for (x, y) in x.chunks_exact_mut(cols).zip(&y) {
                    (f.floats)(x, &vec![*y; cols]);
                }
            }
            [Dim::One, Dim::C] => x.chunks_exact_mut(cols).for_each(|x| (f.floats)(x, &y)),
            _ => (f.floats)(&mut x, &y),
        }
        self.put_floats(&x)
    }

    /// Two halves of the source: its upper and lower rows, or its left and right columns.
    fn halves(&mut self, f: &BinaryInstr) -> Result<(), Fault> {
        let (dst, src) = (self.dst, &self.srcs[0]);
        let upper = (src.rows, src.cols) == (2 * dst.rows, dst.cols);
        let left = (src.rows, src.cols) == (dst.rows, 2 * dst.cols);
        if !upper && !left {
            return Err(self.shape(&format!(
                "halves of {} x {} into {} x {}",
                src.rows, src.cols, dst.rows, dst.cols
            )));
        }
        // Elements of both halves that lie together.
        let run = if upper { dst.size() } else { dst.cols };
        if self.is_integer() {
            let x = self.integers(0);
            let pairs = x.chunks_exact(2 * run).map(|both| both.split_at(run));
            let joined = pairs.flat_map(|(a, b)| std::iter::zip(a, b));
            let joined = joined
                .map(|(a, b)| self.join(f, *a, *b))
                .collect::<Result<Vec<i32>, _>>()?;
            return self.put_integers(&joined);
        }
        let x = self.floats(0);
        let mut out = vec![];
        for (first, second) in x.chunks_exact(2 * run).map(|both| both.split_at(run)) {
            let at = out.len();
            out.extend_from_slice(first);
            (f.floats)(&mut out[at..], second);
        }
        self.put_floats(&out)
    }

    fn reduce(&mut self, f: &BinaryInstr) -> Result<(), Fault> {
        let cols = self.srcs[0].cols;
        if self.is_integer() {
            let x = self.integers(0);
            let joined = x.chunks_exact(cols).map(|row| {
                let rest = row[1..].iter();
                rest.copied()
                    .try_fold(row[0], |acc, x| self.join(f, acc, x))
            });
            let joined = joined.collect::<Result<Vec<i32>, _>>()?;
            return self.put_integers(&joined);
        }
        let lanes = self
            .access
            .prepared
            .machine
            .geometry
            .repeat_elements(DType::F32);
        let x = self.floats(0);
        let joined: Vec<f32> = x
            .chunks_exact(cols)
            .map(|row| reduce_lanes(f, row, lanes))
            .collect();
        self.put_floats(&joined)
    }

    fn convert(&mut self, round: Round) -> Result<(), Fault> {
        let (src, to) = (&self.srcs[0], self.dst.tile.dtype);
        let tensor = Tensor {
            dtype: src.tile.dtype,
            shape: vec![src.rows, src.cols],
            bytes: self.bytes(0),
        };
        let bytes = if tensor.dtype == to {
            // f32 to f32 rounds to an integral value.
            let rounded: Vec<f32> = numeric::floats(to, &tensor.bytes)
                .iter()
                .map(|x| convert::round_integral(f64::from(*x), round) as f32)
                .collect();
            numeric::float_bytes(to, &rounded)
        } else {
            convert::convert(&tensor, to, round).bytes
        };
        self.put(&bytes)
    }

    fn fill(&mut self, value: f32) -> Result<(), Fault> {
        let dtype = self.dst.tile.dtype;
        if !dtype.is_float() {
            self.integral(value)?;
        }
        let one = Tensor {
            dtype: DType::F32,
            shape: vec![],
            bytes: value.to_le_bytes().to_vec(),
        };
        let element = convert::convert(&one, dtype, Round::Rint).bytes;
        self.put(&element.repeat(self.dst.size()))
    }

    /// The first rows and columns become those of the source.
    fn copy(&mut self) -> Result<(), Fault> {
        let (dst, src) = (self.dst, &self.srcs[0]);
        if src.rows > dst.rows || src.cols > dst.cols {
            return Err(self.shape(&format!(
                "{} x {} into {} x {}",
                src.rows, src.cols, dst.rows, dst.cols
            )));
        }
        let part = Operand {
            rows: src.rows,
            cols: src.cols,
            ..*dst
        };
        let bytes = self.bytes(0);
        self.core.write(self.access, &part)?;
        self.core.scatter(&part, &bytes);
        Ok(())
    }

    /// A function of two integers.
    fn join(&self, f: &BinaryInstr, a: i32, b: i32) -> Result<i32, Fault> {
        let of = f.integer.ok_or_else(|| self.no_integers())?;
        Ok(clamp(of(i64::from(a), i64::from(b))))
    }

    fn integral(&self, value: f32) -> Result<i32, Fault> {
        if value.fract() == 0.0 && value.abs() < 2_147_483_648.0 {
            return Ok(value as i32);
        }
        Err(Fault::Unsupported {
            what: format!("constant {value:?} on a tile of {}", self.dst.tile.dtype),
            remedy: "constants of integer instructions are integers".into(),
        })
    }

    fn no_integers(&self) -> Fault {
        Fault::Unsupported {
            what: format!("{} on {}", self.row.isa, self.dst.tile.dtype),
            remedy: "convert to f32 or f16 first".into(),
        }
    }
}

/// Elements that a constant is spread to at once.
const SPREAD: usize = 256;

/// So many partial results, then a pairwise tree: the same order for a sum whatever its number of columns.
fn reduce_lanes(f: &BinaryInstr, row: &[f32], all: usize) -> f32 {
    let count = row.len().min(all);
    let mut lanes = row[..count].to_vec();
    for chunk in row[count..].chunks(all) {
        (f.floats)(&mut lanes, chunk);
    }
    let mut half = all.next_power_of_two() / 2;
    while half > 0 {
        for i in 0..half.min(count.saturating_sub(half)) {
            lanes[i] = (f.float)(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

fn clamp(x: i64) -> i32 {
    x.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

fn overlap(a: &Operand, b: &Operand) -> bool {
    let (x, y) = (a.extent(), b.extent());
    a.tile.space == b.tile.space && x.start < y.end && y.start < x.end
}

/// Refuses operands that share bytes.
fn disjoint(a: &Operand, b: &Operand, why: &str) -> Result<(), Fault> {
    if !overlap(a, b) {
        return Ok(());
    }
    Err(Fault::OperandOverlap {
        a: a.tile.name.clone(),
        b: b.tile.name.clone(),
        why: why.into(),
    })
}

/// Refuses operands that share bytes unless they are one slot.
fn in_place(a: &Operand, b: &Operand) -> Result<(), Fault> {
    if a.owner == b.owner {
        return Ok(());
    }
    disjoint(a, b, "is only allowed for one and the same tile")
}
