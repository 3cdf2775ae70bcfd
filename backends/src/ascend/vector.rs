//! Vector instructions, as the table says that they are written in C++.

use super::error::Fault;
use super::instr::same_rows;
use super::types::{Count, TileType, element};
use super::writer::Writer;
use tilewright_ir::kernel::{Arg, Cpp, Expr, Layout, TileRef, VectorOp, scratch_needed};
use tilewright_ir::{DType, Round};

/// A vector instruction and its operands.
struct Vector<'r> {
    op: &'r VectorOp,
    isa: &'static str,
    dst: &'r TileRef,
    srcs: &'r [TileRef],
    tmp: Option<&'r TileRef>,
    /// Rows that are counted at run time.
    rows: Option<&'r Expr>,
}

impl<'r> Vector<'r> {
    fn source(&self, i: usize) -> Result<&'r TileRef, Fault> {
        self.srcs.get(i).ok_or_else(|| Fault::Missing {
            what: "an operand".into(),
        })
    }
}

impl<'a> Writer<'a> {
    pub(super) fn vector(
        &mut self,
        op: &'a VectorOp,
        dst: &'a TileRef,
        srcs: &'a [TileRef],
        tmp: Option<&'a TileRef>,
    ) -> Result<(), Fault> {
        let row = op.row();
        let operands: Vec<&TileRef> = std::iter::once(dst).chain(srcs).collect();
        let v = Vector {
            op,
            isa: row.isa,
            dst,
            srcs,
            tmp,
            rows: same_rows(&operands)?,
        };
        match row.cpp {
            Cpp::Call { args, as_rows } => {
                let mut texts = vec![];
                for arg in args {
                    texts.extend(self.argument(&v, *arg, as_rows)?);
                }
                self.call(v.isa, &texts, v.rows);
                Ok(())
            }
            Cpp::Halves => self.halves(&v),
            Cpp::Reduce => self.reduce(&v),
            Cpp::Copy => self.copy(&v),
            Cpp::Iota => self.iota(&v),
            Cpp::Merge(run) => self.merge(&v, run),
            Cpp::Pairs => self.pairs(&v),
            Cpp::Gather => self.gather(&v),
        }
    }

    /// An argument of a call; nothing for what this instruction leaves out.
    fn argument(&mut self, v: &Vector, arg: Arg, as_rows: bool) -> Result<Option<String>, Fault> {
        let row = v.op.row();
        let tile = |w: &mut Self, r: &TileRef, rows: Option<&Expr>| match as_rows {
            true => w.element_wise(r, rows),
            false => w.operand(r, rows),
        };
        Ok(match arg {
            Arg::Result => Some(tile(self, v.dst, v.rows)?),
            Arg::Source(i) => Some(tile(self, v.source(i)?, v.rows)?),
            Arg::Whole(i) => Some(tile(self, v.source(i)?, None)?),
            Arg::Constant => match row.constant() {
                Some(value) => Some(constant(value, self.tile(v.dst)?.dtype)?),
                None => None,
            },
            Arg::Round => row.round().map(|r| round_mode(r).to_owned()),
            Arg::Saturation => {
                // These wrap around otherwise, by way of a scratch area that no tile owns.
                let types = (self.tile(v.source(0)?)?.dtype, self.tile(v.dst)?.dtype);
                matches!(types, (DType::F16, DType::I8) | (DType::I64, DType::I32))
                    .then(|| "SaturationMode::ON".into())
            }
            Arg::Scratch => match v.tmp {
                Some(tmp) => {
                    let mut ty = self.own_type(tmp, None)?;
                    let wanted = self.tile(v.dst)?.dtype;
                    if ty.dtype != wanted {
                        ty = self.scratch_row(tmp, wanted)?;
                    }
                    Some(self.view(tmp, ty))
                }
                // The ISA works in an area of its own.
                None => None,
            },
        })
    }

    fn halves(&mut self, v: &Vector) -> Result<(), Fault> {
        let src = v.source(0)?;
        let (to, from) = (self.tile(v.dst)?, self.tile(src)?);
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
        let d = self.own_type(v.dst, None)?;
        let d = self.view(v.dst, d);
        let first = self.view_at(src, half.clone(), 0, names[0]);
        let second = self.view_at(src, half, offset, names[1]);
        self.call(v.isa, &[d, first, second], None);
        Ok(())
    }

