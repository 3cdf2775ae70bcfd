//! What the instruction set allows: memories, types, shapes and aliases of one instruction (a2a3).
//!
//! Rules are those of the public headers of PTO-ISA, `include/pto/npu/a2a3/*.hpp`, where they are static or run-time assertions;
//! a rule that is only a limit of an encoding (a repeat count of 8 bits) is one too, since it goes wrong in silence.

use super::super::{Instr, Layout, Space, Tile, TileRef, VectorOp};
use super::{Check, KernelError, Verifier};
use crate::dtype::DType;
use crate::graph::{Binary, Reduce, Unary};

/// Casts of TCVT.
const CASTS: [(DType, &[DType]); 6] = [
    (
        DType::F32,
        &[DType::F32, DType::F16, DType::Bf16, DType::I32, DType::I64],
    ),
    (DType::F16, &[DType::F32, DType::I32, DType::I8]),
    (DType::Bf16, &[DType::F32, DType::I32]),
    (DType::I32, &[DType::F32, DType::I64, DType::F16]),
    (DType::I64, &[DType::F32, DType::I32]),
    (DType::I8, &[DType::F16]),
];

const FLOATS: &[DType] = &[DType::F16, DType::F32];
const NUMBERS: &[DType] = &[DType::F16, DType::F32, DType::I32];

/// Rows that a vector transfer may have (bursts of 12 bits).
const MAX_BURSTS: usize = 4095;
/// Rows or columns of a product's operand.
const MAX_MATMUL: usize = 4095;
/// Bytes at a multiple of which a vector operand starts.
const BLOCK: usize = 32;
/// Repeats of one vector instruction.
const MAX_REPEATS: usize = 255;

/// Whether the instruction set casts `from` to `to` in one instruction.
pub fn has_cast(from: DType, to: DType) -> bool {
    CASTS
        .iter()
        .any(|(f, list)| *f == from && list.contains(&to))
}

impl<'a> Verifier<'a> {
    pub(super) fn types(&self, what: String, help: String) -> KernelError {
        KernelError::Type {
            place: self.place(),
            what,
            help,
        }
    }

    pub(super) fn shape(&self, what: String, help: String) -> KernelError {
        KernelError::Shape {
            place: self.place(),
            what,
            help,
        }
    }

    fn space(&self, t: &Tile, spaces: &[Space]) -> Check {
        if spaces.contains(&t.space) {
            return Ok(());
        }
        let names: Vec<_> = spaces.iter().map(|s| s.name()).collect();
        Err(KernelError::Space {
            place: self.place(),
            what: format!("tile `{}` is in {}", t.name, t.space.name()),
            help: format!("use a tile in {}", names.join(" or ")),
        })
    }

    fn of_type(&self, t: &Tile, types: &[DType]) -> Check {
        if types.contains(&t.dtype) {
            return Ok(());
        }
        let names: Vec<_> = types.iter().map(|d| d.name()).collect();
        Err(self.types(
            format!(
                "tile `{}` is {}, which the instruction does not take",
                t.name, t.dtype
            ),
            format!("cast it to {}", names.join(" or ")),
        ))
    }

    fn same_type(&self, a: &Tile, b: &Tile) -> Check {
        if a.dtype == b.dtype {
            return Ok(());
        }
        Err(self.types(
            format!(
                "`{}` is {}, but `{}` is {}",
                a.name, a.dtype, b.name, b.dtype
            ),
            format!("cast `{}` to {}", b.name, a.dtype),
        ))
    }

    fn layout(&self, t: &Tile, layout: Layout) -> Check {
        if t.layout == layout {
            return Ok(());
        }
        Err(self.shape(
            format!("`{}` is {}", t.name, t.layout.name()),
            format!("make it {}", layout.name()),
        ))
    }

