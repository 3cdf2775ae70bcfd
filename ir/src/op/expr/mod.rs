//! Expressions of the text form: constants, and operations on values.
//!
//! The lines of a kernel and those of a definition are made of the same expressions. What their values are is for the [`Context`]
//! that they stand in: nodes of a graph, or steps of a definition.

pub mod calls;
pub mod constant;
mod error;

pub use error::ExprError;

use super::row::Form;
use super::{
    AttrKind, AttrSpec, AttrValue, Binary, Callee, MAX_DIM, Op, Operations, Prim, Type, Unary, pair,
};
use crate::dtype::{DType, Round};
use crate::syntax::ast::*;
use crate::syntax::nearest;
use calls::{DTYPE, RANKS, check_call};
use constant::Scope;

/// An operand: a value, or a constant that the expression it came from gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operand<V> {
    Value(V),
    Constant,
}

/// Where an expression stands: its place in the source, and the names of its results, or a name to derive one from.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub span: Span,
    pub base: &'a str,
    pub targets: Option<&'a [Ident]>,
}

impl Place<'_> {
    /// The place of a part of the expression.
    fn part(self, part: &Expr) -> Self {
        Place {
            span: part.span,
            targets: None,
            ..self
        }
    }
}

/// What expressions stand in.
pub trait Context {
    /// What the builder calls a value.
    type Value: Copy;
    /// What it refuses with.
    type Error: From<ExprError>;

    /// The numbers that have names.
    fn constants(&self) -> &Scope;
    /// What can be called.
    fn operations(&self) -> &Operations;
    /// How many ranks run the graph.
    fn ranks(&self) -> usize;
    /// What a name stands for.
    fn name(&self, name: &str, span: Span) -> Result<Operand<Self::Value>, Self::Error>;
    /// The type of a value.
    fn ty(&self, value: Self::Value) -> &Type;
    /// The element type of what `dtype(name)` asks for.
    fn element(&self, name: &str) -> Option<DType>;
    /// Adds an operation; gives its first result.
    fn add(
        &mut self,
        op: Op,
        operands: &[Self::Value],
        place: Place,
    ) -> Result<Self::Value, Self::Error>;
    /// Names dimensions of the result's operation after names that its attributes were given by.
    fn name_axes(&mut self, _: Self::Value, _: &[String]) {}
}

/// The function of an infix operator; only whole numbers have remainders.
pub fn binary(op: Infix) -> Option<Binary> {
    match op {
        Infix::Add => Some(Binary::Add),
        Infix::Sub => Some(Binary::Sub),
        Infix::Mul => Some(Binary::Mul),
        Infix::Div => Some(Binary::Div),
        Infix::Rem => None,
    }
}

/// What only exchanges have.
pub(super) fn of_exchanges(what: &str, span: Span) -> ExprError {
    ExprError::Expression {
        problem: format!("{what} has a meaning only in an exchange"),
        span: span.into(),
        help: "kernels and definitions compute with whole tensors; write an `exchange` for what ranks do with rows"
            .into(),
    }
}

/// The value of an expression. With targets its results get these names.
pub fn expr<C: Context>(
    context: &mut C,
    expr: &Expr,
    place: Place,
) -> Result<Operand<C::Value>, C::Error> {
    let place = Place {
        span: expr.span,
        ..place
    };
    match &expr.kind {
        ExprKind::Number(_) => Ok(Operand::Constant),
        ExprKind::Name(name) => context.name(name, expr.span),
        ExprKind::Paren(inner) => self::expr(context, inner, place),
        ExprKind::Negate(inner) => match self::expr(context, inner, place.part(inner))? {
            Operand::Constant => Ok(Operand::Constant),
            Operand::Value(v) => {
                let op = Op::Prim(Prim::Unary(Unary::Neg));
                add(context, op, &[v], place)
            }
        },
        ExprKind::Infix { op, left, right } => {
            if let Some(op) = binary(*op) {
                return arithmetic(context, op, left, right, place);
            }
            let left = self::expr(context, left, place.part(left))?;
            let right = self::expr(context, right, place.part(right))?;
            match (left, right) {
                (Operand::Constant, Operand::Constant) => Ok(Operand::Constant),
                _ => Err(of_exchanges("a remainder of values", expr.span).into()),
            }
        }
        ExprKind::Index { .. } => Err(of_exchanges("a place, `x[r]`,", expr.span).into()),
        ExprKind::Call { name, args, attrs } => {
            let callee = check_call(context.operations(), name, args, attrs, expr.span)?;
            match (callee.form(), &args[..]) {
                (Some(Form::Arithmetic(op)), [left, right]) => {
                    arithmetic(context, op, left, right, place)
                }
                _ => call(context, &callee, args, attrs, place),
            }
        }
    }
}

