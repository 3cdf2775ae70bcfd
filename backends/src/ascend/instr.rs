//! One instruction as PTO-ISA calls.

use super::error::Fault;
use super::index::Axis;
use super::kernel::Writer;
use super::types::{Count, TileType, element};
use tilewright_ir::graph::{Binary, Reduce, Unary};
use tilewright_ir::kernel::{Expr, GlobalRef, Instr, Layout, RegId, Role, Tile, TileRef, VectorOp};
use tilewright_ir::{DType, Round};

const GM_TILE: &str = "\
// A rectangle of a row-major matrix in global memory whose rows are LD elements apart.
template <typename T, int R, int C, int LD>
using GmTile = GlobalTensor<T, pto::Shape<1, 1, 1, R, C>, pto::Stride<LD, LD, LD, LD, 1>, Layout::ND>;";

const GM_COLUMN: &str = "\
// R elements of a column of N in global memory.
template <typename T, int R, int N>
using GmColumn = GlobalTensor<T, pto::Shape<1, 1, 1, R, 1>, pto::Stride<N, N, N, 1, N>, Layout::DN>;";

const GM_TRANSPOSED: &str = "\
// A rectangle of a row-major matrix in global memory, transposed: R of its columns, C of its rows.
template <typename T, int R, int C, int LD>
using GmTransposed = GlobalTensor<T, pto::Shape<1, 1, 1, R, C>, pto::Stride<LD, LD, LD, 1, LD>, Layout::DN>;";

impl<'a> Writer<'a> {
    pub(super) fn instr(&mut self, instr: &'a Instr) -> Result<(), Fault> {
        match instr {
            Instr::Load { dst, src } => self.transfer(dst, src, true),
            Instr::Store { dst, src } => self.transfer(src, dst, false),
            Instr::Move { dst, src } => {
                let rows = same_rows(&[dst, src])?;
                let d = self.operand(dst, rows)?;
                let s = self.operand(src, rows)?;
                self.call("TMOV", &[d, s], rows);
                Ok(())
            }
            Instr::Matmul {
                dst,
                lhs,
                rhs,
                accumulate,
            } => {
                let rows = same_rows(&[dst, lhs])?;
                let c = self.operand(dst, rows)?;
                let a = self.operand(lhs, rows)?;
                let b = self.operand(rhs, None)?;
                match accumulate {
                    false => self.call("TMATMUL", &[c, a, b], rows),
                    true => self.call("TMATMUL_ACC", &[c.clone(), c, a, b], rows),
                }
                Ok(())
            }
            Instr::Vector { op, dst, srcs, tmp } => self.vector(op, dst, srcs, tmp.as_ref()),
            Instr::ReadScalar { dst, src } => self.read_scalar(*dst, src),
        }
    }

