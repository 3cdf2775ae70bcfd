//! Result types of operations: the one place that knows which shapes and element types an operation takes.
//!
//! Sizes are compared, axes are carried: a result's dimension keeps the axis name of the operand's dimension it comes from.

use super::{Binary, Composite, Dim, GraphError, Op, Prim, Ragged, Type, Unary};
use crate::dtype::DType;

/// The types of an operation's results, from those of its operands.
///
/// [`Op::Input`] has no operands to infer from: its type is its declaration's, and the result here is empty.
///
/// # Errors
///
/// A [`GraphError`] that names the operation, the operand and the sizes: a wrong number of operands, an element type or a
/// shape that the operation does not take, or an attribute out of range.
pub fn infer(op: &Op, operands: &[Type]) -> Result<Vec<Type>, GraphError> {
    if let Op::Exchange(call) = op {
        return call.infer(operands);
    }
    if operands.len() != op.arity() {
        return Err(GraphError::OperandCount {
            op: op.name(),
            expected: op.arity(),
            found: operands.len(),
        });
    }
    let check = Check { op, operands };
    if let Op::Composite(c @ Composite::Combine { .. }) = op {
        // Its rows are those of the rank that they go back to.
        return check.composite(c);
    }
    let types = match op {
        Op::Input | Op::Exchange(_) => return Ok(vec![]),
        Op::Prim(p) => vec![check.prim(p)?],
        Op::Composite(c) => check.composite(c)?,
    };
    let ragged = check.ragged()?;
    let types = types.into_iter();
    Ok(types.map(|t| t.with_ragged(ragged.cloned())).collect())
}

/// Names the counts that are results or operands of the same operation: inference, which knows no names, writes `#k` for result
/// k and `@k` for operand k.
pub fn name_counts(types: Vec<Type>, results: &[&str], operands: &[&str]) -> Vec<Type> {
    let named = |ragged: Ragged| {
        let place = |prefix, names: &[&str]| {
            let k: usize = ragged.counts.strip_prefix(prefix)?.parse().ok()?;
            names.get(k).map(|n| n.to_string())
        };
        match place('#', results).or_else(|| place('@', operands)) {
            Some(name) => Ragged {
                counts: name,
                ..ragged
            },
            None => ragged,
        }
    };
    types
        .into_iter()
        .map(|t| Type {
            ragged: t.ragged.map(named),
            ..t
        })
        .collect()
}

/// The element-wise form of `op` for two operand types: of one shape, `[R, C] op [R, 1]`, `[R, C] op [C]`, or ragged
/// `[G * R, C] op [G, C]`. The flag says that the operands must be swapped, which only happens when `op` commutes.
///
/// # Errors
///
/// [`GraphError::Shapes`] when no form fits.
pub fn pair(op: Binary, left: &Type, right: &Type) -> Result<(Prim, bool), GraphError> {
    let grouped = |matrix: &Type, other: &Type| {
        let groups = matrix.ragged.as_ref().map(|r| r.groups);
        groups.is_some() && other.ragged.is_none() && other.shape.len() == 2 && {
            let (rows, cols) = other.matrix();
            groups == Some(rows) && cols == matrix.matrix().1
        }
    };
    if left.shape == right.shape && !grouped(left, right) && !grouped(right, left) {
        return Ok((Prim::Binary(op), false));
    }
    let broadcast = |matrix: &Type, other: &Type| match (&matrix.shape[..], &other.shape[..]) {
        _ if grouped(matrix, other) => Some(Prim::GroupColBinary(op)),
        ([r, _], [other_r, one]) if r == other_r && one.size == 1 => Some(Prim::RowBinary(op)),
        ([_, c], [other_c]) if c == other_c => Some(Prim::ColBinary(op)),
        _ => None,
    };
    if let Some(prim) = broadcast(left, right) {
        return Ok((prim, false));
    }
    let swapped = broadcast(right, left);
    match swapped {
        Some(prim) if op.commutes() => Ok((prim, true)),
        _ => Err(GraphError::Shapes {
            op: op.name(),
            left: left.clone(),
            right: right.clone(),
            remedy: if swapped.is_some() {
                "only the second operand is broadcast, so put the matrix first (negate, or divide one by it)".into()
            } else {
                "give both one shape, or make the second one element a row, [R, 1], or one a column, [C]".into()
            },
        }),
    }
}

