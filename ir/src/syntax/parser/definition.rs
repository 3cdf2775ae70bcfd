//! Definitions of operations.

use super::super::ast::*;
use super::super::lexer::Kind;
use super::{ParseError, Parsed, Parser, without_first_blank};
use crate::dtype::DType;

impl Parser {
    /// What stands before the graph.
    pub(super) fn declared(&mut self) -> Parsed<Vec<Line<Declared>>> {
        let mut declared = vec![];
        while self.is_word("def") || self.is_word("exchange") {
            let mut line = self.line(|p| match p.is_word("def") {
                true => Ok(Declared::Definition(p.definition()?)),
                false => Ok(Declared::Exchange(p.exchange()?)),
            })?;
            if declared.is_empty() {
                without_first_blank(&mut line.leading);
            }
            declared.push(line);
        }
        Ok(declared)
    }

    fn definition(&mut self) -> Parsed<Definition> {
        let signature = self.signature()?;
        let body = self.block("the definition", Self::step)?;
        Ok(Definition { signature, body })
    }

    /// What a declaration takes and gives, from its first word on.
    pub(super) fn signature(&mut self) -> Parsed<Signature> {
        self.bump();
        let name = self.ident("the name of the operation")?;
        let open = self.sign("(")?;
        let (mut operands, mut attributes) = (vec![], vec![]);
        while self.kind() != &Kind::Sign(")") {
            let name = self.ident("the name of an operand or attribute")?;
            self.sign(":")?;
            match self.quantity() {
                Some(kind) => attributes.push(self.attribute(name, kind)?),
                None if attributes.is_empty() => operands.push(self.typed(name)?),
                None => {
                    return Err(self.unexpected(
                        "`size` or `number`",
                        Some("operands come first, attributes after them"),
                    ));
                }
            }
            if !self.eat(",") {
                break;
            }
        }
        self.close(")", "the list of operands", open)?;
        self.sign("->")?;
        let open = self.span();
        let listed = self.eat("(");
        let mut results = vec![];
        while self.kind() != &Kind::Sign(")") {
            let name = self.ident("the name of a result")?;
            self.sign(":")?;
            results.push(self.typed(name)?);
            if !self.eat(",") {
                break;
            }
        }
        if listed {
            self.close(")", "the list of results", open)?;
        }
        Ok(Signature {
            name,
            operands,
            attributes,
            results,
        })
    }

    fn quantity(&self) -> Option<Quantity> {
        let kinds = Quantity::ALL.into_iter();
        kinds.into_iter().find(|q| self.is_word(q.name()))
    }

    fn attribute(&mut self, name: Ident, kind: Quantity) -> Parsed<Attribute> {
        self.bump();
        let mut bounds = vec![];
        while let Some(compare) = self.compare() {
            self.bump();
            bounds.push((compare, self.expr()?));
        }
        Ok(Attribute { name, kind, bounds })
    }

    fn typed(&mut self, name: Ident) -> Parsed<Typed> {
        let mut types = vec![self.type_expr()?];
        while self.is_word("or") {
            self.bump();
            types.push(self.type_expr()?);
        }
        let mut ragged = None;
        if self.eat_word("ragged") {
            ragged = Some(self.ident("the value that holds how many rows each group has")?);
        }
        let spread = match self.eat("~") {
            true => Some(Box::new(self.binomial()?)),
            false => None,
        };
        Ok(Typed {
            name,
            types,
            ragged,
            spread,
        })
    }

    /// `binomial(TRIALS, HITS, OF)`, behind its `~`.
    pub(super) fn binomial(&mut self) -> Parsed<Binomial> {
        let span = self.keyword(
            "binomial",
            "write `~ binomial(TRIALS, HITS, OF)`: of so many trials, how many hit, each with a probability of HITS / OF",
        )?;
        let open = self.span();
        self.sign("(")?;
        let trials = self.expr()?;
        self.sign(",")?;
        let hits = self.expr()?;
        self.sign(",")?;
        let of = self.expr()?;
        self.close(")", "the distribution", open)?;
        Ok(Binomial {
            trials,
            hits,
            of,
            span,
        })
    }

    pub(super) fn type_expr(&mut self) -> Parsed<TypeExpr> {
        let word = self.ident("an element type, `float`, `any` or `dtype(OPERAND)`")?;
        let element = match (word.name.as_str(), word.name.parse::<DType>()) {
            ("float", _) => ElementExpr::Float(word.span),
            ("any", _) => ElementExpr::Any(word.span),
            ("dtype", _) => {
                let open = self.sign("(")?;
                let of = self.ident("the name of an operand")?;
                self.close(")", "the element type", open)?;
                ElementExpr::Of(of)
            }
            (_, Ok(dtype)) => ElementExpr::Is(dtype, word.span),
            _ => {
                return Err(ParseError::ElementType {
                    found: word.name,
                    span: word.span.into(),
                });
            }
        };
        let open = self.span();
        if !self.eat("[") {
            let shape = ShapeExpr::Dims(vec![]);
            return Ok(TypeExpr { element, shape });
        }
        if self.eat("...") {
            self.close("]", "the shape", open)?;
            let shape = ShapeExpr::Any;
            return Ok(TypeExpr { element, shape });
        }
        let mut dims = vec![];
        while !self.eat("]") {
            dims.push(self.expr()?);
            if !self.eat(",") {
                self.close("]", "the shape", open)?;
                break;
            }
        }
        let shape = ShapeExpr::Dims(dims);
        Ok(TypeExpr { element, shape })
    }

    fn step(&mut self) -> Parsed<Step> {
        if matches!(self.second(), Some(Kind::Sign("=" | ","))) {
            let (targets, value) = self.assignment()?;
            return Ok(Step::Let { targets, value });
        }
        match self.kind() {
            Kind::Ident(word) if word == "for" => {
                self.bump();
                let name = self.ident("the name of the number that counts")?;
                self.keyword("in", "a loop is written `for i in 0..n { ... }`")?;
                let from = self.expr()?;
                self.sign("..")?;
                let to = self.expr()?;
                let body = self.inner("the loop", Self::step)?;
                Ok(Step::For {
                    name,
                    from,
                    to,
                    body,
                })
            }
            Kind::Ident(word) if word == "if" => {
                self.bump();
                let condition = self.condition()?;
                let then = self.inner("the condition", Self::step)?;
                let otherwise = match self.is_word("else") {
                    true => {
                        self.bump();
                        Some(self.inner("the condition", Self::step)?)
                    }
                    false => None,
                };
                Ok(Step::If {
                    condition,
                    then,
                    otherwise,
                })
            }
            _ => Err(self.unexpected("`for`, `if`, or `name = operation(...)`", None)),
        }
    }
}
