//! Vector instructions, as the table says that they are written in PyPTO.

use super::error::Fault;
use super::scope::is_part;
use super::types::{dtype, literal, round};
use super::value::{Rows, Value};
use super::writer::Writer;
use crate::source::index::Axis;
use tilewright_ir::DType;
use tilewright_ir::kernel::{Arg, Dim, Instr, Pypto, Row, Tile, TileRef, VectorOp};

/// A vector instruction and its operands.
struct Vector<'r> {
    row: &'r Row,
    dst: &'r TileRef,
    srcs: &'r [TileRef],
    tmp: Option<&'r TileRef>,
}

impl<'r> Vector<'r> {
    fn source(&self, i: usize) -> Result<&'r TileRef, Fault> {
        self.srcs.get(i).ok_or_else(|| Fault::Missing {
            what: "an operand".into(),
        })
    }
}

impl Writer<'_> {
    pub(super) fn vector(
        &mut self,
        op: &VectorOp,
        dst: &TileRef,
        srcs: &[TileRef],
        tmp: Option<&TileRef>,
    ) -> Result<(), Fault> {
        let row = op.row();
        let v = Vector {
            row: &row,
            dst,
            srcs,
            tmp,
        };
        match row.pypto {
            Pypto::Call { name, args } => self.call(&v, name, args),
            Pypto::Cast => self.cast(&v),
            Pypto::Halves(name) => self.halves(&v, name),
            Pypto::Reduce(name) => self.reduce(&v, name),
            Pypto::Fill => self.fill_tile(&v),
            Pypto::Copy => self.copy(dst, v.source(0)?),
            Pypto::Iota => self.iota(&v),
            Pypto::Sort => {
                let (x, value) = self.operand(v.source(0)?)?;
                let (index, _) = self.operand(v.source(1)?)?;
                let text = format!("pl.sort32({x}, {index})");
                self.assign(dst, text, Value::whole(value.rows, 2 * value.cols))
            }
            Pypto::Merge(run) => self.merge(&v, run),
            Pypto::Pairs => self.pairs(&v),
            Pypto::Gather => {
                let (x, _) = self.operand(v.source(0)?)?;
                let from = self.tile(v.source(1)?)?;
                let (by, value) = self.operand(v.source(1)?)?;
                let scratch = self.scratch(&v, from, (value.rows, value.cols));
                // The language takes the shape from the indices, and all of it as valid.
                let text = format!("pl.tile.gather({x}, {by}, {scratch})");
                self.assign(dst, text, Value::whole(value.rows, value.cols))
            }
        }
    }

    /// A call whose value has the extent of the first source. The other sources must be what their shapes say beside it.
    fn call(&mut self, v: &Vector, name: &str, args: &[Arg]) -> Result<(), Fault> {
        let mut texts = vec![];
        let mut first: Option<Value> = None;
        for arg in args {
            match arg {
                Arg::Source(i) | Arg::Whole(i) => {
                    let (text, value) = self.operand(v.source(*i)?)?;
                    texts.push(text);
                    match &first {
                        None => first = Some(value),
                        Some(first) if fits(v.row.operands[i + 1].shape, first, &value) => {}
                        Some(first) => return Err(shapes(first, &value)),
                    }
                }
                Arg::Constant => {
                    let dtype = self.tile(v.dst)?.dtype;
                    let literal = v.row.constant().map(|c| literal(c, dtype));
                    texts.extend(literal.transpose()?);
                }
                Arg::Result | Arg::Round | Arg::Saturation | Arg::Scratch => {}
            }
        }
        let value = match first {
            Some(value) => plain(value),
            None => Value::of(self.tile(v.dst)?, None),
        };
        self.assign(v.dst, format!("pl.{name}({})", texts.join(", ")), value)
    }

    fn cast(&mut self, v: &Vector) -> Result<(), Fault> {
        let (s, value) = self.operand(v.source(0)?)?;
        let ty = dtype(self.tile(v.dst)?.dtype);
        let mode = v.row.round().map_or("", round);
        let text = format!("pl.cast({s}, target_type={ty}, mode=\"{mode}\")");
        self.assign(v.dst, text, plain(value))
    }

    fn halves(&mut self, v: &Vector, name: &str) -> Result<(), Fault> {
        let to = self.tile(v.dst)?;
        let (s, value) = self.operand(v.source(0)?)?;
        let wanted = Value::of(to, None);
        let shape = self.extents(Self::axes(to), wanted.rows, wanted.cols);
        let second = match value.valid_rows.limit() == 2 * to.valid_rows {
            true => format!("[{}, 0]", to.valid_rows),
            false => format!("[0, {}]", to.valid_cols),
        };
        let text =
            format!("pl.{name}(pl.slice({s}, {shape}, [0, 0]), pl.slice({s}, {shape}, {second}))");
        self.assign(v.dst, text, wanted)
    }

    fn reduce(&mut self, v: &Vector, name: &str) -> Result<(), Fault> {
        let src = v.source(0)?;
        let (s, value) = self.operand(src)?;
        let from = self.tile(src)?;
        let scratch = self.scratch(v, from, (value.rows, value.cols));
        let text = format!("pl.{name}({s}, {scratch})");
        let value = Value {
            cols: 1,
            valid_cols: 1,
            ..plain(value)
        };
        self.assign(v.dst, text, value)
    }

    fn fill_tile(&mut self, v: &Vector) -> Result<(), Fault> {
        let to = self.tile(v.dst)?;
        let c = v.row.constant().unwrap_or_default();
        let wanted = Value::of(to, None);
        let shape = self.extents(Self::axes(to), wanted.rows, wanted.cols);
        // Infinities have no literal: one is twice the largest number.
        let finite = match c.is_infinite() && matches!(to.dtype, DType::F32 | DType::F16) {
            true if to.dtype == DType::F16 => 65504.0_f32.copysign(c),
            true => f32::MAX.copysign(c),
            false => c,
        };
        let (ty, c_text) = (dtype(to.dtype), literal(finite, to.dtype)?);
        let value = Value {
            filled: Some(c),
            ..Value::whole(wanted.rows, wanted.cols)
        };
        let mut text = format!("pl.tile.full({shape}, dtype={ty}, value={c_text})");
        if finite != c && !c.is_nan() {
            text = format!("pl.mul({text}, 2.0)");
        }
        if self.is_padded(v.dst.tile) && is_zero(c) {
            // A padded tile is of a type of its own, which a variable keeps.
            text = format!("pl.fillpad({text}, pad_value=pl.PadValue.zero)");
        }
        self.assign(v.dst, text, value)
    }

    fn iota(&mut self, v: &Vector) -> Result<(), Fault> {
        let to = self.tile(v.dst)?;
        let value = Value::of(to, None);
        let shape = self.extents(Self::axes(to), value.rows, value.cols);
        let row = format!("pl.tile.ci(0, {shape}, dtype=pl.INT32)");
        let text = match to.dtype {
            DType::I32 => row,
            // The same bits.
            DType::U32 => format!("pl.reinterpret_view({row}, pl.UINT32)"),
            other => {
                return Err(Fault::Index {
                    dtype: other.name(),
                });
            }
        };
        self.assign(v.dst, text, Value::whole(value.rows, value.cols))
    }

    /// The second halves of the first pairs.
    fn pairs(&mut self, v: &Vector) -> Result<(), Fault> {
        let to = self.tile(v.dst)?;
        let (mut s, value) = self.operand(v.source(0)?)?;
        let pairs = 2 * to.cols;
        if value.cols < pairs {
            return Err(shapes(&value, &Value::of(to, None)));
        }
        if value.cols > pairs {
            s = format!("pl.slice({s}, [1, {pairs}], [0, 0])");
        }
        let ty = dtype(to.dtype);
        let text =
            format!("pl.tile.gather_mask({s}, pl.tile.MaskPattern.P1010, output_dtype={ty})");
        self.assign(v.dst, text, Value::whole(value.rows, to.cols))
    }

    /// Makes the scratch tile of an instruction: the program's, or one that only this language wants. At least so large.
    fn scratch(&mut self, v: &Vector, like: &Tile, (rows, cols): (usize, usize)) -> String {
        let found = v.tmp.and_then(|t| Some((self.name(t), self.tile(t).ok()?)));
        let (name, tile) = match found {
            Some((name, tile)) => (name, tile.clone()),
            None => {
                let name = self.fresh(&format!("{}_tmp", self.name(v.dst)));
                (name, like.clone())
            }
        };
        let text = self.create(&tile, &Value::whole(rows, cols));
        self.line(&format!("{name} = {text}"));
        name
    }

    fn copy(&mut self, dst: &TileRef, src: &TileRef) -> Result<(), Fault> {
        let to = self.tile(dst)?;
        let (s, value) = self.operand(src)?;
        let old = self.values.get(&dst.tile).cloned();
        let some = Fault::SomeRows {
            tile: to.name.clone(),
        };
        if !is_part(self.kernel, dst, src) {
            let Rows::Counted(..) = value.valid_rows else {
                // All of it: the value is the same one.
                return self.assign(dst, s, value);
            };
            let zeros = old.is_some_and(|v| v.filled.is_some_and(is_zero));
            if !zeros || value.shape() != Value::of(to, None).shape() {
                return Err(some);
            }
            let text = format!("pl.fillpad({s}, pad_value=pl.PadValue.zero)");
            let whole = Value::whole(value.rows, value.cols);
            let all = TileRef {
                rows: None,
                ..dst.clone()
            };
            return self.assign(&all, text, whole);
        }
        let (Rows::Fixed(rows), Some(old)) = (&value.valid_rows, old) else {
            return Err(some);
        };
        // The whole source is inserted, valid or not.
        let cols = value.valid_cols;
        let part = match value.is_whole() {
            true => s,
            false => {
                let shape = self.extents([Axis::Rows, Axis::Cols], *rows, cols);
                format!("pl.slice({s}, {shape}, [0, 0])")
            }
        };
        if *rows > old.rows || cols > old.cols {
            return Err(shapes(&value, &old));
        }
        let name = self.name(dst);
        let text = format!("pl.assemble({name}, {part}, [0, 0])");
        self.assign(
            dst,
            text,
            Value {
                filled: None,
                ..old
            },
        )
    }

    /// Whether some rows of a tile are replaced, as many as are counted at run time, so that others are padding.
    fn is_padded(&self, tile: usize) -> bool {
        let mut padded = false;
        self.kernel.visit(&mut |i| {
            if let Instr::Vector {
                op: VectorOp::Copy,
                dst,
                srcs,
                ..
            } = i
                && dst.tile == tile
                && let (Ok(to), Some(src)) = (self.tile(dst), srcs.first())
            {
                let rows = Value::of(to, dst.rows.as_ref()).valid_rows;
                padded |= matches!(rows, Rows::Counted(..)) && !is_part(self.kernel, dst, src);
            }
        });
        padded
    }

    fn merge(&mut self, v: &Vector, run: usize) -> Result<(), Fault> {
        let (dst, src) = (v.dst, v.source(0)?);
        let from = self.tile(src)?;
        let (s, value) = self.operand(src)?;
        // A pair is two elements.
        let list = 2 * run;
        let runs = match list {
            0 => 0,
            n => from.valid_cols / n,
        };
        if runs > 0 && runs.is_multiple_of(4) {
            let text = format!("pl.mrgsort({s}, block_len={list})");
            return self.assign(dst, text, plain(value));
        }
        if runs != 2 {
            return Err(Fault::Runs { runs });
        }
        let scratch = self.scratch(v, from, (value.rows, value.cols));
        let low = format!("pl.slice({s}, [1, {list}], [0, 0])");
        let high = format!("pl.slice({s}, [1, {list}], [0, {list}])");
        let text = format!("pl.mrgsort({low}, {high}, tmp={scratch})");
        self.assign(dst, text, Value::whole(value.rows, value.cols))
    }
}

/// The extent of another value with the same one.
fn plain(value: Value) -> Value {
    Value {
        filled: None,
        ..value
    }
}

/// The zero that padding is.
fn is_zero(value: f32) -> bool {
    value.to_bits() == 0
}

fn shapes(lhs: &Value, rhs: &Value) -> Fault {
    Fault::Shapes {
        lhs: lhs.words(),
        rhs: rhs.words(),
    }
}

/// Whether a source has the extents that its shape says beside the first one.
fn fits(shape: [Dim; 2], first: &Value, value: &Value) -> bool {
    let rows = first.rows == value.rows && first.valid_rows == value.valid_rows;
    let cols = first.cols == value.cols && first.valid_cols == value.valid_cols;
    match shape {
        [Dim::R, Dim::One] => rows,
        [Dim::One, Dim::C] => cols,
        _ => first.is_like(value),
    }
}
