//! The signature at a call: what names of sizes and types stand for, and the types of the results.

use super::{Check, Checked, Named};
use crate::dtype::DType;
use crate::exchange::ExchangeError;
use crate::exchange::program::{Counts, Int, Memory, Place};
use crate::exchange::tree::{self, Param};
use crate::syntax::{Expr, ExprKind, Infix, print_expr};
use indexmap::IndexMap;

/// An operand of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operand {
    pub dtype: DType,
    pub shape: Vec<usize>,
    /// Groups of its rows, if not all of them exist.
    pub groups: Option<usize>,
}

/// Where a size comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Dimension { operand: usize, dim: usize },
    Attribute(String),
}

/// A dimension of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    pub size: usize,
    /// The size that it is.
    pub of: Option<Origin>,
    /// The size that it is blocks of.
    pub block: Option<(usize, Origin)>,
}

/// The type of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultType {
    pub dtype: DType,
    pub shape: Vec<Axis>,
    /// Groups, and what counts their rows.
    pub ragged: Option<(usize, Counts)>,
}

/// The largest size of a dimension.
const MAX_SIZE: i64 = 1 << 31;

impl Check<'_> {
    /// Binds the names of operands, attributes, sizes and types.
    pub(super) fn signature(
        &mut self,
        operands: &[Operand],
        attributes: &IndexMap<String, usize>,
    ) -> Checked<()> {
        let definition = self.definition;
        let d = definition.declaration();
        let declared: Vec<&tree::Tensor> = d.params.iter().filter_map(operand).collect();
        if declared.len() != operands.len() {
            let what = format!("{} operands, not {}", declared.len(), operands.len());
            return Err(self.call(what));
        }
        self.attributes(attributes)?;
        for (i, t) in declared.iter().enumerate() {
            self.bind_names(i, t, &operands[i])?;
        }
        // A product with one size that is not known yet says what that is.
        for (i, t) in declared.iter().enumerate() {
            for (dim, expr) in t.shape.iter().enumerate() {
                self.bind_factor(t, expr, operands[i].shape[dim])?;
            }
        }
        for (i, t) in declared.iter().enumerate() {
            let sizes: Vec<Option<i64>> = t.shape.iter().map(|e| self.size_of(e)).collect();
            let differ =
                (0..t.shape.len()).find(|k| sizes[*k] != Some(operands[i].shape[*k] as i64));
            if let Some(k) = differ {
                let wanted = sizes[k].map_or("no size".into(), |n| n.to_string());
                let what = format!(
                    "its dimension `{}` is {}, and the other operands make it {wanted}",
                    print_expr(&t.shape[k]),
                    operands[i].shape[k],
                );
                return Err(self.operand_error(t, what));
            }
        }
        for (i, t) in declared.iter().enumerate() {
            self.declare_operand(i, t, &declared, &operands[i])?;
        }
        Ok(())
    }

    fn attributes(&mut self, given: &IndexMap<String, usize>) -> Checked<()> {
        let definition = self.definition;
        let sizes = definition.declaration().params.iter();
        let sizes: Vec<_> = sizes
            .filter_map(|p| match p {
                Param::Size { name, default } => Some((name, default)),
                Param::Operand(_) => None,
            })
            .collect();
        let known = |name: &String| sizes.iter().any(|(n, _)| n.name == *name);
        if let Some(unknown) = given.keys().find(|n| !known(n)) {
            return Err(self.call(format!("no attribute `{unknown}`")));
        }
        for (name, default) in sizes {
            let value = match (given.get(&name.name), default) {
                (Some(n), _) => *n as i64,
                (None, Some(e)) => self.constant(e)?,
                (None, None) => return Err(self.call(format!("an attribute `{name}`"))),
            };
            self.origins
                .insert(name.name.clone(), Origin::Attribute(name.name.clone()));
            self.define(name, Named::Const(value))?;
        }
        Ok(())
    }

    /// Dimensions that are a name, and the element type.
    fn bind_names(&mut self, i: usize, t: &tree::Tensor, given: &Operand) -> Checked<()> {
        if t.shape.len() != given.shape.len() {
            let what = format!(
                "it has {} dimensions, not {}",
                given.shape.len(),
                t.shape.len()
            );
            return Err(self.operand_error(t, what));
        }
        match t.dtype.name.parse::<DType>() {
            Ok(dtype) if dtype != given.dtype => {
                return Err(self.operand_error(t, format!("it is {}, not {dtype}", given.dtype)));
            }
            Ok(_) => {}
            Err(()) => {
                let first = *self
                    .types
                    .entry(t.dtype.name.clone())
                    .or_insert(given.dtype);
                if first != given.dtype {
                    let what = format!(
                        "it is {}, and `{}` is {first} already",
                        given.dtype, t.dtype
                    );
                    return Err(self.operand_error(t, what));
                }
            }
        }
        for (dim, (expr, size)) in t.shape.iter().zip(&given.shape).enumerate() {
            if let ExprKind::Name(name) = &expr.kind
                && self.find(name).is_none()
            {
                self.give(name, Named::Const(*size as i64));
                self.origins
                    .insert(name.clone(), Origin::Dimension { operand: i, dim });
            }
        }
        Ok(())
    }

    fn bind_factor(&mut self, t: &tree::Tensor, expr: &Expr, size: usize) -> Checked<()> {
        let ExprKind::Infix {
            op: Infix::Mul,
            left,
            right,
        } = &expr.kind
        else {
            return Ok(());
        };
        let unknown = |c: &Self, e: &Expr| match &e.kind {
            ExprKind::Name(name) if c.find(name).is_none() => Some(name.clone()),
            _ => None,
        };
        let (name, other) = match (unknown(self, left), unknown(self, right)) {
            (Some(name), None) => (name, right),
            (None, Some(name)) => (name, left),
            _ => return Ok(()),
        };
        let by = self.constant(other)?;
        let size = size as i64;
        if by <= 0 || size % by != 0 {
            let what = format!(
                "{size} is no multiple of `{}`, which is {by}",
                print_expr(other)
            );
            return Err(self.operand_error(t, what));
        }
        self.give(&name, Named::Const(size / by));
        Ok(())
    }

    fn size_of(&mut self, expr: &Expr) -> Option<i64> {
        self.constant(expr).ok()
    }

    fn declare_operand(
        &mut self,
        i: usize,
        t: &tree::Tensor,
        declared: &[&tree::Tensor],
        given: &Operand,
    ) -> Checked<()> {
        let counts = match &t.ragged {
            None if given.groups.is_some() => {
                let what = "not all of its rows exist, which the exchange does not expect".into();
                return Err(self.operand_error(t, what));
            }
            None => None,
            Some(counts) => {
                let place = declared.iter().position(|t| t.name.name == counts.name);
                let Some(place) = place else {
                    return Err(self.unknown(&counts.name, counts.span));
                };
                Some(Counts::Operand(place))
            }
        };
        let scalar = given.shape.is_empty();
        if scalar && !matches!(given.dtype, DType::I32) {
            return Err(
                self.operand_error(t, format!("an integer is i32, and it is {}", given.dtype))
            );
        }
        let (rows, cols) = matrix(&given.shape);
        self.program.operands.push(Memory {
            name: t.name.name.clone(),
            dtype: given.dtype,
            rows,
            cols,
            scalar,
            vector: given.shape.len() == 1,
            counts,
        });
        let named = match scalar {
            true => Named::Int(Int::Operand(i), None),
            false => Named::Memory(Place::Operand(i)),
        };
        self.define(&t.name, named)
    }

    /// The types of the results.
    pub(super) fn results(&mut self) -> Checked<Vec<ResultType>> {
        let definition = self.definition;
        let declared = &definition.declaration().results;
        if declared.is_empty() {
            let span = definition.declaration().name.span;
            return Err(self.rule(
                span,
                "it has no results",
                "name what it brings: `-> (y: E[ranks * R, C])`",
            ));
        }
        let mut out = vec![];
        for t in declared {
            let mut shape = vec![];
            for expr in &t.shape {
                let size = self.size(expr, "the size", MAX_SIZE)?;
                shape.push(Axis {
                    size,
                    of: self.origin(expr),
                    block: match &expr.kind {
                        ExprKind::Infix {
                            op: Infix::Mul,
                            right,
                            ..
                        } => {
                            let by = self.size(right, "the size", MAX_SIZE)?;
                            self.origin(right).map(|o| (by, o))
                        }
                        _ => None,
                    },
                });
            }
            if shape.len() != 2 {
                return Err(self.shape_error(
                    t.name.span,
                    format!("the result `{}` has {} dimensions", t.name, shape.len()),
                    "a result is a matrix: give it rows and columns, `[ranks * R, C]`",
                ));
            }
            out.push(ResultType {
                dtype: self.dtype(&t.dtype)?,
                shape,
                ragged: None,
            });
        }
        for (i, t) in declared.iter().enumerate() {
            let counts = self.result_counts(t)?;
            if let Some(place) = counts {
                let groups = match place {
                    Counts::Result(r) => out[r].shape[0].size,
                    Counts::Operand(o) => self.program.operands[o].rows,
                };
                if groups == 0 || out[i].shape[0].size % groups != 0 {
                    return Err(self.shape_error(
                        t.name.span,
                        format!(
                            "the {} rows of `{}` do not make {groups} groups",
                            out[i].shape[0].size, t.name
                        ),
                        "give each group as many rows as it may have at most",
                    ));
                }
                out[i].ragged = Some((groups, place));
            }
            let (rows, cols) = (out[i].shape[0].size, out[i].shape[1].size);
            self.program.results.push(Memory {
                name: t.name.name.clone(),
                dtype: out[i].dtype,
                rows,
                cols,
                scalar: false,
                vector: false,
                counts,
            });
            self.define(&t.name, Named::Memory(Place::Result(i)))?;
        }
        Ok(out)
    }

    fn result_counts(&self, t: &tree::Tensor) -> Checked<Option<Counts>> {
        let Some(counts) = &t.ragged else {
            return Ok(None);
        };
        let declared = &self.definition.declaration().results;
        if let Some(place) = declared.iter().position(|r| r.name.name == counts.name) {
            return Ok(Some(Counts::Result(place)));
        }
        match self.find(&counts.name) {
            Some(Named::Memory(Place::Operand(o))) => Ok(Some(Counts::Operand(*o))),
            _ => Err(self.unknown(&counts.name, counts.span)),
        }
    }

    fn origin(&self, expr: &Expr) -> Option<Origin> {
        match &expr.kind {
            ExprKind::Name(name) => self.origins.get(name).cloned(),
            _ => None,
        }
    }

    fn call(&self, what: String) -> ExchangeError {
        let d = self.definition.declaration();
        ExchangeError::Call {
            exchange: d.name.name.clone(),
            what,
            usage: usage(d),
        }
    }

    fn operand_error(&self, t: &tree::Tensor, what: String) -> ExchangeError {
        let d = self.definition.declaration();
        ExchangeError::Operand {
            exchange: d.name.name.clone(),
            operand: t.name.name.clone(),
            what,
            help: usage(d),
        }
    }
}

