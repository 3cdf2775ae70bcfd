//! Sizes of a call: what the names in a definition's types stand for, from the types of the operands.

use super::Definition;
use super::expand::Body;
use crate::op::expr::constant::{self, Number, Scope};
use crate::op::shape::either;
use crate::op::{Dim, OpError, Type};
use crate::syntax::ast::{ElementExpr, Expr, ExprKind, Infix, ShapeExpr, TypeExpr};
use crate::syntax::{print_expr, print_types};
use indexmap::IndexMap;

/// The sizes of a call.
pub(super) struct Bound {
    /// Sizes and attributes by name.
    pub scope: Scope,
    /// Dimensions by how the definition writes them.
    dims: IndexMap<String, Dim>,
    /// What `[...]` stands for.
    any: Option<Vec<Dim>>,
}

/// The names of sizes that an expression is made of.
pub(super) fn names<'e>(expr: &'e Expr, out: &mut Vec<&'e str>) {
    match &expr.kind {
        ExprKind::Number(_) => {}
        ExprKind::Name(name) => out.push(name),
        ExprKind::Paren(inner) | ExprKind::Negate(inner) => names(inner, out),
        ExprKind::Infix { left, right, .. } => {
            names(left, out);
            names(right, out);
        }
        ExprKind::Call { args, .. } => args.iter().for_each(|a| names(a, out)),
    }
}

/// Binds the names of sizes; `scope` holds the attributes.
pub(super) fn operands(
    definition: &Definition,
    scope: Scope,
    operands: &[Type],
) -> Result<Bound, OpError> {
    let mut bound = Bound {
        scope,
        dims: IndexMap::new(),
        any: None,
    };
    let mut open: Vec<(usize, &Expr, &Dim)> = vec![];
    for (i, found) in operands.iter().enumerate() {
        match &alternative(definition, i, found)?.shape {
            ShapeExpr::Any => match &mut bound.any {
                None => bound.any = Some(found.shape.clone()),
                Some(shape) if *shape == found.shape => {
                    for (a, b) in shape.iter_mut().zip(&found.shape) {
                        *a = either(a, b).clone();
                    }
                }
                Some(_) => {
                    let problem = "give all of them one shape".into();
                    return Err(misfit(definition, i, found, problem));
                }
            },
            ShapeExpr::Dims(dims) => {
                open.extend(dims.iter().zip(&found.shape).map(|(e, d)| (i, e, d)));
            }
        }
    }
    // What names stand for, then what follows from it, until nothing does.
    while !open.is_empty() {
        let before = open.len();
        let mut left = vec![];
        for (i, expr, dim) in open {
            match bound.take(expr, dim) {
                Taken::Yes => {}
                Taken::Later => left.push((i, expr, dim)),
                Taken::No(size) => {
                    let expr = print_expr(expr);
                    let problem = match size {
                        Some(size) if size.to_string() == expr => "give it that size".into(),
                        Some(size) => format!("with {expr} = {size}, make the sizes agree"),
                        None => format!("no sizes make {expr} = {}", dim.size),
                    };
                    return Err(misfit(definition, i, &operands[i], problem));
                }
            }
        }
        open = left;
        if open.len() == before {
            // Sizes that no operand tells: the definition was checked to have none that are not there at all.
            let (i, expr, _) = open[0];
            let problem = format!("{} has more than one answer", print_expr(expr));
            return Err(misfit(definition, i, &operands[i], problem));
        }
    }
    Ok(bound)
}

/// Whether a dimension is what an expression says.
enum Taken {
    Yes,
    /// Too many of its names have no value yet.
    Later,
    /// It is to be another size, or none at all.
    No(Option<usize>),
}

impl Bound {
    fn take(&mut self, expr: &Expr, dim: &Dim) -> Taken {
        let mut parts = vec![];
        names(expr, &mut parts);
        parts.retain(|n| !self.scope.contains_key(*n));
        parts.dedup();
        match parts[..] {
            [] => {}
            [name] => match self.solve(expr, name, dim) {
                Some(part) => {
                    let size = Number::Int(i64::try_from(part.size).unwrap_or(i64::MAX));
                    self.scope.insert(name.into(), size);
                    self.dims.entry(name.into()).or_insert(part);
                }
                None => return Taken::No(None),
            },
            _ => return Taken::Later,
        }
        match self.size(expr) {
            Some(size) if size == dim.size => {}
            size => return Taken::No(size),
        }
        let known = self.dims.entry(print_expr(expr)).or_insert(dim.clone());
        *known = either(known, dim).clone();
        Taken::Yes
    }

    fn size(&self, expr: &Expr) -> Option<usize> {
        let value = constant::integer(&self.scope, expr).ok()?;
        usize::try_from(value).ok()
    }

