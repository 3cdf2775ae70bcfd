//! The cases: every instruction, on every combination of types, forms and shapes that verifies and has a C++ form. So a
//! form that the emitter can produce has a case by construction. Operands are those that the table of instructions says; what
//! the table has no shapes for has a function of its own here, and [`draft`] does not compile without it.

use crate::build::{COUNT, Draft};
use crate::data::{edges, moderate};
use tilewright_backends::data::Tensor;
use tilewright_backends::data::convert::round_f32;
use tilewright_ir::graph::Prim;
use tilewright_ir::kernel::{Dim, Effect, Layout, Space, VectorOp};
use tilewright_ir::op::ReduceInstr;
use tilewright_ir::{DType, Round};

/// What the interpreter of layer graphs makes of a case's inputs.
#[derive(Clone)]
pub struct Want {
    pub prim: Prim,
    pub operands: Vec<Tensor>,
    /// Sums are in another order: relative to the sum of magnitudes.
    pub tolerance: f64,
    /// What the result was before, where only the first rows are written.
    pub before: Option<Tensor>,
}

#[derive(Clone)]
pub struct Case {
    pub draft: Draft,
    /// The instruction, for reports.
    pub instruction: String,
    /// Units in the last place that f32 results may differ by.
    pub ulps: u32,
    pub want: Option<Want>,
}

/// How the elements of a case lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// All of a tile.
    Full,
    /// A part of its rows and columns.
    Part,
    /// One value a row, column-major.
    Column,
    /// As many rows as a scalar says.
    Rows,
    /// The result takes the place of the first operand.
    InPlace,
}

pub const FORMS: [Form; 5] = [
    Form::Full,
    Form::Part,
    Form::Column,
    Form::Rows,
    Form::InPlace,
];

const UB: (Space, Layout) = (Space::Ub, Layout::RowMajor);

impl Form {
    fn layout(self) -> Layout {
        match self {
            Form::Column => Layout::ColMajor,
            _ => Layout::RowMajor,
        }
    }

    /// Physical and valid extents.
    fn extent(self) -> ((usize, usize), (usize, usize)) {
        match self {
            Form::Full | Form::Rows => ((4, 64), (4, 64)),
            Form::Part | Form::InPlace => ((5, 96), (3, 77)),
            Form::Column => ((32, 1), (29, 1)),
        }
    }
}

/// Every instruction of the vector unit, with the values of its parameters that matter.
pub fn samples() -> Vec<VectorOp> {
    let with = |op| match op {
        VectorOp::Scalar(f, _) => [3.0, -0.0, 1.0 / 3.0]
            .map(|v| VectorOp::Scalar(f, v))
            .to_vec(),
        VectorOp::Fill(_) => [0.0, -7.0, 0.3, f32::MIN, f32::INFINITY, f32::NAN]
            .map(VectorOp::Fill)
            .to_vec(),
        VectorOp::MergeSort { .. } => [32, 128].map(|run| VectorOp::MergeSort { run }).to_vec(),
        other => vec![other],
    };
    VectorOp::all(3.0, 32).into_iter().flat_map(with).collect()
}

/// What the interpreter of layer graphs has for an instruction.
fn prim(op: VectorOp, from: DType, to: DType) -> Option<Prim> {
    match op {
        // In the graph a cast to the same type does nothing; the instruction rounds to integers.
        VectorOp::Cvt(round) => (from != to).then_some(Prim::Cast { to, round }),
        VectorOp::Unary(f) => Some(Prim::Unary(f)),
        // The instruction's constant has the type of the tile; the graph's is f32.
        VectorOp::Scalar(op, value) => Some(Prim::Scalar {
            op,
            value: round_f32(value, to),
        }),
        VectorOp::Binary(f) => Some(Prim::Binary(f)),
        VectorOp::RowExpand(f) => Some(Prim::RowBinary(f)),
        VectorOp::ColExpand(f) => Some(Prim::ColBinary(f)),
        VectorOp::RowReduce(f) => Some(Prim::RowReduce(f)),
        VectorOp::Gather => Some(Prim::GatherCols),
        VectorOp::Halves(_)
        | VectorOp::Fill(_)
        | VectorOp::Copy
        | VectorOp::Iota
        | VectorOp::Sort32
        | VectorOp::MergeSort { .. }
        | VectorOp::PairIndices => None,
    }
}

