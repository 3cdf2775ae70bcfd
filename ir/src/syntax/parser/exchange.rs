//! Exchanges.

use super::super::ast::*;
use super::super::lexer::Kind;
use super::super::nearest;
use super::{Parsed, Parser};

/// The words that statements begin with.
const STATEMENTS: [&str; 17] = [
    "let", "var", "window", "counter", "array", "read", "tile", "for", "if", "copy", "put", "fill",
    "add", "notify", "wait", "fail", "require",
];

impl Parser {
    /// An exchange, from its first word on.
    pub(super) fn exchange(&mut self) -> Parsed<Exchange> {
        let signature = self.signature()?;
        let body = self.block("the exchange", Self::action)?;
        Ok(Exchange { signature, body })
    }

    fn action(&mut self) -> Parsed<Action> {
        let expected = "a statement, such as `let`, `for`, `copy`, `put`, `notify` or `wait`";
        let Kind::Ident(word) = self.kind().clone() else {
            return Err(self.unexpected(expected, None));
        };
        if matches!(self.second(), Some(Kind::Sign("=" | "["))) {
            let target = self.expr()?;
            self.sign("=")?;
            let value = self.expr()?;
            return Ok(Action::Assign { target, value });
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
            _ => self.naming(&word),
        }
    }

    /// What gives a name.
    fn naming(&mut self, word: &str) -> Parsed<Action> {
        let name = self.ident("a name")?;
        match word {
            "let" | "var" | "read" => {
                self.sign("=")?;
                let value = self.expr()?;
                Ok(match word {
                    "let" => Action::Let { name, value },
                    "var" => Action::Var { name, value },
                    _ => Action::Read { name, from: value },
                })
            }
            "window" => {
                self.sign(":")?;
                let ty = self.type_expr()?;
                let alternating = self.eat_word("alternating");
                Ok(Action::Window {
                    name,
                    ty,
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
                Ok(Action::Counter { name, count })
            }
            "array" => {
                let open = self.sign("[")?;
                let length = self.expr()?;
                self.close("]", "the length", open)?;
                Ok(Action::Array { name, length })
            }
            _ => {
                let form = if self.eat("=") {
                    TileForm::Loaded(self.expr()?)
                } else if self.eat(":") {
                    TileForm::Empty(self.type_expr()?)
                } else {
                    return Err(self.unexpected(
                        "`=` or `:`",
                        Some("a tile holds something, `tile row = x[t]`, or has a type, `tile sum: f32[1, C]`"),
                    ));
                };
                Ok(Action::Tile { name, form })
            }
        }
    }

    fn for_loop(&mut self) -> Parsed<Action> {
        let name = self.ident("the loop's counter")?;
        self.keyword("in", "a loop goes over a range: `for t in 0..T { ... }`")?;
        let from = self.expr()?;
        self.sign("..")?;
        let to = self.expr()?;
        let mut share = None;
        if self.eat_word("shared") {
            share = Some(Share::Evenly);
            if self.eat_word("unevenly") {
                share = Some(Share::Unevenly);
            }
        }
        let body = self.inner("the loop", Self::action)?;
        Ok(Action::For {
            name,
            from,
            to,
            share,
            body,
        })
    }

    fn branch(&mut self) -> Parsed<Action> {
        let condition = self.condition()?;
        let then = self.inner("the condition", Self::action)?;
        let mut otherwise = None;
        if self.eat_word("else") {
            otherwise = Some(self.inner("the condition", Self::action)?);
        }
        Ok(Action::If {
            condition,
            then,
            otherwise,
        })
    }

    fn movement(&mut self, word: &str) -> Parsed<Action> {
        match word {
            "fill" => {
                let tile = self.ident("a tile")?;
                self.keyword("with", "write `fill TILE with NUMBER`")?;
                let value = self.expr()?;
                Ok(Action::Fill { tile, value })
            }
            "add" => {
                let from = self.ident("a tile")?;
                self.sign("->")?;
                let to = self.ident("the tile that it is added to")?;
                Ok(Action::Add { from, to })
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
                if self.eat_word("first") {
                    first = Some(self.expr()?);
                }
                Ok(Action::Copy {
                    from,
                    to,
                    on,
                    first,
                })
            }
        }
    }

    fn protocol(&mut self, word: &str) -> Parsed<Action> {
        match word {
            "notify" => {
                let counter = self.expr()?;
                self.keyword("on", "say whose counter: `notify done on peer`")?;
                let on = self.expr()?;
                Ok(Action::Notify { counter, on })
            }
            "wait" => {
                let counter = self.expr()?;
                self.sign(">=")?;
                let at_least = self.expr()?;
                Ok(Action::Wait { counter, at_least })
            }
            "fail" => {
                let status = self.ident("the result that tells of the failure")?;
                let message = self.quoted()?;
                let mut help = None;
                if self.eat_word("help") {
                    help = Some(self.quoted()?);
                }
                Ok(Action::Fail {
                    status,
                    message,
                    help,
                })
            }
            _ => {
                let condition = self.condition()?;
                self.keyword("else", "write `require A == B else \"MESSAGE\"`")?;
                let message = self.quoted()?;
                Ok(Action::Require { condition, message })
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