    fn tile(&self, r: &TileRef) -> Result<&'a Tile, Fault> {
        self.kernel.tiles.get(r.tile).ok_or_else(|| Fault::Missing {
            what: format!("tile {}", r.tile),
        })
    }

    /// A tile's own type, with as many rows as there are.
    fn own_type(&self, r: &TileRef, rows: Option<&Expr>) -> Result<TileType, Fault> {
        let tile = self.tile(r)?;
        let mut ty = TileType::of(tile);
        if let Some(e) = rows {
            if matches!(tile.layout, Layout::Zn | Layout::Right) {
                return Err(Fault::StaticRows {
                    tile: tile.name.clone(),
                });
            }
            ty.valid_rows = Count::RunTime(e.clone(), tile.valid_rows);
        }
        Ok(ty)
    }

    fn operand(&mut self, r: &TileRef, rows: Option<&Expr>) -> Result<String, Fault> {
        let ty = self.own_type(r, rows)?;
        Ok(self.view(r, ty))
    }

    /// An operand of an element-wise instruction: columns are computed on as rows.
    fn element_wise(&mut self, r: &TileRef, rows: Option<&Expr>) -> Result<String, Fault> {
        let ty = self.own_type(r, rows)?.as_row();
        Ok(self.view(r, ty))
    }

    /// A call that does nothing if there are no rows, which the instructions themselves do not allow.
    fn call(&mut self, name: &str, operands: &[String], rows: Option<&Expr>) {
        let call = format!("{name}({});", operands.join(", "));
        match rows {
            Some(e) if !self.is_positive(e) => {
                let n = self.sum(e, Axis::Rows).positive();
                self.open(&format!("if ({n}) {{"), Some(e.clone()));
                self.line(&call);
                self.close();
            }
            _ => self.line(&call),
        }
    }

    // Global memory.

    /// A load into or a store of a tile.
    fn transfer(&mut self, r: &TileRef, g: &GlobalRef, load: bool) -> Result<(), Fault> {
        let tile = self.tile(r)?;
        let rows = r.rows.as_ref();
        let (tensor_rows, tensor_cols) = self
            .program
            .tensors
            .get(&g.tensor)
            .map(|t| t.matrix())
            .ok_or_else(|| Fault::Missing {
                what: format!("tensor `{}`", g.tensor),
            })?;
        let mut ty = TileType::of(tile);
        let count = |n: usize| match rows {
            None => Count::Fixed(n),
            Some(e) => Count::RunTime(e.clone(), n.min(tile.valid_rows)),
        };
        // Extents in global memory as printed, and the one that is only known at run time.
        let t = element(tile.dtype);
        let (gm_type, shape) = match tile.layout {
            Layout::Zn => {
                if rows.is_some() {
                    return Err(Fault::StaticRows {
                        tile: tile.name.clone(),
                    });
                }
                ty.valid_rows = Count::Fixed(g.cols);
                ty.valid_cols = Count::Fixed(g.rows);
                let k = self.constants.cols(g.cols as i64);
                let n = self.constants.rows(g.rows as i64);
                let ld = self.extent(&g.tensor, tensor_cols);
                let template = self.template("GmTransposed", GM_TRANSPOSED);
                (format!("{template}<{t}, {k}, {n}, {ld}>"), String::new())
            }
            Layout::ColMajor if g.rows != 1 => {
                ty.valid_rows = count(g.rows);
                let template = self.template("GmColumn", GM_COLUMN);
                match rows {
                    None => {
                        let n = self.constants.rows(g.rows as i64);
                        (format!("{template}<{t}, {n}, {tensor_rows}>"), String::new())
                    }
                    Some(_) => (
                        format!("{template}<{t}, -1, {tensor_rows}>"),
                        "pto::Shape<1, 1, 1, -1, 1>".into(),
                    ),
                }
            }
            _ => {
                let column = tile.layout == Layout::ColMajor;
                let ld = self.extent(&g.tensor, tensor_cols);
                let template = self.template("GmTile", GM_TILE);
                if column {
                    // One row of global memory is the whole column.
                    ty.valid_rows = count(g.cols);
                    ty = ty.as_row();
                } else {
                    ty.valid_rows = count(g.rows);
                    ty.valid_cols = Count::Fixed(g.cols);
                }
                let c = self.constants.cols(g.cols as i64);
                let n = self.constants.rows(g.rows as i64);
                match rows {
                    None => (format!("{template}<{t}, {n}, {c}, {ld}>"), String::new()),
                    Some(_) if column => (
                        format!("{template}<{t}, 1, -1, {ld}>"),
                        "pto::Shape<1, 1, 1, 1, -1>".into(),
                    ),
                    Some(_) => (
                        format!("{template}<{t}, -1, {c}, {ld}>"),
                        format!("pto::Shape<1, 1, 1, -1, {c}>"),
                    ),
                }
            }
        };
        let extent = ty.run_time().map(|(e, limit)| (e.clone(), limit));
        let object = self.view(r, ty);
        let address = self.address(g)?;
        let gm = self.tensor(&g.tensor)?;
        let gm = self.fresh(&format!("{gm}_gm"));
        let guard = rows.filter(|e| !self.is_positive(e));
        let argument = match extent {
            None => address,
            Some((e, limit)) => format!("{address}, {shape}({})", self.count(&e, limit)),
        };
        if let Some(e) = guard {
            let n = self.sum(e, Axis::Rows).positive();
            self.open(&format!("if ({n}) {{"), Some(e.clone()));
        }
        self.line(&format!("{gm_type} {gm}({argument});"));
        self.line(&match load {
            true => format!("TLOAD({object}, {gm});"),
            false => format!("TSTORE({gm}, {object});"),
        });
        if guard.is_some() {
            self.close();
        }
        Ok(())
    }

    /// A pointer to the first element of a rectangle.
    fn address(&mut self, g: &GlobalRef) -> Result<String, Fault> {
        let base = self.tensor(&g.tensor)?;
        let offset = self.offset(g);
        Ok(match offset.as_str() {
            "0" => base,
            _ => format!("{base} + {offset}"),
        })
    }

    /// Elements before the first of a rectangle.
    fn offset(&mut self, g: &GlobalRef) -> String {
        let (_, cols) = self
            .program
            .tensors
            .get(&g.tensor)
            .map_or((1, 1), |t| t.matrix());
        let elements = self
            .program
            .tensors
            .get(&g.tensor)
            .map_or(0, |t| t.shape.iter().product::<usize>());
        let row = self.sum(&g.row, Axis::Rows);
        let col = self.sum(&g.col, Axis::Cols);
        let mut parts = vec![];
        if !row.is_zero() {
            parts.push(match cols {
                1 => row.text(),
                _ => {
                    let ld = self.extent(&g.tensor, cols);
                    let row = match row.is_product() {
                        true => row.text(),
                        false => format!("({})", row.text()),
                    };
                    // Products are int, and elements may be more.
                    match i32::try_from(elements) {
                        Ok(_) => format!("{row} * {ld}"),
                        Err(_) => format!("(int64_t){ld} * {row}"),
                    }
                }
            });
        }
        if !col.is_zero() {
            parts.push(col.text());
        }
        match parts.is_empty() {
            true => "0".into(),
            false => parts.join(" + "),
        }
    }

    fn read_scalar(&mut self, dst: RegId, src: &GlobalRef) -> Result<(), Fault> {
        let tensor = self
            .program
            .tensors
            .get(&src.tensor)
            .ok_or_else(|| Fault::Missing {
                what: format!("tensor `{}`", src.tensor),
            })?;
        if tensor.role != Role::Input {
            // The scalar unit's cache does not see what other cores have written.
            let address = self.address(src)?;
            self.line(&format!("dcci((__gm__ void *)({address}), SINGLE_CACHE_LINE);"));
        }
        let base = self.tensor(&src.tensor)?;
        let offset = self.offset(src);
        let (name, declared) = self.register(dst);
        self.line(&match declared {
            true => format!("{name} = {base}[{offset}];"),
            false => format!("const {} {name} = {base}[{offset}];", element(tensor.dtype)),
        });
        Ok(())
    }

    // The vector unit.

    fn vector(
        &mut self,
        op: &VectorOp,
        dst: &'a TileRef,
        srcs: &'a [TileRef],
        tmp: Option<&TileRef>,
    ) -> Result<(), Fault> {
        let operands: Vec<&TileRef> = std::iter::once(dst).chain(srcs).collect();
        let rows = same_rows(&operands)?;
        let missing = || Fault::Missing {
            what: "an operand".into(),
        };
        let first = srcs.first();
        match op {
            VectorOp::Cvt(round) => {
                let src = first.ok_or_else(missing)?;
                let d = self.element_wise(dst, rows)?;
                let s = self.element_wise(src, rows)?;
                let mut operands = vec![d, s, round_mode(*round).to_owned()];
                // These wrap around otherwise, by way of a scratch area that no tile owns.
                if matches!(
                    (self.tile(src)?.dtype, self.tile(dst)?.dtype),
                    (DType::F16, DType::I8) | (DType::I64, DType::I32)
                ) {
                    operands.push("SaturationMode::ON".into());
                }
                self.call("TCVT", &operands, rows);
            }
            VectorOp::Unary(f) => {
                let d = self.element_wise(dst, rows)?;
                let s = self.element_wise(first.ok_or_else(missing)?, rows)?;
                self.call(unary(*f), &[d, s], rows);
            }
            VectorOp::Scalar(f, value) => {
                let d = self.element_wise(dst, rows)?;
                let s = self.element_wise(first.ok_or_else(missing)?, rows)?;
                let value = constant(*value, self.tile(dst)?.dtype)?;
                self.call(&format!("T{}S", binary(*f)), &[d, s, value], rows);
            }
            VectorOp::Binary(f) => {
                let mut all = vec![];
                for r in operands {
                    all.push(self.element_wise(r, rows)?);
                }
                self.call(&format!("T{}", binary(*f)), &all, rows);
            }
            VectorOp::RowExpand(f) => {
                let [a, b] = srcs else { return Err(missing()) };
                let mut all = vec![
                    self.operand(dst, rows)?,
                    self.operand(a, rows)?,
                    self.operand(b, rows)?,
                ];
                if let Some(tmp) = tmp {
                    all.push(self.operand(tmp, None)?);
                }
                self.call(&format!("TROWEXPAND{}", binary(*f)), &all, rows);
            }
            VectorOp::ColExpand(f) => {
                let [a, b] = srcs else { return Err(missing()) };
                let all = [
                    self.operand(dst, rows)?,
                    self.operand(a, rows)?,
                    self.operand(b, None)?,
                ];
                self.call(&format!("TCOLEXPAND{}", binary(*f)), &all, rows);
            }
            VectorOp::RowReduce(f) => {
                self.row_reduce(*f, dst, first.ok_or_else(missing)?, tmp, rows)?;
            }
            VectorOp::Fill(value) => {
                let d = self.element_wise(dst, rows)?;
                let value = constant(*value, self.tile(dst)?.dtype)?;
                self.call("TEXPANDS", &[d, value], rows);
            }
            VectorOp::Copy => self.copy(dst, first.ok_or_else(missing)?, rows)?,
            VectorOp::Iota => {
                let ty = self.own_type(dst, None)?;
                let start = match ty.dtype {
                    DType::U32 => "0u",
                    _ => "0",
                };
                let call = format!("TCI<{}, {}, 0>", ty.text(&mut self.constants), element(ty.dtype));
                let d = self.view(dst, ty);
                self.call(&call, &[d, start.into()], None);
            }
            VectorOp::Sort32 => {
                let [x, index] = srcs else {
                    return Err(missing());
                };
                let all = [
                    self.operand(dst, None)?,
                    self.operand(x, None)?,
                    self.operand(index, None)?,
                ];
                self.call("TSORT32", &all, None);
            }
            VectorOp::MergeSort { run } => {
                self.merge(*run, dst, first.ok_or_else(missing)?, tmp)?;
            }
            VectorOp::PairIndices => {
                // The second halves of the pairs. A gather by mask fills whole tiles.
                let src = first.ok_or_else(missing)?;
                let to = TileType::row_of(DType::U32, self.tile(dst)?.cols);
                let pairs = self.tile(src)?.cols / 2;
                let from = TileType::row_of(DType::U32, 2 * self.tile(dst)?.cols.min(pairs));
                let call = format!(
                    "TGATHER<{}, {}, MaskPattern::P1010>",
                    to.text(&mut self.constants),
                    from.text(&mut self.constants)
                );
                let d = self.view(dst, to);
                let s = self.view_at(src, from, 0, "u32");
                self.call(&call, &[d, s], None);
            }
            VectorOp::Gather => self.gather(dst, srcs, tmp)?,
        }
        Ok(())
    }

    fn row_reduce(
        &mut self,
        f: Reduce,
        dst: &TileRef,
        src: &TileRef,
        tmp: Option<&TileRef>,
        rows: Option<&Expr>,
    ) -> Result<(), Fault> {
        let mut from = self.own_type(src, rows)?;
        let mut to = self.own_type(dst, rows)?;
        let Some(tmp) = tmp else {
            return Err(Fault::Scratch {
                rows: from.rows,
                cols: from.cols,
                dtype: from.dtype.name(),
            });
        };
        // The simulator of the ISA wants as many rows in the result's type as in the source's.
        if from.rows != to.rows {
            match (from.rows, to.layout) {
                (1, Layout::ColMajor) => to = to.as_row(),
                _ => from.rows = to.rows,
            }
        }
        let d = self.view(dst, to);
        let s = self.view(src, from);
        let t = self.operand(tmp, None)?;
        let name = match f {
            Reduce::Sum => "TROWSUM",
            Reduce::Max => "TROWMAX",
            Reduce::Min => "TROWMIN",
        };
        self.call(name, &[d, s, t], rows);
        Ok(())
    }

    fn copy(&mut self, dst: &TileRef, src: &TileRef, rows: Option<&Expr>) -> Result<(), Fault> {
        let mut to = self.own_type(dst, rows)?;
        let mut from = self.own_type(src, rows)?;
        // Where rows are one after the other, or there is only one, the heights do not matter.
        if to.cols == from.cols {
            let height = to.rows.min(from.rows);
            to.rows = height;
            from.rows = height;
        } else if (to.rows, from.rows) == (1, 1) {
            let width = to.cols.min(from.cols);
            to.cols = width;
            from.cols = width;
        } else {
            let extent = |t: &TileType| format!("{} x {}", t.rows, t.cols);
            return Err(Fault::CopyExtent {
                dst: extent(&to),
                src: extent(&from),
            });
        }
        let d = self.view(dst, to);
        let s = self.view(src, from);
        self.call("TMOV", &[d, s], rows);
        Ok(())
    }

    fn merge(
        &mut self,
        run: usize,
        dst: &TileRef,
        src: &TileRef,
        tmp: Option<&TileRef>,
    ) -> Result<(), Fault> {
        let tile = self.tile(src)?;
        // A pair is two elements.
        let list = 2 * run;
        let runs = match list {
            0 => 0,
            n => tile.valid_cols / n,
        };
        if runs > 0 && runs.is_multiple_of(4) {
            let d = self.operand(dst, None)?;
            let s = self.operand(src, None)?;
            self.call("TMRGSORT", &[d, s, list.to_string()], None);
            return Ok(());
        }
        if runs != 2 {
            return Err(Fault::Runs { runs });
        }
        let Some(tmp) = tmp else {
            return Err(Fault::Scratch {
                rows: 1,
                cols: tile.cols,
                dtype: tile.dtype.name(),
            });
        };
        let half = TileType::row_of(tile.dtype, list);
        let (to, scratch) = (self.own_type(dst, None)?, self.own_type(tmp, None)?);
        let c = &mut self.constants;
        let half_text = half.text(c);
        let call = format!(
            "TMRGSORT<{}, {}, {half_text}, {half_text}, false>",
            to.text(c),
            scratch.text(c)
        );
        let bytes = list * tile.dtype.bytes();
        let d = self.view(dst, to);
        let t = self.view(tmp, scratch);
        let low = self.view_at(src, half.clone(), 0, "low");
        let high = self.view_at(src, half, bytes, "high");
        let counts = self.merge_counts();
        self.call(&call, &[d, counts, t, low, high], None);
        Ok(())
    }

    fn gather(
        &mut self,
        dst: &TileRef,
        srcs: &[TileRef],
        tmp: Option<&TileRef>,
    ) -> Result<(), Fault> {
        let [x, index] = srcs else {
            return Err(Fault::Missing {
                what: "an operand".into(),
            });
        };
        let by = self.own_type(index, None)?;
        let wide = self.tile(dst)?.dtype.bytes() == by.dtype.bytes();
        // Offsets are as large as indices; those of 4-byte elements are made in the result itself.
        let scratch = match tmp {
            Some(tmp) => tmp,
            None if wide => dst,
            None => {
                return Err(Fault::Scratch {
                    rows: 1,
                    cols: by.cols,
                    dtype: by.dtype.name(),
                });
            }
        };
        let space = self.tile(scratch)?;
        let cols = space.cols * space.dtype.bytes() / by.dtype.bytes();
        let offsets = TileType {
            cols,
            valid_rows: by.valid_rows.clone(),
            valid_cols: by.valid_cols.clone(),
            ..TileType::row_of(by.dtype, cols)
        };
        let all = [
            self.operand(dst, None)?,
            self.operand(x, None)?,
            self.view(index, by),
            self.view(scratch, offsets),
        ];
        self.call("TGATHER", &all, None);
        Ok(())
    }
}

