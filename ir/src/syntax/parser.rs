//! Tokens to expressions, lines and blocks, by recursive descent; what stands in a block its owner parses.
//!
//! Written by hand rather than with a combinator library: the grammar needs one token of look-ahead, every refusal here has
//! its own code, labels and remedy, and comments and blank lines ride on tokens, which combinators over characters would have
//! to thread through each rule. A line ends where the next token stands on a new line; inside a statement line breaks are free.

use super::lexer::{Kind, Piece, Token, tokens};
use super::*;

/// How deep expressions and blocks may nest; deeper is a generated file or an attack.
pub const MAX_NESTING: usize = 100;
/// The largest source text.
pub const MAX_SOURCE: usize = 16 << 20;

/// A text as tokens, and the place in it.
pub(crate) struct Parser {
    tokens: Vec<Token>,
    at: usize,
    /// Blocks around the place.
    depth: usize,
    /// Comments met inside a statement; they move before it.
    stray: Vec<Trivia>,
}

pub(crate) type Parsed<T> = Result<T, ParseError>;

impl Parser {
    /// A parser at the first token.
    ///
    /// # Errors
    ///
    /// What is too large, is no text, or holds nothing.
    pub fn new(source: &str) -> Parsed<Parser> {
        if source.len() > MAX_SOURCE {
            return Err(ParseError::TooLarge {
                size: source.len(),
                limit: MAX_SOURCE,
            });
        }
        if let Some(offset) = source.bytes().position(|b| b == 0) {
            return Err(ParseError::NotText { offset });
        }
        let parser = Parser {
            tokens: tokens(source)?,
            at: 0,
            depth: 0,
            stray: vec![],
        };
        match parser.tokens.len() {
            1 => Err(ParseError::Empty),
            _ => Ok(parser),
        }
    }

    pub fn condition(&mut self) -> Parsed<Condition> {
        let left = self.expr()?;
        let found = match self.kind() {
            Kind::Sign(s) => Compare::ALL.into_iter().find(|c| c.name() == *s),
            _ => None,
        };
        let Some(op) = found else {
            return Err(self.unexpected("a comparison: `<`, `<=`, `>`, `>=`, `==` or `!=`", None));
        };
        self.bump();
        let right = self.expr()?;
        Ok(Condition { left, op, right })
    }