    /// The valid extents are `rows x cols`.
    fn valid(&self, t: &Tile, rows: usize, cols: usize) -> Check {
        if (t.valid_rows, t.valid_cols) == (rows, cols) {
            return Ok(());
        }
        Err(self.shape(
            format!(
                "`{}` has {} x {} valid elements, but needs {rows} x {cols}",
                t.name, t.valid_rows, t.valid_cols
            ),
            format!("make it {rows} x {cols}"),
        ))
    }

    fn at_most(&self, what: &str, found: usize, limit: usize) -> Check {
        if found <= limit {
            return Ok(());
        }
        Err(self.count(what.to_owned(), found, format!("at most {limit}")))
    }

    /// The instruction reads an operand after it has begun to write.
    fn apart(&self, dst: &TileRef, src: &TileRef) -> Check {
        if dst.tile != src.tile {
            return Ok(());
        }
        Err(KernelError::Form {
            place: self.place(),
            what: "the result overwrites an operand that is still read".to_owned(),
            help: "write to another tile".to_owned(),
        })
    }

    pub(super) fn instruction(&self, i: &'a Instr) -> Check {
        match i {
            Instr::Load { dst, src } => {
                let tensor = self.own(src)?;
                let tile = self.tile(dst)?;
                self.space(tile, &[Space::Ub, Space::L1])?;
                if src.step != 1 {
                    // Other layouts have no stride of their own.
                    self.space(tile, &[Space::Ub])?;
                    self.layout(tile, Layout::RowMajor)?;
                }
                self.transfer(
                    tensor.dtype,
                    tensor.matrix(),
                    &src.tensor,
                    tile,
                    (src.rows, src.cols),
                )
            }
            Instr::Store { dst, src } => {
                let tensor = self.global(dst)?;
                let tile = self.tile(src)?;
                if dst.step != 1 {
                    return Err(self.count(
                        "the step of a store".to_owned(),
                        dst.step,
                        "1".to_owned(),
                    ));
                }
                let spaces = match dst.peer {
                    None => &[Space::Ub, Space::L0c][..],
                    Some(_) => &[Space::Ub],
                };
                self.space(tile, spaces)?;
                self.transfer(
                    tensor.dtype,
                    tensor.matrix(),
                    &dst.tensor,
                    tile,
                    (dst.rows, dst.cols),
                )
            }
            Instr::Move { dst, src, from } => {
                let (dst, src) = (self.tile(dst)?, self.tile(src)?);
                self.space(src, &[Space::L1])?;
                self.space(dst, &[Space::L0a, Space::L0b])?;
                self.same_type(dst, src)?;
                self.layout(
                    src,
                    match dst.space {
                        Space::L0a => Layout::Nz,
                        _ => Layout::Zn,
                    },
                )?;
                self.piece(dst, src, *from)
            }
            Instr::Matmul { dst, lhs, rhs, .. } => self.matmul(dst, lhs, rhs),
            Instr::Vector { op, dst, srcs, tmp } => self.vector(op, dst, srcs, tmp.as_ref()),
            Instr::ReadScalar { dst, src } => {
                self.index("register", *dst, self.kernel.registers)?;
                self.own(src)?;
                self.integer(src, &[DType::I32, DType::U32, DType::I64])
            }
            scalar => self.scalar(scalar),
        }
    }