/// The run-time row count of an instruction: that of its operands that have one.
fn same_rows<'r>(operands: &[&'r TileRef]) -> Result<Option<&'r Expr>, Fault> {
    let mut counts = operands.iter().filter_map(|r| r.rows.as_ref());
    let first = counts.next();
    match counts.all(|e| Some(e) == first) {
        true => Ok(first),
        false => Err(Fault::RowCounts),
    }
}

fn round_mode(round: Round) -> &'static str {
    match round {
        Round::Rint => "RoundMode::CAST_RINT",
        Round::Round => "RoundMode::CAST_ROUND",
        Round::Trunc => "RoundMode::CAST_TRUNC",
        Round::Floor => "RoundMode::CAST_FLOOR",
        Round::Ceil => "RoundMode::CAST_CEIL",
    }
}

fn unary(f: Unary) -> &'static str {
    match f {
        Unary::Abs => "TABS",
        Unary::Exp => "TEXP",
        Unary::Log => "TLOG",
        Unary::Sqrt => "TSQRT",
        Unary::Neg => "TNEG",
    }
}

fn binary(f: Binary) -> &'static str {
    match f {
        Binary::Add => "ADD",
        Binary::Sub => "SUB",
        Binary::Mul => "MUL",
        Binary::Div => "DIV",
        Binary::Max => "MAX",
        Binary::Min => "MIN",
    }
}

