//! The cases: every instruction, on every combination of types, forms and shapes that verifies and has a C++ form. So a
//! form that the emitter can produce has a case by construction, and a new instruction does not compile here until it is
//! given one, in [`samples`] and [`draft`].

use crate::build::{COUNT, Draft};
use crate::data::{edges, moderate};
use tilewright_backends::data::Tensor;
use tilewright_backends::data::convert::round_f32;
use tilewright_ir::graph::{Binary, Prim, Reduce, Unary};
use tilewright_ir::kernel::{Layout, Space, VectorOp};
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

/// Every instruction of the vector unit, with the values of its parameters that matter. The match has no wildcard: what
/// is new is missing here.
pub fn samples() -> Vec<VectorOp> {
    let mut all = vec![];
    let mut op = Some(VectorOp::Cvt(Round::Rint));
    while let Some(this) = op {
        op = match this {
            VectorOp::Cvt(_) => {
                all.extend(Round::ALL.map(VectorOp::Cvt));
                Some(VectorOp::Unary(Unary::Abs))
            }
            VectorOp::Unary(_) => {
                all.extend(Unary::ALL.map(VectorOp::Unary));
                Some(VectorOp::Scalar(Binary::Add, 0.0))
            }
            VectorOp::Scalar(..) => {
                for f in Binary::ALL {
                    all.extend([3.0, -0.0, 1.0 / 3.0].map(|v| VectorOp::Scalar(f, v)));
                }
                Some(VectorOp::Binary(Binary::Add))
            }
            VectorOp::Binary(_) => {
                all.extend(Binary::ALL.map(VectorOp::Binary));
                Some(VectorOp::RowExpand(Binary::Add))
            }
            VectorOp::RowExpand(_) => {
                all.extend(Binary::ALL.map(VectorOp::RowExpand));
                Some(VectorOp::ColExpand(Binary::Add))
            }
            VectorOp::ColExpand(_) => {
                all.extend(Binary::ALL.map(VectorOp::ColExpand));
                Some(VectorOp::Halves(Binary::Add))
            }
            VectorOp::Halves(_) => {
                all.extend(Binary::ALL.map(VectorOp::Halves));
                Some(VectorOp::RowReduce(Reduce::Sum))
            }
            VectorOp::RowReduce(_) => {
                all.extend(Reduce::ALL.map(VectorOp::RowReduce));
                Some(VectorOp::Fill(0.0))
            }
            VectorOp::Fill(_) => {
                let values = [0.0, -7.0, 0.3, f32::MIN, f32::INFINITY, f32::NAN];
                all.extend(values.map(VectorOp::Fill));
                Some(VectorOp::Copy)
            }
            VectorOp::Copy => {
                all.push(this);
                Some(VectorOp::Iota)
            }
            VectorOp::Iota => {
                all.push(this);
                Some(VectorOp::Sort32)
            }
            VectorOp::Sort32 => {
                all.push(this);
                Some(VectorOp::MergeSort { run: 32 })
            }
            VectorOp::MergeSort { .. } => {
                all.extend([32, 128].map(|run| VectorOp::MergeSort { run }));
                Some(VectorOp::PairIndices)
            }
            VectorOp::PairIndices => {
                all.push(this);
                Some(VectorOp::Gather)
            }
            VectorOp::Gather => {
                all.push(this);
                None
            }
        };
    }
    all
}

