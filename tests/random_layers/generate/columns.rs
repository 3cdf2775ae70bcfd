//! Lines that change which columns or rows a value has.

use super::{Cols, Generator, Line, Rows, Value};

impl Generator {
    pub(super) fn slice(&mut self) -> Option<Line> {
        let x = self.value(|v| v.dtype != "i8")?;
        let width = self.width(&x);
        if width < 2 {
            return None;
        }
        let from = self.below(width);
        let to = from + 1 + self.below(width - from);
        let like = Value {
            cols: Cols::Number(to - from),
            ..x.clone()
        };
        self.made(
            format!("slice_cols({{}}, from = {from}, to = {to})"),
            &[&x],
            like,
        )
    }

    /// As rows of another length that divides all elements.
    pub(super) fn reshape(&mut self) -> Option<Line> {
        let x = self.value(|v| v.rows != Rows::Ragged)?;
        let Rows::Named(rows) = x.rows else {
            return None;
        };
        let elements = self.sizes[rows].1 * self.width(&x);
        let fits = |c: &usize| elements.is_multiple_of(*c) && elements / c <= 512 && *c <= 1100;
        let widths: Vec<usize> = (1..=elements).filter(fits).collect();
        let cols = *widths.get(self.below(widths.len()))?;
        let rows = self.sizes.len();
        // Not `T`: of a view these rows are a number, which no tile and no other value names.
        self.sizes.push((format!("V{rows}"), elements / cols));
        let like = Value {
            rows: Rows::Named(rows),
            cols: Cols::Number(cols),
            ..x.clone()
        };
        let call = format!("reshape({{}}, rows = V{rows}, cols = {cols})");
        self.made(call, &[&x], like)
    }

    pub(super) fn concat(&mut self) -> Option<Line> {
        let x = self.value(|_| true)?;
        let like = x.clone();
        let y = self.value(|v| v.dtype == like.dtype && v.rows == like.rows)?;
        let like = Value {
            cols: Cols::Number(self.width(&x) + self.width(&y)),
            exact: x.exact && y.exact,
            positive: x.positive && y.positive,
            ..x.clone()
        };
        self.made("concat_cols({}, {})".into(), &[&x, &y], like)
    }

    pub(super) fn pad_or_repeat(&mut self) -> Option<Line> {
        let x = self.float();
        let width = self.width(&x);
        if width == 1 && self.one_in(2) {
            let to = 2 + self.below(40);
            let like = Value {
                cols: Cols::Number(to),
                ..x.clone()
            };
            return self.made(format!("repeat_cols({{}}, to = {to})"), &[&x], like);
        }
        let to = width + self.below(40);
        let like = Value {
            cols: Cols::Number(to),
            positive: false,
            ..x.clone()
        };
        self.made(
            format!("pad_cols({{}}, to = {to}, value = -1)"),
            &[&x],
            like,
        )
    }

    pub(super) fn composite(&mut self) -> Option<Line> {
        let x = self.float();
        let like = Value {
            exact: false,
            positive: false,
            ..x.clone()
        };
        if self.one_in(2) {
            let name = self.fresh("w");
            let declared = format!("f32[{}] ~ normal(1, 0.1)", self.cols_text(x.cols));
            self.declare(&name, declared, false);
            let w = Value { name, ..x.clone() };
            return self.made("rms_norm({}, {}, eps = 1e-3)".into(), &[&x, &w], like);
        }
        let calls = [
            "relu({})",
            "sigmoid({})",
            "tanh({})",
            "silu({})",
            "gelu({})",
            "softmax({})",
        ];
        if self.one_in(2) {
            let call = self.pick(&calls);
            return self.made(call.into(), &[&x], like);
        }
        self.made("swiglu({}, {}, limit = 3)".into(), &[&x, &x], like)
    }
}