/// A constant as a literal of an element type.
fn constant(value: f32, dtype: DType) -> Result<String, Fault> {
    let literal = match value {
        v if v.is_nan() => "__builtin_nanf(\"\")".to_owned(),
        f32::INFINITY => "__builtin_inff()".into(),
        f32::NEG_INFINITY => "-__builtin_inff()".into(),
        v => format!("{v:?}f"),
    };
    let (low, high) = match dtype {
        DType::F32 => return Ok(literal),
        DType::F16 | DType::Bf16 => return Ok(format!("({}){literal}", element(dtype))),
        DType::I8 => (-128.0, 127.0),
        DType::I32 => (-2_147_483_648.0, 2_147_483_520.0),
        DType::U32 => (0.0, 4_294_967_040.0),
        DType::I64 => (-9e15, 9e15),
    };
    if value.fract() != 0.0 || !(low..=high).contains(&value) {
        return Err(Fault::Constant {
            value,
            dtype: dtype.name(),
        });
    }
    let value = value as i64;
    Ok(match dtype {
        // The literal's magnitude is no int.
        DType::I32 if value == i64::from(i32::MIN) => "(-2147483647 - 1)".into(),
        DType::U32 => format!("{value}u"),
        DType::I32 => value.to_string(),
        _ => format!("({}){value}", element(dtype)),
    })
}