/// An instruction on types `from` and `to` in a form; nothing where that is no new case. Whether the ISA has it is not
/// asked here. What is new is missing in the match until it is given cases; a new function of elements has them by its row.
pub fn draft(op: VectorOp, from: DType, to: DType, form: Form, name: String) -> Option<Case> {
    // How elements lie does not depend on rounding or on a constant: one of them goes through all forms.
    let other = match op {
        VectorOp::Cvt(round) => round != Round::Rint,
        VectorOp::Scalar(_, value) | VectorOp::Fill(value) => ![3.0, 0.3].contains(&value),
        _ => false,
    };
    if other && form != Form::Full {
        return None;
    }
    let row = op.row();
    let two_types = matches!(row.effect, Effect::Convert(_) | Effect::Gather);
    if from != to && !two_types {
        return None;
    }
    match row.effect {
        Effect::One(_)
        | Effect::Constant(..)
        | Effect::Two(_)
        | Effect::Convert(_)
        | Effect::Fill(_)
        | Effect::Copy => elements(op, from, to, form, name),
        Effect::Halves(_) => halves(op, to, form, name),
        Effect::Reduce(f, _) => reduce(op, f, to, form, name),
        Effect::Iota => {
            let (mut d, n) = (Draft::new(name), 40);
            let dst = d.tile(UB, to, (1, n), (1, n));
            d.vector(op, dst, &[], None, false);
            d.store(dst);
            (form == Form::Full).then(|| exact(d, op, None))
        }
        Effect::Sort | Effect::Merge(_) | Effect::Pairs => sort(op, to, form, name),
        Effect::Gather => gather(op, from, to, form, name),
    }
}

fn exact(draft: Draft, op: VectorOp, want: Option<Want>) -> Case {
    Case {
        draft,
        instruction: format!("{op:?}"),
        ulps: 0,
        want,
    }
}

/// The result's tile with something in it, so that what is not written is seen.
fn result(d: &mut Draft, dtype: DType, form: Form) -> (usize, Tensor) {
    let (physical, valid) = form.extent();
    let dst = d.tile((Space::Ub, form.layout()), dtype, physical, valid);
    let before = load(d, dst, dtype, 9);
    (dst, before)
}

/// Fills a tile's valid part.
fn load(d: &mut Draft, tile: usize, dtype: DType, turn: usize) -> Tensor {
    let t = &d.tiles[tile];
    let (rows, cols) = match t.layout {
        Layout::ColMajor => (1, t.valid_rows),
        _ => (t.valid_rows, t.valid_cols),
    };
    let tensor = edges(dtype, &[rows, cols], turn);
    let name = format!("edges_{dtype}_{rows}_{cols}_{turn}");
    d.load(tile, &name, tensor.clone());
    tensor
}

/// Operands as the row of the instruction has them, beside a result of the form's extents.
fn elements(op: VectorOp, from: DType, to: DType, form: Form, name: String) -> Option<Case> {
    let mut d = Draft::new(name);
    let (physical, valid) = form.extent();
    let (dst, mut before) = result(&mut d, to, form);
    let (mut srcs, mut operands) = (vec![], vec![]);
    for (i, operand) in op.row().operands.iter().skip(1).enumerate() {
        if form == Form::InPlace && i == 0 {
            if from != to {
                return None;
            }
            srcs.push(dst);
            operands.push(before.clone());
            continue;
        }
        let column = (Space::Ub, Layout::ColMajor);
        let (place, extent, part) = match operand.shape {
            [Dim::R, Dim::One] => (column, (32, 1), (valid.0, 1)),
            [Dim::One, Dim::C] => (UB, (1, physical.1), (1, valid.1)),
            _ => ((Space::Ub, form.layout()), physical, valid),
        };
        let tile = d.tile(place, from, extent, part);
        let mut tensor = load(&mut d, tile, from, i);
        match operand.shape {
            [Dim::R, Dim::One] => tensor.shape = vec![valid.0, 1],
            [Dim::One, Dim::C] => tensor.shape = vec![valid.1],
            _ => {}
        }
        operands.push(tensor);
        srcs.push(tile);
    }
    // Without a scratch tile in one form.
    let tmp = match form {
        Form::InPlace => None,
        _ => d.scratch(&op, dst, &srcs),
    };
    d.vector(op, dst, &srcs, tmp, form == Form::Rows);
    d.store(dst);
    before.dtype = to;
    let want = prim(op, from, to).map(|prim| Want {
        prim,
        operands,
        tolerance: 0.0,
        before: (form == Form::Rows).then_some(before),
    });
    let ulps = match op.row().effect {
        Effect::One(f) => f.ulps,
        _ => 0,
    };
    Some(Case {
        ulps,
        ..exact(d, op, want)
    })
}