fn call<C: Context>(
    context: &mut C,
    callee: &Callee,
    args: &[Expr],
    attrs: &[(Ident, Expr)],
    place: Place,
) -> Result<Operand<C::Value>, C::Error> {
    let wrong = |problem: String, span: Span| ExprError::Arguments {
        problem,
        span: span.into(),
        usage: callee.usage(),
    };
    let name = callee.name();
    let mut operands = vec![];
    for (arg, what) in args.iter().zip(callee.operands()) {
        match expr(context, arg, place.part(arg))? {
            Operand::Value(v) => operands.push(v),
            Operand::Constant => {
                let problem = format!("`{what}` of `{name}` is a value, not a constant");
                return Err(wrong(problem, arg.span).into());
            }
        }
    }
    let specs = callee.attributes();
    let own = specs.iter().any(|s| s.name == RANKS);
    if let Some((key, value)) = attrs.iter().find(|(key, _)| !own && key.name == RANKS) {
        let all = context.ranks();
        let said = constant::size(context.constants(), value, RANKS, 0..=MAX_DIM)?;
        if said != all {
            let problem = format!("the graph runs on {all} ranks, and this call says {said}");
            return Err(wrong(problem, key.span.to(value.span)).into());
        }
    }
    let mut values = vec![];
    let mut axes = vec![];
    for spec in specs {
        let given = attrs.iter().find(|(key, _)| key.name == spec.name);
        match (given, spec.default) {
            (Some((_, value)), _) => {
                values.push(attribute(context, callee, &spec, value)?);
                if let (AttrKind::Size, ExprKind::Name(name)) = (spec.kind, &value.kind) {
                    axes.push(name.clone());
                }
            }
            (None, Some(default)) => values.push(default),
            (None, None) => {
                return Err(wrong(format!("`{}` is missing", spec.name), place.span).into());
            }
        }
    }
    if let (Some(Form::Primitive(op)), [a, b]) = (callee.form(), &operands[..])
        && op.pairs()
    {
        let places = [place.part(&args[0]), place.part(&args[1])];
        operands = alike(context, [*a, *b], places)?.to_vec();
    }
    let Some(op) = callee.build(&values) else {
        let problem = format!("these attributes do not make a `{name}`");
        return Err(wrong(problem, place.span).into());
    };
    let result = add(context, op, &operands, place)?;
    if let Operand::Value(v) = &result {
        context.name_axes(*v, &axes);
    }
    Ok(result)
}