fn operand(p: &Param) -> Option<&tree::Tensor> {
    match p {
        Param::Operand(t) => Some(t),
        Param::Size { .. } => None,
    }
}

/// How it is called.
fn usage(d: &tree::Declaration) -> String {
    let dims = |t: &tree::Tensor| {
        let dims: Vec<String> = t.shape.iter().map(print_expr).collect();
        match dims.is_empty() {
            true => format!("{}: {}", t.name, t.dtype),
            false => format!("{}: {}[{}]", t.name, t.dtype, dims.join(", ")),
        }
    };
    let parts: Vec<String> = d
        .params
        .iter()
        .map(|p| match p {
            Param::Operand(t) => dims(t),
            Param::Size {
                name,
                default: None,
            } => format!("{name} = SIZE"),
            Param::Size { name, .. } => format!("[{name} = SIZE]"),
        })
        .collect();
    let results: Vec<String> = d.results.iter().map(|r| r.name.name.clone()).collect();
    format!("{} = {}({})", results.join(", "), d.name, parts.join(", "))
}

/// Rows and columns; a vector is one row.
fn matrix(shape: &[usize]) -> (usize, usize) {
    match shape {
        [] => (1, 1),
        [c] => (1, *c),
        [r @ .., c] => (r.iter().product(), *c),
    }
}