struct Check<'a> {
    op: &'a Op,
    operands: &'a [Type],
}

impl Check<'_> {
    fn prim(&self, prim: &Prim) -> Result<Type, GraphError> {
        let x = &self.operands[0];
        match *prim {
            Prim::Cast { to, .. } => Ok(Type::new(to, x.shape.clone())),
            Prim::Unary(Unary::Abs | Unary::Neg) => {
                self.element(0, "a signed type", |d| d != DType::U32)?;
                Ok(x.clone())
            }
            Prim::Unary(_) => {
                self.float(0)?;
                Ok(x.clone())
            }
            Prim::Scalar { op, value } => {
                self.constant("value", value, x.dtype)?;
                self.divides(op)?;
                Ok(x.clone())
            }
            Prim::ScalarLeft { op, value } => {
                self.constant("value", value, x.dtype)?;
                self.divides(op)?;
                if op.commutes() {
                    return Err(self.attribute(
                        "value",
                        value,
                        "a constant on the left is only for sub and div; use the form with the constant on the right",
                    ));
                }
                Ok(x.clone())
            }
            Prim::Binary(op) => {
                self.same_element()?;
                self.divides(op)?;
                if x.shape != self.operands[1].shape {
                    return Err(self.shapes("give both operands one shape"));
                }
                let shape = x.shape.iter().zip(&self.operands[1].shape);
                Ok(Type::new(
                    x.dtype,
                    shape.map(|(a, b)| either(a, b)).collect::<Vec<_>>(),
                ))
            }
            Prim::RowBinary(op) => {
                self.same_element()?;
                self.divides(op)?;
                let (r, c) = self.matrix(0)?;
                let (other, one) = self.matrix(1)?;
                if r != other || one.size != 1 {
                    return Err(self
                        .shapes("make the second operand one element a row of the first, [R, 1]"));
                }
                Ok(Type::new(x.dtype, [either(r, other), c.clone()]))
            }
            Prim::ColBinary(op) => {
                self.same_element()?;
                self.divides(op)?;
                let (r, c) = self.matrix(0)?;
                let other = self.vector(1)?;
                if c != other {
                    return Err(self
                        .shapes("make the second operand one element a column of the first, [C]"));
                }
                Ok(Type::new(x.dtype, [r.clone(), either(c, other)]))
            }
            Prim::RowReduce(_) => {
                let (r, _) = self.matrix(0)?;
                Ok(Type::new(x.dtype, [r.clone(), Dim::new(1)]))
            }
            Prim::MatmulNt => {
                self.same_element()?;
                self.element(0, "f32, bf16, f16 or i8", |d| {
                    d.is_float() || d == DType::I8
                })?;
                let (m, k) = self.matrix(0)?;
                let (n, other) = self.matrix(1)?;
                if k != other {
                    return Err(self.shapes(
                        "both operands end in the summed dimension: make the last sizes equal",
                    ));
                }
                let dtype = if x.dtype == DType::I8 {
                    DType::I32
                } else {
                    DType::F32
                };
                Ok(Type::new(dtype, [m.clone(), n.clone()]))
            }
            Prim::GroupColBinary(op) => {
                self.same_element()?;
                self.divides(op)?;
                let groups = self.groups()?;
                let (r, c) = self.matrix(0)?;
                let (other, columns) = self.matrix(1)?;
                if other.size != groups || c != columns {
                    return Err(
                        self.shapes("make the second operand one row a group of the first, [G, C]")
                    );
                }
                Ok(Type::new(x.dtype, [r.clone(), either(c, columns)]))
            }
            Prim::GroupedMatmulNt => {
                self.same_element()?;
                self.element(0, "f32, bf16, f16 or i8", |d| {
                    d.is_float() || d == DType::I8
                })?;
                let groups = self.groups()?;
                let (m, k) = self.matrix(0)?;
                let (n, other) = self.matrix(1)?;
                if k != other {
                    return Err(self.shapes(
                        "both operands end in the summed dimension: make the last sizes equal",
                    ));
                }
                if !n.size.is_multiple_of(groups) {
                    return Err(self.shapes(
                        "the second operand has as many rows for each group of the first: make its rows a multiple of the groups",
                    ));
                }
                let dtype = match x.dtype {
                    DType::I8 => DType::I32,
                    _ => DType::F32,
                };
                Ok(Type::new(dtype, [m.clone(), n.part(groups)]))
            }
            Prim::SliceCols { from, to } => {
                let (_, columns) = x.matrix();
                if x.shape.is_empty() {
                    return Err(self.rank(0, "a matrix or a vector"));
                }
                if from >= to || to > columns {
                    return Err(self.attribute(
                        "to",
                        to,
                        &format!("there are {columns} columns: give 0 <= from < to <= {columns}"),
                    ));
                }
                let mut shape = x.shape.clone();
                let count = to - from;
                let parts = columns / count;
                let whole = columns.is_multiple_of(count) && from.is_multiple_of(count);
                let part = shape.pop().filter(|_| whole).map(|d| d.part(parts));
                shape.push(part.unwrap_or(Dim::new(count)));
                Ok(Type::new(x.dtype, shape))
            }
            Prim::ConcatCols => {
                self.same_element()?;
                let (r, a) = self.matrix(0)?;
                let (other, b) = self.matrix(1)?;
                if r != other {
                    return Err(
                        self.shapes("both operands have the same rows: make the first sizes equal")
                    );
                }
                let columns = Dim::new(a.size + b.size);
                Ok(Type::new(x.dtype, [either(r, other), columns]))
            }
            Prim::RepeatCols { cols } => {
                if x.shape.last().is_none_or(|d| d.size != 1) {
                    return Err(self.rank(0, "one column, [R, 1] or [1]"));
                }
                if cols == 0 {
                    return Err(self.attribute("to", cols, "give at least 1"));
                }
                let mut shape = x.shape.clone();
                shape.pop();
                shape.push(Dim::new(cols));
                Ok(Type::new(x.dtype, shape))
            }
            Prim::Sinkhorn { n, iterations, eps } => {
                self.epsilon(eps, eps >= 0.0)?;
                self.element(0, "f32", |d| d == DType::F32)?;
                let (_, c) = self.matrix(0)?;
                if n == 0 || n.checked_mul(n) != Some(c.size) {
                    let remedy = format!("a row of {} columns is to be an n x n matrix", c.size);
                    return Err(self.attribute("n", n, &remedy));
                }
                self.iterations(iterations)?;
                Ok(x.clone())
            }
            Prim::PadCols { cols, value } => {
                self.constant("value", value, x.dtype)?;
                let (r, c) = self.matrix(0)?;
                if cols < c.size {
                    return Err(self.attribute(
                        "to",
                        cols,
                        &format!("padding adds columns: give at least {}", c.size),
                    ));
                }
                Ok(Type::new(x.dtype, [r.clone(), Dim::new(cols)]))
            }
            Prim::TopK { k } => {
                self.float(0)?;
                let (r, c) = self.matrix(0)?;
                if k == 0 || k > c.size {
                    return Err(self.attribute(
                        "k",
                        k,
                        &format!("a row has {} columns: give 1 to {}", c.size, c.size),
                    ));
                }
                Ok(Type::new(DType::I32, [r.clone(), Dim::new(k)]))
            }
            Prim::GatherCols => self.gathered(),
            Prim::GatherRows => {
                let (_, k) = self.matrix(0)?;
                self.element(1, "i64 row numbers", |d| d == DType::I64)?;
                let r = self.vector(1)?;
                Ok(Type::new(x.dtype, [r.clone(), k.clone()]))
            }
            Prim::MaskRows => {
                self.matrix(0)?;
                self.element(1, "an i32 count", |d| d == DType::I32)?;
                if !self.operands[1].shape.is_empty() {
                    return Err(self.rank(1, "a scalar (rank 0)"));
                }
                Ok(x.clone())
            }
        }
    }

    fn composite(&self, composite: &Composite) -> Result<Vec<Type>, GraphError> {
        let x = &self.operands[0];
        if *composite != Composite::Dequantize {
            self.float(0)?;
        }
        match *composite {
            Composite::RmsNorm { eps } => {
                self.epsilon(eps, eps >= 0.0)?;
                self.float(1)?;
                let (r, c) = self.matrix(0)?;
                let weight = self.vector(1)?;
                if c != weight {
                    return Err(self.shapes("give one weight a column of the first operand, [C]"));
                }
                Ok(vec![Type::new(x.dtype, [r.clone(), either(c, weight)])])
            }
            Composite::QuantizeRows { eps } => {
                self.epsilon(eps, eps > 0.0)?;
                let (r, c) = self.matrix(0)?;
                Ok(vec![
                    Type::new(DType::I8, [r.clone(), c.clone()]),
                    Type::new(DType::F32, [r.clone(), Dim::new(1)]),
                ])
            }
            Composite::SqrtSoftplus => Ok(vec![x.clone()]),
            Composite::RouteWeights { scale } => {
                self.constant("scale", scale, DType::F32)?;
                Ok(vec![self.gathered()?])
            }
            Composite::Combine { topk } => self.combined(topk).map(|t| vec![t]),
            Composite::Dequantize => self.dequantized().map(|t| vec![t]),
            Composite::Swiglu { limit } => {
                if !(limit.is_finite() && limit >= 0.0) {
                    let remedy = "give a positive limit, or 0 for none";
                    return Err(self.attribute("limit", limit, remedy));
                }
                for i in [0, 1] {
                    self.element(i, "f32", |d| d == DType::F32)?;
                }
                if x.shape != self.operands[1].shape {
                    return Err(self.shapes("give both operands one shape"));
                }
                Ok(vec![x.clone()])
            }
            Composite::HcPre {
                norm_eps,
                eps,
                iterations,
            } => {
                self.epsilon(norm_eps, norm_eps >= 0.0)?;
                self.epsilon(eps, eps >= 0.0)?;
                self.iterations(iterations)?;
                self.hc_pre()
            }
            Composite::HcPost => self.hc_post().map(|t| vec![t]),
        }
    }

    /// `y [L * C, D], i32 route [L * C, 1], i32 count [L, 1], shared [T, D], count -> [T, D]`.
    fn combined(&self, topk: usize) -> Result<Type, GraphError> {
        if topk == 0 {
            return Err(self.attribute("topk", topk, "give at least 1"));
        }
        self.element(1, "i32", |d| d == DType::I32)?;
        self.element(2, "i32", |d| d == DType::I32)?;
        let y = &self.operands[0];
        let ((rows, cols), (routes, one)) = (self.matrix(0)?, self.matrix(1)?);
        if rows != routes || one.size != 1 {
            return Err(self.shapes_of(0, 1, "give one route a row, [L * C, 1]"));
        }
        let (lanes, one) = self.matrix(2)?;
        if one.size != 1 || !rows.size.is_multiple_of(lanes.size) {
            return Err(self.shapes_of(0, 2, "give one count a lane of rows, [L, 1]"));
        }
        let (_, wide) = self.matrix(3)?;
        if wide != cols || self.operands[3].dtype != y.dtype {
            return Err(self.shapes_of(0, 3, "give rows of one type and as many columns"));
        }
        self.element(4, "i32", |d| d == DType::I32)?;
        if !self.operands[4].shape.is_empty() {
            return Err(self.rank(4, "a scalar (rank 0)"));
        }
        Ok(self.operands[3].clone())
    }

    /// `i32 [R, N], f32 [R, 1], f32 [N] or [G, N] -> f32 [R, N]`.
    fn dequantized(&self) -> Result<Type, GraphError> {
        self.element(0, "i32", |d| d == DType::I32)?;
        for i in [1, 2] {
            self.element(i, "f32", |d| d == DType::F32)?;
        }
        let (r, n) = self.matrix(0)?;
        let (rows, one) = self.matrix(1)?;
        if r != rows || one.size != 1 {
            return Err(self.shapes_of(0, 1, "give one scale a row of the product, [R, 1]"));
        }
        let scale = &self.operands[2];
        let groups = self.operands[0].ragged.as_ref().map(|g| g.groups);
        let fits = match &scale.shape[..] {
            [columns] => columns == n,
            [g, columns] => Some(g.size) == groups && columns == n,
            _ => false,
        };
        if !fits {
            return Err(self.shapes_of(
                0,
                2,
                "give one scale a column of the product, [N], or one row of them a group of ragged rows, [G, N]",
            ));
        }
        Ok(Type::new(
            DType::F32,
            [
                either(r, rows),
                either(n, &scale.shape[scale.shape.len() - 1]),
            ],
        ))
    }

    /// How many streams n the operands of a hyper-connection have, from the columns of `streams` and `width`.
    fn streams(&self, i: usize, n: usize) -> Result<(&Dim, Dim), GraphError> {
        let (t, columns) = self.matrix(i)?;
        if n == 0 || !columns.size.is_multiple_of(n) {
            return Err(self.rank(i, "a row of as many columns for each of the n streams"));
        }
        Ok((t, columns.part(n)))
    }

    fn hc_pre(&self) -> Result<Vec<Type>, GraphError> {
        self.element(0, "bf16", |d| d == DType::Bf16)?;
        for i in [1, 2, 3] {
            self.element(i, "f32", |d| d == DType::F32)?;
        }
        let (columns, width) = self.matrix(1)?;
        let n = (1..=columns.size)
            .find(|n| (2 + n) * n >= columns.size)
            .unwrap_or(0);
        if (2 + n) * n != columns.size {
            return Err(self.rank(1, "of (2 + n) * n rows for n streams: 3, 8, 15, 24, ..."));
        }
        let (t, stream) = self.streams(0, n)?;
        if self.matrix(0)?.1 != width {
            return Err(self.shapes_of(0, 1, "make the last sizes equal"));
        }
        if self.vector(2)?.size != 3 {
            return Err(self.rank(2, "three scales, [3]"));
        }
        if self.vector(3)? != columns {
            return Err(self.shapes_of(1, 3, "give one base a row of the weights"));
        }
        Ok(vec![
            Type::new(DType::Bf16, [t.clone(), stream]),
            Type::new(DType::F32, [t.clone(), Dim::new(n)]),
            Type::new(DType::F32, [t.clone(), Dim::new(n * n)]),
        ])
    }

    fn hc_post(&self) -> Result<Type, GraphError> {
        for i in [0, 1] {
            self.element(i, "bf16", |d| d == DType::Bf16)?;
        }
        for i in [2, 3] {
            self.element(i, "f32", |d| d == DType::F32)?;
        }
        let (t, d) = self.matrix(0)?;
        let (rows, n) = self.matrix(2)?;
        let (again, square) = self.matrix(3)?;
        let (other, stream) = self.streams(1, n.size)?;
        if t != other || d != &stream {
            return Err(self.shapes_of(0, 1, "give each stream the columns of the first operand"));
        }
        if t != rows || t != again || n.size * n.size != square.size {
            return Err(self.shapes_of(2, 3, "give [T, n] and [T, n * n] for n streams"));
        }
        Ok(Type::new(DType::Bf16, self.operands[1].shape.clone()))
    }

    fn iterations(&self, iterations: usize) -> Result<(), GraphError> {
        if (1..=1000).contains(&iterations) {
            return Ok(());
        }
        Err(self.attribute("iterations", iterations, "give 1 to 1000"))
    }

    /// Groups of the first operand's rows.
    fn groups(&self) -> Result<usize, GraphError> {
        match &self.operands[0].ragged {
            Some(ragged) => Ok(ragged.groups),
            None => Err(GraphError::RaggedRows {
                op: self.op.name(),
                operand: 1,
                found: self.operands[0].clone(),
                expected: "groups of rows".into(),
                remedy: "declare it `ragged COUNTS`, or use the form without groups",
            }),
        }
    }

    /// The rows that the results have: those of the operands whose rows become theirs, which must agree.
    fn ragged(&self) -> Result<Option<&Ragged>, GraphError> {
        let by_rows: &[usize] = match self.op {
            Op::Prim(Prim::GatherRows | Prim::MaskRows) => &[],
            Op::Prim(
                Prim::Binary(_) | Prim::RowBinary(_) | Prim::GatherCols | Prim::ConcatCols,
            )
            | Op::Composite(
                Composite::Swiglu { .. } | Composite::RouteWeights { .. } | Composite::Dequantize,
            ) => &[0, 1],
            Op::Composite(Composite::HcPre { .. } | Composite::HcPost) => &[],
            _ => &[0],
        };
        let ragged = by_rows
            .first()
            .and_then(|i| self.operands[*i].ragged.as_ref());
        for (i, operand) in self.operands.iter().enumerate() {
            let expected = if by_rows.contains(&i) { ragged } else { None };
            if operand.ragged.as_ref() == expected {
                continue;
            }
            return Err(GraphError::RaggedRows {
                op: self.op.name(),
                operand: i + 1,
                found: operand.clone(),
                expected: match expected {
                    Some(r) => format!("ragged {}", r.counts),
                    None => "all there".into(),
                },
                remedy: "give all operands rows of the same counts, declared with `ragged COUNTS`",
            });
        }
        Ok(ragged)
    }

    /// `[R, C], i32 [R, K] -> [R, K]`.
    fn gathered(&self) -> Result<Type, GraphError> {
        let (r, _) = self.matrix(0)?;
        self.element(1, "i32 column numbers", |d| d == DType::I32)?;
        let (other, k) = self.matrix(1)?;
        if r != other {
            return Err(
                self.shapes("both operands have one row a token: make the first sizes equal")
            );
        }
        Ok(Type::new(
            self.operands[0].dtype,
            [either(r, other), k.clone()],
        ))
    }

    fn matrix(&self, i: usize) -> Result<(&Dim, &Dim), GraphError> {
        match &self.operands[i].shape[..] {
            [r, c] => Ok((r, c)),
            _ => Err(self.rank(i, "a matrix (rank 2)")),
        }
    }

    fn vector(&self, i: usize) -> Result<&Dim, GraphError> {
        match &self.operands[i].shape[..] {
            [c] => Ok(c),
            _ => Err(self.rank(i, "a vector (rank 1)")),
        }
    }

    fn float(&self, i: usize) -> Result<(), GraphError> {
        self.element(i, "a floating-point type", DType::is_float)
    }

    fn element(
        &self,
        i: usize,
        expected: &'static str,
        holds: impl Fn(DType) -> bool,
    ) -> Result<(), GraphError> {
        if holds(self.operands[i].dtype) {
            return Ok(());
        }
        Err(GraphError::Element {
            op: self.op.name(),
            operand: i + 1,
            found: self.operands[i].clone(),
            expected,
        })
    }

    fn same_element(&self) -> Result<(), GraphError> {
        if self.operands[0].dtype == self.operands[1].dtype {
            return Ok(());
        }
        Err(GraphError::Elements {
            op: self.op.name(),
            left: self.operands[0].clone(),
            right: self.operands[1].clone(),
        })
    }

    /// Integers have no division: what it rounds to is not the author's to guess.
    fn divides(&self, op: Binary) -> Result<(), GraphError> {
        if op == Binary::Div {
            self.float(0)?;
        }
        Ok(())
    }

    /// A constant is finite, and for integers exact.
    fn constant(
        &self,
        attribute: &'static str,
        value: f32,
        dtype: DType,
    ) -> Result<(), GraphError> {
        if !value.is_finite() {
            return Err(self.attribute(attribute, value, "give a finite number"));
        }
        let exact =
            |low: f64, high: f64| value.fract() == 0.0 && (low..=high).contains(&f64::from(value));
        let holds = match dtype {
            DType::F32 | DType::Bf16 | DType::F16 => true,
            DType::I8 => exact(-128.0, 127.0),
            DType::I32 => exact(-2147483648.0, 2147483647.0),
            DType::U32 => exact(0.0, 4294967295.0),
            DType::I64 => exact(-9007199254740992.0, 9007199254740992.0),
        };
        if holds {
            Ok(())
        } else {
            Err(self.attribute(
                attribute,
                value,
                &format!("give an integer in the range of {dtype}, or cast to f32 before"),
            ))
        }
    }

    fn epsilon(&self, eps: f32, in_range: bool) -> Result<(), GraphError> {
        if in_range && eps.is_finite() {
            Ok(())
        } else {
            Err(self.attribute("eps", eps, "give a small positive number such as 1e-6"))
        }
    }

    fn attribute(
        &self,
        attribute: &'static str,
        value: impl std::fmt::Debug,
        remedy: &str,
    ) -> GraphError {
        GraphError::Attribute {
            op: self.op.name(),
            attribute,
            value: format!("{value:?}"),
            remedy: remedy.into(),
        }
    }

    fn shapes(&self, remedy: &str) -> GraphError {
        self.shapes_of(0, 1, remedy)
    }

    fn shapes_of(&self, left: usize, right: usize, remedy: &str) -> GraphError {
        GraphError::Shapes {
            op: self.op.name(),
            left: self.operands[left].clone(),
            right: self.operands[right].clone(),
            remedy: remedy.into(),
        }
    }

    fn rank(&self, i: usize, expected: &'static str) -> GraphError {
        GraphError::Rank {
            op: self.op.name(),
            operand: i + 1,
            found: self.operands[i].clone(),
            expected,
        }
    }
}

/// Of two equal sizes, the one that has a name.
fn either(a: &Dim, b: &Dim) -> Dim {
    if a.axis.is_some() { a } else { b }.clone()
}
