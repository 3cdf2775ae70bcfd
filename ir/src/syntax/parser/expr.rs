//! Expressions.

use super::super::ast::*;
use super::super::lexer::Kind;
use super::{MAX_NESTING, ParseError, Parsed, Parser};

impl Parser {
    pub(super) fn expr(&mut self) -> Parsed<Expr> {
        Ok(self.sum(0)?.0)
    }

    /// An expression, and its height, which bounds the recursion of all who walk it.
    fn sum(&mut self, depth: usize) -> Parsed<(Expr, usize)> {
        self.chain(
            depth,
            &[("+", Infix::Add), ("-", Infix::Sub)],
            Self::product,
        )
    }

    fn product(&mut self, depth: usize) -> Parsed<(Expr, usize)> {
        self.chain(
            depth,
            &[("*", Infix::Mul), ("/", Infix::Div), ("%", Infix::Rem)],
            Self::factor,
        )
    }

    fn chain(
        &mut self,
        depth: usize,
        signs: &[(&'static str, Infix)],
        part: fn(&mut Self, usize) -> Parsed<(Expr, usize)>,
    ) -> Parsed<(Expr, usize)> {
        let (mut left, mut height) = part(self, depth)?;
        loop {
            let found = signs.iter().find(|(s, _)| self.kind() == &Kind::Sign(s));
            let Some((_, op)) = found else {
                return Ok((left, height));
            };
            self.bump();
            let (right, other) = part(self, depth)?;
            height = height.max(other) + 1;
            self.bounded(depth + height)?;
            let span = left.span.to(right.span);
            let kind = ExprKind::Infix {
                op: *op,
                left: Box::new(left),
                right: Box::new(right),
            };
            left = Expr { kind, span };
        }
    }

    fn factor(&mut self, depth: usize) -> Parsed<(Expr, usize)> {
        self.bounded(depth)?;
        let start = self.span();
        match self.kind().clone() {
            Kind::Sign("-") => {
                self.bump();
                let (inner, height) = self.factor(depth + 1)?;
                let span = start.to(inner.span);
                let kind = ExprKind::Negate(Box::new(inner));
                Ok((Expr { kind, span }, height + 1))
            }
            Kind::Sign("(") => {
                self.bump();
                let (inner, height) = self.sum(depth + 1)?;
                let end = self.close(")", "the parenthesis", start)?;
                let kind = ExprKind::Paren(Box::new(inner));
                let span = start.to(end);
                Ok((Expr { kind, span }, height + 1))
            }
            Kind::Number(text) => {
                self.bump();
                let kind = ExprKind::Number(text);
                Ok((Expr { kind, span: start }, 1))
            }
            Kind::Ident(name) => {
                self.bump();
                let name = Ident { name, span: start };
                match self.kind() {
                    Kind::Sign("(") => return self.call(name, depth),
                    Kind::Sign("[") => return self.index(name, depth),
                    _ => {}
                }
                let kind = ExprKind::Name(name.name);
                Ok((Expr { kind, span: start }, 1))
            }
            _ => Err(self.unexpected("a number, a name, an operation or `(`", None)),
        }
    }

    fn call(&mut self, name: Ident, depth: usize) -> Parsed<(Expr, usize)> {
        let open = self.span();
        self.bump();
        let (mut args, mut attrs, mut height) = (vec![], vec![], 0);
        let end = loop {
            if self.kind() == &Kind::Sign(")") {
                break self.bump();
            }
            if self.second() == Some(&Kind::Sign("=")) {
                let key = self.ident("an attribute's name")?;
                self.sign("=")?;
                let (value, other) = self.sum(depth + 1)?;
                height = height.max(other);
                attrs.push((key, value));
            } else if attrs.is_empty() {
                let (arg, other) = self.sum(depth + 1)?;
                height = height.max(other);
                args.push(arg);
            } else {
                return Err(self.unexpected(
                    "an attribute, `name = value`",
                    Some("operands come first, attributes after them"),
                ));
            }
            if !self.eat(",") {
                break self.close(")", "the operand list", open)?;
            }
        };
        let span = name.span.to(end);
        let kind = ExprKind::Call { name, args, attrs };
        Ok((Expr { kind, span }, height + 1))
    }

    fn index(&mut self, name: Ident, depth: usize) -> Parsed<(Expr, usize)> {
        let open = self.bump();
        let (mut at, mut height) = (vec![], 0);
        let end = loop {
            let (start, other) = self.sum(depth + 1)?;
            height = height.max(other);
            let mut count = None;
            if self.eat(":") {
                let (found, other) = self.sum(depth + 1)?;
                height = height.max(other);
                count = Some(found);
            }
            at.push(Slice { start, count });
            if !self.eat(",") {
                break self.close("]", "the index", open)?;
            }
        };
        let span = name.span.to(end);
        let kind = ExprKind::Index { name, at };
        Ok((Expr { kind, span }, height + 1))
    }

    fn bounded(&self, depth: usize) -> Parsed<()> {
        if depth <= MAX_NESTING {
            return Ok(());
        }
        Err(ParseError::Nesting {
            limit: MAX_NESTING,
            span: self.span().into(),
        })
    }
}