    pub fn expr(&mut self) -> Parsed<Expr> {
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
            let next = self.tokens.get(self.at + 1).map(|t| &t.kind);
            if next == Some(&Kind::Sign("=")) {
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

    // Lines and blocks.

    pub fn block<T>(
        &mut self,
        what: &'static str,
        parse: fn(&mut Self) -> Parsed<T>,
    ) -> Parsed<Block<T>> {
        let open = self.span();
        self.bounded(self.depth)?;
        self.sign("{")?;
        self.depth += 1;
        let mut block = Block {
            opening: self.trailing(),
            ..Block::default()
        };
        loop {
            match self.kind() {
                Kind::Sign("}") => break,
                Kind::End => {
                    return Err(ParseError::Unclosed {
                        what,
                        close: "}",
                        open: open.into(),
                    });
                }
                _ => block.lines.push(self.line(parse)?),
            }
        }
        block.closing = self.leading();
        without_last_blank(&mut block.closing);
        let first = match block.lines.first_mut() {
            Some(line) => &mut line.leading,
            None => &mut block.closing,
        };
        without_first_blank(first);
        self.bump();
        self.depth -= 1;
        Ok(block)
    }

    /// One line: what stands before it, the line, the comment after it.
    pub fn line<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<Line<T>> {
        let mut leading = self.leading();
        let outer = std::mem::take(&mut self.stray);
        let kind = parse(self)?;
        leading.extend(std::mem::replace(&mut self.stray, outer));
        let trailing = self.trailing();
        let ended = trailing.is_some()
            || !self.tokens[self.at].before.is_empty()
            || matches!(self.kind(), Kind::End | Kind::Sign("}"));
        if !ended {
            return Err(self.unexpected("the end of the line", Some("one statement a line")));
        }
        Ok(Line {
            leading,
            kind,
            trailing,
        })
    }

    /// Comments and blank lines before the next token.
    pub fn leading(&mut self) -> Vec<Trivia> {
        let mut trivia = vec![];
        let mut breaks = 0;
        for piece in std::mem::take(&mut self.tokens[self.at].before) {
            match piece {
                Piece::LineBreak => breaks += 1,
                Piece::Comment(text) => {
                    if breaks > 1 {
                        trivia.push(Trivia::Blank);
                    }
                    breaks = 0;
                    trivia.push(Trivia::Comment(text));
                }
            }
        }
        if breaks > 1 {
            trivia.push(Trivia::Blank);
        }
        trivia
    }

    /// The comment on the line that just ended.
    pub fn trailing(&mut self) -> Option<String> {
        let before = &mut self.tokens[self.at].before;
        match before.first() {
            Some(Piece::Comment(_)) => match before.remove(0) {
                Piece::Comment(text) => Some(text),
                Piece::LineBreak => None,
            },
            _ => None,
        }
    }

    // Tokens.

    pub fn kind(&self) -> &Kind {
        &self.tokens[self.at].kind
    }

    pub fn span(&self) -> Span {
        self.tokens[self.at].span
    }

    /// Steps over a token; the last one, the end, stays.
    pub fn bump(&mut self) -> Span {
        let token = &mut self.tokens[self.at];
        for piece in std::mem::take(&mut token.before) {
            if let Piece::Comment(text) = piece {
                self.stray.push(Trivia::Comment(text));
            }
        }
        let span = token.span;
        if token.kind != Kind::End {
            self.at += 1;
        }
        span
    }

    pub fn eat(&mut self, sign: &'static str) -> bool {
        let found = self.kind() == &Kind::Sign(sign);
        if found {
            self.bump();
        }
        found
    }

    pub fn sign(&mut self, sign: &'static str) -> Parsed<Span> {
        if self.kind() == &Kind::Sign(sign) {
            Ok(self.bump())
        } else {
            Err(self.unexpected(&format!("`{sign}`"), None))
        }
    }

    pub fn close(&mut self, sign: &'static str, what: &'static str, open: Span) -> Parsed<Span> {
        match self.kind() {
            Kind::End => Err(ParseError::Unclosed {
                what,
                close: sign,
                open: open.into(),
            }),
            Kind::Sign(found) if *found == sign => Ok(self.bump()),
            _ => Err(self.unexpected(&format!("`,` or `{sign}`"), None)),
        }
    }

    pub fn ident(&mut self, expected: &str) -> Parsed<Ident> {
        match self.kind().clone() {
            Kind::Ident(name) => Ok(Ident {
                name,
                span: self.bump(),
            }),
            _ => Err(self.unexpected(expected, None)),
        }
    }

    pub fn keyword(&mut self, word: &str, help: &str) -> Parsed<Span> {
        match self.kind() {
            Kind::Ident(found) if found == word => Ok(self.bump()),
            _ => Err(self.unexpected(&format!("`{word}`"), Some(help))),
        }
    }

    /// Nothing but comments is left.
    pub fn end(&self) -> Parsed<()> {
        match self.kind() {
            Kind::End => Ok(()),
            _ => Err(self.unexpected("the end of the text", None)),
        }
    }

    /// Whether this word comes next.
    pub fn at_word(&self, word: &str) -> bool {
        matches!(self.kind(), Kind::Ident(found) if found == word)
    }

    /// The token after the next one.
    pub fn second(&self) -> Option<&Kind> {
        self.tokens.get(self.at + 1).map(|t| &t.kind)
    }

    pub fn unexpected(&self, expected: &str, help: Option<&str>) -> ParseError {
        let found = match self.kind() {
            Kind::Ident(name) => format!("`{name}`"),
            Kind::Number(text) => format!("the number {text}"),
            Kind::Text(text) => format!("the text {text:?}"),
            Kind::Sign(sign) => format!("`{sign}`"),
            Kind::End => "the end of the file".into(),
        };
        ParseError::Unexpected {
            expected: expected.into(),
            found,
            span: self.span().into(),
            help: help.map(Into::into),
        }
    }
}

pub(crate) fn without_first_blank(trivia: &mut Vec<Trivia>) {
    if trivia.first() == Some(&Trivia::Blank) {
        trivia.remove(0);
    }
}

pub(crate) fn without_last_blank(trivia: &mut Vec<Trivia>) {
    if trivia.last() == Some(&Trivia::Blank) {
        trivia.pop();
    }
}
