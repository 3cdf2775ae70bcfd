//! Result types of operations: the one place that knows which shapes and element types an operation takes.
//!
//! Sizes are compared, axes are carried: a result's dimension keeps the axis name of the operand's dimension it comes from.

use super::comm::{infer_comm, infer_exchange};
use super::{Binary, Composite, Dim, GraphError, Op, Prim, Type, Unary};
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
    if operands.len() != op.arity() {
        return Err(GraphError::OperandCount {
            op: op.name(),
            expected: op.arity(),
            found: operands.len(),
        });
    }
    let check = Check { op, operands };
    match op {
        Op::Input => Ok(vec![]),
        Op::Prim(p) => check.prim(p).map(|t| vec![t]),
        Op::Composite(c) => check.composite(c),
    }
}

/// The element-wise form of `op` for two operand types: of one shape, `[R, C] op [R, 1]`, or `[R, C] op [C]`.
/// The flag says that the operands must be swapped, which only happens when `op` commutes.
///
/// # Errors
///
/// [`GraphError::Shapes`] when no form fits.
pub fn pair(op: Binary, left: &Type, right: &Type) -> Result<(Prim, bool), GraphError> {
    if left.shape == right.shape {
        return Ok((Prim::Binary(op), false));
    }
    let broadcast = |matrix: &Type, other: &Type| match (&matrix.shape[..], &other.shape[..]) {
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
        if let Prim::Comm(comm) = prim {
            return infer_comm(comm, self.operands);
        }
        let x = &self.operands[0];
        match *prim {
            Prim::Comm(_) => unreachable!("inferred above"),
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
        if let Composite::Exchange(exchange) = composite {
            return infer_exchange(exchange, self.operands);
        }
        let x = &self.operands[0];
        self.float(0)?;
        match *composite {
            Composite::RmsNorm { eps } => {
                self.epsilon(eps, eps >= 0.0)?;
                self.float(1)?;
                let (_, c) = self.matrix(0)?;
                if c != self.vector(1)? {
                    return Err(self.shapes("give one weight a column of the first operand, [C]"));
                }
                Ok(vec![x.clone()])
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
            Composite::Exchange(_) => unreachable!("inferred above"),
        }
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
        GraphError::Shapes {
            op: self.op.name(),
            left: self.operands[0].clone(),
            right: self.operands[1].clone(),
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
