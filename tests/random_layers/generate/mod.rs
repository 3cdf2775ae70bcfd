//! Random layers: all operations on values of random types and sizes, in kernels with and without schedules.
//! *Exact* values have the same bits whatever the order of additions: only of these are rows sorted or looked up.

mod columns;

use crate::layer::{Input, Kernel, Layer, Line};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

#[derive(Debug, Clone)]
struct Value {
    name: String,
    dtype: &'static str,
    rows: Rows,
    cols: Cols,
    exact: bool,
    /// Whether elements are not negative.
    positive: bool,
}

/// Rows: a named size, or groups of rows of which some exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    Named(usize),
    Ragged,
}

/// Columns: a named size, or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cols {
    Named(usize),
    Number(usize),
}

const ROWS: [usize; 14] = [1, 2, 3, 5, 7, 8, 12, 16, 17, 24, 31, 33, 64, 131];
const COLS: [usize; 21] = [
    1, 2, 7, 8, 16, 24, 32, 33, 64, 72, 96, 100, 127, 128, 176, 256, 264, 352, 512, 1000, 1031,
];

/// Columns of rows that a core does not hold of some operations; of a few rows, which take long enough.
const LONG: [usize; 5] = [6000, 8200, 10_007, 16_384, 20_000];
/// Elements of a weight, at most.
const WEIGHT: usize = 1 << 20;

struct Generator {
    rng: ChaCha8Rng,
    sizes: Vec<(String, usize)>,
    inputs: Vec<Input>,
    values: Vec<Value>,
    next: usize,
    /// Groups, and rows of each, of the ragged values.
    ragged: Option<(usize, usize)>,
    /// The rows that the scalar `n` counts.
    scalar: Option<Rows>,
}

/// The layer of a seed.
pub fn layer(seed: u64) -> Layer {
    let mut g = Generator {
        rng: ChaCha8Rng::seed_from_u64(seed),
        sizes: vec![],
        inputs: vec![],
        values: vec![],
        next: 0,
        ragged: None,
        scalar: None,
    };
    let rows = 1 + g.below(2);
    let long = g.one_in(24);
    for i in 0..rows {
        let size = match long {
            true => 1 + g.below(3),
            false => ROWS[g.below(ROWS.len())],
        };
        g.sizes.push((format!("T{i}"), size));
    }
    for i in 0..1 + g.below(3) {
        let size = match long && i == 0 {
            true => LONG[g.below(LONG.len())],
            false => COLS[g.below(COLS.len())],
        };
        g.sizes.push((format!("D{i}"), size));
    }
    if g.one_in(5) {
        let most = if long { 2 } else { 20 };
        let (groups, each) = (1 + g.below(4), 1 + g.below(most));
        g.ragged = Some((groups, each));
        g.sizes.push(("E".into(), groups));
        g.sizes.push(("R".into(), each));
        g.inputs.push(Input {
            name: "count".into(),
            declared: "i32[E, 1] <= R".into(),
            counts: None,
        });
    }
    for _ in 0..1 + g.below(3) {
        g.input();
    }
    let mut kernels = vec![];
    for _ in 0..1 + g.below(4) {
        let made = g.values.len();
        let lines = (0..1 + g.below(5)).filter_map(|_| g.line()).collect();
        let schedule = g.schedule(made);
        kernels.push(Kernel { schedule, lines });
    }
    if kernels.iter().all(|k: &Kernel| k.lines.is_empty()) {
        kernels[0].lines.extend(g.unary());
    }
    let more = (0..g.below(2)).filter_map(|_| {
        let made: Vec<&Value> = g
            .values
            .iter()
            .filter(|v| v.name.starts_with('v'))
            .collect();
        let n = (g.rng.next_u32() as usize) % made.len().max(1);
        made.get(n).map(|v| v.name.clone())
    });
    Layer {
        more: more.collect(),
        sizes: g.sizes,
        inputs: g.inputs,
        kernels,
    }
}

/// The type in which two meet: the one that holds all values of the other.
fn meet(a: &'static str, b: &'static str) -> Option<&'static str> {
    match (a, b) {
        _ if a == b => matches!(a, "f32" | "bf16" | "f16").then_some(a),
        ("f32", "bf16" | "f16") | ("bf16" | "f16", "f32") => Some("f32"),
        _ => None,
    }
}

impl Generator {
    fn below(&mut self, n: usize) -> usize {
        (self.rng.next_u32() as usize) % n.max(1)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn fresh(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}{}", self.next)
    }

    fn rows_text(&self, rows: Rows) -> String {
        match rows {
            Rows::Named(i) => self.sizes[i].0.clone(),
            Rows::Ragged => "E * R".into(),
        }
    }

