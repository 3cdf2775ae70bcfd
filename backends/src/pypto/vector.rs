//! Instructions of the vector unit.

use super::error::Fault;
use super::scope::is_part;
use super::types::{dtype, literal, round};
use super::value::{Rows, Value};
use super::writer::Writer;
use crate::source::index::Axis;
use tilewright_ir::DType;
use tilewright_ir::graph::{Binary, Reduce, Unary};
use tilewright_ir::kernel::{Instr, Tile, TileRef, VectorOp};

impl Writer<'_> {
    pub(super) fn vector(
        &mut self,
        op: &VectorOp,
        dst: &TileRef,
        srcs: &[TileRef],
        tmp: Option<&TileRef>,
    ) -> Result<(), Fault> {
        let to = self.tile(dst)?;
        let missing = || Fault::Missing {
            what: "an operand".into(),
        };
        let first = srcs.first();
        match op {
            VectorOp::Cvt(mode) => {
                let (s, value) = self.operand(first.ok_or_else(missing)?)?;
                let (ty, mode) = (dtype(to.dtype), round(*mode));
                let text = format!("pl.cast({s}, target_type={ty}, mode=\"{mode}\")");
                self.assign(dst, text, plain(value))
            }
            VectorOp::Unary(f) => {
                let (s, value) = self.operand(first.ok_or_else(missing)?)?;
                self.assign(dst, format!("pl.{}({s})", unary(*f)), plain(value))
            }
            VectorOp::Scalar(f, c) => {
                let (s, value) = self.operand(first.ok_or_else(missing)?)?;
                let c = literal(*c, to.dtype)?;
                self.assign(dst, format!("pl.{}({s}, {c})", binary(*f)), plain(value))
            }
            VectorOp::Binary(f) => {
                let [a, b] = srcs else { return Err(missing()) };
                let (a, left) = self.operand(a)?;
                let (b, right) = self.operand(b)?;
                if !left.is_like(&right) {
                    return Err(shapes(&left, &right));
                }
                self.assign(dst, format!("pl.{}({a}, {b})", binary(*f)), plain(left))
            }
            VectorOp::Halves(f) => {
                let (s, value) = self.operand(first.ok_or_else(missing)?)?;
                let wanted = Value::of(to, None);
                let shape = self.extents(Self::axes(to), wanted.rows, wanted.cols);
                let second = match value.valid_rows.limit() == 2 * to.valid_rows {
                    true => format!("[{}, 0]", to.valid_rows),
                    false => format!("[0, {}]", to.valid_cols),
                };
                let text = format!(
                    "pl.{}(pl.slice({s}, {shape}, [0, 0]), pl.slice({s}, {shape}, {second}))",
                    binary(*f)
                );
                self.assign(dst, text, wanted)
            }
            VectorOp::RowExpand(f) => {
                let [a, b] = srcs else { return Err(missing()) };
                let (a, left) = self.operand(a)?;
                let (b, right) = self.operand(b)?;
                if left.rows != right.rows || left.valid_rows != right.valid_rows {
                    return Err(shapes(&left, &right));
                }
                let text = format!("pl.row_expand_{}({a}, {b})", expand(*f));
                self.assign(dst, text, plain(left))
            }
            VectorOp::ColExpand(f) => {
                let [a, b] = srcs else { return Err(missing()) };
                let (a, left) = self.operand(a)?;
                let (b, right) = self.operand(b)?;
                if left.cols != right.cols || left.valid_cols != right.valid_cols {
                    return Err(shapes(&left, &right));
                }
                let text = format!("pl.col_expand_{}({a}, {b})", expand(*f));
                self.assign(dst, text, plain(left))
            }
            VectorOp::RowReduce(f) => {
                let (s, value) = self.operand(first.ok_or_else(missing)?)?;
                let from = self.tile(first.ok_or_else(missing)?)?;
                let scratch = self.scratch(dst, tmp, from, (value.rows, value.cols));
                let text = format!("pl.{}({s}, {scratch})", reduce(*f));
                let value = Value {
                    cols: 1,
                    valid_cols: 1,
                    ..plain(value)
                };
                self.assign(dst, text, value)
            }
            VectorOp::Fill(c) => {
                let wanted = Value::of(to, None);
                let shape = self.extents(Self::axes(to), wanted.rows, wanted.cols);
                let (ty, c_text) = (dtype(to.dtype), literal(*c, to.dtype)?);
                let value = Value {
                    filled: Some(*c),
                    ..Value::whole(wanted.rows, wanted.cols)
                };
                let mut text = format!("pl.tile.full({shape}, dtype={ty}, value={c_text})");
                if self.is_padded(dst.tile) && is_zero(*c) {
                    // A padded tile is of a type of its own, which a variable keeps.
                    text = format!("pl.fillpad({text}, pad_value=pl.PadValue.zero)");
                }
                self.assign(dst, text, value)
            }
            VectorOp::Copy => self.copy(dst, first.ok_or_else(missing)?),
            VectorOp::Iota => {
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
                self.assign(dst, text, Value::whole(value.rows, value.cols))
            }
            VectorOp::Sort32 => {
                let [x, index] = srcs else {
                    return Err(missing());
                };
                let (x, value) = self.operand(x)?;
                let (index, _) = self.operand(index)?;
                let text = format!("pl.sort32({x}, {index})");
                self.assign(dst, text, Value::whole(value.rows, 2 * value.cols))
            }
            VectorOp::MergeSort { run } => self.merge(*run, dst, first.ok_or_else(missing)?, tmp),
            VectorOp::PairIndices => {
                // The second halves of the first pairs.
                let src = first.ok_or_else(missing)?;
                let (mut s, value) = self.operand(src)?;
                let pairs = 2 * to.cols;
                if value.cols < pairs {
                    return Err(shapes(&value, &Value::of(to, None)));
                }
                if value.cols > pairs {
                    s = format!("pl.slice({s}, [1, {pairs}], [0, 0])");
                }
                let ty = dtype(to.dtype);
                let text = format!(
                    "pl.tile.gather_mask({s}, pl.tile.MaskPattern.P1010, output_dtype={ty})"
                );
                self.assign(dst, text, Value::whole(value.rows, to.cols))
            }
            VectorOp::Gather => {
                let [x, index] = srcs else {
                    return Err(missing());
                };
                let (x, _) = self.operand(x)?;
                let from = self.tile(index)?;
                let (by, value) = self.operand(index)?;
                let scratch = self.scratch(dst, tmp, from, (value.rows, value.cols));
                // The language takes the shape from the indices, and all of it as valid.
                let text = format!("pl.tile.gather({x}, {by}, {scratch})");
                self.assign(dst, text, Value::whole(value.rows, value.cols))
            }
        }
    }

    /// Makes the scratch tile of an instruction: the program's, or one that only this language wants. At least so large.
    fn scratch(
        &mut self,
        dst: &TileRef,
        tmp: Option<&TileRef>,
        like: &Tile,
        (rows, cols): (usize, usize),
    ) -> String {
        let found = tmp.and_then(|t| Some((self.name(t), self.tile(t).ok()?)));
        let (name, tile) = match found {
            Some((name, tile)) => (name, tile.clone()),
            None => {
                let name = self.fresh(&format!("{}_tmp", self.name(dst)));
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

    fn merge(
        &mut self,
        run: usize,
        dst: &TileRef,
        src: &TileRef,
        tmp: Option<&TileRef>,
    ) -> Result<(), Fault> {
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
        let scratch = self.scratch(dst, tmp, from, (value.rows, value.cols));
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

fn unary(f: Unary) -> &'static str {
    match f {
        Unary::Abs => "abs",
        Unary::Exp => "exp",
        Unary::Log => "log",
        Unary::Sqrt => "sqrt",
        Unary::Neg => "neg",
    }
}

fn binary(f: Binary) -> &'static str {
    match f {
        Binary::Add => "add",
        Binary::Sub => "sub",
        Binary::Mul => "mul",
        Binary::Div => "div",
        Binary::Max => "maximum",
        Binary::Min => "minimum",
    }
}

fn expand(f: Binary) -> &'static str {
    match f {
        Binary::Max => "max",
        Binary::Min => "min",
        other => binary(other),
    }
}

fn reduce(f: Reduce) -> &'static str {
    match f {
        Reduce::Sum => "row_sum",
        Reduce::Max => "row_max",
        Reduce::Min => "row_min",
    }
}