    /// A rectangle and its tile: TLOAD and TSTORE.
    fn transfer(
        &self,
        dtype: DType,
        (_, tensor_cols): (usize, usize),
        name: &str,
        tile: &Tile,
        (rows, cols): (usize, usize),
    ) -> Check {
        if dtype != tile.dtype {
            return Err(self.types(
                format!(
                    "`{name}` is {dtype}, but tile `{}` is {}",
                    tile.name, tile.dtype
                ),
                format!("use a tile of {dtype}: a transfer converts nothing"),
            ));
        }
        let (high, wide) = match tile.layout {
            // The view is transposed.
            Layout::Zn => (tile.valid_cols, tile.valid_rows),
            // A column lies as a row, and may be moved as either.
            Layout::ColMajor if rows == 1 => (1, tile.valid_rows),
            _ => (tile.valid_rows, tile.valid_cols),
        };
        if rows > high || cols > wide {
            return Err(self.shape(
                format!(
                    "{rows} x {cols} elements do not fit in tile `{}` of {high} x {wide}",
                    tile.name
                ),
                format!("move at most {high} x {wide}"),
            ));
        }
        if tile.layout == Layout::ColMajor && rows > 1 && tensor_cols != 1 {
            return Err(self.shape(
                format!("a column of `{name}`, which has {tensor_cols} columns, is not contiguous"),
                "move row-major tiles, or give the tensor one column".to_owned(),
            ));
        }
        match tile.space {
            Space::Ub => self.at_most("the number of rows", rows, MAX_BURSTS),
            Space::L0c => {
                self.at_most("the number of rows", rows, 8192)?;
                self.at_most("the number of columns", cols, 4095)
            }
            _ => {
                self.at_most("the number of rows", rows, 16384)?;
                self.at_most("the tensor's number of columns", tensor_cols, 65535)
            }
        }
    }

    fn matmul(&self, dst: &TileRef, lhs: &TileRef, rhs: &TileRef) -> Check {
        let (acc, a, b) = (self.tile(dst)?, self.tile(lhs)?, self.tile(rhs)?);
        self.space(acc, &[Space::L0c])?;
        self.space(a, &[Space::L0a])?;
        self.space(b, &[Space::L0b])?;
        self.same_type(a, b)?;
        let sum = match a.dtype {
            DType::I8 => DType::I32,
            _ => DType::F32,
        };
        if acc.dtype != sum {
            return Err(self.types(
                format!(
                    "products of {} are summed in {sum}, but `{}` is {}",
                    a.dtype, acc.name, acc.dtype
                ),
                format!("make `{}` {sum}", acc.name),
            ));
        }
        let (m, k, n) = (a.valid_rows, a.valid_cols, b.valid_cols);
        self.valid(b, k, n)?;
        self.valid(acc, m, n)?;
        for (what, found) in [("m", m), ("k", k), ("n", n)] {
            self.at_most(what, found, MAX_MATMUL)?;
        }
        // Columns of the result may end within a fractal; what is summed may not.
        if !k.is_multiple_of(16) {
            return Err(self.count(
                "k".to_owned(),
                k,
                format!("a multiple of 16, so {}", k.next_multiple_of(16)),
            ));
        }
        Ok(())
    }