    fn cols_text(&self, cols: Cols) -> String {
        match cols {
            Cols::Named(i) => self.sizes[i].0.clone(),
            Cols::Number(n) => n.to_string(),
        }
    }

    fn width(&self, v: &Value) -> usize {
        match v.cols {
            Cols::Named(i) => self.sizes[i].1,
            Cols::Number(n) => n,
        }
    }

    fn some_rows(&mut self) -> Rows {
        if self.ragged.is_some() && self.one_in(2) {
            return Rows::Ragged;
        }
        let named: Vec<usize> = (0..self.sizes.len())
            .filter(|i| self.sizes[*i].0.starts_with('T'))
            .collect();
        Rows::Named(self.pick(&named))
    }

    fn some_cols(&mut self) -> Cols {
        let named: Vec<usize> = (0..self.sizes.len())
            .filter(|i| self.sizes[*i].0.starts_with('D'))
            .collect();
        Cols::Named(self.pick(&named))
    }

    fn declare(&mut self, name: &str, declared: String, ragged: bool) {
        let counts = ragged.then(|| "count".to_string());
        // How rows are counted stands before what they hold.
        let (ty, range) = declared.split_at(declared.find([']']).map_or(0, |i| i + 1));
        let declared = match ragged {
            true => format!("{ty} ragged count{range}"),
            false => declared,
        };
        self.inputs.push(Input {
            name: name.into(),
            declared,
            counts,
        });
    }

    /// A matrix as an input.
    fn input(&mut self) -> Value {
        let (rows, cols) = (self.some_rows(), self.some_cols());
        let dtype = self.pick(&["f32", "f32", "f32", "bf16", "f16"]);
        self.matrix(dtype, rows, cols)
    }

    fn matrix(&mut self, dtype: &'static str, rows: Rows, cols: Cols) -> Value {
        let name = self.fresh("x");
        let declared = format!(
            "{dtype}[{}, {}]",
            self.rows_text(rows),
            self.cols_text(cols)
        );
        self.declare(&name, declared, rows == Rows::Ragged);
        let value = Value {
            name,
            dtype,
            rows,
            cols,
            exact: true,
            positive: false,
        };
        self.values.push(value.clone());
        value
    }

    /// A value that is as it must be, of those there are; the latest ones are likelier.
    fn value(&mut self, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        let found: Vec<Value> = self.values.iter().filter(|v| fits(v)).cloned().collect();
        if found.is_empty() {
            return None;
        }
        let late = found.len().saturating_sub(3);
        let i = match self.one_in(3) {
            true => self.below(found.len()),
            false => late + self.below(found.len() - late),
        };
        Some(found[i].clone())
    }

    fn float(&mut self) -> Value {
        match self.value(|v| v.dtype == "f32") {
            Some(v) => v,
            None => {
                let (rows, cols) = (self.some_rows(), self.some_cols());
                self.matrix("f32", rows, cols)
            }
        }
    }

    /// A value of any type of floating point that there is; mostly f32, which others are made of.
    fn any_float(&mut self) -> Value {
        let narrow = match self.one_in(4) {
            true => self.value(|v| matches!(v.dtype, "bf16" | "f16")),
            false => None,
        };
        match narrow {
            Some(v) => v,
            None => self.float(),
        }
    }

    /// A line that gives one value.
    fn made(&mut self, call: String, operands: &[&Value], like: Value) -> Option<Line> {
        let name = self.fresh("v");
        let line = Line {
            targets: vec![name.clone()],
            call,
            operands: operands.iter().map(|v| v.name.clone()).collect(),
        };
        self.values.push(Value { name, ..like });
        Some(line)
    }

    /// A line, if there is something that it can read.
    fn line(&mut self) -> Option<Line> {
        match self.below(23) {
            0..=3 => self.unary(),
            4..=6 => self.binary(),
            7..=9 => self.broadcast(),
            10 | 11 => self.reduce(),
            12 => self.cast(),
            13 => self.mask(),
            14 => self.slice(),
            15 => self.concat(),
            16 => self.pad_or_repeat(),
            17 => self.sort(),
            18 => self.gather(),
            19 => self.composite(),
            20 => self.reshape(),
            _ => self.product(),
        }
    }

    fn unary(&mut self) -> Option<Line> {
        let x = self.any_float();
        let kind = self.below(8);
        let (call, exact, positive) = match kind {
            0 => ("abs({})".to_string(), x.exact, true),
            1 => ("neg({})".into(), x.exact, false),
            // Bounded, so that nothing grows without end.
            2 => ("exp(min({}, 2.0))".into(), false, true),
            3 => ("sqrt(abs({}))".into(), false, true),
            4 => ("{} * 0.5".into(), x.exact, x.positive),
            5 => ("{} + 1.0".into(), x.exact, false),
            6 => ("1.0 - {}".into(), x.exact, false),
            _ => ("max({}, 0.25)".into(), x.exact, true),
        };
        let like = Value {
            exact,
            positive,
            ..x.clone()
        };
        self.made(call, &[&x], like)
    }