    /// The one size of `name` with which the expression is the dimension's. Sizes grow with what they are made of.
    fn solve(&self, expr: &Expr, name: &str, dim: &Dim) -> Option<Dim> {
        if matches!(&expr.kind, ExprKind::Name(_)) {
            return Some(dim.clone());
        }
        let mut scope = self.scope.clone();
        let mut at = |n: usize| {
            scope.insert(name.into(), Number::Int(i64::try_from(n).ok()?));
            let value = constant::integer(&scope, expr).ok()?;
            usize::try_from(value).ok()
        };
        let (mut low, mut high) = (1, dim.size);
        while low < high {
            let middle = low + (high - low) / 2;
            match at(middle) {
                Some(size) if size < dim.size => low = middle + 1,
                _ => high = middle,
            }
        }
        let found = at(low) == Some(dim.size);
        let block = match &expr.kind {
            ExprKind::Infix {
                op: Infix::Mul,
                left,
                right,
            } if is_name(right, name) => self.size(left),
            _ => None,
        };
        found.then(|| block.map_or(Dim::new(low), |parts| dim.part(parts)))
    }
}

fn is_name(expr: &Expr, name: &str) -> bool {
    matches!(&expr.kind, ExprKind::Name(n) if n == name)
}

/// Of the types that an operand may have, the one that it has.
fn alternative<'d>(
    definition: &'d Definition,
    operand: usize,
    found: &Type,
) -> Result<&'d TypeExpr, OpError> {
    let types = &definition.tree().operands[operand].types;
    let holds = |ty: &&TypeExpr| match &ty.element {
        ElementExpr::Is(dtype, _) => *dtype == found.dtype,
        ElementExpr::Float(_) => found.dtype.is_float(),
        ElementExpr::Of(_) => true,
    };
    let of_element = || types.iter().filter(holds);
    if of_element().next().is_none() {
        return Err(OpError::Element {
            op: definition.name().into(),
            operand: operand + 1,
            found: found.clone(),
            expected: match types.first().map(|t| &t.element) {
                Some(ElementExpr::Is(dtype, _)) => dtype.name().into(),
                _ => "a floating-point type".into(),
            },
        });
    }
    let rank = |ty: &TypeExpr| match &ty.shape {
        ShapeExpr::Any => None,
        ShapeExpr::Dims(dims) => Some(dims.len()),
    };
    let fits = |ty: &&TypeExpr| rank(ty).is_none_or(|r| r == found.shape.len());
    of_element().find(fits).ok_or_else(|| OpError::Rank {
        op: definition.name().into(),
        operand: operand + 1,
        found: found.clone(),
        expected: match types.first().and_then(rank) {
            Some(0) => "a scalar (rank 0)".into(),
            Some(1) => "a vector (rank 1)".into(),
            _ => "a matrix (rank 2)".into(),
        },
    })
}

fn misfit(definition: &Definition, operand: usize, found: &Type, problem: String) -> OpError {
    let wanted = &definition.tree().operands[operand];
    OpError::Sizes {
        op: definition.name().into(),
        operand: wanted.name.name.clone(),
        found: found.clone(),
        wanted: print_types(wanted),
        problem,
    }
}

/// The types of the results: as declared, with the names of the operands' dimensions, and the rows that the lines give.
pub(super) fn results(
    definition: &Definition,
    bound: &Bound,
    operands: &[Type],
    body: &Body,
) -> Result<Vec<Type>, OpError> {
    let tree = definition.tree();
    let declared = tree.results.iter().zip(&body.results);
    declared
        .map(|(result, value)| {
            let ty = &result.types[0];
            let found = &body.types[*value];
            let dtype = match &ty.element {
                ElementExpr::Is(dtype, _) => Some(*dtype),
                ElementExpr::Of(name) => {
                    let place = tree.operands.iter().position(|o| o.name.name == name.name);
                    place.map(|i| operands[i].dtype)
                }
                ElementExpr::Float(_) => Some(found.dtype),
            };
            let shape: Option<Vec<Dim>> = match &ty.shape {
                ShapeExpr::Any => bound.any.clone(),
                ShapeExpr::Dims(dims) => dims
                    .iter()
                    .map(|e| match bound.dims.get(&print_expr(e)) {
                        Some(dim) => Some(dim.clone()),
                        None => bound.size(e).map(Dim::new),
                    })
                    .collect(),
            };
            match (dtype, shape) {
                (Some(dtype), Some(shape)) if dtype == found.dtype && shape == found.shape => {
                    Ok(Type::new(dtype, shape).with_ragged(found.ragged.clone()))
                }
                _ => {
                    let declared = print_types(result);
                    let problem = format!("it is declared {declared}, and the lines give {found}");
                    Err(definition.error(&result.name.name, problem))
                }
            }
        })
        .collect()
}
