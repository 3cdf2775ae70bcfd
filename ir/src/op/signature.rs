//! What an operation that is written in the text form takes and gives, and sizes of a call: what the names in a signature stand
//! for, from the attributes and the types of the operands.

use super::expr::constant::{self, Number, Scope};
use super::shape::either;
use super::{AttrKind, AttrSpec, AttrValue, Dim, OpError, Type};
use crate::dtype::DType;
use crate::syntax::ast::{
    Compare, Declared, ElementExpr, Expr, ExprKind, Infix, Line, Quantity, ShapeExpr, Signature,
    Trivia, TypeExpr,
};
use crate::syntax::{print_expr, print_types};
use indexmap::IndexMap;

/// What the author of a declaration says of it.
pub(super) fn doc(line: &Line<Declared>) -> String {
    let said = comments(line).filter(|c| !c.starts_with("   "));
    let said: Vec<&str> = said.map(str::trim).collect();
    said.join(" ").trim().to_string()
}

/// Inputs, one a line, and then the lines of a kernel that uses it.
pub(super) fn example(line: &Line<Declared>) -> String {
    let lines = comments(line).filter(|c| c.starts_with("   "));
    let lines: Vec<&str> = lines.map(str::trim).collect();
    lines.join("\n")
}

fn comments(line: &Line<Declared>) -> impl Iterator<Item = &str> {
    // Of the comments before it, those that nothing separates from it.
    let start = line.leading.iter().rposition(|t| *t == Trivia::Blank);
    let own = &line.leading[start.map_or(0, |i| i + 1)..];
    own.iter().filter_map(|t| match t {
        Trivia::Comment(text) => Some(text.as_str()),
        Trivia::Blank => None,
    })
}

/// What attributes a signature has.
pub(super) fn specs(signature: &Signature) -> Vec<AttrSpec<'_>> {
    let spec = signature.attributes.iter().map(|a| AttrSpec {
        name: &a.name.name,
        kind: match a.kind {
            Quantity::Size => AttrKind::Size,
            Quantity::Number => AttrKind::Float,
        },
        default: None,
    });
    spec.collect()
}

/// The attributes of a call as numbers, within their bounds.
pub(super) fn attributes(signature: &Signature, values: &[AttrValue]) -> Result<Scope, OpError> {
    let mut scope = Scope::new();
    for (spec, value) in signature.attributes.iter().zip(values) {
        let number = match *value {
            AttrValue::Size(n) => Number::Int(i64::try_from(n).unwrap_or(i64::MAX)),
            AttrValue::Float(value) => Number::Float(f64::from(value)),
            AttrValue::DType(_) | AttrValue::Round(_) => continue,
        };
        let inside = |(compare, bound): &(Compare, Expr)| {
            let bound = constant::number(&scope, bound).map(Number::float);
            bound.is_ok_and(|b| compare.holds(number.float(), b))
        };
        if !number.float().is_finite() || !spec.bounds.iter().all(inside) {
            let bounds = spec.bounds.iter();
            let bounds: Vec<String> = bounds
                .map(|(c, e)| format!("{} {}", c.name(), print_expr(e)))
                .collect();
            return Err(OpError::Attribute {
                op: signature.name.name.clone(),
                attribute: spec.name.name.clone(),
                value: value.to_string(),
                remedy: match bounds.is_empty() {
                    true => "give a finite number".into(),
                    false => format!("give a number {}", bounds.join(" and ")),
                },
            });
        }
        scope.insert(spec.name.name.clone(), number);
    }
    Ok(scope)
}

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
        ExprKind::Index { at, .. } => at.iter().for_each(|s| names(&s.start, out)),
    }
}