/// An instruction on types `from` and `to` in a form; nothing where that is no new case. Whether the ISA has it is not
/// asked here.
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
    match op {
        VectorOp::Cvt(round) => {
            let prim = Prim::Cast { to, round };
            // In the graph a cast to the same type does nothing; the instruction rounds to integers.
            element_wise(op, &[from], to, form, name, (from != to).then_some(prim))
        }
        _ if from != to && !matches!(op, VectorOp::Gather) => None,
        VectorOp::Unary(f) => element_wise(op, &[to], to, form, name, Some(Prim::Unary(f))),
        VectorOp::Scalar(f, value) => {
            // The instruction's constant has the type of the tile; the graph's is f32.
            let value = round_f32(value, to);
            let prim = Prim::Scalar { op: f, value };
            element_wise(op, &[to], to, form, name, Some(prim))
        }
        VectorOp::Binary(f) => element_wise(op, &[to, to], to, form, name, Some(Prim::Binary(f))),
        VectorOp::RowExpand(_) | VectorOp::ColExpand(_) => broadcast(op, to, form, name),
        VectorOp::Halves(_) => halves(op, to, form, name),
        VectorOp::RowReduce(f) => reduce(op, f, to, form, name),
        // The simulator refuses a copy of a tile onto itself.
        VectorOp::Copy if form == Form::InPlace => None,
        VectorOp::Fill(_) | VectorOp::Copy => element_wise(
            op,
            &[to][..usize::from(op == VectorOp::Copy)],
            to,
            form,
            name,
            None,
        ),
        VectorOp::Iota => {
            let (mut d, n) = (Draft::new(name), 40);
            let dst = d.tile(UB, to, (1, n), (1, n));
            d.vector(op, dst, &[], None, false);
            d.store(dst);
            (form == Form::Full).then(|| exact(d, op, None))
        }
        VectorOp::Sort32 | VectorOp::MergeSort { .. } | VectorOp::PairIndices => {
            sort(op, to, form, name)
        }
        VectorOp::Gather => gather(op, from, to, form, name),
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

fn element_wise(
    op: VectorOp,
    from: &[DType],
    to: DType,
    form: Form,
    name: String,
    prim: Option<Prim>,
) -> Option<Case> {
    let mut d = Draft::new(name);
    let (physical, valid) = form.extent();
    let (dst, mut before) = result(&mut d, to, form);
    let (mut srcs, mut operands) = (vec![], vec![]);
    for (i, dtype) in from.iter().enumerate() {
        if form == Form::InPlace && i == 0 {
            if *dtype != to {
                return None;
            }
            srcs.push(dst);
            operands.push(before.clone());
            continue;
        }
        let tile = d.tile((Space::Ub, form.layout()), *dtype, physical, valid);
        operands.push(load(&mut d, tile, *dtype, i));
        srcs.push(tile);
    }
    d.vector(op, dst, &srcs, None, form == Form::Rows);
    d.store(dst);
    before.dtype = to;
    let want = prim.map(|prim| Want {
        prim,
        operands,
        tolerance: 0.0,
        before: (form == Form::Rows).then_some(before),
    });
    let ulps = match op {
        VectorOp::Unary(Unary::Exp | Unary::Log) => 1,
        _ => 0,
    };
    Some(Case {
        ulps,
        ..exact(d, op, want)
    })
}

fn broadcast(op: VectorOp, dtype: DType, form: Form, name: String) -> Option<Case> {
    if form == Form::Column {
        return None;
    }
    let mut d = Draft::new(name);
    let (physical, valid) = form.extent();
    let (dst, before) = result(&mut d, dtype, form);
    let (src, x) = match form {
        Form::InPlace => (dst, before.clone()),
        _ => {
            let src = d.tile(UB, dtype, physical, valid);
            (src, load(&mut d, src, dtype, 0))
        }
    };
    let (second, mut y, prim) = match op {
        VectorOp::RowExpand(f) => {
            let column = (Space::Ub, Layout::ColMajor);
            let tile = d.tile(column, dtype, (32, 1), (valid.0, 1));
            (tile, load(&mut d, tile, dtype, 3), Prim::RowBinary(f))
        }
        VectorOp::ColExpand(f) => {
            let tile = d.tile(UB, dtype, (1, physical.1), (1, valid.1));
            (tile, load(&mut d, tile, dtype, 3), Prim::ColBinary(f))
        }
        _ => return None,
    };
    // Without a scratch tile in one form.
    let tmp = match form {
        Form::InPlace => None,
        _ => d.scratch(&op, dst, &[src, second]),
    };
    d.vector(op, dst, &[src, second], tmp, form == Form::Rows);
    d.store(dst);
    y.shape = match op {
        VectorOp::RowExpand(_) => vec![valid.0, 1],
        _ => vec![valid.1],
    };
    let want = Want {
        prim,
        operands: vec![x, y],
        tolerance: 0.0,
        before: (form == Form::Rows).then_some(before),
    };
    Some(exact(d, op, Some(want)))
}

/// More columns than lanes, fewer, and edges in some of the rows.
fn reduce(op: VectorOp, f: Reduce, dtype: DType, form: Form, name: String) -> Option<Case> {
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
        prim: Prim::RowReduce(f),
        operands: vec![x],
        tolerance: match (f, dtype) {
            (Reduce::Sum, DType::F16) => 1e-3,
            (Reduce::Sum, _) => 1e-5,
            _ => 0.0,
        },
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
        prim: Prim::GatherCols,
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
