//! What can be said of a definition before anybody calls it.

use super::{Callee, Operations};
use crate::op::AttrKind;
use crate::op::expr::calls::check_call;
use crate::op::expr::constant::LOWEST;
use crate::op::expr::{ExprError, of_exchanges};
use crate::op::signature::names;
use crate::syntax::ast::{
    self, Block, ElementExpr, Expr, ExprKind, Ident, ShapeExpr, Signature, Span, Step, TypeExpr,
};
use crate::syntax::suggest;
use std::collections::BTreeSet;

type Checked<T> = Result<T, ExprError>;

/// Checks a definition; gives the declarations that it calls.
pub(super) fn definition(
    definition: &ast::Definition,
    operations: &Operations,
) -> Checked<Vec<Callee>> {
    let head = &definition.signature;
    let mut check = Check {
        operations,
        operands: head.operands.iter().map(|o| o.name.name.as_str()).collect(),
        known: BTreeSet::new(),
        uses: vec![],
    };
    check.signature(head)?;
    check.block(&definition.body)?;
    for result in &head.results {
        check.known(&result.name.name, result.name.span)?;
    }
    Ok(check.uses)
}

fn problem(span: Span, problem: String, help: &str) -> ExprError {
    ExprError::Expression {
        problem,
        span: span.into(),
        help: help.into(),
    }
}

struct Check<'a> {
    operations: &'a Operations,
    operands: Vec<&'a str>,
    /// Names that have a value.
    known: BTreeSet<&'a str>,
    uses: Vec<Callee>,
}

impl<'a> Check<'a> {
    fn signature(&mut self, definition: &'a Signature) -> Checked<()> {
        let operands = definition.operands.iter().map(|o| &o.name);
        let attributes = definition.attributes.iter().map(|a| &a.name);
        for name in operands.chain(attributes) {
            self.declare(name)?;
        }
        for attribute in &definition.attributes {
            attribute
                .bounds
                .iter()
                .try_for_each(|(_, e)| self.sizes(e))?;
        }
        let types = |all: &'a [ast::Typed]| all.iter().flat_map(|t| &t.types);
        // What operands tell of sizes, results may use.
        for ty in types(&definition.operands) {
            if let ShapeExpr::Dims(dims) = &ty.shape {
                let mut sizes = vec![];
                dims.iter().for_each(|e| names(e, &mut sizes));
                if let Some(taken) = sizes.iter().find(|n| self.operands.contains(n)) {
                    return Err(problem(
                        dims[0].span,
                        format!("`{taken}` is an operand, and no size"),
                        "give the size another name",
                    ));
                }
                self.known.extend(sizes);
            }
        }
        for ty in types(&definition.operands).chain(types(&definition.results)) {
            self.element(ty)?;
            if let ShapeExpr::Dims(dims) = &ty.shape {
                dims.iter().try_for_each(|e| self.sizes(e))?;
            }
        }
        for typed in definition.operands.iter().chain(&definition.results) {
            if let Some(counts) = &typed.ragged {
                return Err(problem(
                    counts.span,
                    format!("`{}` says which rows exist", typed.name),
                    "leave `ragged` out: in a definition that follows from the operands and the lines",
                ));
            }
        }
        for result in &definition.results {
            if result.types.len() > 1 {
                return Err(problem(
                    result.name.span,
                    format!("the result `{}` has more than one type", result.name),
                    "say its type by those of the operands: `dtype(x)[R, C]`",
                ));
            }
        }
        Ok(())
    }

    fn declare(&mut self, name: &'a Ident) -> Checked<()> {
        match self.known.insert(&name.name) {
            true => Ok(()),
            false => Err(problem(
                name.span,
                format!("the name `{name}` is taken"),
                "rename one of the two",
            )),
        }
    }

    fn element(&self, ty: &TypeExpr) -> Checked<()> {
        match &ty.element {
            ElementExpr::Of(of) if !self.operands.contains(&of.name.as_str()) => Err(problem(
                of.span,
                format!("`{of}` is no operand"),
                "an element type can be that of an operand: `dtype(x)`",
            )),
            _ => Ok(()),
        }
    }

    fn block(&mut self, block: &'a Block<Step>) -> Checked<()> {
        for line in &block.lines {
            match &line.kind {
                Step::Let { targets, value } => {
                    self.expr(value)?;
                    self.known.extend(targets.iter().map(|t| t.name.as_str()));
                }
                Step::For {
                    name,
                    from,
                    to,
                    body,
                } => {
                    self.sizes(from)?;
                    self.sizes(to)?;
                    self.known.insert(&name.name);
                    self.block(body)?;
                }
                Step::If {
                    condition,
                    then,
                    otherwise,
                } => {
                    self.sizes(&condition.left)?;
                    self.sizes(&condition.right)?;
                    self.block(then)?;
                    otherwise.iter().try_for_each(|b| self.block(b))?;
                }
            }
        }
        Ok(())
    }

    fn known(&self, name: &str, span: Span) -> Checked<()> {
        if self.known.contains(name) || name == LOWEST {
            return Ok(());
        }
        let known = self.known.iter().copied();
        Err(ExprError::UnknownName {
            name: name.into(),
            span: span.into(),
            help: suggest(name, known, "give it a value in a line above"),
        })
    }

    /// An expression of numbers.
    fn sizes(&self, expr: &Expr) -> Checked<()> {
        let mut all = vec![];
        names(expr, &mut all);
        all.into_iter().try_for_each(|n| self.known(n, expr.span))
    }

    fn expr(&mut self, expr: &'a Expr) -> Checked<()> {
        match &expr.kind {
            ExprKind::Number(_) => Ok(()),
            ExprKind::Name(name) => self.known(name, expr.span),
            ExprKind::Paren(inner) | ExprKind::Negate(inner) => self.expr(inner),
            ExprKind::Index { .. } => Err(of_exchanges("a place, `x[r]`,", expr.span)),
            ExprKind::Infix { left, right, .. } => {
                self.expr(left)?;
                self.expr(right)
            }
            ExprKind::Call { name, args, attrs } => {
                let callee = check_call(self.operations, name, args, attrs, expr.span)?;
                for spec in callee.attributes() {
                    let given = attrs.iter().find(|(key, _)| key.name == spec.name);
                    if let (AttrKind::Size | AttrKind::Float, Some((_, value))) = (spec.kind, given)
                    {
                        self.sizes(value)?;
                    }
                }
                if !matches!(callee, Callee::Row(_)) && !self.uses.contains(&callee) {
                    self.uses.push(callee);
                }
                args.iter().try_for_each(|arg| self.expr(arg))
            }
        }
    }
}
