//! One instruction as PTO-ISA calls.

use super::error::Fault;
use super::types::{Count, TileType, element};
use super::writer::Writer;
use crate::source::index::Axis;
use tilewright_ir::graph::{Binary, Reduce, Unary};
use tilewright_ir::kernel::{Expr, Instr, Layout, Tile, TileRef, VectorOp, scratch_needed};
use tilewright_ir::{DType, Round};

impl<'a> Writer<'a> {
    pub(super) fn instr(&mut self, instr: &'a Instr) -> Result<(), Fault> {
        match instr {
            Instr::Load { dst, src } => self.transfer(dst, src, true),
            Instr::Store { dst, src } => self.transfer(src, dst, false),
            Instr::Move { dst, src, from } => {
                let rows = same_rows(&[dst, src])?;
                let extent = |t: &Tile| (t.rows, t.cols);
                let whole = extent(self.tile(dst)?) == extent(self.tile(src)?);
                let d = self.operand(dst, rows)?;
                let s = self.operand(src, rows)?;
                match whole {
                    true => self.call("TMOV", &[d, s], rows),
                    false => {
                        let (row, col) = (from.0.to_string(), from.1.to_string());
                        self.call("TEXTRACT", &[d, s, row, col], rows);
                    }
                }
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
            scalar => self.scalar(scalar),
        }
    }

    pub(super) fn tile(&self, r: &TileRef) -> Result<&'a Tile, Fault> {
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
        let ty = self.own_type(r, rows)?.into_row();
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
                // Without, the ISA works in an area of its own.
                if let Some(tmp) = tmp {
                    let mut ty = self.own_type(tmp, None)?;
                    if ty.dtype != self.tile(dst)?.dtype {
                        ty = self.scratch_row(tmp, self.tile(dst)?.dtype)?;
                    }
                    all.push(self.view(tmp, ty));
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
            VectorOp::Halves(f) => {
                let src = first.ok_or_else(missing)?;
                let (to, from) = (self.tile(dst)?, self.tile(src)?);
                let (rows, cols, bytes) = (to.valid_rows, to.valid_cols, to.dtype.bytes());
                let (half, offset, names) = match from.valid_rows == 2 * rows {
                    true => {
                        let half = TileType {
                            rows,
                            valid_rows: Count::Fixed(rows),
                            ..TileType::of(from)
                        };
                        (half, rows * from.cols * bytes, ["upper", "lower"])
                    }
                    false => {
                        let half = match rows {
                            1 => TileType::row_of(to.dtype, cols),
                            // The right half of the last row ends where the tile does, though this type goes on.
                            _ => TileType {
                                valid_cols: Count::Fixed(cols),
                                ..TileType::of(from)
                            },
                        };
                        (half, cols * bytes, ["left", "right"])
                    }
                };
                let d = self.own_type(dst, None)?;
                let d = self.view(dst, d);
                let first = self.view_at(src, half.clone(), 0, names[0]);
                let second = self.view_at(src, half, offset, names[1]);
                self.call(&format!("T{}", binary(*f)), &[d, first, second], None);
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
                let call = format!(
                    "TCI<{}, {}, 0>",
                    ty.text(&mut self.names.constants),
                    element(ty.dtype)
                );
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
                    to.text(&mut self.names.constants),
                    from.text(&mut self.names.constants)
                );
                let d = self.view(dst, to);
                let s = self.view_at(src, from, 0, "u32");
                self.call(&call, &[d, s], None);
            }
            VectorOp::Gather => self.gather(dst, srcs, tmp)?,
        }
        Ok(())
    }

    /// The scratch tile, if there is one.
    fn needs<'r>(
        &self,
        op: &VectorOp,
        dst: &TileRef,
        srcs: &[&TileRef],
        tmp: Option<&'r TileRef>,
    ) -> Result<&'r TileRef, Fault> {
        if let Some(tmp) = tmp {
            return Ok(tmp);
        }
        let srcs = srcs
            .iter()
            .map(|r| self.tile(r))
            .collect::<Result<Vec<_>, _>>()?;
        let dst = self.tile(dst)?;
        let need = scratch_needed(op, dst, &srcs);
        let (rows, cols, dtype) =
            need.map_or((1, dst.cols, dst.dtype), |s| (s.rows, s.cols, s.dtype));
        Err(Fault::Scratch {
            rows,
            cols,
            dtype: dtype.name(),
        })
    }

    /// All bytes of a tile as one row of elements of a type.
    fn scratch_row(&self, r: &TileRef, dtype: DType) -> Result<TileType, Fault> {
        let bytes = self.tile(r)?.bytes();
        Ok(TileType::row_of(dtype, bytes / dtype.bytes()))
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
        let tmp = self.needs(&VectorOp::RowReduce(f), dst, &[src], tmp)?;
        // The simulator of the ISA wants as many rows in the result's type as in the source's.
        if from.rows != to.rows {
            match (from.rows, to.layout) {
                (1, Layout::ColMajor) => to = to.into_row(),
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
        // TMOV copies whole blocks of 32 bytes: of a column, that is more rows than there are.
        let column = |t: &TileType| t.layout == Layout::ColMajor;
        if rows.is_some() && column(&to) && column(&from) {
            let one = match to.dtype {
                DType::F32 | DType::F16 | DType::I32 => constant(1.0, to.dtype)?,
                dtype => {
                    return Err(Fault::ColumnCopy {
                        dtype: dtype.name(),
                    });
                }
            };
            let d = self.view(dst, to.into_row());
            let s = self.view(src, from.into_row());
            self.call("TMULS", &[d, s, one], rows);
            return Ok(());
        }
        // Where rows are one after the other, or there is only one, the heights do not matter.
        if to.cols == from.cols {
            let height = to.rows.min(from.rows);
            to.rows = height;
            from.rows = height;
        } else if (to.rows, from.rows) == (1, 1) {
            let width = to.cols.min(from.cols);
            to.cols = width;
            from.cols = width;
            to.valid_cols = from.valid_cols.clone();
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
        let tmp = self.needs(&VectorOp::MergeSort { run }, dst, &[src], tmp)?;
        let half = TileType::row_of(tile.dtype, list);
        let (to, scratch) = (
            self.own_type(dst, None)?,
            self.scratch_row(tmp, tile.dtype)?,
        );
        let c = &mut self.names.constants;
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
        // Offsets are as large as indices; those of 4-byte elements are made in the result itself.
        let scratch = match tmp {
            None if self.tile(dst)?.dtype.bytes() == by.dtype.bytes() => dst,
            tmp => self.needs(&VectorOp::Gather, dst, &[x, index], tmp)?,
        };
        let offsets = TileType {
            valid_rows: by.valid_rows.clone(),
            valid_cols: by.valid_cols.clone(),
            ..self.scratch_row(scratch, by.dtype)?
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