    fn binary(&mut self) -> Option<Line> {
        let x = self.any_float();
        let like = x.clone();
        let y = self.value(|v| {
            meet(v.dtype, like.dtype).is_some() && v.rows == like.rows && v.cols == like.cols
        })?;
        let (call, exact) = match self.below(6) {
            0 => ("{} + {}", true),
            1 => ("{} - {}", true),
            2 => ("max({}, {})", true),
            3 => ("min({}, {})", true),
            4 => ("{} * min({}, 2.0)", true),
            _ => ("{} / (abs({}) + 1.0)", false),
        };
        let like = Value {
            dtype: meet(x.dtype, y.dtype)?,
            exact: exact && x.exact && y.exact,
            positive: false,
            ..x.clone()
        };
        self.made(call.into(), &[&x, &y], like)
    }

    /// With one element a row, or one a column.
    fn broadcast(&mut self) -> Option<Line> {
        let x = self.any_float();
        if self.one_in(2) {
            let like = x.clone();
            let y = self
                .value(|v| v.dtype == "f32" && v.rows == like.rows && v.cols == Cols::Number(1));
            let y = match y {
                Some(y) => y,
                None => self.matrix("f32", x.rows, Cols::Number(1)),
            };
            let call = self.pick(&["{} + {}", "{} - {}", "max({}, {})", "{} * min({}, 2.0)"]);
            let like = Value {
                dtype: "f32",
                exact: x.exact && y.exact,
                positive: false,
                ..x.clone()
            };
            return self.made(call.into(), &[&x, &y], like);
        }
        let name = self.fresh("w");
        let declared = format!("f32[{}]", self.cols_text(x.cols));
        self.declare(&name, declared, false);
        let w = Value { name, ..x.clone() };
        let call = self.pick(&[
            "{} + {}",
            "{} * {}",
            "max({}, {})",
            "{} - exp(min({}, 1.0))",
        ]);
        let like = Value {
            dtype: "f32",
            exact: x.exact && !call.contains("exp"),
            positive: false,
            ..x.clone()
        };
        self.made(call.into(), &[&x, &w], like)
    }

    fn reduce(&mut self) -> Option<Line> {
        let whole = self.value(|v| v.dtype == "i32");
        if let Some(x) = whole.filter(|_| self.one_in(3)) {
            return self.made("cumsum({})".into(), &[&x], x.clone());
        }
        let kind = self.below(6);
        // Of others there are sums of f32 only.
        let x = match kind < 4 {
            true => self.any_float(),
            false => self.float(),
        };
        let (one, share) = (Cols::Number(1), 1.0 / self.width(&x) as f64);
        let (call, cols, exact) = match kind {
            0 | 1 => (format!("row_sum({{}}) * {share:?}"), one, false),
            2 => ("row_max({})".into(), one, x.exact),
            3 => ("row_min({})".into(), one, x.exact),
            4 => (format!("cumsum({{}}) * {share:?}"), x.cols, false),
            // Of factors just below 1, so that something is left.
            _ => {
                let factors = format!("1.0 - min(abs({{}}), 1.0) * {share:?}");
                (format!("row_prod({factors})"), one, false)
            }
        };
        let like = Value {
            cols,
            exact,
            ..x.clone()
        };
        self.made(call, &[&x], like)
    }

    fn cast(&mut self) -> Option<Line> {
        let x = self.value(|v| matches!(v.dtype, "f32" | "bf16" | "f16"))?;
        let to = match x.dtype {
            // What is rounded after it was added up can round another way.
            "f32" => self.pick(&["f32", "bf16", "f16", "f32"]),
            _ => "f32",
        };
        let like = Value {
            dtype: to,
            exact: x.exact,
            ..x.clone()
        };
        self.made(format!("cast({{}}, to = {to})"), &[&x], like)
    }

    fn mask(&mut self) -> Option<Line> {
        let counted = self.scalar;
        let x = self.value(|v| {
            let named = matches!(v.rows, Rows::Named(_));
            v.dtype == "f32" && named && counted.is_none_or(|rows| rows == v.rows)
        })?;
        if counted.is_none() {
            self.scalar = Some(x.rows);
            let rows = self.rows_text(x.rows);
            self.declare("n", format!("i32 <= {rows}"), false);
        }
        let n = Value {
            name: "n".into(),
            ..x.clone()
        };
        self.made("mask_rows({}, {})".into(), &[&x, &n], x.clone())
    }

