//! Tokens to the syntax tree of an exchange.

use super::tree::*;
use crate::dtype::DType;
use crate::syntax::lexer::Kind;
use crate::syntax::{Expr, Ident, ParseError, Parsed, Parser, nearest};

/// The words that statements begin with.
const STATEMENTS: [&str; 17] = [
    "let", "var", "window", "counter", "array", "read", "tile", "for", "if", "copy", "put", "fill",
    "add", "notify", "wait", "fail", "require",
];

impl Parser {
    /// A declaration, from its first word on.
    pub fn exchange(&mut self) -> Parsed<Declaration> {
        self.keyword(
            "exchange",
            "write `exchange NAME(OPERANDS) -> (RESULTS) { ... }`",
        )?;
        let name = self.ident("the exchange's name")?;
        let params = self.list("the operands", Self::param)?;
        self.sign("->")?;
        let results = self.list("the results", Self::result)?;
        let body = self.block("the exchange", Self::step)?;
        Ok(Declaration {
            name,
            params,
            results,
            body,
        })
    }

    fn list<T>(&mut self, what: &'static str, parse: fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let open = self.sign("(")?;
        let mut out = vec![];
        while !self.eat(")") {
            out.push(parse(self)?);
            if !self.eat(",") {
                self.close(")", what, open)?;
                break;
            }
        }
        Ok(out)
    }

    fn param(&mut self) -> Parsed<Param> {
        let name = self.ident("an operand's or an attribute's name")?;
        self.sign(":")?;
        if !self.at_word("size") {
            return Ok(Param::Operand(self.tensor(name)?));
        }
        self.bump();
        let default = match self.eat("=") {
            true => Some(self.expr()?),
            false => None,
        };
        Ok(Param::Size { name, default })
    }

    fn result(&mut self) -> Parsed<Tensor> {
        let name = self.ident("a result's name")?;
        self.sign(":")?;
        self.tensor(name)
    }

    fn tensor(&mut self, name: Ident) -> Parsed<Tensor> {
        let dtype = self.element_type()?;
        let mut shape = vec![];
        let open = self.span();
        if self.eat("[") {
            while !self.eat("]") {
                shape.push(self.expr()?);
                if !self.eat(",") {
                    self.close("]", "the shape", open)?;
                    break;
                }
            }
        }
        let mut ragged = None;
        if self.at_word("ragged") {
            self.bump();
            ragged = Some(self.ident("the value that holds how many rows each group has")?);
        }
        Ok(Tensor {
            name,
            dtype,
            shape,
            ragged,
        })
    }

    /// An element type, or a name in capitals that stands for one.
    fn element_type(&mut self) -> Parsed<Ident> {
        let found = self.ident("an element type")?;
        let variable = found.name.starts_with(|c: char| c.is_ascii_uppercase());
        match variable || found.name.parse::<DType>().is_ok() {
            true => Ok(found),
            false => Err(ParseError::ElementType {
                found: found.name,
                span: found.span.into(),
            }),
        }
    }

    fn rectangle(&mut self) -> Parsed<[Expr; 2]> {
        let open = self.sign("[")?;
        let rows = self.expr()?;
        self.sign(",")?;
        let cols = self.expr()?;
        self.close("]", "the shape", open)?;
        Ok([rows, cols])
    }

    fn step(&mut self) -> Parsed<Stmt> {
        let expected = "a statement, such as `let`, `for`, `copy`, `put`, `notify` or `wait`";
        let Kind::Ident(word) = self.kind().clone() else {
            return Err(self.unexpected(expected, None));
        };
        if matches!(self.second(), Some(Kind::Sign("=" | "["))) {
            let target = self.expr()?;
            self.sign("=")?;
            let value = self.expr()?;
            return Ok(Stmt::Assign { target, value });
        }
        if !STATEMENTS.contains(&word.as_str()) {
            let help = nearest(&word, STATEMENTS).map(|near| format!("did you mean `{near}`?"));
            return Err(self.unexpected(expected, help.as_deref()));
        }
        self.bump();
        match word.as_str() {
            "for" => self.for_loop(),
            "if" => self.branch(),
            "notify" | "wait" | "fail" | "require" => self.protocol(&word),
            "copy" | "put" | "fill" | "add" => self.movement(&word),
            _ => self.declared(&word),
        }
    }