/// Binds the names of sizes; `scope` holds the attributes.
pub(super) fn operands(
    signature: &Signature,
    scope: Scope,
    operands: &[Type],
) -> Result<Bound, OpError> {
    if operands.len() != signature.operands.len() {
        return Err(OpError::OperandCount {
            op: signature.name.name.clone(),
            expected: signature.operands.len(),
            found: operands.len(),
        });
    }
    let mut bound = Bound {
        scope,
        dims: IndexMap::new(),
        any: None,
    };
    let mut open: Vec<(usize, &Expr, &Dim)> = vec![];
    for (i, found) in operands.iter().enumerate() {
        match &alternative(signature, i, operands)?.shape {
            ShapeExpr::Any => match &mut bound.any {
                None => bound.any = Some(found.shape.clone()),
                Some(shape) if *shape == found.shape => {
                    for (a, b) in shape.iter_mut().zip(&found.shape) {
                        *a = either(a, b).clone();
                    }
                }
                Some(_) => {
                    let problem = "give all of them one shape".into();
                    return Err(misfit(signature, i, found, problem));
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
                Meets::Yes => {}
                Meets::Later => left.push((i, expr, dim)),
                Meets::No(size) => {
                    let expr = print_expr(expr);
                    let problem = match size {
                        Some(size) if size.to_string() == expr => "give it that size".into(),
                        Some(size) => format!("with {expr} = {size}, make the sizes agree"),
                        None => format!("no sizes make {expr} = {}", dim.size),
                    };
                    return Err(misfit(signature, i, &operands[i], problem));
                }
            }
        }
        open = left;
        if open.len() == before {
            // Sizes that no operand tells: the definition was checked to have none that are not there at all.
            let (i, expr, _) = open[0];
            let problem = format!("{} has more than one answer", print_expr(expr));
            return Err(misfit(signature, i, &operands[i], problem));
        }
    }
    Ok(bound)
}

/// Whether a dimension is what an expression says.
enum Meets {
    Yes,
    /// Too many of its names have no value yet.
    Later,
    /// It is to be another size, or none at all.
    No(Option<usize>),
}

impl Bound {
    /// The dimensions of a result's shape, with the names of the operands' dimensions.
    pub fn shape(&self, shape: &ShapeExpr) -> Option<Vec<Dim>> {
        match shape {
            ShapeExpr::Any => self.any.clone(),
            ShapeExpr::Dims(dims) => dims
                .iter()
                .map(|e| match self.dims.get(&print_expr(e)) {
                    Some(dim) => Some(dim.clone()),
                    None => self.size(e).map(Dim::new),
                })
                .collect(),
        }
    }

    fn take(&mut self, expr: &Expr, dim: &Dim) -> Meets {
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
                None => return Meets::No(None),
            },
            _ => return Meets::Later,
        }
        match self.size(expr) {
            Some(size) if size == dim.size => {}
            size => return Meets::No(size),
        }
        let known = self.dims.entry(print_expr(expr)).or_insert(dim.clone());
        *known = either(known, dim).clone();
        Meets::Yes
    }

    pub fn size(&self, expr: &Expr) -> Option<usize> {
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

/// The element type that is written for a result, if it does not depend on more than operands.
pub(super) fn element(
    signature: &Signature,
    operands: &[Type],
    element: &ElementExpr,
) -> Option<DType> {
    match element {
        ElementExpr::Is(dtype, _) => Some(*dtype),
        ElementExpr::Of(name) => {
            let mut names = signature.operands.iter().map(|o| &o.name.name);
            let place = names.position(|n| *n == name.name);
            place.and_then(|i| Some(operands.get(i)?.dtype))
        }
        ElementExpr::Float(_) | ElementExpr::Any(_) => None,
    }
}

/// Of the types that an operand may have, the one that it has.
fn alternative<'d>(
    signature: &'d Signature,
    operand: usize,
    operands: &[Type],
) -> Result<&'d TypeExpr, OpError> {
    let found = &operands[operand];
    let types = &signature.operands[operand].types;
    let of = |ty: &TypeExpr| element(signature, operands, &ty.element);
    let holds = |ty: &&TypeExpr| match &ty.element {
        ElementExpr::Float(_) => found.dtype.is_float(),
        ElementExpr::Any(_) => true,
        _ => of(ty) == Some(found.dtype),
    };
    let of_element = || types.iter().filter(holds);
    if of_element().next().is_none() {
        return Err(OpError::Element {
            op: signature.name.name.clone(),
            operand: operand + 1,
            found: found.clone(),
            expected: match types.first().and_then(of) {
                Some(dtype) => dtype.name().into(),
                None => "a floating-point type".into(),
            },
        });
    }
    let rank = |ty: &TypeExpr| match &ty.shape {
        ShapeExpr::Any => None,
        ShapeExpr::Dims(dims) => Some(dims.len()),
    };
    let fits = |ty: &&TypeExpr| rank(ty).is_none_or(|r| r == found.shape.len());
    of_element().find(fits).ok_or_else(|| OpError::Rank {
        op: signature.name.name.clone(),
        operand: operand + 1,
        found: found.clone(),
        expected: match types.first().and_then(rank) {
            Some(0) => "a scalar (rank 0)".into(),
            Some(1) => "a vector (rank 1)".into(),
            _ => "a matrix (rank 2)".into(),
        },
    })
}

fn misfit(signature: &Signature, operand: usize, found: &Type, problem: String) -> OpError {
    let wanted = &signature.operands[operand];
    OpError::Sizes {
        op: signature.name.name.clone(),
        operand: wanted.name.name.clone(),
        found: found.clone(),
        wanted: print_types(wanted),
        problem,
    }
}