    fn sort(&mut self) -> Option<Line> {
        let x = self.value(|v| v.dtype == "f32" && v.exact)?;
        let width = self.width(&x);
        let k = 1 + self.below(width.min(8));
        let like = Value {
            dtype: "i32",
            cols: Cols::Number(k),
            ..x.clone()
        };
        self.made(format!("top_k({{}}, k = {k})"), &[&x], like)
    }

    fn gather(&mut self) -> Option<Line> {
        if self.one_in(2) {
            let rows = match self.some_rows() {
                Rows::Ragged => return None,
                rows => rows,
            };
            let (table, ids) = (self.fresh("t"), self.fresh("i"));
            let cols = self.some_cols();
            let height = 1 + self.below(40);
            self.declare(
                &table,
                format!("f32[{height}, {}]", self.cols_text(cols)),
                false,
            );
            let declared = format!("i64[{}] < {height}", self.rows_text(rows));
            self.declare(&ids, declared, false);
            let of = |name: String| Value {
                name,
                dtype: "f32",
                rows,
                cols,
                exact: true,
                positive: false,
            };
            let (table, ids) = (of(table), of(ids));
            return self.made("gather_rows({}, {})".into(), &[&table, &ids], table.clone());
        }
        let x = self.float();
        let (width, k) = (self.width(&x), 1 + self.below(6));
        let name = self.fresh("i");
        let declared = format!("i32[{}, {k}] < {width}", self.rows_text(x.rows));
        self.declare(&name, declared, x.rows == Rows::Ragged);
        let ids = Value { name, ..x.clone() };
        let like = Value {
            cols: Cols::Number(k),
            ..x.clone()
        };
        self.made("gather_cols({}, {})".into(), &[&x, &ids], like)
    }

    fn product(&mut self) -> Option<Line> {
        let x = self.value(|v| matches!(v.dtype, "bf16" | "f16" | "f32"))?;
        let width = self.cols_text(x.cols);
        let w = self.fresh("w");
        let cols = self.some_cols();
        let like = Value {
            dtype: "f32",
            cols,
            exact: false,
            positive: false,
            ..x.clone()
        };
        if self.width(&x) * self.width(&like) > WEIGHT {
            return None;
        }
        let grouped = x.rows == Rows::Ragged;
        let (rows, f) = match grouped {
            true => (format!("E * {}", self.cols_text(cols)), "grouped_matmul_nt"),
            false => (self.cols_text(cols), "matmul_nt"),
        };
        let scale = 1.0 / (self.width(&x) as f64).sqrt();
        let turned = !grouped && self.width(&x).is_multiple_of(16);
        if turned && self.one_in(2) {
            let declared = format!(
                "{}[{width}, {}] ~ normal(0, {scale:.4})",
                x.dtype,
                self.cols_text(cols)
            );
            self.declare(&w, declared, false);
            let w = Value {
                name: w,
                ..x.clone()
            };
            return self.made("matmul_nn({}, {})".into(), &[&x, &w], like);
        }
        let declared = format!("{}[{rows}, {width}] ~ normal(0, {scale:.4})", x.dtype);
        self.declare(&w, declared, false);
        let w = Value {
            name: w,
            ..x.clone()
        };
        self.made(format!("{f}({{}}, {{}})"), &[&x, &w], like)
    }

    /// Lines of a schedule; none for half of the kernels.
    /// Of a kernel that made the values from a place on.
    fn schedule(&mut self, made: usize) -> Vec<String> {
        if self.one_in(2) {
            return vec![];
        }
        let mut out = vec![];
        if self.one_in(2) {
            let launch = self.pick(&["parallel", "spmd"]);
            out.push(format!("launch {launch}"));
        }
        if self.one_in(2) {
            let depth = 1 + self.below(4);
            out.push(match depth {
                1 => "loop range".into(),
                depth => format!("loop pipeline({depth})"),
            });
        }
        // A tile need not divide what it cuts.
        let axes = self.values[made.min(self.values.len())..].iter();
        let axes = axes.flat_map(|v| match (v.rows, v.cols) {
            (Rows::Named(r), Cols::Named(c)) => vec![r, c],
            (Rows::Named(r), _) => vec![r],
            (Rows::Ragged, Cols::Named(c)) => vec![c],
            (Rows::Ragged, _) => vec![],
        });
        let named = |axis: &usize| !self.sizes[*axis].0.starts_with('V');
        let axes: Vec<usize> = axes.filter(named).collect();
        if self.one_in(3) && !axes.is_empty() {
            let axis = self.pick(&axes);
            let (axis, extent) = self.sizes[axis].clone();
            let size = 1 + self.below(extent);
            out.push(format!("tile {axis}_TILE = {size} over {axis}"));
        }
        out
    }
}