    fn vector(
        &self,
        op: &VectorOp,
        dst_ref: &TileRef,
        src_refs: &'a [TileRef],
        tmp_ref: Option<&TileRef>,
    ) -> Check {
        let arity = match op {
            VectorOp::Fill(_) | VectorOp::Iota => 0,
            VectorOp::Binary(_)
            | VectorOp::RowExpand(_)
            | VectorOp::ColExpand(_)
            | VectorOp::Sort32
            | VectorOp::Gather => 2,
            _ => 1,
        };
        if src_refs.len() != arity {
            return Err(self.count(
                "the number of operands".to_owned(),
                src_refs.len(),
                arity.to_string(),
            ));
        }
        let dst = self.tile(dst_ref)?;
        let srcs = src_refs
            .iter()
            .map(|s| self.tile(s))
            .collect::<Result<Vec<_>, _>>()?;
        let tmp = tmp_ref.map(|t| self.tile(t)).transpose()?;
        for t in std::iter::once(dst).chain(srcs.iter().copied()).chain(tmp) {
            self.space(t, &[Space::Ub])?;
        }
        if let Some(t) = tmp_ref {
            self.apart(dst_ref, t)?;
            for s in src_refs {
                self.apart(s, t)?;
            }
        }
        let (rows, cols) = (dst.valid_rows, dst.valid_cols);
        match op {
            VectorOp::Cvt(_) => {
                let src = srcs[0];
                if !has_cast(src.dtype, dst.dtype) {
                    let to = CASTS.iter().find(|(f, _)| *f == src.dtype);
                    let names: Vec<_> = to
                        .map(|(_, l)| l.iter().map(|d| d.name()).collect())
                        .unwrap_or_default();
                    return Err(self.types(
                        format!("there is no cast from {} to {}", src.dtype, dst.dtype),
                        match names.as_slice() {
                            [] => format!("nothing casts from {}", src.dtype),
                            n => format!("{} casts to {}: take two casts", src.dtype, n.join(", ")),
                        },
                    ));
                }
                if src.dtype.bytes() != dst.dtype.bytes() {
                    self.apart(dst_ref, &src_refs[0])?;
                }
                self.same_elements(dst, src)
            }
            VectorOp::Unary(u) => {
                self.of_type(dst, if *u == Unary::Neg { NUMBERS } else { FLOATS })?;
                self.same_type(dst, srcs[0])?;
                self.same_elements(dst, srcs[0])
            }
            VectorOp::Scalar(b, _) => {
                self.of_type(dst, arithmetic(*b))?;
                if *b == Binary::Div {
                    self.apart(dst_ref, &src_refs[0])?;
                }
                self.same_type(dst, srcs[0])?;
                self.same_elements(dst, srcs[0])
            }
            VectorOp::Binary(b) => {
                self.of_type(dst, arithmetic(*b))?;
                for s in &srcs {
                    self.same_type(dst, s)?;
                    self.same_elements(dst, s)?;
                }
                Ok(())
            }
            VectorOp::RowExpand(b) => {
                self.of_type(dst, arithmetic(*b))?;
                for s in &srcs {
                    self.same_type(dst, s)?;
                }
                self.layout(dst, Layout::RowMajor)?;
                self.same_elements(dst, srcs[0])?;
                self.layout(srcs[1], Layout::ColMajor)?;
                self.valid(srcs[1], rows, 1)?;
                self.apart(dst_ref, &src_refs[1])?;
                match tmp {
                    // A block a row, written 8 at a time.
                    Some(t) => self.scratch(t, rows.next_multiple_of(8) * 32),
                    None => Ok(()),
                }
            }
            VectorOp::ColExpand(b) => {
                self.of_type(dst, arithmetic(*b))?;
                for s in &srcs {
                    self.same_type(dst, s)?;
                    self.layout(s, Layout::RowMajor)?;
                }
                self.same_elements(dst, srcs[0])?;
                self.valid(srcs[1], 1, cols)?;
                if rows > 1 {
                    self.apart(dst_ref, &src_refs[1])?;
                    self.at_most("the number of rows", rows, MAX_REPEATS)?;
                    let blocks = dst.cols.max(srcs[0].cols) * dst.dtype.bytes() / 32;
                    self.at_most("the number of 32-byte blocks of a row", blocks, MAX_REPEATS)?;
                }
                Ok(())
            }
            VectorOp::Halves(b) => {
                let src = srcs[0];
                self.of_type(dst, arithmetic(*b))?;
                self.same_type(dst, src)?;
                self.apart(dst_ref, &src_refs[0])?;
                self.layout(dst, Layout::RowMajor)?;
                self.layout(src, Layout::RowMajor)?;
                if src.valid_rows == 2 * rows {
                    return self.valid(src, 2 * rows, cols);
                }
                self.valid(src, rows, 2 * cols)?;
                // The right half starts where an operand can.
                if (cols * dst.dtype.bytes()).is_multiple_of(BLOCK) {
                    return Ok(());
                }
                Err(self.count(
                    "the bytes of a half".to_owned(),
                    cols * dst.dtype.bytes(),
                    format!("a multiple of {BLOCK}"),
                ))
            }
            VectorOp::RowReduce(r) => {
                let src = srcs[0];
                self.of_type(src, if *r == Reduce::Sum { FLOATS } else { NUMBERS })?;
                self.same_type(dst, src)?;
                self.layout(src, Layout::RowMajor)?;
                self.valid(dst, src.valid_rows, 1)?;
                self.apart(dst_ref, &src_refs[0])?;
                match tmp {
                    Some(t) => {
                        self.same_type(src, t)?;
                        self.scratch(t, src.bytes())
                    }
                    None => Err(self.no_scratch(src.bytes())),
                }
            }
            VectorOp::Fill(_) => {
                if dst.dtype == DType::I64 {
                    return Err(self.types(
                        format!("tile `{}` is i64, which cannot be filled", dst.name),
                        "load the value".to_owned(),
                    ));
                }
                Ok(())
            }
            VectorOp::Copy => {
                self.same_type(dst, srcs[0])?;
                self.layout(srcs[0], dst.layout)?;
                self.within(dst, srcs[0])
            }
            VectorOp::Iota => {
                self.of_type(dst, &[DType::I32, DType::U32])?;
                self.row(dst)
            }
            VectorOp::Sort32 => {
                let (values, indices) = (srcs[0], srcs[1]);
                for t in [dst, values, indices] {
                    self.row(t)?;
                }
                self.of_type(values, &[DType::F32])?;
                self.same_type(values, dst)?;
                self.of_type(indices, &[DType::U32])?;
                let n = values.valid_cols;
                if n % 32 != 0 {
                    return Err(self.count(
                        "the number of values".to_owned(),
                        n,
                        format!("a multiple of 32, so {}", n.next_multiple_of(32)),
                    ));
                }
                self.valid(indices, 1, n)?;
                self.valid(dst, 1, 2 * n)?;
                self.apart(dst_ref, &src_refs[0])?;
                self.apart(dst_ref, &src_refs[1])
            }
            VectorOp::MergeSort { run } => {
                self.merge(*run, (dst_ref, dst), (&src_refs[0], srcs[0]), tmp)
            }
            VectorOp::PairIndices => {
                self.row(dst)?;
                self.row(srcs[0])?;
                self.of_type(srcs[0], &[DType::F32])?;
                self.of_type(dst, &[DType::I32, DType::U32])?;
                self.apart(dst_ref, &src_refs[0])?;
                self.at_most("the number of indices", cols, srcs[0].valid_cols / 2)
            }
            VectorOp::Gather => {
                let (data, indices) = (srcs[0], srcs[1]);
                for t in [dst, data, indices] {
                    self.row(t)?;
                }
                self.of_type(data, &[DType::F32, DType::I32, DType::U32, DType::F16])?;
                self.same_type(dst, data)?;
                self.of_type(indices, &[DType::I32, DType::U32])?;
                self.valid(dst, 1, indices.valid_cols)?;
                self.apart(dst_ref, &src_refs[0])
            }
        }
    }

