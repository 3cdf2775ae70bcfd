//! Whole values.

use super::{COLS, Maker, ROWS, TYPES, Want};
use egg::{ENodeOrVar, Id};
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{Binary, Op, Operator, Unary, infer};
use tilewright_ir::op::{Access, Cols, Dim, Part, Type};
use tilewright_passes::term::language::{Head, Term};

impl Maker<'_> {
    /// The term of a whole value; none where the choices make none.
    pub(super) fn tensor(&mut self, at: Id, want: Want) -> Option<Id> {
        let (head, c) = match &self.left[at] {
            ENodeOrVar::Var(v) => return self.var(*v, want, |m| m.some_value(want)),
            ENodeOrVar::ENode(Term::App(head, c)) => (*head, c.clone()),
            ENodeOrVar::ENode(_) => return None,
        };
        match head {
            Head::Input => self.input(&c, want),
            Head::Buf => self.buf(head, &c, want),
            Head::Op(Operator::Cast(to, _)) => self.cast(head, to, &c, want),
            Head::Op(Operator::Unary(op)) => self.unary(head, op, &c, want),
            Head::Op(Operator::Scalar(op)) | Head::Op(Operator::ScalarLeft(op)) => {
                self.with_constant(head, op, &c, want)
            }
            Head::Op(Operator::Binary(op))
            | Head::Op(Operator::RowBinary(op))
            | Head::Op(Operator::ColBinary(op)) => self.of_two(head, op, &c, want),
            Head::Op(Operator::MaskRows) => self.mask_rows(head, &c, want),
            Head::Op(Operator::Reduce(_)) => self.reduce(head, &c, want),
            Head::Op(Operator::MatmulNt) => self.matmul_nt(head, &c, want),
            Head::Op(Operator::GroupColBinary(op)) => self.group_col_binary(head, op, &c, want),
            Head::Op(Operator::GroupedMatmulNt) => self.grouped_matmul_nt(head, &c, want),
            Head::Op(Operator::SliceCols) => self.slice_cols(head, &c, want),
            Head::Op(Operator::RepeatCols) => self.repeat_cols(head, &c, want),
            Head::Op(Operator::Transpose) => self.transpose(head, &c, want),
            Head::Op(Operator::Reshape) => self.reshape(head, &c, want),
            Head::Op(Operator::Sinkhorn) => self.sinkhorn(head, &c, want),
            Head::Parts => self.parts(head, &c, want),
            Head::Op(Operator::PadCols) => self.pad_cols(head, &c, want),
            Head::Op(operator) if is_of_rows(operator) => self.of_rows(operator, &c, want),
            Head::Op(Operator::TopK) => self.top_k(head, &c, want),
            Head::Op(Operator::GatherCols) => self.gather_cols(head, &c, want),
            Head::Op(Operator::GatherRows) => self.gather_rows(head, &c, want),
            Head::Launch(_) => self.launch(head, &c, want),
            _ => None,
        }
    }

    fn input(&mut self, c: &[Id], want: Want) -> Option<Id> {
        let (name, id) = self.fresh(want);
        let ENodeOrVar::Var(v) = &self.left[c[0]] else {
            return None;
        };
        self.vars.insert(*v, name);
        Some(id)
    }

    fn buf(&mut self, head: Head, c: &[Id], want: Want) -> Option<Id> {
        let name = self.name(c[0])?;
        let value = self.tensor(c[1], want)?;
        Some(self.app(head, [name, value]))
    }

    fn cast(&mut self, head: Head, to: DType, c: &[Id], want: Want) -> Option<Id> {
        let dtype = self.c.pick(&TYPES);
        let x = self.tensor(c[0], Want { dtype, ..want })?;
        (to == want.dtype).then(|| self.app(head, [x]))
    }

    fn unary(&mut self, head: Head, op: Unary, c: &[Id], want: Want) -> Option<Id> {
        let Want { dtype, .. } = want;
        let whole = matches!(op, Unary::Abs | Unary::Neg);
        let x = (whole || dtype.is_float()).then(|| self.tensor(c[0], want))??;
        Some(self.app(head, [x]))
    }

    fn with_constant(&mut self, head: Head, op: Binary, c: &[Id], want: Want) -> Option<Id> {
        let Want { dtype, .. } = want;
        divides(op, dtype)?;
        let x = self.tensor(c[0], want)?;
        let k = self.constant(c[1], dtype)?;
        Some(self.app(head, [x, k]))
    }

    fn of_two(&mut self, head: Head, op: Binary, c: &[Id], want: Want) -> Option<Id> {
        let Want { dtype, .. } = want;
        divides(op, dtype)?;
        let x = self.tensor(c[0], want)?;
        let other = match head {
            Head::Op(Operator::RowBinary(_)) => Want { cols: 1, ..want },
            Head::Op(Operator::ColBinary(_)) => Want { rows: 1, ..want },
            _ => want,
        };
        let y = self.tensor(c[1], other)?;
        Some(self.app(head, [x, y]))
    }

    fn mask_rows(&mut self, head: Head, c: &[Id], want: Want) -> Option<Id> {
        let Want { rows, .. } = want;
        let x = self.tensor(c[0], want)?;
        let count = Want {
            rows: 1,
            cols: 1,
            dtype: DType::I32,
            below: Some(rows + 1),
            ..want
        };
        let n = self.tensor(c[1], count)?;
        Some(self.app(head, [x, n]))
    }

    fn reduce(&mut self, head: Head, c: &[Id], want: Want) -> Option<Id> {
        let Want { cols, .. } = want;
        let extent = self.c.pick(&COLS);
        let over = Want {
            cols: extent,
            ..want
        };
        let x = (cols == 1).then(|| self.tensor(c[0], over))??;
        let id = self.app(head, [x]);
        self.seed_loop(id, extent, false);
        Some(id)
    }

    /// What is computed of the whole rows of one operand: of types that it takes, and as wide as its row of the table says.
    fn of_rows(&mut self, operator: Operator, c: &[Id], want: Want) -> Option<Id> {
        let cols = match operator.primitive().shape.cols {
            Cols::One if want.cols != 1 => return None,
            Cols::One => self.c.pick(&COLS),
            _ => want.cols,
        };
        let taken = Type::new(want.dtype, [want.rows, cols].map(Dim::new));
        infer(&Op::Prim(operator.prim(&[])?), &[taken], 1).ok()?;
        let x = self.tensor(c[0], Want { cols, ..want })?;
        Some(self.app(Head::Op(operator), [x]))
    }

    fn matmul_nt(&mut self, head: Head, c: &[Id], want: Want) -> Option<Id> {
        let extent = self.c.pick(&COLS);
        let (a, b) = self.factors(want, (c[0], c[1]), extent)?;
        let id = self.app(head, [a, b]);
        self.seed_loop(id, extent, true);
        Some(id)
    }

    fn group_col_binary(&mut self, head: Head, op: Binary, c: &[Id], want: Want) -> Option<Id> {
        let Want { rows, dtype, .. } = want;
        divides(op, dtype)?;
        let g = self.divisor(c[0], rows)?;
        let x = self.tensor(c[1], want)?;
        let s = self.tensor(c[2], Want { rows: g, ..want })?;
        let g = self.num(g);
        Some(self.app(head, [g, x, s]))
    }

    fn grouped_matmul_nt(&mut self, head: Head, c: &[Id], want: Want) -> Option<Id> {
        let Want { rows, cols, .. } = want;
        let g = self.divisor(c[0], rows)?;
        let extent = self.c.pick(&COLS);
        let all = Want {
            cols: g * cols,
            ..want
        };
        let (a, b) = self.factors(all, (c[1], c[2]), extent)?;
        let g = self.num(g);
        let id = self.app(head, [g, a, b]);
        self.seed_loop(id, extent, true);
        Some(id)
    }

    fn slice_cols(&mut self, head: Head, c: &[Id], want: Want) -> Option<Id> {
        let Want { cols, .. } = want;
        let parts = 1 + self.c.below(3);
        let whole = Want {
            cols: parts * cols,
            ..want
        };
        let x = self.tensor(c[0], whole)?;
        let from = self.c.below(parts) * cols;
        let from = self.number(c[1], &[from])?;
        let to = self.number(c[2], &[from + cols])?;
        let [from, to] = [from, to].map(|n| self.num(n));
        Some(self.app(head, [x, from, to]))
    }

    fn repeat_cols(&mut self, head: Head, c: &[Id], want: Want) -> Option<Id> {
        let Want { cols, .. } = want;
        let x = self.tensor(c[0], Want { cols: 1, ..want })?;
        let n = self.leaf(c[1], cols)?;
        Some(self.app(head, [x, n, n]))
    }

    fn reshape(&mut self, head: Head, c: &[Id], want: Want) -> Option<Id> {
        let elements = want.rows * want.cols;
        let rows = (2..=elements).find(|n| elements.is_multiple_of(*n));
        let rows = rows.unwrap_or(1);
        let other = Want {
            rows,
            cols: elements / rows,
            ..want
        };
        let x = self.tensor(c[0], other)?;
        let rows = self.leaf(c[1], want.rows)?;
        let cols = self.leaf(c[2], want.cols)?;
        Some(self.app(head, [x, rows, cols]))
    }

    fn transpose(&mut self, head: Head, c: &[Id], want: Want) -> Option<Id> {
        let turned = Want {
            rows: want.cols,
            cols: want.rows,
            ..want
        };
        let x = self.tensor(c[0], turned)?;
        Some(self.app(head, [x]))
    }

    fn sinkhorn(&mut self, head: Head, c: &[Id], want: Want) -> Option<Id> {
        let Want { cols, dtype, .. } = want;
        let n = (1..=cols).find(|n| n * n >= cols)?;
        let fits = dtype == DType::F32 && n * n == cols;
        let x = fits.then(|| self.tensor(c[0], want))??;
        let n = self.leaf(c[1], n)?;
        let i = self.number(c[2], &[1, 2, 5])?;
        let i = self.num(i);
        let e = self.constant(c[3], dtype)?;
        Some(self.app(head, [x, n, i, e]))
    }

    fn parts(&mut self, head: Head, c: &[Id], want: Want) -> Option<Id> {
        let Want { rows, .. } = want;
        let s = self.divisor(c[0], rows)?;
        let extent = s * self.c.pick(&COLS);
        let stacked = Want {
            rows: rows / s,
            ..want
        };
        let (a, b) = self.factors(stacked, (c[1], c[2]), extent)?;
        let product = self.app(Head::Op(Operator::MatmulNt), [a, b]);
        self.seed_loop(product, extent, true);
        let s = self.num(s);
        Some(self.app(head, [s, a, b]))
    }

    fn pad_cols(&mut self, head: Head, c: &[Id], want: Want) -> Option<Id> {
        let Want { cols, dtype, .. } = want;
        // Any width, or one that is sorted without padding.
        let narrower = match self.c.below(2) {
            0 => 1 + self.c.below(cols),
            _ => 1 << cols.saturating_sub(1).max(1).ilog2(),
        };
        let data = Want {
            cols: narrower,
            ..want
        };
        let x = self.tensor(c[0], data)?;
        let width = self.leaf(c[1], cols)?;
        let value = self.constant(c[2], dtype)?;
        Some(self.app(head, [x, width, value]))
    }

    fn top_k(&mut self, head: Head, c: &[Id], want: Want) -> Option<Id> {
        let Want { cols, dtype, .. } = want;
        let over = Want {
            cols: self.c.pick(&COLS),
            dtype: DType::F32,
            ..want
        };
        let fits = cols <= over.cols && dtype == DType::I32;
        let x = fits.then(|| self.tensor(c[0], over))??;
        let k = self.leaf(c[1], cols)?;
        Some(self.app(head, [x, k]))
    }

    fn gather_cols(&mut self, head: Head, c: &[Id], want: Want) -> Option<Id> {
        let over = Want {
            cols: self.c.pick(&COLS),
            ..want
        };
        let index = Want {
            dtype: DType::I32,
            below: Some(over.cols),
            ..want
        };
        let x = self.tensor(c[0], over)?;
        let i = self.tensor(c[1], index)?;
        Some(self.app(head, [x, i]))
    }

    fn gather_rows(&mut self, head: Head, c: &[Id], want: Want) -> Option<Id> {
        let Want { rows, .. } = want;
        let table = Want {
            rows: self.c.pick(&ROWS),
            ..want
        };
        let index = Want {
            rows: 1,
            cols: rows,
            dtype: DType::I64,
            below: Some(table.rows),
            ..want
        };
        let t = self.tensor(c[0], table)?;
        let i = self.tensor(c[1], index)?;
        Some(self.app(head, [t, i]))
    }

    fn launch(&mut self, head: Head, c: &[Id], want: Want) -> Option<Id> {
        let Want { rows, cols, .. } = want;
        let (t, w) = (self.leaf(c[0], rows)?, self.leaf(c[1], cols)?);
        let block = self.some_block(rows, cols);
        let body = self.block(c[2], Want { block, ..want })?;
        Some(self.app(head, [t, w, body]))
    }

    /// Operands of a product over `extent`.
    fn factors(&mut self, want: Want, (a, b): (Id, Id), extent: usize) -> Option<(Id, Id)> {
        let dtype = match want.dtype {
            DType::I32 => DType::I8,
            DType::F32 => self.c.pick(&[DType::F32, DType::Bf16, DType::F16]),
            _ => return None,
        };
        let of = |rows| Want {
            rows,
            cols: extent,
            block: (rows, extent),
            dtype,
            below: None,
        };
        Some((
            self.tensor(a, of(want.rows))?,
            self.tensor(b, of(want.cols))?,
        ))
    }
}

/// Whether an operation takes the whole rows of one operand, and nothing else.
fn is_of_rows(operator: Operator) -> bool {
    let primitive = operator.primitive();
    let rows = matches!(
        primitive.access,
        Access::Row {
            parts: [Part::Rows],
            ..
        }
    );
    rows && primitive.numbers.is_empty()
}

/// Integers have no division.
fn divides(op: Binary, dtype: DType) -> Option<()> {
    (op != Binary::Div || dtype.is_float()).then_some(())
}