    /// What gives a name.
    fn declared(&mut self, word: &str) -> Parsed<Stmt> {
        let name = self.ident("a name")?;
        match word {
            "let" | "var" | "read" => {
                self.sign("=")?;
                let value = self.expr()?;
                Ok(match word {
                    "let" => Stmt::Let { name, value },
                    "var" => Stmt::Var { name, value },
                    _ => Stmt::Read { name, from: value },
                })
            }
            "window" => {
                self.sign(":")?;
                let dtype = self.element_type()?;
                let shape = self.rectangle()?;
                let alternating = self.at_word("alternating");
                if alternating {
                    self.bump();
                }
                Ok(Stmt::Window {
                    name,
                    dtype,
                    shape,
                    alternating,
                })
            }
            "counter" => {
                let open = self.span();
                let mut count = None;
                if self.eat("[") {
                    count = Some(self.expr()?);
                    self.close("]", "the number of counters", open)?;
                }
                Ok(Stmt::Counter { name, count })
            }
            "array" => {
                let open = self.sign("[")?;
                let length = self.expr()?;
                self.close("]", "the length", open)?;
                Ok(Stmt::Array { name, length })
            }
            _ => {
                let form = if self.eat("=") {
                    TileForm::Loaded(self.expr()?)
                } else if self.eat(":") {
                    let dtype = self.element_type()?;
                    let shape = self.rectangle()?;
                    TileForm::Empty { dtype, shape }
                } else {
                    return Err(self.unexpected(
                        "`=` or `:`",
                        Some("a tile holds something, `tile row = x[t]`, or has a type, `tile sum: f32[1, C]`"),
                    ));
                };
                Ok(Stmt::Tile { name, form })
            }
        }
    }

    fn for_loop(&mut self) -> Parsed<Stmt> {
        let name = self.ident("the loop's counter")?;
        self.keyword("in", "a loop goes over a range: `for t in 0..T { ... }`")?;
        let from = self.expr()?;
        self.sign("..")?;
        let to = self.expr()?;
        let mut share = None;
        if self.at_word("shared") {
            self.bump();
            share = Some(Share::Evenly);
            if self.at_word("unevenly") {
                self.bump();
                share = Some(Share::Unevenly);
            }
        }
        let body = self.block("the loop", Self::step)?;
        Ok(Stmt::For {
            name,
            from,
            to,
            share,
            body,
        })
    }

    fn branch(&mut self) -> Parsed<Stmt> {
        let condition = self.condition()?;
        let then = self.block("the condition", Self::step)?;
        let mut otherwise = None;
        if self.at_word("else") {
            self.bump();
            otherwise = Some(self.block("the condition", Self::step)?);
        }
        Ok(Stmt::If {
            condition,
            then,
            otherwise,
        })
    }

    fn movement(&mut self, word: &str) -> Parsed<Stmt> {
        match word {
            "fill" => {
                let tile = self.ident("a tile")?;
                self.keyword("with", "write `fill TILE with NUMBER`")?;
                let value = self.expr()?;
                Ok(Stmt::Fill { tile, value })
            }
            "add" => {
                let from = self.ident("a tile")?;
                self.sign("->")?;
                let to = self.ident("the tile that it is added to")?;
                Ok(Stmt::Add { from, to })
            }
            _ => {
                let from = self.expr()?;
                self.sign("->")?;
                let to = self.expr()?;
                let mut on = None;
                if word == "put" {
                    self.keyword(
                        "on",
                        "say whose window: `put x -> w[0] on peer`; what stays on the rank is copied: `copy x -> y`",
                    )?;
                    on = Some(self.expr()?);
                }
                let mut first = None;
                if self.at_word("first") {
                    self.bump();
                    first = Some(self.expr()?);
                }
                Ok(Stmt::Copy {
                    from,
                    to,
                    on,
                    first,
                })
            }
        }
    }

    fn protocol(&mut self, word: &str) -> Parsed<Stmt> {
        match word {
            "notify" => {
                let counter = self.expr()?;
                self.keyword("on", "say whose counter: `notify done on peer`")?;
                let on = self.expr()?;
                Ok(Stmt::Notify { counter, on })
            }
            "wait" => {
                let counter = self.expr()?;
                self.sign(">=")?;
                let at_least = self.expr()?;
                Ok(Stmt::Wait { counter, at_least })
            }
            "fail" => {
                let status = self.ident("the result that tells of the failure")?;
                let message = self.quoted()?;
                let mut help = None;
                if self.at_word("help") {
                    self.bump();
                    help = Some(self.quoted()?);
                }
                Ok(Stmt::Fail {
                    status,
                    message,
                    help,
                })
            }
            _ => {
                let condition = self.condition()?;
                self.keyword("else", "write `require A == B else \"MESSAGE\"`")?;
                let message = self.quoted()?;
                Ok(Stmt::Require { condition, message })
            }
        }
    }

    fn quoted(&mut self) -> Parsed<Text> {
        match self.kind().clone() {
            Kind::Text(text) => Ok(Text {
                text,
                span: self.bump(),
            }),
            _ => Err(self.unexpected("a message in quotes", None)),
        }
    }
}