    /// TMRGSORT: groups of four runs, or the two that are left.
    fn merge(
        &self,
        run: usize,
        (dst_ref, dst): (&TileRef, &Tile),
        (src_ref, src): (&TileRef, &Tile),
        tmp: Option<&Tile>,
    ) -> Check {
        for t in [dst, src] {
            self.row(t)?;
            self.of_type(t, &[DType::F32])?;
        }
        self.valid(dst, 1, src.valid_cols)?;
        if run == 0 || !run.is_multiple_of(32) {
            return Err(self.count(
                "the length of a run".to_owned(),
                run,
                "a multiple of 32 pairs, and not 0".to_owned(),
            ));
        }
        // A pair has two columns.
        let pair_cols = src.valid_cols;
        let runs = pair_cols / 2 / run;
        let whole = runs.checked_mul(2 * run) == Some(pair_cols);
        if !whole || runs == 0 || (!runs.is_multiple_of(4) && runs != 2) {
            return Err(self.shape(
                format!("{} pairs are {runs} runs of {run}", pair_cols / 2),
                "merge two runs, or a multiple of four".to_owned(),
            ));
        }
        self.apart(dst_ref, src_ref)?;
        if runs == 2 {
            // The two-list form merges into a scratch tile.
            return match tmp {
                Some(t) => self.scratch(t, src.bytes()),
                None => Err(self.no_scratch(src.bytes())),
            };
        }
        self.at_most("the number of groups of four runs", runs / 4, MAX_REPEATS)
    }

