//! The head of an exchange at a call: operands, sizes, and the types of the results.

use super::{Check, Checked, ExchangeCall, Named, RANKS_NAME};
use crate::dtype::DType;
use crate::op::exchange::ExchangeError;
use crate::op::exchange::program::{Counts, Int, Memory, Place};
use crate::op::expr::constant::{self, Number};
use crate::op::signature::{self, Bound};
use crate::op::{Binomial, OpError, Ragged, Type};
use crate::syntax::ast::{ElementExpr, ShapeExpr, Typed};
use crate::syntax::print_expr;

impl Check<'_> {
    /// Binds the names of operands, attributes and sizes; gives the types of the results.
    pub(super) fn signature(&mut self, call: &ExchangeCall) -> Result<Vec<Type>, OpError> {
        let head = &self.tree.signature;
        let mut scope = signature::attributes(head, call.attributes())?;
        let ranks = i64::try_from(self.program.ranks).unwrap_or(i64::MAX);
        scope.insert(RANKS_NAME.into(), Number::Int(ranks));
        let bound = signature::operands(head, scope, self.given)?;
        self.names(&bound)
            .and_then(|()| self.results(&bound))
            .map_err(|e| OpError::Exchange(Box::new(e)))
    }

    fn names(&mut self, bound: &Bound) -> Checked<()> {
        for (name, number) in &bound.scope {
            match number {
                Number::Int(n) => self.give(name, Named::Const(*n)),
                Number::Float(_) => {}
            }
        }
        let head = &self.tree.signature;
        for (i, operand) in head.operands.iter().enumerate() {
            self.operand(i, operand)?;
        }
        Ok(())
    }

    fn operand(&mut self, i: usize, t: &Typed) -> Checked<()> {
        let ty = &self.given[i];
        self.one_type(t)?;
        let operands = &self.tree.signature.operands;
        let counts = match &t.ragged {
            None if ty.ragged.is_some() => {
                return Err(self.rule(
                    t.name.span,
                    format!("not all rows of its operand `{}` exist", t.name),
                    "let the exchange expect that: `x: any[G * R, C] ragged counts`",
                ));
            }
            None => None,
            Some(counts) => {
                let place = operands.iter().position(|o| o.name.name == counts.name);
                let Some(place) = place else {
                    return Err(self.unknown(&counts.name, counts.span));
                };
                Some(Counts::Operand(place))
            }
        };
        let scalar = ty.shape.is_empty();
        if scalar && ty.dtype != DType::I32 {
            return Err(ExchangeError::ElementType {
                at: self.at(t.name.span),
                what: format!("its operand `{}` is one {}", t.name, ty.dtype),
                help: "an operand without a shape is an i32".into(),
            });
        }
        let (rows, cols) = ty.matrix();
        self.program.operands.push(Memory {
            name: t.name.name.clone(),
            dtype: ty.dtype,
            rows,
            cols,
            scalar,
            vector: ty.shape.len() == 1,
            counts,
            spread: None,
        });
        let named = match scalar {
            true => Named::Int(Int::Operand(i), None),
            false => Named::Memory(Place::Operand(i)),
        };
        self.define(&t.name, named)
    }

    fn one_type(&self, t: &Typed) -> Checked<()> {
        match t.types.len() {
            1 => Ok(()),
            n => Err(self.rule(
                t.name.span,
                format!("`{}` has {n} types", t.name),
                "give it one: of any element type, `any[R, C]`",
            )),
        }
    }

    fn results(&mut self, bound: &Bound) -> Checked<Vec<Type>> {
        let declared = &self.tree.signature.results;
        if declared.is_empty() {
            return Err(self.rule(
                self.tree.signature.name.span,
                "it has no results",
                "name what it brings: `-> y: dtype(x)[ranks * R, C]`",
            ));
        }
        let mut types: Vec<Type> = vec![];
        for t in declared {
            self.one_type(t)?;
            types.push(self.result_type(t, bound)?);
        }
        for (i, t) in declared.iter().enumerate() {
            let counts = self.counts(t)?;
            if let Some(place) = counts {
                let groups = match place {
                    Counts::Result(r) => types[r].matrix().0,
                    Counts::Operand(o) => self.given[o].matrix().0,
                };
                let rows = types[i].matrix().0;
                if groups == 0 || !rows.is_multiple_of(groups) {
                    return Err(self.shape_error(
                        t.name.span,
                        format!(
                            "the {rows} rows of `{}` do not make {groups} groups",
                            t.name
                        ),
                        "give each group as many rows as it may have at most",
                    ));
                }
                let counts = match place {
                    Counts::Result(k) => format!("#{k}"),
                    Counts::Operand(k) => format!("@{k}"),
                };
                types[i].ragged = Some(Ragged { groups, counts });
            }
            let (rows, cols) = types[i].matrix();
            self.program.results.push(Memory {
                name: t.name.name.clone(),
                dtype: types[i].dtype,
                rows,
                cols,
                scalar: false,
                vector: false,
                counts,
                spread: self.spread(t, &types[i], bound)?,
            });
            self.define(&t.name, Named::Memory(Place::Result(i)))?;
        }
        Ok(types)
    }

    fn result_type(&mut self, t: &Typed, bound: &Bound) -> Checked<Type> {
        let ty = &t.types[0];
        let (dtype, _, _) = self.rectangle(ty, &t.name)?;
        let shape = match (&ty.shape, &ty.element) {
            (ShapeExpr::Dims(_), ElementExpr::Is(..) | ElementExpr::Of(_)) => {
                bound.shape(&ty.shape)
            }
            _ => None,
        };
        let shape = shape.filter(|s| s.len() == 2);
        let shape = shape.ok_or_else(|| {
            self.shape_error(
                t.name.span,
                format!("the result `{}` has no rows and columns", t.name),
                "a result is a matrix: `-> y: dtype(x)[ranks * R, C]`",
            )
        })?;
        Ok(Type::new(dtype, shape))
    }

    fn spread(&self, t: &Typed, ty: &Type, bound: &Bound) -> Checked<Option<Binomial>> {
        let Some(said) = &t.spread else {
            return Ok(None);
        };
        if ty.dtype != DType::I32 {
            return Err(self.rule(
                said.span,
                format!(
                    "`{}` holds {}, and what is counted is i32",
                    t.name, ty.dtype
                ),
                "leave `~ binomial(...)` out here",
            ));
        }
        let number = |e| {
            constant::integer(&bound.scope, e).map_err(|_| {
                self.rule(
                    said.span,
                    format!("`{}` has no value here", print_expr(e)),
                    "use sizes of the operands, attributes and `ranks`, in whole numbers",
                )
            })
        };
        let found = Binomial {
            trials: number(&said.trials)?,
            hits: number(&said.hits)?,
            of: number(&said.of)?,
        };
        match found.problem() {
            None => Ok(Some(found)),
            Some((what, help)) => Err(self.rule(said.span, what, help)),
        }
    }

    fn counts(&self, t: &Typed) -> Checked<Option<Counts>> {
        let Some(counts) = &t.ragged else {
            return Ok(None);
        };
        let declared = &self.tree.signature.results;
        if let Some(place) = declared.iter().position(|r| r.name.name == counts.name) {
            return Ok(Some(Counts::Result(place)));
        }
        match self.find(&counts.name) {
            Some(Named::Memory(Place::Operand(o))) => Ok(Some(Counts::Operand(*o))),
            _ => Err(self.unknown(&counts.name, counts.span)),
        }
    }
}