    fn iota(&mut self, v: &Vector) -> Result<(), Fault> {
        let ty = self.own_type(v.dst, None)?;
        let start = match ty.dtype {
            DType::U32 => "0u",
            _ => "0",
        };
        let call = format!(
            "{}<{}, {}, 0>",
            v.isa,
            ty.text(&mut self.names.constants),
            element(ty.dtype)
        );
        let d = self.view(v.dst, ty);
        self.call(&call, &[d, start.into()], None);
        Ok(())
    }

    /// The second halves of the pairs. A gather by mask fills whole tiles.
    fn pairs(&mut self, v: &Vector) -> Result<(), Fault> {
        let src = v.source(0)?;
        let row = self.own_type(v.dst, None)?.into_row();
        let to = TileType::row_of(DType::U32, row.cols);
        let pairs = self.tile(src)?.cols / 2;
        let from = TileType::row_of(DType::U32, 2 * row.cols.min(pairs));
        let call = format!(
            "TGATHER<{}, {}, MaskPattern::P1010>",
            to.text(&mut self.names.constants),
            from.text(&mut self.names.constants)
        );
        let d = self.view(v.dst, to);
        let s = self.view_at(src, from, 0, "u32");
        self.call(&call, &[d, s], None);
        Ok(())
    }

    /// The scratch tile.
    fn needs<'r>(&self, v: &Vector<'r>) -> Result<&'r TileRef, Fault> {
        if let Some(tmp) = v.tmp {
            return Ok(tmp);
        }
        let srcs = v.srcs.iter().map(|r| self.tile(r));
        let srcs = srcs.collect::<Result<Vec<_>, _>>()?;
        let dst = self.tile(v.dst)?;
        let need = scratch_needed(&self.machine.geometry, v.op, dst, &srcs);
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

    fn reduce(&mut self, v: &Vector) -> Result<(), Fault> {
        let src = v.source(0)?;
        let mut from = self.own_type(src, v.rows)?;
        let mut to = self.own_type(v.dst, v.rows)?;
        let tmp = self.needs(v)?;
        // The simulator of the ISA wants as many rows in the result's type as in the source's.
        if from.rows != to.rows {
            match (from.rows, to.layout) {
                (1, Layout::ColMajor) => to = to.into_row(),
                _ => from.rows = to.rows,
            }
        }
        let d = self.view(v.dst, to);
        let s = self.view(src, from);
        let t = self.operand(tmp, None)?;
        self.call(v.isa, &[d, s, t], v.rows);
        Ok(())
    }

    fn copy(&mut self, v: &Vector) -> Result<(), Fault> {
        let (dst, src, rows) = (v.dst, v.source(0)?, v.rows);
        let mut to = self.own_type(dst, rows)?;
        let mut from = self.own_type(src, rows)?;
        // TMOV copies whole blocks of 32 bytes: of a column, that is more rows than there are.
        let column = |t: &TileType| t.layout == Layout::ColMajor;
        // One element is a row as well as a column.
        if rows.is_none() && column(&from) && !column(&to) && self.tile(src)?.valid_rows == 1 {
            from = from.into_row();
        }
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
        self.call(v.isa, &[d, s], rows);
        Ok(())
    }

    fn merge(&mut self, v: &Vector, run: usize) -> Result<(), Fault> {
        let (dst, src) = (v.dst, v.source(0)?);
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
            self.call(v.isa, &[d, s, list.to_string()], None);
            return Ok(());
        }
        if runs != 2 {
            return Err(Fault::Runs { runs });
        }
        let tmp = self.needs(v)?;
        let half = TileType::row_of(tile.dtype, list);
        let (to, scratch) = (
            self.own_type(dst, None)?,
            self.scratch_row(tmp, tile.dtype)?,
        );
        let c = &mut self.names.constants;
        let half_text = half.text(c);
        let call = format!(
            "{}<{}, {}, {half_text}, {half_text}, false>",
            v.isa,
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

    fn gather(&mut self, v: &Vector) -> Result<(), Fault> {
        let (x, index) = (v.source(0)?, v.source(1)?);
        let by = self.own_type(index, None)?.into_row();
        // Offsets are as large as indices; those of elements as wide are made in the result itself.
        let scratch = match v.tmp {
            None if self.tile(v.dst)?.dtype.bytes() == by.dtype.bytes() => v.dst,
            _ => self.needs(v)?,
        };
        let offsets = TileType {
            valid_rows: by.valid_rows.clone(),
            valid_cols: by.valid_cols.clone(),
            ..self.scratch_row(scratch, by.dtype)?
        };
        let all = [
            self.element_wise(v.dst, None)?,
            self.element_wise(x, None)?,
            self.view(index, by),
            self.view(scratch, offsets),
        ];
        self.call(v.isa, &all, None);
        Ok(())
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
