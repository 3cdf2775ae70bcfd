//! One instruction as an assignment.

use super::error::Fault;
use super::kernel::Writer;
use super::scope::is_part;
use super::types::{dtype, literal, memory, round};
use super::value::{Rows, Value};
use crate::emitter::index::Axis;
use tilewright_ir::DType;
use tilewright_ir::graph::{Binary, Reduce, Unary};
use tilewright_ir::kernel::{
    GlobalRef, Instr, IntOp, Layout, NotifyOp, Space, Tile, TileRef, VectorOp,
};

/// Rows of a fractal of the accumulator.
const FRACTAL: usize = 16;

const ELEMENT: [Axis; 2] = [Axis::Rows, Axis::Cols];

impl Writer<'_> {
    pub(super) fn instr(&mut self, instr: &Instr) -> Result<(), Fault> {
        if let Some((_, rect)) = instr.global() {
            self.tensor(&rect.tensor)?;
        }
        let mut allowed = Ok(());
        instr.exprs(&mut |e| {
            if allowed.is_ok() {
                allowed = self.allowed(e);
            }
        });
        allowed?;
        match instr {
            Instr::Load { dst, src } => self.load(dst, src),
            Instr::Store { dst, src } => self.store(dst, src),
            Instr::Move { dst, src, from } => {
                let (s, value) = self.operand(src)?;
                let (tile, whole) = (self.tile(dst)?, self.tile(src)?);
                let to = memory(tile.space);
                if (tile.rows, tile.cols) == (whole.rows, whole.cols) {
                    let text = format!("pl.move({s}, target_memory={to})");
                    return self.assign(dst, text, value);
                }
                let shape = self.extents(Self::axes(tile), tile.rows, tile.cols);
                let text = format!(
                    "pl.tile.extract({s}, {}, {}, {shape}, target_memory={to})",
                    from.0, from.1
                );
                self.assign(dst, text, Value::of(tile, dst.rows.as_ref()))
            }
            Instr::Matmul {
                dst,
                lhs,
                rhs,
                accumulate,
            } => self.product(dst, lhs, rhs, *accumulate, None),
            Instr::Vector { op, dst, srcs, tmp } => self.vector(op, dst, srcs, tmp.as_ref()),
            scalar => self.scalar(scalar),
        }
    }

    /// A product. With a condition, it is only added where the condition does not hold.
    pub(super) fn product(
        &mut self,
        dst: &TileRef,
        lhs: &TileRef,
        rhs: &TileRef,
        accumulate: bool,
        unless: Option<&str>,
    ) -> Result<(), Fault> {
        let to = self.tile(dst)?;
        let (a, left) = self.operand(lhs)?;
        let (b, right) = self.operand(rhs)?;
        let value = Value {
            rows: left.rows,
            cols: right.cols,
            valid_rows: left.valid_rows,
            valid_cols: right.valid_cols,
            filled: None,
        };
        let text = match accumulate {
            false => format!("pl.matmul({a}, {b})"),
            true => {
                let (acc, is) = self.operand(dst)?;
                // An accumulator that is made before its product lies as its own rows say, the product as those that are valid;
                // both round up to whole fractals.
                let fractals = |rows: usize| rows.div_ceil(FRACTAL);
                let same = match &is.valid_rows {
                    Rows::Fixed(n) => fractals(*n) == fractals(is.rows),
                    Rows::Counted(..) => is.rows <= FRACTAL,
                };
                if !same {
                    return Err(Fault::Accumulator {
                        tile: to.name.clone(),
                        found: is.words(),
                    });
                }
                let first = unless.map_or(String::new(), |c| format!(", init_cond=({c})"));
                format!("pl.matmul_acc({acc}, {a}, {b}{first})")
            }
        };
        self.assign(dst, text, value)
    }

    // Rectangles of global memory.

    fn load(&mut self, dst: &TileRef, src: &GlobalRef) -> Result<(), Fault> {
        if src.step != 1 {
            return self.load_apart(dst, src);
        }
        let tile = self.tile(dst)?;
        let gm = self.tensor(&src.tensor)?;
        let axes = Axis::of_tile(tile);
        let row = self.sum(&src.row, axes[0]).text();
        let col = self.sum(&src.col, axes[1]).text();
        let at = format!("[{row}, {col}]");
        let declared = Value::of(tile, dst.rows.as_ref());
        let counted = |n: usize| super::value::counted(dst.rows.as_ref(), n);
        let memory = match tile.space {
            Space::Ub => String::new(),
            space => format!(", target_memory={}", memory(space)),
        };
        match tile.layout {
            Layout::Zn => {
                // [N, K] in global memory, seen as [K, N].
                let shape = self.extents(axes, declared.cols, declared.rows);
                let valid = match (src.rows, src.cols) == (declared.cols, declared.rows) {
                    true => String::new(),
                    false => {
                        let valid = self.extents(axes, src.rows, src.cols);
                        format!(", valid_shape={valid}")
                    }
                };
                let load = format!("pl.load({gm}, {at}, {shape}{valid}{memory})");
                let value = Value {
                    valid_rows: Rows::Fixed(src.cols),
                    valid_cols: src.rows,
                    ..declared
                };
                self.assign(dst, format!("pl.tile.transpose_view({load})"), value)
            }
            Layout::ColMajor if src.rows == 1 && tile.valid_rows > 1 => {
                // A row of global memory is the column.
                let n = self.constants.of(axes[0], declared.rows as i64);
                let valid_rows = counted(src.cols);
                let valid = match &valid_rows {
                    Rows::Fixed(all) if *all == declared.rows => String::new(),
                    some => {
                        let r = self.rows(axes[0], some);
                        format!(", valid_shape=[1, {r}]")
                    }
                };
                let load = format!("pl.load({gm}, {at}, [1, {n}]{valid})");
                let value = Value {
                    valid_rows,
                    ..declared
                };
                self.assign(dst, format!("pl.reshape({load}, [{n}, 1])"), value)
            }
            _ => {
                let value = Value {
                    valid_rows: counted(src.rows.min(tile.valid_rows)),
                    valid_cols: src.cols,
                    ..declared.clone()
                };
                let is_less = value.valid_rows.limit() < tile.valid_rows
                    || value.valid_cols < tile.valid_cols;
                // Of a tile that holds something, the rest stays.
                if let (true, Some(old)) = (is_less, self.values.get(&dst.tile).cloned()) {
                    if dst.rows.is_some() {
                        return Err(Fault::SomeRows {
                            tile: tile.name.clone(),
                        });
                    }
                    let shape = self.extents(axes, src.rows, src.cols);
                    let name = self.name(dst);
                    let load = format!("pl.load({gm}, {at}, {shape}{memory})");
                    let text = format!("pl.assemble({name}, {load}, [0, 0])");
                    return self.assign(
                        dst,
                        text,
                        Value {
                            filled: None,
                            ..old
                        },
                    );
                }
                let shape = self.extents(axes, value.rows, value.cols);
                let valid = match value.is_whole() {
                    true => String::new(),
                    false => {
                        let r = self.rows(axes[0], &value.valid_rows);
                        let c = self.constants.of(axes[1], value.valid_cols as i64);
                        format!(", valid_shape=[{r}, {c}]")
                    }
                };
                let text = format!("pl.load({gm}, {at}, {shape}{valid}{memory})");
                self.assign(dst, text, value)
            }
        }
    }

    /// Rows that do not lie beside each other are loaded one by one.
    fn load_apart(&mut self, dst: &TileRef, src: &GlobalRef) -> Result<(), Fault> {
        let tile = self.tile(dst)?;
        let gm = self.tensor(&src.tensor)?;
        let axes = Axis::of_tile(tile);
        let value = Value::of(tile, dst.rows.as_ref());
        if dst.rows.is_some() {
            return Err(Fault::SomeRows {
                tile: tile.name.clone(),
            });
        }
        let shape = self.extents(axes, value.rows, value.cols);
        let (ty, zero) = (dtype(tile.dtype), literal(0.0, tile.dtype)?);
        let text = format!("pl.tile.full({shape}, dtype={ty}, value={zero})");
        self.assign(dst, text, Value::whole(value.rows, value.cols))?;
        let shape = self.extents(axes, 1, src.cols);
        let col = self.sum(&src.col, axes[1]).text();
        for i in 0..src.rows {
            let mut row = src.row.clone();
            row.base += (i * src.step) as i64;
            let row = self.sum(&row, axes[0]).text();
            let name = self.name(dst);
            let load = format!("pl.load({gm}, [{row}, {col}], {shape})");
            let text = format!("pl.assemble({name}, {load}, [{i}, 0])");
            self.assign(dst, text, value.clone())?;
        }
        Ok(())
    }

    fn store(&mut self, dst: &GlobalRef, src: &TileRef) -> Result<(), Fault> {
        let tile = self.tile(src)?;
        let gm = self.tensor(&dst.tensor)?;
        let axes = Axis::of_tile(tile);
        let (mut text, value) = self.operand(src)?;
        let row = self.sum(&dst.row, axes[0]).text();
        let col = self.sum(&dst.col, axes[1]).text();
        let as_row = tile.layout == Layout::ColMajor && dst.rows == 1 && tile.valid_rows > 1;
        let moved = match as_row {
            true => (dst.cols, 1),
            false => (dst.rows, dst.cols),
        };
        if moved != (value.valid_rows.limit(), value.valid_cols) {
            if src.rows.is_some() {
                return Err(Fault::Extent {
                    tile: tile.name.clone(),
                    found: value.words(),
                    need: format!("{} x {}", moved.0, moved.1),
                });
            }
            let shape = self.extents(Self::axes(tile), moved.0, moved.1);
            text = format!("pl.slice({text}, {shape}, [0, 0])");
        }
        if as_row {
            let n = self.constants.of(axes[0], moved.0 as i64);
            text = format!("pl.reshape({text}, [1, {n}])");
        }
        self.line(&format!("{gm} = pl.store({text}, [{row}, {col}], {gm})"));
        Ok(())
    }

    /// The indices of one element.
    fn element(&mut self, g: &GlobalRef) -> Result<String, Fault> {
        let gm = self.tensor(&g.tensor)?;
        let row = self.sum(&g.row, ELEMENT[0]).text();
        let col = self.sum(&g.col, ELEMENT[1]).text();
        Ok(format!("{gm}, [{row}, {col}]"))
    }

    // The vector unit.

    fn vector(
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
                let shape = self.extents(ELEMENT, *rows, cols);
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

    // The scalar unit.

    fn scalar(&mut self, instr: &Instr) -> Result<(), Fault> {
        match instr {
            Instr::ReadScalar { dst, src } => {
                let at = self.element(src)?;
                self.fill(*dst, &format!("pl.cast(pl.read({at}), pl.INDEX)"));
            }
            Instr::WriteScalar { dst, value } => {
                let at = self.element(dst)?;
                let tensor = self.program.tensors.get(&dst.tensor);
                let ty = tensor.map_or("pl.INT32", |t| dtype(t.dtype));
                let value = match value.terms.is_empty() {
                    true => format!("pl.const({}, {ty})", value.base),
                    false => format!("pl.cast({}, {ty})", self.value_text(value)?),
                };
                self.line(&format!("pl.write({at}, {value})"));
            }
            Instr::SetReg { dst, value } => {
                let value = match value.terms.is_empty() {
                    true => format!("pl.const({}, pl.INDEX)", value.base),
                    false => self.value_text(value)?,
                };
                self.fill(*dst, &value);
            }
            Instr::Compute { dst, op, lhs, rhs } => {
                let (a, b) = (self.value_text(lhs)?, self.value_text(rhs)?);
                let value = match op {
                    IntOp::Min => format!("pl.min({a}, {b})"),
                    IntOp::Max => format!("pl.max({a}, {b})"),
                    IntOp::Mul => format!("{} * {}", factor(a), factor(b)),
                    IntOp::Div => format!("{} // {}", factor(a), factor(b)),
                    IntOp::Rem => format!("{} % {}", factor(a), factor(b)),
                };
                self.fill(*dst, &value);
            }
            Instr::ArrayGet { dst, array, index } => {
                let at = self.place(*array, index)?;
                self.fill(*dst, &format!("pl.cast({at}, pl.INDEX)"));
            }
            Instr::ArraySet {
                array,
                index,
                value,
            } => {
                let at = self.place(*array, index)?;
                let value = self.value_text(value)?;
                self.line(&format!("{at} = pl.cast({value}, pl.INT32)"));
            }
            Instr::ReadArray { src: rows, .. } | Instr::WriteArray { dst: rows, .. } => {
                return Err(Fault::Rows {
                    tensor: rows.tensor.clone(),
                });
            }
            // Counters are in windows, which have been refused.
            Instr::Notify { counter, op, .. } => {
                let op = match op {
                    NotifyOp::Set => "set",
                    NotifyOp::Add => "increased",
                };
                return Err(Fault::Missing {
                    what: format!("a window that `{}` is {op} in", counter.tensor),
                });
            }
            Instr::WaitCounter { counter, .. } => {
                return Err(Fault::Missing {
                    what: format!("a window that holds `{}`", counter.tensor),
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn place(
        &mut self,
        array: usize,
        index: &tilewright_ir::kernel::Expr,
    ) -> Result<String, Fault> {
        let name = self.arrays.get(array).cloned();
        let name = name.ok_or_else(|| Fault::Missing {
            what: format!("array {array}"),
        })?;
        Ok(format!("{name}[{}]", self.value_text(index)?))
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

fn factor(text: String) -> String {
    match text.contains([' ', '-']) {
        true => format!("({text})"),
        false => text,
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