    fn scratch(&self, tmp: &Tile, need: usize) -> Check {
        if tmp.bytes() >= need {
            return Ok(());
        }
        Err(self.count(
            format!("the size in bytes of the scratch tile `{}`", tmp.name),
            tmp.bytes(),
            format!("at least {need}"),
        ))
    }

    fn no_scratch(&self, need: usize) -> KernelError {
        KernelError::Form {
            place: self.place(),
            what: "the instruction has no scratch tile".to_owned(),
            help: format!("give it one of at least {need} bytes"),
        }
    }

    /// A row-major tile of one row.
    fn row(&self, t: &Tile) -> Check {
        self.layout(t, Layout::RowMajor)?;
        self.valid(t, 1, t.valid_cols)
    }

    /// The same physical extents, which a plain move needs.
    /// A piece of a tile of fractals is fractals of it.
    fn piece(&self, dst: &Tile, src: &Tile, (row, col): (usize, usize)) -> Check {
        let (rows, cols) = (row + dst.valid_rows, col + dst.valid_cols);
        if (row, col) == (0, 0) && (dst.rows, dst.cols) == (src.rows, src.cols) {
            return self.valid(src, dst.valid_rows, dst.valid_cols);
        }
        // The inner axis is in fractals of 32 bytes, the other one in fractals of 16.
        let inner = (32 / dst.dtype.bytes()).max(1);
        let (high, wide) = match src.layout {
            Layout::Zn => (inner, 16),
            _ => (16, inner),
        };
        let fits = row + dst.rows <= src.rows
            && col + dst.cols <= src.cols
            && rows <= src.valid_rows
            && cols <= src.valid_cols;
        let whole = [(row, high), (dst.rows, high), (col, wide), (dst.cols, wide)];
        if fits && whole.iter().all(|(n, of)| n.is_multiple_of(*of)) {
            return Ok(());
        }
        Err(self.shape(
            format!(
                "{} x {} from row {row} and column {col} of `{}`, which is {} x {}",
                dst.valid_rows, dst.valid_cols, src.name, src.valid_rows, src.valid_cols
            ),
            format!("take a piece of it whose rows are multiples of {high} and columns of {wide}"),
        ))
    }

    fn same_extent(&self, dst: &Tile, src: &Tile) -> Check {
        if (dst.rows, dst.cols) == (src.rows, src.cols) {
            return Ok(());
        }
        Err(self.shape(
            format!(
                "`{}` is {} x {}, but `{}` is {} x {}",
                dst.name, dst.rows, dst.cols, src.name, src.rows, src.cols
            ),
            "make both extents the same".to_owned(),
        ))
    }

    /// A copy fills the first rows and columns; several rows must lie equally far apart.
    fn within(&self, dst: &Tile, src: &Tile) -> Check {
        let fits = src.valid_rows <= dst.valid_rows && src.valid_cols <= dst.valid_cols;
        if fits && (src.valid_rows == 1 || (dst.rows, dst.cols) == (src.rows, src.cols)) {
            return Ok(());
        }
        self.same_extent(dst, src)
    }

    /// The same valid elements in the same order. Columns of per-row values only go with each other.
    fn same_elements(&self, dst: &Tile, src: &Tile) -> Check {
        self.layout(src, dst.layout)?;
        self.valid(src, dst.valid_rows, dst.valid_cols)
    }
}

/// Types that an arithmetic instruction takes.
fn arithmetic(op: Binary) -> &'static [DType] {
    match op {
        Binary::Div => FLOATS,
        _ => NUMBERS,
    }
}