fn attribute<C: Context>(
    context: &C,
    callee: &Callee,
    spec: &AttrSpec,
    expr: &Expr,
) -> Result<AttrValue, ExprError> {
    let word = match &expr.kind {
        ExprKind::Name(name) => name.as_str(),
        _ => "",
    };
    let wrong = |what: &str, all: Vec<&str>| ExprError::Arguments {
        problem: {
            let near = nearest(word, all.iter().copied());
            let near = near.map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
            format!("`{}` is {what}: {}{near}", spec.name, all.join(", "))
        },
        span: expr.span.into(),
        usage: callee.usage(),
    };
    let scope = context.constants();
    match spec.kind {
        AttrKind::Size => constant::size(scope, expr, spec.name, 0..=MAX_DIM).map(AttrValue::Size),
        AttrKind::Float if callee.fills() => {
            constant::float_or_lowest(scope, expr).map(AttrValue::Float)
        }
        AttrKind::Float => constant::float(scope, expr).map(AttrValue::Float),
        AttrKind::DType => {
            let of = match &expr.kind {
                ExprKind::Call { name, args, attrs } if name.name == DTYPE && attrs.is_empty() => {
                    match &args[..] {
                        [
                            Expr {
                                kind: ExprKind::Name(of),
                                ..
                            },
                        ] => context.element(of),
                        _ => None,
                    }
                }
                _ => word.parse().ok(),
            };
            of.map(AttrValue::DType).ok_or_else(|| {
                wrong(
                    "an element type",
                    DType::ALL.iter().map(|d| d.name()).collect(),
                )
            })
        }
        AttrKind::Round => word.parse().map(AttrValue::Round).map_err(|()| {
            wrong(
                "a rounding mode",
                Round::ALL.iter().map(|r| r.name()).collect(),
            )
        }),
    }
}

fn arithmetic<C: Context>(
    context: &mut C,
    op: Binary,
    left: &Expr,
    right: &Expr,
    place: Place,
) -> Result<Operand<C::Value>, C::Error> {
    let a = expr(context, left, place.part(left))?;
    let b = expr(context, right, place.part(right))?;
    let (prim, operands) = match (a, b) {
        (Operand::Constant, Operand::Constant) => return Ok(Operand::Constant),
        (Operand::Value(x), Operand::Constant) => {
            let value = constant::float(context.constants(), right)?;
            (Prim::Scalar { op, value }, vec![x])
        }
        (Operand::Constant, Operand::Value(x)) => {
            let value = constant::float(context.constants(), left)?;
            let prim = if op.commutes() {
                Prim::Scalar { op, value }
            } else {
                Prim::ScalarLeft { op, value }
            };
            (prim, vec![x])
        }
        (Operand::Value(x), Operand::Value(y)) => {
            let [x, y] = alike(context, [x, y], [place.part(left), place.part(right)])?;
            let paired = pair(op, context.ty(x), context.ty(y));
            let (prim, swap) = paired.map_err(|error| ExprError::Types {
                error: Box::new(error),
                span: place.span.into(),
            })?;
            (prim, if swap { vec![y, x] } else { vec![x, y] })
        }
    };
    add(context, Op::Prim(prim), &operands, place)
}

/// Two operands of one element type: where one type holds all values of the other, a cast that changes nothing comes before.
fn alike<C: Context>(
    context: &mut C,
    operands: [C::Value; 2],
    places: [Place; 2],
) -> Result<[C::Value; 2], C::Error> {
    let [left, right] = operands.map(|v| context.ty(v).dtype);
    let cast = |to| {
        Op::Prim(Prim::Cast {
            to,
            round: Round::Rint,
        })
    };
    let [a, b] = operands;
    match (left.widens_to(right), right.widens_to(left)) {
        (true, false) => Ok([context.add(cast(right), &[a], places[0])?, b]),
        (false, true) => Ok([a, context.add(cast(left), &[b], places[1])?]),
        _ => Ok(operands),
    }
}

/// Adds an operation that has as many results as names are wanted; gives the first.
fn add<C: Context>(
    context: &mut C,
    op: Op,
    operands: &[C::Value],
    place: Place,
) -> Result<Operand<C::Value>, C::Error> {
    let results = op.results();
    let count = place.targets.map_or(1, <[Ident]>::len);
    if count == results {
        return context.add(op, operands, place).map(Operand::Value);
    }
    let name = op.name();
    let (problem, help) = match place.targets {
        None => (
            format!("`{name}` gives {results} results, where one is needed"),
            "give the results names on a line of their own, and read one of them",
        ),
        Some(_) => (
            format!("`{name}` gives {results} results, not {count}"),
            "write one name for each result: `q, s = quantize_rows(x, eps = 1e-4)`",
        ),
    };
    Err(ExprError::Expression {
        problem,
        span: place.span.into(),
        help: help.into(),
    }
    .into())
}