/// More columns than lanes, fewer, and edges in some of the rows.
fn reduce(op: VectorOp, f: &ReduceInstr, dtype: DType, form: Form, name: String) -> Option<Case> {
    let (cols, valid) = match form {
        Form::Full | Form::Rows => (256, 256),
        Form::Part => (224, 201),
        Form::Column => (64, 37),
        Form::InPlace => (32, 7),
    };
    let rows = 9;
    let mut d = Draft::new(name);
    let src = d.tile(UB, dtype, (rows, cols), (rows, valid));
    let dst = d.tile((Space::Ub, Layout::ColMajor), dtype, (32, 1), (rows, 1));
    let before = load(&mut d, dst, dtype, 9);
    let mut x = moderate(dtype, &[rows, valid], 1);
    let sharp = edges(dtype, &[rows, valid], 2);
    let row = valid * dtype.bytes();
    let moderate_rows = 5;
    x.bytes[moderate_rows * row..].copy_from_slice(&sharp.bytes[moderate_rows * row..]);
    d.load(src, &format!("rows_{dtype}_{valid}"), x.clone());
    let tmp = d.scratch(&op, dst, &[src]);
    d.vector(op, dst, &[src], tmp, form == Form::Rows);
    d.store(dst);
    let want = Want {
        prim: prim(op, dtype, dtype)?,
        operands: vec![x],
        tolerance: f.reordered[usize::from(dtype != DType::F16)],
        before: (form == Form::Rows).then_some(before),
    };
    Some(exact(d, op, Some(want)))
}

fn halves(op: VectorOp, dtype: DType, form: Form, name: String) -> Option<Case> {
    // Left and right, of one row and of several; upper and lower, of rows with padding too.
    let (physical, valid, half, cols) = match form {
        Form::Full => ((1, 256), (1, 256), (1, 128), 128),
        Form::Part => ((6, 64), (6, 40), (3, 40), 64),
        Form::Rows => ((5, 256), (5, 256), (5, 128), 128),
        _ => return None,
    };
    let mut d = Draft::new(name);
    let x = d.tile(UB, dtype, physical, valid);
    load(&mut d, x, dtype, 0);
    let dst = d.tile(UB, dtype, (half.0, cols), half);
    d.vector(op, dst, &[x], None, false);
    d.store(dst);
    Some(exact(d, op, None))
}

fn sort(op: VectorOp, to: DType, form: Form, name: String) -> Option<Case> {
    let is_indices = op == VectorOp::PairIndices;
    if form != Form::Full || (to != DType::F32 && !is_indices) {
        return None;
    }
    let n = match op {
        VectorOp::MergeSort { .. } => 256,
        _ => 64,
    };
    let mut d = Draft::new(name);
    let x = d.tile(UB, DType::F32, (1, n), (1, n));
    let index = d.tile(UB, DType::U32, (1, n), (1, n));
    load(&mut d, x, DType::F32, 0);
    d.vector(VectorOp::Iota, index, &[], None, false);
    let pairs = d.tile(UB, DType::F32, (1, 2 * n), (1, 2 * n));
    d.vector(VectorOp::Sort32, pairs, &[x, index], None, false);
    let mut last = pairs;
    let mut run = 32;
    while let VectorOp::MergeSort { run: most } = op
        && run <= most
    {
        let merge = VectorOp::MergeSort { run };
        let next = d.tile(UB, DType::F32, (1, 2 * n), (1, 2 * n));
        let tmp = d.scratch(&merge, next, &[last]);
        d.vector(merge, next, &[last], tmp, false);
        last = next;
        run *= 4;
    }
    if is_indices {
        let dst = d.tile(UB, to, (1, 16), (1, 11));
        d.vector(op, dst, &[last], None, false);
        last = dst;
    }
    d.store(last);
    Some(exact(d, op, None))
}

fn gather(op: VectorOp, by: DType, dtype: DType, form: Form, name: String) -> Option<Case> {
    if form != Form::Full {
        return None;
    }
    let mut d = Draft::new(name);
    let x = d.tile(UB, dtype, (1, 64), (1, 64));
    let operand = load(&mut d, x, dtype, 0);
    let index = d.tile(UB, by, (1, 32), (1, 21));
    let places: Vec<i64> = (0..21).map(|i| i * 37 % 64).collect();
    let indices = Tensor::from_i64(by, &[1, 21], &places).ok()?;
    d.load(index, &format!("places_{by}"), indices);
    let dst = d.tile(UB, dtype, (1, 32), (1, 21));
    let tmp = d.scratch(&op, dst, &[x, index]);
    d.vector(op, dst, &[x, index], tmp, false);
    d.store(dst);
    // The interpreter's indices are i32.
    let indices = Tensor::from_i64(DType::I32, &[1, 21], &places).ok()?;
    let want = Want {
        prim: prim(op, by, dtype)?,
        operands: vec![operand, indices],
        tolerance: 0.0,
        before: None,
    };
    Some(exact(d, op, Some(want)))
}

/// Rows that a case with a run-time count writes.
pub fn written_rows(form: Form) -> Option<usize> {
    (form == Form::Rows).then_some(COUNT)
}
